/*
 * draw - boxes and their labels on a picture: lines, a small bitmap font of our
 * own, a colour for every class. Everything is scaled with the picture, so that
 * a label can be read on a thumbnail and on a photograph of 50 megapixels.
 *
 * Knows pixels and text alone. What a record says, which class a box has and
 * where the picture is written are the program's business. Nothing is written
 * outside the picture, whatever the coordinates; the same input gives the same
 * pixels.
 */
#ifndef FRCNN_DRAW_H
#define FRCNN_DRAW_H

#include "base/base.h"

struct frcnn_colour {
	uint8_t r, g, b;
};

/* ---- colour.c ------------------------------------------------------------- */

/* The colour of a class, by its id; the first two dozen are told apart at a glance. */
struct frcnn_colour frcnn_draw_colour(int64_t category_id);
/* A number for a class that has a name and no id: always the same for the same name. */
int64_t frcnn_draw_colour_key(const char *name);

/* ---- font.c ----------------------------------------------------------------- */

/* A glyph is 5 wide and 9 high, of which 2 below the line; text advances by 6. Sizes in unscaled font pixels. */
enum { FRCNN_GLYPH_WIDTH = 5, FRCNN_GLYPH_HEIGHT = 9, FRCNN_GLYPH_ADVANCE = 6 };

/* Whether the glyph of this character has a pixel at x, y. Printable ASCII; the letters of Latin-1 lose their accents;
 * every other character is an empty box. */
bool frcnn_glyph_pixel(uint32_t character, int x, int y);
/* Number of characters in UTF-8 text; a byte that is not UTF-8 counts as one. */
size_t frcnn_text_length(const char *text);
/* The character at *text, which moves behind it. */
uint32_t frcnn_text_next(const char **text);

/* ---- boxes.c ------------------------------------------------------------------ */

struct frcnn_draw_box {
	double x1, y1, x2, y2; /* corners in pixels; finite */
	struct frcnn_colour colour;
	const char *label; /* UTF-8; NULL: none */
	bool truth;        /* ground truth: dashed, its label coloured on dark */
};

/* Draws the boxes and then the labels; the first box lies on top. A label stands above its box, or where there is
 * room and no other label; one that is wider than the picture is cut. Boxes outside the picture are left out.
 * FRCNN_ENOMEM. */
int frcnn_draw_boxes(struct frcnn_image *image, const struct frcnn_draw_box *boxes, size_t count,
		     struct frcnn_error *err);

#endif
