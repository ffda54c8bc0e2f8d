/* Output that a later run can take up: whole records in FILE.part, and FILE.part.json that says how far it goes. */
#include "cli/cli.h"
#include "json/json.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the sidecar ------------------------------------------------------------------ */

static void put_text(struct frcnn_json_writer *json, const char *key, const char *text)
{
	struct frcnn_buffer escaped = {0};

	frcnn_escape_bytes(&escaped, text, strlen(text));
	if (escaped.failed)
		json->out->failed = true;
	frcnn_json_key(json, key);
	frcnn_json_put_string(json, escaped.data ? escaped.data : "", escaped.size);
	frcnn_buffer_free(&escaped);
}

static void put_number(struct frcnn_json_writer *json, const char *key, int64_t value)
{
	frcnn_json_key(json, key);
	frcnn_json_put_int64(json, value);
}

/* Replaced by rename: whoever looks sees the old one or the new one. */
static int write_sidecar(const struct frcnn_sink *sink, struct frcnn_error *err)
{
	struct frcnn_buffer text = {0}, temporary = {0};
	struct frcnn_json_writer json = {.out = &text};
	FILE *stream = NULL;
	int status = 0;
	bool written;

	frcnn_json_begin_object(&json);
	put_text(&json, "model", sink->run.model);
	put_text(&json, "cpu", sink->run.cpu);
	put_text(&json, "options", sink->run.options);
	put_text(&json, "inputs", sink->run.inputs);
	put_number(&json, "count", (int64_t)sink->run.count);
	put_number(&json, "done", (int64_t)sink->done);
	put_number(&json, "failed", (int64_t)sink->failed);
	put_number(&json, "bytes", sink->bytes);
	frcnn_json_end_object(&json);
	frcnn_buffer_putc(&text, '\n');
	frcnn_buffer_printf(&temporary, "%s.new", sink->sidecar);
	if (text.failed || temporary.failed) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	stream = fopen(temporary.data, "we");
	if (!stream) {
		status = frcnn_fail_errno(err, temporary.data, errno);
		goto out;
	}
	errno = 0;
	written = fwrite(text.data, 1, text.size, stream) == text.size;
	if (fclose(stream) != 0 || !written || rename(temporary.data, sink->sidecar) < 0) {
		status = frcnn_fail_errno(err, sink->sidecar, errno);
		unlink(temporary.data);
	}
out:
	frcnn_buffer_free(&text);
	frcnn_buffer_free(&temporary);
	return status;
}

static size_t line_size(const char *text)
{
	return strcspn(text, "\n");
}

static bool has_line(const char *text, const char *line, size_t size)
{
	while (*text) {
		size_t length = line_size(text);

		if (length == size && memcmp(text, line, size) == 0)
			return true;
		text += length + (text[length] != '\0');
	}
	return false;
}

/* Names the first line that one text has and the other lacks. */
static int other_options(const char *path, const char *then, const char *now, struct frcnn_error *err)
{
	const char *texts[2] = {then, now};

	for (int side = 0; side < 2; side++) {
		const char *line = texts[side];

		while (*line) {
			size_t size = line_size(line);

			if (!has_line(texts[!side], line, size))
				return frcnn_fail(err, FRCNN_EINVAL, "%s: begun %s %.*s", path,
						  side ? "without" : "with", (int)size, line);
			line += size + (line[size] != '\0');
		}
	}
	return frcnn_fail(err, FRCNN_EINVAL, "%s: begun with other options", path);
}

struct sidecar {
	struct frcnn_buffer model, cpu, options, inputs;
	int64_t count, done, failed, bytes;
};

static int read_text(struct frcnn_json *json, struct frcnn_buffer *out)
{
	struct frcnn_span text;
	int status = frcnn_json_string(json, &text);

	if (status < 0)
		return status;
	frcnn_buffer_clear(out);
	frcnn_unescape_bytes(out, text.data, text.size);
	return out->failed ? frcnn_fail_nomem(json->err) : 0;
}

static int parse_sidecar(struct frcnn_json *json, struct sidecar *out)
{
	struct frcnn_span key;
	int status = frcnn_json_enter_object(json);

	while (status >= 0 && (status = frcnn_json_next_key(json, &key)) > 0) {
		if (frcnn_span_is(key, "model"))
			status = read_text(json, &out->model);
		else if (frcnn_span_is(key, "cpu"))
			status = read_text(json, &out->cpu);
		else if (frcnn_span_is(key, "options"))
			status = read_text(json, &out->options);
		else if (frcnn_span_is(key, "inputs"))
			status = read_text(json, &out->inputs);
		else if (frcnn_span_is(key, "count"))
			status = frcnn_json_int64(json, &out->count);
		else if (frcnn_span_is(key, "done"))
			status = frcnn_json_int64(json, &out->done);
		else if (frcnn_span_is(key, "failed"))
			status = frcnn_json_int64(json, &out->failed);
		else if (frcnn_span_is(key, "bytes"))
			status = frcnn_json_int64(json, &out->bytes);
		else
			status = frcnn_json_skip(json, NULL);
	}
	return status < 0 ? status : frcnn_json_finish(json);
}

static const char *text_of(const struct frcnn_buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}

/* Reads the sidecar and holds it against this run. part is for messages. */
static int check_sidecar(struct frcnn_sink *sink, const char *part, struct frcnn_error *err)
{
	const struct frcnn_run *run = &sink->run;
	struct frcnn_file file = {0};
	struct frcnn_json json = {0};
	struct frcnn_error inner;
	struct sidecar then = {.count = -1, .done = -1, .failed = -1, .bytes = -1};
	int status = frcnn_file_open(sink->sidecar, 16 << 20, &file, err);

	if (status < 0)
		return status;
	frcnn_json_open(&json, (const char *)file.data, file.size, &inner);
	status = parse_sidecar(&json, &then);
	if (status < 0) {
		frcnn_fail(err, status, "%s: %s", sink->sidecar, inner.message);
		goto out;
	}
	if (then.bytes < 0 || then.done < 0 || then.done > then.count || then.failed < 0 || then.failed > then.done)
		status = frcnn_fail(err, FRCNN_EFORMAT, "%s: not a record of a run", sink->sidecar);
	else if (strcmp(text_of(&then.model), run->model) != 0)
		status = frcnn_fail(err, FRCNN_EINVAL, "%s: begun with the model %s, this one is %s", part,
				    text_of(&then.model), run->model);
	else if (strcmp(text_of(&then.options), run->options) != 0)
		status = other_options(part, text_of(&then.options), run->options, err);
	else if (strcmp(text_of(&then.inputs), run->inputs) != 0 || then.count != (int64_t)run->count)
		status = frcnn_fail(err, FRCNN_EINVAL, "%s: begun with other inputs (%lld, now %zu)", part,
				    (long long)then.count, run->count);
	else if (strcmp(text_of(&then.cpu), run->cpu) != 0)
		status = frcnn_fail(err, FRCNN_EINVAL, "%s: begun with --cpu %s, this run uses %s", part,
				    text_of(&then.cpu), run->cpu);
	if (status < 0)
		goto out;
	sink->done = (size_t)then.done;
	sink->failed = (size_t)then.failed;
	sink->bytes = then.bytes;
out:
	frcnn_json_close(&json);
	frcnn_file_close(&file);
	frcnn_buffer_free(&then.model);
	frcnn_buffer_free(&then.cpu);
	frcnn_buffer_free(&then.options);
	frcnn_buffer_free(&then.inputs);
	return status;
}

/* ---- the sink --------------------------------------------------------------------------- */

/* FILE.part and FILE.part.json of the file that path leads to. */
static int name_files(const char *path, char **part, char **sidecar)
{
	char *real = realpath(path, NULL);
	struct frcnn_buffer name = {0}, beside = {0};

	frcnn_buffer_printf(&name, "%s.part", real ? real : path);
	frcnn_buffer_printf(&beside, "%s.part.json", real ? real : path);
	free(real);
	if (name.failed || beside.failed) {
		frcnn_buffer_free(&name);
		frcnn_buffer_free(&beside);
		return FRCNN_ENOMEM;
	}
	*part = name.data;
	*sidecar = beside.data;
	return 0;
}

int frcnn_sink_open(struct frcnn_sink *sink, const char *path, const struct frcnn_run *run, bool resume,
		    enum frcnn_sink_state *state, struct frcnn_error *err)
{
	char *part = NULL;
	struct stat info;
	int status = 0;
	bool fresh = true;

	memset(sink, 0, sizeof *sink);
	sink->run = *run;
	*state = FRCNN_SINK_NEW;
	if (!path || strcmp(path, "-") == 0) {
		sink->stream = stdout;
		return 0;
	}
	sink->path = path;
	status = name_files(path, &part, &sink->sidecar);
	if (status < 0) {
		frcnn_fail_nomem(err);
		goto out;
	}
	if (resume) {
		bool exists = stat(path, &info) == 0;

		if (exists && !S_ISREG(info.st_mode)) {
			status = frcnn_fail(err, FRCNN_EINVAL, "%s: not a regular file, cannot be resumed", path);
		} else if (stat(part, &info) < 0) {
			if (exists)
				*state = FRCNN_SINK_WHOLE;
		} else if (access(sink->sidecar, F_OK) == 0) {
			status = check_sidecar(sink, part, err);
			fresh = false;
		} else if (info.st_size > 0) {
			status = frcnn_fail(err, FRCNN_EINVAL, "%s is missing, so nothing says how far %s goes",
					    sink->sidecar, part);
		}
		if (status < 0 || *state == FRCNN_SINK_WHOLE)
			goto out;
	}
	if (fresh) {
		status = frcnn_output_open(path, &sink->file, err);
	} else {
		status = frcnn_output_resume(path, sink->bytes, &sink->file, err);
		*state = FRCNN_SINK_RESUMED;
	}
	if (status < 0)
		goto out;
	sink->stream = sink->file.stream;
	if (!sink->file.part) {
		free(sink->sidecar);
		sink->sidecar = NULL;
	} else if (fresh) {
		/* One that an earlier run left tells of other bytes. */
		unlink(sink->sidecar);
	}
out:
	free(part);
	if (status < 0 || *state == FRCNN_SINK_WHOLE)
		frcnn_sink_close(sink);
	return status;
}

int frcnn_sink_put(struct frcnn_sink *sink, const struct frcnn_buffer *records, size_t done, size_t failed,
		   struct frcnn_error *err)
{
	sigset_t held, before;
	int status = 0;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &held, &before);
	if (records->size > 0) {
		errno = 0;
		if (fwrite(records->data, 1, records->size, sink->stream) != records->size ||
		    fflush(sink->stream) != 0) {
			status =
			    frcnn_fail_errno(err, sink->path ? sink->path : "standard output", errno ? errno : EIO);
			goto out;
		}
	}
	sink->bytes += (int64_t)records->size;
	sink->done = done;
	sink->failed = failed;
	if (sink->sidecar)
		status = write_sidecar(sink, err);
out:
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

int frcnn_sink_commit(struct frcnn_sink *sink, struct frcnn_error *err)
{
	int status;

	if (!sink->path) {
		bool lost = ferror(stdout) != 0;

		sink->stream = NULL;
		errno = 0;
		if (fclose(stdout) == 0 && !lost)
			return 0;
		return frcnn_fail_errno(err, "standard output", errno ? errno : EIO);
	}
	status = frcnn_output_commit(&sink->file, err);
	if (status == 0 && sink->sidecar)
		unlink(sink->sidecar);
	frcnn_sink_close(sink);
	return status;
}

void frcnn_sink_close(struct frcnn_sink *sink)
{
	if (!sink)
		return;
	frcnn_output_suspend(&sink->file, NULL);
	free(sink->sidecar);
	memset(sink, 0, sizeof *sink);
}
