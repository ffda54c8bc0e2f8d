#include "base/base.h"

#include <sched.h>
#include <string.h>
#include <sys/resource.h>
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

/* ---- control groups --------------------------------------------------------- */

/* What a group allows; INT64_MAX: it sets no limit. */
typedef int64_t look_at_group(const char *folder);

/* The integer at the start of a group's file, or -1. */
static int64_t group_int(const char *folder, const char *name)
{
	char path[1200], text[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return read_small(path, text, sizeof(text)) ? leading_int(text) : -1;
}

/* The least that a group and all above it allow, down to the mount point. */
static int64_t least_of_hierarchy(const char *mount, const char *group, look_at_group *look)
{
	char folder[1024];
	if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mount, group) >= sizeof(folder))
		return INT64_MAX;
	int64_t least = INT64_MAX;
	for (;;) {
		int64_t here = look(folder);
		least = here < least ? here : least;
		char *slash = strrchr(folder, '/');
		if (!slash || slash < folder + strlen(mount))
			return least;
		*slash = '\0';
	}
}

/* Whether word is one of those that commas separate. */
static bool has_word(const char *list, const char *word)
{
	for (size_t size; *list; list += size + (list[size] == ',')) {
		size = strcspn(list, ",");
		if (size == strlen(word) && memcmp(list, word, size) == 0)
			return true;
	}
	return false;
}

/* Lines of /proc/self/cgroup are ID:CONTROLLERS:/GROUP; v2 has no controllers. */
static int64_t least_of_groups(const char *controller, look_at_group *look_v2, look_at_group *look_v1)
{
	char text[8192], mount[64];
	if (!read_small("/proc/self/cgroup", text, sizeof(text)))
		return INT64_MAX;
	snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%s", controller);
	int64_t least = INT64_MAX;
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
			int64_t here = INT64_MAX;
			if (*controllers == '\0')
				here = least_of_hierarchy("/sys/fs/cgroup", group, look_v2);
			else if (has_word(controllers, controller))
				here = least_of_hierarchy(mount, group, look_v1);
			least = here < least ? here : least;
		}
		line = next;
	}
	return least;
}

/* ---- cores ------------------------------------------------------------------ */

static int64_t quota_cores(int64_t quota, int64_t period)
{
	if (quota <= 0 || period <= 0)
		return INT64_MAX;
	return quota / period + (quota % period != 0);
}

/* "QUOTA PERIOD" or "max PERIOD" in one file. */
static int64_t cores_v2(const char *folder)
{
	char path[1200], text[128];
	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	const char *blank = read_small(path, text, sizeof(text)) ? strchr(text, ' ') : NULL;
	return blank ? quota_cores(leading_int(text), leading_int(blank + 1)) : INT64_MAX;
}

static int64_t cores_v1(const char *folder)
{
	return quota_cores(group_int(folder, "cpu.cfs_quota_us"), group_int(folder, "cpu.cfs_period_us"));
}

int frcnn_usable_cores(void)
{
	int cores;
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		cores = CPU_COUNT(&set);
	else /* more cores than the set holds */
		cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
	int64_t quota = least_of_groups("cpu", cores_v2, cores_v1);
	cores = quota < cores ? (int)quota : cores;
	return cores < 1 ? 1 : cores;
}

/* ---- memory ----------------------------------------------------------------- */

/* What a group's limit leaves. Files that were read and can be dropped count as free. */
static int64_t group_memory(const char *folder, const char *limit_name, const char *used_name, const char *dropped)
{
	char path[1200], text[8192];
	int64_t limit = group_int(folder, limit_name), used = group_int(folder, used_name);
	if (limit < 0 || used < 0)
		return INT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	const char *found = read_small(path, text, sizeof(text)) ? strstr(text, dropped) : NULL;
	int64_t file = found ? leading_int(found + strlen(dropped)) : 0;
	if (file > 0)
		used = file < used ? used - file : 0;
	return used < limit ? limit - used : 0;
}

static int64_t memory_v2(const char *folder)
{
	return group_memory(folder, "memory.max", "memory.current", "\ninactive_file ");
}

static int64_t memory_v1(const char *folder)
{
	return group_memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "\ntotal_inactive_file ");
}

/* What a limit leaves of which this many pages are used. */
static int64_t rest_of_limit(int resource, int64_t pages)
{
	struct rlimit limit;
	if (pages < 0 || getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur > INT64_MAX)
		return INT64_MAX;
	int64_t used = pages * sysconf(_SC_PAGESIZE), allowed = (int64_t)limit.rlim_cur;
	return used < allowed ? allowed - used : 0;
}

int64_t frcnn_usable_memory(void)
{
	/* Pages: all that is mapped, resident, shared, text, library, data and stack. */
	char text[256];
	int64_t pages[6] = {-1, -1, -1, -1, -1, -1};
	const char *at = read_small("/proc/self/statm", text, sizeof(text)) ? text : "";
	for (size_t i = 0; i < FRCNN_COUNT(pages) && *at; i++) {
		pages[i] = leading_int(at);
		at += strcspn(at, " ");
		at += *at == ' ';
	}
	int64_t group = least_of_groups("memory", memory_v2, memory_v1);
	int64_t mapped = rest_of_limit(RLIMIT_AS, pages[0]), data = rest_of_limit(RLIMIT_DATA, pages[5]);
	int64_t least = mapped < data ? mapped : data;
	return group < least ? group : least;
}
