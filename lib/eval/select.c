/* Some of the categories, or all of them as one: columns made of columns. */
#include "eval/eval.h"

#include <stdlib.h>
#include <string.h>

static bool kept(const uint8_t *keep, size_t category)
{
	return !keep || keep[category];
}

static void *copy(const void *from, size_t count, size_t size)
{
	void *to = frcnn_calloc(count, size);

	if (to && from && count > 0)
		memcpy(to, from, count * size);
	return to;
}

static size_t count_kept(size_t ncategories, const size_t *category_first, const uint8_t *keep,
			 size_t *ncategories_kept)
{
	size_t count = 0;

	*ncategories_kept = 0;
	for (size_t k = 0; k < ncategories; k++) {
		if (!kept(keep, k))
			continue;
		count += category_first[k + 1] - category_first[k];
		++*ncategories_kept;
	}
	return count;
}

/* from[i]: which element of the old columns becomes element i. Unmerged: the kept categories as they stand. Merged: by
 * image, within one by category and then as they stood. category_first gets its values too. */
static int arrange(size_t ncategories, const size_t *old_first, const uint32_t *image, size_t nimages,
		   const uint8_t *keep, bool merge, size_t count, size_t *from, size_t *category_first)
{
	size_t *next = NULL, n = 0, c = 0;

	if (!merge) {
		for (size_t k = 0; k < ncategories; k++) {
			if (!kept(keep, k))
				continue;
			category_first[c++] = n;
			for (size_t i = old_first[k]; i < old_first[k + 1]; i++)
				from[n++] = i;
		}
		category_first[c] = n;
		return 0;
	}
	next = frcnn_calloc(nimages + 1, sizeof *next);
	if (!next)
		return FRCNN_ENOMEM;
	for (size_t k = 0; k < ncategories; k++) {
		for (size_t i = old_first[k]; kept(keep, k) && i < old_first[k + 1]; i++)
			next[image[i] + 1]++;
	}
	for (size_t i = 0; i < nimages; i++)
		next[i + 1] += next[i];
	for (size_t k = 0; k < ncategories; k++) {
		for (size_t i = old_first[k]; kept(keep, k) && i < old_first[k + 1]; i++)
			from[next[image[i]]++] = i;
	}
	category_first[0] = 0;
	category_first[1] = count;
	free(next);
	return 0;
}

int frcnn_eval_truth_select(const struct frcnn_eval_truth *truth, const uint8_t *keep, bool merge,
			    struct frcnn_eval_truth *out, struct frcnn_error *err)
{
	size_t ncategories, count = count_kept(truth->ncategories, truth->category_first, keep, &ncategories), c = 0;
	size_t *from = frcnn_calloc(count, sizeof *from);
	int status = 0;

	if (merge)
		ncategories = 1;
	*out = (struct frcnn_eval_truth){
	    .nimages = truth->nimages,
	    .image_ids = copy(truth->image_ids, truth->nimages, sizeof *out->image_ids),
	    .file_names = copy(truth->file_names, truth->nimages, sizeof *out->file_names),
	    .widths = copy(truth->widths, truth->nimages, sizeof *out->widths),
	    .heights = copy(truth->heights, truth->nimages, sizeof *out->heights),
	    .ncategories = ncategories,
	    .category_ids = frcnn_calloc(ncategories, sizeof *out->category_ids),
	    .category_names = frcnn_calloc(ncategories, sizeof *out->category_names),
	    .nobjects = count,
	    .category_first = frcnn_calloc(ncategories + 1, sizeof *out->category_first),
	    .image = frcnn_calloc(count, sizeof *out->image),
	    .bbox = frcnn_calloc(count, 4 * sizeof *out->bbox),
	    .area = frcnn_calloc(count, sizeof *out->area),
	    .crowd = frcnn_calloc(count, sizeof *out->crowd),
	    .id = frcnn_calloc(count, sizeof *out->id),
	    .order = frcnn_calloc(count, sizeof *out->order),
	};
	if (!from || !out->image_ids || !out->file_names || !out->widths || !out->heights || !out->category_ids ||
	    !out->category_names || !out->category_first || !out->image || !out->bbox || !out->area || !out->crowd ||
	    !out->id || !out->order ||
	    arrange(truth->ncategories, truth->category_first, truth->image, truth->nimages, keep, merge, count, from,
		    out->category_first) < 0) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (merge) {
		out->category_ids[0] = -1;
		out->category_names[0] = "all";
	}
	for (size_t k = 0; k < truth->ncategories && !merge; k++) {
		if (!kept(keep, k))
			continue;
		out->category_ids[c] = truth->category_ids[k];
		out->category_names[c++] = truth->category_names ? truth->category_names[k] : NULL;
	}
	for (size_t i = 0; i < count; i++) {
		size_t old = from[i];

		out->image[i] = truth->image[old];
		memcpy(out->bbox + 4 * i, truth->bbox + 4 * old, 4 * sizeof *out->bbox);
		out->area[i] = truth->area[old];
		out->crowd[i] = truth->crowd[old];
		out->id[i] = truth->id[old];
		out->order[i] = truth->order[old];
	}
out:
	free(from);
	if (status < 0)
		frcnn_eval_truth_free(out);
	return status;
}

/* Within each image: descending score, equal ones as they stand (by category, then input order). */
static int sort_images(const struct frcnn_eval_detections *detections, size_t *from, size_t count)
{
	struct frcnn_eval_scored *items = frcnn_calloc(count, sizeof *items);
	size_t *before = copy(from, count, sizeof *from);

	if (!items || !before) {
		free(items);
		free(before);
		return FRCNN_ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		items[i] = (struct frcnn_eval_scored){.score = detections->score[from[i]], .row = (uint32_t)i};
	for (size_t first = 0, last; first < count; first = last) {
		for (last = first; last < count && detections->image[before[last]] == detections->image[before[first]];)
			last++;
		frcnn_eval_sort(items + first, last - first);
	}
	for (size_t i = 0; i < count; i++)
		from[i] = before[items[i].row];
	free(items);
	free(before);
	return 0;
}

int frcnn_eval_detections_select(const struct frcnn_eval_detections *detections, const struct frcnn_eval_truth *truth,
				 const uint8_t *keep, bool merge, struct frcnn_eval_detections *out,
				 struct frcnn_error *err)
{
	size_t ncategories, count = count_kept(truth->ncategories, detections->category_first, keep, &ncategories);
	size_t *from = frcnn_calloc(count, sizeof *from);
	int status = 0;

	if (merge)
		ncategories = 1;
	*out = (struct frcnn_eval_detections){
	    .count = count,
	    .category_first = frcnn_calloc(ncategories + 1, sizeof *out->category_first),
	    .image = frcnn_calloc(count, sizeof *out->image),
	    .bbox = frcnn_calloc(count, 4 * sizeof *out->bbox),
	    .score = frcnn_calloc(count, sizeof *out->score),
	    .order = frcnn_calloc(count, sizeof *out->order),
	};
	if (!from || !out->category_first || !out->image || !out->bbox || !out->score || !out->order ||
	    arrange(truth->ncategories, detections->category_first, detections->image, truth->nimages, keep, merge,
		    count, from, out->category_first) < 0 ||
	    (merge && sort_images(detections, from, count) < 0)) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		size_t old = from[i];

		out->image[i] = detections->image[old];
		memcpy(out->bbox + 4 * i, detections->bbox + 4 * old, 4 * sizeof *out->bbox);
		out->score[i] = detections->score[old];
		out->order[i] = detections->order[old];
	}
out:
	free(from);
	if (status < 0)
		frcnn_eval_detections_free(out);
	return status;
}
