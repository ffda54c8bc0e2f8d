/* json: strict reading, exact numbers, writing. */
#include "json/json.h"

#include <criterion/criterion.h>
#include <math.h>

/* What the reader says of a whole text: NULL when it is well formed, else the message. Once by skipping, once by
 * walking into everything: both must agree on good or bad. */
static int walk(struct frcnn_json *json)
{
	struct frcnn_span span;
	int more;
	double number;
	bool truth;
	switch (frcnn_json_peek(json)) {
	case FRCNN_JSON_OBJECT:
		if (frcnn_json_enter_object(json) < 0)
			return -1;
		while ((more = frcnn_json_next_key(json, &span)) > 0) {
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
		return frcnn_json_string(json, &span);
	case FRCNN_JSON_NUMBER:
		return frcnn_json_double(json, &number);
	case FRCNN_JSON_TRUE:
	case FRCNN_JSON_FALSE:
		return frcnn_json_bool(json, &truth);
	case FRCNN_JSON_NULL:
		return frcnn_json_null(json);
	case FRCNN_JSON_END:
		return frcnn_json_skip(json, NULL); /* for its message */
	default:
		return -1;
	}
}

static const char *judge(const char *text, size_t size, bool python_nan)
{
	static struct frcnn_error skipped, walked;
	struct frcnn_json json;
	skipped.message[0] = walked.message[0] = '\0';
	/* A copy of its own, so that the sanitizers see any step beyond it. */
	char *copy = frcnn_strndup(text, size);
	char *tight = malloc(size ? size : 1);
	memcpy(tight, copy, size);
	free(copy);

	frcnn_json_open(&json, tight, size, &skipped);
	json.python_nan = python_nan;
	struct frcnn_span raw;
	int by_skipping = frcnn_json_skip(&json, &raw);
	if (by_skipping == 0)
		by_skipping = frcnn_json_finish(&json);
	frcnn_json_close(&json);

	frcnn_json_open(&json, tight, size, &walked);
	json.python_nan = python_nan;
	int by_walking = walk(&json);
	if (by_walking == 0)
		by_walking = frcnn_json_finish(&json);
	frcnn_json_close(&json);
	free(tight);

	cr_assert_eq(by_skipping < 0, by_walking < 0, "%.*s: skipped \"%s\", walked \"%s\"", (int)size, text,
		     skipped.message, walked.message);
	if (by_walking < 0)
		cr_assert(walked.message[0] && skipped.message[0], "%.*s", (int)size, text);
	return by_walking < 0 ? walked.message : NULL;
}

static const char *judge_text(const char *text)
{
	return judge(text, strlen(text), false);
}

Test(json, takes_what_is_json)
{
	static const char *const texts[] = {
	    "{}",
	    "[]",
	    "[[]]",
	    "[{}]",
	    "{\"a\":{}}",
	    " { } ",
	    "\t[\r\n]\n",
	    "0",
	    "-0",
	    "1.5e+3",
	    "1E-2",
	    "\"\"",
	    "true",
	    "false",
	    "null",
	    "[1,2,3]",
	    "[ 1 , 2 ]",
	    "{\"a\":1,\"b\":[true,false,null]}",
	    "{\"a\" : 1 , \"a\" : 2}",
	    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
	    "\"\xc3\xa9\xf0\x9f\x98\x80\x7f\"",
	    "\"\\u0000\"",
	    "\xef\xbb\xbf{}",
	    "[-0.0, 0e0, 0E+1, 123456789012345678901234567890]",
	    "{\"\":0}",
	};
	for (size_t i = 0; i < FRCNN_COUNT(texts); i++)
		cr_assert_null(judge_text(texts[i]), "%s: %s", texts[i], judge_text(texts[i]));
}

Test(json, refuses_what_is_not)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	    {"", "column 1: expected a value, found the end of the text"},
	    {"  ", "column 3: expected a value, found the end of the text"},
	    {"[1,]", "column 4: expected a value, found ']'"},
	    {"[,1]", "column 2: expected a value, found ','"},
	    {"[1 2]", "column 4: expected ',' or ']', found '2'"},
	    {"[1}", "column 3: expected ',' or ']', found '}'"},
	    {"{\"a\":1]", "column 7: expected ',' or '}', found ']'"},
	    {"{\"a\":1,}", "column 8: expected a key in quotes, found '}'"},
	    {"{,}", "column 2: expected a key in quotes, found ','"},
	    {"{a:1}", "column 2: expected a key in quotes, found 'a'"},
	    {"{'a':1}", "column 2: expected a key in quotes, found '''"},
	    {"{\"a\" 1}", "column 6: expected ':', found '1'"},
	    {"{\"a\":}", "column 6: expected a value, found '}'"},
	    {"{\"a\"", "column 5: expected ':', found the end of the text"},
	    {"[", "column 2: expected a value, found the end of the text"},
	    {"[1", "column 3: expected ',' or ']', found the end of the text"},
	    {"]", "column 1: expected a value, found ']'"},
	    {"{} {}", "column 4: expected the end of the text, found '{'"},
	    {"1 2", "column 3: expected the end of the text, found '2'"},
	    {"01", "column 2: expected a JSON number, found '1'"},
	    {"-", "column 2: expected a JSON number, found the end of the text"},
	    {"-a", "column 2: expected a JSON number, found 'a'"},
	    {"1.", "column 3: expected a JSON number, found the end of the text"},
	    {".5", "column 1: expected a value, found '.'"},
	    {"+1", "column 1: expected a value, found '+'"},
	    {"1.e5", "column 3: expected a JSON number, found 'e'"},
	    {"1e", "column 3: expected a JSON number, found the end of the text"},
	    {"1e+", "column 4: expected a JSON number, found the end of the text"},
	    {"0x10", "column 2: expected a JSON number, found 'x'"},
	    {"1f", "column 2: expected a JSON number, found 'f'"},
	    {"NaN", "column 1: NaN and Infinity are not JSON"},
	    {"[Infinity]", "column 2: NaN and Infinity are not JSON"},
	    {"-Infinity", "column 2: expected a JSON number, found 'I'"},
	    {"nan", "column 1: expected a value, found 'n'"},
	    {"tru", "column 1: expected a value, found 't'"},
	    {"truex", "column 5: expected the end of the text, found 'x'"},
	    {"True", "column 1: expected a value, found 'T'"},
	    {"\"abc", "column 5: the text ends inside a string"},
	    {"\"a\nb\"", "line 1 column 3: control character in a string"},
	    {"\"\\x\"", "column 2: invalid escape in a string"},
	    {"\"\\u12\"", "column 2: invalid escape in a string"},
	    {"\"\\u12g4\"", "column 2: invalid escape in a string"},
	    {"\"\\", "column 2: invalid escape in a string"},
	    {"\"\\ud800\"", "column 2: unpaired surrogate in a string"},
	    {"\"\\udc00\"", "column 2: unpaired surrogate in a string"},
	    {"\"\\ud800\\u0041\"", "column 2: unpaired surrogate in a string"},
	    {"\"\xe9\"", "column 2: invalid UTF-8"},
	    {"\"\xc3\xa9\xc0\x80\"", "column 3: invalid UTF-8"},
	    {"\"\xed\xa0\x80\"", "column 2: invalid UTF-8"},
	    {"[\xff]", "column 2: invalid UTF-8"},
	    {"[\xc2\xa0]", "column 2: expected a value, found '\xc2\xa0'"},
	    {"/* */ 1", "column 1: expected a value, found '/'"},
	    {"[\n1,\n  x]", "line 3 column 3: expected a value, found 'x'"},
	    {"[\"\xc3\xa9\", x]\n", "column 7: expected a value, found 'x'"},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		const char *message = judge_text(cases[i].text);
		cr_assert_not_null(message, "%s was taken", cases[i].text);
		cr_assert_str_eq(message, cases[i].message);
	}
	cr_assert_not_null(judge("[1\0]", 4, false));
	cr_assert_not_null(judge("\"a\0\"", 4, false));
}

Test(json, utf16_is_named)
{
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
	    {"\xff\xfe{\0}\0", 6}, {"\xfe\xff\0{\0}", 6}, {"{\0}\0", 4}, {"\0{\0}", 4}, {"\"\0a\0\"\0", 6}, {"1\0", 2},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		const char *message = judge(cases[i].bytes, cases[i].size, false);
		cr_assert(message && strstr(message, "UTF-16 text; JSON must be UTF-8"), "%zu: %s", i,
			  message ? message : "taken");
	}
}

Test(json, python_nan_when_asked)
{
	const char *text = "[NaN,Infinity,-Infinity,1]";
	cr_assert_not_null(judge(text, strlen(text), false));
	cr_assert_null(judge(text, strlen(text), true));
	cr_assert_not_null(judge("Nan", 3, true));
	cr_assert_not_null(judge("Inf", 3, true));
	struct frcnn_json json;
	frcnn_json_open(&json, text, strlen(text), NULL);
	json.python_nan = true;
	double value;
	frcnn_json_enter_array(&json);
	cr_assert(frcnn_json_next_element(&json) == 1 && frcnn_json_double(&json, &value) == 0 && isnan(value));
	cr_assert(frcnn_json_next_element(&json) == 1 && frcnn_json_double(&json, &value) == 0 && value == INFINITY);
	cr_assert(frcnn_json_next_element(&json) == 1 && frcnn_json_double(&json, &value) == 0 && value == -INFINITY);
	int64_t integer;
	cr_assert(frcnn_json_next_element(&json) == 1 && frcnn_json_int64(&json, &integer) == 0 && integer == 1);
	cr_assert_eq(frcnn_json_next_element(&json), 0);
	frcnn_json_close(&json);
	frcnn_json_open(&json, "NaN", 3, NULL);
	json.python_nan = true;
	cr_assert_lt(frcnn_json_int64(&json, &integer), 0);
}

Test(json, nesting_goes_to_a_thousand)
{
	static char text[2 * 1001];
	for (int open = 999; open <= 1001; open++) {
		for (int i = 0; i < open; i++) {
			text[i] = '[';
			text[open + i] = ']';
		}
		const char *message = judge(text, (size_t)(2 * open), false);
		if (open <= 1000)
			cr_assert_null(message, "%d: %s", open, message);
		else
			cr_assert_str_eq(message, "column 1001: nested deeper than 1000");
	}
	/* Skipping from inside counts what is around. */
	struct frcnn_json json;
	frcnn_json_open(&json, text, sizeof(text), NULL);
	for (int i = 0; i < 500; i++)
		cr_assert(frcnn_json_enter_array(&json) == 0 && frcnn_json_next_element(&json) == 1);
	cr_assert_lt(frcnn_json_skip(&json, NULL), 0);
	frcnn_json_close(&json);
	memset(text, '[', sizeof(text));
	cr_assert_str_eq(judge(text, sizeof(text), false), "column 1001: nested deeper than 1000");
}

Test(json, strings_are_decoded)
{
	const char *text =
	    "[\"plain\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\u00e9\\u20AC\\ud83d\\ude00x\",\"a\\u0000b\",\"\"]";
	static const struct {
		const char *bytes;
		size_t size;
	} expected[] = {
	    {"plain", 5}, {"\"\\/\b\f\n\r\t", 8}, {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x", 10}, {"a\0b", 3}, {"", 0},
	};
	struct frcnn_json json;
	struct frcnn_span span;
	frcnn_json_open(&json, text, strlen(text), NULL);
	cr_assert_eq(frcnn_json_enter_array(&json), 0);
	for (size_t i = 0; i < FRCNN_COUNT(expected); i++) {
		cr_assert_eq(frcnn_json_next_element(&json), 1);
		cr_assert_eq(frcnn_json_string(&json, &span), 0);
		cr_assert_eq(span.size, expected[i].size);
		cr_assert_eq(memcmp(span.data, expected[i].bytes, span.size), 0);
		if (i == 0)
			cr_assert_eq(span.data, text + 2); /* nothing to decode: in place */
	}
	cr_assert_eq(frcnn_json_next_element(&json), 0);
	cr_assert_eq(frcnn_json_finish(&json), 0);
	frcnn_json_close(&json);
}

Test(json, walks_a_record)
{
	const char *text =
	    "{\"image_id\":9007199254740993,\"fi\\u006ce\":\"a.jpg\",\"other\":{\"x\":[1,{\"y\":\"]}\"}] , \"z\":null},"
	    "\"boxes\":[[1.0,2.5],[],[3]],\"ok\":true,\"no\":null}";
	struct frcnn_error err = {0};
	struct frcnn_json json;
	struct frcnn_span key, span;
	frcnn_json_open(&json, text, strlen(text), &err);
	cr_assert_eq(frcnn_json_peek(&json), FRCNN_JSON_OBJECT);
	cr_assert_eq(frcnn_json_enter_object(&json), 0);
	cr_assert(frcnn_json_next_key(&json, &key) == 1 && frcnn_span_is(key, "image_id"));
	int64_t id;
	cr_assert(frcnn_json_int64(&json, &id) == 0 && id == 9007199254740993);
	cr_assert(frcnn_json_next_key(&json, &key) == 1 && frcnn_span_is(key, "file"));
	cr_assert(frcnn_json_string(&json, &span) == 0 && frcnn_span_is(span, "a.jpg"));
	cr_assert(frcnn_json_next_key(&json, &key) == 1 && frcnn_span_is(key, "other"));
	cr_assert_eq(frcnn_json_skip(&json, &span), 0);
	cr_assert(frcnn_span_is(span, "{\"x\":[1,{\"y\":\"]}\"}] , \"z\":null}"));
	cr_assert(frcnn_json_next_key(&json, &key) == 1 && frcnn_span_is(key, "boxes"));
	cr_assert_eq(frcnn_json_enter_array(&json), 0);
	double numbers[3];
	int rows = 0, n = 0;
	while (frcnn_json_next_element(&json) == 1) {
		rows++;
		cr_assert_eq(frcnn_json_enter_array(&json), 0);
		while (frcnn_json_next_element(&json) == 1)
			cr_assert_eq(frcnn_json_double(&json, &numbers[n++]), 0);
	}
	cr_assert(rows == 3 && n == 3 && numbers[0] == 1 && numbers[1] == 2.5 && numbers[2] == 3);
	bool ok;
	cr_assert_eq(frcnn_json_next_key(&json, &key), 1);
	cr_assert(frcnn_json_bool(&json, &ok) == 0 && ok);
	cr_assert_eq(frcnn_json_next_key(&json, &key), 1);
	cr_assert_eq(frcnn_json_null(&json), 0);
	cr_assert_eq(frcnn_json_next_key(&json, &key), 0);
	cr_assert_eq(json.depth, 0);
	cr_assert_eq(frcnn_json_finish(&json), 0);
	cr_assert_eq(frcnn_json_peek(&json), FRCNN_JSON_END);
	cr_assert_str_eq(err.message, "");
	frcnn_json_close(&json);
}

Test(json, other_types_are_named)
{
	struct frcnn_error err;
	struct frcnn_json json;
	struct frcnn_span span;
	double number;
	int64_t integer;
	bool truth;
	frcnn_json_open(&json, " 12.5", 5, &err);
	cr_assert_eq(frcnn_json_string(&json, &span), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "column 2: expected a string, found a number");
	cr_assert_eq(frcnn_json_bool(&json, &truth), FRCNN_EFORMAT);
	cr_assert_eq(frcnn_json_null(&json), FRCNN_EFORMAT);
	cr_assert_eq(frcnn_json_enter_array(&json), FRCNN_EFORMAT);
	cr_assert_eq(frcnn_json_enter_object(&json), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "column 2: expected an object, found a number");
	cr_assert_eq(frcnn_json_int64(&json, &integer), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "column 2: 12.5 is not an integer");
	/* Nothing was taken by all that. */
	cr_assert(frcnn_json_double(&json, &number) == 0 && number == 12.5);
	frcnn_json_close(&json);

	frcnn_json_open(&json, "[1e999,9223372036854775808,null]", 32, &err);
	json.first_line = 7;
	frcnn_json_enter_array(&json);
	frcnn_json_next_element(&json);
	cr_assert_eq(frcnn_json_double(&json, &number), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "line 7 column 2: 1e999 is out of range");
	cr_assert_eq(frcnn_json_number(&json, &span), 0);
	cr_assert(frcnn_span_is(span, "1e999"));
	frcnn_json_next_element(&json);
	cr_assert_eq(frcnn_json_int64(&json, &integer), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "line 7 column 8: 9223372036854775808 does not fit 64 bits");
	frcnn_json_skip(&json, NULL);
	frcnn_json_next_element(&json);
	cr_assert_eq(frcnn_json_double(&json, &number), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "line 7 column 28: expected a number, found null");
	frcnn_json_close(&json);
}

Test(json, writes)
{
	struct frcnn_buffer out = {0};
	struct frcnn_json_writer w = {.out = &out};
	frcnn_json_begin_object(&w);
	frcnn_json_key(&w, "id");
	frcnn_json_put_int64(&w, INT64_MIN);
	frcnn_json_key(&w, "na\"me");
	frcnn_json_put_string(&w, "a\\b\"\n\x01\x7f\0\xc3\xa9/", 11);
	frcnn_json_key(&w, "list");
	frcnn_json_begin_array(&w);
	frcnn_json_put_float(&w, 0.1f);
	frcnn_json_put_double(&w, 0.1 + 0.2);
	frcnn_json_begin_array(&w);
	frcnn_json_end_array(&w);
	frcnn_json_begin_object(&w);
	frcnn_json_end_object(&w);
	frcnn_json_put_bool(&w, true);
	frcnn_json_put_bool(&w, false);
	frcnn_json_put_raw(&w, "null", 4);
	frcnn_json_end_array(&w);
	frcnn_json_end_object(&w);
	cr_assert_not(out.failed);
	cr_assert_str_eq(out.data,
			 "{\"id\":-9223372036854775808,\"na\\\"me\":\"a\\\\b\\\"\\n\\u0001\x7f\\u0000\xc3\xa9/\","
			 "\"list\":[0.1,0.30000000000000004,[],{},true,false,null]}");
	cr_assert_null(judge(out.data, out.size, false));
	frcnn_buffer_free(&out);
}
