/*
 * Where the boxes are that may overlap a box. Bounds are those of real
 * arithmetic, made wider than float32's rounding can matter:
 *
 *   IoU > t  =>  the areas' ratio is between t and 1/t, and in each direction
 *   the distance of the centres is below (a + b) (1 - t) / (2 (1 + t)), where
 *   a and b are the sides and b <= a / t.
 */
#include "nms/nms.h"

#include <math.h>

/* Below this float32 areas lose their precision: such boxes are compared with all. */
static const float least_area = 1e-30f;
static const double slack = 1e-4;
enum { STRIP_LEAST = 16, BIN_BOXES = 4, SEARCH = 64, LEVEL_TINY = 0, LEVELS = 128 };

/* Half the binary exponent of the area: LEVEL_TINY, or 13 .. 127; -1: it overlaps nothing. */
static int level_of(const float box[4], float plus, float *area)
{
	float width = box[2] - box[0] + plus, height = box[3] - box[1] + plus;
	uint32_t bits;

	*area = width * height;
	if (!(width > 0 && height > 0 && *area > 0 && *area <= 3.4e38f))
		return -1;
	if (*area < least_area)
		return LEVEL_TINY;
	memcpy(&bits, area, sizeof(bits));
	return (int)(bits >> 24);
}

/* Ascending order of floats as integers. */
static uint64_t ascending(float value, uint32_t low)
{
	uint32_t bits;
	value += 0.0f;
	memcpy(&bits, &value, sizeof(bits));
	bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
	return (uint64_t)bits << 32 | low;
}

static float centre(float low, float high)
{
	return low * 0.5f + high * 0.5f;
}

static size_t bin_of(const struct frcnn_nms_strip *strip, double x)
{
	double bin = (x - strip->x) * strip->scale;
	if (!(bin > 0))
		return 0;
	return bin < (double)strip->nbins ? (size_t)bin : strip->nbins - 1;
}

/* Where along x the strip's boxes are, keys by ascending x: from there on positions are found without a search. */
static uint32_t *make_bins(struct frcnn_nms_strip *strip, const float *boxes, const uint64_t *keys, size_t count,
			   uint32_t *bins)
{
	const float *first = boxes + 4 * (size_t)(uint32_t)keys[0],
		    *last = boxes + 4 * (size_t)(uint32_t)keys[count - 1];
	double span = (double)centre(last[0], last[2]) - (double)centre(first[0], first[2]);
	size_t filled = 0;

	strip->x = (double)centre(first[0], first[2]);
	strip->nbins = count / BIN_BOXES + 1;
	strip->scale = span > 0 ? (double)strip->nbins / span : 0;
	strip->bins = bins;
	for (size_t i = 0; i < count; i++) {
		const float *box = boxes + 4 * (size_t)(uint32_t)keys[i];
		size_t bin = bin_of(strip, (double)centre(box[0], box[2]));
		while (filled <= bin)
			bins[filled++] = strip->boxes.first + (uint32_t)i;
	}
	while (filled <= strip->nbins)
		bins[filled++] = strip->boxes.last;
	return bins + strip->nbins + 1;
}

/* Cuts the level's boxes, keys[0 .. count - 1] by ascending y, into strips and sorts each by x. */
static size_t make_strips(struct frcnn_nms_index *index, const float *boxes, size_t first, uint64_t *keys,
			  uint64_t *spare, size_t count, double side, size_t nstrips, uint32_t **bins)
{
	for (size_t at = 0; at < count;) {
		const float *box = boxes + 4 * (size_t)(uint32_t)keys[at];
		struct frcnn_nms_strip *strip = &index->strips[nstrips++];
		float y = centre(box[1], box[3]);
		size_t end = at;

		strip->low = strip->high = y;
		while (end < count) {
			box = boxes + 4 * (size_t)(uint32_t)keys[end];
			y = centre(box[1], box[3]);
			if (end - at >= STRIP_LEAST && (double)y - (double)strip->low > side)
				break;
			strip->high = y;
			keys[end] = ascending(centre(box[0], box[2]), (uint32_t)keys[end]);
			end++;
		}
		frcnn_rank_radix(keys + at, spare, end - at);
		strip->boxes = (struct frcnn_nms_range){(uint32_t)(first + at), (uint32_t)(first + end)};
		*bins = make_bins(strip, boxes, keys + at, end - at, *bins);
		at = end;
	}
	return nstrips;
}

/* Takes count elements of size bytes from *at. */
static void *take(uint8_t **at, size_t count, size_t size)
{
	void *block = *at;
	*at += count * size;
	return block;
}

void frcnn_nms_index_make(struct frcnn_nms_index *index, const float *boxes, size_t count, float bound, float plus,
			  float *scratch)
{
	uint8_t *at = (uint8_t *)scratch;
	uint32_t starts[LEVELS + 1] = {0}, fill[LEVELS];
	float area;

	at += (8 - (uintptr_t)at % 8) % 8;
	uint64_t *keys = take(&at, count, sizeof(*keys)), *spare = take(&at, count, sizeof(*spare));
	size_t nblocks = (count + FRCNN_NMS_LANES - 1) / FRCNN_NMS_LANES;
	index->blocks = take(&at, nblocks, sizeof(*index->blocks));
	/* No more than count / STRIP_LEAST full strips, and one that is not full a level. */
	size_t room = count / STRIP_LEAST + LEVELS;
	index->strips = take(&at, room, sizeof(*index->strips));
	index->ranges = take(&at, room, sizeof(*index->ranges));
	index->x = take(&at, count, sizeof(float));
	index->rank = take(&at, count, sizeof(uint32_t));
	index->position = take(&at, count, sizeof(uint32_t));
	uint32_t *bins = (uint32_t *)(void *)at;
	index->nlevels = 0;
	index->plus = plus;
	index->least = (double)bound - slack > 0 ? (double)bound - slack : 0;

	/* By y, then (which keeps that order) by level. */
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		const float *box = boxes + 4 * i;
		int level = level_of(box, plus, &area);
		index->position[i] = UINT32_MAX;
		if (level < 0)
			continue;
		starts[level + 1]++;
		keys[n++] = ascending(centre(box[1], box[3]), (uint32_t)i);
	}
	frcnn_rank_radix(keys, spare, n);
	for (int l = 0; l < LEVELS; l++)
		starts[l + 1] += starts[l];
	memcpy(fill, starts, sizeof(fill));
	for (size_t i = 0; i < n; i++) {
		int level = level_of(boxes + 4 * (size_t)(uint32_t)keys[i], plus, &area);
		spare[fill[level]++] = keys[i];
	}

	size_t nstrips = 0;
	for (int l = 0; l < LEVELS; l++) {
		size_t first = starts[l], here = starts[l + 1] - first;
		if (here == 0)
			continue;
		struct frcnn_nms_level *level = &index->levels[index->nlevels++];
		*level =
		    (struct frcnn_nms_level){.tiny = l == LEVEL_TINY, .low = exp2(2.0 * l - 127), .first = nstrips};
		/* twice the side of the smallest square: few strips are looked into, and they are narrow in x */
		double side = l == LEVEL_TINY ? INFINITY : 2 * exp2((double)l - 63.5);
		nstrips = make_strips(index, boxes, first, spare + first, keys, here, side, nstrips, &bins);
		level->last = nstrips;
		for (size_t i = first; i < first + here; i++) {
			uint32_t rank = (uint32_t)spare[i];
			const float *box = boxes + 4 * (size_t)rank;
			double width = (double)box[2] - (double)box[0] + (double)plus;
			double height = (double)box[3] - (double)box[1] + (double)plus;
			struct frcnn_nms_block *block = &index->blocks[i / FRCNN_NMS_LANES];
			size_t lane = i % FRCNN_NMS_LANES;
			block->x1[lane] = box[0];
			block->y1[lane] = box[1];
			block->x2[lane] = box[2];
			block->y2[lane] = box[3];
			block->gone[lane] = 0;
			level_of(box, plus, &block->area[lane]);
			index->x[i] = centre(box[0], box[2]);
			index->rank[i] = rank;
			index->position[rank] = (uint32_t)i;
			level->width = width > level->width ? width : level->width;
			level->height = height > level->height ? height : level->height;
		}
	}
	for (size_t i = n; i % FRCNN_NMS_LANES; i++) {
		struct frcnn_nms_block *block = &index->blocks[i / FRCNN_NMS_LANES];
		size_t lane = i % FRCNN_NMS_LANES;
		block->x1[lane] = block->y1[lane] = block->x2[lane] = block->y2[lane] = block->area[lane] = NAN;
		block->gone[lane] = 0;
	}
	index->count = n;
}

/* How far apart the centres may be, rounding of the centres themselves included. */
static double reach(double t, double side, double largest, double at)
{
	double other = t > 0 && side / t < largest ? side / t : largest;
	double most = (side + other) * (1 - t) / (2 * (1 + t));
	return most * (1 + slack) + 1e-6 * (fabs(at) + most);
}

/* The first position of the range with x >= value. */
static uint32_t lower(const float *x, struct frcnn_nms_range range, double value)
{
	while (range.first < range.last) {
		uint32_t middle = range.first + (range.last - range.first) / 2;
		if ((double)x[middle] < value)
			range.first = middle + 1;
		else
			range.last = middle;
	}
	return range.first;
}

size_t frcnn_nms_index_find(struct frcnn_nms_index *index, size_t rank)
{
	uint32_t at = index->position[rank];
	const struct frcnn_nms_block *block = &index->blocks[at / FRCNN_NMS_LANES];
	size_t lane = at % FRCNN_NMS_LANES;
	double t = index->least, area = (double)block->area[lane];
	size_t n = 0;

	if (area < (double)least_area) {
		index->ranges[0] = (struct frcnn_nms_range){0, (uint32_t)index->count};
		return 1;
	}
	double width = (double)block->x2[lane] - (double)block->x1[lane] + (double)index->plus;
	double height = (double)block->y2[lane] - (double)block->y1[lane] + (double)index->plus;
	double x = (double)index->x[at], y = (double)centre(block->y1[lane], block->y2[lane]);
	for (int l = 0; l < index->nlevels; l++) {
		const struct frcnn_nms_level *level = &index->levels[l];
		bool all = level->tiny;
		if (!all && (4 * level->low < t * area || level->low * t > area))
			continue;
		double rx = all ? INFINITY : reach(t, width, level->width, x);
		double ry = all ? INFINITY : reach(t, height, level->height, y);
		size_t s = level->first, end = level->last;
		while (s < end) { /* the first strip that is not wholly above */
			size_t middle = s + (end - s) / 2;
			if ((double)index->strips[middle].high < y - ry)
				s = middle + 1;
			else
				end = middle;
		}
		for (; s < level->last && (double)index->strips[s].low <= y + ry; s++) {
			struct frcnn_nms_range range = index->strips[s].boxes;
			if (!all) {
				const struct frcnn_nms_strip *strip = &index->strips[s];
				range.first = strip->bins[bin_of(strip, x - rx)];
				range.last = strip->bins[bin_of(strip, x + rx) + 1];
				if (range.last - range.first > SEARCH) { /* where boxes crowd */
					range.first = lower(index->x, range, x - rx);
					range.last = lower(index->x, range, nextafter(x + rx, INFINITY));
				}
			}
			if (range.first < range.last)
				index->ranges[n++] = range;
		}
	}
	return n;
}
