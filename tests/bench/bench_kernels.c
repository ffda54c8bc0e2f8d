/*
 * Convolutions of a detector at 800x1088, and depthwise ones of one at 320,
 * beside this machine's peak: the rate of independent steps of the innermost
 * loop (fused multiply-adds, or what there is for integers), measured in the
 * same run with the same number of threads. One line a layer and kernel set, in
 * float32, int8 and int8 of 7 bits: operations of a direct convolution a second
 * and their share of the peak, which Winograd's may exceed; depthwise ones are
 * measured by the peak of FMA, which computes them.
 *
 *     bench_kernels [threads]
 */
#include "cpu/cpu.h"

#include <math.h>

#define PEAK_STEPS 5000000

#if defined(__x86_64__)
/* Ten independent chains of what a kernel's innermost loop does, on registers 1 to 10: nothing but arithmetic. */
#define CHAINS(STEP)                                                                                                   \
	"1:\n\t" STEP("1") STEP("2") STEP("3") STEP("4") STEP("5") STEP("6") STEP("7") STEP("8") STEP("9")             \
	    STEP("10") "dec %0\n\tjnz 1b\n\tvzeroupper"
#define SPIN(name, zero, STEP)                                                                                         \
	static void name(void)                                                                                         \
	{                                                                                                              \
		long n = PEAK_STEPS;                                                                                   \
                                                                                                                       \
		__asm__ volatile(zero "\n\t" CHAINS(STEP) : "+r"(n) : : "cc", "memory");                               \
	}
#define ZERO256       "vpxor %%xmm0, %%xmm0, %%xmm0"
#define ZERO512       "vpxord %%zmm0, %%zmm0, %%zmm0"
#define FMA(reg, n)   "vfmadd231ps %%" reg "0, %%" reg "0, %%" reg n "\n\t"
#define PAIRS(reg, n) "vpmaddwd %%" reg "0, %%" reg "0, %%" reg "11\n\tvpaddd %%" reg "11, %%" reg n ", %%" reg n "\n\t"
#define SMALL(reg, n)                                                                                                  \
	"vpmaddubsw %%" reg "0, %%" reg "0, %%" reg "11\n\tvpmaddwd %%" reg "11, %%" reg "0, %%" reg "12\n\t"          \
	"vpaddd %%" reg "12, %%" reg n ", %%" reg n "\n\t"
#define VNNI(reg, n) "vpdpbusd %%" reg "0, %%" reg "0, %%" reg n "\n\t"
#define FMA256(n)    FMA("ymm", n)
#define FMA512(n)    FMA("zmm", n)
#define PAIRS256(n)  PAIRS("ymm", n)
#define PAIRS512(n)  PAIRS("zmm", n)
#define SMALL256(n)  SMALL("ymm", n)
#define SMALL512(n)  SMALL("zmm", n)
#define VNNI256(n)   "%{vex%} " VNNI("ymm", n)
#define VNNI512(n)   VNNI("zmm", n)
SPIN(fma256, ZERO256, FMA256)
SPIN(fma512, ZERO512, FMA512)
SPIN(pairs256, ZERO256, PAIRS256)
SPIN(pairs512, ZERO512, PAIRS512)
SPIN(small256, ZERO256, SMALL256)
SPIN(small512, ZERO512, SMALL512)
SPIN(vnni256, ZERO256, VNNI256)
SPIN(vnni512, ZERO512, VNNI512)

/* Of a set of kernels, or of a table of integers; operations of a step: of each lane a multiplication and an addition.
 */
static const struct peak {
	const char *name, *what;
	void (*spin)(void);
	int operations;
} peaks[] = {
    {"avx512", "FMA", fma512, 16 * 2},       {"avx2", "FMA", fma256, 8 * 2},
    {"avx512vnni", "int8", vnni512, 64 * 2}, {"avxvnni", "int8", vnni256, 32 * 2},
    {"avx512", "int8", pairs512, 32 * 2},    {"avx2", "int8", pairs256, 16 * 2},
    {"avx512", "7 bits", small512, 64 * 2},  {"avx2", "7 bits", small256, 32 * 2},
};

static void peak_task(void *context, size_t index, int worker)
{
	(void)index;
	(void)worker;
	((const struct peak *)context)->spin();
}

/* Operations a second of all threads together, and a line that tells; 0 where it is not measured. */
static double peak(const char *name, const char *what, struct frcnn_pool *pool)
{
	int threads = frcnn_pool_threads(pool);
	double best = 0;

	for (size_t k = 0; k < FRCNN_COUNT(peaks); k++) {
		if (strcmp(peaks[k].name, name) || strcmp(peaks[k].what, what))
			continue;
		for (int i = 0; i < 3; i++) {
			struct peak p = peaks[k];
			double start = frcnn_seconds();

			frcnn_pool_run(pool, (size_t)threads, peak_task, &p);
			best = fmax(best, (double)threads * PEAK_STEPS * 10 * p.operations / (frcnn_seconds() - start));
		}
		printf("%-10s %-6s %-22s %11s %8.1f Gop/s\n", name, what, "peak", "", best * 1e-9);
	}
	return best;
}
#else
static double peak(const char *name, const char *what, struct frcnn_pool *pool)
{
	(void)name;
	(void)what;
	(void)pool;
	return 0;
}
#endif

static const struct {
	const char *name;
	int n, size[2], channels, filters, window, stride, pad; /* filters 0: one a channel */
} layers[] = {
    {"stem 7x7/2", 1, {800, 1088}, 3, 64, 7, 2, 3},
    {"layer1 1x1 64->256", 1, {200, 272}, 64, 256, 1, 1, 0},
    {"layer1 1x1 256->64", 1, {200, 272}, 256, 64, 1, 1, 0},
    {"layer1 3x3 64", 1, {200, 272}, 64, 64, 3, 1, 1},
    {"layer2 1x1 256->128", 1, {200, 272}, 256, 128, 1, 1, 0},
    {"layer2 3x3/2 128", 1, {200, 272}, 128, 128, 3, 2, 1},
    {"layer2 1x1 512->128", 1, {100, 136}, 512, 128, 1, 1, 0},
    {"layer2 3x3 128", 1, {100, 136}, 128, 128, 3, 1, 1},
    {"layer3 1x1 1024->256", 1, {50, 68}, 1024, 256, 1, 1, 0},
    {"layer3 1x1 256->1024", 1, {50, 68}, 256, 1024, 1, 1, 0},
    {"fpn 1x1 256->256", 1, {200, 272}, 256, 256, 1, 1, 0},
    {"layer3 3x3 256", 1, {50, 68}, 256, 256, 3, 1, 1},
    {"layer4 3x3 512", 1, {25, 34}, 512, 512, 3, 1, 1},
    {"fpn, rpn 3x3 256", 1, {200, 272}, 256, 256, 3, 1, 1},
    {"fc6, 1000 RoIs", 1000, {7, 7}, 256, 1024, 7, 1, 0},
    {"depthwise 3x3 16", 1, {160, 224}, 16, 0, 3, 1, 1},
    {"depthwise 3x3/2 64", 1, {160, 224}, 64, 0, 3, 2, 1},
    {"depthwise 5x5/2 72", 1, {80, 112}, 72, 0, 5, 2, 2},
    {"depthwise 5x5 120", 1, {40, 56}, 120, 0, 5, 1, 2},
    {"depthwise 3x3 480", 1, {20, 28}, 480, 0, 3, 1, 1},
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

/* What is measured: a set's kernels in float32, or those of a table of integers with weights up to `most_weight`. */
struct way {
	const struct frcnn_kernels *kernels;
	const struct frcnn_kernels_int8 *int8; /* or NULL */
	const char *name, *what;
	int most_weight;
	double peak, peak_fma;
};

static int8_t *fill_int8(size_t n, int most)
{
	int8_t *out = frcnn_alloc_aligned(n, sizeof *out);

	if (!out)
		exit(2);
	for (size_t i = 0; i < n; i++)
		out[i] = (int8_t)((int)(i * 37 % (size_t)(2 * most + 1)) - most);
	return out;
}

static void bench_layer(size_t i, const struct way *way, struct frcnn_pool *pool)
{
	const struct frcnn_kernels *kernels = way->kernels;
	bool depthwise = layers[i].filters == 0, winograd;
	struct frcnn_conv v = {.n = layers[i].n,
			       .height = layers[i].size[0],
			       .width = layers[i].size[1],
			       .channels = layers[i].channels,
			       .out_channels = depthwise ? layers[i].channels : layers[i].filters,
			       .kernel_h = layers[i].window,
			       .kernel_w = layers[i].window,
			       .stride = layers[i].stride,
			       .pad = layers[i].pad,
			       .dilation = 1,
			       .groups = depthwise ? layers[i].channels : 1,
			       .act = FRCNN_GEMM_RELU};
	struct frcnn_packed packed = {0};
	struct frcnn_arithmetic how = frcnn_float_arithmetic(kernels);
	struct frcnn_worker_memory memory = {NULL, frcnn_conv_scratch(kernels), frcnn_pool_threads(pool)};
	double best = INFINITY, operations, most = depthwise ? way->peak_fma : way->peak;
	size_t weights =
	    (size_t)v.out_channels * (size_t)(v.channels / v.groups) * (size_t)v.kernel_h * (size_t)v.kernel_w;
	float *x, *y, *w = fill(weights), *scale = fill((size_t)v.out_channels);
	int8_t *quantized = fill_int8(weights, way->most_weight);
	int status;

	v.out_height = (v.height + 2 * v.pad - v.kernel_h) / v.stride + 1;
	v.out_width = (v.width + 2 * v.pad - v.kernel_w) / v.stride + 1;
	v.weight = w;
	if (way->int8) {
		v.quantized = quantized;
		v.scale = scale;
		v.x_quant = v.y_quant = (struct frcnn_quant){0.1f, 100};
		v.x_as = v.y_as = FRCNN_AS_U8;
	}
	/* In bytes, whatever they are. */
	x = fill((size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels);
	y = fill((size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.out_channels);
	winograd = frcnn_winograd_fits(&v);
	if (winograd)
		memory.floats = frcnn_winograd_scratch(kernels, &v);
	memory.block = frcnn_calloc((size_t)memory.workers, sizeof *memory.block);
	if (!memory.block)
		exit(2);
	for (int t = 0; t < memory.workers; t++)
		memory.block[t] = fill(memory.floats);
	if (way->int8 && !depthwise)
		how = frcnn_int8_arithmetic(way->int8, &v);
	status = depthwise  ? frcnn_depthwise_pack(kernels, &v, &packed, NULL)
		 : winograd ? frcnn_winograd_pack(kernels, &v, pool, &packed, NULL)
			    : frcnn_conv_pack(&how, (size_t)kernels->nr, &v, pool, &packed, NULL);
	if (status)
		exit(2);
	if (packed.int8) { /* this table, which need not be the best beside the set */
		packed.int8 = way->int8;
		packed.how.gemm_tile = way->int8->gemm_tile_pairs;
	}
	for (int round = 0; round < 4; round++) {
		double start = frcnn_seconds();

		if (depthwise)
			frcnn_depthwise_run(kernels, &v, &packed, pool, x, y);
		else
			(winograd ? frcnn_winograd_run : frcnn_conv_run)(kernels, &v, &packed, pool, &memory, x, y);
		best = fmin(best, frcnn_seconds() - start);
	}
	operations = 2.0 * v.n * v.out_height * v.out_width * (double)weights;
	printf("%-10s %-6s %-22s %8.2f ms %8.1f Gop/s", way->name, way->what, layers[i].name, best * 1e3,
	       operations / best * 1e-9);
	if (most > 0)
		printf("  %3.0f%% of peak", 100 * operations / best / most);
	putchar('\n');
	for (int t = 0; t < memory.workers; t++)
		free(memory.block[t]);
	free(memory.block);
	frcnn_packed_free(&packed);
	free(x);
	free(y);
	free(w);
	free(scale);
	free(quantized);
}

/* The portable table is slow: the first few layers tell. */
static void bench_way(const struct way *way, struct frcnn_pool *pool)
{
	for (size_t i = 0; i < (strcmp(way->kernels->name, "c") ? FRCNN_COUNT(layers) : 4); i++)
		bench_layer(i, way, pool);
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
		const struct frcnn_kernels_int8 *int8;
		double fma = peak(kernels->name, "FMA", pool);

		bench_way(&(struct way){kernels, NULL, kernels->name, "float", 127, fma, fma}, pool);
		for (int k = 0; (int8 = frcnn_kernels_int8_list(kernels, k)); k++) {
			bench_way(
			    &(struct way){kernels, int8, int8->name, "int8", 127, peak(int8->name, "int8", pool), fma},
			    pool);
			if (int8->small.gemm_tile)
				bench_way(&(struct way){kernels, int8, int8->name, "7 bits", 63,
							peak(int8->name, "7 bits", pool), fma},
					  pool);
		}
	}
	frcnn_pool_free(pool);
	return 0;
}
