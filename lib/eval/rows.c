/* Rows of columns in other orders: grouped, sorted by score. */
#include "eval/eval.h"

#include <math.h>

int frcnn_eval_group(const uint32_t *group, size_t count, size_t ngroups, struct frcnn_eval_groups *out)
{
	out->first = frcnn_calloc(ngroups + 2, sizeof *out->first);
	out->rows = frcnn_calloc(count, sizeof *out->rows);
	if (!out->first || !out->rows) {
		frcnn_eval_groups_free(out);
		return FRCNN_ENOMEM;
	}
	/* Counts stand two places on, so that filling the groups moves each start to where it belongs. */
	for (size_t i = 0; i < count; i++)
		out->first[group[i] + 2]++;
	for (size_t k = 0; k < ngroups; k++)
		out->first[k + 2] += out->first[k + 1];
	for (size_t i = 0; i < count; i++)
		out->rows[out->first[group[i] + 1]++] = (uint32_t)i;
	return 0;
}

void frcnn_eval_groups_free(struct frcnn_eval_groups *groups)
{
	if (!groups)
		return;
	free(groups->first);
	free(groups->rows);
	memset(groups, 0, sizeof *groups);
}

uint32_t *frcnn_eval_row_categories(const size_t *category_first, size_t ncategories, size_t count)
{
	uint32_t *category = frcnn_calloc(count, sizeof *category);

	for (size_t k = 0; category && k < ncategories; k++)
		for (size_t i = category_first[k]; i < category_first[k + 1]; i++)
			category[i] = (uint32_t)k;
	return category;
}

static int compare(const void *left, const void *right)
{
	const struct frcnn_eval_scored *a = left, *b = right;

	if (a->score > b->score)
		return -1;
	if (a->score < b->score)
		return 1;
	if (isnan(a->score) != isnan(b->score))
		return isnan(a->score) ? 1 : -1;
	if (a->tie != b->tie)
		return a->tie < b->tie ? -1 : 1;
	return a->row < b->row ? -1 : a->row > b->row;
}

void frcnn_eval_sort(struct frcnn_eval_scored *items, size_t count)
{
	if (count > 1)
		qsort(items, count, sizeof *items, compare);
}
