/* frcnn-quantize - a float model and pictures in, an int8 model out, and what it cost; and gates on that. */
#include "quantize/job.h"

static struct quantize_job job = {
    .bn_eps = -1, .holdout = 0.3, .max_float = 0.5, .calibration_images = 64, .weight_bits = 8};

static struct frcnn_opt options[] = {
    {.type = FRCNN_OPT_GROUP, .help = "Model"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'm',
     .name = "model",
     .argument = "FILE",
     .value = &job.model_path,
     .help = "torchvision .pth or safetensors file with float weights"},
    {.type = FRCNN_OPT_TEXT,
     .name = "arch",
     .argument = "NAME",
     .value = &job.arch,
     .result = true,
     .help = "architecture, such as fasterrcnn_resnet50_fpn; default: what the tensors imply"},
    {.type = FRCNN_OPT_TEXT,
     .name = "weights-key",
     .argument = "KEY",
     .value = &job.weights_key,
     .result = true,
     .help = "the checkpoint's entry that holds the weights"},
    {.type = FRCNN_OPT_REAL,
     .name = "bn-eps",
     .argument = "X",
     .value = &job.bn_eps,
     .max = 1,
     .result = true,
     .help = "epsilon of the batch norms"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchor-sizes",
     .argument = "LIST",
     .value = &job.anchor_sizes,
     .result = true,
     .help = "\"32,64,128,256,512\": ',' between levels, '+' between sizes of one level"},
    {.type = FRCNN_OPT_TEXT,
     .name = "aspect-ratios",
     .argument = "LIST",
     .value = &job.aspect_ratios,
     .result = true,
     .help = "\"0.5,1,2\" (height / width); '/' between levels where they differ"},
    {.type = FRCNN_OPT_TEXT,
     .name = "anchors",
     .argument = "SIZES;RATIOS",
     .value = &job.anchors,
     .result = true,
     .help = "both in one word"},
    {.type = FRCNN_OPT_REALS,
     .name = "mean",
     .argument = "R,G,B",
     .value = &job.mean,
     .min = -1e6,
     .max = 1e6,
     .result = true,
     .help = "subtracted from pixels in [0,1]"},
    {.type = FRCNN_OPT_REALS,
     .name = "std",
     .argument = "R,G,B",
     .value = &job.std,
     .min = 1e-6,
     .max = 1e6,
     .result = true,
     .help = "what they are divided by then"},
    {.type = FRCNN_OPT_TEXT,
     .name = "labels",
     .argument = "FILE",
     .value = &job.labels_path,
     .help = "names of the classes: line i names category id i"},
    {.type = FRCNN_OPT_INT,
     .name = "min-size",
     .argument = "N",
     .value = &job.min_size,
     .min = 1,
     .max = 65535,
     .result = true,
     .help = "resize the shorter side to N pixels"},
    {.type = FRCNN_OPT_INT,
     .name = "max-size",
     .argument = "N",
     .value = &job.max_size,
     .min = 1,
     .max = 65535,
     .result = true,
     .help = "unless the longer one would exceed N"},

    {.type = FRCNN_OPT_GROUP, .help = "Images"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'g',
     .name = "gt",
     .argument = "FILE",
     .value = &job.truth_path,
     .help = "COCO instances: ground truth, and without operands the images"},
    {.type = FRCNN_OPT_TEXT,
     .name = "image-root",
     .argument = "DIR",
     .value = &job.image_root,
     .help = "where the images that --gt names are"},
    {.type = FRCNN_OPT_INT,
     .name = "images",
     .argument = "N",
     .value = &job.calibration_images,
     .min = 1,
     .max = 1000000,
     .result = true,
     .help = "calibrate with N images at the most [64]"},
    {.type = FRCNN_OPT_REAL,
     .name = "holdout",
     .argument = "SHARE",
     .value = &job.holdout,
     .max = 1,
     .result = true,
     .help = "share of the images that is only measured on [0.3]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "measure-gt",
     .argument = "FILE",
     .value = &job.measure_truth_path,
     .help = "COCO instances that name the images to measure on, in place of --holdout"},
    {.type = FRCNN_OPT_TEXT,
     .name = "measure-root",
     .argument = "DIR",
     .value = &job.measure_root,
     .help = "where the images that --measure-gt names are"},
    {.type = FRCNN_OPT_FLAG,
     .letter = '0',
     .name = "null",
     .value = &job.null_list,
     .help = "names on standard input are separated by NULs"},
    {.type = FRCNN_OPT_FLAG,
     .name = "exif",
     .value = &job.exif,
     .result = true,
     .help = "turn pictures as their EXIF orientation says"},
    {.type = FRCNN_OPT_INT64,
     .name = "max-pixels",
     .argument = "N",
     .value = &job.max_pixels,
     .min = 1,
     .max = INFINITY,
     .result = true,
     .help = "refuse larger pictures; default 178956970"},

    {.type = FRCNN_OPT_GROUP, .help = "Quantization"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "observer",
     .argument = "best|minmax|percentile|mse|kl",
     .value = &job.observer,
     .result = true,
     .help = "how the ranges of activations are chosen; best: for each tensor the one with the least error [best]"},
    {.type = FRCNN_OPT_INT,
     .name = "weight-bits",
     .argument = "7|8",
     .value = &job.weight_bits,
     .min = 7,
     .max = 8,
     .result = true,
     .help = "7: weights within -63 .. 63, which AVX2 multiplies faster, at some cost in accuracy [8]"},
    {.type = FRCNN_OPT_FLAG,
     .name = "no-equalize",
     .value = &job.no_equalize,
     .result = true,
     .help = "leave the ranges of channels between layers as they are"},
    {.type = FRCNN_OPT_FLAG,
     .name = "adaround",
     .value = &job.adaround,
     .result = true,
     .help = "round weights up or down by what that does to outputs; takes minutes"},
    {.type = FRCNN_OPT_FLAG,
     .name = "quantize-all",
     .value = &job.quantize_all,
     .result = true,
     .help = "begin with every layer in int8, in place of the default plan"},
    {.type = FRCNN_OPT_LIST,
     .name = "keep-float",
     .argument = "GLOB",
     .value = &job.keep_float,
     .result = true,
     .help = "leave layers whose names match float, as in \"backbone.body.layer1.*\"; may be repeated"},
    {.type = FRCNN_OPT_REAL,
     .name = "max-float",
     .argument = "SHARE",
     .value = &job.max_float,
     .max = 1,
     .result = true,
     .help = "leave no more than this share of the multiply-adds float; 0: every layer is int8 [0.5]"},
    {.type = FRCNN_OPT_FLAG,
     .name = "sensitivity",
     .value = &job.sensitivity,
     .help = "tell what each layer costs alone, also when no gate makes that necessary"},
    {.type = FRCNN_OPT_TEXT,
     .name = "plan",
     .argument = "FILE",
     .value = &job.plan_path,
     .help = "JSON object of layers and their dtypes, \"int8\" or \"float32\"; others as they would be without it"},
    {.type = FRCNN_OPT_TEXT,
     .name = "write-plan",
     .argument = "FILE",
     .value = &job.write_plan_path,
     .help = "write the plan in force there, of all layers"},

    {.type = FRCNN_OPT_GROUP, .help = "Gates"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "min",
     .argument = "METRIC=V",
     .value = &job.gates,
     .parse = eval_parse_min,
     .help = "end 1, and write no model, when the metric (found, AP, person:AP ...) is below V; may be repeated"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "max",
     .argument = "METRIC=V",
     .value = &job.gates,
     .parse = eval_parse_max,
     .help = "the same when it (shift ...) is above V; may be repeated"},
    {.type = FRCNN_OPT_CUSTOM,
     .name = "max-drop",
     .argument = "METRIC=V",
     .value = &job.gates,
     .parse = eval_parse_max_drop,
     .help = "the same when it (AP, person:AP ...) fell by more than V against the float model; may be repeated"},

    {.type = FRCNN_OPT_GROUP, .help = "Output"},
    {.type = FRCNN_OPT_TEXT,
     .letter = 'o',
     .name = "output",
     .argument = "FILE",
     .value = &job.output_path,
     .help = "the int8 model, safetensors; whole at the end or not at all"},
    {.type = FRCNN_OPT_CHOICE,
     .name = "format",
     .argument = "text|json|markdown",
     .value = &job.format,
     .help = "form of what is told on standard output [text]"},
    {.type = FRCNN_OPT_TEXT,
     .name = "report",
     .argument = "FILE",
     .value = &job.report_path,
     .help = "write all that was found out as one HTML page, also when a gate fails"},
    {.type = FRCNN_OPT_FLAG,
     .name = "progress",
     .value = &job.progress,
     .help = "show progress also where standard error is no terminal"},

    {.type = FRCNN_OPT_GROUP, .help = "Machine"},
    {.type = FRCNN_OPT_INT,
     .letter = 'j',
     .name = "jobs",
     .argument = "N",
     .value = &job.threads,
     .max = 1024,
     .help = "threads; 0, the default: all usable cores"},
    {.type = FRCNN_OPT_TEXT,
     .name = "cpu",
     .argument = "avx512|avx2|c|reference",
     .value = &job.cpu,
     .help = "kernel set; default: the best that this machine has"},
    {.type = FRCNN_OPT_GROUP, .help = "Other"},
    FRCNN_OPT_COMMON,
    {0},
};

static const struct frcnn_program program = {
    .name = "frcnn-quantize",
    .synopsis = "--model FILE -o FILE [option ...] [image | folder | -] ...",
    .summary = "Makes an int8 model of a float one and tells what that costs, measured on images that chose nothing. "
	       "Without operands, or for -, reads a list of names from standard input.",
    .options = options,
    .gates = true,
};

/* Standard output is taken by what is told there. */
static bool is_file_name(const char *path)
{
	return !path || (*path && strcmp(path, "-") != 0);
}

/* -1: go on; else the exit status after a usage error. */
static int check_options(void)
{
	if (!job.model_path)
		return frcnn_usage("no model given (--model FILE)");
	if (!job.output_path || !*job.output_path || strcmp(job.output_path, "-") == 0)
		return frcnn_usage("no file given for the int8 model (-o FILE)");
	if (!is_file_name(job.report_path) || !is_file_name(job.write_plan_path))
		return frcnn_usage("--report and --write-plan need the name of a file");
	if (job.anchors && (job.anchor_sizes || job.aspect_ratios))
		return frcnn_usage("--anchors does not go with --anchor-sizes or --aspect-ratios");
	if (job.anchors && (!strchr(job.anchors, ';') || strchr(strchr(job.anchors, ';') + 1, ';')))
		return frcnn_usage("--anchors: \"%s\" is not of the form SIZES;RATIOS", job.anchors);
	if (job.mean.count && job.mean.count != 3)
		return frcnn_usage("--mean needs 3 numbers, not %d", job.mean.count);
	if (job.std.count && job.std.count != 3)
		return frcnn_usage("--std needs 3 numbers, not %d", job.std.count);
	if (job.image_root && !job.truth_path)
		return frcnn_usage("--image-root needs --gt");
	if (job.measure_root && !job.measure_truth_path)
		return frcnn_usage("--measure-root needs --measure-gt");
	if (job.measure_truth_path && frcnn_opt_given(&program, "holdout"))
		return frcnn_usage("--holdout does not go with --measure-gt");
	if (!job.truth_path && !job.measure_truth_path && quantize_needs_truth(&job))
		return frcnn_usage("gates on other metrics than found and shift need ground truth (--gt or "
				   "--measure-gt)");
	for (size_t i = 0; i < job.gates.count; i++) {
		const struct frcnn_gate *gate = &job.gates.items[i];

		if (gate->kind == FRCNN_GATE_MAX_DROP && quantize_is_agreement(gate->metric))
			return frcnn_usage(
			    "--max-drop %s: the float model has none (give --min found=V, --max shift=V)",
			    gate->metric);
	}
	if (job.write_plan_path && strcmp(job.write_plan_path, job.output_path) == 0)
		return frcnn_usage("--write-plan and -o name one file");
	if (job.report_path && strcmp(job.report_path, job.output_path) == 0)
		return frcnn_usage("--report and -o name one file");
	if (job.report_path && job.write_plan_path && strcmp(job.report_path, job.write_plan_path) == 0)
		return frcnn_usage("--report and --write-plan name one file");
	job.program = &program;
	return -1;
}

int main(int argc, char **argv)
{
	struct frcnn_error err;
	int operands, end = frcnn_opt_parse(&program, argc, argv, &operands);

	if (end < 0)
		end = check_options();
	if (end < 0 && frcnn_pool_new(job.threads > 0 ? job.threads : frcnn_usable_cores(), &job.pool, &err) < 0) {
		frcnn_report(NULL, "%s", err.message);
		end = FRCNN_EXIT_TROUBLE;
	}
	if (end < 0)
		end = quantize_open(&job);
	if (end < 0)
		end = quantize_make_sets(&job, argv + 1, operands);
	if (end < 0) {
		end = quantize_run(&job);
		if (frcnn_close_stdout() != FRCNN_EXIT_OK)
			end = FRCNN_EXIT_TROUBLE;
	}
	quantize_job_free(&job);
	return end;
}
