/*
 * Opening a checkpoint: tells the containers apart, reads the tensors out of each,
 * and brings their names into one form and order.
 */
#include "model/container.h"

struct state {
	struct frcnn_arena arena;
	struct frcnn_file file;
};

/* ---- PyTorch's zip container
 * -------------------------------------------------------------------------------------------- */

static bool ends_with(struct frcnn_span text, const char *tail)
{
	size_t size = strlen(tail);

	return text.size >= size && memcmp(text.data + text.size - size, tail, size) == 0;
}

/* The archive's folder and a slash: "archive/" where "archive/data.pkl" is there, "" for a bare "data.pkl". */
static int find_folder(const struct frcnn_zip *zip, struct frcnn_span *folder, struct frcnn_error *err)
{
	static const char pickle[] = "data.pkl";
	bool found = false;

	for (size_t i = 0; i < zip->count; i++) {
		struct frcnn_span name = zip->entries[i].name;
		const char *slash = memchr(name.data, '/', name.size);
		size_t above = slash == NULL ? 0 : (size_t)(slash - name.data) + 1;
		if (name.size != above + strlen(pickle) || !ends_with(name, pickle))
			continue;
		if (found)
			return frcnn_fail(err, FRCNN_EFORMAT, "holds two checkpoints, \"%.*s\" and \"%.*s\"",
					  (int)folder->size, folder->data, (int)above, name.data);
		found = true;
		*folder = (struct frcnn_span){name.data, above};
	}
	if (!found)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "a zip archive, but not a PyTorch checkpoint: no data.pkl");
	return 0;
}

/* The record FOLDER/KINDNAME, not read yet; *out NULL where there is none. */
static int find_record(const struct frcnn_zip *zip, struct frcnn_span folder, const char *kind, struct frcnn_span name,
		       struct frcnn_zip_entry **out, struct frcnn_error *err)
{
	struct frcnn_buffer path = {0};
	int status = 0;

	*out = NULL;

	frcnn_buffer_add(&path, folder.data, folder.size);
	frcnn_buffer_puts(&path, kind);
	frcnn_buffer_add(&path, name.data, name.size);
	if (path.failed)
		status = frcnn_fail_nomem(err);
	else
		*out = frcnn_zip_find(zip, path.data, path.size);
	frcnn_buffer_free(&path);
	return status;
}

/* The record FOLDER/NAME of at most that many bytes, checked and ready; *out NULL where there is none. */
static int read_record(struct frcnn_zip *zip, struct frcnn_span folder, const char *name, size_t most,
		       struct frcnn_arena *arena, struct frcnn_zip_entry **out, struct frcnn_error *err)
{
	int status = find_record(zip, folder, "", (struct frcnn_span){name, strlen(name)}, out, err);

	return status < 0 || *out == NULL ? status : frcnn_zip_read(zip, *out, most, arena, err);
}

/* Finds a storage's bytes in the archive. */
static int find_storage(struct frcnn_zip *zip, struct frcnn_span folder, struct frcnn_storage *storage,
			struct frcnn_arena *arena, struct frcnn_error *err)
{
	struct frcnn_zip_entry *record;
	int size = storage->key.size > 64 ? 64 : (int)storage->key.size;
	size_t bytes;
	int status;

	if (storage->data != NULL)
		return 0;
	if (storage->key.size > UINT16_MAX) /* no record has such a name */
		return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" is missing", size, storage->key.data);
	status = find_record(zip, folder, "data/", storage->key, &record, err);
	if (status < 0)
		return status;
	if (record == NULL)
		return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" is missing", size, storage->key.data);
	if (!frcnn_mul_size((size_t)storage->numel, frcnn_dtype_size(storage->dtype), &bytes) || bytes != record->size)
		return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" has %zu bytes, not %lld elements of %s", size,
				  storage->key.data, record->size, (long long)storage->numel,
				  frcnn_dtype_name(storage->dtype));
	status = frcnn_zip_read(zip, record, bytes, arena, err);
	if (status < 0)
		return status;
	storage->data = record->data;
	storage->size = record->size;
	return 0;
}

static int load_zip(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_zip *zip,
		    struct frcnn_span *folder, struct frcnn_value **root, struct frcnn_error *err)
{
	struct frcnn_zip_entry *record;
	struct frcnn_pickle loaded;
	int status = frcnn_zip_open(bytes, size, arena, zip, err);

	if (status == 0)
		status = find_folder(zip, folder, err);
	if (status == 0)
		status = read_record(zip, *folder, "byteorder", 64, arena, &record, err);
	if (status < 0)
		return status;
	if (record != NULL && !frcnn_span_is((struct frcnn_span){(const char *)record->data, record->size}, "little"))
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "its numbers are big-endian");
	status = find_record(zip, *folder, "", (struct frcnn_span){"constants.pkl", 13}, &record, err);
	if (status < 0)
		return status;
	if (record != NULL)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED,
				  "a TorchScript archive: save the model's state_dict() instead");
	status = read_record(zip, *folder, "data.pkl", FRCNN_MAX_PICKLE, arena, &record, err);
	if (status < 0)
		return status;
	status = frcnn_pickle_load(record->data, record->size, arena, &loaded, err);
	*root = loaded.root;
	return status;
}

/* ---- from the object to tensors
 * -------------------------------------------------------------------------------------------- */

static int load_torch(const uint8_t *bytes, size_t size, const char *weights_key, struct frcnn_arena *arena,
		      struct frcnn_checkpoint *out, struct frcnn_error *err)
{
	bool zipped = out->container == FRCNN_PTH_ZIP;
	struct frcnn_zip zip = {0};
	struct frcnn_span folder = {"", 0};
	struct frcnn_value *root = NULL;
	struct frcnn_torch_entry *list;
	size_t count;
	int status = zipped ? load_zip(bytes, size, arena, &zip, &folder, &root, err)
			    : frcnn_legacy_load(bytes, size, arena, &root, err);

	if (status == 0)
		status = frcnn_weights_find(root, weights_key, arena, &list, &count, &out->note, err);
	if (status < 0)
		return status;
	out->tensors = frcnn_arena_alloc(arena, count, sizeof(*out->tensors));
	if (out->tensors == NULL)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		struct frcnn_storage *storage = list[i].tensor->storage;
		struct frcnn_tensor *tensor = &out->tensors[i];
		if (zipped)
			status = find_storage(&zip, folder, storage, arena, err);
		else if (storage->data == NULL)
			status = frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" is missing",
					    storage->key.size > 64 ? 64 : (int)storage->key.size, storage->key.data);
		if (status == 0)
			status = frcnn_torch_tensor_check(list[i].name, list[i].tensor, tensor, err);
		if (status < 0)
			return status;
		tensor->name = frcnn_arena_strndup(arena, list[i].name.data, list[i].name.size);
		if (tensor->name == NULL)
			return frcnn_fail_nomem(err);
		if (strlen(tensor->name) != list[i].name.size)
			return frcnn_fail(err, FRCNN_EFORMAT, "a tensor's name has a NUL in it");
		for (size_t at = 0; at < list[i].name.size;) {
			size_t length = frcnn_utf8_length(tensor->name + at, list[i].name.size - at);
			if (length == 0)
				return frcnn_fail(err, FRCNN_EFORMAT, "tensor name \"%.128s\" is not UTF-8",
						  tensor->name);
			at += length;
		}
	}
	out->ntensors = count;
	return 0;
}

/* Keeps the safetensors whose names begin with the key and a dot, without that. */
static int keep_under_key(struct frcnn_checkpoint *checkpoint, const char *key, struct frcnn_error *err)
{
	size_t size = strlen(key), kept = 0;

	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		struct frcnn_tensor tensor = checkpoint->tensors[i];
		if (strncmp(tensor.name, key, size) != 0 || tensor.name[size] != '.')
			continue;
		tensor.name += size + 1;
		checkpoint->tensors[kept++] = tensor;
	}
	checkpoint->ntensors = kept;
	return kept > 0 ? 0 : frcnn_fail(err, FRCNN_EINVAL, "no weights under key \"%s\"", key);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct frcnn_tensor *)a)->name, ((const struct frcnn_tensor *)b)->name);
}

/* Takes prefixes off, leaves out the count that averaging adds, sorts, refuses names that are there twice. */
static int finish_names(struct frcnn_checkpoint *checkpoint, struct frcnn_error *err)
{
	struct frcnn_tensor *tensors = checkpoint->tensors;
	bool prefixed = false;
	size_t kept = 0;

	/* the originals first: stripping is no reason to take two tensors of one name for one */
	if (checkpoint->ntensors > 0)
		qsort(tensors, checkpoint->ntensors, sizeof(*tensors), by_name);
	for (size_t i = 1; i < checkpoint->ntensors; i++) {
		if (by_name(&tensors[i - 1], &tensors[i]) == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%.128s\" is there twice", tensors[i].name);
	}
	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		struct frcnn_span name = {tensors[i].name, strlen(tensors[i].name)};
		struct frcnn_span stripped = frcnn_weights_strip(name);
		prefixed = prefixed || stripped.size != name.size;
		tensors[i].name = stripped.data; /* a tail: the NUL is still there */
	}
	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		bool is_count = prefixed && tensors[i].elements == 1 && tensors[i].dtype == FRCNN_I64 &&
				strcmp(tensors[i].name, "n_averaged") == 0;
		if (!is_count)
			tensors[kept++] = tensors[i];
	}
	checkpoint->ntensors = kept;
	if (kept > 0)
		qsort(tensors, kept, sizeof(*tensors), by_name);
	for (size_t i = 1; i < kept; i++) {
		if (by_name(&tensors[i - 1], &tensors[i]) == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%.128s\" is there under several prefixes",
					  tensors[i].name);
	}
	return 0;
}

/* ---- opening
 * ------------------------------------------------------------------------------------------------------------------ */

/* Tells the container by its first bytes. */
static int sniff(const uint8_t *bytes, size_t size, enum frcnn_container *out, struct frcnn_error *err)
{
	static const char lfs[] = "version https://git-lfs";

	if (size == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "empty file");
	if (size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0) {
		*out = FRCNN_PTH_ZIP;
		return 0;
	}
	if (size >= 9 && bytes[8] == '{') {
		*out = FRCNN_SAFETENSORS;
		return 0;
	}
	if (size >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5) {
		*out = FRCNN_PTH_LEGACY;
		return 0;
	}
	if (size >= 8 && memcmp(bytes + 4, "\0\0\0\0", 4) == 0) { /* a length: let that reader say what is wrong */
		*out = FRCNN_SAFETENSORS;
		return 0;
	}
	if (size >= sizeof(lfs) - 1 && memcmp(bytes, lfs, sizeof(lfs) - 1) == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "a git-lfs pointer, not the model itself");
	return frcnn_fail(err, FRCNN_EFORMAT, "no model: neither a PyTorch checkpoint nor safetensors");
}

static int load(struct state *state, const uint8_t *bytes, size_t size, const char *weights_key,
		struct frcnn_checkpoint *out, struct frcnn_error *err)
{
	int status = sniff(bytes, size, &out->container, err);

	if (status < 0)
		return status;
	if (out->container == FRCNN_SAFETENSORS) {
		status = frcnn_safetensors_load(bytes, size, &state->arena, out, err);
		if (status == 0 && weights_key != NULL)
			status = keep_under_key(out, weights_key, err);
	} else {
		status = load_torch(bytes, size, weights_key, &state->arena, out, err);
	}
	return status < 0 ? status : finish_names(out, err);
}

int frcnn_checkpoint_parse(const void *bytes, size_t size, const char *weights_key, struct frcnn_checkpoint *out,
			   struct frcnn_error *err)
{
	struct state *state = frcnn_calloc(1, sizeof(*state));

	*out = (struct frcnn_checkpoint){.state = state};
	if (state == NULL)
		return frcnn_fail_nomem(err);
	int status = load(state, bytes, size, weights_key, out, err);
	if (status < 0)
		frcnn_checkpoint_close(out);
	return status;
}

int frcnn_checkpoint_open(const char *path, const char *weights_key, struct frcnn_checkpoint *out,
			  struct frcnn_error *err)
{
	struct frcnn_error inner = {0};
	struct state *state = frcnn_calloc(1, sizeof(*state));
	int status;

	*out = (struct frcnn_checkpoint){.state = state};
	if (state == NULL)
		return frcnn_fail_nomem(err);
	status = frcnn_file_open(path, 0, &state->file, err);
	if (status < 0)
		goto out;
	status = load(state, state->file.data, state->file.size, weights_key, out, &inner);
	if (status == 0)
		status = frcnn_sha256(state->file.data, state->file.size, out->sha256, &inner);
	if (status < 0)
		frcnn_fail(err, status, "%s: %s", path, inner.message);
out:
	if (status < 0)
		frcnn_checkpoint_close(out);
	return status;
}

void frcnn_checkpoint_close(struct frcnn_checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	struct state *state = checkpoint->state;
	if (state != NULL) {
		frcnn_arena_free(&state->arena);
		frcnn_file_close(&state->file);
		free(state);
	}
	*checkpoint = (struct frcnn_checkpoint){0};
}

const struct frcnn_tensor *frcnn_checkpoint_find(const struct frcnn_checkpoint *checkpoint, const char *name)
{
	struct frcnn_tensor key = {.name = name};

	if (checkpoint->ntensors == 0)
		return NULL;
	return bsearch(&key, checkpoint->tensors, checkpoint->ntensors, sizeof(key), by_name);
}
