#include "detect/detect.h"

#include <math.h>

enum { SAMPLES = FRCNN_ROI_SIZE * FRCNN_ROI_SAMPLES, LANES = 16 };

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

/* A sample's place along one axis: the cells on both sides and their weights. */
struct sample {
	bool inside;
	int low, high;
	float low_weight, high_weight;
};

/* All samples of a RoI along an axis of size cells. Samples outside [-1, size] count as zero. */
static void place_samples(float start, float end, int size, struct sample samples[SAMPLES])
{
	float extent = end - start;
	if (!(extent >= 1.0f)) /* at least one cell */
		extent = 1.0f;
	float bin = extent / (float)FRCNN_ROI_SIZE;
	for (int p = 0; p < FRCNN_ROI_SIZE; p++) {
		for (int i = 0; i < FRCNN_ROI_SAMPLES; i++) {
			struct sample *sample = &samples[p * FRCNN_ROI_SAMPLES + i];
			float at = start + (float)p * bin + ((float)i + 0.5f) * bin / (float)FRCNN_ROI_SAMPLES;
			sample->inside = at >= -1.0f && at <= (float)size;
			if (!sample->inside)
				continue;
			if (at <= 0.0f)
				at = 0.0f;
			int low = (int)at;
			if (low >= size - 1) {
				sample->low = sample->high = size - 1;
				at = (float)(size - 1);
			} else {
				sample->low = low;
				sample->high = low + 1;
			}
			sample->high_weight = at - (float)sample->low;
			sample->low_weight = 1.0f - sample->high_weight;
		}
	}
}

/* out = (or +=) the weighted sum of four cells, channel by channel. */
static void add_sample(const float *restrict a, const float *restrict b, const float *restrict c,
		       const float *restrict d, const float weight[4], bool first, int channels, float *restrict out)
{
	float wa = weight[0], wb = weight[1], wc = weight[2], wd = weight[3];
	int i = 0;
	if (first) {
		for (; i + LANES <= channels; i += LANES)
			for (int j = i; j < i + LANES; j++)
				out[j] = wa * a[j] + wb * b[j] + wc * c[j] + wd * d[j];
		for (; i < channels; i++)
			out[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
		return;
	}
	for (; i + LANES <= channels; i += LANES)
		for (int j = i; j < i + LANES; j++)
			out[j] += wa * a[j] + wb * b[j] + wc * c[j] + wd * d[j];
	for (; i < channels; i++)
		out[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

static void scale_channels(float *out, float factor, int channels)
{
	int i = 0;
	for (; i + LANES <= channels; i += LANES)
		for (int j = i; j < i + LANES; j++)
			out[j] *= factor;
	for (; i < channels; i++)
		out[i] *= factor;
}

static void align_roi(const struct frcnn_feature *feature, const float *box, int channels, float *out)
{
	struct sample rows[SAMPLES], columns[SAMPLES];
	float scale = feature->scale;
	size_t pixel = (size_t)channels, line = (size_t)feature->width * pixel;
	place_samples(box[1] * scale, box[3] * scale, feature->height, rows);
	place_samples(box[0] * scale, box[2] * scale, feature->width, columns);

	for (int bin = 0; bin < FRCNN_ROI_SIZE * FRCNN_ROI_SIZE; bin++, out += pixel) {
		bool first = true;
		for (int i = 0; i < FRCNN_ROI_SAMPLES * FRCNN_ROI_SAMPLES; i++) {
			const struct sample *y =
			    &rows[bin / FRCNN_ROI_SIZE * FRCNN_ROI_SAMPLES + i / FRCNN_ROI_SAMPLES];
			const struct sample *x =
			    &columns[bin % FRCNN_ROI_SIZE * FRCNN_ROI_SAMPLES + i % FRCNN_ROI_SAMPLES];
			if (!y->inside || !x->inside)
				continue;
			const float *low = feature->data + (size_t)y->low * line,
				    *high = feature->data + (size_t)y->high * line;
			size_t left = (size_t)x->low * pixel, right = (size_t)x->high * pixel;
			float weight[4] = {y->low_weight * x->low_weight, y->low_weight * x->high_weight,
					   y->high_weight * x->low_weight, y->high_weight * x->high_weight};
			add_sample(low + left, low + right, high + left, high + right, weight, first, channels, out);
			first = false;
		}
		if (first)
			memset(out, 0, pixel * sizeof(*out));
		else
			scale_channels(out, 1.0f / (FRCNN_ROI_SAMPLES * FRCNN_ROI_SAMPLES), channels);
	}
}

int frcnn_roi_align(struct frcnn_pool *pool, const struct frcnn_feature *features, int nfeatures, int channels,
		    const float *boxes, size_t count, struct frcnn_workspace *workspace, float *out,
		    struct frcnn_error *err)
{
	return frcnn_roi_each(pool, align_roi, features, nfeatures, channels, boxes, count, workspace, out, err);
}
