/* Which format is whose, and what things are called in all of them. */
#include "render/render.h"

#include <string.h>

int frcnn_report_render(const struct frcnn_report *report, enum frcnn_report_format format, struct frcnn_buffer *out,
			struct frcnn_error *err)
{
	switch (format) {
	case FRCNN_REPORT_TEXT:
		return frcnn_render_text(report, out, err);
	case FRCNN_REPORT_JSON:
		return frcnn_render_json(report, out, err);
	case FRCNN_REPORT_CSV:
		return frcnn_render_csv(report, out, err);
	case FRCNN_REPORT_MARKDOWN:
		return frcnn_render_markdown(report, out, err);
	case FRCNN_REPORT_JUNIT:
		return frcnn_render_junit(report, out, err);
	}
	return frcnn_fail(err, FRCNN_EINVAL, "no report format %d", (int)format);
}

const char *frcnn_render_model(const struct frcnn_report_model *model)
{
	if (model->model != NULL && !model->model_shared)
		return model->model;
	if (model->path == NULL || strcmp(model->path, "-") == 0)
		return "standard input";
	return model->path;
}

const char *frcnn_render_class(const struct frcnn_report_class *class_, char scratch[FRCNN_RENDER_NAME])
{
	if (class_->name != NULL && class_->name[0] != '\0')
		return class_->name;
	snprintf(scratch, FRCNN_RENDER_NAME, "category %lld", (long long)class_->category_id);
	return scratch;
}

const char *frcnn_render_category(const struct frcnn_report *report, size_t category, char scratch[FRCNN_RENDER_NAME])
{
	const struct frcnn_eval_truth *truth = report->truth;

	if (category >= report->nconfusion)
		return "background";
	if (truth->category_names != NULL && truth->category_names[category] != NULL &&
	    truth->category_names[category][0] != '\0')
		return truth->category_names[category];
	snprintf(scratch, FRCNN_RENDER_NAME, "category %lld", (long long)truth->category_ids[category]);
	return scratch;
}

void frcnn_render_gate(const struct frcnn_gate *gate, struct frcnn_buffer *out)
{
	char bound[32];

	bound[frcnn_format_double(gate->bound, bound)] = '\0';
	if (gate->kind == FRCNN_GATE_MAX_DROP)
		frcnn_buffer_printf(out, "drop of %s <= %s", gate->metric, bound);
	else
		frcnn_buffer_printf(out, "%s %s %s", gate->metric, gate->kind == FRCNN_GATE_MIN ? ">=" : "<=", bound);
}

const char *frcnn_render_verdict(enum frcnn_gate_verdict verdict)
{
	switch (verdict) {
	case FRCNN_GATE_HOLDS:
		return "holds";
	case FRCNN_GATE_FAILED:
		return "failed";
	case FRCNN_GATE_TROUBLE:
		return "trouble";
	case FRCNN_GATE_NOT_JUDGED:
		break;
	}
	return "not judged";
}

double frcnn_render_metric(const struct frcnn_report_metrics *metrics, const char *name)
{
	const struct frcnn_report_metric *metric = frcnn_report_metric_find(metrics, name);

	return metric != NULL ? metric->value : -1;
}

bool frcnn_render_shows(const struct frcnn_report *report, const char *metric)
{
	static const struct {
		const char *name;
		unsigned part;
	} parts[] = {
	    {"mAP", FRCNN_MEASURE_VOC},           {"voc", FRCNN_MEASURE_VOC},
	    {"ece", FRCNN_MEASURE_CALIBRATION},   {"mce", FRCNN_MEASURE_CALIBRATION},
	    {"precision", FRCNN_MEASURE_MATCHES}, {"recall", FRCNN_MEASURE_MATCHES},
	    {"f1", FRCNN_MEASURE_MATCHES},        {"fp_per_image", FRCNN_MEASURE_MATCHES},
	};

	if (strncmp(metric, "recall.", 7) == 0)
		return !(report->hidden & FRCNN_MEASURE_MATCHES);
	for (size_t i = 0; i < FRCNN_COUNT(parts); i++) {
		if (strcmp(metric, parts[i].name) == 0)
			return !(report->hidden & parts[i].part);
	}
	return true;
}

double frcnn_render_area(const struct frcnn_report_metrics *metrics, const char *what, const char *area)
{
	static const char *const names[] = {"small", "medium", "large"};
	const struct frcnn_report_metric *metric;
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", what, area);
	metric = frcnn_report_metric_find(metrics, name);
	for (size_t i = 0; metric == NULL && i < FRCNN_COUNT(names); i++) {
		if (strcmp(area, names[i]) != 0)
			continue;
		snprintf(name, sizeof(name), "%s%c", what, area[0]);
		metric = frcnn_report_metric_find(metrics, name);
	}
	return metric != NULL ? metric->value : -1;
}

bool frcnn_render_is_default(const struct frcnn_report *report)
{
	const struct frcnn_eval_options *o = &report->options;
	struct frcnn_eval_options usual;

	if (o->pycocotools)
		return true;
	frcnn_eval_options_init(&usual);
	if (o->nious != usual.nious || o->nareas != usual.nareas || o->nmax_dets != usual.nmax_dets)
		return false;
	for (int i = 0; i < o->nareas; i++) {
		if (strcmp(o->areas[i].name, usual.areas[i].name) != 0 || o->areas[i].low != usual.areas[i].low ||
		    o->areas[i].high != usual.areas[i].high)
			return false;
	}
	return memcmp(o->ious, usual.ious, (size_t)o->nious * sizeof(o->ious[0])) == 0 &&
	       memcmp(o->max_dets, usual.max_dets, (size_t)o->nmax_dets * sizeof(o->max_dets[0])) == 0;
}

size_t frcnn_render_cell(const struct frcnn_eval_cells *cells, int t, int r, int k)
{
	size_t row = ((size_t)t * (size_t)cells->R + (size_t)r) * (size_t)cells->K + (size_t)k;

	return row * (size_t)cells->A * (size_t)cells->M + (size_t)cells->M - 1;
}

size_t frcnn_render_confused(const struct frcnn_report *report, const struct frcnn_report_model *model,
			     struct frcnn_confused *out, size_t limit)
{
	size_t side = report->nconfusion + 1, kept = 0;

	for (size_t i = 0; i < side * side && limit > 0; i++) {
		struct frcnn_confused entry = {i / side, i % side, model->confusion[i]};
		if (entry.count == 0 || entry.truth == entry.prediction)
			continue;
		if (kept == limit && out[kept - 1].count >= entry.count)
			continue;
		/* equal counts stay in the matrix's order */
		size_t at = kept < limit ? kept++ : kept - 1;
		for (; at > 0 && out[at - 1].count < entry.count; at--)
			out[at] = out[at - 1];
		out[at] = entry;
	}
	return kept;
}

void frcnn_csv_field(struct frcnn_buffer *out, const char *text)
{
	if (text[strcspn(text, ",\"\r\n")] == '\0') {
		frcnn_buffer_puts(out, text);
		return;
	}
	frcnn_buffer_putc(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			frcnn_buffer_putc(out, '"');
		frcnn_buffer_putc(out, *text);
	}
	frcnn_buffer_putc(out, '"');
}

void frcnn_render_utf8(struct frcnn_buffer *out, const char *text)
{
	size_t size = strlen(text), i = 0, n;

	while (i < size && (n = frcnn_utf8_length(text + i, size - i)) > 0)
		i += n;
	frcnn_buffer_add(out, "", 0);
	if (i == size)
		frcnn_buffer_add(out, text, size);
	else
		frcnn_escape_bytes(out, text, size);
}
