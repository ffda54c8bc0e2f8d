#include "detect/detect.h"

#include <float.h>
#include <math.h>

enum { LANES = 16 };

/* A range of cells, first included, last not. */
struct range {
	int first, last;
};

/* To the nearest cell, halves away from zero. Cells far outside the map (and NaN) all pool nothing, so the number may
 * be limited to what an int holds with room to add to. */
static int round_cell(float at)
{
	if (!(at > -1e8f))
		return -100000000;
	return at < 1e8f ? (int)roundf(at) : 100000000;
}

static int clamp_cell(int at, int size)
{
	if (at < 0)
		return 0;
	return at < size ? at : size;
}

/* The bins of a RoI along an axis of size cells. */
static void place_bins(float start, float end, int size, struct range bins[FRCNN_ROI_SIZE])
{
	int first = round_cell(start), extent = round_cell(end) - first + 1;
	float bin = (float)(extent > 1 ? extent : 1) / (float)FRCNN_ROI_SIZE;
	for (int p = 0; p < FRCNN_ROI_SIZE; p++) {
		bins[p].first = clamp_cell((int)floorf((float)p * bin) + first, size);
		bins[p].last = clamp_cell((int)ceilf((float)(p + 1) * bin) + first, size);
	}
}

static void take_maximum(const float *restrict cell, int channels, float *restrict out)
{
	int i = 0;
	for (; i + LANES <= channels; i += LANES)
		for (int j = i; j < i + LANES; j++)
			out[j] = cell[j] > out[j] ? cell[j] : out[j];
	for (; i < channels; i++)
		out[i] = cell[i] > out[i] ? cell[i] : out[i];
}

static void take_maximum_of_bytes(const uint8_t *restrict cell, struct frcnn_quant quant, int channels,
				  float *restrict out)
{
	for (int i = 0; i < channels; i++) {
		float value = (float)(cell[i] - quant.zero) * quant.scale;
		out[i] = value > out[i] ? value : out[i];
	}
}

static void pool_roi(const struct frcnn_kernels *kernels, const struct frcnn_feature *feature, const float *box,
		     int channels, float *out)
{
	(void)kernels; /* which let NaN through */
	struct range rows[FRCNN_ROI_SIZE], columns[FRCNN_ROI_SIZE];
	float scale = feature->scale;
	size_t pixel = (size_t)channels;
	place_bins(box[1] * scale, box[3] * scale, feature->height, rows);
	place_bins(box[0] * scale, box[2] * scale, feature->width, columns);

	for (int bin = 0; bin < FRCNN_ROI_SIZE * FRCNN_ROI_SIZE; bin++, out += pixel) {
		struct range row = rows[bin / FRCNN_ROI_SIZE], column = columns[bin % FRCNN_ROI_SIZE];
		bool empty = row.last <= row.first || column.last <= column.first;
		for (int c = 0; c < channels; c++)
			out[c] = empty ? 0.0f : -FLT_MAX;
		for (int y = row.first; y < row.last; y++) {
			for (int x = column.first; x < column.last; x++) {
				size_t cell = ((size_t)y * (size_t)feature->width + (size_t)x) * pixel;
				if (feature->bytes)
					take_maximum_of_bytes(feature->bytes + cell, feature->quant, channels, out);
				else
					take_maximum(feature->data + cell, channels, out);
			}
		}
	}
}

int frcnn_roi_pool(struct frcnn_pool *pool, const struct frcnn_feature *features, int nfeatures, int channels,
		   const float *boxes, size_t count, struct frcnn_workspace *workspace, struct frcnn_roi_sink out,
		   struct frcnn_error *err)
{
	return frcnn_roi_each(pool, pool_roi, features, nfeatures, channels, boxes, count, workspace, out, err);
}
