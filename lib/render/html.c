/*
 * The page of --report: what a person wants to know first comes first (verdict, headline numbers, what changed), then
 * where it comes from (classes, curves, sizes, errors, confusion, scores), then what was read.
 */
#include "render/render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	MATRIX_LIMIT = 90,   /* categories drawn in one confusion matrix */
	MATRIX_NUMBERS = 12, /* up to so many, counts are written into the cells */
	CURVES_LIMIT = 120,  /* small curves */
	CHANGES_LIMIT = 24,  /* classes listed in a comparison */
	CONFUSED_LIMIT = 15,
	LINES_LIMIT = 30, /* warnings listed */
	NAME_SHORT = 14,  /* characters of a name in a drawing */
	MANY_CLASSES = 12
};

struct page {
	const struct frcnn_report *report;
	const struct frcnn_report_model *model;
	size_t number; /* of the model, from 1; in ids where there are several */
	int decimals;  /* of differences */
	struct frcnn_buffer *out;
};

#define PUT(p, ...) frcnn_buffer_printf((p)->out, __VA_ARGS__)

static void put(const struct page *p, const char *html)
{
	frcnn_buffer_puts(p->out, html);
}

static void put_text(const struct page *p, const char *text)
{
	frcnn_page_text(p->out, text, 0);
}

/* Undefined values are a dash that says so. */
static void put_value(const struct page *p, double value)
{
	if (value == -1 || !isfinite(value))
		put(p, "<span class=\"na\" title=\"undefined\">\xE2\x80\x93</span>");
	else
		PUT(p, "%.3f", value);
}

static void put_cell(const struct page *p, double value)
{
	put(p, "<td>");
	put_value(p, value);
	put(p, "</td>");
}

static void put_bar(const struct page *p, double share, const char *style)
{
	put(p, "<td class=\"b\">");
	frcnn_page_bar(p->out, share, style);
	put(p, "</td>");
}

static void put_count(const struct page *p, size_t count)
{
	frcnn_page_count(p->out, count);
}

static void put_count_cell(const struct page *p, size_t count)
{
	put(p, "<td>");
	put_count(p, count);
	put(p, "</td>");
}

static void put_signed(const struct page *p, double value)
{
	/* a minus as wide as the plus */
	PUT(p, "%s%.*f", value < 0 ? "\xE2\x88\x92" : "+", p->decimals, fabs(value));
}

static void put_plural(const struct page *p, size_t count, const char *one, const char *many)
{
	put_count(p, count);
	PUT(p, " %s", count == 1 ? one : many);
}

static void open_section(const struct page *p, const char *id, const char *title, const char *note)
{
	PUT(p, "<section id=\"%s", id);
	if (p->report->nmodels > 1 && p->number > 0)
		PUT(p, "-%zu", p->number);
	PUT(p, "\"><h2>%s</h2>\n", title);
	if (note != NULL)
		PUT(p, "<p class=\"note\">%s</p>\n", note);
}

static void close_section(const struct page *p)
{
	put(p, "</section>\n");
}

/* One entry of a key: a piece of the line and its meaning. */
static void put_key(const struct page *p, const char *style, const char *text)
{
	PUT(p,
	    "<li><svg viewBox=\"0 0 28 12\" aria-hidden=\"true\"><line class=\"line %s\" x1=\"0\" y1=\"6\" x2=\"28\" "
	    "y2=\"6\"/></svg>",
	    style);
	put_text(p, text);
	put(p, "</li>");
}

static double metric(const struct page *p, const char *name)
{
	return frcnn_render_metric(&p->model->metrics, name);
}

static int find_iou(const struct page *p, double iou)
{
	for (int t = 0; t < p->report->options.nious; t++) {
		if (fabs(p->report->options.ious[t] - iou) < 1e-9)
			return t;
	}
	return -1;
}

/* ---- head
 * ------------------------------------------------------------------------------------------------------------ */

/* The model's own name, or the file's without its folders, which stand under inputs. */
static const char *short_name(const struct frcnn_report_model *model)
{
	const char *name = frcnn_render_model(model), *slash = strrchr(name, '/');

	return (model->model == NULL || model->model_shared) && slash != NULL && slash[1] != '\0' ? slash + 1 : name;
}

static size_t failed_gates(const struct frcnn_report *report)
{
	size_t failed = 0;

	for (size_t i = 0; i < report->nresults; i++)
		failed += report->results[i].verdict != FRCNN_GATE_HOLDS;
	return failed;
}

static size_t left_out(const struct frcnn_report *report)
{
	size_t count = report->truth_left_out;

	for (size_t m = 0; m < report->nmodels; m++)
		count += report->models[m].left_out;
	return count;
}

static void put_contents(const struct page *p)
{
	const struct frcnn_report *report = p->report;
	const struct frcnn_report_model *model = &report->models[0];
	const struct {
		bool there;
		const char *id, *title;
	} entries[] = {
	    {report->nresults > 0, "gates", "Gates"},
	    {report->nmodels > 1, "models", "Models"},
	    {report->nmodels == 1, "summary", "Summary"},
	    {report->nmodels == 1 && model->has_baseline, "baseline", "Baseline"},
	    {report->nmodels == 1 && model->nclasses > 1, "classes", "Classes"},
	    {report->nmodels == 1 && model->cells.K > 0, "curves", "Precision and recall"},
	    {report->nmodels == 1 && report->options.nareas > 1, "sizes", "Sizes"},
	    {report->nmodels == 1 && model->has_tide, "errors", "Errors"},
	    {report->nmodels == 1 && model->has_confusion, "confusion", "Confusion"},
	    {report->nmodels == 1 && model->has_matches, "thresholds", "Score thresholds"},
	    {report->nmodels == 1 && model->has_calibration, "calibration", "Calibration"},
	    {true, "inputs", "Inputs"},
	};

	put(p, "<nav aria-label=\"Contents\"><ul>");
	for (size_t i = 0; i < FRCNN_COUNT(entries); i++) {
		if (entries[i].there)
			PUT(p, "<li><a href=\"#%s\">%s</a></li>", entries[i].id, entries[i].title);
	}
	put(p, "</ul></nav>\n");
}

static void put_head(const struct page *p)
{
	const struct frcnn_report *report = p->report;
	size_t lost = left_out(report);

	put(p, "<header><p class=\"kind\">Object detection, evaluated</p>\n<h1>");
	if (report->nmodels == 1)
		put_text(p, short_name(&report->models[0]));
	else
		PUT(p, "%zu models", report->nmodels);
	put(p, "</h1>\n<p class=\"sub\">");
	if (report->nmodels == 1)
		put_plural(p, report->models[0].detections, "detection", "detections");
	else
		put(p, "Detections");
	put(p, " against ");
	put_plural(p, report->truth->nobjects, "object", "objects");
	put(p, " of ");
	put_plural(p, report->truth->ncategories, "category", "categories");
	put(p, " in ");
	put_plural(p, report->truth->nimages, "image", "images");
	put(p, "</p>\n");
	if (lost > 0) {
		put(p, "<p class=\"alert\"><strong>Not everything could be evaluated:</strong> ");
		put_plural(p, lost, "entry was", "entries were");
		put(p, " left out because of errors; see <a href=\"#inputs\">inputs</a>. The numbers are those of the "
		       "rest.</p>\n");
	}
	put_contents(p);
	put(p, "</header>\n");
}

/* ---- gates
 * ------------------------------------------------------------------------------------------------------------ */

static void put_gates(const struct page *p)
{
	const struct frcnn_report *report = p->report;
	struct frcnn_buffer gate = {0};

	if (report->nresults == 0)
		return;
	open_section(p, "gates", "Gates", NULL);
	PUT(p, "<p class=\"note\">%zu of %zu hold.</p>\n", report->nresults - failed_gates(report), report->nresults);
	put(p, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Gate</th>");
	if (report->nmodels > 1)
		put(p, "<th scope=\"col\" class=\"l\">Model</th>");
	put(p, "<th scope=\"col\">Value</th><th scope=\"col\" class=\"l\">Verdict</th>"
	       "<th scope=\"col\" class=\"l\">Reason</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < report->nresults; i++) {
		const struct frcnn_gate_result *r = &report->results[i];
		bool valued = r->verdict == FRCNN_GATE_HOLDS || r->verdict == FRCNN_GATE_FAILED;
		frcnn_buffer_clear(&gate);
		frcnn_render_gate(&report->gates[r->gate], &gate);
		put(p, "<tr><th scope=\"row\">");
		put_text(p, gate.failed ? "" : gate.data);
		put(p, "</th>");
		if (report->nmodels > 1) {
			put(p, "<td class=\"l\">");
			put_text(p, frcnn_render_model(&report->models[r->model]));
			put(p, "</td>");
		}
		put(p, "<td>");
		if (valued)
			PUT(p, "%s%.4f", r->value < 0 ? "\xE2\x88\x92" : "", fabs(r->value));
		put(p, "</td>");
		PUT(p, "<td class=\"l\"><span class=\"%s\">%s</span></td><td class=\"l\">",
		    r->verdict == FRCNN_GATE_HOLDS ? "up" : "down", frcnn_render_verdict(r->verdict));
		if (r->verdict != FRCNN_GATE_HOLDS && r->message != NULL)
			put_text(p, r->message);
		put(p, "</td></tr>\n");
		p->out->failed |= gate.failed;
	}
	put(p, "</tbody></table></div>\n");
	close_section(p);
	frcnn_buffer_free(&gate);
}

/* ---- summary
 * ----------------------------------------------------------------------------------------------------------- */

static const struct frcnn_report_difference *find_difference(const struct frcnn_report_model *model, const char *name)
{
	for (size_t i = 0; model->has_baseline && i < model->ndifferences; i++) {
		const struct frcnn_report_difference *d = &model->differences[i];
		if (!d->class_level && strcmp(d->name, name) == 0 && d->d.ours != -1 && d->d.baseline != -1)
			return d;
	}
	return NULL;
}

/* Less is better, and fp_per_image is no share of 1: told, but not drawn beside the others. */
static bool is_cost(const char *name)
{
	return strcmp(name, "fp_per_image") == 0 || strcmp(name, "ece") == 0 || strcmp(name, "mce") == 0;
}

/* Better or worse beyond what resampling the images explains. */
static const char *direction(const struct frcnn_report_difference *d)
{
	if (!d->has_interval || (d->d.low <= 0 && d->d.high >= 0))
		return "na";
	return d->d.difference > 0 ? "up" : "down";
}

/* 0.50, but 0.625. */
static void put_iou(char *out, size_t size, const char *before, double iou)
{
	double hundredths = iou * 100;

	snprintf(out, size, fabs(hundredths - round(hundredths)) < 1e-6 ? "%s%.2f" : "%s%.5g", before, iou);
}

static void put_card(const struct page *p, const char *name, const char *title, const char *what)
{
	const struct frcnn_report_difference *d = find_difference(p->model, name);

	if (frcnn_report_metric_find(&p->model->metrics, name) == NULL)
		return;
	put(p, "<dl class=\"card\"><dt>");
	put_text(p, title);
	put(p, "</dt><dd class=\"big\">");
	put_value(p, metric(p, name));
	put(p, "</dd><dd class=\"small\">");
	put_text(p, what);
	if (d != NULL) {
		PUT(p, "<br/><span class=\"%s\">", direction(d));
		put_signed(p, d->d.difference);
		put(p, "</span> to the baseline");
	}
	put(p, "</dd></dl>\n");
}

static void put_summary_row(const struct page *p, const char *title, double value, const char *style)
{
	put(p, "<tr><th scope=\"row\">");
	put_text(p, title);
	put(p, "</th>");
	put_bar(p, value, style);
	put_cell(p, value);
	put(p, "</tr>\n");
}

static void put_summary_ap(const struct page *p)
{
	const struct frcnn_eval_options *o = &p->report->options;
	char name[64];

	put(p, "<table><caption>Average precision</caption><tbody>\n");
	if (o->nious > 1) {
		snprintf(name, sizeof(name), "AP, mean over IoU %.2f to %.2f", o->ious[0], o->ious[o->nious - 1]);
		put_summary_row(p, name, metric(p, "AP"), "f1");
	}
	for (int t = 0; t < o->nious; t++) {
		snprintf(name, sizeof(name), "AP%g", o->ious[t] * 100);
		if (frcnn_report_metric_find(&p->model->metrics, name) == NULL)
			continue;
		double value = metric(p, name);
		put_iou(name, sizeof(name), "at IoU ", o->ious[t]);
		put_summary_row(p, name, value, "f1");
	}
	for (int a = 1; a < o->nareas; a++) {
		snprintf(name, sizeof(name), "%s objects", o->areas[a].name);
		put_summary_row(p, name, frcnn_render_area(&p->model->metrics, "AP", o->areas[a].name), "f1");
	}
	put(p, "</tbody></table>\n");
}

static void put_summary_ar(const struct page *p)
{
	const struct frcnn_eval_options *o = &p->report->options;
	char name[64];

	put(p, "<table><caption>Average recall</caption><tbody>\n");
	for (int m = 0; m < o->nmax_dets; m++) {
		snprintf(name, sizeof(name), "AR%d", o->max_dets[m]);
		double value = metric(p, name);
		snprintf(name, sizeof(name), "%d detection%s an image and class", o->max_dets[m],
			 o->max_dets[m] == 1 ? "" : "s");
		put_summary_row(p, name, value, "f3");
	}
	for (int a = 1; a < o->nareas; a++) {
		snprintf(name, sizeof(name), "%s objects", o->areas[a].name);
		put_summary_row(p, name, frcnn_render_area(&p->model->metrics, "AR", o->areas[a].name), "f3");
	}
	put(p, "</tbody></table>\n");
}

static void put_summary(const struct page *p)
{
	const struct frcnn_eval_options *o = &p->report->options;
	int last = o->nmax_dets > 0 ? o->max_dets[o->nmax_dets - 1] : 0;
	char recall[32], range[64], text[64];

	open_section(p, "summary", "Summary", NULL);
	snprintf(recall, sizeof(recall), "AR%d", last);
	if (o->nious > 1)
		snprintf(range, sizeof(range), "mean over IoU %.2f to %.2f", o->ious[0], o->ious[o->nious - 1]);
	else
		put_iou(range, sizeof(range), "at IoU ", o->ious[0]);
	put(p, "<div class=\"cards\">\n");
	put_card(p, "AP", "AP", range);
	if (find_iou(p, 0.5) >= 0 && o->nious > 1)
		put_card(p, "AP50", "AP50", "at IoU 0.50");
	if (find_iou(p, 0.75) >= 0 && o->nious > 1)
		put_card(p, "AP75", "AP75", "at IoU 0.75");
	snprintf(text, sizeof(text), "recall, at most %d detections", last);
	put_card(p, recall, recall, text);
	if (p->model->has_voc) {
		snprintf(text, sizeof(text), "Pascal VOC, %s, IoU %g",
			 p->report->voc_eleven ? "11 points" : "all points", p->report->voc_iou);
		put_card(p, "mAP", "VOC mAP", text);
	}
	put(p, "</div>\n<div class=\"two\">\n");
	put_summary_ap(p);
	put_summary_ar(p);
	put(p, "</div>\n");
	close_section(p);
}

/* ---- several models
 * ------------------------------------------------------------------------------------------------------ */

/* Precision at each recall: mean over the classes that have it, at one IoU (-1: mean over all too). False: undefined.
 */
static bool mean_curve(const struct frcnn_eval_cells *cells, int iou, double *precision)
{
	for (int r = 0; r < cells->R; r++) {
		double sum = 0;
		size_t count = 0;
		for (int t = iou < 0 ? 0 : iou; t < (iou < 0 ? cells->T : iou + 1); t++) {
			for (int k = 0; k < cells->K; k++) {
				double value = cells->precision[frcnn_render_cell(cells, t, r, k)];
				if (value == -1)
					continue;
				sum += value;
				count++;
			}
		}
		if (count == 0)
			return false;
		precision[r] = sum / (double)count;
	}
	return cells->R > 0;
}

static void recalls(const struct frcnn_eval_cells *cells, double *out)
{
	for (int r = 0; r < cells->R; r++)
		out[r] = r * 0.01;
}

static struct frcnn_chart unit_chart(const struct page *p)
{
	return (struct frcnn_chart){.out = p->out,
				    .width = 480,
				    .height = 330,
				    .left = 50,
				    .top = 10,
				    .right = 12,
				    .bottom = 42,
				    .x_high = 1,
				    .y_high = 1};
}

static const char *const series[] = {"s1", "s2", "s3", "s4", "s5", "s6"};

static void put_models(const struct page *p)
{
	const struct frcnn_report *report = p->report;
	double x[FRCNN_EVAL_RECALLS], y[FRCNN_EVAL_RECALLS];
	struct frcnn_chart chart = unit_chart(p);

	if (report->nmodels < 2)
		return;
	const struct frcnn_report_metrics *names = &report->models[0].metrics;
	size_t columns = names->count < 12 ? names->count : 12;
	open_section(p, "models", "Models", NULL);
	put(p, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Model</th>");
	for (size_t i = 0; i < columns; i++) {
		put(p, "<th scope=\"col\">");
		put_text(p, names->items[i].name);
		put(p, "</th>");
	}
	put(p, "</tr></thead><tbody>\n");
	for (size_t m = 0; m < report->nmodels; m++) {
		PUT(p, "<tr><th scope=\"row\"><a href=\"#summary-%zu\">", m + 1);
		put_text(p, frcnn_render_model(&report->models[m]));
		put(p, "</a></th>");
		for (size_t i = 0; i < columns; i++)
			put_cell(p, frcnn_render_metric(&report->models[m].metrics, names->items[i].name));
		put(p, "</tr>\n");
	}
	put(p, "</tbody></table></div>\n");
	int t = find_iou(p, 0.5) >= 0 ? find_iou(p, 0.5) : 0;
	char label[96];
	snprintf(label, sizeof(label), "Precision over recall at IoU %.2f, mean of the classes",
		 report->options.ious[t]);
	PUT(p, "<h3>%s</h3><figure class=\"chart\">", label);
	frcnn_chart_begin(&chart, label);
	frcnn_chart_axes(&chart, 5, 5, "recall", "precision");
	for (size_t m = 0; m < report->nmodels && m < FRCNN_COUNT(series); m++) {
		recalls(&report->models[m].cells, x);
		if (mean_curve(&report->models[m].cells, t, y))
			frcnn_chart_line(&chart, x, y, (size_t)report->models[m].cells.R, series[m]);
	}
	frcnn_chart_end(&chart);
	put(p, "<ul class=\"key\">");
	for (size_t m = 0; m < report->nmodels && m < FRCNN_COUNT(series); m++)
		put_key(p, series[m], frcnn_render_model(&report->models[m]));
	put(p, "</ul></figure>\n");
	close_section(p);
}

/* ---- baseline
 * ------------------------------------------------------------------------------------------------------------- */

static void put_difference(const struct page *p, const struct frcnn_report_difference *d, double span)
{
	struct frcnn_chart plot = {.out = p->out,
				   .width = 280,
				   .height = 18,
				   .left = 6,
				   .right = 6,
				   .x_low = -span,
				   .x_high = span,
				   .y_high = 1};
	const char *way = direction(d);
	const char *style = strcmp(way, "up") == 0 ? "s1" : strcmp(way, "down") == 0 ? "s2" : "s5";
	char whisker[32], label[96];

	/* all differences of classes are of AP, as the heading says: CLASS:AP */
	const char *colon = d->class_level ? strrchr(d->name, ':') : NULL;
	put(p, "<tr><th scope=\"row\">");
	if (colon != NULL) {
		char *name = frcnn_strndup(d->name, (size_t)(colon - d->name));
		put_text(p, name != NULL ? name : "");
		p->out->failed |= name == NULL;
		free(name);
	} else {
		put_text(p, d->name);
	}
	put(p, "</th>");
	put_cell(p, d->d.ours);
	put_cell(p, d->d.baseline);
	PUT(p, "<td><span class=\"%s\">", way);
	put_signed(p, d->d.difference);
	put(p, "</span></td><td>");
	if (d->has_interval) {
		put_signed(p, d->d.low);
		put(p, " to ");
		put_signed(p, d->d.high);
	}
	put(p, "</td>");
	if (is_cost(d->name)) {
		put(p, "<td></td></tr>\n");
		return;
	}
	put(p, "<td class=\"plot\">");
	snprintf(whisker, sizeof(whisker), "line whisker %s", style);
	snprintf(label, sizeof(label), "difference %+.3f", d->d.difference);
	frcnn_chart_begin(&plot, label);
	frcnn_chart_rule(&plot, 0, 0, 0, 1, "zero");
	if (d->has_interval)
		frcnn_chart_rule(&plot, d->d.low, 0.5, d->d.high, 0.5, whisker);
	frcnn_chart_dot(&plot, d->d.difference, 0.5, style);
	frcnn_chart_end(&plot);
	put(p, "</td></tr>\n");
}

static bool is_shown(const struct frcnn_report_difference *d, bool class_level)
{
	return d->class_level == class_level && d->d.ours != -1 && d->d.baseline != -1;
}

static int by_size(const void *a, const void *b)
{
	const struct frcnn_report_difference *x = *(const struct frcnn_report_difference *const *)a;
	const struct frcnn_report_difference *y = *(const struct frcnn_report_difference *const *)b;
	double dx = fabs(x->d.difference), dy = fabs(y->d.difference);

	if (dx != dy)
		return dx < dy ? 1 : -1;
	return x < y ? -1 : x > y;
}

static int by_difference(const void *a, const void *b)
{
	const struct frcnn_report_difference *x = *(const struct frcnn_report_difference *const *)a;
	const struct frcnn_report_difference *y = *(const struct frcnn_report_difference *const *)b;

	if (x->d.difference != y->d.difference)
		return x->d.difference < y->d.difference ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void put_differences(const struct page *p, const struct frcnn_report_difference **list, size_t count,
			    const char *title, const char *ours, const char *baseline)
{
	double span = 0;

	for (size_t i = 0; i < count; i++) {
		if (is_cost(list[i]->name))
			continue;
		span = fmax(span, fabs(list[i]->d.difference));
		if (list[i]->has_interval)
			span = fmax(span, fmax(fabs(list[i]->d.low), fabs(list[i]->d.high)));
	}
	PUT(p,
	    "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">%s</th><th scope=\"col\">%s</th>"
	    "<th scope=\"col\">%s</th><th scope=\"col\">Difference</th><th scope=\"col\">95%% interval</th>"
	    "<th scope=\"col\" class=\"plot\">&#8592; worse, better &#8594;</th></tr></thead><tbody>\n",
	    title, ours, baseline);
	for (size_t i = 0; i < count; i++)
		put_difference(p, list[i], span > 0 ? span : 1);
	put(p, "</tbody></table></div>\n");
}

static void put_changes(const struct page *p, const char *ours, const char *baseline)
{
	const struct frcnn_report_model *model = p->model;
	const struct frcnn_report_difference **list = frcnn_calloc(model->ndifferences, sizeof(*list));
	size_t count = 0, classes = 0;

	if (list == NULL) {
		p->out->failed = true;
		return;
	}
	for (size_t i = 0; i < model->ndifferences; i++) {
		if (is_shown(&model->differences[i], false))
			list[count++] = &model->differences[i];
	}
	put_differences(p, list, count, "Metric", ours, baseline);
	for (size_t i = 0; i < model->ndifferences; i++) {
		if (is_shown(&model->differences[i], true))
			list[classes++] = &model->differences[i];
	}
	if (classes > 1) {
		size_t shown = classes < CHANGES_LIMIT ? classes : CHANGES_LIMIT;
		qsort(list, classes, sizeof(list[0]), by_size);
		qsort(list, shown, sizeof(list[0]), by_difference);
		if (shown < classes)
			PUT(p, "<h3>AP of classes: the %zu greatest differences of %zu</h3>\n", shown, classes);
		else
			put(p, "<h3>AP of classes</h3>\n");
		put_differences(p, list, shown, "Class", ours, baseline);
	}
	free(list);
}

static void put_baseline(const struct page *p)
{
	if (!p->model->has_baseline || p->report->baseline == NULL)
		return;
	open_section(p, "baseline", "Against the baseline", NULL);
	put(p, "<p class=\"note\">Baseline: ");
	put_text(p, frcnn_render_model(p->report->baseline));
	if (p->report->resamples > 0)
		PUT(p,
		    ". The intervals come from %d paired resamples of the images: a difference whose interval includes "
		    "0 may be noise, and is grey",
		    p->report->resamples);
	PUT(p, ". %.1f%% of this run\xE2\x80\x99s scores are tied with another of their class.</p>\n",
	    p->model->tied_scores * 100);
	put_changes(p, "This run", "Baseline");
	close_section(p);
}

/* ---- classes
 * --------------------------------------------------------------------------------------------------------------- */

/* Column heads of the class table that are not the metric's own name. */
static const char *column_head(const char *name)
{
	static const char *const heads[][2] = {
	    {"precision", "Precision"}, {"recall", "Recall"}, {"f1", "F1"}, {"voc", "VOC"}};

	for (size_t i = 0; i < FRCNN_COUNT(heads); i++) {
		if (strcmp(name, heads[i][0]) == 0)
			return heads[i][1];
	}
	return name;
}

static bool is_column(const char *name)
{
	/* recall by size has a section of its own for all classes together; AP is drawn */
	return strcmp(name, "AP") != 0 && strncmp(name, "recall.", 7) != 0 && strcmp(name, "AR1") != 0 &&
	       strcmp(name, "AR10") != 0 && strcmp(name, "ARs") != 0 && strcmp(name, "ARm") != 0 &&
	       strcmp(name, "ARl") != 0;
}

static int by_ap(const void *a, const void *b)
{
	const struct frcnn_report_class *x = *(const struct frcnn_report_class *const *)a;
	const struct frcnn_report_class *y = *(const struct frcnn_report_class *const *)b;
	double ax = frcnn_render_metric(&x->metrics, "AP"), ay = frcnn_render_metric(&y->metrics, "AP");

	if (ax != ay)
		return ax < ay ? 1 : -1;
	return x < y ? -1 : x > y;
}

/* The classes, highest AP first; the caller frees it. NULL: no memory (noted in the page's buffer). */
static const struct frcnn_report_class **sorted_classes(const struct page *p)
{
	const struct frcnn_report_class **list = frcnn_calloc(p->model->nclasses, sizeof(*list));

	if (list == NULL) {
		p->out->failed = true;
		return NULL;
	}
	for (size_t k = 0; k < p->model->nclasses; k++)
		list[k] = &p->model->classes[k];
	qsort(list, p->model->nclasses, sizeof(list[0]), by_ap);
	return list;
}

static void put_classes(const struct page *p, const struct frcnn_report_class *const *classes)
{
	const struct frcnn_report_model *model = p->model;
	const struct frcnn_report_metrics *names = &classes[0]->metrics;
	char scratch[FRCNN_RENDER_NAME];

	if (model->nclasses < 2)
		return;
	open_section(p, "classes", "Classes", NULL);
	put(p, "<p class=\"note\">Highest AP first. A dash: not defined, as there are no such objects.");
	if (model->has_matches)
		PUT(p, " Precision, recall and F1 at scores above %g and IoU %.2f.", p->report->threshold_score,
		    p->report->match_iou);
	put(p,
	    "</p>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Objects</th>"
	    "<th scope=\"col\">Detections</th><th scope=\"col\" colspan=\"2\">AP</th>");
	for (size_t i = 0; i < names->count; i++) {
		if (!is_column(names->items[i].name))
			continue;
		put(p, "<th scope=\"col\">");
		put_text(p, column_head(names->items[i].name));
		put(p, "</th>");
	}
	put(p, "</tr></thead><tbody>\n");
	for (size_t k = 0; k < model->nclasses; k++) {
		const struct frcnn_report_class *c = classes[k];
		put(p, "<tr><th scope=\"row\">");
		put_text(p, frcnn_render_class(c, scratch));
		put(p, "</th>");
		put_count_cell(p, c->objects);
		put_count_cell(p, c->detections);
		put(p, "<td class=\"b\">");
		frcnn_page_bar(p->out, frcnn_render_metric(&c->metrics, "AP"), "f1");
		put(p, "</td>");
		put_cell(p, frcnn_render_metric(&c->metrics, "AP"));
		for (size_t i = 0; i < names->count; i++) {
			if (is_column(names->items[i].name))
				put_cell(p, frcnn_render_metric(&c->metrics, names->items[i].name));
		}
		put(p, "</tr>\n");
	}
	put(p, "</tbody></table></div>\n");
	close_section(p);
}

/* ---- curves
 * ----------------------------------------------------------------------------------------------------------------- */

static void put_mean_curves(const struct page *p)
{
	const struct frcnn_eval_cells *cells = &p->model->cells;
	const struct frcnn_eval_options *o = &p->report->options;
	double x[FRCNN_EVAL_RECALLS], y[FRCNN_EVAL_RECALLS];
	struct frcnn_chart chart = unit_chart(p);
	int at[4], count = 0;
	char text[64];

	recalls(cells, x);
	/* .5 and .75 where they are, else the first and the last; then the mean of all */
	at[count++] = find_iou(p, 0.5) >= 0 ? find_iou(p, 0.5) : 0;
	if (cells->T > 1)
		at[count++] = find_iou(p, 0.75) > 0 ? find_iou(p, 0.75) : cells->T - 1;
	if (cells->T > 2)
		at[count++] = -1;
	put(p, "<figure class=\"chart\">");
	frcnn_chart_begin(&chart, "Precision over recall, mean of the classes");
	frcnn_chart_axes(&chart, 5, 5, "recall", "precision");
	for (int i = 0; i < count; i++) {
		if (mean_curve(cells, at[i], y))
			frcnn_chart_line(&chart, x, y, (size_t)cells->R, series[i]);
	}
	frcnn_chart_end(&chart);
	put(p, "<ul class=\"key\">");
	for (int i = 0; i < count; i++) {
		if (at[i] < 0)
			snprintf(text, sizeof(text), "mean of IoU %.2f to %.2f", o->ious[0], o->ious[o->nious - 1]);
		else
			snprintf(text, sizeof(text), "IoU %.2f", o->ious[at[i]]);
		put_key(p, series[i], text);
	}
	put(p, "</ul></figure>\n");
}

/* How many classes have which AP. */
static void put_distribution(const struct page *p)
{
	struct frcnn_chart chart = unit_chart(p);
	size_t counts[10] = {0}, most = 0, defined = 0;
	char text[64];

	for (size_t k = 0; k < p->model->nclasses; k++) {
		double ap = frcnn_render_metric(&p->model->classes[k].metrics, "AP");
		if (!(ap >= 0))
			continue;
		size_t bin = ap >= 1 ? 9 : (size_t)(ap * 10);
		most = ++counts[bin] > most ? counts[bin] : most;
		defined++;
	}
	/* five steps of whole classes */
	chart.y_high = most > 0 ? ceil((double)most / 5) * 5 : 5;
	put(p, "<figure class=\"chart\">");
	frcnn_chart_begin(&chart, "How many classes have which AP");
	frcnn_chart_axes(&chart, 5, 5, "AP", "classes");
	for (int i = 0; i < 10; i++) {
		if (counts[i] == 0)
			continue;
		snprintf(text, sizeof(text), "AP %.1f to %.1f: %zu classes", i / 10.0, (i + 1) / 10.0, counts[i]);
		frcnn_chart_box(&chart, i / 10.0 + 0.005, 0, (i + 1) / 10.0 - 0.005, (double)counts[i], "f1", text);
	}
	frcnn_chart_end(&chart);
	PUT(p, "<figcaption>How the AP of the %zu classes with objects is spread.</figcaption></figure>\n", defined);
}

static void put_class_curve(const struct page *p, const struct frcnn_report_class *c, int t, const double *x)
{
	const struct frcnn_eval_cells *cells = &p->model->cells;
	int k = (int)(c - p->model->classes);
	struct frcnn_chart chart = {.out = p->out,
				    .width = 150,
				    .height = 100,
				    .left = 1,
				    .top = 1,
				    .right = 1,
				    .bottom = 1,
				    .x_high = 1,
				    .y_high = 1.05};
	double y[FRCNN_EVAL_RECALLS], sum = 0;
	char scratch[FRCNN_RENDER_NAME], label[48];

	for (int r = 0; r < cells->R; r++) {
		y[r] = cells->precision[frcnn_render_cell(cells, t, r, k)];
		if (y[r] == -1)
			return;
		sum += y[r];
	}
	put(p, "<figure><figcaption><span title=\"");
	put_text(p, frcnn_render_class(c, scratch));
	put(p, "\">");
	put_text(p, frcnn_render_class(c, scratch));
	PUT(p, "</span>%.3f</figcaption>", sum / cells->R);
	snprintf(label, sizeof(label), "AP %.3f", sum / cells->R);
	frcnn_chart_begin(&chart, label);
	frcnn_chart_box(&chart, 0, 0, 1, 1.05, "frame", NULL);
	frcnn_chart_rule(&chart, 0, 0.5, 1, 0.5, "grid");
	frcnn_chart_rule(&chart, 0.5, 0, 0.5, 1.05, "grid");
	frcnn_chart_line(&chart, x, y, (size_t)cells->R, "s1");
	frcnn_chart_end(&chart);
	put(p, "</figure>\n");
}

static void put_curves(const struct page *p, const struct frcnn_report_class *const *classes)
{
	const struct frcnn_eval_cells *cells = &p->model->cells;
	double x[FRCNN_EVAL_RECALLS];
	size_t shown = p->model->nclasses < CURVES_LIMIT ? p->model->nclasses : CURVES_LIMIT;
	int t = find_iou(p, 0.5) >= 0 ? find_iou(p, 0.5) : 0;

	if (cells->K == 0 || cells->R != FRCNN_EVAL_RECALLS)
		return;
	open_section(p, "curves", "Precision and recall",
		     "What share of the detections is right, at the score that finds a given share of the objects.");
	bool few = p->model->nclasses <= MANY_CLASSES;
	put(p, "<div class=\"two\">\n");
	put_mean_curves(p);
	if (!few) {
		put_distribution(p);
		put(p, "</div>\n");
	}
	if (p->model->nclasses > 1) {
		recalls(cells, x);
		PUT(p,
		    "<div><h3>Class by class, at IoU %.2f</h3>\n<p class=\"note\">The number is the AP; both axes go "
		    "from "
		    "0 to 1.",
		    p->report->options.ious[t]);
		if (shown < p->model->nclasses)
			PUT(p, " The %zu classes of highest AP.", shown);
		PUT(p, "</p>\n<div class=\"many%s\">\n", few ? " few" : "");
		for (size_t i = 0; i < shown; i++)
			put_class_curve(p, classes[i], t, x);
		put(p, "</div></div>\n");
	}
	if (few)
		put(p, "</div>\n");
	close_section(p);
}

/* ---- sizes
 * -------------------------------------------------------------------------------------------------------------------
 */

/* A bound as a square where it is one: 32squared, as COCO's are meant. */
static void put_bound(const struct page *p, double area)
{
	double side = sqrt(area);

	if (side == floor(side))
		PUT(p, "%.0f\xC2\xB2", side);
	else
		PUT(p, "%.10g", area);
}

static void put_area(const struct page *p, const struct frcnn_eval_area *area)
{
	bool open = area->high >= 1e9;

	if (area->low > 0) {
		put(p, open ? "from " : "");
		put_bound(p, area->low);
	}
	if (!open) {
		put(p, area->low > 0 ? " to " : "up to ");
		put_bound(p, area->high);
	} else if (area->low <= 0) {
		put(p, "any");
	}
}

static void put_sizes(const struct page *p)
{
	const struct frcnn_eval_options *o = &p->report->options;
	char name[64];

	if (o->nareas < 2)
		return;
	snprintf(name, sizeof(name), "recall.%s", o->areas[1].name);
	bool matched = frcnn_report_metric_find(&p->model->metrics, name) != NULL;
	open_section(p, "sizes", "By size of object", NULL);
	put(p, "<p class=\"note\">Sizes are areas as the ground truth states them, in square pixels, both bounds "
	       "included.");
	if (matched)
		put(p, " Recall: the share of objects found at all at IoU 0.50, by at most 100 detections an image, "
		       "whatever their scores.");
	put(p, "</p>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Size</th><th scope=\"col\">Area</th>");
	if (matched)
		put(p, "<th scope=\"col\" colspan=\"2\">Recall, IoU 0.50</th>");
	put(p, "<th scope=\"col\" colspan=\"2\">Average precision</th><th scope=\"col\" colspan=\"2\">Average "
	       "recall</th></tr></thead><tbody>\n");
	for (int a = 1; a < o->nareas; a++) {
		double ap = frcnn_render_area(&p->model->metrics, "AP", o->areas[a].name);
		double ar = frcnn_render_area(&p->model->metrics, "AR", o->areas[a].name);
		put(p, "<tr><th scope=\"row\">");
		put_text(p, o->areas[a].name);
		put(p, "</th><td>");
		put_area(p, &o->areas[a]);
		put(p, "</td>");
		if (matched) {
			snprintf(name, sizeof(name), "recall.%s", o->areas[a].name);
			put_bar(p, metric(p, name), "f3");
			put_cell(p, metric(p, name));
		}
		put_bar(p, ap, "f1");
		put_cell(p, ap);
		put_bar(p, ar, "f3");
		put_cell(p, ar);
		put(p, "</tr>\n");
	}
	put(p, "</tbody></table></div>\n");
	close_section(p);
}

/* ---- errors
 * -------------------------------------------------------------------------------------------------------------------
 */

static void put_error_row(const struct page *p, const char *name, const char *meaning, double gain, double most,
			  const char *style)
{
	PUT(p, "<tr><th scope=\"row\">%s</th><td class=\"l\">%s</td>", name, meaning);
	put_bar(p, most > 0 ? gain / most : 0, style);
	PUT(p, "<td>%.2f</td>", gain);
}

static void put_errors(const struct page *p)
{
	const struct frcnn_eval_tide *t = &p->model->tide;
	const struct {
		const char *name, *meaning;
		double gain;
	} rows[] = {
	    {"Classification", "right place, wrong class", t->cls},
	    {"Localisation", "right class, overlap too small", t->loc},
	    {"Both", "wrong class and overlap too small", t->both},
	    {"Duplicate", "object already found by a higher score", t->dupe},
	    {"Background", "nothing there", t->bkg},
	    {"Missed", "object that no error above explains", t->miss},
	};
	double most = fmax(t->fp, t->fn);

	if (!p->model->has_tide)
		return;
	for (size_t i = 0; i < FRCNN_COUNT(rows); i++)
		most = fmax(most, rows[i].gain);
	open_section(p, "errors", "Errors by kind", NULL);
	PUT(p,
	    "<p class=\"note\">Points of AP (of 100) that would be gained if the errors of one kind were mended, as "
	    "TIDE "
	    "counts them: AP is %.2f at IoU %g; overlap below %g counts as none. Gains do not add up.</p>\n",
	    t->ap, p->report->tide_foreground_iou, p->report->tide_background_iou);
	put(p, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Error</th><th scope=\"col\" "
	       "class=\"l\">Meaning</th><th scope=\"col\" colspan=\"2\">AP points gained</th><th "
	       "scope=\"col\">Count</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < FRCNN_COUNT(rows); i++) {
		put_error_row(p, rows[i].name, rows[i].meaning, rows[i].gain, most, "f2");
		put_count_cell(p, t->counts[i]);
		put(p, "</tr>\n");
	}
	put_error_row(p, "All false positives", "every wrong detection", t->fp, most, "f5");
	put(p, "<td></td></tr>\n");
	put_error_row(p, "All false negatives", "every object not found", t->fn, most, "f5");
	put(p, "<td></td></tr>\n</tbody></table></div>\n");
	close_section(p);
}

/* ---- confusion
 * -------------------------------------------------------------------------------------------------------------------
 */

struct weight {
	size_t category, count;
};

static int by_weight(const void *a, const void *b)
{
	const struct weight *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->category < y->category ? -1 : x->category > y->category;
}

static int by_category(const void *a, const void *b)
{
	const struct weight *x = a, *y = b;

	return x->category < y->category ? -1 : x->category > y->category;
}

/* The categories to draw, in order, background last: those that occur, at most MATRIX_LIMIT of the most frequent.
 * *list is the caller's to free; NULL: no memory. */
static size_t matrix_categories(const struct page *p, struct weight **list)
{
	size_t n = p->report->nconfusion, side = n + 1, kept = 0;

	*list = frcnn_calloc(side, sizeof(**list));
	if (*list == NULL)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t count = 0;
		for (size_t j = 0; j < side; j++)
			count += p->model->confusion[i * side + j] + p->model->confusion[j * side + i];
		if (count > 0 || n <= MATRIX_NUMBERS)
			(*list)[kept++] = (struct weight){i, count};
	}
	if (kept > MATRIX_LIMIT) {
		qsort(*list, kept, sizeof(**list), by_weight);
		kept = MATRIX_LIMIT;
		qsort(*list, kept, sizeof(**list), by_category);
	}
	(*list)[kept] = (struct weight){n, 0};
	return kept + 1;
}

static void put_matrix_cell(const struct page *p, const struct frcnn_chart *chart, size_t truth, size_t prediction,
			    size_t row, size_t column, size_t total)
{
	size_t side = p->report->nconfusion + 1, count = p->model->confusion[truth * side + prediction];
	double share = total > 0 ? (double)count / (double)total : 0;
	char scratch[FRCNN_RENDER_NAME], style[48], text[320];
	bool numbers = side - 1 <= MATRIX_NUMBERS;

	if (count == 0)
		return;
	/* a step at the bottom, or rare confusions could not be seen */
	snprintf(style, sizeof(style), "%s\" fill-opacity=\"%.2f", truth == prediction ? "f1" : "f2",
		 0.12 + 0.88 * share);
	snprintf(text, sizeof(text), "%.100s, predicted ", frcnn_render_category(p->report, truth, scratch));
	size_t length = strlen(text);
	snprintf(text + length, sizeof(text) - length, "%.100s: %zu (%.1f%%)",
		 frcnn_render_category(p->report, prediction, scratch), count, share * 100);
	frcnn_chart_box(chart, (double)column, (double)row, (double)column + 1, (double)row + 1, style, text);
	if (numbers) {
		snprintf(text, sizeof(text), "%zu", count);
		frcnn_chart_text(chart, (double)column + 0.5, (double)row + 0.5, 0, 4, "middle",
				 share > 0.45 ? "hi" : "in", text);
	}
}

static void put_matrix(const struct page *p, const struct weight *categories, size_t count)
{
	size_t side = p->report->nconfusion + 1;
	bool dense = count > MATRIX_NUMBERS + 1;
	double cell = dense ? 10.5 : count > 6 ? 40 : 56, margin = dense ? 76 : 104;
	double right = dense ? 4 : 60; /* the last name is written aslant */
	struct frcnn_chart chart = {.out = p->out,
				    .width = margin + cell * (double)count + right,
				    .height = margin + cell * (double)count + 4,
				    .left = margin,
				    .top = margin,
				    .right = right,
				    .bottom = 4,
				    .x_high = (double)count,
				    .y_low = (double)count,
				    .style = dense ? "matrix dense" : "matrix"};
	char scratch[FRCNN_RENDER_NAME];

	PUT(p, "<div style=\"min-width:%.0fpx;max-width:%.0fpx\">", dense ? fmin(chart.width, 760) : chart.width * 0.8,
	    dense ? fmax(chart.width * 1.25, 420) : chart.width);
	frcnn_chart_begin(&chart, "Confusion matrix: a row for each true class, a column for each predicted one");
	for (size_t i = 0; i <= count; i++) {
		frcnn_chart_rule(&chart, (double)i, 0, (double)i, (double)count, "grid");
		frcnn_chart_rule(&chart, 0, (double)i, (double)count, (double)i, "grid");
	}
	for (size_t r = 0; r < count; r++) {
		size_t truth = categories[r].category, total = 0;
		for (size_t c = 0; c < side; c++)
			total += p->model->confusion[truth * side + c];
		for (size_t c = 0; c < count; c++)
			put_matrix_cell(p, &chart, truth, categories[c].category, r, c, total);
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = frcnn_render_category(p->report, categories[i].category, scratch);
		PUT(p, "<text text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">", margin - 5,
		    margin + cell * ((double)i + 0.5) + (dense ? 3 : 4));
		frcnn_page_text(p->out, name, NAME_SHORT);
		PUT(p, "</text><text transform=\"translate(%.1f %.1f) rotate(%d)\">",
		    margin + cell * ((double)i + 0.5) + (dense ? 3 : 4), margin - 5, dense ? -90 : -45);
		frcnn_page_text(p->out, name, NAME_SHORT);
		put(p, "</text>");
	}
	frcnn_chart_end(&chart);
	put(p, "</div>\n");
}

static void put_confusion(const struct page *p)
{
	struct frcnn_confused top[CONFUSED_LIMIT];
	struct weight *categories = NULL;
	char scratch[FRCNN_RENDER_NAME];

	if (!p->model->has_confusion)
		return;
	size_t count = matrix_categories(p, &categories);
	if (categories == NULL) {
		p->out->failed = true;
		return;
	}
	open_section(p, "confusion", "Confusion", NULL);
	PUT(p,
	    "<p class=\"note\">Rows: what is there; columns: what was predicted, at scores above %g and IoU %g. Blue "
	    "is "
	    "right, orange is wrong, the deeper the larger the share of its row. The last column are objects not "
	    "found, "
	    "the last row detections of nothing.",
	    p->report->threshold_score, p->report->confusion_iou);
	if (count - 1 < p->report->nconfusion)
		PUT(p, " %zu of %zu classes are drawn.", count - 1, p->report->nconfusion);
	bool beside = count <= 7;
	PUT(p, "</p>\n%s<div class=\"scroll\">", beside ? "<div class=\"two\">" : "");
	put_matrix(p, categories, count);
	put(p, "</div>\n");
	size_t confused = frcnn_render_confused(p->report, p->model, top, CONFUSED_LIMIT);
	if (confused > 0 && p->report->nconfusion > 1) {
		put(p, "<div><h3>Most frequent confusions</h3>\n<div class=\"scroll\"><table><thead><tr><th "
		       "scope=\"col\">There</th><th scope=\"col\" class=\"l\">Predicted</th><th scope=\"col\" "
		       "colspan=\"2\">Count</th></tr></thead><tbody>\n");
		for (size_t i = 0; i < confused; i++) {
			put(p, "<tr><th scope=\"row\">");
			put_text(p, frcnn_render_category(p->report, top[i].truth, scratch));
			put(p, "</th><td class=\"l\">");
			put_text(p, frcnn_render_category(p->report, top[i].prediction, scratch));
			put(p, "</td>");
			put_bar(p, (double)top[i].count / (double)top[0].count, "f2");
			put_count_cell(p, top[i].count);
			put(p, "</tr>\n");
		}
		put(p, "</tbody></table></div></div>\n");
	}
	if (beside)
		put(p, "</div>\n");
	close_section(p);
	free(categories);
}

/* ---- scores
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void put_sweep(const struct page *p)
{
	const struct frcnn_report_model *model = p->model;
	struct frcnn_chart chart = unit_chart(p);
	double x[FRCNN_REPORT_SWEEP], y[3][FRCNN_REPORT_SWEEP];

	for (int i = 0; i < FRCNN_REPORT_SWEEP; i++) {
		const struct frcnn_eval_operating *at = &model->sweep[i];
		x[i] = i * 0.05;
		y[0][i] = at->precision == -1 ? NAN : at->precision;
		y[1][i] = at->recall == -1 ? NAN : at->recall;
		y[2][i] = at->f1 == -1 ? NAN : at->f1;
	}
	put(p, "<figure class=\"chart\">");
	frcnn_chart_begin(&chart, "Precision, recall and F1 over the score threshold");
	frcnn_chart_axes(&chart, 5, 5, "score threshold", NULL);
	frcnn_chart_rule(&chart, p->report->threshold_score, 0, p->report->threshold_score, 1, "even");
	for (int i = 0; i < 3; i++)
		frcnn_chart_line(&chart, x, y[i], FRCNN_REPORT_SWEEP, series[i]);
	frcnn_chart_end(&chart);
	put(p, "<ul class=\"key\">");
	put_key(p, "s1", "precision");
	put_key(p, "s2", "recall");
	put_key(p, "s3", "F1");
	put_key(p, "even", "the threshold in force");
	put(p, "</ul></figure>\n");
}

static void put_threshold_cells(const struct page *p, const struct frcnn_eval_threshold *t)
{
	char cut[32];

	/* exact: rounded, it might keep one more */
	cut[t->found ? frcnn_format_double(t->cut, cut) : 0] = '\0';
	if (t->found)
		PUT(p, "<td>%s</td>", cut);
	else
		put_cell(p, -1);
	put_cell(p, t->precision);
	put_cell(p, t->recall);
	put_cell(p, t->f1);
}

static void put_threshold_row(const struct page *p, const char *name, const char *style,
			      const struct frcnn_eval_operating *at, const struct frcnn_eval_threshold *best,
			      const struct frcnn_eval_threshold *precision, const struct frcnn_eval_threshold *recall)
{
	PUT(p, "<tr%s><th scope=\"row\">", style);
	put_text(p, name);
	put(p, "</th>");
	put_cell(p, at->precision);
	put_cell(p, at->recall);
	put_cell(p, at->f1);
	put_threshold_cells(p, best);
	if (p->report->has_want_precision)
		put_threshold_cells(p, precision);
	if (p->report->has_want_recall)
		put_threshold_cells(p, recall);
	put(p, "</tr>\n");
}

static void put_facts(const struct page *p)
{
	const struct frcnn_eval_background *b = &p->model->background;

	put(p, "<div><h3>False alarms</h3><dl class=\"facts\">");
	PUT(p, "<dt>False positives an image</dt><dd>%.3f at scores above %g</dd>", b->fp_per_image,
	    p->report->threshold_score);
	put(p, "<dt>Images without any object</dt><dd>");
	put_count(p, b->images);
	if (b->images > 0)
		PUT(p, ", with %.3f false positives an image", b->fp_per_background_image);
	put(p, "</dd><dt>Detections of absent classes</dt><dd>");
	put_count(p, b->absent_detections);
	put(p, ", of classes that have no object here; AP\xE2\x80\x99s mean leaves them out</dd></dl></div>\n");
}

static void put_thresholds(const struct page *p)
{
	static const char *const four = "<th scope=\"col\">Above</th><th scope=\"col\">Precision</th><th "
					"scope=\"col\">Recall</th><th scope=\"col\">F1</th>";
	const struct frcnn_report_model *model = p->model;
	char scratch[FRCNN_RENDER_NAME];

	if (!model->has_matches)
		return;
	open_section(p, "thresholds", "Score thresholds",
		     "What is kept and what is lost when detections below a score are dropped, at IoU 0.50.");
	put(p, "<div class=\"two\">\n");
	put_sweep(p);
	put_facts(p);
	put(p, "</div>\n");
	PUT(p,
	    "<h3>Where to cut</h3>\n<div class=\"scroll\"><table><thead><tr><td></td><th scope=\"colgroup\" "
	    "colspan=\"3\">at score %g</th><th scope=\"colgroup\" colspan=\"4\">highest F1</th>",
	    p->report->threshold_score);
	if (p->report->has_want_precision)
		PUT(p, "<th scope=\"colgroup\" colspan=\"4\">precision at least %g</th>", p->report->want_precision);
	if (p->report->has_want_recall)
		PUT(p, "<th scope=\"colgroup\" colspan=\"4\">recall at least %g</th>", p->report->want_recall);
	put(p, "</tr><tr><th scope=\"col\">Class</th><th scope=\"col\">Precision</th><th scope=\"col\">Recall</th><th "
	       "scope=\"col\">F1</th>");
	put(p, four);
	if (p->report->has_want_precision)
		put(p, four);
	if (p->report->has_want_recall)
		put(p, four);
	put(p, "</tr></thead><tbody>\n");
	put_threshold_row(p, "all together", " class=\"all\"", &model->operating, &model->best, &model->at_precision,
			  &model->at_recall);
	for (size_t k = 0; k < model->nclasses && model->nclasses > 1; k++) {
		const struct frcnn_report_class *c = &model->classes[k];
		put_threshold_row(p, frcnn_render_class(c, scratch), "", &c->operating, &c->best, &c->at_precision,
				  &c->at_recall);
	}
	put(p, "</tbody></table></div>\n");
	close_section(p);
}

/* ---- calibration
 * --------------------------------------------------------------------------------------------------------------------
 */

static void put_reliability(const struct page *p)
{
	const struct frcnn_eval_calibration *c = &p->model->calibration;
	struct frcnn_chart chart = unit_chart(p);
	char text[128];

	put(p, "<figure class=\"chart\">");
	frcnn_chart_begin(&chart,
			  "Reliability: precision over score; a perfectly calibrated model follows the diagonal");
	frcnn_chart_axes(&chart, 5, 5, "score", "precision");
	for (int i = 0; i < c->nbins; i++) {
		double pad = (c->bins[i].high - c->bins[i].low) * 0.06;
		double low = c->bins[i].low + pad, high = c->bins[i].high - pad;
		if (c->bins[i].count == 0)
			continue;
		snprintf(text, sizeof(text), "scores %.2f to %.2f: %zu detections, mean score %.3f, precision %.3f",
			 c->bins[i].low, c->bins[i].high, c->bins[i].count, c->bins[i].confidence,
			 c->bins[i].precision);
		frcnn_chart_box(&chart, low, 0, high, c->bins[i].precision, "f1", text);
		frcnn_chart_box(&chart, low, c->bins[i].precision, high, c->bins[i].confidence, "over", text);
	}
	frcnn_chart_rule(&chart, 0, 0, 1, 1, "even");
	frcnn_chart_end(&chart);
	put(p, "<figcaption>Bars: precision. Dashed boxes: the gap to the mean score. Dotted: no "
	       "gap.</figcaption></figure>"
	       "\n");
}

static void put_calibration(const struct page *p)
{
	const struct frcnn_eval_calibration *c = &p->model->calibration;
	size_t most = 0;

	if (!p->model->has_calibration)
		return;
	open_section(p, "calibration", "Calibration", NULL);
	PUT(p,
	    "<p class=\"note\">Whether a score can be read as the probability of being right. Expected calibration "
	    "error "
	    "<strong>%.4f</strong>, greatest <strong>%.4f</strong>.</p>\n<div class=\"two\">\n",
	    c->ece, c->mce);
	put_reliability(p);
	for (int i = 0; i < c->nbins; i++)
		most = c->bins[i].count > most ? c->bins[i].count : most;
	put(p, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Score</th><th scope=\"col\" "
	       "colspan=\"2\">Detections</th><th scope=\"col\">Mean score</th><th scope=\"col\">Precision</th><th "
	       "scope=\"col\">Gap</th></tr></thead><tbody>\n");
	for (int i = 0; i < c->nbins; i++) {
		PUT(p, "<tr><th scope=\"row\">%.2f\xE2\x80\x93%.2f</th>", c->bins[i].low, c->bins[i].high);
		put_bar(p, most > 0 ? (double)c->bins[i].count / (double)most : 0, "f5");
		put_count_cell(p, c->bins[i].count);
		if (c->bins[i].count == 0) {
			put_cell(p, -1);
			put_cell(p, -1);
			put_cell(p, -1);
		} else {
			put_cell(p, c->bins[i].confidence);
			put_cell(p, c->bins[i].precision);
			put(p, "<td>");
			put_signed(p, c->bins[i].precision - c->bins[i].confidence);
			put(p, "</td>");
		}
		put(p, "</tr>\n");
	}
	put(p, "</tbody></table></div>\n</div>\n");
	close_section(p);
}

/* ---- inputs
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static void put_path(const struct page *p, const char *path)
{
	put_text(p, path == NULL || strcmp(path, "-") == 0 ? "standard input" : path);
}

static void put_file(const struct page *p, const char *what, const struct frcnn_report_model *model)
{
	PUT(p, "<dt>%s</dt><dd>", what);
	put_path(p, model->path);
	if (model->model != NULL) {
		put(p, ", model ");
		put_text(p, model->model);
	}
	put(p, ": ");
	put_plural(p, model->detections, "detection", "detections");
	put(p, " for ");
	put_plural(p, model->images, "image", "images");
	if (model->ignored > 0) {
		put(p, ", ");
		put_count(p, model->ignored);
		put(p, " more of unknown categories");
	}
	if (model->left_out > 0) {
		put(p, ", ");
		put_count(p, model->left_out);
		put(p, " left out");
	}
	if (model->sha256[0] != '\0')
		PUT(p, "<br/><code>sha256 %s</code>", model->sha256);
	put(p, "</dd>\n");
}

static void put_options(const struct page *p)
{
	const struct frcnn_eval_options *o = &p->report->options;

	put(p, "<dt>IoU thresholds</dt><dd>");
	for (int t = 0; t < o->nious; t++)
		PUT(p, "%s%.4g", t > 0 ? ", " : "", o->ious[t]);
	put(p, "</dd><dt>Detections counted</dt><dd>at most ");
	for (int m = 0; m < o->nmax_dets; m++)
		PUT(p, "%s%d", m > 0 ? ", " : "", o->max_dets[m]);
	put(p, " an image and class, the highest scores</dd><dt>Rules</dt><dd>");
	put(p, o->pycocotools ? "pycocotools\xE2\x80\x99, its traps included" : "COCO\xE2\x80\x99s");
	if (o->agnostic)
		put(p, "; classes taken as one");
	put(p, "</dd>\n");
}

static void put_lines(const struct page *p, const char *title, char *const *lines, size_t count, size_t more)
{
	size_t shown = count < LINES_LIMIT ? count : LINES_LIMIT;

	if (count + more == 0)
		return;
	PUT(p, "<h3>%s</h3><ul class=\"notes\">\n", title);
	for (size_t i = 0; i < shown; i++) {
		put(p, "<li>");
		put_text(p, lines[i]);
		put(p, "</li>\n");
	}
	if (count + more > shown)
		PUT(p, "<li>and %zu more</li>\n", count + more - shown);
	put(p, "</ul>\n");
}

static void put_inputs(const struct page *p)
{
	const struct frcnn_report *report = p->report;

	open_section(p, "inputs", "Inputs", NULL);
	put(p, "<dl class=\"facts\"><dt>Ground truth</dt><dd>");
	put_path(p, report->truth_path);
	put(p, ": ");
	put_plural(p, report->truth->nobjects, "object", "objects");
	if (report->truth_crowds > 0) {
		put(p, ", ");
		put_count(p, report->truth_crowds);
		put(p, " of them crowds");
	}
	put(p, ", ");
	put_plural(p, report->truth->nimages, "image", "images");
	if (report->truth_sha256[0] != '\0')
		PUT(p, "<br/><code>sha256 %s</code>", report->truth_sha256);
	put(p, "</dd>\n");
	for (size_t m = 0; m < report->nmodels; m++)
		put_file(p, "Detections", &report->models[m]);
	if (report->baseline != NULL)
		put_file(p, "Baseline", report->baseline);
	put_options(p);
	put(p, "</dl>\n");
	put_lines(p, "Errors", report->errors, report->nerrors, report->errors_left_out);
	put_lines(p, "Warnings", report->warnings, report->nwarnings, 0);
	close_section(p);
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------------------------------------
 */

static void put_model(const struct page *p)
{
	const struct frcnn_report_class **classes = NULL;

	if (p->report->nmodels > 1) {
		put(p, "<h2 class=\"model\">");
		put_text(p, frcnn_render_model(p->model));
		put(p, "</h2>\n");
	}
	put_summary(p);
	put_baseline(p);
	if (p->model->nclasses > 0) {
		classes = sorted_classes(p);
		if (classes == NULL)
			return;
		put_classes(p, classes);
		put_curves(p, classes);
		free(classes);
	}
	put_sizes(p);
	put_errors(p);
	put_confusion(p);
	put_thresholds(p);
	put_calibration(p);
}

int frcnn_report_html(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct page p = {.report = report, .decimals = 3, .out = out};
	struct frcnn_buffer title = {0};

	if (report->nmodels == 1) {
		frcnn_buffer_puts(&title, short_name(&report->models[0]));
		frcnn_buffer_puts(&title, ", evaluated");
	} else {
		frcnn_buffer_printf(&title, "%zu models, evaluated", report->nmodels);
	}
	frcnn_page_begin(out, title.failed ? "" : title.data);
	out->failed |= title.failed;
	frcnn_buffer_free(&title);
	put_head(&p);
	put_gates(&p);
	put_models(&p);
	for (size_t m = 0; m < report->nmodels; m++) {
		p.model = &report->models[m];
		p.number = m + 1;
		put_model(&p);
	}
	p.number = 0;
	put_inputs(&p);
	frcnn_page_end(out);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* ---- for other programs' pages
 * ----------------------------------------------------------------------------------------------- */

void frcnn_page_gates(struct frcnn_buffer *out, const struct frcnn_report *report)
{
	put_gates(&(struct page){.report = report, .decimals = 3, .out = out});
}

void frcnn_page_changes(struct frcnn_buffer *out, const struct frcnn_report *report,
			const struct frcnn_report_model *model, const char *ours, const char *baseline)
{
	put_changes(&(struct page){.report = report, .model = model, .decimals = 4, .out = out}, ours, baseline);
}
