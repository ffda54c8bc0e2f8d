/* A program under ulimit. */
#include "cli/cli.h"

#include <pthread.h>
#include <sys/resource.h>

#ifdef __GLIBC__
#include <malloc.h>

/* Our own threads take a fifth of this; by default they would reserve sixteen times as much, and a thread that has
 * ended leaves its stack to a cache, which gives nothing back. */
#define STACK_BYTES ((size_t)512 << 10)

static bool is_limited(int resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void frcnn_heed_limits(void)
{
	pthread_attr_t attributes;
	size_t stack;

	if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA))
		return;
	/* Each further arena reserves 64 MiB. Large blocks are mapped, always: freed, they are free for all. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	if (pthread_getattr_default_np(&attributes) != 0)
		return;
	if (pthread_attr_getstacksize(&attributes, &stack) == 0 && stack > STACK_BYTES &&
	    pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0)
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}
#else
void frcnn_heed_limits(void)
{
}
#endif
