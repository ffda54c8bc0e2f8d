/* frcnn-nms - detections in, those that are left out: suppressed, or fused with other detectors'. */
#include "nms/program.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
	/* options */
	struct nms_methods methods;
	struct frcnn_reals ious, weights;
	int convention, confidence, kernel, stable_by, format, threads, top_k, max_dets;
	bool geq, agnostic, allow_overflow, clip_scores, sweep;
	double sigma, vote_iou, score, min_size;
	const char *thresholds_path, *output, *truth_path, *labels_path, *image_root;
	struct frcnn_list classes;

	struct frcnn_filter_thresholds thresholds;
	struct frcnn_pool *pool;
	bool trouble, lost; /* lost: standard output could not be written, and that was said */
};

static struct job job = {.stable_by = -1,
			 .format = -1,
			 .top_k = -1,
			 .max_dets = -1,
			 .sigma = 0.5,
			 .vote_iou = 0.5,
			 .score = NAN,
			 .min_size = NAN};

static struct frcnn_opt options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Suppression"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "method",
     .argument = NMS_METHODS,
     .value = &job.methods,
     .parse = nms_parse_methods,
     .help = "what is done with boxes that overlap; with --sweep a list [hard]"},
    {.type = FRCNN_OPT_REALS,
     .name = "iou",
     .argument = "T",
     .value = &job.ious,
     .max = 1,
     .help = "overlap above which boxes suppress or join each other; with --sweep a list [0.5; wbf, nmw: 0.55]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "thresholds",
     .argument = "FILE",
     .value = &job.thresholds_path,
     .help = "lines of a class (name or id) and its own --iou"},
    {.type = FRCNN_OPT_FLAG,
     .name = "agnostic",
     .value = &job.agnostic,
     .help = "boxes of different classes suppress each other too"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "convention",
     .argument = "torchvision|detectron2|matlab",
     .value = &job.convention,
     .help = "matlab adds 1 to sides; all compare with > [torchvision]"},
    {.type = FRCNN_OPT_FLAG, .name = "geq", .value = &job.geq, .help = "an overlap equal to the threshold counts too"},
    {.type = FRCNN_OPT_REAL,
     .name = "sigma",
     .argument = "S",
     .value = &job.sigma,
     .min = 1e-6,
     .max = 1e6,
     .help = "of soft-gaussian and matrix: exp(-IoU^2 / S) [0.5]"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "kernel",
     .argument = "gaussian|linear",
     .value = &job.kernel,
     .help = "how matrix lowers scores [gaussian]"},
    {.type = FRCNN_OPT_REAL,
     .name = "vote-iou",
     .argument = "T",
     .value = &job.vote_iou,
     .max = 1,
     .help = "of vote: boxes above this overlap are averaged [0.5]"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "stable-by",
     .argument = "index|box",
     .value = &job.stable_by,
     .help = "which of equal scores comes first: the earlier one, or by place whatever the input order [index]"},
    {.type = FRCNN_OPT_GROUP, .help = "Several detectors"},
    {.type = FRCNN_OPT_REALS,
     .name = "weights",
     .argument = "LIST",
     .value = &job.weights,
     .max = 1e9,
     .help = "of wbf and nmw: a number a file; one of weight 0 takes no part [1 each]"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "conf",
     .argument = "avg|max|box_and_model_avg|absent_model_aware_avg",
     .value = &job.confidence,
     .help = "of wbf: what fused scores are [avg]"},
    {.type = FRCNN_OPT_FLAG,
     .name = "allow-overflow",
     .value = &job.allow_overflow,
     .help = "of wbf, avg: more boxes than files raise a score"},
    {.type = FRCNN_OPT_FLAG, .name = "clip-scores", .value = &job.clip_scores, .help = "fused scores above 1 become 1"},
    {.type = FRCNN_OPT_GROUP, .help = "What is looked at"},
    {.type = FRCNN_OPT_REAL,
     .name = "score",
     .argument = "S",
     .value = &job.score,
     .min = -INFINITY,
     .max = INFINITY,
     .help = "keep scores above S; of soft and matrix the lowered ones too [all; those 0.001]"},
    {.type = FRCNN_OPT_REAL,
     .name = "min-size",
     .argument = "N",
     .value = &job.min_size,
     .max = INFINITY,
     .help = "keep boxes whose shorter side has N pixels or more"},
    {.type = FRCNN_OPT_LIST,
     .name = "classes",
     .argument = "LIST",
     .value = &job.classes,
     .help = "keep these classes alone: names or category ids"},
    {.type = FRCNN_OPT_INT,
     .name = "top-k",
     .argument = "N",
     .value = &job.top_k,
     .max = 2147483647,
     .help = "look at the N best of an image alone"},
    {.type = FRCNN_OPT_INT,
     .name = "max-dets",
     .argument = "N",
     .value = &job.max_dets,
     .max = 2147483647,
     .help = "write the N best of an image at the most"},
    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "format",
     .argument = "jsonl|coco|csv",
     .value = &job.format,
     .help = "form of the records [that of the first file]"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'o',
     .name = "output",
     .argument = "FILE",
     .value = &job.output,
     .help = "write here [standard output]"},
    {.type = FRCNN_OPT_GROUP, .help = "Trying what is best"},
    {.type = FRCNN_OPT_FLAG,
     .name = "sweep",
     .value = &job.sweep,
     .help = "print the AP that each method and threshold gives, in place of records"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'g',
     .name = "gt",
     .argument = "PATH",
     .value = &job.truth_path,
     .help = "of --sweep: COCO JSON, or a folder of VOC .xml or YOLO .txt files"},
    {.type = FRCNN_OPT_TEXT,
     .name = "labels",
     .argument = "FILE",
     .value = &job.labels_path,
     .help = "names of the classes of VOC or YOLO, a line each; line 1 is category id 1"},
    {.type = FRCNN_OPT_TEXT,
     .name = "image-root",
     .argument = "DIR",
     .value = &job.image_root,
     .help = "where the images of YOLO are, for their sizes [the folder itself]"},
    {.type = FRCNN_OPT_GROUP, .help = "Running"},
    {.type = FRCNN_OPT_INT,
     .letter = 'j',
     .name = "jobs",
     .argument = "N",
     .value = &job.threads,
     .min = 0,
     .max = 1024,
     .help = "threads; 0: all usable cores [0]"},
    {.type = FRCNN_OPT_GROUP, .help = "Common"},
    FRCNN_OPT_COMMON,
    {0}};

static const struct frcnn_program program = {
    .name = "frcnn-nms",
    .synopsis = "[option ...] [detections | -] ...",
    .summary = "Suppresses detections that overlap, or fuses those of several detectors, a file each.",
    .options = options,
};

static bool given(const char *name)
{
	return frcnn_opt_given(&program, name);
}

static void note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	(void)context;
	if (kind == FRCNN_NOTICE_ERROR) {
		job.trouble = true;
		frcnn_report(NULL, "%s", line);
	} else {
		frcnn_warn(NULL, "%s", line);
	}
}

static const struct frcnn_notices notices = {.note = note};

static bool fusing(void)
{
	enum frcnn_nms_method method = job.methods.count ? job.methods.items[0] : FRCNN_NMS_HARD;

	return method == FRCNN_NMS_WBF || method == FRCNN_NMS_NMW;
}

/* -1: go on; else the exit status after a usage error. */
/* Whether one of the methods has a sigma; a sweep without --method tries all. */
static bool lowers_by_sigma(void)
{
	bool found = job.sweep && !given("method");

	for (int i = 0; i < job.methods.count; i++)
		found = found || job.methods.items[i] == FRCNN_NMS_SOFT_GAUSSIAN ||
			job.methods.items[i] == FRCNN_NMS_MATRIX;
	return found;
}

static int check_options(int operands, char **names)
{
	static const char *const sweep_only[] = {"gt", "labels", "image-root"};
	static const char *const fusion_only[] = {"weights", "conf", "allow-overflow", "clip-scores"};
	int streams = 0, files = operands > 0 ? operands : 1;
	double total = 0;

	for (int i = 0; i < operands; i++)
		streams += strcmp(names[i], "-") == 0;
	if (streams > 1)
		return frcnn_usage("standard input can be read only once");
	if (operands == 0 && isatty(STDIN_FILENO))
		return frcnn_usage("no detections given, and standard input is a terminal");
	/* detections may be filtered in place: they are read whole, or the new file takes their name at the end */
	const char *const read_only[] = {job.truth_path, job.thresholds_path, job.labels_path};
	for (size_t i = 0; i < FRCNN_COUNT(read_only); i++)
		if (frcnn_output_touches(job.output, read_only[i], false))
			return frcnn_usage("-o would write over %s, which is read", read_only[i]);
	for (int i = 0; i < operands; i++)
		if (frcnn_output_touches(job.output, names[i], true))
			return frcnn_usage("-o would write over %s, which is read", names[i]);
	if (job.sweep && !job.truth_path)
		return frcnn_usage("--sweep needs ground truth (-g PATH)");
	if (job.sweep && job.format >= 0)
		return frcnn_usage("--sweep writes a table, which has no --format");
	for (size_t i = 0; i < FRCNN_COUNT(sweep_only) && !job.sweep; i++)
		if (given(sweep_only[i]))
			return frcnn_usage("--%s needs --sweep", sweep_only[i]);
	for (size_t i = 0; i < FRCNN_COUNT(fusion_only) && !job.sweep && !fusing(); i++)
		if (given(fusion_only[i]))
			return frcnn_usage("--%s needs --method wbf or nmw", fusion_only[i]);
	if (given("sigma") && !lowers_by_sigma())
		return frcnn_usage("--sigma needs --method soft-gaussian or matrix");
	if (!job.sweep && job.methods.count > 1)
		return frcnn_usage("several methods need --sweep");
	if (!job.sweep && job.ious.count > 1)
		return frcnn_usage("several thresholds need --sweep");
	if (given("weights") && job.weights.count != files)
		return frcnn_usage("--weights has %d numbers for %d files", job.weights.count, files);
	for (int i = 0; i < job.weights.count; i++)
		total += job.weights.values[i];
	if (given("weights") && total <= 0)
		return frcnn_usage("--weights are all 0");
	return -1;
}

static void set_options(struct frcnn_filter_options *o)
{
	*o = (struct frcnn_filter_options){
	    .agnostic = job.agnostic,
	    .by_box = job.stable_by == 1,
	    .score = job.score,
	    .min_size = job.min_size,
	    .classes = job.classes.items,
	    .nclasses = job.classes.count,
	    .thresholds = job.thresholds_path ? &job.thresholds : NULL,
	    .convert = job.format >= 0,
	    .format = (enum frcnn_record_format)(job.format >= 0 ? job.format : 0),
	};
	frcnn_nms_options_init(&o->nms);
	o->nms.method = job.methods.count ? job.methods.items[0] : FRCNN_NMS_HARD;
	o->nms.iou = job.ious.count ? job.ious.values[0] : fusing() ? 0.55 : 0.5;
	o->nms.geq = job.geq;
	o->nms.plus_one = job.convention == 2;
	o->nms.sigma = job.sigma;
	o->nms.linear = job.kernel == 1;
	o->nms.score = job.score;
	o->nms.vote_iou = job.vote_iou;
	o->nms.confidence = (enum frcnn_nms_confidence)job.confidence;
	o->nms.allow_overflow = job.allow_overflow;
	o->nms.clip_scores = job.clip_scores;
	o->nms.weights = job.weights.count ? job.weights.values : NULL;
	o->nms.top_k = job.top_k;
	o->nms.max_dets = job.max_dets;
}

static int read_thresholds(struct frcnn_error *err)
{
	struct frcnn_file file = {0};
	struct frcnn_error why;
	int status;

	if (!job.thresholds_path)
		return 0;
	status = frcnn_file_open(job.thresholds_path, 16 << 20, &file, err);
	if (status < 0)
		return status;
	status = frcnn_filter_thresholds_parse((const char *)file.data, file.size, &job.thresholds, &why);
	if (status < 0)
		frcnn_fail(err, status, "%s: %s", job.thresholds_path, why.message);
	frcnn_file_close(&file);
	return status;
}

/* ---- output ---- */

struct sink {
	struct frcnn_output file; /* path NULL: standard output */
};

static int put(void *context, const char *text, size_t size, struct frcnn_error *err)
{
	struct sink *sink = context;
	FILE *stream = sink->file.path ? sink->file.stream : stdout;

	if (fwrite(text, 1, size, stream) == size)
		return 0;
	job.lost = !sink->file.path;
	return frcnn_fail_errno(err, sink->file.path ? job.output : "standard output", errno);
}

/* A record is seen as soon as it is there. */
static int put_now(void *context, const char *text, size_t size, struct frcnn_error *err)
{
	struct sink *sink = context;
	int status = put(context, text, size, err);

	if (status == 0 && !sink->file.path && fflush(stdout) != 0) {
		job.lost = true;
		return frcnn_fail_errno(err, "standard output", errno);
	}
	return status;
}

/* ---- inputs ---- */

struct input {
	struct frcnn_file file;
	struct frcnn_buffer text; /* of standard input */
};

/* What was read ahead of a stream, then the stream. */
struct ahead {
	struct frcnn_buffer *text;
	size_t at;
	FILE *rest;
};

static ssize_t read_ahead(void *cookie, char *out, size_t size)
{
	struct ahead *ahead = cookie;
	size_t left = ahead->text->size - ahead->at;
	ssize_t n;

	if (left > 0) {
		n = (ssize_t)(left < size ? left : size);
		memcpy(out, ahead->text->data + ahead->at, (size_t)n);
		ahead->at += (size_t)n;
		return n;
	}
	do
		n = read(fileno(ahead->rest), out, size);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Reads a descriptor until the form of what comes is known (or its end); *form UNKNOWN: it is all in text. */
static int sniff(int fd, const char *name, struct frcnn_buffer *text, enum frcnn_record_form *form,
		 struct frcnn_error *err)
{
	struct frcnn_sniffer sniffer = {0};
	char piece[65536];
	ssize_t n = 1;

	while (n > 0 && sniffer.form == FRCNN_FORM_UNKNOWN && !sniffer.utf16) {
		do
			n = read(fd, piece, sizeof piece);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return frcnn_fail_errno(err, name, errno);
		frcnn_buffer_add(text, piece, (size_t)n);
		if (text->failed)
			return frcnn_fail_nomem(err);
		if (frcnn_sniff(&sniffer, piece, (size_t)n))
			break;
	}
	*form = n == 0 ? FRCNN_FORM_UNKNOWN : sniffer.form;
	return 0;
}

static int read_rest(int fd, const char *name, struct frcnn_buffer *text, struct frcnn_error *err)
{
	char piece[65536];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return frcnn_fail_errno(err, name, errno);
		frcnn_buffer_add(text, piece, (size_t)n);
		if (text->failed)
			return frcnn_fail_nomem(err);
	}
	return 0;
}

static int open_input(const char *path, struct input *input, struct frcnn_error *err)
{
	if (strcmp(path, "-") != 0)
		return frcnn_file_open(path, 0, &input->file, err);
	return read_rest(STDIN_FILENO, "standard input", &input->text, err);
}

static void close_input(struct input *input)
{
	frcnn_file_close(&input->file);
	frcnn_buffer_free(&input->text);
}

static void tell(const struct frcnn_filter *filter, size_t files)
{
	struct frcnn_filter_counts counts = frcnn_filter_counts(filter);

	job.trouble |= counts.failed > 0;
	if (files > 1 && counts.partial > 0)
		frcnn_warn(NULL, "images that are not in all %zu files: %zu of %zu", files, counts.partial,
			   counts.images);
	if (counts.above_one > 0)
		frcnn_warn(NULL, "fused scores above 1: %zu (--clip-scores makes them 1)", counts.above_one);
	for (size_t i = 0; i < job.classes.count; i++)
		if (!frcnn_filter_has_class(filter, job.classes.items[i]))
			frcnn_warn(NULL, "--classes: no detection is of class \"%s\"", job.classes.items[i]);
	frcnn_say("%zu images, %zu detections in, %zu out", counts.images, counts.in, counts.out);
}

static int run_whole(struct frcnn_filter *filter, const struct frcnn_filter_options *o,
		     const struct frcnn_filter_input *inputs, size_t count, struct sink *sink, struct frcnn_error *err)
{
	struct frcnn_buffer text = {0};
	double ious[32] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8};
	struct nms_sweep sweep = {.truth_path = job.truth_path,
				  .labels_path = job.labels_path,
				  .image_root = job.image_root,
				  .methods = &job.methods,
				  .ious = job.ious.count ? job.ious.values : ious,
				  .nious = job.ious.count ? job.ious.count : 6,
				  .nms = o->nms,
				  .ninputs = count,
				  .pool = job.pool,
				  .notices = &notices};
	int status = frcnn_filter_load(filter, inputs, err);

	if (status == 0 && !job.sweep)
		return frcnn_filter_write(filter, put, sink, err);
	if (status == 0)
		status = nms_sweep(filter, &sweep, &text, err);
	if (status == 0)
		status = put(sink, text.data, text.size, err);
	frcnn_buffer_free(&text);
	return status;
}

/* One input: JSON Lines go through line by line, the COCO forms are read whole. */
static int run_one(struct frcnn_filter *filter, const struct frcnn_filter_options *o, const char *path,
		   struct sink *sink, struct frcnn_error *err)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rbe"), *joined = NULL;
	const char *name = standard ? "standard input" : path;
	struct frcnn_buffer text = {0};
	struct ahead ahead = {&text, 0, file};
	enum frcnn_record_form form;
	struct stat status_of;
	int status;

	if (!file) {
		status = frcnn_fail_errno(err, path, errno);
		frcnn_filter_free(filter);
		return status;
	}
	if (fstat(fileno(file), &status_of) == 0 && S_ISDIR(status_of.st_mode)) {
		status = frcnn_fail_errno(err, path, EISDIR);
		goto out;
	}
	status = sniff(fileno(file), name, &text, &form, err);
	if (status == 0 && form == FRCNN_FORM_JSONL && !job.sweep) {
		joined = fopencookie(&ahead, "rb", (cookie_io_functions_t){.read = read_ahead});
		status = joined ? frcnn_filter_stream(filter, joined, name, put_now, sink, err) : frcnn_fail_nomem(err);
	} else if (status == 0) {
		struct frcnn_filter_input input = {.name = name};
		status = read_rest(fileno(file), name, &text, err);
		input.text = text.size ? text.data : "";
		input.size = text.size;
		if (status == 0)
			status = run_whole(filter, o, &input, 1, sink, err);
	}
	tell(filter, 1);
out:
	frcnn_filter_free(filter);
	if (joined)
		fclose(joined);
	if (!standard)
		fclose(file);
	frcnn_buffer_free(&text);
	return status;
}

static int run_several(struct frcnn_filter *filter, const struct frcnn_filter_options *o, char **paths, size_t count,
		       struct sink *sink, struct frcnn_error *err)
{
	struct input *opened = frcnn_calloc(count, sizeof *opened);
	struct frcnn_filter_input *inputs = frcnn_calloc(count, sizeof *inputs);
	int status = opened && inputs ? 0 : frcnn_fail_nomem(err);
	size_t good = 0;

	for (size_t i = 0; i < count && status == 0; i++) {
		status = open_input(paths[i], &opened[i], err);
		if (status == 0) {
			good++;
		} else if (status != FRCNN_ENOMEM && (good > 0 || i + 1 < count)) {
			/* the others go on, as if nothing were in it */
			close_input(&opened[i]);
			frcnn_report(NULL, "%s", err->message);
			job.trouble = true;
			status = 0;
		}
		inputs[i].name = strcmp(paths[i], "-") == 0 ? "standard input" : paths[i];
		inputs[i].text = opened[i].file.data ? (const void *)opened[i].file.data : opened[i].text.data;
		inputs[i].size = opened[i].file.data ? opened[i].file.size : opened[i].text.size;
		if (!inputs[i].text)
			inputs[i].text = "";
	}
	if (status == 0)
		status = run_whole(filter, o, inputs, count, sink, err);
	if (status == 0)
		tell(filter, count);
	frcnn_filter_free(filter);
	for (size_t i = 0; i < count && opened; i++)
		close_input(&opened[i]);
	free(opened);
	free(inputs);
	return status;
}

static int run(char **paths, size_t count, struct frcnn_error *err)
{
	struct frcnn_filter_options o;
	struct frcnn_filter *filter = NULL;
	struct sink sink = {0};
	int status = read_thresholds(err);

	set_options(&o);
	if (status == 0)
		status = frcnn_pool_new(job.threads > 0 ? job.threads : frcnn_usable_cores(), &job.pool, err);
	if (status == 0 && job.output && strcmp(job.output, "-") != 0)
		status = frcnn_output_open(job.output, &sink.file, err);
	if (status == 0)
		status = frcnn_filter_new(&o, count, job.pool, &notices, &filter, err);
	if (status == 0)
		status = count == 1 ? run_one(filter, &o, paths[0], &sink, err)
				    : run_several(filter, &o, paths, count, &sink, err);
	if (status == 0 && sink.file.path)
		status = frcnn_output_commit(&sink.file, err);
	frcnn_output_abort(&sink.file);
	return status;
}

int main(int argc, char **argv)
{
	static char *standard_input[] = {"-"};
	struct frcnn_error err = {0};
	int operands, result = frcnn_opt_parse(&program, argc, argv, &operands);

	if (result < 0)
		result = check_options(operands, argv + 1);
	if (result >= 0)
		return result;
	if (run(operands > 0 ? argv + 1 : standard_input, operands > 0 ? (size_t)operands : 1, &err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		job.trouble = true;
	}
	frcnn_filter_thresholds_free(&job.thresholds);
	frcnn_list_free(&job.classes);
	frcnn_pool_free(job.pool);
	result = job.trouble ? FRCNN_EXIT_TROUBLE : FRCNN_EXIT_OK;
	if (!job.lost && frcnn_close_stdout() != FRCNN_EXIT_OK)
		result = FRCNN_EXIT_TROUBLE;
	return result;
}
