/* MobileNetV3-Large bodies (Howard et al. 2019, table 1). Widths come from the tensors. */
#include "graph/graph.h"

static int conv_bn(struct frcnn_builder *b, int x, const char *name, int kernel, int stride, bool depthwise)
{
	char part[128];

	snprintf(part, sizeof part, "%s.0", name);
	x = depthwise ? frcnn_build_depthwise(b, x, part, kernel, stride)
		      : frcnn_build_conv(b, x, part, kernel, stride);
	snprintf(part, sizeof part, "%s.1", name);
	return frcnn_build_batch_norm(b, x, part);
}

static int squeeze_excite(struct frcnn_builder *b, int x, const char *name)
{
	char part[128];
	int s = frcnn_build_global_mean(b, x);

	snprintf(part, sizeof part, "%s.fc1", name);
	s = frcnn_build_activation(b, frcnn_build_conv(b, s, part, 1, 1), FRCNN_RELU);
	snprintf(part, sizeof part, "%s.fc2", name);
	s = frcnn_build_activation(b, frcnn_build_conv(b, s, part, 1, 1), FRCNN_HARD_SIGMOID);
	return frcnn_build_mul(b, x, s);
}

/* Inverted residual: expand 1x1 (left out where it would not widen), depthwise, squeeze-excite, project 1x1. */
static int block(struct frcnn_builder *b, int x, int number, int kernel, bool excite, enum frcnn_activation act,
		 int stride)
{
	const struct frcnn_tensor *first;
	char name[96];
	int in = x, part = 0;

	snprintf(name, sizeof name, "backbone.body.%d.block.0.0.weight", number);
	first = frcnn_checkpoint_find(b->checkpoint, name);
	if (first && first->ndim == 4 && first->shape[2] == 1) {
		snprintf(name, sizeof name, "backbone.body.%d.block.%d", number, part++);
		x = frcnn_build_activation(b, conv_bn(b, x, name, 1, 1, false), act);
	}
	snprintf(name, sizeof name, "backbone.body.%d.block.%d", number, part++);
	x = frcnn_build_activation(b, conv_bn(b, x, name, kernel, stride, true), act);
	if (excite) {
		snprintf(name, sizeof name, "backbone.body.%d.block.%d", number, part++);
		x = squeeze_excite(b, x, name);
	}
	snprintf(name, sizeof name, "backbone.body.%d.block.%d", number, part);
	x = conv_bn(b, x, name, 1, 1, false);
	if (!b->status && stride == 1 && b->graph->nodes[in].channels == b->graph->nodes[x].channels)
		x = frcnn_build_add(b, x, in);
	return x;
}

int frcnn_build_mobilenet_v3(struct frcnn_builder *b, int x, int stages[2])
{
	static const struct {
		int kernel;
		bool excite;
		enum frcnn_activation act;
		int stride;
	} rows[15] = {{3, false, FRCNN_RELU, 1},       {3, false, FRCNN_RELU, 2},       {3, false, FRCNN_RELU, 1},
		      {5, true, FRCNN_RELU, 2},        {5, true, FRCNN_RELU, 1},        {5, true, FRCNN_RELU, 1},
		      {3, false, FRCNN_HARD_SWISH, 2}, {3, false, FRCNN_HARD_SWISH, 1}, {3, false, FRCNN_HARD_SWISH, 1},
		      {3, false, FRCNN_HARD_SWISH, 1}, {3, true, FRCNN_HARD_SWISH, 1},  {3, true, FRCNN_HARD_SWISH, 1},
		      {5, true, FRCNN_HARD_SWISH, 2},  {5, true, FRCNN_HARD_SWISH, 1},  {5, true, FRCNN_HARD_SWISH, 1}};

	x = frcnn_build_activation(b, conv_bn(b, x, "backbone.body.0", 3, 2, false), FRCNN_HARD_SWISH);
	for (int i = 0; i < 15; i++) {
		x = block(b, x, i + 1, rows[i].kernel, rows[i].excite, rows[i].act, rows[i].stride);
		if (i + 1 == 13)
			stages[0] = x;
	}
	x = frcnn_build_activation(b, conv_bn(b, x, "backbone.body.16", 1, 1, false), FRCNN_HARD_SWISH);
	stages[1] = x;
	return 2;
}
