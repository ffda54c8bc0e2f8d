/* Weights of every layer in both forms, and the file of a plan. */
#include "quant/quant.h"

/* Of one layer, in the plan's order. count: weights of a filter. */
struct forms {
	float *weight, *bias; /* [K, count], [K] */
	int8_t *quantized;    /* as weight */
	float *scale;         /* [K] */
	float *corrected;     /* [K]: bias less the mean error of the rounded weights */
	size_t filters, count;
};

struct frcnn_quantizer {
	const struct frcnn_model *model;
	struct forms *forms;
	size_t count;
};

/* ---- one layer ------------------------------------------------------------------------- */

struct filter_job {
	struct forms *forms;
	const float *mean, *square; /* of the input, [C, R, S]; NULL: not known */
	size_t step;                /* from one filter's part of them to the next: depthwise */
	int limit;
	double *signal, *noise; /* of each filter */
};

static void quantize_filter(void *context, size_t k, int worker)
{
	const struct filter_job *job = context;
	struct forms *f = job->forms;
	const float *w = f->weight + k * f->count, *mean = job->mean ? job->mean + k * job->step : NULL;
	const float *square = job->square ? job->square + k * job->step : NULL;
	int8_t *q = f->quantized + k * f->count;
	double shift = 0;

	(void)worker;
	f->scale[k] = frcnn_quant_filter(w, square, f->count, job->limit, q);
	job->signal[k] = job->noise[k] = 0;
	for (size_t i = 0; i < f->count; i++) {
		double importance = square ? square[i] : 1, error = (double)q[i] * f->scale[k] - w[i];

		job->signal[k] += importance * w[i] * w[i];
		job->noise[k] += importance * error * error;
		shift += mean ? error * mean[i] : 0;
	}
	f->corrected[k] = (float)(f->bias[k] - shift);
}

/* Takes the weights of the graph's params over. */
static int quantize_layer(struct frcnn_params *params, const struct frcnn_calibration *calibration, int weight_bits,
			  struct frcnn_quant_layer *layer, struct frcnn_pool *pool, struct forms *f,
			  struct frcnn_error *err)
{
	size_t inputs = (size_t)layer->channels * (size_t)layer->kernel * (size_t)layer->kernel;
	float *moments = frcnn_calloc(2 * inputs, sizeof *moments);
	double *sums = frcnn_calloc(2 * (size_t)layer->out_channels, sizeof *sums), signal = 0, noise = 0;
	struct filter_job job = {.forms = f, .limit = weight_bits == 7 ? 63 : 127};
	int status = 0;

	f->filters = (size_t)layer->out_channels;
	f->count = (size_t)layer->parameters / f->filters;
	f->weight = params->weight;
	params->weight = NULL;
	f->bias = frcnn_calloc(f->filters, sizeof *f->bias);
	f->quantized = frcnn_calloc(f->filters, f->count);
	f->scale = frcnn_calloc(f->filters, sizeof *f->scale);
	f->corrected = frcnn_calloc(f->filters, sizeof *f->corrected);
	if (!moments || !sums || !f->bias || !f->quantized || !f->scale || !f->corrected) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (params->bias)
		memcpy(f->bias, params->bias, f->filters * sizeof *f->bias);
	if (calibration) {
		frcnn_calibration_moments(calibration, layer, moments, moments + inputs);
		job.mean = moments;
		job.square = moments + inputs;
		job.step = layer->groups > 1 ? f->count : 0;
	}
	job.signal = sums;
	job.noise = sums + f->filters;
	frcnn_pool_run(pool, f->filters, quantize_filter, &job);
	for (size_t k = 0; k < f->filters; k++) {
		signal += job.signal[k];
		noise += job.noise[k];
	}
	layer->weight_snr = frcnn_quant_decibel(signal, noise);
out:
	free(moments);
	free(sums);
	return status;
}

int frcnn_quantizer_new(const struct frcnn_model *model, const struct frcnn_calibration *calibration,
			struct frcnn_quant_plan *plan, struct frcnn_pool *pool, struct frcnn_quantizer **out,
			struct frcnn_error *err)
{
	struct frcnn_quantizer *q = frcnn_calloc(1, sizeof *q);
	struct frcnn_graphs graphs = {0};
	int status = 0;

	*out = NULL;
	if (!q)
		return frcnn_fail_nomem(err);
	q->model = model;
	q->forms = frcnn_calloc(plan->nlayers, sizeof *q->forms);
	if (!q->forms)
		status = frcnn_fail_nomem(err);
	else
		status = frcnn_graphs_build(model, true, &graphs, err);
	for (size_t i = 0; i < plan->nlayers && !status; i++) {
		struct frcnn_quant_layer *layer = &plan->layers[i];
		struct frcnn_graph *graph = layer->head ? &graphs.head : &graphs.features;

		q->count++;
		status = quantize_layer(&graph->params[layer->params], calibration, plan->weight_bits, layer, pool,
					&q->forms[i], err);
	}
	frcnn_graphs_free(&graphs);
	if (status) {
		frcnn_quantizer_free(q);
		return status;
	}
	*out = q;
	return 0;
}

void frcnn_quantizer_free(struct frcnn_quantizer *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->count; i++) {
		free(q->forms[i].weight);
		free(q->forms[i].bias);
		free(q->forms[i].quantized);
		free(q->forms[i].scale);
		free(q->forms[i].corrected);
	}
	free(q->forms);
	free(q);
}

/* ---- the file ------------------------------------------------------------------------- */

/* Tensors of a layer, and of its second half where two run as one. */
enum { PARTS = 5, MOST_TENSORS = 2 * PARTS };

/* What the tensors of all layers point to. */
struct sheet {
	struct frcnn_named_tensor *tensors;
	size_t count;
	char (*names)[128];
	float (*scales)[FRCNN_MAX_LEVELS]; /* of a layer's inputs */
	uint8_t (*zeros)[FRCNN_MAX_LEVELS];
};

static void put(struct sheet *sheet, const char *layer, const char *part, enum frcnn_dtype dtype, int ndim,
		const int64_t *shape, const void *data)
{
	struct frcnn_named_tensor *t = &sheet->tensors[sheet->count];

	snprintf(sheet->names[sheet->count], sizeof *sheet->names, "%s.%s", layer, part);
	*t = (struct frcnn_named_tensor){sheet->names[sheet->count], dtype, ndim, {0}, data};
	memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
	sheet->count++;
}

/* Filters first .. of a layer, under the name of the module that they belong to; its shape is the float model's.
 * Returns how many. */
static size_t put_module(struct sheet *sheet, const struct frcnn_quantizer *q, const struct frcnn_quant_layer *layer,
			 size_t i, const char *name, size_t first)
{
	const struct forms *f = &q->forms[i];
	const struct frcnn_tensor *original;
	char full[128];
	int64_t inputs = layer->ninputs;

	snprintf(full, sizeof full, "%s.weight", name);
	original = frcnn_checkpoint_find(&q->model->checkpoint, full);
	if (layer->quantized) {
		for (int k = 0; k < layer->ninputs; k++) {
			sheet->scales[i][k] = layer->inputs[k].scale;
			sheet->zeros[i][k] = (uint8_t)layer->inputs[k].zero;
		}
		put(sheet, name, "weight", FRCNN_I8, original->ndim, original->shape, f->quantized + first * f->count);
		put(sheet, name, "scale", FRCNN_F32, 1, original->shape, f->scale + first);
		put(sheet, name, "bias", FRCNN_F32, 1, original->shape, f->corrected + first);
		put(sheet, name, "input.scale", FRCNN_F32, 1, &inputs, sheet->scales[i]);
		put(sheet, name, "input.zero_point", FRCNN_U8, 1, &inputs, sheet->zeros[i]);
	} else {
		put(sheet, name, "weight", FRCNN_F32, original->ndim, original->shape, f->weight + first * f->count);
		put(sheet, name, "bias", FRCNN_F32, 1, original->shape, f->bias + first);
	}
	return (size_t)original->shape[0];
}

int frcnn_quant_write(const char *path, const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan,
		      const char *provenance, struct frcnn_error *err)
{
	struct frcnn_description description = q->model->description;
	struct sheet sheet = {0};
	int status;

	description.folded = true;
	sheet.tensors = frcnn_calloc(plan->nlayers * MOST_TENSORS, sizeof *sheet.tensors);
	sheet.names = frcnn_calloc(plan->nlayers * MOST_TENSORS, sizeof *sheet.names);
	sheet.scales = frcnn_calloc(plan->nlayers, sizeof *sheet.scales);
	sheet.zeros = frcnn_calloc(plan->nlayers, sizeof *sheet.zeros);
	if (!sheet.tensors || !sheet.names || !sheet.scales || !sheet.zeros) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];
		size_t first = put_module(&sheet, q, layer, i, layer->name, 0);

		if (layer->second[0])
			put_module(&sheet, q, layer, i, layer->second, first);
	}
	status = frcnn_safetensors_write_tensors(path, &description, sheet.tensors, sheet.count, provenance, err);
out:
	free(sheet.tensors);
	free(sheet.names);
	free(sheet.scales);
	free(sheet.zeros);
	return status;
}
