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

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

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
	size_t nr = (size_t)kernels->nr, panels = ceil_div((size_t)v->out_channels, nr), window;
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

/* Rows row .. row + rows, depth first .. last, into tiles; missing rows of the last tile are zero. */
static void gather(const struct frcnn_conv *v, const float *x, size_t row, size_t rows, size_t first, size_t last,
		   size_t mr, float *out)
{
	size_t plane = (size_t)v->out_height * (size_t)v->out_width, padded = ceil_div(rows, mr) * mr;
	size_t image_size = (size_t)v->height * (size_t)v->width * (size_t)v->channels;
	bool plain = v->kernel_h == 1 && v->kernel_w == 1 && v->stride == 1 && v->pad == 0;
	size_t n = row / plane, rest = row % plane;
	int oy = (int)(rest / (size_t)v->out_width), ox = (int)(rest % (size_t)v->out_width);

	for (size_t i = 0; i < rows; i++, out += FRCNN_GEMM_LDA) {
		if (plain) {
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

/* ---- the product -------------------------------------------------------------- */

struct conv_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const struct frcnn_worker_memory *scratch;
	const float *x;
	float *y;
	size_t rows, panels, groups, panels_per_group;
};

size_t frcnn_conv_scratch(const struct frcnn_kernels *kernels)
{
	size_t mr = (size_t)kernels->mr, nr = (size_t)kernels->nr;

	return BLOCK_TILES * mr * FRCNN_GEMM_LDA + 2 * mr * nr;
}

/* A tile at the border: computed whole in `spare`, the part that exists copied out. */
static void border_tile(const struct frcnn_kernels *kernels, struct frcnn_gemm_tile tile, size_t rows, size_t columns,
			float *spare)
{
	size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr;
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
	kernels->gemm_tile(&tile);
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

		gather(v, job->x, row, rows, first, last, mr, a);
		for (size_t panel = first_panel; panel < last_panel; panel++) {
			size_t column = panel * nr;

			for (size_t i = 0; i < rows; i += mr) {
				size_t at = (row + i) * k + column;
				struct frcnn_gemm_tile tile = {
				    .depth = last - first,
				    .a = a + i * FRCNN_GEMM_LDA,
				    .b = job->packed->weight + (panel * depth + first) * nr,
				    .c = job->y + at,
				    .ldc = k,
				    .bias = first == 0 ? job->packed->bias + column : NULL,
				    .residual = last == depth && v->residual ? v->residual + at : NULL,
				    .ldr = k,
				    .act = last == depth ? v->act : FRCNN_GEMM_NONE,
				};

				if (i + mr <= rows && column + nr <= k)
					job->kernels->gemm_tile(&tile);
				else
					border_tile(job->kernels, tile, rows - i < mr ? rows - i : mr,
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
	size_t blocks = ceil_div(rows, (size_t)(BLOCK_TILES * kernels->mr));
	struct conv_job job = {kernels, conv, packed, scratch, x, y, rows, 0, 1, 0};

	job.panels = ceil_div((size_t)conv->out_channels, (size_t)kernels->nr);
	if (blocks > 0 && blocks < ENOUGH_TASKS) {
		job.groups = ceil_div(ENOUGH_TASKS, blocks);
		if (job.groups > job.panels)
			job.groups = job.panels;
	}
	job.panels_per_group = ceil_div(job.panels, job.groups);
	job.groups = ceil_div(job.panels, job.panels_per_group);
	frcnn_pool_run(pool, blocks * job.groups, conv_task, &job);
}

/* ---- one filter a channel -------------------------------------------------------- */

static void depthwise_task(void *context, size_t index, int worker)
{
	const struct conv_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t n = index / (size_t)v->out_height, oy = index % (size_t)v->out_height;
	struct frcnn_depthwise_row row = {
	    .x = job->x + n * (size_t)v->height * (size_t)v->width * (size_t)v->channels,
	    .height = v->height,
	    .width = v->width,
	    .channels = v->channels,
	    .weight = job->packed->weight,
	    .bias = job->packed->bias,
	    .kernel_h = v->kernel_h,
	    .kernel_w = v->kernel_w,
	    .stride = v->stride,
	    .pad = v->pad,
	    .oy = (int)oy,
	    .out_width = v->out_width,
	    .y = job->y + index * (size_t)v->out_width * (size_t)v->channels,
	    .act = v->act,
	};

	(void)worker;
	job->kernels->depthwise_row(&row);
}

void frcnn_depthwise_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			 const struct frcnn_packed *packed, struct frcnn_pool *pool, const float *x, float *y)
{
	struct conv_job job = {.kernels = kernels, .conv = conv, .packed = packed, .x = x, .y = y};

	frcnn_pool_run(pool, (size_t)conv->n * (size_t)conv->out_height, depthwise_task, &job);
}
