/* Cross-layer equalization: the float model computes the same bits, an outlier that was put in is taken out. */
#include <criterion/criterion.h>

#include "quant/quant.h"
#include "refuse.h"

#include <math.h>

#define PARTS  "share/models/parts-r18.safetensors"
#define MOBILE "tests/golden/models/fasterrcnn_mobilenet_v3_large_320_fpn.safetensors"

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

static struct frcnn_model *open_small(const char *path)
{
	struct frcnn_model_options own;
	struct frcnn_model *model;
	struct frcnn_error err;

	frcnn_model_options_init(&own);
	own.min_size = 192;
	own.max_size = 320;
	cr_assert_eq(frcnn_model_open(path, &own, &model, &err), 0, "%s", err.message);
	return model;
}

static struct frcnn_detector *detector_over(const struct frcnn_model *model)
{
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_error err;

	frcnn_detector_options_init(&options);
	options.threads = 2;
	cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0, "%s", err.message);
	return detector;
}

/* ---- outliers -------------------------------------------------------------------------- */

/* Multiplies filter `channel` of a layer, or the weights that meet that channel of its input. */
static void multiply(struct frcnn_graph *graph, const char *name, int channel, bool input, float factor)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		struct frcnn_params *p;
		size_t window, each;

		if (node->dead || node->op != FRCNN_OP_CONV || strcmp(graph->params[node->params].name, name))
			continue;
		p = &graph->params[node->params];
		window = (size_t)(node->kernel_h * node->kernel_w);
		each = (size_t)(graph->nodes[node->input[0]].channels / node->groups) * window;
		for (size_t k = 0; k < (size_t)node->channels && input; k++)
			for (size_t j = 0; j < window; j++)
				p->weight[k * each + (size_t)channel * window + j] *= factor;
		for (size_t j = 0; j < each && !input; j++)
			p->weight[(size_t)channel * each + j] *= factor;
		if (!input)
			p->bias[channel] *= factor;
		return;
	}
	cr_assert_fail("no layer %s", name);
}

struct outlier {
	const char *first, *readers[2];
	int channel;
};

static void inject(const struct frcnn_model *model, struct outlier o, struct frcnn_quant_model *out)
{
	struct frcnn_graphs graphs;
	struct frcnn_error err;

	cr_assert_eq(frcnn_graphs_build(model, true, &graphs, &err), 0, "%s", err.message);
	multiply(&graphs.features, o.first, o.channel, false, 256);
	for (int i = 0; i < 2 && o.readers[i]; i++)
		multiply(&graphs.features, o.readers[i], o.channel, true, 1 / 256.0f);
	cr_assert_eq(frcnn_quant_folded(model, &graphs, out, &err), 0, "%s", err.message);
	frcnn_graphs_free(&graphs);
}

/* ---- what is known of a model ------------------------------------------------------------ */

struct known {
	struct frcnn_calibration *calibration; /* over the detector */
	struct frcnn_detector *detector;
	struct frcnn_quant_plan plan;
	struct frcnn_detections found;
};

static void know(const struct frcnn_model *model, const struct frcnn_image *image, struct known *out)
{
	struct frcnn_quantizer *quantizer;
	struct frcnn_error err;

	out->detector = detector_over(model);
	cr_assert_eq(frcnn_calibration_new(model, out->detector, &out->calibration, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_calibration_add(out->calibration, image, NULL, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_calibration_next(out->calibration, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_calibration_add(out->calibration, image, &out->found, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_quant_plan_new(model, true, &out->plan, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_calibration_choose(out->calibration, FRCNN_OBSERVE_BEST, &out->plan, &err), 0);
	cr_assert_eq(frcnn_quantizer_new(model, out->calibration, &out->plan, NULL, &quantizer, &err), 0);
	frcnn_quantizer_free(quantizer);
}

static void forget(struct known *known)
{
	frcnn_calibration_free(known->calibration);
	frcnn_detector_free(known->detector);
	frcnn_quant_plan_free(&known->plan);
	frcnn_detections_free(&known->found);
}

static double error_of(const struct known *known, const char *name)
{
	const struct frcnn_quant_layer *layer = frcnn_quant_plan_find(&known->plan, name);

	cr_assert_not_null(layer);
	return pow(10, -layer->input_snr / 10) + pow(10, -layer->weight_snr / 10);
}

static void same_detections(const struct frcnn_detections *a, const struct frcnn_detections *b)
{
	cr_assert_gt(a->count, 0);
	cr_assert_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct frcnn_detection *x = &a->items[i], *y = &b->items[i];

		cr_assert(x->x1 == y->x1 && x->y1 == y->y1 && x->x2 == y->x2 && x->y2 == y->y2 &&
			      x->score == y->score && x->label == y->label,
			  "detection %zu", i);
	}
}

static const float *weights_of(const struct frcnn_model *model, const char *name)
{
	const struct frcnn_tensor *t = frcnn_checkpoint_find(&model->checkpoint, name);

	cr_assert_not_null(t, "%s", name);
	return (const float *)t->data;
}

/* With an outlier put into a folded model: bits as before, and the channel as it was but for a little. */
static void equalize(const char *path, struct outlier o, const char *reader, double within)
{
	struct frcnn_model *model = open_small(path);
	struct frcnn_image image = picture();
	struct frcnn_quant_model bad, good, again;
	struct known clean, before, after, now;
	struct frcnn_equalization sums, kept;
	struct frcnn_error err;

	know(model, &image, &clean);
	inject(model, o, &bad);
	know(&bad.model, &image, &before);
	same_detections(&clean.found, &before.found);
	cr_assert_gt(error_of(&before, reader), 10 * error_of(&clean, reader));

	cr_assert_eq(frcnn_quant_equalize(&bad.model, before.calibration, &before.plan, NULL, &good, &sums, &err), 0,
		     "%s", err.message);
	cr_assert(sums.changed_channels > 0 && sums.changed_channels <= sums.channels);
	know(&good.model, &image, &after);
	same_detections(&clean.found, &after.found);
	cr_assert_lt(error_of(&after, reader), within * error_of(&clean, reader));

	/* What was measured to be no better is left alone, and nothing has become worse. */
	cr_assert_eq(
	    frcnn_quant_equalize(&bad.model, before.calibration, &before.plan, &after.plan, &again, &kept, &err), 0);
	cr_assert(kept.changed_channels > 0 && kept.changed_channels <= sums.changed_channels);
	know(&again.model, &image, &now);
	same_detections(&clean.found, &now.found);
	cr_assert_lt(error_of(&now, reader), within * error_of(&clean, reader));
	forget(&clean);
	forget(&before);
	forget(&after);
	forget(&now);
	frcnn_quant_model_free(&again);
	frcnn_quant_model_free(&good);
	frcnn_quant_model_free(&bad);
	frcnn_image_free(&image);
	frcnn_model_close(model);
}

Test(quant_equalize, an_outlier_between_two_convolutions_is_undone_bit_by_bit)
{
	const struct outlier o = {"backbone.body.layer2.0.conv1", {"backbone.body.layer2.0.conv2"}, 5};

	equalize(PARTS, o, o.readers[0], 2);
}

/* The squeeze reads the channel as well, and the gates must see nothing of it. */
Test(quant_equalize, an_outlier_is_carried_through_squeeze_excite)
{
	const struct outlier o = {
	    "backbone.body.5.block.1.0", {"backbone.body.5.block.2.fc1", "backbone.body.5.block.3.0"}, 1};

	equalize(MOBILE, o, o.readers[1], 4);
}

/* Factors are powers of two, of the filter and of what reads it alike. */
Test(quant_equalize, factors_are_powers_of_two_and_only_where_they_are_exact)
{
	const struct outlier o = {"backbone.body.layer3.1.conv1", {"backbone.body.layer3.1.conv2"}, 17};
	struct frcnn_model *model = open_small(PARTS);
	struct frcnn_image image = picture();
	struct frcnn_quant_model bad, good;
	struct frcnn_equalization sums;
	struct frcnn_error err;
	struct known known;
	bool found = false;

	inject(model, o, &bad);
	know(&bad.model, &image, &known);
	cr_assert_eq(frcnn_quant_equalize(&bad.model, known.calibration, &known.plan, NULL, &good, &sums, &err), 0);
	for (size_t i = 0; i < good.model.checkpoint.ntensors; i++) {
		const struct frcnn_tensor *t = &good.model.checkpoint.tensors[i];
		const float *now = (const float *)t->data, *was = weights_of(&bad.model, t->name);

		for (int64_t k = 0; k < t->elements; k++) {
			int exponent;

			if (was[k] == 0)
				cr_assert_eq(now[k], 0, "%s", t->name);
			else
				cr_assert_eq(frexpf(now[k] / was[k], &exponent), 0.5f, "%s: %g was %g", t->name, now[k],
					     was[k]);
			found = found || now[k] != was[k];
		}
		/* What adds, and what other networks read, keeps its own scale: no factor may come out of it. */
		if (!strcmp(t->name, "backbone.body.layer3.1.conv2.bias") ||
		    !strcmp(t->name, "backbone.fpn.layer_blocks.0.0.bias") ||
		    !strcmp(t->name, "roi_heads.box_predictor.cls_score.bias"))
			cr_assert_eq(memcmp(now, was, (size_t)t->elements * sizeof *now), 0, "%s", t->name);
	}
	cr_assert(found);
	forget(&known);
	frcnn_quant_model_free(&good);
	frcnn_quant_model_free(&bad);
	frcnn_image_free(&image);
	frcnn_model_close(model);
}

Test(quant_equalize, lack_of_memory_is_told)
{
	struct frcnn_model *model = open_small(MOBILE);
	struct frcnn_image image = picture();
	struct frcnn_quant_model out;
	struct frcnn_equalization sums;
	struct frcnn_error err;
	struct known known;
	bool refused = true;

	know(model, &image, &known);
	for (size_t n = 0; refused; n += 1 + n / 16) {
		int status;

		refuse_allocation(n, false);
		status = frcnn_quant_equalize(model, known.calibration, &known.plan, NULL, &out, &sums, &err);
		refused = refuse_end();
		cr_assert_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu: %d", n, status);
		frcnn_quant_model_free(&out);
	}
	forget(&known);
	frcnn_image_free(&image);
	frcnn_model_close(model);
}
