/* Portable integer arithmetic. */
#include "kernels/kernels.h"

#define SUFFIX(name) name##_c
#define LANES        4
#include "kernels/c/vector.inc"

INLINE BITS widen_c(const uint8_t *x)
{
	return (BITS){x[0], x[1], x[2], x[3]};
}

#include "kernels/c/int8.inc"

#define MR 4
#define NR 8

/* Value number at of y's kind, from float32. */
static void put(void *y, size_t at, enum frcnn_storage as, struct frcnn_quant quant, float value)
{
	if (as == FRCNN_AS_U8)
		((uint8_t *)y)[at] = frcnn_to_byte(value, quant);
	else
		((float *)y)[at] = value;
}

static float get(const void *x, size_t at, enum frcnn_storage as, struct frcnn_quant quant)
{
	return as == FRCNN_AS_U8 ? (float)(((const uint8_t *)x)[at] - quant.zero) * quant.scale
				 : ((const float *)x)[at];
}

static inline void finish_line_c(const struct frcnn_winograd_output *t, int p, size_t c, size_t lanes, VEC value)
{
	for (size_t i = 0; i < lanes; i++) {
		float v = value[i];

		if (t->residual[p])
			v += get(t->residual[p], c + i, t->residual_as, t->residual_quant);
		put(t->y[p], c + i, t->y_as, t->y_quant, frcnn_act_int8(v, t->act));
	}
}

INLINE void finish_values_c(const struct frcnn_depthwise_row *t, enum frcnn_storage as, size_t at, VEC value)
{
	for (size_t i = 0; i < LANES; i++) {
		float v = value[i];

		if (t->residual)
			v += get(t->residual, at + i, t->residual_as, t->residual_quant);
		put(t->y, at + i, as, t->y_quant, frcnn_act_int8(v, t->act));
	}
}

#include "kernels/c/winograd_int8.inc"
#define WHOLE 1
#include "kernels/c/depthwise.inc"

/* One step of a row and a column: bytes times int8, or pairs of int16. */
static uint32_t dot(const void *a, const void *b, size_t step, bool pairs)
{
	uint32_t sum = 0;

	for (size_t e = 0; e < (pairs ? 2 : 4); e++) {
		int x = pairs ? ((const int16_t *)a)[step * 2 + e] : ((const uint8_t *)a)[step * 4 + e];
		int w = pairs ? ((const int16_t *)b)[e] : ((const int8_t *)b)[e];

		sum += (uint32_t)(x * w);
	}
	return sum;
}

static void tile(const struct frcnn_gemm_tile *t, bool pairs)
{
	size_t size = pairs ? 2 : 1, per_step = pairs ? 2 : 4;
	const int32_t *start = t->start;
	int32_t *sums = t->sums;
	uint32_t acc[MR][NR];
	const char *b = t->b;

	for (size_t i = 0; i < MR; i++)
		for (size_t j = 0; j < NR; j++)
			acc[i][j] = (uint32_t)(start ? start[j] : sums[i * t->lds + j]);
	for (size_t run = 0; run < (t->runs ? t->runs : 1); run++)
		for (size_t p = 0; p < t->depth; p++, b += NR * 4)
			for (size_t i = 0; i < MR; i++) {
				const char *a = (const char *)t->a + (run * t->run_step + i * t->lda) * size;

				for (size_t j = 0; j < NR; j++)
					acc[i][j] += dot(a, b + j * per_step * size, p, pairs);
			}
	for (size_t i = 0; i < MR && !t->y; i++)
		for (size_t j = 0; j < NR; j++)
			sums[i * t->lds + j] = (int32_t)acc[i][j];
	for (size_t i = 0; i < t->rows && t->y; i++) {
		for (size_t j = 0; j < t->columns; j++) {
			float v = (float)(int32_t)acc[i][j] * t->multiplier[j];

			v = v + t->bias[j];
			if (t->residual)
				v += get(t->residual, i * t->ldr + j, t->residual_as, t->residual_quant);
			put(t->y, i * t->ldy + j, t->y_as, t->y_quant, frcnn_act_int8(v, t->act));
		}
	}
}

static void gemm_tile_bytes_c(const struct frcnn_gemm_tile *t)
{
	tile(t, false);
}

static void gemm_tile_pairs_c(const struct frcnn_gemm_tile *t)
{
	tile(t, true);
}

const struct frcnn_kernels_int8 frcnn_kernels_c_int8 = {
    .name = "c",
    .direct = {FRCNN_AS_U8, 4, gemm_tile_bytes_c, take_bytes_c},
    .quantize = take_bytes_c,
    .gemm_tile_pairs = gemm_tile_pairs_c,
    .winograd_input = winograd_input_int8_c,
    .winograd_output = winograd_output_int8_c,
    .depthwise_row = depthwise_row_c,
    .max_into = max_bytes_c,
    .weigh = weigh_bytes_c,
};
