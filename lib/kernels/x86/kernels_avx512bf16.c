/* AVX512_BF16: the 14 x 32 tile of the matrix product over pairs of bfloat16, accumulated in float32. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define HALF         1
#define NAME(name)   name##_avx512bf16
#define DOT(s, x, b) _mm512_dpbf16_ps(s, (__m512bh)(x), (__m512bh)(b))
#define STEP_SIZE    2
#define INTEGER      0
#include "kernels/x86/gemm_tile_512.inc"

#define SUFFIX(name) name##_avx512bf16
#define LANES        16
#include "kernels/c/winograd.inc"

static void to_bf16(void *out, const void *x, size_t n, enum frcnn_storage as, struct frcnn_quant quant)
{
	const float *from = x;
	uint16_t *to = out;
	size_t i = 0;

	(void)as;
	(void)quant;
	for (; i + 16 <= n; i += 16) {
		__m256bh v = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));

		memcpy(to + i, &v, sizeof v);
	}
	if (i < n) {
		__mmask16 mask = (__mmask16)((1u << (n - i)) - 1);
		__m256bh v = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from + i));

		memcpy(to + i, &v, (n - i) * sizeof *to);
	}
}

const struct frcnn_kernels_bf16 frcnn_kernels_avx512bf16 = {
    .direct = {FRCNN_AS_BF16, 2, gemm_tile_avx512bf16, to_bf16},
    .winograd_input = winograd_input_avx512bf16,
    .winograd_output = winograd_output_avx512bf16,
};
