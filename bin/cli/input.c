/* Operands, lists and ground truths to a list of pictures. */
#include "cli/cli.h"
#include "record/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(void)
{
	frcnn_report(NULL, "out of memory");
	return FRCNN_EXIT_TROUBLE;
}

static void free_input(struct frcnn_input *input)
{
	free(input->path);
	free(input->name);
}

/* -1 or an exit status, as all below. */
static int add_input(struct frcnn_inputs *inputs, const char *path, const char *name)
{
	struct frcnn_input input = {0};
	void *items = inputs->items;
	int status = frcnn_grow(&items, &inputs->capacity, inputs->count + 1, sizeof *inputs->items);

	inputs->items = items;
	if (status < 0)
		return no_memory();
	input.path = frcnn_strdup(path);
	input.name = frcnn_strdup(name);
	if (!input.path || !input.name) {
		free_input(&input);
		return no_memory();
	}
	input.has_id = frcnn_record_stem_id(name, &input.id);
	inputs->items[inputs->count++] = input;
	return -1;
}

/* ---- folders -------------------------------------------------------------------- */

struct folder_id {
	dev_t device;
	ino_t inode;
};

struct walk {
	const char *root;          /* the operand, without slashes at its end */
	struct frcnn_list folders; /* real folders yet to be read, relative paths ending in '/' ("" the root) */
	struct frcnn_list links;   /* links to folders, read after all that is really there */
	struct frcnn_list found;   /* relative paths of pictures */
	void *seen;                /* tree of struct folder_id */
	size_t failed;
};

static int compare_folders(const void *a, const void *b)
{
	const struct folder_id *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* 1: first time here, 0: was here before, < 0: no memory. */
static int enter_folder(struct walk *walk, const struct stat *info)
{
	struct folder_id *id = frcnn_calloc(1, sizeof *id);
	struct folder_id **node;

	if (!id)
		return FRCNN_ENOMEM;
	id->device = info->st_dev;
	id->inode = info->st_ino;
	node = tsearch(id, &walk->seen, compare_folders);
	if (!node || *node != id) {
		free(id);
		return node ? 0 : FRCNN_ENOMEM;
	}
	return 1;
}

static bool has_image_suffix(const char *name)
{
	static const char *const suffixes[] = {"jpg", "jpeg", "jpe", "jfif", "png",  "mpo",  "webp",
					       "bmp", "gif",  "tif", "tiff", "heic", "heif", "avif",
					       "jp2", "jxl",  "ppm", "pgm",  "pbm",  "pnm",  "tga"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < FRCNN_COUNT(suffixes); i++)
		if (strcasecmp(dot + 1, suffixes[i]) == 0)
			return true;
	return false;
}

/* By the first bytes: 1 a JPEG or PNG, 0 something else, -1 not readable (errno). */
static int has_image_content(const char *path)
{
	unsigned char head[8];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t size;
	int saved;

	if (fd < 0)
		return -1;
	size = read(fd, head, sizeof head);
	saved = errno;
	close(fd);
	errno = saved;
	if (size < 0)
		return -1;
	return (size >= 3 && memcmp(head, "\xFF\xD8\xFF", 3) == 0) ||
	       (size >= 8 && memcmp(head, "\x89PNG\r\n\x1A\n", 8) == 0);
}

/* One entry of a folder; relative is its path below the operand, path the whole. */
static int walk_entry(struct walk *walk, const char *path, const char *relative, struct frcnn_error *err)
{
	struct stat info;
	bool link;
	size_t size = strlen(relative);
	int image;

	if (lstat(path, &info) < 0) {
		frcnn_report_errno(path, errno);
		walk->failed++;
		return 0;
	}
	link = S_ISLNK(info.st_mode);
	if (link && stat(path, &info) < 0) {
		/* A dangling link that calls itself a picture is named when it is opened; others are not ours. */
		return has_image_suffix(relative) ? frcnn_list_add(&walk->found, relative, size, err) : 0;
	}
	if (S_ISDIR(info.st_mode)) {
		struct frcnn_list *list = link ? &walk->links : &walk->folders;
		struct frcnn_buffer folder = {0};
		int status;

		frcnn_buffer_printf(&folder, "%s/", relative);
		status = folder.failed ? frcnn_fail_nomem(err) : frcnn_list_add(list, folder.data, folder.size, err);
		frcnn_buffer_free(&folder);
		return status;
	}
	if (!S_ISREG(info.st_mode))
		return 0;
	if (has_image_suffix(relative))
		return frcnn_list_add(&walk->found, relative, size, err);
	image = has_image_content(path);
	if (image < 0) {
		frcnn_report_errno(path, errno);
		walk->failed++;
	}
	return image > 0 ? frcnn_list_add(&walk->found, relative, size, err) : 0;
}

static int walk_folder(struct walk *walk, const char *relative, struct frcnn_error *err)
{
	struct frcnn_buffer path = {0}, below = {0};
	DIR *folder = NULL;
	struct dirent *entry;
	struct stat info;
	int status = 0, first;

	frcnn_buffer_printf(&path, "%s/%s", walk->root, relative);
	if (path.failed) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	folder = opendir(path.data);
	if (!folder || fstat(dirfd(folder), &info) < 0) {
		frcnn_report_errno(path.data, errno);
		walk->failed++;
		goto out;
	}
	first = enter_folder(walk, &info);
	if (first < 0)
		status = frcnn_fail_nomem(err);
	if (first < 1)
		goto out;
	for (;;) {
		errno = 0;
		entry = readdir(folder);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		frcnn_buffer_clear(&below);
		frcnn_buffer_printf(&below, "%s%s", relative, entry->d_name);
		frcnn_buffer_clear(&path);
		frcnn_buffer_printf(&path, "%s/%s", walk->root, below.failed ? "" : below.data);
		if (path.failed || below.failed) {
			status = frcnn_fail_nomem(err);
			goto out;
		}
		status = walk_entry(walk, path.data, below.data, err);
		if (status < 0)
			goto out;
	}
	if (errno) {
		frcnn_report_errno(path.data, errno);
		walk->failed++;
	}
out:
	if (folder)
		closedir(folder);
	frcnn_buffer_free(&path);
	frcnn_buffer_free(&below);
	return status;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct frcnn_inputs *inputs, const char *operand)
{
	struct walk walk = {0};
	struct frcnn_buffer name = {0};
	struct frcnn_error err;
	char *root = NULL;
	size_t size = strlen(operand);
	int end = -1;

	/* "/" becomes "": names begin with the slash that follows. */
	while (size > 0 && operand[size - 1] == '/')
		size--;
	root = frcnn_strndup(operand, size);
	if (!root || frcnn_list_add(&walk.folders, "", 0, &err) < 0) {
		end = no_memory();
		goto out;
	}
	walk.root = root;
	for (size_t i = 0, j = 0; i < walk.folders.count || j < walk.links.count;) {
		const char *next;

		if (i < walk.folders.count) {
			next = walk.folders.items[i++];
		} else {
			/* Byte order decides which link of several to a folder gives the names. */
			qsort(walk.links.items + j, walk.links.count - j, sizeof *walk.links.items, compare_texts);
			next = walk.links.items[j++];
		}
		if (walk_folder(&walk, next, &err) < 0) {
			end = no_memory();
			goto out;
		}
	}
	if (walk.found.count > 0)
		qsort(walk.found.items, walk.found.count, sizeof *walk.found.items, compare_texts);
	else if (walk.failed == 0)
		frcnn_warn(operand, "no images in this folder");
	for (size_t i = 0; i < walk.found.count && end < 0; i++) {
		frcnn_buffer_clear(&name);
		frcnn_buffer_printf(&name, "%s/%s", root, walk.found.items[i]);
		end = name.failed ? no_memory() : add_input(inputs, name.data, name.data);
	}
	inputs->failed += walk.failed;
out:
	frcnn_buffer_free(&name);
	frcnn_list_free(&walk.folders);
	frcnn_list_free(&walk.links);
	frcnn_list_free(&walk.found);
	tdestroy(walk.seen, free);
	free(root);
	return end;
}

static int add_operand(struct frcnn_inputs *inputs, const char *operand)
{
	struct stat info;

	/* What cannot be opened is named when its turn comes. */
	if (stat(operand, &info) == 0 && S_ISDIR(info.st_mode))
		return add_folder(inputs, operand);
	return add_input(inputs, operand, operand);
}

/* ---- lists ---------------------------------------------------------------------- */

/* A list of names on standard input. */
struct frcnn_stream {
	struct frcnn_buffer text; /* read, and from at on not taken yet */
	size_t at, number;        /* number: lines taken */
	bool null, ended;
	bool named;  /* a line was not empty, or trouble was told */
	int wake[2]; /* a byte in this pipe ends the waiting */
	struct frcnn_shard shard;
	size_t seen; /* inputs before sharding */
};

static void free_stream(struct frcnn_stream *stream)
{
	if (!stream)
		return;
	frcnn_buffer_free(&stream->text);
	for (int i = 0; i < 2; i++)
		if (stream->wake[i] >= 0)
			close(stream->wake[i]);
	free(stream);
}

/* -1 or an exit status. can_stop: frcnn_inputs_stop will work. */
static int new_stream(bool null, bool can_stop, struct frcnn_stream **out)
{
	struct frcnn_stream *stream;

	if (isatty(STDIN_FILENO))
		return frcnn_usage("standard input is a terminal: name images or folders, or pipe a list of names in");
	stream = frcnn_calloc(1, sizeof *stream);
	if (!stream)
		return no_memory();
	stream->null = null;
	stream->wake[0] = stream->wake[1] = -1;
	if (can_stop && pipe2(stream->wake, O_CLOEXEC) < 0) {
		frcnn_report_errno("standard input", errno);
		free_stream(stream);
		return FRCNN_EXIT_TROUBLE;
	}
	*out = stream;
	return -1;
}

enum { NAME_END, NAME_THERE, NAME_LATER };

/* Reads on. NAME_LATER: nothing is there, and wait is false. */
static int read_on(struct frcnn_inputs *inputs, struct frcnn_stream *stream, bool wait)
{
	struct pollfd files[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = stream->wake[0], .events = POLLIN}};
	char block[16384];
	ssize_t size;

	while (poll(files, 2, wait ? -1 : 0) < 0)
		if (errno != EINTR)
			break;
	if (files[1].revents) {
		stream->at = stream->text.size;
		stream->ended = stream->named = true;
		return NAME_END;
	}
	if (!files[0].revents && !wait)
		return NAME_LATER;
	do
		size = read(STDIN_FILENO, block, sizeof block);
	while (size < 0 && errno == EINTR);
	if (size < 0) {
		frcnn_report_errno("standard input", errno);
		inputs->failed++;
		stream->named = true;
	}
	stream->ended = size <= 0;
	if (stream->at > 0)
		memmove(stream->text.data, stream->text.data + stream->at, stream->text.size - stream->at);
	stream->text.size -= stream->at;
	stream->at = 0;
	if (size > 0)
		frcnn_buffer_add(&stream->text, block, (size_t)size);
	return NAME_THERE;
}

/* The next line, until the next call, without its end; the last one may have none. */
static int next_line(struct frcnn_inputs *inputs, struct frcnn_stream *stream, bool wait, char **line, size_t *size)
{
	for (;;) {
		size_t left = stream->text.size - stream->at;
		char *rest = left > 0 ? stream->text.data + stream->at : NULL, *end;
		int state;

		end = rest ? memchr(rest, stream->null ? '\0' : '\n', left) : NULL;
		if (!end && stream->ended && left > 0 && !stream->text.failed) {
			frcnn_buffer_putc(&stream->text, '\n');
			rest = stream->text.data + stream->at;
			end = rest + left;
		}
		if (stream->text.failed) {
			stream->ended = true;
			inputs->failed++;
			no_memory();
			frcnn_buffer_free(&stream->text);
			stream->at = 0;
			return NAME_END;
		}
		if (end) {
			*end = '\0';
			*line = rest;
			*size = (size_t)(end - rest);
			stream->at += *size + 1;
			stream->number++;
			return NAME_THERE;
		}
		if (stream->ended) {
			if (!stream->named)
				frcnn_warn("standard input", "no names in this list");
			stream->named = true;
			return NAME_END;
		}
		state = read_on(inputs, stream, wait);
		if (state != NAME_THERE)
			return state;
	}
}

static void keep_shard(struct frcnn_inputs *inputs, size_t from, size_t seen, struct frcnn_shard shard)
{
	size_t kept = from;

	if (shard.count == 0)
		return;
	for (size_t i = from; i < inputs->count; i++) {
		if ((int64_t)(seen + i - from) % shard.count == shard.index - 1)
			inputs->items[kept++] = inputs->items[i];
		else
			free_input(&inputs->items[i]);
	}
	inputs->count = kept;
}

/* Adds what the next line names, which may be nothing or a folder. *end: -1 or an exit status. */
static int read_name(struct frcnn_inputs *inputs, struct frcnn_stream *stream, bool wait, int *end)
{
	struct stat info;
	char *line;
	size_t size, before = inputs->count, added;
	int state = next_line(inputs, stream, wait, &line, &size);

	*end = -1;
	if (state != NAME_THERE || size == 0)
		return state;
	stream->named = true;
	if (strlen(line) != size) {
		frcnn_report("standard input", "line %zu holds a NUL byte; lists separated by NULs need -0",
			     stream->number);
		inputs->failed++;
		return NAME_THERE;
	}
	if (!stream->null && line[size - 1] == '\r' && stat(line, &info) < 0) {
		line[size - 1] = '\0';
		if (stat(line, &info) < 0)
			line[size - 1] = '\r';
	}
	*end = add_operand(inputs, line);
	added = inputs->count - before;
	keep_shard(inputs, before, stream->seen, stream->shard);
	stream->seen += added;
	return NAME_THERE;
}

static int add_list(struct frcnn_inputs *inputs, bool null)
{
	struct frcnn_stream *stream = NULL;
	int end = new_stream(null, false, &stream);

	while (end < 0 && read_name(inputs, stream, true, &end) == NAME_THERE)
		;
	free_stream(stream);
	return end;
}

int frcnn_inputs_stream(struct frcnn_inputs *inputs, char **operands, int count, bool null, struct frcnn_shard shard)
{
	bool list = count == 0 || strcmp(operands[count - 1], "-") == 0;
	int end = -1;

	if (!list || count > 1)
		end = frcnn_inputs_gather(inputs, operands, list ? count - 1 : count, null);
	if (end < 0 && list)
		end = new_stream(null, true, &inputs->stream);
	if (end < 0 && list) {
		inputs->stream->seen = inputs->count;
		inputs->stream->shard = shard;
	}
	if (end < 0)
		keep_shard(inputs, 0, 0, shard);
	return end;
}

bool frcnn_inputs_ready(struct frcnn_inputs *inputs, size_t i)
{
	int end = -1;

	while (end < 0 && i >= inputs->count)
		if (!inputs->stream || read_name(inputs, inputs->stream, false, &end) != NAME_THERE)
			return false;
	return i < inputs->count;
}

bool frcnn_inputs_take(struct frcnn_inputs *inputs, size_t i, struct frcnn_input *out)
{
	int end = -1;

	while (i >= inputs->count) {
		if (!inputs->stream || read_name(inputs, inputs->stream, true, &end) != NAME_THERE)
			return false;
		if (end < 0)
			continue;
		/* No memory for a name: nothing that follows would find any. */
		inputs->failed++;
		inputs->stream->ended = true;
		inputs->stream->at = inputs->stream->text.size;
	}
	*out = inputs->items[i];
	return true;
}

void frcnn_inputs_stop(struct frcnn_inputs *inputs)
{
	if (inputs->stream && write(inputs->stream->wake[1], "", 1) < 0)
		frcnn_report_errno("standard input", errno);
}

int frcnn_inputs_gather(struct frcnn_inputs *inputs, char **operands, int count, bool null)
{
	int end = -1;

	if (count == 0)
		return add_list(inputs, null);
	for (int i = 0; i < count && end < 0; i++)
		end = strcmp(operands[i], "-") == 0 ? add_list(inputs, null) : add_operand(inputs, operands[i]);
	return end;
}

/* ---- ground truth ------------------------------------------------------------------ */

static void print_notice(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct frcnn_inputs *inputs = context;

	if (kind == FRCNN_NOTICE_WARNING) {
		frcnn_warn(NULL, "%s", line);
	} else {
		frcnn_report(NULL, "%s", line);
		inputs->failed++;
	}
}

int frcnn_inputs_from_truth(struct frcnn_inputs *inputs, const char *truth, const char *root)
{
	struct frcnn_ground_truth gt = {0};
	struct frcnn_notices notices = {print_notice, inputs};
	struct frcnn_buffer path = {0};
	struct frcnn_error err;
	int end = -1;

	if (frcnn_ground_truth_read(truth, true, &notices, &gt, &err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		end = FRCNN_EXIT_TROUBLE;
		goto out;
	}
	for (size_t i = 0; i < gt.nimages && end < 0; i++) {
		struct frcnn_input *input;

		if (!gt.file_names[i]) {
			frcnn_report(truth, "image %lld has no file_name", (long long)gt.image_ids[i]);
			inputs->failed++;
			continue;
		}
		frcnn_buffer_clear(&path);
		if (root && gt.file_names[i][0] != '/')
			frcnn_buffer_printf(&path, "%s/", root);
		frcnn_buffer_puts(&path, gt.file_names[i]);
		end = path.failed ? no_memory() : add_input(inputs, path.data, gt.file_names[i]);
		if (end >= 0)
			break;
		input = &inputs->items[inputs->count - 1];
		input->has_id = true;
		input->id = gt.image_ids[i];
		input->width = gt.widths[i];
		input->height = gt.heights[i];
	}
out:
	frcnn_buffer_free(&path);
	frcnn_ground_truth_free(&gt);
	return end;
}

int frcnn_inputs_join_truth(struct frcnn_inputs *inputs, const char *truth)
{
	struct frcnn_ground_truth gt = {0};
	struct frcnn_notices notices = {print_notice, inputs};
	struct frcnn_join *join = NULL;
	struct frcnn_error err;
	size_t image;
	int end = -1;

	if (frcnn_ground_truth_read(truth, true, &notices, &gt, &err) < 0 || frcnn_join_new(&gt, &join, &err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		end = FRCNN_EXIT_TROUBLE;
		goto out;
	}
	for (size_t i = 0; i < inputs->count;) {
		struct frcnn_input *input = &inputs->items[i];
		int found = frcnn_join_find(join, input->name, input->has_id, input->id, &image, &err);

		if (found < 0) {
			frcnn_report(input->path, "%s", err.message);
			inputs->failed++;
			frcnn_inputs_remove(inputs, i);
			continue;
		}
		if (found == 0) {
			frcnn_warn(input->path, "not among the images of %s", truth);
		} else {
			input->has_id = true;
			input->id = gt.image_ids[image];
			input->width = gt.widths[image];
			input->height = gt.heights[image];
		}
		i++;
	}
out:
	frcnn_join_free(join);
	frcnn_ground_truth_free(&gt);
	return end;
}

/* ---- the list as a whole -------------------------------------------------------------- */

void frcnn_inputs_remove(struct frcnn_inputs *inputs, size_t i)
{
	free_input(&inputs->items[i]);
	inputs->count--;
	memmove(&inputs->items[i], &inputs->items[i + 1], (inputs->count - i) * sizeof *inputs->items);
}

void frcnn_inputs_shard(struct frcnn_inputs *inputs, struct frcnn_shard shard)
{
	keep_shard(inputs, 0, 0, shard);
}

int frcnn_inputs_digest(const struct frcnn_inputs *inputs, char hex[65], struct frcnn_error *err)
{
	struct frcnn_buffer text = {0};
	int status;

	for (size_t i = 0; i < inputs->count; i++) {
		const struct frcnn_input *input = &inputs->items[i];

		frcnn_buffer_add(&text, input->name, strlen(input->name) + 1);
		if (input->has_id)
			frcnn_buffer_printf(&text, "%lld", (long long)input->id);
		frcnn_buffer_putc(&text, '\0');
	}
	status = text.failed ? frcnn_fail_nomem(err) : frcnn_sha256(text.size ? text.data : "", text.size, hex, err);
	frcnn_buffer_free(&text);
	return status;
}

void frcnn_inputs_free(struct frcnn_inputs *inputs)
{
	if (!inputs)
		return;
	for (size_t i = 0; i < inputs->count; i++)
		free_input(&inputs->items[i]);
	free(inputs->items);
	free_stream(inputs->stream);
	memset(inputs, 0, sizeof *inputs);
}
