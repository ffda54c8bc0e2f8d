/*
 * crew - a part of frcnn-detect: inputs in, what was found in each out, in
 * order; one picture at a time over all threads, or several at once, each on
 * threads of its own, over one set of weights. Never installed, and no other
 * program links it.
 *
 * What is found in a picture is the same either way. The memory that is taken
 * depends on how many pictures are looked at at once, not on how many there are.
 * Where it, or a thread, is refused, the crew makes do with less: fewer pictures
 * at once, fewer threads. A picture that memory was short for is looked at again
 * while nobody looks at any other, and all that the others kept is given back:
 * only what one thread alone has no memory for fails.
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
/* Fails only where not even the crew itself can be had. */
int detect_crew_new(const struct detect_job *job, struct detect_crew **out, struct frcnn_error *err);
/* The next input's result, in order, whose detections are the caller's to free; false after the last. Results are there
 * as soon as they and those before them are done. */
bool detect_crew_next(struct detect_crew *crew, struct detect_result *out);
/* How many pictures may be looked at at once now. */
int detect_crew_at_once(struct detect_crew *crew);
/* For who was refused memory while the crew works: waits until nobody looks at a picture, and gives back what looking
 * at them took; the crew works on. */
void detect_crew_rest(struct detect_crew *crew);
/* Pictures that are being looked at are finished first. */
void detect_crew_free(struct detect_crew *crew);

#endif
