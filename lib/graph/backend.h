/*
 * What runs a graph. A backend prepares a graph once (packs its weights), plans
 * it per input size (lays out memory), and runs plans without touching an
 * allocator. Layouts, packed weights and tiles are its private affair; at the
 * border activations are NHWC on the host, float32 or int8 layers' bytes.
 */
#ifndef FRCNN_BACKEND_H
#define FRCNN_BACKEND_H

#include "graph/graph.h"

/* One output: (N, height, width, channels), valid until the next run, in float32 at data, or in bytes where that is how
 * int8 layers of the graph read it. */
struct frcnn_feature_map {
	const float *data; /* or NULL */
	int height, width, channels;
	const uint8_t *bytes; /* or NULL */
	struct frcnn_quant quant;
};

typedef void frcnn_watcher(void *context, int node, const float *values, size_t count);
typedef void frcnn_comparer(void *context, const float *first, const float *second, size_t count);

struct frcnn_backend {
	const char *name;
	/* Takes the graph's weights over (they may be freed as they are packed); the graph's params must stay until the
	 * last context is released. cpu: a kernel set's name, NULL the best. A precision that the machine has no
	 * arithmetic for is FRCNN_EUNSUPPORTED. pool is borrowed until release, NULL runs on the caller. */
	int (*prepare)(struct frcnn_graph *graph, const char *cpu, enum frcnn_precision precision,
		       struct frcnn_pool *pool, void **network, struct frcnn_error *err);
	/* Another context over the same weights: plans, memory and pool (borrowed likewise) are its own. A context is
	 * used by one caller at a time, different ones at the same time; they are released in any order. This call
	 * itself may run beside runs of other contexts, not beside one of network. */
	int (*share)(void *network, struct frcnn_pool *pool, void **other, struct frcnn_error *err);
	void (*release)(void *network);
	/* Lays out an input of (n, height, width), n the most that run will be given; kept for the last few sizes. */
	int (*plan)(void *network, int n, int height, int width, struct frcnn_error *err);
	/* Bytes that the plan of such an input computes in; makes no plan and takes no such memory. */
	int (*memory)(void *network, int n, int height, int width, size_t *bytes, struct frcnn_error *err);
	/* Where the input of the current plan is written: (n, height, width, channels). NULL: it is not kept in float32
	 * and goes through store, which takes its values at .. at + count - 1 and may be called by several threads. The
	 * input of a network over pictures is always in float32. */
	float *(*input)(void *network);
	void (*store)(void *network, size_t at, const float *values, size_t count);
	/* Runs the current plan on the first n images of the input. */
	int (*run)(void *network, int n, struct frcnn_error *err);
	struct frcnn_feature_map (*output)(void *network, int i);
	/* From now on each run shows what its live nodes computed, in order, the input first: count values in float32,
	 * NHWC. see NULL: no more. Only where all of them are in float32. */
	void (*watch)(void *network, frcnn_watcher *see, void *context);
	/* Gives the network a second form of its weights, in int8: graph has the same nodes and its weights are taken
	 * over likewise, it must stay as long. Before the first plan of a float32 network, whose plans then keep every
	 * value of a run. */
	int (*second)(void *network, const struct frcnn_graph *graph, struct frcnn_error *err);
	/* Runs the nodes with these params in their second form and all that come after the first of them as they are;
	 * what lies before is as the last run left it. So params are to be asked for from the last to the first after a
	 * run. only: just those nodes, which then have their values back. compare: is shown the value of each of them
	 * in both forms. */
	int (*again)(void *network, int params, bool only, frcnn_comparer *compare, void *context,
		     struct frcnn_error *err);
	/* Name of the kernel set in force. */
	const char *(*kernels)(void *network);
};

extern const struct frcnn_backend frcnn_backend_cpu;

#endif
