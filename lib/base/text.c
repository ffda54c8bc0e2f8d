#include "base/base.h"

#include <string.h>

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The well-formed sequences of the Unicode standard, table 3-7: no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
size_t frcnn_utf8_length(const char *text, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return size >= 2 && is_tail(s[1]) ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if (size < 3 || !is_tail(s[1]) || !is_tail(s[2]))
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if (size < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3]))
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

static void put_hex(unsigned char byte, char out[4])
{
	static const char digits[] = "0123456789ABCDEF";
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[byte >> 4];
	out[3] = digits[byte & 15];
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte that \xNN at text stands for, or -1. */
static int escaped_byte(const char *text, size_t size)
{
	if (size < 4 || text[0] != '\\' || text[1] != 'x')
		return -1;
	int high = hex_value(text[2]), low = hex_value(text[3]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void frcnn_escape_bytes(struct frcnn_buffer *out, const char *bytes, size_t size)
{
	frcnn_buffer_add(out, "", 0);
	for (size_t i = 0; i < size;) {
		size_t length = frcnn_utf8_length(bytes + i, size - i);
		if (length == 0 || escaped_byte(bytes + i, size - i) >= 0) {
			char hex[4];
			put_hex((unsigned char)bytes[i], hex);
			frcnn_buffer_add(out, hex, sizeof(hex));
			i++;
		} else {
			frcnn_buffer_add(out, bytes + i, length);
			i += length;
		}
	}
}

void frcnn_unescape_bytes(struct frcnn_buffer *out, const char *text, size_t size)
{
	frcnn_buffer_add(out, "", 0);
	for (size_t i = 0; i < size;) {
		int byte = escaped_byte(text + i, size - i);
		frcnn_buffer_putc(out, byte >= 0 ? (char)byte : text[i]);
		i += byte >= 0 ? 4 : 1;
	}
}

/* C0, DEL and C1, which terminals take for commands. */
static bool is_control(const unsigned char *s, size_t length)
{
	return s[0] < 0x20 || s[0] == 0x7f || (length == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

bool frcnn_is_line(const char *text, size_t size)
{
	if (size == 0)
		return false;
	for (size_t i = 0, n; i < size; i += n) {
		n = frcnn_utf8_length(text + i, size - i);
		if (n == 0 || is_control((const unsigned char *)text + i, n))
			return false;
	}
	return true;
}

size_t frcnn_printable_one(const char *bytes, size_t size, char out[FRCNN_PRINTABLE_MAX], size_t *length)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t n = frcnn_utf8_length(bytes, size);
	if (n > 0 && !is_control(s, n)) {
		memcpy(out, bytes, n);
		*length = n;
		return n;
	}
	if (n == 0)
		n = 1;
	for (size_t i = 0; i < n; i++)
		put_hex(s[i], out + 4 * i);
	*length = 4 * n;
	return n;
}

void frcnn_printable(struct frcnn_buffer *out, const char *bytes, size_t size)
{
	frcnn_buffer_add(out, "", 0);
	for (size_t i = 0; i < size;) {
		char piece[FRCNN_PRINTABLE_MAX];
		size_t length;
		i += frcnn_printable_one(bytes + i, size - i, piece, &length);
		frcnn_buffer_add(out, piece, length);
	}
}
