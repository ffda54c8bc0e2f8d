/*
 * The RPN's assignment. The IoU of an object with the anchors of one kind depends on two overlaps, one along each axis;
 * every step of its float32 arithmetic is monotone in both. So the best IoU of a kind is that of its best column in its
 * best row, and cells that cannot reach a threshold are passed over without losing a tie.
 */
#include "anchors/anchors.h"

#include <math.h>
#include <stdlib.h>

const float frcnn_anchor_ious[FRCNN_ANCHOR_IOUS] = {0.3f, 0.5f, 0.7f};
const char *const frcnn_anchor_iou_names[FRCNN_ANCHOR_IOUS] = {"0.3", "0.5", "0.7"};

/* One kind of anchor on the grid of one image. */
struct kind {
	const float *box; /* around the cell's origin */
	float area;
	struct frcnn_anchor_grid grid;
	uint32_t first;  /* the kind's anchor in cell 0 */
	uint32_t stride; /* anchors of a cell */
};

static float overlap(float low, float high, int step, int cell, float from, float to)
{
	float shift = (float)(cell * step);
	float start = low + shift, end = high + shift;
	float left = start > from ? start : from, right = end < to ? end : to;
	float length = right - left;

	return length > 0 ? length : 0;
}

/* box_iou's order of operations. */
static float iou_of(float x, float y, float object_area, float anchor_area)
{
	float inter = x * y;

	return inter / (object_area + anchor_area - inter);
}

/* Cells first .. last whose anchors may overlap from .. to; none: first > last. */
static void find_window(float low, float high, int step, int cells, float from, float to, int *first, int *last)
{
	double begin = floor(((double)from - high) / step), end = ceil(((double)to - low) / step);

	*first = begin > 0 ? begin < cells ? (int)begin : cells : 0;
	*last = end < cells - 1 ? end > -1 ? (int)end : -1 : cells - 1;
}

/* The largest overlap along one axis: at a cell whose anchor lies centred on the object, as nearly as cells allow. */
static float best_overlap(float low, float high, int step, int cells, float from, float to)
{
	double centre = ((double)from + to - low - high) / (2.0 * step);
	int near = (int)(centre < 0 ? 0 : centre > cells - 1 ? cells - 1 : centre); /* not negative: rounded down */
	float best = overlap(low, high, step, near, from, to);

	if (near + 1 < cells) {
		float next = overlap(low, high, step, near + 1, from, to);

		best = next > best ? next : best;
	}
	return best;
}

static float area_of(const float box[4])
{
	return (box[2] - box[0]) * (box[3] - box[1]);
}

static float best_of_kind(const struct kind *kind, const float object[4])
{
	const struct frcnn_anchor_grid *grid = &kind->grid;
	float x = best_overlap(kind->box[0], kind->box[2], grid->step_x, grid->width, object[0], object[2]);
	float y = best_overlap(kind->box[1], kind->box[3], grid->step_y, grid->height, object[1], object[3]);

	return iou_of(x, y, area_of(object), kind->area);
}

/* ---- one image ------------------------------------------------------------------------------- */

/* What a thread needs; anchor arrays are all zero between images. */
struct worker {
	float *iou;       /* of each anchor: with the object that it overlaps most */
	uint32_t *object; /* which one, from 0 */
	uint8_t *best;    /* it is the best that some object has */
	uint32_t *touched, ntouched;
	float *columns;  /* overlaps of a row of cells */
	int *cells;      /* and which cells they are */
	float *own;      /* best IoU of each kind with one object */
	int64_t *counts; /* a kind: anchors, positive, ignored */
	size_t *reached; /* a kind, FRCNN_ANCHOR_IOUS */
	size_t forced;
};

struct assignment {
	const struct frcnn_anchor_boxes *boxes;
	const struct frcnn_anchor_config *config;
	struct frcnn_cell_anchors *cells; /* nlevels */
	struct frcnn_anchor_stats *stats;
	struct worker *workers;
	size_t nworkers;
};

static uint32_t make_kinds(const struct assignment *a, const struct frcnn_anchor_image *image, struct kind *kinds)
{
	struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS];
	uint32_t first = 0;
	int n = 0;

	frcnn_anchor_grids(a->config, &image->size, grids);
	for (int level = 0; level < a->config->nlevels; level++) {
		const struct frcnn_cell_anchors *cell = &a->cells[level];

		for (int k = 0; k < cell->count; k++)
			kinds[n++] = (struct kind){cell->boxes + 4 * k, area_of(cell->boxes + 4 * k), grids[level],
						   first + (uint32_t)k, (uint32_t)cell->count};
		first += (uint32_t)grids[level].width * (uint32_t)grids[level].height * (uint32_t)cell->count;
	}
	return first;
}

static void touch(struct worker *w, uint32_t anchor, float iou, uint32_t object, float best)
{
	if (w->iou[anchor] == 0)
		w->touched[w->ntouched++] = anchor;
	if (iou > w->iou[anchor]) {
		w->iou[anchor] = iou;
		w->object[anchor] = object;
	}
	w->best[anchor] |= iou == best;
}

/* Visits the anchors of a kind that overlap the object by threshold (> 0) or more. */
static void visit(struct worker *w, const struct kind *kind, const float object[4], uint32_t number, float threshold,
		  float best)
{
	const struct frcnn_anchor_grid *grid = &kind->grid;
	const float *box = kind->box;
	float area = area_of(object);
	float most_y = best_overlap(box[1], box[3], grid->step_y, grid->height, object[1], object[3]);
	int first, last, ncolumns = 0;

	find_window(box[0], box[2], grid->step_x, grid->width, object[0], object[2], &first, &last);
	for (int x = first; x <= last; x++) {
		float length = overlap(box[0], box[2], grid->step_x, x, object[0], object[2]);

		if (iou_of(length, most_y, area, kind->area) < threshold)
			continue;
		w->columns[ncolumns] = length;
		w->cells[ncolumns++] = x;
	}
	find_window(box[1], box[3], grid->step_y, grid->height, object[1], object[3], &first, &last);
	for (int y = first; y <= last; y++) {
		float length = overlap(box[1], box[3], grid->step_y, y, object[1], object[3]);

		for (int c = 0; c < ncolumns; c++) {
			float iou = iou_of(w->columns[c], length, area, kind->area);
			uint32_t cell = (uint32_t)y * (uint32_t)grid->width + (uint32_t)w->cells[c];

			if (iou >= threshold)
				touch(w, kind->first + cell * kind->stride, iou, number, best);
		}
	}
}

/* The object that an anchor overlaps most, among all; equals: the first. */
static uint32_t match_of(const struct kind *kind, uint32_t anchor, const float *objects, size_t count)
{
	uint32_t cell = (anchor - kind->first) / kind->stride, match = 0;
	int x = (int)(cell % (uint32_t)kind->grid.width), y = (int)(cell / (uint32_t)kind->grid.width);
	float most = -1;

	for (size_t i = 0; i < count; i++) {
		const float *o = objects + 4 * i;
		float iou = iou_of(overlap(kind->box[0], kind->box[2], kind->grid.step_x, x, o[0], o[2]),
				   overlap(kind->box[1], kind->box[3], kind->grid.step_y, y, o[1], o[3]), area_of(o),
				   kind->area);

		if (iou > most) {
			most = iou;
			match = (uint32_t)i;
		}
	}
	return match;
}

static int kind_of(const struct kind *kinds, int nkinds, uint32_t anchor)
{
	int k = nkinds - 1;

	/* kinds of a level begin side by side, in its first cell */
	while (kinds[k].first > anchor || (anchor - kinds[k].first) % kinds[k].stride != 0)
		k--;
	return k;
}

static void settle(const struct assignment *a, struct worker *w, const struct frcnn_anchor_image *image,
		   const struct kind *kinds, uint32_t *matched)
{
	const float *objects = a->boxes->network + 4 * image->first;

	for (uint32_t t = 0; t < w->ntouched; t++) {
		uint32_t anchor = w->touched[t];
		int k = kind_of(kinds, a->stats->nkinds, anchor);

		if (w->best[anchor] || w->iou[anchor] >= FRCNN_ANCHOR_POSITIVE) {
			uint32_t object = w->object[anchor];

			/* below the threshold not every object was compared */
			if (w->iou[anchor] < FRCNN_ANCHOR_NEGATIVE)
				object = match_of(&kinds[k], anchor, objects, image->count);
			w->counts[3 * k + 1]++;
			matched[object]++;
		} else if (w->iou[anchor] >= FRCNN_ANCHOR_NEGATIVE) {
			w->counts[3 * k + 2]++;
		}
		w->iou[anchor] = 0;
		w->best[anchor] = 0;
	}
	w->ntouched = 0;
}

/* An object overlaps no anchor: its best IoU is 0, which all anchors have or exceed, so all are positive. */
static void force(const struct assignment *a, struct worker *w, const struct frcnn_anchor_image *image,
		  const struct kind *kinds, uint32_t *matched)
{
	const float *objects = a->boxes->network + 4 * image->first;

	for (int k = 0; k < a->stats->nkinds; k++) {
		uint32_t cells = (uint32_t)kinds[k].grid.width * (uint32_t)kinds[k].grid.height;

		w->counts[3 * k + 1] += cells;
		for (uint32_t cell = 0; cell < cells; cell++)
			matched[match_of(&kinds[k], kinds[k].first + cell * kinds[k].stride, objects, image->count)]++;
	}
	w->forced++;
}

static void assign_image(void *context, size_t index, int worker)
{
	const struct assignment *a = context;
	const struct frcnn_anchor_image *image = &a->boxes->images[index];
	struct frcnn_anchor_stats *stats = a->stats;
	struct worker *w = &a->workers[worker];
	struct kind kinds[FRCNN_MAX_LEVELS * FRCNN_MAX_CELL];
	bool forced = false;

	make_kinds(a, image, kinds);
	for (int k = 0; k < stats->nkinds; k++)
		w->counts[3 * k] += (int64_t)kinds[k].grid.width * kinds[k].grid.height;
	for (size_t i = 0; i < image->count; i++) {
		size_t n = image->first + i;
		const float *object = a->boxes->network + 4 * n;
		float threshold;

		stats->best[n] = -1;
		for (int k = 0; k < stats->nkinds; k++) {
			w->own[k] = best_of_kind(&kinds[k], object);
			if (w->own[k] > stats->best[n]) {
				stats->best[n] = w->own[k];
				stats->best_kind[n] = (uint16_t)k;
			}
			for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
				w->reached[k * FRCNN_ANCHOR_IOUS + t] += w->own[k] >= frcnn_anchor_ious[t];
		}
		forced |= stats->best[n] == 0;
		threshold = stats->best[n] < FRCNN_ANCHOR_NEGATIVE ? stats->best[n] : FRCNN_ANCHOR_NEGATIVE;
		for (int k = 0; k < stats->nkinds && threshold > 0; k++)
			if (w->own[k] >= threshold)
				visit(w, &kinds[k], object, (uint32_t)i, threshold, stats->best[n]);
	}
	if (!forced) {
		settle(a, w, image, kinds, stats->matched + image->first);
		return;
	}
	for (uint32_t t = 0; t < w->ntouched; t++) {
		w->iou[w->touched[t]] = 0;
		w->best[w->touched[t]] = 0;
	}
	w->ntouched = 0;
	force(a, w, image, kinds, stats->matched + image->first);
}

/* ---- all images ------------------------------------------------------------------------------ */

static void free_workers(struct assignment *a)
{
	for (size_t i = 0; a->workers && i < a->nworkers; i++) {
		struct worker *w = &a->workers[i];

		free(w->iou);
		free(w->object);
		free(w->best);
		free(w->touched);
		free(w->columns);
		free(w->cells);
		free(w->own);
		free(w->counts);
		free(w->reached);
	}
	free(a->workers);
}

/* The most anchors and the most cells in a row that an image has. */
static int find_sizes(const struct assignment *a, size_t *anchors, size_t *cells, struct frcnn_error *err)
{
	*anchors = *cells = 1;
	for (size_t i = 0; i < a->boxes->nimages; i++) {
		struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS];
		size_t sum = 0;

		frcnn_anchor_grids(a->config, &a->boxes->images[i].size, grids);
		for (int level = 0; level < a->config->nlevels; level++) {
			size_t width = (size_t)grids[level].width;

			sum += width * (size_t)grids[level].height * (size_t)a->cells[level].count;
			*cells = width > *cells ? width : *cells;
		}
		if (sum > INT32_MAX)
			return frcnn_fail(err, FRCNN_ELIMIT, "an image of %d x %d pixels would have %zu anchors",
					  a->boxes->images[i].size.width, a->boxes->images[i].size.height, sum);
		*anchors = sum > *anchors ? sum : *anchors;
	}
	return 0;
}

static int make_workers(struct assignment *a, size_t anchors, size_t cells)
{
	size_t nkinds = (size_t)a->stats->nkinds;

	a->workers = frcnn_calloc(a->nworkers, sizeof *a->workers);
	if (!a->workers)
		return FRCNN_ENOMEM;
	for (size_t i = 0; i < a->nworkers; i++) {
		struct worker *w = &a->workers[i];

		w->iou = frcnn_calloc(anchors, sizeof *w->iou);
		w->object = frcnn_calloc(anchors, sizeof *w->object);
		w->best = frcnn_calloc(anchors, sizeof *w->best);
		w->touched = frcnn_calloc(anchors, sizeof *w->touched);
		w->columns = frcnn_calloc(cells, sizeof *w->columns);
		w->cells = frcnn_calloc(cells, sizeof *w->cells);
		w->own = frcnn_calloc(nkinds, sizeof *w->own);
		w->counts = frcnn_calloc(3 * nkinds, sizeof *w->counts);
		w->reached = frcnn_calloc(FRCNN_ANCHOR_IOUS * nkinds, sizeof *w->reached);
		if (!w->iou || !w->object || !w->best || !w->touched || !w->columns || !w->cells || !w->own ||
		    !w->counts || !w->reached)
			return FRCNN_ENOMEM;
	}
	return 0;
}

static void name_kinds(const struct assignment *a)
{
	struct frcnn_anchor_kind *kind = a->stats->kinds;

	for (int level = 0; level < a->config->nlevels; level++) {
		const struct frcnn_anchor_level *l = &a->config->levels[level];

		for (int k = 0; k < l->nsizes * l->nratios; k++, kind++) {
			const float *box = a->cells[level].boxes + 4 * k;

			kind->level = level;
			kind->size = l->sizes[k % l->nsizes];
			kind->ratio = l->ratios[k / l->nsizes];
			kind->width = box[2] - box[0];
			kind->height = box[3] - box[1];
		}
	}
}

static void add_up(const struct assignment *a)
{
	struct frcnn_anchor_stats *stats = a->stats;

	for (int k = 0; k < stats->nkinds; k++) {
		struct frcnn_anchor_kind *kind = &stats->kinds[k];

		for (size_t i = 0; i < a->nworkers; i++) {
			const struct worker *w = &a->workers[i];

			kind->anchors += w->counts[3 * k];
			kind->positive += w->counts[3 * k + 1];
			kind->ignored += w->counts[3 * k + 2];
		}
		kind->negative = kind->anchors - kind->positive - kind->ignored;
		stats->anchors += kind->anchors;
		stats->positive += kind->positive;
		stats->negative += kind->negative;
		stats->ignored += kind->ignored;
		for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++) {
			size_t reached = 0;

			for (size_t i = 0; i < a->nworkers; i++)
				reached += a->workers[i].reached[k * FRCNN_ANCHOR_IOUS + t];
			kind->recall[t] = stats->nboxes ? (double)reached / (double)stats->nboxes : -1;
		}
	}
	for (size_t i = 0; i < a->nworkers; i++)
		stats->forced += a->workers[i].forced;
}

/* Mean and median of what each kind is best for. */
static int describe_kinds(struct frcnn_anchor_stats *stats, struct frcnn_error *err)
{
	double *values = frcnn_calloc(stats->nboxes, sizeof *values);
	size_t *at = frcnn_calloc((size_t)stats->nkinds + 1, sizeof *at);
	size_t sum = 0;

	if (!values || !at) {
		free(values);
		free(at);
		return frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < stats->nboxes; i++)
		stats->kinds[stats->best_kind[i]].best++;
	for (int k = 0; k < stats->nkinds; k++) {
		at[k] = sum;
		sum += stats->kinds[k].best;
	}
	for (size_t i = 0; i < stats->nboxes; i++)
		values[at[stats->best_kind[i]]++] = stats->best[i];
	for (int k = 0; k < stats->nkinds; k++) {
		struct frcnn_anchor_kind *kind = &stats->kinds[k];
		double *own = values + at[k] - kind->best, total = 0;

		frcnn_anchor_sort(own, kind->best);
		for (size_t i = 0; i < kind->best; i++)
			total += own[i];
		kind->mean = kind->best ? total / (double)kind->best : -1;
		kind->median = frcnn_anchor_quantile(own, kind->best, 0.5);
	}
	free(values);
	free(at);
	return 0;
}

int frcnn_anchors_assign(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config,
			 struct frcnn_pool *pool, struct frcnn_anchor_stats *out, struct frcnn_error *err)
{
	struct assignment a = {.boxes = boxes, .config = config, .stats = out};
	size_t anchors, cells;
	int status;

	memset(out, 0, sizeof *out);
	status = frcnn_anchor_config_check(config, err);
	if (status < 0)
		return status;
	out->nkinds = frcnn_anchor_config_kinds(config);
	out->nboxes = boxes->nboxes;
	out->kinds = frcnn_calloc((size_t)out->nkinds, sizeof *out->kinds);
	out->best = frcnn_calloc(boxes->nboxes, sizeof *out->best);
	out->best_kind = frcnn_calloc(boxes->nboxes, sizeof *out->best_kind);
	out->matched = frcnn_calloc(boxes->nboxes, sizeof *out->matched);
	a.cells = frcnn_calloc((size_t)config->nlevels, sizeof *a.cells);
	if (!out->kinds || !out->best || !out->best_kind || !out->matched || !a.cells) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (int level = 0; level < config->nlevels; level++)
		frcnn_cell_anchors(&config->levels[level], &a.cells[level]);
	name_kinds(&a);
	status = find_sizes(&a, &anchors, &cells, err);
	if (status < 0)
		goto out;
	a.nworkers = (size_t)frcnn_pool_threads(pool);
	if (make_workers(&a, anchors, cells) < 0) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	frcnn_pool_run(pool, boxes->nimages, assign_image, &a);
	add_up(&a);
	status = describe_kinds(out, err);
out:
	free_workers(&a);
	free(a.cells);
	if (status < 0)
		frcnn_anchor_stats_free(out);
	return status;
}

void frcnn_anchor_stats_free(struct frcnn_anchor_stats *stats)
{
	if (!stats)
		return;
	free(stats->kinds);
	free(stats->best);
	free(stats->best_kind);
	free(stats->matched);
	memset(stats, 0, sizeof *stats);
}

/* ---- best IoUs alone ------------------------------------------------------------------------- */

struct search {
	const struct frcnn_anchor_boxes *boxes;
	const struct frcnn_anchor_config *config;
	const struct frcnn_cell_anchors *cell;
	int level;
	float *best;
};

static void best_of_image(void *context, size_t index, int worker)
{
	const struct search *s = context;
	const struct frcnn_anchor_image *image = &s->boxes->images[index];
	struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS];

	(void)worker;
	frcnn_anchor_grids(s->config, &image->size, grids);
	for (size_t i = image->first; i < image->first + image->count; i++) {
		s->best[i] = 0;
		for (int k = 0; k < s->cell->count; k++) {
			const float *box = s->cell->boxes + 4 * k;
			struct kind kind = {box, area_of(box), grids[s->level], 0, 0};
			float iou = best_of_kind(&kind, s->boxes->network + 4 * i);

			if (iou > s->best[i])
				s->best[i] = iou;
		}
	}
}

void frcnn_anchors_best(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config, int level,
			struct frcnn_pool *pool, float *best)
{
	struct frcnn_cell_anchors cell;
	struct search search = {boxes, config, &cell, level, best};

	frcnn_cell_anchors(&config->levels[level], &cell);
	frcnn_pool_run(pool, boxes->nimages, best_of_image, &search);
}

/* ---- summaries ------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void frcnn_anchor_sort(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
}

double frcnn_anchor_quantile(const double *sorted, size_t count, double q)
{
	double at;
	size_t low;

	if (count == 0)
		return -1;
	at = q * (double)(count - 1);
	low = (size_t)at;
	if (low + 1 >= count)
		return sorted[count - 1];
	return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

int frcnn_anchors_summarize(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_stats *stats, int area,
			    struct frcnn_anchor_summary *out, struct frcnn_error *err)
{
	double *values = frcnn_calloc(boxes->nboxes, sizeof *values), total = 0;
	size_t n = 0, matched = 0, reached[FRCNN_ANCHOR_IOUS] = {0};

	memset(out, 0, sizeof *out);
	if (!values)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < boxes->nboxes; i++) {
		if (!frcnn_anchor_in_area(boxes->areas[i], area))
			continue;
		values[n++] = stats->best[i];
		total += stats->best[i];
		matched += stats->matched[i] > 0;
		for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
			reached[t] += stats->best[i] >= frcnn_anchor_ious[t];
	}
	frcnn_anchor_sort(values, n);
	out->objects = n;
	out->mean = n ? total / (double)n : -1;
	out->median = frcnn_anchor_quantile(values, n, 0.5);
	out->matched = n ? (double)matched / (double)n : -1;
	for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
		out->recall[t] = n ? (double)reached[t] / (double)n : -1;
	free(values);
	return 0;
}
