/*
 * Methods that make one box of several, of one class.
 *
 * Weighted boxes fusion (Solovyev et al. 2021) and non-maximum weighted (Zhou et
 * al. 2017), both as ensemble-boxes 1.0.9 computes them: boxes in the order of
 * score times weight; each joins the cluster that it overlaps most (by more than
 * the threshold; of equals the first), else founds one. WBF compares with the
 * clusters' fused boxes, NMW with their first members. Fused boxes that others
 * are compared with are sums in float32, as there, so that both make the same
 * decisions; IoU and the boxes that come out are double. Coordinates are fractions of the image where its size is
 * known.
 *
 * Box voting (Gidaris & Komodakis 2015): after greedy NMS each box that stays
 * becomes the mean, weighted by score, of all boxes with IoU above vote_iou.
 */
#include "nms/nms.h"

#include <math.h>

struct cluster {
	double box[4]; /* what others are compared with */
	float sum[4];  /* weighted coordinates, as the reference adds them */
	double exact[4];
	double weight; /* their divisor */
	double score;  /* sum (or largest) of the members' weighted scores */
	double of;     /* sum of the members' weights */
	uint32_t best; /* the first member */
	uint32_t members;
	bool clipped; /* the first member was cut to the image */
};

static bool touch(const double a[4], const double b[4])
{
	return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

static double iou_of(const double a[4], const double b[4])
{
	double x1 = a[0] > b[0] ? a[0] : b[0], y1 = a[1] > b[1] ? a[1] : b[1];
	double x2 = a[2] < b[2] ? a[2] : b[2], y2 = a[3] < b[3] ? a[3] : b[3];
	double width = x2 - x1 > 0 ? x2 - x1 : 0, height = y2 - y1 > 0 ? y2 - y1 : 0;
	double both = width * height;
	return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

/* Fractions of the image, cut to it; as they are where its size is not known. False: no area is left. */
static bool normalise(const struct frcnn_nms_class *c, const float from[4], double box[4], bool *clipped)
{
	bool known = c->width > 0 && c->height > 0;

	*clipped = false;
	for (int i = 0; i < 4; i++) {
		box[i] = (double)from[i];
		if (!known)
			continue;
		box[i] /= i % 2 ? c->height : c->width;
		if (box[i] < 0 || box[i] > 1) {
			box[i] = box[i] < 0 ? 0 : 1;
			*clipped = true;
		}
	}
	return box[2] > box[0] && box[3] > box[1] && (box[2] - box[0]) * (box[3] - box[1]) > 0;
}

static void add_member(struct cluster *k, const double box[4], double weight, bool nmw)
{
	k->weight += weight;
	for (int i = 0; i < 4; i++) {
		k->sum[i] = (float)((double)k->sum[i] + weight * box[i]);
		k->exact[i] += weight * box[i];
	}
	for (int i = 0; i < 4 && !nmw && k->members > 1 && k->weight > 0; i++)
		k->box[i] = (double)(float)((double)k->sum[i] / k->weight);
}

static double weight_of(const struct frcnn_nms_options *o, int source)
{
	return o->weights ? o->weights[source] : 1;
}

/* NMW has its weights relative to the largest. */
static double unit_of(const struct frcnn_nms_options *o)
{
	double largest = 0;

	for (int s = 0; s < o->nsources && o->method == FRCNN_NMS_NMW; s++)
		largest = weight_of(o, s) > largest ? weight_of(o, s) : largest;
	return largest > 0 ? largest : 1;
}

/* What the sources' weights, and which of them are in a cluster, make of the members' scores. */
static double fused_score(const struct frcnn_nms_options *o, const struct cluster *k, const uint8_t *present)
{
	double total = 0, largest = 0, here = 0, score = k->score;
	int taking_part = 0;

	for (int s = 0; s < o->nsources; s++) {
		double weight = weight_of(o, s);
		if (weight <= 0)
			continue;
		taking_part++;
		total += weight;
		largest = weight > largest ? weight : largest;
		if (present[s])
			here += weight;
	}
	if (o->method == FRCNN_NMS_NMW)
		return score;
	/* the reference keeps what it knows of more than one member as float32 */
	double of = k->members > 1 ? (double)(float)k->of : k->of;
	double mean = k->members > 1 ? (double)(float)(score / k->members) : score;
	switch (o->confidence) {
	case FRCNN_NMS_MAX:
		return (k->members > 1 ? (double)(float)score : score) / largest;
	case FRCNN_NMS_BOX_AND_MODEL_AVG:
		return mean * k->members / of * here / total;
	case FRCNN_NMS_ABSENT_MODEL_AWARE_AVG:
		return mean * k->members / (of + (total - here));
	default:
		if (!o->allow_overflow && k->members > (uint32_t)taking_part)
			return mean * taking_part / total;
		return mean * k->members / total;
	}
}

struct fused {
	double score;
	size_t cluster;
};

static int by_score(const void *a, const void *b)
{
	const struct fused *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->cluster < y->cluster ? -1 : x->cluster > y->cluster;
}

struct member {
	double score;
	uint32_t index;
};

static int by_member(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void give_fused(struct frcnn_nms_class *c, const struct cluster *k, double score)
{
	float *box = c->out_boxes + 4 * c->nout;
	bool known = c->width > 0 && c->height > 0;
	double scale[2] = {known ? c->width : 1, known ? c->height : 1};

	if (c->options->clip_scores && score > 1)
		score = 1;
	c->out[c->nout] = k->best;
	c->out_scores[c->nout] = (float)score;
	c->out_moved[c->nout] = (k->members > 1 || k->clipped) && k->weight > 0;
	memcpy(box, c->boxes + 4 * (size_t)k->best, 4 * sizeof(float));
	for (int i = 0; i < 4 && c->out_moved[c->nout]; i++)
		box[i] = (float)(k->exact[i] / k->weight * scale[i % 2]);
	c->nout++;
}

int frcnn_nms_fuse(struct frcnn_nms_class *c)
{
	const struct frcnn_nms_options *o = c->options;
	bool nmw = o->method == FRCNN_NMS_NMW;
	double unit = unit_of(o);
	size_t nsources = o->nsources > 0 ? (size_t)o->nsources : 1, nmembers = 0, nclusters = 0;
	struct member *members = frcnn_calloc(c->count, sizeof(*members));
	struct cluster *clusters = frcnn_calloc(c->count, sizeof(*clusters));
	struct fused *fused = frcnn_calloc(c->count, sizeof(*fused));

	uint8_t *present = frcnn_calloc(nsources, 1);
	uint32_t *next = frcnn_calloc(c->count, sizeof(*next)), *head = frcnn_calloc(c->count, sizeof(*head));
	int status = 0;

	if (!members || !clusters || !fused || !present || !next || !head) {
		status = FRCNN_ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < c->count; i++) {
		double weight = weight_of(o, c->sources ? c->sources[i] : 0) / unit;
		if (weight > 0)
			members[nmembers++] = (struct member){(double)c->scores[i] * weight, (uint32_t)i};
	}
	qsort(members, nmembers, sizeof(*members), by_member);
	for (size_t m = 0; m < nmembers; m++) {
		size_t i = members[m].index, best = SIZE_MAX;
		double box[4], best_iou = -1;
		bool clipped;
		if (!normalise(c, c->boxes + 4 * i, box, &clipped))
			continue;
		for (size_t k = 0; k < nclusters; k++) {
			if (!touch(clusters[k].box, box))
				continue;
			double iou = iou_of(clusters[k].box, box);
			if (iou > best_iou) {
				best_iou = iou;
				best = k;
			}
		}
		if (best == SIZE_MAX || !(o->geq ? best_iou >= c->threshold : best_iou > c->threshold)) {
			best = nclusters++;
			clusters[best] = (struct cluster){.best = (uint32_t)i, .clipped = clipped};
			memcpy(clusters[best].box, box, sizeof(box));
			head[best] = UINT32_MAX;
		}
		struct cluster *k = &clusters[best];
		double score = members[m].score;
		k->members++;
		k->of += weight_of(o, c->sources ? c->sources[i] : 0);
		if (nmw || o->confidence == FRCNN_NMS_MAX)
			k->score = score > k->score || k->members == 1 ? score : k->score;
		else
			k->score += score;
		add_member(k, box, nmw ? score * iou_of(box, k->box) : score, nmw);
		next[i] = head[best];
		head[best] = (uint32_t)i;
	}
	for (size_t k = 0; k < nclusters; k++) {
		memset(present, 0, nsources);
		for (uint32_t i = head[k]; i != UINT32_MAX; i = next[i])
			present[c->sources ? c->sources[i] : 0] = 1;
		fused[k] = (struct fused){fused_score(o, &clusters[k], present), k};
	}
	qsort(fused, nclusters, sizeof(*fused), by_score);
	for (size_t k = 0; k < nclusters; k++)
		give_fused(c, &clusters[fused[k].cluster], fused[k].score);
out:
	free(members);
	free(clusters);
	free(fused);
	free(present);
	free(next);
	free(head);
	return status;
}

struct ballot {
	uint32_t *ranks;
	size_t count;
};

static void collect(void *context, size_t other, float overlap)
{
	struct ballot *ballot = context;
	(void)overlap;
	ballot->ranks[ballot->count++] = (uint32_t)other;
}

static int by_rank(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

int frcnn_nms_vote(struct frcnn_nms_class *c)
{
	const struct frcnn_nms_options *o = c->options;
	float plus = o->plus_one ? 1 : 0;
	struct frcnn_nms_rule rule = {.bound = frcnn_nms_bound(c->threshold, o->geq), .plus = plus};
	struct frcnn_nms_rule vote = {.bound = frcnn_nms_bound(o->vote_iou, o->geq), .plus = plus};
	struct frcnn_nms_neighbours *neighbours = frcnn_calloc(1, sizeof(*neighbours));
	struct ballot ballot = {frcnn_calloc(c->count, sizeof(uint32_t)), 0};

	if (!neighbours || !ballot.ranks) {
		free(neighbours);
		free(ballot.ranks);
		return FRCNN_ENOMEM;
	}
	c->nout = frcnn_nms_greedy(c->boxes, c->count, &rule, c->count, c->out, c->scratch);
	frcnn_nms_neighbours_make(neighbours, c->boxes, c->count, &vote, c->scratch);
	for (size_t k = 0; k < c->nout; k++) {
		size_t rank = c->out[k];
		float *box = c->out_boxes + 4 * k;
		double sum[4] = {0}, weight = 0;
		ballot.count = 0;
		collect(&ballot, rank, 1);
		frcnn_nms_neighbours_visit(neighbours, rank, collect, &ballot);
		qsort(ballot.ranks, ballot.count, sizeof(uint32_t), by_rank);
		for (size_t v = 0; v < ballot.count; v++) {
			double score = (double)c->scores[ballot.ranks[v]];
			const float *from = c->boxes + 4 * (size_t)ballot.ranks[v];
			weight += score > 0 ? score : 0;
			for (int i = 0; i < 4; i++)
				sum[i] += score > 0 ? score * (double)from[i] : 0;
		}
		c->out_scores[k] = c->scores[rank];
		c->out_moved[k] = ballot.count > 1 && weight > 0;
		for (int i = 0; i < 4; i++)
			box[i] = c->out_moved[k] ? (float)(sum[i] / weight) : c->boxes[4 * rank + (size_t)i];
	}
	free(neighbours);
	free(ballot.ranks);
	return 0;
}
