/* Pictures one at a time or several at once; results in order. */
#include "detect/crew.h"

#include "detect/detect.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Results that a slow picture may keep waiting, for each thread: further ahead nobody works. */
enum { WINDOW = 4 };

struct worker {
	struct detect_crew *crew;
	pthread_t thread;
	size_t pixels; /* bytes that it holds */
};

struct slot {
	bool full;
	bool again; /* memory was short: only the result's input is there */
	int limit;  /* pictures at once before that */
	struct detect_result result;
};

struct detect_crew {
	struct detect_job job;
	struct frcnn_decoder *decoder; /* one at a time; the rest is then unused */

	struct worker *workers;
	int started;
	struct frcnn_detector **detectors; /* one for each worker */
	int ndetectors;

	/* Inputs are taken one after the other, under feed; feed comes before lock. */
	pthread_mutex_t feed;
	size_t taken;

	/* All that follows is guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t done, room, memory; /* a result is there; one was fetched; pixels were freed */
	pthread_cond_t turn;               /* a picture was finished, or work goes on */
	struct slot *slots;                /* result i lies in slot i % nslots */
	size_t nslots, fetched;
	size_t pixels; /* bytes of all workers */
	int running;   /* workers that may still bring a result */
	/* Pictures that are being looked at, and how many may be. Detectors that are free: the one used last is the
	 * next to be used, so that no more of them hold memory than are needed. With a limit of 1 it is the job's own,
	 * which has all threads, in their place. */
	int busy, limit;
	struct frcnn_detector **idle;
	int nidle;
	bool calm; /* nobody begins with a picture */
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

/* ---- when memory is short ------------------------------------------------------------- */

/* What malloc keeps for later is of no use to large blocks, which it maps. */
static void give_back_free_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static int threads_of(struct frcnn_detector *detector)
{
	return frcnn_pool_threads(frcnn_detector_pool(detector));
}

/* Until work_on nobody looks at a picture, and nothing is kept from those before. */
static void calm(struct detect_crew *crew)
{
	if (crew->decoder)
		frcnn_decoder_ahead(crew->decoder, false);
	pthread_mutex_lock(&crew->lock);
	crew->calm = true;
	while (crew->busy > 0)
		pthread_cond_wait(&crew->turn, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	/* One that cannot be renewed keeps what it has. */
	for (int i = 0; i < crew->ndetectors; i++)
		frcnn_detector_renew(crew->detectors[i], threads_of(crew->detectors[i]), NULL);
	give_back_free_memory();
}

static void work_on(struct detect_crew *crew, int limit)
{
	pthread_mutex_lock(&crew->lock);
	crew->calm = false;
	if (limit > crew->limit)
		crew->limit = limit;
	pthread_cond_broadcast(&crew->turn);
	pthread_mutex_unlock(&crew->lock);
}

/* Looks at a picture again, alone; in the end with no thread but this one, as after the start with a single thread.
 * limit: pictures at once before it failed, to which the crew returns when more memory would not have helped. */
static void look_alone(struct detect_crew *crew, const struct frcnn_input *input, int limit, struct detect_result *out)
{
	int threads = threads_of(crew->job.detector);
	struct frcnn_decoded decoded;
	bool hopeless;

	calm(crew);
	for (int with = threads;; with = 1) {
		frcnn_detector_renew(crew->job.detector, with, NULL);
		give_back_free_memory();
		frcnn_decode(input, &crew->job.image, NULL, NULL, &decoded);
		look(&crew->job, crew->job.detector, &decoded, out);
		if (out->status != FRCNN_ENOMEM || with == 1)
			break;
	}
	hopeless = out->status == FRCNN_ENOMEM;
	if (hopeless && threads > 1)
		frcnn_detector_renew(crew->job.detector, threads, NULL);
	if (hopeless && crew->decoder)
		frcnn_decoder_ahead(crew->decoder, true);
	work_on(crew, hopeless ? limit : 1);
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

/* Waits for a turn; NULL: there will be none. */
static struct frcnn_detector *begin(struct detect_crew *crew)
{
	struct frcnn_detector *detector = NULL;

	pthread_mutex_lock(&crew->lock);
	while (!crew->stop && (crew->calm || crew->busy >= crew->limit))
		pthread_cond_wait(&crew->turn, &crew->lock);
	if (!crew->stop) {
		crew->busy++;
		detector = crew->limit > 1 ? crew->idle[--crew->nidle] : crew->job.detector;
	}
	pthread_mutex_unlock(&crew->lock);
	return detector;
}

static void finish(struct worker *self, struct frcnn_detector *detector, const struct detect_result *result,
		   size_t index)
{
	struct detect_crew *crew = self->crew;
	struct slot *slot = &crew->slots[index % crew->nslots];

	pthread_mutex_lock(&crew->lock);
	slot->result = *result;
	slot->full = true;
	slot->again = result->status == FRCNN_ENOMEM;
	slot->limit = crew->limit;
	if (slot->again && crew->busy > 1 && crew->busy <= crew->limit)
		crew->limit = crew->busy - 1;
	crew->pixels -= self->pixels;
	self->pixels = 0;
	crew->busy--;
	if (detector != crew->job.detector)
		crew->idle[crew->nidle++] = detector;
	pthread_cond_broadcast(&crew->turn);
	pthread_cond_broadcast(&crew->memory);
	pthread_cond_signal(&crew->done);
	pthread_mutex_unlock(&crew->lock);
}

static void *work(void *argument)
{
	struct worker *self = argument;
	struct detect_crew *crew = self->crew;
	struct frcnn_detector *detector;
	struct frcnn_decoded decoded;
	struct detect_result result;
	struct frcnn_input input;
	size_t index;

	while (take(crew, &input, &index) && (detector = begin(crew))) {
		frcnn_decode(&input, &crew->job.image, make_room, self, &decoded);
		look(&crew->job, detector, &decoded, &result);
		/* The others can do with what it took until its picture's turn comes. */
		if (result.status == FRCNN_ENOMEM && detector != crew->job.detector)
			frcnn_detector_renew(detector, threads_of(detector), NULL);
		finish(self, detector, &result, index);
	}
	pthread_mutex_lock(&crew->lock);
	crew->running--;
	pthread_cond_signal(&crew->done);
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* Detectors for as many pictures at once as wanted, or as can be had. */
static void make_detectors(struct detect_crew *crew)
{
	int wanted = crew->job.at_once, share = crew->job.threads / wanted, more = crew->job.threads % wanted;

	crew->nslots = WINDOW * (size_t)wanted;
	crew->slots = frcnn_calloc(crew->nslots, sizeof *crew->slots);
	crew->workers = frcnn_calloc((size_t)wanted, sizeof *crew->workers);
	crew->detectors = frcnn_calloc((size_t)wanted, sizeof *crew->detectors);
	crew->idle = frcnn_calloc((size_t)wanted, sizeof *crew->idle);
	if (!crew->slots || !crew->workers || !crew->detectors || !crew->idle)
		return;
	for (int i = 0; i < wanted; i++) {
		if (frcnn_detector_share(crew->job.detector, share + (i < more), &crew->detectors[i], NULL) < 0)
			break;
		crew->idle[crew->nidle++] = crew->detectors[i];
		crew->ndetectors++;
	}
}

/* Starts as many workers as can be had; false: none, or one where that is all there are detectors for. */
static bool start(struct detect_crew *crew)
{
	make_detectors(crew);
	if (crew->ndetectors < 2)
		return false;
	crew->limit = crew->running = crew->ndetectors;
	for (; crew->started < crew->ndetectors; crew->started++) {
		struct worker *worker = &crew->workers[crew->started];

		worker->crew = crew;
		if (pthread_create(&worker->thread, NULL, work, worker) != 0)
			break;
	}
	pthread_mutex_lock(&crew->lock);
	crew->running -= crew->ndetectors - crew->started;
	if (crew->limit > crew->started)
		crew->limit = crew->started;
	pthread_mutex_unlock(&crew->lock);
	return crew->started > 0;
}

/* Ends what start began. */
static void end(struct detect_crew *crew)
{
	for (int i = 0; i < crew->started; i++)
		pthread_join(crew->workers[i].thread, NULL);
	for (int i = 0; i < crew->ndetectors; i++)
		frcnn_detector_free(crew->detectors[i]);
	for (size_t i = 0; crew->slots && i < crew->nslots; i++)
		if (crew->slots[i].full)
			frcnn_detections_free(&crew->slots[i].result.found);
	free(crew->slots);
	free(crew->workers);
	free(crew->detectors);
	free(crew->idle);
	crew->slots = NULL;
	crew->workers = NULL;
	crew->detectors = crew->idle = NULL;
	crew->started = crew->ndetectors = crew->nidle = 0;
}

/* ---- the crew ------------------------------------------------------------------------- */

int detect_crew_new(const struct detect_job *job, struct detect_crew **out, struct frcnn_error *err)
{
	struct detect_crew *crew = frcnn_calloc(1, sizeof *crew);
	int status = 0;

	*out = NULL;
	if (!crew)
		return frcnn_fail_nomem(err);
	crew->job = *job;
	pthread_mutex_init(&crew->feed, NULL);
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->done, NULL);
	pthread_cond_init(&crew->room, NULL);
	pthread_cond_init(&crew->memory, NULL);
	pthread_cond_init(&crew->turn, NULL);
	if (job->at_once == 1 || !start(crew)) {
		end(crew);
		crew->limit = 1;
		status = frcnn_decoder_new(job->inputs, job->first, &job->image, job->threads > 1, &crew->decoder, err);
	}
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
	struct frcnn_input input;
	struct slot slot = {.limit = 1}, *next;

	if (crew->decoder) {
		if (!frcnn_decoder_next(crew->decoder, &decoded))
			return false;
		look(&crew->job, crew->job.detector, &decoded, out);
		slot.again = out->status == FRCNN_ENOMEM;
	} else {
		next = &crew->slots[crew->fetched % crew->nslots];
		pthread_mutex_lock(&crew->lock);
		while (!next->full && crew->running > 0)
			pthread_cond_wait(&crew->done, &crew->lock);
		slot = *next;
		if (slot.full) {
			next->full = false;
			crew->fetched++;
			pthread_cond_signal(&crew->room);
		}
		pthread_mutex_unlock(&crew->lock);
		if (!slot.full)
			return false;
		*out = slot.result;
	}
	if (slot.again) {
		input = out->input;
		look_alone(crew, &input, slot.limit, out);
	}
	return true;
}

int detect_crew_at_once(struct detect_crew *crew)
{
	int limit;

	pthread_mutex_lock(&crew->lock);
	limit = crew->limit;
	pthread_mutex_unlock(&crew->lock);
	return limit;
}

void detect_crew_rest(struct detect_crew *crew)
{
	calm(crew);
	frcnn_detector_renew(crew->job.detector, threads_of(crew->job.detector), NULL);
	give_back_free_memory();
	work_on(crew, 1);
}

void detect_crew_free(struct detect_crew *crew)
{
	if (!crew)
		return;
	frcnn_decoder_free(crew->decoder);
	if (crew->started > 0) {
		pthread_mutex_lock(&crew->lock);
		crew->stop = true;
		pthread_cond_broadcast(&crew->room);
		pthread_cond_broadcast(&crew->turn);
		pthread_mutex_unlock(&crew->lock);
		frcnn_inputs_stop(crew->job.inputs);
	}
	end(crew);
	pthread_cond_destroy(&crew->turn);
	pthread_cond_destroy(&crew->memory);
	pthread_cond_destroy(&crew->room);
	pthread_cond_destroy(&crew->done);
	pthread_mutex_destroy(&crew->lock);
	pthread_mutex_destroy(&crew->feed);
	free(crew);
}
