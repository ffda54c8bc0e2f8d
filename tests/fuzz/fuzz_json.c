/*
 * Any bytes as JSON: skipping a value and walking into it must agree on whether it is well formed; what is skipped
 * must be the same value when read again; a decoded string must survive the writer and the reader.
 */
#include "json/json.h"

#include <stdlib.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_string(struct frcnn_span span)
{
	struct frcnn_buffer out = {0};
	struct frcnn_json_writer w = {.out = &out};
	frcnn_json_put_string(&w, span.data, span.size);
	check(!out.failed);
	struct frcnn_json json;
	struct frcnn_span back;
	frcnn_json_open(&json, out.data, out.size, NULL);
	check(frcnn_json_string(&json, &back) == 0 && frcnn_json_finish(&json) == 0);
	check(back.size == span.size && memcmp(back.data, span.data, back.size) == 0);
	frcnn_json_close(&json);
	frcnn_buffer_free(&out);
}

static void check_number(struct frcnn_span text)
{
	double value, back;
	float single, single_back;
	int64_t integer;
	char out[32];
	if (frcnn_parse_double(text.data, text.size, &value) == 0) {
		size_t size = frcnn_format_double(value, out);
		check(size < sizeof(out) && frcnn_parse_double(out, size, &back) == 0 && back == value);
	}
	if (frcnn_parse_float(text.data, text.size, &single) == 0) {
		size_t size = frcnn_format_float(single, out);
		check(size < sizeof(out) && frcnn_parse_float(out, size, &single_back) == 0 && single_back == single);
	}
	frcnn_parse_exact_int64(text.data, text.size, &integer);
}

static int walk(struct frcnn_json *json)
{
	struct frcnn_span span;
	int more = 0;
	bool truth;
	switch (frcnn_json_peek(json)) {
	case FRCNN_JSON_OBJECT:
		if (frcnn_json_enter_object(json) < 0)
			return -1;
		while ((more = frcnn_json_next_key(json, &span)) > 0) {
			check_string(span);
			if (walk(json) < 0)
				return -1;
		}
		return more;
	case FRCNN_JSON_ARRAY:
		if (frcnn_json_enter_array(json) < 0)
			return -1;
		while ((more = frcnn_json_next_element(json)) > 0) {
			if (walk(json) < 0)
				return -1;
		}
		return more;
	case FRCNN_JSON_STRING:
		if (frcnn_json_string(json, &span) < 0)
			return -1;
		check_string(span);
		return 0;
	case FRCNN_JSON_NUMBER:
		if (frcnn_json_number(json, &span) < 0)
			return -1;
		check_number(span);
		return 0;
	case FRCNN_JSON_TRUE:
	case FRCNN_JSON_FALSE:
		return frcnn_json_bool(json, &truth);
	case FRCNN_JSON_NULL:
		return frcnn_json_null(json);
	default:
		return -1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frcnn_error err = {0};
	struct frcnn_json json;
	struct frcnn_span raw;

	frcnn_json_open(&json, (const char *)data, size, &err);
	json.python_nan = size % 2;
	bool skipped = frcnn_json_skip(&json, &raw) == 0;
	bool finished = skipped && frcnn_json_finish(&json) == 0;
	check(finished || err.message[0]);
	frcnn_json_close(&json);

	frcnn_json_open(&json, (const char *)data, size, &err);
	json.python_nan = size % 2;
	bool walked = walk(&json) == 0;
	check(walked == skipped);
	check(!walked || json.depth == 0);
	frcnn_json_close(&json);

	if (skipped) {
		frcnn_json_open(&json, raw.data, raw.size, &err);
		json.python_nan = size % 2;
		check(frcnn_json_skip(&json, NULL) == 0 && frcnn_json_finish(&json) == 0);
		frcnn_json_close(&json);
	}
	return 0;
}
