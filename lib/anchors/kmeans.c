/* Clusters of box shapes: k-means++ and Lloyd's steps by 1 - IoU of boxes that share their centre. */
#include "anchors/anchors.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 40, MOST_SHAPES = 8192 };

uint64_t frcnn_anchor_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

double frcnn_anchor_uniform(uint64_t *state)
{
	return (double)(frcnn_anchor_random(state) >> 11) * 0x1p-53;
}

static double distance(const double *shape, const double *centre)
{
	double inter = fmin(shape[0], centre[0]) * fmin(shape[1], centre[1]);

	return 1 - inter / (shape[0] * shape[1] + centre[0] * centre[1] - inter);
}

/* Which shape has a share of the total that x falls on. */
static size_t draw(const double *nearest, size_t count, double x)
{
	for (size_t i = 0; i + 1 < count; i++) {
		x -= nearest[i];
		if (x < 0)
			return i;
	}
	return count - 1;
}

static void choose_centres(const double *shapes, size_t count, int k, uint64_t *state, double *nearest, double *centres)
{
	size_t first = (size_t)(frcnn_anchor_uniform(state) * (double)count);

	memcpy(centres, shapes + 2 * first, 2 * sizeof *centres);
	for (size_t i = 0; i < count; i++)
		nearest[i] = INFINITY;
	for (int c = 1; c < k; c++) {
		double total = 0;

		for (size_t i = 0; i < count; i++) {
			double d = distance(shapes + 2 * i, centres + 2 * (c - 1));

			nearest[i] = fmin(nearest[i], d * d);
			total += nearest[i];
		}
		memcpy(centres + 2 * c, shapes + 2 * draw(nearest, count, frcnn_anchor_uniform(state) * total),
		       2 * sizeof *centres);
	}
}

/* One step: each centre becomes the mean of what is nearest to it; false when nothing moved. */
static bool move_centres(const double *shapes, size_t count, int k, double *sums, double *centres, double *weights)
{
	bool moved = false;

	memset(sums, 0, 2 * (size_t)k * sizeof *sums);
	memset(weights, 0, (size_t)k * sizeof *weights);
	for (size_t i = 0; i < count; i++) {
		double least = INFINITY;
		int best = 0;

		for (int c = 0; c < k; c++) {
			double d = distance(shapes + 2 * i, centres + 2 * c);

			if (d < least) {
				least = d;
				best = c;
			}
		}
		sums[2 * best] += shapes[2 * i];
		sums[2 * best + 1] += shapes[2 * i + 1];
		weights[best]++;
	}
	for (int c = 0; c < k; c++) {
		for (int axis = 0; axis < 2 && weights[c] > 0; axis++) {
			double mean = sums[2 * c + axis] / weights[c];

			moved |= mean != centres[2 * c + axis];
			centres[2 * c + axis] = mean;
		}
	}
	return moved;
}

int frcnn_anchor_kmeans(const float *boxes, size_t count, int k, uint64_t seed, double *centres, double *weights,
			struct frcnn_error *err)
{
	size_t n = count < MOST_SHAPES ? count : MOST_SHAPES;
	double *shapes = frcnn_calloc(n, 2 * sizeof *shapes), *nearest = frcnn_calloc(n, sizeof *nearest);
	double *sums = frcnn_calloc((size_t)k, 2 * sizeof *sums);
	int status = 0;

	if (!shapes || !nearest || !sums) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < n; i++) { /* of more, evenly spread ones */
		const float *box = boxes + 4 * (size_t)((double)i / (double)n * (double)count);

		shapes[2 * i] = (double)box[2] - box[0];
		shapes[2 * i + 1] = (double)box[3] - box[1];
	}
	choose_centres(shapes, n, k, &seed, nearest, centres);
	for (int round = 0; round < ROUNDS; round++)
		if (!move_centres(shapes, n, k, sums, centres, weights))
			break;
out:
	free(shapes);
	free(nearest);
	free(sums);
	return status;
}
