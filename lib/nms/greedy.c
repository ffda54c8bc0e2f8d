/* Greedy NMS: few boxes by comparing with all that stay, many by an index. */
#include "nms/nms.h"

#include <math.h>

enum { LANES = 16 };

float frcnn_nms_bound(double threshold, bool geq)
{
	float nearest = (float)threshold;
	if ((double)nearest > threshold || (geq && (double)nearest == threshold))
		nearest = nextafterf(nearest, -INFINITY);
	return nearest;
}

static float area_of(const float box[4], float plus)
{
	return (box[2] - box[0] + plus) * (box[3] - box[1] + plus);
}

float frcnn_nms_overlap(const float a[4], const float b[4], const struct frcnn_nms_rule *rule)
{
	float x1 = a[0] > b[0] ? a[0] : b[0], y1 = a[1] > b[1] ? a[1] : b[1];
	float x2 = a[2] < b[2] ? a[2] : b[2], y2 = a[3] < b[3] ? a[3] : b[3];
	float width = x2 - x1 + rule->plus, height = y2 - y1 + rule->plus;
	width = width > 0.0f ? width : 0.0f;
	height = height > 0.0f ? height : 0.0f;
	float both = width * height;
	float iou = both / (area_of(a, rule->plus) + area_of(b, rule->plus) - both);
	if (!rule->diou)
		return iou;
	float dx = (a[0] + a[2]) * 0.5f - (b[0] + b[2]) * 0.5f, dy = (a[1] + a[3]) * 0.5f - (b[1] + b[3]) * 0.5f;
	float left = a[0] < b[0] ? a[0] : b[0], top = a[1] < b[1] ? a[1] : b[1];
	float right = a[2] > b[2] ? a[2] : b[2], bottom = a[3] > b[3] ? a[3] : b[3];
	float across = right - left + rule->plus, down = bottom - top + rule->plus;
	return iou - (dx * dx + dy * dy) / (across * across + down * down);
}

/* Boxes that stay, by component, in blocks of LANES. */
struct kept_boxes {
	float *x1, *y1, *x2, *y2, *area;
};

/* Whether box overlaps any of the LANES boxes from first by more than bound. */
static bool block_suppresses(const struct kept_boxes *kept, size_t first, const float *box, float area,
			     const struct frcnn_nms_rule *rule)
{
	const float *restrict x1 = kept->x1 + first, *restrict y1 = kept->y1 + first;
	const float *restrict x2 = kept->x2 + first, *restrict y2 = kept->y2 + first;
	const float *restrict areas = kept->area + first;
	float left = box[0], top = box[1], right = box[2], bottom = box[3];
	float plus = rule->plus, bound = rule->bound;
	int hits = 0;
	for (int i = 0; i < LANES; i++) {
		float xx1 = x1[i] > left ? x1[i] : left;
		float yy1 = y1[i] > top ? y1[i] : top;
		float xx2 = x2[i] < right ? x2[i] : right;
		float yy2 = y2[i] < bottom ? y2[i] : bottom;
		float width = xx2 - xx1 + plus, height = yy2 - yy1 + plus;
		width = width > 0.0f ? width : 0.0f;
		height = height > 0.0f ? height : 0.0f;
		float both = width * height;
		hits |= both / (areas[i] + area - both) > bound;
	}
	return hits != 0;
}

/* The same for DIoU, of which there are never many. */
static bool any_suppresses(const float *boxes, const uint32_t *kept, size_t nkept, const float *box,
			   const struct frcnn_nms_rule *rule)
{
	for (size_t i = 0; i < nkept; i++)
		if (frcnn_nms_overlap(boxes + 4 * (size_t)kept[i], box, rule) > rule->bound)
			return true;
	return false;
}

size_t frcnn_nms_reference(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit,
			   uint32_t *kept)
{
	size_t nkept = 0;
	for (size_t i = 0; i < count && nkept < limit; i++)
		if (!any_suppresses(boxes, kept, nkept, boxes + 4 * i, rule))
			kept[nkept++] = (uint32_t)i;
	return nkept;
}

static size_t few(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit, uint32_t *kept,
		  float *scratch)
{
	size_t room = count + LANES;
	struct kept_boxes set = {scratch, scratch + room, scratch + 2 * room, scratch + 3 * room, scratch + 4 * room};
	size_t nkept = 0;

	for (size_t i = 0; i < count && nkept < limit; i++) {
		const float *box = boxes + 4 * i;
		float area = area_of(box, rule->plus);
		bool stays = true;
		for (size_t first = 0; first < nkept && stays; first += LANES)
			stays = !block_suppresses(&set, first, box, area, rule);
		if (!stays)
			continue;
		if (nkept % LANES == 0) { /* a new block: NaN overlaps nothing */
			for (size_t j = nkept; j < nkept + LANES; j++)
				set.x1[j] = set.y1[j] = set.x2[j] = set.y2[j] = set.area[j] = NAN;
		}
		set.x1[nkept] = box[0];
		set.y1[nkept] = box[1];
		set.x2[nkept] = box[2];
		set.y2[nkept] = box[3];
		set.area[nkept] = area;
		kept[nkept++] = (uint32_t)i;
	}
	return nkept;
}

/* gone |= 1 for what of the block overlaps the box by more than the bound. */
static void suppress_block(struct frcnn_nms_block *restrict block, const float *box, float area,
			   const struct frcnn_nms_rule *rule)
{
	float left = box[0], top = box[1], right = box[2], bottom = box[3];
	float plus = rule->plus, bound = rule->bound;

	for (int i = 0; i < FRCNN_NMS_LANES; i++) {
		float xx1 = block->x1[i] > left ? block->x1[i] : left;
		float yy1 = block->y1[i] > top ? block->y1[i] : top;
		float xx2 = block->x2[i] < right ? block->x2[i] : right;
		float yy2 = block->y2[i] < bottom ? block->y2[i] : bottom;
		float width = xx2 - xx1 + plus, height = yy2 - yy1 + plus;
		width = width > 0.0f ? width : 0.0f;
		height = height > 0.0f ? height : 0.0f;
		float both = width * height;
		block->gone[i] |= both / (block->area[i] + area - both) > bound;
	}
}

static void suppress_block_diou(struct frcnn_nms_block *block, const float *box, const struct frcnn_nms_rule *rule)
{
	for (int i = 0; i < FRCNN_NMS_LANES; i++) {
		float other[4] = {block->x1[i], block->y1[i], block->x2[i], block->y2[i]};
		block->gone[i] |= frcnn_nms_overlap(other, box, rule) > rule->bound;
	}
}

/* Each box that stays takes away what it overlaps. Overlap is symmetric: what it reaches before it in rank is gone
 * already, or is itself. Blocks are taken whole: boxes beside the range are boxes like others. */
static size_t many(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit, uint32_t *kept,
		   float *scratch)
{
	struct frcnn_nms_index index;
	size_t nkept = 0;

	frcnn_nms_index_make(&index, boxes, count, rule->bound, rule->plus, scratch);
	for (size_t i = 0; i < count && nkept < limit; i++) {
		uint32_t at = index.position[i];
		if (at != UINT32_MAX && index.blocks[at / FRCNN_NMS_LANES].gone[at % FRCNN_NMS_LANES])
			continue;
		kept[nkept++] = (uint32_t)i;
		if (at == UINT32_MAX)
			continue;
		float area = index.blocks[at / FRCNN_NMS_LANES].area[at % FRCNN_NMS_LANES];
		size_t n = frcnn_nms_index_find(&index, i);
		for (size_t r = 0; r < n; r++) {
			size_t last = (index.ranges[r].last - 1) / FRCNN_NMS_LANES;
			for (size_t b = index.ranges[r].first / FRCNN_NMS_LANES; b <= last; b++) {
				if (rule->diou)
					suppress_block_diou(&index.blocks[b], boxes + 4 * i, rule);
				else
					suppress_block(&index.blocks[b], boxes + 4 * i, area, rule);
			}
		}
	}
	return nkept;
}

size_t frcnn_nms_greedy(const float *boxes, size_t count, const struct frcnn_nms_rule *rule, size_t limit,
			uint32_t *kept, float *scratch)
{
	/* Below 0, boxes that do not touch suppress each other: nothing to find by place. */
	if (count >= FRCNN_NMS_INDEXED && rule->bound >= 0)
		return many(boxes, count, rule, limit, kept, scratch);
	if (rule->diou)
		return frcnn_nms_reference(boxes, count, rule, limit, kept);
	return few(boxes, count, rule, limit, kept, scratch);
}

size_t frcnn_nms(const float *boxes, size_t count, double threshold, size_t limit, uint32_t *kept, float *scratch)
{
	struct frcnn_nms_rule rule = {.bound = frcnn_nms_bound(threshold, false)};
	return frcnn_nms_greedy(boxes, count, &rule, limit, kept, scratch);
}
