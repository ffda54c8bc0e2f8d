/*
 * graph - a network as data: a list of nodes in order of execution, each with
 * its operator, inputs, shape and weights; one builder per family; passes over
 * it. Speaks NCHW and float32 whatever a backend makes of it. What has a
 * data-dependent count (proposals, RoIs, detections) is not here but in detect/.
 */
#ifndef FRCNN_GRAPH_H
#define FRCNN_GRAPH_H

#include "model/model.h"

enum frcnn_op {
	FRCNN_OP_INPUT,
	FRCNN_OP_CONV,        /* weight [K, C/groups, R, S], bias [K] or NULL; a linear layer is R = S = 1 on 1x1 */
	FRCNN_OP_BATCH_NORM,  /* scale[C], shift[C]; folded away by frcnn_graph_fold */
	FRCNN_OP_ACTIVATION,
	FRCNN_OP_ADD,         /* input 0 + input 1 */
	FRCNN_OP_MUL,         /* input 0 [N,C,H,W] * input 1 [N,C,1,1] (squeeze-excite) */
	FRCNN_OP_MAX_POOL,    /* window R x S, stride, pad: padding never wins */
	FRCNN_OP_GLOBAL_MEAN, /* [N,C,H,W] -> [N,C,1,1] */
	FRCNN_OP_UPSAMPLE,    /* nearest, input 0 to the height and width of input 1 */
	FRCNN_OP_FLATTEN      /* [N,C,H,W] -> [N,C*H*W,1,1], C slowest */
};

enum frcnn_activation { FRCNN_LINEAR, FRCNN_RELU, FRCNN_HARD_SWISH, FRCNN_HARD_SIGMOID };

struct frcnn_node {
	enum frcnn_op op;
	int input[2];                 /* node numbers, lower than this one; -1: none */
	int residual;                 /* a node whose value is added before the activation (fused ADD); -1: none */
	enum frcnn_activation act;    /* CONV: fused; ACTIVATION: what it is */
	int kernel_h, kernel_w, stride, pad, dilation, groups;
	int channels;                 /* of the output */
	int height, width;            /* of the output; known after frcnn_graph_shape */
	float *weight, *bias;         /* owned by the graph; CONV: as above; BATCH_NORM: scale, shift */
	char name[64];                /* the checkpoint's name of the layer, for printing and errors */
	bool dead;                    /* fused into another node */
};

#define FRCNN_MAX_OUTPUTS 16

struct frcnn_graph {
	struct frcnn_node *nodes;
	size_t count, capacity;
	int outputs[FRCNN_MAX_OUTPUTS];
	int noutputs;
};

void frcnn_graph_free(struct frcnn_graph *graph);

#endif
