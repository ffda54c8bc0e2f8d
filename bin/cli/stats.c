/* Percentiles of measured times. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

int frcnn_samples_add(struct frcnn_samples *samples, double value)
{
	void *values = samples->values;
	int status = frcnn_grow(&values, &samples->capacity, samples->count + 1, sizeof *samples->values);

	samples->values = values;
	if (status < 0)
		return status;
	samples->values[samples->count++] = value;
	samples->sorted = false;
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double frcnn_samples_percentile(struct frcnn_samples *samples, double percent)
{
	size_t rank;

	if (samples->count == 0)
		return NAN;
	if (!samples->sorted)
		qsort(samples->values, samples->count, sizeof *samples->values, compare);
	samples->sorted = true;
	rank = (size_t)ceil(percent / 100 * (double)samples->count);
	return samples->values[rank > 0 ? rank - 1 : 0];
}

double frcnn_samples_mean(const struct frcnn_samples *samples)
{
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++)
		sum += samples->values[i];
	return samples->count > 0 ? sum / (double)samples->count : NAN;
}

void frcnn_samples_free(struct frcnn_samples *samples)
{
	if (!samples)
		return;
	free(samples->values);
	memset(samples, 0, sizeof *samples);
}
