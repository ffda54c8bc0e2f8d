/*
 * replay - feeds every file of the given files and folders to a fuzz target,
 * without libFuzzer, so that kept inputs are tried again by any compiler.
 *
 * Usage: replay NAME FILE-OR-FOLDER...
 *
 * Each input runs in a process of its own, so one that crashes or hangs is named
 * and the rest still goes through; a sanitizer's report, a leak included, ends
 * that process with a status of its own. The last line is
 * "NAME: N passed, N failed, N skipped"; the status is 1 when anything failed, or
 * when there was no input at all.
 */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECONDS_AN_INPUT 60

static int passed, failed;

static void try_bytes(const uint8_t *bytes, size_t size)
{
	/* An exact copy, so that a read one byte too far meets the allocator's red zone. */
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		exit(2);
	if (size)
		memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static uint8_t *read_all(const char *path, size_t *size)
{
	uint8_t *bytes = NULL;
	long length;
	FILE *file = fopen(path, "rb");
	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
		bytes = malloc((size_t)length + 1);
		if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
			free(bytes);
			bytes = NULL;
		}
		*size = (size_t)length;
	}
	fclose(file);
	return bytes;
}

static void replay_file(const char *path)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		size_t size = 0;
		uint8_t *bytes = read_all(path, &size);
		if (!bytes) {
			perror(path);
			exit(2);
		}
		alarm(SECONDS_AN_INPUT);
		try_bytes(bytes, size);
		free(bytes);
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("replay");
		exit(2);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		passed++;
		return;
	}
	failed++;
	if (WIFSIGNALED(status))
		printf("FAILED %s: %s\n", path, WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
	else
		printf("FAILED %s: exit status %d\n", path, WEXITSTATUS(status));
}

static void replay_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	if (n < 0) {
		perror(path);
		exit(2);
	}
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.') {
			char name[4096];
			int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			if (length < 0 || (size_t)length >= sizeof(name)) {
				fprintf(stderr, "replay: name too long: %s\n", entries[i]->d_name);
				exit(2);
			}
			replay_file(name);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: replay NAME FILE-OR-FOLDER...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		struct stat st;
		if (stat(argv[i], &st) != 0) {
			perror(argv[i]);
			return 2;
		}
		if (S_ISDIR(st.st_mode))
			replay_folder(argv[i]);
		else
			replay_file(argv[i]);
	}
	printf("%s: %d passed, %d failed, 0 skipped\n", argv[1], passed, failed);
	return failed || !passed;
}
