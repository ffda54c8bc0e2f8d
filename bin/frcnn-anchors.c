/* frcnn-anchors - do the anchors fit the ground truth, and which would. */
#include "anchors/anchors.h"
#include "cli/cli.h"
#include "image/image.h"

#include <unistd.h>

struct job {
	/* options */
	const char *truth_path, *labels_path, *image_root, *model_path, *arch, *anchors, *anchor_sizes, *aspect_ratios,
	    *proposals_path, *output, *report_path;
	int min_size, max_size, objective, fit_sizes, fit_ratios, steps, resamples, format, threads;
	bool fit, per_level;
	double reach;
	int64_t seed;

	struct frcnn_pool *pool;
	struct frcnn_labels labels;
	struct frcnn_ground_truth truth;
	struct frcnn_model *model;
	struct frcnn_anchor_report report;
	bool trouble;
};

static struct job job = {.reach = 0.3, .seed = 1, .resamples = 1000, .steps = 1000};

static struct frcnn_opt options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Ground truth"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'g',
     .name = "gt",
     .argument = "PATH",
     .value = &job.truth_path,
     .help = "COCO JSON, or a folder of VOC .xml or YOLO .txt files"},
    {.type = FRCNN_OPT_TEXT,
     .name = "labels",
     .argument = "FILE",
     .value = &job.labels_path,
     .help = "names of the classes of VOC or YOLO, a line each; line 1 is category id 1"},
    {.type = FRCNN_OPT_TEXT,
     .name = "image-root",
     .argument = "DIR",
     .value = &job.image_root,
     .help = "where the images are, for the sizes that the ground truth does not state"},
    {.type = FRCNN_OPT_GROUP, .help = "Anchors"},
    {.type = FRCNN_OPT_TEXT,
     .name = "model",
     .argument = "FILE",
     .value = &job.model_path,
     .help = "levels, anchors and resize limits of this model [torchvision's ResNet-FPN defaults]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "arch",
     .argument = "NAME",
     .value = &job.arch,
     .help = "the model's architecture, where its tensors leave that open"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchors",
     .argument = "SIZES;RATIOS",
     .value = &job.anchors,
     .help = "sizes and aspect ratios in one word [32,64,128,256,512;0.5,1,2]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchor-sizes",
     .argument = "LIST",
     .value = &job.anchor_sizes,
     .help = "\"32,64,128,256,512\": ',' between levels, '+' between sizes of one level"},
    {.type = FRCNN_OPT_TEXT,
     .name = "aspect-ratios",
     .argument = "LIST",
     .value = &job.aspect_ratios,
     .help = "height / width, \"0.5,1,2\" for all levels, '/' between levels where they differ"},
    {.type = FRCNN_OPT_INT,
     .name = "min-size",
     .argument = "N",
     .value = &job.min_size,
     .min = 1,
     .max = 65536,
     .help = "resize limit of the shorter side [the model's, else 800]"},
    {.type = FRCNN_OPT_INT,
     .name = "max-size",
     .argument = "N",
     .value = &job.max_size,
     .min = 1,
     .max = 65536,
     .help = "resize limit of the longer side [the model's, else 1333]"},
    {.type = FRCNN_OPT_REAL,
     .name = "reach",
     .argument = "IOU",
     .value = &job.reach,
     .min = 0,
     .max = 1,
     .help = "list the objects whose best anchor is below this IoU [0.3]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "proposals",
     .argument = "FILE",
     .value = &job.proposals_path,
     .help = "measure these proposals too: records of frcnn-detect --proposals; - is standard input"},
    {.type = FRCNN_OPT_GROUP, .help = "Fitting"},
    {.type = FRCNN_OPT_FLAG,
     .name = "fit",
     .value = &job.fit,
     .help = "search for anchors that fit, and say what they gain on images held out"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "objective",
     .argument = "mean-iou|recall|assigned",
     .value = &job.objective,
     .help = "what to raise: mean best IoU, best possible recall at IoU 0.7, or the share of objects that a positive "
	     "anchor is matched to [mean-iou]"},
    {.type = FRCNN_OPT_INT,
     .name = "fit-sizes",
     .argument = "N",
     .value = &job.fit_sizes,
     .min = 1,
     .max = FRCNN_MAX_ANCHORS,
     .help = "sizes of a level [as many as the given anchors have]"},
    {.type = FRCNN_OPT_INT,
     .name = "fit-ratios",
     .argument = "N",
     .value = &job.fit_ratios,
     .min = 1,
     .max = FRCNN_MAX_ANCHORS,
     .help = "aspect ratios of a level [as many as the given anchors have]"},
    {.type = FRCNN_OPT_FLAG,
     .name = "per-level",
     .value = &job.per_level,
     .help = "give each level aspect ratios of its own"},
    {.type = FRCNN_OPT_INT,
     .name = "steps",
     .argument = "N",
     .value = &job.steps,
     .min = 0,
     .max = 1000000,
     .help = "changes tried from each start [1000; 200 for assigned]"},
    {.type = FRCNN_OPT_INT,
     .name = "resamples",
     .argument = "N",
     .value = &job.resamples,
     .min = 10,
     .max = 1000000,
     .help = "samples of the held-out images for the gain's 95% interval [1000]"},
    {.type = FRCNN_OPT_INT64,
     .name = "seed",
     .argument = "N",
     .value = &job.seed,
     .min = 0,
     .max = 9007199254740992.0,
     .help = "of the halves, the search and those samples [1]"},
    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "format",
     .argument = "text|json",
     .value = &job.format,
     .help = "form of the numbers [text]"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'o',
     .name = "output",
     .argument = "FILE",
     .value = &job.output,
     .help = "write the numbers here [standard output]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "report",
     .argument = "FILE",
     .value = &job.report_path,
     .help = "write one HTML page with boxes, anchors and recall curves"},
    {.type = FRCNN_OPT_GROUP, .help = "Running"},
    {.type = FRCNN_OPT_INT,
     .letter = 'j',
     .name = "jobs",
     .argument = "N",
     .value = &job.threads,
     .min = 0,
     .max = 1024,
     .help = "threads; 0: all usable cores [0]"},
    {.type = FRCNN_OPT_GROUP, .help = "Common"},
    FRCNN_OPT_COMMON,
    {0}};

static const struct frcnn_program program = {
    .name = "frcnn-anchors",
    .synopsis = "-g PATH [option ...]",
    .summary = "Tells how well anchors fit a ground truth under the RPN's own assignment, and searches for better "
	       "ones.",
    .options = options,
};

static bool given(const char *name)
{
	return frcnn_opt_given(&program, name);
}

static void note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	(void)context;
	if (kind == FRCNN_NOTICE_ERROR) {
		job.trouble = true;
		frcnn_report(NULL, "%s", line);
	} else {
		frcnn_warn(NULL, "%s", line);
	}
}

static const struct frcnn_notices notices = {.note = note};

/* -1: go on; else the exit status after a usage error. */
static int check_options(int operands, char **names)
{
	static const char *const of_fit[] = {"objective", "fit-sizes", "fit-ratios", "per-level",
					     "steps",     "resamples", "seed"};

	if (!job.truth_path)
		return frcnn_usage("no ground truth given (-g PATH)");
	if (operands > 0)
		return frcnn_usage("\"%s\": no operands are taken", names[0]);
	if (job.arch && !job.model_path)
		return frcnn_usage("--arch needs --model");
	if (job.anchors && (job.anchor_sizes || job.aspect_ratios))
		return frcnn_usage("--anchors does not go with --anchor-sizes or --aspect-ratios");
	if (job.anchors && (!strchr(job.anchors, ';') || strchr(strchr(job.anchors, ';') + 1, ';')))
		return frcnn_usage("--anchors: \"%s\" is not of the form SIZES;RATIOS", job.anchors);
	if (job.report_path &&
	    (strcmp(job.report_path, "-") == 0 || (job.output && strcmp(job.report_path, job.output) == 0)))
		return frcnn_usage("--report needs a file of its own, not \"%s\"", job.report_path);
	if (job.proposals_path && strcmp(job.proposals_path, "-") == 0 && isatty(STDIN_FILENO))
		return frcnn_usage("--proposals: standard input is a terminal");
	for (size_t i = 0; i < FRCNN_COUNT(of_fit); i++)
		if (!job.fit && given(of_fit[i]))
			return frcnn_usage("--%s needs --fit", of_fit[i]);
	return -1;
}

/* ---- anchors --------------------------------------------------------------------------------- */

static int from_model(const char *sizes, const char *ratios, struct frcnn_error *err)
{
	struct frcnn_model_options o;
	int status;

	frcnn_model_options_init(&o);
	o.arch = job.arch;
	o.anchor_sizes = sizes;
	o.aspect_ratios = ratios;
	o.min_size = job.min_size;
	o.max_size = job.max_size;
	status = frcnn_model_open(job.model_path, &o, &job.model, err);
	if (status < 0)
		return status;
	frcnn_anchor_config_of(&job.model->description, &job.report.config);
	job.report.model = frcnn_model_id(job.model);
	return 0;
}

static int from_defaults(const char *sizes, const char *ratios, struct frcnn_error *err)
{
	struct frcnn_anchor_config *config = &job.report.config;
	struct frcnn_error reason = {0};
	int status;

	frcnn_anchor_config_default(config);
	config->min_size = job.min_size ? job.min_size : config->min_size;
	config->max_size = job.max_size ? job.max_size : config->max_size;
	status = frcnn_anchor_levels_parse(sizes, ratios, config->levels, config->nlevels, &reason);
	if (status == 0)
		status = frcnn_anchor_config_check(config, &reason);
	if (status < 0)
		return frcnn_fail(err, status, "%s%s", reason.message,
				  strstr(reason.message, "the model has") ? " (other levels: give --model)" : "");
	return 0;
}

static int configure(struct frcnn_error *err)
{
	const char *sizes = job.anchor_sizes, *ratios = job.aspect_ratios, *semicolon;
	char *first = NULL;
	int status;

	if (job.anchors) {
		semicolon = strchr(job.anchors, ';');
		first = frcnn_strndup(job.anchors, (size_t)(semicolon - job.anchors));
		if (!first)
			return frcnn_fail_nomem(err);
		sizes = first;
		ratios = semicolon + 1;
	}
	status = job.model_path ? from_model(sizes, ratios, err) : from_defaults(sizes, ratios, err);
	free(first);
	return status;
}

/* ---- ground truth ---------------------------------------------------------------------------- */

/* Sizes that the ground truth lacks, from the images' headers. */
static int complete_sizes(struct frcnn_error *err)
{
	struct frcnn_ground_truth *truth = &job.truth;
	struct frcnn_buffer path = {0};
	int status = 0;

	for (size_t i = 0; i < truth->nimages && job.image_root; i++) {
		struct frcnn_file file = {0};
		struct frcnn_error reason = {0};

		if ((truth->widths[i] > 0 && truth->heights[i] > 0) || !truth->file_names[i])
			continue;
		frcnn_buffer_clear(&path);
		frcnn_buffer_printf(&path, "%s/%s", job.image_root, truth->file_names[i]);
		if (path.failed) {
			status = frcnn_fail_nomem(err);
			break;
		}
		if (frcnn_file_open(path.data, 0, &file, &reason) < 0)
			note(NULL, FRCNN_NOTICE_ERROR, reason.message);
		else if (frcnn_image_size(file.data, file.size, NULL, &truth->widths[i], &truth->heights[i], &reason) <
			 0) {
			job.trouble = true;
			frcnn_report(path.data, "%s", reason.message);
		}
		frcnn_file_close(&file);
	}
	frcnn_buffer_free(&path);
	return status;
}

static int read_truth(struct frcnn_error *err)
{
	struct frcnn_ground_truth_options from = {.image_root = job.image_root, .image_size = frcnn_image_size};
	const struct frcnn_anchor_findings *nowhere = &job.report.boxes.findings[FRCNN_ANCHOR_NO_SIZE];
	int status = 0;

	if (job.labels_path) {
		status = frcnn_labels_read(job.labels_path, &job.labels, err);
		from.labels = &job.labels;
	}
	if (status == 0)
		status = frcnn_ground_truth_open(job.truth_path, &from, &notices, &job.truth, err);
	if (status == 0)
		status = complete_sizes(err);
	if (status == 0)
		status = frcnn_anchor_boxes_make(&job.truth, job.report.config.min_size, job.report.config.max_size,
						 &job.report.boxes, err);
	if (status < 0)
		return status;
	if (job.labels_path && job.truth.form == FRCNN_TRUTH_COCO)
		frcnn_warn(NULL, "--labels is not used: %s is COCO, which names its classes itself", job.truth_path);
	job.report.truth_path = job.truth_path;
	job.report.truth_errors = job.truth.errors;
	for (size_t i = 0; i < nowhere->count; i++) {
		size_t image = nowhere->items[i].image;
		struct frcnn_buffer name = {0};

		frcnn_anchor_put_image(&job.truth, image, &name);
		job.trouble = true;
		if (job.truth.widths[image] > 0 && job.truth.heights[image] > 0)
			frcnn_report(job.truth_path, "image %s of %d x %d pixels would be resized to nothing: left out",
				     name.data ? name.data : "", job.truth.widths[image], job.truth.heights[image]);
		else
			frcnn_report(job.truth_path, "image %s has no width and height: left out%s",
				     name.data ? name.data : "", job.image_root ? "" : " (--image-root finds them)");
		frcnn_buffer_free(&name);
	}
	return 0;
}

/* Under -v: what is being used. */
static void say_used(void)
{
	const struct frcnn_anchor_config *config = &job.report.config;
	struct frcnn_buffer option = {0};

	frcnn_anchor_put_option(config, &option);
	frcnn_say("anchors %s of %s, resized to %d, at most %d; %d threads", option.data ? option.data : "",
		  job.model ? job.model->description.architecture : "torchvision's ResNet-FPN levels", config->min_size,
		  config->max_size, frcnn_pool_threads(job.pool));
	frcnn_say("%s: %zu images, %zu objects, %zu entries left out", job.truth_path, job.report.boxes.nimages,
		  job.report.boxes.nboxes, job.report.truth_errors);
	frcnn_buffer_free(&option);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int fit(struct frcnn_error *err)
{
	struct frcnn_anchor_fit_options o = {.objective = (enum frcnn_anchor_objective)job.objective,
					     .seed = (uint64_t)job.seed,
					     .nsizes = job.fit_sizes,
					     .nratios = job.fit_ratios,
					     .per_level = job.per_level,
					     .steps = job.steps,
					     .resamples = job.resamples};
	int status;

	if (o.objective == FRCNN_ANCHOR_ASSIGNED && !given("steps"))
		o.steps = 200;
	frcnn_say("fitting for %s, %d changes from each start, seed %lld", frcnn_anchor_objective_names[o.objective],
		  o.steps, (long long)job.seed);
	status = frcnn_anchors_fit(&job.report.boxes, &job.report.config, &o, job.pool, &job.report.fit, err);
	job.report.has_fit = status == 0;
	if (status != FRCNN_EINVAL)
		return status;
	/* too few objects; the numbers without fitting stand all the same */
	note(NULL, FRCNN_NOTICE_ERROR, err->message);
	return 0;
}

static int read_proposals(struct frcnn_error *err)
{
	struct frcnn_anchor_report *report = &job.report;
	int status = frcnn_anchor_proposals_read(job.proposals_path, stdin, &report->boxes, &report->config, &notices,
						 &report->proposals, err);

	report->has_proposals = true;
	if (status == 0 && report->proposals.absent > 0)
		frcnn_warn(strcmp(job.proposals_path, "-") == 0 ? "standard input" : job.proposals_path,
			   "no record for %zu of %zu images", report->proposals.absent, report->boxes.nimages);
	return status;
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

static int write_all(struct frcnn_error *err)
{
	const struct frcnn_anchor_report *report = &job.report;
	struct frcnn_buffer text = {0};
	int status = job.format == 1 ? frcnn_anchor_report_json(report, &text, err)
				     : frcnn_anchor_report_text(report, &text, err);

	if (status == 0) {
		if (job.output && strcmp(job.output, "-") != 0)
			status = write_file(job.output, &text, err);
		else
			frcnn_print(&text);
	}
	if (status == 0 && job.report_path) {
		frcnn_buffer_clear(&text);
		status = frcnn_anchor_report_html(report, &text, err);
		if (status == 0)
			status = write_file(job.report_path, &text, err);
	}
	frcnn_buffer_free(&text);
	return status;
}

static int run(struct frcnn_error *err)
{
	struct frcnn_anchor_report *report = &job.report;
	int status = frcnn_pool_new(job.threads > 0 ? job.threads : frcnn_usable_cores(), &job.pool, err);

	report->reach = job.reach;
	if (status == 0)
		status = configure(err);
	if (status == 0)
		status = read_truth(err);
	if (status == 0) {
		say_used();
		status = frcnn_anchors_assign(&report->boxes, &report->config, job.pool, &report->stats, err);
	}
	if (status == 0)
		status = frcnn_anchor_report_fill(report, err);
	if (status == 0 && job.proposals_path)
		status = read_proposals(err);
	if (status == 0 && job.fit)
		status = fit(err);
	if (status == 0)
		status = write_all(err);
	return status;
}

static void free_job(void)
{
	frcnn_anchor_report_free(&job.report);
	frcnn_ground_truth_free(&job.truth);
	frcnn_labels_free(&job.labels);
	frcnn_model_close(job.model);
	frcnn_pool_free(job.pool);
}

int main(int argc, char **argv)
{
	struct frcnn_error err = {0};
	int operands, result = frcnn_opt_parse(&program, argc, argv, &operands);

	if (result < 0)
		result = check_options(operands, argv + 1);
	if (result >= 0)
		return result;
	if (run(&err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		job.trouble = true;
	}
	free_job();
	result = job.trouble ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	if (frcnn_close_stdout() != FRCNN_EXIT_OK)
		result = FRCNN_EXIT_TROUBLE;
	return result;
}
