/* The progress line. */
#include "cli/cli.h"
#include "cli/private.h"

#include <unistd.h>

static struct {
	bool shown, terminal, drawn;
	size_t total, first, done;
	double began, last;
} state;

void frcnn_progress_start(size_t total, size_t done, bool forced)
{
	state.terminal = isatty(STDERR_FILENO);
	state.shown = !frcnn_quiet && (state.terminal || forced);
	state.total = total;
	state.first = state.done = done;
	state.began = frcnn_seconds();
	state.last = state.terminal ? 0 : state.began;
	state.drawn = false;
}

/* Under frcnn_diag_lock, as the messages that erase the line. */
static void draw(double now)
{
	double spent = now - state.began;
	size_t made = state.done - state.first;
	double rate = spent > 0 ? (double)made / spent : 0;

	fprintf(stderr, "%s%zu", state.terminal ? "\r\033[K" : "", state.done);
	if (state.total > 0)
		fprintf(stderr, "/%zu", state.total);
	if (rate > 0) {
		double left = (double)(state.total - state.done) / rate;

		fprintf(stderr, " %.1f/s", rate);
		if (state.total > 0 && left < 360000)
			fprintf(stderr, " %02d:%02d:%02d left", (int)left / 3600, (int)left / 60 % 60, (int)left % 60);
	}
	if (state.terminal)
		state.drawn = true;
	else
		fputc('\n', stderr);
	fflush(stderr);
	state.last = now;
}

void frcnn_progress_update(size_t done)
{
	double now;

	if (!state.shown)
		return;
	state.done = done;
	now = frcnn_seconds();
	if (now - state.last >= (state.terminal ? 0.1 : 10.0) || (state.terminal && done == state.total)) {
		pthread_mutex_lock(&frcnn_diag_lock);
		draw(now);
		pthread_mutex_unlock(&frcnn_diag_lock);
	}
}

void frcnn_progress_erase(void)
{
	if (!state.drawn)
		return;
	fputs("\r\033[K", stderr);
	state.drawn = false;
}

void frcnn_progress_end(void)
{
	pthread_mutex_lock(&frcnn_diag_lock);
	if (state.shown && !state.terminal)
		draw(frcnn_seconds());
	frcnn_progress_erase();
	pthread_mutex_unlock(&frcnn_diag_lock);
	state.shown = false;
}
