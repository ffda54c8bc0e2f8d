/*
 * Whole runs against torchvision's detections on real pictures: at least 99.9% of its detections with a score of 0.05
 * or more have a counterpart of the same class, corners within 0.05 px and score within 1e-4, and so have ours.
 */
#include "record/record.h"

#include <criterion/criterion.h>
#include <math.h>

#define SCORE  0.05
#define CORNER 0.05
#define SHIFT  1e-4

struct set {
	const char *model, *truth, *images, *golden;
	int min_size, max_size;
};

/* One image's detections of either side. */
struct found {
	double box[4]; /* corners */
	double score;
	int64_t category;
	bool used;
};

struct side {
	struct found *items;
	size_t count, capacity;
};

static void add(struct side *side, double x, double y, double w, double h, double score, int64_t category)
{
	void *items = side->items;

	cr_assert_eq(frcnn_grow(&items, &side->capacity, side->count + 1, sizeof *side->items), 0);
	side->items = items;
	side->items[side->count++] = (struct found){{x, y, x + w, y + h}, score, category, false};
}

static double distance(const struct found *a, const struct found *b)
{
	double most = 0;

	for (int i = 0; i < 4; i++)
		most = fmax(most, fabs(a->box[i] - b->box[i]));
	return most;
}

/* How many of a's with score >= low have a counterpart in b; of several the closest. *seen counts a's. */
static size_t matched(const struct side *a, struct side *b, double low, size_t *seen)
{
	size_t n = 0;

	for (size_t k = 0; k < b->count; k++)
		b->items[k].used = false;
	for (size_t i = 0; i < a->count; i++) {
		struct found *best = NULL;

		if (a->items[i].score < low)
			continue;
		++*seen;
		for (size_t k = 0; k < b->count; k++) {
			struct found *it = &b->items[k];
			double d = distance(&a->items[i], it);

			if (!it->used && it->category == a->items[i].category && d <= CORNER &&
			    fabs(it->score - a->items[i].score) <= SHIFT && (!best || d < distance(&a->items[i], best)))
				best = it;
		}
		if (best)
			best->used = true;
		n += best != NULL;
	}
	return n;
}

static void read_golden(const char *path, const struct frcnn_ground_truth *truth, struct side *sides)
{
	const struct frcnn_record *record;
	struct frcnn_records *records;
	struct frcnn_error err;
	struct frcnn_file file;
	int rc;

	cr_assert_eq(frcnn_file_open(path, 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_records_open_memory(file.data, file.size, path, NULL, &records, &err), 0);
	while ((rc = frcnn_records_next(records, &record, &err)) != 0) {
		size_t image = 0;

		cr_assert_gt(rc, 0, "%s", err.message);
		while (image < truth->nimages && truth->image_ids[image] != record->image_id)
			image++;
		cr_assert_lt(image, truth->nimages);
		for (size_t i = 0; i < record->ndetections; i++) {
			const struct frcnn_record_item *d = &record->detections[i];

			add(&sides[image], d->bbox[0], d->bbox[1], d->bbox[2], d->bbox[3], d->score, d->category_id);
		}
	}
	frcnn_records_close(records);
	frcnn_file_close(&file);
}

static void detect(struct frcnn_detector *detector, const struct frcnn_model *model, const char *path, struct side *out)
{
	struct frcnn_detections found;
	struct frcnn_image image;
	struct frcnn_error err;
	struct frcnn_file file;

	cr_assert_eq(frcnn_file_open(path, 0, &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &image, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detect(detector, &image, &found, &err), 0, "%s", err.message);
	for (size_t i = 0; i < found.count; i++) {
		const struct frcnn_detection *d = &found.items[i];

		add(out, d->x1, d->y1, d->x2 - d->x1, d->y2 - d->y1, d->score,
		    frcnn_model_label_category(model, d->label));
	}
	frcnn_detections_free(&found);
	frcnn_image_free(&image);
	frcnn_file_close(&file);
}

static void check(const struct set *set)
{
	const char *data = getenv("FRCNN_DATA");
	size_t theirs = 0, ours = 0, theirs_found = 0, ours_found = 0;
	struct frcnn_model_options options;
	struct frcnn_detector *detector;
	struct frcnn_ground_truth truth;
	struct frcnn_model *model;
	struct frcnn_error err;
	struct side *golden;
	char path[1024];

	if (!data)
		cr_skip_test("FRCNN_DATA is not set");
	frcnn_model_options_init(&options);
	options.min_size = set->min_size;
	options.max_size = set->max_size;
	snprintf(path, sizeof path, "%s/%s", data, set->model);
	cr_assert_eq(frcnn_model_open(path, &options, &model, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_detector_new(model, NULL, &detector, &err), 0, "%s", err.message);
	snprintf(path, sizeof path, "%s/%s", data, set->truth);
	cr_assert_eq(frcnn_ground_truth_read(path, true, NULL, &truth, &err), 0, "%s", err.message);
	golden = frcnn_calloc(truth.nimages, sizeof *golden);
	snprintf(path, sizeof path, "%s/%s", data, set->golden);
	read_golden(path, &truth, golden);
	for (size_t i = 0; i < truth.nimages; i++) {
		struct side found = {0};

		snprintf(path, sizeof path, "%s/%s/%s", data, set->images, truth.file_names[i]);
		detect(detector, model, path, &found);
		theirs_found += matched(&golden[i], &found, SCORE, &theirs);
		ours_found += matched(&found, &golden[i], SCORE + SHIFT, &ours);
		free(found.items);
		free(golden[i].items);
	}
	cr_assert_gt(theirs, 1000);
	cr_assert_geq((double)theirs_found, 0.999 * (double)theirs, "%zu of %zu of the reference", theirs_found,
		      theirs);
	cr_assert_geq((double)ours_found, 0.999 * (double)ours, "%zu of %zu of ours", ours_found, ours);
	free(golden);
	frcnn_ground_truth_free(&truth);
	frcnn_detector_free(detector);
	frcnn_model_close(model);
}

Test(parity, resnet50_on_blood_cells)
{
	check(&(struct set){"bccd/fasterrcnn_resnet50_fpn_bccd.pth", "bccd/bccd_test_coco.json", "bccd/images",
			    "bccd/golden.json", 400, 667});
}

Test(parity, resnet18_on_parts)
{
	check(&(struct set){"parts/parts_r18.safetensors", "parts/instances.json", "parts/images", "parts/golden.json",
			    480, 800});
}
