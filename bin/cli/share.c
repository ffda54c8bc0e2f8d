/* Where the files that come with the programs are. */
#include "cli/cli.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the running program, or "" where the system does not say. */
static void program_folder(char *out, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	out[length > 0 ? length : 0] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
}

char *frcnn_share_path(const char *relative)
{
	/* Installed in PREFIX/bin; built in build/bin of the source tree; configured. */
	static const char *const places[] = {"../share/frcnn/", "../../share/"};
	char folder[PATH_MAX];
	struct frcnn_buffer path = {0};

	program_folder(folder, sizeof folder);
	for (size_t i = 0; folder[0] && i < FRCNN_COUNT(places); i++) {
		frcnn_buffer_clear(&path);
		frcnn_buffer_printf(&path, "%s/%s%s", folder, places[i], relative);
		if (!path.failed && access(path.data, R_OK) == 0)
			return path.data;
	}
	frcnn_buffer_clear(&path);
	frcnn_buffer_printf(&path, "%s/%s", FRCNN_DATADIR, relative);
	if (!path.failed && access(path.data, R_OK) == 0)
		return path.data;
	frcnn_buffer_free(&path);
	return NULL;
}
