/* Which boxes overlap a box by more than a bound. */
#include "nms/nms.h"

enum { BLOCK = 64 };

void frcnn_nms_neighbours_make(struct frcnn_nms_neighbours *n, const float *boxes, size_t count,
			       const struct frcnn_nms_rule *rule, float *scratch)
{
	n->boxes = boxes;
	n->count = count;
	n->rule = *rule;
	n->indexed = count >= FRCNN_NMS_INDEXED;
	if (n->indexed)
		frcnn_nms_index_make(&n->index, boxes, count, rule->bound > 0 ? rule->bound : 0, rule->plus, scratch);
}

static void overlap_row(const struct frcnn_nms_index *index, size_t first, size_t count, const float *box, float area,
			float plus, float *restrict out)
{
	const float *restrict x1 = index->x1 + first, *restrict y1 = index->y1 + first;
	const float *restrict x2 = index->x2 + first, *restrict y2 = index->y2 + first;
	const float *restrict areas = index->area + first;
	float left = box[0], top = box[1], right = box[2], bottom = box[3];

	for (size_t i = 0; i < count; i++) {
		float xx1 = x1[i] > left ? x1[i] : left;
		float yy1 = y1[i] > top ? y1[i] : top;
		float xx2 = x2[i] < right ? x2[i] : right;
		float yy2 = y2[i] < bottom ? y2[i] : bottom;
		float width = xx2 - xx1 + plus, height = yy2 - yy1 + plus;
		width = width > 0.0f ? width : 0.0f;
		height = height > 0.0f ? height : 0.0f;
		float both = width * height;
		out[i] = both / (areas[i] + area - both);
	}
}

void frcnn_nms_neighbours_visit(struct frcnn_nms_neighbours *n, size_t rank,
				void (*visit)(void *context, size_t other, float overlap), void *context)
{
	float bound = n->rule.bound > 0 ? n->rule.bound : 0, row[BLOCK];
	const float *box = n->boxes + 4 * rank;

	if (!n->indexed) {
		for (size_t i = 0; i < n->count; i++) {
			float overlap = i == rank ? 0 : frcnn_nms_overlap(n->boxes + 4 * i, box, &n->rule);
			if (overlap > bound)
				visit(context, i, overlap);
		}
		return;
	}
	uint32_t at = n->index.position[rank];
	if (at == UINT32_MAX)
		return;
	size_t nranges = frcnn_nms_index_find(&n->index, rank);
	for (size_t r = 0; r < nranges; r++) {
		size_t last = n->index.ranges[r].last;
		for (size_t first = n->index.ranges[r].first; first < last; first += BLOCK) {
			size_t here = last - first < BLOCK ? last - first : BLOCK;
			overlap_row(&n->index, first, here, box, n->index.area[at], n->rule.plus, row);
			for (size_t i = 0; i < here; i++)
				if (row[i] > bound && first + i != at)
					visit(context, n->index.rank[first + i], row[i]);
		}
	}
}
