/*
 * Objects to the texts of their values, and those texts to numbers, ids, boxes
 * and names. An object is taken whole before any value is looked at, so that
 * the last one of duplicate keys counts, whatever the earlier ones hold.
 */
#include "record/record.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The last key between text and at; false where there is none, or it is no plain word. */
static bool key_before(const char *text, const char *at, struct frcnn_span *key)
{
	const char *begin, *end = NULL;

	while (at > text && !end)
		if (*--at == ':' && at > text && at[-1] == '"')
			end = at - 1;
	if (!end)
		return false;
	begin = end;
	while (begin > text && letter(begin[-1]))
		begin--;
	*key = (struct frcnn_span){begin, (size_t)(end - begin)};
	return key->size > 0 && key->size <= 64 && begin > text && begin[-1] == '"';
}

/* A NaN or Infinity, which is no JSON, is told with the key that it stands under: the last key before it. */
static void name_key(const struct frcnn_json *json)
{
	static const char *const words[] = {"NaN", "Infinity"};
	const char *at = json->at;
	struct frcnn_span key;
	bool found = false;

	while (at < json->end && letter(*at))
		at++;
	for (size_t i = 0; i < FRCNN_COUNT(words); i++) {
		size_t size = strlen(words[i]);
		if ((size_t)(at - json->text) >= size && memcmp(at - size, words[i], size) == 0)
			found = true;
	}
	if (!json->err || !found || !key_before(json->text, at, &key))
		return;
	struct frcnn_error reason = *json->err;
	frcnn_fail(json->err, reason.status, "%s (key \"%.*s\")", reason.message, (int)key.size, key.data);
}

int frcnn_scan_refuse_nan(const struct frcnn_scan *scan, struct frcnn_error *err)
{
	struct frcnn_span key;

	if (!scan->nan)
		return 0;
	if (!key_before(scan->text.data, scan->nan, &key))
		return frcnn_fail(err, FRCNN_EFORMAT, "NaN and Infinity are not JSON");
	return frcnn_fail(err, FRCNN_EFORMAT, "NaN and Infinity are not JSON (key \"%.*s\")", (int)key.size, key.data);
}

static int scan_value(struct frcnn_json *json, struct frcnn_scan *scan)
{
	struct frcnn_span key, value;
	int rc;

	scan->duplicate = NULL;
	for (size_t i = 0; i < scan->nkeys; i++)
		scan->values[i] = (struct frcnn_span){0};
	enum frcnn_json_type type = frcnn_json_peek(json);
	if (type == FRCNN_JSON_BAD)
		return FRCNN_EFORMAT;
	scan->object = type == FRCNN_JSON_OBJECT;
	if (!scan->object)
		return frcnn_json_skip(json, &scan->text);

	const char *from = json->at;
	bool python_nan = json->python_nan;
	while (from < json->end && *from != '{')
		from++;
	rc = frcnn_json_enter_object(json);
	if (rc < 0)
		return rc;
	while ((rc = frcnn_json_next_key(json, &key)) > 0) {
		size_t i = 0;
		while (i < scan->nkeys &&
		       !(key.size && key.data[0] == scan->keys[i][0] && frcnn_span_is(key, scan->keys[i])))
			i++;
		json->python_nan = python_nan && (i < scan->nkeys || !scan->known_nan);
		if (i == scan->nkeys && scan->unknown) {
			/* the decoded key does not outlive the next call on the cursor */
			struct frcnn_buffer copy = {0};
			frcnn_buffer_add(&copy, key.data, key.size);
			rc = copy.failed ? frcnn_fail_nomem(json->err) : frcnn_json_skip(json, &value);
			if (rc == FRCNN_EFORMAT)
				name_key(json);
			if (rc >= 0)
				rc = scan->unknown(scan->context, (struct frcnn_span){copy.data, copy.size}, value,
						   json->err);
			frcnn_buffer_free(&copy);
			if (rc < 0)
				return rc;
			continue;
		}
		rc = frcnn_json_skip(json, &value);
		if (rc < 0) {
			name_key(json);
			return rc;
		}
		if (i == scan->nkeys)
			continue;
		if (scan->values[i].data)
			scan->duplicate = scan->keys[i];
		scan->values[i] = value;
	}
	json->python_nan = python_nan;
	if (rc < 0)
		return rc;
	const char *to = json->at;
	while (to > from && blank(to[-1]))
		to--;
	scan->text = (struct frcnn_span){from, (size_t)(to - from)};
	return 0;
}

int frcnn_scan_value(struct frcnn_json *json, struct frcnn_scan *scan)
{
	json->nan = NULL;
	int rc = scan_value(json, scan);
	scan->nan = json->nan;
	return rc;
}

/* NaN, Infinity and -Infinity, as Python writes them. */
static bool is_python(struct frcnn_span value)
{
	return frcnn_span_is(value, "NaN") || frcnn_span_is(value, "Infinity") || frcnn_span_is(value, "-Infinity");
}

static const char *kind_of(struct frcnn_span value)
{
	switch (value.size ? value.data[0] : 0) {
	case '{':
		return "an object";
	case '[':
		return "an array";
	case '"':
		return "a string";
	case 't':
	case 'f':
		return "a boolean";
	case 'n':
		return "null";
	default:
		return is_python(value) ? "NaN or Infinity" : "a number";
	}
}

static bool is_number(struct frcnn_span value)
{
	return value.size && (value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9'));
}

int frcnn_value_number(struct frcnn_span value, const char *name, bool python, double *out, float *out_f32,
		       struct frcnn_error *err)
{
	bool negative = value.size && value.data[0] == '-';
	float f32 = 0;

	if (python && is_python(value)) {
		*out = value.data[0] == 'N' ? (double)NAN : negative ? -(double)INFINITY : (double)INFINITY;
		if (out_f32)
			*out_f32 = (float)*out;
		return 0;
	}
	if (!is_number(value) || is_python(value))
		return frcnn_fail(err, FRCNN_EFORMAT, "%s is %s, not a number", name, kind_of(value));
	int rc = frcnn_parse_double(value.data, value.size, out);
	if (rc < 0 && python) {
		*out = negative ? -(double)INFINITY : (double)INFINITY;
		rc = 0;
	}
	if (rc == 0 && out_f32)
		rc = frcnn_parse_float(value.data, value.size, &f32);
	if (rc < 0 && python) {
		f32 = negative ? -INFINITY : INFINITY;
		rc = 0;
	}
	if (rc < 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s does not fit a floating-point number", name);
	if (out_f32)
		*out_f32 = f32;
	return 0;
}

/* Digits alone, leading zeros allowed. */
static int parse_digits(const char *text, size_t size, int64_t *out)
{
	if (size == 0)
		return FRCNN_EINVAL;
	for (size_t i = 0; i < size; i++)
		if (text[i] < '0' || text[i] > '9')
			return FRCNN_EINVAL;
	while (size > 1 && *text == '0') {
		text++;
		size--;
	}
	return frcnn_parse_int64(text, size, out);
}

int frcnn_value_id(struct frcnn_span value, const char *name, int64_t *out, struct frcnn_error *err)
{
	struct frcnn_json json;
	struct frcnn_span text;
	int rc;

	if (is_number(value)) {
		if (frcnn_parse_int64(value.data, value.size, out) == 0)
			return 0;
		/* 1.0 and 1e2 are integers too */
		frcnn_json_open(&json, value.data, value.size, NULL);
		rc = frcnn_json_int64(&json, out);
		frcnn_json_close(&json);
		if (rc < 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "%s is %.*s, not an integer of 64 bits", name,
					  (int)(value.size < 64 ? value.size : 64), value.data);
		return 0;
	}
	if (value.size == 0 || value.data[0] != '"')
		return frcnn_fail(err, FRCNN_EFORMAT, "%s is %s, not an integer", name, kind_of(value));
	frcnn_json_open(&json, value.data, value.size, err);
	rc = frcnn_json_string(&json, &text);
	if (rc == 0 && parse_digits(text.data, text.size, out) < 0) {
		struct frcnn_buffer shown = {0};
		frcnn_printable(&shown, text.data, text.size < 64 ? text.size : 64);
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s is \"%s\", not an integer of 64 bits", name,
				shown.data ? shown.data : "");
		frcnn_buffer_free(&shown);
	}
	frcnn_json_close(&json);
	return rc;
}

int frcnn_value_size(struct frcnn_span value, const char *name, int *out, struct frcnn_error *err)
{
	int64_t size = 0;
	int rc = frcnn_value_id(value, name, &size, err);
	if (rc < 0)
		return rc;
	if (size < 0 || size > INT_MAX)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s is %" PRId64 ", not a number of pixels", name, size);
	*out = (int)size;
	return 0;
}

int frcnn_value_bbox(struct frcnn_span value, bool python, double out[4], float out_f32[4], struct frcnn_error *err)
{
	static const char *const names[4] = {"bbox[0]", "bbox[1]", "bbox[2]", "bbox[3]"};
	struct frcnn_json json;
	struct frcnn_span number;
	size_t n = 0;
	int rc;

	if (!value.data)
		return frcnn_fail(err, FRCNN_EFORMAT, "missing key \"bbox\"");
	if (value.size == 0 || value.data[0] != '[')
		return frcnn_fail(err, FRCNN_EFORMAT, "bbox is %s, not an array of four numbers", kind_of(value));
	frcnn_json_open(&json, value.data, value.size, err);
	json.python_nan = python;
	rc = frcnn_json_enter_array(&json);
	while (rc >= 0 && (rc = frcnn_json_next_element(&json)) > 0) {
		rc = frcnn_json_skip(&json, &number);
		if (rc >= 0 && n < 4)
			rc = frcnn_value_number(number, names[n], python, &out[n], out_f32 ? &out_f32[n] : NULL, err);
		n++;
	}
	frcnn_json_close(&json);
	if (rc < 0)
		return rc;
	if (n != 4)
		return frcnn_fail(err, FRCNN_EFORMAT, "bbox has %zu numbers, not four", n);
	if (!python && (out[2] < 0 || out[3] < 0))
		return frcnn_fail(err, FRCNN_EFORMAT, "bbox has a negative %s", out[2] < 0 ? "width" : "height");
	return 0;
}

int frcnn_value_text(struct frcnn_span value, const char *name, bool unescape, struct frcnn_buffer *out, bool *present,
		     struct frcnn_error *err)
{
	struct frcnn_json json;
	struct frcnn_span text;
	int rc;

	frcnn_buffer_clear(out);
	*present = false;
	if (!value.data || value.data[0] == 'n')
		return 0;
	if (value.data[0] != '"')
		return frcnn_fail(err, FRCNN_EFORMAT, "%s is %s, not a string", name, kind_of(value));
	frcnn_json_open(&json, value.data, value.size, err);
	rc = frcnn_json_string(&json, &text);
	if (rc < 0)
		goto out;
	if (unescape)
		frcnn_unescape_bytes(out, text.data, text.size);
	else
		frcnn_buffer_add(out, text.data, text.size);
	frcnn_buffer_putc(out, '\0'); /* data is there even for an empty text */
	if (out->failed) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	out->size--;
	if (memchr(out->data, '\0', out->size)) {
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s has a NUL in it", name);
		goto out;
	}
	*present = true;
out:
	frcnn_json_close(&json);
	return rc;
}

void frcnn_note(const struct frcnn_notices *notices, enum frcnn_notice_kind kind, const char *name, size_t line,
		const char *format, ...)
{
	struct frcnn_error text, whole;
	va_list args;

	if (!notices || !notices->note)
		return;
	va_start(args, format);
	vsnprintf(text.message, sizeof(text.message), format, args);
	va_end(args);
	if (line)
		frcnn_fail(&whole, FRCNN_EFORMAT, "%s:%zu: %s", name, line, text.message);
	else
		frcnn_fail(&whole, FRCNN_EFORMAT, "%s: %s", name, text.message);
	notices->note(notices->context, kind, whole.message);
}

int frcnn_fail_at(struct frcnn_error *err, const char *name, size_t line, const struct frcnn_error *reason)
{
	const char *message = reason->message;
	/* the cursor says "line L column C: ..."; the line has its own place in ours */
	if (strncmp(message, "line ", 5) == 0) {
		const char *at = message + 5;
		while (*at >= '0' && *at <= '9')
			at++;
		if (at > message + 5 && *at == ' ')
			message = at + 1;
	}
	return frcnn_fail(err, reason->status, "%s:%zu: %s", name, line, message);
}

void frcnn_count_lines(const char *from, const char *to, size_t *line)
{
	while (from < to && (from = memchr(from, '\n', (size_t)(to - from)))) {
		from++;
		++*line;
	}
}
