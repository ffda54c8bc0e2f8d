#include "detect/detect.h"

/* A heap with the largest key on top: lets the key at position at sink to its place among count. */
static void sink(uint64_t *keys, size_t count, size_t at)
{
	uint64_t key = keys[at];
	for (;;) {
		size_t child = 2 * at + 1;
		if (child >= count)
			break;
		if (child + 1 < count && keys[child + 1] > keys[child])
			child++;
		if (keys[child] <= key)
			break;
		keys[at] = keys[child];
		at = child;
	}
	keys[at] = key;
}

static void make_heap(uint64_t *keys, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sink(keys, count, i);
}

static void sort_heap(uint64_t *keys, size_t count)
{
	while (count > 1) {
		count--;
		uint64_t largest = keys[0];
		keys[0] = keys[count];
		keys[count] = largest;
		sink(keys, count, 0);
	}
}

void frcnn_rank_sort(uint64_t *keys, size_t count)
{
	make_heap(keys, count);
	sort_heap(keys, count);
}

size_t frcnn_topk(const float *scores, size_t groups, size_t each, size_t stride, size_t k, uint64_t *keys)
{
	size_t held = 0;
	if (k == 0)
		return 0;
	for (size_t g = 0; g < groups; g++) {
		for (size_t j = 0; j < each; j++) {
			uint64_t key = frcnn_rank_key(scores[g * stride + j], (uint32_t)(g * each + j));
			if (held < k) {
				keys[held++] = key;
				if (held == k)
					make_heap(keys, held);
			} else if (key < keys[0]) { /* better than the worst of the best */
				keys[0] = key;
				sink(keys, held, 0);
			}
		}
	}
	if (held < k)
		make_heap(keys, held);
	sort_heap(keys, held);
	return held;
}
