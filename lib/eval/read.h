/*
 * read - detections from a file or stream into columns, joined with the ground
 * truth. The one function that frcnn-eval reads with, whatever the form; what
 * the bytes mean is record/, what is wrong with them is validate.
 */
#ifndef FRCNN_EVAL_READ_H
#define FRCNN_EVAL_READ_H

#include "eval/validate.h"

struct frcnn_eval_reading {
	size_t records; /* images with a record, or with at least one detection */
	size_t failed;  /* what the reader could not make sense of, each said as an error notice */
	char *model;    /* what the first record calls its model; NULL: nothing. The caller frees it */
	enum frcnn_record_form form;
};

/*
 * path "-" or NULL: stream, which messages call by name. pycocotools: NaN, Infinity and negative sizes are evaluated,
 * as it does. Detections go through validation (which joins them) into
 * collector. One thing that is wrong is an error notice and counted; the rest goes through. Fails (0 < of failed aside)
 * only where nothing could be read at all, or memory is refused: the message names the file.
 */
int frcnn_eval_read_detections(const char *path, FILE *stream, const char *name, bool pycocotools,
			       struct frcnn_validation *validation, struct frcnn_eval_collector *collector,
			       struct frcnn_pool *pool, const struct frcnn_notices *notices,
			       struct frcnn_eval_reading *out, struct frcnn_error *err);

#endif
