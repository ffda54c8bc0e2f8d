#include "detect/detect.h"

#include <math.h>

int frcnn_slices_layout(int width, int height, int slice_width, int slice_height, int overlap, struct frcnn_slices *out,
			struct frcnn_error *err)
{
	if (width < 1 || height < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "the image is %d x %d pixels", width, height);
	if (slice_width < 1 || slice_height < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "a slice of %d x %d pixels makes no sense", slice_width,
				  slice_height);
	int smaller = slice_width < slice_height ? slice_width : slice_height;
	if (overlap == -1)
		overlap = smaller / 5;
	if (overlap < 0 || overlap >= smaller)
		return frcnn_fail(err, FRCNN_EINVAL, "an overlap of %d pixels does not fit slices of %d x %d", overlap,
				  slice_width, slice_height);

	out->width = width;
	out->height = height;
	out->tile_width = slice_width < width ? slice_width : width;
	out->tile_height = slice_height < height ? slice_height : height;
	out->step_x = slice_width - overlap;
	out->step_y = slice_height - overlap;
	/* One tile, and one more for each step, or part of one, that is left. */
	int left = width - out->tile_width, below = height - out->tile_height;
	out->columns = 1 + left / out->step_x + (left % out->step_x != 0);
	out->rows = 1 + below / out->step_y + (below % out->step_y != 0);
	return 0;
}

size_t frcnn_slices_count(const struct frcnn_slices *slices)
{
	return (size_t)slices->columns * (size_t)slices->rows;
}

struct frcnn_tile frcnn_slices_tile(const struct frcnn_slices *slices, size_t index)
{
	int column = (int)(index % (size_t)slices->columns), row = (int)(index / (size_t)slices->columns);
	struct frcnn_tile tile = {.width = slices->tile_width, .height = slices->tile_height};
	/* The last tile of a row or column ends with the image. */
	tile.x = column < slices->columns - 1 ? column * slices->step_x : slices->width - tile.width;
	tile.y = row < slices->rows - 1 ? row * slices->step_y : slices->height - tile.height;
	tile.inner = (tile.x > 0 ? FRCNN_INNER_LEFT : 0) | (tile.y > 0 ? FRCNN_INNER_TOP : 0) |
		     (tile.x + tile.width < slices->width ? FRCNN_INNER_RIGHT : 0) |
		     (tile.y + tile.height < slices->height ? FRCNN_INNER_BOTTOM : 0);
	return tile;
}

/* A detection with its tile. */
struct piece {
	struct frcnn_detection box;
	size_t tile;
	size_t rank; /* place in the order of scores */
	float area;
	bool gone;
};

static int order(float a, float b)
{
	return (a > b) - (a < b);
}

/* Descending score; then what the box itself says, so that the order of tiles does not matter. */
static int by_score(const void *left, const void *right)
{
	const struct piece *a = left, *b = right;
	int result = order(b->box.score, a->box.score);
	if (!result)
		result = (a->box.label > b->box.label) - (a->box.label < b->box.label);
	if (!result)
		result = order(a->box.y1, b->box.y1);
	if (!result)
		result = order(a->box.x1, b->box.x1);
	if (!result)
		result = order(a->box.y2, b->box.y2);
	if (!result)
		result = order(a->box.x2, b->box.x2);
	if (!result)
		result = (a->tile > b->tile) - (a->tile < b->tile);
	return result;
}

/* Ascending area; the lower score first among equals. Sorts pointers. */
static int by_area(const void *left, const void *right)
{
	const struct piece *a = *(struct piece *const *)left, *b = *(struct piece *const *)right;
	int result = order(a->area, b->area);
	return result ? result : (a->rank < b->rank) - (a->rank > b->rank);
}

/* The inner edges of tile at which the box ends. */
static unsigned edges_met(const struct frcnn_detection *box, const struct frcnn_tile *tile)
{
	unsigned met = 0;
	if (box->x1 - (float)tile->x <= FRCNN_SLICE_EDGE)
		met |= FRCNN_INNER_LEFT;
	if (box->y1 - (float)tile->y <= FRCNN_SLICE_EDGE)
		met |= FRCNN_INNER_TOP;
	if ((float)(tile->x + tile->width) - box->x2 <= FRCNN_SLICE_EDGE)
		met |= FRCNN_INNER_RIGHT;
	if ((float)(tile->y + tile->height) - box->y2 <= FRCNN_SLICE_EDGE)
		met |= FRCNN_INNER_BOTTOM;
	return met & tile->inner;
}

/* Those of the given edges of tile at which box, from whatever tile, ends as well. */
static unsigned edges_shared(const struct frcnn_detection *box, const struct frcnn_tile *tile, unsigned edges)
{
	unsigned shared = 0;
	if (fabsf(box->x1 - (float)tile->x) <= FRCNN_SLICE_EDGE)
		shared |= FRCNN_INNER_LEFT;
	if (fabsf(box->y1 - (float)tile->y) <= FRCNN_SLICE_EDGE)
		shared |= FRCNN_INNER_TOP;
	if (fabsf(box->x2 - (float)(tile->x + tile->width)) <= FRCNN_SLICE_EDGE)
		shared |= FRCNN_INNER_RIGHT;
	if (fabsf(box->y2 - (float)(tile->y + tile->height)) <= FRCNN_SLICE_EDGE)
		shared |= FRCNN_INNER_BOTTOM;
	return shared & edges;
}

static float overlap_area(const struct frcnn_detection *a, const struct frcnn_detection *b)
{
	float width = fminf(a->x2, b->x2) - fmaxf(a->x1, b->x1);
	float height = fminf(a->y2, b->y2) - fmaxf(a->y1, b->y1);
	return width > 0.0f && height > 0.0f ? width * height : 0.0f;
}

/* Whether another tile shows more of what this piece is a part of. */
static bool is_fragment(const struct piece *piece, const struct frcnn_slices *slices, const struct piece *all,
			size_t count)
{
	struct frcnn_tile tile = frcnn_slices_tile(slices, piece->tile);
	unsigned met = edges_met(&piece->box, &tile);
	if (!met || !(piece->area > 0.0f))
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct piece *other = &all[i];
		if (other->gone || other->tile == piece->tile || other->box.label != piece->box.label)
			continue;
		if (overlap_area(&piece->box, &other->box) >= FRCNN_SLICE_SHARE * piece->area &&
		    edges_shared(&other->box, &tile, met) != met)
			return true;
	}
	return false;
}

int frcnn_slices_merge(struct frcnn_pool *pool, const struct frcnn_slices *slices, const struct frcnn_detection *items,
		       const size_t *tiles, size_t count, int nlabels, double nms, int max_dets,
		       struct frcnn_workspace *workspace, struct frcnn_detection **out, size_t *nout,
		       struct frcnn_error *err)
{
	*out = NULL;
	*nout = 0;
	size_t each = sizeof(struct piece) + sizeof(struct piece *) + 4 * sizeof(float) + sizeof(int) + sizeof(uint8_t);
	struct piece *pieces = frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_MERGE], count, each);
	struct frcnn_detection *result =
	    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_MERGED], count, sizeof(*result));
	if (!pieces || !result)
		return frcnn_fail_nomem(err);
	struct piece **smallest = (struct piece **)(void *)(pieces + count);
	float *boxes = (float *)(void *)(smallest + count);
	int *labels = (int *)(void *)(boxes + 4 * count);
	uint8_t *keep = (uint8_t *)(labels + count);

	for (size_t i = 0; i < count; i++) {
		const struct frcnn_detection *box = &items[i];
		pieces[i] =
		    (struct piece){.box = *box, .tile = tiles[i], .area = (box->x2 - box->x1) * (box->y2 - box->y1)};
	}
	qsort(pieces, count, sizeof(*pieces), by_score);
	for (size_t i = 0; i < count; i++) {
		float box[4] = {pieces[i].box.x1, pieces[i].box.y1, pieces[i].box.x2, pieces[i].box.y2};
		memcpy(boxes + 4 * i, box, sizeof(box));
		labels[i] = pieces[i].box.label;
	}
	int status = frcnn_nms_by_label(pool, boxes, labels, count, nlabels, nms, count, keep, workspace, err);
	if (status)
		return status;

	size_t left = 0;
	for (size_t i = 0; i < count; i++) {
		if (!keep[i])
			continue;
		pieces[left] = pieces[i];
		pieces[left].rank = left;
		left++;
	}
	/* The smallest go first, and what is gone removes nothing: of two that lie in each other one stays. */
	for (size_t i = 0; i < left; i++)
		smallest[i] = &pieces[i];
	qsort(smallest, left, sizeof(struct piece *), by_area);
	for (size_t i = 0; i < left; i++)
		smallest[i]->gone = is_fragment(smallest[i], slices, pieces, left);

	size_t limit = max_dets >= 0 ? (size_t)max_dets : left;
	for (size_t i = 0; i < left && *nout < limit; i++)
		if (!pieces[i].gone)
			result[(*nout)++] = pieces[i].box;
	*out = result;
	return 0;
}
