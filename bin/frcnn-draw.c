/* frcnn-draw - records in, annotated copies of their pictures out. */
#include "cli/cli.h"
#include "draw/draw.h"
#include "image/image.h"
#include "record/record.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands in every picture that is written. A file that exists and lacks it is somebody's, and is left alone. */
#define MARK         "annotated by frcnn-draw"
#define JPEG_QUALITY 95

/* What makes a file the same file, under any name. */
struct file_id {
	dev_t device;
	ino_t number;
};

struct job {
	/* options */
	const char *directory, *truth_path, *image_root, *labels_path;
	double score;
	struct frcnn_list classes;
	bool png, jpeg;
	struct frcnn_image_options image;

	struct frcnn_ground_truth truth;
	struct frcnn_join *join; /* NULL: no ground truth */
	struct frcnn_labels labels;
	struct file_id *written; /* pictures of this run */
	size_t nwritten, written_capacity;
	bool trouble;
};

/* What is drawn on one picture; the labels' texts are in text, one behind the other. */
struct drawing {
	struct frcnn_draw_box *boxes;
	size_t *texts; /* where box i's label begins; SIZE_MAX: none */
	size_t count, capacity, texts_capacity;
	struct frcnn_buffer text;
};

/* ---- classes ------------------------------------------------------------------------ */

static const char *category_name(const struct job *job, bool has_id, int64_t id, const char *own)
{
	const char *name = own;

	if (!name && has_id && job->join)
		name = frcnn_ground_truth_category(&job->truth, id);
	if (!name && has_id && id >= 1 && (uint64_t)id <= job->labels.count)
		name = job->labels.names[id - 1];
	return name;
}

/* A class has one colour, whether its detection brings a name, an id or both: a name that the ground truth or the
 * labels know counts as its id. */
static struct frcnn_colour category_colour(const struct job *job, bool has_id, int64_t id, const char *name)
{
	if (name && job->join) {
		for (size_t i = 0; i < job->truth.ncategories; i++) {
			const char *other = job->truth.category_names[i];

			if (other && strcmp(other, name) == 0)
				return frcnn_draw_colour(job->truth.category_ids[i]);
		}
	}
	if (has_id)
		return frcnn_draw_colour(id);
	for (size_t i = 0; name && i < job->labels.count; i++) {
		if (strcmp(job->labels.names[i], name) == 0)
			return frcnn_draw_colour((int64_t)i + 1);
	}
	return frcnn_draw_colour(name ? frcnn_draw_colour_key(name) : 1);
}

static bool wanted(const struct job *job, bool has_id, int64_t id, const char *name)
{
	for (size_t i = 0; i < job->classes.count; i++) {
		const char *word = job->classes.items[i];
		int64_t number;

		if (name && strcmp(word, name) == 0)
			return true;
		if (has_id && frcnn_parse_int64(word, strlen(word), &number) == 0 && number == id)
			return true;
	}
	return job->classes.count == 0;
}

/* ---- what is drawn -------------------------------------------------------------------- */

/* bbox: left, top, width, height. The label is what stands in the text from here on, if anything. */
static int add_box(struct drawing *drawing, const double bbox[4], struct frcnn_colour colour, bool truth,
		   size_t text_start, struct frcnn_error *err)
{
	struct frcnn_draw_box *box;
	bool labelled = drawing->text.size > text_start;

	if (frcnn_grow((void **)&drawing->boxes, &drawing->capacity, drawing->count + 1, sizeof *drawing->boxes) ||
	    frcnn_grow((void **)&drawing->texts, &drawing->texts_capacity, drawing->count + 1, sizeof *drawing->texts))
		return frcnn_fail_nomem(err);
	if (labelled)
		frcnn_buffer_putc(&drawing->text, '\0');
	drawing->texts[drawing->count] = labelled ? text_start : SIZE_MAX;
	box = &drawing->boxes[drawing->count++];
	*box = (struct frcnn_draw_box){
	    .x1 = bbox[0],
	    .y1 = bbox[1],
	    .x2 = bbox[0] + bbox[2],
	    .y2 = bbox[1] + bbox[3],
	    .colour = colour,
	    .truth = truth,
	};
	return 0;
}

static void drawing_free(struct drawing *drawing)
{
	free(drawing->boxes);
	free(drawing->texts);
	frcnn_buffer_free(&drawing->text);
	memset(drawing, 0, sizeof *drawing);
}

static int add_items(const struct job *job, const struct frcnn_record *record, struct drawing *drawing,
		     struct frcnn_error *err)
{
	const struct frcnn_record_item *items = record->has_detections ? record->detections : record->proposals;
	size_t count = record->has_detections ? record->ndetections : record->nproposals;

	for (size_t i = 0; i < count; i++) {
		const struct frcnn_record_item *item = &items[i];
		const char *name = category_name(job, item->has_category_id, item->category_id, item->category);
		size_t start = drawing->text.size;
		int status;

		if (item->score <= job->score || !wanted(job, item->has_category_id, item->category_id, name))
			continue;
		if (name)
			frcnn_buffer_printf(&drawing->text, "%s ", name);
		else if (item->has_category_id)
			frcnn_buffer_printf(&drawing->text, "%lld ", (long long)item->category_id);
		frcnn_buffer_printf(&drawing->text, "%.2f", item->score);
		status =
		    add_box(drawing, item->bbox, category_colour(job, item->has_category_id, item->category_id, name),
			    false, start, err);
		if (status)
			return status;
	}
	return 0;
}

static int add_truth(const struct job *job, size_t image, struct drawing *drawing, struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = &job->truth;

	for (size_t k = truth->first[image]; k < truth->first[image + 1]; k++) {
		size_t i = truth->by_image[k];
		int64_t id = truth->annotation_categories[i];
		const char *name = category_name(job, true, id, NULL);
		size_t start = drawing->text.size;
		int status;

		if (!wanted(job, true, id, name))
			continue;
		if (name)
			frcnn_buffer_puts(&drawing->text, name);
		else
			frcnn_buffer_printf(&drawing->text, "%lld", (long long)id);
		if (truth->crowds[i])
			frcnn_buffer_puts(&drawing->text, " (crowd)");
		status =
		    add_box(drawing, truth->bboxes + 4 * i, category_colour(job, true, id, name), true, start, err);
		if (status)
			return status;
	}
	return 0;
}

/* Called when all texts are there: only now they stay where they are. */
static int draw(struct drawing *drawing, struct frcnn_image *image, struct frcnn_error *err)
{
	if (drawing->text.failed)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < drawing->count; i++) {
		if (drawing->texts[i] != SIZE_MAX)
			drawing->boxes[i].label = drawing->text.data + drawing->texts[i];
	}
	return frcnn_draw_boxes(image, drawing->boxes, drawing->count, err);
}

/* ---- paths -------------------------------------------------------------------------------- */

/* The name as a relative path without leading slashes, "." and empty steps; ".." is refused, so that nothing leaves
 * the folder. */
static int relative_path(const char *name, struct frcnn_buffer *out, struct frcnn_error *err)
{
	for (const char *step = name; *step;) {
		size_t size = strcspn(step, "/");

		if (size == 2 && memcmp(step, "..", 2) == 0)
			return frcnn_fail(err, FRCNN_EINVAL, "%s: a file_name with \"..\" is refused", name);
		if (size > 0 && !(size == 1 && *step == '.')) {
			if (out->size > 0)
				frcnn_buffer_putc(out, '/');
			frcnn_buffer_add(out, step, size);
		}
		step += size + (step[size] == '/');
	}
	if (out->failed)
		return frcnn_fail_nomem(err);
	if (out->size == 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not the name of a file", name);
	return 0;
}

/* DIRECTORY/NAME; a picture whose format is forced to another one gets that one's suffix. */
static int output_path(const struct job *job, const char *name, bool suffix, bool png, struct frcnn_buffer *out,
		       struct frcnn_error *err)
{
	struct frcnn_buffer relative = {0};
	int status = relative_path(name, &relative, err);
	const char *dot, *slash;

	if (status)
		goto out;
	slash = strrchr(relative.data, '/');
	dot = strrchr(slash ? slash : relative.data, '.');
	/* A name that begins with its only dot has no suffix. */
	if (!dot || dot == relative.data || dot[-1] == '/')
		dot = relative.data + relative.size;
	frcnn_buffer_puts(out, job->directory);
	frcnn_buffer_putc(out, '/');
	if (suffix) {
		frcnn_buffer_add(out, relative.data, (size_t)(dot - relative.data));
		frcnn_buffer_puts(out, png ? ".png" : ".jpg");
	} else {
		frcnn_buffer_add(out, relative.data, relative.size);
	}
	if (out->failed)
		status = frcnn_fail_nomem(err);
out:
	frcnn_buffer_free(&relative);
	return status;
}

static int input_path(const struct job *job, const char *name, struct frcnn_buffer *out, struct frcnn_error *err)
{
	if (job->image_root && name[0] != '/') {
		frcnn_buffer_puts(out, job->image_root);
		frcnn_buffer_putc(out, '/');
	}
	frcnn_buffer_puts(out, name);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* Whether a picture may be written to path: there is nothing, or an empty file, or no regular file, or a picture that
 * an earlier run wrote and that is not the one it is drawn from. */
static int check_target(const struct job *job, const char *path, const char *source, struct frcnn_error *err)
{
	struct stat target, input;
	char head[256];
	size_t size;
	FILE *stream;

	if (stat(path, &target) != 0 || !S_ISREG(target.st_mode) || target.st_size == 0)
		return 0;
	for (size_t i = 0; i < job->nwritten; i++) {
		if (job->written[i].device == target.st_dev && job->written[i].number == target.st_ino)
			return frcnn_fail(err, FRCNN_EINVAL, "%s: an earlier record's picture has this name", path);
	}
	if (stat(source, &input) == 0 && input.st_dev == target.st_dev && input.st_ino == target.st_ino)
		return frcnn_fail(err, FRCNN_EINVAL, "%s: is the picture to draw on: not overwritten", path);
	stream = fopen(path, "rbe");
	if (!stream)
		return frcnn_fail_errno(err, path, errno);
	size = fread(head, 1, sizeof head, stream);
	fclose(stream);
	if (!memmem(head, size, MARK, strlen(MARK)))
		return frcnn_fail(err, FRCNN_EINVAL, "%s: exists and is no picture of frcnn-draw's: not overwritten",
				  path);
	return 0;
}

/* source: where the picture was read. */
static int write_picture(struct job *job, const char *path, const char *source, const struct frcnn_buffer *bytes,
			 struct frcnn_error *err)
{
	struct frcnn_output output = {0};
	struct stat written;
	int status = check_target(job, path, source, err);

	if (status == 0)
		status = frcnn_make_parents(path, err);
	if (status == 0)
		status = frcnn_output_open(path, &output, err);
	if (status)
		return status;
	errno = 0;
	if (fwrite(bytes->data, 1, bytes->size, output.stream) != bytes->size)
		status = frcnn_fail_errno(err, path, errno ? errno : EIO);
	else
		status = frcnn_output_commit(&output, err);
	if (status) {
		frcnn_output_abort(&output);
		return status;
	}
	if (stat(path, &written) != 0 || !S_ISREG(written.st_mode))
		return 0;
	if (frcnn_grow((void **)&job->written, &job->written_capacity, job->nwritten + 1, sizeof *job->written))
		return frcnn_fail_nomem(err);
	job->written[job->nwritten++] = (struct file_id){written.st_dev, written.st_ino};
	return 0;
}

/* ---- one record ------------------------------------------------------------------------------ */

static int encode(const struct job *job, const struct frcnn_file *file, const struct frcnn_image *image, bool was_png,
		  bool drawn, struct frcnn_buffer *out, struct frcnn_error *err)
{
	if (job->png || (was_png && !job->jpeg)) {
		/* Nothing drawn: alpha and 16 bits stay too. */
		if (was_png && !drawn)
			return frcnn_png_copy(file->data, file->size, MARK, out, err);
		return frcnn_png_encode(image, MARK, out, err);
	}
	return frcnn_jpeg_encode(image, JPEG_QUALITY, MARK, out, err);
}

/* Index of the record's image in the ground truth; SIZE_MAX: none. */
static int find_truth(const struct job *job, const struct frcnn_record *record, size_t *image, struct frcnn_error *err)
{
	int found;

	*image = SIZE_MAX;
	if (!job->join)
		return 0;
	found = frcnn_join_find(job->join, record->file_name, record->has_image_id, record->image_id, image, err);
	if (found == 0)
		*image = SIZE_MAX;
	return found < 0 ? found : 0;
}

static int check_size(const struct frcnn_record *record, const struct frcnn_image *image, const char *path,
		      struct frcnn_error *err)
{
	if (record->width == 0 || record->height == 0 ||
	    (record->width == image->width && record->height == image->height))
		return 0;
	return frcnn_fail(err, FRCNN_EINVAL, "%s: the picture has %dx%d pixels, its record says %dx%d%s", path,
			  image->width, image->height, record->width, record->height,
			  record->width == image->height && record->height == image->width
			      ? " (--exif must be as it was for frcnn-detect)"
			      : "");
}

/* Messages name the picture they are about; where the record is at fault, the records' file and its line. */
static int draw_record(struct job *job, const struct frcnn_record *record, const char *records, struct frcnn_error *err)
{
	struct frcnn_buffer in = {0}, out = {0}, bytes = {0};
	struct frcnn_file file = {0};
	struct frcnn_image image = {0};
	struct drawing drawing = {0};
	struct frcnn_error why = {0};
	const char *name = record->file_name;
	size_t truth;
	bool was_png;
	int status = find_truth(job, record, &truth, &why);

	if (status) {
		frcnn_fail(err, status, "%s:%zu: %s", records, record->line, why.message);
		goto out;
	}
	if (!name && truth != SIZE_MAX)
		name = job->truth.file_names[truth];
	if (!name) {
		status =
		    record->has_image_id
			? frcnn_fail(err, FRCNN_EINVAL, "%s:%zu: image %lld: no file name known (--gt may tell it)",
				     records, record->line, (long long)record->image_id)
			: frcnn_fail(err, FRCNN_EINVAL, "%s:%zu: record without a file name", records, record->line);
		goto out;
	}
	if (job->join && truth == SIZE_MAX)
		frcnn_warn(name, "not in the ground truth");
	/* The name is looked at before anything is opened. */
	status = output_path(job, name, false, false, &out, &why);
	if (status) {
		frcnn_fail(err, status, "%s:%zu: %s", records, record->line, why.message);
		goto out;
	}
	status = input_path(job, name, &in, err);
	if (status == 0)
		status = frcnn_file_open(in.data, 0, &file, err);
	if (status)
		goto out;
	status = frcnn_image_decode(file.data, file.size, &job->image, &image, &why);
	if (status) {
		frcnn_fail(err, status, "%s: %s", in.data, why.message);
		goto out;
	}
	if (image.warning[0])
		frcnn_warn(in.data, "%s", image.warning);
	status = check_size(record, &image, in.data, err);
	if (status == 0)
		status = add_items(job, record, &drawing, err);
	if (status == 0 && truth != SIZE_MAX)
		status = add_truth(job, truth, &drawing, err);
	if (status == 0)
		status = draw(&drawing, &image, err);
	if (status)
		goto out;
	was_png = frcnn_image_sniff(file.data, file.size, NULL) == FRCNN_IMAGE_PNG;
	status = encode(job, &file, &image, was_png, drawing.count > 0, &bytes, &why);
	if (status) {
		frcnn_fail(err, status, "%s: %s", in.data, why.message);
		goto out;
	}
	if (was_png ? job->jpeg : job->png) {
		frcnn_buffer_clear(&out);
		status = output_path(job, name, true, job->png, &out, err);
	}
	if (status == 0)
		status = write_picture(job, out.data, in.data, &bytes, err);
	if (status == 0)
		frcnn_say("%s: %zu boxes", out.data, drawing.count);
out:
	drawing_free(&drawing);
	frcnn_image_free(&image);
	frcnn_file_close(&file);
	frcnn_buffer_free(&in);
	frcnn_buffer_free(&out);
	frcnn_buffer_free(&bytes);
	return status;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static void on_notice(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct job *job = context;

	if (kind == FRCNN_NOTICE_WARNING) {
		frcnn_warn(NULL, "%s", line);
	} else {
		frcnn_report(NULL, "%s", line);
		job->trouble = true;
	}
}

static void draw_stream(struct job *job, FILE *stream, const char *name)
{
	struct frcnn_notices notices = {on_notice, job};
	struct frcnn_records *records = NULL;
	const struct frcnn_record *record;
	struct frcnn_error err = {0};
	int next = frcnn_records_open_stream(stream, name, &notices, &records, &err);

	if (next < 0) {
		frcnn_report(NULL, "%s", err.message);
		job->trouble = true;
		return;
	}
	while ((next = frcnn_records_next(records, &record, &err)) != 0) {
		if (next > 0 && draw_record(job, record, strcmp(name, "-") == 0 ? "standard input" : name, &err) == 0)
			continue;
		frcnn_report(NULL, "%s", err.message);
		job->trouble = true;
	}
	frcnn_records_close(records);
}

static void draw_file(struct job *job, const char *path)
{
	FILE *stream;

	if (strcmp(path, "-") == 0) {
		draw_stream(job, stdin, "-");
		return;
	}
	stream = fopen(path, "rbe");
	if (!stream) {
		frcnn_report_errno(path, errno);
		job->trouble = true;
		return;
	}
	draw_stream(job, stream, path);
	fclose(stream);
}

static int prepare(struct job *job, struct frcnn_error *err)
{
	struct frcnn_notices notices = {on_notice, job};
	int status;

	if (job->labels_path) {
		status = frcnn_labels_read(job->labels_path, &job->labels, err);
		if (status)
			return status;
	}
	if (!job->truth_path)
		return 0;
	status = frcnn_ground_truth_read(job->truth_path, false, &notices, &job->truth, err);
	if (status == 0)
		status = frcnn_join_new(&job->truth, &job->join, err);
	return status;
}

int main(int argc, char **argv)
{
	struct job job = {.score = -INFINITY};
	struct frcnn_error err = {0};
	bool exif = false;
	int64_t max_pixels = 0;
	int operands, ended;
	struct frcnn_opt options[] = {
	    {.type = FRCNN_OPT_TEXT,
	     .letter = 'd',
	     .name = "directory",
	     .argument = "DIR",
	     .value = &job.directory,
	     .help = "write the pictures under this folder, at their relative paths; needed"},
	    {.type = FRCNN_OPT_TEXT,
	     .name = "image-root",
	     .argument = "DIR",
	     .value = &job.image_root,
	     .help = "find images that records name relatively in this folder"},
	    {.type = FRCNN_OPT_TEXT,
	     .letter = 'g',
	     .name = "gt",
	     .argument = "FILE",
	     .value = &job.truth_path,
	     .help = "draw this COCO ground truth too, dashed"},
	    {.type = FRCNN_OPT_REAL,
	     .name = "score",
	     .argument = "S",
	     .value = &job.score,
	     .min = -INFINITY,
	     .max = INFINITY,
	     .help = "draw detections with a score above S; all of them unless given"},
	    {.type = FRCNN_OPT_LIST,
	     .name = "classes",
	     .argument = "LIST",
	     .value = &job.classes,
	     .help = "draw these classes alone: names or category ids, separated by commas"},
	    {.type = FRCNN_OPT_TEXT,
	     .name = "labels",
	     .argument = "FILE",
	     .value = &job.labels_path,
	     .help = "line i names category id i, where a record has no name"},
	    {.type = FRCNN_OPT_FLAG, .name = "png", .value = &job.png, .help = "write PNG, whatever the picture was"},
	    {.type = FRCNN_OPT_FLAG,
	     .name = "jpeg",
	     .value = &job.jpeg,
	     .help = "write JPEG, whatever the picture was"},
	    {.type = FRCNN_OPT_FLAG,
	     .name = "exif",
	     .value = &exif,
	     .help = "turn pictures by their EXIF orientation, as frcnn-detect --exif does"},
	    {.type = FRCNN_OPT_INT64,
	     .name = "max-pixels",
	     .argument = "N",
	     .value = &max_pixels,
	     .min = 1,
	     .max = INFINITY,
	     .help = "refuse pictures of more than N pixels; 178956970 unless given"},
	    FRCNN_OPT_COMMON,
	    {0},
	};
	struct frcnn_program program = {
	    .name = "frcnn-draw",
	    .synopsis = "-d DIR [option ...] [records | -] ...",
	    .summary = "Draws detections on copies of their pictures.",
	    .options = options,
	};

	ended = frcnn_opt_parse(&program, argc, argv, &operands);
	if (ended >= 0)
		goto out;
	ended = FRCNN_EXIT_TROUBLE;
	job.image = (struct frcnn_image_options){.exif = exif, .max_pixels = max_pixels};
	if (!job.directory || !*job.directory) {
		frcnn_usage("a folder for the pictures is needed: -d DIR");
		goto out;
	}
	if (job.png && job.jpeg) {
		frcnn_usage("--png and --jpeg exclude each other");
		goto out;
	}
	if (operands == 0 && isatty(STDIN_FILENO)) {
		frcnn_usage("no records: name a file, or pipe them in");
		goto out;
	}
	if (prepare(&job, &err)) {
		frcnn_report(NULL, "%s", err.message);
		goto out;
	}
	if (operands == 0)
		draw_file(&job, "-");
	for (int i = 1; i <= operands; i++)
		draw_file(&job, argv[i]);
	ended = job.trouble ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
out:
	frcnn_join_free(job.join);
	frcnn_ground_truth_free(&job.truth);
	frcnn_labels_free(&job.labels);
	frcnn_list_free(&job.classes);
	free(job.written);
	return ended;
}
