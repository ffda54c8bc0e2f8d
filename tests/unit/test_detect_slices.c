#include "detect_golden.h"

Test(detect_slices, tiles_cover_the_image)
{
	uint64_t state = 3;
	for (int trial = 0; trial < 500; trial++) {
		int width = 1 + (int)(golden_random(&state) % 60), height = 1 + (int)(golden_random(&state) % 60);
		int slice_width = 1 + (int)(golden_random(&state) % 40),
		    slice_height = 1 + (int)(golden_random(&state) % 40);
		int smaller = slice_width < slice_height ? slice_width : slice_height;
		int overlap = (int)(golden_random(&state) % (uint32_t)(smaller + 1)) - 1;
		struct frcnn_slices slices;
		cr_assert_eq(frcnn_slices_layout(width, height, slice_width, slice_height, overlap, &slices, NULL), 0);
		uint8_t covered[60][60] = {0};
		for (size_t i = 0; i < frcnn_slices_count(&slices); i++) {
			struct frcnn_tile tile = frcnn_slices_tile(&slices, i);
			cr_assert_eq(tile.width, slice_width < width ? slice_width : width);
			cr_assert_eq(tile.height, slice_height < height ? slice_height : height);
			cr_assert(tile.x >= 0 && tile.y >= 0 && tile.x + tile.width <= width &&
				  tile.y + tile.height <= height);
			cr_assert_eq(!!(tile.inner & FRCNN_INNER_LEFT), tile.x != 0);
			cr_assert_eq(!!(tile.inner & FRCNN_INNER_TOP), tile.y != 0);
			cr_assert_eq(!!(tile.inner & FRCNN_INNER_RIGHT), tile.x + tile.width != width);
			cr_assert_eq(!!(tile.inner & FRCNN_INNER_BOTTOM), tile.y + tile.height != height);
			for (int y = tile.y; y < tile.y + tile.height; y++)
				for (int x = tile.x; x < tile.x + tile.width; x++)
					covered[y][x] = 1;
			if (i % (size_t)slices.columns) { /* neighbours overlap by at least what was asked for */
				struct frcnn_tile before = frcnn_slices_tile(&slices, i - 1);
				cr_assert_gt(tile.x, before.x);
				cr_assert_geq(before.x + before.width - tile.x, overlap == -1 ? smaller / 5 : overlap);
			}
		}
		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++)
				cr_assert(covered[y][x], "%d,%d of %dx%d is in no tile", x, y, width, height);
	}
}

Test(detect_slices, options)
{
	struct frcnn_slices slices;
	struct frcnn_error err;
	cr_assert_eq(frcnn_slices_layout(1000, 700, 2000, 900, -1, &slices, &err), 0);
	cr_assert_eq(frcnn_slices_count(&slices), 1);
	struct frcnn_tile tile = frcnn_slices_tile(&slices, 0);
	cr_assert(tile.x == 0 && tile.y == 0 && tile.width == 1000 && tile.height == 700 && tile.inner == 0);
	cr_assert_eq(frcnn_slices_layout(1000, 700, 300, 200, -1, &slices, &err), 0);
	cr_assert(slices.step_x == 260 && slices.step_y == 160);
	cr_assert_eq(frcnn_slices_layout(1000, 700, 300, 200, 200, &slices, &err), FRCNN_EINVAL);
	cr_assert_not_null(strstr(err.message, "300 x 200"), "%s", err.message);
	cr_assert_eq(frcnn_slices_layout(1000, 700, 0, 200, 0, &slices, &err), FRCNN_EINVAL);
	cr_assert_eq(frcnn_slices_layout(1000, 700, 9, 9, -2, &slices, &err), FRCNN_EINVAL);
	cr_assert_eq(frcnn_slices_layout(0, 700, 9, 9, 1, &slices, &err), FRCNN_EINVAL);
}

/* Two tiles side by side: 0..100 and 80..180, inner edges at 100 and 80. */
static struct frcnn_slices two_tiles(void)
{
	struct frcnn_slices slices;
	cr_assert_eq(frcnn_slices_layout(180, 100, 100, 100, 20, &slices, NULL), 0);
	cr_assert_eq(frcnn_slices_count(&slices), 2);
	return slices;
}

static size_t merge(const struct frcnn_detection *items, const size_t *tiles, size_t count, int max_dets,
		    struct frcnn_detection out[16])
{
	struct frcnn_slices slices = two_tiles();
	struct frcnn_workspace workspace = {0};
	struct frcnn_detection *merged;
	size_t n;
	cr_assert_eq(
	    frcnn_slices_merge(NULL, &slices, items, tiles, count, 3, 0.5, max_dets, &workspace, &merged, &n, NULL), 0);
	cr_assert_leq(n, 16);
	memcpy(out, merged, n * sizeof(*out));
	frcnn_workspace_free(&workspace);
	return n;
}

Test(detect_slices, fragments_go)
{
	struct frcnn_detection out[16];
	/* The left tile sees the first 25 pixels of what the right tile sees whole. */
	struct frcnn_detection cut[2] = {{82, 10, 100, 40, 0.9f, 1}, {82, 10, 150, 40, 0.8f, 1}};
	const size_t tiles[2] = {0, 1};
	cr_assert_eq(merge(cut, tiles, 2, 100, out), 1);
	/* The fragment is gone although its score is the better one. (82 is within reach of tile 1's edge at 80, but
	 * nothing larger lies around that box.) */
	cr_assert_eq(out[0].x2, 150.0f);

	cut[0].label = 2; /* another label explains nothing */
	cr_assert_eq(merge(cut, tiles, 2, 100, out), 2);
	cr_assert_eq(out[0].score, 0.9f);
	cut[0].label = 1;

	cut[0].x2 = 96; /* does not end at the inner edge */
	cr_assert_eq(merge(cut, tiles, 2, 100, out), 2);
	cut[0].x2 = 100;

	cut[0].x1 = 70; /* 18 of 30 pixels lie in the other box: less than 70% */
	cr_assert_eq(merge(cut, tiles, 2, 100, out), 2);
	cut[0].x1 = 82;

	const size_t same[2] = {0, 0}; /* found in one tile: no seam between them */
	cr_assert_eq(merge(cut, same, 2, 100, out), 2);

	cut[1].x2 = 101.5f, cut[1].y2 = 90; /* ends at the same edge itself */
	cr_assert_eq(merge(cut, tiles, 2, 100, out), 2);
}

Test(detect_slices, of_two_fragments_one_stays)
{
	/* Each lies in the other by more than 70% and ends at its own tile's inner edge, IoU 20/44 < 0.5. */
	const struct frcnn_detection pair[2] = {{72, 0, 100, 10, 0.6f, 1}, {80, 0, 106, 10, 0.9f, 1}};
	const size_t tiles[2] = {0, 1};
	struct frcnn_detection out[16];
	struct frcnn_slices slices = two_tiles();
	struct frcnn_workspace workspace = {0};
	struct frcnn_detection *merged;
	size_t n;
	cr_assert_eq(frcnn_slices_merge(NULL, &slices, pair, tiles, 2, 3, 0.95, 100, &workspace, &merged, &n, NULL), 0);
	cr_assert_eq(n, 1);
	cr_assert_eq(merged[0].x1, 72.0f, "the larger one");
	frcnn_workspace_free(&workspace);
	cr_assert_eq(merge(pair, tiles, 2, 100, out), 1); /* and NMS at 0.5 leaves the better one */
	cr_assert_eq(out[0].x1, 80.0f);
}

Test(detect_slices, limit_and_order)
{
	const struct frcnn_detection items[4] = {
	    {0, 0, 10, 10, 0.5f, 2}, {60, 0, 70, 10, 0.5f, 1}, {40, 0, 50, 10, 0.7f, 1}, {20, 0, 30, 10, 0.5f, 1}};
	const size_t tiles[4] = {0, 0, 0, 0};
	struct frcnn_detection out[16];
	cr_assert_eq(merge(items, tiles, 4, -1, out), 4);
	cr_assert(out[0].x1 == 40 && out[1].x1 == 20 && out[2].x1 == 60 && out[3].x1 == 0);
	cr_assert_eq(merge(items, tiles, 4, 2, out), 2);
	cr_assert(out[0].x1 == 40 && out[1].x1 == 20);
	cr_assert_eq(merge(items, tiles, 4, 0, out), 0);
	cr_assert_eq(merge(items, tiles, 0, 5, out), 0);
}

Test(detect_slices, order_of_items_does_not_matter)
{
	enum { N = 120 };
	struct frcnn_detection items[N];
	size_t tiles[N];
	struct frcnn_slices slices;
	struct frcnn_workspace first = {0}, again = {0};
	struct frcnn_pool *pool;
	uint64_t state = 11;
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	cr_assert_eq(frcnn_slices_layout(100, 80, 40, 30, 10, &slices, NULL), 0);
	size_t ntiles = frcnn_slices_count(&slices), fewer = 0;
	for (int trial = 0; trial < 100; trial++) {
		for (size_t i = 0; i < N; i++) {
			struct frcnn_tile tile = frcnn_slices_tile(&slices, tiles[i] = golden_random(&state) % ntiles);
			int x1 = (int)(golden_random(&state) % (uint32_t)tile.width),
			    y1 = (int)(golden_random(&state) % (uint32_t)tile.height);
			int x2 = x1 + 1 + (int)(golden_random(&state) % (uint32_t)(tile.width - x1));
			int y2 = y1 + 1 + (int)(golden_random(&state) % (uint32_t)(tile.height - y1));
			items[i] = (struct frcnn_detection){(float)(tile.x + x1),
							    (float)(tile.y + y1),
							    (float)(tile.x + x2),
							    (float)(tile.y + y2),
							    (float)(golden_random(&state) % 6) / 8 + 0.1f,
							    1 + (int)(golden_random(&state) % 2)};
		}
		struct frcnn_detection *a, *b;
		size_t na, nb;
		cr_assert_eq(frcnn_slices_merge(NULL, &slices, items, tiles, N, 3, 0.5, -1, &first, &a, &na, NULL), 0);
		for (size_t i = N - 1; i > 0; i--) { /* shuffled */
			size_t j = golden_random(&state) % (i + 1), tile = tiles[i];
			struct frcnn_detection item = items[i];
			items[i] = items[j], tiles[i] = tiles[j];
			items[j] = item, tiles[j] = tile;
		}
		cr_assert_eq(frcnn_slices_merge(pool, &slices, items, tiles, N, 3, 0.5, -1, &again, &b, &nb, NULL), 0);
		cr_assert_eq(na, nb);
		cr_assert_arr_eq(a, b, na * sizeof(*a));
		for (size_t i = 1; i < na; i++)
			cr_assert_geq(a[i - 1].score, a[i].score);
		fewer += N - na;
	}
	cr_assert_gt(fewer, 0);
	frcnn_pool_free(pool);
	frcnn_workspace_free(&first);
	frcnn_workspace_free(&again);
}
