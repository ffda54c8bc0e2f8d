/* Integers on AVX-512 without VNNI: in pairs of int16, as sums of two products of bytes saturate, unless weights have 7
 * bits. */
#include "kernels/kernels.h"

#include <immintrin.h>

#define BYTES        1
#define NAME(name)   name##_pairs_avx512
#define DOT(s, x, b) _mm512_add_epi32(s, _mm512_madd_epi16(x, b))
#define STEP_SIZE    2
#define INTEGER      1
#include "kernels/x86/gemm_tile_512.inc"

#define NAME(name)   name##_small_avx512
#define DOT(s, x, b) _mm512_add_epi32(s, _mm512_madd_epi16(_mm512_maddubs_epi16(x, b), _mm512_set1_epi16(1)))
#define STEP_SIZE    4
#define INTEGER      1
#include "kernels/x86/gemm_tile_512.inc"

#define SUFFIX(name) name##_avx512
#define LANES        16
#include "kernels/x86/int8_512.inc"

const struct frcnn_kernels_int8 frcnn_kernels_avx512_int8 = {
    .name = "avx512",
    .direct = {FRCNN_AS_S16, 2, gemm_tile_pairs_avx512, take_pairs_avx512},
    .small = {FRCNN_AS_U8, 4, gemm_tile_small_avx512, take_bytes_avx512},
    .quantize = take_bytes_avx512,
    .gemm_tile_pairs = gemm_tile_pairs_avx512,
    .winograd_input = winograd_input_int8_avx512,
    .winograd_output = winograd_output_int8_avx512,
    .depthwise_row = depthwise_row_avx512,
    .max_into = max_bytes_avx512,
    .weigh = weigh_bytes_avx512,
};
