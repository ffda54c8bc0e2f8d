/* Convolution with one filter a channel: a sum over the window for every output, split by rows. */
#include "cpu/cpu.h"

struct depthwise_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const float *x;
	float *y;
};

static void depthwise_task(void *context, size_t index, int worker)
{
	const struct depthwise_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t n = index / (size_t)v->out_height, oy = index % (size_t)v->out_height;
	struct frcnn_depthwise_row row = {
	    .x = job->x + n * (size_t)v->height * (size_t)v->width * (size_t)v->channels,
	    .height = v->height,
	    .width = v->width,
	    .channels = v->channels,
	    .weight = job->packed->weight,
	    .bias = job->packed->bias,
	    .kernel_h = v->kernel_h,
	    .kernel_w = v->kernel_w,
	    .stride = v->stride,
	    .pad = v->pad,
	    .oy = (int)oy,
	    .out_width = v->out_width,
	    .y = job->y + index * (size_t)v->out_width * (size_t)v->channels,
	    .act = v->act,
	};

	(void)worker;
	job->kernels->depthwise_row(&row);
}

void frcnn_depthwise_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			 const struct frcnn_packed *packed, struct frcnn_pool *pool, const float *x, float *y)
{
	struct depthwise_job job = {.kernels = kernels, .conv = conv, .packed = packed, .x = x, .y = y};

	frcnn_pool_run(pool, (size_t)conv->n * (size_t)conv->out_height, depthwise_task, &job);
}
