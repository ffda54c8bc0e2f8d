/*
 * What one run of frcnn-eval was asked for and what it has so far: the steps of the run take it from option to exit
 * status. Inputs become numbers in inputs.c, numbers become files and lines in outputs.c.
 */
#ifndef FRCNN_EVAL_JOB_H
#define FRCNN_EVAL_JOB_H

#include "eval/options.h"
#include "record/record.h"

struct eval_job {
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

/* ---- inputs.c ---------------------------------------------------------------------------------------------------- */

/* Ground truth, labels, the classes asked for: into ground_truth, whole, selected, keep, report.truth. */
int eval_read_truth(struct eval_job *job, struct frcnn_error *err);
/* Reads, validates, measures and compares. A file that cannot be read at all is trouble (said, job->trouble); the
 * others go on. Fails only where memory is refused. */
int eval_measure_baseline(struct eval_job *job, struct frcnn_error *err);
int eval_measure_files(struct eval_job *job, char **paths, size_t count, struct frcnn_error *err);

/* ---- outputs.c --------------------------------------------------------------------------------------------------- */

/* Fails where a file that is to be written is one that this run reads, or is to be written twice. */
int eval_check_outputs(const struct eval_job *job, char *const *paths, size_t count, struct frcnn_error *err);
/* The numbers, and the files of --report, --curves and --cells. */
int eval_write_outputs(const struct eval_job *job, struct frcnn_error *err);
/* Gates that failed or are trouble, a line each; those that hold with --verbose. */
void eval_tell_gates(const struct frcnn_report *report);

void eval_job_free(struct eval_job *job);

#endif
