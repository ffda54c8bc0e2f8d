/* COCO datasets to columns: the columns hold together, and every image is found again by its id. */
#include "../unit/dataset_check.h"

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void count_errors(void *context, enum frcnn_notice_kind kind, const char *line)
{
	size_t *errors = context;
	*errors += kind == FRCNN_NOTICE_ERROR && line[0];
}

static void check(const struct frcnn_ground_truth *t, bool finite)
{
	struct frcnn_join *join;
	struct frcnn_error err;
	size_t image;

	need(t->first[0] == 0 && t->first[t->nimages] == t->nannotations);
	for (size_t i = 0; i < t->nimages; i++) {
		need(t->first[i] <= t->first[i + 1]);
		for (size_t k = t->first[i]; k < t->first[i + 1]; k++)
			need(t->annotation_images[t->by_image[k]] == i);
	}
	for (size_t i = 0; i < t->nannotations && finite; i++) {
		for (int k = 0; k < 4; k++)
			need(t->bboxes[4 * i + k] - t->bboxes[4 * i + k] == 0);
		need(t->areas[i] >= 0 && t->areas[i] - t->areas[i] == 0 && t->crowds[i] <= 1);
	}
	for (size_t i = 0; i < t->ncategories; i++)
		need(frcnn_ground_truth_category(t, t->category_ids[i]) == t->category_names[i]);
	if (frcnn_join_new(t, &join, &err) < 0)
		return;
	for (size_t i = 0; i < t->nimages; i++) {
		need(frcnn_join_find(join, NULL, true, t->image_ids[i], &image, &err) == 1 && image == i);
		if (t->file_names[i])
			need(frcnn_join_find(join, t->file_names[i], true, t->image_ids[i], &image, &err) == 1);
	}
	frcnn_join_free(join);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* as ever, images alone, as pycocotools reads */
	for (int how = 0; how < 3; how++) {
		const struct frcnn_ground_truth_options options = {.images_only = how == 1, .pycocotools = how == 2};
		size_t errors = 0;
		struct frcnn_notices notices = {count_errors, &errors};
		struct frcnn_ground_truth truth;
		struct frcnn_error err;
		if (frcnn_dataset_parse(data, size, "f", &options, &notices, &truth, NULL, &err) == 0) {
			need(truth.errors == errors);
			check(&truth, how != 2);
		} else {
			need(err.message[0]);
		}
		frcnn_ground_truth_free(&truth);
	}
	dataset_check((const char *)data, size, 1 + size % 97, NULL);
	return 0;
}
