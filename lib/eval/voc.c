/* Average precision by the Pascal VOC devkit's rules; eval.h names the reference. */
#include "eval/eval.h"

enum fate { FALSE_POSITIVE, TRUE_POSITIVE, DIFFICULT };

#define ELEVEN 11

struct voc_job {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_detections *detections;
	double iou;
	struct frcnn_eval_scored *items; /* a category's detections by score */
	uint8_t *taken;                  /* an object: found by an earlier detection */
	double *precision, *recall;      /* of a category, in order of score */
};

/* The object in g .. g_end - 1 that detection d overlaps most, or SIZE_MAX when none reaches the threshold. */
static size_t best_object(const struct voc_job *job, size_t d, size_t g, size_t g_end)
{
	double best = -1;
	size_t found = SIZE_MAX;

	for (; g < g_end; g++) {
		double iou = frcnn_eval_iou(job->detections->bbox + d * 4, job->truth->bbox + g * 4, false);

		if (iou > best) {
			best = iou;
			found = g;
		}
	}
	return best >= job->iou ? found : SIZE_MAX;
}

/* Where the objects of an image start: the first of first .. end - 1 with an image >= this one. */
static size_t image_start(const struct frcnn_eval_truth *truth, size_t first, size_t end, uint32_t image)
{
	while (first < end) {
		size_t middle = first + (end - first) / 2;

		if (truth->image[middle] < image)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

static enum fate judge(const struct voc_job *job, size_t k, size_t d)
{
	const struct frcnn_eval_truth *truth = job->truth;
	uint32_t image = job->detections->image[d];
	size_t end = truth->category_first[k + 1];
	size_t g = image_start(truth, truth->category_first[k], end, image), g_end = g, best;

	while (g_end < end && truth->image[g_end] == image)
		g_end++;
	best = best_object(job, d, g, g_end);
	if (best == SIZE_MAX)
		return FALSE_POSITIVE;
	if (truth->crowd[best])
		return DIFFICULT;
	if (job->taken[best])
		return FALSE_POSITIVE;
	job->taken[best] = 1;
	return TRUE_POSITIVE;
}

/* The mean of the best precision at recall >= 0, .1, ... 1 */
static double eleven_points(const struct voc_job *job, size_t count)
{
	double sum = 0, best = 0;
	size_t i = count;

	for (int point = ELEVEN - 1; point >= 0; point--) {
		double recall = point == ELEVEN - 1 ? 1 : point * 0.1; /* linspace: 3 * 0.1 is not 0.3 */

		for (; i > 0 && job->recall[i - 1] >= recall; i--)
			if (job->precision[i - 1] > best)
				best = job->precision[i - 1];
		sum += best / ELEVEN;
	}
	return sum;
}

/* The area under the envelope: the best precision from each recall on. */
static double all_points(const struct voc_job *job, size_t count)
{
	double sum = 0, best = 0;

	for (size_t i = count; i > 0; i--) {
		double before = i > 1 ? job->recall[i - 2] : 0;

		if (job->precision[i - 1] > best)
			best = job->precision[i - 1];
		sum += (job->recall[i - 1] - before) * best;
	}
	return sum;
}

static double category_ap(const struct voc_job *job, size_t k, bool eleven)
{
	const struct frcnn_eval_detections *detections = job->detections;
	size_t first = detections->category_first[k], count = detections->category_first[k + 1] - first;
	size_t objects = 0, tp = 0, fp = 0;

	for (size_t g = job->truth->category_first[k]; g < job->truth->category_first[k + 1]; g++)
		objects += !job->truth->crowd[g];
	if (!objects)
		return -1;
	for (size_t i = 0; i < count; i++) {
		uint32_t row = (uint32_t)(first + i);

		job->items[i] = (struct frcnn_eval_scored){detections->score[row], row, row};
	}
	frcnn_eval_sort(job->items, count);
	for (size_t i = 0; i < count; i++) {
		enum fate fate = judge(job, k, job->items[i].row);

		tp += fate == TRUE_POSITIVE;
		fp += fate == FALSE_POSITIVE;
		job->precision[i] = tp ? (double)tp / (double)(tp + fp) : 0;
		job->recall[i] = (double)tp / (double)objects;
	}
	return eleven ? eleven_points(job, count) : all_points(job, count);
}

int frcnn_eval_voc(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections, double iou,
		   bool eleven, struct frcnn_eval_voc *out, struct frcnn_error *err)
{
	struct voc_job job = {.truth = truth, .detections = detections, .iou = iou};
	size_t most = 0, defined = 0;
	double sum = 0;
	int status = 0;

	memset(out, 0, sizeof *out);
	if (!(iou > 0 && iou <= 1))
		return frcnn_fail(err, FRCNN_EINVAL, "IoU threshold %g is not above 0 and at most 1", iou);
	for (size_t k = 0; k < truth->ncategories; k++) {
		size_t count = detections->category_first[k + 1] - detections->category_first[k];

		most = count > most ? count : most;
	}
	out->ap = frcnn_calloc(truth->ncategories, sizeof *out->ap);
	job.items = frcnn_calloc(most, sizeof *job.items);
	job.taken = frcnn_calloc(truth->nobjects, sizeof *job.taken);
	job.precision = frcnn_calloc(most, sizeof *job.precision);
	job.recall = frcnn_calloc(most, sizeof *job.recall);
	if (!out->ap || !job.items || !job.taken || !job.precision || !job.recall) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t k = 0; k < truth->ncategories; k++) {
		out->ap[k] = category_ap(&job, k, eleven);
		if (out->ap[k] < 0)
			continue;
		sum += out->ap[k];
		defined++;
	}
	out->mean = defined ? sum / (double)defined : -1;
out:
	free(job.items);
	free(job.taken);
	free(job.precision);
	free(job.recall);
	if (status)
		frcnn_eval_voc_free(out);
	return status;
}

void frcnn_eval_voc_free(struct frcnn_eval_voc *voc)
{
	if (!voc)
		return;
	free(voc->ap);
	memset(voc, 0, sizeof *voc);
}
