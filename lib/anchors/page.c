/* The report as one page: boxes with the anchors over them, recall curves, tables. */
#include "anchors/anchors.h"
#include "render/render.h"

#include <math.h>
#include <stdlib.h>

enum {
	MOST_DOTS = 4000,
	FEW_DOTS = 200,
	MOST_NAMED = 50,
	CURVE = 101 /* points of a curve, IoU 0, 0.01, ... */
};

#define P(...) frcnn_buffer_printf(out, __VA_ARGS__)

static void put_legend(struct frcnn_buffer *out, const char *style, bool dot, const char *text)
{
	P("<li><svg viewBox=\"0 0 28 12\" aria-hidden=\"true\">");
	if (dot)
		P("<circle class=\"dot %s\" r=\"4\" cx=\"14\" cy=\"6\"/>", style);
	else
		P("<line class=\"line %s\" x1=\"0\" y1=\"6\" x2=\"28\" y2=\"6\"/>", style);
	P("</svg>");
	frcnn_page_text(out, text, 0);
	P("</li>");
}

static void put_card(struct frcnn_buffer *out, const char *name, double value, const char *small)
{
	P("<dl class=\"card\"><dt>%s</dt><dd class=\"big\">", name);
	if (value < 0)
		P("-");
	else
		P("%.3f", value);
	P("</dd><dd class=\"small\">%s</dd></dl>", small);
}

static void put_head(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	const struct frcnn_anchor_summary *all = &r->summaries[0];
	char small[96];

	P("<p class=\"kind\">Anchors</p><h1>");
	frcnn_page_text(out, r->truth_path, 0);
	P("</h1><p class=\"sub\">%zu images, %zu objects; resized to %d, at most %d; anchors ", r->boxes.nimages,
	  r->boxes.nboxes, r->config.min_size, r->config.max_size);
	if (r->model) {
		P("of ");
		frcnn_page_text(out, r->model, 0);
		P(": ");
	}
	P("<code>");
	frcnn_anchor_put_option(&r->config, out);
	P("</code></p><div class=\"cards\">");
	put_card(out, "Best possible recall, IoU 0.5", all->recall[1], "objects with such an anchor");
	put_card(out, "Best possible recall, IoU 0.7", all->recall[2], "objects with a positive anchor by overlap");
	if (all->objects > 0)
		snprintf(small, sizeof small, "median %.3f", all->median);
	else
		snprintf(small, sizeof small, "no objects");
	put_card(out, "Mean best IoU", all->mean, small);
	snprintf(small, sizeof small, "%lld of %lld anchors", (long long)r->stats.positive,
		 (long long)r->stats.anchors);
	put_card(out, "Objects with a positive", all->matched, small);
	P("</div>\n");
}

/* ---- boxes and anchors ----------------------------------------------------------------------- */

static void put_marks(const struct frcnn_chart *chart, const struct frcnn_anchor_config *config, const char *style)
{
	for (int i = 0; i < config->nlevels; i++) {
		struct frcnn_cell_anchors cell;

		frcnn_cell_anchors(&config->levels[i], &cell);
		for (int a = 0; a < cell.count; a++) {
			const float *box = cell.boxes + 4 * a;
			double x = log2(fmax((double)box[2] - box[0], 1)), y = log2(fmax((double)box[3] - box[1], 1));

			if (x >= chart->x_low && x <= chart->x_high && y >= chart->y_low && y <= chart->y_high)
				frcnn_chart_dot(chart, x, y, style);
		}
	}
}

/* All boxes in one path of points, a few bytes each. */
static void put_boxes(const struct frcnn_anchor_report *r, const struct frcnn_chart *c)
{
	struct frcnn_buffer *out = c->out;
	size_t n = r->boxes.nboxes < MOST_DOTS ? r->boxes.nboxes : MOST_DOTS;

	if (n == 0)
		return;
	/* where there are many they must not hide each other, where there are few they must be seen */
	P("<path style=\"fill:none;stroke:var(--c5);stroke-width:%d;stroke-linecap:round;stroke-opacity:%s\" d=\"",
	  n < FEW_DOTS ? 6 : 3, n < FEW_DOTS ? ".8" : ".45");
	for (size_t i = 0; i < n; i++) {
		const float *box = r->boxes.network + 4 * (size_t)((double)i / (double)n * (double)r->boxes.nboxes);
		double x = log2(fmax((double)box[2] - box[0], 1)), y = log2(fmax((double)box[3] - box[1], 1));

		P("M%.1f %.1fh0", c->left + (x - c->x_low) / (c->x_high - c->x_low) * (c->width - c->left - c->right),
		  c->height - c->bottom - (y - c->y_low) / (c->y_high - c->y_low) * (c->height - c->top - c->bottom));
	}
	P("\"/>");
}

static void put_outlines(const struct frcnn_chart *chart, const struct frcnn_anchor_config *config, const char *style)
{
	for (int i = 0; i < config->nlevels; i++) {
		struct frcnn_cell_anchors cell;

		frcnn_cell_anchors(&config->levels[i], &cell);
		for (int a = 0; a < cell.count; a++) {
			const float *box = cell.boxes + 4 * a;
			char text[64];

			snprintf(text, sizeof text, "level %d: %g x %g", i, box[2] - box[0], box[3] - box[1]);
			frcnn_chart_box(chart, box[0], box[1], box[2], box[3], style, text);
		}
	}
}

/* The anchors of a cell as they lie over each other, to scale, and the median object. */
static void put_shapes(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	const double *width = r->distribution[FRCNN_ANCHOR_NETWORK_WIDTH],
		     *height = r->distribution[FRCNN_ANCHOR_NETWORK_HEIGHT];
	double side = 16;
	struct frcnn_chart c = {.out = out,
				.width = 560,
				.height = 540,
				.left = 58,
				.top = 10,
				.right = 14,
				.bottom = 46,
				.style = "chart"};

	for (int k = 0; k < r->stats.nkinds; k++)
		side = fmax(side, fmax(r->stats.kinds[k].width, r->stats.kinds[k].height) / 2.0);
	c.x_low = c.y_low = -(ceil(side / 50) * 50);
	c.x_high = c.y_high = -c.x_low;
	P("<figure>");
	frcnn_chart_begin(&c, "Outlines of the anchors of one cell, to scale");
	frcnn_chart_axes(&c, 4, 4, "pixels of the resized image", NULL);
	put_outlines(&c, &r->config, "line s2");
	if (r->has_fit)
		put_outlines(&c, &r->fit.config, "line s1");
	if (width[3] > 0)
		frcnn_chart_box(&c, -width[3] / 2, -height[3] / 2, width[3] / 2, height[3] / 2, "line s3",
				"the median object");
	frcnn_chart_end(&c);
	P("<ul class=\"key\">");
	put_legend(out, "s2", false, "anchors of one cell");
	if (r->has_fit)
		put_legend(out, "s1", false, "fitted anchors");
	if (width[3] > 0)
		put_legend(out, "s3", false, "median width and height of the objects");
	P("</ul></figure>");
}

static void put_scatter(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	double most = fmax(fmax(r->distribution[FRCNN_ANCHOR_NETWORK_WIDTH][FRCNN_ANCHOR_QUANTILES - 1],
				r->distribution[FRCNN_ANCHOR_NETWORK_HEIGHT][FRCNN_ANCHOR_QUANTILES - 1]),
			   1024);
	double least =
	    fmin(r->distribution[FRCNN_ANCHOR_NETWORK_WIDTH][0], r->distribution[FRCNN_ANCHOR_NETWORK_HEIGHT][0]);
	int low = least > 1 ? (int)floor(log2(fmin(least, 16))) : 0, high = (int)ceil(log2(most));
	struct frcnn_chart c = {.out = out,
				.width = 560,
				.height = 540,
				.left = 58,
				.top = 10,
				.right = 14,
				.bottom = 46,
				.x_low = low,
				.x_high = high,
				.y_low = low,
				.y_high = high,
				.style = "chart"};

	P("<section id=\"boxes\"><h2>Boxes and anchors</h2><p class=\"note\">Width and height of each object in pixels "
	  "of "
	  "the resized image, on logarithmic axes, with the anchors over them.");
	if (r->boxes.nboxes > MOST_DOTS)
		P(" %d of %zu boxes are drawn.", MOST_DOTS, r->boxes.nboxes);
	P("</p><div class=\"two\"><figure>");
	frcnn_chart_begin(&c, "Widths and heights of objects and anchors");
	for (int k = low; k <= high; k++) {
		char text[16];

		snprintf(text, sizeof text, "%d", 1 << k);
		frcnn_chart_rule(&c, k, low, k, high, k == low ? "axis" : "grid");
		frcnn_chart_rule(&c, low, k, high, k, k == low ? "axis" : "grid");
		frcnn_chart_text(&c, k, low, 0, 16, "middle", NULL, text);
		frcnn_chart_text(&c, low, k, -6, 4, "end", NULL, text);
	}
	frcnn_chart_axes(&c, 0, 0, "width", "height");
	put_boxes(r, &c);
	put_marks(&c, &r->config, "s2");
	if (r->has_fit)
		put_marks(&c, &r->fit.config, "s1");
	frcnn_chart_end(&c);
	P("<ul class=\"key\">");
	put_legend(out, "s5", true, "objects");
	put_legend(out, "s2", true, "anchors");
	if (r->has_fit)
		put_legend(out, "s1", true, "fitted anchors");
	P("</ul></figure>");
	put_shapes(r, out);
	P("</div></section>\n");
}

/* ---- recall ---------------------------------------------------------------------------------- */

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return x < y ? -1 : x > y;
}

/* Share of ascending values that are at least x. */
static double share_from(const float *sorted, size_t count, float x)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sorted[middle] < x)
			low = middle + 1;
		else
			high = middle;
	}
	return count ? (double)(count - low) / (double)count : 0;
}

static void put_curve(const struct frcnn_chart *c, const float *sorted, size_t count, const char *style)
{
	double x[CURVE], y[CURVE];

	for (int i = 0; i < CURVE; i++) {
		x[i] = i * 0.01;
		y[i] = share_from(sorted, count, (float)x[i]);
	}
	frcnn_chart_line(c, x, y, CURVE, style);
}

static struct frcnn_chart recall_chart(struct frcnn_buffer *out)
{
	return (struct frcnn_chart){.out = out,
				    .width = 460,
				    .height = 330,
				    .left = 52,
				    .top = 10,
				    .right = 14,
				    .bottom = 46,
				    .x_low = 0,
				    .x_high = 1,
				    .y_low = 0,
				    .y_high = 1,
				    .style = "chart"};
}

/* Of the boxes of an area range, ascending; returns how many. */
static size_t pick(const struct frcnn_anchor_boxes *boxes, const float *values, int area, float *scratch)
{
	size_t n = 0;

	for (size_t i = 0; i < boxes->nboxes; i++)
		if (frcnn_anchor_in_area(boxes->areas[i], area))
			scratch[n++] = values[i];
	qsort(scratch, n, sizeof *scratch, compare_floats);
	return n;
}

static void put_recall(const struct frcnn_anchor_report *r, float *scratch, struct frcnn_buffer *out)
{
	static const char *const styles[] = {"s1", "s2", "s3", "s4"};
	struct frcnn_chart c = recall_chart(out);

	P("<section id=\"recall\"><h2>Recall</h2><p class=\"note\">Share of objects whose best anchor overlaps them by "
	  "at "
	  "least that much.</p><div class=\"two\"><figure><h3>Best possible recall by size</h3>");
	frcnn_chart_begin(&c, "Best possible recall against IoU, by size of the object");
	frcnn_chart_axes(&c, 5, 5, "IoU", "recall");
	for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++)
		if (r->summaries[a].objects > 0)
			put_curve(&c, scratch, pick(&r->boxes, r->stats.best, a, scratch), styles[a]);
	frcnn_chart_end(&c);
	P("<ul class=\"key\">");
	for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++)
		if (r->summaries[a].objects > 0)
			put_legend(out, styles[a], false, frcnn_anchor_area_names[a]);
	P("</ul></figure>");
	if (r->has_fit) {
		P("<figure><h3>Held-out images, before and after fitting</h3>");
		frcnn_chart_begin(&c, "Best possible recall on held-out images with given and fitted anchors");
		frcnn_chart_axes(&c, 5, 5, "IoU", "recall");
		put_curve(&c, r->fit.best_before, r->fit.held_boxes, "s2");
		put_curve(&c, r->fit.best_after, r->fit.held_boxes, "s1");
		frcnn_chart_end(&c);
		P("<ul class=\"key\">");
		put_legend(out, "s2", false, "given anchors");
		put_legend(out, "s1", false, "fitted anchors");
		P("</ul></figure>");
	}
	if (r->has_proposals) {
		P("<figure><h3>Proposals</h3>");
		frcnn_chart_begin(&c, "Recall of proposals against IoU");
		frcnn_chart_axes(&c, 5, 5, "IoU", "recall");
		for (int t = 0; t < FRCNN_ANCHOR_TOPS; t++)
			put_curve(&c, scratch, pick(&r->boxes, r->proposals.reached[t], 0, scratch), styles[t]);
		frcnn_chart_end(&c);
		P("<ul class=\"key\">");
		for (int t = 0; t < FRCNN_ANCHOR_TOPS; t++) {
			char text[32];

			snprintf(text, sizeof text, "the first %d", frcnn_anchor_tops[t]);
			put_legend(out, styles[t], false, text);
		}
		P("</ul></figure>");
	}
	P("</div></section>\n");
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void put_cell(struct frcnn_buffer *out, double value, int decimals)
{
	if (value < 0)
		P("<td class=\"na\">-</td>");
	else
		P("<td>%.*f</td>", decimals, value);
}

static void put_fit(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	const struct frcnn_anchor_fit *fit = &r->fit;
	const struct frcnn_anchor_summary *sides[] = {&fit->before, &fit->after, &fit->seen_before, &fit->seen_after};
	static const char *const names[] = {"held out, given anchors", "held out, fitted", "seen, given anchors",
					    "seen, fitted"};

	P("<section id=\"fit\"><h2>Fit</h2><p class=\"note\">Fitted for %s on %zu images; %zu images were held "
	  "out.</p>",
	  frcnn_anchor_objective_names[fit->options.objective], fit->images, fit->held_images);
	P("<div class=\"scroll\"><table><thead><tr><th>anchors</th><th>objects</th><th>mean IoU</th><th>recall at "
	  "0.3</th>"
	  "<th>at 0.5</th><th>at 0.7</th><th>has a positive</th></tr></thead><tbody>");
	for (size_t i = 0; i < FRCNN_COUNT(sides); i++) {
		P("<tr><th>%s</th><td>%zu</td>", names[i], sides[i]->objects);
		put_cell(out, sides[i]->mean, 3);
		for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
			put_cell(out, sides[i]->recall[t], 4);
		put_cell(out, sides[i]->matched, 4);
		P("</tr>");
	}
	P("</tbody></table></div>");
	P("<p class=\"%s\">%s Held-out gain %+.4f, 95%% interval %+.4f to %+.4f.</p>",
	  fit->keep_default ? "alert" : "sub",
	  fit->keep_default ? "Keep the default: the interval includes no gain." : "The gain holds on held-out images.",
	  fit->gain, fit->low, fit->high);
	P("</section>\n");
}

static void put_proposals(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	static const double ious[] = {0.5, 0.7, -1};

	P("<section id=\"proposals\"><h2>Proposals</h2><p class=\"note\">Share of objects that the first so many "
	  "proposals of an image reach, one to one. %zu proposals in records of %zu images",
	  r->proposals.count, r->proposals.images);
	if (r->proposals.absent > 0)
		P("; %zu images have none", r->proposals.absent);
	P(".</p><div class=\"scroll\"><table><thead><tr><th>first</th><th>objects</th><th>recall at "
	  "0.5</th><th>at 0.7</th><th>0.5:0.95</th></tr></thead><tbody>");
	for (int top = 0; top < FRCNN_ANCHOR_TOPS; top++) {
		for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++) {
			P("<tr><th>%d, %s</th><td>%zu</td>", frcnn_anchor_tops[top], frcnn_anchor_area_names[a],
			  r->summaries[a].objects);
			for (size_t t = 0; t < FRCNN_COUNT(ious); t++)
				put_cell(out, frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, ious[t]),
					 4);
			P("</tr>");
		}
	}
	P("</tbody></table></div></section>\n");
}

static void put_assignment(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	P("<section id=\"assignment\"><h2>Assignment</h2><p class=\"note\">Anchors as torchvision's RPN labels them "
	  "for "
	  "training: positive from IoU 0.7 on or where no anchor overlaps an object more, negative below 0.3, ignored "
	  "between.</p><div "
	  "class=\"scroll\"><table><thead><tr><th>level</th><th>size</th><th>ratio</th><th>anchors</th>"
	  "<th>positive</th><th>negative</th><th>ignored</th><th>best for</th><th>mean IoU</th><th>median</th>"
	  "<th>alone at 0.5</th><th>at 0.7</th></tr></thead><tbody>");
	for (int k = 0; k < r->stats.nkinds; k++) {
		const struct frcnn_anchor_kind *kind = &r->stats.kinds[k];

		P("<tr><td>%d</td><td>%g</td><td>%g</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%zu</"
		  "td>",
		  kind->level, kind->size, kind->ratio, (long long)kind->anchors, (long long)kind->positive,
		  (long long)kind->negative, (long long)kind->ignored, kind->best);
		put_cell(out, kind->mean, 3);
		put_cell(out, kind->median, 3);
		put_cell(out, kind->recall[1], 4);
		put_cell(out, kind->recall[2], 4);
		P("</tr>");
	}
	P("<tr "
	  "class=\"all\"><td>all</td><td></td><td></td><td>%lld</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%zu</"
	  "td>",
	  (long long)r->stats.anchors, (long long)r->stats.positive, (long long)r->stats.negative,
	  (long long)r->stats.ignored, r->boxes.nboxes);
	put_cell(out, r->summaries[0].mean, 3);
	put_cell(out, r->summaries[0].median, 3);
	put_cell(out, r->summaries[0].recall[1], 4);
	put_cell(out, r->summaries[0].recall[2], 4);
	P("</tr></tbody></table></div></section>\n");
}

static void put_objects(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	static const char *const rows[FRCNN_ANCHOR_MEASURES] = {
	    "width", "height", "area", "height / width", "width, resized", "height, resized",
	};

	P("<section id=\"objects\"><h2>Objects</h2><div class=\"scroll\"><table><thead><tr><th>measure"
	  "</th><th>least</th><th>5%%</th><th>25%%</th><th>median</th><th>75%%</th><th>95%%</th><th>most</th></tr>"
	  "</thead><tbody>");
	for (int m = 0; m < FRCNN_ANCHOR_MEASURES; m++) {
		P("<tr><th>%s</th>", rows[m]);
		for (int q = 0; q < FRCNN_ANCHOR_QUANTILES; q++)
			put_cell(out, r->distribution[m][q], m == FRCNN_ANCHOR_ASPECT ? 3 : 1);
		P("</tr>");
	}
	P("</tbody></table></div><dl class=\"facts\">");
	for (int c = 0; c < FRCNN_ANCHOR_CHECKS; c++) {
		static const char *const what[FRCNN_ANCHOR_CHECKS] = {
		    "images without a size", "boxes without area", "boxes outside of the image", "boxes partly outside",
		    "boxes twice",           "crowds, difficult",  "images without objects",
		};
		P("<dt>%s</dt><dd>%zu</dd>", what[c], r->boxes.findings[c].count);
	}
	for (int t = 0; t < 2; t++)
		if (r->smallest[t][0] > 0 && r->scale > 0)
			P("<dt>smallest square at IoU %s</dt><dd>%.1f px at best, %.1f px wherever it lies (in the "
			  "images: "
			  "%.1f, %.1f)</dd>",
			  t ? "0.7" : "0.5", r->smallest[t][0], fmax(r->smallest[t][1], 0),
			  r->smallest[t][0] / r->scale, fmax(r->smallest[t][1], 0) / r->scale);
	for (int i = 0; i < r->config.nroi_levels; i++)
		P("<dt>objects pooled from level %d (stride %g)</dt><dd>%zu</dd>", i,
		  1 / (double)r->config.roi_scales[i], r->roi_levels[i]);
	P("</dl></section>\n");
}

static void put_unreachable(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	P("<section id=\"unreachable\"><h2>Objects that no anchor reaches</h2><p class=\"note\">%zu of %zu have no "
	  "anchor at "
	  "IoU %g%s.</p>",
	  r->nunreachable, r->boxes.nboxes, r->reach,
	  r->nunreachable > MOST_NAMED ? "; the worst are listed, JSON has all" : "");
	if (r->nunreachable > 0)
		P("<div class=\"scroll\"><table><thead><tr><th>image</th><th>id</th><th>width</th><th>height</th>"
		  "<th>best IoU</th></tr></thead><tbody>");
	for (size_t i = 0; i < r->nunreachable && i < MOST_NAMED; i++) {
		size_t box = r->unreachable[i], annotation = r->boxes.annotations[box];
		const struct frcnn_ground_truth *truth = r->boxes.truth;
		const float *b = r->boxes.original + 4 * box;
		size_t image = truth->annotation_images[annotation];

		P("<tr><th>");
		if (truth->file_names[image])
			frcnn_page_text(out, truth->file_names[image], 80);
		else
			P("%lld", (long long)truth->image_ids[image]);
		P("</th><td>%lld</td><td>%.1f</td><td>%.1f</td><td>%.3f</td></tr>",
		  (long long)truth->annotation_ids[annotation], b[2] - b[0], b[3] - b[1], r->stats.best[box]);
	}
	if (r->nunreachable > 0)
		P("</tbody></table></div>");
	P("</section>\n");
}

static void put_forms(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	bool fitted = r->has_fit && !r->fit.keep_default;
	const struct frcnn_anchor_config *c = fitted ? &r->fit.config : &r->config;
	struct frcnn_buffer yaml = {0};

	frcnn_anchor_put_detectron2(c, &yaml);
	P("<section id=\"forms\"><h2>To paste</h2><p class=\"note\">%s</p><h3>frcnn</h3><div class=\"scroll\"><code>"
	  "--anchors &quot;",
	  fitted ? "The fitted anchors." : "The given anchors.");
	frcnn_anchor_put_option(c, out);
	P("&quot;</code></div><h3>torchvision</h3><div class=\"scroll\"><code>");
	frcnn_anchor_put_torchvision(c, out);
	P("</code></div><h3>detectron2</h3><div class=\"scroll\"><pre><code>");
	frcnn_buffer_add(out, yaml.data ? yaml.data : "", yaml.size);
	P("</code></pre></div></section>\n");
	out->failed |= yaml.failed;
	frcnn_buffer_free(&yaml);
}

int frcnn_anchor_report_html(const struct frcnn_anchor_report *r, struct frcnn_buffer *out, struct frcnn_error *err)
{
	float *scratch = frcnn_calloc(r->boxes.nboxes, sizeof *scratch);

	if (!scratch)
		return frcnn_fail_nomem(err);
	frcnn_page_begin(out, "frcnn-anchors");
	put_head(r, out);
	put_scatter(r, out);
	put_recall(r, scratch, out);
	if (r->has_fit)
		put_fit(r, out);
	if (r->has_proposals)
		put_proposals(r, out);
	put_assignment(r, out);
	put_objects(r, out);
	put_unreachable(r, out);
	put_forms(r, out);
	frcnn_page_end(out);
	free(scratch);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
