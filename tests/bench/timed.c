/*
 * timed - runs a command and appends "SECONDS MEGABYTES FAULTS" to FILE: wall time from fork to exit, the peak of
 * resident memory, pages of mapped files included, and the minor page faults.
 *
 *   timed FILE COMMAND...
 *
 * Its status is the command's, 128 + n when it died of signal n.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double start = now();
	FILE *file;
	int status;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: timed FILE COMMAND...\n");
		return 2;
	}
	child = fork();
	if (child < 0) {
		perror("timed");
		return 2;
	}
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (wait4(child, &status, 0, &usage) < 0) {
		perror("timed");
		return 2;
	}
	start = now() - start;
	file = fopen(argv[1], "a");
	if (!file) {
		perror(argv[1]);
		return 2;
	}
	fprintf(file, "%.4f %.1f %ld\n", start, (double)usage.ru_maxrss / 1024, usage.ru_minflt);
	if (fclose(file) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
