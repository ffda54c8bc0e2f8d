/*
 * search - which int8 layers cost accuracy, and which are better left float. Part
 * of quant/: sensitivity (one layer in int8 at a time, everything else float) and a
 * greedy search that leaves layers float until the caller's gates hold. Pictures,
 * detectors of whole plans and gates are the caller's.
 */
#ifndef FRCNN_SEARCH_H
#define FRCNN_SEARCH_H

#include "quant/measure.h"
#include "quant/quant.h"

/* ---- sensitivity (sensitivity.c) -------------------------------------------------------------------------------- */

/*
 * On float input, of a layer alone: the signal to noise of its output, activation and fused addition included, and what
 * detections become of it. A picture costs one float pass, in which all values are kept, and then for each layer what
 * comes after it: on average half a pass. Of outputs alone it costs little more than two passes.
 */
struct frcnn_sensitivity;

/* Every layer of plan must have its inputs chosen. quantizer and plan are borrowed until free. */
int frcnn_sensitivity_new(const struct frcnn_quantizer *quantizer, const struct frcnn_quant_plan *plan,
			  const struct frcnn_detector_options *options, struct frcnn_sensitivity **out,
			  struct frcnn_error *err);
void frcnn_sensitivity_free(struct frcnn_sensitivity *sensitivity);
/* outputs: only those of the layers are looked at, not the detections. */
int frcnn_sensitivity_add(struct frcnn_sensitivity *sensitivity, const struct frcnn_image *image, bool outputs,
			  struct frcnn_error *err);
/* output_snr, found and shift of each layer over the pictures added, into a plan of the same layers. */
void frcnn_sensitivity_tell(const struct frcnn_sensitivity *sensitivity, struct frcnn_quant_plan *plan);

/* ---- search (search.c) ------------------------------------------------------------------------------------------ */

/* What a plan does to the pictures of the search set; images: one entry a picture, in the same order for every plan. */
struct frcnn_quant_score {
	struct frcnn_agreement *images; /* owned by who asked */
	size_t count;
	bool holds; /* all gates */
};
/* Tries a plan. */
typedef int frcnn_quant_judge(void *context, const struct frcnn_quant_plan *plan, struct frcnn_quant_score *score,
			      struct frcnn_error *err);

/* A layer that was left float on trial. found and shift: of the plan with it float (-1: nothing was there to find). */
struct frcnn_quant_step {
	size_t layer; /* index into the plan */
	double found, shift;
	double gain, noise; /* see frcnn_quant_search */
	bool kept;
};

/* What a search did. */
struct frcnn_quant_trail {
	double found, shift; /* of the plan that it began with */
	struct frcnn_quant_step *steps;
	size_t nsteps;
	bool holds; /* the gates, with the plan as it is now */
};
void frcnn_quant_trail_free(struct frcnn_quant_trail *trail);

/*
 * Leaves int8 layers of plan float, one at a time, until the gates hold or nothing is left to try. The loss of a plan
 * is (1 - found) / (1 - found0) + shift / shift0, by the plan that the search began with. Layers come in descending
 * order of the loss that each one alone makes (frcnn_sensitivity_tell) over its multiply-adds; those that make less
 * than a hundredth of the sum of all are passed over, and so are those that would raise the float share above
 * max_float. A layer stays float when the loss falls by more than noise, the standard deviation of that gain over
 * FRCNN_SEARCH_RESAMPLES paired resamples of the pictures. At most FRCNN_SEARCH_TRIALS layers are tried. It asks no
 * clock: the outcome is a function of pictures and plan.
 * locked: one entry a layer, those that stay as they are. start: the score of plan as it is.
 */
#define FRCNN_SEARCH_RESAMPLES 400
#define FRCNN_SEARCH_TRIALS    24
int frcnn_quant_search(struct frcnn_quant_plan *plan, const bool *locked, double max_float,
		       const struct frcnn_quant_score *start, frcnn_quant_judge *judge, void *context,
		       struct frcnn_quant_trail *out, struct frcnn_error *err);

#endif
