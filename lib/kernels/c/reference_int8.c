/*
 * The reference of int8 layers, which says what every other kernel has to give,
 * bit by bit. Like reference.c it refuses to be fast.
 */
#include "kernels/kernels.h"

uint8_t frcnn_to_byte(float value, struct frcnn_quant quant)
{
	float inverse = 1.0f / quant.scale, steps = value * inverse;
	int byte;

	/* Beyond 1024 steps all is one, whatever the zero; NaN compares as nothing. */
	steps = steps > -1024.0f ? steps : -1024.0f;
	steps = steps < 1024.0f ? steps : 1024.0f;
	/* Adding and taking off 1.5 * 2^23 rounds to the nearest integer, halves to even. */
	steps = (steps + 12582912.0f) - 12582912.0f;
	byte = (int)steps + quant.zero;
	return (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
}

float frcnn_act_int8(float value, enum frcnn_gemm_act act)
{
	float clipped = value + 3.0f;

	clipped = clipped > 0.0f ? clipped : 0.0f;
	clipped = clipped < 6.0f ? clipped : 6.0f;
	switch (act) {
	case FRCNN_GEMM_RELU:
		return value > 0.0f ? value : 0.0f;
	case FRCNN_GEMM_HARD_SWISH:
		return value * clipped * (1.0f / 6.0f);
	case FRCNN_GEMM_HARD_SIGMOID:
		return clipped * (1.0f / 6.0f);
	default:
		return value;
	}
}

void frcnn_weigh_reference(float *y, const uint8_t *const *from, struct frcnn_quant quant, const float *weight,
			   size_t count, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float sum = 0;

		for (size_t k = 0; k < count; k++) {
			float product = (float)(from[k][i] - quant.zero) * weight[k];

			sum = sum + product;
		}
		y[i] = sum * quant.scale;
	}
}

/* Value number at of a tensor in bytes, less the zero; what lies in float32 is quantized. */
static int input(const struct frcnn_conv *v, const void *x, size_t at)
{
	int byte =
	    v->x_as == FRCNN_AS_U8 ? ((const uint8_t *)x)[at] : frcnn_to_byte(((const float *)x)[at], v->x_quant);

	return byte - v->x_quant.zero;
}

static int32_t window(const struct frcnn_conv *v, const void *x, size_t image, const int8_t *w, int first, int oy,
		      int ox)
{
	int depth = v->channels / v->groups;
	uint32_t sum = 0; /* wraps where int32 would be undefined; no real layer gets there */

	for (int r = 0; r < v->kernel_h; r++) {
		for (int s = 0; s < v->kernel_w; s++) {
			int y = oy * v->stride - v->pad + r * v->dilation;
			int z = ox * v->stride - v->pad + s * v->dilation;
			size_t pixel;

			if (y < 0 || y >= v->height || z < 0 || z >= v->width)
				continue;
			pixel =
			    image + ((size_t)y * (size_t)v->width + (size_t)z) * (size_t)v->channels + (size_t)first;
			for (int c = 0; c < depth; c++)
				sum +=
				    (uint32_t)(input(v, x, pixel + (size_t)c) *
					       w[((size_t)c * (size_t)v->kernel_h + (size_t)r) * (size_t)v->kernel_w +
						 (size_t)s]);
		}
	}
	return (int32_t)sum;
}

void frcnn_conv_int8_reference(const struct frcnn_conv *v, const void *x, void *y)
{
	int depth = v->channels / v->groups, filters = v->out_channels / v->groups;
	size_t image = (size_t)v->height * (size_t)v->width * (size_t)v->channels, at = 0;
	size_t filter = (size_t)depth * (size_t)v->kernel_h * (size_t)v->kernel_w;

	for (int n = 0; n < v->n; n++) {
		for (int oy = 0; oy < v->out_height; oy++) {
			for (int ox = 0; ox < v->out_width; ox++) {
				for (int k = 0; k < v->out_channels; k++, at++) {
					int32_t sum = window(v, x, (size_t)n * image, v->quantized + (size_t)k * filter,
							     k / filters * depth, oy, ox);
					float multiplier = v->x_quant.scale * v->scale[k];
					float value = (float)sum * multiplier;

					value = value + (v->bias ? v->bias[k] : 0.0f);
					if (v->residual && v->residual_as == FRCNN_AS_U8)
						value = value + (float)(((const uint8_t *)v->residual)[at] -
									v->residual_quant.zero) *
								    v->residual_quant.scale;
					else if (v->residual)
						value = value + ((const float *)v->residual)[at];
					value = frcnn_act_int8(value, v->act);
					if (v->y_as == FRCNN_AS_U8)
						((uint8_t *)y)[at] = frcnn_to_byte(value, v->y_quant);
					else
						((float *)y)[at] = value;
				}
			}
		}
	}
}
