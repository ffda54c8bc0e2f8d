/*
 * crew - a part of frcnn-detect: inputs in, what was found in each out, in
 * order; one picture at a time over all threads, or several at once, each on
 * threads of its own, over one set of weights. Never installed, and no other
 * program links it.
 *
 * What is found in a picture is the same either way. The memory that is taken
 * depends on how many pictures are looked at at once, not on how many there are.
 */
#ifndef FRCNN_DETECT_CREW_H
#define FRCNN_DETECT_CREW_H

#include "cli/cli.h"

#include "frcnn.h"

struct detect_job {
	struct frcnn_inputs *inputs; /* the crew's while it exists */
	size_t first;                /* input to begin with */
	struct frcnn_image_options image;
	struct frcnn_detector *detector; /* with all threads; used or shared */
	int threads, at_once;            /* pictures at once: 1 .. threads */
	/* Looks at one picture; from several threads at once, each with a detector of its own. */
	int (*look)(void *context, struct frcnn_detector *detector, const struct frcnn_input *input,
		    const struct frcnn_image *picture, struct frcnn_detections *found, struct frcnn_error *err);
	void *context;
};

struct detect_result {
	struct frcnn_input input;
	int status; /* 0, or err says what */
	struct frcnn_error err;
	bool decoded;               /* false after an error: err names the input itself */
	struct frcnn_image picture; /* without its pixels */
	struct frcnn_detections found;
	double decode, look; /* seconds */
};

struct detect_crew;
int detect_crew_new(const struct detect_job *job, struct detect_crew **out, struct frcnn_error *err);
/* The next input's result, in order, whose detections are the caller's to free; false after the last. Results are there
 * as soon as they and those before them are done. */
bool detect_crew_next(struct detect_crew *crew, struct detect_result *out);
/* Pictures that are being looked at are finished first. */
void detect_crew_free(struct detect_crew *crew);

#endif
