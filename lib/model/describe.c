/* From tensor names and shapes to a description of the detector; torchvision's defaults for what they cannot say. */
#include "model/model.h"

#include <math.h>

/* Sizes and offsets derived from these stay far inside int and float. */
#define MAX_SIDE   65535 /* pixels */
#define MAX_LABELS 65536
#define MAX_SHIFT  1e6F /* of mean and std, as in metadata */

struct architecture {
	const char *name;
	enum frcnn_body body;
	int depth;
	bool v2;
	/* torchvision's own defaults, as its functions of that name set them */
	int min_size, max_size;
	int top_n; /* proposals before and after NMS */
	double rpn_score;
};

/* Where two have the same tensors, the first is the one inferred. */
static const struct architecture architectures[] = {
    {"fasterrcnn_resnet18_fpn", FRCNN_BODY_RESNET, 18, false, 800, 1333, 1000, 0.0},
    {"fasterrcnn_resnet34_fpn", FRCNN_BODY_RESNET, 34, false, 800, 1333, 1000, 0.0},
    {"fasterrcnn_resnet50_fpn", FRCNN_BODY_RESNET, 50, false, 800, 1333, 1000, 0.0},
    {"fasterrcnn_resnet50_fpn_v2", FRCNN_BODY_RESNET, 50, true, 800, 1333, 1000, 0.0},
    {"fasterrcnn_resnet101_fpn", FRCNN_BODY_RESNET, 101, false, 800, 1333, 1000, 0.0},
    {"fasterrcnn_resnet152_fpn", FRCNN_BODY_RESNET, 152, false, 800, 1333, 1000, 0.0},
    {"fasterrcnn_mobilenet_v3_large_fpn", FRCNN_BODY_MOBILENET_V3_LARGE, 0, false, 800, 1333, 1000, 0.05},
    {"fasterrcnn_mobilenet_v3_large_320_fpn", FRCNN_BODY_MOBILENET_V3_LARGE, 0, false, 320, 640, 150, 0.05},
};

/* torchvision's released files; each file's name carries the first eight digits of its SHA-256. */
static const struct {
	const char *digits, *architecture;
	double bn_eps;
} known_files[] = {
    {"258fb6c6", "fasterrcnn_resnet50_fpn", 0.0}, /* its frozen batch norm had no eps in training */
    {"dd69338a", "fasterrcnn_resnet50_fpn_v2", 1e-5},
    {"fb6a3cc7", "fasterrcnn_mobilenet_v3_large_fpn", 1e-5},
    {"907ea3f9", "fasterrcnn_mobilenet_v3_large_320_fpn", 1e-5},
};

/* COCO's categories as torchvision lists them, from label 1; NULL where COCO's numbering has a gap. */
static const char *const coco_names[90] = {
    /* clang-format off */
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", NULL, "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep",
    "cow", "elephant", "bear", "zebra", "giraffe", NULL, "backpack", "umbrella", NULL, NULL,
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove",
    "skateboard", "surfboard", "tennis racket", "bottle", NULL, "wine glass", "cup", "fork", "knife", "spoon",
    "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", NULL, "dining table", NULL, NULL, "toilet",
    NULL, "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster",
    "sink", "refrigerator", NULL, "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
    /* clang-format on */
};

const char *frcnn_architectures(void)
{
	return "fasterrcnn_resnet18_fpn, fasterrcnn_resnet34_fpn, fasterrcnn_resnet50_fpn, "
	       "fasterrcnn_resnet50_fpn_v2, fasterrcnn_resnet101_fpn, fasterrcnn_resnet152_fpn, "
	       "fasterrcnn_mobilenet_v3_large_fpn, fasterrcnn_mobilenet_v3_large_320_fpn";
}

/* ---- from the tensors --------------------------------------------------------------------------------------- */

static bool has(const struct frcnn_checkpoint *checkpoint, const char *name)
{
	return frcnn_checkpoint_find(checkpoint, name) != NULL;
}

/* Blocks 0, 1, ... of a ResNet's layer that are there. */
static int count_blocks(const struct frcnn_checkpoint *checkpoint, int layer)
{
	char name[80];
	int count = 0;

	for (; count < 1000; count++) {
		snprintf(name, sizeof name, "backbone.body.layer%d.%d.conv1.weight", layer, count);
		if (!has(checkpoint, name))
			break;
	}
	return count;
}

static int resnet_depth(const struct frcnn_checkpoint *checkpoint, int *depth, struct frcnn_error *err)
{
	static const struct {
		int depth;
		bool bottleneck;
		int blocks[4];
	} table[] = {{18, false, {2, 2, 2, 2}},
		     {34, false, {3, 4, 6, 3}},
		     {50, true, {3, 4, 6, 3}},
		     {101, true, {3, 4, 23, 3}},
		     {152, true, {3, 8, 36, 3}}};
	bool bottleneck = has(checkpoint, "backbone.body.layer1.0.conv3.weight");
	int blocks[4];

	for (int i = 0; i < 4; i++)
		blocks[i] = count_blocks(checkpoint, i + 1);
	for (size_t i = 0; i < FRCNN_COUNT(table); i++) {
		if (table[i].bottleneck == bottleneck && memcmp(table[i].blocks, blocks, sizeof blocks) == 0) {
			*depth = table[i].depth;
			return 0;
		}
	}
	return frcnn_fail(err, FRCNN_EUNSUPPORTED,
			  "a ResNet of %d, %d, %d and %d %s blocks is none of ResNet-18, 34, 50, 101, 152", blocks[0],
			  blocks[1], blocks[2], blocks[3], bottleneck ? "bottleneck" : "basic");
}

/* The first extent, from min to max, of a tensor of ndim dimensions. */
static int extent(const struct frcnn_checkpoint *checkpoint, const char *name, int ndim, int min, int max, int *out,
		  struct frcnn_error *err)
{
	const struct frcnn_tensor *tensor = frcnn_checkpoint_find(checkpoint, name);

	if (!tensor)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor %s is missing", name);
	if (tensor->ndim != ndim)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor %s has %d dimensions, expected %d", name, tensor->ndim,
				  ndim);
	if (tensor->shape[0] < min || tensor->shape[0] > max)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor %s has %lld rows, expected %d to %d", name,
				  (long long)tensor->shape[0], min, max);
	*out = (int)tensor->shape[0];
	return 0;
}

/* The body's first convolution has a bias only where a batch norm was folded into it. */
static bool is_folded(const struct frcnn_checkpoint *checkpoint, enum frcnn_body body)
{
	if (body == FRCNN_BODY_RESNET)
		return has(checkpoint, "backbone.body.conv1.bias") && !has(checkpoint, "backbone.body.bn1.weight");
	return has(checkpoint, "backbone.body.0.0.bias") && !has(checkpoint, "backbone.body.0.1.weight");
}

static bool has_int8(const struct frcnn_checkpoint *checkpoint)
{
	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		if (checkpoint->tensors[i].dtype == FRCNN_I8)
			return true;
	}
	return false;
}

static int read_tensors(const struct frcnn_checkpoint *checkpoint, struct frcnn_description *out,
			struct frcnn_error *err)
{
	int status = 0;

	if (has(checkpoint, "backbone.body.conv1.weight")) {
		out->body = FRCNN_BODY_RESNET;
		out->nlevels = 5;
		status = resnet_depth(checkpoint, &out->depth, err);
	} else if (has(checkpoint, "backbone.body.0.0.weight")) {
		out->body = FRCNN_BODY_MOBILENET_V3_LARGE;
		out->nlevels = 3;
		if (!has(checkpoint, "backbone.body.16.0.weight") || has(checkpoint, "backbone.body.17.0.weight"))
			status = frcnn_fail(err, FRCNN_EUNSUPPORTED, "the body is not that of a MobileNetV3-Large");
	} else {
		status = frcnn_fail(err, FRCNN_EUNSUPPORTED,
				    "no Faster R-CNN that we know: neither a tensor backbone.body.conv1.weight "
				    "(ResNet) nor backbone.body.0.0.weight (MobileNetV3)");
	}
	if (status < 0)
		return status;
	/* only V2 has batch norm in the pyramid, and convolutions in the box head, which stay when it is folded */
	out->v2 =
	    has(checkpoint, "backbone.fpn.inner_blocks.0.1.weight") || has(checkpoint, "roi_heads.box_head.0.0.weight");
	out->folded = is_folded(checkpoint, out->body);
	out->quantized = has_int8(checkpoint);
	status = extent(checkpoint, "roi_heads.box_predictor.cls_score.weight", 2, 2, MAX_LABELS, &out->nlabels, err);
	if (status < 0)
		return status;
	return extent(checkpoint, "rpn.head.cls_logits.weight", 4, 1, FRCNN_MAX_ANCHORS * FRCNN_MAX_ANCHORS,
		      &out->anchors_per_cell, err);
}

static const struct architecture *infer(const struct frcnn_description *d)
{
	for (size_t i = 0; i < FRCNN_COUNT(architectures); i++) {
		const struct architecture *a = &architectures[i];

		if (a->body == d->body && a->depth == d->depth && a->v2 == d->v2)
			return a;
	}
	return NULL;
}

/* ---- defaults ------------------------------------------------------------------------------------------------- */

static void default_anchors(struct frcnn_description *d)
{
	for (int i = 0; i < d->nlevels; i++) {
		struct frcnn_anchor_level *level = &d->anchors[i];

		level->nratios = 3;
		level->ratios[0] = 0.5F;
		level->ratios[1] = 1.0F;
		level->ratios[2] = 2.0F;
		if (d->body == FRCNN_BODY_RESNET) {
			level->nsizes = 1;
			level->sizes[0] = (float)(32 << i);
			continue;
		}
		level->nsizes = 5;
		for (int k = 0; k < 5; k++)
			level->sizes[k] = (float)(32 << k);
	}
}

int frcnn_describe_defaults(struct frcnn_description *d, const char *name, struct frcnn_error *err)
{
	static const float mean[3] = {0.485F, 0.456F, 0.406F}, std[3] = {0.229F, 0.224F, 0.225F};
	const struct architecture *a = NULL, *own = infer(d);

	for (size_t i = 0; i < FRCNN_COUNT(architectures) && !a; i++) {
		if (strcmp(architectures[i].name, name) == 0)
			a = &architectures[i];
	}
	if (!a)
		return frcnn_fail(err, FRCNN_EINVAL, "unknown architecture \"%.80s\"; known are %s", name,
				  frcnn_architectures());
	if (a->body != d->body || a->depth != d->depth || a->v2 != d->v2)
		return frcnn_fail(err, FRCNN_EINVAL, "the tensors are those of %s, not of %s",
				  own ? own->name : "an unknown architecture", name);
	snprintf(d->architecture, sizeof d->architecture, "%s", name);
	d->min_size = a->min_size;
	d->max_size = a->max_size;
	memcpy(d->mean, mean, sizeof mean);
	memcpy(d->std, std, sizeof std);
	d->bn_eps = 1e-5;
	default_anchors(d);
	d->rpn_pre = d->rpn_post = a->top_n;
	d->rpn_nms = 0.7;
	d->rpn_score = a->rpn_score;
	d->score = 0.05;
	d->nms = 0.5;
	d->max_dets = 100;
	return 0;
}

int frcnn_describe_labels(struct frcnn_description *d, const char *const *names, const int64_t *categories,
			  size_t count, struct frcnn_error *err)
{
	size_t nlabels = (size_t)d->nlabels;
	char **new_names = NULL, **old_names = d->label_names;
	int64_t *new_categories = NULL, *old_categories = d->label_categories;
	int status = 0;

	if (count + 1 != nlabels)
		return frcnn_fail(err, FRCNN_EINVAL, "%zu label name%s for a model of %zu classes", count,
				  count == 1 ? "" : "s", nlabels - 1);
	for (size_t i = 0; names && i < count; i++) {
		if (names[i] && (strlen(names[i]) > FRCNN_MAX_LABEL_NAME || !frcnn_is_line(names[i], strlen(names[i]))))
			return frcnn_fail(err, FRCNN_EINVAL, "the name of label %zu is not a line of 1 to %d bytes",
					  i + 1, FRCNN_MAX_LABEL_NAME);
	}
	new_names = frcnn_calloc(nlabels, sizeof *new_names);
	new_categories = frcnn_calloc(nlabels, sizeof *new_categories);
	if (!new_names || !new_categories) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < nlabels; i++) {
		const char *name = i == 0 ? "background" : names ? names[i - 1] : NULL;

		new_categories[i] = i == 0 || !categories ? (int64_t)i : categories[i - 1];
		if (name && !(new_names[i] = frcnn_strdup(name))) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
	}
	/* exchanged, so that what is freed below is what was there before */
	d->label_names = new_names;
	d->label_categories = new_categories;
	new_names = old_names;
	new_categories = old_categories;
out:
	for (size_t i = 0; new_names && i < nlabels; i++)
		free(new_names[i]);
	free(new_names);
	free(new_categories);
	return status;
}

/* ---- options --------------------------------------------------------------------------------------------------- */

/* The numbers of one level, separated by `separator`, in text[0 .. size). */
static int parse_numbers(const char *text, size_t size, char separator, const char *what, float out[FRCNN_MAX_ANCHORS],
			 int *count, struct frcnn_error *err)
{
	*count = 0;
	for (;;) {
		const char *end = memchr(text, separator, size);
		size_t length = end ? (size_t)(end - text) : size;

		if (*count == FRCNN_MAX_ANCHORS)
			return frcnn_fail(err, FRCNN_ELIMIT, "%s: more than %d at one level", what, FRCNN_MAX_ANCHORS);
		if (frcnn_parse_float(text, length, &out[*count]) < 0 || !(out[*count] >= 1e-6F) || out[*count] > 1e6F)
			return frcnn_fail(err, FRCNN_EINVAL, "%s: \"%.*s\" is not a number from 1e-6 to 1e6", what,
					  (int)(length < 80 ? length : 80), text);
		(*count)++;
		if (!end)
			return 0;
		text += length + 1;
		size -= length + 1;
	}
}

/* "32,64+96,128": levels separated by `between`, the numbers of one by `within`. */
static int parse_levels(const char *text, char between, char within, bool sizes, struct frcnn_anchor_level *out,
			int nlevels, struct frcnn_error *err)
{
	const char *what = sizes ? "anchor sizes" : "aspect ratios";
	int levels = 1, status = 0;

	for (const char *p = text; *p; p++)
		levels += *p == between;
	/* ratios of one level hold for all */
	if (levels != nlevels && (sizes || levels != 1))
		return frcnn_fail(err, FRCNN_EINVAL, "%s: %d level%s given, the model has %d", what, levels,
				  levels == 1 ? "" : "s", nlevels);
	for (int i = 0; i < nlevels && status == 0; i++) {
		struct frcnn_anchor_level *level = &out[i];
		const char *end = strchr(text, between);
		size_t size = end ? (size_t)(end - text) : strlen(text);

		status = parse_numbers(text, size, within, what, sizes ? level->sizes : level->ratios,
				       sizes ? &level->nsizes : &level->nratios, err);
		if (end)
			text = end + 1;
	}
	return status;
}

int frcnn_anchor_levels_parse(const char *sizes, const char *ratios, struct frcnn_anchor_level *levels, int nlevels,
			      struct frcnn_error *err)
{
	int status = sizes ? parse_levels(sizes, ',', '+', true, levels, nlevels, err) : 0;

	if (status == 0 && ratios)
		status = parse_levels(ratios, '/', ',', false, levels, nlevels, err);
	return status;
}

static int apply_options(const struct frcnn_model_options *options, struct frcnn_description *d,
			 struct frcnn_error *err)
{
	int status =
	    frcnn_anchor_levels_parse(options->anchor_sizes, options->aspect_ratios, d->anchors, d->nlevels, err);

	if (status < 0)
		return status;
	for (int i = 0; i < 3; i++) {
		if (options->mean && !(fabsf(options->mean[i]) <= MAX_SHIFT))
			return frcnn_fail(err, FRCNN_EINVAL, "mean: not a number from -1e6 to 1e6");
		if (options->std && !(options->std[i] >= 1e-6F && options->std[i] <= MAX_SHIFT))
			return frcnn_fail(err, FRCNN_EINVAL, "std: not a number from 1e-6 to 1e6");
	}
	if (options->mean)
		memcpy(d->mean, options->mean, sizeof d->mean);
	if (options->std)
		memcpy(d->std, options->std, sizeof d->std);
	if (isnan(options->bn_eps) || options->bn_eps > 1)
		return frcnn_fail(err, FRCNN_EINVAL, "batch norm eps: not a number from 0 to 1");
	if (options->bn_eps >= 0 && d->folded)
		return frcnn_fail(err, FRCNN_EINVAL,
				  "batch norm eps: the model's batch norms are folded into its convolutions");
	if (options->bn_eps >= 0)
		d->bn_eps = options->bn_eps;
	if (options->min_size < 0 || options->min_size > MAX_SIDE || options->max_size < 0 ||
	    options->max_size > MAX_SIDE)
		return frcnn_fail(err, FRCNN_EINVAL, "resize limits %d and %d: not from 1 to %d pixels",
				  options->min_size, options->max_size, MAX_SIDE);
	if (options->min_size)
		d->min_size = options->min_size;
	if (options->max_size)
		d->max_size = options->max_size;
	if (options->labels)
		status = frcnn_describe_labels(d, options->labels, NULL, options->nlabels, err);
	return status;
}

static int check_anchors(const struct frcnn_description *d, struct frcnn_error *err)
{
	for (int i = 0; i < d->nlevels; i++) {
		int sizes = d->anchors[i].nsizes, ratios = d->anchors[i].nratios;

		if (sizes * ratios != d->anchors_per_cell)
			return frcnn_fail(err, FRCNN_EINVAL,
					  "level %d: %d anchor size%s x %d aspect ratio%s give %d anchors a cell, but "
					  "the tensors imply %d",
					  i, sizes, sizes == 1 ? "" : "s", ratios, ratios == 1 ? "" : "s",
					  sizes * ratios, d->anchors_per_cell);
	}
	return 0;
}

/* ---- all together --------------------------------------------------------------------------------------------------
 */

/* The file's name without folders and last suffix, as a line of UTF-8 that fits. */
static int set_stem(const char *path, struct frcnn_description *d, struct frcnn_error *err)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *base = slash ? slash + 1 : path ? path : "model";
	const char *dot = strrchr(base, '.');
	struct frcnn_buffer text = {0};
	size_t size;

	frcnn_printable(&text, base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
	if (text.failed) {
		frcnn_buffer_free(&text);
		return frcnn_fail_nomem(err);
	}
	size = text.size;
	if (size >= sizeof d->name) {
		size = sizeof d->name - 1;
		while (size > 0 && ((unsigned char)text.data[size] & 0xC0) == 0x80)
			size--; /* not in the middle of a character */
	}
	if (size > 0)
		memcpy(d->name, text.data, size);
	d->name[size] = '\0';
	frcnn_buffer_free(&text);
	return 0;
}

static int describe(const struct frcnn_checkpoint *checkpoint, const char *path,
		    const struct frcnn_model_options *options, struct frcnn_description *out, struct frcnn_error *err)
{
	const struct architecture *own;
	const char *name;
	double known_eps = -1;
	int status = read_tensors(checkpoint, out, err);

	if (status == 0)
		status = set_stem(path, out, err);
	if (status < 0)
		return status;
	own = infer(out);
	if (!own)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED,
				  "batch norm in the feature pyramid is known of ResNet-50 alone, not of this body");
	name = own->name;
	for (size_t i = 0; i < FRCNN_COUNT(known_files); i++) {
		if (strncmp(checkpoint->sha256, known_files[i].digits, 8) == 0) {
			name = known_files[i].architecture;
			known_eps = known_files[i].bn_eps;
		}
	}
	status = frcnn_describe_defaults(out, options->arch ? options->arch : name, err);
	if (status < 0)
		return status;
	if (known_eps >= 0)
		out->bn_eps = known_eps;
	status =
	    frcnn_describe_labels(out, out->nlabels == 91 ? coco_names : NULL, NULL, (size_t)out->nlabels - 1, err);
	if (status == 0 && checkpoint->metadata)
		status = frcnn_metadata_read(checkpoint->metadata, strlen(checkpoint->metadata), options->arch != NULL,
					     out, err);
	if (status == 0)
		status = apply_options(options, out, err);
	if (status == 0)
		status = check_anchors(out, err);
	if (status < 0)
		return status;
	snprintf(out->id, sizeof out->id, "%s%s%.12s", out->name, checkpoint->sha256[0] ? "@" : "", checkpoint->sha256);
	return 0;
}

int frcnn_describe(const struct frcnn_checkpoint *checkpoint, const char *path,
		   const struct frcnn_model_options *options, struct frcnn_description *out, struct frcnn_error *err)
{
	struct frcnn_model_options defaults;
	struct frcnn_error inner = {0};
	int status;

	memset(out, 0, sizeof *out);
	frcnn_model_options_init(&defaults);
	status = describe(checkpoint, path, options ? options : &defaults, out, &inner);
	if (status < 0) {
		frcnn_description_free(out);
		frcnn_fail(err, status, "%s%s%s", path ? path : "", path ? ": " : "", inner.message);
	}
	return status;
}

void frcnn_description_free(struct frcnn_description *description)
{
	if (!description)
		return;
	for (int i = 0; description->label_names && i < description->nlabels; i++)
		free(description->label_names[i]);
	free(description->label_names);
	free(description->label_categories);
	free(description->provenance);
	free(description->quantization);
	memset(description, 0, sizeof *description);
}
