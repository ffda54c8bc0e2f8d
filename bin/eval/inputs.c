/* Files in, measured columns out; what is wrong on the way is said and kept for the report. */
#include "eval/job.h"
#include "eval/read.h"
#include "eval/validate.h"
#include "image/image.h"

#include <sys/stat.h>

/* Lines that are kept for the report; all are printed. */
#define MAX_LINES 1000

/* ---- what was said while reading -------------------------------------------------------------------------------- */

/* Keeps a line for the report; lack of memory only loses it there. */
static void keep_line(char ***lines, size_t *count, const char *line)
{
	char **grown, *copy;

	if (*count >= MAX_LINES)
		return;
	grown = frcnn_realloc(*lines, *count + 1, sizeof *grown);
	if (!grown)
		return;
	*lines = grown;
	copy = frcnn_strdup(line);
	if (copy)
		grown[(*count)++] = copy;
}

static void note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct eval_job *job = context;
	struct frcnn_report *report = &job->report;

	if (kind == FRCNN_NOTICE_ERROR) {
		job->trouble = true;
		frcnn_report(NULL, "%s", line);
		if (report->nerrors >= MAX_LINES)
			report->errors_left_out++;
		keep_line(&report->errors, &report->nerrors, line);
	} else {
		frcnn_warn(NULL, "%s", line);
		keep_line(&report->warnings, &report->nwarnings, line);
	}
}

static struct frcnn_notices notices_of(struct eval_job *job)
{
	return (struct frcnn_notices){.note = note, .context = job};
}

/* ---- ground truth -------------------------------------------------------------------------------------------------
 */

static int find_class(struct eval_job *job, const char *word, struct frcnn_error *err)
{
	const struct frcnn_eval_truth *truth = &job->whole;
	bool found = false;
	uint32_t index;
	int64_t id;

	for (size_t k = 0; k < truth->ncategories; k++) {
		if (truth->category_names[k] && strcmp(truth->category_names[k], word) == 0)
			job->keep[k] = found = true;
	}
	if (!found && frcnn_parse_int64(word, strlen(word), &id) == 0 && frcnn_eval_category(truth, id, &index))
		job->keep[index] = found = true;
	if (!found)
		return frcnn_fail(err, FRCNN_EINVAL, "--classes: the ground truth has no class \"%s\"", word);
	return 0;
}

static int select_classes(struct eval_job *job, struct frcnn_error *err)
{
	int status = 0;

	job->report.truth = &job->whole;
	if (job->classes.count > 0) {
		job->keep = frcnn_calloc(job->whole.ncategories, sizeof *job->keep);
		if (!job->keep)
			return frcnn_fail_nomem(err);
		for (size_t i = 0; i < job->classes.count && status == 0; i++)
			status = find_class(job, job->classes.items[i], err);
		job->whole_options.categories = job->keep;
	}
	if (status == 0 && (job->keep || job->agnostic)) {
		status = frcnn_eval_truth_select(&job->whole, job->keep, job->agnostic, &job->selected, err);
		job->report.truth = &job->selected;
	}
	return status;
}

/* Only JSON and the page show it: a file is not read twice for nothing, and a pipe cannot be. */
static int digest(const struct eval_job *job, const char *path, char hex[65], struct frcnn_error *err)
{
	struct frcnn_file file;
	struct stat info;
	int status;

	if ((job->format != FRCNN_REPORT_JSON && !job->report_path) || stat(path, &info) < 0 || !S_ISREG(info.st_mode))
		return 0;
	status = frcnn_file_open(path, 0, &file, err);
	if (status == 0) {
		status = frcnn_sha256(file.data, file.size, hex, err);
		frcnn_file_close(&file);
	}
	return status;
}

int eval_read_truth(struct eval_job *job, struct frcnn_error *err)
{
	struct frcnn_ground_truth_options from = {.pycocotools = job->pycocotools,
						  .image_root = job->image_root,
						  .image_size = frcnn_image_size,
						  .pool = job->pool};
	struct frcnn_notices notices = notices_of(job);
	int status = 0;

	if (job->labels_path) {
		status = frcnn_labels_read(job->labels_path, &job->labels, err);
		from.labels = &job->labels;
	}
	if (status == 0)
		status = frcnn_ground_truth_open(job->truth_path, &from, &notices, &job->ground_truth, err);
	if (status == 0)
		status = frcnn_eval_truth_make(&job->ground_truth, job->pycocotools, &job->whole, err);
	if (status == 0)
		status = select_classes(job, err);
	if (status == 0 && job->ground_truth.form == FRCNN_TRUTH_COCO)
		status = digest(job, job->truth_path, job->report.truth_sha256, err);
	if (status < 0)
		return status;
	job->report.truth_left_out = job->ground_truth.errors;
	job->report.nconfusion = job->report.truth->ncategories;
	for (size_t g = 0; g < job->report.truth->nobjects; g++)
		job->report.truth_crowds += job->report.truth->crowd[g] != 0;
	return 0;
}

/* ---- one file of detections
 * ------------------------------------------------------------------------------------------ */

/* Id 0 and duplicate ids mean something else to pycocotools: one warning says what. */
static int tell_traps(struct eval_job *job, const char *path, const struct frcnn_eval_detections *whole, double ours,
		      struct frcnn_error *err)
{
	char line[1024];
	int status;

	if (job->pycocotools)
		return 0;
	status = frcnn_eval_traps(&job->ground_truth, job->truth_path, whole, path, &job->whole_options, ours,
				  job->pool, line, sizeof line, err);
	if (status > 0)
		note(job, FRCNN_NOTICE_WARNING, line);
	return status < 0 ? status : 0;
}

static int tell_findings(struct eval_job *job, struct frcnn_validation *validation, const char *path,
			 struct frcnn_eval_detections *whole, struct frcnn_report_model *model, struct frcnn_error *err)
{
	struct frcnn_validation_counts counts = frcnn_validation_counts(validation);
	const struct frcnn_finding *findings;
	size_t count;
	int status = frcnn_validation_finish(validation, whole, &job->whole_options, model->stats[0],
					     FRCNN_VALIDATION_EFFECT_LIMIT, job->pool, err);

	if (status < 0)
		return status;
	findings = frcnn_validation_findings(validation, &count);
	for (size_t i = 0; i < count; i++) {
		note(job, findings[i].error ? FRCNN_NOTICE_ERROR : FRCNN_NOTICE_WARNING, findings[i].text);
		if (findings[i].kind == FRCNN_FINDING_UNKNOWN_CATEGORY)
			model->ignored = findings[i].count;
		if (findings[i].kind == FRCNN_FINDING_BAD_BOX && findings[i].error)
			model->left_out += findings[i].count;
	}
	model->left_out += counts.orphan_records + counts.twice;
	if (model->left_out > 0 && counts.records == 0 && counts.detections == 0)
		frcnn_report(path, "nothing of it could be read: the numbers are those of no detections");
	else if (model->left_out > 0)
		frcnn_report(path, "%zu of its records, lines and boxes left out of the numbers", model->left_out);
	return tell_traps(job, path, whole, model->stats[0], err);
}

/* Reads and measures one file. *columns: its detections of report.truth, the caller's to free. */
static int measure_file(struct eval_job *job, const char *path, struct frcnn_report_model *model,
			struct frcnn_eval_detections *columns, struct frcnn_error *err)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	bool selected = job->report.truth == &job->selected;
	struct frcnn_validation *validation = NULL;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_reading reading = {0};
	struct frcnn_eval_detections whole = {0};
	struct frcnn_notices notices = notices_of(job);
	int status = frcnn_validation_new(&job->ground_truth, &job->whole, name, &validation, err);

	model->path = path;
	if (status == 0)
		status = frcnn_eval_read_detections(path, stdin, name, job->pycocotools, validation, &collector,
						    job->pool, &notices, &reading, err);
	if (status < 0)
		goto out;
	model->model = reading.model;
	model->images = reading.records;
	model->left_out = reading.failed;
	status = frcnn_eval_detections_make(&collector, &job->whole, job->pool, &whole, err);
	if (status == 0 && selected)
		status = frcnn_eval_detections_select(&whole, &job->whole, job->keep, job->agnostic, columns, err);
	if (status == 0)
		status =
		    frcnn_report_measure(&job->report, selected ? columns : &whole, job->what, job->pool, model, err);
	if (status == 0)
		status = tell_findings(job, validation, name, &whole, model, err);
	if (status == 0 && strcmp(path, "-") != 0)
		status = digest(job, path, model->sha256, err);
	if (status == 0 && !selected) {
		*columns = whole;
		memset(&whole, 0, sizeof whole);
	}
out:
	frcnn_validation_free(validation);
	frcnn_eval_collector_free(&collector);
	frcnn_eval_detections_free(&whole);
	return status;
}

/* ---- all of them
 * -------------------------------------------------------------------------------------------------------- */

/* One that cannot be read is trouble; the numbers of the others come all the same. */
int eval_measure_baseline(struct eval_job *job, struct frcnn_error *err)
{
	int status;

	if (!job->baseline_path)
		return 0;
	job->report.baseline = frcnn_calloc(1, sizeof *job->report.baseline);
	if (!job->report.baseline)
		return frcnn_fail_nomem(err);
	status = measure_file(job, job->baseline_path, job->report.baseline, &job->baseline, err);
	if (status < 0 && status != FRCNN_ENOMEM) {
		note(job, FRCNN_NOTICE_ERROR, err->message);
		frcnn_report_drop_baseline(&job->report);
		status = 0;
	}
	return status;
}

/* Several files may hold records of one model, say of two thresholds. */
static void mark_shared_names(struct frcnn_report *report)
{
	for (size_t i = 0; i < report->nmodels; i++) {
		for (size_t j = 0; j < report->nmodels; j++) {
			const char *a = report->models[i].model, *b = report->models[j].model;

			if (i != j && a && b && strcmp(a, b) == 0)
				report->models[i].model_shared = true;
		}
	}
}

/* A file that cannot be read at all is trouble; the others go on. */
int eval_measure_files(struct eval_job *job, char **paths, size_t count, struct frcnn_error *err)
{
	struct frcnn_report *report = &job->report;

	report->models = frcnn_calloc(count, sizeof *report->models);
	if (!report->models)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct frcnn_report_model *model = &report->models[report->nmodels];
		struct frcnn_eval_detections columns = {0};
		int status;

		report->nmodels++;
		status = measure_file(job, paths[i], model, &columns, err);
		if (status == 0 && report->baseline)
			status = frcnn_report_compare(report, &columns, &job->baseline, job->pool, model, err);
		frcnn_eval_detections_free(&columns);
		if (status == FRCNN_ENOMEM)
			return status;
		if (status < 0) {
			note(job, FRCNN_NOTICE_ERROR, err->message);
			frcnn_report_drop_model(report);
		}
	}
	mark_shared_names(report);
	return 0;
}
