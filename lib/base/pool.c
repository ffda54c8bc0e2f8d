#include "base/base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Looks this often for more work before going to sleep, some microseconds in all: waking a sleeper costs more. */
enum { SPINS = 300 };

struct worker {
	struct frcnn_pool *pool;
	pthread_t thread;
	int number;
};

/* Everything but the atomics is guarded by lock. A worker joins the run that is open when it wakes; one that
 * sleeps through a whole run is not waited for. */
struct frcnn_pool {
	int threads, started; /* the caller is one of threads; started workers besides */
	struct worker *workers;
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	bool open, stop;
	size_t count;
	void (*task)(void *context, size_t index, int worker);
	void *context;
	atomic_uint run;    /* counts runs; guarded for writing */
	atomic_int active;  /* workers inside the open run; guarded for writing */
	atomic_size_t next; /* the index to be taken next */
};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void take_indices(struct frcnn_pool *pool, int worker)
{
	for (;;) {
		size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
		if (index >= pool->count)
			return;
		pool->task(pool->context, index, worker);
	}
}

static void *work(void *argument)
{
	struct worker *self = argument;
	struct frcnn_pool *pool = self->pool;
	unsigned seen = 0;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (atomic_load(&pool->run) == seen) {
			pthread_cond_wait(&pool->wake, &pool->lock);
			continue;
		}
		seen = atomic_load(&pool->run);
		if (!pool->open)
			continue;
		atomic_fetch_add(&pool->active, 1);
		pthread_mutex_unlock(&pool->lock);

		take_indices(pool, self->number);

		pthread_mutex_lock(&pool->lock);
		if (atomic_fetch_sub(&pool->active, 1) == 1)
			pthread_cond_signal(&pool->done);
		pthread_mutex_unlock(&pool->lock);

		for (int i = 0; i < SPINS && atomic_load(&pool->run) == seen; i++)
			pause_briefly();
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
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
	pool->workers = workers;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->done, NULL);
	atomic_init(&pool->run, 0);
	atomic_init(&pool->active, 0);
	atomic_init(&pool->next, 0);

	/* Signals are the business of the program's own threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int code = 0;
	for (int i = 1; i < threads && code == 0; i++) {
		struct worker *worker = &workers[pool->started];
		worker->pool = pool;
		worker->number = i;
		code = pthread_create(&worker->thread, NULL, work, worker);
		if (code == 0)
			pool->started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code != 0) {
		frcnn_pool_free(pool);
		return frcnn_fail_errno(err, "cannot start a thread", code);
	}
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
	for (int i = 0; i < pool->started; i++)
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

void frcnn_pool_run(struct frcnn_pool *pool, size_t count, void (*task)(void *context, size_t index, int worker),
		    void *context)
{
	if (!pool || pool->threads == 1 || count <= 1) {
		for (size_t i = 0; i < count; i++)
			task(context, i, 0);
		return;
	}

	pthread_mutex_lock(&pool->lock);
	pool->count = count;
	pool->task = task;
	pool->context = context;
	pool->open = true;
	atomic_store(&pool->next, 0);
	atomic_fetch_add(&pool->run, 1);
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);

	take_indices(pool, 0);

	/* Nobody may join any more; those inside finish the index they are at. */
	pthread_mutex_lock(&pool->lock);
	pool->open = false;
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < SPINS && atomic_load(&pool->active) > 0; i++)
		pause_briefly();
	pthread_mutex_lock(&pool->lock);
	while (atomic_load(&pool->active) > 0)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}
