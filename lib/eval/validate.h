/*
 * validate - one pass over the detections of one model against the ground
 * truth: what in them looks wrong, how often, which one is the first, and what
 * it does to AP. Part of eval/; reads no files and prints nothing.
 *
 * A program goes
 *
 *     frcnn_validation_new(ground_truth, truth, "dets.jsonl", &v, err);
 *     while ((rc = frcnn_records_next(records, &record, err)) != 0)
 *             if (rc < 0) report err, count it
 *             else frcnn_validation_record(v, record, &collector, err), the same
 *     frcnn_eval_detections_make(&collector, truth, pool, &detections, err);
 *     frcnn_validation_finish(v, &detections, &options, NAN, FRCNN_VALIDATION_EFFECT_LIMIT, pool, err);
 *     frcnn_validation_findings(v, &count);
 *
 * so that joining records to images and categories, and the rules of what is an
 * error, stand in one place. A reader that makes columns itself calls
 * frcnn_validation_image and frcnn_validation_detection in place of _record.
 */
#ifndef FRCNN_VALIDATE_H
#define FRCNN_VALIDATE_H

#include "eval/eval.h"

enum frcnn_finding_kind {
	FRCNN_FINDING_ORPHAN,           /* error: records of images that the ground truth lacks */
	FRCNN_FINDING_TWICE,            /* error: an image has two records; the first one counts */
	FRCNN_FINDING_BAD_BOX,          /* error: not finite, or of negative size */
	FRCNN_FINDING_UNKNOWN_CATEGORY, /* left out, as pycocotools does */
	FRCNN_FINDING_SHIFTED,          /* category ids look shifted by one, or counted without gaps */
	FRCNN_FINDING_OWN_CATEGORIES,   /* joined by ids that the ground truth's names were given here */
	FRCNN_FINDING_XYXY,             /* boxes look like corners in place of left, top, width, height */
	FRCNN_FINDING_NORMALISED,       /* boxes look like fractions of the image */
	FRCNN_FINDING_OUTSIDE,          /* boxes reach out of their image by more than a pixel */
	FRCNN_FINDING_SIZE,             /* records state another width and height than the ground truth */
	FRCNN_FINDING_NO_RECORD,        /* images of the ground truth without any record */
	FRCNN_FINDINGS
};

struct frcnn_finding {
	enum frcnn_finding_kind kind;
	bool error;          /* the program ends 2; else a warning */
	size_t count;        /* detections, or images */
	double ap, repaired; /* AP as it stands and as it would be with the repair; NaN: not computed; -1: undefined */
	char text[512];      /* one line that begins with the name; no newline. Count, first culprit, effect on AP */
};

struct frcnn_validation;

/* name is the detections' for messages; the four are borrowed until free (ground_truth and truth: two views of one). */
int frcnn_validation_new(const struct frcnn_ground_truth *ground_truth, const struct frcnn_eval_truth *truth,
			 const char *name, struct frcnn_validation **out, struct frcnn_error *err);
void frcnn_validation_free(struct frcnn_validation *validation);
/* Boxes that are not finite or of negative size are collected all the same, as pycocotools does. Default: left out. */
void frcnn_validation_take_bad_boxes(struct frcnn_validation *validation, bool take);

/*
 * Joins one image's record and collects its detections. 1: done; 0: left out and counted (an orphan, an image that had
 * a record before); < 0: *err is one line with name and line (file name and id disagree, an ambiguous name; memory):
 * the record is left out. A detection of an unknown category is counted and not collected. collector NULL: only looked
 * at.
 */
int frcnn_validation_record(struct frcnn_validation *validation, const struct frcnn_record *record,
			    struct frcnn_eval_collector *collector, struct frcnn_error *err);

/* The same in pieces. image: 1 and *image is the index in truth; 0: an orphan, or twice, counted; < 0 as above. line
 * and size 0: unknown. ungrouped: the form may bring an image's detections in several places (COCO results as columns),
 * so a second call is no second record. */
int frcnn_validation_image(struct frcnn_validation *validation, const char *file_name, bool has_image_id,
			   int64_t image_id, int width, int height, size_t line, bool ungrouped, uint32_t *image,
			   struct frcnn_error *err);
/* By name where both sides have names (category may be NULL), else by id. 1: collected; 0: unknown category or bad box,
 * counted; < 0: memory. */
int frcnn_validation_detection(struct frcnn_validation *validation, uint32_t image, const char *category,
			       bool has_category_id, int64_t category_id, const double bbox[4], double score,
			       size_t line, struct frcnn_eval_collector *collector, struct frcnn_error *err);

/* Columns whose images and categories are joined already, all in order; they are counted, not collected. */
void frcnn_validation_columns(struct frcnn_validation *validation, const struct frcnn_result_columns *columns);
/* False: an image_id finds no image, since the ground truth numbers its images itself (own_ids). */
bool frcnn_validation_joins_ids(const struct frcnn_validation *validation);
const struct frcnn_eval_truth *frcnn_validation_truth(const struct frcnn_validation *validation);

/* How many detections (and records) were seen, and left out. */
struct frcnn_validation_counts {
	size_t records, detections;             /* seen, those left out included */
	size_t orphan_records, twice, left_out; /* left_out: detections, whatever the reason */
};
struct frcnn_validation_counts frcnn_validation_counts(const struct frcnn_validation *validation);

/*
 * After the last record: looks for what only the whole shows, and evaluates with each repair (on up to effect_limit
 * detections; more: no AP is computed for warnings that look harmless). options as for the evaluation itself;
 * ap: AP as it stands where the caller has it, else NaN: computed here when it is needed.
 */
#define FRCNN_VALIDATION_EFFECT_LIMIT 20000
int frcnn_validation_finish(struct frcnn_validation *validation, const struct frcnn_eval_detections *detections,
			    const struct frcnn_eval_options *options, double ap, size_t effect_limit,
			    struct frcnn_pool *pool, struct frcnn_error *err);
/* In the order of the kinds; one of a kind at the most. Belongs to the validation. */
const struct frcnn_finding *frcnn_validation_findings(const struct frcnn_validation *validation, size_t *count);

/* ---- ids that pycocotools takes otherwise (traps.c) -------------------------------------------------------------- */

/* Of more detections the traps are named alone. */
#define FRCNN_EVAL_TRAPS_LIMIT 250000
/*
 * Annotation id 0 and duplicate ids: 1 and a line (no newline) that names them and the difference of AP, for
 * detections of the whole ground truth (columns made without pycocotools; ap: theirs) evaluated with options; 0: there
 * are none; < 0: memory.
 */
int frcnn_eval_traps(const struct frcnn_ground_truth *ground_truth, const char *truth_name,
		     const struct frcnn_eval_detections *detections, const char *name,
		     const struct frcnn_eval_options *options, double ap, struct frcnn_pool *pool, char *line,
		     size_t size, struct frcnn_error *err);

#endif
