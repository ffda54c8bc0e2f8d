/*
 * Records from text, in every form, as images one after the other. JSON Lines
 * come as they are read; the COCO forms are first gone through for their image
 * ids, then given image by image, each detection's values taken only then.
 */
#include "record/record.h"

#include <errno.h>

enum phase { SNIFF, LINES, LOAD_ARRAY, LOAD_LINES, GIVE, DONE };

/* A detection of the COCO forms, before its values are taken. */
struct loaded {
	const char *text;
	uint32_t size, line; /* line: UINT32_MAX and beyond are the same */
	size_t group, index;
};

struct frcnn_records {
	FILE *stream;
	const char *text; /* all of it, when there is no stream (any more) */
	size_t size;
	char *name;
	struct frcnn_notices notices;
	enum phase phase;
	enum frcnn_record_form form;
	bool pycocotools;

	struct frcnn_buffer head; /* read from the stream ahead of need */
	size_t at;                /* into head, or text */
	struct frcnn_buffer line;
	size_t line_number;

	/* COCO forms */
	struct frcnn_error reason; /* of json */
	struct frcnn_json json;    /* over text, while an array is gone through */
	bool json_open, entered;
	const char *counted; /* line_number is that of this place */
	size_t elements;
	struct loaded *loaded;
	size_t nloaded, loaded_capacity;
	struct frcnn_id_map groups;
	int64_t *group_ids;
	size_t ngroups, group_capacity;
	size_t *first, *order;           /* loaded ones of group g: order[first[g]] .. order[first[g + 1] - 1] */
	struct frcnn_ground_truth truth; /* of a dataset; groups are its images */
	size_t group, position;          /* what is given next */
	bool group_begun;

	struct frcnn_record record;
	size_t detection_capacity, proposal_capacity, extra_capacity;
	char *strings; /* decoded texts of the record; reserved at once, so that nothing moves */
	size_t strings_used, strings_capacity;
	struct frcnn_buffer scratch;

	size_t duplicates, flat; /* warnings so far */
};

/* ---- opening and closing ---- */

static int open_records(FILE *stream, const void *text, size_t size, const char *name,
			const struct frcnn_notices *notices, struct frcnn_records **out, struct frcnn_error *err)
{
	struct frcnn_records *r = frcnn_calloc(1, sizeof(*r));
	*out = NULL;
	if (!r)
		return frcnn_fail_nomem(err);
	r->name = frcnn_strdup(strcmp(name, "-") == 0 ? "standard input" : name);
	if (!r->name) {
		free(r);
		return frcnn_fail_nomem(err);
	}
	r->stream = stream;
	r->text = text;
	r->size = size;
	if (notices)
		r->notices = *notices;
	*out = r;
	return 0;
}

int frcnn_records_open_stream(FILE *stream, const char *name, const struct frcnn_notices *notices,
			      struct frcnn_records **out, struct frcnn_error *err)
{
	return open_records(stream, NULL, 0, name, notices, out, err);
}

int frcnn_records_open_memory(const void *text, size_t size, const char *name, const struct frcnn_notices *notices,
			      struct frcnn_records **out, struct frcnn_error *err)
{
	return open_records(NULL, size ? text : "", size, name, notices, out, err);
}

void frcnn_records_close(struct frcnn_records *r)
{
	if (!r)
		return;
	if (r->json_open)
		frcnn_json_close(&r->json);
	frcnn_ground_truth_free(&r->truth);
	frcnn_id_map_free(&r->groups);
	frcnn_buffer_free(&r->head);
	frcnn_buffer_free(&r->line);
	frcnn_buffer_free(&r->scratch);
	free(r->name);
	free(r->loaded);
	free(r->group_ids);
	free(r->first);
	free(r->order);
	free(r->record.detections);
	free(r->record.proposals);
	free(r->record.extras);
	free(r->strings);
	free(r);
}

void frcnn_records_pycocotools(struct frcnn_records *r)
{
	r->pycocotools = true;
}

enum frcnn_record_form frcnn_records_form(const struct frcnn_records *r)
{
	return r->form;
}

/* ---- warnings ---- */

/* Where in a line or file: "results[17]: "; array NULL: "". Made only when there is something to say. */
struct place {
	const char *array;
	size_t index;
};

static const char *place_text(struct place place, char out[64])
{
	out[0] = '\0';
	if (place.array)
		snprintf(out, 64, "%s[%zu]: ", place.array, place.index);
	return out;
}

static void warn_duplicate(struct frcnn_records *r, struct place where, struct frcnn_span key)
{
	char place[64];
	if (r->duplicates++ == 0)
		frcnn_note(&r->notices, FRCNN_NOTICE_WARNING, r->name, r->line_number,
			   "%skey \"%.*s\" appears twice, the last one counts", place_text(where, place),
			   (int)(key.size < 64 ? key.size : 64), key.data);
}

static void warn_flat(struct frcnn_records *r, struct place where)
{
	char place[64];
	if (r->flat++ == 0)
		frcnn_note(&r->notices, FRCNN_NOTICE_WARNING, r->name, r->line_number, "%sbbox has zero size",
			   place_text(where, place));
}

static int finish(struct frcnn_records *r)
{
	if (r->duplicates > 1)
		frcnn_note(&r->notices, FRCNN_NOTICE_WARNING, r->name, 0, "objects with duplicate keys: %zu",
			   r->duplicates);
	if (r->flat > 1)
		frcnn_note(&r->notices, FRCNN_NOTICE_WARNING, r->name, 0, "boxes of zero size: %zu", r->flat);
	r->phase = DONE;
	return 0;
}

/* ---- texts of a record ---- */

static int reserve_strings(struct frcnn_records *r, size_t size)
{
	r->strings_used = 0;
	if (size <= r->strings_capacity)
		return 0;
	free(r->strings);
	r->strings_capacity = 0;
	r->strings = malloc(size);
	if (!r->strings)
		return FRCNN_ENOMEM;
	r->strings_capacity = size;
	return 0;
}

/* A decoded text with its NUL is shorter than its JSON text with its quotes, so it fits what was reserved. */
static const char *keep(struct frcnn_records *r, const char *text, size_t size)
{
	if (size >= r->strings_capacity - r->strings_used)
		return NULL;
	char *kept = r->strings + r->strings_used;
	if (size)
		memcpy(kept, text, size);
	kept[size] = '\0';
	r->strings_used += size + 1;
	return kept;
}

static int keep_text(struct frcnn_records *r, struct frcnn_span value, const char *name, bool unescape,
		     const char **out, struct frcnn_error *err)
{
	bool present;
	*out = NULL;
	int rc = frcnn_value_text(value, name, unescape, &r->scratch, &present, err);
	if (rc < 0 || !present)
		return rc;
	*out = keep(r, r->scratch.data, r->scratch.size);
	return *out ? 0 : frcnn_fail_nomem(err);
}

/* ---- one detection ---- */

enum item_kind { DETECTION, PROPOSAL, ANNOTATION };
enum { ITEM_BBOX, ITEM_SCORE, ITEM_OBJECTNESS, ITEM_CATEGORY_ID, ITEM_CATEGORY, ITEM_IMAGE_ID };
static const char *const item_keys[] = {"bbox", "score", "objectness", "category_id", "category", "image_id"};

/* Messages know no place. */
static int take_item(struct frcnn_records *r, const struct frcnn_scan *scan, enum item_kind kind,
		     struct frcnn_record_item *item, struct frcnn_error *err)
{
	const struct frcnn_span *v = scan->values;
	int rc;

	*item = (struct frcnn_record_item){.text = scan->text, .bbox_text = v[ITEM_BBOX]};
	if (!scan->object)
		return frcnn_fail(err, FRCNN_EFORMAT, "not an object");
	rc = frcnn_value_bbox(v[ITEM_BBOX], r->pycocotools, item->bbox, item->bbox_f32, err);
	if (rc < 0)
		return rc;
	if (v[ITEM_CATEGORY_ID].data) {
		rc = frcnn_value_id(v[ITEM_CATEGORY_ID], "category_id", &item->category_id, err);
		if (rc < 0)
			return rc;
		item->has_category_id = true;
	}
	rc = keep_text(r, v[ITEM_CATEGORY], "category", false, &item->category, err);
	if (rc < 0)
		return rc;
	if (kind == ANNOTATION) {
		item->score = item->score_f32 = 1;
		return 0;
	}
	const char *key = kind == PROPOSAL && v[ITEM_OBJECTNESS].data ? "objectness" : "score";
	item->score_text = v[*key == 'o' ? ITEM_OBJECTNESS : ITEM_SCORE];
	if (item->score_text.data) {
		rc = frcnn_value_number(item->score_text, key, r->pycocotools, &item->score, &item->score_f32, err);
		if (rc < 0)
			return rc;
	}
	if (kind == PROPOSAL)
		return 0;
	if (!item->score_text.data)
		return frcnn_fail(err, FRCNN_EFORMAT, "missing key \"score\"");
	if (!item->has_category_id && !item->category)
		return frcnn_fail(err, FRCNN_EFORMAT, "missing key \"category_id\"");
	return 0;
}

/* ---- JSON Lines ---- */

enum { KEY_IMAGE_ID, KEY_FILE_NAME, KEY_WIDTH, KEY_HEIGHT, KEY_MODEL, KEY_DETECTIONS, KEY_PROPOSALS };
static const char *const record_keys[] = {"image_id", "file_name",  "width",    "height",
					  "model",    "detections", "proposals"};

static int take_items(struct frcnn_records *r, struct frcnn_span array, const char *name, enum item_kind kind,
		      struct frcnn_record_item **items, size_t *count, size_t *capacity, struct frcnn_error *err)
{
	struct frcnn_scan scan = {.keys = item_keys, .nkeys = FRCNN_COUNT(item_keys)};
	struct frcnn_error reason = {0};
	struct frcnn_json json;
	int rc;

	if (array.data[0] != '[')
		return frcnn_fail(err, FRCNN_EFORMAT, "%s is not an array", name);
	frcnn_json_open(&json, array.data, array.size, &reason);
	json.python_nan = r->pycocotools;
	rc = frcnn_json_enter_array(&json);
	while (rc >= 0 && (rc = frcnn_json_next_element(&json)) > 0) {
		void *grown = *items;
		rc = frcnn_grow(&grown, capacity, *count + 1, sizeof(**items));
		*items = grown;
		if (rc < 0) {
			rc = frcnn_fail_nomem(&reason);
			break;
		}
		struct frcnn_record_item *item = &(*items)[*count];
		rc = frcnn_scan_value(&json, &scan);
		if (rc >= 0)
			rc = take_item(r, &scan, kind, item, &reason);
		if (rc < 0)
			break;
		item->index = *count;
		item->line = r->line_number;
		struct place where = {name, *count};
		if (scan.duplicate)
			warn_duplicate(r, where, (struct frcnn_span){scan.duplicate, strlen(scan.duplicate)});
		if (item->bbox[2] == 0 || item->bbox[3] == 0)
			warn_flat(r, where);
		++*count;
	}
	frcnn_json_close(&json);
	if (rc == FRCNN_ENOMEM)
		return frcnn_fail_nomem(err);
	return rc < 0 ? frcnn_fail(err, rc, "%s[%zu]: %s", name, *count, reason.message) : 0;
}

static int take_extra(void *context, struct frcnn_span key, struct frcnn_span value, struct frcnn_error *err)
{
	struct frcnn_records *r = context;
	struct frcnn_record *record = &r->record;
	void *grown = record->extras;

	for (size_t i = 0; i < record->nextras; i++) {
		if (frcnn_span_is(key, record->extras[i].key)) {
			warn_duplicate(r, (struct place){0}, key);
			record->extras[i].value = value;
			return 0;
		}
	}
	/* a limit, because the search above is a plain one */
	if (record->nextras == 1000)
		return frcnn_fail(err, FRCNN_ELIMIT, "more than 1000 unknown keys");
	if (key.size && memchr(key.data, '\0', key.size))
		return frcnn_fail(err, FRCNN_EFORMAT, "a key has a NUL in it");
	if (frcnn_grow(&grown, &r->extra_capacity, record->nextras + 1, sizeof(*record->extras)) < 0)
		return frcnn_fail_nomem(err);
	record->extras = grown;
	const char *kept = keep(r, key.data, key.size);
	if (!kept)
		return frcnn_fail_nomem(err);
	record->extras[record->nextras++] = (struct frcnn_record_extra){kept, value};
	return 0;
}

/* Everything to absent, the arrays' memory kept. */
static void clear_record(struct frcnn_records *r)
{
	struct frcnn_record *old = &r->record;
	r->record = (struct frcnn_record){
	    .detections = old->detections, .proposals = old->proposals, .extras = old->extras, .line = r->line_number};
}

static int take_fields(struct frcnn_records *r, const struct frcnn_scan *scan, struct frcnn_error *err)
{
	struct frcnn_record *record = &r->record;
	const struct frcnn_span *v = scan->values;
	int rc;

	if (v[KEY_IMAGE_ID].data) {
		rc = frcnn_value_id(v[KEY_IMAGE_ID], "image_id", &record->image_id, err);
		if (rc < 0)
			return rc;
		record->has_image_id = true;
	}
	rc = keep_text(r, v[KEY_FILE_NAME], "file_name", true, &record->file_name, err);
	if (rc == 0)
		rc = keep_text(r, v[KEY_MODEL], "model", false, &record->model, err);
	if (rc == 0 && v[KEY_WIDTH].data)
		rc = frcnn_value_size(v[KEY_WIDTH], "width", &record->width, err);
	if (rc == 0 && v[KEY_HEIGHT].data)
		rc = frcnn_value_size(v[KEY_HEIGHT], "height", &record->height, err);
	if (rc < 0)
		return rc;
	if (!v[KEY_DETECTIONS].data && !v[KEY_PROPOSALS].data)
		return frcnn_fail(err, FRCNN_EFORMAT, "missing key \"detections\"");
	record->detections_text = v[KEY_DETECTIONS];
	record->proposals_text = v[KEY_PROPOSALS];
	if (v[KEY_DETECTIONS].data) {
		record->has_detections = true;
		rc = take_items(r, v[KEY_DETECTIONS], "detections", DETECTION, &record->detections,
				&record->ndetections, &r->detection_capacity, err);
	}
	if (rc == 0 && v[KEY_PROPOSALS].data) {
		record->has_proposals = true;
		rc = take_items(r, v[KEY_PROPOSALS], "proposals", PROPOSAL, &record->proposals, &record->nproposals,
				&r->proposal_capacity, err);
	}
	return rc;
}

static int take_line(struct frcnn_records *r, struct frcnn_span line, struct frcnn_error *err)
{
	struct frcnn_scan scan = {
	    .keys = record_keys, .nkeys = FRCNN_COUNT(record_keys), .unknown = take_extra, .context = r};
	struct frcnn_error reason = {0};
	struct frcnn_json json;

	clear_record(r);
	r->record.text = line;
	if (reserve_strings(r, line.size + 1) < 0)
		return frcnn_fail(err, FRCNN_ENOMEM, "%s:%zu: out of memory", r->name, r->line_number);
	frcnn_json_open(&json, line.data, line.size, &reason);
	json.python_nan = r->pycocotools;
	int rc = frcnn_scan_value(&json, &scan);
	if (rc == 0)
		rc = frcnn_json_finish(&json);
	frcnn_json_close(&json);
	if (rc == 0 && !scan.object)
		rc = frcnn_fail(&reason, FRCNN_EFORMAT, "not an object");
	if (rc == 0)
		rc = take_fields(r, &scan, &reason);
	if (rc < 0)
		return frcnn_fail_at(err, r->name, r->line_number, &reason);
	if (scan.duplicate)
		warn_duplicate(r, (struct place){0}, (struct frcnn_span){scan.duplicate, strlen(scan.duplicate)});
	return 0;
}

/* ---- bytes ---- */

static int read_failed(struct frcnn_records *r, struct frcnn_error *err)
{
	int code = errno;

	r->phase = DONE;
	return frcnn_fail_errno(err, r->name, code ? code : EIO);
}

static int nomem(struct frcnn_records *r, struct frcnn_error *err)
{
	r->phase = DONE;
	return frcnn_fail(err, FRCNN_ENOMEM, "%s: out of memory", r->name);
}

/* Appends what the stream has up to a line's end or `most` bytes, whichever comes first. False at its end. */
static bool read_piece(FILE *stream, struct frcnn_buffer *out, size_t most)
{
	char piece[4096];
	size_t n = 0;
	int c = 0;
	while (most > 0 && (c = getc_unlocked(stream)) != EOF) {
		piece[n++] = (char)c;
		most--;
		if (n == sizeof(piece) || c == '\n') {
			frcnn_buffer_add(out, piece, n);
			n = 0;
		}
		if (c == '\n')
			break;
	}
	frcnn_buffer_add(out, piece, n);
	return c != EOF;
}

/* The next line without its end into *line: 1, or 0 at the end, or < 0. */
static int next_line(struct frcnn_records *r, struct frcnn_span *line, struct frcnn_error *err)
{
	const char *from = r->stream ? r->head.data : r->text;
	size_t size = r->stream ? r->head.size : r->size;
	bool ended = false, too_long = false;

	*line = (struct frcnn_span){0};
	if (r->at < size) {
		const char *end = memchr(from + r->at, '\n', size - r->at);
		*line = (struct frcnn_span){from + r->at, end ? (size_t)(end - from) - r->at : size - r->at};
		r->at += line->size + (end != NULL);
		ended = end || !r->stream;
	} else if (!r->stream) {
		return 0;
	}
	if (!ended) {
		frcnn_buffer_clear(&r->line);
		if (line->size)
			frcnn_buffer_add(&r->line, line->data, line->size);
		for (bool more = true; more;) {
			more = read_piece(r->stream, &r->line, 65536);
			if (ferror(r->stream))
				return read_failed(r, err);
			if (r->line.size && r->line.data[r->line.size - 1] == '\n') {
				more = false;
				ended = true;
				r->line.size--;
			}
			if (r->line.size > FRCNN_RECORD_MAX_LINE) {
				too_long = true;
				r->line.size = 0;
			}
			if (r->line.failed)
				return nomem(r, err);
		}
		if (!ended && !too_long && r->line.size == 0)
			return 0;
		*line = (struct frcnn_span){r->line.data, r->line.size};
	}
	r->line_number++;
	if (too_long || line->size > FRCNN_RECORD_MAX_LINE)
		return frcnn_fail(err, FRCNN_ELIMIT, "%s:%zu: the line is longer than %zu bytes", r->name,
				  r->line_number, FRCNN_RECORD_MAX_LINE);
	if (r->line_number == 1 && line->size >= 3 && memcmp(line->data, "\xEF\xBB\xBF", 3) == 0) {
		line->data += 3;
		line->size -= 3;
	}
	if (line->size && line->data[line->size - 1] == '\r')
		line->size--;
	return 1;
}

static bool is_blank(struct frcnn_span line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
			return false;
	return true;
}

static int next_jsonl(struct frcnn_records *r, const struct frcnn_record **out, struct frcnn_error *err)
{
	struct frcnn_span line;
	int rc;

	do
		rc = next_line(r, &line, err);
	while (rc > 0 && is_blank(line));
	if (rc == 0)
		return finish(r);
	if (rc > 0)
		rc = take_line(r, line, err);
	if (rc < 0)
		return rc;
	*out = &r->record;
	return 1;
}

/* The rest of the stream, so that text is all of it. */
static int read_whole(struct frcnn_records *r, struct frcnn_error *err)
{
	char piece[65536];
	size_t n;

	if (!r->stream)
		return 0;
	while ((n = fread(piece, 1, sizeof(piece), r->stream)) > 0) {
		frcnn_buffer_add(&r->head, piece, n);
		if (r->head.failed)
			return nomem(r, err);
	}
	if (ferror(r->stream))
		return read_failed(r, err);
	r->text = r->head.data;
	r->size = r->head.size;
	r->stream = NULL;
	return 0;
}

/* ---- the COCO forms: loading ---- */

/* A result, gone through: its text and its image. where: its place in the file, for messages. */
static int load_result(struct frcnn_records *r, const struct frcnn_scan *scan, struct place where,
		       struct frcnn_error *err)
{
	struct frcnn_error reason;
	void *grown = r->loaded;
	char place[64];
	int64_t id;
	size_t group;
	int rc;

	if (!scan->object)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s:%zu: %snot an object", r->name, r->line_number,
				  place_text(where, place));
	if (!r->pycocotools && frcnn_scan_refuse_nan(scan, &reason) < 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s:%zu: %s%s", r->name, r->line_number, place_text(where, place),
				  reason.message);
	if (!scan->values[ITEM_IMAGE_ID].data)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s:%zu: %smissing key \"image_id\"", r->name, r->line_number,
				  place_text(where, place));
	rc = frcnn_value_id(scan->values[ITEM_IMAGE_ID], "image_id", &id, &reason);
	if (rc < 0)
		return frcnn_fail(err, rc, "%s:%zu: %s%s", r->name, r->line_number, place_text(where, place),
				  reason.message);
	if (scan->text.size > UINT32_MAX)
		return frcnn_fail(err, FRCNN_ELIMIT, "%s:%zu: %slonger than 4 GiB", r->name, r->line_number,
				  place_text(where, place));
	if (scan->duplicate)
		warn_duplicate(r, where, (struct frcnn_span){scan->duplicate, strlen(scan->duplicate)});

	rc = frcnn_grow(&grown, &r->loaded_capacity, r->nloaded + 1, sizeof(*r->loaded));
	r->loaded = grown;
	if (rc < 0)
		return nomem(r, err);
	group = r->ngroups;
	rc = frcnn_id_map_add(&r->groups, id, r->ngroups, &group);
	if (rc < 0)
		return nomem(r, err);
	if (rc > 0) {
		grown = r->group_ids;
		rc = frcnn_grow(&grown, &r->group_capacity, r->ngroups + 1, sizeof(*r->group_ids));
		r->group_ids = grown;
		if (rc < 0)
			return nomem(r, err);
		r->group_ids[r->ngroups++] = id;
	}
	r->loaded[r->nloaded++] = (struct loaded){
	    .text = scan->text.data,
	    .size = (uint32_t)scan->text.size,
	    .line = r->line_number < UINT32_MAX ? (uint32_t)r->line_number : UINT32_MAX,
	    .group = group,
	    .index = r->elements,
	};
	return 0;
}

/* Loaded results in the order of their images, by counting. */
static int group_results(struct frcnn_records *r, struct frcnn_error *err)
{
	r->first = frcnn_calloc(r->ngroups + 1, sizeof(*r->first));
	r->order = frcnn_calloc(r->nloaded, sizeof(*r->order));
	if (!r->first || !r->order)
		return nomem(r, err);
	for (size_t i = 0; i < r->nloaded; i++)
		r->first[r->loaded[i].group]++;
	for (size_t i = 0, sum = 0; i <= r->ngroups; i++) {
		sum += r->first[i];
		r->first[i] = sum;
	}
	for (size_t i = r->nloaded; i-- > 0;)
		r->order[--r->first[r->loaded[i].group]] = i;
	r->phase = GIVE;
	return 0;
}

/* Goes on through the array; returns at its end (0), or at an element that is wrong. */
static int load_array(struct frcnn_records *r, struct frcnn_error *err)
{
	struct frcnn_scan scan = {.keys = item_keys, .nkeys = FRCNN_COUNT(item_keys)};
	int rc = 0;

	if (!r->entered) {
		r->line_number = 1;
		r->counted = r->text;
		frcnn_json_open(&r->json, r->text, r->size, &r->reason);
		r->json_open = true;
		r->json.python_nan = true; /* an element that holds one is refused alone */
		rc = frcnn_json_enter_array(&r->json);
		r->entered = true;
	}
	while (rc >= 0 && (rc = frcnn_json_next_element(&r->json)) > 0) {
		rc = frcnn_scan_value(&r->json, &scan);
		if (rc < 0)
			break;
		frcnn_count_lines(r->counted, scan.text.data, &r->line_number);
		r->counted = scan.text.data;
		rc = load_result(r, &scan, (struct place){"results", r->elements}, err);
		r->elements++;
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = frcnn_json_finish(&r->json);
	if (rc < 0) {
		r->phase = DONE;
		frcnn_count_lines(r->counted, r->json.at, &r->line_number);
		return frcnn_fail_at(err, r->name, r->line_number, &r->reason);
	}
	return group_results(r, err);
}

static int load_lines(struct frcnn_records *r, struct frcnn_error *err)
{
	struct frcnn_scan scan = {.keys = item_keys, .nkeys = FRCNN_COUNT(item_keys)};
	struct frcnn_error reason = {0};
	struct frcnn_json json;
	struct frcnn_span line;
	int rc;

	while ((rc = next_line(r, &line, err)) > 0) {
		if (is_blank(line))
			continue;
		frcnn_json_open(&json, line.data, line.size, &reason);
		json.python_nan = true;
		rc = frcnn_scan_value(&json, &scan);
		if (rc == 0)
			rc = frcnn_json_finish(&json);
		frcnn_json_close(&json);
		if (rc < 0)
			rc = frcnn_fail_at(err, r->name, r->line_number, &reason);
		else
			rc = load_result(r, &scan, (struct place){0}, err);
		r->elements++;
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : group_results(r, err);
}

static int load_dataset(struct frcnn_records *r, struct frcnn_error *err)
{
	const struct frcnn_ground_truth_options options = {.pycocotools = r->pycocotools};
	struct frcnn_annotation_source *sources = NULL;
	struct frcnn_ground_truth *t = &r->truth;

	r->phase = DONE;
	int rc = frcnn_dataset_parse(r->text, r->size, r->name, &options, &r->notices, t, &sources, err);
	if (rc < 0)
		return rc;
	r->loaded = frcnn_calloc(t->nannotations, sizeof(*r->loaded));
	if (!r->loaded) {
		free(sources);
		return nomem(r, err);
	}
	for (size_t i = 0; i < t->nannotations; i++) {
		/* an annotation longer than 4 GiB is cut here and then no object: an error like any other */
		size_t size = sources[i].text.size < UINT32_MAX ? sources[i].text.size : UINT32_MAX;
		size_t line = sources[i].line < UINT32_MAX ? sources[i].line : UINT32_MAX;
		r->loaded[i] = (struct loaded){.text = sources[i].text.data,
					       .size = (uint32_t)size,
					       .line = (uint32_t)line,
					       .group = t->annotation_images[i],
					       .index = sources[i].index};
	}
	free(sources);
	r->nloaded = t->nannotations;
	r->ngroups = t->nimages;
	rc = group_results(r, err);
	if (rc == 0 && t->errors)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s: entries that were left out: %zu", r->name, t->errors);
	return rc;
}

/* ---- the COCO forms: image by image ---- */

static int begin_group(struct frcnn_records *r, struct frcnn_error *err)
{
	size_t g = r->group, size = 1;

	for (size_t k = r->first[g]; k < r->first[g + 1]; k++)
		size += r->loaded[r->order[k]].size;
	if (reserve_strings(r, size) < 0)
		return nomem(r, err);
	r->position = r->first[g];
	r->line_number = r->first[g] < r->first[g + 1] ? r->loaded[r->order[r->first[g]]].line : 0;
	clear_record(r);
	r->record.has_image_id = true;
	r->record.has_detections = true;
	if (r->form == FRCNN_FORM_COCO_DATASET) {
		r->record.image_id = r->truth.image_ids[g];
		r->record.file_name = r->truth.file_names[g];
		r->record.width = r->truth.widths[g];
		r->record.height = r->truth.heights[g];
	} else {
		r->record.image_id = r->group_ids[g];
	}
	r->group_begun = true;
	return 0;
}

static int give_item(struct frcnn_records *r, size_t which, struct frcnn_error *err)
{
	struct frcnn_scan scan = {.keys = item_keys, .nkeys = FRCNN_COUNT(item_keys)};
	bool dataset = r->form == FRCNN_FORM_COCO_DATASET;
	const struct loaded *loaded = &r->loaded[which];
	struct frcnn_record *record = &r->record;
	struct frcnn_error reason = {0};
	struct frcnn_json json;
	void *grown = record->detections;
	struct place where = {NULL, loaded->index};
	char place[64];

	int rc = frcnn_grow(&grown, &r->detection_capacity, record->ndetections + 1, sizeof(*record->detections));
	record->detections = grown;
	if (rc < 0)
		return nomem(r, err);
	struct frcnn_record_item *item = &record->detections[record->ndetections];
	r->line_number = loaded->line;
	if (r->form != FRCNN_FORM_COCO_LINES)
		where.array = dataset ? "annotations" : "results";

	frcnn_json_open(&json, loaded->text, loaded->size, &reason);
	json.python_nan = r->pycocotools;
	rc = frcnn_scan_value(&json, &scan);
	frcnn_json_close(&json);
	if (rc >= 0)
		rc = take_item(r, &scan, dataset ? ANNOTATION : DETECTION, item, &reason);
	if (rc < 0)
		return frcnn_fail(err, rc, "%s:%zu: %s%s", r->name, r->line_number, place_text(where, place),
				  reason.message);
	if (dataset) {
		item->crowd = r->truth.crowds[which];
		item->category = frcnn_ground_truth_category(&r->truth, item->category_id);
	} else if (item->bbox[2] == 0 || item->bbox[3] == 0) {
		warn_flat(r, where);
	}
	item->index = loaded->index;
	item->line = loaded->line;
	record->ndetections++;
	return 0;
}

static int next_group(struct frcnn_records *r, const struct frcnn_record **out, struct frcnn_error *err)
{
	int rc;

	if (r->group == r->ngroups)
		return finish(r);
	if (!r->group_begun && (rc = begin_group(r, err)) < 0)
		return rc;
	while (r->position < r->first[r->group + 1]) {
		rc = give_item(r, r->order[r->position++], err);
		if (rc < 0)
			return rc;
	}
	r->group++;
	r->group_begun = false;
	*out = &r->record;
	return 1;
}

/* ---- the whole ---- */

static int sniff(struct frcnn_records *r, struct frcnn_error *err)
{
	struct frcnn_sniffer sniffer = {0};
	bool more = true;
	int rc;

	if (!r->stream)
		frcnn_sniff(&sniffer, r->text, r->size);
	/* by lines, so that a pipe's first record is not waited for longer than it takes to come */
	while (r->stream && more && r->head.size <= FRCNN_RECORD_MAX_LINE) {
		size_t before = r->head.size;
		more = read_piece(r->stream, &r->head, 65536);
		if (ferror(r->stream))
			return read_failed(r, err);
		if (r->head.failed)
			return nomem(r, err);
		if (r->head.size > before && frcnn_sniff(&sniffer, r->head.data + before, r->head.size - before))
			break;
	}
	r->phase = DONE;
	if (sniffer.utf16)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s:1: UTF-16 or no text, where JSON is UTF-8", r->name);
	if (!sniffer.seen)
		return 0;
	r->form = sniffer.form == FRCNN_FORM_UNKNOWN ? FRCNN_FORM_JSONL : sniffer.form;
	if (sniffer.several_lines)
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "%s:1: an object goes over several lines, where each line is one object", r->name);
	if (r->form == FRCNN_FORM_JSONL) {
		r->phase = LINES;
		return 0;
	}
	rc = read_whole(r, err);
	if (rc < 0)
		return rc;
	if (r->form == FRCNN_FORM_COCO_DATASET)
		return load_dataset(r, err);
	r->phase = r->form == FRCNN_FORM_COCO_ARRAY ? LOAD_ARRAY : LOAD_LINES;
	return 0;
}

int frcnn_records_next(struct frcnn_records *r, const struct frcnn_record **out, struct frcnn_error *err)
{
	int rc;

	*out = NULL;
	for (;;) {
		switch (r->phase) {
		case SNIFF:
			rc = sniff(r, err);
			break;
		case LINES:
			return next_jsonl(r, out, err);
		case LOAD_ARRAY:
			rc = load_array(r, err);
			break;
		case LOAD_LINES:
			rc = load_lines(r, err);
			break;
		case GIVE:
			return next_group(r, out, err);
		default:
			return 0;
		}
		if (rc < 0)
			return rc;
	}
}
