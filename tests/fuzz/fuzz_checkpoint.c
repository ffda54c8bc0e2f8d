/*
 * Any bytes as a checkpoint of any container: parsed with and without a key, every tensor read, then taken for a
 * detector, whose networks are built: what an int8 layer is accepted with must be usable.
 */
#include "graph/graph.h"

#include <math.h>

#define MAX_ELEMENTS 1000000

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_graph(const struct frcnn_graph *graph)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *n = &graph->nodes[i];
		const struct frcnn_params *p = n->params < 0 ? NULL : &graph->params[n->params];
		size_t row;

		if (n->dead || n->op != FRCNN_OP_CONV)
			continue;
		check((p->weight == NULL) != (p->quantized == NULL));
		check((n->quant.scale > 0) == (p->quantized != NULL));
		if (!p->quantized)
			continue;
		check(n->quant.scale >= 1e-20F && n->quant.scale <= 1e20F && n->quant.zero >= 0 &&
		      n->quant.zero <= 255);
		row = (size_t)(graph->nodes[n->input[0]].channels / n->groups) * (size_t)n->kernel_h *
		      (size_t)n->kernel_w;
		for (int k = 0; k < n->channels; k++) {
			check(p->scale[k] >= 1e-20F && isfinite(p->scale[k] * n->quant.scale) && isfinite(p->bias[k]));
			for (size_t j = 0; j < row; j++)
				check(p->quantized[(size_t)k * row + j] != -128);
		}
	}
}

static void try_build(const struct frcnn_checkpoint *checkpoint)
{
	struct frcnn_model model = {.checkpoint = *checkpoint};
	struct frcnn_error err = {0};
	struct frcnn_graphs graphs;

	if (frcnn_describe(checkpoint, "x", NULL, &model.description, &err) < 0) {
		check(err.message[0] != '\0');
		return;
	}
	for (int fuse = 0; fuse < 2; fuse++) {
		struct frcnn_buffer text = {0};

		if (frcnn_graphs_build(&model, fuse, &graphs, &err) < 0) {
			check(err.message[0] != '\0');
			break;
		}
		check_graph(&graphs.features);
		check_graph(&graphs.head);
		frcnn_graph_print(&graphs.features, &text);
		check(text.size > 0);
		frcnn_buffer_free(&text);
		frcnn_graphs_free(&graphs);
	}
	frcnn_description_free(&model.description);
}

static void try_parse(const uint8_t *data, size_t size, const char *key)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err = {0};
	int64_t left = MAX_ELEMENTS;

	int status = frcnn_checkpoint_parse(data, size, key, &checkpoint, &err);
	if (status < 0) {
		if (err.message[0] == '\0' || err.status != status)
			abort();
		return;
	}
	for (size_t i = 0; i < checkpoint.ntensors; i++) {
		const struct frcnn_tensor *tensor = &checkpoint.tensors[i];
		if (frcnn_checkpoint_find(&checkpoint, tensor->name) != tensor)
			abort();
		if (tensor->elements > left) {
			left = 0;
			break;
		}
		left -= tensor->elements;
		float *values = frcnn_calloc((size_t)tensor->elements, sizeof(float));
		if (values != NULL)
			frcnn_tensor_to_float(tensor, values, NULL);
		free(values);
	}
	if (left > 0)
		try_build(&checkpoint);
	frcnn_checkpoint_close(&checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_parse(data, size, NULL);
	try_parse(data, size, "model.net");
	return 0;
}
