#include "detect/detect.h"

#include <limits.h>
#include <math.h>

/* Where one output row or column comes from: value = low * (1 - weight) + high * weight. */
struct tap {
	int low, high;
	float low_weight, high_weight;
};

enum { BAND = 16, LANES = 16 };

int frcnn_transform_size(int width, int height, int min_size, int max_size, struct frcnn_transform_size *out,
			 struct frcnn_error *err)
{
	if (width < 1 || height < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "the image is %d x %d pixels", width, height);
	if (min_size < 1 || max_size < 1 || max_size > INT_MAX - FRCNN_PAD_MULTIPLE)
		return frcnn_fail(err, FRCNN_EINVAL, "resize limits %d and %d make no sense", min_size, max_size);

	double shorter = width < height ? width : height;
	double longer = width < height ? height : width;
	double scale = fmin(min_size / shorter, max_size / longer);
	out->width = (int)(width * scale);
	out->height = (int)(height * scale);
	if (out->width < 1 || out->height < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "an image of %d x %d pixels would be resized to %d x %d", width,
				  height, out->width, out->height);
	out->padded_width = (out->width + FRCNN_PAD_MULTIPLE - 1) / FRCNN_PAD_MULTIPLE * FRCNN_PAD_MULTIPLE;
	out->padded_height = (out->height + FRCNN_PAD_MULTIPLE - 1) / FRCNN_PAD_MULTIPLE * FRCNN_PAD_MULTIPLE;
	return 0;
}

/* Half-pixel centres: output i looks at (i + 1/2) * in / out - 1/2, all in float32. */
static void make_taps(struct tap *taps, int in, int out)
{
	float ratio = (float)in / (float)out;
	for (int i = 0; i < out; i++) {
		float at = ratio * ((float)i + 0.5f) - 0.5f;
		if (at < 0.0f)
			at = 0.0f;
		int low = (int)at;
		if (low > in - 1)
			low = in - 1;
		float weight = at - (float)low;
		if (weight > 1.0f)
			weight = 1.0f;
		taps[i].low = low;
		taps[i].high = low < in - 1 ? low + 1 : low;
		taps[i].low_weight = 1.0f - weight;
		taps[i].high_weight = weight;
	}
}

struct transform_job {
	const struct frcnn_view *view;
	const struct frcnn_transform_size *size;
	const struct tap *columns, *rows;
	float values[3][256]; /* normalised value of a byte, per channel */
	float *lines;         /* two resized lines for each worker */
	size_t line_floats;
	float *out;
};

/* One source row, resized to the output's width. */
static void resize_line(const struct transform_job *job, int y, float *line)
{
	const uint8_t *row = job->view->rgb + (size_t)y * job->view->stride;
	for (int x = 0; x < job->size->width; x++) {
		const struct tap *tap = &job->columns[x];
		const uint8_t *low = row + 3 * (size_t)tap->low, *high = row + 3 * (size_t)tap->high;
		for (int c = 0; c < 3; c++)
			line[3 * x + c] =
			    job->values[c][low[c]] * tap->low_weight + job->values[c][high[c]] * tap->high_weight;
	}
}

static void blend_lines(const float *restrict low, const float *restrict high, float low_weight, float high_weight,
			float *restrict out, size_t count)
{
	size_t i = 0;
	for (; i + LANES <= count; i += LANES)
		for (size_t j = i; j < i + LANES; j++)
			out[j] = low[j] * low_weight + high[j] * high_weight;
	for (; i < count; i++)
		out[i] = low[i] * low_weight + high[i] * high_weight;
}

static void transform_band(void *context, size_t index, int worker)
{
	const struct transform_job *job = context;
	const struct frcnn_transform_size *size = job->size;
	float *lines[2] = {job->lines + 2 * (size_t)worker * job->line_floats,
			   job->lines + (2 * (size_t)worker + 1) * job->line_floats};
	int held[2] = {-1, -1}; /* source rows that the lines hold */
	size_t floats = 3 * (size_t)size->width, padded = 3 * (size_t)size->padded_width;
	int first = (int)index * BAND;
	int last = first + BAND < size->padded_height ? first + BAND : size->padded_height;

	for (int y = first; y < last; y++) {
		float *out = job->out + (size_t)y * padded;
		if (y >= size->height) {
			memset(out, 0, padded * sizeof(*out));
			continue;
		}
		const struct tap *tap = &job->rows[y];
		if (held[0] != tap->low && held[1] == tap->low) { /* the lower line becomes the upper one */
			float *line = lines[0];
			lines[0] = lines[1];
			lines[1] = line;
			held[1] = held[0];
			held[0] = tap->low;
		}
		if (held[0] != tap->low)
			resize_line(job, tap->low, lines[0]);
		held[0] = tap->low;
		const float *high = lines[0];
		if (tap->high != tap->low) {
			if (held[1] != tap->high)
				resize_line(job, tap->high, lines[1]);
			held[1] = tap->high;
			high = lines[1];
		}
		blend_lines(lines[0], high, tap->low_weight, tap->high_weight, out, floats);
		memset(out + floats, 0, (padded - floats) * sizeof(*out));
	}
}

int frcnn_transform(struct frcnn_pool *pool, const struct frcnn_view *view, const struct frcnn_transform_size *size,
		    const float mean[3], const float std[3], struct frcnn_workspace *workspace, float *out,
		    struct frcnn_error *err)
{
	struct transform_job job = {.view = view, .size = size, .out = out};
	struct tap *taps = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_TAPS],
					     (size_t)size->width + (size_t)size->height, sizeof(*taps));
	job.line_floats = (3 * (size_t)size->width + LANES - 1) / LANES * LANES;
	job.lines = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_ROWS],
				      2 * (size_t)frcnn_pool_threads(pool) * job.line_floats, sizeof(*job.lines));
	if (!taps || !job.lines)
		return frcnn_fail_nomem(err);
	make_taps(taps, view->width, size->width);
	make_taps(taps + size->width, view->height, size->height);
	job.columns = taps;
	job.rows = taps + size->width;
	for (int c = 0; c < 3; c++)
		for (int v = 0; v < 256; v++)
			job.values[c][v] = ((float)v / 255.0f - mean[c]) / std[c];
	frcnn_pool_run(pool, ((size_t)size->padded_height + BAND - 1) / BAND, transform_band, &job);
	return 0;
}
