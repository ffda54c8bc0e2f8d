/*
 * make_coco - data sets of COCO's shape for benchmarks, the same ones every time.
 *
 *   make_coco truth IMAGES OBJECTS POLYGON            ground truth; POLYGON: corners a segmentation has on average, 0:
 * none make_coco results IMAGES OBJECTS DETECTIONS DIGITS   results; DIGITS: decimals of a box, 0: the text of its
 * float32
 *
 * to standard output, as Python's json.dump writes it. COCO val2017's shape is 5000 images, 36781 objects, 25 corners;
 * its 80 classes have ids with gaps up to 90 and are unevenly common, images hold few objects as a rule and sometimes
 * many, a percent of objects are crowds. Detections come image by image in descending score: most objects are found,
 * many twice, the rest is noise with low scores.
 */
#include "base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 80 };

/* Ids that COCO left out of 1 .. 90. */
static const int gaps[] = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83};

static uint64_t state;

static uint64_t next(void)
{
	uint64_t z = state += 0x9E3779B97F4A7C15;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	return z ^ (z >> 31);
}

static size_t below(size_t n)
{
	return (size_t)(next() % n);
}

static double unit(void)
{
	return (double)(next() >> 11) * 0x1p-53;
}

struct image {
	int64_t id;
	int width, height;
	size_t first, count;         /* its objects */
	size_t detections, busyness; /* how many; share of them */
};

struct object {
	int64_t id;
	uint32_t image;
	uint8_t category, crowd;
	double box[4];
};

static struct image *images;
static struct object *objects;
static size_t nimages, nobjects;
static int class_ids[CLASSES];
static double class_sum[CLASSES]; /* running sum of how common classes are */

static void *need(size_t count, size_t size)
{
	void *block = frcnn_calloc(count, size);

	if (!block) {
		fprintf(stderr, "make_coco: out of memory\n");
		exit(2);
	}
	return block;
}

static uint8_t random_class(void)
{
	double at = unit() * class_sum[CLASSES - 1];
	uint8_t k = 0;

	while (k < CLASSES - 1 && class_sum[k] < at)
		k++;
	return k;
}

static double cents(double value)
{
	return round(value * 100) / 100;
}

static void random_box(const struct image *image, double box[4])
{
	/* As many small objects as medium and large ones together. */
	double side = 8 * pow(2, 6 * unit()), aspect = pow(2, 2 * unit() - 1);
	double w = fmin(side * aspect, image->width * 0.98), h = fmin(side / aspect, image->height * 0.98);

	box[0] = cents(unit() * (image->width - w));
	box[1] = cents(unit() * (image->height - h));
	box[2] = fmax(cents(w), 0.5);
	box[3] = fmax(cents(h), 0.5);
}

/* Weights of which few are large; count is dealt out by them. */
static void deal(size_t count, size_t least_share)
{
	double sum = 0, seen = 0;
	size_t given = 0;

	for (size_t i = 0; i < nimages; i++) {
		images[i].busyness = least_share + (size_t)(1000 * -log(1 - unit()));
		sum += (double)images[i].busyness;
	}
	for (size_t i = 0; i < nimages; i++) {
		size_t until;

		seen += (double)images[i].busyness;
		until = i + 1 == nimages ? count : (size_t)((double)count * seen / sum);
		images[i].count = until - given;
		images[i].first = given;
		given = until;
	}
}

static void make_truth(void)
{
	int gap = 0, id = 0;

	state = 2017;
	for (int k = 0; k < CLASSES; k++) {
		id++;
		while (gap < (int)FRCNN_COUNT(gaps) && gaps[gap] == id) {
			gap++;
			id++;
		}
		class_ids[k] = id;
		/* The first class makes up 30 of 100 objects. */
		class_sum[k] = (k > 0 ? class_sum[k - 1] : 0) + (k == 0 ? 1.7 : 1.0 / (k + 3) + 0.015);
	}
	images = need(nimages, sizeof *images);
	objects = need(nobjects, sizeof *objects);
	for (size_t i = 0; i < nimages; i++) {
		images[i].id = (int64_t)(139 + i * 115 + below(100));
		images[i].width = below(4) ? 640 : 480;
		images[i].height = images[i].width == 480 ? 640 : 360 + (int)below(121);
	}
	for (size_t i = nimages - 1; i > 0; i--) {
		size_t j = below(i + 1);
		struct image swap = images[i];

		images[i] = images[j];
		images[j] = swap;
	}
	deal(nobjects, 10);
	for (size_t i = 0; i < nimages; i++) {
		uint8_t main_class = random_class();

		for (size_t o = images[i].first; o < images[i].first + images[i].count; o++) {
			objects[o].id = (int64_t)(1000 + o * 53 + below(50));
			objects[o].image = (uint32_t)i;
			/* Objects of an image are often of one class. */
			objects[o].category = below(2) ? main_class : random_class();
			objects[o].crowd = below(100) == 0;
			random_box(&images[i], objects[o].box);
		}
	}
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static const char *number(double value)
{
	static char text[8][40];
	static int at;
	char *out = text[at++ % 8];
	size_t size = frcnn_format_double(value, out);

	/* Python writes floats that are integers with .0 */
	if (!memchr(out, '.', size) && !memchr(out, 'e', size))
		memcpy(out + size, ".0", 3);
	else
		out[size] = '\0';
	return out;
}

static void put_segmentation(const struct object *o, size_t corners)
{
	size_t n = 3 + below(corners * 2 - 3);
	const double *b = o->box;

	if (o->crowd) {
		printf("{\"counts\": [");
		for (size_t i = 0; i < n * 8; i++)
			printf("%s%zu", i ? ", " : "", below(300));
		printf("], \"size\": [%d, %d]}", images[o->image].height, images[o->image].width);
		return;
	}
	printf("[[");
	for (size_t i = 0; i < n; i++)
		printf("%s%s, %s", i ? ", " : "", number(cents(b[0] + unit() * b[2])),
		       number(cents(b[1] + unit() * b[3])));
	printf("]]");
}

static void write_truth(size_t corners)
{
	printf(
	    "{\"info\": {\"description\": \"made for benchmarks\", \"year\": 2017}, \"licenses\": [], \"images\": [");
	for (size_t i = 0; i < nimages; i++)
		printf(
		    "%s{\"license\": %zu, \"file_name\": \"%012lld.jpg\", "
		    "\"coco_url\": \"http://images.example.org/val2017/%012lld.jpg\", \"height\": %d, \"width\": %d, "
		    "\"date_captured\": \"2013-11-14 17:02:52\", \"id\": %lld}",
		    i ? ", " : "", 1 + below(8), (long long)images[i].id, (long long)images[i].id, images[i].height,
		    images[i].width, (long long)images[i].id);
	printf("], \"annotations\": [");
	for (size_t i = 0; i < nobjects; i++) {
		const struct object *o = &objects[i];
		double area = o->box[2] * o->box[3] * (0.4 + 0.5 * unit());

		printf("%s{", i ? ", " : "");
		if (corners > 0) {
			printf("\"segmentation\": ");
			put_segmentation(o, corners);
			printf(", ");
		}
		printf("\"area\": %s, \"iscrowd\": %d, \"image_id\": %lld, \"bbox\": [%s, %s, %s, %s], "
		       "\"category_id\": %d, "
		       "\"id\": %lld}",
		       number(area), o->crowd, (long long)images[o->image].id, number(o->box[0]), number(o->box[1]),
		       number(o->box[2]), number(o->box[3]), class_ids[o->category], (long long)o->id);
	}
	printf("], \"categories\": [");
	for (int k = 0; k < CLASSES; k++)
		printf("%s{\"supercategory\": \"thing\", \"id\": %d, \"name\": \"class %d\"}", k ? ", " : "",
		       class_ids[k], class_ids[k]);
	printf("]}");
}

struct detection {
	uint8_t category;
	double box[4];
	float score;
};

static int by_score(const void *a, const void *b)
{
	float x = ((const struct detection *)a)->score, y = ((const struct detection *)b)->score;

	return x > y ? -1 : x < y;
}

static double rounded(double value, int digits)
{
	double scale = pow(10, digits);

	return digits > 0 ? round(value * scale) / scale : (double)(float)value;
}

static void make_detections(const struct image *image, struct detection *d, size_t count, int digits)
{
	size_t n = 0;

	/* Every object once (most of them), then again, then noise. */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t o = image->first; o < image->first + image->count && n < count; o++) {
			double blur = pass == 0 ? 0.08 : 0.3;

			if (below(10) < (pass == 0 ? 2 : 4))
				continue;
			for (int i = 0; i < 4; i++)
				d[n].box[i] = objects[o].box[i] + (unit() - 0.5) * blur * objects[o].box[2 + i % 2];
			d[n].category = below(12) ? objects[o].category : random_class();
			d[n++].score = (float)(pass == 0 ? 1 - 0.8 * unit() * unit() : 0.6 * unit());
		}
	}
	for (; n < count; n++) {
		random_box(image, d[n].box);
		d[n].category =
		    image->count && below(3) ? objects[image->first + below(image->count)].category : random_class();
		d[n].score = (float)(0.001 + 0.5 * pow(unit(), 4));
	}
	/* Detectors clip to the image. */
	for (n = 0; n < count; n++) {
		double *b = d[n].box;

		b[0] = fmin(fmax(b[0], 0), image->width - 2);
		b[1] = fmin(fmax(b[1], 0), image->height - 2);
		b[2] = fmin(fmax(b[2], 1), image->width - b[0]);
		b[3] = fmin(fmax(b[3], 1), image->height - b[1]);
		for (int i = 0; i < 4; i++)
			b[i] = rounded(b[i], digits);
	}
	qsort(d, count, sizeof *d, by_score);
}

static void write_results(size_t count, int digits)
{
	struct detection *d = need(count, sizeof *d);
	size_t given = 0;
	double seen = 0;

	printf("[");
	for (size_t i = 0; i < nimages; i++) {
		const struct image *image = &images[i];
		size_t until, n;

		/* Busy images have more, but detectors find something everywhere. */
		seen += 0.5 / (double)nimages + 0.5 * (double)image->count / (double)nobjects;
		until = i + 1 == nimages ? count : (size_t)((double)count * seen);
		n = until - given;
		make_detections(image, d, n, digits);
		for (size_t j = 0; j < n; j++)
			printf("%s{\"image_id\": %lld, \"category_id\": %d, \"bbox\": [%s, %s, %s, %s], \"score\": %s}",
			       given + j ? ", " : "", (long long)image->id, class_ids[d[j].category],
			       number(d[j].box[0]), number(d[j].box[1]), number(d[j].box[2]), number(d[j].box[3]),
			       number((double)d[j].score));
		given = until;
	}
	printf("]");
	free(d);
}

static size_t count_of(const char *text)
{
	int64_t value;

	if (frcnn_parse_int64(text, strlen(text), &value) || value < 0 || value > 100000000) {
		fprintf(stderr, "make_coco: %s is no count\n", text);
		exit(2);
	}
	return (size_t)value;
}

int main(int argc, char **argv)
{
	bool truth = argc == 5 && !strcmp(argv[1], "truth");

	if (!truth && (argc != 6 || strcmp(argv[1], "results"))) {
		fprintf(stderr, "usage: make_coco truth IMAGES OBJECTS POLYGON\n"
				"       make_coco results IMAGES OBJECTS DETECTIONS DIGITS\n");
		return 2;
	}
	nimages = count_of(argv[2]);
	nobjects = count_of(argv[3]);
	if (nimages == 0 || nobjects == 0) {
		fprintf(stderr, "make_coco: nothing to make\n");
		return 2;
	}
	make_truth();
	state = truth ? 1 : 2;
	if (truth)
		write_truth(count_of(argv[4]));
	else
		write_results(count_of(argv[4]), (int)count_of(argv[5]));
	free(images);
	free(objects);
	return ferror(stdout) || fclose(stdout) ? 2 : 0;
}
