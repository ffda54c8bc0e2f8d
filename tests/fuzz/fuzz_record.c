/* Records in every form, from memory and from a stream: both must tell the same, and all texts lie in the input. Then
 * as pycocotools reads them: numbers need not be finite. */
#include "record/record.h"

struct outcome {
	size_t records, errors, items, warnings;
};

static void count_note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	(void)kind;
	struct outcome *outcome = context;
	outcome->warnings += 1 + (strlen(line) > sizeof(((struct frcnn_error *)0)->message));
}

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void inside(struct frcnn_span span, struct frcnn_span whole)
{
	if (span.data)
		need(span.data >= whole.data && span.data + span.size <= whole.data + whole.size);
}

static void look_at(const struct frcnn_record *record, const struct frcnn_record_item *items, size_t count, bool finite)
{
	for (size_t i = 0; i < count; i++) {
		const struct frcnn_record_item *item = &items[i];
		inside(item->bbox_text, item->text);
		inside(item->score_text, item->text);
		if (record->text.data)
			inside(item->text, record->text);
		need(item->text.size > 1 && item->text.data[0] == '{' && item->text.data[item->text.size - 1] == '}');
		need(!finite || (item->bbox[2] >= 0 && item->bbox[3] >= 0 && item->score - item->score == 0));
		need(!item->category || strlen(item->category) < item->text.size || !record->text.data);
	}
}

static struct outcome read_all(struct frcnn_records *records, bool finite, struct outcome *outcome)
{
	const struct frcnn_record *record;
	struct frcnn_error err;
	int rc;
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		if (rc < 0) {
			need(err.status == rc && err.message[0]);
			outcome->errors++;
			continue;
		}
		need(record->has_detections || record->has_proposals);
		look_at(record, record->detections, record->ndetections, finite);
		look_at(record, record->proposals, record->nproposals, finite);
		for (size_t i = 0; i < record->nextras; i++)
			inside(record->extras[i].value, record->text);
		outcome->records++;
		outcome->items += record->ndetections + record->nproposals;
	}
	need(frcnn_records_next(records, &record, &err) == 0);
	return *outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome memory = {0}, stream = {0}, other = {0};
	struct frcnn_notices notices = {count_note, &memory};
	struct frcnn_records *records;
	struct frcnn_labels labels;

	if (frcnn_records_open_memory(data, size, "-", &notices, &records, NULL) == 0)
		read_all(records, true, &memory);
	frcnn_records_close(records);

	FILE *file = size ? fmemopen((void *)data, size, "r") : NULL;
	if (file) {
		notices.context = &stream;
		if (frcnn_records_open_stream(file, "-", &notices, &records, NULL) == 0)
			read_all(records, true, &stream);
		frcnn_records_close(records);
		fclose(file);
		need(memory.records == stream.records && memory.errors == stream.errors &&
		     memory.items == stream.items && memory.warnings == stream.warnings);
	}

	notices.context = &other;
	if (frcnn_records_open_memory(data, size, "-", &notices, &records, NULL) == 0) {
		frcnn_records_pycocotools(records);
		read_all(records, false, &other);
	}
	frcnn_records_close(records);

	if (frcnn_labels_parse(data, size, &labels, NULL) == 0)
		need(labels.count > 0);
	frcnn_labels_free(&labels);
	return 0;
}
