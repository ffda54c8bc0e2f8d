/* Region proposal head (Ren et al. 2015): 3x3 + ReLU (twice in V2), then logits and deltas, shared by all levels. */
#include "graph/graph.h"

void frcnn_build_rpn_head(struct frcnn_builder *b, const int *levels, int nlevels, int *outputs)
{
	int x = levels[0], first = b->status ? 0 : (int)b->graph->count;

	b->inputs = nlevels;
	if (frcnn_build_has(b, "rpn.head.conv.weight")) {
		x = frcnn_build_activation(b, frcnn_build_conv(b, x, "rpn.head.conv", 3, 1), FRCNN_RELU);
	} else {
		for (int i = 0; i < (b->description->v2 ? 2 : 1); i++) {
			char name[64];

			snprintf(name, sizeof name, "rpn.head.conv.%d.0", i);
			x = frcnn_build_activation(b, frcnn_build_conv(b, x, name, 3, 1), FRCNN_RELU);
		}
	}
	outputs[0] = frcnn_build_pair(b, x, "rpn.head.cls_logits", "rpn.head.bbox_pred", false);
	if (!b->status && b->graph->nodes[outputs[0]].channels != 5 * b->description->anchors_per_cell)
		b->status = frcnn_fail(b->err, FRCNN_EFORMAT, "rpn.head gives %d channels for %d anchors, expected %d",
				       b->graph->nodes[outputs[0]].channels, b->description->anchors_per_cell,
				       5 * b->description->anchors_per_cell);
	for (int i = 1; i < nlevels; i++)
		outputs[i] = frcnn_build_repeat(b, levels[0], first, outputs[0], levels[i], i);
	b->inputs = 0;
}
