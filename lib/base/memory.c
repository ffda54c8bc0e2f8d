#include "base/base.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

bool frcnn_mul_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

void *frcnn_calloc(size_t count, size_t size)
{
	size_t bytes;
	if (!frcnn_mul_size(count, size, &bytes))
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

void *frcnn_realloc(void *block, size_t count, size_t size)
{
	size_t bytes;
	if (!frcnn_mul_size(count, size, &bytes))
		return NULL;
	return realloc(block, bytes ? bytes : 1);
}

void *frcnn_alloc_aligned(size_t count, size_t size)
{
	size_t bytes;
	if (!frcnn_mul_size(count, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
		return NULL;
	/* aligned_alloc wants whole multiples of the alignment. */
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
}

char *frcnn_strdup(const char *text)
{
	return frcnn_strndup(text, strlen(text));
}

char *frcnn_strndup(const char *text, size_t size)
{
	if (size == SIZE_MAX)
		return NULL;
	char *copy = malloc(size + 1);
	if (!copy)
		return NULL;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

int frcnn_grow(void **data, size_t *capacity, size_t needed, size_t element_size)
{
	if (needed <= *capacity)
		return 0;
	size_t wanted = *capacity < 8 ? 8 : *capacity;
	while (wanted < needed)
		wanted = wanted > SIZE_MAX / 2 ? needed : wanted * 2;
	/* The caller's pointer is rarely a void *: copied as bytes, not read as another type. */
	void *block;
	memcpy(&block, data, sizeof(block));
	block = frcnn_realloc(block, wanted, element_size);
	if (!block)
		return FRCNN_ENOMEM;
	memcpy(data, &block, sizeof(block));
	*capacity = wanted;
	return 0;
}
