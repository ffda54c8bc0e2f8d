/*
 * TIDE: what each kind of error costs in AP. eval.h names the reference.
 *
 * Each image's detections are matched once; what is not a true positive is
 * given one kind of error. Mending a kind either takes its detections away,
 * makes one of them a true positive (the first that claims a free object) or,
 * for missed objects, takes the objects away. So every detection becomes one
 * or two points of a category: the one that it is, and the one that mending
 * its error would make of it. The points are sorted once, and every AP is one
 * walk over them.
 */
#include "eval/eval.h"

enum kind { CLS, LOC, BOTH, DUPE, BKG, MISS, NO_ERROR };
/* What an AP is taken of: one kind mended, false positives at the bottom, no false negatives, or as it is. */
enum mend { MEND_MISS = MISS, MEND_FP, MEND_FN, MEND_NONE };

enum use { UNUSED, USED, SWALLOWED /* by a crowd */ };

#define BARS 101

struct point {
	double score;
	uint8_t kind; /* NO_ERROR: a true positive */
	bool mended;  /* there only when its kind is mended, a true positive then */
	bool becomes; /* when its kind is mended it is a true positive, else gone */
};

struct tide {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_detections *detections;
	double foreground, background;

	struct point *points; /* in the order of images, then scores */
	uint32_t *category;   /* of a point */
	size_t npoints;
	struct frcnn_eval_groups by_category; /* points by category; then by score within one */
	uint32_t *spare;                      /* npoints */
	double *precision;                    /* npoints: at each true positive */
	size_t *objects, *missed, *unfound;   /* ncategories */
	size_t counts[MISS + 1];

	/* One image. */
	uint32_t *object_category, *detection_category; /* of all rows */
	struct frcnn_eval_scored *items;                /* detections by score */
	struct frcnn_eval_scored *real, *crowds;        /* objects by place in the file */
	size_t nitems, nreal, ncrowds;
	double *iou; /* items x real */
	size_t iou_size;
	uint8_t *use;      /* of an item */
	uint8_t *found;    /* of real objects: matched */
	uint32_t *claimed; /* of real objects: 1 + the item that mending would give it; 0: none */
};

/* ---- one image ------------------------------------------------------------------- */

static bool same_category(const struct tide *t, size_t item, size_t object)
{
	return t->detection_category[t->items[item].row] == t->object_category[t->real[object].row];
}

static const double *item_box(const struct tide *t, size_t item)
{
	return t->detections->bbox + (size_t)t->items[item].row * 4;
}

static void match(struct tide *t)
{
	for (size_t i = 0; i < t->nitems; i++) {
		const double *iou = t->iou + i * t->nreal;
		double best = 0;
		size_t m = 0;

		for (size_t g = 0; g < t->nreal; g++) {
			if (!t->found[g] && iou[g] > best && same_category(t, i, g)) {
				best = iou[g];
				m = g;
			}
		}
		t->use[i] = best >= t->foreground ? USED : UNUSED;
		if (t->use[i] == USED)
			t->found[m] = 1;
	}
	for (size_t i = 0; i < t->nitems; i++) {
		for (size_t c = 0; c < t->ncrowds && t->use[i] == UNUSED; c++) {
			uint32_t g = t->crowds[c].row;

			if (t->object_category[g] == t->detection_category[t->items[i].row] &&
			    frcnn_eval_iou(item_box(t, i), t->truth->bbox + (size_t)g * 4, t->truth->crowd[g] == 1) >
				t->foreground)
				t->use[i] = SWALLOWED;
		}
	}
}

/* The kind of error of an item that is no true positive; *object: the one it would be matched to (CLS, LOC). */
static enum kind find_error(const struct tide *t, size_t item, size_t *object)
{
	const double *iou = t->iou + item * t->nreal;
	double own = 0, other = 0, found = 0, any = 0;
	size_t own_at = 0, other_at = 0;

	for (size_t g = 0; g < t->nreal; g++) {
		bool same = same_category(t, item, g);

		if (same && iou[g] > own) {
			own = iou[g];
			own_at = g;
		}
		if (!same && iou[g] > other) {
			other = iou[g];
			other_at = g;
		}
		if (same && t->found[g] && iou[g] > found)
			found = iou[g];
		if (iou[g] > any)
			any = iou[g];
	}
	*object = own_at;
	if (t->background <= own && own <= t->foreground)
		return LOC;
	*object = other_at;
	if (other >= t->foreground)
		return CLS;
	if (found >= t->foreground)
		return DUPE;
	return any <= t->background ? BKG : BOTH;
}

static void add_point(struct tide *t, uint32_t category, struct point point)
{
	t->category[t->npoints] = category;
	t->points[t->npoints++] = point;
}

static void add_points(struct tide *t)
{
	for (size_t i = 0; i < t->nitems; i++) {
		uint32_t category = t->detection_category[t->items[i].row];
		struct point point = {.score = t->items[i].score, .kind = NO_ERROR};
		bool claims = false;
		size_t object;

		if (t->use[i] == USED) {
			add_point(t, category, point);
			continue;
		}
		point.kind = (uint8_t)find_error(t, i, &object);
		t->counts[point.kind]++;
		if ((point.kind == LOC || point.kind == CLS) && !t->found[object]) {
			claims = !t->claimed[object];
			if (claims)
				t->claimed[object] = (uint32_t)i + 1;
		}
		/* Mended in its place, or as another point: of the object's category, or where a crowd had taken it. */
		point.becomes = claims && point.kind == LOC && t->use[i] == UNUSED;
		if (t->use[i] == UNUSED)
			add_point(t, category, point);
		if (claims && !point.becomes) {
			point.mended = true;
			if (point.kind == CLS)
				category = t->object_category[t->real[object].row];
			add_point(t, category, point);
		}
	}
	for (size_t g = 0; g < t->nreal; g++) {
		uint32_t category = t->object_category[t->real[g].row];

		t->objects[category]++;
		t->unfound[category] += !t->found[g];
		t->missed[category] += !t->found[g] && !t->claimed[g];
		t->counts[MISS] += !t->found[g] && !t->claimed[g];
	}
}

/* rows of detections and objects of one image */
static int add_image(struct tide *t, const uint32_t *detections, size_t ndetections, const uint32_t *objects,
		     size_t nobjects)
{
	size_t cells;

	for (size_t i = 0; i < ndetections; i++) {
		uint32_t d = detections[i];

		t->items[i] = (struct frcnn_eval_scored){t->detections->score[d], t->detections->order[d], d};
	}
	frcnn_eval_sort(t->items, ndetections);
	t->nitems = ndetections < FRCNN_EVAL_TIDE_MAX_DETS ? ndetections : FRCNN_EVAL_TIDE_MAX_DETS;
	t->nreal = t->ncrowds = 0;
	for (size_t i = 0; i < nobjects; i++) {
		uint32_t g = objects[i];
		struct frcnn_eval_scored object = {0, t->truth->order[g], g};

		if (t->truth->crowd[g])
			t->crowds[t->ncrowds++] = object;
		else
			t->real[t->nreal++] = object;
	}
	frcnn_eval_sort(t->real, t->nreal);
	memset(t->found, 0, t->nreal * sizeof *t->found);
	memset(t->claimed, 0, t->nreal * sizeof *t->claimed);
	if (!frcnn_mul_size(t->nitems, t->nreal, &cells) ||
	    frcnn_grow((void **)&t->iou, &t->iou_size, cells + 1, sizeof *t->iou))
		return FRCNN_ENOMEM;
	for (size_t i = 0; i < t->nitems; i++)
		for (size_t g = 0; g < t->nreal; g++)
			t->iou[i * t->nreal + g] =
			    frcnn_eval_iou(item_box(t, i), t->truth->bbox + (size_t)t->real[g].row * 4, false);
	match(t);
	add_points(t);
	return 0;
}

/* ---- AP -------------------------------------------------------------------------- */

static int sort_points(struct tide *t)
{
	struct frcnn_eval_scored *items = frcnn_calloc(t->npoints, sizeof *items);

	if (!items || frcnn_eval_group(t->category, t->npoints, t->truth->ncategories, &t->by_category)) {
		free(items);
		return FRCNN_ENOMEM;
	}
	for (size_t k = 0; k < t->truth->ncategories; k++) {
		size_t first = t->by_category.first[k], count = t->by_category.first[k + 1] - first;
		uint32_t *rows = t->by_category.rows + first;

		for (size_t i = 0; i < count; i++)
			items[i] = (struct frcnn_eval_scored){t->points[rows[i]].score, rows[i], rows[i]};
		frcnn_eval_sort(items, count);
		for (size_t i = 0; i < count; i++)
			rows[i] = items[i].row;
	}
	free(items);
	return 0;
}

/* tidecv pushes errors before true positives when it mends: of equal scores they come first from here on. */
static void errors_first(struct tide *t)
{
	for (size_t k = 0; k < t->truth->ncategories; k++) {
		size_t end = t->by_category.first[k + 1];
		uint32_t *rows = t->by_category.rows;

		for (size_t i = t->by_category.first[k], next; i < end; i = next) {
			size_t n = i, held = 0;

			for (next = i; next < end && t->points[rows[next]].score == t->points[rows[i]].score; next++)
				t->spare[next] = rows[next];
			if (next == i)
				next++; /* NaN equals nothing */
			for (size_t j = i; next - i > 1 && j < next; j++) {
				if (t->points[t->spare[j]].kind != NO_ERROR)
					rows[n++] = t->spare[j];
				else
					t->spare[i + held++] = t->spare[j];
			}
			for (size_t j = 0; j < held; j++)
				rows[n++] = t->spare[i + j];
		}
	}
}

/* Whether a point is there, and true. */
static bool present(const struct point *point, enum mend mend, bool *right)
{
	bool concerned = point->kind != NO_ERROR && (int)point->kind == (int)mend;

	*right = point->kind == NO_ERROR || concerned;
	return point->mended ? concerned : !concerned || point->becomes;
}

/* Sum of the envelope of precision at 101 recalls, over 101; 0 .. 100. */
static double bars(double *precision, size_t count, size_t objects)
{
	double sum = 0;
	size_t i = 0;

	for (size_t j = count; j > 1; j--)
		if (precision[j - 1] > precision[j - 2])
			precision[j - 2] = precision[j - 1];
	for (int bar = 0; bar < BARS; bar++) {
		while (i < count && (double)(i + 1) / (double)objects < bar / 100.0)
			i++;
		if (i < count)
			sum += precision[i];
	}
	return sum / BARS * 100;
}

/* False: the category is empty, and no part of the mean. */
static bool category_ap(struct tide *t, size_t k, enum mend mend, double *ap)
{
	size_t objects = t->objects[k], count = 0, right_count = 0;

	if (mend == MEND_MISS)
		objects -= t->missed[k];
	else if (mend == MEND_FN)
		objects -= t->unfound[k];
	for (size_t i = t->by_category.first[k]; i < t->by_category.first[k + 1]; i++) {
		bool right;

		if (!present(&t->points[t->by_category.rows[i]], mend, &right))
			continue;
		count++;
		if (!right)
			continue;
		right_count++;
		/* With false positives at the bottom nothing wrong comes before. */
		t->precision[right_count - 1] = mend == MEND_FP ? 1 : (double)right_count / (double)count;
	}
	*ap = objects ? bars(t->precision, right_count, objects) : 0;
	return count > 0 || objects > 0;
}

static double mean_ap(struct tide *t, enum mend mend)
{
	double sum = 0;
	size_t count = 0;

	for (size_t k = 0; k < t->truth->ncategories; k++) {
		double ap;

		if (!category_ap(t, k, mend, &ap))
			continue;
		sum += ap;
		count++;
	}
	return count ? sum / (double)count : 0;
}

/* ---- the whole ----------------------------------------------------------------------- */

static int tide_alloc(struct tide *t)
{
	const struct frcnn_eval_truth *truth = t->truth;
	size_t count = t->detections->count;

	t->object_category = frcnn_eval_row_categories(truth->category_first, truth->ncategories, truth->nobjects);
	t->detection_category = frcnn_eval_row_categories(t->detections->category_first, truth->ncategories, count);
	t->points = frcnn_calloc(count, 2 * sizeof *t->points);
	t->category = frcnn_calloc(count, 2 * sizeof *t->category);
	t->objects = frcnn_calloc(truth->ncategories, sizeof *t->objects);
	t->missed = frcnn_calloc(truth->ncategories, sizeof *t->missed);
	t->unfound = frcnn_calloc(truth->ncategories, sizeof *t->unfound);
	t->items = frcnn_calloc(count, sizeof *t->items);
	t->use = frcnn_calloc(count, sizeof *t->use);
	t->real = frcnn_calloc(truth->nobjects, sizeof *t->real);
	t->crowds = frcnn_calloc(truth->nobjects, sizeof *t->crowds);
	t->found = frcnn_calloc(truth->nobjects, sizeof *t->found);
	t->claimed = frcnn_calloc(truth->nobjects, sizeof *t->claimed);
	return t->object_category && t->detection_category && t->points && t->category && t->objects && t->missed &&
		       t->unfound && t->items && t->use && t->real && t->crowds && t->found && t->claimed
		   ? 0
		   : FRCNN_ENOMEM;
}

static int add_images(struct tide *t)
{
	struct frcnn_eval_groups detections = {0}, objects = {0};
	int status = frcnn_eval_group(t->detections->image, t->detections->count, t->truth->nimages, &detections);

	if (!status)
		status = frcnn_eval_group(t->truth->image, t->truth->nobjects, t->truth->nimages, &objects);
	for (size_t i = 0; !status && i < t->truth->nimages; i++)
		status =
		    add_image(t, detections.rows + detections.first[i], detections.first[i + 1] - detections.first[i],
			      objects.rows + objects.first[i], objects.first[i + 1] - objects.first[i]);
	frcnn_eval_groups_free(&detections);
	frcnn_eval_groups_free(&objects);
	return status;
}

static void tide_free(struct tide *t)
{
	free(t->points);
	free(t->category);
	frcnn_eval_groups_free(&t->by_category);
	free(t->spare);
	free(t->precision);
	free(t->objects);
	free(t->missed);
	free(t->unfound);
	free(t->object_category);
	free(t->detection_category);
	free(t->items);
	free(t->real);
	free(t->crowds);
	free(t->iou);
	free(t->use);
	free(t->found);
	free(t->claimed);
}

int frcnn_eval_tide(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    double foreground_iou, double background_iou, struct frcnn_eval_tide *out, struct frcnn_error *err)
{
	struct tide t = {
	    .truth = truth, .detections = detections, .foreground = foreground_iou, .background = background_iou};
	double *gains[MISS + 1] = {&out->cls, &out->loc, &out->both, &out->dupe, &out->bkg, &out->miss};
	int status = FRCNN_ENOMEM;

	memset(out, 0, sizeof *out);
	if (!(background_iou > 0 && background_iou <= foreground_iou && foreground_iou <= 1))
		return frcnn_fail(err, FRCNN_EINVAL, "IoU thresholds %g and %g: not 0 < background <= foreground <= 1",
				  background_iou, foreground_iou);
	if (tide_alloc(&t) || add_images(&t))
		goto out;
	t.spare = frcnn_calloc(t.npoints, sizeof *t.spare);
	t.precision = frcnn_calloc(t.npoints, sizeof *t.precision);
	if (!t.spare || !t.precision || sort_points(&t))
		goto out;
	status = 0;
	out->ap = mean_ap(&t, MEND_NONE);
	errors_first(&t);
	for (int kind = CLS; kind <= MISS; kind++) {
		double gain = mean_ap(&t, (enum mend)kind) - out->ap;

		*gains[kind] = gain > 0 ? gain : 0;
		out->counts[kind] = t.counts[kind];
	}
	out->fp = mean_ap(&t, MEND_FP) - out->ap;
	out->fn = mean_ap(&t, MEND_FN) - out->ap;
out:
	tide_free(&t);
	return status ? frcnn_fail_nomem(err) : 0;
}
