/*
 * Pascal VOC: one .xml an image, read by expat. Only the elements that matter
 * are kept, each in its place: annotation/filename, annotation/size/width,
 * annotation/object/name, annotation/object/bndbox/xmin; what stands deeper (an
 * object's parts) has the same names and is passed over.
 */
#include "record/record.h"

#include <expat.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>

/* A name, a number or a file name is no longer than this. */
#define MAX_TEXT 4096

enum field { FIELD_NONE, FILE_NAME, WIDTH, HEIGHT, NAME, DIFFICULT, XMIN, YMIN, XMAX, YMAX, FIELDS };

static const char *const field_names[FIELDS] = {"",          "filename", "width", "height", "name",
						"difficult", "xmin",     "ymin",  "xmax",   "ymax"};

struct reading {
	XML_Parser parser;
	const char *name;
	const struct frcnn_notices *notices;
	struct frcnn_voc *out;
	size_t capacity, nobjects; /* nobjects: those left out included */
	int status;                /* why the parser was stopped */
	struct frcnn_error *err;

	int depth;
	bool in_object, in_size, in_box;
	enum field field; /* whose text is taken */
	int field_depth;
	struct frcnn_buffer text;

	/* the object being read */
	size_t line;
	bool boxed;
	char *object_name;
	double corners[4];
	bool difficult;
	bool seen[FIELDS];
	bool wrong; /* it was reported */
};

void frcnn_voc_free(struct frcnn_voc *voc)
{
	if (!voc)
		return;
	for (size_t i = 0; i < voc->count; i++)
		free(voc->objects[i].name);
	free(voc->objects);
	free(voc->file_name);
	*voc = (struct frcnn_voc){0};
}

/* ---- expat's memory: refusals pass through base ------------------------------------------ */

static void *xml_malloc(size_t size)
{
	return frcnn_calloc(1, size);
}

static void *xml_realloc(void *block, size_t size)
{
	return frcnn_realloc(block, 1, size);
}

static void xml_free(void *block)
{
	free(block);
}

static const XML_Memory_Handling_Suite memory = {xml_malloc, xml_realloc, xml_free};

/* ---- what is wrong -------------------------------------------------------------------------- */

static void stop(struct reading *r, int status, const char *format, ...) FRCNN_PRINTF(3, 4);
static void stop(struct reading *r, int status, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (r->status == 0)
		r->status = frcnn_fail(r->err, status, "%s:%zu: %s", r->name,
				       (size_t)XML_GetCurrentLineNumber(r->parser), text);
	XML_StopParser(r->parser, XML_FALSE);
}

static void stop_nomem(struct reading *r)
{
	if (r->status == 0)
		r->status = frcnn_fail_nomem(r->err);
	XML_StopParser(r->parser, XML_FALSE);
}

/* One line an object, the first thing that is wrong with it. */
static void report(struct reading *r, const char *format, ...) FRCNN_PRINTF(2, 3);
static void report(struct reading *r, const char *format, ...)
{
	struct frcnn_error text;
	char who[160] = "";
	va_list args;

	if (r->in_object && r->wrong)
		return;
	va_start(args, format);
	vsnprintf(text.message, sizeof(text.message), format, args);
	va_end(args);
	if (r->in_object && r->object_name)
		snprintf(who, sizeof(who), "object %zu (\"%.100s\"): ", r->nobjects, r->object_name);
	else if (r->in_object)
		snprintf(who, sizeof(who), "object %zu: ", r->nobjects);
	frcnn_note(r->notices, FRCNN_NOTICE_ERROR, r->name, (size_t)XML_GetCurrentLineNumber(r->parser), "%s%s", who,
		   text.message);
	r->out->errors++;
	r->wrong = r->in_object;
}

/* ---- values ----------------------------------------------------------------------------------- */

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct frcnn_span trimmed(const struct frcnn_buffer *text)
{
	struct frcnn_span span = {text->data ? text->data : "", text->size};

	while (span.size && blank(span.data[0])) {
		span.data++;
		span.size--;
	}
	while (span.size && blank(span.data[span.size - 1]))
		span.size--;
	return span;
}

static int shown(struct frcnn_span span)
{
	return (int)(span.size < 60 ? span.size : 60);
}

static void take_size(struct reading *r, enum field field, struct frcnn_span text)
{
	int64_t value = 0;

	if (frcnn_parse_exact_int64(text.data, text.size, &value) < 0 || value < 0 || value > INT_MAX)
		report(r, "%s is \"%.*s\", not a number of pixels", field_names[field], shown(text), text.data);
	else if (field == WIDTH)
		r->out->width = (int)value;
	else
		r->out->height = (int)value;
}

static void take_corner(struct reading *r, enum field field, struct frcnn_span text)
{
	double value = 0;
	int rc = frcnn_parse_double(text.data, text.size, &value);

	if (rc == 0)
		r->corners[field - XMIN] = value;
	else if (rc == FRCNN_ELIMIT)
		report(r, "%s is \"%.*s\", beyond all numbers", field_names[field], shown(text), text.data);
	else
		report(r, "%s is \"%.*s\", not a number", field_names[field], shown(text), text.data);
}

static void take_difficult(struct reading *r, struct frcnn_span text)
{
	int64_t value = -1;

	if (frcnn_parse_exact_int64(text.data, text.size, &value) < 0 || (value != 0 && value != 1))
		report(r, "difficult is \"%.*s\", not 0 or 1", shown(text), text.data);
	r->difficult = value == 1;
}

static void take_text(struct reading *r, char **to, struct frcnn_span text)
{
	free(*to);
	*to = NULL;
	if (text.size && !(*to = frcnn_strndup(text.data, text.size)))
		stop_nomem(r);
}

static void take_field(struct reading *r)
{
	struct frcnn_span text = trimmed(&r->text);
	enum field field = r->field;

	if (r->text.failed) {
		stop_nomem(r);
		return;
	}
	if (field >= NAME && r->seen[field]) {
		report(r, "%s is there twice", field_names[field]);
		return;
	}
	r->seen[field] = true;
	if (field == WIDTH || field == HEIGHT)
		take_size(r, field, text);
	else if (field == FILE_NAME)
		take_text(r, &r->out->file_name, text);
	else if (field == NAME)
		take_text(r, &r->object_name, text);
	else if (field == DIFFICULT)
		take_difficult(r, text);
	else
		take_corner(r, field, text);
}

/* ---- objects ------------------------------------------------------------------------------------ */

static void begin_object(struct reading *r)
{
	free(r->object_name);
	r->object_name = NULL;
	r->in_object = true;
	r->wrong = r->boxed = r->difficult = false;
	r->line = (size_t)XML_GetCurrentLineNumber(r->parser);
	memset(r->seen + NAME, 0, sizeof(*r->seen) * (FIELDS - NAME));
	r->nobjects++;
}

/* Corners count pixels from 1 and both ends belong to the box. */
static void end_object(struct reading *r)
{
	const double *c = r->corners;
	struct frcnn_voc *out = r->out;
	void *objects = out->objects;

	if (!r->object_name)
		report(r, "no name");
	if (!r->boxed)
		report(r, "no bndbox");
	for (enum field field = XMIN; field <= YMAX; field++)
		if (!r->seen[field])
			report(r, "no %s", field_names[field]);
	if (r->wrong)
		goto out;
	if (c[2] < c[0])
		report(r, "xmax %g is left of xmin %g", c[2], c[0]);
	else if (c[3] < c[1])
		report(r, "ymax %g is above ymin %g", c[3], c[1]);
	double width = c[2] - c[0] + 1, height = c[3] - c[1] + 1;
	if (!r->wrong && !(isfinite(c[0] - 1) && isfinite(c[1] - 1) && width * height <= 1e300))
		report(r, "the box is beyond all images");
	if (r->wrong)
		goto out;
	if (frcnn_grow(&objects, &r->capacity, out->count + 1, sizeof(*out->objects)) < 0) {
		stop_nomem(r);
		goto out;
	}
	out->objects = objects;
	out->objects[out->count++] = (struct frcnn_voc_object){
	    .name = r->object_name,
	    .bbox = {c[0] - 1, c[1] - 1, width, height},
	    .difficult = r->difficult,
	    .line = r->line,
	};
	r->object_name = NULL;
out:
	r->in_object = false;
}

/* ---- expat's calls -------------------------------------------------------------------------------- */

static enum field field_of(const char *element, enum field first, enum field last)
{
	for (enum field field = first; field <= last; field++)
		if (strcmp(element, field_names[field]) == 0)
			return field;
	return FIELD_NONE;
}

static void XMLCALL begin(void *context, const XML_Char *element, const XML_Char **attributes)
{
	struct reading *r = context;
	enum field field = FIELD_NONE;

	(void)attributes;
	if (r->status < 0)
		return;
	r->depth++;
	if (r->depth > FRCNN_VOC_MAX_DEPTH) {
		stop(r, FRCNN_ELIMIT, "elements are nested deeper than %d", FRCNN_VOC_MAX_DEPTH);
	} else if (r->depth == 1) {
		if (strcmp(element, "annotation") != 0)
			stop(r, FRCNN_EFORMAT, "no VOC annotation: the root element is <%.60s>", element);
	} else if (r->depth == 2) {
		r->in_size = strcmp(element, "size") == 0;
		if (strcmp(element, "object") == 0)
			begin_object(r);
		else
			field = field_of(element, FILE_NAME, FILE_NAME);
	} else if (r->depth == 3 && r->in_size) {
		field = field_of(element, WIDTH, HEIGHT);
	} else if (r->depth == 3 && r->in_object) {
		field = field_of(element, NAME, DIFFICULT);
		r->in_box = strcmp(element, "bndbox") == 0;
		if (r->in_box && r->boxed)
			report(r, "bndbox is there twice");
		r->boxed = r->boxed || r->in_box;
	} else if (r->depth == 4 && r->in_box) {
		field = field_of(element, XMIN, YMAX);
	}
	if (field != FIELD_NONE) {
		r->field = field;
		r->field_depth = r->depth;
		frcnn_buffer_clear(&r->text);
	}
}

static void XMLCALL text(void *context, const XML_Char *bytes, int size)
{
	struct reading *r = context;

	if (r->status < 0 || r->field == FIELD_NONE || r->depth != r->field_depth)
		return;
	if (r->text.size + (size_t)size > MAX_TEXT)
		stop(r, FRCNN_ELIMIT, "%s is longer than %d bytes", field_names[r->field], MAX_TEXT);
	else
		frcnn_buffer_add(&r->text, bytes, (size_t)size);
}

static void XMLCALL end(void *context, const XML_Char *element)
{
	struct reading *r = context;

	(void)element;
	if (r->status < 0)
		return;
	if (r->field != FIELD_NONE && r->depth == r->field_depth) {
		take_field(r);
		r->field = FIELD_NONE;
	}
	if (r->depth == 2) {
		if (r->in_object)
			end_object(r);
		r->in_size = false;
	} else if (r->depth == 3) {
		r->in_box = false;
	}
	r->depth--;
}

static void XMLCALL entity(void *context, const XML_Char *name, int is_parameter, const XML_Char *value, int length,
			   const XML_Char *base, const XML_Char *system_id, const XML_Char *public_id,
			   const XML_Char *notation)
{
	(void)is_parameter, (void)value, (void)length, (void)base, (void)system_id, (void)public_id, (void)notation;
	stop(context, FRCNN_EUNSUPPORTED, "declares the entity \"%.60s\": entities are not expanded", name);
}

static void XMLCALL skipped(void *context, const XML_Char *name, int is_parameter)
{
	(void)is_parameter;
	stop(context, FRCNN_EUNSUPPORTED, "uses the entity \"%.60s\", which is not in the file", name);
}

int frcnn_voc_parse(const void *bytes, size_t size, const char *name, const struct frcnn_notices *notices,
		    struct frcnn_voc *out, struct frcnn_error *err)
{
	struct reading r = {.name = name, .notices = notices, .out = out, .err = err};
	int rc = 0;

	*out = (struct frcnn_voc){0};
	if (size > FRCNN_TRUTH_MAX_FILE)
		return frcnn_fail(err, FRCNN_ELIMIT, "%s: larger than %zu bytes", name, FRCNN_TRUTH_MAX_FILE);
	r.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (!r.parser)
		return frcnn_fail_nomem(err);
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, begin, end);
	XML_SetCharacterDataHandler(r.parser, text);
	XML_SetEntityDeclHandler(r.parser, entity);
	XML_SetSkippedEntityHandler(r.parser, skipped);
	XML_SetParamEntityParsing(r.parser, XML_PARAM_ENTITY_PARSING_NEVER);
	if (XML_Parse(r.parser, size ? bytes : "", (int)size, XML_TRUE) != XML_STATUS_OK) {
		enum XML_Error code = XML_GetErrorCode(r.parser);
		if (r.status < 0)
			rc = r.status;
		else if (code == XML_ERROR_NO_MEMORY)
			rc = frcnn_fail_nomem(err);
		else
			rc = frcnn_fail(err, FRCNN_EFORMAT, "%s:%zu: column %zu: not well-formed XML: %s", name,
					(size_t)XML_GetCurrentLineNumber(r.parser),
					(size_t)XML_GetCurrentColumnNumber(r.parser) + 1, XML_ErrorString(code));
	} else if (r.status < 0) {
		rc = r.status; /* stopped in the last call */
	}
	XML_ParserFree(r.parser);
	frcnn_buffer_free(&r.text);
	free(r.object_name);
	if (rc < 0)
		frcnn_voc_free(out);
	return rc;
}

/* ---- the folder -------------------------------------------------------------------------------------- */

/* Names with their ids, in byte order when they are looked up. */
struct classes {
	char **names;
	int64_t *ids;
	size_t count, capacity, id_capacity;
};

static size_t place_of(const struct classes *classes, const char *name, bool *found)
{
	size_t low = 0, high = classes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(classes->names[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < classes->count && strcmp(classes->names[low], name) == 0;
	return low;
}

/* The name's place: added with this id where it is new. The first of equal names keeps its id. */
static int add_class(struct classes *classes, const char *name, int64_t id, int64_t *out)
{
	bool found;
	size_t at = place_of(classes, name, &found), n = classes->count;
	void *names = classes->names, *ids = classes->ids;
	int rc;

	if (found) {
		*out = classes->ids[at];
		return 0;
	}
	rc = frcnn_grow(&names, &classes->capacity, n + 1, sizeof(*classes->names));
	classes->names = names;
	if (rc == 0)
		rc = frcnn_grow(&ids, &classes->id_capacity, n + 1, sizeof(*classes->ids));
	classes->ids = ids;
	char *copy = rc == 0 ? frcnn_strdup(name) : NULL;
	if (!copy)
		return FRCNN_ENOMEM;
	memmove(classes->names + at + 1, classes->names + at, (n - at) * sizeof(*classes->names));
	memmove(classes->ids + at + 1, classes->ids + at, (n - at) * sizeof(*classes->ids));
	classes->names[at] = copy;
	classes->ids[at] = *out = id;
	classes->count++;
	return 0;
}

static void free_classes(struct classes *classes)
{
	for (size_t i = 0; i < classes->count; i++)
		free(classes->names[i]);
	free(classes->names);
	free(classes->ids);
}

/* Categories as the names found, in byte order, ids from 1; annotations had provisional ids. */
static int name_categories(struct classes *classes, struct frcnn_truth_builder *builder)
{
	struct frcnn_ground_truth *t = builder->truth;
	int64_t *final = frcnn_calloc(classes->count + 1, sizeof(*final));

	if (!final)
		return FRCNN_ENOMEM;
	int rc = 0;
	for (size_t i = 0; i < classes->count && rc == 0; i++) {
		final[classes->ids[i]] = (int64_t)i + 1;
		rc = frcnn_truth_add_category(builder, (int64_t)i + 1, classes->names[i]);
	}
	for (size_t i = 0; i < t->nannotations; i++)
		t->annotation_categories[i] = final[t->annotation_categories[i]];
	free(final);
	return rc;
}

struct odd {
	size_t early, renamed;
	char *first_early, *first_renamed;
};

static int add_file(const char *path, const char *name, const struct frcnn_ground_truth_options *options,
		    struct classes *classes, struct frcnn_truth_builder *builder, struct odd *odd,
		    struct frcnn_error *err)
{
	struct frcnn_ground_truth *t = builder->truth;
	struct frcnn_file file = {0};
	struct frcnn_voc voc = {0};
	struct frcnn_error reason = {0};
	char *stem = frcnn_stem(name), *other = NULL, *whole = frcnn_path_join(path, name);
	int rc = stem && whole ? 0 : FRCNN_ENOMEM;

	if (rc == 0)
		rc = frcnn_file_open(whole, FRCNN_TRUTH_MAX_FILE, &file, &reason);
	if (rc == 0)
		rc = frcnn_voc_parse(file.data, file.size, whole, builder->notices, &voc, &reason);
	if (rc < 0 && rc != FRCNN_ENOMEM) {
		if (builder->notices && builder->notices->note)
			builder->notices->note(builder->notices->context, FRCNN_NOTICE_ERROR, reason.message);
		t->errors++;
		rc = 0;
		goto out;
	}
	if (rc < 0)
		goto out;
	t->errors += voc.errors;
	if (t->nimages && strcmp(t->stems[t->nimages - 1], stem) == 0) { /* a.XML and a.xml stand side by side */
		frcnn_note(builder->notices, FRCNN_NOTICE_ERROR, whole, 0, "another file has the stem \"%s\"", stem);
		t->errors++;
		goto out;
	}
	other = voc.file_name ? frcnn_stem(voc.file_name) : NULL;
	if (voc.file_name && !other) {
		rc = FRCNN_ENOMEM;
		goto out;
	}
	/* the file's own name decides; <filename> is only what the image is called */
	bool same = other && strcmp(other, stem) == 0;
	if (other && !same && strcmp(voc.file_name, stem) != 0 && odd->renamed++ == 0 &&
	    !(odd->first_renamed = frcnn_strdup(whole)))
		rc = FRCNN_ENOMEM;
	if (rc == 0)
		rc = frcnn_truth_add_image(builder, stem, same ? voc.file_name : stem, voc.width, voc.height);
	for (size_t i = 0; i < voc.count && rc == 0 && !options->images_only; i++) {
		const struct frcnn_voc_object *object = &voc.objects[i];
		int64_t id = 0;
		bool found;
		if (options->labels && (place_of(classes, object->name, &found), !found)) {
			frcnn_note(builder->notices, FRCNN_NOTICE_ERROR, whole, object->line,
				   "\"%s\" is none of the labels", object->name);
			t->errors++;
			continue;
		}
		if ((object->bbox[0] < 0 || object->bbox[1] < 0) && odd->early++ == 0 &&
		    !(odd->first_early = frcnn_strdup(whole)))
			rc = FRCNN_ENOMEM;
		if (rc == 0)
			rc = add_class(classes, object->name, (int64_t)classes->count + 1, &id);
		if (rc == 0)
			rc = frcnn_truth_add_annotation(builder, id, object->bbox, object->difficult ? 2 : 0, whole);
	}
out:
	if (rc < 0)
		frcnn_fail_nomem(err);
	frcnn_file_close(&file);
	frcnn_voc_free(&voc);
	free(stem);
	free(other);
	free(whole);
	return rc;
}

int frcnn_voc_folder(const char *path, char *const *names, size_t count,
		     const struct frcnn_ground_truth_options *options, struct frcnn_truth_builder *builder,
		     struct frcnn_error *err)
{
	struct classes classes = {0};
	struct odd odd = {0};
	bool labelled = options->labels != NULL;
	int64_t id;
	int rc = 0;

	for (size_t i = 0; labelled && i < options->labels->count && rc == 0; i++) {
		rc = add_class(&classes, options->labels->names[i], (int64_t)i + 1, &id);
		if (rc == 0)
			rc = frcnn_truth_add_category(builder, (int64_t)i + 1, options->labels->names[i]);
		if (rc < 0)
			frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = add_file(path, names[i], options, &classes, builder, &odd, err);
	builder->truth->own_categories = !labelled;
	if (rc == 0 && !labelled && name_categories(&classes, builder) < 0)
		rc = frcnn_fail_nomem(err);
	if (rc == 0 && builder->truth->nimages == 0)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s: none of the %zu files could be read", path, count);
	if (rc == 0 && odd.renamed)
		frcnn_note(
		    builder->notices, FRCNN_NOTICE_WARNING, path, 0,
		    "files whose <filename> is another image's: %zu, the first is \"%s\"; the file's own name counts",
		    odd.renamed, odd.first_renamed);
	if (rc == 0 && odd.early)
		frcnn_note(builder->notices, FRCNN_NOTICE_WARNING, path, 0,
			   "boxes with a corner below 1: %zu, the first in \"%s\"; VOC counts pixels from 1", odd.early,
			   odd.first_early);
	free(odd.first_early);
	free(odd.first_renamed);
	free_classes(&classes);
	return rc;
}
