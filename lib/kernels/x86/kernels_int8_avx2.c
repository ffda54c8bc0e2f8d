/* Integers on AVX2: in pairs of int16, as sums of two products of bytes saturate, unless weights have 7 bits. */
#include "kernels/kernels.h"

#include <immintrin.h>
#include <string.h>

#define BYTES        1
#define NAME(name)   name##_pairs_avx2
#define DOT(s, x, b) _mm256_add_epi32(s, _mm256_madd_epi16(x, b))
#define STEP_SIZE    2
#define INTEGER      1
#include "kernels/x86/gemm_tile_256.inc"

#define NAME(name)   name##_small_avx2
#define DOT(s, x, b) _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(x, b), _mm256_set1_epi16(1)))
#define STEP_SIZE    4
#define INTEGER      1
#include "kernels/x86/gemm_tile_256.inc"

#define SUFFIX(name) name##_avx2
#define LANES        8
#include "kernels/x86/int8_256.inc"

const struct frcnn_kernels_int8 frcnn_kernels_avx2_int8 = {
    .name = "avx2",
    .direct = {FRCNN_AS_S16, 2, gemm_tile_pairs_avx2, take_pairs_avx2},
    .small = {FRCNN_AS_U8, 4, gemm_tile_small_avx2, take_bytes_avx2},
    .quantize = take_bytes_avx2,
    .gemm_tile_pairs = gemm_tile_pairs_avx2,
    .winograd_input = winograd_input_int8_avx2,
    .winograd_output = winograd_output_int8_avx2,
    .depthwise_row = depthwise_row_avx2,
    .max_into = max_bytes_avx2,
    .weigh = weigh_bytes_avx2,
};
