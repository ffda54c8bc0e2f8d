/* From boxes of many labels to what survives: rank, group by label, one method for each, and back into one order. */
#include "nms/nms.h"

#include <math.h>

void frcnn_nms_options_init(struct frcnn_nms_options *options)
{
	*options = (struct frcnn_nms_options){
	    .iou = 0.5,
	    .sigma = 0.5,
	    .score = NAN,
	    .vote_iou = 0.5,
	    .nsources = 1,
	    .top_k = -1,
	    .max_dets = -1,
	};
}

/* Everything of one call. */
struct work {
	size_t count; /* of the boxes looked at */
	uint64_t *keys, *spare;
	size_t *start;    /* nlabels + 2 */
	uint32_t *source; /* grouped position -> rank */
	float *boxes, *scores;
	int *sources;
	float *scratch; /* of the largest label */
	uint32_t *kept; /* what comes out, grouped: out, out_scores ... of the labels one behind the other */
	float *new_scores, *new_boxes;
	uint8_t *moved;
	uint8_t *block;
};

static int check(const struct frcnn_nms_boxes *in, const struct frcnn_nms_options *o, struct frcnn_error *err)
{
	if (in->count > INT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "too many boxes for one image: %zu", in->count);
	if ((int)o->method < FRCNN_NMS_HARD || o->method > FRCNN_NMS_NMW)
		return frcnn_fail(err, FRCNN_EINVAL, "no method %d of suppression", (int)o->method);
	if (isnan(o->iou) || isnan(o->vote_iou))
		return frcnn_fail(err, FRCNN_EINVAL, "a threshold is not a number");
	if (!(o->sigma > 0))
		return frcnn_fail(err, FRCNN_EINVAL, "sigma is not above 0");
	if (in->labels && in->nlabels < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "a negative number of labels");
	if (in->sources && o->nsources < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "boxes of several sources, and no number of them");
	for (size_t i = 0; i < in->count && in->labels; i++)
		if (in->labels[i] < 0 || in->labels[i] >= in->nlabels)
			return frcnn_fail(err, FRCNN_EINVAL, "label %d of box %zu is not below %d", in->labels[i], i,
					  in->nlabels);
	for (size_t i = 0; i < in->count && in->sources; i++)
		if (in->sources[i] < 0 || in->sources[i] >= o->nsources)
			return frcnn_fail(err, FRCNN_EINVAL, "source %d of box %zu is not below %d", in->sources[i], i,
					  o->nsources);
	for (int s = 0; s < o->nsources && o->weights; s++)
		if (!(o->weights[s] >= 0 && o->weights[s] <= 1e30))
			return frcnn_fail(err, FRCNN_EINVAL, "weight %g is not 0 or above", o->weights[s]);
	return 0;
}

static void rank(const struct frcnn_nms_boxes *in, struct work *w)
{
	for (size_t i = 0; i < in->count; i++) {
		uint32_t at = in->order ? in->order[i] : (uint32_t)i;
		w->keys[i] = frcnn_rank_key(in->scores[at], 0) | at;
	}
	/* NaN: torch has it first; the key must not carry an index up. */
	frcnn_rank_radix(w->keys, w->spare, in->count);
}

static int prepare(const struct frcnn_nms_boxes *in, size_t nlabels, struct work *w, struct frcnn_error *err)
{
	size_t n = in->count, largest = 0, bytes;

	bytes = (nlabels + 2) * sizeof(size_t) + 2 * n * sizeof(uint64_t) +
		n * (2 * sizeof(uint32_t) + 10 * sizeof(float) + sizeof(int) + sizeof(uint8_t));
	w->block = frcnn_alloc_aligned(bytes, 1);
	if (!w->block)
		return frcnn_fail_nomem(err);
	w->keys = (uint64_t *)(void *)w->block;
	w->spare = w->keys + n;
	w->start = (size_t *)(void *)(w->spare + n);
	w->source = (uint32_t *)(void *)(w->start + nlabels + 2);
	w->kept = w->source + n;
	w->boxes = (float *)(void *)(w->kept + n);
	w->scores = w->boxes + 4 * n;
	w->new_scores = w->scores + n;
	w->new_boxes = w->new_scores + n;
	w->sources = (int *)(void *)(w->new_boxes + 4 * n);
	w->moved = (uint8_t *)(w->sources + n);
	rank(in, w);

	/* A counting sort by label keeps the rank order within each. */
	memset(w->start, 0, (nlabels + 2) * sizeof(*w->start));
	for (size_t i = 0; i < w->count; i++)
		w->start[(in->labels ? in->labels[frcnn_rank_index(w->keys[i])] : 0) + 2]++;
	for (size_t l = 2; l < nlabels + 2; l++) {
		largest = w->start[l] > largest ? w->start[l] : largest;
		w->start[l] += w->start[l - 1];
	}
	for (size_t i = 0; i < w->count; i++) {
		size_t from = frcnn_rank_index(w->keys[i]);
		size_t at = w->start[(in->labels ? in->labels[from] : 0) + 1]++;
		w->source[at] = (uint32_t)i;
		memcpy(w->boxes + 4 * at, in->boxes + 4 * from, 4 * sizeof(float));
		w->scores[at] = in->scores[from];
		w->sources[at] = in->sources ? in->sources[from] : 0;
	}
	w->scratch = frcnn_alloc_aligned(FRCNN_NMS_SCRATCH(largest), sizeof(float));
	return w->scratch ? 0 : frcnn_fail_nomem(err);
}

/* Greedy methods: what stays is as it was. */
static void stay(struct frcnn_nms_class *c, const struct frcnn_nms_rule *rule)
{
	c->nout = frcnn_nms_greedy(c->boxes, c->count, rule, c->count, c->out, c->scratch);
	for (size_t i = 0; i < c->nout; i++) {
		c->out_scores[i] = c->scores[c->out[i]];
		memcpy(c->out_boxes + 4 * i, c->boxes + 4 * (size_t)c->out[i], 4 * sizeof(float));
		c->out_moved[i] = 0;
	}
}

static int run_class(struct frcnn_nms_class *c)
{
	const struct frcnn_nms_options *o = c->options;
	struct frcnn_nms_rule rule = {.bound = frcnn_nms_bound(c->threshold, o->geq),
				      .plus = o->plus_one ? 1 : 0,
				      .diou = o->method == FRCNN_NMS_DIOU};

	switch (o->method) {
	case FRCNN_NMS_SOFT_LINEAR:
	case FRCNN_NMS_SOFT_GAUSSIAN:
		return frcnn_nms_soft(c);
	case FRCNN_NMS_MATRIX:
		return frcnn_nms_matrix(c);
	case FRCNN_NMS_VOTE:
		return frcnn_nms_vote(c);
	case FRCNN_NMS_WBF:
	case FRCNN_NMS_NMW:
		return frcnn_nms_fuse(c);
	default:
		stay(c, &rule);
		return 0;
	}
}

/* Each label's share of the arrays; what comes out is packed to the front. *nkept: how many. */
static int run_labels(const struct frcnn_nms_boxes *in, const struct frcnn_nms_options *o, size_t nlabels,
		      struct work *w, size_t *nkept)
{
	size_t n = 0;

	for (size_t l = 0; l < nlabels; l++) {
		size_t first = w->start[l];
		bool own = in->thresholds && !isnan(in->thresholds[l]);
		struct frcnn_nms_class c = {
		    .count = w->start[l + 1] - first,
		    .boxes = w->boxes + 4 * first,
		    .scores = w->scores + first,
		    .sources = w->sources + first,
		    .threshold = own ? in->thresholds[l] : o->iou,
		    .options = o,
		    .width = in->width,
		    .height = in->height,
		    .scratch = w->scratch,
		    .out = w->kept + n,
		    .out_scores = w->new_scores + n,
		    .out_boxes = w->new_boxes + 4 * n,
		    .out_moved = w->moved + n,
		};
		if (c.count == 0)
			continue;
		int status = run_class(&c);
		if (status)
			return status;
		for (size_t i = 0; i < c.nout; i++)
			c.out[i] = w->source[first + c.out[i]];
		n += c.nout;
	}
	*nkept = n;
	return 0;
}

/* By the new score, then by rank before: keys of a rank hold its place among what was kept. */
static int give(const struct frcnn_nms_options *o, struct work *w, size_t nkept, struct frcnn_survivors *out)
{
	size_t limit = o->max_dets >= 0 && (size_t)o->max_dets < nkept ? (size_t)o->max_dets : nkept;
	uint32_t *at = frcnn_alloc_aligned(w->count + 1, sizeof(*at));
	uint64_t *order = frcnn_alloc_aligned(2 * nkept + 1, sizeof(*order));
	size_t n = 0;

	out->index = frcnn_alloc_aligned(limit + 1, sizeof(*out->index));
	out->scores = frcnn_alloc_aligned(limit + 1, sizeof(*out->scores));
	out->boxes = frcnn_alloc_aligned(limit + 1, 4 * sizeof(*out->boxes));
	out->moved = frcnn_alloc_aligned(limit + 1, 1);
	if (!at || !order || !out->index || !out->scores || !out->boxes || !out->moved) {
		free(at);
		free(order);
		return FRCNN_ENOMEM;
	}
	memset(at, 0xff, (w->count + 1) * sizeof(*at));
	for (size_t i = 0; i < nkept; i++)
		at[w->kept[i]] = (uint32_t)i;
	for (size_t r = 0; r < w->count; r++)
		if (at[r] != UINT32_MAX)
			order[n++] = frcnn_rank_key(w->new_scores[at[r]], 0) | at[r];
	frcnn_rank_radix(order, order + nkept, n);
	for (size_t i = 0; i < limit; i++) {
		uint32_t from = (uint32_t)order[i];
		out->index[i] = frcnn_rank_index(w->keys[w->kept[from]]);
		out->scores[i] = w->new_scores[from];
		memcpy(out->boxes + 4 * i, w->new_boxes + 4 * (size_t)from, 4 * sizeof(float));
		out->moved[i] = w->moved[from];
	}
	out->count = limit;
	free(at);
	free(order);
	return 0;
}

int frcnn_suppress(const struct frcnn_nms_boxes *boxes, const struct frcnn_nms_options *options,
		   struct frcnn_survivors *out, struct frcnn_error *err)
{
	struct frcnn_nms_options defaults;
	struct work work = {0};
	size_t nkept = 0, nlabels = boxes->labels ? (size_t)boxes->nlabels : 1;

	memset(out, 0, sizeof(*out));
	frcnn_nms_options_init(&defaults);
	if (!options)
		options = &defaults;
	int status = check(boxes, options, err);
	if (status)
		return status;
	work.count = boxes->count;
	if (options->top_k >= 0 && (size_t)options->top_k < work.count)
		work.count = (size_t)options->top_k;
	status = prepare(boxes, nlabels, &work, err);
	if (status)
		goto out;
	status = run_labels(boxes, options, nlabels, &work, &nkept);
	if (status == 0)
		status = give(options, &work, nkept, out);
	if (status) {
		frcnn_survivors_free(out);
		frcnn_fail_nomem(err);
	}
out:
	free(work.block);
	free(work.scratch);
	return status;
}

void frcnn_survivors_free(struct frcnn_survivors *survivors)
{
	if (!survivors)
		return;
	free(survivors->index);
	free(survivors->scores);
	free(survivors->boxes);
	free(survivors->moved);
	memset(survivors, 0, sizeof(*survivors));
}
