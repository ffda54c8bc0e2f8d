/*
 * model - model files: checkpoint containers (torchvision .pth in its zip and
 * legacy forms, safetensors) to named tensors, tensors to a description of the
 * detector, and back to the native file. A model file is hostile input: nothing
 * in it is executed, every count and offset is checked before use.
 * Networks are built from what is read here by graph/.
 */
#ifndef FRCNN_MODEL_H
#define FRCNN_MODEL_H

#include "base/base.h"

/* ---- tensors and containers (checkpoint.c, zip.c, pickle.c, legacy.c, safetensors.c) --------------------------- */

enum frcnn_dtype {
	FRCNN_F32,
	FRCNN_F16,
	FRCNN_BF16,
	FRCNN_F64,
	FRCNN_I64,
	FRCNN_I32,
	FRCNN_I16,
	FRCNN_I8,
	FRCNN_U8,
	FRCNN_BOOL
};
size_t frcnn_dtype_size(enum frcnn_dtype dtype);
const char *frcnn_dtype_name(enum frcnn_dtype dtype); /* "F32", as safetensors spells it */

#define FRCNN_MAX_DIMS 8

struct frcnn_tensor {
	const char *name; /* owned by the checkpoint; prefixes such as "module." taken off */
	enum frcnn_dtype dtype;
	int ndim;
	int64_t shape[FRCNN_MAX_DIMS];
	int64_t stride[FRCNN_MAX_DIMS]; /* in elements; every element reached lies inside the storage */
	const uint8_t *data;            /* element [0,0,...]; may be unaligned */
	int64_t elements;               /* product of shape */
};

enum frcnn_container { FRCNN_SAFETENSORS, FRCNN_PTH_ZIP, FRCNN_PTH_LEGACY };

struct frcnn_checkpoint {
	enum frcnn_container container;
	struct frcnn_tensor *tensors; /* in byte order of names, names unique */
	size_t ntensors;
	char *metadata;   /* the JSON text under __metadata__.frcnn of a native file, or NULL */
	char *provenance; /* other __metadata__ as JSON text, or NULL */
	char *note;       /* one line on a choice that was made (EMA weights beside the model's), or NULL */
	char sha256[65];  /* of the file's bytes */
	void *state;      /* private: mapping, arena */
};

/* weights_key NULL: wrappers are looked through and prefixes taken off (model, state_dict, model_state_dict, net,
 * nested; model wins over ema with a note). Checks each tensor against its storage, CRCs of a
 * zip, overlaps and holes of safetensors. Errors name the path and the tensor. */
int frcnn_checkpoint_open(const char *path, const char *weights_key, struct frcnn_checkpoint *out,
			  struct frcnn_error *err);
/* The same over bytes (borrowed until close), for tests and fuzzing; sha256 is left empty. */
int frcnn_checkpoint_parse(const void *bytes, size_t size, const char *weights_key, struct frcnn_checkpoint *out,
			   struct frcnn_error *err);
void frcnn_checkpoint_close(struct frcnn_checkpoint *checkpoint);
const struct frcnn_tensor *frcnn_checkpoint_find(const struct frcnn_checkpoint *checkpoint, const char *name);

/* Copies a floating-point tensor, contiguous and row-major, as float32 into out (tensor->elements values). Non-finite
 * values are FRCNN_EFORMAT naming the tensor; so is an integer dtype. */
int frcnn_tensor_to_float(const struct frcnn_tensor *tensor, float *out, struct frcnn_error *err);
/* Copies a tensor of any dtype, contiguous and row-major, its values as they are. */
void frcnn_tensor_pack(const struct frcnn_tensor *tensor, uint8_t *out);

/* ---- the description: what tensors cannot say (describe.c, metadata.c) ------------------------------------------ */

/* A new one is told by its tensors and given its defaults in describe.c, built by a file of its own in graph/ (called
 * from detector_graphs.c), and has its RoI scales in detect/params.c. */
enum frcnn_body { FRCNN_BODY_RESNET, FRCNN_BODY_MOBILENET_V3_LARGE };

#define FRCNN_MAX_LEVELS  8
#define FRCNN_MAX_ANCHORS 16 /* sizes or ratios of one level */

#define FRCNN_MAX_LABEL_NAME 256 /* bytes */

struct frcnn_anchor_level {
	int nsizes, nratios;
	float sizes[FRCNN_MAX_ANCHORS];  /* pixels of the resized image */
	float ratios[FRCNN_MAX_ANCHORS]; /* height / width */
};

struct frcnn_description {
	/* from the tensors */
	enum frcnn_body body;
	int depth;            /* ResNet: 18, 34, 50, 101, 152 */
	bool v2;              /* batch norm in FPN and box head, two RPN convolutions */
	bool quantized;       /* some layers have int8 weights */
	int nlabels;          /* background included */
	int nlevels;          /* feature levels the RPN sees, "pool" included */
	int anchors_per_cell; /* what rpn.head.cls_logits implies */
	/* from metadata, options, a known file, or torchvision's defaults */
	char architecture[48]; /* "fasterrcnn_resnet50_fpn" */
	char name[128];        /* metadata's name, else the file's stem */
	char id[160];          /* name@sha12 */
	int min_size, max_size;
	float mean[3], std[3];
	double bn_eps;
	bool folded; /* batch norms lie in the convolutions before them: there are no tensors of theirs */
	struct frcnn_anchor_level anchors[FRCNN_MAX_LEVELS];
	int rpn_pre, rpn_post;
	double rpn_nms, rpn_score;
	double score, nms;
	int max_dets;
	char **label_names;        /* nlabels entries, [0] "background"; an entry may be NULL, else is a line */
	int64_t *label_categories; /* nlabels entries; [0] is 0 */
	char *provenance;          /* JSON text of an object, from metadata, or NULL */
	char *quantization;        /* the same: how int8 layers came to be */
};

/* Fills *out from the checkpoint, its metadata, and options (may be NULL), in that order of precedence from weak to
 * strong: torchvision's defaults, a known file's, metadata, options. path gives the name. The anchors must give
 * anchors_per_cell on each level, otherwise FRCNN_EINVAL naming both numbers. */
int frcnn_describe(const struct frcnn_checkpoint *checkpoint, const char *path,
		   const struct frcnn_model_options *options, struct frcnn_description *out, struct frcnn_error *err);
void frcnn_description_free(struct frcnn_description *description);

/* Sets architecture and everything from min_size to max_dets to torchvision's defaults for it. FRCNN_EINVAL when the
 * name is unknown or is not that of what the tensors hold (body, depth and v2 must be set). */
int frcnn_describe_defaults(struct frcnn_description *description, const char *architecture, struct frcnn_error *err);
/* Sizes "32,64+96,128" (',' between levels, '+' within one) and ratios "0.5,1,2" (for all levels, '/' between them
 * where they differ) into nlevels levels; NULL: what stands there stays. */
int frcnn_anchor_levels_parse(const char *sizes, const char *ratios, struct frcnn_anchor_level *levels, int nlevels,
			      struct frcnn_error *err);
/* The architectures we know, separated by ", ". */
const char *frcnn_architectures(void);

/* Overwrites what the JSON text of __metadata__.frcnn states; what it leaves out stays. "architecture" comes first:
 * its defaults are set before the other keys are read, unless keep_architecture. Labels must be as many as the tensors
 * imply. FRCNN_EFORMAT names the key. */
int frcnn_metadata_read(const char *text, size_t size, bool keep_architecture, struct frcnn_description *inout,
			struct frcnn_error *err);
/* Replaces label names and categories by copies; names[i] and categories[i] are of label i + 1. categories NULL: the
 * labels themselves. count must be nlabels - 1; a name that is no line (frcnn_is_line) of up to FRCNN_MAX_LABEL_NAME
 * bytes is FRCNN_EINVAL. */
int frcnn_describe_labels(struct frcnn_description *description, const char *const *names, const int64_t *categories,
			  size_t count, struct frcnn_error *err);

/* JSON text for __metadata__.frcnn, without model digest: the native form of frcnn-models(5). */
int frcnn_metadata_write(const struct frcnn_description *description, struct frcnn_buffer *out,
			 struct frcnn_error *err);

/* An open model: what frcnn_model_open returns. */
struct frcnn_model {
	struct frcnn_checkpoint checkpoint;
	struct frcnn_description description;
};

/* ---- writing (safetensors_write.c) ----------------------------------------------------------- */

/* Writes the native form atomically: the tensors under their names, floating ones as dtype (FRCNN_F32 or FRCNN_F16;
 * a value that overflows fp16 is an error naming the tensor; running_var stays FRCNN_F32, for what is small there is
 * not small in effect), num_batches_tracked left out. FRCNN_F64 is for arrays
 * that are no weights: float64 tensors, written as they are, whatever their values. */
int frcnn_safetensors_write(const char *path, const struct frcnn_checkpoint *checkpoint, enum frcnn_dtype dtype,
			    const char *metadata, struct frcnn_error *err);

/* An array to be written: row-major without gaps. */
struct frcnn_named_tensor {
	const char *name;
	enum frcnn_dtype dtype;
	int ndim;
	int64_t shape[FRCNN_MAX_DIMS];
	const void *data;
};

/* Writes a native file of these tensors in any order, each in its own dtype, values as they are, atomically; the same
 * bytes for the same tensors and description. Metadata is the description's, "folded" too: set it where batch norms
 * are folded. quantization: JSON text of an object for the key of that name, NULL: the description's own, if any.
 * What is written is not checked to be a model: open it and call frcnn_model_check. A name twice, a shape that is none
 * or a text that is no JSON object is FRCNN_EINVAL. */
int frcnn_safetensors_write_tensors(const char *path, const struct frcnn_description *description,
				    const struct frcnn_named_tensor *tensors, size_t count, const char *quantization,
				    struct frcnn_error *err);

#endif
