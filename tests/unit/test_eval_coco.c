/*
 * COCO cells and the 12 numbers against pycocotools, bit for bit: SHA-256 of what it computed for 300 random
 * evaluations (tests/golden/eval/make_coco_cases.py), each as it is and on several threads; and COCO's own example.
 */
#include <criterion/criterion.h>

#include "eval_cases.h"

#include <math.h>
#include <stdlib.h>

#define GOLDEN "tests/golden/eval/coco_cases.txt"
#define FILES  "tests/golden/eval/files/"

struct digests {
	char precision[65], recall[65], scores[65], stats[65];
};

/* variant: 'p' as pycocotools has it, 'r' with the annotation ids made unique */
static bool read_digests(int number, char variant, struct digests *out)
{
	FILE *file = fopen(GOLDEN, "r");
	char line[512], kind;
	bool found = false;
	int n;

	cr_assert(file, "%s cannot be read", GOLDEN);
	while (!found && fgets(line, sizeof line, file))
		found = sscanf(line, "%d %c %64s %64s %64s %64s", &n, &kind, out->precision, out->recall, out->scores,
			       out->stats) == 6 &&
			n == number && kind == variant;
	fclose(file);
	return found;
}

/* Bytes little-endian, each NaN as 7ff8000000000000. */
static void digest(const double *values, size_t count, char hex[65])
{
	uint8_t *bytes = frcnn_calloc(count, 8);

	cr_assert(bytes);
	for (size_t i = 0; i < count; i++) {
		uint64_t bits = UINT64_C(0x7ff8000000000000);

		if (!isnan(values[i]))
			memcpy(&bits, &values[i], 8);
		for (int b = 0; b < 8; b++)
			bytes[i * 8 + (size_t)b] = (uint8_t)(bits >> (8 * b));
	}
	cr_assert_eq(frcnn_sha256(bytes, count * 8, hex, NULL), 0);
	free(bytes);
}

static struct digests digest_cells(const struct frcnn_eval_cells *cells, const double stats[12])
{
	size_t count = (size_t)cells->T * (size_t)cells->K * (size_t)cells->A * (size_t)cells->M;
	struct digests out;

	digest(cells->precision, count * (size_t)cells->R, out.precision);
	digest(cells->scores, count * (size_t)cells->R, out.scores);
	digest(cells->recall, count, out.recall);
	digest(stats, 12, out.stats);
	return out;
}

/* Detections of categories that the ground truth lacks are dropped, as pycocotools drops them. */
static void collect(const struct eval_case *c, const struct frcnn_eval_truth *truth,
		    struct frcnn_eval_collector *collector)
{
	for (size_t i = 0; i < c->ndetections; i++) {
		const struct eval_case_detection *d = &c->detections[i];
		uint32_t image = 0, category = 0;

		if (d->category < 0)
			continue;
		while (truth->image_ids[image] != c->truth.image_ids[d->image])
			image++;
		while (truth->category_ids[category] != c->truth.category_ids[d->category])
			category++;
		cr_assert_eq(frcnn_eval_collect(collector, image, category, d->bbox, d->score), 0);
	}
}

static struct digests evaluate(const struct eval_case *c, bool pycocotools, int threads)
{
	struct frcnn_eval_options options = c->options;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_detections detections;
	struct frcnn_eval_truth truth;
	struct frcnn_eval_cells cells;
	struct frcnn_error err = {0};
	struct frcnn_pool *pool = NULL;
	struct digests out;
	double stats[12];

	options.pycocotools = pycocotools;
	if (threads > 1)
		cr_assert_eq(frcnn_pool_new(threads, &pool, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_eval_truth_make(&c->truth, pycocotools, &truth, &err), 0, "%s", err.message);
	collect(c, &truth, &collector);
	cr_assert_eq(frcnn_eval_detections_make(&collector, &truth, pool, &detections, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_eval_coco(&truth, &detections, &options, pool, &cells, &err), 0, "%s", err.message);
	frcnn_eval_stats(&cells, &options, stats);
	out = digest_cells(&cells, stats);
	frcnn_eval_cells_free(&cells);
	frcnn_eval_detections_free(&detections);
	frcnn_eval_truth_free(&truth);
	frcnn_eval_collector_free(&collector);
	frcnn_pool_free(pool);
	return out;
}

static void compare(const struct digests *ours, const struct digests *golden, bool with_stats, int number,
		    const char *how)
{
	cr_expect_str_eq(ours->precision, golden->precision, "case %d, %s: precision", number, how);
	cr_expect_str_eq(ours->recall, golden->recall, "case %d, %s: recall", number, how);
	cr_expect_str_eq(ours->scores, golden->scores, "case %d, %s: scores", number, how);
	if (with_stats && strcmp(golden->stats, "-") != 0)
		cr_expect_str_eq(ours->stats, golden->stats, "case %d, %s: stats", number, how);
}

static void check_family(enum eval_family family)
{
	bool trap = family == EVAL_ID_ZERO || family == EVAL_DUPLICATES;
	int checked = 0;

	for (int number = (int)family; number < EVAL_CASES; number += EVAL_FAMILIES, checked++) {
		struct digests golden, repaired, ours;
		struct eval_case c;

		eval_case_make(number, &c);
		cr_assert_eq(c.family, family);
		cr_assert(read_digests(number, 'p', &golden), "case %d has no golden", number);
		ours = evaluate(&c, true, 1);
		compare(&ours, &golden, true, number, "--pycocotools");
		ours = evaluate(&c, true, 3);
		compare(&ours, &golden, true, number, "--pycocotools on three threads");
		/* Without traps the default is the same, but for where AP is read with other max-dets. */
		if (trap) {
			cr_assert(read_digests(number, 'r', &repaired), "case %d has no repaired golden", number);
			ours = evaluate(&c, false, 1);
			compare(&ours, &repaired, true, number, "default, beside repaired ids");
		} else if (family != EVAL_NOT_NUMBERS) {
			ours = evaluate(&c, false, 2);
			compare(&ours, &golden, family != EVAL_MAX_DETS, number, "default");
		}
		eval_case_free(&c);
	}
	cr_expect_eq(checked, EVAL_CASES / EVAL_FAMILIES);
}

Test(eval_coco, plain_cases)
{
	check_family(EVAL_PLAIN);
}

Test(eval_coco, integer_boxes)
{
	check_family(EVAL_INTEGERS);
}

Test(eval_coco, tied_scores)
{
	check_family(EVAL_TIES);
}

Test(eval_coco, crowds)
{
	check_family(EVAL_CROWDS);
}

Test(eval_coco, iou_exactly_at_thresholds)
{
	check_family(EVAL_STEPS);
}

Test(eval_coco, areas_on_the_bounds)
{
	check_family(EVAL_BOUNDS);
}

Test(eval_coco, more_than_100_detections_an_image)
{
	check_family(EVAL_MANY);
}

Test(eval_coco, without_categories)
{
	check_family(EVAL_AGNOSTIC);
}

Test(eval_coco, other_iou_thresholds)
{
	check_family(EVAL_IOUS);
}

Test(eval_coco, other_area_ranges)
{
	check_family(EVAL_AREAS);
}

Test(eval_coco, other_limits_of_detections)
{
	check_family(EVAL_MAX_DETS);
}

Test(eval_coco, ground_truth_id_zero)
{
	check_family(EVAL_ID_ZERO);
}

Test(eval_coco, duplicate_ids)
{
	check_family(EVAL_DUPLICATES);
}

Test(eval_coco, not_numbers)
{
	check_family(EVAL_NOT_NUMBERS);
}

Test(eval_coco, everything_mixed)
{
	check_family(EVAL_MIXED);
}

/* What lies behind the hashes is not all -1 or 0. */
Test(eval_coco, cases_say_something)
{
	int traps = 0, undefined = 0;

	for (int number = 0; number < EVAL_CASES; number++) {
		struct digests p, r;

		cr_assert(read_digests(number, 'p', &p));
		undefined += !strcmp(p.precision, p.scores);
		if (read_digests(number, 'r', &r))
			traps += strcmp(p.precision, r.precision) != 0;
	}
	cr_expect_geq(traps, 15, "only %d traps change the result", traps);
	cr_expect_leq(undefined, 45, "%d cases have nothing defined, or no true positive", undefined);
}

/* IoU alone: most of its last bits never reach a threshold. */
Test(eval_coco, ious)
{
	double(*detections)[4] = frcnn_calloc(EVAL_IOU_PAIRS, sizeof *detections);
	double(*objects)[4] = frcnn_calloc(EVAL_IOU_PAIRS, sizeof *objects);
	double *ious = frcnn_calloc(EVAL_IOU_PAIRS, sizeof *ious);
	FILE *file = fopen("tests/golden/eval/iou.txt", "r");
	char golden[66], hex[65];

	cr_assert(detections && objects && ious && file);
	cr_assert(fgets(golden, 65, file));
	fclose(file);
	eval_case_ious(EVAL_IOU_PAIRS, detections, objects);
	for (size_t i = 0; i < EVAL_IOU_PAIRS; i++)
		ious[i] = frcnn_eval_iou(detections[i], objects[i], i % 3 == 0);
	digest(ious, EVAL_IOU_PAIRS, hex);
	cr_expect_str_eq(hex, golden);
	free(detections);
	free(objects);
	free(ious);
}

/* ---- the tables ------------------------------------------------------------------------------------------------ */

Test(eval_coco, thresholds_are_numpys)
{
	struct frcnn_eval_options o;
	int low = 0;

	frcnn_eval_options_init(&o);
	cr_assert_eq(o.nious, 10);
	for (int t = 0; t < 9; t++)
		cr_expect_eq(o.ious[t], t * 0.049999999999999996 + 0.5, "threshold %d", t);
	cr_expect_eq(o.ious[7], 0.85);
	cr_expect_eq(o.ious[8], 0.8999999999999999);
	cr_expect_eq(o.ious[9], 0.95);
	cr_assert_eq(o.nareas, 4);
	cr_expect_eq(o.areas[3].high, 1e10);
	cr_assert_eq(o.nmax_dets, 3);
	cr_expect_eq(o.max_dets[2], 100);
	/* i * 0.01 and i / 100 are not the same: a recall of 35/100 reaches one of them alone. */
	for (int i = 0; i <= 100; i++)
		low += i * 0.01 != i / 100.0;
	cr_expect_eq(low, 10);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* A ground truth and its results, read and joined. */
struct files {
	struct frcnn_ground_truth ground_truth;
	struct frcnn_eval_truth truth;
	struct frcnn_eval_detections detections;
};

static void collect_record(const struct frcnn_record *record, const struct files *f, const struct frcnn_join *join,
			   struct frcnn_eval_collector *collector)
{
	size_t place;
	uint32_t image = 0, category;

	cr_assert_eq(frcnn_join_find(join, NULL, record->has_image_id, record->image_id, &place, NULL), 1);
	while (f->truth.image_ids[image] != f->ground_truth.image_ids[place])
		image++;
	for (size_t i = 0; i < record->ndetections; i++) {
		const struct frcnn_record_item *d = &record->detections[i];

		if (frcnn_eval_category(&f->truth, d->category_id, &category))
			cr_assert_eq(frcnn_eval_collect(collector, image, category, d->bbox, d->score), 0);
	}
}

static void read_files(const char *truth, const char *results, bool pycocotools, struct files *f)
{
	struct frcnn_ground_truth_options from = {.pycocotools = pycocotools};
	struct frcnn_eval_collector collector = {0};
	struct frcnn_error err = {0};
	struct frcnn_records *records;
	const struct frcnn_record *record;
	struct frcnn_join *join;
	struct frcnn_file file;
	int status;

	cr_assert_eq(frcnn_ground_truth_open(truth, &from, NULL, &f->ground_truth, &err), 0, "%s", err.message);
	cr_assert_eq(f->ground_truth.errors, 0, "%s", truth);
	cr_assert_eq(frcnn_eval_truth_make(&f->ground_truth, pycocotools, &f->truth, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_join_new(&f->ground_truth, &join, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_file_open(results, 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_records_open_memory(file.data, file.size, results, NULL, &records, &err), 0, "%s",
		     err.message);
	if (pycocotools)
		frcnn_records_pycocotools(records);
	while ((status = frcnn_records_next(records, &record, &err)) > 0)
		collect_record(record, f, join, &collector);
	cr_assert_eq(status, 0, "%s", err.message);
	cr_assert_eq(frcnn_eval_detections_make(&collector, &f->truth, NULL, &f->detections, &err), 0, "%s",
		     err.message);
	frcnn_records_close(records);
	frcnn_file_close(&file);
	frcnn_join_free(join);
}

static void free_files(struct files *f)
{
	frcnn_eval_detections_free(&f->detections);
	frcnn_eval_truth_free(&f->truth);
	frcnn_ground_truth_free(&f->ground_truth);
}

/* tests/cli/eval-cells.sh gives the same files to the program. */
Test(eval_coco, files_as_others_write_them)
{
	FILE *list = fopen(FILES "expected.txt", "r");
	char line[512], name[32], how[32], truth[128], results[128];
	struct digests golden, ours;
	int n = 0;

	cr_assert(list, "%sexpected.txt cannot be read", FILES);
	while (fgets(line, sizeof line, list)) {
		struct frcnn_eval_options options;
		struct frcnn_eval_cells cells;
		struct files f;
		double stats[12];

		cr_assert_eq(sscanf(line, "%31s %31s %64s %64s %64s %64s", name, how, golden.precision, golden.recall,
				    golden.scores, golden.stats),
			     6);
		snprintf(truth, sizeof truth, FILES "%s.gt.json", name);
		snprintf(results, sizeof results, FILES "%s.dt.json", name);
		frcnn_eval_options_init(&options);
		options.pycocotools = !strcmp(how, "--pycocotools");
		options.agnostic = !strcmp(how, "--agnostic");
		read_files(truth, results, options.pycocotools, &f);
		cr_assert_eq(frcnn_eval_coco(&f.truth, &f.detections, &options, NULL, &cells, NULL), 0);
		frcnn_eval_stats(&cells, &options, stats);
		ours = digest_cells(&cells, stats);
		compare(&ours, &golden, true, n++, name);
		frcnn_eval_cells_free(&cells);
		free_files(&f);
	}
	fclose(list);
	cr_expect_geq(n, 9);
}

Test(eval_coco, cocos_own_example)
{
	static const double golden[12] = {.5045806987249628, .6969727247299577, .5729816669904824,  .5856257209410443,
					  .5193996948036719, .5013978986347466, .38681277964578054, .5936795762842003,
					  .595352982877607,  .6398109626113442, .5664205978994309,  .5642905982905982};
	const char *data = getenv("FRCNN_DATA");
	struct frcnn_eval_options options;
	struct frcnn_eval_cells cells;
	char truth[4096], results[4096];
	struct files f;
	double stats[12];

	if (!data || !*data)
		cr_skip_test("FRCNN_DATA is not set");
	snprintf(truth, sizeof truth, "%s/cocoapi100/instances_val2014_100.json", data);
	snprintf(results, sizeof results, "%s/cocoapi100/instances_val2014_fakebbox100_results.json", data);
	read_files(truth, results, false, &f);
	frcnn_eval_options_init(&options);
	cr_assert_eq(frcnn_eval_coco(&f.truth, &f.detections, &options, NULL, &cells, NULL), 0);
	frcnn_eval_stats(&cells, &options, stats);
	for (int i = 0; i < 12; i++)
		cr_expect_eq(stats[i], golden[i], "number %d: %.17g, not %.17g", i, stats[i], golden[i]);
	frcnn_eval_cells_free(&cells);
	free_files(&f);
}
