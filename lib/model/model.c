/* Opening a model file and asking what it is. */
#include "model/model.h"

void frcnn_model_options_init(struct frcnn_model_options *options)
{
	memset(options, 0, sizeof *options);
	options->bn_eps = -1;
}

int frcnn_model_open(const char *path, const struct frcnn_model_options *options, struct frcnn_model **out,
		     struct frcnn_error *err)
{
	struct frcnn_model *model = frcnn_calloc(1, sizeof *model);
	int status;

	*out = NULL;
	if (!model)
		return frcnn_fail_nomem(err);
	status = frcnn_checkpoint_open(path, options ? options->weights_key : NULL, &model->checkpoint, err);
	if (status == 0)
		status = frcnn_describe(&model->checkpoint, path, options, &model->description, err);
	if (status < 0)
		frcnn_model_close(model);
	else
		*out = model;
	return status;
}

void frcnn_model_close(struct frcnn_model *model)
{
	if (!model)
		return;
	frcnn_description_free(&model->description);
	frcnn_checkpoint_close(&model->checkpoint);
	free(model);
}

const char *frcnn_model_id(const struct frcnn_model *model)
{
	return model->description.id;
}

const char *frcnn_model_architecture(const struct frcnn_model *model)
{
	return model->description.architecture;
}

int frcnn_model_labels(const struct frcnn_model *model)
{
	return model->description.nlabels;
}

const char *frcnn_model_label_name(const struct frcnn_model *model, int label)
{
	return label > 0 && label < model->description.nlabels ? model->description.label_names[label] : NULL;
}

int64_t frcnn_model_label_category(const struct frcnn_model *model, int label)
{
	return label > 0 && label < model->description.nlabels ? model->description.label_categories[label] : 0;
}
