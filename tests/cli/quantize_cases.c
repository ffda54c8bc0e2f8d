/*
 * quantize_cases - pictures and models that the tests of frcnn-quantize need and nobody has lying about.
 *
 *   quantize_cases picture black|noise|scene SEED OUT.png   160 x 120 pixels
 *   quantize_cases change invert|mirror IN OUT.png          of any picture
 *   quantize_cases model outlier|stubborn|wide IN OUT       of a ResNet-18-FPN
 *   quantize_cases xml FILE                                 ends 0 when the file is well-formed
 *
 * outlier: in each block of the body one channel between the two convolutions is 4096 times what it was, and what reads
 * it divides by that: the model computes the very same. stubborn: pairs of channels of the box head's first layer are
 * copies of a third, the one 1.375 times the other, and the second layer takes large multiples of both that cancel: in
 * float nothing happens, in int8 no scale suits. wide: the pyramid gives every channel 170 times, and what reads it
 * takes a 170th of each: with 8 channels the filters of fc6 are too long for sums in 32 bits.
 */
#include "image/image.h"
#include "model/model.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 160, HEIGHT = 120, OUTLIER = 4096, PAIRS = 32, COPIES = 170 };

static uint64_t state;

static uint32_t next(void)
{
	uint64_t z = state += 0x9E3779B97F4A7C15;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void die(const char *text)
{
	fprintf(stderr, "quantize_cases: %s\n", text);
	exit(2);
}

static void *must(void *memory)
{
	if (!memory)
		die("out of memory");
	return memory;
}

static void check(int status, const struct frcnn_error *err)
{
	if (status < 0)
		die(err->message);
}

/* ---- pictures -------------------------------------------------------------------------------------------------- */

static void write_picture(const struct frcnn_image *image, const char *path)
{
	struct frcnn_buffer out = {0};
	struct frcnn_error err;
	FILE *file;

	check(frcnn_png_encode(image, NULL, &out, &err), &err);
	file = fopen(path, "wb");
	if (!file || fwrite(out.data, 1, out.size, file) != out.size || fclose(file) != 0)
		die("cannot write the picture");
	frcnn_buffer_free(&out);
}

/* Boxes of some colours on a grey that rises from left to right. */
static void draw_scene(uint8_t *rgb)
{
	for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
		rgb[i] = (uint8_t)(170 + i / 3 % WIDTH / 4);
	for (int box = 0; box < 6; box++) {
		int left = (int)(next() % (WIDTH - 40)), top = (int)(next() % (HEIGHT - 40));
		int right = left + 12 + (int)(next() % 28), bottom = top + 12 + (int)(next() % 28);
		uint32_t colour = next();

		for (int y = top; y < bottom; y++) {
			for (int x = left; x < right; x++) {
				for (int c = 0; c < 3; c++)
					rgb[(y * WIDTH + x) * 3 + c] = (uint8_t)(colour >> 8 * c);
			}
		}
	}
}

static void make_picture(const char *kind, const char *seed, const char *path)
{
	struct frcnn_image image;
	struct frcnn_error err;

	state = strtoull(seed, NULL, 10);
	check(frcnn_image_new(WIDTH, HEIGHT, &image, &err), &err);
	if (strcmp(kind, "noise") == 0) {
		for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
			image.rgb[i] = (uint8_t)next();
	} else if (strcmp(kind, "scene") == 0) {
		draw_scene(image.rgb);
	} else if (strcmp(kind, "black") == 0) {
		image.rgb[0] = (uint8_t)(state % 8); /* no two the same */
	} else {
		die("no such kind of picture");
	}
	write_picture(&image, path);
	frcnn_image_free(&image);
}

static void change_picture(const char *kind, const char *from, const char *path)
{
	const struct frcnn_image_options options = {0};
	struct frcnn_image image = {0};
	struct frcnn_file file = {0};
	struct frcnn_error err;

	check(frcnn_file_open(from, 0, &file, &err), &err);
	check(frcnn_image_decode(file.data, file.size, &options, &image, &err), &err);
	for (int y = 0; y < image.height; y++) {
		uint8_t *row = image.rgb + (size_t)y * (size_t)image.width * 3;

		for (int i = 0; i < image.width * 3 && strcmp(kind, "invert") == 0; i++)
			row[i] = (uint8_t)(255 - row[i]);
		for (int x = 0; x < image.width / 2 && strcmp(kind, "mirror") == 0; x++) {
			uint8_t *a = row + 3 * x, *b = row + 3 * (image.width - 1 - x), old[3];

			memcpy(old, a, 3);
			memcpy(a, b, 3);
			memcpy(b, old, 3);
		}
	}
	write_picture(&image, path);
	frcnn_image_free(&image);
	frcnn_file_close(&file);
}

/* ---- models ---------------------------------------------------------------------------------------------------- */

struct copy {
	struct frcnn_named_tensor *tensors;
	size_t count;
};

static void copy_tensors(const struct frcnn_checkpoint *from, struct copy *out)
{
	struct frcnn_error err;

	out->tensors = must(calloc(from->ntensors, sizeof *out->tensors));
	for (size_t i = 0; i < from->ntensors; i++) {
		const struct frcnn_tensor *t = &from->tensors[i];
		struct frcnn_named_tensor *copy = &out->tensors[out->count];
		float *values;

		if (strstr(t->name, "num_batches_tracked"))
			continue;
		values = must(calloc((size_t)t->elements + 1, sizeof *values));
		check(frcnn_tensor_to_float(t, values, &err), &err);
		*copy = (struct frcnn_named_tensor){.name = t->name, .ndim = t->ndim, .data = values};
		copy->dtype = FRCNN_F32;
		memcpy(copy->shape, t->shape, sizeof copy->shape);
		out->count++;
	}
}

/* The values of a tensor, to be changed. */
static float *find(struct copy *copy, const char *block, const char *part, int64_t shape[FRCNN_MAX_DIMS])
{
	char name[160];

	snprintf(name, sizeof name, "%s.%s", block, part);
	for (size_t i = 0; i < copy->count; i++) {
		if (strcmp(copy->tensors[i].name, name) == 0) {
			memcpy(shape, copy->tensors[i].shape, sizeof copy->tensors[i].shape);
			return (float *)(uintptr_t)copy->tensors[i].data;
		}
	}
	die("the model is not a ResNet-18-FPN");
	return NULL;
}

static void add_outliers(struct copy *copy)
{
	int64_t shape[FRCNN_MAX_DIMS];

	for (int block = 0; block < 8; block++) {
		char name[64];
		float *gamma, *beta, *next_weight;
		int64_t channel;

		snprintf(name, sizeof name, "backbone.body.layer%d.%d", 1 + block / 2, block % 2);
		gamma = find(copy, name, "bn1.weight", shape);
		beta = find(copy, name, "bn1.bias", shape);
		/* the one that is nearest to never being cut off: it has something to say */
		channel = 0;
		for (int64_t k = 1; k < shape[0]; k++)
			channel = beta[k] > beta[channel] ? k : channel;
		gamma[channel] *= OUTLIER;
		beta[channel] *= OUTLIER;
		next_weight = find(copy, name, "conv2.weight", shape);
		for (int64_t k = 0; k < shape[0]; k++) {
			for (int64_t i = 0; i < shape[2] * shape[3]; i++)
				next_weight[(k * shape[1] + channel) * shape[2] * shape[3] + i] /= OUTLIER;
		}
	}
}

struct channel {
	int64_t index;
	double energy; /* sum of squares of what reads it */
};

static int by_energy(const void *a, const void *b)
{
	const struct channel *x = a, *y = b;

	if (x->energy != y->energy)
		return x->energy < y->energy ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

static void make_stubborn(struct copy *copy)
{
	int64_t first[FRCNN_MAX_DIMS], second[FRCNN_MAX_DIMS], bias_shape[FRCNN_MAX_DIMS];
	float *w6 = find(copy, "roi_heads.box_head", "fc6.weight", first);
	float *b6 = find(copy, "roi_heads.box_head", "fc6.bias", bias_shape);
	float *w7 = find(copy, "roi_heads.box_head", "fc7.weight", second);
	int64_t row = first[1], count = second[1];
	struct channel *channels = must(calloc((size_t)count, sizeof *channels));
	float largest = 0;

	for (int64_t c = 0; c < count; c++) {
		channels[c].index = c;
		for (int64_t k = 0; k < second[0]; k++)
			channels[c].energy += (double)w7[k * count + c] * w7[k * count + c];
	}
	qsort(channels, (size_t)count, sizeof *channels, by_energy);
	if (count < 3 * PAIRS)
		die("the box head is too narrow");
	for (int64_t i = 0; i < second[0] * count; i++)
		largest = w7[i] > largest ? w7[i] : largest;
	/* those of least energy, in pairs, become copies of those of most */
	for (int i = 0; i < 2 * PAIRS; i++) {
		float factor = i % 2 ? 1.375f : 1;
		int64_t to = channels[i].index, from = channels[count - 1 - i / 2].index;

		for (int64_t j = 0; j < row; j++)
			w6[to * row + j] = factor * w6[from * row + j];
		b6[to] = factor * b6[from];
		for (int64_t k = 0; k < second[0]; k++)
			w7[k * count + to] = (i % 2 ? -1 : 1) * 32 * largest / factor;
	}
	free(channels);
}

/* COPIES of dimension d of a tensor, one behind the other, all values times factor. */
static void repeat(struct copy *copy, const char *block, const char *part, int d, float factor)
{
	int64_t shape[FRCNN_MAX_DIMS], before = 1, run = 1;
	const float *old = find(copy, block, part, shape);
	char name[160];

	snprintf(name, sizeof name, "%s.%s", block, part);
	for (size_t i = 0; i < copy->count; i++) {
		struct frcnn_named_tensor *t = &copy->tensors[i];
		float *values, *to;

		if (strcmp(t->name, name) != 0)
			continue;
		for (int k = 0; k < t->ndim; k++)
			*(k < d ? &before : &run) *= shape[k];
		to = values = must(malloc((size_t)(before * run) * COPIES * sizeof *values));
		for (int64_t b = 0; b < before; b++) {
			for (int64_t j = 0; j < run * COPIES; j++)
				*to++ = factor * old[b * run + j % run];
		}
		free((void *)(uintptr_t)t->data);
		t->data = values;
		t->shape[d] *= COPIES;
	}
}

static void make_wide(struct copy *copy)
{
	for (int level = 0; level < 4; level++) {
		char name[64];

		snprintf(name, sizeof name, "backbone.fpn.layer_blocks.%d.0", level);
		repeat(copy, name, "weight", 0, 1);
		repeat(copy, name, "bias", 0, 1);
	}
	repeat(copy, "rpn.head.conv.0.0", "weight", 1, 1.0F / COPIES);
	repeat(copy, "roi_heads.box_head.fc6", "weight", 1, 1.0F / COPIES);
}

static void change_model(const char *kind, const char *from, const char *path)
{
	struct frcnn_model *model = NULL;
	struct copy copy = {0};
	struct frcnn_error err;

	check(frcnn_model_open(from, NULL, &model, &err), &err);
	copy_tensors(&model->checkpoint, &copy);
	if (strcmp(kind, "outlier") == 0)
		add_outliers(&copy);
	else if (strcmp(kind, "stubborn") == 0)
		make_stubborn(&copy);
	else if (strcmp(kind, "wide") == 0)
		make_wide(&copy);
	else
		die("no such kind of model");
	check(frcnn_safetensors_write_tensors(path, &model->description, copy.tensors, copy.count, NULL, &err), &err);
	for (size_t i = 0; i < copy.count; i++)
		free((void *)(uintptr_t)copy.tensors[i].data);
	free(copy.tensors);
	frcnn_model_close(model);
}

/* ---- pages ----------------------------------------------------------------------------------------------------- */

static void check_xml(const char *path)
{
	XML_Parser parser = must(XML_ParserCreate("UTF-8"));
	struct frcnn_file file = {0};
	struct frcnn_error err;

	check(frcnn_file_open(path, 0, &file, &err), &err);
	if (XML_Parse(parser, (const char *)file.data, (int)file.size, 1) == XML_STATUS_ERROR) {
		fprintf(stderr, "%s:%lu: %s\n", path, (unsigned long)XML_GetCurrentLineNumber(parser),
			XML_ErrorString(XML_GetErrorCode(parser)));
		exit(1);
	}
	XML_ParserFree(parser);
	frcnn_file_close(&file);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "picture") == 0)
		make_picture(argv[2], argv[3], argv[4]);
	else if (argc == 5 && strcmp(argv[1], "change") == 0)
		change_picture(argv[2], argv[3], argv[4]);
	else if (argc == 5 && strcmp(argv[1], "model") == 0)
		change_model(argv[2], argv[3], argv[4]);
	else if (argc == 3 && strcmp(argv[1], "xml") == 0)
		check_xml(argv[2]);
	else
		die("see the top of quantize_cases.c");
	return 0;
}
