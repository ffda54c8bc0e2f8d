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

/* The files that are OUT, report and plan one day, and what OUT's part is written to. */
enum { PART, PART_OF_PART, PAGE, PLAN, UNFINISHED };
static char *volatile unfinished[UNFINISHED];

static void give_up(int number)
{
	for (int i = 0; i < UNFINISHED; i++) {
		if (unfinished[i])
			unlink(unfinished[i]);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void forget(int which)
{
	char *path = unfinished[which];

	unfinished[which] = NULL;
	free(path);
}

static int watch(int which, const char *path, const char *suffix, struct frcnn_error *err)
{
	struct frcnn_buffer name = {0};

	frcnn_buffer_printf(&name, "%s%s", path, suffix);
	if (name.failed)
		return frcnn_fail_nomem(err);
	unfinished[which] = name.data;
	return 0;
}

static void watch_signals(bool on)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on ? give_up : SIG_DFL}, before;

	for (size_t i = 0; i < FRCNN_COUNT(numbers); i++) {
		/* What the caller ignores stays ignored. */
		if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	for (int i = 0; i < UNFINISHED && !on; i++)
		forget(i);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* The length of a name without what is added while a file is written. */
static size_t stem_of(const char *name)
{
	size_t n = strlen(name);

	while (n > 5 && memcmp(name + n - 5, ".part", 5) == 0)
		n -= 5;
	return n;
}

/* One file, or names that become one while they are written, whether there are files yet or not. */
static bool is_same(const char *a, const char *b)
{
	const char *paths[2] = {a, b}, *names[2];
	struct stat folders[2];

	if (frcnn_output_touches(a, b, false) || frcnn_output_touches(b, a, false))
		return true;
	for (int i = 0; i < 2; i++) {
		const char *slash = strrchr(paths[i], '/');
		char *folder = slash ? frcnn_strndup(paths[i], (size_t)(slash + 1 - paths[i])) : NULL;
		bool there = stat(folder ? folder : ".", &folders[i]) == 0;

		free(folder);
		if (!there)
			return false; /* it will be refused when it is opened */
		names[i] = slash ? slash + 1 : paths[i];
	}
	return stem_of(names[0]) == stem_of(names[1]) && memcmp(names[0], names[1], stem_of(names[0])) == 0 &&
	       folders[0].st_dev == folders[1].st_dev && folders[0].st_ino == folders[1].st_ino;
}

/* What is written may replace any file but one that this run reads. */
static int check_output(const struct quantize_job *job, const char *option, const char *path, struct frcnn_error *err)
{
	const char *others[] = {job->model_path, job->labels_path, job->truth_path, job->measure_truth_path,
				job->plan_path};
	const struct frcnn_inputs *inputs[] = {&job->inputs, &job->measure_inputs};

	if (!path)
		return 0;
	for (size_t i = 0; i < FRCNN_COUNT(others); i++) {
		if (frcnn_output_touches(path, others[i], false))
			return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is read by this run", option, path);
	}
	for (size_t k = 0; k < FRCNN_COUNT(inputs); k++) {
		for (size_t i = 0; i < inputs[k]->count; i++) {
			if (frcnn_output_touches(path, inputs[k]->items[i].path, false))
				return frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is the input %s", option, path,
						  inputs[k]->items[i].path);
		}
	}
	return 0;
}

/* Each output has a place of its own. */
static int check_outputs(const struct quantize_job *job, struct frcnn_error *err)
{
	const struct {
		const char *option, *path;
	} outputs[] = {
	    {"-o", job->output_path}, {"--write-plan", job->write_plan_path}, {"--report", job->report_path}};
	int status = 0;

	for (size_t i = 0; i < FRCNN_COUNT(outputs) && status == 0; i++) {
		status = check_output(job, outputs[i].option, outputs[i].path, err);
		for (size_t j = 0; j < i && status == 0; j++) {
			if (outputs[i].path && outputs[j].path && is_same(outputs[i].path, outputs[j].path))
				status = frcnn_fail(err, FRCNN_EINVAL, "%s %s: that is what %s writes",
						    outputs[i].option, outputs[i].path, outputs[j].option);
		}
	}
	return status;
}

/* What cannot be written is found out before hours of work. */
static int open_output(struct quantize_job *job, struct frcnn_error *err)
{
	struct stat info;
	int status = check_outputs(job, err);

	/* A pipe would be waited for. */
	if (status == 0 && stat(job->output_path, &info) == 0 && !S_ISREG(info.st_mode))
		status = frcnn_fail(err, FRCNN_EINVAL, "-o %s: not a regular file, and what is written is opened again",
				    job->output_path);
	if (status == 0)
		status = frcnn_output_open(job->output_path, &job->output, err);
	if (status == 0)
		status = watch(PART, job->output.part, "", err);
	if (status == 0)
		status = watch(PART_OF_PART, job->output.part, ".part", err);
	if (status == 0)
		watch_signals(true);
	if (status == 0 && job->report_path)
		status = frcnn_output_open(job->report_path, &job->page, err);
	if (status == 0 && job->page.part)
		status = watch(PAGE, job->page.part, "", err);
	if (status == 0 && job->write_plan_path)
		status = frcnn_output_open(job->write_plan_path, &job->plan_file, err);
	if (status == 0 && job->plan_file.part)
		status = watch(PLAN, job->plan_file.part, "", err);
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

int quantize_visit(struct quantize_job *job, int which, size_t most, quantize_visitor *visit, void *context,
		   size_t *done, struct frcnn_error *err)
{
	const struct frcnn_description *description = &job->model->description;
	struct quantize_set *set = &job->sets[which];
	size_t used = 0;
	int status = 0;

	for (size_t i = 0; i < set->count && used < most && status == 0; i++) {
		struct quantize_image *image = &set->images[i];
		struct frcnn_transform_size size;
		struct frcnn_decoded decoded;
		int there = quantize_take_picture(job, image, &decoded, err);

		if (there > 0 && frcnn_transform_size(decoded.image.width, decoded.image.height, description->min_size,
						      description->max_size, &size, err) < 0) {
			quantize_leave_out(job, image, err);
			there = 0;
		}
		status = there < 0 ? there : 0;
		if (there > 0) {
			status = visit(context, &decoded.image, err);
			used++;
		}
		frcnn_image_free(&decoded.image);
		frcnn_progress_update(++*done);
	}
	if (status == 0 && used == 0 && which == QUANTIZE_CALIBRATION)
		status = frcnn_fail(err, FRCNN_EINVAL, "no image could be calibrated with");
	return status;
}

static int add_to_calibration(void *context, const struct frcnn_image *image, struct frcnn_error *err)
{
	return frcnn_calibration_add(context, image, NULL, err);
}

int quantize_calibrate(struct quantize_job *job, struct frcnn_calibration *calibration, size_t most, size_t others,
		       struct frcnn_error *err)
{
	size_t count = job->sets[QUANTIZE_CALIBRATION].count, done = 0;
	int status = 0;

	frcnn_progress_start(2 * (count < most ? count : most) + others, 0, job->progress);
	for (int pass = 0; pass < 2 && status == 0; pass++) {
		status = pass > 0 ? frcnn_calibration_next(calibration, err) : 0;
		if (status == 0)
			status = quantize_visit(job, QUANTIZE_CALIBRATION, most, add_to_calibration, calibration, &done,
						err);
	}
	if (status == 0 && others > 0)
		status = frcnn_calibration_next(calibration, err);
	if (status == 0 && others > 0)
		status = quantize_visit(job, QUANTIZE_SEARCH, others, add_to_calibration, calibration, &done, err);
	frcnn_progress_end();
	return status;
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

/* As they would be given: "min found=0.95". */
static void describe_gates(const struct quantize_job *job, struct frcnn_json_writer *json)
{
	static const char *const kinds[] = {
	    [FRCNN_GATE_MIN] = "min", [FRCNN_GATE_MAX] = "max", [FRCNN_GATE_MAX_DROP] = "max-drop"};
	struct frcnn_buffer text = {0};
	char bound[32];

	frcnn_json_key(json, "gates");
	frcnn_json_begin_array(json);
	for (size_t i = 0; i < job->gates.count; i++) {
		const struct frcnn_gate *gate = &job->gates.items[i];

		frcnn_buffer_clear(&text);
		frcnn_buffer_printf(&text, "%s ", kinds[gate->kind]);
		frcnn_escape_bytes(&text, gate->metric, strlen(gate->metric));
		frcnn_buffer_printf(&text, "=%.*s", (int)frcnn_format_double(gate->bound, bound), bound);
		frcnn_json_put_string(json, text.data ? text.data : "", text.size);
		json->out->failed |= text.failed;
	}
	frcnn_json_end_array(json);
	frcnn_buffer_free(&text);
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
	frcnn_json_key(&json, "weight_bits");
	frcnn_json_put_int64(&json, job->plan.weight_bits);
	frcnn_json_key(&json, "equalized_channels");
	frcnn_json_put_int64(&json, (int64_t)job->equalization.changed_channels);
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
	if (job->gates.count > 0)
		describe_gates(job, &json);
	if (job->search_truth_sha256[0])
		put_text(&json, "search_truth_sha256", job->search_truth_sha256);
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
	const struct frcnn_model *model = job->model;
	size_t others = quantize_can_search(job) ? job->sets[QUANTIZE_SEARCH].count : 0;
	int status = job->no_equalize ? 0 : quantize_equalize(job, err);

	/* From here on the float model is the equalized one, which computes the same. */
	if (job->equalization.changed_channels > 0)
		model = &job->equalized.model;
	if (status == 0)
		status = frcnn_calibration_new(model, job->detector, &calibration, err);
	if (status == 0)
		status = quantize_calibrate(job, calibration, SIZE_MAX, others, err);
	if (calibration)
		frcnn_calibration_end(calibration);
	if (status == 0)
		status =
		    frcnn_calibration_choose(calibration, (enum frcnn_quant_observer)job->observer, &job->plan, err);
	if (status == 0)
		status = frcnn_calibration_warnings(calibration, &job->plan, &job->quant_warnings,
						    &job->nquant_warnings, err);
	for (size_t i = 0; i < job->nquant_warnings && status == 0; i++)
		frcnn_warn(NULL, "%s", job->quant_warnings[i].text);
	if (status == 0)
		status = frcnn_quantizer_new(model, calibration, &job->plan, job->pool, &quantizer, err);
	if (status == 0 && job->adaround)
		status = quantize_round(job, model, calibration, quantizer, err);
	if (status == 0)
		status = quantize_search(job, quantizer, err);
	if (status == 0 && job->write_plan_path) {
		status = quantize_write_plan(job, err);
		forget(PLAN);
	}
	if (status == 0)
		status = describe(job, &provenance, err);
	if (status == 0)
		status = frcnn_quant_write(job->output.part, quantizer, &job->plan, provenance.data, err);
	frcnn_buffer_free(&provenance);
	frcnn_quantizer_free(quantizer);
	frcnn_calibration_free(calibration);
	if (status == 0)
		status = quantize_forget_equalized(job, err);
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

int quantize_new_cost(const struct quantize_job *job, struct frcnn_cost **out, struct frcnn_error *err)
{
	const struct quantize_set *set = &job->sets[QUANTIZE_REPORT];
	size_t *truth = frcnn_calloc(set->count, sizeof *truth);
	int status = truth ? 0 : frcnn_fail_nomem(err);

	for (size_t i = 0; i < set->count && status == 0; i++)
		truth[i] = set->images[i].truth;
	if (status == 0)
		status = frcnn_cost_new(job->model, job->has_truth ? &job->truth : NULL,
					job->measure_truth_path ? job->measure_truth_path : job->truth_path, truth,
					set->count, out, err);
	free(truth);
	return status;
}

static int measure(struct quantize_job *job, struct frcnn_error *err)
{
	struct quantize_set *set = &job->sets[QUANTIZE_REPORT];
	struct frcnn_model *model = NULL;
	struct frcnn_detector *int8 = NULL;
	int status = frcnn_model_open(job->output.part, NULL, &model, err);

	if (status == 0)
		status = quantize_make_detector(job, model, job->output.part, &int8, err);
	if (status < 0 || set->count == 0)
		goto out;
	status = quantize_new_cost(job, &job->cost, err);
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
		status = frcnn_output_commit(&job->output, err);
		forget(PART);
		job->written = status == 0;
	}
	if (status == 0)
		status = quantize_show(job, *end, &text, err);
	if (status == 0)
		frcnn_print(&text);
	frcnn_buffer_clear(&text);
	if (status == 0 && job->report_path) {
		status = quantize_page(job, *end, &text, err);
		if (status == 0) {
			fwrite(text.data, 1, text.size, job->page.stream); /* commit tells of what was lost */
			status = frcnn_output_commit(&job->page, err);
			forget(PAGE);
		}
	}
	frcnn_buffer_free(&text);
	if (job->report)
		tell_gates(job->report);
	if (status == 0 && !job->written)
		frcnn_report(NULL, "no model is written");
	return status;
}

int quantize_open(struct quantize_job *job)
{
	struct frcnn_error err;
	int status = open_model(job, &err);

	if (status == 0)
		status = quantize_make_plan(job, &err);
	if (status == 0)
		return -1;
	frcnn_report(NULL, "%s", err.message);
	return FRCNN_EXIT_TROUBLE;
}

int quantize_run(struct quantize_job *job)
{
	struct frcnn_error err;
	int end = FRCNN_EXIT_TROUBLE, status = open_output(job, &err);

	if (status == 0)
		status = quantize_make_detector(job, job->model, job->model_path, &job->detector, &err);
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
	frcnn_output_abort(&job->page);
	frcnn_output_abort(&job->plan_file);
	watch_signals(false);
	return end;
}

void quantize_job_free(struct quantize_job *job)
{
	frcnn_cost_free(job->cost);
	frcnn_output_abort(&job->output);
	frcnn_output_abort(&job->page);
	frcnn_output_abort(&job->plan_file);
	frcnn_quant_plan_free(&job->plan);
	frcnn_detector_free(job->detector);
	frcnn_quant_model_free(&job->equalized);
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
