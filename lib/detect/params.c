#include "detect/detect.h"

void frcnn_detect_params_init(const struct frcnn_description *description, struct frcnn_detect_params *params)
{
	memset(params, 0, sizeof(*params));
	params->min_size = description->min_size;
	params->max_size = description->max_size;
	for (int c = 0; c < 3; c++) {
		params->mean[c] = description->mean[c];
		params->std[c] = description->std[c];
	}
	params->nlevels = description->nlevels;
	for (int i = 0; i < description->nlevels; i++)
		frcnn_cell_anchors(&description->anchors[i], &params->anchors[i]);
	params->rpn_pre = description->rpn_pre;
	params->rpn_post = description->rpn_post;
	params->rpn_nms = description->rpn_nms;
	params->rpn_score = description->rpn_score;

	/* The RPN's last level is the FPN's extra "pool", which no RoI is taken from. */
	params->nroi_levels = description->nlevels > 1 ? description->nlevels - 1 : 1;
	for (int i = 0; i < params->nroi_levels; i++) {
		int shift = description->body == FRCNN_BODY_RESNET ? 2 + i : 5;
		params->roi_scales[i] = 1.0f / (float)(1 << shift);
	}
	params->nlabels = description->nlabels;
	params->score = description->score;
	params->nms = description->nms;
	params->nms_sigma = 0.5;
	params->max_dets = description->max_dets;
}
