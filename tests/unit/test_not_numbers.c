/*
 * NaN and Infinity, which Python writes and JSON forbids: one entry is refused and named, the others are read; and as
 * pycocotools reads, they are numbers.
 */
#include "record/record.h"

#include <criterion/criterion.h>
#include <math.h>

static void take_note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	frcnn_buffer_printf(context, "%s%s\n", kind == FRCNN_NOTICE_ERROR ? "! " : "? ", line);
}

/* Records as text: a line an image, "! message" an error. */
static void expect(const char *text, bool pycocotools, const char *expected)
{
	struct frcnn_buffer got = {0};
	struct frcnn_notices notices = {take_note, &got};
	const struct frcnn_record *record;
	struct frcnn_records *records;
	struct frcnn_error err;
	int rc;

	cr_assert_eq(frcnn_records_open_memory(text, strlen(text), "f", &notices, &records, &err), 0);
	if (pycocotools)
		frcnn_records_pycocotools(records);
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		if (rc < 0) {
			frcnn_buffer_printf(&got, "! %s\n", err.message);
			continue;
		}
		frcnn_buffer_printf(&got, "#%lld", (long long)record->image_id);
		for (size_t i = 0; i < record->ndetections; i++) {
			const struct frcnn_record_item *d = &record->detections[i];

			frcnn_buffer_printf(&got, " (%g %g %g %g s%g)", d->bbox[0], d->bbox[1], d->bbox[2], d->bbox[3],
					    d->score);
		}
		frcnn_buffer_putc(&got, '\n');
	}
	frcnn_records_close(records);
	frcnn_buffer_putc(&got, '\0');
	cr_expect_str_eq(got.data, expected, "for %s\ngot:\n%s\nexpected:\n%s", text, got.data, expected);
	frcnn_buffer_free(&got);
}

#define RESULT(id, bbox, score)                                                                                        \
	"{\"image_id\":" #id ",\"category_id\":1,\"bbox\":[" bbox "],\"score\":" score ",\"more\":[0]}"

Test(not_numbers, one_result_is_refused)
{
	static const char *const ends[][3] = {{"[", ",\n", "]"}, {"", "\n", "\n"}};

	for (size_t form = 0; form < FRCNN_COUNT(ends); form++) {
		struct frcnn_buffer text = {0};
		const char *comma = ends[form][1];

		frcnn_buffer_printf(&text, "%s%s%s%s%s", ends[form][0], RESULT(1, "1,2,3,4", "0.5"), comma,
				    RESULT(1, "1,NaN,3,4", "0.5"), comma);
		frcnn_buffer_printf(&text, "%s%s%s%s%s", RESULT(2, "1,2,3,-Infinity", "0.5"), comma,
				    RESULT(2, "5,6,7,8", "Infinity"), comma, RESULT(2, "5,6,7,8", "0.25"));
		frcnn_buffer_printf(&text, "%s%s%s", comma, "{\"image_id\":2,\"other\":{\"deep\":[0,NaN]}}",
				    ends[form][2]);
		frcnn_buffer_putc(&text, '\0');
		expect(text.data, false,
		       form == 0 ? "! f:2: results[1]: NaN and Infinity are not JSON (key \"bbox\")\n"
				   "! f:3: results[2]: NaN and Infinity are not JSON (key \"bbox\")\n"
				   "! f:4: results[3]: NaN and Infinity are not JSON (key \"score\")\n"
				   "! f:6: results[5]: NaN and Infinity are not JSON (key \"deep\")\n"
				   "#1 (1 2 3 4 s0.5)\n#2 (5 6 7 8 s0.25)\n"
				 : "! f:2: NaN and Infinity are not JSON (key \"bbox\")\n"
				   "! f:3: NaN and Infinity are not JSON (key \"bbox\")\n"
				   "! f:4: NaN and Infinity are not JSON (key \"score\")\n"
				   "! f:6: NaN and Infinity are not JSON (key \"deep\")\n"
				   "#1 (1 2 3 4 s0.5)\n#2 (5 6 7 8 s0.25)\n");
		frcnn_buffer_free(&text);
	}
	/* other words are no numbers, and end the array */
	expect("[{\"image_id\":1,\"score\":nan}]", false, "! f:1: column 24: expected a value, found 'n'\n");
	expect("[{\"image_id\":1,\"score\":-NaN}]", false,
	       "! f:1: column 25: expected a JSON number, found 'N' (key \"score\")\n");
}

Test(not_numbers, results_as_pycocotools_reads_them)
{
	expect("[" RESULT(1, "NaN,Infinity,-Infinity,4", "NaN") "," RESULT(1, "1,2,-3,-4", "-Infinity") "]", true,
	       "#1 (nan inf -inf 4 snan) (1 2 -3 -4 s-inf)\n");
	expect(RESULT(1, "1e400,-1e400,3e38,3e39", "0.5") "\n", true, "#1 (inf -inf 3e+38 3e+39 s0.5)\n");
	expect("{\"image_id\":1,\"detections\":[{\"bbox\":[1,2,NaN,4],\"category_id\":1,\"score\":Infinity}]}", true,
	       "#1 (1 2 nan 4 sinf)\n");
	expect("{\"images\":[{\"id\":1}],\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":1,"
	       "\"bbox\":[1,2,NaN,4]}]}",
	       true, "#1 (1 2 nan 4 s1)\n");
	/* what it cannot read either */
	expect("[" RESULT(1, "1,2,3,null", "1") "]", true, "! f:1: results[0]: bbox[3] is null, not a number\n#1\n");
	expect("[" RESULT(NaN, "1,2,3,4", "1") "]", true,
	       "! f:1: results[0]: image_id is NaN or Infinity, not an integer\n");
}

/* Annotations as text, behind what was said. */
static void expect_truth(const char *annotations, bool pycocotools, const char *expected)
{
	const struct frcnn_ground_truth_options options = {.pycocotools = pycocotools};
	struct frcnn_buffer got = {0}, text = {0};
	struct frcnn_notices notices = {take_note, &got};
	struct frcnn_ground_truth truth;
	struct frcnn_error err;

	frcnn_buffer_printf(&text,
			    "{\"info\":1,\"images\":[{\"id\":1}],\"categories\":[{\"id\":1}],\n\"annotations\":[%s]}",
			    annotations);
	if (frcnn_dataset_parse(text.data, text.size, "g", &options, &notices, &truth, NULL, &err) < 0)
		frcnn_buffer_printf(&got, "failed: %s\n", err.message);
	for (size_t i = 0; i < truth.nannotations; i++) {
		const double *b = truth.bboxes + 4 * i;

		frcnn_buffer_printf(&got, "%lld (%g %g %g %g) %g\n", (long long)truth.annotation_ids[i], b[0], b[1],
				    b[2], b[3], truth.areas[i]);
	}
	frcnn_buffer_putc(&got, '\0');
	cr_expect_str_eq(got.data, expected, "for %s\ngot:\n%s\nexpected:\n%s", annotations, got.data, expected);
	frcnn_ground_truth_free(&truth);
	frcnn_buffer_free(&text);
	frcnn_buffer_free(&got);
}

#define ANNOTATION(id, bbox, area)                                                                                     \
	"{\"id\":" #id ",\"image_id\":1,\"category_id\":1,\"bbox\":[" bbox "],\"area\":" area ",\"iscrowd\":0}"

Test(not_numbers, one_annotation_is_refused)
{
	expect_truth(ANNOTATION(1, "1,2,3,4", "12") ",\n" ANNOTATION(2, "1,2,3,NaN", "12") ",\n" ANNOTATION(
			 3, "1,2,3,4", "-Infinity") ",\n" ANNOTATION(4, "5,6,7,8", "13"),
		     false,
		     "! g:3: annotation 2: NaN and Infinity are not JSON (key \"bbox\")\n"
		     "! g:4: annotation 3: NaN and Infinity are not JSON (key \"area\")\n"
		     "1 (1 2 3 4) 12\n4 (5 6 7 8) 13\n");
	expect_truth("{\"id\":1,\"segmentation\":[[1,NaN]]},NaN", false,
		     "! g:2: annotation 1: NaN and Infinity are not JSON (key \"segmentation\")\n"
		     "! g:2: annotations[1]: not an object\n");
}

Test(not_numbers, annotations_as_pycocotools_reads_them)
{
	static const char bare[] = "{\"id\":7,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4]";
	struct frcnn_buffer text = {0};

	expect_truth(ANNOTATION(1, "1,2,NaN,-4", "NaN") "," ANNOTATION(2, "1e999,2,3,4", "-1"), true,
		     "1 (1 2 nan -4) nan\n2 (inf 2 3 4) -1\n");
	/* a KeyError there */
	frcnn_buffer_printf(&text, "%s,%s,\"area\":2},%s,\"iscrowd\":1}", ANNOTATION(1, "1,2,3,4", "12"), bare, bare);
	frcnn_buffer_putc(&text, '\0');
	expect_truth(text.data, true,
		     "failed: g: annotations without iscrowd: 1, without area: 1 (the first is annotation 7), which "
		     "pycocotools refuses\n");
	expect_truth(text.data, false,
		     "? g: 1 of 3 annotations have no iscrowd, taken as 0\n"
		     "? g: 1 of 3 annotations have no area, taken as width * height\n"
		     "? g: annotation ids that appear again: 1, the first is 7\n"
		     "1 (1 2 3 4) 12\n7 (1 2 3 4) 2\n7 (1 2 3 4) 12\n");
	frcnn_buffer_free(&text);
}
