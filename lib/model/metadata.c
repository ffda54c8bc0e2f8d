/*
 * The JSON text under __metadata__.frcnn of a native file (man/frcnn-models.5): a small document of our own, read and
 * written through cJSON. Numbers are written as their shortest text, that of a float32 where one is meant.
 */
#include "model/model.h"
#include "json/json.h"

#include <cJSON.h>
#include <math.h>

#define FORMAT    1
#define MAX_EXACT 9007199254740991.0 /* 2^53 - 1: cJSON's numbers are doubles, and 2^53 may have been 2^53 + 1 */
#define MAX_SIDE  65535.0
#define MAX_COUNT 1e6

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int bad(const char *key, const char *what, struct frcnn_error *err)
{
	return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" is not %s", key, what);
}

/* Each get_ leaves *out alone when the key is absent. */
static int get_real(const cJSON *object, const char *key, double min, double max, double *out, struct frcnn_error *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!item)
		return 0;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max))
		return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" is not a number from %.10g to %.10g", key, min,
				  max);
	*out = item->valuedouble;
	return 0;
}

static int get_int(const cJSON *object, const char *key, double min, double max, int *out, struct frcnn_error *err)
{
	double value = *out;
	int status = get_real(object, key, min, max, &value, err);

	if (status < 0)
		return status;
	if (value != floor(value))
		return bad(key, "an integer", err);
	*out = (int)value;
	return 0;
}

/* A list of at most `room` numbers from min to max. */
static int get_floats(const cJSON *array, const char *key, int room, float min, float max, float *out, int *count,
		      struct frcnn_error *err)
{
	const cJSON *item;
	int n = 0;

	if (!cJSON_IsArray(array))
		return bad(key, "made of lists of numbers", err);
	cJSON_ArrayForEach(item, array)
	{
		if (n == room)
			return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" has more than %d numbers in a list",
					  key, room);
		if (!cJSON_IsNumber(item))
			return bad(key, "made of lists of numbers", err);
		out[n] = item->valuedouble > max || item->valuedouble < -max ? max * 2 : (float)item->valuedouble;
		if (!(out[n] >= min && out[n] <= max))
			return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" has a number not from %g to %g", key,
					  (double)min, (double)max);
		n++;
	}
	*count = n;
	return 0;
}

static int get_three(const cJSON *object, const char *key, float min, float out[3], struct frcnn_error *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	float values[3];
	int count = 0, status;

	if (!item)
		return 0;
	status = get_floats(item, key, 3, min, 1e6F, values, &count, err);
	if (status < 0)
		return status;
	if (count != 3)
		return bad(key, "three numbers", err);
	memcpy(out, values, sizeof values);
	return 0;
}

static int get_levels(const cJSON *object, const char *key, bool sizes, struct frcnn_description *d,
		      struct frcnn_error *err)
{
	const cJSON *levels = cJSON_GetObjectItemCaseSensitive(object, key), *item;
	int i = 0, status;

	if (!levels)
		return 0;
	if (!cJSON_IsArray(levels))
		return bad(key, "made of lists of numbers", err);
	if (cJSON_GetArraySize(levels) != d->nlevels)
		return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" has %d levels, the model has %d", key,
				  cJSON_GetArraySize(levels), d->nlevels);
	cJSON_ArrayForEach(item, levels)
	{
		struct frcnn_anchor_level *level = &d->anchors[i++];
		int count = 0;

		status = get_floats(item, key, FRCNN_MAX_ANCHORS, 1e-6F, 1e6F, sizes ? level->sizes : level->ratios,
				    &count, err);
		if (status < 0)
			return status;
		if (count == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"%s\" has an empty level", key);
		*(sizes ? &level->nsizes : &level->nratios) = count;
	}
	return 0;
}

static bool is_line(const char *text, size_t max)
{
	size_t size = strlen(text);

	return size <= max && frcnn_is_line(text, size);
}

/* A number, or, where a double would not hold it exactly, its digits as a string. */
static bool get_category(const cJSON *item, int64_t *out)
{
	if (cJSON_IsString(item))
		return frcnn_parse_int64(item->valuestring, strlen(item->valuestring), out) == 0;
	if (!cJSON_IsNumber(item) || item->valuedouble != floor(item->valuedouble) ||
	    !(fabs(item->valuedouble) <= MAX_EXACT))
		return false;
	*out = (int64_t)item->valuedouble;
	return true;
}

static int get_label(const cJSON *item, size_t label, const char **name, int64_t *category, struct frcnn_error *err)
{
	const cJSON *text = cJSON_GetObjectItemCaseSensitive(item, "name");

	if (!get_category(cJSON_GetObjectItemCaseSensitive(item, "id"), category))
		return frcnn_fail(
		    err, FRCNN_EFORMAT,
		    "metadata: \"labels\", entry %zu: \"id\" is not an integer (from 2^53 on: its digits as a string)",
		    label);
	if (!text || cJSON_IsNull(text))
		return 0;
	if (!cJSON_IsString(text) || !is_line(text->valuestring, FRCNN_MAX_LABEL_NAME))
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "metadata: \"labels\", entry %zu: \"name\" is not a line of 1 to %d bytes", label,
				  FRCNN_MAX_LABEL_NAME);
	*name = text->valuestring;
	return 0;
}

static int get_labels(const cJSON *object, struct frcnn_description *d, struct frcnn_error *err)
{
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(object, "labels"), *item;
	size_t count = (size_t)d->nlabels - 1, i = 0;
	const char **names = NULL;
	int64_t *categories = NULL;
	int status = 0;

	if (!labels)
		return 0;
	if (!cJSON_IsArray(labels))
		return bad("labels", "a list", err);
	if ((size_t)cJSON_GetArraySize(labels) != count)
		return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"labels\" has %d entries, the tensors imply %zu",
				  cJSON_GetArraySize(labels), count);
	names = frcnn_calloc(count, sizeof *names);
	categories = frcnn_calloc(count, sizeof *categories);
	if (!names || !categories)
		status = frcnn_fail_nomem(err);
	for (item = labels->child; item && status == 0; item = item->next, i++)
		status = get_label(item, i + 1, &names[i], &categories[i], err);
	if (status == 0)
		status = frcnn_describe_labels(d, names, categories, count, err);
	free(names);
	free(categories);
	return status;
}

/* The text of an object, as it stands there but for white space: through cJSON its numbers would lose digits. */
static int get_object(struct frcnn_span text, const char *key, char **out, struct frcnn_error *err)
{
	char *copy;

	if (!text.data)
		return 0;
	if (text.size == 0 || text.data[0] != '{')
		return bad(key, "an object", err);
	copy = frcnn_strndup(text.data, text.size);
	if (!copy)
		return frcnn_fail_nomem(err);
	cJSON_Minify(copy);
	free(*out);
	*out = copy;
	return 0;
}

/* Is it strict JSON, an object, and none of our keys there twice? cJSON would let all three pass. */
static int check_text(const char *text, size_t size, struct frcnn_span *provenance, struct frcnn_span *quantization,
		      struct frcnn_error *err)
{
	static const char *const keys[] = {
	    "format", "name",         "architecture",  "min_size", "max_size",   "mean",    "std",
	    "bn_eps", "anchor_sizes", "aspect_ratios", "rpn_pre",  "rpn_post",   "rpn_nms", "rpn_score",
	    "score",  "nms",          "max_dets",      "labels",   "provenance", "folded",  "quantization",
	};
	bool seen[FRCNN_COUNT(keys)] = {false};
	struct frcnn_error inner = {0};
	struct frcnn_json json;
	struct frcnn_span key, raw;
	int status, more;

	frcnn_json_open(&json, text, size, &inner);
	status = frcnn_json_enter_object(&json);
	while (status == 0 && (more = frcnn_json_next_key(&json, &key)) != 0) {
		size_t which = 0;

		if (more < 0) {
			status = more;
			break;
		}
		while (which < FRCNN_COUNT(keys) && !frcnn_span_is(key, keys[which]))
			which++;
		status = frcnn_json_skip(&json, &raw);
		if (status < 0 || which == FRCNN_COUNT(keys))
			continue;
		if (seen[which])
			status = frcnn_fail(&inner, FRCNN_EFORMAT, "\"%s\" stands there twice", keys[which]);
		seen[which] = true;
		if (strcmp(keys[which], "provenance") == 0)
			*provenance = raw;
		if (strcmp(keys[which], "quantization") == 0)
			*quantization = raw;
	}
	if (status == 0)
		status = frcnn_json_finish(&json);
	if (status < 0)
		frcnn_fail(err, status, "metadata: %s", inner.message);
	frcnn_json_close(&json);
	return status;
}

static int read_keys(const cJSON *root, bool keep_architecture, struct frcnn_description *d, struct frcnn_error *err)
{
	const cJSON *architecture = cJSON_GetObjectItemCaseSensitive(root, "architecture");
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "name");
	const cJSON *folded = cJSON_GetObjectItemCaseSensitive(root, "folded");
	int format = FORMAT, status;

	status = get_int(root, "format", 1, MAX_COUNT, &format, err);
	if (status < 0)
		return status;
	if (format > FORMAT)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "metadata: format %d, newer than %d, the last that we know",
				  format, FORMAT);
	if (architecture && !cJSON_IsString(architecture))
		return bad("architecture", "a string", err);
	if (architecture && !keep_architecture)
		status = frcnn_describe_defaults(d, architecture->valuestring, err);
	if (status < 0)
		return status;
	if (name) {
		if (!cJSON_IsString(name) || !is_line(name->valuestring, sizeof d->name - 1))
			return frcnn_fail(err, FRCNN_EFORMAT, "metadata: \"name\" is not a line of 1 to %zu bytes",
					  sizeof d->name - 1);
		snprintf(d->name, sizeof d->name, "%s", name->valuestring);
	}
	if (folded) {
		if (!cJSON_IsBool(folded))
			return bad("folded", "true or false", err);
		d->folded = cJSON_IsTrue(folded);
	}
	if ((status = get_int(root, "min_size", 1, MAX_SIDE, &d->min_size, err)) < 0 ||
	    (status = get_int(root, "max_size", 1, MAX_SIDE, &d->max_size, err)) < 0 ||
	    (status = get_three(root, "mean", -1e6F, d->mean, err)) < 0 ||
	    (status = get_three(root, "std", 1e-6F, d->std, err)) < 0 ||
	    (status = get_real(root, "bn_eps", 0, 1, &d->bn_eps, err)) < 0 ||
	    (status = get_levels(root, "anchor_sizes", true, d, err)) < 0 ||
	    (status = get_levels(root, "aspect_ratios", false, d, err)) < 0 ||
	    (status = get_int(root, "rpn_pre", 1, MAX_COUNT, &d->rpn_pre, err)) < 0 ||
	    (status = get_int(root, "rpn_post", 1, MAX_COUNT, &d->rpn_post, err)) < 0 ||
	    (status = get_real(root, "rpn_nms", 0, 1, &d->rpn_nms, err)) < 0 ||
	    (status = get_real(root, "rpn_score", 0, 1, &d->rpn_score, err)) < 0 ||
	    (status = get_real(root, "score", 0, 1, &d->score, err)) < 0 ||
	    (status = get_real(root, "nms", 0, 1, &d->nms, err)) < 0 ||
	    (status = get_int(root, "max_dets", 0, MAX_COUNT, &d->max_dets, err)) < 0)
		return status;
	return get_labels(root, d, err);
}

int frcnn_metadata_read(const char *text, size_t size, bool keep_architecture, struct frcnn_description *inout,
			struct frcnn_error *err)
{
	struct frcnn_span provenance = {0}, quantization = {0};
	char *copy = NULL;
	cJSON *root = NULL;
	int status = check_text(text, size, &provenance, &quantization, err);

	if (status < 0)
		goto out;
	copy = frcnn_strndup(text, size);
	if (!copy) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	root = cJSON_ParseWithOpts(copy, NULL, true);
	if (!root) {
		/* sound JSON, but cJSON may have limits of its own */
		status = frcnn_fail(err, FRCNN_EFORMAT, "metadata: a number or text in it cannot be read");
		goto out;
	}
	status = read_keys(root, keep_architecture, inout, err);
	if (status == 0)
		status = get_object(provenance, "provenance", &inout->provenance, err);
	if (status == 0)
		status = get_object(quantization, "quantization", &inout->quantization, err);
out:
	cJSON_Delete(root);
	free(copy);
	return status;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static bool add_real(cJSON *object, const char *key, double value)
{
	char text[33];

	text[frcnn_format_double(value, text)] = '\0';
	return cJSON_AddRawToObject(object, key, text) != NULL;
}

/* key NULL: parent is an array. */
static bool add_floats(cJSON *parent, const char *key, const float *values, int count)
{
	cJSON *array = cJSON_CreateArray();

	if (!array || !(key ? cJSON_AddItemToObject(parent, key, array) : cJSON_AddItemToArray(parent, array))) {
		cJSON_Delete(array);
		return false;
	}
	for (int i = 0; i < count; i++) {
		char text[33];
		cJSON *item;

		text[frcnn_format_float(values[i], text)] = '\0';
		item = cJSON_CreateRaw(text);
		if (!item || !cJSON_AddItemToArray(array, item)) {
			cJSON_Delete(item);
			return false;
		}
	}
	return true;
}

static bool add_levels(cJSON *root, const char *key, const struct frcnn_description *d, bool sizes)
{
	cJSON *levels = cJSON_AddArrayToObject(root, key);
	bool added = levels != NULL;

	for (int i = 0; added && i < d->nlevels; i++) {
		const struct frcnn_anchor_level *level = &d->anchors[i];

		added = sizes ? add_floats(levels, NULL, level->sizes, level->nsizes)
			      : add_floats(levels, NULL, level->ratios, level->nratios);
	}
	return added;
}

static bool add_labels(cJSON *root, const struct frcnn_description *d)
{
	cJSON *labels = cJSON_AddArrayToObject(root, "labels");

	for (int i = 1; labels && i < d->nlabels; i++) {
		const int64_t id = d->label_categories[i], limit = (int64_t)MAX_EXACT;
		cJSON *item = cJSON_CreateObject();
		char digits[32];

		if (!item || !cJSON_AddItemToArray(labels, item)) {
			cJSON_Delete(item);
			return false;
		}
		snprintf(digits, sizeof digits, "%lld", (long long)id);
		if (!(id >= -limit && id <= limit ? cJSON_AddRawToObject(item, "id", digits)
						  : cJSON_AddStringToObject(item, "id", digits)) ||
		    !(d->label_names[i] ? cJSON_AddStringToObject(item, "name", d->label_names[i])
					: cJSON_AddNullToObject(item, "name")))
			return false;
	}
	return labels != NULL;
}

int frcnn_metadata_write(const struct frcnn_description *d, struct frcnn_buffer *out, struct frcnn_error *err)
{
	cJSON *root = cJSON_CreateObject();
	char *text = NULL;
	int status = 0;

	if (root && cJSON_AddNumberToObject(root, "format", FORMAT) && cJSON_AddStringToObject(root, "name", d->name) &&
	    cJSON_AddStringToObject(root, "architecture", d->architecture) &&
	    cJSON_AddNumberToObject(root, "min_size", d->min_size) &&
	    cJSON_AddNumberToObject(root, "max_size", d->max_size) && add_floats(root, "mean", d->mean, 3) &&
	    add_floats(root, "std", d->std, 3) && add_real(root, "bn_eps", d->bn_eps) &&
	    (!d->folded || cJSON_AddTrueToObject(root, "folded")) && add_levels(root, "anchor_sizes", d, true) &&
	    add_levels(root, "aspect_ratios", d, false) && cJSON_AddNumberToObject(root, "rpn_pre", d->rpn_pre) &&
	    cJSON_AddNumberToObject(root, "rpn_post", d->rpn_post) && add_real(root, "rpn_nms", d->rpn_nms) &&
	    add_real(root, "rpn_score", d->rpn_score) && add_real(root, "score", d->score) &&
	    add_real(root, "nms", d->nms) && cJSON_AddNumberToObject(root, "max_dets", d->max_dets) &&
	    add_labels(root, d) && (!d->provenance || cJSON_AddRawToObject(root, "provenance", d->provenance)) &&
	    (!d->quantization || cJSON_AddRawToObject(root, "quantization", d->quantization)))
		text = cJSON_PrintUnformatted(root);
	if (text)
		frcnn_buffer_puts(out, text);
	if (!text || out->failed)
		status = frcnn_fail_nomem(err);
	cJSON_free(text);
	cJSON_Delete(root);
	return status;
}
