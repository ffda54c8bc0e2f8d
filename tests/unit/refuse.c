#include "refuse.h"
#include "base/base.h"

#include <errno.h>

static _Thread_local bool active, for_all, refused;
static _Thread_local size_t countdown;

void refuse_allocation(size_t nth, bool for_good)
{
	active = true;
	for_all = for_good;
	refused = false;
	countdown = nth;
}

bool refuse_end(void)
{
	active = false;
	return refused;
}

static bool refuse(void)
{
	if (!active)
		return false;
	if (countdown > 0) {
		countdown--;
		return false;
	}
	if (refused && !for_all)
		return false;
	refused = true;
	errno = ENOMEM;
	return true;
}

/* The names are the linker's. */
void *__real_frcnn_calloc(size_t count, size_t size);
void *__real_frcnn_realloc(void *block, size_t count, size_t size);
void *__real_frcnn_alloc_aligned(size_t count, size_t size);
char *__real_frcnn_strdup(const char *text);
char *__real_frcnn_strndup(const char *text, size_t size);
int __real_frcnn_grow(void **data, size_t *capacity, size_t needed, size_t element_size);
void *__wrap_frcnn_calloc(size_t count, size_t size);
void *__wrap_frcnn_realloc(void *block, size_t count, size_t size);
void *__wrap_frcnn_alloc_aligned(size_t count, size_t size);
char *__wrap_frcnn_strdup(const char *text);
char *__wrap_frcnn_strndup(const char *text, size_t size);
int __wrap_frcnn_grow(void **data, size_t *capacity, size_t needed, size_t element_size);

void *__wrap_frcnn_calloc(size_t count, size_t size)
{
	return refuse() ? NULL : __real_frcnn_calloc(count, size);
}

void *__wrap_frcnn_realloc(void *block, size_t count, size_t size)
{
	return refuse() ? NULL : __real_frcnn_realloc(block, count, size);
}

void *__wrap_frcnn_alloc_aligned(size_t count, size_t size)
{
	return refuse() ? NULL : __real_frcnn_alloc_aligned(count, size);
}

char *__wrap_frcnn_strdup(const char *text)
{
	return refuse() ? NULL : __real_frcnn_strdup(text);
}

char *__wrap_frcnn_strndup(const char *text, size_t size)
{
	return refuse() ? NULL : __real_frcnn_strndup(text, size);
}

/* Only real growth allocates. */
int __wrap_frcnn_grow(void **data, size_t *capacity, size_t needed, size_t element_size)
{
	if (needed > *capacity && refuse())
		return FRCNN_ENOMEM;
	return __real_frcnn_grow(data, capacity, needed, element_size);
}
