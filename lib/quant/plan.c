/* The layers of a model, and which of them are int8. */
#include "quant/quant.h"

static const char rpn_convs[] = "rpn.head.conv"; /* each level of theirs has a scale of its own */

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* Rows of the tensor NAME.weight: fewer than the node's channels where it is a pair's. */
static int64_t rows_of(const struct frcnn_checkpoint *checkpoint, const char *name)
{
	char full[128];
	const struct frcnn_tensor *t;

	snprintf(full, sizeof full, "%s.weight", name);
	t = frcnn_checkpoint_find(checkpoint, full);
	return t && t->ndim ? t->shape[0] : 0;
}

/* Both pairs end in the box deltas' layer, beside the first. */
static void name_second(struct frcnn_quant_layer *layer)
{
	const char *dot = strrchr(layer->name, '.');
	int keep = dot ? (int)(dot - layer->name) + 1 : 0;

	snprintf(layer->second, sizeof layer->second, "%.*s%s", keep, layer->name, "bbox_pred");
}

static void decide(struct frcnn_quant_layer *layer, bool stem, bool all)
{
	layer->why = "";
	if (stem)
		layer->why = "the first convolution";
	else if (layer->second[0])
		layer->why = layer->head ? "box predictor" : "the RPN's 1x1s";
	else if (layer->groups > 1)
		layer->why = "depthwise";
	layer->quantized = all || !layer->why[0];
	if (layer->quantized)
		layer->why = "";
	layer->never = layer->parameters / layer->out_channels > FRCNN_INT8_WEIGHTS;
	if (layer->never) {
		layer->quantized = false;
		layer->why = "filters too long for int8";
	}
}

/* The layers of one graph, shaped, behind those that are there. runs: how often the graph runs for a picture. */
static void add_layers(const struct frcnn_model *model, const struct frcnn_graph *graph, bool head, int64_t runs,
		       bool all, struct frcnn_quant_plan *plan)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		struct frcnn_quant_layer *layer = NULL;
		int64_t window, outputs;

		if (node->dead || node->op != FRCNN_OP_CONV)
			continue;
		for (size_t k = 0; k < plan->nlayers && !layer; k++)
			if (plan->layers[k].head == head && plan->layers[k].params == node->params)
				layer = &plan->layers[k];
		window =
		    (int64_t)(graph->nodes[node->input[0]].channels / node->groups) * node->kernel_h * node->kernel_w;
		outputs = (int64_t)node->height * node->width * node->channels;
		if (layer) {
			layer->multiply_adds += runs * outputs * window;
			if (starts(layer->name, rpn_convs) && layer->ninputs < FRCNN_MAX_LEVELS)
				layer->ninputs++;
			continue;
		}
		layer = &plan->layers[plan->nlayers++];
		*layer = (struct frcnn_quant_layer){
		    .head = head,
		    .params = node->params,
		    .channels = graph->nodes[node->input[0]].channels,
		    .out_channels = node->channels,
		    .kernel = node->kernel_h,
		    .groups = node->groups,
		    .multiply_adds = runs * outputs * window,
		    .parameters = node->channels * window,
		    .ninputs = 1,
		    .found = -1,
		    .shift = -1,
		};
		snprintf(layer->name, sizeof layer->name, "%s", graph->params[node->params].name);
		if (rows_of(&model->checkpoint, layer->name) < node->channels)
			name_second(layer);
		decide(layer, plan->nlayers == 1, all);
	}
}

static int refuse_int8(const struct frcnn_graph *graph, struct frcnn_error *err)
{
	for (size_t i = 0; i < graph->nparams; i++)
		if (graph->params[i].quantized)
			return frcnn_fail(err, FRCNN_EINVAL, "layer %s is int8 already", graph->params[i].name);
	return 0;
}

int frcnn_quant_plan_new(const struct frcnn_model *model, bool all, struct frcnn_quant_plan *out,
			 struct frcnn_error *err)
{
	const struct frcnn_description *d = &model->description;
	struct frcnn_transform_size size;
	struct frcnn_graphs graphs;
	int status = frcnn_graphs_build(model, true, &graphs, err);

	memset(out, 0, sizeof *out);
	if (status)
		return status;
	out->weight_bits = 8;
	status = refuse_int8(&graphs.features, err);
	if (!status)
		status = refuse_int8(&graphs.head, err);
	if (!status)
		status = frcnn_transform_size(640, 480, d->min_size, d->max_size, &size, err);
	if (!status)
		status = frcnn_graph_shape(&graphs.features, size.padded_height, size.padded_width, err);
	if (!status)
		status = frcnn_graph_shape(&graphs.head, graphs.roi_size, graphs.roi_size, err);
	if (status)
		goto out;
	out->layers = frcnn_calloc(graphs.features.nparams + graphs.head.nparams, sizeof *out->layers);
	if (!out->layers) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	add_layers(model, &graphs.features, false, 1, all, out);
	add_layers(model, &graphs.head, true, d->rpn_post, all, out);
out:
	frcnn_graphs_free(&graphs);
	return status;
}

int frcnn_quant_plan_copy(const struct frcnn_quant_plan *plan, struct frcnn_quant_plan *out, struct frcnn_error *err)
{
	*out = *plan;
	out->layers = frcnn_calloc(plan->nlayers, sizeof *out->layers);
	if (!out->layers) {
		out->nlayers = 0;
		return frcnn_fail_nomem(err);
	}
	if (plan->nlayers)
		memcpy(out->layers, plan->layers, plan->nlayers * sizeof *out->layers);
	return 0;
}

void frcnn_quant_plan_free(struct frcnn_quant_plan *plan)
{
	if (!plan)
		return;
	free(plan->layers);
	memset(plan, 0, sizeof *plan);
}

struct frcnn_quant_layer *frcnn_quant_plan_find(const struct frcnn_quant_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->nlayers; i++)
		if (!strcmp(plan->layers[i].name, name) || (name[0] && !strcmp(plan->layers[i].second, name)))
			return &plan->layers[i];
	return NULL;
}

double frcnn_quant_plan_float_share(const struct frcnn_quant_plan *plan)
{
	double left = 0, total = 0;

	for (size_t i = 0; i < plan->nlayers; i++) {
		total += (double)plan->layers[i].multiply_adds;
		left += plan->layers[i].quantized ? 0 : (double)plan->layers[i].multiply_adds;
	}
	return total > 0 ? left / total : 0;
}
