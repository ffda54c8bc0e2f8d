/* AVX512_BF16: the 14 x 32 tile of the matrix product over pairs of bfloat16, accumulated in float32. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define MR 14
#define NR 32

static void to_bf16(uint16_t *out, const float *x, size_t n)
{
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		__m256bh v = _mm512_cvtneps_pbh(_mm512_loadu_ps(x + i));

		memcpy(out + i, &v, sizeof v);
	}
	if (i < n) {
		__mmask16 mask = (__mmask16)((1u << (n - i)) - 1);
		__m256bh v = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));

		memcpy(out + i, &v, (n - i) * sizeof *out);
	}
}

/* C (14, 32) += A (14, 2 * pairs) x B (2 * pairs, 32). */
static void gemm_tile_bf16(const struct frcnn_gemm_tile_bf16 *t)
{
	__m512 acc[MR][2];
	const uint16_t *a = t->a, *b = t->b;

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
	for (size_t p = 0; p < t->pairs; p++, a += 2, b += 2 * NR) {
		__m512bh b0 = (__m512bh)_mm512_load_si512(b), b1 = (__m512bh)_mm512_load_si512(b + NR);

#pragma GCC unroll 14
		for (int i = 0; i < MR; i++) {
			int pair;
			__m512bh x;

			memcpy(&pair, a + i * FRCNN_GEMM_LDA, sizeof pair);
			x = (__m512bh)_mm512_set1_epi32(pair);
			acc[i][0] = _mm512_dpbf16_ps(acc[i][0], x, b0);
			acc[i][1] = _mm512_dpbf16_ps(acc[i][1], x, b1);
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
			frcnn_kernels_avx512.add_act(t->c + i * t->ldc, t->c + i * t->ldc, NULL, NR, t->act);
}

const struct frcnn_kernels_bf16 frcnn_kernels_avx512bf16 = {
    .gemm_tile = gemm_tile_bf16,
    .convert = to_bf16,
};
