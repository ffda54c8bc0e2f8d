/* Pictures decoded ahead of the one that is being worked on. */
#include "cli/cli.h"
#include "image/image.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 1

struct entry {
	struct frcnn_decoded decoded;
	bool later; /* only its input is there */
};

struct frcnn_decoder {
	struct frcnn_inputs *inputs;
	struct frcnn_image_options options;
	size_t next; /* input to decode */
	bool ahead;  /* with a thread */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct entry queue[AHEAD];
	size_t head, queued, bytes; /* bytes of pixels in the queue */
	bool spare;                 /* only names are queued */
	bool decoding;
	bool finished, stop;
};

static size_t pixel_bytes(const struct frcnn_decoded *decoded)
{
	return decoded->status < 0 ? 0 : (size_t)decoded->image.width * (size_t)decoded->image.height * 3;
}

void frcnn_decode(const struct frcnn_input *input, const struct frcnn_image_options *options,
		  void (*room)(void *context, size_t bytes), void *context, struct frcnn_decoded *out)
{
	struct frcnn_file file = {0};
	struct frcnn_error err;
	double began = frcnn_seconds();
	int width, height;

	memset(out, 0, sizeof *out);
	out->input = *input;
	out->status = frcnn_file_open(input->path, 0, &file, &out->err);
	if (out->status == 0) {
		if (room && frcnn_image_size(file.data, file.size, options, &width, &height, NULL) == 0) {
			double waited = frcnn_seconds();

			room(context, (size_t)width * (size_t)height * 3);
			began += frcnn_seconds() - waited;
		}
		out->status = frcnn_image_decode(file.data, file.size, options, &out->image, &err);
		if (out->status < 0)
			frcnn_fail(&out->err, out->status, "%s: %s", input->path, err.message);
	}
	frcnn_file_close(&file);
	out->seconds = frcnn_seconds() - began;
}

/* Whether pixels may be held now; then decoding has begun. */
static bool may_decode(struct frcnn_decoder *decoder)
{
	bool may;

	pthread_mutex_lock(&decoder->lock);
	may = decoder->decoding = !decoder->spare;
	pthread_mutex_unlock(&decoder->lock);
	return may;
}

static void *decode_ahead(void *argument)
{
	struct frcnn_decoder *decoder = argument;
	struct frcnn_input input;
	bool stop;

	for (size_t i = decoder->next;; i++) {
		pthread_mutex_lock(&decoder->lock);
		while (!decoder->stop && (decoder->queued == AHEAD || decoder->bytes > FRCNN_PIXELS_WAITING))
			pthread_cond_wait(&decoder->changed, &decoder->lock);
		stop = decoder->stop;
		pthread_mutex_unlock(&decoder->lock);
		if (stop || !frcnn_inputs_take(decoder->inputs, i, &input))
			break;
		struct entry entry = {.decoded.input = input, .later = !may_decode(decoder)};

		if (!entry.later)
			frcnn_decode(&input, &decoder->options, NULL, NULL, &entry.decoded);
		pthread_mutex_lock(&decoder->lock);
		decoder->decoding = false;
		decoder->queue[(decoder->head + decoder->queued) % AHEAD] = entry;
		decoder->queued++;
		decoder->bytes += pixel_bytes(&entry.decoded);
		pthread_cond_broadcast(&decoder->changed);
		pthread_mutex_unlock(&decoder->lock);
	}
	pthread_mutex_lock(&decoder->lock);
	decoder->finished = true;
	pthread_cond_broadcast(&decoder->changed);
	pthread_mutex_unlock(&decoder->lock);
	return NULL;
}

int frcnn_decoder_new(struct frcnn_inputs *inputs, size_t first, const struct frcnn_image_options *options, bool ahead,
		      struct frcnn_decoder **out, struct frcnn_error *err)
{
	struct frcnn_decoder *decoder = frcnn_calloc(1, sizeof *decoder);

	*out = NULL;
	if (!decoder)
		return frcnn_fail_nomem(err);
	decoder->inputs = inputs;
	decoder->options = *options;
	decoder->next = first;
	pthread_mutex_init(&decoder->lock, NULL);
	pthread_cond_init(&decoder->changed, NULL);
	decoder->ahead = ahead && pthread_create(&decoder->thread, NULL, decode_ahead, decoder) == 0;
	*out = decoder;
	return 0;
}

bool frcnn_decoder_next(struct frcnn_decoder *decoder, struct frcnn_decoded *out)
{
	struct entry entry = {.later = true};
	bool found;

	if (!decoder->ahead) {
		if (!frcnn_inputs_take(decoder->inputs, decoder->next, &entry.decoded.input))
			return false;
		decoder->next++;
		frcnn_decode(&entry.decoded.input, &decoder->options, NULL, NULL, out);
		return true;
	}
	pthread_mutex_lock(&decoder->lock);
	while (decoder->queued == 0 && !decoder->finished)
		pthread_cond_wait(&decoder->changed, &decoder->lock);
	found = decoder->queued > 0;
	if (found) {
		entry = decoder->queue[decoder->head];
		decoder->head = (decoder->head + 1) % AHEAD;
		decoder->queued--;
		decoder->bytes -= pixel_bytes(&entry.decoded);
		pthread_cond_broadcast(&decoder->changed);
	}
	pthread_mutex_unlock(&decoder->lock);
	*out = entry.decoded;
	if (found && entry.later)
		frcnn_decode(&entry.decoded.input, &decoder->options, NULL, NULL, out);
	return found;
}

void frcnn_decoder_ahead(struct frcnn_decoder *decoder, bool ahead)
{
	pthread_mutex_lock(&decoder->lock);
	decoder->spare = !ahead;
	while (decoder->spare && decoder->decoding)
		pthread_cond_wait(&decoder->changed, &decoder->lock);
	for (size_t i = 0; decoder->spare && i < decoder->queued; i++) {
		struct entry *entry = &decoder->queue[(decoder->head + i) % AHEAD];

		decoder->bytes -= pixel_bytes(&entry->decoded);
		frcnn_image_free(&entry->decoded.image);
		entry->later = true;
	}
	pthread_cond_broadcast(&decoder->changed);
	pthread_mutex_unlock(&decoder->lock);
}

void frcnn_decoder_free(struct frcnn_decoder *decoder)
{
	if (!decoder)
		return;
	if (decoder->ahead) {
		pthread_mutex_lock(&decoder->lock);
		decoder->stop = true;
		pthread_cond_broadcast(&decoder->changed);
		pthread_mutex_unlock(&decoder->lock);
		frcnn_inputs_stop(decoder->inputs);
		pthread_join(decoder->thread, NULL);
		for (; decoder->queued > 0; decoder->queued--) {
			frcnn_image_free(&decoder->queue[decoder->head].decoded.image);
			decoder->head = (decoder->head + 1) % AHEAD;
		}
	}
	pthread_cond_destroy(&decoder->changed);
	pthread_mutex_destroy(&decoder->lock);
	free(decoder);
}
