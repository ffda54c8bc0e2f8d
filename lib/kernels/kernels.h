/*
 * kernels - arithmetic in a hot loop: one table of functions per instruction
 * set. c/ holds the portable versions and the reference, x86/ the faster
 * ones, one translation unit an instruction set, which alone gets its flags.
 * Kernels take pointers and sizes, never allocate, never branch on the
 * machine, know nothing of graphs. Layout is NHWC: a pixel's C channels lie
 * together. Letters: M rows (pixels), K output channels, C input channels,
 * N images, H W height and width, R S window.
 *
 * A new instruction set
 *   1. x86/kernels_NAME.c (int8: kernels_int8_NAME.c) fills a whole table; what it has in common with others is in an
 *      .inc beside it, what it does no better it takes from the set below.
 *   2. Makefile: the file in KERNELS_SRC, its flags in ISA_FLAGS_X86 by the end of the file's name.
 *   3. Here: the table's declaration, at the end; for int8 beside the others of struct frcnn_kernels_int8.
 *   4. dispatch.c: a look_for_NAME that asks CPUID and, for wider registers, XCR0; a line in tables, or in int8_tables
 *      beside the set whose tiles it shares, best first. A name for --cpu is in the lines of tables, in the programs'
 *      options and in their man pages; an int8 table has none.
 *   5. Tests and benchmark run whatever frcnn_kernels_list and frcnn_kernels_int8_list give: nothing to add. Where no
 *      machine at hand has it, see tests/unit/avxvnni_avx512vnni.c.
 */
#ifndef FRCNN_KERNELS_H
#define FRCNN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

enum frcnn_gemm_act { FRCNN_GEMM_NONE, FRCNN_GEMM_RELU, FRCNN_GEMM_HARD_SWISH, FRCNN_GEMM_HARD_SIGMOID };

/* How the values of a tensor lie in memory. */
enum frcnn_storage { FRCNN_AS_F32, FRCNN_AS_BF16, FRCNN_AS_U8, FRCNN_AS_S16 };

static inline size_t frcnn_storage_size(enum frcnn_storage as)
{
	return as == FRCNN_AS_F32 ? 4 : as == FRCNN_AS_U8 ? 1 : 2;
}

/*
 * One tile of a matrix product, a block of depth at a time:
 *   sums = start in the first block (where A is float32 or bfloat16: the bias), what they were in the others
 *   sums += A (mr, depth) x B (depth, nr)
 *   y = act(sums + residual) in the last block
 * Every sum is taken in the order of depth, whatever the blocks. A step of depth is 32 bits of a row: a float32, a pair
 * of bfloat16 or int16, four bytes; e elements. Step p of row i is at a + i * lda + p * e, of column j at
 * b + (p * nr + j) * e. Products of int16 and of bytes of A with int8 of B are summed in int32; what follows then is
 *   y = act((float)sums * multiplier + bias + residual)
 * in float32, each operation rounded.
 */
struct frcnn_gemm_tile {
	size_t depth;  /* steps of this block in each run, at least 1 */
	const void *a; /* mr rows, row i at a + i * lda elements; rows that y lacks are read too */
	size_t lda;
	size_t runs, run_step; /* of A: depth steps each, run_step elements apart; 0 runs are 1 */
	const void *b;         /* packed, 64-byte aligned */
	const void *start;     /* nr values that sums begin with, float32 or int32; NULL: not the first block */
	void *sums;            /* (mr, nr), row i at sums + i * lds; not used when first and last are one */
	size_t lds;
	void *y; /* row i at y + i * ldy; NULL: not the last block */
	size_t ldy;
	const void *residual; /* row i at residual + i * ldr; NULL: none */
	size_t ldr;
	const float *multiplier, *bias; /* nr each, of integers */
	/* float32; beside it bfloat16 where that multiplies, bytes where integers do, and as y of float32 too */
	enum frcnn_storage y_as, residual_as;
	struct frcnn_quant y_quant, residual_quant; /* of what lies in bytes */
	size_t rows, columns; /* of y that exist, at most (mr, nr); other sums may be left alone */
	enum frcnn_gemm_act act;
	bool fetch; /* whether the rows of A below, which the next tile reads, are worth fetching */
};

/* Int8 kernels take windows of this many taps, and at least 16 channels. */
#define FRCNN_DEPTHWISE_TAPS 256

/* One row of outputs of a depthwise convolution: y (OW, C); x points at N's image (H, W, C). Float kernels know float32
 * alone and no residual. */
struct frcnn_depthwise_row {
	const void *x;
	int height, width, channels;
	const float *weight; /* (R, S, C); of int8 layers whole numbers */
	const float *bias;   /* (C) */
	const float *scale;  /* (C), of int8 layers */
	int kernel_h, kernel_w, stride, pad;
	int oy, out_width;
	void *y;
	const void *residual; /* as y, or NULL */
	enum frcnn_storage x_as, y_as, residual_as;
	struct frcnn_quant x_quant, y_quant, residual_quant;
	enum frcnn_gemm_act act;
};

/* A 4 x 4 block of outputs of a 3 x 3 convolution from its 36 products (winograd.inc). */
struct frcnn_winograd_output {
	const void
	    *m; /* product p (row-major in 6 x 6) of column j at m + p * stride + j; nr columns; float32 or int32 */
	size_t stride;
	const float *multiplier, *bias;       /* nr; multiplier: of integers */
	void *y[16];                          /* output pixels, row-major in 4 x 4; NULL: outside of the image */
	const void *residual[16];             /* added before the activation; NULL: none */
	enum frcnn_storage y_as, residual_as; /* as in frcnn_gemm_tile */
	struct frcnn_quant y_quant, residual_quant;
	size_t columns; /* how many of nr exist */
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

/* A way to multiply matrices. */
struct frcnn_arithmetic {
	enum frcnn_storage a_as; /* elements of A: as B's, but for U8, whose are int8 */
	size_t per_step;         /* elements in a step of depth */
	void (*gemm_tile)(const struct frcnn_gemm_tile *tile);
	/* n elements of A from values that lie as `as`, in bytes by quant; NULL: there are no others. int16 are bytes
	 * less their zero. */
	void (*convert)(void *out, const void *x, size_t n, enum frcnn_storage as, struct frcnn_quant quant);
};

/* Integer arithmetic beside a set of kernels, with tiles as large as its own; every set has it, and all of them give
 * the same bits. */
struct frcnn_kernels_int8 {
	const char *name;
	struct frcnn_arithmetic direct;
	/* For weights in -63 .. 63 alone, where two products of bytes fit int16; a gemm_tile of NULL: direct is best.
	 */
	struct frcnn_arithmetic small;
	void (*quantize)(void *out, const void *x, size_t n, enum frcnn_storage as,
			 struct frcnn_quant quant); /* bytes */
	/* Winograd's F(4x4, 3x3) in int16 (winograd_int8.inc): tiles over pairs, pixels in bytes, multiples of 16
	 * channels. Exact while |y| < 2^25: see frcnn_winograd_fits. */
	void (*gemm_tile_pairs)(const struct frcnn_gemm_tile *tile);
	void (*winograd_input)(const void *const pixel[36], size_t channels, int zero, int16_t *v, size_t stride);
	void (*winograd_output)(const struct frcnn_winograd_output *block);
	void (*depthwise_row)(const struct frcnn_depthwise_row *row);
	/* y[i] = max(y[i], x[i]) for n bytes. */
	void (*max_into)(uint8_t *y, const uint8_t *x, size_t n);
	/* As frcnn_weigh_reference. */
	void (*weigh)(float *y, const uint8_t *const *from, struct frcnn_quant quant, const float *weight, size_t count,
		      size_t n);
};
/* The best that this machine has beside a set. */
const struct frcnn_kernels_int8 *frcnn_kernels_int8_get(const struct frcnn_kernels *kernels);
/* Table number i of those, best first; NULL at the end. */
const struct frcnn_kernels_int8 *frcnn_kernels_int8_list(const struct frcnn_kernels *kernels, int i);
extern const struct frcnn_kernels_int8 frcnn_kernels_c_int8, frcnn_kernels_avx2_int8, frcnn_kernels_avxvnni,
    frcnn_kernels_avx512_int8, frcnn_kernels_avx512vnni;

/* What a machine with bfloat16 arithmetic has besides; tiles are as large as the set's own. */
struct frcnn_kernels_bf16 {
	struct frcnn_arithmetic direct; /* conversion rounds to nearest even, subnormals to zero */
	void (*winograd_input)(const void *const pixel[36], size_t channels, float *v,
			       size_t stride); /* pixels in it */
	void (*winograd_output)(const struct frcnn_winograd_output *block);
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
	enum frcnn_storage x_as, y_as, residual_as; /* float32; or bfloat16 or bytes, as the arithmetic allows */
	/* int8 layers: the weights, their scales (K), and how what lies in bytes does. x_quant also where x is float32:
	 * it is quantized first. */
	const int8_t *quantized; /* as weight, which is NULL then; not looked at once packed */
	const float *scale;      /* NULL: no int8 layer */
	struct frcnn_quant x_quant, y_quant, residual_quant;
};
/* All in float32, but y may lie in bytes. */
void frcnn_conv_reference(const struct frcnn_conv *conv, const float *x, void *y);
float frcnn_act_reference(float x, enum frcnn_gemm_act act);
/*
 * int8 layers (c/reference_int8.c), where requantization is defined:
 *   v = (float)sum((x - x_zero) * quantized) * (x_scale * scale) + bias + residual, then the activation
 * in float32, each operation rounded, no contraction; pixels outside of the image are x_zero. Any grouping.
 */
void frcnn_conv_int8_reference(const struct frcnn_conv *conv, const void *x, void *y);
/* clamp(round half to even (value * (1 / scale)) + zero, 0, 255); NaN: 0 */
uint8_t frcnn_to_byte(float value, struct frcnn_quant quant);
/* Of n values in bytes y[i] = scale * sum over k < count, in order, of (float)(from[k][i] - zero) * weight[k], in
 * float32, each operation rounded, no contraction. */
void frcnn_weigh_reference(float *y, const uint8_t *const *from, struct frcnn_quant quant, const float *weight,
			   size_t count, size_t n);
/* The activation as kernels over integers compute it, by multiplying with a sixth. */
float frcnn_act_int8(float value, enum frcnn_gemm_act act);

#endif
