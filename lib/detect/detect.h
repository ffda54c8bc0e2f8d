/*
 * detect - what boxes mean: everything between pixels and networks whose size
 * depends on the image or on the data. Transform (normalise, resize, pad),
 * anchors, box decoding, top-k, NMS, proposals, RoIAlign and RoIPool,
 * post-processing, slices; and the detector that joins them with the graphs.
 * No convolutions, no files, no printing.
 *
 * Everything here gives torchvision 0.29's numbers (GeneralizedRCNNTransform,
 * AnchorGenerator, RegionProposalNetwork.filter_proposals, MultiScaleRoIAlign,
 * RoIHeads.postprocess_detections): arithmetic is float32 in its order, products
 * are not fused into sums, and where it leaves an order among equal scores
 * undefined the lower input index comes first.
 *
 * Conventions
 *   - Activations are float32, NHWC with N = 1: feature maps (H, W, C), which may lie
 *     in an int8 layer's bytes, RoI features (R, 7, 7, C).
 *   - Boxes are corners x1, y1, x2, y2, four floats each. "Network pixels" are those
 *     of the resized image (before padding), "image pixels" those of the input.
 *   - Results live in the caller's arrays or in a workspace, where they stay until
 *     the next call that is given the same workspace. A workspace keeps its
 *     memory between images and belongs to one caller at a time.
 *   - A pool may be NULL. Work is split by rows, levels, RoIs or labels, and
 *     nothing is summed across a split: results do not depend on the threads.
 *   - A function of type int returns 0 or a negative enum frcnn_status.
 */
#ifndef FRCNN_DETECT_H
#define FRCNN_DETECT_H

#include "graph/backend.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "nms/nms.h"

#define FRCNN_PAD_MULTIPLE 32 /* padded sides are multiples of this */
#define FRCNN_ROI_SIZE     7  /* a RoI becomes 7 x 7 bins */
#define FRCNN_ROI_SAMPLES  2  /* RoIAlign takes 2 x 2 samples a bin */
#define FRCNN_MAX_CELL     (FRCNN_MAX_ANCHORS * FRCNN_MAX_ANCHORS)

/* ---- parameters (params.c) ------------------------------------------------------------------- */

/* The anchors of one cell, in network pixels around the cell's origin. */
struct frcnn_cell_anchors {
	int count;
	float boxes[FRCNN_MAX_CELL * 4];
};

/* All that the stages need to know, defaults and options already resolved. */
struct frcnn_detect_params {
	int min_size, max_size;
	float mean[3], std[3];
	int nlevels; /* levels that the RPN sees */
	struct frcnn_cell_anchors anchors[FRCNN_MAX_LEVELS];
	int rpn_pre, rpn_post;              /* proposals a level before NMS, an image after it */
	double rpn_nms, rpn_score;          /* suppress at IoU > rpn_nms, keep objectness >= rpn_score */
	int nroi_levels;                    /* levels that RoIs are pooled from: the first ones */
	float roi_scales[FRCNN_MAX_LEVELS]; /* network pixels -> cells of that level; powers of 2, falling or equal */
	bool roi_pool;                      /* RoIPool in place of RoIAlign */
	int nlabels;                        /* background (label 0) included */
	double score, nms;                  /* keep score > score, suppress at IoU > nms within a label */
	enum frcnn_nms_method nms_method;
	double nms_sigma;
	int max_dets;              /* negative: no limit */
	const uint8_t *keep_label; /* nlabels flags, borrowed; NULL: all */
};

/* The description's own values: what a detector without options uses. keep_label NULL, roi_pool false. RoI scales are
 * 1/4, 1/8, 1/16, 1/32 (ResNet) and 1/32, 1/32 (MobileNet), by construction. */
void frcnn_detect_params_init(const struct frcnn_description *description, struct frcnn_detect_params *params);

/* ---- inside of a detector, for those who watch it (detector.c) ------------------------------- */

/* Its networks; weights that the backend packed are gone from them. Shared with the detectors made from it. */
const struct frcnn_graphs *frcnn_detector_graphs(const struct frcnn_detector *detector);
/* Idle while a watcher runs, which may use it. */
struct frcnn_pool *frcnn_detector_pool(struct frcnn_detector *detector);
/* Shows what the nodes of the features graph and of the head graph compute from now on, see watch in graph/backend.h.
 * NULL: no more. */
void frcnn_detector_watch(struct frcnn_detector *detector, frcnn_watcher *features, frcnn_watcher *head, void *context);

/* One layer of a float32 detector in int8: model is the same network with int8 layers, borrowed until the detector is
 * freed. Before the first image; afterwards images take several times the memory. Not in slices. */
int frcnn_detector_second(struct frcnn_detector *detector, const struct frcnn_model *model, struct frcnn_error *err);
struct frcnn_again {
	bool head;               /* of the head's graph; else of the features' */
	int params;              /* index into that graph's params */
	bool only;               /* nothing but that layer: the detections are none, or the float ones */
	frcnn_comparer *compare; /* shown what that layer computed, float and int8 (graph/backend.h), or NULL */
	void *context;
};
/* What frcnn_detect finds in the same image, which it was given just before, with that one layer in int8. Further
 * layers: those of the head first, then those of the features from the last one to the first. */
int frcnn_detect_again(struct frcnn_detector *detector, const struct frcnn_image *image,
		       const struct frcnn_again *again, struct frcnn_detections *out, struct frcnn_error *err);

/* ---- memory that stays between images (workspace.c) ------------------------------------------ */

/* One growing, 64-byte aligned block; zero-initialise. */
struct frcnn_scratch {
	void *data;
	size_t capacity; /* bytes */
};
/* At least count * size bytes, whatever was in it lost when it grows; NULL when refused. */
void *frcnn_scratch_get(struct frcnn_scratch *scratch, size_t count, size_t size);

enum frcnn_scratch_slot {
	FRCNN_SCRATCH_TAPS, /* transform */
	FRCNN_SCRATCH_ROWS,
	FRCNN_SCRATCH_PROPOSAL_KEYS, /* proposals */
	FRCNN_SCRATCH_PROPOSAL_LEVELS,
	FRCNN_SCRATCH_PROPOSAL_NMS,
	FRCNN_SCRATCH_PROPOSALS,
	FRCNN_SCRATCH_LEVELS, /* roi_align, roi_pool */
	FRCNN_SCRATCH_POOLED,
	FRCNN_SCRATCH_PROBABILITIES, /* postprocess */
	FRCNN_SCRATCH_CANDIDATES,
	FRCNN_SCRATCH_RANKED,
	FRCNN_SCRATCH_DETECTIONS,
	FRCNN_SCRATCH_NMS,   /* nms by label */
	FRCNN_SCRATCH_MERGE, /* slices */
	FRCNN_SCRATCH_MERGED,
	FRCNN_SCRATCH_SLOTS
};

struct frcnn_workspace { /* zero-initialise */
	struct frcnn_scratch slots[FRCNN_SCRATCH_SLOTS];
	const struct frcnn_kernels *kernels; /* for the arithmetic of channels (roi_align); NULL: the portable ones */
};
void frcnn_workspace_free(struct frcnn_workspace *workspace);

/* ---- transform (transform.c) ----------------------------------------------------------------- */

/* A picture or a part of one: RGB bytes, rows stride bytes apart. */
struct frcnn_view {
	const uint8_t *rgb;
	int width, height;
	size_t stride;
};

struct frcnn_transform_size {
	int width, height;               /* of the resized image */
	int padded_width, padded_height; /* of the network's input */
};

/* floor(side * s) with s = min(min_size / shorter, max_size / longer), in double. A side that becomes 0 is FRCNN_EINVAL
 * naming both sizes. */
int frcnn_transform_size(int width, int height, int min_size, int max_size, struct frcnn_transform_size *out,
			 struct frcnn_error *err);

/* (value / 255 - mean) / std, bilinear (align_corners false, no antialias) to size->width x size->height, zeros on the
 * right and below. out holds padded_height * padded_width * 3 floats, all of them written. size is what
 * frcnn_transform_size gave for this view. */
int frcnn_transform(struct frcnn_pool *pool, const struct frcnn_view *view, const struct frcnn_transform_size *size,
		    const float mean[3], const float std[3], struct frcnn_workspace *workspace, float *out,
		    struct frcnn_error *err);

/* ---- anchors (anchors.c) --------------------------------------------------------------------- */

/* sizes x ratios (height / width), ratio slowest, corners rounded half to even. */
void frcnn_cell_anchors(const struct frcnn_anchor_level *level, struct frcnn_cell_anchors *out);
/* The anchors of a whole level, (height, width, cell->count, 4): cell anchors moved to (x * step_x, y * step_y). step
 * is the padded side divided by the level's, rounded down. */
void frcnn_grid_anchors(const struct frcnn_cell_anchors *cell, int height, int width, int step_y, int step_x,
			float *out);

/* ---- boxes (box_coder.c) --------------------------------------------------------------------- */

extern const float frcnn_rpn_weights[4]; /* 1, 1, 1, 1 */
extern const float frcnn_box_weights[4]; /* 10, 10, 5, 5 */

/* The box that delta (dx, dy, dw, dh; divided by weights) makes of reference. dw, dh <= ln(1000 / 16) after division.
 */
void frcnn_box_decode(const float delta[4], const float reference[4], const float weights[4], float out[4]);
/* To [0, width] x [0, height]; NaN stays. */
void frcnn_box_clip(float box[4], float width, float height);
/* Whether both sides are >= min_size; false for NaN. */
bool frcnn_box_is_large(const float box[4], float min_size);
/* From an image of one size to another, by float32 ratios of the sides. In place. */
void frcnn_boxes_scale(float *boxes, size_t count, int from_width, int from_height, int to_width, int to_height);

/* ---- ranking (topk.c) ------------------------------------------------------------------------ */

/* Keys are frcnn_rank_key's. */
void frcnn_rank_sort(uint64_t *keys, size_t count); /* ascending, in place, no memory */
/* The k best of groups * each scores, score j of group g at scores[g * stride + j] with index g * each + j (< 2^32),
 * into keys (room for k) in rank order. Returns how many: min(k, groups * each). */
size_t frcnn_topk(const float *scores, size_t groups, size_t each, size_t stride, size_t k, uint64_t *keys);

/* ---- non-maximum suppression (nms.c) --------------------------------------------------------- */

/* frcnn_nms (nms/) within each label (0 .. nlabels - 1), boxes in rank order; at most limit stay of each. keep[i]
 * becomes 1 or 0. */
int frcnn_nms_by_label(struct frcnn_pool *pool, const float *boxes, const int *labels, size_t count, int nlabels,
		       double threshold, size_t limit, uint8_t *keep, struct frcnn_workspace *workspace,
		       struct frcnn_error *err);

/* ---- proposals (proposals.c) ----------------------------------------------------------------- */

/* The RPN head's output on one level. Anchor a of cell (y, x): logit at logits[(y * width + x) * logits_stride + a],
 * its four deltas from deltas[(y * width + x) * deltas_stride + 4 * a]. Both may point into one tensor. */
struct frcnn_rpn_level {
	const float *logits, *deltas;
	size_t logits_stride, deltas_stride; /* floats from one cell to the next */
	int height, width;
};

struct frcnn_proposals {
	size_t count;
	float *boxes;  /* (count, 4), network pixels, inside the resized image; in the workspace */
	float *scores; /* sigmoid of the logit, descending; in the workspace */
};

/* Per level: the rpn_pre best by logit, decoded, clipped, sides >= 1e-3, score >= rpn_score, NMS at rpn_nms; then the
 * rpn_post best of all. levels: params->nlevels of them. */
int frcnn_propose_boxes(struct frcnn_pool *pool, const struct frcnn_rpn_level *levels,
			const struct frcnn_detect_params *params, const struct frcnn_transform_size *size,
			struct frcnn_workspace *workspace, struct frcnn_proposals *out, struct frcnn_error *err);

/* ---- RoI features (roi_align.c, roi_pool.c) -------------------------------------------------- */

/* (height, width, channels), in float32 or in bytes: one of the two is NULL. A bin of bytes is what
 * frcnn_weigh_reference of kernels/ says. */
struct frcnn_feature {
	const float *data;
	int height, width;
	float scale; /* network pixels -> cells */
	const uint8_t *bytes;
	struct frcnn_quant quant;
};

/* Which level each box is pooled from: floor(4 + log2(sqrt(area) / 224) + 1e-6) in float32, clamped to the levels that
 * the first and the last scale name (1/4 is level 2), counted from the first. One scale: always 0. */
void frcnn_roi_levels(const float *boxes, size_t count, const float *scales, int nscales, uint8_t *levels);

/* Where pooled features go: to data, or where that is NULL to store, which takes values at .. at + count - 1 from any
 * thread. */
struct frcnn_roi_sink {
	float *data;
	void (*store)(void *network, size_t at, const float *values, size_t count);
	void *network;
};

/* boxes (count, 4) in network pixels -> out (count, 7, 7, channels), each from its level. Align: 2 x 2 bilinear samples
 * a bin, not aligned, sides at least one cell. Pool: the maximum of each bin of rounded cells. Coordinates beyond the
 * map and NaN are safe. */
int frcnn_roi_align(struct frcnn_pool *pool, const struct frcnn_feature *features, int nfeatures, int channels,
		    const float *boxes, size_t count, struct frcnn_workspace *workspace, struct frcnn_roi_sink out,
		    struct frcnn_error *err);
int frcnn_roi_pool(struct frcnn_pool *pool, const struct frcnn_feature *features, int nfeatures, int channels,
		   const float *boxes, size_t count, struct frcnn_workspace *workspace, struct frcnn_roi_sink out,
		   struct frcnn_error *err);

/* The two above are this with their own work on one RoI (roi_each.c). */
typedef void frcnn_roi_one(const struct frcnn_kernels *kernels, const struct frcnn_feature *feature, const float *box,
			   int channels, float *out);
int frcnn_roi_each(struct frcnn_pool *pool, frcnn_roi_one *one, const struct frcnn_feature *features, int nfeatures,
		   int channels, const float *boxes, size_t count, struct frcnn_workspace *workspace,
		   struct frcnn_roi_sink out, struct frcnn_error *err);

/* ---- post-processing (postprocess.c) --------------------------------------------------------- */

/* The box head's output for count RoIs: logits (count, nlabels) and deltas (count, nlabels, 4), rows stride floats
 * apart. */
struct frcnn_head_output {
	const float *logits, *deltas;
	size_t logits_stride, deltas_stride;
};

/* Softmax; label 0 and labels not kept are dropped; score > params->score; decoded from boxes (count, 4) with weights
 * 10, 10, 5, 5, clipped, sides >= 1e-2; NMS within a label; the max_dets best, scaled to image_width x image_height.
 * *items (descending score) lies in the workspace. */
int frcnn_postprocess(struct frcnn_pool *pool, const struct frcnn_head_output *head, const float *boxes, size_t count,
		      const struct frcnn_detect_params *params, const struct frcnn_transform_size *size,
		      int image_width, int image_height, struct frcnn_workspace *workspace,
		      struct frcnn_detection **items, size_t *nitems, struct frcnn_error *err);

/* ---- slices (slices.c) ----------------------------------------------------------------------- */

#define FRCNN_INNER_LEFT   1u
#define FRCNN_INNER_TOP    2u
#define FRCNN_INNER_RIGHT  4u
#define FRCNN_INNER_BOTTOM 8u

/* A box within this many image pixels of its tile's edge ends there. */
#define FRCNN_SLICE_EDGE 2.0f
/* A fragment goes when this share of it lies in another box. */
#define FRCNN_SLICE_SHARE 0.7f

struct frcnn_tile {
	int x, y, width, height; /* in the image */
	unsigned inner;          /* which edges are not the image's own */
};

struct frcnn_slices {
	int width, height;           /* of the image */
	int tile_width, tile_height; /* all tiles are equally large */
	int step_x, step_y;
	int columns, rows;
};

/* Tiles of slice_width x slice_height, cut to the image where it is smaller, that cover it: each next one a slice less
 * the overlap further, the last one moved back to end with the image. overlap -1: a fifth of the smaller side. Sides <
 * 1 and an overlap not smaller than a side are FRCNN_EINVAL. */
int frcnn_slices_layout(int width, int height, int slice_width, int slice_height, int overlap, struct frcnn_slices *out,
			struct frcnn_error *err);
size_t frcnn_slices_count(const struct frcnn_slices *slices);
/* Tile index < count, row by row. */
struct frcnn_tile frcnn_slices_tile(const struct frcnn_slices *slices, size_t index);

/* The detections of all tiles, items[i] found in tile tiles[i] and already moved to image coordinates, made one set:
 * NMS within a label at IoU > nms; then a box that ends at an inner edge of its tile goes when FRCNN_SLICE_SHARE of it
 * lies in a box of the same label, from another tile, that does not end at that edge; then the max_dets best (negative:
 * all). Of two fragments that lie in each other the smaller goes. Equal scores are ordered by label, then corners: the
 * order of the items does not matter. *out (descending score) lies in the workspace. */
int frcnn_slices_merge(struct frcnn_pool *pool, const struct frcnn_slices *slices, const struct frcnn_detection *items,
		       const size_t *tiles, size_t count, int nlabels, double nms, int max_dets,
		       struct frcnn_workspace *workspace, struct frcnn_detection **out, size_t *nout,
		       struct frcnn_error *err);

#endif
