/* Tables for a job's summary or a comment on a change. */
#include "render/render.h"

static void put(struct frcnn_buffer *out, const struct frcnn_table *table)
{
	frcnn_buffer_puts(out, "\n### ");
	frcnn_markdown_text(out, table->title.failed ? "" : table->title.data);
	frcnn_buffer_puts(out, "\n\n");
	frcnn_table_markdown(table, out);
}

int frcnn_render_markdown(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_table table = {0};

	frcnn_buffer_puts(out, "## Evaluation");
	if (report->nmodels == 1) {
		frcnn_buffer_puts(out, " of ");
		frcnn_markdown_text(out, frcnn_render_model(&report->models[0]));
	}
	frcnn_buffer_puts(out, "\n");
	if (frcnn_section_gates(report, &table))
		put(out, &table);
	frcnn_table_clear(&table);
	if (frcnn_section_models(report, &table))
		put(out, &table);
	for (size_t m = 0; m < report->nmodels; m++) {
		for (int s = report->nmodels > 1 ? FRCNN_SECTION_METRICS + 1 : FRCNN_SECTION_METRICS;
		     s < FRCNN_SECTION_COUNT; s++) {
			frcnn_table_clear(&table);
			if (frcnn_section_fill(report, &report->models[m], (enum frcnn_section)s, &table))
				put(out, &table);
		}
	}
	frcnn_table_free(&table);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
