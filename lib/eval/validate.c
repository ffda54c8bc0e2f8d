/*
 * What looks wrong with detections. Joining counts what cannot be joined; one
 * pass over the columns counts boxes that are odd; a sample of images tells
 * whether category ids are shifted. A repair is judged by evaluating with it.
 */
#include "eval/validate.h"

#include <inttypes.h>
#include <math.h>
#include <strings.h>

#define NAMED          6 /* culprits of a kind that are named */
#define SAMPLED_IMAGES 1000
#define NONE           UINT32_MAX

/* The first few different culprits, as text. */
struct culprits {
	char text[NAMED][128];
	size_t count; /* of different ones, as far as NAMED */
	size_t line;  /* of the first */
};

/* A detection whose category the ground truth lacks, kept for the question what a repair would do. */
struct stray {
	uint32_t image;
	uint32_t alike; /* category whose name differs in case, blanks or _ alone; NONE */
	bool has_id;
	int64_t id;
	double bbox[4], score;
};

struct name_entry {
	const char *name;
	uint32_t category;
};

struct frcnn_validation {
	const struct frcnn_eval_truth *truth;
	const char *name;
	struct frcnn_join *join;
	uint32_t *place;          /* of the ground truth's image in truth */
	struct name_entry *names; /* of categories, in byte order */
	size_t nnames;
	bool take_bad, own_ids; /* own_ids: no record's image_id means an image */
	bool own_categories;    /* category ids count the names in byte order */

	size_t *seen;  /* an image: line of its record + 1; 0: none */
	double *scale; /* an image: 2, ground truth's size / record's; NULL: all agree */
	struct frcnn_validation_counts counts;
	struct frcnn_id_map orphans;

	/* last ones asked for: results come in runs of an image and a category */
	bool has_last_id, has_last_category;
	int64_t last_id, last_category;
	uint32_t last_image, last_index;

	struct culprits orphan, unknown, size, twice, bad;
	size_t nunknown, nbad, nsize, norphan_detections, by_name, by_id;
	size_t twice_first; /* line of the record that counts */
	struct stray *strays;
	size_t nstrays, stray_capacity;

	struct frcnn_finding findings[FRCNN_FINDINGS];
	size_t nfindings;
};

/* ---- making --------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct name_entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->category > y->category) - (x->category < y->category);
}

static bool find_image(const struct frcnn_eval_truth *truth, int64_t id, uint32_t *index)
{
	size_t low = 0, high = truth->nimages;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (truth->image_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	*index = (uint32_t)low;
	return low < truth->nimages && truth->image_ids[low] == id;
}

int frcnn_validation_new(const struct frcnn_ground_truth *g, const struct frcnn_eval_truth *truth, const char *name,
			 struct frcnn_validation **out, struct frcnn_error *err)
{
	struct frcnn_validation *v = frcnn_calloc(1, sizeof(*v));
	int rc;

	*out = NULL;
	if (!v)
		return frcnn_fail_nomem(err);
	v->truth = truth;
	v->name = name;
	v->own_ids = g->own_ids;
	v->own_categories = g->own_categories;
	v->place = frcnn_calloc(g->nimages, sizeof(*v->place));
	v->names = frcnn_calloc(truth->ncategories, sizeof(*v->names));
	v->seen = frcnn_calloc(truth->nimages, sizeof(*v->seen));
	if (!v->place || !v->names || !v->seen) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	rc = frcnn_join_new(g, &v->join, err);
	if (rc < 0)
		goto out;
	for (size_t i = 0; i < g->nimages; i++)
		if (!find_image(truth, g->image_ids[i], &v->place[i]))
			v->place[i] = NONE; /* an image that the columns leave out */
	for (size_t k = 0; k < truth->ncategories; k++)
		if (truth->category_names[k])
			v->names[v->nnames++] = (struct name_entry){truth->category_names[k], (uint32_t)k};
	if (v->nnames)
		qsort(v->names, v->nnames, sizeof(*v->names), by_name);
	*out = v;
	v = NULL;
out:
	frcnn_validation_free(v);
	return rc;
}

void frcnn_validation_free(struct frcnn_validation *v)
{
	if (!v)
		return;
	frcnn_join_free(v->join);
	frcnn_id_map_free(&v->orphans);
	free(v->place);
	free(v->names);
	free(v->seen);
	free(v->scale);
	free(v->strays);
	free(v);
}

void frcnn_validation_take_bad_boxes(struct frcnn_validation *v, bool take)
{
	v->take_bad = take;
}

struct frcnn_validation_counts frcnn_validation_counts(const struct frcnn_validation *v)
{
	return v->counts;
}

/* ---- culprits --------------------------------------------------------------------------- */

static void blame(struct culprits *culprits, size_t line, const char *format, ...) FRCNN_PRINTF(3, 4);
static void blame(struct culprits *culprits, size_t line, const char *format, ...)
{
	char text[sizeof(culprits->text[0])];
	va_list args;

	if (culprits->count == NAMED)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (size_t i = 0; i < culprits->count; i++)
		if (strcmp(culprits->text[i], text) == 0)
			return;
	if (culprits->count == 0)
		culprits->line = line;
	memcpy(culprits->text[culprits->count++], text, sizeof(text));
}

static void blame_image(struct culprits *culprits, size_t line, const char *file_name, bool has_id, int64_t id)
{
	if (has_id && file_name)
		blame(culprits, line, "%" PRId64 " (\"%.80s\")", id, file_name);
	else if (has_id)
		blame(culprits, line, "%" PRId64, id);
	else if (file_name)
		blame(culprits, line, "\"%.40s\"", file_name);
	else
		blame(culprits, line, "neither file_name nor image_id");
}

/* 'image 12 ("a.jpg")' */
static const char *show_image(const struct frcnn_eval_truth *truth, size_t image, char out[96])
{
	int used = snprintf(out, 96, "image %" PRId64, truth->image_ids[image]);
	if (truth->file_names[image])
		snprintf(out + used, 96 - (size_t)used, " (\"%.60s\")", truth->file_names[image]);
	return out;
}

/* "a, b, ..." */
static void list(char *out, size_t size, const struct culprits *culprits, size_t all)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < culprits->count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", culprits->text[i]);
	if (all > culprits->count && culprits->count == NAMED && used < size)
		snprintf(out + used, size - used, ", ...");
}

/* ---- joining ------------------------------------------------------------------------------- */

static int add_orphan(struct frcnn_validation *v, const char *file_name, bool has_id, int64_t id, size_t line,
		      bool ungrouped, struct frcnn_error *err)
{
	int rc = 1;

	blame_image(&v->orphan, line, file_name, has_id, id);
	if (ungrouped) {
		/* results: each is asked for, an image counts once */
		v->norphan_detections++;
		v->counts.left_out++;
		if (has_id)
			rc = frcnn_id_map_add(&v->orphans, id, 0, NULL);
		if (rc < 0)
			return frcnn_fail_nomem(err);
	}
	v->counts.orphan_records += rc > 0;
	return 0;
}

static int note_size(struct frcnn_validation *v, uint32_t image, int width, int height, size_t line,
		     struct frcnn_error *err)
{
	const struct frcnn_eval_truth *t = v->truth;
	char who[96];

	if (width <= 0 || height <= 0 || t->widths[image] <= 0 || t->heights[image] <= 0 ||
	    (width == t->widths[image] && height == t->heights[image]))
		return 0;
	if (!v->scale) {
		v->scale = frcnn_calloc(t->nimages, 2 * sizeof(*v->scale));
		if (!v->scale)
			return frcnn_fail_nomem(err);
		for (size_t i = 0; i < 2 * t->nimages; i++)
			v->scale[i] = 1;
	}
	v->scale[2 * image] = (double)t->widths[image] / width;
	v->scale[2 * image + 1] = (double)t->heights[image] / height;
	if (v->nsize++ == 0)
		blame(&v->size, line, "%s: %dx%d, not %dx%d", show_image(t, image, who), width, height,
		      t->widths[image], t->heights[image]);
	return 0;
}

int frcnn_validation_image(struct frcnn_validation *v, const char *file_name, bool has_id, int64_t id, int width,
			   int height, size_t line, bool ungrouped, uint32_t *image, struct frcnn_error *err)
{
	size_t found;
	int rc;

	if (ungrouped && !file_name && has_id && v->has_last_id && v->last_id == id) {
		*image = v->last_image;
		return 1;
	}
	struct frcnn_error reason = {0};
	rc = frcnn_join_find(v->join, file_name, has_id, id, &found, &reason);
	if (rc == FRCNN_ENOMEM)
		return frcnn_fail_nomem(err);
	if (rc < 0)
		return line ? frcnn_fail(err, rc, "%s:%zu: %s", v->name, line, reason.message)
			    : frcnn_fail(err, rc, "%s: %s", v->name, reason.message);
	if (rc == 0 || v->place[found] == NONE) {
		rc = add_orphan(v, file_name, has_id, id, line, ungrouped, err);
		return rc < 0 ? rc : 0;
	}
	*image = v->place[found];
	if (v->seen[*image] && !ungrouped) {
		if (v->counts.twice++ == 0) {
			char who[96];
			blame(&v->twice, line, "%s", show_image(v->truth, *image, who));
			v->twice_first = v->seen[*image] - 1;
		}
		return 0;
	}
	if (!v->seen[*image]) {
		v->seen[*image] = line + 1;
		rc = note_size(v, *image, width, height, line, err);
		if (rc < 0)
			return rc;
	}
	v->has_last_id = !file_name && has_id;
	v->last_id = id;
	v->last_image = *image;
	return 1;
}

/* Categories of one name may be several: then the one that the id says, else the first. */
static bool find_name(const struct frcnn_validation *v, const char *name, bool has_id, int64_t id, uint32_t *index)
{
	size_t low = 0, high = v->nnames;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(v->names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == v->nnames || strcmp(v->names[low].name, name) != 0)
		return false;
	*index = v->names[low].category;
	for (; has_id && low < v->nnames && strcmp(v->names[low].name, name) == 0; low++)
		if (v->truth->category_ids[v->names[low].category] == id)
			*index = v->names[low].category;
	return true;
}

/* Whether two names are one but for case, blanks, '_' and '-'. */
static bool alike(const char *a, const char *b)
{
	static const char passed[] = " _-";

	for (;;) {
		while (*a && strchr(passed, *a))
			a++;
		while (*b && strchr(passed, *b))
			b++;
		char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a,
		     y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
		if (x != y)
			return false;
		if (!x)
			return true;
		a++;
		b++;
	}
}

/* Memory for strays is refused silently beyond what a repair is tried on. */
static int keep_stray(struct frcnn_validation *v, uint32_t image, const char *category, bool has_id, int64_t id,
		      const double bbox[4], double score, struct frcnn_error *err)
{
	void *strays = v->strays;
	uint32_t fits = NONE;

	for (size_t i = 0; category && i < v->nnames && fits == NONE; i++)
		if (alike(category, v->names[i].name))
			fits = v->names[i].category;
	/* a name alone that is like none can never be repaired */
	if ((fits == NONE && (!has_id || (category && v->nnames))) || v->nstrays >= 10 * FRCNN_VALIDATION_EFFECT_LIMIT)
		return 0;
	if (frcnn_grow(&strays, &v->stray_capacity, v->nstrays + 1, sizeof(*v->strays)) < 0)
		return frcnn_fail_nomem(err);
	v->strays = strays;
	struct stray *stray = &v->strays[v->nstrays++];
	*stray = (struct stray){.image = image, .alike = fits, .has_id = has_id, .id = id, .score = score};
	memcpy(stray->bbox, bbox, sizeof(stray->bbox));
	return 0;
}

static bool bad_box(const double b[4])
{
	return !(isfinite(b[0]) && isfinite(b[1]) && isfinite(b[2]) && isfinite(b[3]) && b[2] >= 0 && b[3] >= 0);
}

int frcnn_validation_detection(struct frcnn_validation *v, uint32_t image, const char *category, bool has_id,
			       int64_t id, const double bbox[4], double score, size_t line,
			       struct frcnn_eval_collector *collector, struct frcnn_error *err)
{
	uint32_t index;
	bool known;
	char who[96];

	v->counts.detections++;
	if (bad_box(bbox)) {
		v->nbad++;
		blame(&v->bad, line, "%s: [%.4g, %.4g, %.4g, %.4g]", show_image(v->truth, image, who), bbox[0], bbox[1],
		      bbox[2], bbox[3]);
		if (!v->take_bad) {
			v->counts.left_out++;
			return 0;
		}
	}
	if (category && v->nnames) {
		known = find_name(v, category, has_id, id, &index);
		v->by_name++;
	} else if (has_id && v->has_last_category && v->last_category == id) {
		index = v->last_index;
		known = true;
	} else {
		known = has_id && frcnn_eval_category(v->truth, id, &index);
		if (known) {
			v->has_last_category = true;
			v->last_category = id;
			v->last_index = index;
		}
	}
	if (!known) {
		v->nunknown++;
		v->counts.left_out++;
		if (category && v->nnames)
			blame(&v->unknown, line, "\"%.40s\"", category);
		else
			blame(&v->unknown, line, "%" PRId64, id);
		return keep_stray(v, image, category, has_id, id, bbox, score, err);
	}
	v->by_id += !(category && v->nnames);
	if (collector && frcnn_eval_collect(collector, image, index, bbox, score) < 0)
		return frcnn_fail_nomem(err);
	return 1;
}

int frcnn_validation_record(struct frcnn_validation *v, const struct frcnn_record *record,
			    struct frcnn_eval_collector *collector, struct frcnn_error *err)
{
	uint32_t image;

	size_t orphans = v->counts.orphan_records;
	v->counts.records++;
	int rc = frcnn_validation_image(v, record->file_name, record->has_image_id, record->image_id, record->width,
					record->height, record->line, false, &image, err);
	if (rc <= 0) {
		v->counts.detections += record->ndetections;
		v->counts.left_out += record->ndetections;
		if (v->counts.orphan_records > orphans)
			v->norphan_detections += record->ndetections;
		return rc;
	}
	for (size_t i = 0; i < record->ndetections; i++) {
		const struct frcnn_record_item *d = &record->detections[i];
		if (frcnn_validation_detection(v, image, d->category, d->has_category_id, d->category_id, d->bbox,
					       d->score, d->line, collector, err) < 0)
			return FRCNN_ENOMEM;
	}
	return 1;
}

void frcnn_validation_columns(struct frcnn_validation *v, const struct frcnn_result_columns *columns)
{
	for (size_t i = 0; i < columns->count; i++) {
		v->counts.records += v->seen[columns->image[i]] == 0;
		v->seen[columns->image[i]] = 1;
	}
	v->counts.detections += columns->count;
	v->by_id += columns->count;
}

bool frcnn_validation_joins_ids(const struct frcnn_validation *v)
{
	return !v->own_ids;
}

const struct frcnn_eval_truth *frcnn_validation_truth(const struct frcnn_validation *v)
{
	return v->truth;
}

/* ---- what a repair would give ------------------------------------------------------------------ */

struct effects {
	const struct frcnn_validation *v;
	const struct frcnn_eval_detections *detections;
	struct frcnn_eval_options options; /* AP alone: one area, one limit */
	struct frcnn_pool *pool;
	uint32_t *input; /* row of the detection at each place of the input */
	uint32_t *category;
	double ap; /* as it stands; NaN: not known yet */
};

static int evaluate(const struct effects *e, const struct frcnn_eval_truth *truth,
		    const struct frcnn_eval_detections *detections, double *ap, struct frcnn_error *err)
{
	struct frcnn_eval_cells cells = {0};
	int rc = frcnn_eval_coco(truth, detections, &e->options, e->pool, &cells, err);

	if (rc == 0)
		*ap = frcnn_eval_mean(&cells, false, -1, -1, 0, 0);
	frcnn_eval_cells_free(&cells);
	return rc;
}

static int need_ap(struct effects *e, struct frcnn_error *err)
{
	return isnan(e->ap) ? evaluate(e, e->v->truth, e->detections, &e->ap, err) : 0;
}

/* How a repair changes one detection: false leaves it out. context is the repair's own. */
typedef bool (*repair)(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
		       uint32_t *category, double bbox[4]);

static int repaired_ap(struct effects *e, repair change, const void *context, bool strays, double *ap,
		       struct frcnn_error *err)
{
	const struct frcnn_validation *v = e->v;
	struct frcnn_eval_collector collector = {0};
	struct frcnn_eval_detections detections = {0};
	size_t count = e->detections->count;
	int rc = frcnn_eval_reserve(&collector, count + (strays ? v->nstrays : 0) + 1);

	for (size_t i = 0; i < count && rc == 0; i++) {
		size_t row = e->input[i];
		uint32_t category = e->category[row];
		double bbox[4];
		memcpy(bbox, e->detections->bbox + 4 * row, sizeof(bbox));
		if (change(e, context, e->detections->image[row], true, v->truth->category_ids[category], &category,
			   bbox))
			rc = frcnn_eval_collect(&collector, e->detections->image[row], category, bbox,
						e->detections->score[row]);
	}
	for (size_t i = 0; i < v->nstrays && strays && rc == 0; i++) {
		const struct stray *s = &v->strays[i];
		uint32_t category = s->alike;
		double bbox[4];
		memcpy(bbox, s->bbox, sizeof(bbox));
		if (change(e, context, s->image, s->has_id, s->id, &category, bbox) && category != NONE)
			rc = frcnn_eval_collect(&collector, s->image, category, bbox, s->score);
	}
	if (rc == 0)
		rc = frcnn_eval_detections_make(&collector, v->truth, e->pool, &detections, err);
	else
		frcnn_fail_nomem(err);
	if (rc == 0)
		rc = evaluate(e, v->truth, &detections, ap, err);
	frcnn_eval_collector_free(&collector);
	frcnn_eval_detections_free(&detections);
	return rc;
}

static int effects_make(struct effects *e, struct frcnn_error *err)
{
	const struct frcnn_eval_detections *d = e->detections;

	if (e->input)
		return 0;
	e->input = frcnn_calloc(d->count, sizeof(*e->input));
	e->category = frcnn_calloc(d->count, sizeof(*e->category));
	if (!e->input || !e->category)
		return frcnn_fail_nomem(err);
	for (size_t k = 0; k < e->v->truth->ncategories; k++) {
		for (size_t i = d->category_first[k]; i < d->category_first[k + 1]; i++) {
			e->input[d->order[i]] = (uint32_t)i;
			e->category[i] = (uint32_t)k;
		}
	}
	return 0;
}

/* ---- findings ------------------------------------------------------------------------------------ */

static struct frcnn_finding *find(struct frcnn_validation *v, enum frcnn_finding_kind kind, bool error, size_t count)
{
	struct frcnn_finding *f = &v->findings[v->nfindings++];
	*f = (struct frcnn_finding){.kind = kind, .error = error, .count = count, .ap = NAN, .repaired = NAN};
	return f;
}

/* "NAME[:line]: ..." with what is not printable escaped. */
static void say(const struct frcnn_validation *v, struct frcnn_finding *f, size_t line, const char *format, ...)
    FRCNN_PRINTF(4, 5);
static void say(const struct frcnn_validation *v, struct frcnn_finding *f, size_t line, const char *format, ...)
{
	struct frcnn_error text, whole;
	va_list args;

	va_start(args, format);
	vsnprintf(text.message, sizeof(text.message), format, args);
	va_end(args);
	if (line)
		frcnn_fail(&whole, FRCNN_EFORMAT, "%s:%zu: %s", v->name, line, text.message);
	else
		frcnn_fail(&whole, FRCNN_EFORMAT, "%s: %s", v->name, text.message);
	snprintf(f->text, sizeof(f->text), "%.*s", (int)sizeof(f->text) - 1, whole.message);
}

/* "; WHAT AP would be 0.4312, not 0.0021", or nothing where it was not computed. */
static const char *effect(const struct frcnn_finding *f, const char *what, char out[160])
{
	out[0] = '\0';
	if (isnan(f->repaired) || isnan(f->ap))
		return out;
	if (f->repaired == f->ap)
		snprintf(out, 160, "; %s AP would stay %.4f", what, f->ap);
	else
		snprintf(out, 160, "; %s AP would be %.4f, not %.4f", what, f->repaired, f->ap);
	return out;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static void find_orphans(struct frcnn_validation *v)
{
	char names[320];
	size_t n = v->counts.orphan_records;

	if (!n)
		return;
	list(names, sizeof(names), &v->orphan, n);
	say(v, find(v, FRCNN_FINDING_ORPHAN, true, n), v->orphan.line,
	    "%zu image%s that the ground truth lacks (%s), with %zu detection%s: left out, AP is that of the rest%s", n,
	    plural(n), names, v->norphan_detections, plural(v->norphan_detections),
	    v->own_ids ? "; it knows images by file name alone" : "");
}

static void find_twice(struct frcnn_validation *v)
{
	size_t n = v->counts.twice;

	if (!n)
		return;
	say(v, find(v, FRCNN_FINDING_TWICE, true, n), v->twice.line,
	    "%s has a record on line %zu already: %zu record%s left out, AP is that of the first ones",
	    v->twice.text[0], v->twice_first, n, plural(n));
}

static void find_bad(struct frcnn_validation *v)
{
	if (!v->nbad)
		return;
	say(v, find(v, FRCNN_FINDING_BAD_BOX, !v->take_bad, v->nbad), v->bad.line,
	    "%zu box%s not finite or of negative size (%s): %s", v->nbad, v->nbad == 1 ? "" : "es", v->bad.text[0],
	    v->take_bad ? "evaluated as pycocotools does, which matches NaN" : "left out, AP is that of the rest");
}

static bool take_alike(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
		       uint32_t *category, double bbox[4])
{
	(void)e, (void)context, (void)image, (void)has_id, (void)id, (void)bbox;
	return *category != NONE;
}

static int find_unknown(struct frcnn_validation *v, struct effects *e, struct frcnn_error *err)
{
	struct frcnn_finding *f;
	char names[320], change[160];
	size_t fits = 0;

	if (!v->nunknown)
		return 0;
	f = find(v, FRCNN_FINDING_UNKNOWN_CATEGORY, false, v->nunknown);
	for (size_t i = 0; i < v->nstrays; i++)
		fits += v->strays[i].alike != NONE;
	if (fits) {
		if (effects_make(e, err) < 0 || need_ap(e, err) < 0 ||
		    repaired_ap(e, take_alike, NULL, true, &f->repaired, err) < 0)
			return FRCNN_ENOMEM;
		f->ap = e->ap;
	}
	list(names, sizeof(names), &v->unknown, v->nunknown);
	say(v, f, v->unknown.line, "%zu detection%s of categories that the ground truth lacks (%s): left out%s%s",
	    v->nunknown, plural(v->nunknown), names, fits ? "" : ", as pycocotools does, AP does not change",
	    effect(f, "joined without regard to case and blanks", change));
	return 0;
}

/* Ids of a ground truth that has names alone are no one else's: where they differ, AP is wrong in silence. */
static void find_own_categories(struct frcnn_validation *v)
{
	const struct frcnn_eval_truth *truth = v->truth;
	char names[200];
	size_t used = 0;

	if (!v->own_categories || !v->by_id)
		return;
	names[0] = '\0';
	for (size_t k = 0; k < truth->ncategories && k < 3 && used < sizeof(names); k++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%" PRId64 " %.40s", k ? ", " : "",
					 truth->category_ids[k], truth->category_names[k]);
	say(v, find(v, FRCNN_FINDING_OWN_CATEGORIES, false, v->by_id), 0,
	    "%zu detection%s without a class name joined by category_id, where the ground truth has names alone and "
	    "counts them in byte order (%s%s): a file of labels gives another order",
	    v->by_id, plural(v->by_id), names, truth->ncategories > 3 ? ", ..." : "");
}

/* -- category ids that are shifted -- */

enum shift { AS_IS, ONE_MORE, ONE_LESS, FROM_ZERO, FROM_ONE, SHIFTS };

static int64_t shifted(const struct frcnn_eval_truth *truth, enum shift shift, int64_t id, bool *found)
{
	int64_t at = shift == FROM_ONE ? id - (id > INT64_MIN) : id;

	*found = true;
	switch (shift) {
	case ONE_MORE:
		return id < INT64_MAX ? id + 1 : id;
	case ONE_LESS:
		return id > INT64_MIN ? id - 1 : id;
	case FROM_ZERO:
	case FROM_ONE:
		*found = at >= 0 && (uint64_t)at < truth->ncategories;
		return *found ? truth->category_ids[at] : 0;
	case AS_IS:
	case SHIFTS:
		break;
	}
	return id;
}

static bool take_shifted(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
			 uint32_t *category, double bbox[4])
{
	bool found;

	(void)image, (void)bbox;
	if (!has_id)
		return false;
	id = shifted(e->v->truth, *(const enum shift *)context, id, &found);
	return found && frcnn_eval_category(e->v->truth, id, category);
}

/* Objects of the sampled images (image % stride == 0), by image. */
struct sample {
	size_t stride, nslots;
	size_t *first;
	uint32_t *object;
	int64_t *category_id; /* of each object in `object` */
};

static int sample_make(const struct frcnn_eval_truth *truth, struct sample *s)
{
	size_t n = 0;

	s->stride = truth->nimages / SAMPLED_IMAGES + 1;
	s->nslots = truth->nimages / s->stride + 1;
	s->first = frcnn_calloc(s->nslots + 1, sizeof(*s->first));
	if (!s->first)
		return FRCNN_ENOMEM;
	for (size_t g = 0; g < truth->nobjects; g++) {
		if (truth->image[g] % s->stride == 0) {
			s->first[truth->image[g] / s->stride]++;
			n++;
		}
	}
	s->object = frcnn_calloc(n, sizeof(*s->object));
	s->category_id = frcnn_calloc(n, sizeof(*s->category_id));
	if (!s->object || !s->category_id)
		return FRCNN_ENOMEM;
	for (size_t i = 0, sum = 0; i <= s->nslots; i++) {
		sum += s->first[i];
		s->first[i] = sum; /* the end; filling backwards makes it the start */
	}
	for (size_t k = truth->ncategories; k-- > 0;) {
		for (size_t g = truth->category_first[k + 1]; g-- > truth->category_first[k];) {
			if (truth->image[g] % s->stride != 0)
				continue;
			size_t at = --s->first[truth->image[g] / s->stride];
			s->object[at] = (uint32_t)g;
			s->category_id[at] = truth->category_ids[k];
		}
	}
	return 0;
}

/* The object that overlaps most speaks for the shifts that would give its category. */
static void vote(const struct frcnn_eval_truth *truth, const struct sample *s, uint32_t image, int64_t id,
		 const double bbox[4], size_t votes[SHIFTS], size_t *voters)
{
	double best = 0.5;
	int64_t wanted = 0;
	bool found = false;

	if (image % s->stride != 0)
		return;
	for (size_t i = s->first[image / s->stride]; i < s->first[image / s->stride + 1]; i++) {
		size_t g = s->object[i];
		double iou = frcnn_eval_iou(bbox, truth->bbox + 4 * g, false);
		/* of equal overlaps the object of the same category is meant */
		if (iou < best || (found && iou == best && s->category_id[i] != id))
			continue;
		best = iou;
		wanted = s->category_id[i];
		found = true;
	}
	if (!found)
		return;
	++*voters;
	for (int shift = 0; shift < SHIFTS; shift++) {
		bool known;
		int64_t other = shifted(truth, (enum shift)shift, id, &known);
		votes[shift] += known && other == wanted;
	}
}

static int find_shift(struct frcnn_validation *v, struct effects *e, struct frcnn_error *err)
{
	static const char *const looks[SHIFTS] = {"", "one too low", "one too high",
						  "like places in the list of categories, counted from 0",
						  "like places in the list of categories, counted from 1"};
	const struct frcnn_eval_truth *truth = v->truth;
	const struct frcnn_eval_detections *d = e->detections;
	struct sample sample = {0};
	size_t votes[SHIFTS] = {0}, voters = 0;
	int best = AS_IS, rc = 0;
	char change[160];

	if (v->by_name || (!d->count && !v->nstrays) || truth->nobjects == 0)
		return 0;
	if (sample_make(truth, &sample) < 0) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t k = 0; k < truth->ncategories; k++)
		for (size_t i = d->category_first[k]; i < d->category_first[k + 1]; i++)
			vote(truth, &sample, d->image[i], truth->category_ids[k], d->bbox + 4 * i, votes, &voters);
	for (size_t i = 0; i < v->nstrays; i++)
		if (v->strays[i].has_id)
			vote(truth, &sample, v->strays[i].image, v->strays[i].id, v->strays[i].bbox, votes, &voters);
	for (int shift = 1; shift < SHIFTS; shift++)
		if (votes[shift] > votes[best])
			best = shift;
	/* most are off; or nearly all would be right, where a fair part is not (the first ids of a list agree anyway)
	 */
	bool off = votes[best] * 2 >= voters && votes[best] > 2 * votes[AS_IS];
	bool partly = votes[best] * 10 >= voters * 9 && votes[AS_IS] * 10 <= voters * 8;
	if (best == AS_IS || votes[best] < 3 || !(off || partly))
		goto out;
	enum shift shift = (enum shift)best;
	double repaired = NAN;
	if ((rc = effects_make(e, err)) < 0 || (rc = need_ap(e, err)) < 0 ||
	    (rc = repaired_ap(e, take_shifted, &shift, true, &repaired, err)) < 0)
		goto out;
	if (!(repaired > e->ap))
		goto out;
	struct frcnn_finding *f = find(v, FRCNN_FINDING_SHIFTED, false, votes[best]);
	f->ap = e->ap;
	f->repaired = repaired;
	say(v, f, 0,
	    "category ids look %s: of %zu detections that lie on an object %zu have its category so, %zu as they "
	    "are%s",
	    looks[best], voters, votes[best], votes[AS_IS], effect(f, "with that mended", change));
out:
	free(sample.first);
	free(sample.object);
	free(sample.category_id);
	return rc;
}

/* -- boxes -- */

struct boxes {
	size_t sized;    /* in images of known size */
	size_t corners;  /* sized: make sense as corners within the image */
	size_t leaving;  /* sized: beyond the right or lower edge as they are, within as corners */
	size_t outside;  /* sized: beyond any edge by more than a pixel */
	size_t fraction; /* all four numbers within 0 .. 1, in an image that is not so small */
	uint32_t first_outside, first_corner, first_fraction; /* rows, the earliest in the input; NONE */
};

static void earliest(const struct frcnn_eval_detections *d, uint32_t *first, size_t row)
{
	if (*first == NONE || d->order[row] < d->order[*first])
		*first = (uint32_t)row;
}

static struct boxes look_at_boxes(const struct frcnn_eval_truth *truth, const struct frcnn_eval_detections *d)
{
	struct boxes b = {.first_outside = NONE, .first_corner = NONE, .first_fraction = NONE};

	for (size_t i = 0; i < d->count; i++) {
		const double *box = d->bbox + 4 * i, x = box[0], y = box[1], w = box[2], h = box[3];
		int width = truth->widths[d->image[i]], height = truth->heights[d->image[i]];
		if (x >= -0.01 && y >= -0.01 && x <= 1.01 && y <= 1.01 && w <= 1.01 && h <= 1.01 &&
		    (width == 0 || width > 2) && (height == 0 || height > 2)) {
			b.fraction++;
			earliest(d, &b.first_fraction, i);
		}
		if (width <= 0 || height <= 0)
			continue;
		b.sized++;
		bool beyond = x + w > width + 1 || y + h > height + 1;
		bool corners = w > x && h > y && w <= width + 1 && h <= height + 1 && x >= -1 && y >= -1;
		b.corners += corners;
		if (corners && beyond) {
			b.leaving++;
			earliest(d, &b.first_corner, i);
		}
		if (beyond || x < -1 || y < -1) {
			b.outside++;
			earliest(d, &b.first_outside, i);
		}
	}
	return b;
}

static bool take_corners(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
			 uint32_t *category, double bbox[4])
{
	(void)e, (void)context, (void)image, (void)has_id, (void)id, (void)category;
	bbox[2] = bbox[2] > bbox[0] ? bbox[2] - bbox[0] : 0;
	bbox[3] = bbox[3] > bbox[1] ? bbox[3] - bbox[1] : 0;
	return true;
}

enum fraction { CORNER_AND_SIZE, CENTRE_AND_SIZE, TWO_CORNERS, FRACTIONS };

static bool take_fractions(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
			   uint32_t *category, double bbox[4])
{
	enum fraction how = *(const enum fraction *)context;
	double width = e->v->truth->widths[image], height = e->v->truth->heights[image];

	if (how == TWO_CORNERS)
		take_corners(e, NULL, image, has_id, id, category, bbox);
	if (how == CENTRE_AND_SIZE) {
		bbox[0] -= bbox[2] / 2;
		bbox[1] -= bbox[3] / 2;
	}
	bbox[0] *= width;
	bbox[2] *= width;
	bbox[1] *= height;
	bbox[3] *= height;
	return true;
}

static bool take_clipped(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
			 uint32_t *category, double bbox[4])
{
	double size[2] = {e->v->truth->widths[image], e->v->truth->heights[image]};

	(void)context, (void)has_id, (void)id, (void)category;
	for (int k = 0; k < 2; k++) {
		double low = bbox[k], high = bbox[k] + bbox[k + 2];
		if (size[k] <= 0 || (low >= 0 && high <= size[k]))
			continue;
		low = low < 0 ? 0 : low > size[k] ? size[k] : low;
		high = high < 0 ? 0 : high > size[k] ? size[k] : high;
		bbox[k] = low;
		bbox[k + 2] = high - low;
	}
	return true;
}

static bool take_scaled(const struct effects *e, const void *context, uint32_t image, bool has_id, int64_t id,
			uint32_t *category, double bbox[4])
{
	(void)context, (void)has_id, (void)id, (void)category;
	for (int k = 0; k < 4; k++)
		bbox[k] *= e->v->scale[2 * image + k % 2];
	return true;
}

/* 'image 12 ("a.jpg"), [1, 2, 3, 4]' */
static const char *show_box(const struct effects *e, uint32_t row, char out[180])
{
	const double *b = e->detections->bbox + 4 * (size_t)row;
	char who[96];
	snprintf(out, 180, "%s, [%.6g, %.6g, %.6g, %.6g]", show_image(e->v->truth, e->detections->image[row], who),
		 b[0], b[1], b[2], b[3]);
	return out;
}

static int find_corners(struct frcnn_validation *v, struct effects *e, const struct boxes *b, bool *found,
			struct frcnn_error *err)
{
	double repaired = NAN;
	char change[160], box[180];

	*found = false;
	if (!b->leaving || b->corners * 20 < b->sized * 19 || b->leaving * 10 < b->sized)
		return 0;
	int rc = effects_make(e, err);
	if (rc < 0 || (rc = need_ap(e, err)) < 0 ||
	    (rc = repaired_ap(e, take_corners, NULL, false, &repaired, err)) < 0)
		return rc;
	if (repaired < e->ap)
		return 0;
	*found = true;
	struct frcnn_finding *f = find(v, FRCNN_FINDING_XYXY, false, b->leaving);
	f->ap = e->ap;
	f->repaired = repaired;
	say(v, f, 0,
	    "boxes look like corners (x1, y1, x2, y2), not left, top, width, height: %zu of %zu leave their image as "
	    "they "
	    "are and fit it as corners, the first: %s%s",
	    b->leaving, b->sized, show_box(e, b->first_corner, box), effect(f, "as corners", change));
	return 0;
}

static int find_fractions(struct frcnn_validation *v, struct effects *e, const struct boxes *b, bool *found,
			  struct frcnn_error *err)
{
	static const char *const ways[FRACTIONS] = {"times the image's size",
						    "times the image's size, from their centre,",
						    "times the image's size, as corners,"};
	double best = -2;
	int way = CORNER_AND_SIZE, rc = 0;
	char change[160], box[180];

	*found = b->fraction > 0 && b->fraction * 100 >= e->detections->count * 99;
	if (!*found)
		return 0;
	struct frcnn_finding *f = find(v, FRCNN_FINDING_NORMALISED, false, b->fraction);
	/* without sizes nothing can be made of them */
	if (b->sized == e->detections->count && (rc = effects_make(e, err)) == 0 && (rc = need_ap(e, err)) == 0) {
		for (int i = 0; i < FRACTIONS && rc == 0; i++) {
			enum fraction how = (enum fraction)i;
			double ap = -1;
			rc = repaired_ap(e, take_fractions, &how, false, &ap, err);
			if (ap > best) {
				best = ap;
				way = i;
			}
		}
		f->ap = e->ap;
		f->repaired = best;
	}
	if (rc < 0)
		return rc;
	say(v, f, 0,
	    "boxes look like fractions of the image, not pixels: %zu of %zu lie within 0 .. 1, the first: %s%s",
	    b->fraction, e->detections->count, show_box(e, b->first_fraction, box), effect(f, ways[way], change));
	return 0;
}

static int find_outside(struct frcnn_validation *v, struct effects *e, const struct boxes *b, bool cheap,
			struct frcnn_error *err)
{
	struct frcnn_finding *f;
	char change[160], box[180];
	int rc;

	if (!b->outside)
		return 0;
	f = find(v, FRCNN_FINDING_OUTSIDE, false, b->outside);
	if (cheap) {
		if ((rc = effects_make(e, err)) < 0 || (rc = need_ap(e, err)) < 0 ||
		    (rc = repaired_ap(e, take_clipped, NULL, false, &f->repaired, err)) < 0)
			return rc;
		f->ap = e->ap;
	}
	say(v, f, 0, "%zu box%s out of %s image by more than a pixel, the first: %s%s", b->outside,
	    b->outside == 1 ? " reaches" : "es reach", b->outside == 1 ? "its" : "their",
	    show_box(e, b->first_outside, box), effect(f, "clipped", change));
	return 0;
}

static int find_sizes(struct frcnn_validation *v, struct effects *e, struct frcnn_error *err)
{
	struct frcnn_finding *f;
	char change[160];
	int rc;

	if (!v->nsize)
		return 0;
	f = find(v, FRCNN_FINDING_SIZE, false, v->nsize);
	if ((rc = effects_make(e, err)) < 0 || (rc = need_ap(e, err)) < 0 ||
	    (rc = repaired_ap(e, take_scaled, NULL, false, &f->repaired, err)) < 0)
		return rc;
	f->ap = e->ap;
	say(v, f, v->size.line, "%zu record%s state%s another width and height than the ground truth, the first: %s%s",
	    v->nsize, plural(v->nsize), v->nsize == 1 ? "s" : "", v->size.text[0],
	    effect(f, "with the boxes scaled to the ground truth's", change));
	return 0;
}

/* -- images without a record -- */

/* The truth without the objects of images that were not seen: columns of its own, the rest borrowed. */
static int seen_alone(const struct frcnn_validation *v, struct frcnn_eval_truth *out)
{
	const struct frcnn_eval_truth *t = v->truth;
	size_t n = 0;

	*out = *t;
	out->category_first = frcnn_calloc(t->ncategories + 1, sizeof(*out->category_first));
	out->image = frcnn_calloc(t->nobjects, sizeof(*out->image));
	out->bbox = frcnn_calloc(t->nobjects, 4 * sizeof(*out->bbox));
	out->area = frcnn_calloc(t->nobjects, sizeof(*out->area));
	out->crowd = frcnn_calloc(t->nobjects, sizeof(*out->crowd));
	out->id = frcnn_calloc(t->nobjects, sizeof(*out->id));
	out->order = frcnn_calloc(t->nobjects, sizeof(*out->order));
	if (!out->order || !out->category_first || !out->image || !out->bbox || !out->area || !out->crowd || !out->id)
		return FRCNN_ENOMEM;
	for (size_t k = 0; k < t->ncategories; k++) {
		for (size_t g = t->category_first[k]; g < t->category_first[k + 1]; g++) {
			if (!v->seen[t->image[g]])
				continue;
			out->image[n] = t->image[g];
			memcpy(out->bbox + 4 * n, t->bbox + 4 * g, 4 * sizeof(*out->bbox));
			out->area[n] = t->area[g];
			out->crowd[n] = t->crowd[g];
			out->order[n] = t->order[g];
			out->id[n++] = t->id[g];
		}
		out->category_first[k + 1] = n;
	}
	out->nobjects = n;
	return 0;
}

static int find_unrecorded(struct frcnn_validation *v, struct effects *e, bool cheap, struct frcnn_error *err)
{
	const struct frcnn_eval_truth *t = v->truth;
	struct frcnn_eval_truth seen;
	struct frcnn_finding *f;
	size_t missing = 0, first = 0, objects = 0;
	char change[160], file[120] = "";
	int rc = 0;

	for (size_t i = t->nimages; i-- > 0;) {
		if (!v->seen[i]) {
			missing++;
			first = i;
		}
	}
	if (!missing)
		return 0;
	for (size_t g = 0; g < t->nobjects; g++)
		objects += !v->seen[t->image[g]] && !t->crowd[g];
	f = find(v, FRCNN_FINDING_NO_RECORD, false, missing);
	if (cheap && objects && missing < t->nimages) {
		rc = need_ap(e, err);
		if (rc == 0) {
			rc = seen_alone(v, &seen);
			if (rc < 0)
				frcnn_fail_nomem(err);
			else
				rc = evaluate(e, &seen, e->detections, &f->repaired, err);
			free(seen.category_first);
			free(seen.image);
			free(seen.bbox);
			free(seen.area);
			free(seen.crowd);
			free(seen.id);
			free(seen.order);
		}
		f->ap = e->ap;
	}
	if (t->file_names[first])
		snprintf(file, sizeof(file), " (\"%.100s\")", t->file_names[first]);
	say(v, f, 0,
	    "%zu of %zu images of the ground truth have no record, the first is %" PRId64 "%s: %zu object%s missed%s",
	    missing, t->nimages, t->image_ids[first], file, objects, plural(objects),
	    effect(f, "over the other images alone", change));
	return rc;
}

int frcnn_validation_finish(struct frcnn_validation *v, const struct frcnn_eval_detections *detections,
			    const struct frcnn_eval_options *options, double ap, size_t effect_limit,
			    struct frcnn_pool *pool, struct frcnn_error *err)
{
	struct effects e = {.v = v, .detections = detections, .options = *options, .pool = pool, .ap = ap};
	bool cheap = detections->count <= effect_limit && v->truth->nobjects <= effect_limit, odd_boxes = false;
	int rc;

	e.options.nareas = 1;
	e.options.max_dets[0] = options->max_dets[options->nmax_dets - 1];
	e.options.nmax_dets = 1;
	v->nfindings = 0;
	find_orphans(v);
	find_twice(v);
	find_bad(v);
	rc = find_unknown(v, &e, err);
	if (rc == 0)
		rc = find_shift(v, &e, err);
	find_own_categories(v);
	struct boxes boxes = look_at_boxes(v->truth, detections);
	if (rc == 0)
		rc = find_corners(v, &e, &boxes, &odd_boxes, err);
	if (rc == 0 && !odd_boxes)
		rc = find_fractions(v, &e, &boxes, &odd_boxes, err);
	if (rc == 0 && !odd_boxes)
		rc = find_outside(v, &e, &boxes, cheap, err);
	if (rc == 0)
		rc = find_sizes(v, &e, err);
	if (rc == 0)
		rc = find_unrecorded(v, &e, cheap, err);
	free(e.input);
	free(e.category);
	return rc;
}

const struct frcnn_finding *frcnn_validation_findings(const struct frcnn_validation *v, size_t *count)
{
	*count = v->nfindings;
	return v->findings;
}
