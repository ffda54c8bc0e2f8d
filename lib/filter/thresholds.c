/* Thresholds by class from a file. */
#include "filter/filter.h"

static int add(struct frcnn_filter_thresholds *out, const char *name, size_t size, double iou, size_t line,
	       struct frcnn_error *err)
{
	for (size_t i = 0; i < out->count; i++)
		if (strlen(out->items[i].name) == size && memcmp(out->items[i].name, name, size) == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "line %zu: \"%.*s\" has a threshold already", line,
					  (int)(size < 64 ? size : 64), name);
	void *grown = out->items;
	int rc = frcnn_grow(&grown, &out->capacity, out->count + 1, sizeof(*out->items));
	out->items = grown;
	if (rc < 0)
		return frcnn_fail_nomem(err);
	out->items[out->count].name = frcnn_strndup(name, size);
	if (!out->items[out->count].name)
		return frcnn_fail_nomem(err);
	out->items[out->count++].iou = iou;
	return 0;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static int take_line(const char *line, size_t size, size_t number, struct frcnn_filter_thresholds *out,
		     struct frcnn_error *err)
{
	double iou;

	while (size > 0 && (blank(line[size - 1]) || line[size - 1] == '\r'))
		size--;
	while (size > 0 && blank(*line)) {
		line++;
		size--;
	}
	if (size == 0 || *line == '#')
		return 0;
	for (size_t at = 0, n; at < size; at += n) {
		n = frcnn_utf8_length(line + at, size - at);
		if (n == 0 || line[at] == '\0')
			return frcnn_fail(err, FRCNN_EFORMAT, "line %zu: not UTF-8 text", number);
	}
	size_t name = size;
	while (name > 0 && !blank(line[name - 1]))
		name--;
	const char *value = line + name;
	size_t digits = size - name;
	while (name > 0 && blank(line[name - 1]))
		name--;
	if (name == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "line %zu: not a class and a threshold", number);
	if (frcnn_parse_double(value, digits, &iou) < 0 || !(iou >= 0 && iou <= 1))
		return frcnn_fail(err, FRCNN_EFORMAT, "line %zu: \"%.*s\" is no threshold between 0 and 1", number,
				  (int)(digits < 64 ? digits : 64), value);
	return add(out, line, name, iou, number, err);
}

int frcnn_filter_thresholds_parse(const char *text, size_t size, struct frcnn_filter_thresholds *out,
				  struct frcnn_error *err)
{
	size_t line = 1;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3;
		size -= 3;
	}
	while (rc == 0 && size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t here = end ? (size_t)(end - text) : size;
		rc = take_line(text, here, line++, out, err);
		here += end != NULL;
		text += here;
		size -= here;
	}
	if (rc == 0 && out->count == 0)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "no class with a threshold in it");
	if (rc < 0)
		frcnn_filter_thresholds_free(out);
	return rc;
}

void frcnn_filter_thresholds_free(struct frcnn_filter_thresholds *thresholds)
{
	for (size_t i = 0; i < thresholds->count; i++)
		free(thresholds->items[i].name);
	free(thresholds->items);
	memset(thresholds, 0, sizeof(*thresholds));
}
