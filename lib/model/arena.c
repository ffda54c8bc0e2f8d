/* Memory handed out in pieces and given back all at once. */
#include "model/container.h"

#define BLOCK_SIZE ((size_t)64 << 10)

struct frcnn_arena_block {
	struct frcnn_arena_block *next;
	size_t used, size; /* of bytes */
	_Alignas(16) uint8_t bytes[];
};

void *frcnn_arena_alloc(struct frcnn_arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (!frcnn_mul_size(count, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + 15) & ~(size_t)15;
	struct frcnn_arena_block *block = arena->blocks;
	if (block == NULL || block->size - block->used < bytes) {
		size_t room = bytes > BLOCK_SIZE / 4 ? bytes : BLOCK_SIZE;
		block = frcnn_calloc(1, sizeof(*block) + room);
		if (block == NULL)
			return NULL;
		block->size = room;
		/* a large piece fills its block: keep the half-empty one in front */
		if (room != BLOCK_SIZE && arena->blocks != NULL) {
			block->next = arena->blocks->next;
			arena->blocks->next = block;
		} else {
			block->next = arena->blocks;
			arena->blocks = block;
		}
	}
	void *piece = block->bytes + block->used;
	block->used += bytes;
	return piece;
}

char *frcnn_arena_strndup(struct frcnn_arena *arena, const char *text, size_t size)
{
	char *copy = size == SIZE_MAX ? NULL : frcnn_arena_alloc(arena, size + 1, 1);

	if (copy != NULL && size > 0)
		memcpy(copy, text, size);
	return copy;
}

void frcnn_arena_free(struct frcnn_arena *arena)
{
	struct frcnn_arena_block *block = arena->blocks;

	while (block != NULL) {
		struct frcnn_arena_block *next = block->next;
		free(block);
		block = next;
	}
	arena->blocks = NULL;
}
