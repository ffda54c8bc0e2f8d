/* lib/eval's measures against tests/golden/eval/measures.txt, and the edges that the golden does not reach. */
#include "eval/eval.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>

#define NEAR 1e-9

/* ---- a ground truth and detections from rows ------------------------------------- */

enum { MAX_ROWS = 512, MAX_IDS = 32 };

struct rows {
	int64_t image_ids[MAX_IDS], category_ids[MAX_IDS];
	size_t nimages, ncategories;
	size_t nobjects, ndetections;
	struct {
		int image, category, crowd;
		double bbox[4], area;
	} objects[MAX_ROWS];
	struct {
		int image, category;
		double bbox[4], score;
	} detections[MAX_ROWS];
};

struct columns {
	struct frcnn_eval_truth truth;
	struct frcnn_eval_detections detections;
	/* Where each row of the input lies. */
	size_t object_at[MAX_ROWS], detection_at[MAX_ROWS];
};

static void add_object(struct rows *rows, int image, int category, double x, double y, double w, double h, int crowd)
{
	size_t i = rows->nobjects++;

	cr_assert(i < MAX_ROWS);
	rows->objects[i].image = image;
	rows->objects[i].category = category;
	rows->objects[i].crowd = crowd;
	memcpy(rows->objects[i].bbox, (double[4]){x, y, w, h}, 4 * sizeof(double));
	rows->objects[i].area = w * h;
}

static void add_detection(struct rows *rows, int image, int category, double x, double y, double w, double h,
			  double score)
{
	size_t i = rows->ndetections++;

	cr_assert(i < MAX_ROWS);
	rows->detections[i].image = image;
	rows->detections[i].category = category;
	memcpy(rows->detections[i].bbox, (double[4]){x, y, w, h}, 4 * sizeof(double));
	rows->detections[i].score = score;
}

/* Ids 1, 2, 3, ... */
static void number_ids(struct rows *rows, size_t nimages, size_t ncategories)
{
	memset(rows, 0, sizeof *rows);
	rows->nimages = nimages;
	rows->ncategories = ncategories;
	for (int i = 0; i < MAX_IDS; i++)
		rows->image_ids[i] = rows->category_ids[i] = i + 1;
}

/* The index that dataset.c gives an id: its place among the ascending ones. */
static uint32_t place(const int64_t *ids, size_t count, int at)
{
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += ids[i] < ids[at];
	return n;
}

static void make_columns(struct rows *rows, struct columns *out)
{
	static const char *names[MAX_IDS];
	static int sizes[MAX_IDS];
	int64_t ids[MAX_ROWS];
	size_t images[MAX_ROWS], first[MAX_IDS + 1] = {0}, by_image[MAX_ROWS], n = 0;
	int64_t categories[MAX_ROWS];
	double bboxes[4 * MAX_ROWS], areas[MAX_ROWS];
	uint8_t crowds[MAX_ROWS];
	struct frcnn_ground_truth truth = {
	    .nimages = rows->nimages,
	    .image_ids = rows->image_ids,
	    .file_names = names,
	    .widths = sizes,
	    .heights = sizes,
	    .nannotations = rows->nobjects,
	    .annotation_ids = ids,
	    .annotation_images = images,
	    .annotation_categories = categories,
	    .bboxes = bboxes,
	    .areas = areas,
	    .crowds = crowds,
	    .first = first,
	    .by_image = by_image,
	    .ncategories = rows->ncategories,
	    .category_ids = rows->category_ids,
	    .category_names = names,
	};
	struct frcnn_eval_collector collector = {0};
	struct frcnn_error err;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < rows->nobjects; i++) {
		ids[i] = (int64_t)i + 1;
		images[i] = (size_t)rows->objects[i].image;
		categories[i] = rows->category_ids[rows->objects[i].category];
		memcpy(bboxes + 4 * i, rows->objects[i].bbox, sizeof rows->objects[i].bbox);
		areas[i] = rows->objects[i].area;
		crowds[i] = (uint8_t)rows->objects[i].crowd;
	}
	for (size_t image = 0; image < rows->nimages; image++) {
		for (size_t i = 0; i < rows->nobjects; i++)
			if (images[i] == image)
				by_image[n++] = i;
		first[image + 1] = n;
	}
	cr_assert_eq(frcnn_eval_truth_make(&truth, false, &out->truth, &err), 0, "%s", err.message);
	for (size_t i = 0; i < rows->ndetections; i++)
		cr_assert_eq(
		    frcnn_eval_collect(&collector, place(rows->image_ids, rows->nimages, rows->detections[i].image),
				       place(rows->category_ids, rows->ncategories, rows->detections[i].category),
				       rows->detections[i].bbox, rows->detections[i].score),
		    0);
	cr_assert_eq(frcnn_eval_detections_make(&collector, &out->truth, NULL, &out->detections, &err), 0, "%s",
		     err.message);
	for (size_t i = 0; i < rows->nobjects; i++)
		out->object_at[out->truth.order[i]] = i;
	for (size_t i = 0; i < rows->ndetections; i++)
		out->detection_at[out->detections.order[i]] = i;
}

static void free_columns(struct columns *columns)
{
	frcnn_eval_truth_free(&columns->truth);
	frcnn_eval_detections_free(&columns->detections);
}

/* ---- the golden -------------------------------------------------------------------- */

/* Words of a file, line by line. */
struct text {
	const char *at, *end;
	char word[1024];
};

static const char *next_word(struct text *text)
{
	size_t n = 0;

	while (text->at < text->end && (*text->at == ' ' || *text->at == '\n'))
		text->at++;
	while (text->at < text->end && *text->at != ' ' && *text->at != '\n' && n + 1 < sizeof text->word)
		text->word[n++] = *text->at++;
	text->word[n] = '\0';
	return text->word;
}

static double next_number(struct text *text)
{
	const char *word = next_word(text);
	double value;

	cr_assert_eq(frcnn_parse_double(word, strlen(word), &value), 0, "not a number in the golden: %s", word);
	return value;
}

static int next_int(struct text *text)
{
	return (int)next_number(text);
}

static bool more(const struct text *text)
{
	return text->at < text->end && *text->at == ' ';
}

static struct rows rows;
static struct columns columns;
static struct frcnn_eval_matches matches;
static int number;

#define SAME(ours, theirs, what)                                                                                       \
	do {                                                                                                           \
		double a_ = (ours), b_ = (theirs);                                                                     \
		cr_expect(fabs(a_ - b_) <= NEAR, "case %d, %s: %.17g is not %.17g", number, what, a_, b_);             \
	} while (0)

/* The golden's category as an index of the columns; -1 stays. */
static int category_at(int k)
{
	return k < 0 ? -1 : (int)place(rows.category_ids, rows.ncategories, k);
}

static void read_rows(struct text *text)
{
	const char *word;

	memset(&rows, 0, sizeof rows);
	word = next_word(text);
	cr_assert_str_eq(word, "images");
	while (more(text))
		rows.image_ids[rows.nimages++] = next_int(text);
	word = next_word(text);
	cr_assert_str_eq(word, "categories");
	while (more(text))
		rows.category_ids[rows.ncategories++] = next_int(text);
	for (word = next_word(text); strcmp(word, "match") != 0; word = next_word(text)) {
		bool object = strcmp(word, "object") == 0;
		int image = next_int(text), category = next_int(text);
		double box[4], last;

		for (int i = 0; i < 4; i++)
			box[i] = next_number(text);
		last = next_number(text);
		if (object) {
			add_object(&rows, image, category, box[0], box[1], box[2], box[3], next_int(text) != 0);
			rows.objects[rows.nobjects - 1].area = last;
		} else {
			add_detection(&rows, image, category, box[0], box[1], box[2], box[3], last);
		}
	}
}

/* Matches as the golden has them, and made with any number of threads. */
static void check_match(struct text *text)
{
	double iou = next_number(text);
	int max_dets = next_int(text);
	static const char letters[] = "FTIL";
	char fates[1024];
	struct frcnn_eval_matches again;
	struct frcnn_pool *pool;
	size_t nd = rows.ndetections, ng = rows.nobjects;

	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, iou, max_dets, NULL, &matches, NULL), 0);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, iou, max_dets, pool, &again, NULL), 0);
	memcpy(fates, next_word(text), sizeof fates);
	for (size_t i = 0; i < nd; i++) {
		size_t at = columns.detection_at[i];
		int object = next_int(text);

		cr_expect_eq(letters[matches.detection[at]], fates[i], "case %d: detection %zu is %c, not %c", number,
			     i, letters[matches.detection[at]], fates[i]);
		cr_expect_eq(matches.object[at], object < 0 ? -1 : (int64_t)columns.object_at[object],
			     "case %d: object of detection %zu", number, i);
		cr_expect_eq(matches.iou[at] > 0, object >= 0);
	}
	for (size_t i = 0; i < ng; i++) {
		int detection = next_int(text);

		cr_expect_eq(matches.detected[columns.object_at[i]],
			     detection < 0 ? -1 : (int64_t)columns.detection_at[detection],
			     "case %d: detection of object %zu", number, i);
	}
	if (nd) {
		cr_expect_arr_eq(matches.detection, again.detection, nd);
		cr_expect_arr_eq(matches.object, again.object, nd * sizeof *matches.object);
		cr_expect_arr_eq(matches.iou, again.iou, nd * sizeof *matches.iou);
		cr_expect_arr_eq(matches.rank, again.rank, nd * sizeof *matches.rank);
	}
	if (ng)
		cr_expect_arr_eq(matches.detected, again.detected, ng * sizeof *matches.detected);
	frcnn_eval_matches_free(&again);
	frcnn_pool_free(pool);
}

static void check_threshold(struct text *text)
{
	double score = next_number(text);
	int k = category_at(next_int(text));
	struct frcnn_eval_operating o = frcnn_eval_at_score(&columns.truth, &columns.detections, &matches, score, k);

	SAME((double)o.objects, next_number(text), "objects");
	SAME((double)o.detections, next_number(text), "detections");
	SAME(o.precision, next_number(text), "precision");
	SAME(o.recall, next_number(text), "recall");
	SAME(o.f1, next_number(text), "f1");
}

static void check_best(struct text *text)
{
	enum frcnn_eval_goal goal = (enum frcnn_eval_goal)next_int(text);
	double wanted = next_number(text), score;
	int k = category_at(next_int(text));
	struct frcnn_eval_threshold best;
	struct frcnn_eval_operating o;

	cr_assert_eq(frcnn_eval_best_score(&columns.truth, &columns.detections, &matches, goal, wanted, k, &best, NULL),
		     0);
	score = next_number(text);
	cr_expect_eq(best.found, score >= 0);
	SAME(best.score, score, "best score");
	SAME(best.precision, next_number(text), "precision at the best score");
	SAME(best.recall, next_number(text), "recall at the best score");
	SAME(best.f1, next_number(text), "f1 at the best score");
	if (!best.found)
		return;
	o = frcnn_eval_at_score(&columns.truth, &columns.detections, &matches, best.cut, k);
	cr_expect(best.cut < best.score);
	SAME(o.precision, best.precision, "precision above the cut");
	SAME(o.recall, best.recall, "recall above the cut");
}

static void check_recall(struct text *text)
{
	double low = next_number(text), high = next_number(text);
	int k = category_at(next_int(text));

	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, low, high, k), next_number(text),
	     "recall by size");
}

static void check_background(struct text *text)
{
	struct frcnn_eval_background b;

	cr_assert_eq(frcnn_eval_background(&columns.truth, &columns.detections, &matches, next_number(text), &b, NULL),
		     0);
	SAME((double)b.images, next_number(text), "background images");
	SAME((double)b.false_positives, next_number(text), "false positives in the background");
	SAME(b.fp_per_image, next_number(text), "false positives an image");
	SAME(b.fp_per_background_image, next_number(text), "false positives a background image");
	SAME((double)b.absent_detections, next_number(text), "detections of absent categories");
}

static void check_calibration(struct text *text)
{
	int nbins = next_int(text);
	struct frcnn_eval_calibration c;

	frcnn_eval_calibration(&columns.detections, &matches, nbins, next_number(text), &c);
	cr_expect_eq(c.nbins, nbins);
	SAME(c.ece, next_number(text), "ece");
	SAME(c.mce, next_number(text), "mce");
	for (int i = 0; i < nbins; i++) {
		SAME((double)c.bins[i].count, next_number(text), "count of a bin");
		SAME(c.bins[i].confidence, next_number(text), "confidence of a bin");
		SAME(c.bins[i].precision, next_number(text), "precision of a bin");
	}
}

static void check_voc(struct text *text)
{
	double iou = next_number(text);
	bool eleven = next_int(text) != 0;
	struct frcnn_eval_voc voc;

	cr_assert_eq(frcnn_eval_voc(&columns.truth, &columns.detections, iou, eleven, &voc, NULL), 0);
	SAME(voc.mean, next_number(text), "VOC mAP");
	for (size_t k = 0; k < rows.ncategories; k++)
		SAME(voc.ap[category_at((int)k)], next_number(text), "VOC AP");
	frcnn_eval_voc_free(&voc);
}

static void check_tide(struct text *text)
{
	double foreground = next_number(text), background = next_number(text);
	struct frcnn_eval_tide t;

	cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, foreground, background, &t, NULL), 0);
	SAME(t.ap, next_number(text), "TIDE AP");
	SAME(t.cls, next_number(text), "TIDE cls");
	SAME(t.loc, next_number(text), "TIDE loc");
	SAME(t.both, next_number(text), "TIDE both");
	SAME(t.dupe, next_number(text), "TIDE dupe");
	SAME(t.bkg, next_number(text), "TIDE bkg");
	SAME(t.miss, next_number(text), "TIDE miss");
	SAME(t.fp, next_number(text), "TIDE fp");
	SAME(t.fn, next_number(text), "TIDE fn");
	for (int i = 0; i < 6; i++)
		SAME((double)t.counts[i], next_number(text), "TIDE count");
}

static void check_confusion(struct text *text)
{
	double iou = next_number(text), score = next_number(text);
	size_t n = rows.ncategories, *matrix;

	cr_assert_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, iou, score, &matrix, NULL), 0);
	for (size_t r = 0; r <= n; r++) {
		for (size_t c = 0; c <= n; c++) {
			size_t row = r < n ? (size_t)category_at((int)r) : n;
			size_t column = c < n ? (size_t)category_at((int)c) : n;

			SAME((double)matrix[row * (n + 1) + column], next_number(text), "confusion");
		}
	}
	free(matrix);
}

static void forget_case(void)
{
	frcnn_eval_matches_free(&matches);
	free_columns(&columns);
}

Test(eval_measures, equal_the_packages_on_a_hundred_cases)
{
	static const struct {
		const char *word;
		void (*check)(struct text *text);
	} checks[] = {
	    {"threshold", check_threshold},
	    {"best", check_best},
	    {"recall", check_recall},
	    {"background", check_background},
	    {"calibration", check_calibration},
	    {"voc", check_voc},
	    {"tide", check_tide},
	    {"confusion", check_confusion},
	};
	size_t done[FRCNN_COUNT(checks)] = {0};
	struct frcnn_file file;
	struct frcnn_error err;
	struct text text = {0};
	int cases = 0;

	cr_assert_eq(frcnn_file_open("tests/golden/eval/measures.txt", 0, &file, &err), 0, "%s", err.message);
	text.at = (const char *)file.data;
	text.end = text.at + file.size;
	for (const char *word = next_word(&text); *word; word = next_word(&text)) {
		size_t i = 0;

		if (strcmp(word, "case") == 0) {
			if (cases++)
				forget_case();
			number = next_int(&text);
			read_rows(&text);
			make_columns(&rows, &columns);
			check_match(&text);
			continue;
		}
		if (strcmp(word, "tied") == 0) {
			double share;

			cr_assert_eq(frcnn_eval_tied_scores(&columns.truth, &columns.detections, &share, NULL), 0);
			SAME(share, next_number(&text), "tied scores");
			continue;
		}
		while (i < FRCNN_COUNT(checks) && strcmp(word, checks[i].word) != 0)
			i++;
		cr_assert(i < FRCNN_COUNT(checks), "case %d: what is %s?", number, word);
		checks[i].check(&text);
		done[i]++;
	}
	forget_case();
	cr_assert_eq(cases, 100);
	for (size_t i = 0; i < FRCNN_COUNT(checks); i++)
		cr_assert(done[i] >= 200, "only %zu lines of %s", done[i], checks[i].word);
	frcnn_file_close(&file);
}

/* ---- edges ------------------------------------------------------------------------------ */

/* Neither objects nor detections: nothing is defined, and nothing divides by zero. */
Test(eval_measures, of_nothing)
{
	struct frcnn_eval_voc voc;
	struct frcnn_eval_tide tide;
	struct frcnn_eval_background background;
	struct frcnn_eval_threshold best;
	struct frcnn_eval_calibration calibration;
	struct frcnn_eval_operating o;
	size_t *matrix;
	double share;

	number_ids(&rows, 2, 3);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
	cr_assert_eq(frcnn_eval_voc(&columns.truth, &columns.detections, 0.5, true, &voc, NULL), 0);
	cr_expect_eq(voc.mean, -1);
	cr_expect_eq(voc.ap[2], -1);
	cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL), 0);
	cr_expect(tide.ap == 0 && tide.miss == 0 && tide.fp == 0 && tide.fn == 0 && tide.counts[5] == 0);
	cr_assert_eq(frcnn_eval_background(&columns.truth, &columns.detections, &matches, 0, &background, NULL), 0);
	cr_expect_eq(background.images, 2);
	cr_expect_eq(background.fp_per_background_image, 0);
	cr_assert_eq(frcnn_eval_best_score(&columns.truth, &columns.detections, &matches, FRCNN_EVAL_BEST_F1, 0, -1,
					   &best, NULL),
		     0);
	cr_expect(!best.found && best.f1 == -1);
	frcnn_eval_calibration(&columns.detections, &matches, 10, 0, &calibration);
	cr_expect(calibration.ece == -1 && calibration.mce == -1 && calibration.bins[9].high == 1);
	o = frcnn_eval_at_score(&columns.truth, &columns.detections, &matches, 0, 1);
	cr_expect(o.precision == -1 && o.recall == -1 && o.f1 == -1);
	cr_expect_eq(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 0, 1e10, -1), -1);
	cr_assert_eq(frcnn_eval_tied_scores(&columns.truth, &columns.detections, &share, NULL), 0);
	cr_expect_eq(share, -1);
	cr_assert_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, 0.5, 0, &matrix, NULL), 0);
	for (int i = 0; i < 16; i++)
		cr_expect_eq(matrix[i], 0);
	free(matrix);
	frcnn_eval_voc_free(&voc);
	forget_case();
}

/* A hundred and twenty detections of an image: the last twenty of them, whatever their category, find nothing. */
Test(eval_measures, size_recall_and_tide_take_the_first_hundred_of_an_image)
{
	struct frcnn_eval_tide tide;

	number_ids(&rows, 2, 2);
	add_object(&rows, 0, 0, 0, 0, 10, 10, false);
	add_object(&rows, 0, 1, 500, 0, 10, 10, false);
	add_object(&rows, 1, 1, 500, 0, 10, 10, false);
	/* Category 1 has twenty; of equal scores the earlier in the input is taken, here the hundredth. */
	for (int i = 0; i < 99; i++)
		add_detection(&rows, 0, 0, 0, 100, 5, 5, 0.9 - i * 0.001);
	add_detection(&rows, 0, 1, 500, 0, 10, 10, 0.5);
	add_detection(&rows, 0, 0, 0, 0, 10, 10, 0.5);
	for (int i = 0; i < 19; i++)
		add_detection(&rows, 0, 1, 0, 200, 5, 5, 0.4);
	add_detection(&rows, 1, 1, 500, 0, 10, 10, 0.1);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
	cr_expect_eq(matches.rank[columns.detection_at[99]], 99);
	cr_expect_eq(matches.rank[columns.detection_at[100]], 100);
	cr_expect_eq(matches.detection[columns.detection_at[100]], FRCNN_MATCH_TRUE, "of its category it is the 100th");
	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 0, 1024, -1), 2.0 / 3, "all");
	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 0, 1024, 0), 0, "category 0");
	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 0, 1024, 1), 1, "category 1");
	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 100, 100, 1), 1, "closed bounds");
	SAME(frcnn_eval_size_recall(&columns.truth, &columns.detections, &matches, 101, 1024, 1), -1, "none so large");
	cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL), 0);
	cr_expect_eq(tide.counts[5], 1, "the object that only the 101st finds is missed");
	cr_expect_eq(tide.counts[4], 99);
	forget_case();
}

/* What a crowd covers is no confusion with the background; of another category, or less than covered, it is. */
Test(eval_measures, confusion_leaves_crowds_out)
{
	size_t *m;

	number_ids(&rows, 1, 2);
	add_object(&rows, 0, 0, 0, 0, 100, 100, true);
	add_object(&rows, 0, 1, 10, 10, 20, 20, false);
	add_detection(&rows, 0, 0, 50, 50, 20, 20, 0.9);
	add_detection(&rows, 0, 1, 50, 50, 20, 20, 0.9);
	add_detection(&rows, 0, 0, 90, 50, 20, 20, 0.9); /* half of it: not more than 0.5 */
	add_detection(&rows, 0, 0, 10, 10, 20, 20, 0.8); /* has an object, though in the crowd */
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, 0.5, 0, &m, NULL), 0);
	cr_expect(m[0] == 0 && m[1] == 0 && m[2] == 0);
	cr_expect(m[3] == 1 && m[4] == 0 && m[5] == 0);
	cr_expect(m[6] == 1 && m[7] == 1 && m[8] == 0);
	free(m);
	free_columns(&columns);
}

/* 11-point AP asks for recall 0.30000000000000004 where the devkit's table has 3 * 0.1: 3 of 10 found is less. */
Test(eval_measures, eleven_points_are_numpys)
{
	struct frcnn_eval_voc voc;

	number_ids(&rows, 1, 1);
	for (int i = 0; i < 10; i++)
		add_object(&rows, 0, 0, i * 20, 0, 10, 10, false);
	for (int i = 0; i < 3; i++)
		add_detection(&rows, 0, 0, i * 20, 0, 10, 10, 0.9);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_voc(&columns.truth, &columns.detections, 0.5, true, &voc, NULL), 0);
	SAME(voc.mean, 3.0 / 11, "recalls 0, .1 and .2");
	frcnn_eval_voc_free(&voc);
	cr_assert_eq(frcnn_eval_voc(&columns.truth, &columns.detections, 0.5, false, &voc, NULL), 0);
	SAME(voc.mean, 0.3, "area");
	frcnn_eval_voc_free(&voc);
	free_columns(&columns);
}

/* Bins are closed below, with numpy's edges; scores outside of 0 .. 1 are clipped. */
Test(eval_measures, calibration_bins)
{
	static const double scores[] = {0.1, 0.3, 0.30000000000000004, 1, 1.5, 0, -2, 0.99};
	static const int bins[] = {1, 2, 3, 9, 9, 0, 0, 9};
	size_t counts[10] = {0};
	struct frcnn_eval_calibration c;

	number_ids(&rows, 1, 1);
	for (size_t i = 0; i < FRCNN_COUNT(scores); i++) {
		add_detection(&rows, 0, 0, 0, 0, 10, 10, scores[i]);
		counts[bins[i]]++;
	}
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
	frcnn_eval_calibration(&columns.detections, &matches, 10, -INFINITY, &c);
	for (int i = 0; i < 10; i++)
		cr_expect_eq(c.bins[i].count, counts[i], "bin %d has %zu", i, c.bins[i].count);
	SAME(c.mce, 0.9966666666666666, "nothing is right: the confidence of the last bin");
	/* 1.0 / 49 * 49 is less than 1, and yet the second bin begins there */
	columns.detections.score[0] = 1.0 / 49;
	frcnn_eval_calibration(&columns.detections, &matches, 49, -INFINITY, &c);
	cr_expect_eq(c.bins[1].count, 1);
	columns.detections.score[0] = 1.5;
	frcnn_eval_calibration(&columns.detections, &matches, 1000, 0.99, &c);
	cr_expect_eq(c.nbins, FRCNN_EVAL_MAX_BINS);
	cr_expect_eq(c.bins[99].count, 2, "a score that is the bound is not above it");
	forget_case();
}

/* The cut is a short number that keeps the same. */
Test(eval_measures, cuts_are_short)
{
	static const struct {
		double score, below, cut;
	} cases[] = {
	    {0.93, 0.87, 0.9},  {0.912, 0.911, 0.911}, {0.5, 0, 0.2},
	    {3e-9, 1e-9, 2e-9}, {-0.5, -1.5, -1},      {0.75, 0.5, 0.6},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_eval_threshold best;

		number_ids(&rows, 1, 1);
		add_object(&rows, 0, 0, 0, 0, 10, 10, false);
		add_detection(&rows, 0, 0, 0, 0, 10, 10, cases[i].score);
		if (cases[i].below != 0)
			add_detection(&rows, 0, 0, 50, 0, 10, 10, cases[i].below);
		make_columns(&rows, &columns);
		cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
		cr_assert_eq(frcnn_eval_best_score(&columns.truth, &columns.detections, &matches, FRCNN_EVAL_BEST_F1, 0,
						   0, &best, NULL),
			     0);
		cr_expect(best.found && best.score == cases[i].score && best.f1 == 1);
		cr_expect_eq(best.cut, cases[i].cut, "between %g and %g: %.17g", cases[i].below, cases[i].score,
			     best.cut);
		forget_case();
	}
}

Test(eval_measures, thresholds_that_make_no_sense)
{
	struct frcnn_error err;
	struct frcnn_eval_voc voc;
	struct frcnn_eval_tide tide;
	size_t *matrix;

	number_ids(&rows, 1, 1);
	make_columns(&rows, &columns);
	cr_expect_eq(frcnn_eval_match(&columns.truth, &columns.detections, NAN, 100, NULL, &matches, &err),
		     FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "IoU threshold nan is not in 0 .. 1");
	cr_expect_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 0, NULL, &matches, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_eval_voc(&columns.truth, &columns.detections, 0, true, &voc, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.6, &tide, &err), FRCNN_EINVAL);
	cr_expect_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0, &tide, &err), FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "IoU thresholds 0 and 0.5: not 0 < background <= foreground <= 1");
	cr_expect_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, 1.5, 0, &matrix, &err), FRCNN_EINVAL);
	free_columns(&columns);
}

/* An object that counts is kept even where a crowd overlaps more. */
Test(eval_measures, crowds_come_last)
{
	number_ids(&rows, 1, 1);
	add_object(&rows, 0, 0, 0, 0, 100, 100, true);
	add_object(&rows, 0, 0, 0, 0, 10, 10, false);
	add_detection(&rows, 0, 0, 0, 0, 10, 8, 0.9);
	add_detection(&rows, 0, 0, 0, 0, 10, 10, 0.8);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
	cr_expect(matches.detection[0] == FRCNN_MATCH_TRUE && matches.object[0] == 1 && matches.iou[0] == 0.8);
	cr_expect(matches.detection[1] == FRCNN_MATCH_IGNORED && matches.object[1] == 0 && matches.iou[1] == 1);
	forget_case();
}

/* Of objects that overlap as much, the earlier in the file is taken, whatever its category. */
Test(eval_measures, equal_overlaps)
{
	struct frcnn_eval_tide tide;
	size_t *m;

	number_ids(&rows, 2, 3);
	add_object(&rows, 0, 1, 0, 0, 10, 10, false);
	add_object(&rows, 0, 0, 0, 0, 10, 10, false);
	add_object(&rows, 1, 0, 0, 0, 10, 10, false);
	add_detection(&rows, 0, 2, 0, 0, 10, 10, 0.9);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL), 0);
	SAME(tide.ap, 0, "AP");
	SAME(tide.cls, 50, "category 1 becomes right, category 2 is empty then");
	cr_assert_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, 0.5, 0, &m, NULL), 0);
	cr_expect(m[1 * 4 + 2] == 1 && m[0 * 4 + 3] == 2 && m[1 * 4 + 3] == 0);
	free(m);
	free_columns(&columns);

	/* The first detection has half of each; the second one finds the first object taken. */
	number_ids(&rows, 1, 1);
	add_object(&rows, 0, 0, 0, 0, 10, 10, false);
	add_object(&rows, 0, 0, 10, 0, 10, 10, false);
	add_detection(&rows, 0, 0, 0, 0, 20, 10, 0.9);
	add_detection(&rows, 0, 0, 0, 0, 10, 10, 0.8);
	make_columns(&rows, &columns);
	cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL), 0);
	cr_expect_eq(tide.counts[3], 1, "a duplicate");
	cr_expect_eq(tide.counts[5], 1, "a missed object");
	free_columns(&columns);
}

Test(eval_measures, sorts_nan_last)
{
	struct frcnn_eval_scored items[5] = {{NAN, 0, 0}, {0.5, 1, 1}, {-INFINITY, 0, 2}, {0.5, 0, 3}, {NAN, 0, 4}};
	static const uint32_t rows_in_order[5] = {3, 1, 2, 0, 4};

	frcnn_eval_sort(items, 5);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(items[i].row, rows_in_order[i], "place %d has row %u", i, items[i].row);
}

/* A difficult object is ignored as a crowd is, but a small box in it is no match of it. */
Test(eval_measures, difficult_objects_are_compared_as_boxes)
{
	for (int crowd = 1; crowd <= 2; crowd++) {
		struct frcnn_eval_tide tide;
		size_t *m;
		bool covered = crowd == 1;

		number_ids(&rows, 1, 1);
		add_object(&rows, 0, 0, 0, 0, 100, 100, crowd);
		add_object(&rows, 0, 0, 200, 0, 10, 10, 0);
		add_detection(&rows, 0, 0, 200, 0, 10, 10, 0.5);
		add_detection(&rows, 0, 0, 10, 10, 20, 20, 0.9);
		add_detection(&rows, 0, 0, 0, 0, 100, 90, 0.8); /* of either */
		make_columns(&rows, &columns);
		cr_assert_eq(frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL), 0);
		cr_expect_eq(matches.detection[0], covered ? FRCNN_MATCH_IGNORED : FRCNN_MATCH_FALSE);
		cr_expect_eq(matches.detection[1], FRCNN_MATCH_IGNORED);
		cr_assert_eq(frcnn_eval_confusion(&columns.truth, &columns.detections, 0.5, 0, &m, NULL), 0);
		cr_expect(m[0] == 1 && m[1] == 0 && m[2] == !covered);
		free(m);
		cr_assert_eq(frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL), 0);
		SAME(tide.ap, covered ? 100 : 50, "TIDE AP");
		forget_case();
	}
}

/* Every refused allocation is an error without a leak, and what comes after is unharmed. */
static int all_measures(void)
{
	struct frcnn_eval_voc voc = {0};
	struct frcnn_eval_tide tide;
	struct frcnn_eval_background background;
	struct frcnn_eval_threshold best;
	size_t *matrix = NULL;
	double share;
	int status = frcnn_eval_match(&columns.truth, &columns.detections, 0.5, 100, NULL, &matches, NULL);

	if (!status)
		status = frcnn_eval_voc(&columns.truth, &columns.detections, 0.5, false, &voc, NULL);
	if (!status)
		status = frcnn_eval_tide(&columns.truth, &columns.detections, 0.5, 0.1, &tide, NULL);
	if (!status)
		status = frcnn_eval_confusion(&columns.truth, &columns.detections, 0.5, 0, &matrix, NULL);
	if (!status)
		status = frcnn_eval_background(&columns.truth, &columns.detections, &matches, 0, &background, NULL);
	if (!status)
		status = frcnn_eval_best_score(&columns.truth, &columns.detections, &matches, FRCNN_EVAL_BEST_F1, 0, -1,
					       &best, NULL);
	if (!status)
		status = frcnn_eval_tied_scores(&columns.truth, &columns.detections, &share, NULL);
	free(matrix);
	frcnn_eval_voc_free(&voc);
	frcnn_eval_matches_free(&matches);
	return status;
}

Test(eval_measures, refused_memory)
{
	size_t refusals = 0;

	number_ids(&rows, 1, 1);
	add_object(&rows, 0, 0, 0, 0, 10, 10, false);
	add_detection(&rows, 0, 0, 0, 0, 10, 10, 0.5);
	make_columns(&rows, &columns);
	cr_assert_eq(all_measures(), 0);
	for (size_t nth = 0;; nth++) {
		int status;

		refuse_allocation(nth, false);
		status = all_measures();
		if (!refuse_end()) {
			cr_expect_eq(status, 0);
			break;
		}
		cr_expect_eq(status, FRCNN_ENOMEM, "allocation %zu was refused without a word", nth);
		refusals++;
	}
	cr_expect(refusals > 30);
	free_columns(&columns);
}
