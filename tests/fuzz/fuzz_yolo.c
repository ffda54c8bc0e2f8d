/* YOLO files: whatever is taken is within its bounds, and every line is blank, taken, or named. */
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
	size_t errors = 0, lines = 1, last = 0;
	struct frcnn_notices notices = {count_errors, &errors};
	struct frcnn_yolo yolo;
	struct frcnn_error err;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	need(frcnn_yolo_parse(data, size, "f", 80, &notices, &yolo, &err) == 0);
	need(yolo.errors == errors && yolo.count + errors <= lines);
	for (size_t i = 0; i < yolo.count; i++) {
		const struct frcnn_yolo_object *o = &yolo.objects[i];
		for (int k = 0; k < 4; k++)
			need(o->box[k] >= 0 && o->box[k] <= 1);
		need(o->class < 80 && o->line > last && o->line <= lines);
		last = o->line;
	}
	frcnn_yolo_free(&yolo);
	return 0;
}
