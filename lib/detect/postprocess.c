#include "detect/detect.h"

#include <math.h>

static const float min_side = 1e-2f;
enum { CHUNK = 64 };

struct softmax_job {
	const float *logits;
	size_t stride, count, nlabels;
	float *out; /* (count, nlabels) */
};

static void softmax_row(const float *logits, size_t nlabels, float *out)
{
	float largest = logits[0], sum = 0.0f;
	for (size_t i = 1; i < nlabels; i++)
		largest = logits[i] > largest ? logits[i] : largest;
	for (size_t i = 0; i < nlabels; i++) {
		out[i] = expf(logits[i] - largest);
		sum += out[i];
	}
	for (size_t i = 0; i < nlabels; i++)
		out[i] /= sum;
}

static void softmax_chunk(void *context, size_t index, int worker)
{
	(void)worker;
	const struct softmax_job *job = context;
	size_t last = (index + 1) * CHUNK < job->count ? (index + 1) * CHUNK : job->count;
	for (size_t i = index * CHUNK; i < last; i++)
		softmax_row(job->logits + i * job->stride, job->nlabels, job->out + i * job->nlabels);
}

static bool wanted(const struct frcnn_detect_params *params, size_t label)
{
	return !params->keep_label || params->keep_label[label];
}

/* Methods that lower scores, or are greedy in another way: nms/ ranks, groups and orders by itself. */
static int suppress(const struct frcnn_detect_params *params, const struct frcnn_detection *found, size_t nfound,
		    float *boxes, float *scores, int *labels, struct frcnn_survivors *out, struct frcnn_error *err)
{
	struct frcnn_nms_options options;
	frcnn_nms_options_init(&options);
	options.method = params->nms_method;
	options.iou = params->nms;
	options.sigma = params->nms_sigma;
	options.score = params->score;
	options.max_dets = params->max_dets;
	for (size_t i = 0; i < nfound; i++) {
		float box[4] = {found[i].x1, found[i].y1, found[i].x2, found[i].y2};
		memcpy(boxes + 4 * i, box, sizeof(box));
		scores[i] = found[i].score;
		labels[i] = found[i].label;
	}
	struct frcnn_nms_boxes all = {
	    .count = nfound, .boxes = boxes, .scores = scores, .labels = labels, .nlabels = params->nlabels};
	return frcnn_suppress(&all, &options, out, err);
}

int frcnn_postprocess(struct frcnn_pool *pool, const struct frcnn_head_output *head, const float *boxes, size_t count,
		      const struct frcnn_detect_params *params, const struct frcnn_transform_size *size,
		      int image_width, int image_height, struct frcnn_workspace *workspace,
		      struct frcnn_detection **items, size_t *nitems, struct frcnn_error *err)
{
	size_t nlabels = (size_t)params->nlabels;
	float min_score = (float)params->score;
	*items = NULL;
	*nitems = 0;
	float *scores =
	    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_PROBABILITIES], count, nlabels * sizeof(*scores));
	if (!scores)
		return frcnn_fail_nomem(err);
	struct softmax_job softmax = {head->logits, head->logits_stride, count, nlabels, scores};
	frcnn_pool_run(pool, (count + CHUNK - 1) / CHUNK, softmax_chunk, &softmax);

	/* Candidates in the order RoI, label. */
	size_t room = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t label = 1; label < nlabels; label++)
			room += scores[i * nlabels + label] > min_score && wanted(params, label);
	if (room > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "too many boxes for one image: %zu", room);
	struct frcnn_detection *found =
	    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_CANDIDATES], room, sizeof(*found));
	/* Keys first: they need the strictest alignment. */
	size_t ranked_bytes = sizeof(uint64_t) + 4 * sizeof(float) + sizeof(int) + sizeof(uint8_t);
	uint64_t *keys = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_RANKED], room, ranked_bytes);
	if (!found || !keys)
		return frcnn_fail_nomem(err);
	float *ranked = (float *)(void *)(keys + room);
	int *labels = (int *)(void *)(ranked + 4 * room);
	uint8_t *keep = (uint8_t *)(labels + room);

	size_t nfound = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t label = 1; label < nlabels; label++) {
			float score = scores[i * nlabels + label], box[4];
			if (!(score > min_score) || !wanted(params, label))
				continue;
			frcnn_box_decode(head->deltas + i * head->deltas_stride + 4 * label, boxes + 4 * i,
					 frcnn_box_weights, box);
			frcnn_box_clip(box, (float)size->width, (float)size->height);
			if (!frcnn_box_is_large(box, min_side))
				continue;
			keys[nfound] = frcnn_rank_key(score, (uint32_t)nfound);
			found[nfound++] = (struct frcnn_detection){box[0], box[1], box[2], box[3], score, (int)label};
		}
	}

	if (params->nms_method != FRCNN_NMS_HARD) {
		struct frcnn_survivors left;
		int failed = suppress(params, found, nfound, ranked, (float *)(void *)keys, labels, &left, err);
		if (failed)
			return failed;
		struct frcnn_detection *lowered =
		    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_DETECTIONS], left.count, sizeof(*lowered));
		for (size_t i = 0; i < left.count && lowered; i++) {
			float *box = left.boxes + 4 * i;
			frcnn_boxes_scale(box, 1, size->width, size->height, image_width, image_height);
			lowered[i] = (struct frcnn_detection){box[0], box[1],         box[2],
							      box[3], left.scores[i], found[left.index[i]].label};
		}
		*items = lowered;
		*nitems = lowered ? left.count : 0;
		frcnn_survivors_free(&left);
		return lowered ? 0 : frcnn_fail_nomem(err);
	}

	frcnn_rank_sort(keys, nfound);
	for (size_t i = 0; i < nfound; i++) {
		const struct frcnn_detection *one = &found[frcnn_rank_index(keys[i])];
		float box[4] = {one->x1, one->y1, one->x2, one->y2};
		memcpy(ranked + 4 * i, box, sizeof(box));
		labels[i] = one->label;
	}
	size_t limit = params->max_dets >= 0 ? (size_t)params->max_dets : nfound;
	int status =
	    frcnn_nms_by_label(pool, ranked, labels, nfound, params->nlabels, params->nms, limit, keep, workspace, err);
	if (status)
		return status;

	struct frcnn_detection *result = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_DETECTIONS],
							   nfound < limit ? nfound : limit, sizeof(*result));
	if (!result)
		return frcnn_fail_nomem(err);
	size_t nresult = 0;
	for (size_t i = 0; i < nfound && nresult < limit; i++) {
		if (!keep[i])
			continue;
		float *box = ranked + 4 * i;
		frcnn_boxes_scale(box, 1, size->width, size->height, image_width, image_height);
		result[nresult++] = (struct frcnn_detection){
		    box[0], box[1], box[2], box[3], found[frcnn_rank_index(keys[i])].score, labels[i]};
	}
	*items = result;
	*nitems = nresult;
	return 0;
}
