/*
 * COCO datasets (instances files) to columns. The whole object is passed over
 * once to find its three arrays, whatever their order; then each entry's keys
 * are taken, segmentations unbuilt.
 */
#include "record/pieces.h"

#include <inttypes.h>

struct state {
	struct frcnn_id_map categories;
};

struct reading {
	const char *name;
	const struct frcnn_notices *notices;
	struct frcnn_ground_truth *truth;
	struct state *state;
	struct frcnn_id_map images, annotations;
	struct frcnn_buffer scratch;
	const char *counted; /* lines up to here */
	size_t line;
	bool has_categories, want_sources;
	bool pycocotools; /* read as pycocotools does */
	bool nan;         /* there is a NaN or the like somewhere */
	struct frcnn_annotation_source *sources;

	size_t image_caps[4], annotation_caps[7], category_caps[2]; /* of the columns, in order */

	/* what is warned of once, with a count */
	size_t no_crowd, no_area, flat, stray, repeated, duplicates;
	int64_t first_flat, first_stray, first_repeated, first_without; /* without: iscrowd or area */
};

void frcnn_ground_truth_free(struct frcnn_ground_truth *truth)
{
	if (!truth)
		return;
	for (size_t i = 0; i < truth->nimages; i++) {
		free((void *)truth->file_names[i]);
		if (truth->stems)
			free((void *)truth->stems[i]);
	}
	for (size_t i = 0; i < truth->ncategories; i++)
		free((void *)truth->category_names[i]);
	free(truth->image_ids);
	free(truth->file_names);
	free(truth->stems);
	free(truth->widths);
	free(truth->heights);
	free(truth->annotation_ids);
	free(truth->annotation_images);
	free(truth->annotation_categories);
	free(truth->bboxes);
	free(truth->areas);
	free(truth->crowds);
	free(truth->first);
	free(truth->by_image);
	free(truth->category_ids);
	free(truth->category_names);
	if (truth->state)
		frcnn_id_map_free(&((struct state *)truth->state)->categories);
	free(truth->state);
	*truth = (struct frcnn_ground_truth){0};
}

const char *frcnn_ground_truth_category(const struct frcnn_ground_truth *truth, int64_t category_id)
{
	const struct state *state = truth->state;
	size_t i;
	return state && frcnn_id_map_find(&state->categories, category_id, &i) ? truth->category_names[i] : NULL;
}

/* Room for `needed` elements in the column whose pointer is at *column. */
static int grow(void *column, size_t *capacity, size_t needed, size_t size)
{
	void *block;
	memcpy(&block, column, sizeof(block));
	int rc = frcnn_grow(&block, capacity, needed, size);
	memcpy(column, &block, sizeof(block));
	return rc;
}

/* A text of its own, or NULL when absent. */
static int take_text(struct reading *r, struct frcnn_span value, const char *name, const char **out,
		     struct frcnn_error *err)
{
	bool present;
	*out = NULL;
	int rc = frcnn_value_text(value, name, false, &r->scratch, &present, err);
	if (rc < 0 || !present)
		return rc;
	*out = frcnn_strndup(r->scratch.data, r->scratch.size);
	return *out ? 0 : frcnn_fail_nomem(err);
}

static int need_id(struct frcnn_span value, const char *name, int64_t *out, struct frcnn_error *err)
{
	if (!value.data)
		return frcnn_fail(err, FRCNN_EFORMAT, "missing key \"%s\"", name);
	return frcnn_value_id(value, name, out, err);
}

enum { IMAGE_ID, IMAGE_FILE_NAME, IMAGE_WIDTH, IMAGE_HEIGHT };
static const char *const image_keys[] = {"id", "file_name", "width", "height"};

static int take_image(struct reading *r, const struct frcnn_scan *scan, size_t index, struct frcnn_error *err)
{
	struct frcnn_ground_truth *t = r->truth;
	const struct frcnn_span *v = scan->values;
	size_t n = t->nimages, other = 0;
	int64_t id = 0;
	int width = 0, height = 0;
	const char *file_name = NULL;

	(void)index;
	int rc = need_id(v[IMAGE_ID], "id", &id, err);
	if (rc < 0)
		return rc;
	if (v[IMAGE_WIDTH].data && (rc = frcnn_value_size(v[IMAGE_WIDTH], "width", &width, err)) < 0)
		return rc;
	if (v[IMAGE_HEIGHT].data && (rc = frcnn_value_size(v[IMAGE_HEIGHT], "height", &height, err)) < 0)
		return rc;
	if (grow(&t->image_ids, &r->image_caps[0], n + 1, sizeof(*t->image_ids)) < 0 ||
	    grow(&t->file_names, &r->image_caps[1], n + 1, sizeof(*t->file_names)) < 0 ||
	    grow(&t->widths, &r->image_caps[2], n + 1, sizeof(*t->widths)) < 0 ||
	    grow(&t->heights, &r->image_caps[3], n + 1, sizeof(*t->heights)) < 0)
		return frcnn_fail_nomem(err);
	if (frcnn_id_map_find(&r->images, id, &other)) {
		rc = take_text(r, v[IMAGE_FILE_NAME], "file_name", &file_name, err);
		if (rc == 0)
			rc = frcnn_fail(err, FRCNN_EFORMAT, "id %" PRId64 " is that of \"%s\" and of \"%s\"", id,
					t->file_names[other] ? t->file_names[other] : "", file_name ? file_name : "");
		free((void *)file_name);
		return rc;
	}
	rc = take_text(r, v[IMAGE_FILE_NAME], "file_name", &file_name, err);
	if (rc < 0)
		return rc;
	if (frcnn_id_map_add(&r->images, id, n, NULL) < 0) {
		free((void *)file_name);
		return frcnn_fail_nomem(err);
	}
	t->image_ids[n] = id;
	t->file_names[n] = file_name;
	t->widths[n] = width;
	t->heights[n] = height;
	t->nimages++;
	return 0;
}

enum { CATEGORY_ID, CATEGORY_NAME };
static const char *const category_keys[] = {"id", "name"};

static int take_category(struct reading *r, const struct frcnn_scan *scan, size_t index, struct frcnn_error *err)
{
	struct frcnn_ground_truth *t = r->truth;
	size_t n = t->ncategories;
	int64_t id = 0;
	const char *name;

	(void)index;
	int rc = need_id(scan->values[CATEGORY_ID], "id", &id, err);
	if (rc < 0)
		return rc;
	if (frcnn_id_map_find(&r->state->categories, id, NULL))
		return frcnn_fail(err, FRCNN_EFORMAT, "id %" PRId64 " appears twice", id);
	if (grow(&t->category_ids, &r->category_caps[0], n + 1, sizeof(*t->category_ids)) < 0 ||
	    grow(&t->category_names, &r->category_caps[1], n + 1, sizeof(*t->category_names)) < 0)
		return frcnn_fail_nomem(err);
	rc = take_text(r, scan->values[CATEGORY_NAME], "name", &name, err);
	if (rc < 0)
		return rc;
	if (frcnn_id_map_add(&r->state->categories, id, n, NULL) < 0) {
		free((void *)name);
		return frcnn_fail_nomem(err);
	}
	t->category_ids[n] = id;
	t->category_names[n] = name;
	t->ncategories++;
	return 0;
}

enum { ANN_ID, ANN_IMAGE_ID, ANN_CATEGORY_ID, ANN_BBOX, ANN_AREA, ANN_ISCROWD };
static const char *const annotation_keys[] = {"id", "image_id", "category_id", "bbox", "area", "iscrowd"};

static int take_crowd(struct frcnn_span value, uint8_t *out, struct frcnn_error *err)
{
	int64_t number = 0;
	if (frcnn_span_is(value, "true") || frcnn_span_is(value, "false")) {
		*out = value.data[0] == 't';
		return 0;
	}
	int rc = frcnn_value_id(value, "iscrowd", &number, err);
	if (rc == 0 && number != 0 && number != 1)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "iscrowd is %" PRId64 ", not 0 or 1", number);
	*out = number == 1;
	return rc;
}

/* Whether an id was there before shows at once as long as ids ascend, as they do in most files; else by a map. */
static int note_id(struct reading *r, int64_t id)
{
	const struct frcnn_ground_truth *t = r->truth;
	size_t n = t->nannotations;
	bool ascending = r->annotations.slots == 0; /* so far: none of them is in the map */
	int rc = 1;

	if (ascending && (n == 0 || id > t->annotation_ids[n - 1]))
		return 0;
	for (size_t i = 0; ascending && i < n && rc >= 0; i++)
		rc = frcnn_id_map_add(&r->annotations, t->annotation_ids[i], i, NULL);
	if (rc >= 0)
		rc = frcnn_id_map_add(&r->annotations, id, n, NULL);
	if (rc == 0 && r->repeated++ == 0)
		r->first_repeated = id;
	return rc < 0 ? rc : 0;
}

/* text: of the entry, NULL where it is not kept. */
static int keep_annotation(struct reading *r, const struct frcnn_annotation *a, const struct frcnn_span *text,
			   size_t index, struct frcnn_error *err)
{
	struct frcnn_ground_truth *t = r->truth;
	size_t n = t->nannotations, image = 0;
	double area = a->has_area ? a->area : a->bbox[2] * a->bbox[3];

	if (area < 0 && !r->pycocotools)
		return frcnn_fail(err, FRCNN_EFORMAT, "area is negative");
	if (area > 1e300 && !r->pycocotools)
		return frcnn_fail(err, FRCNN_EFORMAT, "the area is beyond all images");
	if (!frcnn_id_map_find(&r->images, a->image_id, &image))
		return frcnn_fail(err, FRCNN_EFORMAT, "image_id %" PRId64 " is none of the images", a->image_id);

	if (grow(&t->annotation_ids, &r->annotation_caps[0], n + 1, sizeof(*t->annotation_ids)) < 0 ||
	    grow(&t->annotation_images, &r->annotation_caps[1], n + 1, sizeof(*t->annotation_images)) < 0 ||
	    grow(&t->annotation_categories, &r->annotation_caps[2], n + 1, sizeof(*t->annotation_categories)) < 0 ||
	    grow(&t->bboxes, &r->annotation_caps[3], n + 1, 4 * sizeof(*t->bboxes)) < 0 ||
	    grow(&t->areas, &r->annotation_caps[4], n + 1, sizeof(*t->areas)) < 0 ||
	    grow(&t->crowds, &r->annotation_caps[5], n + 1, sizeof(*t->crowds)) < 0 || note_id(r, a->id) < 0)
		return frcnn_fail_nomem(err);
	if (r->want_sources && text) {
		if (grow(&r->sources, &r->annotation_caps[6], n + 1, sizeof(*r->sources)) < 0)
			return frcnn_fail_nomem(err);
		r->sources[n] = (struct frcnn_annotation_source){*text, r->line, index};
	}
	if (r->has_categories && !frcnn_id_map_find(&r->state->categories, a->category_id, NULL) && r->stray++ == 0)
		r->first_stray = a->category_id;
	if ((a->bbox[2] == 0 || a->bbox[3] == 0) && r->flat++ == 0)
		r->first_flat = a->id;
	if ((!a->has_crowd || !a->has_area) && r->no_crowd + r->no_area == 0)
		r->first_without = a->id;
	r->no_crowd += !a->has_crowd;
	r->no_area += !a->has_area;
	t->annotation_ids[n] = a->id;
	t->annotation_images[n] = image;
	t->annotation_categories[n] = a->category_id;
	memcpy(t->bboxes + 4 * n, a->bbox, sizeof(a->bbox));
	t->areas[n] = area;
	t->crowds[n] = a->crowd;
	t->nannotations++;
	return 0;
}

static int take_annotation(struct reading *r, const struct frcnn_scan *scan, size_t index, struct frcnn_error *err)
{
	const struct frcnn_span *v = scan->values;
	struct frcnn_annotation a = {.has_area = v[ANN_AREA].data, .has_crowd = v[ANN_ISCROWD].data};
	int rc;

	if ((rc = need_id(v[ANN_ID], "id", &a.id, err)) < 0 ||
	    (rc = need_id(v[ANN_IMAGE_ID], "image_id", &a.image_id, err)) < 0 ||
	    (rc = need_id(v[ANN_CATEGORY_ID], "category_id", &a.category_id, err)) < 0 ||
	    (rc = frcnn_value_bbox(v[ANN_BBOX], r->pycocotools, a.bbox, NULL, err)) < 0)
		return rc;
	if (a.has_crowd && (rc = take_crowd(v[ANN_ISCROWD], &a.crowd, err)) < 0)
		return rc;
	if (a.has_area && (rc = frcnn_value_number(v[ANN_AREA], "area", r->pycocotools, &a.area, NULL, err)) < 0)
		return rc;
	return keep_annotation(r, &a, &scan->text, index, err);
}

/* "annotation 42" where the entry has an id that can be read, else "annotations[7]". */
static void place_of(const struct frcnn_scan *scan, const char *array, const char *one, size_t index, char *out,
		     size_t size)
{
	int64_t id;
	if (scan->object && scan->values[0].data && frcnn_value_id(scan->values[0], "id", &id, NULL) == 0)
		snprintf(out, size, "%s %" PRId64, one, id);
	else
		snprintf(out, size, "%s[%zu]", array, index);
}

/* Takes the entries of one array; those that are wrong are named and left out. */
static int take_array(struct reading *r, const char *text, struct frcnn_span array, const char *name, const char *one,
		      const char *const *keys, size_t nkeys,
		      int (*take)(struct reading *, const struct frcnn_scan *, size_t, struct frcnn_error *),
		      struct frcnn_error *err)
{
	struct frcnn_error reason = {0};
	struct frcnn_json json;
	struct frcnn_scan scan = {.keys = keys, .nkeys = nkeys};
	char place[64];
	int rc;

	r->counted = text;
	r->line = 1;
	frcnn_count_lines(r->counted, array.data, &r->line);
	r->counted = array.data;
	if (array.data[0] != '[')
		return frcnn_fail(err, FRCNN_EFORMAT, "%s:%zu: %s is not an array", r->name, r->line, name);
	frcnn_json_open(&json, array.data, array.size, &reason);
	json.checked = !r->nan; /* the whole text was passed over to find the array */
	json.python_nan = true; /* an entry that holds one is refused alone */
	rc = frcnn_json_enter_array(&json);
	for (size_t index = 0; rc >= 0 && (rc = frcnn_json_next_element(&json)) > 0; index++) {
		rc = frcnn_scan_value(&json, &scan);
		if (rc < 0)
			break;
		frcnn_count_lines(r->counted, scan.text.data, &r->line);
		r->counted = scan.text.data;
		if (scan.duplicate && r->duplicates++ == 0) {
			place_of(&scan, name, one, index, place, sizeof(place));
			frcnn_note(r->notices, FRCNN_NOTICE_WARNING, r->name, r->line,
				   "%s: key \"%s\" appears twice, the last one counts", place, scan.duplicate);
		}
		if (!scan.object)
			rc = frcnn_fail(&reason, FRCNN_EFORMAT, "not an object");
		else if (r->pycocotools || (rc = frcnn_scan_refuse_nan(&scan, &reason)) == 0)
			rc = take(r, &scan, index, &reason);
		if (rc == FRCNN_ENOMEM)
			break;
		if (rc < 0) {
			place_of(&scan, name, one, index, place, sizeof(place));
			frcnn_note(r->notices, FRCNN_NOTICE_ERROR, r->name, r->line, "%s: %s", place, reason.message);
			r->truth->errors++;
			rc = 0;
		}
	}
	frcnn_json_close(&json);
	return rc < 0 ? frcnn_fail_at(err, r->name, r->line, &reason) : 0;
}

/* first and by_image: annotations in the order of their images, by counting. */
static int sort_by_image(struct frcnn_ground_truth *t)
{
	t->first = frcnn_calloc(t->nimages + 1, sizeof(*t->first));
	t->by_image = frcnn_calloc(t->nannotations, sizeof(*t->by_image));
	if (!t->first || !t->by_image)
		return FRCNN_ENOMEM;
	for (size_t i = 0; i < t->nannotations; i++)
		t->first[t->annotation_images[i]]++;
	for (size_t i = 0, sum = 0; i <= t->nimages; i++) {
		sum += t->first[i];
		t->first[i] = sum; /* the end of image i; filling backwards makes it the start */
	}
	for (size_t i = t->nannotations; i-- > 0;)
		t->by_image[--t->first[t->annotation_images[i]]] = i;
	return 0;
}

int frcnn_ground_truth_index(struct frcnn_ground_truth *truth)
{
	struct state *state = truth->state;

	if (!state) {
		truth->state = state = frcnn_calloc(1, sizeof(*state));
		for (size_t i = 0; state && i < truth->ncategories; i++)
			if (frcnn_id_map_add(&state->categories, truth->category_ids[i], i, NULL) < 0)
				return FRCNN_ENOMEM;
	}
	return state ? sort_by_image(truth) : FRCNN_ENOMEM;
}

static void warn_counts(const struct reading *r)
{
	const struct frcnn_notices *notices = r->notices;
	if (r->no_crowd && !r->want_sources)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "%zu of %zu annotations have no iscrowd, taken as 0", r->no_crowd, r->truth->nannotations);
	if (r->no_area && !r->want_sources)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "%zu of %zu annotations have no area, taken as width * height", r->no_area,
			   r->truth->nannotations);
	if (r->flat)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "boxes of zero size: %zu, the first in annotation %" PRId64, r->flat, r->first_flat);
	if (r->stray)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "annotations of a category_id that is none of the categories: %zu, the first id is %" PRId64,
			   r->stray, r->first_stray);
	if (r->repeated)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "annotation ids that appear again: %zu, the first is %" PRId64, r->repeated,
			   r->first_repeated);
	if (r->duplicates > 1)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, r->name, 0, "entries with duplicate keys: %zu",
			   r->duplicates);
}

enum { IMAGES, ANNOTATIONS, CATEGORIES };

/* The dataset's arrays into r->truth, not yet indexed. *annotations: where that array stands. */
static int parse_object(struct reading *r, const char *text, size_t size, bool images_only,
			struct frcnn_span *annotations, struct frcnn_error *err)
{
	static const char *const keys[] = {"images", "annotations", "categories"};
	struct frcnn_scan scan = {.keys = keys, .nkeys = FRCNN_COUNT(keys), .known_nan = !r->pycocotools};
	struct frcnn_error reason = {0};
	struct frcnn_json json;
	int rc;

	frcnn_json_open(&json, text, size, &reason);
	json.python_nan = true;
	rc = frcnn_scan_value(&json, &scan);
	if (rc == 0)
		rc = frcnn_json_finish(&json);
	r->nan = scan.nan != NULL;
	if (rc < 0) {
		size_t line = 1;
		if (size)
			frcnn_count_lines(text, json.at, &line);
		rc = frcnn_fail_at(err, r->name, line, &reason);
		goto out;
	}
	if (!scan.object || !scan.values[IMAGES].data || (!images_only && !scan.values[ANNOTATIONS].data)) {
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s:1: no COCO dataset: %s", r->name,
				!scan.object                ? "not an object"
				: !scan.values[IMAGES].data ? "missing key \"images\""
							    : "missing key \"annotations\"");
		goto out;
	}
	if (scan.duplicate)
		frcnn_note(r->notices, FRCNN_NOTICE_WARNING, r->name, 0,
			   "key \"%s\" appears twice, the last one counts", scan.duplicate);
	*annotations = scan.values[ANNOTATIONS];
	r->has_categories = scan.values[CATEGORIES].data != NULL;
	r->truth->state = r->state = frcnn_calloc(1, sizeof(*r->state));
	if (!r->state) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	rc = take_array(r, text, scan.values[IMAGES], "images", "image", image_keys, FRCNN_COUNT(image_keys),
			take_image, err);
	if (rc == 0 && r->has_categories)
		rc = take_array(r, text, scan.values[CATEGORIES], "categories", "category", category_keys,
				FRCNN_COUNT(category_keys), take_category, err);
	if (rc == 0 && !images_only)
		rc = take_array(r, text, scan.values[ANNOTATIONS], "annotations", "annotation", annotation_keys,
				FRCNN_COUNT(annotation_keys), take_annotation, err);
out:
	frcnn_json_close(&json);
	return rc;
}

/* What raises a KeyError in pycocotools. */
static int refuse_absent(const struct reading *r, struct frcnn_error *err)
{
	if (!r->pycocotools || r->want_sources || r->no_crowd + r->no_area == 0)
		return 0;
	return frcnn_fail(err, FRCNN_EFORMAT,
			  "%s: annotations without iscrowd: %zu, without area: %zu (the first is annotation %" PRId64
			  "), which pycocotools refuses",
			  r->name, r->no_crowd, r->no_area, r->first_without);
}

/* Indexes what was taken, warns, gives free; *sources may be NULL. */
static int finish(struct reading *r, int rc, struct frcnn_annotation_source **sources, struct frcnn_error *err)
{
	if (rc == 0)
		rc = refuse_absent(r, err);
	if (rc == 0 && frcnn_ground_truth_index(r->truth) < 0)
		rc = frcnn_fail_nomem(err);
	if (rc == 0)
		warn_counts(r);
	frcnn_id_map_free(&r->images);
	frcnn_id_map_free(&r->annotations);
	frcnn_buffer_free(&r->scratch);
	if (rc == 0 && sources)
		*sources = r->sources;
	else
		free(r->sources);
	if (rc != 0)
		frcnn_ground_truth_free(r->truth);
	return rc;
}

int frcnn_dataset_parse(const void *bytes, size_t size, const char *name,
			const struct frcnn_ground_truth_options *options, const struct frcnn_notices *notices,
			struct frcnn_ground_truth *out, struct frcnn_annotation_source **sources,
			struct frcnn_error *err)
{
	struct reading r = {.name = name,
			    .notices = notices,
			    .truth = out,
			    .want_sources = sources != NULL,
			    .pycocotools = options->pycocotools};
	struct frcnn_span annotations;

	*out = (struct frcnn_ground_truth){0};
	if (sources)
		*sources = NULL;
	return finish(&r, parse_object(&r, bytes, size, options->images_only, &annotations, err), sources, err);
}

static void count_note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	(void)kind;
	(void)line;
	++*(size_t *)context;
}

/* The annotations in pieces, the rest as ever, from a text in which their array is empty. 1: done; 0: not plain
 * throughout, or something is to be said of an entry: nothing was taken. */
static int parse_in_pieces(const char *text, size_t size, const char *name,
			   const struct frcnn_ground_truth_options *options, const struct frcnn_notices *notices,
			   struct frcnn_ground_truth *out, struct frcnn_error *err)
{
	size_t notes = 0;
	struct frcnn_notices counting = {count_note, &notes};
	struct reading r = {.name = name, .notices = &counting, .truth = out, .pycocotools = options->pycocotools};
	struct frcnn_buffer rest = {0};
	struct frcnn_span annotations;
	struct frcnn_pieces pieces;
	int rc;

	*out = (struct frcnn_ground_truth){0};
	rc = frcnn_annotations_read(text, size, options->piece, options->pool, &pieces);
	if (rc <= 0)
		goto out;
	frcnn_buffer_add(&rest, text, pieces.first);
	frcnn_buffer_puts(&rest, "[]");
	frcnn_buffer_add(&rest, text + pieces.end, size - pieces.end);
	rc = rest.failed ? FRCNN_ENOMEM : parse_object(&r, rest.data, rest.size, false, &annotations, NULL);
	/* It must have been the dataset's own key that was found. */
	if (rc == 0 && (annotations.data != rest.data + pieces.first || annotations.size != 2))
		rc = FRCNN_EFORMAT;
	for (size_t i = 0; i < pieces.npieces && rc == 0; i++) {
		const struct frcnn_annotation *items = pieces.pieces[i].items;

		for (size_t k = 0; k < pieces.pieces[i].count && rc == 0; k++)
			rc = keep_annotation(&r, &items[k], NULL, 0, NULL);
		free(pieces.pieces[i].items);
		pieces.pieces[i].items = NULL;
	}
	if (notes > 0 || (rc < 0 && rc != FRCNN_ENOMEM))
		rc = FRCNN_EFORMAT; /* said by the reader that comes after */
	r.notices = notices;
	rc = finish(&r, rc, NULL, NULL);
	rc = rc == 0 ? 1 : rc == FRCNN_EFORMAT ? 0 : rc;
out:
	frcnn_pieces_free(&pieces);
	frcnn_buffer_free(&rest);
	return rc < 0 ? frcnn_fail_nomem(err) : rc;
}

int frcnn_dataset_open(const void *text, size_t size, const char *name,
		       const struct frcnn_ground_truth_options *options, const struct frcnn_notices *notices,
		       struct frcnn_ground_truth *out, struct frcnn_error *err)
{
	int rc = options->images_only ? 0 : parse_in_pieces(text, size, name, options, notices, out, err);

	if (rc == 0)
		return frcnn_dataset_parse(text, size, name, options, notices, out, NULL, err);
	return rc < 0 ? rc : 0;
}

int frcnn_ground_truth_parse(const void *text, size_t size, const char *name, bool images_only,
			     const struct frcnn_notices *notices, struct frcnn_ground_truth *out,
			     struct frcnn_error *err)
{
	const struct frcnn_ground_truth_options options = {.images_only = images_only};
	return frcnn_dataset_parse(text, size, name, &options, notices, out, NULL, err);
}

int frcnn_ground_truth_read(const char *path, bool images_only, const struct frcnn_notices *notices,
			    struct frcnn_ground_truth *out, struct frcnn_error *err)
{
	struct frcnn_file file;

	*out = (struct frcnn_ground_truth){0};
	int rc = frcnn_file_open(path, 0, &file, err);
	if (rc < 0)
		return rc;
	rc = frcnn_ground_truth_parse(file.data, file.size, path, images_only, notices, out, err);
	frcnn_file_close(&file);
	return rc;
}
