/*
 * quant - post-training quantization: from a float32 detector and pictures to
 * the same detector with int8 layers. What a plan leaves float, what the inputs
 * of layers looked like in calibration, scales chosen from that, weights in
 * bytes, and the file that comes of it. It chooses
 * nothing by accuracy: plans are made and judged by the caller. The arithmetic
 * of int8 layers is the backend's; the file's form is model/'s and graph/'s.
 *
 *   frcnn_quant_plan_new          which layers are int8
 *   frcnn_calibration_new/add/... two passes over the pictures through a float32 detector, and one over others
 *   frcnn_calibration_choose      scales of the layers' inputs, into the plan
 *   frcnn_quant_equalize          before that, a float model that bears it better
 *   frcnn_quantizer_new           weights of every layer, folded and quantized, once
 *   frcnn_quantizer_round         weights rounded by what that does to outputs
 *   frcnn_quant_write             the model of one plan, as a file
 *
 * Everything is a function of the set of pictures: what is summed over them is
 * summed in integers, so that neither their order nor the threads show.
 */
#ifndef FRCNN_QUANT_H
#define FRCNN_QUANT_H

#include "detect/detect.h"
#include "graph/graph.h"

#define FRCNN_QUANT_BINS 2048

/* ---- numbers (scale.c) ------------------------------------------------------------------------------------------ */

/* The u8 coding of [lo, hi], widened to hold 0, which becomes a byte of its own: scale = (hi - lo) / 255, zero =
 * round(-lo / scale) (Jacob et al. 2018, section 2.1). Nothing but 0 gives scale 1, zero 0. */
struct frcnn_quant frcnn_quant_of_range(double lo, double hi);
/* What is left of x in bytes: (clamp(round_half_even(x * (1 / scale)) + zero, 0, 255) - zero) * scale, in float32. */
float frcnn_quant_value(struct frcnn_quant quant, float x);
void frcnn_quant_values(struct frcnn_quant quant, const float *x, size_t count, float *out);

/* One filter in symmetric s8: the scale among fractions of max|w| / limit whose error sum of m_i * (w_i - q_i scale)^2
 * is least, m the mean square of the input that w_i meets (importance; NULL: all 1) (the diagonal of the Hessian of
 * the output's squared error, as in Nagel et al. 2020, AdaRound, section 3). limit: 127, or 63 for 7 bits. Returns the
 * scale, within [1e-20, 1e20]; out: count values, -limit .. limit. All zero: scale 1. */
float frcnn_quant_filter(const float *weight, const float *importance, size_t count, int limit, int8_t *out);

/* 10 log10(signal / noise), at most 200 (no noise). */
double frcnn_quant_decibel(double signal, double noise);

/* ---- observers (observe.c) -------------------------------------------------------------------------------------- */

enum frcnn_quant_observer {
	FRCNN_OBSERVE_BEST, /* the one of those below whose measured error is least */
	FRCNN_OBSERVE_MINMAX,
	FRCNN_OBSERVE_PERCENTILE, /* 99.99% of the values */
	FRCNN_OBSERVE_MSE,        /* least squared error */
	FRCNN_OBSERVE_KL          /* least relative entropy (Migacz 2017, 8-bit inference with TensorRT) */
};
/* "best", "minmax", "percentile", "mse", "kl"; -1: no such name. */
const char *frcnn_quant_observer_name(enum frcnn_quant_observer observer);
int frcnn_quant_observer_parse(const char *name);

/*
 * What a tensor's values looked like. count and weight are over equal bins of [lo, hi], which holds 0 and all but one
 * of 100,000 values at either end (these, rare as they are, count in the outermost bin: one freak value of a million
 * must not buy its range with the accuracy of all others). Values of exactly 0, which every coding keeps, are in zeros
 * alone. weight: as count, each value times the energy of the weights that read its channel, so that squared error in
 * it is expected squared error of the readers' outputs, and over the mean square of its picture, so that pictures count
 * alike: one whose activations are ten times those of others would choose a range for itself.
 */
struct frcnn_quant_histogram {
	double lo, hi;      /* lo <= 0 <= hi */
	double least, most; /* of the values */
	uint64_t zeros;
	uint64_t count[FRCNN_QUANT_BINS], weight[FRCNN_QUANT_BINS];
};
/* The bin of a value; inverse: bins a unit. Whatever the value, NaN too, it is one of them. */
static inline int frcnn_quant_bin(double lo, double inverse, float value)
{
	double at = (value - lo) * inverse;

	at = at > 0 ? at : 0;
	return (int)(at < FRCNN_QUANT_BINS - 1 ? at : FRCNN_QUANT_BINS - 1);
}
void frcnn_quant_histogram_add(struct frcnn_quant_histogram *histogram, float value, uint64_t weight);
/* Squared error of the coding over the histogram by weight, and the signal's own sum of squares. */
double frcnn_quant_histogram_error(const struct frcnn_quant_histogram *histogram, struct frcnn_quant quant,
				   double *signal);
/* The coding that an observer chooses; *chosen (may be NULL): itself, or the best's. judge: over the same bins, what
 * the best is told by (NULL: histogram); the rest do not look at it. */
struct frcnn_quant frcnn_quant_observe(const struct frcnn_quant_histogram *histogram,
				       const struct frcnn_quant_histogram *judge, enum frcnn_quant_observer observer,
				       enum frcnn_quant_observer *chosen);

/* ---- plans (plan.c) --------------------------------------------------------------------------------------------- */

/* A convolution or linear layer of the model; two that run as one (the RPN's 1x1s, the box predictors) are one. */
struct frcnn_quant_layer {
	char name[96];   /* the module's name; of a pair the first's */
	char second[96]; /* the other of a pair, "" */
	bool head;       /* of the head's graph; else of the features' */
	int params;      /* index into that graph's params */
	int channels, out_channels, kernel, groups;
	int64_t multiply_adds; /* at the model's own size for a 4:3 picture, all levels, all RoIs */
	int64_t parameters;    /* weights */

	bool quantized;
	bool never;      /* int8: a filter has more than FRCNN_INT8_WEIGHTS weights */
	const char *why; /* static text: why it is float, or "" */

	/* By frcnn_calibration_choose. One entry a level for the RPN's 3x3s, else one. */
	int ninputs;
	int tensors[FRCNN_MAX_LEVELS]; /* of the calibration; layers that read one tensor have the same */
	struct frcnn_quant inputs[FRCNN_MAX_LEVELS];
	enum frcnn_quant_observer observers[FRCNN_MAX_LEVELS];
	double input_snr; /* dB; the worst level */

	/* By frcnn_quantizer_new. */
	double weight_snr; /* dB, by the mean squares of the input */
	/* By frcnn_quantizer_round. */
	double rounding_gain; /* dB, of the output's error; 0: rounded to nearest */

	/* By frcnn_sensitivity_tell (search.h): of this layer alone in int8. */
	double output_snr;   /* dB; NaN: never */
	double found, shift; /* of the detections; -1: not measured, or nothing was there to find */
};

struct frcnn_quant_plan {
	struct frcnn_quant_layer *layers; /* in order of execution */
	size_t nlayers;
	int weight_bits; /* 8; 7: weights within -63 .. 63. Set it before frcnn_quantizer_new. */
};

/* Every layer int8 but the body's first convolution, the RPN's 1x1s, the box predictors and depthwise convolutions;
 * all: every layer that can be. frcnn-quantize
 * leaves float as well what has an output_snr below LEAST_SNR of bin/quantize/search.c. Change layers[i].quantized at
 * will, and why with it. Of an int8 model: FRCNN_EINVAL. */
int frcnn_quant_plan_new(const struct frcnn_model *model, bool all, struct frcnn_quant_plan *out,
			 struct frcnn_error *err);
int frcnn_quant_plan_copy(const struct frcnn_quant_plan *plan, struct frcnn_quant_plan *out, struct frcnn_error *err);
void frcnn_quant_plan_free(struct frcnn_quant_plan *plan);
/* By either name of a pair; NULL: none. */
struct frcnn_quant_layer *frcnn_quant_plan_find(const struct frcnn_quant_plan *plan, const char *name);
/* Share of all multiply-adds that stays float, 0 .. 1. */
double frcnn_quant_plan_float_share(const struct frcnn_quant_plan *plan);

/* ---- calibration (calibrate.c) ---------------------------------------------------------------------------------- */

struct frcnn_calibration;

/* Watches a float32 detector over model (both borrowed until free, which ends the watch); nothing else may watch it
 * meanwhile. No activations are kept: a histogram of FRCNN_QUANT_BINS bins a tensor, and a few numbers a channel. */
int frcnn_calibration_new(const struct frcnn_model *model, struct frcnn_detector *detector,
			  struct frcnn_calibration **out, struct frcnn_error *err);
void frcnn_calibration_free(struct frcnn_calibration *calibration);
/* Ends the watch: the detector is not needed any more, nothing can be added, what was seen can be asked for. */
void frcnn_calibration_end(struct frcnn_calibration *calibration);
/* Runs the detector on a picture: in the first pass for ranges, in the second for histograms. Both are to be given the
 * same pictures, in any order; a third, if there is one, other pictures, by which frcnn_calibration_choose measures
 * errors. detections (may be NULL): what it found, to be freed by the caller. Activations that are
 * not finite are FRCNN_EINVAL naming the layer. */
int frcnn_calibration_add(struct frcnn_calibration *calibration, const struct frcnn_image *image,
			  struct frcnn_detections *detections, struct frcnn_error *err);
/* Ends the first pass, or the second. */
int frcnn_calibration_next(struct frcnn_calibration *calibration, struct frcnn_error *err);
/* After them: scale and zero point of every layer's input, int8 or not, and input_snr into the plan. */
int frcnn_calibration_choose(const struct frcnn_calibration *calibration, enum frcnn_quant_observer observer,
			     struct frcnn_quant_plan *plan, struct frcnn_error *err);

/* A tensor that layers read: name is "input of LAYER" (the first one, "level N of the input of LAYER" where each level
 * has its own). */
size_t frcnn_calibration_tensors(const struct frcnn_calibration *calibration);
const char *frcnn_calibration_tensor_name(const struct frcnn_calibration *calibration, size_t tensor);
const struct frcnn_quant_histogram *frcnn_calibration_histogram(const struct frcnn_calibration *calibration,
								size_t tensor);
/* Mean and mean square of the input that the layer's weights meet, each in the order of one filter's weights of the
 * whole input [C, R, S]; arrays of channels * kernel * kernel. What saw no data is 0 and 1. */
void frcnn_calibration_moments(const struct frcnn_calibration *calibration, const struct frcnn_quant_layer *layer,
			       float *mean, float *square);
/* Least and most of each channel of the layer's input, over all levels; arrays of channels. What saw no data is 0. */
void frcnn_calibration_ranges(const struct frcnn_calibration *calibration, const struct frcnn_quant_layer *layer,
			      float *least, float *most);

enum frcnn_quant_warning_kind {
	FRCNN_QUANT_FEW_IMAGES, /* name is "" */
	FRCNN_QUANT_NO_DATA,    /* the tensor saw no value, or one alone */
	FRCNN_QUANT_DEAD,       /* channels that never changed */
	FRCNN_QUANT_SATURATED,  /* channels much of which lies outside of the chosen range */
	FRCNN_QUANT_DICTATOR    /* one channel that makes the tensor's range several times what it would be */
};
const char *frcnn_quant_warning_name(enum frcnn_quant_warning_kind kind); /* "few-images", "no-data", ... */
struct frcnn_quant_warning {
	enum frcnn_quant_warning_kind kind;
	char name[160]; /* of the tensor */
	char text[240]; /* one line that says it all */
};
/* Of tensors that int8 layers of the plan read. The caller frees *out. */
int frcnn_calibration_warnings(const struct frcnn_calibration *calibration, const struct frcnn_quant_plan *plan,
			       struct frcnn_quant_warning **out, size_t *count, struct frcnn_error *err);

/* ---- weights and models (quantize.c) ---------------------------------------------------------------------------- */

/* Every layer of a model in both forms, float32 with batch norm folded and int8. */
struct frcnn_quantizer;

/* calibration NULL: weights by their own error, biases as they are; otherwise both by the inputs seen: bias correction
 * subtracts the mean error that rounded weights make, sum of (q - w) E[x] (Nagel et al. 2019, Data-Free Quantization,
 * section 4.2). Sets weight_snr of the plan's layers. model and calibration: borrowed, calibration only during the
 * call. pool may be NULL. */
int frcnn_quantizer_new(const struct frcnn_model *model, const struct frcnn_calibration *calibration,
			struct frcnn_quant_plan *plan, struct frcnn_pool *pool, struct frcnn_quantizer **out,
			struct frcnn_error *err);
void frcnn_quantizer_free(struct frcnn_quantizer *quantizer);

/* The model of a plan, whose layers must be those of frcnn_quantizer_new and whose inputs chosen where it is int8: in
 * memory, for frcnn_detector_new. It borrows from the quantizer and must be freed before it. */
struct frcnn_quant_model {
	struct frcnn_model model;
	void *block;
};
int frcnn_quantizer_model(const struct frcnn_quantizer *quantizer, const struct frcnn_quant_plan *plan,
			  struct frcnn_quant_model *out, struct frcnn_error *err);
void frcnn_quant_model_free(struct frcnn_quant_model *model);
/* The float32 model with the weights of graphs, which frcnn_graphs_build made of model, fused, and which may have been
 * changed since: they are taken over. Borrows the description and nothing else from model. */
int frcnn_quant_folded(const struct frcnn_model *model, struct frcnn_graphs *graphs, struct frcnn_quant_model *out,
		       struct frcnn_error *err);

/* The same as a file, atomically. provenance: JSON text of an object, written under "quantization". */
int frcnn_quant_write(const char *path, const struct frcnn_quantizer *quantizer, const struct frcnn_quant_plan *plan,
		      const char *provenance, struct frcnn_error *err);

/* ---- equalization (equalize.c) ---------------------------------------------------------------------------------- */

/* What was done; channels and tensors that could have been changed, and those that were. */
struct frcnn_equalization {
	size_t tensors, changed_tensors, channels, changed_channels;
};

/*
 * Cross-layer equalization (Nagel et al. 2019, Data-Free Quantization through Weight Equalization and Bias Correction,
 * section 4.1): a layer's filter is divided by a factor and what reads its channel multiplied by it, across ReLU, max
 * pooling and squeeze-excite (not between its own two layers), wherever nothing else reads the channel: no addition, no
 * output of the graph, no hard swish. Weights have a scale a filter, so the first layer loses nothing by it; what
 * counts is the range of the input between the two, which has but one scale, against the weights of the layers that
 * read it. Factors are those of a few families with the least expected error by the ranges and mean squares that
 * calibration (both passes, over model) has seen, where that is a tenth less than without. They are powers of two: the
 * float model computes the same bits as before, but where numbers fall below 1e-38. before: a plan with inputs chosen
 * and weights quantized by that calibration. after (may be NULL): the same for the model that this function made
 * without it. Then factors stay only between layers whose errors (input_snr and weight_snr of those that read) became a
 * tenth less in it. out: the folded float model, in memory; see frcnn_quant_folded.
 */
int frcnn_quant_equalize(const struct frcnn_model *model, const struct frcnn_calibration *calibration,
			 const struct frcnn_quant_plan *before, const struct frcnn_quant_plan *after,
			 struct frcnn_quant_model *out, struct frcnn_equalization *sums, struct frcnn_error *err);

/* ---- adaptive rounding (adaround.c) ----------------------------------------------------------------------------- */

/*
 * AdaRound's objective (Nagel et al. 2020, Up or Down? Adaptive Rounding for Post-Training Quantization, section 3):
 * each weight is rounded up or down such that the layer's output, and not the weight, is kept best: the quadratic form
 * e^T H e of a filter's errors e, H the second moments of the inputs that its weights meet. Solved not by that paper's
 * relaxation but by coordinate descent over the bits themselves, from rounding to nearest, until no single change
 * helps. Inputs are rows of a sample, in bytes as the int8 layer reads them, taken about their mean, as bias correction
 * takes the mean of the error away. A layer of more than FRCNN_ROUND_BLOCK weights a filter is solved in blocks of
 * whole channels.
 */
#define FRCNN_ROUND_ROWS  2048 /* sampled inputs of a layer, of all images together */
#define FRCNN_ROUND_BLOCK 4608

struct frcnn_rounding;

/* Watches a float32 detector over model (both borrowed until free, which ends the watch) for the layers of plan that
 * are int8; their inputs are chosen. images: how many there will be; of each, an equal share of positions, drawn by a
 * fixed rule. */
int frcnn_rounding_new(const struct frcnn_model *model, struct frcnn_detector *detector,
		       const struct frcnn_quant_plan *plan, size_t images, struct frcnn_rounding **out,
		       struct frcnn_error *err);
void frcnn_rounding_free(struct frcnn_rounding *rounding);
/* Runs the detector on the next image; their order is part of the result. */
int frcnn_rounding_add(struct frcnn_rounding *rounding, const struct frcnn_image *image, struct frcnn_error *err);
/* Rounds the filters of one layer. weight: [K][row]; scale: [K]; quantized: [K][row], rounded to nearest, changed. An
 * eighth of the rows takes no part and judges: gain is by how many dB the error of the outputs is less there; where it
 * is not less (or nothing was sampled) nothing changes and gain is 0. The same whatever the threads. */
int frcnn_rounding_solve(const struct frcnn_rounding *rounding, const struct frcnn_quant_layer *layer,
			 const float *weight, const float *scale, int limit, struct frcnn_pool *pool, int8_t *quantized,
			 double *gain, struct frcnn_error *err);
/* The descent for one filter of n weights; h: [n][n]; error and gradient: room for n values each. A weight outside of
 * the limit stays at it. */
void frcnn_round_filter(const float *h, size_t n, const float *weight, float scale, int limit, int8_t *quantized,
			float *error, float *gradient);

/* Rounds every layer that was sampled anew and corrects its biases by that; weight_snr of the plan's layers grows by
 * the gain, which is kept in rounding_gain. */
int frcnn_quantizer_round(struct frcnn_quantizer *quantizer, const struct frcnn_rounding *rounding,
			  const struct frcnn_calibration *calibration, struct frcnn_quant_plan *plan,
			  struct frcnn_pool *pool, struct frcnn_error *err);

#endif
