/* Which anchors on which grid, and how other programs write them. */
#include "anchors/anchors.h"

#include <math.h>

static const float default_ratios[] = {0.5f, 1.0f, 2.0f};

static void set_roi_scales(struct frcnn_anchor_config *config)
{
	config->nroi_levels = config->nlevels > 1 ? config->nlevels - 1 : 1;
	for (int i = 0; i < config->nroi_levels; i++)
		config->roi_scales[i] = 1.0f / (float)(1 << config->shifts[i]);
}

void frcnn_anchor_config_default(struct frcnn_anchor_config *out)
{
	memset(out, 0, sizeof *out);
	out->nlevels = 5;
	out->min_size = 800;
	out->max_size = 1333;
	for (int i = 0; i < out->nlevels; i++) {
		out->levels[i].nsizes = 1;
		out->levels[i].sizes[0] = (float)(32 << i);
		out->levels[i].nratios = (int)FRCNN_COUNT(default_ratios);
		memcpy(out->levels[i].ratios, default_ratios, sizeof default_ratios);
		out->shifts[i] = i + 1 < out->nlevels ? 2 + i : -1;
	}
	set_roi_scales(out);
}

void frcnn_anchor_config_of(const struct frcnn_description *description, struct frcnn_anchor_config *out)
{
	memset(out, 0, sizeof *out);
	out->nlevels = description->nlevels;
	out->min_size = description->min_size;
	out->max_size = description->max_size;
	memcpy(out->levels, description->anchors, sizeof out->levels);
	for (int i = 0; i < out->nlevels; i++) {
		bool pool = i > 0 && i + 1 == out->nlevels;

		out->shifts[i] = pool ? -1 : description->body == FRCNN_BODY_RESNET ? 2 + i : 5;
	}
	set_roi_scales(out);
}

int frcnn_anchor_config_check(const struct frcnn_anchor_config *config, struct frcnn_error *err)
{
	for (int i = 0; i < config->nlevels; i++) {
		const struct frcnn_anchor_level *level = &config->levels[i];

		for (int s = 0; s < level->nsizes; s++) {
			for (int r = 0; r < level->nratios; r++) {
				double tall = level->sizes[s] * sqrt(level->ratios[r]);
				double wide = level->sizes[s] / sqrt(level->ratios[r]);

				if (!(fmax(tall, wide) <= 1e6))
					return frcnn_fail(err, FRCNN_ELIMIT,
							  "level %d: an anchor of size %g and ratio %g has a side "
							  "above 1000000 pixels",
							  i, level->sizes[s], level->ratios[r]);
			}
		}
		if (level->nsizes * level->nratios != config->levels[0].nsizes * config->levels[0].nratios)
			return frcnn_fail(err, FRCNN_EINVAL,
					  "level %d has %d anchors a cell, level 0 has %d: all levels share one RPN "
					  "head",
					  i, level->nsizes * level->nratios,
					  config->levels[0].nsizes * config->levels[0].nratios);
	}
	return 0;
}

void frcnn_anchor_grids(const struct frcnn_anchor_config *config, const struct frcnn_transform_size *size,
			struct frcnn_anchor_grid grids[FRCNN_MAX_LEVELS])
{
	for (int i = 0; i < config->nlevels; i++) {
		struct frcnn_anchor_grid *grid = &grids[i];

		if (config->shifts[i] < 0) { /* max_pool2d with kernel 1, stride 2 */
			grid->width = (grids[i - 1].width + 1) / 2;
			grid->height = (grids[i - 1].height + 1) / 2;
		} else {
			grid->width = size->padded_width >> config->shifts[i];
			grid->height = size->padded_height >> config->shifts[i];
		}
		grid->step_x = size->padded_width / grid->width;
		grid->step_y = size->padded_height / grid->height;
	}
}

int frcnn_anchor_config_kinds(const struct frcnn_anchor_config *config)
{
	int kinds = 0;

	for (int i = 0; i < config->nlevels; i++)
		kinds += config->levels[i].nsizes * config->levels[i].nratios;
	return kinds;
}

static bool same_numbers(const float *a, int na, const float *b, int nb)
{
	if (na != nb)
		return false;
	for (int i = 0; i < na; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

bool frcnn_anchor_config_equal(const struct frcnn_anchor_config *a, const struct frcnn_anchor_config *b)
{
	if (a->nlevels != b->nlevels)
		return false;
	for (int i = 0; i < a->nlevels; i++) {
		const struct frcnn_anchor_level *x = &a->levels[i], *y = &b->levels[i];

		if (!same_numbers(x->sizes, x->nsizes, y->sizes, y->nsizes) ||
		    !same_numbers(x->ratios, x->nratios, y->ratios, y->nratios))
			return false;
	}
	return true;
}

bool frcnn_anchor_ratios_shared(const struct frcnn_anchor_config *config)
{
	for (int i = 1; i < config->nlevels; i++)
		if (!same_numbers(config->levels[i].ratios, config->levels[i].nratios, config->levels[0].ratios,
				  config->levels[0].nratios))
			return false;
	return true;
}

/* ---- as text --------------------------------------------------------------------------------- */

static void put_numbers(struct frcnn_buffer *out, const float *values, int count, const char *between)
{
	char text[32];

	for (int i = 0; i < count; i++) {
		frcnn_buffer_puts(out, i ? between : "");
		frcnn_buffer_add(out, text, frcnn_format_float(values[i], text));
	}
}

void frcnn_anchor_put_option(const struct frcnn_anchor_config *config, struct frcnn_buffer *out)
{
	int levels = frcnn_anchor_ratios_shared(config) ? 1 : config->nlevels;

	for (int i = 0; i < config->nlevels; i++) {
		frcnn_buffer_puts(out, i ? "," : "");
		put_numbers(out, config->levels[i].sizes, config->levels[i].nsizes, "+");
	}
	for (int i = 0; i < levels; i++) {
		frcnn_buffer_puts(out, i ? "/" : ";");
		put_numbers(out, config->levels[i].ratios, config->levels[i].nratios, ",");
	}
}

/* A Python tuple, or a list where square. */
static void put_python(struct frcnn_buffer *out, const float *values, int count, bool list)
{
	frcnn_buffer_putc(out, list ? '[' : '(');
	put_numbers(out, values, count, ", ");
	frcnn_buffer_puts(out, list ? "]" : count == 1 ? ",)" : ")");
}

void frcnn_anchor_put_torchvision(const struct frcnn_anchor_config *config, struct frcnn_buffer *out)
{
	bool shared = frcnn_anchor_ratios_shared(config);
	const char *end = config->nlevels == 1 ? ",)" : ")";

	frcnn_buffer_puts(out, "AnchorGenerator(sizes=(");
	for (int i = 0; i < config->nlevels; i++) {
		frcnn_buffer_puts(out, i ? ", " : "");
		put_python(out, config->levels[i].sizes, config->levels[i].nsizes, false);
	}
	frcnn_buffer_printf(out, "%s, aspect_ratios=(", end);
	for (int i = 0; i < (shared ? 1 : config->nlevels); i++) {
		frcnn_buffer_puts(out, i ? ", " : "");
		put_python(out, config->levels[i].ratios, config->levels[i].nratios, false);
	}
	if (shared)
		frcnn_buffer_printf(out, ",) * %d)", config->nlevels);
	else
		frcnn_buffer_printf(out, "%s)", end);
}

void frcnn_anchor_put_detectron2(const struct frcnn_anchor_config *config, struct frcnn_buffer *out)
{
	int levels = frcnn_anchor_ratios_shared(config) ? 1 : config->nlevels;

	frcnn_buffer_puts(out, "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: [");
	for (int i = 0; i < config->nlevels; i++) {
		frcnn_buffer_puts(out, i ? ", " : "");
		put_python(out, config->levels[i].sizes, config->levels[i].nsizes, true);
	}
	frcnn_buffer_puts(out, "]\n    ASPECT_RATIOS: [");
	for (int i = 0; i < levels; i++) {
		frcnn_buffer_puts(out, i ? ", " : "");
		put_python(out, config->levels[i].ratios, config->levels[i].nratios, true);
	}
	frcnn_buffer_puts(out, "]\n");
}

/* ---- the smallest object --------------------------------------------------------------------- */

/* How much of a side of `side` pixels an anchor from low to high covers when their origins lie `shift` apart. */
static double cover(double side, double low, double high, double shift)
{
	double from = fmax(low + shift, -side / 2), to = fmin(high + shift, side / 2);

	return fmax(to - from, 0);
}

/* IoU of a square with the anchors of a cell whose origin lies shift away on both axes. */
static double square_iou(const struct frcnn_cell_anchors *cell, double side, double shift)
{
	double best = 0;

	for (int a = 0; a < cell->count; a++) {
		const float *box = cell->boxes + 4 * a;
		double inter = cover(side, box[0], box[2], shift) * cover(side, box[1], box[3], shift);
		double area = ((double)box[2] - box[0]) * ((double)box[3] - box[1]);

		best = fmax(best, inter / (side * side + area - inter));
	}
	return best;
}

double frcnn_anchor_smallest(const struct frcnn_anchor_config *config, double iou, bool anywhere)
{
	static const double most = 2048, step = 0.125;
	double smallest = -1;

	for (int i = 0; i < config->nlevels; i++) {
		struct frcnn_cell_anchors cell;
		int shift = config->shifts[i] < 0 ? config->shifts[i - 1] + 1 : config->shifts[i];
		double off = anywhere ? (double)(1 << shift) / 2 : 0;

		frcnn_cell_anchors(&config->levels[i], &cell);
		for (double side = step; side <= most; side += step) {
			if (smallest >= 0 && side >= smallest)
				break;
			if (square_iou(&cell, side, off) >= iou) {
				smallest = side;
				break;
			}
		}
	}
	return smallest;
}
