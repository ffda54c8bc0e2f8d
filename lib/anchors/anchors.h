/*
 * anchors - do anchors fit a ground truth, and which would fit better: the RPN's
 * assignment as torchvision trains with it, what anchors can reach at best, what
 * proposals do reach, a search for other anchors, and all of it as text, JSON
 * and a page. Only sizes of images count here: no pixels, no networks. Cell
 * anchors themselves are detect's; reading files is record's.
 *
 * Conventions
 *   - The reference is torchvision 0.29 with its training reference's reading of
 *     COCO: corners in float32, clipped to the image; crowds and boxes without
 *     area left out; one image a batch; resized and padded as for detection;
 *     anchors that straddle the image kept. IoU is float32 in its order of
 *     operations, thresholds are float32.
 *   - A "kind" of anchor is one size and aspect ratio (height / width) of one
 *     level; kinds are numbered level by level, ratio slowest, as the anchors of a
 *     cell are.
 *   - Boxes are corners x1, y1, x2, y2, four floats each; "network pixels" are
 *     those of the resized image.
 *   - Work is split by images; results do not depend on the threads.
 *   - A function of type int returns 0 or a negative enum frcnn_status.
 */
#ifndef FRCNN_ANCHORS_H
#define FRCNN_ANCHORS_H

#include "detect/detect.h"
#include "record/record.h"

/* At least this IoU with an object: positive; less than that with every object: negative; between: ignored. */
#define FRCNN_ANCHOR_POSITIVE 0.7f
#define FRCNN_ANCHOR_NEGATIVE 0.3f

/* Recall is told at these IoUs: 0.3, 0.5, 0.7. */
#define FRCNN_ANCHOR_IOUS 3
extern const float frcnn_anchor_ious[FRCNN_ANCHOR_IOUS];
extern const char *const frcnn_anchor_iou_names[FRCNN_ANCHOR_IOUS];

/* Sizes of objects by the area that the ground truth states: all, small, medium, large (COCO's). */
#define FRCNN_ANCHOR_AREAS 4
extern const char *const frcnn_anchor_area_names[FRCNN_ANCHOR_AREAS];
/* Whether an area belongs to range a. */
bool frcnn_anchor_in_area(double area, int a);

/* ---- configurations (config.c) --------------------------------------------------------------- */

struct frcnn_anchor_config {
	int nlevels;
	struct frcnn_anchor_level levels[FRCNN_MAX_LEVELS];
	int shifts[FRCNN_MAX_LEVELS]; /* a cell of level i is 2^shift pixels; -1: every second cell of the level before
				       */
	int min_size, max_size;
	int nroi_levels;
	float roi_scales[FRCNN_MAX_LEVELS];
};

/* torchvision's ResNet-FPN: 32, 64, 128, 256, 512 x 0.5, 1, 2 on strides 4 to 64, at 800 / 1333. */
void frcnn_anchor_config_default(struct frcnn_anchor_config *out);
void frcnn_anchor_config_of(const struct frcnn_description *description, struct frcnn_anchor_config *out);
/* Anchors whose sides float32 holds exactly, however far they are moved: sides up to 1e6. */
int frcnn_anchor_config_check(const struct frcnn_anchor_config *config, struct frcnn_error *err);

struct frcnn_anchor_grid {
	int width, height;  /* cells */
	int step_x, step_y; /* network pixels */
};
void frcnn_anchor_grids(const struct frcnn_anchor_config *config, const struct frcnn_transform_size *size,
			struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS]);

int frcnn_anchor_config_kinds(const struct frcnn_anchor_config *config);
bool frcnn_anchor_config_equal(const struct frcnn_anchor_config *a, const struct frcnn_anchor_config *b);
bool frcnn_anchor_ratios_shared(const struct frcnn_anchor_config *config);

/* "32,64,128,256,512;0.5,1,2", as --anchors takes it. */
void frcnn_anchor_put_option(const struct frcnn_anchor_config *config, struct frcnn_buffer *out);
/* AnchorGenerator(sizes=..., aspect_ratios=...), one line. */
void frcnn_anchor_put_torchvision(const struct frcnn_anchor_config *config, struct frcnn_buffer *out);
/* MODEL.ANCHOR_GENERATOR, four lines. */
void frcnn_anchor_put_detectron2(const struct frcnn_anchor_config *config, struct frcnn_buffer *out);

/* The side of the smallest square object, in network pixels, that always (anywhere: wherever it lies) or at best
 * overlaps an anchor by that IoU; in steps of 1/8. -1: none up to 2048. */
double frcnn_anchor_smallest(const struct frcnn_anchor_config *config, double iou, bool anywhere);

/* ---- ground truth as the assignment sees it (boxes.c) ---------------------------------------- */

/* What is odd in a ground truth. */
enum frcnn_anchor_check {
	FRCNN_ANCHOR_NO_SIZE,   /* an image whose sides nobody states, or that would be resized to nothing: left out */
	FRCNN_ANCHOR_NO_AREA,   /* left out: such a box would make every anchor of its image positive */
	FRCNN_ANCHOR_OUTSIDE,   /* wholly outside of its image: left out, likewise */
	FRCNN_ANCHOR_PARTLY,    /* more than half a pixel outside: clipped, as less than that is without a word */
	FRCNN_ANCHOR_DUPLICATE, /* the box and category of another one: kept, as torchvision does */
	FRCNN_ANCHOR_CROWD,     /* crowds, and VOC's difficult: left out */
	FRCNN_ANCHOR_EMPTY,     /* an image without objects: all its anchors are negative */
	FRCNN_ANCHOR_CHECKS
};
/* "no_area" */
extern const char *const frcnn_anchor_check_names[FRCNN_ANCHOR_CHECKS];

struct frcnn_anchor_finding {
	size_t image;      /* in the ground truth */
	size_t annotation; /* in the ground truth; SIZE_MAX: the image as a whole */
};
struct frcnn_anchor_findings {
	struct frcnn_anchor_finding *items;
	size_t count, capacity;
};

struct frcnn_anchor_image {
	size_t truth; /* index in the ground truth */
	int width, height;
	struct frcnn_transform_size size;
	size_t first, count; /* boxes */
};

struct frcnn_anchor_boxes {
	const struct frcnn_ground_truth *truth; /* borrowed */
	size_t nimages;                         /* in the ground truth's order */
	struct frcnn_anchor_image *images;
	size_t nboxes;       /* image by image, in file order */
	float *network;      /* (nboxes, 4), network pixels */
	float *original;     /* (nboxes, 4), clipped to the image */
	double *areas;       /* as the ground truth states them */
	size_t *annotations; /* index in the ground truth */
	struct frcnn_anchor_findings findings[FRCNN_ANCHOR_CHECKS];
};
int frcnn_anchor_boxes_make(const struct frcnn_ground_truth *truth, int min_size, int max_size,
			    struct frcnn_anchor_boxes *out, struct frcnn_error *err);
/* The images with keep[i] == wanted alone; without findings. */
int frcnn_anchor_boxes_select(const struct frcnn_anchor_boxes *boxes, const uint8_t *keep, uint8_t wanted,
			      struct frcnn_anchor_boxes *out, struct frcnn_error *err);
void frcnn_anchor_boxes_free(struct frcnn_anchor_boxes *boxes);

/* ---- the assignment (assign.c) --------------------------------------------------------------- */

struct frcnn_anchor_kind {
	int level;
	float size, ratio;
	float width, height; /* of the anchor, rounded */
	int64_t anchors, positive, negative, ignored;
	size_t best;                      /* objects whose best anchor is of this kind; equals: the first kind */
	double mean, median;              /* their IoU; -1: none */
	double recall[FRCNN_ANCHOR_IOUS]; /* share of all objects that this kind alone reaches; -1: no objects */
};

struct frcnn_anchor_stats {
	int nkinds;
	struct frcnn_anchor_kind *kinds;
	int64_t anchors, positive, negative, ignored;
	size_t nboxes;
	float *best;         /* of each box: IoU with its best anchor */
	uint16_t *best_kind; /* and its kind */
	uint32_t *matched;   /* of each box: positive anchors that are matched to it, not to another */
	size_t forced;       /* images where an object overlaps no anchor at all, which makes all anchors positive */
};
/*
 * RegionProposalNetwork.assign_targets_to_anchors over every image, 0.7 / 0.3: an anchor is positive when its IoU with
 * some object is >= 0.7, or when it is the best, equals included, that some object has (low-quality matches); it is
 * matched to the object that it overlaps most, equals: the first. Anchors are visited only where they can matter: per
 * object and kind, those that overlap by 0.3 or by the object's best IoU. boxes were made with the sizes of config.
 */
int frcnn_anchors_assign(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config,
			 struct frcnn_pool *pool, struct frcnn_anchor_stats *out, struct frcnn_error *err);
void frcnn_anchor_stats_free(struct frcnn_anchor_stats *stats);

/* The best IoU that anchors of one level give each box, into best (nboxes). Exact, from the few cells around a box. */
void frcnn_anchors_best(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config, int level,
			struct frcnn_pool *pool, float *best);

/* Of the objects of one range of area; values -1 without objects. */
struct frcnn_anchor_summary {
	size_t objects;
	double mean, median;              /* best IoU */
	double recall[FRCNN_ANCHOR_IOUS]; /* best possible recall */
	double matched;                   /* share with a positive anchor matched to them */
};
int frcnn_anchors_summarize(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_stats *stats, int area,
			    struct frcnn_anchor_summary *out, struct frcnn_error *err);

/* Ascending, in place; and the value at q (0 .. 1) of sorted values, between the nearest ranks; -1 without any. */
void frcnn_anchor_sort(double *values, size_t count);
double frcnn_anchor_quantile(const double *sorted, size_t count, double q);

/* ---- a run's proposals (proposals.c) --------------------------------------------------------- */

#define FRCNN_ANCHOR_TOPS 3 /* the first 100, 300, 1000 of an image */
extern const int frcnn_anchor_tops[FRCNN_ANCHOR_TOPS];

struct frcnn_anchor_proposals {
	size_t images, count;              /* images with a record; proposals */
	size_t absent;                     /* images of boxes without a record */
	size_t failed;                     /* records left out, each said as an error notice */
	float *reached[FRCNN_ANCHOR_TOPS]; /* of each box: IoU with the proposal that it got, 0: none */
	size_t levels[FRCNN_MAX_LEVELS];   /* proposals by the level that RoIs are pooled from */
};
/*
 * Records in any form (proposals of frcnn-detect --proposals, else detections), from path, or stream when path is "-".
 * One to one, as detectron2 measures proposals: of all pairs the one with the highest IoU is taken and both are gone,
 * and so on (equals: the earlier box, then the better proposal). Boxes as in the record, IoU in double.
 */
int frcnn_anchor_proposals_read(const char *path, FILE *stream, const struct frcnn_anchor_boxes *boxes,
				const struct frcnn_anchor_config *config, const struct frcnn_notices *notices,
				struct frcnn_anchor_proposals *out, struct frcnn_error *err);
void frcnn_anchor_proposals_free(struct frcnn_anchor_proposals *proposals);
/* Share of the objects of an area range with reached >= iou among the first tops; iou < 0: the mean over 0.5:0.95:0.05.
 * -1: no objects. */
double frcnn_anchor_proposals_recall(const struct frcnn_anchor_boxes *boxes,
				     const struct frcnn_anchor_proposals *proposals, int top, int area, double iou);

/* ---- fitting (fit.c, kmeans.c) ---------------------------------------------------------------- */

enum frcnn_anchor_objective {
	FRCNN_ANCHOR_MEAN_IOU, /* mean best IoU */
	FRCNN_ANCHOR_RECALL,   /* best possible recall at IoU 0.7 */
	FRCNN_ANCHOR_ASSIGNED  /* share of objects with a positive anchor matched to them */
};
extern const char *const frcnn_anchor_objective_names[3];

struct frcnn_anchor_fit_options {
	enum frcnn_anchor_objective objective;
	uint64_t seed;
	int nsizes, nratios; /* of a level; 0: as the configuration has at its first level */
	bool per_level;      /* ratios of each level its own */
	int steps;           /* candidates tried from each start */
	int resamples;       /* for the interval */
};

struct frcnn_anchor_fit {
	struct frcnn_anchor_fit_options options;
	struct frcnn_anchor_config config;
	size_t images, held_images, boxes, held_boxes;
	struct frcnn_anchor_summary before, after; /* held out */
	struct frcnn_anchor_summary seen_before, seen_after;
	double gain, low, high;          /* of the objective, held out, with its 95% interval over resampled images */
	bool keep_default;               /* the interval includes no gain */
	float *best_before, *best_after; /* of each held-out object, ascending */
};
/*
 * Half of the images are held out, by the digest of seed and file name (without one: id), so that an image stays on its
 * side when others come. On the other half: IoU k-means over widths and heights (seeded), then a (1+1) evolution
 * strategy from there and another from the given anchors, where they have the same shape. Equals in the objective are
 * decided by mean best IoU. Sizes are whole pixels, ratios have two decimals, and the sizes' geometric mean does not
 * fall from level to level. FRCNN_EINVAL when a half has no objects.
 */
int frcnn_anchors_fit(const struct frcnn_anchor_boxes *boxes, const struct frcnn_anchor_config *config,
		      const struct frcnn_anchor_fit_options *options, struct frcnn_pool *pool,
		      struct frcnn_anchor_fit *out, struct frcnn_error *err);
void frcnn_anchor_fit_free(struct frcnn_anchor_fit *fit);

/* Random numbers of the search: splitmix64. */
uint64_t frcnn_anchor_random(uint64_t *state);
double frcnn_anchor_uniform(uint64_t *state); /* [0, 1) */
/* k centres (width, height) of boxes by 1 - IoU, in centres (k, 2) with the boxes' numbers in weights (k). FRCNN_ENOMEM
 * alone fails; there must be boxes. */
int frcnn_anchor_kmeans(const float *boxes, size_t count, int k, uint64_t seed, double *centres, double *weights,
			struct frcnn_error *err);

/* ---- the whole (report.c, text.c, json.c, page.c) --------------------------------------------- */

#define FRCNN_ANCHOR_QUANTILES 7 /* 0, 5, 25, 50, 75, 95, 100% */
extern const double frcnn_anchor_quantiles[FRCNN_ANCHOR_QUANTILES];
enum frcnn_anchor_measure {
	FRCNN_ANCHOR_WIDTH,
	FRCNN_ANCHOR_HEIGHT,
	FRCNN_ANCHOR_AREA,   /* of the clipped box */
	FRCNN_ANCHOR_ASPECT, /* height / width */
	FRCNN_ANCHOR_NETWORK_WIDTH,
	FRCNN_ANCHOR_NETWORK_HEIGHT,
	FRCNN_ANCHOR_MEASURES
};
extern const char *const frcnn_anchor_measure_names[FRCNN_ANCHOR_MEASURES];

struct frcnn_anchor_report {
	const char *truth_path, *model; /* model NULL: none */
	struct frcnn_anchor_config config;
	struct frcnn_anchor_boxes boxes;
	struct frcnn_anchor_stats stats;
	size_t truth_errors; /* entries of the ground truth that were left out */
	double reach;        /* an object that no anchor reaches has a best IoU below this */

	/* made by frcnn_anchor_report_fill */
	struct frcnn_anchor_summary summaries[FRCNN_ANCHOR_AREAS];
	double distribution[FRCNN_ANCHOR_MEASURES][FRCNN_ANCHOR_QUANTILES]; /* -1: no objects */
	size_t roi_levels[FRCNN_MAX_LEVELS];                                /* objects, taken as RoIs */
	double scale;                      /* median of network pixels per image pixel; -1: no images */
	double smallest[2][2];             /* [IoU 0.5, 0.7][at best, anywhere], network pixels */
	size_t *unreachable, nunreachable; /* boxes, ascending IoU */

	bool has_proposals, has_fit;
	struct frcnn_anchor_proposals proposals;
	struct frcnn_anchor_fit fit;
};
/* Everything that follows from config, boxes, stats and reach. */
int frcnn_anchor_report_fill(struct frcnn_anchor_report *report, struct frcnn_error *err);
void frcnn_anchor_report_free(struct frcnn_anchor_report *report);
/* What to call an image: its file name, else its id. */
void frcnn_anchor_put_image(const struct frcnn_ground_truth *truth, size_t image, struct frcnn_buffer *out);

int frcnn_anchor_report_text(const struct frcnn_anchor_report *report, struct frcnn_buffer *out,
			     struct frcnn_error *err);
int frcnn_anchor_report_json(const struct frcnn_anchor_report *report, struct frcnn_buffer *out,
			     struct frcnn_error *err);
int frcnn_anchor_report_html(const struct frcnn_anchor_report *report, struct frcnn_buffer *out,
			     struct frcnn_error *err);

#endif
