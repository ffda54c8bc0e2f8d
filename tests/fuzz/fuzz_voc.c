/* VOC files: whatever is taken is a finite box with a name, and what was left out was named. */
#include "record/record.h"

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void count_errors(void *context, enum frcnn_notice_kind kind, const char *line)
{
	size_t *errors = context;
	*errors += kind == FRCNN_NOTICE_ERROR && line[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t errors = 0;
	struct frcnn_notices notices = {count_errors, &errors};
	struct frcnn_voc voc;
	struct frcnn_error err;

	if (frcnn_voc_parse(data, size, "f", &notices, &voc, &err) == 0) {
		need(voc.errors == errors && voc.width >= 0 && voc.height >= 0);
		for (size_t i = 0; i < voc.count; i++) {
			const struct frcnn_voc_object *o = &voc.objects[i];
			for (int k = 0; k < 4; k++)
				need(o->bbox[k] - o->bbox[k] == 0);
			need(o->name[0] && o->bbox[2] >= 0 && o->bbox[3] >= 0 && o->line > 0);
		}
	} else {
		need(err.message[0] && !voc.count);
	}
	frcnn_voc_free(&voc);
	return 0;
}
