/* Detection expected calibration error, binned by score; eval.h names the reference. */
#include "eval/eval.h"

#include <float.h>
#include <math.h>

/* numpy's linspace(0, 1, nbins + 1)[i] */
static double edge(int i, int nbins)
{
	return i == nbins ? 1 : i * (1.0 / nbins);
}

/* 0 <= score < 1 */
static int bin_of(double score, int nbins)
{
	int bin = (int)(score * nbins);

	/* The product may round past an edge. */
	if (bin > nbins - 1)
		bin = nbins - 1;
	while (bin > 0 && score < edge(bin, nbins))
		bin--;
	while (bin < nbins - 1 && score >= edge(bin + 1, nbins))
		bin++;
	return bin;
}

void frcnn_eval_calibration(const struct frcnn_eval_detections *detections, const struct frcnn_eval_matches *matches,
			    int nbins, double min_score, struct frcnn_eval_calibration *out)
{
	size_t total = 0;

	memset(out, 0, sizeof *out);
	out->nbins = nbins < 1 ? 1 : nbins > FRCNN_EVAL_MAX_BINS ? FRCNN_EVAL_MAX_BINS : nbins;
	for (size_t d = 0; d < detections->count; d++) {
		double score = detections->score[d];
		bool right = matches->detection[d] == FRCNN_MATCH_TRUE;
		int bin;

		/* NaN is above nothing */
		if ((!right && matches->detection[d] != FRCNN_MATCH_FALSE) || !(score > min_score))
			continue;
		score = fmin(fmax(score, DBL_EPSILON), 1 - DBL_EPSILON);
		bin = bin_of(score, out->nbins);
		out->bins[bin].count++;
		out->bins[bin].confidence += score;
		out->bins[bin].precision += right;
		total++;
	}
	for (int i = 0; i < out->nbins; i++) {
		double gap, count = (double)out->bins[i].count;

		out->bins[i].low = edge(i, out->nbins);
		out->bins[i].high = edge(i + 1, out->nbins);
		if (!out->bins[i].count)
			continue;
		out->bins[i].confidence /= count;
		out->bins[i].precision /= count;
		gap = fabs(out->bins[i].precision - out->bins[i].confidence);
		out->ece += gap * (count / (double)total);
		out->mce = fmax(out->mce, gap);
	}
	if (!total)
		out->ece = out->mce = -1;
}
