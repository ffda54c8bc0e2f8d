#include "detect/detect.h"

struct label_job {
	const float *boxes;     /* grouped by label, in rank order within */
	const uint32_t *source; /* grouped position -> position in rank order */
	const size_t *start;    /* where each label's group begins; nlabels + 1 of them */
	double threshold;
	size_t limit;
	uint32_t *kept;
	float *scratch;
	uint8_t *keep;
};

static void suppress_label(void *context, size_t label, int worker)
{
	(void)worker;
	const struct label_job *job = context;
	size_t first = job->start[label], count = job->start[label + 1] - first;
	if (count == 0)
		return;
	/* FRCNN_NMS_SCRATCH of each label, one behind the other. */
	float *scratch = job->scratch + FRCNN_NMS_SCRATCH(first) + label * FRCNN_NMS_SCRATCH(0);
	size_t nkept = frcnn_nms(job->boxes + 4 * first, count, job->threshold, job->limit, job->kept + first, scratch);
	for (size_t i = 0; i < nkept; i++)
		job->keep[job->source[first + job->kept[first + i]]] = 1;
}

int frcnn_nms_by_label(struct frcnn_pool *pool, const float *boxes, const int *labels, size_t count, int nlabels,
		       double threshold, size_t limit, uint8_t *keep, struct frcnn_workspace *workspace,
		       struct frcnn_error *err)
{
	size_t groups = (size_t)nlabels;
	memset(keep, 0, count);
	if (count > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "too many boxes for one image: %zu", count);

	/* One block: starts, then the arrays in the order of struct label_job. */
	size_t starts = groups + 2;
	size_t scratches = FRCNN_NMS_SCRATCH(count) + groups * FRCNN_NMS_SCRATCH(0);
	size_t floats = 4 * count + scratches;
	uint8_t *block =
	    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_NMS], 1,
			      starts * sizeof(size_t) + floats * sizeof(float) + 2 * count * sizeof(uint32_t));
	if (!block)
		return frcnn_fail_nomem(err);
	size_t *start = (size_t *)(void *)block;
	float *grouped = (float *)(void *)(start + starts);
	float *scratch = grouped + 4 * count;
	uint32_t *source = (uint32_t *)(void *)(scratch + scratches);
	uint32_t *kept = source + count;

	/* A counting sort by label keeps the rank order within each. */
	memset(start, 0, starts * sizeof(*start));
	for (size_t i = 0; i < count; i++)
		start[labels[i] + 2]++;
	for (size_t g = 2; g < starts; g++)
		start[g] += start[g - 1];
	for (size_t i = 0; i < count; i++) {
		size_t at = start[labels[i] + 1]++;
		source[at] = (uint32_t)i;
		memcpy(grouped + 4 * at, boxes + 4 * i, 4 * sizeof(float));
	}

	struct label_job job = {grouped, source, start, threshold, limit, kept, scratch, keep};
	frcnn_pool_run(pool, groups, suppress_label, &job);
	return 0;
}
