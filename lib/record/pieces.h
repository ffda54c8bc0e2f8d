/*
 * pieces - one long JSON array of flat objects, read by several threads. Part of
 * record/ and private to it. The text is cut into pieces that are parsed each
 * on its own; a piece begins at what looks like an element ("}," then "{"), and
 * whether it was one shows when the piece before it ends just there. Only what
 * is plain and in order is taken: everything else, and everything wrong, is the
 * ordinary readers' business, who have the messages.
 */
#ifndef FRCNN_PIECES_H
#define FRCNN_PIECES_H

#include "record/record.h"

struct frcnn_cursor {
	const char *at, *end;
};

/* Each takes what stands at the cursor, white space before it passed over; false: it is not there, or not plain. A
 * value that ends where the text does counts as cut off. */
bool frcnn_plain_char(struct frcnn_cursor *c, char wanted);
bool frcnn_plain_string(struct frcnn_cursor *c, struct frcnn_span *out); /* printable ASCII without escapes */
bool frcnn_plain_number(struct frcnn_cursor *c, double *out);            /* JSON's grammar, within float32's range */
bool frcnn_plain_id(struct frcnn_cursor *c, int64_t *out);               /* at most 18 digits, no point, no exponent */
bool frcnn_plain_bbox(struct frcnn_cursor *c, double out[4]);            /* sides >= 0 */
bool frcnn_plain_skip(struct frcnn_cursor *c);                           /* any value */

/* The items of one piece, in order. */
struct frcnn_piece {
	uint64_t start, next; /* offsets of its first element and of the first one beyond it; UINT64_MAX: none */
	uint64_t end;         /* behind the array's "]", where it stands here; else 0 */
	bool plain;
	int status;
	void *items;
	size_t count, capacity;
};

struct frcnn_pieces {
	/* in */
	int fd;           /* read from there, or */
	const char *text; /* where not NULL */
	uint64_t first;   /* offset of the array's "[" */
	uint64_t size;    /* of the whole text */
	size_t length;    /* bytes of one piece; 0: the default */
	size_t item_size;
	/* Takes the element whose "{" is at the cursor into item. False: not plain. Called on any thread. */
	bool (*take)(const void *context, struct frcnn_cursor *c, void *item);
	const void *context;
	/* out, valid after 1 */
	struct frcnn_piece *pieces;
	size_t npieces;
	size_t total; /* items */
	uint64_t end; /* offset behind the array's "]" */
	/* private */
	char **buffers;
};

/* 1: every element of the array was taken; 0: not plain; < 0: FRCNN_ENOMEM. Free in any case. */
int frcnn_pieces_read(struct frcnn_pieces *pieces, struct frcnn_pool *pool);
void frcnn_pieces_free(struct frcnn_pieces *pieces);

/* ---- the annotations of a dataset (annotations.c) -------------------------------------------------------------------
 */

struct frcnn_annotation {
	int64_t id, image_id, category_id;
	double bbox[4];
	double area; /* >= 0 */
	uint8_t crowd;
	bool has_area, has_crowd; /* the keys are there */
};
/* The array behind the first "annotations" in the text, wherever that stands: the caller sees to it that it is the
 * dataset's. Items are struct frcnn_annotation; the array is text[out->first .. out->end). As frcnn_pieces_read. */
int frcnn_annotations_read(const char *text, size_t size, size_t length, struct frcnn_pool *pool,
			   struct frcnn_pieces *out);

#endif
