#include "base/base.h"

#include <errno.h>
#include <string.h>

int frcnn_fail(struct frcnn_error *err, int status, const char *format, ...)
{
	if (!err)
		return status;

	/* Formatted aside first: an argument may be err->message itself. */
	char text[sizeof(err->message)];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	size_t size = n < 0 ? 0 : (size_t)n;
	bool cut = size >= sizeof(text);
	if (cut)
		size = sizeof(text) - 1;

	static const char dots[] = "...";
	size_t room = sizeof(err->message) - sizeof(dots), used = 0;
	for (size_t i = 0; i < size;) {
		char piece[FRCNN_PRINTABLE_MAX];
		size_t length;
		i += frcnn_printable_one(text + i, size - i, piece, &length);
		if (used + length > room) {
			cut = true;
			break;
		}
		memcpy(err->message + used, piece, length);
		used += length;
	}
	memcpy(err->message + used, cut ? dots : "", cut ? sizeof(dots) : 1);
	err->status = status;
	return status;
}

int frcnn_fail_nomem(struct frcnn_error *err)
{
	return frcnn_fail(err, FRCNN_ENOMEM, "out of memory");
}

int frcnn_fail_errno(struct frcnn_error *err, const char *path, int code)
{
	/* A path too long for a message loses its middle, so that the reason still fits. */
	char cut[sizeof(err->message)];
	size_t size = strlen(path), room = sizeof(err->message) - 224;
	if (size > room) {
		snprintf(cut, sizeof(cut), "%.*s...%s", (int)(room / 2), path, path + size - room / 2);
		path = cut;
	}
	if (code == ENOMEM)
		return frcnn_fail(err, FRCNN_ENOMEM, "%s: out of memory", path);
	const char *reason = strerror(code);
	/* "No such file" begins a sentence; "RPC struct is bad" does not. */
	bool sentence = reason[0] >= 'A' && reason[0] <= 'Z' && reason[1] >= 'a' && reason[1] <= 'z';
	/* An empty name is shown as one: nothing before the colon would be a riddle. */
	return frcnn_fail(err, FRCNN_EIO, "%s: %c%s", *path ? path : "\"\"",
			  sentence ? reason[0] - 'A' + 'a' : reason[0], reason + 1);
}
