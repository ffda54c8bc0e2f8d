/* What is done for accuracy beside choosing scales: equalization before calibration, adaptive rounding after it. */
#include "quantize/job.h"

#define EQUALIZED_BY 8 /* pictures that the ranges of channels come from, at the most */

/* One float detector at a time: each takes several times the memory of the model. */
static int change_detector(struct quantize_job *job, const struct frcnn_model *model, struct frcnn_error *err)
{
	frcnn_detector_free(job->detector);
	job->detector = NULL;
	return quantize_make_detector(job, model, job->model_path, &job->detector, err);
}

/* A plan of the model, over which the detector is, with all that a calibration with a few pictures says: inputs chosen,
 * weights quantized. */
static int sketch(struct quantize_job *job, const struct frcnn_model *model, struct frcnn_calibration **calibration,
		  struct frcnn_quant_plan *plan, struct frcnn_error *err)
{
	struct frcnn_quantizer *quantizer = NULL;
	int status = frcnn_quant_plan_copy(&job->plan, plan, err);

	if (status == 0)
		status = frcnn_calibration_new(model, job->detector, calibration, err);
	if (status == 0)
		status = quantize_calibrate(job, *calibration, EQUALIZED_BY, 0, err);
	if (*calibration)
		frcnn_calibration_end(*calibration);
	if (status == 0)
		status = frcnn_calibration_choose(*calibration, (enum frcnn_quant_observer)job->observer, plan, err);
	if (status == 0)
		status = frcnn_quantizer_new(model, *calibration, plan, job->pool, &quantizer, err);
	frcnn_quantizer_free(quantizer);
	return status;
}

/* What factors are expected to gain is measured, with the same pictures, before they stay. */
int quantize_equalize(struct quantize_job *job, struct frcnn_error *err)
{
	struct frcnn_calibration *first = NULL, *second = NULL;
	struct frcnn_quant_plan before = {0}, after = {0};
	struct frcnn_equalization *sums = &job->equalization;
	int status = sketch(job, job->model, &first, &before, err);

	if (status == 0)
		status = frcnn_quant_equalize(job->model, first, &before, NULL, &job->equalized, sums, err);
	if (status < 0 || sums->changed_channels == 0)
		goto out;
	status = change_detector(job, &job->equalized.model, err);
	if (status == 0)
		status = sketch(job, &job->equalized.model, &second, &after, err);
	frcnn_calibration_free(second);
	if (status < 0)
		goto out;
	frcnn_detector_free(job->detector);
	job->detector = NULL;
	frcnn_quant_model_free(&job->equalized);
	status = frcnn_quant_equalize(job->model, first, &before, &after, &job->equalized, sums, err);
	if (status == 0)
		status = change_detector(job, sums->changed_channels > 0 ? &job->equalized.model : job->model, err);
out:
	if (status == 0)
		frcnn_say("equalization: %zu of %zu channels of %zu of %zu tensors", sums->changed_channels,
			  sums->channels, sums->changed_tensors, sums->tensors);
	frcnn_calibration_free(first);
	frcnn_quant_plan_free(&before);
	frcnn_quant_plan_free(&after);
	return status;
}

int quantize_forget_equalized(struct quantize_job *job, struct frcnn_error *err)
{
	int status = job->equalization.changed_channels > 0 ? change_detector(job, job->model, err) : 0;

	if (status == 0)
		frcnn_quant_model_free(&job->equalized);
	return status;
}

static int add_to_rounding(void *context, const struct frcnn_image *image, struct frcnn_error *err)
{
	return frcnn_rounding_add(context, image, err);
}

int quantize_round(struct quantize_job *job, const struct frcnn_model *model,
		   const struct frcnn_calibration *calibration, struct frcnn_quantizer *quantizer,
		   struct frcnn_error *err)
{
	struct frcnn_rounding *rounding = NULL;
	size_t images = job->sets[QUANTIZE_CALIBRATION].count, done = 0;
	int status = frcnn_rounding_new(model, job->detector, &job->plan, images, &rounding, err);

	frcnn_progress_start(images, 0, job->progress);
	if (status == 0)
		status = quantize_visit(job, QUANTIZE_CALIBRATION, images, add_to_rounding, rounding, &done, err);
	frcnn_progress_end();
	if (status == 0)
		status = frcnn_quantizer_round(quantizer, rounding, calibration, &job->plan, job->pool, err);
	frcnn_rounding_free(rounding);
	return status;
}
