/*
 * eval - how good detections are against ground truth: COCO's precision and
 * recall to the last bit of pycocotools, and every other measure that is made
 * of matches: VOC AP, TIDE's errors, calibration, confusion, thresholds, recall
 * by size, comparison of two runs. Works on columns; reading files is record/,
 * words on a terminal are bin/, pages and tables are report.
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
	uint8_t *crowd;
	int64_t *id;
	uint32_t *order; /* the object's place in the file, from 0 */
};

/* Copies what it needs but names: the ground truth must outlive it. Trap of pycocotools: see frcnn_eval_options. */
int frcnn_eval_truth_make(const struct frcnn_ground_truth *ground_truth, struct frcnn_eval_truth *out,
			  struct frcnn_error *err);
void frcnn_eval_truth_free(struct frcnn_eval_truth *truth);

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
		       double score); /* 0 or FRCNN_ENOMEM */
void frcnn_eval_collector_free(struct frcnn_eval_collector *collector);
/* Takes the collector's memory over (it is left empty). */
int frcnn_eval_detections_make(struct frcnn_eval_collector *collector, const struct frcnn_eval_truth *truth,
			       struct frcnn_pool *pool, struct frcnn_eval_detections *out, struct frcnn_error *err);
void frcnn_eval_detections_free(struct frcnn_eval_detections *detections);

/* IoU of detection d and object g; crowd: over the detection's area. */
double frcnn_eval_iou(const double d[4], const double g[4], bool crowd);

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
 * pycocotools' greedy matching at one IoU threshold, all areas, at most max_dets detections an image and category:
 * detections in descending score take the best free object with IoU >= threshold; crowds match repeatedly and are
 * ignored.
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
	int64_t *detected;  /* an object: the index of the detection that matched it, or -1 */
	double *iou;        /* a detection: with its object, or 0 */
};
int frcnn_eval_match(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		     int max_dets, struct frcnn_pool *pool, struct frcnn_eval_matches *out, struct frcnn_error *err);
void frcnn_eval_matches_free(struct frcnn_eval_matches *matches);

/* ---- Pascal VOC (voc.c) --------------------------------------------------------------------------------------------
 */

struct frcnn_eval_voc {
	double mean; /* over categories with objects; -1: none */
	double *ap;  /* ncategories; -1: no objects */
};
/* eleven: VOC 2007's 11 points (numpy linspace(0, 1, 11)), else all-point AP. Objects that are crowd (difficult) are
 * ignored. Each detection is compared with the object of highest IoU (VOC devkit's rule), IoU > or >= as the named
 * reference has it. */
int frcnn_eval_voc(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		   bool eleven, struct frcnn_eval_voc *out, struct frcnn_error *err);
void frcnn_eval_voc_free(struct frcnn_eval_voc *voc);

/* ---- TIDE's six errors (tide.c; Bolya et al. 2020, tidecv 1.0.1)
 * ----------------------------------------------------- */

struct frcnn_eval_tide {
	double ap;                                      /* 0 .. 100 as tidecv has it */
	double cls, loc, both, dupe, bkg, miss, fp, fn; /* gains in AP points when the error is mended */
	size_t counts[6];                               /* cls, loc, both, dupe, bkg, miss */
};
int frcnn_eval_tide(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    double foreground_iou, double background_iou, struct frcnn_eval_tide *out, struct frcnn_error *err);

/* ---- scores: thresholds, calibration, confusion, background (scores.c, calibration.c, confusion.c)
 * --------------------- */

struct frcnn_eval_operating {
	size_t objects, detections;   /* not crowd; kept at the threshold */
	double precision, recall, f1; /* -1: undefined */
};
struct frcnn_eval_threshold {
	double score, precision, recall, f1; /* keep score >= this; score -1: none reaches it */
};
/* At a score threshold (score > threshold kept), category k or -1 for all together. */
struct frcnn_eval_operating frcnn_eval_at_score(const struct frcnn_eval_truth *truth,
						const struct frcnn_eval_detections *detections,
						const struct frcnn_eval_matches *matches, double threshold, int k);
/* The threshold of the highest F1; of the highest recall with precision >= wanted; of the highest precision with
 * recall >= wanted. Ties: the higher score. */
enum frcnn_eval_goal { FRCNN_EVAL_BEST_F1, FRCNN_EVAL_MIN_PRECISION, FRCNN_EVAL_MIN_RECALL };
int frcnn_eval_best_score(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_matches *matches, enum frcnn_eval_goal goal, double wanted, int k,
			  struct frcnn_eval_threshold *out, struct frcnn_error *err);

/* recall.small and the like: share of non-crowd objects with low <= area <= high that are matched (at IoU 0.5 by at
 * most 100 detections an image: matches made with frcnn_eval_match at 0.5, and at most 100 an image over all
 * categories; no score cut). -1: no such objects. */
double frcnn_eval_size_recall(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			      const struct frcnn_eval_matches *matches, double low, double high, int k);

#define FRCNN_EVAL_MAX_BINS 100
struct frcnn_eval_calibration {
	int nbins;
	double ece, mce; /* expected and maximum calibration error */
	struct {
		double low, high;
		size_t count;
		double confidence, precision; /* means; 0 when empty */
	} bins[FRCNN_EVAL_MAX_BINS];
};
/* D-ECE binned by score (Kuppers et al. 2020, netcal's ECE with detection=True on the confidence alone). */
void frcnn_eval_calibration(const struct frcnn_eval_detections *detections, const struct frcnn_eval_matches *matches,
			    int nbins, double min_score, struct frcnn_eval_calibration *out);

/* (ncategories + 1) squared; rows: ground truth, columns: prediction, the last of each: background. */
int frcnn_eval_confusion(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			 double iou, double min_score, size_t **matrix, struct frcnn_error *err);

struct frcnn_eval_background {
	size_t images;                  /* without any object */
	size_t false_positives;         /* in those, above the score */
	double fp_per_image;            /* over all images: unmatched detections above the score, of any category */
	double fp_per_background_image; /* -1: no such images */
	size_t absent_detections;       /* of categories without any object, which COCO's mean hides */
};
void frcnn_eval_background(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			   const struct frcnn_eval_matches *matches, double min_score,
			   struct frcnn_eval_background *out);

/* ---- comparison of two runs (compare.c)
 * --------------------------------------------------------------------------------- */

struct frcnn_eval_difference {
	double ours, baseline, difference; /* -1 where undefined */
	double low, high;                  /* 95% interval of the difference over resampled images */
};
/* Paired bootstrap over images: both runs are evaluated on the same resamples. metrics: AP, AP50, AP75, then AP of each
 * category in order (3 + K entries). Deterministic for a seed, whatever the threads. */
int frcnn_eval_compare(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *ours,
		       const struct frcnn_eval_detections *baseline, const struct frcnn_eval_options *options,
		       int resamples, uint64_t seed, struct frcnn_pool *pool, struct frcnn_eval_difference *out,
		       struct frcnn_error *err);
/* Share of detections whose score another one of the same category and image set has exactly. */
double frcnn_eval_tied_scores(const struct frcnn_eval_detections *detections);

#endif
