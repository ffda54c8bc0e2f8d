/*
 * Any text as "SIZES;RATIOS" of --anchors (the first byte chooses the number of levels): what is taken must be usable,
 * and written out and read again it must be the same. What fits into memory is assigned to an object too.
 */
#include "anchors/anchors.h"

#include <stdlib.h>

static void need(bool truth)
{
	if (!truth)
		abort();
}

static void check_levels(const struct frcnn_anchor_config *config)
{
	for (int i = 0; i < config->nlevels; i++) {
		const struct frcnn_anchor_level *level = &config->levels[i];

		need(level->nsizes > 0 && level->nsizes <= FRCNN_MAX_ANCHORS);
		need(level->nratios > 0 && level->nratios <= FRCNN_MAX_ANCHORS);
		for (int k = 0; k < level->nsizes; k++)
			need(level->sizes[k] > 0 && level->sizes[k] <= 1e6F);
		for (int k = 0; k < level->nratios; k++)
			need(level->ratios[k] > 0 && level->ratios[k] <= 1e6F);
	}
}

/* The option's form, read again, is the same. */
static void check_round(const struct frcnn_anchor_config *config)
{
	struct frcnn_anchor_config again = *config;
	struct frcnn_buffer text = {0};
	char *semicolon;

	frcnn_anchor_put_option(config, &text);
	need(!text.failed);
	semicolon = strchr(text.data, ';');
	need(semicolon != NULL);
	*semicolon = '\0';
	need(frcnn_anchor_levels_parse(text.data, semicolon + 1, again.levels, again.nlevels, NULL) == 0);
	need(frcnn_anchor_config_equal(config, &again));
	frcnn_buffer_clear(&text);
	frcnn_anchor_put_torchvision(config, &text);
	frcnn_anchor_put_detectron2(config, &text);
	need(!text.failed);
	frcnn_buffer_free(&text);
}

static void check_assignment(const struct frcnn_anchor_config *config)
{
	int64_t id = 1;
	const char *name = "a";
	int side = 64;
	double bbox[4] = {3, 5, 40, 20}, area = 800;
	uint8_t crowd = 0;
	size_t zero = 0, first[2] = {0, 1};
	struct frcnn_ground_truth truth = {.nimages = 1,
					   .image_ids = &id,
					   .file_names = &name,
					   .widths = &side,
					   .heights = &side,
					   .nannotations = 1,
					   .annotation_ids = &id,
					   .annotation_images = &zero,
					   .annotation_categories = &id,
					   .bboxes = bbox,
					   .areas = &area,
					   .crowds = &crowd,
					   .first = first,
					   .by_image = &zero};
	struct frcnn_anchor_boxes boxes;
	struct frcnn_anchor_stats stats;

	need(frcnn_anchor_boxes_make(&truth, 64, 64, &boxes, NULL) == 0 && boxes.nboxes == 1);
	if (frcnn_anchors_assign(&boxes, config, NULL, &stats, NULL) == 0) {
		need(stats.positive > 0 && stats.negative >= 0 && stats.ignored >= 0);
		need(stats.positive + stats.negative + stats.ignored == stats.anchors);
		need(stats.best[0] >= 0 && stats.best[0] <= 1 && stats.matched[0] > 0);
	}
	frcnn_anchor_stats_free(&stats);
	frcnn_anchor_boxes_free(&boxes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frcnn_anchor_config config;
	struct frcnn_error err = {0};
	char *text, *semicolon;

	if (size < 1)
		return 0;
	text = frcnn_strndup((const char *)data + 1, size - 1);
	need(text != NULL);
	frcnn_anchor_config_default(&config);
	if (data[0] & 1) {
		config.nlevels = 3;
		config.shifts[2] = -1;
		config.nroi_levels = 2;
	}
	semicolon = strchr(text, ';');
	if (semicolon)
		*semicolon = '\0';
	if (frcnn_anchor_levels_parse(text, semicolon ? semicolon + 1 : NULL, config.levels, config.nlevels, &err) ==
	    0) {
		check_levels(&config);
		check_round(&config);
		check_assignment(&config);
	} else {
		need(err.message[0] != '\0');
	}
	free(text);
	return 0;
}
