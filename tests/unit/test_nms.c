/* Suppression and fusion: against torchvision, ensemble-boxes, the papers' update written out, and the quadratic loops.
 */
#include "nms/nms.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>

/* splitmix64, as in tests/golden/nms/make.py. */
static uint32_t below(uint64_t *state, uint32_t n)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (uint32_t)((z ^ z >> 31) >> 32) % n;
}

static float real(uint64_t *state) /* [0, 1) */
{
	return (float)below(state, 1 << 24) / (float)(1 << 24);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

Test(nms, a_thousand_cases_as_torchvision)
{
	enum { MOST = 700 };
	static float boxes[4 * MOST], scores[MOST];
	static int labels[MOST];
	FILE *file = fopen("tests/golden/nms/batched.txt", "r");
	uint64_t state = 2017;
	unsigned n, nlabels, sixteenths, nkept, cases = 0;
	unsigned long long digest;

	cr_assert(file);
	while (fscanf(file, "%u %u %u %u %llx", &n, &nlabels, &sixteenths, &nkept, &digest) == 5) {
		unsigned most = cases % 10 == 9 ? 700 : 60;
		cr_assert_eq(below(&state, most), n);
		uint32_t span = 3 + below(&state, 60);
		cr_assert_eq(1 + below(&state, 4), nlabels);
		cr_assert_eq(1 + below(&state, 15), sixteenths);
		for (unsigned i = 0; i < n; i++) {
			float *box = boxes + 4 * i;
			box[0] = (float)below(&state, span);
			box[1] = (float)below(&state, span);
			box[2] = box[0] + (float)below(&state, span);
			box[3] = box[1] + (float)below(&state, span);
			scores[i] = (float)below(&state, 32) / 32;
			labels[i] = (int)below(&state, nlabels);
		}
		struct frcnn_nms_boxes in = {
		    .count = n, .boxes = boxes, .scores = scores, .labels = labels, .nlabels = (int)nlabels};
		struct frcnn_nms_options options;
		struct frcnn_survivors out;
		frcnn_nms_options_init(&options);
		options.iou = sixteenths / 16.0;
		cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
		cr_assert_eq(out.count, nkept, "case %u", cases);
		for (size_t i = 0; i < out.count; i++) {
			uint32_t at = out.index[i], last = i ? out.index[i - 1] : 0;
			cr_assert(i == 0 || scores[last] > scores[at] || (scores[last] == scores[at] && last < at));
			cr_assert_eq(out.scores[i], scores[at]);
			cr_assert_arr_eq(out.boxes + 4 * i, boxes + 4 * at, 4 * sizeof(float));
			cr_assert_eq(out.moved[i], 0);
		}
		qsort(out.index, out.count, sizeof(*out.index), by_number);
		uint64_t hash = 0xCBF29CE484222325u;
		for (size_t i = 0; i < out.count; i++)
			for (int shift = 0; shift < 32; shift += 8)
				hash = (hash ^ (out.index[i] >> shift & 255)) * 0x100000001B3u;
		cr_assert_eq(hash, digest, "case %u", cases);
		frcnn_survivors_free(&out);
		cases++;
	}
	fclose(file);
	cr_assert_eq(cases, 1000);
}

/* Boxes that are hard for an index: kind says how. */
static void make_boxes(uint64_t *state, int kind, size_t n, float *boxes)
{
	for (size_t i = 0; i < n; i++) {
		float *b = boxes + 4 * i, far = 0, size = 30, place = 1000;
		float w = real(state), h = real(state);
		switch (kind) {
		case 1: /* dense */
			place = 40;
			break;
		case 2: /* sparse */
			place = 30000;
			break;
		case 3: /* sizes over many orders */
			size = powf(10, 12 * real(state) - 6);
			place = 10 * size;
			break;
		case 4: /* far away: corners are coarse */
			far = 3e6f;
			size = 8;
			place = 60;
			break;
		case 5: /* a grid, many equal, some without a side */
			w = (float)below(state, 4) / 4;
			h = (float)below(state, 4) / 4;
			break;
		case 6: /* all around one centre */
			b[0] = 500 - 400 * w;
			b[1] = 500 - 400 * h;
			b[2] = 500 + 400 * w;
			b[3] = 500 + 400 * h;
			continue;
		case 7: /* long and thin, both ways */
			w *= i % 2 ? 40 : 0.05f;
			h *= i % 2 ? 0.05f : 40;
			break;
		case 8: /* a line */
			place = 3000;
			break;
		}
		b[0] = far + (kind == 5 ? (float)below(state, 12) : place * real(state));
		b[1] = far + (kind == 8 ? 7 : kind == 5 ? (float)below(state, 12) : place * real(state));
		b[2] = b[0] + size * w;
		b[3] = b[1] + size * h;
		if (kind == 9) { /* what no detector gives */
			static const float odd[] = {NAN,    INFINITY, -INFINITY, 3e38f, -3e38f, 1e-38f,
						    1e-44f, 0,        -5,        1e20f, 1e-16f, 2e-16f};
			for (int c = 0; c < 4; c++)
				if (below(state, 5) == 0)
					b[c] = odd[below(state, FRCNN_COUNT(odd))];
		}
		if (kind == 10) { /* areas where float32 ends */
			for (int c = 0; c < 4; c++)
				b[c] = ldexpf(1 + (float)below(state, 8) / 8, -(int)(70 + below(state, 6)));
			b[2] += b[0];
			b[3] += b[1];
		}
	}
}

Test(nms, the_index_changes_nothing)
{
	enum { MOST = 1500 };
	static float boxes[4 * MOST], scratch[FRCNN_NMS_SCRATCH(MOST)];
	static uint32_t kept[MOST], expected[MOST];
	static const double thresholds[] = {0.5, 0.7, 0.3, 0.05, 0.0, 0.95, 1.0};
	uint64_t state = 77;

	for (int trial = 0; trial < 330; trial++) {
		size_t n = trial % 5 ? FRCNN_NMS_INDEXED + below(&state, 500) : below(&state, MOST);
		make_boxes(&state, trial % 11, n, boxes);
		for (int way = 0; way < 3; way++) {
			struct frcnn_nms_rule rule = {
			    .bound = frcnn_nms_bound(thresholds[below(&state, 7)], below(&state, 2)),
			    .plus = way == 1,
			    .diou = way == 2};
			size_t limit = below(&state, 4) ? n : 1 + below(&state, 30);
			size_t a = frcnn_nms_reference(boxes, n, &rule, limit, expected);
			size_t b = frcnn_nms_greedy(boxes, n, &rule, limit, kept, scratch);
			cr_assert_eq(a, b, "trial %d way %d bound %g: %zu, not %zu", trial, way, (double)rule.bound, b,
				     a);
			cr_assert_arr_eq(kept, expected, a * sizeof(*kept), "trial %d way %d", trial, way);
		}
	}
}

static double iou_of(const float *a, const float *b)
{
	struct frcnn_nms_rule rule = {0};
	return (double)frcnn_nms_overlap(a, b, &rule);
}

/* Bodla et al. 2017, figure 2: while B is not empty, m = argmax S; D gets b_m; each other s_i = s_i f(iou(M, b_i)). */
static size_t soft_reference(const float *boxes, const float *scores, size_t n, bool linear, bool geq, double threshold,
			     double sigma, double least, uint32_t *order, double *final)
{
	double *s = malloc((n + 1) * sizeof(*s));
	bool *taken = calloc(n + 1, sizeof(*taken));
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		s[i] = (double)scores[i];
	for (size_t round = 0; round < n; round++) {
		size_t m = n;
		for (size_t i = 0; i < n; i++)
			if (!taken[i] && (m == n || s[i] > s[m]))
				m = i;
		taken[m] = true;
		if ((float)s[m] > (float)least) {
			order[count] = (uint32_t)m;
			final[count++] = s[m];
		}
		for (size_t i = 0; i < n; i++) {
			double iou = iou_of(boxes + 4 * m, boxes + 4 * i);
			if (taken[i] || isnan(iou))
				continue;
			if (!linear)
				s[i] *= exp(-(iou * iou) / sigma);
			else if (geq ? iou >= threshold : iou > threshold)
				s[i] *= 1 - iou;
		}
	}
	free(s);
	free(taken);
	return count;
}

Test(nms, soft_is_the_papers_update)
{
	enum { MOST = 500 };
	static float boxes[4 * MOST], scores[MOST];
	static uint32_t order[MOST];
	static double final[MOST];
	uint64_t state = 3;

	for (int trial = 0; trial < 120; trial++) {
		size_t n = trial % 4 == 3 ? 256 + below(&state, 200) : below(&state, 40);
		bool linear = trial % 2, geq = trial % 3 == 0;
		struct frcnn_nms_boxes in = {.count = n, .boxes = boxes, .scores = scores};
		struct frcnn_nms_options options;
		struct frcnn_survivors out;
		frcnn_nms_options_init(&options);
		options.method = linear ? FRCNN_NMS_SOFT_LINEAR : FRCNN_NMS_SOFT_GAUSSIAN;
		options.geq = geq;
		options.iou = 0.25 * (1 + below(&state, 2));
		options.sigma = 0.1 + (double)real(&state);
		make_boxes(&state, trial % 9, n, boxes);
		for (size_t i = 0; i < n; i++)
			scores[i] = trial % 5 ? real(&state) : (float)below(&state, 8) / 8;
		size_t expected =
		    soft_reference(boxes, scores, n, linear, geq, options.iou, options.sigma, 0.001, order, final);
		cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
		cr_assert_eq(out.count, expected, "trial %d", trial);
		for (size_t i = 0; i < expected; i++)
			cr_assert_float_eq((double)out.scores[i], final[i], 1e-7, "trial %d at %zu", trial, i);
		/* The order is the order of selection, but for scores that are one float32. */
		for (size_t i = 0; i < expected; i++)
			cr_assert(out.index[i] == order[i] || fabs(final[i] - (double)out.scores[i]) < 1e-7);
		frcnn_survivors_free(&out);
	}
}

Test(nms, soft_selects_by_the_lowered_score)
{
	/* b loses to a and falls below c; ensemble-boxes 1.0.9 would return .9, .8, .7. */
	const float boxes[12] = {0, 0, 10, 10, 1, 0, 11, 10, 50, 50, 60, 60}, scores[3] = {0.9f, 0.8f, 0.7f};
	struct frcnn_nms_boxes in = {.count = 3, .boxes = boxes, .scores = scores};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;
	double iou = iou_of(boxes, boxes + 4);

	frcnn_nms_options_init(&options);
	options.method = FRCNN_NMS_SOFT_LINEAR;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 3);
	cr_assert(out.index[0] == 0 && out.index[1] == 2 && out.index[2] == 1);
	cr_assert_eq(out.scores[2], (float)((double)0.8f * (1 - iou)));
	frcnn_survivors_free(&out);
	options.score = 0.5; /* what falls below goes */
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 2);
	frcnn_survivors_free(&out);
}

Test(nms, matrix_is_the_papers_decay)
{
	enum { MOST = 400 };
	static float boxes[4 * MOST], scores[MOST];
	static double decay[MOST], largest[MOST];
	uint64_t state = 11;

	for (int trial = 0; trial < 60; trial++) {
		size_t n = trial % 4 == 3 ? 256 + below(&state, 140) : below(&state, 40);
		struct frcnn_nms_boxes in = {.count = n, .boxes = boxes, .scores = scores};
		struct frcnn_nms_options options;
		struct frcnn_survivors out;
		frcnn_nms_options_init(&options);
		options.method = FRCNN_NMS_MATRIX;
		options.linear = trial % 2;
		options.score = -1;
		make_boxes(&state, trial % 3, n, boxes); /* no two are equal */
		for (size_t i = 0; i < n; i++)
			scores[i] = 1 - (float)i / 512;
		for (size_t j = 0; j < n; j++) {
			largest[j] = 0;
			decay[j] = 1;
			for (size_t i = 0; i < j; i++) {
				double iou = iou_of(boxes + 4 * i, boxes + 4 * j), f, g;
				f = options.linear ? 1 - iou : exp(-iou * iou / 0.5);
				g = options.linear ? 1 - largest[i] : exp(-largest[i] * largest[i] / 0.5);
				decay[j] = fmin(decay[j], f / g);
				largest[j] = fmax(largest[j], iou);
			}
		}
		cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
		cr_assert_eq(out.count, n);
		for (size_t i = 0; i < n; i++)
			cr_assert_float_eq((double)out.scores[i], (double)scores[out.index[i]] * decay[out.index[i]],
					   1e-6, "trial %d", trial);
		frcnn_survivors_free(&out);
	}
}

static enum frcnn_nms_confidence confidence_of(const char *word)
{
	static const char *const words[] = {"avg", "max", "box_and_model_avg", "absent_model_aware_avg"};
	for (size_t i = 0; i < FRCNN_COUNT(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (enum frcnn_nms_confidence)i;
	cr_assert_fail("no such confidence: %s", word);
	return FRCNN_NMS_AVG;
}

Test(nms, fusion_as_ensemble_boxes)
{
	FILE *file = fopen("tests/golden/nms/fuse.txt", "r");
	char method[8], confidence[32];
	double iou, width, height, weights[8];
	int overflow, n, nsources, cases = 0;

	cr_assert(file);
	while (fscanf(file, " case %7s %lf %31s %d %d %d %lf %lf", method, &iou, confidence, &overflow, &n, &nsources,
		      &width, &height) == 8) {
		float boxes[4 * 32], scores[32];
		int labels[32], sources[32], nfused;
		bool matched[32] = {false};
		for (int s = 0; s < nsources; s++)
			cr_assert_eq(fscanf(file, "%lf", &weights[s]), 1);
		for (int i = 0; i < n; i++)
			cr_assert_eq(fscanf(file, "%d %d %f %f %f %f %f", &sources[i], &labels[i], &scores[i],
					    &boxes[4 * i], &boxes[4 * i + 1], &boxes[4 * i + 2], &boxes[4 * i + 3]),
				     7);
		struct frcnn_nms_boxes in = {.count = (size_t)n,
					     .boxes = boxes,
					     .scores = scores,
					     .labels = labels,
					     .nlabels = 2,
					     .sources = sources,
					     .width = width,
					     .height = height};
		struct frcnn_nms_options options;
		struct frcnn_survivors out;
		frcnn_nms_options_init(&options);
		options.method = strcmp(method, "nmw") == 0 ? FRCNN_NMS_NMW : FRCNN_NMS_WBF;
		options.iou = iou;
		options.confidence = confidence_of(confidence);
		options.allow_overflow = overflow;
		options.weights = weights;
		options.nsources = nsources;
		cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
		cr_assert_eq(fscanf(file, " fused %d", &nfused), 1);
		cr_assert_eq(out.count, (size_t)nfused, "case %d", cases);
		for (int i = 0; i < nfused; i++) {
			double score, box[4];
			int label;
			size_t k = 0;
			cr_assert_eq(
			    fscanf(file, "%d %lf %lf %lf %lf %lf", &label, &score, &box[0], &box[1], &box[2], &box[3]),
			    6);
			/* equal scores: in any order */
			for (; k < out.count; k++) {
				const float *ours = out.boxes + 4 * k;
				bool same = !matched[k] && labels[out.index[k]] == label &&
					    fabs((double)out.scores[k] - score) <= 1e-6;
				for (int c = 0; c < 4 && same; c++)
					same = fabs((double)ours[c] - box[c]) <= 1e-6 * (c % 2 ? height : width);
				if (same)
					break;
			}
			cr_assert_lt(k, out.count, "case %d (%s %s): fused box %d is not there", cases, method,
				     confidence, i);
			matched[k] = true;
		}
		frcnn_survivors_free(&out);
		cases++;
	}
	fclose(file);
	cr_assert_eq(cases, 72);
}

/* What is documented as different from ensemble-boxes, and the rest of what options do. */
Test(nms, fusion_differs_where_it_says_so)
{
	const float boxes[12] = {0, 0, 10, 10, 0, 0, 10, 12, 40, 40, 50, 50}, scores[3] = {0.5f, 0.5f, 0.9f};
	const int sources[3] = {0, 1, 2};
	const double zero[3] = {1, 1, 0}, heavy[3] = {1, 3, 1};
	struct frcnn_nms_boxes in = {.count = 3, .boxes = boxes, .scores = scores, .sources = sources};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;

	frcnn_nms_options_init(&options);
	options.method = FRCNN_NMS_WBF;
	options.nsources = 3;
	options.weights = zero; /* a source of weight 0 takes no part, and is not counted */
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 1);
	cr_assert_eq(out.index[0], 0); /* equal scores: the lower index is the best member */
	cr_assert_float_eq((double)out.scores[0], 0.5, 1e-7);
	cr_assert_float_eq((double)out.boxes[3], 11, 1e-5); /* size of the image not known: pixels, nothing is cut */
	cr_assert_eq(out.moved[0], 1);
	frcnn_survivors_free(&out);

	options.weights = heavy; /* an average may be above 1 */
	const float high[3] = {0.9f, 0.95f, 0.9f};
	in.scores = high;
	in.count = 2;
	options.nsources = 2;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_float_eq((double)out.scores[0], (0.9 + 3 * 0.95) / 2 * 2 / 4, 1e-6);
	frcnn_survivors_free(&out);
	options.nsources = 2;
	const double lopsided[2] = {0.1, 3};
	const int both[3] = {1, 1, 0};
	in.sources = both;
	options.weights = lopsided;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_gt((double)out.scores[0], 1.5);
	frcnn_survivors_free(&out);
	options.clip_scores = 1;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.scores[0], 1);
	frcnn_survivors_free(&out);

	/* Scores of 0 have no mean: the best member's box stays. */
	const float none[3] = {0, 0, 0};
	in.scores = none;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert(out.count == 1 && out.moved[0] == 0 && out.boxes[3] == 10);
	frcnn_survivors_free(&out);
}

static size_t survive(enum frcnn_nms_method method, double iou, bool geq, bool plus_one, const float *boxes, size_t n)
{
	const float scores[4] = {0.9f, 0.8f, 0.7f, 0.6f};
	struct frcnn_nms_boxes in = {.count = n, .boxes = boxes, .scores = scores};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;
	frcnn_nms_options_init(&options);
	options.method = method;
	options.iou = iou;
	options.geq = geq;
	options.plus_one = plus_one;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	size_t count = out.count;
	frcnn_survivors_free(&out);
	return count;
}

Test(nms, conventions)
{
	const float half[8] = {0, 0, 2, 1, 0, 0, 1, 1}; /* IoU 1/2 */
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0.5, false, false, half, 2), 2);
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0.5, true, false, half, 2), 1);
	/* with +1 the sides are 3x2 and 2x2: 2/3 */
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0.5, false, true, half, 2), 1);
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0.67, false, true, half, 2), 2);
	/* IoU 3/10: as float32 above 0.3 */
	const float tenths[8] = {0, 0, 10, 1, 0, 0, 3, 1};
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0.3, false, false, tenths, 2), 1);
	cr_assert_eq(survive(FRCNN_NMS_HARD, (double)0.3f, false, false, tenths, 2), 2);
	/* DIoU: the same IoU, less the distance */
	const float apart[8] = {0, 0, 4, 1, 2, 0, 6, 1}; /* IoU 1/3, centres 2 apart, diagonal^2 37 */
	cr_assert_eq(survive(FRCNN_NMS_DIOU, 1.0 / 3 - 4.0 / 37 - 1e-3, false, false, apart, 2), 1);
	cr_assert_eq(survive(FRCNN_NMS_DIOU, 1.0 / 3 - 4.0 / 37 + 1e-3, false, false, apart, 2), 2);
	/* 0/0 is above nothing, not even >= 0 */
	const float flat[8] = {5, 5, 5, 5, 5, 5, 5, 5};
	cr_assert_eq(survive(FRCNN_NMS_HARD, 0, true, false, flat, 2), 2);
}

Test(nms, limits_labels_and_orders)
{
	const float boxes[16] = {0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 9, 9, 20, 20, 29, 29},
		    scores[4] = {0.5f, 0.5f, 0.5f, 0.4f};
	const int labels[4] = {1, 0, 1, 0};
	const uint32_t order[4] = {3, 2, 1, 0};
	const double thresholds[2] = {NAN, 1};
	struct frcnn_nms_boxes in = {.count = 4, .boxes = boxes, .scores = scores, .labels = labels, .nlabels = 2};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;

	frcnn_nms_options_init(&options);
	cr_assert_eq(frcnn_suppress(&in, NULL, &out, NULL), 0);
	cr_assert(out.count == 3 && out.index[0] == 0 && out.index[1] == 1 && out.index[2] == 3);
	frcnn_survivors_free(&out);
	in.order = order;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert(out.count == 3 && out.index[0] == 2 && out.index[1] == 1 && out.index[2] == 3);
	frcnn_survivors_free(&out);
	in.thresholds = thresholds;
	options.max_dets = 2;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert(out.count == 2 && out.index[0] == 2 && out.index[1] == 1);
	frcnn_survivors_free(&out);
	options.max_dets = -1;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 4); /* label 1 at IoU 1: nothing is above */
	frcnn_survivors_free(&out);
	options.top_k = 1;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert(out.count == 1 && out.index[0] == 2);
	frcnn_survivors_free(&out);

	in.labels = NULL;
	in.count = 0;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 0);
	frcnn_survivors_free(&out);
}

Test(nms, voting_is_a_mean_by_score)
{
	const float boxes[12] = {0, 0, 10, 10, 0, 0, 10, 11, 0, 0, 10, 30}, scores[3] = {0.6f, 0.3f, 0.2f};
	struct frcnn_nms_boxes in = {.count = 3, .boxes = boxes, .scores = scores};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;
	double a = (double)0.6f, b = (double)0.3f;

	frcnn_nms_options_init(&options);
	options.method = FRCNN_NMS_VOTE;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, NULL), 0);
	cr_assert_eq(out.count, 2); /* the third stays: IoU 1/3 */
	cr_assert(out.index[0] == 0 && out.moved[0] == 1 && out.moved[1] == 0);
	cr_assert_eq(out.scores[0], 0.6f);
	cr_assert_eq(out.boxes[3], (float)((a * 10 + b * 11) / (a + b)));
	frcnn_survivors_free(&out);
}

Test(nms, refuses_nonsense)
{
	const float boxes[4] = {0, 0, 1, 1}, score[1] = {1};
	const int label[1] = {2};
	const double weight[1] = {-1};
	struct frcnn_nms_boxes in = {.count = 1, .boxes = boxes, .scores = score, .labels = label, .nlabels = 2};
	struct frcnn_nms_options options;
	struct frcnn_survivors out;
	struct frcnn_error err;

	cr_assert_eq(frcnn_suppress(&in, NULL, &out, &err), FRCNN_EINVAL);
	cr_assert_str_eq(err.message, "label 2 of box 0 is not below 2");
	in.labels = NULL;
	frcnn_nms_options_init(&options);
	options.weights = weight;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, &err), FRCNN_EINVAL);
	options.weights = NULL;
	options.sigma = 0;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, &err), FRCNN_EINVAL);
	options.sigma = 1;
	options.method = (enum frcnn_nms_method)99;
	cr_assert_eq(frcnn_suppress(&in, &options, &out, &err), FRCNN_EINVAL);
	cr_assert_eq(out.count, 0);
}
