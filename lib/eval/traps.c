/* Ground truth whose ids pycocotools takes otherwise than its file means. */
#include "eval/validate.h"

static int compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* How many annotations have an id that another one has, and the first such id. */
static int count_duplicates(const struct frcnn_ground_truth *g, size_t *count, int64_t *first, struct frcnn_error *err)
{
	size_t n = g->nannotations;
	int64_t *ids = frcnn_calloc(n, sizeof *ids);

	*count = 0;
	if (!ids)
		return frcnn_fail_nomem(err);
	if (n > 0) {
		memcpy(ids, g->annotation_ids, n * sizeof *ids);
		qsort(ids, n, sizeof *ids, compare_ids);
	}
	for (size_t i = 1; i < n; i++) {
		if (ids[i] != ids[i - 1])
			continue;
		if ((*count)++ == 0)
			*first = ids[i];
	}
	free(ids);
	return 0;
}

static int pycocotools_ap(const struct frcnn_ground_truth *g, const struct frcnn_eval_detections *detections,
			  const struct frcnn_eval_options *options, struct frcnn_pool *pool, double *ap,
			  struct frcnn_error *err)
{
	struct frcnn_eval_options o = *options;
	struct frcnn_eval_cells cells = {0};
	struct frcnn_eval_truth truth = {0};
	double stats[12];
	int status = frcnn_eval_truth_make(g, true, &truth, err);

	o.pycocotools = true;
	if (status == 0)
		status = frcnn_eval_coco(&truth, detections, &o, pool, &cells, err);
	if (status == 0) {
		frcnn_eval_stats(&cells, &o, stats);
		*ap = stats[0];
	}
	frcnn_eval_cells_free(&cells);
	frcnn_eval_truth_free(&truth);
	return status;
}

int frcnn_eval_traps(const struct frcnn_ground_truth *g, const char *truth_name,
		     const struct frcnn_eval_detections *detections, const char *name,
		     const struct frcnn_eval_options *options, double ap, struct frcnn_pool *pool, char *line,
		     size_t size, struct frcnn_error *err)
{
	size_t zeros = 0, duplicates;
	int64_t duplicate = 0;
	char what[256], there[33], here[33];
	double theirs = -1;
	int status;

	for (size_t i = 0; i < g->nannotations; i++)
		zeros += g->annotation_ids[i] == 0;
	status = count_duplicates(g, &duplicates, &duplicate, err);
	if (status < 0 || (zeros == 0 && duplicates == 0))
		return status;
	snprintf(what, sizeof what, "%s%s", zeros > 0 ? "annotation id 0, whose match pycocotools counts as false" : "",
		 zeros > 0 && duplicates > 0 ? "; " : "");
	if (duplicates > 0)
		snprintf(
		    what + strlen(what), sizeof what - strlen(what),
		    "%zu annotation ids that were there before (%lld is the first), of which pycocotools keeps the "
		    "last alone",
		    duplicates, (long long)duplicate);
	if (detections->count > FRCNN_EVAL_TRAPS_LIMIT) {
		snprintf(line, size, "%s: %s; --pycocotools gives its numbers", truth_name, what);
		return 1;
	}
	status = pycocotools_ap(g, detections, options, pool, &theirs, err);
	if (status < 0)
		return status;
	there[frcnn_format_double(theirs, there)] = '\0';
	here[frcnn_format_double(ap, here)] = '\0';
	snprintf(line, size, "%s: %s: AP of %s is %s, there %s (--pycocotools)", truth_name, what, name, here, there);
	return 1;
}
