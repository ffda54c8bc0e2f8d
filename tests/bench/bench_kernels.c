/*
 * Convolutions of a detector at 800x1088 beside this machine's peak: the rate
 * of independent fused multiply-adds, measured in the same run with the same
 * number of threads. One line a layer and kernel set: GFLOP/s and share of peak.
 *
 *     bench_kernels [threads]
 */
#include "cpu/cpu.h"

#include <math.h>

#define PEAK_STEPS 20000000

#if defined(__x86_64__)
/* Ten chains of FMA on the widest registers of the set: nothing but arithmetic. */
#define CHAINS(reg)                                                                                                    \
	"1:\n\t"                                                                                                       \
	"vfmadd231ps %%" reg "0, %%" reg "0, %%" reg "1\n\tvfmadd231ps %%" reg "0, %%" reg "0, %%" reg "2\n\t"         \
	"vfmadd231ps %%" reg "0, %%" reg "0, %%" reg "3\n\tvfmadd231ps %%" reg "0, %%" reg "0, %%" reg "4\n\t"         \
	"vfmadd231ps %%" reg "0, %%" reg "0, %%" reg "5\n\tvfmadd231ps %%" reg "0, %%" reg "0, %%" reg "6\n\t"         \
	"vfmadd231ps %%" reg "0, %%" reg "0, %%" reg "7\n\tvfmadd231ps %%" reg "0, %%" reg "0, %%" reg "8\n\t"         \
	"vfmadd231ps %%" reg "0, %%" reg "0, %%" reg "9\n\tvfmadd231ps %%" reg "0, %%" reg "0, %%" reg "10\n\t"        \
	"dec %0\n\tjnz 1b\n\tvzeroupper"

static void spin_avx512(void)
{
	long n = PEAK_STEPS / 2;

	__asm__ volatile("vpxord %%zmm0, %%zmm0, %%zmm0\n\t" CHAINS("zmm") : "+r"(n) : : "cc", "memory");
}

static void spin_avx2(void)
{
	long n = PEAK_STEPS;

	__asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n\t" CHAINS("ymm") : "+r"(n) : : "cc", "memory");
}

static void peak_task(void *context, size_t index, int worker)
{
	(void)index;
	(void)worker;
	if (!strcmp(context, "avx512"))
		spin_avx512();
	else
		spin_avx2();
}
#endif

/* FLOP/s of all threads together; 0 where it is not measured. */
static double peak(const char *set, struct frcnn_pool *pool)
{
#if defined(__x86_64__)
	int threads = frcnn_pool_threads(pool);
	double best = 0;

	if (strcmp(set, "avx512") && strcmp(set, "avx2"))
		return 0;
	for (int i = 0; i < 3; i++) {
		double start = frcnn_seconds();

		frcnn_pool_run(pool, (size_t)threads, peak_task, (void *)(uintptr_t)set);
		/* 10 instructions of 8 floats (or half as many of 16), 2 operations each */
		best = fmax(best, (double)threads * PEAK_STEPS * 10 * 8 * 2 / (frcnn_seconds() - start));
	}
	return best;
#else
	(void)set;
	(void)pool;
	return 0;
#endif
}

static const struct {
	const char *name;
	int n, size[2], channels, filters, window, stride, pad;
} layers[] = {
    {"stem 7x7/2", 1, {800, 1088}, 3, 64, 7, 2, 3},
    {"layer1 1x1 64->256", 1, {200, 272}, 64, 256, 1, 1, 0},
    {"layer1 1x1 256->64", 1, {200, 272}, 256, 64, 1, 1, 0},
    {"layer1 3x3 64", 1, {200, 272}, 64, 64, 3, 1, 1},
    {"layer2 1x1 256->128", 1, {200, 272}, 256, 128, 1, 1, 0},
    {"layer2 1x1 512->128", 1, {100, 136}, 512, 128, 1, 1, 0},
    {"layer2 3x3 128", 1, {100, 136}, 128, 128, 3, 1, 1},
    {"layer3 1x1 1024->256", 1, {50, 68}, 1024, 256, 1, 1, 0},
    {"layer3 1x1 256->1024", 1, {50, 68}, 256, 1024, 1, 1, 0},
    {"fpn 1x1 256->256", 1, {200, 272}, 256, 256, 1, 1, 0},
    {"layer3 3x3 256", 1, {50, 68}, 256, 256, 3, 1, 1},
    {"layer4 3x3 512", 1, {25, 34}, 512, 512, 3, 1, 1},
    {"fpn, rpn 3x3 256", 1, {200, 272}, 256, 256, 3, 1, 1},
    {"fc6, 1000 RoIs", 1000, {7, 7}, 256, 1024, 7, 1, 0},
};

static float *fill(size_t n)
{
	float *out = frcnn_alloc_aligned(n, sizeof *out);

	if (!out)
		exit(2);
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(i % 13) * 0.1f - 0.6f;
	return out;
}

static void bench_layer(size_t i, const struct frcnn_kernels *kernels, struct frcnn_pool *pool, double most)
{
	struct frcnn_conv v = {.n = layers[i].n,
			       .height = layers[i].size[0],
			       .width = layers[i].size[1],
			       .channels = layers[i].channels,
			       .out_channels = layers[i].filters,
			       .kernel_h = layers[i].window,
			       .kernel_w = layers[i].window,
			       .stride = layers[i].stride,
			       .pad = layers[i].pad,
			       .dilation = 1,
			       .groups = 1,
			       .act = FRCNN_GEMM_RELU};
	struct frcnn_packed packed = {0};
	struct frcnn_arithmetic how = frcnn_float_arithmetic(kernels);
	struct frcnn_worker_memory memory = {NULL, frcnn_conv_scratch(kernels), frcnn_pool_threads(pool)};
	bool winograd;
	double best = INFINITY, flop;
	float *x, *y, *w;

	v.out_height = (v.height + 2 * v.pad - v.kernel_h) / v.stride + 1;
	v.out_width = (v.width + 2 * v.pad - v.kernel_w) / v.stride + 1;
	x = fill((size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels);
	y = fill((size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.out_channels);
	w = fill((size_t)v.out_channels * (size_t)v.channels * (size_t)v.kernel_h * (size_t)v.kernel_w);
	winograd = frcnn_winograd_fits(&v);
	if (winograd)
		memory.floats = frcnn_winograd_scratch(kernels, &v);
	memory.block = frcnn_calloc((size_t)memory.workers, sizeof *memory.block);
	if (!memory.block)
		exit(2);
	for (int t = 0; t < memory.workers; t++)
		memory.block[t] = fill(memory.floats);
	v.weight = w;
	if (winograd ? frcnn_winograd_pack(kernels, &v, pool, &packed, NULL)
		     : frcnn_conv_pack(&how, (size_t)kernels->nr, &v, pool, &packed, NULL))
		exit(2);
	for (int round = 0; round < 4; round++) {
		double start = frcnn_seconds();

		(winograd ? frcnn_winograd_run : frcnn_conv_run)(kernels, &v, &packed, pool, &memory, x, y);
		best = fmin(best, frcnn_seconds() - start);
	}
	flop = 2.0 * v.n * v.out_height * v.out_width * v.out_channels * v.channels * v.kernel_h * v.kernel_w;
	printf("%-8s %-22s %8.2f ms %8.1f GFLOP/s", kernels->name, layers[i].name, best * 1e3, flop / best * 1e-9);
	if (most > 0)
		printf("  %3.0f%% of peak", 100 * flop / best / most);
	putchar('\n');
	for (int t = 0; t < memory.workers; t++)
		free(memory.block[t]);
	free(memory.block);
	frcnn_packed_free(&packed);
	free(x);
	free(y);
	free(w);
}

int main(int argc, char **argv)
{
	struct frcnn_pool *pool = NULL;
	const struct frcnn_kernels *kernels;
	int64_t threads = frcnn_usable_cores();

	if (argc > 2 ||
	    (argc == 2 && (frcnn_parse_int64(argv[1], strlen(argv[1]), &threads) || threads < 1 || threads > 64))) {
		fprintf(stderr, "usage: bench_kernels [threads]\n");
		return 2;
	}
	if (frcnn_pool_new((int)threads, &pool, NULL))
		return 2;
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		double most = peak(kernels->name, pool);

		if (most > 0)
			printf("%-8s %-22s %11s %8.1f GFLOP/s\n", kernels->name, "peak of FMA", "", most * 1e-9);
		/* The portable table is slow: the first few layers tell. */
		for (size_t i = 0; i < (most > 0 ? FRCNN_COUNT(layers) : 4); i++)
			bench_layer(i, kernels, pool, most);
	}
	frcnn_pool_free(pool);
	return 0;
}
