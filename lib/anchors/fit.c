/* A search for anchors that fit, and how much of the gain holds on images that it did not see. */
#include "anchors/anchors.h"
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

const char *const frcnn_anchor_objective_names[3] = {"mean-iou", "recall", "assigned"};

/* ---- the halves ------------------------------------------------------------------------------ */

static int hold_out(const struct frcnn_anchor_boxes *boxes, uint64_t seed, uint8_t *held, struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = boxes->truth;
	struct frcnn_buffer key = {0};
	int status = 0;

	for (size_t i = 0; i < boxes->nimages && status == 0; i++) {
		size_t image = boxes->images[i].truth;
		const char *name = truth->file_names[image];
		const char *slash = name ? strrchr(name, '/') : NULL;
		char hex[65];

		frcnn_buffer_clear(&key);
		frcnn_buffer_printf(&key, "%llu ", (unsigned long long)seed);
		if (name)
			frcnn_buffer_puts(&key, slash ? slash + 1 : name);
		else
			frcnn_buffer_printf(&key, "%lld", (long long)truth->image_ids[image]);
		if (key.failed)
			status = frcnn_fail_nomem(err);
		else
			status = frcnn_sha256(key.data, key.size, hex, err);
		/* the first bit of the digest */
		held[i] = status == 0 && hex[0] >= '8';
	}
	frcnn_buffer_free(&key);
	return status;
}

/* ---- candidates ------------------------------------------------------------------------------ */

struct score {
	double objective, mean;
};

/* A configuration with what each level gives each box. */
struct candidate {
	struct frcnn_anchor_config config;
	float *best[FRCNN_MAX_LEVELS];
	struct score score;
};

struct fitting {
	const struct frcnn_anchor_boxes *boxes; /* those that may be looked at */
	const struct frcnn_anchor_fit_options *options;
	struct frcnn_pool *pool;
	int nratio_levels; /* levels with ratios of their own: 1, or all */
	uint64_t state;
};

static bool is_better(struct score a, struct score b)
{
	return a.objective > b.objective || (a.objective == b.objective && a.mean > b.mean);
}

static int candidate_make(const struct fitting *f, const struct frcnn_anchor_config *config, struct candidate *out,
			  struct frcnn_error *err)
{
	memset(out, 0, sizeof *out);
	out->config = *config;
	for (int i = 0; i < config->nlevels; i++) {
		out->best[i] = frcnn_calloc(f->boxes->nboxes, sizeof **out->best);
		if (!out->best[i])
			return frcnn_fail_nomem(err);
	}
	return 0;
}

static void candidate_free(struct candidate *candidate)
{
	for (int i = 0; i < FRCNN_MAX_LEVELS; i++)
		free(candidate->best[i]);
}

/* Recomputes the levels whose bit is set, then the score. */
static int judge(const struct fitting *f, struct candidate *c, unsigned levels, struct frcnn_error *err)
{
	size_t n = f->boxes->nboxes, reached = 0;
	double total = 0;

	for (int i = 0; i < c->config.nlevels; i++)
		if (levels >> i & 1)
			frcnn_anchors_best(f->boxes, &c->config, i, f->pool, c->best[i]);
	for (size_t b = 0; b < n; b++) {
		float best = 0;

		for (int i = 0; i < c->config.nlevels; i++)
			best = c->best[i][b] > best ? c->best[i][b] : best;
		total += best;
		reached += best >= FRCNN_ANCHOR_POSITIVE;
	}
	c->score.mean = c->score.objective = total / (double)n;
	if (f->options->objective == FRCNN_ANCHOR_RECALL)
		c->score.objective = (double)reached / (double)n;
	if (f->options->objective == FRCNN_ANCHOR_ASSIGNED) {
		struct frcnn_anchor_stats stats;
		size_t matched = 0;
		int status = frcnn_anchors_assign(f->boxes, &c->config, f->pool, &stats, err);

		if (status < 0)
			return status;
		for (size_t b = 0; b < n; b++)
			matched += stats.matched[b] > 0;
		c->score.objective = (double)matched / (double)n;
		frcnn_anchor_stats_free(&stats);
	}
	return 0;
}

static float round_size(double size)
{
	return (float)rint(fmin(fmax(size, 1), 4096));
}

static float round_ratio(double ratio)
{
	return (float)(rint(fmin(fmax(ratio, 0.05), 20) * 100) / 100);
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

static double log_size(const struct frcnn_anchor_level *level)
{
	double sum = 0;

	for (int s = 0; s < level->nsizes; s++)
		sum += log(level->sizes[s]);
	return sum / level->nsizes;
}

/* Sizes and ratios of a level in ascending order; false when a later level has smaller anchors than an earlier one. */
static bool tidy(struct frcnn_anchor_config *config)
{
	for (int i = 0; i < config->nlevels; i++) {
		struct frcnn_anchor_level *level = &config->levels[i];

		qsort(level->sizes, (size_t)level->nsizes, sizeof *level->sizes, compare_floats);
		qsort(level->ratios, (size_t)level->nratios, sizeof *level->ratios, compare_floats);
	}
	for (int i = 1; i < config->nlevels; i++)
		if (log_size(&config->levels[i]) < log_size(&config->levels[i - 1]) - 1e-9)
			return false;
	return true;
}

static double normal(uint64_t *state)
{
	double radius = sqrt(-2 * log(1 - frcnn_anchor_uniform(state)));

	return radius * cos(6.283185307179586 * frcnn_anchor_uniform(state));
}

/* Changes one number, or all sizes at once; returns the levels that changed. */
static unsigned mutate(struct fitting *f, struct frcnn_anchor_config *config)
{
	static const double widths[] = {0.5, 0.2, 0.08, 0.03};
	double factor = exp(widths[frcnn_anchor_random(&f->state) % FRCNN_COUNT(widths)] * normal(&f->state));
	int nsizes = config->levels[0].nsizes, nratios = config->levels[0].nratios;
	int genes = config->nlevels * nsizes + f->nratio_levels * nratios;
	int gene = (int)(frcnn_anchor_random(&f->state) % (uint64_t)(genes + 1));
	unsigned all = (1u << config->nlevels) - 1;

	if (gene == genes) {
		for (int i = 0; i < config->nlevels; i++)
			for (int s = 0; s < nsizes; s++)
				config->levels[i].sizes[s] = round_size(config->levels[i].sizes[s] * factor);
		return all;
	}
	if (gene < config->nlevels * nsizes) {
		float *size = &config->levels[gene / nsizes].sizes[gene % nsizes];

		*size = round_size(*size * factor);
		return 1u << gene / nsizes;
	}
	gene -= config->nlevels * nsizes;
	for (int i = 0; i < config->nlevels; i++) {
		float *ratio = &config->levels[i].ratios[gene % nratios];

		if (f->nratio_levels == 1 || i == gene / nratios)
			*ratio = round_ratio(*ratio * factor);
	}
	return f->nratio_levels == 1 ? all : 1u << gene / nratios;
}

/* (1+1): a changed copy takes the parent's place when it is not worse. */
static int evolve(struct fitting *f, struct candidate *parent, struct candidate *child, struct frcnn_error *err)
{
	int status = judge(f, parent, ~0u, err);

	for (int step = 0; step < f->options->steps && status == 0; step++) {
		struct frcnn_anchor_config changed = parent->config;
		unsigned levels = mutate(f, &changed);

		if (!tidy(&changed) || frcnn_anchor_config_equal(&changed, &parent->config))
			continue;
		child->config = changed;
		for (int i = 0; i < changed.nlevels; i++) /* what is not made anew is the parent's */
			if (!(levels >> i & 1))
				memcpy(child->best[i], parent->best[i], f->boxes->nboxes * sizeof **child->best);
		status = judge(f, child, levels, err);
		if (status == 0 && !is_better(parent->score, child->score)) {
			struct candidate was = *parent;

			*parent = *child;
			*child = was;
		}
	}
	return status;
}

/* ---- the start ------------------------------------------------------------------------------- */

struct centre {
	double size, ratio, weight;
};

static int by_size(const void *a, const void *b)
{
	const struct centre *x = a, *y = b;

	return x->size < y->size ? -1 : x->size > y->size;
}

static int by_ratio(const void *a, const void *b)
{
	const struct centre *x = a, *y = b;

	return x->ratio < y->ratio ? -1 : x->ratio > y->ratio;
}

/* Weighted geometric mean of a run of centres. */
static double mean_of(const struct centre *centres, int count, bool ratio)
{
	double sum = 0, weight = 0;

	for (int i = 0; i < count; i++) {
		double w = centres[i].weight + 1e-6; /* a centre that lost all its boxes still counts a little */

		sum += w * log(ratio ? centres[i].ratio : centres[i].size);
		weight += w;
	}
	return exp(sum / weight);
}

/* The ratios of count centres in nratios equal groups. */
static void set_ratios(struct centre *centres, int count, struct frcnn_anchor_level *level, int nratios)
{
	qsort(centres, (size_t)count, sizeof *centres, by_ratio);
	level->nratios = nratios;
	for (int r = 0; r < nratios; r++)
		level->ratios[r] = round_ratio(mean_of(centres + r * (count / nratios), count / nratios, true));
}

/* k-means with as many centres as kinds; sizes from the centres in order of size, ratios from those in order of ratio.
 */
static int start_from_clusters(struct fitting *f, int nsizes, int nratios, struct frcnn_anchor_config *config,
			       struct frcnn_error *err)
{
	int per_level = nsizes * nratios, k = per_level * config->nlevels;
	double *shapes = frcnn_calloc((size_t)k, 3 * sizeof *shapes);
	struct centre *centres = frcnn_calloc((size_t)k, sizeof *centres);
	int status = 0;

	if (!shapes || !centres)
		status = frcnn_fail_nomem(err);
	if (status == 0)
		status = frcnn_anchor_kmeans(f->boxes->network, f->boxes->nboxes, k, frcnn_anchor_random(&f->state),
					     shapes, shapes + 2 * k, err);
	for (int c = 0; c < k && status == 0; c++) {
		double width = shapes[2 * c], height = shapes[2 * c + 1];

		centres[c] = (struct centre){sqrt(width * height), height / width, shapes[2 * k + c]};
	}
	if (status == 0) {
		qsort(centres, (size_t)k, sizeof *centres, by_size);
		for (int i = 0; i < config->nlevels; i++) {
			struct frcnn_anchor_level *level = &config->levels[i];

			level->nsizes = nsizes;
			for (int s = 0; s < nsizes; s++)
				level->sizes[s] =
				    round_size(mean_of(centres + i * per_level + s * nratios, nratios, false));
		}
		for (int i = 0; i < f->nratio_levels; i++)
			set_ratios(centres + (f->nratio_levels == 1 ? 0 : i * per_level),
				   f->nratio_levels == 1 ? k : per_level, &config->levels[i], nratios);
		for (int i = f->nratio_levels; i < config->nlevels; i++) {
			config->levels[i].nratios = nratios;
			memcpy(config->levels[i].ratios, config->levels[0].ratios, sizeof config->levels[i].ratios);
		}
		tidy(config);
	}
	free(shapes);
	free(centres);
	return status;
}

/* Whether the given anchors are of the shape that is searched. */
static bool has_shape(const struct fitting *f, const struct frcnn_anchor_config *config, int nsizes, int nratios)
{
	for (int i = 0; i < config->nlevels; i++)
		if (config->levels[i].nsizes != nsizes || config->levels[i].nratios != nratios)
			return false;
	return f->nratio_levels > 1 || config->nlevels == 1 || frcnn_anchor_ratios_shared(config);
}

static int search(struct fitting *f, const struct frcnn_anchor_config *given, struct frcnn_anchor_config *out,
		  struct frcnn_error *err)
{
	int nsizes = f->options->nsizes ? f->options->nsizes : given->levels[0].nsizes;
	int nratios = f->options->nratios ? f->options->nratios : given->levels[0].nratios;
	struct candidate best = {0}, child = {0}, other = {0};
	struct frcnn_anchor_config start = *given;
	int status = start_from_clusters(f, nsizes, nratios, &start, err);

	if (status == 0)
		status = candidate_make(f, &start, &best, err);
	if (status == 0)
		status = candidate_make(f, &start, &child, err);
	if (status == 0)
		status = evolve(f, &best, &child, err);
	if (status == 0 && has_shape(f, given, nsizes, nratios)) {
		status = candidate_make(f, given, &other, err);
		if (status == 0)
			status = evolve(f, &other, &child, err);
		/* the given anchors' line wins equals */
		if (status == 0 && !is_better(best.score, other.score))
			best.config = other.config;
	}
	*out = best.config;
	candidate_free(&best);
	candidate_free(&child);
	candidate_free(&other);
	return status;
}

/* ---- what it is worth ------------------------------------------------------------------------ */

static double value_of(const struct frcnn_anchor_stats *stats, enum frcnn_anchor_objective objective, size_t box)
{
	switch (objective) {
	case FRCNN_ANCHOR_RECALL:
		return stats->best[box] >= FRCNN_ANCHOR_POSITIVE;
	case FRCNN_ANCHOR_ASSIGNED:
		return stats->matched[box] > 0;
	default:
		return stats->best[box];
	}
}

/* 95% interval of the difference in mean value over held-out images drawn with replacement. */
static int bootstrap(const struct frcnn_anchor_boxes *held, const struct frcnn_anchor_stats *before,
		     const struct frcnn_anchor_stats *after, struct frcnn_anchor_fit *out, struct frcnn_error *err)
{
	const struct frcnn_anchor_fit_options *options = &out->options;
	double *differences = frcnn_calloc(held->nimages, sizeof *differences), total = 0;
	double *samples = frcnn_calloc((size_t)options->resamples, sizeof *samples);
	uint32_t *times = frcnn_calloc(held->nimages, sizeof *times);
	size_t nsamples = 0;
	int status = 0;

	if (!differences || !samples || !times) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < held->nimages; i++) {
		const struct frcnn_anchor_image *image = &held->images[i];

		for (size_t b = image->first; b < image->first + image->count; b++)
			differences[i] +=
			    value_of(after, options->objective, b) - value_of(before, options->objective, b);
		total += differences[i];
	}
	out->gain = total / (double)held->nboxes;
	for (int s = 0; s < options->resamples; s++) {
		double sum = 0, objects = 0;

		frcnn_eval_draw_images(options->seed, (size_t)s, held->nimages, times);
		for (size_t i = 0; i < held->nimages; i++) {
			sum += times[i] * differences[i];
			objects += (double)times[i] * (double)held->images[i].count;
		}
		if (objects > 0)
			samples[nsamples++] = sum / objects;
	}
	frcnn_anchor_sort(samples, nsamples);
	out->low = nsamples ? frcnn_anchor_quantile(samples, nsamples, 0.025) : out->gain;
	out->high = nsamples ? frcnn_anchor_quantile(samples, nsamples, 0.975) : out->gain;
	out->keep_default = !(out->low > 0);
out:
	free(differences);
	free(samples);
	free(times);
	return status;
}

static int compare_best(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *given,
			struct frcnn_pool *pool, struct frcnn_anchor_stats *before, struct frcnn_anchor_stats *after,
			struct frcnn_anchor_summary *old, struct frcnn_anchor_summary *new,
			const struct frcnn_anchor_config *fitted, struct frcnn_error *err)
{
	int status = frcnn_anchors_assign(boxes, given, pool, before, err);

	if (status == 0)
		status = frcnn_anchors_assign(boxes, fitted, pool, after, err);
	if (status == 0)
		status = frcnn_anchors_summarize(boxes, before, 0, old, err);
	if (status == 0)
		status = frcnn_anchors_summarize(boxes, after, 0, new, err);
	return status;
}

static int evaluate(const struct frcnn_anchor_boxes *seen, const struct frcnn_anchor_boxes *held,
		    const struct frcnn_anchor_config *given, struct frcnn_pool *pool, struct frcnn_anchor_fit *out,
		    struct frcnn_error *err)
{
	struct frcnn_anchor_stats before = {0}, after = {0};
	int status =
	    compare_best(seen, given, pool, &before, &after, &out->seen_before, &out->seen_after, &out->config, err);

	frcnn_anchor_stats_free(&before);
	frcnn_anchor_stats_free(&after);
	if (status == 0)
		status = compare_best(held, given, pool, &before, &after, &out->before, &out->after, &out->config, err);
	if (status == 0)
		status = bootstrap(held, &before, &after, out, err);
	if (status == 0) {
		out->best_before = before.best;
		out->best_after = after.best;
		before.best = after.best = NULL;
		qsort(out->best_before, held->nboxes, sizeof *out->best_before, compare_floats);
		qsort(out->best_after, held->nboxes, sizeof *out->best_after, compare_floats);
	}
	frcnn_anchor_stats_free(&before);
	frcnn_anchor_stats_free(&after);
	return status;
}

int frcnn_anchors_fit(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config,
		      const struct frcnn_anchor_fit_options *options, struct frcnn_pool *pool,
		      struct frcnn_anchor_fit *out, struct frcnn_error *err)
{
	struct frcnn_anchor_boxes seen = {0}, held = {0};
	struct fitting f = {.boxes = &seen, .options = options, .pool = pool, .state = options->seed};
	uint8_t *side = frcnn_calloc(boxes->nimages, sizeof *side);
	int status = 0;

	memset(out, 0, sizeof *out);
	out->options = *options;
	f.nratio_levels = options->per_level ? config->nlevels : 1;
	if (!side)
		status = frcnn_fail_nomem(err);
	if (status == 0)
		status = hold_out(boxes, options->seed, side, err);
	if (status == 0)
		status = frcnn_anchor_boxes_select(boxes, side, 0, &seen, err);
	if (status == 0)
		status = frcnn_anchor_boxes_select(boxes, side, 1, &held, err);
	if (status == 0 && (seen.nboxes == 0 || held.nboxes == 0))
		status = frcnn_fail(err, FRCNN_EINVAL,
				    "fitting needs objects in both halves of the images: %zu and %zu are there",
				    seen.nboxes, held.nboxes);
	if (status < 0)
		goto out;
	out->images = seen.nimages;
	out->boxes = seen.nboxes;
	out->held_images = held.nimages;
	out->held_boxes = held.nboxes;
	status = search(&f, config, &out->config, err);
	if (status == 0)
		status = evaluate(&seen, &held, config, pool, out, err);
out:
	free(side);
	frcnn_anchor_boxes_free(&seen);
	frcnn_anchor_boxes_free(&held);
	if (status < 0)
		frcnn_anchor_fit_free(out);
	return status;
}

void frcnn_anchor_fit_free(struct frcnn_anchor_fit *fit)
{
	if (!fit)
		return;
	free(fit->best_before);
	free(fit->best_after);
	memset(fit, 0, sizeof *fit);
}
