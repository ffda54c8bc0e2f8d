/* pycocotools' summary, byte for byte, then the parts that were asked for. */
#include "render/render.h"

/* "0.60" as pycocotools has it, "0.625" where two decimals are not enough. */
static void iou_text(double iou, char out[32])
{
	snprintf(out, 32, iou * 100 == (int)(iou * 100) ? "%.2f" : "%.4g", iou);
}

static void line(struct frcnn_buffer *out, bool recall, const char *iou, const char *area, int max_dets, double value)
{
	frcnn_buffer_printf(out, " %-18s %s @[ IoU=%-9s | area=%6s | maxDets=%3d ] = %0.3f\n",
			    recall ? "Average Recall" : "Average Precision", recall ? "(AR)" : "(AP)", iou, area,
			    max_dets, value);
}

/* The twelve lines of COCOeval.summarize. */
static void twelve(const struct frcnn_report *report, const double stats[12], struct frcnn_buffer *out)
{
	static const char *const areas[] = {"small", "medium", "large"};
	const struct frcnn_eval_options *o = &report->options;
	int last = o->max_dets[o->nmax_dets - 1];
	char range[32];

	snprintf(range, sizeof(range), "%.2f:%.2f", o->ious[0], o->ious[o->nious - 1]);
	line(out, false, range, "all", o->pycocotools ? 100 : last, stats[0]);
	line(out, false, "0.50", "all", last, stats[1]);
	line(out, false, "0.75", "all", last, stats[2]);
	for (int i = 0; i < 3; i++)
		line(out, false, range, areas[i], last, stats[3 + i]);
	for (int i = 0; i < 3 && i < o->nmax_dets; i++)
		line(out, true, range, "all", o->max_dets[i], stats[6 + i]);
	for (int i = 0; i < 3; i++)
		line(out, true, range, areas[i], last, stats[9 + i]);
}

/* The same lines for thresholds, areas and numbers of detections of the user's own. */
static void custom(const struct frcnn_report *report, const struct frcnn_report_metrics *metrics,
		   struct frcnn_buffer *out)
{
	const struct frcnn_eval_options *o = &report->options;
	int last = o->max_dets[o->nmax_dets - 1];
	char range[32], name[32];

	if (o->nious > 1)
		snprintf(range, sizeof(range), "%.2f:%.2f", o->ious[0], o->ious[o->nious - 1]);
	else
		iou_text(o->ious[0], range);
	line(out, false, range, "all", last, frcnn_render_metric(metrics, "AP"));
	for (int i = 0; o->nious > 1 && i < o->nious; i++) {
		char iou[32];
		snprintf(name, sizeof(name), "AP%.6g", o->ious[i] * 100);
		iou_text(o->ious[i], iou);
		if (frcnn_report_metric_find(metrics, name) != NULL)
			line(out, false, iou, "all", last, frcnn_render_metric(metrics, name));
	}
	for (int i = 1; i < o->nareas; i++)
		line(out, false, range, o->areas[i].name, last, frcnn_render_area(metrics, "AP", o->areas[i].name));
	for (int i = 0; i < o->nmax_dets; i++) {
		snprintf(name, sizeof(name), "AR%d", o->max_dets[i]);
		line(out, true, range, "all", o->max_dets[i], frcnn_render_metric(metrics, name));
	}
	for (int i = 1; i < o->nareas; i++)
		line(out, true, range, o->areas[i].name, last, frcnn_render_area(metrics, "AR", o->areas[i].name));
}

static void heading(struct frcnn_buffer *out, const struct frcnn_buffer *title)
{
	frcnn_buffer_putc(out, '\n');
	if (title->failed)
		out->failed = true;
	else
		frcnn_printable(out, title->data, title->size);
	frcnn_buffer_putc(out, '\n');
}

int frcnn_render_text(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_table table = {0};

	if (frcnn_section_models(report, &table))
		frcnn_table_text(&table, out);
	for (size_t m = 0; m < report->nmodels; m++) {
		const struct frcnn_report_model *model = &report->models[m];
		if (report->nmodels == 1 && frcnn_render_is_default(report))
			twelve(report, model->stats, out);
		else if (report->nmodels == 1)
			custom(report, &model->metrics, out);
		for (int s = FRCNN_SECTION_METRICS + 1; s < FRCNN_SECTION_COUNT; s++) {
			frcnn_table_clear(&table);
			if (!frcnn_section_fill(report, model, (enum frcnn_section)s, &table))
				continue;
			heading(out, &table.title);
			frcnn_table_text(&table, out);
		}
	}
	frcnn_table_clear(&table);
	if (frcnn_section_gates(report, &table)) {
		heading(out, &table.title);
		frcnn_table_text(&table, out);
	}
	frcnn_table_free(&table);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
