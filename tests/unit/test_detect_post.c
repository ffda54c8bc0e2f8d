#include "detect_golden.h"

Test(detect_postprocess, as_torchvision)
{
	enum { LABELS = 6, MOST = 400 };
	struct golden golden = golden_open("postprocess");
	struct golden_array logits = golden_find(&golden, -1, "logits"), deltas = golden_find(&golden, -1, "deltas");
	struct golden_array rois = golden_find(&golden, -1, "boxes");
	size_t count = rois.count / 4;
	struct frcnn_transform_size size = {100, 75, 128, 96};
	struct frcnn_workspace workspace = {0};
	struct frcnn_pool *pool;
	static struct frcnn_detect_params params;
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);

	/* Both layers' output in one row, as an engine may keep it. */
	size_t stride = 5 * LABELS + 3;
	float *joint = calloc(count * stride, sizeof(float));
	for (size_t i = 0; i < count; i++) {
		memcpy(joint + i * stride, logits.f32 + i * LABELS, LABELS * sizeof(float));
		memcpy(joint + i * stride + LABELS, deltas.f32 + i * 4 * LABELS, 4 * LABELS * sizeof(float));
	}
	struct frcnn_head_output apart = {logits.f32, deltas.f32, LABELS, 4 * LABELS};
	struct frcnn_head_output joined = {joint, joint + LABELS, stride, stride};

	for (int i = 0; i < 5; i++) {
		const float *numbers = golden_find(&golden, i, "case").f32;
		const uint8_t *keep = golden_find(&golden, i, "keep").u8;
		struct golden_array boxes = golden_find(&golden, i, "boxes"),
				    scores = golden_find(&golden, i, "scores");
		const int32_t *labels = golden_find(&golden, i, "labels").i32;
		bool all = true;
		for (int l = 0; l < LABELS; l++)
			all = all && keep[l];
		params = (struct frcnn_detect_params){.nlabels = LABELS,
						      .score = round(numbers[0] * 100) / 100,
						      .nms = round(numbers[1] * 100) / 100,
						      .max_dets = (int)numbers[2],
						      .keep_label = all ? NULL : keep};
		for (int way = 0; way < 2; way++) {
			struct frcnn_detection *items;
			size_t nitems;
			cr_assert_eq(frcnn_postprocess(way ? pool : NULL, way ? &joined : &apart, rois.f32, count,
						       &params, &size, 441, 331, &workspace, &items, &nitems, NULL),
				     0);
			cr_assert_eq(nitems, scores.count, "case %d: %zu for %zu", i, nitems, scores.count);
			for (size_t k = 0; k < nitems; k++) {
				float box[4] = {items[k].x1, items[k].y1, items[k].x2, items[k].y2};
				cr_assert_eq(items[k].label, labels[k], "case %d, detection %zu", i, k);
				cr_assert_leq(golden_error(box, boxes.f32 + 4 * k, 4), 1e-5, "case %d, detection %zu",
					      i, k);
				cr_assert_leq(golden_error(&items[k].score, scores.f32 + k, 1), 1e-5,
					      "case %d, detection %zu", i, k);
			}
		}
	}

	/* No limit keeps at least as many; a limit of 0 nothing; no RoIs give nothing. */
	struct frcnn_detection *items;
	size_t nitems, limited;
	params.keep_label = NULL;
	params.max_dets = 5;
	cr_assert_eq(frcnn_postprocess(pool, &apart, rois.f32, count, &params, &size, 441, 331, &workspace, &items,
				       &limited, NULL),
		     0);
	params.max_dets = -1;
	cr_assert_eq(frcnn_postprocess(pool, &apart, rois.f32, count, &params, &size, 441, 331, &workspace, &items,
				       &nitems, NULL),
		     0);
	cr_assert(limited == 5 && nitems > 5);
	params.max_dets = 0;
	cr_assert_eq(frcnn_postprocess(pool, &apart, rois.f32, count, &params, &size, 441, 331, &workspace, &items,
				       &nitems, NULL),
		     0);
	cr_assert_eq(nitems, 0);
	params.max_dets = 100;
	cr_assert_eq(
	    frcnn_postprocess(pool, &apart, rois.f32, 0, &params, &size, 441, 331, &workspace, &items, &nitems, NULL),
	    0);
	cr_assert_eq(nitems, 0);
	free(joint);
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
	frcnn_file_close(&golden.file);
}

Test(detect_postprocess, score_is_compared_in_float32)
{
	/* Two labels with equal logits: the score is 1/2. Kept at > 0.49999999, not at > 0.5; 0.49999999 rounds to
	 * 0.5f. */
	const float logits[2] = {1, 1}, deltas[8] = {0}, roi[4] = {1, 1, 9, 9};
	struct frcnn_head_output head = {logits, deltas, 2, 8};
	struct frcnn_transform_size size = {10, 10, 32, 32};
	struct frcnn_workspace workspace = {0};
	static struct frcnn_detect_params params;
	struct frcnn_detection *items;
	size_t n;
	params = (struct frcnn_detect_params){.nlabels = 2, .nms = 0.5, .max_dets = 10, .score = 0.4999};
	cr_assert_eq(frcnn_postprocess(NULL, &head, roi, 1, &params, &size, 20, 30, &workspace, &items, &n, NULL), 0);
	cr_assert_eq(n, 1);
	cr_assert_eq(items[0].label, 1);
	cr_assert_eq(items[0].score, 0.5f);
	cr_assert(items[0].x1 == 2 && items[0].y1 == 3 && items[0].x2 == 18 && items[0].y2 == 27);
	params.score = 0.499999999;
	cr_assert_eq(frcnn_postprocess(NULL, &head, roi, 1, &params, &size, 20, 30, &workspace, &items, &n, NULL), 0);
	cr_assert_eq(n, 0);
	frcnn_workspace_free(&workspace);
}
