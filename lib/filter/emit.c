/* Survivors to text. What was not computed keeps its text; conversions between forms go member by member. */
#include "filter/filter.h"

#include <inttypes.h>

static void put_float(struct frcnn_buffer *out, float value)
{
	char text[32];
	frcnn_buffer_add(out, text, frcnn_format_float(value, text));
}

void frcnn_filter_emit_bbox(const struct frcnn_filter_entry *e, const char *between, struct frcnn_buffer *out)
{
	struct frcnn_json json;
	struct frcnn_span number;
	int n = 0;

	if (e->moved) {
		for (int i = 0; i < 4; i++) {
			if (i)
				frcnn_buffer_puts(out, between);
			put_float(out, e->box[i]);
		}
		return;
	}
	frcnn_json_open(&json, e->text + e->bbox_at, e->bbox_size, NULL);
	int rc = frcnn_json_enter_array(&json);
	while (rc >= 0 && frcnn_json_next_element(&json) > 0 && frcnn_json_number(&json, &number) == 0) {
		if (n++)
			frcnn_buffer_puts(out, between);
		frcnn_buffer_add(out, number.data, number.size);
	}
	frcnn_json_close(&json);
}

/* The new box, or the new score, in place of the text at `at`. */
static void put_bbox(const struct frcnn_filter_entry *e, struct frcnn_buffer *out)
{
	frcnn_buffer_putc(out, '[');
	frcnn_filter_emit_bbox(e, ",", out);
	frcnn_buffer_putc(out, ']');
}

void frcnn_filter_emit_same(const struct frcnn_filter_entry *e, struct frcnn_buffer *out)
{
	bool score = e->rescored && e->score_size > 0;
	size_t at = 0;

	for (int turn = 0; turn < 2; turn++) {
		/* what stands first in the text first */
		bool box = (turn == 0) == (e->bbox_at < e->score_at || !score);
		if (box ? !e->moved : !score)
			continue;
		size_t from = box ? e->bbox_at : e->score_at;
		frcnn_buffer_add(out, e->text + at, from - at);
		if (box)
			put_bbox(e, out);
		else
			put_float(out, e->score);
		at = from + (box ? e->bbox_size : e->score_size);
	}
	frcnn_buffer_add(out, e->text + at, e->size - at);
}

/* The entry's members, changed ones new, image_id left out: `{"bbox":...` up to, not including, the closing brace. What
 * stands in out already is the object's beginning. need: score and category_id are added where they are not. */
static int put_members(const struct frcnn_filter_entry *e, struct frcnn_json_writer *w, bool need_score,
		       const struct frcnn_filter_label *need_id)
{
	struct frcnn_span key, value;
	struct frcnn_json json;
	struct frcnn_buffer name = {0};
	bool score = false, id = false;

	frcnn_json_open(&json, e->text, e->size, NULL);
	int rc = frcnn_json_enter_object(&json);
	while (rc >= 0 && (rc = frcnn_json_next_key(&json, &key)) > 0) {
		/* the decoded key does not outlive the next call on the cursor */
		frcnn_buffer_clear(&name);
		frcnn_buffer_add(&name, key.data, key.size);
		frcnn_buffer_putc(&name, '\0');
		rc = name.failed ? FRCNN_ENOMEM : frcnn_json_skip(&json, &value);
		if (rc < 0)
			break;
		if (name.size == 9 && memcmp(name.data, "image_id", 8) == 0)
			continue;
		if (w->comma)
			frcnn_buffer_putc(w->out, ',');
		w->comma = false;
		frcnn_json_put_string(w, name.data, name.size - 1);
		frcnn_buffer_putc(w->out, ':');
		w->comma = true;
		if (e->moved && name.size == 5 && memcmp(name.data, "bbox", 4) == 0) {
			put_bbox(e, w->out);
		} else if (e->rescored && value.data == e->text + e->score_at && e->score_size) {
			put_float(w->out, e->score);
		} else {
			frcnn_buffer_add(w->out, value.data, value.size);
		}
		id |= name.size == 12 && memcmp(name.data, "category_id", 11) == 0;
		score |= name.size == 6 && memcmp(name.data, "score", 5) == 0;
	}
	if (rc >= 0 && need_score && !score) { /* a dataset's annotation */
		frcnn_buffer_puts(w->out, ",\"score\":");
		put_float(w->out, e->score);
	}
	if (rc >= 0 && need_id && !id) {
		frcnn_json_key(w, "category_id");
		frcnn_json_put_int64(w, need_id->id);
	}
	frcnn_json_close(&json);
	frcnn_buffer_free(&name);
	return rc < 0 ? rc : 0;
}

static const char *name_of(const struct frcnn_filter_joined *image, char room[32])
{
	if (image->file_name)
		return image->file_name;
	if (!image->has_id)
		return "a record";
	snprintf(room, 32, "image %" PRId64, image->id);
	return room;
}

int frcnn_filter_emit_result(const struct frcnn_filter *f, const struct frcnn_filter_joined *image,
			     const struct frcnn_filter_entry *e, struct frcnn_buffer *out, struct frcnn_error *err)
{
	const struct frcnn_filter_label *label = &f->labels.items[e->label];
	struct frcnn_json_writer w = {.out = out};
	char room[32];

	if (e->coco && f->sources[e->source].form != FRCNN_FORM_COCO_DATASET) {
		frcnn_filter_emit_same(e, out);
		return out->failed ? frcnn_fail_nomem(err) : 0;
	}
	if (!image->has_id)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: no image_id is known, which coco results need",
				  name_of(image, room));
	if (!label->has_id)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: class \"%s\" has no category_id, which coco results need",
				  name_of(image, room), label->name ? label->name : "");
	frcnn_json_begin_object(&w);
	frcnn_json_key(&w, "image_id");
	frcnn_json_put_int64(&w, image->id);
	int rc = put_members(e, &w, true, label);
	frcnn_json_end_object(&w);
	return rc < 0 || out->failed ? frcnn_fail_nomem(err) : 0;
}

static int put_items(const struct frcnn_filter *f, const struct frcnn_filter_left *left, struct frcnn_buffer *out)
{
	frcnn_buffer_putc(out, '[');
	for (size_t i = 0; i < left->count; i++) {
		const struct frcnn_filter_entry *e = left->entries[i];
		struct frcnn_json_writer w = {.out = out};
		int rc = 0;
		if (i)
			frcnn_buffer_putc(out, ',');
		if (!e->coco) {
			frcnn_filter_emit_same(e, out);
			continue;
		}
		frcnn_json_begin_object(&w);
		rc = put_members(e, &w, f->sources[e->source].form == FRCNN_FORM_COCO_DATASET, NULL);
		frcnn_json_end_object(&w);
		if (rc < 0)
			return rc;
	}
	frcnn_buffer_putc(out, ']');
	return 0;
}

int frcnn_filter_emit_record(const struct frcnn_filter *f, const struct frcnn_filter_joined *image,
			     const struct frcnn_filter_left *left, struct frcnn_buffer *out, struct frcnn_error *err)
{
	const struct frcnn_filter_part *part = image->parts;
	int rc;

	while (part && !part->text.data)
		part = part->next;
	if (part) { /* everything else of the record stays */
		size_t before = (size_t)(part->array.data - part->text.data);
		frcnn_buffer_add(out, part->text.data, before);
		rc = put_items(f, left, out);
		frcnn_buffer_add(out, part->array.data + part->array.size, part->text.size - before - part->array.size);
	} else {
		struct frcnn_json_writer w = {.out = out};
		frcnn_json_begin_object(&w);
		if (image->has_id) {
			frcnn_json_key(&w, "image_id");
			frcnn_json_put_int64(&w, image->id);
		}
		if (image->file_name) {
			struct frcnn_buffer name = {0};
			frcnn_escape_bytes(&name, image->file_name, strlen(image->file_name));
			frcnn_json_key(&w, "file_name");
			frcnn_json_put_string(&w, name.data ? name.data : "", name.size);
			out->failed |= name.failed;
			frcnn_buffer_free(&name);
		}
		if (image->width && image->height) {
			frcnn_json_key(&w, "width");
			frcnn_json_put_int64(&w, image->width);
			frcnn_json_key(&w, "height");
			frcnn_json_put_int64(&w, image->height);
		}
		frcnn_json_key(&w, "detections");
		rc = put_items(f, left, out);
		w.comma = true;
		frcnn_json_end_object(&w);
	}
	frcnn_buffer_putc(out, '\n');
	return rc < 0 || out->failed ? frcnn_fail_nomem(err) : 0;
}

/* A field of RFC 4180: quoted when it holds a comma, a quote or a line end, quotes doubled. */
static void put_field(struct frcnn_buffer *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		frcnn_buffer_puts(out, text);
		return;
	}
	frcnn_buffer_putc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			frcnn_buffer_putc(out, '"');
		frcnn_buffer_putc(out, *text);
	}
	frcnn_buffer_putc(out, '"');
}

int frcnn_filter_emit_csv(const struct frcnn_filter *f, const struct frcnn_filter_joined *image,
			  const struct frcnn_filter_left *left, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_buffer head = {0}, name = {0};

	if (image->file_name)
		frcnn_escape_bytes(&name, image->file_name, strlen(image->file_name));
	put_field(&head, name.data ? name.data : "");
	frcnn_buffer_putc(&head, ',');
	if (image->has_id)
		frcnn_buffer_printf(&head, "%" PRId64, image->id);
	if (image->width && image->height)
		frcnn_buffer_printf(&head, ",%d,%d,", image->width, image->height);
	else
		frcnn_buffer_puts(&head, ",,,");
	if (left->count == 0) {
		frcnn_buffer_add(out, head.data, head.size);
		frcnn_buffer_puts(out, ",,,,,,\r\n");
	}
	for (size_t i = 0; i < left->count; i++) {
		const struct frcnn_filter_entry *e = left->entries[i];
		const struct frcnn_filter_label *label = &f->labels.items[e->label];
		frcnn_buffer_add(out, head.data, head.size);
		frcnn_filter_emit_bbox(e, ",", out);
		frcnn_buffer_putc(out, ',');
		if (e->rescored || e->score_size == 0)
			put_float(out, e->score);
		else
			frcnn_buffer_add(out, e->text + e->score_at, e->score_size);
		frcnn_buffer_putc(out, ',');
		if (label->has_id)
			frcnn_buffer_printf(out, "%" PRId64, label->id);
		frcnn_buffer_putc(out, ',');
		if (label->name)
			put_field(out, label->name);
		frcnn_buffer_puts(out, "\r\n");
	}
	bool failed = head.failed || name.failed || out->failed;
	frcnn_buffer_free(&head);
	frcnn_buffer_free(&name);
	return failed ? frcnn_fail_nomem(err) : 0;
}
