#include "detect_golden.h"

Test(detect_anchors, as_torchvision)
{
	struct golden golden = golden_open("anchors");
	for (int i = 0; i < 4; i++) {
		struct golden_array sizes = golden_find(&golden, i, "sizes"),
				    ratios = golden_find(&golden, i, "ratios");
		struct golden_array cell = golden_find(&golden, i, "cell"), grid = golden_find(&golden, i, "grid");
		const int32_t *shape = golden_find(&golden, i, "shape").i32;
		struct frcnn_anchor_level level = {.nsizes = (int)sizes.count, .nratios = (int)ratios.count};
		memcpy(level.sizes, sizes.f32, sizes.count * sizeof(float));
		memcpy(level.ratios, ratios.f32, ratios.count * sizeof(float));

		struct frcnn_cell_anchors ours;
		frcnn_cell_anchors(&level, &ours);
		cr_assert_eq((size_t)ours.count * 4, cell.count);
		cr_assert_eq(golden_error(ours.boxes, cell.f32, cell.count), 0);
		float *all = malloc(grid.count * sizeof(float));
		cr_assert_eq((size_t)(shape[0] * shape[1] * ours.count * 4), grid.count);
		frcnn_grid_anchors(&ours, shape[0], shape[1], shape[2] / shape[0], shape[3] / shape[1], all);
		cr_assert_eq(golden_error(all, grid.f32, grid.count), 0);
		free(all);
	}
	frcnn_file_close(&golden.file);
}

Test(detect_boxes, as_torchvision)
{
	struct golden golden = golden_open("boxes");
	struct golden_array boxes = golden_find(&golden, -1, "boxes"), deltas = golden_find(&golden, -1, "deltas");
	for (int w = 0; w < 2; w++) {
		const float *weights = w ? frcnn_box_weights : frcnn_rpn_weights;
		struct golden_array decoded = golden_find(&golden, -1, w ? "box.decoded" : "rpn.decoded");
		struct golden_array clipped = golden_find(&golden, -1, w ? "box.clipped" : "rpn.clipped");
		struct golden_array large = golden_find(&golden, -1, w ? "box.large" : "rpn.large");
		size_t nlarge = 0;
		for (size_t i = 0; i < boxes.count / 4; i++) {
			float box[4];
			frcnn_box_decode(deltas.f32 + 4 * i, boxes.f32 + 4 * i, weights, box);
			cr_assert_leq(golden_error(box, decoded.f32 + 4 * i, 4), 1e-6, "box %zu", i);
			frcnn_box_clip(box, 100, 75);
			cr_assert_leq(golden_error(box, clipped.f32 + 4 * i, 4), 1e-6, "box %zu", i);
			cr_assert_eq(frcnn_box_is_large(box, 1e-2f), large.u8[i], "box %zu", i);
			nlarge += large.u8[i];
		}
		cr_assert(nlarge > 0 && nlarge < boxes.count / 4, "the golden holds both kinds");
	}
	struct golden_array scaled = golden_find(&golden, -1, "scaled");
	float *copy = malloc(boxes.count * sizeof(float));
	memcpy(copy, boxes.f32, boxes.count * sizeof(float));
	frcnn_boxes_scale(copy, boxes.count / 4, 100, 75, 441, 331);
	cr_assert_eq(golden_error(copy, scaled.f32, scaled.count), 0);
	free(copy);
	frcnn_file_close(&golden.file);
}

Test(detect_params, scales_by_construction)
{
	static struct frcnn_detect_params params;
	struct frcnn_description resnet = {.body = FRCNN_BODY_RESNET, .nlevels = 5, .nlabels = 91, .max_dets = 100};
	struct frcnn_description mobile = {.body = FRCNN_BODY_MOBILENET_V3_LARGE, .nlevels = 3, .score = 0.05};
	resnet.anchors[4] =
	    (struct frcnn_anchor_level){.nsizes = 1, .nratios = 3, .sizes = {512}, .ratios = {0.5f, 1, 2}};
	frcnn_detect_params_init(&resnet, &params);
	cr_assert_eq(params.nroi_levels, 4);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(params.roi_scales[i], 0.25f / (float)(1 << i));
	cr_assert_eq(params.anchors[4].count, 3);
	cr_assert_eq(params.anchors[4].boxes[0], -362.0f);
	cr_assert_eq(params.nlabels, 91);
	cr_assert_eq(params.max_dets, 100);
	frcnn_detect_params_init(&mobile, &params);
	cr_assert_eq(params.nroi_levels, 2);
	cr_assert_eq(params.roi_scales[0], 1 / 32.0f);
	cr_assert_eq(params.roi_scales[1], 1 / 32.0f);
	cr_assert_eq(params.score, 0.05);
}

Test(detect_workspace, keeps_and_frees)
{
	struct frcnn_workspace workspace = {0};
	void *first = frcnn_scratch_get(&workspace.slots[0], 100, 8);
	cr_assert_not_null(first);
	cr_assert_eq((uintptr_t)first % 64, 0);
	cr_assert_eq(frcnn_scratch_get(&workspace.slots[0], 10, 8), first, "smaller needs keep the block");
	cr_assert_not_null(frcnn_scratch_get(&workspace.slots[0], 100000, 8));
	cr_assert_not_null(frcnn_scratch_get(&workspace.slots[1], 0, 8));
	cr_assert_null(frcnn_scratch_get(&workspace.slots[2], SIZE_MAX, 8));
	frcnn_workspace_free(&workspace);
	cr_assert_null(workspace.slots[0].data);
	frcnn_workspace_free(&workspace);
	frcnn_workspace_free(NULL);
}
