/*
 * frcnn.h - Faster R-CNN in C: the only installed header.
 *
 * Conventions
 *   - A function that can fail returns 0 or a negative enum frcnn_status and
 *     writes one line (lower case, no full stop) into *err, which may be NULL.
 *     A function that is given a path names it in that line; a function that is
 *     given bytes does not.
 *   - What a function makes through *out is NULL, or zeroed, after an error: it
 *     may be freed all the same. Options are copied, with all that they point at.
 *   - Pixels are 8-bit RGB, interleaved, rows top to bottom without padding.
 *   - Boxes are corners (x1, y1, x2, y2) in pixels of the image as given, float32.
 *   - Nothing here prints, exits, reads the environment or keeps globals.
 *   - A model is immutable once open and may be shared by threads. A detector
 *     belongs to one caller at a time; it uses as many threads as it was made with.
 *     Several pictures at once: one detector each, made by frcnn_detector_share.
 *   - Same model, image, options and CPU kernels give the same bytes, whatever
 *     the number of threads. Not promised: the same bytes across kernel sets.
 */
#ifndef FRCNN_H
#define FRCNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRCNN_VERSION "0.1.0"

#ifndef FRCNN_API
#define FRCNN_API __attribute__((visibility("default")))
#endif

enum frcnn_status {
	FRCNN_OK = 0,
	FRCNN_ENOMEM = -1,       /* memory refused */
	FRCNN_EINVAL = -2,       /* an argument or option makes no sense */
	FRCNN_EIO = -3,          /* the system refused a read, write or open */
	FRCNN_EFORMAT = -4,      /* the bytes are malformed */
	FRCNN_EUNSUPPORTED = -5, /* well formed, but not something we read or run */
	FRCNN_ELIMIT = -6        /* larger than a limit allows */
};

struct frcnn_error {
	int status;
	char message[1024];
};

FRCNN_API const char *frcnn_version(void);

/* ---- images ---------------------------------------------------------- */

/* Decoded, or made by the caller from pixels of its own. */
struct frcnn_image {
	int width, height;
	uint8_t *rgb;      /* height * width * 3 */
	char warning[160]; /* "" or one line: read all the same, but something is odd */
};

struct frcnn_image_options {
	int exif;           /* turn the picture by its EXIF orientation; default 0 */
	int64_t max_pixels; /* refuse larger pictures; 0: the default, 178956970 */
};

/* Decodes a JPEG or PNG, told apart by content, into *out (freed by frcnn_image_free).
 * options may be NULL. */
FRCNN_API int frcnn_image_decode(const void *bytes, size_t size, const struct frcnn_image_options *options,
				 struct frcnn_image *out, struct frcnn_error *err);
FRCNN_API void frcnn_image_free(struct frcnn_image *image);

/* ---- models ---------------------------------------------------------- */

struct frcnn_model;

/* What tensors cannot say. frcnn_model_options_init sets every field to "the model's own". */
struct frcnn_model_options {
	const char *arch;          /* architecture, e.g. "fasterrcnn_resnet50_fpn"; NULL: inferred */
	const char *weights_key;   /* which wrapper key of a checkpoint holds the weights; NULL: found */
	const char *anchor_sizes;  /* "32,64,128,256,512": ',' between levels, '+' within one; NULL: own */
	const char *aspect_ratios; /* "0.5,1,2" for all levels, '/' between levels; NULL: own */
	const float *mean, *std;   /* 3 each, of pixels in [0,1], up to 1e6; std from 1e-6; NULL: own */
	double bn_eps;             /* up to 1; < 0: own */
	int min_size, max_size;    /* resize limits in pixels, up to 65535; 0: own */
	const char *const *labels; /* nlabels names, labels[i] names category id i + 1; NULL: own. Each is a line of
				      UTF-8, 1 to 256 bytes, without control characters. */
	size_t nlabels;            /* frcnn_model_labels() - 1, background having no name */
};

FRCNN_API void frcnn_model_options_init(struct frcnn_model_options *options);
/* Reads a torchvision .pth or a safetensors file. options may be NULL. */
FRCNN_API int frcnn_model_open(const char *path, const struct frcnn_model_options *options, struct frcnn_model **out,
			       struct frcnn_error *err);
FRCNN_API void frcnn_model_close(struct frcnn_model *model);

/* "NAME@SHA12": the model's name and the first 12 hex digits of its file's SHA-256. */
FRCNN_API const char *frcnn_model_id(const struct frcnn_model *model);
FRCNN_API const char *frcnn_model_architecture(const struct frcnn_model *model);
/* Number of labels, background (label 0) included. */
FRCNN_API int frcnn_model_labels(const struct frcnn_model *model);
/* Name and category id of label 1 .. frcnn_model_labels() - 1; the name may be NULL. */
FRCNN_API const char *frcnn_model_label_name(const struct frcnn_model *model, int label);
FRCNN_API int64_t frcnn_model_label_category(const struct frcnn_model *model, int label);

/* ---- suppression ------------------------------------------------------- */

enum frcnn_nms_method {
	FRCNN_NMS_HARD,        /* greedy: a box goes when its IoU with a better one that stays is above the threshold */
	FRCNN_NMS_SOFT_LINEAR, /* Bodla et al. 2017: scores times 1 - IoU, where that is above the threshold */
	FRCNN_NMS_SOFT_GAUSSIAN, /* scores times exp(-IoU^2 / sigma) */
	FRCNN_NMS_DIOU,          /* greedy with IoU less the centres' distance (Zheng et al. 2020) */
	FRCNN_NMS_MATRIX,        /* Wang et al. 2020, SOLOv2 */
	FRCNN_NMS_VOTE,          /* greedy, then boxes are means of those they overlap (Gidaris & Komodakis 2015) */
	FRCNN_NMS_WBF,           /* weighted boxes fusion (Solovyev et al. 2021) */
	FRCNN_NMS_NMW            /* non-maximum weighted (Zhou et al. 2017) */
};

/* What becomes of the scores of boxes that WBF fuses; names are ensemble-boxes'. */
enum frcnn_nms_confidence {
	FRCNN_NMS_AVG,
	FRCNN_NMS_MAX,
	FRCNN_NMS_BOX_AND_MODEL_AVG,
	FRCNN_NMS_ABSENT_MODEL_AWARE_AVG
};

struct frcnn_nms_options {
	enum frcnn_nms_method method;
	double iou;                           /* threshold; soft-gaussian and matrix have none. Default 0.5 */
	int geq;                              /* overlaps equal to the threshold count as above it. Default 0 */
	int plus_one;                         /* sides are x2 - x1 + 1 (not WBF and NMW). Default 0 */
	double sigma;                         /* soft-gaussian, matrix; default 0.5 */
	int linear;                           /* matrix: decay by 1 - IoU in place of the Gaussian. Default 0 */
	double score;                         /* soft, matrix: keep lowered scores > this; NaN: 0.001 */
	double vote_iou;                      /* vote; default 0.5 */
	enum frcnn_nms_confidence confidence; /* WBF */
	int allow_overflow;                   /* WBF, avg: more members than sources raise the score */
	int clip_scores;                      /* WBF, NMW: scores above 1 become 1 */
	const double *weights; /* WBF, NMW: of each source, >= 0; one of weight 0 takes no part. NULL: all 1 */
	int nsources;          /* default 1 */
	int top_k;             /* only so many of the best are looked at; -1: all */
	int max_dets;          /* at most so many come out, the best; -1: all */
};

struct frcnn_nms_boxes {
	size_t count;
	const float *boxes;  /* count * 4 corners */
	const float *scores; /* count */
	const int *labels;   /* count, 0 .. nlabels - 1: only boxes of one label meet. NULL: all of one */
	int nlabels;
	const int *sources;       /* count, 0 .. nsources - 1: which detector each is of. NULL: all of 0 */
	const uint32_t *order;    /* a permutation: of equal scores what is earlier in it comes first; NULL: by index */
	const double *thresholds; /* nlabels, each in place of options->iou; NaN: options->iou. NULL */
	double width, height;     /* of the image: WBF and NMW cut boxes to it. 0: unknown */
};

struct frcnn_survivors {
	size_t count;    /* descending score; of equal scores what came first */
	uint32_t *index; /* the box, or the best one of those fused */
	float *scores;
	float *boxes;         /* count * 4 */
	unsigned char *moved; /* count: 1: the box is not boxes->boxes[index] */
};

FRCNN_API void frcnn_nms_options_init(struct frcnn_nms_options *options);
/* options may be NULL. *out is freed by frcnn_survivors_free. */
FRCNN_API int frcnn_suppress(const struct frcnn_nms_boxes *boxes, const struct frcnn_nms_options *options,
			     struct frcnn_survivors *out, struct frcnn_error *err);
FRCNN_API void frcnn_survivors_free(struct frcnn_survivors *survivors);

/* ---- detection ------------------------------------------------------- */

enum frcnn_device { FRCNN_CPU = 0, FRCNN_CUDA = 1 };

struct frcnn_detector;

/* Arithmetic of the networks. BF16: 1 x 1 convolutions and fully connected layers multiply in bfloat16 and add in
 * float32, where the machine does that itself; it is never emulated. */
enum frcnn_precision { FRCNN_PRECISION_FP32 = 0, FRCNN_PRECISION_BF16 = 1 };

struct frcnn_detector_options {
	enum frcnn_device device;
	enum frcnn_precision precision; /* default fp32 */
	const char *cpu; /* kernel set: "avx512", "avx2", "c", "reference"; NULL: the best this machine has */
	int threads;     /* 0: all usable cores */
	double score;    /* keep detections with score > this; NaN: the model's own, as for the rest */
	double nms;      /* suppress at IoU > this, class by class; NaN: own */
	enum frcnn_nms_method nms_method; /* hard, soft, diou or matrix, of each picture or slice; default hard */
	double nms_sigma;                 /* of soft-gaussian and matrix; NaN: 0.5 */
	int max_dets;                     /* detections an image at the most; -1: own */
	int rpn_pre, rpn_post;            /* proposals a level before, an image after NMS; -1: own */
	double rpn_nms, rpn_score;        /* NaN: own */
	const uint8_t *keep_label;        /* frcnn_model_labels() flags, applied before max_dets; NULL: all */
	int roi_pool;                     /* RoIPool in place of RoIAlign */
	int slice_width, slice_height;    /* detect in tiles of this size and merge; 0: whole images */
	int slice_overlap;                /* pixels; -1: a fifth of the smaller side */
};

struct frcnn_detection {
	float x1, y1, x2, y2;
	float score; /* after softmax; of a proposal: objectness after the sigmoid */
	int label;   /* 1 .. labels - 1; of a proposal: 0 */
};

enum frcnn_stage {
	FRCNN_STAGE_TRANSFORM, /* normalise, resize, pad */
	FRCNN_STAGE_BACKBONE,  /* body, FPN, RPN head */
	FRCNN_STAGE_PROPOSALS, /* decode, top-k, NMS */
	FRCNN_STAGE_ROI,       /* RoIAlign or RoIPool */
	FRCNN_STAGE_HEAD,      /* box head */
	FRCNN_STAGE_POST,      /* softmax, decode, NMS, top detections */
	FRCNN_STAGES
};

struct frcnn_detections {
	size_t count;
	struct frcnn_detection *items; /* descending score; ties: the lower index before sorting */
	double seconds[FRCNN_STAGES];  /* wall time of each stage, summed over slices */
};

FRCNN_API void frcnn_detector_options_init(struct frcnn_detector_options *options);
/* The model must outlive the detector. options may be NULL. */
FRCNN_API int frcnn_detector_new(const struct frcnn_model *model, const struct frcnn_detector_options *options,
				 struct frcnn_detector **out, struct frcnn_error *err);
FRCNN_API void frcnn_detector_free(struct frcnn_detector *detector);
/* Another detector with the same options over the same weights, which are in memory once; threads (0: all usable
 * cores), activations and results are its own. Each may be used by another thread at the same time, but detector itself
 * not during this call. They are freed in any order. */
FRCNN_API int frcnn_detector_share(struct frcnn_detector *detector, int threads, struct frcnn_detector **out,
				   struct frcnn_error *err);
/* Gives back all the memory that detector keeps from picture to picture, and its threads; from here on it has threads
 * of them (0: all usable cores), or as many as the system lets it have. What it finds stays the same. After an error it
 * is as it was, or nearly. */
FRCNN_API int frcnn_detector_renew(struct frcnn_detector *detector, int threads, struct frcnn_error *err);
/* Bytes of activations that a picture of the largest size needs: about what the detector takes beside the weights, and
 * what each one that shares them adds. Takes no such memory. */
FRCNN_API int frcnn_detector_memory(struct frcnn_detector *detector, size_t *bytes, struct frcnn_error *err);
/* The kernel set in force, e.g. "avx512". */
FRCNN_API const char *frcnn_detector_cpu(const struct frcnn_detector *detector);

/* Each fills *out, freed by frcnn_detections_free. */
FRCNN_API int frcnn_detect(struct frcnn_detector *detector, const struct frcnn_image *image,
			   struct frcnn_detections *out, struct frcnn_error *err);
/* The region proposal network's boxes in place of detections. */
FRCNN_API int frcnn_propose(struct frcnn_detector *detector, const struct frcnn_image *image,
			    struct frcnn_detections *out, struct frcnn_error *err);
/* Fast R-CNN: classifies and refines the given boxes (count * 4 corners, original pixels). */
FRCNN_API int frcnn_classify(struct frcnn_detector *detector, const struct frcnn_image *image, const float *boxes,
			     size_t count, struct frcnn_detections *out, struct frcnn_error *err);
FRCNN_API void frcnn_detections_free(struct frcnn_detections *detections);

/* Space-separated kernel sets this machine can run, best first ("avx512 avx2 c reference"). */
FRCNN_API const char *frcnn_cpu_available(void);

#ifdef __cplusplus
}
#endif

#endif
