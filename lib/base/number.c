/*
 * Numbers to text and back, exactly, and never by the process's locale: the text that goes through the C library
 * is digits and an exponent, without the one character (the decimal point) that a locale can change.
 */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------- */

enum {
	/* More significant digits than a midpoint of two doubles can have (767): further ones only matter as
	 * "not all zero". */
	KEPT_DIGITS = 800,
	EXPONENT_LIMIT = 100000
};

/* The powers of ten that a double holds exactly. */
static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
				1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { MAX_POWER = FRCNN_COUNT(POWERS) - 1 };
static const uint64_t EXACT_INTEGER = UINT64_C(1) << 53;

/* A scanned number: its value is +-(mantissa * 10^exponent) when few, else look at the text again. */
struct decimal {
	bool negative;
	bool few; /* at most 19 significant digits: all are in mantissa */
	uint64_t mantissa;
	int64_t exponent;
	const char *digits, *digits_end; /* digits and at most one point, leading zeros off */
	size_t significant;              /* digits there, trailing zeros included */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* [+-] digits [. digits] [e [+-] digits], a digit on at least one side of the point. */
static bool scan(const char *text, size_t size, struct decimal *out)
{
	const char *at = text, *end = text + size;
	*out = (struct decimal){0};
	if (at < end && (*at == '-' || *at == '+'))
		out->negative = *at++ == '-';

	bool any = false, point = false;
	int64_t fraction = 0; /* digits behind the point */
	uint64_t mantissa = 0;
	size_t significant = 0;
	out->digits = at;
	for (; at < end; at++) {
		if (is_digit(*at)) {
			any = true;
			fraction += point;
			if (significant == 0 && *at == '0') {
				out->digits = at + 1;
				continue;
			}
			if (++significant <= 19)
				mantissa = mantissa * 10 + (uint64_t)(*at - '0');
		} else if (*at == '.' && !point) {
			point = true;
		} else {
			break;
		}
	}
	out->digits_end = at;
	if (!any)
		return false;

	int64_t exponent = 0;
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		bool minus = false;
		if (at < end && (*at == '-' || *at == '+'))
			minus = *at++ == '-';
		if (at == end)
			return false;
		for (; at < end && is_digit(*at); at++) {
			/* Stops growing far beyond any text's length in digits. */
			if (exponent < INT64_C(1000000000000000))
				exponent = exponent * 10 + (*at - '0');
		}
		exponent = minus ? -exponent : exponent;
	}
	if (at != end)
		return false;
	out->few = significant <= 19;
	out->mantissa = mantissa;
	out->significant = significant;
	out->exponent = exponent - fraction;
	return true;
}

/* One rounding suffices when mantissa and power are exact (Clinger 1990, "How to read floating point numbers
 * accurately"). */
static bool quick_double(uint64_t mantissa, int64_t exponent, double *out)
{
	if (mantissa > EXACT_INTEGER || exponent < -MAX_POWER || exponent > MAX_POWER)
		return false;
	double value = (double)mantissa;
	*out = exponent < 0 ? value / POWERS[-exponent] : value * POWERS[exponent];
	return true;
}

#ifdef __SIZEOF_INT128__
/* mantissa / 10^places by one division of 128 bits by 64: a quotient of at least 63 bits, whose rest tells which side
 * of a midpoint the value lies on. */
static bool divided_double(uint64_t mantissa, int64_t places, double *out)
{
	static const uint64_t ten_to[] = {1,
					  10,
					  100,
					  1000,
					  10000,
					  100000,
					  1000000,
					  10000000,
					  100000000,
					  1000000000,
					  10000000000,
					  100000000000,
					  1000000000000,
					  10000000000000,
					  100000000000000,
					  1000000000000000,
					  10000000000000000,
					  100000000000000000,
					  1000000000000000000,
					  UINT64_C(10000000000000000000)};

	if (mantissa == 0 || places < 0 || places >= (int64_t)FRCNN_COUNT(ten_to))
		return false;
	int up = __builtin_clzll(mantissa), down = __builtin_clzll(ten_to[places]);
	uint64_t divisor = ten_to[places] << down;
	__extension__ unsigned __int128 dividend = (unsigned __int128)(mantissa << up) << 63;
	uint64_t quotient = (uint64_t)(dividend / divisor);
	bool rest = dividend % divisor != 0;
	/* The quotient has 63 or 64 bits: keep 53 and round to nearest, ties to even. */
	int drop = 64 - __builtin_clzll(quotient) - 53;
	uint64_t kept = quotient >> drop, half = UINT64_C(1) << (drop - 1), tail = quotient & (half * 2 - 1);
	if (tail > half || (tail == half && (rest || (kept & 1))))
		kept++;
	*out = ldexp((double)kept, drop - 63 + down - up);
	return true;
}
#else
static bool divided_double(uint64_t mantissa, int64_t places, double *out)
{
	(void)mantissa, (void)places, (void)out;
	return false;
}
#endif

bool frcnn_decimal_to_double(uint64_t mantissa, int64_t exponent, double *out)
{
	return quick_double(mantissa, exponent, out) || divided_double(mantissa, -exponent, out);
}

/* Rounding to double first does no harm unless it lands on the midpoint of two floats: then the side on which the
 * true value lies is lost (not so with integers below 2^53, which are exact). What quick_double gives is 0 or within
 * float's normal range, where midpoints end in a one and 28 zeros. */
static bool quick_float(uint64_t mantissa, int64_t exponent, float *out)
{
	double value;
	if (!quick_double(mantissa, exponent, &value))
		return false;
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	bool exact = exponent >= 0 && value <= (double)EXACT_INTEGER;
	if (!exact && (bits & 0x1fffffff) == 0x10000000)
		return false;
	*out = (float)value;
	return true;
}

/* The number as DIGITSeEXPONENT, with no point in it, for strtod and strtof. */
static void plain_text(const struct decimal *d, char out[KEPT_DIGITS + 32])
{
	size_t n = 0;
	bool more = false;
	for (const char *at = d->digits; at < d->digits_end; at++) {
		if (*at == '.')
			continue;
		if (n < KEPT_DIGITS)
			out[n++] = *at;
		else if (*at != '0')
			more = true;
	}
	int64_t exponent = d->exponent + (int64_t)(d->significant - n);
	if (more) {
		out[n++] = '1';
		exponent--;
	}
	if (n == 0) {
		out[n++] = '0';
		exponent = 0;
	}
	if (exponent > EXPONENT_LIMIT)
		exponent = EXPONENT_LIMIT;
	if (exponent < -EXPONENT_LIMIT)
		exponent = -EXPONENT_LIMIT;
	snprintf(out + n, 32, "e%d", (int)exponent);
}

int frcnn_parse_double(const char *text, size_t size, double *out)
{
	struct decimal d;
	if (!scan(text, size, &d))
		return FRCNN_EINVAL;
	double value;
	if (!d.few || !frcnn_decimal_to_double(d.mantissa, d.exponent, &value)) {
		char plain[KEPT_DIGITS + 32];
		plain_text(&d, plain);
		value = strtod(plain, NULL);
		if (isinf(value))
			return FRCNN_ELIMIT;
	}
	*out = d.negative ? -value : value;
	return 0;
}

int frcnn_parse_float(const char *text, size_t size, float *out)
{
	struct decimal d;
	if (!scan(text, size, &d))
		return FRCNN_EINVAL;
	float value;
	if (!d.few || !quick_float(d.mantissa, d.exponent, &value)) {
		char plain[KEPT_DIGITS + 32];
		plain_text(&d, plain);
		value = strtof(plain, NULL);
		if (isinf(value))
			return FRCNN_ELIMIT;
	}
	*out = d.negative ? -value : value;
	return 0;
}

int frcnn_parse_int64(const char *text, size_t size, int64_t *out)
{
	const char *at = text, *end = text + size;
	bool negative = false;
	if (at < end && (*at == '-' || *at == '+'))
		negative = *at++ == '-';
	if (at == end)
		return FRCNN_EINVAL;
	int64_t value = 0;
	bool fits = true;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return FRCNN_EINVAL;
		/* Counted downwards: INT64_MIN has no positive counterpart. */
		if (fits &&
		    (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *at - '0', &value)))
			fits = false;
	}
	if (!fits || (!negative && value == INT64_MIN))
		return FRCNN_ELIMIT;
	*out = negative ? value : -value;
	return 0;
}

int frcnn_parse_exact_int64(const char *text, size_t size, int64_t *out)
{
	struct decimal d;
	if (!scan(text, size, &d))
		return FRCNN_EINVAL;
	/* Zeros at the end belong to the exponent: 1.00 is 1e0, 1200 is 12e2. */
	const char *last = d.digits_end;
	size_t significant = d.significant;
	int64_t exponent = d.exponent;
	for (; significant > 0 && (last[-1] == '0' || last[-1] == '.'); last--) {
		if (last[-1] == '0') {
			significant--;
			exponent++;
		}
	}
	if (significant == 0) {
		*out = 0;
		return 0;
	}
	if (exponent < 0)
		return FRCNN_EINVAL;
	if (significant > 19)
		return FRCNN_ELIMIT;
	uint64_t value = 0, limit = d.negative ? UINT64_C(1) << 63 : INT64_MAX;
	for (const char *at = d.digits; at < last; at++) {
		if (*at != '.')
			value = value * 10 + (uint64_t)(*at - '0');
	}
	for (; exponent > 0; exponent--) {
		if (__builtin_mul_overflow(value, 10, &value))
			return FRCNN_ELIMIT;
	}
	if (value > limit)
		return FRCNN_ELIMIT;
	*out = d.negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

/* Lays digits d1 d2 ... dn (value d1.d2...dn * 10^exponent) out as JSON: plain between 1e-4 and 1e16, else with an
 * exponent of two digits at least, as Python does. */
static size_t lay_out(bool negative, const char *digits, size_t n, int exponent, char *out)
{
	char *at = out;
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (negative)
		*at++ = '-';
	if (exponent < -4 || exponent >= 16) {
		*at++ = digits[0];
		if (n > 1) {
			*at++ = '.';
			memcpy(at, digits + 1, n - 1);
			at += n - 1;
		}
		at += snprintf(at, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
	} else if (exponent < 0) {
		*at++ = '0';
		*at++ = '.';
		for (int i = -1; i > exponent; i--)
			*at++ = '0';
		memcpy(at, digits, n);
		at += n;
	} else {
		size_t whole = (size_t)exponent + 1;
		for (size_t i = 0; i < whole; i++)
			*at++ = i < n ? digits[i] : '0';
		if (n > whole) {
			*at++ = '.';
			memcpy(at, digits + whole, n - whole);
			at += n - whole;
		}
	}
	*at = '\0';
	return (size_t)(at - out);
}

/* floor(log10(value)) for 1e-22 < value < 1e22; one too low or high next to a power of ten does no harm, since what
 * comes of it is read back. */
static int decimal_exponent(double value)
{
	int binary;
	frexp(value, &binary);
	int e = (int)floor((binary - 1) * 0.30102999566398120);
	double above = e + 1 < 0 ? value * POWERS[-(e + 1)] : value / POWERS[e + 1];
	return above >= 1 ? e + 1 : e;
}

/* The integer of count digits nearest to value, whose first digit stands at 10^exponent; *scale: the power of ten that
 * its last digit stands at. 0 when out of the range where all this is exact enough. */
static uint64_t leading_digits(double value, int exponent, int count, int *scale)
{
	*scale = exponent - (count - 1);
	if (*scale < -MAX_POWER || *scale > MAX_POWER)
		return 0;
	double digits = *scale < 0 ? value * POWERS[-*scale] : value / POWERS[*scale];
	return (uint64_t)llrint(digits);
}

static size_t lay_out_integer(bool negative, uint64_t digits, int scale, char *out)
{
	char text[24];
	size_t n = 0;
	for (; digits; digits /= 10)
		text[sizeof(text) - ++n] = (char)('0' + digits % 10);
	return lay_out(negative, text + sizeof(text) - n, n, scale + (int)n - 1, out);
}

/* value > 0 to count digits, correctly rounded, by the C library: "d.ddde-xx", whatever stands for the point. */
static void library_digits(double value, int count, char *digits, int *exponent)
{
	char text[64];
	snprintf(text, sizeof(text), "%.*e", count - 1, value);
	char *e = strchr(text, 'e');
	int n = 0;
	for (char *at = text; at < e && n < count; at++) {
		if (is_digit(*at))
			digits[n++] = *at;
	}
	int power = 0;
	for (char *at = e + 2; *at; at++)
		power = power * 10 + (*at - '0');
	*exponent = e[1] == '-' ? -power : power;
}

/* JSON has no word for these; callers are asked not to come here. */
static size_t not_finite(char *out)
{
	memcpy(out, "null", 5);
	return 4;
}

/*
 * A float32 that some text of up to 6 digits reads back to shows that text when printed to 6 digits (FLT_DIG), so
 * counts 6 .. 9 are all there is to try; a double likewise from 15 to 17. Subnormals alone have fewer digits than
 * that to give, and are tried from 1.
 */
size_t frcnn_format_float(float value, char *out)
{
	bool negative = signbit(value);
	float size = fabsf(value);
	if (!isfinite(value))
		return not_finite(out);
	if (size == 0)
		return lay_out(negative, "0", 1, 0, out);

	if (size > 1e-12f && size < 0x1p53f) {
		int exponent = decimal_exponent(size);
		for (int count = 6; count <= 9; count++) {
			int scale;
			float back;
			uint64_t digits = leading_digits(size, exponent, count, &scale);
			if (digits && quick_float(digits, scale, &back) && back == size)
				return lay_out_integer(negative, digits, scale, out);
		}
	}
	char digits[24];
	int exponent = 0;
	for (int count = size < 0x1p-126f ? 1 : 6; count <= 9; count++) {
		library_digits(size, count, digits, &exponent);
		char plain[48];
		snprintf(plain, sizeof(plain), "%.*se%d", count, digits, exponent - (count - 1));
		if (strtof(plain, NULL) == size || count == 9)
			return lay_out(negative, digits, (size_t)count, exponent, out);
	}
	return 0; /* not reached */
}

size_t frcnn_format_double(double value, char *out)
{
	bool negative = signbit(value);
	double size = fabs(value);
	if (!isfinite(value))
		return not_finite(out);
	if (size == 0)
		return lay_out(negative, "0", 1, 0, out);

	bool quick = size > 1e-7 && size < 1e21;
	if (quick) {
		int scale;
		double back;
		uint64_t digits = leading_digits(size, decimal_exponent(size), 15, &scale);
		if (digits && quick_double(digits, scale, &back) && back == size)
			return lay_out_integer(negative, digits, scale, out);
	}
	char digits[24];
	int exponent = 0;
	for (int count = size < 0x1p-1022 ? 1 : quick ? 16 : 15; count <= 17; count++) {
		library_digits(size, count, digits, &exponent);
		char plain[48];
		snprintf(plain, sizeof(plain), "%.*se%d", count, digits, exponent - (count - 1));
		if (count == 17 || strtod(plain, NULL) == size)
			return lay_out(negative, digits, (size_t)count, exponent, out);
	}
	return 0; /* not reached */
}

/* ---- 16-bit floats --------------------------------------------------------- */

static float float_from_bits(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
float frcnn_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
	if (exponent == 0) {
		float size = (float)fraction * 0x1p-24f;
		return sign ? -size : size;
	}
	if (exponent == 31)
		return float_from_bits(sign | 0x7f800000 | fraction << 13);
	return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t frcnn_float_to_half(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	bits &= 0x7fffffff;
	if (bits > 0x7f800000) /* NaN, kept quiet */
		return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
	if (bits >= 0x477ff000) /* 65520 and above round to infinity */
		return sign | 0x7c00;
	if (bits < 0x38800000) { /* below 2^-14: a multiple of 2^-24; adding 0.5 makes that the last place */
		float shifted = float_from_bits(bits) + 0.5f;
		uint32_t rounded;
		memcpy(&rounded, &shifted, sizeof(rounded));
		return (uint16_t)(sign | (rounded - 0x3f000000));
	}
	/* Half of the last place that stays, less one where that place is even; a carry moves the exponent up rightly.
	 */
	bits += 0xfff + (bits >> 13 & 1);
	return (uint16_t)(sign | ((bits >> 13) - (112 << 10)));
}

float frcnn_bfloat16_to_float(uint16_t value)
{
	return float_from_bits((uint32_t)value << 16);
}
