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
#define MOST_NR      64   /* filters of a panel */
#define DEPTH_BYTES  1024 /* of the channels of a chunk */
#define GAP          16   /* values between transformed rows, which keep them out of each other's cache sets */
#define ENOUGH_TASKS 8    /* below that, panels are split too */

/* Whether no inputs can make a filter's sum reach 2^25, from where on the output transform in int32 would be wrong. */
static bool sums_fit(const struct frcnn_conv *v, size_t k)
{
	const int8_t *w = v->quantized + k * 9 * (size_t)v->channels;
	int64_t above = 0, below = 0;

	for (size_t i = 0; i < 9 * (size_t)v->channels; i++) {
		above += w[i] > 0 ? w[i] : 0;
		below -= w[i] < 0 ? w[i] : 0;
	}
	return (above > below ? above : below) * 255 < INT64_C(1) << 25;
}

bool frcnn_winograd_fits(const struct frcnn_conv *v)
{
	if (v->kernel_h != 3 || v->kernel_w != 3 || v->stride != 1 || v->dilation != 1 || v->groups != 1 ||
	    v->channels % 16 != 0 || v->channels < 32 || v->out_channels < 16)
		return false;
	for (size_t k = 0; v->quantized && k < (size_t)v->out_channels; k++)
		if (!sums_fit(v, k))
			return false;
	return true;
}

/* ---- weights ----------------------------------------------------------------------- */

struct pack_job {
	const struct frcnn_conv *conv;
	size_t nr, size; /* size: of a value */
	void *out;
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

/* G g G^T in double. */
static void transform_filter(const float g[9], double u[POINTS])
{
	double half[3][6], line[6];

	for (int y = 0; y < 3; y++)
		filter_line((double[3]){g[y * 3], g[y * 3 + 1], g[y * 3 + 2]}, half[y]);
	for (int x = 0; x < 6; x++) {
		filter_line((double[3]){half[0][x], half[1][x], half[2][x]}, line);
		for (int y = 0; y < 6; y++)
			u[y * 6 + x] = line[y];
	}
}

/* The same with the rows of G times 4, 6, 6, 24, 24 and 1, which are whole numbers; results are within +-6,223. */
static void filter_line_int8(const int16_t g[3], int16_t o[6])
{
	int even = g[0] + g[2], wide = g[0] + 4 * g[2];

	o[0] = g[0];
	o[1] = (int16_t) - (even + g[1]);
	o[2] = (int16_t)(g[1] - even);
	o[3] = (int16_t)(wide + 2 * g[1]);
	o[4] = (int16_t)(wide - 2 * g[1]);
	o[5] = g[2];
}

static void transform_filter_int8(const int8_t g[9], int16_t u[POINTS])
{
	int16_t half[3][6], line[6];

	for (int y = 0; y < 3; y++)
		filter_line_int8((int16_t[3]){g[y * 3], g[y * 3 + 1], g[y * 3 + 2]}, half[y]);
	for (int x = 0; x < 6; x++) {
		filter_line_int8((int16_t[3]){half[0][x], half[1][x], half[2][x]}, line);
		for (int y = 0; y < 6; y++)
			u[y * 6 + x] = line[y];
	}
}

/* A panel: value p of channel c and filter j, in float32 at (p * C + c) * nr + j, in int16 in pairs of channels. What
 * lies together is made together: value p of all filters, of one channel in float32, of two in int16. */
static void pack_panel(void *context, size_t panel, int worker)
{
	const struct pack_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t channels = (size_t)v->channels, nr = job->nr, together = v->quantized ? 2 : 1;
	size_t filters = (size_t)v->out_channels - panel * nr < nr ? (size_t)v->out_channels - panel * nr : nr;
	char *out = (char *)job->out + panel * POINTS * channels * nr * job->size;
	float values[POINTS][MOST_NR] = {{0}};
	int16_t(*pairs)[2 * MOST_NR] = (int16_t(*)[2 * MOST_NR])(void *)values;

	(void)worker;
	for (size_t c = 0; c < channels; c += together) {
		for (size_t at = 0; at < filters * together; at++) {
			size_t from = ((panel * nr + at / together) * channels + c + at % together) * 9;
			int16_t whole[POINTS];
			double u[POINTS];

			if (v->quantized)
				transform_filter_int8(v->quantized + from, whole);
			else
				transform_filter(v->weight + from, u);
			for (size_t p = 0; p < POINTS; p++) {
				if (v->quantized)
					pairs[p][at] = whole[p];
				else
					values[p][at] = (float)u[p];
			}
		}
		for (size_t p = 0; p < POINTS; p++)
			memcpy(out + (p * channels + c) * nr * job->size, values[p], nr * together * job->size);
	}
}

int frcnn_winograd_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, struct frcnn_pool *pool,
			struct frcnn_packed *out, struct frcnn_error *err)
{
	size_t nr = (size_t)kernels->nr, panels = frcnn_ceil_div((size_t)v->out_channels, nr);
	struct pack_job job = {.conv = v, .nr = nr};

	out->winograd = true;
	out->how = frcnn_float_arithmetic(kernels);
	if (v->quantized) {
		out->int8 = frcnn_kernels_int8_get(kernels);
		out->how = (struct frcnn_arithmetic){FRCNN_AS_S16, 2, out->int8->gemm_tile_pairs, NULL};
	}
	job.size = frcnn_storage_size(out->how.a_as);
	out->weight = frcnn_alloc_aligned(panels * nr * POINTS, (size_t)v->channels * job.size);
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
	const struct frcnn_kernels_int8 *int8; /* of an int8 layer */
	void (*input)(const void *const pixel[36], size_t channels, float *v, size_t stride);
	void (*output)(const struct frcnn_winograd_output *block);
	size_t across, down; /* blocks of 4 x 4 in a row and a column of one image */
	size_t blocks;       /* in all */
	size_t rows;         /* blocks gathered at a time */
	size_t element;      /* bytes of a transformed value */
	size_t chunk, lda;   /* channels of a product; values from one transformed row to the next */
	size_t chunks;       /* in all channels */
	size_t panels, groups, panels_per_group;
	size_t *gathered; /* by each worker: the first block of what its scratch holds */
};

static size_t chunk_of(const struct frcnn_conv *v)
{
	return DEPTH_BYTES / (v->scale ? sizeof(int16_t) : sizeof(float));
}

static size_t rows_of(const struct frcnn_kernels *kernels, const struct frcnn_conv *v)
{
	return (size_t)kernels->mr * ((size_t)v->channels > chunk_of(v) ? 1 : frcnn_ceil_div(28, (size_t)kernels->mr));
}

/* Transformed inputs, products, a pixel of zeros, a panel of zeros, a panel's multipliers, a block's pixels in bytes.
 */
size_t frcnn_winograd_scratch(const struct frcnn_kernels *kernels, const struct frcnn_conv *v)
{
	size_t channels = (size_t)v->channels, rows = rows_of(kernels, v), chunk = chunk_of(v);

	return frcnn_ceil_div(channels, chunk) * POINTS * rows * (chunk + GAP) + POINTS * rows * (size_t)kernels->nr +
	       (channels + 15) / 16 * 16 + 2 * (size_t)kernels->nr + (v->scale ? POINTS * channels / 4 : 0);
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
 * v + ((k * POINTS + p) * rows + i) * lda. zero: a pixel outside of the image. */
static void gather(const struct winograd_job *job, size_t first, size_t count, const void *zero, char *v,
		   uint8_t *bytes)
{
	const struct frcnn_conv *c = job->conv;
	size_t channels = (size_t)c->channels, stride = job->rows * job->lda, size = frcnn_storage_size(c->x_as);
	bool convert = job->int8 && c->x_as == FRCNN_AS_F32;

	for (size_t i = 0; i < count; i++) {
		struct place at = place_of(job, first + i);
		const char *image = job->x + at.n * (size_t)c->height * (size_t)c->width * channels * size;
		const char *pixel[POINTS];
		const void *part[POINTS];

		for (int p = 0; p < POINTS; p++) {
			int y = at.y - c->pad + p / 6, x = at.x - c->pad + p % 6;
			bool inside = y >= 0 && y < c->height && x >= 0 && x < c->width;

			pixel[p] = inside ? image + ((size_t)y * (size_t)c->width + (size_t)x) * channels * size : zero;
			if (inside && convert) {
				uint8_t *to = bytes + (size_t)p * channels;

				job->int8->quantize(to, pixel[p], channels, c->x_as, c->x_quant);
				pixel[p] = (const char *)to;
			}
		}
		for (size_t k = 0; k < job->chunks; k++) {
			size_t from = k * job->chunk,
			       left = channels - from < job->chunk ? channels - from : job->chunk;
			char *to = v + (k * POINTS * stride + i * job->lda) * job->element;

			for (int p = 0; p < POINTS; p++)
				part[p] = pixel[p] + (pixel[p] == zero ? 0 : from * (job->int8 ? 1 : size));
			if (job->int8)
				job->int8->winograd_input(part, left, c->x_quant.zero, (int16_t *)(void *)to, stride);
			else
				job->input(part, left, (float *)(void *)to, stride);
		}
	}
}

/* The outputs of one panel of filters. */
static void scatter(const struct winograd_job *job, size_t first, size_t count, size_t panel, const float *m,
		    const float *multiplier)
{
	const struct frcnn_conv *c = job->conv;
	size_t nr = (size_t)job->kernels->nr, column = panel * nr, filters = (size_t)c->out_channels;
	size_t y_size = frcnn_storage_size(c->y_as), residual_size = frcnn_storage_size(c->residual_as);
	const char *residual = c->residual;
	struct frcnn_winograd_output out = {
	    .stride = job->rows * nr,
	    .multiplier = multiplier,
	    .bias = job->packed->bias + column,
	    .y_quant = c->y_quant,
	    .residual_quant = c->residual_quant,
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
	const struct frcnn_conv *conv = job->conv;
	char *v = (char *)job->scratch->block[worker];
	float *m = (float *)(void *)(v + job->chunks * POINTS * job->rows * job->lda * job->element);
	float *zero = m + POINTS * job->rows * nr, *nothing = zero + (channels + 15) / 16 * 16,
	      *multiplier = nothing + nr;
	uint8_t *bytes = (uint8_t *)(multiplier + nr);

	/* A pixel outside of the image: zeros, in bytes that which stands for it. */
	memset(zero, job->int8 ? conv->x_quant.zero : 0, channels * sizeof *zero);
	memset(nothing, 0, nr * sizeof *nothing);
	if (job->gathered[worker] != first)
		gather(job, first, count, zero, v, bytes);
	job->gathered[worker] = first;
	for (; panel < last_panel; panel++) {
		const char *weight = (const char *)job->packed->weight + panel * POINTS * channels * nr * job->element;

		for (size_t j = 0; job->int8 && j < nr; j++)
			multiplier[j] = panel * nr + j < (size_t)conv->out_channels
					    ? conv->x_quant.scale * conv->scale[panel * nr + j]
					    : 0;
		for (size_t p = 0; p < POINTS; p++) {
			for (size_t k = 0; k < job->chunks; k++) {
				size_t from = k * job->chunk, left = channels - from;

				/* Rows beyond count hold what was there before: their products are not looked at. */
				for (size_t i = 0; i < padded; i += mr) {
					struct frcnn_gemm_tile tile = {
					    .depth =
						(left < job->chunk ? left : job->chunk) / job->packed->how.per_step,
					    .a = v + ((k * POINTS + p) * job->rows + i) * job->lda * job->element,
					    .lda = job->lda,
					    .b = weight + (p * channels + from) * nr * job->element,
					    .start = k == 0 ? nothing : NULL,
					    .sums = m + (p * job->rows + i) * nr,
					    .lds = nr,
					    .rows = count - i < mr ? count - i : mr,
					    .columns = nr,
					};

					job->packed->how.gemm_tile(&tile);
				}
			}
		}
		scatter(job, first, count, panel, m, multiplier);
	}
}

void frcnn_winograd_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *v,
			const struct frcnn_packed *packed, struct frcnn_pool *pool,
			const struct frcnn_worker_memory *scratch, const void *x, void *y)
{
	bool half = v->x_as == FRCNN_AS_BF16 || v->y_as == FRCNN_AS_BF16 || v->residual_as == FRCNN_AS_BF16;
	struct winograd_job job = {.kernels = kernels, .conv = v, .packed = packed, .scratch = scratch, .x = x, .y = y};
	size_t tasks, gathered[scratch->workers];

	job.int8 = packed->int8;
	job.element = frcnn_storage_size(packed->how.a_as);
	job.chunk = chunk_of(v);
	job.lda = ((size_t)v->channels < job.chunk ? (size_t)v->channels : job.chunk) + GAP;
	job.input =
	    v->x_as == FRCNN_AS_BF16 ? frcnn_kernels_bf16_get(kernels)->winograd_input : kernels->winograd_input;
	job.output = job.int8 ? job.int8->winograd_output
		     : half   ? frcnn_kernels_bf16_get(kernels)->winograd_output
			      : kernels->winograd_output;
	job.across = frcnn_ceil_div((size_t)v->out_width, 4);
	job.down = frcnn_ceil_div((size_t)v->out_height, 4);
	job.blocks = (size_t)v->n * job.across * job.down;
	job.rows = rows_of(kernels, v);
	job.chunks = frcnn_ceil_div((size_t)v->channels, job.chunk);
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
