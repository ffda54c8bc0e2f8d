/* Adaptive rounding: samples of the inputs of int8 layers, and weights rounded up or down by what that does to the
 * outputs. */
#include "quant/quant.h"

#include <math.h>

#define LANES    16   /* columns of a panel */
#define DAMPING  0.02 /* of the mean diagonal, added to it: what a sample does not show costs something all the same */
#define SWEEPS   20   /* the descent ends far earlier */
#define JUDGE    8    /* each eighth row judges */
#define TOGETHER 8    /* filters whose gradients are computed at once */
#define STRETCH  1024 /* columns of them at a time */

/* Inputs of one layer, a row for each sampled position of its output: [C][R][S] bytes. */
struct sample {
	char name[96];
	bool head;
	size_t columns, rows, capacity; /* columns: channels * kernel * kernel */
	size_t quota, taken;            /* rows of one image; of the image at hand */
	int groups, ninputs;
	struct frcnn_quant inputs[FRCNN_MAX_LEVELS];
	uint8_t *values, *levels; /* [capacity][columns], [capacity] */
	size_t positions;         /* of the image at hand, over all reads */
};

/* A node that runs a sampled layer. */
struct read {
	struct sample *sample;
	int node, level;
	size_t first, positions; /* of the layer's, in the image at hand */
};

struct frcnn_rounding {
	struct frcnn_detector *detector;
	const struct frcnn_model *model;
	struct frcnn_graphs graphs; /* without weights */
	struct sample *samples;
	struct read *reads;
	size_t nsamples, nreads;
	size_t images; /* seen */
};

/* ---- sampling ------------------------------------------------------------------------ */

static void drop_weights(struct frcnn_graph *graph)
{
	for (size_t i = 0; i < graph->nparams; i++) {
		free(graph->params[i].weight);
		graph->params[i].weight = NULL;
	}
}

static const struct frcnn_graph *graph_of(const struct frcnn_rounding *r, bool head)
{
	return head ? &r->graphs.head : &r->graphs.features;
}

/* The nodes of the layer, each one read. */
static void add_reads(struct frcnn_rounding *r, struct sample *sample)
{
	const struct frcnn_graph *graph = graph_of(r, sample->head);
	int level = 0;

	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];

		if (node->dead || node->op != FRCNN_OP_CONV || strcmp(graph->params[node->params].name, sample->name))
			continue;
		r->reads[r->nreads++] = (struct read){.sample = sample, .node = (int)i, .level = level};
		level += level + 1 < sample->ninputs;
	}
}

static int add_sample(struct frcnn_rounding *r, const struct frcnn_quant_layer *layer, size_t images,
		      struct frcnn_error *err)
{
	struct sample *s = &r->samples[r->nsamples++];

	snprintf(s->name, sizeof s->name, "%s", layer->name);
	s->head = layer->head;
	s->groups = layer->groups;
	s->ninputs = layer->ninputs;
	memcpy(s->inputs, layer->inputs, sizeof s->inputs);
	s->columns = (size_t)layer->channels * (size_t)(layer->kernel * layer->kernel);
	s->quota = (FRCNN_ROUND_ROWS + images - 1) / images;
	s->capacity = s->quota * images;
	s->values = frcnn_alloc_aligned(s->capacity * s->columns, 1);
	s->levels = frcnn_alloc_aligned(s->capacity, 1);
	if (!s->values || !s->levels)
		return frcnn_fail_nomem(err);
	add_reads(r, s);
	return 0;
}

/* A position's place within its stretch of all positions, in [0, 1): a fixed scramble (Steele, Lea and Flood 2014,
 * Fast Splittable Pseudorandom Number Generators, mix64). */
static double jitter(uint64_t image, uint64_t number)
{
	uint64_t z = (image << 32 | number) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (double)(z >> 11) * 0x1p-53;
}

static uint8_t byte_of(struct frcnn_quant quant, float x)
{
	float q = rintf(x * (1 / quant.scale)) + (float)quant.zero;

	q = q > 0 ? q : 0;
	return (uint8_t)(q < 255 ? q : 255);
}

/* What the filters see at position `at` (of N x H x W outputs) of a node whose input is x: (N, height, width, C). */
static void take_row(const struct frcnn_node *node, const struct frcnn_node *input, struct frcnn_quant quant,
		     const float *x, size_t at, uint8_t *row)
{
	int channels = input->channels, image = (int)(at / (size_t)(node->height * node->width));
	int place = (int)(at % (size_t)(node->height * node->width));
	size_t window = (size_t)(node->kernel_h * node->kernel_w), j = 0;

	for (int r = 0; r < node->kernel_h; r++) {
		for (int s = 0; s < node->kernel_w; s++, j++) {
			int h = place / node->width * node->stride - node->pad + r * node->dilation;
			int w = place % node->width * node->stride - node->pad + s * node->dilation;
			bool inside = h >= 0 && h < input->height && w >= 0 && w < input->width;
			const float *from =
			    inside ? x + (((size_t)image * (size_t)input->height + (size_t)h) * (size_t)input->width +
					  (size_t)w) *
					     (size_t)channels
				   : NULL;

			for (int c = 0; c < channels; c++)
				row[(size_t)c * window + j] = from ? byte_of(quant, from[c]) : (uint8_t)quant.zero;
		}
	}
}

/* The rows that the image at hand gives through this read. */
static void take_rows(struct frcnn_rounding *r, const struct read *read, const float *x)
{
	const struct frcnn_graph *graph = graph_of(r, read->sample->head);
	const struct frcnn_node *node = &graph->nodes[read->node];
	struct sample *s = read->sample;
	size_t quota = s->positions < s->quota ? s->positions : s->quota;

	for (size_t k = 0; k < quota && s->taken < s->quota && s->rows < s->capacity; k++) {
		size_t at = (size_t)(((double)k + jitter(r->images, k)) * (double)s->positions / (double)quota);

		at = at < s->positions ? at : s->positions - 1;
		if (at < read->first || at - read->first >= read->positions)
			continue;
		s->levels[s->rows] = (uint8_t)read->level;
		take_row(node, &graph->nodes[node->input[0]], s->inputs[read->level], x, at - read->first,
			 s->values + s->rows * s->columns);
		s->rows++;
		s->taken++;
	}
}

static void see(struct frcnn_rounding *r, bool head, int node, const float *values, size_t count)
{
	for (size_t i = 0; i < r->nreads; i++) {
		struct read *read = &r->reads[i];
		const struct frcnn_graph *graph = graph_of(r, head);
		const struct frcnn_node *in = &graph->nodes[node], *out = &graph->nodes[read->node];

		if (read->sample->head != head || out->input[0] != node)
			continue;
		if (head) {
			/* How many there are is seen only here, and each layer of the head is one node. */
			read->first = 0;
			read->positions = count / (size_t)(in->height * in->width * in->channels) *
					  (size_t)(out->height * out->width);
			read->sample->positions = read->positions;
		}
		take_rows(r, read, values);
	}
}

static void see_features(void *context, int node, const float *values, size_t count)
{
	see(context, false, node, values, count);
}

static void see_head(void *context, int node, const float *values, size_t count)
{
	see(context, true, node, values, count);
}

int frcnn_rounding_new(const struct frcnn_model *model, struct frcnn_detector *detector,
		       const struct frcnn_quant_plan *plan, size_t images, struct frcnn_rounding **out,
		       struct frcnn_error *err)
{
	struct frcnn_rounding *r = frcnn_calloc(1, sizeof *r);
	int status;

	*out = NULL;
	if (!r)
		return frcnn_fail_nomem(err);
	r->model = model;
	status = frcnn_graphs_build(model, true, &r->graphs, err);
	if (!status) {
		drop_weights(&r->graphs.features);
		drop_weights(&r->graphs.head);
		r->samples = frcnn_calloc(plan->nlayers, sizeof *r->samples);
		r->reads = frcnn_calloc(r->graphs.features.count + r->graphs.head.count, sizeof *r->reads);
		status = r->samples && r->reads ? 0 : frcnn_fail_nomem(err);
	}
	if (!status)
		status = frcnn_graph_shape(&r->graphs.head, r->graphs.roi_size, r->graphs.roi_size, err);
	for (size_t i = 0; i < plan->nlayers && !status; i++)
		if (plan->layers[i].quantized)
			status = add_sample(r, &plan->layers[i], images > 0 ? images : 1, err);
	if (status) {
		frcnn_rounding_free(r);
		return status;
	}
	r->detector = detector;
	frcnn_detector_watch(detector, see_features, see_head, r);
	*out = r;
	return 0;
}

void frcnn_rounding_free(struct frcnn_rounding *r)
{
	if (!r)
		return;
	if (r->detector)
		frcnn_detector_watch(r->detector, NULL, NULL, NULL);
	for (size_t i = 0; i < r->nsamples; i++) {
		free(r->samples[i].values);
		free(r->samples[i].levels);
	}
	free(r->samples);
	free(r->reads);
	frcnn_graphs_free(&r->graphs);
	free(r);
}

int frcnn_rounding_add(struct frcnn_rounding *r, const struct frcnn_image *image, struct frcnn_error *err)
{
	const struct frcnn_description *d = &r->model->description;
	struct frcnn_transform_size size;
	struct frcnn_detections found;
	int status = frcnn_transform_size(image->width, image->height, d->min_size, d->max_size, &size, err);

	if (!status)
		status = frcnn_graph_shape(&r->graphs.features, size.padded_height, size.padded_width, err);
	for (size_t i = 0; i < r->nsamples; i++)
		r->samples[i].positions = r->samples[i].taken = 0;
	for (size_t i = 0; i < r->nreads && !status; i++) {
		struct read *read = &r->reads[i];
		const struct frcnn_node *node = &graph_of(r, read->sample->head)->nodes[read->node];

		if (read->sample->head)
			continue;
		read->first = read->sample->positions;
		read->positions = (size_t)node->height * (size_t)node->width;
		read->sample->positions += read->positions;
	}
	if (!status)
		status = frcnn_detect(r->detector, image, &found, err);
	if (!status) {
		frcnn_detections_free(&found);
		r->images++;
	}
	return status;
}

/* ---- rounding ------------------------------------------------------------------------ */

/* The descent, from an error whose gradient (half of it, H e) is known. */
static void descend(const float *h, size_t n, const float *weight, float scale, int limit, int8_t *q, float *gradient)
{
	for (int sweep = 0, changes = 1; sweep < SWEEPS && changes; sweep++) {
		changes = 0;
		for (size_t i = 0; i < n; i++) {
			float exact = weight[i] / scale, e = (float)q[i] - exact, d = e > 0 ? -scale : scale;
			const float *row = h + i * n;
			int to = q[i] + (e > 0 ? -1 : 1);

			/* Up from below, down from above; what lies outside of the limit, or on a step, stays. */
			if (e == 0 || fabsf(e) >= 1 || to > limit || to < -limit ||
			    !(2 * gradient[i] * d + d * d * row[i] < 0))
				continue;
			q[i] = (int8_t)to;
			for (size_t k = 0; k < n; k++)
				gradient[k] += d * row[k];
			changes++;
		}
	}
}

static void fill_error(const float *weight, const int8_t *q, float scale, size_t n, float *error)
{
	for (size_t i = 0; i < n; i++)
		error[i] = (float)q[i] * scale - weight[i];
}

/* gradients[f] = H errors[f], for several filters over one reading of H. */
static void find_gradients(const float *h, size_t n, const float *errors, size_t filters, float *gradients)
{
	memset(gradients, 0, filters * n * sizeof *gradients);
	for (size_t from = 0; from < n; from += STRETCH) {
		size_t columns = n - from < STRETCH ? n - from : STRETCH;

		for (size_t i = 0; i < n; i++) {
			const float *row = h + i * n + from;

			for (size_t f = 0; f < filters; f++) {
				float e = errors[f * n + i], *g = gradients + f * n + from;

				for (size_t k = 0; k < columns; k++)
					g[k] += e * row[k];
			}
		}
	}
}

void frcnn_round_filter(const float *h, size_t n, const float *weight, float scale, int limit, int8_t *quantized,
			float *error, float *gradient)
{
	fill_error(weight, quantized, scale, n, error);
	find_gradients(h, n, error, 1, gradient);
	descend(h, n, weight, scale, limit, quantized, gradient);
}

/* Columns first .. first + count - 1 of a layer's inputs and the filters that see them. */
struct block {
	const struct sample *sample;
	size_t first, count, panels;
	size_t filter, filters, row, offset; /* their weights: weight[filter * row + offset] and on */
	size_t train, judge;                 /* rows that make H, that judge */
	float *x;                            /* [panels][train][LANES] about the mean, zero beyond count */
	float *held;                         /* [judge][count] likewise */
	float *h;                            /* [count][count] */
	float *work;                         /* [workers][2][TOGETHER][count] */
	const float *weight, *scale;
	int limit;
	int8_t *quantized;
	float *before, *after; /* [K][judge] errors of outputs so far */
};

static float value_of(const struct sample *s, size_t row, size_t column)
{
	struct frcnn_quant quant = s->inputs[s->levels[row]];

	return (float)(s->values[row * s->columns + column] - quant.zero) * quant.scale;
}

/* One panel of the rows, about the mean over all of them. */
static void fill_panel(void *context, size_t panel, int worker)
{
	const struct block *b = context;
	const struct sample *s = b->sample;

	(void)worker;
	for (size_t lane = 0; lane < LANES; lane++) {
		size_t column = panel * LANES + lane, train = 0, judge = 0;
		bool there = column < b->count;
		double sum = 0;
		float mean;

		for (size_t i = 0; i < s->rows && there; i++)
			sum += value_of(s, i, b->first + column);
		mean = (float)(sum / (double)s->rows);
		for (size_t i = 0; i < s->rows; i++) {
			float x = there ? value_of(s, i, b->first + column) - mean : 0;

			if (i % JUDGE != JUDGE - 1)
				b->x[(panel * b->train + train++) * LANES + lane] = x;
			else if (there)
				b->held[judge++ * b->count + column] = x;
		}
	}
}

/* Products of four columns of one panel with all of another. */
static void multiply(const float *a, const float *b, size_t rows, float out[4][LANES])
{
	float sums[4][LANES] = {{0}};

	for (size_t i = 0; i < rows; i++, a += LANES, b += LANES)
		for (int k = 0; k < 4; k++)
			for (int lane = 0; lane < LANES; lane++)
				sums[k][lane] += a[k] * b[lane];
	memcpy(out, sums, sizeof sums);
}

/* Rows of H that belong to one panel, from the diagonal on, and what mirrors them. */
static void fill_moments(void *context, size_t panel, int worker)
{
	const struct block *b = context;
	float tile[4][LANES];

	(void)worker;
	for (size_t other = panel; other < b->panels; other++) {
		for (size_t k = 0; k < LANES; k += 4) {
			multiply(b->x + panel * b->train * LANES + k, b->x + other * b->train * LANES, b->train, tile);
			for (size_t i = 0; i < 4; i++) {
				for (size_t lane = 0; lane < LANES; lane++) {
					size_t y = panel * LANES + k + i, x = other * LANES + lane;

					if (y >= b->count || x >= b->count)
						continue;
					b->h[y * b->count + x] = tile[i][lane];
					b->h[x * b->count + y] = tile[i][lane];
				}
			}
		}
	}
}

static void add_outputs(const struct block *b, const float *error, float *out)
{
	for (size_t i = 0; i < b->judge; i++) {
		const float *x = b->held + i * b->count;
		float lanes[LANES] = {0}, sum = 0;
		size_t k = 0;

		for (; k + LANES <= b->count; k += LANES)
			for (size_t lane = 0; lane < LANES; lane++)
				lanes[lane] += error[k + lane] * x[k + lane];
		for (; k < b->count; k++)
			lanes[0] += error[k] * x[k];
		for (size_t lane = 0; lane < LANES; lane++)
			sum += lanes[lane];
		out[i] += sum;
	}
}

static void round_filters(void *context, size_t index, int worker)
{
	const struct block *b = context;
	size_t n = b->count, from = index * TOGETHER;
	size_t filters = b->filters - from < TOGETHER ? b->filters - from : TOGETHER;
	float *errors = b->work + (size_t)worker * 2 * TOGETHER * n, *gradients = errors + TOGETHER * n;

	for (size_t f = 0; f < filters; f++) {
		size_t k = b->filter + from + f, at = k * b->row + b->offset;

		fill_error(b->weight + at, b->quantized + at, b->scale[k], n, errors + f * n);
		add_outputs(b, errors + f * n, b->before + k * b->judge);
	}
	find_gradients(b->h, n, errors, filters, gradients);
	for (size_t f = 0; f < filters; f++) {
		size_t k = b->filter + from + f, at = k * b->row + b->offset;

		descend(b->h, n, b->weight + at, b->scale[k], b->limit, b->quantized + at, gradients + f * n);
		fill_error(b->weight + at, b->quantized + at, b->scale[k], n, errors + f * n);
		add_outputs(b, errors + f * n, b->after + k * b->judge);
	}
}

static int solve_block(struct block *b, struct frcnn_pool *pool, struct frcnn_error *err)
{
	size_t workers = (size_t)frcnn_pool_threads(pool);
	double trace = 0;
	int status = 0;

	b->panels = (b->count + LANES - 1) / LANES;
	b->x = frcnn_alloc_aligned(b->panels * b->train * LANES, sizeof *b->x);
	b->held = frcnn_alloc_aligned(b->judge * b->count, sizeof *b->held);
	b->h = frcnn_alloc_aligned(b->count * b->count, sizeof *b->h);
	b->work = frcnn_alloc_aligned(workers * 2 * TOGETHER * b->count, sizeof *b->work);
	if (!b->x || !b->held || !b->h || !b->work) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	frcnn_pool_run(pool, b->panels, fill_panel, b);
	frcnn_pool_run(pool, b->panels, fill_moments, b);
	for (size_t i = 0; i < b->count; i++)
		trace += b->h[i * b->count + i];
	for (size_t i = 0; i < b->count; i++)
		b->h[i * b->count + i] += (float)(DAMPING * trace / (double)b->count);
	frcnn_pool_run(pool, (b->filters + TOGETHER - 1) / TOGETHER, round_filters, b);
out:
	free(b->x);
	free(b->held);
	free(b->h);
	free(b->work);
	return status;
}

static double sum_of_squares(const float *values, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)values[i] * values[i];
	return sum;
}

static const struct sample *find_sample(const struct frcnn_rounding *r, const char *name)
{
	for (size_t i = 0; i < r->nsamples; i++)
		if (!strcmp(r->samples[i].name, name))
			return &r->samples[i];
	return NULL;
}

int frcnn_rounding_solve(const struct frcnn_rounding *r, const struct frcnn_quant_layer *layer, const float *weight,
			 const float *scale, int limit, struct frcnn_pool *pool, int8_t *quantized, double *gain,
			 struct frcnn_error *err)
{
	const struct sample *s = find_sample(r, layer->name);
	size_t filters = (size_t)layer->out_channels, groups = (size_t)layer->groups;
	size_t window = (size_t)(layer->kernel * layer->kernel);
	size_t row = (size_t)(layer->channels / layer->groups) * window, widest;
	struct block b = {.sample = s, .row = row, .weight = weight, .scale = scale, .limit = limit};
	double before, after;
	int status = 0;

	*gain = 0;
	if (!s || s->rows < 2 * JUDGE)
		return 0;
	b.judge = s->rows / JUDGE;
	b.train = s->rows - b.judge;
	b.before = frcnn_calloc(filters * b.judge, sizeof *b.before);
	b.after = frcnn_calloc(filters * b.judge, sizeof *b.after);
	b.quantized = frcnn_alloc_aligned(filters * row, 1);
	if (!b.before || !b.after || !b.quantized) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	memcpy(b.quantized, quantized, filters * row);
	widest = window < FRCNN_ROUND_BLOCK ? FRCNN_ROUND_BLOCK / window * window : window;
	for (size_t group = 0; group < groups && !status; group++) {
		b.filters = filters / groups;
		b.filter = group * b.filters;
		for (b.offset = 0; b.offset < row && !status; b.offset += b.count) {
			b.first = group * row + b.offset;
			b.count = row - b.offset < widest ? row - b.offset : widest;
			status = solve_block(&b, pool, err);
		}
	}
	if (status)
		goto out;
	before = sum_of_squares(b.before, filters * b.judge);
	after = sum_of_squares(b.after, filters * b.judge);
	if (after < before) {
		*gain = frcnn_quant_decibel(before, after);
		memcpy(quantized, b.quantized, filters * row);
	}
out:
	free(b.before);
	free(b.after);
	free(b.quantized);
	return status;
}
