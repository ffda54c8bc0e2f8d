/* Convolution with one filter a channel: a sum over the window for every output, split by rows. */
#include "cpu/cpu.h"

bool frcnn_depthwise_fits(const struct frcnn_conv *v)
{
	/* Int8 kernels take residuals, but only so many taps, and whole vectors of channels. */
	return v->groups > 1 && v->groups == v->channels && v->groups == v->out_channels && v->dilation == 1 &&
	       (v->scale ? v->channels >= 16 && (int64_t)v->kernel_h * v->kernel_w <= FRCNN_DEPTHWISE_TAPS
			 : !v->residual);
}

int frcnn_depthwise_pack(const struct frcnn_kernels *kernels, const struct frcnn_conv *v, struct frcnn_packed *out,
			 struct frcnn_error *err)
{
	size_t channels = (size_t)v->channels, window = (size_t)v->kernel_h * (size_t)v->kernel_w;
	float *weight = frcnn_alloc_aligned(window * channels, sizeof *weight);

	out->int8 = v->quantized ? frcnn_kernels_int8_get(kernels) : NULL;
	out->weight = weight;
	out->bias = frcnn_alloc_aligned(channels, sizeof *out->bias);
	if (!weight || !out->bias)
		return frcnn_fail_nomem(err);
	for (size_t c = 0; c < channels; c++) {
		out->bias[c] = v->bias ? v->bias[c] : 0;
		for (size_t rs = 0; rs < window; rs++)
			weight[rs * channels + c] =
			    v->quantized ? (float)v->quantized[c * window + rs] : v->weight[c * window + rs];
	}
	return 0;
}

struct depthwise_job {
	const struct frcnn_kernels *kernels;
	const struct frcnn_conv *conv;
	const struct frcnn_packed *packed;
	const char *x;
	char *y;
};

static void depthwise_task(void *context, size_t index, int worker)
{
	const struct depthwise_job *job = context;
	const struct frcnn_conv *v = job->conv;
	size_t n = index / (size_t)v->out_height, oy = index % (size_t)v->out_height, channels = (size_t)v->channels;
	size_t image = (size_t)v->height * (size_t)v->width * channels, out = index * (size_t)v->out_width * channels;
	const char *residual = v->residual;
	struct frcnn_depthwise_row row = {
	    .x = job->x + n * image * frcnn_storage_size(v->x_as),
	    .height = v->height,
	    .width = v->width,
	    .channels = v->channels,
	    .weight = job->packed->weight,
	    .bias = job->packed->bias,
	    .scale = v->scale,
	    .kernel_h = v->kernel_h,
	    .kernel_w = v->kernel_w,
	    .stride = v->stride,
	    .pad = v->pad,
	    .oy = (int)oy,
	    .out_width = v->out_width,
	    .y = job->y + out * frcnn_storage_size(v->y_as),
	    .residual = residual ? residual + out * frcnn_storage_size(v->residual_as) : NULL,
	    .x_as = v->x_as,
	    .y_as = v->y_as,
	    .residual_as = v->residual_as,
	    .x_quant = v->x_quant,
	    .y_quant = v->y_quant,
	    .residual_quant = v->residual_quant,
	    .act = v->act,
	};

	(void)worker;
	(job->packed->int8 ? job->packed->int8->depthwise_row : job->kernels->depthwise_row)(&row);
}

void frcnn_depthwise_run(const struct frcnn_kernels *kernels, const struct frcnn_conv *conv,
			 const struct frcnn_packed *packed, struct frcnn_pool *pool, const void *x, void *y)
{
	struct depthwise_job job = {.kernels = kernels, .conv = conv, .packed = packed, .x = x, .y = y};

	frcnn_pool_run(pool, (size_t)conv->n * (size_t)conv->out_height, depthwise_task, &job);
}
