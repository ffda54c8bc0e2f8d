/* Nodes made from a checkpoint's tensors, with every shape checked. */
#include "graph/graph.h"

#include <math.h>

#define NAME_SIZE 160

/* Of scales. A product of two may still leave float32's range: check_products. */
#define MIN_SCALE 1e-20F
#define MAX_SCALE 1e20F

void frcnn_graph_free(struct frcnn_graph *graph)
{
	if (!graph)
		return;
	for (size_t i = 0; i < graph->nparams; i++) {
		free(graph->params[i].weight);
		free(graph->params[i].bias);
		free(graph->params[i].quantized);
		free(graph->params[i].scale);
	}
	free(graph->params);
	free(graph->nodes);
	memset(graph, 0, sizeof *graph);
}

static int stick(struct frcnn_builder *b, int status)
{
	b->status = status;
	return -1;
}

static int add_node(struct frcnn_builder *b, struct frcnn_node node)
{
	struct frcnn_graph *g = b->graph;
	void *nodes = g->nodes;

	if (b->status)
		return -1;
	if (frcnn_grow(&nodes, &g->capacity, g->count + 1, sizeof node))
		return stick(b, frcnn_fail_nomem(b->err));
	g->nodes = nodes;
	g->nodes[g->count] = node;
	return (int)g->count++;
}

static struct frcnn_node blank(enum frcnn_op op, int x, int y, int channels)
{
	return (struct frcnn_node){.op = op,
				   .input = {x, y},
				   .residual = -1,
				   .params = -1,
				   .kernel_h = 1,
				   .kernel_w = 1,
				   .stride = 1,
				   .dilation = 1,
				   .groups = 1,
				   .channels = channels};
}

static int channels_of(const struct frcnn_builder *b, int x)
{
	return b->status ? 0 : b->graph->nodes[x].channels;
}

static int add_params(struct frcnn_builder *b, const char *name)
{
	struct frcnn_graph *g = b->graph;
	void *params = g->params;

	if (b->status)
		return -1;
	if (frcnn_grow(&params, &g->params_capacity, g->nparams + 1, sizeof *g->params))
		return stick(b, frcnn_fail_nomem(b->err));
	g->params = params;
	memset(&g->params[g->nparams], 0, sizeof *g->params);
	snprintf(g->params[g->nparams].name, sizeof g->params->name, "%s", name);
	return (int)g->nparams++;
}

bool frcnn_build_has(const struct frcnn_builder *b, const char *format, ...)
{
	char name[NAME_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	return frcnn_checkpoint_find(b->checkpoint, name) != NULL;
}

#define MOST_FILTERS (1 << 20)

static bool dimension_fits(int64_t wanted, int64_t have)
{
	return wanted < 0 ? have > 0 && have <= MOST_FILTERS : have == wanted;
}

/* have: what is there instead (NULL: shape is that), which "any" would not tell from what is wanted. */
static void shape_text(const int64_t *shape, int ndim, const struct frcnn_tensor *have, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < ndim && n < size; i++) {
		const char *comma = i ? "," : "";

		if (shape[i] >= 0)
			n += (size_t)snprintf(out + n, size - n, "%s%lld", comma, (long long)shape[i]);
		else if (have && have->ndim == ndim && !dimension_fits(shape[i], have->shape[i]))
			n += (size_t)snprintf(out + n, size - n, "%s1 to %d", comma, MOST_FILTERS);
		else
			n += (size_t)snprintf(out + n, size - n, "%sany", comma);
	}
}

/* The tensor NAME.SUFFIX; a wanted dimension of -1 may be anything from 1 to MOST_FILTERS. Marks it as used. */
static const struct frcnn_tensor *take(struct frcnn_builder *b, const char *name, const char *suffix,
				       const int64_t *shape, int ndim)
{
	char full[NAME_SIZE], want[96], have[192];
	const struct frcnn_tensor *t;
	bool fits;

	if (b->status)
		return NULL;
	snprintf(full, sizeof full, "%s.%s", name, suffix);
	t = frcnn_checkpoint_find(b->checkpoint, full);
	if (!t) {
		stick(b, frcnn_fail(b->err, FRCNN_EFORMAT, "missing tensor %s", full));
		return NULL;
	}
	fits = t->ndim == ndim;
	for (int i = 0; i < ndim && fits; i++)
		fits = dimension_fits(shape[i], t->shape[i]);
	if (!fits) {
		shape_text(shape, ndim, t, want, sizeof want);
		shape_text(t->shape, t->ndim, NULL, have, sizeof have);
		stick(b,
		      frcnn_fail(b->err, FRCNN_EFORMAT, "tensor %s has shape [%s], expected [%s]", full, have, want));
		return NULL;
	}
	b->used[t - b->checkpoint->tensors] = true;
	return t;
}

static float *values(struct frcnn_builder *b, const struct frcnn_tensor *t)
{
	float *out;

	if (b->status)
		return NULL;
	out = frcnn_alloc_aligned((size_t)t->elements, sizeof *out);
	if (!out) {
		stick(b, frcnn_fail_nomem(b->err));
		return NULL;
	}
	b->status = frcnn_tensor_to_float(t, out, b->err);
	return out;
}

/* take, of this dtype and no other. */
static const struct frcnn_tensor *take_as(struct frcnn_builder *b, const char *name, const char *suffix,
					  enum frcnn_dtype dtype, const int64_t *shape, int ndim)
{
	const struct frcnn_tensor *t = take(b, name, suffix, shape, ndim);

	if (!t || t->dtype == dtype)
		return t;
	stick(b, frcnn_fail(b->err, FRCNN_EFORMAT, "tensor %s is %s, expected %s", t->name, frcnn_dtype_name(t->dtype),
			    frcnn_dtype_name(dtype)));
	return NULL;
}

/* A tensor of scales into out. */
static void scales(struct frcnn_builder *b, const struct frcnn_tensor *t, float *out)
{
	if (b->status)
		return;
	b->status = frcnn_tensor_to_float(t, out, b->err);
	for (int64_t i = 0; i < t->elements && !b->status; i++)
		if (!(out[i] >= MIN_SCALE && out[i] <= MAX_SCALE))
			b->status =
			    frcnn_fail(b->err, FRCNN_EFORMAT, "tensor %s holds %g, expected scales from %g to %g",
				       t->name, (double)out[i], (double)MIN_SCALE, (double)MAX_SCALE);
}

/* How the int8 layer NAME reads input `number` of b->inputs. */
static struct frcnn_quant input_quant(struct frcnn_builder *b, const char *name, int number)
{
	const struct frcnn_tensor *scale, *zero;
	float s[FRCNN_MAX_LEVELS];
	uint8_t z[FRCNN_MAX_LEVELS];
	char full[NAME_SIZE];
	int64_t n = 1;

	snprintf(full, sizeof full, "%s.input.scale", name);
	scale = frcnn_checkpoint_find(b->checkpoint, full);
	if (b->inputs > 1 && !(scale && scale->ndim == 1 && scale->shape[0] == 1))
		n = b->inputs;
	scale = take_as(b, name, "input.scale", FRCNN_F32, &n, 1);
	zero = take_as(b, name, "input.zero_point", FRCNN_U8, &n, 1);
	scales(b, scale, s);
	if (b->status)
		return (struct frcnn_quant){0};
	frcnn_tensor_pack(zero, z);
	number = n == 1 ? 0 : number;
	return (struct frcnn_quant){s[number], z[number]};
}

/* What sums of an int8 layer are multiplied by is finite. */
static void check_products(struct frcnn_builder *b, const struct frcnn_node *node)
{
	const struct frcnn_params *p = b->status ? NULL : &b->graph->params[node->params];

	for (int k = 0; k < node->channels && !b->status; k++)
		if (!isfinite(node->quant.scale * p->scale[k]))
			b->status =
			    frcnn_fail(b->err, FRCNN_EFORMAT,
				       "tensor %s.scale holds %g, which times its input's scale %g is too large",
				       p->name, (double)p->scale[k], (double)node->quant.scale);
}

static bool is_int8(const struct frcnn_tensor *t)
{
	return t && t->dtype == FRCNN_I8;
}

/* The int8 layer NAME into filters `at` and on of p, which has room; weight: its NAME.weight. */
static void fill_int8(struct frcnn_builder *b, const char *name, const struct frcnn_tensor *weight,
		      struct frcnn_params *p, size_t at)
{
	int64_t k = weight->shape[0];
	int8_t *q = p->quantized + at * (size_t)(weight->elements / k);
	const struct frcnn_tensor *scale = take_as(b, name, "scale", FRCNN_F32, &k, 1);
	const struct frcnn_tensor *bias = take(b, name, "bias", &k, 1);

	scales(b, scale, p->scale + at);
	if (!b->status && weight->elements / k > FRCNN_INT8_WEIGHTS)
		b->status =
		    frcnn_fail(b->err, FRCNN_EFORMAT,
			       "tensor %s has %lld weights a filter: sums of more than %d do not fit in 32 bits",
			       weight->name, (long long)(weight->elements / k), FRCNN_INT8_WEIGHTS);
	if (b->status)
		return;
	b->status = frcnn_tensor_to_float(bias, p->bias + at, b->err);
	frcnn_tensor_pack(weight, (uint8_t *)q);
	for (int64_t i = 0; i < weight->elements && !b->status; i++)
		if (q[i] == -128)
			b->status = frcnn_fail(b->err, FRCNN_EFORMAT, "tensor %s holds -128, expected -127 to 127",
					       weight->name);
}

/* Room for the params of an int8 layer of `filters` filters, `elements` weights in all. */
static void make_int8(struct frcnn_builder *b, struct frcnn_params *p, size_t filters, size_t elements)
{
	p->quantized = frcnn_alloc_aligned(elements, sizeof *p->quantized);
	p->scale = frcnn_alloc_aligned(filters, sizeof *p->scale);
	p->bias = frcnn_alloc_aligned(filters, sizeof *p->bias);
	if (!p->quantized || !p->scale || !p->bias)
		stick(b, frcnn_fail_nomem(b->err));
}

int frcnn_build_input(struct frcnn_builder *b, int channels)
{
	return add_node(b, blank(FRCNN_OP_INPUT, -1, -1, channels));
}

/* Appends a convolution whose weights are the tensor NAME.weight of this shape; node holds the geometry. */
static int conv(struct frcnn_builder *b, struct frcnn_node node, const char *name, const int64_t *shape, int ndim)
{
	const struct frcnn_tensor *t = take(b, name, "weight", shape, ndim);
	struct frcnn_params *p;

	node.params = add_params(b, name);
	if (b->status)
		return -1;
	p = &b->graph->params[node.params];
	node.channels = (int)t->shape[0];
	if (is_int8(t)) {
		make_int8(b, p, (size_t)t->shape[0], (size_t)t->elements);
		if (!b->status)
			fill_int8(b, name, t, p, 0);
		node.quant = input_quant(b, name, 0);
		check_products(b, &node);
		return add_node(b, node);
	}
	p->weight = values(b, t);
	if (b->description->folded || frcnn_build_has(b, "%s.bias", name))
		p->bias = values(b, take(b, name, "bias", (int64_t[]){node.channels}, 1));
	return add_node(b, node);
}

int frcnn_build_conv(struct frcnn_builder *b, int x, const char *name, int kernel, int stride)
{
	struct frcnn_node node = blank(FRCNN_OP_CONV, x, -1, 0);

	node.kernel_h = node.kernel_w = kernel;
	node.stride = stride;
	node.pad = kernel / 2;
	return conv(b, node, name, (int64_t[]){-1, channels_of(b, x), kernel, kernel}, 4);
}

int frcnn_build_depthwise(struct frcnn_builder *b, int x, const char *name, int kernel, int stride)
{
	struct frcnn_node node = blank(FRCNN_OP_CONV, x, -1, 0);

	node.kernel_h = node.kernel_w = kernel;
	node.stride = stride;
	node.pad = kernel / 2;
	node.groups = channels_of(b, x);
	return conv(b, node, name, (int64_t[]){channels_of(b, x), 1, kernel, kernel}, 4);
}

int frcnn_build_linear(struct frcnn_builder *b, int x, const char *name, int size)
{
	struct frcnn_node node = blank(FRCNN_OP_CONV, x, -1, 0);

	node.kernel_h = node.kernel_w = size;
	return conv(b, node, name, (int64_t[]){-1, (int64_t)channels_of(b, x) * size * size}, 2);
}

int frcnn_build_pair(struct frcnn_builder *b, int x, const char *first, const char *second, bool linear)
{
	const char *names[2] = {first, second};
	const struct frcnn_tensor *weight[2];
	struct frcnn_node node = blank(FRCNN_OP_CONV, x, -1, 0);
	int64_t c = channels_of(b, x);
	struct frcnn_params *p;
	size_t k[2];

	for (int i = 0; i < 2; i++) {
		weight[i] = take(b, names[i], "weight", (int64_t[]){-1, c, 1, 1}, linear ? 2 : 4);
		if (!weight[i])
			return -1;
		k[i] = (size_t)weight[i]->shape[0];
	}
	if (is_int8(weight[0]) != is_int8(weight[1]))
		return stick(b, frcnn_fail(b->err, FRCNN_EFORMAT,
					   "%s is %s and %s is %s, but they run as one: both or neither must be int8",
					   first, frcnn_dtype_name(weight[0]->dtype), second,
					   frcnn_dtype_name(weight[1]->dtype)));
	node.channels = (int)(k[0] + k[1]);
	node.params = add_params(b, first);
	if (b->status)
		return -1;
	p = &b->graph->params[node.params];
	if (is_int8(weight[0])) {
		make_int8(b, p, k[0] + k[1], (k[0] + k[1]) * (size_t)c);
		for (int i = 0; i < 2 && !b->status; i++)
			fill_int8(b, names[i], weight[i], p, i ? k[0] : 0);
		for (int i = 0; i < (b->inputs ? b->inputs : 1) && !b->status; i++) {
			struct frcnn_quant mine = input_quant(b, first, i), other = input_quant(b, second, i);

			if (!b->status && (mine.scale != other.scale || mine.zero != other.zero))
				stick(b, frcnn_fail(b->err, FRCNN_EFORMAT,
						    "%s and %s have other input scales or zero points, but they run "
						    "as one",
						    first, second));
			node.quant = i ? node.quant : mine;
		}
		check_products(b, &node);
		return add_node(b, node);
	}
	p->weight = frcnn_alloc_aligned((k[0] + k[1]) * (size_t)c, sizeof(float));
	p->bias = frcnn_alloc_aligned(k[0] + k[1], sizeof(float));
	if (!p->weight || !p->bias)
		return stick(b, frcnn_fail_nomem(b->err));
	for (int i = 0; i < 2 && !b->status; i++) {
		const struct frcnn_tensor *bias = take(b, names[i], "bias", (int64_t[]){(int64_t)k[i]}, 1);
		size_t at = i ? k[0] : 0;

		if (!b->status)
			b->status = frcnn_tensor_to_float(weight[i], p->weight + at * (size_t)c, b->err);
		if (!b->status)
			b->status = frcnn_tensor_to_float(bias, p->bias + at, b->err);
	}
	return add_node(b, node);
}

int frcnn_build_batch_norm(struct frcnn_builder *b, int x, const char *name)
{
	static const char *const parts[4] = {"weight", "bias", "running_mean", "running_var"};
	struct frcnn_node node = blank(FRCNN_OP_BATCH_NORM, x, -1, channels_of(b, x));
	float *v[4] = {NULL};

	if (b->status || b->description->folded)
		return b->status ? -1 : x;
	if (b->graph->nodes[x].quant.scale > 0)
		return stick(b, frcnn_fail(b->err, FRCNN_EFORMAT,
					   "layer %s is int8, but the batch norm %s behind it is not folded into it",
					   b->graph->params[b->graph->nodes[x].params].name, name));
	for (int i = 0; i < 4 && !b->status; i++)
		v[i] = values(b, take(b, name, parts[i], (int64_t[]){node.channels}, 1));
	node.params = add_params(b, name);
	for (int c = 0; c < node.channels && !b->status; c++) {
		double var = (double)v[3][c] + b->description->bn_eps;
		double scale = v[0][c] / sqrt(var);

		if (!(var > 0)) {
			stick(b, frcnn_fail(b->err, FRCNN_EFORMAT, "%s.running_var: channel %d has variance %g", name,
					    c, v[3][c]));
			break;
		}
		v[1][c] = (float)(v[1][c] - v[2][c] * scale);
		v[0][c] = (float)scale;
	}
	if (b->status) {
		free(v[0]);
		free(v[1]);
	} else {
		b->graph->params[node.params].weight = v[0];
		b->graph->params[node.params].bias = v[1];
	}
	free(v[2]);
	free(v[3]);
	return add_node(b, node);
}

int frcnn_build_activation(struct frcnn_builder *b, int x, enum frcnn_activation act)
{
	struct frcnn_node node = blank(FRCNN_OP_ACTIVATION, x, -1, channels_of(b, x));

	node.act = act;
	return add_node(b, node);
}

int frcnn_build_add(struct frcnn_builder *b, int x, int y)
{
	if (!b->status && channels_of(b, x) != channels_of(b, y))
		return stick(b, frcnn_fail(b->err, FRCNN_EFORMAT, "tensors of %d and %d channels are added",
					   channels_of(b, x), channels_of(b, y)));
	return add_node(b, blank(FRCNN_OP_ADD, x, y, channels_of(b, x)));
}

int frcnn_build_mul(struct frcnn_builder *b, int x, int scale)
{
	if (!b->status && channels_of(b, x) != channels_of(b, scale))
		return stick(b, frcnn_fail(b->err, FRCNN_EFORMAT, "%d channels are scaled by %d", channels_of(b, x),
					   channels_of(b, scale)));
	return add_node(b, blank(FRCNN_OP_MUL, x, scale, channels_of(b, x)));
}

int frcnn_build_max_pool(struct frcnn_builder *b, int x, int kernel, int stride)
{
	struct frcnn_node node = blank(FRCNN_OP_MAX_POOL, x, -1, channels_of(b, x));

	node.kernel_h = node.kernel_w = kernel;
	node.stride = stride;
	node.pad = kernel / 2;
	return add_node(b, node);
}

int frcnn_build_global_mean(struct frcnn_builder *b, int x)
{
	return add_node(b, blank(FRCNN_OP_GLOBAL_MEAN, x, -1, channels_of(b, x)));
}

int frcnn_build_upsample(struct frcnn_builder *b, int x, int like)
{
	return add_node(b, blank(FRCNN_OP_UPSAMPLE, x, like, channels_of(b, x)));
}

void frcnn_build_output(struct frcnn_builder *b, int x)
{
	if (!b->status)
		b->graph->outputs[b->graph->noutputs++] = x;
}

int frcnn_build_repeat(struct frcnn_builder *b, int from, int first, int last, int x, int number)
{
	int shift = b->status ? 0 : (int)b->graph->count - first;

	for (int i = first; i <= last && !b->status; i++) {
		struct frcnn_node node = b->graph->nodes[i];

		for (int k = 0; k < 2; k++)
			if (node.input[k] >= 0)
				node.input[k] = node.input[k] == from ? x : node.input[k] + shift;
		if (node.quant.scale > 0) {
			node.quant = input_quant(b, b->graph->params[node.params].name, number);
			check_products(b, &node);
		}
		add_node(b, node);
	}
	return b->status ? -1 : last + shift;
}

int frcnn_graph_readers(const struct frcnn_graph *graph, int i)
{
	int n = 0;

	for (size_t k = 0; k < graph->count; k++) {
		const struct frcnn_node *node = &graph->nodes[k];

		if (!node->dead)
			n += (node->input[0] == i) + (node->input[1] == i) + (node->residual == i);
	}
	for (int k = 0; k < graph->noutputs; k++)
		n += graph->outputs[k] == i;
	return n;
}
