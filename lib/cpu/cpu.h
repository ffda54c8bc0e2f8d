/*
 * cpu - the backend that runs graphs on this machine's cores: NHWC
 * activations in one planned arena, weights packed for the kernels' tiles,
 * work split by shape alone, so that the bytes do not depend on the number of
 * threads. Arithmetic lives in kernels/, networks in graph/.
 */
#ifndef FRCNN_CPU_H
#define FRCNN_CPU_H

#include "graph/backend.h"
#include "kernels/kernels.h"

static inline size_t frcnn_ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

static inline size_t frcnn_storage_size(enum frcnn_storage as)
{
	return as == FRCNN_AS_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Per-worker memory, grown when plans are made, never while running. */
struct frcnn_worker_memory {
	float **block; /* one a worker, 64-byte aligned */
	size_t floats; /* size of each */
	int workers;
};

/* ---- convolution as a packed matrix product (conv.c) --------------------------- */

/* Weights (K, C, R, S) as panels of nr filters, each (R * S * C, nr), zero-padded; bias likewise (panels * nr). */
struct frcnn_packed {
	float *weight, *bias;
	uint16_t
	    *bf16; /* weight's place taken: panels of pairs of depth, (R * S * C / 2 rounded up, nr, 2), in bfloat16 */
	bool winograd; /* weight is winograd.c's: panels of (36, C, nr) */
};

/* groups 1, or one filter a channel (weight then (R, S, C)). Other groupings stay as they are (reference). */
int frcnn_conv_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv, struct frcnn_pool *pool,
		    struct frcnn_packed *out, struct frcnn_error *err);
/* As above with weights in bfloat16; activations are rounded to it as they are gathered. groups 1 only. */
int frcnn_conv_pack_bf16(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv, struct frcnn_pool *pool,
			 struct frcnn_packed *out, struct frcnn_error *err);
/* Floats of scratch a worker needs. */
size_t frcnn_conv_scratch(const struct frcnn_kernels *kernels);
/* conv->weight and bias are not looked at but packed's. y may alias neither x nor conv->residual. */
void frcnn_conv_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
		    const struct frcnn_packed *packed, struct frcnn_pool *pool,
		    const struct frcnn_worker_memory *scratch, const void *x, void *y);

/* ---- 3 x 3 with stride 1 by Winograd's F(4x4, 3x3) (winograd.c) ---------------- */

/* Whether it is the algorithm for this shape; heights and widths do not matter. */
bool frcnn_winograd_fits(const struct frcnn_conv *conv);
int frcnn_winograd_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv, struct frcnn_pool *pool,
			struct frcnn_packed *out, struct frcnn_error *err);
size_t frcnn_winograd_scratch(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv);
void frcnn_winograd_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			const struct frcnn_packed *packed, struct frcnn_pool *pool,
			const struct frcnn_worker_memory *scratch, const void *x, void *y);

/* ---- one filter a channel (depthwise.c) ------------------------------------------- */

void frcnn_depthwise_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			 const struct frcnn_packed *packed, struct frcnn_pool *pool, const float *x, float *y);

/* ---- everything else (pointwise.c): x (n, height, width, channels) ------------------ */

struct frcnn_map {
	int n, height, width, channels;
};
void frcnn_max_pool_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_map out, int kernel,
			int stride, int pad, struct frcnn_pool *pool, const float *x, float *y);
void frcnn_upsample_run(struct frcnn_map in, struct frcnn_map out, struct frcnn_pool *pool, const float *x, float *y);
void frcnn_add_run(const struct frcnn_kernels *kernels, size_t n, enum frcnn_gemm_act act, struct frcnn_pool *pool,
		   const float *x, const float *residual, float *y);
/* scale (n, channels) */
void frcnn_scale_run(const struct frcnn_kernels *kernels, struct frcnn_map in, struct frcnn_pool *pool, const float *x,
		     const float *scale, float *y);
/* y (n, channels), summed in double, row by row */
void frcnn_global_mean_run(struct frcnn_map in, struct frcnn_pool *pool, const float *x, float *y);

#endif
