/* Integers on AVX2: everything in pairs of int16, as products of bytes would saturate. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define BYTES        1
#define NAME(name)   name##_pairs_avx2
#define DOT(s, x, b) _mm256_add_epi32(s, _mm256_madd_epi16(x, b))
#define STEP_SIZE    2
#define INTEGER      1
#include "kernels/x86/gemm_tile_256.inc"

#define SUFFIX(name) name##_avx2
#define LANES        8
#include "kernels/c/vector.inc"

INLINE BITS widen_avx2(const uint8_t *x)
{
	return (BITS)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)x));
}

#include "kernels/c/int8.inc"

static inline void finish_line_avx2(const struct frcnn_winograd_output *t, int p, size_t c, size_t lanes, VEC value)
{
	if (t->residual[p])
		value += load_line(t->residual[p], c, t->residual_as, t->residual_quant, lanes);
	store_line(t->y[p], c, t->y_as, t->y_quant, lanes, activate(value, t->act));
}

#include "kernels/c/winograd_int8.inc"

const struct frcnn_kernels_int8 frcnn_kernels_avx2_int8 = {
    .direct = {FRCNN_AS_S16, 2, gemm_tile_pairs_avx2, take_pairs_avx2},
    .quantize = take_bytes_avx2,
    .gemm_tile_pairs = gemm_tile_pairs_avx2,
    .winograd_input = winograd_input_int8_avx2,
    .winograd_output = winograd_output_int8_avx2,
    .max_into = max_bytes_avx2,
    .weigh = weigh_bytes_avx2,
};
