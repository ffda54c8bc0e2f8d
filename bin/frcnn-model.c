/* frcnn-model - tells what a model file holds, converts it to the native form, checks it. */
#include "cli/cli.h"
#include "graph/graph.h"
#include "json/json.h"
#include "model/model.h"
#include "record/record.h"

/* ---- options that say what tensors cannot, the same in every command ------------------------------------------ */

static const char *arch, *weights_key, *anchor_sizes, *aspect_ratios, *labels_file;
static struct frcnn_reals mean, std;
static double bn_eps = -1;
static int min_size, max_size;

/* clang-format off */
#define MODEL_OPTIONS                                                                                                   \
	{.type = FRCNN_OPT_GROUP, .help = "What tensors cannot say (each overrides the file's own)"},                   \
	{.type = FRCNN_OPT_TEXT, .name = "arch", .argument = "NAME", .value = &arch,                                    \
	 .help = "architecture, where tensors leave a choice, e.g. fasterrcnn_mobilenet_v3_large_320_fpn"},             \
	{.type = FRCNN_OPT_TEXT, .name = "weights-key", .argument = "KEY", .value = &weights_key,                       \
	 .help = "which key of a training checkpoint holds the weights [found]"},                                       \
	{.type = FRCNN_OPT_TEXT, .name = "anchor-sizes", .argument = "LIST", .value = &anchor_sizes,                    \
	 .help = "in pixels, \",\" between levels, \"+\" within one: 32,64,128,256,512"},                               \
	{.type = FRCNN_OPT_TEXT, .name = "aspect-ratios", .argument = "LIST", .value = &aspect_ratios,                  \
	 .help = "height / width, \",\" within a level, \"/\" between levels where they differ: 0.5,1,2"},              \
	{.type = FRCNN_OPT_REALS, .name = "mean", .argument = "R,G,B", .value = &mean, .min = -1e6, .max = 1e6,         \
	 .help = "subtracted from pixels in [0, 1]"},                                                                   \
	{.type = FRCNN_OPT_REALS, .name = "std", .argument = "R,G,B", .value = &std, .min = 1e-6, .max = 1e6,                \
	 .help = "what pixels are divided by after that"},                                                              \
	{.type = FRCNN_OPT_REAL, .name = "bn-eps", .argument = "X", .value = &bn_eps, .min = 0, .max = 1,               \
	 .help = "added to the variance in batch norm"},                                                                \
	{.type = FRCNN_OPT_INT, .name = "min-size", .argument = "N", .value = &min_size, .min = 1, .max = 65535,        \
	 .help = "resize: pixels of the shorter side"},                                                                 \
	{.type = FRCNN_OPT_INT, .name = "max-size", .argument = "N", .value = &max_size, .min = 1, .max = 65535,        \
	 .help = "resize: most pixels of the longer side"},                                                             \
	{.type = FRCNN_OPT_TEXT, .name = "labels", .argument = "FILE", .value = &labels_file,                           \
	 .help = "names of the classes, a line each; line 1 names label 1"},                                            \
	{.type = FRCNN_OPT_GROUP, .help = "Common"},                                                                    \
	FRCNN_OPT_COMMON, {0}
/* clang-format on */

/* -1: go on; else the exit status after a usage error. */
static int check_options(void)
{
	if (mean.count != 0 && mean.count != 3)
		return frcnn_usage("--mean needs 3 numbers, not %d", mean.count);
	if (std.count != 0 && std.count != 3)
		return frcnn_usage("--std needs 3 numbers, not %d", std.count);
	return -1;
}

/* Errors name the file. */
static int open_model(const char *path, struct frcnn_model **out, struct frcnn_error *err)
{
	struct frcnn_model_options options;
	struct frcnn_labels labels = {0};
	float mean3[3], std3[3];
	int status = 0;

	frcnn_model_options_init(&options);
	options.arch = arch;
	options.weights_key = weights_key;
	options.anchor_sizes = anchor_sizes;
	options.aspect_ratios = aspect_ratios;
	options.bn_eps = bn_eps;
	options.min_size = min_size;
	options.max_size = max_size;
	for (int i = 0; i < 3; i++) {
		mean3[i] = (float)mean.values[i];
		std3[i] = (float)std.values[i];
	}
	options.mean = mean.count ? mean3 : NULL;
	options.std = std.count ? std3 : NULL;
	if (labels_file) {
		status = frcnn_labels_read(labels_file, &labels, err);
		if (status < 0)
			goto out;
		options.labels = (const char *const *)labels.names;
		options.nlabels = labels.count;
	}
	status = frcnn_model_open(path, &options, out, err);
	if (status == 0 && (*out)->checkpoint.note)
		frcnn_warn(path, "%s", (*out)->checkpoint.note);
out:
	frcnn_labels_free(&labels);
	return status;
}

/* ---- info ---------------------------------------------------------------------------------------------------------
 */

static bool as_json, list_tensors;
static int graph_form; /* 0 none, 1 or 3 as run, 2 as built */

static struct frcnn_opt info_options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_FLAG, .name = "json", .value = &as_json, .help = "one JSON object a file"},
    {.type = FRCNN_OPT_FLAG, .name = "tensors", .value = &list_tensors, .help = "list every tensor too"},
    {.type = FRCNN_OPT_MAYBE,
     .name = "graph",
     .argument = "built|fused",
     .value = &graph_form,
     .help = "print the networks too, as the builders made them or (default) folded and fused, as they run"},
    MODEL_OPTIONS};
static const struct frcnn_program info_program = {
    .name = "frcnn-model info",
    .synopsis = "[option ...] FILE ...",
    .summary = "Tells what model files hold: architecture, classes, sizes, thresholds, dtypes, checksum.",
    .options = info_options,
};

static const char *container_name(const struct frcnn_checkpoint *checkpoint)
{
	if (checkpoint->container == FRCNN_SAFETENSORS)
		return checkpoint->metadata ? "safetensors, native" : "safetensors";
	return checkpoint->container == FRCNN_PTH_ZIP ? "pth, zip" : "pth, legacy";
}

struct totals {
	size_t tensors[FRCNN_BOOL + 1]; /* a dtype */
	int64_t elements;
};

static struct totals add_up(const struct frcnn_checkpoint *checkpoint)
{
	struct totals totals = {0};

	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		totals.tensors[checkpoint->tensors[i].dtype]++;
		totals.elements += checkpoint->tensors[i].elements;
	}
	return totals;
}

static void put_shape(struct frcnn_buffer *out, const struct frcnn_tensor *tensor)
{
	frcnn_buffer_putc(out, '[');
	for (int i = 0; i < tensor->ndim; i++)
		frcnn_buffer_printf(out, "%s%lld", i ? "," : "", (long long)tensor->shape[i]);
	frcnn_buffer_putc(out, ']');
}

static void put_numbers(struct frcnn_buffer *out, const float *values, int count, const char *separator)
{
	char text[32];

	for (int i = 0; i < count; i++) {
		frcnn_buffer_puts(out, i ? separator : "");
		frcnn_buffer_add(out, text, frcnn_format_float(values[i], text));
	}
}

static void put_labels(struct frcnn_buffer *out, const struct frcnn_description *d)
{
	frcnn_buffer_printf(out, "%-14s%d\n", "classes", d->nlabels - 1);
	for (int i = 1; i < d->nlabels; i++)
		frcnn_buffer_printf(out, "  %-12lld%s\n", (long long)d->label_categories[i],
				    d->label_names[i] ? d->label_names[i] : "-");
}

static int put_graphs(struct frcnn_buffer *out, const struct frcnn_model *model, struct frcnn_error *err)
{
	struct frcnn_graphs graphs = {0};
	int status = frcnn_graphs_build(model, graph_form != 2, &graphs, err);

	if (status == 0) {
		frcnn_buffer_puts(out, "features\n");
		frcnn_graph_print(&graphs.features, out);
		frcnn_buffer_puts(out, "head\n");
		frcnn_graph_print(&graphs.head, out);
	}
	frcnn_graphs_free(&graphs);
	return status;
}

/* ---- layers of a model that has int8 ones: a float one's dtype alone */

/* Convolutions and linear layers are what has a weight of more than one dimension. */
static bool is_layer(const struct frcnn_tensor *tensor)
{
	size_t size = strlen(tensor->name), tail = sizeof ".weight" - 1;

	return tensor->ndim > 1 && size > tail && strcmp(tensor->name + size - tail, ".weight") == 0;
}

struct int8_share {
	size_t layers, of;
	int side;    /* of the image that work is counted on, pixels */
	double work; /* share of the multiply-adds */
};

static double add_work(const struct frcnn_graph *graph, bool quantized)
{
	double sum = 0;

	for (size_t i = 0; i < graph->count; i++) {
		const struct frcnn_node *node = &graph->nodes[i];

		if (!node->dead && (!quantized || node->quant.scale > 0))
			sum += (double)frcnn_graph_multiply_adds(graph, (int)i);
	}
	return sum;
}

/* This checks the model too, so that the tensors of its layers can be relied on. */
static int measure_int8(const struct frcnn_model *model, struct int8_share *out, struct frcnn_error *err)
{
	const struct frcnn_description *d = &model->description;
	struct frcnn_graphs graphs;
	int status = frcnn_graphs_build(model, true, &graphs, err);

	*out = (struct int8_share){.side = (d->min_size + 31) / 32 * 32};
	if (status == 0)
		status = frcnn_graph_shape(&graphs.features, out->side, out->side, err);
	if (status == 0)
		status = frcnn_graph_shape(&graphs.head, graphs.roi_size, graphs.roi_size, err);
	if (status == 0)
		out->work = (add_work(&graphs.features, true) + d->rpn_post * add_work(&graphs.head, true)) /
			    (add_work(&graphs.features, false) + d->rpn_post * add_work(&graphs.head, false));
	for (size_t i = 0; i < model->checkpoint.ntensors; i++) {
		const struct frcnn_tensor *tensor = &model->checkpoint.tensors[i];

		out->of += is_layer(tensor);
		out->layers += is_layer(tensor) && tensor->dtype == FRCNN_I8;
	}
	frcnn_graphs_free(&graphs);
	return status;
}

/* How an int8 layer of a model that was checked reads and weighs. */
struct int8_layer {
	float least, most; /* scales of its filters */
	int inputs;
	float scales[FRCNN_MAX_LEVELS];
	uint8_t zeros[FRCNN_MAX_LEVELS];
};

/* name: of the weight. */
static int read_int8_layer(const struct frcnn_checkpoint *c, const char *name, struct int8_layer *out,
			   struct frcnn_error *err)
{
	static const char *const parts[] = {"scale", "input.scale", "input.zero_point"};
	const struct frcnn_tensor *tensors[3];
	float *values;
	int status = 0;

	for (int i = 0; i < 3; i++) {
		struct frcnn_buffer full = {0};

		frcnn_buffer_printf(&full, "%.*s%s", (int)(strlen(name) - strlen("weight")), name, parts[i]);
		tensors[i] = full.failed ? NULL : frcnn_checkpoint_find(c, full.data);
		frcnn_buffer_free(&full);
		if (!tensors[i])
			return frcnn_fail_nomem(err);
	}
	values = frcnn_calloc((size_t)tensors[0]->elements, sizeof *values);
	if (!values)
		return frcnn_fail_nomem(err);
	out->inputs = (int)tensors[1]->elements;
	if ((status = frcnn_tensor_to_float(tensors[0], values, err)) == 0)
		status = frcnn_tensor_to_float(tensors[1], out->scales, err);
	frcnn_tensor_pack(tensors[2], out->zeros);
	out->least = out->most = values[0];
	for (int64_t k = 1; k < tensors[0]->elements; k++) {
		out->least = values[k] < out->least ? values[k] : out->least;
		out->most = values[k] > out->most ? values[k] : out->most;
	}
	free(values);
	return status;
}

static int put_layers(struct frcnn_buffer *out, const struct frcnn_model *model, struct frcnn_error *err)
{
	const struct frcnn_checkpoint *c = &model->checkpoint;
	struct int8_share share;
	int status = measure_int8(model, &share, err), width = 0;

	if (status < 0)
		return status;
	frcnn_buffer_printf(out, "%-14s%zu of %zu layers, %.1f%% of multiply-adds at %dx%d\n", "int8", share.layers,
			    share.of, 100 * share.work, share.side, share.side);
	for (size_t i = 0; i < c->ntensors; i++) {
		int size = (int)(strlen(c->tensors[i].name) - strlen(".weight"));

		if (is_layer(&c->tensors[i]) && size > width)
			width = size;
	}
	for (size_t i = 0; i < c->ntensors && status == 0; i++) {
		const struct frcnn_tensor *tensor = &c->tensors[i];
		struct int8_layer layer;

		if (!is_layer(tensor))
			continue;
		frcnn_buffer_printf(out, "  %-*.*s  %s", width, (int)(strlen(tensor->name) - strlen(".weight")),
				    tensor->name, frcnn_dtype_name(tensor->dtype));
		if (tensor->dtype == FRCNN_I8 && (status = read_int8_layer(c, tensor->name, &layer, err)) == 0) {
			frcnn_buffer_printf(out, "  scale %.3g..%.3g  input", (double)layer.least, (double)layer.most);
			for (int k = 0; k < layer.inputs; k++)
				frcnn_buffer_printf(out, "%s %.4g zero %d", k ? "," : "", (double)layer.scales[k],
						    layer.zeros[k]);
		}
		frcnn_buffer_putc(out, '\n');
	}
	return status;
}

static int info_text(struct frcnn_buffer *out, const char *path, const struct frcnn_model *model,
		     struct frcnn_error *err)
{
	const struct frcnn_checkpoint *c = &model->checkpoint;
	const struct frcnn_description *d = &model->description;
	struct totals totals = add_up(c);
	const char *separator = "";

	frcnn_buffer_printf(out, "%-14s", "file");
	frcnn_printable(out, path, strlen(path));
	frcnn_buffer_printf(out, "\n%-14s%s\n%-14s%s\n", "id", d->id, "architecture", d->architecture);
	frcnn_buffer_printf(out, "%-14s%s\n%-14s%s\n", "container", container_name(c), "sha256", c->sha256);
	frcnn_buffer_printf(out, "%-14s%zu (", "tensors", c->ntensors);
	for (int i = 0; i <= FRCNN_BOOL; i++) {
		if (totals.tensors[i] == 0)
			continue;
		frcnn_buffer_printf(out, "%s%zu %s", separator, totals.tensors[i], frcnn_dtype_name(i));
		separator = ", ";
	}
	frcnn_buffer_printf(out, "), %lld numbers\n", (long long)totals.elements);
	frcnn_buffer_printf(out, "%-14sshorter side %d, longer at most %d\n", "resize", d->min_size, d->max_size);
	frcnn_buffer_printf(out, "%-14s", "mean");
	put_numbers(out, d->mean, 3, ", ");
	frcnn_buffer_printf(out, "\n%-14s", "std");
	put_numbers(out, d->std, 3, ", ");
	if (d->folded)
		frcnn_buffer_printf(out, "\n%-14sfolded into the convolutions\n", "batch norm");
	else
		frcnn_buffer_printf(out, "\n%-14s%g\n", "bn eps", d->bn_eps);
	for (int i = 0; i < d->nlevels; i++) {
		frcnn_buffer_printf(out, "%-14slevel %d: sizes ", i ? "" : "anchors", i);
		put_numbers(out, d->anchors[i].sizes, d->anchors[i].nsizes, ", ");
		frcnn_buffer_puts(out, "; ratios ");
		put_numbers(out, d->anchors[i].ratios, d->anchors[i].nratios, ", ");
		frcnn_buffer_putc(out, '\n');
	}
	frcnn_buffer_printf(out, "%-14s%d a level before NMS at IoU %g, %d an image after, objectness at least %g\n",
			    "proposals", d->rpn_pre, d->rpn_nms, d->rpn_post, d->rpn_score);
	frcnn_buffer_printf(out, "%-14sscore above %g, NMS at IoU %g, at most %d an image\n", "detections", d->score,
			    d->nms, d->max_dets);
	put_labels(out, d);
	if (d->provenance) {
		frcnn_buffer_printf(out, "%-14s", "provenance");
		frcnn_printable(out, d->provenance, strlen(d->provenance));
		frcnn_buffer_putc(out, '\n');
	}
	if (d->quantization) {
		frcnn_buffer_printf(out, "%-14s", "quantization");
		frcnn_printable(out, d->quantization, strlen(d->quantization));
		frcnn_buffer_putc(out, '\n');
	}
	if (d->quantized) {
		int status = put_layers(out, model, err);

		if (status < 0)
			return status;
	}
	if (list_tensors) {
		for (size_t i = 0; i < c->ntensors; i++) {
			frcnn_buffer_printf(out, "  %-5s", frcnn_dtype_name(c->tensors[i].dtype));
			frcnn_printable(out, c->tensors[i].name, strlen(c->tensors[i].name));
			frcnn_buffer_putc(out, ' ');
			put_shape(out, &c->tensors[i]);
			frcnn_buffer_putc(out, '\n');
		}
	}
	return graph_form ? put_graphs(out, model, err) : 0;
}

static void put_string(struct frcnn_json_writer *w, const char *text)
{
	struct frcnn_buffer escaped = {0};

	frcnn_escape_bytes(&escaped, text, strlen(text));
	frcnn_json_put_string(w, escaped.data ? escaped.data : "", escaped.size);
	if (escaped.failed)
		w->out->failed = true;
	frcnn_buffer_free(&escaped);
}

/* The members "int8" and "layers". */
static int put_layers_json(struct frcnn_json_writer *w, const struct frcnn_model *model, struct frcnn_error *err)
{
	const struct frcnn_checkpoint *c = &model->checkpoint;
	struct int8_share share;
	int status = measure_int8(model, &share, err);

	if (status < 0)
		return status;
	frcnn_json_key(w, "int8");
	frcnn_json_begin_object(w);
	frcnn_json_key(w, "layers");
	frcnn_json_put_int64(w, (int64_t)share.layers);
	frcnn_json_key(w, "of");
	frcnn_json_put_int64(w, (int64_t)share.of);
	frcnn_json_key(w, "multiply_adds");
	frcnn_json_put_double(w, share.work);
	frcnn_json_end_object(w);
	frcnn_json_key(w, "layers");
	frcnn_json_begin_object(w);
	for (size_t i = 0; i < c->ntensors && status == 0; i++) {
		const struct frcnn_tensor *tensor = &c->tensors[i];
		struct int8_layer layer;
		struct frcnn_buffer name = {0};

		if (!is_layer(tensor))
			continue;
		frcnn_buffer_add(&name, tensor->name, strlen(tensor->name) - strlen(".weight"));
		frcnn_buffer_putc(&name, '\0');
		if (name.failed)
			return frcnn_fail_nomem(err);
		frcnn_json_key(w, name.data);
		frcnn_buffer_free(&name);
		frcnn_json_begin_object(w);
		frcnn_json_key(w, "dtype");
		put_string(w, frcnn_dtype_name(tensor->dtype));
		if (tensor->dtype == FRCNN_I8 && (status = read_int8_layer(c, tensor->name, &layer, err)) == 0) {
			frcnn_json_key(w, "scale_min");
			frcnn_json_put_float(w, layer.least);
			frcnn_json_key(w, "scale_max");
			frcnn_json_put_float(w, layer.most);
			frcnn_json_key(w, "input_scale");
			frcnn_json_begin_array(w);
			for (int k = 0; k < layer.inputs; k++)
				frcnn_json_put_float(w, layer.scales[k]);
			frcnn_json_end_array(w);
			frcnn_json_key(w, "input_zero_point");
			frcnn_json_begin_array(w);
			for (int k = 0; k < layer.inputs; k++)
				frcnn_json_put_int64(w, layer.zeros[k]);
			frcnn_json_end_array(w);
		}
		frcnn_json_end_object(w);
	}
	frcnn_json_end_object(w);
	return status;
}

static int info_json(struct frcnn_buffer *out, const char *path, const struct frcnn_model *model,
		     struct frcnn_error *err)
{
	const struct frcnn_checkpoint *c = &model->checkpoint;
	struct frcnn_json_writer w = {.out = out};
	struct frcnn_buffer metadata = {0}, graph = {0};
	struct totals totals = add_up(c);
	int status = frcnn_metadata_write(&model->description, &metadata, err);

	if (status == 0 && graph_form)
		status = put_graphs(&graph, model, err);
	if (status < 0)
		goto out;
	frcnn_json_begin_object(&w);
	frcnn_json_key(&w, "file");
	put_string(&w, path);
	frcnn_json_key(&w, "id");
	put_string(&w, model->description.id);
	frcnn_json_key(&w, "container");
	put_string(&w, container_name(c));
	frcnn_json_key(&w, "sha256");
	put_string(&w, c->sha256);
	frcnn_json_key(&w, "numbers");
	frcnn_json_put_int64(&w, totals.elements);
	frcnn_json_key(&w, "tensors");
	frcnn_json_put_int64(&w, (int64_t)c->ntensors);
	frcnn_json_key(&w, "dtypes");
	frcnn_json_begin_object(&w);
	for (int i = 0; i <= FRCNN_BOOL; i++) {
		if (totals.tensors[i] == 0)
			continue;
		frcnn_json_key(&w, frcnn_dtype_name(i));
		frcnn_json_put_int64(&w, (int64_t)totals.tensors[i]);
	}
	frcnn_json_end_object(&w);
	frcnn_json_key(&w, "metadata");
	frcnn_json_put_raw(&w, metadata.data, metadata.size);
	if (model->description.quantized && (status = put_layers_json(&w, model, err)) < 0)
		goto out;
	if (list_tensors) {
		frcnn_json_key(&w, "shapes");
		frcnn_json_begin_object(&w);
		for (size_t i = 0; i < c->ntensors; i++) {
			frcnn_json_key(&w, c->tensors[i].name);
			frcnn_json_begin_array(&w);
			for (int k = 0; k < c->tensors[i].ndim; k++)
				frcnn_json_put_int64(&w, c->tensors[i].shape[k]);
			frcnn_json_end_array(&w);
		}
		frcnn_json_end_object(&w);
	}
	if (graph_form) {
		frcnn_json_key(&w, "graph");
		put_string(&w, graph.data ? graph.data : "");
	}
	frcnn_json_end_object(&w);
	frcnn_buffer_putc(out, '\n');
out:
	frcnn_buffer_free(&metadata);
	frcnn_buffer_free(&graph);
	return status;
}

static int info_file(const char *path, bool first)
{
	struct frcnn_model *model = NULL;
	struct frcnn_buffer out = {0};
	struct frcnn_error err = {0};
	int status = open_model(path, &model, &err);

	if (status < 0) {
		frcnn_report(NULL, "%s", err.message);
		return status;
	}
	status = as_json ? info_json(&out, path, model, &err) : info_text(&out, path, model, &err);
	if (status == 0 && out.failed)
		status = frcnn_fail_nomem(&err);
	if (status < 0) {
		frcnn_report(path, "%s", err.message);
	} else {
		if (!first && !as_json)
			putchar('\n');
		frcnn_print(&out);
	}
	frcnn_buffer_free(&out);
	frcnn_model_close(model);
	return status;
}

static int run_info(int argc, char **argv)
{
	int operands, result = frcnn_opt_parse(&info_program, argc, argv, &operands);
	bool first = true, trouble = false;

	if (result < 0)
		result = check_options();
	if (result >= 0)
		return result;
	if (operands == 0)
		return frcnn_usage("no model file given");
	for (int i = 1; i <= operands; i++) {
		if (info_file(argv[i], first) < 0)
			trouble = true;
		else
			first = false;
	}
	result = frcnn_close_stdout();
	return trouble ? FRCNN_EXIT_TROUBLE : result;
}

/* ---- convert ------------------------------------------------------------------------------------------------------
 */

static bool fp16, fp32;
static const char *model_name, *output, *provenance;

static struct frcnn_opt convert_options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'o',
     .name = "output",
     .argument = "FILE",
     .value = &output,
     .help = "the file to write"},
    {.type = FRCNN_OPT_FLAG, .name = "fp16", .value = &fp16, .help = "store weights as 16-bit floats"},
    {.type = FRCNN_OPT_FLAG,
     .name = "fp32",
     .value = &fp32,
     .help = "store weights as 32-bit floats [fp16 when all of them are, else fp32]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "name",
     .argument = "NAME",
     .value = &model_name,
     .help = "the model's name in records [its own, or the file's stem]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "provenance",
     .argument = "TEXT",
     .value = &provenance,
     .help = "where the weights come from"},
    MODEL_OPTIONS};
static const struct frcnn_program convert_program = {
    .name = "frcnn-model convert",
    .synopsis = "[option ...] -o FILE FILE",
    .summary = "Writes the native form of a model: safetensors with everything in it that tensors cannot say.",
    .options = convert_options,
};

/* {"note": TEXT, "source": {file, container, sha256}, "metadata": other metadata of the source}. A native file's own is
 * kept when no note is given: a change of dtype is no new origin. */
static int set_provenance(struct frcnn_model *model, const char *path, struct frcnn_error *err)
{
	const char *base = strrchr(path, '/');
	struct frcnn_buffer text = {0};
	struct frcnn_json_writer w = {.out = &text};
	struct frcnn_description *d = &model->description;

	if (d->provenance && !provenance)
		return 0;
	frcnn_json_begin_object(&w);
	if (provenance) {
		frcnn_json_key(&w, "note");
		put_string(&w, provenance);
	}
	frcnn_json_key(&w, "source");
	frcnn_json_begin_object(&w);
	frcnn_json_key(&w, "file");
	put_string(&w, base ? base + 1 : path);
	frcnn_json_key(&w, "container");
	put_string(&w, container_name(&model->checkpoint));
	frcnn_json_key(&w, "sha256");
	put_string(&w, model->checkpoint.sha256);
	frcnn_json_end_object(&w);
	if (model->checkpoint.provenance) {
		frcnn_json_key(&w, "metadata");
		frcnn_json_put_raw(&w, model->checkpoint.provenance, strlen(model->checkpoint.provenance));
	}
	frcnn_json_end_object(&w);
	if (text.failed) {
		frcnn_buffer_free(&text);
		return frcnn_fail_nomem(err);
	}
	free(d->provenance);
	d->provenance = text.data;
	return 0;
}

static int set_name(struct frcnn_description *d, struct frcnn_error *err)
{
	size_t size = model_name ? strlen(model_name) : 0;

	if (!model_name)
		return 0;
	if (size == 0 || size >= sizeof d->name)
		return frcnn_fail(err, FRCNN_EINVAL, "--name: %zu bytes long, expected 1 to %zu", size,
				  sizeof d->name - 1);
	if (!frcnn_is_line(model_name, size))
		return frcnn_fail(err, FRCNN_EINVAL, "--name: not one line of UTF-8 text");
	snprintf(d->name, sizeof d->name, "%s", model_name);
	return 0;
}

/* Is this what --fp16 makes? Variances are 32-bit there. */
static bool all_half(const struct frcnn_checkpoint *checkpoint)
{
	static const char variance[] = ".running_var";

	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		enum frcnn_dtype dtype = checkpoint->tensors[i].dtype;
		const char *name = checkpoint->tensors[i].name;
		size_t size = strlen(name), tail = sizeof variance - 1;

		if (dtype == FRCNN_F32 && size > tail && strcmp(name + size - tail, variance) == 0)
			continue;
		if (dtype == FRCNN_F32 || dtype == FRCNN_F64 || dtype == FRCNN_BF16)
			return false;
	}
	return true;
}

static int convert_file(const char *path)
{
	struct frcnn_model *model = NULL;
	struct frcnn_buffer metadata = {0};
	struct frcnn_error err = {0};
	int status = open_model(path, &model, &err);
	bool half;

	if (status < 0) {
		frcnn_report(NULL, "%s", err.message);
		return status;
	}
	if ((status = frcnn_model_check(model, &err)) < 0 || (status = set_provenance(model, path, &err)) < 0) {
		frcnn_report(path, "%s", err.message);
		goto out;
	}
	if (fp16 && model->description.quantized) {
		status = FRCNN_EINVAL;
		frcnn_report(path, "--fp16: a model with int8 layers keeps its other tensors as 32-bit floats");
		goto out;
	}
	half = fp16 || (!fp32 && !model->description.quantized && all_half(&model->checkpoint));
	if ((status = set_name(&model->description, &err)) < 0 ||
	    (status = frcnn_metadata_write(&model->description, &metadata, &err)) < 0 ||
	    (status = frcnn_safetensors_write(output, &model->checkpoint, half ? FRCNN_F16 : FRCNN_F32, metadata.data,
					      &err)) < 0) {
		frcnn_report(NULL, "%s", err.message);
		goto out;
	}
	frcnn_say("%s: %s, %s, %zu tensors", output, model->description.architecture,
		  model->description.quantized ? "int8"
		  : half                       ? "fp16"
					       : "fp32",
		  model->checkpoint.ntensors);
out:
	frcnn_buffer_free(&metadata);
	frcnn_model_close(model);
	return status;
}

static int run_convert(int argc, char **argv)
{
	int operands, result = frcnn_opt_parse(&convert_program, argc, argv, &operands);

	if (result < 0)
		result = check_options();
	if (result >= 0)
		return result;
	if (operands != 1)
		return frcnn_usage("%d model files given, expected one", operands);
	if (!output)
		return frcnn_usage("no output given (-o FILE)");
	if (strcmp(output, "-") == 0)
		return frcnn_usage("-o -: a model is not written to standard output");
	if (fp16 && fp32)
		return frcnn_usage("--fp16 and --fp32 exclude each other");
	if (frcnn_output_touches(output, argv[1], true))
		return frcnn_usage("-o %s would write over %s", output, argv[1]);
	if (convert_file(argv[1]) < 0)
		return FRCNN_EXIT_TROUBLE;
	return frcnn_close_stdout();
}

/* ---- verify -------------------------------------------------------------------------------------------------------
 */

static struct frcnn_opt verify_options[] = {MODEL_OPTIONS};
static const struct frcnn_program verify_program = {
    .name = "frcnn-model verify",
    .synopsis = "[option ...] FILE ...",
    .summary = "Checks model files: container, checksums in it, every tensor's name, shape and values.",
    .options = verify_options,
};

/* Every number of every floating-point tensor is finite. */
static int check_values(const struct frcnn_checkpoint *checkpoint, struct frcnn_error *err)
{
	int status = 0;

	for (size_t i = 0; i < checkpoint->ntensors && status == 0; i++) {
		const struct frcnn_tensor *tensor = &checkpoint->tensors[i];
		float *values;

		if (tensor->dtype > FRCNN_F64)
			continue;
		values = frcnn_calloc((size_t)tensor->elements, sizeof *values);
		status = values ? frcnn_tensor_to_float(tensor, values, err) : frcnn_fail_nomem(err);
		free(values);
	}
	return status;
}

static int verify_file(const char *path)
{
	struct frcnn_model *model = NULL;
	struct frcnn_error err = {0};
	int status = open_model(path, &model, &err);

	if (status < 0) {
		frcnn_report(NULL, "%s", err.message); /* which names the file */
		return status;
	}
	status = check_values(&model->checkpoint, &err);
	if (status == 0)
		status = frcnn_model_check(model, &err);
	if (status < 0)
		frcnn_report(path, "%s", err.message);
	else if (!frcnn_quiet) {
		struct frcnn_buffer name = {0};

		frcnn_printable(&name, path, strlen(path));
		printf("%s: ok, %s, %zu tensors, sha256 %s\n", name.data ? name.data : "",
		       model->description.architecture, model->checkpoint.ntensors, model->checkpoint.sha256);
		frcnn_buffer_free(&name);
	}
	frcnn_model_close(model);
	return status;
}

static int run_verify(int argc, char **argv)
{
	int operands, result = frcnn_opt_parse(&verify_program, argc, argv, &operands);
	bool trouble = false;

	if (result < 0)
		result = check_options();
	if (result >= 0)
		return result;
	if (operands == 0)
		return frcnn_usage("no model file given");
	for (int i = 1; i <= operands; i++) {
		if (verify_file(argv[i]) < 0)
			trouble = true;
	}
	result = frcnn_close_stdout();
	return trouble ? FRCNN_EXIT_TROUBLE : result;
}

/* ---- the commands -------------------------------------------------------------------------------------------------
 */

static const struct {
	const char *name, *help;
	int (*run)(int argc, char **argv);
} commands[] = {{"info", "tell what model files hold", run_info},
		{"convert", "write the native form of a model", run_convert},
		{"verify", "check model files", run_verify}};

static struct frcnn_opt options[] = {FRCNN_OPT_COMMON, {0}};
static const struct frcnn_program program = {
    .name = "frcnn-model",
    .synopsis = "info [option ...] FILE ...\nconvert [option ...] -o FILE FILE\nverify [option ...] FILE ...",
    .summary = "Tells what a model file holds (info), converts it to the native form (convert), checks it (verify). "
	       "Each command has a --help of its own.",
    .options = options,
};

int main(int argc, char **argv)
{
	int operands, result;

	for (size_t i = 0; argc > 1 && i < FRCNN_COUNT(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	/* completions ask for the commands too: a line that does not begin with "-" */
	if (argc == 2 && strcmp(argv[1], "--list-options") == 0) {
		for (size_t i = 0; i < FRCNN_COUNT(commands); i++)
			printf("%s\t\t\t%s\n", commands[i].name, commands[i].help);
	}
	result = frcnn_opt_parse(&program, argc, argv, &operands);
	if (result >= 0)
		return result;
	if (operands > 0)
		return frcnn_usage("unknown command \"%s\"; known are info, convert, verify", argv[1]);
	return frcnn_usage("no command given; known are info, convert, verify");
}
