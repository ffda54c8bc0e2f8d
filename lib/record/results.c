/* COCO results as columns: one array of plain elements, read in pieces (pieces.h). */
#include "record/pieces.h"

#include <unistd.h>

enum { HAS_IMAGE = 1, HAS_CATEGORY = 2, HAS_BBOX = 4, HAS_SCORE = 8 };

struct result {
	double bbox[4], score;
	uint32_t image, category;
};

struct maps {
	const struct frcnn_id_map *images, *categories;
};

static bool find(const struct frcnn_id_map *map, int64_t id, uint32_t *out)
{
	size_t index;

	if (!frcnn_id_map_find(map, id, &index))
		return false;
	*out = (uint32_t)index;
	return true;
}

static bool take_value(const struct maps *maps, struct frcnn_cursor *c, struct frcnn_span key, struct result *out,
		       unsigned *has)
{
	unsigned which = 0;
	int64_t id;
	bool good;

	if (frcnn_span_is(key, "image_id")) {
		which = HAS_IMAGE;
		good = frcnn_plain_id(c, &id) && find(maps->images, id, &out->image);
	} else if (frcnn_span_is(key, "category_id")) {
		which = HAS_CATEGORY;
		good = frcnn_plain_id(c, &id) && find(maps->categories, id, &out->category);
	} else if (frcnn_span_is(key, "score")) {
		which = HAS_SCORE;
		good = frcnn_plain_number(c, &out->score);
	} else if (frcnn_span_is(key, "bbox")) {
		which = HAS_BBOX;
		good = frcnn_plain_bbox(c, out->bbox);
	} else {
		/* Names of images and categories would have to be joined. */
		good = !frcnn_span_is(key, "file_name") && !frcnn_span_is(key, "category") && frcnn_plain_skip(c);
	}
	good = good && !(*has & which);
	*has |= which;
	return good;
}

static bool take_result(const void *context, struct frcnn_cursor *c, void *item)
{
	struct frcnn_span key;
	unsigned has = 0;

	if (!frcnn_plain_char(c, '{'))
		return false;
	do {
		if (!frcnn_plain_string(c, &key) || !frcnn_plain_char(c, ':') ||
		    !take_value(context, c, key, item, &has))
			return false;
	} while (frcnn_plain_char(c, ','));
	return frcnn_plain_char(c, '}') && has == (HAS_IMAGE | HAS_CATEGORY | HAS_BBOX | HAS_SCORE);
}

void frcnn_result_columns_free(struct frcnn_result_columns *columns)
{
	if (!columns)
		return;
	free(columns->image);
	free(columns->category);
	free(columns->bbox);
	free(columns->score);
	memset(columns, 0, sizeof *columns);
}

/* Piece by piece into columns, each given free behind it. */
static int to_columns(struct frcnn_pieces *p, struct frcnn_result_columns *out)
{
	size_t n = p->total;

	if (n > UINT32_MAX)
		return FRCNN_ENOMEM;
	out->image = frcnn_calloc(n, sizeof *out->image);
	out->category = frcnn_calloc(n, sizeof *out->category);
	out->bbox = frcnn_calloc(n, 4 * sizeof *out->bbox);
	out->score = frcnn_calloc(n, sizeof *out->score);
	if (!out->image || !out->category || !out->bbox || !out->score)
		return FRCNN_ENOMEM;
	out->capacity = n;
	for (size_t i = 0; i < p->npieces; i++) {
		const struct result *results = p->pieces[i].items;

		for (size_t k = 0; k < p->pieces[i].count; k++, out->count++) {
			out->image[out->count] = results[k].image;
			out->category[out->count] = results[k].category;
			memcpy(out->bbox + out->count * 4, results[k].bbox, sizeof results[k].bbox);
			out->score[out->count] = results[k].score;
		}
		free(p->pieces[i].items);
		p->pieces[i].items = NULL;
	}
	return 0;
}

static bool only_white(int fd, uint64_t from, uint64_t to)
{
	char bytes[4096];

	while (from < to) {
		ssize_t n =
		    pread(fd, bytes, to - from < sizeof bytes ? (size_t)(to - from) : sizeof bytes, (off_t)from);

		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != ' ' && bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\t')
				return false;
		from += (uint64_t)n;
	}
	return true;
}

int frcnn_results_read(int fd, uint64_t size, const struct frcnn_id_map *images, const struct frcnn_id_map *categories,
		       struct frcnn_pool *pool, size_t piece, struct frcnn_result_columns *out, struct frcnn_error *err)
{
	struct maps maps = {images, categories};
	struct frcnn_pieces p = {.fd = fd,
				 .size = size,
				 .length = piece,
				 .item_size = sizeof(struct result),
				 .take = take_result,
				 .context = &maps};
	char mark[3];
	int rc;

	memset(out, 0, sizeof *out);
	if (pread(fd, mark, sizeof mark, 0) == (ssize_t)sizeof mark && !memcmp(mark, "\xEF\xBB\xBF", 3))
		p.first = 3;
	rc = frcnn_pieces_read(&p, pool);
	if (rc > 0 && !only_white(fd, p.end, size))
		rc = 0;
	if (rc > 0 && to_columns(&p, out))
		rc = FRCNN_ENOMEM;
	frcnn_pieces_free(&p);
	if (rc < 0) {
		frcnn_result_columns_free(out);
		return frcnn_fail_nomem(err);
	}
	return rc;
}
