/* Box head: two fully connected layers (V1), or four 3x3 convolutions and one (V2); then classes and boxes. */
#include "graph/graph.h"

int frcnn_build_box_head(struct frcnn_builder *b, int x, int roi_size)
{
	if (b->description->v2) {
		for (int i = 0; i < 4; i++) {
			char name[64];

			snprintf(name, sizeof name, "roi_heads.box_head.%d.0", i);
			x = frcnn_build_conv(b, x, name, 3, 1);
			snprintf(name, sizeof name, "roi_heads.box_head.%d.1", i);
			x = frcnn_build_activation(b, frcnn_build_batch_norm(b, x, name), FRCNN_RELU);
		}
		x = frcnn_build_linear(b, x, "roi_heads.box_head.5", roi_size);
		x = frcnn_build_activation(b, x, FRCNN_RELU);
	} else {
		x = frcnn_build_linear(b, x, "roi_heads.box_head.fc6", roi_size);
		x = frcnn_build_activation(b, x, FRCNN_RELU);
		x = frcnn_build_linear(b, x, "roi_heads.box_head.fc7", 1);
		x = frcnn_build_activation(b, x, FRCNN_RELU);
	}
	x = frcnn_build_pair(b, x, "roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred", true);
	if (!b->status && b->graph->nodes[x].channels != 5 * b->description->nlabels)
		b->status = frcnn_fail(
		    b->err, FRCNN_EFORMAT, "roi_heads.box_predictor gives %d channels for %d labels, expected %d",
		    b->graph->nodes[x].channels, b->description->nlabels, 5 * b->description->nlabels);
	return x;
}
