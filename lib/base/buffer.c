#include "base/base.h"

#include <stdlib.h>
#include <string.h>

/* Room for size more bytes and the NUL behind them. */
static bool make_room(struct frcnn_buffer *buffer, size_t size)
{
	if (buffer->failed)
		return false;
	if (size < buffer->capacity - buffer->size)
		return true;
	if (size > SIZE_MAX / 2 - buffer->size ||
	    frcnn_grow((void **)&buffer->data, &buffer->capacity, buffer->size + size + 1, 1) < 0)
		buffer->failed = true;
	return !buffer->failed;
}

void frcnn_buffer_add(struct frcnn_buffer *buffer, const void *bytes, size_t size)
{
	if (!make_room(buffer, size))
		return;
	if (size)
		memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
}

void frcnn_buffer_puts(struct frcnn_buffer *buffer, const char *text)
{
	frcnn_buffer_add(buffer, text, strlen(text));
}

void frcnn_buffer_putc(struct frcnn_buffer *buffer, char c)
{
	frcnn_buffer_add(buffer, &c, 1);
}

void frcnn_buffer_printf(struct frcnn_buffer *buffer, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	if (n < 0) {
		buffer->failed = true;
	} else if (make_room(buffer, (size_t)n)) {
		vsnprintf(buffer->data + buffer->size, (size_t)n + 1, format, again);
		buffer->size += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void frcnn_buffer_clear(struct frcnn_buffer *buffer)
{
	buffer->size = 0;
	buffer->failed = false;
	if (buffer->data)
		buffer->data[0] = '\0';
}

void frcnn_buffer_free(struct frcnn_buffer *buffer)
{
	if (!buffer)
		return;
	free(buffer->data);
	*buffer = (struct frcnn_buffer){0};
}
