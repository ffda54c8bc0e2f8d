/* base: reading whole files of any kind, and output that is whole or not there. */
#include "base/base.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/frcnn-files-XXXXXX";

/* Each test runs in a process of its own: the folder is the current one, and goes at the end. */
static void make_folder(void)
{
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(files, .init = make_folder, .fini = remove_folder);

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	cr_assert_eq(fclose(file), 0);
}

static void check_file(const char *path, const char *text)
{
	struct frcnn_file file;
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_file_open(path, 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(file.size, strlen(text), "%s: %.*s", path, (int)file.size, (const char *)file.data);
	cr_assert_eq(memcmp(file.data, text, file.size), 0, "%s: %.*s", path, (int)file.size, (const char *)file.data);
	frcnn_file_close(&file);
	cr_assert_null(file.data);
	frcnn_file_close(&file);
}

static bool is_there(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static void check_no_file(const char *path, size_t limit, int status, const char *message)
{
	struct frcnn_file file;
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_file_open(path, limit, &file, &err), status);
	cr_assert_str_eq(err.message, message);
	cr_assert(file.data == NULL && file.size == 0);
}

Test(files, reads_regular_and_empty_ones)
{
	write_file("a", "hello");
	check_file("a", "hello");
	write_file("empty", "");
	check_file("empty", "");
	struct frcnn_file file;
	cr_assert_eq(frcnn_file_open("empty", 0, &file, NULL), 0);
	cr_assert_not_null(file.data);
	frcnn_file_close(&file);
	frcnn_file_close(NULL);
	cr_assert_eq(frcnn_file_open("a", 5, &file, NULL), 0);
	frcnn_file_close(&file);
	/* Claims to be empty and is not. */
	cr_assert_eq(frcnn_file_open("/proc/self/status", 0, &file, NULL), 0);
	cr_assert(file.size > 100 && memcmp(file.data, "Name:", 5) == 0);
	frcnn_file_close(&file);
}

Test(files, refusals_name_the_path)
{
	mkdir("sub", 0777);
	write_file("six", "123456");
	check_no_file("photos/7.jpg", 0, FRCNN_EIO, "photos/7.jpg: no such file or directory");
	check_no_file("sub", 0, FRCNN_EIO, "sub: is a directory");
	check_no_file("six/x", 0, FRCNN_EIO, "six/x: not a directory");
	check_no_file("six", 5, FRCNN_ELIMIT, "six: larger than 5 bytes");
	check_no_file("", 0, FRCNN_EIO, "\"\": no such file or directory");
	check_no_file("new\nline", 0, FRCNN_EIO, "new\\x0Aline: no such file or directory");
}

/* Writes that much to the FIFO from another process. */
static pid_t feed(const char *path, size_t size)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	FILE *file = fopen(path, "w");
	for (size_t i = 0; file && i < size; i++)
		fputc((int)('a' + i % 26), file);
	_exit(file && fclose(file) == 0 ? 0 : 1);
}

Test(files, reads_a_fifo_whole_or_to_its_cap)
{
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	pid_t child = feed("fifo", 300000);
	struct frcnn_file file;
	cr_assert_eq(frcnn_file_open("fifo", 300000, &file, NULL), 0);
	cr_assert_eq(file.size, 300000);
	for (size_t i = 0; i < file.size; i++)
		cr_assert_eq(file.data[i], 'a' + i % 26);
	frcnn_file_close(&file);
	int status;
	cr_assert(waitpid(child, &status, 0) == child && status == 0);

	child = feed("fifo", 300001);
	check_no_file("fifo", 300000, FRCNN_ELIMIT, "fifo: larger than 300000 bytes");
	waitpid(child, &status, 0);
}

Test(files, output_appears_when_it_is_whole)
{
	struct frcnn_output out;
	struct frcnn_error err = {0};
	write_file("out", "old");
	cr_assert_eq(chmod("out", 0640), 0);
	cr_assert_eq(frcnn_output_open("out", &out, &err), 0, "%s", err.message);
	fputs("new text", out.stream);
	fflush(out.stream);
	check_file("out", "old");
	check_file("out.part", "new text");
	cr_assert_eq(frcnn_output_commit(&out, &err), 0, "%s", err.message);
	check_file("out", "new text");
	cr_assert_not(is_there("out.part"));
	struct stat st;
	cr_assert(stat("out", &st) == 0 && (st.st_mode & 0777) == 0640);
	/* A committed output may be aborted: nothing happens. */
	cr_assert(out.stream == NULL && out.part == NULL && out.path == NULL);
	frcnn_output_abort(&out);
	check_file("out", "new text");

	cr_assert_eq(frcnn_output_open("out", &out, &err), 0);
	fputs("never", out.stream);
	frcnn_output_abort(&out);
	check_file("out", "new text");
	cr_assert_not(is_there("out.part"));
	frcnn_output_abort(NULL);
}

Test(files, a_left_over_part_is_overwritten)
{
	struct frcnn_output out;
	write_file("out.part", "half of something longer");
	cr_assert_eq(frcnn_output_open("out", &out, NULL), 0);
	fputs("x", out.stream);
	cr_assert_eq(frcnn_output_commit(&out, NULL), 0);
	check_file("out", "x");
}

Test(files, two_writers_do_not_mix)
{
	struct frcnn_output first, second;
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_output_open("out", &first, &err), 0);
	fputs("first", first.stream);
	fflush(first.stream);
	cr_assert_eq(frcnn_output_open("out", &second, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "out.part: another program is writing it");
	cr_assert_null(second.stream);
	check_file("out.part", "first");
	cr_assert_eq(frcnn_output_commit(&first, NULL), 0);
	check_file("out", "first");
	cr_assert_eq(frcnn_output_open("out", &second, &err), 0, "%s", err.message);
	frcnn_output_abort(&second);
}

Test(files, what_a_killed_run_left_does_not_lend_its_mode)
{
	struct frcnn_output out;
	struct frcnn_error err;
	struct stat st;
	mode_t mask = umask(022);

	write_file("out.part", "half");
	cr_assert_eq(chmod("out.part", 0444), 0);
	cr_assert_eq(frcnn_output_open("out", &out, &err), 0, "%s", err.message);
	fputs("new", out.stream);
	cr_assert_eq(frcnn_output_commit(&out, &err), 0);
	cr_assert_eq(stat("out", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0644);
	/* A file that is replaced keeps its own. */
	cr_assert_eq(chmod("out", 0600), 0);
	write_file("out.part", "half");
	cr_assert_eq(frcnn_output_open("out", &out, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_output_commit(&out, &err), 0);
	cr_assert_eq(stat("out", &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(frcnn_output_open("no/such/folder/out", &out, &err), FRCNN_EIO);
	umask(mask);
}

Test(files, an_interrupted_output_goes_on)
{
	struct frcnn_output out;
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_output_open("out", &out, &err), 0);
	fputs("line 1\nline 2\nli", out.stream);
	cr_assert_eq(frcnn_output_suspend(&out, &err), 0);
	cr_assert_null(out.stream);
	cr_assert_not(is_there("out"));
	check_file("out.part", "line 1\nline 2\nli");

	cr_assert_eq(frcnn_output_resume("out", 18, &out, &err), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "out.part: shorter than the 18 bytes to go on from");
	check_file("out.part", "line 1\nline 2\nli");
	cr_assert_eq(frcnn_output_resume("out", -1, &out, &err), FRCNN_EINVAL);

	cr_assert_eq(frcnn_output_resume("out", 14, &out, &err), 0, "%s", err.message);
	cr_assert_eq(ftell(out.stream), 14);
	fputs("line 3\n", out.stream);
	cr_assert_eq(frcnn_output_commit(&out, &err), 0, "%s", err.message);
	check_file("out", "line 1\nline 2\nline 3\n");
	cr_assert_eq(frcnn_output_suspend(&out, &err), 0);
	cr_assert_eq(frcnn_output_resume("/dev/null", 0, &out, &err), FRCNN_EINVAL);
}

Test(files, what_is_no_regular_file_is_written_directly)
{
	struct frcnn_output out;
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_output_open("/dev/null", &out, &err), 0);
	cr_assert_null(out.part);
	fputs("text", out.stream);
	cr_assert_eq(frcnn_output_commit(&out, &err), 0, "%s", err.message);
	struct stat st;
	cr_assert(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));

	cr_assert_eq(mkfifo("fifo", 0600), 0);
	pid_t child = fork();
	if (child == 0) {
		char text[16] = {0};
		FILE *file = fopen("fifo", "r");
		_exit(file && fread(text, 1, 15, file) == 5 && strcmp(text, "piped") == 0 ? 0 : 1);
	}
	cr_assert_eq(frcnn_output_open("fifo", &out, &err), 0);
	fputs("piped", out.stream);
	cr_assert_eq(frcnn_output_commit(&out, &err), 0, "%s", err.message);
	int status;
	cr_assert(waitpid(child, &status, 0) == child && status == 0);
	cr_assert(stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
}

Test(files, a_full_device_is_noticed)
{
	if (!is_there("/dev/full"))
		cr_skip_test("no /dev/full here");
	/* A little (seen when flushed), and more than any buffer (seen, and cleared, while writing). */
	static const int counts[] = {1, 100000};
	for (size_t n = 0; n < FRCNN_COUNT(counts); n++) {
		struct frcnn_output out;
		struct frcnn_error err = {0};
		cr_assert_eq(frcnn_output_open("/dev/full", &out, &err), 0);
		for (int i = 0; i < counts[n]; i++)
			fputs("text\n", out.stream);
		cr_assert_eq(frcnn_output_commit(&out, &err), FRCNN_EIO);
		cr_assert(strncmp(err.message, "/dev/full: ", 11) == 0, "%s", err.message);
		cr_assert_not_null(out.stream);
		frcnn_output_abort(&out);
		cr_assert(is_there("/dev/full"));
	}
}

Test(files, outputs_that_cannot_be)
{
	struct frcnn_output out;
	struct frcnn_error err = {0};
	mkdir("sub", 0777);
	cr_assert_eq(frcnn_output_open("sub", &out, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "sub: is a directory");
	cr_assert_eq(frcnn_output_open("none/out", &out, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "none/out.part: no such file or directory");
	cr_assert(out.stream == NULL && out.path == NULL && out.part == NULL);
	/* A part that leads elsewhere is not followed. */
	write_file("victim", "precious");
	cr_assert_eq(symlink("victim", "out.part"), 0);
	cr_assert_eq(frcnn_output_open("out", &out, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "out.part: not a regular file");
	check_file("victim", "precious");
	mkfifo("pipe.part", 0600);
	cr_assert_eq(frcnn_output_open("pipe", &out, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "pipe.part: not a regular file");
	/* The target became a folder meanwhile: the part can still be aborted or kept. */
	cr_assert_eq(frcnn_output_open("late", &out, &err), 0);
	mkdir("late", 0777);
	cr_assert_eq(frcnn_output_commit(&out, &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "late: is a directory");
	frcnn_output_abort(&out);
	cr_assert_not(is_there("late.part"));
}

Test(files, a_link_stays_and_its_target_is_replaced)
{
	struct frcnn_output out;
	mkdir("sub", 0777);
	write_file("sub/real", "old");
	cr_assert_eq(symlink("sub/real", "link"), 0);
	cr_assert_eq(frcnn_output_open("link", &out, NULL), 0);
	fputs("new", out.stream);
	check_file("sub/real", "old");
	cr_assert_eq(frcnn_output_commit(&out, NULL), 0);
	struct stat st;
	cr_assert(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
	check_file("sub/real", "new");
}

Test(files, folders_above_are_made)
{
	struct frcnn_error err = {0};
	cr_assert_eq(frcnn_make_parents("a/b//c/file", &err), 0, "%s", err.message);
	cr_assert(is_there("a/b/c") && !is_there("a/b/c/file"));
	cr_assert_eq(frcnn_make_parents("a/b/c/file", &err), 0);
	cr_assert_eq(frcnn_make_parents("file", &err), 0);
	cr_assert_eq(frcnn_make_parents("/file", &err), 0);
	write_file("a/plain", "");
	cr_assert_eq(frcnn_make_parents("a/plain/x/file", &err), FRCNN_EIO);
	cr_assert_str_eq(err.message, "a/plain: not a directory");
}
