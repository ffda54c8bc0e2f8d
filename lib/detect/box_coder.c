#include "detect/detect.h"

#include <math.h>

const float frcnn_rpn_weights[4] = {1.0f, 1.0f, 1.0f, 1.0f};
const float frcnn_box_weights[4] = {10.0f, 10.0f, 5.0f, 5.0f};

/* ln(1000 / 16): no side grows more than 62.5 times. */
static const float max_log_scale = 4.135166556742356f;

/* Comparisons are written so that NaN passes through, as torch.clamp lets it. */
static float limit(float value, float low, float high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

void frcnn_box_decode(const float delta[4], const float reference[4], const float weights[4], float out[4])
{
	float width = reference[2] - reference[0], height = reference[3] - reference[1];
	float centre_x = reference[0] + 0.5f * width, centre_y = reference[1] + 0.5f * height;
	float dx = delta[0] / weights[0], dy = delta[1] / weights[1];
	float dw = delta[2] / weights[2], dh = delta[3] / weights[3];
	if (dw > max_log_scale)
		dw = max_log_scale;
	if (dh > max_log_scale)
		dh = max_log_scale;

	float x = dx * width + centre_x, y = dy * height + centre_y;
	float half_width = 0.5f * (expf(dw) * width), half_height = 0.5f * (expf(dh) * height);
	out[0] = x - half_width;
	out[1] = y - half_height;
	out[2] = x + half_width;
	out[3] = y + half_height;
}

void frcnn_box_clip(float box[4], float width, float height)
{
	box[0] = limit(box[0], 0.0f, width);
	box[1] = limit(box[1], 0.0f, height);
	box[2] = limit(box[2], 0.0f, width);
	box[3] = limit(box[3], 0.0f, height);
}

bool frcnn_box_is_large(const float box[4], float min_size)
{
	return box[2] - box[0] >= min_size && box[3] - box[1] >= min_size;
}

void frcnn_boxes_scale(float *boxes, size_t count, int from_width, int from_height, int to_width, int to_height)
{
	float x = (float)to_width / (float)from_width, y = (float)to_height / (float)from_height;
	for (size_t i = 0; i < count; i++) {
		boxes[4 * i] *= x;
		boxes[4 * i + 1] *= y;
		boxes[4 * i + 2] *= x;
		boxes[4 * i + 3] *= y;
	}
}
