#include "detect/detect.h"

#include <math.h>

static const float min_side = 1e-3f;

/* One level's share of the work and of the workspace. */
struct level_work {
	const struct frcnn_rpn_level *level;
	const struct frcnn_cell_anchors *cell;
	int step_y, step_x;
	size_t best;    /* how many are taken by logit */
	uint64_t *keys; /* best */
	float *boxes;   /* best * 4; at the end the boxes that stay, in rank order */
	float *scores;  /* best; likewise */
	uint32_t *kept; /* best */
	float *scratch; /* FRCNN_NMS_SCRATCH(best) */
	size_t count;   /* boxes that stay */
};

struct proposal_job {
	const struct frcnn_detect_params *params;
	float width, height;
	struct level_work levels[FRCNN_MAX_LEVELS];
};

static float sigmoid(float x)
{
	return 1.0f / (1.0f + expf(-x));
}

static void propose_level(void *context, size_t index, int worker)
{
	(void)worker;
	struct proposal_job *job = context;
	struct level_work *work = &job->levels[index];
	const struct frcnn_rpn_level *level = work->level;
	size_t anchors = (size_t)work->cell->count;
	size_t cells = (size_t)level->height * (size_t)level->width;
	float min_score = (float)job->params->rpn_score;

	size_t best = frcnn_topk(level->logits, cells, anchors, level->logits_stride, work->best, work->keys);
	size_t count = 0;
	for (size_t i = 0; i < best; i++) {
		size_t at = frcnn_rank_index(work->keys[i]);
		size_t cell = at / anchors, a = at % anchors;
		float x = (float)((int)(cell % (size_t)level->width) * work->step_x);
		float y = (float)((int)(cell / (size_t)level->width) * work->step_y);
		const float *base = work->cell->boxes + 4 * a;
		float anchor[4] = {x + base[0], y + base[1], x + base[2], y + base[3]};
		float *box = work->boxes + 4 * count;
		frcnn_box_decode(level->deltas + cell * level->deltas_stride + 4 * a, anchor, frcnn_rpn_weights, box);
		frcnn_box_clip(box, job->width, job->height);
		float score = sigmoid(level->logits[cell * level->logits_stride + a]);
		if (frcnn_box_is_large(box, min_side) && score >= min_score)
			work->scores[count++] = score;
	}

	/* No more than rpn_post can be among the image's best, and later ones suppress none of them. */
	size_t limit = job->params->rpn_post > 0 ? (size_t)job->params->rpn_post : 0;
	work->count = frcnn_nms(work->boxes, count, job->params->rpn_nms, limit, work->kept, work->scratch);
	for (size_t i = 0; i < work->count; i++) {
		size_t from = work->kept[i]; /* >= i: what is moved has not been overwritten */
		memmove(work->boxes + 4 * i, work->boxes + 4 * from, 4 * sizeof(float));
		work->scores[i] = work->scores[from];
	}
}

int frcnn_propose_boxes(struct frcnn_pool *pool, const struct frcnn_rpn_level *levels,
			const struct frcnn_detect_params *params, const struct frcnn_transform_size *size,
			struct frcnn_workspace *workspace, struct frcnn_proposals *out, struct frcnn_error *err)
{
	struct proposal_job job = {.params = params, .width = (float)size->width, .height = (float)size->height};
	size_t nlevels = (size_t)params->nlevels;
	size_t total = 0;
	memset(out, 0, sizeof(*out));

	for (size_t i = 0; i < nlevels; i++) {
		struct level_work *work = &job.levels[i];
		work->level = &levels[i];
		work->cell = &params->anchors[i];
		work->step_y = size->padded_height / levels[i].height;
		work->step_x = size->padded_width / levels[i].width;
		uint64_t all = (uint64_t)levels[i].height * (uint64_t)levels[i].width;
		if (all > UINT32_MAX / (uint64_t)work->cell->count)
			return frcnn_fail(err, FRCNN_ELIMIT, "too many anchors on a level of %d x %d cells",
					  levels[i].width, levels[i].height);
		all *= (uint64_t)work->cell->count;
		uint64_t wanted = params->rpn_pre > 0 ? (uint64_t)params->rpn_pre : 0;
		work->best = (size_t)(all < wanted ? all : wanted);
		total += work->best;
	}

	if (total > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "too many proposals for one image: %zu", total);

	uint64_t *keys = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_PROPOSAL_KEYS], total, sizeof(*keys));
	float *boxes = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_PROPOSAL_LEVELS], total, 6 * sizeof(*boxes));
	float *scratch = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_PROPOSAL_NMS],
					   FRCNN_NMS_SCRATCH(total + 16 * nlevels), sizeof(*scratch));
	if (!keys || !boxes || !scratch)
		return frcnn_fail_nomem(err);
	float *scores = boxes + 4 * total;
	uint32_t *kept = (uint32_t *)(void *)(scores + total);
	size_t before = 0;
	for (size_t i = 0; i < nlevels; i++) {
		struct level_work *work = &job.levels[i];
		work->keys = keys + before;
		work->boxes = boxes + 4 * before;
		work->scores = scores + before;
		work->kept = kept + before;
		work->scratch = scratch;
		scratch += FRCNN_NMS_SCRATCH(work->best);
		before += work->best;
	}
	frcnn_pool_run(pool, nlevels, propose_level, &job);

	/* The best of all levels; among equal scores the lower level's come first. */
	size_t count = 0;
	for (size_t i = 0; i < nlevels; i++) {
		size_t first = (size_t)(job.levels[i].scores - scores);
		for (size_t j = 0; j < job.levels[i].count; j++)
			keys[count++] = frcnn_rank_key(scores[first + j], (uint32_t)(first + j));
	}
	frcnn_rank_sort(keys, count);
	size_t limit = params->rpn_post > 0 ? (size_t)params->rpn_post : 0;
	if (count > limit)
		count = limit;

	float *result = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_PROPOSALS], count, 5 * sizeof(*result));
	if (!result)
		return frcnn_fail_nomem(err);
	out->count = count;
	out->boxes = result;
	out->scores = result + 4 * count;
	for (size_t i = 0; i < count; i++) {
		size_t at = frcnn_rank_index(keys[i]);
		out->scores[i] = scores[at];
		memcpy(out->boxes + 4 * i, boxes + 4 * at, 4 * sizeof(float));
	}
	return 0;
}
