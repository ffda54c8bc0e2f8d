/* Every number that has a name, a row each, and the curves: for those who compute on them. */
#include "render/render.h"

#include <math.h>
#include <string.h>

static void put_number(struct frcnn_buffer *out, double value)
{
	char text[32];

	if (isfinite(value))
		frcnn_buffer_add(out, text, frcnn_format_double(value, text));
}

static void put_text(struct frcnn_buffer *out, const char *text)
{
	struct frcnn_buffer utf8 = {0};

	frcnn_render_utf8(&utf8, text);
	if (utf8.failed)
		out->failed = true;
	else
		frcnn_csv_field(out, utf8.data);
	frcnn_buffer_free(&utf8);
}

/* Where a row belongs: whose is NULL for all classes together. */
struct row {
	const struct frcnn_report *report;
	const struct frcnn_report_model *model;
	const struct frcnn_report_class *whose;
	struct frcnn_buffer *out;
};

static void put_place(const struct row *row)
{
	char scratch[FRCNN_RENDER_NAME];

	put_text(row->out, frcnn_render_model(row->model));
	frcnn_buffer_putc(row->out, ',');
	if (row->whose != NULL)
		frcnn_buffer_printf(row->out, "%lld", (long long)row->whose->category_id);
	frcnn_buffer_putc(row->out, ',');
	if (row->whose != NULL)
		put_text(row->out, frcnn_render_class(row->whose, scratch));
}

/* The difference to the baseline that goes with a number, or NULL. */
static const struct frcnn_report_difference *difference_of(const struct row *row, const char *metric)
{
	char scratch[FRCNN_RENDER_NAME];
	size_t size = strlen(metric);

	for (size_t i = 0; i < row->model->ndifferences; i++) {
		const struct frcnn_report_difference *d = &row->model->differences[i];
		if (d->class_level != (row->whose != NULL))
			continue;
		if (row->whose == NULL && strcmp(d->name, metric) == 0)
			return d;
		if (row->whose == NULL)
			continue;
		/* compare names a class without a name by its id */
		snprintf(scratch, sizeof(scratch), "%lld", (long long)row->whose->category_id);
		const char *name = row->whose->name != NULL ? row->whose->name : scratch;
		size_t length = strlen(name);
		if (strncmp(d->name, name, length) == 0 && d->name[length] == ':' &&
		    strlen(d->name) == length + 1 + size && strcmp(d->name + length + 1, metric) == 0)
			return d;
	}
	return NULL;
}

static void put_row(const struct row *row, const char *metric, double value)
{
	put_place(row);
	frcnn_buffer_putc(row->out, ',');
	put_text(row->out, metric);
	frcnn_buffer_putc(row->out, ',');
	put_number(row->out, value);
	if (row->report->baseline != NULL) {
		const struct frcnn_report_difference *d = difference_of(row, metric);
		bool defined = d != NULL && d->d.ours != -1 && d->d.baseline != -1;
		frcnn_buffer_putc(row->out, ',');
		if (d != NULL)
			put_number(row->out, d->d.baseline);
		frcnn_buffer_putc(row->out, ',');
		if (defined)
			put_number(row->out, d->d.difference);
		frcnn_buffer_putc(row->out, ',');
		if (defined && d->has_interval)
			put_number(row->out, d->d.low);
		frcnn_buffer_putc(row->out, ',');
		if (defined && d->has_interval)
			put_number(row->out, d->d.high);
	}
	frcnn_buffer_puts(row->out, "\r\n");
}

static void put_metrics(const struct row *row, const struct frcnn_report_metrics *metrics)
{
	for (size_t i = 0; i < metrics->count; i++) {
		if (frcnn_render_shows(row->report, metrics->items[i].name))
			put_row(row, metrics->items[i].name, metrics->items[i].value);
	}
}

static void put_model(struct row *row)
{
	static const char *const errors[] = {"cls", "loc", "both", "dupe", "bkg", "miss"};
	const struct frcnn_report_model *model = row->model;
	bool matched = model->has_matches && !(row->report->hidden & FRCNN_MEASURE_MATCHES);
	char name[48];

	row->whose = NULL;
	put_metrics(row, &model->metrics);
	if (matched) {
		put_row(row, "best_threshold", model->best.cut);
		put_row(row, "best_f1", model->best.f1);
	}
	if (model->has_tide && !(row->report->hidden & FRCNN_MEASURE_TIDE)) {
		const struct frcnn_eval_tide *t = &model->tide;
		const double gains[] = {t->cls, t->loc, t->both, t->dupe, t->bkg, t->miss};
		for (size_t i = 0; i < FRCNN_COUNT(errors); i++) {
			snprintf(name, sizeof(name), "tide.%s", errors[i]);
			put_row(row, name, gains[i]);
			snprintf(name, sizeof(name), "tide.%s.count", errors[i]);
			put_row(row, name, (double)t->counts[i]);
		}
		put_row(row, "tide.fp", t->fp);
		put_row(row, "tide.fn", t->fn);
	}
	for (size_t k = 0; k < model->nclasses && row->report->per_class; k++) {
		row->whose = &model->classes[k];
		put_row(row, "gt", (double)row->whose->objects);
		put_row(row, "detections", (double)row->whose->detections);
		put_metrics(row, &row->whose->metrics);
		if (matched) {
			put_row(row, "best_threshold", row->whose->best.cut);
			put_row(row, "best_f1", row->whose->best.f1);
		}
	}
}

int frcnn_render_csv(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct row row = {.report = report, .out = out};

	frcnn_buffer_puts(out, "model,category_id,category,metric,value");
	if (report->baseline != NULL)
		frcnn_buffer_puts(out, ",baseline,difference,low,high");
	frcnn_buffer_puts(out, "\r\n");
	for (size_t m = 0; m < report->nmodels; m++) {
		row.model = &report->models[m];
		put_model(&row);
	}
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* ---- curves
 * ---------------------------------------------------------------------------------------------------------- */

int frcnn_report_curves(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct row row = {.report = report, .out = out};
	struct frcnn_buffer place = {0};

	frcnn_buffer_puts(out, "model,category_id,category,iou,recall,precision,score\r\n");
	for (size_t m = 0; m < report->nmodels; m++) {
		const struct frcnn_report_model *model = &report->models[m];
		const struct frcnn_eval_cells *cells = &model->cells;
		for (int k = 0; k < cells->K && (size_t)k < model->nclasses; k++) {
			frcnn_buffer_clear(&place);
			row = (struct row){report, model, &model->classes[k], &place};
			put_place(&row);
			out->failed |= place.failed;
			for (int t = 0; t < cells->T && !place.failed; t++) {
				for (int r = 0; r < cells->R; r++) {
					size_t at = frcnn_render_cell(cells, t, r, k);
					if (cells->precision[at] == -1)
						continue;
					frcnn_buffer_add(out, place.data, place.size);
					frcnn_buffer_putc(out, ',');
					put_number(out, report->options.ious[t]);
					frcnn_buffer_putc(out, ',');
					put_number(out, r * 0.01);
					frcnn_buffer_putc(out, ',');
					put_number(out, cells->precision[at]);
					frcnn_buffer_putc(out, ',');
					put_number(out, cells->scores[at]);
					frcnn_buffer_puts(out, "\r\n");
				}
			}
		}
	}
	frcnn_buffer_free(&place);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
