/* Values and filters in bytes: scales, and what rounding leaves. */
#include "quant/quant.h"

#include <math.h>

#define SMALLEST 1e-20 /* of the scales that a model file may hold */
#define LARGEST  1e20

static double bounded(double scale)
{
	return scale < SMALLEST ? SMALLEST : scale > LARGEST ? LARGEST : scale;
}

struct frcnn_quant frcnn_quant_of_range(double lo, double hi)
{
	struct frcnn_quant quant = {1, 0};
	double zero;

	lo = lo < 0 ? lo : 0;
	hi = hi > 0 ? hi : 0;
	if (!(hi > lo))
		return quant;
	quant.scale = (float)bounded((hi - lo) / 255);
	zero = rint(-lo / quant.scale);
	quant.zero = zero > 255 ? 255 : (int)zero;
	return quant;
}

float frcnn_quant_value(struct frcnn_quant quant, float x)
{
	float q = rintf(x * (1 / quant.scale)) + (float)quant.zero;

	q = q > 0 ? q : 0;
	q = q < 255 ? q : 255;
	return (q - (float)quant.zero) * quant.scale;
}

void frcnn_quant_values(struct frcnn_quant quant, const float *x, size_t count, float *out)
{
	for (size_t i = 0; i < count; i++)
		out[i] = frcnn_quant_value(quant, x[i]);
}

double frcnn_quant_decibel(double signal, double noise)
{
	if (!(noise > 0))
		return 200;
	if (!(signal > 0))
		return 0;
	return fmin(200, 10 * log10(signal / noise));
}

/* ---- filters ---------------------------------------------------------------------- */

#define LANES 16

/* Half to even for |x| < 2^22, in a form that compilers make vectors of. */
static float round_even(float x)
{
	const float big = 12582912; /* 1.5 * 2^23: what is added to it has no fraction left */

	return (x + big) - big;
}

static float clamped(float x, float limit)
{
	x = round_even(x);
	x = x < limit ? x : limit;
	return x > -limit ? x : -limit;
}

static double filter_error(const float *weight, const float *importance, size_t count, float scale, float limit)
{
	float lanes[LANES] = {0}, inverse = 1 / scale;
	double sum = 0;
	size_t i = 0;

	for (; i + LANES <= count; i += LANES) {
		for (int k = 0; k < LANES; k++) {
			float e = weight[i + k] - clamped(weight[i + k] * inverse, limit) * scale;

			lanes[k] += e * e * (importance ? importance[i + k] : 1);
		}
	}
	for (; i < count; i++) {
		float e = weight[i] - clamped(weight[i] * inverse, limit) * scale;

		lanes[i % LANES] += e * e * (importance ? importance[i] : 1);
	}
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

float frcnn_quant_filter(const float *weight, const float *importance, size_t count, int limit, int8_t *out)
{
	float most = 0, scale, best_scale, inverse;
	double best, centre = 1, error;

	for (size_t i = 0; i < count; i++)
		most = fabsf(weight[i]) > most ? fabsf(weight[i]) : most;
	if (!(most > 0)) {
		memset(out, 0, count);
		return 1;
	}
	best_scale = (float)bounded((double)most / limit);
	best = filter_error(weight, importance, count, best_scale, (float)limit);
	/* Coarsely, then finely around the best. */
	for (int pass = 0; pass < 2; pass++) {
		double from = centre;

		for (int i = pass ? -2 : 1; i <= (pass ? 2 : 20); i++) {
			double fraction = pass ? from + 0.01 * i : 1 - 0.03 * i;

			if (fraction > 1 || (pass && i == 0))
				continue;
			scale = (float)bounded((double)most * fraction / limit);
			error = filter_error(weight, importance, count, scale, (float)limit);
			if (error < best) {
				best = error;
				best_scale = scale;
				centre = fraction;
			}
		}
	}
	inverse = 1 / best_scale;
	for (size_t i = 0; i < count; i++)
		out[i] = (int8_t)clamped(weight[i] * inverse, (float)limit);
	return best_scale;
}
