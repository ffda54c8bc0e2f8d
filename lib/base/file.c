#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is not a regular file has no size to judge by; more than this is refused unless the caller sets a limit. */
static const uint64_t PIPE_LIMIT = UINT64_C(8) << 30;

/* ---- input ---------------------------------------------------------------- */

static int too_large(const char *path, uint64_t limit, struct frcnn_error *err)
{
	return frcnn_fail(err, FRCNN_ELIMIT, "%s: larger than %" PRIu64 " bytes", path, limit);
}

static int read_whole(int fd, const char *path, uint64_t limit, struct frcnn_file *out, struct frcnn_error *err)
{
	size_t capacity = 0, size = 0;
	for (;;) {
		if (frcnn_grow(&out->heap, &capacity, size + 65536, 1) < 0)
			return frcnn_fail_errno(err, path, ENOMEM);
		ssize_t n = read(fd, (char *)out->heap + size, capacity - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return frcnn_fail_errno(err, path, errno);
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > limit)
			return too_large(path, limit, err);
	}
	out->data = out->heap;
	out->size = size;
	return 0;
}

int frcnn_file_open(const char *path, size_t max_size, struct frcnn_file *out, struct frcnn_error *err)
{
	int status = 0;
	*out = (struct frcnn_file){0};

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		status = frcnn_fail_errno(err, path, errno);
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		status = frcnn_fail_errno(err, path, EISDIR);
		goto out;
	}
	/* Files of /proc and the like claim to be empty: read those too. */
	if (S_ISREG(st.st_mode) && st.st_size > 0) {
		uint64_t size = (uint64_t)st.st_size;
		if (max_size && size > max_size) {
			status = too_large(path, max_size, err);
			goto out;
		}
		/* A file that somebody truncates while it is mapped raises SIGBUS when the lost part is touched.
		 * That risk is taken: whoever replaces files by rename, as we do, never meets it. */
		if (size <= SIZE_MAX) {
			void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
			if (map != MAP_FAILED) {
				out->data = out->map = map;
				out->size = (size_t)size;
				goto out;
			}
		}
	}
	status = read_whole(fd, path, max_size ? max_size : PIPE_LIMIT, out, err);
out:
	if (fd >= 0)
		close(fd);
	if (status < 0)
		frcnn_file_close(out);
	return status;
}

void frcnn_file_close(struct frcnn_file *file)
{
	if (!file)
		return;
	if (file->map)
		munmap(file->map, file->size);
	free(file->heap);
	*file = (struct frcnn_file){0};
}

/* ---- output ---------------------------------------------------------------- */

/* Opens the part and locks it. The writer before us may rename its part between our open and our lock: then what
 * we hold is a finished file, and must not be touched. So we look whether the name still leads to what is locked.
 * fresh: what a killed run left is taken away, as its mode would become the new file's. */
static int open_part(const char *part, bool fresh, struct frcnn_error *err)
{
	for (;;) {
		int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		bool there = fd < 0 && errno == EEXIST;
		if (there)
			fd = open(part, (fresh ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (there && fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 && errno == ELOOP)
			return frcnn_fail(err, FRCNN_EIO, "%s: not a regular file", part);
		if (fd < 0)
			return frcnn_fail_errno(err, part, errno);
		struct stat ours, named;
		int status = 0;
		if (fstat(fd, &ours) < 0)
			status = frcnn_fail_errno(err, part, errno);
		else if (!S_ISREG(ours.st_mode))
			status = frcnn_fail(err, FRCNN_EIO, "%s: not a regular file", part);
		else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			status = errno == EWOULDBLOCK
				     ? frcnn_fail(err, FRCNN_EIO, "%s: another program is writing it", part)
				     : frcnn_fail_errno(err, part, errno);
		if (status == 0 && lstat(part, &named) == 0 && named.st_dev == ours.st_dev &&
		    named.st_ino == ours.st_ino) {
			if (!there || !fresh)
				return fd;
			if (unlink(part) < 0)
				status = frcnn_fail_errno(err, part, errno);
		}
		close(fd);
		if (status < 0)
			return status;
	}
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && S_ISREG(first.st_mode) &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool frcnn_output_touches(const char *path, const char *file, bool part)
{
	static const char *const beside[] = {".part", ".part.json"};
	char *real = path && file ? realpath(path, NULL) : NULL;
	bool touches = false;

	if (!path || !file)
		return false;
	if (!part)
		touches = strcmp(path, file) == 0 || is_same_file(path, file);
	for (size_t i = 0; i < FRCNN_COUNT(beside) && !touches; i++) {
		struct frcnn_buffer name = {0};

		frcnn_buffer_printf(&name, "%s%s", real ? real : path, beside[i]);
		touches = !name.failed && (strcmp(name.data, file) == 0 || is_same_file(name.data, file));
		frcnn_buffer_free(&name);
	}
	free(real);
	return touches;
}

/* offset < 0: a new file; else what stands before offset in the part is kept. */
static int open_output(const char *path, int64_t offset, struct frcnn_output *out, struct frcnn_error *err)
{
	int status = 0, fd = -1;
	*out = (struct frcnn_output){0};

	struct stat st, link;
	bool exists = stat(path, &st) == 0;
	bool direct = exists && !S_ISREG(st.st_mode);
	if (direct && offset >= 0) {
		status = frcnn_fail(err, FRCNN_EINVAL, "%s: not a regular file, cannot be resumed", path);
		goto out;
	}
	/* A symbolic link stays: what it leads to is replaced. */
	if (exists && !direct && lstat(path, &link) == 0 && S_ISLNK(link.st_mode))
		out->path = realpath(path, NULL);
	else
		out->path = frcnn_strdup(path);
	if (!out->path) {
		status = frcnn_fail_errno(err, path, errno);
		goto out;
	}

	if (direct) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			status = frcnn_fail_errno(err, path, errno);
			goto out;
		}
	} else {
		struct frcnn_buffer name = {0};
		frcnn_buffer_puts(&name, out->path);
		frcnn_buffer_puts(&name, ".part");
		if (name.failed) {
			frcnn_buffer_free(&name);
			status = frcnn_fail_errno(err, path, ENOMEM);
			goto out;
		}
		out->part = name.data;
		fd = open_part(out->part, offset < 0, err);
		if (fd < 0) {
			status = fd;
			goto out;
		}
		off_t keep = offset < 0 ? 0 : (off_t)offset;
		struct stat part;
		if (fstat(fd, &part) == 0 && part.st_size < keep) {
			status = frcnn_fail(err, FRCNN_EFORMAT, "%s: shorter than the %" PRId64 " bytes to go on from",
					    out->part, offset);
			goto out;
		}
		if (ftruncate(fd, keep) < 0 || lseek(fd, keep, SEEK_SET) < 0 ||
		    (exists && fchmod(fd, st.st_mode & 0777) < 0)) {
			status = frcnn_fail_errno(err, out->part, errno);
			goto out;
		}
	}
	out->stream = fdopen(fd, "w");
	if (!out->stream)
		status = frcnn_fail_errno(err, path, errno);
out:
	if (status < 0) {
		if (fd >= 0)
			close(fd);
		free(out->path);
		free(out->part);
		*out = (struct frcnn_output){0};
	}
	return status;
}

int frcnn_output_open(const char *path, struct frcnn_output *out, struct frcnn_error *err)
{
	return open_output(path, -1, out, err);
}

int frcnn_output_resume(const char *path, int64_t offset, struct frcnn_output *out, struct frcnn_error *err)
{
	if (offset < 0) {
		*out = (struct frcnn_output){0};
		return frcnn_fail(err, FRCNN_EINVAL, "%s: negative offset", path);
	}
	return open_output(path, offset, out, err);
}

static void release(struct frcnn_output *output)
{
	free(output->path);
	free(output->part);
	*output = (struct frcnn_output){0};
}

/* Everything written is with the system, and on the disk where there is one; else the reason. */
static int flush(struct frcnn_output *output, struct frcnn_error *err)
{
	errno = 0;
	if (fflush(output->stream) != 0)
		return frcnn_fail_errno(err, output->path, errno);
	if (ferror(output->stream))
		return frcnn_fail(err, FRCNN_EIO, "%s: a write failed", output->path);
	if (output->part && fsync(fileno(output->stream)) < 0 && errno != EINVAL && errno != EROFS)
		return frcnn_fail_errno(err, output->path, errno);
	return 0;
}

int frcnn_output_commit(struct frcnn_output *output, struct frcnn_error *err)
{
	int status = flush(output, err);
	if (status < 0)
		return status;
	/* Renamed while still open, that is still locked: nobody else can have begun to write it. */
	if (output->part && rename(output->part, output->path) < 0)
		return frcnn_fail_errno(err, output->path, errno);
	if (fclose(output->stream) != 0)
		status = frcnn_fail_errno(err, output->path, errno);
	release(output);
	return status;
}

int frcnn_output_suspend(struct frcnn_output *output, struct frcnn_error *err)
{
	if (!output || !output->stream)
		return 0;
	int status = flush(output, err);
	if (fclose(output->stream) != 0 && status == 0)
		status = frcnn_fail_errno(err, output->path, errno);
	release(output);
	return status;
}

void frcnn_output_abort(struct frcnn_output *output)
{
	if (!output || !output->stream)
		return;
	if (output->part)
		unlink(output->part);
	fclose(output->stream);
	release(output);
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int frcnn_make_parents(const char *path, struct frcnn_error *err)
{
	int status = 0;
	char *folder = frcnn_strdup(path);
	if (!folder)
		return frcnn_fail_errno(err, path, ENOMEM);
	for (char *slash = folder; (slash = strchr(slash, '/')); slash++) {
		if (slash == folder)
			continue;
		*slash = '\0';
		if (mkdir(folder, 0777) < 0) {
			int code = errno;
			if (!is_directory(folder)) {
				status = frcnn_fail_errno(err, folder, code == EEXIST ? ENOTDIR : code);
				break;
			}
		}
		*slash = '/';
	}
	free(folder);
	return status;
}
