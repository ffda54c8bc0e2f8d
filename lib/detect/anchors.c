#include "detect/detect.h"

#include <math.h>

void frcnn_cell_anchors(const struct frcnn_anchor_level *level, struct frcnn_cell_anchors *out)
{
	out->count = 0;
	for (int r = 0; r < level->nratios; r++) {
		float high = sqrtf(level->ratios[r]);
		float wide = 1.0f / high;
		for (int s = 0; s < level->nsizes; s++) {
			float width = wide * level->sizes[s], height = high * level->sizes[s];
			float *box = out->boxes + 4 * out->count++;
			box[0] = rintf(-width / 2.0f);
			box[1] = rintf(-height / 2.0f);
			box[2] = rintf(width / 2.0f);
			box[3] = rintf(height / 2.0f);
		}
	}
}

void frcnn_grid_anchors(const struct frcnn_cell_anchors *cell, int height, int width, int step_y, int step_x,
			float *out)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			for (int a = 0; a < cell->count; a++) {
				const float *box = cell->boxes + 4 * a;
				*out++ = (float)(x * step_x) + box[0];
				*out++ = (float)(y * step_y) + box[1];
				*out++ = (float)(x * step_x) + box[2];
				*out++ = (float)(y * step_y) + box[3];
			}
}
