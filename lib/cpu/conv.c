/*
 * Convolution as a matrix product: rows are output pixels, the inner dimension
 * runs over the window in the order r, s, c (so that in NHWC a window's row is
 * one run of memory). A block of rows, read where they lie or gathered, is
 * multiplied by every panel of filters, a block of depth at a time; partial sums
 * wait in the worker's scratch. (Goto and van de Geijn 2008.)
 *
 * The order of every sum depends on the shape and the kernels' tile alone.
 */
#include "cpu/cpu.h"

#define BLOCK_TILES 16 /* rows of a task, in tiles */
#define PACKED_BYTES                                                                                                   \
	1024 /* of a row of a block of depth that is gathered: 14 * 16 such rows are a quarter of a 1 MB L2 */
#define DIRECT_BYTES                                                                                                   \
	2048 /* of one that is read where it lies; windows, whose rows are not split, may have a few more */
#define MOST_RUN     1024      /* values of one row of such a window, and of any block that is gathered */
#define WIDE         8         /* tiles in a row of outputs from which on windows are read where they lie */
#define GAP          16        /* values between gathered rows, which keep them out of each other's cache sets */
#define MOST_COLUMNS 1024      /* of a task */
#define ENOUGH_TASKS 8         /* below that, rows are split finer, or panels are split too */
#define SMALL_WEIGHT (1 << 19) /* bytes that each core has in its second cache, once for all tasks of its rows */
#define CACHE_WAY    4096      /* bytes after which addresses share a set of the first cache */

static size_t depth_of(const struct frcnn_conv *v)
{
	return (size_t)v->kernel_h * (size_t)v->kernel_w * (size_t)v->channels;
}

/* ---- weights -------------------------------------------------------------- */

/* A step of a filter is 4 bytes in every arithmetic. */
#define STEP_BYTES 4
#define PACK_STEPS 128 /* at a time: what is written then fits the first cache */

struct pack_job {
	const struct frcnn_conv *conv;
	struct frcnn_arithmetic how;
	size_t nr, steps;
	const uint32_t *order; /* value d of a row of the product is value order[d] of the filter */
	struct frcnn_packed *out;
};

/* Nearest, halves to even; weights are finite. */
static uint16_t to_bf16(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof bits);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Values first .. last of filter k, in order and as elements of the arithmetic. */
static void take_values(const struct pack_job *job, size_t k, size_t first, size_t last, void *out)
{
	const struct frcnn_conv *v = job->conv;
	size_t depth = depth_of(v);
	const uint32_t *order = job->order;
	const float *w = v->quantized ? NULL : v->weight + k * depth;
	const int8_t *q = v->quantized ? v->quantized + k * depth : NULL;

	for (size_t d = first; d < last && job->how.a_as == FRCNN_AS_U8; d++)
		((int8_t *)out)[d - first] = q[order[d]];
	for (size_t d = first; d < last && job->how.a_as == FRCNN_AS_S16; d++)
		((int16_t *)out)[d - first] = q[order[d]];
	for (size_t d = first; d < last && job->how.a_as == FRCNN_AS_BF16; d++)
		((uint16_t *)out)[d - first] = to_bf16(w[order[d]]);
	for (size_t d = first; d < last && job->how.a_as == FRCNN_AS_F32; d++)
		((float *)out)[d - first] = w[order[d]];
}

static void pack_panel(void *context, size_t panel, int worker)
{
	const struct pack_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t depth = depth_of(v), e = job->how.per_step, nr = job->nr;
	uint32_t *weight = (uint32_t *)job->out->weight + panel * job->steps * nr, row[PACK_STEPS];

	(void)worker;
	memset(weight, 0, job->steps * nr * STEP_BYTES);
	for (size_t first = 0; first < job->steps; first += PACK_STEPS) {
		size_t count = job->steps - first < PACK_STEPS ? job->steps - first : PACK_STEPS;
		size_t last = (first + count) * e < depth ? (first + count) * e : depth;

		for (size_t j = 0; j < nr && panel * nr + j < (size_t)v->out_channels; j++) {
			row[count - 1] = 0; /* the end of a filter may be half a step */
			take_values(job, panel * nr + j, first * e, last, row);
			for (size_t s = 0; s < count; s++)
				weight[(first + s) * nr + j] = row[s];
		}
	}
	for (size_t k = panel * nr; v->quantized && k < (panel + 1) * nr && k < (size_t)v->out_channels; k++) {
		int32_t sum = 0;

		for (size_t d = 0; d < depth; d++)
			sum += v->quantized[k * depth + d];
		job->out->sums[k] = sum;
	}
}

struct frcnn_arithmetic frcnn_float_arithmetic(const struct frcnn_kernels *kernels)
{
	return (struct frcnn_arithmetic){FRCNN_AS_F32, 1, kernels->gemm_tile, NULL};
}

struct frcnn_arithmetic frcnn_int8_arithmetic(const struct frcnn_kernels_int8 *int8, const struct frcnn_conv *v)
{
	size_t count = (size_t)v->out_channels * depth_of(v);
	int most = 0;

	for (size_t i = 0; i < count && int8->small.gemm_tile; i++) {
		int size = abs(v->quantized[i]);

		most = size > most ? size : most;
	}
	return int8->small.gemm_tile && most <= 63 ? int8->small : int8->direct;
}

void frcnn_packed_free(struct frcnn_packed *packed)
{
	free(packed->weight);
	free(packed->bias);
	free(packed->sums);
}

int frcnn_conv_pack(const struct frcnn_arithmetic *how, size_t nr, const struct frcnn_conv *v, struct frcnn_pool *pool,
		    struct frcnn_packed *out, struct frcnn_error *err)
{
	size_t panels = frcnn_ceil_div((size_t)v->out_channels, nr), steps = frcnn_ceil_div(depth_of(v), how->per_step);
	size_t channels = (size_t)v->channels, window = depth_of(v) / channels;
	uint32_t *order = frcnn_calloc(depth_of(v), sizeof *order);
	struct pack_job job = {v, *how, nr, steps, order, out};

	out->how = *how;
	out->weight = frcnn_alloc_aligned(panels * nr, steps * STEP_BYTES);
	out->bias = frcnn_alloc_aligned(panels * nr, sizeof(float));
	out->sums = v->quantized ? frcnn_calloc(panels * nr, sizeof *out->sums) : NULL;
	if (!order || !out->weight || !out->bias || (v->quantized && !out->sums)) {
		free(order);
		return frcnn_fail_nomem(err);
	}
	for (size_t k = 0; k < panels * nr; k++)
		out->bias[k] = v->bias && k < (size_t)v->out_channels ? v->bias[k] : 0;
	for (size_t d = 0; d < depth_of(v); d++)
		order[d] = (uint32_t)(d % channels * window + d / channels);
	frcnn_pool_run(pool, panels, pack_panel, &job);
	free(order);
	return 0;
}

/* ---- rows ------------------------------------------------------------------ */

/* Bytes first .. last of the window whose upper left corner is (iy, ix) of one image: fill outside of it. c: bytes of a
 * pixel. */
static void gather_row(const struct frcnn_conv *v, size_t c, const char *image, int fill, int iy, int ix, size_t first,
		       size_t last, char *out)
{
	/* Without dilation a row of the window is one run of memory, otherwise each of its pixels is. */
	int taps = v->dilation == 1 ? v->kernel_w : 1;
	size_t run = (size_t)taps * c;

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
			memset(out, fill, low - from);
		if (high > low)
			memcpy(out + (low - from),
			       image + ((ptrdiff_t)y * v->width + x) * (ptrdiff_t)c + (ptrdiff_t)low, high - low);
		if (to > high)
			memset(out + (high - from), fill, to - high);
		out += to - from;
		at += to - from;
	}
}

/* ---- the product -------------------------------------------------------------- */

/* Where the rows of A come from. */
enum source {
	GATHERED,
	ROWS,    /* they lie in x as they are, all of them */
	WINDOWS, /* a tile of neighbours inside of the image: a run of memory for each row of the window */
};

struct conv_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const struct frcnn_worker_memory *scratch;
	const char *x;
	char *y;
	struct frcnn_arithmetic how;
	size_t element; /* bytes of one of A and of B */
	enum source source;
	size_t rows, depth, block_depth, lda; /* lda is of what is gathered, and some of every source is */
	size_t run;                           /* of a window: a block of depth has some of them */
	size_t tiles, blocks;
	size_t panels, groups, panels_per_group;
};

/* Sums, multipliers and starts of columns, one line, gathered rows. */
size_t frcnn_conv_scratch(const struct frcnn_kernels *kernels)
{
	return BLOCK_TILES * (size_t)kernels->mr * (MOST_COLUMNS + MOST_RUN + GAP) + 2 * MOST_COLUMNS + MOST_RUN;
}

/* Rows that are read where they lie are a distance apart that the first cache can hold a tile of, and whole steps. */
static enum source source_of(const struct conv_job *job)
{
	const struct frcnn_conv *v = job->conv;
	int mr = job->kernels->mr;
	bool pixels = v->kernel_h == 1 && v->kernel_w == 1 && v->stride == 1 && v->pad == 0;
	bool images = v->kernel_h == v->height && v->kernel_w == v->width && v->pad == 0 && v->dilation == 1;
	bool rows = pixels || images;
	size_t run = (size_t)v->kernel_w * (size_t)v->channels, e = job->how.per_step;
	size_t apart = rows ? job->depth : (size_t)v->stride * (size_t)v->channels;

	if (job->how.a_as != v->x_as || apart % e || (mr > 8 && apart * job->element % CACHE_WAY == 0))
		return GATHERED;
	if (rows)
		return ROWS;
	return v->dilation > 1 || run > MOST_RUN || run % e || (size_t)v->channels % e || v->out_width < WIDE * mr
		   ? GATHERED
		   : WINDOWS;
}

/* Rows row .. row + rows, depth first .. last, to out, lda values apart; missing rows of the last tile are zero. */
static void gather(const struct conv_job *job, size_t row, size_t rows, size_t first, size_t last, float *line,
		   char *out)
{
	const struct frcnn_conv *v = job->conv;
	size_t mr = (size_t)job->kernels->mr, size = frcnn_storage_size(v->x_as), c = (size_t)v->channels * size;
	size_t plane = (size_t)v->out_height * (size_t)v->out_width, padded = frcnn_ceil_div(rows, mr) * mr;
	size_t image_size = (size_t)v->height * (size_t)v->width * c, depth = last - first;
	size_t stride = job->lda * job->element, e = job->how.per_step;
	size_t n = row / plane, rest = row % plane;
	int oy = (int)(rest / (size_t)v->out_width), ox = (int)(rest % (size_t)v->out_width);
	bool convert = job->how.a_as != v->x_as;
	int fill = v->x_as == FRCNN_AS_U8 ? v->x_quant.zero : 0;

	for (size_t i = 0; i < rows; i++, out += stride) {
		gather_row(v, c, job->x + n * image_size, fill, oy * v->stride - v->pad, ox * v->stride - v->pad,
			   first * size, last * size, convert ? (char *)line : out);
		if (convert)
			job->how.convert(out, line, depth, v->x_as, v->x_quant);
		if (depth % e)
			memset(out + depth * job->element, 0, (e - depth % e) * job->element);
		if (++ox == v->out_width) {
			ox = 0;
			if (++oy == v->out_height) {
				oy = 0;
				n++;
			}
		}
	}
	for (size_t i = rows; i < padded; i++, out += stride)
		memset(out, 0, stride);
}

/* A tile of rows as the kernel reads it. */
struct tile_rows {
	const char *a;
	size_t lda, run_step;
	bool in_place;
};

/* The rows of one tile, depth first .. last, where they lie or gathered into slot. */
static struct tile_rows find_rows(const struct conv_job *job, size_t row, size_t rows, size_t first, size_t last,
				  float *line, char *slot)
{
	const struct frcnn_conv *v = job->conv;
	size_t mr = (size_t)job->kernels->mr, size = frcnn_storage_size(v->x_as), c = (size_t)v->channels;

	if (job->source == ROWS && rows == mr)
		return (struct tile_rows){job->x + (row * job->depth + first) * size, job->depth, 0, true};
	if (job->source == WINDOWS && rows == mr) {
		size_t plane = (size_t)v->out_height * (size_t)v->out_width, rest = row % plane;
		int ox = (int)(rest % (size_t)v->out_width), x = ox * v->stride - v->pad;
		int y = (int)(rest / (size_t)v->out_width) * v->stride - v->pad;
		size_t at;

		if (ox + (int)mr <= v->out_width && x >= 0 && y >= 0 && y + v->kernel_h <= v->height &&
		    x + ((int)mr - 1) * v->stride + v->kernel_w <= v->width) {
			at = ((row / plane * (size_t)v->height + (size_t)y + first / job->run) * (size_t)v->width +
			      (size_t)x) *
			     c;
			return (struct tile_rows){job->x + at * size, (size_t)v->stride * c, (size_t)v->width * c,
						  true};
		}
	}
	gather(job, row, rows, first, last, line, slot);
	return (struct tile_rows){slot, job->lda, job->run, false};
}

/* Some tiles of rows times some panels of filters. */
static void conv_task(void *context, size_t index, int worker)
{
	const struct conv_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t mr = (size_t)job->kernels->mr, nr = (size_t)job->kernels->nr, k = (size_t)v->out_channels;
	size_t block = index / job->groups, first_panel = index % job->groups * job->panels_per_group;
	size_t last_panel = first_panel + job->panels_per_group;
	size_t row = block * job->tiles / job->blocks * mr, end = (block + 1) * job->tiles / job->blocks * mr;
	size_t rows = (end < job->rows ? end : job->rows) - row, tiles = frcnn_ceil_div(rows, mr);
	size_t residual_size = frcnn_storage_size(v->residual_as), y_size = frcnn_storage_size(v->y_as);
	const char *weight = job->packed->weight;
	float *sums = job->scratch->block[worker], *multiplier = sums + BLOCK_TILES * mr * MOST_COLUMNS;
	int32_t *start = (int32_t *)(void *)(multiplier + MOST_COLUMNS);
	float *line = multiplier + 2 * MOST_COLUMNS;
	size_t panel_size = frcnn_ceil_div(job->depth, job->how.per_step) * job->how.per_step * nr * job->element;
	char *slots = (char *)(line + MOST_RUN);
	struct tile_rows from[BLOCK_TILES];

	last_panel = last_panel < job->panels ? last_panel : job->panels;
	for (size_t j = 0; v->scale && j < (last_panel - first_panel) * nr; j++) {
		size_t filter = first_panel * nr + j;

		multiplier[j] = filter < k ? v->x_quant.scale * v->scale[filter] : 0;
		start[j] = job->how.a_as == FRCNN_AS_U8
			       ? (int32_t)(0 - (uint32_t)v->x_quant.zero * (uint32_t)job->packed->sums[filter])
			       : 0;
	}
	for (size_t first = 0; first < job->depth; first += job->block_depth) {
		size_t last = first + job->block_depth < job->depth ? first + job->block_depth : job->depth;
		size_t runs = job->source == WINDOWS ? (last - first) / job->run : 1, depth = (last - first) / runs;

		for (size_t i = 0; i < tiles; i++)
			from[i] = find_rows(job, row + i * mr, rows - i * mr < mr ? rows - i * mr : mr, first, last,
					    line, slots + i * mr * job->lda * job->element);
		for (size_t panel = first_panel; panel < last_panel; panel++) {
			size_t column = panel * nr, mine = column - first_panel * nr;
			const void *begin =
			    v->scale ? (const void *)(start + mine) : (const void *)(job->packed->bias + column);

			for (size_t i = 0; i < tiles; i++) {
				size_t at = (row + i * mr) * k + column;
				struct frcnn_gemm_tile tile = {
				    .depth = frcnn_ceil_div(depth, job->how.per_step),
				    .a = from[i].a,
				    .lda = from[i].lda,
				    .runs = runs,
				    .run_step = from[i].run_step,
				    .b = weight + panel * panel_size + first * nr * job->element,
				    .start = first == 0 ? begin : NULL,
				    .sums = sums + i * mr * (job->panels_per_group * nr) + mine,
				    .lds = job->panels_per_group * nr,
				    .rows = rows - i * mr < mr ? rows - i * mr : mr,
				    .columns = k - column < nr ? k - column : nr,
				    .multiplier = multiplier + mine,
				    .bias = job->packed->bias + column,
				    .y_quant = v->y_quant,
				    .residual_quant = v->residual_quant,
				    .act = v->act,
				    .fetch = panel == first_panel && i + 1 < tiles && from[i].in_place &&
					     from[i + 1].in_place,
				};

				if (last == job->depth) {
					tile.y = job->y + at * y_size;
					tile.ldy = k;
					tile.y_as = v->y_as;
					tile.residual =
					    v->residual ? (const char *)v->residual + at * residual_size : NULL;
					tile.ldr = k;
					tile.residual_as = v->residual_as;
				}
				job->how.gemm_tile(&tile);
			}
		}
	}
}

void frcnn_conv_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, const struct frcnn_packed *packed,
		    struct frcnn_pool *pool, const struct frcnn_worker_memory *scratch, const void *x, void *y)
{
	struct conv_job job = {.kernels = kernels, .conv = v, .packed = packed, .scratch = scratch, .x = x, .y = y};

	job.how = packed->how;
	job.element = frcnn_storage_size(job.how.a_as);
	job.rows = (size_t)v->n * (size_t)v->out_height * (size_t)v->out_width;
	job.depth = depth_of(v);
	job.source = source_of(&job);
	job.run = (size_t)v->kernel_w * (size_t)v->channels;
	job.block_depth = (job.source == GATHERED ? PACKED_BYTES : DIRECT_BYTES) / job.element;
	if (job.source == WINDOWS)
		job.block_depth = job.run > job.block_depth ? job.run : job.block_depth / job.run * job.run;
	job.lda = job.block_depth + GAP;
	job.tiles = frcnn_ceil_div(job.rows, (size_t)kernels->mr);
	job.blocks = frcnn_ceil_div(job.tiles, BLOCK_TILES);
	if (job.blocks < ENOUGH_TASKS && job.depth * (size_t)v->out_channels * job.element <= SMALL_WEIGHT)
		job.blocks = job.tiles < ENOUGH_TASKS ? job.tiles : ENOUGH_TASKS;
	job.panels = frcnn_ceil_div((size_t)v->out_channels, (size_t)kernels->nr);
	job.groups = frcnn_ceil_div(job.panels * (size_t)kernels->nr, MOST_COLUMNS);
	if (job.blocks > 0 && job.blocks * job.groups < ENOUGH_TASKS)
		job.groups = frcnn_ceil_div(ENOUGH_TASKS, job.blocks);
	job.groups = job.groups < job.panels ? job.groups : job.panels;
	job.panels_per_group = frcnn_ceil_div(job.panels, job.groups);
	job.groups = frcnn_ceil_div(job.panels, job.panels_per_group);
	frcnn_pool_run(pool, job.blocks * job.groups, conv_task, &job);
}
