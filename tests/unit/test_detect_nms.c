#include "detect_golden.h"

static const double thresholds[6] = {0.3, 0.5, 0.7, 1.0 / 3, 0.25, 0.0};

Test(detect_topk, is_the_sorted_prefix)
{
	uint64_t state = 5;
	for (int trial = 0; trial < 300; trial++) {
		size_t groups = golden_random(&state) % 40, each = 1 + golden_random(&state) % 4;
		size_t stride = each + golden_random(&state) % 5, n = groups * each;
		size_t k = golden_random(&state) % (n + 10);
		float *scores = calloc(groups * stride + 1, sizeof(float));
		uint64_t *all = calloc(n + 1, sizeof(*all)), *best = calloc(k + 1, sizeof(*best));
		for (size_t i = 0; i < groups * stride; i++) { /* few values: many ties */
			static const float odd[4] = {-0.0f, INFINITY, -INFINITY, NAN};
			uint32_t pick = golden_random(&state) % 24;
			scores[i] = pick < 4 ? odd[pick] : (float)pick / 4 - 3;
		}
		for (size_t i = 0; i < n; i++)
			all[i] = frcnn_rank_key(scores[i / each * stride + i % each], (uint32_t)i);
		frcnn_rank_sort(all, n);
		for (size_t i = 1; i < n; i++) {
			size_t a = frcnn_rank_index(all[i - 1]), b = frcnn_rank_index(all[i]);
			float x = scores[a / each * stride + a % each], y = scores[b / each * stride + b % each];
			cr_assert(x > y || (isnan(x) && !isnan(y)) || ((x == y || (isnan(x) && isnan(y))) && a < b),
				  "%g at %zu before %g at %zu", (double)x, a, (double)y, b);
		}
		size_t got = frcnn_topk(scores, groups, each, stride, k, best);
		cr_assert_eq(got, k < n ? k : n);
		cr_assert_arr_eq(best, all, got * sizeof(*best));
		free(scores);
		free(all);
		free(best);
	}
}

/* Boxes and scores of the golden's case, ranked. */
static size_t ranked(const uint8_t *bytes, const uint8_t *scores, size_t count, float *boxes, uint64_t *keys)
{
	for (size_t i = 0; i < count; i++)
		keys[i] = frcnn_rank_key((float)scores[i] / 8, (uint32_t)i);
	frcnn_rank_sort(keys, count);
	for (size_t i = 0; i < count; i++)
		for (size_t c = 0; c < 4; c++)
			boxes[4 * i + c] = bytes[4 * (size_t)frcnn_rank_index(keys[i]) + c];
	return count;
}

Test(detect_nms, a_thousand_cases_with_ties)
{
	struct golden golden = golden_open("nms");
	struct golden_array counts = golden_find(&golden, -1, "counts");
	const uint8_t *boxes = golden_find(&golden, -1, "boxes").u8, *scores = golden_find(&golden, -1, "scores").u8;
	const uint8_t *kept = golden_find(&golden, -1, "kept").u8, *nkept = golden_find(&golden, -1, "nkept").u8;
	const uint8_t *threshold = golden_find(&golden, -1, "threshold").u8;
	cr_assert_eq(counts.count, 1000);
	for (size_t i = 0; i < counts.count; i++) {
		float ours[4 * 32], scratch[FRCNN_NMS_SCRATCH(32)];
		uint64_t keys[32];
		uint32_t stay[32];
		size_t count = ranked(boxes, scores, counts.u8[i], ours, keys);
		size_t n = frcnn_nms(ours, count, thresholds[threshold[i]], count, stay, scratch);
		cr_assert_eq(n, nkept[i], "case %zu", i);
		for (size_t j = 0; j < n; j++)
			cr_assert_eq(frcnn_rank_index(keys[stay[j]]), kept[j], "case %zu", i);
		if (n > 2) { /* a limit gives a prefix */
			cr_assert_eq(frcnn_nms(ours, count, thresholds[threshold[i]], 2, stay, scratch), 2);
			cr_assert_eq(frcnn_rank_index(keys[stay[1]]), kept[1]);
		}
		boxes += 4 * count;
		scores += count;
		kept += nkept[i];
	}
	frcnn_file_close(&golden.file);
}

Test(detect_nms, float_iou_against_double_threshold)
{
	/* IoU 3/10: as float32 it is above 0.3. */
	const float boxes[8] = {0, 0, 10, 1, 0, 0, 3, 1};
	float scratch[FRCNN_NMS_SCRATCH(2)];
	uint32_t kept[2];
	cr_assert_eq(frcnn_nms(boxes, 2, 0.3, 2, kept, scratch), 1);
	cr_assert_eq(frcnn_nms(boxes, 2, (double)0.3f, 2, kept, scratch), 2);
	/* 1/2 is exact, and not above 1/2. */
	const float half[8] = {0, 0, 2, 1, 0, 0, 1, 1};
	cr_assert_eq(frcnn_nms(half, 2, 0.5, 2, kept, scratch), 2);
	/* Equal boxes without area: 0/0 is above nothing. */
	const float empty[8] = {5, 5, 5, 5, 5, 5, 5, 5};
	cr_assert_eq(frcnn_nms(empty, 2, 0.0, 2, kept, scratch), 2);
}

Test(detect_nms, by_label_is_each_label_alone)
{
	enum { N = 400, LABELS = 7 };
	static float boxes[4 * N], alone[4 * N], scratch[FRCNN_NMS_SCRATCH(N)];
	static int labels[N];
	static uint8_t keep[N];
	static uint32_t kept[N], source[N];
	struct frcnn_workspace workspace = {0};
	struct frcnn_pool *pool;
	uint64_t state = 9;
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (int trial = 0; trial < 20; trial++) {
		size_t limit = trial % 2 ? 5 : N;
		for (size_t i = 0; i < N; i++) {
			float *box = boxes + 4 * i;
			box[0] = (float)(golden_random(&state) % 30);
			box[1] = (float)(golden_random(&state) % 30);
			box[2] = box[0] + (float)(golden_random(&state) % 20);
			box[3] = box[1] + (float)(golden_random(&state) % 20);
			labels[i] = (int)(golden_random(&state) % (LABELS - 1)); /* the last label has none */
		}
		cr_assert_eq(frcnn_nms_by_label(pool, boxes, labels, N, LABELS, 0.4, limit, keep, &workspace, NULL), 0);
		for (int label = 0; label < LABELS; label++) {
			size_t count = 0, checked = 0;
			for (size_t i = 0; i < N; i++) {
				if (labels[i] != label)
					continue;
				memcpy(alone + 4 * count, boxes + 4 * i, 4 * sizeof(float));
				source[count++] = (uint32_t)i;
			}
			size_t n = frcnn_nms(alone, count, 0.4, limit, kept, scratch);
			for (size_t i = 0; i < count; i++) {
				bool stays = checked < n && kept[checked] == i;
				checked += stays;
				cr_assert_eq(keep[source[i]], stays);
			}
		}
	}
	cr_assert_eq(frcnn_nms_by_label(pool, boxes, labels, 0, LABELS, 0.4, 1, keep, &workspace, NULL), 0);
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
}

Test(detect_proposals, as_torchvision)
{
	struct golden golden = golden_open("proposals");
	struct frcnn_workspace workspace = {0};
	struct frcnn_error err;
	struct frcnn_pool *pool;
	static struct frcnn_detect_params params;
	cr_assert_eq(frcnn_pool_new(2, &pool, &err), 0);
	for (int i = 0; i < 3; i++) {
		const int32_t *numbers = golden_find(&golden, i, "case").i32,
			      *grid = golden_find(&golden, i, "grid").i32;
		const float *limits = golden_find(&golden, i, "thresholds").f32,
			    *sizes = golden_find(&golden, i, "sizes").f32;
		struct golden_array logits = golden_find(&golden, i, "logits"),
				    deltas = golden_find(&golden, i, "deltas");
		struct golden_array boxes = golden_find(&golden, i, "boxes"),
				    scores = golden_find(&golden, i, "scores");
		struct frcnn_transform_size size = {numbers[2], numbers[3], numbers[0], numbers[1]};
		int nlevels = numbers[6], nsizes = numbers[7], anchors = 3 * nsizes;
		params =
		    (struct frcnn_detect_params){.nlevels = nlevels, .rpn_pre = numbers[4], .rpn_post = numbers[5]};
		params.rpn_nms = round(limits[0] * 100) / 100; /* the float of 0.7 is not 0.7 */
		params.rpn_score = round(limits[1] * 100) / 100;

		struct frcnn_rpn_level apart[5], joined[5];
		float *joint[5];
		size_t cell = 0;
		for (int l = 0; l < nlevels; l++) {
			struct frcnn_anchor_level level = {.nsizes = nsizes, .nratios = 3, .ratios = {0.5f, 1, 2}};
			memcpy(level.sizes, sizes + l * nsizes, (size_t)nsizes * sizeof(float));
			frcnn_cell_anchors(&level, &params.anchors[l]);
			size_t a = (size_t)anchors, cells = (size_t)(grid[2 * l] * grid[2 * l + 1]);
			apart[l] = (struct frcnn_rpn_level){
			    logits.f32 + cell * a, deltas.f32 + cell * 4 * a, a, 4 * a, grid[2 * l], grid[2 * l + 1]};
			joint[l] = malloc(cells * 5 * a * sizeof(float));
			for (size_t c = 0; c < cells; c++) {
				memcpy(joint[l] + c * 5 * a, apart[l].logits + c * a, a * sizeof(float));
				memcpy(joint[l] + c * 5 * a + a, apart[l].deltas + c * 4 * a, 4 * a * sizeof(float));
			}
			joined[l] = (struct frcnn_rpn_level){joint[l], joint[l] + a, 5 * a,
							     5 * a,    grid[2 * l],  grid[2 * l + 1]};
			cell += cells;
		}
		cr_assert_eq(cell * (size_t)anchors, logits.count);
		struct frcnn_proposals out;
		for (int way = 0; way < 2; way++) {
			cr_assert_eq(frcnn_propose_boxes(way ? pool : NULL, way ? joined : apart, &params, &size,
							 &workspace, &out, &err),
				     0);
			cr_assert_eq(out.count, scores.count, "case %d: %zu for %zu", i, out.count, scores.count);
			cr_assert_leq(golden_error(out.boxes, boxes.f32, boxes.count), 1e-6, "case %d", i);
			cr_assert_leq(golden_error(out.scores, scores.f32, scores.count), 1e-6, "case %d", i);
		}
		params.rpn_post = 0;
		cr_assert_eq(frcnn_propose_boxes(pool, joined, &params, &size, &workspace, &out, &err), 0);
		cr_assert_eq(out.count, 0);
		for (int l = 0; l < nlevels; l++)
			free(joint[l]);
	}
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
	frcnn_file_close(&golden.file);
}

Test(detect_proposals, not_a_number_is_dropped)
{
	static struct frcnn_detect_params params;
	float logits[4] = {NAN, 2, 1, INFINITY}, deltas[16] = {0};
	struct frcnn_rpn_level level = {logits, deltas, 1, 4, 2, 2};
	struct frcnn_transform_size size = {64, 64, 64, 64};
	struct frcnn_workspace workspace = {0};
	struct frcnn_proposals out;
	deltas[2 * 4 + 1] = NAN; /* cell 2 */
	params = (struct frcnn_detect_params){.nlevels = 1, .rpn_pre = 10, .rpn_post = 10, .rpn_nms = 0.7};
	params.anchors[0] = (struct frcnn_cell_anchors){.count = 1, .boxes = {-8, -8, 8, 8}};
	cr_assert_eq(frcnn_propose_boxes(NULL, &level, &params, &size, &workspace, &out, NULL), 0);
	cr_assert_eq(out.count, 2);
	cr_assert_eq(out.scores[0], 1.0f);
	cr_assert_eq(out.boxes[0], 24.0f); /* cell 3 is at 32, 32 */
	cr_assert_eq(out.boxes[4], 24.0f); /* cell 1 at 32, 0: clipped above */
	cr_assert_eq(out.boxes[5], 0.0f);
	frcnn_workspace_free(&workspace);
}
