/* What a score threshold does: operating points, the best threshold, recall by size, background, tied scores. */
#include "eval/eval.h"

#include <math.h>

/* Rows of category k, or all for -1. */
static void range(const size_t *category_first, size_t ncategories, int k, size_t *first, size_t *end)
{
	*first = k < 0 ? 0 : category_first[k];
	*end = k < 0 ? category_first[ncategories] : category_first[k + 1];
}

static size_t count_objects(const struct frcnn_eval_truth *truth, int k)
{
	size_t first, end, count = 0;

	range(truth->category_first, truth->ncategories, k, &first, &end);
	for (size_t g = first; g < end; g++)
		count += !frcnn_eval_ignored(truth, g);
	return count;
}

static bool judged(const struct frcnn_eval_matches *matches, size_t d)
{
	return matches->detection[d] == FRCNN_MATCH_TRUE || matches->detection[d] == FRCNN_MATCH_FALSE;
}

static struct frcnn_eval_operating operating(size_t objects, size_t kept, size_t right)
{
	return (struct frcnn_eval_operating){
	    .objects = objects,
	    .detections = kept,
	    .precision = kept ? (double)right / (double)kept : -1,
	    .recall = objects ? (double)right / (double)objects : -1,
	    .f1 = objects ? 2.0 * (double)right / (double)(objects + kept) : -1,
	};
}

struct frcnn_eval_operating frcnn_eval_at_score(const struct frcnn_eval_truth *truth,
						const struct frcnn_eval_detections *detections,
						const struct frcnn_eval_matches *matches, double threshold, int k)
{
	size_t first, end, kept = 0, right = 0;

	range(detections->category_first, truth->ncategories, k, &first, &end);
	for (size_t d = first; d < end; d++) {
		if (!judged(matches, d) || !(detections->score[d] > threshold))
			continue;
		kept++;
		right += matches->detection[d] == FRCNN_MATCH_TRUE;
	}
	return operating(count_objects(truth, k), kept, right);
}

/* The shortest decimal number with below <= it < above. */
static double short_between(double below, double above)
{
	double middle = below + (above - below) / 2;

	for (int digits = 0; digits < 17; digits++) {
		char text[40];
		double value;
		int length = snprintf(text, sizeof text, "%.*e", digits, middle);

		if (!frcnn_parse_double(text, (size_t)length, &value) && below <= value && value < above)
			return value;
	}
	return below;
}

/* Whether a is nearer to the goal than b, which is not found or has a higher score. */
static bool better(enum frcnn_eval_goal goal, double wanted, struct frcnn_eval_operating a,
		   const struct frcnn_eval_threshold *b)
{
	switch (goal) {
	case FRCNN_EVAL_BEST_F1:
		return a.f1 > b->f1;
	case FRCNN_EVAL_MIN_PRECISION:
		return a.precision >= wanted && a.recall > b->recall;
	case FRCNN_EVAL_MIN_RECALL:
		return a.recall >= wanted && a.precision > b->precision;
	}
	return false;
}

int frcnn_eval_best_score(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_matches *matches, enum frcnn_eval_goal goal, double wanted, int k,
			  struct frcnn_eval_threshold *out, struct frcnn_error *err)
{
	size_t objects = count_objects(truth, k), first, end, count = 0, right = 0, place = 0;
	struct frcnn_eval_scored *items;

	*out = (struct frcnn_eval_threshold){false, -1, -1, -1, -1, -1};
	range(detections->category_first, truth->ncategories, k, &first, &end);
	items = frcnn_calloc(end - first, sizeof *items);
	if (!items)
		return frcnn_fail_nomem(err);
	for (size_t d = first; d < end && objects; d++)
		if (judged(matches, d) && !isnan(detections->score[d]))
			items[count++] = (struct frcnn_eval_scored){detections->score[d], 0, (uint32_t)d};
	frcnn_eval_sort(items, count);
	for (size_t i = 0; i < count; i++) {
		struct frcnn_eval_operating here;

		right += matches->detection[items[i].row] == FRCNN_MATCH_TRUE;
		if (i + 1 < count && items[i + 1].score == items[i].score)
			continue; /* no threshold tells them apart */
		here = operating(objects, i + 1, right);
		if (!better(goal, wanted, here, out))
			continue;
		*out = (struct frcnn_eval_threshold){true, items[i].score, 0, here.precision, here.recall, here.f1};
		place = i + 1;
	}
	if (out->found) {
		double below = nextafter(out->score, -INFINITY);

		/* What has the next score stays out; without any, 0 does where scores are positive. */
		if (place < count)
			below = items[place].score;
		else if (out->score > 0)
			below = 0;
		out->cut = short_between(below, out->score);
	}
	free(items);
	return 0;
}

double frcnn_eval_size_recall(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			      const struct frcnn_eval_matches *matches, double low, double high, int k)
{
	size_t first, end, objects = 0, found = 0;

	(void)detections;
	range(truth->category_first, truth->ncategories, k, &first, &end);
	for (size_t g = first; g < end; g++) {
		int64_t d = matches->detected[g];

		if (frcnn_eval_ignored(truth, g) || truth->area[g] < low || truth->area[g] > high)
			continue;
		objects++;
		/* Within a category ranks follow the order of matching: those of the first 100 matched among
		 * themselves. */
		found += d >= 0 && matches->rank[d] < FRCNN_EVAL_RECALL_DETS;
	}
	return objects ? (double)found / (double)objects : -1;
}

int frcnn_eval_background(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_matches *matches, double min_score, struct frcnn_eval_background *out,
			  struct frcnn_error *err)
{
	uint8_t *occupied = frcnn_calloc(truth->nimages, sizeof *occupied);
	size_t total = 0;

	memset(out, 0, sizeof *out);
	if (!occupied)
		return frcnn_fail_nomem(err);
	for (size_t g = 0; g < truth->nobjects; g++)
		occupied[truth->image[g]] = 1;
	for (size_t i = 0; i < truth->nimages; i++)
		out->images += !occupied[i];
	for (size_t k = 0; k < truth->ncategories; k++) {
		bool absent = count_objects(truth, (int)k) == 0;

		for (size_t d = detections->category_first[k]; d < detections->category_first[k + 1]; d++) {
			if (matches->detection[d] != FRCNN_MATCH_FALSE || !(detections->score[d] > min_score))
				continue;
			total++;
			out->false_positives += !occupied[detections->image[d]];
			out->absent_detections += absent;
		}
	}
	out->fp_per_image = truth->nimages ? (double)total / (double)truth->nimages : -1;
	out->fp_per_background_image = out->images ? (double)out->false_positives / (double)out->images : -1;
	free(occupied);
	return 0;
}

int frcnn_eval_tied_scores(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			   double *share, struct frcnn_error *err)
{
	struct frcnn_eval_scored *items = frcnn_calloc(detections->count, sizeof *items);
	size_t tied = 0;

	*share = -1;
	if (!items)
		return frcnn_fail_nomem(err);
	for (size_t k = 0; k < truth->ncategories; k++) {
		size_t first = detections->category_first[k], end = detections->category_first[k + 1];

		for (size_t d = first; d < end; d++)
			items[d] = (struct frcnn_eval_scored){detections->score[d], 0, (uint32_t)d};
		frcnn_eval_sort(items + first, end - first);
		for (size_t i = first; i < end; i++)
			tied += (i > first && items[i - 1].score == items[i].score) ||
				(i + 1 < end && items[i + 1].score == items[i].score);
	}
	if (detections->count)
		*share = (double)tied / (double)detections->count;
	free(items);
	return 0;
}
