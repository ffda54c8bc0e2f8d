/* Detectors over one set of weights, at work at the same time: what each finds is what one alone finds. */
#include "detect/detect.h"
#include "image/image.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define PICTURES 5
#define THREADS  3

static const char *const models[] = {"tests/golden/models/fasterrcnn_resnet18_fpn.safetensors",
				     "tests/golden/models/fasterrcnn_mobilenet_v3_large_320_fpn.safetensors"};

struct side {
	struct frcnn_detector *detector;
	const struct frcnn_image *pictures;
	struct frcnn_detections found[PICTURES];
	int first, status;
};

/* Not all begin with the same picture, so that sizes and plans differ at any time. */
static void *detect(void *argument)
{
	struct side *side = argument;

	for (int i = 0; i < PICTURES && side->status == 0; i++) {
		int k = (side->first + i) % PICTURES;

		side->status = frcnn_detect(side->detector, &side->pictures[k], &side->found[k], NULL);
	}
	return NULL;
}

static void same(const struct side *a, const struct side *b)
{
	for (int i = 0; i < PICTURES; i++) {
		size_t count = a->found[i].count;

		cr_assert_eq(count, b->found[i].count, "picture %d: %zu and %zu", i, count, b->found[i].count);
		cr_assert(count == 0 ||
			      !memcmp(a->found[i].items, b->found[i].items, count * sizeof *a->found[i].items),
			  "picture %d differs", i);
	}
}

static size_t drop(struct side *side)
{
	size_t count = 0;

	for (int i = 0; i < PICTURES; i++) {
		count += side->found[i].count;
		frcnn_detections_free(&side->found[i]);
	}
	return count;
}

static void check(const char *path, const char *cpu, const struct frcnn_image *pictures)
{
	struct side alone = {.pictures = pictures}, sides[THREADS];
	struct frcnn_model_options model_options;
	struct frcnn_detector_options options;
	struct frcnn_model *model;
	struct frcnn_error err;
	pthread_t threads[THREADS];

	frcnn_model_options_init(&model_options);
	model_options.min_size = 64;
	model_options.max_size = 96;
	cr_assert_eq(frcnn_model_open(path, &model_options, &model, &err), 0, "%s", err.message);
	uint8_t *keep = malloc((size_t)frcnn_model_labels(model));
	memset(keep, 1, (size_t)frcnn_model_labels(model));
	keep[1] = 0;
	frcnn_detector_options_init(&options);
	options.cpu = cpu;
	options.threads = 2;
	options.keep_label = keep;
	options.score = 0.01;
	cr_assert_eq(frcnn_detector_new(model, &options, &alone.detector, &err), 0, "%s", err.message);
	free(keep);
	detect(&alone);
	cr_assert_eq(alone.status, 0);
	for (int i = 0; i < THREADS; i++) {
		sides[i] = (struct side){.pictures = pictures, .first = i};
		cr_assert_eq(frcnn_detector_share(alone.detector, 1 + i % 2, &sides[i].detector, &err), 0, "%s",
			     err.message);
	}
	/* Renewed, with more threads and with fewer, beside those that share its weights. */
	for (int n = 3; n >= 1; n -= 2) {
		struct side renewed = {.detector = alone.detector, .pictures = pictures};

		cr_assert_eq(frcnn_detector_renew(alone.detector, n, &err), 0, "%s", err.message);
		cr_assert_eq(frcnn_pool_threads(frcnn_detector_pool(alone.detector)), n);
		detect(&renewed);
		cr_assert_eq(renewed.status, 0);
		same(&alone, &renewed);
		drop(&renewed);
	}
	frcnn_detector_free(alone.detector);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, detect, &sides[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		cr_assert_eq(sides[i].status, 0);
		cr_assert_str_eq(frcnn_detector_cpu(sides[i].detector), cpu);
		same(&alone, &sides[i]);
		drop(&sides[i]);
		frcnn_detector_free(sides[i].detector);
	}
	cr_assert_gt(drop(&alone), 0, "nothing was found, nothing compared");
	frcnn_model_close(model);
}

Test(share, detectors_at_once_find_what_one_finds)
{
	static const int sizes[PICTURES][2] = {{96, 64}, {64, 96}, {70, 70}, {200, 40}, {33, 90}};
	struct frcnn_image pictures[PICTURES];
	uint32_t state = 1;

	for (int i = 0; i < PICTURES; i++) {
		cr_assert_eq(frcnn_image_new(sizes[i][0], sizes[i][1], &pictures[i], NULL), 0);
		for (int k = 0; k < sizes[i][0] * sizes[i][1] * 3; k++) {
			state = state * 1664525 + 1013904223;
			pictures[i].rgb[k] = (uint8_t)(state >> 24);
		}
	}
	for (size_t m = 0; m < FRCNN_COUNT(models); m++) {
		const char *cpus = frcnn_cpu_available();

		while (*cpus) {
			char cpu[32];
			size_t size = strcspn(cpus, " ");

			snprintf(cpu, sizeof cpu, "%.*s", (int)size, cpus);
			check(models[m], cpu, pictures);
			cpus += size + strspn(cpus + size, " ");
		}
	}
	for (int i = 0; i < PICTURES; i++)
		frcnn_image_free(&pictures[i]);
}

/* What a detector says that it takes grows with the picture, and says nothing of a size that there cannot be. */
Test(share, memory_is_that_of_the_largest_picture)
{
	struct frcnn_model_options model_options;
	struct frcnn_detector_options options;
	struct frcnn_detector *detector;
	struct frcnn_model *model;
	struct frcnn_error err;
	size_t bytes[3];

	for (int i = 0; i < 3; i++) {
		frcnn_model_options_init(&model_options);
		model_options.min_size = 256;
		model_options.max_size = 256 << i;
		frcnn_detector_options_init(&options);
		options.threads = 1;
		options.rpn_post = 1;
		cr_assert_eq(frcnn_model_open(models[0], &model_options, &model, &err), 0, "%s", err.message);
		cr_assert_eq(frcnn_detector_new(model, &options, &detector, &err), 0, "%s", err.message);
		cr_assert_eq(frcnn_detector_memory(detector, &bytes[i], &err), 0, "%s", err.message);
		frcnn_detector_free(detector);
		frcnn_model_close(model);
	}
	/* The picture as float32 alone takes so much; beside the head's share it is linear in the area. */
	cr_assert_geq(bytes[0], 256 * 256 * 3 * sizeof(float));
	cr_assert_float_eq((double)(bytes[2] - bytes[1]), 2 * (double)(bytes[1] - bytes[0]),
			   0.1 * (double)(bytes[1] - bytes[0]));
}
