/* Ground truth in network pixels, and what is odd in it. */
#include "anchors/anchors.h"

#include <math.h>
#include <stdlib.h>

const char *const frcnn_anchor_check_names[FRCNN_ANCHOR_CHECKS] = {
    "no_size", "no_area", "outside", "partly_outside", "duplicates", "crowds", "empty_images",
};

const char *const frcnn_anchor_area_names[FRCNN_ANCHOR_AREAS] = {"all", "small", "medium", "large"};

bool frcnn_anchor_in_area(double area, int a)
{
	static const double low[FRCNN_ANCHOR_AREAS] = {-INFINITY, -INFINITY, 32 * 32, 96 * 96},
			    high[FRCNN_ANCHOR_AREAS] = {INFINITY, 32 * 32, 96 * 96, INFINITY};

	return area >= low[a] && area < high[a];
}

static int add_finding(struct frcnn_anchor_boxes *out, enum frcnn_anchor_check check, size_t image, size_t annotation,
		       struct frcnn_error *err)
{
	struct frcnn_anchor_findings *findings = &out->findings[check];
	void *items = findings->items;
	int status = frcnn_grow(&items, &findings->capacity, findings->count + 1, sizeof *findings->items);

	findings->items = items;
	if (status < 0)
		return frcnn_fail_nomem(err);
	findings->items[findings->count++] = (struct frcnn_anchor_finding){image, annotation};
	return 0;
}

static float clamp(float value, float most)
{
	return value < 0 ? 0 : value > most ? most : value;
}

static bool has_area(const float box[4])
{
	return box[2] > box[0] && box[3] > box[1];
}

/* Half a pixel and less is how files round: YOLO's six decimals of a box at the edge land on either side of it. */
static bool sticks_out(const float whole[4], const float clipped[4])
{
	for (int k = 0; k < 4; k++)
		if (fabsf(whole[k] - clipped[k]) > 0.5f)
			return true;
	return false;
}

/* One annotation; 1: it was taken. */
static int add_box(struct frcnn_anchor_boxes *out, const struct frcnn_anchor_image *image, size_t annotation,
		   struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = out->truth;
	const double *bbox = truth->bboxes + 4 * annotation;
	size_t n = out->nboxes;
	float *box = out->original + 4 * n;
	float whole[4];
	int status;

	if (truth->crowds[annotation])
		return add_finding(out, FRCNN_ANCHOR_CROWD, image->truth, annotation, err);
	whole[0] = (float)bbox[0];
	whole[1] = (float)bbox[1];
	whole[2] = (float)bbox[2] + whole[0];
	whole[3] = (float)bbox[3] + whole[1];
	for (int k = 0; k < 4; k++)
		box[k] = clamp(whole[k], (float)(k % 2 ? image->height : image->width));
	if (!has_area(whole))
		return add_finding(out, FRCNN_ANCHOR_NO_AREA, image->truth, annotation, err);
	if (!has_area(box))
		return add_finding(out, FRCNN_ANCHOR_OUTSIDE, image->truth, annotation, err);
	memcpy(out->network + 4 * n, box, 4 * sizeof *box);
	frcnn_boxes_scale(out->network + 4 * n, 1, image->width, image->height, image->size.width, image->size.height);
	if (!has_area(out->network + 4 * n)) /* so thin that float32 loses it */
		return add_finding(out, FRCNN_ANCHOR_NO_AREA, image->truth, annotation, err);
	if (sticks_out(whole, box)) {
		status = add_finding(out, FRCNN_ANCHOR_PARTLY, image->truth, annotation, err);
		if (status < 0)
			return status;
	}
	out->areas[n] = truth->areas[annotation];
	out->annotations[n] = annotation;
	out->nboxes++;
	return 1;
}

static int compare_annotations(const void *a, const void *b, void *context)
{
	const struct frcnn_ground_truth *truth = context;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	const double *x = truth->bboxes + 4 * i, *y = truth->bboxes + 4 * j;

	for (int k = 0; k < 4; k++)
		if (x[k] != y[k])
			return x[k] < y[k] ? -1 : 1;
	if (truth->annotation_categories[i] != truth->annotation_categories[j])
		return truth->annotation_categories[i] < truth->annotation_categories[j] ? -1 : 1;
	return i < j ? -1 : i > j;
}

static bool is_same(const struct frcnn_ground_truth *truth, size_t i, size_t j)
{
	return memcmp(truth->bboxes + 4 * i, truth->bboxes + 4 * j, 4 * sizeof(double)) == 0 &&
	       truth->annotation_categories[i] == truth->annotation_categories[j];
}

/* All but the first of equal boxes of an image; scratch has room for them. */
static int find_duplicates(struct frcnn_anchor_boxes *out, const struct frcnn_anchor_image *image, size_t *scratch,
			   struct frcnn_error *err)
{
	int status = 0;

	for (size_t i = 0; i < image->count; i++)
		scratch[i] = out->annotations[image->first + i];
	qsort_r(scratch, image->count, sizeof *scratch, compare_annotations, (void *)(uintptr_t)out->truth);
	for (size_t i = 1; i < image->count && status == 0; i++)
		if (is_same(out->truth, scratch[i - 1], scratch[i]))
			status = add_finding(out, FRCNN_ANCHOR_DUPLICATE, image->truth, scratch[i], err);
	return status;
}

static int add_image(struct frcnn_anchor_boxes *out, size_t index, int min_size, int max_size, size_t *scratch,
		     struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = out->truth;
	struct frcnn_anchor_image *image = &out->images[out->nimages];
	int status;

	image->truth = index;
	image->width = truth->widths[index];
	image->height = truth->heights[index];
	image->first = out->nboxes;
	if (image->width < 1 || image->height < 1 ||
	    frcnn_transform_size(image->width, image->height, min_size, max_size, &image->size, NULL) < 0)
		return add_finding(out, FRCNN_ANCHOR_NO_SIZE, index, SIZE_MAX, err);
	for (size_t i = truth->first[index]; i < truth->first[index + 1]; i++) {
		status = add_box(out, image, truth->by_image[i], err);
		if (status < 0)
			return status;
	}
	image->count = out->nboxes - image->first;
	out->nimages++;
	if (image->count == 0)
		return add_finding(out, FRCNN_ANCHOR_EMPTY, index, SIZE_MAX, err);
	return find_duplicates(out, image, scratch, err);
}

static int allocate(struct frcnn_anchor_boxes *out, size_t images, size_t boxes)
{
	out->images = frcnn_calloc(images, sizeof *out->images);
	out->network = frcnn_calloc(boxes, 4 * sizeof *out->network);
	out->original = frcnn_calloc(boxes, 4 * sizeof *out->original);
	out->areas = frcnn_calloc(boxes, sizeof *out->areas);
	out->annotations = frcnn_calloc(boxes, sizeof *out->annotations);
	return out->images && out->network && out->original && out->areas && out->annotations ? 0 : FRCNN_ENOMEM;
}

int frcnn_anchor_boxes_make(const struct frcnn_ground_truth *truth, int min_size, int max_size,
			    struct frcnn_anchor_boxes *out, struct frcnn_error *err)
{
	size_t *scratch = NULL;
	int status;

	memset(out, 0, sizeof *out);
	out->truth = truth;
	/* one more box, as a place to look at what is then left out */
	status = allocate(out, truth->nimages + 1, truth->nannotations + 1);
	scratch = frcnn_calloc(truth->nannotations, sizeof *scratch);
	if (status < 0 || !scratch)
		status = frcnn_fail_nomem(err);
	for (size_t i = 0; i < truth->nimages && status == 0; i++)
		status = add_image(out, i, min_size, max_size, scratch, err);
	free(scratch);
	if (status < 0)
		frcnn_anchor_boxes_free(out);
	return status;
}

int frcnn_anchor_boxes_select(const struct frcnn_anchor_boxes *boxes, const uint8_t *keep, uint8_t wanted,
			      struct frcnn_anchor_boxes *out, struct frcnn_error *err)
{
	size_t images = 0, count = 0;

	memset(out, 0, sizeof *out);
	out->truth = boxes->truth;
	for (size_t i = 0; i < boxes->nimages; i++) {
		if (keep[i] != wanted)
			continue;
		images++;
		count += boxes->images[i].count;
	}
	if (allocate(out, images, count) < 0) {
		frcnn_anchor_boxes_free(out);
		return frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < boxes->nimages; i++) {
		const struct frcnn_anchor_image *from = &boxes->images[i];
		struct frcnn_anchor_image *to = &out->images[out->nimages];
		size_t at = out->nboxes, n = from->count;

		if (keep[i] != wanted)
			continue;
		*to = *from;
		to->first = at;
		if (n > 0) {
			memcpy(out->network + 4 * at, boxes->network + 4 * from->first, 4 * n * sizeof *out->network);
			memcpy(out->original + 4 * at, boxes->original + 4 * from->first,
			       4 * n * sizeof *out->original);
			memcpy(out->areas + at, boxes->areas + from->first, n * sizeof *out->areas);
			memcpy(out->annotations + at, boxes->annotations + from->first, n * sizeof *out->annotations);
		}
		out->nboxes += n;
		out->nimages++;
	}
	return 0;
}

void frcnn_anchor_boxes_free(struct frcnn_anchor_boxes *boxes)
{
	if (!boxes)
		return;
	free(boxes->images);
	free(boxes->network);
	free(boxes->original);
	free(boxes->areas);
	free(boxes->annotations);
	for (int c = 0; c < FRCNN_ANCHOR_CHECKS; c++)
		free(boxes->findings[c].items);
	memset(boxes, 0, sizeof *boxes);
}
