/* AVX512_BF16: the 14 x 32 tile of the matrix product over pairs of bfloat16, accumulated in float32. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define NAME(name)   name##_avx512bf16
#define DOT(s, x, b) _mm512_dpbf16_ps(s, (__m512bh)(x), (__m512bh)(b))
#define HALF         1
#include "kernels/x86/gemm_tile_512.inc"

#define SUFFIX(name) name##_avx512bf16
#define LANES        16
#include "kernels/c/winograd.inc"

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

const struct frcnn_kernels_bf16 frcnn_kernels_avx512bf16 = {
    .gemm_tile = gemm_tile_avx512bf16,
    .winograd_input = winograd_input_avx512bf16,
    .winograd_output = winograd_output_avx512bf16,
    .convert = to_bf16,
};
