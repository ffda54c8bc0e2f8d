/* AVX2 with FMA: 6 x 16 tiles of the matrix product. */
#define SUFFIX(name) name##_avx2
#define LANES        8
#include "kernels/c/generic.inc"
#include "kernels/c/winograd.inc"

#include <immintrin.h>

#define MR 6
#define NR 16

#define FETCH 16 /* depth between two rounds of fetching ahead */

/* Rows 0 .. 5 of A from two pointers, each three rows apart: addresses that need no arithmetic. */
#define ROWS(STEP) STEP(0, a0, 0) STEP(1, a0, 1) STEP(2, a0, 2) STEP(3, a3, 0) STEP(4, a3, 1) STEP(5, a3, 2)

static inline __m256 activate(__m256 v, enum frcnn_gemm_act act)
{
	__m256 zero = _mm256_setzero_ps(), clipped;

	if (act == FRCNN_GEMM_NONE)
		return v;
	if (act == FRCNN_GEMM_RELU)
		return _mm256_max_ps(v, zero);
	clipped = _mm256_min_ps(_mm256_max_ps(_mm256_add_ps(v, _mm256_set1_ps(3)), zero), _mm256_set1_ps(6));
	if (act == FRCNN_GEMM_HARD_SWISH)
		clipped = _mm256_mul_ps(v, clipped);
	return _mm256_mul_ps(clipped, _mm256_set1_ps(1.0f / 6));
}

/* Which of 8 lanes from column on exist. */
static inline __m256i lanes(size_t columns, size_t column)
{
	static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
	size_t left = columns > column ? columns - column : 0;

	return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - (left < 8 ? left : 8)));
}

/* What the next tile reads and writes is fetched while this one is computed. */
static inline void fetch_ahead(const struct frcnn_gemm_tile *t, const float *a, size_t k, size_t *row)
{
	size_t rounds = (t->depth + FETCH - 1) / FETCH * (t->runs ? t->runs : 1), each = (MR + rounds - 1) / rounds;
	const float *residual = t->residual;

	for (size_t i = 0; t->fetch && i < MR; i++)
		__builtin_prefetch(a + (MR + i) * t->lda + k);
	for (size_t n = 0; t->y && n < each && *row < MR; n++, ++*row) {
		__builtin_prefetch((float *)t->y + (MR + *row) * t->ldy, 1);
		if (residual)
			__builtin_prefetch(residual + (MR + *row) * t->ldr);
	}
}

static void gemm_tile_avx2(const struct frcnn_gemm_tile *t)
{
	size_t lda = t->lda, row = 0;
	size_t runs = t->runs ? t->runs : 1;
	const float *b = t->b, *residual = t->residual;
	float *y = t->y;
	__m256 acc[MR][2];

#pragma GCC unroll 6
	for (size_t i = 0; i < MR; i++) {
		acc[i][0] = _mm256_loadu_ps(t->bias ? t->bias : t->sums + i * t->lds);
		acc[i][1] = _mm256_loadu_ps((t->bias ? t->bias : t->sums + i * t->lds) + 8);
	}
	for (size_t run = 0; run < runs; run++) {
		const float *a = (const float *)t->a + run * t->run_step, *a0 = a, *a3 = a0 + 3 * lda;

		for (size_t k = 0; k < t->depth; k += FETCH) {
			size_t n = t->depth - k < FETCH ? t->depth - k : FETCH;

			fetch_ahead(t, a, k, &row);
			for (size_t p = 0; p < n; p++, a0++, a3++, b += NR) {
				__m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8), x;

#define STEP(i, base, times)                                                                                           \
	x = _mm256_broadcast_ss(base + times * lda);                                                                   \
	acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);                                                                 \
	acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
				ROWS(STEP)
			}
		}
	}
	if (!y) {
#pragma GCC unroll 6
		for (size_t i = 0; i < MR; i++) {
			_mm256_storeu_ps(t->sums + i * t->lds, acc[i][0]);
			_mm256_storeu_ps(t->sums + i * t->lds + 8, acc[i][1]);
		}
		return;
	}
#pragma GCC unroll 6
	for (size_t i = 0; i < MR; i++) {
		if (i >= t->rows)
			break;
#pragma GCC unroll 2
		for (size_t j = 0; j < NR; j += 8) {
			__m256i mask = lanes(t->columns, j);
			__m256 v = acc[i][j / 8];

			if (residual)
				v = _mm256_add_ps(v, _mm256_maskload_ps(residual + i * t->ldr + j, mask));
			_mm256_maskstore_ps(y + i * t->ldy + j, mask, activate(v, t->act));
		}
	}
}

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
