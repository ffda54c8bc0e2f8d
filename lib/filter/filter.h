/*
 * filter - records in, records out: reads detections of one or several
 * detectors, joins them by image, lets nms/ suppress or fuse each image's boxes
 * and writes what is left in the form it came in, the text of all that was not
 * computed untouched. What suppresses what is nms/, what a record means is
 * record/; nothing here prints or opens files.
 */
#ifndef FRCNN_FILTER_H
#define FRCNN_FILTER_H

#include "nms/nms.h"
#include "record/record.h"

/* ---- thresholds by class (thresholds.c) ------------------------------------------------------ */

struct frcnn_filter_threshold {
	char *name; /* of a class, or its id in digits */
	double iou; /* 0 .. 1 */
};
struct frcnn_filter_thresholds {
	struct frcnn_filter_threshold *items;
	size_t count, capacity;
};
/* A line a class: its name or id, blanks or a tab, the threshold. Names may have blanks in them. Empty lines and lines
 * that begin with # are passed over. A class given twice is an error; errors name the line. */
int frcnn_filter_thresholds_parse(const char *text, size_t size, struct frcnn_filter_thresholds *out,
				  struct frcnn_error *err);
void frcnn_filter_thresholds_free(struct frcnn_filter_thresholds *thresholds);

/* ---- classes (labels.c) ---------------------------------------------------------------------- */

/* Classes as they turn up: the same where names are, or ids where one side has no name. */
struct frcnn_filter_label {
	char *name; /* NULL: none */
	bool has_id;
	int64_t id;
};
struct frcnn_filter_labels {
	struct frcnn_filter_label *items;
	size_t count, capacity;
	uint32_t *slots; /* by name: index + 1; 0: free */
	size_t nslots, named;
	struct frcnn_id_map ids;
	size_t last; /* what the last call gave: detections of a class often follow each other */
};
/* The label's index; SIZE_MAX: no memory. */
size_t frcnn_filter_labels_find(struct frcnn_filter_labels *labels, const char *name, bool has_id, int64_t id);
void frcnn_filter_labels_free(struct frcnn_filter_labels *labels);

/* ---- one filter (filter.c, join.c, emit.c) --------------------------------------------------- */

struct frcnn_filter_options {
	struct frcnn_nms_options nms; /* weights: nsources of them; copied where pointers are needed */
	bool agnostic;                /* boxes of different classes meet too */
	bool by_box;                  /* of equal scores the box that is further left, up ... comes first */
	double score;                 /* keep score > this, as float32; NaN: all */
	double min_size;              /* keep boxes whose shorter side is at least this, in pixels; NaN: all */
	char *const *classes;         /* names or ids to keep; borrowed */
	size_t nclasses;              /* 0: all */
	const struct frcnn_filter_thresholds *thresholds; /* borrowed; NULL: none */
	bool convert;                                     /* write format; else the form of the first input */
	enum frcnn_record_format format;
};

struct frcnn_filter_counts {
	size_t images, partial; /* partial: not in all inputs */
	size_t in, out;         /* detections read, those left out by score, size and class included; and written */
	size_t failed;          /* lines, records and detections that were wrong, each an error notice */
	size_t above_one;       /* fused scores above 1 */
};

struct frcnn_filter;
/* Receives text in pieces, in order. 0, or a negative status that ends the run. */
typedef int (*frcnn_filter_put)(void *context, const char *text, size_t size, struct frcnn_error *err);

/* nsources: how many inputs there will be. Options are copied but for what they borrow. notices and pool may be NULL.
 */
int frcnn_filter_new(const struct frcnn_filter_options *options, size_t nsources, struct frcnn_pool *pool,
		     const struct frcnn_notices *notices, struct frcnn_filter **out, struct frcnn_error *err);
void frcnn_filter_free(struct frcnn_filter *filter);

/* One input of JSON Lines, line by line as they come: memory follows one line. name as for frcnn_records_open_*. */
int frcnn_filter_stream(struct frcnn_filter *filter, FILE *stream, const char *name, frcnn_filter_put put,
			void *context, struct frcnn_error *err);

/* Or: all inputs whole, texts in memory (borrowed until free) ... */
struct frcnn_filter_input {
	const char *name;
	const void *text;
	size_t size;
};
int frcnn_filter_load(struct frcnn_filter *filter, const struct frcnn_filter_input *inputs, struct frcnn_error *err);
/* ... then written once. */
int frcnn_filter_write(struct frcnn_filter *filter, frcnn_filter_put put, void *context, struct frcnn_error *err);

struct frcnn_filter_counts frcnn_filter_counts(const struct frcnn_filter *filter);
/* Whether a detection that was read, kept or not, is of that class (name or id); true too when none was read. */
bool frcnn_filter_has_class(const struct frcnn_filter *filter, const char *word);

/* ---- for sweeps: the same images under other options ---- */

struct frcnn_filter_found {
	size_t label;
	double bbox[4], score; /* as a reader of what would be written has them */
};
struct frcnn_filter_image {
	const char *file_name; /* NULL: not known */
	bool has_id;
	int64_t id;
};
size_t frcnn_filter_nimages(const struct frcnn_filter *filter);
struct frcnn_filter_image frcnn_filter_image_of(const struct frcnn_filter *filter, size_t image);
const struct frcnn_filter_labels *frcnn_filter_labels_of(const struct frcnn_filter *filter);
/* What of an image is left under nms, in place of the options' own; *out is the caller's to free. */
int frcnn_filter_try(struct frcnn_filter *filter, size_t image, const struct frcnn_nms_options *nms,
		     struct frcnn_filter_found **out, size_t *count, struct frcnn_error *err);

/* ---- private to this folder ------------------------------------------------------------------ */

/* One detection: where its text is, and what is needed of it. */
struct frcnn_filter_entry {
	const char *text;
	uint32_t size, bbox_at, bbox_size, score_at, score_size; /* score_size 0: it has none */
	int32_t label;                                           /* of the source, later of all */
	uint32_t source;
	float box[4]; /* left, top, width, height */
	float score;
	bool coco; /* from COCO results: the text has an image_id */
	bool kept, moved, rescored;
	size_t index; /* in the input */
};

/* One image's record in one source. */
struct frcnn_filter_part {
	size_t source;
	size_t first, count; /* entries */
	size_t line;
	bool has_id, proposals;
	int64_t id;
	char *file_name;
	int width, height;
	struct frcnn_span text, array; /* JSON Lines: the line and what is replaced in it; else empty */
	size_t image;                  /* it belongs to; SIZE_MAX: to none */
	struct frcnn_filter_part *next;
};

struct frcnn_filter_source {
	const char *name;
	enum frcnn_record_form form;
	struct frcnn_filter_labels labels;
	struct frcnn_filter_entry *entries;
	size_t nentries, entry_capacity;
	struct frcnn_span
	    items; /* of a dataset: from the first annotation's text to the last one's, those left out too */
	struct frcnn_filter_part *parts;
	size_t nparts, part_capacity;
	size_t in, failed;
	struct frcnn_records *records;
	const char *text;
	size_t size;
	struct frcnn_error err; /* of memory */
	int status;
	char **lines; /* notices, kept until they can be given in order */
	uint8_t *kinds;
	size_t nlines, line_capacity, kind_capacity;
};

struct frcnn_filter_joined {
	bool has_id;
	int64_t id;
	const char *file_name;
	int width, height;
	struct frcnn_filter_part *parts; /* in the order of sources */
	size_t nparts;
};

struct frcnn_filter {
	struct frcnn_filter_options options;
	double *weights;
	struct frcnn_pool *pool;
	struct frcnn_notices notices;
	size_t nsources;
	struct frcnn_filter_source *sources;
	struct frcnn_filter_labels labels;
	bool streamed;      /* labels are the source's */
	double *thresholds; /* by label; NaN: none */
	size_t nthresholds, threshold_capacity;
	struct frcnn_filter_joined *images;
	size_t nimages, image_capacity;
	struct frcnn_filter_counts counts;
};

/* Adds a detection, or leaves it out by score, size or class. 0 or FRCNN_ENOMEM. */
int frcnn_filter_add_entry(struct frcnn_filter *filter, struct frcnn_filter_source *source,
			   const struct frcnn_record_item *item);
/* Of a whole text that is an array of plain COCO results. 1: done; 0: it is not, nothing was taken; FRCNN_ENOMEM
 * (plain.c). */
int frcnn_filter_read_plain(struct frcnn_filter *filter, struct frcnn_filter_source *source);

/* Joins the sources' parts into images. 0 or FRCNN_ENOMEM; what does not fit is an error notice. */
int frcnn_filter_join(struct frcnn_filter *filter, struct frcnn_error *err);

/* Where an image's survivors go, best first. */
struct frcnn_filter_left {
	struct frcnn_filter_entry **entries;
	size_t count, above_one;
};
/* text: the form of what is written. */
int frcnn_filter_emit_record(const struct frcnn_filter *filter, const struct frcnn_filter_joined *image,
			     const struct frcnn_filter_left *left, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_filter_emit_result(const struct frcnn_filter *filter, const struct frcnn_filter_joined *image,
			     const struct frcnn_filter_entry *entry, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_filter_emit_csv(const struct frcnn_filter *filter, const struct frcnn_filter_joined *image,
			  const struct frcnn_filter_left *left, struct frcnn_buffer *out, struct frcnn_error *err);
/* The entry's text with what was computed put in. */
void frcnn_filter_emit_same(const struct frcnn_filter_entry *entry, struct frcnn_buffer *out);
/* Four numbers' texts of the box, or its new ones, separated. */
void frcnn_filter_emit_bbox(const struct frcnn_filter_entry *entry, const char *between, struct frcnn_buffer *out);

#endif
