/* Keys whose order is the rank of boxes, and their sort. */
#include "nms/nms.h"

#include <math.h>

uint64_t frcnn_rank_key(float score, uint32_t index)
{
	if (isnan(score))
		return index;
	score += 0.0f; /* -0 becomes 0 */
	uint32_t bits;
	memcpy(&bits, &score, sizeof(bits));
	/* Larger floats must give smaller numbers: positive ones have every bit but the sign turned over, negative ones
	 * already fall as they grow. */
	uint32_t order = bits & 0x80000000u ? bits : bits ^ 0x7fffffffu;
	return (uint64_t)order << 32 | index;
}

uint32_t frcnn_rank_index(uint64_t key)
{
	return (uint32_t)key;
}

static void insertion(uint64_t *keys, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		uint64_t key = keys[i];
		size_t at = i;
		for (; at > 0 && keys[at - 1] >> 32 > key >> 32; at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

/* Passes of bits bits from the lowest of the upper half; digits that are all the same need no pass. */
static void radix(uint64_t *keys, uint64_t *spare, size_t count, int bits, int passes)
{
	uint32_t starts[3 * 2048];
	size_t radix = (size_t)1 << bits;
	uint64_t *from = keys, *to = spare;

	memset(starts, 0, (size_t)passes * radix * sizeof(*starts));
	for (size_t i = 0; i < count; i++)
		for (int p = 0; p < passes; p++)
			starts[(size_t)p * radix + (keys[i] >> (32 + p * bits) & (radix - 1))]++;
	for (int p = 0; p < passes; p++) {
		uint32_t *start = starts + (size_t)p * radix;
		uint32_t sum = 0;
		if (start[from[0] >> (32 + p * bits) & (radix - 1)] == count)
			continue;
		for (size_t d = 0; d < radix; d++) {
			uint32_t here = start[d];
			start[d] = sum;
			sum += here;
		}
		for (size_t i = 0; i < count; i++)
			to[start[from[i] >> (32 + p * bits) & (radix - 1)]++] = from[i];
		uint64_t *swap = from;
		from = to;
		to = swap;
	}
	if (from != keys)
		memcpy(keys, from, count * sizeof(*keys));
}

void frcnn_rank_radix(uint64_t *keys, uint64_t *spare, size_t count)
{
	if (count <= 40)
		insertion(keys, count);
	else if (count <= 1200)
		radix(keys, spare, count, 8, 4);
	else
		radix(keys, spare, count, 11, 3);
}
