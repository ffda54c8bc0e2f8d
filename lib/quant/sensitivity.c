/* One layer at a time in int8, everything else float. */
#include "quant/search.h"

#include <math.h>

/* Of a layer, over the pictures. */
struct sums {
	double signal, noise;
	struct frcnn_agreement agreement;
};

struct frcnn_sensitivity {
	struct frcnn_quant_plan ours; /* the layers as the float model's own graphs number them */
	struct frcnn_quant_model in_float, in_int8;
	struct frcnn_detector *detector;
	struct sums *layers;
};

/* The model with every layer in one form. */
static int make_model(const struct frcnn_quantizer *quantizer, const struct frcnn_quant_plan *plan, bool quantized,
		      struct frcnn_quant_model *out, struct frcnn_error *err)
{
	struct frcnn_quant_plan copy;
	int status = frcnn_quant_plan_copy(plan, &copy, err);

	for (size_t i = 0; i < copy.nlayers; i++)
		copy.layers[i].quantized = quantized && !copy.layers[i].never;
	if (!status)
		status = frcnn_quantizer_model(quantizer, &copy, out, err);
	frcnn_quant_plan_free(&copy);
	return status;
}

int frcnn_sensitivity_new(const struct frcnn_quantizer *quantizer, const struct frcnn_quant_plan *plan,
			  const struct frcnn_detector_options *options, struct frcnn_sensitivity **out,
			  struct frcnn_error *err)
{
	struct frcnn_sensitivity *s = frcnn_calloc(1, sizeof *s);
	int status;

	*out = NULL;
	if (!s)
		return frcnn_fail_nomem(err);
	s->layers = frcnn_calloc(plan->nlayers, sizeof *s->layers);
	status = s->layers ? 0 : frcnn_fail_nomem(err);
	if (!status)
		status = make_model(quantizer, plan, false, &s->in_float, err);
	if (!status)
		status = make_model(quantizer, plan, true, &s->in_int8, err);
	if (!status)
		status = frcnn_quant_plan_new(&s->in_float.model, true, &s->ours, err);
	if (!status && s->ours.nlayers != plan->nlayers)
		status = frcnn_fail(err, FRCNN_EINVAL, "the plan has %zu layers, its float model %zu", plan->nlayers,
				    s->ours.nlayers);
	if (!status)
		status = frcnn_detector_new(&s->in_float.model, options, &s->detector, err);
	if (!status)
		status = frcnn_detector_second(s->detector, &s->in_int8.model, err);
	if (status) {
		frcnn_sensitivity_free(s);
		return status;
	}
	*out = s;
	return 0;
}

void frcnn_sensitivity_free(struct frcnn_sensitivity *s)
{
	if (!s)
		return;
	frcnn_detector_free(s->detector);
	frcnn_quant_plan_free(&s->ours);
	frcnn_quant_model_free(&s->in_float);
	frcnn_quant_model_free(&s->in_int8);
	free(s->layers);
	free(s);
}

static void compare(void *context, const float *first, const float *second, size_t count)
{
	struct sums *sums = context;
	double signal = 0, noise = 0;

	for (size_t i = 0; i < count; i++) {
		double x = first[i], e = (double)second[i] - first[i];

		signal += x * x;
		noise += e * e;
	}
	sums->signal += signal;
	sums->noise += noise;
}

int frcnn_sensitivity_add(struct frcnn_sensitivity *s, const struct frcnn_image *image, bool outputs,
			  struct frcnn_error *err)
{
	struct frcnn_detections before, after;
	int status = frcnn_detect(s->detector, image, &before, err);

	/* The layers of the head come last, and those of the features must not have run again before them. */
	for (size_t i = s->ours.nlayers; i-- > 0 && !status;) {
		const struct frcnn_quant_layer *layer = &s->ours.layers[i];
		const struct frcnn_again again = {layer->head, layer->params, outputs, compare, &s->layers[i]};

		status = frcnn_detect_again(s->detector, image, &again, &after, err);
		if (!status && !outputs)
			status = frcnn_agreement_add(&s->layers[i].agreement, &before, &after, err);
		frcnn_detections_free(&after);
	}
	frcnn_detections_free(&before);
	return status;
}

void frcnn_sensitivity_tell(const struct frcnn_sensitivity *s, struct frcnn_quant_plan *plan)
{
	for (size_t i = 0; i < plan->nlayers; i++) {
		struct frcnn_quant_layer *layer = &plan->layers[i];

		layer->output_snr = frcnn_quant_decibel(s->layers[i].signal, s->layers[i].noise);
		layer->found = frcnn_agreement_found(&s->layers[i].agreement);
		layer->shift = frcnn_agreement_shift(&s->layers[i].agreement);
		if (layer->never) { /* it was float again */
			layer->output_snr = NAN;
			layer->found = layer->shift = -1;
		}
	}
}
