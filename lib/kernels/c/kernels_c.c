/* The portable table: plain C for any machine. */
#define SUFFIX(name) name##_c
#define LANES        4
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#define MR 4
#define NR 8

/* C (4, 8) += A (4, depth) x B (depth, 8). */
static void gemm_tile_c(const struct frcnn_gemm_tile *t)
{
	float acc[MR][NR];

	for (size_t i = 0; i < MR; i++)
		for (size_t j = 0; j < NR; j++)
			acc[i][j] = t->bias ? t->bias[j] : t->c[i * t->ldc + j];
	for (size_t p = 0; p < t->depth; p++)
		for (size_t i = 0; i < MR; i++)
			for (size_t j = 0; j < NR; j++)
				acc[i][j] += t->a[i * FRCNN_GEMM_LDA + p] * t->b[p * NR + j];
	for (size_t i = 0; i < MR; i++) {
		if (t->residual)
			for (size_t j = 0; j < NR; j++)
				acc[i][j] += t->residual[i * t->ldr + j];
		activate_c(acc[i], NR, t->act);
		for (size_t j = 0; j < NR; j++)
			t->c[i * t->ldc + j] = acc[i][j];
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
    .winograd_input = winograd_input_c,
    .winograd_output = winograd_output_c,
};
