#include "json/json.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 1000 };

/* ---- errors -------------------------------------------------------------- */

static size_t count_lines(const char *from, const char *to, const char **last_line)
{
	size_t lines = 0;
	*last_line = from;
	for (const char *at = from; (at = memchr(at, '\n', (size_t)(to - at))); lines++)
		*last_line = ++at;
	return lines;
}

int frcnn_json_fail(struct frcnn_json *json, const char *format, ...)
{
	if (!json->err)
		return FRCNN_EFORMAT;
	char message[sizeof(json->err->message)];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	const char *line;
	size_t number = json->first_line + count_lines(json->text, json->at, &line);
	size_t column = 1; /* in characters: bytes inside a UTF-8 sequence do not count */
	for (const char *at = line; at < json->at; at++)
		column += ((unsigned char)*at & 0xc0) != 0x80;
	const char *newline = memchr(json->text, '\n', (size_t)(json->end - json->text));
	bool several = newline && newline + 1 < json->end;
	if (several || json->first_line != 1)
		return frcnn_fail(json->err, FRCNN_EFORMAT, "line %zu column %zu: %s", number, column, message);
	return frcnn_fail(json->err, FRCNN_EFORMAT, "column %zu: %s", column, message);
}

/* In UTF-16, with or without a BOM, one of the first two bytes of any JSON text is foreign to UTF-8 JSON. */
static bool is_utf16(const struct frcnn_json *json)
{
	if (json->end - json->text < 2)
		return false;
	unsigned char a = (unsigned char)json->text[0], b = (unsigned char)json->text[1];
	return (a == 0xfe && b == 0xff) || (a == 0xff && b == 0xfe) || (a == 0) != (b == 0);
}

/* What stands at the cursor is not what must come there. */
static int unexpected(struct frcnn_json *json, const char *expected)
{
	if (is_utf16(json))
		return frcnn_json_fail(json, "UTF-16 text; JSON must be UTF-8");
	if (json->at == json->end)
		return frcnn_json_fail(json, "expected %s, found the end of the text", expected);
	size_t length = frcnn_utf8_length(json->at, (size_t)(json->end - json->at));
	if (length == 0)
		return frcnn_json_fail(json, "invalid UTF-8");
	if (*json->at == '\0')
		return frcnn_json_fail(json, "expected %s, found a NUL byte", expected);
	return frcnn_json_fail(json, "expected %s, found '%.*s'", expected, (int)length, json->at);
}

/* ---- tokens ---------------------------------------------------------------- */

static void skip_space(struct frcnn_json *json)
{
	const char *at = json->at, *end = json->end;
	while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	json->at = at;
}

/* The character at the cursor, or 0 at the end (a NUL in the text is nowhere expected either). */
static char next_char(struct frcnn_json *json)
{
	skip_space(json);
	return json->at < json->end ? *json->at : '\0';
}

static bool is_digit(const char *at, const char *end)
{
	return at < end && *at >= '0' && *at <= '9';
}

/* The 16 bits of \uXXXX (at: its backslash), or -1. */
static int escaped_unit(const char *at, const char *end)
{
	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	int unit = 0;
	for (int i = 2; i < 6; i++) {
		char c = at[i];
		if (c >= '0' && c <= '9')
			unit = unit * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			unit = unit * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			unit = unit * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return unit;
}

static bool is_high_surrogate(int unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Passes the escape at the cursor. */
static int pass_escape(struct frcnn_json *json)
{
	const char *at = json->at, *end = json->end;
	if (end - at >= 2 && at[1] != '\0' && strchr("\"\\/bfnrt", at[1])) {
		json->at += 2;
		return 0;
	}
	int unit = escaped_unit(at, end);
	if (unit < 0)
		return frcnn_json_fail(json, "invalid escape in a string");
	json->at += 6;
	if (is_high_surrogate(unit) && is_low_surrogate(escaped_unit(json->at, end))) {
		json->at += 6;
	} else if (is_high_surrogate(unit) || is_low_surrogate(unit)) {
		json->at = at;
		return frcnn_json_fail(json, "unpaired surrogate in a string");
	}
	return 0;
}

/* Passes a string, opening quote to closing quote, checking all of it. */
static int pass_string(struct frcnn_json *json, bool *escaped)
{
	*escaped = false;
	json->at++;
	for (;;) {
		const char *at = json->at, *end = json->end;
		while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
			at++;
		json->at = at;
		if (at == end)
			return frcnn_json_fail(json, "the text ends inside a string");
		if (*at == '"') {
			json->at++;
			return 0;
		}
		if (*at == '\\') {
			*escaped = true;
			int status = pass_escape(json);
			if (status < 0)
				return status;
		} else if ((unsigned char)*at < 0x20) {
			return is_utf16(json) ? frcnn_json_fail(json, "UTF-16 text; JSON must be UTF-8")
					      : frcnn_json_fail(json, "control character in a string");
		} else {
			size_t length = frcnn_utf8_length(at, (size_t)(end - at));
			if (length == 0)
				return frcnn_json_fail(json, "invalid UTF-8");
			json->at += length;
		}
	}
}

/* The same, decoded: in place where nothing is escaped, else in scratch. */
static int take_string(struct frcnn_json *json, struct frcnn_span *out)
{
	const char *from = json->at + 1;
	bool escaped;
	int status = pass_string(json, &escaped);
	if (status < 0)
		return status;
	const char *to = json->at - 1;
	*out = (struct frcnn_span){from, (size_t)(to - from)};
	if (!escaped)
		return 0;

	struct frcnn_buffer *scratch = &json->scratch;
	frcnn_buffer_clear(scratch);
	for (const char *at = from; at < to;) {
		const char *backslash = memchr(at, '\\', (size_t)(to - at));
		if (!backslash)
			backslash = to;
		frcnn_buffer_add(scratch, at, (size_t)(backslash - at));
		at = backslash;
		if (at == to)
			break;
		if (at[1] != 'u') {
			static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
			const char *letter = strchr(letters, at[1]);
			frcnn_buffer_putc(scratch, letter ? values[letter - letters] : at[1]);
			at += 2;
			continue;
		}
		unsigned c = (unsigned)escaped_unit(at, to);
		at += 6;
		if (is_high_surrogate((int)c)) {
			c = 0x10000 + ((c - 0xd800) << 10) + ((unsigned)escaped_unit(at, to) - 0xdc00);
			at += 6;
		}
		if (c < 0x80) {
			frcnn_buffer_putc(scratch, (char)c);
		} else {
			int tails = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
			static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
			frcnn_buffer_putc(scratch, (char)(lead[tails] | c >> 6 * tails));
			while (tails-- > 0)
				frcnn_buffer_putc(scratch, (char)(0x80 | (c >> 6 * tails & 0x3f)));
		}
	}
	if (scratch->failed)
		return frcnn_fail_nomem(json->err);
	*out = (struct frcnn_span){scratch->data, scratch->size};
	return 0;
}

static bool at_word(const struct frcnn_json *json, const char *word)
{
	size_t size = strlen(word);
	return (size_t)(json->end - json->at) >= size && memcmp(json->at, word, size) == 0;
}

static bool pass_word(struct frcnn_json *json, const char *word)
{
	if (!at_word(json, word))
		return false;
	json->at += strlen(word);
	return true;
}

static int pass_number(struct frcnn_json *json)
{
	const char *at = json->at, *end = json->end;
	if (json->python_nan &&
	    (pass_word(json, "NaN") || pass_word(json, "Infinity") || pass_word(json, "-Infinity"))) {
		json->nan = at;
		return 0;
	}
	at += *at == '-';
	if (at < end && *at == '0')
		at++;
	else if (is_digit(at, end))
		while (is_digit(at, end))
			at++;
	else
		goto malformed;
	if (at < end && *at == '.') {
		at++;
		if (!is_digit(at, end))
			goto malformed;
		while (is_digit(at, end))
			at++;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		if (!is_digit(at, end))
			goto malformed;
		while (is_digit(at, end))
			at++;
	}
	json->at = at;
	/* 01 and 0x1: named for what they are, not for the comma that is missing. */
	if (!is_digit(at, end) && !(at < end && ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z')))
		return 0;
malformed:
	json->at = at;
	return unexpected(json, "a JSON number");
}

static int pass_literal(struct frcnn_json *json, const char *word)
{
	return pass_word(json, word) ? 0 : unexpected(json, "a value");
}

static enum frcnn_json_type type_of(char c, bool python_nan)
{
	switch (c) {
	case '{':
		return FRCNN_JSON_OBJECT;
	case '[':
		return FRCNN_JSON_ARRAY;
	case '"':
		return FRCNN_JSON_STRING;
	case 't':
		return FRCNN_JSON_TRUE;
	case 'f':
		return FRCNN_JSON_FALSE;
	case 'n':
		return FRCNN_JSON_NULL;
	case 'N':
	case 'I':
		return python_nan ? FRCNN_JSON_NUMBER : FRCNN_JSON_BAD;
	default:
		return c == '-' || (c >= '0' && c <= '9') ? FRCNN_JSON_NUMBER : FRCNN_JSON_BAD;
	}
}

/* Passes the value at the cursor, of a type that is neither object nor array. */
static int pass_scalar(struct frcnn_json *json, enum frcnn_json_type type)
{
	bool escaped;
	switch (type) {
	case FRCNN_JSON_STRING:
		return pass_string(json, &escaped);
	case FRCNN_JSON_NUMBER:
		return pass_number(json);
	case FRCNN_JSON_TRUE:
		return pass_literal(json, "true");
	case FRCNN_JSON_FALSE:
		return pass_literal(json, "false");
	case FRCNN_JSON_NULL:
		return pass_literal(json, "null");
	default:
		if (at_word(json, "NaN") || at_word(json, "Infinity"))
			return frcnn_json_fail(json, "NaN and Infinity are not JSON");
		return unexpected(json, "a value");
	}
}

/* ---- the cursor -------------------------------------------------------------- */

void frcnn_json_open(struct frcnn_json *json, const char *text, size_t size, struct frcnn_error *err)
{
	*json = (struct frcnn_json){.text = size ? text : "", .err = err, .first_line = 1};
	json->at = json->text;
	json->end = json->text + size;
	pass_word(json, "\xef\xbb\xbf");
	json->text = json->at;
}

void frcnn_json_close(struct frcnn_json *json)
{
	if (!json)
		return;
	frcnn_buffer_free(&json->scratch);
	*json = (struct frcnn_json){0};
}

enum frcnn_json_type frcnn_json_peek(struct frcnn_json *json)
{
	char c = next_char(json);
	if (json->at == json->end)
		return FRCNN_JSON_END;
	enum frcnn_json_type type = type_of(c, json->python_nan);
	if (type == FRCNN_JSON_BAD)
		pass_scalar(json, type); /* for its message */
	return type;
}

/* The value at the cursor must be of that type. */
static int expect(struct frcnn_json *json, enum frcnn_json_type wanted)
{
	static const char *const names[] = {
	    [FRCNN_JSON_OBJECT] = "an object", [FRCNN_JSON_ARRAY] = "an array", [FRCNN_JSON_STRING] = "a string",
	    [FRCNN_JSON_NUMBER] = "a number",  [FRCNN_JSON_TRUE] = "true",      [FRCNN_JSON_FALSE] = "false",
	    [FRCNN_JSON_NULL] = "null",
	};
	enum frcnn_json_type found = frcnn_json_peek(json);
	if (found == wanted)
		return 0;
	if (found == FRCNN_JSON_BAD)
		return FRCNN_EFORMAT;
	if (found == FRCNN_JSON_END)
		return unexpected(json, names[wanted]);
	return frcnn_json_fail(json, "expected %s, found %s", names[wanted], names[found]);
}

static int enter(struct frcnn_json *json, enum frcnn_json_type type)
{
	int status = expect(json, type);
	if (status < 0)
		return status;
	if (json->depth >= MAX_DEPTH)
		return frcnn_json_fail(json, "nested deeper than %d", MAX_DEPTH);
	json->depth++;
	json->at++;
	json->first = true;
	return 0;
}

/* Before the next member: 1 and the comma passed, or 0 and the container left. */
static int next_member(struct frcnn_json *json, char closing, const char *expected)
{
	char c = next_char(json);
	bool first = json->first;
	json->first = false;
	if (c == closing) {
		json->at++;
		json->depth--;
		return 0;
	}
	if (first)
		return 1;
	if (c != ',')
		return unexpected(json, expected);
	json->at++;
	return 1;
}

int frcnn_json_enter_object(struct frcnn_json *json)
{
	return enter(json, FRCNN_JSON_OBJECT);
}

int frcnn_json_enter_array(struct frcnn_json *json)
{
	return enter(json, FRCNN_JSON_ARRAY);
}

static int pass_colon(struct frcnn_json *json)
{
	if (next_char(json) != ':')
		return unexpected(json, "':'");
	json->at++;
	return 0;
}

int frcnn_json_next_key(struct frcnn_json *json, struct frcnn_span *key)
{
	int more = next_member(json, '}', "',' or '}'");
	if (more <= 0)
		return more;
	if (next_char(json) != '"')
		return unexpected(json, "a key in quotes");
	int status = take_string(json, key);
	if (status == 0)
		status = pass_colon(json);
	return status < 0 ? status : 1;
}

int frcnn_json_next_element(struct frcnn_json *json)
{
	return next_member(json, ']', "',' or ']'");
}

int frcnn_json_string(struct frcnn_json *json, struct frcnn_span *out)
{
	int status = expect(json, FRCNN_JSON_STRING);
	return status < 0 ? status : take_string(json, out);
}

int frcnn_json_number(struct frcnn_json *json, struct frcnn_span *out)
{
	int status = expect(json, FRCNN_JSON_NUMBER);
	if (status < 0)
		return status;
	const char *from = json->at;
	status = pass_number(json);
	*out = (struct frcnn_span){from, (size_t)(json->at - from)};
	return status;
}

/* Fails at the number that was just read. */
static int bad_number(struct frcnn_json *json, struct frcnn_span number, const char *what)
{
	json->at = number.data;
	int shown = number.size > 40 ? 40 : (int)number.size;
	return frcnn_json_fail(json, "%.*s%s %s", shown, number.data, shown < (int)number.size ? "..." : "", what);
}

int frcnn_json_double(struct frcnn_json *json, double *out)
{
	struct frcnn_span number;
	int status = frcnn_json_number(json, &number);
	if (status < 0)
		return status;
	char last = number.data[number.size - 1];
	if (last == 'N')
		*out = (double)NAN;
	else if (last == 'y')
		*out = number.data[0] == '-' ? -(double)INFINITY : (double)INFINITY;
	else if (frcnn_parse_double(number.data, number.size, out) < 0)
		return bad_number(json, number, "is out of range");
	return 0;
}

int frcnn_json_int64(struct frcnn_json *json, int64_t *out)
{
	struct frcnn_span number;
	int status = frcnn_json_number(json, &number);
	if (status < 0)
		return status;
	status = frcnn_parse_exact_int64(number.data, number.size, out);
	if (status == FRCNN_ELIMIT)
		return bad_number(json, number, "does not fit 64 bits");
	if (status < 0)
		return bad_number(json, number, "is not an integer");
	return 0;
}

int frcnn_json_bool(struct frcnn_json *json, bool *out)
{
	enum frcnn_json_type type = frcnn_json_peek(json);
	if (type != FRCNN_JSON_TRUE && type != FRCNN_JSON_FALSE)
		return expect(json, FRCNN_JSON_TRUE);
	*out = type == FRCNN_JSON_TRUE;
	return pass_scalar(json, type);
}

int frcnn_json_null(struct frcnn_json *json)
{
	int status = expect(json, FRCNN_JSON_NULL);
	return status < 0 ? status : pass_scalar(json, FRCNN_JSON_NULL);
}

/* Passes the key at the cursor and the colon behind it. */
static int pass_key(struct frcnn_json *json)
{
	if (next_char(json) != '"')
		return unexpected(json, "a key in quotes");
	bool escaped;
	int status = pass_string(json, &escaped);
	return status < 0 ? status : pass_colon(json);
}

/* A string's end: behind its closing quote. */
static const char *behind_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		at += *at == '\\';
	return at < end ? at + 1 : end;
}

/* A value's end in text whose syntax is known to be good: only brackets and quotes matter. */
static const char *behind_value(const char *at, const char *end)
{
	size_t open = 0;

	if (at < end && *at != '{' && *at != '[' && *at != '"') {
		while (at < end && *at != ',' && *at != ']' && *at != '}' && (unsigned char)*at > ' ')
			at++;
		return at;
	}
	do {
		while (at < end && *at != '"' && (*at | 0x20) != '{' && (*at | 0x20) != '}')
			at++;
		if (at == end)
			return end;
		if (*at == '"') {
			at = behind_string(at, end);
			continue;
		}
		/* '[' and '{' differ in one bit, and so do ']' and '}' */
		open = (*at | 0x20) == '{' ? open + 1 : open - 1;
		at++;
	} while (open > 0);
	return at;
}

/* Decimal numbers one after the other in an array, as long as each is followed by a comma: ends before one that is not,
 * or is not plain. Polygons are most of a COCO file. */
static const char *pass_plain_numbers(const char *at, const char *end)
{
	for (const char *start = at;; start = at) {
		at += at < end && *at == '-';
		if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
			return start;
		while (is_digit(at, end))
			at++;
		if (at < end && *at == '.') {
			at++;
			if (!is_digit(at, end))
				return start;
			while (is_digit(at, end))
				at++;
		}
		if (at == end || *at != ',')
			return start;
		at++;
		at += at < end && *at == ' ';
	}
}

int frcnn_json_skip(struct frcnn_json *json, struct frcnn_span *raw)
{
	char closing[MAX_DEPTH]; /* of the containers that the skipped value has open */
	int open = 0, status = 0;
	skip_space(json);
	const char *from = json->at;

	if (json->checked) {
		json->at = behind_value(from, json->end);
		goto out;
	}
	for (;;) {
		/* A value stands here. */
		if (open > 0 && closing[open - 1] == ']')
			json->at = pass_plain_numbers(json->at, json->end);
		char c = next_char(json);
		if (c == '{' || c == '[') {
			if (json->depth + open >= MAX_DEPTH)
				return frcnn_json_fail(json, "nested deeper than %d", MAX_DEPTH);
			closing[open++] = c == '{' ? '}' : ']';
			json->at++;
			if (next_char(json) != closing[open - 1]) {
				if (c == '{' && (status = pass_key(json)) < 0)
					return status;
				continue;
			}
			/* Empty: closed below. */
		} else if ((status = pass_scalar(json, type_of(c, json->python_nan))) < 0) {
			return status;
		}
		/* Behind a value, or before the end of an empty container. */
		while (open > 0 && next_char(json) == closing[open - 1]) {
			json->at++;
			open--;
		}
		if (open == 0)
			break;
		if (json->at == json->end || *json->at != ',')
			return unexpected(json, closing[open - 1] == '}' ? "',' or '}'" : "',' or ']'");
		json->at++;
		if (closing[open - 1] == '}' && (status = pass_key(json)) < 0)
			return status;
	}
out:
	if (raw)
		*raw = (struct frcnn_span){from, (size_t)(json->at - from)};
	return 0;
}

int frcnn_json_finish(struct frcnn_json *json)
{
	skip_space(json);
	return json->at == json->end ? 0 : unexpected(json, "the end of the text");
}
