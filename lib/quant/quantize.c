/* Weights of every layer, folded and in bytes, and the models that plans make of them. */
#include "quant/quant.h"

#include <math.h>

#define FLOOR     0.01 /* of the mean square over all inputs: what calibration hardly saw may come all the same */
#define NAME_SIZE 128
#define PARTS     5 /* tensors of an int8 layer: weight, scale, bias, input.scale, input.zero_point */

struct weights {
	float *weight, *bias; /* [K][row], [K] */
	int8_t *quantized;
	float *scale, *corrected; /* [K] */
	size_t row;
};

struct frcnn_quantizer {
	const struct frcnn_model *model;
	struct weights *layers; /* as the plan's */
	size_t nlayers;
};

/* ---- weights ------------------------------------------------------------------------ */

/* Of filter k's output; mean: of the inputs that its weights meet. */
static double mean_error(const struct weights *w, size_t k, const float *mean)
{
	const int8_t *q = w->quantized + k * w->row;
	const float *weight = w->weight + k * w->row;
	double sum = 0;

	for (size_t i = 0; i < w->row; i++)
		sum += ((double)q[i] * w->scale[k] - weight[i]) * mean[i];
	return sum;
}

/* One layer's filters, each on its own. */
struct filters {
	const struct frcnn_quant_layer *layer;
	struct weights *w;
	const float *mean, *importance; /* of the whole input; NULL: not known */
	double *signal, *noise;         /* [K] */
	int limit;
};

static void quantize_filter(void *context, size_t k, int worker)
{
	const struct filters *f = context;
	struct weights *w = f->w;
	/* Filters of a group see their own channels alone. */
	size_t group = k / (size_t)(f->layer->out_channels / f->layer->groups), at = group * w->row;
	const float *weight = w->weight + k * w->row, *importance = f->importance ? f->importance + at : NULL;
	int8_t *q = w->quantized + k * w->row;

	(void)worker;
	w->scale[k] = frcnn_quant_filter(weight, importance, w->row, f->limit, q);
	for (size_t i = 0; i < w->row; i++) {
		double e = (double)q[i] * w->scale[k] - weight[i], m = importance ? importance[i] : 1;

		f->signal[k] += m * weight[i] * weight[i];
		f->noise[k] += m * e * e;
	}
	w->corrected[k] = (float)(w->bias[k] - (f->mean ? mean_error(w, k, f->mean + at) : 0));
}

/* Mean squares as weights of errors: no input counts for nothing. */
static void lift(float *square, size_t count)
{
	double mean = 0;

	for (size_t i = 0; i < count; i++)
		mean += square[i];
	mean /= (double)count;
	for (size_t i = 0; i < count; i++)
		square[i] = mean > 0 ? (float)(square[i] / mean + FLOOR) : 1;
}

/* Takes the layer's float weights out of the graphs. Layers are found by name: params are numbered otherwise where
 * batch norms were folded before. */
static int take_weights(struct frcnn_graphs *graphs, const struct frcnn_quant_layer *layer, struct weights *w,
			struct frcnn_error *err)
{
	struct frcnn_graph *graph = layer->head ? &graphs->head : &graphs->features;
	struct frcnn_params *params = NULL;

	for (size_t i = 0; i < graph->nparams && !params; i++)
		if (graph->params[i].weight && !strcmp(graph->params[i].name, layer->name))
			params = &graph->params[i];
	if (!params)
		return frcnn_fail(err, FRCNN_EINVAL, "the model has no float32 layer %s", layer->name);
	w->row = (size_t)(layer->channels / layer->groups) * (size_t)(layer->kernel * layer->kernel);
	w->weight = params->weight;
	w->bias = params->bias ? params->bias : frcnn_calloc((size_t)layer->out_channels, sizeof *w->bias);
	params->weight = params->bias = NULL;
	return w->bias ? 0 : frcnn_fail_nomem(err);
}

static int quantize_layer(const struct frcnn_calibration *calibration, int limit, struct frcnn_pool *pool,
			  struct frcnn_quant_layer *layer, struct weights *w, struct frcnn_error *err)
{
	size_t k = (size_t)layer->out_channels;
	size_t inputs = (size_t)layer->channels * (size_t)(layer->kernel * layer->kernel);
	float *mean = frcnn_calloc(inputs, sizeof *mean), *square = frcnn_calloc(inputs, sizeof *square);
	struct filters f = {.layer = layer, .w = w, .limit = limit};
	double signal = 0, noise = 0;
	int status = 0;

	w->quantized = frcnn_alloc_aligned(k * w->row, 1);
	w->scale = frcnn_calloc(k, sizeof *w->scale);
	w->corrected = frcnn_calloc(k, sizeof *w->corrected);
	f.signal = frcnn_calloc(k, sizeof *f.signal);
	f.noise = frcnn_calloc(k, sizeof *f.noise);
	if (!mean || !square || !w->quantized || !w->scale || !w->corrected || !f.signal || !f.noise) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	if (calibration) {
		frcnn_calibration_moments(calibration, layer, mean, square);
		lift(square, inputs);
		f.mean = mean;
		f.importance = square;
	}
	frcnn_pool_run(pool, k, quantize_filter, &f);
	for (size_t i = 0; i < k; i++) {
		signal += f.signal[i];
		noise += f.noise[i];
	}
	layer->weight_snr = frcnn_quant_decibel(signal, noise);
out:
	free(mean);
	free(square);
	free(f.signal);
	free(f.noise);
	return status;
}

static int limit_of(const struct frcnn_quant_plan *plan)
{
	return plan->weight_bits == 7 ? 63 : 127;
}

int frcnn_quantizer_new(const struct frcnn_model *model, const struct frcnn_calibration *calibration,
			struct frcnn_quant_plan *plan, struct frcnn_pool *pool, struct frcnn_quantizer **out,
			struct frcnn_error *err)
{
	struct frcnn_quantizer *q = frcnn_calloc(1, sizeof *q);
	struct frcnn_graphs graphs;
	int status;

	*out = NULL;
	if (!q)
		return frcnn_fail_nomem(err);
	if (plan->weight_bits != 7 && plan->weight_bits != 8) {
		free(q);
		return frcnn_fail(err, FRCNN_EINVAL, "weights of %d bits: 7 and 8 there are", plan->weight_bits);
	}
	status = frcnn_graphs_build(model, true, &graphs, err);
	if (!status) {
		q->model = model;
		q->nlayers = plan->nlayers;
		q->layers = frcnn_calloc(plan->nlayers, sizeof *q->layers);
		status = q->layers ? 0 : frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < plan->nlayers && !status; i++) {
		status = take_weights(&graphs, &plan->layers[i], &q->layers[i], err);
		if (!status)
			status =
			    quantize_layer(calibration, limit_of(plan), pool, &plan->layers[i], &q->layers[i], err);
	}
	frcnn_graphs_free(&graphs);
	if (status) {
		frcnn_quantizer_free(q);
		return status;
	}
	*out = q;
	return 0;
}

int frcnn_quantizer_round(struct frcnn_quantizer *q, const struct frcnn_rounding *rounding,
			  const struct frcnn_calibration *calibration, struct frcnn_quant_plan *plan,
			  struct frcnn_pool *pool, struct frcnn_error *err)
{
	int status = 0;

	for (size_t i = 0; i < plan->nlayers && !status; i++) {
		struct frcnn_quant_layer *layer = &plan->layers[i];
		struct weights *w = &q->layers[i];
		size_t inputs = w->row * (size_t)layer->groups, each;
		float *mean = frcnn_calloc(inputs, sizeof *mean), *square = frcnn_calloc(inputs, sizeof *square);

		status = mean && square ? frcnn_rounding_solve(rounding, layer, w->weight, w->scale, limit_of(plan),
							       pool, w->quantized, &layer->rounding_gain, err)
					: frcnn_fail_nomem(err);
		if (!status && layer->rounding_gain > 0) {
			each = (size_t)(layer->out_channels / layer->groups);
			layer->weight_snr += layer->rounding_gain;
			frcnn_calibration_moments(calibration, layer, mean, square);
			for (size_t k = 0; k < (size_t)layer->out_channels; k++)
				w->corrected[k] = (float)(w->bias[k] - mean_error(w, k, mean + k / each * w->row));
		}
		free(mean);
		free(square);
	}
	return status;
}

void frcnn_quantizer_free(struct frcnn_quantizer *q)
{
	if (!q)
		return;
	for (size_t i = 0; q->layers && i < q->nlayers; i++) {
		free(q->layers[i].weight);
		free(q->layers[i].bias);
		free(q->layers[i].quantized);
		free(q->layers[i].scale);
		free(q->layers[i].corrected);
	}
	free(q->layers);
	free(q);
}

/* ---- models ------------------------------------------------------------------------- */

/* The tensors of a plan's model and what they do not borrow. */
struct parts {
	struct frcnn_named_tensor *list;
	size_t count;
	struct frcnn_tensor *tensors; /* the same for a checkpoint, in order of names */
	char (*names)[NAME_SIZE];
	float (*scales)[FRCNN_MAX_LEVELS]; /* of the inputs, one a layer */
	uint8_t (*zeros)[FRCNN_MAX_LEVELS];
	struct frcnn_quantizer *own; /* whose weights these are, where nobody else keeps it; or NULL */
};

static void free_parts(struct parts *p)
{
	if (!p)
		return;
	free(p->list);
	free(p->tensors);
	free(p->names);
	free(p->scales);
	free(p->zeros);
	frcnn_quantizer_free(p->own);
	free(p);
}

static void add_part(struct parts *p, const char *layer, const char *part, enum frcnn_dtype dtype, const void *data,
		     const int64_t *shape, int ndim)
{
	struct frcnn_named_tensor *t = &p->list[p->count];

	snprintf(p->names[p->count], NAME_SIZE, "%s.%s", layer, part);
	*t = (struct frcnn_named_tensor){.name = p->names[p->count], .dtype = dtype, .ndim = ndim, .data = data};
	memcpy(t->shape, shape, (size_t)ndim * sizeof *shape);
	p->count++;
}

/* `filters` filters of a layer from `first` on, as the module `name`. */
static int add_module(struct parts *p, const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan, size_t at,
		      const char *name, size_t first, int64_t *filters, struct frcnn_error *err)
{
	const struct frcnn_quant_layer *layer = &plan->layers[at];
	const struct weights *w = &q->layers[at];
	const struct frcnn_tensor *own;
	int64_t inputs = layer->ninputs;
	char full[NAME_SIZE];

	snprintf(full, sizeof full, "%s.weight", name);
	own = frcnn_checkpoint_find(&q->model->checkpoint, full);
	if (!own)
		return frcnn_fail(err, FRCNN_EINVAL, "the model has no tensor %s", full);
	*filters = own->shape[0];
	if (layer->quantized) {
		add_part(p, name, "weight", FRCNN_I8, w->quantized + first * w->row, own->shape, own->ndim);
		add_part(p, name, "scale", FRCNN_F32, w->scale + first, filters, 1);
		add_part(p, name, "bias", FRCNN_F32, w->corrected + first, filters, 1);
		add_part(p, name, "input.scale", FRCNN_F32, p->scales[at], &inputs, 1);
		add_part(p, name, "input.zero_point", FRCNN_U8, p->zeros[at], &inputs, 1);
	} else {
		add_part(p, name, "weight", FRCNN_F32, w->weight + first * w->row, own->shape, own->ndim);
		add_part(p, name, "bias", FRCNN_F32, w->bias + first, filters, 1);
	}
	return 0;
}

static int make_parts(const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan, struct parts **out,
		      struct frcnn_error *err)
{
	struct parts *p = frcnn_calloc(1, sizeof *p);
	size_t most = 2 * PARTS * q->nlayers;
	int status = 0;

	*out = NULL;
	if (!p)
		return frcnn_fail_nomem(err);
	p->list = frcnn_calloc(most, sizeof *p->list);
	p->tensors = frcnn_calloc(most, sizeof *p->tensors);
	p->names = frcnn_calloc(most, sizeof *p->names);
	p->scales = frcnn_calloc(q->nlayers, sizeof *p->scales);
	p->zeros = frcnn_calloc(q->nlayers, sizeof *p->zeros);
	if (!p->list || !p->tensors || !p->names || !p->scales || !p->zeros)
		status = frcnn_fail_nomem(err);
	else if (plan->nlayers != q->nlayers)
		status =
		    frcnn_fail(err, FRCNN_EINVAL, "the plan has %zu layers, the model %zu", plan->nlayers, q->nlayers);
	for (size_t i = 0; i < q->nlayers && !status; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];
		int64_t filters = 0;

		for (int k = 0; k < layer->ninputs && layer->quantized && !status; k++) {
			if (!(layer->inputs[k].scale > 0))
				status = frcnn_fail(err, FRCNN_EINVAL, "the input of int8 layer %s has no scale",
						    layer->name);
			p->scales[i][k] = layer->inputs[k].scale;
			p->zeros[i][k] = (uint8_t)layer->inputs[k].zero;
		}
		if (!status)
			status = add_module(p, q, plan, i, layer->name, 0, &filters, err);
		if (!status && layer->second[0])
			status = add_module(p, q, plan, i, layer->second, (size_t)filters, &filters, err);
	}
	if (status)
		free_parts(p);
	else
		*out = p;
	return status;
}

/* The model's own, with what changed. */
static struct frcnn_description described(const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan)
{
	struct frcnn_description d = q->model->description;

	d.folded = true;
	d.quantized = frcnn_quant_plan_float_share(plan) < 1;
	return d;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct frcnn_tensor *)a)->name, ((const struct frcnn_tensor *)b)->name);
}

int frcnn_quantizer_model(const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan,
			  struct frcnn_quant_model *out, struct frcnn_error *err)
{
	struct parts *p;
	int status;

	memset(out, 0, sizeof *out);
	status = make_parts(q, plan, &p, err);
	if (status)
		return status;
	for (size_t i = 0; i < p->count; i++) {
		const struct frcnn_named_tensor *from = &p->list[i];
		struct frcnn_tensor *t = &p->tensors[i];

		*t = (struct frcnn_tensor){
		    .name = from->name, .dtype = from->dtype, .ndim = from->ndim, .data = from->data, .elements = 1};
		for (int d = from->ndim - 1; d >= 0; d--) {
			t->shape[d] = from->shape[d];
			t->stride[d] = t->elements;
			t->elements *= from->shape[d];
		}
	}
	qsort(p->tensors, p->count, sizeof *p->tensors, by_name);
	out->model.description = described(q, plan);
	out->model.checkpoint =
	    (struct frcnn_checkpoint){.container = FRCNN_SAFETENSORS, .tensors = p->tensors, .ntensors = p->count};
	out->block = p;
	return 0;
}

void frcnn_quant_model_free(struct frcnn_quant_model *model)
{
	if (!model)
		return;
	free_parts(model->block);
	memset(model, 0, sizeof *model);
}

int frcnn_quant_folded(const struct frcnn_model *model, struct frcnn_graphs *graphs, struct frcnn_quant_model *out,
		       struct frcnn_error *err)
{
	struct frcnn_quantizer *q = frcnn_calloc(1, sizeof *q);
	struct frcnn_quant_plan plan = {0};
	int status = q ? frcnn_quant_plan_new(model, false, &plan, err) : frcnn_fail_nomem(err);

	memset(out, 0, sizeof *out);
	if (!status) {
		q->model = model;
		q->nlayers = plan.nlayers;
		q->layers = frcnn_calloc(plan.nlayers, sizeof *q->layers);
		status = q->layers ? 0 : frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < plan.nlayers && !status; i++) {
		plan.layers[i].quantized = false;
		status = take_weights(graphs, &plan.layers[i], &q->layers[i], err);
	}
	if (!status)
		status = frcnn_quantizer_model(q, &plan, out, err);
	if (!status)
		((struct parts *)out->block)->own = q;
	else
		frcnn_quantizer_free(q);
	frcnn_quant_plan_free(&plan);
	return status;
}

int frcnn_quant_write(const char *path, const struct frcnn_quantizer *q, const struct frcnn_quant_plan *plan,
		      const char *provenance, struct frcnn_error *err)
{
	struct frcnn_description description = described(q, plan);
	struct parts *p;
	int status = make_parts(q, plan, &p, err);

	if (status)
		return status;
	status = frcnn_safetensors_write_tensors(path, &description, p->list, p->count, provenance, err);
	free_parts(p);
	return status;
}
