/*
 * The reference convolution. It refuses to be fast: no packing, no blocking, no
 * intrinsics; sums in double, in the order of the definition.
 */
#include "kernels/kernels.h"

float frcnn_act_reference(float x, enum frcnn_gemm_act act)
{
	float clipped;

	switch (act) {
	case FRCNN_GEMM_RELU:
		return x > 0 ? x : 0;
	case FRCNN_GEMM_HARD_SWISH:
	case FRCNN_GEMM_HARD_SIGMOID:
		clipped = x + 3 < 0 ? 0 : x + 3 > 6 ? 6 : x + 3;
		return act == FRCNN_GEMM_HARD_SWISH ? x * clipped / 6 : clipped / 6;
	default:
		return x;
	}
}

static double window(const struct frcnn_conv *v, const float *x, const float *w, int first, int oy, int ox)
{
	int depth = v->channels / v->groups;
	double sum = 0;

	for (int r = 0; r < v->kernel_h; r++) {
		for (int s = 0; s < v->kernel_w; s++) {
			int y = oy * v->stride - v->pad + r * v->dilation;
			int z = ox * v->stride - v->pad + s * v->dilation;
			const float *pixel;

			if (y < 0 || y >= v->height || z < 0 || z >= v->width)
				continue;
			pixel = x + ((size_t)y * (size_t)v->width + (size_t)z) * (size_t)v->channels + first;
			for (int c = 0; c < depth; c++)
				sum +=
				    (double)pixel[c] *
				    w[((size_t)c * (size_t)v->kernel_h + (size_t)r) * (size_t)v->kernel_w + (size_t)s];
		}
	}
	return sum;
}

void frcnn_conv_reference(const struct frcnn_conv *v, const float *x, void *y)
{
	int depth = v->channels / v->groups, filters = v->out_channels / v->groups;
	const float *residual = v->residual;
	size_t image = (size_t)v->height * (size_t)v->width * (size_t)v->channels, at = 0;
	size_t filter = (size_t)depth * (size_t)v->kernel_h * (size_t)v->kernel_w;

	for (int n = 0; n < v->n; n++) {
		for (int oy = 0; oy < v->out_height; oy++) {
			for (int ox = 0; ox < v->out_width; ox++) {
				for (int k = 0; k < v->out_channels; k++, at++) {
					double sum = window(v, x + (size_t)n * image, v->weight + (size_t)k * filter,
							    k / filters * depth, oy, ox);
					float value;

					if (v->bias)
						sum += v->bias[k];
					if (residual)
						sum += residual[at];
					value = frcnn_act_reference((float)sum, v->act);
					if (v->y_as == FRCNN_AS_U8)
						((uint8_t *)y)[at] = frcnn_to_byte(value, v->y_quant);
					else
						((float *)y)[at] = value;
				}
			}
		}
	}
}
