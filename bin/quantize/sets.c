/* Pictures to three sets that have none in common: calibration, search, report. */
#include "quantize/job.h"

#include <math.h>

#define SMALL_REPORT 16 /* fewer pictures tell little */

/* ---- names --------------------------------------------------------------------------------------------------- */

static int gather(struct quantize_job *job, char **operands, int count)
{
	int end;

	if (job->truth_path && count == 0) {
		end = frcnn_inputs_from_truth(&job->inputs, job->truth_path, job->image_root);
	} else {
		end = frcnn_inputs_gather(&job->inputs, operands, count, job->null_list);
		if (end < 0 && job->truth_path)
			end = frcnn_inputs_join_truth(&job->inputs, job->truth_path);
	}
	if (end < 0 && job->measure_truth_path)
		end = frcnn_inputs_from_truth(&job->measure_inputs, job->measure_truth_path, job->measure_root);
	job->failed += job->inputs.failed + job->measure_inputs.failed;
	return end;
}

/* ---- digests ------------------------------------------------------------------------------------------------- */

static int digest_file(const char *path, char hex[65], struct frcnn_error *err)
{
	struct frcnn_file file = {0};
	int status = frcnn_file_open(path, 0, &file, err);

	if (status == 0)
		status = frcnn_sha256(file.data, file.size, hex, err);
	frcnn_file_close(&file);
	return status;
}

static void digest_one(void *context, size_t index, int worker)
{
	struct quantize_image *image = (struct quantize_image *)context + index;

	(void)worker;
	image->status = digest_file(image->input->path, image->sha256, &image->err);
}

/* By digest; of copies one that the ground truth knows comes first, then by name: the order of operands is nothing. */
static int compare_images(const void *a, const void *b)
{
	const struct quantize_image *x = a, *y = b;
	int order = strcmp(x->sha256, y->sha256);

	if (order == 0)
		order = (x->truth == SIZE_MAX) - (y->truth == SIZE_MAX);
	return order ? order : strcmp(x->input->name, y->input->name);
}

static int join(const struct frcnn_ground_truth *truth, struct quantize_image *images, size_t count,
		struct frcnn_error *err)
{
	struct frcnn_join *join = NULL;
	int status = frcnn_join_new(truth, &join, err);

	for (size_t i = 0; i < count && status == 0; i++) {
		const struct frcnn_input *input = images[i].input;

		/* What contradicts itself was said, and left out, when ids were given. */
		if (frcnn_join_find(join, input->name, input->has_id, input->id, &images[i].truth, NULL) <= 0)
			images[i].truth = SIZE_MAX;
	}
	frcnn_join_free(join);
	return status;
}

/* The inputs' pictures, read, each content once, sorted. */
static int digest_all(struct quantize_job *job, struct frcnn_inputs *inputs, const struct frcnn_ground_truth *truth,
		      struct quantize_image **out, size_t *count, struct frcnn_error *err)
{
	struct quantize_image *images = frcnn_calloc(inputs->count, sizeof *images);
	size_t read = 0, kept = 0, copies = 0;
	const char *copy = NULL;
	int status = 0;

	*out = images;
	*count = 0;
	if (!images)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < inputs->count; i++) {
		images[i].input = &inputs->items[i];
		images[i].truth = SIZE_MAX;
	}
	frcnn_pool_run(job->pool, inputs->count, digest_one, images);
	for (size_t i = 0; i < inputs->count; i++) {
		if (images[i].status == 0) {
			images[read++] = images[i];
			continue;
		}
		if (images[i].status == FRCNN_ENOMEM)
			return frcnn_fail_nomem(err);
		frcnn_report(NULL, "%s", images[i].err.message);
		job->failed++;
	}
	if (truth)
		status = join(truth, images, read, err);
	if (status < 0)
		return status;
	if (read > 0)
		qsort(images, read, sizeof *images, compare_images);
	for (size_t i = 0; i < read; i++) {
		if (kept > 0 && strcmp(images[kept - 1].sha256, images[i].sha256) == 0) {
			copies++;
			copy = copy ? copy : images[i].input->name;
		} else {
			images[kept++] = images[i];
		}
	}
	if (copies > 0)
		quantize_warn(job, "%s%s %s of another image: copies count once", copy, copies > 1 ? " and others" : "",
			      copies > 1 ? "are copies" : "is a copy");
	job->duplicates += copies;
	*count = kept;
	return 0;
}

/* ---- ground truth -------------------------------------------------------------------------------------------- */

static void note(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct quantize_job *job = context;

	if (kind == FRCNN_NOTICE_WARNING) {
		frcnn_warn(NULL, "%s", line);
	} else {
		frcnn_report(NULL, "%s", line);
		job->failed++;
	}
}

static int read_truth(struct quantize_job *job, struct frcnn_error *err)
{
	const char *path = job->measure_truth_path ? job->measure_truth_path : job->truth_path;
	struct frcnn_notices notices = {note, job};
	int status;

	if (!path)
		return 0;
	status = frcnn_ground_truth_read(path, false, &notices, &job->truth, err);
	job->has_truth = status == 0;
	if (status == 0 && !job->measure_truth_path)
		job->search_truth = &job->truth;
	if (status == 0 && job->measure_truth_path && job->truth_path && job->gates.count > 0) {
		status = frcnn_ground_truth_read(job->truth_path, false, &notices, &job->own_search_truth, err);
		job->search_truth = &job->own_search_truth;
	}
	/* What a search is judged by decides on bytes, which are to say so. */
	if (status == 0 && job->search_truth && quantize_needs_truth(job))
		status = digest_file(job->truth_path, job->search_truth_sha256, err);
	return status;
}

bool quantize_is_agreement(const char *metric)
{
	return strcmp(metric, "found") == 0 || strcmp(metric, "shift") == 0;
}

bool quantize_needs_truth(const struct quantize_job *job)
{
	for (size_t i = 0; i < job->gates.count; i++) {
		if (!quantize_is_agreement(job->gates.items[i].metric))
			return true;
	}
	return false;
}

/* ---- sets ---------------------------------------------------------------------------------------------------- */

static int set_make(struct quantize_set *set, const char *name, struct quantize_image *images, size_t count,
		    struct frcnn_error *err)
{
	struct frcnn_buffer text = {0};
	int status;

	set->name = name;
	set->images = images;
	set->count = count;
	for (size_t i = 0; i < count; i++)
		frcnn_buffer_printf(&text, "%s\n", images[i].sha256);
	status =
	    text.failed ? frcnn_fail_nomem(err) : frcnn_sha256(text.size ? text.data : "", text.size, set->sha256, err);
	frcnn_buffer_free(&text);
	return status;
}

/* Takes out of the operands what is measured anyway. Both are sorted. */
static size_t take_out(struct quantize_image *images, size_t count, const struct quantize_image *measured,
		       size_t nmeasured)
{
	size_t kept = 0, j = 0;

	for (size_t i = 0; i < count; i++) {
		while (j < nmeasured && strcmp(measured[j].sha256, images[i].sha256) < 0)
			j++;
		if (j == nmeasured || strcmp(measured[j].sha256, images[i].sha256) != 0)
			images[kept++] = images[i];
	}
	return kept;
}

/* A content's digest is as good as a die and the same everywhere: the first in its order are the report's, then come
 * calibration and, if there are gates to search for, search: half each and no more than were asked for. */
static int split(struct quantize_job *job, size_t count, size_t measured, struct frcnn_error *err)
{
	size_t report = 0, most = (size_t)job->calibration_images, rest, calibration, search;
	struct quantize_image *images = job->pool_images;
	int status;

	if (job->measure_truth_path) {
		rest = take_out(images, count, job->measure_images, measured);
		job->overlap = count - rest;
	} else {
		report = (size_t)floor((double)count * job->holdout + 0.5);
		rest = count - report;
	}
	search = job->gates.count > 0 ? rest / 2 : 0;
	calibration = rest - search < most ? rest - search : most;
	search = search < most ? search : most;
	job->unused = rest - calibration - search;
	status = set_make(&job->sets[QUANTIZE_REPORT], "report", job->measure_truth_path ? job->measure_images : images,
			  job->measure_truth_path ? measured : report, err);
	images += report;
	if (status == 0)
		status = set_make(&job->sets[QUANTIZE_CALIBRATION], "calibration", images, calibration, err);
	if (status == 0)
		status = set_make(&job->sets[QUANTIZE_SEARCH], "search", images + calibration, search, err);
	return status;
}

static const char *const gate_options[] = {
    [FRCNN_GATE_MIN] = "--min", [FRCNN_GATE_MAX] = "--max", [FRCNN_GATE_MAX_DROP] = "--max-drop"};

/* Whether there will be what the gates are on: a report on the same pictures and no detections has all the names. */
static int check_gates(const struct quantize_job *job, struct frcnn_error *err)
{
	const struct quantize_set *set = &job->sets[QUANTIZE_REPORT];
	const struct frcnn_detections none = {0};
	struct frcnn_cost *cost = NULL;
	struct frcnn_report *report = NULL;
	struct frcnn_error why;
	int status = job->gates.count > 0 ? quantize_new_cost(job, &cost, err) : 0;

	for (size_t i = 0; i < set->count && cost && status == 0; i++)
		status = frcnn_cost_add(cost, i, &none, &none, err);
	if (cost && status == 0)
		status = frcnn_cost_finish(cost, 0, 0, job->pool, &report, err);
	for (size_t i = 0; i < job->gates.count && status == 0; i++) {
		const struct frcnn_gate *gate = &job->gates.items[i];

		if (frcnn_gate_check(report, gate, &why) < 0)
			status = frcnn_fail(err, FRCNN_EINVAL, "%s %s: %s", gate_options[gate->kind], gate->metric,
					    why.message);
	}
	frcnn_cost_free(cost);
	return status;
}

static int check_sets(struct quantize_job *job, struct frcnn_error *err)
{
	const struct quantize_set *report = &job->sets[QUANTIZE_REPORT];
	size_t known = 0;
	int status;

	if (job->sets[QUANTIZE_CALIBRATION].count == 0)
		return frcnn_fail(err, FRCNN_EINVAL, "no image is left to calibrate with");
	for (size_t i = 0; i < report->count; i++)
		known += report->images[i].truth != SIZE_MAX;
	if (job->gates.count > 0 && report->count == 0)
		return frcnn_fail(err, FRCNN_EINVAL, "the report set is empty: there is nothing to judge gates on");
	if (quantize_needs_truth(job) && known == 0)
		return frcnn_fail(
		    err, FRCNN_EINVAL,
		    "the ground truth knows no image of the report set: there is nothing to judge gates on");
	status = check_gates(job, err);
	if (status < 0)
		return status;
	if (job->overlap > 0)
		quantize_warn(job, "%zu image%s measured and so not used for anything else", job->overlap,
			      job->overlap == 1 ? " is" : "s are");
	if (report->count == 0)
		quantize_warn(job, "the report set is empty: what quantization costs is not measured");
	else if (report->count < SMALL_REPORT)
		quantize_warn(job, "the report set has only %zu image%s: what is told of the cost is rough",
			      report->count, report->count == 1 ? "" : "s");
	return 0;
}

int quantize_make_sets(struct quantize_job *job, char **operands, int count)
{
	struct frcnn_error err;
	size_t images = 0, measured = 0;
	int end = gather(job, operands, count), status;

	if (end >= 0)
		return end;
	status = read_truth(job, &err);
	if (status == 0)
		status = digest_all(job, &job->inputs, job->search_truth, &job->pool_images, &images, &err);
	if (status == 0)
		status = digest_all(job, &job->measure_inputs, job->has_truth ? &job->truth : NULL,
				    &job->measure_images, &measured, &err);
	if (status == 0)
		status = split(job, images, measured, &err);
	if (status == 0)
		status = check_sets(job, &err);
	if (status == 0) {
		for (int i = 0; i < QUANTIZE_SETS; i++)
			frcnn_say("%s: %zu images", job->sets[i].name, job->sets[i].count);
		return -1;
	}
	frcnn_report(NULL, "%s", err.message);
	return FRCNN_EXIT_TROUBLE;
}

/* ---- what pictures are like ---------------------------------------------------------------------------------- */

/* Luma's mean and standard deviation (0 .. 255), and the logarithm of the number of pixels. */
void quantize_look(struct quantize_image *image, const struct frcnn_image *picture)
{
	size_t pixels = (size_t)picture->width * (size_t)picture->height;
	double sum = 0, squares = 0, mean;

	for (size_t i = 0; i < pixels; i++) {
		const uint8_t *p = picture->rgb + 3 * i;
		double luma = (299 * p[0] + 587 * p[1] + 114 * p[2]) * 1e-3;

		sum += luma;
		squares += luma * luma;
	}
	mean = sum / (double)pixels;
	image->looks[QUANTIZE_BRIGHTNESS] = mean;
	image->looks[QUANTIZE_CONTRAST] = sqrt(fmax(squares / (double)pixels - mean * mean, 0));
	image->looks[QUANTIZE_SIZE] = log((double)pixels);
	image->seen = true;
}

/*
 * Sets as a whole are unlike when nearly every picture of one has more than nearly every picture of the other, and more
 * so than chance would have it (Mann and Whitney's rank sum). A single calibration picture is far when it is so by two
 * measures: the report's median and three standard deviations, as the median absolute deviation tells them, and the
 * range of the report's without the eighth at either end. Neither lets a few strange pictures of the report excuse
 * others. Both are widened by slack, the more the fewer pictures the report has.
 */
static const struct {
	const char *name, *unit;
	double slack;
} kinds[QUANTIZE_LOOKS] = {{"brightness", "", 20}, {"contrast", "", 15}, {"size", " pixels", 0.7}};

#define FEWEST_TO_COMPARE 4   /* pictures of the report */
#define NAMED             3   /* culprits */
#define BLANK             1   /* contrast: less is one colour */
#define UNLIKE            3   /* standard deviations of the rank sum */
#define APART             0.9 /* share of pairs of pictures, one a set, in that order */

struct culprit {
	const char *name;
	double look, off;
};

static int compare_numbers(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The furthest first; equals by name. */
static int compare_culprits(const void *a, const void *b)
{
	const struct culprit *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? 1 : -1;
	return strcmp(x->name, y->name);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_numbers);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Every look as a person reads it. */
static double shown(int kind, double look)
{
	return kind == QUANTIZE_SIZE ? exp(look) : look;
}

/* "A has 3, B has 250 and 4 more" */
static void list_culprits(const struct culprit *culprits, size_t count, int kind, struct frcnn_buffer *out)
{
	for (size_t i = 0; i < count && i < NAMED; i++)
		frcnn_buffer_printf(out, "%s%s has %.0f", i ? ", " : "", culprits[i].name,
				    shown(kind, culprits[i].look));
	if (count > NAMED)
		frcnn_buffer_printf(out, " and %zu more", count - NAMED);
}

/* Both sorted. 1: the calibration set's are greater, -1: less, 0: nothing can be said. */
static int compare_sets(const double *own, size_t nown, const double *report, size_t nreport)
{
	double pairs = (double)nown * (double)nreport, greater = 0, deviation;
	size_t below = 0, equal = 0;

	for (size_t i = 0; i < nown; i++) {
		while (below < nreport && report[below] < own[i])
			below++;
		for (equal = 0; below + equal < nreport && report[below + equal] == own[i];)
			equal++;
		greater += (double)below + 0.5 * (double)equal;
	}
	deviation = sqrt(pairs * (double)(nown + nreport + 1) / 12);
	if (fabs(greater - pairs / 2) < UNLIKE * deviation)
		return 0;
	return greater >= APART * pairs ? 1 : greater <= (1 - APART) * pairs ? -1 : 0;
}

static size_t list_looks(const struct quantize_set *set, int kind, double *out)
{
	size_t count = 0;

	for (size_t i = 0; i < set->count; i++) {
		if (set->images[i].seen)
			out[count++] = set->images[i].looks[kind];
	}
	return count;
}

/* numbers: room for both sets; culprits: for the calibration set. */
static void compare_look(struct quantize_job *job, int kind, double *numbers, struct culprit *culprits)
{
	const struct quantize_set *own = &job->sets[QUANTIZE_CALIBRATION];
	size_t count = list_looks(&job->sets[QUANTIZE_REPORT], kind, numbers), beyond = 0, seen;
	double middle, low, high, far, slack, own_middle, *own_numbers = numbers + count;
	struct frcnn_buffer names = {0};
	int side;

	if (count < FEWEST_TO_COMPARE)
		return;
	seen = list_looks(own, kind, own_numbers);
	middle = median(numbers, count);
	own_middle = seen > 0 ? median(own_numbers, seen) : middle;
	side = compare_sets(own_numbers, seen, numbers, count);
	slack = kinds[kind].slack * (1 + 8 / (double)count);
	low = numbers[count / 8] - slack;
	high = numbers[count - 1 - count / 8] + slack;
	for (size_t i = 0; i < count; i++)
		numbers[i] = fabs(numbers[i] - middle);
	far = 3 * 1.4826 * median(numbers, count) + slack;
	for (size_t i = 0; i < own->count; i++) {
		const struct quantize_image *image = &own->images[i];
		double look = image->looks[kind], off = look - middle;

		if (image->seen && (side ? off * side > 0 : fabs(off) > far && (look < low || look > high)))
			culprits[beyond++] = (struct culprit){image->input->name, look, fabs(off)};
	}
	if (beyond == 0)
		return;
	qsort(culprits, beyond, sizeof *culprits, compare_culprits);
	list_culprits(culprits, beyond, kind, &names);
	if (!names.failed && side)
		quantize_warn(job, "%s of the calibration images is unlike the report's: median %.0f%s, not %.0f: %s",
			      kinds[kind].name, shown(kind, own_middle), kinds[kind].unit, shown(kind, middle),
			      names.data);
	else if (!names.failed)
		quantize_warn(job, "%s of %zu of %zu calibration images lies far from the report's median %.0f%s: %s",
			      kinds[kind].name, beyond, seen, shown(kind, middle), kinds[kind].unit, names.data);
	frcnn_buffer_free(&names);
}

/* A picture of one colour tells nothing of the ranges of activations. */
static void find_blanks(struct quantize_job *job, struct culprit *culprits)
{
	const struct quantize_set *own = &job->sets[QUANTIZE_CALIBRATION];
	size_t blank = 0;

	for (size_t i = 0; i < own->count; i++) {
		if (own->images[i].seen && own->images[i].looks[QUANTIZE_CONTRAST] < BLANK)
			culprits[blank++] = (struct culprit){.name = own->images[i].input->name};
	}
	if (blank == 0)
		return;
	qsort(culprits, blank, sizeof *culprits, compare_culprits);
	quantize_warn(job, "%zu of %zu calibration images show%s nothing but one colour: %s%s", blank, own->count,
		      blank == 1 ? "s" : "", culprits[0].name, blank > 1 ? " and others" : "");
}

void quantize_compare_looks(struct quantize_job *job)
{
	size_t own = job->sets[QUANTIZE_CALIBRATION].count;
	double *numbers = frcnn_calloc(job->sets[QUANTIZE_REPORT].count + own, sizeof *numbers);
	struct culprit *culprits = frcnn_calloc(own, sizeof *culprits);

	/* Lack of memory only loses warnings. */
	for (int kind = 0; kind < QUANTIZE_LOOKS && numbers && culprits; kind++)
		compare_look(job, kind, numbers, culprits);
	if (culprits)
		find_blanks(job, culprits);
	free(numbers);
	free(culprits);
}
