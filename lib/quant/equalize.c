/*
 * Cross-layer equalization: channels between two layers are given more even ranges, by factors that the first layer's
 * filters are divided by and the second layer's weights multiplied by. A ReLU lets a positive factor through; max
 * pooling, means and nearest upsampling do so too, and the gates of squeeze-excite, which read the channel with the
 * inverse factor and see nothing. Between the two layers of the gates themselves nothing is changed: of one position
 * there is too little to tell errors by, and what was expected to help them did not.
 */
#include "quant/quant.h"

#include <math.h>

#define REACH  24  /* exponents are -REACH .. REACH */
#define COMMON 5   /* root mean squares that values of a channel commonly reach */
#define TRIES  128 /* channels whose exponents are refined */
#define WORTH  0.9 /* of the error; a change that leaves more of it is not made */

/* A layer that reads the channels, and what is known of them. */
struct reader {
	const struct frcnn_node *node;
	float *weight; /* [K][each][window] */
	size_t filters, each, window;
	float *least, *most;              /* [C] what the channel reaches */
	double *square, *energy;          /* [C] mean square of the input, sum of squares of the weights that meet it */
	float *largest;                   /* [K][each] of the weights of a filter that meet a channel */
	double input_error, weight_error; /* as they are, over the energy of the outputs */
	double input_steps, weight_steps; /* what they are in proportion to, as it is: see spread */
	const struct frcnn_quant_layer *layer;
};

struct pair {
	int params; /* of the first layer */
	size_t channels;
	struct reader *readers;
	size_t count;
	int8_t *exponents, *best; /* [C] */
	double *factors;          /* [C] 2^exponents */
};

/* ---- which layers ------------------------------------------------------------------- */

static bool is_conv(const struct frcnn_node *node, int params)
{
	return !node->dead && node->op == FRCNN_OP_CONV && node->params == params;
}

/* Marks the nodes whose values carry a factor of the layer's outputs. False: there is one that cannot. */
static bool carry(const struct frcnn_graph *graph, int params, bool *marked)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		bool first = node->input[0] >= 0 && marked[node->input[0]];
		bool second = node->input[1] >= 0 && marked[node->input[1]];

		marked[i] = false;
		if (node->dead)
			continue;
		if (node->residual >= 0 && marked[node->residual])
			return false;
		if (is_conv(node, params)) {
			if (first || node->residual >= 0 || (node->act != FRCNN_RELU && node->act != FRCNN_LINEAR))
				return false;
			if (graph->nodes[node->input[0]].op == FRCNN_OP_GLOBAL_MEAN)
				return false;
			marked[i] = true;
			continue;
		}
		switch (node->op) {
		case FRCNN_OP_MAX_POOL:
		case FRCNN_OP_GLOBAL_MEAN:
		case FRCNN_OP_UPSAMPLE: /* input 1 only says how large */
			marked[i] = first;
			break;
		case FRCNN_OP_ACTIVATION:
			if (first && node->act != FRCNN_RELU)
				return false;
			marked[i] = first;
			break;
		case FRCNN_OP_MUL:
			if (second)
				return false;
			marked[i] = first;
			break;
		case FRCNN_OP_ADD:
		case FRCNN_OP_BATCH_NORM:
			if (first || second)
				return false;
			break;
		case FRCNN_OP_CONV: /* reads it */
		case FRCNN_OP_INPUT:
			break;
		}
	}
	for (int i = 0; i < graph->noutputs; i++)
		if (marked[graph->outputs[i]])
			return false;
	return true;
}

static void free_pair(struct pair *pair)
{
	for (size_t i = 0; pair->readers && i < pair->count; i++) {
		free(pair->readers[i].least);
		free(pair->readers[i].most);
		free(pair->readers[i].square);
		free(pair->readers[i].energy);
		free(pair->readers[i].largest);
	}
	free(pair->readers);
	free(pair->factors);
	free(pair->exponents);
	free(pair->best);
	memset(pair, 0, sizeof *pair);
}

/* The layers that read marked nodes. False: one of them reads other nodes as well, or cannot take a factor. */
static bool find_readers(const struct frcnn_graph *graph, const bool *marked, struct pair *pair)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		size_t known = 0;

		if (node->dead || node->op != FRCNN_OP_CONV || !marked[node->input[0]])
			continue;
		if (node->groups != 1 && (node->groups != (int)pair->channels || node->channels != node->groups))
			return false;
		if (!graph->params[node->params].weight)
			return false;
		while (known < pair->count && pair->readers[known].node->params != node->params)
			known++;
		if (known == pair->count)
			pair->readers[pair->count++].node = node;
	}
	for (size_t i = 0; i < graph->count; i++)
		for (size_t k = 0; k < pair->count; k++)
			if (is_conv(&graph->nodes[i], pair->readers[k].node->params) &&
			    !marked[graph->nodes[i].input[0]])
				return false;
	return pair->count > 0;
}

/* ---- what they read ------------------------------------------------------------------ */

/* Rare values beyond the input's scale as it is do not count: clipping them cost little. A channel that lies beyond it
 * with much of what it has, by its mean square, does. */
static void clip(struct reader *r, size_t channels)
{
	double lo = 0, hi = 0;

	for (int k = 0; k < r->layer->ninputs; k++) {
		struct frcnn_quant quant = r->layer->inputs[k];

		lo = fmin(lo, -(double)quant.zero * quant.scale);
		hi = fmax(hi, (255.0 - quant.zero) * quant.scale);
	}
	for (size_t c = 0; c < channels; c++) {
		double common = COMMON * sqrt(r->square[c] / (double)r->window);

		r->least[c] = (float)fmax(r->least[c], fmin(lo, -common));
		r->most[c] = (float)fmin(r->most[c], fmax(hi, common));
	}
}

static double error_of(double decibel)
{
	return pow(10, -decibel / 10);
}

static int know_reader(const struct frcnn_graph *graph, const struct frcnn_calibration *calibration,
		       const struct frcnn_quant_plan *plan, size_t channels, struct reader *r, struct frcnn_error *err)
{
	const struct frcnn_params *params = &graph->params[r->node->params];
	float *mean, *square;

	r->layer = frcnn_quant_plan_find(plan, params->name);
	if (!r->layer || r->layer->channels != (int)channels)
		return frcnn_fail(err, FRCNN_EINVAL, "the plan has no layer %s", params->name);
	r->input_error = error_of(r->layer->input_snr);
	r->weight_error = error_of(r->layer->weight_snr);

	r->weight = params->weight;
	r->filters = (size_t)r->node->channels;
	r->each = channels / (size_t)r->node->groups;
	r->window = (size_t)r->node->kernel_h * (size_t)r->node->kernel_w;
	r->least = frcnn_calloc(channels, sizeof *r->least);
	r->most = frcnn_calloc(channels, sizeof *r->most);
	r->square = frcnn_calloc(channels, sizeof *r->square);
	r->energy = frcnn_calloc(channels, sizeof *r->energy);
	r->largest = frcnn_calloc(r->filters * r->each, sizeof *r->largest);
	mean = frcnn_calloc(channels * r->window, sizeof *mean);
	square = frcnn_calloc(channels * r->window, sizeof *square);
	if (!r->least || !r->most || !r->square || !r->energy || !r->largest || !mean || !square) {
		free(mean);
		free(square);
		return frcnn_fail_nomem(err);
	}
	frcnn_calibration_ranges(calibration, r->layer, r->least, r->most);
	frcnn_calibration_moments(calibration, r->layer, mean, square);
	for (size_t c = 0; c < channels; c++)
		for (size_t j = 0; j < r->window; j++)
			r->square[c] += square[c * r->window + j];
	clip(r, channels);
	for (size_t k = 0; k < r->filters; k++) {
		for (size_t i = 0; i < r->each; i++) {
			const float *w = r->weight + (k * r->each + i) * r->window;
			size_t c = r->each == 1 && r->node->groups > 1 ? k : i;

			for (size_t j = 0; j < r->window; j++) {
				float size = fabsf(w[j]);

				r->energy[c] += (double)w[j] * w[j];
				r->largest[k * r->each + i] = fmaxf(r->largest[k * r->each + i], size);
			}
		}
	}
	free(mean);
	free(square);
	return 0;
}

/* What the errors of a reader's inputs and weights grow with when channel c is divided by factors[c]: squares of the
 * steps, of the inputs over what all channels reach together, of each filter over its largest weight; times energies
 * of what they meet. */
static void spread(const struct reader *r, size_t channels, const double *factors, double *inputs, double *weights)
{
	double lo = 0, hi = 0, energy = 0, square = 0, steps = 0;

	for (size_t c = 0; c < channels; c++) {
		lo = fmin(lo, r->least[c] / factors[c]);
		hi = fmax(hi, r->most[c] / factors[c]);
		energy += r->energy[c] * factors[c] * factors[c];
		square += r->square[c] / (factors[c] * factors[c]);
	}
	for (size_t k = 0; k < r->filters && r->node->groups == 1; k++) {
		const float *row = r->largest + k * channels;
		double largest = 0;

		for (size_t c = 0; c < channels; c++) {
			double size = row[c] * factors[c];

			largest = size > largest ? size : largest;
		}
		steps += largest * largest;
	}
	*inputs = (hi - lo) * (hi - lo) * energy;
	/* A depthwise filter's steps follow its one channel. */
	*weights = r->node->groups == 1 ? steps * square : 1;
}

/* Expected error of all readers; it is what was measured where nothing is changed. */
static double expected(const struct pair *pair, const int8_t *exponents)
{
	double sum = 0, inputs, weights;

	for (size_t c = 0; c < pair->channels; c++)
		pair->factors[c] = ldexp(1, exponents[c]);
	for (size_t i = 0; i < pair->count; i++) {
		const struct reader *r = &pair->readers[i];

		spread(r, pair->channels, pair->factors, &inputs, &weights);
		sum += r->input_steps > 0 ? r->input_error * inputs / r->input_steps : 0;
		sum += r->weight_steps > 0 ? r->weight_error * weights / r->weight_steps : 0;
	}
	return sum;
}

/* Whether the readers' errors were measured with the factors, and did not become less. */
static bool is_refuted(const struct pair *pair, const struct frcnn_quant_plan *after)
{
	double before = 0, now = 0;

	for (size_t i = 0; after && i < pair->count; i++) {
		const struct frcnn_quant_layer *layer = frcnn_quant_plan_find(after, pair->readers[i].layer->name);

		before += pair->readers[i].input_error + pair->readers[i].weight_error;
		now += layer ? error_of(layer->input_snr) + error_of(layer->weight_snr) : 0;
	}
	return after && !(now < WORTH * before);
}

/* ---- factors ------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the values above 0; 0: there are none. work: count values. */
static double median(const double *values, size_t count, double *work)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (values[i] > 0)
			work[n++] = values[i];
	if (!n)
		return 0;
	qsort(work, n, sizeof *work, by_value);
	return work[n / 2];
}

/* 2^exponent brings value^power to target^power; nothing lies below 0 where only the large ones are meant. */
static void fill(const double *values, double target, double power, bool only_large, size_t count, int8_t *exponents)
{
	for (size_t c = 0; c < count; c++) {
		double e = values[c] > 0 && target > 0 ? rint(power * log2(values[c] / target)) : 0;

		e = only_large && e < 0 ? 0 : e;
		exponents[c] = (int8_t)fmax(-REACH, fmin(REACH, e));
	}
}

static void keep_best(struct pair *pair, double *least)
{
	double error = expected(pair, pair->exponents);

	if (!(error < *least))
		return;
	*least = error;
	memcpy(pair->best, pair->exponents, pair->channels);
}

/* One exponent after the other, up or down by one, where there is one already: families hit none exactly. */
static void refine(struct pair *pair, double *least)
{
	for (size_t c = 0, tries = 0; c < pair->channels && tries < TRIES; c++) {
		if (!pair->best[c])
			continue;
		tries++;
		for (int step = -1; step <= 1; step += 2) {
			memcpy(pair->exponents, pair->best, pair->channels);
			pair->exponents[c] = (int8_t)(pair->exponents[c] + step);
			keep_best(pair, least);
		}
	}
}

/* The factors of least expected error among these: ranges made even, wholly or by half, all or only those that exceed
 * several times the median; ranges over weights made even by half, as weights and inputs share the burden then. All 0
 * where it is not worth it. */
static int choose(struct pair *pair, struct frcnn_error *err)
{
	static const double times[] = {1, 2, 4, 8, 16}, powers[] = {0.25, 0.5, 0.75, 1};
	size_t n = pair->channels;
	double *reach = frcnn_calloc(n, sizeof *reach), *ratio = frcnn_calloc(n, sizeof *ratio);
	double *work = frcnn_calloc(n, sizeof *work), middle, before, least;
	int status = reach && ratio && work ? 0 : frcnn_fail_nomem(err);

	if (status)
		goto out;
	/* Readers differ in what they read: the first stands for all in making proposals, all judge. */
	for (size_t c = 0; c < n; c++) {
		const struct reader *r = &pair->readers[0];

		reach[c] = fmax(r->most[c], -r->least[c]);
		ratio[c] = r->energy[c] > 0 ? reach[c] / sqrt(r->energy[c]) : 0;
	}
	for (size_t c = 0; c < n; c++)
		pair->factors[c] = 1;
	for (size_t i = 0; i < pair->count; i++)
		spread(&pair->readers[i], n, pair->factors, &pair->readers[i].input_steps,
		       &pair->readers[i].weight_steps);
	before = least = expected(pair, pair->best);
	middle = median(reach, n, work);
	for (size_t k = 0; k < FRCNN_COUNT(powers); k++) {
		for (size_t i = 0; i < FRCNN_COUNT(times); i++) {
			fill(reach, times[i] * middle, powers[k], true, n, pair->exponents);
			keep_best(pair, &least);
		}
		fill(reach, middle, powers[k], false, n, pair->exponents);
		keep_best(pair, &least);
		fill(ratio, median(ratio, n, work), powers[k] / 2, false, n, pair->exponents);
		keep_best(pair, &least);
	}
	refine(pair, &least);
	if (!(least < WORTH * before))
		memset(pair->best, 0, n);
out:
	free(reach);
	free(ratio);
	free(work);
	return status;
}

/* ---- weights ------------------------------------------------------------------------- */

static bool scales_exactly(const float *w, size_t count, int exponent)
{
	for (size_t i = 0; i < count; i++) {
		float scaled = ldexpf(w[i], exponent);

		if (w[i] != 0 && !isnormal(scaled))
			return false;
	}
	return true;
}

static void scale(float *w, size_t count, int exponent)
{
	for (size_t i = 0; i < count; i++)
		w[i] = ldexpf(w[i], exponent);
}

/* The weights of a reader that meet channel c lie `step` apart, `*count` of them times window each. */
static float *meets(const struct reader *r, size_t c, size_t *count, size_t *step)
{
	bool depthwise = r->node->groups > 1;

	*count = depthwise ? 1 : r->filters;
	*step = r->each * r->window;
	return r->weight + c * (depthwise ? *step : r->window);
}

/* Returns how many channels were changed; a channel with numbers that would not stay exact is left. */
static size_t apply(struct frcnn_graph *graph, const struct pair *pair, size_t row)
{
	struct frcnn_params *first = &graph->params[pair->params];
	size_t changed = 0, count, step;

	for (size_t c = 0; c < pair->channels; c++) {
		int e = pair->best[c];
		bool exact = e != 0 && scales_exactly(first->weight + c * row, row, -e) &&
			     (!first->bias || scales_exactly(first->bias + c, 1, -e));

		for (size_t i = 0; i < pair->count && exact; i++) {
			const struct reader *r = &pair->readers[i];
			const float *w = meets(r, c, &count, &step);

			for (size_t k = 0; k < count && exact; k++)
				exact = scales_exactly(w + k * step, r->window, e);
		}
		if (!exact)
			continue;
		changed++;
		scale(first->weight + c * row, row, -e);
		if (first->bias)
			scale(first->bias + c, 1, -e);
		for (size_t i = 0; i < pair->count; i++) {
			float *w = meets(&pair->readers[i], c, &count, &step);

			for (size_t k = 0; k < count; k++)
				scale(w + k * step, pair->readers[i].window, e);
		}
	}
	return changed;
}

/* One layer and those behind it. */
static int equalize_layer(struct frcnn_graph *graph, int params, const struct frcnn_calibration *calibration,
			  const struct frcnn_quant_plan *before, const struct frcnn_quant_plan *after, bool *marked,
			  struct frcnn_equalization *sums, struct frcnn_error *err)
{
	struct pair pair = {.params = params};
	const struct frcnn_node *node = NULL;
	size_t changed, row;
	int status = 0;

	for (size_t i = 0; i < graph->count && !node; i++)
		if (is_conv(&graph->nodes[i], params))
			node = &graph->nodes[i];
	if (!node || !graph->params[params].weight || !carry(graph, params, marked))
		return 0;
	pair.channels = (size_t)node->channels;
	row = (size_t)(graph->nodes[node->input[0]].channels / node->groups) * (size_t)node->kernel_h *
	      (size_t)node->kernel_w;
	pair.readers = frcnn_calloc(graph->nparams, sizeof *pair.readers);
	pair.exponents = frcnn_calloc(pair.channels, sizeof *pair.exponents);
	pair.best = frcnn_calloc(pair.channels, sizeof *pair.best);
	pair.factors = frcnn_calloc(pair.channels, sizeof *pair.factors);
	if (!pair.readers || !pair.exponents || !pair.best || !pair.factors) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (!find_readers(graph, marked, &pair))
		goto out;
	for (size_t i = 0; i < pair.count && !status; i++)
		status = know_reader(graph, calibration, before, pair.channels, &pair.readers[i], err);
	if (!status)
		status = choose(&pair, err);
	if (status)
		goto out;
	changed = is_refuted(&pair, after) ? 0 : apply(graph, &pair, row);
	sums->tensors++;
	sums->changed_tensors += changed > 0;
	sums->channels += pair.channels;
	sums->changed_channels += changed;
out:
	free_pair(&pair);
	return status;
}

int frcnn_quant_equalize(const struct frcnn_model *model, const struct frcnn_calibration *calibration,
			 const struct frcnn_quant_plan *before, const struct frcnn_quant_plan *after,
			 struct frcnn_quant_model *out, struct frcnn_equalization *sums, struct frcnn_error *err)
{
	struct frcnn_graphs graphs;
	int status = frcnn_graphs_build(model, true, &graphs, err);

	memset(out, 0, sizeof *out);
	memset(sums, 0, sizeof *sums);
	if (status)
		return status;
	for (int head = 0; head < 2 && !status; head++) {
		struct frcnn_graph *graph = head ? &graphs.head : &graphs.features;
		bool *marked = frcnn_calloc(graph->count, sizeof *marked);

		if (!marked)
			status = frcnn_fail_nomem(err);
		for (size_t i = 0; i < graph->nparams && !status; i++)
			status = equalize_layer(graph, (int)i, calibration, before, after, marked, sums, err);
		free(marked);
	}
	if (!status)
		status = frcnn_quant_folded(model, &graphs, out, err);
	frcnn_graphs_free(&graphs);
	return status;
}
