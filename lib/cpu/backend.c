/* The cpu backend: packed weights that contexts share; in each a few plans, one arena, and the loop over nodes. */
#include "cpu/cpu.h"

#include <stdatomic.h>

#define MAX_PLANS 8

/* Where everything lies for one input size. */
struct plan {
	int n, height, width;
	int *heights, *widths; /* of each node */
	size_t *offset;        /* of each node's value in the arena, in floats */
	size_t arena;          /* floats */
	uint64_t used;         /* for dropping the least recently used */
};

/* What all contexts of one network read, and nobody writes once the weights are packed. */
struct shared {
	const struct frcnn_kernels *kernels;
	bool bf16;                   /* all but 3 x 3 and the stem in bfloat16 */
	bool reference;              /* every node by the plain C reference, on the caller's thread */
	struct frcnn_packed *packed; /* one a params entry */
	size_t nparams;
	enum frcnn_storage *storage; /* of each node's value */
	struct frcnn_quant *quant;   /* of each that lies in bytes */
	size_t scratch_floats;       /* that a worker of any context needs */
	/* By cpu_second: the same nodes with other weights, and those packed. */
	const struct frcnn_graph *second;
	struct frcnn_packed *second_packed;
	atomic_int contexts; /* the last one frees this */
};

/* A context: all that a run writes. One caller at a time; contexts of one network may run at once. */
struct network {
	struct shared *shared;
	struct frcnn_graph graph; /* nodes are its own, for their shapes; params are the prepared graph's */
	struct frcnn_pool *pool;
	struct frcnn_worker_memory scratch;
	float *arena;
	size_t arena_floats;
	struct plan plans[MAX_PLANS];
	struct plan *plan;
	uint64_t clock;
	int n;              /* of the last run */
	int second;         /* params entry that runs in its second form, or -1 */
	frcnn_watcher *see; /* or NULL */
	void *see_context;
};

/* A graph's activation is a kernel's by number. */
_Static_assert((int)FRCNN_LINEAR == (int)FRCNN_GEMM_NONE && (int)FRCNN_RELU == (int)FRCNN_GEMM_RELU &&
		   (int)FRCNN_HARD_SWISH == (int)FRCNN_GEMM_HARD_SWISH &&
		   (int)FRCNN_HARD_SIGMOID == (int)FRCNN_GEMM_HARD_SIGMOID,
	       "activations of graph.h and kernels.h differ");

/* The form in which a node runs. */
static const struct frcnn_graph *form(const struct network *net, int i)
{
	return net->second >= 0 && net->graph.nodes[i].params == net->second ? net->shared->second : &net->graph;
}

static struct frcnn_packed *packed_of(const struct network *net, const struct frcnn_graph *graph, int params)
{
	return graph == net->shared->second ? &net->shared->second_packed[params] : &net->shared->packed[params];
}

/* Node i of graph, which is the network's own or its second. */
static struct frcnn_conv geometry(const struct network *net, const struct frcnn_graph *graph, const struct plan *plan,
				  int i)
{
	const struct frcnn_node *node = &graph->nodes[i];
	const struct frcnn_node *x = &graph->nodes[node->input[0]];

	return (struct frcnn_conv){
	    .n = net->n,
	    .height = plan ? plan->heights[node->input[0]] : 0,
	    .width = plan ? plan->widths[node->input[0]] : 0,
	    .channels = x->channels,
	    .out_height = plan ? plan->heights[i] : 0,
	    .out_width = plan ? plan->widths[i] : 0,
	    .out_channels = node->channels,
	    .kernel_h = node->kernel_h,
	    .kernel_w = node->kernel_w,
	    .stride = node->stride,
	    .pad = node->pad,
	    .dilation = node->dilation,
	    .groups = node->groups,
	    .weight = graph->params[node->params].weight,
	    .bias = graph->params[node->params].bias,
	    .act = (enum frcnn_gemm_act)node->act,
	    .x_as = net->shared->storage ? net->shared->storage[node->input[0]] : FRCNN_AS_F32,
	    .y_as = net->shared->storage ? net->shared->storage[i] : FRCNN_AS_F32,
	    .quantized = graph->params[node->params].quantized,
	    .scale = graph->params[node->params].scale,
	    .x_quant = node->quant,
	    .y_quant = net->shared->quant ? net->shared->quant[i] : (struct frcnn_quant){0},
	};
}

/* Groupings other than one filter a channel have no kernel yet. */
static bool has_kernel(const struct network *net, const struct frcnn_graph *graph, int i)
{
	struct frcnn_conv conv = geometry(net, graph, NULL, i);

	conv.residual = graph->nodes[i].residual < 0 ? NULL : &conv; /* whether there is one */
	return !net->shared->reference && (conv.groups == 1 || frcnn_depthwise_fits(&conv));
}

static void free_plan(struct plan *plan)
{
	free(plan->heights);
	free(plan->widths);
	free(plan->offset);
	memset(plan, 0, sizeof *plan);
}

static void drop_shared(struct shared *shared)
{
	if (!shared || atomic_fetch_sub(&shared->contexts, 1) > 1)
		return;
	for (size_t i = 0; shared->packed && i < shared->nparams; i++)
		frcnn_packed_free(&shared->packed[i]);
	for (size_t i = 0; shared->second_packed && i < shared->nparams; i++)
		frcnn_packed_free(&shared->second_packed[i]);
	free(shared->packed);
	free(shared->second_packed);
	free(shared->storage);
	free(shared->quant);
	free(shared);
}

static void cpu_release(void *network)
{
	struct network *net = network;

	if (!net)
		return;
	drop_shared(net->shared);
	for (int i = 0; net->scratch.block && i < net->scratch.workers; i++)
		free(net->scratch.block[i]);
	free(net->scratch.block);
	for (int i = 0; i < MAX_PLANS; i++)
		free_plan(&net->plans[i]);
	free(net->graph.nodes);
	free(net->arena);
	free(net);
}

/* Packs a node's weights for the algorithm and precision that its shape, and in int8 its weights, ask for. The stem
 * sees three channels and costs little: it stays in float32. */
static int pack_node(struct network *net, const struct frcnn_conv *conv, struct frcnn_packed *out,
		     struct frcnn_error *err)
{
	const struct frcnn_kernels *kernels = net->shared->kernels;
	struct frcnn_arithmetic how = frcnn_float_arithmetic(kernels);

	if (conv->groups > 1)
		return frcnn_depthwise_pack(kernels, conv, out, err);
	if (frcnn_winograd_fits(conv))
		return frcnn_winograd_pack(kernels, conv, net->pool, out, err);
	if (conv->scale)
		how = frcnn_int8_arithmetic(frcnn_kernels_int8_get(kernels), conv);
	else if (net->shared->bf16 && conv->channels > 3)
		how = frcnn_kernels_bf16_get(kernels)->direct;
	return frcnn_conv_pack(&how, (size_t)kernels->nr, conv, net->pool, out, err);
}

static int pack_weights(struct network *net, const struct frcnn_graph *graph, struct frcnn_error *err)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		struct frcnn_packed *packed;
		struct frcnn_conv conv;
		struct frcnn_params *p;
		int status;

		if (node->dead || node->op != FRCNN_OP_CONV || !has_kernel(net, graph, (int)i))
			continue;
		packed = packed_of(net, graph, node->params);
		if (packed->bias)
			continue;
		conv = geometry(net, graph, NULL, (int)i);
		p = &graph->params[node->params];
		status = pack_node(net, &conv, packed, err);
		if (status)
			return status;
		if (packed->winograd &&
		    frcnn_winograd_scratch(net->shared->kernels, &conv) > net->shared->scratch_floats)
			net->shared->scratch_floats = frcnn_winograd_scratch(net->shared->kernels, &conv);
		free(p->weight);
		free(p->bias);
		free(p->quantized);
		p->weight = p->bias = NULL;
		p->quantized = NULL;
	}
	return 0;
}

/* ---- precision of tensors --------------------------------------------------------- */

/* Whether a node is computed by kernels that read and write bfloat16 as well. */
static bool knows_bf16(const struct network *net, const struct frcnn_node *node)
{
	const struct frcnn_packed *packed = node->op == FRCNN_OP_CONV ? &net->shared->packed[node->params] : NULL;

	return packed && (packed->winograd || packed->how.a_as == FRCNN_AS_BF16);
}

/*
 * In bfloat16 are the values that nothing but such kernels writes and reads: half the memory to move, and rounded only
 * where matrix products would round them anyway, but for residuals and the inputs of 3 x 3 convolutions. Upsampling
 * copies either, pairs as if they were floats.
 */
static void choose_bf16(struct network *net)
{
	const struct frcnn_graph *g = &net->graph;
	enum frcnn_storage *as = net->shared->storage;

	for (size_t i = 0; i < g->count; i++)
		if (knows_bf16(net, &g->nodes[i]) || g->nodes[i].op == FRCNN_OP_INPUT ||
		    (g->nodes[i].op == FRCNN_OP_UPSAMPLE && g->nodes[i].channels % 2 == 0))
			as[i] = FRCNN_AS_BF16;
	for (int k = 0; k < g->noutputs; k++)
		as[g->outputs[k]] = FRCNN_AS_F32;
	/* Readers come after what they read: what they can do is settled first. */
	for (size_t i = g->count; i-- > 0;) {
		const struct frcnn_node *node = &g->nodes[i];
		bool reads = knows_bf16(net, node) || (node->op == FRCNN_OP_UPSAMPLE && as[i] == FRCNN_AS_BF16);
		int from[3] = {node->input[0], node->op == FRCNN_OP_UPSAMPLE ? -1 : node->input[1], node->residual};

		for (int k = 0; k < 3 && !node->dead && !reads; k++)
			if (from[k] >= 0)
				as[from[k]] = FRCNN_AS_F32;
	}
	for (size_t i = 0; i < g->count; i++)
		if (g->nodes[i].op == FRCNN_OP_UPSAMPLE && !g->nodes[i].dead)
			as[i] = as[g->nodes[i].input[0]];
}

/* Whether a node may write bytes: int8 convolutions, and such of float32 as are multiplied directly. */
static bool makes_bytes(const struct network *net, int i)
{
	const struct frcnn_graph *g = &net->graph;
	const struct frcnn_node *node = &g->nodes[i];
	struct frcnn_conv conv;

	if (node->op == FRCNN_OP_INPUT)
		return node->channels > 3;
	if (node->op != FRCNN_OP_CONV)
		return false;
	conv = geometry(net, g, NULL, i);
	return conv.scale || (node->groups == 1 && !frcnn_winograd_fits(&conv));
}

/* Upsampling copies four bytes as if they were a float. */
static bool copies_bytes(const struct frcnn_node *node)
{
	return node->op == FRCNN_OP_MAX_POOL || (node->op == FRCNN_OP_UPSAMPLE && node->channels % 4 == 0);
}

static bool same(struct frcnn_quant a, struct frcnn_quant b)
{
	return a.scale == b.scale && a.zero == b.zero;
}

/*
 * In bytes are the values that convolutions write, that come into the network as features, or that are copies of such,
 * and that nothing in the graph reads but int8 convolutions, as their input with one scale and zero, or as residual,
 * and nodes that copy them and whose own value lies in bytes. All else is float32, which int8 convolutions quantize as
 * they read it; outputs are either, too. This depends on the graph alone.
 */
static void choose_bytes(struct network *net)
{
	const struct frcnn_graph *g = &net->graph;
	enum frcnn_storage *as = net->shared->storage;
	struct frcnn_quant *quant = net->shared->quant;

	for (size_t i = 0; i < g->count; i++)
		if (makes_bytes(net, (int)i) || copies_bytes(&g->nodes[i]))
			as[i] = FRCNN_AS_U8;
	for (size_t i = g->count; i-- > 0;) {
		const struct frcnn_node *node = &g->nodes[i];
		bool int8 = node->op == FRCNN_OP_CONV && g->params[node->params].scale;
		bool copies = copies_bytes(node) && as[i] == FRCNN_AS_U8;
		int x = node->input[0];

		if (node->dead || x < 0)
			continue;
		if (int8 || (copies && quant[i].scale > 0)) {
			struct frcnn_quant wanted = int8 ? node->quant : quant[i];

			if (quant[x].scale > 0 && !same(quant[x], wanted))
				as[x] = FRCNN_AS_F32;
			quant[x] = wanted;
		} else if (!copies) {
			as[x] = FRCNN_AS_F32;
		}
		if (node->input[1] >= 0 && node->op != FRCNN_OP_UPSAMPLE)
			as[node->input[1]] = FRCNN_AS_F32;
		if (node->residual >= 0 && !int8)
			as[node->residual] = FRCNN_AS_F32;
	}
	for (size_t i = 0; i < g->count; i++) {
		const struct frcnn_node *node = &g->nodes[i];

		if (copies_bytes(node) && !node->dead) {
			as[i] = as[node->input[0]];
			quant[i] = quant[node->input[0]];
		}
		if (as[i] == FRCNN_AS_U8 && quant[i].scale == 0)
			as[i] = FRCNN_AS_F32;
	}
}

static int choose_storage(struct network *net, struct frcnn_error *err)
{
	struct shared *shared = net->shared;

	shared->storage = frcnn_calloc(net->graph.count, sizeof *shared->storage);
	shared->quant = frcnn_calloc(net->graph.count, sizeof *shared->quant);
	if (!shared->storage || !shared->quant)
		return frcnn_fail_nomem(err);
	if (shared->bf16)
		choose_bf16(net);
	for (size_t i = 0; i < net->graph.nparams; i++) {
		if (!net->graph.params[i].scale)
			continue;
		if (shared->bf16)
			return frcnn_fail(err, FRCNN_EUNSUPPORTED, "an int8 model does not run in bfloat16");
		choose_bytes(net);
		break;
	}
	return 0;
}

/* A context with nothing but its own nodes; takes shared over, also when it fails. */
static int new_context(struct shared *shared, const struct frcnn_graph *graph, struct frcnn_pool *pool,
		       struct network **out, struct frcnn_error *err)
{
	struct network *net = frcnn_calloc(1, sizeof *net);

	*out = NULL;
	if (!net) {
		drop_shared(shared);
		return frcnn_fail_nomem(err);
	}
	net->shared = shared;
	net->second = -1;
	net->pool = pool;
	net->graph = *graph;
	net->graph.nodes = frcnn_calloc(graph->count, sizeof *graph->nodes);
	if (!net->graph.nodes) {
		cpu_release(net);
		return frcnn_fail_nomem(err);
	}
	memcpy(net->graph.nodes, graph->nodes, graph->count * sizeof *graph->nodes);
	*out = net;
	return 0;
}

/* What each worker of the pool computes in, made with the first plan: a context that never runs takes none. */
static int give_scratch(struct network *net, struct frcnn_error *err)
{
	net->scratch.workers = frcnn_pool_threads(net->pool);
	net->scratch.floats = net->shared->scratch_floats;
	if (!net->scratch.block)
		net->scratch.block = frcnn_calloc((size_t)net->scratch.workers, sizeof *net->scratch.block);
	if (!net->scratch.block)
		return frcnn_fail_nomem(err);
	for (int i = 0; i < net->scratch.workers; i++) {
		if (net->scratch.block[i])
			continue;
		net->scratch.block[i] = frcnn_alloc_aligned(net->scratch.floats, sizeof(float));
		if (!net->scratch.block[i])
			return frcnn_fail_nomem(err);
		/* Rows of a tile that nothing is gathered into are computed with, though not looked at. */
		memset(net->scratch.block[i], 0, net->scratch.floats * sizeof(float));
	}
	return 0;
}

/* Kernels and precision, as far as this machine has them. */
static int choose_kernels(struct shared *shared, const char *cpu, enum frcnn_precision precision,
			  struct frcnn_error *err)
{
	shared->reference = cpu && !strcmp(cpu, "reference");
	shared->kernels = frcnn_kernels_get(shared->reference ? "c" : cpu);
	if (!shared->kernels)
		return frcnn_fail(err, FRCNN_EINVAL,
				  "kernel set \"%s\" is unknown or not for this machine, which has: %s", cpu,
				  frcnn_cpu_available());
	shared->bf16 = precision == FRCNN_PRECISION_BF16;
	if (shared->bf16 && (shared->reference || !frcnn_kernels_bf16_get(shared->kernels)))
		return frcnn_fail(err, FRCNN_EUNSUPPORTED,
				  "kernel set \"%s\" has no bfloat16 arithmetic on this machine",
				  shared->reference ? "reference" : shared->kernels->name);
	shared->scratch_floats = frcnn_conv_scratch(shared->kernels);
	return 0;
}

static int cpu_prepare(struct frcnn_graph *graph, const char *cpu, enum frcnn_precision precision,
		       struct frcnn_pool *pool, void **network, struct frcnn_error *err)
{
	struct shared *shared = frcnn_calloc(1, sizeof *shared);
	struct network *net;
	int status;

	if (!shared)
		return frcnn_fail_nomem(err);
	atomic_init(&shared->contexts, 1);
	status = new_context(shared, graph, pool, &net, err);
	if (status)
		return status;
	status = choose_kernels(shared, cpu, precision, err);
	if (status)
		goto out;
	shared->nparams = graph->nparams;
	shared->packed = frcnn_calloc(graph->nparams, sizeof *shared->packed);
	if (!shared->packed) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	status = pack_weights(net, &net->graph, err);
	if (!status)
		status = choose_storage(net, err);
out:
	if (status) {
		cpu_release(net);
		return status;
	}
	*network = net;
	return 0;
}

static int cpu_share(void *network, struct frcnn_pool *pool, void **other, struct frcnn_error *err)
{
	struct network *from = network, *net;
	int status;

	atomic_fetch_add(&from->shared->contexts, 1);
	status = new_context(from->shared, &from->graph, pool, &net, err);
	if (status)
		return status;
	*other = net;
	return 0;
}

static int cpu_second(void *network, const struct frcnn_graph *graph, struct frcnn_error *err)
{
	struct network *net = network;
	struct shared *shared = net->shared;

	if (graph->count != net->graph.count || graph->nparams != shared->nparams || shared->second)
		return frcnn_fail(err, FRCNN_EINVAL, "not another form of this network");
	shared->second_packed = frcnn_calloc(graph->nparams, sizeof *shared->second_packed);
	if (!shared->second_packed)
		return frcnn_fail_nomem(err);
	shared->second = graph;
	return pack_weights(net, graph, err);
}

/* ---- plans -------------------------------------------------------------------- */

static int lay_out(struct network *net, struct plan *plan, struct frcnn_error *err)
{
	const struct frcnn_graph *g = &net->graph;
	struct frcnn_lifetime *blocks = frcnn_calloc(g->count, sizeof *blocks);
	int status = 0;

	if (!blocks)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < g->count; i++) {
		const struct frcnn_node *node = &g->nodes[i];
		int reads[3] = {node->input[0], node->input[1], node->residual};
		size_t pixels, floats;

		blocks[i].first = blocks[i].last = (int)i;
		if (node->dead)
			continue;
		/* UPSAMPLE reads its second input's size only, but a longer life costs little. */
		for (int k = 0; k < 3; k++)
			if (reads[k] >= 0)
				blocks[reads[k]].last = (int)i;
		if (!frcnn_mul_size((size_t)node->height, (size_t)node->width, &pixels) ||
		    !frcnn_mul_size(pixels, (size_t)node->channels, &floats) ||
		    !frcnn_mul_size(floats, (size_t)plan->n, &floats) || floats > SIZE_MAX / 64) {
			status = frcnn_fail(err, FRCNN_ELIMIT, "activations of %dx%dx%d do not fit the address space",
					    node->channels, node->height, node->width);
			goto out;
		}
		floats = frcnn_ceil_div(floats * frcnn_storage_size(net->shared->storage[i]), sizeof(float));
		blocks[i].size = (floats + 15) / 16 * 16;
		plan->heights[i] = node->height;
		plan->widths[i] = node->width;
	}
	for (int k = 0; k < g->noutputs; k++)
		blocks[g->outputs[k]].last = (int)g->count;
	for (size_t i = 0; i < g->count && net->shared->second; i++)
		blocks[i].last = (int)g->count; /* for cpu_again */
	status = frcnn_graph_plan_memory(blocks, g->count, &plan->arena, err);
	for (size_t i = 0; i < g->count; i++)
		plan->offset[i] = blocks[i].offset;
out:
	free(blocks);
	return status;
}

/* Room for one entry a node. */
static int make_plan(const struct network *net, struct plan *plan, struct frcnn_error *err)
{
	plan->heights = frcnn_calloc(net->graph.count, sizeof *plan->heights);
	plan->widths = frcnn_calloc(net->graph.count, sizeof *plan->widths);
	plan->offset = frcnn_calloc(net->graph.count, sizeof *plan->offset);
	if (plan->heights && plan->widths && plan->offset)
		return 0;
	free_plan(plan);
	return frcnn_fail_nomem(err);
}

static int cpu_memory(void *network, int n, int height, int width, size_t *bytes, struct frcnn_error *err)
{
	struct network *net = network;
	struct plan plan = {0};
	int status = make_plan(net, &plan, err);

	*bytes = 0;
	if (status)
		return status;
	plan.n = n;
	status = frcnn_graph_shape(&net->graph, height, width, err);
	if (!status)
		status = lay_out(net, &plan, err);
	if (!status)
		*bytes = plan.arena * sizeof(float);
	free_plan(&plan);
	return status;
}

static int cpu_plan(void *network, int n, int height, int width, struct frcnn_error *err)
{
	struct network *net = network;
	struct plan *plan = &net->plans[0];
	int status = give_scratch(net, err);

	if (status)
		return status;
	net->clock++;
	net->plan = NULL;
	for (int i = 0; i < MAX_PLANS; i++) {
		struct plan *p = &net->plans[i];

		if (p->n == n && p->height == height && p->width == width) {
			plan = p;
			break;
		}
		if (p->used < plan->used)
			plan = p;
	}
	if (plan->n != n || plan->height != height || plan->width != width) {
		plan->n = 0;
		if (!plan->offset) {
			status = make_plan(net, plan, err);
			if (status)
				return status;
		}
		status = frcnn_graph_shape(&net->graph, height, width, err);
		if (status)
			return status;
		plan->n = n;
		status = lay_out(net, plan, err);
		if (status) {
			plan->n = 0;
			return status;
		}
		plan->height = height;
		plan->width = width;
	}
	if (plan->arena > net->arena_floats) {
		free(net->arena);
		net->arena_floats = 0;
		net->arena = frcnn_alloc_aligned(plan->arena, sizeof(float));
		if (!net->arena)
			return frcnn_fail(err, FRCNN_ENOMEM, "out of memory: %zu MB for activations",
					  plan->arena * sizeof(float) >> 20);
		net->arena_floats = plan->arena;
	}
	plan->used = net->clock;
	net->plan = plan;
	return 0;
}

static float *cpu_input(void *network)
{
	struct network *net = network;

	return net->shared->storage[0] == FRCNN_AS_F32 ? net->arena + net->plan->offset[0] : NULL;
}

static void cpu_store(void *network, size_t at, const float *values, size_t count)
{
	struct network *net = network;
	float *input = net->arena + net->plan->offset[0];

	if (net->shared->storage[0] == FRCNN_AS_F32)
		memcpy(input + at, values, count * sizeof *input);
	else if (net->shared->storage[0] == FRCNN_AS_U8)
		frcnn_kernels_int8_get(net->shared->kernels)
		    ->quantize((uint8_t *)input + at, values, count, FRCNN_AS_F32, net->shared->quant[0]);
	else
		frcnn_kernels_bf16_get(net->shared->kernels)
		    ->direct.convert((uint16_t *)(void *)input + at, values, count, FRCNN_AS_F32,
				     (struct frcnn_quant){0});
}

/* ---- running ---------------------------------------------------------------------- */

static struct frcnn_map map_of(const struct network *net, int i)
{
	return (struct frcnn_map){net->n, net->plan->heights[i], net->plan->widths[i], net->graph.nodes[i].channels};
}

static void run_node(struct network *net, int i)
{
	const struct frcnn_graph *graph = form(net, i);
	const struct frcnn_node *node = &graph->nodes[i];
	const struct plan *plan = net->plan;
	struct frcnn_map out = map_of(net, i), in = map_of(net, node->input[0]);
	float *y = net->arena + plan->offset[i];
	const float *x = net->arena + plan->offset[node->input[0]];
	const float *z = node->input[1] < 0 ? NULL : net->arena + plan->offset[node->input[1]];
	struct frcnn_conv conv;
	size_t floats = (size_t)out.n * (size_t)out.height * (size_t)out.width * (size_t)out.channels;

	switch (node->op) {
	case FRCNN_OP_CONV:
		conv = geometry(net, graph, plan, i);
		if (node->residual >= 0) {
			conv.residual = net->arena + plan->offset[node->residual];
			conv.residual_as = net->shared->storage[node->residual];
			conv.residual_quant = net->shared->quant[node->residual];
		}
		if (!has_kernel(net, graph, i) && conv.scale)
			frcnn_conv_int8_reference(&conv, x, y);
		else if (!has_kernel(net, graph, i))
			frcnn_conv_reference(&conv, x, y);
		else if (node->groups > 1)
			frcnn_depthwise_run(net->shared->kernels, &conv, packed_of(net, graph, node->params), net->pool,
					    x, y);
		else
			(packed_of(net, graph, node->params)->winograd ? frcnn_winograd_run : frcnn_conv_run)(
			    net->shared->kernels, &conv, packed_of(net, graph, node->params), net->pool, &net->scratch,
			    x, y);
		break;
	case FRCNN_OP_BATCH_NORM:
		/* Only in a graph that was not folded: y = x * weight + bias. */
		for (size_t p = 0, k = 0; p < floats; p++, k = k + 1 == (size_t)out.channels ? 0 : k + 1)
			y[p] =
			    x[p] * net->graph.params[node->params].weight[k] + net->graph.params[node->params].bias[k];
		break;
	case FRCNN_OP_ACTIVATION:
		frcnn_add_run(net->shared->kernels, floats, (enum frcnn_gemm_act)node->act, net->pool, x, NULL, y);
		break;
	case FRCNN_OP_ADD:
		frcnn_add_run(net->shared->kernels, floats, FRCNN_GEMM_NONE, net->pool, x, z, y);
		break;
	case FRCNN_OP_MUL:
		frcnn_scale_run(net->shared->kernels, in, net->pool, x, z, y);
		break;
	case FRCNN_OP_MAX_POOL:
		frcnn_max_pool_run(net->shared->kernels, in, out, node->kernel_h, node->stride, node->pad,
				   net->shared->storage[i], net->pool, x, y);
		break;
	case FRCNN_OP_GLOBAL_MEAN:
		frcnn_global_mean_run(in, net->pool, x, y);
		break;
	case FRCNN_OP_UPSAMPLE:
		/* Copied as if it were floats. */
		in.channels = out.channels =
		    out.channels * (int)frcnn_storage_size(net->shared->storage[i]) / (int)sizeof(float);
		frcnn_upsample_run(in, out, net->pool, x, y);
		break;
	case FRCNN_OP_INPUT:
		break;
	}
}

static void show(struct network *net, int i)
{
	struct frcnn_map map = map_of(net, i);
	size_t pixels = (size_t)map.n * (size_t)map.height * (size_t)map.width;

	net->see(net->see_context, i, net->arena + net->plan->offset[i], pixels * (size_t)map.channels);
}

static int cpu_run(void *network, int n, struct frcnn_error *err)
{
	struct network *net = network;

	if (!net->plan || n < 0 || n > net->plan->n)
		return frcnn_fail(err, FRCNN_EINVAL, "a run of %d inputs has no plan", n);
	net->n = n;
	for (int i = 0; i < (int)net->graph.count && n > 0; i++) {
		if (net->graph.nodes[i].dead)
			continue;
		if (i > 0)
			run_node(net, i);
		if (net->see)
			show(net, i);
	}
	return 0;
}

static int cpu_again(void *network, int params, bool only, frcnn_comparer *compare, void *context,
		     struct frcnn_error *err)
{
	struct network *net = network;
	float *first = NULL;
	size_t room = 0;
	bool begun = false;
	int status = 0;

	net->second = params;
	for (int i = 0; i < (int)net->graph.count && !status; i++) {
		const struct frcnn_node *node = &net->graph.nodes[i];
		struct frcnn_map map = map_of(net, i);
		size_t count = (size_t)map.n * (size_t)map.height * (size_t)map.width * (size_t)map.channels;
		float *value = net->arena + net->plan->offset[i];
		bool changed = node->op == FRCNN_OP_CONV && node->params == params;

		begun = begun || changed;
		if (node->dead || !begun || (only && !changed))
			continue;
		if (changed && count > room) {
			free(first);
			room = count;
			first = frcnn_alloc_aligned(room, sizeof *first);
			status = first ? 0 : frcnn_fail_nomem(err);
		}
		if (changed && !status)
			memcpy(first, value, count * sizeof *first);
		if (!status)
			run_node(net, i);
		if (changed && !status && compare)
			compare(context, first, value, count);
		if (only && !status)
			memcpy(value, first, count * sizeof *first);
	}
	net->second = -1;
	free(first);
	return status;
}

static struct frcnn_feature_map cpu_output(void *network, int i)
{
	struct network *net = network;
	int node = net->graph.outputs[i];

	const float *data = net->arena + net->plan->offset[node];
	bool bytes = net->shared->storage[node] == FRCNN_AS_U8;

	return (struct frcnn_feature_map){
	    .data = bytes ? NULL : data,
	    .height = net->plan->heights[node],
	    .width = net->plan->widths[node],
	    .channels = net->graph.nodes[node].channels,
	    .bytes = bytes ? (const uint8_t *)data : NULL,
	    .quant = net->shared->quant[node],
	};
}

static void cpu_watch(void *network, frcnn_watcher *see, void *context)
{
	struct network *net = network;

	net->see = see;
	net->see_context = context;
}

static const char *cpu_kernels(void *network)
{
	struct network *net = network;

	return net->shared->reference ? "reference" : net->shared->kernels->name;
}

const struct frcnn_backend frcnn_backend_cpu = {
    .name = "cpu",
    .prepare = cpu_prepare,
    .share = cpu_share,
    .release = cpu_release,
    .memory = cpu_memory,
    .plan = cpu_plan,
    .input = cpu_input,
    .store = cpu_store,
    .run = cpu_run,
    .output = cpu_output,
    .watch = cpu_watch,
    .second = cpu_second,
    .again = cpu_again,
    .kernels = cpu_kernels,
};
