/* AVX2 with FMA: 6 x 16 tiles of the matrix product. */
#define SUFFIX(name) name##_avx2
#define LANES        8
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#include <immintrin.h>

#define BYTES        1
#define NAME(name)   name##_avx2
#define DOT(s, x, b) _mm256_fmadd_ps(x, b, s)
#define STEP_SIZE    1
#define INTEGER      0
#include "kernels/x86/gemm_tile_256.inc"

const struct frcnn_kernels frcnn_kernels_avx2 = {
    .name = "avx2",
    .mr = MR,
    .nr = NR,
    .gemm_tile = gemm_tile_avx2,
    .depthwise_row = depthwise_row_avx2,
    .add_act = add_act_avx2,
    .max_into = max_into_avx2,
    .scale_channels = scale_channels_avx2,
    .weigh = weigh_avx2,
    .winograd_input = winograd_input_avx2,
    .winograd_output = winograd_output_avx2,
};
