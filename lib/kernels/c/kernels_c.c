/* The portable table: plain C for any machine. */
#define SUFFIX(name) name##_c
#define LANES        4
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#define MR 4
#define NR 8

static void gemm_tile_c(const struct frcnn_gemm_tile *t)
{
	const float *a = t->a, *b = t->b, *start = t->start, *residual = t->residual;
	float acc[MR][NR], *sums = t->sums;

	for (size_t i = 0; i < MR; i++)
		for (size_t j = 0; j < NR; j++)
			acc[i][j] = start ? start[j] : sums[i * t->lds + j];
	for (size_t run = 0; run < (t->runs ? t->runs : 1); run++, a += t->run_step)
		for (size_t p = 0; p < t->depth; p++, b += NR)
			for (size_t i = 0; i < MR; i++)
				for (size_t j = 0; j < NR; j++)
					acc[i][j] += a[i * t->lda + p] * b[j];
	if (!t->y) {
		for (size_t i = 0; i < MR; i++)
			memcpy(sums + i * t->lds, acc[i], sizeof acc[i]);
		return;
	}
	for (size_t i = 0; i < t->rows; i++) {
		for (size_t j = 0; residual && j < t->columns; j++)
			acc[i][j] += residual[i * t->ldr + j];
		activate_c(acc[i], NR, t->act);
		for (size_t j = 0; j < t->columns && t->y_as == FRCNN_AS_U8; j++)
			((uint8_t *)t->y)[i * t->ldy + j] = frcnn_to_byte(acc[i][j], t->y_quant);
		if (t->y_as == FRCNN_AS_F32)
			memcpy((float *)t->y + i * t->ldy, acc[i], t->columns * sizeof(float));
	}
}

const struct frcnn_kernels frcnn_kernels_c = {
    .name = "c",
    .mr = MR,
    .nr = NR,
    .gemm_tile = gemm_tile_c,
    .depthwise_row = depthwise_row_c,
    .add_act = add_act_c,
    .max_into = max_into_c,
    .scale_channels = scale_channels_c,
    .weigh = weigh_c,
    .winograd_input = winograd_input_c,
    .winograd_output = winograd_output_c,
};
