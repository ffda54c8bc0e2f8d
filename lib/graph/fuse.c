/* Residual add, then activation, into the convolution that makes their input. */
#include "graph/graph.h"

/* Node `at` takes over the convolution `from`, which nothing else reads. */
static void take_over(struct frcnn_graph *graph, int at, int from, int residual, enum frcnn_activation act)
{
	struct frcnn_node conv = graph->nodes[from];

	conv.residual = residual;
	conv.act = act;
	conv.height = graph->nodes[at].height;
	conv.width = graph->nodes[at].width;
	graph->nodes[at] = conv;
	graph->nodes[from].dead = true;
}

static bool fusible(const struct frcnn_graph *graph, int i)
{
	return graph->nodes[i].op == FRCNN_OP_CONV && graph->nodes[i].act == FRCNN_LINEAR &&
	       frcnn_graph_readers(graph, i) == 1;
}

void frcnn_graph_fuse(struct frcnn_graph *graph)
{
	for (int i = 0; i < (int)graph->count; i++) {
		struct frcnn_node node = graph->nodes[i];

		if (node.dead)
			continue;
		if (node.op == FRCNN_OP_ADD) {
			for (int k = 0; k < 2; k++) {
				if (fusible(graph, node.input[k]) && graph->nodes[node.input[k]].residual < 0) {
					take_over(graph, i, node.input[k], node.input[1 - k], FRCNN_LINEAR);
					break;
				}
			}
		} else if (node.op == FRCNN_OP_ACTIVATION && fusible(graph, node.input[0])) {
			take_over(graph, i, node.input[0], graph->nodes[node.input[0]].residual, node.act);
		}
	}
}
