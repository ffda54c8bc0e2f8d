/* The report as aligned tables. */
#include "anchors/anchors.h"
#include "render/render.h"

enum { NAMED = 10 }; /* so many of a list; JSON has them all */

static void flush(struct frcnn_table *table, struct frcnn_buffer *out)
{
	frcnn_table_text(table, out);
	frcnn_table_clear(table);
	frcnn_buffer_putc(out, '\n');
}

static void heads(struct frcnn_table *table, const char *const *names, size_t count)
{
	table->columns = count;
	for (size_t i = 0; i < count; i++)
		frcnn_table_put(table, names[i]);
}

static void put_share(struct frcnn_table *table, double share)
{
	if (share < 0)
		frcnn_table_put(table, "-");
	else
		frcnn_table_printf(table, "%.4f", share);
}

static void put_recalls(struct frcnn_table *table, const double *recall)
{
	for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
		put_share(table, recall[t]);
}

static void put_head(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	const struct frcnn_anchor_config *c = &r->config;
	bool shared = frcnn_anchor_ratios_shared(c);

	frcnn_buffer_printf(out, "%zu images, %zu objects; resized to %d, at most %d\n", r->boxes.nimages,
			    r->boxes.nboxes, c->min_size, c->max_size);
	frcnn_buffer_puts(out, r->model ? "anchors of " : "anchors ");
	if (r->model)
		frcnn_buffer_printf(out, "%s: ", r->model);
	frcnn_anchor_put_option(c, out);
	frcnn_buffer_printf(out, "%s\n\n", shared ? "" : " (ratios differ between levels)");
}

static void put_checks(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	static const char *const what[FRCNN_ANCHOR_CHECKS] = {
	    "images without a size (or resized to nothing): left out",
	    "boxes without area: left out",
	    "boxes outside of their image: left out",
	    "boxes partly outside: clipped",
	    "boxes that another one equals: kept",
	    "crowds and difficult objects: left out",
	    "images without objects: all anchors negative",
	};
	bool any = false;

	for (int c = 0; c < FRCNN_ANCHOR_CHECKS; c++) {
		const struct frcnn_anchor_findings *found = &r->boxes.findings[c];

		if (found->count == 0)
			continue;
		if (!any)
			frcnn_buffer_puts(out, "Checks\n");
		any = true;
		frcnn_buffer_printf(out, " %zu %s\n", found->count, what[c]);
		if (c == FRCNN_ANCHOR_EMPTY || c == FRCNN_ANCHOR_CROWD)
			continue;
		for (size_t i = 0; i < found->count && i < NAMED; i++) {
			const struct frcnn_anchor_finding *f = &found->items[i];

			frcnn_buffer_puts(out, "   image ");
			frcnn_anchor_put_image(r->boxes.truth, f->image, out);
			if (f->annotation != SIZE_MAX)
				frcnn_buffer_printf(out, ", id %lld",
						    (long long)r->boxes.truth->annotation_ids[f->annotation]);
			frcnn_buffer_putc(out, '\n');
		}
		if (found->count > NAMED)
			frcnn_buffer_printf(out, "   and %zu more\n", found->count - NAMED);
	}
	if (any)
		frcnn_buffer_putc(out, '\n');
}

static void put_distribution(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"objects", "least", "5%", "25%", "median", "75%", "95%", "most"};
	static const char *const rows[FRCNN_ANCHOR_MEASURES] = {
	    "width", "height", "area", "height / width", "width, resized", "height, resized",
	};

	heads(table, names, FRCNN_COUNT(names));
	for (int m = 0; m < FRCNN_ANCHOR_MEASURES; m++) {
		frcnn_table_put(table, rows[m]);
		for (int q = 0; q < FRCNN_ANCHOR_QUANTILES; q++) {
			double value = r->distribution[m][q];

			if (value < 0)
				frcnn_table_put(table, "-");
			else
				frcnn_table_printf(table, m == FRCNN_ANCHOR_ASPECT ? "%.3f" : "%.1f", value);
		}
	}
	flush(table, out);
}

static void put_assignment(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"level",        "size",    "ratio",    "anchors",  "positive",
					    "negative",     "ignored", "best for", "mean IoU", "median",
					    "alone at 0.3", "at 0.5",  "at 0.7"};

	heads(table, names, FRCNN_COUNT(names));
	for (int k = 0; k < r->stats.nkinds; k++) {
		const struct frcnn_anchor_kind *kind = &r->stats.kinds[k];

		frcnn_table_printf(table, "%d", kind->level);
		frcnn_table_printf(table, "%g", kind->size);
		frcnn_table_printf(table, "%g", kind->ratio);
		frcnn_table_printf(table, "%lld", (long long)kind->anchors);
		frcnn_table_printf(table, "%lld", (long long)kind->positive);
		frcnn_table_printf(table, "%lld", (long long)kind->negative);
		frcnn_table_printf(table, "%lld", (long long)kind->ignored);
		frcnn_table_printf(table, "%zu", kind->best);
		frcnn_table_value(table, kind->mean);
		frcnn_table_value(table, kind->median);
		put_recalls(table, kind->recall);
	}
	frcnn_table_put(table, "all");
	frcnn_table_put(table, "");
	frcnn_table_put(table, "");
	frcnn_table_printf(table, "%lld", (long long)r->stats.anchors);
	frcnn_table_printf(table, "%lld", (long long)r->stats.positive);
	frcnn_table_printf(table, "%lld", (long long)r->stats.negative);
	frcnn_table_printf(table, "%lld", (long long)r->stats.ignored);
	frcnn_table_printf(table, "%zu", r->boxes.nboxes);
	frcnn_table_value(table, r->summaries[0].mean);
	frcnn_table_value(table, r->summaries[0].median);
	put_recalls(table, r->summaries[0].recall);
	flush(table, out);
	if (r->stats.forced > 0)
		frcnn_buffer_printf(out,
				    "%zu images hold an object that overlaps no anchor at all: torchvision then takes "
				    "every anchor of the image as positive\n\n",
				    r->stats.forced);
}

static void put_reach(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"best anchor",   "objects", "mean IoU", "median",
					    "recall at 0.3", "at 0.5",  "at 0.7",   "has a positive"};

	heads(table, names, FRCNN_COUNT(names));
	for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++) {
		const struct frcnn_anchor_summary *s = &r->summaries[a];

		frcnn_table_put(table, frcnn_anchor_area_names[a]);
		frcnn_table_printf(table, "%zu", s->objects);
		frcnn_table_value(table, s->mean);
		frcnn_table_value(table, s->median);
		put_recalls(table, s->recall);
		put_share(table, s->matched);
	}
	flush(table, out);
}

static void put_smallest(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	for (int t = 0; t < 2; t++) {
		const double *side = r->smallest[t];

		if (side[0] < 0)
			continue;
		frcnn_buffer_printf(out, "smallest square at IoU %s: %.1f px at best", t ? "0.7" : "0.5", side[0]);
		if (side[1] >= 0)
			frcnn_buffer_printf(out, ", %.1f px wherever it lies", side[1]);
		if (r->scale > 0) {
			frcnn_buffer_printf(out, " (in the images: %.1f", side[0] / r->scale);
			if (side[1] >= 0)
				frcnn_buffer_printf(out, ", %.1f", side[1] / r->scale);
			frcnn_buffer_putc(out, ')');
		}
		frcnn_buffer_putc(out, '\n');
	}
	frcnn_buffer_putc(out, '\n');
}

static void put_levels(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"RoIs of level", "stride", "objects", "proposals"};

	heads(table, names, r->has_proposals ? 4 : 3);
	for (int i = 0; i < r->config.nroi_levels; i++) {
		frcnn_table_printf(table, "%d", i);
		frcnn_table_printf(table, "%g", 1 / (double)r->config.roi_scales[i]);
		frcnn_table_printf(table, "%zu", r->roi_levels[i]);
		if (r->has_proposals)
			frcnn_table_printf(table, "%zu", r->proposals.levels[i]);
	}
	flush(table, out);
}

static void put_unreachable(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	frcnn_buffer_printf(out, "%zu of %zu objects have no anchor at IoU %g\n", r->nunreachable, r->boxes.nboxes,
			    r->reach);
	for (size_t i = 0; i < r->nunreachable && i < NAMED; i++) {
		size_t box = r->unreachable[i], annotation = r->boxes.annotations[box];
		const float *b = r->boxes.original + 4 * box;

		frcnn_buffer_puts(out, "   image ");
		frcnn_anchor_put_image(r->boxes.truth, r->boxes.truth->annotation_images[annotation], out);
		frcnn_buffer_printf(out, ", id %lld: %.1f x %.1f, IoU %.3f\n",
				    (long long)r->boxes.truth->annotation_ids[annotation], b[2] - b[0], b[3] - b[1],
				    r->stats.best[box]);
	}
	if (r->nunreachable > NAMED)
		frcnn_buffer_printf(out, "   and %zu more\n", r->nunreachable - NAMED);
	frcnn_buffer_putc(out, '\n');
}

static void put_proposals(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"proposals", "objects", "recall at 0.5", "at 0.7", "0.5:0.95"};

	frcnn_buffer_printf(out, "%zu proposals in records of %zu images", r->proposals.count, r->proposals.images);
	if (r->proposals.absent > 0)
		frcnn_buffer_printf(out, "; %zu images have none", r->proposals.absent);
	frcnn_buffer_putc(out, '\n');
	heads(table, names, FRCNN_COUNT(names));
	for (int top = 0; top < FRCNN_ANCHOR_TOPS; top++) {
		for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++) {
			frcnn_table_printf(table, "%d, %s", frcnn_anchor_tops[top], frcnn_anchor_area_names[a]);
			frcnn_table_printf(table, "%zu", r->summaries[a].objects);
			put_share(table, frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, 0.5));
			put_share(table, frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, 0.7));
			put_share(table, frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, -1));
		}
	}
	flush(table, out);
}

static void put_side(struct frcnn_table *table, const char *name, const struct frcnn_anchor_summary *s)
{
	frcnn_table_put(table, name);
	frcnn_table_printf(table, "%zu", s->objects);
	frcnn_table_value(table, s->mean);
	put_recalls(table, s->recall);
	put_share(table, s->matched);
}

static void put_fit(const struct frcnn_anchor_report *r, struct frcnn_table *table, struct frcnn_buffer *out)
{
	static const char *const names[] = {"fit",    "objects", "mean IoU",      "recall at 0.3",
					    "at 0.5", "at 0.7",  "has a positive"};
	const struct frcnn_anchor_fit *fit = &r->fit;

	frcnn_buffer_printf(out, "fitted for %s on %zu images, %zu images held out: ",
			    frcnn_anchor_objective_names[fit->options.objective], fit->images, fit->held_images);
	frcnn_anchor_put_option(&fit->config, out);
	frcnn_buffer_putc(out, '\n');
	heads(table, names, FRCNN_COUNT(names));
	put_side(table, "held out, given anchors", &fit->before);
	put_side(table, "held out, fitted", &fit->after);
	put_side(table, "seen, given anchors", &fit->seen_before);
	put_side(table, "seen, fitted", &fit->seen_after);
	frcnn_table_text(table, out);
	frcnn_table_clear(table);
	frcnn_buffer_printf(out, "held-out gain in %s: %+.4f, 95%% interval %+.4f to %+.4f\n",
			    frcnn_anchor_objective_names[fit->options.objective], fit->gain, fit->low, fit->high);
	if (fit->keep_default)
		frcnn_buffer_puts(out, "keep the default: the interval includes no gain\n");
	frcnn_buffer_putc(out, '\n');
}

static void put_forms(const struct frcnn_anchor_report *r, struct frcnn_buffer *out)
{
	bool fitted = r->has_fit && !r->fit.keep_default;
	const struct frcnn_anchor_config *c = fitted ? &r->fit.config : &r->config;

	frcnn_buffer_puts(out, fitted ? "The fitted anchors, to paste\n" : "These anchors, to paste\n");
	frcnn_buffer_puts(out, "# frcnn\n--anchors \"");
	frcnn_anchor_put_option(c, out);
	frcnn_buffer_puts(out, "\"\n# torchvision\n");
	frcnn_anchor_put_torchvision(c, out);
	frcnn_buffer_puts(out, "\n# detectron2\n");
	frcnn_anchor_put_detectron2(c, out);
}

int frcnn_anchor_report_text(const struct frcnn_anchor_report *r, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_table table = {0};

	put_head(r, out);
	put_checks(r, out);
	put_distribution(r, &table, out);
	put_assignment(r, &table, out);
	put_reach(r, &table, out);
	put_smallest(r, out);
	put_levels(r, &table, out);
	put_unreachable(r, out);
	if (r->has_proposals)
		put_proposals(r, &table, out);
	if (r->has_fit)
		put_fit(r, &table, out);
	put_forms(r, out);
	frcnn_table_free(&table);
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
