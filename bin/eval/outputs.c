/* The numbers as text and files, the gates as lines. */
#include "eval/job.h"

int eval_check_outputs(const struct eval_job *job, char *const *paths, size_t count, struct frcnn_error *err)
{
	const char *const inputs[] = {job->truth_path, job->labels_path, job->baseline_path};
	const struct {
		const char *option, *path;
	} outputs[] = {{"-o", job->output},
		       {"--report", job->report_path},
		       {"--curves", job->curves_path},
		       {"--cells", job->cells_path}};

	for (size_t i = 0; i < FRCNN_COUNT(outputs); i++) {
		const char *option = outputs[i].option, *path = outputs[i].path;
		bool read = false;

		if (!path || (i == 0 && strcmp(path, "-") == 0))
			continue;
		for (size_t j = 0; j < FRCNN_COUNT(inputs); j++)
			read = read || frcnn_output_touches(path, inputs[j], false);
		for (size_t j = 0; j < count; j++)
			read = read || (strcmp(paths[j], "-") != 0 && frcnn_output_touches(path, paths[j], false));
		if (read)
			return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is read by this run", option, path);
		for (size_t j = 0; j < i; j++)
			if (frcnn_output_touches(path, outputs[j].path, false) ||
			    frcnn_output_touches(outputs[j].path, path, false))
				return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is what %s writes", option, path,
						  outputs[j].option);
	}
	return 0;
}

static int write_file(const char *path, const struct frcnn_buffer *text, struct frcnn_error *err)
{
	struct frcnn_output output = {0};
	int status = frcnn_output_open(path, &output, err);

	if (status < 0)
		return status;
	fwrite(text->data, 1, text->size, output.stream); /* commit tells of what was lost */
	status = frcnn_output_commit(&output, err);
	frcnn_output_abort(&output);
	return status;
}

static bool is_json(const char *path)
{
	size_t size = strlen(path);

	return size >= 5 && strcmp(path + size - 5, ".json") == 0;
}

int eval_write_outputs(const struct eval_job *job, struct frcnn_error *err)
{
	const struct frcnn_report *report = &job->report;
	struct frcnn_buffer text = {0};
	int status = frcnn_report_render(report, (enum frcnn_report_format)job->format, &text, err);

	if (status == 0 && text.size > 0) {
		if (job->output && strcmp(job->output, "-") != 0)
			status = write_file(job->output, &text, err);
		else
			frcnn_print(&text);
	}
	if (status == 0 && job->report_path) {
		frcnn_buffer_clear(&text);
		status = frcnn_report_html(report, &text, err);
		if (status == 0)
			status = write_file(job->report_path, &text, err);
	}
	if (status == 0 && job->curves_path) {
		frcnn_buffer_clear(&text);
		status = is_json(job->curves_path) ? frcnn_report_curves_json(report, &text, err)
						   : frcnn_report_curves(report, &text, err);
		if (status == 0)
			status = write_file(job->curves_path, &text, err);
	}
	if (status == 0 && job->cells_path)
		status = frcnn_report_cells(job->cells_path, report, &report->models[0], err);
	frcnn_buffer_free(&text);
	return status;
}

void eval_tell_gates(const struct frcnn_report *report)
{
	bool untold = true;

	for (size_t i = 0; i < report->nresults; i++) {
		const struct frcnn_gate_result *result = &report->results[i];
		const char *path = report->nmodels > 1 ? report->models[result->model].path : NULL;

		switch (result->verdict) {
		case FRCNN_GATE_HOLDS:
			frcnn_say("gate holds: %s%s%s", path ? path : "", path ? ": " : "", result->message);
			break;
		case FRCNN_GATE_FAILED:
			frcnn_report(path, "gate failed: %s", result->message);
			break;
		case FRCNN_GATE_TROUBLE:
			frcnn_report(path, "gate: %s", result->message);
			break;
		case FRCNN_GATE_NOT_JUDGED:
			if (untold)
				frcnn_report(NULL, "no gate is judged: something was left out");
			untold = false;
			break;
		}
	}
}

void eval_job_free(struct eval_job *job)
{
	frcnn_report_free(&job->report);
	frcnn_eval_detections_free(&job->baseline);
	frcnn_eval_truth_free(&job->selected);
	frcnn_eval_truth_free(&job->whole);
	frcnn_ground_truth_free(&job->ground_truth);
	frcnn_labels_free(&job->labels);
	frcnn_list_free(&job->classes);
	eval_gates_free(&job->gates);
	frcnn_pool_free(job->pool);
	free(job->keep);
}
