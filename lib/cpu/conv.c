/*
 * Convolution as a matrix product: rows are output pixels, the inner dimension
 * runs over the window in the order r, s, c (so that in NHWC a window's row is
 * one run of memory). A block of rows is gathered into tiles, a depth of
 * FRCNN_GEMM_DEPTH at a time, and multiplied by every panel of filters; partial
 * sums wait in the output itself. (Goto and van de Geijn 2008.)
 *
 * The order of every sum depends on the shape and the kernels' tile alone.
 */
#include "cpu/cpu.h"

#define BLOCK_TILES  16 /* tiles gathered at a time: 14 * 16 rows * 1 KB, a quarter of a 1 MB L2 */
#define ENOUGH_TASKS 8  /* below that, panels are split too */

static size_t depth_of(const struct frcnn_conv *v)
{
	return (size_t)v->kernel_h * (size_t)v->kernel_w * (size_t)v->channels;
}

/* ---- weights -------------------------------------------------------------- */

struct pack_job {
	const struct frcnn_conv *conv;
	size_t nr;
	float *out;
};

static void pack_panel(void *context, size_t panel, int worker)
{
	const struct pack_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t window = (size_t)v->kernel_h * (size_t)v->kernel_w, depth = depth_of(v);
	float *out = job->out + panel * depth * job->nr;

	(void)worker;
	for (size_t j = 0; j < job->nr; j++) {
		size_t k = panel * job->nr + j;
		const float *w = v->weight + k * depth;

		for (size_t c = 0; c < (size_t)v->channels; c++)
			for (size_t rs = 0; rs < window; rs++)
				out[(rs * (size_t)v->channels + c) * job->nr + j] =
				    k < (size_t)v->out_channels ? w[c * window + rs] : 0;
	}
}

int frcnn_conv_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, struct frcnn_pool *pool,
		    struct frcnn_packed *out, struct frcnn_error *err)
{
	bool depthwise = v->groups > 1;
	size_t nr = (size_t)kernels->nr, panels = frcnn_ceil_div((size_t)v->out_channels, nr), window;
	struct pack_job job = {v, nr, NULL};

	window = (size_t)v->kernel_h * (size_t)v->kernel_w;
	out->weight = depthwise ? frcnn_alloc_aligned(window * (size_t)v->channels, sizeof(float))
				: frcnn_alloc_aligned(panels * nr, depth_of(v) * sizeof(float));
	out->bias = frcnn_alloc_aligned(panels * nr, sizeof(float));
	if (!out->weight || !out->bias)
		return frcnn_fail_nomem(err);
	for (size_t k = 0; k < panels * nr; k++)
		out->bias[k] = v->bias && k < (size_t)v->out_channels ? v->bias[k] : 0;
	if (depthwise) {
		for (size_t c = 0; c < (size_t)v->channels; c++)
			for (size_t rs = 0; rs < window; rs++)
				out->weight[rs * (size_t)v->channels + c] = v->weight[c * window + rs];
	} else {
		job.out = out->weight;
		frcnn_pool_run(pool, panels, pack_panel, &job);
	}
	return 0;
}

/* Panel of pairs: depth first and second of filter j side by side; odd depths end in a zero. */
struct bf16_job {
	const struct frcnn_packed *from;
	const struct frcnn_kernels_bf16 *kernels;
	size_t nr, depth, pairs;
	uint16_t *out;
};

static void pack_bf16_panel(void *context, size_t panel, int worker)
{
	const struct bf16_job *job = context;
	const float *from = job->from->weight + panel * job->depth * job->nr;
	uint16_t *out = job->out + panel * job->pairs * 2 * job->nr;

	(void)worker;
	for (size_t p = 0; p < job->depth; p++) {
		for (size_t j = 0; j < job->nr; j++)
			job->kernels->convert(&out[(p / 2 * job->nr + j) * 2 + p % 2], &from[p * job->nr + j], 1);
	}
	for (size_t j = 0; job->depth % 2 && j < job->nr; j++)
		out[((job->pairs - 1) * job->nr + j) * 2 + 1] = 0;
}

int frcnn_conv_pack_bf16(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, struct frcnn_pool *pool,
			 struct frcnn_packed *out, struct frcnn_error *err)
{
	size_t nr = (size_t)kernels->nr, panels = frcnn_ceil_div((size_t)v->out_channels, nr), depth = depth_of(v);
	struct bf16_job job = {out, frcnn_kernels_bf16_get(kernels), nr, depth, frcnn_ceil_div(depth, 2), NULL};
	int status = frcnn_conv_pack(kernels, v, pool, out, err);

	if (status)
		return status;
	out->bf16 = job.out = frcnn_alloc_aligned(panels * job.pairs, 2 * nr * sizeof *out->bf16);
	if (!out->bf16)
		return frcnn_fail_nomem(err);
	frcnn_pool_run(pool, panels, pack_bf16_panel, &job);
	free(out->weight);
	out->weight = NULL;
	return 0;
}

/* ---- rows ------------------------------------------------------------------ */

/* Depth first .. last of the window whose upper left corner is (iy, ix) of one image: zero outside the image. */
static void gather_row(const struct frcnn_conv *v, const float *image, int iy, int ix, size_t first, size_t last,
		       float *out)
{
	/* Without dilation a row of the window is one run of memory, otherwise each of its pixels is. */
	int taps = v->dilation == 1 ? v->kernel_w : 1;
	size_t c = (size_t)v->channels, run = (size_t)taps * c;

	for (size_t at = first; at < last;) {
		size_t which = at / run, from = at - which * run, to = last - which * run;
		int r = taps == 1 ? (int)which / v->kernel_w : (int)which;
		int s = taps == 1 ? (int)which % v->kernel_w : 0;
		int y = iy + r * v->dilation, x = ix + s * v->dilation;
		size_t low = x < 0 ? (size_t)-x * c : 0, high;

		if (to > run)
			to = run;
		high = x + taps > v->width ? (x < v->width ? (size_t)(v->width - x) * c : 0) : run;
		if (y < 0 || y >= v->height || low > run)
			low = high = run;
		if (high < low)
			high = low;
		low = low < from ? from : low > to ? to : low;
		high = high < low ? low : high > to ? to : high;
		if (low > from)
			memset(out, 0, (low - from) * sizeof *out);
		if (high > low)
			memcpy(out + (low - from),
			       image + ((ptrdiff_t)y * v->width + x) * (ptrdiff_t)c + (ptrdiff_t)low,
			       (high - low) * sizeof *out);
		if (to > high)
			memset(out + (high - from), 0, (to - high) * sizeof *out);
		out += to - from;
		at += to - from;
	}
}

static bool is_plain(const struct frcnn_conv *v)
{
	return v->kernel_h == 1 && v->kernel_w == 1 && v->stride == 1 && v->pad == 0;
}

/* Rows row .. row + rows, depth first .. last, into tiles; missing rows of the last tile are zero. */
static void gather(const struct frcnn_conv *v, const float *x, size_t row, size_t rows, size_t first, size_t last,
		   size_t mr, float *out)
{
	size_t plane = (size_t)v->out_height * (size_t)v->out_width, padded = frcnn_ceil_div(rows, mr) * mr;
	size_t image_size = (size_t)v->height * (size_t)v->width * (size_t)v->channels;
	size_t n = row / plane, rest = row % plane;
	int oy = (int)(rest / (size_t)v->out_width), ox = (int)(rest % (size_t)v->out_width);

	for (size_t i = 0; i < rows; i++, out += FRCNN_GEMM_LDA) {
		if (is_plain(v)) {
			memcpy(out, x + (row + i) * (size_t)v->channels + first, (last - first) * sizeof *out);
			continue;
		}
		gather_row(v, x + n * image_size, oy * v->stride - v->pad, ox * v->stride - v->pad, first, last, out);
		if (++ox == v->out_width) {
			ox = 0;
			if (++oy == v->out_height) {
				oy = 0;
				n++;
			}
		}
	}
	for (size_t i = rows; i < padded; i++, out += FRCNN_GEMM_LDA)
		memset(out, 0, (last - first) * sizeof *out);
}

/* The same in bfloat16. What is no plain copy is gathered first and converted in place: each row's place begins before
 * what is still to be read. */
static void gather_bf16(const struct frcnn_kernels_bf16 *kernels, const struct frcnn_conv *v, const float *x,
			size_t row, size_t rows, size_t first, size_t last, size_t mr, float *block)
{
	size_t padded = frcnn_ceil_div(rows, mr) * mr, depth = last - first;
	uint16_t *out = (uint16_t *)(void *)block;

	if (!is_plain(v))
		gather(v, x, row, rows, first, last, mr, block);
	for (size_t i = 0; i < padded; i++, out += FRCNN_GEMM_LDA) {
		if (!is_plain(v))
			kernels->convert(out, block + i * FRCNN_GEMM_LDA, depth);
		else if (i < rows)
			kernels->convert(out, x + (row + i) * (size_t)v->channels + first, depth);
		else
			memset(out, 0, depth * sizeof *out);
		if (depth % 2)
			out[depth] = 0;
	}
}

/* ---- the product -------------------------------------------------------------- */

struct conv_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const struct frcnn_worker_memory *scratch;
	const float *x;
	float *y;
	const struct frcnn_kernels_bf16 *bf16; /* where packed->bf16 is there */
	size_t rows, panels, groups, panels_per_group;
};

size_t frcnn_conv_scratch(const struct frcnn_kernels *kernels)
{
	size_t mr = (size_t)kernels->mr, nr = (size_t)kernels->nr;

	return BLOCK_TILES * mr * FRCNN_GEMM_LDA + 2 * mr * nr;
}

/* One tile by the kernel that the weights are packed for: b is where its depth begins, in float32 or pairs. */
static void run_tile(const struct conv_job *job, const struct frcnn_gemm_tile *tile, size_t b)
{
	if (job->packed->bf16) {
		struct frcnn_gemm_tile_bf16 half = {
		    .pairs = frcnn_ceil_div(tile->depth, 2),
		    .a = (const uint16_t *)(const void *)tile->a,
		    .b = job->packed->bf16 + b,
		    .c = tile->c,
		    .ldc = tile->ldc,
		    .bias = tile->bias,
		    .residual = tile->residual,
		    .ldr = tile->ldr,
		    .act = tile->act,
		};

		job->bf16->gemm_tile(&half);
	} else {
		struct frcnn_gemm_tile whole = *tile;

		whole.b = job->packed->weight + b;
		job->kernels->gemm_tile(&whole);
	}
}

/* A tile at the border: computed whole in `spare`, the part that exists copied out. */
static void border_tile(const struct conv_job *job, struct frcnn_gemm_tile tile, size_t b, size_t rows, size_t columns,
			float *spare)
{
	size_t nr = (size_t)job->kernels->nr, mr = (size_t)job->kernels->mr;
	float *c = tile.c, *residual = spare + mr * nr;
	size_t ldc = tile.ldc;

	memset(spare, 0, 2 * mr * nr * sizeof *spare);
	for (size_t i = 0; i < rows && !tile.bias; i++)
		memcpy(spare + i * nr, c + i * ldc, columns * sizeof *c);
	for (size_t i = 0; i < rows && tile.residual; i++)
		memcpy(residual + i * nr, tile.residual + i * tile.ldr, columns * sizeof *c);
	tile.c = spare;
	tile.ldc = nr;
	if (tile.residual)
		tile.residual = residual;
	tile.ldr = nr;
	run_tile(job, &tile, b);
	for (size_t i = 0; i < rows; i++)
		memcpy(c + i * ldc, spare + i * nr, columns * sizeof *c);
}

static void conv_task(void *context, size_t index, int worker)
{
	const struct conv_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t mr = (size_t)job->kernels->mr, nr = (size_t)job->kernels->nr, k = (size_t)v->out_channels;
	size_t row = index / job->groups * BLOCK_TILES * mr, first_panel = index % job->groups * job->panels_per_group;
	size_t last_panel = first_panel + job->panels_per_group, depth = depth_of(v), rows = job->rows - row;
	float *a = job->scratch->block[worker], *spare = a + BLOCK_TILES * mr * FRCNN_GEMM_LDA;

	if (rows > BLOCK_TILES * mr)
		rows = BLOCK_TILES * mr;
	if (last_panel > job->panels)
		last_panel = job->panels;
	for (size_t first = 0; first < depth; first += FRCNN_GEMM_DEPTH) {
		size_t last = first + FRCNN_GEMM_DEPTH < depth ? first + FRCNN_GEMM_DEPTH : depth;

		if (job->packed->bf16)
			gather_bf16(job->bf16, v, job->x, row, rows, first, last, mr, a);
		else
			gather(v, job->x, row, rows, first, last, mr, a);
		for (size_t panel = first_panel; panel < last_panel; panel++) {
			size_t column = panel * nr;
			size_t b = job->packed->bf16 ? (panel * frcnn_ceil_div(depth, 2) * 2 + first) * nr
						     : (panel * depth + first) * nr;

			for (size_t i = 0; i < rows; i += mr) {
				size_t at = (row + i) * k + column;
				struct frcnn_gemm_tile tile = {
				    .depth = last - first,
				    .a = a + i * FRCNN_GEMM_LDA,
				    .c = job->y + at,
				    .ldc = k,
				    .bias = first == 0 ? job->packed->bias + column : NULL,
				    .residual = last == depth && v->residual ? v->residual + at : NULL,
				    .ldr = k,
				    .act = last == depth ? v->act : FRCNN_GEMM_NONE,
				};

				if (job->packed->bf16)
					tile.a = (const float *)(const void *)((const uint16_t *)(const void *)a +
									       i * FRCNN_GEMM_LDA);
				if (i + mr <= rows && column + nr <= k)
					run_tile(job, &tile, b);
				else
					border_tile(job, tile, b, rows - i < mr ? rows - i : mr,
						    k - column < nr ? k - column : nr, spare);
			}
		}
	}
}

void frcnn_conv_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
		    const struct frcnn_packed *packed, struct frcnn_pool *pool,
		    const struct frcnn_worker_memory *scratch, const float *x, float *y)
{
	size_t rows = (size_t)conv->n * (size_t)conv->out_height * (size_t)conv->out_width;
	size_t blocks = frcnn_ceil_div(rows, (size_t)(BLOCK_TILES * kernels->mr));
	struct conv_job job = {.kernels = kernels, .conv = conv, .packed = packed, .scratch = scratch, .x = x, .y = y};

	job.rows = rows;
	job.groups = 1;
	job.bf16 = packed->bf16 ? frcnn_kernels_bf16_get(kernels) : NULL;
	job.panels = frcnn_ceil_div((size_t)conv->out_channels, (size_t)kernels->nr);
	if (blocks > 0 && blocks < ENOUGH_TASKS) {
		job.groups = frcnn_ceil_div(ENOUGH_TASKS, blocks);
		if (job.groups > job.panels)
			job.groups = job.panels;
	}
	job.panels_per_group = frcnn_ceil_div(job.panels, job.groups);
	job.groups = frcnn_ceil_div(job.panels, job.panels_per_group);
	frcnn_pool_run(pool, blocks * job.groups, conv_task, &job);
}
