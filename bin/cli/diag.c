/* Messages for people, on standard error; and the last word on standard output. */
#include "cli/cli.h"
#include "cli/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pthread_mutex_t frcnn_diag_lock = PTHREAD_MUTEX_INITIALIZER;
bool frcnn_quiet;
bool frcnn_verbose;

static const char *program_name = "frcnn";

void frcnn_diag_program(const char *name)
{
	program_name = name;
}

bool frcnn_color(FILE *stream)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(stream)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* One write for the whole line, so that lines of several processes do not mix. */
static void print_line(const char *file, const char *kind, const char *color, const char *format, va_list args)
{
	struct frcnn_buffer line = {0};
	char small[1024], *text = small;
	size_t first = strcspn(program_name, " ");
	bool colored = color && frcnn_color(stderr);
	va_list again;
	int size;

	va_copy(again, args);
	size = vsnprintf(small, sizeof small, format, args);
	if (size >= (int)sizeof small) {
		text = malloc((size_t)size + 1);
		if (text)
			vsnprintf(text, (size_t)size + 1, format, again);
		else
			text = small;
	}
	va_end(again);

	if (colored)
		frcnn_buffer_puts(&line, color);
	frcnn_buffer_add(&line, program_name, first);
	frcnn_buffer_puts(&line, ":");
	if (colored)
		frcnn_buffer_puts(&line, "\033[0m");
	frcnn_buffer_puts(&line, " ");
	if (file) {
		frcnn_printable(&line, file, strlen(file));
		frcnn_buffer_puts(&line, ": ");
	}
	frcnn_buffer_puts(&line, kind);
	frcnn_printable(&line, text, strlen(text));
	frcnn_buffer_puts(&line, "\n");
	pthread_mutex_lock(&frcnn_diag_lock);
	frcnn_progress_erase();
	if (line.failed)
		fputs("frcnn: out of memory\n", stderr);
	else
		fwrite(line.data, 1, line.size, stderr);
	fflush(stderr);
	pthread_mutex_unlock(&frcnn_diag_lock);
	frcnn_buffer_free(&line);
	if (text != small)
		free(text);
}

void frcnn_report(const char *file, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(file, "", "\033[1;31m", format, args);
	va_end(args);
}

void frcnn_report_errno(const char *file, int code)
{
	struct frcnn_error err;

	frcnn_fail_errno(&err, file, code);
	frcnn_report(NULL, "%s", err.message);
}

void frcnn_warn(const char *file, const char *format, ...)
{
	va_list args;

	if (frcnn_quiet)
		return;
	va_start(args, format);
	print_line(file, "warning: ", "\033[1;33m", format, args);
	va_end(args);
}

void frcnn_say(const char *format, ...)
{
	va_list args;

	if (!frcnn_verbose)
		return;
	va_start(args, format);
	print_line(NULL, "", NULL, format, args);
	va_end(args);
}

int frcnn_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(NULL, "", "\033[1;31m", format, args);
	va_end(args);
	fprintf(stderr, "Try '%s --help'\n", program_name);
	return FRCNN_EXIT_TROUBLE;
}

static int print_errno; /* why frcnn_print lost what it did */

void frcnn_print(const struct frcnn_buffer *text)
{
	errno = 0;
	if (text->size > 0 && fwrite(text->data, 1, text->size, stdout) == text->size && fflush(stdout) == 0)
		return;
	if (text->size > 0 && print_errno == 0)
		print_errno = errno;
}

int frcnn_close_stdout(void)
{
	bool lost = ferror(stdout) != 0;

	errno = 0;
	if (fclose(stdout) == 0 && !lost)
		return FRCNN_EXIT_OK;
	frcnn_report_errno("standard output", print_errno ? print_errno : errno ? errno : EIO);
	return FRCNN_EXIT_TROUBLE;
}
