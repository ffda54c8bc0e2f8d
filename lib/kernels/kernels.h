/*
 * kernels - arithmetic in a hot loop: one table of functions per instruction
 * set. c/ holds the portable versions and the reference, x86/ the faster
 * ones, one translation unit an instruction set, which alone gets its flags.
 * Kernels take pointers and sizes, never allocate, never branch on the
 * machine, know nothing of graphs. Layout is NHWC: a pixel's C channels lie
 * together. Letters: M rows (pixels), K output channels, C input channels,
 * N images, H W height and width, R S window.
 */
#ifndef FRCNN_KERNELS_H
#define FRCNN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frcnn_gemm_act { FRCNN_GEMM_NONE, FRCNN_GEMM_RELU, FRCNN_GEMM_HARD_SWISH, FRCNN_GEMM_HARD_SIGMOID };

/* How the values of a tensor lie in memory. */
enum frcnn_storage { FRCNN_AS_F32, FRCNN_AS_BF16 };

/*
 * One tile of a matrix product, a block of depth at a time:
 *   sums = bias in the first block, what they were in the others
 *   sums += A (mr, depth) x B (depth, nr)
 *   y = act(sums + residual) in the last block
 * Every sum is taken in the order of depth, whatever the blocks. In bfloat16 depth counts pairs: pair p of row i at
 * a + i * lda + 2 * p, of column j at b + (p * nr + j) * 2; sums and bias stay float32.
 */
struct frcnn_gemm_tile {
	size_t depth;  /* of this block in each run, at least 1 */
	const void *a; /* mr rows, row i at a + i * lda elements; rows that y lacks are read too */
	size_t lda;
	size_t runs, run_step; /* of A: depth elements each, run_step elements apart; 0 runs are 1 */
	const void *b;         /* packed: row p at b + p * nr, 64-byte aligned */
	const float *bias;     /* nr values; NULL: not the first block */
	float *sums;           /* (mr, nr), row i at sums + i * lds; not used when first and last are one */
	size_t lds;
	void *y; /* row i at y + i * ldy; NULL: not the last block */
	size_t ldy;
	const void *residual; /* row i at residual + i * ldr; NULL: none */
	size_t ldr;
	enum frcnn_storage y_as, residual_as; /* float32 only, but for kernels of bfloat16 */
	size_t rows, columns;                 /* of y that exist, at most (mr, nr); other sums may be left alone */
	enum frcnn_gemm_act act;
	bool fetch; /* whether the rows of A below, which the next tile reads, are worth fetching */
};

/* One row of outputs of a depthwise convolution: y (OW, C); x points at N's image (H, W, C). */
struct frcnn_depthwise_row {
	const float *x;
	int height, width, channels;
	const float *weight; /* (R, S, C) */
	const float *bias;   /* (C) */
	int kernel_h, kernel_w, stride, pad;
	int oy, out_width;
	float *y;
	enum frcnn_gemm_act act;
};

/* A 4 x 4 block of outputs of a 3 x 3 convolution from its 36 products (winograd.inc). */
struct frcnn_winograd_output {
	const float *m; /* product p (row-major in 6 x 6) of column j at m + p * stride + j; nr columns */
	size_t stride;
	const float *bias;                    /* nr */
	void *y[16];                          /* output pixels, row-major in 4 x 4; NULL: outside of the image */
	const void *residual[16];             /* added before the activation; NULL: none */
	enum frcnn_storage y_as, residual_as; /* float32 only, but for kernels of bfloat16 */
	size_t columns;                       /* how many of nr exist */
	enum frcnn_gemm_act act;
};

struct frcnn_kernels {
	const char *name;
	int mr, nr; /* tile of gemm_tile */
	void (*gemm_tile)(const struct frcnn_gemm_tile *tile);
	void (*depthwise_row)(const struct frcnn_depthwise_row *row);
	/* y[i] = act(x[i] + residual[i]) for n values; residual may be NULL; y may be x. */
	void (*add_act)(float *y, const float *x, const float *residual, size_t n, enum frcnn_gemm_act act);
	/* y[i] = max(y[i], x[i]) for n values. */
	void (*max_into)(float *y, const float *x, size_t n);
	/* Pixel p, channel c: y = x * scale[c]; pixels * channels values. */
	void (*scale_channels)(float *y, const float *x, const float *scale, size_t pixels, size_t channels);
	/* y[i] = the sum of from[k][i] * weight[k] in the order of k < count, for n values; 0 when there are none. */
	void (*weigh)(float *y, const float *const *from, const float *weight, size_t count, size_t n);
	/* Winograd's F(4x4, 3x3): the 6 x 6 pixels (row-major, a multiple of 16 channels each) of one block,
	 * transformed: value p of channel c at v + p * stride + c. */
	void (*winograd_input)(const void *const pixel[36], size_t channels, float *v, size_t stride);
	void (*winograd_output)(const struct frcnn_winograd_output *block);
};

/* The table by name ("avx512", "avx2", "c"; NULL: the best this machine has); NULL when it is unknown or this machine
 * lacks it. Tables are constant and complete. (dispatch.c) */
const struct frcnn_kernels *frcnn_kernels_get(const char *name);
/* Table number i of those this machine can run, best first; NULL at the end. */
const struct frcnn_kernels *frcnn_kernels_list(int i);
/* Names of all that was built, best first, separated by blanks, "reference" at the end: frcnn_cpu_available gives those
 * of them that this machine can run. */
const char *frcnn_kernels_built(void);

/* What a machine with bfloat16 arithmetic has besides; tiles are as large as the set's own. */
struct frcnn_kernels_bf16 {
	void (*gemm_tile)(const struct frcnn_gemm_tile *tile);
	void (*winograd_input)(const void *const pixel[36], size_t channels, float *v,
			       size_t stride); /* pixels in it */
	void (*winograd_output)(const struct frcnn_winograd_output *block);
	void (*convert)(uint16_t *out, const float *x, size_t n); /* round to nearest even, subnormals to zero */
};
/* Beside this set on this machine; NULL: none, and none is emulated. */
const struct frcnn_kernels_bf16 *frcnn_kernels_bf16_get(const struct frcnn_kernels *kernels);
extern const struct frcnn_kernels_bf16 frcnn_kernels_avx512bf16;

extern const struct frcnn_kernels frcnn_kernels_c;
extern const struct frcnn_kernels frcnn_kernels_avx2;
extern const struct frcnn_kernels frcnn_kernels_avx512;

/*
 * The reference (c/reference.c): the truth that all else is compared with, one operator a function over whole NHWC
 * tensors, no packing, no intrinsics, no cleverness.
 */
struct frcnn_conv {
	int n, height, width, channels;          /* x: (N, H, W, C) */
	int out_height, out_width, out_channels; /* y: (N, OH, OW, K) */
	int kernel_h, kernel_w, stride, pad, dilation, groups;
	const float *weight;  /* (K, C / groups, R, S) */
	const float *bias;    /* (K) or NULL */
	const void *residual; /* as y, or NULL */
	enum frcnn_gemm_act act;
	enum frcnn_storage x_as, y_as, residual_as; /* float32 but for convolutions packed in bfloat16 and Winograd's */
};
/* All in float32. */
void frcnn_conv_reference(const struct frcnn_conv *conv, const float *x, float *y);
float frcnn_act_reference(float x, enum frcnn_gemm_act act);

#endif
