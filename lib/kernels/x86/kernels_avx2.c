/* AVX2 with FMA: 6 x 16 tile of the matrix product, 12 accumulators. */
#define SUFFIX(name) name##_avx2
#define LANES        8
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#include <immintrin.h>

#define MR 6
#define NR 16

/* C (6, 16) += A (6, depth) x B (depth, 16). */
static void gemm_tile_avx2(const struct frcnn_gemm_tile *t)
{
	__m256 acc[MR][2];
	const float *a = t->a, *b = t->b;

	if (t->bias) {
		__m256 b0 = _mm256_loadu_ps(t->bias), b1 = _mm256_loadu_ps(t->bias + 8);

#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			acc[i][0] = b0;
			acc[i][1] = b1;
		}
	} else {
#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm256_loadu_ps(t->c + (size_t)i * t->ldc);
			acc[i][1] = _mm256_loadu_ps(t->c + (size_t)i * t->ldc + 8);
		}
	}
	for (size_t p = 0; p < t->depth; p++, a++, b += NR) {
		__m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8);

#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			__m256 x = _mm256_broadcast_ss(a + i * FRCNN_GEMM_LDA);

			acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
			acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
		}
	}
	if (t->residual) {
#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm256_add_ps(acc[i][0], _mm256_loadu_ps(t->residual + (size_t)i * t->ldr));
			acc[i][1] = _mm256_add_ps(acc[i][1], _mm256_loadu_ps(t->residual + (size_t)i * t->ldr + 8));
		}
	}
	if (t->act == FRCNN_GEMM_RELU) {
#pragma GCC unroll 6
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm256_max_ps(acc[i][0], _mm256_setzero_ps());
			acc[i][1] = _mm256_max_ps(acc[i][1], _mm256_setzero_ps());
		}
	}
#pragma GCC unroll 6
	for (int i = 0; i < MR; i++) {
		_mm256_storeu_ps(t->c + (size_t)i * t->ldc, acc[i][0]);
		_mm256_storeu_ps(t->c + (size_t)i * t->ldc + 8, acc[i][1]);
	}
	if (t->act > FRCNN_GEMM_RELU)
		for (size_t i = 0; i < MR; i++)
			activate_avx2(t->c + i * t->ldc, NR, t->act);
}

const struct frcnn_kernels frcnn_kernels_avx2 = {
    .name = "avx2",
    .mr = MR,
    .nr = NR,
    .gemm_tile = gemm_tile_avx2,
    .depthwise_row = depthwise_row_avx2,
    .add_act = add_act_avx2,
    .max_into = max_into_avx2,
    .scale_channels = scale_channels_avx2,
    .winograd_input = winograd_input_avx2,
    .winograd_output = winograd_output_avx2,
};
