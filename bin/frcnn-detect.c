/*
 * frcnn-detect - pictures in, one record of detections an image out. Parses,
 * asks the library, prints: what a detection is lives in lib/detect, what a
 * record says in lib/record.
 */
#include "cli/cli.h"
#include "detect/crew.h"
#include "detect/detect.h"
#include "json/json.h"
#include "model/model.h"
#include "record/record.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DEFAULT_MODEL "models/parts-r18.safetensors"

/* ---- options ------------------------------------------------------------------------ */

struct slice {
	int width, height, overlap;
};

/* "WxH" or "WxH:OVERLAP". */
static int parse_slice(const char *text, void *value, struct frcnn_error *err)
{
	struct slice *slice = value;
	size_t x = strcspn(text, "x"), colon = strcspn(text, ":"), size = strlen(text);
	int64_t width, height, overlap = -1;

	if (x >= colon || frcnn_parse_int64(text, x, &width) < 0 ||
	    frcnn_parse_int64(text + x + 1, colon - x - 1, &height) < 0 ||
	    (colon < size && frcnn_parse_int64(text + colon + 1, size - colon - 1, &overlap) < 0))
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not of the form WxH or WxH:OVERLAP", text);
	if (width < 1 || height < 1 || width > 1000000 || height > 1000000)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: sides must be 1 to 1000000 pixels", text);
	if (colon < size && (overlap < 0 || overlap >= width || overlap >= height))
		return frcnn_fail(err, FRCNN_EINVAL, "%s: the overlap must be smaller than both sides", text);
	slice->width = (int)width;
	slice->height = (int)height;
	slice->overlap = (int)overlap;
	return 0;
}

static const char *model_path, *arch, *weights_key, *anchors, *anchor_sizes, *aspect_ratios, *labels_path;
static const char *cpu, *output_path, *proposals_path, *truth_path, *image_root;
static double bn_eps = -1, score = NAN, nms = NAN, nms_sigma = NAN, rpn_nms = NAN;
static struct frcnn_reals mean, std;
static struct frcnn_list classes;
static int nms_method, min_size, max_size, rpn_pre = -1, rpn_post = -1, max_dets = -1, device, precision, jobs, format,
					   stats;
static int64_t max_pixels;
static bool roi_pool, proposals, resume, progress, exif, null_list, latency, throughput;
static struct slice slice;
static struct frcnn_shard shard;

static struct frcnn_opt options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Model"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'm',
     .name = "model",
     .argument = "FILE",
     .value = &model_path,
     .help = "torchvision .pth or safetensors file; default: the one that is shipped"},
    {.type = FRCNN_OPT_TEXT,
     .name = "arch",
     .argument = "NAME",
     .value = &arch,
     .result = true,
     .help = "architecture, such as fasterrcnn_resnet50_fpn; default: what the tensors imply"},
    {.type = FRCNN_OPT_TEXT,
     .name = "weights-key",
     .argument = "KEY",
     .value = &weights_key,
     .result = true,
     .help = "the checkpoint's entry that holds the weights"},
    {.type = FRCNN_OPT_REAL,
     .name = "bn-eps",
     .argument = "X",
     .value = &bn_eps,
     .max = 1,
     .result = true,
     .help = "epsilon of the batch norms"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchor-sizes",
     .argument = "LIST",
     .value = &anchor_sizes,
     .result = true,
     .help = "\"32,64,128,256,512\": ',' between levels, '+' between sizes of one level"},
    {.type = FRCNN_OPT_TEXT,
     .name = "aspect-ratios",
     .argument = "LIST",
     .value = &aspect_ratios,
     .result = true,
     .help = "\"0.5,1,2\" (height / width); '/' between levels where they differ"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchors",
     .argument = "SIZES;RATIOS",
     .value = &anchors,
     .result = true,
     .help = "both in one word"},
    {.type = FRCNN_OPT_REALS,
     .name = "mean",
     .argument = "R,G,B",
     .value = &mean,
     .min = -1e6,
     .max = 1e6,
     .result = true,
     .help = "subtracted from pixels in [0,1]"},
    {.type = FRCNN_OPT_REALS,
     .name = "std",
     .argument = "R,G,B",
     .value = &std,
     .min = 1e-6,
     .max = 1e6,
     .result = true,
     .help = "what they are divided by then"},
    {.type = FRCNN_OPT_TEXT,
     .name = "labels",
     .argument = "FILE",
     .value = &labels_path,
     .help = "names of the classes: line i names category id i"},

    {.type = FRCNN_OPT_GROUP, .help = "Detection"},
    {.type = FRCNN_OPT_REAL,
     .name = "score",
     .argument = "S",
     .value = &score,
     .max = 1,
     .result = true,
     .help = "keep detections with score > S"},
    {.type = FRCNN_OPT_REAL,
     .name = "nms",
     .argument = "IOU",
     .value = &nms,
     .max = 1,
     .result = true,
     .help = "suppress boxes that overlap a better one of their class by more than IOU"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "nms-method",
     .argument = "hard|soft-linear|soft-gaussian|diou|matrix",
     .value = &nms_method,
     .result = true,
     .help = "how the final boxes suppress each other [hard]"},
    {.type = FRCNN_OPT_REAL,
     .name = "nms-sigma",
     .argument = "S",
     .value = &nms_sigma,
     .min = 1e-6,
     .max = 1e6,
     .result = true,
     .help = "of soft-gaussian and matrix: exp(-IoU^2 / S) [0.5]"},
    {.type = FRCNN_OPT_INT,
     .name = "max-dets",
     .argument = "N",
     .value = &max_dets,
     .min = 1,
     .max = INFINITY,
     .result = true,
     .help = "detections an image at the most"},
    {.type = FRCNN_OPT_LIST,
     .name = "classes",
     .argument = "LIST",
     .value = &classes,
     .result = true,
     .help = "only these, by name or category id (before --max-dets counts)"},
    {.type = FRCNN_OPT_INT,
     .name = "min-size",
     .argument = "N",
     .value = &min_size,
     .min = 1,
     .max = 65535,
     .result = true,
     .help = "resize the shorter side to N pixels"},
    {.type = FRCNN_OPT_INT,
     .name = "max-size",
     .argument = "N",
     .value = &max_size,
     .min = 1,
     .max = 65535,
     .result = true,
     .help = "unless the longer one would exceed N"},
    {.type = FRCNN_OPT_INT,
     .name = "rpn-pre",
     .argument = "N",
     .value = &rpn_pre,
     .min = 1,
     .max = INFINITY,
     .result = true,
     .help = "proposals a level before their suppression"},
    {.type = FRCNN_OPT_INT,
     .name = "rpn-post",
     .argument = "N",
     .value = &rpn_post,
     .min = 1,
     .max = INFINITY,
     .result = true,
     .help = "proposals an image after it"},
    {.type = FRCNN_OPT_REAL,
     .name = "rpn-nms",
     .argument = "IOU",
     .value = &rpn_nms,
     .max = 1,
     .result = true,
     .help = "suppress proposals that overlap a better one by more than IOU"},
    {.type = FRCNN_OPT_FLAG,
     .name = "roi-pool",
     .value = &roi_pool,
     .result = true,
     .help = "RoIPool in place of RoIAlign"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "slice",
     .argument = "WxH[:OVERLAP]",
     .value = &slice,
     .parse = parse_slice,
     .result = true,
     .help = "detect in tiles of W x H pixels and merge; default overlap: a fifth of the smaller side"},
    {.type = FRCNN_OPT_FLAG,
     .name = "proposals",
     .value = &proposals,
     .result = true,
     .help = "write the region proposals in place of detections"},
    {.type = FRCNN_OPT_TEXT,
     .name = "proposals-from",
     .argument = "FILE",
     .value = &proposals_path,
     .help = "classify the boxes of these records in place of the network's own proposals"},

    {.type = FRCNN_OPT_GROUP, .help = "Inputs"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'g',
     .name = "gt",
     .argument = "FILE",
     .value = &truth_path,
     .help = "COCO instances: gives image ids and, without operands, the images"},
    {.type = FRCNN_OPT_TEXT,
     .name = "image-root",
     .argument = "DIR",
     .value = &image_root,
     .help = "where the images that --gt names are"},
    {.type = FRCNN_OPT_FLAG,
     .letter = '0',
     .name = "null",
     .value = &null_list,
     .help = "names on standard input are separated by NULs"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "shard",
     .argument = "I/N",
     .value = &shard,
     .parse = frcnn_shard_parse,
     .help = "take the I-th of every N inputs"},
    {.type = FRCNN_OPT_FLAG,
     .name = "exif",
     .value = &exif,
     .result = true,
     .help = "turn pictures as their EXIF orientation says"},
    {.type = FRCNN_OPT_INT64,
     .name = "max-pixels",
     .argument = "N",
     .value = &max_pixels,
     .min = 1,
     .max = INFINITY,
     .result = true,
     .help = "refuse larger pictures; default 178956970"},

    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'o',
     .name = "output",
     .argument = "FILE",
     .value = &output_path,
     .help = "write there, whole at the end or not at all; default: standard output"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "format",
     .argument = "jsonl|coco|csv",
     .value = &format,
     .result = true,
     .help = "records an image a line (the default), COCO results, or a table"},
    {.type = FRCNN_OPT_FLAG,
     .name = "resume",
     .value = &resume,
     .help = "go on where an interrupted run with the same options stopped"},
    {.type = FRCNN_OPT_MAYBE,
     .name = "stats",
     .argument = "json",
     .value = &stats,
     .help = "times of each stage on standard error at the end"},
    {.type = FRCNN_OPT_FLAG,
     .name = "progress",
     .value = &progress,
     .help = "show progress also where standard error is no terminal"},

    {.type = FRCNN_OPT_GROUP, .help = "Machine"},
    {.type = FRCNN_OPT_CHOICE, .name = "device", .argument = "cpu|cuda", .value = &device, .help = "where to compute"},
    {.type = FRCNN_OPT_INT,
     .letter = 'j',
     .name = "jobs",
     .argument = "N",
     .value = &jobs,
     .max = 1024,
     .help = "threads; 0, the default: all usable cores"},
    {.type = FRCNN_OPT_FLAG, .name = "latency", .value = &latency, .help = "one image at a time, over all threads"},
    {.type = FRCNN_OPT_FLAG,
     .name = "throughput",
     .value = &throughput,
     .help = "as many images at once as there are threads; default: where many wait and the network is small"},
    {.type = FRCNN_OPT_TEXT,
     .name = "cpu",
     .argument = "avx512|avx2|c|reference",
     .value = &cpu,
     .help = "kernel set; default: the best that this machine has"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "precision",
     .argument = "fp32|bf16",
     .value = &precision,
     .result = true,
     .help = "arithmetic of the networks; bf16 where the machine has it"},

    {.type = FRCNN_OPT_GROUP, .help = "Other"},
    FRCNN_OPT_COMMON,
    {0},
};

static const struct frcnn_program program = {
    .name = "frcnn-detect",
    .synopsis = "[option ...] [image | folder | -] ...",
    .summary = "Finds objects in JPEG and PNG images with a Faster R-CNN model and writes one record an image. Without "
	       "operands, or for -, reads a list of names from standard input.",
    .options = options,
};

static int bad_usage(void)
{
	if (device == FRCNN_CUDA)
		return frcnn_usage("this build has no CUDA backend");
	if (anchors && (anchor_sizes || aspect_ratios))
		return frcnn_usage("--anchors does not go with --anchor-sizes or --aspect-ratios");
	if (anchors && (!strchr(anchors, ';') || strchr(strchr(anchors, ';') + 1, ';')))
		return frcnn_usage("--anchors: \"%s\" is not of the form SIZES;RATIOS", anchors);
	if (mean.count && mean.count != 3)
		return frcnn_usage("--mean needs 3 numbers, not %d", mean.count);
	if (std.count && std.count != 3)
		return frcnn_usage("--std needs 3 numbers, not %d", std.count);
	if (proposals && proposals_path)
		return frcnn_usage("--proposals does not go with --proposals-from");
	if (slice.width && (proposals || proposals_path))
		return frcnn_usage("--slice does not go with %s", proposals ? "--proposals" : "--proposals-from");
	if (proposals && format == FRCNN_FORMAT_COCO)
		return frcnn_usage("--proposals does not go with --format coco, which has no place for them");
	if (image_root && !truth_path)
		return frcnn_usage("--image-root needs --gt");
	if (!isnan(nms_sigma) && nms_method != FRCNN_NMS_SOFT_GAUSSIAN && nms_method != FRCNN_NMS_MATRIX)
		return frcnn_usage("--nms-sigma needs --nms-method soft-gaussian or matrix");
	if (latency && throughput)
		return frcnn_usage("--latency does not go with --throughput");
	if (resume && (!output_path || strcmp(output_path, "-") == 0))
		return frcnn_usage("--resume needs -o FILE");
	return -1;
}

/* ---- the model ------------------------------------------------------------------------- */

struct setup {
	char *default_path, *sizes;
	struct frcnn_labels labels;
	struct frcnn_model *model;
	struct frcnn_detector *detector;
	uint8_t *keep;
	struct frcnn_category *categories;
};

static int open_model(struct setup *setup, struct frcnn_error *err)
{
	struct frcnn_model_options own;
	float means[3], stds[3];
	const char *path = model_path;
	const struct frcnn_description *resize;
	int status;

	frcnn_model_options_init(&own);
	if (!path) {
		path = setup->default_path = frcnn_share_path(DEFAULT_MODEL);
		if (!path)
			return frcnn_fail(err, FRCNN_EIO, "the default model (share/%s) is not there: give --model",
					  DEFAULT_MODEL);
	}
	own.arch = arch;
	own.weights_key = weights_key;
	own.anchor_sizes = anchor_sizes;
	own.aspect_ratios = aspect_ratios;
	if (anchors) {
		const char *semicolon = strchr(anchors, ';');

		setup->sizes = frcnn_strndup(anchors, (size_t)(semicolon - anchors));
		if (!setup->sizes)
			return frcnn_fail_nomem(err);
		own.anchor_sizes = setup->sizes;
		own.aspect_ratios = semicolon + 1;
	}
	for (int i = 0; i < 3; i++) {
		means[i] = (float)mean.values[i];
		stds[i] = (float)std.values[i];
	}
	own.mean = mean.count ? means : NULL;
	own.std = std.count ? stds : NULL;
	own.bn_eps = bn_eps;
	own.min_size = min_size;
	own.max_size = max_size;
	if (labels_path) {
		status = frcnn_labels_read(labels_path, &setup->labels, err);
		if (status < 0)
			return status;
		own.labels = (const char *const *)setup->labels.names;
		own.nlabels = setup->labels.count;
	}
	status = frcnn_model_open(path, &own, &setup->model, err);
	if (status < 0)
		return status;
	if (setup->model->checkpoint.note)
		frcnn_warn(path, "%s", setup->model->checkpoint.note);
	resize = &setup->model->description;
	if ((min_size || max_size) && resize->min_size > resize->max_size)
		frcnn_warn(NULL, "min-size %d is above max-size %d, which wins: longer sides become %d pixels",
			   resize->min_size, resize->max_size, resize->max_size);
	return 0;
}

/* --classes to flags; a word that is no name may be a category id. */
static int choose_classes(struct setup *setup, struct frcnn_error *err)
{
	int nlabels = frcnn_model_labels(setup->model);

	if (classes.count == 0)
		return 0;
	setup->keep = frcnn_calloc((size_t)nlabels, 1);
	if (!setup->keep)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < classes.count; i++) {
		const char *word = classes.items[i];
		struct frcnn_buffer known = {0};
		int64_t id;
		bool found = false, number = frcnn_parse_int64(word, strlen(word), &id) == 0;
		int status;

		for (int label = 1; label < nlabels; label++) {
			const char *name = frcnn_model_label_name(setup->model, label);

			if (name && strcmp(name, word) == 0) {
				setup->keep[label] = 1;
				found = true;
			}
		}
		for (int label = 1; label < nlabels && number && !found; label++) {
			found = frcnn_model_label_category(setup->model, label) == id;
			setup->keep[label] |= found;
		}
		if (found)
			continue;
		for (int label = 1; label < nlabels; label++) {
			const char *name = frcnn_model_label_name(setup->model, label);

			frcnn_buffer_puts(&known, label > 1 ? ", " : "");
			if (name)
				frcnn_buffer_puts(&known, name);
			else
				frcnn_buffer_printf(&known, "%lld",
						    (long long)frcnn_model_label_category(setup->model, label));
		}
		status = known.failed
			     ? frcnn_fail_nomem(err)
			     : frcnn_fail(err, FRCNN_EINVAL, "--classes: the model has no class \"%s\"; it has %s",
					  word, known.data ? known.data : "none");
		frcnn_buffer_free(&known);
		return status;
	}
	return 0;
}

static int list_categories(struct setup *setup, struct frcnn_error *err)
{
	int nlabels = frcnn_model_labels(setup->model);

	setup->categories = frcnn_calloc((size_t)nlabels, sizeof *setup->categories);
	if (!setup->categories)
		return frcnn_fail_nomem(err);
	for (int label = 1; label < nlabels; label++) {
		setup->categories[label].id = frcnn_model_label_category(setup->model, label);
		setup->categories[label].name = frcnn_model_label_name(setup->model, label);
	}
	return 0;
}

static int make_detector(struct setup *setup, int threads, struct frcnn_error *err)
{
	struct frcnn_detector_options own;
	struct frcnn_error why;
	int status;

	frcnn_detector_options_init(&own);
	own.device = (enum frcnn_device)device;
	own.cpu = cpu;
	own.precision = (enum frcnn_precision)precision;
	own.threads = threads;
	own.score = score;
	own.nms = nms;
	own.nms_method = (enum frcnn_nms_method)nms_method;
	own.nms_sigma = nms_sigma;
	own.max_dets = max_dets;
	own.rpn_pre = rpn_pre;
	own.rpn_post = rpn_post;
	own.rpn_nms = rpn_nms;
	own.keep_label = setup->keep;
	own.roi_pool = roi_pool;
	if (slice.width) {
		own.slice_width = slice.width;
		own.slice_height = slice.height;
		own.slice_overlap = slice.overlap;
	}
	status = frcnn_detector_new(setup->model, &own, &setup->detector, &why);
	/* Threads take memory too: packing the weights may need it more. */
	if (status == FRCNN_ENOMEM && threads != 1) {
		own.threads = 1;
		status = frcnn_detector_new(setup->model, &own, &setup->detector, &why);
	}
	/* A tensor is at fault; else an option, or the machine. */
	if (status == FRCNN_EFORMAT)
		return frcnn_fail(err, status, "%s: %s", model_path ? model_path : setup->default_path, why.message);
	return status < 0 ? frcnn_fail(err, status, "%s", why.message) : 0;
}

static void free_setup(struct setup *setup)
{
	frcnn_detector_free(setup->detector);
	frcnn_model_close(setup->model);
	frcnn_labels_free(&setup->labels);
	free(setup->keep);
	free(setup->categories);
	free(setup->default_path);
	free(setup->sizes);
}

/* ---- boxes from elsewhere ------------------------------------------------------------------ */

/* One record of --proposals-from. */
struct given {
	char *name; /* NULL: known by its id */
	bool has_id;
	int64_t id;
	int width, height; /* of the picture, 0: not stated */
	float *boxes;      /* count * 4 corners */
	size_t count;
};

struct givens {
	struct given *items;
	size_t count, capacity;
	struct given **by_name, **by_base, **by_id; /* sorted; by_id: those without a name */
	size_t nnames, nids;
	size_t failed;
};

static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(struct given *const *)a)->name, (*(struct given *const *)b)->name);
}

static int compare_bases(const void *a, const void *b)
{
	return strcmp(base_name((*(struct given *const *)a)->name), base_name((*(struct given *const *)b)->name));
}

static int compare_ids(const void *a, const void *b)
{
	int64_t x = (*(struct given *const *)a)->id, y = (*(struct given *const *)b)->id;

	return (x > y) - (x < y);
}

static void free_givens(struct givens *givens)
{
	for (size_t i = 0; i < givens->count; i++) {
		free(givens->items[i].name);
		free(givens->items[i].boxes);
	}
	free(givens->items);
	free(givens->by_name);
	free(givens->by_base);
	free(givens->by_id);
}

static int add_given(struct givens *givens, const struct frcnn_record *record, struct frcnn_error *err)
{
	const struct frcnn_record_item *items = record->has_proposals ? record->proposals : record->detections;
	struct given *given;
	void *grown = givens->items;
	int status = frcnn_grow(&grown, &givens->capacity, givens->count + 1, sizeof *givens->items);

	givens->items = grown;
	if (status < 0)
		return frcnn_fail_nomem(err);
	given = &givens->items[givens->count];
	memset(given, 0, sizeof *given);
	given->count = record->has_proposals ? record->nproposals : record->ndetections;
	given->boxes = frcnn_calloc(given->count, 4 * sizeof *given->boxes);
	given->name = record->file_name ? frcnn_strdup(record->file_name) : NULL;
	given->has_id = record->has_image_id;
	given->id = record->image_id;
	given->width = record->width;
	given->height = record->height;
	givens->count++;
	if (!given->boxes || (record->file_name && !given->name))
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < given->count; i++) {
		const float *bbox = items[i].bbox_f32;
		float *box = given->boxes + 4 * i;

		box[0] = bbox[0];
		box[1] = bbox[1];
		box[2] = bbox[0] + bbox[2];
		box[3] = bbox[1] + bbox[3];
	}
	return 0;
}

static void print_notice(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct givens *givens = context;

	if (kind == FRCNN_NOTICE_WARNING) {
		frcnn_warn(NULL, "%s", line);
	} else {
		frcnn_report(NULL, "%s", line);
		givens->failed++;
	}
}

static int index_givens(struct givens *givens, struct frcnn_error *err)
{
	givens->by_name = frcnn_calloc(givens->count, sizeof *givens->by_name);
	givens->by_base = frcnn_calloc(givens->count, sizeof *givens->by_base);
	givens->by_id = frcnn_calloc(givens->count, sizeof *givens->by_id);
	if (!givens->by_name || !givens->by_base || !givens->by_id)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < givens->count; i++) {
		struct given *given = &givens->items[i];

		if (given->name) {
			givens->by_name[givens->nnames] = given;
			givens->by_base[givens->nnames++] = given;
		} else if (given->has_id) {
			givens->by_id[givens->nids++] = given;
		}
	}
	qsort(givens->by_name, givens->nnames, sizeof *givens->by_name, compare_names);
	qsort(givens->by_base, givens->nnames, sizeof *givens->by_base, compare_bases);
	qsort(givens->by_id, givens->nids, sizeof *givens->by_id, compare_ids);
	for (size_t i = 1; i < givens->nnames; i++)
		if (strcmp(givens->by_name[i - 1]->name, givens->by_name[i]->name) == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "%s: %s is there twice", proposals_path,
					  givens->by_name[i]->name);
	for (size_t i = 1; i < givens->nids; i++)
		if (givens->by_id[i - 1]->id == givens->by_id[i]->id)
			return frcnn_fail(err, FRCNN_EFORMAT, "%s: image %lld is there twice", proposals_path,
					  (long long)givens->by_id[i]->id);
	return 0;
}

static int read_givens(struct givens *givens, char digest[65], struct frcnn_error *err)
{
	struct frcnn_file file = {0};
	struct frcnn_records *records = NULL;
	struct frcnn_notices notices = {print_notice, givens};
	const struct frcnn_record *record;
	int status = frcnn_file_open(proposals_path, 0, &file, err);

	if (status == 0)
		status = frcnn_sha256(file.data, file.size, digest, err);
	if (status == 0)
		status = frcnn_records_open_memory(file.data, file.size, proposals_path, &notices, &records, err);
	if (status < 0)
		goto out;
	while ((status = frcnn_records_next(records, &record, err)) != 0) {
		if (status < 0) {
			frcnn_report(NULL, "%s", err->message);
			givens->failed++;
			continue;
		}
		status = add_given(givens, record, err);
		if (status < 0)
			goto out;
	}
	status = index_givens(givens, err);
out:
	frcnn_records_close(records);
	frcnn_file_close(&file);
	return status;
}

/* The record about an input; NULL with *err when there is none, not one alone, or one about another picture. */
static const struct given *find_given(const struct givens *givens, const struct frcnn_input *input,
				      const struct frcnn_image *picture, struct frcnn_error *err)
{
	struct given key = {.name = input->name, .id = input->id}, *probe = &key;
	struct given **found = bsearch(&probe, givens->by_name, givens->nnames, sizeof probe, compare_names);
	int64_t stem;

	if (!found) {
		found = bsearch(&probe, givens->by_base, givens->nnames, sizeof probe, compare_bases);
		if (found && ((found > givens->by_base && compare_bases(found - 1, found) == 0) ||
			      (found + 1 < givens->by_base + givens->nnames && compare_bases(found, found + 1) == 0))) {
			frcnn_fail(err, FRCNN_EFORMAT, "several records of %s could be meant", proposals_path);
			return NULL;
		}
	}
	if (!found && input->has_id)
		found = bsearch(&probe, givens->by_id, givens->nids, sizeof probe, compare_ids);
	if (!found) {
		frcnn_fail(err, FRCNN_EINVAL, "no record in %s", proposals_path);
		return NULL;
	}
	/* Ids that are only the stem's digits never contradict a name. */
	if ((*found)->name && (*found)->has_id && input->has_id && (*found)->id != input->id &&
	    !(frcnn_record_stem_id(input->name, &stem) && stem == input->id) &&
	    !(frcnn_record_stem_id((*found)->name, &stem) && stem == (*found)->id)) {
		frcnn_fail(err, FRCNN_EFORMAT, "image id %lld here, %lld in %s", (long long)input->id,
			   (long long)(*found)->id, proposals_path);
		return NULL;
	}
	if ((*found)->width > 0 && (*found)->height > 0 &&
	    ((*found)->width != picture->width || (*found)->height != picture->height)) {
		bool turned = (*found)->width == picture->height && (*found)->height == picture->width;

		frcnn_fail(err, FRCNN_EINVAL, "the picture has %dx%d pixels, its record in %s says %dx%d%s",
			   picture->width, picture->height, proposals_path, (*found)->width, (*found)->height,
			   turned ? " (--exif must be as it was then)" : "");
		return NULL;
	}
	return *found;
}

/* ---- statistics ---------------------------------------------------------------------------------- */

enum { STAGE_DECODE, STAGE_WRITE = STAGE_DECODE + 1 + FRCNN_STAGES, STAGE_TOTAL, NSTAGES };

static const char *const stage_names[NSTAGES] = {"decode", "transform", "backbone", "proposals", "roi",
						 "head",   "post",      "write",    "total"};

struct measures {
	struct frcnn_samples stages[NSTAGES]; /* milliseconds */
	size_t images, failed;
	int threads, at_once;
	double seconds;
};

static void put_number(struct frcnn_json_writer *json, const char *key, double value)
{
	frcnn_json_key(json, key);
	if (isfinite(value))
		frcnn_json_put_double(json, value);
	else
		frcnn_json_put_raw(json, "null", 4);
}

static double rounded(double value)
{
	return round(value * 1000) / 1000;
}

static int64_t peak_memory(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

static void print_stats_json(struct measures *m, const struct setup *setup)
{
	struct frcnn_buffer text = {0};
	struct frcnn_json_writer json = {.out = &text};
	const char *model = frcnn_model_id(setup->model), *set = frcnn_detector_cpu(setup->detector);
	struct frcnn_buffer id = {0};

	frcnn_escape_bytes(&id, model, strlen(model));
	frcnn_json_begin_object(&json);
	frcnn_json_key(&json, "images");
	frcnn_json_put_int64(&json, (int64_t)m->images);
	frcnn_json_key(&json, "failed");
	frcnn_json_put_int64(&json, (int64_t)m->failed);
	put_number(&json, "seconds", rounded(m->seconds));
	put_number(&json, "images_per_second", rounded((double)m->images / m->seconds));
	frcnn_json_key(&json, "peak_memory_bytes");
	frcnn_json_put_int64(&json, peak_memory());
	frcnn_json_key(&json, "model");
	frcnn_json_put_string(&json, id.data ? id.data : "", id.size);
	frcnn_json_key(&json, "cpu");
	frcnn_json_put_string(&json, set, strlen(set));
	frcnn_json_key(&json, "threads");
	frcnn_json_put_int64(&json, m->threads);
	frcnn_json_key(&json, "images_at_once");
	frcnn_json_put_int64(&json, m->at_once);
	frcnn_json_key(&json, "stages_ms");
	frcnn_json_begin_object(&json);
	for (int stage = 0; stage < NSTAGES; stage++) {
		struct frcnn_samples *samples = &m->stages[stage];

		frcnn_json_key(&json, stage_names[stage]);
		frcnn_json_begin_object(&json);
		put_number(&json, "p50", rounded(frcnn_samples_percentile(samples, 50)));
		put_number(&json, "p95", rounded(frcnn_samples_percentile(samples, 95)));
		put_number(&json, "p99", rounded(frcnn_samples_percentile(samples, 99)));
		put_number(&json, "mean", rounded(frcnn_samples_mean(samples)));
		frcnn_json_end_object(&json);
	}
	frcnn_json_end_object(&json);
	frcnn_json_end_object(&json);
	frcnn_buffer_putc(&text, '\n');
	if (text.failed || id.failed)
		frcnn_report(NULL, "out of memory");
	else
		fwrite(text.data, 1, text.size, stderr);
	frcnn_buffer_free(&text);
	frcnn_buffer_free(&id);
}

static void print_stats_text(struct measures *m, const struct setup *setup)
{
	fprintf(stderr, "%zu images, %zu failed, %.2f s, %.2f images/s, peak memory %.0f MiB\n", m->images, m->failed,
		m->seconds, (double)m->images / m->seconds, (double)peak_memory() / 1048576);
	fprintf(stderr, "model %s, kernels %s, %d threads, %d image%s at once\n", frcnn_model_id(setup->model),
		frcnn_detector_cpu(setup->detector), m->threads, m->at_once, m->at_once == 1 ? "" : "s");
	if (m->images == 0)
		return;
	fprintf(stderr, "%-10s %9s %9s %9s %9s  ms\n", "stage", "p50", "p95", "p99", "mean");
	for (int stage = 0; stage < NSTAGES; stage++) {
		struct frcnn_samples *samples = &m->stages[stage];

		fprintf(stderr, "%-10s %9.2f %9.2f %9.2f %9.2f\n", stage_names[stage],
			frcnn_samples_percentile(samples, 50), frcnn_samples_percentile(samples, 95),
			frcnn_samples_percentile(samples, 99), frcnn_samples_mean(samples));
	}
}

/* ---- the run ---------------------------------------------------------------------------------------- */

static int gather(struct frcnn_inputs *inputs, char **operands, int count)
{
	int end = -1;

	/* Records to standard output come as names come in; what needs the whole list first waits for it. */
	if (!truth_path && format != FRCNN_FORMAT_COCO && (!output_path || strcmp(output_path, "-") == 0))
		return frcnn_inputs_stream(inputs, operands, count, null_list, shard);
	if (truth_path && count == 0) {
		end = frcnn_inputs_from_truth(inputs, truth_path, image_root);
	} else {
		end = frcnn_inputs_gather(inputs, operands, count, null_list);
		if (end < 0 && truth_path)
			end = frcnn_inputs_join_truth(inputs, truth_path);
	}
	if (end < 0)
		frcnn_inputs_shard(inputs, shard);
	return end;
}

/* COCO results know an image by its id alone: an input without one, or with another's, is left out. */
static int compare_input_ids(const void *a, const void *b)
{
	const struct frcnn_input *x = *(struct frcnn_input *const *)a, *y = *(struct frcnn_input *const *)b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x > y) - (x < y);
}

static int check_ids(struct frcnn_inputs *inputs, struct frcnn_error *err)
{
	struct frcnn_input **sorted = frcnn_calloc(inputs->count, sizeof *sorted);
	bool *drop = frcnn_calloc(inputs->count, sizeof *drop);
	size_t count = 0, kept = 0;

	if (!sorted || !drop) {
		free(sorted);
		free(drop);
		return frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < inputs->count; i++) {
		if (inputs->items[i].has_id) {
			sorted[count++] = &inputs->items[i];
			continue;
		}
		frcnn_report(inputs->items[i].path, "no image id: COCO results need --gt or an all-digit file name");
		drop[i] = true;
	}
	qsort(sorted, count, sizeof *sorted, compare_input_ids);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (sorted[i]->id != sorted[first]->id) {
			first = i;
			continue;
		}
		frcnn_report(sorted[i]->path, "image id %lld is that of %s too", (long long)sorted[i]->id,
			     sorted[first]->path);
		drop[sorted[i] - inputs->items] = true;
	}
	for (size_t i = 0; i < inputs->count; i++) {
		if (drop[i]) {
			free(inputs->items[i].path);
			free(inputs->items[i].name);
			inputs->failed++;
		} else {
			inputs->items[kept++] = inputs->items[i];
		}
	}
	inputs->count = kept;
	free(sorted);
	free(drop);
	return 0;
}

/* With a whole FILE there is nothing to do; only that another model did it can be seen, in its first record. */
static int check_whole(const char *path, const char *model, struct frcnn_error *err)
{
	struct frcnn_records *records = NULL;
	const struct frcnn_record *record;
	FILE *stream;
	int status = 0;

	if (format != FRCNN_FORMAT_JSONL)
		return 0;
	stream = fopen(path, "re");
	if (!stream)
		return frcnn_fail(err, FRCNN_EIO, "%s: cannot be read", path);
	status = frcnn_records_open_stream(stream, path, NULL, &records, err);
	if (status < 0)
		goto out;
	status = frcnn_records_next(records, &record, err);
	if (status > 0) {
		struct frcnn_buffer text = {0};

		/* Compared as records spell it. */
		status = 0;
		frcnn_escape_bytes(&text, model, strlen(model));
		if (text.failed)
			status = frcnn_fail_nomem(err);
		else if (!record->model)
			status =
			    frcnn_fail(err, FRCNN_EINVAL, "%s: its records do not say which model made them", path);
		else if (strcmp(record->model, model) != 0 && strcmp(record->model, text.data) != 0)
			status = frcnn_fail(err, FRCNN_EINVAL, "%s: made with the model %s, this one is %s", path,
					    record->model, model);
		frcnn_buffer_free(&text);
	}
out:
	frcnn_records_close(records);
	fclose(stream);
	return status;
}

/* -o FILE may replace any file but one that this run reads: whoever names it there has made a slip. */
static int check_output(const struct setup *setup, const struct frcnn_inputs *inputs, struct frcnn_error *err)
{
	const char *model = model_path ? model_path : setup->default_path;
	const char *others[] = {labels_path, truth_path, proposals_path};

	if (!output_path || strcmp(output_path, "-") == 0)
		return 0;
	if (frcnn_output_touches(output_path, model, false))
		return frcnn_fail(err, FRCNN_EINVAL, "-o %s: that is the model", output_path);
	for (size_t i = 0; i < FRCNN_COUNT(others); i++) {
		if (frcnn_output_touches(output_path, others[i], false))
			return frcnn_fail(err, FRCNN_EINVAL, "-o %s: that is read by this run", output_path);
	}
	for (size_t i = 0; i < inputs->count; i++) {
		if (frcnn_output_touches(output_path, inputs->items[i].path, false))
			return frcnn_fail(err, FRCNN_EINVAL, "-o %s: that is the input %s", output_path,
					  inputs->items[i].path);
	}
	return 0;
}

/* Everything that a picture's record depends on, a line each. */
static int describe_run(const struct setup *setup, const char *proposals_digest, struct frcnn_buffer *out,
			struct frcnn_error *err)
{
	frcnn_buffer_printf(out, "version=%s\n", frcnn_version());
	frcnn_opt_describe(&program, out);
	for (size_t i = 0; i < setup->labels.count; i++)
		frcnn_buffer_printf(out, "label %zu=%s\n", i + 1, setup->labels.names[i]);
	if (proposals_path)
		frcnn_buffer_printf(out, "proposals-from=%s\n", proposals_digest);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

struct work {
	struct setup setup;
	struct frcnn_inputs inputs;
	struct givens givens;
	struct frcnn_record_writer writer;
	struct frcnn_sink sink;
	struct measures measures;
	struct frcnn_buffer text;
};

/* A detect_job's look: one picture to its detections. */
static int look(void *context, struct frcnn_detector *detector, const struct frcnn_input *input,
		const struct frcnn_image *picture, struct frcnn_detections *found, struct frcnn_error *err)
{
	const struct work *work = context;
	const struct given *given;

	if (proposals)
		return frcnn_propose(detector, picture, found, err);
	if (!proposals_path)
		return frcnn_detect(detector, picture, found, err);
	given = find_given(&work->givens, input, picture, err);
	return given ? frcnn_classify(detector, picture, given->boxes, given->count, found, err) : FRCNN_EINVAL;
}

/* What was found in one picture to its record in work->text; an error is in *result and was not yet reported. */
static void write_one(struct work *work, struct detect_result *result)
{
	const struct frcnn_input *input = &result->input;
	const struct frcnn_image *picture = &result->picture;
	struct frcnn_record_image image = {
	    .has_image_id = input->has_id,
	    .image_id = input->id,
	    .file_name = input->name,
	    .width = picture->width,
	    .height = picture->height,
	    .model = frcnn_model_id(work->setup.model),
	};

	frcnn_buffer_clear(&work->text);
	if (!result->decoded)
		return;
	if (picture->warning[0])
		frcnn_warn(input->path, "%s", picture->warning);
	if (input->width > 0 && input->height > 0 &&
	    (input->width != picture->width || input->height != picture->height))
		frcnn_warn(input->path, "%d x %d pixels, but %d x %d in %s", picture->width, picture->height,
			   input->width, input->height, truth_path);
	if (result->status == 0)
		result->status = frcnn_record_put(&work->writer, &work->text, &image, &result->found, &result->err);
	if (result->status < 0)
		frcnn_buffer_clear(&work->text);
}

static int measure(struct measures *m, const struct detect_result *result, double write, struct frcnn_error *err)
{
	int status = frcnn_samples_add(&m->stages[STAGE_DECODE], result->decode * 1e3);

	for (int stage = 0; stage < FRCNN_STAGES && status == 0; stage++)
		status = frcnn_samples_add(&m->stages[STAGE_DECODE + 1 + stage], result->found.seconds[stage] * 1e3);
	if (status == 0)
		status = frcnn_samples_add(&m->stages[STAGE_WRITE], write * 1e3);
	if (status == 0)
		status = frcnn_samples_add(&m->stages[STAGE_TOTAL], (result->decode + result->look + write) * 1e3);
	return status < 0 ? frcnn_fail_nomem(err) : 0;
}

/* The records, and how far the run is. */
static int put(struct work *work, struct detect_crew *crew, size_t done, size_t failed, struct frcnn_error *err)
{
	int status = frcnn_sink_put(&work->sink, &work->text, done, failed, err);

	/* The records are written; it was to note it that took memory. */
	if (status == FRCNN_ENOMEM) {
		detect_crew_rest(crew);
		frcnn_buffer_clear(&work->text);
		status = frcnn_sink_put(&work->sink, &work->text, done, failed, err);
	}
	return status;
}

/* Trouble with one input is reported, noted and passed over; what is returned ends the run. */
static int detect_all(struct work *work, struct detect_crew *crew, struct frcnn_error *err)
{
	struct detect_result result;
	int status = 0;

	while (status == 0 && detect_crew_next(crew, &result)) {
		size_t done = work->sink.done + 1;
		double began = frcnn_seconds();
		bool failed;

		write_one(work, &result);
		/* Little is needed here, which those who look at pictures may have left nothing of. */
		if (result.status == FRCNN_ENOMEM && result.found.items) {
			detect_crew_rest(crew);
			result.status = 0;
			write_one(work, &result);
		}
		failed = result.status < 0;
		if (failed)
			frcnn_report(result.decoded ? result.input.path : NULL, "%s", result.err.message);
		status = put(work, crew, done, work->sink.failed + failed, err);
		if (failed)
			work->measures.failed++;
		else
			work->measures.images++;
		if (stats && !failed && status == 0)
			status = measure(&work->measures, &result, frcnn_seconds() - began, err);
		frcnn_detections_free(&result.found);
		frcnn_progress_update(done);
	}
	return status;
}

/* Several images at once when several wait and what the networks compute in is small: then splitting one over all
 * threads is mostly waiting for each other, and memory for several costs little. */
#define SMALL_IMAGE_BYTES ((size_t)64 << 20)
#define ALL_IMAGES_BYTES  ((size_t)1 << 30)
/* What else an image takes, pixels above all, where a limit must hold it: a guess, nothing fails when it is wrong. */
#define BESIDE_BYTES ((size_t)16 << 20)

static int choose_at_once(struct work *work, int threads, int *at_once, struct frcnn_error *err)
{
	size_t waiting, bytes, most = (size_t)threads;
	int64_t room;
	int status;

	*at_once = 1;
	if (latency || threads == 1)
		return 0;
	status = frcnn_detector_memory(work->setup.detector, &bytes, err);
	if (status < 0)
		return status;
	if (!throughput && bytes > SMALL_IMAGE_BYTES)
		return 0;
	if (!throughput && most * bytes > ALL_IMAGES_BYTES)
		most = ALL_IMAGES_BYTES / bytes;
	room = frcnn_usable_memory();
	if (room < INT64_MAX && (size_t)room / (bytes + BESIDE_BYTES) < most)
		most = (size_t)room / (bytes + BESIDE_BYTES);
	waiting = work->inputs.count - work->sink.done;
	/* Names from a pipe: whoever has sent two by now will send more. */
	if (work->inputs.stream && (throughput || frcnn_inputs_ready(&work->inputs, 1)))
		waiting = most;
	waiting = waiting < most ? waiting : most;
	*at_once = waiting > 1 ? (int)waiting : 1;
	return 0;
}

/* Makes the output ready: begins it, or goes on behind what is there. */
static int open_sink(struct work *work, const struct frcnn_run *run, bool *whole, struct frcnn_error *err)
{
	enum frcnn_sink_state state;
	int status = frcnn_sink_open(&work->sink, output_path, run, resume, &state, err);

	*whole = false;
	if (status < 0)
		return status;
	if (state == FRCNN_SINK_WHOLE) {
		*whole = true;
		status = check_whole(output_path, run->model, err);
		if (status == 0)
			frcnn_say("%s is whole already", output_path);
		return status;
	}
	status = frcnn_record_begin(&work->writer, &work->text, err);
	if (status < 0)
		return status;
	if (state == FRCNN_SINK_NEW)
		return frcnn_sink_put(&work->sink, &work->text, 0, 0, err);
	work->writer.any = work->sink.bytes > (int64_t)work->text.size;
	frcnn_say("going on behind %zu of %zu inputs", work->sink.done, run->count);
	if (work->sink.failed > 0)
		frcnn_warn(NULL, "%zu input%s failed before the interruption", work->sink.failed,
			   work->sink.failed == 1 ? "" : "s");
	return 0;
}

static int run_all(struct work *work, char **operands, int count)
{
	struct frcnn_buffer described = {0};
	struct detect_job job = {
	    .inputs = &work->inputs, .image = {.exif = exif, .max_pixels = max_pixels}, .look = look, .context = work};
	struct detect_crew *crew = NULL;
	struct frcnn_error err;
	char inputs_digest[65], proposals_digest[65] = "";
	struct frcnn_run run = {0};
	sigset_t held, before;
	int end = FRCNN_EXIT_TROUBLE, wanted;
	bool whole = false, masked = false;
	double began;

	end = gather(&work->inputs, operands, count);
	if (end >= 0)
		return end;
	end = FRCNN_EXIT_TROUBLE;
	if (open_model(&work->setup, &err) < 0 || choose_classes(&work->setup, &err) < 0 ||
	    list_categories(&work->setup, &err) < 0)
		goto trouble;
	if (proposals_path && read_givens(&work->givens, proposals_digest, &err) < 0)
		goto trouble;
	if (check_output(&work->setup, &work->inputs, &err) < 0)
		goto trouble;
	if (format == FRCNN_FORMAT_COCO && check_ids(&work->inputs, &err) < 0)
		goto trouble;
	work->writer.format = (enum frcnn_record_format)format;
	work->writer.proposals = proposals;
	work->writer.categories = work->setup.categories;
	work->writer.ncategories = (size_t)frcnn_model_labels(work->setup.model);

	/* Threads made here leave these signals to this one, which holds them back while it writes. */
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &held, &before);
	masked = true;
	job.threads = jobs > 0 ? jobs : frcnn_usable_cores();
	if (make_detector(&work->setup, job.threads, &err) < 0 ||
	    describe_run(&work->setup, proposals_digest, &described, &err) < 0 ||
	    frcnn_inputs_digest(&work->inputs, inputs_digest, &err) < 0)
		goto trouble;
	run.model = frcnn_model_id(work->setup.model);
	run.cpu = frcnn_detector_cpu(work->setup.detector);
	run.options = described.data;
	run.inputs = inputs_digest;
	run.count = work->inputs.count;
	wanted = job.threads;
	job.threads = frcnn_pool_threads(frcnn_detector_pool(work->setup.detector));
	if (job.threads < wanted)
		frcnn_warn(NULL, "%d thread%s in place of %d: the system has no more", job.threads,
			   job.threads == 1 ? "" : "s", wanted);
	frcnn_say("model %s (%s), kernels %s, %d threads, %zu inputs%s", run.model,
		  frcnn_model_architecture(work->setup.model), run.cpu, job.threads, run.count,
		  work->inputs.stream ? " and those on standard input" : "");
	/* This may wait: a FIFO for its reader. */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (open_sink(work, &run, &whole, &err) < 0)
		goto trouble;
	pthread_sigmask(SIG_BLOCK, &held, NULL);
	if (whole) {
		end = FRCNN_EXIT_OK;
		goto out;
	}
	began = frcnn_seconds();
	job.detector = work->setup.detector;
	job.first = work->sink.done;
	if (choose_at_once(work, job.threads, &job.at_once, &err) < 0)
		goto trouble;
	work->measures.threads = job.threads;
	work->measures.at_once = job.at_once;
	frcnn_say("%d image%s at once", job.at_once, job.at_once == 1 ? "" : "s");
	if (detect_crew_new(&job, &crew, &err) < 0)
		goto trouble;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	masked = false;

	frcnn_progress_start(work->inputs.stream ? 0 : run.count, work->sink.done, progress);
	if (detect_all(work, crew, &err) < 0)
		goto trouble;
	work->measures.at_once = detect_crew_at_once(crew);
	if (work->measures.at_once < job.at_once)
		frcnn_warn(NULL, "memory or threads were short: %d image%s at once in the end, not %d",
			   work->measures.at_once, work->measures.at_once == 1 ? "" : "s", job.at_once);
	frcnn_buffer_clear(&work->text);
	if (frcnn_record_end(&work->writer, &work->text, &err) < 0 ||
	    frcnn_sink_put(&work->sink, &work->text, work->sink.done, work->sink.failed, &err) < 0)
		goto trouble;
	frcnn_progress_end();
	work->measures.seconds = frcnn_seconds() - began;
	if (stats == 1)
		print_stats_text(&work->measures, &work->setup);
	else if (stats == 2)
		print_stats_json(&work->measures, &work->setup);
	end = work->sink.failed || work->inputs.failed || work->givens.failed ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	if (frcnn_sink_commit(&work->sink, &err) < 0)
		goto trouble;
	goto out;

trouble:
	end = FRCNN_EXIT_TROUBLE;
	frcnn_progress_end();
	frcnn_report(NULL, "%s", err.message);
out:
	if (masked)
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	detect_crew_free(crew);
	frcnn_buffer_free(&described);
	return end;
}

int main(int argc, char **argv)
{
	struct work work = {0};
	int count, end = frcnn_opt_parse(&program, argc, argv, &count);

	frcnn_heed_limits();
	if (end < 0)
		end = bad_usage();
	if (end < 0)
		end = run_all(&work, argv + 1, count);
	for (int stage = 0; stage < NSTAGES; stage++)
		frcnn_samples_free(&work.measures.stages[stage]);
	frcnn_sink_close(&work.sink);
	frcnn_buffer_free(&work.text);
	free_givens(&work.givens);
	frcnn_inputs_free(&work.inputs);
	free_setup(&work.setup);
	frcnn_list_free(&classes);
	return end;
}
