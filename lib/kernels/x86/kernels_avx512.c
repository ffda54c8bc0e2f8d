/* AVX-512 (F, BW, DQ, VL): 14 x 32 tiles of the matrix product. */
#define SUFFIX(name) name##_avx512
#define LANES        16
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#include <immintrin.h>

#define BYTES        1
#define NAME(name)   name##_avx512
#define DOT(s, x, b) _mm512_fmadd_ps(x, b, s)
#define STEP_SIZE    1
#define INTEGER      0
#include "kernels/x86/gemm_tile_512.inc"

const struct frcnn_kernels frcnn_kernels_avx512 = {
    .name = "avx512",
    .mr = MR,
    .nr = NR,
    .gemm_tile = gemm_tile_avx512,
    .depthwise_row = depthwise_row_avx512,
    .add_act = add_act_avx512,
    .max_into = max_into_avx512,
    .scale_channels = scale_channels_avx512,
    .weigh = weigh_avx512,
    .winograd_input = winograd_input_avx512,
    .winograd_output = winograd_output_avx512,
};
