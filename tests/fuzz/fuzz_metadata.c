/*
 * Any bytes as the metadata of a native file: what is accepted must be usable, and written out and read again it must
 * be the same. The first byte chooses what the tensors are.
 */
#include "model/model.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void set_up(struct frcnn_description *d, uint8_t choice)
{
	memset(d, 0, sizeof *d);
	d->body = choice & 1 ? FRCNN_BODY_MOBILENET_V3_LARGE : FRCNN_BODY_RESNET;
	d->depth = choice & 1 ? 0 : 50;
	d->nlevels = choice & 1 ? 3 : 5;
	d->anchors_per_cell = choice & 1 ? 15 : 3;
	d->nlabels = choice & 2 ? 3 : 2;
	check(frcnn_describe_defaults(d, choice & 1 ? "fasterrcnn_mobilenet_v3_large_fpn" : "fasterrcnn_resnet50_fpn",
				      NULL) == 0);
	check(frcnn_describe_labels(d, NULL, NULL, (size_t)d->nlabels - 1, NULL) == 0);
	memcpy(d->name, "x", 2);
}

static void check_usable(const struct frcnn_description *d)
{
	check(strlen(d->name) > 0 && d->min_size > 0 && d->max_size > 0 && d->rpn_pre > 0 && d->rpn_post > 0);
	for (int i = 0; i < d->nlevels; i++) {
		const struct frcnn_anchor_level *level = &d->anchors[i];

		check(level->nsizes > 0 && level->nsizes <= FRCNN_MAX_ANCHORS);
		check(level->nratios > 0 && level->nratios <= FRCNN_MAX_ANCHORS);
		for (int k = 0; k < level->nsizes; k++)
			check(level->sizes[k] > 0 && level->sizes[k] <= 1e6F);
		for (int k = 0; k < level->nratios; k++)
			check(level->ratios[k] > 0 && level->ratios[k] <= 1e6F);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frcnn_description d, back;
	struct frcnn_buffer text = {0}, again = {0};
	struct frcnn_error err = {0};
	uint8_t choice = size ? data[0] : 0;

	set_up(&d, choice);
	if (frcnn_metadata_read(size ? (const char *)data + 1 : "", size ? size - 1 : 0, false, &d, &err) == 0) {
		check_usable(&d);
		set_up(&back, choice);
		check(frcnn_metadata_write(&d, &text, NULL) == 0);
		check(frcnn_metadata_read(text.data, text.size, false, &back, NULL) == 0);
		check_usable(&back);
		check(frcnn_metadata_write(&back, &again, NULL) == 0);
		check(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
		frcnn_buffer_free(&text);
		frcnn_buffer_free(&again);
		frcnn_description_free(&back);
	} else {
		check(err.message[0] != '\0');
	}
	frcnn_description_free(&d);
	return 0;
}
