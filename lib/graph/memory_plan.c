/*
 * One arena for all blocks: largest first, each at the lowest offset that is free
 * for its whole lifetime (the greedy order of Pisarchyk and Lee 2020).
 */
#include "graph/graph.h"

struct order {
	size_t size;
	size_t index;
};

static int larger_first(const void *a, const void *b)
{
	const struct order *x = a, *y = b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static bool overlap(const struct frcnn_lifetime *a, const struct frcnn_lifetime *b)
{
	return a->first <= b->last && b->first <= a->last;
}

int frcnn_graph_plan_memory(struct frcnn_lifetime *blocks, size_t count, size_t *arena, struct frcnn_error *err)
{
	struct order *order = frcnn_calloc(count, sizeof *order);

	*arena = 0;
	if (!order)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++)
		order[i] = (struct order){blocks[i].size, i};
	qsort(order, count, sizeof *order, larger_first);
	for (size_t i = 0; i < count; i++) {
		struct frcnn_lifetime *block = &blocks[order[i].index];
		bool moved = true;

		block->offset = 0;
		while (moved) {
			moved = false;
			for (size_t k = 0; k < i; k++) {
				const struct frcnn_lifetime *other = &blocks[order[k].index];

				if (overlap(block, other) && block->offset < other->offset + other->size &&
				    other->offset < block->offset + block->size) {
					block->offset = other->offset + other->size;
					moved = true;
				}
			}
		}
		if (block->offset + block->size > *arena)
			*arena = block->offset + block->size;
	}
	free(order);
	return 0;
}
