/*
 * eval - how good detections are against ground truth: COCO's precision and
 * recall to the last bit of pycocotools, and every other measure that is made
 * of matches: VOC AP, TIDE's errors, calibration, confusion, thresholds, recall
 * by size, comparison of two runs. Works on columns, which read.c makes with
 * record/'s readers; words on a terminal are bin/, pages and tables are render/.
 *
 * Each measure has matching rules of its own, kept as its reference has them:
 * coco.c and matches.c pycocotools', voc.c, tide.c and confusion.c others.
 *
 * Conventions
 *   - Boxes are COCO's, double: left, top, width, height. IoU in double, without
 *     +1, with a crowd: over the detection's area (pycocotools maskApi, bbIou).
 *   - Objects and detections are held category by category, image by image
 *     within a category; index runs are given by category_first.
 *   - Categories and images are numbered by ascending id.
 *   - Undefined values (no objects) are -1, as pycocotools has them.
 *   - This folder is compiled with -ffp-contract=off; nothing here may be
 *     reassociated.
 */
#ifndef FRCNN_EVAL_H
#define FRCNN_EVAL_H

#include "record/record.h"

/* ---- columns (dataset.c) ------------------------------------------------------------------------------------- */

struct frcnn_eval_truth {
	size_t nimages; /* ascending id */
	int64_t *image_ids;
	const char **file_names; /* may be NULL; borrowed from the ground truth */
	int *widths, *heights;   /* 0: unknown */
	size_t ncategories;      /* ascending id */
	int64_t *category_ids;
	const char **category_names; /* may be NULL; borrowed */

	size_t nobjects;        /* by category, then image, then file order */
	size_t *category_first; /* ncategories + 1: objects of category k are first[k] .. first[k + 1] - 1 */
	uint32_t *image;        /* of each object: index */
	double *bbox;           /* 4 each */
	double *area;
	uint8_t *crowd; /* 1: a crowd; 2: VOC's difficult, ignored as a crowd is, but IoU is that of two boxes */
	int64_t *id;
	uint32_t *order; /* the object's place in the file, from 0 */
};

/* Copies what it needs but names: the ground truth must outlive it. Objects of a category that the ground truth does
 * not list are left out. pycocotools: of duplicate ids the last object replaces all earlier ones and is counted each
 * time. */
int frcnn_eval_truth_make(const struct frcnn_ground_truth *ground_truth, bool pycocotools, struct frcnn_eval_truth *out,
			  struct frcnn_error *err);
void frcnn_eval_truth_free(struct frcnn_eval_truth *truth);
/* The index of a category id; false: there is none. */
bool frcnn_eval_category(const struct frcnn_eval_truth *truth, int64_t id, uint32_t *index);

struct frcnn_eval_detections {
	size_t count;           /* by category, then image, then descending score (stable in input order) */
	size_t *category_first; /* ncategories + 1 */
	uint32_t *image;
	double *bbox; /* 4 each */
	double *score;
	uint32_t *order; /* place in the input, from 0: for messages */
};

/* Detections are collected in input order, then made into columns once. */
struct frcnn_eval_collector {
	size_t count, capacity;
	uint32_t *image, *category;
	double *bbox, *score;
};
int frcnn_eval_collect(struct frcnn_eval_collector *collector, uint32_t image, uint32_t category, const double bbox[4],
		       double score);                                          /* 0 or FRCNN_ENOMEM */
int frcnn_eval_reserve(struct frcnn_eval_collector *collector, size_t needed); /* room for so many; 0 or FRCNN_ENOMEM */
void frcnn_eval_collector_free(struct frcnn_eval_collector *collector);
/* Takes the collector's memory over (it is left empty). */
int frcnn_eval_detections_make(struct frcnn_eval_collector *collector, const struct frcnn_eval_truth *truth,
			       struct frcnn_pool *pool, struct frcnn_eval_detections *out, struct frcnn_error *err);
void frcnn_eval_detections_free(struct frcnn_eval_detections *detections);

/* IoU of detection d and object g; crowd: over the detection's area. */
double frcnn_eval_iou(const double d[4], const double g[4], bool crowd);

/* ---- selection (select.c) ---------------------------------------------------------------------------------------- */

/*
 * Columns of some categories, and detections of the same: keep has ncategories flags, NULL: all. merge: all of them as
 * one category, "all" with id -1, in the order of pycocotools' useCats = 0 (within an image by category id, then file
 * order; detections by score, equal ones by category id, then input order). Images stay. Names are borrowed from the
 * same place as before.
 */
int frcnn_eval_truth_select(const struct frcnn_eval_truth *truth, const uint8_t *keep, bool merge,
			    struct frcnn_eval_truth *out, struct frcnn_error *err);
/* truth is the one before the selection. */
int frcnn_eval_detections_select(const struct frcnn_eval_detections *detections, const struct frcnn_eval_truth *truth,
				 const uint8_t *keep, bool merge, struct frcnn_eval_detections *out,
				 struct frcnn_error *err);

/* ---- COCO (coco.c) ----------------------------------------------------------------------------------------------- */

#define FRCNN_EVAL_MAX_IOUS  32
#define FRCNN_EVAL_MAX_AREAS 8
#define FRCNN_EVAL_MAX_DETS  8
#define FRCNN_EVAL_RECALLS   101 /* recThrs[i] = i * 0.01 */

struct frcnn_eval_area {
	char name[24];
	double low, high; /* closed at both ends */
};

struct frcnn_eval_options {
	int nious;
	double ious[FRCNN_EVAL_MAX_IOUS];
	int nareas; /* the first is "all" */
	struct frcnn_eval_area areas[FRCNN_EVAL_MAX_AREAS];
	int nmax_dets; /* ascending */
	int max_dets[FRCNN_EVAL_MAX_DETS];
	bool agnostic;             /* useCats = 0 */
	bool pycocotools;          /* reproduce its traps too: ground truth id 0, duplicate ids, NaN */
	const uint8_t *categories; /* ncategories flags: those to evaluate; NULL: all */
};
/* pycocotools' defaults: .5:.95, all/small/medium/large, 1/10/100. */
void frcnn_eval_options_init(struct frcnn_eval_options *options);

/* precision and scores [T, R, K, A, M], recall [T, K, A, M], row-major; K the categories evaluated (1 if agnostic). */
struct frcnn_eval_cells {
	int T, R, K, A, M;
	double *precision, *recall, *scores;
	uint32_t *category; /* K: index in the truth */
};
int frcnn_eval_coco(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    const struct frcnn_eval_options *options, struct frcnn_pool *pool, struct frcnn_eval_cells *out,
		    struct frcnn_error *err);
void frcnn_eval_cells_free(struct frcnn_eval_cells *cells);

/* Mean over values > -1 in [T, R, K] order (category fastest) by numpy's pairwise sum; -1 when there are none.
 * iou -1: all thresholds. category -1: all, else index into K. Recall mean when `recall`. */
double frcnn_eval_mean(const struct frcnn_eval_cells *cells, bool recall, int iou, int category, int area,
		       int max_dets);
/* The 12 numbers in pycocotools' order. Without --pycocotools AP is at the last of max_dets. */
void frcnn_eval_stats(const struct frcnn_eval_cells *cells, const struct frcnn_eval_options *options, double stats[12]);

/* ---- matches (matches.c): what every other measure is made of -------------------------------------------------- */

/*
 * pycocotools' greedy matching at one IoU threshold, area range "all", at most max_dets detections an image and
 * category: detections in descending score take the best free object with IoU >= threshold (the later one of equals);
 * crowds match repeatedly and are ignored. Equal to pycocotools 2.0.11's dtMatches, gtMatches and dtIgnore but for
 * objects of id 0, which count here as any other. The threads do not change the outcome.
 */
enum frcnn_match {
	FRCNN_MATCH_FALSE,
	FRCNN_MATCH_TRUE,
	FRCNN_MATCH_IGNORED,
	FRCNN_MATCH_LEFT_OUT /* beyond max_dets */
};
struct frcnn_eval_matches {
	uint8_t *detection; /* an enum frcnn_match a detection */
	int64_t *object;    /* a detection: the index of the object it matched, or -1 */
	int64_t *detected;  /* an object: the index of the detection that matched it (a crowd: the last one), or -1 */
	double *iou;        /* a detection: with its object, or 0 */
	uint32_t *rank; /* a detection: its place in its image over all categories, from 0: by descending score, then
			 * input order */
};
int frcnn_eval_match(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		     int max_dets, struct frcnn_pool *pool, struct frcnn_eval_matches *out, struct frcnn_error *err);
void frcnn_eval_matches_free(struct frcnn_eval_matches *matches);
/* What no measure asks for: crowds, and objects whose area is outside of pycocotools' "all", 0 .. 1e10. */
bool frcnn_eval_ignored(const struct frcnn_eval_truth *truth, size_t object);

/* ---- rows of columns in other orders (rows.c) ------------------------------------------------------------------ */

/* Rows in groups: members of group i, ascending, are rows[first[i]] .. rows[first[i + 1] - 1]. */
struct frcnn_eval_groups {
	size_t *first; /* ngroups + 1 */
	uint32_t *rows;
};
/* group[row] < ngroups; such as the images of detections. 0 or FRCNN_ENOMEM, then empty. */
int frcnn_eval_group(const uint32_t *group, size_t count, size_t ngroups, struct frcnn_eval_groups *out);
void frcnn_eval_groups_free(struct frcnn_eval_groups *groups);
/* The category of each of count rows; NULL when memory is refused. */
uint32_t *frcnn_eval_row_categories(const size_t *category_first, size_t ncategories, size_t count);

struct frcnn_eval_scored {
	double score;
	uint32_t tie, row;
};
/* By descending score (NaN last); equals by ascending tie, then row. */
void frcnn_eval_sort(struct frcnn_eval_scored *items, size_t count);

/* ---- Pascal VOC (voc.c) ---------------------------------------------------------------------------------------- */

struct frcnn_eval_voc {
	double mean; /* over categories with objects; -1: none */
	double *ap;  /* ncategories; -1: no objects */
};
/*
 * The VOC devkit's AP as chainercv 0.13.1's eval_detection_voc has it: each detection is compared with the object of
 * its category and image that it overlaps most (the earlier of equals), IoU >= iou; a second detection of an object is
 * false. Objects that are crowd (difficult) are not counted, nor what overlaps them most. eleven: VOC 2007's mean of 11
 * points (numpy's linspace(0, 1, 11)), else the area under the envelope of precision.
 *
 * Differences: equal scores come in the order of images, then of the input (chainercv's argsort leaves it open);
 * chainercv adds 1 to the far corners, for boxes of inclusive pixels: ours have their width in full already; its nan
 * for a category without objects is -1.
 */
int frcnn_eval_voc(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		   bool eleven, struct frcnn_eval_voc *out, struct frcnn_error *err);
void frcnn_eval_voc_free(struct frcnn_eval_voc *voc);

/* ---- TIDE's six errors (tide.c; Bolya et al. 2020) ----------------------------------------------------------------
 */

#define FRCNN_EVAL_TIDE_MAX_DETS 100 /* of an image, over all categories: tidecv's for COCO */

struct frcnn_eval_tide {
	double ap;                                      /* 0 .. 100 as tidecv has it */
	double cls, loc, both, dupe, bkg, miss, fp, fn; /* gains in AP points when the error is mended */
	size_t counts[6];                               /* cls, loc, both, dupe, bkg, miss */
};
/*
 * tidecv 1.0.1's run at one IoU threshold, images by ascending id, crowds as its ignore regions (difficult objects too,
 * compared as boxes). Its rules are kept where they are odd: detections that a crowd swallows are counted as errors
 * too, a category with detections and no objects has AP 0 in the mean, and mending all errors of such a category takes
 * it out of the mean. Difference: where tidecv divides by zero (nothing is left to take the mean of), the mean is 0. 0
 * < background_iou <= foreground_iou <= 1, else FRCNN_EINVAL.
 */
int frcnn_eval_tide(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    double foreground_iou, double background_iou, struct frcnn_eval_tide *out, struct frcnn_error *err);

/* ---- scores: thresholds, recall by size, background, ties (scores.c) ------------------------------------------- */

/* What is ignored (FRCNN_MATCH_IGNORED) or left out counts neither as true nor as false. category k, or -1 for all
 * together. */
struct frcnn_eval_operating {
	size_t objects, detections; /* not ignored; detections kept at the threshold */
	double precision;           /* -1: nothing kept */
	double recall, f1;          /* -1: no objects. f1 is 2 true / (objects + detections) */
};
/* Keeps score > threshold. */
struct frcnn_eval_operating frcnn_eval_at_score(const struct frcnn_eval_truth *truth,
						const struct frcnn_eval_detections *detections,
						const struct frcnn_eval_matches *matches, double threshold, int k);
struct frcnn_eval_threshold {
	bool found;   /* false: none reaches it; all others are -1 */
	double score; /* the lowest score kept */
	double cut;   /* score > cut keeps the same: the shortest decimal that does, between the scores */
	double precision, recall, f1; /* what it gives */
};
/* The threshold of the highest F1; of the highest recall with precision >= wanted; of the highest precision with
 * recall >= wanted. Equals: the higher score. */
enum frcnn_eval_goal { FRCNN_EVAL_BEST_F1, FRCNN_EVAL_MIN_PRECISION, FRCNN_EVAL_MIN_RECALL };
int frcnn_eval_best_score(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_matches *matches, enum frcnn_eval_goal goal, double wanted, int k,
			  struct frcnn_eval_threshold *out, struct frcnn_error *err);

/* recall.small and the like: share of objects, not ignored, with low <= area <= high that are matched by one of the
 * first FRCNN_EVAL_RECALL_DETS detections of the image over all categories (matches made at IoU 0.5 with max_dets >=
 * that); no score cut. -1: no such objects. */
#define FRCNN_EVAL_RECALL_DETS 100
double frcnn_eval_size_recall(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			      const struct frcnn_eval_matches *matches, double low, double high, int k);

struct frcnn_eval_background {
	size_t images;                  /* without any object */
	size_t false_positives;         /* in those, above the score */
	double fp_per_image;            /* over all images: unmatched detections above the score, of any category */
	double fp_per_background_image; /* -1: no such images */
	size_t absent_detections;       /* of those: of categories without objects, which COCO's mean hides */
};
/* score > min_score. */
int frcnn_eval_background(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_matches *matches, double min_score, struct frcnn_eval_background *out,
			  struct frcnn_error *err);

/* Share of detections whose score another one of the same category has exactly: their order is chance. -1: none. */
int frcnn_eval_tied_scores(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			   double *share, struct frcnn_error *err);

/* ---- calibration (calibration.c) ----------------------------------------------------------------------------------
 */

#define FRCNN_EVAL_MAX_BINS 100
struct frcnn_eval_calibration {
	int nbins;
	double ece, mce; /* expected and maximum calibration error; -1: no detections */
	struct {
		double low, high;
		size_t count;
		double confidence, precision; /* means; 0 when empty */
	} bins[FRCNN_EVAL_MAX_BINS];
};
/*
 * D-ECE binned by score (Kuppers et al. 2020): netcal 1.4.0's ECE and MCE with detection=True on the confidence alone,
 * of what is true or false (not ignored) and has score > min_score (-INFINITY: all). Bins are low <= score < high with
 * the edges of numpy's linspace(0, 1, nbins + 1), so 0.3 is below 3 * 0.1; scores are clipped to 2^-52 .. 1 - 2^-52
 * first, as in netcal. nbins is clipped to 1 .. FRCNN_EVAL_MAX_BINS.
 */
void frcnn_eval_calibration(const struct frcnn_eval_detections *detections, const struct frcnn_eval_matches *matches,
			    int nbins, double min_score, struct frcnn_eval_calibration *out);

/* ---- confusion (confusion.c) ---------------------------------------------------------------------------------------
 */

/*
 * (ncategories + 1) squared, row-major, freed by the caller; rows: ground truth, columns: prediction, the last of each:
 * background. As ultralytics 8.4.190's ConfusionMatrix (which has rows and columns the other way round): whatever the
 * categories, detections with score > min_score take, in descending score (equals: input order), the free object of
 * their image that they overlap most (equals: the earlier in the file), IoU > iou.
 *
 * Differences: crowds, which ultralytics does not know, are no objects, and a detection without an object that a crowd
 * of its category covers (intersection over the detection's area > iou; of a difficult object, IoU) is not counted. IoU
 * is double and exact, where ultralytics computes in float32 and adds 1e-7 to the union.
 */
int frcnn_eval_confusion(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			 double iou, double min_score, size_t **matrix, struct frcnn_error *err);

/* ---- comparison of two runs (compare.c)
 * --------------------------------------------------------------------------------- */

struct frcnn_eval_difference {
	double ours, baseline, difference; /* -1 where undefined */
	double low, high;                  /* 95% interval of the difference over resampled images; 0 where undefined */
};
/* Paired bootstrap over images: both runs are evaluated on the same resamples, at pycocotools' "all" areas and the last
 * of max_dets. metrics: AP, AP50, AP75 (-1 where that threshold is not in ious), then AP of each category in order (3 +
 * K entries). Deterministic for a seed, whatever the threads. resamples 0: no intervals. */
int frcnn_eval_compare(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *ours,
		       const struct frcnn_eval_detections *baseline, const struct frcnn_eval_options *options,
		       int resamples, uint64_t seed, struct frcnn_pool *pool, struct frcnn_eval_difference *out,
		       struct frcnn_error *err);
/* Draws as many images as there are, with replacement: how often each one. Depends on seed and index alone. */
void frcnn_eval_draw_images(uint64_t seed, size_t index, size_t nimages, uint32_t *times);

#endif
