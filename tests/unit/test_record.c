/* record: what is written reads back the same, each rule of the forms holds, and each refusal names its place. */
#include "record/record.h"

#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

/* ---- helpers ---- */

struct notes {
	struct frcnn_buffer warnings, errors; /* a line each */
};

static void take_note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct notes *notes = context;
	struct frcnn_buffer *buffer = kind == FRCNN_NOTICE_ERROR ? &notes->errors : &notes->warnings;
	frcnn_buffer_puts(buffer, line);
	frcnn_buffer_putc(buffer, '\n');
}

static void free_notes(struct notes *notes)
{
	frcnn_buffer_free(&notes->warnings);
	frcnn_buffer_free(&notes->errors);
}

static const char *text_of(const struct frcnn_buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}

static struct frcnn_records *open_text(const char *text, size_t size, struct notes *notes)
{
	struct frcnn_notices notices = {take_note, notes};
	struct frcnn_records *records;
	struct frcnn_error err;
	cr_assert_eq(frcnn_records_open_memory(text, size, "f", &notices, &records, &err), 0);
	return records;
}

/* What a reader makes of text, as text: a line an image, "! message" an error, then the warnings. */
static void dump(struct frcnn_records *records, struct frcnn_buffer *out)
{
	const struct frcnn_record *record;
	struct frcnn_error err;
	int rc;
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		if (rc < 0) {
			frcnn_buffer_printf(out, "! %s\n", err.message);
			continue;
		}
		if (record->has_image_id)
			frcnn_buffer_printf(out, "#%lld", (long long)record->image_id);
		if (record->file_name)
			frcnn_buffer_printf(out, " <%s>", record->file_name);
		if (record->width || record->height)
			frcnn_buffer_printf(out, " %dx%d", record->width, record->height);
		if (record->model)
			frcnn_buffer_printf(out, " %s", record->model);
		for (size_t i = 0; i < record->ndetections + record->nproposals; i++) {
			const struct frcnn_record_item *d = i < record->ndetections
								? &record->detections[i]
								: &record->proposals[i - record->ndetections];
			frcnn_buffer_printf(out, " (%g %g %g %g s%g", d->bbox[0], d->bbox[1], d->bbox[2], d->bbox[3],
					    d->score);
			if (d->has_category_id)
				frcnn_buffer_printf(out, " c%lld", (long long)d->category_id);
			if (d->category)
				frcnn_buffer_printf(out, " %s", d->category);
			frcnn_buffer_puts(out, d->crowd ? " crowd)" : ")");
		}
		frcnn_buffer_putc(out, '\n');
	}
	cr_assert_eq(frcnn_records_next(records, &record, &err), 0, "the end stays the end");
}

/* Through memory and through a stream: the same. */
static void expect_sized(const char *text, size_t size, const char *expected, const char *warnings)
{
	struct notes notes = {0}, stream_notes = {0};
	struct frcnn_buffer got = {0}, streamed = {0};
	struct frcnn_notices notices = {take_note, &stream_notes};
	struct frcnn_records *records = open_text(text, size, &notes);
	dump(records, &got);
	frcnn_records_close(records);
	cr_expect_str_eq(text_of(&got), expected, "for %s\ngot:\n%s\nexpected:\n%s", text, text_of(&got), expected);
	cr_expect_str_eq(text_of(&notes.warnings), warnings, "for %s\nwarned:\n%s", text, text_of(&notes.warnings));

	FILE *stream = tmpfile();
	cr_assert(stream);
	fwrite(text, 1, size, stream);
	rewind(stream);
	cr_assert_eq(frcnn_records_open_stream(stream, "f", &notices, &records, NULL), 0);
	dump(records, &streamed);
	frcnn_records_close(records);
	fclose(stream);
	cr_expect_str_eq(text_of(&streamed), expected, "streamed: %s\ngot:\n%s", text, text_of(&streamed));
	cr_expect_str_eq(text_of(&stream_notes.warnings), warnings);
	cr_expect_str_eq(text_of(&stream_notes.errors), text_of(&notes.errors));
	frcnn_buffer_free(&got);
	frcnn_buffer_free(&streamed);
	free_notes(&notes);
	free_notes(&stream_notes);
}

static void expect_warned(const char *text, const char *expected, const char *warnings)
{
	expect_sized(text, strlen(text), expected, warnings);
}

static void expect(const char *text, const char *expected)
{
	expect_warned(text, expected, "");
}

/* One detection whose keys are `inside`. */
static void expect_detection(const char *inside, const char *expected)
{
	struct frcnn_buffer text = {0};
	frcnn_buffer_printf(&text, "{\"image_id\":1,\"detections\":[{%s}]}\n", inside);
	expect(text.data, expected);
	frcnn_buffer_free(&text);
}

/* ---- writing ---- */

static const struct frcnn_category categories[] = {{0, NULL}, {7, "bolt, \"M4\""}, {INT64_C(9007199254740993), NULL}};

static void write_all(struct frcnn_record_writer *writer, const struct frcnn_record_image *images,
		      const struct frcnn_detections *detections, size_t n, struct frcnn_buffer *out)
{
	struct frcnn_error err;
	writer->categories = categories;
	writer->ncategories = FRCNN_COUNT(categories);
	cr_assert_eq(frcnn_record_begin(writer, out, &err), 0);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(frcnn_record_put(writer, out, &images[i], &detections[i], &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_record_end(writer, out, &err), 0);
}

static struct frcnn_detection two[] = {{1.5f, 2, 4.5f, 6, 0.1f, 1}, {0, 0, 1e-7f, 100000, 1, 2}};
static const struct frcnn_detections both = {.count = 2, .items = two};
static const struct frcnn_detections none = {0};

Test(record, write_jsonl)
{
	struct frcnn_record_writer writer = {.format = FRCNN_FORMAT_JSONL};
	struct frcnn_record_image images[] = {
	    {true, 139, "val/\xFF\"a\\x41.jpg", 640, 426, "m@0123456789ab"},
	    {false, 0, "b.jpg", 1, 2, NULL},
	};
	struct frcnn_detections detections[] = {both, none};
	struct frcnn_buffer out = {0};
	write_all(&writer, images, detections, 2, &out);
	cr_expect_str_eq(
	    out.data,
	    "{\"image_id\":139,\"file_name\":\"val/\\\\xFF\\\"a\\\\x5Cx41.jpg\",\"width\":640,\"height\":426,"
	    "\"model\":\"m@0123456789ab\",\"detections\":["
	    "{\"bbox\":[1.5,2,3,4],\"score\":0.1,\"category_id\":7,\"category\":\"bolt, \\\"M4\\\"\"},"
	    "{\"bbox\":[0,0,1e-07,100000],\"score\":1,\"category_id\":9007199254740993}]}\n"
	    "{\"file_name\":\"b.jpg\",\"width\":1,\"height\":2,\"detections\":[]}\n",
	    "%s", out.data);
	frcnn_buffer_free(&out);
}

Test(record, write_proposals)
{
	struct frcnn_record_writer writer = {.format = FRCNN_FORMAT_JSONL, .proposals = true};
	struct frcnn_record_image image = {false, 0, "b.jpg", 10, 20, NULL};
	struct frcnn_buffer out = {0};
	two[0].label = 0;
	write_all(&writer, &image, &both, 1, &out);
	two[0].label = 1;
	cr_expect_str_eq(out.data, "{\"file_name\":\"b.jpg\",\"width\":10,\"height\":20,\"proposals\":["
				   "{\"bbox\":[1.5,2,3,4],\"objectness\":0.1},"
				   "{\"bbox\":[0,0,1e-07,100000],\"objectness\":1}]}\n");
	frcnn_buffer_free(&out);
}

Test(record, write_coco)
{
	struct frcnn_record_image images[] = {
	    {true, INT64_MIN, NULL, 1, 1, NULL}, {true, 2, "c", 1, 1, NULL}, {true, INT64_MAX, NULL, 1, 1, NULL}};
	struct frcnn_detections detections[] = {both, none, both};
	struct frcnn_record_writer writer = {.format = FRCNN_FORMAT_COCO};
	struct frcnn_buffer out = {0};
	write_all(&writer, images, detections, 3, &out);
	cr_expect_str_eq(
	    out.data, "[\n{\"image_id\":-9223372036854775808,\"category_id\":7,\"bbox\":[1.5,2,3,4],\"score\":0.1},\n"
		      "{\"image_id\":-9223372036854775808,\"category_id\":9007199254740993,\"bbox\":[0,0,1e-07,100000],"
		      "\"score\":1},\n"
		      "{\"image_id\":9223372036854775807,\"category_id\":7,\"bbox\":[1.5,2,3,4],\"score\":0.1},\n"
		      "{\"image_id\":9223372036854775807,\"category_id\":9007199254740993,\"bbox\":[0,0,1e-07,100000],"
		      "\"score\":1}\n]\n");
	expect(out.data, "#-9223372036854775808 (1.5 2 3 4 s0.1 c7) (0 0 1e-07 100000 s1 c9007199254740993)\n"
			 "#9223372036854775807 (1.5 2 3 4 s0.1 c7) (0 0 1e-07 100000 s1 c9007199254740993)\n");
	frcnn_buffer_clear(&out);
	write_all(&writer, images, detections, 0, &out);
	cr_expect_str_eq(out.data, "[]\n");
	frcnn_buffer_clear(&out);
	write_all(&writer, images + 1, detections + 1, 1, &out);
	cr_expect_str_eq(out.data, "[]\n");
	frcnn_buffer_free(&out);
}

Test(record, write_csv)
{
	struct frcnn_record_writer writer = {.format = FRCNN_FORMAT_CSV};
	struct frcnn_record_image images[] = {
	    {true, 3, "a,\"b\".jpg", 640, 426, "m"}, {false, 0, "line\nend", 1, 2, NULL}, {false, 0, NULL, 1, 2, NULL}};
	struct frcnn_detections detections[] = {both, none, none};
	struct frcnn_buffer out = {0};
	write_all(&writer, images, detections, 3, &out);
	cr_expect_str_eq(out.data, "file_name,image_id,width,height,x,y,w,h,score,category_id,category\r\n"
				   "\"a,\"\"b\"\".jpg\",3,640,426,1.5,2,3,4,0.1,7,\"bolt, \"\"M4\"\"\"\r\n"
				   "\"a,\"\"b\"\".jpg\",3,640,426,0,0,1e-07,100000,1,9007199254740993,\r\n"
				   "\"line\nend\",,1,2,,,,,,,\r\n"
				   ",,1,2,,,,,,,\r\n");
	frcnn_buffer_free(&out);
}

Test(record, write_refuses)
{
	struct frcnn_record_image image = {false, 0, "b.jpg", 10, 20, NULL};
	struct frcnn_detection bad[] = {
	    {0, 0, INFINITY, 1, 0.5f, 1}, {0, 0, 1, 1, NAN, 1}, {0, 0, 1, 1, 0.5f, 3}, {0, 0, 1, 1, 0.5f, -1}};
	struct frcnn_record_writer writer = {.categories = categories, .ncategories = FRCNN_COUNT(categories)};
	struct frcnn_buffer out = {0};
	struct frcnn_error err;

	frcnn_buffer_puts(&out, "before");
	for (int format = FRCNN_FORMAT_JSONL; format <= FRCNN_FORMAT_CSV; format++) {
		writer.format = (enum frcnn_record_format)format;
		image.has_image_id = true;
		for (size_t i = 0; i < FRCNN_COUNT(bad); i++) {
			struct frcnn_detection items[2] = {two[0], bad[i]};
			struct frcnn_detections detections = {.count = 2, .items = items};
			cr_expect_eq(frcnn_record_put(&writer, &out, &image, &detections, &err), FRCNN_EINVAL);
			cr_expect_str_eq(out.data, "before", "nothing of a refused record stays");
			cr_expect(!writer.any);
		}
	}
	writer.format = FRCNN_FORMAT_COCO;
	image.has_image_id = false;
	cr_expect_eq(frcnn_record_put(&writer, &out, &image, &both, &err), FRCNN_EINVAL);
	cr_expect_str_eq(err.message, "b.jpg: no image_id is known, which coco results need");
	cr_expect_eq(frcnn_record_put(&writer, &out, &image, &none, &err), FRCNN_EINVAL, "even without detections");
	writer.proposals = image.has_image_id = true;
	cr_expect_eq(frcnn_record_put(&writer, &out, &image, &both, &err), FRCNN_EINVAL);
	cr_expect_str_eq(out.data, "before");
	frcnn_buffer_free(&out);
}

Test(record, format_words)
{
	enum frcnn_record_format format;
	cr_expect(frcnn_record_format_parse("csv", &format) && format == FRCNN_FORMAT_CSV);
	cr_expect(frcnn_record_format_parse("coco", &format) && format == FRCNN_FORMAT_COCO);
	cr_expect(frcnn_record_format_parse("jsonl", &format) && format == FRCNN_FORMAT_JSONL);
	cr_expect_not(frcnn_record_format_parse("json", &format));
}

/* Any bytes as a file name, and numbers to the last bit, come back. */
Test(record, round_trip)
{
	char name[300];
	uint64_t seed = 7;
	struct frcnn_record_writer writer = {.categories = categories, .ncategories = FRCNN_COUNT(categories)};

	for (int turn = 0; turn < 200; turn++) {
		size_t length = 1 + (size_t)turn % (sizeof(name) - 1);
		for (size_t i = 0; i < length; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			static const char often[] = "\\x5CxFF\\\"\n/";
			name[i] = turn & 1 ? often[(seed >> 33) % (sizeof(often) - 1)] : (char)(1 + (seed >> 33) % 255);
		}
		name[length] = '\0';
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		uint32_t bits = (uint32_t)(seed >> 32) & 0x7F7FFFFF; /* positive, finite */
		struct frcnn_detection d = {0, 0, 0, 1, 0.5f, 1};
		memcpy(&d.x2, &bits, sizeof(bits));
		d.score = d.x2;
		struct frcnn_detections one = {.count = 1, .items = &d};
		struct frcnn_record_image image = {true, (int64_t)seed, name, 5, 6, name};
		struct frcnn_buffer out = {0};
		struct notes notes = {0};
		const struct frcnn_record *record;
		struct frcnn_error err;

		cr_assert_eq(frcnn_record_put(&writer, &out, &image, &one, &err), 0, "%s", err.message);
		struct frcnn_records *records = open_text(out.data, out.size, &notes);
		cr_assert_eq(frcnn_records_next(records, &record, &err), 1, "%s", err.message);
		cr_expect_str_eq(record->file_name, name);
		cr_expect_eq(record->image_id, (int64_t)seed);
		cr_expect_eq(memcmp(&record->detections[0].bbox_f32[2], &bits, 4), 0);
		cr_expect_eq(memcmp(&record->detections[0].score_f32, &bits, 4), 0);
		cr_expect_eq(frcnn_records_next(records, &record, &err), 0);
		frcnn_records_close(records);
		frcnn_buffer_free(&out);
		free_notes(&notes);
	}
}

Test(record, stem_id)
{
	static const struct {
		const char *name;
		bool has;
		int64_t id;
	} cases[] = {
	    {"000000000139.jpg", true, 139},
	    {"val/2017/000000000139.jpg", true, 139},
	    {"12/a.jpg", false, 0},
	    {"0.png", true, 0},
	    {"000", true, 0},
	    {"9223372036854775807.jpg", true, INT64_MAX},
	    {"9223372036854775808.jpg", false, 0},
	    {"0000000000000000000000000000000000000001.jpg", true, 1},
	    {"-5.jpg", false, 0},
	    {"+5.jpg", false, 0},
	    {"12a.jpg", false, 0},
	    {"1.2.jpg", false, 0},
	    {".jpg", false, 0},
	    {"", false, 0},
	    {"5/", false, 0},
	    {"12.", true, 12},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		int64_t id = 0;
		cr_expect_eq(frcnn_record_stem_id(cases[i].name, &id), cases[i].has, "%s", cases[i].name);
		if (cases[i].has)
			cr_expect_eq(id, cases[i].id, "%s", cases[i].name);
	}
}

/* ---- reading: the forms ---- */

Test(record, forms)
{
	static const struct {
		const char *text;
		enum frcnn_record_form form;
	} cases[] = {
	    {"", FRCNN_FORM_UNKNOWN},
	    {" \r\n\t\n", FRCNN_FORM_UNKNOWN},
	    {"\xEF\xBB\xBF", FRCNN_FORM_UNKNOWN},
	    {"[]", FRCNN_FORM_COCO_ARRAY},
	    {"\xEF\xBB\xBF \n[]", FRCNN_FORM_COCO_ARRAY},
	    {"{\"image_id\":1,\"detections\":[]}", FRCNN_FORM_JSONL},
	    {"{\"x\":{\"bbox\":1,\"images\":[]},\"y\":[{\"score\":1}],\"proposals\":[]}", FRCNN_FORM_JSONL},
	    {"{\"image_id\":1,\"s\":\"\\\"bbox\\\":\",\"detections\":[]}", FRCNN_FORM_JSONL},
	    {"{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}", FRCNN_FORM_COCO_LINES},
	    {"{\n \"info\": {\"images\": 2},\n \"images\": [], \"annotations\": []}", FRCNN_FORM_COCO_DATASET},
	    {"{\"annotations\":[],\"images\":[]}", FRCNN_FORM_COCO_DATASET},
	    {"junk", FRCNN_FORM_JSONL},
	    {"junk\n[]\n", FRCNN_FORM_JSONL},
	    {"junk\n{\"image_id\":1,\"bbox\":[1,2,3,4]}\n", FRCNN_FORM_COCO_LINES},
	    {"{\"image_id\":1,\n{\"image_id\":1,\"bbox\":[1,2,3,4]}\n", FRCNN_FORM_COCO_LINES},
	    {"{\"image_id\":\"1\n{\"image_id\":1,\"bbox\":[1,2,3,4]}\n", FRCNN_FORM_COCO_LINES},
	    {"{\"image_id\":1}\n{\"image_id\":1,\"bbox\":[1,2,3,4]}\n", FRCNN_FORM_COCO_LINES},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct notes notes = {0};
		struct frcnn_buffer out = {0};
		struct frcnn_records *records = open_text(cases[i].text, strlen(cases[i].text), &notes);
		dump(records, &out);
		cr_expect_eq(frcnn_records_form(records), cases[i].form, "%s: form %d", cases[i].text,
			     frcnn_records_form(records));
		frcnn_records_close(records);
		frcnn_buffer_free(&out);
		free_notes(&notes);
	}
}

Test(record, jsonl)
{
	expect("{\"image_id\":139,\"file_name\":\"a.jpg\",\"width\":640,\"height\":426,\"model\":\"m@1\","
	       "\"detections\":[{\"bbox\":[1,2,3.5,4],\"score\":0.5,\"category_id\":1,\"category\":\"b\\u00e9\"}]}\n"
	       "\r\n"
	       "{\"file_name\":\"b.jpg\",\"detections\":[]}\r\n"
	       "{\"detections\":[],\"proposals\":[{\"bbox\":[0,0,1,1],\"objectness\":0.25},{\"bbox\":[0,0,1,2]}]}",
	       "#139 <a.jpg> 640x426 m@1 (1 2 3.5 4 s0.5 c1 b\xC3\xA9)\n"
	       " <b.jpg>\n"
	       " (0 0 1 1 s0.25) (0 0 1 2 s0)\n");
}

Test(record, bad_lines_are_named_and_the_rest_goes_through)
{
	expect("{\"image_id\":1,\"detections\":[]}\n"
	       "{\"image_id\":2,\"detections\":[]\n"
	       "null\n"
	       "{\"image_id\":3}\n"
	       "{\"image_id\":4,\"detections\":{}}\n"
	       "{\"image_id\":5,\"detections\":[]} x\n"
	       "{\"image_id\":6,\"detections\":[7]}\n"
	       "{\"image_id\":7,\"detections\":[]}\n"
	       "{\"image_id\":8,\"detec",
	       "#1\n"
	       "! f:2: column 30: expected ',' or '}', found the end of the text\n"
	       "! f:3: not an object\n"
	       "! f:4: missing key \"detections\"\n"
	       "! f:5: detections is not an array\n"
	       "! f:6: column 32: expected the end of the text, found 'x'\n"
	       "! f:7: detections[0]: not an object\n"
	       "#7\n"
	       "! f:9: column 21: the text ends inside a string\n");
}

Test(record, encodings)
{
	expect("\xEF\xBB\xBF{\"image_id\":1,\"detections\":[]}\n", "#1\n");
	expect_sized("{\0\"\0a\0", 6, "! f:1: UTF-16 or no text, where JSON is UTF-8\n", "");
	expect("\xFF\xFE{", "! f:1: UTF-16 or no text, where JSON is UTF-8\n");
	expect("{\n\"file_name\":\"a\",\n\"detections\":[]}\n",
	       "! f:1: an object goes over several lines, where each line is one object\n");
	struct notes notes = {0};
	const struct frcnn_record *record;
	struct frcnn_error err;
	const char *text = "{\"file_name\":\"\xFF\",\"detections\":[]}";
	struct frcnn_records *records = open_text(text, strlen(text), &notes);
	cr_expect_eq(frcnn_records_next(records, &record, &err), FRCNN_EFORMAT);
	cr_expect(strstr(err.message, "UTF-8"), "%s", err.message);
	frcnn_records_close(records);
	free_notes(&notes);
}

Test(record, boxes)
{
	expect_detection("\"score\":1,\"category_id\":1", "! f:1: detections[0]: missing key \"bbox\"\n");
	expect_detection("\"bbox\":null,\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox is null, not an array of four numbers\n");
	expect_detection("\"bbox\":[1,2,3],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox has 3 numbers, not four\n");
	expect_detection("\"bbox\":[1,2,3,4,5],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox has 5 numbers, not four\n");
	expect_detection("\"bbox\":[1,\"2\",3,4],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox[1] is a string, not a number\n");
	expect_detection("\"bbox\":[1,2,null,4],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox[2] is null, not a number\n");
	expect_detection("\"bbox\":[1,2,3,1e400],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox[3] does not fit a floating-point number\n");
	expect_detection("\"bbox\":[1e39,2,3,4],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox[0] does not fit a floating-point number\n");
	expect_detection("\"bbox\":[1,2,-3,4],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox has a negative width\n");
	expect_detection("\"bbox\":[1,2,3,-1e-9],\"score\":1,\"category_id\":1",
			 "! f:1: detections[0]: bbox has a negative height\n");
	expect_detection("\"bbox\":[-1,-2.5,3,4],\"score\":1,\"category_id\":1", "#1 (-1 -2.5 3 4 s1 c1)\n");
	expect_warned("{\"detections\":[{\"bbox\":[1,2,0,4],\"score\":1,\"category_id\":1},"
		      "{\"bbox\":[1,2,3,0],\"score\":1,\"category_id\":1}]}\n",
		      " (1 2 0 4 s1 c1) (1 2 3 0 s1 c1)\n",
		      "f:1: detections[0]: bbox has zero size\nf: boxes of zero size: 2\n");
}

Test(record, scores_and_categories)
{
	expect_detection("\"bbox\":[1,2,3,4],\"category_id\":1", "! f:1: detections[0]: missing key \"score\"\n");
	expect_detection("\"bbox\":[1,2,3,4],\"category_id\":1,\"score\":null",
			 "! f:1: detections[0]: score is null, not a number\n");
	expect_detection("\"bbox\":[1,2,3,4],\"category_id\":1,\"score\":NaN",
			 "! f:1: column 71: NaN and Infinity are not JSON (key \"score\")\n");
	expect_detection("\"bbox\":[1,2,3,4],\"category_id\":1,\"score\":Infinity",
			 "! f:1: column 71: NaN and Infinity are not JSON (key \"score\")\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1", "! f:1: detections[0]: missing key \"category_id\"\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category\":\"a\"", "#1 (1 2 3 4 s1 a)\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category\":\"a\\u0000\"",
			 "! f:1: detections[0]: category has a NUL in it\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category\":3",
			 "! f:1: detections[0]: category is a number, not a string\n");
}

Test(record, ids)
{
	static const struct {
		const char *id, *expected;
	} cases[] = {
	    {"9007199254740993", "#9007199254740993\n"},
	    {"9223372036854775807", "#9223372036854775807\n"},
	    {"-9223372036854775808", "#-9223372036854775808\n"},
	    {"9223372036854775808", "! f:1: image_id is 9223372036854775808, not an integer of 64 bits\n"},
	    {"1.0", "#1\n"},
	    {"1e2", "#100\n"},
	    {"1.5", "! f:1: image_id is 1.5, not an integer of 64 bits\n"},
	    {"1e30", "! f:1: image_id is 1e30, not an integer of 64 bits\n"},
	    {"\"139\"", "#139\n"},
	    {"\"000139\"", "#139\n"},
	    {"\"9007199254740993\"", "#9007199254740993\n"},
	    {"\"9223372036854775808\"", "! f:1: image_id is \"9223372036854775808\", not an integer of 64 bits\n"},
	    {"\"-1\"", "! f:1: image_id is \"-1\", not an integer of 64 bits\n"},
	    {"\"1.0\"", "! f:1: image_id is \"1.0\", not an integer of 64 bits\n"},
	    {"\"\"", "! f:1: image_id is \"\", not an integer of 64 bits\n"},
	    {"\"img_7\"", "! f:1: image_id is \"img_7\", not an integer of 64 bits\n"},
	    {"null", "! f:1: image_id is null, not an integer\n"},
	    {"true", "! f:1: image_id is a boolean, not an integer\n"},
	    {"[1]", "! f:1: image_id is an array, not an integer\n"},
	};
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_buffer text = {0};
		frcnn_buffer_printf(&text, "{\"image_id\":%s,\"detections\":[]}\n", cases[i].id);
		expect(text.data, cases[i].expected);
		frcnn_buffer_free(&text);
	}
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category_id\":\"12\"", "#1 (1 2 3 4 s1 c12)\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category_id\":2.0", "#1 (1 2 3 4 s1 c2)\n");
	expect_detection("\"bbox\":[1,2,3,4],\"score\":1,\"category_id\":\"dog\"",
			 "! f:1: detections[0]: category_id is \"dog\", not an integer of 64 bits\n");
}

Test(record, sizes_and_names)
{
	expect("{\"width\":0.5,\"detections\":[]}", "! f:1: width is 0.5, not an integer of 64 bits\n");
	expect("{\"width\":-1,\"detections\":[]}", "! f:1: width is -1, not a number of pixels\n");
	expect("{\"height\":2147483648,\"detections\":[]}", "! f:1: height is 2147483648, not a number of pixels\n");
	expect("{\"height\":null,\"detections\":[]}", "! f:1: height is null, not an integer\n");
	expect("{\"file_name\":7,\"detections\":[]}", "! f:1: file_name is a number, not a string\n");
	expect("{\"file_name\":\"a\\u0000b\",\"detections\":[]}", "! f:1: file_name has a NUL in it\n");
	expect("{\"file_name\":\"a\\\\x00b\",\"detections\":[]}", "! f:1: file_name has a NUL in it\n");
	expect("{\"file_name\":\"\\\\xFF\\\\x5Cx41\",\"detections\":[]}", " <\xFF\\x41>\n");
	expect("{\"file_name\":\"\",\"detections\":[]}", " <>\n");
	expect("{\"file_name\":null,\"model\":null,\"detections\":[]}", "\n");
}

Test(record, duplicate_keys)
{
	expect_warned(
	    "{\"image_id\":\"bad\",\"image_id\":2,\"detections\":[{\"bbox\":[1,2,3,4],\"score\":null,\"score\":1,"
	    "\"category_id\":1}]}\n{\"q\":1,\"q\":2,\"detections\":[]}\n",
	    "#2 (1 2 3 4 s1 c1)\n\n",
	    "f:1: detections[0]: key \"score\" appears twice, the last one counts\n"
	    "f: objects with duplicate keys: 3\n");
	expect_warned("[{\"image_id\":1,\"image_id\":2,\"bbox\":[1,2,3,4],\"score\":1,\"category_id\":1}]",
		      "#2 (1 2 3 4 s1 c1)\n", "f:1: results[0]: key \"image_id\" appears twice, the last one counts\n");
}

/* What a filter needs: the text of everything. */
Test(record, texts_stay)
{
	struct notes notes = {0};
	const struct frcnn_record *record;
	struct frcnn_error err;
	const char *text = "{\"z\\u0041\" : [1, {\"a\":2}], \"detections\" : [ {\"bbox\": [1.50,2, 3e0,4],\"u\":1.00, "
			   "\"score\":0.500,\"category_id\":01e0 } ], \"image_id\":7.0,\"k\":1.10 }\r\n";
	struct frcnn_buffer fixed = {0};
	frcnn_buffer_puts(&fixed, text);
	*strstr(fixed.data, "01e0") = ' '; /* " 1e0" */
	struct frcnn_records *records = open_text(fixed.data, fixed.size, &notes);
	cr_assert_eq(frcnn_records_next(records, &record, &err), 1, "%s", err.message);
	cr_expect_eq(record->text.data, fixed.data);
	cr_expect_eq(record->text.size, fixed.size - 2);
	cr_assert_eq(record->nextras, 2);
	cr_expect_str_eq(record->extras[0].key, "zA");
	cr_expect(frcnn_span_is(record->extras[0].value, "[1, {\"a\":2}]"));
	cr_expect_str_eq(record->extras[1].key, "k");
	cr_expect(frcnn_span_is(record->extras[1].value, "1.10"));
	cr_assert_eq(record->ndetections, 1);
	cr_expect(frcnn_span_is(record->detections[0].bbox_text, "[1.50,2, 3e0,4]"));
	cr_expect(frcnn_span_is(record->detections[0].score_text, "0.500"));
	cr_expect(frcnn_span_is(record->detections[0].text,
				"{\"bbox\": [1.50,2, 3e0,4],\"u\":1.00, \"score\":0.500,\"category_id\": 1e0 }"));
	cr_expect(record->detections_text.data[0] == '[' &&
		  record->detections_text.data[record->detections_text.size - 1] == ']');
	cr_expect_eq(record->detections[0].category_id, 1);
	frcnn_records_close(records);
	frcnn_buffer_free(&fixed);
	free_notes(&notes);
}

/* Text becomes float32 at once, not by way of double: this one lies between. */
Test(record, rounded_once)
{
	struct notes notes = {0};
	const struct frcnn_record *record;
	struct frcnn_error err;
	const char *text =
	    "{\"detections\":[{\"bbox\":[1.00000017881393432617187499,2,3,4],\"score\":1,\"category_id\":1}]}";
	struct frcnn_records *records = open_text(text, strlen(text), &notes);
	cr_assert_eq(frcnn_records_next(records, &record, &err), 1);
	cr_expect_eq(record->detections[0].bbox_f32[0], 1.00000011920928955078125f);
	cr_expect_neq((float)record->detections[0].bbox[0], record->detections[0].bbox_f32[0]);
	frcnn_records_close(records);
	free_notes(&notes);
}

Test(record, limits)
{
	struct frcnn_buffer text = {0};
	struct notes notes = {0};
	struct frcnn_buffer out = {0};

	frcnn_buffer_puts(&text, "{");
	for (int i = 0; i < 1001; i++)
		frcnn_buffer_printf(&text, "\"k%d\":1,", i);
	frcnn_buffer_puts(&text, "\"detections\":[]}");
	expect(text.data, "! f:1: more than 1000 unknown keys\n");

	frcnn_buffer_clear(&text);
	frcnn_buffer_puts(&text, "{\"image_id\":1,\"detections\":[]}\n");
	char *block = malloc(1 << 20);
	cr_assert(block);
	memset(block, 'x', 1 << 20);
	for (size_t i = 0; i <= FRCNN_RECORD_MAX_LINE >> 20; i++)
		frcnn_buffer_add(&text, block, 1 << 20);
	free(block);
	frcnn_buffer_puts(&text, "\n{\"image_id\":2,\"detections\":[]}\n");
	FILE *stream = tmpfile();
	cr_assert(stream);
	fwrite(text.data, 1, text.size, stream);
	rewind(stream);
	struct frcnn_records *records;
	cr_assert_eq(frcnn_records_open_stream(stream, "-", NULL, &records, NULL), 0);
	dump(records, &out);
	frcnn_records_close(records);
	fclose(stream);
	const char *told = "#1\n! standard input:2: the line is longer than 67108864 bytes\n#2\n";
	cr_expect_str_eq(text_of(&out), told, "%s", text_of(&out));
	frcnn_buffer_free(&text);
	frcnn_buffer_free(&out);
	free_notes(&notes);
}

/* A record comes as soon as its line is there, not when the pipe closes. */
Test(record, streams, .timeout = 10)
{
	int ends[2];
	const struct frcnn_record *record;
	struct frcnn_records *records;
	struct frcnn_error err;
	static const char first[] = "{\"image_id\":1,\"detections\":[]}\n",
			  second[] = "{\"image_id\":2,\"detections\":[]}";

	cr_assert_eq(pipe(ends), 0);
	FILE *stream = fdopen(ends[0], "r");
	cr_assert(stream);
	cr_assert_eq(frcnn_records_open_stream(stream, "-", NULL, &records, &err), 0);
	cr_assert_eq(write(ends[1], first, sizeof(first) - 1), (ssize_t)sizeof(first) - 1);
	cr_assert_eq(frcnn_records_next(records, &record, &err), 1);
	cr_expect_eq(record->image_id, 1);
	cr_assert_eq(write(ends[1], second, sizeof(second) - 1), (ssize_t)sizeof(second) - 1);
	close(ends[1]);
	cr_assert_eq(frcnn_records_next(records, &record, &err), 1);
	cr_expect_eq(record->image_id, 2);
	cr_expect_eq(record->line, 2);
	cr_expect_eq(frcnn_records_next(records, &record, &err), 0);
	frcnn_records_close(records);
	fclose(stream);
}

Test(record, coco_results)
{
	expect("[{\"image_id\":2,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5},\n"
	       " {\"image_id\":\"1\",\"category_id\":2,\"bbox\":[5,6,7,8],\"score\":0.25},\n"
	       " {\"image_id\":2.0,\"category_id\":3,\"bbox\":[9,10,11,12],\"score\":0.125}]\n",
	       "#2 (1 2 3 4 s0.5 c1) (9 10 11 12 s0.125 c3)\n#1 (5 6 7 8 s0.25 c2)\n");
	expect("[\n{\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5},\n"
	       "7,\n"
	       "{\"image_id\":\"a\",\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5},\n"
	       "{\"image_id\":3,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5},\n"
	       "{\"image_id\":3,\"category_id\":1,\"bbox\":[1,2,3,null],\"score\":0.5},\n"
	       "{\"image_id\":3,\"category_id\":1,\"segmentation\":{\"size\":[1,2]},\"score\":0.5}]",
	       "! f:2: results[0]: missing key \"image_id\"\n"
	       "! f:3: results[1]: not an object\n"
	       "! f:4: results[2]: image_id is \"a\", not an integer of 64 bits\n"
	       "! f:6: results[4]: bbox[3] is null, not a number\n"
	       "! f:7: results[5]: missing key \"bbox\"\n"
	       "#3 (1 2 3 4 s0.5 c1)\n");
	expect("[]", "");
	expect("[{\"image_id\":3,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5},\n{\"image_id\":3",
	       "! f:2: column 14: expected ',' or '}', found the end of the text\n");
	expect("[] []", "! f:1: column 4: expected the end of the text, found '['\n");
}

Test(record, coco_lines)
{
	expect("{\"image_id\":2,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5}\n"
	       "{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":0.5\n"
	       "\n"
	       "{\"image_id\":1,\"category_id\":2,\"bbox\":[5,6,7,8],\"score\":0.25}\r\n"
	       "{\"image_id\":2,\"category_id\":3,\"bbox\":[9,10,11,12],\"score\":null}\n"
	       "{\"image_id\":2,\"category_id\":4,\"bbox\":[9,10,11,12],\"score\":1}",
	       "! f:2: column 59: expected ',' or '}', found the end of the text\n"
	       "! f:5: score is null, not a number\n"
	       "#2 (1 2 3 4 s0.5 c1) (9 10 11 12 s1 c4)\n#1 (5 6 7 8 s0.25 c2)\n");
}

static const char dataset[] =
    "{\"annotations\":[\n"
    "{\"id\":1,\"image_id\":20,\"category_id\":5,\"bbox\":[1,2,3,4],\"area\":6.5,\"iscrowd\":1,"
    "\"segmentation\":[[1,2,3]]},\n"
    "{\"id\":2,\"image_id\":10,\"category_id\":9007199254740993,\"bbox\":[0,0,2,5],\"score\":0.3},\n"
    "{\"id\":3,\"image_id\":20,\"category_id\":5,\"bbox\":[1,2,3,5],\"area\":1,\"iscrowd\":false}],\n"
    "\"images\":[{\"id\":10,\"file_name\":\"a\\\\x41.jpg\",\"width\":640,\"height\":480},\n"
    "{\"id\":30},{\"id\":\"20\",\"file_name\":\"b.jpg\"}],\n"
    "\"categories\":[{\"id\":5,\"name\":\"bolt\"},{\"id\":9007199254740993,\"name\":\"nut\"}]}\n";

Test(record, dataset_as_detections)
{
	expect(dataset, "#10 <a\\x41.jpg> 640x480 (0 0 2 5 s1 c9007199254740993 nut)\n"
			"#30\n"
			"#20 <b.jpg> (1 2 3 4 s1 c5 bolt crowd) (1 2 3 5 s1 c5 bolt)\n");
	expect("{\"images\":[{\"id\":1},7],\"annotations\":[]}", "! f: entries that were left out: 1\n#1\n");
	expect("{\"images\":[]}", "! f:1: no COCO dataset: missing key \"annotations\"\n");
	expect("{\"images\":[],\n\"annotations\":[}", "! f:2: column 16: expected a value, found '}'\n");
}

/* ---- ground truth ---- */

Test(record, ground_truth)
{
	struct notes notes = {0};
	struct frcnn_notices notices = {take_note, &notes};
	struct frcnn_ground_truth t;
	struct frcnn_error err;

	cr_assert_eq(frcnn_ground_truth_parse(dataset, sizeof(dataset) - 1, "g", false, &notices, &t, &err), 0, "%s",
		     err.message);
	cr_assert_eq(t.nimages, 3);
	cr_expect_eq(t.image_ids[0], 10);
	cr_expect_eq(t.image_ids[2], 20);
	cr_expect_str_eq(t.file_names[0], "a\\x41.jpg", "a ground truth's names are taken as they are");
	cr_expect_null(t.file_names[1]);
	cr_expect_eq(t.widths[0], 640);
	cr_expect_eq(t.heights[0], 480);
	cr_expect_eq(t.widths[1], 0);
	cr_assert_eq(t.nannotations, 3);
	cr_expect_eq(t.annotation_ids[1], 2);
	cr_expect_eq(t.annotation_images[0], 2);
	cr_expect_eq(t.annotation_images[1], 0);
	cr_expect_eq(t.annotation_categories[1], INT64_C(9007199254740993));
	cr_expect_eq(t.areas[0], 6.5);
	cr_expect_eq(t.areas[1], 10);
	cr_expect_eq(t.crowds[0], 1);
	cr_expect_eq(t.crowds[1], 0);
	cr_expect_eq(t.bboxes[4 * 2 + 3], 5);
	cr_expect_eq(t.first[0], 0);
	cr_expect_eq(t.first[1], 1);
	cr_expect_eq(t.first[2], 1);
	cr_expect_eq(t.first[3], 3);
	cr_expect_eq(t.by_image[0], 1);
	cr_expect_eq(t.by_image[1], 0);
	cr_expect_eq(t.by_image[2], 2);
	cr_expect_eq(t.ncategories, 2);
	cr_expect_str_eq(frcnn_ground_truth_category(&t, INT64_C(9007199254740993)), "nut");
	cr_expect_null(frcnn_ground_truth_category(&t, INT64_C(9007199254740992)));
	cr_expect_eq(t.errors, 0);
	cr_expect_str_eq(text_of(&notes.warnings), "g: 1 of 3 annotations have no iscrowd, taken as 0\n"
						   "g: 1 of 3 annotations have no area, taken as width * height\n");
	frcnn_ground_truth_free(&t);
	frcnn_ground_truth_free(&t);
	frcnn_ground_truth_free(NULL);
	free_notes(&notes);
}

Test(record, ground_truth_errors)
{
	static const char text[] =
	    "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"file_name\":\"b\"},{\"id\":1,\"file_name\":\"c\"},\n"
	    "{\"id\":\"x7\"},{\"id\":2,\"width\":null},{\"id\":3,\"file_name\":\"n\\u0000\"},{\"id\":4}],\n"
	    "\"categories\":[{\"id\":1,\"name\":\"a\"},{\"id\":1,\"name\":\"b\"},{\"name\":\"c\"}],\n"
	    "\"annotations\":[\n"
	    "{\"id\":1,\"image_id\":1,\"category_id\":1,\"area\":1,\"iscrowd\":0},\n"
	    "{\"id\":2,\"image_id\":1,\"category_id\":1,\"bbox\":null,\"area\":1,\"iscrowd\":0},\n"
	    "{\"id\":3,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,-3,4],\"area\":1,\"iscrowd\":0},\n"
	    "{\"id\":4,\"image_id\":9,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":1,\"iscrowd\":0},\n"
	    "{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":1,\"iscrowd\":0},\n"
	    "{\"id\":6,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":null,\"iscrowd\":0},\n"
	    "{\"id\":7,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":1,\"iscrowd\":2},\n"
	    "{\"id\":8,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,0,4],\"area\":1,\"iscrowd\":0},\n"
	    "{\"id\":8,\"image_id\":4,\"category_id\":5,\"bbox\":[1,2,3,4],\"area\":1,\"area\":2,\"iscrowd\":0},\n"
	    "{\"id\":9,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":-1,\"iscrowd\":0}]}";
	struct notes notes = {0};
	struct frcnn_notices notices = {take_note, &notes};
	struct frcnn_ground_truth t;
	struct frcnn_error err;
	cr_assert_eq(frcnn_ground_truth_parse(text, sizeof(text) - 1, "g", false, &notices, &t, &err), 0, "%s",
		     err.message);
	cr_expect_eq(t.nimages, 2);
	cr_expect_eq(t.ncategories, 1);
	cr_expect_eq(t.nannotations, 2);
	cr_expect_eq(t.areas[1], 2);
	cr_expect_eq(t.errors, 15);
	const char *told = "g:1: images[1]: missing key \"id\"\n"
			   "g:1: image 1: id 1 is that of \"a\" and of \"c\"\n"
			   "g:2: images[3]: id is \"x7\", not an integer of 64 bits\n"
			   "g:2: image 2: width is null, not an integer\n"
			   "g:2: image 3: file_name has a NUL in it\n"
			   "g:3: category 1: id 1 appears twice\n"
			   "g:3: categories[2]: missing key \"id\"\n"
			   "g:5: annotation 1: missing key \"bbox\"\n"
			   "g:6: annotation 2: bbox is null, not an array of four numbers\n"
			   "g:7: annotation 3: bbox has a negative width\n"
			   "g:8: annotation 4: image_id 9 is none of the images\n"
			   "g:9: annotations[4]: missing key \"id\"\n"
			   "g:10: annotation 6: area is null, not a number\n"
			   "g:11: annotation 7: iscrowd is 2, not 0 or 1\n"
			   "g:14: annotation 9: area is negative\n";
	cr_expect_str_eq(text_of(&notes.errors), told, "%s", text_of(&notes.errors));
	told = "g:13: annotation 8: key \"area\" appears twice, the last one counts\n"
	       "g: boxes of zero size: 1, the first in annotation 8\n"
	       "g: annotations of a category_id that is none of the categories: 1, the first id is 5\n"
	       "g: annotation ids that appear again: 1, the first is 8\n";
	cr_expect_str_eq(text_of(&notes.warnings), told, "%s", text_of(&notes.warnings));
	frcnn_ground_truth_free(&t);

	cr_assert_eq(frcnn_ground_truth_parse(text, sizeof(text) - 1, "g", true, NULL, &t, &err), 0);
	cr_expect_eq(t.nimages, 2);
	cr_expect_eq(t.nannotations, 0);
	cr_expect_eq(t.first[2], 0);
	frcnn_ground_truth_free(&t);

	static const struct {
		const char *text, *message;
	} broken[] = {
	    {"", "g:1: column 1: expected a value, found the end of the text"},
	    {"[]", "g:1: no COCO dataset: not an object"},
	    {"{}", "g:1: no COCO dataset: missing key \"images\""},
	    {"{\"images\":[]}", "g:1: no COCO dataset: missing key \"annotations\""},
	    {"{\"images\":{},\"annotations\":[]}", "g:1: images is not an array"},
	    {"{\"images\":[],\n\n\"annotations\":[],\"info\":{\"year\":NaN}}",
	     "g:3: column 33: NaN and Infinity are not JSON (key \"year\")"},
	};
	for (size_t i = 0; i < FRCNN_COUNT(broken); i++) {
		cr_expect_eq(
		    frcnn_ground_truth_parse(broken[i].text, strlen(broken[i].text), "g", false, NULL, &t, &err),
		    FRCNN_EFORMAT);
		cr_expect_str_eq(err.message, broken[i].message, "%s", err.message);
		cr_expect_eq(t.nimages, 0);
	}
	free_notes(&notes);
}

/* ---- joining ---- */

Test(record, join)
{
	int64_t ids[] = {1, 2, 3, 4, 5, 6};
	const char *names[] = {"val/a.jpg", "x/c.jpg", "y/c.jpg", NULL, "000000000012.jpg", "c.jpg"};
	struct frcnn_ground_truth t = {.nimages = 6, .image_ids = ids, .file_names = names};
	static const struct {
		const char *name;
		bool has;
		int64_t id;
		int rc;
		size_t image;
		const char *message;
	} cases[] = {
	    {"val/a.jpg", false, 0, 1, 0, NULL},
	    {"val/a.jpg", true, 1, 1, 0, NULL},
	    {"elsewhere/a.jpg", false, 0, 1, 0, NULL},
	    {"a.jpg", true, 1, 1, 0, NULL},
	    {"c.jpg", false, 0, 1, 5, NULL},
	    {"x/c.jpg", false, 0, 1, 1, NULL},
	    {"z/c.jpg", false, 0, -1, 0,
	     "file name \"z/c.jpg\" fits 3 images of the ground truth (\"x/c.jpg\", \"y/c.jpg\")"},
	    {"z/c.jpg", true, 3, 1, 2, NULL},
	    {"a.jpg", true, 2, -1, 0, "file name \"a.jpg\" is image 1 of the ground truth, but image_id is 2"},
	    {"a.jpg", true, 99, -1, 0, "file name \"a.jpg\" is image 1 of the ground truth, but image_id is 99"},
	    {"000000000012.jpg", true, 12, 1, 4, NULL},
	    {"in/12.jpg", true, 12, 0, 0, NULL},
	    {"in/000000000012.jpg", true, 12, 1, 4, NULL},
	    {"2.jpg", true, 2, 0, 0, NULL},
	    {"q.jpg", true, 2, -1, 0, "image_id 2 is \"x/c.jpg\" in the ground truth, but file_name is \"q.jpg\""},
	    {"q.jpg", true, 4, 1, 3, NULL},
	    {"4.jpg", true, 4, 1, 3, NULL},
	    {"q.jpg", false, 0, 0, 0, NULL},
	    {"q.jpg", true, 77, 0, 0, NULL},
	    {NULL, true, 3, 1, 2, NULL},
	    {NULL, true, 33, 0, 0, NULL},
	    {NULL, false, 0, 0, 0, NULL},
	};
	struct frcnn_join *join;
	struct frcnn_error err;
	cr_assert_eq(frcnn_join_new(&t, &join, &err), 0);
	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		size_t image = 0;
		int rc = frcnn_join_find(join, cases[i].name, cases[i].has, cases[i].id, &image, &err);
		cr_expect_eq(rc < 0 ? -1 : rc, cases[i].rc, "case %zu: %d", i, rc);
		cr_expect_eq(image, cases[i].image, "case %zu: image %zu", i, image);
		if (rc < 0)
			cr_expect_str_eq(err.message, cases[i].message, "case %zu: %s", i, err.message);
	}
	frcnn_join_free(join);
	frcnn_join_free(NULL);
}

Test(record, id_map)
{
	struct frcnn_id_map map = {0};
	size_t value;
	cr_expect_not(frcnn_id_map_find(&map, 0, NULL));
	for (int64_t i = 0; i < 5000; i++)
		cr_assert_eq(frcnn_id_map_add(&map, i * i * INT64_C(4294967296) - i, (size_t)i, NULL), 1);
	cr_assert_eq(frcnn_id_map_add(&map, INT64_MIN, 5000, NULL), 1);
	for (int64_t i = 0; i < 5000; i++) {
		cr_assert(frcnn_id_map_find(&map, i * i * INT64_C(4294967296) - i, &value));
		cr_assert_eq(value, (size_t)i);
	}
	cr_expect_eq(frcnn_id_map_add(&map, INT64_MIN, 9, &value), 0);
	cr_expect_eq(value, 5000);
	cr_expect_not(frcnn_id_map_find(&map, INT64_MAX, NULL));
	frcnn_id_map_free(&map);
}

/* ---- labels ---- */

static void expect_labels(const char *text, size_t size, const char *expected)
{
	struct frcnn_labels labels;
	struct frcnn_error err;
	struct frcnn_buffer got = {0};
	if (frcnn_labels_parse(text, size, &labels, &err) < 0)
		frcnn_buffer_puts(&got, err.message);
	for (size_t i = 0; i < labels.count; i++)
		frcnn_buffer_printf(&got, "<%s>", labels.names[i]);
	cr_expect_str_eq(text_of(&got), expected, "%s", text_of(&got));
	frcnn_labels_free(&labels);
	frcnn_buffer_free(&got);
}

Test(record, labels)
{
	expect_labels("a\nb c\n", 6, "<a><b c>");
	expect_labels("a\r\nb\r\n", 6, "<a><b>");
	expect_labels("\xEF\xBB\xBFg\xC3\xA9\nb", 8, "<g\xC3\xA9><b>");
	expect_labels(" a \n", 4, "< a >");
	expect_labels("", 0, "no labels in it");
	expect_labels("a\n\nb\n", 5, "line 2 is empty");
	expect_labels("a\n\r\n", 4, "line 2 is empty");
	expect_labels("a\nb\0c\n", 6, "line 2 has a NUL in it");
	expect_labels("a\n\xFF\n", 4, "line 2 is not UTF-8");
	expect_labels("a\nb\tc\n", 6, "line 2 has a control character in it");
	expect_labels("a\nb\r\r\n", 6, "line 2 has a control character in it");
	struct frcnn_labels labels;
	struct frcnn_error err;
	cr_expect_eq(frcnn_labels_read("/nonexistent/labels", &labels, &err), FRCNN_EIO);
	cr_expect(strstr(err.message, "/nonexistent/labels"));
}

/* ---- what is in the data folder ---- */

struct counts {
	const char *path;
	size_t images, boxes, categories, crowds;
	double area;
};

Test(record, data)
{
	static const struct counts truths[] = {
	    {"cocoapi100/instances_val2014_100.json", 100, 839, 80, 9, 9155024.006400017},
	    {"bccd/bccd_test_coco.json", 72, 945, 3, 0, 11036083},
	    {"bccd/bccd_val_coco.json", 87, 1137, 3, 0, 13569389},
	    {"bccd/bccd_train_coco.json", 205, 2804, 3, 0, 32917546},
	    {"parts/instances.json", 80, 620, 5, 0, 3680811},
	    {"coco-subset/annotations/instances_val2017_subset.json", 206, 1786, 80, 21, 19661705.94960001},
	    {"coco-subset/annotations/instances_train2017_subset.json", 337, 2838, 80, 28, 29945736.060900018},
	};
	static const struct counts results[] = {
	    {"cocoapi100/instances_val2014_fakebbox100_results.json", 99, 734, 0, 0, 0},
	    {"bccd/golden.json", 72, 1869, 0, 0, 0},
	    {"parts/golden.json", 80, 1750, 0, 0, 0},
	};
	const char *folder = getenv("FRCNN_DATA");
	char path[4096];
	struct frcnn_error err;
	const struct frcnn_record *record;
	int rc;

	if (!folder)
		cr_skip_test("FRCNN_DATA is not set");
	for (size_t i = 0; i < FRCNN_COUNT(truths) + FRCNN_COUNT(results); i++) {
		bool truth = i < FRCNN_COUNT(truths);
		const struct counts *want = truth ? &truths[i] : &results[i - FRCNN_COUNT(truths)];
		struct notes notes = {0};
		struct frcnn_notices notices = {take_note, &notes};
		snprintf(path, sizeof(path), "%s/%s", folder, want->path);
		if (truth) {
			struct frcnn_ground_truth t;
			struct frcnn_join *join;
			size_t crowds = 0, image;
			double area = 0;
			cr_assert_eq(frcnn_ground_truth_read(path, false, &notices, &t, &err), 0, "%s", err.message);
			cr_expect_eq(t.nimages, want->images);
			cr_expect_eq(t.nannotations, want->boxes);
			cr_expect_eq(t.ncategories, want->categories);
			cr_expect_eq(t.first[t.nimages], t.nannotations);
			for (size_t k = 0; k < t.nannotations; k++) {
				crowds += t.crowds[k];
				area += t.areas[k];
			}
			cr_expect_eq(crowds, want->crowds);
			cr_expect_eq(area, want->area, "%s: %.17g", path, area);
			cr_assert_eq(frcnn_join_new(&t, &join, &err), 0);
			for (size_t k = 0; k < t.nimages; k++) {
				cr_expect_eq(frcnn_join_find(join, t.file_names[k], true, t.image_ids[k], &image, &err),
					     1);
				cr_expect_eq(image, k);
			}
			frcnn_join_free(join);
			frcnn_ground_truth_free(&t);
		}
		FILE *stream = fopen(path, "rb");
		cr_assert(stream);
		struct frcnn_records *records;
		size_t images = 0, boxes = 0;
		cr_assert_eq(frcnn_records_open_stream(stream, path, &notices, &records, &err), 0);
		while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
			cr_assert_eq(rc, 1, "%s", err.message);
			images++;
			boxes += record->ndetections;
		}
		cr_expect_eq(frcnn_records_form(records), truth ? FRCNN_FORM_COCO_DATASET : FRCNN_FORM_COCO_ARRAY);
		cr_expect_eq(images, want->images);
		cr_expect_eq(boxes, want->boxes);
		frcnn_records_close(records);
		fclose(stream);
		cr_expect_str_eq(text_of(&notes.errors), "");
		free_notes(&notes);
	}
}
