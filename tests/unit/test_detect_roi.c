#include "detect_golden.h"

enum { CHANNELS = 19, LEVELS = 4, WIDTH = 640, HEIGHT = 480 };

/* The maps that make.py's feature_map makes. */
static void make_maps(struct frcnn_feature features[LEVELS])
{
	for (int l = 0; l < LEVELS; l++) {
		int height = HEIGHT >> (2 + l), width = WIDTH >> (2 + l);
		float *data = malloc((size_t)(height * width * CHANNELS) * sizeof(float));
		features[l] = (struct frcnn_feature){
		    .data = data, .height = height, .width = width, .scale = 0.25f / (float)(1 << l)};
		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++)
				for (int c = 0; c < CHANNELS; c++)
					*data++ =
					    (float)((y * 7919 + x * 1543 + c * 389 + y * x * 13 + l * 31) % 1021) / 64 -
					    8;
	}
}

static void free_maps(struct frcnn_feature features[LEVELS])
{
	for (int l = 0; l < LEVELS; l++)
		free((void *)(uintptr_t)features[l].data);
}

static const float scales[LEVELS] = {1 / 4.0f, 1 / 8.0f, 1 / 16.0f, 1 / 32.0f};

Test(detect_roi, levels)
{
	struct golden golden = golden_open("roi");
	struct golden_array boxes = golden_find(&golden, -1, "boxes"), levels = golden_find(&golden, -1, "levels");
	struct golden_array sides = golden_find(&golden, -1, "edge.sides"),
			    edge = golden_find(&golden, -1, "edge.levels");
	uint8_t ours[64];
	frcnn_roi_levels(boxes.f32, levels.count, scales, LEVELS, ours);
	cr_assert_arr_eq(ours, levels.u8, levels.count);
	cr_assert_geq(edge.count, 300);
	for (size_t i = 0; i < edge.count; i++) {
		float box[4] = {0, 0, sides.f32[2 * i], sides.f32[2 * i + 1]};
		frcnn_roi_levels(box, 1, scales, LEVELS, ours);
		cr_assert_eq(ours[0], edge.u8[i], "sides %.9g %.9g", (double)box[2], (double)box[3]);
	}
	/* MobileNet: both maps are of scale 1/32, and the first serves all. */
	const float same[2] = {1 / 32.0f, 1 / 32.0f};
	frcnn_roi_levels(boxes.f32, levels.count, same, 2, ours);
	for (size_t i = 0; i < levels.count; i++)
		cr_assert_eq(ours[i], 0);
	const float odd[12] = {0, 0, 0, 0, 5, 5, 1, 9, NAN, NAN, NAN, NAN};
	frcnn_roi_levels(odd, 3, scales, LEVELS, ours);
	cr_assert(ours[0] == 0 && ours[1] == 0 && ours[2] == 0);
	frcnn_file_close(&golden.file);
}

typedef int roi_function(struct frcnn_pool *, const struct frcnn_feature *, int, int, const float *, size_t,
			 struct frcnn_workspace *, struct frcnn_roi_sink, struct frcnn_error *);

static void keep(void *network, size_t at, const float *values, size_t count)
{
	memcpy((float *)network + at, values, count * sizeof *values);
}

/* Runs a function with three threads and the best kernels, and with one and the portable ones: the same results. */
static float *run(roi_function *function, const struct frcnn_feature *features, const float *boxes, size_t count)
{
	size_t floats = count * 49 * CHANNELS;
	float *out = malloc(floats * sizeof(float)), *alone = malloc(floats * sizeof(float));
	struct frcnn_workspace workspace = {0};
	struct frcnn_pool *pool;
	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	memset(out, 0xff, floats * sizeof(float));
	memset(alone, 0xff, floats * sizeof(float));
	workspace.kernels = frcnn_kernels_get(NULL);
	cr_assert_eq(function(pool, features, LEVELS, CHANNELS, boxes, count, &workspace,
			      (struct frcnn_roi_sink){.data = out}, NULL),
		     0);
	workspace.kernels = NULL;
	cr_assert_eq(function(NULL, features, LEVELS, CHANNELS, boxes, count, &workspace,
			      (struct frcnn_roi_sink){.data = alone}, NULL),
		     0);
	cr_assert_arr_eq(out, alone, floats * sizeof(float));
	/* Stored a RoI at a time in place of written. */
	memset(alone, 0xff, floats * sizeof(float));
	cr_assert_eq(function(pool, features, LEVELS, CHANNELS, boxes, count, &workspace,
			      (struct frcnn_roi_sink){.store = keep, .network = alone}, NULL),
		     0);
	cr_assert_arr_eq(out, alone, floats * sizeof(float));
	free(alone);
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
	return out;
}

Test(detect_roi, align_as_torchvision)
{
	struct golden golden = golden_open("roi");
	struct golden_array boxes = golden_find(&golden, -1, "boxes"), align = golden_find(&golden, -1, "align");
	struct frcnn_feature features[LEVELS];
	make_maps(features);
	float *out = run(frcnn_roi_align, features, boxes.f32, boxes.count / 4);
	for (size_t i = 0; i < boxes.count / 4; i++)
		cr_assert_leq(golden_error(out + i * 49 * CHANNELS, align.f32 + i * 49 * CHANNELS, 49 * CHANNELS), 1e-6,
			      "box %zu", i);
	free(out);
	free_maps(features);
	frcnn_file_close(&golden.file);
}

Test(detect_roi, pool_as_torchvision)
{
	struct golden golden = golden_open("roi");
	struct golden_array boxes = golden_find(&golden, -1, "boxes");
	const uint8_t *low = golden_find(&golden, -1, "pool.low").u8, *high = golden_find(&golden, -1, "pool.high").u8;
	struct frcnn_feature features[LEVELS];
	make_maps(features);
	float *out = run(frcnn_roi_pool, features, boxes.f32, boxes.count / 4);
	for (size_t i = 0; i < boxes.count / 4 * 49 * CHANNELS; i++)
		cr_assert_eq(out[i], (float)(low[i] + 256 * high[i]) / 64 - 8, "box %zu", i / (49 * CHANNELS));
	free(out);
	free_maps(features);
	frcnn_file_close(&golden.file);
}

Test(detect_roi, odd_boxes_are_safe)
{
	const float boxes[24] = {NAN,   NAN,   NAN,   NAN,   -INFINITY, -INFINITY, INFINITY, INFINITY,
				 1e30f, 1e30f, 2e38f, 2e38f, -2e9f,     -3e9f,     4e9f,     5e9f,
				 9,     9,     2,     3,     1e9f,      0,         1e9f,     4};
	struct frcnn_feature features[LEVELS];
	make_maps(features);
	float *align = run(frcnn_roi_align, features, boxes, 6), *pool = run(frcnn_roi_pool, features, boxes, 6);
	for (size_t i = 0; i < 6 * 49 * CHANNELS; i++)
		cr_assert(isfinite(align[i]) && isfinite(pool[i]));
	for (size_t i = 2 * 49 * CHANNELS; i < 3 * 49 * CHANNELS; i++)
		cr_assert(align[i] == 0 && pool[i] == 0, "nothing lies out there");
	free(align);
	free(pool);
	free_maps(features);
}
