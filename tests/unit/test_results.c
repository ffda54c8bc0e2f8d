/* The fast reader of COCO results against the records reader, on arrays cut into pieces of every size. */
#include "dataset_check.h"
#include "results_check.h"

#include <criterion/criterion.h>

static uint64_t state = 7;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void space(struct frcnn_buffer *out)
{
	static const char *const spaces[] = {"", "", "", " ", "\n", "\t ", "\r\n"};

	frcnn_buffer_puts(out, spaces[draw(7)]);
}

static void number(struct frcnn_buffer *out)
{
	char text[32];

	switch (draw(5)) {
	case 0:
		frcnn_buffer_printf(out, "%u", draw(1000));
		break;
	case 1:
		frcnn_buffer_printf(out, "%u.%02u", draw(640), draw(100));
		break;
	case 2:
		frcnn_buffer_add(out, text, frcnn_format_double((double)draw(1u << 31) / 3e7, text));
		break;
	case 3:
		frcnn_buffer_printf(out, "%u.%ue-%u", draw(10), draw(1u << 31), draw(30));
		break;
	default:
		frcnn_buffer_printf(out, "0.%u%u%u", draw(1u << 31), draw(1u << 31), draw(1u << 31));
	}
}

/* One element: keys in any order, blanks anywhere, keys without meaning that look like elements. */
static void element(struct frcnn_buffer *out)
{
	static const char *const noise[] = {"\"id\":7", "\"s\":\"},{\"", "\"a\":[{\"b\":1},{\"c\":[]},{}]",
					    "\"segmentation\":[[1,2,3]]", "\"iscrowd\":0"};
	uint32_t first = draw(4);

	frcnn_buffer_putc(out, '{');
	for (uint32_t i = 0; i < 4; i++) {
		space(out);
		if (draw(60) == 0)
			frcnn_buffer_printf(out, "%s,", noise[draw(5)]);
		switch ((first + i) % 4) {
		case 0:
			frcnn_buffer_printf(out, "\"image_id\":%u", draw(RESULTS_IDS));
			break;
		case 1:
			frcnn_buffer_printf(out, "\"category_id\": %u", draw(RESULTS_IDS));
			break;
		case 2:
			frcnn_buffer_puts(out, "\"bbox\":[");
			for (int k = 0; k < 4; k++) {
				number(out);
				space(out);
				frcnn_buffer_putc(out, k < 3 ? ',' : ']');
			}
			break;
		default:
			frcnn_buffer_puts(out, "\"score\" :");
			number(out);
		}
		space(out);
		frcnn_buffer_puts(out, i < 3 ? "," : "}");
	}
}

static void array(struct frcnn_buffer *out, uint32_t elements)
{
	frcnn_buffer_clear(out);
	space(out);
	frcnn_buffer_putc(out, '[');
	for (uint32_t i = 0; i < elements; i++) {
		space(out);
		element(out);
		space(out);
		frcnn_buffer_puts(out, i + 1 < elements ? "," : "]");
	}
	space(out);
}

Test(results, equal_the_records_reader_in_pieces_of_any_size)
{
	struct frcnn_buffer text = {0};
	struct frcnn_pool *pool = NULL;
	int taken = 0;

	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (int i = 0; i < 400; i++) {
		array(&text, 1 + draw(30));
		cr_assert_not(text.failed);
		taken += results_check(text.data, text.size, 1 + draw(600), i % 2 ? pool : NULL);
	}
	/* A piece that begins inside of what only looks like an element is refused, rightly; most texts are taken. */
	cr_assert_gt(taken, 200);
	frcnn_pool_free(pool);
	frcnn_buffer_free(&text);
}

Test(results, whole_texts_are_taken_in_one_piece)
{
	struct frcnn_buffer text = {0};

	for (int i = 0; i < 100; i++) {
		array(&text, 1 + draw(30));
		cr_assert(results_check(text.data, text.size, 0, NULL), "%s", text.data);
	}
	frcnn_buffer_free(&text);
}

/* Every byte of a good text changed or cut off: never taken when the records reader objects. */
Test(results, damage_is_left_to_the_records_reader)
{
	struct frcnn_buffer text = {0};

	array(&text, 4);
	for (size_t i = 0; i < text.size; i++) {
		char old = text.data[i];

		results_check(text.data, i, 64, NULL);
		text.data[i] = "x0,}]\"\\ "[draw(8)];
		results_check(text.data, text.size, 1 + draw(300), NULL);
		text.data[i] = old;
	}
	frcnn_buffer_free(&text);
}

static bool takes(const char *text)
{
	return results_check(text, strlen(text), 0, NULL);
}

Test(results, refuses_what_needs_a_message)
{
	cr_assert(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]"));
	cr_assert_not(takes("[{\"image_id\":64,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]"), "unknown image");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":64,\"bbox\":[1,2,3,4],\"score\":1}]"),
		      "unknown category");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,-3,4],\"score\":1}]"), "negative width");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3],\"score\":1}]"), "three numbers");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4]}]"), "no score");
	cr_assert_not(takes("[{\"image_id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]"),
		      "twice");
	cr_assert_not(takes("[{\"image_id\":\"1\",\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}]"), "text id");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":NaN}]"), "NaN");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}] x"), "bytes behind");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":01}]"), "leading zero");
	cr_assert_not(takes("[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1e999}]"), "too large");
	cr_assert_not(takes("{\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"score\":1}"), "no array");
	cr_assert_not(takes("[]"), "empty");
	cr_assert_not(takes(""), "nothing");
}

/* ---- datasets ------------------------------------------------------------------------------------ */

static void annotation(struct frcnn_buffer *out, uint32_t id)
{
	static const char *const noise[] = {"\"segmentation\":[[1,2.5,3,4],[5,6]]",
					    "\"segmentation\":{\"counts\":\"},{\"}",
					    "\"keypoints\":[{\"a\":1},{\"b\":2}]", "\"annotations\":[]"};

	frcnn_buffer_putc(out, '{');
	if (draw(4) == 0)
		frcnn_buffer_printf(out, "%s,", noise[draw(4)]);
	/* Ids that appear again, images and categories that are not there: rarely. */
	frcnn_buffer_printf(out, "\"id\":%u,", draw(30) ? id : draw(5));
	space(out);
	frcnn_buffer_printf(out, "\"image_id\":%u,\"category_id\": %u,", draw(200) ? draw(8) : 99,
			    draw(100) ? draw(3) : 7);
	if (draw(10))
		frcnn_buffer_printf(out, "\"iscrowd\":%u,", draw(10) == 0);
	if (draw(10))
		frcnn_buffer_printf(out, "\"area\":%u.%u,", draw(2000), draw(100));
	frcnn_buffer_printf(out, "\"bbox\":[%u,%u.5,%u,%s%u]}", draw(99), draw(99), draw(50), draw(300) ? "" : "-",
			    draw(50));
}

static void dataset(struct frcnn_buffer *out, uint32_t annotations)
{
	uint32_t order = draw(3);

	frcnn_buffer_clear(out);
	frcnn_buffer_puts(out, "{\"info\":{\"about\":\"nothing\"}");
	for (uint32_t i = 0; i < 3; i++) {
		frcnn_buffer_putc(out, ',');
		space(out);
		switch ((order + i) % 3) {
		case 0:
			frcnn_buffer_puts(out, "\"images\":[");
			for (uint32_t k = 0; k < 8; k++)
				frcnn_buffer_printf(out, "%s{\"id\":%u,\"file_name\":\"%u.jpg\"}", k ? "," : "", k, k);
			break;
		case 1:
			frcnn_buffer_puts(out, "\"categories\":[{\"id\":0,\"name\":\"a\"},{\"id\":1},{\"id\":2}");
			break;
		default:
			frcnn_buffer_puts(out, "\"annotations\" : [");
			for (uint32_t k = 0; k < annotations; k++) {
				frcnn_buffer_puts(out, k ? "," : "");
				space(out);
				annotation(out, k + 10);
			}
		}
		space(out);
		frcnn_buffer_putc(out, ']');
	}
	frcnn_buffer_puts(out, "}\n");
}

Test(results, datasets_in_pieces_are_what_they_are_whole)
{
	struct frcnn_buffer text = {0};
	struct frcnn_pool *pool = NULL;

	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (int i = 0; i < 600; i++) {
		dataset(&text, draw(40));
		cr_assert_not(text.failed);
		cr_assert_eq(dataset_check(text.data, text.size, i % 3 ? 1 + draw(700) : 0, i % 2 ? pool : NULL), 0,
			     "%s", text.data);
	}
	frcnn_pool_free(pool);
	frcnn_buffer_free(&text);
}

Test(results, damaged_datasets_say_the_same_in_pieces)
{
	struct frcnn_buffer text = {0};

	dataset(&text, 3);
	for (size_t i = 0; i < text.size; i++) {
		char old = text.data[i];

		dataset_check(text.data, i, 1 + draw(100), NULL);
		text.data[i] = "x0,}]\"\\ "[draw(8)];
		dataset_check(text.data, text.size, 1 + draw(300), NULL);
		text.data[i] = old;
	}
	frcnn_buffer_free(&text);
}
