/*
 * nms - parts of frcnn-nms: the forms of its options, and the table of --sweep.
 * Never installed, and no other program links it.
 */
#ifndef FRCNN_NMS_PROGRAM_H
#define FRCNN_NMS_PROGRAM_H

#include "cli/cli.h"
#include "filter/filter.h"

#define NMS_METHODS "hard|soft-linear|soft-gaussian|diou|matrix|vote|wbf|nmw"
enum { NMS_METHOD_COUNT = 8 };
const char *nms_method_name(enum frcnn_nms_method method);

struct nms_methods {
	enum frcnn_nms_method items[NMS_METHOD_COUNT];
	int count; /* 0: not given */
};
/* struct nms_methods *: one of NMS_METHODS, or several separated by ','. */
int nms_parse_methods(const char *text, void *value, struct frcnn_error *err);

struct nms_sweep {
	const char *truth_path, *labels_path, *image_root;
	const struct nms_methods *methods; /* count 0: all that make sense for so many inputs */
	const double *ious;
	int nious;
	struct frcnn_nms_options nms; /* all but method and iou */
	size_t ninputs;
	struct frcnn_pool *pool;
	const struct frcnn_notices *notices;
};
/* AP of what each method and threshold leaves, a line each, best AP marked. */
int nms_sweep(struct frcnn_filter *filter, const struct nms_sweep *sweep, struct frcnn_buffer *out,
	      struct frcnn_error *err);

#endif
