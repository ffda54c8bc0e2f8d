#include "eval_cases.h"

#include <math.h>
#include <stdlib.h>

/* Every draw stands in a statement of its own, in the order of make_coco_cases.py. */

enum { BOX_FRACTION, BOX_TENTHS, BOX_INTEGER, BOX_STEPS, BOX_BOUNDS };
enum { SCORE_FRACTION, SCORE_THOUSANDTHS, SCORE_QUARTERS, SCORE_SIGNED, SCORE_DYADIC };

static const double sides[][2] = {{32, 32},
				  {64, 16},
				  {96, 96},
				  {48, 192},
				  {100000, 100000},
				  {0, 5},
				  {32, 32.00000000000001},
				  {1, 1},
				  {31, 33},
				  {96, 95.99999999999999},
				  {100000, 100000.00000000001},
				  {1024, 1}};
static const double area_values[] = {0,
				     1024,
				     9216,
				     10000000000,
				     1024.0000000000002,
				     1023.9999999999999,
				     9216.000000000002,
				     9215.999999999998,
				     10000000000.000002,
				     9999999999.999998,
				     5e-324,
				     64};
static const double iou_values[12] = {
    0.0, 0.1, 0.3, 0.5, 0.55, 0.75, 0.8999999999999999, 0.9, 0.95, 1.0, 0.3333333333333333, 0.6};
static const struct frcnn_eval_area area_ranges[7] = {
    {"small", 0, 1024},    {"medium", 1024, 9216}, {"large", 9216, 1e10},  {"tiny", 0, 64},
    {"exact", 1024, 1024}, {"huge", 1e10, 1e12},   {"odd", 100.5, 2000.25}};
static const int max_dets_values[8][4] = {{1, 10, 100}, {1, 2, 3},       {5},    {1, 5, 10, 20},
					  {1, 10, 300}, {100, 200, 300}, {3, 7}, {1, 10, 100, 1000}};

struct random {
	uint64_t state;
};

static uint64_t next(struct random *r)
{
	uint64_t z = r->state += 0x9E3779B97F4A7C15;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	return z ^ (z >> 31);
}

static int below(struct random *r, int n)
{
	return (int)(next(r) % (uint64_t)n);
}

static double unit(struct random *r)
{
	return (double)(next(r) >> 11) * 0x1p-53;
}

static double not_finite(struct random *r)
{
	const double values[3] = {NAN, INFINITY, -INFINITY};

	return values[below(r, 3)];
}

static int64_t pick4(struct random *r, int64_t a, int64_t b, int64_t c, int64_t d)
{
	const int64_t values[4] = {a, b, c, d};

	return values[below(r, 4)];
}

static void shuffle_ids(struct random *r, int64_t *ids, int n)
{
	for (int i = n - 1; i > 0; i--) {
		int j = below(r, i + 1);
		int64_t swap = ids[i];

		ids[i] = ids[j];
		ids[j] = swap;
	}
}

static void *need(size_t count, size_t size)
{
	void *block = calloc(count + 1, size);

	if (!block)
		abort();
	return block;
}

static void random_box(struct random *r, int style, double b[4])
{
	if (style == BOX_FRACTION) {
		const int scales[3] = {20, 60, 200};
		double scale = scales[below(r, 3)];

		b[0] = unit(r) * 300;
		b[1] = unit(r) * 200;
		b[2] = unit(r) * scale;
		b[3] = unit(r) * scale;
	} else if (style == BOX_TENTHS) {
		b[0] = below(r, 3000) / 10.0;
		b[1] = below(r, 2000) / 10.0;
		b[2] = below(r, 1200) / 10.0;
		b[3] = below(r, 1200) / 10.0;
	} else if (style == BOX_INTEGER) {
		b[0] = below(r, 300);
		b[1] = below(r, 200);
		b[2] = below(r, 120);
		b[3] = below(r, 120);
	} else if (style == BOX_STEPS) {
		const int multiples[3] = {1, 2, 5};

		b[2] = b[3] = 20 * multiples[below(r, 3)];
		b[0] = 20 * below(r, 6);
		b[1] = 20 * below(r, 4);
	} else {
		const double *side;

		b[0] = below(r, 50);
		b[1] = below(r, 50);
		side = sides[below(r, (int)FRCNN_COUNT(sides))];
		b[2] = side[0];
		b[3] = side[1];
	}
}

static void near_box(struct random *r, int style, const double from[4], double b[4])
{
	double x = from[0], y = from[1], w = from[2], h = from[3];

	memcpy(b, from, 4 * sizeof *b);
	if (below(r, 6) == 0)
		return;
	if (style == BOX_FRACTION) {
		b[0] = x + (unit(r) - 0.5) * w * 0.3;
		b[1] = y + (unit(r) - 0.5) * h * 0.3;
		b[2] = w * (0.7 + unit(r) * 0.6);
		b[3] = h * (0.7 + unit(r) * 0.6);
	} else if (style == BOX_TENTHS) {
		b[0] = x + (below(r, 41) - 20) / 10.0;
		b[1] = y + (below(r, 41) - 20) / 10.0;
		b[2] = w + below(r, 41) / 10.0;
		b[3] = h + below(r, 41) / 10.0;
	} else if (style == BOX_INTEGER) {
		b[0] = x + below(r, 9) - 4;
		b[1] = y + below(r, 9) - 4;
		b[2] = w + below(r, 9);
		b[3] = h + below(r, 9);
	} else if (style == BOX_STEPS) {
		int step;

		if (below(r, 4) == 0) {
			b[2] = w * 2;
			return;
		}
		step = 1 + below(r, 20);
		if (below(r, 2) == 0)
			b[2] = w / 20 * step;
		else
			b[3] = h / 20 * step;
	} else {
		b[0] = x + below(r, 3) - 1;
		if (below(r, 2) != 0) {
			const double *side = sides[below(r, (int)FRCNN_COUNT(sides))];

			b[2] = side[0];
			b[3] = side[1];
		}
	}
}

static double random_score(struct random *r, int style)
{
	if (style == SCORE_FRACTION)
		return unit(r);
	if (style == SCORE_THOUSANDTHS)
		return below(r, 1001) / 1000.0;
	if (style == SCORE_QUARTERS)
		return below(r, 5) / 4.0;
	if (style == SCORE_SIGNED) {
		const double values[8] = {0.0, -0.0, 1, 0.5, -0.5, -1, 2, unit(r)};

		return values[below(r, 8)];
	}
	return (double)(next(r) >> 40) / 16777216;
}

/* What is drawn once for a case. */
struct plan {
	enum eval_family family;
	int nimages, ncategories, nobjects, full_images, full_categories, box_style, score_style, crowd_percent;
	int64_t unknown_id;
};

static void make_ids(struct random *r, struct plan *p, struct frcnn_ground_truth *t)
{
	int64_t base = pick4(r, 1, 139, -3, 9007199254740990);
	int step = 1 + below(r, 7);

	for (int i = 0; i < p->nimages; i++)
		t->image_ids[i] = base + i * step;
	shuffle_ids(r, t->image_ids, p->nimages);
	base = pick4(r, 1, 0, 17, 9007199254740990);
	step = 1 + below(r, 3);
	for (int i = 0; i < p->ncategories; i++)
		t->category_ids[i] = base + i * step;
	shuffle_ids(r, t->category_ids, p->ncategories);
	p->unknown_id = base - 1;
}

static void make_annotation_ids(struct random *r, const struct plan *p, int64_t *ids)
{
	const int64_t bases[3] = {1, 1000, 9007199254740990};
	int64_t base = bases[below(r, 3)];

	for (int i = 0; i < p->nobjects; i++)
		ids[i] = base + i;
	shuffle_ids(r, ids, p->nobjects);
	if (p->family == EVAL_ID_ZERO && p->nobjects > 0)
		ids[below(r, p->nobjects)] = 0;
	if (p->family == EVAL_DUPLICATES && p->nobjects > 0) {
		int times = 1 + below(r, 4);

		for (int i = 0; i < times; i++) {
			int to = below(r, p->nobjects);

			ids[to] = ids[below(r, p->nobjects)];
		}
	}
}

/* category[i]: index of annotation i's, -1: unknown */
static void make_objects(struct random *r, const struct plan *p, struct frcnn_ground_truth *t, int *category)
{
	for (int i = 0; i < p->nobjects; i++) {
		double *box = t->bboxes + 4 * i, area;
		int kind;

		t->annotation_images[i] = (size_t)below(r, p->full_images);
		category[i] = below(r, p->full_categories);
		if (below(r, 40) == 0 && p->family != EVAL_DUPLICATES)
			category[i] = -1;
		random_box(r, p->box_style, box);
		if (i > 0 && below(r, 8) == 0) {
			int other = below(r, i);

			t->annotation_images[i] = t->annotation_images[other];
			category[i] = category[other];
			memcpy(box, t->bboxes + 4 * other, 4 * sizeof *box);
			if (p->box_style == BOX_STEPS && below(r, 2) == 0)
				box[0] = box[0] + box[2];
		}
		t->crowds[i] = below(r, 100) < p->crowd_percent;
		kind = below(r, 6);
		area = box[2] * box[3];
		if (kind == 0 || p->family == EVAL_BOUNDS)
			area = area_values[below(r, (int)FRCNN_COUNT(area_values))];
		else if (kind == 1)
			area = area * 0.5;
		if (p->family == EVAL_NOT_NUMBERS) {
			if (below(r, 6) == 0) {
				int at = below(r, 4);

				box[at] = not_finite(r);
			}
			if (below(r, 10) == 0)
				area = NAN;
		}
		t->areas[i] = area;
		t->annotation_categories[i] = category[i] >= 0 ? t->category_ids[category[i]] : p->unknown_id;
	}
}

static void make_detections(struct random *r, const struct plan *p, const int *category, struct eval_case *c)
{
	const struct frcnn_ground_truth *t = &c->truth;
	int n = below(r, 1 + 10 * p->nimages), reach = p->ncategories;

	if (p->family == EVAL_MANY)
		n = p->nimages * (150 + below(r, 150));
	if (p->family == EVAL_MAX_DETS)
		n = p->nimages * 60;
	if ((p->family == EVAL_MANY || p->family == EVAL_MAX_DETS) && reach > 2)
		reach = 2;
	if (p->family == EVAL_MIXED)
		n = p->nimages * 50;
	if (below(r, 25) == 0 || p->nimages == 0 || p->ncategories == 0)
		n = 0;
	c->detections = need((size_t)n, sizeof *c->detections);
	c->ndetections = (size_t)n;
	for (int i = 0; i < n; i++) {
		struct eval_case_detection *d = &c->detections[i];

		if (p->nobjects > 0 && below(r, 10) < 6) {
			int other = below(r, p->nobjects);

			d->image = (int)t->annotation_images[other];
			d->category = category[other];
			if (below(r, 8) == 0)
				d->image = below(r, p->nimages);
			if (below(r, 6) == 0)
				d->category = below(r, reach);
			if (p->family == EVAL_NOT_NUMBERS)
				memcpy(d->bbox, t->bboxes + 4 * other, sizeof d->bbox);
			else
				near_box(r, p->box_style, t->bboxes + 4 * other, d->bbox);
		} else {
			d->image = below(r, p->nimages);
			d->category = below(r, reach);
			random_box(r, p->box_style, d->bbox);
		}
		d->score = random_score(r, p->score_style);
		if (p->family == EVAL_NOT_NUMBERS) {
			if (below(r, 6) == 0) {
				int at = below(r, 4);

				d->bbox[at] = not_finite(r);
			}
			if (below(r, 10) == 0)
				d->score = not_finite(r);
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void make_options(struct random *r, int number, const struct plan *p, struct eval_case *c)
{
	struct frcnn_eval_options *o = &c->options;

	frcnn_eval_options_init(o);
	o->agnostic = p->family == EVAL_AGNOSTIC || (p->family == EVAL_MIXED && below(r, 4) == 0);
	if ((p->family == EVAL_AGNOSTIC || p->family == EVAL_MIXED) && below(r, 3) == 0 && p->ncategories > 0) {
		bool any = false;

		c->subset = need((size_t)p->ncategories, 1);
		for (int k = 0; k < p->ncategories; k++) {
			c->subset[k] = (uint8_t)below(r, 2);
			any = any || c->subset[k];
		}
		if (!any)
			c->subset[0] = 1;
		o->categories = c->subset;
	}
	if (p->family == EVAL_IOUS) {
		double values[12];

		memcpy(values, iou_values, sizeof values);
		for (int i = 11; i > 0; i--) {
			int j = below(r, i + 1);
			double swap = values[i];

			values[i] = values[j];
			values[j] = swap;
		}
		o->nious = 1 + below(r, 6);
		memcpy(o->ious, values, (size_t)o->nious * sizeof *o->ious);
		if (number % 2 == 0)
			o->ious[0] = 1.0;
		if (below(r, 2) == 0)
			qsort(o->ious, (size_t)o->nious, sizeof *o->ious, by_value);
	}
	if (p->family == EVAL_AREAS) {
		struct frcnn_eval_area values[7];
		int n;

		memcpy(values, area_ranges, sizeof values);
		for (int i = 6; i > 0; i--) {
			int j = below(r, i + 1);
			struct frcnn_eval_area swap = values[i];

			values[i] = values[j];
			values[j] = swap;
		}
		n = below(r, 6);
		o->nareas = 1 + n; /* the first is "all" already */
		memcpy(o->areas + 1, values, (size_t)n * sizeof *values);
	}
	if (p->family == EVAL_MAX_DETS) {
		const int *values = max_dets_values[below(r, 8)];

		o->nmax_dets = 0;
		while (o->nmax_dets < 4 && values[o->nmax_dets] > 0) {
			o->max_dets[o->nmax_dets] = values[o->nmax_dets];
			o->nmax_dets++;
		}
	}
}

/* Annotations of each image, in file order. */
static void index_images(struct frcnn_ground_truth *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nimages; i++) {
		t->first[i] = n;
		for (size_t a = 0; a < t->nannotations; a++)
			if (t->annotation_images[a] == i)
				t->by_image[n++] = a;
	}
	t->first[t->nimages] = n;
}

void eval_case_make(int number, struct eval_case *c)
{
	const int image_counts[6] = {1, 2, 3, 5, 8, 13}, category_counts[5] = {1, 2, 3, 5, 9},
		  crowds[4] = {0, 0, 10, 25};
	struct random r = {(uint64_t)number * 1000003 + 12345};
	struct plan p = {.family = (enum eval_family)(number % EVAL_FAMILIES)};
	struct frcnn_ground_truth *t = &c->truth;
	int empty, *category;

	memset(c, 0, sizeof *c);
	c->family = p.family;
	p.nimages = image_counts[below(&r, 6)];
	p.ncategories = category_counts[below(&r, 5)];
	empty = below(&r, 50);
	if (p.family == EVAL_MANY)
		p.nimages = 1 + below(&r, 3);
	if (p.family == EVAL_MIXED)
		p.nimages = 20 + below(&r, 40);
	if (empty == 0)
		p.nimages = 0;
	if (empty == 1)
		p.ncategories = 0;

	t->nimages = (size_t)p.nimages;
	t->image_ids = need(t->nimages, sizeof *t->image_ids);
	t->file_names = need(t->nimages, sizeof *t->file_names);
	t->widths = need(t->nimages, sizeof *t->widths);
	t->heights = need(t->nimages, sizeof *t->heights);
	t->first = need(t->nimages + 1, sizeof *t->first);
	t->ncategories = (size_t)p.ncategories;
	t->category_ids = need(t->ncategories, sizeof *t->category_ids);
	t->category_names = need(t->ncategories, sizeof *t->category_names);
	make_ids(&r, &p, t);

	p.nobjects = below(&r, 1 + 5 * p.nimages);
	if (p.family == EVAL_MANY)
		p.nobjects = 20 * p.nimages;
	if (p.family == EVAL_MIXED)
		p.nobjects = 6 * p.nimages;
	p.full_images = p.nimages - below(&r, 1 + p.nimages / 3);
	p.full_categories = p.ncategories - below(&r, 1 + p.ncategories / 2);
	if (p.nimages == 0 || p.ncategories == 0)
		p.nobjects = 0;

	p.box_style = below(&r, 5);
	p.score_style = below(&r, 5);
	p.crowd_percent = crowds[below(&r, 4)];
	if (p.family == EVAL_INTEGERS)
		p.box_style = BOX_INTEGER;
	if (p.family == EVAL_STEPS)
		p.box_style = BOX_STEPS;
	if (p.family == EVAL_IOUS && number % 2 == 0)
		p.box_style = BOX_FRACTION;
	if (p.family == EVAL_BOUNDS)
		p.box_style = BOX_BOUNDS;
	if (p.family == EVAL_TIES)
		p.score_style = SCORE_QUARTERS;
	if (p.family == EVAL_CROWDS)
		p.crowd_percent = 50;

	t->nannotations = (size_t)p.nobjects;
	t->annotation_ids = need(t->nannotations, sizeof *t->annotation_ids);
	t->annotation_images = need(t->nannotations, sizeof *t->annotation_images);
	t->annotation_categories = need(t->nannotations, sizeof *t->annotation_categories);
	t->bboxes = need(t->nannotations, 4 * sizeof *t->bboxes);
	t->areas = need(t->nannotations, sizeof *t->areas);
	t->crowds = need(t->nannotations, sizeof *t->crowds);
	t->by_image = need(t->nannotations, sizeof *t->by_image);
	category = need(t->nannotations, sizeof *category);
	make_annotation_ids(&r, &p, t->annotation_ids);
	make_objects(&r, &p, t, category);
	index_images(t);
	make_detections(&r, &p, category, c);
	make_options(&r, number, &p, c);
	free(category);
}

void eval_case_ious(size_t pairs, double (*detections)[4], double (*objects)[4])
{
	struct random r = {4};

	for (size_t i = 0; i < pairs; i++) {
		random_box(&r, BOX_FRACTION, objects[i]);
		near_box(&r, BOX_FRACTION, objects[i], detections[i]);
		if (i % 7 == 0) {
			double *box = below(&r, 2) == 0 ? objects[i] : detections[i];
			int at = below(&r, 4);

			box[at] = not_finite(&r);
		}
	}
}

void eval_case_free(struct eval_case *c)
{
	struct frcnn_ground_truth *t = &c->truth;

	free(t->image_ids);
	free(t->file_names);
	free(t->widths);
	free(t->heights);
	free(t->first);
	free(t->category_ids);
	free(t->category_names);
	free(t->annotation_ids);
	free(t->annotation_images);
	free(t->annotation_categories);
	free(t->bboxes);
	free(t->areas);
	free(t->crowds);
	free(t->by_image);
	free(c->detections);
	free(c->subset);
	memset(c, 0, sizeof *c);
}
