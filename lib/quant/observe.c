/* From what a tensor's values looked like to the range that its bytes span. */
#include "quant/quant.h"

#include <math.h>

#define BINS   FRCNN_QUANT_BINS
#define CUT    1e-4 /* the share that the percentile observer leaves out, of both ends together */
#define SHRINK 0.97 /* from one tried range to the next */
#define STEPS  100  /* 0.97^100 is a twentieth */

static const char *const names[] = {"best", "minmax", "percentile", "mse", "kl"};

const char *frcnn_quant_observer_name(enum frcnn_quant_observer observer)
{
	return names[observer];
}

int frcnn_quant_observer_parse(const char *name)
{
	for (size_t i = 0; i < FRCNN_COUNT(names); i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -1;
}

static double bin_width(const struct frcnn_quant_histogram *h)
{
	return (h->hi - h->lo) / BINS;
}

void frcnn_quant_histogram_add(struct frcnn_quant_histogram *h, float value, uint64_t weight)
{
	double width = bin_width(h);
	int at;

	if (value == 0) {
		h->zeros++;
		return;
	}
	at = frcnn_quant_bin(h->lo, width > 0 ? 1 / width : 0, value);
	h->count[at]++;
	h->weight[at] += weight;
}

double frcnn_quant_histogram_error(const struct frcnn_quant_histogram *h, struct frcnn_quant quant, double *signal)
{
	double width = bin_width(h), error = 0, sum = 0;

	for (int i = 0; i < BINS; i++) {
		if (!h->weight[i])
			continue;
		/* Two values stand for a bin, lest a grid of about its width hit all of its middles or none. */
		for (int k = 1; k < 4; k += 2) {
			double x = h->lo + (i + 0.25 * k) * width;
			double e = x - (double)frcnn_quant_value(quant, (float)x);

			error += 0.5 * (double)h->weight[i] * e * e;
			sum += 0.5 * (double)h->weight[i] * x * x;
		}
	}
	if (signal)
		*signal = sum;
	return error;
}

static struct frcnn_quant percentile(const struct frcnn_quant_histogram *h)
{
	double width = bin_width(h), lo = h->lo, hi = h->hi, total = (double)h->zeros, cut, seen = 0;
	int i;

	for (i = 0; i < BINS; i++)
		total += (double)h->count[i];
	cut = total * CUT * (lo < 0 && hi > 0 ? 0.5 : 1);
	for (i = BINS - 1; i >= 0 && hi > 0; i--) {
		seen += (double)h->count[i];
		hi = h->lo + (i + 1) * width;
		if (seen > cut)
			break;
	}
	seen = 0;
	for (i = 0; i < BINS && lo < 0; i++) {
		seen += (double)h->count[i];
		lo = h->lo + i * width;
		if (seen > cut)
			break;
	}
	return frcnn_quant_of_range(lo, hi);
}

/* Each end in turn, twice: the other's best is known by then. */
static struct frcnn_quant least_squares(const struct frcnn_quant_histogram *h)
{
	double ends[2] = {h->lo, h->hi}, best;
	struct frcnn_quant chosen = frcnn_quant_of_range(ends[0], ends[1]);

	best = frcnn_quant_histogram_error(h, chosen, NULL);
	for (int round = 0; round < 4; round++) {
		int end = 1 - round % 2;
		double tried[2] = {ends[0], ends[1]}, at = end ? h->hi : h->lo;

		if ((end ? h->hi : h->lo) == 0)
			continue;
		for (int i = 0; i <= STEPS; i++, at *= SHRINK) {
			struct frcnn_quant quant;
			double error;

			tried[end] = at;
			quant = frcnn_quant_of_range(tried[0], tried[1]);
			error = frcnn_quant_histogram_error(h, quant, NULL);
			if (error < best) {
				best = error;
				chosen = quant;
				ends[end] = at;
			}
		}
	}
	return chosen;
}

/* Relative entropy of the values, those outside moved to the range's ends, to what the codes tell of them: each code's
 * values spread evenly over those of its bins that hold any. */
static double divergence(const struct frcnn_quant_histogram *h, struct frcnn_quant quant)
{
	double width = bin_width(h), inside[256] = {0}, held[256] = {0}, total = 0, in_total = 0, sum = 0;
	double below = 0, above = 0;
	int code[BINS], first = -1, last = -1;

	for (int i = 0; i < BINS; i++) {
		double at = rint((h->lo + (i + 0.5) * width) / quant.scale) + quant.zero;

		code[i] = at < 0 ? -1 : at > 255 ? 256 : (int)at;
		total += (double)h->count[i];
		below += code[i] < 0 ? (double)h->count[i] : 0;
		above += code[i] > 255 ? (double)h->count[i] : 0;
		if (code[i] < 0 || code[i] > 255)
			continue;
		first = first < 0 ? i : first;
		last = i;
		inside[code[i]] += (double)h->count[i];
		held[code[i]] += h->count[i] > 0;
		in_total += (double)h->count[i];
	}
	if (!(in_total > 0))
		return INFINITY;
	for (int i = first; i <= last; i++) {
		double p = (double)h->count[i] + (i == first ? below : 0) + (i == last ? above : 0);
		double q = h->count[i] ? inside[code[i]] / held[code[i]] : 0;

		/* A range's end that holds values moved there alone: all but impossible by the codes. */
		if (p > 0)
			sum += p / total * log(p / total / (q > 0 ? q / in_total : 1e-9));
	}
	return sum;
}

static struct frcnn_quant least_divergence(const struct frcnn_quant_histogram *h)
{
	struct frcnn_quant chosen = frcnn_quant_of_range(h->lo, h->hi);
	double best = divergence(h, chosen), part = 1;

	for (int i = 0; i < STEPS; i++) {
		struct frcnn_quant quant;
		double found;

		part *= SHRINK;
		quant = frcnn_quant_of_range(h->lo * part, h->hi * part);
		found = divergence(h, quant);
		if (found < best) {
			best = found;
			chosen = quant;
		}
	}
	return chosen;
}

struct frcnn_quant frcnn_quant_observe(const struct frcnn_quant_histogram *h, const struct frcnn_quant_histogram *judge,
				       enum frcnn_quant_observer observer, enum frcnn_quant_observer *chosen)
{
	struct frcnn_quant best = {0};
	double least = 0;

	if (observer == FRCNN_OBSERVE_BEST) {
		for (int i = FRCNN_OBSERVE_MINMAX; i <= FRCNN_OBSERVE_KL; i++) {
			struct frcnn_quant quant = frcnn_quant_observe(h, NULL, (enum frcnn_quant_observer)i, NULL);
			double error = frcnn_quant_histogram_error(judge ? judge : h, quant, NULL);

			if (i > FRCNN_OBSERVE_MINMAX && !(error < least))
				continue;
			least = error;
			best = quant;
			if (chosen)
				*chosen = (enum frcnn_quant_observer)i;
		}
		return best;
	}
	if (chosen)
		*chosen = observer;
	switch (observer) {
	case FRCNN_OBSERVE_PERCENTILE:
		return percentile(h);
	case FRCNN_OBSERVE_MSE:
		return least_squares(h);
	case FRCNN_OBSERVE_KL:
		return least_divergence(h);
	default:
		return frcnn_quant_of_range(h->least, h->most);
	}
}
