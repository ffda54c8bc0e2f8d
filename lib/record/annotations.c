/* The annotations of a COCO dataset, read in pieces where they are plain (pieces.h). */
#include "record/pieces.h"

enum { HAS_ID = 1, HAS_IMAGE = 2, HAS_CATEGORY = 4, HAS_BBOX = 8, HAS_AREA = 16, HAS_CROWD = 32 };
enum { NEEDED = HAS_ID | HAS_IMAGE | HAS_CATEGORY | HAS_BBOX };

static bool take_value(struct frcnn_cursor *c, struct frcnn_span key, struct frcnn_annotation *out, unsigned *has)
{
	unsigned which = 0;
	int64_t crowd;
	bool good;

	if (frcnn_span_is(key, "id")) {
		which = HAS_ID;
		good = frcnn_plain_id(c, &out->id);
	} else if (frcnn_span_is(key, "image_id")) {
		which = HAS_IMAGE;
		good = frcnn_plain_id(c, &out->image_id);
	} else if (frcnn_span_is(key, "category_id")) {
		which = HAS_CATEGORY;
		good = frcnn_plain_id(c, &out->category_id);
	} else if (frcnn_span_is(key, "bbox")) {
		which = HAS_BBOX;
		good = frcnn_plain_bbox(c, out->bbox);
	} else if (frcnn_span_is(key, "area")) {
		which = HAS_AREA;
		good = frcnn_plain_number(c, &out->area) && out->area >= 0;
	} else if (frcnn_span_is(key, "iscrowd")) {
		which = HAS_CROWD;
		good = frcnn_plain_id(c, &crowd) && (crowd == 0 || crowd == 1);
		out->crowd = good && crowd == 1;
	} else {
		good = frcnn_plain_skip(c);
	}
	good = good && !(*has & which);
	*has |= which;
	return good;
}

static bool take_annotation(const void *context, struct frcnn_cursor *c, void *item)
{
	struct frcnn_annotation *out = item;
	struct frcnn_span key;
	unsigned has = 0;

	(void)context;
	memset(out, 0, sizeof *out);
	if (!frcnn_plain_char(c, '{'))
		return false;
	do {
		if (!frcnn_plain_string(c, &key) || !frcnn_plain_char(c, ':') || !take_value(c, key, out, &has))
			return false;
	} while (frcnn_plain_char(c, ','));
	out->has_area = has & HAS_AREA;
	out->has_crowd = has & HAS_CROWD;
	return frcnn_plain_char(c, '}') && (has & NEEDED) == NEEDED;
}

int frcnn_annotations_read(const char *text, size_t size, size_t length, struct frcnn_pool *pool,
			   struct frcnn_pieces *out)
{
	static const char key[] = "\"annotations\"";
	const char *at = size ? memmem(text, size, key, sizeof key - 1) : NULL;
	struct frcnn_cursor c = {at ? at + sizeof key - 1 : text, text + size};

	*out = (struct frcnn_pieces){.text = text,
				     .size = size,
				     .length = length,
				     .item_size = sizeof(struct frcnn_annotation),
				     .take = take_annotation};
	if (!at || !frcnn_plain_char(&c, ':') || !frcnn_plain_char(&c, '['))
		return 0;
	out->first = (uint64_t)(c.at - 1 - text);
	return frcnn_pieces_read(out, pool);
}
