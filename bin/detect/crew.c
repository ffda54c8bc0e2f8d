/* Pictures one at a time or several at once; results in order. */
#include "detect/crew.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Results that a slow picture may keep waiting, for each thread: further ahead nobody works. */
enum { WINDOW = 4 };

struct worker {
	struct detect_crew *crew;
	struct frcnn_detector *detector;
	pthread_t thread;
	size_t pixels; /* bytes that it holds */
};

struct slot {
	bool full;
	struct detect_result result;
};

struct detect_crew {
	struct detect_job job;
	struct frcnn_decoder *decoder; /* one at a time; the rest is then unused */

	struct worker *workers;
	int started;

	/* Inputs are taken one after the other, under feed; feed comes before lock. */
	pthread_mutex_t feed;
	size_t taken;

	/* All that follows is guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t done, room, memory; /* a result is there; one was fetched; pixels were freed */
	struct slot *slots;                /* result i lies in slot i % nslots */
	size_t nslots, fetched;
	size_t pixels; /* bytes of all workers */
	int running;   /* workers that may still bring a result */
	bool stop;
};

/* ---- one picture ---------------------------------------------------------------------- */

static void look(const struct detect_job *job, struct frcnn_detector *detector, struct frcnn_decoded *decoded,
		 struct detect_result *out)
{
	double began = frcnn_seconds();

	memset(out, 0, sizeof *out);
	out->input = decoded->input;
	out->decode = decoded->seconds;
	out->status = decoded->status;
	out->decoded = decoded->status == 0;
	if (!out->decoded) {
		out->err = decoded->err;
		return;
	}
	out->picture = decoded->image;
	out->picture.rgb = NULL;
	out->status = job->look(job->context, detector, &out->input, &decoded->image, &out->found, &out->err);
	frcnn_image_free(&decoded->image);
	out->look = frcnn_seconds() - began;
}

/* ---- several at once ------------------------------------------------------------------ */

/* Waits until the pixels fit in memory beside those of the others; one picture always does. */
static void make_room(void *context, size_t bytes)
{
	struct worker *self = context;
	struct detect_crew *crew = self->crew;

	pthread_mutex_lock(&crew->lock);
	while (crew->pixels > 0 && crew->pixels + bytes > FRCNN_PIXELS_WAITING)
		pthread_cond_wait(&crew->memory, &crew->lock);
	crew->pixels += bytes;
	self->pixels = bytes;
	pthread_mutex_unlock(&crew->lock);
}

/* The next input, when there is one and a slot for its result. */
static bool take(struct detect_crew *crew, struct frcnn_input *input, size_t *index)
{
	bool there;

	pthread_mutex_lock(&crew->feed);
	pthread_mutex_lock(&crew->lock);
	while (!crew->stop && crew->taken - crew->fetched >= crew->nslots)
		pthread_cond_wait(&crew->room, &crew->lock);
	there = !crew->stop;
	pthread_mutex_unlock(&crew->lock);
	there = there && frcnn_inputs_take(crew->job.inputs, crew->job.first + crew->taken, input);
	*index = crew->taken;
	crew->taken += there;
	pthread_mutex_unlock(&crew->feed);
	return there;
}

static void *work(void *argument)
{
	struct worker *self = argument;
	struct detect_crew *crew = self->crew;
	struct frcnn_decoded decoded;
	struct detect_result result;
	struct frcnn_input input;
	size_t index;

	while (take(crew, &input, &index)) {
		struct slot *slot = &crew->slots[index % crew->nslots];

		frcnn_decode(&input, &crew->job.image, make_room, self, &decoded);
		look(&crew->job, self->detector, &decoded, &result);
		pthread_mutex_lock(&crew->lock);
		crew->pixels -= self->pixels;
		self->pixels = 0;
		slot->result = result;
		slot->full = true;
		pthread_cond_broadcast(&crew->memory);
		pthread_cond_signal(&crew->done);
		pthread_mutex_unlock(&crew->lock);
	}
	pthread_mutex_lock(&crew->lock);
	crew->running--;
	pthread_cond_signal(&crew->done);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

static int start(struct detect_crew *crew, struct frcnn_error *err)
{
	int share = crew->job.threads / crew->job.at_once, more = crew->job.threads % crew->job.at_once;

	crew->nslots = WINDOW * (size_t)crew->job.at_once;
	crew->slots = frcnn_calloc(crew->nslots, sizeof *crew->slots);
	crew->workers = frcnn_calloc((size_t)crew->job.at_once, sizeof *crew->workers);
	if (!crew->slots || !crew->workers)
		return frcnn_fail_nomem(err);
	for (int i = 0; i < crew->job.at_once; i++) {
		int status =
		    frcnn_detector_share(crew->job.detector, share + (i < more), &crew->workers[i].detector, err);

		if (status < 0)
			return status;
		crew->workers[i].crew = crew;
	}
	crew->running = crew->job.at_once;
	for (; crew->started < crew->job.at_once; crew->started++) {
		struct worker *worker = &crew->workers[crew->started];
		int failed = pthread_create(&worker->thread, NULL, work, worker);

		if (failed)
			return frcnn_fail(err, FRCNN_ENOMEM, "cannot start a thread: %s", strerror(failed));
	}
	return 0;
}

/* ---- the crew ------------------------------------------------------------------------- */

int detect_crew_new(const struct detect_job *job, struct detect_crew **out, struct frcnn_error *err)
{
	struct detect_crew *crew = frcnn_calloc(1, sizeof *crew);
	int status;

	*out = NULL;
	if (!crew)
		return frcnn_fail_nomem(err);
	crew->job = *job;
	pthread_mutex_init(&crew->feed, NULL);
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->done, NULL);
	pthread_cond_init(&crew->room, NULL);
	pthread_cond_init(&crew->memory, NULL);
	if (job->at_once > 1)
		status = start(crew, err);
	else
		status = frcnn_decoder_new(job->inputs, job->first, &job->image, job->threads > 1, &crew->decoder, err);
	if (status < 0) {
		detect_crew_free(crew);
		return status;
	}
	*out = crew;
	return 0;
}

bool detect_crew_next(struct detect_crew *crew, struct detect_result *out)
{
	struct frcnn_decoded decoded;
	struct slot *slot;
	bool found;

	if (crew->decoder) {
		if (!frcnn_decoder_next(crew->decoder, &decoded))
			return false;
		look(&crew->job, crew->job.detector, &decoded, out);
		return true;
	}
	slot = &crew->slots[crew->fetched % crew->nslots];
	pthread_mutex_lock(&crew->lock);
	while (!slot->full && crew->running > 0)
		pthread_cond_wait(&crew->done, &crew->lock);
	found = slot->full;
	if (found) {
		*out = slot->result;
		slot->full = false;
		crew->fetched++;
		pthread_cond_signal(&crew->room);
	}
	pthread_mutex_unlock(&crew->lock);
	return found;
}

void detect_crew_free(struct detect_crew *crew)
{
	if (!crew)
		return;
	frcnn_decoder_free(crew->decoder);
	if (crew->workers) {
		pthread_mutex_lock(&crew->lock);
		crew->stop = true;
		pthread_cond_broadcast(&crew->room);
		pthread_mutex_unlock(&crew->lock);
		frcnn_inputs_stop(crew->job.inputs);
		for (int i = 0; i < crew->started; i++)
			pthread_join(crew->workers[i].thread, NULL);
		for (int i = 0; i < crew->job.at_once; i++)
			frcnn_detector_free(crew->workers[i].detector);
	}
	for (size_t i = 0; crew->slots && i < crew->nslots; i++)
		if (crew->slots[i].full)
			frcnn_detections_free(&crew->slots[i].result.found);
	free(crew->slots);
	free(crew->workers);
	pthread_cond_destroy(&crew->memory);
	pthread_cond_destroy(&crew->room);
	pthread_cond_destroy(&crew->done);
	pthread_mutex_destroy(&crew->lock);
	pthread_mutex_destroy(&crew->feed);
	free(crew);
}
