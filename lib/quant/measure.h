/*
 * measure - what quantization cost: the detections of the float model (before)
 * against those of the int8 model (after) on images that chose nothing. Part of
 * quant/; opens no files, runs no network, prints nothing.
 *
 * found: the share of the float detections with score >= FRCNN_COST_SCORE that have
 * a counterpart: an int8 detection of the same label with IoU >= FRCNN_COST_IOU,
 * one to one, whatever its score. shift: the mean absolute difference of the two
 * scores over those found. With ground truth also AP and what else lib/eval measures,
 * with its paired bootstrap.
 */
#ifndef FRCNN_MEASURE_H
#define FRCNN_MEASURE_H

#include "eval/report.h"
#include "model/model.h"

#define FRCNN_COST_SCORE 0.5
#define FRCNN_COST_IOU   0.9

/* ---- found and shift ----------------------------------------------------------------------------------------- */

/* Sums over images; zero-initialise. */
struct frcnn_agreement {
	size_t wanted, found; /* float detections with score >= FRCNN_COST_SCORE; those with a counterpart */
	double shift;         /* sum of absolute differences of scores over the found */
};
/* Adds one image. Both lists in descending score, as a detector gives them. The float detections take their
 * counterparts in that order, each the free one of highest IoU (equals: the earlier). FRCNN_ENOMEM. */
int frcnn_agreement_add(struct frcnn_agreement *sums, const struct frcnn_detections *before,
			const struct frcnn_detections *after, struct frcnn_error *err);
double frcnn_agreement_found(const struct frcnn_agreement *sums); /* -1: nothing wanted */
double frcnn_agreement_shift(const struct frcnn_agreement *sums); /* -1: nothing found */

/* ---- the cost ------------------------------------------------------------------------------------------------ */

struct frcnn_cost;

/* What images[i], i < count, of the ground truth (its index; SIZE_MAX: it does not know that image) is to the i-th
 * measured image. truth NULL: there is none, and images is not read. Everything is borrowed until free but images.
 * truth_name is for messages. */
int frcnn_cost_new(const struct frcnn_model *model, const struct frcnn_ground_truth *truth, const char *truth_name,
		   const size_t *images, size_t count, struct frcnn_cost **out, struct frcnn_error *err);
void frcnn_cost_free(struct frcnn_cost *cost);

/* The detections of the i-th image, each image once, in any order (equal scores are told apart by the order). */
int frcnn_cost_add(struct frcnn_cost *cost, size_t i, const struct frcnn_detections *before,
		   const struct frcnn_detections *after, struct frcnn_error *err);

/* After the last image. The report belongs to the cost: models[0] is the int8 model with the metrics "found" and
 * "shift"; with ground truth, and an image that it knows, it is measured as frcnn-eval does, baseline is the float
 * model and differences compares them (resamples, seed: of the bootstrap; 0 resamples: no intervals). Warnings on how
 * detections and ground truth fit are among the report's. */
int frcnn_cost_finish(struct frcnn_cost *cost, int resamples, uint64_t seed, struct frcnn_pool *pool,
		      struct frcnn_report **report, struct frcnn_error *err);
const struct frcnn_agreement *frcnn_cost_agreement(const struct frcnn_cost *cost);
/* Images that were added, and of these such that the ground truth knows. */
size_t frcnn_cost_images(const struct frcnn_cost *cost);
size_t frcnn_cost_known(const struct frcnn_cost *cost);

#endif
