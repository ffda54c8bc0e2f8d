#include "nms/program.h"

#include "eval/eval.h"
#include "image/image.h"

#include <inttypes.h>

/* The ground truth, and where the filter's images and classes are in it. */
struct truth {
	struct frcnn_labels labels;
	struct frcnn_ground_truth whole;
	struct frcnn_eval_truth columns;
	uint32_t *images, *categories; /* UINT32_MAX: not in it */
};

static void truth_free(struct truth *t)
{
	frcnn_eval_truth_free(&t->columns);
	frcnn_ground_truth_free(&t->whole);
	frcnn_labels_free(&t->labels);
	free(t->images);
	free(t->categories);
}

static int read_truth(const struct nms_sweep *sweep, struct truth *t, struct frcnn_error *err)
{
	struct frcnn_ground_truth_options from = {.image_root = sweep->image_root, .image_size = frcnn_image_size};
	int status = 0;

	if (sweep->labels_path) {
		status = frcnn_labels_read(sweep->labels_path, &t->labels, err);
		from.labels = &t->labels;
	}
	if (status == 0)
		status = frcnn_ground_truth_open(sweep->truth_path, &from, sweep->notices, &t->whole, err);
	if (status == 0)
		status = frcnn_eval_truth_make(&t->whole, false, &t->columns, err);
	return status;
}

/* Classes by name where both sides have names, else by id. */
static uint32_t category_of(const struct frcnn_eval_truth *truth, const struct frcnn_filter_label *label)
{
	uint32_t index;

	for (size_t k = 0; k < truth->ncategories && label->name; k++)
		if (truth->category_names[k] && strcmp(truth->category_names[k], label->name) == 0)
			return (uint32_t)k;
	if (!label->has_id || !frcnn_eval_category(truth, label->id, &index))
		return UINT32_MAX;
	return label->name && truth->category_names[index] ? UINT32_MAX : index;
}

static uint32_t column_of(const struct frcnn_eval_truth *truth, int64_t id)
{
	size_t low = 0, high = truth->nimages;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (truth->image_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < truth->nimages && truth->image_ids[low] == id ? (uint32_t)low : UINT32_MAX;
}

static int join(const struct frcnn_filter *filter, const struct nms_sweep *sweep, struct truth *t,
		struct frcnn_error *err)
{
	const struct frcnn_filter_labels *labels = frcnn_filter_labels_of(filter);
	size_t nimages = frcnn_filter_nimages(filter), strange = 0;
	struct frcnn_join *names = NULL;
	struct frcnn_error why;
	const char *unknown = NULL;
	size_t nunknown = 0, nagain = 0;
	int64_t twice = 0;
	uint8_t *seen = frcnn_calloc(t->columns.nimages, 1);
	int status = frcnn_join_new(&t->whole, &names, err);

	t->images = frcnn_calloc(nimages, sizeof(*t->images));
	t->categories = frcnn_calloc(labels->count, sizeof(*t->categories));
	if (status == 0 && (!t->images || !t->categories || !seen))
		status = frcnn_fail_nomem(err);
	for (size_t i = 0; i < nimages && status == 0; i++) {
		struct frcnn_filter_image image = frcnn_filter_image_of(filter, i);
		size_t found;
		int rc = frcnn_join_find(names, image.file_name, image.has_id, image.id, &found, &why);
		t->images[i] = rc == 1 ? column_of(&t->columns, t->whole.image_ids[found]) : UINT32_MAX;
		if (rc == FRCNN_ENOMEM)
			status = frcnn_fail_nomem(err);
		else if (rc < 0)
			sweep->notices->note(sweep->notices->context, FRCNN_NOTICE_ERROR, why.message);
		strange += rc == 0;
		if (t->images[i] == UINT32_MAX)
			continue;
		if (seen[t->images[i]]) { /* counted once, as frcnn-eval does */
			twice = nagain++ ? twice : t->columns.image_ids[t->images[i]];
			t->images[i] = UINT32_MAX;
		} else {
			seen[t->images[i]] = 1;
		}
	}
	for (size_t l = 0; l < labels->count && status == 0; l++) {
		t->categories[l] = category_of(&t->columns, &labels->items[l]);
		if (t->categories[l] != UINT32_MAX)
			continue;
		nunknown++;
		if (!unknown && labels->items[l].name)
			unknown = labels->items[l].name;
	}
	if (status == 0 && strange > 0)
		frcnn_note(sweep->notices, FRCNN_NOTICE_ERROR, sweep->truth_path, 0,
			   "images of the detections that the ground truth lacks: %zu", strange);
	if (status == 0 && nagain > 0)
		frcnn_note(sweep->notices, FRCNN_NOTICE_ERROR, sweep->truth_path, 0,
			   "image %" PRId64 " has several records of detections: %zu left out, the first ones count",
			   twice, nagain);
	if (status == 0 && nunknown > 0)
		frcnn_note(sweep->notices, FRCNN_NOTICE_WARNING, sweep->truth_path, 0,
			   "classes of the detections that the ground truth lacks: %zu%s%s%s", nunknown,
			   unknown ? " (\"" : "", unknown ? unknown : "", unknown ? "\")" : "");
	free(seen);
	frcnn_join_free(names);
	return status;
}

struct row {
	enum frcnn_nms_method method;
	double iou; /* NaN: the method has none */
	double stats[12];
	size_t count;
};

static int measure(struct frcnn_filter *filter, const struct nms_sweep *sweep, const struct truth *t, struct row *row,
		   struct frcnn_error *err)
{
	struct frcnn_nms_options nms = sweep->nms;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_detections detections = {0};
	struct frcnn_eval_cells cells = {0};
	struct frcnn_eval_options options;
	int status = 0;

	nms.method = row->method;
	if (!isnan(row->iou))
		nms.iou = row->iou;
	row->count = 0;
	for (size_t i = 0; i < frcnn_filter_nimages(filter) && status == 0; i++) {
		struct frcnn_filter_found *found;
		size_t count;
		if (t->images[i] == UINT32_MAX)
			continue;
		status = frcnn_filter_try(filter, i, &nms, &found, &count, err);
		for (size_t k = 0; k < count && status == 0; k++)
			if (t->categories[found[k].label] != UINT32_MAX &&
			    frcnn_eval_collect(&collector, t->images[i], t->categories[found[k].label], found[k].bbox,
					       found[k].score) < 0)
				status = frcnn_fail_nomem(err);
		row->count += count;
		free(found);
	}
	frcnn_eval_options_init(&options);
	if (status == 0)
		status = frcnn_eval_detections_make(&collector, &t->columns, sweep->pool, &detections, err);
	if (status == 0)
		status = frcnn_eval_coco(&t->columns, &detections, &options, sweep->pool, &cells, err);
	if (status == 0)
		frcnn_eval_stats(&cells, &options, row->stats);
	frcnn_eval_cells_free(&cells);
	frcnn_eval_detections_free(&detections);
	frcnn_eval_collector_free(&collector);
	return status;
}

static bool has_threshold(enum frcnn_nms_method method)
{
	return method != FRCNN_NMS_SOFT_GAUSSIAN && method != FRCNN_NMS_MATRIX;
}

static bool is_fusion(enum frcnn_nms_method method)
{
	return method == FRCNN_NMS_WBF || method == FRCNN_NMS_NMW;
}

static void print_rows(const struct row *rows, size_t count, struct frcnn_buffer *out)
{
	double best = -1;

	for (size_t i = 0; i < count; i++)
		best = rows[i].stats[0] > best ? rows[i].stats[0] : best;
	frcnn_buffer_puts(out, "method         iou    AP      AP50    AP75    AR100   detections\n");
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		char iou[32] = "-";
		if (!isnan(row->iou))
			iou[frcnn_format_double(row->iou, iou)] = '\0';
		frcnn_buffer_printf(out, "%-14s %-6s %.4f  %.4f  %.4f  %.4f  %zu%s\n", nms_method_name(row->method),
				    iou, row->stats[0], row->stats[1], row->stats[2], row->stats[8], row->count,
				    row->stats[0] == best && best >= 0 ? "  *" : "");
	}
}

int nms_sweep(struct frcnn_filter *filter, const struct nms_sweep *sweep, struct frcnn_buffer *out,
	      struct frcnn_error *err)
{
	struct row rows[NMS_METHOD_COUNT * 32];
	struct truth t = {0};
	size_t nrows = 0;
	int status = read_truth(sweep, &t, err);

	if (status == 0)
		status = join(filter, sweep, &t, err);
	for (int m = 0; m < NMS_METHOD_COUNT && status == 0; m++) {
		enum frcnn_nms_method method = (enum frcnn_nms_method)m;
		bool asked = false;
		for (int i = 0; i < sweep->methods->count; i++)
			asked |= sweep->methods->items[i] == method;
		/* one detector has nothing to fuse with */
		if (sweep->methods->count ? !asked : is_fusion(method) && sweep->ninputs == 1)
			continue;
		for (int i = 0; i < (has_threshold(method) ? sweep->nious : 1) && status == 0; i++) {
			rows[nrows] =
			    (struct row){.method = method, .iou = has_threshold(method) ? sweep->ious[i] : NAN};
			status = measure(filter, sweep, &t, &rows[nrows++], err);
		}
	}
	if (status == 0)
		print_rows(rows, nrows, out);
	if (status == 0 && out->failed)
		status = frcnn_fail_nomem(err);
	truth_free(&t);
	return status;
}
