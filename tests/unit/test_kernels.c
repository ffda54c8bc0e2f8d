/*
 * Every kernel of every table against the reference, on sizes that do not fit
 * its tiles, with guard values around each output. FRCNN_SEED replays a run.
 */
#include "cpu/cpu.h"

#include <criterion/criterion.h>
#include <math.h>

#define GUARD 64
#define MARK  -123456.0f

/* avxvnni_avx512vnni.c */
const struct frcnn_kernels_int8 *avxvnni_in_avx512(void);

static uint64_t state;

static uint32_t draw(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33);
}

static int between(int low, int high)
{
	return low + (int)(draw() % (uint32_t)(high - low + 1));
}

static void seed(void)
{
	const char *text = getenv("FRCNN_SEED");

	state = text ? strtoull(text, NULL, 10) : 20261125;
	cr_log_info("FRCNN_SEED=%llu", (unsigned long long)state);
}

static float *fill(size_t n)
{
	float *out = frcnn_alloc_aligned(n ? n : 1, sizeof *out);

	cr_assert(out != NULL);
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(int)(draw() % 2001) / 1000.0f - 1.0f;
	return out;
}

/* n values between two guards; *whole is what to free. */
static float *guarded(size_t n, float **whole)
{
	*whole = frcnn_alloc_aligned(n + 2 * GUARD, sizeof **whole);
	cr_assert(*whole != NULL);
	for (size_t i = 0; i < n + 2 * GUARD; i++)
		(*whole)[i] = MARK;
	return *whole + GUARD;
}

static void check_guards(const float *whole, size_t n, const char *what)
{
	for (size_t i = 0; i < GUARD; i++)
		cr_assert(whole[i] == MARK && whole[n + GUARD + i] == MARK, "%s writes outside its output", what);
}

/* max|a - b| <= tolerance * max|b|, at least tolerance */
static void check_close(const float *a, const float *b, size_t n, float tolerance, const char *what)
{
	float most = 1, worst = 0;

	for (size_t i = 0; i < n; i++) {
		most = fmaxf(most, fabsf(b[i]));
		worst = fmaxf(worst, fabsf(a[i] - b[i]));
		cr_assert(isfinite(a[i]), "%s: value %zu is not finite", what, i);
	}
	cr_assert(worst <= tolerance * most, "%s: off by %g of %g", what, (double)worst, (double)most);
}

static struct frcnn_conv random_conv(int groups)
{
	struct frcnn_conv v = {.n = between(1, 3), .dilation = 1};

	do {
		v.height = between(1, 23);
		v.width = between(1, 23);
		v.channels = between(1, groups > 1 ? 37 : 40);
		v.out_channels = groups > 1 ? v.channels : between(1, 75);
		v.groups = groups > 1 ? v.channels : 1;
		v.kernel_h = between(1, 7);
		v.kernel_w = between(0, 2) ? v.kernel_h : between(1, 7);
		v.stride = between(1, 2);
		v.pad = between(0, v.kernel_h);
		v.dilation = groups > 1 || between(0, 3) ? 1 : 2;
		v.out_height = (v.height + 2 * v.pad - v.dilation * (v.kernel_h - 1) - 1) / v.stride + 1;
		v.out_width = (v.width + 2 * v.pad - v.dilation * (v.kernel_w - 1) - 1) / v.stride + 1;
	} while (v.height + 2 * v.pad < v.dilation * (v.kernel_h - 1) + 1 ||
		 v.width + 2 * v.pad < v.dilation * (v.kernel_w - 1) + 1);
	v.act = (enum frcnn_gemm_act)between(0, 3);
	return v;
}

/* Packed for an arithmetic, or where how is NULL for Winograd or one filter a channel. */
static void pack(const struct frcnn_kernels *kernels, const struct frcnn_arithmetic *how, const struct frcnn_conv *v,
		 struct frcnn_pool *pool, struct frcnn_packed *out)
{
	memset(out, 0, sizeof *out);
	cr_assert_eq(how              ? frcnn_conv_pack(how, (size_t)kernels->nr, v, pool, out, NULL)
		     : v->groups == 1 ? frcnn_winograd_pack(kernels, v, pool, out, NULL)
				      : frcnn_depthwise_pack(kernels, v, out, NULL),
		     0);
}

static void conv_case(const struct frcnn_kernels *kernels, struct frcnn_conv v, struct frcnn_pool *pool, bool winograd)
{
	size_t nx = (size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels;
	size_t ny = (size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.out_channels;
	size_t nw = (size_t)v.out_channels * (size_t)(v.channels / v.groups) * (size_t)v.kernel_h * (size_t)v.kernel_w;
	float *x = fill(nx), *w = fill(nw), *bias = fill((size_t)v.out_channels), *residual = fill(ny), *whole;
	float *want = fill(ny), *y = guarded(ny, &whole);
	struct frcnn_arithmetic how = frcnn_float_arithmetic(kernels);
	struct frcnn_packed packed;
	float *blocks[4];
	size_t floats = winograd ? frcnn_winograd_scratch(kernels, &v) : frcnn_conv_scratch(kernels);
	struct frcnn_worker_memory memory = {blocks, floats, frcnn_pool_threads(pool)};
	char what[176];

	for (int i = 0; i < memory.workers; i++)
		blocks[i] = fill(memory.floats);
	for (size_t i = 0; i < nx && winograd; i++)
		x[i] /= 16; /* sums of the size of one, as between normalised layers */
	v.weight = w;
	v.bias = between(0, 3) ? bias : NULL;
	v.residual = v.groups == 1 && between(0, 1) ? residual : NULL;
	snprintf(what, sizeof what, "%s: %s %d groups %d, %dx%dx%dx%d to %dx%dx%d, window %dx%d/%d pad %d dilation %d",
		 kernels->name, winograd ? "winograd" : "conv", v.act, v.groups, v.n, v.height, v.width, v.channels,
		 v.out_height, v.out_width, v.out_channels, v.kernel_h, v.kernel_w, v.stride, v.pad, v.dilation);
	frcnn_conv_reference(&v, x, want);
	pack(kernels, winograd || v.groups > 1 ? NULL : &how, &v, pool, &packed);
	if (winograd)
		frcnn_winograd_run(kernels, &v, &packed, pool, &memory, x, y);
	else if (v.groups > 1)
		frcnn_depthwise_run(kernels, &v, &packed, pool, x, y);
	else
		frcnn_conv_run(kernels, &v, &packed, pool, &memory, x, y);
	check_guards(whole, ny, what);
	/* Winograd's own error is up to some 1e-5 of the sums before the activation. */
	check_close(y, want, ny, winograd ? 5e-5f : 1e-5f, what);
	for (int i = 0; i < memory.workers; i++)
		free(blocks[i]);
	frcnn_packed_free(&packed);
	free(x);
	free(w);
	free(bias);
	free(residual);
	free(want);
	free(whole);
}

static void conv_cases(int groups, int cases)
{
	const struct frcnn_kernels *kernels;
	struct frcnn_pool *pool = NULL;

	seed();
	cr_assert_eq(frcnn_pool_new(2, &pool, NULL), 0);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++)
		for (int i = 0; i < cases; i++)
			conv_case(kernels, random_conv(groups), between(0, 1) ? pool : NULL, false);
	frcnn_pool_free(pool);
}

Test(kernels, convolution)
{
	conv_cases(1, 150);
}

Test(kernels, depthwise_convolution)
{
	conv_cases(2, 60);
}

static float through_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	bits += 0x7fff + (bits >> 16 & 1);
	bits &= 0xffff0000;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* The same values as they lie in memory: rounded to bfloat16 in x as well, or x itself. */
static const void *stored(float *x, size_t n, enum frcnn_storage as, uint16_t **half)
{
	*half = NULL;
	if (as == FRCNN_AS_F32)
		return x;
	*half = frcnn_alloc_aligned(n, sizeof **half);
	cr_assert(*half != NULL);
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;

		x[i] = through_bf16(x[i]);
		memcpy(&bits, &x[i], sizeof bits);
		(*half)[i] = (uint16_t)(bits >> 16);
	}
	return *half;
}

/* Everything as it may lie in memory, against the reference over what that holds. */
static void bf16_case(const struct frcnn_kernels *kernels, struct frcnn_conv v, bool winograd)
{
	size_t nx = (size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels;
	size_t ny = (size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.out_channels;
	size_t nw = (size_t)v.out_channels * (size_t)v.channels * (size_t)v.kernel_h * (size_t)v.kernel_w;
	float *x = fill(nx), *w = fill(nw), *bias = fill((size_t)v.out_channels), *residual = fill(ny);
	float *want = fill(ny), *whole, *y = guarded(ny, &whole), *block;
	struct frcnn_packed packed = {0};
	struct frcnn_worker_memory memory = {&block, 0, 1};
	uint16_t *half_x, *half_residual;
	const void *from;

	memory.floats = winograd ? frcnn_winograd_scratch(kernels, &v) : frcnn_conv_scratch(kernels);
	block = fill(memory.floats);
	for (size_t i = 0; i < nx && winograd; i++)
		x[i] /= 16;
	v.x_as = (enum frcnn_storage)between(0, 1);
	v.y_as = (enum frcnn_storage)between(0, 1);
	v.residual_as = (enum frcnn_storage)between(0, 1);
	v.bias = bias;
	v.weight = w;
	pack(kernels, winograd ? NULL : &frcnn_kernels_bf16_get(kernels)->direct, &v, NULL, &packed);
	from = stored(x, nx, v.x_as, &half_x);
	v.residual = stored(residual, ny, v.residual_as, &half_residual);
	if (between(0, 2) == 0)
		v.residual = NULL;
	(winograd ? frcnn_winograd_run : frcnn_conv_run)(kernels, &v, &packed, NULL, &memory, from, y);
	for (size_t k = 0; k < nx && !winograd; k++)
		x[k] = through_bf16(x[k]);
	for (size_t k = 0; k < nw && !winograd; k++)
		w[k] = through_bf16(w[k]);
	v.residual = v.residual ? residual : NULL;
	frcnn_conv_reference(&v, x, want);
	if (v.y_as == FRCNN_AS_BF16) {
		for (size_t k = (ny + 1) / 2; k < ny; k++)
			cr_assert(y[k] == MARK, "bf16 writes too much");
		/* Widened from the end, in place. */
		for (size_t k = ny; k-- > 0;) {
			uint32_t bits = (uint32_t)((uint16_t *)(void *)y)[k] << 16;

			memcpy(&y[k], &bits, sizeof bits);
		}
	}
	check_guards(whole, ny, "bf16");
	check_close(y, want, ny, v.y_as == FRCNN_AS_BF16 ? 4e-3f : winograd ? 5e-5f : 2e-5f, "bf16");
	frcnn_packed_free(&packed);
	free(half_x);
	free(half_residual);
	free(x);
	free(w);
	free(bias);
	free(residual);
	free(want);
	free(whole);
	free(block);
}

/* Rows of outputs so long that windows are read where they lie: borders, tiles across the ends of rows, images. */
static struct frcnn_conv wide_conv(void)
{
	struct frcnn_conv v = {.n = between(1, 2), .dilation = 1, .groups = 1, .act = FRCNN_GEMM_RELU};

	v.height = between(3, 12);
	v.width = between(120, 300);
	v.channels = between(0, 1) ? between(1, 9) : 2 * between(1, 40);
	v.out_channels = between(1, 75);
	v.kernel_h = between(1, 3);
	v.kernel_w = between(1, 7);
	v.stride = between(1, 2);
	v.pad = between(0, v.kernel_h - 1);
	v.out_height = (v.height + 2 * v.pad - v.kernel_h) / v.stride + 1;
	v.out_width = (v.width + 2 * v.pad - v.kernel_w) / v.stride + 1;
	return v;
}

Test(kernels, wide_convolution)
{
	const struct frcnn_kernels *kernels;

	seed();
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++)
		for (int i = 0; i < 40; i++)
			conv_case(kernels, wide_conv(), NULL, false);
}

/* Odd depths, border tiles, several blocks, tensors of either storage. */
Test(kernels, bf16_convolution)
{
	const struct frcnn_kernels *kernels = frcnn_kernels_get(NULL);

	if (!frcnn_kernels_bf16_get(kernels))
		cr_skip_test("this machine has no bfloat16 arithmetic");
	seed();
	for (int i = 0; i < 200; i++) {
		struct frcnn_conv v = i % 3 == 1 ? wide_conv() : random_conv(1);
		bool winograd = i % 3 == 0;

		if (i % 15 == 2)
			v.channels = between(257, 600);
		if (winograd) {
			v = (struct frcnn_conv){.n = 1, .kernel_h = 3, .kernel_w = 3, .stride = 1, .pad = 1};
			v.dilation = v.groups = 1;
			v.height = v.out_height = between(1, 19);
			v.width = v.out_width = between(1, 19);
			v.channels = 16 * between(2, i % 10 ? 4 : 20);
			v.out_channels = between(16, 75);
			v.act = (enum frcnn_gemm_act)between(0, 3);
		}
		bf16_case(kernels, v, winograd);
	}
}

/* Tables of integers beside a set on this machine, and beside avx2 that of AVX-VNNI in the encoding it has. */
static const struct frcnn_kernels_int8 *int8_table(const struct frcnn_kernels *kernels, int i)
{
	const struct frcnn_kernels_int8 *table = frcnn_kernels_int8_list(kernels, i);

	if (!table && !strcmp(kernels->name, "avx2") && i > 0 && frcnn_kernels_int8_list(kernels, i - 1))
		return avxvnni_in_avx512();
	return table;
}

enum algorithm { DIRECT, SMALL, WINOGRAD, DEPTHWISE };

/* An int8 layer over inputs, outputs and residuals of either storage: every bit is the reference's. */
static void int8_case(const struct frcnn_kernels *kernels, const struct frcnn_kernels_int8 *table, struct frcnn_conv v,
		      enum algorithm algorithm, struct frcnn_pool *pool)
{
	static const char *const names[] = {"direct", "7 bits", "winograd", "depthwise"};
	bool winograd = algorithm == WINOGRAD;
	int most = algorithm == SMALL ? 63 : 127;
	bool extremes = between(0, 3) == 0;
	size_t nx = (size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels;
	size_t ny = (size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.out_channels;
	size_t nw = (size_t)v.out_channels * (size_t)(v.channels / v.groups) * (size_t)v.kernel_h * (size_t)v.kernel_w;
	float *x = fill(nx), *scale = fill((size_t)v.out_channels), *bias = fill((size_t)v.out_channels);
	float *residual = fill(ny), *want = fill(ny), *whole, *y = guarded(ny, &whole), *blocks[4];
	struct frcnn_worker_memory memory = {blocks, 0, frcnn_pool_threads(pool)};
	uint8_t *bytes = malloc(nx), *byte_residual = malloc(ny);
	int8_t *w = malloc(nw);
	struct frcnn_packed packed;
	const void *from;
	char what[128];

	for (size_t i = 0; i < nw; i++)
		w[i] = (int8_t)(!extremes ? between(-most, most) : between(0, 3) ? most : -most);
	for (size_t i = 0; i < nx; i++)
		bytes[i] = (uint8_t)(!extremes || between(0, 7) == 0 ? draw() : 255);
	for (size_t i = 0; i < ny; i++)
		byte_residual[i] = (uint8_t)draw();
	for (int k = 0; k < v.out_channels; k++)
		scale[k] = fabsf(scale[k]) * 0.01f + 1e-4f;
	v.quantized = w;
	v.scale = scale;
	v.bias = bias;
	v.x_quant = (struct frcnn_quant){0.01f * (float)between(1, 9), between(0, 255)};
	v.y_quant = (struct frcnn_quant){0.05f * (float)between(1, 40), between(0, 255)};
	v.residual_quant = (struct frcnn_quant){0.07f * (float)between(1, 9), between(0, 255)};
	v.x_as = between(0, 2) ? FRCNN_AS_U8 : FRCNN_AS_F32;
	v.y_as = between(0, 2) ? FRCNN_AS_U8 : FRCNN_AS_F32;
	v.residual_as = between(0, 1) ? FRCNN_AS_U8 : FRCNN_AS_F32;
	if (between(0, 1))
		v.residual = v.residual_as == FRCNN_AS_U8 ? (void *)byte_residual : (void *)residual;
	from = v.x_as == FRCNN_AS_U8 ? (void *)bytes : (void *)x;
	snprintf(what, sizeof what, "%s int8: %s %dx%dx%dx%d to %d, window %dx%d/%d", table->name, names[algorithm],
		 v.n, v.height, v.width, v.channels, v.out_channels, v.kernel_h, v.kernel_w, v.stride);
	memory.floats = winograd ? frcnn_winograd_scratch(kernels, &v) : frcnn_conv_scratch(kernels);
	for (int i = 0; i < memory.workers; i++)
		blocks[i] = fill(memory.floats);
	pack(kernels,
	     algorithm == SMALL    ? &table->small
	     : algorithm == DIRECT ? &table->direct
				   : NULL,
	     &v, pool, &packed);
	if (packed.int8) /* not the best there is but this one */
		packed.int8 = table;
	if (winograd)
		packed.how.gemm_tile = table->gemm_tile_pairs;
	frcnn_conv_int8_reference(&v, from, want);
	v.quantized = NULL;
	if (algorithm == DEPTHWISE)
		frcnn_depthwise_run(kernels, &v, &packed, pool, from, y);
	else
		(winograd ? frcnn_winograd_run : frcnn_conv_run)(kernels, &v, &packed, pool, &memory, from, y);
	cr_assert_arr_eq(y, want, ny * frcnn_storage_size(v.y_as), "%s", what);
	for (size_t k = (ny * frcnn_storage_size(v.y_as) + 3) / 4; k < ny; k++)
		cr_assert(y[k] == MARK, "%s writes too much", what);
	check_guards(whole, ny, what);
	for (int i = 0; i < memory.workers; i++)
		free(blocks[i]);
	frcnn_packed_free(&packed);
	free(x);
	free(bytes);
	free(byte_residual);
	free(residual);
	free(w);
	free(scale);
	free(bias);
	free(want);
	free(whole);
}

/* cases of each table, made by one of the functions below from their number. */
static void int8_cases(enum algorithm algorithm, int cases, struct frcnn_conv (*make)(int number))
{
	const struct frcnn_kernels_int8 *table;
	const struct frcnn_kernels *kernels;
	struct frcnn_pool *pool = NULL;

	seed();
	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++)
		for (int k = 0; (table = int8_table(kernels, k)); k++)
			for (int i = 0; i < cases && (algorithm != SMALL || table->small.gemm_tile); i++)
				int8_case(kernels, table, make(i), algorithm, i % 2 ? pool : NULL);
	frcnn_pool_free(pool);
}

static struct frcnn_conv any_conv(int number)
{
	struct frcnn_conv v = number % 3 == 1 ? wide_conv() : random_conv(1);

	if (number % 15 == 2)
		v.channels = between(257, 1300);
	return v;
}

Test(kernels, int8_convolution_to_the_bit)
{
	int8_cases(DIRECT, 60, any_conv);
}

Test(kernels, int8_convolution_with_7_bits_to_the_bit)
{
	int8_cases(SMALL, 60, any_conv);
}

/* Of weights and inputs as large as they may be. */
static struct frcnn_conv winograd_conv(int number)
{
	struct frcnn_conv v = {
	    .n = between(1, 2), .kernel_h = 3, .kernel_w = 3, .stride = 1, .dilation = 1, .groups = 1};

	v.pad = between(0, 2);
	v.height = between(3, 15);
	v.width = between(3, 15);
	v.out_height = v.height + 2 * v.pad - 2;
	v.out_width = v.width + 2 * v.pad - 2;
	/* 112 at most of extremes */
	v.channels = 16 * between(2, number % 10 ? 4 : 7);
	v.out_channels = between(16, 75);
	v.act = (enum frcnn_gemm_act)between(0, 3);
	return v;
}

Test(kernels, int8_winograd_to_the_bit)
{
	int8_cases(WINOGRAD, 40, winograd_conv);
}

static struct frcnn_conv depthwise_conv(int number)
{
	struct frcnn_conv v = random_conv(2);

	v.channels = v.out_channels = v.groups = between(16, number % 4 ? 40 : 300);
	if (number % 9 == 0) { /* as many taps as there may be */
		v.n = 1;
		v.height = v.width = between(9, 16);
		v.kernel_h = v.kernel_w = 16;
		v.pad = 4;
		v.stride = 1;
		v.out_height = v.out_width = v.height + 8 - 15;
	}
	cr_assert(frcnn_depthwise_fits(&v));
	return v;
}

Test(kernels, int8_depthwise_to_the_bit)
{
	int8_cases(DEPTHWISE, 90, depthwise_conv);
}

/* One weight beyond 7 bits, and two products of bytes may not fit int16. */
Test(kernels, int8_weights_of_7_bits_are_found)
{
	const struct frcnn_kernels_int8 *table;
	const struct frcnn_kernels *kernels;
	int8_t w[17 * 3];
	struct frcnn_conv v = {.kernel_h = 1, .kernel_w = 1, .channels = 17, .out_channels = 3, .quantized = w};

	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		for (int k = 0; (table = int8_table(kernels, k)); k++) {
			memset(w, -63, sizeof w);
			cr_assert(frcnn_int8_arithmetic(table, &v).gemm_tile ==
				  (table->small.gemm_tile ? table->small.gemm_tile : table->direct.gemm_tile));
			for (int sign = -1; sign < 2; sign += 2) {
				w[sizeof w - 1] = (int8_t)(64 * sign);
				cr_assert(frcnn_int8_arithmetic(table, &v).gemm_tile == table->direct.gemm_tile);
			}
		}
	}
}

/* The layers that int8 kernels leave to the reference. */
Test(kernels, int8_depthwise_refuses_what_its_sums_cannot_hold)
{
	float scale[32];
	struct frcnn_conv v = {.channels = 32, .out_channels = 32, .groups = 32, .dilation = 1, .scale = scale};

	v.kernel_h = v.kernel_w = 16;
	cr_assert(frcnn_depthwise_fits(&v));
	v.kernel_w = 17;
	cr_assert(!frcnn_depthwise_fits(&v));
	v.kernel_w = 16;
	v.channels = v.out_channels = v.groups = 15;
	cr_assert(!frcnn_depthwise_fits(&v));
}

/* The proof that sums stay below 2^25, at its edge: 127 * 9 * 64 channels of one sign go, 127 * 9 * 128 do not. */
Test(kernels, int8_winograd_refuses_sums_that_may_be_wrong)
{
	int8_t *w = malloc(16 * 128 * 9);
	float scale[16];
	struct frcnn_conv v = {
	    .kernel_h = 3, .kernel_w = 3, .stride = 1, .dilation = 1, .groups = 1, .out_channels = 16};

	memset(w, 127, 16 * 128 * 9);
	v.quantized = w;
	v.scale = scale;
	v.channels = 112;
	cr_assert(frcnn_winograd_fits(&v));
	v.channels = 128;
	cr_assert(!frcnn_winograd_fits(&v));
	free(w);
}

Test(kernels, bytes_round_half_to_even_and_clamp)
{
	struct frcnn_quant one = {1, 10};
	static const struct {
		float value;
		int byte;
	} cases[] = {{0.5f, 10},    {1.5f, 12},   {2.5f, 12},  {-0.5f, 10},     {-1.5f, 8},     {-10.6f, 0},
		     {245.4f, 255}, {1e30f, 255}, {-1e30f, 0}, {INFINITY, 255}, {-INFINITY, 0}, {NAN, 0}};
	const struct frcnn_kernels *kernels;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_assert_eq(frcnn_to_byte(cases[i].value, one), cases[i].byte, "%g", (double)cases[i].value);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			float x[40];
			uint8_t out[40];

			for (int k = 0; k < 40; k++)
				x[k] = cases[i].value;
			frcnn_kernels_int8_get(kernels)->quantize(out, x, 40, FRCNN_AS_F32, one);
			for (int k = 0; k < 40; k++)
				cr_assert_eq(out[k], cases[i].byte);
		}
	}
}

/* Sizes that are no multiples of 4, filters no multiples of a panel, channels beyond one block of depth. */
Test(kernels, winograd_convolution)
{
	const struct frcnn_kernels *kernels;
	struct frcnn_pool *pool = NULL;

	seed();
	cr_assert_eq(frcnn_pool_new(3, &pool, NULL), 0);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		for (int i = 0; i < 60; i++) {
			struct frcnn_conv v = {
			    .n = between(1, 3), .kernel_h = 3, .kernel_w = 3, .stride = 1, .dilation = 1, .groups = 1};

			v.pad = between(0, 2);
			v.height = between(3, 19);
			v.width = between(3, 19);
			v.out_height = v.height + 2 * v.pad - 2;
			v.out_width = v.width + 2 * v.pad - 2;
			v.channels = 16 * between(2, i % 10 ? 4 : 20);
			v.out_channels = between(16, 75);
			v.act = (enum frcnn_gemm_act)between(0, 3);
			cr_assert(frcnn_winograd_fits(&v));
			conv_case(kernels, v, between(0, 1) ? pool : NULL, true);
		}
	}
	frcnn_pool_free(pool);
}

/* Deep enough for several blocks of depth, several blocks of rows, several groups of panels. */
Test(kernels, convolution_over_several_blocks)
{
	struct frcnn_conv v = {.n = 1,
			       .height = 17,
			       .width = 31,
			       .channels = 130,
			       .out_height = 17,
			       .out_width = 31,
			       .out_channels = 97,
			       .kernel_h = 3,
			       .kernel_w = 3,
			       .stride = 1,
			       .pad = 1,
			       .dilation = 1,
			       .groups = 1,
			       .act = FRCNN_GEMM_RELU};
	const struct frcnn_kernels *kernels;

	seed();
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++)
		conv_case(kernels, v, NULL, false);
}

Test(kernels, elementwise)
{
	const struct frcnn_kernels *kernels;

	seed();
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		for (int i = 0; i < 100; i++) {
			size_t pixels = (size_t)between(1, 9), channels = (size_t)between(1, 70), n = pixels * channels;
			float *x = fill(n), *z = fill(n), *want = fill(n), *whole, *y = guarded(n, &whole);
			enum frcnn_gemm_act act = (enum frcnn_gemm_act)between(0, 3);

			for (size_t k = 0; k < n; k++)
				x[k] *= 5;
			kernels->add_act(y, x, i % 2 ? z : NULL, n, act);
			for (size_t k = 0; k < n; k++)
				want[k] = frcnn_act_reference(x[k] + (i % 2 ? z[k] : 0), act);
			check_guards(whole, n, "add_act");
			check_close(y, want, n, 1e-5f, "add_act");

			kernels->scale_channels(y, x, z, pixels, channels);
			for (size_t k = 0; k < n; k++)
				want[k] = x[k] * z[k % channels];
			check_guards(whole, n, "scale_channels");
			cr_assert_arr_eq(y, want, n * sizeof *y);

			for (size_t k = 0; k < n; k++) {
				y[k] = z[k];
				want[k] = fmaxf(x[k], z[k]);
			}
			kernels->max_into(y, x, n);
			check_guards(whole, n, "max_into");
			cr_assert_arr_eq(y, want, n * sizeof *y);
			free(x);
			free(z);
			free(want);
			free(whole);
		}
	}
}

/* The number of threads must not show in a single bit. */
Test(kernels, same_bits_for_any_number_of_threads)
{
	struct frcnn_conv v = {.n = 3,
			       .height = 19,
			       .width = 23,
			       .channels = 33,
			       .out_height = 19,
			       .out_width = 23,
			       .out_channels = 65,
			       .kernel_h = 3,
			       .kernel_w = 3,
			       .stride = 1,
			       .pad = 1,
			       .dilation = 1,
			       .groups = 1};
	size_t nx = 3 * 19 * 23 * 33, ny = 3 * 19 * 23 * 65;
	float *x, *w, *y[4];

	seed();
	x = fill(nx);
	w = fill(65 * 33 * 9);
	v.weight = w;
	for (int threads = 1; threads <= 4; threads++) {
		struct frcnn_pool *pool = NULL;
		struct frcnn_packed packed;
		float *blocks[4];
		struct frcnn_worker_memory memory = {blocks, 0, threads};
		const struct frcnn_kernels *kernels = frcnn_kernels_get(NULL);

		memory.floats = frcnn_conv_scratch(kernels);
		for (int i = 0; i < threads; i++)
			blocks[i] = fill(memory.floats);
		y[threads - 1] = fill(ny);
		cr_assert_eq(frcnn_pool_new(threads, &pool, NULL), 0);
		struct frcnn_arithmetic how = frcnn_float_arithmetic(kernels);

		pack(kernels, &how, &v, pool, &packed);
		frcnn_conv_run(kernels, &v, &packed, pool, &memory, x, y[threads - 1]);
		cr_assert_arr_eq(y[threads - 1], y[0], ny * sizeof **y);
		for (int i = 0; i < threads; i++)
			free(blocks[i]);
		frcnn_packed_free(&packed);
		frcnn_pool_free(pool);
	}
	for (int i = 0; i < 4; i++)
		free(y[i]);
	free(x);
	free(w);
}

Test(kernels, every_table_is_complete_and_found_by_its_name)
{
	const struct frcnn_kernels *k;
	int count = 0;

	for (; (k = frcnn_kernels_list(count)); count++) {
		cr_assert(k->gemm_tile && k->depthwise_row && k->add_act && k->max_into && k->scale_channels &&
			  k->weigh);
		cr_assert(k->mr > 0 && k->nr > 0);
		cr_assert_eq(frcnn_kernels_get(k->name), k);
		cr_assert_eq(frcnn_kernels_int8_get(k), frcnn_kernels_int8_list(k, 0));
		for (int i = 0; i == 0 || int8_table(k, i); i++) {
			const struct frcnn_kernels_int8 *n = int8_table(k, i);

			cr_assert(n && n->name && n->direct.gemm_tile && n->direct.convert && n->quantize &&
				  n->gemm_tile_pairs && n->winograd_input && n->winograd_output && n->depthwise_row &&
				  n->max_into && n->weigh);
			cr_assert(!n->small.gemm_tile || n->small.a_as == FRCNN_AS_U8);
		}
	}
	cr_assert(count >= 1);
	cr_assert_eq(frcnn_kernels_get(NULL), frcnn_kernels_list(0));
	cr_assert_null(frcnn_kernels_get("sparc"));
}

/* What --version and messages say is what the tables hold. */
Test(kernels, available_names_are_those_of_the_tables)
{
	const struct frcnn_kernels *k;
	const char *built = frcnn_kernels_built(), *available = frcnn_cpu_available();
	struct frcnn_buffer names = {0};

	for (int i = 0; (k = frcnn_kernels_list(i)); i++)
		frcnn_buffer_printf(&names, "%s ", k->name);
	frcnn_buffer_puts(&names, "reference");
	cr_assert_str_eq(available, names.data);
	cr_assert(strlen(built) >= strlen(available));
	cr_assert_str_eq(built + strlen(built) - strlen(available), available);
	frcnn_buffer_free(&names);
}
