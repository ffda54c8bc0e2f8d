/*
 * Selection of classes, the paired bootstrap, gates: a resample must give what an evaluation of the images it drew,
 * copies beside each other, gives; a selection what frcnn_eval_coco's own options give.
 */
#include <criterion/criterion.h>

#include "eval/report.h"
#include "eval_cases.h"
#include "refuse.h"

#include <math.h>
#include <stdlib.h>

struct side {
	struct frcnn_eval_collector collector;
	struct frcnn_eval_detections columns;
};

static void columns_of(struct side *side, const struct frcnn_eval_truth *truth)
{
	cr_assert_eq(frcnn_eval_detections_make(&side->collector, truth, NULL, &side->columns, NULL), 0);
	frcnn_eval_collector_free(&side->collector);
}

static uint32_t image_index(const struct frcnn_eval_truth *truth, int64_t id)
{
	uint32_t i = 0;

	while (truth->image_ids[i] != id)
		i++;
	return i;
}

static uint32_t category_index(const struct frcnn_eval_truth *truth, int64_t id)
{
	uint32_t k = 0;

	cr_assert(frcnn_eval_category(truth, id, &k));
	return k;
}

/* The case's detections; the baseline lacks some and has coarser scores (many ties). */
static void collect(const struct eval_case *c, const struct frcnn_eval_truth *truth, bool baseline,
		    const uint32_t *times, const uint32_t *first_copy, struct side *side)
{
	for (size_t i = 0; i < c->ndetections; i++) {
		const struct eval_case_detection *d = &c->detections[i];
		int64_t image_id = c->truth.image_ids[d->image];
		double score = baseline ? floor(d->score * 8) / 8 : d->score;
		uint32_t k;

		if (d->category < 0 || (baseline && i % 3 == 1))
			continue;
		k = category_index(truth, c->truth.category_ids[d->category]);
		if (!times) {
			cr_assert_eq(
			    frcnn_eval_collect(&side->collector, image_index(truth, image_id), k, d->bbox, score), 0);
			continue;
		}
		for (uint32_t copy = 0; copy < times[image_id]; copy++)
			cr_assert_eq(
			    frcnn_eval_collect(&side->collector, first_copy[image_id] + copy, k, d->bbox, score), 0);
	}
	columns_of(side, truth);
}

/* The case with images of small ids: 0 .. n - 1 in the order of their own, so that they can be indices. */
static void renumber(struct eval_case *c)
{
	int64_t *ids = frcnn_calloc(c->truth.nimages, sizeof *ids);

	for (size_t i = 0; i < c->truth.nimages; i++) {
		for (size_t j = 0; j < c->truth.nimages; j++)
			ids[i] += c->truth.image_ids[j] < c->truth.image_ids[i];
	}
	memcpy(c->truth.image_ids, ids, c->truth.nimages * sizeof *ids);
	free(ids);
}

/* Ground truth with each image as often as it was drawn; first_copy: by image id. */
static void repeat_truth(const struct frcnn_ground_truth *from, const uint32_t *times, uint32_t *first_copy,
			 struct frcnn_ground_truth *out)
{
	size_t most = from->nannotations, images = 0, n = 0;

	for (size_t i = 0; i < from->nimages; i++)
		most += from->nannotations * times[i];
	*out = *from;
	out->nimages = from->nimages;
	out->image_ids = frcnn_calloc(out->nimages, sizeof *out->image_ids);
	out->annotation_ids = frcnn_calloc(most, sizeof *out->annotation_ids);
	out->annotation_images = frcnn_calloc(most, sizeof *out->annotation_images);
	out->annotation_categories = frcnn_calloc(most, sizeof *out->annotation_categories);
	out->bboxes = frcnn_calloc(most, 4 * sizeof *out->bboxes);
	out->areas = frcnn_calloc(most, sizeof *out->areas);
	out->crowds = frcnn_calloc(most, sizeof *out->crowds);
	out->first = frcnn_calloc(out->nimages + 1, sizeof *out->first);
	out->by_image = frcnn_calloc(most, sizeof *out->by_image);
	for (size_t id = 0; id < from->nimages; id++) {
		size_t old = 0;

		while (from->image_ids[old] != (int64_t)id)
			old++;
		first_copy[id] = (uint32_t)images;
		for (uint32_t copy = 0; copy < times[id]; copy++, images++) {
			out->image_ids[images] = (int64_t)images;
			out->first[images] = n;
			for (size_t p = from->first[old]; p < from->first[old + 1]; p++, n++) {
				size_t a = from->by_image[p];

				out->annotation_ids[n] = (int64_t)n + 1;
				out->annotation_images[n] = images;
				out->annotation_categories[n] = from->annotation_categories[a];
				memcpy(out->bboxes + 4 * n, from->bboxes + 4 * a, 4 * sizeof *out->bboxes);
				out->areas[n] = from->areas[a];
				out->crowds[n] = from->crowds[a];
				out->by_image[n] = n;
			}
		}
	}
	out->first[images] = n;
	out->nannotations = n;
	cr_assert_eq(images, from->nimages);
}

static void repeated_free(struct frcnn_ground_truth *truth)
{
	free(truth->image_ids);
	free(truth->annotation_ids);
	free(truth->annotation_images);
	free(truth->annotation_categories);
	free(truth->bboxes);
	free(truth->areas);
	free(truth->crowds);
	free(truth->first);
	free(truth->by_image);
}

static int iou_index(const struct frcnn_eval_options *options, double iou)
{
	for (int t = 0; t < options->nious; t++) {
		if (fabs(options->ious[t] - iou) < 1e-9)
			return t;
	}
	return -1;
}

/* The 3 + K numbers by frcnn_eval_coco. */
static size_t metrics_of(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			 const struct frcnn_eval_options *options, double *out)
{
	struct frcnn_eval_cells cells;
	int last = options->nmax_dets - 1, t50 = iou_index(options, 0.5), t75 = iou_index(options, 0.75);
	size_t count;

	cr_assert_eq(frcnn_eval_coco(truth, detections, options, NULL, &cells, NULL), 0);
	out[0] = frcnn_eval_mean(&cells, false, -1, -1, 0, last);
	out[1] = t50 < 0 ? -1 : frcnn_eval_mean(&cells, false, t50, -1, 0, last);
	out[2] = t75 < 0 ? -1 : frcnn_eval_mean(&cells, false, t75, -1, 0, last);
	for (int k = 0; k < cells.K; k++)
		out[3 + k] = frcnn_eval_mean(&cells, false, -1, k, 0, last);
	count = 3 + (size_t)cells.K;
	frcnn_eval_cells_free(&cells);
	return count;
}

static bool usable(const struct eval_case *c)
{
	return c->family != EVAL_NOT_NUMBERS && c->truth.nimages > 0;
}

static void set_options(struct eval_case *c)
{
	c->options.categories = c->subset;
	/* the comparison knows "all" alone */
	c->options.areas[0] = (struct frcnn_eval_area){"all", 0, 1e10};
}

/* What is compared: the estimates with the evaluation, and one resample with the evaluation of what it drew. */
static void check_case(int number)
{
	struct eval_case c;
	struct frcnn_eval_truth truth, drawn;
	struct frcnn_ground_truth repeated;
	struct side ours = {0}, baseline = {0}, drawn_ours = {0}, drawn_baseline = {0};
	struct frcnn_eval_difference *differences;
	uint32_t *times, *first_copy;
	double *a, *b, *x, *y;
	size_t count, n;

	eval_case_make(number, &c);
	if (!usable(&c)) {
		eval_case_free(&c);
		return;
	}
	set_options(&c);
	renumber(&c);
	n = 3 + c.truth.ncategories;
	differences = frcnn_calloc(n, sizeof *differences);
	times = frcnn_calloc(c.truth.nimages, sizeof *times);
	first_copy = frcnn_calloc(c.truth.nimages, sizeof *first_copy);
	a = frcnn_calloc(4 * n + 4, sizeof *a);
	b = a + n + 1;
	x = b + n + 1;
	y = x + n + 1;
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	collect(&c, &truth, true, NULL, NULL, &baseline);
	cr_assert_eq(frcnn_eval_compare(&truth, &ours.columns, &baseline.columns, &c.options, 1, (uint64_t)number, NULL,
					differences, NULL),
		     0);
	count = metrics_of(&truth, &ours.columns, &c.options, a);
	metrics_of(&truth, &baseline.columns, &c.options, b);

	frcnn_eval_draw_images((uint64_t)number, 0, c.truth.nimages, times);
	repeat_truth(&c.truth, times, first_copy, &repeated);
	cr_assert_eq(frcnn_eval_truth_make(&repeated, false, &drawn, NULL), 0);
	collect(&c, &drawn, false, times, first_copy, &drawn_ours);
	collect(&c, &drawn, true, times, first_copy, &drawn_baseline);
	metrics_of(&drawn, &drawn_ours.columns, &c.options, x);
	metrics_of(&drawn, &drawn_baseline.columns, &c.options, y);

	for (size_t i = 0; i < count; i++) {
		const struct frcnn_eval_difference *d = &differences[i];
		bool defined = a[i] > -1 && b[i] > -1, drawn_defined = x[i] > -1 && y[i] > -1;

		cr_assert_float_eq(d->ours, a[i], 1e-12, "case %d metric %zu: %.17g, not %.17g", number, i, d->ours,
				   a[i]);
		cr_assert_float_eq(d->baseline, b[i], 1e-12, "case %d metric %zu: %.17g, not %.17g", number, i,
				   d->baseline, b[i]);
		cr_assert_float_eq(d->difference, defined ? a[i] - b[i] : -1, 1e-12);
		cr_assert_eq(d->low, d->high);
		cr_assert_float_eq(d->low, drawn_defined ? x[i] - y[i] : 0, 1e-12,
				   "case %d metric %zu of the resample: %.17g, not %.17g", number, i, d->low,
				   x[i] - y[i]);
	}
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_detections_free(&baseline.columns);
	frcnn_eval_detections_free(&drawn_ours.columns);
	frcnn_eval_detections_free(&drawn_baseline.columns);
	frcnn_eval_truth_free(&truth);
	frcnn_eval_truth_free(&drawn);
	repeated_free(&repeated);
	free(differences);
	free(times);
	free(first_copy);
	free(a);
	eval_case_free(&c);
}

Test(eval_compare, a_resample_is_an_evaluation_of_the_images_it_drew)
{
	for (int number = 0; number < EVAL_CASES; number++)
		check_case(number);
}

/* The first case of the family with enough in it to differ. */
static void make_large(enum eval_family family, struct eval_case *out)
{
	for (int number = (int)family; number < EVAL_CASES; number += EVAL_FAMILIES) {
		eval_case_make(number, out);
		if (out->truth.nimages >= 6 && out->truth.nannotations >= 20 && out->ndetections >= 40) {
			set_options(out);
			return;
		}
		eval_case_free(out);
	}
	cr_assert_fail("no case of family %d is large enough", (int)family);
}

/* Several draws of one seed, and their quantiles: numpy's default. */
Test(eval_compare, interval_is_quantiles_of_resamples)
{
	enum { RESAMPLES = 101 };
	struct eval_case c;
	struct frcnn_eval_truth truth;
	struct side ours = {0}, baseline = {0};
	struct frcnn_eval_difference *all, *again;
	struct frcnn_pool *pool;
	double samples[RESAMPLES];
	size_t n;

	make_large(EVAL_CROWDS, &c);
	n = 3 + c.truth.ncategories;
	all = frcnn_calloc(n, sizeof *all);
	again = frcnn_calloc(n, sizeof *again);
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	collect(&c, &truth, true, NULL, NULL, &baseline);
	cr_assert_eq(
	    frcnn_eval_compare(&truth, &ours.columns, &baseline.columns, &c.options, RESAMPLES, 7, NULL, all, NULL), 0);
	cr_assert_lt(all[0].low, all[0].high);
	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	cr_assert_eq(
	    frcnn_eval_compare(&truth, &ours.columns, &baseline.columns, &c.options, RESAMPLES, 7, pool, again, NULL),
	    0);
	cr_assert_eq(memcmp(all, again, n * sizeof *all), 0, "threads change the intervals");
	cr_assert_eq(
	    frcnn_eval_compare(&truth, &ours.columns, &baseline.columns, &c.options, RESAMPLES, 8, pool, again, NULL),
	    0);
	cr_assert_neq(all[0].low, again[0].low, "the seed does not matter");
	/* of few samples: the quantile of one is itself, of two the 2.5% and 97.5% points between them */
	for (int i = 1; i <= 2; i++) {
		cr_assert_eq(
		    frcnn_eval_compare(&truth, &ours.columns, &baseline.columns, &c.options, i, 7, pool, all, NULL), 0);
		samples[i - 1] = i == 1 ? all[0].low : all[0].low + all[0].high - samples[0];
	}
	cr_assert_float_eq(all[0].high - all[0].low, 0.95 * fabs(samples[0] - samples[1]), 1e-12);
	frcnn_pool_free(pool);
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_detections_free(&baseline.columns);
	frcnn_eval_truth_free(&truth);
	free(all);
	free(again);
	eval_case_free(&c);
}

/* A run against itself differs by nothing in every resample. */
Test(eval_compare, a_run_equals_itself)
{
	struct eval_case c;
	struct frcnn_eval_truth truth;
	struct side ours = {0};
	struct frcnn_eval_difference *differences;

	make_large(EVAL_TIES, &c);
	differences = frcnn_calloc(3 + c.truth.ncategories, sizeof *differences);
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	cr_assert_eq(
	    frcnn_eval_compare(&truth, &ours.columns, &ours.columns, &c.options, 50, 1, NULL, differences, NULL), 0);
	cr_assert_gt(differences[0].ours, 0);
	cr_assert_eq(differences[0].difference, 0);
	cr_assert_eq(differences[0].low, 0);
	cr_assert_eq(differences[0].high, 0);
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_truth_free(&truth);
	free(differences);
	eval_case_free(&c);
}

/* Each image is drawn as often as any other, within what chance allows. */
Test(eval_compare, draws_are_even)
{
	enum { IMAGES = 7, DRAWS = 20000 };
	uint32_t times[IMAGES];
	double sum[IMAGES] = {0}, chi = 0;

	for (size_t r = 0; r < DRAWS; r++) {
		uint32_t total = 0;

		frcnn_eval_draw_images(3, r, IMAGES, times);
		for (int i = 0; i < IMAGES; i++) {
			sum[i] += times[i];
			total += times[i];
		}
		cr_assert_eq(total, IMAGES);
	}
	for (int i = 0; i < IMAGES; i++)
		chi += (sum[i] - DRAWS) * (sum[i] - DRAWS) / DRAWS;
	cr_assert_lt(chi, 22.5, "chi-square of 6 degrees is %g: one in a thousand", chi);
}

Test(eval_compare, refused_memory_is_said)
{
	struct eval_case c;
	struct frcnn_eval_truth truth;
	struct side ours = {0};
	struct frcnn_eval_difference *differences;
	struct frcnn_error err;
	bool refused = true;

	make_large(EVAL_AGNOSTIC, &c);
	c.options.agnostic = true;
	differences = frcnn_calloc(3 + c.truth.ncategories, sizeof *differences);
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	for (size_t n = 0; refused; n++) {
		int status;

		refuse_allocation(n, false);
		status =
		    frcnn_eval_compare(&truth, &ours.columns, &ours.columns, &c.options, 3, 1, NULL, differences, &err);
		refused = refuse_end();
		cr_assert_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu: %d", n, status);
	}
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_truth_free(&truth);
	free(differences);
	eval_case_free(&c);
}

/* ---- selection ------------------------------------------------------------------------------------------------------
 */

static void check_selection(int number)
{
	struct eval_case c;
	struct frcnn_eval_options plain;
	struct frcnn_eval_truth truth, some;
	struct frcnn_eval_detections few;
	struct frcnn_eval_cells by_option, by_selection;
	struct side ours = {0};
	size_t count;

	eval_case_make(number, &c);
	c.options.categories = c.subset;
	plain = c.options;
	plain.agnostic = false;
	plain.categories = NULL;
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	cr_assert_eq(frcnn_eval_truth_select(&truth, c.subset, c.options.agnostic, &some, NULL), 0);
	cr_assert_eq(frcnn_eval_detections_select(&ours.columns, &truth, c.subset, c.options.agnostic, &few, NULL), 0);
	cr_assert_eq(frcnn_eval_coco(&truth, &ours.columns, &c.options, NULL, &by_option, NULL), 0);
	cr_assert_eq(frcnn_eval_coco(&some, &few, &plain, NULL, &by_selection, NULL), 0);
	cr_assert_eq(by_option.K, by_selection.K, "case %d: %d and %d classes", number, by_option.K, by_selection.K);
	count = (size_t)by_option.T * (size_t)by_option.K * (size_t)by_option.A * (size_t)by_option.M;
	cr_assert_eq(memcmp(by_option.precision, by_selection.precision, count * (size_t)by_option.R * sizeof(double)),
		     0, "case %d: other precision", number);
	cr_assert_eq(memcmp(by_option.scores, by_selection.scores, count * (size_t)by_option.R * sizeof(double)), 0,
		     "case %d: other scores", number);
	cr_assert_eq(memcmp(by_option.recall, by_selection.recall, count * sizeof(double)), 0, "case %d: other recall",
		     number);
	frcnn_eval_cells_free(&by_option);
	frcnn_eval_cells_free(&by_selection);
	frcnn_eval_truth_free(&some);
	frcnn_eval_detections_free(&few);
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_truth_free(&truth);
	eval_case_free(&c);
}

Test(eval_select, gives_what_the_options_of_coco_give)
{
	for (int number = 0; number < EVAL_CASES; number++)
		check_selection(number);
}

/* ---- gates
 * ------------------------------------------------------------------------------------------------------------ */

static struct frcnn_report one_model(struct frcnn_report_model *model, double ap, double class_ap)
{
	struct frcnn_report report = {.models = model, .nmodels = 1};

	*model = (struct frcnn_report_model){.nclasses = 2};
	model->classes = frcnn_calloc(2, sizeof *model->classes);
	model->classes[0].name = "big: truck";
	model->classes[1].category_id = 17;
	cr_assert_eq(frcnn_report_metric_add(&model->metrics, "AP", ap), 0);
	cr_assert_eq(frcnn_report_metric_add(&model->metrics, "APs", -1), 0);
	for (int k = 0; k < 2; k++)
		cr_assert_eq(frcnn_report_metric_add(&model->classes[k].metrics, "AP", class_ap + k), 0);
	return report;
}

static void check_gate(const char *text, int status, const char *message)
{
	struct frcnn_report_model model;
	struct frcnn_report report = one_model(&model, 0.1 + 0.2, 0.25);
	struct frcnn_gate gate;

	report.models = frcnn_calloc(1, sizeof model);
	report.models[0] = model;
	cr_assert_eq(frcnn_gate_parse(text, FRCNN_GATE_MIN, &gate, NULL), 0);
	report.gates = &gate;
	report.ngates = 1;
	cr_assert_eq(frcnn_gates_judge(&report, false, NULL), 0);
	cr_expect_eq(report.status, status, "%s: %d", text, report.status);
	cr_expect_str_eq(report.results[0].message, message);
	frcnn_gate_free(&gate);
	frcnn_report_free(&report);
}

Test(eval_gates, min)
{
	check_gate("AP=0.3", 0, "AP is 0.30000000000000004, at least 0.3");
	check_gate("AP=0.31", 1, "AP is 0.30000000000000004, below 0.31");
	check_gate("big: truck:AP=0.25", 0, "big: truck:AP is 0.25, at least 0.25");
	check_gate("17:AP=1.3", 1, "17:AP is 1.25, below 1.3");
	check_gate("APs=0", 2, "APs is undefined: there is nothing to measure it on");
	check_gate("APx=0", 2, "APx: no metric \"APx\"");
	check_gate("car:AP=0", 2, "car:AP: no class \"car\"");
	check_gate("17:APl=0", 2, "17:APl: no metric \"APl\"");
}

Test(eval_gates, parse)
{
	struct frcnn_gate gate;
	struct frcnn_error err;

	cr_expect_eq(frcnn_gate_parse("AP", FRCNN_GATE_MIN, &gate, &err), FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "\"AP\" is not of the form METRIC=V or CLASS:METRIC=V");
	cr_expect_eq(frcnn_gate_parse("=1", FRCNN_GATE_MIN, &gate, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_gate_parse("AP=", FRCNN_GATE_MIN, &gate, &err), FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "\"AP=\": \"\" is not a number");
	cr_expect_eq(frcnn_gate_parse("AP=nan", FRCNN_GATE_MIN, &gate, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_gate_parse("AP=-0.1", FRCNN_GATE_MAX_DROP, &gate, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_gate_parse("a=b:AP=1e-1", FRCNN_GATE_MIN, &gate, &err), 0);
	cr_expect_str_eq(gate.metric, "a=b:AP");
	cr_expect_eq(gate.bound, 0.1);
	frcnn_gate_free(&gate);
}

static void check_drop(const char *text, double before, double low, double high, bool interval, bool significant,
		       int status, const char *message)
{
	struct frcnn_report_model model;
	struct frcnn_report report = one_model(&model, 0.25, 0.25);
	struct frcnn_gate gate;

	report.models = frcnn_calloc(1, sizeof model);
	report.models[0] = model;
	report.baseline = frcnn_calloc(1, sizeof model);
	one_model(report.baseline, before, 0.25);
	report.models[0].differences = frcnn_calloc(1, sizeof *report.models[0].differences);
	report.models[0].ndifferences = 1;
	report.models[0].differences[0] = (struct frcnn_report_difference){
	    .name = frcnn_strdup("AP"),
	    .d = {.ours = 0.25, .baseline = before, .difference = 0.25 - before, .low = low, .high = high},
	    .has_interval = interval};
	cr_assert_eq(frcnn_gate_parse(text, FRCNN_GATE_MAX_DROP, &gate, NULL), 0);
	report.gates = &gate;
	report.ngates = 1;
	cr_assert_eq(frcnn_gates_judge(&report, significant, NULL), 0);
	cr_expect_eq(report.status, status, "%s: %d", text, report.status);
	cr_expect_str_eq(report.results[0].message, message);
	frcnn_gate_free(&gate);
	frcnn_report_free(&report);
}

Test(eval_gates, max_drop)
{
	check_drop("AP=0.25", 0.5, 0, 0, false, false, 0, "AP fell by 0.25, at most 0.25");
	check_drop("AP=0.125", 0.5, 0, 0, false, false, 1, "AP fell by 0.25, more than 0.125");
	check_drop("AP=0.125", 0.5, -0.375, -0.1875, true, false, 1,
		   "AP fell by 0.25 (95%: 0.1875 to 0.375), more than 0.125");
	check_drop("AP=0.125", 0.5, -0.375, -0.1875, true, true, 1,
		   "AP fell by 0.25 (95%: 0.1875 to 0.375), more than 0.125");
	check_drop("AP=0.125", 0.5, -0.375, -0.0625, true, true, 0,
		   "AP fell by 0.25 (95%: 0.0625 to 0.375), not significantly more than 0.125");
	check_drop("AP=0.125", 0.125, 0.0625, 0.25, true, true, 0,
		   "AP fell by -0.125 (95%: -0.25 to -0.0625), at most 0.125");
	check_drop("AP=0.125", 0.5, 0, 0, false, true, 2,
		   "AP has no interval: there is one for AP, AP50, AP75 and CLASS:AP alone");
	check_drop("APs=0.125", 0.5, 0, 0, false, false, 2, "APs is undefined: there is nothing to measure it on");
}

Test(eval_gates, nothing_is_judged_after_trouble)
{
	struct frcnn_report_model model;
	struct frcnn_report report = one_model(&model, 0.25, 0.25);
	struct frcnn_gate gate;

	report.models = frcnn_calloc(1, sizeof model);
	report.models[0] = model;
	report.status = 2;
	cr_assert_eq(frcnn_gate_parse("AP=1", FRCNN_GATE_MIN, &gate, NULL), 0);
	report.gates = &gate;
	report.ngates = 1;
	cr_assert_eq(frcnn_gates_judge(&report, false, NULL), 0);
	cr_expect_eq(report.status, 2);
	cr_expect_eq(report.results[0].verdict, FRCNN_GATE_NOT_JUDGED);
	frcnn_gate_free(&gate);
	frcnn_report_free(&report);
}

/* ---- measuring ----------------------------------------------------------------------------------------------------
 */

#define EVERYTHING                                                                                                     \
	(FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_VOC | FRCNN_MEASURE_TIDE | FRCNN_MEASURE_CONFUSION |                    \
	 FRCNN_MEASURE_CALIBRATION)

static struct frcnn_report report_on(const struct frcnn_eval_truth *truth, const struct frcnn_eval_options *options)
{
	return (struct frcnn_report){.truth = truth,
				     .options = *options,
				     .threshold_score = 0.5,
				     .match_iou = 0.5,
				     .has_want_precision = true,
				     .has_want_recall = true,
				     .want_precision = 0.5,
				     .want_recall = 0.5,
				     .voc_iou = 0.5,
				     .confusion_iou = 0.5,
				     .tide_foreground_iou = 0.5,
				     .tide_background_iou = 0.1,
				     .resamples = 5,
				     .seed = 1};
}

static double metric_of(const struct frcnn_report_metrics *metrics, const char *name)
{
	const struct frcnn_report_metric *metric = frcnn_report_metric_find(metrics, name);

	cr_assert(metric, "no metric %s", name);
	return metric->value;
}

Test(eval_measure, metrics_by_name)
{
	static const char *const coco[12] = {"AP",  "AP50", "AP75",  "APs", "APm", "APl",
					     "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};
	struct eval_case c;
	struct frcnn_eval_options usual;
	struct frcnn_eval_truth truth;
	struct frcnn_report report;
	struct frcnn_report_model *model;
	struct side ours = {0};

	make_large(EVAL_PLAIN, &c);
	frcnn_eval_options_init(&usual);
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	report = report_on(&truth, &usual);
	report.models = model = frcnn_calloc(1, sizeof *model);
	report.nmodels = 1;
	cr_assert_eq(frcnn_report_measure(&report, &ours.columns, EVERYTHING, NULL, model, NULL), 0);
	for (int i = 0; i < 12; i++) {
		cr_expect_str_eq(model->metrics.items[i].name, coco[i]);
		cr_expect_eq(model->metrics.items[i].value, model->stats[i], "%s", coco[i]);
	}
	cr_expect_eq(model->nclasses, truth.ncategories);
	cr_expect_eq(metric_of(&model->metrics, "mAP"), model->voc.mean);
	cr_expect_eq(metric_of(&model->metrics, "ece"), model->calibration.ece);
	cr_expect_eq(metric_of(&model->metrics, "fp_per_image"), model->background.fp_per_image);
	cr_expect_eq(metric_of(&model->metrics, "f1"), model->operating.f1);
	cr_expect_null(frcnn_report_metric_find(&model->metrics, "AP55"));
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *class = &model->classes[k];

		cr_expect_eq(metric_of(&class->metrics, "AP"), frcnn_eval_mean(&model->cells, false, -1, (int)k, 0, 2));
		cr_expect_eq(metric_of(&class->metrics, "AP75"),
			     frcnn_eval_mean(&model->cells, false, 5, (int)k, 0, 2));
		cr_expect_eq(metric_of(&class->metrics, "ARs"), frcnn_eval_mean(&model->cells, true, -1, (int)k, 1, 2));
		cr_expect_eq(metric_of(&class->metrics, "voc"), model->voc.ap[k]);
	}
	frcnn_eval_detections_free(&ours.columns);
	frcnn_report_free(&report);
	frcnn_eval_truth_free(&truth);
	eval_case_free(&c);
}

Test(eval_measure, refused_memory_is_said)
{
	struct eval_case c;
	struct frcnn_eval_options usual;
	struct frcnn_eval_truth truth;
	struct side ours = {0}, baseline = {0};
	struct frcnn_gate gate;
	bool refused = true;

	make_large(EVAL_PLAIN, &c);
	frcnn_eval_options_init(&usual);
	cr_assert_eq(frcnn_eval_truth_make(&c.truth, false, &truth, NULL), 0);
	collect(&c, &truth, false, NULL, NULL, &ours);
	collect(&c, &truth, true, NULL, NULL, &baseline);
	cr_assert_eq(frcnn_gate_parse("AP=0", FRCNN_GATE_MAX_DROP, &gate, NULL), 0);
	for (size_t n = 0; refused; n += 1 + n / 16) {
		struct frcnn_report report = report_on(&truth, &usual);
		struct frcnn_error err;
		int status;

		report.gates = &gate;
		report.ngates = 1;
		report.models = frcnn_calloc(1, sizeof *report.models);
		report.nmodels = 1;
		report.baseline = frcnn_calloc(1, sizeof *report.baseline);
		refuse_allocation(n, false);
		status = frcnn_report_measure(&report, &baseline.columns, EVERYTHING, NULL, report.baseline, &err);
		if (status == 0)
			status =
			    frcnn_report_measure(&report, &ours.columns, EVERYTHING, NULL, &report.models[0], &err);
		if (status == 0)
			status = frcnn_report_compare(&report, &ours.columns, &baseline.columns, NULL,
						      &report.models[0], &err);
		if (status == 0)
			status = frcnn_gates_judge(&report, true, &err);
		refused = refuse_end();
		cr_assert_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu: %d", n, status);
		frcnn_report_free(&report);
	}
	frcnn_gate_free(&gate);
	frcnn_eval_detections_free(&ours.columns);
	frcnn_eval_detections_free(&baseline.columns);
	frcnn_eval_truth_free(&truth);
	eval_case_free(&c);
}
