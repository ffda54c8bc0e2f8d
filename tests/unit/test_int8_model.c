/* Folded and int8 model files: written, read into graphs, and every fault in one refused by name. */
#include "graph/graph.h"
#include "int8_model.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

static const char *const architectures[] = {
    "fasterrcnn_resnet18_fpn",           "fasterrcnn_resnet34_fpn",
    "fasterrcnn_resnet50_fpn",           "fasterrcnn_resnet101_fpn",
    "fasterrcnn_resnet152_fpn",          "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn",
};

static void temporary(char *path, size_t size, const char *name)
{
	snprintf(path, size, "/tmp/frcnn-int8-%ld-%s", (long)getpid(), name);
}

static struct frcnn_model *open_path(const char *path, const char *arch)
{
	struct frcnn_model_options options;
	struct frcnn_model *model;
	struct frcnn_error err;

	frcnn_model_options_init(&options);
	options.arch = arch;
	cr_assert_eq(frcnn_model_open(path, &options, &model, &err), 0, "%s", err.message);
	return model;
}

static struct frcnn_model *open_float(const char *arch)
{
	char path[160];

	snprintf(path, sizeof path, "tests/golden/models/%s.safetensors", arch);
	return open_path(path, arch);
}

static struct frcnn_model *write_and_open(const struct made_model *made, const struct frcnn_model *from)
{
	struct frcnn_model *model;
	char path[64];

	temporary(path, sizeof path, "made.safetensors");
	made_write(made, from, path);
	model = open_path(path, NULL);
	unlink(path);
	return model;
}

static void build(const struct frcnn_model *model, struct frcnn_graphs *out)
{
	struct frcnn_error err;

	cr_assert_eq(frcnn_graphs_build(model, true, out, &err), 0, "%s", err.message);
}

/* Live nodes of both, in order, are the same but for their numbers, with the same float weights. */
static void same_graph(const struct frcnn_graph *a, const struct frcnn_graph *b)
{
	size_t i = 0, k = 0;

	for (;; i++, k++) {
		const struct frcnn_node *m, *n;
		size_t row;

		while (i < a->count && a->nodes[i].dead)
			i++;
		while (k < b->count && b->nodes[k].dead)
			k++;
		if (i == a->count || k == b->count)
			break;
		m = &a->nodes[i];
		n = &b->nodes[k];
		cr_assert(m->op == n->op && m->act == n->act && m->channels == n->channels && m->stride == n->stride &&
			  m->kernel_h == n->kernel_h && m->groups == n->groups &&
			  (m->residual < 0) == (n->residual < 0));
		if (m->op != FRCNN_OP_CONV)
			continue;
		cr_assert_str_eq(a->params[m->params].name, b->params[n->params].name);
		row = (size_t)(a->nodes[m->input[0]].channels / m->groups * m->kernel_h * m->kernel_w);
		cr_assert_arr_eq(a->params[m->params].weight, b->params[n->params].weight,
				 row * (size_t)m->channels * sizeof(float));
		cr_assert_arr_eq(a->params[m->params].bias, b->params[n->params].bias,
				 (size_t)m->channels * sizeof(float));
	}
	cr_assert(i == a->count && k == b->count, "one graph has nodes that the other has not");
}

/* ---- folded ------------------------------------------------------------------------------------------------------ */

Test(int8_model, folded_is_the_same_network)
{
	for (size_t i = 0; i < FRCNN_COUNT(architectures); i++) {
		struct frcnn_model *model = open_float(architectures[i]), *folded, *bare;
		struct frcnn_graphs a, b;
		struct made_model made;
		struct frcnn_error err;
		char path[64];

		cr_assert_not(model->description.folded);
		made_fold(model, &made);
		folded = write_and_open(&made, model);
		cr_assert(folded->description.folded && !folded->description.quantized);
		cr_assert_str_eq(folded->description.architecture, architectures[i]);
		build(model, &a);
		build(folded, &b);
		same_graph(&a.features, &b.features);
		same_graph(&a.head, &b.head);
		frcnn_graphs_free(&b);

		/* without metadata the tensors tell it */
		temporary(path, sizeof path, "bare.safetensors");
		cr_assert_eq(frcnn_safetensors_write(path, &folded->checkpoint, FRCNN_F32, NULL, &err), 0, "%s",
			     err.message);
		bare = open_path(path, architectures[i]);
		unlink(path);
		cr_assert(bare->description.folded && bare->description.v2 == model->description.v2);
		build(bare, &b);
		same_graph(&a.features, &b.features);
		frcnn_graphs_free(&a);
		frcnn_graphs_free(&b);
		made_free(&made);
		frcnn_model_close(bare);
		frcnn_model_close(folded);
		frcnn_model_close(model);
	}
}

static void detect(const struct frcnn_model *model, struct frcnn_detections *out)
{
	static uint8_t rgb[64 * 48 * 3];
	struct frcnn_image image = {.width = 64, .height = 48, .rgb = rgb};
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_error err;
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof rgb; i++) {
		state = state * 1664525u + 1013904223u;
		rgb[i] = (uint8_t)(state >> 24);
	}
	frcnn_detector_options_init(&options);
	options.score = 0;
	options.threads = 1;
	cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detect(detector, &image, out, &err), 0, "%s", err.message);
	frcnn_detector_free(detector);
}

Test(int8_model, folded_finds_the_same)
{
	static const char *const some[] = {"fasterrcnn_resnet18_fpn", "fasterrcnn_resnet50_fpn_v2",
					   "fasterrcnn_mobilenet_v3_large_320_fpn"};

	for (size_t i = 0; i < FRCNN_COUNT(some); i++) {
		struct frcnn_model *model = open_float(some[i]), *folded;
		struct frcnn_detections a, b;
		struct made_model made;

		model->description.min_size = 64;
		model->description.max_size = 96;
		made_fold(model, &made);
		folded = write_and_open(&made, model);
		detect(model, &a);
		detect(folded, &b);
		cr_assert_gt(a.count, 0);
		cr_assert_eq(a.count, b.count);
		for (size_t k = 0; k < a.count; k++) {
			const struct frcnn_detection *p = &a.items[k], *q = &b.items[k];

			cr_assert(p->label == q->label && p->score == q->score && p->x1 == q->x1 && p->y1 == q->y1 &&
				  p->x2 == q->x2 && p->y2 == q->y2);
		}
		frcnn_detections_free(&a);
		frcnn_detections_free(&b);
		made_free(&made);
		frcnn_model_close(folded);
		frcnn_model_close(model);
	}
}

/* ---- int8 -------------------------------------------------------------------------------------------------------- */

/* Every layer of the graph against the tensors it was made from. */
static void check_layers(const struct frcnn_graph *graph, struct made_model *made, int *layers, int *by_level)
{
	int level, repeats = 0, last = -1;

	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		const struct frcnn_params *p;
		const struct frcnn_named_tensor *weight, *scale, *zero;
		char name[160];
		size_t filters, row = 1;

		if (node->dead || node->op != FRCNN_OP_CONV)
			continue;
		p = &graph->params[node->params];
		cr_assert_not_null(p->quantized, "%s is float", p->name);
		cr_assert_null(p->weight);
		snprintf(name, sizeof name, "%s.weight", p->name);
		weight = made_find(made, name);
		filters = (size_t)weight->shape[0]; /* of a pair the first's */
		for (int d = 1; d < weight->ndim; d++)
			row *= (size_t)weight->shape[d];
		cr_assert_arr_eq(p->quantized, weight->data, filters * row);
		snprintf(name, sizeof name, "%s.scale", p->name);
		cr_assert_arr_eq(p->scale, made_find(made, name)->data, filters * sizeof(float));
		snprintf(name, sizeof name, "%s.bias", p->name);
		cr_assert_arr_eq(p->bias, made_find(made, name)->data, filters * sizeof(float));
		if (filters != (size_t)node->channels) {
			bool rpn = strncmp(p->name, "rpn", 3) == 0;

			weight = made_find(made, rpn ? "rpn.head.bbox_pred.weight"
						     : "roi_heads.box_predictor.bbox_pred.weight");
			cr_assert_eq((size_t)node->channels, filters + (size_t)weight->shape[0]);
			cr_assert_arr_eq(p->quantized + filters * row, weight->data, (size_t)weight->shape[0] * row);
			scale = made_find(made,
					  rpn ? "rpn.head.bbox_pred.scale" : "roi_heads.box_predictor.bbox_pred.scale");
			cr_assert_arr_eq(p->scale + filters, scale->data, (size_t)weight->shape[0] * sizeof(float));
		}
		snprintf(name, sizeof name, "%s.input.scale", p->name);
		scale = made_find(made, name);
		snprintf(name, sizeof name, "%s.input.zero_point", p->name);
		zero = made_find(made, name);
		/* a node of the same layer again: the next level */
		level = 0;
		if (scale->shape[0] > 1) {
			repeats = node->params == last ? repeats + 1 : 0;
			last = node->params;
			level = repeats;
		}
		cr_assert_lt(level, scale->shape[0]);
		cr_assert_eq(node->quant.scale, ((const float *)scale->data)[level]);
		cr_assert_eq(node->quant.zero, ((const uint8_t *)zero->data)[level]);
		++*layers;
		*by_level += level > 0;
	}
}

Test(int8_model, every_layer_of_every_architecture)
{
	for (size_t i = 0; i < FRCNN_COUNT(architectures); i++) {
		struct frcnn_model *model = open_float(architectures[i]), *quantized;
		int levels = model->description.nlevels, layers = 0, by_level = 0;
		struct frcnn_buffer text = {0};
		struct frcnn_graphs graphs;
		struct made_model made;
		struct frcnn_error err;

		if (model->description.v2) { /* two convolutions read by level there, one after the other */
			made_fold(model, &made);
			made_quantize(&made, "rpn.head.conv.1.0", levels, 0.5F, 1);
		} else {
			made_fold(model, &made);
			made_quantize_all(&made, levels);
		}
		quantized = write_and_open(&made, model);
		cr_assert(quantized->description.folded && quantized->description.quantized);
		cr_assert_str_eq(quantized->description.architecture, architectures[i]);
		cr_assert_eq(frcnn_model_check(quantized, &err), 0, "%s", err.message);
		build(quantized, &graphs);
		if (!model->description.v2) {
			check_layers(&graphs.features, &made, &layers, &by_level);
			check_layers(&graphs.head, &made, &layers, &by_level);
			cr_assert_gt(layers, 20);
			cr_assert_eq(by_level, levels - 1);
		}
		frcnn_graph_print(&graphs.features, &text);
		frcnn_buffer_putc(&text, '\0');
		cr_assert_not_null(strstr(text.data, model->description.v2
							 ? "rpn.head.conv.1.0 int8, input scale 1.5 zero 3\n"
							 : "int8, input scale "));
		frcnn_buffer_free(&text);
		frcnn_graphs_free(&graphs);
		made_free(&made);
		frcnn_model_close(quantized);
		frcnn_model_close(model);
	}
}

Test(int8_model, work_is_counted)
{
	struct frcnn_model *model = open_float("fasterrcnn_mobilenet_v3_large_fpn");
	struct frcnn_graphs graphs;
	struct frcnn_error err;
	int64_t sum = 0, depthwise = 0;

	build(model, &graphs);
	cr_assert_eq(frcnn_graph_shape(&graphs.features, 64, 96, &err), 0);
	for (size_t i = 0; i < graphs.features.count; i++) {
		const struct frcnn_node *n = &graphs.features.nodes[i];
		int64_t work = frcnn_graph_multiply_adds(&graphs.features, (int)i);

		cr_assert_eq(work > 0, !n->dead && n->op == FRCNN_OP_CONV);
		sum += work;
		if (work > 0 && n->groups > 1 && depthwise == 0) {
			depthwise = work;
			cr_assert_eq(work, (int64_t)32 * 48 * n->channels * 9);
		}
	}
	cr_assert(depthwise > 0 && sum > depthwise);
	frcnn_graphs_free(&graphs);
	frcnn_model_close(model);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

#define LAYER "backbone.body.layer1.0.conv1"
#define RPN   "rpn.head.conv.0.0"
#define LOGIT "rpn.head.cls_logits"
#define DELTA "rpn.head.bbox_pred"

enum fault { DROP, FILL, SHAPE, DTYPE, FLOAT_AGAIN };

static const struct {
	const char *tensor;
	enum fault fault;
	float value; /* FILL: of its last element; SHAPE: elements there are */
	const char *says;
} faults[] = {
    {LAYER ".scale", DROP, 0, "missing tensor " LAYER ".scale"},
    {LAYER ".bias", DROP, 0, "missing tensor " LAYER ".bias"},
    {LAYER ".input.scale", DROP, 0, "missing tensor " LAYER ".input.scale"},
    {LAYER ".input.zero_point", DROP, 0, "missing tensor " LAYER ".input.zero_point"},
    {LAYER ".scale", FILL, NAN, "tensor \"" LAYER ".scale\" holds a value that is not finite"},
    {LAYER ".scale", FILL, INFINITY, "tensor \"" LAYER ".scale\" holds a value that is not finite"},
    {LAYER ".scale", FILL, 0, "tensor " LAYER ".scale holds 0, expected scales from 1e-20 to 1e+20"},
    {LAYER ".scale", FILL, -0.5F, "tensor " LAYER ".scale holds -0.5, expected scales from 1e-20 to 1e+20"},
    {LAYER ".scale", FILL, 2e20F, "tensor " LAYER ".scale holds 2e+20, expected scales from 1e-20 to 1e+20"},
    {LAYER ".scale", FILL, 1e-21F, "tensor " LAYER ".scale holds 1e-21, expected scales from 1e-20 to 1e+20"},
    {LAYER ".scale", SHAPE, 1, "tensor " LAYER ".scale has shape [1], expected ["},
    {LAYER ".scale", DTYPE, 0, "tensor " LAYER ".scale is F16, expected F32"},
    {LAYER ".bias", FILL, NAN, "tensor \"" LAYER ".bias\" holds a value that is not finite"},
    {LAYER ".bias", SHAPE, 2, "tensor " LAYER ".bias has shape [2], expected ["},
    {LAYER ".input.scale", FILL, NAN, "tensor \"" LAYER ".input.scale\" holds a value that is not finite"},
    {LAYER ".input.scale", FILL, 0, "tensor " LAYER ".input.scale holds 0, expected scales from"},
    {LAYER ".input.scale", FILL, -1, "tensor " LAYER ".input.scale holds -1, expected scales from"},
    {LAYER ".input.scale", FILL, 3e38F, "tensor " LAYER ".input.scale holds 3e+38, expected scales from"},
    {LAYER ".input.scale", SHAPE, 2, "tensor " LAYER ".input.scale has shape [2], expected [1]"},
    {LAYER ".input.scale", SHAPE, 5, "tensor " LAYER ".input.scale has shape [5], expected [1]"},
    {LAYER ".input.zero_point", SHAPE, 2, "tensor " LAYER ".input.zero_point has shape [2], expected [1]"},
    {LAYER ".input.zero_point", DTYPE, 0, "tensor " LAYER ".input.zero_point is F16, expected U8"},
    {LAYER ".weight", FILL, -128, "tensor " LAYER ".weight holds -128, expected -127 to 127"},
    {LAYER ".weight", SHAPE, 3, "tensor " LAYER ".weight has shape [3], expected [any,"},
    {LAYER ".weight", FLOAT_AGAIN, 0, "has no place in"},
    {RPN ".input.scale", SHAPE, 4, "tensor " RPN ".input.scale has shape [4], expected [5]"},
    {RPN ".input.scale", SHAPE, 1, "tensor " RPN ".input.zero_point has shape [5], expected [1]"},
    {RPN ".input.scale", FILL, NAN, "tensor \"" RPN ".input.scale\" holds a value that is not finite"},
    {RPN ".input.zero_point", SHAPE, 1, "tensor " RPN ".input.zero_point has shape [1], expected [5]"},
    {DELTA ".input.scale", FILL, 0.02F,
     LOGIT " and " DELTA " have other input scales or zero points, but they run as one"},
    {DELTA ".input.zero_point", FILL, 8,
     LOGIT " and " DELTA " have other input scales or zero points, but they run as one"},
    {LOGIT ".weight", FLOAT_AGAIN, 0, LOGIT " is F32 and " DELTA " is I8, but they run as one"},
    {DELTA ".scale", DROP, 0, "missing tensor " DELTA ".scale"},
    {DELTA ".scale", FILL, -1, "tensor " DELTA ".scale holds -1, expected scales from"},
    {DELTA ".weight", FILL, -128, "tensor " DELTA ".weight holds -128, expected -127 to 127"},
    {"roi_heads.box_predictor.cls_score.weight", FLOAT_AGAIN, 0, "but they run as one"},
    {"roi_heads.box_head.fc6.weight", FILL, -128, "tensor roi_heads.box_head.fc6.weight holds -128"},
};

static size_t elements_of(const struct frcnn_named_tensor *t)
{
	size_t n = 1;

	for (int i = 0; i < t->ndim; i++)
		n *= (size_t)t->shape[i];
	return n;
}

static void spoil(struct made_model *made, const char *name, enum fault fault, float value)
{
	static const float zeros[1 << 20];
	struct frcnn_named_tensor *t = made_find(made, name);
	size_t last = elements_of(t) - 1;
	uint8_t *bytes = (uint8_t *)(uintptr_t)t->data;
	int8_t small;

	switch (fault) {
	case DROP:
		made_drop(made, name);
		break;
	case FILL:
		if (t->dtype == FRCNN_F32) {
			memcpy(bytes + last * sizeof value, &value, sizeof value);
		} else {
			small = (int8_t)value;
			memcpy(bytes + last, &small, 1);
		}
		break;
	case SHAPE:
		made_put(made, name, t->dtype, 1, (int64_t[]){(int64_t)value},
			 t->ndim == 1 && last > 0 ? t->data : zeros);
		break;
	case DTYPE:
		made_put(made, name, FRCNN_F16, t->ndim, (int64_t[]){(int64_t)last + 1}, zeros);
		break;
	case FLOAT_AGAIN:
		cr_assert_lt(last, FRCNN_COUNT(zeros));
		made_put(made, name, FRCNN_F32, t->ndim,
			 (int64_t[]){t->shape[0], t->shape[1], t->shape[2], t->shape[3]}, zeros);
		break;
	}
}

Test(int8_model, faults_are_named)
{
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn");

	for (size_t i = 0; i < FRCNN_COUNT(faults); i++) {
		struct frcnn_model *bad;
		struct made_model made;
		struct frcnn_error err = {0};

		made_fold(model, &made);
		made_quantize_all(&made, 5);
		spoil(&made, faults[i].tensor, faults[i].fault, faults[i].value);
		bad = write_and_open(&made, model);
		cr_expect_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT, "%s, %g: accepted", faults[i].tensor,
			     (double)faults[i].value);
		cr_expect(strstr(err.message, faults[i].says), "%s: \"%s\", expected \"%s\"", faults[i].tensor,
			  err.message, faults[i].says);
		cr_expect_null(strchr(err.message, '\n'));
		frcnn_model_close(bad);
		made_free(&made);
	}
	frcnn_model_close(model);
}

/* A filter whose sums could wrap around, and one whose sums just fit. */
Test(int8_model, filters_are_not_too_long_for_their_sums)
{
	static const int8_t weights[FRCNN_INT8_WEIGHTS + 1];
	static const float one = 1;
	static const uint8_t zero;

	for (int64_t n = FRCNN_INT8_WEIGHTS; n <= FRCNN_INT8_WEIGHTS + 1; n++) {
		const uint8_t *number = (const uint8_t *)&one;
		struct frcnn_tensor tensors[] = {
		    {"x.bias", FRCNN_F32, 1, {1}, {1}, number, 1},
		    {"x.input.scale", FRCNN_F32, 1, {1}, {1}, number, 1},
		    {"x.input.zero_point", FRCNN_U8, 1, {1}, {1}, &zero, 1},
		    {"x.scale", FRCNN_F32, 1, {1}, {1}, number, 1},
		    {"x.weight", FRCNN_I8, 2, {1, n}, {n, 1}, (const uint8_t *)weights, n},
		};
		const struct frcnn_checkpoint checkpoint = {.tensors = tensors, .ntensors = FRCNN_COUNT(tensors)};
		const struct frcnn_description description = {.folded = true};
		bool used[FRCNN_COUNT(tensors)] = {false};
		struct frcnn_graph graph = {0};
		struct frcnn_error err = {0};
		struct frcnn_builder b = {
		    .graph = &graph, .checkpoint = &checkpoint, .description = &description, .used = used, .err = &err};
		bool fits = n <= FRCNN_INT8_WEIGHTS;

		frcnn_build_linear(&b, frcnn_build_input(&b, (int)n), "x", 1);
		cr_assert_eq(b.status, fits ? 0 : FRCNN_EFORMAT, "%s", err.message);
		if (!fits)
			cr_assert(strstr(err.message, "tensor x.weight has 66312 weights a filter"), "%s", err.message);
		frcnn_graph_free(&graph);
	}
	cr_assert_leq((int64_t)FRCNN_INT8_WEIGHTS * 255 * 127, INT32_MAX);
	cr_assert_gt((int64_t)(FRCNN_INT8_WEIGHTS + 1) * 255 * 127, INT32_MAX);
}

/* Where any number will do but not this one, the message says which will. */
Test(int8_model, numbers_of_filters_have_bounds)
{
	static const int8_t weights[(1 << 20) + 1];
	static const struct {
		int64_t filters, inputs;
		const char *text;
	} cases[] = {{(1 << 20) + 1, 1, "tensor x.weight has shape [1048577,1], expected [1 to 1048576,1]"},
		     {(1 << 20) + 1, 2, "tensor x.weight has shape [1048577,1], expected [1 to 1048576,2]"},
		     {3, 2, "tensor x.weight has shape [3,1], expected [any,2]"}};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		int64_t k = cases[i].filters;
		struct frcnn_tensor tensor = {"x.weight", FRCNN_I8, 2, {k, 1}, {1, 1}, (const uint8_t *)weights, k};
		const struct frcnn_checkpoint checkpoint = {.tensors = &tensor, .ntensors = 1};
		const struct frcnn_description description = {.folded = true};
		struct frcnn_graph graph = {0};
		struct frcnn_error err = {0};
		bool used = false;
		struct frcnn_builder b = {.graph = &graph,
					  .checkpoint = &checkpoint,
					  .description = &description,
					  .used = &used,
					  .err = &err};

		frcnn_build_linear(&b, frcnn_build_input(&b, (int)cases[i].inputs), "x", 1);
		cr_assert_eq(b.status, FRCNN_EFORMAT);
		cr_assert_str_eq(err.message, cases[i].text);
		frcnn_graph_free(&graph);
	}
}

/* Each scale is in range, and their product is not. */
Test(int8_model, scales_whose_product_is_infinite)
{
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn"), *bad;
	const int64_t five = 5;
	struct made_model made;
	struct frcnn_error err;
	float scales[5] = {1, 1, 1, 1, 1e20F};

	made_fold(model, &made);
	made_quantize_all(&made, 5);
	made_put(&made, RPN ".input.scale", FRCNN_F32, 1, &five, scales);
	bad = write_and_open(&made, model);
	cr_assert_eq(frcnn_model_check(bad, &err), 0, "%s", err.message);
	frcnn_model_close(bad);
	spoil(&made, RPN ".scale", FILL, 1e20F);
	bad = write_and_open(&made, model);
	cr_assert_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "tensor " RPN ".scale holds 1e+20"), "%s", err.message);
	frcnn_model_close(bad);
	made_free(&made);
	frcnn_model_close(model);
}

/* Batch norms must be folded where weights are int8, and a folded file has all biases and no norms. */
Test(int8_model, norms_and_folding_agree)
{
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn"), *bad;
	struct frcnn_model_options options;
	struct made_model made;
	struct frcnn_error err;
	char path[64];
	int64_t four = 4;

	made_fold(model, &made);
	made_quantize(&made, LAYER, 1, 0.5F, 3);
	bad = write_and_open(&made, model);
	bad->description.folded = false;
	cr_assert_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "missing tensor backbone.body.bn1.weight"), "%s", err.message);
	frcnn_model_close(bad);

	made_put(&made, "backbone.body.layer1.0.bn1.weight", FRCNN_F32, 1, &four, (float[4]){0});
	bad = write_and_open(&made, model);
	cr_assert_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "tensor backbone.body.layer1.0.bn1.weight has no place"), "%s", err.message);
	frcnn_model_close(bad);
	made_drop(&made, "backbone.body.layer1.0.bn1.weight");

	made_drop(&made, "backbone.body.layer1.1.conv1.bias");
	bad = write_and_open(&made, model);
	cr_assert_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "missing tensor backbone.body.layer1.1.conv1.bias"), "%s", err.message);
	frcnn_model_close(bad);

	/* a norm behind an int8 layer */
	for (size_t i = 0; i < model->checkpoint.ntensors; i++) {
		const struct frcnn_tensor *t = &model->checkpoint.tensors[i];
		float *values;

		if (t->dtype > FRCNN_F64 || strcmp(t->name, LAYER ".weight") == 0)
			continue;
		values = frcnn_calloc((size_t)t->elements, sizeof *values);
		cr_assert_eq(frcnn_tensor_to_float(t, values, NULL), 0);
		made_put(&made, t->name, FRCNN_F32, t->ndim, t->shape, values);
		free(values);
	}
	bad = write_and_open(&made, model);
	bad->description.folded = false;
	cr_assert_eq(frcnn_model_check(bad, &err), FRCNN_EFORMAT);
	cr_assert(strstr(err.message, "layer " LAYER " is int8, but the batch norm backbone.body.layer1.0.bn1"), "%s",
		  err.message);
	frcnn_model_close(bad);
	made_free(&made);

	/* no epsilon for norms that are none */
	made_fold(model, &made);
	temporary(path, sizeof path, "eps.safetensors");
	made_write(&made, model, path);
	frcnn_model_options_init(&options);
	options.bn_eps = 1e-3;
	cr_assert_eq(frcnn_model_open(path, &options, &bad, &err), FRCNN_EINVAL);
	cr_assert(strstr(err.message, "batch norms are folded"), "%s", err.message);
	unlink(path);
	made_free(&made);
	frcnn_model_close(model);
}

Test(int8_model, survives_refused_memory)
{
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn"), *quantized;
	struct frcnn_graphs graphs;
	struct made_model made;
	struct frcnn_error err;
	size_t nth = 0;

	made_fold(model, &made);
	made_quantize_all(&made, 5);
	quantized = write_and_open(&made, model);
	for (;; nth++) {
		int status;

		cr_assert_lt(nth, 2000);
		refuse_allocation(nth, nth % 2);
		status = frcnn_graphs_build(quantized, true, &graphs, &err);
		if (!refuse_end()) {
			cr_assert_eq(status, 0, "%s", err.message);
			break;
		}
		cr_assert_eq(status, FRCNN_ENOMEM, "allocation %zu: status %d", nth, status);
		cr_assert(graphs.features.nodes == NULL && graphs.head.nodes == NULL);
	}
	cr_assert_gt(nth, 50);
	frcnn_graphs_free(&graphs);
	made_free(&made);
	frcnn_model_close(quantized);
	frcnn_model_close(model);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int write_tensors(const char *path, const struct frcnn_model *model, const struct frcnn_named_tensor *tensors,
			 size_t count, const char *quantization, struct frcnn_error *err)
{
	struct frcnn_description d = model->description;

	d.folded = true;
	return frcnn_safetensors_write_tensors(path, &d, tensors, count, quantization, err);
}

Test(int8_model, written_as_it_is)
{
	static const char note[] = "{\"source\":\"\\u00e9\",\"x\":[1,0.30000000000000004]}";
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn"), *back;
	struct frcnn_file files[2];
	struct frcnn_error err;
	struct made_model made;
	char paths[2][64];

	made_fold(model, &made);
	made_quantize_all(&made, 5);
	for (int i = 0; i < 2; i++) {
		temporary(paths[i], sizeof paths[i], i ? "b" : "a");
		cr_assert_eq(write_tensors(paths[i], model, made.tensors, made.count, note, &err), 0, "%s",
			     err.message);
		cr_assert_eq(frcnn_file_open(paths[i], 0, &files[i], &err), 0);
		/* in any order */
		for (size_t k = 0; k < made.count / 2; k++) {
			struct frcnn_named_tensor t = made.tensors[k];

			made.tensors[k] = made.tensors[made.count - 1 - k];
			made.tensors[made.count - 1 - k] = t;
		}
	}
	cr_assert_eq(files[0].size, files[1].size);
	cr_assert_arr_eq(files[0].data, files[1].data, files[0].size);
	frcnn_file_close(&files[0]);
	frcnn_file_close(&files[1]);
	back = open_path(paths[0], NULL);
	cr_assert_str_eq(back->description.quantization, note);
	cr_assert(back->description.folded);
	cr_assert_eq(back->checkpoint.ntensors, made.count);
	for (size_t i = 0; i < made.count; i++) {
		const struct frcnn_named_tensor *t = &made.tensors[i];
		const struct frcnn_tensor *r = frcnn_checkpoint_find(&back->checkpoint, t->name);

		cr_assert_not_null(r);
		cr_assert(r->dtype == t->dtype && r->ndim == t->ndim);
		cr_assert_arr_eq(r->shape, t->shape, (size_t)t->ndim * sizeof t->shape[0]);
		cr_assert_arr_eq(r->data, t->data, elements_of(t) * frcnn_dtype_size(t->dtype));
	}
	/* converted, it stays what it is: the description's own note too */
	cr_assert_eq(frcnn_safetensors_write(paths[1], &back->checkpoint, FRCNN_F32, back->checkpoint.metadata, &err),
		     0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(frcnn_file_open(paths[i], 0, &files[i], &err), 0);
	cr_assert_eq(files[0].size, files[1].size);
	cr_assert_arr_eq(files[0].data, files[1].data, files[0].size);
	frcnn_file_close(&files[0]);
	frcnn_file_close(&files[1]);
	frcnn_model_close(back);
	unlink(paths[0]);
	unlink(paths[1]);
	made_free(&made);
	frcnn_model_close(model);
}

Test(int8_model, writing_refuses)
{
	static const char old[] = "the old file";
	const int8_t values[2] = {1, -127};
	struct frcnn_named_tensor tensors[] = {
	    {"b", FRCNN_I8, 1, {2}, values}, {"a", FRCNN_I8, 2, {1, 2}, values}, {"b", FRCNN_U8, 1, {2}, values}};
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn");
	static const char *const notes[] = {"", "[]", "{\"a\":}", "{} x", "1"};
	struct frcnn_file file;
	struct frcnn_error err;
	char path[64];
	FILE *stream;
	size_t nth;

	temporary(path, sizeof path, "old");
	stream = fopen(path, "w");
	cr_assert_not_null(stream);
	fputs(old, stream);
	fclose(stream);
	cr_assert_eq(write_tensors(path, model, tensors, 3, NULL, &err), FRCNN_EINVAL);
	cr_assert_str_eq(err.message, "tensor \"b\" stands there twice");
	for (size_t i = 0; i < FRCNN_COUNT(notes); i++) {
		cr_assert_eq(write_tensors(path, model, tensors, 2, notes[i], &err), FRCNN_EINVAL, "%s", notes[i]);
		cr_assert_str_eq(err.message, "metadata: \"quantization\" is not an object");
	}
	tensors[0].shape[0] = -1;
	cr_assert_eq(write_tensors(path, model, tensors, 2, NULL, &err), FRCNN_EINVAL);
	cr_assert(strstr(err.message, "tensor \"b\""), "%s", err.message);
	tensors[0].shape[0] = tensors[0].shape[1] = INT64_C(1) << 40;
	tensors[0].ndim = 2;
	cr_assert_eq(write_tensors(path, model, tensors, 2, NULL, &err), FRCNN_EINVAL);
	tensors[0].ndim = FRCNN_MAX_DIMS + 1;
	cr_assert_eq(write_tensors(path, model, tensors, 2, NULL, &err), FRCNN_EINVAL);
	tensors[0].ndim = 1;
	tensors[0].shape[0] = 2;
	for (nth = 0;; nth++) {
		int status;

		cr_assert_lt(nth, 2000);
		refuse_allocation(nth, false);
		status = write_tensors(path, model, tensors, 2, "{}", &err);
		if (!refuse_end()) {
			cr_assert_eq(status, 0, "%s", err.message);
			break;
		}
		cr_assert_eq(status, FRCNN_ENOMEM, "allocation %zu: status %d", nth, status);
		/* until it is written whole the old one stands there */
		cr_assert_eq(frcnn_file_open(path, 0, &file, NULL), 0);
		cr_assert_eq(file.size, sizeof old - 1);
		cr_assert_arr_eq(file.data, old, sizeof old - 1);
		frcnn_file_close(&file);
	}
	cr_assert_gt(nth, 4);
	unlink(path);
	frcnn_model_close(model);
}

Test(int8_model, metadata_faults_are_named)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
	    {"{\"folded\":1}", "\"folded\" is not true or false"},
	    {"{\"folded\":true,\"folded\":true}", "\"folded\" stands there twice"},
	    {"{\"quantization\":[]}", "\"quantization\" is not an object"},
	    {"{\"quantization\":{},\"quantization\":{}}", "\"quantization\" stands there twice"},
	};
	struct frcnn_model *model = open_float("fasterrcnn_resnet18_fpn");

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_error err = {0};

		cr_assert_eq(
		    frcnn_metadata_read(cases[i].text, strlen(cases[i].text), false, &model->description, &err),
		    FRCNN_EFORMAT);
		cr_assert(strstr(err.message, cases[i].part), "%s", err.message);
	}
	frcnn_model_close(model);
}
