/* The filter's path: whatever records come in, what goes out is read back without an error; and files of thresholds. */
#include "filter/filter.h"

#include <math.h>

static void need(bool truth)
{
	if (!truth)
		abort();
}

static int collect(void *context, const char *text, size_t size, struct frcnn_error *err)
{
	(void)err;
	frcnn_buffer_add(context, text, size);
	return 0;
}

/* How many detections and proposals there are; every record must be in order. */
static size_t read_back(const struct frcnn_buffer *text)
{
	struct frcnn_records *records;
	const struct frcnn_record *record;
	struct frcnn_error err;
	size_t count = 0;
	int rc;

	need(frcnn_records_open_memory(text->data, text->size, "out", NULL, &records, &err) == 0);
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		need(rc > 0);
		count += record->has_detections ? record->ndetections : record->nproposals;
	}
	frcnn_records_close(records);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum frcnn_nms_method methods[] = {FRCNN_NMS_HARD, FRCNN_NMS_SOFT_GAUSSIAN, FRCNN_NMS_VOTE,
							FRCNN_NMS_WBF, FRCNN_NMS_NMW};
	struct frcnn_filter_thresholds thresholds = {0};
	struct frcnn_filter_options options = {.score = NAN, .min_size = NAN};
	struct frcnn_filter *filter;
	struct frcnn_buffer out = {0};
	struct frcnn_error err;

	if (size == 0)
		return 0;
	/* the first byte says how */
	uint8_t way = *data++;
	size--;
	bool two = way & 8, convert = way & 16, stream = way & 32;
	frcnn_nms_options_init(&options.nms);
	options.nms.method = methods[(way & 7) % FRCNN_COUNT(methods)];
	options.by_box = way & 64;
	options.agnostic = way & 128;
	options.convert = convert;
	options.format = way & 1 ? FRCNN_FORMAT_COCO : FRCNN_FORMAT_JSONL;
	if (frcnn_filter_thresholds_parse((const char *)data, size, &thresholds, &err) == 0)
		need(thresholds.count > 0);
	options.thresholds = &thresholds;

	size_t half = two ? size / 2 : size;
	struct frcnn_filter_input inputs[2] = {{"a", data, half}, {"b", data + half, size - half}};
	need(frcnn_filter_new(&options, two ? 2 : 1, NULL, NULL, &filter, &err) == 0);
	int rc = frcnn_filter_load(filter, inputs, &err);
	if (rc == 0)
		rc = frcnn_filter_write(filter, collect, &out, &err);
	if (rc == 0) {
		frcnn_buffer_putc(&out, ' '); /* data is there even for no text */
		need(read_back(&out) == frcnn_filter_counts(filter).out);
	} else {
		need(err.message[0]);
	}
	frcnn_filter_free(filter);

	FILE *file = stream && size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	if (file && frcnn_filter_new(&options, 1, NULL, NULL, &filter, &err) == 0) {
		frcnn_buffer_clear(&out);
		frcnn_filter_stream(filter, file, "-", collect, &out, &err);
		frcnn_filter_free(filter);
	}
	if (file)
		fclose(file);
	frcnn_filter_thresholds_free(&thresholds);
	frcnn_buffer_free(&out);
	return 0;
}
