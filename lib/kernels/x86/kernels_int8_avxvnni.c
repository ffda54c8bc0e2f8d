/* AVX-VNNI, of machines that have it beside AVX2. */
#define SUFFIX(name)    name##_avxvnni
#define DPBUSD(s, x, b) _mm256_dpbusd_avx_epi32(s, x, b)
#define DPWSSD(s, x, b) _mm256_dpwssd_avx_epi32(s, x, b)
#define TABLE           frcnn_kernels_avxvnni
#include "kernels/x86/avxvnni.inc"
