/* The stages of lib/detect on the tiny detectors of tests/golden/models, each fed what torchvision fed its own. */
#include "detect_golden.h"

static const char *const architectures[] = {
    "fasterrcnn_resnet18_fpn",           "fasterrcnn_resnet34_fpn",
    "fasterrcnn_resnet50_fpn",           "fasterrcnn_resnet101_fpn",
    "fasterrcnn_resnet152_fpn",          "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"};

static const struct frcnn_tensor *find(const struct frcnn_checkpoint *stages, const char *key, int index)
{
	char name[64];
	if (index >= 0)
		snprintf(name, sizeof(name), "%s.%d", key, index);
	else
		snprintf(name, sizeof(name), "%s", key);
	const struct frcnn_tensor *tensor = frcnn_checkpoint_find(stages, name);
	cr_assert_not_null(tensor, "the golden lacks %s", name);
	return tensor;
}

/* A tensor's values; of four dimensions in the order N, H, W, C. The caller frees. */
static float *values(const struct frcnn_tensor *tensor)
{
	float *flat = malloc(((size_t)tensor->elements + 1) * sizeof(float));
	cr_assert_eq(frcnn_tensor_to_float(tensor, flat, NULL), 0);
	if (tensor->ndim != 4)
		return flat;
	size_t n = (size_t)tensor->shape[0], c = (size_t)tensor->shape[1];
	size_t cells = (size_t)(tensor->shape[2] * tensor->shape[3]);
	float *moved = malloc(((size_t)tensor->elements + 1) * sizeof(float));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < c; k++)
			for (size_t p = 0; p < cells; p++)
				moved[(i * cells + p) * c + k] = flat[(i * c + k) * cells + p];
	free(flat);
	return moved;
}

static double number(const struct frcnn_checkpoint *stages, const char *key)
{
	char quoted[64];
	snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	const char *at = stages->provenance ? strstr(stages->provenance, quoted) : NULL;
	cr_assert_not_null(at, "the golden lacks the number %s", key);
	at += strlen(quoted);
	at += strspn(at, " :\"");
	return strtod(at, NULL);
}

static void describe(const struct frcnn_checkpoint *stages, bool mobile, struct frcnn_detect_params *params)
{
	struct frcnn_description d = {.body = mobile ? FRCNN_BODY_MOBILENET_V3_LARGE : FRCNN_BODY_RESNET,
				      .nlevels = mobile ? 3 : 5,
				      .nlabels = (int)number(stages, "labels"),
				      .min_size = (int)number(stages, "min_size"),
				      .max_size = (int)number(stages, "max_size"),
				      .mean = {0.485f, 0.456f, 0.406f},
				      .std = {0.229f, 0.224f, 0.225f},
				      .rpn_pre = (int)number(stages, "rpn_pre"),
				      .rpn_post = (int)number(stages, "rpn_post"),
				      .rpn_nms = number(stages, "rpn_nms"),
				      .rpn_score = number(stages, "rpn_score"),
				      .score = number(stages, "score"),
				      .nms = number(stages, "nms"),
				      .max_dets = (int)number(stages, "max_dets")};
	for (int i = 0; i < d.nlevels; i++) {
		struct frcnn_anchor_level *level = &d.anchors[i];
		*level = (struct frcnn_anchor_level){.nsizes = mobile ? 5 : 1, .nratios = 3, .ratios = {0.5f, 1, 2}};
		for (int s = 0; s < level->nsizes; s++)
			level->sizes[s] = (float)(32 << (mobile ? s : i));
	}
	frcnn_detect_params_init(&d, params);
}

static void check_architecture(const char *name, struct frcnn_workspace *workspace, struct frcnn_pool *pool)
{
	static struct frcnn_detect_params params;
	struct frcnn_checkpoint stages;
	struct frcnn_error err;
	char path[160];
	snprintf(path, sizeof(path), "tests/golden/models/%s.stages.safetensors", name);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &stages, &err), 0, "%s", err.message);
	describe(&stages, strstr(name, "mobilenet") != NULL, &params);

	/* transform */
	const struct frcnn_tensor *image = find(&stages, "image", -1), *tensor = find(&stages, "input", -1);
	struct frcnn_view view = {image->data, (int)image->shape[1], (int)image->shape[0], 3 * (size_t)image->shape[1]};
	struct frcnn_transform_size size;
	cr_assert_eq(frcnn_transform_size(view.width, view.height, params.min_size, params.max_size, &size, &err), 0);
	cr_assert(size.padded_height == tensor->shape[2] && size.padded_width == tensor->shape[3], "%s", name);
	float *want = values(tensor), *ours = malloc((size_t)tensor->elements * sizeof(float));
	cr_assert_eq(frcnn_transform(pool, &view, &size, params.mean, params.std, workspace, ours, &err), 0);
	cr_assert_leq(golden_error(ours, want, (size_t)tensor->elements), 1e-5, "%s: transform", name);
	free(want);
	free(ours);

	/* anchors, proposals */
	struct frcnn_rpn_level levels[FRCNN_MAX_LEVELS];
	float *held[2 * FRCNN_MAX_LEVELS];
	for (int i = 0; i < params.nlevels; i++) {
		const struct frcnn_tensor *logits = find(&stages, "rpn.logits", i);
		int height = (int)logits->shape[2], width = (int)logits->shape[3];
		size_t anchors = (size_t)logits->shape[1];
		held[2 * i] = values(logits);
		held[2 * i + 1] = values(find(&stages, "rpn.deltas", i));
		levels[i] = (struct frcnn_rpn_level){held[2 * i], held[2 * i + 1], anchors, 4 * anchors, height, width};
		tensor = find(&stages, "anchors", i);
		cr_assert_eq((size_t)params.anchors[i].count, anchors);
		cr_assert_eq((size_t)tensor->elements, (size_t)(height * width) * anchors * 4);
		want = values(tensor);
		ours = malloc((size_t)tensor->elements * sizeof(float));
		frcnn_grid_anchors(&params.anchors[i], height, width, size.padded_height / height,
				   size.padded_width / width, ours);
		cr_assert_eq(golden_error(ours, want, (size_t)tensor->elements), 0, "%s: anchors of level %d", name, i);
		free(want);
		free(ours);
	}
	struct frcnn_proposals proposals;
	cr_assert_eq(frcnn_propose_boxes(pool, levels, &params, &size, workspace, &proposals, &err), 0);
	const struct frcnn_tensor *boxes = find(&stages, "proposals", -1);
	size_t count = (size_t)boxes->shape[0];
	float *rois = values(boxes);
	want = values(find(&stages, "proposal_scores", -1));
	cr_assert_eq(proposals.count, count, "%s: %zu proposals for %zu", name, proposals.count, count);
	cr_assert_leq(golden_error(proposals.boxes, rois, 4 * count), 1e-5, "%s: proposals", name);
	cr_assert_leq(golden_error(proposals.scores, want, count), 1e-5, "%s: proposals", name);
	free(want);
	for (int i = 0; i < 2 * params.nlevels; i++)
		free(held[i]);

	/* RoI features */
	struct frcnn_feature features[FRCNN_MAX_LEVELS];
	int channels = 0;
	for (int i = 0; i < params.nroi_levels; i++) {
		tensor = find(&stages, "fpn", i);
		channels = (int)tensor->shape[1];
		held[i] = values(tensor);
		features[i] = (struct frcnn_feature){.data = held[i],
						     .height = (int)tensor->shape[2],
						     .width = (int)tensor->shape[3],
						     .scale = params.roi_scales[i]};
	}
	for (int kind = 0; kind < 2; kind++) {
		const char *key = kind ? "roi_pool_features" : "roi_features";
		if (kind && !frcnn_checkpoint_find(&stages, key))
			continue; /* only some goldens hold it; the next test asks that one does */
		tensor = find(&stages, key, -1);
		want = values(tensor);
		ours = malloc((size_t)tensor->elements * sizeof(float));
		cr_assert_eq((kind ? frcnn_roi_pool : frcnn_roi_align)(pool, features, params.nroi_levels, channels,
								       rois, count, workspace,
								       (struct frcnn_roi_sink){.data = ours}, &err),
			     0);
		cr_assert_leq(golden_error(ours, want, (size_t)tensor->elements), 1e-6, "%s: %s", name, key);
		free(want);
		free(ours);
	}
	for (int i = 0; i < params.nroi_levels; i++)
		free(held[i]);

	/* post-processing */
	size_t nlabels = (size_t)params.nlabels, nitems;
	float *logits = values(find(&stages, "class_logits", -1)), *deltas = values(find(&stages, "box_deltas", -1));
	struct frcnn_head_output head = {logits, deltas, nlabels, 4 * nlabels};
	struct frcnn_detection *items;
	cr_assert_eq(frcnn_postprocess(pool, &head, rois, count, &params, &size, view.width, view.height, workspace,
				       &items, &nitems, &err),
		     0);
	const struct frcnn_tensor *labels = find(&stages, "labels", -1);
	float *corners = values(find(&stages, "boxes", -1)), *scores = values(find(&stages, "scores", -1));
	cr_assert_eq(nitems, (size_t)labels->elements, "%s", name);
	for (size_t i = 0; i < nitems; i++) {
		const float box[4] = {items[i].x1, items[i].y1, items[i].x2, items[i].y2};
		int64_t label;
		memcpy(&label, labels->data + i * sizeof(label), sizeof(label));
		cr_assert_eq(items[i].label, label, "%s: detection %zu", name, i);
		cr_assert_leq(golden_error(box, corners + 4 * i, 4), 1e-5, "%s: detection %zu", name, i);
		cr_assert_leq(golden_error(&items[i].score, scores + i, 1), 1e-5, "%s: detection %zu", name, i);
	}
	free(logits);
	free(deltas);
	free(corners);
	free(scores);
	free(rois);
	frcnn_checkpoint_close(&stages);
}

/* One workspace for all: what is left in it by one image must not show in the next. */
Test(detect_models, stages_as_torchvision)
{
	struct frcnn_workspace workspace = {0};
	struct frcnn_pool *pool;
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (size_t i = 0; i < FRCNN_COUNT(architectures); i++)
		check_architecture(architectures[i], &workspace, pool);
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
}

Test(detect_models, rois_of_every_level)
{
	struct frcnn_checkpoint stages;
	struct frcnn_error err;
	struct frcnn_workspace workspace = {0};
	struct frcnn_feature features[4];
	float *maps[4], scales[4];
	uint8_t ours[256];
	cr_assert_eq(frcnn_checkpoint_open("tests/golden/models/roi_levels.stages.safetensors", NULL, &stages, &err), 0,
		     "%s", err.message);
	const struct frcnn_tensor *boxes = find(&stages, "proposals", -1), *levels = find(&stages, "levels", -1);
	size_t count = (size_t)boxes->shape[0];
	int channels = 0;
	for (int i = 0; i < 4; i++) {
		const struct frcnn_tensor *map = find(&stages, "fpn", i);
		maps[i] = values(map);
		scales[i] = 0.25f / (float)(1 << i);
		channels = (int)map->shape[1];
		features[i] = (struct frcnn_feature){
		    .data = maps[i], .height = (int)map->shape[2], .width = (int)map->shape[3], .scale = scales[i]};
	}
	float *rois = values(boxes);
	cr_assert_leq(count, sizeof(ours));
	frcnn_roi_levels(rois, count, scales, 4, ours);
	for (size_t i = 0; i < count; i++) {
		int64_t level;
		memcpy(&level, levels->data + i * sizeof(level), sizeof(level));
		cr_assert_eq(ours[i], level, "box %zu", i);
	}
	for (int kind = 0; kind < 2; kind++) {
		const struct frcnn_tensor *tensor = find(&stages, kind ? "roi_pool_features" : "roi_features", -1);
		float *want = values(tensor), *out = malloc((size_t)tensor->elements * sizeof(float));
		cr_assert_eq((kind ? frcnn_roi_pool : frcnn_roi_align)(NULL, features, 4, channels, rois, count,
								       &workspace, (struct frcnn_roi_sink){.data = out},
								       &err),
			     0);
		cr_assert_leq(golden_error(out, want, (size_t)tensor->elements), 1e-6);
		free(want);
		free(out);
	}
	for (int i = 0; i < 4; i++)
		free(maps[i]);
	free(rois);
	frcnn_workspace_free(&workspace);
	frcnn_checkpoint_close(&stages);
}
