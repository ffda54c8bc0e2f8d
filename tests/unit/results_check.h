/* What columns of COCO results must be: whenever the fast reader takes a text, the records reader, asked alone, finds
 * nothing wrong with it and the same detections in it. Shared by the unit test and the fuzz target. */
#ifndef RESULTS_CHECK_H
#define RESULTS_CHECK_H

#include "record/record.h"

#include <sys/mman.h>
#include <unistd.h>

#define RESULTS_IDS 64 /* images 0 .. 63 and categories 0 .. 63 are known, index = id */

static void results_need(bool truth)
{
	if (!truth)
		abort();
}

/* Each image's results, in input order, taken off the columns one by one. */
static void results_compare(const char *text, size_t size, const struct frcnn_result_columns *columns)
{
	struct frcnn_records *records;
	const struct frcnn_record *record;
	struct frcnn_error err;
	size_t seen = 0;
	int rc;

	results_need(frcnn_records_open_memory(text, size, "results", NULL, &records, &err) == 0);
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		results_need(rc > 0);
		for (size_t i = 0; i < record->ndetections; i++, seen++) {
			const struct frcnn_record_item *item = &record->detections[i];

			results_need(item->index < columns->count);
			results_need(columns->image[item->index] == record->image_id);
			results_need(columns->category[item->index] == item->category_id);
			results_need(!memcmp(columns->bbox + item->index * 4, item->bbox, sizeof item->bbox));
			results_need(!memcmp(&columns->score[item->index], &item->score, sizeof item->score));
		}
	}
	results_need(seen == columns->count);
	results_need(frcnn_records_form(records) == FRCNN_FORM_COCO_ARRAY);
	frcnn_records_close(records);
}

/* Whether the fast reader took it. */
static bool results_check(const char *text, size_t size, size_t piece, struct frcnn_pool *pool)
{
	struct frcnn_id_map ids = {0};
	struct frcnn_result_columns columns;
	int fd = memfd_create("results", 0), rc;

	results_need(fd >= 0 && write(fd, text, size) == (ssize_t)size);
	for (int64_t i = 0; i < RESULTS_IDS; i++)
		results_need(frcnn_id_map_add(&ids, i, (size_t)i, NULL) == 1);
	rc = frcnn_results_read(fd, size, &ids, &ids, pool, piece, &columns, NULL);
	results_need(rc >= 0);
	if (rc > 0)
		results_compare(text, size, &columns);
	frcnn_result_columns_free(&columns);
	frcnn_id_map_free(&ids);
	close(fd);
	return rc > 0;
}

#endif
