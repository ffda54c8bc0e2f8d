/* The run: calibrate, write beside OUT, measure what was written, judge, and only then let it be OUT. */
#include "quantize/job.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESAMPLES 1000
#define SEED      1

void quantize_warn(struct quantize_job *job, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	frcnn_warn(NULL, "%s", text);
	/* Lack of memory only loses it in the report. */
	frcnn_list_add(&job->warnings, text, strlen(text), NULL);
}

/* ---- a run that is killed leaves no half model ------------------------------------------------------------------ */

static const char *volatile unfinished; /* the file that is OUT one day */

static void give_up(int number)
{
	if (unfinished)
		unlink(unfinished);
	signal(number, SIG_DFL);
	raise(number);
}

static void watch_signals(const char *path)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = path ? give_up : SIG_DFL}, before;

	unfinished = path;
	for (size_t i = 0; i < FRCNN_COUNT(numbers); i++) {
		/* What the caller ignores stays ignored. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static bool is_file(const char *path, const struct stat *file)
{
	struct stat info;

	return path && stat(path, &info) == 0 && info.st_dev == file->st_dev && info.st_ino == file->st_ino;
}

/* What is written may replace any file but one that this run reads. */
static int check_output(const struct quantize_job *job, const char *option, const char *path, struct frcnn_error *err)
{
	const char *others[] = {job->model_path, job->labels_path, job->truth_path, job->measure_truth_path,
				job->plan_path};
	const struct frcnn_inputs *inputs[] = {&job->inputs, &job->measure_inputs};
	struct stat file;

	if (!path || stat(path, &file) < 0 || !S_ISREG(file.st_mode))
		return 0;
	for (size_t i = 0; i < FRCNN_COUNT(others); i++) {
		if (is_file(others[i], &file))
			return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is read by this run", option, path);
	}
	for (size_t k = 0; k < FRCNN_COUNT(inputs); k++) {
		for (size_t i = 0; i < inputs[k]->count; i++) {
			if (is_file(inputs[k]->items[i].path, &file))
				return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is the input %s", option, path,
						  inputs[k]->items[i].path);
		}
	}
	return 0;
}

/* What cannot be written is found out before hours of work. */
static int open_output(struct quantize_job *job, struct frcnn_error *err)
{
	int status = check_output(job, "-o", job->output_path, err);

	if (status == 0)
		status = check_output(job, "--write-plan", job->write_plan_path, err);
	if (status == 0)
		status = frcnn_output_open(job->output_path, &job->output, err);
	if (status == 0 && !job->output.part)
		status = frcnn_fail(err, FRCNN_EINVAL, "-o %s: not a regular file, and what is written is opened again",
				    job->output_path);
	if (status == 0)
		watch_signals(job->output.part);
	return status;
}

static int64_t size_of(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

/* ---- models ---------------------------------------------------------------------------------------------------- */

static int open_model(struct quantize_job *job, struct frcnn_error *err)
{
	struct frcnn_model_options own;
	float mean[3], std[3];
	int status;

	frcnn_model_options_init(&own);
	own.arch = job->arch;
	own.weights_key = job->weights_key;
	own.anchor_sizes = job->anchor_sizes;
	own.aspect_ratios = job->aspect_ratios;
	if (job->anchors) {
		const char *semicolon = strchr(job->anchors, ';');

		job->sizes = frcnn_strndup(job->anchors, (size_t)(semicolon - job->anchors));
		if (!job->sizes)
			return frcnn_fail_nomem(err);
		own.anchor_sizes = job->sizes;
		own.aspect_ratios = semicolon + 1;
	}
	for (int i = 0; i < 3; i++) {
		mean[i] = (float)job->mean.values[i];
		std[i] = (float)job->std.values[i];
	}
	own.mean = job->mean.count ? mean : NULL;
	own.std = job->std.count ? std : NULL;
	own.bn_eps = job->bn_eps;
	own.min_size = job->min_size;
	own.max_size = job->max_size;
	if (job->labels_path) {
		status = frcnn_labels_read(job->labels_path, &job->labels, err);
		if (status < 0)
			return status;
		own.labels = (const char *const *)job->labels.names;
		own.nlabels = job->labels.count;
	}
	status = frcnn_model_open(job->model_path, &own, &job->model, err);
	if (status == 0 && job->model->checkpoint.note)
		frcnn_warn(job->model_path, "%s", job->model->checkpoint.note);
	return status;
}

void quantize_detector_options(const struct quantize_job *job, struct frcnn_detector_options *out)
{
	frcnn_detector_options_init(out);
	out->cpu = job->cpu;
	out->threads = job->threads;
}

int quantize_make_detector(const struct quantize_job *job, const struct frcnn_model *model, const char *path,
			   struct frcnn_detector **out, struct frcnn_error *err)
{
	struct frcnn_detector_options own;
	struct frcnn_error why;
	int status;

	quantize_detector_options(job, &own);
	status = frcnn_detector_new(model, &own, out, &why);
	if (status == FRCNN_EFORMAT)
		return frcnn_fail(err, status, "%s: %s", path, why.message);
	return status < 0 ? frcnn_fail(err, status, "%s", why.message) : 0;
}

/* ---- pictures -------------------------------------------------------------------------------------------------- */

int quantize_take_picture(struct quantize_job *job, struct quantize_image *image, struct frcnn_decoded *out,
			  struct frcnn_error *err)
{
	const struct frcnn_image_options options = {.exif = job->exif, .max_pixels = job->max_pixels};
	const struct frcnn_input *input = image->input;

	memset(out, 0, sizeof *out);
	if (image->failed)
		return 0;
	frcnn_decode(input, &options, NULL, NULL, out);
	if (out->status == FRCNN_ENOMEM)
		return frcnn_fail_nomem(err);
	if (out->status < 0) {
		frcnn_report(NULL, "%s", out->err.message);
		image->failed = true;
		job->failed++;
		return 0;
	}
	if (image->seen)
		return 1;
	if (out->image.warning[0])
		frcnn_warn(input->path, "%s", out->image.warning);
	if (input->width > 0 && input->height > 0 &&
	    (input->width != out->image.width || input->height != out->image.height))
		frcnn_warn(input->path, "%d x %d pixels, but the ground truth says %d x %d", out->image.width,
			   out->image.height, input->width, input->height);
	quantize_look(image, &out->image);
	return 1;
}

void quantize_leave_out(struct quantize_job *job, struct quantize_image *image, const struct frcnn_error *why)
{
	frcnn_report(image->input->path, "%s", why->message);
	image->failed = true;
	job->failed++;
}

static int calibrate(struct quantize_job *job, struct frcnn_calibration *calibration, struct frcnn_error *err)
{
	struct quantize_set *set = &job->sets[QUANTIZE_CALIBRATION];
	size_t used = 0, done = 0;
	int status = 0;

	for (int pass = 0; pass < 2; pass++) {
		used = 0;
		if (pass == 1)
			status = frcnn_calibration_next(calibration, err);
		for (size_t i = 0; i < set->count && status == 0; i++) {
			struct quantize_image *image = &set->images[i];
			struct frcnn_transform_size size;
			struct frcnn_decoded decoded;
			int there = quantize_take_picture(job, image, &decoded, err);

			if (there > 0 && frcnn_transform_size(decoded.image.width, decoded.image.height,
							      job->model->description.min_size,
							      job->model->description.max_size, &size, err) < 0) {
				quantize_leave_out(job, image, err);
				there = 0;
			}
			status = there < 0 ? there : 0;
			if (there > 0) {
				status = frcnn_calibration_add(calibration, &decoded.image, NULL, err);
				used++;
			}
			frcnn_image_free(&decoded.image);
			frcnn_progress_update(++done);
		}
		if (status < 0)
			return status;
		if (used == 0)
			return frcnn_fail(err, FRCNN_EINVAL, "no image could be calibrated with");
	}
	return 0;
}

/* ---- what is written ------------------------------------------------------------------------------------------- */

static void put_text(struct frcnn_json_writer *json, const char *key, const char *text)
{
	struct frcnn_buffer escaped = {0};

	/* Options may hold names of files. */
	frcnn_escape_bytes(&escaped, text, strlen(text));
	frcnn_json_key(json, key);
	frcnn_json_put_string(json, escaped.data ? escaped.data : "", escaped.size);
	json->out->failed |= escaped.failed;
	frcnn_buffer_free(&escaped);
}

/* Everything that the bytes depend on: none of the order of operands, threads, paths or time. */
static int describe(const struct quantize_job *job, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_json_writer json = {.out = out};
	struct frcnn_buffer options = {0};
	char *line, *rest;

	frcnn_opt_describe(job->program, &options);
	frcnn_json_begin_object(&json);
	put_text(&json, "program", job->program->name);
	put_text(&json, "version", frcnn_version());
	put_text(&json, "source", frcnn_model_id(job->model));
	put_text(&json, "source_sha256", job->model->checkpoint.sha256);
	put_text(&json, "cpu", frcnn_detector_cpu(job->detector));
	put_text(&json, "observer", frcnn_quant_observer_name((enum frcnn_quant_observer)job->observer));
	if (job->plan_path)
		put_text(&json, "plan_sha256", job->plan_sha256);
	frcnn_json_key(&json, "options");
	frcnn_json_begin_object(&json);
	for (line = options.data; line && *line; line = rest) {
		char *equals = strchr(line, '=');

		rest = line + strcspn(line, "\n");
		if (*rest)
			*rest++ = '\0';
		if (!equals)
			continue;
		*equals = '\0';
		put_text(&json, line, equals + 1);
	}
	frcnn_json_end_object(&json);
	frcnn_json_key(&json, "sets");
	frcnn_json_begin_object(&json);
	for (int i = 0; i < QUANTIZE_SETS; i++) {
		frcnn_json_key(&json, job->sets[i].name);
		frcnn_json_begin_object(&json);
		frcnn_json_key(&json, "images");
		frcnn_json_put_int64(&json, (int64_t)job->sets[i].count);
		put_text(&json, "sha256", job->sets[i].sha256);
		frcnn_json_end_object(&json);
	}
	frcnn_json_end_object(&json);
	frcnn_json_end_object(&json);
	out->failed |= options.failed;
	frcnn_buffer_free(&options);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* From pictures to the file beside OUT. */
static int quantize(struct quantize_job *job, struct frcnn_error *err)
{
	struct frcnn_calibration *calibration = NULL;
	struct frcnn_quantizer *quantizer = NULL;
	struct frcnn_buffer provenance = {0};
	int status = frcnn_calibration_new(job->model, job->detector, &calibration, err);

	frcnn_progress_start(2 * job->sets[QUANTIZE_CALIBRATION].count, 0, job->progress);
	if (status == 0)
		status = calibrate(job, calibration, err);
	frcnn_progress_end();
	if (status == 0)
		status =
		    frcnn_calibration_choose(calibration, (enum frcnn_quant_observer)job->observer, &job->plan, err);
	if (status == 0)
		status = frcnn_calibration_warnings(calibration, &job->plan, &job->quant_warnings,
						    &job->nquant_warnings, err);
	for (size_t i = 0; i < job->nquant_warnings && status == 0; i++)
		frcnn_warn(NULL, "%s", job->quant_warnings[i].text);
	if (status == 0)
		status = frcnn_quantizer_new(job->model, calibration, &job->plan, job->pool, &quantizer, err);
	if (status == 0)
		status = quantize_search(job, quantizer, err);
	if (status == 0 && job->write_plan_path)
		status = quantize_write_plan(job, err);
	if (status == 0)
		status = describe(job, &provenance, err);
	if (status == 0)
		status = frcnn_quant_write(job->output.part, quantizer, &job->plan, provenance.data, err);
	frcnn_buffer_free(&provenance);
	frcnn_quantizer_free(quantizer);
	frcnn_calibration_free(calibration);
	return status;
}

/* ---- what it cost ---------------------------------------------------------------------------------------------- */

static int detect(struct frcnn_detector *detector, const struct frcnn_image *picture, struct frcnn_samples *seconds,
		  struct frcnn_detections *out, struct frcnn_error *err)
{
	double began = frcnn_seconds();
	int status = frcnn_detect(detector, picture, out, err);

	if (status == 0 && frcnn_samples_add(seconds, frcnn_seconds() - began) < 0)
		status = frcnn_fail_nomem(err);
	return status;
}

/* Both models on one picture, in turns first: what the machine does beside them falls on both. */
static int compare_one(struct quantize_job *job, struct frcnn_detector *int8, size_t i, struct frcnn_error *err)
{
	struct quantize_image *image = &job->sets[QUANTIZE_REPORT].images[i];
	struct frcnn_detector *detectors[2] = {job->detector, int8};
	struct frcnn_detections found[2] = {{0}, {0}};
	struct frcnn_decoded decoded;
	int status = quantize_take_picture(job, image, &decoded, err);
	bool first = job->seconds[0].count == 0 && job->seconds[1].count == 0;

	if (status <= 0)
		goto out;
	status = 0;
	for (int k = 0; k < 2 && first && status == 0; k++) {
		/* the first image pays for memory and plans: it is seen twice, once without the clock */
		status = frcnn_detect(detectors[k], &decoded.image, &found[k], err);
		frcnn_detections_free(&found[k]);
	}
	for (int turn = 0; turn < 2 && status == 0; turn++) {
		size_t k = (i + (size_t)turn) % 2;

		status = detect(detectors[k], &decoded.image, &job->seconds[k], &found[k], err);
	}
	if (status == FRCNN_EINVAL) {
		quantize_leave_out(job, image, err);
		status = 0;
		goto out;
	}
	if (status == 0)
		status = frcnn_cost_add(job->cost, i, &found[0], &found[1], err);
out:
	frcnn_detections_free(&found[0]);
	frcnn_detections_free(&found[1]);
	frcnn_image_free(&decoded.image);
	return status;
}

static int measure(struct quantize_job *job, struct frcnn_error *err)
{
	struct quantize_set *set = &job->sets[QUANTIZE_REPORT];
	struct frcnn_model *model = NULL;
	struct frcnn_detector *int8 = NULL;
	size_t *truth = frcnn_calloc(set->count, sizeof *truth);
	int status = truth ? frcnn_model_open(job->output.part, NULL, &model, err) : frcnn_fail_nomem(err);

	if (status == 0)
		status = quantize_make_detector(job, model, job->output.part, &int8, err);
	if (status < 0 || set->count == 0)
		goto out;
	for (size_t i = 0; i < set->count; i++)
		truth[i] = set->images[i].truth;
	status = frcnn_cost_new(job->model, job->has_truth ? &job->truth : NULL,
				job->measure_truth_path ? job->measure_truth_path : job->truth_path, truth, set->count,
				&job->cost, err);
	frcnn_progress_start(set->count, 0, job->progress);
	for (size_t i = 0; i < set->count && status == 0; i++) {
		status = compare_one(job, int8, i, err);
		frcnn_progress_update(i + 1);
	}
	frcnn_progress_end();
	if (status == 0)
		status = frcnn_cost_finish(job->cost, RESAMPLES, SEED, job->pool, &job->report, err);
	if (status < 0)
		goto out;
	job->report->gates = job->gates.items;
	job->report->ngates = job->gates.count;
	for (size_t i = 0; i < job->report->nwarnings; i++)
		quantize_warn(job, "%s", job->report->warnings[i]);
	quantize_compare_looks(job);
out:
	frcnn_detector_free(int8);
	frcnn_model_close(model);
	free(truth);
	return status;
}

static void tell_gates(const struct frcnn_report *report)
{
	for (size_t i = 0; i < report->nresults; i++) {
		const struct frcnn_gate_result *result = &report->results[i];

		if (result->verdict == FRCNN_GATE_HOLDS)
			frcnn_say("gate holds: %s", result->message);
		else if (result->verdict == FRCNN_GATE_FAILED)
			frcnn_report(NULL, "gate failed: %s", result->message);
		else if (result->verdict == FRCNN_GATE_TROUBLE)
			frcnn_report(NULL, "gate: %s", result->message);
	}
	if (report->nresults > 0 && report->results[0].verdict == FRCNN_GATE_NOT_JUDGED)
		frcnn_report(NULL, "no gate is judged: something was left out");
}

static int finish(struct quantize_job *job, int *end, struct frcnn_error *err)
{
	struct frcnn_buffer text = {0};
	int status = 0;

	*end = job->failed > 0 ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	job->bytes[0] = size_of(job->model_path);
	job->bytes[1] = size_of(job->output.part);
	if (job->report) {
		job->report->status = *end;
		status = frcnn_gates_judge(job->report, false, err);
		*end = job->report->status;
	}
	if (status == 0 && (*end == FRCNN_EXIT_OK || job->gates.count == 0)) {
		watch_signals(NULL);
		status = frcnn_output_commit(&job->output, err);
		job->written = status == 0;
	}
	if (status == 0)
		status = quantize_show(job, *end, &text, err);
	if (status == 0) {
		fwrite(text.data, 1, text.size, stdout);
		fflush(stdout); /* before the lines on the gates; what is lost shows when it is closed */
	}
	frcnn_buffer_free(&text);
	if (job->report)
		tell_gates(job->report);
	if (status == 0 && !job->written)
		frcnn_report(NULL, "no model is written");
	return status;
}

int quantize_run(struct quantize_job *job)
{
	struct frcnn_error err;
	int end = FRCNN_EXIT_TROUBLE, status = open_model(job, &err);

	if (status == 0)
		status = quantize_make_plan(job, &err);
	if (status == 0)
		status = quantize_make_detector(job, job->model, job->model_path, &job->detector, &err);
	if (status == 0)
		status = open_output(job, &err);
	if (status < 0)
		goto out;
	frcnn_say("model %s (%s), kernels %s", frcnn_model_id(job->model), frcnn_model_architecture(job->model),
		  frcnn_detector_cpu(job->detector));
	status = quantize(job, &err);
	if (status == 0)
		status = measure(job, &err);
	if (status == 0)
		status = finish(job, &end, &err);
out:
	if (status < 0) {
		frcnn_report(NULL, "%s", err.message);
		end = FRCNN_EXIT_TROUBLE;
	}
	frcnn_output_abort(&job->output);
	watch_signals(NULL);
	return end;
}

void quantize_job_free(struct quantize_job *job)
{
	frcnn_cost_free(job->cost);
	frcnn_output_abort(&job->output);
	frcnn_quant_plan_free(&job->plan);
	frcnn_detector_free(job->detector);
	frcnn_model_close(job->model);
	frcnn_labels_free(&job->labels);
	frcnn_pool_free(job->pool);
	frcnn_ground_truth_free(&job->truth);
	frcnn_ground_truth_free(&job->own_search_truth);
	frcnn_quant_trail_free(&job->trail);
	free(job->locked);
	free(job->pool_images);
	free(job->measure_images);
	free(job->quant_warnings);
	free(job->sizes);
	frcnn_list_free(&job->warnings);
	frcnn_list_free(&job->keep_float);
	eval_gates_free(&job->gates);
	for (int i = 0; i < 2; i++)
		frcnn_samples_free(&job->seconds[i]);
	frcnn_inputs_free(&job->inputs);
	frcnn_inputs_free(&job->measure_inputs);
}
