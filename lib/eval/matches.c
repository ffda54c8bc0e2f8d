/* Detections matched to objects at one IoU threshold: pycocotools' evaluateImg for the area range "all". */
#include "eval/eval.h"

/* pycocotools' areaRng[0] */
static const double all_low = 0, all_high = 1e10;

static bool outside(double area)
{
	return area < all_low || area > all_high;
}

bool frcnn_eval_ignored(const struct frcnn_eval_truth *truth, size_t object)
{
	return truth->crowd[object] || outside(truth->area[object]);
}

struct match_job {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_detections *detections;
	struct frcnn_eval_matches *matches;
	double iou;
	size_t max_dets;
	uint32_t *order; /* objects; each image's in matching order */
	struct frcnn_eval_groups images;
	struct frcnn_eval_scored *items; /* detections by image */
};

/* One image and category: detections d_first .. d_end - 1, objects g_first .. g_end - 1. */
static void match_image(const struct match_job *job, size_t d_first, size_t d_end, size_t g_first, size_t g_end)
{
	const struct frcnn_eval_truth *truth = job->truth;
	const double *bbox = job->detections->bbox;
	struct frcnn_eval_matches *matches = job->matches;
	uint32_t *order = job->order + g_first;
	size_t count = g_end - g_first, n = 0, wanted = 0;

	/* Objects that count come first, ignored ones after them. */
	for (int ignored = 0; ignored < 2; ignored++) {
		for (size_t g = g_first; g < g_end; g++)
			if (frcnn_eval_ignored(truth, g) == (ignored == 1))
				order[n++] = (uint32_t)g;
		if (!ignored)
			wanted = n;
	}
	for (size_t d = d_first; d < d_end; d++) {
		/* pycocotools starts here, so that a threshold of 1 can be reached */
		double best = job->iou < 1 - 1e-10 ? job->iou : 1 - 1e-10;
		size_t m = SIZE_MAX;

		if (d - d_first >= job->max_dets) {
			matches->detection[d] = FRCNN_MATCH_LEFT_OUT;
			continue;
		}
		for (size_t i = 0; i < count; i++) {
			size_t g = order[i];
			double iou;

			if (matches->detected[g] >= 0 && !truth->crowd[g])
				continue;
			if (m < wanted && i >= wanted)
				break;
			iou = frcnn_eval_iou(bbox + d * 4, truth->bbox + g * 4, truth->crowd[g] == 1);
			if (iou < best) /* not >=: a NaN matches, as there */
				continue;
			best = iou;
			m = i;
		}
		if (m == SIZE_MAX) {
			bool odd = outside(bbox[d * 4 + 2] * bbox[d * 4 + 3]);

			matches->detection[d] = odd ? FRCNN_MATCH_IGNORED : FRCNN_MATCH_FALSE;
			continue;
		}
		matches->detection[d] = m < wanted ? FRCNN_MATCH_TRUE : FRCNN_MATCH_IGNORED;
		matches->object[d] = order[m];
		matches->iou[d] = best;
		matches->detected[order[m]] = (int64_t)d;
	}
}

static void match_category(void *context, size_t k, int worker)
{
	const struct match_job *job = context;
	const struct frcnn_eval_detections *detections = job->detections;
	const struct frcnn_eval_truth *truth = job->truth;
	size_t d = detections->category_first[k], d_end = detections->category_first[k + 1];
	size_t g = truth->category_first[k], g_end = truth->category_first[k + 1];

	(void)worker;
	while (d < d_end) {
		uint32_t image = detections->image[d];
		size_t d_next = d, g_next;

		while (d_next < d_end && detections->image[d_next] == image)
			d_next++;
		while (g < g_end && truth->image[g] < image)
			g++;
		g_next = g;
		while (g_next < g_end && truth->image[g_next] == image)
			g_next++;
		match_image(job, d, d_next, g, g_next);
		d = d_next;
		g = g_next;
	}
}

/* Places of an image's detections over all categories. */
static void rank_image(void *context, size_t image, int worker)
{
	const struct match_job *job = context;
	size_t first = job->images.first[image], end = job->images.first[image + 1];

	(void)worker;
	for (size_t i = first; i < end; i++) {
		uint32_t d = job->images.rows[i];

		job->items[i] = (struct frcnn_eval_scored){job->detections->score[d], job->detections->order[d], d};
	}
	frcnn_eval_sort(job->items + first, end - first);
	for (size_t i = first; i < end; i++)
		job->matches->rank[job->items[i].row] = (uint32_t)(i - first);
}

int frcnn_eval_match(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		     int max_dets, struct frcnn_pool *pool, struct frcnn_eval_matches *out, struct frcnn_error *err)
{
	struct match_job job = {.truth = truth, .detections = detections, .matches = out, .iou = iou};
	size_t count = detections->count;
	int status = 0;

	memset(out, 0, sizeof *out);
	if (!(iou >= 0 && iou <= 1))
		return frcnn_fail(err, FRCNN_EINVAL, "IoU threshold %g is not in 0 .. 1", iou);
	if (max_dets < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "%d detections an image at the most", max_dets);
	job.max_dets = (size_t)max_dets;
	job.order = frcnn_calloc(truth->nobjects, sizeof *job.order);
	job.items = frcnn_calloc(count, sizeof *job.items);
	out->detection = frcnn_calloc(count, sizeof *out->detection);
	out->object = frcnn_calloc(count, sizeof *out->object);
	out->detected = frcnn_calloc(truth->nobjects, sizeof *out->detected);
	out->iou = frcnn_calloc(count, sizeof *out->iou);
	out->rank = frcnn_calloc(count, sizeof *out->rank);
	if (!job.order || !job.items || !out->detection || !out->object || !out->detected || !out->iou || !out->rank ||
	    frcnn_eval_group(detections->image, count, truth->nimages, &job.images)) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		out->object[i] = -1;
	for (size_t i = 0; i < truth->nobjects; i++)
		out->detected[i] = -1;
	frcnn_pool_run(pool, truth->ncategories, match_category, &job);
	frcnn_pool_run(pool, truth->nimages, rank_image, &job);
out:
	free(job.order);
	free(job.items);
	frcnn_eval_groups_free(&job.images);
	if (status)
		frcnn_eval_matches_free(out);
	return status;
}

void frcnn_eval_matches_free(struct frcnn_eval_matches *matches)
{
	if (!matches)
		return;
	free(matches->detection);
	free(matches->object);
	free(matches->detected);
	free(matches->iou);
	free(matches->rank);
	memset(matches, 0, sizeof *matches);
}
