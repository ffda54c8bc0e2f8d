/* Detections of any form, record by record. */
#include "eval/read.h"

#include <stdlib.h>
#include <string.h>

static int read_records(struct frcnn_records *records, struct frcnn_validation *validation,
			struct frcnn_eval_collector *collector, const struct frcnn_notices *notices,
			struct frcnn_eval_reading *out, struct frcnn_error *err)
{
	const struct frcnn_record *record;
	struct frcnn_error inner;
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
		if (!out->model && record->model) {
			out->model = frcnn_strdup(record->model);
			if (!out->model)
				return frcnn_fail_nomem(err);
		}
	}
	out->form = frcnn_records_form(records);
	return 0;
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

	(void)pycocotools;
	(void)pool;
	memset(out, 0, sizeof *out);
	if (!streamed) {
		status = frcnn_file_open(path, 0, &file, err);
		if (status < 0)
			return status;
		status = frcnn_records_open_memory(file.data, file.size, name, notices, &records, err);
	} else {
		status = frcnn_records_open_stream(stream, name, notices, &records, err);
	}
	if (status == 0)
		status = read_records(records, validation, collector, notices, out, err);
	frcnn_records_close(records);
	frcnn_file_close(&file);
	if (status < 0) {
		free(out->model);
		out->model = NULL;
	}
	return status;
}
