/* Feature pyramid (Lin et al. 2017): lateral 1x1, top-down nearest upsampling, 3x3 on the sum; "pool" on top. */
#include "graph/graph.h"

/* Old files name the convolution NAME, new ones NAME.0; V2 adds batch norm as NAME.1. */
static int layer(struct frcnn_builder *b, int x, const char *kind, int i, int kernel)
{
	char name[96];

	if (frcnn_build_has(b, "backbone.fpn.%s.%d.weight", kind, i)) {
		snprintf(name, sizeof name, "backbone.fpn.%s.%d", kind, i);
		return frcnn_build_conv(b, x, name, kernel, 1);
	}
	snprintf(name, sizeof name, "backbone.fpn.%s.%d.0", kind, i);
	x = frcnn_build_conv(b, x, name, kernel, 1);
	if (b->description->v2) {
		snprintf(name, sizeof name, "backbone.fpn.%s.%d.1", kind, i);
		x = frcnn_build_batch_norm(b, x, name);
	}
	return x;
}

int frcnn_build_fpn(struct frcnn_builder *b, const int *stages, int nstages, int levels[FRCNN_MAX_LEVELS])
{
	int inner = -1;

	for (int i = nstages - 1; i >= 0 && !b->status; i--) {
		/* The upsampled map comes first, so that the sum can be fused into the lateral convolution. */
		int top = inner < 0 ? -1 : frcnn_build_upsample(b, inner, stages[i]);
		int lateral = layer(b, stages[i], "inner_blocks", i, 1);

		inner = top < 0 ? lateral : frcnn_build_add(b, lateral, top);
		levels[i] = layer(b, inner, "layer_blocks", i, 3);
	}
	levels[nstages] = frcnn_build_max_pool(b, b->status ? -1 : levels[nstages - 1], 1, 2);
	return nstages + 1;
}
