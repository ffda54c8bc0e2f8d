/*
 * YOLO: one .txt an image, one object a line, as fractions of the image. The
 * sizes come from the images themselves, which the caller can look into.
 */
#include "record/record.h"

#include <inttypes.h>

/* ---- one file -------------------------------------------------------------------- */

void frcnn_yolo_free(struct frcnn_yolo *yolo)
{
	if (!yolo)
		return;
	free(yolo->objects);
	*yolo = (struct frcnn_yolo){0};
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#define COLUMNS 5

/* Splits at blanks; returns how many words there are, the first COLUMNS of them in words. */
static size_t split(const char *at, const char *end, struct frcnn_span words[COLUMNS])
{
	size_t n = 0;

	for (;;) {
		while (at < end && blank(*at))
			at++;
		if (at == end)
			return n;
		const char *word = at;
		while (at < end && !blank(*at))
			at++;
		if (n < COLUMNS)
			words[n] = (struct frcnn_span){word, (size_t)(at - word)};
		n++;
	}
}

static int shown(struct frcnn_span span)
{
	return (int)(span.size < 60 ? span.size : 60);
}

static const char *comma(struct frcnn_span word)
{
	return word.size && memchr(word.data, ',', word.size) ? " (a comma in it)" : "";
}

static int take_line(const struct frcnn_span words[COLUMNS], size_t n, size_t nclasses, struct frcnn_yolo_object *out,
		     struct frcnn_error *err)
{
	static const char *const names[COLUMNS] = {"class", "x centre", "y centre", "width", "height"};
	int64_t class = 0;

	if (n != COLUMNS)
		return frcnn_fail(err, FRCNN_EFORMAT, "%zu column%s, not %d%s", n, n == 1 ? "" : "s", COLUMNS,
				  comma(words[0]));
	if (frcnn_parse_exact_int64(words[0].data, words[0].size, &class) < 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "class is \"%.*s\", not an integer%s", shown(words[0]),
				  words[0].data, comma(words[0]));
	if (class < 0 || (uint64_t) class >= nclasses)
		return frcnn_fail(err, FRCNN_EFORMAT, "class %" PRId64 " is out of range: there are %zu names", class,
				  nclasses);
	out->class = (size_t) class;
	for (size_t i = 1; i < COLUMNS; i++) {
		double value = 0;
		if (frcnn_parse_double(words[i].data, words[i].size, &value) < 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "%s is \"%.*s\", not a number%s", names[i],
					  shown(words[i]), words[i].data, comma(words[i]));
		if (!(value >= 0 && value <= 1))
			return frcnn_fail(err, FRCNN_EFORMAT, "%s is %.*s, not within 0 .. 1", names[i],
					  shown(words[i]), words[i].data);
		out->box[i - 1] = value;
	}
	return 0;
}

int frcnn_yolo_parse(const void *bytes, size_t size, const char *name, size_t nclasses,
		     const struct frcnn_notices *notices, struct frcnn_yolo *out, struct frcnn_error *err)
{
	const char *at = size ? bytes : "", *end = at + size;
	struct frcnn_span words[COLUMNS];
	struct frcnn_error reason;
	size_t capacity = 0;

	*out = (struct frcnn_yolo){0};
	if (size >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
		at += 3;
	for (size_t line = 1; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct frcnn_yolo_object object = {.line = line};
		if (!stop)
			stop = end;
		size_t n = split(at, stop, words);
		at = stop + (stop < end);
		if (n == 0)
			continue;
		if (take_line(words, n, nclasses, &object, &reason) < 0) {
			frcnn_note(notices, FRCNN_NOTICE_ERROR, name, line, "%s", reason.message);
			out->errors++;
			continue;
		}
		void *objects = out->objects;
		if (frcnn_grow(&objects, &capacity, out->count + 1, sizeof(*out->objects)) < 0) {
			frcnn_yolo_free(out);
			return frcnn_fail_nomem(err);
		}
		out->objects = objects;
		out->objects[out->count++] = object;
	}
	return 0;
}

/* ---- the folder --------------------------------------------------------------------- */

/* An image or a label file with its stem. */
struct entry {
	char *stem;
	const char *name; /* of the folder's list */
	bool taken;
};

struct entries {
	struct entry *items;
	size_t count;
};

static int by_stem(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->stem, y->stem);
	return order ? order : strcmp(x->name, y->name);
}

static void free_entries(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].stem);
	free(entries->items);
	*entries = (struct entries){0};
}

static bool is_image(const char *name)
{
	/* those behind .png we cannot read: what they are is said, not passed over */
	static const char *const suffixes[] = {".jpg", ".jpeg", ".jpe", ".png", ".webp",
					       ".bmp", ".gif",  ".tif", ".tiff"};
	for (size_t i = 0; i < FRCNN_COUNT(suffixes); i++)
		if (frcnn_has_suffix(name, suffixes[i]))
			return true;
	return false;
}

/* The names (those of images alone, when images) by stem. */
static int sort_stems(char *const *names, size_t count, bool images, struct entries *out)
{
	*out = (struct entries){frcnn_calloc(count, sizeof(*out->items)), 0};
	if (!out->items)
		return FRCNN_ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (images && !is_image(names[i]))
			continue;
		char *stem = frcnn_stem(names[i]);
		if (!stem)
			return FRCNN_ENOMEM;
		out->items[out->count++] = (struct entry){stem, names[i], false};
	}
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), by_stem);
	return 0;
}

static struct entry *find_stem(const struct entries *entries, const char *stem)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(entries->items[middle].stem, stem) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < entries->count && strcmp(entries->items[low].stem, stem) == 0 ? &entries->items[low] : NULL;
}

/* A line of the library's own becomes a notice, and is counted. */
static void note_error(struct frcnn_truth_builder *builder, const char *line)
{
	if (builder->notices && builder->notices->note)
		builder->notices->note(builder->notices->context, FRCNN_NOTICE_ERROR, line);
	builder->truth->errors++;
}

/* 0; FRCNN_ENOMEM; any other: *err names the file. */
static int ask_size(const char *path, const struct frcnn_ground_truth_options *options, int *width, int *height,
		    struct frcnn_error *err)
{
	struct frcnn_file file;
	struct frcnn_error reason = {0};

	int rc = frcnn_file_open(path, 0, &file, err);
	if (rc < 0)
		return rc;
	rc = options->image_size(file.data, file.size, options->image_options, width, height, &reason);
	frcnn_file_close(&file);
	return rc < 0 ? frcnn_fail(err, rc, "%s: %s", path, reason.message) : 0;
}

static int add_objects(const char *path, size_t nclasses, int width, int height, struct frcnn_truth_builder *builder,
		       struct frcnn_error *err)
{
	struct frcnn_file file;
	struct frcnn_yolo yolo = {0};

	int rc = frcnn_file_open(path, FRCNN_TRUTH_MAX_FILE, &file, err);
	if (rc < 0)
		return rc;
	rc = frcnn_yolo_parse(file.data, file.size, path, nclasses, builder->notices, &yolo, err);
	builder->truth->errors += yolo.errors;
	for (size_t i = 0; i < yolo.count && rc == 0; i++) {
		const double *b = yolo.objects[i].box;
		double bbox[4] = {(b[0] - b[2] / 2) * width, (b[1] - b[3] / 2) * height, b[2] * width, b[3] * height};
		rc = frcnn_truth_add_annotation(builder, (int64_t)yolo.objects[i].class + 1, bbox, 0, path);
		if (rc < 0)
			frcnn_fail_nomem(err);
	}
	frcnn_yolo_free(&yolo);
	frcnn_file_close(&file);
	return rc;
}

/* One image with its label file, where there is one. */
static int add_image(const char *folder, const char *root, const struct entry *image, struct entry *label,
		     const struct frcnn_ground_truth_options *options, size_t nclasses,
		     struct frcnn_truth_builder *builder, struct frcnn_error *err)
{
	struct frcnn_error reason = {0};
	char *path = frcnn_path_join(root, image->name), *text = label ? frcnn_path_join(folder, label->name) : NULL;
	int width = 0, height = 0, rc = path && (text || !label) ? 0 : FRCNN_ENOMEM;

	if (label)
		label->taken = true;
	if (rc == 0)
		rc = ask_size(path, options, &width, &height, &reason);
	if (rc == 0)
		rc = frcnn_truth_add_image(builder, image->stem, image->name, width, height);
	if (rc == 0 && label && !options->images_only)
		rc = add_objects(text, nclasses, width, height, builder, &reason);
	if (rc < 0 && rc != FRCNN_ENOMEM) {
		note_error(builder, reason.message);
		rc = 0;
	}
	free(path);
	free(text);
	return rc < 0 ? frcnn_fail_nomem(err) : 0;
}

/* The names that classes stand for: those given, else classes.txt beside the label files. */
static int find_labels(const char *path, const struct frcnn_ground_truth_options *options, struct frcnn_labels *own,
		       struct frcnn_error *err)
{
	if (options->labels)
		return 0;
	char *file = frcnn_path_join(path, "classes.txt");
	if (!file)
		return frcnn_fail_nomem(err);
	int rc = frcnn_labels_read(file, own, err);
	if (rc == FRCNN_EIO)
		rc = frcnn_fail(err, FRCNN_EINVAL,
				"%s: YOLO files hold class numbers: the file of their names is needed (--labels FILE)",
				path);
	free(file);
	return rc;
}

int frcnn_yolo_folder(const char *path, char *const *names, size_t count,
		      const struct frcnn_ground_truth_options *options, struct frcnn_truth_builder *builder,
		      struct frcnn_error *err)
{
	const char *root = options->image_root ? options->image_root : path;
	struct frcnn_labels own = {0};
	const struct frcnn_labels *labels = options->labels ? options->labels : &own;
	struct frcnn_folder pictures = {0};
	struct entries images = {0}, texts = {0};
	const char *other = NULL;
	size_t others = 0;

	if (!options->image_size)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: YOLO files need the sizes of the images", path);
	int rc = find_labels(path, options, &own, err);
	for (size_t i = 0; i < labels->count && rc == 0; i++)
		if (frcnn_truth_add_category(builder, (int64_t)i + 1, labels->names[i]) < 0)
			rc = frcnn_fail_nomem(err);
	if (rc == 0)
		rc = frcnn_folder_read(root, &pictures, err);
	if (rc == 0 && (sort_stems(pictures.names, pictures.count, true, &images) < 0 ||
			sort_stems(names, count, false, &texts) < 0))
		rc = frcnn_fail_nomem(err);
	if (rc == 0 && images.count == 0)
		rc = frcnn_fail(err, FRCNN_EINVAL, "%s: no images in it, whose sizes YOLO files need%s", root,
				options->image_root ? "" : " (--image-root DIR)");
	for (size_t i = 0; i < images.count && rc == 0; i++) {
		const struct entry *image = &images.items[i];
		struct frcnn_error line;
		if (i && strcmp(images.items[i - 1].stem, image->stem) == 0) {
			frcnn_fail(&line, FRCNN_EFORMAT, "%s: \"%s\" and \"%s\" have one stem", root,
				   images.items[i - 1].name, image->name);
			note_error(builder, line.message);
			continue;
		}
		rc = add_image(path, root, image, find_stem(&texts, image->stem), options, labels->count, builder, err);
	}
	for (size_t i = 0; i < texts.count && rc == 0; i++) {
		struct frcnn_error line;
		if (texts.items[i].taken)
			continue;
		/* a list of names or of images may lie beside the labels */
		if (!frcnn_holds_annotations(path, texts.items[i].name)) {
			if (others++ == 0)
				other = texts.items[i].name;
			continue;
		}
		frcnn_fail(&line, FRCNN_EFORMAT, "%s/%s: no image of that stem in %s", path, texts.items[i].name, root);
		note_error(builder, line.message);
	}
	if (rc == 0 && others)
		frcnn_note(builder->notices, FRCNN_NOTICE_WARNING, path, 0,
			   "files that hold no annotations, passed over: %zu, the first is \"%s\"", others, other);
	free_entries(&images);
	free_entries(&texts);
	frcnn_folder_free(&pictures);
	frcnn_labels_free(&own);
	return rc;
}
