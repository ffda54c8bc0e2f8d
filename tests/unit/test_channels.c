/*
 * Kernels that work on channels side by side: what they share of a vector, of a
 * part of the channels and of a row must not show, and every table gives the
 * same bits.
 */
#include "cpu/cpu.h"

#include <criterion/criterion.h>
#include <math.h>

#define MARK -123456.0f

static float *fill(size_t n, unsigned seed)
{
	float *out = frcnn_alloc_aligned(n + 1, sizeof *out);

	cr_assert(out != NULL);
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		out[i] = (float)(seed >> 8) / (float)(1 << 22) - 2.0f;
	}
	return out;
}

/* Guards a value after the last. */
static float *blank(size_t n)
{
	float *out = fill(n, 1);

	for (size_t i = 0; i <= n; i++)
		out[i] = MARK;
	return out;
}

static struct frcnn_conv shape(int height, int width, int channels, int window, int stride, enum frcnn_gemm_act act)
{
	struct frcnn_conv v = {
	    .n = 2,
	    .height = height,
	    .width = width,
	    .channels = channels,
	    .out_channels = channels,
	    .groups = channels,
	    .kernel_h = window,
	    .kernel_w = window,
	    .stride = stride,
	    .pad = window / 2,
	    .dilation = 1,
	    .act = act,
	};

	v.out_height = (height + 2 * v.pad - window) / stride + 1;
	v.out_width = (width + 2 * v.pad - window) / stride + 1;
	return v;
}

/* Against the reference, and every table against the first. */
static void depthwise(struct frcnn_conv v)
{
	size_t nx = (size_t)v.n * (size_t)v.height * (size_t)v.width * (size_t)v.channels;
	size_t ny = (size_t)v.n * (size_t)v.out_height * (size_t)v.out_width * (size_t)v.channels;
	float *x = fill(nx, 2), *w = fill((size_t)(v.channels * v.kernel_h * v.kernel_w), 3), *want = blank(ny);
	float *bias = fill((size_t)v.channels, 4), *first = NULL;
	const struct frcnn_kernels *kernels;

	v.weight = w;
	v.bias = bias;
	frcnn_conv_reference(&v, x, want);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		struct frcnn_packed packed = {0};
		float *y = blank(ny);

		cr_assert_eq(frcnn_depthwise_pack(kernels, &v, &packed, NULL), 0);
		frcnn_depthwise_run(kernels, &v, &packed, NULL, x, y);
		cr_assert_eq(y[ny], MARK);
		for (size_t i = 0; i < ny; i++)
			cr_assert(fabsf(y[i] - want[i]) <= 2e-5f * fmaxf(1, fabsf(want[i])),
				  "%s: window %d/%d over %dx%dx%d, value %zu: %g, not %g", kernels->name, v.kernel_h,
				  v.stride, v.height, v.width, v.channels, i, (double)y[i], (double)want[i]);
		if (first)
			cr_assert_arr_eq(y, first, ny * sizeof *y);
		frcnn_packed_free(&packed);
		if (first)
			free(y);
		else
			first = y;
	}
	free(first);
	free(x);
	free(w);
	free(want);
	free(bias);
}

/* Channels around a vector and a part of every table, widths around what is summed at a time. */
Test(channels, depthwise_of_any_width_has_the_same_bits_in_every_table)
{
	const int channels[] = {2, 3, 4, 7, 8, 15, 16, 17, 24, 33, 72, 127, 128, 129, 136, 143, 144, 200, 257};
	const int windows[] = {3, 5, 3, 5, 1, 2, 7}, strides[] = {1, 1, 2, 2, 1, 2, 1};
	int number = 0;

	for (size_t w = 0; w < FRCNN_COUNT(windows); w++)
		for (size_t c = 0; c < FRCNN_COUNT(channels); c++, number++)
			depthwise(shape(1 + number % 6, 1 + number * 5 % 31, channels[c], windows[w], strides[w],
					(enum frcnn_gemm_act)(number % 4)));
	for (int width = 1; width < 30; width++)
		depthwise(shape(4, width, 20, width % 2 ? 3 : 5, 1 + width / 2 % 2, FRCNN_GEMM_NONE));
}

/* Not-a-numbers, infinities and signed zeros of every activation, in and beyond a whole vector. */
Test(channels, activations_have_the_same_bits_in_every_table)
{
	enum { N = 1000 };
	const float odd[] = {0.0f,     -0.0f,     INFINITY, -INFINITY, 3.0f,  -3.0f,
			     3.00001f, -3.00001f, 1e-40f,   -1e-40f,   3e38f, -3e38f};
	float *x = fill(N, 5), *z = fill(N, 6);
	const struct frcnn_kernels *kernels;

	memcpy(x, odd, sizeof odd);
	memcpy(x + N - FRCNN_COUNT(odd), odd, sizeof odd);
	for (int act = 0; act < 4; act++) {
		for (size_t n = N - 20; n <= N; n++) {
			float *first = NULL;

			for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
				float *y = blank(N);

				kernels->add_act(y, x, n % 2 ? z : NULL, n, (enum frcnn_gemm_act)act);
				for (size_t i = 0; i < n; i++) {
					float want =
					    frcnn_act_reference(x[i] + (n % 2 ? z[i] : 0), (enum frcnn_gemm_act)act);
					cr_assert(y[i] == want || (isnan(y[i]) && isnan(want)) ||
						      fabsf(y[i] - want) <= 1e-6f * fabsf(want),
						  "%s: activation %d of value %zu: %g, not %g", kernels->name, act, i,
						  (double)y[i], (double)want);
				}
				for (size_t i = n; i <= N; i++)
					cr_assert_eq(y[i], MARK);
				if (first)
					cr_assert_arr_eq(y, first, N * sizeof *y);
				if (first)
					free(y);
				else
					first = y;
			}
			free(first);
		}
	}
	free(x);
	free(z);
}

/* What became NaN stays it, so that it is seen; ReLU alone takes it for 0. */
Test(channels, not_a_number_passes_hard_swish)
{
	const struct frcnn_kernels *kernels;

	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		float x[37], y[37];

		for (size_t i = 0; i < FRCNN_COUNT(x); i++)
			x[i] = NAN;
		for (int act = 0; act < 4; act++) {
			kernels->add_act(y, x, NULL, FRCNN_COUNT(x), (enum frcnn_gemm_act)act);
			for (size_t i = 0; i < FRCNN_COUNT(x); i++)
				cr_assert(act == FRCNN_GEMM_RELU ? y[i] == 0 : isnan(y[i]));
		}
	}
}

/* Summed in double, pixel after pixel, whatever the number of channels. */
Test(channels, global_mean)
{
	const int channels[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 40, 65, 120};

	for (size_t k = 0; k < FRCNN_COUNT(channels); k++) {
		struct frcnn_map in = {2, 5, 7, channels[k]};
		size_t c = (size_t)channels[k];
		float *x = fill(2 * 35 * c, 7), *y = blank(2 * c);

		frcnn_global_mean_run(in, NULL, x, y);
		for (size_t n = 0; n < 2; n++) {
			for (size_t i = 0; i < c; i++) {
				double sum = 0;

				for (size_t p = 0; p < 35; p++)
					sum += (double)x[(n * 35 + p) * c + i];
				cr_assert_eq(y[n * c + i], (float)(sum / 35));
			}
		}
		cr_assert_eq(y[2 * c], MARK);
		free(x);
		free(y);
	}
}

/* Weighted sums of rows, beyond and below whole vectors, with the same bits in every table. */
Test(channels, weighted_sums)
{
	enum { N = 300, ROWS = 16 };
	float *rows = fill(N * ROWS, 8), *weight = fill(ROWS, 9);
	const struct frcnn_kernels *kernels;

	for (size_t n = 1; n <= N; n += n < 40 ? 1 : 13) {
		const float *from[ROWS];
		size_t count = n % (ROWS + 1);

		for (size_t k = 0; k < count; k++)
			from[k] = rows + k * n;
		for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
			float *y = blank(n);

			kernels->weigh(y, from, weight, count, n);
			for (size_t i = 0; i < n; i++) {
				volatile float sum = 0, product;

				for (size_t k = 0; k < count; k++) {
					product = from[k][i] * weight[k];
					sum += product;
				}
				cr_assert_eq(y[i], sum, "%s: value %zu of %zu", kernels->name, i, n);
			}
			cr_assert_eq(y[n], MARK);
			free(y);
		}
	}
	free(rows);
	free(weight);
}
