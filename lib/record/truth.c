/*
 * Ground truth in any form: a COCO file, or a folder of VOC or YOLO files told
 * apart by what lies in it; and the columns that both kinds of folder fill.
 */
#include "record/record.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- columns ---------------------------------------------------------------------- */

/* Room for `needed` elements in the column whose pointer is at *column. */
static int grow(void *column, size_t *capacity, size_t needed, size_t size)
{
	void *block;
	memcpy(&block, column, sizeof(block));
	int rc = frcnn_grow(&block, capacity, needed, size);
	memcpy(column, &block, sizeof(block));
	return rc;
}

int frcnn_truth_add_image(struct frcnn_truth_builder *b, const char *stem, const char *file_name, int width, int height)
{
	struct frcnn_ground_truth *t = b->truth;
	size_t n = t->nimages;

	if (grow(&t->image_ids, &b->image_caps[0], n + 1, sizeof(*t->image_ids)) < 0 ||
	    grow(&t->file_names, &b->image_caps[1], n + 1, sizeof(*t->file_names)) < 0 ||
	    grow(&t->stems, &b->image_caps[2], n + 1, sizeof(*t->stems)) < 0 ||
	    grow(&t->widths, &b->image_caps[3], n + 1, sizeof(*t->widths)) < 0 ||
	    grow(&t->heights, &b->image_caps[4], n + 1, sizeof(*t->heights)) < 0)
		return FRCNN_ENOMEM;
	char *own_stem = frcnn_strdup(stem), *own_name = frcnn_strdup(file_name);
	if (!own_stem || !own_name) {
		free(own_stem);
		free(own_name);
		return FRCNN_ENOMEM;
	}
	t->stems[n] = own_stem;
	t->file_names[n] = own_name;
	t->widths[n] = width;
	t->heights[n] = height;
	t->image_ids[n] = (int64_t)n + 1;
	t->nimages++;
	return 0;
}

int frcnn_truth_add_annotation(struct frcnn_truth_builder *b, int64_t category, const double bbox[4], uint8_t crowd,
			       const char *file)
{
	struct frcnn_ground_truth *t = b->truth;
	size_t n = t->nannotations;

	if (grow(&t->annotation_ids, &b->annotation_caps[0], n + 1, sizeof(*t->annotation_ids)) < 0 ||
	    grow(&t->annotation_images, &b->annotation_caps[1], n + 1, sizeof(*t->annotation_images)) < 0 ||
	    grow(&t->annotation_categories, &b->annotation_caps[2], n + 1, sizeof(*t->annotation_categories)) < 0 ||
	    grow(&t->bboxes, &b->annotation_caps[3], n + 1, 4 * sizeof(*t->bboxes)) < 0 ||
	    grow(&t->areas, &b->annotation_caps[4], n + 1, sizeof(*t->areas)) < 0 ||
	    grow(&t->crowds, &b->annotation_caps[5], n + 1, sizeof(*t->crowds)) < 0)
		return FRCNN_ENOMEM;
	if ((bbox[2] == 0 || bbox[3] == 0) && b->flat++ == 0 && !(b->first_flat = frcnn_strdup(file)))
		return FRCNN_ENOMEM;
	t->annotation_ids[n] = (int64_t)n + 1;
	t->annotation_images[n] = t->nimages - 1;
	t->annotation_categories[n] = category;
	memcpy(t->bboxes + 4 * n, bbox, 4 * sizeof(*bbox));
	t->areas[n] = bbox[2] * bbox[3];
	t->crowds[n] = crowd;
	t->nannotations++;
	return 0;
}

int frcnn_truth_add_category(struct frcnn_truth_builder *b, int64_t id, const char *name)
{
	struct frcnn_ground_truth *t = b->truth;
	size_t n = t->ncategories;

	if (grow(&t->category_ids, &b->category_caps[0], n + 1, sizeof(*t->category_ids)) < 0 ||
	    grow(&t->category_names, &b->category_caps[1], n + 1, sizeof(*t->category_names)) < 0)
		return FRCNN_ENOMEM;
	t->category_names[n] = frcnn_strdup(name);
	if (!t->category_names[n])
		return FRCNN_ENOMEM;
	t->category_ids[n] = id;
	t->ncategories++;
	return 0;
}

/* Ids from the stems, where every stem is a number of its own. */
static int number_images(struct frcnn_ground_truth *t)
{
	struct frcnn_id_map seen = {0};
	int64_t *ids = frcnn_calloc(t->nimages, sizeof(*ids));
	int rc = ids ? 1 : FRCNN_ENOMEM;

	for (size_t i = 0; i < t->nimages && rc > 0; i++) {
		if (strchr(t->stems[i], '.') || !frcnn_record_stem_id(t->stems[i], &ids[i]))
			rc = 0;
		else
			rc = frcnn_id_map_add(&seen, ids[i], i, NULL);
	}
	frcnn_id_map_free(&seen);
	t->own_ids = rc == 0;
	if (rc > 0) {
		free(t->image_ids);
		t->image_ids = ids;
		return 0;
	}
	free(ids);
	return rc;
}

/* ---- names and folders -------------------------------------------------------------- */

bool frcnn_has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), n = strlen(suffix);
	return size > n && strcasecmp(name + size - n, suffix) == 0;
}

char *frcnn_path_join(const char *folder, const char *name)
{
	struct frcnn_buffer path = {0};
	size_t size = strlen(folder);

	frcnn_buffer_puts(&path, folder);
	if (size && folder[size - 1] != '/')
		frcnn_buffer_putc(&path, '/');
	frcnn_buffer_puts(&path, name);
	if (path.failed)
		frcnn_buffer_free(&path);
	return path.data;
}

char *frcnn_stem(const char *name)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	const char *dot = strrchr(base, '.');
	return frcnn_strndup(base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

void frcnn_folder_free(struct frcnn_folder *folder)
{
	if (!folder)
		return;
	for (size_t i = 0; i < folder->count; i++)
		free(folder->names[i]);
	free(folder->names);
	*folder = (struct frcnn_folder){0};
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int frcnn_folder_read(const char *path, struct frcnn_folder *out, struct frcnn_error *err)
{
	struct dirent *entry;
	struct stat st;
	int rc = 0;

	*out = (struct frcnn_folder){0};
	DIR *dir = opendir(path);
	if (!dir)
		return frcnn_fail_errno(err, path, errno);
	for (errno = 0; rc == 0 && (entry = readdir(dir)); errno = 0) {
		if (entry->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && !S_ISREG(st.st_mode))
			continue;
		if (grow(&out->names, &out->capacity, out->count + 1, sizeof(*out->names)) < 0 ||
		    !(out->names[out->count] = frcnn_strdup(entry->d_name)))
			rc = frcnn_fail_nomem(err);
		else
			out->count++;
	}
	if (rc == 0 && errno)
		rc = frcnn_fail_errno(err, path, errno);
	closedir(dir);
	if (rc < 0)
		frcnn_folder_free(out);
	else if (out->count)
		qsort(out->names, out->count, sizeof(*out->names), by_bytes);
	return rc;
}

/* ---- which form ---------------------------------------------------------------------- */

enum content { CONTENT_OTHER, CONTENT_VOC, CONTENT_YOLO, CONTENT_ERROR };

static bool blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The first bytes decide: a VOC file has the element <annotation>, a YOLO file begins with a number or is blank. */
static enum content look(const char *folder, const char *name)
{
	enum content content = CONTENT_OTHER;
	struct frcnn_file file;
	char *path = frcnn_path_join(folder, name);
	size_t at = 0;

	if (!path || frcnn_file_open(path, FRCNN_TRUTH_MAX_FILE, &file, NULL) < 0) {
		free(path);
		return CONTENT_ERROR;
	}
	if (file.size >= 3 && memcmp(file.data, "\xEF\xBB\xBF", 3) == 0)
		at = 3;
	while (at < file.size && blank(file.data[at]))
		at++;
	if (frcnn_has_suffix(name, ".xml")) {
		/* UTF-16 has a NUL in each letter: then the parser will tell */
		if (memchr(file.data, 0, file.size) || memmem(file.data, file.size, "<annotation", 11))
			content = CONTENT_VOC;
	} else if (at == file.size || (file.data[at] >= '0' && file.data[at] <= '9')) {
		content = CONTENT_YOLO;
	}
	frcnn_file_close(&file);
	free(path);
	return content;
}

bool frcnn_holds_annotations(const char *folder, const char *name)
{
	return look(folder, name) != CONTENT_OTHER;
}

/* Lets go of the names whose content is another; order is kept. */
static void keep(struct frcnn_folder *folder, const enum content *contents, enum content wanted)
{
	size_t n = 0;
	for (size_t i = 0; i < folder->count; i++) {
		if (contents[i] == wanted)
			folder->names[n++] = folder->names[i];
		else
			free(folder->names[i]);
	}
	folder->count = n;
}

/* Settles what each file is; *form is the folder's. Names of other files go. */
static int sort_out(const char *path, struct frcnn_folder *folder, enum frcnn_truth_form *form,
		    const struct frcnn_notices *notices, struct frcnn_error *err)
{
	enum content *contents = frcnn_calloc(folder->count, sizeof(*contents));
	const char *voc = NULL, *yolo = NULL, *other = NULL;
	size_t xml = 0, txt = 0, others = 0;
	int rc = 0;

	if (!contents)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < folder->count; i++) {
		const char *name = folder->names[i];
		if (frcnn_has_suffix(name, ".xml")) {
			contents[i] = CONTENT_VOC;
			xml++;
		} else if (frcnn_has_suffix(name, ".txt") && strcmp(name, "classes.txt") != 0) {
			contents[i] = CONTENT_YOLO;
			txt++;
		}
	}
	/* Suffixes settle it unless there are both: then the bytes do. */
	for (size_t i = 0; i < folder->count && xml && txt; i++) {
		if (contents[i] == CONTENT_OTHER)
			continue;
		contents[i] = look(path, folder->names[i]);
		if (contents[i] == CONTENT_ERROR) /* its reader will say why it cannot be read */
			contents[i] = frcnn_has_suffix(folder->names[i], ".xml") ? CONTENT_VOC : CONTENT_YOLO;
		if (contents[i] == CONTENT_OTHER && others++ == 0)
			other = folder->names[i];
	}
	for (size_t i = folder->count; i-- > 0;) {
		if (contents[i] == CONTENT_VOC)
			voc = folder->names[i];
		else if (contents[i] == CONTENT_YOLO)
			yolo = folder->names[i];
	}
	if (voc && yolo)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s: VOC and YOLO files in one folder (\"%s\", \"%s\")", path, voc,
				yolo);
	else if (!voc && !yolo)
		rc = frcnn_fail(err, FRCNN_EFORMAT, "%s: no VOC .xml and no YOLO .txt files in the folder", path);
	if (rc == 0 && others)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, path, 0,
			   "files that hold no annotations, passed over: %zu, the first is \"%s\"", others, other);
	if (rc == 0) {
		*form = voc ? FRCNN_TRUTH_VOC : FRCNN_TRUTH_YOLO;
		keep(folder, contents, voc ? CONTENT_VOC : CONTENT_YOLO);
	}
	free(contents);
	return rc;
}

static int open_folder(const char *path, const struct frcnn_ground_truth_options *options,
		       const struct frcnn_notices *notices, struct frcnn_ground_truth *out, struct frcnn_error *err)
{
	struct frcnn_truth_builder builder = {.truth = out, .notices = notices};
	struct frcnn_folder folder;

	int rc = frcnn_folder_read(path, &folder, err);
	if (rc < 0)
		return rc;
	rc = sort_out(path, &folder, &out->form, notices, err);
	if (rc == 0)
		rc = (out->form == FRCNN_TRUTH_VOC ? frcnn_voc_folder : frcnn_yolo_folder)(
		    path, folder.names, folder.count, options, &builder, err);
	if (rc == 0 && builder.flat)
		frcnn_note(notices, FRCNN_NOTICE_WARNING, path, 0, "boxes of zero size: %zu, the first in \"%s\"",
			   builder.flat, builder.first_flat);
	if (rc == 0 && (number_images(out) < 0 || frcnn_ground_truth_index(out) < 0))
		rc = frcnn_fail_nomem(err);
	free(builder.first_flat);
	frcnn_folder_free(&folder);
	return rc;
}

static int open_file(const char *path, const struct frcnn_ground_truth_options *options,
		     const struct frcnn_notices *notices, struct frcnn_ground_truth *out, struct frcnn_error *err)
{
	struct frcnn_file file;
	size_t at = 0;

	int rc = frcnn_file_open(path, 0, &file, err);
	if (rc < 0)
		return rc;
	while (at < file.size && blank(file.data[at]))
		at++;
	if (at < file.size && file.data[at] == '<')
		rc =
		    frcnn_fail(err, FRCNN_EFORMAT, "%s: XML; ground truth in VOC files is given as their folder", path);
	else
		rc = frcnn_dataset_open(file.data, file.size, path, options, notices, out, err);
	frcnn_file_close(&file);
	return rc;
}

int frcnn_ground_truth_open(const char *path, const struct frcnn_ground_truth_options *options,
			    const struct frcnn_notices *notices, struct frcnn_ground_truth *out,
			    struct frcnn_error *err)
{
	static const struct frcnn_ground_truth_options none;
	struct stat st;
	int rc;

	*out = (struct frcnn_ground_truth){0};
	if (!options)
		options = &none;
	if (stat(path, &st) < 0)
		return frcnn_fail_errno(err, path, errno);
	rc = (S_ISDIR(st.st_mode) ? open_folder : open_file)(path, options, notices, out, err);
	if (rc < 0)
		frcnn_ground_truth_free(out);
	return rc;
}
