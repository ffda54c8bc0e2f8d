#include "detect/detect.h"

#include <math.h>

enum { LANES = 16 };

/* The largest float <= value: a float is > value exactly when it is > this. */
static float float_below(double value)
{
	float nearest = (float)value;
	return (double)nearest > value ? nextafterf(nearest, -INFINITY) : nearest;
}

/* Boxes that stay, by component, in blocks of LANES. */
struct kept_boxes {
	float *x1, *y1, *x2, *y2, *area;
};

/* Whether box overlaps any of the LANES boxes from first by more than threshold. */
static bool block_suppresses(const struct kept_boxes *kept, size_t first, const float *box, float area, float threshold)
{
	const float *restrict x1 = kept->x1 + first, *restrict y1 = kept->y1 + first;
	const float *restrict x2 = kept->x2 + first, *restrict y2 = kept->y2 + first;
	const float *restrict areas = kept->area + first;
	float left = box[0], top = box[1], right = box[2], bottom = box[3];
	int hits = 0;
	for (int i = 0; i < LANES; i++) {
		float xx1 = x1[i] > left ? x1[i] : left;
		float yy1 = y1[i] > top ? y1[i] : top;
		float xx2 = x2[i] < right ? x2[i] : right;
		float yy2 = y2[i] < bottom ? y2[i] : bottom;
		float width = xx2 - xx1, height = yy2 - yy1;
		width = width > 0.0f ? width : 0.0f;
		height = height > 0.0f ? height : 0.0f;
		float both = width * height;
		hits |= both / (areas[i] + area - both) > threshold;
	}
	return hits != 0;
}

size_t frcnn_nms(const float *boxes, size_t count, double threshold, size_t limit, uint32_t *kept, float *scratch)
{
	size_t room = count + LANES;
	struct kept_boxes set = {scratch, scratch + room, scratch + 2 * room, scratch + 3 * room, scratch + 4 * room};
	float bound = float_below(threshold);
	size_t nkept = 0;

	for (size_t i = 0; i < count && nkept < limit; i++) {
		const float *box = boxes + 4 * i;
		float area = (box[2] - box[0]) * (box[3] - box[1]);
		bool stays = true;
		for (size_t first = 0; first < nkept && stays; first += LANES)
			stays = !block_suppresses(&set, first, box, area, bound);
		if (!stays)
			continue;
		if (nkept % LANES == 0) { /* a new block: NaN overlaps nothing */
			for (size_t j = nkept; j < nkept + LANES; j++)
				set.x1[j] = set.y1[j] = set.x2[j] = set.y2[j] = set.area[j] = NAN;
		}
		set.x1[nkept] = box[0];
		set.y1[nkept] = box[1];
		set.x2[nkept] = box[2];
		set.y2[nkept] = box[3];
		set.area[nkept] = area;
		kept[nkept++] = (uint32_t)i;
	}
	return nkept;
}

struct label_job {
	const float *boxes;     /* grouped by label, in rank order within */
	const uint32_t *source; /* grouped position -> position in rank order */
	const size_t *start;    /* where each label's group begins; nlabels + 1 of them */
	double threshold;
	size_t limit;
	uint32_t *kept;
	float *scratch;
	uint8_t *keep;
};

static void suppress_label(void *context, size_t label, int worker)
{
	(void)worker;
	const struct label_job *job = context;
	size_t first = job->start[label], count = job->start[label + 1] - first;
	if (count == 0)
		return;
	/* Each label owns the scratch of its boxes and LANES boxes of padding for itself. */
	float *scratch = job->scratch + 5 * (first + LANES * label);
	size_t nkept = frcnn_nms(job->boxes + 4 * first, count, job->threshold, job->limit, job->kept + first, scratch);
	for (size_t i = 0; i < nkept; i++)
		job->keep[job->source[first + job->kept[first + i]]] = 1;
}

int frcnn_nms_by_label(struct frcnn_pool *pool, const float *boxes, const int *labels, size_t count, int nlabels,
		       double threshold, size_t limit, uint8_t *keep, struct frcnn_workspace *workspace,
		       struct frcnn_error *err)
{
	size_t groups = (size_t)nlabels;
	memset(keep, 0, count);
	if (count > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "too many boxes for one image: %zu", count);

	/* One block: starts, then the arrays in the order of struct label_job. */
	size_t starts = groups + 2;
	size_t floats = 4 * count + 5 * (count + LANES * groups);
	uint8_t *block =
	    frcnn_scratch_get(&workspace->slots[FRCNN_SCRATCH_NMS], 1,
			      starts * sizeof(size_t) + floats * sizeof(float) + 2 * count * sizeof(uint32_t));
	if (!block)
		return frcnn_fail_nomem(err);
	size_t *start = (size_t *)(void *)block;
	float *grouped = (float *)(void *)(start + starts);
	float *scratch = grouped + 4 * count;
	uint32_t *source = (uint32_t *)(void *)(scratch + 5 * (count + LANES * groups));
	uint32_t *kept = source + count;

	/* A counting sort by label keeps the rank order within each. */
	memset(start, 0, starts * sizeof(*start));
	for (size_t i = 0; i < count; i++)
		start[labels[i] + 2]++;
	for (size_t g = 2; g < starts; g++)
		start[g] += start[g - 1];
	for (size_t i = 0; i < count; i++) {
		size_t at = start[labels[i] + 1]++;
		source[at] = (uint32_t)i;
		memcpy(grouped + 4 * at, boxes + 4 * i, 4 * sizeof(float));
	}

	struct label_job job = {grouped, source, start, threshold, limit, kept, scratch, keep};
	frcnn_pool_run(pool, groups, suppress_label, &job);
	return 0;
}
