#include "draw/draw.h"

/* Only so many labels keep clear of each other: among more there is no room anyway, and time would grow as the
 * square. */
#define MAX_PLACED 1000

/* Pixels x1 .. x2 - 1, y1 .. y2 - 1. */
struct area {
	int x1, y1, x2, y2;
};

/* Sizes in pixels that follow from the picture's. */
struct style {
	int line;  /* thickness of a box's side */
	int edge;  /* dark line on both sides of it, so that it shows on any ground */
	int scale; /* of the font */
	int pad;   /* between a label's text and its rim */
};

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

static struct style style_of(const struct frcnn_image *image)
{
	int side = min_int(image->width, image->height);
	struct style style;

	style.line = max_int(1, (side + 120) / 240);
	style.edge = max_int(1, (style.line + 1) / 3);
	style.scale = max_int(1, (side + 100) / 250);
	style.pad = style.scale;
	return style;
}

/* ---- areas of one colour ----------------------------------------------------------- */

static struct area clip(const struct frcnn_image *image, struct area a)
{
	return (struct area){max_int(a.x1, 0), max_int(a.y1, 0), min_int(a.x2, image->width),
			     min_int(a.y2, image->height)};
}

/* opacity 0 .. 256 */
static void fill(struct frcnn_image *image, struct area a, struct frcnn_colour colour, int opacity)
{
	a = clip(image, a);
	for (int y = a.y1; y < a.y2; y++) {
		uint8_t *p = image->rgb + ((size_t)y * (size_t)image->width + (size_t)a.x1) * 3;

		for (int x = a.x1; x < a.x2; x++, p += 3) {
			p[0] = (uint8_t)((p[0] * (256 - opacity) + colour.r * opacity) >> 8);
			p[1] = (uint8_t)((p[1] * (256 - opacity) + colour.g * opacity) >> 8);
			p[2] = (uint8_t)((p[2] * (256 - opacity) + colour.b * opacity) >> 8);
		}
	}
}

/* ---- boxes ---------------------------------------------------------------------------- */

/* The pixels that a box touches, clipped to the picture; false where there are none. */
static bool box_area(const struct frcnn_image *image, const struct frcnn_draw_box *box, struct area *out)
{
	double x1 = box->x1 < 0 ? 0 : box->x1, y1 = box->y1 < 0 ? 0 : box->y1;
	double x2 = box->x2 > image->width ? image->width : box->x2;
	double y2 = box->y2 > image->height ? image->height : box->y2;

	if (!(x1 <= x2 && y1 <= y2 && x1 < image->width && y1 < image->height))
		return false;
	out->x1 = (int)x1;
	out->y1 = (int)y1;
	out->x2 = max_int(out->x1 + 1, (int)x2 + ((int)x2 < x2));
	out->y2 = max_int(out->y1 + 1, (int)y2 + ((int)y2 < y2));
	return true;
}

/* A frame of the given thickness along the inside of a; a thin a is filled. */
static void frame(struct frcnn_image *image, struct area a, int thickness, struct frcnn_colour colour, int opacity)
{
	int top = min_int(thickness, a.y2 - a.y1), bottom = min_int(thickness, a.y2 - a.y1 - top);
	int left = min_int(thickness, a.x2 - a.x1), right = min_int(thickness, a.x2 - a.x1 - left);

	fill(image, (struct area){a.x1, a.y1, a.x2, a.y1 + top}, colour, opacity);
	fill(image, (struct area){a.x1, a.y2 - bottom, a.x2, a.y2}, colour, opacity);
	fill(image, (struct area){a.x1, a.y1 + top, a.x1 + left, a.y2 - bottom}, colour, opacity);
	fill(image, (struct area){a.x2 - right, a.y1 + top, a.x2, a.y2 - bottom}, colour, opacity);
}

static struct area grow(struct area a, int by)
{
	return (struct area){a.x1 - by, a.y1 - by, a.x2 + by, a.y2 + by};
}

/* Dashes along the inside of a, symmetric about the middle of each side, so that the corners are always drawn. */
static void dashes(struct frcnn_image *image, struct area a, const struct style *style, struct frcnn_colour colour)
{
	int t = style->line;

	for (int axis = 0; axis < 2; axis++) {
		int from = axis ? a.y1 : a.x1, to = axis ? a.y2 : a.x2;
		int length = to - from;
		int n = max_int(1, (length - 4 * t) / (7 * t) + 1); /* dashes of about 4 t, gaps of about 3 t */

		for (int i = 0; i < n; i++) {
			int p = from + (int)((int64_t)i * (length - min_int(length, 4 * t)) / max_int(1, n - 1));
			int q = n == 1 ? to : min_int(to, p + 4 * t);

			if (axis) {
				fill(image, (struct area){a.x1, p, min_int(a.x2, a.x1 + t), q}, colour, 256);
				fill(image, (struct area){max_int(a.x1, a.x2 - t), p, a.x2, q}, colour, 256);
			} else {
				fill(image, (struct area){p, a.y1, q, min_int(a.y2, a.y1 + t)}, colour, 256);
				fill(image, (struct area){p, max_int(a.y1, a.y2 - t), q, a.y2}, colour, 256);
			}
		}
	}
}

static void draw_box(struct frcnn_image *image, const struct frcnn_draw_box *box, const struct style *style)
{
	static const struct frcnn_colour black = {0, 0, 0}, white = {255, 255, 255};
	struct area a;

	if (!box_area(image, box, &a))
		return;
	frame(image, grow(a, style->edge), style->edge, black, 110);
	if (box->truth) {
		frame(image, a, style->line, white, 230);
		dashes(image, a, style, box->colour);
	} else {
		frame(image, a, style->line, box->colour, 256);
	}
	if (a.x2 - a.x1 > 4 * style->line && a.y2 - a.y1 > 4 * style->line)
		frame(image, grow(a, -style->line), style->edge, black, 110);
}

/* ---- labels --------------------------------------------------------------------------- */

struct label {
	struct area area; /* empty: nothing to draw */
	size_t shown;     /* characters */
	bool cut;         /* the last of them are dots */
};

/* Pixels that both have. */
static int64_t overlap(struct area a, struct area b)
{
	int w = min_int(a.x2, b.x2) - max_int(a.x1, b.x1), h = min_int(a.y2, b.y2) - max_int(a.y1, b.y1);

	return w > 0 && h > 0 ? (int64_t)w * h : 0;
}

/* Size of a label at 0, 0: as long as the text, or as much of it as the picture is wide. */
static void measure(const struct frcnn_image *image, const char *text, const struct style *style, struct label *out)
{
	size_t length = frcnn_text_length(text);
	int room = (image->width - 2 * style->pad) / (FRCNN_GLYPH_ADVANCE * style->scale);
	int height = FRCNN_GLYPH_HEIGHT * style->scale + 2 * style->pad;

	memset(out, 0, sizeof *out);
	if (length == 0 || room < 1 || height > image->height)
		return;
	out->cut = length > (size_t)room;
	out->shown = out->cut ? (size_t)room : length;
	out->area.x2 = (int)out->shown * FRCNN_GLYPH_ADVANCE * style->scale + 2 * style->pad;
	out->area.y2 = height;
}

/* The same area with its corner at x, y, or as near to it as the picture allows. */
static struct area place(const struct frcnn_image *image, struct area a, int x, int y)
{
	int w = a.x2 - a.x1, h = a.y2 - a.y1;

	x = max_int(0, min_int(x, image->width - w));
	y = max_int(0, min_int(y, image->height - h));
	return (struct area){x, y, x + w, y + h};
}

/* Above the box (of ground truth: below) where there is room; else inside it, or on its other sides. The first place
 * that no other label has; when all are taken, the one where the least is covered. */
static void find_place(const struct frcnn_image *image, struct area box, bool truth, const struct label *placed,
		       size_t nplaced, struct label *label)
{
	int w = label->area.x2, h = label->area.y2;
	int rows[] = {box.y1 - h, box.y1, box.y2, box.y2 - h};
	int truth_rows[] = {box.y2, box.y2 - h, box.y1 - h, box.y1};
	int columns[] = {box.x1, box.x2 - w};
	struct area best = place(image, label->area, box.x1, box.y1);
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < 8 && least > 0; i++) {
		int row = (truth ? truth_rows : rows)[i / 2];
		struct area a = place(image, label->area, columns[i % 2], row);
		int64_t covered = 0;

		if (row < 0 || row + h > image->height)
			continue;
		for (size_t k = 0; k < nplaced; k++)
			covered += overlap(a, placed[k].area);
		if (covered < least) {
			least = covered;
			best = a;
		}
	}
	label->area = best;
}

static void draw_text(struct frcnn_image *image, const struct label *label, const char *text, const struct style *style,
		      struct frcnn_colour colour)
{
	int x = label->area.x1 + style->pad + style->scale / 2, y = label->area.y1 + style->pad + style->scale / 2;
	int s = style->scale;

	for (size_t i = 0; i < label->shown; i++, x += FRCNN_GLYPH_ADVANCE * s) {
		uint32_t character = frcnn_text_next(&text);

		if (label->cut && i + 2 >= label->shown)
			character = '.';
		for (int row = 0; row < FRCNN_GLYPH_HEIGHT; row++) {
			for (int column = 0; column < FRCNN_GLYPH_WIDTH; column++) {
				int px = x + column * s, py = y + row * s;

				if (frcnn_glyph_pixel(character, column, row))
					fill(image, (struct area){px, py, px + s, py + s}, colour, 256);
			}
		}
	}
}

static void draw_label(struct frcnn_image *image, const struct label *label, const struct frcnn_draw_box *box,
		       const struct style *style)
{
	static const struct frcnn_colour dark = {24, 24, 28}, light = {255, 255, 255};
	struct frcnn_colour colour = box->colour;
	/* ITU-R BT.601 */
	bool bright = 299 * colour.r + 587 * colour.g + 114 * colour.b > 140 * 1000;

	if (label->area.x2 == 0)
		return;
	if (box->truth) {
		fill(image, label->area, dark, 220);
		frame(image, label->area, max_int(1, style->scale / 2), colour, 256);
		draw_text(image, label, box->label, style, light);
	} else {
		fill(image, label->area, colour, 256);
		draw_text(image, label, box->label, style, bright ? dark : light);
	}
}

int frcnn_draw_boxes(struct frcnn_image *image, const struct frcnn_draw_box *boxes, size_t count,
		     struct frcnn_error *err)
{
	struct style style = style_of(image);
	struct label *labels = frcnn_calloc(count, sizeof *labels);

	if (!labels)
		return frcnn_fail_nomem(err);
	for (size_t i = count; i-- > 0;)
		draw_box(image, &boxes[i], &style);
	for (size_t i = 0; i < count; i++) {
		struct area area;

		if (!boxes[i].label || !box_area(image, &boxes[i], &area))
			continue;
		measure(image, boxes[i].label, &style, &labels[i]);
		if (labels[i].area.x2 > 0)
			find_place(image, area, boxes[i].truth, labels, i < MAX_PLACED ? i : MAX_PLACED, &labels[i]);
	}
	for (size_t i = count; i-- > 0;)
		draw_label(image, &labels[i], &boxes[i], &style);
	free(labels);
	return 0;
}
