/* What follows from the assignment, gathered for whoever shows it. */
#include "anchors/anchors.h"

#include <math.h>
#include <stdlib.h>

const double frcnn_anchor_quantiles[FRCNN_ANCHOR_QUANTILES] = {0, 0.05, 0.25, 0.5, 0.75, 0.95, 1};
const char *const frcnn_anchor_measure_names[FRCNN_ANCHOR_MEASURES] = {
    "width", "height", "area", "aspect", "network_width", "network_height",
};

static double measure(const struct frcnn_anchor_boxes *boxes, size_t i, enum frcnn_anchor_measure what)
{
	const float *own = boxes->original + 4 * i, *net = boxes->network + 4 * i;
	double width = (double)own[2] - own[0], height = (double)own[3] - own[1];

	switch (what) {
	case FRCNN_ANCHOR_WIDTH:
		return width;
	case FRCNN_ANCHOR_HEIGHT:
		return height;
	case FRCNN_ANCHOR_AREA:
		return width * height;
	case FRCNN_ANCHOR_ASPECT:
		return height / width;
	case FRCNN_ANCHOR_NETWORK_WIDTH:
		return (double)net[2] - net[0];
	default:
		return (double)net[3] - net[1];
	}
}

static int compare_reach(const void *a, const void *b, void *context)
{
	const float *best = context;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;

	if (best[i] != best[j])
		return best[i] < best[j] ? -1 : 1;
	return i < j ? -1 : i > j;
}

static int find_unreachable(struct frcnn_anchor_report *report, struct frcnn_error *err)
{
	report->unreachable = frcnn_calloc(report->boxes.nboxes, sizeof *report->unreachable);
	if (!report->unreachable)
		return frcnn_fail_nomem(err);
	for (size_t i = 0; i < report->boxes.nboxes; i++)
		if (report->stats.best[i] < (float)report->reach)
			report->unreachable[report->nunreachable++] = i;
	if (report->nunreachable > 0)
		qsort_r(report->unreachable, report->nunreachable, sizeof *report->unreachable, compare_reach,
			report->stats.best);
	return 0;
}

static void count_levels(struct frcnn_anchor_report *report)
{
	const struct frcnn_anchor_config *config = &report->config;

	for (size_t i = 0; i < report->boxes.nboxes; i++) {
		uint8_t level;

		frcnn_roi_levels(report->boxes.network + 4 * i, 1, config->roi_scales, config->nroi_levels, &level);
		report->roi_levels[level]++;
	}
}

int frcnn_anchor_report_fill(struct frcnn_anchor_report *report, struct frcnn_error *err)
{
	const struct frcnn_anchor_boxes *boxes = &report->boxes;
	size_t most = boxes->nboxes > boxes->nimages ? boxes->nboxes : boxes->nimages;
	double *values = frcnn_calloc(most, sizeof *values);
	int status = values ? 0 : frcnn_fail_nomem(err);

	for (int a = 0; a < FRCNN_ANCHOR_AREAS && status == 0; a++)
		status = frcnn_anchors_summarize(boxes, &report->stats, a, &report->summaries[a], err);
	if (status == 0)
		status = find_unreachable(report, err);
	if (status < 0)
		goto out;
	for (int m = 0; m < FRCNN_ANCHOR_MEASURES; m++) {
		for (size_t i = 0; i < boxes->nboxes; i++)
			values[i] = measure(boxes, i, (enum frcnn_anchor_measure)m);
		frcnn_anchor_sort(values, boxes->nboxes);
		for (int q = 0; q < FRCNN_ANCHOR_QUANTILES; q++)
			report->distribution[m][q] =
			    frcnn_anchor_quantile(values, boxes->nboxes, frcnn_anchor_quantiles[q]);
	}
	for (size_t i = 0; i < boxes->nimages; i++) {
		const struct frcnn_anchor_image *image = &boxes->images[i];

		values[i] = (double)image->size.width / image->width;
	}
	frcnn_anchor_sort(values, boxes->nimages);
	report->scale = frcnn_anchor_quantile(values, boxes->nimages, 0.5);
	count_levels(report);
	for (int t = 0; t < 2; t++)
		for (int where = 0; where < 2; where++)
			report->smallest[t][where] = frcnn_anchor_smallest(&report->config, t ? 0.7 : 0.5, where == 1);
out:
	free(values);
	return status;
}

void frcnn_anchor_report_free(struct frcnn_anchor_report *report)
{
	if (!report)
		return;
	frcnn_anchor_boxes_free(&report->boxes);
	frcnn_anchor_stats_free(&report->stats);
	frcnn_anchor_proposals_free(&report->proposals);
	frcnn_anchor_fit_free(&report->fit);
	free(report->unreachable);
	memset(report, 0, sizeof *report);
}

void frcnn_anchor_put_image(const struct frcnn_ground_truth *truth, size_t image, struct frcnn_buffer *out)
{
	const char *name = truth->file_names[image];

	if (name)
		frcnn_printable(out, name, strlen(name));
	else
		frcnn_buffer_printf(out, "%lld", (long long)truth->image_ids[image]);
}
