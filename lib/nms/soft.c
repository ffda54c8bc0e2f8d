/*
 * Methods that lower scores in place of removing boxes, of one class.
 *
 * Soft-NMS (Bodla et al. 2017): of what is left the box M with the highest score
 * is taken (equal scores: the earlier in rank), and every other one's score is
 * multiplied by f(IoU with M):
 *     linear     1 - IoU where IoU is above the threshold, else 1
 *     gaussian   exp(-IoU^2 / sigma)
 *
 * Matrix NMS (Wang et al. 2020, SOLOv2): box j's score is multiplied by the least,
 * over the boxes i before it, of f(IoU(i, j)) / f(largest IoU of i with a box
 * before i), f as above with no threshold.
 *
 * Scores are double from the float32 given to the float32 returned.
 */
#include "nms/nms.h"

#include <math.h>

struct waiting {
	double score; /* not below what it is now */
	uint32_t rank;
};

struct soft {
	double *scores;
	uint8_t *taken;
	bool linear;
	double sigma;
};

static void lower_score(void *context, size_t other, float overlap)
{
	struct soft *soft = context;
	double iou = (double)overlap;

	if (!soft->taken[other])
		soft->scores[other] *= soft->linear ? 1 - iou : exp(-(iou * iou) / soft->sigma);
}

static bool before(struct waiting a, struct waiting b)
{
	return a.score > b.score || (a.score == b.score && a.rank < b.rank);
}

static void sink(struct waiting *heap, size_t count, size_t at)
{
	struct waiting item = heap[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= count)
			break;
		if (child + 1 < count && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], item))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = item;
}

static double least_score(const struct frcnn_nms_options *options)
{
	return isnan(options->score) ? 0.001 : options->score;
}

static void give(struct frcnn_nms_class *c, size_t rank, double score)
{
	c->out[c->nout] = (uint32_t)rank;
	c->out_scores[c->nout] = (float)score;
	memcpy(c->out_boxes + 4 * c->nout, c->boxes + 4 * rank, 4 * sizeof(float));
	c->out_moved[c->nout++] = 0;
}

int frcnn_nms_soft(struct frcnn_nms_class *c)
{
	const struct frcnn_nms_options *o = c->options;
	struct soft soft = {.linear = o->method == FRCNN_NMS_SOFT_LINEAR, .sigma = o->sigma};
	struct frcnn_nms_rule rule = {.bound = soft.linear ? frcnn_nms_bound(c->threshold, o->geq) : 0,
				      .plus = o->plus_one ? 1 : 0};
	struct frcnn_nms_neighbours *neighbours = frcnn_calloc(1, sizeof(*neighbours));
	struct waiting *heap = frcnn_calloc(c->count, sizeof(*heap));
	size_t left = c->count;
	int status = 0;

	soft.scores = frcnn_calloc(c->count, sizeof(*soft.scores));
	soft.taken = frcnn_calloc(c->count, sizeof(*soft.taken));
	if (!neighbours || !heap || !soft.scores || !soft.taken) {
		status = FRCNN_ENOMEM;
		goto out;
	}
	frcnn_nms_neighbours_make(neighbours, c->boxes, c->count, &rule, c->scratch);
	for (size_t i = 0; i < c->count; i++) { /* descending: a heap as it stands */
		soft.scores[i] = (double)c->scores[i];
		heap[i] = (struct waiting){soft.scores[i], (uint32_t)i};
	}
	while (left > 0) {
		struct waiting top = heap[0];
		double now = soft.scores[top.rank];
		if (now != top.score) { /* it was lowered since it took this place */
			heap[0].score = now;
			sink(heap, left, 0);
			continue;
		}
		if (!((float)now > (float)least_score(o)))
			break; /* and all that are left are no better */
		give(c, top.rank, now);
		soft.taken[top.rank] = 1;
		heap[0] = heap[--left];
		sink(heap, left, 0);
		frcnn_nms_neighbours_visit(neighbours, top.rank, lower_score, &soft);
	}
out:
	free(neighbours);
	free(heap);
	free(soft.scores);
	free(soft.taken);
	return status;
}

struct matrix {
	size_t rank;
	double *largest; /* IoU with a box before it */
	double *decay;
	bool linear;
	double sigma;
	double divisor;        /* of the box at rank */
	double last_iou, last; /* a factor once computed: equal boxes come in crowds */
};

static double factor(const struct matrix *m, double iou)
{
	return m->linear ? 1 - iou : exp(-(iou * iou) / m->sigma);
}

static void decay_later(void *context, size_t other, float overlap)
{
	struct matrix *m = context;
	double iou = (double)overlap;

	if (other < m->rank)
		return;
	if (iou > m->largest[other])
		m->largest[other] = iou;
	/* 0/0: the box has an equal before it, which says the same. */
	if (iou != m->last_iou) {
		m->last_iou = iou;
		m->last = factor(m, iou);
	}
	double decay = m->last / m->divisor;
	if (m->divisor > 0 && decay < m->decay[other])
		m->decay[other] = decay;
}

int frcnn_nms_matrix(struct frcnn_nms_class *c)
{
	const struct frcnn_nms_options *o = c->options;
	struct frcnn_nms_rule rule = {.plus = o->plus_one ? 1 : 0};
	struct frcnn_nms_neighbours *neighbours = frcnn_calloc(1, sizeof(*neighbours));
	struct matrix m = {.linear = o->linear, .sigma = o->sigma, .last_iou = NAN};
	int status = 0;

	m.largest = frcnn_calloc(c->count, sizeof(*m.largest));
	m.decay = frcnn_calloc(c->count, sizeof(*m.decay));
	if (!neighbours || !m.largest || !m.decay) {
		status = FRCNN_ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < c->count; i++)
		m.decay[i] = 1;
	frcnn_nms_neighbours_make(neighbours, c->boxes, c->count, &rule, c->scratch);
	for (m.rank = 0; m.rank < c->count; m.rank++) {
		double score = (double)c->scores[m.rank] * m.decay[m.rank];
		if ((float)score > (float)least_score(o))
			give(c, m.rank, score);
		m.divisor = factor(&m, m.largest[m.rank]);
		frcnn_nms_neighbours_visit(neighbours, m.rank, decay_later, &m);
	}
out:
	free(neighbours);
	free(m.largest);
	free(m.decay);
	return status;
}
