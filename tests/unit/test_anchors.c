/* lib/anchors against torchvision's own assignment (tests/golden/anchors), against every anchor one by one, and alone.
 */
#include "anchors/anchors.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define GOLDEN "tests/golden/anchors/"

/* ---- ground truth from rows ------------------------------------------------------------------ */

enum { MOST = 4096 };

struct rows {
	struct frcnn_ground_truth truth;
	int64_t ids[MOST], annotation_ids[MOST], categories[MOST];
	const char *names[MOST];
	char name_texts[MOST][16];
	int widths[MOST], heights[MOST];
	size_t images[MOST], first[MOST + 1], by_image[MOST];
	double bboxes[MOST * 4], areas[MOST];
	uint8_t crowds[MOST];
};

static struct rows *new_rows(void)
{
	struct rows *r = calloc(1, sizeof *r);

	r->truth = (struct frcnn_ground_truth){.image_ids = r->ids,
					       .file_names = r->names,
					       .widths = r->widths,
					       .heights = r->heights,
					       .annotation_ids = r->annotation_ids,
					       .annotation_images = r->images,
					       .annotation_categories = r->categories,
					       .bboxes = r->bboxes,
					       .areas = r->areas,
					       .crowds = r->crowds,
					       .first = r->first,
					       .by_image = r->by_image};
	return r;
}

static void add_image(struct rows *r, int width, int height)
{
	size_t i = r->truth.nimages++;

	cr_assert(i < MOST);
	r->ids[i] = (int64_t)i + 1;
	snprintf(r->name_texts[i], sizeof r->name_texts[i], "%05zu.png", i);
	r->names[i] = r->name_texts[i];
	r->widths[i] = width;
	r->heights[i] = height;
	r->first[i + 1] = r->first[i];
}

/* To the last image. */
static void add_box(struct rows *r, double x, double y, double w, double h)
{
	size_t i = r->truth.nannotations++;

	cr_assert(i < MOST);
	r->annotation_ids[i] = (int64_t)i + 100;
	r->images[i] = r->truth.nimages - 1;
	r->categories[i] = 1;
	memcpy(r->bboxes + 4 * i, (double[4]){x, y, w, h}, 4 * sizeof(double));
	r->areas[i] = w * h;
	r->by_image[i] = i;
	r->first[r->truth.nimages] = i + 1;
}

static double uniform(uint64_t *state, double low, double high)
{
	return low + (high - low) * frcnn_anchor_uniform(state);
}

static struct frcnn_anchor_config config_of(const char *sizes, const char *ratios, int min_size, int max_size)
{
	struct frcnn_anchor_config config;
	struct frcnn_error err = {0};

	frcnn_anchor_config_default(&config);
	cr_assert_eq(frcnn_anchor_levels_parse(sizes, ratios, config.levels, config.nlevels, &err), 0, "%s",
		     err.message);
	config.min_size = min_size;
	config.max_size = max_size;
	return config;
}

static struct frcnn_anchor_boxes boxes_of(const struct rows *r, const struct frcnn_anchor_config *config)
{
	struct frcnn_anchor_boxes boxes;

	cr_assert_eq(frcnn_anchor_boxes_make(&r->truth, config->min_size, config->max_size, &boxes, NULL), 0);
	return boxes;
}

/* ---- torchvision ----------------------------------------------------------------------------- */

/* One set of assignments.txt, read line by line; whether its ground truth is there. */
static bool check_set(const char *head, FILE *file)
{
	char path[512], line[256], name[128], sizes[64], ratios[64];
	const char *data = getenv("FRCNN_DATA");
	struct frcnn_anchor_config config;
	struct frcnn_ground_truth truth;
	struct frcnn_anchor_boxes boxes;
	struct frcnn_anchor_stats stats;
	struct frcnn_error err = {0};
	struct frcnn_pool *pool;
	bool there = true;
	int kind = 0, low_size, high_size;

	cr_assert_eq(sscanf(head, "set %127s %d %d %63[^;];%63s", name, &low_size, &high_size, sizes, ratios), 5);
	if (strncmp(name, "DATA/", 5) == 0) {
		there = data && *data;
		snprintf(path, sizeof path, "%s/%s", there ? data : "", name + 5);
	} else {
		snprintf(path, sizeof path, GOLDEN "%s", name);
	}
	if (there) {
		config = config_of(sizes, ratios, low_size, high_size);
		cr_assert_eq(frcnn_ground_truth_read(path, false, NULL, &truth, &err), 0, "%s", err.message);
		cr_assert_eq(frcnn_anchor_boxes_make(&truth, config.min_size, config.max_size, &boxes, &err), 0);
		cr_assert_eq(frcnn_pool_new(2, &pool, &err), 0);
		cr_assert_eq(frcnn_anchors_assign(&boxes, &config, pool, &stats, &err), 0, "%s", err.message);
	}
	while (fgets(line, sizeof line, file)) {
		long long level, counts[4];
		float size, ratio;
		unsigned long wanted;
		size_t matched = 0;

		if (sscanf(line, "matched %lu", &wanted) == 1) {
			for (size_t i = 0; there && i < boxes.nboxes; i++)
				matched += stats.matched[i] > 0;
			if (there)
				cr_expect_eq(matched, wanted, "%s: %zu objects are matched, not %lu", path, matched,
					     wanted);
			break;
		}
		cr_assert_eq(sscanf(line, "%lld %f %f %lld %lld %lld %lld", &level, &size, &ratio, &counts[0],
				    &counts[1], &counts[2], &counts[3]),
			     7);
		if (there) {
			const struct frcnn_anchor_kind *k = &stats.kinds[kind];

			cr_assert(kind < stats.nkinds);
			cr_expect(k->level == level && k->size == size && fabsf(k->ratio - ratio) < 1e-6f);
			cr_expect(k->anchors == counts[0] && k->positive == counts[1] && k->negative == counts[2] &&
				      k->ignored == counts[3],
				  "%s at %d: level %lld, %g x %g: %lld %lld %lld %lld, torchvision has %lld %lld %lld "
				  "%lld",
				  path, config.min_size, level, size, ratio, (long long)k->anchors,
				  (long long)k->positive, (long long)k->negative, (long long)k->ignored, counts[0],
				  counts[1], counts[2], counts[3]);
		}
		kind++;
	}
	if (there) {
		cr_expect_eq(kind, stats.nkinds);
		frcnn_anchor_stats_free(&stats);
		frcnn_anchor_boxes_free(&boxes);
		frcnn_ground_truth_free(&truth);
		frcnn_pool_free(pool);
	}
	return there;
}

static void check_golden(bool data)
{
	FILE *file = fopen(GOLDEN "assignments.txt", "r");
	char line[256];
	int sets = 0;

	cr_assert(file != NULL);
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, "set ", 4) == 0 && (strncmp(line + 4, "DATA/", 5) == 0) == data)
			sets += check_set(line, file);
	}
	fclose(file);
	cr_expect_geq(sets, 5, "%d sets", sets);
}

Test(anchors, as_torchvision)
{
	check_golden(false);
}

Test(anchors, as_torchvision_on_data)
{
	const char *data = getenv("FRCNN_DATA");

	if (!data || !*data)
		cr_skip_test("FRCNN_DATA is not set");
	check_golden(true);
}

/* ---- every anchor one by one ----------------------------------------------------------------- */

static float plain_iou(const float *a, const float *b)
{
	float left = fmaxf(a[0], b[0]), top = fmaxf(a[1], b[1]), right = fminf(a[2], b[2]), bottom = fminf(a[3], b[3]);
	float inter = fmaxf(right - left, 0) * fmaxf(bottom - top, 0);

	return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter);
}

/* The assignment of one image by the book: counts (kinds, 3), best and matched by box. */
static void assign_plainly(const struct frcnn_anchor_boxes *boxes, size_t index,
			   const struct frcnn_anchor_config *config, int64_t *counts, float *best, uint32_t *matched)
{
	const struct frcnn_anchor_image *image = &boxes->images[index];
	const float *objects = boxes->network + 4 * image->first;
	struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS];

	frcnn_anchor_grids(config, &image->size, grids);
	for (int pass = 0; pass < 2; pass++) {
		int kind = 0;

		for (int level = 0; level < config->nlevels; level++) {
			const struct frcnn_anchor_grid *grid = &grids[level];
			size_t cells = (size_t)grid->width * (size_t)grid->height;
			struct frcnn_cell_anchors cell;

			frcnn_cell_anchors(&config->levels[level], &cell);
			size_t per = (size_t)cell.count;
			float *all = malloc(cells * per * 4 * sizeof *all);
			frcnn_grid_anchors(&cell, grid->height, grid->width, grid->step_y, grid->step_x, all);
			for (size_t a = 0; a < cells * per; a++) {
				float most = -1;
				size_t object = 0;
				bool low = false;

				for (size_t i = 0; i < image->count; i++) {
					float iou = plain_iou(objects + 4 * i, all + 4 * a);

					if (pass == 0 && iou > best[i])
						best[i] = iou;
					low |= iou == best[i];
					if (iou > most) {
						most = iou;
						object = i;
					}
				}
				if (pass == 0)
					continue;
				if (image->count > 0 && (most >= 0.7f || low)) {
					counts[3 * (kind + (int)(a % per))]++;
					matched[object]++;
				} else {
					counts[3 * (kind + (int)(a % per)) + (most >= 0.3f ? 2 : 1)]++;
				}
			}
			kind += cell.count;
			free(all);
		}
	}
}

static void check_plainly(const struct rows *r, const struct frcnn_anchor_config *config)
{
	struct frcnn_anchor_boxes boxes = boxes_of(r, config);
	struct frcnn_anchor_stats stats;
	struct frcnn_pool *pool;
	int kinds = frcnn_anchor_config_kinds(config);
	int64_t *counts = calloc((size_t)kinds, 3 * sizeof *counts);
	float *best = calloc(boxes.nboxes + 1, sizeof *best), *level = calloc(boxes.nboxes + 1, sizeof *level);
	uint32_t *matched = calloc(boxes.nboxes + 1, sizeof *matched);

	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	cr_assert_eq(frcnn_anchors_assign(&boxes, config, pool, &stats, NULL), 0);
	for (size_t i = 0; i < boxes.nimages; i++)
		assign_plainly(&boxes, i, config, counts, best + boxes.images[i].first,
			       matched + boxes.images[i].first);
	for (int k = 0; k < kinds; k++)
		cr_expect(stats.kinds[k].positive == counts[3 * k] && stats.kinds[k].negative == counts[3 * k + 1] &&
			      stats.kinds[k].ignored == counts[3 * k + 2],
			  "kind %d: %lld %lld %lld, not %lld %lld %lld", k, (long long)stats.kinds[k].positive,
			  (long long)stats.kinds[k].negative, (long long)stats.kinds[k].ignored,
			  (long long)counts[3 * k], (long long)counts[3 * k + 1], (long long)counts[3 * k + 2]);
	for (size_t i = 0; i < boxes.nboxes; i++) {
		float most = 0;

		cr_expect_eq(stats.best[i], best[i], "box %zu: %.9g, not %.9g", i, stats.best[i], best[i]);
		cr_expect_eq(stats.matched[i], matched[i], "box %zu: %u, not %u", i, stats.matched[i], matched[i]);
		cr_expect_eq(stats.kinds[stats.best_kind[i]].level >= 0, true);
		for (int l = 0; l < config->nlevels; l++) {
			frcnn_anchors_best(&boxes, config, l, pool, level);
			most = fmaxf(most, level[i]);
		}
		cr_expect_eq(most, best[i], "box %zu by levels", i);
	}
	frcnn_anchor_stats_free(&stats);
	frcnn_anchor_boxes_free(&boxes);
	frcnn_pool_free(pool);
	free(counts);
	free(best);
	free(level);
	free(matched);
}

Test(anchors, as_every_anchor_one_by_one)
{
	static const char *const sizes[] = {"32,64,128,256,512", "8+12,16+24,32+48,64+96,128+192", "3,3,5,7,9",
					    "0.4,1,2,300,600"};
	static const char *const ratios[] = {"0.5,1,2", "0.3,1/1,2/0.7,1.3/1,1.1/0.2,5", "1"};
	uint64_t state = 7;

	for (int round = 0; round < 12; round++) {
		struct rows *r = new_rows();
		struct frcnn_anchor_config config =
		    config_of(sizes[round % 4], ratios[round % 3], 100 + 20 * (round % 5), 170 + 10 * round);

		for (int i = 0; i < 4; i++) {
			int width = 40 + (int)uniform(&state, 0, 200), height = 40 + (int)uniform(&state, 0, 200);
			int count = (int)uniform(&state, 0, 9);

			add_image(r, width, height);
			for (int b = 0; b < count; b++) {
				double w = exp(uniform(&state, -1, 5.5)), h = exp(uniform(&state, -1, 5.5));

				/* whole pixels now and then, for ties; some reach out of the image */
				if (b % 2)
					add_box(r, floor(uniform(&state, -10, width)),
						floor(uniform(&state, -10, height)), ceil(w), ceil(h));
				else
					add_box(r, uniform(&state, -10, width), uniform(&state, -10, height), w, h);
			}
		}
		check_plainly(r, &config);
		free(r);
	}
}

Test(anchors, threads_change_nothing)
{
	struct rows *r = new_rows();
	struct frcnn_anchor_config config;
	struct frcnn_anchor_stats stats[2];
	uint64_t state = 3;

	frcnn_anchor_config_default(&config);
	for (int i = 0; i < 30; i++) {
		add_image(r, 640, 480);
		for (int b = 0; b < 10; b++)
			add_box(r, uniform(&state, 0, 500), uniform(&state, 0, 400), uniform(&state, 4, 140),
				uniform(&state, 4, 80));
	}
	struct frcnn_anchor_boxes boxes = boxes_of(r, &config);
	for (int t = 0; t < 2; t++) {
		struct frcnn_pool *pool;

		cr_assert_eq(frcnn_pool_new(t ? 4 : 1, &pool, NULL), 0);
		cr_assert_eq(frcnn_anchors_assign(&boxes, &config, pool, &stats[t], NULL), 0);
		frcnn_pool_free(pool);
	}
	cr_expect_arr_eq(stats[0].kinds, stats[1].kinds, (size_t)stats[0].nkinds * sizeof *stats[0].kinds);
	cr_expect_arr_eq(stats[0].best, stats[1].best, boxes.nboxes * sizeof(float));
	cr_expect_arr_eq(stats[0].matched, stats[1].matched, boxes.nboxes * sizeof(uint32_t));
	for (int t = 0; t < 2; t++)
		frcnn_anchor_stats_free(&stats[t]);
	frcnn_anchor_boxes_free(&boxes);
	free(r);
}

/* ---- ground truth ---------------------------------------------------------------------------- */

Test(anchors, checks_of_the_ground_truth)
{
	struct rows *r = new_rows();
	struct frcnn_anchor_config config;
	static const size_t expected[FRCNN_ANCHOR_CHECKS] = {2, 3, 2, 1, 1, 1, 1};

	frcnn_anchor_config_default(&config);
	add_image(r, 100, 50);
	add_box(r, 10, 10, 20, 20);
	add_box(r, 10, 10, 20, 20);  /* again */
	add_box(r, 10, 10, 20, 0);   /* flat */
	add_box(r, 10, 10, 0, 20);   /* thin */
	add_box(r, 50, 10, 1e-7, 5); /* lost in float32 */
	add_box(r, 100, 10, 20, 20); /* outside */
	add_box(r, 10, -30, 20, 30); /* touching */
	add_box(r, 90, 40, 20, 20);  /* clipped */
	add_box(r, 30, 10, 20, 20);
	r->crowds[r->truth.nannotations - 1] = 1;
	add_box(r, -0.25, 20, 100.5, 30.0003); /* rounded: clipped without a word */
	add_image(r, 100, 50);
	add_image(r, 0, 50);
	add_box(r, 10, 10, 20, 20);
	add_image(r, 4000, 2); /* a side of 0 after resizing */
	struct frcnn_anchor_boxes boxes = boxes_of(r, &config);
	for (int c = 0; c < FRCNN_ANCHOR_CHECKS; c++)
		cr_expect_eq(boxes.findings[c].count, expected[c], "%s: %zu", frcnn_anchor_check_names[c],
			     boxes.findings[c].count);
	cr_expect_eq(boxes.nimages, 2);
	cr_assert_eq(boxes.nboxes, 4);
	cr_expect_eq(boxes.findings[FRCNN_ANCHOR_DUPLICATE].items[0].annotation, 1);
	const float *clipped = boxes.original + 8;
	cr_expect(clipped[0] == 90 && clipped[1] == 40 && clipped[2] == 100 && clipped[3] == 50);
	const float *rounded = boxes.original + 12;
	cr_expect(rounded[0] == 0 && rounded[1] == 20 && rounded[2] == 100 && rounded[3] == 50);
	frcnn_anchor_boxes_free(&boxes);
	free(r);
}

/* ---- configurations -------------------------------------------------------------------------- */

static void check_text(void (*put)(const struct frcnn_anchor_config *, struct frcnn_buffer *),
		       const struct frcnn_anchor_config *config, const char *expected)
{
	struct frcnn_buffer text = {0};

	put(config, &text);
	cr_expect_str_eq(text.data, expected);
	frcnn_buffer_free(&text);
}

Test(anchors, forms)
{
	struct frcnn_anchor_config config = config_of("32,64,128,256,512", "0.5,1,2", 800, 1333);

	check_text(frcnn_anchor_put_option, &config, "32,64,128,256,512;0.5,1,2");
	check_text(frcnn_anchor_put_torchvision, &config,
		   "AnchorGenerator(sizes=((32,), (64,), (128,), (256,), (512,)), aspect_ratios=((0.5, 1, 2),) * 5)");
	check_text(frcnn_anchor_put_detectron2, &config,
		   "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [[32], [64], [128], [256], [512]]\n"
		   "    ASPECT_RATIOS: [[0.5, 1, 2]]\n");
	config = config_of("8+16,2,3,4,5.5", "1/1,2/1,3/1,4/1,5", 800, 1333);
	check_text(frcnn_anchor_put_option, &config, "8+16,2,3,4,5.5;1/1,2/1,3/1,4/1,5");
	check_text(
	    frcnn_anchor_put_torchvision, &config,
	    "AnchorGenerator(sizes=((8, 16), (2,), (3,), (4,), (5.5,)), aspect_ratios=((1,), (1, 2), (1, 3), (1, "
	    "4), (1, 5)))");
	check_text(frcnn_anchor_put_detectron2, &config,
		   "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [[8, 16], [2], [3], [4], [5.5]]\n"
		   "    ASPECT_RATIOS: [[1], [1, 2], [1, 3], [1, 4], [1, 5]]\n");
}

Test(anchors, bad_configurations)
{
	struct frcnn_anchor_config config = config_of("8+16,2,3,4,5", "1", 800, 1333);
	struct frcnn_error err = {0};

	cr_expect_eq(frcnn_anchor_config_check(&config, &err), FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "level 1 has 1 anchors a cell, level 0 has 2: all levels share one RPN head");
	config = config_of("1e6,1e6,1e6,1e6,1e6", "4", 800, 1333);
	cr_expect_eq(frcnn_anchor_config_check(&config, &err), FRCNN_ELIMIT);
}

Test(anchors, smallest_object)
{
	/* A 32 px square anchor: a square of side s inside it has IoU (s / 32)^2. */
	struct frcnn_anchor_config config = config_of("32,64,128,256,512", "1", 800, 1333);

	cr_expect_float_eq(frcnn_anchor_smallest(&config, 0.5, false), 32 * sqrt(0.5), 0.13);
	/* Half a cell (2 px) off on both axes it stays inside up to side 28. */
	cr_expect_float_eq(frcnn_anchor_smallest(&config, 0.5, true), 32 * sqrt(0.5), 0.13);
	cr_expect_gt(frcnn_anchor_smallest(&config, 0.77, true), frcnn_anchor_smallest(&config, 0.77, false));
	cr_expect_eq(frcnn_anchor_smallest(&config, 0.999, true), -1);
}

/* ---- proposals ------------------------------------------------------------------------------- */

Test(anchors, proposals_one_to_one)
{
	static const char text[] =
	    "{\"image_id\":1,\"file_name\":\"00000.png\",\"width\":100,\"height\":100,\"proposals\":["
	    "{\"bbox\":[0,0,10,10],\"objectness\":0.2},{\"bbox\":[0,0,10,8],\"objectness\":0.9},"
	    "{\"bbox\":[70,70,10,10],\"objectness\":0.5}]}\n";
	char path[] = "/tmp/anchors-test-XXXXXX";
	int fd = mkstemp(path);
	struct rows *r = new_rows();
	struct frcnn_anchor_config config;
	struct frcnn_anchor_proposals p;
	struct frcnn_error err = {0};

	frcnn_anchor_config_default(&config);
	add_image(r, 100, 100);
	add_box(r, 0, 0, 10, 10);
	add_box(r, 0, 0, 10, 9);
	add_box(r, 40, 40, 50, 50);
	add_image(r, 100, 100);
	add_box(r, 0, 0, 10, 10);
	struct frcnn_anchor_boxes boxes = boxes_of(r, &config);
	cr_assert(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
	close(fd);
	cr_assert_eq(frcnn_anchor_proposals_read(path, NULL, &boxes, &config, NULL, &p, &err), 0, "%s", err.message);
	unlink(path);
	cr_expect(p.images == 1 && p.count == 3 && p.absent == 1 && p.failed == 0);
	/* the exact pair is taken first; what is left for the second box is the shorter proposal */
	cr_expect_float_eq(p.reached[0][0], 1, 1e-6);
	cr_expect_float_eq(p.reached[0][1], 80.0 / 90, 1e-6);
	cr_expect_float_eq(p.reached[0][2], 0.04, 1e-6);
	cr_expect_eq(p.reached[0][3], 0);
	cr_expect_eq(frcnn_anchor_proposals_recall(&boxes, &p, 2, 0, 0.5), 0.5);
	cr_expect_float_eq(frcnn_anchor_proposals_recall(&boxes, &p, 2, 0, -1), (10 + 8) / 40.0, 1e-12);
	cr_expect_eq(frcnn_anchor_proposals_recall(&boxes, &p, 0, 3, 0.5), -1);
	frcnn_anchor_proposals_free(&p);
	frcnn_anchor_boxes_free(&boxes);
	free(r);
}

/* ---- fitting --------------------------------------------------------------------------------- */

Test(anchors, kmeans_finds_clusters)
{
	static const double shapes[3][2] = {{20, 40}, {100, 100}, {300, 60}};
	float boxes[300 * 4];
	double centres[6], weights[3];
	uint64_t state = 5;

	for (int i = 0; i < 300; i++) {
		boxes[4 * i] = boxes[4 * i + 1] = 7;
		for (int axis = 0; axis < 2; axis++)
			boxes[4 * i + 2 + axis] = 7 + (float)(shapes[i % 3][axis] * uniform(&state, 0.95, 1.05));
	}
	cr_assert_eq(frcnn_anchor_kmeans(boxes, 300, 3, 1, centres, weights, NULL), 0);
	for (int k = 0; k < 3; k++) {
		bool found = false;

		cr_expect_eq(weights[k], 100);
		for (int s = 0; s < 3; s++)
			found |= fabs(centres[2 * k] / shapes[s][0] - 1) < 0.02 &&
				 fabs(centres[2 * k + 1] / shapes[s][1] - 1) < 0.02;
		cr_expect(found, "%g x %g", centres[2 * k], centres[2 * k + 1]);
	}
}

static struct frcnn_anchor_fit fit_of(const struct rows *r, const struct frcnn_anchor_fit_options *options, int threads)
{
	struct frcnn_anchor_config config;
	struct frcnn_anchor_fit fit;
	struct frcnn_error err = {0};
	struct frcnn_pool *pool;

	frcnn_anchor_config_default(&config);
	struct frcnn_anchor_boxes boxes = boxes_of(r, &config);
	cr_assert_eq(frcnn_pool_new(threads, &pool, NULL), 0);
	cr_assert_eq(frcnn_anchors_fit(&boxes, &config, options, pool, &fit, &err), 0, "%s", err.message);
	frcnn_pool_free(pool);
	frcnn_anchor_boxes_free(&boxes);
	return fit;
}

/* Objects that lie exactly under anchors of the default configuration, on images that are not resized. */
static struct rows *rows_of_default(void)
{
	struct rows *r = new_rows();
	struct frcnn_anchor_config config;
	uint64_t state = 11;

	frcnn_anchor_config_default(&config);
	for (int i = 0; i < 60; i++) {
		add_image(r, 800, 800);
		for (int b = 0; b < 6; b++) {
			int level = (int)uniform(&state, 0, 4);
			struct frcnn_cell_anchors cell;

			frcnn_cell_anchors(&config.levels[level], &cell);
			const float *box = cell.boxes + 4 * (int)uniform(&state, 0, 3);
			int step = 4 << level, x = step * (int)uniform(&state, 200 / step + 1, 600 / step),
			    y = step * (int)uniform(&state, 200 / step + 1, 600 / step);
			add_box(r, x + box[0], y + box[1], box[2] - box[0], box[3] - box[1]);
		}
	}
	return r;
}

Test(anchors, a_set_that_fits_keeps_the_default)
{
	struct rows *r = rows_of_default();

	for (int objective = 0; objective < 3; objective++) {
		struct frcnn_anchor_fit_options options = {.objective = (enum frcnn_anchor_objective)objective,
							   .seed = 1,
							   .steps = objective == FRCNN_ANCHOR_ASSIGNED ? 5 : 60,
							   .resamples = 200};
		struct frcnn_anchor_fit fit = fit_of(r, &options, 2);

		cr_expect(fit.keep_default, "objective %d: gain %g, %g to %g", objective, fit.gain, fit.low, fit.high);
		cr_expect_leq(fit.gain, 0);
		cr_expect_eq(fit.before.recall[2], 1);
		cr_expect_eq(fit.images + fit.held_images, 60);
		frcnn_anchor_fit_free(&fit);
	}
	free(r);
}

Test(anchors, a_set_that_does_not_fit_gains)
{
	struct rows *r = new_rows();
	struct frcnn_anchor_fit_options options = {
	    .objective = FRCNN_ANCHOR_RECALL, .seed = 1, .steps = 200, .resamples = 200};
	uint64_t state = 2;

	for (int i = 0; i < 60; i++) {
		add_image(r, 800, 800);
		for (int b = 0; b < 6; b++) {
			double w = uniform(&state, 40, 52), h = w * uniform(&state, 2.8, 3.4);

			add_box(r, uniform(&state, 0, 700), uniform(&state, 0, 600), w, h);
		}
	}
	struct frcnn_anchor_fit one = fit_of(r, &options, 1), many = fit_of(r, &options, 3);
	cr_expect(!one.keep_default && one.low > 0 && one.high >= one.gain && one.gain >= one.low);
	cr_expect_gt(one.after.recall[2], one.before.recall[2] + 0.3);
	cr_expect_float_eq(one.gain, one.after.recall[2] - one.before.recall[2], 1e-12);
	/* the threads change nothing */
	cr_expect(frcnn_anchor_config_equal(&one.config, &many.config));
	cr_expect(one.gain == many.gain && one.low == many.low && one.high == many.high);
	/* the shape that was asked for */
	options.nsizes = 2;
	options.nratios = 1;
	options.per_level = true;
	struct frcnn_anchor_fit shaped = fit_of(r, &options, 2);
	for (int i = 0; i < shaped.config.nlevels; i++)
		cr_expect(shaped.config.levels[i].nsizes == 2 && shaped.config.levels[i].nratios == 1);
	cr_expect_eq(frcnn_anchor_config_check(&shaped.config, NULL), 0);
	frcnn_anchor_fit_free(&one);
	frcnn_anchor_fit_free(&many);
	frcnn_anchor_fit_free(&shaped);
	free(r);
}

Test(anchors, fitting_needs_both_halves)
{
	struct rows *r = new_rows();
	struct frcnn_anchor_fit_options options = {.seed = 1, .steps = 1, .resamples = 10};
	struct frcnn_anchor_config config;
	struct frcnn_anchor_fit fit;
	struct frcnn_error err = {0};

	frcnn_anchor_config_default(&config);
	add_image(r, 100, 100);
	add_box(r, 1, 1, 20, 20);
	struct frcnn_anchor_boxes boxes = boxes_of(r, &config);
	cr_expect_eq(frcnn_anchors_fit(&boxes, &config, &options, NULL, &fit, &err), FRCNN_EINVAL);
	frcnn_anchor_boxes_free(&boxes);
	free(r);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int make_report(const struct rows *r, struct frcnn_anchor_report *report, struct frcnn_buffer *text)
{
	struct frcnn_anchor_fit_options options = {.seed = 1, .steps = 5, .resamples = 20};
	int status;

	memset(report, 0, sizeof *report);
	frcnn_anchor_config_default(&report->config);
	report->config.min_size = 100;
	report->truth_path = "<gt>.json";
	report->reach = 0.3;
	status =
	    frcnn_anchor_boxes_make(&r->truth, report->config.min_size, report->config.max_size, &report->boxes, NULL);
	if (status == 0)
		status = frcnn_anchors_assign(&report->boxes, &report->config, NULL, &report->stats, NULL);
	if (status == 0)
		status = frcnn_anchor_report_fill(report, NULL);
	if (status == 0 && report->boxes.nboxes > 3) {
		status = frcnn_anchors_fit(&report->boxes, &report->config, &options, NULL, &report->fit, NULL);
		report->has_fit = status == 0;
	}
	if (status == 0)
		status = frcnn_anchor_report_text(report, &text[0], NULL);
	if (status == 0)
		status = frcnn_anchor_report_json(report, &text[1], NULL);
	if (status == 0)
		status = frcnn_anchor_report_html(report, &text[2], NULL);
	return status;
}

static struct rows *some_rows(int images)
{
	struct rows *r = new_rows();

	for (int i = 0; i < images; i++) {
		add_image(r, 90, 80);
		add_box(r, i, i, 20 + i, 30);
		add_box(r, 2 * i, 10, 3, 3);
		add_box(r, 0, 0, 0, 3);
	}
	r->names[0] = "<&\"\xff.png";
	return r;
}

Test(anchors, report_of_hostile_names_and_of_nothing)
{
	for (int images = 0; images < 9; images += 8) {
		struct rows *r = some_rows(images);
		struct frcnn_anchor_report report;
		struct frcnn_buffer text[3] = {{0}};
		struct frcnn_json json;

		cr_assert_eq(make_report(r, &report, text), 0);
		frcnn_json_open(&json, text[1].data, text[1].size, NULL);
		cr_expect_eq(frcnn_json_skip(&json, NULL), 0);
		cr_expect_eq(frcnn_json_finish(&json), 0);
		frcnn_json_close(&json);
		cr_expect(strstr(text[2].data, "&lt;gt&gt;.json") && !strstr(text[2].data, "<gt>"));
		cr_expect(strstr(text[2].data, "</html>") && !strstr(text[2].data, "nan"));
		cr_expect_eq(strstr(text[2].data, "no objects") != NULL, report.boxes.nboxes == 0);
		cr_expect(!strstr(text[2].data, "-1.000"));
		cr_expect(images == 0 || strstr(text[0].data, "8 boxes without area: left out"));
		for (int i = 0; i < 3; i++)
			frcnn_buffer_free(&text[i]);
		frcnn_anchor_report_free(&report);
		free(r);
	}
}

Test(anchors, refused_memory)
{
	struct rows *r = some_rows(8);
	bool refused = true;

	for (size_t nth = 0; refused; nth++) {
		struct frcnn_anchor_report report;
		struct frcnn_buffer text[3] = {{0}};
		int status;

		cr_assert(nth < 20000);
		refuse_allocation(nth, false);
		status = make_report(r, &report, text);
		refused = refuse_end();
		cr_expect_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu: %d", nth, status);
		for (int i = 0; i < 3; i++)
			frcnn_buffer_free(&text[i]);
		frcnn_anchor_report_free(&report);
	}
	free(r);
}
