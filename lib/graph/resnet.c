/* ResNet bodies (He et al. 2015, table 1; stride in the 3x3 as torchvision has it). */
#include "graph/graph.h"

static int conv_bn(struct frcnn_builder *b, int x, const char *prefix, const char *conv, const char *bn, int kernel,
		   int stride)
{
	char name[96];

	snprintf(name, sizeof name, "%s.%s", prefix, conv);
	x = frcnn_build_conv(b, x, name, kernel, stride);
	snprintf(name, sizeof name, "%s.%s", prefix, bn);
	return frcnn_build_batch_norm(b, x, name);
}

static int relu(struct frcnn_builder *b, int x)
{
	return frcnn_build_activation(b, x, FRCNN_RELU);
}

static int block(struct frcnn_builder *b, int x, const char *name, bool bottleneck, int stride)
{
	int shortcut = x;

	if (frcnn_build_has(b, "%s.downsample.0.weight", name))
		shortcut = conv_bn(b, x, name, "downsample.0", "downsample.1", 1, stride);
	if (bottleneck) {
		x = relu(b, conv_bn(b, x, name, "conv1", "bn1", 1, 1));
		x = relu(b, conv_bn(b, x, name, "conv2", "bn2", 3, stride));
		x = conv_bn(b, x, name, "conv3", "bn3", 1, 1);
	} else {
		x = relu(b, conv_bn(b, x, name, "conv1", "bn1", 3, stride));
		x = conv_bn(b, x, name, "conv2", "bn2", 3, 1);
	}
	return relu(b, frcnn_build_add(b, x, shortcut));
}

int frcnn_build_resnet(struct frcnn_builder *b, int x, int stages[4])
{
	static const struct {
		int depth, blocks[4];
	} table[] = {
	    {18, {2, 2, 2, 2}}, {34, {3, 4, 6, 3}}, {50, {3, 4, 6, 3}}, {101, {3, 4, 23, 3}}, {152, {3, 8, 36, 3}}};
	size_t row = 0;

	while (row < FRCNN_COUNT(table) - 1 && table[row].depth != b->description->depth)
		row++;
	x = relu(b, conv_bn(b, x, "backbone.body", "conv1", "bn1", 7, 2));
	x = frcnn_build_max_pool(b, x, 3, 2);
	for (int s = 0; s < 4; s++) {
		for (int i = 0; i < table[row].blocks[s]; i++) {
			char name[64];

			snprintf(name, sizeof name, "backbone.body.layer%d.%d", s + 1, i);
			x = block(b, x, name, table[row].depth >= 50, s > 0 && i == 0 ? 2 : 1);
		}
		stages[s] = x;
	}
	return 4;
}
