/* What RoIAlign and RoIPool share: which level each box is pooled from, and boxes shared out among threads. */
#include "detect/detect.h"

enum { CHUNK = 8 }; /* RoIs of one task */

struct roi_job {
	frcnn_roi_one *one;
	const struct frcnn_kernels *kernels;
	const struct frcnn_feature *features;
	const float *boxes;
	const uint8_t *levels;
	size_t count;
	int channels;
	struct frcnn_roi_sink out;
	float *pooled; /* one RoI a worker, on its way to out.store */
};

static void roi_chunk(void *context, size_t index, int worker)
{
	const struct roi_job *job = context;
	size_t last = (index + 1) * CHUNK < job->count ? (index + 1) * CHUNK : job->count;
	size_t floats = (size_t)FRCNN_ROI_SIZE * FRCNN_ROI_SIZE * (size_t)job->channels;
	for (size_t i = index * CHUNK; i < last; i++) {
		float *to = job->out.data ? job->out.data + i * floats : job->pooled + (size_t)worker * floats;

		job->one(job->kernels, &job->features[job->levels[i]], job->boxes + 4 * i, job->channels, to);
		if (!job->out.data)
			job->out.store(job->out.network, i * floats, to, floats);
	}
}

int frcnn_roi_each(struct frcnn_pool *pool, frcnn_roi_one *one, const struct frcnn_feature *features, int nfeatures,
		   int channels, const float *boxes, size_t count, struct frcnn_workspace *workspace,
		   struct frcnn_roi_sink out, struct frcnn_error *err)
{
	uint8_t *levels = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_LEVELS], count, sizeof(*levels));
	float *pooled = NULL;
	if (!out.data)
		pooled = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_POOLED],
					   (size_t)frcnn_pool_threads(pool) * FRCNN_ROI_SIZE * FRCNN_ROI_SIZE *
					       (size_t)channels,
					   sizeof(*pooled));
	if (!levels || (!out.data && !pooled))
		return frcnn_fail_nomem(err);
	float scales[FRCNN_MAX_LEVELS];
	for (int i = 0; i < nfeatures; i++)
		scales[i] = features[i].scale;
	frcnn_roi_levels(boxes, count, scales, nfeatures, levels);
	struct roi_job job = {one,      workspace->kernels ? workspace->kernels : &frcnn_kernels_c,
			      features, boxes,
			      levels,   count,
			      channels, out,
			      pooled};
	frcnn_pool_run(pool, (count + CHUNK - 1) / CHUNK, roi_chunk, &job);
	return 0;
}
