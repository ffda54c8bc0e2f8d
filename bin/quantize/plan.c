/* Which layers are int8, from options and a file; and back to a file. */
#include "quantize/job.h"

#include <cJSON.h>
#include <fnmatch.h>

#define MAX_PLAN ((size_t)16 << 20) /* bytes of a plan file */

const char quantize_int8[] = "int8", quantize_float[] = "float32";

/* One entry of the file: a layer of a pair is settled by whichever name is there; both must agree. */
static int take_entry(struct frcnn_quant_plan *plan, bool *settled, bool *locked, const cJSON *item, const char *path,
		      struct frcnn_error *err)
{
	struct frcnn_quant_layer *layer = frcnn_quant_plan_find(plan, item->string);
	const char *dtype = cJSON_GetStringValue(item);
	size_t at;
	bool quantized;

	if (!layer)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s: the model has no layer \"%s\"", path, item->string);
	quantized = dtype && strcmp(dtype, quantize_int8) == 0;
	if (!quantized && (!dtype || strcmp(dtype, quantize_float) != 0))
		return frcnn_fail(err, FRCNN_EFORMAT, "%s: layer \"%s\" is neither \"%s\" nor \"%s\"", path,
				  item->string, quantize_int8, quantize_float);
	if (quantized && layer->never)
		return frcnn_fail(err, FRCNN_EFORMAT, "%s: layer \"%s\" cannot be int8: its filters are too long", path,
				  item->string);
	at = (size_t)(layer - plan->layers);
	if (settled[at] && layer->quantized != quantized)
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "%s: \"%s\" and \"%s\" run as one and need one dtype, or a name is there twice", path,
				  layer->name, layer->second[0] ? layer->second : layer->name);
	settled[at] = true;
	locked[at] = !quantized; /* the search may still leave an int8 layer float */
	layer->quantized = quantized;
	if (quantized || !layer->why[0])
		layer->why = quantized ? "" : "--plan";
	return 0;
}

static int read_plan(struct quantize_job *job, struct frcnn_error *err)
{
	struct frcnn_file file = {0};
	const cJSON *item;
	cJSON *root = NULL;
	const char *end = NULL;
	bool *settled = frcnn_calloc(job->plan.nlayers, sizeof *settled);
	int status = settled ? frcnn_file_open(job->plan_path, MAX_PLAN, &file, err) : frcnn_fail_nomem(err);

	if (status < 0)
		goto out;
	status = frcnn_sha256(file.data, file.size, job->plan_sha256, err);
	if (status < 0)
		goto out;
	root = cJSON_ParseWithLengthOpts((const char *)file.data, file.size, &end, false);
	for (; root && end < (const char *)file.data + file.size; end++) {
		if (!strchr(" \t\r\n", *end) || *end == '\0') {
			cJSON_Delete(root);
			root = NULL;
		}
	}
	/* A name would end there. */
	if (!cJSON_IsObject(root) || (file.size > 0 && memmem(file.data, file.size, "\\u0000", 6))) {
		status = frcnn_fail(err, FRCNN_EFORMAT, "%s: not one JSON object of layers and dtypes", job->plan_path);
		goto out;
	}
	cJSON_ArrayForEach(item, root)
	{
		status = take_entry(&job->plan, settled, job->locked, item, job->plan_path, err);
		if (status < 0)
			goto out;
	}
out:
	cJSON_Delete(root);
	frcnn_file_close(&file);
	free(settled);
	return status;
}

static int keep_float(struct quantize_job *job, const char *glob, struct frcnn_error *err)
{
	bool any = false;

	for (size_t i = 0; i < job->plan.nlayers; i++) {
		struct frcnn_quant_layer *layer = &job->plan.layers[i];

		if (fnmatch(glob, layer->name, 0) != 0 &&
		    (layer->second[0] == '\0' || fnmatch(glob, layer->second, 0) != 0))
			continue;
		any = true;
		if (layer->quantized)
			layer->why = "--keep-float";
		layer->quantized = false;
		job->locked[i] = true;
	}
	return any ? 0
		   : frcnn_fail(err, FRCNN_EINVAL, "--keep-float: the model has no layer that \"%s\" matches", glob);
}

/* Float layers of the default plan become int8, the one that computes most first, until no more is float than asked. */
static int bound_float(struct quantize_job *job, struct frcnn_error *err)
{
	double share;

	while ((share = frcnn_quant_plan_float_share(&job->plan)) > job->max_float) {
		struct frcnn_quant_layer *most = NULL;

		for (size_t i = 0; i < job->plan.nlayers; i++) {
			struct frcnn_quant_layer *layer = &job->plan.layers[i];

			if (!layer->quantized && !job->locked[i] &&
			    (!most || layer->multiply_adds > most->multiply_adds))
				most = layer;
		}
		if (!most)
			return frcnn_fail(err, FRCNN_EINVAL,
					  "--max-float %g: the plan asked for leaves %.1f%% of the multiply-adds float",
					  job->max_float, 100 * share);
		most->quantized = true;
		most->why = "";
	}
	return 0;
}

int quantize_make_plan(struct quantize_job *job, struct frcnn_error *err)
{
	size_t quantized = 0;
	int status = frcnn_quant_plan_new(job->model, job->quantize_all, &job->plan, err);

	if (status == 0) {
		job->plan.weight_bits = job->weight_bits;
		job->locked = frcnn_calloc(job->plan.nlayers, sizeof *job->locked);
		status = job->locked ? 0 : frcnn_fail_nomem(err);
	}
	for (size_t i = 0; i < job->plan.nlayers && status == 0; i++)
		job->locked[i] = job->plan.layers[i].never;
	if (status == 0 && job->plan_path)
		status = read_plan(job, err);
	for (size_t i = 0; i < job->keep_float.count && status == 0; i++)
		status = keep_float(job, job->keep_float.items[i], err);
	if (status == 0 && frcnn_opt_given(job->program, "max-float"))
		status = bound_float(job, err);
	for (size_t i = 0; i < job->plan.nlayers && status == 0; i++)
		quantized += job->plan.layers[i].quantized;
	if (status == 0 && quantized == 0)
		status = frcnn_fail(err, FRCNN_EINVAL, "the plan leaves every layer float: there is nothing to do");
	return status;
}

int quantize_write_plan(struct quantize_job *job, struct frcnn_error *err)
{
	cJSON *root = cJSON_CreateObject();
	char *text = NULL;
	int status = 0;

	for (size_t i = 0; i < job->plan.nlayers && root && status == 0; i++) {
		const struct frcnn_quant_layer *layer = &job->plan.layers[i];
		const char *dtype = layer->quantized ? quantize_int8 : quantize_float;

		if (!cJSON_AddStringToObject(root, layer->name, dtype) ||
		    (layer->second[0] && !cJSON_AddStringToObject(root, layer->second, dtype)))
			status = FRCNN_ENOMEM;
	}
	text = root && status == 0 ? cJSON_Print(root) : NULL;
	if (!text) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	fputs(text, job->plan_file.stream);
	fputc('\n', job->plan_file.stream); /* commit tells of what was lost */
	status = frcnn_output_commit(&job->plan_file, err);
out:
	cJSON_free(text);
	cJSON_Delete(root);
	return status;
}
