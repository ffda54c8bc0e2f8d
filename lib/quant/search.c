/* The greedy search for layers that are better left float. */
#include "eval/eval.h"
#include "quant/search.h"

#include <math.h>

#define SEED        1
#define NEGLIGIBLE  0.01 /* share of all layers' losses */
#define LEAST_MISS  1e-3 /* 1 - found0 is at least this, shift0 at least LEAST_SHIFT: a perfect plan loses nothing */
#define LEAST_SHIFT 1e-4

void frcnn_quant_trail_free(struct frcnn_quant_trail *trail)
{
	if (!trail)
		return;
	free(trail->steps);
	memset(trail, 0, sizeof *trail);
}

/* ---- losses ----------------------------------------------------------------------------- */

/* What 1 - found and shift are measured by. */
struct unit {
	double miss, shift;
};

static double loss_of(struct unit unit, double found, double shift)
{
	return (found < 0 ? 0 : (1 - found) / unit.miss) + (shift < 0 ? 0 : shift / unit.shift);
}

/* Of the pictures, each taken times[i] times (NULL: once). */
static struct frcnn_agreement sum(const struct frcnn_quant_score *score, const uint32_t *times)
{
	struct frcnn_agreement sums = {0};

	for (size_t i = 0; i < score->count; i++) {
		uint32_t n = times ? times[i] : 1;

		sums.wanted += n * score->images[i].wanted;
		sums.found += n * score->images[i].found;
		sums.shift += n * score->images[i].shift;
	}
	return sums;
}

static double loss(struct unit unit, const struct frcnn_quant_score *score, const uint32_t *times)
{
	struct frcnn_agreement sums = sum(score, times);

	return loss_of(unit, frcnn_agreement_found(&sums), frcnn_agreement_shift(&sums));
}

/* Standard deviation of the gain from a to b over resamples of the pictures; < 0: no memory. */
static double noise_of(struct unit unit, const struct frcnn_quant_score *a, const struct frcnn_quant_score *b)
{
	uint32_t *times = frcnn_calloc(a->count, sizeof *times);
	double total = 0, squares = 0, n = FRCNN_SEARCH_RESAMPLES;

	if (!times)
		return -1;
	for (size_t k = 0; k < FRCNN_SEARCH_RESAMPLES; k++) {
		double gain;

		frcnn_eval_draw_images(SEED, k, a->count, times);
		gain = loss(unit, a, times) - loss(unit, b, times);
		total += gain;
		squares += gain * gain;
	}
	free(times);
	return sqrt(fmax(squares / n - total / n * (total / n), 0));
}

/* ---- order ------------------------------------------------------------------------------ */

struct candidate {
	size_t layer;
	double worth; /* loss alone over multiply-adds */
};

static int by_worth(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->worth != y->worth)
		return x->worth < y->worth ? 1 : -1;
	return x->layer < y->layer ? -1 : 1;
}

static size_t make_candidates(const struct frcnn_quant_plan *plan, const bool *locked, struct unit unit,
			      struct candidate *out)
{
	double all = 0;
	size_t count = 0;

	for (size_t i = 0; i < plan->nlayers; i++)
		if (plan->layers[i].quantized)
			all += loss_of(unit, plan->layers[i].found, plan->layers[i].shift);
	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];
		double alone = loss_of(unit, layer->found, layer->shift);

		if (layer->quantized && !locked[i] && alone > NEGLIGIBLE * all)
			out[count++] = (struct candidate){i, alone / (double)layer->multiply_adds};
	}
	if (count)
		qsort(out, count, sizeof *out, by_worth);
	return count;
}

/* ---- the search --------------------------------------------------------------------------- */

/* Tries one more layer in float; *now becomes the score with it if it stays. */
static int try_layer(struct frcnn_quant_plan *plan, struct unit unit, frcnn_quant_judge *judge, void *context,
		     struct frcnn_quant_score *now, struct frcnn_quant_step *step, struct frcnn_error *err)
{
	struct frcnn_quant_layer *layer = &plan->layers[step->layer];
	struct frcnn_quant_score score = {0};
	struct frcnn_agreement sums;
	int status = judge(context, plan, &score, err);

	if (status)
		goto out;
	sums = sum(&score, NULL);
	step->found = frcnn_agreement_found(&sums);
	step->shift = frcnn_agreement_shift(&sums);
	step->gain = loss(unit, now, NULL) - loss(unit, &score, NULL);
	step->noise = noise_of(unit, now, &score);
	if (step->noise < 0) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	step->kept = step->gain > step->noise;
	if (step->kept) {
		struct frcnn_quant_score before = *now;

		*now = score;
		score = before;
	} else {
		layer->quantized = true;
		layer->why = "";
	}
out:
	free(score.images);
	return status;
}

int frcnn_quant_search(struct frcnn_quant_plan *plan, const bool *locked, double max_float,
		       const struct frcnn_quant_score *start, frcnn_quant_judge *judge, void *context,
		       struct frcnn_quant_trail *out, struct frcnn_error *err)
{
	struct candidate *candidates = frcnn_calloc(plan->nlayers, sizeof *candidates);
	struct frcnn_quant_score now = *start;
	struct frcnn_agreement sums = sum(start, NULL);
	struct unit unit;
	size_t count;
	int status = 0;

	*out = (struct frcnn_quant_trail){
	    .found = frcnn_agreement_found(&sums), .shift = frcnn_agreement_shift(&sums), .holds = start->holds};
	out->steps = frcnn_calloc(FRCNN_SEARCH_TRIALS, sizeof *out->steps);
	now.images = frcnn_calloc(start->count, sizeof *now.images);
	if (!candidates || !out->steps || !now.images) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (start->count)
		memcpy(now.images, start->images, start->count * sizeof *now.images);
	unit.miss = fmax(out->found < 0 ? 0 : 1 - out->found, LEAST_MISS);
	unit.shift = fmax(out->shift, LEAST_SHIFT);
	count = make_candidates(plan, locked, unit, candidates);
	for (size_t i = 0; i < count && !now.holds && out->nsteps < FRCNN_SEARCH_TRIALS && !status; i++) {
		struct frcnn_quant_layer *layer = &plan->layers[candidates[i].layer];
		struct frcnn_quant_step *step = &out->steps[out->nsteps];

		layer->quantized = false;
		if (frcnn_quant_plan_float_share(plan) > max_float) {
			layer->quantized = true;
			continue;
		}
		layer->why = "search";
		*step = (struct frcnn_quant_step){.layer = candidates[i].layer};
		status = try_layer(plan, unit, judge, context, &now, step, err);
		out->nsteps += !status;
	}
	out->holds = now.holds;
out:
	free(candidates);
	free(now.images);
	if (status)
		frcnn_quant_trail_free(out);
	return status;
}
