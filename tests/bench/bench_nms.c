/* NMS as library calls: corners uniform over a square, sides exp(N(3.5, .7)), IoU .5. Medians of several runs.
 * nms_peer.py gives torchvision.ops' on the same boxes, written by `nms --boxes N SIDE FILE`. */
#include "nms/nms.h"

#include <math.h>

static uint64_t state = 42;

static double real(void)
{
	uint64_t z = state += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double normal(void)
{
	double u = 1 - real(), v = real();
	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

struct set {
	size_t n;
	float *boxes, *scores;
	int *labels;
};

static struct set make(size_t n, double side, bool pile)
{
	struct set s = {n, calloc(n, 4 * sizeof(float)), calloc(n, sizeof(float)), calloc(n, sizeof(int))};
	if (!s.boxes || !s.scores || !s.labels)
		exit(2);
	state = 42;
	for (size_t i = 0; i < n; i++) {
		float *b = s.boxes + 4 * i;
		b[0] = (float)(pile ? 10 * real() : side * real());
		b[1] = (float)(pile ? 10 * real() : side * real());
		b[2] = b[0] + (float)(pile ? 20 + 380 * real() : exp(3.5 + 0.7 * normal()));
		b[3] = b[1] + (float)(pile ? 20 + 380 * real() : exp(3.5 + 0.7 * normal()));
		s.scores[i] = (float)real();
		s.labels[i] = (int)(80 * real());
	}
	return s;
}

static void drop(struct set s)
{
	free(s.boxes);
	free(s.scores);
	free(s.labels);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double median(const struct set *s, bool labels, size_t *kept)
{
	struct frcnn_nms_boxes in = {.count = s->n,
				     .boxes = s->boxes,
				     .scores = s->scores,
				     .labels = labels ? s->labels : NULL,
				     .nlabels = labels ? 80 : 0};
	double times[15], start = frcnn_seconds();
	int runs = 0;
	while (runs < 15 && (runs < 5 || frcnn_seconds() - start < 1)) {
		struct frcnn_survivors out;
		double began = frcnn_seconds();
		if (frcnn_suppress(&in, NULL, &out, NULL) < 0)
			exit(2);
		times[runs++] = frcnn_seconds() - began;
		*kept = out.count;
		frcnn_survivors_free(&out);
	}
	qsort(times, (size_t)runs, sizeof(*times), by_value);
	return 1e3 * times[runs / 2];
}

static int write_boxes(size_t n, double side, bool pile, const char *path)
{
	struct set s = make(n, side, pile);
	FILE *file = fopen(path, "wb");
	if (!file)
		return 2;
	fwrite(s.boxes, 4 * sizeof(float), n, file);
	fwrite(s.scores, sizeof(float), n, file);
	fwrite(s.labels, sizeof(int), n, file);
	drop(s);
	return fclose(file) ? 2 : 0;
}

int main(int argc, char **argv)
{
	size_t kept;
	int64_t n;
	if (argc == 5 && strcmp(argv[1], "--boxes") == 0 && frcnn_parse_int64(argv[2], strlen(argv[2]), &n) == 0)
		return write_boxes((size_t)n, 1000, strcmp(argv[3], "pile") == 0, argv[4]);
	for (n = 1000; n <= 100000; n *= 10) {
		struct set s = make((size_t)n, 1000, false);
		printf("one class   %7d boxes %10.3f ms", (int)n, median(&s, false, &kept));
		printf("  %zu kept\n", kept);
		printf("80 classes  %7d boxes %10.3f ms", (int)n, median(&s, true, &kept));
		printf("  %zu kept\n", kept);
		drop(s);
	}
	struct set pile = make(10000, 0, true);
	printf("a pile      %7d boxes %10.3f ms", 10000, median(&pile, false, &kept));
	printf("  %zu kept\n", kept);
	drop(pile);
	double first = 0, last = 0;
	for (n = 10000; n <= 1000000; n *= 10) {
		struct set s = make((size_t)n, 10 * sqrt((double)n), false);
		last = median(&s, false, &kept);
		first = n == 10000 ? last : first;
		printf("area with n %7d boxes %10.3f ms  %zu kept\n", (int)n, last, kept);
		drop(s);
	}
	printf("growth      n^%.2f\n", log(last / first) / log(100));
	return 0;
}
