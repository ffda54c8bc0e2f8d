/* Detections and proposals to text: JSON Lines, COCO results, CSV. */
#include "record/record.h"

#include <inttypes.h>
#include <math.h>

bool frcnn_record_format_parse(const char *word, enum frcnn_record_format *out)
{
	static const char *const words[] = {
	    [FRCNN_FORMAT_JSONL] = "jsonl", [FRCNN_FORMAT_COCO] = "coco", [FRCNN_FORMAT_CSV] = "csv"};
	for (size_t i = 0; i < FRCNN_COUNT(words); i++) {
		if (strcmp(word, words[i]) == 0) {
			*out = (enum frcnn_record_format)i;
			return true;
		}
	}
	return false;
}

/* Takes back what was added since size, after trouble. */
static int give_up(struct frcnn_buffer *out, size_t size, int rc, struct frcnn_error *err)
{
	if (out->failed)
		rc = frcnn_fail_nomem(err);
	out->failed = false;
	out->size = size;
	if (out->data)
		out->data[size] = '\0';
	return rc;
}

int frcnn_record_begin(struct frcnn_record_writer *writer, struct frcnn_buffer *out, struct frcnn_error *err)
{
	size_t size = out->size;
	writer->any = false;
	if (writer->format == FRCNN_FORMAT_COCO)
		frcnn_buffer_puts(out, "[");
	else if (writer->format == FRCNN_FORMAT_CSV)
		frcnn_buffer_puts(out, "file_name,image_id,width,height,x,y,w,h,score,category_id,category\r\n");
	return out->failed ? give_up(out, size, 0, err) : 0;
}

int frcnn_record_end(struct frcnn_record_writer *writer, struct frcnn_buffer *out, struct frcnn_error *err)
{
	size_t size = out->size;
	if (writer->format == FRCNN_FORMAT_COCO)
		frcnn_buffer_puts(out, writer->any ? "\n]\n" : "]\n");
	return out->failed ? give_up(out, size, 0, err) : 0;
}

/* bbox and score, checked; category NULL: a proposal. */
static int check_item(const struct frcnn_record_writer *writer, const struct frcnn_detection *d, float bbox[4],
		      const struct frcnn_category **category, struct frcnn_error *err)
{
	bbox[0] = d->x1;
	bbox[1] = d->y1;
	bbox[2] = d->x2 - d->x1;
	bbox[3] = d->y2 - d->y1;
	for (int i = 0; i < 4; i++)
		if (!isfinite(bbox[i]))
			return frcnn_fail(err, FRCNN_EINVAL, "a box that is not finite cannot be written");
	if (!isfinite(d->score))
		return frcnn_fail(err, FRCNN_EINVAL, "a score that is not finite cannot be written");
	*category = NULL;
	if (writer->proposals)
		return 0;
	if (d->label < 0 || (size_t)d->label >= writer->ncategories)
		return frcnn_fail(err, FRCNN_EINVAL, "label %d has no category", d->label);
	*category = &writer->categories[d->label];
	const char *name = (*category)->name;
	for (size_t at = 0, n, size = name ? strlen(name) : 0; at < size; at += n) {
		n = frcnn_utf8_length(name + at, size - at);
		if (n == 0)
			return frcnn_fail(err, FRCNN_EINVAL, "the name of category %" PRId64 " is not UTF-8",
					  (*category)->id);
	}
	return 0;
}

static void put_escaped(struct frcnn_json_writer *json, const char *text)
{
	struct frcnn_buffer escaped = {0};
	frcnn_escape_bytes(&escaped, text, strlen(text));
	if (escaped.failed)
		json->out->failed = true;
	else
		frcnn_json_put_string(json, escaped.data ? escaped.data : "", escaped.size);
	frcnn_buffer_free(&escaped);
}

static void put_bbox(struct frcnn_json_writer *json, const float bbox[4])
{
	frcnn_json_key(json, "bbox");
	frcnn_json_begin_array(json);
	for (int i = 0; i < 4; i++)
		frcnn_json_put_float(json, bbox[i]);
	frcnn_json_end_array(json);
}

static int put_jsonl(const struct frcnn_record_writer *writer, struct frcnn_buffer *out,
		     const struct frcnn_record_image *image, const struct frcnn_detections *detections,
		     struct frcnn_error *err)
{
	struct frcnn_json_writer json = {.out = out};
	const struct frcnn_category *category;
	float bbox[4];

	frcnn_json_begin_object(&json);
	if (image->has_image_id) {
		frcnn_json_key(&json, "image_id");
		frcnn_json_put_int64(&json, image->image_id);
	}
	if (image->file_name) {
		frcnn_json_key(&json, "file_name");
		put_escaped(&json, image->file_name);
	}
	frcnn_json_key(&json, "width");
	frcnn_json_put_int64(&json, image->width);
	frcnn_json_key(&json, "height");
	frcnn_json_put_int64(&json, image->height);
	if (image->model) {
		frcnn_json_key(&json, "model");
		put_escaped(&json, image->model);
	}
	frcnn_json_key(&json, writer->proposals ? "proposals" : "detections");
	frcnn_json_begin_array(&json);
	for (size_t i = 0; i < detections->count; i++) {
		int rc = check_item(writer, &detections->items[i], bbox, &category, err);
		if (rc < 0)
			return rc;
		frcnn_json_begin_object(&json);
		put_bbox(&json, bbox);
		frcnn_json_key(&json, writer->proposals ? "objectness" : "score");
		frcnn_json_put_float(&json, detections->items[i].score);
		if (category) {
			frcnn_json_key(&json, "category_id");
			frcnn_json_put_int64(&json, category->id);
			if (category->name) {
				frcnn_json_key(&json, "category");
				frcnn_json_put_string(&json, category->name, strlen(category->name));
			}
		}
		frcnn_json_end_object(&json);
	}
	frcnn_json_end_array(&json);
	frcnn_json_end_object(&json);
	frcnn_buffer_putc(out, '\n');
	return 0;
}

static int put_coco(struct frcnn_record_writer *writer, struct frcnn_buffer *out,
		    const struct frcnn_record_image *image, const struct frcnn_detections *detections,
		    struct frcnn_error *err)
{
	const struct frcnn_category *category;
	float bbox[4];
	bool any = writer->any;

	if (writer->proposals)
		return frcnn_fail(err, FRCNN_EINVAL, "proposals have no category_id, which coco results need");
	if (!image->has_image_id)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: no image_id is known, which coco results need",
				  image->file_name ? image->file_name : "an image");
	for (size_t i = 0; i < detections->count; i++) {
		struct frcnn_json_writer json = {.out = out};
		int rc = check_item(writer, &detections->items[i], bbox, &category, err);
		if (rc < 0)
			return rc;
		frcnn_buffer_puts(out, any ? ",\n" : "\n");
		any = true;
		frcnn_json_begin_object(&json);
		frcnn_json_key(&json, "image_id");
		frcnn_json_put_int64(&json, image->image_id);
		frcnn_json_key(&json, "category_id");
		frcnn_json_put_int64(&json, category->id);
		put_bbox(&json, bbox);
		frcnn_json_key(&json, "score");
		frcnn_json_put_float(&json, detections->items[i].score);
		frcnn_json_end_object(&json);
	}
	if (!out->failed)
		writer->any = any;
	return 0;
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

static int put_csv(const struct frcnn_record_writer *writer, struct frcnn_buffer *out,
		   const struct frcnn_record_image *image, const struct frcnn_detections *detections,
		   struct frcnn_error *err)
{
	const struct frcnn_category *category;
	struct frcnn_buffer head = {0}, name = {0};
	float bbox[4];
	char number[32];
	int rc = 0;

	if (image->file_name)
		frcnn_escape_bytes(&name, image->file_name, strlen(image->file_name));
	put_field(&head, name.data ? name.data : "");
	frcnn_buffer_putc(&head, ',');
	if (image->has_image_id)
		frcnn_buffer_printf(&head, "%" PRId64, image->image_id);
	frcnn_buffer_printf(&head, ",%d,%d,", image->width, image->height);
	if (name.failed || head.failed) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	if (detections->count == 0) {
		frcnn_buffer_add(out, head.data, head.size);
		frcnn_buffer_puts(out, ",,,,,,\r\n");
	}
	for (size_t i = 0; i < detections->count; i++) {
		rc = check_item(writer, &detections->items[i], bbox, &category, err);
		if (rc < 0)
			goto out;
		frcnn_buffer_add(out, head.data, head.size);
		for (int k = 0; k < 5; k++) {
			frcnn_buffer_add(out, number,
					 frcnn_format_float(k < 4 ? bbox[k] : detections->items[i].score, number));
			frcnn_buffer_putc(out, ',');
		}
		if (category)
			frcnn_buffer_printf(out, "%" PRId64, category->id);
		frcnn_buffer_putc(out, ',');
		if (category && category->name)
			put_field(out, category->name);
		frcnn_buffer_puts(out, "\r\n");
	}
out:
	frcnn_buffer_free(&head);
	frcnn_buffer_free(&name);
	return rc;
}

int frcnn_record_put(struct frcnn_record_writer *writer, struct frcnn_buffer *out,
		     const struct frcnn_record_image *image, const struct frcnn_detections *detections,
		     struct frcnn_error *err)
{
	size_t size = out->size;
	int rc;

	switch (writer->format) {
	case FRCNN_FORMAT_COCO:
		rc = put_coco(writer, out, image, detections, err);
		break;
	case FRCNN_FORMAT_CSV:
		rc = put_csv(writer, out, image, detections, err);
		break;
	default:
		rc = put_jsonl(writer, out, image, detections, err);
		break;
	}
	return rc < 0 || out->failed ? give_up(out, size, rc, err) : 0;
}
