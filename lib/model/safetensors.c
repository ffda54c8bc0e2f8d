/*
 * safetensors: a 64-bit little-endian length, that many bytes of JSON, the data.
 * As strict as the format's reference implementation: the header begins with "{",
 * the tensors lie one behind the other from the data's first byte to its last.
 */
#include "model/container.h"
#include "json/json.h"

#define MAX_HEADER 100000000u /* bytes, the reference's limit */

/* One tensor's entry, while the header is read. */
struct entry {
	struct frcnn_tensor tensor;
	uint64_t begin, end; /* in the data */
	size_t name_size;
};

struct loader {
	struct frcnn_arena *arena;
	struct frcnn_json json;
	struct entry *entries;
	size_t count, capacity;
	char **metadata; /* keys and values in turn, kept to find one that is there twice */
	size_t nmetadata, metadata_capacity;
	bool has_metadata;
};

/* A number without sign, fraction or exponent. */
static int read_unsigned(struct frcnn_json *json, uint64_t *out)
{
	struct frcnn_span text;
	int64_t value;
	int status = frcnn_json_number(json, &text);

	if (status < 0)
		return status;
	if (text.size == 0 || memchr(text.data, '-', text.size) != NULL ||
	    frcnn_parse_int64(text.data, text.size, &value) < 0)
		return frcnn_json_fail(json, "\"%.*s\" is not a size", text.size > 40 ? 40 : (int)text.size, text.data);
	*out = (uint64_t)value;
	return 0;
}

static int read_dtype(struct frcnn_json *json, enum frcnn_dtype *out)
{
	struct frcnn_span text;
	int status = frcnn_json_string(json, &text);

	if (status < 0)
		return status;
	for (int dtype = FRCNN_F32; dtype <= FRCNN_BOOL; dtype++) {
		if (frcnn_span_is(text, frcnn_dtype_name(dtype))) {
			*out = dtype;
			return 0;
		}
	}
	frcnn_json_fail(json, "dtype \"%.*s\" is not supported", text.size > 40 ? 40 : (int)text.size, text.data);
	return FRCNN_EUNSUPPORTED;
}

static int read_shape(struct frcnn_json *json, struct frcnn_tensor *tensor)
{
	uint64_t side;
	int status = frcnn_json_enter_array(json);

	while (status >= 0 && (status = frcnn_json_next_element(json)) > 0) {
		if (tensor->ndim == FRCNN_MAX_DIMS)
			return frcnn_json_fail(json, "more than %d dimensions", FRCNN_MAX_DIMS);
		status = read_unsigned(json, &side);
		if (status == 0)
			tensor->shape[tensor->ndim++] = (int64_t)side;
	}
	return status;
}

static int read_offsets(struct frcnn_json *json, struct entry *entry)
{
	uint64_t offsets[2];
	size_t count = 0;
	int status = frcnn_json_enter_array(json);

	while (status >= 0 && (status = frcnn_json_next_element(json)) > 0) {
		if (count == 2)
			return frcnn_json_fail(json, "\"data_offsets\" has more than 2 numbers");
		status = read_unsigned(json, &offsets[count++]);
	}
	if (status < 0)
		return status;
	if (count != 2)
		return frcnn_json_fail(json, "\"data_offsets\" has less than 2 numbers");
	entry->begin = offsets[0];
	entry->end = offsets[1];
	return 0;
}

static int read_tensor(struct frcnn_json *json, struct entry *entry)
{
	bool dtype = false, shape = false, offsets = false;
	struct frcnn_span key;
	int status = frcnn_json_enter_object(json);

	while (status >= 0 && (status = frcnn_json_next_key(json, &key)) > 0) {
		bool *seen = NULL;
		if (frcnn_span_is(key, "dtype"))
			seen = &dtype;
		else if (frcnn_span_is(key, "shape"))
			seen = &shape;
		else if (frcnn_span_is(key, "data_offsets"))
			seen = &offsets;
		if (seen == NULL) {
			status = frcnn_json_skip(json, NULL);
			continue;
		}
		if (*seen)
			return frcnn_json_fail(json, "key \"%.*s\" is there twice", (int)key.size, key.data);
		*seen = true;
		if (seen == &dtype)
			status = read_dtype(json, &entry->tensor.dtype);
		else if (seen == &shape)
			status = read_shape(json, &entry->tensor);
		else
			status = read_offsets(json, entry);
	}
	if (status < 0)
		return status;
	if (!dtype || !shape || !offsets)
		return frcnn_json_fail(json, "tensor \"%.64s\" lacks \"%s\"", entry->tensor.name,
				       !dtype   ? "dtype"
				       : !shape ? "shape"
						: "data_offsets");
	return 0;
}

/* ---- metadata
 * -------------------------------------------------------------------------------------------------------------- */

static int add_metadata_text(struct loader *loader, struct frcnn_span text)
{
	void *list = loader->metadata;
	int status = frcnn_grow(&list, &loader->metadata_capacity, loader->nmetadata + 1, sizeof(char *));

	loader->metadata = list;
	if (status < 0)
		return frcnn_fail_nomem(loader->json.err);
	if (memchr(text.data, '\0', text.size) != NULL)
		return frcnn_json_fail(&loader->json, "a NUL in the metadata");
	char *copy = frcnn_arena_strndup(loader->arena, text.data, text.size);
	if (copy == NULL)
		return frcnn_fail_nomem(loader->json.err);
	loader->metadata[loader->nmetadata++] = copy;
	return 0;
}

static int read_metadata(struct loader *loader)
{
	struct frcnn_json *json = &loader->json;
	struct frcnn_span text;
	int status;

	if (loader->has_metadata)
		return frcnn_json_fail(json, "key \"__metadata__\" is there twice");
	loader->has_metadata = true;
	status = frcnn_json_enter_object(json);
	while (status >= 0 && (status = frcnn_json_next_key(json, &text)) > 0) {
		status = add_metadata_text(loader, text);
		if (status == 0)
			status = frcnn_json_string(json, &text);
		if (status == 0)
			status = add_metadata_text(loader, text);
	}
	return status;
}

static int by_text_pair(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the pairs by key, refuses a key that is there twice, gives out the model's own and the rest. */
static int split_metadata(struct loader *loader, struct frcnn_checkpoint *out)
{
	char **texts = loader->metadata;
	struct frcnn_buffer rest = {0};
	struct frcnn_json_writer writer = {.out = &rest};
	size_t others = 0;
	int status = 0;

	if (loader->nmetadata > 0)
		qsort(texts, loader->nmetadata / 2, 2 * sizeof(*texts), by_text_pair);
	frcnn_json_begin_object(&writer);
	for (size_t i = 0; i < loader->nmetadata; i += 2) {
		if (i > 0 && strcmp(texts[i - 2], texts[i]) == 0) {
			status = frcnn_fail(loader->json.err, FRCNN_EFORMAT,
					    "safetensors header: metadata \"%.64s\" is there twice", texts[i]);
			goto out;
		}
		if (strcmp(texts[i], "frcnn") == 0) {
			out->metadata = texts[i + 1];
			continue;
		}
		frcnn_json_key(&writer, texts[i]);
		frcnn_json_put_string(&writer, texts[i + 1], strlen(texts[i + 1]));
		others++;
	}
	frcnn_json_end_object(&writer);
	if (others > 0) {
		out->provenance = rest.failed ? NULL : frcnn_arena_strndup(loader->arena, rest.data, rest.size);
		if (out->provenance == NULL)
			status = frcnn_fail_nomem(loader->json.err);
	}
out:
	frcnn_buffer_free(&rest);
	return status;
}

/* ---- the whole
 * -------------------------------------------------------------------------------------------------------------- */

static int read_header(struct loader *loader)
{
	struct frcnn_json *json = &loader->json;
	struct frcnn_span key;
	int status = frcnn_json_enter_object(json);

	while (status >= 0 && (status = frcnn_json_next_key(json, &key)) > 0) {
		if (frcnn_span_is(key, "__metadata__")) {
			status = read_metadata(loader);
			continue;
		}
		if (loader->count == FRCNN_MAX_TENSORS)
			return frcnn_json_fail(json, "more than %d tensors", FRCNN_MAX_TENSORS);
		void *list = loader->entries;
		status = frcnn_grow(&list, &loader->capacity, loader->count + 1, sizeof(*loader->entries));
		loader->entries = list;
		if (status < 0)
			return frcnn_fail_nomem(json->err);
		struct entry *entry = &loader->entries[loader->count];
		*entry = (struct entry){.name_size = key.size};
		entry->tensor.name = frcnn_arena_strndup(loader->arena, key.data, key.size);
		if (entry->tensor.name == NULL)
			return frcnn_fail_nomem(json->err);
		if (strlen(entry->tensor.name) != key.size)
			return frcnn_json_fail(json, "a tensor's name has a NUL in it");
		status = read_tensor(json, entry);
		loader->count++;
	}
	return status < 0 ? status : frcnn_json_finish(json);
}

static int by_place(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->tensor.name, y->tensor.name);
}

/* Fills strides, elements and data, checks the tensor's length against its shape. */
static int place(struct entry *entry, const uint8_t *data, struct frcnn_error *err)
{
	struct frcnn_tensor *tensor = &entry->tensor;
	int64_t elements = 1, bytes = 0;
	bool fits = true, empty = false;

	/* a side of 0 does not excuse the product of the others from fitting */
	for (int i = tensor->ndim - 1; i >= 0; i--) {
		tensor->stride[i] = elements;
		if (tensor->shape[i] == 0)
			empty = true;
		else
			fits = fits && !__builtin_mul_overflow(elements, tensor->shape[i], &elements);
	}
	if (empty)
		elements = 0;
	fits = fits && !__builtin_mul_overflow(elements, (int64_t)frcnn_dtype_size(tensor->dtype), &bytes);
	if (!fits || (uint64_t)bytes != entry->end - entry->begin)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%.128s\": its shape does not fit its data",
				  tensor->name);
	tensor->elements = elements;
	tensor->data = data + entry->begin;
	return 0;
}

int frcnn_safetensors_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_checkpoint *out,
			   struct frcnn_error *err)
{
	struct frcnn_error json_error = {0};
	struct loader loader = {.arena = arena};
	uint64_t header = 0, at = 0;
	int status;

	if (size < 8)
		return frcnn_fail(err, FRCNN_EFORMAT, "safetensors file is truncated");
	for (int i = 0; i < 8; i++)
		header |= (uint64_t)bytes[i] << (8 * i);
	if (header > MAX_HEADER)
		return frcnn_fail(err, FRCNN_ELIMIT, "safetensors header is larger than %u bytes", MAX_HEADER);
	if (header > size - 8)
		return frcnn_fail(err, FRCNN_EFORMAT, "safetensors file is truncated: its header ends beyond it");
	if (header == 0 || bytes[8] != '{')
		return frcnn_fail(err, FRCNN_EFORMAT, "safetensors header does not begin with \"{\"");
	const uint8_t *data = bytes + 8 + header;
	uint64_t room = size - 8 - header;
	frcnn_json_open(&loader.json, (const char *)bytes + 8, (size_t)header, &json_error);
	status = read_header(&loader);
	if (status < 0) {
		status = frcnn_fail(err, status, "safetensors header: %s", json_error.message);
		goto out;
	}
	loader.json.err = err;
	status = split_metadata(&loader, out);
	if (status < 0)
		goto out;
	if (loader.count > 0)
		qsort(loader.entries, loader.count, sizeof(*loader.entries), by_place);
	out->tensors = frcnn_arena_alloc(arena, loader.count, sizeof(*out->tensors));
	if (out->tensors == NULL) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < loader.count; i++) {
		struct entry *entry = &loader.entries[i];
		if (entry->begin != at || entry->end < entry->begin) {
			status = frcnn_fail(err, FRCNN_EFORMAT,
					    "tensor \"%.128s\" overlaps another or leaves a hole before it",
					    entry->tensor.name);
			goto out;
		}
		if (entry->end > room) {
			status = frcnn_fail(err, FRCNN_EFORMAT,
					    "safetensors file is truncated: tensor \"%.128s\" ends beyond it",
					    entry->tensor.name);
			goto out;
		}
		status = place(entry, data, err);
		if (status < 0)
			goto out;
		at = entry->end;
		out->tensors[i] = entry->tensor;
	}
	out->ntensors = loader.count;
	if (at != room)
		status = frcnn_fail(err, FRCNN_EFORMAT, "safetensors file has bytes behind its last tensor");
out:
	frcnn_json_close(&loader.json);
	free(loader.entries);
	free(loader.metadata);
	return status;
}
