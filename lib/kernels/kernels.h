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

/* Depth of one packed block: a tile of A is mr rows of FRCNN_GEMM_DEPTH values, each FRCNN_GEMM_LDA apart (the gap
 * keeps rows out of each other's cache sets). */
#define FRCNN_GEMM_DEPTH 256
#define FRCNN_GEMM_LDA   (FRCNN_GEMM_DEPTH + 16)

enum frcnn_gemm_act { FRCNN_GEMM_NONE, FRCNN_GEMM_RELU, FRCNN_GEMM_HARD_SWISH, FRCNN_GEMM_HARD_SIGMOID };

/* One tile of C (mr, nr) += A (mr, depth) x B (depth, nr), with what comes before the first block and after the last.
 */
struct frcnn_gemm_tile {
	size_t depth;   /* 1 .. FRCNN_GEMM_DEPTH */
	const float *a; /* row i at a + i * FRCNN_GEMM_LDA */
	const float *b; /* packed: row p at b + p * nr, 64-byte aligned */
	float *c;       /* row i at c + i * ldc */
	size_t ldc;
	const float *bias;     /* first block: nr values that C starts from; NULL: C holds partial sums */
	const float *residual; /* last block: added before the activation, row i at residual + i * ldr; may be NULL */
	size_t ldr;
	enum frcnn_gemm_act act; /* last block */
};

/* The same over bfloat16, two steps of depth at a time: pair p of row i at a + i * FRCNN_GEMM_LDA + 2 * p, pair p of
 * column j at b + p * 2 * nr + 2 * j. Sums, bias, residual and C stay float32. */
struct frcnn_gemm_tile_bf16 {
	size_t pairs; /* 1 .. FRCNN_GEMM_DEPTH / 2 */
	const uint16_t *a, *b;
	float *c;
	size_t ldc;
	const float *bias;
	const float *residual;
	size_t ldr;
	enum frcnn_gemm_act act;
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
	const float *bias;         /* nr */
	float *y[16];              /* output pixels, row-major in 4 x 4; NULL: outside of the image */
	const float *residual[16]; /* added before the activation; NULL: none */
	size_t columns;            /* how many of nr exist */
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
	/* Winograd's F(4x4, 3x3): the 6 x 6 pixels (row-major, a multiple of 16 channels each) of one block,
	 * transformed: value p of channel c at v + p * stride + c. */
	void (*winograd_input)(const float *const pixel[36], size_t channels, float *v, size_t stride);
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
	void (*gemm_tile)(const struct frcnn_gemm_tile_bf16 *tile);
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
	const float *weight;   /* (K, C / groups, R, S) */
	const float *bias;     /* (K) or NULL */
	const float *residual; /* as y, or NULL */
	enum frcnn_gemm_act act;
};
void frcnn_conv_reference(const struct frcnn_conv *conv, const float *x, float *y);
float frcnn_act_reference(float x, enum frcnn_gemm_act act);

#endif
