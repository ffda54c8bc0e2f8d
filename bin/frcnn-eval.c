/* frcnn-eval - ground truth and detections in, numbers out; and gates on them. */
#include "cli/cli.h"
#include "eval/options.h"
#include "eval/read.h"
#include "eval/report.h"
#include "eval/validate.h"
#include "image/image.h"
#include "record/record.h"

#include <unistd.h>

/* Of more detections the traps of pycocotools are named, but not evaluated. */
#define TRAP_LIMIT 250000
#define EVERYTHING                                                                                                     \
	(FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_VOC | FRCNN_MEASURE_TIDE | FRCNN_MEASURE_CONFUSION |                    \
	 FRCNN_MEASURE_CALIBRATION)
/* Lines that are kept for the report; all are printed. */
#define MAX_LINES 1000

struct job {
	/* options */
	const char *truth_path, *labels_path, *image_root, *baseline_path, *output, *cells_path, *curves_path,
	    *report_path;
	bool pycocotools, agnostic, per_class, tide, confusion, calibration, significant;
	struct eval_ious ious;
	struct eval_areas areas;
	struct eval_max_dets max_dets;
	struct frcnn_list classes;
	struct eval_gates gates;
	int voc; /* -1: not asked for */
	double threshold_score, want_precision, want_recall;
	int resamples, format, threads;
	int64_t seed;

	unsigned what;
	struct frcnn_pool *pool;
	struct frcnn_labels labels;
	struct frcnn_ground_truth ground_truth;
	struct frcnn_eval_truth whole, selected; /* selected: of --classes and --agnostic; empty without them */
	struct frcnn_eval_options whole_options; /* for whole */
	uint8_t *keep;                           /* NULL: all classes */
	struct frcnn_eval_detections baseline;   /* of report.truth */
	struct frcnn_report report;
	bool trouble;
};

static struct job job = {
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
	struct frcnn_report *report = &job.report;

	(void)context;
	if (kind == FRCNN_NOTICE_ERROR) {
		job.trouble = true;
		frcnn_report(NULL, "%s", line);
		if (report->nerrors >= MAX_LINES)
			report->errors_left_out++;
		keep_line(&report->errors, &report->nerrors, line);
	} else {
		frcnn_warn(NULL, "%s", line);
		keep_line(&report->warnings, &report->nwarnings, line);
	}
}

static const struct frcnn_notices notices = {.note = note};

static void note_warning(const char *format, ...) FRCNN_PRINTF(1, 2);

static void note_warning(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	note(NULL, FRCNN_NOTICE_WARNING, line);
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

/* ---- ground truth -------------------------------------------------------------------------------------------------
 */

static int find_class(const char *word, struct frcnn_error *err)
{
	const struct frcnn_eval_truth *truth = &job.whole;
	bool found = false;
	uint32_t index;
	int64_t id;

	for (size_t k = 0; k < truth->ncategories; k++) {
		if (truth->category_names[k] && strcmp(truth->category_names[k], word) == 0)
			job.keep[k] = found = true;
	}
	if (!found && frcnn_parse_int64(word, strlen(word), &id) == 0 && frcnn_eval_category(truth, id, &index))
		job.keep[index] = found = true;
	if (!found)
		return frcnn_fail(err, FRCNN_EINVAL, "--classes: the ground truth has no class \"%s\"", word);
	return 0;
}

static int select_classes(struct frcnn_error *err)
{
	int status = 0;

	job.report.truth = &job.whole;
	if (job.classes.count > 0) {
		job.keep = frcnn_calloc(job.whole.ncategories, sizeof *job.keep);
		if (!job.keep)
			return frcnn_fail_nomem(err);
		for (size_t i = 0; i < job.classes.count && status == 0; i++)
			status = find_class(job.classes.items[i], err);
		job.whole_options.categories = job.keep;
	}
	if (status == 0 && (job.keep || job.agnostic)) {
		status = frcnn_eval_truth_select(&job.whole, job.keep, job.agnostic, &job.selected, err);
		job.report.truth = &job.selected;
	}
	return status;
}

static int digest(const char *path, char hex[65], struct frcnn_error *err)
{
	struct frcnn_file file;
	int status;

	if (job.format != FRCNN_REPORT_JSON && !job.report_path)
		return 0;
	status = frcnn_file_open(path, 0, &file, err);
	if (status == 0) {
		status = frcnn_sha256(file.data, file.size, hex, err);
		frcnn_file_close(&file);
	}
	return status;
}

static int read_truth(struct frcnn_error *err)
{
	struct frcnn_ground_truth_options from = {.pycocotools = job.pycocotools, .image_root = job.image_root, .image_size = frcnn_image_size, .pool = job.pool};
	int status = 0;

	if (job.labels_path) {
		status = frcnn_labels_read(job.labels_path, &job.labels, err);
		from.labels = &job.labels;
	}
	if (status == 0)
		status = frcnn_ground_truth_open(job.truth_path, &from, &notices, &job.ground_truth, err);
	if (status == 0)
		status = frcnn_eval_truth_make(&job.ground_truth, job.pycocotools, &job.whole, err);
	if (status == 0)
		status = select_classes(err);
	if (status == 0 && job.ground_truth.form == FRCNN_TRUTH_COCO)
		status = digest(job.truth_path, job.report.truth_sha256, err);
	if (status < 0)
		return status;
	job.report.truth_left_out = job.ground_truth.errors;
	job.report.nconfusion = job.report.truth->ncategories;
	for (size_t g = 0; g < job.report.truth->nobjects; g++)
		job.report.truth_crowds += job.report.truth->crowd[g] != 0;
	return 0;
}

/* ---- one file of detections
 * ------------------------------------------------------------------------------------------ */

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* How many annotations have an id that another one has, and the first such id. */
static int count_duplicates(size_t *count, int64_t *first, struct frcnn_error *err)
{
	size_t n = job.ground_truth.nannotations;
	int64_t *ids = frcnn_calloc(n, sizeof *ids);

	*count = 0;
	if (!ids)
		return frcnn_fail_nomem(err);
	if (n > 0) {
		memcpy(ids, job.ground_truth.annotation_ids, n * sizeof *ids);
		qsort(ids, n, sizeof *ids, compare_ids);
	}
	for (size_t i = 1; i < n; i++) {
		if (ids[i] != ids[i - 1])
			continue;
		if ((*count)++ == 0)
			*first = ids[i];
	}
	free(ids);
	return 0;
}

static int pycocotools_ap(const struct frcnn_eval_detections *whole, double *ap, struct frcnn_error *err)
{
	struct frcnn_eval_options o = job.whole_options;
	struct frcnn_eval_cells cells = {0};
	struct frcnn_eval_truth truth = {0};
	double stats[12];
	int status = frcnn_eval_truth_make(&job.ground_truth, true, &truth, err);

	o.pycocotools = true;
	if (status == 0)
		status = frcnn_eval_coco(&truth, whole, &o, job.pool, &cells, err);
	if (status == 0) {
		frcnn_eval_stats(&cells, &o, stats);
		*ap = stats[0];
	}
	frcnn_eval_cells_free(&cells);
	frcnn_eval_truth_free(&truth);
	return status;
}

/* Id 0 and duplicate ids mean something else to pycocotools: one warning says what. */
static int tell_traps(const char *path, const struct frcnn_eval_detections *whole, double ours, struct frcnn_error *err)
{
	size_t zeros = 0, duplicates;
	int64_t duplicate = 0;
	char what[256], there[33], here[33];
	double ap = -1;
	int status;

	if (job.pycocotools)
		return 0;
	for (size_t i = 0; i < job.ground_truth.nannotations; i++)
		zeros += job.ground_truth.annotation_ids[i] == 0;
	status = count_duplicates(&duplicates, &duplicate, err);
	if (status < 0 || (zeros == 0 && duplicates == 0))
		return status;
	snprintf(what, sizeof what, "%s%s", zeros > 0 ? "annotation id 0, whose match pycocotools counts as false" : "",
		 zeros > 0 && duplicates > 0 ? "; " : "");
	if (duplicates > 0)
		snprintf(
		    what + strlen(what), sizeof what - strlen(what),
		    "%zu annotation ids that were there before (%lld is the first), of which pycocotools keeps the "
		    "last alone",
		    duplicates, (long long)duplicate);
	if (whole->count > TRAP_LIMIT) {
		note_warning("%s: %s; --pycocotools gives its numbers", job.truth_path, what);
		return 0;
	}
	status = pycocotools_ap(whole, &ap, err);
	if (status < 0)
		return status;
	there[frcnn_format_double(ap, there)] = '\0';
	here[frcnn_format_double(ours, here)] = '\0';
	note_warning("%s: %s: AP of %s is %s, there %s (--pycocotools)", job.truth_path, what, path, here, there);
	return 0;
}

static int tell_findings(struct frcnn_validation *validation, const char *path, struct frcnn_eval_detections *whole,
			 struct frcnn_report_model *model, struct frcnn_error *err)
{
	struct frcnn_validation_counts counts = frcnn_validation_counts(validation);
	const struct frcnn_finding *findings;
	size_t count;
	int status = frcnn_validation_finish(validation, whole, &job.whole_options, model->stats[0],
					     FRCNN_VALIDATION_EFFECT_LIMIT, job.pool, err);

	if (status < 0)
		return status;
	findings = frcnn_validation_findings(validation, &count);
	for (size_t i = 0; i < count; i++) {
		note(NULL, findings[i].error ? FRCNN_NOTICE_ERROR : FRCNN_NOTICE_WARNING, findings[i].text);
		if (findings[i].kind == FRCNN_FINDING_UNKNOWN_CATEGORY)
			model->ignored = findings[i].count;
		if (findings[i].kind == FRCNN_FINDING_BAD_BOX && findings[i].error)
			model->left_out += findings[i].count;
	}
	model->left_out += counts.orphan_records + counts.twice;
	if (model->left_out > 0)
		frcnn_report(path, "%zu of its records, lines and boxes left out of the numbers", model->left_out);
	return tell_traps(path, whole, model->stats[0], err);
}

/* Reads and measures one file. *columns: its detections of report.truth, the caller's to free. */
static int measure_file(const char *path, struct frcnn_report_model *model, struct frcnn_eval_detections *columns,
			struct frcnn_error *err)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	bool selected = job.report.truth == &job.selected;
	struct frcnn_validation *validation = NULL;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_reading reading = {0};
	struct frcnn_eval_detections whole = {0};
	int status = frcnn_validation_new(&job.ground_truth, &job.whole, name, &validation, err);

	model->path = path;
	if (status == 0)
		status = frcnn_eval_read_detections(path, stdin, name, job.pycocotools, validation, &collector,
						    job.pool, &notices, &reading, err);
	if (status < 0)
		goto out;
	model->model = reading.model;
	model->images = reading.records;
	model->left_out = reading.failed;
	status = frcnn_eval_detections_make(&collector, &job.whole, job.pool, &whole, err);
	if (status == 0 && selected)
		status = frcnn_eval_detections_select(&whole, &job.whole, job.keep, job.agnostic, columns, err);
	if (status == 0)
		status = frcnn_report_measure(&job.report, selected ? columns : &whole, job.what, job.pool, model, err);
	if (status == 0)
		status = tell_findings(validation, name, &whole, model, err);
	if (status == 0 && strcmp(path, "-") != 0)
		status = digest(path, model->sha256, err);
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
static int measure_baseline(struct frcnn_error *err)
{
	int status;

	if (!job.baseline_path)
		return 0;
	job.report.baseline = frcnn_calloc(1, sizeof *job.report.baseline);
	if (!job.report.baseline)
		return frcnn_fail_nomem(err);
	status = measure_file(job.baseline_path, job.report.baseline, &job.baseline, err);
	if (status < 0 && status != FRCNN_ENOMEM) {
		note(NULL, FRCNN_NOTICE_ERROR, err->message);
		frcnn_report_drop_baseline(&job.report);
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
static int measure_files(char **paths, size_t count, struct frcnn_error *err)
{
	struct frcnn_report *report = &job.report;

	report->models = frcnn_calloc(count, sizeof *report->models);
	if (!report->models)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct frcnn_report_model *model = &report->models[report->nmodels];
		struct frcnn_eval_detections columns = {0};
		int status;

		report->nmodels++;
		status = measure_file(paths[i], model, &columns, err);
		if (status == 0 && report->baseline)
			status = frcnn_report_compare(report, &columns, &job.baseline, job.pool, model, err);
		frcnn_eval_detections_free(&columns);
		if (status == FRCNN_ENOMEM)
			return status;
		if (status < 0) {
			note(NULL, FRCNN_NOTICE_ERROR, err->message);
			frcnn_report_drop_model(report);
		}
	}
	mark_shared_names(report);
	return 0;
}

/* ---- output
 * ------------------------------------------------------------------------------------------------------------------ */

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

static int write_all(struct frcnn_error *err)
{
	const struct frcnn_report *report = &job.report;
	struct frcnn_buffer text = {0};
	int status = frcnn_report_render(report, (enum frcnn_report_format)job.format, &text, err);

	if (status == 0 && text.size > 0) {
		if (job.output && strcmp(job.output, "-") != 0)
			status = write_file(job.output, &text, err);
		else
			fwrite(text.data, 1, text.size, stdout);
	}
	if (status == 0 && job.report_path) {
		frcnn_buffer_clear(&text);
		status = frcnn_report_html(report, &text, err);
		if (status == 0)
			status = write_file(job.report_path, &text, err);
	}
	if (status == 0 && job.curves_path) {
		frcnn_buffer_clear(&text);
		status = is_json(job.curves_path) ? frcnn_report_curves_json(report, &text, err)
						  : frcnn_report_curves(report, &text, err);
		if (status == 0)
			status = write_file(job.curves_path, &text, err);
	}
	if (status == 0 && job.cells_path)
		status = frcnn_report_cells(job.cells_path, report, &report->models[0], err);
	frcnn_buffer_free(&text);
	return status;
}

static void tell_gates(void)
{
	const struct frcnn_report *report = &job.report;
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

static int run(char **paths, size_t count, struct frcnn_error *err)
{
	int status;

	set_options();
	job.what = what_to_measure();
	status = frcnn_pool_new(job.threads > 0 ? job.threads : frcnn_usable_cores(), &job.pool, err);
	if (status == 0)
		status = read_truth(err);
	if (status == 0)
		status = measure_baseline(err);
	if (status == 0)
		status = measure_files(paths, count, err);
	if (status < 0)
		return status;
	job.report.status = job.trouble ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	status = frcnn_gates_judge(&job.report, job.significant, err);
	if (status == 0 && job.report.nmodels > 0)
		status = write_all(err);
	tell_gates();
	return status;
}

static void free_job(void)
{
	frcnn_report_free(&job.report);
	frcnn_eval_detections_free(&job.baseline);
	frcnn_eval_truth_free(&job.selected);
	frcnn_eval_truth_free(&job.whole);
	frcnn_ground_truth_free(&job.ground_truth);
	frcnn_labels_free(&job.labels);
	frcnn_list_free(&job.classes);
	eval_gates_free(&job.gates);
	frcnn_pool_free(job.pool);
	free(job.keep);
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
	free_job();
	if (frcnn_close_stdout() != FRCNN_EXIT_OK)
		result = FRCNN_EXIT_TROUBLE;
	return result;
}
