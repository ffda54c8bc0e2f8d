/* Which boxes overlap a box by more than a bound. */
#include "nms/nms.h"

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

static void overlap_block(const struct frcnn_nms_block *restrict block, const float *box, float area, float plus,
			  float *restrict out)
{
	float left = box[0], top = box[1], right = box[2], bottom = box[3];

	for (int i = 0; i < FRCNN_NMS_LANES; i++) {
		float xx1 = block->x1[i] > left ? block->x1[i] : left;
		float yy1 = block->y1[i] > top ? block->y1[i] : top;
		float xx2 = block->x2[i] < right ? block->x2[i] : right;
		float yy2 = block->y2[i] < bottom ? block->y2[i] : bottom;
		float width = xx2 - xx1 + plus, height = yy2 - yy1 + plus;
		width = width > 0.0f ? width : 0.0f;
		height = height > 0.0f ? height : 0.0f;
		float both = width * height;
		out[i] = both / (block->area[i] + area - both);
	}
}

void frcnn_nms_neighbours_visit(struct frcnn_nms_neighbours *n, size_t rank,
				void (*visit)(void *context, size_t other, float overlap), void *context)
{
	float bound = n->rule.bound > 0 ? n->rule.bound : 0, row[FRCNN_NMS_LANES];
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
	float area = n->index.blocks[at / FRCNN_NMS_LANES].area[at % FRCNN_NMS_LANES];
	for (size_t r = 0; r < nranges; r++) {
		size_t first = n->index.ranges[r].first, last = n->index.ranges[r].last;
		for (size_t b = first / FRCNN_NMS_LANES; b * FRCNN_NMS_LANES < last; b++) {
			overlap_block(&n->index.blocks[b], box, area, n->rule.plus, row);
			for (size_t i = 0; i < FRCNN_NMS_LANES; i++) {
				/* what lies beside the range in its blocks may be in another range: once is enough */
				size_t other = b * FRCNN_NMS_LANES + i;
				if (row[i] > bound && other >= first && other < last && other != at)
					visit(context, n->index.rank[other], row[i]);
			}
		}
	}
}
