/*
 * What the inputs of layers look like, seen while a float32 detector runs. The
 * first pass finds ranges: of each channel exactly, of the tensor also by a
 * histogram over the leading bits of floats, which needs no range beforehand.
 * The second fills histograms of equal bins and sums, a third such histograms of other pictures. Values are taken in
 * chunks, each by one thread on its own; what is merged are integers, least and most.
 */
#include "quant/quant.h"

#include <math.h>
#include <pthread.h>

#define COARSE     4096       /* sign, exponent, three bits of fraction: the upper 12 bits of a float */
#define FREAKS     100000     /* one of so many values at either end may lie outside of the histogram */
#define CHUNK      (1u << 18) /* values, about */
#define SHARES     32         /* coarse bins of each channel, over the histogram's range */
#define MOST       (1 << 12)  /* energy of the channel that is read with the largest weights */
#define MOST_EQUAL (1 << 14)  /* what values of a faint picture count, at the most */
#define FRACTION   28         /* sums are in units of largest * 2^-28 */
#define FEW_IMAGES 8
#define SATURATED  0.05 /* of a channel's values */
#define DICTATES   4    /* times the range of all others */

struct tensor {
	char name[160];
	int channels;
	size_t period;    /* values that have sums of their own: channels, or channels at each position of a window */
	uint64_t *energy; /* [channels] of the weights that read it, 0 .. MOST */
	/* first pass */
	uint64_t rows; /* of period values */
	uint64_t coarse[COARSE];
	float *least, *most; /* [channels] */
	/* second pass */
	uint64_t again;        /* rows */
	int64_t *sum, *square; /* [period] in units */
	double unit, square_unit;
	uint32_t *shares; /* [channels][SHARES] */
	struct frcnn_quant_histogram histogram;
	/* third pass */
	struct frcnn_quant_histogram others;
};

/* What one thread saw of one chunk. */
struct glance {
	uint64_t coarse[COARSE];
	float *least, *most;
	uint64_t count[FRCNN_QUANT_BINS], weight[FRCNN_QUANT_BINS], zeros;
	double *sum, *square;
	uint32_t *shares;
};

struct frcnn_calibration {
	struct frcnn_detector *detector;
	struct frcnn_quant_plan plan; /* the model's layers and the tensors they read */
	struct tensor *tensors;
	size_t ntensors;
	int *of_node[2]; /* the tensor that a node of the features' and of the head's graph makes, or -1 */
	int pass;        /* 0, 1, 2 */
	uint64_t images[3];
	struct glance *glances; /* one a thread */
	int threads;
	pthread_mutex_t merging;
};

/* ---- which node's value is which tensor -------------------------------------------- */

static bool is_read_by_conv(const struct frcnn_graph *graph, int at)
{
	for (size_t i = 0; i < graph->count; i++)
		if (!graph->nodes[i].dead && graph->nodes[i].op == FRCNN_OP_CONV && graph->nodes[i].input[0] == at)
			return true;
	return false;
}

/* Max pooling hands on some of the values that it reads: where layers read both, they read them alike, and bytes can
 * be pooled. */
static int source(const struct frcnn_graph *graph, int at)
{
	while (graph->nodes[at].op == FRCNN_OP_MAX_POOL && is_read_by_conv(graph, graph->nodes[at].input[0]))
		at = graph->nodes[at].input[0];
	return at;
}

static int root_of(const int *parent, int at)
{
	while (parent[at] != at)
		at = parent[at];
	return at;
}

/* Nodes that run the layer, in order; returns how many. */
static int nodes_of(const struct frcnn_graph *graph, int params, int nodes[FRCNN_MAX_LEVELS])
{
	int n = 0;

	for (size_t i = 0; i < graph->count && n < FRCNN_MAX_LEVELS; i++)
		if (!graph->nodes[i].dead && graph->nodes[i].op == FRCNN_OP_CONV && graph->nodes[i].params == params)
			nodes[n++] = (int)i;
	return n;
}

static const struct frcnn_graph *graph_of(const struct frcnn_graphs *graphs, const struct frcnn_quant_layer *layer)
{
	return layer->head ? &graphs->head : &graphs->features;
}

static bool is_window(const struct frcnn_quant_layer *layer, const struct frcnn_graphs *graphs)
{
	int nodes[FRCNN_MAX_LEVELS];

	return layer->head && layer->kernel == graphs->roi_size && nodes_of(&graphs->head, layer->params, nodes) == 1 &&
	       graphs->head.nodes[nodes[0]].pad == 0;
}

static void name_tensor(struct tensor *tensor, const struct frcnn_quant_layer *layer, int level)
{
	if (layer->ninputs > 1)
		snprintf(tensor->name, sizeof tensor->name, "level %d of the input of %s", level, layer->name);
	else
		snprintf(tensor->name, sizeof tensor->name, "input of %s", layer->name);
}

/* Tensors, by the layers that read them: one a node, or one for several where a layer has but one scale. */
static int find_tensors(struct frcnn_calibration *c, const struct frcnn_graphs *graphs, struct frcnn_error *err)
{
	size_t first = graphs->features.count, all = first + graphs->head.count;
	int *parent = frcnn_calloc(all, sizeof *parent), *number = frcnn_calloc(all, sizeof *number);
	int nodes[FRCNN_MAX_LEVELS], status = 0;

	c->of_node[0] = frcnn_calloc(graphs->features.count, sizeof *c->of_node[0]);
	c->of_node[1] = frcnn_calloc(graphs->head.count, sizeof *c->of_node[1]);
	c->tensors = frcnn_calloc(all, sizeof *c->tensors);
	if (!parent || !number || !c->of_node[0] || !c->of_node[1] || !c->tensors) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < all; i++) {
		parent[i] = (int)i;
		number[i] = -1;
		c->of_node[i >= first][i >= first ? i - first : i] = -1;
	}
	for (size_t l = 0; l < c->plan.nlayers; l++) {
		const struct frcnn_quant_layer *layer = &c->plan.layers[l];
		const struct frcnn_graph *graph = graph_of(graphs, layer);
		int base = layer->head ? (int)first : 0, n = nodes_of(graph, layer->params, nodes);
		int one = base + source(graph, graph->nodes[nodes[0]].input[0]);

		for (int k = 1; k < n && layer->ninputs == 1; k++)
			parent[root_of(parent, base + source(graph, graph->nodes[nodes[k]].input[0]))] =
			    root_of(parent, one);
	}
	for (size_t l = 0; l < c->plan.nlayers; l++) {
		struct frcnn_quant_layer *layer = &c->plan.layers[l];
		const struct frcnn_graph *graph = graph_of(graphs, layer);
		int base = layer->head ? (int)first : 0, n = nodes_of(graph, layer->params, nodes);

		for (int k = 0; k < n; k++) {
			int from = source(graph, graph->nodes[nodes[k]].input[0]);
			int root = root_of(parent, base + from);
			struct tensor *tensor;

			if (number[root] < 0) {
				number[root] = (int)c->ntensors;
				tensor = &c->tensors[c->ntensors++];
				tensor->channels = graph->nodes[from].channels;
				tensor->period = (size_t)tensor->channels;
				name_tensor(tensor, layer, k);
			}
			c->of_node[layer->head][from] = number[root];
			tensor = &c->tensors[number[root]];
			if (is_window(layer, graphs))
				tensor->period = (size_t)tensor->channels * (size_t)(layer->kernel * layer->kernel);
			if (k < layer->ninputs)
				layer->tensors[k] = number[root];
		}
	}
out:
	free(parent);
	free(number);
	return status;
}

static int give_room(struct frcnn_calibration *c, struct frcnn_error *err)
{
	size_t period = 1, channels = 1;
	bool ok = true;

	for (size_t i = 0; i < c->ntensors; i++) {
		struct tensor *t = &c->tensors[i];
		size_t n = (size_t)t->channels;

		t->energy = frcnn_calloc(n, sizeof *t->energy);
		t->least = frcnn_calloc(n, sizeof *t->least);
		t->most = frcnn_calloc(n, sizeof *t->most);
		t->sum = frcnn_calloc(t->period, sizeof *t->sum);
		t->square = frcnn_calloc(t->period, sizeof *t->square);
		t->shares = frcnn_calloc(n, SHARES * sizeof *t->shares);
		ok = ok && t->energy && t->least && t->most && t->sum && t->square && t->shares;
		for (size_t k = 0; k < n && ok; k++) {
			t->least[k] = INFINITY;
			t->most[k] = -INFINITY;
		}
		period = t->period > period ? t->period : period;
		channels = n > channels ? n : channels;
	}
	c->threads = frcnn_pool_threads(frcnn_detector_pool(c->detector));
	c->glances = ok ? frcnn_calloc((size_t)c->threads, sizeof *c->glances) : NULL;
	for (int i = 0; c->glances && i < c->threads; i++) {
		struct glance *g = &c->glances[i];

		g->least = frcnn_calloc(channels, sizeof *g->least);
		g->most = frcnn_calloc(channels, sizeof *g->most);
		g->sum = frcnn_calloc(period, sizeof *g->sum);
		g->square = frcnn_calloc(period, sizeof *g->square);
		g->shares = frcnn_calloc(channels, SHARES * sizeof *g->shares);
		ok = ok && g->least && g->most && g->sum && g->square && g->shares;
	}
	return ok && c->glances ? 0 : frcnn_fail_nomem(err);
}

/* Sum of squares of the weights that meet each channel, over all filters and layers that read the tensor. */
static int weigh_channels(struct frcnn_calibration *c, const struct frcnn_graphs *graphs, struct frcnn_error *err)
{
	for (size_t i = 0; i < c->ntensors; i++) {
		struct tensor *t = &c->tensors[i];
		double *energy = frcnn_calloc((size_t)t->channels, sizeof *energy), most = 0;

		if (!energy)
			return frcnn_fail_nomem(err);
		for (size_t l = 0; l < c->plan.nlayers; l++) {
			const struct frcnn_quant_layer *layer = &c->plan.layers[l];
			const float *w = graph_of(graphs, layer)->params[layer->params].weight;
			int each = layer->channels / layer->groups, filters = layer->out_channels / layer->groups;
			bool reads = false;

			for (int k = 0; k < layer->ninputs; k++)
				reads = reads || layer->tensors[k] == (int)i;
			if (!reads)
				continue;
			for (int k = 0; k < layer->out_channels; k++)
				for (int ch = 0; ch < each; ch++)
					for (int j = 0; j < layer->kernel * layer->kernel; j++, w++)
						energy[k / filters * each + ch] += (double)*w * *w;
		}
		for (int ch = 0; ch < t->channels; ch++)
			most = energy[ch] > most ? energy[ch] : most;
		for (int ch = 0; ch < t->channels; ch++)
			t->energy[ch] = most > 0 ? (uint64_t)ceil(energy[ch] / most * MOST) : 1;
		free(energy);
	}
	return 0;
}

/* ---- watching ----------------------------------------------------------------------- */

struct look {
	struct frcnn_calibration *calibration;
	struct tensor *tensor;
	const float *values;
	size_t rows, chunk; /* rows of the whole, rows of a chunk */
	uint64_t square;    /* sum of squares times energy, in units of the tensor's largest such * 2^-FRACTION */
	uint64_t times;     /* what each value's error counts */
};

static void look_at_range(const struct tensor *t, const float *x, size_t rows, struct glance *g)
{
	size_t channels = (size_t)t->channels, count = rows * t->period;

	memset(g->coarse, 0, sizeof g->coarse);
	for (size_t k = 0; k < channels; k++) {
		g->least[k] = INFINITY;
		g->most[k] = -INFINITY;
	}
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, x + i, sizeof bits);
		g->coarse[bits >> 20]++;
	}
	for (size_t i = 0; i < count; i += channels) {
		for (size_t k = 0; k < channels; k++) {
			g->least[k] = x[i + k] < g->least[k] ? x[i + k] : g->least[k];
			g->most[k] = x[i + k] > g->most[k] ? x[i + k] : g->most[k];
		}
	}
}

static void merge_range(struct tensor *t, size_t rows, const struct glance *g)
{
	t->rows += rows;
	for (int i = 0; i < COARSE; i++)
		t->coarse[i] += g->coarse[i];
	for (int k = 0; k < t->channels; k++) {
		t->least[k] = g->least[k] < t->least[k] ? g->least[k] : t->least[k];
		t->most[k] = g->most[k] > t->most[k] ? g->most[k] : t->most[k];
	}
}

/* Before the values of a picture are looked at: how strong they are, for the weight of struct frcnn_quant_histogram. */
static void weigh_chunk(void *context, size_t index, int worker)
{
	struct look *look = context;
	const struct tensor *t = look->tensor;
	size_t from = index * look->chunk, channels = (size_t)t->channels;
	size_t rows = look->rows - from < look->chunk ? look->rows - from : look->chunk;
	const float *x = look->values + from * t->period, *end = x + rows * t->period;
	double sum = 0, units;

	(void)worker;
	for (; x < end; x += channels) {
		for (size_t k = 0; k < channels; k++)
			sum += (double)t->energy[k] * x[k] * x[k];
	}
	units = t->square_unit > 0 ? sum / (MOST * t->square_unit) : 0;
	pthread_mutex_lock(&look->calibration->merging);
	look->square += units < 0x1p60 ? (uint64_t)units : 0;
	pthread_mutex_unlock(&look->calibration->merging);
}

static uint64_t times_of(const struct look *look)
{
	double mean = ldexp((double)look->square, -FRACTION) / (double)(look->rows * look->tensor->period);

	return mean * MOST_EQUAL > 1 ? (uint64_t)fmax(rint(1 / mean), 1) : MOST_EQUAL;
}

static void look_at_values(const struct tensor *t, const float *x, size_t rows, uint64_t times, struct glance *g)
{
	const struct frcnn_quant_histogram *h = &t->histogram;
	double inverse = h->hi > h->lo ? FRCNN_QUANT_BINS / (h->hi - h->lo) : 0;
	size_t channels = (size_t)t->channels;

	memset(g->count, 0, sizeof g->count);
	memset(g->weight, 0, sizeof g->weight);
	g->zeros = 0;
	memset(g->sum, 0, t->period * sizeof *g->sum);
	memset(g->square, 0, t->period * sizeof *g->square);
	memset(g->shares, 0, channels * SHARES * sizeof *g->shares);
	for (size_t row = 0; row < rows; row++, x += t->period) {
		for (size_t k = 0; k < t->period; k++) {
			g->sum[k] += x[k];
			g->square[k] += (double)x[k] * x[k];
		}
		for (size_t k = 0, channel = 0; k < t->period;
		     k++, channel = channel + 1 == channels ? 0 : channel + 1) {
			int bin;

			if (x[k] == 0) {
				g->zeros++;
				continue;
			}
			bin = frcnn_quant_bin(h->lo, inverse, x[k]);
			g->count[bin]++;
			g->weight[bin] += t->energy[channel] * times;
			g->shares[channel * SHARES + (size_t)bin / (FRCNN_QUANT_BINS / SHARES)]++;
		}
	}
}

/* A chunk's sum, whose order is fixed, as an integer, whose order does not matter. Of values that the first pass did
 * not see it may be anything. */
static int64_t in_units(double sum, double unit)
{
	double n = unit > 0 ? rint(sum / unit) : 0;

	return n > -0x1p62 && n < 0x1p62 ? (int64_t)n : 0;
}

static void merge_bins(struct frcnn_quant_histogram *h, const struct glance *g)
{
	h->zeros += g->zeros;
	for (int i = 0; i < FRCNN_QUANT_BINS; i++) {
		h->count[i] += g->count[i];
		h->weight[i] += g->weight[i];
	}
}

static void merge_values(struct tensor *t, size_t rows, const struct glance *g)
{
	t->again += rows;
	merge_bins(&t->histogram, g);
	/* Wraps around rather than overflows, in unsigned. */
	for (size_t k = 0; k < t->period; k++) {
		t->sum[k] = (int64_t)((uint64_t)t->sum[k] + (uint64_t)in_units(g->sum[k], t->unit));
		t->square[k] = (int64_t)((uint64_t)t->square[k] + (uint64_t)in_units(g->square[k], t->square_unit));
	}
	for (size_t k = 0; k < (size_t)t->channels * SHARES; k++)
		t->shares[k] = g->shares[k] > UINT32_MAX - t->shares[k] ? UINT32_MAX : t->shares[k] + g->shares[k];
}

static void merge_others(struct tensor *t, size_t rows, const struct glance *g)
{
	(void)rows;
	merge_bins(&t->others, g);
}

static void look_at_chunk(void *context, size_t index, int worker)
{
	const struct look *look = context;
	static void (*const merge[])(struct tensor *, size_t, const struct glance *) = {merge_range, merge_values,
											merge_others};
	struct frcnn_calibration *c = look->calibration;
	struct glance *g = &c->glances[worker];
	size_t from = index * look->chunk;
	size_t rows = look->rows - from < look->chunk ? look->rows - from : look->chunk;
	const float *x = look->values + from * look->tensor->period;

	if (c->pass > 0)
		look_at_values(look->tensor, x, rows, look->times, g);
	else
		look_at_range(look->tensor, x, rows, g);
	pthread_mutex_lock(&c->merging);
	merge[c->pass](look->tensor, rows, g);
	pthread_mutex_unlock(&c->merging);
}

static void see(struct frcnn_calibration *c, int tensor, const float *values, size_t count)
{
	struct frcnn_pool *pool = frcnn_detector_pool(c->detector);
	struct look look = {.calibration = c, .values = values};
	size_t chunks;

	if (tensor < 0)
		return;
	look.tensor = &c->tensors[tensor];
	look.rows = count / look.tensor->period;
	look.chunk = look.tensor->period < CHUNK ? CHUNK / look.tensor->period : 1;
	chunks = (look.rows + look.chunk - 1) / look.chunk;
	if (c->pass > 0 && chunks > 0) {
		frcnn_pool_run(pool, chunks, weigh_chunk, &look);
		look.times = times_of(&look);
	}
	frcnn_pool_run(pool, chunks, look_at_chunk, &look);
}

static void see_features(void *context, int node, const float *values, size_t count)
{
	struct frcnn_calibration *c = context;

	see(c, c->of_node[0][node], values, count);
}

static void see_head(void *context, int node, const float *values, size_t count)
{
	struct frcnn_calibration *c = context;

	see(c, c->of_node[1][node], values, count);
}

/* ---- passes ------------------------------------------------------------------------- */

int frcnn_calibration_new(const struct frcnn_model *model, struct frcnn_detector *detector,
			  struct frcnn_calibration **out, struct frcnn_error *err)
{
	struct frcnn_calibration *c = frcnn_calloc(1, sizeof *c);
	struct frcnn_graphs graphs;
	int status;

	*out = NULL;
	if (!c)
		return frcnn_fail_nomem(err);
	if (pthread_mutex_init(&c->merging, NULL)) {
		free(c);
		return frcnn_fail_nomem(err);
	}
	c->detector = detector;
	status = frcnn_graphs_build(model, true, &graphs, err);
	if (!status)
		status = frcnn_quant_plan_new(model, false, &c->plan, err);
	if (!status)
		status = find_tensors(c, &graphs, err);
	if (!status)
		status = give_room(c, err);
	if (!status)
		status = weigh_channels(c, &graphs, err);
	frcnn_graphs_free(&graphs);
	if (status) {
		frcnn_calibration_free(c);
		return status;
	}
	frcnn_detector_watch(detector, see_features, see_head, c);
	*out = c;
	return 0;
}

void frcnn_calibration_end(struct frcnn_calibration *c)
{
	if (c->detector)
		frcnn_detector_watch(c->detector, NULL, NULL, NULL);
	c->detector = NULL;
}

void frcnn_calibration_free(struct frcnn_calibration *c)
{
	if (!c)
		return;
	frcnn_calibration_end(c);
	for (size_t i = 0; i < c->ntensors; i++) {
		free(c->tensors[i].energy);
		free(c->tensors[i].least);
		free(c->tensors[i].most);
		free(c->tensors[i].sum);
		free(c->tensors[i].square);
		free(c->tensors[i].shares);
	}
	for (int i = 0; c->glances && i < c->threads; i++) {
		free(c->glances[i].least);
		free(c->glances[i].most);
		free(c->glances[i].sum);
		free(c->glances[i].square);
		free(c->glances[i].shares);
	}
	free(c->glances);
	free(c->tensors);
	free(c->of_node[0]);
	free(c->of_node[1]);
	frcnn_quant_plan_free(&c->plan);
	pthread_mutex_destroy(&c->merging);
	free(c);
}

static bool saw_infinity(const struct tensor *t)
{
	for (int i = 0; i < COARSE; i++)
		if (t->coarse[i] && (i & 0x7f8) == 0x7f8)
			return true;
	return false;
}

int frcnn_calibration_add(struct frcnn_calibration *c, const struct frcnn_image *image,
			  struct frcnn_detections *detections, struct frcnn_error *err)
{
	struct frcnn_detections found;
	int status = frcnn_detect(c->detector, image, &found, err);

	for (size_t i = 0; i < c->ntensors && !status && c->pass == 0; i++)
		if (saw_infinity(&c->tensors[i]))
			status =
			    frcnn_fail(err, FRCNN_EINVAL, "%s holds values that are not finite", c->tensors[i].name);
	if (!status)
		c->images[c->pass]++;
	if (!status && detections)
		*detections = found;
	else
		frcnn_detections_free(&found);
	if (status && detections)
		memset(detections, 0, sizeof *detections);
	return status;
}

/* The lower edge of a bin of the magnitudes' half of a coarse histogram. */
static double coarse_edge(int bin)
{
	uint32_t bits = (uint32_t)bin << 20;
	float value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Where the values of one sign end, but for the freaks; most: of all. */
static double reach(const uint64_t *coarse, uint64_t freaks, double most)
{
	uint64_t seen = 0;

	for (int i = COARSE / 2 - 1; i >= 0; i--) {
		seen += coarse[i];
		if (seen > freaks)
			return fmin(most, coarse_edge(i + 1));
	}
	return 0;
}

int frcnn_calibration_next(struct frcnn_calibration *c, struct frcnn_error *err)
{
	if (c->pass == 2)
		return frcnn_fail(err, FRCNN_EINVAL, "calibration has three passes");
	if (!c->images[c->pass])
		return frcnn_fail(err, FRCNN_EINVAL, "calibration saw no picture");
	for (size_t i = 0; i < c->ntensors && c->pass == 1; i++) {
		c->tensors[i].others.lo = c->tensors[i].histogram.lo;
		c->tensors[i].others.hi = c->tensors[i].histogram.hi;
	}
	for (size_t i = 0; i < c->ntensors && c->pass == 0; i++) {
		struct tensor *t = &c->tensors[i];
		struct frcnn_quant_histogram *h = &t->histogram;
		uint64_t freaks = t->rows * t->period / FREAKS;
		double largest;

		for (int k = 0; k < t->channels && t->rows; k++) {
			h->least = k == 0 || t->least[k] < h->least ? t->least[k] : h->least;
			h->most = k == 0 || t->most[k] > h->most ? t->most[k] : h->most;
		}
		h->hi = h->most > 0 ? reach(t->coarse, freaks, h->most) : 0;
		h->lo = h->least < 0 ? -reach(t->coarse + COARSE / 2, freaks, -h->least) : 0;
		largest = fmax(fabs(h->least), fabs(h->most));
		t->unit = ldexp(largest, -FRACTION);
		t->square_unit = ldexp(largest * largest, -FRACTION);
	}
	c->pass++;
	return 0;
}

/* What codings of the tensor are measured by. */
static const struct frcnn_quant_histogram *judge_of(const struct tensor *t)
{
	for (int i = 0; i < FRCNN_QUANT_BINS; i++)
		if (t->others.count[i])
			return &t->others;
	return &t->histogram;
}

int frcnn_calibration_choose(const struct frcnn_calibration *c, enum frcnn_quant_observer observer,
			     struct frcnn_quant_plan *plan, struct frcnn_error *err)
{
	struct frcnn_quant *quant;
	enum frcnn_quant_observer *chosen;
	double *snr;
	int status = 0;

	if (c->images[0] != c->images[1])
		return frcnn_fail(err, FRCNN_EINVAL,
				  "calibration saw %llu pictures in its first pass and %llu in its second",
				  (unsigned long long)c->images[0], (unsigned long long)c->images[1]);
	if (plan->nlayers != c->plan.nlayers)
		return frcnn_fail(err, FRCNN_EINVAL, "the plan is of another model than the calibration");
	quant = frcnn_calloc(c->ntensors, sizeof *quant);
	chosen = frcnn_calloc(c->ntensors, sizeof *chosen);
	snr = frcnn_calloc(c->ntensors, sizeof *snr);
	if (!quant || !chosen || !snr) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < c->ntensors; i++) {
		const struct frcnn_quant_histogram *judge = judge_of(&c->tensors[i]);
		double signal, noise;

		quant[i] = frcnn_quant_observe(&c->tensors[i].histogram, judge, observer, &chosen[i]);
		noise = frcnn_quant_histogram_error(judge, quant[i], &signal);
		snr[i] = frcnn_quant_decibel(signal, noise);
	}
	for (size_t l = 0; l < plan->nlayers; l++) {
		struct frcnn_quant_layer *layer = &plan->layers[l];

		layer->ninputs = c->plan.layers[l].ninputs;
		layer->input_snr = 200;
		for (int k = 0; k < layer->ninputs; k++) {
			int t = c->plan.layers[l].tensors[k];

			layer->tensors[k] = t;
			layer->inputs[k] = quant[t];
			layer->observers[k] = chosen[t];
			layer->input_snr = fmin(layer->input_snr, snr[t]);
		}
	}
out:
	free(quant);
	free(chosen);
	free(snr);
	return status;
}

/* ---- what was seen ------------------------------------------------------------------ */

size_t frcnn_calibration_tensors(const struct frcnn_calibration *c)
{
	return c->ntensors;
}

const char *frcnn_calibration_tensor_name(const struct frcnn_calibration *c, size_t tensor)
{
	return c->tensors[tensor].name;
}

const struct frcnn_quant_histogram *frcnn_calibration_histogram(const struct frcnn_calibration *c, size_t tensor)
{
	return &c->tensors[tensor].histogram;
}

void frcnn_calibration_moments(const struct frcnn_calibration *c, const struct frcnn_quant_layer *layer, float *mean,
			       float *square)
{
	const struct frcnn_quant_layer *own = frcnn_quant_plan_find(&c->plan, layer->name);
	size_t window = (size_t)(layer->kernel * layer->kernel), channels = (size_t)layer->channels;

	for (size_t channel = 0; channel < channels; channel++) {
		for (size_t at = 0; at < window; at++) {
			double sum = 0, squares = 0, count = 0;

			for (int k = 0; own && k < own->ninputs; k++) {
				const struct tensor *t = &c->tensors[own->tensors[k]];
				size_t positions = t->period / channels;

				/* Where positions are kept, but not for this layer, over all of them. */
				for (size_t p = 0; p < positions; p++) {
					if (positions == window && positions > 1 && p != at)
						continue;
					sum += (double)t->sum[p * channels + channel] * t->unit;
					squares += (double)t->square[p * channels + channel] * t->square_unit;
					count += (double)t->again;
				}
			}
			mean[channel * window + at] = count > 0 ? (float)(sum / count) : 0;
			square[channel * window + at] = count > 0 ? (float)(squares / count) : 1;
		}
	}
}

void frcnn_calibration_ranges(const struct frcnn_calibration *c, const struct frcnn_quant_layer *layer, float *least,
			      float *most)
{
	const struct frcnn_quant_layer *own = frcnn_quant_plan_find(&c->plan, layer->name);

	for (int channel = 0; channel < layer->channels; channel++) {
		bool any = false;

		least[channel] = most[channel] = 0;
		for (int k = 0; own && k < own->ninputs; k++) {
			const struct tensor *t = &c->tensors[own->tensors[k]];

			if (!t->rows)
				continue;
			least[channel] = any ? fminf(least[channel], t->least[channel]) : t->least[channel];
			most[channel] = any ? fmaxf(most[channel], t->most[channel]) : t->most[channel];
			any = true;
		}
	}
}

/* ---- warnings ----------------------------------------------------------------------- */

struct warnings {
	struct frcnn_quant_warning *items;
	size_t count, capacity;
	bool failed;
};

static const char *const kinds[] = {"few-images", "no-data", "dead-channels", "saturated-channels", "dictator-channel"};

const char *frcnn_quant_warning_name(enum frcnn_quant_warning_kind kind)
{
	return kinds[kind];
}

static void FRCNN_PRINTF(4, 5)
    warn(struct warnings *w, enum frcnn_quant_warning_kind kind, const char *name, const char *format, ...)
{
	void *items = w->items;
	va_list args;

	if (w->failed || frcnn_grow(&items, &w->capacity, w->count + 1, sizeof *w->items)) {
		w->failed = true;
		return;
	}
	w->items = items;
	w->items[w->count].kind = kind;
	snprintf(w->items[w->count].name, sizeof w->items->name, "%s", name);
	va_start(args, format);
	vsnprintf(w->items[w->count].text, sizeof w->items->text, format, args);
	va_end(args);
	w->count++;
}

/* The first few of a tensor's channels that a test holds for; returns how many there are. */
static int list_channels(const struct tensor *t, struct frcnn_quant quant,
			 bool (*test)(const struct tensor *t, int channel, struct frcnn_quant quant), char *out,
			 size_t size)
{
	size_t n = 0;
	int found = 0;

	out[0] = '\0';
	for (int k = 0; k < t->channels; k++) {
		if (!test(t, k, quant))
			continue;
		if (++found <= 4 && n < size)
			n += (size_t)snprintf(out + n, size - n, found > 1 ? ", %d" : "%d", k);
		else if (found == 5 && n < size)
			snprintf(out + n, size - n, ", ...");
	}
	return found;
}

static bool is_dead(const struct tensor *t, int channel, struct frcnn_quant quant)
{
	(void)quant;
	return t->least[channel] == t->most[channel];
}

/* By coarse bins that lie wholly outside. */
static bool is_saturated(const struct tensor *t, int channel, struct frcnn_quant quant)
{
	const struct frcnn_quant_histogram *h = &t->histogram;
	double lo = -(double)quant.zero * quant.scale, hi = (255.0 - quant.zero) * quant.scale;
	double width = (h->hi - h->lo) / SHARES, outside = 0;

	for (int i = 0; i < SHARES; i++) {
		double from = h->lo + i * width, to = from + width;

		if (from >= hi || to <= lo)
			outside += t->shares[(size_t)channel * SHARES + (size_t)i];
	}
	return outside > SATURATED * (double)t->again * (double)(t->period / (size_t)t->channels);
}

/* How far a channel reaches, 0 included. */
static double span(const struct tensor *t, int channel)
{
	return fmax(t->most[channel], 0) - fmin(t->least[channel], 0);
}

static void warn_of_tensor(const struct tensor *t, struct frcnn_quant quant, struct warnings *w)
{
	int widest = 0, dead, saturated;
	double others = 0, range = 255.0 * quant.scale;
	char list[80];

	if (!t->rows || t->histogram.least == t->histogram.most) {
		warn(w, FRCNN_QUANT_NO_DATA, t->name, "%s saw %s", t->name,
		     t->rows ? "nothing but one value" : "no data");
		return;
	}
	dead = list_channels(t, quant, is_dead, list, sizeof list);
	if (dead)
		warn(w, FRCNN_QUANT_DEAD, t->name, "%s: %d of %d channels never changed (%s)", t->name, dead,
		     t->channels, list);
	saturated = list_channels(t, quant, is_saturated, list, sizeof list);
	if (saturated)
		warn(w, FRCNN_QUANT_SATURATED, t->name,
		     "%s: more than %g%% of the values of %d of %d channels lie "
		     "outside of its range (%s)",
		     t->name, 100 * SATURATED, saturated, t->channels, list);
	for (int k = 1; k < t->channels; k++)
		widest = span(t, k) > span(t, widest) ? k : widest;
	for (int k = 0; k < t->channels; k++)
		others = k != widest ? fmax(others, span(t, k)) : others;
	if (t->channels > 1 && range > DICTATES * others)
		warn(w, FRCNN_QUANT_DICTATOR, t->name, "%s: channel %d makes its range %.3g, the others reach %.3g",
		     t->name, widest, range, others);
}

int frcnn_calibration_warnings(const struct frcnn_calibration *c, const struct frcnn_quant_plan *plan,
			       struct frcnn_quant_warning **out, size_t *count, struct frcnn_error *err)
{
	bool *done = frcnn_calloc(c->ntensors, sizeof *done);
	struct warnings w = {0};

	*out = NULL;
	*count = 0;
	if (!done)
		return frcnn_fail_nomem(err);
	if (c->images[0] < FEW_IMAGES)
		warn(&w, FRCNN_QUANT_FEW_IMAGES, "", "%llu picture%s for calibration: ranges may be too narrow",
		     (unsigned long long)c->images[0], c->images[0] == 1 ? "" : "s");
	for (size_t l = 0; l < plan->nlayers; l++) {
		const struct frcnn_quant_layer *layer = &plan->layers[l];

		for (int k = 0; k < layer->ninputs && layer->quantized; k++) {
			size_t t = (size_t)layer->tensors[k];

			if (t < c->ntensors && !done[t])
				warn_of_tensor(&c->tensors[t], layer->inputs[k], &w);
			if (t < c->ntensors)
				done[t] = true;
		}
	}
	free(done);
	if (w.failed) {
		free(w.items);
		return frcnn_fail_nomem(err);
	}
	*out = w.items;
	*count = w.count;
	return 0;
}
