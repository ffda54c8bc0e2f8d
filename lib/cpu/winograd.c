/*
 * 3 x 3 convolutions with stride 1 by Winograd's F(4x4, 3x3): blocks of 4 x 4
 * outputs are gathered and transformed, 36 matrix products follow (one for each
 * of the 6 x 6 transformed values), and a panel of filters at a time is
 * transformed back into outputs. A quarter of the multiplications of a direct
 * convolution; relative error some 1e-6 in float32.
 *
 * The order of every sum depends on the shape and the kernels' tile alone.
 */
#include "cpu/cpu.h"

#define POINTS       36
#define DEPTH        256          /* channels of a chunk */
#define LDA          (DEPTH + 16) /* of transformed inputs: the gap keeps rows out of each other's cache sets */
#define ENOUGH_TASKS 8            /* below that, panels are split too */

bool frcnn_winograd_fits(const struct frcnn_conv *v)
{
	return v->kernel_h == 3 && v->kernel_w == 3 && v->stride == 1 && v->dilation == 1 && v->groups == 1 &&
	       v->channels % 16 == 0 && v->channels >= 32 && v->out_channels >= 16;
}

/* ---- weights ----------------------------------------------------------------------- */

struct pack_job {
	const struct frcnn_conv *conv;
	size_t nr;
	float *out;
};

/* One dimension of G g. */
static void filter_line(const double g[3], double o[6])
{
	o[0] = g[0] / 4;
	o[1] = -(g[0] + g[1] + g[2]) / 6;
	o[2] = -(g[0] - g[1] + g[2]) / 6;
	o[3] = g[0] / 24 + g[1] / 12 + g[2] / 6;
	o[4] = g[0] / 24 - g[1] / 12 + g[2] / 6;
	o[5] = g[2];
}

/* G g G^T in double, rounded once. */
static void transform_filter(const float g[9], float u[POINTS])
{
	double half[3][6], line[6];

	for (int y = 0; y < 3; y++)
		filter_line((double[3]){g[y * 3], g[y * 3 + 1], g[y * 3 + 2]}, half[y]);
	for (int x = 0; x < 6; x++) {
		filter_line((double[3]){half[0][x], half[1][x], half[2][x]}, line);
		for (int y = 0; y < 6; y++)
			u[y * 6 + x] = (float)line[y];
	}
}

/* A panel: value p of channel c and filter j at ((p * C) + c) * nr + j. */
static void pack_panel(void *context, size_t panel, int worker)
{
	const struct pack_job *job = context;
	size_t channels = (size_t)job->conv->channels, nr = job->nr;
	float *out = job->out + panel * POINTS * channels * nr;
	float u[POINTS];

	(void)worker;
	for (size_t c = 0; c < channels; c++) {
		for (size_t j = 0; j < nr; j++) {
			size_t k = panel * nr + j;

			memset(u, 0, sizeof u);
			if (k < (size_t)job->conv->out_channels)
				transform_filter(job->conv->weight + (k * channels + c) * 9, u);
			for (size_t p = 0; p < POINTS; p++)
				out[(p * channels + c) * nr + j] = u[p];
		}
	}
}

int frcnn_winograd_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, struct frcnn_pool *pool,
			struct frcnn_packed *out, struct frcnn_error *err)
{
	size_t nr = (size_t)kernels->nr, panels = frcnn_ceil_div((size_t)v->out_channels, nr);
	struct pack_job job = {v, nr, NULL};

	out->winograd = true;
	out->weight = frcnn_alloc_aligned(panels * nr * POINTS, (size_t)v->channels * sizeof(float));
	out->bias = frcnn_alloc_aligned(panels * nr, sizeof(float));
	if (!out->weight || !out->bias)
		return frcnn_fail_nomem(err);
	for (size_t k = 0; k < panels * nr; k++)
		out->bias[k] = v->bias && k < (size_t)v->out_channels ? v->bias[k] : 0;
	job.out = out->weight;
	frcnn_pool_run(pool, panels, pack_panel, &job);
	return 0;
}

/* ---- running ------------------------------------------------------------------------- */

struct winograd_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const struct frcnn_worker_memory *scratch;
	const char *x;
	char *y;
	void (*input)(const void *const pixel[36], size_t channels, float *v, size_t stride);
	void (*output)(const struct frcnn_winograd_output *block);
	size_t across, down; /* blocks of 4 x 4 in a row and a column of one image */
	size_t blocks;       /* in all */
	size_t rows;         /* blocks gathered at a time */
	size_t chunks;       /* of DEPTH channels */
	size_t panels, groups, panels_per_group;
	size_t *gathered; /* by each worker: the first block of what its scratch holds */
};

static size_t rows_of(const struct frcnn_kernels *kernels, size_t channels)
{
	return (size_t)kernels->mr * (channels > DEPTH ? 1 : frcnn_ceil_div(28, (size_t)kernels->mr));
}

size_t frcnn_winograd_scratch(const struct frcnn_kernels *kernels, const struct frcnn_conv *v)
{
	size_t channels = (size_t)v->channels, rows = rows_of(kernels, channels);

	return frcnn_ceil_div(channels, DEPTH) * POINTS * rows * LDA + POINTS * rows * (size_t)kernels->nr +
	       (channels + 15) / 16 * 16 + (size_t)kernels->nr;
}

/* Block number i: its image, and where its outputs begin. */
struct place {
	size_t n;
	int y, x;
};

static struct place place_of(const struct winograd_job *job, size_t i)
{
	size_t in_image = i % (job->across * job->down);

	return (struct place){i / (job->across * job->down), (int)(in_image / job->across) * 4,
			      (int)(in_image % job->across) * 4};
}

/* The transformed inputs of blocks first .. first + count: point p of row i, chunk k at
 * v + ((k * POINTS + p) * rows + i) * LDA. */
static void gather(const struct winograd_job *job, size_t first, size_t count, const float *zero, float *v)
{
	const struct frcnn_conv *c = job->conv;
	size_t channels = (size_t)c->channels, stride = job->rows * LDA, size = frcnn_storage_size(c->x_as);

	for (size_t i = 0; i < count; i++) {
		struct place at = place_of(job, first + i);
		const char *image = job->x + at.n * (size_t)c->height * (size_t)c->width * channels * size;
		const char *pixel[POINTS];
		const void *part[POINTS];

		for (int p = 0; p < POINTS; p++) {
			int y = at.y - c->pad + p / 6, x = at.x - c->pad + p % 6;
			bool inside = y >= 0 && y < c->height && x >= 0 && x < c->width;

			pixel[p] = inside ? image + ((size_t)y * (size_t)c->width + (size_t)x) * channels * size
					  : (const char *)zero;
		}
		for (size_t k = 0; k < job->chunks; k++) {
			size_t from = k * DEPTH, left = channels - from;

			for (int p = 0; p < POINTS; p++)
				part[p] = pixel[p] + (pixel[p] == (const char *)zero ? 0 : from * size);
			job->input(part, left < DEPTH ? left : DEPTH, v + k * POINTS * stride + i * LDA, stride);
		}
	}
}

/* The outputs of one panel of filters. */
static void scatter(const struct winograd_job *job, size_t first, size_t count, size_t panel, const float *m)
{
	const struct frcnn_conv *c = job->conv;
	size_t nr = (size_t)job->kernels->nr, column = panel * nr, filters = (size_t)c->out_channels;
	size_t y_size = frcnn_storage_size(c->y_as), residual_size = frcnn_storage_size(c->residual_as);
	const char *residual = c->residual;
	struct frcnn_winograd_output out = {
	    .stride = job->rows * nr,
	    .bias = job->packed->bias + column,
	    .columns = filters - column < nr ? filters - column : nr,
	    .y_as = c->y_as,
	    .residual_as = c->residual_as,
	    .act = c->act,
	};

	for (size_t i = 0; i < count; i++) {
		struct place at = place_of(job, first + i);

		out.m = m + i * nr;
		for (int p = 0; p < 16; p++) {
			int y = at.y + p / 4, x = at.x + p % 4;
			bool inside = y < c->out_height && x < c->out_width;
			size_t pixel = (at.n * (size_t)c->out_height + (size_t)y) * (size_t)c->out_width + (size_t)x;

			out.y[p] = inside ? job->y + (pixel * filters + column) * y_size : NULL;
			out.residual[p] =
			    inside && residual ? residual + (pixel * filters + column) * residual_size : NULL;
		}
		job->output(&out);
	}
}

static void winograd_task(void *context, size_t index, int worker)
{
	const struct winograd_job *job = context;
	size_t mr = (size_t)job->kernels->mr, nr = (size_t)job->kernels->nr, channels = (size_t)job->conv->channels;
	size_t first = index / job->groups * job->rows, panel = index % job->groups * job->panels_per_group;
	size_t last_panel = panel + job->panels_per_group < job->panels ? panel + job->panels_per_group : job->panels;
	size_t count = job->blocks - first < job->rows ? job->blocks - first : job->rows,
	       padded = frcnn_ceil_div(count, mr) * mr;
	float *v = job->scratch->block[worker], *m = v + job->chunks * POINTS * job->rows * LDA;
	float *zero = m + POINTS * job->rows * nr, *nothing = zero + (channels + 15) / 16 * 16;

	memset(zero, 0, (channels + nr) * sizeof *zero);
	memset(nothing, 0, nr * sizeof *nothing);
	if (job->gathered[worker] != first)
		gather(job, first, count, zero, v);
	job->gathered[worker] = first;
	for (; panel < last_panel; panel++) {
		const float *weight = job->packed->weight + panel * POINTS * channels * nr;

		for (size_t p = 0; p < POINTS; p++) {
			for (size_t k = 0; k < job->chunks; k++) {
				size_t from = k * DEPTH, left = channels - from;

				/* Rows beyond count hold what was there before: their products are not looked at. */
				for (size_t i = 0; i < padded; i += mr) {
					struct frcnn_gemm_tile tile = {
					    .depth = left < DEPTH ? left : DEPTH,
					    .a = v + ((k * POINTS + p) * job->rows + i) * LDA,
					    .lda = LDA,
					    .b = weight + (p * channels + from) * nr,
					    .bias = k == 0 ? nothing : NULL,
					    .sums = m + (p * job->rows + i) * nr,
					    .lds = nr,
					    .rows = count - i < mr ? count - i : mr,
					    .columns = nr,
					};

					job->kernels->gemm_tile(&tile);
				}
			}
		}
		scatter(job, first, count, panel, m);
	}
}

void frcnn_winograd_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *v,
			const struct frcnn_packed *packed, struct frcnn_pool *pool,
			const struct frcnn_worker_memory *scratch, const void *x, void *y)
{
	bool half = v->x_as == FRCNN_AS_BF16 || v->y_as == FRCNN_AS_BF16 || v->residual_as == FRCNN_AS_BF16;
	struct winograd_job job = {.kernels = kernels, .conv = v, .packed = packed, .scratch = scratch, .x = x, .y = y};
	size_t tasks, gathered[scratch->workers];

	job.input =
	    v->x_as == FRCNN_AS_BF16 ? frcnn_kernels_bf16_get(kernels)->winograd_input : kernels->winograd_input;
	job.output = half ? frcnn_kernels_bf16_get(kernels)->winograd_output : kernels->winograd_output;
	job.across = frcnn_ceil_div((size_t)v->out_width, 4);
	job.down = frcnn_ceil_div((size_t)v->out_height, 4);
	job.blocks = (size_t)v->n * job.across * job.down;
	job.rows = rows_of(kernels, (size_t)v->channels);
	job.chunks = frcnn_ceil_div((size_t)v->channels, DEPTH);
	job.panels = frcnn_ceil_div((size_t)v->out_channels, (size_t)kernels->nr);
	tasks = frcnn_ceil_div(job.blocks, job.rows);
	job.groups = tasks > 0 && tasks < ENOUGH_TASKS ? frcnn_ceil_div(ENOUGH_TASKS, tasks) : 1;
	job.groups = job.groups < job.panels ? job.groups : job.panels;
	job.panels_per_group = frcnn_ceil_div(job.panels, job.groups);
	job.groups = frcnn_ceil_div(job.panels, job.panels_per_group);
	job.gathered = gathered;
	for (int i = 0; i < scratch->workers; i++)
		gathered[i] = SIZE_MAX;
	frcnn_pool_run(pool, tasks * job.groups, winograd_task, &job);
}
