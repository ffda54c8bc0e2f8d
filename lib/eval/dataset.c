/* Ground truth and detections as columns, by category, then image. */
#include "eval/eval.h"

#include <math.h>

/* ---- sorting indices ------------------------------------------------------------ */

/* Stable counting sort of count indices by key (0 .. nkeys - 1) of what they point at. first (nkeys + 1) becomes the
 * start of each key's run. */
static void sort_by_key(const uint32_t *from, uint32_t *to, size_t count, const uint32_t *key, size_t nkeys,
			size_t *first)
{
	memset(first, 0, (nkeys + 1) * sizeof *first);
	for (size_t i = 0; i < count; i++)
		first[key[i] + 1]++;
	for (size_t k = 0; k < nkeys; k++)
		first[k + 1] += first[k];
	for (size_t i = 0; i < count; i++)
		to[first[key[from[i]]]++] = from[i];
	/* Each start has moved to its run's end, which is the next one's start. */
	memmove(first + 1, first, nkeys * sizeof *first);
	first[0] = 0;
}

/* Order by category, then image, stable. Returns the order (count, to be freed), NULL when memory is refused. */
static uint32_t *group(const uint32_t *category, const uint32_t *image, size_t count, size_t ncategories,
		       size_t nimages, size_t *category_first)
{
	uint32_t *a = frcnn_calloc(count, sizeof *a), *b = frcnn_calloc(count, sizeof *b);
	size_t *first = frcnn_calloc(nimages + 1, sizeof *first);

	if (!a || !b || !first) {
		free(a);
		free(b);
		free(first);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		a[i] = (uint32_t)i;
	sort_by_key(a, b, count, image, nimages, first);
	sort_by_key(b, a, count, category, ncategories, category_first);
	free(first);
	free(b);
	return a;
}

struct numbered {
	int64_t id;
	size_t index;
};

static int by_id(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Ids in ascending order with where they stood; NULL when memory is refused. */
static struct numbered *sort_ids(const int64_t *ids, size_t count)
{
	struct numbered *out = frcnn_calloc(count, sizeof *out);

	for (size_t i = 0; out && i < count; i++)
		out[i] = (struct numbered){ids[i], i};
	if (out && count)
		qsort(out, count, sizeof *out, by_id);
	return out;
}

/* ---- ground truth ----------------------------------------------------------------- */

static int take_images(const struct frcnn_ground_truth *g, struct frcnn_eval_truth *out, uint32_t *place)
{
	struct numbered *sorted = sort_ids(g->image_ids, g->nimages);

	out->image_ids = frcnn_calloc(g->nimages, sizeof *out->image_ids);
	out->file_names = frcnn_calloc(g->nimages, sizeof *out->file_names);
	out->widths = frcnn_calloc(g->nimages, sizeof *out->widths);
	out->heights = frcnn_calloc(g->nimages, sizeof *out->heights);
	if (!sorted || !out->image_ids || !out->file_names || !out->widths || !out->heights) {
		free(sorted);
		return FRCNN_ENOMEM;
	}
	out->nimages = g->nimages;
	for (size_t i = 0; i < g->nimages; i++) {
		size_t from = sorted[i].index;

		out->image_ids[i] = sorted[i].id;
		out->file_names[i] = g->file_names[from];
		out->widths[i] = g->widths[from];
		out->heights[i] = g->heights[from];
		place[from] = (uint32_t)i;
	}
	free(sorted);
	return 0;
}

static int take_categories(const struct frcnn_ground_truth *g, struct frcnn_eval_truth *out)
{
	struct numbered *sorted = sort_ids(g->category_ids, g->ncategories);

	out->category_ids = frcnn_calloc(g->ncategories, sizeof *out->category_ids);
	out->category_names = frcnn_calloc(g->ncategories, sizeof *out->category_names);
	if (!sorted || !out->category_ids || !out->category_names) {
		free(sorted);
		return FRCNN_ENOMEM;
	}
	out->ncategories = g->ncategories;
	for (size_t i = 0; i < g->ncategories; i++) {
		out->category_ids[i] = sorted[i].id;
		out->category_names[i] = g->category_names[sorted[i].index];
	}
	free(sorted);
	return 0;
}

bool frcnn_eval_category(const struct frcnn_eval_truth *truth, int64_t id, uint32_t *index)
{
	size_t low = 0, high = truth->ncategories;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (truth->category_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	*index = (uint32_t)low;
	return low < truth->ncategories && truth->category_ids[low] == id;
}

/* Annotation i stands for annotation same[i]: the last one of its id. */
static uint32_t *last_of_id(const struct frcnn_ground_truth *g)
{
	struct numbered *sorted = sort_ids(g->annotation_ids, g->nannotations);
	uint32_t *same = frcnn_calloc(g->nannotations, sizeof *same);

	for (size_t i = g->nannotations; sorted && same && i-- > 0;) {
		bool last = i + 1 == g->nannotations || sorted[i + 1].id != sorted[i].id;

		same[sorted[i].index] = last ? (uint32_t)sorted[i].index : same[sorted[i + 1].index];
	}
	if (!sorted) {
		free(same);
		same = NULL;
	}
	free(sorted);
	return same;
}

static int take_objects(const struct frcnn_ground_truth *g, bool pycocotools, const uint32_t *place,
			struct frcnn_eval_truth *out)
{
	uint32_t *source = frcnn_calloc(g->nannotations, sizeof *source);
	uint32_t *image = frcnn_calloc(g->nannotations, sizeof *image);
	uint32_t *category = frcnn_calloc(g->nannotations, sizeof *category);
	uint32_t *inverse = frcnn_calloc(g->nimages, sizeof *inverse);
	uint32_t *same = pycocotools ? last_of_id(g) : NULL, *order = NULL;
	size_t n = 0;
	int status = FRCNN_ENOMEM;

	out->category_first = frcnn_calloc(out->ncategories + 1, sizeof *out->category_first);
	if (!source || !image || !category || !inverse || !out->category_first || (pycocotools && !same))
		goto out;
	/* Image by image, so that duplicates come in pycocotools' order. */
	for (size_t i = 0; i < g->nimages; i++)
		inverse[place[i]] = (uint32_t)i;
	for (size_t i = 0; i < g->nimages; i++) {
		for (size_t p = g->first[inverse[i]]; p < g->first[inverse[i] + 1]; p++) {
			size_t from = g->by_image[p], at = same ? same[from] : from;
			uint32_t k;

			if (!frcnn_eval_category(out, g->annotation_categories[from], &k) ||
			    !frcnn_eval_category(out, g->annotation_categories[at], &k))
				continue;
			source[n] = (uint32_t)at;
			image[n] = place[g->annotation_images[at]];
			category[n++] = k;
		}
	}
	order = group(category, image, n, out->ncategories, out->nimages, out->category_first);
	out->image = frcnn_calloc(n, sizeof *out->image);
	out->bbox = frcnn_calloc(n, 4 * sizeof *out->bbox);
	out->area = frcnn_calloc(n, sizeof *out->area);
	out->crowd = frcnn_calloc(n, sizeof *out->crowd);
	out->id = frcnn_calloc(n, sizeof *out->id);
	out->order = frcnn_calloc(n, sizeof *out->order);
	if (!order || !out->image || !out->bbox || !out->area || !out->crowd || !out->id || !out->order)
		goto out;
	out->nobjects = n;
	for (size_t i = 0; i < n; i++) {
		size_t from = source[order[i]];

		out->image[i] = image[order[i]];
		memcpy(out->bbox + i * 4, g->bboxes + from * 4, 4 * sizeof *out->bbox);
		out->area[i] = g->areas[from];
		out->crowd[i] = g->crowds[from];
		out->id[i] = g->annotation_ids[from];
		out->order[i] = (uint32_t)from;
	}
	status = 0;
out:
	free(source);
	free(image);
	free(category);
	free(inverse);
	free(same);
	free(order);
	return status;
}

int frcnn_eval_truth_make(const struct frcnn_ground_truth *g, bool pycocotools, struct frcnn_eval_truth *out,
			  struct frcnn_error *err)
{
	uint32_t *place;
	int status;

	memset(out, 0, sizeof *out);
	if (g->nannotations > UINT32_MAX || g->nimages > UINT32_MAX || g->ncategories > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "more than %u images, categories or annotations", UINT32_MAX);
	place = frcnn_calloc(g->nimages, sizeof *place);
	status = place ? take_images(g, out, place) : FRCNN_ENOMEM;
	if (!status)
		status = take_categories(g, out);
	if (!status)
		status = take_objects(g, pycocotools, place, out);
	free(place);
	if (status) {
		frcnn_eval_truth_free(out);
		return frcnn_fail_nomem(err);
	}
	return 0;
}

void frcnn_eval_truth_free(struct frcnn_eval_truth *truth)
{
	if (!truth)
		return;
	free(truth->image_ids);
	free(truth->file_names);
	free(truth->widths);
	free(truth->heights);
	free(truth->category_ids);
	free(truth->category_names);
	free(truth->category_first);
	free(truth->image);
	free(truth->bbox);
	free(truth->area);
	free(truth->crowd);
	free(truth->id);
	free(truth->order);
	memset(truth, 0, sizeof *truth);
}

/* ---- detections --------------------------------------------------------------------- */

int frcnn_eval_reserve(struct frcnn_eval_collector *c, size_t needed)
{
	size_t capacity = c->capacity ? c->capacity : 1024;
	void *grown;

	if (needed <= c->capacity)
		return 0;
	if (needed > UINT32_MAX)
		return FRCNN_ENOMEM;
	while (capacity < needed)
		capacity += capacity / 2;
#define GROW(column, width)                                                                                            \
	do {                                                                                                           \
		grown = frcnn_realloc(c->column, capacity, (width) * sizeof *c->column);                               \
		if (!grown)                                                                                            \
			return FRCNN_ENOMEM;                                                                           \
		c->column = grown;                                                                                     \
	} while (0)
	GROW(image, 1);
	GROW(category, 1);
	GROW(bbox, 4);
	GROW(score, 1);
#undef GROW
	c->capacity = capacity;
	return 0;
}

int frcnn_eval_collect(struct frcnn_eval_collector *c, uint32_t image, uint32_t category, const double bbox[4],
		       double score)
{
	if (c->count == c->capacity && frcnn_eval_reserve(c, c->count + 1))
		return FRCNN_ENOMEM;
	c->image[c->count] = image;
	c->category[c->count] = category;
	memcpy(c->bbox + c->count * 4, bbox, 4 * sizeof *bbox);
	c->score[c->count++] = score;
	return 0;
}

void frcnn_eval_collector_free(struct frcnn_eval_collector *c)
{
	if (!c)
		return;
	free(c->image);
	free(c->category);
	free(c->bbox);
	free(c->score);
	memset(c, 0, sizeof *c);
}

/* Whether score a comes before b: descending, NaN last (as numpy sorts -score). */
static bool better(double a, double b)
{
	return a > b || (isnan(b) && !isnan(a));
}

/* The detections of one image and category: few as a rule, so insertion; a merge for the many. */
static void sort_run(uint32_t *order, size_t count, const double *score, uint32_t *spare)
{
	size_t half = count / 2, a = 0, b = half, n = 0;

	if (count <= 16) {
		for (size_t i = 1; i < count; i++) {
			uint32_t item = order[i];
			size_t at = i;

			for (; at > 0 && better(score[item], score[order[at - 1]]); at--)
				order[at] = order[at - 1];
			order[at] = item;
		}
		return;
	}
	sort_run(order, half, score, spare);
	sort_run(order + half, count - half, score, spare);
	while (a < half && b < count)
		spare[n++] = better(score[order[b]], score[order[a]]) ? order[b++] : order[a++];
	while (a < half)
		spare[n++] = order[a++];
	memcpy(order, spare, n * sizeof *order); /* what is left of the second half is in place */
}

struct make_job {
	const struct frcnn_eval_collector *from;
	struct frcnn_eval_detections *to;
	uint32_t *order, *spare;
};

static void sort_category(void *context, size_t k, int worker)
{
	struct make_job *job = context;
	size_t first = job->to->category_first[k], end = job->to->category_first[k + 1];
	const uint32_t *image = job->from->image;

	(void)worker;
	for (size_t at = first, next; at < end; at = next) {
		for (next = at + 1; next < end && image[job->order[next]] == image[job->order[at]];)
			next++;
		sort_run(job->order + at, next - at, job->from->score, job->spare + at);
	}
	for (size_t i = first; i < end; i++) {
		job->to->image[i] = image[job->order[i]];
		job->to->score[i] = job->from->score[job->order[i]];
	}
}

static void move_boxes(void *context, size_t k, int worker)
{
	struct make_job *job = context;

	(void)worker;
	for (size_t i = job->to->category_first[k]; i < job->to->category_first[k + 1]; i++)
		memcpy(job->to->bbox + i * 4, job->from->bbox + (size_t)job->order[i] * 4, 4 * sizeof(double));
}

int frcnn_eval_detections_make(struct frcnn_eval_collector *c, const struct frcnn_eval_truth *truth,
			       struct frcnn_pool *pool, struct frcnn_eval_detections *out, struct frcnn_error *err)
{
	struct make_job job = {.from = c, .to = out};
	size_t n = c->count;

	memset(out, 0, sizeof *out);
	out->category_first = frcnn_calloc(truth->ncategories + 1, sizeof *out->category_first);
	if (out->category_first)
		job.order = group(c->category, c->image, n, truth->ncategories, truth->nimages, out->category_first);
	job.spare = frcnn_calloc(n, sizeof *job.spare);
	out->image = frcnn_calloc(n, sizeof *out->image);
	out->score = frcnn_calloc(n, sizeof *out->score);
	if (!job.order || !job.spare || !out->image || !out->score)
		goto out;
	frcnn_pool_run(pool, truth->ncategories, sort_category, &job);
	/* Columns that are no longer needed go before the next ones come. */
	free(job.spare);
	job.spare = NULL;
	free(c->image);
	free(c->category);
	free(c->score);
	c->image = c->category = NULL;
	c->score = NULL;
	out->bbox = frcnn_calloc(n, 4 * sizeof *out->bbox);
	if (!out->bbox)
		goto out;
	frcnn_pool_run(pool, truth->ncategories, move_boxes, &job);
	out->count = n;
	out->order = job.order;
	job.order = NULL;
	frcnn_eval_collector_free(c);
out:
	free(job.order);
	free(job.spare);
	if (!out->order) {
		frcnn_eval_collector_free(c);
		frcnn_eval_detections_free(out);
		return frcnn_fail_nomem(err);
	}
	return 0;
}

void frcnn_eval_detections_free(struct frcnn_eval_detections *detections)
{
	if (!detections)
		return;
	free(detections->category_first);
	free(detections->image);
	free(detections->bbox);
	free(detections->score);
	free(detections->order);
	memset(detections, 0, sizeof *detections);
}

/* fmin and fmax, which drop a NaN, without a call. */
static inline double least(double a, double b)
{
	return b < a || a != a ? b : a;
}

static inline double most(double a, double b)
{
	return b > a || a != a ? b : a;
}

double frcnn_eval_iou(const double d[4], const double g[4], bool crowd)
{
	double w, h, i, u, da = d[2] * d[3], ga = g[2] * g[3];

	/* A NaN width is not <= 0: as in pycocotools. */
	w = least(d[2] + d[0], g[2] + g[0]) - most(d[0], g[0]);
	if (w <= 0)
		return 0;
	h = least(d[3] + d[1], g[3] + g[1]) - most(d[1], g[1]);
	if (h <= 0)
		return 0;
	i = w * h;
	u = crowd ? da : da + ga - i;
	return i / u;
}
