/*
 * json - RFC 8259 text: a cursor that reads it strictly and a writer that makes
 * it, for records and safetensors headers, which need 64-bit ids, the text of
 * numbers and exactness (small documents of our own go through cJSON instead).
 * Knows JSON alone: what a record means lives in record/.
 *
 * The reader walks text in memory, allocates only for strings with escapes and
 * for nothing else, and skips what it is not asked for without building it.
 * A BOM is skipped; UTF-16 and invalid UTF-8 are errors that say so; nesting
 * goes to 1,000.
 */
#ifndef FRCNN_JSON_H
#define FRCNN_JSON_H

#include "base/base.h"

enum frcnn_json_type {
	FRCNN_JSON_BAD = -1, /* malformed: *err of the reader says how */
	FRCNN_JSON_END = 0,  /* end of the text */
	FRCNN_JSON_OBJECT,
	FRCNN_JSON_ARRAY,
	FRCNN_JSON_STRING,
	FRCNN_JSON_NUMBER,
	FRCNN_JSON_TRUE,
	FRCNN_JSON_FALSE,
	FRCNN_JSON_NULL
};

struct frcnn_json {
	const char *text, *at, *end;
	struct frcnn_buffer scratch; /* decoded strings */
	struct frcnn_error *err;     /* may be NULL */
	size_t first_line;           /* number of the first line, for messages; 1 unless set by the caller */
	int depth;
	bool python_nan; /* take Python's NaN, Infinity, -Infinity as numbers */
	const char *nan; /* the last one of those that was passed; NULL: none since it was last cleared by the caller */
	bool checked;    /* set by a caller who passed over this very text before: skip need not look again */
	bool first;      /* private: an object or array was entered, nothing of it read */
};

/* text is borrowed and must outlive the reader. */
void frcnn_json_open(struct frcnn_json *json, const char *text, size_t size, struct frcnn_error *err);
void frcnn_json_close(struct frcnn_json *json);

/* The type of the value that comes next, without taking it. */
enum frcnn_json_type frcnn_json_peek(struct frcnn_json *json);

/* Objects: enter, then next_key until it returns 0 (the object has been left), reading or skipping one value after
 * each key. Arrays likewise with next_element. Each: 1 there is one, 0 the end, < 0 malformed. The key is decoded,
 * valid until the next call. */
int frcnn_json_enter_object(struct frcnn_json *json);
int frcnn_json_next_key(struct frcnn_json *json, struct frcnn_span *key);
int frcnn_json_enter_array(struct frcnn_json *json);
int frcnn_json_next_element(struct frcnn_json *json);

/* Values; a value of another type, or a number out of range, is FRCNN_EFORMAT ("expected a string, found a number"). */
int frcnn_json_string(struct frcnn_json *json, struct frcnn_span *out); /* decoded, valid until the next call */
int frcnn_json_number(struct frcnn_json *json, struct frcnn_span *out); /* the number's own text, in place */
int frcnn_json_double(struct frcnn_json *json, double *out);
/* An integer, also written 1.0 or 1e2 when it is exact; anything else is an error. */
int frcnn_json_int64(struct frcnn_json *json, int64_t *out);
int frcnn_json_bool(struct frcnn_json *json, bool *out);
int frcnn_json_null(struct frcnn_json *json);
/* Passes over any value, checking its syntax; *raw (may be NULL) is its text. */
int frcnn_json_skip(struct frcnn_json *json, struct frcnn_span *raw);
/* Only white space may be left. */
int frcnn_json_finish(struct frcnn_json *json);

/* Fails with "line L column C: MESSAGE" at the cursor (line only when the text has several or first_line is not 1). */
int frcnn_json_fail(struct frcnn_json *json, const char *format, ...) FRCNN_PRINTF(2, 3);

/* ---- writing: appends to a buffer; commas are the writer's business ---------- */

struct frcnn_json_writer {
	struct frcnn_buffer *out;
	bool comma; /* private: something stands before */
};
void frcnn_json_begin_object(struct frcnn_json_writer *w);
void frcnn_json_end_object(struct frcnn_json_writer *w);
void frcnn_json_begin_array(struct frcnn_json_writer *w);
void frcnn_json_end_array(struct frcnn_json_writer *w);
void frcnn_json_key(struct frcnn_json_writer *w, const char *key);
void frcnn_json_put_string(struct frcnn_json_writer *w, const char *text, size_t size); /* text must be UTF-8 */
void frcnn_json_put_int64(struct frcnn_json_writer *w, int64_t value);
void frcnn_json_put_float(struct frcnn_json_writer *w, float value);   /* shortest float32 text; must be finite */
void frcnn_json_put_double(struct frcnn_json_writer *w, double value); /* shortest double text; must be finite */
void frcnn_json_put_bool(struct frcnn_json_writer *w, bool value);
void frcnn_json_put_raw(struct frcnn_json_writer *w, const char *json, size_t size); /* text of a value, as it is */

#endif
