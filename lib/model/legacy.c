/*
 * PyTorch's container before its release 1.6: five pickles one after the other
 * (a magic number, the protocol, facts of the system, the object, the keys of the
 * storages), then for each key a count of elements and the elements themselves.
 */
#include "model/container.h"

static const uint8_t magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
#define PROTOCOL 1001

static int compare_keys(struct frcnn_span a, struct frcnn_span b)
{
	int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

static int by_key(const void *a, const void *b)
{
	return compare_keys((*(struct frcnn_storage *const *)a)->key, (*(struct frcnn_storage *const *)b)->key);
}

/* The first of the sorted storages that bears key, or count. */
static size_t find_key(struct frcnn_storage *const *storages, size_t count, struct frcnn_span key)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_keys(storages[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && compare_keys(storages[low]->key, key) == 0 ? low : count;
}

/* Gives storages[first] and all that follow under its key the count elements at bytes; *used: how long they are. */
static int place(struct frcnn_storage **storages, size_t count, size_t first, uint64_t numel, const uint8_t *bytes,
		 size_t room, size_t *used, struct frcnn_error *err)
{
	struct frcnn_span key = storages[first]->key;
	int size = key.size > 64 ? 64 : (int)key.size;
	size_t item = frcnn_dtype_size(storages[first]->dtype);

	if (storages[first]->data != NULL)
		return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" is there twice", size, key.data);
	if (numel > room / item)
		return frcnn_fail(err, FRCNN_EFORMAT, "file is truncated: storage \"%.*s\" ends beyond it", size,
				  key.data);
	for (size_t i = first; i < count && compare_keys(storages[i]->key, key) == 0; i++) {
		struct frcnn_storage *storage = storages[i];
		if (frcnn_dtype_size(storage->dtype) != item || (uint64_t)storage->numel != numel)
			return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" has two sizes", size, key.data);
		storage->data = bytes;
		storage->size = (size_t)numel * item;
		if (storage->view_numel < 0)
			continue;
		if (storage->view_offset > storage->numel ||
		    storage->view_numel > storage->numel - storage->view_offset)
			return frcnn_fail(err, FRCNN_EFORMAT, "a view reaches beyond storage \"%.*s\"", size, key.data);
		storage->data = bytes + (size_t)storage->view_offset * item;
		storage->size = (size_t)storage->view_numel * item;
	}
	*used = (size_t)numel * item;
	return 0;
}

int frcnn_legacy_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_value **root,
		      struct frcnn_error *err)
{
	struct frcnn_pickle part, object;
	size_t at;
	int status = frcnn_pickle_load(bytes, size, arena, &part, err);

	if (status < 0)
		return status;
	if (part.root->kind != FRCNN_VALUE_BYTES || part.root->text.size != sizeof(magic) ||
	    memcmp(part.root->text.data, magic, sizeof(magic)) != 0)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "a pickle, but not a PyTorch checkpoint");
	at = part.used;
	status = frcnn_pickle_load(bytes + at, size - at, arena, &part, err);
	if (status < 0)
		return status;
	if (part.root->kind != FRCNN_VALUE_INT || part.root->integer != PROTOCOL)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "a PyTorch checkpoint of an unknown protocol");
	at += part.used;
	status = frcnn_pickle_load(bytes + at, size - at, arena, &part, err);
	if (status < 0)
		return status;
	if (part.root->kind != FRCNN_VALUE_DICT)
		return frcnn_fail(err, FRCNN_EFORMAT, "a PyTorch checkpoint without its system's facts");
	const struct frcnn_value *little = frcnn_value_get(part.root, "little_endian", strlen("little_endian"));
	if (little != NULL && (little->kind != FRCNN_VALUE_BOOL || little->integer == 0))
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "its numbers are big-endian");
	at += part.used;
	status = frcnn_pickle_load(bytes + at, size - at, arena, &object, err);
	if (status < 0)
		return status;
	at += object.used;
	status = frcnn_pickle_load(bytes + at, size - at, arena, &part, err);
	if (status < 0)
		return status;
	at += part.used;
	if (part.root->kind != FRCNN_VALUE_LIST)
		return frcnn_fail(err, FRCNN_EFORMAT, "a PyTorch checkpoint without its list of storages");
	if (object.nstorages > 0)
		qsort(object.storages, object.nstorages, sizeof(*object.storages), by_key);
	for (size_t i = 0; i < part.root->count; i++) {
		const struct frcnn_value *key = part.root->items[i];
		uint64_t numel = 0;
		size_t used = 0;
		if (key->kind != FRCNN_VALUE_TEXT)
			return frcnn_fail(err, FRCNN_EFORMAT, "a storage without a key");
		size_t first = find_key(object.storages, object.nstorages, key->text);
		if (first == object.nstorages)
			return frcnn_fail(err, FRCNN_EFORMAT, "storage \"%.*s\" is of no known type",
					  key->text.size > 64 ? 64 : (int)key->text.size, key->text.data);
		if (size - at < 8)
			return frcnn_fail(err, FRCNN_EFORMAT, "file is truncated: storages are missing");
		for (int byte = 0; byte < 8; byte++)
			numel |= (uint64_t)bytes[at + byte] << (8 * byte);
		at += 8;
		status = place(object.storages, object.nstorages, first, numel, bytes + at, size - at, &used, err);
		if (status < 0)
			return status;
		at += used;
	}
	*root = object.root;
	return 0;
}
