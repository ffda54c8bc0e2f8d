#include "base/base.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

/* The first size - 1 bytes of a small file as text; false when there is no such file. */
static bool read_small(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	size_t n = fread(text, 1, size - 1, file);
	fclose(file);
	text[n] = '\0';
	return n > 0;
}

/* The integer at the start of text, or -1 ("max" is none). */
static int64_t leading_int(const char *text)
{
	int64_t value;
	return frcnn_parse_int64(text, strspn(text, "-0123456789"), &value) == 0 ? value : -1;
}

static int quota_cores(int64_t quota, int64_t period)
{
	if (quota <= 0 || period <= 0)
		return INT32_MAX;
	int64_t cores = quota / period + (quota % period != 0);
	return cores < INT32_MAX ? (int)cores : INT32_MAX;
}

/* cgroup v2: "QUOTA PERIOD" or "max PERIOD" in one file; v1: two files. */
static int group_cores(const char *folder, bool v1)
{
	char path[1200], text[128], more[128];
	snprintf(path, sizeof(path), "%s/%s", folder, v1 ? "cpu.cfs_quota_us" : "cpu.max");
	if (!read_small(path, text, sizeof(text)))
		return INT32_MAX;
	if (!v1) {
		const char *blank = strchr(text, ' ');
		return blank ? quota_cores(leading_int(text), leading_int(blank + 1)) : INT32_MAX;
	}
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
	return read_small(path, more, sizeof(more)) ? quota_cores(leading_int(text), leading_int(more)) : INT32_MAX;
}

/* The least quota of a group and of all above it, down to the mount point. */
static int hierarchy_cores(const char *mount, const char *group, bool v1)
{
	char folder[1024];
	if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mount, group) >= sizeof(folder))
		return INT32_MAX;
	int least = INT32_MAX;
	for (;;) {
		int cores = group_cores(folder, v1);
		least = cores < least ? cores : least;
		char *slash = strrchr(folder, '/');
		if (!slash || slash < folder + strlen(mount))
			return least;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup are ID:CONTROLLERS:/GROUP; v2 has no controllers. */
static int cgroup_cores(void)
{
	char text[8192];
	if (!read_small("/proc/self/cgroup", text, sizeof(text)))
		return INT32_MAX;
	int least = INT32_MAX;
	char *line = text;
	while (*line) {
		char *next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (group) {
			*controllers++ = '\0';
			*group++ = '\0';
			int cores = INT32_MAX;
			if (*controllers == '\0')
				cores = hierarchy_cores("/sys/fs/cgroup", group, false);
			else if (strcmp(controllers, "cpu") == 0 || strcmp(controllers, "cpu,cpuacct") == 0 ||
				 strcmp(controllers, "cpuacct,cpu") == 0)
				cores = hierarchy_cores("/sys/fs/cgroup/cpu", group, true);
			least = cores < least ? cores : least;
		}
		line = next;
	}
	return least;
}

int frcnn_usable_cores(void)
{
	int cores;
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		cores = CPU_COUNT(&set);
	else /* more cores than the set holds */
		cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
	int quota = cgroup_cores();
	cores = quota < cores ? quota : cores;
	return cores < 1 ? 1 : cores;
}
