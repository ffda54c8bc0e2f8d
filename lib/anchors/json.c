/* The report as one JSON object; frcnn-anchors(1) lists its keys. */
#include "anchors/anchors.h"

static void put_text(struct frcnn_json_writer *w, const char *key, const char *text)
{
	frcnn_json_key(w, key);
	frcnn_json_put_string(w, text, strlen(text));
}

static void put_bytes(struct frcnn_json_writer *w, const char *key, const char *bytes)
{
	struct frcnn_buffer text = {0};

	frcnn_escape_bytes(&text, bytes, strlen(bytes));
	frcnn_json_key(w, key);
	frcnn_json_put_string(w, text.data ? text.data : "", text.size);
	w->out->failed |= text.failed;
	frcnn_buffer_free(&text);
}

static void put_int(struct frcnn_json_writer *w, const char *key, int64_t value)
{
	frcnn_json_key(w, key);
	frcnn_json_put_int64(w, value);
}

static void put_real(struct frcnn_json_writer *w, const char *key, double value)
{
	frcnn_json_key(w, key);
	frcnn_json_put_double(w, value);
}

static void put_made(struct frcnn_json_writer *w, const char *key,
		     void (*make)(const struct frcnn_anchor_config *, struct frcnn_buffer *),
		     const struct frcnn_anchor_config *config)
{
	struct frcnn_buffer text = {0};

	make(config, &text);
	frcnn_json_key(w, key);
	frcnn_json_put_string(w, text.data ? text.data : "", text.size);
	w->out->failed |= text.failed;
	frcnn_buffer_free(&text);
}

static void put_recalls(struct frcnn_json_writer *w, const char *key, const double *recall)
{
	frcnn_json_key(w, key);
	frcnn_json_begin_object(w);
	for (int t = 0; t < FRCNN_ANCHOR_IOUS; t++)
		put_real(w, frcnn_anchor_iou_names[t], recall[t]);
	frcnn_json_end_object(w);
}

static void put_numbers(struct frcnn_json_writer *w, const float *values, int count)
{
	frcnn_json_begin_array(w);
	for (int i = 0; i < count; i++)
		frcnn_json_put_float(w, values[i]);
	frcnn_json_end_array(w);
}

static void put_config(struct frcnn_json_writer *w, const struct frcnn_anchor_config *c)
{
	frcnn_json_key(w, "sizes");
	frcnn_json_begin_array(w);
	for (int i = 0; i < c->nlevels; i++)
		put_numbers(w, c->levels[i].sizes, c->levels[i].nsizes);
	frcnn_json_end_array(w);
	frcnn_json_key(w, "ratios");
	frcnn_json_begin_array(w);
	for (int i = 0; i < c->nlevels; i++)
		put_numbers(w, c->levels[i].ratios, c->levels[i].nratios);
	frcnn_json_end_array(w);
	put_made(w, "option", frcnn_anchor_put_option, c);
	put_made(w, "torchvision", frcnn_anchor_put_torchvision, c);
	put_made(w, "detectron2", frcnn_anchor_put_detectron2, c);
}

static void put_which(struct frcnn_json_writer *w, const struct frcnn_ground_truth *truth, size_t image,
		      size_t annotation)
{
	if (truth->file_names[image])
		put_bytes(w, "image", truth->file_names[image]);
	put_int(w, "image_id", truth->image_ids[image]);
	if (annotation != SIZE_MAX)
		put_int(w, "id", truth->annotation_ids[annotation]);
}

static void put_checks(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	frcnn_json_key(w, "checks");
	frcnn_json_begin_object(w);
	for (int c = 0; c < FRCNN_ANCHOR_CHECKS; c++) {
		const struct frcnn_anchor_findings *found = &r->boxes.findings[c];

		frcnn_json_key(w, frcnn_anchor_check_names[c]);
		frcnn_json_begin_object(w);
		put_int(w, "count", (int64_t)found->count);
		frcnn_json_key(w, "items");
		frcnn_json_begin_array(w);
		for (size_t i = 0; i < found->count; i++) {
			frcnn_json_begin_object(w);
			put_which(w, r->boxes.truth, found->items[i].image, found->items[i].annotation);
			frcnn_json_end_object(w);
		}
		frcnn_json_end_array(w);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_object(w);
}

static void put_distribution(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	static const char *const names[FRCNN_ANCHOR_QUANTILES] = {"0", "5", "25", "50", "75", "95", "100"};

	frcnn_json_key(w, "distribution");
	frcnn_json_begin_object(w);
	for (int m = 0; m < FRCNN_ANCHOR_MEASURES; m++) {
		frcnn_json_key(w, frcnn_anchor_measure_names[m]);
		frcnn_json_begin_object(w);
		for (int q = 0; q < FRCNN_ANCHOR_QUANTILES; q++)
			put_real(w, names[q], r->distribution[m][q]);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_object(w);
}

static void put_summary(struct frcnn_json_writer *w, const char *key, const struct frcnn_anchor_summary *s)
{
	frcnn_json_key(w, key);
	frcnn_json_begin_object(w);
	put_int(w, "objects", (int64_t)s->objects);
	put_real(w, "mean_iou", s->mean);
	put_real(w, "median_iou", s->median);
	put_recalls(w, "recall", s->recall);
	put_real(w, "matched", s->matched);
	frcnn_json_end_object(w);
}

static void put_assignment(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	frcnn_json_key(w, "anchors");
	frcnn_json_begin_object(w);
	put_int(w, "positive", r->stats.positive);
	put_int(w, "negative", r->stats.negative);
	put_int(w, "ignored", r->stats.ignored);
	put_int(w, "total", r->stats.anchors);
	put_int(w, "forced_images", (int64_t)r->stats.forced);
	frcnn_json_end_object(w);
	frcnn_json_key(w, "levels");
	frcnn_json_begin_array(w);
	for (int k = 0; k < r->stats.nkinds; k++) {
		const struct frcnn_anchor_kind *kind = &r->stats.kinds[k];

		frcnn_json_begin_object(w);
		put_int(w, "level", kind->level);
		frcnn_json_key(w, "size");
		frcnn_json_put_float(w, kind->size);
		frcnn_json_key(w, "ratio");
		frcnn_json_put_float(w, kind->ratio);
		frcnn_json_key(w, "width");
		frcnn_json_put_float(w, kind->width);
		frcnn_json_key(w, "height");
		frcnn_json_put_float(w, kind->height);
		put_int(w, "anchors", kind->anchors);
		put_int(w, "positive", kind->positive);
		put_int(w, "negative", kind->negative);
		put_int(w, "ignored", kind->ignored);
		put_int(w, "best_for", (int64_t)kind->best);
		put_real(w, "mean_iou", kind->mean);
		put_real(w, "median_iou", kind->median);
		put_recalls(w, "recall_alone", kind->recall);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
}

static void put_smallest(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	frcnn_json_key(w, "smallest_object");
	frcnn_json_begin_object(w);
	for (int t = 0; t < 2; t++) {
		frcnn_json_key(w, t ? "0.7" : "0.5");
		frcnn_json_begin_object(w);
		put_real(w, "at_best", r->smallest[t][0]);
		put_real(w, "anywhere", r->smallest[t][1]);
		frcnn_json_end_object(w);
	}
	put_real(w, "scale", r->scale);
	frcnn_json_end_object(w);
}

static void put_counts(struct frcnn_json_writer *w, const char *key, const size_t *counts, int count)
{
	frcnn_json_key(w, key);
	frcnn_json_begin_array(w);
	for (int i = 0; i < count; i++)
		frcnn_json_put_int64(w, (int64_t)counts[i]);
	frcnn_json_end_array(w);
}

static void put_unreachable(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	frcnn_json_key(w, "unreachable");
	frcnn_json_begin_array(w);
	for (size_t i = 0; i < r->nunreachable; i++) {
		size_t box = r->unreachable[i], annotation = r->boxes.annotations[box];
		const float *b = r->boxes.original + 4 * box;

		frcnn_json_begin_object(w);
		put_which(w, r->boxes.truth, r->boxes.truth->annotation_images[annotation], annotation);
		frcnn_json_key(w, "size");
		put_numbers(w, (float[2]){b[2] - b[0], b[3] - b[1]}, 2);
		frcnn_json_key(w, "iou");
		frcnn_json_put_float(w, r->stats.best[box]);
		frcnn_json_end_object(w);
	}
	frcnn_json_end_array(w);
}

static void put_proposals(struct frcnn_json_writer *w, const struct frcnn_anchor_report *r)
{
	frcnn_json_key(w, "proposals");
	frcnn_json_begin_object(w);
	put_int(w, "count", (int64_t)r->proposals.count);
	put_int(w, "images", (int64_t)r->proposals.images);
	put_int(w, "images_without", (int64_t)r->proposals.absent);
	put_counts(w, "roi_levels", r->proposals.levels, r->config.nroi_levels);
	frcnn_json_key(w, "recall");
	frcnn_json_begin_object(w);
	for (int top = 0; top < FRCNN_ANCHOR_TOPS; top++) {
		char name[16];

		snprintf(name, sizeof name, "%d", frcnn_anchor_tops[top]);
		frcnn_json_key(w, name);
		frcnn_json_begin_object(w);
		for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++) {
			frcnn_json_key(w, frcnn_anchor_area_names[a]);
			frcnn_json_begin_object(w);
			put_real(w, "0.5", frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, 0.5));
			put_real(w, "0.7", frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, 0.7));
			put_real(w, "0.5:0.95", frcnn_anchor_proposals_recall(&r->boxes, &r->proposals, top, a, -1));
			frcnn_json_end_object(w);
		}
		frcnn_json_end_object(w);
	}
	frcnn_json_end_object(w);
	frcnn_json_end_object(w);
}

static void put_fit(struct frcnn_json_writer *w, const struct frcnn_anchor_fit *fit)
{
	frcnn_json_key(w, "fit");
	frcnn_json_begin_object(w);
	put_text(w, "objective", frcnn_anchor_objective_names[fit->options.objective]);
	put_int(w, "seed", (int64_t)fit->options.seed);
	put_config(w, &fit->config);
	put_real(w, "gain", fit->gain);
	frcnn_json_key(w, "interval");
	frcnn_json_begin_array(w);
	frcnn_json_put_double(w, fit->low);
	frcnn_json_put_double(w, fit->high);
	frcnn_json_end_array(w);
	frcnn_json_key(w, "keep_default");
	frcnn_json_put_bool(w, fit->keep_default);
	put_int(w, "images", (int64_t)fit->images);
	put_int(w, "held_out_images", (int64_t)fit->held_images);
	put_summary(w, "held_out_default", &fit->before);
	put_summary(w, "held_out_fitted", &fit->after);
	put_summary(w, "seen_default", &fit->seen_before);
	put_summary(w, "seen_fitted", &fit->seen_after);
	frcnn_json_end_object(w);
}

int frcnn_anchor_report_json(const struct frcnn_anchor_report *r, struct frcnn_buffer *out, struct frcnn_error *err)
{
	struct frcnn_json_writer writer = {.out = out}, *w = &writer;

	frcnn_json_begin_object(w);
	put_bytes(w, "ground_truth", r->truth_path);
	if (r->model)
		put_bytes(w, "model", r->model);
	frcnn_json_key(w, "config");
	frcnn_json_begin_object(w);
	put_config(w, &r->config);
	put_int(w, "min_size", r->config.min_size);
	put_int(w, "max_size", r->config.max_size);
	frcnn_json_end_object(w);
	put_int(w, "images", (int64_t)r->boxes.nimages);
	put_int(w, "objects", (int64_t)r->boxes.nboxes);
	put_int(w, "left_out", (int64_t)r->truth_errors);
	put_checks(w, r);
	put_distribution(w, r);
	put_assignment(w, r);
	put_recalls(w, "best_possible_recall", r->summaries[0].recall);
	frcnn_json_key(w, "by_size");
	frcnn_json_begin_object(w);
	for (int a = 0; a < FRCNN_ANCHOR_AREAS; a++)
		put_summary(w, frcnn_anchor_area_names[a], &r->summaries[a]);
	frcnn_json_end_object(w);
	put_smallest(w, r);
	put_counts(w, "roi_levels", r->roi_levels, r->config.nroi_levels);
	put_real(w, "reach", r->reach);
	put_unreachable(w, r);
	if (r->has_proposals)
		put_proposals(w, r);
	if (r->has_fit)
		put_fit(w, &r->fit);
	frcnn_json_end_object(w);
	frcnn_buffer_putc(out, '\n');
	return out->failed ? frcnn_fail_nomem(err) : 0;
}
