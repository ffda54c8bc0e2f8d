/* The search for layers to leave float against a cost that is known; sensitivity on the model that ships. */
#include "image/image.h"
#include "quant/search.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#define LAYERS 6
#define IMAGES 40

/* ---- search -------------------------------------------------------------------------------- */

/* A world in which a plan's losses are the sum of its int8 layers', and each picture has noise of its own. */
struct world {
	double miss[LAYERS]; /* of a hundred detections a picture */
	double most_missed;  /* the gate, a share */
	double jitter;       /* of a picture, from plan to plan */
	int judged;
};

static int judge(void *context, const struct frcnn_quant_plan *plan, struct frcnn_quant_score *score,
		 struct frcnn_error *err)
{
	struct world *w = context;
	double missed = 0;

	(void)err;
	w->judged++;
	score->count = IMAGES;
	score->images = calloc(IMAGES, sizeof *score->images);
	for (size_t i = 0; i < plan->nlayers; i++)
		missed += plan->layers[i].quantized ? w->miss[i] : 0;
	for (int k = 0; k < IMAGES; k++) {
		double off = w->jitter * sin(k * 12.9898 + w->judged * 78.233);
		double lost = fmin(fmax(missed + off, 0), 100);

		score->images[k] = (struct frcnn_agreement){.wanted = 100, .found = (size_t)lround(100 - lost)};
		score->images[k].shift = (double)score->images[k].found * missed / 1000;
	}
	score->holds = missed / 100 <= w->most_missed;
	return 0;
}

/* Layer i has i + 1 multiply-adds of 21 in all. */
static struct frcnn_quant_plan made_plan(struct frcnn_quant_layer layers[LAYERS], const struct world *w)
{
	for (int i = 0; i < LAYERS; i++)
		layers[i] = (struct frcnn_quant_layer){.quantized = true,
						       .why = "",
						       .multiply_adds = i + 1,
						       .found = 1 - w->miss[i] / 100,
						       .shift = w->miss[i] / 1000};
	return (struct frcnn_quant_plan){.layers = layers, .nlayers = LAYERS, .weight_bits = 8};
}

static struct frcnn_quant_trail searched(struct world *w, struct frcnn_quant_plan *plan, const bool *locked,
					 double max_float)
{
	struct frcnn_quant_score start = {0};
	struct frcnn_quant_trail trail;
	struct frcnn_error err;

	cr_assert_eq(judge(w, plan, &start, &err), 0);
	w->judged = 0;
	cr_assert_eq(frcnn_quant_search(plan, locked, max_float, &start, judge, w, &trail, &err), 0);
	free(start.images);
	return trail;
}

Test(quant_search, the_culprits_go_and_no_more)
{
	struct world w = {{0.1, 20, 0.1, 0.1, 12, 0.1}, 0.05, 0, 0};
	struct frcnn_quant_layer layers[LAYERS];
	struct frcnn_quant_plan plan = made_plan(layers, &w);
	bool locked[LAYERS] = {0};
	struct frcnn_quant_trail trail = searched(&w, &plan, locked, 0.5);

	cr_assert(trail.holds);
	cr_assert_eq(trail.nsteps, 2);
	cr_assert_eq(trail.steps[0].layer, 1); /* 20 over 2 multiply-adds comes before 12 over 5 */
	cr_assert_eq(trail.steps[1].layer, 4);
	cr_assert(trail.steps[0].kept && trail.steps[1].kept);
	cr_assert_gt(trail.steps[1].found, trail.steps[0].found);
	for (int i = 0; i < LAYERS; i++)
		cr_assert_eq(layers[i].quantized, i != 1 && i != 4, "layer %d", i);
	cr_assert_str_eq(layers[1].why, "search");
	cr_assert_float_eq(trail.found, 0.676, 0.005);
	frcnn_quant_trail_free(&trail);
}

Test(quant_search, gates_that_hold_cost_nothing)
{
	struct world w = {{1, 1, 1, 1, 1, 1}, 0.5, 0, 0};
	struct frcnn_quant_layer layers[LAYERS];
	struct frcnn_quant_plan plan = made_plan(layers, &w);
	bool locked[LAYERS] = {0};
	struct frcnn_quant_trail trail = searched(&w, &plan, locked, 1);

	cr_assert(trail.holds);
	cr_assert_eq(trail.nsteps, 0);
	cr_assert_eq(w.judged, 0);
	frcnn_quant_trail_free(&trail);
}

Test(quant_search, the_bound_on_float_holds_and_so_do_locks)
{
	struct world w = {{1, 20, 1, 1, 12, 9}, 0.01, 0, 0};
	struct frcnn_quant_layer layers[LAYERS];
	struct frcnn_quant_plan plan = made_plan(layers, &w);
	bool locked[LAYERS] = {[1] = true};
	/* 5 of 21 may be float, 1 may not: 4 goes, then nothing else fits. */
	struct frcnn_quant_trail trail = searched(&w, &plan, locked, 5.5 / 21);

	cr_assert_not(trail.holds);
	cr_assert(layers[1].quantized);
	cr_assert_leq(frcnn_quant_plan_float_share(&plan), 5.5 / 21);
	cr_assert_not(layers[4].quantized);
	frcnn_quant_trail_free(&trail);
	plan = made_plan(layers, &w);
	trail = searched(&w, &plan, (bool[LAYERS]){0}, 0);
	cr_assert_eq(trail.nsteps, 0);
	cr_assert_eq(frcnn_quant_plan_float_share(&plan), 0);
	frcnn_quant_trail_free(&trail);
}

Test(quant_search, what_gains_no_more_than_noise_stays_int8)
{
	/* Alone, layer 2 looks as bad as any; in the plan it makes no difference that shows. */
	struct world w = {{0, 0, 0.05, 0, 0, 0}, 0, 30, 0};
	struct frcnn_quant_layer layers[LAYERS];
	struct frcnn_quant_plan plan = made_plan(layers, &w);
	bool locked[LAYERS] = {0};
	struct frcnn_quant_trail trail;

	w.most_missed = -1;
	layers[2].shift = 0;
	trail = searched(&w, &plan, locked, 1);
	cr_assert_not(trail.holds);
	for (size_t i = 0; i < trail.nsteps; i++) {
		const struct frcnn_quant_step *step = &trail.steps[i];

		cr_assert_eq(step->kept, step->gain > step->noise);
		cr_assert_eq(layers[step->layer].quantized, !step->kept);
	}
	frcnn_quant_trail_free(&trail);
}

/* ---- sensitivity --------------------------------------------------------------------------- */

static struct frcnn_image picture(void)
{
	struct frcnn_image image = {0};
	struct frcnn_file file;
	struct frcnn_error err;

	cr_assert_eq(frcnn_file_open("share/images/parts-42-00000.jpg", 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &image, &err), 0, "%s", err.message);
	frcnn_file_close(&file);
	return image;
}

static void options_of(struct frcnn_detector_options *options)
{
	frcnn_detector_options_init(options);
	options->threads = 1;
}

Test(quant_search, sensitivity_is_what_a_model_with_one_int8_layer_does)
{
	struct frcnn_model_options own;
	struct frcnn_model *model;
	struct frcnn_quant_plan plan, told;
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_calibration *calibration;
	struct frcnn_quantizer *quantizer;
	struct frcnn_sensitivity *sensitivity;
	struct frcnn_detections before;
	struct frcnn_image image = picture();
	struct frcnn_error err;

	frcnn_model_options_init(&own);
	own.min_size = 192;
	own.max_size = 320;
	options_of(&options);
	cr_assert_eq(frcnn_model_open("share/models/parts-r18.safetensors", &own, &model, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_quant_plan_new(model, true, &plan, &err), 0);
	cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0);
	cr_assert_eq(frcnn_calibration_new(model, detector, &calibration, &err), 0);
	cr_assert_eq(frcnn_calibration_add(calibration, &image, NULL, &err), 0);
	cr_assert_eq(frcnn_calibration_next(calibration, &err), 0);
	cr_assert_eq(frcnn_calibration_add(calibration, &image, &before, &err), 0);
	cr_assert_eq(frcnn_calibration_choose(calibration, FRCNN_OBSERVE_BEST, &plan, &err), 0);
	cr_assert_eq(frcnn_quantizer_new(model, calibration, &plan, NULL, &quantizer, &err), 0);
	frcnn_calibration_free(calibration);
	cr_assert_eq(frcnn_sensitivity_new(quantizer, &plan, &options, &sensitivity, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_sensitivity_add(sensitivity, &image, false, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_quant_plan_copy(&plan, &told, &err), 0);
	frcnn_sensitivity_tell(sensitivity, &told);
	frcnn_sensitivity_free(sensitivity);
	for (size_t i = 0; i < plan.nlayers; i += 5) {
		struct frcnn_quant_model made;
		struct frcnn_detector *one;
		struct frcnn_detections after;
		struct frcnn_agreement sums = {0};

		for (size_t k = 0; k < plan.nlayers; k++)
			plan.layers[k].quantized = k == i;
		cr_assert_eq(frcnn_quantizer_model(quantizer, &plan, &made, &err), 0);
		cr_assert_eq(frcnn_detector_new(&made.model, &options, &one, &err), 0);
		cr_assert_eq(frcnn_detect(one, &image, &after, &err), 0);
		cr_assert_eq(frcnn_agreement_add(&sums, &before, &after, &err), 0);
		cr_assert_float_eq(told.layers[i].found, frcnn_agreement_found(&sums), 1e-9, "%s", told.layers[i].name);
		cr_assert_float_eq(told.layers[i].shift, frcnn_agreement_shift(&sums), 1e-6, "%s", told.layers[i].name);
		cr_assert(told.layers[i].output_snr > 10 && told.layers[i].output_snr < 90, "%s: %g dB",
			  told.layers[i].name, told.layers[i].output_snr);
		frcnn_detections_free(&after);
		frcnn_detector_free(one);
		frcnn_quant_model_free(&made);
	}
	frcnn_detections_free(&before);
	frcnn_quant_plan_free(&told);
	frcnn_quant_plan_free(&plan);
	frcnn_quantizer_free(quantizer);
	frcnn_detector_free(detector);
	frcnn_model_close(model);
	frcnn_image_free(&image);
}

Test(quant_search, outputs_alone_have_the_same_signal_to_noise)
{
	struct frcnn_model *model;
	struct frcnn_quant_plan plan, both;
	struct frcnn_detector_options options;
	struct frcnn_quantizer *quantizer;
	struct frcnn_sensitivity *sensitivity;
	struct frcnn_model_options own;
	struct frcnn_image image = picture();
	struct frcnn_error err;

	frcnn_model_options_init(&own);
	own.min_size = 128;
	own.max_size = 200;
	options_of(&options);
	cr_assert_eq(frcnn_model_open("share/models/parts-r18.safetensors", &own, &model, &err), 0);
	cr_assert_eq(frcnn_quant_plan_new(model, true, &plan, &err), 0);
	for (size_t i = 0; i < plan.nlayers; i++)
		for (int k = 0; k < plan.layers[i].ninputs; k++)
			plan.layers[i].inputs[k] = frcnn_quant_of_range(-2, 2);
	cr_assert_eq(frcnn_quantizer_new(model, NULL, &plan, NULL, &quantizer, &err), 0);
	cr_assert_eq(frcnn_quant_plan_copy(&plan, &both, &err), 0);
	for (int outputs = 0; outputs < 2; outputs++) {
		cr_assert_eq(frcnn_sensitivity_new(quantizer, &plan, &options, &sensitivity, &err), 0);
		cr_assert_eq(frcnn_sensitivity_add(sensitivity, &image, outputs, &err), 0, "%s", err.message);
		frcnn_sensitivity_tell(sensitivity, outputs ? &both : &plan);
		frcnn_sensitivity_free(sensitivity);
	}
	for (size_t i = 0; i < plan.nlayers; i++) {
		cr_assert_float_eq(plan.layers[i].output_snr, both.layers[i].output_snr, 1e-9, "%s: %g and %g",
				   plan.layers[i].name, plan.layers[i].output_snr, both.layers[i].output_snr);
		cr_assert_eq(both.layers[i].found, -1);
	}
	frcnn_quant_plan_free(&plan);
	frcnn_quant_plan_free(&both);
	frcnn_quantizer_free(quantizer);
	frcnn_model_close(model);
	frcnn_image_free(&image);
}

/* ---- calibration --------------------------------------------------------------------------- */

/* Stripes about the mean that is subtracted. */
static struct frcnn_image stripes(int strength)
{
	static const int mean[3] = {124, 116, 104};
	struct frcnn_image image = {.width = 64, .height = 64};

	image.rgb = malloc((size_t)(64 * 64 * 3));
	cr_assert_not_null(image.rgb);
	for (int i = 0; i < 64 * 64 * 3; i++)
		image.rgb[i] = (uint8_t)(mean[i % 3] + (i / (64 * 3) % 8 < 4 ? strength : -strength));
	return image;
}

Test(quant_search, pictures_count_alike_in_calibration)
{
	struct frcnn_image images[] = {stripes(5), stripes(100), stripes(5), stripes(5)};
	struct frcnn_model_options own;
	struct frcnn_model *model;
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_calibration *calibration;
	const struct frcnn_quant_histogram *h;
	struct frcnn_error err;
	double faint = 0, loud = 0;

	frcnn_model_options_init(&own);
	own.min_size = own.max_size = 64;
	options_of(&options);
	cr_assert_eq(frcnn_model_open("share/models/parts-r18.safetensors", &own, &model, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0);
	cr_assert_eq(frcnn_calibration_new(model, detector, &calibration, &err), 0);
	for (int i = 0; i < 8; i++) {
		if (i == 4)
			cr_assert_eq(frcnn_calibration_next(calibration, &err), 0);
		cr_assert_eq(frcnn_calibration_add(calibration, &images[i % 4], NULL, &err), 0, "%s", err.message);
	}
	cr_assert_str_eq(frcnn_calibration_tensor_name(calibration, 0), "input of backbone.body.conv1");
	h = frcnn_calibration_histogram(calibration, 0);
	for (int i = 0; i < FRCNN_QUANT_BINS; i++) {
		double x = h->lo + (i + 0.5) * (h->hi - h->lo) / FRCNN_QUANT_BINS;

		*(fabs(x) < 0.3 ? &faint : &loud) += (double)h->weight[i] * x * x;
	}
	/* Three faint pictures, one four hundred times as strong. */
	cr_assert(faint > 2.5 * loud && faint < 3.5 * loud, "%g and %g", faint, loud);
	frcnn_calibration_free(calibration);
	frcnn_detector_free(detector);
	frcnn_model_close(model);
	for (int i = 0; i < 4; i++)
		frcnn_image_free(&images[i]);
}
