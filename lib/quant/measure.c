/* Float detections against int8 detections: found, shift, and what lib/eval makes of both. */
#include "quant/measure.h"
#include "eval/validate.h"

#include <math.h>

/* ---- found and shift ----------------------------------------------------------------------------------------- */

static double iou_of(const struct frcnn_detection *a, const struct frcnn_detection *b)
{
	double x = fmin(a->x2, b->x2) - fmax(a->x1, b->x1), y = fmin(a->y2, b->y2) - fmax(a->y1, b->y1);
	double areas =
	    ((double)a->x2 - a->x1) * ((double)a->y2 - a->y1) + ((double)b->x2 - b->x1) * ((double)b->y2 - b->y1);

	return x > 0 && y > 0 ? x * y / (areas - x * y) : 0;
}

int frcnn_agreement_add(struct frcnn_agreement *sums, const struct frcnn_detections *before,
			const struct frcnn_detections *after, struct frcnn_error *err)
{
	uint8_t *taken = frcnn_calloc(after->count, sizeof *taken);

	if (!taken)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < before->count; i++) {
		const struct frcnn_detection *wanted = &before->items[i];
		size_t best = after->count;
		double highest = 0;

		if (!(wanted->score >= FRCNN_COST_SCORE))
			continue;
		sums->wanted++;
		for (size_t j = 0; j < after->count; j++) {
			double iou =
			    taken[j] || after->items[j].label != wanted->label ? 0 : iou_of(wanted, &after->items[j]);

			if (iou >= FRCNN_COST_IOU && iou > highest) {
				highest = iou;
				best = j;
			}
		}
		if (best == after->count)
			continue;
		taken[best] = 1;
		sums->found++;
		sums->shift += fabs((double)wanted->score - after->items[best].score);
	}
	free(taken);
	return 0;
}

double frcnn_agreement_found(const struct frcnn_agreement *sums)
{
	return sums->wanted > 0 ? (double)sums->found / (double)sums->wanted : -1;
}

double frcnn_agreement_shift(const struct frcnn_agreement *sums)
{
	return sums->found > 0 ? sums->shift / (double)sums->found : -1;
}

/* ---- the ground truth of the measured images alone ------------------------------------------------------------ */

/* A ground truth of its own, of some images. */
struct part {
	struct frcnn_ground_truth truth;
	size_t *place; /* of an image of the whole in the part; SIZE_MAX: not in it */
};

static void part_free(struct part *part)
{
	frcnn_ground_truth_free(&part->truth);
	free(part->place);
}

/* A name may be absent. */
static int copy_name(const char *name, const char **out)
{
	*out = name ? frcnn_strdup(name) : NULL;
	return name && !*out ? FRCNN_ENOMEM : 0;
}

static int part_make(const struct frcnn_ground_truth *whole, const size_t *images, size_t count, struct part *out,
		     struct frcnn_error *err)
{
	struct frcnn_ground_truth *truth = &out->truth;
	size_t n = 0;

	truth->form = whole->form;
	truth->own_categories = whole->own_categories;
	out->place = frcnn_calloc(whole->nimages, sizeof *out->place);
	truth->image_ids = frcnn_calloc(count, sizeof *truth->image_ids);
	truth->file_names = frcnn_calloc(count, sizeof *truth->file_names);
	truth->widths = frcnn_calloc(count, sizeof *truth->widths);
	truth->heights = frcnn_calloc(count, sizeof *truth->heights);
	truth->annotation_ids = frcnn_calloc(whole->nannotations, sizeof *truth->annotation_ids);
	truth->annotation_images = frcnn_calloc(whole->nannotations, sizeof *truth->annotation_images);
	truth->annotation_categories = frcnn_calloc(whole->nannotations, sizeof *truth->annotation_categories);
	truth->bboxes = frcnn_calloc(whole->nannotations, 4 * sizeof *truth->bboxes);
	truth->areas = frcnn_calloc(whole->nannotations, sizeof *truth->areas);
	truth->crowds = frcnn_calloc(whole->nannotations, sizeof *truth->crowds);
	truth->category_ids = frcnn_calloc(whole->ncategories, sizeof *truth->category_ids);
	truth->category_names = frcnn_calloc(whole->ncategories, sizeof *truth->category_names);
	if (!out->place || !truth->category_ids || !truth->category_names || !truth->image_ids || !truth->file_names ||
	    !truth->widths || !truth->heights || !truth->annotation_ids || !truth->annotation_images ||
	    !truth->annotation_categories || !truth->bboxes || !truth->areas || !truth->crowds)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < whole->nimages; i++)
		out->place[i] = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t from = images[i];

		if (from >= whole->nimages || out->place[from] != SIZE_MAX)
			continue;
		out->place[from] = truth->nimages;
		truth->image_ids[truth->nimages] = whole->image_ids[from];
		truth->widths[truth->nimages] = whole->widths[from];
		truth->heights[truth->nimages] = whole->heights[from];
		truth->nimages++;
		if (copy_name(whole->file_names[from], &truth->file_names[truth->nimages - 1]) < 0)
			return frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < whole->ncategories; i++) {
		truth->category_ids[i] = whole->category_ids[i];
		truth->ncategories++;
		if (copy_name(whole->category_names[i], &truth->category_names[i]) < 0)
			return frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < whole->nannotations; i++) {
		size_t place = out->place[whole->annotation_images[i]];

		if (place == SIZE_MAX)
			continue;
		truth->annotation_ids[n] = whole->annotation_ids[i];
		truth->annotation_images[n] = place;
		truth->annotation_categories[n] = whole->annotation_categories[i];
		memcpy(truth->bboxes + 4 * n, whole->bboxes + 4 * i, 4 * sizeof *truth->bboxes);
		truth->areas[n] = whole->areas[i];
		truth->crowds[n] = whole->crowds[i];
		n++;
	}
	truth->nannotations = n;
	return frcnn_ground_truth_index(truth) < 0 ? frcnn_fail_nomem(err) : 0;
}

/* ---- the cost ------------------------------------------------------------------------------------------------ */

/* One model's detections on their way to columns. */
struct side {
	struct frcnn_validation *validation;
	struct frcnn_eval_collector collector;
	struct frcnn_eval_detections columns;
	size_t images;
};

struct frcnn_cost {
	const struct frcnn_model *model;
	struct part part;
	struct frcnn_eval_truth truth;
	bool has_truth;
	size_t *images; /* a measured image: index in the whole ground truth, or SIZE_MAX */
	size_t count, added, known;
	struct side before, after;
	struct frcnn_agreement agreement;
	struct frcnn_report report;
};

static void side_free(struct side *side)
{
	frcnn_validation_free(side->validation);
	frcnn_eval_collector_free(&side->collector);
	frcnn_eval_detections_free(&side->columns);
}

void frcnn_cost_free(struct frcnn_cost *cost)
{
	if (!cost)
		return;
	frcnn_report_free(&cost->report);
	side_free(&cost->before);
	side_free(&cost->after);
	frcnn_eval_truth_free(&cost->truth);
	part_free(&cost->part);
	free(cost->images);
	free(cost);
}

int frcnn_cost_new(const struct frcnn_model *model, const struct frcnn_ground_truth *truth, const char *truth_name,
		   const size_t *images, size_t count, struct frcnn_cost **out, struct frcnn_error *err)
{
	struct frcnn_cost *cost = frcnn_calloc(1, sizeof *cost);
	int status = 0;

	*out = NULL;
	if (!cost)
		return frcnn_fail_nomem(err);
	cost->model = model;
	cost->count = count;
	cost->images = frcnn_calloc(count, sizeof *cost->images);
	if (!cost->images) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		cost->images[i] = truth ? images[i] : SIZE_MAX;
	if (!truth)
		goto out;
	status = part_make(truth, images, count, &cost->part, err);
	if (status < 0 || cost->part.truth.nimages == 0)
		goto out;
	cost->has_truth = true;
	cost->report.truth_path = truth_name;
	status = frcnn_eval_truth_make(&cost->part.truth, false, &cost->truth, err);
	if (status == 0)
		status =
		    frcnn_validation_new(&cost->part.truth, &cost->truth, "float model", &cost->before.validation, err);
	if (status == 0)
		status =
		    frcnn_validation_new(&cost->part.truth, &cost->truth, "int8 model", &cost->after.validation, err);
out:
	if (status < 0)
		frcnn_cost_free(cost);
	else
		*out = cost;
	return status;
}

static int collect(struct frcnn_cost *cost, struct side *side, int64_t id, const struct frcnn_detections *detections,
		   struct frcnn_error *err)
{
	uint32_t image;
	int status = frcnn_validation_image(side->validation, NULL, true, id, 0, 0, 0, false, &image, err);

	if (status <= 0)
		return status;
	side->images++;
	for (size_t i = 0; i < detections->count; i++) {
		const struct frcnn_detection *d = &detections->items[i];
		/* as a record would say it: float32 */
		const double bbox[4] = {d->x1, d->y1, d->x2 - d->x1, d->y2 - d->y1};

		status = frcnn_validation_detection(
		    side->validation, image, frcnn_model_label_name(cost->model, d->label), true,
		    frcnn_model_label_category(cost->model, d->label), bbox, d->score, 0, &side->collector, err);
		if (status < 0)
			return status;
	}
	return 0;
}

int frcnn_cost_add(struct frcnn_cost *cost, size_t i, const struct frcnn_detections *before,
		   const struct frcnn_detections *after, struct frcnn_error *err)
{
	int status;

	if (i >= cost->count)
		return frcnn_fail(err, FRCNN_EINVAL, "image %zu of %zu", i, cost->count);
	status = frcnn_agreement_add(&cost->agreement, before, after, err);
	if (status < 0)
		return status;
	cost->added++;
	if (!cost->has_truth || cost->images[i] == SIZE_MAX)
		return 0;
	cost->known++;
	i = cost->part.place[cost->images[i]];
	status = collect(cost, &cost->before, cost->part.truth.image_ids[i], before, err);
	if (status == 0)
		status = collect(cost, &cost->after, cost->part.truth.image_ids[i], after, err);
	return status;
}

/* What the float model's detections show of how model and ground truth fit is true of both. */
static int keep_findings(struct frcnn_cost *cost, double ap, struct frcnn_pool *pool, struct frcnn_error *err)
{
	const struct frcnn_finding *findings;
	size_t count;
	int status = frcnn_validation_finish(cost->before.validation, &cost->before.columns, &cost->report.options, ap,
					     FRCNN_VALIDATION_EFFECT_LIMIT, pool, err);

	if (status < 0)
		return status;
	findings = frcnn_validation_findings(cost->before.validation, &count);
	cost->report.warnings = frcnn_calloc(count, sizeof *cost->report.warnings);
	if (!cost->report.warnings)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		char *line = frcnn_strdup(findings[i].text);

		if (!line)
			return frcnn_fail_nomem(err);
		cost->report.warnings[cost->report.nwarnings++] = line;
	}
	return 0;
}

static int evaluate(struct frcnn_cost *cost, struct frcnn_pool *pool, struct frcnn_error *err)
{
	struct frcnn_report *report = &cost->report;
	int status;

	report->truth = &cost->truth;
	report->baseline = frcnn_calloc(1, sizeof *report->baseline);
	if (!report->baseline)
		return frcnn_fail_nomem(err);
	report->baseline->path = "float";
	report->baseline->images = cost->before.images;
	report->models[0].images = cost->after.images;
	status = frcnn_eval_detections_make(&cost->before.collector, &cost->truth, pool, &cost->before.columns, err);
	if (status == 0)
		status =
		    frcnn_eval_detections_make(&cost->after.collector, &cost->truth, pool, &cost->after.columns, err);
	if (status == 0)
		status = frcnn_report_measure(report, &cost->before.columns, FRCNN_MEASURE_MATCHES, pool,
					      report->baseline, err);
	if (status == 0)
		status = frcnn_report_measure(report, &cost->after.columns, FRCNN_MEASURE_MATCHES, pool,
					      &report->models[0], err);
	if (status == 0)
		status = frcnn_report_compare(report, &cost->after.columns, &cost->before.columns, pool,
					      &report->models[0], err);
	if (status == 0)
		status = keep_findings(cost, report->baseline->stats[0], pool, err);
	return status;
}

int frcnn_cost_finish(struct frcnn_cost *cost, int resamples, uint64_t seed, struct frcnn_pool *pool,
		      struct frcnn_report **out, struct frcnn_error *err)
{
	struct frcnn_report *report = &cost->report;
	int status = 0;

	*out = NULL;
	frcnn_eval_options_init(&report->options);
	report->threshold_score = report->match_iou = 0.5;
	report->resamples = resamples;
	report->seed = seed;
	report->models = frcnn_calloc(1, sizeof *report->models);
	if (!report->models)
		return frcnn_fail_nomem(err);
	report->nmodels = 1;
	report->models[0].path = "int8";
	if (cost->known > 0)
		status = evaluate(cost, pool, err);
	if (status < 0)
		return status;
	if (frcnn_report_metric_add(&report->models[0].metrics, "found", frcnn_agreement_found(&cost->agreement)) < 0 ||
	    frcnn_report_metric_add(&report->models[0].metrics, "shift", frcnn_agreement_shift(&cost->agreement)) < 0)
		return frcnn_fail_nomem(err);
	*out = report;
	return 0;
}

const struct frcnn_agreement *frcnn_cost_agreement(const struct frcnn_cost *cost)
{
	return &cost->agreement;
}

size_t frcnn_cost_images(const struct frcnn_cost *cost)
{
	return cost->added;
}

size_t frcnn_cost_known(const struct frcnn_cost *cost)
{
	return cost->known;
}
