/*
 * cpu - the backend that runs graphs on this machine's cores: NHWC
 * activations in one planned arena, weights packed for the kernels' tiles,
 * work split by shape alone, so that the bytes do not depend on the number of
 * threads. In which dtype each tensor lies between layers (float32, bf16, the
 * bytes of an int8 layer) is settled in backend.c, choose_storage. Arithmetic
 * lives in kernels/, networks in graph/.
 */
#ifndef FRCNN_CPU_H
#define FRCNN_CPU_H

#include "graph/backend.h"
#include "kernels/kernels.h"

static inline size_t frcnn_ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

/* Per-worker memory, grown when plans are made, never while running. */
struct frcnn_worker_memory {
	float **block; /* one a worker, 64-byte aligned */
	size_t floats; /* size of each */
	int workers;
};

/* ---- convolution as a packed matrix product (conv.c) --------------------------- */

/* Weights (K, C, R, S) as panels of nr filters, zero-padded: steps of depth over (R, S, C), each of nr columns of
 * how.per_step elements. */
struct frcnn_packed {
	void *weight;
	float *bias;                           /* (panels * nr) */
	int32_t *sums;                         /* likewise, of int8 weights: each filter's */
	struct frcnn_arithmetic how;           /* that it is packed for, but for one filter a channel */
	const struct frcnn_kernels_int8 *int8; /* whose kernels run beside it: winograd.c's and depthwise.c's int8 */
	bool winograd; /* weight is winograd.c's: panels of (36, C / how.per_step, nr, how.per_step) */
};
void frcnn_packed_free(struct frcnn_packed *packed);

/* groups 1. */
int frcnn_conv_pack(const struct frcnn_arithmetic *how, size_t nr, const struct frcnn_conv *conv,
		    struct frcnn_pool *pool, struct frcnn_packed *out, struct frcnn_error *err);
/* How a set of kernels multiplies in float32. */
struct frcnn_arithmetic frcnn_float_arithmetic(const struct frcnn_kernels *kernels);
/* The best way that a table has to multiply these int8 weights, before they are packed. */
struct frcnn_arithmetic frcnn_int8_arithmetic(const struct frcnn_kernels_int8 *int8, const struct frcnn_conv *conv);
/* Floats of scratch a worker needs. */
size_t frcnn_conv_scratch(const struct frcnn_kernels *kernels);
/* conv->weight and bias are not looked at but packed's. y may alias neither x nor conv->residual. */
void frcnn_conv_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
		    const struct frcnn_packed *packed, struct frcnn_pool *pool,
		    const struct frcnn_worker_memory *scratch, const void *x, void *y);

/* ---- 3 x 3 with stride 1 by Winograd's F(4x4, 3x3) (winograd.c) ---------------- */

/* Whether it is the algorithm for this shape, and in int8 for these weights: sums must stay below 2^25, which sums_fit
 * proves of each filter. Heights and widths do not matter. */
bool frcnn_winograd_fits(const struct frcnn_conv *conv);
/* In float32, or of int8 weights in int16. */
int frcnn_winograd_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv, struct frcnn_pool *pool,
			struct frcnn_packed *out, struct frcnn_error *err);
size_t frcnn_winograd_scratch(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv);
void frcnn_winograd_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			const struct frcnn_packed *packed, struct frcnn_pool *pool,
			const struct frcnn_worker_memory *scratch, const void *x, void *y);

/* ---- one filter a channel (depthwise.c) ------------------------------------------- */

/* Whether there are kernels for it. */
bool frcnn_depthwise_fits(const struct frcnn_conv *conv);
/* Weights as float32 (R, S, C), of int8 layers too. */
int frcnn_depthwise_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv, struct frcnn_packed *out,
			 struct frcnn_error *err);
void frcnn_depthwise_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			 const struct frcnn_packed *packed, struct frcnn_pool *pool, const void *x, void *y);

/* ---- everything else (pointwise.c): x (n, height, width, channels) ------------------ */

struct frcnn_map {
	int n, height, width, channels;
};
/* x and y in float32 or both in bytes. */
void frcnn_max_pool_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_map out, int kernel,
			int stride, int pad, enum frcnn_storage as, struct frcnn_pool *pool, const void *x, void *y);
void frcnn_upsample_run(struct frcnn_map in, struct frcnn_map out, struct frcnn_pool *pool, const float *x, float *y);
void frcnn_add_run(const struct frcnn_kernels *kernels, size_t n, enum frcnn_gemm_act act, struct frcnn_pool *pool,
		   const float *x, const float *residual, float *y);
/* scale (n, channels) */
void frcnn_scale_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_pool *pool, const float *x,
		     const float *scale, float *y);
/* y (n, channels), summed in double, row by row */
void frcnn_global_mean_run(struct frcnn_map in, struct frcnn_pool *pool, const float *x, float *y);

#endif
