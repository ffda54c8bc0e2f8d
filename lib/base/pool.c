/*
 * A pool of threads. A run is opened and closed by one atomic word, the gate,
 * so that runs which follow each other need neither a lock nor the kernel; lock
 * and conditions are for those that sleep.
 */
#include "base/base.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread looks for what it waits for before it sleeps, in looks: waking a sleeper costs some 20 - 50 us on a
 * virtual machine. Between runs that follow each other, and while the pool is held. */
enum { SHORT_LOOKS = 300, LOOKS = 64 };

/* While held: 30 us of mere looking, then of looking and letting others run, 500 us in all. */
#define SPIN_SECONDS  30e-6
#define YIELD_SECONDS 500e-6

/* The gate: bits 0 .. 31 count the workers inside the run, bit 32 says that it may be entered, the rest numbers it. */
#define INSIDE  0xffffffffu
#define OPEN    (UINT64_C(1) << 32)
#define RUN_BIT 33

/* One a thread, the caller's first; each in cache lines of its own. */
struct worker {
	struct frcnn_pool *pool;
	pthread_t thread;
	int number;
	atomic_size_t next; /* of its share of the indices, to be taken next by it or whoever has done with his own */
	size_t end;         /* of its share; written while nobody is inside */
	char apart[64];
};

struct frcnn_pool {
	int threads, started; /* the caller is one of threads; started workers besides */
	bool crowded;         /* more threads than cores: nobody waits awake for long */
	struct worker *workers;

	/* Written while nobody is inside, before the gate opens. */
	void (*task)(void *context, size_t index, int worker);
	void *context;

	pthread_mutex_t lock; /* of stop, and of falling asleep and waking up */
	pthread_cond_t wake, done;
	bool stop;
	atomic_int sleepers; /* workers that wait for wake */
	atomic_bool waiting; /* the caller waits for done */
	atomic_int held;
	atomic_int cpu; /* that the caller was on when it opened a run */

	/* Apart from the rest: it is looked at all the time. */
	char apart[64];
	atomic_uint_least64_t gate;
	char from_the_rest[64];
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One's own share first, and the same one of every run of that many indices: what one layer left in a core's caches the
 * next one finds there. Then what is left of the others'. */
static void take_indices(struct frcnn_pool *pool, int worker)
{
	for (int i = 0; i < pool->threads; i++) {
		struct worker *share = &pool->workers[(worker + i) % pool->threads];
		size_t index;

		while ((index = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed)) < share->end)
			pool->task(pool->context, index, worker);
	}
}

static bool another_run(struct frcnn_pool *pool, uint64_t seen)
{
	return atomic_load(&pool->gate) >> RUN_BIT != seen;
}

static bool nobody_inside(struct frcnn_pool *pool, uint64_t unused)
{
	(void)unused;
	return (atomic_load(&pool->gate) & INSIDE) == 0;
}

/* A worker on the caller's own core only takes time from it, and the scheduler does not move threads that are never
 * idle: one that sleeps is placed anew when it is woken. */
static bool in_the_way(struct frcnn_pool *pool, bool (*came)(struct frcnn_pool *pool, uint64_t seen))
{
	return came == another_run && sched_getcpu() == atomic_load_explicit(&pool->cpu, memory_order_relaxed);
}

/* Looks for what is awaited, longer while the pool is held; whether it came. */
static bool await(struct frcnn_pool *pool, bool (*came)(struct frcnn_pool *pool, uint64_t seen), uint64_t seen)
{
	for (int i = 0; i < SHORT_LOOKS; i++) {
		if (came(pool, seen))
			return true;
		pause_briefly();
	}
	if (pool->crowded || atomic_load(&pool->held) == 0)
		return false;
	for (double begin = frcnn_seconds(), passed = 0;
	     passed < YIELD_SECONDS && atomic_load(&pool->held) > 0 && !in_the_way(pool, came);
	     passed = frcnn_seconds() - begin) {
		for (int i = 0; i < LOOKS; i++) {
			if (came(pool, seen))
				return true;
			pause_briefly();
		}
		if (passed > SPIN_SECONDS)
			sched_yield();
	}
	return came(pool, seen);
}

/* Enters the run that is open, if one is. */
static bool enter(struct frcnn_pool *pool, uint64_t *seen)
{
	uint64_t gate = atomic_load(&pool->gate);

	do {
		*seen = gate >> RUN_BIT;
		if (!(gate & OPEN))
			return false;
	} while (!atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1));
	return true;
}

static void leave(struct frcnn_pool *pool)
{
	if (((atomic_fetch_sub(&pool->gate, 1) - 1) & INSIDE) != 0 || !atomic_load(&pool->waiting))
		return;
	pthread_mutex_lock(&pool->lock);
	pthread_cond_signal(&pool->done);
	pthread_mutex_unlock(&pool->lock);
}

/* A worker joins the run that is open when it looks; one that sleeps through a whole run is not waited for. */
static void *work(void *argument)
{
	struct worker *self = argument;
	struct frcnn_pool *pool = self->pool;
	uint64_t seen = 0;
	bool stop = false;

	while (!stop) {
		if (await(pool, another_run, seen)) {
			if (enter(pool, &seen)) {
				take_indices(pool, self->number);
				leave(pool);
			}
			continue;
		}
		/* Who opens a run looks at sleepers after it, so one of the two sees the other. */
		pthread_mutex_lock(&pool->lock);
		atomic_fetch_add(&pool->sleepers, 1);
		if (!pool->stop && !another_run(pool, seen))
			pthread_cond_wait(&pool->wake, &pool->lock);
		atomic_fetch_sub(&pool->sleepers, 1);
		stop = pool->stop;
		pthread_mutex_unlock(&pool->lock);
	}
	return NULL;
}

int frcnn_pool_new(int threads, struct frcnn_pool **out, struct frcnn_error *err)
{
	*out = NULL;
	if (threads < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "a pool of %d threads", threads);
	struct frcnn_pool *pool = frcnn_calloc(1, sizeof(*pool));
	struct worker *workers = frcnn_calloc((size_t)threads, sizeof(*workers));
	if (!pool || !workers) {
		free(pool);
		free(workers);
		return frcnn_fail_nomem(err);
	}
	pool->threads = threads;
	pool->crowded = threads > frcnn_usable_cores();
	pool->workers = workers;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->done, NULL);
	atomic_init(&pool->sleepers, 0);
	atomic_init(&pool->waiting, false);
	atomic_init(&pool->held, 0);
	atomic_init(&pool->cpu, -1);
	atomic_init(&pool->gate, 0);

	/* Signals are the business of the program's own threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 1; i < threads; i++) {
		struct worker *worker = &workers[i];
		worker->pool = pool;
		worker->number = i;
		if (pthread_create(&worker->thread, NULL, work, worker) != 0)
			break;
		pool->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* Fewer do the same work. Nobody has looked yet: the gate never opened. */
	pool->threads = pool->started + 1;
	*out = pool;
	return 0;
}

void frcnn_pool_free(struct frcnn_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 1; i <= pool->started; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool->workers);
	free(pool);
}

int frcnn_pool_threads(const struct frcnn_pool *pool)
{
	return pool ? pool->threads : 1;
}

static void wake_all(struct frcnn_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}

void frcnn_pool_run(struct frcnn_pool *pool, size_t count, void (*task)(void *context, size_t index, int worker),
		    void *context)
{
	if (!pool || pool->threads == 1 || count <= 1) {
		for (size_t i = 0; i < count; i++)
			task(context, i, 0);
		return;
	}

	for (int i = 0; i < pool->threads; i++) {
		struct worker *share = &pool->workers[i];

		share->end = ((size_t)i + 1) * count / (size_t)pool->threads;
		atomic_store_explicit(&share->next, (size_t)i * count / (size_t)pool->threads, memory_order_relaxed);
	}
	pool->task = task;
	pool->context = context;
	atomic_store_explicit(&pool->cpu, sched_getcpu(), memory_order_relaxed);
	uint64_t number = (atomic_load(&pool->gate) >> RUN_BIT) + 1;
	atomic_store(&pool->gate, number << RUN_BIT | OPEN);
	if (atomic_load(&pool->sleepers) > 0)
		wake_all(pool);

	take_indices(pool, 0);

	/* Nobody may join any more; those inside finish the index they are at. */
	atomic_fetch_sub(&pool->gate, OPEN);
	if (await(pool, nobody_inside, 0))
		return;
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->waiting, true);
	while (!nobody_inside(pool, 0))
		pthread_cond_wait(&pool->done, &pool->lock);
	atomic_store(&pool->waiting, false);
	pthread_mutex_unlock(&pool->lock);
}

void frcnn_pool_hold(struct frcnn_pool *pool)
{
	if (!pool || pool->started == 0)
		return;
	atomic_fetch_add(&pool->held, 1);
	if (atomic_load(&pool->sleepers) > 0)
		wake_all(pool);
}

void frcnn_pool_release(struct frcnn_pool *pool)
{
	if (pool && pool->started > 0)
		atomic_fetch_sub(&pool->held, 1);
}
