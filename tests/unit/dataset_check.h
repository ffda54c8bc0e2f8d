/* A dataset read in pieces must be what it is read whole: same status, message, notices and columns. Shared by the unit
 * test and the fuzz target. */
#ifndef DATASET_CHECK_H
#define DATASET_CHECK_H

#include "record/record.h"

static void dataset_need(bool truth)
{
	if (!truth)
		abort();
}

static void dataset_note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	frcnn_buffer_printf(context, "%d %s\n", (int)kind, line);
}

static bool dataset_same(const void *a, const void *b, size_t size)
{
	return size == 0 || memcmp(a, b, size) == 0;
}

/* Returns the status. */
static int dataset_check(const char *text, size_t size, size_t piece, struct frcnn_pool *pool)
{
	struct frcnn_ground_truth_options options = {.pool = pool, .piece = piece};
	struct frcnn_buffer said[2] = {{0}, {0}};
	struct frcnn_notices notices[2] = {{dataset_note, &said[0]}, {dataset_note, &said[1]}};
	struct frcnn_ground_truth t[2];
	struct frcnn_error err[2] = {{0}, {0}};
	int status = frcnn_ground_truth_parse(text, size, "d", false, &notices[0], &t[0], &err[0]);

	dataset_need(frcnn_dataset_open(text, size, "d", &options, &notices[1], &t[1], &err[1]) == status);
	dataset_need(strcmp(err[0].message, err[1].message) == 0);
	dataset_need(said[0].size == said[1].size && dataset_same(said[0].data, said[1].data, said[0].size));
	if (status == 0) {
		size_t n = t[0].nannotations;

		dataset_need(n == t[1].nannotations && t[0].nimages == t[1].nimages);
		dataset_need(t[0].ncategories == t[1].ncategories && t[0].errors == t[1].errors);
		dataset_need(dataset_same(t[0].image_ids, t[1].image_ids, t[0].nimages * sizeof(int64_t)));
		dataset_need(dataset_same(t[0].category_ids, t[1].category_ids, t[0].ncategories * sizeof(int64_t)));
		dataset_need(dataset_same(t[0].annotation_ids, t[1].annotation_ids, n * sizeof(int64_t)));
		dataset_need(dataset_same(t[0].annotation_images, t[1].annotation_images, n * sizeof(size_t)));
		dataset_need(dataset_same(t[0].annotation_categories, t[1].annotation_categories, n * sizeof(int64_t)));
		dataset_need(dataset_same(t[0].bboxes, t[1].bboxes, 4 * n * sizeof(double)));
		dataset_need(dataset_same(t[0].areas, t[1].areas, n * sizeof(double)));
		dataset_need(dataset_same(t[0].crowds, t[1].crowds, n));
		dataset_need(dataset_same(t[0].by_image, t[1].by_image, n * sizeof(size_t)));
	}
	frcnn_ground_truth_free(&t[0]);
	frcnn_ground_truth_free(&t[1]);
	frcnn_buffer_free(&said[0]);
	frcnn_buffer_free(&said[1]);
	return status;
}

#endif
