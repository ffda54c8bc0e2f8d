/* A graph as text, one line a node: number, operator, inputs, geometry, shape, name, how an int8 layer reads. */
#include "graph/graph.h"

static const char *const op_names[] = {"input",    "conv",     "batch_norm",  "activation", "add",
				       "multiply", "max_pool", "global_mean", "upsample"};
static const char *const act_names[] = {"", "relu", "hard_swish", "hard_sigmoid"};

void frcnn_graph_print(const struct frcnn_graph *graph, struct frcnn_buffer *out)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *n = &graph->nodes[i];

		if (n->dead)
			continue;
		frcnn_buffer_printf(out, "%4zu %-11s", i, op_names[n->op]);
		for (int k = 0; k < 2 && n->input[k] >= 0; k++)
			frcnn_buffer_printf(out, " %d", n->input[k]);
		if (n->residual >= 0)
			frcnn_buffer_printf(out, " + %d", n->residual);
		if (n->op == FRCNN_OP_CONV || n->op == FRCNN_OP_MAX_POOL)
			frcnn_buffer_printf(out, " %dx%d/%d", n->kernel_h, n->kernel_w, n->stride);
		if (n->groups > 1)
			frcnn_buffer_printf(out, " groups %d", n->groups);
		if (n->act != FRCNN_LINEAR)
			frcnn_buffer_printf(out, " %s", act_names[n->act]);
		frcnn_buffer_printf(out, " -> %d", n->channels);
		if (n->height > 0)
			frcnn_buffer_printf(out, "x%dx%d", n->height, n->width);
		if (n->params >= 0)
			frcnn_buffer_printf(out, " %s", graph->params[n->params].name);
		if (n->params >= 0 && graph->params[n->params].quantized)
			frcnn_buffer_printf(out, " int8, input scale %g zero %d", (double)n->quant.scale,
					    n->quant.zero);
		for (int k = 0; k < graph->noutputs; k++)
			if (graph->outputs[k] == (int)i)
				frcnn_buffer_printf(out, " [output %d]", k);
		frcnn_buffer_putc(out, '\n');
	}
}
