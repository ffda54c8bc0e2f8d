/*
 * report - everything one run of frcnn-eval found out, as one plain struct, and
 * what is made of it: text, JSON, CSV, Markdown, JUnit, an HTML page. measure.c
 * fills the struct from columns, gates.c judges it, render/ shows it; none of
 * them reads files of detections or prints.
 *
 * Undefined values are -1 (text shows them as pycocotools does, JSON as -1).
 * A part that was not asked for has its has_ flag false (or its count 0) and is
 * absent from the output. Rendering must not depend on anything but the struct.
 */
#ifndef FRCNN_REPORT_H
#define FRCNN_REPORT_H

#include "eval/eval.h"

/* ---- metrics ---------------------------------------------------------------------------------------------------- */

/*
 * The names that gates and JSON use: AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl, in this order (with other
 * --max-dets AR1 .. are named after those; with other --area APs .. are AP.NAME and AR.NAME), then with an --iou list
 * other than the default APnn for each threshold not yet there (AP60, AP62.5), then, where matches were made,
 * recall.small recall.medium recall.large (recall.NAME), precision recall f1 (at the score threshold, IoU 0.5),
 * fp_per_image, and where asked for: mAP (VOC), ece mce. Classes have the same names except fp_per_image, mAP, ece, mce
 * (VOC AP of a class is voc).
 */
struct frcnn_report_metric {
	char name[48];
	double value; /* -1: undefined */
};
struct frcnn_report_metrics {
	struct frcnn_report_metric *items;
	size_t count, capacity;
};
int frcnn_report_metric_add(struct frcnn_report_metrics *metrics, const char *name, double value);
/* NULL: no such name. */
const struct frcnn_report_metric *frcnn_report_metric_find(const struct frcnn_report_metrics *metrics,
							   const char *name);

/* ---- one class of one model -------------------------------------------------------------------------------------- */

struct frcnn_report_class {
	const char *name; /* NULL: the ground truth has none; "all" with --agnostic */
	int64_t category_id;
	size_t category; /* index in the truth */
	struct frcnn_report_metrics metrics;
	size_t objects, detections; /* not crowd; all, whatever their score */

	/* has_matches of the model: at its score threshold and IoU 0.5 */
	struct frcnn_eval_operating operating;
	struct frcnn_eval_threshold best; /* of the highest F1 */
	/* has_want_precision, has_want_recall of the report */
	struct frcnn_eval_threshold at_precision, at_recall;
	double voc_ap; /* has_voc of the model */
};

/* ---- one model: one file of detections -----------------------------------------------------------------------------
 */

#define FRCNN_REPORT_SWEEP 20

/* Against the baseline. The name is a metric's, or CLASS:AP. */
struct frcnn_report_difference {
	char *name;
	struct frcnn_eval_difference d; /* low and high only with has_interval */
	bool has_interval;
	bool class_level;
};

struct frcnn_report_model {
	const char *path;  /* as given; "-" for standard input. Borrowed */
	char *model;       /* what its records call the model; NULL: nothing */
	bool model_shared; /* another file's records call their model the same: the path tells them apart */
	char sha256[65];   /* "": not known (standard input, or not asked for) */
	size_t images;     /* with a record or at least one detection */
	size_t detections;
	size_t left_out; /* records, lines and boxes that were errors and were not evaluated */
	size_t ignored;  /* detections of unknown categories */

	double stats[12]; /* pycocotools' order */
	struct frcnn_report_metrics metrics;
	struct frcnn_report_class *classes; /* one for each of the K of cells */
	size_t nclasses;
	struct frcnn_eval_cells cells;

	bool has_matches;                      /* at IoU 0.5; background and the classes' operating points go with it */
	struct frcnn_eval_operating operating; /* all classes together */
	struct frcnn_eval_threshold best, at_precision, at_recall;
	struct frcnn_eval_background background;
	struct frcnn_eval_operating sweep[FRCNN_REPORT_SWEEP]; /* all classes, at score > i * 0.05; goes with matches */

	bool has_voc;
	struct frcnn_eval_voc voc; /* indexed by category of the truth */
	bool has_tide;
	struct frcnn_eval_tide tide;
	bool has_confusion;
	size_t *
	    confusion; /* (report.nconfusion + 1) squared, see frcnn_eval_confusion; over all categories of the truth */
	bool has_calibration;
	struct frcnn_eval_calibration calibration;

	bool has_baseline;
	struct frcnn_report_difference *differences; /* every metric, then CLASS:AP of each class */
	size_t ndifferences;
	double tied_scores; /* frcnn_eval_tied_scores; with has_baseline */
};

/* ---- gates (gates.c)
 * -------------------------------------------------------------------------------------------------- */

enum frcnn_gate_kind { FRCNN_GATE_MIN, FRCNN_GATE_MAX_DROP, FRCNN_GATE_MAX };
enum frcnn_gate_verdict {
	FRCNN_GATE_HOLDS,
	FRCNN_GATE_FAILED,
	FRCNN_GATE_TROUBLE,   /* unknown or undefined metric */
	FRCNN_GATE_NOT_JUDGED /* something was left out */
};
struct frcnn_gate {
	enum frcnn_gate_kind kind;
	char *metric; /* "AP", "person:AP50" */
	double bound;
};
/* One gate judged for one model. */
struct frcnn_gate_result {
	size_t gate, model;
	enum frcnn_gate_verdict verdict;
	double value;     /* the metric; for MAX_DROP the drop: baseline - ours */
	double low, high; /* MAX_DROP with an interval: of the drop */
	bool has_interval;
	char *message; /* one line: "AP is 0.35, below 0.37", "AP50 fell by 0.02 (0.01 to 0.03), more than 0.005",
			  "no metric \"APx\"", "APs is undefined: no such objects" */
};

/* ---- the whole
 * ---------------------------------------------------------------------------------------------------------- */

struct frcnn_report {
	/* ground truth */
	const char *truth_path;
	char truth_sha256[65];
	const struct frcnn_eval_truth *truth; /* borrowed */
	size_t truth_crowds;
	size_t truth_left_out;

	/* options in force */
	struct frcnn_eval_options options;
	double threshold_score; /* score > this is kept for operating points, confusion, background; 0.5 unless given */
	double match_iou;       /* 0.5 */
	bool per_class;         /* --per-class was given: text and Markdown show the table of classes */
	bool threshold_given;   /* --threshold-score, --want-precision or --want-recall: text shows operating points */
	bool has_want_precision, has_want_recall;
	double want_precision, want_recall;
	double voc_iou;
	bool voc_eleven;
	double confusion_iou; /* 0.5 */
	size_t nconfusion;    /* categories */
	double tide_foreground_iou, tide_background_iou;
	unsigned hidden; /* FRCNN_MEASURE_...: made for the page of --report alone, other formats leave it out */

	struct frcnn_report_model *models;
	size_t nmodels;
	struct frcnn_report_model *baseline; /* NULL: none; measured like the others */
	int resamples;
	uint64_t seed;

	const struct frcnn_gate *gates;
	size_t ngates;
	struct frcnn_gate_result *results; /* by gate, then model */
	size_t nresults;

	/* what was said while reading, one line each: "file:12: text" */
	char **warnings, **errors;
	size_t nwarnings, nerrors;
	size_t errors_left_out; /* further errors that were not kept (at most 1000 lines are) */

	int status; /* the exit status that follows: 0, 1, 2 */
};
void frcnn_report_free(struct frcnn_report *report);
/* Takes the last model back, one that could not be measured. */
void frcnn_report_drop_model(struct frcnn_report *report);
void frcnn_report_drop_baseline(struct frcnn_report *report);

/* What to make beside the 12 numbers (measure.c). */
enum {
	FRCNN_MEASURE_MATCHES = 1,
	FRCNN_MEASURE_VOC = 2,
	FRCNN_MEASURE_TIDE = 4,
	FRCNN_MEASURE_CONFUSION = 8,
	FRCNN_MEASURE_CALIBRATION = 16
};
/* Fills everything of *out from stats on but the baseline's part. report holds the truth and the options; truth and
 * detections are of the classes of --classes and --agnostic already (select.c). */
int frcnn_report_measure(const struct frcnn_report *report, const struct frcnn_eval_detections *detections,
			 unsigned what, struct frcnn_pool *pool, struct frcnn_report_model *out,
			 struct frcnn_error *err);
/* Fills the differences of model: metrics, classes, and intervals where resamples > 0. */
int frcnn_report_compare(const struct frcnn_report *report, const struct frcnn_eval_detections *ours,
			 const struct frcnn_eval_detections *baseline, struct frcnn_pool *pool,
			 struct frcnn_report_model *model, struct frcnn_error *err);

/* "AP=0.37" or "person:AP=0.5": the last '=' ends the name. */
int frcnn_gate_parse(const char *text, enum frcnn_gate_kind kind, struct frcnn_gate *out, struct frcnn_error *err);
void frcnn_gate_free(struct frcnn_gate *gate);
/* Whether all models, and for a drop the baseline, have the gate's metric, whatever its value is; FRCNN_EINVAL says
 * what there is none of. */
int frcnn_gate_check(const struct frcnn_report *report, const struct frcnn_gate *gate, struct frcnn_error *err);
/* Judges all gates for all models into report->results, and sets report->status (1: one failed; 2: trouble). With
 * status 2 already there none is judged. significant: a drop fails only when the lower end of its interval exceeds the
 * bound. */
int frcnn_gates_judge(struct frcnn_report *report, bool significant, struct frcnn_error *err);

/* ---- renderings (render/) ---------------------------------------------------------------------------------------- */

enum frcnn_report_format {
	FRCNN_REPORT_TEXT, /* one model: pycocotools' summary text byte for byte, then the parts asked for; several: a
			      table */
	FRCNN_REPORT_JSON, /* one object; several models: {"models": [...]}, ground truth and gates once */
	FRCNN_REPORT_CSV,
	FRCNN_REPORT_MARKDOWN,
	FRCNN_REPORT_JUNIT
};
/* Appends to out. */
int frcnn_report_render(const struct frcnn_report *report, enum frcnn_report_format format, struct frcnn_buffer *out,
			struct frcnn_error *err);
/* The page of --report. */
int frcnn_report_html(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
/* --curves: CSV of the precision-recall points of the first area and last max_dets: model, category_id, category, iou,
 * recall, precision, score. */
int frcnn_report_curves(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
/* The same as JSON: a list of {model, category_id, category, iou, recall: [], precision: [], score: []}. */
int frcnn_report_curves_json(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
/* --cells: safetensors of precision [T, R, K, A, M], recall [T, K, A, M], scores as float64, of one model. Errors name
 * the path. */
int frcnn_report_cells(const char *path, const struct frcnn_report *report, const struct frcnn_report_model *model,
		       struct frcnn_error *err);

#endif
