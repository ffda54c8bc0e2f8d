/*
 * record - what a record means: detections, proposals and ground truth between
 * text and structs. JSON Lines, COCO results, COCO datasets, CSV, label files,
 * and the rules by which a record finds its image. frcnn-records(5) describes
 * the forms. JSON's syntax lives in json/; what is done with a box (IoU, NMS,
 * AP) does not live here, nor does anything that opens images or prints.
 *
 * Boxes here are COCO's: left, top, width, height in pixels of the original
 * image. Ids are 64-bit and exact.
 */
#ifndef FRCNN_RECORD_H
#define FRCNN_RECORD_H

#include "base/base.h"
#include "json/json.h"

/* ---- notices: what went on while reading, one line each ------------------------------------------------------ */

enum frcnn_notice_kind {
	FRCNN_NOTICE_WARNING, /* odd, but taken */
	FRCNN_NOTICE_ERROR    /* something was left out; the rest goes through (the program ends 2) */
};

/* The library prints nothing: lines ("file:12: text", no newline) go to the caller's function. note NULL: dropped. */
struct frcnn_notices {
	void (*note)(void *context, enum frcnn_notice_kind kind, const char *line);
	void *context;
};

/* ---- writing (write.c) ----------------------------------------------------------------------------------------- */

enum frcnn_record_format { FRCNN_FORMAT_JSONL, FRCNN_FORMAT_COCO, FRCNN_FORMAT_CSV };

/* "jsonl", "coco", "csv". False for any other word. */
bool frcnn_record_format_parse(const char *word, enum frcnn_record_format *out);

/* A label's category; name may be NULL. Names are UTF-8. */
struct frcnn_category {
	int64_t id;
	const char *name;
};

/* What a record says of its image. */
struct frcnn_record_image {
	bool has_image_id;
	int64_t image_id;
	const char *file_name; /* bytes as the system has them; escaped reversibly in the record. NULL: left out */
	int width, height;     /* of the original picture */
	const char *model;     /* frcnn_model_id's; NULL: left out. Escaped as file names are */
};

struct frcnn_record_writer {
	enum frcnn_record_format format;
	bool proposals;                          /* records hold proposals (objectness) in place of detections */
	const struct frcnn_category *categories; /* of label 0 .. ncategories - 1 (0: background, unused); not owned */
	size_t ncategories;
	bool any; /* COCO: an element was written (a program that resumes behind one sets it) */
};

/* Each appends to out and leaves it as it was when it fails; the caller decides when to write. Begin: "[" of COCO, the
 * header of CSV, nothing for JSON Lines. One record a call, whole lines of text: JSON Lines one line (LF); COCO one
 * line a detection, none without detections; CSV one line a detection (CRLF, as RFC 4180 has it), one with empty box
 * fields for an image without. Bytes do not depend on what was written before but for `any`. COCO needs has_image_id
 * and no proposals (FRCNN_EINVAL naming the file). Errors: a value that is not finite, a label outside the table,
 * FRCNN_ENOMEM. bbox is x1, y1, x2 - x1, y2 - y1 in float32; numbers are the shortest text of their float32. */
int frcnn_record_begin(struct frcnn_record_writer *writer, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_record_put(struct frcnn_record_writer *writer, struct frcnn_buffer *out,
		     const struct frcnn_record_image *image, const struct frcnn_detections *detections,
		     struct frcnn_error *err);
int frcnn_record_end(struct frcnn_record_writer *writer, struct frcnn_buffer *out, struct frcnn_error *err);

/* ---- reading (read.c, value.c, sniff.c) ------------------------------------------------------------------------- */

/* Told apart by content. */
enum frcnn_record_form {
	FRCNN_FORM_UNKNOWN,     /* nothing read yet, or an empty input */
	FRCNN_FORM_JSONL,       /* one image a line */
	FRCNN_FORM_COCO_ARRAY,  /* COCO results: one array */
	FRCNN_FORM_COCO_LINES,  /* COCO results: one object a line */
	FRCNN_FORM_COCO_DATASET /* images, annotations, categories: score 1 throughout */
};

/* One detection or proposal. Texts are spans of the input as it stands (a filter passes on what it did not compute):
 * text is the whole object, so text with bbox_text or score_text replaced is the object with everything else kept. */
struct frcnn_record_item {
	double bbox[4];    /* left, top, width >= 0, height >= 0; finite */
	float bbox_f32[4]; /* the same decimal text rounded once to float32 */
	double score;      /* finite; of a proposal: objectness; of a dataset's annotation: 1 */
	float score_f32;
	bool has_category_id; /* of a detection, at least one of id and name is there; of a proposal, maybe neither */
	bool crowd;           /* iscrowd of a dataset's annotation */
	int64_t category_id;
	const char *category; /* name or NULL */
	size_t index;         /* of COCO forms: number in the input, from 0, in input order; else in the array */
	size_t line;          /* of the input, from 1 */
	struct frcnn_span text, bbox_text, score_text; /* score_text.data NULL: no such key */
};

/* A key that has no meaning here: decoded key and the value's text. Keys with a meaning are not listed. */
struct frcnn_record_extra {
	const char *key;
	struct frcnn_span value;
};

/* One image. Everything belongs to the reader and lives until the next call on it. */
struct frcnn_record {
	bool has_image_id;
	int64_t image_id;
	const char *file_name; /* bytes, escapes undone, no NUL inside; NULL: absent (always in COCO results) */
	int width, height;     /* 0: absent */
	const char *model;     /* as the record has it; NULL: absent */
	bool has_detections, has_proposals; /* the keys are there; at least one is */
	struct frcnn_record_item *detections, *proposals;
	size_t ndetections, nproposals;

	/* JSON Lines only: the line without its line end, and the arrays in it. */
	struct frcnn_span text, detections_text, proposals_text;
	struct frcnn_record_extra *extras;
	size_t nextras;
	size_t line; /* where the image's line, or its first detection, is; from 1 */
};

struct frcnn_records;

/* A line of JSON Lines may be this long (64 MiB); a longer one is an error and passed over. */
#define FRCNN_RECORD_MAX_LINE ((size_t)64 << 20)

/* name is the file's, for messages ("-" is written as "standard input"). The stream or text is borrowed until close; a
 * stream is read up to its end, never sought. notices may be NULL. */
int frcnn_records_open_stream(FILE *stream, const char *name, const struct frcnn_notices *notices,
			      struct frcnn_records **out, struct frcnn_error *err);
int frcnn_records_open_memory(const void *text, size_t size, const char *name, const struct frcnn_notices *notices,
			      struct frcnn_records **out, struct frcnn_error *err);
void frcnn_records_close(struct frcnn_records *records);

/* 1: *out is the next image; 0: the end; < 0: one thing was wrong, *err says "file:line: what and where in it", and the
 * caller counts it and goes on calling (after trouble that cannot be passed over, the next call returns 0).
 *
 * JSON Lines come line by line, a record as soon as its line is there; memory follows one line. The COCO forms are read
 * whole before the first record comes: images in the order of their first result (of a dataset: of `images`, those
 * without annotations too), detections in input order. Memory is the text (when it came from a stream) and 40 bytes a
 * detection. A result, annotation or line that is wrong is one error; the others go through. */
int frcnn_records_next(struct frcnn_records *records, const struct frcnn_record **out, struct frcnn_error *err);
/* Before the first call of frcnn_records_next: reads as pycocotools does. Python's NaN, Infinity and -Infinity are
 * numbers too, what is too large for a double is infinite, boxes may have negative sizes. */
void frcnn_records_pycocotools(struct frcnn_records *records);
/* Settled by the first call of frcnn_records_next. */
enum frcnn_record_form frcnn_records_form(const struct frcnn_records *records);

/* ---- ground truth (coco.c) --------------------------------------------------------------------------------------- */

enum frcnn_truth_form { FRCNN_TRUTH_COCO, FRCNN_TRUTH_VOC, FRCNN_TRUTH_YOLO };

/* A COCO instances file (segmentations are passed over unbuilt), or a folder of VOC or YOLO files, in columns. */
struct frcnn_ground_truth {
	enum frcnn_truth_form form;
	size_t nimages; /* in file order; ids unique */
	int64_t *image_ids;
	const char **file_names; /* as the file has them, no NUL inside; NULL: absent */
	int *widths, *heights;   /* 0: absent */
	/* Folders: the file's base name without suffix, by which a record's file name finds the image; NULL: COCO. */
	const char **stems;
	bool own_ids;        /* image ids are numbers given here, so no record's image_id can mean them */
	bool own_categories; /* category ids are places in the byte order of the names */

	size_t nannotations; /* in file order, those that are in order */
	int64_t *annotation_ids;
	size_t *annotation_images; /* index of the image */
	int64_t *annotation_categories;
	double *bboxes;  /* 4 each: left, top, width >= 0, height >= 0; finite */
	double *areas;   /* w * h where the file has none */
	uint8_t *crowds; /* 1: iscrowd; 2: VOC's difficult, ignored as a crowd is, but it is a box like others */
	/* Annotations of image i, in file order: by_image[first[i]] .. by_image[first[i + 1] - 1]. */
	size_t *first, *by_image;

	size_t ncategories; /* in file order; ids unique */
	int64_t *category_ids;
	const char **category_names; /* NULL: absent */

	size_t errors; /* how many entries were left out, each named by a notice */
	void *state;   /* private: names */
};

/* images_only: annotations are passed over (an image list). Every image needs an id; every annotation an id, image_id,
 * category_id and bbox. An entry that is wrong is an error notice and left out; a file that is no JSON, or no dataset,
 * is a failure. Warnings, one each with a count: iscrowd absent (0), area absent (w * h), zero-size boxes (the first is
 * named), categories that the file lacks, duplicate annotation ids. name as for frcnn_records_open_*. text is not
 * needed afterwards. */
int frcnn_ground_truth_parse(const void *text, size_t size, const char *name, bool images_only,
			     const struct frcnn_notices *notices, struct frcnn_ground_truth *out,
			     struct frcnn_error *err);
int frcnn_ground_truth_read(const char *path, bool images_only, const struct frcnn_notices *notices,
			    struct frcnn_ground_truth *out, struct frcnn_error *err);
void frcnn_ground_truth_free(struct frcnn_ground_truth *truth);
/* Name of a category id, or NULL. */
const char *frcnn_ground_truth_category(const struct frcnn_ground_truth *truth, int64_t category_id);

/* ---- ground truth in any form (truth.c) ------------------------------------------------------ */

struct frcnn_ground_truth_options {
	bool images_only;
	/* COCO: reads as pycocotools does. NaN, Infinity and -Infinity are numbers, sizes and areas may be negative;
	 * annotations without iscrowd or area fail the file (a KeyError there). */
	bool pycocotools;
	const struct frcnn_labels *labels; /* line i is category id i; of a COCO file not used. NULL: none */
	const char *image_root;            /* YOLO: the folder of the images; NULL: the folder itself */
	/* YOLO: how to ask for an image's size; give frcnn_image_size of image/. This folder opens no images itself. */
	int (*image_size)(const void *bytes, size_t size, const struct frcnn_image_options *options, int *width,
			  int *height, struct frcnn_error *err);
	const struct frcnn_image_options *image_options; /* handed to image_size; may be NULL */
	struct frcnn_pool *pool; /* a COCO file's annotations are read by its threads; may be NULL */
	size_t piece; /* bytes that one of them takes at a time; 0: the default. The result does not depend on it */
};

/*
 * A COCO file, a folder of VOC .xml or a folder of YOLO .txt, told apart by content; a folder of both is an error. Only
 * what lies in the folder itself is taken (no folders below, no hidden files), in byte order of the names.
 *
 * VOC: boxes are left = xmin - 1, width = xmax - xmin + 1. Categories are the names in byte order, ids from 1, or the
 * labels. YOLO: class c is category id c + 1 of the labels (without them of classes.txt in the folder); images are
 * those of the image folder, joined by stem; an empty or absent .txt is an image without objects. In both image ids are
 * the stems where all of them are digits, else numbers from 1 (own_ids).
 *
 * A file, object or line that is wrong is one error notice naming it, and left out. Warnings with a count: other files
 * in the folder, VOC corners below 1, stems that differ from <filename>, boxes of zero size.
 */
int frcnn_ground_truth_open(const char *path, const struct frcnn_ground_truth_options *options,
			    const struct frcnn_notices *notices, struct frcnn_ground_truth *out,
			    struct frcnn_error *err);

/* A VOC or YOLO file may be this long (16 MiB), a VOC file this deep. */
#define FRCNN_TRUTH_MAX_FILE ((size_t)16 << 20)
#define FRCNN_VOC_MAX_DEPTH  64

/* One VOC file (voc.c). */
struct frcnn_voc_object {
	char *name;
	double bbox[4]; /* left, top, width, height; left = xmin - 1 */
	bool difficult;
	size_t line;
};
struct frcnn_voc {
	char *file_name;                  /* of <filename>; NULL: absent */
	int width, height;                /* 0: absent */
	struct frcnn_voc_object *objects; /* in file order, those that are in order */
	size_t count;
	size_t errors; /* left out, each named by a notice */
};
/* name as for frcnn_records_open_*. Refused: what is not well-formed, another root element than <annotation>, any
 * declaration of an entity; nothing outside the text is read. */
int frcnn_voc_parse(const void *text, size_t size, const char *name, const struct frcnn_notices *notices,
		    struct frcnn_voc *out, struct frcnn_error *err);
void frcnn_voc_free(struct frcnn_voc *voc);

/* One YOLO file (yolo.c): lines of class, x centre, y centre, width, height, as fractions of the image. */
struct frcnn_yolo_object {
	size_t class;  /* from 0, below nclasses */
	double box[4]; /* each within [0, 1] */
	size_t line;
};
struct frcnn_yolo {
	struct frcnn_yolo_object *objects;
	size_t count;
	size_t errors; /* lines left out, each named by a notice */
};
/* Only refused memory is a failure. */
int frcnn_yolo_parse(const void *text, size_t size, const char *name, size_t nclasses,
		     const struct frcnn_notices *notices, struct frcnn_yolo *out, struct frcnn_error *err);
void frcnn_yolo_free(struct frcnn_yolo *yolo);

/* ---- which image a record is about (join.c) -------------------------------------------------- */

/* The image_id that a file name carries: its stem (base name without the last suffix) is all ASCII digits and fits
 * int64 ("val/000000000139.jpg": 139). False: none. */
bool frcnn_record_stem_id(const char *file_name, int64_t *id);

struct frcnn_join;

/* The ground truth is borrowed until free. Safe to share between threads once made. */
int frcnn_join_new(const struct frcnn_ground_truth *truth, struct frcnn_join **out, struct frcnn_error *err);
void frcnn_join_free(struct frcnn_join *join);
/* 1: *image is the index; 0: the ground truth has no such image; < 0: FRCNN_EFORMAT, file name and id name different
 * images (an error naming both), or an ambiguous base name without an id that settles it. By file name (exact, then
 * base name when unambiguous), then by id where either side has no file name. An id that is only the stem's digits
 * never contradicts a name. file_name NULL: by id. */
int frcnn_join_find(const struct frcnn_join *join, const char *file_name, bool has_image_id, int64_t image_id,
		    size_t *image, struct frcnn_error *err);

/* ---- label files (labels.c) ------------------------------------------------------------------ */

/* Line i (from 1) names label i: names[i - 1]. */
struct frcnn_labels {
	char **names;
	size_t count;
};
/* UTF-8, LF or CRLF, a BOM is skipped; an empty line, a NUL or a file without names is an error naming the line. Names
 * keep their blanks. */
int frcnn_labels_parse(const void *text, size_t size, struct frcnn_labels *out, struct frcnn_error *err);
int frcnn_labels_read(const char *path, struct frcnn_labels *out, struct frcnn_error *err); /* messages name path */
void frcnn_labels_free(struct frcnn_labels *labels);

/* ---- COCO results as columns (results.c) ----------------------------------------------------- */

struct frcnn_id_map;

/* In input order: index of the image and of the category, box, score. */
struct frcnn_result_columns {
	size_t count, capacity;
	uint32_t *image, *category;
	double *bbox; /* 4 each */
	double *score;
};
void frcnn_result_columns_free(struct frcnn_result_columns *columns);
/* Reads a regular file of size bytes, one COCO results array, on the pool's threads, a piece of it a task (bytes; 0:
 * the default; the result does not depend on it). 1: done, each element in order; 0: it is not the plain form, or
 * something in it is not in order: nothing was taken, use frcnn_records_open_*, whose messages say what; < 0:
 * FRCNN_ENOMEM. The maps turn ids into indices; an id they lack is not in order. */
int frcnn_results_read(int fd, uint64_t size, const struct frcnn_id_map *images, const struct frcnn_id_map *categories,
		       struct frcnn_pool *pool, size_t piece, struct frcnn_result_columns *out,
		       struct frcnn_error *err);

/* ---- private to this folder ------------------------------------------------------------------ */

/* What a ground truth needs once its columns stand: annotations by image, categories by id (coco.c). FRCNN_ENOMEM. */
int frcnn_ground_truth_index(struct frcnn_ground_truth *truth);

/* Columns that grow (truth.c). Zero-initialise with truth. Texts are copied; 0 or FRCNN_ENOMEM. */
struct frcnn_truth_builder {
	struct frcnn_ground_truth *truth;
	const struct frcnn_notices *notices;
	size_t image_caps[5], annotation_caps[6], category_caps[2]; /* of the columns, in order */
	size_t flat;                                                /* boxes of zero size */
	char *first_flat;                                           /* the file of the first of them */
};
int frcnn_truth_add_image(struct frcnn_truth_builder *builder, const char *stem, const char *file_name, int width,
			  int height);
/* Of the last image added. */
int frcnn_truth_add_annotation(struct frcnn_truth_builder *builder, int64_t category, const double bbox[4],
			       uint8_t crowd, const char *file);
int frcnn_truth_add_category(struct frcnn_truth_builder *builder, int64_t id, const char *name);

/* Regular files of a folder in byte order of their names. */
struct frcnn_folder {
	char **names;
	size_t count, capacity;
};
int frcnn_folder_read(const char *path, struct frcnn_folder *out, struct frcnn_error *err);
void frcnn_folder_free(struct frcnn_folder *folder);
/* False: by its first bytes the .xml is no VOC file, the .txt no YOLO file. */
bool frcnn_holds_annotations(const char *folder, const char *name);
bool frcnn_has_suffix(const char *name, const char *suffix); /* ".xml", ASCII case aside */
char *frcnn_path_join(const char *folder, const char *name); /* NULL: memory */
char *frcnn_stem(const char *name);                          /* base name without the last suffix; NULL: memory */

/* The folder's VOC or YOLO files, names in byte order (voc.c, yolo.c); columns only, no ids of images yet. */
int frcnn_voc_folder(const char *path, char *const *names, size_t count,
		     const struct frcnn_ground_truth_options *options, struct frcnn_truth_builder *builder,
		     struct frcnn_error *err);
int frcnn_yolo_folder(const char *path, char *const *names, size_t count,
		      const struct frcnn_ground_truth_options *options, struct frcnn_truth_builder *builder,
		      struct frcnn_error *err);

/* Exact map from ids to indices (ids.c). Zero-initialise. */
struct frcnn_id_map {
	int64_t *keys;
	size_t *values; /* index + 1; 0: free slot */
	size_t count, slots;
};
/* 1: inserted; 0: the id is there already (*value, if not NULL, is its index); FRCNN_ENOMEM. */
int frcnn_id_map_add(struct frcnn_id_map *map, int64_t id, size_t index, size_t *value);
bool frcnn_id_map_find(const struct frcnn_id_map *map, int64_t id, size_t *value);
void frcnn_id_map_free(struct frcnn_id_map *map);

/* One object's keys (value.c): the texts of the values that have a meaning, the last one of duplicates. */
#define FRCNN_SCAN_KEYS 8
struct frcnn_scan {
	const char *const *keys; /* at most FRCNN_SCAN_KEYS */
	size_t nkeys;
	/* Called for each other key; may be NULL. */
	int (*unknown)(void *context, struct frcnn_span key, struct frcnn_span value, struct frcnn_error *err);
	void *context;

	bool known_nan; /* with python_nan of the reader: NaN and the like under these keys alone */

	bool object;                               /* out: the value was an object */
	const char *nan;                           /* out: a NaN or the like that the reader passed, or NULL */
	struct frcnn_span values[FRCNN_SCAN_KEYS]; /* out: data NULL: absent */
	const char *duplicate;                     /* out: a key that appeared more than once, or NULL */
	struct frcnn_span text;                    /* out: the whole value */
};
/* Takes the value under the cursor. An error is one of syntax, or unknown()'s. */
int frcnn_scan_value(struct frcnn_json *json, struct frcnn_scan *scan);
/* Fails naming the key where the scanned value holds a NaN or the like. */
int frcnn_scan_refuse_nan(const struct frcnn_scan *scan, struct frcnn_error *err);

/* Values from their text. Messages begin with name ("score is null, not a number") and know no place. python: NaN,
 * Infinity and -Infinity are numbers, numbers that are too large infinite, and a box may have a negative size. */
int frcnn_value_number(struct frcnn_span value, const char *name, bool python, double *out, float *out_f32,
		       struct frcnn_error *err);
int frcnn_value_id(struct frcnn_span value, const char *name, int64_t *out, struct frcnn_error *err);
int frcnn_value_size(struct frcnn_span value, const char *name, int *out, struct frcnn_error *err); /* 0 .. INT_MAX */
int frcnn_value_bbox(struct frcnn_span value, bool python, double out[4], float out_f32[4], struct frcnn_error *err);
/* Decoded into *out (cleared first, NUL-terminated); null counts as absent: *present false. A NUL inside is refused. */
int frcnn_value_text(struct frcnn_span value, const char *name, bool unescape, struct frcnn_buffer *out, bool *present,
		     struct frcnn_error *err);

/* Formats "name:line: text" (line 0: "name: text") and hands it on. */
void frcnn_note(const struct frcnn_notices *notices, enum frcnn_notice_kind kind, const char *name, size_t line,
		const char *format, ...) FRCNN_PRINTF(5, 6);
/* A failure of the cursor in a whole file: "name:line: column C: message". Takes its message from reason. */
int frcnn_fail_at(struct frcnn_error *err, const char *name, size_t line, const struct frcnn_error *reason);
/* Newlines between from and to, added to *line. */
void frcnn_count_lines(const char *from, const char *to, size_t *line);

/* Where an annotation stands, for datasets that are read as detections. */
struct frcnn_annotation_source {
	struct frcnn_span text;
	size_t line, index;
};
/* As frcnn_ground_truth_parse, on the options' pool where the annotations are plain. */
int frcnn_dataset_open(const void *text, size_t size, const char *name,
		       const struct frcnn_ground_truth_options *options, const struct frcnn_notices *notices,
		       struct frcnn_ground_truth *out, struct frcnn_error *err);
/* As frcnn_ground_truth_parse. sources NULL: not wanted; else *sources is an array by annotation (the caller frees it),
 * and what matters to ground truth alone (area, iscrowd absent) is not warned of. */
int frcnn_dataset_parse(const void *text, size_t size, const char *name,
			const struct frcnn_ground_truth_options *options, const struct frcnn_notices *notices,
			struct frcnn_ground_truth *out, struct frcnn_annotation_source **sources,
			struct frcnn_error *err);

/* Tells the form from the bytes as they come (sniff.c). Zero-initialise. */
struct frcnn_sniffer {
	enum frcnn_record_form form; /* UNKNOWN: not yet */
	bool seen;                   /* something that is not white space was there */
	bool several_lines;          /* a record (not a dataset) goes over several lines */
	bool utf16;
	int state, depth;
	char last;
	bool string, escape, key, passed, newline;
	char text[16];
	size_t length, offset;
};
/* True once form or utf16 is settled. */
bool frcnn_sniff(struct frcnn_sniffer *sniffer, const char *bytes, size_t size);

#endif
