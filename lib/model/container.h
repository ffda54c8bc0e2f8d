/*
 * container - what the readers of checkpoint containers share among themselves:
 * an arena, the ZIP reader, the pickle machine and its values, the search for the
 * weights. Included by those readers alone; everyone else sees model.h. Knows
 * bytes, names and tensors, and nothing of what a network needs.
 */
#ifndef FRCNN_MODEL_CONTAINER_H
#define FRCNN_MODEL_CONTAINER_H

#include "model/model.h"

/* ---- arena (arena.c): memory that lives until the checkpoint is closed ----------------------------------------- */

struct frcnn_arena {
	struct frcnn_arena_block *blocks; /* the newest first */
};
/* count * size zeroed bytes, aligned to 16; NULL when refused. */
void *frcnn_arena_alloc(struct frcnn_arena *arena, size_t count, size_t size);
char *frcnn_arena_strndup(struct frcnn_arena *arena, const char *text, size_t size);
void frcnn_arena_free(struct frcnn_arena *arena);

/* ---- ZIP archives (zip.c) -------------------------------------------------------------------- */

struct frcnn_zip_entry {
	struct frcnn_span name;
	const uint8_t *packed; /* in the archive */
	size_t packed_size;
	size_t size;
	uint32_t crc;
	uint16_t method, flags;
	const uint8_t *data; /* NULL until frcnn_zip_read */
};

struct frcnn_zip {
	struct frcnn_zip_entry *entries; /* in byte order of names, names unique, records disjoint */
	size_t count;
	size_t inflated; /* bytes inflated so far, for the limit on their sum */
};

/* Reads the directory (ZIP64 too). bytes must outlive the zip; memory comes from the arena. */
int frcnn_zip_open(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_zip *out,
		   struct frcnn_error *err);
struct frcnn_zip_entry *frcnn_zip_find(const struct frcnn_zip *zip, const char *name, size_t size);
/* Makes entry->data valid: in place when stored, inflated into the arena otherwise; the CRC is checked once. More than
 * `most` bytes are FRCNN_ELIMIT, before any are inflated. */
int frcnn_zip_read(struct frcnn_zip *zip, struct frcnn_zip_entry *entry, size_t most, struct frcnn_arena *arena,
		   struct frcnn_error *err);

/* ---- pickle (pickle.c): a machine that builds inert values and calls nothing ------------------------------------- */

#define FRCNN_MAX_PICKLE ((size_t)64 << 20) /* bytes; a state dict's is some 100 KB */

enum frcnn_value_kind {
	FRCNN_VALUE_PLAIN,  /* None, a float, a torch.device: carries nothing we need */
	FRCNN_VALUE_BOOL,   /* integer */
	FRCNN_VALUE_INT,    /* integer */
	FRCNN_VALUE_TEXT,   /* text */
	FRCNN_VALUE_BYTES,  /* text; also integers of more than 64 bits, little-endian */
	FRCNN_VALUE_LIST,   /* items: lists, tuples, sets */
	FRCNN_VALUE_DICT,   /* items: key, value, key, value, ...; a key may stand there twice */
	FRCNN_VALUE_KNOWN,  /* a global that we know the meaning of: global, dtype */
	FRCNN_VALUE_OBJECT, /* placeholder of any other global, and of whatever would be made by calling it; text: its
			       name */
	FRCNN_VALUE_STORAGE,
	FRCNN_VALUE_TENSOR
};

struct frcnn_storage {
	struct frcnn_span key;
	enum frcnn_dtype dtype;
	int64_t numel;
	int64_t view_offset, view_numel; /* legacy files: a part of the storage; view_numel -1: all of it */
	const uint8_t *data;             /* NULL until found in the container */
	size_t size;                     /* bytes at data */
};

struct frcnn_torch_tensor {
	struct frcnn_storage *storage;
	enum frcnn_dtype dtype;
	int64_t offset;                          /* elements */
	const struct frcnn_value *size, *stride; /* lists of integers, not checked yet */
};

struct frcnn_value {
	uint8_t kind, global, dtype;
	bool searched, checked; /* marks of the walks in weights.c */
	size_t count, capacity; /* of items */
	union {
		int64_t integer;
		struct frcnn_span text;
		struct frcnn_value **items;
		struct frcnn_storage *storage;
		struct frcnn_torch_tensor *tensor;
	};
	struct frcnn_value *state; /* what BUILD gave a dict, or NULL */
};

struct frcnn_pickle {
	struct frcnn_value *root;
	struct frcnn_storage **storages; /* every persistent id met, in order; several may bear one key */
	size_t nstorages;
	size_t used; /* bytes up to and including STOP */
};

/* Runs one pickle at bytes; what comes behind its end is not looked at. Texts point into bytes. */
int frcnn_pickle_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_pickle *out,
		      struct frcnn_error *err);
/* The last value under a text key, or NULL. */
struct frcnn_value *frcnn_value_get(const struct frcnn_value *dict, const char *key, size_t size);
bool frcnn_value_is_text(const struct frcnn_value *value, const char *text);

/* ---- from pickled objects to tensors --------------------------------------------------------- */

struct frcnn_torch_entry {
	struct frcnn_span name;
	struct frcnn_torch_tensor *tensor;
};

/* Finds the state dict in a checkpoint's object (weights.c): looks through wrappers, prefers the model to its moving
 * average, refuses placeholders among the weights. *note: see frcnn_checkpoint. */
int frcnn_weights_find(struct frcnn_value *root, const char *weights_key, struct frcnn_arena *arena,
		       struct frcnn_torch_entry **out, size_t *count, char **note, struct frcnn_error *err);

/* Checks a tensor against its storage, whose data must be set, and fills all of *out but its name (tensor.c). */
int frcnn_torch_tensor_check(struct frcnn_span name, const struct frcnn_torch_tensor *tensor, struct frcnn_tensor *out,
			     struct frcnn_error *err);

/* A legacy container (legacy.c): its object, and the data of all its storages. */
int frcnn_legacy_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_value **root,
		      struct frcnn_error *err);

/* A safetensors file (safetensors.c): tensors (names as in the file, in the file's order), metadata, provenance. */
int frcnn_safetensors_load(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_checkpoint *out,
			   struct frcnn_error *err);

/* A name without "module.", "model.", "_orig_mod." at its front, however often they stand there (weights.c). */
struct frcnn_span frcnn_weights_strip(struct frcnn_span name);

#define FRCNN_MAX_TENSORS 65536

#endif
