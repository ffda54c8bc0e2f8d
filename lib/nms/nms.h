/*
 * nms - suppresses and fuses boxes: greedy NMS and its relatives (DIoU, soft,
 * matrix), box voting, weighted boxes fusion and non-maximum weighted, and the
 * index that finds what may overlap. frcnn_suppress of frcnn.h is the way in;
 * the detector's stages call frcnn_nms. Boxes, scores and labels in arrays
 * alone: what a record, a class name or a network is lives elsewhere.
 *
 * Arithmetic
 *   - Boxes are corners x1, y1, x2, y2 in float32. IoU is float32 in
 *     torchvision's order, both / (area + area - both), products not fused into
 *     sums, and is compared with the threshold as a double. 0/0 is above nothing.
 *   - A box comes before another by its score, among equal scores by input order
 *     (or the order given).
 *   - The index only leaves out pairs that cannot be above the threshold: what
 *     stays, and in which order, is that of the plain quadratic loops.
 */
#ifndef FRCNN_NMS_H
#define FRCNN_NMS_H

#include "base/base.h"

/* ---- ranking (rank.c) ------------------------------------------------------------------------ */

/* A key whose ascending order is descending score, then ascending index. NaN ranks first, as in torch.topk; -0 equals
 * 0. No two keys of different indices are equal. */
uint64_t frcnn_rank_key(float score, uint32_t index);
uint32_t frcnn_rank_index(uint64_t key);
/* Ascending by the upper 32 bits; equal ones keep their order. spare: room for count. */
void frcnn_rank_radix(uint64_t *keys, uint64_t *spare, size_t count);

/* ---- what suppresses (greedy.c) -------------------------------------------------------------- */

struct frcnn_nms_rule {
	float bound; /* an overlap > this suppresses */
	float plus;  /* added to sides: 0, or 1 for boxes of inclusive pixels */
	bool diou;   /* the overlap is IoU less the squared distance of centres over the enclosing box's diagonal */
};
/* The bound by which float32 values are compared with a double threshold: value > bound exactly when value > threshold
 * (or >=, when geq). */
float frcnn_nms_bound(double threshold, bool geq);
/* The overlap of two boxes; NaN where it is 0/0. */
float frcnn_nms_overlap(const float a[4], const float b[4], const struct frcnn_nms_rule *rule);

/* Floats of scratch memory for n boxes. */
#define FRCNN_NMS_SCRATCH(n) (24 * ((n) + 16))

/* Greedy NMS of boxes (count, 4) given in rank order: a box goes when its overlap with a better box that stays is above
 * the bound. Stops once limit boxes stay. Their indices, ascending, go to kept (room for min(count, limit)); returns
 * how many. */
size_t frcnn_nms_greedy(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit,
			uint32_t *kept, float *scratch);
/* torchvision's: IoU > threshold, without +1. */
size_t frcnn_nms(const float *boxes, size_t count, double threshold, size_t limit, uint32_t *kept, float *scratch);
/* The same by comparing each with each, the truth for tests. */
size_t frcnn_nms_reference(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit,
			   uint32_t *kept);

/* ---- what may overlap (index.c) -------------------------------------------------------------- */

/*
 * Boxes by size (levels: a factor of 4 of area), within a level by strips of the centre's y, within a strip by the
 * centre's x. Boxes without area, or with an infinite or NaN one, overlap nothing and are not in it.
 */
struct frcnn_nms_range {
	uint32_t first, last; /* positions first .. last - 1 */
};
struct frcnn_nms_strip {
	float low, high; /* of the centres' y */
	struct frcnn_nms_range boxes;
	/* Box at x is in bin (x - x) * scale of nbins; the first position of bin b is bins[b], the end is bins[nbins].
	 */
	double x, scale;
	uint32_t *bins;
	size_t nbins;
};
struct frcnn_nms_level {
	bool tiny;            /* areas too small for the rules: to be compared with all */
	double low;           /* areas are low .. 4 low */
	double width, height; /* the largest */
	size_t first, last;   /* strips */
};
/* Position p is lane p % LANES of block p / LANES: what is compared together lies together. Lanes behind the last box
 * hold NaN, which overlaps nothing. */
#define FRCNN_NMS_LANES 8
struct frcnn_nms_block {
	float x1[FRCNN_NMS_LANES], y1[FRCNN_NMS_LANES], x2[FRCNN_NMS_LANES], y2[FRCNN_NMS_LANES];
	float area[FRCNN_NMS_LANES];
	uint32_t gone[FRCNN_NMS_LANES]; /* for the caller; 0 at first */
};
struct frcnn_nms_index {
	size_t count;
	struct frcnn_nms_block *blocks;
	float *x;                  /* of the centre, by position */
	uint32_t *rank, *position; /* of a position; of a rank, UINT32_MAX: not in the index */
	struct frcnn_nms_strip *strips;
	struct frcnn_nms_range *ranges;
	struct frcnn_nms_level levels[130];
	int nlevels;
	double least; /* pairs with an IoU of at most this may be left out */
	float plus;
};
/* Over boxes in rank order, in scratch (FRCNN_NMS_SCRATCH(count) floats, in use as long as the index is). Only pairs
 * with IoU > bound will be found for certain; bound >= 0. Needs count >= FRCNN_NMS_INDEXED. */
#define FRCNN_NMS_INDEXED 256
void frcnn_nms_index_make(struct frcnn_nms_index *index, const float *boxes, size_t count, float bound, float plus,
			  float *scratch);
/* All positions that may overlap the box of that rank, itself too: index->ranges[0 .. n - 1]; returns n. */
size_t frcnn_nms_index_find(struct frcnn_nms_index *index, size_t rank);

/* ---- methods, of one class (soft.c, fuse.c) -------------------------------------------------- */

/* Boxes of one class in rank order, and room for what comes out of it. */
struct frcnn_nms_class {
	size_t count;
	const float *boxes;  /* (count, 4) */
	const float *scores; /* descending */
	const int *sources;  /* NULL: all 0 */
	double threshold;
	const struct frcnn_nms_options *options;
	double width, height; /* of the image; 0: unknown */
	float *scratch;       /* FRCNN_NMS_SCRATCH(count) */

	size_t nout;
	uint32_t *out;      /* count: the box, or the best member */
	float *out_scores;  /* count */
	float *out_boxes;   /* (count, 4) */
	uint8_t *out_moved; /* count: the box is not the input's */
};
/* Each 0 or FRCNN_ENOMEM. */
int frcnn_nms_soft(struct frcnn_nms_class *c);
int frcnn_nms_matrix(struct frcnn_nms_class *c);
int frcnn_nms_vote(struct frcnn_nms_class *c);
int frcnn_nms_fuse(struct frcnn_nms_class *c); /* WBF, NMW */

/* Calls visit for each pair's other box with IoU > bound (and >= 0), ascending ranks not promised. Works with or
 * without an index. */
struct frcnn_nms_neighbours {
	const float *boxes;
	size_t count;
	struct frcnn_nms_rule rule;
	bool indexed;
	struct frcnn_nms_index index;
};
void frcnn_nms_neighbours_make(struct frcnn_nms_neighbours *n, const float *boxes, size_t count,
			       const struct frcnn_nms_rule *rule, float *scratch);
void frcnn_nms_neighbours_visit(struct frcnn_nms_neighbours *n, size_t rank,
				void (*visit)(void *context, size_t other, float overlap), void *context);

#endif
