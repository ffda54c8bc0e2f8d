/* Batch norm into the convolution that feeds it: w' = w * scale, b' = b * scale + shift, in double. */
#include "graph/graph.h"

void frcnn_graph_fold(struct frcnn_graph *graph)
{
	for (size_t i = 0; i < graph->count; i++) {
		struct frcnn_node *bn = &graph->nodes[i];
		struct frcnn_node *conv;
		struct frcnn_params *p, *q;
		size_t row;

		if (bn->op != FRCNN_OP_BATCH_NORM || bn->dead)
			continue;
		conv = &graph->nodes[bn->input[0]];
		if (conv->op != FRCNN_OP_CONV || frcnn_graph_readers(graph, bn->input[0]) != 1)
			continue;
		p = &graph->params[conv->params];
		if (p->quantized)
			continue;
		q = &graph->params[bn->params];
		row = (size_t)(graph->nodes[conv->input[0]].channels / conv->groups) * (size_t)conv->kernel_h *
		      (size_t)conv->kernel_w;
		for (int k = 0; k < conv->channels; k++) {
			float *w = p->weight + (size_t)k * row;
			double shift = q->bias[k];

			for (size_t j = 0; j < row; j++)
				w[j] = (float)((double)w[j] * q->weight[k]);
			if (p->bias)
				shift += (double)p->bias[k] * q->weight[k];
			q->bias[k] = (float)shift;
		}
		free(p->bias);
		p->bias = q->bias;
		q->bias = NULL;
		free(q->weight);
		q->weight = NULL;
		/* The convolution's value now stands where the batch norm's stood. */
		conv->dead = true;
		{
			struct frcnn_node moved = *conv;

			moved.dead = false;
			*bn = moved;
		}
	}
}
