/* One object, keys in a fixed order; frcnn-eval(1) lists them. */
#include "render/render.h"

#include <math.h>
#include <string.h>

static void put_number(struct frcnn_json_writer *w, double value)
{
	if (isfinite(value))
		frcnn_json_put_double(w, value);
	else /* JSON has no NaN, which --pycocotools can give */
		frcnn_json_put_raw(w, "null", 4);
}

static void key_number(struct frcnn_json_writer *w, const char *key, double value)
{
	frcnn_json_key(w, key);
	put_number(w, value);
}

static void key_count(struct frcnn_json_writer *w, const char *key, size_t value)
{
	frcnn_json_key(w, key);
	frcnn_json_put_int64(w, (int64_t)value);
}

static void put_text(struct frcnn_json_writer *w, const char *text)
{
	struct frcnn_buffer utf8 = {0};

	frcnn_render_utf8(&utf8, text);
	if (utf8.failed)
		w->out->failed = true;
	else
		frcnn_json_put_string(w, utf8.data, utf8.size);
	frcnn_buffer_free(&utf8);
}

/* NULL: null. */
static void key_text(struct frcnn_json_writer *w, const char *key, const char *text)
{
	frcnn_json_key(w, key);
	if (text != NULL)
		put_text(w, text);
	else
		frcnn_json_put_raw(w, "null", 4);
}

static void put_metrics(struct frcnn_json_writer *w, const struct frcnn_report *report,
			const struct frcnn_report_metrics *metrics)
{
	for (size_t i = 0; i < metrics->count; i++) {
		if (!frcnn_render_shows(report, metrics->items[i].name))
			continue;
		frcnn_json_key(w, metrics->items[i].name);
		put_number(w, metrics->items[i].value);
	}
}

static void key_threshold(struct frcnn_json_writer *w, const char *key, const struct frcnn_eval_threshold *t)
{
	frcnn_json_key(w, key);
	frcnn_json_begin_object(w);
	key_number(w, "threshold", t->cut);
	key_number(w, "precision", t->precision);
	key_number(w, "recall", t->recall);
	key_number(w, "f1", t->f1);
	frcnn_json_end_object(w);
}

static void put_wanted(struct frcnn_json_writer *w, const struct frcnn_report *report,
		       const struct frcnn_eval_threshold *precision, const struct frcnn_eval_threshold *recall)
{
	if (report->has_want_precision)
		key_threshold(w, "at_precision", precision);
	if (report->has_want_recall)
		key_threshold(w, "at_recall", recall);
}

static void put_classes(struct frcnn_json_writer *w, const struct frcnn_report *report,
			const struct frcnn_report_model *model)
{
	frcnn_json_key(w, "classes");
	frcnn_json_begin_array(w);
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *c = &model->classes[k];
		frcnn_json_begin_object(w);
		key_text(w, "name", c->name);
		frcnn_json_key(w, "category_id");
		frcnn_json_put_int64(w, c->category_id);
		put_metrics(w, report, &c->metrics);
		key_count(w, "gt", c->objects);
		key_count(w, "detections", c->detections);
		if (model->has_matches && !(report->hidden & FRCNN_MEASURE_MATCHES)) {
			/* where precision, recall and f1 are not among the metrics */
			if (frcnn_report_metric_find(&c->metrics, "precision") == NULL)
				key_number(w, "precision", c->operating.precision);
			if (frcnn_report_metric_find(&c->metrics, "recall") == NULL)
				key_number(w, "recall", c->operating.recall);
			if (frcnn_report_metric_find(&c->metrics, "f1") == NULL)
				key_number(w, "f1", c->operating.f1);
			key_number(w, "best_threshold", c->best.cut);
			key_number(w, "best_f1", c->best.f1);
			put_wanted(w, report, &c->at_precision, &c->at_recall);
		}
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
}

static void put_voc(struct frcnn_json_writer *w, const struct frcnn_report *report,
		    const struct frcnn_report_model *model)
{
	frcnn_json_key(w, "voc");
	frcnn_json_begin_object(w);
	key_text(w, "method", report->voc_eleven ? "11" : "all");
	key_number(w, "iou", report->voc_iou);
	key_number(w, "mAP", model->voc.mean);
	frcnn_json_key(w, "classes");
	frcnn_json_begin_array(w);
	for (size_t k = 0; k < model->nclasses; k++) {
		frcnn_json_begin_object(w);
		key_text(w, "name", model->classes[k].name);
		key_number(w, "AP", model->classes[k].voc_ap);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
	frcnn_json_end_object(w);
}

static void put_tide(struct frcnn_json_writer *w, const struct frcnn_eval_tide *t)
{
	static const char *const names[] = {"cls", "loc", "both", "dupe", "bkg", "miss"};
	const double gains[] = {t->cls, t->loc, t->both, t->dupe, t->bkg, t->miss};

	frcnn_json_key(w, "tide");
	frcnn_json_begin_object(w);
	for (size_t i = 0; i < FRCNN_COUNT(names); i++)
		key_number(w, names[i], gains[i]);
	key_number(w, "fp", t->fp);
	key_number(w, "fn", t->fn);
	key_number(w, "ap", t->ap);
	frcnn_json_key(w, "counts");
	frcnn_json_begin_object(w);
	for (size_t i = 0; i < FRCNN_COUNT(names); i++)
		key_count(w, names[i], t->counts[i]);
	frcnn_json_end_object(w);
	frcnn_json_end_object(w);
}

static void put_confusion(struct frcnn_json_writer *w, const struct frcnn_report *report,
			  const struct frcnn_report_model *model)
{
	size_t side = report->nconfusion + 1;
	char scratch[FRCNN_RENDER_NAME];

	frcnn_json_key(w, "confusion");
	frcnn_json_begin_object(w);
	frcnn_json_key(w, "labels");
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < side; i++)
		put_text(w, frcnn_render_category(report, i, scratch));
	frcnn_json_end_array(w);
	frcnn_json_key(w, "matrix");
	frcnn_json_begin_array(w);
	for (size_t r = 0; r < side; r++) {
		frcnn_json_begin_array(w);
		for (size_t c = 0; c < side; c++)
			frcnn_json_put_int64(w, (int64_t)model->confusion[r * side + c]);
		frcnn_json_end_array(w);
	}
	frcnn_json_end_array(w);
	key_number(w, "iou", report->confusion_iou);
	key_number(w, "score", report->threshold_score);
	frcnn_json_end_object(w);
}

static void put_calibration(struct frcnn_json_writer *w, const struct frcnn_eval_calibration *c)
{
	frcnn_json_key(w, "calibration");
	frcnn_json_begin_object(w);
	key_number(w, "ece", c->ece);
	key_number(w, "mce", c->mce);
	frcnn_json_key(w, "bins");
	frcnn_json_begin_array(w);
	for (int i = 0; i < c->nbins; i++) {
		frcnn_json_begin_object(w);
		key_number(w, "low", c->bins[i].low);
		key_number(w, "high", c->bins[i].high);
		key_count(w, "count", c->bins[i].count);
		key_number(w, "confidence", c->bins[i].confidence);
		key_number(w, "precision", c->bins[i].precision);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
	frcnn_json_end_object(w);
}

static void put_matched(struct frcnn_json_writer *w, const struct frcnn_report *report,
			const struct frcnn_report_model *model)
{
	frcnn_json_key(w, "thresholds");
	frcnn_json_begin_object(w);
	key_number(w, "score", report->threshold_score);
	key_number(w, "precision", model->operating.precision);
	key_number(w, "recall", model->operating.recall);
	key_number(w, "f1", model->operating.f1);
	key_threshold(w, "best", &model->best);
	put_wanted(w, report, &model->at_precision, &model->at_recall);
	frcnn_json_end_object(w);
	frcnn_json_key(w, "background");
	frcnn_json_begin_object(w);
	key_count(w, "images", model->background.images);
	key_number(w, "fp_per_image", model->background.fp_per_image);
	key_number(w, "fp_per_background_image", model->background.fp_per_background_image);
	key_count(w, "absent_detections", model->background.absent_detections);
	frcnn_json_end_object(w);
}

static void put_comparison(struct frcnn_json_writer *w, const struct frcnn_report *report,
			   const struct frcnn_report_model *model)
{
	char seed[24];

	frcnn_json_key(w, "comparison");
	frcnn_json_begin_object(w);
	key_text(w, "baseline", report->baseline->path);
	key_number(w, "resamples", report->resamples);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)report->seed);
	frcnn_json_key(w, "seed");
	frcnn_json_put_raw(w, seed, strlen(seed));
	key_number(w, "tied_scores", model->tied_scores);
	frcnn_json_key(w, "differences");
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < model->ndifferences; i++) {
		const struct frcnn_report_difference *d = &model->differences[i];
		if (d->class_level ? !report->per_class : !frcnn_render_shows(report, d->name))
			continue;
		frcnn_json_begin_object(w);
		key_text(w, "name", d->name);
		key_number(w, "value", d->d.ours);
		key_number(w, "baseline", d->d.baseline);
		if (d->d.ours != -1 && d->d.baseline != -1) {
			key_number(w, "difference", d->d.difference);
			if (d->has_interval) {
				key_number(w, "low", d->d.low);
				key_number(w, "high", d->d.high);
			}
		}
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
	frcnn_json_end_object(w);
}

static void put_model(struct frcnn_json_writer *w, const struct frcnn_report *report,
		      const struct frcnn_report_model *model)
{
	frcnn_json_key(w, "stats");
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < FRCNN_COUNT(model->stats); i++)
		put_number(w, model->stats[i]);
	frcnn_json_end_array(w);
	frcnn_json_key(w, "metrics");
	frcnn_json_begin_object(w);
	put_metrics(w, report, &model->metrics);
	frcnn_json_end_object(w);
	if (report->per_class)
		put_classes(w, report, model);
	if (model->has_voc && !(report->hidden & FRCNN_MEASURE_VOC))
		put_voc(w, report, model);
	if (model->has_tide && !(report->hidden & FRCNN_MEASURE_TIDE))
		put_tide(w, &model->tide);
	if (model->has_confusion && !(report->hidden & FRCNN_MEASURE_CONFUSION))
		put_confusion(w, report, model);
	if (model->has_calibration && !(report->hidden & FRCNN_MEASURE_CALIBRATION))
		put_calibration(w, &model->calibration);
	if (model->has_matches && !(report->hidden & FRCNN_MEASURE_MATCHES))
		put_matched(w, report, model);
	if (model->has_baseline && report->baseline != NULL)
		put_comparison(w, report, model);
}

static void put_gates(struct frcnn_json_writer *w, const struct frcnn_report *report)
{
	frcnn_json_key(w, "gates");
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < report->nresults; i++) {
		const struct frcnn_gate_result *result = &report->results[i];
		const struct frcnn_gate *gate = &report->gates[result->gate];
		frcnn_json_begin_object(w);
		key_text(w, "metric", gate->metric);
		key_text(w, "kind",
			 gate->kind == FRCNN_GATE_MIN   ? "min"
			 : gate->kind == FRCNN_GATE_MAX ? "max"
							: "max-drop");
		key_number(w, "bound", gate->bound);
		if (report->nmodels > 1)
			key_text(w, "file", report->models[result->model].path);
		if (result->verdict == FRCNN_GATE_HOLDS || result->verdict == FRCNN_GATE_FAILED) {
			key_number(w, "value", result->value);
			if (result->has_interval) {
				key_number(w, "low", result->low);
				key_number(w, "high", result->high);
			}
		}
		key_text(w, "verdict", frcnn_render_verdict(result->verdict));
		key_text(w, "message", result->message);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
}

static void put_file(struct frcnn_json_writer *w, const struct frcnn_report_model *model)
{
	frcnn_json_begin_object(w);
	key_text(w, "file", model->path);
	if (model->model != NULL)
		key_text(w, "model", model->model);
	if (model->sha256[0] != '\0')
		key_text(w, "sha256", model->sha256);
	key_count(w, "images", model->images);
	key_count(w, "detections", model->detections);
	key_count(w, "left_out", model->left_out);
	key_count(w, "ignored", model->ignored);
	frcnn_json_end_object(w);
}

static void put_lines(struct frcnn_json_writer *w, const char *key, char *const *lines, size_t count)
{
	frcnn_json_key(w, key);
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < count; i++)
		put_text(w, lines[i]);
	frcnn_json_end_array(w);
}

static void put_inputs(struct frcnn_json_writer *w, const struct frcnn_report *report)
{
	frcnn_json_key(w, "inputs");
	frcnn_json_begin_object(w);
	frcnn_json_key(w, "ground_truth");
	frcnn_json_begin_object(w);
	key_text(w, "file", report->truth_path);
	if (report->truth_sha256[0] != '\0')
		key_text(w, "sha256", report->truth_sha256);
	key_count(w, "images", report->truth->nimages);
	key_count(w, "categories", report->truth->ncategories);
	key_count(w, "objects", report->truth->nobjects);
	key_count(w, "crowds", report->truth_crowds);
	key_count(w, "left_out", report->truth_left_out);
	frcnn_json_end_object(w);
	frcnn_json_key(w, "detections");
	frcnn_json_begin_array(w);
	for (size_t m = 0; m < report->nmodels; m++)
		put_file(w, &report->models[m]);
	frcnn_json_end_array(w);
	if (report->baseline != NULL) {
		frcnn_json_key(w, "baseline");
		put_file(w, report->baseline);
	}
	put_lines(w, "warnings", report->warnings, report->nwarnings);
	put_lines(w, "errors", report->errors, report->nerrors);
	if (report->errors_left_out > 0)
		key_count(w, "errors_left_out", report->errors_left_out);
	frcnn_json_end_object(w);
}

int frcnn_render_json(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_json_writer w = {.out = out};

	frcnn_json_begin_object(&w);
	if (report->nmodels == 1) {
		put_model(&w, report, &report->models[0]);
	} else {
		frcnn_json_key(&w, "models");
		frcnn_json_begin_array(&w);
		for (size_t m = 0; m < report->nmodels; m++) {
			frcnn_json_begin_object(&w);
			key_text(&w, "file", report->models[m].path);
			put_model(&w, report, &report->models[m]);
			frcnn_json_end_object(&w);
		}
		frcnn_json_end_array(&w);
	}
	if (report->nresults > 0)
		put_gates(&w, report);
	put_inputs(&w, report);
	frcnn_json_end_object(&w);
	frcnn_buffer_putc(out, '\n');
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* ---- curves
 * ---------------------------------------------------------------------------------------------------------- */

int frcnn_report_curves_json(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_json_writer w = {.out = out};

	frcnn_json_begin_array(&w);
	for (size_t m = 0; m < report->nmodels; m++) {
		const struct frcnn_report_model *model = &report->models[m];
		const struct frcnn_eval_cells *cells = &model->cells;
		for (int i = 0; i < cells->K * cells->T && (size_t)(i / cells->T) < model->nclasses; i++) {
			int k = i / cells->T, t = i % cells->T;
			const double *from[2] = {cells->precision, cells->scores};
			if (cells->precision[frcnn_render_cell(cells, t, 0, k)] == -1)
				continue;
			frcnn_json_begin_object(&w);
			key_text(&w, "model", frcnn_render_model(model));
			frcnn_json_key(&w, "category_id");
			frcnn_json_put_int64(&w, model->classes[k].category_id);
			key_text(&w, "category", model->classes[k].name);
			key_number(&w, "iou", report->options.ious[t]);
			frcnn_json_key(&w, "recall");
			frcnn_json_begin_array(&w);
			for (int r = 0; r < cells->R; r++)
				put_number(&w, r * 0.01);
			frcnn_json_end_array(&w);
			for (int which = 0; which < 2; which++) {
				frcnn_json_key(&w, which == 0 ? "precision" : "score");
				frcnn_json_begin_array(&w);
				for (int r = 0; r < cells->R; r++)
					put_number(&w, from[which][frcnn_render_cell(cells, t, r, k)]);
				frcnn_json_end_array(&w);
			}
			frcnn_json_end_object(&w);
		}
	}
	frcnn_json_end_array(&w);
	frcnn_buffer_putc(out, '\n');
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
