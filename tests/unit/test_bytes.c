/*
 * Tensors in bytes between nodes: whole int8 networks give the same bits on
 * every kernel set, and what pools, copies or rounds bytes gives what its float
 * form would have given.
 */
#include "cpu/cpu.h"
#include "detect/detect.h"
#include "int8_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

static uint32_t state = 7;

static uint32_t draw(void)
{
	state = state * 1664525u + 1013904223u;
	return state >> 8;
}

static uint8_t *draw_bytes(size_t n)
{
	uint8_t *out = malloc(n);

	cr_assert_not_null(out);
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(draw() >> 8);
	return out;
}

static float *draw_floats(size_t n)
{
	float *out = frcnn_alloc_aligned(n, sizeof *out);

	cr_assert_not_null(out);
	for (size_t i = 0; i < n; i++)
		out[i] = (float)draw() / (float)(1 << 23) - 1.0f;
	return out;
}

/* ---- kernels ----------------------------------------------------------------------- */

Test(bytes, weighted_sums)
{
	enum { N = 300, ROWS = 16 };
	const struct frcnn_quant quant = {0.0371f, 113};
	uint8_t *rows = draw_bytes(N * ROWS);
	float *weight = draw_floats(ROWS), y[N + 1], want[N];
	const struct frcnn_kernels *kernels;

	for (size_t n = 1; n <= N; n += n < 40 ? 1 : 13) {
		const uint8_t *from[ROWS];
		size_t count = n % (ROWS + 1);

		for (size_t k = 0; k < count; k++)
			from[k] = rows + k * n;
		frcnn_weigh_reference(want, from, quant, weight, count, n);
		for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
			y[n] = -1;
			frcnn_kernels_int8_get(kernels)->weigh(y, from, quant, weight, count, n);
			cr_assert_arr_eq(y, want, n * sizeof *y, "%s: %zu values", kernels->name, n);
			cr_assert_eq(y[n], -1);
		}
	}
	free(rows);
	free(weight);
}

/* Rounding keeps the order: the maximum of bytes is the byte of the maximum. */
Test(bytes, max_pool)
{
	const struct frcnn_quant quant = {0.011f, 90};
	struct frcnn_map in = {2, 13, 17, 37}, out = {2, 7, 9, 37};
	size_t nx = 2 * 13 * 17 * 37, ny = 2 * 7 * 9 * 37;
	float *x = draw_floats(nx), *y = draw_floats(ny);
	uint8_t *bytes = draw_bytes(nx), *got = draw_bytes(ny);
	const struct frcnn_kernels *kernels;

	for (size_t i = 0; i < nx; i++)
		bytes[i] = frcnn_to_byte(x[i], quant);
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		frcnn_max_pool_run(kernels, in, out, 3, 2, 1, FRCNN_AS_F32, NULL, x, y);
		frcnn_max_pool_run(kernels, in, out, 3, 2, 1, FRCNN_AS_U8, NULL, bytes, got);
		for (size_t i = 0; i < ny; i++)
			cr_assert_eq(got[i], frcnn_to_byte(y[i], quant), "%s: value %zu", kernels->name, i);
	}
	free(x);
	free(y);
	free(bytes);
	free(got);
}

/* A float convolution that writes bytes writes those of what it would have written. */
Test(bytes, float_convolution)
{
	struct frcnn_conv v = {.n = 1, .kernel_h = 5, .kernel_w = 5, .stride = 2, .pad = 2, .dilation = 1, .groups = 1};
	const struct frcnn_kernels *kernels;

	v.y_quant = (struct frcnn_quant){0.02f, 31};
	for (int round = 0; round < 12; round++) {
		size_t ny, nx;
		float *x, *weight, *bias, *floats;
		uint8_t *bytes;

		v.height = 9 + round;
		v.width = 11 + 3 * round;
		v.channels = round % 2 ? 3 : 130;
		v.out_channels = 5 + 11 * round;
		v.out_height = (v.height - 1) / 2 + 1;
		v.out_width = (v.width - 1) / 2 + 1;
		v.act = (enum frcnn_gemm_act)(round % 4);
		nx = (size_t)(v.height * v.width * v.channels);
		ny = (size_t)(v.out_height * v.out_width * v.out_channels);
		x = draw_floats(nx);
		floats = draw_floats(ny);
		bytes = draw_bytes(ny + 1);
		weight = draw_floats((size_t)(v.out_channels * v.channels) * 25);
		bias = draw_floats((size_t)v.out_channels);
		v.weight = weight;
		v.bias = bias;
		for (int t = 0; t == 0 || frcnn_kernels_list(t - 1); t++) {
			struct frcnn_packed packed = {0};
			struct frcnn_arithmetic how;
			float *block;
			struct frcnn_worker_memory scratch = {&block, 0, 1};

			kernels = t ? frcnn_kernels_list(t - 1) : NULL;
			bytes[ny] = 99;
			if (!kernels) {
				v.y_as = FRCNN_AS_F32;
				frcnn_conv_reference(&v, x, floats);
				v.y_as = FRCNN_AS_U8;
				frcnn_conv_reference(&v, x, bytes);
			} else {
				how = frcnn_float_arithmetic(kernels);
				block = draw_floats(frcnn_conv_scratch(kernels));
				cr_assert_eq(frcnn_conv_pack(&how, (size_t)kernels->nr, &v, NULL, &packed, NULL), 0);
				v.y_as = FRCNN_AS_F32;
				frcnn_conv_run(kernels, &v, &packed, NULL, &scratch, x, floats);
				v.y_as = FRCNN_AS_U8;
				frcnn_conv_run(kernels, &v, &packed, NULL, &scratch, x, bytes);
				frcnn_packed_free(&packed);
				free(block);
			}
			for (size_t i = 0; i < ny; i++)
				cr_assert_eq(bytes[i], frcnn_to_byte(floats[i], v.y_quant), "%s: value %zu",
					     kernels ? kernels->name : "reference", i);
			cr_assert_eq(bytes[ny], 99);
		}
		free(x);
		free(weight);
		free(bias);
		free(floats);
		free(bytes);
	}
}

/* What lies far outside, is infinite or no number becomes the reference's byte, in whole and in broken tiles. */
Test(bytes, odd_values_of_int8_convolutions)
{
	static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 3e9f, -3e9f, 0, 127.5f, -0.5f};
	const struct frcnn_kernels *kernels;

	for (int round = 0; round < 12; round++) {
		bool winograd = round % 2;
		struct frcnn_conv v = {
		    .n = 1, .height = 9, .width = 7, .channels = 32, .out_height = 9, .out_width = 7};
		size_t nx = 9 * 7 * 32, ny, nw;
		uint8_t *x = draw_bytes(nx), *want, *got;
		float *bias, *scale;
		int8_t *w;

		v.out_channels = round < 6 ? 64 : 16 + 7 * round;
		v.kernel_h = v.kernel_w = winograd ? 3 : 1;
		v.pad = winograd;
		v.stride = v.dilation = v.groups = 1;
		v.act = (enum frcnn_gemm_act)(round / 2 % 4);
		v.x_as = v.y_as = FRCNN_AS_U8;
		v.x_quant = (struct frcnn_quant){0.01f, 20};
		v.y_quant = (struct frcnn_quant){0.5f, round * 20};
		ny = 9 * 7 * (size_t)v.out_channels;
		nw = 32 * (size_t)(v.kernel_h * v.kernel_w * v.out_channels);
		want = draw_bytes(ny);
		got = draw_bytes(ny);
		w = (int8_t *)draw_bytes(nw);
		for (size_t i = 0; i < nw; i++)
			w[i] = w[i] == -128 ? 0 : w[i];
		bias = draw_floats((size_t)v.out_channels);
		scale = draw_floats((size_t)v.out_channels);
		for (int k = 0; k < v.out_channels; k++) {
			bias[k] = odd[(size_t)k % FRCNN_COUNT(odd)];
			scale[k] = 0.001f;
		}
		v.quantized = w;
		v.scale = scale;
		v.bias = bias;
		frcnn_conv_int8_reference(&v, x, want);
		for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
			struct frcnn_packed packed = {0};
			float *block;
			struct frcnn_worker_memory scratch = {&block, 0, 1};
			const struct frcnn_arithmetic *how = &frcnn_kernels_int8_get(kernels)->direct;

			block =
			    draw_floats(winograd ? frcnn_winograd_scratch(kernels, &v) : frcnn_conv_scratch(kernels));
			cr_assert_eq(winograd ? frcnn_winograd_pack(kernels, &v, NULL, &packed, NULL)
					      : frcnn_conv_pack(how, (size_t)kernels->nr, &v, NULL, &packed, NULL),
				     0);
			(winograd ? frcnn_winograd_run : frcnn_conv_run)(kernels, &v, &packed, NULL, &scratch, x, got);
			for (size_t i = 0; i < ny; i++)
				cr_assert_eq(got[i], want[i], "%s, round %d: value %zu is %d, not %d", kernels->name,
					     round, i, got[i], want[i]);
			frcnn_packed_free(&packed);
			free(block);
		}
		free(x);
		free(want);
		free(got);
		free(w);
		free(bias);
		free(scale);
	}
}

/* ---- RoIs --------------------------------------------------------------------------- */

/* With a scale that is a power of two nothing is rounded otherwise: bytes pool to the bits that floats do. */
Test(bytes, regions)
{
	enum { LEVELS = 3, CHANNELS = 45, BOXES = 40 };
	const struct frcnn_quant quant = {1.0f / 64, 77};
	size_t floats = (size_t)BOXES * 49 * CHANNELS;
	struct frcnn_feature real[LEVELS], bytes[LEVELS];
	struct frcnn_workspace workspace = {0};
	float *want = draw_floats(floats), *got = draw_floats(floats), boxes[BOXES * 4];
	const struct frcnn_kernels *kernels;

	for (int l = 0; l < LEVELS; l++) {
		int height = 60 >> l, width = 80 >> l;
		size_t n = (size_t)(height * width) * CHANNELS;
		uint8_t *byte = draw_bytes(n);
		float *value = draw_floats(n);

		for (size_t i = 0; i < n; i++)
			value[i] = (float)(byte[i] - quant.zero) * quant.scale;
		real[l] = (struct frcnn_feature){value, height, width, 0.25f / (float)(1 << l), NULL, {0, 0}};
		bytes[l] = (struct frcnn_feature){NULL, height, width, real[l].scale, byte, quant};
	}
	for (int i = 0; i < BOXES; i++) {
		boxes[4 * i] = (float)(draw() % 300) - 10;
		boxes[4 * i + 1] = (float)(draw() % 220) - 10;
		boxes[4 * i + 2] = boxes[4 * i] + (float)(draw() % 900) / 3;
		boxes[4 * i + 3] = boxes[4 * i + 1] + (float)(draw() % 700) / 3;
	}
	for (int t = 0; (kernels = frcnn_kernels_list(t)); t++) {
		workspace.kernels = kernels;
		for (int pool = 0; pool < 2; pool++) {
			struct frcnn_roi_sink to_want = {.data = want}, to_got = {.data = got};

			cr_assert_eq((pool ? frcnn_roi_pool : frcnn_roi_align)(NULL, real, LEVELS, CHANNELS, boxes,
									       BOXES, &workspace, to_want, NULL),
				     0);
			memset(got, 0xff, floats * sizeof *got);
			cr_assert_eq((pool ? frcnn_roi_pool : frcnn_roi_align)(NULL, bytes, LEVELS, CHANNELS, boxes,
									       BOXES, &workspace, to_got, NULL),
				     0);
			for (size_t i = 0; i < floats; i++)
				cr_assert_eq(got[i], want[i], "%s, pool %d: value %zu", kernels->name, pool, i);
		}
	}
	for (int l = 0; l < LEVELS; l++) {
		free((void *)(uintptr_t)real[l].data);
		free((void *)(uintptr_t)bytes[l].bytes);
	}
	frcnn_workspace_free(&workspace);
	free(want);
	free(got);
}

/* ---- whole networks ------------------------------------------------------------------ */

/* A tiny model with all layers int8, each with a scale of its own, or where alike with one scale, so that tensors
 * between them lie in bytes. */
static struct frcnn_model *make_model(const char *arch, bool alike)
{
	struct frcnn_model_options options;
	struct frcnn_model *from, *model;
	struct made_model made;
	struct frcnn_error err;
	char path[160];

	frcnn_model_options_init(&options);
	options.arch = arch;
	snprintf(path, sizeof path, "tests/golden/models/%s.safetensors", arch);
	cr_assert_eq(frcnn_model_open(path, &options, &from, &err), 0, "%s", err.message);
	made_fold(from, &made);
	for (size_t i = 0, count = made.count; i < count; i++) {
		const char *name = made.tensors[i].name;
		char layer[160];
		bool one = alike || strstr(name, "cls_") || strstr(name, "pred"); /* pairs run as one */

		if (made.tensors[i].ndim < 2)
			continue;
		snprintf(layer, sizeof layer, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
		made_quantize(&made, layer, 1, one ? 0.02f : 0.01f + 0.001f * (float)(i % 50),
			      one ? 100 : (int)(i % 200));
	}
	snprintf(path, sizeof path, "/tmp/frcnn-bytes-%ld.safetensors", (long)getpid());
	made_write(&made, from, path);
	made_free(&made);
	frcnn_model_close(from);
	frcnn_model_options_init(&options);
	cr_assert_eq(frcnn_model_open(path, &options, &model, &err), 0, "%s", err.message);
	unlink(path);
	return model;
}

/* What a graph computes of seeded inputs, by one kernel set; every output in turn. Returns how many lie in bytes. */
static int compute(struct frcnn_graph *graph, const char *cpu, int n, int side, struct frcnn_buffer *out)
{
	const struct frcnn_backend *backend = &frcnn_backend_cpu;
	size_t count = (size_t)n * (size_t)side * (size_t)side * (size_t)graph->nodes[0].channels;
	float *input;
	struct frcnn_error err;
	void *network;
	int bytes = 0;

	state = 11;
	input = draw_floats(count);
	cr_assert_eq(backend->prepare(graph, cpu, FRCNN_PRECISION_FP32, NULL, &network, &err), 0, "%s", err.message);
	cr_assert_eq(backend->plan(network, n, side, side, &err), 0, "%s", err.message);
	backend->store(network, 0, input, count);
	cr_assert_eq(backend->run(network, n, &err), 0, "%s", err.message);
	for (int i = 0; i < graph->noutputs; i++) {
		struct frcnn_feature_map map = backend->output(network, i);
		size_t values = (size_t)n * (size_t)map.height * (size_t)map.width * (size_t)map.channels;

		cr_assert((map.data == NULL) == (map.bytes != NULL));
		bytes += map.bytes != NULL;
		if (map.bytes)
			frcnn_buffer_add(out, map.bytes, values);
		else
			frcnn_buffer_add(out, map.data, values * sizeof(float));
	}
	backend->release(network);
	free(input);
	return bytes;
}

/* Both graphs of an int8 model, by every kernel set and the plain reference. */
static void same_bits(const struct frcnn_model *model, int want_bytes)
{
	static const char *const sets[] = {"reference", "c", "avx2", "avx512"};
	struct frcnn_buffer first = {0};
	struct frcnn_error err;

	for (size_t s = 0; s < FRCNN_COUNT(sets); s++) {
		struct frcnn_buffer out = {0};
		struct frcnn_graphs graphs;
		int bytes;

		if (s && !frcnn_kernels_get(sets[s]))
			continue;
		cr_assert_eq(frcnn_graphs_build(model, true, &graphs, &err), 0, "%s", err.message);
		bytes = compute(&graphs.features, sets[s], 1, 96, &out);
		cr_assert_eq(bytes, want_bytes, "%s: %d outputs in bytes", sets[s], bytes);
		compute(&graphs.head, sets[s], 5, graphs.roi_size, &out);
		frcnn_graphs_free(&graphs);
		cr_assert(!out.failed && out.size > 1000);
		if (!s) {
			first = out;
			continue;
		}
		cr_assert_eq(out.size, first.size);
		cr_assert(memcmp(out.data, first.data, out.size) == 0, "%s: other bits than the reference", sets[s]);
		frcnn_buffer_free(&out);
	}
	frcnn_buffer_free(&first);
}

Test(bytes, whole_networks)
{
	static const struct {
		const char *arch;
		int features;
	} cases[] = {{"fasterrcnn_resnet18_fpn", 4},
		     {"fasterrcnn_resnet50_fpn", 4},
		     {"fasterrcnn_resnet50_fpn_v2", 4},
		     {"fasterrcnn_mobilenet_v3_large_320_fpn", 2}};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		for (int alike = 0; alike < 2; alike++) {
			struct frcnn_model *model = make_model(cases[i].arch, alike);

			same_bits(model, cases[i].features);
			frcnn_model_close(model);
		}
	}
}
