/*
 * Two runs on the same images: is a difference of AP more than chance? The paired bootstrap over images: both runs are
 * evaluated on the same images drawn with replacement, many times over (Efron and Tibshirani 1993, chapter 13: the
 * percentile interval).
 *
 * An image's matches do not depend on which other images are there, so matching is done once a threshold; a resample
 * only walks the sorted detections with each image's multiplicity as weight. What comes out is what an evaluation of
 * the list of images with its repetitions (copies beside each other) would give.
 */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One run, matched: detections by category, in descending score over all images (ties by image, then rank). */
struct run {
	size_t *first; /* K + 1 */
	uint32_t *image;
	uint32_t *hits;    /* bit t: true at threshold t */
	uint32_t *ignored; /* bit t: neither true nor false at threshold t */
	uint8_t *tied;     /* same image and score as the one before */
};

struct point {
	uint32_t hits, all; /* true ones so far, true and false ones so far */
};

/* What one worker needs. */
struct work {
	uint32_t *times; /* how often each image was drawn */
	size_t capacity;
	struct point *points; /* T times capacity */
	double *precision;    /* capacity */
	double *ap[2];        /* K * T a run; -1: undefined */
	bool failed;          /* memory was refused */
};

struct comparison {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_options *options;
	struct run runs[2];
	uint64_t seed;
	struct work *works;
	double *samples; /* (3 + K) by resample: differences, NaN where undefined */
	size_t resamples;
};

/* ---- matching, once ------------------------------------------------------------------------------------------------
 */

static void run_free(struct run *run)
{
	free(run->first);
	free(run->image);
	free(run->hits);
	free(run->ignored);
	free(run->tied);
}

/* Sorts each category; entries beyond max_dets of their image take no part. */
static void sort_run(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		     const uint32_t *hits, const uint32_t *ignored, const uint8_t *left_out,
		     struct frcnn_eval_scored *entries, struct run *run)
{
	size_t n = 0;

	for (size_t k = 0; k < truth->ncategories; k++) {
		size_t count = 0;

		run->first[k] = n;
		for (size_t i = detections->category_first[k]; i < detections->category_first[k + 1]; i++) {
			if (!left_out[i])
				entries[count++] =
				    (struct frcnn_eval_scored){.score = detections->score[i], .row = (uint32_t)i};
		}
		frcnn_eval_sort(entries, count);
		for (size_t j = 0; j < count; j++) {
			size_t i = entries[j].row;

			run->image[n] = detections->image[i];
			run->hits[n] = hits[i];
			run->ignored[n] = ignored[i];
			run->tied[n] =
			    j > 0 && run->image[n - 1] == run->image[n] && entries[j - 1].score == entries[j].score;
			n++;
		}
	}
	run->first[truth->ncategories] = n;
}

static int run_make(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
		    const struct frcnn_eval_options *options, struct frcnn_pool *pool, struct run *run,
		    struct frcnn_error *err)
{
	size_t count = detections->count;
	uint32_t *hits = frcnn_calloc(count, sizeof *hits), *ignored = frcnn_calloc(count, sizeof *ignored);
	uint8_t *left_out = frcnn_calloc(count, sizeof *left_out);
	struct frcnn_eval_scored *entries = frcnn_calloc(count, sizeof *entries);
	struct frcnn_eval_matches matches = {0};
	int status = 0;

	run->first = frcnn_calloc(truth->ncategories + 1, sizeof *run->first);
	run->image = frcnn_calloc(count, sizeof *run->image);
	run->hits = frcnn_calloc(count, sizeof *run->hits);
	run->ignored = frcnn_calloc(count, sizeof *run->ignored);
	run->tied = frcnn_calloc(count, sizeof *run->tied);
	if (!hits || !ignored || !left_out || !entries || !run->first || !run->image || !run->hits || !run->ignored ||
	    !run->tied) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (int t = 0; t < options->nious; t++) {
		status = frcnn_eval_match(truth, detections, options->ious[t],
					  options->max_dets[options->nmax_dets - 1], pool, &matches, err);
		if (status < 0)
			goto out;
		for (size_t i = 0; i < count; i++) {
			if (matches.detection[i] == FRCNN_MATCH_TRUE)
				hits[i] |= UINT32_C(1) << t;
			else if (matches.detection[i] == FRCNN_MATCH_IGNORED)
				ignored[i] |= UINT32_C(1) << t;
			else if (matches.detection[i] == FRCNN_MATCH_LEFT_OUT)
				left_out[i] = 1;
		}
		frcnn_eval_matches_free(&matches);
	}
	sort_run(truth, detections, hits, ignored, left_out, entries, run);
out:
	free(hits);
	free(ignored);
	free(left_out);
	free(entries);
	return status;
}

/* ---- one resample
 * ------------------------------------------------------------------------------------------------------ */

/* Counts one detection `times` times at every threshold; a point where it is true. Copies of a true one only raise
 * precision, so the point behind the last of them is the one that the envelope keeps. */
static void count_one(const struct run *run, size_t i, uint32_t times, int T, struct point *totals, struct work *work,
		      size_t *npoints)
{
	for (int t = 0; t < T; t++) {
		if (run->ignored[i] >> t & 1)
			continue;
		totals[t].all += times;
		if (run->hits[i] >> t & 1) {
			totals[t].hits += times;
			work->points[(size_t)t * work->capacity + npoints[t]++] = totals[t];
		}
	}
}

/* Mean of the precision at the 101 recalls, as pycocotools accumulates it. */
static double average_precision(const struct point *points, size_t count, double objects, double *precision)
{
	double sum = 0, highest = 0;
	size_t j = 0;

	for (size_t i = count; i-- > 0;) {
		double p = points[i].hits / ((double)points[i].all + 0x1p-52);

		if (p > highest)
			highest = p;
		precision[i] = highest;
	}
	for (int r = 0; r < FRCNN_EVAL_RECALLS; r++) {
		while (j < count && points[j].hits / objects < r * 0.01)
			j++;
		if (j == count)
			break;
		sum += precision[j];
	}
	return sum / FRCNN_EVAL_RECALLS;
}

static void reserve(struct work *work, size_t needed, int T)
{
	struct point *points;
	double *precision;

	if (needed <= work->capacity)
		return;
	needed += needed / 2;
	points = frcnn_calloc(needed, (size_t)T * sizeof *points);
	precision = frcnn_calloc(needed, sizeof *precision);
	if (!points || !precision) {
		free(points);
		free(precision);
		work->failed = true;
		return;
	}
	free(work->points);
	free(work->precision);
	work->points = points;
	work->precision = precision;
	work->capacity = needed;
}

/* No category has more points than detections, each as often as its image. */
static void accumulate(const struct comparison *c, const struct run *run, struct work *work, double *ap)
{
	const struct frcnn_eval_truth *truth = c->truth;
	int T = c->options->nious;

	for (size_t k = 0; k < truth->ncategories; k++) {
		struct point totals[FRCNN_EVAL_MAX_IOUS] = {0};
		size_t npoints[FRCNN_EVAL_MAX_IOUS] = {0}, last = run->first[k + 1];
		size_t needed = 0;
		double objects = 0;

		for (size_t i = run->first[k]; i < last; i++)
			needed += work->times[run->image[i]];
		reserve(work, needed, T);
		if (work->failed)
			return;
		for (size_t g = truth->category_first[k]; g < truth->category_first[k + 1]; g++)
			objects += frcnn_eval_ignored(truth, g) ? 0 : work->times[truth->image[g]];
		for (size_t i = run->first[k], next; i < last && objects > 0; i = next) {
			uint32_t times = work->times[run->image[i]];

			for (next = i + 1; next < last && run->tied[next];)
				next++;
			if (next == i + 1) {
				if (times > 0)
					count_one(run, i, times, T, totals, work, npoints);
				continue;
			}
			/* equal scores in one image: the copies of the image follow each other, not those of each
			 * detection */
			for (uint32_t copy = 0; copy < times; copy++) {
				for (size_t j = i; j < next; j++)
					count_one(run, j, 1, T, totals, work, npoints);
			}
		}
		for (int t = 0; t < T; t++)
			ap[k * (size_t)T + (size_t)t] =
			    objects <= 0      ? -1
			    : npoints[t] == 0 ? 0
					      : average_precision(work->points + (size_t)t * work->capacity, npoints[t],
								  objects, work->precision);
	}
}

static int threshold_index(const struct frcnn_eval_options *options, double iou)
{
	for (int t = 0; t < options->nious; t++) {
		if (fabs(options->ious[t] - iou) < 1e-9)
			return t;
	}
	return -1;
}

/* Mean over categories with objects and thresholds first .. last; -1: none. */
static double mean_ap(const double *ap, size_t K, int T, int first, int last)
{
	double sum = 0;
	size_t count = 0;

	for (size_t k = 0; k < K; k++) {
		for (int t = first; t <= last; t++) {
			double value = ap[k * (size_t)T + (size_t)t];

			if (value > -1) {
				sum += value;
				count++;
			}
		}
	}
	return count > 0 ? sum / (double)count : -1;
}

/* Metric m of the 3 + K. */
static double metric(const struct comparison *c, const double *ap, size_t m)
{
	int T = c->options->nious, t;

	if (m == 0)
		return mean_ap(ap, c->truth->ncategories, T, 0, T - 1);
	if (m < 3) {
		t = threshold_index(c->options, m == 1 ? 0.5 : 0.75);
		return t < 0 ? -1 : mean_ap(ap, c->truth->ncategories, T, t, t);
	}
	return mean_ap(ap + (m - 3) * (size_t)T, 1, T, 0, T - 1);
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

void frcnn_eval_draw_images(uint64_t seed, size_t index, size_t nimages, uint32_t *times)
{
	uint64_t state = seed, n = nimages, uneven;

	memset(times, 0, nimages * sizeof *times);
	if (nimages == 0)
		return;
	state = next_random(&state) ^ (uint64_t)index * UINT64_C(0xD1B54A32D192ED03);
	uneven = (UINT64_C(0) - n) % n; /* the first 2^64 mod n numbers would favour some images */
	for (size_t i = 0; i < nimages; i++) {
		uint64_t number;

		do {
			number = next_random(&state);
		} while (number < uneven);
		times[number % n]++;
	}
}

static void resample(void *context, size_t index, int worker)
{
	struct comparison *c = context;
	struct work *work = &c->works[worker];
	size_t nmetrics = 3 + c->truth->ncategories;

	if (work->failed)
		return;
	frcnn_eval_draw_images(c->seed, index, c->truth->nimages, work->times);
	for (int side = 0; side < 2; side++)
		accumulate(c, &c->runs[side], work, work->ap[side]);
	for (size_t m = 0; m < nmetrics; m++) {
		double ours = metric(c, work->ap[0], m), baseline = metric(c, work->ap[1], m);

		c->samples[m * c->resamples + index] = ours > -1 && baseline > -1 ? ours - baseline : NAN;
	}
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Between the two nearest ranks, linearly. */
static double quantile(const double *sorted, size_t count, double q)
{
	double place = q * (double)(count - 1);
	size_t i = (size_t)place;

	if (i + 1 >= count)
		return sorted[count - 1];
	return sorted[i] + (place - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* Resamples in which the metric is undefined are left out. */
static void interval(double *samples, size_t count, struct frcnn_eval_difference *out)
{
	size_t defined = 0;

	for (size_t i = 0; i < count; i++) {
		if (!isnan(samples[i]))
			samples[defined++] = samples[i];
	}
	if (defined == 0)
		return;
	qsort(samples, defined, sizeof *samples, compare_doubles);
	out->low = quantile(samples, defined, 0.025);
	out->high = quantile(samples, defined, 0.975);
}

static void work_free(struct work *work)
{
	free(work->times);
	free(work->points);
	free(work->precision);
	free(work->ap[0]);
	free(work->ap[1]);
}

static int work_make(const struct comparison *c, struct work *work)
{
	size_t cells = c->truth->ncategories * (size_t)c->options->nious;

	work->times = frcnn_calloc(c->truth->nimages, sizeof *work->times);
	work->ap[0] = frcnn_calloc(cells, sizeof *work->ap[0]);
	work->ap[1] = frcnn_calloc(cells, sizeof *work->ap[1]);
	return work->times && work->ap[0] && work->ap[1] ? 0 : FRCNN_ENOMEM;
}

static int compare_selected(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *ours,
			    const struct frcnn_eval_detections *baseline, const struct frcnn_eval_options *options,
			    int resamples, uint64_t seed, struct frcnn_pool *pool, struct frcnn_eval_difference *out,
			    struct frcnn_error *err)
{
	struct comparison c = {.truth = truth, .options = options, .seed = seed, .resamples = (size_t)resamples};
	int nworkers = frcnn_pool_threads(pool), status;
	size_t nmetrics = 3 + truth->ncategories;

	c.works = frcnn_calloc((size_t)nworkers, sizeof *c.works);
	c.samples = frcnn_calloc(nmetrics * c.resamples, sizeof *c.samples);
	if (!c.works || !c.samples) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (int side = 0; side < 2; side++) {
		status = run_make(truth, side ? baseline : ours, options, pool, &c.runs[side], err);
		if (status < 0)
			goto out;
	}
	for (int w = 0; w < nworkers; w++) {
		if (work_make(&c, &c.works[w]) < 0) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
	}
	for (size_t i = 0; i < truth->nimages; i++)
		c.works[0].times[i] = 1;
	for (int side = 0; side < 2; side++)
		accumulate(&c, &c.runs[side], &c.works[0], c.works[0].ap[side]);
	for (size_t m = 0; m < nmetrics; m++) {
		out[m] = (struct frcnn_eval_difference){.ours = metric(&c, c.works[0].ap[0], m),
							.baseline = metric(&c, c.works[0].ap[1], m)};
		out[m].difference = out[m].ours > -1 && out[m].baseline > -1 ? out[m].ours - out[m].baseline : -1;
	}
	if (c.resamples > 0 && truth->nimages > 0)
		frcnn_pool_run(pool, c.resamples, resample, &c);
	for (int w = 0; w < nworkers; w++) {
		if (c.works[w].failed) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
	}
	for (size_t m = 0; m < nmetrics && truth->nimages > 0; m++)
		interval(c.samples + m * c.resamples, c.resamples, &out[m]);
out:
	for (int w = 0; c.works && w < nworkers; w++)
		work_free(&c.works[w]);
	free(c.works);
	free(c.samples);
	run_free(&c.runs[0]);
	run_free(&c.runs[1]);
	return status;
}

int frcnn_eval_compare(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *ours,
		       const struct frcnn_eval_detections *baseline, const struct frcnn_eval_options *options,
		       int resamples, uint64_t seed, struct frcnn_pool *pool, struct frcnn_eval_difference *out,
		       struct frcnn_error *err)
{
	struct frcnn_eval_truth selected = {0};
	struct frcnn_eval_detections sides[2] = {0};
	int status;

	if (options->nious < 1 || options->nious > FRCNN_EVAL_MAX_IOUS || options->nmax_dets < 1 || resamples < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "nothing to compare");
	if (truth->nimages > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "%zu images are too many to compare", truth->nimages);
	if (!options->categories && !options->agnostic)
		return compare_selected(truth, ours, baseline, options, resamples, seed, pool, out, err);
	status = frcnn_eval_truth_select(truth, options->categories, options->agnostic, &selected, err);
	if (status == 0)
		status =
		    frcnn_eval_detections_select(ours, truth, options->categories, options->agnostic, &sides[0], err);
	if (status == 0)
		status = frcnn_eval_detections_select(baseline, truth, options->categories, options->agnostic,
						      &sides[1], err);
	if (status == 0)
		status = compare_selected(&selected, &sides[0], &sides[1], options, resamples, seed, pool, out, err);
	frcnn_eval_detections_free(&sides[0]);
	frcnn_eval_detections_free(&sides[1]);
	frcnn_eval_truth_free(&selected);
	return status;
}
