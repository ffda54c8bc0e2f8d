/* AVX512_VNNI: four bytes or two int16 of a row at a time, added in int32. */
#include "kernels/kernels.h"

#include <immintrin.h>

#define BYTES        1
#define NAME(name)   name##_bytes_avx512vnni
#define DOT(s, x, b) _mm512_dpbusd_epi32(s, x, b)
#define STEP_SIZE    4
#define INTEGER      1
#include "kernels/x86/gemm_tile_512.inc"
#define NAME(name)   name##_pairs_avx512vnni
#define DOT(s, x, b) _mm512_dpwssd_epi32(s, x, b)
#define STEP_SIZE    2
#define INTEGER      1
#include "kernels/x86/gemm_tile_512.inc"

#define SUFFIX(name) name##_avx512vnni
#define LANES        16
#include "kernels/x86/int8_512.inc"

const struct frcnn_kernels_int8 frcnn_kernels_avx512vnni = {
    .name = "avx512vnni",
    .direct = {FRCNN_AS_U8, 4, gemm_tile_bytes_avx512vnni, take_bytes_avx512vnni},
    .quantize = take_bytes_avx512vnni,
    .gemm_tile_pairs = gemm_tile_pairs_avx512vnni,
    .winograd_input = winograd_input_int8_avx512vnni,
    .winograd_output = winograd_output_int8_avx512vnni,
    .depthwise_row = depthwise_row_avx512vnni,
    .max_into = max_bytes_avx512vnni,
    .weigh = weigh_bytes_avx512vnni,
};
