/* base: errors, memory, buffers, numbers, text, digest. */
#include "base/base.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <unistd.h>

/* ---- errors ------------------------------------------------------------- */

Test(error, message_is_one_printable_line)
{
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_fail(&err, FRCNN_EFORMAT, "a\nb\x1b[0m \xc2\x9b \xff d\xc3\xa9j\xc3\xa0"), FRCNN_EFORMAT);
	cr_assert_eq(err.status, FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "a\\x0Ab\\x1B[0m \\xC2\\x9B \\xFF d\xc3\xa9j\xc3\xa0");
	cr_assert_eq(frcnn_fail(NULL, FRCNN_EINVAL, "nobody listens"), FRCNN_EINVAL);
}

Test(error, own_message_may_be_an_argument)
{
	struct frcnn_error err = {0};
	frcnn_fail(&err, FRCNN_EIO, "inner");
	frcnn_fail(&err, FRCNN_EIO, "outer: %s", err.message);
	cr_assert_str_eq(err.message, "outer: inner");
}

Test(error, long_messages_are_cut_between_characters)
{
	static char text[4096];
	for (size_t lead = 0; lead < 8; lead++) {
		memset(text, 'a', lead);
		for (size_t i = lead; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		struct frcnn_error err;
		memset(&err, 'x', sizeof(err));
		frcnn_fail(&err, FRCNN_EIO, "%s", text);
		size_t size = strlen(err.message);
		cr_assert(size < sizeof(err.message) && size > 1000);
		cr_assert_str_eq(err.message + size - 3, "...");
		for (size_t i = 0; i < size;) {
			size_t n = frcnn_utf8_length(err.message + i, size - i);
			cr_assert_neq(n, 0);
			i += n;
		}
		/* Control characters grow fourfold. */
		memset(text, 1, 900);
		text[900] = '\0';
		frcnn_fail(&err, FRCNN_EIO, "%s", text);
		size = strlen(err.message);
		cr_assert(size < sizeof(err.message) && size % 4 == 3);
	}
}

/* ---- memory and buffers ---------------------------------------------------- */

Test(error, a_long_path_leaves_room_for_the_reason)
{
	struct frcnn_error err;
	char path[5001];
	memset(path, 'd', sizeof(path));
	memcpy(path, "first/", 6);
	memcpy(path + sizeof(path) - 6, "/last", 6);
	cr_assert_eq(frcnn_fail_errno(&err, path, ENAMETOOLONG), FRCNN_EIO);
	cr_assert_eq(strncmp(err.message, "first/ddd", 9), 0);
	cr_assert_not_null(strstr(err.message, "ddd...ddd"));
	cr_assert_not_null(strstr(err.message, "/last: file name too long"));
	cr_assert_eq(frcnn_fail_errno(&err, "", ENOENT), FRCNN_EIO);
	cr_assert_str_eq(err.message, "\"\": no such file or directory");
}

Test(memory, overflow_is_refused)
{
	size_t product;
	cr_assert_not(frcnn_mul_size(SIZE_MAX / 2 + 1, 2, &product));
	cr_assert(frcnn_mul_size(SIZE_MAX / 2, 2, &product) && product == SIZE_MAX - 1);
	cr_assert_null(frcnn_calloc(SIZE_MAX / 2, 3));
	cr_assert_null(frcnn_realloc(NULL, SIZE_MAX / 2, 3));
	cr_assert_null(frcnn_alloc_aligned(SIZE_MAX / 2, 3));
	cr_assert_null(frcnn_alloc_aligned(SIZE_MAX, 1));
	void *data = NULL;
	size_t capacity = 0;
	cr_assert_eq(frcnn_grow(&data, &capacity, SIZE_MAX / 4, 8), FRCNN_ENOMEM);
	cr_assert(data == NULL && capacity == 0);
}

Test(memory, nothing_is_something)
{
	void *a = frcnn_calloc(0, 8), *b = frcnn_alloc_aligned(0, 8), *c = frcnn_realloc(NULL, 0, 8);
	cr_assert(a && b && c);
	free(a);
	free(b);
	free(c);
}

Test(memory, aligned_and_growing)
{
	for (size_t n = 1; n < 200; n += 7) {
		void *block = frcnn_alloc_aligned(n, 3);
		cr_assert(block && (uintptr_t)block % 64 == 0);
		memset(block, 1, n * 3);
		free(block);
	}
	int *numbers = NULL;
	size_t capacity = 0;
	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(frcnn_grow((void **)&numbers, &capacity, (size_t)i + 1, sizeof(*numbers)), 0);
		numbers[i] = i;
	}
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(numbers[i], i);
	free(numbers);
}

Test(buffer, adds_and_terminates)
{
	struct frcnn_buffer buffer = {0};
	frcnn_buffer_puts(&buffer, "ab");
	frcnn_buffer_putc(&buffer, 'c');
	frcnn_buffer_printf(&buffer, "%d-%s", 12, "x");
	cr_assert_str_eq(buffer.data, "abc12-x");
	cr_assert_eq(buffer.size, 7);
	frcnn_buffer_clear(&buffer);
	cr_assert_str_eq(buffer.data, "");
	for (int i = 0; i < 1000; i++)
		frcnn_buffer_printf(&buffer, "%04d", i);
	cr_assert_eq(buffer.size, 4000);
	cr_assert_arr_eq(buffer.data + 4 * 777, "0777", 4);
	cr_assert_eq(buffer.data[4000], '\0');
	frcnn_buffer_add(&buffer, buffer.data, SIZE_MAX - 10);
	cr_assert(buffer.failed);
	frcnn_buffer_puts(&buffer, "more");
	cr_assert_eq(buffer.size, 4000);
	frcnn_buffer_free(&buffer);
	frcnn_buffer_free(&buffer);
	frcnn_buffer_free(NULL);
	cr_assert(frcnn_span_is((struct frcnn_span){"bbox:", 4}, "bbox"));
	cr_assert_not(frcnn_span_is((struct frcnn_span){"bbox", 3}, "bbox"));
}

/* ---- numbers -------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static double double_of(uint64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static float float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Text of these must read as the C library reads it in the C locale, to the last bit. */
static void check_reading(const char *text)
{
	double expected = strtod(text, NULL), value = -1;
	int status = frcnn_parse_double(text, strlen(text), &value);
	if (isinf(expected))
		cr_assert_eq(status, FRCNN_ELIMIT, "%s", text);
	else
		cr_assert(status == 0 && memcmp(&value, &expected, sizeof(value)) == 0, "%s: %a, not %a", text, value,
			  expected);
	float expected_float = strtof(text, NULL), value_float = -1;
	status = frcnn_parse_float(text, strlen(text), &value_float);
	if (isinf(expected_float))
		cr_assert_eq(status, FRCNN_ELIMIT, "%s", text);
	else
		cr_assert(status == 0 && memcmp(&value_float, &expected_float, sizeof(value_float)) == 0,
			  "%s: %a, not %a", text, (double)value_float, (double)expected_float);
}

Test(number, reads_as_strtod_does)
{
	static const char *const texts[] = {
	    "0",
	    "-0",
	    "0.0",
	    "-0.000",
	    "1",
	    "+1",
	    ".5",
	    "5.",
	    "-.5e1",
	    "1e0",
	    "1E+2",
	    "1e-2",
	    "9007199254740993",
	    "9007199254740992",
	    "9007199254740991",
	    "9007199254740993e0",
	    "0.1",
	    "0.2",
	    "0.30000000000000004",
	    "1e22",
	    "1e23",
	    "1e-22",
	    "1e-23",
	    "8.5e15",
	    "123456789012345678901234567890",
	    "0.000000000000000000000000000000000000001",
	    "1e308",
	    "1.7976931348623157e308",
	    "1.7976931348623159e308",
	    "1.8e308",
	    "1e309",
	    "1e400",
	    "1e999999999999999999999",
	    "4.9e-324",
	    "2.4703282292062327e-324",
	    "2.4703282292062328e-324",
	    "2.2250738585072014e-308",
	    "2.2250738585072011e-308",
	    "1e-400",
	    "1e-99999999999999999999999",
	    "0e999999999999999999999",
	    "3.4028234e38",
	    "3.4028235e38",
	    "3.4028235677973366e38",
	    "3.4028235677973365e38",
	    "3.4028236e38",
	    "1.17549435e-38",
	    "1e-45",
	    "7e-46",
	    "7.006492321624085e-46",
	    "7.0064923216240854e-46",
	    "16777217",
	    "16777219",
	    "16777217.0000001",
	    "16777216.9999999",
	    /* Midpoints of floats seen through a double: rounding twice goes wrong here. */
	    "1.00000017881393432617187499",
	    "1.00000017881393432617187500",
	    "1.00000017881393432617187501",
	    "1.000000178813934326171875",
	    "0.100000001490116119384765625",
	    "0.1000000052154064178466796875",
	    "0.10000000521540641784667968749999999999",
	    "0.10000000521540641784667968750000000001",
	    "000000012",
	    "00.5e3",
	};
	for (size_t i = 0; i < FRCNN_COUNT(texts); i++)
		check_reading(texts[i]);
}

Test(number, reads_as_strtod_does_at_random)
{
	char text[128];
	for (int i = 0; i < 200000; i++) {
		uint64_t r = random_bits();
		switch (i % 6) {
		case 0: /* any finite double, 17 digits */
			if (!isfinite(double_of(r)))
				continue;
			snprintf(text, sizeof(text), "%.17g", double_of(r));
			break;
		case 1: /* coordinates */
			snprintf(text, sizeof(text), "%.*f", (int)(r % 12), (double)(r >> 20 & 0xfffff) / 777.0);
			break;
		case 2: /* the exact midpoint of two floats, or just beside it */
		{
			float f = float_of((uint32_t)(r % 0x7f000000));
			double middle = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
			snprintf(text, sizeof(text), i % 4 == 0 ? "%.60e" : "%.17g", middle);
			break;
		}
		case 3: /* many digits, any exponent */
			snprintf(text, sizeof(text), "%llu%016llu.%llue%d", (unsigned long long)r,
				 (unsigned long long)(random_bits() % 10000000000000000u),
				 (unsigned long long)random_bits(), (int)(r % 700) - 360);
			break;
		case 4: /* up to 19 digits, small exponents: the quick path and its edges */
			snprintf(text, sizeof(text), "%llue%d", (unsigned long long)(r >> (r & 63)),
				 (int)(random_bits() % 60) - 30);
			break;
		default: /* floats by their shortest digits */
			if (!isfinite(float_of((uint32_t)r)))
				continue;
			snprintf(text, sizeof(text), "%.9g", (double)float_of((uint32_t)r));
		}
		check_reading(text);
	}
}

Test(number, thousands_of_digits)
{
	static char text[5000];
	/* 1 + 2^-53 is a midpoint of doubles: what follows it hundreds of digits later decides. */
	const char *middle = "1.00000000000000011102230246251565404236316680908203125";
	size_t n = strlen(middle);
	memset(text, '0', sizeof(text));
	memcpy(text, middle, n);
	double value;
	cr_assert_eq(frcnn_parse_double(text, sizeof(text), &value), 0);
	cr_assert_eq(value, 1.0);
	text[sizeof(text) - 1] = '1';
	cr_assert_eq(frcnn_parse_double(text, sizeof(text), &value), 0);
	cr_assert_eq(value, 1 + DBL_EPSILON);
	/* Zeros and an exponent that cancel each other. */
	memset(text, '0', sizeof(text));
	memcpy(text, "0.", 2);
	memcpy(text + 4000, "75e3999", 8);
	cr_assert_eq(frcnn_parse_double(text, 4007, &value), 0);
	cr_assert_eq(value, 7.5);
}

Test(number, refuses_what_is_no_number)
{
	static const char *const texts[] = {"",    " 1",   "1 ",  "-",   "+",     ".",       "-.",   "e5",
					    ".e5", "1e",   "1e+", "1e-", "1,5",   "1.2.3",   "0x10", "inf",
					    "nan", "Inf",  "NaN", "--1", "1e5.0", "1_0",     "1e5x", "1f",
					    "١",   "1e 5", "1\n", "\t1", "+-1",   "infinity"};
	for (size_t i = 0; i < FRCNN_COUNT(texts); i++) {
		double d;
		float f;
		int64_t n;
		size_t size = strlen(texts[i]);
		cr_assert_eq(frcnn_parse_double(texts[i], size, &d), FRCNN_EINVAL, "\"%s\"", texts[i]);
		cr_assert_eq(frcnn_parse_float(texts[i], size, &f), FRCNN_EINVAL, "\"%s\"", texts[i]);
		cr_assert_eq(frcnn_parse_int64(texts[i], size, &n), FRCNN_EINVAL, "\"%s\"", texts[i]);
		cr_assert_eq(frcnn_parse_exact_int64(texts[i], size, &n), FRCNN_EINVAL, "\"%s\"", texts[i]);
	}
	double d;
	cr_assert_eq(frcnn_parse_double("1\0", 2, &d), FRCNN_EINVAL);
}

Test(number, int64_is_exact)
{
	static const struct {
		const char *text;
		int strict, exact;
		int64_t value;
	} cases[] = {
	    {"0", 0, 0, 0},
	    {"-0", 0, 0, 0},
	    {"+7", 0, 0, 7},
	    {"007", 0, 0, 7},
	    {"9007199254740993", 0, 0, 9007199254740993},
	    {"9223372036854775807", 0, 0, INT64_MAX},
	    {"9223372036854775808", FRCNN_ELIMIT, FRCNN_ELIMIT, 0},
	    {"-9223372036854775808", 0, 0, INT64_MIN},
	    {"-9223372036854775809", FRCNN_ELIMIT, FRCNN_ELIMIT, 0},
	    {"18446744073709551616", FRCNN_ELIMIT, FRCNN_ELIMIT, 0},
	    {"99999999999999999999999999", FRCNN_ELIMIT, FRCNN_ELIMIT, 0},
	    {"1.0", FRCNN_EINVAL, 0, 1},
	    {"12e2", FRCNN_EINVAL, 0, 1200},
	    {"1.5e1", FRCNN_EINVAL, 0, 15},
	    {"-120e-1", FRCNN_EINVAL, 0, -12},
	    {"0.00", FRCNN_EINVAL, 0, 0},
	    {"0e99999999999999999999", FRCNN_EINVAL, 0, 0},
	    {"1.5", FRCNN_EINVAL, FRCNN_EINVAL, 0},
	    {"1e-1", FRCNN_EINVAL, FRCNN_EINVAL, 0},
	    {"9007199254740993.0", FRCNN_EINVAL, 0, 9007199254740993},
	    {"9007199254740993.0000000000000000000000001", FRCNN_EINVAL, FRCNN_EINVAL, 0},
	    {"9223372036854775807.000", FRCNN_EINVAL, 0, INT64_MAX},
	    {"-9223372036854775808.0", FRCNN_EINVAL, 0, INT64_MIN},
	    {"922337203685477580.8e1", FRCNN_EINVAL, FRCNN_ELIMIT, 0},
	    {"1e18", FRCNN_EINVAL, 0, 1000000000000000000},
	    {"1e19", FRCNN_EINVAL, FRCNN_ELIMIT, 0},
	    {"1e999999999999999999", FRCNN_EINVAL, FRCNN_ELIMIT, 0},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		int64_t value = -77;
		size_t size = strlen(cases[i].text);
		cr_assert_eq(frcnn_parse_int64(cases[i].text, size, &value), cases[i].strict, "%s", cases[i].text);
		cr_assert_eq(value, cases[i].strict ? -77 : cases[i].value, "%s", cases[i].text);
		value = -77;
		cr_assert_eq(frcnn_parse_exact_int64(cases[i].text, size, &value), cases[i].exact, "%s", cases[i].text);
		cr_assert_eq(value, cases[i].exact ? -77 : cases[i].value, "%s", cases[i].text);
	}
}

Test(number, writes_what_people_expect)
{
	static const struct {
		float value;
		const char *text;
	} floats[] = {
	    {0, "0"},
	    {-0.0f, "-0"},
	    {1, "1"},
	    {-300, "-300"},
	    {0.1f, "0.1"},
	    {0.998f, "0.998"},
	    {123.456f, "123.456"},
	    {16777216, "16777216"},
	    {1e-7f, "1e-07"},
	    {0.0001f, "0.0001"},
	    {0.00001f, "1e-05"},
	    {1.5e-10f, "1.5e-10"},
	    {FLT_MAX, "3.4028235e+38"},
	    {FLT_MIN, "1.1754944e-38"},
	    {0x1p-149f, "1e-45"},
	    {1e15f, "1000000000000000"},
	    {1e20f, "1e+20"},
	    {639.99994f, "639.99994"},
	    {1.0f / 3, "0.33333334"},
	};
	static const struct {
		double value;
		const char *text;
	} doubles[] = {
	    {0, "0"},
	    {-0.0, "-0"},
	    {0.1, "0.1"},
	    {0.1 + 0.2, "0.30000000000000004"},
	    {1e22, "1e+22"},
	    {1e16, "1e+16"},
	    {123456789012345680, "1.2345678901234568e+17"},
	    {9007199254740992, "9007199254740992"},
	    {5e-324, "5e-324"},
	    {DBL_MAX, "1.7976931348623157e+308"},
	    {DBL_MIN, "2.2250738585072014e-308"},
	    {100, "100"},
	    {-12.5, "-12.5"},
	    {1.0 / 3, "0.3333333333333333"},
	    {1e-5, "1e-05"},
	    {0.05, "0.05"},
	};
	char text[32];
	for (size_t i = 0; i < FRCNN_COUNT(floats); i++) {
		cr_assert_eq(frcnn_format_float(floats[i].value, text), strlen(floats[i].text));
		cr_assert_str_eq(text, floats[i].text);
	}
	for (size_t i = 0; i < FRCNN_COUNT(doubles); i++) {
		cr_assert_eq(frcnn_format_double(doubles[i].value, text), strlen(doubles[i].text));
		cr_assert_str_eq(text, doubles[i].text);
	}
}

static int digits_in(const char *text)
{
	int digits = 0, zeros = 0;
	for (; *text && *text != 'e'; text++) {
		if (*text == '0')
			zeros += digits > 0;
		else if (*text >= '1' && *text <= '9') {
			digits += zeros + 1;
			zeros = 0;
		}
	}
	return digits;
}

static void check_float_writing(float value)
{
	char text[32], naive[64];
	size_t size = frcnn_format_float(value, text);
	cr_assert(size == strlen(text) && size < sizeof(text));
	float back = strtof(text, NULL);
	cr_assert_eq(memcmp(&back, &value, sizeof(value)), 0, "%a written as %s", (double)value, text);
	int precision = 0;
	do
		snprintf(naive, sizeof(naive), "%.*e", precision++, (double)value);
	while (strtof(naive, NULL) != value);
	cr_assert_eq(digits_in(text), digits_in(naive), "%s, but %s does", text, naive);
}

static void check_double_writing(double value)
{
	char text[32], naive[64];
	size_t size = frcnn_format_double(value, text);
	cr_assert(size == strlen(text) && size < sizeof(text));
	double back = strtod(text, NULL);
	cr_assert_eq(memcmp(&back, &value, sizeof(value)), 0, "%a written as %s", value, text);
	int precision = 0;
	do
		snprintf(naive, sizeof(naive), "%.*e", precision++, value);
	while (strtod(naive, NULL) != value);
	cr_assert_eq(digits_in(text), digits_in(naive), "%s, but %s does", text, naive);
}

Test(number, writes_the_fewest_digits_that_read_back)
{
	for (int e = -149; e < 128; e++) {
		check_float_writing(ldexpf(1, e));
		check_float_writing(nextafterf(ldexpf(1, e), 0));
		check_float_writing(nextafterf(ldexpf(1, e), INFINITY));
	}
	for (int e = -1074; e < 1024; e++) {
		check_double_writing(ldexp(1, e));
		check_double_writing(nextafter(ldexp(1, e), 0));
		check_double_writing(-nextafter(ldexp(1, e), 1e308));
	}
	for (int e = -320; e < 309; e++) {
		char text[16];
		snprintf(text, sizeof(text), "1e%d", e);
		double ten = strtod(text, NULL);
		check_double_writing(ten);
		check_double_writing(nextafter(ten, 0));
		check_double_writing(nextafter(ten, 1e308));
		if (e >= -45 && e < 39) {
			check_float_writing((float)ten);
			check_float_writing(nextafterf((float)ten, 0));
			check_float_writing(nextafterf((float)ten, 1e38f));
		}
	}
	for (int i = 0; i < 60000; i++) {
		uint64_t r = random_bits();
		if (isfinite(float_of((uint32_t)r)))
			check_float_writing(float_of((uint32_t)r));
		check_float_writing((float)(r >> 40) / 16777216.0f);
		check_float_writing((float)(r >> 40 & 0xffff) / 64.0f + (float)(r >> 56));
		check_float_writing((float)(r >> 44) / 1000.0f);
		if (isfinite(double_of(r)))
			check_double_writing(double_of(r));
		check_double_writing((double)(r >> 40) / 1000.0);
		check_double_writing((double)(r >> 11) * 0x1p-53);
	}
}

/* A locale that writes 0,5: one that is installed, else made on the spot. */
static bool take_comma_locale(char *folder)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "fr_FR"};
	for (size_t i = 0; i < FRCNN_COUNT(names); i++) {
		if (setlocale(LC_ALL, names[i]))
			return true;
	}
	char command[256];
	if (!mkdtemp(folder))
		return false;
	snprintf(command, sizeof(command), "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
	if (system(command) != 0)
		return false;
	setenv("LOCPATH", folder, 1);
	return setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
}

Test(number, the_locale_changes_nothing)
{
	char folder[] = "/tmp/frcnn-locale-XXXXXX", command[64];
	bool taken = take_comma_locale(folder);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
	if (!taken)
		cr_skip_test("no locale with a decimal comma, and none can be made");
	char text[64];
	snprintf(text, sizeof(text), "%g", 0.5);
	cr_assert_str_eq(text, "0,5");

	double d;
	float f;
	cr_assert(frcnn_parse_double("0.5", 3, &d) == 0 && d == 0.5);
	cr_assert(frcnn_parse_float("0.5", 3, &f) == 0 && f == 0.5f);
	cr_assert_eq(frcnn_parse_double("0,5", 3, &d), FRCNN_EINVAL);
	/* The ways through the C library. */
	cr_assert(frcnn_parse_double("0.30000000000000004", 19, &d) == 0 && d == 0.1 + 0.2);
	cr_assert(frcnn_parse_float("1.000000178813934326171875", 26, &f) == 0 && f == 1.000000238418579f);
	frcnn_format_double(0.1 + 0.2, text);
	cr_assert_str_eq(text, "0.30000000000000004");
	frcnn_format_float(1.25e-30f, text);
	cr_assert_str_eq(text, "1.25e-30");
	frcnn_format_float(0.625f, text);
	cr_assert_str_eq(text, "0.625");
}

static double half_value(unsigned half)
{
	int exponent = half >> 10 & 31, fraction = half & 1023;
	double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
	return half & 0x8000 ? -size : size;
}

Test(number, halves_all_of_them)
{
	for (unsigned half = 0; half < 0x10000; half++) {
		float value = frcnn_half_to_float((uint16_t)half);
		if ((half & 0x7c00) == 0x7c00) {
			cr_assert_eq(isnan(value) != 0, (half & 0x3ff) != 0, "%04x", half);
			if (!isnan(value))
				cr_assert(isinf(value) && (signbit(value) != 0) == (half >> 15), "%04x", half);
			uint16_t back = frcnn_float_to_half(value);
			cr_assert_eq(back, half | (half & 0x3ff ? 0x200 : 0), "%04x: %04x", half, back);
			continue;
		}
		cr_assert(value == half_value(half) && (signbit(value) != 0) == half >> 15, "%04x", half);
		cr_assert_eq(frcnn_float_to_half(value), half, "%04x", half);
		if (half & 0x8000)
			continue;
		/* Around the midpoint to the next: 65536 where the next would be infinity. */
		float next = half == 0x7bff ? 65536 : (float)half_value(half + 1);
		float middle = (value + next) / 2;
		cr_assert_eq(frcnn_float_to_half(nextafterf(middle, 0)), half, "%04x", half);
		cr_assert_eq(frcnn_float_to_half(middle), half & 1 ? half + 1 : half, "%04x", half);
		cr_assert_eq(frcnn_float_to_half(nextafterf(middle, INFINITY)), half + 1, "%04x", half);
		cr_assert_eq(frcnn_float_to_half(-middle), 0x8000 | (half & 1 ? half + 1 : half), "%04x", half);
	}
	cr_assert_eq(frcnn_float_to_half(FLT_MAX), 0x7c00);
	cr_assert_eq(frcnn_float_to_half(-INFINITY), 0xfc00);
	cr_assert_eq(frcnn_float_to_half(FLT_MIN), 0);
	cr_assert_eq(frcnn_bfloat16_to_float(0x3f80), 1.0f);
	cr_assert_eq(frcnn_bfloat16_to_float(0xc049), -3.140625f);
	cr_assert(isnan(frcnn_bfloat16_to_float(0x7fc0)));
}

/* ---- text ------------------------------------------------------------------- */

/* By definition: decode by the lead byte, then demand that encoding again would give the same length. */
static size_t utf8_by_definition(const unsigned char *s, size_t size)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
	if (n == 0 || n > size)
		return 0;
	unsigned c = n == 1 ? s[0] : s[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		c = c << 6 | (s[i] & 63);
	}
	size_t needs = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	return needs != n || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

Test(text, utf8_by_its_definition)
{
	static const unsigned char tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			for (size_t c = 0; c < sizeof(tails); c++)
				for (size_t d = 0; d < sizeof(tails); d++)
					for (size_t size = 1; size <= 4; size++) {
						unsigned char s[4] = {(unsigned char)a, (unsigned char)b, tails[c],
								      tails[d]};
						cr_assert_eq(frcnn_utf8_length((char *)s, size),
							     utf8_by_definition(s, size), "%02x %02x %02x %02x", a, b,
							     tails[c], tails[d]);
					}
}

static void check_escape(const char *bytes, size_t size, const char *expected)
{
	struct frcnn_buffer escaped = {0}, back = {0};
	frcnn_escape_bytes(&escaped, bytes, size);
	cr_assert_str_eq(escaped.data, expected);
	frcnn_unescape_bytes(&back, escaped.data, escaped.size);
	cr_assert_eq(back.size, size);
	cr_assert_eq(memcmp(back.data, bytes, size), 0);
	frcnn_buffer_free(&escaped);
	frcnn_buffer_free(&back);
}

Test(text, file_names_there_and_back)
{
	check_escape("", 0, "");
	check_escape("plain.jpg", 9, "plain.jpg");
	check_escape("d\xc3\xa9j\xc3\xa0", 7, "d\xc3\xa9j\xc3\xa0");
	check_escape("d\xe9j\xe0", 4, "d\\xE9j\\xE0");
	check_escape("a\\x41", 5, "a\\x5Cx41");
	check_escape("a\\x4", 4, "a\\x4");
	check_escape("\\\\xAb", 5, "\\\\x5CxAb");
	check_escape("\\x\xff", 3, "\\x\\xFF");
	check_escape("\\x5Cx41", 7, "\\x5Cx5Cx41");
	/* Every string over these bytes, up to five of them. */
	static const char letters[] = "\\x4F\xff";
	for (size_t size = 1; size <= 5; size++) {
		size_t count = 1;
		for (size_t i = 0; i < size; i++)
			count *= sizeof(letters) - 1;
		for (size_t n = 0; n < count; n++) {
			char name[5];
			size_t rest = n;
			for (size_t i = 0; i < size; i++, rest /= sizeof(letters) - 1)
				name[i] = letters[rest % (sizeof(letters) - 1)];
			struct frcnn_buffer escaped = {0}, back = {0};
			frcnn_escape_bytes(&escaped, name, size);
			frcnn_unescape_bytes(&back, escaped.data, escaped.size);
			cr_assert(back.size == size && memcmp(back.data, name, size) == 0, "%.*s", (int)size, name);
			frcnn_buffer_free(&escaped);
			frcnn_buffer_free(&back);
		}
	}
}

Test(text, printable)
{
	struct frcnn_buffer out = {0};
	frcnn_printable(&out, "a\tb\x7f\0\xff\xc2\x85\xe2\x82\xac", 11);
	cr_assert_str_eq(out.data, "a\\x09b\\x7F\\x00\\xFF\\xC2\\x85\xe2\x82\xac");
	frcnn_buffer_free(&out);
}

Test(text, lines)
{
	static const char *const lines[] = {"a", " a b ", "d\xc3\xb6g", "\xf0\x9f\x98\x80", "\xc2\xa0", "back\\slash"};
	static const char *const others[] = {"",      "a\n",        "a\tb",      "\x1b[1m",
					     "a\x7f", "\xc2\x9b[m", "a\xc2\x80", "bad\xff"};
	for (size_t i = 0; i < FRCNN_COUNT(lines); i++)
		cr_expect(frcnn_is_line(lines[i], strlen(lines[i])), "%zu", i);
	for (size_t i = 0; i < FRCNN_COUNT(others); i++)
		cr_expect(!frcnn_is_line(others[i], strlen(others[i])), "%zu", i);
	cr_expect(!frcnn_is_line("a\0b", 3));
}

/* ---- digest, clock, version ---------------------------------------------------- */

Test(digest, sha256_of_the_standard)
{
	char hex[65];
	cr_assert_eq(frcnn_sha256("abc", 3, hex, NULL), 0);
	cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	cr_assert_eq(frcnn_sha256("", 0, hex, NULL), 0);
	cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

Test(clock, goes_forward)
{
	double before = frcnn_seconds();
	usleep(2000);
	double passed = frcnn_seconds() - before;
	cr_assert(passed >= 0.002 && passed < 60);
}

Test(version, is_the_headers)
{
	cr_assert_str_eq(frcnn_version(), FRCNN_VERSION);
}
