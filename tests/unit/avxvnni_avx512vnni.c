/*
 * The kernels of AVX-VNNI in the encoding of AVX512-VL, for machines that have
 * that and not the other: one template makes both (kernels/x86/avxvnni.inc).
 */
#include "kernels/kernels.h"

const struct frcnn_kernels_int8 *avxvnni_in_avx512(void);

#ifdef __AVX512VNNI__
#define SUFFIX(name)    name##_avxvnni
#define DPBUSD(s, x, b) _mm256_dpbusd_epi32(s, x, b)
#define DPWSSD(s, x, b) _mm256_dpwssd_epi32(s, x, b)
#define TABLE           avxvnni_table
extern const struct frcnn_kernels_int8 TABLE;
#include "kernels/x86/avxvnni.inc"

/* NULL where this machine cannot run it. */
const struct frcnn_kernels_int8 *avxvnni_in_avx512(void)
{
	return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl") ? &TABLE : NULL;
}
#else
const struct frcnn_kernels_int8 *avxvnni_in_avx512(void)
{
	return NULL;
}
#endif
