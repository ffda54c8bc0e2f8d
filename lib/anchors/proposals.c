/* How many objects a run's own proposals reach. */
#include "anchors/anchors.h"

#include <math.h>
#include <stdlib.h>

const int frcnn_anchor_tops[FRCNN_ANCHOR_TOPS] = {100, 300, 1000};

enum { MOST = 1000 };

struct ranked {
	double score;
	size_t index;
};

struct reading {
	const struct frcnn_anchor_boxes *boxes;
	const struct frcnn_anchor_config *config;
	const struct frcnn_notices *notices;
	const char *name;
	struct frcnn_join *join;
	size_t *image_of; /* image of the ground truth -> image of boxes, or SIZE_MAX */
	size_t *line_of;  /* image of the ground truth -> line of its record, 0: none yet */
	struct ranked *ranked;
	size_t ranked_capacity;
	struct frcnn_anchor_proposals *out;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static double iou_with(const float box[4], const double bbox[4])
{
	double left = fmax(box[0], bbox[0]), right = fmin(box[2], bbox[0] + bbox[2]);
	double top = fmax(box[1], bbox[1]), bottom = fmin(box[3], bbox[1] + bbox[3]);
	double inter = fmax(right - left, 0) * fmax(bottom - top, 0);
	double area = ((double)box[2] - box[0]) * ((double)box[3] - box[1]);

	return inter > 0 ? inter / (area + bbox[2] * bbox[3] - inter) : 0;
}

/* The best of proposals 0 .. top - 1 not yet taken (taken: its column is -1). */
static size_t find_favourite(const float *row, size_t top)
{
	size_t best = 0;

	for (size_t p = 1; p < top; p++)
		if (row[p] > row[best])
			best = p;
	return best;
}

/* One to one: the best of all pairs first. overlaps (count, stride); scratch (count, top). */
static void match_one_to_one(const float *overlaps, size_t stride, size_t count, size_t top, uint8_t *taken,
			     size_t *favourite, float *scratch, float *reached)
{
	for (size_t i = 0; i < count; i++) {
		memcpy(scratch + i * top, overlaps + i * stride, top * sizeof *scratch);
		favourite[i] = find_favourite(scratch + i * top, top);
		taken[i] = 0;
		reached[i] = 0;
	}
	for (;;) {
		size_t best = count;
		float most = 0;

		for (size_t i = 0; i < count; i++) {
			float iou = scratch[i * top + favourite[i]];

			if (!taken[i] && iou > most) {
				most = iou;
				best = i;
			}
		}
		if (best == count)
			return;
		size_t gone = favourite[best];
		taken[best] = 1;
		reached[best] = most;
		for (size_t i = 0; i < count; i++) {
			scratch[i * top + gone] = -1;
			if (!taken[i] && favourite[i] == gone)
				favourite[i] = find_favourite(scratch + i * top, top);
		}
	}
}

static int measure(struct reading *r, const struct frcnn_anchor_image *image, const struct frcnn_record_item *items,
		   size_t count, struct frcnn_error *err)
{
	size_t used = count < MOST ? count : MOST, n = image->count;
	float *overlaps, *scratch;
	uint8_t *taken;
	size_t *favourite;
	int status = 0;

	if (n == 0 || used == 0)
		return 0;
	overlaps = frcnn_calloc(n, used * sizeof *overlaps);
	scratch = frcnn_calloc(n, used * sizeof *scratch);
	taken = frcnn_calloc(n, 1);
	favourite = frcnn_calloc(n, sizeof *favourite);
	if (!overlaps || !scratch || !taken || !favourite) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t p = 0; p < used; p++)
			overlaps[i * used + p] = (float)iou_with(r->boxes->original + 4 * (image->first + i),
								 items[r->ranked[p].index].bbox);
	for (int t = 0; t < FRCNN_ANCHOR_TOPS; t++) {
		size_t top = used < (size_t)frcnn_anchor_tops[t] ? used : (size_t)frcnn_anchor_tops[t];

		match_one_to_one(overlaps, used, n, top, taken, favourite, scratch, r->out->reached[t] + image->first);
	}
out:
	free(overlaps);
	free(scratch);
	free(taken);
	free(favourite);
	return status;
}

static void count_levels(struct reading *r, const struct frcnn_anchor_image *image,
			 const struct frcnn_record_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const float *b = items[i].bbox_f32;
		float box[4] = {b[0], b[1], b[0] + b[2], b[1] + b[3]};
		uint8_t level;

		frcnn_boxes_scale(box, 1, image->width, image->height, image->size.width, image->size.height);
		frcnn_roi_levels(box, 1, r->config->roi_scales, r->config->nroi_levels, &level);
		r->out->levels[level]++;
	}
}

/* 0, FRCNN_ENOMEM, or what is wrong with the record. */
static int take_record(struct reading *r, const struct frcnn_record *record, struct frcnn_error *err)
{
	const struct frcnn_record_item *items = record->has_proposals ? record->proposals : record->detections;
	size_t count = record->has_proposals ? record->nproposals : record->ndetections, index;
	void *ranked = r->ranked;
	int status = frcnn_join_find(r->join, record->file_name, record->has_image_id, record->image_id, &index, err);

	if (status < 0)
		return status;
	if (status == 0) {
		char id[32];

		snprintf(id, sizeof id, "id %lld", (long long)record->image_id);
		return frcnn_fail(err, FRCNN_EFORMAT, "the ground truth has no image %s",
				  record->file_name ? record->file_name : id);
	}
	if (r->line_of[index])
		return frcnn_fail(err, FRCNN_EFORMAT, "an image that has a record in line %zu already",
				  r->line_of[index]);
	r->line_of[index] = record->line;
	if (r->image_of[index] == SIZE_MAX)
		return 0;
	status = frcnn_grow(&ranked, &r->ranked_capacity, count, sizeof *r->ranked);
	r->ranked = ranked;
	if (status < 0)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++)
		r->ranked[i] = (struct ranked){items[i].score, i};
	if (count > 0)
		qsort(r->ranked, count, sizeof *r->ranked, compare_ranked);
	r->out->images++;
	r->out->count += count;
	count_levels(r, &r->boxes->images[r->image_of[index]], items, count);
	return measure(r, &r->boxes->images[r->image_of[index]], items, count, err);
}

static int read_records(struct reading *r, struct frcnn_records *records, struct frcnn_error *err)
{
	for (;;) {
		const struct frcnn_record *record;
		struct frcnn_error wrong = {0};
		int status = frcnn_records_next(records, &record, &wrong);

		if (status == 0)
			return 0;
		if (status > 0) {
			struct frcnn_error reason = {0};

			status = take_record(r, record, &reason);
			if (status == 0)
				continue;
			frcnn_fail(&wrong, status, "%s:%zu: %s", r->name, record->line, reason.message);
		}
		if (status == FRCNN_ENOMEM)
			return frcnn_fail_nomem(err);
		r->out->failed++;
		if (r->notices && r->notices->note)
			r->notices->note(r->notices->context, FRCNN_NOTICE_ERROR, wrong.message);
	}
}

int frcnn_anchor_proposals_read(const char *path, FILE *stream, const struct frcnn_anchor_boxes *boxes,
				const struct frcnn_anchor_config *config, const struct frcnn_notices *notices,
				struct frcnn_anchor_proposals *out, struct frcnn_error *err)
{
	bool piped = strcmp(path, "-") == 0;
	struct reading r = {.boxes = boxes, .config = config, .notices = notices, .out = out};
	struct frcnn_records *records = NULL;
	struct frcnn_file file = {0};
	size_t nimages = boxes->truth->nimages;
	int status;

	memset(out, 0, sizeof *out);
	r.name = piped ? "standard input" : path;
	r.image_of = frcnn_calloc(nimages, sizeof *r.image_of);
	r.line_of = frcnn_calloc(nimages, sizeof *r.line_of);
	for (int t = 0; t < FRCNN_ANCHOR_TOPS; t++)
		out->reached[t] = frcnn_calloc(boxes->nboxes, sizeof **out->reached);
	if (!r.image_of || !r.line_of || !out->reached[0] || !out->reached[1] || !out->reached[2]) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	memset(r.image_of, 0xFF, nimages * sizeof *r.image_of);
	for (size_t i = 0; i < boxes->nimages; i++)
		r.image_of[boxes->images[i].truth] = i;
	status = frcnn_join_new(boxes->truth, &r.join, err);
	if (status == 0 && !piped)
		status = frcnn_file_open(path, 0, &file, err);
	if (status < 0)
		goto out;
	status = piped ? frcnn_records_open_stream(stream, path, notices, &records, err)
		       : frcnn_records_open_memory(file.data, file.size, path, notices, &records, err);
	if (status == 0)
		status = read_records(&r, records, err);
	for (size_t i = 0; status == 0 && i < boxes->nimages; i++)
		out->absent += r.line_of[boxes->images[i].truth] == 0;
out:
	frcnn_records_close(records);
	frcnn_file_close(&file);
	frcnn_join_free(r.join);
	free(r.image_of);
	free(r.line_of);
	free(r.ranked);
	if (status < 0)
		frcnn_anchor_proposals_free(out);
	return status;
}

void frcnn_anchor_proposals_free(struct frcnn_anchor_proposals *proposals)
{
	if (!proposals)
		return;
	for (int t = 0; t < FRCNN_ANCHOR_TOPS; t++)
		free(proposals->reached[t]);
	memset(proposals, 0, sizeof *proposals);
}

double frcnn_anchor_proposals_recall(const struct frcnn_anchor_boxes *boxes,
				     const struct frcnn_anchor_proposals *proposals, int top, int area, double iou)
{
	size_t objects = 0, reached = 0;
	int first = iou < 0 ? 0 : 9;

	for (size_t i = 0; i < boxes->nboxes; i++) {
		if (!frcnn_anchor_in_area(boxes->areas[i], area))
			continue;
		objects++;
		for (int t = first; t < 10; t++)
			reached += proposals->reached[top][i] >= (float)(iou < 0 ? 0.5 + 0.05 * t : iou);
	}
	return objects ? (double)reached / (double)objects / (10 - first) : -1;
}
