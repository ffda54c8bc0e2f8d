#include "json/json.h"

#include <inttypes.h>
#include <string.h>

/* Before a value or key. What follows a value is separated from it, what follows a key or an opening bracket is not. */
static void separate(struct frcnn_json_writer *w, bool comma_after)
{
	if (w->comma)
		frcnn_buffer_putc(w->out, ',');
	w->comma = comma_after;
}

static void put_quoted(struct frcnn_buffer *out, const char *text, size_t size)
{
	frcnn_buffer_putc(out, '"');
	size_t from = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		frcnn_buffer_add(out, text + from, i - from);
		from = i + 1;
		static const char letters[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
		const char *value = c ? strchr(values, c) : NULL;
		if (value) {
			frcnn_buffer_putc(out, '\\');
			frcnn_buffer_putc(out, letters[value - values]);
		} else {
			frcnn_buffer_printf(out, "\\u%04x", c);
		}
	}
	frcnn_buffer_add(out, text + from, size - from);
	frcnn_buffer_putc(out, '"');
}

void frcnn_json_begin_object(struct frcnn_json_writer *w)
{
	separate(w, false);
	frcnn_buffer_putc(w->out, '{');
}

void frcnn_json_end_object(struct frcnn_json_writer *w)
{
	frcnn_buffer_putc(w->out, '}');
	w->comma = true;
}

void frcnn_json_begin_array(struct frcnn_json_writer *w)
{
	separate(w, false);
	frcnn_buffer_putc(w->out, '[');
}

void frcnn_json_end_array(struct frcnn_json_writer *w)
{
	frcnn_buffer_putc(w->out, ']');
	w->comma = true;
}

void frcnn_json_key(struct frcnn_json_writer *w, const char *key)
{
	separate(w, false);
	put_quoted(w->out, key, strlen(key));
	frcnn_buffer_putc(w->out, ':');
}

void frcnn_json_put_string(struct frcnn_json_writer *w, const char *text, size_t size)
{
	separate(w, true);
	put_quoted(w->out, text, size);
}

void frcnn_json_put_raw(struct frcnn_json_writer *w, const char *json, size_t size)
{
	separate(w, true);
	frcnn_buffer_add(w->out, json, size);
}

void frcnn_json_put_int64(struct frcnn_json_writer *w, int64_t value)
{
	separate(w, true);
	frcnn_buffer_printf(w->out, "%" PRId64, value);
}

void frcnn_json_put_float(struct frcnn_json_writer *w, float value)
{
	char text[32];
	size_t size = frcnn_format_float(value, text);
	frcnn_json_put_raw(w, text, size);
}

void frcnn_json_put_double(struct frcnn_json_writer *w, double value)
{
	char text[32];
	size_t size = frcnn_format_double(value, text);
	frcnn_json_put_raw(w, text, size);
}

void frcnn_json_put_bool(struct frcnn_json_writer *w, bool value)
{
	frcnn_json_put_raw(w, value ? "true" : "false", value ? 4 : 5);
}
