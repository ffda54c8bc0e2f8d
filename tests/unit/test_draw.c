#include <criterion/criterion.h>

#include "draw/draw.h"
#include "image/image.h"

static const struct frcnn_colour red = {255, 0, 0};

static const uint8_t *pixel(const struct frcnn_image *image, int x, int y)
{
	return image->rgb + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

static bool is(const struct frcnn_image *image, int x, int y, struct frcnn_colour c)
{
	const uint8_t *p = pixel(image, x, y);

	return p[0] == c.r && p[1] == c.g && p[2] == c.b;
}

static struct frcnn_image canvas(int width, int height)
{
	struct frcnn_image image;

	cr_assert_eq(frcnn_image_new(width, height, &image, NULL), 0);
	return image;
}

Test(draw, every_glyph_is_there_and_its_own)
{
	for (uint32_t a = 0x21; a <= 0x7F; a++) {
		int set = 0;

		for (int i = 0; i < FRCNN_GLYPH_WIDTH * FRCNN_GLYPH_HEIGHT; i++)
			set += frcnn_glyph_pixel(a, i % FRCNN_GLYPH_WIDTH, i / FRCNN_GLYPH_WIDTH);
		cr_expect_gt(set, 1, "character 0x%x is empty", a);
		for (uint32_t b = 0x20; b < a; b++) {
			bool same = true;

			for (int i = 0; i < FRCNN_GLYPH_WIDTH * FRCNN_GLYPH_HEIGHT; i++) {
				int x = i % FRCNN_GLYPH_WIDTH, y = i / FRCNN_GLYPH_WIDTH;

				same = same && frcnn_glyph_pixel(a, x, y) == frcnn_glyph_pixel(b, x, y);
			}
			cr_expect(!same, "characters 0x%x and 0x%x look the same", b, a);
		}
	}
	cr_expect(!frcnn_glyph_pixel('A', -1, 0) && !frcnn_glyph_pixel('A', FRCNN_GLYPH_WIDTH, 0));
	cr_expect(!frcnn_glyph_pixel('A', 0, FRCNN_GLYPH_HEIGHT));
}

Test(draw, text_is_utf8)
{
	const char *text = "a\xC3\xA9\xE6\x97\xA5\xFFz";

	cr_expect_eq(frcnn_text_length(text), 5);
	cr_expect_eq(frcnn_text_next(&text), 'a');
	cr_expect_eq(frcnn_text_next(&text), 0xE9);
	cr_expect_eq(frcnn_text_next(&text), 0x65E5);
	frcnn_text_next(&text);
	cr_expect_eq(frcnn_text_next(&text), 'z');
	cr_expect_eq(*text, '\0');
	for (int i = 0; i < FRCNN_GLYPH_WIDTH * FRCNN_GLYPH_HEIGHT; i++) {
		int x = i % FRCNN_GLYPH_WIDTH, y = i / FRCNN_GLYPH_WIDTH;

		cr_expect_eq(frcnn_glyph_pixel(0xE9, x, y), frcnn_glyph_pixel('e', x, y));
	}
}

Test(draw, box_frames_its_pixels)
{
	struct frcnn_image image = canvas(100, 80);
	struct frcnn_draw_box box = {.x1 = 20, .y1 = 10, .x2 = 60, .y2 = 50, .colour = red};

	cr_assert_eq(frcnn_draw_boxes(&image, &box, 1, NULL), 0);
	cr_expect(is(&image, 20, 10, red) && is(&image, 59, 49, red) && is(&image, 59, 10, red) &&
		  is(&image, 20, 30, red));
	cr_expect(!is(&image, 19, 30, red) && !is(&image, 60, 30, red) && !is(&image, 40, 30, red));
	frcnn_image_free(&image);
}

Test(draw, first_box_lies_on_top)
{
	struct frcnn_image image = canvas(100, 80);
	struct frcnn_draw_box boxes[] = {{.x1 = 20, .y1 = 10, .x2 = 60, .y2 = 50, .colour = red},
					 {.x1 = 20, .y1 = 10, .x2 = 60, .y2 = 50, .colour = {0, 255, 0}}};

	cr_assert_eq(frcnn_draw_boxes(&image, boxes, 2, NULL), 0);
	cr_expect(is(&image, 20, 30, red));
	frcnn_image_free(&image);
}

Test(draw, truth_is_dashed)
{
	struct frcnn_image image = canvas(200, 200);
	struct frcnn_draw_box box = {.x1 = 20, .y1 = 20, .x2 = 180, .y2 = 180, .colour = red, .truth = true};
	int coloured = 0;

	cr_assert_eq(frcnn_draw_boxes(&image, &box, 1, NULL), 0);
	for (int x = 20; x < 180; x++)
		coloured += is(&image, x, 20, red);
	cr_expect(coloured > 40 && coloured < 140, "%d of 160 pixels", coloured);
	cr_expect(is(&image, 20, 20, red) && is(&image, 179, 20, red) && is(&image, 179, 179, red));
	frcnn_image_free(&image);
}

/* Labels have the box's colour behind them; the box below is wider than the picture, so that none of its sides but the
 * label shows that colour where we look. */
Test(draw, label_stays_inside)
{
	static const double corners[][4] = {
	    {-50, -50, 30, 30}, {180, 130, 260, 190}, {190, -9, 250, 9}, {0, 0, 200, 150}};

	for (size_t i = 0; i < FRCNN_COUNT(corners); i++) {
		struct frcnn_image image = canvas(200, 150), plain = canvas(200, 150);
		struct frcnn_draw_box box = {
		    .x1 = corners[i][0], .y1 = corners[i][1], .x2 = corners[i][2], .y2 = corners[i][3], .colour = red};
		int more = 0;

		cr_assert_eq(frcnn_draw_boxes(&plain, &box, 1, NULL), 0);
		box.label = "washer 0.98";
		cr_assert_eq(frcnn_draw_boxes(&image, &box, 1, NULL), 0);
		for (int p = 0; p < 200 * 150; p++)
			more += is(&image, p % 200, p / 200, red) && !is(&plain, p % 200, p / 200, red);
		/* 11 characters of 6 x 9 less the text's own pixels and the box's. */
		cr_expect_gt(more, 300, "case %zu: %d", i, more);
		frcnn_image_free(&image);
		frcnn_image_free(&plain);
	}
}

Test(draw, any_numbers)
{
	static const double values[] = {-1e300, -1e9, -1, 0, 0.4, 3, 7.5, 8, 1e9, 1e300};
	size_t n = FRCNN_COUNT(values);

	for (int size = 1; size <= 9; size += 4) {
		for (size_t k = 0; k < n * n * n * n; k++) {
			struct frcnn_image image = canvas(size, size);
			struct frcnn_draw_box box = {.x1 = values[k % n],
						     .y1 = values[k / n % n],
						     .x2 = values[k / n / n % n],
						     .y2 = values[k / n / n / n],
						     .colour = red,
						     .label = "x",
						     .truth = k % 2};

			cr_assert_eq(frcnn_draw_boxes(&image, &box, 1, NULL), 0);
			frcnn_image_free(&image);
		}
	}
}

Test(draw, colours_differ)
{
	for (int64_t a = 1; a <= 90; a++) {
		for (int64_t b = 1; b < a; b++) {
			struct frcnn_colour p = frcnn_draw_colour(a), q = frcnn_draw_colour(b);

			cr_expect(p.r != q.r || p.g != q.g || p.b != q.b, "%d and %d", (int)a, (int)b);
		}
	}
	cr_expect_eq(frcnn_draw_colour_key("bolt"), frcnn_draw_colour_key("bolt"));
	cr_expect_neq(frcnn_draw_colour_key("bolt"), frcnn_draw_colour_key("nut"));
	frcnn_draw_colour(INT64_MIN);
	frcnn_draw_colour(INT64_MAX);
}
