/* base: the pool of threads. */
#include "base/base.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* gcc's word for what clang has a feature for */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

struct tally {
	atomic_int *times;
	int threads;
	atomic_int bad_worker;
	atomic_int total;
};

static void count_index(void *context, size_t index, int worker)
{
	struct tally *tally = context;
	atomic_fetch_add(&tally->times[index], 1);
	atomic_fetch_add(&tally->total, 1);
	if (worker < 0 || worker >= tally->threads)
		atomic_fetch_add(&tally->bad_worker, 1);
}

/* Every index once, all of it done on return, whatever the number of threads and indices. */
Test(pool, every_index_exactly_once)
{
	for (int threads = 1; threads <= 9; threads += 2) {
		struct frcnn_pool *pool;
		cr_assert_eq(frcnn_pool_new(threads, &pool, NULL), 0);
		cr_assert_eq(frcnn_pool_threads(pool), threads);
		for (int run = 0; run < 600; run++) {
			size_t count = (size_t)(run * 7 % 61);
			atomic_int times[64] = {0};
			struct tally tally = {.times = times, .threads = threads};
			frcnn_pool_run(pool, count, count_index, &tally);
			cr_assert_eq(tally.bad_worker, 0);
			cr_assert_eq((size_t)tally.total, count);
			for (size_t i = 0; i < 64; i++)
				cr_assert_eq(times[i], i < count);
			if (run % 100 == 0)
				usleep(3000); /* long enough for all to fall asleep */
		}
		frcnn_pool_free(pool);
	}
}

/* The same while the pool is held, with as many threads as cores and with far more, nested and let go in between. */
Test(pool, held_or_not_every_index_once)
{
	const int threads[] = {2, frcnn_usable_cores(), 3 * frcnn_usable_cores() + 1};
	for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
		struct frcnn_pool *pool;
		cr_assert_eq(frcnn_pool_new(threads[t], &pool, NULL), 0);
		frcnn_pool_hold(pool);
		for (int run = 0; run < 2000; run++) {
			size_t count = (size_t)(run * 7 % 61);
			atomic_int times[64] = {0};
			struct tally tally = {.times = times, .threads = threads[t]};
			if (run % 7 == 0)
				frcnn_pool_hold(pool);
			frcnn_pool_run(pool, count, count_index, &tally);
			if (run % 7 == 3)
				frcnn_pool_release(pool);
			cr_assert_eq(tally.bad_worker, 0);
			for (size_t i = 0; i < 64; i++)
				cr_assert_eq(times[i], i < count);
			if (run % 500 == 0)
				usleep(3000);
			if (run == 1000)
				frcnn_pool_release(pool);
		}
		frcnn_pool_free(pool);
	}
}

static double processor_seconds(void)
{
	struct timespec used;
	cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
	return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* Nobody waits awake for work that does not come, even where the pool stays held. */
Test(pool, idle_workers_sleep)
{
	for (int held = 0; held < 2; held++) {
		atomic_int times[64] = {0};
		struct tally tally = {.times = times, .threads = 2};
		struct frcnn_pool *pool;
		cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
		if (held)
			frcnn_pool_hold(pool);
		frcnn_pool_run(pool, 64, count_index, &tally);
		double before = processor_seconds();
		usleep(200000);
		cr_assert_lt(processor_seconds() - before, 0.02);
		if (held)
			frcnn_pool_release(pool);
		frcnn_pool_run(pool, 64, count_index, &tally);
		cr_assert_eq(tally.total, 128);
		frcnn_pool_free(pool);
	}
}

Test(pool, none_runs_here)
{
	atomic_int times[8] = {0};
	struct tally tally = {.times = times, .threads = 1};
	frcnn_pool_run(NULL, 8, count_index, &tally);
	cr_assert(tally.total == 8 && tally.bad_worker == 0);
	cr_assert_eq(frcnn_pool_threads(NULL), 1);
	frcnn_pool_hold(NULL);
	frcnn_pool_release(NULL);
	frcnn_pool_free(NULL);
}

static void wait_for_other(void *context, size_t index, int worker)
{
	(void)index;
	(void)worker;
	atomic_int *arrived = context;
	atomic_fetch_add(arrived, 1);
	for (int i = 0; i < 5000 && atomic_load(arrived) < 2; i++)
		usleep(1000);
}

/* Two tasks that wait for each other can only both arrive if two threads are at work. */
Test(pool, works_at_the_same_time)
{
	struct frcnn_pool *pool;
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (int i = 0; i < 5; i++) {
		atomic_int arrived = 0;
		double before = frcnn_seconds();
		frcnn_pool_run(pool, 2, wait_for_other, &arrived);
		cr_assert_lt(frcnn_seconds() - before, 4.0);
		cr_assert_eq(arrived, 2);
	}
	frcnn_pool_free(pool);
}

static atomic_int signalled_here;
static pthread_t caller;

static void on_signal(int number)
{
	(void)number;
	atomic_store(&signalled_here, pthread_equal(pthread_self(), caller) ? 1 : 2);
}

/* A signal for the process reaches the program's thread, not a worker in the middle of a kernel. */
Test(pool, signals_are_left_to_the_caller)
{
	caller = pthread_self();
	struct frcnn_pool *pool;
	cr_assert_eq(frcnn_pool_new(4, &pool, NULL), 0);
	signal(SIGUSR1, on_signal);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 2000 && atomic_load(&signalled_here) == 0; i++)
		usleep(1000);
	cr_assert_eq(signalled_here, 1);
	frcnn_pool_free(pool);
}

/* Where the system refuses threads, fewer do all the work. */
Test(pool, has_fewer_threads_where_some_are_refused)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip_test("sanitizers reserve more than any limit");
#else
	/* A quarter of a gigabyte beyond what is mapped: stacks of 8 MiB for some 30. */
	struct rlimit limit;
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%ld", &pages), 1);
	fclose(file);
	limit.rlim_cur = limit.rlim_max = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + ((rlim_t)256 << 20);
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	int64_t room = frcnn_usable_memory();
	cr_assert(room > 0 && room <= (int64_t)256 << 20, "room for %lld bytes", (long long)room);

	pthread_attr_t attributes;
	cr_assert_eq(pthread_getattr_default_np(&attributes), 0);
	cr_assert_eq(pthread_attr_setstacksize(&attributes, (size_t)8 << 20), 0);
	cr_assert_eq(pthread_setattr_default_np(&attributes), 0);
	struct frcnn_pool *pool;
	struct frcnn_error err;
	cr_assert_eq(frcnn_pool_new(500, &pool, &err), 0, "%s", err.message);
	int threads = frcnn_pool_threads(pool);
	cr_assert(threads >= 1 && threads <= 33, "%d threads", threads);
	atomic_int times[1000] = {0};
	struct tally tally = {.times = times, .threads = threads};
	frcnn_pool_run(pool, FRCNN_COUNT(times), count_index, &tally);
	cr_assert_eq(tally.bad_worker, 0);
	for (size_t i = 0; i < FRCNN_COUNT(times); i++)
		cr_assert_eq(times[i], 1);
	frcnn_pool_free(pool);
#endif
}

Test(pool, no_threads_is_an_error)
{
	struct frcnn_pool *pool = (struct frcnn_pool *)1;
	struct frcnn_error err;
	cr_assert_eq(frcnn_pool_new(0, &pool, &err), FRCNN_EINVAL);
	cr_assert_null(pool);
}

Test(cores, at_least_one_and_no_more_than_there_are)
{
	int cores = frcnn_usable_cores();
	cr_assert(cores >= 1 && cores <= sysconf(_SC_NPROCESSORS_CONF));
}
