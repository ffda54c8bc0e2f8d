/* Which category is taken for which; eval.h names the reference. */
#include "eval/eval.h"

struct confusion_job {
	const struct frcnn_eval_truth *truth;
	const struct frcnn_eval_detections *detections;
	double iou;
	uint32_t *object_category, *detection_category;
	struct frcnn_eval_scored *items;   /* an image's detections by score */
	struct frcnn_eval_scored *objects; /* an image's objects by place in the file */
	uint8_t *taken;                    /* an object */
	size_t *matrix;
};

/* The free object that detection d overlaps most, by more than the threshold; SIZE_MAX: none. */
static size_t take(const struct confusion_job *job, uint32_t d, size_t nobjects)
{
	const struct frcnn_eval_truth *truth = job->truth;
	double best = job->iou;
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < nobjects; i++) {
		uint32_t g = job->objects[i].row;
		double iou;

		if (truth->crowd[g] || job->taken[g])
			continue;
		iou = frcnn_eval_iou(job->detections->bbox + (size_t)d * 4, truth->bbox + (size_t)g * 4, false);
		if (iou > best) {
			best = iou;
			found = g;
		}
	}
	return found;
}

static bool in_crowd(const struct confusion_job *job, uint32_t d, size_t nobjects)
{
	const struct frcnn_eval_truth *truth = job->truth;

	for (size_t i = 0; i < nobjects; i++) {
		uint32_t g = job->objects[i].row;

		if (truth->crowd[g] && job->object_category[g] == job->detection_category[d] &&
		    frcnn_eval_iou(job->detections->bbox + (size_t)d * 4, truth->bbox + (size_t)g * 4,
				   job->truth->crowd[g] == 1) > job->iou)
			return true;
	}
	return false;
}

/* ndetections sorted items, nobjects sorted objects */
static void count_image(const struct confusion_job *job, size_t ndetections, size_t nobjects)
{
	size_t background = job->truth->ncategories, side = background + 1;

	for (size_t i = 0; i < ndetections; i++) {
		uint32_t d = job->items[i].row;
		size_t g = take(job, d, nobjects), column = job->detection_category[d];

		if (g != SIZE_MAX) {
			job->taken[g] = 1;
			job->matrix[job->object_category[g] * side + column]++;
		} else if (!in_crowd(job, d, nobjects)) {
			job->matrix[background * side + column]++;
		}
	}
	for (size_t i = 0; i < nobjects; i++) {
		uint32_t g = job->objects[i].row;

		if (!job->truth->crowd[g] && !job->taken[g])
			job->matrix[job->object_category[g] * side + background]++;
	}
}

int frcnn_eval_confusion(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *detections,
			 double iou, double min_score, size_t **matrix, struct frcnn_error *err)
{
	struct confusion_job job = {.truth = truth, .detections = detections, .iou = iou};
	struct frcnn_eval_groups by_image = {0}, objects_by_image = {0};
	size_t side = truth->ncategories + 1, cells;
	int status = 0;

	*matrix = NULL;
	if (!(iou >= 0 && iou <= 1))
		return frcnn_fail(err, FRCNN_EINVAL, "IoU threshold %g is not in 0 .. 1", iou);
	if (!frcnn_mul_size(side, side, &cells))
		return frcnn_fail_nomem(err);
	job.object_category = frcnn_eval_row_categories(truth->category_first, truth->ncategories, truth->nobjects);
	job.detection_category =
	    frcnn_eval_row_categories(detections->category_first, truth->ncategories, detections->count);
	job.items = frcnn_calloc(detections->count, sizeof *job.items);
	job.objects = frcnn_calloc(truth->nobjects, sizeof *job.objects);
	job.taken = frcnn_calloc(truth->nobjects, sizeof *job.taken);
	job.matrix = frcnn_calloc(cells, sizeof *job.matrix);
	if (!job.object_category || !job.detection_category || !job.items || !job.objects || !job.taken ||
	    !job.matrix || frcnn_eval_group(detections->image, detections->count, truth->nimages, &by_image) ||
	    frcnn_eval_group(truth->image, truth->nobjects, truth->nimages, &objects_by_image)) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t image = 0; image < truth->nimages; image++) {
		size_t n = 0, m = 0;

		for (size_t i = by_image.first[image]; i < by_image.first[image + 1]; i++) {
			uint32_t d = by_image.rows[i];

			if (detections->score[d] > min_score)
				job.items[n++] =
				    (struct frcnn_eval_scored){detections->score[d], detections->order[d], d};
		}
		for (size_t i = objects_by_image.first[image]; i < objects_by_image.first[image + 1]; i++) {
			uint32_t g = objects_by_image.rows[i];

			job.objects[m++] = (struct frcnn_eval_scored){0, truth->order[g], g};
		}
		frcnn_eval_sort(job.items, n);
		frcnn_eval_sort(job.objects, m);
		count_image(&job, n, m);
	}
	*matrix = job.matrix;
	job.matrix = NULL;
out:
	free(job.object_category);
	free(job.detection_category);
	free(job.items);
	free(job.objects);
	free(job.taken);
	free(job.matrix);
	frcnn_eval_groups_free(&by_image);
	frcnn_eval_groups_free(&objects_by_image);
	return status;
}
