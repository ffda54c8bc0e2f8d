/*
 * Every architecture against torchvision, stage by stage, each fed the golden's
 * input, by every kernel set of this machine and by the reference:
 * max|a - b| <= 1e-4 * max|b| for each tensor. Goldens: tests/golden/make_models.py.
 */
#include "detect/detect.h"
#include "graph/backend.h"
#include "kernels/kernels.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>

#define TOLERANCE 1e-4

static const char *const architectures[] = {
    "fasterrcnn_resnet18_fpn",           "fasterrcnn_resnet34_fpn",
    "fasterrcnn_resnet50_fpn",           "fasterrcnn_resnet101_fpn",
    "fasterrcnn_resnet152_fpn",          "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn",
};

static const char *const cpus[] = {"avx512", "avx2", "c", "reference"};

struct golden {
	struct frcnn_model *model;
	struct frcnn_checkpoint stages;
	struct frcnn_error err;
};

static void open_golden(struct golden *g, const char *arch)
{
	struct frcnn_model_options options;
	char path[256];

	memset(g, 0, sizeof *g);
	frcnn_model_options_init(&options);
	options.arch = arch;
	snprintf(path, sizeof path, "tests/golden/models/%s.safetensors", arch);
	cr_assert_eq(frcnn_model_open(path, &options, &g->model, &g->err), 0, "%s", g->err.message);
	snprintf(path, sizeof path, "tests/golden/models/%s.stages.safetensors", arch);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &g->stages, &g->err), 0, "%s", g->err.message);
}

static void close_golden(struct golden *g)
{
	frcnn_checkpoint_close(&g->stages);
	frcnn_model_close(g->model);
}

static const struct frcnn_tensor *find(const struct golden *g, const char *format, int i)
{
	char name[64];
	const struct frcnn_tensor *t;

	snprintf(name, sizeof name, format, i);
	t = frcnn_checkpoint_find(&g->stages, name);
	cr_assert_not_null(t, "the golden has no %s", name);
	return t;
}

static float *values(const struct golden *g, const char *format, int i, const struct frcnn_tensor **tensor)
{
	const struct frcnn_tensor *t = find(g, format, i);
	float *out = frcnn_alloc_aligned((size_t)t->elements + 1, sizeof *out);

	cr_assert_not_null(out);
	cr_assert_eq(frcnn_tensor_to_float(t, out, NULL), 0);
	if (tensor)
		*tensor = t;
	return out;
}

/* The golden's [N, C, H, W] as NHWC, into out. */
static void to_nhwc(const float *x, const int64_t shape[4], float *out)
{
	for (int64_t n = 0; n < shape[0]; n++)
		for (int64_t c = 0; c < shape[1]; c++)
			for (int64_t p = 0; p < shape[2] * shape[3]; p++)
				out[(n * shape[2] * shape[3] + p) * shape[1] + c] =
				    x[(n * shape[1] + c) * shape[2] * shape[3] + p];
}

/* Golden NAME.i, [1, C, H, W] or [R, C], against channels from .. from + C of an output. */
static void check(const struct golden *g, const char *format, int i, struct frcnn_feature_map map, int from,
		  const char *cpu)
{
	const struct frcnn_tensor *t;
	float *want = values(g, format, i, &t);
	bool rows = t->ndim == 2;
	int64_t channels = t->shape[1], pixels = rows ? t->shape[0] : t->shape[2] * t->shape[3];
	double most = 0, worst = 0;
	char name[64];

	snprintf(name, sizeof name, format, i);
	if (!rows)
		cr_assert(map.height == t->shape[2] && map.width == t->shape[3], "%s is %dx%d", name, map.height,
			  map.width);
	cr_assert(from + channels <= map.channels);
	for (int64_t c = 0; c < channels; c++) {
		for (int64_t p = 0; p < pixels; p++) {
			double b = rows ? want[p * channels + c] : want[c * pixels + p];
			double a = map.data[p * map.channels + from + c];

			cr_assert(isfinite(a), "%s is not finite", name);
			most = fmax(most, fabs(b));
			worst = fmax(worst, fabs(a - b));
		}
	}
	cr_assert(most > 0, "%s is all zero: a golden that shows nothing", name);
	cr_expect(worst <= TOLERANCE * most, "%s, %s: off by %g of %g", name, cpu, worst, most);
	free(want);
}

static void fill_input(const struct golden *g, const struct frcnn_backend *backend, void *network, const char *format,
		       int i)
{
	const struct frcnn_tensor *t;
	float *x = values(g, format, i, &t);

	cr_assert_eq(backend->plan(network, (int)t->shape[0], (int)t->shape[2], (int)t->shape[3], NULL), 0);
	to_nhwc(x, t->shape, backend->input(network));
	free(x);
	cr_assert_eq(backend->run(network, (int)t->shape[0], NULL), 0);
}

static bool available(const char *cpu)
{
	return !strcmp(cpu, "reference") || frcnn_kernels_get(cpu) != NULL;
}

/* A graph over one builder call, folded and fused, prepared on the cpu backend. */
struct part {
	struct frcnn_graph graph;
	struct frcnn_builder builder;
	void *network;
};

static void begin(struct part *part, struct golden *g, int channels, int *input)
{
	memset(part, 0, sizeof *part);
	part->builder = (struct frcnn_builder){.graph = &part->graph,
					       .checkpoint = &g->model->checkpoint,
					       .description = &g->model->description,
					       .err = &g->err};
	part->builder.used = frcnn_calloc(g->model->checkpoint.ntensors, sizeof(bool));
	*input = frcnn_build_input(&part->builder, channels);
}

static void prepare(struct part *part, struct golden *g, const char *cpu, bool fuse)
{
	cr_assert_eq(part->builder.status, 0, "%s", g->err.message);
	if (fuse) {
		frcnn_graph_fold(&part->graph);
		frcnn_graph_fuse(&part->graph);
	}
	cr_assert_eq(frcnn_backend_cpu.prepare(&part->graph, cpu, FRCNN_PRECISION_FP32, NULL, &part->network, &g->err),
		     0, "%s", g->err.message);
}

static void end(struct part *part)
{
	frcnn_backend_cpu.release(part->network);
	frcnn_graph_free(&part->graph);
	free(part->builder.used);
}

static void check_body(struct golden *g, const char *cpu, bool fuse)
{
	struct part part;
	int stages[4], x, n;

	begin(&part, g, 3, &x);
	n = g->model->description.body == FRCNN_BODY_RESNET ? frcnn_build_resnet(&part.builder, x, stages)
							    : frcnn_build_mobilenet_v3(&part.builder, x, stages);
	for (int i = 0; i < n; i++)
		frcnn_build_output(&part.builder, stages[i]);
	prepare(&part, g, cpu, fuse);
	fill_input(g, &frcnn_backend_cpu, part.network, "input", 0);
	for (int i = 0; i < n; i++)
		check(g, "body.%d", i, frcnn_backend_cpu.output(part.network, i), 0, cpu);
	end(&part);
}

static void check_rpn_head(struct golden *g, const char *cpu)
{
	for (int i = 0; i < g->model->description.nlevels; i++) {
		struct part part;
		int x, out;

		begin(&part, g, (int)find(g, "fpn.%d", i)->shape[1], &x);
		frcnn_build_rpn_head(&part.builder, &x, 1, &out);
		frcnn_build_output(&part.builder, out);
		prepare(&part, g, cpu, true);
		fill_input(g, &frcnn_backend_cpu, part.network, "fpn.%d", i);
		check(g, "rpn.logits.%d", i, frcnn_backend_cpu.output(part.network, 0), 0, cpu);
		check(g, "rpn.deltas.%d", i, frcnn_backend_cpu.output(part.network, 0),
		      g->model->description.anchors_per_cell, cpu);
		end(&part);
	}
}

static void check_detector_graphs(struct golden *g, const char *cpu)
{
	const struct frcnn_backend *backend = &frcnn_backend_cpu;
	struct frcnn_graphs graphs;
	void *features, *head;

	cr_assert_eq(frcnn_graphs_build(g->model, true, &graphs, &g->err), 0, "%s", g->err.message);
	cr_assert_eq(backend->prepare(&graphs.features, cpu, FRCNN_PRECISION_FP32, NULL, &features, NULL), 0);
	cr_assert_eq(backend->prepare(&graphs.head, cpu, FRCNN_PRECISION_FP32, NULL, &head, NULL), 0);
	fill_input(g, backend, features, "input", 0);
	for (int i = 0; i < graphs.nfeatures; i++)
		check(g, "fpn.%d", i, backend->output(features, i), 0, cpu);
	fill_input(g, backend, head, "roi_features", 0);
	check(g, "class_logits", 0, backend->output(head, 0), 0, cpu);
	check(g, "box_deltas", 0, backend->output(head, 0), g->model->description.nlabels, cpu);
	backend->release(features);
	backend->release(head);
	frcnn_graphs_free(&graphs);
}

static struct criterion_test_params every_architecture(void)
{
	static int numbers[FRCNN_COUNT(architectures)];

	for (size_t i = 0; i < FRCNN_COUNT(architectures); i++)
		numbers[i] = (int)i;
	return cr_make_param_array(int, numbers, FRCNN_COUNT(architectures));
}

ParameterizedTestParameters(stages, match_torchvision)
{
	return every_architecture();
}

ParameterizedTest(int *number, stages, match_torchvision)
{
	struct golden g;

	open_golden(&g, architectures[*number]);
	for (size_t i = 0; i < FRCNN_COUNT(cpus); i++) {
		if (!available(cpus[i]))
			continue;
		check_body(&g, cpus[i], true);
		check_rpn_head(&g, cpus[i]);
		check_detector_graphs(&g, cpus[i]);
	}
	/* The graph as the builders made it gives the same: folding and fusing change no meaning. */
	check_body(&g, "c", false);
	close_golden(&g);
}

static double number_of(const struct golden *g, const char *key)
{
	/* The golden keeps its numbers as text in its metadata: "key": "value". */
	char want[64];
	const char *at;

	snprintf(want, sizeof want, "\"%s\":", key);
	cr_assert_not_null(g->stages.provenance);
	at = strstr(g->stages.provenance, want);
	cr_assert_not_null(at, "the golden's metadata lacks %s", key);
	at += strlen(want);
	while (*at == ' ' || *at == '"')
		at++;
	return strtod(at, NULL);
}

ParameterizedTestParameters(stages, detector_matches_torchvision)
{
	return every_architecture();
}

/* From the picture to the detections, in the order of descending score. */
/* A caller may free what an error left. */
Test(stages, refused_detector_is_null)
{
	struct frcnn_detector *detector = (void *)&detector;
	struct frcnn_detector_options options;
	struct golden g;

	open_golden(&g, architectures[0]);
	frcnn_detector_options_init(&options);
	options.cpu = "sparc";
	cr_assert_eq(frcnn_detector_new(g.model, &options, &detector, &g.err), FRCNN_EINVAL);
	cr_assert_null(detector);
	detector = (void *)&detector;
	options.device = FRCNN_CUDA;
	cr_assert_eq(frcnn_detector_new(g.model, &options, &detector, &g.err), FRCNN_EUNSUPPORTED);
	cr_assert_null(detector);
	close_golden(&g);
}

ParameterizedTest(int *number, stages, detector_matches_torchvision)
{
	const struct frcnn_tensor *t;
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_detections found;
	struct frcnn_image image = {0};
	struct golden g;
	float *boxes, *scores;

	open_golden(&g, architectures[*number]);
	g.model->description.min_size = (int)number_of(&g, "min_size");
	g.model->description.max_size = (int)number_of(&g, "max_size");
	frcnn_detector_options_init(&options);
	options.rpn_pre = (int)number_of(&g, "rpn_pre");
	options.rpn_post = (int)number_of(&g, "rpn_post");
	options.rpn_nms = number_of(&g, "rpn_nms");
	options.rpn_score = number_of(&g, "rpn_score");
	options.score = number_of(&g, "score");
	options.nms = number_of(&g, "nms");
	options.max_dets = (int)number_of(&g, "max_dets");
	options.threads = 2;
	cr_assert_eq(frcnn_detector_new(g.model, &options, &detector, &g.err), 0, "%s", g.err.message);
	t = find(&g, "image", 0);
	image.height = (int)t->shape[0];
	image.width = (int)t->shape[1];
	image.rgb = (uint8_t *)(uintptr_t)t->data;
	cr_assert_eq(frcnn_detect(detector, &image, &found, &g.err), 0, "%s", g.err.message);
	boxes = values(&g, "boxes", 0, &t);
	scores = values(&g, "scores", 0, NULL);
	cr_assert_eq(found.count, (size_t)t->shape[0]);
	for (size_t i = 0; i < found.count; i++) {
		const struct frcnn_detection *d = &found.items[i];
		const float corners[4] = {d->x1, d->y1, d->x2, d->y2};
		int64_t label;

		memcpy(&label, find(&g, "labels", 0)->data + i * sizeof label, sizeof label);
		cr_expect_eq(d->label, (int)label);
		cr_expect(fabsf(d->score - scores[i]) <= 1e-4f, "detection %zu: score %g, %g", i, (double)d->score,
			  (double)scores[i]);
		for (int k = 0; k < 4; k++)
			cr_expect(fabsf(corners[k] - boxes[i * 4 + (size_t)k]) <= 0.05f,
				  "detection %zu: corner %d: %g, %g", i, k, (double)corners[k],
				  (double)boxes[i * 4 + (size_t)k]);
	}
	free(boxes);
	free(scores);
	frcnn_detections_free(&found);
	frcnn_detector_free(detector);
	close_golden(&g);
}
