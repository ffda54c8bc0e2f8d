/* Pooling, upsampling, sums, channel scales, means: memory-bound work, split by rows. */
#include "cpu/cpu.h"

#define CHUNK 16384 /* floats of one task of an elementwise operator */

struct map_job {
	const struct frcnn_kernels *kernels;
	struct frcnn_map in, out;
	int kernel, stride, pad;
	const float *x, *z;
	float *y;
	size_t n;
	enum frcnn_gemm_act act;
	enum frcnn_storage as; /* max_pool: x and y are bytes where it says so */
};

static size_t row_floats(struct frcnn_map map)
{
	return (size_t)map.width * (size_t)map.channels;
}

static void max_pool_task(void *context, size_t index, int worker)
{
	const struct map_job *job = context;
	size_t c = (size_t)job->in.channels, n = index / (size_t)job->out.height, size = frcnn_storage_size(job->as);
	int oy = (int)(index % (size_t)job->out.height);
	const char *image = (const char *)job->x + n * (size_t)job->in.height * row_floats(job->in) * size;
	char *y = (char *)job->y + index * row_floats(job->out) * size;

	(void)worker;
	for (int ox = 0; ox < job->out.width; ox++, y += c * size) {
		bool first = true;

		for (int r = 0; r < job->kernel; r++) {
			for (int s = 0; s < job->kernel; s++) {
				int iy = oy * job->stride - job->pad + r, ix = ox * job->stride - job->pad + s;
				const char *x = image + ((ptrdiff_t)iy * job->in.width + ix) * (ptrdiff_t)(c * size);

				if (iy < 0 || iy >= job->in.height || ix < 0 || ix >= job->in.width)
					continue;
				if (first)
					memcpy(y, x, c * size);
				else if (job->as == FRCNN_AS_U8)
					frcnn_kernels_int8_get(job->kernels)
					    ->max_into((uint8_t *)y, (const uint8_t *)x, c);
				else
					job->kernels->max_into((float *)(void *)y, (const float *)(const void *)x, c);
				first = false;
			}
		}
	}
}

void frcnn_max_pool_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_map out, int kernel,
			int stride, int pad, enum frcnn_storage as, struct frcnn_pool *pool, const void *x, void *y)
{
	struct map_job job = {.kernels = kernels, .in = in, .out = out, .kernel = kernel, .stride = stride, .pad = pad};

	job.as = as;
	job.x = x;
	job.y = y;
	frcnn_pool_run(pool, (size_t)out.n * (size_t)out.height, max_pool_task, &job);
}

/* torch's nearest: floor(i * in / out), the ratio in float32. */
static int nearest(int i, int in, int out)
{
	int at = (int)((float)i * ((float)in / (float)out));

	return at < in - 1 ? at : in - 1;
}

static void upsample_task(void *context, size_t index, int worker)
{
	const struct map_job *job = context;
	size_t c = (size_t)job->in.channels, n = index / (size_t)job->out.height;
	int iy = nearest((int)(index % (size_t)job->out.height), job->in.height, job->out.height);
	const float *row = job->x + (n * (size_t)job->in.height + (size_t)iy) * row_floats(job->in);
	float *y = job->y + index * row_floats(job->out);

	(void)worker;
	for (int ox = 0; ox < job->out.width; ox++)
		memcpy(y + (size_t)ox * c, row + (size_t)nearest(ox, job->in.width, job->out.width) * c, c * sizeof *y);
}

void frcnn_upsample_run(struct frcnn_map in, struct frcnn_map out, struct frcnn_pool *pool, const float *x, float *y)
{
	struct map_job job = {.in = in, .out = out, .x = x, .y = y};

	frcnn_pool_run(pool, (size_t)out.n * (size_t)out.height, upsample_task, &job);
}

static void add_task(void *context, size_t index, int worker)
{
	const struct map_job *job = context;
	size_t at = index * CHUNK, n = job->n - at < CHUNK ? job->n - at : CHUNK;

	(void)worker;
	job->kernels->add_act(job->y + at, job->x + at, job->z ? job->z + at : NULL, n, job->act);
}

void frcnn_add_run(const struct frcnn_kernels *kernels, size_t n, enum frcnn_gemm_act act, struct frcnn_pool *pool,
		   const float *x, const float *residual, float *y)
{
	struct map_job job = {.kernels = kernels, .x = x, .z = residual, .y = y, .n = n, .act = act};

	frcnn_pool_run(pool, (n + CHUNK - 1) / CHUNK, add_task, &job);
}

static void scale_task(void *context, size_t index, int worker)
{
	const struct map_job *job = context;
	size_t n = index / (size_t)job->in.height, at = index * row_floats(job->in), c = (size_t)job->in.channels;

	(void)worker;
	job->kernels->scale_channels(job->y + at, job->x + at, job->z + n * c, (size_t)job->in.width, c);
}

void frcnn_scale_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_pool *pool, const float *x,
		     const float *scale, float *y)
{
	struct map_job job = {.kernels = kernels, .in = in, .x = x, .z = scale, .y = y};

	frcnn_pool_run(pool, (size_t)in.n * (size_t)in.height, scale_task, &job);
}

enum { MEAN_CHANNELS = 16 }; /* of a task: a pixel of them is one line of the cache, their sums fit the registers */

typedef float four __attribute__((vector_size(4 * sizeof(float))));
typedef double pair __attribute__((vector_size(2 * sizeof(double))));
typedef double two_pairs __attribute__((vector_size(4 * sizeof(double))));

/* y = the means of 4 * fours channels over all pixels, `channels` apart. */
static inline __attribute__((always_inline)) void mean_fours(const float *x, size_t pixels, size_t channels, int fours,
							     float *y)
{
	pair sum[MEAN_CHANNELS / 2] = {{0}};
	double total[MEAN_CHANNELS];

	for (size_t p = 0; p < pixels; p++, x += channels) {
#pragma GCC unroll 4
		for (int i = 0; i < fours; i++) {
			two_pairs wide;
			pair half[2];
			four at;

			memcpy(&at, x + 4 * i, sizeof at);
			wide = __builtin_convertvector(at, two_pairs);
			memcpy(half, &wide, sizeof half);
			sum[2 * i] += half[0];
			sum[2 * i + 1] += half[1];
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < 2 * fours; i++)
		memcpy(total + 2 * i, &sum[i], sizeof sum[i]);
	for (int i = 0; i < 4 * fours; i++)
		y[i] = (float)(total[i] / (double)pixels);
}

static void mean_task(void *context, size_t index, int worker)
{
	const struct map_job *job = context;
	size_t c = (size_t)job->in.channels, slices = frcnn_ceil_div(c, MEAN_CHANNELS);
	size_t n = index / slices, from = index % slices * MEAN_CHANNELS;
	size_t count = c - from < MEAN_CHANNELS ? c - from : MEAN_CHANNELS, done = 0;
	size_t pixels = (size_t)job->in.height * (size_t)job->in.width;
	const float *x = job->x + n * pixels * c + from;
	float *y = job->y + n * c + from;

	(void)worker;
	if (count == MEAN_CHANNELS) {
		mean_fours(x, pixels, c, MEAN_CHANNELS / 4, y);
		return;
	}
	for (; done + 4 <= count; done += 4)
		mean_fours(x + done, pixels, c, 1, y + done);
	for (; done < count; done++) {
		double sum = 0;

		for (size_t p = 0; p < pixels; p++)
			sum += x[p * c + done];
		y[done] = (float)(sum / (double)pixels);
	}
}

void frcnn_global_mean_run(struct frcnn_map in, struct frcnn_pool *pool, const float *x, float *y)
{
	struct map_job job = {.in = in, .x = x, .y = y};
	size_t slices = frcnn_ceil_div((size_t)in.channels, MEAN_CHANNELS);

	frcnn_pool_run(pool, (size_t)in.n * slices, mean_task, &job);
}
