/*
 * COCO's precision and recall, to the last bit of pycocotools 2.0.11's COCOeval
 * (cocoeval.py: evaluateImg, accumulate, summarize).
 *
 * Per category and area range: every image's detections are matched at all IoU
 * thresholds, one bit a threshold; then the category's detections are walked in
 * order of score, and precision is looked up where recall first reaches each
 * threshold. Only true positives raise recall, and between two of them
 * precision only falls, so the envelope needs the true positives alone.
 */
#include "eval/eval.h"

#include <float.h>
#include <math.h>

/* np.linspace(.5, .95, 10) */
static const double coco_ious[10] = {0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.8999999999999999, 0.95};

void frcnn_eval_options_init(struct frcnn_eval_options *o)
{
	static const struct frcnn_eval_area areas[4] = {
	    {"all", 0, 1e10}, {"small", 0, 1024}, {"medium", 1024, 9216}, {"large", 9216, 1e10}};

	memset(o, 0, sizeof *o);
	o->nious = 10;
	memcpy(o->ious, coco_ious, sizeof coco_ious);
	o->nareas = 4;
	memcpy(o->areas, areas, sizeof areas);
	o->nmax_dets = 3;
	o->max_dets[0] = 1;
	o->max_dets[1] = 10;
	o->max_dets[2] = 100;
}

/* ---- one category ------------------------------------------------------------------ */

#define NOBODY  UINT32_MAX
#define SEVERAL (UINT32_MAX - 1)

/* Which object of its image a detection reaches at the lowest threshold, and at which ones (one bit each). */
struct reach {
	uint32_t object, at;
};

/* A worker's memory, for the largest category; true positives a threshold hold at most that many entries. */
struct worker {
	double *iou;         /* detections x objects of one image */
	struct reach *reach; /* detections of one image */
	uint32_t *object;    /* objects of one image in matching order */
	uint32_t *taken;     /* one bit a threshold: this object is matched */
	uint8_t *ignored;    /* objects of one image, of this area */
	uint32_t *matched;   /* one bit a threshold, a detection */
	uint32_t *left_out;  /* the same: matched to an ignored object, or unmatched and out of the area */
	uint32_t *rank;      /* of a detection within its image */
	uint32_t *order;     /* detections by score */
	uint32_t *spare;
	uint32_t *hit[FRCNN_EVAL_MAX_IOUS];   /* place in the order of each true positive */
	uint32_t *wrong[FRCNN_EVAL_MAX_IOUS]; /* false positives before it */
};

struct coco_job {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_detections *detections;
	const struct frcnn_eval_options *options;
	struct frcnn_eval_cells *cells;
	struct worker *workers;
	double least; /* no IoU below it matches at any threshold */
};

/* Detections first .. last and objects g_first .. g_last of one image. */
struct cell {
	size_t d_first, d_last, g_first, g_last;
};

/* Where matching at threshold t starts. */
static double start_of(const struct frcnn_eval_options *o, int t)
{
	return o->ious[t] < 1 - 1e-10 ? o->ious[t] : 1 - 1e-10;
}

/* IoUs of one cell, and what each detection reaches; false when nothing can match. */
static bool fill_ious(const struct coco_job *job, struct worker *w, struct cell cell)
{
	const struct frcnn_eval_truth *truth = job->truth;
	const struct frcnn_eval_options *o = job->options;
	double *iou = w->iou;
	bool any = false;

	for (size_t d = cell.d_first; d < cell.d_last; d++) {
		struct reach reach = {NOBODY, 0};

		for (size_t g = cell.g_first; g < cell.g_last; g++, iou++) {
			*iou = frcnn_eval_iou(job->detections->bbox + d * 4, truth->bbox + g * 4, truth->crowd[g] == 1);
			/* Behind NaN every object matches, whatever its IoU: nothing is below NaN. */
			if (!(*iou < job->least))
				reach.object =
				    reach.object == NOBODY && !isnan(*iou) ? (uint32_t)(g - cell.g_first) : SEVERAL;
		}
		any = any || reach.object != NOBODY;
		if (reach.object < SEVERAL)
			for (int t = 0; t < o->nious; t++)
				reach.at |= (uint32_t) !(
						iou[(ptrdiff_t)reach.object - (ptrdiff_t)(cell.g_last - cell.g_first)] <
						start_of(o, t))
					    << t;
		w->reach[d - cell.d_first] = reach;
	}
	return any;
}

/* pycocotools' loops at one threshold: the object of this detection, or NOBODY. w->object holds count objects in order
 * of matching. */
static uint32_t match_one(const struct coco_job *job, const struct worker *w, struct cell cell, const double *iou,
			  int t)
{
	size_t objects = cell.g_last - cell.g_first;
	double best = start_of(job->options, t);
	uint32_t m = NOBODY;

	for (size_t i = 0; i < objects; i++) {
		uint32_t g = w->object[i];

		if ((w->taken[g] >> t & 1) && !job->truth->crowd[cell.g_first + g])
			continue;
		if (m != NOBODY && !w->ignored[m] && w->ignored[g])
			break;
		if (iou[g] < best)
			continue;
		best = iou[g];
		m = g;
	}
	return m;
}

/* pycocotools' evaluateImg, all thresholds at once where a detection reaches one object alone. */
static void match_cell(const struct coco_job *job, struct worker *w, struct cell cell,
		       const struct frcnn_eval_area *area, uint32_t *matches, uint32_t *leaves_out)
{
	const struct frcnn_eval_truth *truth = job->truth;
	const struct frcnn_eval_options *o = job->options;
	size_t objects = cell.g_last - cell.g_first, n = 0;
	uint32_t every = o->nious == 32 ? UINT32_MAX : (1u << o->nious) - 1;

	for (size_t g = 0; g < objects; g++) {
		size_t at = cell.g_first + g;

		w->taken[g] = 0;
		w->ignored[g] = truth->crowd[at] || truth->area[at] < area->low || truth->area[at] > area->high;
		if (!w->ignored[g])
			w->object[n++] = (uint32_t)g;
	}
	/* Ignored objects come after those that count. */
	for (size_t g = 0; g < objects; g++)
		if (w->ignored[g])
			w->object[n++] = (uint32_t)g;
	for (size_t d = cell.d_first; d < cell.d_last; d++) {
		const double *box = job->detections->bbox + d * 4, *iou = w->iou + (d - cell.d_first) * objects;
		struct reach reach = w->reach[d - cell.d_first];
		double size = box[2] * box[3];
		uint32_t matched = 0, left_out = 0;

		for (int t = 0; t < o->nious && reach.object != NOBODY; t++) {
			uint32_t m = reach.object, at = 1u << t;

			if (m == SEVERAL) {
				m = match_one(job, w, cell, iou, t);
			} else {
				at = reach.at & (truth->crowd[cell.g_first + m] ? every : ~w->taken[m]);
				t = o->nious;
			}
			if (m == NOBODY)
				continue;
			w->taken[m] |= at;
			if (w->ignored[m])
				left_out |= at;
			/* There a match is the object's id, and 0 says that there is none. */
			if (!o->pycocotools || truth->id[cell.g_first + m] != 0)
				matched |= at;
		}
		if (size < area->low || size > area->high)
			left_out |= every & ~matched;
		matches[d - cell.d_first] = matched;
		leaves_out[d - cell.d_first] = left_out;
	}
}

/* Nothing matches: a detection counts as false unless its own area is out of the range. */
static void unmatched_cell(const struct coco_job *job, struct cell cell, const struct frcnn_eval_area *area,
			   uint32_t *matches, uint32_t *leaves_out)
{
	uint32_t every = job->options->nious == 32 ? UINT32_MAX : (1u << job->options->nious) - 1;

	for (size_t d = cell.d_first; d < cell.d_last; d++) {
		const double *box = job->detections->bbox + d * 4;
		double size = box[2] * box[3];

		matches[d - cell.d_first] = 0;
		leaves_out[d - cell.d_first] = size < area->low || size > area->high ? every : 0;
	}
}

/* How many true positives of so many objects reach each recall threshold: the fewest n with n / positives >= r * 0.01.
 */
static void count_reaches(size_t positives, size_t reaches[FRCNN_EVAL_RECALLS])
{
	size_t n = 0;

	for (int r = 0; r < FRCNN_EVAL_RECALLS; r++) {
		size_t about = (size_t)(r * 0.01 * (double)positives);

		/* At most one off: the division decides. */
		n = about > n + 1 ? about - 1 : n;
		while ((double)n / (double)positives < r * 0.01)
			n++;
		reaches[r] = n;
	}
}

/* Without a detection of a rank between two limits the cells are the same at both. */
static void copy_limit(struct frcnn_eval_cells *cells, size_t k, int a, int m)
{
	size_t last = (size_t)cells->M, step = (size_t)cells->K * (size_t)cells->A * last;
	size_t at = (k * (size_t)cells->A + (size_t)a) * last + (size_t)m;

	for (int t = 0; t < cells->T; t++) {
		cells->recall[at + (size_t)t * step] = cells->recall[at + (size_t)t * step - 1];
		for (int r = 0; r < cells->R; r++) {
			size_t cell = at + ((size_t)t * (size_t)cells->R + (size_t)r) * step;

			cells->precision[cell] = cells->precision[cell - 1];
			cells->scores[cell] = cells->scores[cell - 1];
		}
	}
}

/* pycocotools' accumulate, for one area and limit. w->order lists count detections (relative to the category's first)
 * by score; those of a rank beyond the limit are passed over. */
static void accumulate(const struct coco_job *job, struct worker *w, size_t k, int a, int m, size_t count,
		       const double *score, const uint32_t *matches, const uint32_t *leaves_out, size_t positives,
		       const size_t *reaches)
{
	struct frcnn_eval_cells *cells = job->cells;
	const struct frcnn_eval_options *o = job->options;
	uint32_t limit = (uint32_t)o->max_dets[m], every = o->nious == 32 ? UINT32_MAX : (1u << o->nious) - 1;
	uint32_t wrong[FRCNN_EVAL_MAX_IOUS] = {0}, hits[FRCNN_EVAL_MAX_IOUS] = {0};
	uint32_t wrong_everywhere = 0; /* false at all thresholds: most are; wrong[] counts the others */
	size_t nd = 0;
	double top = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t d = w->order[i], matched, counted;

		if (w->rank[d] >= limit)
			continue;
		if (nd++ == 0)
			top = score[d];
		counted = every & ~leaves_out[d];
		matched = matches[d] & counted;
		if (matched == 0 && (counted == every || counted == 0)) {
			wrong_everywhere += counted != 0;
			continue;
		}
		for (int t = 0; t < o->nious; t++)
			wrong[t] += (counted & ~matched) >> t & 1;
		for (; matched; matched &= matched - 1) {
			int t = __builtin_ctz(matched);

			w->hit[t][hits[t]] = d;
			w->wrong[t][hits[t]++] = wrong_everywhere + wrong[t];
		}
	}
	for (int t = 0; t < o->nious; t++) {
		size_t cell = (((size_t)t * FRCNN_EVAL_RECALLS * (size_t)cells->K + k) * (size_t)cells->A + (size_t)a) *
				  (size_t)cells->M +
			      (size_t)m;
		size_t step = (size_t)cells->K * (size_t)cells->A * (size_t)cells->M, n = hits[t], i = n;
		double envelope = 0;
		int r = FRCNN_EVAL_RECALLS - 1;

		cells->recall[(((size_t)t * (size_t)cells->K + k) * (size_t)cells->A + (size_t)a) * (size_t)cells->M +
			      (size_t)m] = n > 0 ? (double)n / (double)positives : 0;
		for (int q = 0; q < FRCNN_EVAL_RECALLS; q++)
			cells->precision[cell + (size_t)q * step] = cells->scores[cell + (size_t)q * step] = 0;
		/* From the highest recall down: thresholds that true positive i is the first to reach get the best
		 * precision from there on. */
		while (r > 0 && n < reaches[r])
			r--;
		while (i-- > 0) {
			double tp = (double)(i + 1);
			double precision = tp / ((double)w->wrong[t][i] + tp + DBL_EPSILON);

			if (precision > envelope)
				envelope = precision;
			for (; r > 0 && i < reaches[r]; r--) {
				cells->precision[cell + (size_t)r * step] = envelope;
				cells->scores[cell + (size_t)r * step] = score[w->hit[t][i]];
			}
		}
		/* Recall 0 is reached by the first detection, whatever it is. */
		if (nd > 0) {
			cells->precision[cell] = envelope;
			cells->scores[cell] = top;
		}
	}
}

/* a before b: descending score, NaN last */
static bool better(double a, double b)
{
	return a > b || (isnan(b) && !isnan(a));
}

/* Stable merge sort of order by score. */
static void sort_by_score(uint32_t *order, size_t count, const double *score, uint32_t *spare)
{
	uint32_t *from = order, *to = spare;

	for (size_t width = 1; width < count; width *= 2) {
		for (size_t start = 0; start < count; start += 2 * width) {
			size_t middle = start + width < count ? start + width : count;
			size_t end = middle + width < count ? middle + width : count;
			size_t a = start, b = middle, n = start;

			/* Two runs that are in order already need no comparing. */
			if (middle == end || !better(score[from[middle]], score[from[middle - 1]])) {
				memcpy(to + start, from + start, (end - start) * sizeof *to);
				continue;
			}
			while (a < middle && b < end)
				to[n++] = better(score[from[b]], score[from[a]]) ? from[b++] : from[a++];
			while (a < middle)
				to[n++] = from[a++];
			while (b < end)
				to[n++] = from[b++];
		}
		{
			uint32_t *swap = from;

			from = to;
			to = swap;
		}
	}
	if (from != order)
		memcpy(order, from, count * sizeof *order);
}

/* The next image's cell, at most limit detections of it; *next_* move on behind it. False at the end. */
static bool next_cell(const struct coco_job *job, size_t k, size_t *next_d, size_t *next_g, uint32_t limit,
		      struct cell *cell, size_t *d_end)
{
	const struct frcnn_eval_detections *dets = job->detections;
	const struct frcnn_eval_truth *truth = job->truth;
	size_t d = *next_d, g = *next_g, last_d = dets->category_first[k + 1], last_g = truth->category_first[k + 1];
	uint32_t image;

	if (d == last_d && g == last_g)
		return false;
	image = d == last_d                        ? truth->image[g]
		: g == last_g                      ? dets->image[d]
		: dets->image[d] < truth->image[g] ? dets->image[d]
						   : truth->image[g];
	cell->d_first = d;
	cell->g_first = g;
	while (d < last_d && dets->image[d] == image)
		d++;
	while (g < last_g && truth->image[g] == image)
		g++;
	cell->d_last = d - cell->d_first > limit ? cell->d_first + limit : d;
	cell->g_last = g;
	*next_d = *d_end = d;
	*next_g = g;
	return true;
}

static void category_task(void *context, size_t index, int worker)
{
	const struct coco_job *job = context;
	const struct frcnn_eval_options *o = job->options;
	struct worker *w = &job->workers[worker];
	size_t k = job->cells->category[index], first = job->detections->category_first[k], count = 0;
	uint32_t limit = (uint32_t)o->max_dets[o->nmax_dets - 1];
	size_t positives[FRCNN_EVAL_MAX_AREAS] = {0}, d = first, g = job->truth->category_first[k], end;
	size_t n = job->detections->category_first[k + 1] - first, most = 0, reaches[FRCNN_EVAL_RECALLS];
	struct cell cell;

	for (size_t i = g; i < job->truth->category_first[k + 1]; i++)
		for (int a = 0; a < o->nareas; a++)
			positives[a] += !job->truth->crowd[i] && !(job->truth->area[i] < o->areas[a].low) &&
					!(job->truth->area[i] > o->areas[a].high);
	/* Ranks, and the order by score over all images. */
	while (next_cell(job, k, &d, &g, limit, &cell, &end)) {
		for (size_t i = cell.d_first; i < end; i++)
			w->rank[i - first] = (uint32_t)(i - cell.d_first);
		for (size_t i = cell.d_first; i < cell.d_last; i++)
			w->order[count++] = (uint32_t)(i - first);
		if (cell.d_last - cell.d_first > most)
			most = cell.d_last - cell.d_first;
	}
	sort_by_score(w->order, count, job->detections->score + first, w->spare);
	d = first;
	g = job->truth->category_first[k];
	while (next_cell(job, k, &d, &g, limit, &cell, &end)) {
		bool overlap = cell.d_first < cell.d_last && cell.g_first < cell.g_last && fill_ious(job, w, cell);

		for (int a = 0; a < o->nareas; a++) {
			size_t at = (size_t)a * n + (cell.d_first - first);

			if (positives[a] > 0 && overlap)
				match_cell(job, w, cell, &o->areas[a], w->matched + at, w->left_out + at);
			else if (positives[a] > 0)
				unmatched_cell(job, cell, &o->areas[a], w->matched + at, w->left_out + at);
		}
	}
	/* Without an object that counts the cells stay -1. */
	for (int a = 0; a < o->nareas; a++) {
		if (positives[a] == 0)
			continue;
		count_reaches(positives[a], reaches);
		for (int m = 0; m < o->nmax_dets; m++) {
			if (m > 0 && most <= (size_t)o->max_dets[m - 1])
				copy_limit(job->cells, index, a, m);
			else
				accumulate(job, w, index, a, m, count, job->detections->score + first,
					   w->matched + (size_t)a * n, w->left_out + (size_t)a * n, positives[a],
					   reaches);
		}
	}
}

/* ---- memory ------------------------------------------------------------------------------ */

/* The most detections (up to limit), objects, and products of both that one image and category has; the most
 * detections of a category. */
struct extent {
	size_t objects, detections, products, category;
};

static struct extent measure(const struct coco_job *job, size_t limit)
{
	struct extent e = {0};

	for (int i = 0; i < job->cells->K; i++) {
		size_t k = job->cells->category[i], d = job->detections->category_first[k];
		size_t g = job->truth->category_first[k], n = job->detections->category_first[k + 1] - d, end;
		struct cell cell;

		if (n > e.category)
			e.category = n;
		while (next_cell(job, k, &d, &g, (uint32_t)limit, &cell, &end)) {
			size_t objects = cell.g_last - cell.g_first, found = cell.d_last - cell.d_first;
			size_t products = objects * found;

			if (found > e.detections)
				e.detections = found;
			if (objects > e.objects)
				e.objects = objects;
			if (products > e.products)
				e.products = products;
		}
	}
	return e;
}

static void free_workers(struct worker *workers, int count)
{
	for (int i = 0; workers && i < count; i++) {
		struct worker *w = &workers[i];

		free(w->iou);
		free(w->reach);
		free(w->object);
		free(w->taken);
		free(w->ignored);
		free(w->matched);
		free(w->left_out);
		free(w->rank);
		free(w->order);
		free(w->spare);
		for (int t = 0; t < FRCNN_EVAL_MAX_IOUS; t++) {
			free(w->hit[t]);
			free(w->wrong[t]);
		}
	}
	free(workers);
}

/* True positives of a category are at most its objects, or its detections where crowds match again and again: those
 * are ignored, so objects bound them. */
static size_t most_objects(const struct coco_job *job)
{
	size_t most = 0;

	for (int i = 0; i < job->cells->K; i++) {
		size_t k = job->cells->category[i];
		size_t n = job->truth->category_first[k + 1] - job->truth->category_first[k];

		if (n > most)
			most = n;
	}
	return most;
}

static struct worker *make_workers(const struct coco_job *job, int count)
{
	struct extent e = measure(job, (size_t)job->options->max_dets[job->options->nmax_dets - 1]);
	struct worker *workers = frcnn_calloc((size_t)count, sizeof *workers);
	size_t hits = most_objects(job);

	for (int i = 0; workers && i < count; i++) {
		struct worker *w = &workers[i];
		bool whole;

		w->iou = frcnn_calloc(e.products, sizeof *w->iou);
		w->reach = frcnn_calloc(e.detections, sizeof *w->reach);
		w->object = frcnn_calloc(e.objects, sizeof *w->object);
		w->taken = frcnn_calloc(e.objects, sizeof *w->taken);
		w->ignored = frcnn_calloc(e.objects, sizeof *w->ignored);
		w->matched = frcnn_calloc(e.category, (size_t)job->options->nareas * sizeof *w->matched);
		w->left_out = frcnn_calloc(e.category, (size_t)job->options->nareas * sizeof *w->left_out);
		w->rank = frcnn_calloc(e.category, sizeof *w->rank);
		w->order = frcnn_calloc(e.category, sizeof *w->order);
		w->spare = frcnn_calloc(e.category, sizeof *w->spare);
		whole = w->iou && w->reach && w->object && w->taken && w->ignored && w->matched && w->left_out &&
			w->rank && w->order && w->spare;
		for (int t = 0; t < job->options->nious; t++) {
			w->hit[t] = frcnn_calloc(hits, sizeof **w->hit);
			w->wrong[t] = frcnn_calloc(hits, sizeof **w->wrong);
			whole = whole && w->hit[t] && w->wrong[t];
		}
		if (!whole) {
			free_workers(workers, count);
			return NULL;
		}
	}
	return workers;
}

static double *minus_ones(size_t count)
{
	double *out = frcnn_calloc(count, sizeof *out);

	for (size_t i = 0; out && i < count; i++)
		out[i] = -1;
	return out;
}

static int check_options(const struct frcnn_eval_options *o, struct frcnn_error *err)
{
	if (o->nious < 1 || o->nious > FRCNN_EVAL_MAX_IOUS || o->nareas < 1 || o->nareas > FRCNN_EVAL_MAX_AREAS ||
	    o->nmax_dets < 1 || o->nmax_dets > FRCNN_EVAL_MAX_DETS)
		return frcnn_fail(err, FRCNN_EINVAL, "%d IoU thresholds, %d areas, %d limits of detections", o->nious,
				  o->nareas, o->nmax_dets);
	for (int m = 0; m < o->nmax_dets; m++)
		if (o->max_dets[m] < 1 || (m > 0 && o->max_dets[m] <= o->max_dets[m - 1]))
			return frcnn_fail(err, FRCNN_EINVAL, "limits of detections must be positive and ascend");
	return 0;
}

static int coco(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		const struct frcnn_eval_options *o, struct frcnn_pool *pool, struct frcnn_eval_cells *out,
		struct frcnn_error *err)
{
	struct coco_job job = {truth, detections, o, out, NULL, 1 - 1e-10};
	size_t cells;

	for (int t = 0; t < o->nious; t++)
		if (o->ious[t] < job.least)
			job.least = o->ious[t];

	out->category = frcnn_calloc(truth->ncategories, sizeof *out->category);
	if (!out->category)
		return frcnn_fail_nomem(err);
	for (size_t k = 0; k < truth->ncategories; k++)
		if (!o->categories || o->categories[k])
			out->category[out->K++] = (uint32_t)k;
	out->T = o->nious;
	out->R = FRCNN_EVAL_RECALLS;
	out->A = o->nareas;
	out->M = o->nmax_dets;
	cells = (size_t)out->T * (size_t)out->K * (size_t)out->A * (size_t)out->M;
	out->precision = minus_ones(cells * FRCNN_EVAL_RECALLS);
	out->scores = minus_ones(cells * FRCNN_EVAL_RECALLS);
	out->recall = minus_ones(cells);
	job.workers = make_workers(&job, frcnn_pool_threads(pool));
	if (!out->precision || !out->scores || !out->recall || !job.workers) {
		free_workers(job.workers, frcnn_pool_threads(pool));
		return frcnn_fail_nomem(err);
	}
	frcnn_pool_run(pool, (size_t)out->K, category_task, &job);
	free_workers(job.workers, frcnn_pool_threads(pool));
	return 0;
}

/* ---- without categories ---------------------------------------------------------------------- */

/* All categories as one: within an image by category, then as before. */
static int collapse(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *dets,
		    const uint8_t *categories, struct frcnn_eval_truth *t, struct frcnn_eval_collector *c)
{
	size_t *next = frcnn_calloc(truth->nimages + 1, sizeof *next), kept = 0;
	int status = 0;

	*t = *truth;
	t->ncategories = 1;
	t->category_first = frcnn_calloc(2, sizeof *t->category_first);
	t->image = frcnn_calloc(truth->nobjects, sizeof *t->image);
	t->bbox = frcnn_calloc(truth->nobjects, 4 * sizeof *t->bbox);
	t->area = frcnn_calloc(truth->nobjects, sizeof *t->area);
	t->crowd = frcnn_calloc(truth->nobjects, sizeof *t->crowd);
	t->id = frcnn_calloc(truth->nobjects, sizeof *t->id);
	if (!next || !t->category_first || !t->image || !t->bbox || !t->area || !t->crowd || !t->id) {
		free(next);
		return FRCNN_ENOMEM;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < truth->ncategories; k++) {
			if (categories && !categories[k])
				continue;
			for (size_t g = truth->category_first[k]; g < truth->category_first[k + 1]; g++) {
				size_t at;

				if (pass == 0) {
					next[truth->image[g] + 1]++;
					kept++;
					continue;
				}
				at = next[truth->image[g]]++;
				t->image[at] = truth->image[g];
				memcpy(t->bbox + at * 4, truth->bbox + g * 4, 4 * sizeof *t->bbox);
				t->area[at] = truth->area[g];
				t->crowd[at] = truth->crowd[g];
				t->id[at] = truth->id[g];
			}
		}
		for (size_t i = 0; pass == 0 && i < truth->nimages; i++)
			next[i + 1] += next[i];
	}
	free(next);
	t->nobjects = t->category_first[1] = kept;
	for (size_t k = 0; k < truth->ncategories && !status; k++)
		for (size_t d = dets->category_first[k]; d < dets->category_first[k + 1] && !status; d++)
			if (!categories || categories[k])
				status = frcnn_eval_collect(c, dets->image[d], 0, dets->bbox + d * 4, dets->score[d]);
	return status;
}

static int agnostic(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    const struct frcnn_eval_options *options, struct frcnn_pool *pool, struct frcnn_eval_cells *out,
		    struct frcnn_error *err)
{
	struct frcnn_eval_options o = *options;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_detections together = {0};
	struct frcnn_eval_truth t = {0};
	int status = collapse(truth, detections, options->categories, &t, &collector);

	o.categories = NULL;
	if (status)
		frcnn_fail_nomem(err);
	if (!status)
		status = frcnn_eval_detections_make(&collector, &t, pool, &together, err);
	if (!status)
		status = coco(&t, &together, &o, pool, out, err);
	free(t.category_first);
	free(t.image);
	free(t.bbox);
	free(t.area);
	free(t.crowd);
	free(t.id);
	frcnn_eval_collector_free(&collector);
	frcnn_eval_detections_free(&together);
	return status;
}

int frcnn_eval_coco(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    const struct frcnn_eval_options *options, struct frcnn_pool *pool, struct frcnn_eval_cells *out,
		    struct frcnn_error *err)
{
	int status = check_options(options, err);

	memset(out, 0, sizeof *out);
	if (!status)
		status = (options->agnostic ? agnostic : coco)(truth, detections, options, pool, out, err);
	if (status)
		frcnn_eval_cells_free(out);
	return status;
}

void frcnn_eval_cells_free(struct frcnn_eval_cells *cells)
{
	if (!cells)
		return;
	free(cells->precision);
	free(cells->recall);
	free(cells->scores);
	free(cells->category);
	memset(cells, 0, sizeof *cells);
}

/* ---- means -------------------------------------------------------------------------------------- */

/* Walks the chosen values > -1 in [T, R, K] order. */
struct walk {
	const double *at; /* value [t][r][k] of the area and limit */
	size_t step;      /* from one category to the next */
	int R;            /* 1: recall */
	int t_end, k_first, k_end;
	int t, r, k;
	size_t K;
};

static bool walk_next(struct walk *w, double *out)
{
	for (; w->t < w->t_end; w->t++, w->r = 0) {
		for (; w->r < w->R; w->r++, w->k = w->k_first) {
			const double *row = w->at + ((size_t)w->t * (size_t)w->R + (size_t)w->r) * w->K * w->step;

			while (w->k < w->k_end) {
				*out = row[(size_t)w->k++ * w->step];
				if (*out > -1)
					return true;
			}
		}
	}
	return false;
}

/* The next n values by numpy's pairwise sum: eight accumulators up to 128 values, halves of whole eights above. */
static double pairwise(struct walk *w, size_t n)
{
	double r[8] = {0}, sum = 0, value = 0;
	size_t i, half;

	if (n > 128) {
		half = n / 2;
		half -= half % 8;
		sum = pairwise(w, half);
		return sum + pairwise(w, n - half);
	}
	if (n < 8) {
		for (i = 0; i < n && walk_next(w, &value); i++)
			sum += value;
		return sum;
	}
	for (i = 0; i < n - n % 8 && walk_next(w, &value); i++)
		r[i % 8] = i < 8 ? value : r[i % 8] + value;
	sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
	for (; i < n && walk_next(w, &value); i++)
		sum += value;
	return sum;
}

double frcnn_eval_mean(const struct frcnn_eval_cells *cells, bool recall, int iou, int category, int area, int max_dets)
{
	size_t step = (size_t)cells->A * (size_t)cells->M;
	struct walk walk = {.at = (recall ? cells->recall : cells->precision) + (size_t)area * (size_t)cells->M +
				  (size_t)max_dets,
			    .step = step,
			    .R = recall ? 1 : cells->R,
			    .t = iou < 0 ? 0 : iou,
			    .t_end = iou < 0 ? cells->T : iou + 1,
			    .k = category < 0 ? 0 : category,
			    .k_first = category < 0 ? 0 : category,
			    .k_end = category < 0 ? cells->K : category + 1,
			    .K = (size_t)cells->K};
	struct walk counting = walk;
	size_t n = 0;
	double value;

	while (walk_next(&counting, &value))
		n++;
	return n > 0 ? pairwise(&walk, n) / (double)n : -1;
}

static int find_area(const struct frcnn_eval_options *o, const char *name)
{
	for (int a = 0; a < o->nareas; a++)
		if (!strcmp(o->areas[a].name, name))
			return a;
	return -1;
}

void frcnn_eval_stats(const struct frcnn_eval_cells *cells, const struct frcnn_eval_options *o, double stats[12])
{
	static const char *const names[4] = {"all", "small", "medium", "large"};
	int last = o->nmax_dets - 1, main_limit = last, iou50 = -2, iou75 = -2, areas[4];

	for (int t = 0; t < o->nious; t++) {
		iou50 = o->ious[t] == 0.5 ? t : iou50;
		iou75 = o->ious[t] == 0.75 ? t : iou75;
	}
	for (int a = 0; a < 4; a++)
		areas[a] = find_area(o, names[a]);
	for (int i = 0; i < 12; i++)
		stats[i] = -1;
	if (o->pycocotools) {
		/* It looks for 100, and takes the third limit for the rest. */
		main_limit = -1;
		for (int m = 0; m < o->nmax_dets; m++)
			if (o->max_dets[m] == 100)
				main_limit = m;
		last = o->nmax_dets > 2 ? 2 : last;
	}
	if (areas[0] >= 0) {
		if (main_limit >= 0)
			stats[0] = frcnn_eval_mean(cells, false, -1, -1, areas[0], main_limit);
		if (iou50 >= 0)
			stats[1] = frcnn_eval_mean(cells, false, iou50, -1, areas[0], last);
		if (iou75 >= 0)
			stats[2] = frcnn_eval_mean(cells, false, iou75, -1, areas[0], last);
		if (last > 0 || o->max_dets[0] == 1)
			stats[6] = frcnn_eval_mean(cells, true, -1, -1, areas[0], 0);
		if (last > 1)
			stats[7] = frcnn_eval_mean(cells, true, -1, -1, areas[0], 1);
		stats[8] = frcnn_eval_mean(cells, true, -1, -1, areas[0], last);
	}
	for (int a = 1; a < 4; a++) {
		if (areas[a] < 0)
			continue;
		stats[2 + a] = frcnn_eval_mean(cells, false, -1, -1, areas[a], last);
		stats[8 + a] = frcnn_eval_mean(cells, true, -1, -1, areas[a], last);
	}
}
