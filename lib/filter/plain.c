/*
 * COCO results that are one array of plain elements, straight into entries: the
 * common case, several times faster than record by record. Whatever is not
 * plain (a name, an escape, a duplicate key, a box without area, an error) is
 * left to the reader of record/, which knows what to say of it.
 */
#include "filter/filter.h"
#include "record/pieces.h"

enum { HAS_IMAGE = 1, HAS_CATEGORY = 2, HAS_BBOX = 4, HAS_SCORE = 8 };

struct result {
	const char *text;
	uint32_t size, bbox_at, bbox_size, score_at, score_size;
	float box[4], score;
	int64_t image, category;
};

/* Rounded once: a double that lies in the middle of two floats may itself be rounded. */
static bool to_float(const char *text, const char *end, double value, float *out)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	*out = (float)value;
	if ((bits & 0x1fffffff) != 0x10000000 && (value == 0 || (value >= 1e-30 || value <= -1e-30)))
		return true;
	while (text < end && (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r'))
		text++;
	return frcnn_parse_float(text, (size_t)(end - text), out) == 0;
}

static bool take_number(struct frcnn_cursor *c, float *out)
{
	const char *from = c->at;
	double value;

	return frcnn_plain_number(c, &value) && to_float(from, c->at, value, out);
}

static bool take_box(struct frcnn_cursor *c, float box[4])
{
	for (int i = 0; i < 4; i++)
		if (!frcnn_plain_char(c, i ? ',' : '[') || !take_number(c, &box[i]))
			return false;
	return frcnn_plain_char(c, ']') && box[2] > 0 && box[3] > 0;
}

/* Where the value that is about to be taken begins. */
static uint32_t begin(struct frcnn_cursor *c, const struct result *r)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
	return (uint32_t)(c->at - r->text);
}

static bool take_value(struct frcnn_cursor *c, struct frcnn_span key, struct result *r, unsigned *has)
{
	unsigned which = 0;
	bool good;

	if (frcnn_span_is(key, "image_id")) {
		which = HAS_IMAGE;
		good = frcnn_plain_id(c, &r->image);
	} else if (frcnn_span_is(key, "category_id")) {
		which = HAS_CATEGORY;
		good = frcnn_plain_id(c, &r->category);
	} else if (frcnn_span_is(key, "score")) {
		which = HAS_SCORE;
		r->score_at = begin(c, r);
		good = take_number(c, &r->score);
		r->score_size = (uint32_t)(c->at - r->text) - r->score_at;
	} else if (frcnn_span_is(key, "bbox")) {
		which = HAS_BBOX;
		r->bbox_at = begin(c, r);
		good = take_box(c, r->box);
		r->bbox_size = (uint32_t)(c->at - r->text) - r->bbox_at;
	} else {
		good = !frcnn_span_is(key, "category") && !frcnn_span_is(key, "objectness") && frcnn_plain_skip(c);
	}
	good = good && !(*has & which);
	*has |= which;
	return good;
}

static bool take_result(const void *context, struct frcnn_cursor *c, void *item)
{
	struct result *r = item;
	struct frcnn_span key;
	unsigned has = 0;

	(void)context;
	begin(c, r);
	r->text = c->at;
	if (!frcnn_plain_char(c, '{'))
		return false;
	do {
		if (!frcnn_plain_string(c, &key) || !frcnn_plain_char(c, ':') || !take_value(c, key, r, &has))
			return false;
	} while (frcnn_plain_char(c, ','));
	if (!frcnn_plain_char(c, '}') || has != (HAS_IMAGE | HAS_CATEGORY | HAS_BBOX | HAS_SCORE))
		return false;
	if (c->at - r->text > UINT32_MAX / 2)
		return false;
	r->size = (uint32_t)(c->at - r->text);
	return true;
}

static bool only_white(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at == end;
}

/* Which image each result is of, images in the order of their first result; the source's parts made. */
static int make_parts(struct frcnn_filter_source *source, const struct frcnn_pieces *p, uint32_t *image_of)
{
	struct frcnn_id_map ids = {0};
	size_t n = 0, last = SIZE_MAX;
	int rc = 0;

	for (size_t i = 0; i < p->npieces && rc >= 0; i++) {
		const struct result *results = p->pieces[i].items;
		for (size_t k = 0; k < p->pieces[i].count && rc >= 0; k++, n++) {
			size_t at = last;
			if (last == SIZE_MAX || source->parts[last].id != results[k].image) {
				at = source->nparts;
				rc = frcnn_id_map_add(&ids, results[k].image, source->nparts, &at);
			} else {
				rc = 0;
			}
			if (rc > 0) {
				void *grown = source->parts;
				rc = frcnn_grow(&grown, &source->part_capacity, source->nparts + 1,
						sizeof(*source->parts));
				source->parts = grown;
				if (rc < 0)
					break;
				source->parts[source->nparts++] = (struct frcnn_filter_part){
				    .has_id = true, .id = results[k].image, .image = SIZE_MAX};
			}
			image_of[n] = (uint32_t)at;
			last = at;
		}
	}
	frcnn_id_map_free(&ids);
	return rc < 0 ? rc : 0;
}

/* Entries image by image, what is not wanted left out. */
static int make_entries(struct frcnn_filter *f, struct frcnn_filter_source *source, const struct frcnn_pieces *p,
			const uint32_t *image_of, const struct result **sorted, size_t *first)
{
	size_t n = 0, total = p->total;
	int rc = 0;

	for (size_t i = 0; i < total; i++)
		first[image_of[i] + 1]++;
	for (size_t i = 0; i < source->nparts; i++)
		first[i + 1] += first[i];
	for (size_t i = 0; i < p->npieces; i++) {
		const struct result *results = p->pieces[i].items;
		for (size_t k = 0; k < p->pieces[i].count; k++, n++)
			sorted[first[image_of[n]]++] = &results[k];
	}
	source->form = FRCNN_FORM_COCO_ARRAY;
	for (size_t i = 0, at = 0; i < source->nparts && rc == 0; i++) {
		struct frcnn_filter_part *part = &source->parts[i];
		part->source = (size_t)(source - f->sources);
		part->first = source->nentries;
		for (; at < first[i] && rc == 0; at++) {
			const struct result *r = sorted[at];
			struct frcnn_record_item item = {
			    .text = {r->text, r->size},
			    .bbox_text = {r->text + r->bbox_at, r->bbox_size},
			    .score_text = {r->text + r->score_at, r->score_size},
			    .has_category_id = true,
			    .category_id = r->category,
			    .score_f32 = r->score,
			    /* only the order counts */
			    .index = (size_t)(r->text - source->text),
			};
			memcpy(item.bbox_f32, r->box, sizeof(r->box));
			rc = frcnn_filter_add_entry(f, source, &item);
		}
		part->count = source->nentries - part->first;
	}
	return rc;
}

int frcnn_filter_read_plain(struct frcnn_filter *f, struct frcnn_filter_source *source)
{
	struct frcnn_pieces p = {.fd = -1,
				 .text = source->text,
				 .size = source->size,
				 .item_size = sizeof(struct result),
				 .take = take_result};
	uint32_t *image_of = NULL;
	const struct result **sorted = NULL;
	size_t *first = NULL;
	int rc;

	while (p.first < p.size && only_white(source->text + p.first, source->text + p.first + 1))
		p.first++;
	if (p.first == p.size || source->text[p.first] != '[')
		return 0;
	/* one thread: sources are read side by side already */
	rc = frcnn_pieces_read(&p, NULL);
	if (rc > 0 &&
	    (p.total == 0 || p.total >= UINT32_MAX || !only_white(source->text + p.end, source->text + p.size)))
		rc = 0;
	if (rc <= 0)
		goto out;
	image_of = frcnn_calloc(p.total, sizeof(*image_of));
	sorted = frcnn_calloc(p.total, sizeof(*sorted));
	rc = image_of && sorted ? make_parts(source, &p, image_of) : FRCNN_ENOMEM;
	if (rc == 0 && !(first = frcnn_calloc(source->nparts + 1, sizeof(*first))))
		rc = FRCNN_ENOMEM;
	if (rc == 0)
		rc = make_entries(f, source, &p, image_of, sorted, first);
	rc = rc < 0 ? rc : 1;
out:
	frcnn_pieces_free(&p);
	free(image_of);
	free(sorted);
	free(first);
	return rc;
}
