/* The filter: memory refused anywhere, files of thresholds, classes, and the two ways of reading COCO results. */
#include "filter/filter.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>

static int collect(void *context, const char *text, size_t size, struct frcnn_error *err)
{
	(void)err;
	frcnn_buffer_add(context, text, size);
	return 0;
}

static struct frcnn_filter_options plain_options(enum frcnn_nms_method method)
{
	struct frcnn_filter_options options = {.score = NAN, .min_size = NAN};
	frcnn_nms_options_init(&options.nms);
	options.nms.method = method;
	return options;
}

static int run(const struct frcnn_filter_options *options, const char *const *texts, size_t count,
	       struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_filter_input inputs[4];
	struct frcnn_filter *filter = NULL;
	for (size_t i = 0; i < count; i++)
		inputs[i] = (struct frcnn_filter_input){"input", texts[i], strlen(texts[i])};
	int rc = frcnn_filter_new(options, count, NULL, NULL, &filter, err);
	if (rc == 0)
		rc = frcnn_filter_load(filter, inputs, err);
	if (rc == 0)
		rc = frcnn_filter_write(filter, collect, out, err);
	frcnn_filter_free(filter);
	return rc;
}

static const char *const lines =
    "{\"file_name\":\"x/a\",\"image_id\":1,\"width\":9,\"height\":9,\"detections\":[{\"bbox\":[0,0,5,5],\"score\":0.5,"
    "\"category_id\":1,\"category\":\"c\"},{\"bbox\":[0,0,5,4],\"score\":0.4,\"category_id\":2}]}\n"
    "{\"file_name\":\"b\",\"detections\":[]}\n";
static const char *const other =
    "{\"file_name\":\"a\",\"detections\":[{\"bbox\":[0,1,5,5],\"score\":0.75,\"category\":\"c\"}]}\n";
static const char *const array = "[{\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,5,5],\"score\":0.5,\"k\":\"v\"},"
				 "{\"image_id\":1,\"category_id\":1,\"bbox\":[0,0,5,4],\"score\":0.4}]";

Test(filter, every_refused_allocation_is_an_error)
{
	static const enum frcnn_nms_method methods[] = {FRCNN_NMS_HARD, FRCNN_NMS_SOFT_LINEAR, FRCNN_NMS_MATRIX,
							FRCNN_NMS_VOTE, FRCNN_NMS_WBF};
	for (size_t m = 0; m < FRCNN_COUNT(methods); m++) {
		for (int kind = 0; kind < 3; kind++) {
			struct frcnn_filter_options options = plain_options(methods[m]);
			const char *texts[3] = {kind == 1 ? array : lines, kind == 1 ? lines : other, array};
			bool refused = true;
			for (size_t nth = 0; refused; nth++) {
				struct frcnn_buffer out = {0};
				struct frcnn_error err = {0};
				refuse_allocation(nth, nth % 2);
				int rc = run(&options, texts, kind == 2 ? 1 : 3, &out, &err);
				refused = refuse_end();
				cr_assert(refused || rc == 0, "%s", err.message);
				/* the collector's own buffer may be what was refused */
				cr_assert(!refused || rc < 0 || out.failed, "allocation %zu: no error", nth);
				cr_assert_lt(nth, 2000);
				frcnn_buffer_free(&out);
			}
		}
	}
}

Test(filter, both_ways_of_reading_agree)
{
	struct frcnn_buffer one = {0}, two = {0}, a = {0}, b = {0};
	struct frcnn_error err;
	uint32_t state = 1;

	/* numbers that float32 rounds in every way; images out of order */
	frcnn_buffer_putc(&one, '[');
	for (int i = 0; i < 400; i++) {
		double v[5];
		for (int k = 0; k < 5; k++) {
			state = state * 1664525 + 1013904223;
			v[k] = (double)(state >> 8) / (k == 4 ? 16777216.0 : 65536.0) + 1e-3;
		}
		frcnn_buffer_printf(
		    &one, "%s{\"image_id\":%d,\"category_id\":%d,\"bbox\":[%.*g,%.17g, %.9g,%.5g],\"score\":%.*g}",
		    i ? ",\n " : "", (int)(state >> 16) % 7, (int)(state >> 12) % 3, 3 + i % 15, v[0], v[1], v[2], v[3],
		    3 + i % 15, v[4]);
	}
	/* a double that lies between two floats, and was rounded to there */
	frcnn_buffer_puts(&one,
			  ",{\"image_id\":3,\"category_id\":9,\"bbox\":[16777217.0000000001,1,2,3],\"score\":0.5}]");
	frcnn_buffer_puts(&two, "[{\"\\u006bey\":1,");
	frcnn_buffer_puts(&two, one.data + 2);
	struct frcnn_filter_options options = plain_options(FRCNN_NMS_VOTE);
	options.nms.iou = 0.2;
	options.convert = true;
	options.format = FRCNN_FORMAT_CSV;
	const char *first = one.data, *second = two.data;
	cr_assert_eq(run(&options, &first, 1, &a, &err), 0);
	cr_assert_eq(run(&options, &second, 1, &b, &err), 0);
	cr_assert_eq(a.size, b.size);
	cr_assert_arr_eq(a.data, b.data, a.size);
	cr_assert_gt(a.size, 5000);
	frcnn_buffer_free(&one);
	frcnn_buffer_free(&two);
	frcnn_buffer_free(&a);
	frcnn_buffer_free(&b);
}

Test(filter, thresholds_from_text)
{
	struct frcnn_filter_thresholds t;
	struct frcnn_error err;
	const char *text = "\xEF\xBB\xBF# none\r\n\n bolt 0.25\r\n7\t.5\nlong  name \t1";
	cr_assert_eq(frcnn_filter_thresholds_parse(text, strlen(text), &t, &err), 0);
	cr_assert_eq(t.count, 3);
	cr_assert_str_eq(t.items[0].name, "bolt");
	cr_assert_eq(t.items[0].iou, 0.25);
	cr_assert_str_eq(t.items[1].name, "7");
	cr_assert_str_eq(t.items[2].name, "long  name");
	frcnn_filter_thresholds_free(&t);
	static const char *const bad[] = {"",        "# x\n",   "bolt\n",    "0.5\n", "a 0.5\na 0.5\n",
					  "a 1.5\n", "a nan\n", "\xff 0.5\n"};
	for (size_t i = 0; i < FRCNN_COUNT(bad); i++)
		cr_assert_eq(frcnn_filter_thresholds_parse(bad[i], strlen(bad[i]), &t, &err), FRCNN_EFORMAT, "%zu", i);
}

Test(filter, classes_by_name_then_id)
{
	struct frcnn_filter_labels l = {0};
	char name[16];
	cr_assert_eq(frcnn_filter_labels_find(&l, NULL, true, 5), 0);
	cr_assert_eq(frcnn_filter_labels_find(&l, "a", true, 5), 0); /* the id gets its name */
	cr_assert_eq(frcnn_filter_labels_find(&l, "a", false, 0), 0);
	cr_assert_eq(frcnn_filter_labels_find(&l, "a", true, 6), 0); /* names go before ids */
	cr_assert_eq(frcnn_filter_labels_find(&l, "b", true, 5), 1);
	cr_assert_eq(frcnn_filter_labels_find(&l, NULL, true, 5), 0);
	cr_assert_eq(frcnn_filter_labels_find(&l, "c", false, 0), 2);
	cr_assert_eq(frcnn_filter_labels_find(&l, "c", true, 8), 2);
	cr_assert_eq(frcnn_filter_labels_find(&l, NULL, true, 8), 2);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		cr_assert_eq(frcnn_filter_labels_find(&l, name, false, 0), 3 + (size_t)i);
	}
	cr_assert_eq(frcnn_filter_labels_find(&l, "n77", false, 0), 80);
	frcnn_filter_labels_free(&l);
}
