#include "detect/detect.h"

#include <math.h>

enum { MOST_TAPS = 2 * FRCNN_ROI_SAMPLES };

void frcnn_roi_levels(const float *boxes, size_t count, const float *scales, int nscales, uint8_t *levels)
{
	/* Scale 1/4 is level 2. Scales are powers of two, so the logarithm is exact. */
	float lowest = -log2f(scales[0]), highest = -log2f(scales[nscales - 1]);
	for (size_t i = 0; i < count; i++) {
		const float *box = boxes + 4 * i;
		float side = sqrtf((box[2] - box[0]) * (box[3] - box[1]));
		float level = floorf(4.0f + log2f(side / 224.0f) + 1e-6f);
		if (!(level >= lowest)) /* NaN too: a box of negative area */
			level = lowest;
		if (level > highest)
			level = highest;
		int from_first = (int)(level - lowest);
		levels[i] = (uint8_t)(from_first < nscales ? from_first : nscales - 1);
	}
}

/* What a bin takes from one axis: cells that its samples lie between, each once, with the sum of its weights. None:
 * all its samples lie outside. */
struct taps {
	int count;
	int cell[MOST_TAPS];
	float weight[MOST_TAPS];
};

static void add_tap(struct taps *taps, int cell, float weight)
{
	int i = 0;
	while (i < taps->count && taps->cell[i] != cell)
		i++;
	if (i == taps->count) {
		taps->count++;
		taps->cell[i] = cell;
		taps->weight[i] = 0.0f;
	}
	taps->weight[i] += weight;
}

/* All bins of a RoI along an axis of size cells. Samples outside [-1, size] count as zero. */
static void place_bins(float start, float end, int size, struct taps bins[FRCNN_ROI_SIZE])
{
	float extent = end - start;
	if (!(extent >= 1.0f)) /* at least one cell */
		extent = 1.0f;
	float bin = extent / (float)FRCNN_ROI_SIZE;
	for (int p = 0; p < FRCNN_ROI_SIZE; p++) {
		bins[p].count = 0;
		for (int i = 0; i < FRCNN_ROI_SAMPLES; i++) {
			float at = start + (float)p * bin + ((float)i + 0.5f) * bin / (float)FRCNN_ROI_SAMPLES;
			if (!(at >= -1.0f && at <= (float)size))
				continue;
			if (at <= 0.0f)
				at = 0.0f;
			int low = (int)at;
			if (low >= size - 1) {
				add_tap(&bins[p], size - 1, 1.0f);
				continue;
			}
			float weight = at - (float)low;
			add_tap(&bins[p], low, 1.0f - weight);
			add_tap(&bins[p], low + 1, weight);
		}
	}
}

static void align_roi(const struct frcnn_kernels *kernels, const struct frcnn_feature *feature, const float *box,
		      int channels, float *out)
{
	const float share = 1.0f / (FRCNN_ROI_SAMPLES * FRCNN_ROI_SAMPLES); /* of a sample; a power of two */
	struct taps rows[FRCNN_ROI_SIZE], columns[FRCNN_ROI_SIZE];
	float scale = feature->scale;
	size_t pixel = (size_t)channels;
	place_bins(box[1] * scale, box[3] * scale, feature->height, rows);
	place_bins(box[0] * scale, box[2] * scale, feature->width, columns);

	for (int bin = 0; bin < FRCNN_ROI_SIZE * FRCNN_ROI_SIZE; bin++, out += pixel) {
		const struct taps *y = &rows[bin / FRCNN_ROI_SIZE], *x = &columns[bin % FRCNN_ROI_SIZE];
		const float *cells[MOST_TAPS * MOST_TAPS];
		const uint8_t *bytes[MOST_TAPS * MOST_TAPS];
		float weights[MOST_TAPS * MOST_TAPS];
		size_t count = 0;
		for (int i = 0; i < y->count; i++) {
			size_t row = (size_t)y->cell[i] * (size_t)feature->width;
			for (int j = 0; j < x->count; j++, count++) {
				size_t cell = (row + (size_t)x->cell[j]) * pixel;
				if (feature->bytes)
					bytes[count] = feature->bytes + cell;
				else
					cells[count] = feature->data + cell;
				weights[count] = y->weight[i] * x->weight[j] * share;
			}
		}
		if (feature->bytes)
			frcnn_kernels_int8_get(kernels)->weigh(out, bytes, feature->quant, weights, count, pixel);
		else
			kernels->weigh(out, cells, weights, count, pixel);
	}
}

int frcnn_roi_align(struct frcnn_pool *pool, const struct frcnn_feature *features, int nfeatures, int channels,
		    const float *boxes, size_t count, struct frcnn_workspace *workspace, struct frcnn_roi_sink out,
		    struct frcnn_error *err)
{
	return frcnn_roi_each(pool, align_roi, features, nfeatures, channels, boxes, count, workspace, out, err);
}
