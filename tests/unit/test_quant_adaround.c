/* Adaptive rounding: the descent on numbers that are known, and layers of a model on inputs that it did not see. */
#include <criterion/criterion.h>

#include "quant/quant.h"
#include "refuse.h"

#include <math.h>

#define PARTS  "share/models/parts-r18.safetensors"
#define MOBILE "tests/golden/models/fasterrcnn_mobilenet_v3_large_320_fpn.safetensors"
#define N      40

/* ---- one filter ------------------------------------------------------------------------ */

static double form(const float *h, const float *w, float scale, const int8_t *q, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			sum += ((double)q[i] * scale - w[i]) * h[i * n + k] * ((double)q[k] * scale - w[k]);
	return sum;
}

/* Second moments of inputs that have much in common, and weights of all signs. */
static void make(float *h, float *w, int n)
{
	for (int i = 0; i < n; i++) {
		w[i] = sinf((float)i * 2.3f + 1);
		for (int k = 0; k < n; k++)
			h[i * n + k] = 0.8f + (i == k ? 0.4f : 0) + 0.2f * cosf((float)(i - k));
	}
}

Test(quant_adaround, no_single_change_is_better_and_nearest_is_worse)
{
	float h[N * N], w[N], error[N], gradient[N], scale = 0.05f;
	int8_t nearest[N], q[N];
	double before, after;

	make(h, w, N);
	for (int i = 0; i < N; i++)
		q[i] = nearest[i] = (int8_t)lrintf(w[i] / scale);
	before = form(h, w, scale, nearest, N);
	frcnn_round_filter(h, N, w, scale, 127, q, error, gradient);
	after = form(h, w, scale, q, N);
	cr_assert_lt(after, 0.95 * before, "%g was %g", after, before);
	for (int i = 0; i < N; i++) {
		float exact = w[i] / scale;
		int8_t own = q[i];

		cr_assert(q[i] == (int)floorf(exact) || q[i] == (int)ceilf(exact), "%d of %g", q[i], (double)exact);
		q[i] = (int8_t)(own == (int)floorf(exact) ? (int)ceilf(exact) : (int)floorf(exact));
		cr_assert_geq(form(h, w, scale, q, N), after * (1 - 1e-4));
		q[i] = own;
	}
}

Test(quant_adaround, independent_inputs_are_rounded_to_nearest)
{
	float h[N * N] = {0}, w[N], error[N], gradient[N], scale = 0.01f;
	int8_t nearest[N], q[N];

	for (int i = 0; i < N; i++) {
		h[i * N + i] = 1 + (float)i;
		w[i] = sinf((float)i * 1.9f + 0.3f);
		q[i] = nearest[i] = (int8_t)lrintf(w[i] / scale);
	}
	frcnn_round_filter(h, N, w, scale, 127, q, error, gradient);
	cr_assert_arr_eq(q, nearest, N);
}

Test(quant_adaround, clipped_weights_stay_at_the_limit)
{
	float h[N * N], w[N], error[N], gradient[N], scale = 1 / 80.0f;
	int8_t q[N];

	make(h, w, N);
	for (int i = 0; i < N; i++)
		q[i] = (int8_t)fmaxf(-63, fminf(63, rintf(w[i] / scale)));
	frcnn_round_filter(h, N, w, scale, 63, q, error, gradient);
	for (int i = 0; i < N; i++) {
		cr_assert(q[i] >= -63 && q[i] <= 63);
		if (fabsf(w[i] / scale) >= 64)
			cr_assert_eq(q[i], w[i] > 0 ? 63 : -63);
	}
}

/* ---- models ------------------------------------------------------------------------------ */

static struct frcnn_image picture(int number)
{
	struct frcnn_image image = {0};
	struct frcnn_file file;
	struct frcnn_error err;
	char path[64];

	snprintf(path, sizeof path, "share/images/parts-42-%05d.jpg", number);
	cr_assert_eq(frcnn_file_open(path, 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &image, &err), 0, "%s", err.message);
	frcnn_file_close(&file);
	return image;
}

struct made {
	struct frcnn_model *model;
	struct frcnn_quant_plan plan;
	struct frcnn_quantizer *quantizer;
	struct frcnn_quant_model in_int8;
};

static void make_model(const char *path, int bits, int threads, bool round, struct made *out)
{
	struct frcnn_calibration *calibration;
	struct frcnn_detector_options options;
	struct frcnn_rounding *rounding;
	struct frcnn_model_options own;
	struct frcnn_detector *detector;
	struct frcnn_image images[2] = {picture(0), picture(1)};
	struct frcnn_error err;

	frcnn_model_options_init(&own);
	own.min_size = 128;
	own.max_size = 200;
	frcnn_detector_options_init(&options);
	options.threads = threads;
	cr_assert_eq(frcnn_model_open(path, &own, &out->model, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detector_new(out->model, &options, &detector, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_quant_plan_new(out->model, true, &out->plan, &err), 0);
	out->plan.weight_bits = bits;
	cr_assert_eq(frcnn_calibration_new(out->model, detector, &calibration, &err), 0);
	for (int i = 0; i < 4; i++) {
		if (i == 2)
			cr_assert_eq(frcnn_calibration_next(calibration, &err), 0);
		cr_assert_eq(frcnn_calibration_add(calibration, &images[i % 2], NULL, &err), 0, "%s", err.message);
	}
	cr_assert_eq(frcnn_calibration_choose(calibration, FRCNN_OBSERVE_BEST, &out->plan, &err), 0);
	cr_assert_eq(frcnn_quantizer_new(out->model, calibration, &out->plan, frcnn_detector_pool(detector),
					 &out->quantizer, &err),
		     0);
	if (round) {
		cr_assert_eq(frcnn_rounding_new(out->model, detector, &out->plan, 2, &rounding, &err), 0);
		for (int i = 0; i < 2; i++)
			cr_assert_eq(frcnn_rounding_add(rounding, &images[i], &err), 0, "%s", err.message);
		cr_assert_eq(frcnn_quantizer_round(out->quantizer, rounding, calibration, &out->plan,
						   frcnn_detector_pool(detector), &err),
			     0, "%s", err.message);
		frcnn_rounding_free(rounding);
	}
	cr_assert_eq(frcnn_quantizer_model(out->quantizer, &out->plan, &out->in_int8, &err), 0, "%s", err.message);
	frcnn_calibration_free(calibration);
	frcnn_detector_free(detector);
	for (int i = 0; i < 2; i++)
		frcnn_image_free(&images[i]);
}

static void free_made(struct made *made)
{
	frcnn_quant_model_free(&made->in_int8);
	frcnn_quantizer_free(made->quantizer);
	frcnn_quant_plan_free(&made->plan);
	frcnn_model_close(made->model);
}

/* How many values of all tensors differ. */
static size_t differences(const struct made *a, const struct made *b)
{
	const struct frcnn_checkpoint *x = &a->in_int8.model.checkpoint, *y = &b->in_int8.model.checkpoint;
	size_t count = 0;

	cr_assert_eq(x->ntensors, y->ntensors);
	for (size_t i = 0; i < x->ntensors; i++) {
		size_t size = frcnn_dtype_size(x->tensors[i].dtype);

		cr_assert_eq(x->tensors[i].elements, y->tensors[i].elements);
		for (size_t k = 0; k < (size_t)x->tensors[i].elements; k++)
			count += memcmp(x->tensors[i].data + k * size, y->tensors[i].data + k * size, size) != 0;
	}
	return count;
}

/* Nearly every layer's outputs come nearer on rows that had no part in it; threads do not show. */
Test(quant_adaround, outputs_of_layers_come_nearer_whatever_the_threads)
{
	struct made nearest, one, three;
	size_t better = 0;

	make_model(PARTS, 8, 2, false, &nearest);
	make_model(PARTS, 8, 1, true, &one);
	make_model(PARTS, 8, 3, true, &three);
	cr_assert_eq(differences(&one, &three), 0);
	cr_assert_gt(differences(&one, &nearest), 10000);
	for (size_t i = 0; i < one.plan.nlayers; i++) {
		const struct frcnn_quant_layer *layer = &one.plan.layers[i];

		cr_assert_eq(nearest.plan.layers[i].rounding_gain, 0);
		cr_assert(layer->rounding_gain >= 0 && layer->rounding_gain < 40, "%s: %g dB", layer->name,
			  layer->rounding_gain);
		cr_assert_float_eq(layer->weight_snr, nearest.plan.layers[i].weight_snr + layer->rounding_gain, 1e-9);
		better += layer->rounding_gain > 1;
	}
	cr_assert_geq(better, one.plan.nlayers * 3 / 4, "%zu of %zu layers", better, one.plan.nlayers);
	free_made(&nearest);
	free_made(&one);
	free_made(&three);
}

/* Depthwise filters see one channel each; weights of 7 bits keep their limit. */
Test(quant_adaround, depthwise_layers_and_seven_bits)
{
	for (int round = 0; round < 2; round++) {
		struct made made;
		int most = 0;

		make_model(MOBILE, 7, 2, round, &made);
		for (size_t i = 0; i < made.in_int8.model.checkpoint.ntensors; i++) {
			const struct frcnn_tensor *t = &made.in_int8.model.checkpoint.tensors[i];

			for (int64_t k = 0; k < t->elements && t->dtype == FRCNN_I8; k++)
				most = abs((int8_t)t->data[k]) > most ? abs((int8_t)t->data[k]) : most;
		}
		cr_assert_eq(most, 63);
		for (size_t i = 0; i < made.plan.nlayers && round; i++)
			cr_assert(made.plan.layers[i].rounding_gain >= 0);
		free_made(&made);
	}
}

Test(quant_adaround, lack_of_memory_is_told)
{
	struct frcnn_detector_options options;
	struct frcnn_rounding *rounding;
	struct frcnn_detector *detector;
	struct frcnn_quant_plan plan;
	struct frcnn_model *model;
	struct frcnn_error err;
	bool refused = true;

	frcnn_detector_options_init(&options);
	options.threads = 1;
	cr_assert_eq(frcnn_model_open(MOBILE, NULL, &model, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0);
	cr_assert_eq(frcnn_quant_plan_new(model, true, &plan, &err), 0);
	for (size_t n = 0; refused; n += 1 + n / 16) {
		int status;

		refuse_allocation(n, false);
		status = frcnn_rounding_new(model, detector, &plan, 64, &rounding, &err);
		refused = refuse_end();
		cr_assert_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu: %d", n, status);
		cr_assert_eq(rounding == NULL, refused);
		frcnn_rounding_free(rounding);
	}
	frcnn_quant_plan_free(&plan);
	frcnn_detector_free(detector);
	frcnn_model_close(model);
}
