/* Gates as test cases, in the form that CI systems read; the numbers are properties of the suite. */
#include "render/render.h"

#include <string.h>

static void attribute(struct frcnn_buffer *out, const char *name, const char *value)
{
	frcnn_buffer_printf(out, " %s=\"", name);
	frcnn_page_text(out, value, 0);
	frcnn_buffer_putc(out, '"');
}

static size_t count_of(const struct frcnn_report *report, size_t model, enum frcnn_gate_verdict verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < report->nresults; i++)
		count += report->results[i].model == model && report->results[i].verdict == verdict;
	return count;
}

static void put_case(const struct frcnn_report *report, const struct frcnn_gate_result *result,
		     struct frcnn_buffer *out)
{
	const char *message = result->message != NULL ? result->message : "";
	struct frcnn_buffer gate = {0};

	frcnn_render_gate(&report->gates[result->gate], &gate);
	frcnn_buffer_puts(out, "    <testcase");
	attribute(out, "classname", frcnn_render_model(&report->models[result->model]));
	attribute(out, "name", gate.failed ? "" : gate.data);
	out->failed |= gate.failed;
	frcnn_buffer_free(&gate);
	switch (result->verdict) {
	case FRCNN_GATE_HOLDS:
		frcnn_buffer_puts(out, "/>\n");
		return;
	case FRCNN_GATE_FAILED:
		frcnn_buffer_puts(out, "><failure");
		break;
	case FRCNN_GATE_TROUBLE:
		frcnn_buffer_puts(out, "><error");
		break;
	case FRCNN_GATE_NOT_JUDGED:
		frcnn_buffer_puts(out, "><skipped");
		break;
	}
	attribute(out, "message", message);
	frcnn_buffer_puts(out, "/></testcase>\n");
}

int frcnn_render_junit(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err)
{
	frcnn_buffer_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
	for (size_t m = 0; m < report->nmodels; m++) {
		const struct frcnn_report_model *model = &report->models[m];
		size_t holds = count_of(report, m, FRCNN_GATE_HOLDS), failed = count_of(report, m, FRCNN_GATE_FAILED);
		size_t trouble = count_of(report, m, FRCNN_GATE_TROUBLE);
		size_t skipped = count_of(report, m, FRCNN_GATE_NOT_JUDGED);

		frcnn_buffer_puts(out, "  <testsuite");
		attribute(out, "name", frcnn_render_model(model));
		frcnn_buffer_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
				    holds + failed + trouble + skipped, failed, trouble, skipped);
		if (model->metrics.count > 0) {
			frcnn_buffer_puts(out, "    <properties>\n");
			for (size_t i = 0; i < model->metrics.count; i++) {
				if (!frcnn_render_shows(report, model->metrics.items[i].name))
					continue;
				char value[32];
				value[frcnn_format_double(model->metrics.items[i].value, value)] = '\0';
				frcnn_buffer_puts(out, "      <property");
				attribute(out, "name", model->metrics.items[i].name);
				attribute(out, "value", value);
				frcnn_buffer_puts(out, "/>\n");
			}
			frcnn_buffer_puts(out, "    </properties>\n");
		}
		for (size_t i = 0; i < report->nresults; i++) {
			if (report->results[i].model == m)
				put_case(report, &report->results[i], out);
		}
		frcnn_buffer_puts(out, "  </testsuite>\n");
	}
	frcnn_buffer_puts(out, "</testsuites>\n");
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
