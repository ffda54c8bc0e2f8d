#include "int8_model.h"
#include "graph/graph.h"

#include <criterion/criterion.h>
#include <math.h>

struct frcnn_named_tensor *made_find(struct made_model *made, const char *name)
{
	for (size_t i = 0; i < made->count; i++) {
		if (strcmp(made->tensors[i].name, name) == 0)
			return &made->tensors[i];
	}
	cr_assert_fail("no tensor %s was made", name);
	return NULL;
}

static void release(struct frcnn_named_tensor *tensor)
{
	free((void *)(uintptr_t)tensor->name);
	free((void *)(uintptr_t)tensor->data);
}

void made_drop(struct made_model *made, const char *name)
{
	struct frcnn_named_tensor *tensor = made_find(made, name);

	release(tensor);
	*tensor = made->tensors[--made->count];
}

void made_put(struct made_model *made, const char *name, enum frcnn_dtype dtype, int ndim, const int64_t *shape,
	      const void *data)
{
	struct frcnn_named_tensor tensor = {.name = frcnn_strdup(name), .dtype = dtype, .ndim = ndim};
	size_t elements = 1;
	void *copy, *tensors = made->tensors;

	for (int i = 0; i < ndim; i++) {
		tensor.shape[i] = shape[i];
		elements *= (size_t)shape[i];
	}
	copy = frcnn_calloc(elements + 1, frcnn_dtype_size(dtype));
	cr_assert(tensor.name && copy);
	memcpy(copy, data, elements * frcnn_dtype_size(dtype));
	tensor.data = copy;
	for (size_t i = 0; i < made->count; i++) {
		if (strcmp(made->tensors[i].name, name) == 0) {
			release(&made->tensors[i]);
			made->tensors[i] = tensor;
			return;
		}
	}
	cr_assert_eq(frcnn_grow(&tensors, &made->capacity, made->count + 1, sizeof tensor), 0);
	made->tensors = tensors;
	made->tensors[made->count++] = tensor;
}

void made_free(struct made_model *made)
{
	for (size_t i = 0; i < made->count; i++)
		release(&made->tensors[i]);
	free(made->tensors);
	memset(made, 0, sizeof *made);
}

static const struct frcnn_tensor *original(const struct frcnn_model *model, const char *name, const char *part)
{
	char full[160];

	snprintf(full, sizeof full, "%s.%s", name, part);
	return frcnn_checkpoint_find(&model->checkpoint, full);
}

/* As it stands in the file, as float32. */
static void copy_layer(const struct frcnn_model *model, const char *name, struct made_model *out)
{
	static const char *const parts[] = {"weight", "bias"};

	for (int i = 0; i < 2; i++) {
		const struct frcnn_tensor *t = original(model, name, parts[i]);
		float *values;

		cr_assert_not_null(t);
		values = frcnn_calloc((size_t)t->elements, sizeof *values);
		cr_assert_eq(frcnn_tensor_to_float(t, values, NULL), 0);
		made_put(out, t->name, FRCNN_F32, t->ndim, t->shape, values);
		free(values);
	}
}

static void add_layers(const struct frcnn_model *model, const struct frcnn_graph *graph, struct made_model *out)
{
	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];
		const struct frcnn_params *p;
		const struct frcnn_tensor *t;
		char name[160];

		if (node->dead || node->op != FRCNN_OP_CONV)
			continue;
		p = &graph->params[node->params];
		t = original(model, p->name, "weight");
		cr_assert_not_null(t);
		if (t->shape[0] != node->channels) { /* a pair: no batch norm there */
			copy_layer(model, p->name, out);
			copy_layer(model,
				   strstr(p->name, "rpn.") ? "rpn.head.bbox_pred" : "roi_heads.box_predictor.bbox_pred",
				   out);
			continue;
		}
		made_put(out, t->name, FRCNN_F32, t->ndim, t->shape, p->weight);
		cr_assert_not_null(p->bias);
		snprintf(name, sizeof name, "%s.bias", p->name);
		made_put(out, name, FRCNN_F32, 1, t->shape, p->bias);
	}
}

void made_fold(const struct frcnn_model *model, struct made_model *out)
{
	struct frcnn_graphs graphs;
	struct frcnn_error err;

	memset(out, 0, sizeof *out);
	cr_assert_eq(frcnn_graphs_build(model, true, &graphs, &err), 0, "%s", err.message);
	add_layers(model, &graphs.features, out);
	add_layers(model, &graphs.head, out);
	frcnn_graphs_free(&graphs);
}

void made_quantize(struct made_model *made, const char *name, int n, float scale, int zero)
{
	char full[160];
	struct frcnn_named_tensor weight;
	size_t filters, row = 1;
	const float *w;
	float *scales, inputs[FRCNN_MAX_LEVELS];
	uint8_t zeros[FRCNN_MAX_LEVELS];
	int8_t *q;

	snprintf(full, sizeof full, "%s.weight", name);
	weight = *made_find(made, full);
	cr_assert_eq(weight.dtype, FRCNN_F32);
	w = weight.data;
	filters = (size_t)weight.shape[0];
	for (int i = 1; i < weight.ndim; i++)
		row *= (size_t)weight.shape[i];
	scales = frcnn_calloc(filters, sizeof *scales);
	q = frcnn_calloc(filters * row, 1);
	cr_assert(scales && q);
	for (size_t k = 0; k < filters; k++) {
		float most = 1e-6F;

		for (size_t i = 0; i < row; i++)
			most = fmaxf(most, fabsf(w[k * row + i]));
		scales[k] = most / 127;
		for (size_t i = 0; i < row; i++)
			q[k * row + i] = (int8_t)lrintf(fmaxf(-127, fminf(127, w[k * row + i] / scales[k])));
	}
	made_put(made, full, FRCNN_I8, weight.ndim, weight.shape, q);
	snprintf(full, sizeof full, "%s.scale", name);
	made_put(made, full, FRCNN_F32, 1, (int64_t[]){(int64_t)filters}, scales);
	for (int i = 0; i < n; i++) {
		inputs[i] = scale * (float)(i + 1);
		zeros[i] = (uint8_t)(zero + i);
	}
	snprintf(full, sizeof full, "%s.input.scale", name);
	made_put(made, full, FRCNN_F32, 1, (int64_t[]){n}, inputs);
	snprintf(full, sizeof full, "%s.input.zero_point", name);
	made_put(made, full, FRCNN_U8, 1, (int64_t[]){n}, zeros);
	free(scales);
	free(q);
}

void made_quantize_all(struct made_model *made, int levels)
{
	size_t count = made->count;

	for (size_t i = 0; i < count; i++) {
		const struct frcnn_named_tensor *t = &made->tensors[i];
		size_t size = strlen(t->name);
		char name[160];
		bool pair;

		if (t->ndim < 2)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(size - strlen(".weight")), t->name);
		pair = strstr(name, "cls_") || strstr(name, "bbox_pred");
		made_quantize(made, name, strncmp(name, "rpn.head.conv", 13) == 0 ? levels : 1,
			      pair ? 0.01F : 0.01F + 0.001F * (float)i, pair ? 7 : (int)(i % 200));
	}
}

void made_write(const struct made_model *made, const struct frcnn_model *model, const char *path)
{
	struct frcnn_description d = model->description;
	struct frcnn_error err;

	d.folded = true;
	cr_assert_eq(frcnn_safetensors_write_tensors(path, &d, made->tensors, made->count, NULL, &err), 0, "%s",
		     err.message);
}
