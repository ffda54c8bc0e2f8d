/*
 * The detector: one way from a picture to its detections. Transform, features
 * graph, proposals, RoI features, head graph, post-processing; whole images or
 * slice by slice.
 */
#include "detect/detect.h"

#include <math.h>
#include <stdatomic.h>

#define HEAD_ROIS 1000 /* RoIs that the head graph is given at a time, at the most */

/* What detectors over one set of weights have in common: read by all, written by none. */
struct common {
	struct frcnn_graphs graphs, second; /* second: by frcnn_detector_second */
	uint8_t *keep_label;
	atomic_int detectors; /* the last one frees this */
};

struct frcnn_detector {
	const struct frcnn_model *model;
	const struct frcnn_backend *backend;
	struct common *common;
	struct frcnn_pool *pool;
	void *features, *head; /* contexts of the backend's networks */
	struct frcnn_detect_params params;
	struct frcnn_workspace workspace; /* of one view */
	struct frcnn_workspace merging;   /* of the slices of one image */
	float *outputs; /* of the head graph, (RoIs, 5 * nlabels), when there are more than it takes at a time */
	size_t outputs_capacity;
	int slice_width, slice_height, slice_overlap;
	const struct frcnn_again *again; /* during frcnn_detect_again */
};

void frcnn_detector_options_init(struct frcnn_detector_options *options)
{
	*options = (struct frcnn_detector_options){
	    .score = NAN,
	    .nms = NAN,
	    .nms_sigma = NAN,
	    .max_dets = -1,
	    .rpn_pre = -1,
	    .rpn_post = -1,
	    .rpn_nms = NAN,
	    .rpn_score = NAN,
	    .slice_overlap = -1,
	};
}

static int take_options(struct frcnn_detector *d, const struct frcnn_detector_options *o, struct frcnn_error *err)
{
	struct frcnn_detect_params *p = &d->params;
	const struct {
		double option;
		double *param;
	} numbers[] = {
	    {o->score, &p->score}, {o->nms, &p->nms}, {o->rpn_nms, &p->rpn_nms}, {o->rpn_score, &p->rpn_score}};
	const struct {
		int option;
		int *param;
		int least;
	} counts[] = {{o->max_dets, &p->max_dets, 0}, {o->rpn_pre, &p->rpn_pre, 1}, {o->rpn_post, &p->rpn_post, 1}};

	frcnn_detect_params_init(&d->model->description, p);
	for (size_t i = 0; i < FRCNN_COUNT(numbers); i++) {
		if (isnan(numbers[i].option))
			continue;
		if (!(numbers[i].option >= 0 && numbers[i].option <= 1))
			return frcnn_fail(err, FRCNN_EINVAL, "a threshold of %g is not between 0 and 1",
					  numbers[i].option);
		*numbers[i].param = numbers[i].option;
	}
	for (size_t i = 0; i < FRCNN_COUNT(counts); i++) {
		if (counts[i].option == -1)
			continue;
		if (counts[i].option < counts[i].least)
			return frcnn_fail(err, FRCNN_EINVAL, "a limit of %d is less than %d", counts[i].option,
					  counts[i].least);
		*counts[i].param = counts[i].option;
	}
	if ((int)o->nms_method < FRCNN_NMS_HARD || o->nms_method > FRCNN_NMS_MATRIX)
		return frcnn_fail(err, FRCNN_EINVAL, "the detector has no method %d of suppression",
				  (int)o->nms_method);
	p->nms_method = o->nms_method;
	if (!isnan(o->nms_sigma))
		p->nms_sigma = o->nms_sigma;
	if (!(p->nms_sigma > 0))
		return frcnn_fail(err, FRCNN_EINVAL, "a sigma of %g is not above 0", p->nms_sigma);
	p->roi_pool = o->roi_pool;
	if (o->keep_label) {
		d->common->keep_label = frcnn_calloc((size_t)p->nlabels, 1);
		if (!d->common->keep_label)
			return frcnn_fail_nomem(err);
		memcpy(d->common->keep_label, o->keep_label, (size_t)p->nlabels);
		p->keep_label = d->common->keep_label;
	}
	if (o->slice_width || o->slice_height) {
		struct frcnn_slices slices;
		int status = frcnn_slices_layout(1, 1, o->slice_width, o->slice_height, o->slice_overlap, &slices, err);

		if (status)
			return status;
	}
	d->slice_width = o->slice_width;
	d->slice_height = o->slice_height;
	d->slice_overlap = o->slice_overlap;
	return 0;
}

int frcnn_detector_new(const struct frcnn_model *model, const struct frcnn_detector_options *options,
		       struct frcnn_detector **out, struct frcnn_error *err)
{
	struct frcnn_detector_options own;
	struct frcnn_detector *d;
	int status;

	*out = NULL;
	if (!options) {
		frcnn_detector_options_init(&own);
		options = &own;
	}
	if (options->device != FRCNN_CPU)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "this build has no CUDA backend");
	d = frcnn_calloc(1, sizeof *d);
	if (!d)
		return frcnn_fail_nomem(err);
	d->model = model;
	d->backend = &frcnn_backend_cpu;
	d->common = frcnn_calloc(1, sizeof *d->common);
	if (!d->common) {
		free(d);
		return frcnn_fail_nomem(err);
	}
	atomic_init(&d->common->detectors, 1);
	status = take_options(d, options, err);
	if (!status)
		status = frcnn_pool_new(options->threads > 0 ? options->threads : frcnn_usable_cores(), &d->pool, err);
	if (!status)
		status = frcnn_graphs_build(model, true, &d->common->graphs, err);
	if (!status)
		status = d->backend->prepare(&d->common->graphs.features, options->cpu, options->precision, d->pool,
					     &d->features, err);
	if (!status)
		status = d->backend->prepare(&d->common->graphs.head, options->cpu, options->precision, d->pool,
					     &d->head, err);
	if (status) {
		frcnn_detector_free(d);
		return status;
	}
	*out = d;
	return 0;
}

int frcnn_detector_share(struct frcnn_detector *from, int threads, struct frcnn_detector **out, struct frcnn_error *err)
{
	struct frcnn_detector *d = frcnn_calloc(1, sizeof *d);
	int status;

	*out = NULL;
	if (!d)
		return frcnn_fail_nomem(err);
	d->model = from->model;
	d->backend = from->backend;
	d->common = from->common;
	atomic_fetch_add(&d->common->detectors, 1);
	d->params = from->params;
	d->slice_width = from->slice_width;
	d->slice_height = from->slice_height;
	d->slice_overlap = from->slice_overlap;
	status = frcnn_pool_new(threads > 0 ? threads : frcnn_usable_cores(), &d->pool, err);
	if (!status)
		status = d->backend->share(from->features, d->pool, &d->features, err);
	if (!status)
		status = d->backend->share(from->head, d->pool, &d->head, err);
	if (status) {
		frcnn_detector_free(d);
		return status;
	}
	*out = d;
	return 0;
}

/* Moves a detector onto another pool: contexts that never ran and that nobody watches, over the same weights. */
static int take_pool(struct frcnn_detector *d, struct frcnn_pool *pool, struct frcnn_error *err)
{
	void *features = NULL, *head = NULL;
	int status = d->backend->share(d->features, pool, &features, err);

	if (!status)
		status = d->backend->share(d->head, pool, &head, err);
	if (status) {
		if (features)
			d->backend->release(features);
		frcnn_pool_free(pool);
		return status;
	}
	d->backend->release(d->features);
	d->backend->release(d->head);
	frcnn_pool_free(d->pool);
	d->features = features;
	d->head = head;
	d->pool = pool;
	return 0;
}

int frcnn_detector_renew(struct frcnn_detector *d, int threads, struct frcnn_error *err)
{
	struct frcnn_pool *pool;
	int status;

	frcnn_workspace_free(&d->workspace);
	frcnn_workspace_free(&d->merging);
	free(d->outputs);
	d->outputs = NULL;
	d->outputs_capacity = 0;
	/* All is given back before threads are made: those are what memory may be short for. */
	status = take_pool(d, NULL, err);
	if (status || threads == 1 || frcnn_pool_new(threads > 0 ? threads : frcnn_usable_cores(), &pool, NULL) < 0)
		return status;
	take_pool(d, pool, NULL);
	return 0;
}

static void drop_common(struct common *common)
{
	if (atomic_fetch_sub(&common->detectors, 1) > 1)
		return;
	frcnn_graphs_free(&common->graphs);
	frcnn_graphs_free(&common->second);
	free(common->keep_label);
	free(common);
}

void frcnn_detector_free(struct frcnn_detector *d)
{
	if (!d)
		return;
	if (d->features)
		d->backend->release(d->features);
	if (d->head)
		d->backend->release(d->head);
	drop_common(d->common);
	frcnn_workspace_free(&d->workspace);
	frcnn_workspace_free(&d->merging);
	frcnn_pool_free(d->pool);
	free(d->outputs);
	free(d);
}

const char *frcnn_detector_cpu(const struct frcnn_detector *d)
{
	return d->backend->kernels(d->features);
}

const struct frcnn_graphs *frcnn_detector_graphs(const struct frcnn_detector *d)
{
	return &d->common->graphs;
}

struct frcnn_pool *frcnn_detector_pool(struct frcnn_detector *d)
{
	return d->pool;
}

void frcnn_detector_watch(struct frcnn_detector *d, frcnn_watcher *features, frcnn_watcher *head, void *context)
{
	d->backend->watch(d->features, features, context);
	d->backend->watch(d->head, head, context);
}

/* RoIs that the head graph is planned for. */
static size_t head_rois(const struct frcnn_detector *d)
{
	return d->params.rpn_post < HEAD_ROIS ? (size_t)d->params.rpn_post : HEAD_ROIS;
}

int frcnn_detector_memory(struct frcnn_detector *d, size_t *bytes, struct frcnn_error *err)
{
	const struct frcnn_detect_params *p = &d->params;
	int width = p->max_size, height = p->min_size < p->max_size ? p->min_size : p->max_size;
	int rois = d->common->graphs.roi_size;
	struct frcnn_transform_size size;
	size_t features = 0, head = 0;
	int status;

	if (d->slice_width) {
		width = d->slice_width;
		height = d->slice_height;
	}
	status = frcnn_transform_size(width, height, p->min_size, p->max_size, &size, err);
	if (!status)
		status = d->backend->memory(d->features, 1, size.padded_height, size.padded_width, &features, err);
	if (!status)
		status = d->backend->memory(d->head, (int)head_rois(d), rois, rois, &head, err);
	*bytes = features + head;
	return status;
}

void frcnn_detections_free(struct frcnn_detections *detections)
{
	if (!detections)
		return;
	free(detections->items);
	memset(detections, 0, sizeof *detections);
}

/* ---- the stages of one view ------------------------------------------------------- */

/* Adds the time since *since to a stage and starts the next one. */
static void lap(struct frcnn_detections *out, enum frcnn_stage stage, double *since)
{
	double now = frcnn_seconds();

	out->seconds[stage] += now - *since;
	*since = now;
}

static int run_features(struct frcnn_detector *d, const struct frcnn_view *view, struct frcnn_transform_size *size,
			struct frcnn_detections *out, struct frcnn_error *err)
{
	const struct frcnn_detect_params *p = &d->params;
	double since = frcnn_seconds();
	int status = frcnn_transform_size(view->width, view->height, p->min_size, p->max_size, size, err);

	if (d->again) {
		if (!status && !d->again->head)
			status = d->backend->again(d->features, d->again->params, d->again->only, d->again->compare,
						   d->again->context, err);
		return status;
	}
	if (!status)
		status = d->backend->plan(d->features, 1, size->padded_height, size->padded_width, err);
	if (!status)
		status = frcnn_transform(d->pool, view, size, p->mean, p->std, &d->workspace,
					 d->backend->input(d->features), err);
	lap(out, FRCNN_STAGE_TRANSFORM, &since);
	if (!status)
		status = d->backend->run(d->features, 1, err);
	lap(out, FRCNN_STAGE_BACKBONE, &since);
	return status;
}

static int run_proposals(struct frcnn_detector *d, const struct frcnn_transform_size *size,
			 struct frcnn_proposals *proposals, struct frcnn_detections *out, struct frcnn_error *err)
{
	struct frcnn_rpn_level levels[FRCNN_MAX_LEVELS];
	double since = frcnn_seconds();
	int status;

	for (int i = 0; i < d->params.nlevels; i++) {
		struct frcnn_feature_map map = d->backend->output(d->features, d->common->graphs.nfeatures + i);

		levels[i] = (struct frcnn_rpn_level){
		    .logits = map.data,
		    .deltas = map.data + d->params.anchors[i].count,
		    .logits_stride = (size_t)map.channels,
		    .deltas_stride = (size_t)map.channels,
		    .height = map.height,
		    .width = map.width,
		};
	}
	status = frcnn_propose_boxes(d->pool, levels, &d->params, size, &d->workspace, proposals, err);
	lap(out, FRCNN_STAGE_PROPOSALS, &since);
	return status;
}

/* RoI features and box head over boxes (count, 4) in network pixels. *rows: the head's output, (count, 5 * nlabels). */
static int run_head(struct frcnn_detector *d, const float *boxes, size_t count, const float **rows,
		    struct frcnn_detections *out, struct frcnn_error *err)
{
	struct frcnn_feature features[FRCNN_MAX_LEVELS];
	size_t width = 5 * (size_t)d->params.nlabels;
	size_t most = head_rois(d);
	struct frcnn_feature_map map = {0};
	void *outputs = d->outputs;
	int status = 0;

	if (count > most && frcnn_grow(&outputs, &d->outputs_capacity, count * width, sizeof *d->outputs))
		return frcnn_fail_nomem(err);
	d->outputs = outputs;
	for (int i = 0; i < d->common->graphs.nfeatures; i++) {
		map = d->backend->output(d->features, i);
		features[i] = (struct frcnn_feature){map.data,  map.height, map.width, d->params.roi_scales[i],
						     map.bytes, map.quant};
	}
	d->workspace.kernels = frcnn_kernels_get(frcnn_detector_cpu(d)); /* none for the reference */
	*rows = d->outputs;
	for (size_t at = 0; at < count && !status; at += most) {
		size_t n = count - at < most ? count - at : most;
		double since = frcnn_seconds();

		status =
		    d->backend->plan(d->head, (int)most, d->common->graphs.roi_size, d->common->graphs.roi_size, err);
		if (!status)
			status = (d->params.roi_pool ? frcnn_roi_pool : frcnn_roi_align)(
			    d->pool, features, d->common->graphs.nfeatures, map.channels, boxes + at * 4, n,
			    &d->workspace,
			    (struct frcnn_roi_sink){d->backend->input(d->head), d->backend->store, d->head}, err);
		lap(out, FRCNN_STAGE_ROI, &since);
		if (!status)
			status = d->backend->run(d->head, (int)n, err);
		if (!status && d->again && d->again->head)
			status = d->backend->again(d->head, d->again->params, d->again->only, d->again->compare,
						   d->again->context, err);
		if (!status && count > most)
			memcpy(d->outputs + at * width, d->backend->output(d->head, 0).data, n * width * sizeof **rows);
		else if (!status)
			*rows = d->backend->output(d->head, 0).data;
		lap(out, FRCNN_STAGE_HEAD, &since);
	}
	return status;
}

static int run_post(struct frcnn_detector *d, const float *rows, const float *boxes, size_t count, int max_dets,
		    const struct frcnn_view *view, const struct frcnn_transform_size *size,
		    struct frcnn_detection **items, size_t *nitems, struct frcnn_detections *out,
		    struct frcnn_error *err)
{
	struct frcnn_detect_params params = d->params;
	size_t labels = (size_t)params.nlabels;
	struct frcnn_head_output head = {rows, rows ? rows + labels : NULL, 5 * labels, 5 * labels};
	double since = frcnn_seconds();
	int status;

	params.max_dets = max_dets;
	status = frcnn_postprocess(d->pool, &head, boxes, count, &params, size, view->width, view->height,
				   &d->workspace, items, nitems, err);
	lap(out, FRCNN_STAGE_POST, &since);
	return status;
}

/* All stages of one view. The items lie in the workspace. */
static int detect_view(struct frcnn_detector *d, const struct frcnn_view *view, int max_dets,
		       struct frcnn_detection **items, size_t *nitems, struct frcnn_detections *out,
		       struct frcnn_error *err)
{
	struct frcnn_transform_size size;
	struct frcnn_proposals proposals;
	const float *rows = NULL;
	int status;

	frcnn_pool_hold(d->pool);
	status = run_features(d, view, &size, out, err);
	if (!status)
		status = run_proposals(d, &size, &proposals, out, err);
	if (!status)
		status = run_head(d, proposals.boxes, proposals.count, &rows, out, err);
	if (!status)
		status =
		    run_post(d, rows, proposals.boxes, proposals.count, max_dets, view, &size, items, nitems, out, err);
	frcnn_pool_release(d->pool);
	return status;
}

static struct frcnn_view whole(const struct frcnn_image *image)
{
	return (struct frcnn_view){image->rgb, image->width, image->height, (size_t)image->width * 3};
}

static int keep(struct frcnn_detections *out, const struct frcnn_detection *items, size_t count,
		struct frcnn_error *err)
{
	out->items = frcnn_calloc(count, sizeof *items);
	if (!out->items)
		return frcnn_fail_nomem(err);
	if (count)
		memcpy(out->items, items, count * sizeof *items);
	out->count = count;
	return 0;
}

static int detect_slices(struct frcnn_detector *d, const struct frcnn_image *image, struct frcnn_detections *out,
			 struct frcnn_error *err)
{
	struct frcnn_view picture = whole(image);
	struct frcnn_detection *all = NULL, *items;
	size_t *tiles = NULL, count = 0, all_capacity = 0, tiles_capacity = 0, n;
	struct frcnn_slices slices;
	double since;
	int status = frcnn_slices_layout(image->width, image->height, d->slice_width, d->slice_height, d->slice_overlap,
					 &slices, err);

	for (size_t t = 0; !status && t < frcnn_slices_count(&slices); t++) {
		struct frcnn_tile tile = frcnn_slices_tile(&slices, t);
		struct frcnn_view view = {picture.rgb + (size_t)tile.y * picture.stride + (size_t)tile.x * 3,
					  tile.width, tile.height, picture.stride};
		void *grown_all, *grown_tiles;

		status = detect_view(d, &view, -1, &items, &n, out, err);
		if (status)
			break;
		grown_all = all;
		grown_tiles = tiles;
		if (frcnn_grow(&grown_all, &all_capacity, count + n, sizeof *all))
			status = frcnn_fail_nomem(err);
		all = grown_all;
		if (!status && frcnn_grow(&grown_tiles, &tiles_capacity, count + n, sizeof *tiles))
			status = frcnn_fail_nomem(err);
		tiles = grown_tiles;
		for (size_t i = 0; i < n && !status; i++, count++) {
			all[count] = items[i];
			all[count].x1 += (float)tile.x;
			all[count].x2 += (float)tile.x;
			all[count].y1 += (float)tile.y;
			all[count].y2 += (float)tile.y;
			tiles[count] = t;
		}
	}
	since = frcnn_seconds();
	if (!status)
		status = frcnn_slices_merge(d->pool, &slices, all, tiles, count, d->params.nlabels, d->params.nms,
					    d->params.max_dets, &d->merging, &items, &n, err);
	if (!status)
		status = keep(out, items, n, err);
	lap(out, FRCNN_STAGE_POST, &since);
	free(all);
	free(tiles);
	return status;
}

int frcnn_detect(struct frcnn_detector *d, const struct frcnn_image *image, struct frcnn_detections *out,
		 struct frcnn_error *err)
{
	struct frcnn_view view = whole(image);
	struct frcnn_detection *items;
	size_t n;
	int status;

	memset(out, 0, sizeof *out);
	/* A slice larger than the image changes nothing. */
	if (d->slice_width && (d->slice_width < image->width || d->slice_height < image->height))
		return detect_slices(d, image, out, err);
	status = detect_view(d, &view, d->params.max_dets, &items, &n, out, err);
	return status ? status : keep(out, items, n, err);
}

static int refuse_slices(const struct frcnn_detector *d, const char *what, struct frcnn_error *err)
{
	return d->slice_width ? frcnn_fail(err, FRCNN_EINVAL, "%s in slices", what) : 0;
}

int frcnn_detector_second(struct frcnn_detector *d, const struct frcnn_model *model, struct frcnn_error *err)
{
	int status = refuse_slices(d, "no second form is run", err);

	if (!status)
		status = frcnn_graphs_build(model, true, &d->common->second, err);
	if (!status)
		status = d->backend->second(d->features, &d->common->second.features, err);
	if (!status)
		status = d->backend->second(d->head, &d->common->second.head, err);
	return status;
}

int frcnn_detect_again(struct frcnn_detector *d, const struct frcnn_image *image, const struct frcnn_again *again,
		       struct frcnn_detections *out, struct frcnn_error *err)
{
	struct frcnn_view view = whole(image);
	struct frcnn_transform_size size;
	int status;

	d->again = again;
	if (again->only && !again->head) {
		memset(out, 0, sizeof *out);
		status = run_features(d, &view, &size, out, err);
	} else {
		status = frcnn_detect(d, image, out, err);
	}
	d->again = NULL;
	return status;
}

int frcnn_propose(struct frcnn_detector *d, const struct frcnn_image *image, struct frcnn_detections *out,
		  struct frcnn_error *err)
{
	struct frcnn_view view = whole(image);
	struct frcnn_transform_size size;
	struct frcnn_proposals proposals;
	int status = refuse_slices(d, "proposals are not made", err);

	memset(out, 0, sizeof *out);
	if (!status)
		status = run_features(d, &view, &size, out, err);
	if (!status)
		status = run_proposals(d, &size, &proposals, out, err);
	if (status)
		return status;
	frcnn_boxes_scale(proposals.boxes, proposals.count, size.width, size.height, image->width, image->height);
	out->items = frcnn_calloc(proposals.count, sizeof *out->items);
	if (!out->items)
		return frcnn_fail_nomem(err);
	out->count = proposals.count;
	for (size_t i = 0; i < proposals.count; i++) {
		const float *box = proposals.boxes + i * 4;

		out->items[i] = (struct frcnn_detection){box[0], box[1], box[2], box[3], proposals.scores[i], 0};
	}
	return 0;
}

int frcnn_classify(struct frcnn_detector *d, const struct frcnn_image *image, const float *boxes, size_t count,
		   struct frcnn_detections *out, struct frcnn_error *err)
{
	struct frcnn_view view = whole(image);
	struct frcnn_transform_size size;
	struct frcnn_detection *items;
	const float *rows = NULL;
	float *scaled = frcnn_calloc(count, 4 * sizeof *scaled);
	size_t n;
	int status = scaled ? refuse_slices(d, "given boxes are not classified", err) : frcnn_fail_nomem(err);

	memset(out, 0, sizeof *out);
	if (!status)
		status = run_features(d, &view, &size, out, err);
	if (!status) {
		if (count)
			memcpy(scaled, boxes, count * 4 * sizeof *scaled);
		frcnn_boxes_scale(scaled, count, image->width, image->height, size.width, size.height);
		status = run_head(d, scaled, count, &rows, out, err);
	}
	if (!status)
		status = run_post(d, rows, scaled, count, d->params.max_dets, &view, &size, &items, &n, out, err);
	if (!status)
		status = keep(out, items, n, err);
	free(scaled);
	return status;
}
