/* The arrays themselves, as safetensors, for those who compute on them. */
#include "render/render.h"
#include "model/model.h"

static struct frcnn_tensor tensor_of(const char *name, const double *data, int ndim, const int64_t *shape)
{
	struct frcnn_tensor tensor = {
	    .name = name, .dtype = FRCNN_F64, .ndim = ndim, .data = (const uint8_t *)data, .elements = 1};

	for (int d = ndim - 1; d >= 0; d--) {
		tensor.shape[d] = shape[d];
		tensor.stride[d] = tensor.elements;
		tensor.elements *= shape[d];
	}
	return tensor;
}

/* A list as the text of a metadata value: "[0.5,0.55]". */
struct list {
	struct frcnn_buffer text;
	struct frcnn_json_writer w;
};

static void close_list(struct frcnn_json_writer *metadata, const char *key, struct list *list)
{
	frcnn_json_end_array(&list->w);
	frcnn_json_key(metadata, key);
	frcnn_json_put_string(metadata, list->text.failed ? "" : list->text.data,
			      list->text.failed ? 0 : list->text.size);
	metadata->out->failed |= list->text.failed;
	frcnn_buffer_clear(&list->text);
	list->w = (struct frcnn_json_writer){.out = &list->text};
	frcnn_json_begin_array(&list->w);
}

/* What each axis stands for, as a JSON object of texts. */
static void put_axes(const struct frcnn_report *report, const struct frcnn_report_model *model,
		     struct frcnn_buffer *out)
{
	const struct frcnn_eval_options *o = &report->options;
	struct frcnn_json_writer w = {.out = out};
	struct list list = {0};

	list.w.out = &list.text;
	frcnn_json_begin_array(&list.w);
	frcnn_json_begin_object(&w);
	for (int a = 0; a < o->nareas; a++) {
		struct frcnn_buffer name = {0};
		frcnn_render_utf8(&name, o->areas[a].name);
		frcnn_json_put_string(&list.w, name.failed ? "" : name.data, name.failed ? 0 : name.size);
		out->failed |= name.failed;
		frcnn_buffer_free(&name);
	}
	close_list(&w, "areas", &list);
	for (size_t k = 0; k < model->nclasses; k++)
		frcnn_json_put_int64(&list.w, model->classes[k].category_id);
	close_list(&w, "category_ids", &list);
	for (int t = 0; t < o->nious; t++)
		frcnn_json_put_double(&list.w, o->ious[t]);
	close_list(&w, "ious", &list);
	for (int m = 0; m < o->nmax_dets; m++)
		frcnn_json_put_int64(&list.w, o->max_dets[m]);
	close_list(&w, "max_dets", &list);
	frcnn_json_end_object(&w);
	frcnn_buffer_free(&list.text);
}

int frcnn_report_cells(const char *path, const struct frcnn_report *report, const struct frcnn_report_model *model,
		       struct frcnn_error *err)
{
	const struct frcnn_eval_cells *c = &model->cells;
	const int64_t five[] = {c->T, c->R, c->K, c->A, c->M}, four[] = {c->T, c->K, c->A, c->M};
	struct frcnn_tensor tensors[] = {
	    tensor_of("precision", c->precision, 5, five),
	    tensor_of("recall", c->recall, 4, four),
	    tensor_of("scores", c->scores, 5, five),
	};
	struct frcnn_buffer axes = {0};
	int status;

	put_axes(report, model, &axes);
	if (axes.failed) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	struct frcnn_checkpoint file = {.tensors = tensors, .ntensors = FRCNN_COUNT(tensors), .provenance = axes.data};
	status = frcnn_safetensors_write(path, &file, FRCNN_F64, NULL, err);
out:
	frcnn_buffer_free(&axes);
	return status;
}
