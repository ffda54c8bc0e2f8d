/* Validation: each kind of finding is found, counted, named, and said with its effect on AP; sound runs have none. */
#include "eval/validate.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>

/* Eight images of 200x100 (the last two without a size), three categories, ids with gaps; three objects an image. */
#define IMAGES     8
#define CATEGORIES 3
static const int64_t category_ids[CATEGORIES] = {1, 2, 4};
static const char *const category_names[CATEGORIES] = {"Traffic light", "dog", "cat"};

static void object(int image, int k, double out[4])
{
	out[0] = 70 + 20 * k + image;
	out[1] = 40 + 15 * k;
	out[2] = 18 + k;
	out[3] = 14 - k;
}

struct run {
	struct frcnn_ground_truth ground_truth;
	struct frcnn_eval_truth truth;
	struct frcnn_validation *validation;
	struct frcnn_eval_collector collector;
	struct frcnn_buffer said; /* errors of joining, then findings: "KIND error count: text" */
	const struct frcnn_finding *findings;
	size_t count;
};

static void begin_sized(struct run *run, int sized)
{
	struct frcnn_buffer text = {0};
	struct frcnn_error err;

	*run = (struct run){0};
	frcnn_buffer_puts(&text, "{\"images\":[");
	for (int i = 0; i < IMAGES; i++) {
		frcnn_buffer_printf(&text, "%s{\"id\":%d,\"file_name\":\"d/%c.jpg\"", i ? "," : "", 10 * (i + 1),
				    'a' + i);
		if (i < sized)
			frcnn_buffer_puts(&text, ",\"width\":200,\"height\":100");
		frcnn_buffer_putc(&text, '}');
	}
	frcnn_buffer_puts(&text, "],\"annotations\":[");
	for (int n = 0; n < IMAGES * CATEGORIES; n++) {
		double b[4];
		object(n / CATEGORIES, n % CATEGORIES, b);
		frcnn_buffer_printf(&text,
				    "%s{\"id\":%d,\"image_id\":%d,\"category_id\":%d,\"iscrowd\":0,\"area\":%g,"
				    "\"bbox\":[%g,%g,%g,%g]}",
				    n ? "," : "", n + 1, 10 * (n / CATEGORIES + 1), (int)category_ids[n % CATEGORIES],
				    b[2] * b[3], b[0], b[1], b[2], b[3]);
	}
	frcnn_buffer_puts(&text, "],\"categories\":[");
	for (int k = 0; k < CATEGORIES; k++)
		frcnn_buffer_printf(&text, "%s{\"id\":%d,\"name\":\"%s\"}", k ? "," : "", (int)category_ids[k],
				    category_names[k]);
	frcnn_buffer_puts(&text, "]}");
	cr_assert_eq(frcnn_ground_truth_parse(text.data, text.size, "gt", false, NULL, &run->ground_truth, &err), 0,
		     "%s", err.message);
	cr_assert_eq(run->ground_truth.errors, 0);
	frcnn_buffer_free(&text);
	cr_assert_eq(frcnn_eval_truth_make(&run->ground_truth, false, &run->truth, &err), 0);
	cr_assert_eq(frcnn_validation_new(&run->ground_truth, &run->truth, "d", &run->validation, &err), 0);
}

static void begin(struct run *run)
{
	begin_sized(run, IMAGES);
}

/* One record, as a line of JSON. */
static void line(struct run *run, const char *text)
{
	struct frcnn_records *records;
	const struct frcnn_record *record;
	struct frcnn_error err;
	int rc;

	cr_assert_eq(frcnn_records_open_memory(text, strlen(text), "d", NULL, &records, &err), 0);
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		if (rc > 0)
			rc = frcnn_validation_record(run->validation, record, &run->collector, &err);
		if (rc < 0)
			frcnn_buffer_printf(&run->said, "! %s\n", err.message);
	}
	frcnn_records_close(records);
}

/* What a detection's box and category become before they are written. NULL name: by id. */
typedef void (*spoil)(int image, int k, double b[4], int64_t *id, const char **name);

static void as_is(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)k, (void)b, (void)id, (void)name;
}

/* Every object detected, each image its record, but images from `images` on. */
static void detect_all(struct run *run, spoil change, int images)
{
	for (int i = 0; i < images; i++) {
		struct frcnn_buffer text = {0};
		frcnn_buffer_printf(
		    &text, "{\"file_name\":\"%c.jpg\",\"image_id\":%d,\"width\":200,\"height\":100,\"detections\":[",
		    'a' + i, 10 * (i + 1));
		for (int k = 0; k < CATEGORIES; k++) {
			double b[4];
			int64_t id = category_ids[k];
			const char *name = NULL;
			object(i, k, b);
			change(i, k, b, &id, &name);
			frcnn_buffer_printf(&text,
					    "%s{\"bbox\":[%.17g,%.17g,%.17g,%.17g],\"score\":%g,\"category_id\":%d",
					    k ? "," : "", b[0], b[1], b[2], b[3], 0.9 - 0.1 * k, (int)id);
			if (name)
				frcnn_buffer_printf(&text, ",\"category\":\"%s\"", name);
			frcnn_buffer_putc(&text, '}');
		}
		frcnn_buffer_puts(&text, "]}\n");
		line(run, text.data);
		frcnn_buffer_free(&text);
	}
}

static void finish_limited(struct run *run, size_t limit)
{
	struct frcnn_eval_detections detections;
	struct frcnn_eval_options options;
	struct frcnn_error err;

	frcnn_eval_options_init(&options);
	cr_assert_eq(frcnn_eval_detections_make(&run->collector, &run->truth, NULL, &detections, &err), 0);
	cr_assert_eq(frcnn_validation_finish(run->validation, &detections, &options, NAN, limit, NULL, &err), 0, "%s",
		     err.message);
	run->findings = frcnn_validation_findings(run->validation, &run->count);
	for (size_t i = 0; i < run->count; i++) {
		const struct frcnn_finding *f = &run->findings[i];
		frcnn_buffer_printf(&run->said, "%s %zu: %s\n", f->error ? "error" : "warning", f->count, f->text);
		cr_assert(i == 0 || run->findings[i - 1].kind < f->kind);
	}
	frcnn_eval_detections_free(&detections);
}

static void end(struct run *run)
{
	frcnn_validation_free(run->validation);
	frcnn_eval_collector_free(&run->collector);
	frcnn_eval_truth_free(&run->truth);
	frcnn_ground_truth_free(&run->ground_truth);
	frcnn_buffer_free(&run->said);
}

/* Ends the run; what was said must be this. */
static void expect(struct run *run, const char *expected)
{
	finish_limited(run, FRCNN_VALIDATION_EFFECT_LIMIT);
	cr_assert_str_eq(run->said.data ? run->said.data : "", expected);
}

Test(validate, nothing_is_wrong)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, IMAGES);
	expect(&run, "");
	struct frcnn_validation_counts counts = frcnn_validation_counts(run.validation);
	cr_assert_eq(counts.records, IMAGES);
	cr_assert_eq(counts.detections, IMAGES * CATEGORIES);
	cr_assert_eq(counts.left_out, 0);
	end(&run);
}

Test(validate, orphans)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, IMAGES);
	line(&run, "{\"image_id\":99,\"detections\":[{\"bbox\":[1,1,2,2],\"score\":1,\"category_id\":1}]}\n"
		   "{\"file_name\":\"nowhere.jpg\",\"detections\":[]}\n"
		   "{\"image_id\":7,\"file_name\":\"z.jpg\",\"detections\":[{\"bbox\":[1,1,2,2],\"score\":1,\"category_"
		   "id\":1}]}\n");
	cr_assert_eq(frcnn_validation_counts(run.validation).left_out, 2);
	expect(&run, "error 3: d:1: 3 images that the ground truth lacks (99, \"nowhere.jpg\", 7 (\"z.jpg\")), with 2 "
		     "detections: left "
		     "out, AP is that of the rest\n");
	end(&run);
}

Test(validate, many_orphans_are_named_once_each)
{
	struct run run;
	struct frcnn_error err;
	uint32_t image;
	begin(&run);
	detect_all(&run, as_is, IMAGES);
	for (int i = 0; i < 30; i++)
		cr_assert_eq(frcnn_validation_image(run.validation, NULL, true, 100 + i % 10, 0, 0, 5 + (size_t)i, true,
						    &image, &err),
			     0);
	expect(&run,
	       "error 10: d:5: 10 images that the ground truth lacks (100, 101, 102, 103, 104, 105, ...), with 30 "
	       "detections: left out, AP is that of the rest\n");
	end(&run);
}

Test(validate, one_image_twice)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, IMAGES);
	line(&run,
	     "\n\n{\"file_name\":\"a.jpg\",\"detections\":[{\"bbox\":[1,1,2,2],\"score\":1,\"category_id\":1}]}\n");
	cr_assert_eq(frcnn_validation_counts(run.validation).left_out, 1);
	expect(&run, "error 1: d:3: image 10 (\"d/a.jpg\") has a record on line 1 already: 1 record left out, AP is "
		     "that of the first "
		     "ones\n");
	end(&run);
}

Test(validate, name_and_id_disagree)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, IMAGES);
	line(&run, "{\"file_name\":\"a.jpg\",\"image_id\":20,\"detections\":[]}\n");
	expect(&run, "! d:1: file name \"a.jpg\" is image 10 of the ground truth, but image_id is 20\n");
	end(&run);
}

Test(validate, bad_boxes)
{
	struct frcnn_error err;
	for (int take = 0; take < 2; take++) {
		const double bad[4] = {1, NAN, 2, 3}, negative[4] = {1, 1, -2, 3};
		struct run run;
		begin(&run);
		frcnn_validation_take_bad_boxes(run.validation, take);
		detect_all(&run, as_is, IMAGES);
		cr_assert_eq(
		    frcnn_validation_detection(run.validation, 1, NULL, true, 1, bad, 0.1, 17, &run.collector, &err),
		    take);
		cr_assert_eq(frcnn_validation_detection(run.validation, 1, NULL, true, 1, negative, 0.1, 18,
							&run.collector, &err),
			     take);
		expect(&run, take ? "warning 2: d:17: 2 boxes not finite or of negative size (image 20 (\"d/b.jpg\"): "
				    "[1, nan, 2, 3]): "
				    "evaluated as pycocotools does, which matches NaN\n"
				  : "error 2: d:17: 2 boxes not finite or of negative size (image 20 (\"d/b.jpg\"): "
				    "[1, nan, 2, 3]): "
				    "left out, AP is that of the rest\n");
		end(&run);
	}
}

static void odd_names(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)b, (void)id, (void)image;
	*name = k == 0 ? "traffic_light" : k == 1 ? "dog" : "cat";
}

static void other_names(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)b, (void)id;
	*name = k == 0 && image == 2 ? "yak" : category_names[k];
}

static void other_ids(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)b, (void)name;
	if (k == 0 && image < 2)
		*id = 90 + image;
}

Test(validate, unknown_categories)
{
	struct run run;
	begin(&run);
	detect_all(&run, odd_names, IMAGES);
	expect(&run,
	       "warning 8: d:1: 8 detections of categories that the ground truth lacks (\"traffic_light\"): left out; "
	       "joined without regard to case and blanks AP would be 1.0000, not 0.6667\n");
	cr_assert_float_eq(run.findings[0].repaired, 1, 1e-12);
	end(&run);
	begin(&run);
	detect_all(&run, other_names, IMAGES);
	expect(&run, "warning 1: d:1: 1 detection of categories that the ground truth lacks (\"yak\"): left out, as "
		     "pycocotools does, AP does not change\n");
	end(&run);
	begin(&run);
	detect_all(&run, other_ids, IMAGES);
	expect(&run, "warning 2: d:1: 2 detections of categories that the ground truth lacks (90, 91): left out, as "
		     "pycocotools does, AP does not change\n");
	cr_assert_eq(frcnn_validation_counts(run.validation).left_out, 2);
	end(&run);
}

static void one_too_low(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)k, (void)b, (void)name;
	--*id;
}

static void one_too_high(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)k, (void)b, (void)name;
	++*id;
}

static void from_one(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)b, (void)name;
	*id = k + 1;
}

static void from_zero(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)b, (void)name;
	*id = k;
}

static void dogs_for_lights(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)b, (void)name;
	if (k == 0 && image < 4) /* a mistake of the model, no shift */
		*id = 2;
}

static const struct frcnn_finding *found(const struct run *run, enum frcnn_finding_kind kind)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->findings[i].kind == kind)
			return &run->findings[i];
	return NULL;
}

Test(validate, shifted_ids)
{
	static const struct {
		spoil change;
		const char *looks;
		size_t votes;
	} cases[] = {
	    {one_too_low, "one too low", 24},
	    {one_too_high, "one too high", 24},
	    {from_zero, "like places in the list of categories, counted from 0", 24},
	    {from_one, "like places in the list of categories, counted from 1", 24}, /* two of three are right anyway */
	    {dogs_for_lights, NULL, 0},
	    {as_is, NULL, 0},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct run run;
		begin(&run);
		detect_all(&run, cases[i].change, IMAGES);
		finish_limited(&run, FRCNN_VALIDATION_EFFECT_LIMIT);
		const struct frcnn_finding *f = found(&run, FRCNN_FINDING_SHIFTED);
		cr_assert_eq(f != NULL, cases[i].looks != NULL, "case %zu", i);
		if (f) {
			char start[120];
			snprintf(start, sizeof(start), "d: category ids look %s: of 24 detections that lie",
				 cases[i].looks);
			cr_assert_eq(strncmp(f->text, start, strlen(start)), 0, "%s", f->text);
			cr_assert_eq(f->count, cases[i].votes);
			cr_assert(!f->error && f->ap < 0.7);
			cr_assert_float_eq(f->repaired, 1, 1e-12);
			cr_assert(strstr(f->text, "with that mended AP would be 1.0000, not 0."), "%s", f->text);
		}
		end(&run);
	}
}

static void corners(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)image, (void)k, (void)id, (void)name;
	b[2] += b[0];
	b[3] += b[1];
}

Test(validate, corners_for_sizes)
{
	struct run run;
	begin(&run);
	detect_all(&run, corners, IMAGES);
	finish_limited(&run, 0); /* suspicion is judged whatever the limit */
	const struct frcnn_finding *f = found(&run, FRCNN_FINDING_XYXY);
	cr_assert_eq(run.count, 1);
	cr_assert_not_null(f);
	cr_assert_float_eq(f->repaired, 1, 1e-12);
	cr_assert_str_eq(
	    f->text, "d: boxes look like corners (x1, y1, x2, y2), not left, top, width, height: 16 of 24 leave their "
		     "image as they are and fit it as corners, the first: image 10 (\"d/a.jpg\"), [90, 55, 109, 68]; "
		     "as corners AP would "
		     "be 1.0000, not 0.0000");
	end(&run);
}

static void fractions(int image, int k, double b[4], int64_t *id, const char **name)
{
	corners(image, k, b, id, name);
	b[2] -= b[0];
	b[3] -= b[1];
	for (int i = 0; i < 4; i++)
		b[i] /= i % 2 ? 100 : 200;
}

static void centres(int image, int k, double b[4], int64_t *id, const char **name)
{
	b[0] += b[2] / 2;
	b[1] += b[3] / 2;
	fractions(image, k, b, id, name);
}

static void fraction_corners(int image, int k, double b[4], int64_t *id, const char **name)
{
	fractions(image, k, b, id, name);
	b[2] += b[0];
	b[3] += b[1];
}

Test(validate, fractions_for_pixels)
{
	static const struct {
		spoil change;
		const char *way;
	} cases[] = {{fractions, "times the image's size AP"},
		     {centres, "times the image's size, from their centre, AP"},
		     {fraction_corners, "times the image's size, as corners, AP"}};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct run run;
		begin(&run);
		detect_all(&run, cases[i].change, IMAGES);
		finish_limited(&run, 0);
		cr_assert_eq(run.count, 1);
		cr_assert_eq(run.findings->kind, FRCNN_FINDING_NORMALISED);
		cr_assert_eq(run.findings->count, 24);
		cr_assert(run.findings->repaired > 0.9 && run.findings->ap == 0);
		cr_assert(strstr(run.findings->text, cases[i].way), "%s", run.findings->text);
		end(&run);
	}
	/* without sizes: said, but nothing computed */
	struct run run;
	begin_sized(&run, 3);
	detect_all(&run, fractions, IMAGES);
	finish_limited(&run, 0);
	cr_assert_eq(run.count, 1);
	cr_assert(run.findings->kind == FRCNN_FINDING_NORMALISED && isnan(run.findings->repaired));
	cr_assert_null(strstr(run.findings->text, "AP"));
	end(&run);
}

static void sticking_out(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)id, (void)name;
	if (k == 2 && image == 1)
		b[3] = 40; /* y 70: to 110 of 100 */
	if (k == 0 && image == 0)
		b[3] = 61; /* exactly a pixel: not counted */
	if (k == 0 && image == 5)
		b[0] = -1.5;
}

Test(validate, out_of_the_image)
{
	struct run run;
	begin(&run);
	detect_all(&run, sticking_out, IMAGES);
	finish_limited(&run, FRCNN_VALIDATION_EFFECT_LIMIT);
	cr_assert_eq(run.count, 1);
	cr_assert_eq(run.findings->kind, FRCNN_FINDING_OUTSIDE);
	cr_assert_eq(run.findings->count, 2);
	cr_assert(strncmp(run.findings->text,
			  "d: 2 boxes reach out of their image by more than a pixel, the first: image 20 "
			  "(\"d/b.jpg\"), [111, 70, 20, "
			  "40]; clipped AP would ",
			  114) == 0,
		  "%s", run.findings->text);
	end(&run);
	begin(&run);
	detect_all(&run, sticking_out, IMAGES);
	finish_limited(&run, 3); /* too many for it */
	cr_assert(isnan(run.findings->repaired) && !strstr(run.findings->text, "clipped"));
	end(&run);
	begin_sized(&run, 0);
	detect_all(&run, sticking_out, IMAGES);
	expect(&run, "");
	end(&run);
}

Test(validate, other_sizes)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, IMAGES - 1);
	line(&run, "{\"file_name\":\"h.jpg\",\"width\":400,\"height\":100,\"detections\":["
		   "{\"bbox\":[154,40,36,14],\"score\":0.9,\"category_id\":1},"
		   "{\"bbox\":[194,55,38,13],\"score\":0.8,\"category_id\":2},"
		   "{\"bbox\":[234,70,40,12],\"score\":0.7,\"category_id\":4}]}");
	finish_limited(&run, 0);
	const struct frcnn_finding *f = found(&run, FRCNN_FINDING_SIZE);
	cr_assert_not_null(f);
	cr_assert_float_eq(f->repaired, 1, 1e-12);
	cr_assert(f->count == 1 && f->ap < 0.95);
	cr_assert(
	    strncmp(f->text,
		    "d:1: 1 record states another width and height than the ground truth, the first: image 80 "
		    "(\"d/h.jpg\"): "
		    "400x100, not 200x100; with the boxes scaled to the ground truth's AP would be 1.0000, not 0.",
		    180) == 0,
	    "%s", f->text);
	end(&run);
}

Test(validate, images_without_a_record)
{
	struct run run;
	begin(&run);
	detect_all(&run, as_is, 6);
	expect(&run, "warning 2: d: 2 of 8 images of the ground truth have no record, the first is 70 (\"d/g.jpg\"): 6 "
		     "objects missed; over the other images alone AP would be 1.0000, not 0.7525\n");
	end(&run);
	begin(&run);
	expect(&run,
	       "warning 8: d: 8 of 8 images of the ground truth have no record, the first is 10 (\"d/a.jpg\"): 24 "
	       "objects missed\n");
	end(&run);
}

/* Results as columns: an image's detections in several places are no second record. */
Test(validate, ungrouped)
{
	struct run run;
	struct frcnn_error err;
	begin(&run);
	for (int k = 0; k < CATEGORIES; k++) {
		for (int i = 0; i < IMAGES; i++) {
			double b[4];
			uint32_t image = 99;
			object(i, k, b);
			cr_assert_eq(frcnn_validation_image(run.validation, NULL, true, 10 * (i + 1), 0, 0, 0, true,
							    &image, &err),
				     1);
			cr_assert_eq(image, (uint32_t)i);
			cr_assert_eq(frcnn_validation_detection(run.validation, image, NULL, true, category_ids[k], b,
								0.5, 0, &run.collector, &err),
				     1);
		}
	}
	expect(&run, "");
	end(&run);
}

static void everything(int image, int k, double b[4], int64_t *id, const char **name)
{
	(void)name;
	corners(image, k, b, id, name);
	--*id;
}

/* Each allocation refused in turn: an error or the same findings, and nothing lost (the sanitizers' word). */
Test(validate, refused_memory)
{
	bool refused = true;
	for (size_t n = 0; refused; n++) {
		struct frcnn_eval_detections detections = {0};
		struct frcnn_eval_options options;
		struct frcnn_validation *validation = NULL;
		struct frcnn_error err;
		struct run run;
		size_t count = 0;
		begin(&run);
		detect_all(&run, everything, IMAGES - 1);
		frcnn_eval_options_init(&options);
		cr_assert_eq(frcnn_eval_detections_make(&run.collector, &run.truth, NULL, &detections, &err), 0);
		refuse_allocation(n, true);
		int rc = frcnn_validation_new(&run.ground_truth, &run.truth, "d", &validation, &err);
		if (rc == 0)
			rc = frcnn_validation_finish(run.validation, &detections, &options, NAN, 1000, NULL, &err);
		refused = refuse_end();
		cr_assert_eq(rc, refused ? FRCNN_ENOMEM : 0, "%zu", n);
		if (rc == 0) {
			frcnn_validation_findings(run.validation, &count);
			cr_assert_gt(count, 2);
		}
		frcnn_validation_free(validation);
		frcnn_eval_detections_free(&detections);
		end(&run);
	}
}
