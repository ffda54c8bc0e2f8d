/*
 * graph - a network as data: nodes in order of execution, each with its
 * operator, inputs, shape and weights; one builder per family that reads like
 * the paper's table and asks the checkpoint for tensors by name; passes over
 * the result, a page each. Speaks NCHW and float32, whatever a backend makes of
 * it. What has a data-dependent count (proposals, RoIs, detections) is not
 * here but in detect/; how a node is computed is the backend's affair (cpu/).
 */
#ifndef FRCNN_GRAPH_H
#define FRCNN_GRAPH_H

#include "model/model.h"

enum frcnn_op {
	FRCNN_OP_INPUT,
	FRCNN_OP_CONV, /* weight [K, C/groups, R, S], bias [K] or none; a linear layer is a window over all of H x W */
	FRCNN_OP_BATCH_NORM, /* weight [C] scale, bias [C] shift; gone after frcnn_graph_fold */
	FRCNN_OP_ACTIVATION,
	FRCNN_OP_ADD,         /* input 0 + input 1, equal shapes */
	FRCNN_OP_MUL,         /* input 0 [N,C,H,W] times input 1 [N,C,1,1] (squeeze-excite) */
	FRCNN_OP_MAX_POOL,    /* window kernel x kernel; padding never wins */
	FRCNN_OP_GLOBAL_MEAN, /* [N,C,H,W] to [N,C,1,1] */
	FRCNN_OP_UPSAMPLE     /* nearest, input 0 to the height and width of input 1 */
};

enum frcnn_activation { FRCNN_LINEAR, FRCNN_RELU, FRCNN_HARD_SWISH, FRCNN_HARD_SIGMOID };

/* Weights, owned by the graph and shared by nodes (the RPN head runs on every level with the same ones). In an int8
 * layer value = quantized * scale of its filter, and weight is NULL. */
struct frcnn_params {
	float *weight, *bias; /* bias NULL: zero */
	int8_t *quantized;    /* as weight, -127 .. 127; NULL: the layer is float32 */
	float *scale;         /* [K] */
	char name[96];        /* the checkpoint's name of the layer */
};

struct frcnn_node {
	enum frcnn_op op;
	int input[2];              /* lower node numbers; -1: none */
	int residual;              /* fused ADD: the node whose value is added before the activation; -1: none */
	enum frcnn_activation act; /* CONV: fused activation; ACTIVATION: what it is */
	int kernel_h, kernel_w, stride, pad, dilation, groups;
	int params;               /* index into the graph's params; -1: none */
	struct frcnn_quant quant; /* CONV of an int8 layer: how it reads its input */
	int channels;             /* of the output */
	int height, width;        /* of the output; set by frcnn_graph_shape */
	bool dead;                /* fused into another node */
};

#define FRCNN_MAX_OUTPUTS (2 * FRCNN_MAX_LEVELS)

struct frcnn_graph {
	struct frcnn_node *nodes; /* node 0 is the input */
	size_t count, capacity;
	struct frcnn_params *params;
	size_t nparams, params_capacity;
	int outputs[FRCNN_MAX_OUTPUTS];
	int noutputs;
};

void frcnn_graph_free(struct frcnn_graph *graph);

/* ---- the two networks of a detector (detector_graphs.c) -------------------------------------------------------- */

/*
 * features: input [1, 3, H, W], H and W multiples of 32. Outputs: first nfeatures levels that RoIs pool from (high
 * resolution first), then nlevels RPN levels, each [1, A + 4A, h, w]: A objectness logits, then A x 4 box deltas.
 * head: input [R, C, 7, 7]. One output [R, nlabels + 4 * nlabels, 1, 1]: class logits, then nlabels x 4 box deltas.
 * Both are folded and fused, not yet shaped.
 */
struct frcnn_graphs {
	struct frcnn_graph features, head;
	int nfeatures, nlevels;
	int roi_size; /* 7 */
};

/* Every tensor of the checkpoint must be used, none may be missing or of the wrong shape: otherwise FRCNN_EFORMAT
 * naming it. fuse false: as the builders made them, for printing. */
int frcnn_graphs_build(const struct frcnn_model *model, bool fuse, struct frcnn_graphs *out, struct frcnn_error *err);
void frcnn_graphs_free(struct frcnn_graphs *graphs);

/* Builds the graphs and drops them: does this file hold the model that it says it is, all weights finite? */
int frcnn_model_check(const struct frcnn_model *model, struct frcnn_error *err);

/* Weights of an int8 filter, at the most: bytes times weights, 255 * 127 each, then sum up in 32 bits. */
#define FRCNN_INT8_WEIGHTS 66311

/* ---- building (builder.c) ---------------------------------------------------------------------------------------- */

/* The first failure sticks: later calls return -1 and do nothing, so that a builder checks once at its end. */
struct frcnn_builder {
	struct frcnn_graph *graph;
	const struct frcnn_checkpoint *checkpoint;
	const struct frcnn_description *description;
	bool *used; /* one a tensor of the checkpoint */
	int inputs; /* how many inputs the layers being built will run on, 0 for one: an int8 layer may read each with
		       a scale of its own */
	int status;
	struct frcnn_error *err;
};

int frcnn_build_input(struct frcnn_builder *b, int channels);
bool frcnn_build_has(const struct frcnn_builder *b, const char *format, ...) FRCNN_PRINTF(2, 3);
/*
 * kernel x kernel, padding kernel / 2. NAME.weight and, where there, NAME.bias; in a folded file it must be there.
 * NAME.weight of dtype I8 makes an int8 layer, of convolutions and linear layers alike: -127 .. 127, with NAME.scale
 * [K], NAME.bias [K], NAME.input.scale and NAME.input.zero_point [1] or [inputs]; scales are from 1e-20 to 1e20.
 */
int frcnn_build_conv(struct frcnn_builder *b, int x, const char *name, int kernel, int stride);
/* One filter a channel. */
int frcnn_build_depthwise(struct frcnn_builder *b, int x, const char *name, int kernel, int stride);
/* In a folded file nothing: returns x. */
int frcnn_build_batch_norm(struct frcnn_builder *b, int x, const char *name);
int frcnn_build_activation(struct frcnn_builder *b, int x, enum frcnn_activation act);
int frcnn_build_add(struct frcnn_builder *b, int x, int y);
int frcnn_build_mul(struct frcnn_builder *b, int x, int scale);
int frcnn_build_max_pool(struct frcnn_builder *b, int x, int kernel, int stride);
int frcnn_build_global_mean(struct frcnn_builder *b, int x);
int frcnn_build_upsample(struct frcnn_builder *b, int x, int like);
/* A fully connected layer over x flattened in C, H, W order; size = H = W of x. */
int frcnn_build_linear(struct frcnn_builder *b, int x, const char *name, int size);
/* Two 1x1 layers over the same input as one: the first's channels, then the second's. linear: weights are [K, C]. Both
 * are float, or both int8 and read their input alike. */
int frcnn_build_pair(struct frcnn_builder *b, int x, const char *first, const char *second, bool linear);
void frcnn_build_output(struct frcnn_builder *b, int x);
/* The same layers again, with the same weights, over another input of equal channels: nodes first .. last whose
 * chain starts at node `from` are repeated on `x`, which is input number 1, 2, .. of b->inputs. Returns the copy of
 * last. */
int frcnn_build_repeat(struct frcnn_builder *b, int from, int first, int last, int x, int number);

/* The families: each takes the builder and input node, returns its stages. */
int frcnn_build_resnet(struct frcnn_builder *b, int x, int stages[4]);       /* C2 .. C5; returns 4 */
int frcnn_build_mobilenet_v3(struct frcnn_builder *b, int x, int stages[2]); /* returns 2 */
/* levels: nstages feature levels, then "pool"; returns nstages + 1. */
int frcnn_build_fpn(struct frcnn_builder *b, const int *stages, int nstages, int levels[FRCNN_MAX_LEVELS]);
void frcnn_build_rpn_head(struct frcnn_builder *b, const int *levels, int nlevels, int *outputs);
int frcnn_build_box_head(struct frcnn_builder *b, int x, int roi_size);

/* ---- passes ---------------------------------------------------------------------------------- */

/* Batch norm into the convolution before it. (fold.c) */
void frcnn_graph_fold(struct frcnn_graph *graph);
/* Residual add, then activation, into the convolution that makes their input. (fuse.c) */
void frcnn_graph_fuse(struct frcnn_graph *graph);
/* Height and width of every node for an input of this size. (shape.c) */
int frcnn_graph_shape(struct frcnn_graph *graph, int height, int width, struct frcnn_error *err);
/* Offsets of blocks in one arena such that no two whose lifetimes [first, last] overlap share a byte; sizes and
 * offsets in units of the caller. Returns the arena's size. (memory_plan.c) */
struct frcnn_lifetime {
	size_t size, offset;
	int first, last;
};
int frcnn_graph_plan_memory(struct frcnn_lifetime *blocks, size_t count, size_t *arena, struct frcnn_error *err);
/* Multiply-adds of node i of a shaped graph; 0 where it is no convolution. (shape.c) */
int64_t frcnn_graph_multiply_adds(const struct frcnn_graph *graph, int i);
/* One line a node, as text. (print.c) */
void frcnn_graph_print(const struct frcnn_graph *graph, struct frcnn_buffer *out);

/* Number of live nodes that read node i (as input or residual), plus one if it is an output. */
int frcnn_graph_readers(const struct frcnn_graph *graph, int i);

#endif
