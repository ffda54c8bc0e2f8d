/* AVX-512 (F, BW, DQ, VL): 14 x 32 tile of the matrix product, 28 accumulators. */
#define SUFFIX(name) name##_avx512
#define LANES        16
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#include <immintrin.h>

#define MR 14
#define NR 32

/* C (14, 32) += A (14, depth) x B (depth, 32). */
static void gemm_tile_avx512(const struct frcnn_gemm_tile *t)
{
	__m512 acc[MR][2];
	const float *a = t->a, *b = t->b;

	if (t->bias) {
		__m512 b0 = _mm512_loadu_ps(t->bias), b1 = _mm512_loadu_ps(t->bias + 16);

#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			acc[i][0] = b0;
			acc[i][1] = b1;
		}
	} else {
#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm512_loadu_ps(t->c + (size_t)i * t->ldc);
			acc[i][1] = _mm512_loadu_ps(t->c + (size_t)i * t->ldc + 16);
		}
	}
	for (size_t p = 0; p < t->depth; p++, a++, b += NR) {
		__m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);

#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			__m512 x = _mm512_set1_ps(a[i * FRCNN_GEMM_LDA]);

			acc[i][0] = _mm512_fmadd_ps(x, b0, acc[i][0]);
			acc[i][1] = _mm512_fmadd_ps(x, b1, acc[i][1]);
		}
	}
	if (t->residual) {
#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm512_add_ps(acc[i][0], _mm512_loadu_ps(t->residual + (size_t)i * t->ldr));
			acc[i][1] = _mm512_add_ps(acc[i][1], _mm512_loadu_ps(t->residual + (size_t)i * t->ldr + 16));
		}
	}
	if (t->act == FRCNN_GEMM_RELU) {
#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			acc[i][0] = _mm512_max_ps(acc[i][0], _mm512_setzero_ps());
			acc[i][1] = _mm512_max_ps(acc[i][1], _mm512_setzero_ps());
		}
	}
#pragma GCC unroll 14
	for (int i = 0; i < MR; i++) {
		_mm512_storeu_ps(t->c + (size_t)i * t->ldc, acc[i][0]);
		_mm512_storeu_ps(t->c + (size_t)i * t->ldc + 16, acc[i][1]);
	}
	if (t->act > FRCNN_GEMM_RELU)
		for (size_t i = 0; i < MR; i++)
			activate_avx512(t->c + i * t->ldc, NR, t->act);
}

const struct frcnn_kernels frcnn_kernels_avx512 = {
    .name = "avx512",
    .mr = MR,
    .nr = NR,
    .gemm_tile = gemm_tile_avx512,
    .depthwise_row = depthwise_row_avx512,
    .add_act = add_act_avx512,
    .max_into = max_into_avx512,
    .scale_channels = scale_channels_avx512,
    .winograd_input = winograd_input_avx512,
    .winograd_output = winograd_output_avx512,
};
