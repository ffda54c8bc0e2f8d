/* Layers that cannot bear int8: what each one costs alone, and which are left float until the gates hold. */
#include "quantize/job.h"

#define SENSED    8  /* pictures of the search set that layers are looked at alone with, at the most */
#define FEWEST    4  /* pictures to choose anything by */
#define HEARD     4  /* pictures of the calibration set for the outputs of layers, at the most */
#define LEAST_SNR 10 /* dB, of a layer's output: less is hardly the layer that it was */

/* What is known of the search set while plans are tried. */
struct search {
	struct quantize_job *job;
	const struct frcnn_quantizer *quantizer;
	struct quantize_set *set;
	struct frcnn_detections *before; /* of the float model */
	size_t *truth;                   /* index of each picture in the ground truth */
	bool judged;                     /* any gate could be */
};

bool quantize_can_search(const struct quantize_job *job)
{
	return job->sets[QUANTIZE_SEARCH].count >= FEWEST;
}

const char *quantize_search_verdict(const struct quantize_job *job, bool holds)
{
	return !holds ? "fail" : job->excused ? "hold, but for those that cannot be judged" : "hold";
}

/* ---- one plan ------------------------------------------------------------------------------------------------------
 */

/* Once, by the plan that the search begins with. */
static void excuse(struct search *s, const char *metric, const struct frcnn_gate_result *result)
{
	if (!s->job->search_truth && !quantize_is_agreement(metric))
		quantize_warn(s->job, "the search cannot judge %s: its images have no ground truth (--gt)", metric);
	else
		quantize_warn(s->job, "the search cannot judge a gate: %s", result->message);
}

static int judge_gates(struct search *s, struct frcnn_cost *cost, bool *holds, struct frcnn_error *err)
{
	bool first = !s->judged && !s->job->excused;
	struct frcnn_report *report;
	int status = frcnn_cost_finish(cost, 0, 0, s->job->pool, &report, err);

	if (status < 0)
		return status;
	report->gates = s->job->gates.items;
	report->ngates = s->job->gates.count;
	status = frcnn_gates_judge(report, false, err);
	*holds = true;
	for (size_t i = 0; i < report->nresults && status == 0; i++) {
		const struct frcnn_gate_result *result = &report->results[i];

		if (result->verdict == FRCNN_GATE_FAILED)
			*holds = false;
		if (result->verdict == FRCNN_GATE_FAILED || result->verdict == FRCNN_GATE_HOLDS) {
			s->judged = true;
			continue;
		}
		if (first)
			excuse(s, report->gates[result->gate].metric, result);
		s->job->excused = true;
	}
	return status;
}

static int compare_picture(struct search *s, struct frcnn_detector *detector, size_t i, struct frcnn_cost *cost,
			   struct frcnn_agreement *sums, struct frcnn_error *err)
{
	struct frcnn_detections after = {0};
	struct frcnn_decoded decoded;
	int status = quantize_take_picture(s->job, &s->set->images[i], &decoded, err);

	if (status > 0) {
		status = frcnn_detect(detector, &decoded.image, &after, err);
		if (status == 0)
			status = frcnn_agreement_add(sums, &s->before[i], &after, err);
		if (status == 0)
			status = frcnn_cost_add(cost, i, &s->before[i], &after, err);
	}
	frcnn_detections_free(&after);
	frcnn_image_free(&decoded.image);
	return status;
}

/* frcnn_quant_judge */
static int judge(void *context, const struct frcnn_quant_plan *plan, struct frcnn_quant_score *score,
		 struct frcnn_error *err)
{
	struct search *s = context;
	struct quantize_job *job = s->job;
	struct frcnn_quant_model model = {0};
	struct frcnn_detector *detector = NULL;
	struct frcnn_cost *cost = NULL;
	int status = frcnn_quantizer_model(s->quantizer, plan, &model, err);

	score->count = s->set->count;
	score->images = frcnn_calloc(score->count, sizeof *score->images);
	if (status == 0 && !score->images)
		status = frcnn_fail_nomem(err);
	if (status == 0)
		status = quantize_make_detector(job, &model.model, job->model_path, &detector, err);
	if (status == 0)
		status =
		    frcnn_cost_new(job->model, job->search_truth, job->truth_path, s->truth, s->set->count, &cost, err);
	frcnn_progress_start(s->set->count, 0, job->progress);
	for (size_t i = 0; i < s->set->count && status == 0; i++) {
		status = compare_picture(s, detector, i, cost, &score->images[i], err);
		frcnn_progress_update(i + 1);
	}
	frcnn_progress_end();
	if (status == 0)
		status = judge_gates(s, cost, &score->holds, err);
	if (status == 0)
		frcnn_say("search: %.1f%% float: found %.4f, shift %.5f, gates %s",
			  100 * frcnn_quant_plan_float_share(plan), frcnn_agreement_found(frcnn_cost_agreement(cost)),
			  frcnn_agreement_shift(frcnn_cost_agreement(cost)),
			  quantize_search_verdict(job, score->holds));
	frcnn_cost_free(cost);
	frcnn_detector_free(detector);
	frcnn_quant_model_free(&model);
	return status;
}

/* ---- steps
 * ----------------------------------------------------------------------------------------------------------- */

/* The float model's detections, once. */
static int look(struct search *s, struct frcnn_error *err)
{
	int status = 0;

	for (size_t i = 0; i < s->set->count && status == 0; i++) {
		struct quantize_image *image = &s->set->images[i];
		struct frcnn_decoded decoded;

		s->truth[i] = image->truth;
		status = quantize_take_picture(s->job, image, &decoded, err);
		if (status > 0)
			status = frcnn_detect(s->job->detector, &decoded.image, &s->before[i], err);
		if (status == FRCNN_EINVAL) {
			quantize_leave_out(s->job, image, err);
			status = 0;
		}
		frcnn_image_free(&decoded.image);
		frcnn_progress_update(i + 1);
	}
	return status;
}

/* Every layer alone on pictures of a set, into the plan: its output, or what becomes of detections too. */
static int sense(struct search *s, struct quantize_set *set, bool outputs, struct frcnn_error *err)
{
	struct quantize_job *job = s->job;
	struct frcnn_detector_options options;
	struct frcnn_sensitivity *sensitivity = NULL;
	size_t most = outputs ? HEARD : SENSED;
	int status;

	most = set->count < most ? set->count : most;
	quantize_detector_options(job, &options);
	frcnn_progress_start(most, 0, job->progress);
	status = frcnn_sensitivity_new(s->quantizer, &job->plan, &options, &sensitivity, err);
	for (size_t i = 0; i < most && status == 0; i++) {
		struct frcnn_decoded decoded;

		status = quantize_take_picture(job, &set->images[i], &decoded, err);
		if (status > 0)
			status = frcnn_sensitivity_add(sensitivity, &decoded.image, outputs, err);
		frcnn_image_free(&decoded.image);
		frcnn_progress_update(i + 1);
	}
	frcnn_progress_end();
	if (status == 0) {
		frcnn_sensitivity_tell(sensitivity, &job->plan);
		job->sensed = outputs ? 0 : most;
	}
	frcnn_sensitivity_free(sensitivity);
	return status;
}

/* Whether layer i of the plan, now in int8, may be float as far as --max-float goes. */
static bool has_room(const struct quantize_job *job, size_t i)
{
	struct frcnn_quant_layer *layer = &job->plan.layers[i];
	bool room;

	layer->quantized = false;
	room = frcnn_quant_plan_float_share(&job->plan) <= job->max_float;
	layer->quantized = true;
	return room;
}

static bool can_change(const struct quantize_job *job)
{
	for (size_t i = 0; i < job->plan.nlayers; i++) {
		if (job->plan.layers[i].quantized && !job->locked[i] && has_room(job, i))
			return true;
	}
	return false;
}

static int search(struct search *s, struct frcnn_error *err)
{
	struct quantize_job *job = s->job;
	struct frcnn_quant_score start = {0};
	int status;

	frcnn_progress_start(s->set->count, 0, job->progress);
	status = look(s, err);
	frcnn_progress_end();
	if (status == 0)
		status = judge(s, &job->plan, &start, err);
	if (status == 0 && !s->judged) {
		quantize_warn(job, "the search can judge no gate: no layer is left float to meet them");
		goto out;
	}
	if (status == 0 && !start.holds && !can_change(job))
		quantize_warn(
		    job, "the gates fail on the search set, and no further layer may be left float (--max-float %g)",
		    job->max_float);
	else if (status == 0 && !start.holds && job->sensed == 0)
		status = sense(s, s->set, false, err);
	if (status == 0)
		status =
		    frcnn_quant_search(&job->plan, job->locked, job->max_float, &start, judge, s, &job->trail, err);
	job->searched = status == 0;
out:
	free(start.images);
	return status;
}

/* Of the default plan, not of one that was asked for: what is hopeless whatever the gates. */
static void give_up(struct quantize_job *job)
{
	for (size_t i = 0; i < job->plan.nlayers && !job->quantize_all && !job->plan_path; i++) {
		struct frcnn_quant_layer *layer = &job->plan.layers[i];

		if (!layer->quantized || job->locked[i] || layer->output_snr >= LEAST_SNR || !has_room(job, i))
			continue;
		layer->quantized = false;
		layer->why = "signal to noise";
		quantize_warn(job, "layer %s stays float: in int8 its signal to noise would be %.1f dB", layer->name,
			      layer->output_snr);
	}
}

int quantize_search(struct quantize_job *job, const struct frcnn_quantizer *quantizer, struct frcnn_error *err)
{
	struct quantize_set *set = &job->sets[QUANTIZE_SEARCH];
	struct search s = {.job = job, .quantizer = quantizer, .set = set};
	int status = sense(&s, &job->sets[QUANTIZE_CALIBRATION], true, err);

	if (status == 0)
		give_up(job);
	if (status == 0 && job->sensitivity)
		status = sense(&s, set->count > 0 ? set : &job->sets[QUANTIZE_CALIBRATION], false, err);
	if (status < 0 || job->gates.count == 0)
		return status;
	if (!quantize_can_search(job)) {
		quantize_warn(job, "the search set has only %zu image%s: no layer is left float to meet the gates",
			      set->count, set->count == 1 ? "" : "s");
		return 0;
	}
	s.before = frcnn_calloc(set->count, sizeof *s.before);
	s.truth = frcnn_calloc(set->count, sizeof *s.truth);
	status = s.before && s.truth ? search(&s, err) : frcnn_fail_nomem(err);
	for (size_t i = 0; s.before && i < set->count; i++)
		frcnn_detections_free(&s.before[i]);
	free(s.before);
	free(s.truth);
	return status;
}
