/* The parts of a report as tables of text, for terminals and for Markdown. */
#include "render/render.h"

#include <string.h>

enum { CONFUSED_LIMIT = 20, MATRIX_LIMIT = 12 };

static void title(const struct frcnn_report *report, const struct frcnn_report_model *model, struct frcnn_table *table,
		  const char *format, ...) FRCNN_PRINTF(4, 5);

static void title(const struct frcnn_report *report, const struct frcnn_report_model *model, struct frcnn_table *table,
		  const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (report->nmodels > 1) {
		frcnn_buffer_puts(&table->title, frcnn_render_model(model));
		frcnn_buffer_puts(&table->title, ": ");
	}
	frcnn_buffer_puts(&table->title, text);
}

static void heads(struct frcnn_table *table, const char *const *names, size_t count)
{
	table->columns = count;
	for (size_t i = 0; i < count; i++)
		frcnn_table_put(table, names[i]);
}

#define HEADS(table, ...)                                                                                              \
	heads(table, (const char *const[]){__VA_ARGS__}, FRCNN_COUNT(((const char *const[]){__VA_ARGS__})))

/* Metrics as columns: how many, their heads, their values in the same order. */
static size_t shown_count(const struct frcnn_report *report, const struct frcnn_report_metrics *names)
{
	size_t count = 0;

	for (size_t i = 0; i < names->count; i++)
		count += frcnn_render_shows(report, names->items[i].name);
	return count;
}

static void put_names(const struct frcnn_report *report, struct frcnn_table *table,
		      const struct frcnn_report_metrics *names)
{
	for (size_t i = 0; i < names->count; i++) {
		if (frcnn_render_shows(report, names->items[i].name))
			frcnn_table_put(table, names->items[i].name);
	}
}

static void put_values(const struct frcnn_report *report, struct frcnn_table *table,
		       const struct frcnn_report_metrics *names, const struct frcnn_report_metrics *values)
{
	for (size_t i = 0; i < names->count; i++) {
		if (frcnn_render_shows(report, names->items[i].name))
			frcnn_table_value(table, frcnn_render_metric(values, names->items[i].name));
	}
}

static bool fill_metrics(const struct frcnn_report *report, const struct frcnn_report_model *model,
			 struct frcnn_table *table)
{
	title(report, model, table, "Metrics");
	HEADS(table, "metric", "value");
	for (size_t i = 0; i < model->metrics.count; i++) {
		if (!frcnn_render_shows(report, model->metrics.items[i].name))
			continue;
		frcnn_table_put(table, model->metrics.items[i].name);
		frcnn_table_value(table, model->metrics.items[i].value);
	}
	return model->metrics.count > 0;
}

static bool fill_classes(const struct frcnn_report *report, const struct frcnn_report_model *model,
			 struct frcnn_table *table)
{
	char scratch[FRCNN_RENDER_NAME];

	if (!report->per_class || model->nclasses == 0)
		return false;
	/* the classes have the same metrics in the same order */
	const struct frcnn_report_metrics *names = &model->classes[0].metrics;
	title(report, model, table, "Classes");
	table->columns = 3 + shown_count(report, names);
	frcnn_table_put(table, "class");
	frcnn_table_put(table, "objects");
	frcnn_table_put(table, "detections");
	put_names(report, table, names);
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *c = &model->classes[k];
		frcnn_table_put(table, frcnn_render_class(c, scratch));
		frcnn_table_printf(table, "%zu", c->objects);
		frcnn_table_printf(table, "%zu", c->detections);
		put_values(report, table, names, &c->metrics);
	}
	return true;
}

static void put_threshold(struct frcnn_table *table, const struct frcnn_eval_threshold *t)
{
	char cut[32];

	cut[t->found ? frcnn_format_double(t->cut, cut) : 0] = '\0';
	frcnn_table_put(table, t->found ? cut : "-");
	frcnn_table_value(table, t->precision);
	frcnn_table_value(table, t->recall);
	frcnn_table_value(table, t->f1);
}

static void put_operating(const struct frcnn_report *report, struct frcnn_table *table, const char *name,
			  const struct frcnn_eval_operating *at, const struct frcnn_eval_threshold *best,
			  const struct frcnn_eval_threshold *precision, const struct frcnn_eval_threshold *recall)
{
	frcnn_table_put(table, name);
	frcnn_table_value(table, at->precision);
	frcnn_table_value(table, at->recall);
	frcnn_table_value(table, at->f1);
	put_threshold(table, best);
	if (report->has_want_precision)
		put_threshold(table, precision);
	if (report->has_want_recall)
		put_threshold(table, recall);
}

static bool fill_thresholds(const struct frcnn_report *report, const struct frcnn_report_model *model,
			    struct frcnn_table *table)
{
	char scratch[FRCNN_RENDER_NAME], score[32], text[64];

	if (!report->threshold_given || !model->has_matches)
		return false;
	score[frcnn_format_double(report->threshold_score, score)] = '\0';
	title(report, model, table, "Precision, recall and F1 at scores above %s and at the best thresholds (IoU %.2f)",
	      score, report->match_iou);
	HEADS(table, "class", "precision", "recall", "F1", "best F1 above", "precision", "recall", "F1");
	if (report->has_want_precision) {
		snprintf(text, sizeof(text), "precision %g above", report->want_precision);
		HEADS(table, text, "precision", "recall", "F1");
		table->columns = 12;
	}
	if (report->has_want_recall) {
		snprintf(text, sizeof(text), "recall %g above", report->want_recall);
		HEADS(table, text, "precision", "recall", "F1");
		table->columns = report->has_want_precision ? 16 : 12;
	}
	put_operating(report, table, "all", &model->operating, &model->best, &model->at_precision, &model->at_recall);
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *c = &model->classes[k];
		put_operating(report, table, frcnn_render_class(c, scratch), &c->operating, &c->best, &c->at_precision,
			      &c->at_recall);
	}
	return true;
}

static bool fill_voc(const struct frcnn_report *report, const struct frcnn_report_model *model,
		     struct frcnn_table *table)
{
	char scratch[FRCNN_RENDER_NAME];

	if (!model->has_voc || (report->hidden & FRCNN_MEASURE_VOC))
		return false;
	title(report, model, table, "Pascal VOC AP, %s, IoU %g", report->voc_eleven ? "11 points" : "all points",
	      report->voc_iou);
	HEADS(table, "class", "AP");
	frcnn_table_put(table, "mean");
	frcnn_table_value(table, model->voc.mean);
	for (size_t k = 0; k < model->nclasses; k++) {
		frcnn_table_put(table, frcnn_render_class(&model->classes[k], scratch));
		frcnn_table_value(table, model->classes[k].voc_ap);
	}
	return true;
}

static bool fill_tide(const struct frcnn_report *report, const struct frcnn_report_model *model,
		      struct frcnn_table *table)
{
	static const char *const names[] = {"class", "location", "both", "duplicate", "background", "missed"};
	const struct frcnn_eval_tide *t = &model->tide;
	const double gains[] = {t->cls, t->loc, t->both, t->dupe, t->bkg, t->miss};

	if (!model->has_tide || (report->hidden & FRCNN_MEASURE_TIDE))
		return false;
	title(report, model, table, "Errors, as TIDE counts them: AP points gained without them (AP %.2f at IoU %g)",
	      t->ap, report->tide_foreground_iou);
	HEADS(table, "error", "gain", "count");
	for (size_t i = 0; i < FRCNN_COUNT(names); i++) {
		frcnn_table_put(table, names[i]);
		frcnn_table_printf(table, "%.2f", gains[i]);
		frcnn_table_printf(table, "%zu", t->counts[i]);
	}
	frcnn_table_put(table, "all false positives");
	frcnn_table_printf(table, "%.2f", t->fp);
	frcnn_table_put(table, "");
	frcnn_table_put(table, "all false negatives");
	frcnn_table_printf(table, "%.2f", t->fn);
	frcnn_table_put(table, "");
	return true;
}

static bool fill_confusion(const struct frcnn_report *report, const struct frcnn_report_model *model,
			   struct frcnn_table *table)
{
	char scratch[FRCNN_RENDER_NAME], score[32];
	size_t side = report->nconfusion + 1;

	if (!model->has_confusion || (report->hidden & FRCNN_MEASURE_CONFUSION))
		return false;
	score[frcnn_format_double(report->threshold_score, score)] = '\0';
	if (report->nconfusion <= MATRIX_LIMIT) {
		title(report, model, table, "Confusion: truth by row, prediction by column (IoU %g, scores above %s)",
		      report->confusion_iou, score);
		table->columns = side + 1;
		frcnn_table_put(table, "");
		for (size_t c = 0; c < side; c++)
			frcnn_table_put(table, frcnn_render_category(report, c, scratch));
		for (size_t r = 0; r < side; r++) {
			frcnn_table_put(table, frcnn_render_category(report, r, scratch));
			for (size_t c = 0; c < side; c++)
				frcnn_table_printf(table, "%zu", model->confusion[r * side + c]);
		}
		return true;
	}
	struct frcnn_confused top[CONFUSED_LIMIT];
	size_t count = frcnn_render_confused(report, model, top, CONFUSED_LIMIT);
	title(report, model, table, "Most frequent confusions (IoU %g, scores above %s)", report->confusion_iou, score);
	HEADS(table, "truth", "prediction", "count");
	for (size_t i = 0; i < count; i++) {
		frcnn_table_put(table, frcnn_render_category(report, top[i].truth, scratch));
		frcnn_table_put(table, frcnn_render_category(report, top[i].prediction, scratch));
		frcnn_table_printf(table, "%zu", top[i].count);
	}
	return true;
}

static bool fill_calibration(const struct frcnn_report *report, const struct frcnn_report_model *model,
			     struct frcnn_table *table)
{
	const struct frcnn_eval_calibration *c = &model->calibration;

	if (!model->has_calibration || (report->hidden & FRCNN_MEASURE_CALIBRATION))
		return false;
	title(report, model, table, "Calibration: expected error %.4f, greatest %.4f", c->ece, c->mce);
	HEADS(table, "score", "detections", "mean score", "precision");
	for (int i = 0; i < c->nbins; i++) {
		bool empty = c->bins[i].count == 0;
		frcnn_table_printf(table, "%.2f to %.2f", c->bins[i].low, c->bins[i].high);
		frcnn_table_printf(table, "%zu", c->bins[i].count);
		frcnn_table_value(table, empty ? -1 : c->bins[i].confidence);
		frcnn_table_value(table, empty ? -1 : c->bins[i].precision);
	}
	return true;
}

static void put_difference(struct frcnn_table *table, const struct frcnn_report_difference *difference)
{
	const struct frcnn_eval_difference *d = &difference->d;
	bool defined = d->ours != -1 && d->baseline != -1;

	frcnn_table_put(table, difference->name);
	frcnn_table_value(table, d->ours);
	frcnn_table_value(table, d->baseline);
	if (defined)
		frcnn_table_printf(table, "%+.4f", d->difference);
	else
		frcnn_table_put(table, "-");
	if (defined && difference->has_interval)
		frcnn_table_printf(table, "%+.4f to %+.4f", d->low, d->high);
	else
		frcnn_table_put(table, "-");
}

static bool fill_baseline(const struct frcnn_report *report, const struct frcnn_report_model *model,
			  struct frcnn_table *table)
{
	if (!model->has_baseline || report->baseline == NULL)
		return false;
	title(report, model, table,
	      "Against the baseline (95%% intervals over %d resamples of the images; %.1f%% of "
	      "scores tied)",
	      report->resamples, model->tied_scores * 100);
	HEADS(table, "metric", "ours", "baseline", "difference", "interval");
	for (size_t i = 0; i < model->ndifferences; i++) {
		const struct frcnn_report_difference *d = &model->differences[i];
		if (d->class_level ? report->per_class : frcnn_render_shows(report, d->name))
			put_difference(table, &model->differences[i]);
	}
	return true;
}

bool frcnn_section_fill(const struct frcnn_report *report, const struct frcnn_report_model *model,
			enum frcnn_section section, struct frcnn_table *table)
{
	switch (section) {
	case FRCNN_SECTION_METRICS:
		return fill_metrics(report, model, table);
	case FRCNN_SECTION_CLASSES:
		return fill_classes(report, model, table);
	case FRCNN_SECTION_THRESHOLDS:
		return fill_thresholds(report, model, table);
	case FRCNN_SECTION_VOC:
		return fill_voc(report, model, table);
	case FRCNN_SECTION_TIDE:
		return fill_tide(report, model, table);
	case FRCNN_SECTION_CONFUSION:
		return fill_confusion(report, model, table);
	case FRCNN_SECTION_CALIBRATION:
		return fill_calibration(report, model, table);
	case FRCNN_SECTION_BASELINE:
		return fill_baseline(report, model, table);
	case FRCNN_SECTION_COUNT:
		break;
	}
	return false;
}

bool frcnn_section_models(const struct frcnn_report *report, struct frcnn_table *table)
{
	if (report->nmodels < 2)
		return false;
	const struct frcnn_report_metrics *names = &report->models[0].metrics;
	frcnn_buffer_puts(&table->title, "Models");
	table->columns = 1 + shown_count(report, names);
	frcnn_table_put(table, "model");
	put_names(report, table, names);
	for (size_t m = 0; m < report->nmodels; m++) {
		const struct frcnn_report_model *model = &report->models[m];
		/* two files of one model are told apart by their paths */
		frcnn_table_put(table, model->path != NULL && strcmp(model->path, "-") != 0
					   ? model->path
					   : frcnn_render_model(model));
		put_values(report, table, names, &model->metrics);
	}
	return true;
}

bool frcnn_section_gates(const struct frcnn_report *report, struct frcnn_table *table)
{
	struct frcnn_buffer gate = {0};

	if (report->nresults == 0)
		return false;
	frcnn_buffer_puts(&table->title, "Gates");
	table->columns = report->nmodels > 1 ? 4 : 3;
	frcnn_table_put(table, "gate");
	if (report->nmodels > 1)
		frcnn_table_put(table, "model");
	frcnn_table_put(table, "value");
	frcnn_table_put(table, "verdict");
	for (size_t i = 0; i < report->nresults; i++) {
		const struct frcnn_gate_result *result = &report->results[i];
		bool valued = result->verdict == FRCNN_GATE_HOLDS || result->verdict == FRCNN_GATE_FAILED;
		frcnn_buffer_clear(&gate);
		frcnn_render_gate(&report->gates[result->gate], &gate);
		frcnn_table_put(table, gate.failed ? "" : gate.data);
		if (report->nmodels > 1)
			frcnn_table_put(table, frcnn_render_model(&report->models[result->model]));
		if (valued)
			frcnn_table_printf(table, "%.4f", result->value);
		else
			frcnn_table_put(table, "-");
		frcnn_table_put(table, frcnn_render_verdict(result->verdict));
		table->cells.failed |= gate.failed;
	}
	frcnn_buffer_free(&gate);
	return true;
}
