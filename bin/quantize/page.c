/* The page of --report: verdict and cost come first, then what each layer loses, then what all that was made from. */
#include "quantize/job.h"
#include "render/render.h"

#include <math.h>

#define P(...) frcnn_buffer_printf(out, __VA_ARGS__)

#define NA "<span class=\"na\" title=\"undefined\">\xE2\x80\x93</span>"

enum { MOST_DECIBEL = 80 };

static void put_text(struct frcnn_buffer *out, const char *text)
{
	frcnn_page_text(out, text, 0);
}

/* What is negative is undefined. */
static void put_value(struct frcnn_buffer *out, double value, int decimals)
{
	if (value < 0 || !isfinite(value))
		P(NA);
	else
		P("%.*f", decimals, value);
}

static void put_cell(struct frcnn_buffer *out, double value, int decimals)
{
	P("<td>");
	put_value(out, value, decimals);
	P("</td>");
}

static void put_decibel(struct frcnn_buffer *out, double value)
{
	if (isfinite(value))
		P("<td>%.1f</td>", value);
	else
		P("<td>" NA "</td>");
}

static void put_name(struct frcnn_buffer *out, const struct frcnn_quant_layer *layer)
{
	put_text(out, layer->name);
	if (layer->second[0]) {
		P(" + ");
		put_text(out, layer->second);
	}
}

static double total_adds(const struct frcnn_quant_plan *plan)
{
	double total = 0;

	for (size_t i = 0; i < plan->nlayers; i++)
		total += (double)plan->layers[i].multiply_adds;
	return total;
}

/* ---- head ------------------------------------------------------------------------------------------------------ */

static void begin_card(struct frcnn_buffer *out, const char *title)
{
	P("<dl class=\"card\"><dt>%s</dt><dd class=\"big\">", title);
}

static void put_card(struct frcnn_buffer *out, const char *title, double value, int decimals, const char *small)
{
	begin_card(out, title);
	put_value(out, value, decimals);
	P("</dd><dd class=\"small\">%s</dd></dl>\n", small);
}

/* Of the int8 model; under it how far it is from the float one. */
static void put_metric_card(struct frcnn_buffer *out, const struct frcnn_report_difference *d)
{
	begin_card(out, d->name);
	put_value(out, d->d.ours, 3);
	P("</dd><dd class=\"small\">float ");
	put_value(out, d->d.baseline, 3);
	if (d->has_interval)
		P("<br/>%+.4f, 95%% %+.4f to %+.4f", d->d.difference, d->d.low, d->d.high);
	P("</dd></dl>\n");
}

static void put_cards(struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_report_model *model = job->report ? &job->report->models[0] : NULL;
	char small[128];

	P("<div class=\"cards\">\n");
	if (job->report) {
		const struct frcnn_agreement *agreement = frcnn_cost_agreement(job->cost);

		snprintf(small, sizeof small, "of %zu detections", agreement->wanted);
		put_card(out, "found", frcnn_agreement_found(agreement), 4, small);
		put_card(out, "shift", frcnn_agreement_shift(agreement), 5, "mean change of their scores");
	}
	for (size_t i = 0; model && i < model->ndifferences; i++) {
		const struct frcnn_report_difference *d = &model->differences[i];

		if (!d->class_level && quantize_is_headline(d->name) && d->d.ours > -1 && d->d.baseline > -1)
			put_metric_card(out, d);
	}
	if (job->bytes[0] > 0 && job->bytes[1] > 0) {
		begin_card(out, "size");
		P("%.0f%%</dd><dd class=\"small\">of the float file</dd></dl>\n",
		  100 * (double)job->bytes[1] / (double)job->bytes[0]);
	}
	if (job->seconds[0].count > 0) {
		begin_card(out, "speed");
		P("%.2f\xC3\x97</dd><dd class=\"small\">the float model\xE2\x80\x99s, measured here</dd></dl>\n",
		  frcnn_samples_percentile(&job->seconds[0], 50) / frcnn_samples_percentile(&job->seconds[1], 50));
	}
	P("</div>\n");
}

static void put_head(struct quantize_job *job, int status, struct frcnn_buffer *out)
{
	const struct {
		bool there;
		const char *id, *title;
	} entries[] = {{job->report && job->report->nresults > 0, "gates", "Gates"},
		       {job->report != NULL, "cost", "Cost"},
		       {true, "layers", "Layers"},
		       {job->searched, "search", "Search"},
		       {job->nquant_warnings + job->warnings.count > 0, "warnings", "Warnings"},
		       {true, "inputs", "Inputs"}};

	P("<header><p class=\"kind\">Quantization</p>\n<h1>");
	put_text(out, frcnn_model_id(job->model));
	P("</h1>\n<p class=\"sub\">");
	put_text(out, frcnn_model_architecture(job->model));
	P("; layers: ");
	quantize_sum_up(&job->plan, out);
	P("; kernels ");
	put_text(out, frcnn_detector_cpu(job->detector));
	P("</p>\n");
	if (!job->written)
		P("<p class=\"alert\"><strong>No model is written:</strong> %s.</p>\n",
		  status == FRCNN_EXIT_GATE ? "a gate failed" : "there was trouble, and gates could not be judged");
	else if (status != FRCNN_EXIT_OK)
		P("<p class=\"alert\"><strong>Not everything could be read:</strong> the model is made from the "
		  "rest.</p>\n");
	P("<nav aria-label=\"Contents\"><ul>");
	for (size_t i = 0; i < FRCNN_COUNT(entries); i++) {
		if (entries[i].there)
			P("<li><a href=\"#%s\">%s</a></li>", entries[i].id, entries[i].title);
	}
	P("</ul></nav>\n</header>\n");
}

/* ---- cost ------------------------------------------------------------------------------------------------------ */

static void put_size(struct quantize_job *job, struct frcnn_buffer *out)
{
	P("<h3>Size and speed</h3>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Measure</th><th "
	  "scope=\"col\">int8</th>"
	  "<th scope=\"col\">float</th></tr></thead><tbody>\n<tr><th scope=\"row\">bytes of the file</th>");
	for (int i = 1; i >= 0; i--) {
		P("<td>");
		frcnn_page_count(out, (size_t)job->bytes[i]);
		P("</td>");
	}
	P("</tr>\n");
	if (job->seconds[0].count > 0) {
		P("<tr><th scope=\"row\">seconds an image, median</th>");
		for (int i = 1; i >= 0; i--)
			put_cell(out, frcnn_samples_percentile(&job->seconds[i], 50), 4);
		P("</tr>\n");
	}
	P("</tbody></table></div>\n");
}

static void put_cost(struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_agreement *agreement = frcnn_cost_agreement(job->cost);
	const struct frcnn_report_model *model = &job->report->models[0];

	P("<section id=\"cost\"><h2>Cost</h2>\n<p class=\"note\">Measured on %zu images that chose nothing",
	  frcnn_cost_images(job->cost));
	if (job->has_truth)
		P(", %zu of them with ground truth", frcnn_cost_known(job->cost));
	P(". Of the float model\xE2\x80\x99s %zu detections with a score of at least %g, %zu have a counterpart in the "
	  "int8 model\xE2\x80\x99s: the same class, IoU at least %g, one to one.",
	  agreement->wanted, FRCNN_COST_SCORE, agreement->found, FRCNN_COST_IOU);
	if (model->ndifferences > 0)
		P(" Intervals come from %d paired resamples of the images: a difference whose interval includes 0 may "
		  "be noise, and is grey.",
		  job->report->resamples);
	P("</p>\n");
	put_size(job, out);
	if (model->ndifferences > 0) {
		P("<h3>Accuracy</h3>\n");
		frcnn_page_changes(out, job->report, model, "int8", "float");
	}
	P("</section>\n");
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

static void put_key(struct frcnn_buffer *out, const char *style, const char *text)
{
	P("<li><svg viewBox=\"0 0 28 12\" aria-hidden=\"true\"><rect class=\"%s\" x=\"8\" y=\"0\" width=\"12\" "
	  "height=\"12\"/></svg>%s</li>",
	  style, text);
}

/* Signal to noise of each layer: bars of weights, input and output. */
static void put_chart(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_quant_plan *plan = &job->plan;
	double most = 10;
	struct frcnn_chart c = {
	    .out = out, .width = 1000, .height = 300, .left = 50, .top = 10, .right = 10, .bottom = 34};

	for (size_t i = 0; i < plan->nlayers; i++)
		most = fmax(most, fmax(plan->layers[i].output_snr,
				       fmax(plan->layers[i].weight_snr, plan->layers[i].input_snr)));
	c.x_high = (double)plan->nlayers;
	c.y_high = fmin(ceil(most / 10) * 10, MOST_DECIBEL);
	P("<figure>");
	frcnn_chart_begin(&c, "Signal to noise of each layer's weights, input and output in int8, in decibel");
	frcnn_chart_axes(&c, 0, (int)(c.y_high / 10), "layers in order of execution", "dB");
	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];
		const double values[] = {layer->weight_snr, layer->input_snr, layer->output_snr};
		static const char *const names[] = {"weights", "input", "output"}, *const styles[] = {"f1", "f2", "f3"};

		for (int k = 0; k < 3; k++) {
			double x = (double)i + 0.1 + 0.8 * k / 3;
			char text[256];

			if (!isfinite(values[k]))
				continue;
			snprintf(text, sizeof text, "%s: %s %.1f dB%s", layer->name, names[k], values[k],
				 layer->quantized ? "" : ", stays float");
			frcnn_chart_box(&c, x, 0, x + 0.8 / 3, fmax(values[k], 0), layer->quantized ? styles[k] : "f5",
					text);
		}
	}
	frcnn_chart_end(&c);
	P("<ul class=\"key\">");
	put_key(out, "f1", "weights");
	put_key(out, "f2", "input");
	put_key(out, "f3", "output of the layer alone");
	put_key(out, "f5", "the same of layers that stay float");
	P("</ul></figure>\n");
}

static void put_inputs_of(struct frcnn_buffer *out, const struct frcnn_quant_layer *layer)
{
	P("<td>");
	for (int k = 0; k < layer->ninputs; k++) {
		if (k == 0 || layer->observers[k] != layer->observers[k - 1])
			P("%s%s", k ? ", " : "", frcnn_quant_observer_name(layer->observers[k]));
	}
	P("</td><td>");
	for (int k = 0; k < layer->ninputs; k++)
		P("%s%.4g", k ? ", " : "", (double)layer->inputs[k].scale);
	P("</td><td>");
	for (int k = 0; k < layer->ninputs; k++)
		P("%s%d", k ? ", " : "", layer->inputs[k].zero);
	P("</td>");
}

static void put_layers(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_quant_plan *plan = &job->plan;
	double total = total_adds(plan);

	P("<section id=\"layers\"><h2>Layers</h2>\n<p class=\"note\">Signal to noise, in decibel, of what int8 leaves "
	  "of a layer\xE2\x80\x99s weights, of its input, and of its output when that layer alone is int8");
	if (job->sensed > 0)
		P(", with found and shift of the detections then, on %zu image%s", job->sensed,
		  job->sensed == 1 ? "" : "s");
	if (job->adaround)
		P("; rounding: by how much AdaRound lessened the error of the output");
	P(". For layers that stay float it is what it would be.</p>\n");
	put_chart(job, out);
	P("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Layer</th><th scope=\"col\">dtype</th>"
	  "<th scope=\"col\">multiply-adds</th><th scope=\"col\">weights, dB</th><th scope=\"col\">input, dB</th>"
	  "<th scope=\"col\">output, dB</th>");
	if (job->sensed > 0)
		P("<th scope=\"col\">found</th><th scope=\"col\">shift</th>");
	if (job->adaround)
		P("<th scope=\"col\">rounding, dB</th>");
	P("<th scope=\"col\">observer</th><th scope=\"col\">scale</th><th scope=\"col\">zero</th>"
	  "<th scope=\"col\" class=\"l\">why</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < plan->nlayers; i++) {
		const struct frcnn_quant_layer *layer = &plan->layers[i];

		P("<tr><th scope=\"row\" style=\"white-space:nowrap;max-width:none\">");
		put_name(out, layer);
		P("</th><td>%s</td><td>%.2f%%</td>", layer->quantized ? quantize_int8 : quantize_float,
		  total > 0 ? 100 * (double)layer->multiply_adds / total : 0);
		put_decibel(out, layer->weight_snr);
		put_decibel(out, layer->input_snr);
		put_decibel(out, layer->output_snr);
		if (job->sensed > 0) {
			put_cell(out, layer->found, 4);
			put_cell(out, layer->shift, 5);
		}
		if (job->adaround)
			put_decibel(out, layer->rounding_gain);
		put_inputs_of(out, layer);
		P("<td class=\"l\">");
		put_text(out, layer->why ? layer->why : "");
		P("</td></tr>\n");
	}
	P("</tbody></table></div>\n</section>\n");
}

/* ---- search ---------------------------------------------------------------------------------------------------- */

static void put_search(const struct quantize_job *job, struct frcnn_buffer *out)
{
	const struct frcnn_quant_trail *trail = &job->trail;

	P("<section id=\"search\"><h2>Search</h2>\n<p class=\"note\">Layers that were left float on trial, on %zu "
	  "images; one is kept when it gains more than noise. On these images the gates %s.</p>\n"
	  "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Layer left float</th><th scope=\"col\">found</th>"
	  "<th scope=\"col\">shift</th><th scope=\"col\">gain</th><th scope=\"col\">noise</th>"
	  "<th scope=\"col\">kept</th></tr></thead><tbody>\n<tr class=\"all\"><th scope=\"row\">none</th>",
	  job->sets[QUANTIZE_SEARCH].count, quantize_search_verdict(job, trail->holds));
	put_cell(out, trail->found, 4);
	put_cell(out, trail->shift, 5);
	P("<td></td><td></td><td></td></tr>\n");
	for (size_t i = 0; i < trail->nsteps; i++) {
		const struct frcnn_quant_step *step = &trail->steps[i];

		P("<tr><th scope=\"row\">");
		put_name(out, &job->plan.layers[step->layer]);
		P("</th>");
		put_cell(out, step->found, 4);
		put_cell(out, step->shift, 5);
		P("<td>%.4f</td><td>%.4f</td><td><span class=\"%s\">%s</span></td></tr>\n", step->gain, step->noise,
		  step->kept ? "up" : "na", step->kept ? "yes" : "no");
	}
	P("</tbody></table></div>\n</section>\n");
}

/* ---- warnings and inputs --------------------------------------------------------------------------------------- */

static void put_warnings(const struct quantize_job *job, struct frcnn_buffer *out)
{
	P("<section id=\"warnings\"><h2>Warnings</h2>\n<ul class=\"notes\">\n");
	for (size_t i = 0; i < job->nquant_warnings; i++) {
		P("<li>");
		put_text(out, job->quant_warnings[i].text);
		P("</li>\n");
	}
	for (size_t i = 0; i < job->warnings.count; i++) {
		P("<li>");
		put_text(out, job->warnings.items[i]);
		P("</li>\n");
	}
	P("</ul>\n</section>\n");
}

static void put_count(struct frcnn_buffer *out, const char *what, size_t count)
{
	if (count > 0)
		P("<dt>%s</dt><dd>%zu</dd>\n", what, count);
}

static void put_options(const struct quantize_job *job, struct frcnn_buffer *out)
{
	struct frcnn_buffer options = {0};

	frcnn_opt_describe(job->program, &options);
	out->failed |= options.failed;
	for (char *line = options.failed ? NULL : options.data; line && *line;) {
		size_t size = strcspn(line, "\n");
		bool last = line[size] == '\0';

		line[size] = '\0';
		P("%s", line == options.data ? "<dt>Options</dt><dd>" : "<br/>");
		P("<code>--");
		put_text(out, line);
		P("</code>");
		line += size + !last;
	}
	P("%s", options.size > 0 && !options.failed ? "</dd>\n" : "");
	frcnn_buffer_free(&options);
}

static void put_inputs(const struct quantize_job *job, struct frcnn_buffer *out)
{
	P("<section id=\"inputs\"><h2>Inputs</h2>\n<dl class=\"facts\"><dt>Float model</dt><dd>");
	put_text(out, job->model_path);
	P("<br/><code>sha256 %s</code></dd>\n<dt>int8 model</dt><dd>", job->model->checkpoint.sha256);
	put_text(out, job->output_path);
	P("%s</dd>\n", job->written ? "" : " (not written)");
	for (int i = 0; i < QUANTIZE_SETS; i++) {
		const struct quantize_set *set = &job->sets[i];

		P("<dt>%s</dt><dd>%zu image%s", set->name, set->count, set->count == 1 ? "" : "s");
		if (set->count > 0)
			P("<br/><code>sha256 %s</code>", set->sha256);
		P("</dd>\n");
	}
	put_count(out, "copies, left out", job->duplicates);
	put_count(out, "measured, so left out", job->overlap);
	put_count(out, "not needed", job->unused);
	put_count(out, "not readable", job->failed);
	if (job->has_truth) {
		P("<dt>Ground truth</dt><dd>");
		put_text(out, job->measure_truth_path ? job->measure_truth_path : job->truth_path);
		P("</dd>\n");
	}
	put_options(job, out);
	P("</dl>\n</section>\n");
}

int quantize_page(struct quantize_job *job, int status, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_buffer title = {0};

	frcnn_buffer_printf(&title, "%s, quantized", frcnn_model_id(job->model));
	frcnn_page_begin(out, title.failed ? "" : title.data);
	out->failed |= title.failed;
	frcnn_buffer_free(&title);
	put_head(job, status, out);
	put_cards(job, out);
	if (job->report)
		frcnn_page_gates(out, job->report);
	if (job->report)
		put_cost(job, out);
	put_layers(job, out);
	if (job->searched)
		put_search(job, out);
	if (job->nquant_warnings + job->warnings.count > 0)
		put_warnings(job, out);
	put_inputs(job, out);
	frcnn_page_end(out);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
