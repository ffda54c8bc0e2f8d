/* frcnn-eval - ground truth and detections in, numbers out; and gates on them. */
#include "cli/cli.h"
#include "eval/job.h"

#include <unistd.h>

#define EVERYTHING                                                                                                     \
	(FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_VOC | FRCNN_MEASURE_TIDE | FRCNN_MEASURE_CONFUSION |                    \
	 FRCNN_MEASURE_CALIBRATION)

static struct eval_job job = {
    .voc = -1, .threshold_score = 0.5, .want_precision = -1, .want_recall = -1, .resamples = 1000, .seed = 1};

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
     .help = "where the images of YOLO are, for their sizes [the folder itself]"},
    {.type = FRCNN_OPT_GROUP, .help = "What is evaluated"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "iou",
     .argument = "LIST",
     .value = &job.ious,
     .parse = eval_parse_ious,
     .help = "IoU thresholds, 0.5,0.75 or 0.5:0.95:0.05 [the latter]"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "area",
     .argument = "LIST",
     .value = &job.areas,
     .parse = eval_parse_areas,
     .help = "area ranges in square pixels, closed [small=0:1024,medium=1024:9216,large=9216:]"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "max-dets",
     .argument = "LIST",
     .value = &job.max_dets,
     .parse = eval_parse_max_dets,
     .help = "most detections an image and class; AP is at the last [1,10,100]"},
    {.type = FRCNN_OPT_LIST,
     .name = "classes",
     .argument = "LIST",
     .value = &job.classes,
     .help = "these classes alone, names or category ids"},
    {.type = FRCNN_OPT_FLAG, .name = "agnostic", .value = &job.agnostic, .help = "take all classes as one"},
    {.type = FRCNN_OPT_FLAG,
     .name = "pycocotools",
     .value = &job.pycocotools,
     .help = "give pycocotools' numbers where they are odd too"},
    {.type = FRCNN_OPT_GROUP, .help = "What is told beside COCO's 12 numbers"},
    {.type = FRCNN_OPT_FLAG, .name = "per-class", .value = &job.per_class, .help = "the numbers of each class"},
    {.type = FRCNN_OPT_REAL,
     .name = "threshold-score",
     .argument = "S",
     .value = &job.threshold_score,
     .max = 1,
     .help = "precision, recall and F1 of detections with a score above S [0.5]"},
    {.type = FRCNN_OPT_REAL,
     .name = "want-precision",
     .argument = "P",
     .value = &job.want_precision,
     .max = 1,
     .help = "the score that reaches this precision with the highest recall"},
    {.type = FRCNN_OPT_REAL,
     .name = "want-recall",
     .argument = "R",
     .value = &job.want_recall,
     .max = 1,
     .help = "the score that reaches this recall with the highest precision"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "voc",
     .argument = "11|all",
     .value = &job.voc,
     .help = "Pascal VOC's AP by 11 points or all points, at the one --iou [0.5]"},
    {.type = FRCNN_OPT_FLAG, .name = "tide", .value = &job.tide, .help = "what each of TIDE's six errors costs"},
    {.type = FRCNN_OPT_FLAG, .name = "confusion", .value = &job.confusion, .help = "the confusion matrix"},
    {.type = FRCNN_OPT_FLAG,
     .name = "calibration",
     .value = &job.calibration,
     .help = "expected calibration error and reliability"},
    {.type = FRCNN_OPT_GROUP, .help = "Comparison and gates"},
    {.type = FRCNN_OPT_TEXT,
     .name = "baseline",
     .argument = "FILE",
     .value = &job.baseline_path,
     .help = "detections to compare with"},
    {.type = FRCNN_OPT_INT,
     .name = "resamples",
     .argument = "N",
     .value = &job.resamples,
     .min = 0,
     .max = 1000000,
     .help = "samples of the images for 95% intervals; 0: none [1000]"},
    {.type = FRCNN_OPT_INT64,
     .name = "seed",
     .argument = "N",
     .value = &job.seed,
     .min = 0,
     .max = 9007199254740992.0,
     .help = "of those samples [1]"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "min",
     .argument = "METRIC=V",
     .value = &job.gates,
     .parse = eval_parse_min,
     .help = "a gate: end 1 when the metric (AP, AP50, person:AP, recall.small ...) is below V; may be repeated"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "max-drop",
     .argument = "METRIC=V",
     .value = &job.gates,
     .parse = eval_parse_max_drop,
     .help = "a gate: end 1 when the metric fell by more than V against the baseline; may be repeated"},
    {.type = FRCNN_OPT_FLAG,
     .name = "significant",
     .value = &job.significant,
     .help = "a drop fails only when its whole interval lies beyond V"},
    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "format",
     .argument = "text|json|csv|markdown|junit",
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
     .help = "write one HTML page with everything"},
    {.type = FRCNN_OPT_TEXT,
     .name = "curves",
     .argument = "FILE",
     .value = &job.curves_path,
     .help = "write the points of the precision-recall curves, as CSV, or JSON when FILE ends in .json"},
    {.type = FRCNN_OPT_TEXT,
     .name = "cells",
     .argument = "FILE",
     .value = &job.cells_path,
     .help = "write pycocotools' precision, recall and scores arrays, as safetensors"},
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
    .name = "frcnn-eval",
    .synopsis = "-g PATH [option ...] [detections | -] ...",
    .summary =
	"Measures detections against ground truth: COCO's numbers as pycocotools has them, and more. Several files are "
	"several models.",
    .options = options,
    .gates = true,
};

static bool given(const char *name)
{
	return frcnn_opt_given(&program, name);
}

/* ---- options ------------------------------------------------------------------------------------------------------
 */

/* -1: go on; else the exit status after a usage error. */
static int check_options(int operands, char **names)
{
	int streams = 0;

	if (!job.truth_path)
		return frcnn_usage("no ground truth given (-g PATH)");
	for (int i = 0; i < operands; i++)
		streams += strcmp(names[i], "-") == 0;
	if (streams > 1)
		return frcnn_usage("standard input can be read only once");
	if (operands == 0 && isatty(STDIN_FILENO))
		return frcnn_usage("no detections given, and standard input is a terminal");
	if (job.baseline_path && strcmp(job.baseline_path, "-") == 0)
		return frcnn_usage("--baseline cannot be standard input");
	for (size_t i = 0; i < job.gates.count && !job.baseline_path; i++) {
		if (job.gates.items[i].kind == FRCNN_GATE_MAX_DROP)
			return frcnn_usage("--max-drop needs --baseline");
	}
	if (job.significant && !job.baseline_path)
		return frcnn_usage("--significant needs --baseline");
	if (job.significant && job.resamples == 0)
		return frcnn_usage("--significant does not go with --resamples 0");
	if (!job.baseline_path && (given("resamples") || given("seed")))
		return frcnn_usage("--%s needs --baseline", given("resamples") ? "resamples" : "seed");
	if (job.cells_path && operands > 1)
		return frcnn_usage("--cells takes one file of detections, not %d", operands);
	return -1;
}

/* The metric of a gate without its class. */
static bool gate_on(const char *metric, const char *prefix)
{
	for (size_t i = 0; i < job.gates.count; i++) {
		const char *colon = strrchr(job.gates.items[i].metric, ':');
		const char *name = colon ? colon + 1 : job.gates.items[i].metric;

		if (metric ? strcmp(name, metric) == 0 : strncmp(name, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

/* Only what somebody will see is computed. */
static unsigned what_to_measure(void)
{
	unsigned what = 0;

	if (job.format != FRCNN_REPORT_TEXT || job.per_class || given("threshold-score") || given("want-precision") ||
	    given("want-recall") || gate_on(NULL, "recall") || gate_on("precision", NULL) || gate_on("f1", NULL) ||
	    gate_on("fp_per_image", NULL))
		what |= FRCNN_MEASURE_MATCHES;
	if (job.voc >= 0 || gate_on("mAP", NULL) || gate_on("voc", NULL))
		what |= FRCNN_MEASURE_VOC;
	if (job.tide)
		what |= FRCNN_MEASURE_TIDE;
	if (job.confusion)
		what |= FRCNN_MEASURE_CONFUSION;
	if (job.calibration || gate_on("ece", NULL) || gate_on("mce", NULL))
		what |= FRCNN_MEASURE_CALIBRATION;
	if (job.report_path) {
		job.report.hidden = EVERYTHING & ~what;
		what = EVERYTHING;
	}
	return what;
}

static void set_options(void)
{
	struct frcnn_report *report = &job.report;
	struct frcnn_eval_options *o = &report->options;

	frcnn_eval_options_init(o);
	if (job.ious.count > 0) {
		o->nious = job.ious.count;
		memcpy(o->ious, job.ious.values, sizeof o->ious);
	}
	if (job.areas.count > 0) {
		o->nareas = job.areas.count;
		memcpy(o->areas, job.areas.items, sizeof o->areas);
	}
	if (job.max_dets.count > 0) {
		o->nmax_dets = job.max_dets.count;
		memcpy(o->max_dets, job.max_dets.values, sizeof o->max_dets);
	}
	o->agnostic = job.agnostic;
	o->pycocotools = job.pycocotools;
	job.whole_options = *o;
	report->truth_path = job.truth_path;
	report->threshold_score = job.threshold_score;
	report->match_iou = 0.5;
	report->per_class = job.per_class;
	report->threshold_given = given("threshold-score") || given("want-precision") || given("want-recall");
	report->has_want_precision = given("want-precision");
	report->has_want_recall = given("want-recall");
	report->want_precision = job.want_precision;
	report->want_recall = job.want_recall;
	report->voc_iou = job.ious.count == 1 ? job.ious.values[0] : 0.5;
	report->voc_eleven = job.voc == 0;
	report->confusion_iou = 0.5;
	report->tide_foreground_iou = 0.5;
	report->tide_background_iou = 0.1;
	report->resamples = job.resamples;
	report->seed = (uint64_t)job.seed;
	report->gates = job.gates.items;
	report->ngates = job.gates.count;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static int run(char **paths, size_t count, struct frcnn_error *err)
{
	int status;

	set_options();
	job.what = what_to_measure();
	status = eval_check_outputs(&job, paths, count, err);
	if (status == 0)
		status = frcnn_pool_new(job.threads > 0 ? job.threads : frcnn_usable_cores(), &job.pool, err);
	if (status == 0)
		status = eval_read_truth(&job, err);
	if (status == 0)
		status = eval_measure_baseline(&job, err);
	if (status == 0)
		status = eval_measure_files(&job, paths, count, err);
	if (status < 0)
		return status;
	job.report.status = job.trouble ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	status = frcnn_gates_judge(&job.report, job.significant, err);
	if (status == 0 && job.report.nmodels > 0)
		status = eval_write_outputs(&job, err);
	eval_tell_gates(&job.report);
	return status;
}

int main(int argc, char **argv)
{
	static char *standard_input[] = {"-"};
	struct frcnn_error err = {0};
	int operands, result = frcnn_opt_parse(&program, argc, argv, &operands);

	if (result < 0)
		result = check_options(operands, argv + 1);
	if (result >= 0)
		return result;
	if (run(operands > 0 ? argv + 1 : standard_input, operands > 0 ? (size_t)operands : 1, &err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		job.report.status = FRCNN_EXIT_TROUBLE;
	}
	result = job.report.status;
	eval_job_free(&job);
	if (frcnn_close_stdout() != FRCNN_EXIT_OK)
		result = FRCNN_EXIT_TROUBLE;
	return result;
}
