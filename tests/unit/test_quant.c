/* Scales, observers, weights in bytes: numbers that are known. */
#include "quant/quant.h"

#include <criterion/criterion.h>
#include <math.h>

Test(quant, range_to_bytes)
{
	struct frcnn_quant q = frcnn_quant_of_range(-1, 4);

	cr_assert_float_eq(q.scale, 5.0f / 255, 1e-7);
	cr_assert_eq(q.zero, 51);
	cr_assert_eq(frcnn_quant_value(q, 0), 0);
	cr_assert_float_eq(frcnn_quant_value(q, 1), 1, 0.5 * q.scale + 1e-6);
	cr_assert_float_eq(frcnn_quant_value(q, 100), 4, 1e-5);
	/* Zero is always among them. */
	q = frcnn_quant_of_range(2, 4);
	cr_assert_eq(q.zero, 0);
	cr_assert_float_eq(q.scale, 4.0f / 255, 1e-7);
	q = frcnn_quant_of_range(0, 0);
	cr_assert(q.scale == 1 && q.zero == 0);
}

/* 10,000 values up to 1 and one of 50. */
static struct frcnn_quant_histogram *outlier(void)
{
	struct frcnn_quant_histogram *h = calloc(1, sizeof *h);

	h->hi = 50;
	h->most = 50;
	for (int i = 0; i < 10000; i++)
		frcnn_quant_histogram_add(h, (float)(i + 1) / 10000, 1);
	frcnn_quant_histogram_add(h, 50, 1);
	return h;
}

Test(quant, an_outlier_costs_minmax_its_accuracy_and_not_the_default)
{
	struct frcnn_quant_histogram *h = outlier();
	enum frcnn_quant_observer chosen;
	struct frcnn_quant minmax = frcnn_quant_observe(h, NULL, FRCNN_OBSERVE_MINMAX, NULL);
	struct frcnn_quant best = frcnn_quant_observe(h, NULL, FRCNN_OBSERVE_BEST, &chosen);

	cr_assert_float_eq(minmax.scale, 50.0f / 255, 1e-3);
	cr_assert_neq(chosen, FRCNN_OBSERVE_BEST);
	cr_assert_leq(frcnn_quant_histogram_error(h, best, NULL), frcnn_quant_histogram_error(h, minmax, NULL));
	for (int o = FRCNN_OBSERVE_MINMAX; o <= FRCNN_OBSERVE_KL; o++) {
		struct frcnn_quant q = frcnn_quant_observe(h, NULL, (enum frcnn_quant_observer)o, NULL);

		cr_assert(q.scale > 0 && isfinite(q.scale) && q.zero >= 0 && q.zero <= 255);
		cr_assert_leq(frcnn_quant_histogram_error(h, best, NULL),
			      frcnn_quant_histogram_error(h, q, NULL) * 1.000001, "observer %d is better than the best",
			      o);
	}
	free(h);
}

Test(quant, other_pictures_tell_which_observer_is_the_best)
{
	struct frcnn_quant_histogram *h = outlier(), *others = calloc(1, sizeof *others);
	enum frcnn_quant_observer by_own, by_others;
	struct frcnn_quant own = frcnn_quant_observe(h, NULL, FRCNN_OBSERVE_BEST, &by_own), best;

	/* What was the odd one out among 10,000 is what others are like. */
	others->hi = h->hi;
	others->most = 50;
	for (int i = 0; i < 1000; i++)
		frcnn_quant_histogram_add(others, 40 + (float)i / 100, 1);
	best = frcnn_quant_observe(h, others, FRCNN_OBSERVE_BEST, &by_others);
	cr_assert_eq(by_others, FRCNN_OBSERVE_MINMAX);
	cr_assert_neq(by_own, FRCNN_OBSERVE_MINMAX);
	cr_assert_lt(frcnn_quant_histogram_error(others, best, NULL), frcnn_quant_histogram_error(others, own, NULL));
	cr_assert_eq(frcnn_quant_observe(h, others, FRCNN_OBSERVE_MSE, NULL).scale,
		     frcnn_quant_observe(h, NULL, FRCNN_OBSERVE_MSE, NULL).scale);
	free(others);
	free(h);
}

Test(quant, observers_have_names)
{
	for (int o = FRCNN_OBSERVE_BEST; o <= FRCNN_OBSERVE_KL; o++)
		cr_assert_eq(frcnn_quant_observer_parse(frcnn_quant_observer_name((enum frcnn_quant_observer)o)), o);
	cr_assert_eq(frcnn_quant_observer_parse("average"), -1);
}

static double error_of(const float *w, const int8_t *q, size_t n, float scale)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (w[i] - q[i] * (double)scale) * (w[i] - q[i] * (double)scale);
	return sum;
}

Test(quant, filters_are_clipped_where_that_lowers_the_error)
{
	float w[300], most = 0;
	int8_t q[300], plain[300];

	for (int i = 0; i < 300; i++)
		w[i] = sinf((float)i * 1.7f) * 0.1f;
	w[7] = 0.35f; /* far outside of the rest */
	for (int i = 0; i < 300; i++)
		most = fmaxf(most, fabsf(w[i]));
	for (int limit = 63; limit <= 127; limit += 64) {
		float scale = frcnn_quant_filter(w, NULL, 300, limit, q), whole = most / (float)limit;

		for (int i = 0; i < 300; i++) {
			cr_assert(q[i] >= -limit && q[i] <= limit);
			plain[i] = (int8_t)lrintf(w[i] / whole);
		}
		cr_assert(scale > 0 && scale <= whole * 1.00001f);
		cr_assert_leq(error_of(w, q, 300, scale), error_of(w, plain, 300, whole) * 1.000001);
	}
	memset(w, 0, sizeof w);
	cr_assert_eq(frcnn_quant_filter(w, NULL, 300, 127, q), 1);
	for (int i = 0; i < 300; i++)
		cr_assert_eq(q[i], 0);
}

/* ---- plans ------------------------------------------------------------------------------ */

#define TINY "tests/golden/models/fasterrcnn_resnet18_fpn.safetensors"

/* A model whose pyramid gives this many channels, most numbers of which are 0. */
static void widen(struct frcnn_model *model, int64_t channels)
{
	static const float zeros[16 * 1360 * 49];
	struct frcnn_checkpoint *c = &model->checkpoint;

	for (size_t i = 0; i < c->ntensors; i++) {
		struct frcnn_tensor *t = &c->tensors[i];
		bool pyramid = strstr(t->name, "fpn.layer_blocks.") != NULL;

		if (pyramid)
			t->shape[0] = channels;
		else if (!strcmp(t->name, "rpn.head.conv.0.0.weight"))
			t->shape[1] = channels;
		else if (!strcmp(t->name, "roi_heads.box_head.fc6.weight"))
			t->shape[1] = channels * 49;
		else
			continue;
		t->dtype = FRCNN_F32;
		t->data = (const uint8_t *)zeros;
		t->elements = 1;
		for (int d = t->ndim - 1; d >= 0; d--) {
			t->stride[d] = t->elements;
			t->elements *= t->shape[d];
		}
		cr_assert_leq(t->elements, (int64_t)FRCNN_COUNT(zeros));
	}
}

/* 1353 channels of 7 x 7 are 66,297 inputs, whose sums fit; of 1354 they are 66,346. */
Test(quant, filters_too_long_for_their_sums_stay_float)
{
	for (int64_t channels = 1353; channels <= 1354; channels++) {
		struct frcnn_model *model;
		struct frcnn_error err;

		cr_assert_eq(frcnn_model_open(TINY, NULL, &model, &err), 0, "%s", err.message);
		widen(model, channels);
		for (int all = 0; all <= 1; all++) {
			const char *why = channels == 1354 ? "filters too long for int8" : "";
			const struct frcnn_quant_layer *layer;
			struct frcnn_quant_plan plan;

			cr_assert_eq(frcnn_quant_plan_new(model, all, &plan, &err), 0, "%s", err.message);
			layer = frcnn_quant_plan_find(&plan, "roi_heads.box_head.fc6");
			cr_assert_not_null(layer);
			cr_assert_eq(layer->parameters, layer->out_channels * channels * 49);
			cr_assert_eq(layer->quantized, channels == 1353);
			cr_assert_eq(layer->never, channels == 1354);
			cr_assert_str_eq(layer->why, why);
			for (size_t i = 0; i < plan.nlayers; i++) {
				cr_assert_eq(plan.layers[i].never, &plan.layers[i] == layer && channels == 1354);
				cr_assert(!all || plan.layers[i].quantized != plan.layers[i].never);
			}
			frcnn_quant_plan_free(&plan);
		}
		frcnn_model_close(model);
	}
}
