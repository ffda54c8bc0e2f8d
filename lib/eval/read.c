/* Detections of any form, record by record. */
#include "eval/read.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>

static int read_records(struct frcnn_records *records, const char *name, struct frcnn_validation *validation,
			struct frcnn_eval_collector *collector, const struct frcnn_notices *notices,
			struct frcnn_eval_reading *out, struct frcnn_error *err)
{
	const struct frcnn_record *record;
	struct frcnn_error inner;
	size_t proposals = 0;
	int status;

	while ((status = frcnn_records_next(records, &record, &inner)) != 0) {
		if (status > 0)
			status = frcnn_validation_record(validation, record, collector, &inner);
		if (status == FRCNN_ENOMEM)
			return frcnn_fail(err, status, "%s", inner.message);
		if (status < 0) {
			out->failed++;
			if (notices && notices->note)
				notices->note(notices->context, FRCNN_NOTICE_ERROR, inner.message);
			continue;
		}
		out->records += status > 0;
		proposals += record->has_proposals && !record->has_detections;
		if (!out->model && record->model) {
			out->model = frcnn_strdup(record->model);
			if (!out->model)
				return frcnn_fail_nomem(err);
		}
	}
	out->form = frcnn_records_form(records);
	if (proposals > 0 && notices && notices->note) {
		frcnn_fail(&inner, 0,
			   "%s: records that hold proposals alone: %zu; they count as images without detections", name,
			   proposals);
		notices->note(notices->context, FRCNN_NOTICE_WARNING, inner.message);
	}
	return 0;
}

static int map_ids(const int64_t *ids, size_t count, struct frcnn_id_map *map)
{
	for (size_t i = 0; i < count; i++)
		if (frcnn_id_map_add(map, ids[i], i, NULL) < 0)
			return FRCNN_ENOMEM;
	return 0;
}

/* One array of COCO results in order throughout goes straight into columns. 1: done; 0: read it record by record. */
static int read_columns(const char *path, struct frcnn_validation *validation, struct frcnn_eval_collector *collector,
			struct frcnn_pool *pool, struct frcnn_eval_reading *out, struct frcnn_error *err)
{
	const struct frcnn_eval_truth *truth = frcnn_validation_truth(validation);
	struct frcnn_id_map images = {0}, categories = {0};
	struct frcnn_result_columns columns = {0};
	size_t before = frcnn_validation_counts(validation).records;
	struct stat status;
	int fd, rc = 0;

	/* Opened twice, a FIFO would lose its writer. */
	if (!frcnn_validation_joins_ids(validation) || stat(path, &status) || !S_ISREG(status.st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode))
		goto out;
	rc = map_ids(truth->image_ids, truth->nimages, &images);
	if (rc == 0)
		rc = map_ids(truth->category_ids, truth->ncategories, &categories);
	if (rc < 0)
		frcnn_fail_nomem(err);
	else
		rc = frcnn_results_read(fd, (uint64_t)status.st_size, &images, &categories, pool, 0, &columns, err);
	if (rc <= 0)
		goto out;
	frcnn_validation_columns(validation, &columns);
	out->records = frcnn_validation_counts(validation).records - before;
	out->form = FRCNN_FORM_COCO_ARRAY;
	frcnn_eval_collector_free(collector);
	*collector = (struct frcnn_eval_collector){columns.count,    columns.capacity, columns.image,
						   columns.category, columns.bbox,     columns.score};
	memset(&columns, 0, sizeof(columns));
out:
	if (fd >= 0)
		close(fd);
	frcnn_result_columns_free(&columns);
	frcnn_id_map_free(&images);
	frcnn_id_map_free(&categories);
	return rc;
}

int frcnn_eval_read_detections(const char *path, FILE *stream, const char *name, bool pycocotools,
			       struct frcnn_validation *validation, struct frcnn_eval_collector *collector,
			       struct frcnn_pool *pool, const struct frcnn_notices *notices,
			       struct frcnn_eval_reading *out, struct frcnn_error *err)
{
	struct frcnn_records *records = NULL;
	struct frcnn_file file = {0};
	bool streamed = !path || strcmp(path, "-") == 0;
	int status = 0;

	memset(out, 0, sizeof *out);
	frcnn_validation_take_bad_boxes(validation, pycocotools);
	if (!streamed && collector->count == 0) {
		status = read_columns(path, validation, collector, pool, out, err);
		if (status != 0)
			return status < 0 ? status : 0;
	}
	if (!streamed) {
		status = frcnn_file_open(path, 0, &file, err);
		if (status < 0)
			return status;
		status = frcnn_records_open_memory(file.data, file.size, name, notices, &records, err);
	} else {
		status = frcnn_records_open_stream(stream, name, notices, &records, err);
	}
	if (status == 0 && pycocotools)
		frcnn_records_pycocotools(records);
	if (status == 0)
		status = read_records(records, name, validation, collector, notices, out, err);
	frcnn_records_close(records);
	frcnn_file_close(&file);
	if (status < 0) {
		free(out->model);
		out->model = NULL;
	}
	return status;
}
