/* What was found out: text and Markdown as the same tables, JSON as one object. */
#include "json/json.h"
#include "quantize/job.h"
#include "render/render.h"

#include <math.h>

/* ---- tables ---------------------------------------------------------------------------------------------------- */

static int flush(struct frcnn_table *table, const char *title, int format, struct frcnn_buffer *out)
{
	bool markdown = format == QUANTIZE_MARKDOWN;

	frcnn_buffer_printf(out, "%s%s%s%s\n%s", out->size > 0 ? "\n" : "", markdown ? "## " : "", title,
			    markdown ? "\n" : "", "");
	if (markdown)
		frcnn_table_markdown(table, out);
	else
		frcnn_table_text(table, out);
	frcnn_table_free(table);
	return out->failed ? FRCNN_ENOMEM : 0;
}

static void put_row(struct frcnn_table *table, const char *a, const char *b)
{
	frcnn_table_put(table, a);
	frcnn_table_put(table, b);
}

static void show_sets(const struct quantize_job *job, struct frcnn_buffer *out)
{
	struct frcnn_table table = {.columns = 2};

	put_row(&table, "set", "images");
	for (int i = 0; i < QUANTIZE_SETS; i++) {
		frcnn_table_put(&table, job->sets[i].name);
		frcnn_table_printf(&table, "%zu", job->sets[i].count);
	}
	if (job->duplicates > 0) {
		frcnn_table_put(&table, "copies, left out");
		frcnn_table_printf(&table, "%zu", job->duplicates);
	}
	if (job->overlap > 0) {
		frcnn_table_put(&table, "measured, so left out");
		frcnn_table_printf(&table, "%zu", job->overlap);
	}
	if (job->unused > 0) {
		frcnn_table_put(&table, "not needed");
		frcnn_table_printf(&table, "%zu", job->unused);
	}
	flush(&table, "Images", job->format, out);
}

static void put_difference(struct frcnn_table *table, const char *name, const struct frcnn_report_difference *d)
{
	frcnn_table_put(table, name);
	frcnn_table_value(table, d->d.baseline);
	frcnn_table_value(table, d->d.ours);
	if (d->d.ours > -1 && d->d.baseline > -1)
		frcnn_table_printf(table, "%+.4f", d->d.difference);
	else
		frcnn_table_put(table, "-");
	if (d->has_interval)
		frcnn_table_printf(table, "%+.4f to %+.4f", d->d.low, d->d.high);
	else
		frcnn_table_put(table, "-");
}

static void put_alone(struct frcnn_table *table, const char *name, double value)
{
	frcnn_table_put(table, name);
	frcnn_table_put(table, "");
	if (value < 0)
		frcnn_table_put(table, "-");
	else
		frcnn_table_printf(table, "%.4f", value);
	frcnn_table_put(table, "");
	frcnn_table_put(table, "");
}

bool quantize_is_headline(const char *metric)
{
	return strcmp(metric, "AP") == 0 || strcmp(metric, "AP50") == 0 || strcmp(metric, "AP75") == 0;
}

static void show_cost(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_report_model *model = &job->report->models[0];
	struct frcnn_table table = {.columns = 5};
	struct frcnn_buffer title = {0};

	put_row(&table, "measure", "float");
	put_row(&table, "int8", "difference");
	frcnn_table_put(&table, "95% interval");
	put_alone(&table, "found", frcnn_agreement_found(frcnn_cost_agreement(job->cost)));
	put_alone(&table, "shift", frcnn_agreement_shift(frcnn_cost_agreement(job->cost)));
	for (int classes = 0; classes < 2; classes++) {
		for (size_t i = 0; i < model->ndifferences; i++) {
			const struct frcnn_report_difference *d = &model->differences[i];

			if (d->class_level == (classes == 1) && (classes == 1 || quantize_is_headline(d->name)))
				put_difference(&table, d->name, d);
		}
	}
	frcnn_buffer_printf(&title, "Cost, on %zu images", frcnn_cost_images(job->cost));
	if (job->has_truth && frcnn_cost_known(job->cost) < frcnn_cost_images(job->cost))
		frcnn_buffer_printf(&title, " (%zu of them with ground truth)", frcnn_cost_known(job->cost));
	out->failed |= title.failed;
	flush(&table, title.failed ? "" : title.data, job->format, out);
	frcnn_buffer_free(&title);
}

static void show_size(struct quantize_job *job, struct frcnn_buffer *out)
{
	struct frcnn_table table = {.columns = 3};

	frcnn_table_put(&table, "measure");
	put_row(&table, "float", "int8");
	frcnn_table_put(&table, "file, bytes");
	for (int i = 0; i < 2; i++)
		frcnn_table_printf(&table, "%lld", (long long)job->bytes[i]);
	if (job->seconds[0].count > 0) {
		frcnn_table_put(&table, "seconds an image, median");
		for (int i = 0; i < 2; i++)
			frcnn_table_printf(&table, "%.4f", frcnn_samples_percentile(&job->seconds[i], 50));
	}
	flush(&table, "Size and speed", job->format, out);
}

void quantize_sum_up(const struct frcnn_quant_plan *plan, struct frcnn_buffer *out)
{
	size_t count = 0, all = 0;

	/* As the file names them: a pair that runs as one is two. */
	for (size_t i = 0; i < plan->nlayers; i++) {
		size_t names = plan->layers[i].second[0] ? 2 : 1;

		all += names;
		count += plan->layers[i].quantized ? names : 0;
	}
	frcnn_buffer_printf(out, "%zu of %zu int8, %.1f%% of the multiply-adds float", count, all,
			    100 * frcnn_quant_plan_float_share(plan));
	if (plan->weight_bits != 8)
		frcnn_buffer_printf(out, ", weights of %d bits", plan->weight_bits);
}

static void put_name(struct frcnn_table *table, const struct frcnn_quant_layer *layer)
{
	frcnn_table_printf(table, "%s%s%s", layer->name, layer->second[0] ? " + " : "", layer->second);
}

static void show_plan(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_quant_plan *plan = &job->plan;
	struct frcnn_table table = {.columns = 3};
	struct frcnn_buffer title = {0};
	const struct frcnn_quant_layer *worst = NULL;
	double total = 0;

	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];

		total += (double)layer->multiply_adds;
		if (layer->quantized && (!worst || layer->output_snr < worst->output_snr))
			worst = layer;
	}
	frcnn_table_put(&table, "float layer");
	put_row(&table, "multiply-adds", "why");
	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];

		if (layer->quantized)
			continue;
		put_name(&table, layer);
		frcnn_table_printf(&table, "%.2f%%", total > 0 ? 100 * (double)layer->multiply_adds / total : 0);
		frcnn_table_put(&table, layer->why ? layer->why : "");
	}
	frcnn_buffer_puts(&title, "Layers: ");
	quantize_sum_up(plan, &title);
	out->failed |= title.failed;
	flush(&table, title.failed ? "" : title.data, job->format, out);
	frcnn_buffer_free(&title);
	if (!worst)
		return;
	frcnn_buffer_printf(out, "\nLeast signal to noise of an int8 layer's output: %.1f dB, of ", worst->output_snr);
	(job->format == QUANTIZE_MARKDOWN ? frcnn_markdown_text : frcnn_buffer_puts)(out, worst->name);
	frcnn_buffer_putc(out, '\n');
}

static void put_measured(struct frcnn_table *table, const char *format, double value)
{
	if (value < 0 || !isfinite(value))
		frcnn_table_put(table, "-");
	else
		frcnn_table_printf(table, format, value);
}

static void show_sensitivity(const struct quantize_job *job, struct frcnn_buffer *out)
{
	struct frcnn_table table = {.columns = 5};
	char title[80];

	put_row(&table, "layer", "now");
	put_row(&table, "output, dB", "found");
	frcnn_table_put(&table, "shift");
	for (size_t i = 0; i < job->plan.nlayers; i++) {
		const struct frcnn_quant_layer *layer = &job->plan.layers[i];

		put_name(&table, layer);
		frcnn_table_put(&table, layer->quantized ? quantize_int8 : quantize_float);
		if (isfinite(layer->output_snr))
			frcnn_table_printf(&table, "%.1f", layer->output_snr);
		else
			frcnn_table_put(&table, "-");
		put_measured(&table, "%.4f", layer->found);
		put_measured(&table, "%.5f", layer->shift);
	}
	snprintf(title, sizeof title, "Each layer alone in int8, on %zu image%s", job->sensed,
		 job->sensed == 1 ? "" : "s");
	flush(&table, title, job->format, out);
}

static void show_search(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_quant_trail *trail = &job->trail;
	struct frcnn_table table = {.columns = 6};
	char title[80];

	put_row(&table, "layer left float", "found");
	put_row(&table, "shift", "gain");
	put_row(&table, "noise", "kept");
	frcnn_table_put(&table, "none");
	put_measured(&table, "%.4f", trail->found);
	put_measured(&table, "%.5f", trail->shift);
	put_row(&table, "", "");
	frcnn_table_put(&table, "");
	for (size_t i = 0; i < trail->nsteps; i++) {
		const struct frcnn_quant_step *step = &trail->steps[i];

		put_name(&table, &job->plan.layers[step->layer]);
		put_measured(&table, "%.4f", step->found);
		put_measured(&table, "%.5f", step->shift);
		frcnn_table_printf(&table, "%.4f", step->gain);
		frcnn_table_printf(&table, "%.4f", step->noise);
		frcnn_table_put(&table, step->kept ? "yes" : "no");
	}
	snprintf(title, sizeof title, "Search, on %zu images: the gates %s", job->sets[QUANTIZE_SEARCH].count,
		 quantize_search_verdict(job, trail->holds));
	flush(&table, title, job->format, out);
}

static void put_item(struct frcnn_buffer *out, const char *text)
{
	frcnn_buffer_puts(out, "- ");
	frcnn_markdown_text(out, text);
	frcnn_buffer_putc(out, '\n');
}

/* Text has them on standard error. */
static void show_warnings(const struct quantize_job *job, struct frcnn_buffer *out)
{
	if (job->format != QUANTIZE_MARKDOWN || job->nquant_warnings + job->warnings.count == 0)
		return;
	frcnn_buffer_puts(out, "\n## Warnings\n\n");
	for (size_t i = 0; i < job->nquant_warnings; i++)
		put_item(out, job->quant_warnings[i].text);
	for (size_t i = 0; i < job->warnings.count; i++)
		put_item(out, job->warnings.items[i]);
}

static void show_gates(const struct quantize_job *job, struct frcnn_buffer *out)
{
	struct frcnn_table table = {0};

	if (job->report && frcnn_section_gates(job->report, &table))
		flush(&table, "Gates", job->format, out);
	else
		frcnn_table_free(&table);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void put_text(struct frcnn_json_writer *json, const char *key, const char *text)
{
	struct frcnn_buffer utf8 = {0};

	frcnn_render_utf8(&utf8, text);
	if (key)
		frcnn_json_key(json, key);
	frcnn_json_put_string(json, utf8.data ? utf8.data : "", utf8.size);
	json->out->failed |= utf8.failed;
	frcnn_buffer_free(&utf8);
}

static void put_number(struct frcnn_json_writer *json, const char *key, double value)
{
	frcnn_json_key(json, key);
	if (isfinite(value))
		frcnn_json_put_double(json, value);
	else
		frcnn_json_put_raw(json, "null", 4);
}

static void put_count(struct frcnn_json_writer *json, const char *key, size_t value)
{
	frcnn_json_key(json, key);
	frcnn_json_put_int64(json, (int64_t)value);
}

static void json_sets(struct frcnn_json_writer *json, const struct quantize_job *job)
{
	frcnn_json_key(json, "sets");
	frcnn_json_begin_object(json);
	for (int i = 0; i < QUANTIZE_SETS; i++) {
		frcnn_json_key(json, job->sets[i].name);
		frcnn_json_begin_object(json);
		put_count(json, "images", job->sets[i].count);
		put_text(json, "sha256", job->sets[i].sha256);
		frcnn_json_end_object(json);
	}
	frcnn_json_end_object(json);
	put_count(json, "copies", job->duplicates);
	put_count(json, "overlap", job->overlap);
	put_count(json, "unused", job->unused);
	put_count(json, "failed", job->failed);
}

static void json_cost(struct frcnn_json_writer *json, struct quantize_job *job)
{
	const struct frcnn_agreement *agreement = frcnn_cost_agreement(job->cost);
	const struct frcnn_report_model *model = &job->report->models[0];

	frcnn_json_key(json, "cost");
	frcnn_json_begin_object(json);
	put_count(json, "images", frcnn_cost_images(job->cost));
	put_count(json, "images_with_truth", frcnn_cost_known(job->cost));
	put_count(json, "wanted", agreement->wanted);
	put_number(json, "found", frcnn_agreement_found(agreement));
	put_number(json, "shift", frcnn_agreement_shift(agreement));
	if (model->ndifferences > 0) {
		frcnn_json_key(json, "metrics");
		frcnn_json_begin_object(json);
		for (size_t i = 0; i < model->ndifferences; i++) {
			const struct frcnn_report_difference *d = &model->differences[i];

			struct frcnn_buffer name = {0};

			frcnn_render_utf8(&name, d->name);
			frcnn_json_key(json, name.failed ? "" : name.data);
			json->out->failed |= name.failed;
			frcnn_buffer_free(&name);
			frcnn_json_begin_object(json);
			put_number(json, "float", d->d.baseline);
			put_number(json, "int8", d->d.ours);
			put_number(json, "difference", d->d.ours > -1 && d->d.baseline > -1 ? d->d.difference : NAN);
			if (d->has_interval) {
				put_number(json, "low", d->d.low);
				put_number(json, "high", d->d.high);
			}
			frcnn_json_end_object(json);
		}
		frcnn_json_end_object(json);
	}
	frcnn_json_end_object(json);
}

static void json_layers(struct frcnn_json_writer *json, const struct quantize_job *job)
{
	put_count(json, "weight_bits", (size_t)job->plan.weight_bits);
	put_count(json, "equalized_channels", job->equalization.changed_channels);
	put_number(json, "float_share", frcnn_quant_plan_float_share(&job->plan));
	frcnn_json_key(json, "layers");
	frcnn_json_begin_array(json);
	for (size_t i = 0; i < job->plan.nlayers; i++) {
		const struct frcnn_quant_layer *layer = &job->plan.layers[i];

		frcnn_json_begin_object(json);
		put_text(json, "name", layer->name);
		if (layer->second[0])
			put_text(json, "second", layer->second);
		put_text(json, "dtype", layer->quantized ? quantize_int8 : quantize_float);
		if (layer->why && layer->why[0])
			put_text(json, "why", layer->why);
		frcnn_json_key(json, "multiply_adds");
		frcnn_json_put_int64(json, layer->multiply_adds);
		put_number(json, "weight_snr", layer->weight_snr);
		if (job->adaround)
			put_number(json, "rounding_gain", layer->rounding_gain);
		put_number(json, "input_snr", layer->input_snr);
		put_number(json, "output_snr", layer->output_snr);
		if (job->sensed > 0) {
			put_number(json, "found", layer->found);
			put_number(json, "shift", layer->shift);
		}
		frcnn_json_key(json, "inputs");
		frcnn_json_begin_array(json);
		for (int k = 0; k < layer->ninputs; k++) {
			frcnn_json_begin_object(json);
			frcnn_json_key(json, "scale");
			frcnn_json_put_float(json, layer->inputs[k].scale);
			frcnn_json_key(json, "zero_point");
			frcnn_json_put_int64(json, layer->inputs[k].zero);
			put_text(json, "observer", frcnn_quant_observer_name(layer->observers[k]));
			frcnn_json_end_object(json);
		}
		frcnn_json_end_array(json);
		frcnn_json_end_object(json);
	}
	frcnn_json_end_array(json);
}

static void json_search(struct frcnn_json_writer *json, const struct quantize_job *job)
{
	const struct frcnn_quant_trail *trail = &job->trail;

	frcnn_json_key(json, "search");
	frcnn_json_begin_object(json);
	put_number(json, "found", trail->found);
	put_number(json, "shift", trail->shift);
	frcnn_json_key(json, "holds");
	frcnn_json_put_bool(json, trail->holds);
	frcnn_json_key(json, "steps");
	frcnn_json_begin_array(json);
	for (size_t i = 0; i < trail->nsteps; i++) {
		const struct frcnn_quant_step *step = &trail->steps[i];

		frcnn_json_begin_object(json);
		put_text(json, "layer", job->plan.layers[step->layer].name);
		put_number(json, "found", step->found);
		put_number(json, "shift", step->shift);
		put_number(json, "gain", step->gain);
		put_number(json, "noise", step->noise);
		frcnn_json_key(json, "kept");
		frcnn_json_put_bool(json, step->kept);
		frcnn_json_end_object(json);
	}
	frcnn_json_end_array(json);
	frcnn_json_end_object(json);
}

static void json_gates(struct frcnn_json_writer *json, const struct frcnn_report *report)
{
	static const char *const kinds[] = {
	    [FRCNN_GATE_MIN] = "min", [FRCNN_GATE_MAX] = "max", [FRCNN_GATE_MAX_DROP] = "max-drop"};

	frcnn_json_key(json, "gates");
	frcnn_json_begin_array(json);
	for (size_t i = 0; report && i < report->nresults; i++) {
		const struct frcnn_gate_result *result = &report->results[i];
		const struct frcnn_gate *gate = &report->gates[result->gate];
		bool valued = result->verdict == FRCNN_GATE_HOLDS || result->verdict == FRCNN_GATE_FAILED;

		frcnn_json_begin_object(json);
		put_text(json, "metric", gate->metric);
		put_text(json, "kind", kinds[gate->kind]);
		put_number(json, "bound", gate->bound);
		put_number(json, "value", valued ? result->value : NAN);
		put_text(json, "verdict", frcnn_render_verdict(result->verdict));
		put_text(json, "message", result->message);
		frcnn_json_end_object(json);
	}
	frcnn_json_end_array(json);
}

static void json_warnings(struct frcnn_json_writer *json, const struct quantize_job *job)
{
	frcnn_json_key(json, "warnings");
	frcnn_json_begin_array(json);
	for (size_t i = 0; i < job->nquant_warnings; i++) {
		frcnn_json_begin_object(json);
		put_text(json, "kind", frcnn_quant_warning_name(job->quant_warnings[i].kind));
		put_text(json, "name", job->quant_warnings[i].name);
		put_text(json, "text", job->quant_warnings[i].text);
		frcnn_json_end_object(json);
	}
	for (size_t i = 0; i < job->warnings.count; i++) {
		frcnn_json_begin_object(json);
		put_text(json, "kind", "images");
		put_text(json, "text", job->warnings.items[i]);
		frcnn_json_end_object(json);
	}
	frcnn_json_end_array(json);
}

static void show_json(struct quantize_job *job, int status, struct frcnn_buffer *out)
{
	struct frcnn_json_writer json = {.out = out};
	static const char *const sides[] = {"float", "int8"};

	frcnn_json_begin_object(&json);
	put_text(&json, "version", frcnn_version());
	put_text(&json, "model", frcnn_model_id(job->model));
	put_text(&json, "output", job->output_path);
	frcnn_json_key(&json, "written");
	frcnn_json_put_bool(&json, job->written);
	frcnn_json_key(&json, "status");
	frcnn_json_put_int64(&json, status);
	json_sets(&json, job);
	if (job->report)
		json_cost(&json, job);
	frcnn_json_key(&json, "bytes");
	frcnn_json_begin_object(&json);
	for (int i = 0; i < 2; i++) {
		frcnn_json_key(&json, sides[i]);
		frcnn_json_put_int64(&json, job->bytes[i]);
	}
	frcnn_json_end_object(&json);
	if (job->seconds[0].count > 0) {
		frcnn_json_key(&json, "seconds");
		frcnn_json_begin_object(&json);
		for (int i = 0; i < 2; i++)
			put_number(&json, sides[i], frcnn_samples_percentile(&job->seconds[i], 50));
		frcnn_json_end_object(&json);
	}
	if (job->sensed > 0)
		put_count(&json, "sensed", job->sensed);
	json_layers(&json, job);
	if (job->searched)
		json_search(&json, job);
	json_gates(&json, job->report);
	json_warnings(&json, job);
	frcnn_json_end_object(&json);
	frcnn_buffer_putc(out, '\n');
}

int quantize_show(struct quantize_job *job, int status, struct frcnn_buffer *out, struct frcnn_error *err)
{
	if (job->format == QUANTIZE_JSON) {
		show_json(job, status, out);
	} else {
		show_sets(job, out);
		if (job->report)
			show_cost(job, out);
		show_size(job, out);
		show_plan(job, out);
		if (job->sensed > 0)
			show_sensitivity(job, out);
		if (job->searched)
			show_search(job, out);
		show_gates(job, out);
		show_warnings(job, out);
	}
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
