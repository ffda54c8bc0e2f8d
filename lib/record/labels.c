/* Label files: one name a line. */
#include "record/record.h"

void frcnn_labels_free(struct frcnn_labels *labels)
{
	if (!labels)
		return;
	for (size_t i = 0; i < labels->count; i++)
		free(labels->names[i]);
	free(labels->names);
	*labels = (struct frcnn_labels){0};
}

static int add_name(struct frcnn_labels *out, size_t *capacity, const char *line, size_t size, struct frcnn_error *err)
{
	size_t number = out->count + 1;
	void *grown = out->names;

	if (size && line[size - 1] == '\r')
		size--;
	if (size == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "line %zu is empty", number);
	if (memchr(line, '\0', size))
		return frcnn_fail(err, FRCNN_EFORMAT, "line %zu has a NUL in it", number);
	for (size_t at = 0, n; at < size; at += n) {
		n = frcnn_utf8_length(line + at, size - at);
		if (n == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "line %zu is not UTF-8", number);
	}
	if (!frcnn_is_line(line, size))
		return frcnn_fail(err, FRCNN_EFORMAT, "line %zu has a control character in it", number);
	if (frcnn_grow(&grown, capacity, number, sizeof(*out->names)) < 0)
		return frcnn_fail_nomem(err);
	out->names = grown;
	out->names[out->count] = frcnn_strndup(line, size);
	if (!out->names[out->count])
		return frcnn_fail_nomem(err);
	out->count++;
	return 0;
}

int frcnn_labels_parse(const void *text, size_t size, struct frcnn_labels *out, struct frcnn_error *err)
{
	const char *at = text, *end = at + size;
	size_t capacity = 0;
	int rc = 0;

	*out = (struct frcnn_labels){0};
	if (size >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
		at += 3;
	while (at < end && rc == 0) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop)
			stop = end;
		rc = add_name(out, &capacity, at, (size_t)(stop - at), err);
		at = stop + (stop < end);
	}
	if (rc == 0 && out->count == 0)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "no labels in it");
	if (rc < 0)
		frcnn_labels_free(out);
	return rc;
}

int frcnn_labels_read(const char *path, struct frcnn_labels *out, struct frcnn_error *err)
{
	struct frcnn_file file;
	struct frcnn_error reason;

	*out = (struct frcnn_labels){0};
	int rc = frcnn_file_open(path, 0, &file, err);
	if (rc < 0)
		return rc;
	rc = frcnn_labels_parse(file.data, file.size, out, &reason);
	frcnn_file_close(&file);
	return rc < 0 ? frcnn_fail(err, rc, "%s: %s", path, reason.message) : 0;
}
