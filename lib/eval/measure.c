/* All that a report says of one model: metrics by name, of all classes together and of each. */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 10

int frcnn_report_metric_add(struct frcnn_report_metrics *metrics, const char *name, double value)
{
	void *items = metrics->items;
	int status = frcnn_grow(&items, &metrics->capacity, metrics->count + 1, sizeof *metrics->items);

	metrics->items = items;
	if (status < 0)
		return status;
	snprintf(metrics->items[metrics->count].name, sizeof metrics->items->name, "%s", name);
	metrics->items[metrics->count++].value = value;
	return 0;
}

const struct frcnn_report_metric *frcnn_report_metric_find(const struct frcnn_report_metrics *metrics, const char *name)
{
	for (size_t i = 0; i < metrics->count; i++) {
		if (strcmp(metrics->items[i].name, name) == 0)
			return &metrics->items[i];
	}
	return NULL;
}

/* ---- COCO's
 * ------------------------------------------------------------------------------------------------------------ */

static int iou_index(const struct frcnn_eval_options *options, double iou)
{
	for (int t = 0; t < options->nious; t++) {
		if (fabs(options->ious[t] - iou) < 1e-9)
			return t;
	}
	return -1;
}

/* "APs" of small, "AP.NAME" of any other area but medium and large. */
static void area_name(char *out, size_t size, const char *prefix, const char *area)
{
	static const char *const short_names[] = {"small", "medium", "large"};

	for (size_t i = 0; i < FRCNN_COUNT(short_names); i++) {
		if (strcmp(area, short_names[i]) == 0) {
			snprintf(out, size, "%s%c", prefix, area[0]);
			return;
		}
	}
	snprintf(out, size, "%s.%s", prefix, area);
}

/* stats: pycocotools' numbers where they have to stand as they are; NULL: made here. category -1: all. */
static int add_coco(struct frcnn_report_metrics *metrics, const struct frcnn_eval_cells *cells,
		    const struct frcnn_eval_options *options, int category, const double *stats)
{
	int last = options->nmax_dets - 1, status = 0, n = 0;
	char name[48];

	for (int i = 0; i < 3; i++) {
		static const char *const names[3] = {"AP", "AP50", "AP75"};
		int t = i == 0 ? -1 : iou_index(options, i == 1 ? 0.5 : 0.75);
		double value = i > 0 && t < 0 ? -1 : frcnn_eval_mean(cells, false, t, category, 0, last);

		status |= frcnn_report_metric_add(metrics, names[i], stats ? stats[n] : value);
		n++;
	}
	for (int a = 1; a < options->nareas; a++) {
		area_name(name, sizeof name, "AP", options->areas[a].name);
		status |= frcnn_report_metric_add(
		    metrics, name, stats ? stats[n] : frcnn_eval_mean(cells, false, -1, category, a, last));
		n++;
	}
	for (int m = 0; m < options->nmax_dets; m++) {
		snprintf(name, sizeof name, "AR%d", options->max_dets[m]);
		status |= frcnn_report_metric_add(metrics, name,
						  stats ? stats[n] : frcnn_eval_mean(cells, true, -1, category, 0, m));
		n++;
	}
	for (int a = 1; a < options->nareas; a++) {
		area_name(name, sizeof name, "AR", options->areas[a].name);
		status |= frcnn_report_metric_add(
		    metrics, name, stats ? stats[n] : frcnn_eval_mean(cells, true, -1, category, a, last));
		n++;
	}
	return status;
}

static bool default_ious(const struct frcnn_eval_options *options)
{
	struct frcnn_eval_options usual;

	frcnn_eval_options_init(&usual);
	return options->nious == usual.nious &&
	       memcmp(options->ious, usual.ious, (size_t)usual.nious * sizeof *usual.ious) == 0;
}

static bool default_areas_and_dets(const struct frcnn_eval_options *options)
{
	struct frcnn_eval_options usual;

	frcnn_eval_options_init(&usual);
	if (options->nareas != usual.nareas || options->nmax_dets != usual.nmax_dets)
		return false;
	for (int a = 0; a < usual.nareas; a++) {
		if (strcmp(options->areas[a].name, usual.areas[a].name) != 0)
			return false;
	}
	return true;
}

/* APnn of thresholds that were asked for one by one. */
static int add_thresholds(struct frcnn_report_metrics *metrics, const struct frcnn_eval_cells *cells,
			  const struct frcnn_eval_options *options, int category)
{
	int status = 0;

	for (int t = 0; t < options->nious && !default_ious(options); t++) {
		char name[48];

		snprintf(name, sizeof name, "AP%g", options->ious[t] * 100);
		if (!frcnn_report_metric_find(metrics, name))
			status |= frcnn_report_metric_add(
			    metrics, name, frcnn_eval_mean(cells, false, t, category, 0, options->nmax_dets - 1));
	}
	return status;
}

/* ---- from matches
 * ---------------------------------------------------------------------------------------------------------- */

/* Object sizes for recall.NAME, and all that stands at a score threshold. category -1: all. */
static int add_matched(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
		       const struct frcnn_eval_matches *matches, int category, struct frcnn_report_metrics *metrics,
		       const struct frcnn_eval_operating *operating)
{
	int status = 0;
	char name[48];

	for (int a = 1; a < report->options.nareas; a++) {
		const struct frcnn_eval_area *area = &report->options.areas[a];

		snprintf(name, sizeof name, "recall.%s", area->name);
		status |= frcnn_report_metric_add(
		    metrics, name,
		    frcnn_eval_size_recall(report->truth, detections, matches, area->low, area->high, category));
	}
	status |= frcnn_report_metric_add(metrics, "precision", operating->precision);
	status |= frcnn_report_metric_add(metrics, "recall", operating->recall);
	status |= frcnn_report_metric_add(metrics, "f1", operating->f1);
	return status;
}

static int best_scores(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
		       const struct frcnn_eval_matches *matches, int category, struct frcnn_eval_threshold *best,
		       struct frcnn_eval_threshold *at_precision, struct frcnn_eval_threshold *at_recall,
		       struct frcnn_error *err)
{
	int status =
	    frcnn_eval_best_score(report->truth, detections, matches, FRCNN_EVAL_BEST_F1, 0, category, best, err);

	if (status == 0 && report->has_want_precision)
		status = frcnn_eval_best_score(report->truth, detections, matches, FRCNN_EVAL_MIN_PRECISION,
					       report->want_precision, category, at_precision, err);
	if (status == 0 && report->has_want_recall)
		status = frcnn_eval_best_score(report->truth, detections, matches, FRCNN_EVAL_MIN_RECALL,
					       report->want_recall, category, at_recall, err);
	return status;
}

static int measure_matched(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
			   struct frcnn_pool *pool, unsigned what, struct frcnn_report_model *out,
			   struct frcnn_error *err)
{
	struct frcnn_eval_matches matches = {0};
	int most = report->options.max_dets[report->options.nmax_dets - 1], status;

	if (most < FRCNN_EVAL_RECALL_DETS)
		most = FRCNN_EVAL_RECALL_DETS;
	status = frcnn_eval_match(report->truth, detections, report->match_iou, most, pool, &matches, err);
	if (status < 0)
		goto out;
	out->has_matches = true;
	out->operating = frcnn_eval_at_score(report->truth, detections, &matches, report->threshold_score, -1);
	for (int i = 0; i < FRCNN_REPORT_SWEEP; i++)
		out->sweep[i] =
		    frcnn_eval_at_score(report->truth, detections, &matches, (double)i / FRCNN_REPORT_SWEEP, -1);
	if (add_matched(report, detections, &matches, -1, &out->metrics, &out->operating) < 0) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	status = best_scores(report, detections, &matches, -1, &out->best, &out->at_precision, &out->at_recall, err);
	for (size_t k = 0; k < out->nclasses && status == 0; k++) {
		struct frcnn_report_class *class = &out->classes[k];
		int category = (int)class->category;

		class->operating =
		    frcnn_eval_at_score(report->truth, detections, &matches, report->threshold_score, category);
		if (add_matched(report, detections, &matches, category, &class->metrics, &class->operating) < 0)
			status = frcnn_fail_nomem(err);
		else
			status = best_scores(report, detections, &matches, category, &class->best, &class->at_precision,
					     &class->at_recall, err);
	}
	if (status == 0)
		status = frcnn_eval_background(report->truth, detections, &matches, report->threshold_score,
					       &out->background, err);
	if (status == 0 && frcnn_report_metric_add(&out->metrics, "fp_per_image", out->background.fp_per_image) < 0)
		status = frcnn_fail_nomem(err);
	if (status == 0 && (what & FRCNN_MEASURE_CALIBRATION)) {
		frcnn_eval_calibration(detections, &matches, BINS, -INFINITY, &out->calibration);
		out->has_calibration = true;
	}
out:
	frcnn_eval_matches_free(&matches);
	return status;
}

/* ---- the whole
 * ---------------------------------------------------------------------------------------------------------------- */

static int make_classes(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
			struct frcnn_report_model *out)
{
	const struct frcnn_eval_truth *truth = report->truth;

	out->nclasses = (size_t)out->cells.K;
	out->classes = frcnn_calloc(out->nclasses, sizeof *out->classes);
	if (!out->classes)
		return FRCNN_ENOMEM;
	for (size_t k = 0; k < out->nclasses; k++) {
		struct frcnn_report_class *class = &out->classes[k];
		size_t category = out->cells.category[k];

		class->category = category;
		class->category_id = truth->category_ids[category];
		class->name = truth->category_names ? truth->category_names[category] : NULL;
		class->voc_ap = -1;
		class->detections = detections->category_first[category + 1] - detections->category_first[category];
		for (size_t g = truth->category_first[category]; g < truth->category_first[category + 1]; g++)
			class->objects += !truth->crowd[g];
		if (add_coco(&class->metrics, &out->cells, &report->options, (int)k, NULL) < 0 ||
		    add_thresholds(&class->metrics, &out->cells, &report->options, (int)k) < 0)
			return FRCNN_ENOMEM;
	}
	return 0;
}

static int add_voc(struct frcnn_report_model *out)
{
	int status = frcnn_report_metric_add(&out->metrics, "mAP", out->voc.mean);

	for (size_t k = 0; k < out->nclasses && status == 0; k++) {
		out->classes[k].voc_ap = out->voc.ap[out->classes[k].category];
		status = frcnn_report_metric_add(&out->classes[k].metrics, "voc", out->classes[k].voc_ap);
	}
	return status;
}

int frcnn_report_measure(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
			 unsigned what, struct frcnn_pool *pool, struct frcnn_report_model *out,
			 struct frcnn_error *err)
{
	const struct frcnn_eval_options *options = &report->options;
	struct frcnn_eval_options selected = report->options;
	int status;

	/* the columns are selected already */
	selected.agnostic = false;
	selected.categories = NULL;
	status = frcnn_eval_coco(report->truth, detections, &selected, pool, &out->cells, err);
	if (status < 0)
		return status;
	frcnn_eval_stats(&out->cells, options, out->stats);
	out->detections = detections->count;
	if (add_coco(&out->metrics, &out->cells, options, -1, default_areas_and_dets(options) ? out->stats : NULL) <
		0 ||
	    add_thresholds(&out->metrics, &out->cells, options, -1) < 0 || make_classes(report, detections, out) < 0)
		return frcnn_fail_nomem(err);
	if (what & (FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_CALIBRATION))
		status = measure_matched(report, detections, pool, what, out, err);
	if (status == 0 && (what & FRCNN_MEASURE_VOC)) {
		status = frcnn_eval_voc(report->truth, detections, report->voc_iou, report->voc_eleven, &out->voc, err);
		out->has_voc = status == 0;
		if (status == 0 && add_voc(out) < 0)
			status = frcnn_fail_nomem(err);
	}
	if (status == 0 && (what & FRCNN_MEASURE_TIDE)) {
		status = frcnn_eval_tide(report->truth, detections, report->tide_foreground_iou,
					 report->tide_background_iou, &out->tide, err);
		out->has_tide = status == 0;
	}
	if (status == 0 && (what & FRCNN_MEASURE_CONFUSION)) {
		status = frcnn_eval_confusion(report->truth, detections, report->confusion_iou, report->threshold_score,
					      &out->confusion, err);
		out->has_confusion = status == 0;
	}
	if (status == 0 && out->has_calibration &&
	    (frcnn_report_metric_add(&out->metrics, "ece", out->calibration.ece) < 0 ||
	     frcnn_report_metric_add(&out->metrics, "mce", out->calibration.mce) < 0))
		status = frcnn_fail_nomem(err);
	return status;
}

/* ---- against the baseline
 * -------------------------------------------------------------------------------------------------------- */

static int add_difference(struct frcnn_report_model *model, const struct frcnn_report_class *class, const char *metric,
			  double ours, double before, const struct frcnn_eval_difference *sampled)
{
	struct frcnn_report_difference *difference = &model->differences[model->ndifferences];
	struct frcnn_buffer name = {0};
	bool defined = ours > -1 && before > -1;

	if (class && class->name)
		frcnn_buffer_printf(&name, "%s:", class->name);
	else if (class)
		frcnn_buffer_printf(&name, "%lld:", (long long)class->category_id);
	frcnn_buffer_puts(&name, metric);
	if (name.failed) {
		frcnn_buffer_free(&name);
		return FRCNN_ENOMEM;
	}
	difference->name = name.data;
	difference->class_level = class != NULL;
	difference->d = (struct frcnn_eval_difference){
	    .ours = ours, .baseline = before, .difference = defined ? ours - before : -1};
	if (sampled && defined && sampled->ours > -1 && sampled->baseline > -1) {
		difference->d.low = sampled->low;
		difference->d.high = sampled->high;
		difference->has_interval = true;
	}
	model->ndifferences++;
	return 0;
}

int frcnn_report_compare(const struct frcnn_report *report, const struct frcnn_eval_detections *ours,
			 const struct frcnn_eval_detections *baseline, struct frcnn_pool *pool,
			 struct frcnn_report_model *model, struct frcnn_error *err)
{
	static const char *const sampled_names[3] = {"AP", "AP50", "AP75"};
	const struct frcnn_report_model *before = report->baseline;
	size_t K = report->truth->ncategories;
	struct frcnn_eval_options selected = report->options; /* the columns are selected already */
	struct frcnn_eval_difference *sampled = frcnn_calloc(3 + K, sizeof *sampled);
	int status = 0;

	selected.agnostic = false;
	selected.categories = NULL;
	model->differences = frcnn_calloc(model->metrics.count + model->nclasses, sizeof *model->differences);
	if (!sampled || !model->differences) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (report->resamples > 0)
		status = frcnn_eval_compare(report->truth, ours, baseline, &selected, report->resamples, report->seed,
					    pool, sampled, err);
	if (status == 0)
		status = frcnn_eval_tied_scores(report->truth, ours, &model->tied_scores, err);
	if (status < 0)
		goto out;
	model->has_baseline = true;
	for (size_t i = 0; i < model->metrics.count; i++) {
		const struct frcnn_report_metric *metric = &model->metrics.items[i];
		const struct frcnn_report_metric *other = frcnn_report_metric_find(&before->metrics, metric->name);
		const struct frcnn_eval_difference *from = NULL;

		for (size_t s = 0; s < 3 && report->resamples > 0; s++) {
			if (strcmp(metric->name, sampled_names[s]) == 0)
				from = &sampled[s];
		}
		if (add_difference(model, NULL, metric->name, metric->value, other ? other->value : -1, from) < 0) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
	}
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *class = &model->classes[k];

		if (add_difference(model, class, "AP", class->metrics.items[0].value,
				   before->classes[k].metrics.items[0].value,
				   report->resamples > 0 ? &sampled[3 + class->category] : NULL) < 0) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
	}
out:
	free(sampled);
	return status;
}

/* ---- freeing
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void model_free(struct frcnn_report_model *model)
{
	free(model->model);
	free(model->metrics.items);
	for (size_t k = 0; model->classes && k < model->nclasses; k++)
		free(model->classes[k].metrics.items);
	free(model->classes);
	frcnn_eval_cells_free(&model->cells);
	frcnn_eval_voc_free(&model->voc);
	free(model->confusion);
	for (size_t i = 0; i < model->ndifferences; i++)
		free(model->differences[i].name);
	free(model->differences);
}

void frcnn_report_drop_model(struct frcnn_report *report)
{
	if (report->nmodels == 0)
		return;
	report->nmodels--;
	model_free(&report->models[report->nmodels]);
	memset(&report->models[report->nmodels], 0, sizeof *report->models);
}

void frcnn_report_drop_baseline(struct frcnn_report *report)
{
	if (report->baseline)
		model_free(report->baseline);
	free(report->baseline);
	report->baseline = NULL;
}

void frcnn_report_free(struct frcnn_report *report)
{
	if (!report)
		return;
	for (size_t m = 0; m < report->nmodels; m++)
		model_free(&report->models[m]);
	free(report->models);
	frcnn_report_drop_baseline(report);
	for (size_t i = 0; i < report->nresults; i++)
		free(report->results[i].message);
	free(report->results);
	for (size_t i = 0; i < report->nwarnings; i++)
		free(report->warnings[i]);
	free(report->warnings);
	for (size_t i = 0; i < report->nerrors; i++)
		free(report->errors[i]);
	free(report->errors);
	memset(report, 0, sizeof *report);
}
