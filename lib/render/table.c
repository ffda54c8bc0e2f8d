/* Tables of text: aligned for terminals, piped for Markdown. */
#include "render/render.h"

#include <string.h>

void frcnn_table_put(struct frcnn_table *table, const char *text)
{
	frcnn_buffer_add(&table->cells, text, strlen(text) + 1);
	table->count++;
}

void frcnn_table_printf(struct frcnn_table *table, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	frcnn_table_put(table, text);
}

void frcnn_table_value(struct frcnn_table *table, double value)
{
	if (value == -1)
		frcnn_table_put(table, "-");
	else
		frcnn_table_printf(table, "%.3f", value);
}

void frcnn_table_clear(struct frcnn_table *table)
{
	frcnn_buffer_clear(&table->title);
	frcnn_buffer_clear(&table->cells);
	table->count = 0;
}

void frcnn_table_free(struct frcnn_table *table)
{
	frcnn_buffer_free(&table->title);
	frcnn_buffer_free(&table->cells);
	*table = (struct frcnn_table){0};
}

/* Characters of printable text. */
static size_t length_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

static void pad(struct frcnn_buffer *out, size_t count)
{
	while (count-- > 0)
		frcnn_buffer_putc(out, ' ');
}

void frcnn_table_text(const struct frcnn_table *table, struct frcnn_buffer *out)
{
	size_t *widths = frcnn_calloc(table->columns, sizeof(*widths));
	struct frcnn_buffer shown = {0};

	const char *cell = table->cells.data;

	if (widths == NULL || table->cells.failed || table->title.failed) {
		out->failed = true;
		goto out;
	}
	for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
		frcnn_buffer_clear(&shown);
		frcnn_printable(&shown, cell, strlen(cell));
		if (shown.failed) {
			out->failed = true;
			goto out;
		}
		size_t length = length_of(shown.data);
		if (length > widths[i % table->columns])
			widths[i % table->columns] = length;
	}
	cell = table->cells.data;
	for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
		size_t column = i % table->columns;
		frcnn_buffer_clear(&shown);
		frcnn_printable(&shown, cell, strlen(cell));
		if (shown.failed) {
			out->failed = true;
			goto out;
		}
		size_t gap = widths[column] - length_of(shown.data);
		frcnn_buffer_puts(out, column == 0 ? " " : "  ");
		if (column > 0)
			pad(out, gap);
		frcnn_buffer_add(out, shown.data, shown.size);
		if (column == 0 && table->columns > 1)
			pad(out, gap);
		if (column + 1 == table->columns)
			frcnn_buffer_putc(out, '\n');
	}
out:
	frcnn_buffer_free(&shown);
	free(widths);
}

void frcnn_markdown_text(struct frcnn_buffer *out, const char *text)
{
	size_t size = strlen(text);

	for (size_t i = 0; i < size;) {
		char piece[FRCNN_PRINTABLE_MAX];
		size_t length;
		i += frcnn_printable_one(text + i, size - i, piece, &length);
		for (size_t k = 0; k < length; k++) {
			/* as numbers: what would end a cell, start an element, or call a person */
			if (strchr("|<>&@", piece[k]) != NULL) {
				frcnn_buffer_printf(out, "&#%d;", piece[k]);
				continue;
			}
			if (strchr("\\`*_[]#~", piece[k]) != NULL)
				frcnn_buffer_putc(out, '\\');
			frcnn_buffer_putc(out, piece[k]);
		}
	}
}

void frcnn_table_markdown(const struct frcnn_table *table, struct frcnn_buffer *out)
{
	const char *cell = table->cells.data;

	if (table->cells.failed || table->title.failed) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
		frcnn_buffer_puts(out, "| ");
		frcnn_markdown_text(out, cell);
		frcnn_buffer_putc(out, ' ');
		if ((i + 1) % table->columns == 0)
			frcnn_buffer_puts(out, "|\n");
		if (i + 1 == table->columns) {
			for (size_t c = 0; c < table->columns; c++)
				frcnn_buffer_puts(out, c == 0 ? "|---" : "|---:");
			frcnn_buffer_puts(out, "|\n");
		}
	}
}
