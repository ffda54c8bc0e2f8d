/* Heights and widths, from the input's. */
#include "graph/graph.h"

static int window(int size, int kernel, int stride, int pad, int dilation)
{
	int reach = dilation * (kernel - 1) + 1;

	return size + 2 * pad < reach ? 0 : (size + 2 * pad - reach) / stride + 1;
}

int64_t frcnn_graph_multiply_adds(const struct frcnn_graph *graph, int i)
{
	const struct frcnn_node *n = &graph->nodes[i];

	if (n->dead || n->op != FRCNN_OP_CONV)
		return 0;
	return (int64_t)n->channels * n->height * n->width * (graph->nodes[n->input[0]].channels / n->groups) *
	       n->kernel_h * n->kernel_w;
}

int frcnn_graph_shape(struct frcnn_graph *graph, int height, int width, struct frcnn_error *err)
{
	for (size_t i = 0; i < graph->count; i++) {
		struct frcnn_node *node = &graph->nodes[i];
		const struct frcnn_node *x = node->input[0] < 0 ? NULL : &graph->nodes[node->input[0]];

		if (node->dead)
			continue;
		switch (node->op) {
		case FRCNN_OP_INPUT:
			node->height = height;
			node->width = width;
			break;
		case FRCNN_OP_CONV:
		case FRCNN_OP_MAX_POOL:
			node->height = window(x->height, node->kernel_h, node->stride, node->pad, node->dilation);
			node->width = window(x->width, node->kernel_w, node->stride, node->pad, node->dilation);
			break;
		case FRCNN_OP_GLOBAL_MEAN:
			node->height = node->width = 1;
			break;
		case FRCNN_OP_UPSAMPLE:
			node->height = graph->nodes[node->input[1]].height;
			node->width = graph->nodes[node->input[1]].width;
			break;
		default:
			node->height = x->height;
			node->width = x->width;
		}
		if (node->height < 1 || node->width < 1)
			return frcnn_fail(err, FRCNN_EINVAL, "an input of %dx%d pixels is too small for this network",
					  width, height);
	}
	return 0;
}
