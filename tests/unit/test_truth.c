/* Ground truth in folders: VOC and YOLO files, each rule of theirs, and how the forms are told apart. */
#include "image/image.h"
#include "record/record.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>
#include <sys/stat.h>
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

/* A folder of the test's own; all tests run in it, so that messages name short paths. */
static char folder[64];

static void enter(void)
{
	snprintf(folder, sizeof(folder), "/tmp/frcnn-truth.XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

static void leave(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(system(command), 0);
}

static void put(const char *path, const char *text)
{
	struct frcnn_error err;
	cr_assert_eq(frcnn_make_parents(path, &err), 0, "%s", err.message);
	FILE *file = fopen(path, "wb");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
	cr_assert_eq(fclose(file), 0);
}

/* A gray PNG of that size. */
static void put_image(const char *path, int width, int height)
{
	struct frcnn_image image = {0};
	struct frcnn_buffer bytes = {0};
	struct frcnn_error err;
	cr_assert_eq(frcnn_make_parents(path, &err), 0);
	cr_assert_eq(frcnn_image_new(width, height, &image, &err), 0);
	cr_assert_eq(frcnn_png_encode(&image, NULL, &bytes, &err), 0);
	FILE *file = fopen(path, "wb");
	cr_assert_not_null(file);
	cr_assert_eq(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
	cr_assert_eq(fclose(file), 0);
	frcnn_buffer_free(&bytes);
	frcnn_image_free(&image);
}

static struct frcnn_ground_truth_options options(const struct frcnn_labels *labels, const char *root)
{
	return (struct frcnn_ground_truth_options){
	    .labels = labels, .image_root = root, .image_size = frcnn_image_size};
}

/* The ground truth as text: categories, then images with their objects, then errors and warnings. */
static void dump(const char *path, const struct frcnn_ground_truth_options *o, struct frcnn_buffer *out)
{
	struct notes notes = {0};
	struct frcnn_notices notices = {take_note, &notes};
	struct frcnn_ground_truth t;
	struct frcnn_error err;

	if (frcnn_ground_truth_open(path, o, &notices, &t, &err) < 0) {
		frcnn_buffer_printf(out, "! %s\n", err.message);
	} else {
		for (size_t i = 0; i < t.ncategories; i++) {
			frcnn_buffer_printf(out, "%s%lld=%s", i ? " " : "", (long long)t.category_ids[i],
					    t.category_names[i]);
			cr_assert_str_eq(frcnn_ground_truth_category(&t, t.category_ids[i]), t.category_names[i]);
		}
		frcnn_buffer_putc(out, '\n');
		for (size_t i = 0; i < t.nimages; i++) {
			frcnn_buffer_printf(out, "%lld %s %s %dx%d", (long long)t.image_ids[i], t.stems[i],
					    t.file_names[i], t.widths[i], t.heights[i]);
			for (size_t k = t.first[i]; k < t.first[i + 1]; k++) {
				size_t a = t.by_image[k];
				const double *b = t.bboxes + 4 * a;
				cr_assert_eq(t.annotation_images[a], i);
				cr_assert_eq(t.areas[a], b[2] * b[3]);
				frcnn_buffer_printf(out, " (%lld c%lld %.10g %.10g %.10g %.10g%s)",
						    (long long)t.annotation_ids[a],
						    (long long)t.annotation_categories[a], b[0], b[1], b[2], b[3],
						    t.crowds[a] == 2 ? " difficult" : "");
				cr_assert(t.crowds[a] == 0 || t.crowds[a] == 2);
			}
			frcnn_buffer_putc(out, '\n');
		}
		frcnn_buffer_puts(out, text_of(&notes.errors));
		size_t lines = 0;
		for (const char *at = text_of(&notes.errors); *at; at++)
			lines += *at == '\n';
		cr_assert_eq(lines, t.errors);
	}
	frcnn_buffer_puts(out, text_of(&notes.warnings));
	frcnn_ground_truth_free(&t);
	free_notes(&notes);
}

static void expect(const char *path, const struct frcnn_ground_truth_options *o, const char *expected)
{
	struct frcnn_buffer out = {0};
	dump(path, o, &out);
	cr_assert_str_eq(text_of(&out), expected);
	frcnn_buffer_free(&out);
}

#define BOX(a, b, c, d) "<bndbox><xmin>" #a "</xmin><ymin>" #b "</ymin><xmax>" #c "</xmax><ymax>" #d "</ymax></bndbox>"
#define SIZE            "<size><width>100</width><height>80</height><depth>3</depth></size>"

/* ---- VOC files ---- */

/* One file's objects, then its errors or why it was refused. */
static void expect_voc(const char *text, const char *expected)
{
	struct notes notes = {0};
	struct frcnn_notices notices = {take_note, &notes};
	struct frcnn_buffer out = {0};
	struct frcnn_voc voc;
	struct frcnn_error err;
	int rc = frcnn_voc_parse(text, strlen(text), "f", &notices, &voc, &err);

	if (rc < 0) {
		frcnn_buffer_printf(&out, "! %s\n", err.message);
	} else {
		frcnn_buffer_printf(&out, "%s %dx%d\n", voc.file_name ? voc.file_name : "-", voc.width, voc.height);
		for (size_t i = 0; i < voc.count; i++) {
			const struct frcnn_voc_object *o = &voc.objects[i];
			frcnn_buffer_printf(&out, "%zu %s %.10g %.10g %.10g %.10g%s\n", o->line, o->name, o->bbox[0],
					    o->bbox[1], o->bbox[2], o->bbox[3], o->difficult ? " difficult" : "");
		}
	}
	frcnn_buffer_puts(&out, text_of(&notes.errors));
	cr_assert_str_eq(text_of(&out), expected);
	cr_assert_eq(rc < 0 ? 0 : voc.errors > 0, notes.errors.size > 0);
	frcnn_voc_free(&voc);
	frcnn_buffer_free(&out);
	free_notes(&notes);
}

Test(voc, a_whole_file)
{
	expect_voc("<?xml version='1.0'?>\n<annotation>\n <folder>VOC2007</folder><filename> 000005.jpg </filename>\n"
		   " <source><annotation>PASCAL</annotation></source><owner><name>someone</name></owner>\n" SIZE
		   "<segmented>0</segmented>\n<object><name> chair\n</name><pose>Rear</pose><truncated>0</truncated>"
		   "<difficult>0</difficult>" BOX(48, 24, 59, 67) "</object>\n<object>" BOX(
		       1, 1, 1,
		       1) "<difficult>1</difficult><name>caf\xC3\xA9 &amp; bar &#x21;</name></object>\n</annotation>\n",
		   "000005.jpg 100x80\n6 chair 47 23 12 44\n8 caf\xC3\xA9 & bar ! 0 0 1 1 difficult\n");
}

Test(voc, parts_do_not_count)
{
	const char *part = "<part><name>head</name>" BOX(5, 5, 9, 9) "<difficult>1</difficult></part>";
	struct frcnn_buffer text = {0};
	frcnn_buffer_printf(&text, "<annotation><object>%s<name>person</name>%s%s</object></annotation>", part,
			    BOX(10, 20, 30, 40), part);
	expect_voc(text.data, "- 0x0\n1 person 9 19 21 21\n");
	frcnn_buffer_clear(&text);
	frcnn_buffer_printf(&text, "<annotation><object><name>person</name>%s</object></annotation>", part);
	expect_voc(text.data, "- 0x0\nf:1: object 1 (\"person\"): no bndbox\n");
	frcnn_buffer_clear(&text);
	frcnn_buffer_printf(&text, "<annotation><object>%s%s</object></annotation>", part, BOX(1, 2, 3, 4));
	expect_voc(text.data, "- 0x0\nf:1: object 1: no name\n");
	frcnn_buffer_free(&text);
}

Test(voc, fractions_stay)
{
	expect_voc(
	    "<annotation><object><name>a</name>" BOX(45.70000076293945, 0.5, 60.25, 1e1) "</object></annotation>",
	    "- 0x0\n1 a 44.70000076 -0.5 15.54999924 10.5\n");
	struct frcnn_voc voc;
	const char *text =
	    "<annotation><object><name>a</name>" BOX(45.70000076293945, 1, 60.25, 1) "</object></annotation>";
	cr_assert_eq(frcnn_voc_parse(text, strlen(text), "f", NULL, &voc, NULL), 0);
	cr_assert_eq(voc.objects[0].bbox[0], 45.70000076293945 - 1);
	cr_assert_eq(voc.objects[0].bbox[2], 60.25 - 45.70000076293945 + 1);
	frcnn_voc_free(&voc);
}

Test(voc, one_wrong_object_leaves_the_others)
{
	expect_voc(
	    "<annotation>\n<object><name>a</name>" BOX(20, 1, 10, 5) "</object>\n<object><name>b</name>" BOX(1, 9, 5, 3) "</object>\n<object><name> </name>" BOX(
		1, 1, 5,
		5) "</object>\n<object><name>c</name>" BOX(1, x, 5,
							   5) "</object>\n<object><name>d</name><bndbox><xmin>1</"
							      "xmin><ymin>1</ymin><xmax>4</xmax></bndbox></object>\n"
							      "<object><name>e</name><difficult>yes</difficult>" BOX(
								  1, 1, 5,
								  5) "</object>\n"
								     "<object><name>f</name><name>g</name>" BOX(
									 1, 1, 5,
									 5) "</object>\n"
									    "<object><name>h</name>" BOX(1, 1, 5, 5) BOX(
										1, 1, 5,
										5) "</object>\n"
										   "<object><name>i</name>" BOX(nan, 1, 5, 5) "</object>\n<object><name>j</name>" BOX(
										       1, 1, 1e999,
										       5) "</object>\n<object><name>k</"
											  "name>" BOX(
											      1, 1, 1e200,
											      1e200) "</"
												     "object>"
												     "\n<"
												     "object><"
												     "name>l</"
												     "name"
												     ">" BOX(
													 1, 1, ,
													 5) "</"
													    "object>\n<"
													    "object><"
													    "name>fine<"
													    "/name"
													    ">" BOX(
														1, 1, 5,
														5) "</"
														   "obj"
														   "ect"
														   ">\n"
														   "</"
														   "ann"
														   "ota"
														   "tio"
														   "n>",
	    "- 0x0\n14 fine 0 0 5 5\n"
	    "f:2: object 1 (\"a\"): xmax 10 is left of xmin 20\n"
	    "f:3: object 2 (\"b\"): ymax 3 is above ymin 9\n"
	    "f:4: object 3: no name\n"
	    "f:5: object 4 (\"c\"): ymin is \"x\", not a number\n"
	    "f:6: object 5 (\"d\"): no ymax\n"
	    "f:7: object 6 (\"e\"): difficult is \"yes\", not 0 or 1\n"
	    "f:8: object 7 (\"f\"): name is there twice\n"
	    "f:9: object 8 (\"h\"): bndbox is there twice\n"
	    "f:10: object 9 (\"i\"): xmin is \"nan\", not a number\n"
	    "f:11: object 10 (\"j\"): xmax is \"1e999\", beyond all numbers\n"
	    "f:12: object 11 (\"k\"): the box is beyond all images\n"
	    "f:13: object 12 (\"l\"): xmax is \"\", not a number\n");
	expect_voc("<annotation><size><width>-1</width><height>1.0</height></size></annotation>",
		   "- 0x1\nf:1: width is \"-1\", not a number of pixels\n");
}

Test(voc, refused)
{
	expect_voc("", "! f:1: column 1: not well-formed XML: no element found\n");
	expect_voc("<annotation><object></annotation>", "! f:1: column 23: not well-formed XML: mismatched tag\n");
	expect_voc("<annotation>\n", "! f:2: column 1: not well-formed XML: no element found\n");
	expect_voc("<svg><object/></svg>", "! f:1: no VOC annotation: the root element is <svg>\n");
	expect_voc("<!DOCTYPE a [\n<!ENTITY b 'c'>]>\n<annotation><filename>&b;</filename></annotation>",
		   "! f:2: declares the entity \"b\": entities are not expanded\n");
	expect_voc(
	    "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><annotation><filename>&b;</filename></annotation>",
	    "! f:1: declares the entity \"b\": entities are not expanded\n");
	expect_voc("<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://example.org/x'> %p;]><annotation/>",
		   "! f:1: declares the entity \"p\": entities are not expanded\n");
	expect_voc("<annotation><filename>&nbsp;</filename></annotation>",
		   "! f:1: column 23: not well-formed XML: undefined entity\n");
	expect_voc("<!DOCTYPE annotation SYSTEM 'voc.dtd'><annotation><filename>&x;</filename></annotation>",
		   "! f:1: uses the entity \"x\", which is not in the file\n");
	expect_voc("<!DOCTYPE annotation SYSTEM 'voc.dtd'><annotation/>", "- 0x0\n");
}

Test(voc, bounded)
{
	struct frcnn_buffer text = {0};
	frcnn_buffer_puts(&text, "<annotation>");
	for (int i = 1; i < FRCNN_VOC_MAX_DEPTH; i++)
		frcnn_buffer_puts(&text, "<a>");
	size_t fits = text.size;
	frcnn_buffer_puts(&text, "<a>");
	expect_voc(text.data, "! f:1: elements are nested deeper than 64\n");
	text.size = fits;
	text.data[fits] = '\0';
	for (int i = 1; i < FRCNN_VOC_MAX_DEPTH; i++)
		frcnn_buffer_puts(&text, "</a>");
	frcnn_buffer_puts(&text, "</annotation>");
	expect_voc(text.data, "- 0x0\n");

	frcnn_buffer_clear(&text);
	frcnn_buffer_puts(&text, "<annotation><filename>");
	for (int i = 0; i < 5000; i++)
		frcnn_buffer_putc(&text, 'x');
	frcnn_buffer_puts(&text, "</filename></annotation>");
	expect_voc(text.data, "! f:1: filename is longer than 4096 bytes\n");
	frcnn_buffer_free(&text);

	struct frcnn_voc voc;
	struct frcnn_error err;
	cr_assert_eq(frcnn_voc_parse("", FRCNN_TRUTH_MAX_FILE + 1, "f", NULL, &voc, &err), FRCNN_ELIMIT);
}

Test(voc, other_encodings)
{
	const char latin[] = "<?xml version='1.0' encoding='ISO-8859-1'?><annotation><object><name>caf\xE9</name>" BOX(
	    1, 1, 5, 5) "</object></annotation>";
	expect_voc(latin, "- 0x0\n1 caf\xC3\xA9 0 0 5 5\n");
	expect_voc("<annotation><object><name>caf\xE9</name></object></annotation>",
		   "! f:1: column 30: not well-formed XML: not well-formed (invalid token)\n");
}

Test(voc, refused_memory)
{
	const char *text = "<annotation><filename>a.jpg</filename>" SIZE "<object><name>a</name>" BOX(
	    1, 2, 3, 4) "</object><object><name>b</name>" BOX(1, 2, 3, 4) "</object></annotation>";
	bool refused = true;
	size_t n = 0;
	for (; refused; n++) {
		struct frcnn_voc voc;
		struct frcnn_error err;
		refuse_allocation(n, true);
		int rc = frcnn_voc_parse(text, strlen(text), "f", NULL, &voc, &err);
		refused = refuse_end();
		cr_assert_eq(rc, refused ? FRCNN_ENOMEM : 0);
		frcnn_voc_free(&voc);
	}
	cr_assert_gt(n, 10);
}

/* ---- VOC folders ---- */

Test(voc_folder, images_classes_and_ids, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	put("voc/b.xml",
	    "<annotation><filename>b.jpg</filename>" SIZE "<object><name>dog</name>" BOX(
		1, 1, 10,
		10) "</object><object><name>Zebra</name><difficult>1</difficult>" BOX(2, 2, 5,
										      5) "</object></annotation>");
	put("voc/a.xml", "<annotation><filename>other.png</filename>" SIZE
			 "<object><name>cat</name>" BOX(0, 1, 3, 3) "</object></annotation>");
	put("voc/c.xml", "<annotation/>");
	put("voc/.hidden.xml", "not read");
	put("voc/notes.md", "not read");
	put("voc/below/d.xml", "not read");
	expect("voc", &o,
	       "1=Zebra 2=cat 3=dog\n1 a a 100x80 (1 c2 -1 0 4 3)\n2 b b.jpg 100x80 (2 c3 0 0 10 10) (3 c1 1 1 4 4 "
	       "difficult)\n3 c c 0x0\n"
	       "voc: files whose <filename> is another image's: 1, the first is \"voc/a.xml\"; the file's own name "
	       "counts\n"
	       "voc: boxes with a corner below 1: 1, the first in \"voc/a.xml\"; VOC counts pixels from 1\n");

	char *names[] = {"dog", "cat"};
	struct frcnn_labels labels = {names, 2};
	o.labels = &labels;
	expect("voc/", &o,
	       "1=dog 2=cat\n1 a a 100x80 (1 c2 -1 0 4 3)\n2 b b.jpg 100x80 (2 c1 0 0 10 10)\n3 c c 0x0\n"
	       "voc/b.xml:1: \"Zebra\" is none of the labels\n"
	       "voc/: files whose <filename> is another image's: 1, the first is \"voc/a.xml\"; the file's own name "
	       "counts\n"
	       "voc/: boxes with a corner below 1: 1, the first in \"voc/a.xml\"; VOC counts pixels from 1\n");
	o.images_only = true;
	expect("voc", &o,
	       "1=dog 2=cat\n1 a a 100x80\n2 b b.jpg 100x80\n3 c c 0x0\n"
	       "voc: files whose <filename> is another image's: 1, the first is \"voc/a.xml\"; the file's own name "
	       "counts\n");
}

Test(voc_folder, digits_are_ids, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	put("v/000012.xml", "<annotation><filename>000012.jpg</filename></annotation>");
	put("v/7.xml", "<annotation/>");
	expect("v", &o, "\n12 000012 000012.jpg 0x0\n7 7 7 0x0\n");
	put("v/007.xml", "<annotation/>"); /* the same number: then none is an id */
	expect("v", &o, "\n1 000012 000012.jpg 0x0\n2 007 007 0x0\n3 7 7 0x0\n");
}

Test(voc_folder, a_bad_file_leaves_the_others, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	put("v/a.xml", "<annotation>");
	put("v/b.xml", "<annotation/>");
	expect("v", &o, "\n1 b b 0x0\nv/a.xml:1: column 13: not well-formed XML: no element found\n");
	put("v/b.xml", "");
	struct frcnn_buffer out = {0};
	dump("v", &o, &out);
	cr_assert(strncmp(out.data, "! v: none of the 2 files could be read\n", 39) == 0, "%s", out.data);
	frcnn_buffer_free(&out);
}

Test(voc_folder, joins_by_stem, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	struct frcnn_ground_truth t;
	struct frcnn_join *join;
	struct frcnn_error err;
	size_t image;
	put("v/a.b.xml", "<annotation><filename>elsewhere.jpg</filename></annotation>");
	put("v/x.xml", "<annotation><filename>x.jpg</filename></annotation>");
	cr_assert_eq(frcnn_ground_truth_open("v", &o, NULL, &t, &err), 0);
	cr_assert(t.own_ids && t.form == FRCNN_TRUTH_VOC);
	cr_assert_eq(frcnn_join_new(&t, &join, &err), 0);
	cr_assert(frcnn_join_find(join, "photos/a.b.jpeg", false, 0, &image, &err) == 1 && image == 0);
	cr_assert(frcnn_join_find(join, "a.b", false, 0, &image, &err) == 1 && image == 0);
	cr_assert(frcnn_join_find(join, "x.png", true, 99, &image, &err) == 1 && image == 1, "ids are ours alone");
	cr_assert_eq(frcnn_join_find(join, "elsewhere.jpg", false, 0, &image, &err), 0);
	cr_assert_eq(frcnn_join_find(join, "a.jpg", false, 0, &image, &err), 0);
	cr_assert_eq(frcnn_join_find(join, NULL, true, 1, &image, &err), 0, "no record can mean an id of ours");
	frcnn_join_free(join);
	frcnn_ground_truth_free(&t);

	put("w/0012.xml", "<annotation/>");
	put("w/13.xml", "<annotation/>");
	cr_assert_eq(frcnn_ground_truth_open("w", &o, NULL, &t, &err), 0);
	cr_assert(!t.own_ids);
	cr_assert_eq(frcnn_join_new(&t, &join, &err), 0);
	cr_assert(frcnn_join_find(join, NULL, true, 12, &image, &err) == 1 && image == 0);
	cr_assert(frcnn_join_find(join, "d/0012.jpg", true, 12, &image, &err) == 1 && image == 0);
	cr_assert_eq(frcnn_join_find(join, "d/0012.jpg", true, 13, &image, &err), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "file name \"d/0012.jpg\" is image 12 of the ground truth, but image_id is 13");
	frcnn_join_free(join);
	frcnn_ground_truth_free(&t);
}

/* ---- YOLO files ---- */

static void expect_yolo(const char *text, const char *expected)
{
	struct notes notes = {0};
	struct frcnn_notices notices = {take_note, &notes};
	struct frcnn_buffer out = {0};
	struct frcnn_yolo yolo;
	struct frcnn_error err;

	cr_assert_eq(frcnn_yolo_parse(text, strlen(text), "f", 3, &notices, &yolo, &err), 0);
	for (size_t i = 0; i < yolo.count; i++) {
		const struct frcnn_yolo_object *o = &yolo.objects[i];
		frcnn_buffer_printf(&out, "%zu: %zu %.10g %.10g %.10g %.10g\n", o->line, o->class, o->box[0], o->box[1],
				    o->box[2], o->box[3]);
	}
	cr_assert_eq(yolo.errors > 0, notes.errors.size > 0);
	frcnn_buffer_puts(&out, text_of(&notes.errors));
	cr_assert_str_eq(text_of(&out), expected);
	frcnn_yolo_free(&yolo);
	frcnn_buffer_free(&out);
	free_notes(&notes);
}

Test(yolo, lines)
{
	expect_yolo("", "");
	expect_yolo(" \t\r\n\n\v\f\n", "");
	expect_yolo("\xEF\xBB\xBF"
		    "0 0.5 .25 1 0\r\n\n\t2.0\t1e-1  1\v0.125\f0.5  ",
		    "1: 0 0.5 0.25 1 0\n3: 2 0.1 1 0.125 0.5\n");
}

Test(yolo, wrong_lines_are_named_and_the_rest_goes_through)
{
	expect_yolo(
	    "0 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5 0.9\n3 0.5 0.5 0.5 0.5\n-1 0.5 0.5 0.5 0.5\n1.5 0.5 0.5 0.5 0.5\n"
	    "1 0.5 0.5 0.5 0.5\n"
	    "cat 0.5 0.5 0.5 0.5\n0 0,5 0.5 0.5 0.5\n0 0.5 1.01 0.5 0.5\n0 0.5 0.5 -0.1 0.5\n0 0.5 0.5 0.5 nan\n"
	    "0,0.5,0.5,0.5,0.5\n99999999999999999999 0.5 0.5 0.5 0.5\n0 0.5 0.5 0x1 0.5\n0 0.5 0.5 1e999 0.5\n",
	    "6: 1 0.5 0.5 0.5 0.5\n"
	    "f:1: 4 columns, not 5\n"
	    "f:2: 6 columns, not 5\n"
	    "f:3: class 3 is out of range: there are 3 names\n"
	    "f:4: class -1 is out of range: there are 3 names\n"
	    "f:5: class is \"1.5\", not an integer\n"
	    "f:7: class is \"cat\", not an integer\n"
	    "f:8: x centre is \"0,5\", not a number (a comma in it)\n"
	    "f:9: y centre is 1.01, not within 0 .. 1\n"
	    "f:10: width is -0.1, not within 0 .. 1\n"
	    "f:11: height is \"nan\", not a number\n"
	    "f:12: 1 column, not 5 (a comma in it)\n"
	    "f:13: class is \"99999999999999999999\", not an integer\n"
	    "f:14: width is \"0x1\", not a number\n"
	    "f:15: width is \"1e999\", not a number\n");
}

/* ---- YOLO folders ---- */

Test(yolo_folder, images_make_the_list, .init = enter, .fini = leave)
{
	char *names[] = {"cat", "dog"};
	struct frcnn_labels labels = {names, 2};
	struct frcnn_ground_truth_options o = options(&labels, "images");
	put_image("images/a.png", 200, 100);
	put_image("images/b.png", 10, 20);
	put_image("images/c.png", 30, 30);
	put("images/readme", "x");
	put("labels/a.txt", "1 0.5 0.5 0.1 0.2\n0 0.05 0.1 0.1 0.2\n");
	put("labels/b.txt", "\n");
	put("labels/names.txt", "cat\ndog\n");
	expect("labels", &o,
	       "1=cat 2=dog\n1 a a.png 200x100 (1 c2 90 40 20 20) (2 c1 0 0 20 20)\n2 b b.png 10x20\n3 c c.png 30x30\n"
	       "labels: files that hold no annotations, passed over: 1, the first is \"names.txt\"\n");
	put("labels/b.txt", "0 0.5 0.5 0 0.5\n0 0.5 2 0.5 0.5\n");
	put("labels/d.txt", "0 0.5 0.5 0.5 0.5\n");
	put("images/e.gif", "GIF89a...");
	put_image("images/c.jpg", 3, 3);
	remove("labels/names.txt");
	expect("labels", &o,
	       "1=cat 2=dog\n1 a a.png 200x100 (1 c2 90 40 20 20) (2 c1 0 0 20 20)\n2 b b.png 10x20 (3 c1 5 5 0 10)\n"
	       "3 c c.jpg 3x3\n"
	       "labels/b.txt:2: y centre is 2, not within 0 .. 1\n"
	       "images: \"c.jpg\" and \"c.png\" have one stem\n"
	       "images/e.gif: GIF file: only JPEG and PNG are read\n"
	       "labels/d.txt: no image of that stem in images\n"
	       "labels: boxes of zero size: 1, the first in \"labels/b.txt\"\n");
}

Test(yolo_folder, one_folder_with_its_names, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	put_image("y/12.png", 8, 4);
	put("y/12.txt", "0 0.5 0.5 1 1");
	expect("y", &o, "! y: YOLO files hold class numbers: the file of their names is needed (--labels FILE)\n");
	put("y/classes.txt", "thing\n");
	expect("y", &o, "1=thing\n12 12 12.png 8x4 (1 c1 0 0 8 4)\n");
	put("z/classes.txt", "thing\n");
	put("z/12.txt", "0 0.5 0.5 1 1");
	expect("z", &o, "! z: no images in it, whose sizes YOLO files need (--image-root DIR)\n");
	o.image_root = "nowhere";
	expect("z", &o, "! nowhere: no such file or directory\n");
	o.image_size = NULL;
	expect("z", &o, "! z: YOLO files need the sizes of the images\n");
}

/* ---- the forms told apart ---- */

Test(truth, forms, .init = enter, .fini = leave)
{
	struct frcnn_ground_truth_options o = options(NULL, NULL);
	struct frcnn_ground_truth t;
	struct frcnn_error err;
	mkdir("empty", 0777);
	expect("empty", &o, "! empty: no VOC .xml and no YOLO .txt files in the folder\n");
	expect("absent", &o, "! absent: no such file or directory\n");
	put("both/a.xml", "<annotation/>");
	put("both/b.txt", "0 0.5 0.5 0.5 0.5\n");
	expect("both", &o, "! both: VOC and YOLO files in one folder (\"a.xml\", \"b.txt\")\n");
	put("both/b.txt", "");
	expect("both", &o, "! both: VOC and YOLO files in one folder (\"a.xml\", \"b.txt\")\n");
	put("both/b.txt", "notes of mine\n");
	put("both/classes.txt", "a\n");
	expect("both", &o,
	       "\n1 a a 0x0\nboth: files that hold no annotations, passed over: 1, the first is \"b.txt\"\n");
	expect("both/a.xml", &o, "! both/a.xml: XML; ground truth in VOC files is given as their folder\n");
	put("coco.json", "{\"images\":[{\"id\":1}],\"annotations\":[],\"categories\":[]}");
	cr_assert_eq(frcnn_ground_truth_open("coco.json", NULL, NULL, &t, &err), 0);
	cr_assert(t.nimages == 1 && t.form == FRCNN_TRUTH_COCO && !t.stems && !t.own_ids);
	frcnn_ground_truth_free(&t);
}

/* Each allocation refused in turn: an error, and nothing lost (the sanitizers' word). */
Test(truth, refused_memory, .init = enter, .fini = leave)
{
	char *names[] = {"cat", "dog"};
	struct frcnn_labels labels = {names, 2};
	struct frcnn_ground_truth_options o = options(&labels, "images");
	put_image("images/a.png", 20, 10);
	put("labels/a.txt", "1 0.5 0.5 0.1 0\n");
	put("voc/a.xml",
	    "<annotation><filename>q.jpg</filename><object><name>x</name>" BOX(0, 1, 10, 10) "</object></annotation>");
	for (int voc = 0; voc < 3; voc++) {
		bool refused = true;
		o.labels = voc == 1 ? NULL : &labels;
		for (size_t n = 0; refused; n++) {
			struct frcnn_ground_truth t;
			struct frcnn_error err;
			refuse_allocation(n, true);
			int rc = frcnn_ground_truth_open(voc ? "voc" : "labels", &o, NULL, &t, &err);
			refused = refuse_end();
			cr_assert_eq(rc, refused ? FRCNN_ENOMEM : 0, "%d %zu: %d", voc, n, rc);
			frcnn_ground_truth_free(&t);
		}
	}
}
