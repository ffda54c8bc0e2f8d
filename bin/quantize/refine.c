/* What is done for accuracy beside choosing scales: equalization before calibration, adaptive rounding after it. */
#include "quantize/job.h"

#define EQUALIZED_BY 8 /* pictures that the ranges of channels come from, at the most */

int quantize_equalize(struct quantize_job *job, struct frcnn_error *err)
{
	struct frcnn_calibration *calibration = NULL;
	struct frcnn_equalization *sums = &job->equalization;
	int status = frcnn_calibration_new(job->model, job->detector, &calibration, err);

	if (status == 0)
		status = quantize_calibrate(job, calibration, EQUALIZED_BY, err);
	if (status == 0)
		status = frcnn_quant_equalize(job->model, calibration, &job->equalized, sums, err);
	frcnn_calibration_free(calibration);
	if (status < 0)
		return status;
	frcnn_say("equalization: %zu of %zu channels of %zu of %zu tensors", sums->changed_channels, sums->channels,
		  sums->changed_tensors, sums->tensors);
	return sums->changed_channels == 0
		   ? 0
		   : quantize_make_detector(job, &job->equalized.model, job->model_path, &job->equalized_detector, err);
}

static int add_to_rounding(void *context, const struct frcnn_image *image, struct frcnn_error *err)
{
	return frcnn_rounding_add(context, image, err);
}

int quantize_round(struct quantize_job *job, const struct frcnn_model *model, struct frcnn_detector *detector,
		   const struct frcnn_calibration *calibration, struct frcnn_quantizer *quantizer,
		   struct frcnn_error *err)
{
	struct frcnn_rounding *rounding = NULL;
	size_t images = job->sets[QUANTIZE_CALIBRATION].count, done = 0;
	int status = frcnn_rounding_new(model, detector, &job->plan, images, &rounding, err);

	frcnn_progress_start(images, 0, job->progress);
	if (status == 0)
		status = quantize_visit(job, images, add_to_rounding, rounding, &done, err);
	frcnn_progress_end();
	if (status == 0)
		status = frcnn_quantizer_round(quantizer, rounding, calibration, &job->plan, job->pool, err);
	frcnn_rounding_free(rounding);
	return status;
}
