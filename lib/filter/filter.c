/* Reading, suppressing, writing. */
#include "filter/filter.h"

#include <math.h>

enum { BATCH = 64 };

/* ---- making ---- */

int frcnn_filter_new(const struct frcnn_filter_options *options, size_t nsources, struct frcnn_pool *pool,
		     const struct frcnn_notices *notices, struct frcnn_filter **out, struct frcnn_error *err)
{
	struct frcnn_filter *f = frcnn_calloc(1, sizeof(*f));

	*out = NULL;
	if (!f)
		return frcnn_fail_nomem(err);
	f->options = *options;
	f->pool = pool;
	if (notices)
		f->notices = *notices;
	f->nsources = nsources;
	f->sources = frcnn_calloc(nsources, sizeof(*f->sources));
	f->weights = frcnn_calloc(nsources, sizeof(*f->weights));
	if (!f->sources || !f->weights) {
		frcnn_filter_free(f);
		return frcnn_fail_nomem(err);
	}
	for (size_t s = 0; s < nsources; s++)
		f->weights[s] = options->nms.weights ? options->nms.weights[s] : 1;
	f->options.nms.weights = f->weights;
	f->options.nms.nsources = (int)nsources;
	*out = f;
	return 0;
}

static void clear_source(struct frcnn_filter_source *source)
{
	for (size_t p = 0; p < source->nparts; p++)
		free(source->parts[p].file_name);
	source->nparts = 0;
	source->nentries = 0;
}

void frcnn_filter_free(struct frcnn_filter *f)
{
	if (!f)
		return;
	for (size_t s = 0; s < f->nsources && f->sources; s++) {
		struct frcnn_filter_source *source = &f->sources[s];
		clear_source(source);
		for (size_t i = 0; i < source->nlines; i++)
			free(source->lines[i]);
		free(source->lines);
		free(source->kinds);
		free(source->entries);
		free(source->parts);
		frcnn_filter_labels_free(&source->labels);
		frcnn_records_close(source->records);
	}
	free(f->sources);
	free(f->weights);
	free(f->images);
	free(f->thresholds);
	if (!f->streamed)
		frcnn_filter_labels_free(&f->labels);
	free(f);
}

struct frcnn_filter_counts frcnn_filter_counts(const struct frcnn_filter *f)
{
	return f->counts;
}

/* ---- classes ---- */

static bool means(const char *word, const struct frcnn_filter_label *label)
{
	int64_t id;
	if (label->name && strcmp(word, label->name) == 0)
		return true;
	return label->has_id && frcnn_parse_int64(word, strlen(word), &id) == 0 && id == label->id;
}

static bool wanted(const struct frcnn_filter *f, const struct frcnn_filter_label *label)
{
	for (size_t i = 0; i < f->options.nclasses; i++)
		if (means(f->options.classes[i], label))
			return true;
	return f->options.nclasses == 0;
}

/* Thresholds of labels that are new. */
static int note_labels(struct frcnn_filter *f)
{
	const struct frcnn_filter_thresholds *t = f->options.thresholds;
	while (t && f->nthresholds < f->labels.count) {
		void *grown = f->thresholds;
		int rc = frcnn_grow(&grown, &f->threshold_capacity, f->nthresholds + 1, sizeof(*f->thresholds));
		f->thresholds = grown;
		if (rc < 0)
			return FRCNN_ENOMEM;
		double *own = &f->thresholds[f->nthresholds];
		*own = NAN;
		for (size_t i = 0; i < t->count && isnan(*own); i++)
			if (means(t->items[i].name, &f->labels.items[f->nthresholds]))
				*own = t->items[i].iou;
		f->nthresholds++;
	}
	return 0;
}

/* ---- reading ---- */

static bool is_fusion(const struct frcnn_filter *f)
{
	return f->options.nms.method == FRCNN_NMS_WBF || f->options.nms.method == FRCNN_NMS_NMW;
}

/* Makes the span reach over another one of the same text. */
static void widen(struct frcnn_span *span, struct frcnn_span other)
{
	const char *end, *before;

	if (!span->data) {
		*span = other;
		return;
	}
	end = other.data + other.size;
	before = span->data + span->size;
	span->data = other.data < span->data ? other.data : span->data;
	span->size = (size_t)((end > before ? end : before) - span->data);
}

/* Labels are the source's own: sources are read side by side. */
int frcnn_filter_add_entry(struct frcnn_filter *f, struct frcnn_filter_source *source,
			   const struct frcnn_record_item *item)
{
	const struct frcnn_filter_options *o = &f->options;
	size_t label =
	    frcnn_filter_labels_find(&source->labels, item->category, item->has_category_id, item->category_id);
	if (label == SIZE_MAX)
		return FRCNN_ENOMEM;
	source->in++;
	if (source->form == FRCNN_FORM_COCO_DATASET)
		widen(&source->items, item->text);
	if (!isnan(o->score) && !(item->score_f32 > (float)o->score))
		return 0;
	float shorter = item->bbox_f32[2] < item->bbox_f32[3] ? item->bbox_f32[2] : item->bbox_f32[3];
	if (!isnan(o->min_size) && !((double)shorter >= o->min_size))
		return 0;
	/* of several sources another may have the class's name: then it is asked when all are there */
	if (f->streamed && !wanted(f, &source->labels.items[label]))
		return 0;
	void *grown = source->entries;
	int rc = frcnn_grow(&grown, &source->entry_capacity, source->nentries + 1, sizeof(*source->entries));
	source->entries = grown;
	if (rc < 0 || item->text.size > UINT32_MAX)
		return FRCNN_ENOMEM;
	struct frcnn_filter_entry *e = &source->entries[source->nentries++];
	*e = (struct frcnn_filter_entry){
	    .text = item->text.data,
	    .size = (uint32_t)item->text.size,
	    .bbox_at = (uint32_t)(item->bbox_text.data - item->text.data),
	    .bbox_size = (uint32_t)item->bbox_text.size,
	    .label = (int32_t)label,
	    .source = (uint32_t)(source - f->sources),
	    .score = item->score_f32,
	    .coco = source->form != FRCNN_FORM_JSONL,
	    .index = item->index,
	};
	if (item->score_text.data) {
		e->score_at = (uint32_t)(item->score_text.data - item->text.data);
		e->score_size = (uint32_t)item->score_text.size;
	}
	memcpy(e->box, item->bbox_f32, sizeof(e->box));
	return 0;
}

static int add_record(struct frcnn_filter *f, struct frcnn_filter_source *source, const struct frcnn_record *record)
{
	bool proposals = !record->has_detections;
	const struct frcnn_record_item *items = proposals ? record->proposals : record->detections;
	size_t count = proposals ? record->nproposals : record->ndetections;
	void *grown = source->parts;
	int rc = frcnn_grow(&grown, &source->part_capacity, source->nparts + 1, sizeof(*source->parts));

	source->parts = grown;
	if (rc < 0)
		return rc;
	struct frcnn_filter_part *part = &source->parts[source->nparts];
	*part = (struct frcnn_filter_part){
	    .first = source->nentries,
	    .source = (size_t)(source - f->sources),
	    .line = record->line,
	    .has_id = record->has_image_id,
	    .proposals = proposals,
	    .id = record->image_id,
	    .width = record->width,
	    .height = record->height,
	    .text = record->text,
	    .array = proposals ? record->proposals_text : record->detections_text,
	    .image = SIZE_MAX,
	};
	if (record->file_name && !(part->file_name = frcnn_strdup(record->file_name)))
		return FRCNN_ENOMEM;
	source->nparts++;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = frcnn_filter_add_entry(f, source, &items[i]);
	part->count = source->nentries - part->first;
	return rc;
}

/* Notices of sources that are read side by side wait until all are there. */
static void keep_notice(void *context, enum frcnn_notice_kind kind, const char *line)
{
	struct frcnn_filter_source *source = context;
	void *lines = source->lines, *kinds = source->kinds;
	char *copy = frcnn_strdup(line);
	int rc = frcnn_grow(&lines, &source->line_capacity, source->nlines + 1, sizeof(*source->lines));

	source->lines = lines;
	if (rc == 0)
		rc = frcnn_grow(&kinds, &source->kind_capacity, source->nlines + 1, 1);
	source->kinds = kinds;
	if (rc < 0 || !copy) {
		free(copy);
		source->status = FRCNN_ENOMEM;
		return;
	}
	source->kinds[source->nlines] = (uint8_t)kind;
	source->lines[source->nlines++] = copy;
}

static void load_source(void *context, size_t index, int worker)
{
	struct frcnn_filter *f = context;
	struct frcnn_filter_source *source = &f->sources[index];
	struct frcnn_notices notices = {keep_notice, source};
	const struct frcnn_record *record;
	int rc;

	(void)worker;
	rc = frcnn_filter_read_plain(f, source);
	if (rc < 0)
		source->status = frcnn_fail_nomem(&source->err);
	if (rc != 0)
		return;
	source->status = frcnn_records_open_memory(source->text, source->size, source->name, &notices, &source->records,
						   &source->err);
	while (source->status == 0 && (rc = frcnn_records_next(source->records, &record, &source->err)) != 0) {
		source->form = frcnn_records_form(source->records);
		if (rc > 0)
			rc = add_record(f, source, record);
		if (rc == FRCNN_ENOMEM) {
			source->status = frcnn_fail_nomem(&source->err);
		} else if (rc < 0) {
			source->failed++;
			keep_notice(source, FRCNN_NOTICE_ERROR, source->err.message);
		}
	}
	if (source->records)
		source->form = frcnn_records_form(source->records);
}

static int merge_source(struct frcnn_filter *f, struct frcnn_filter_source *source, struct frcnn_error *err)
{
	for (size_t i = 0; i < source->nlines && f->notices.note; i++)
		f->notices.note(f->notices.context, (enum frcnn_notice_kind)source->kinds[i], source->lines[i]);
	if (source->status)
		return frcnn_fail(err, source->status, "%s: %s", source->name, source->err.message);
	f->counts.in += source->in;
	f->counts.failed += source->failed;
	size_t *map = frcnn_calloc(source->labels.count, sizeof(*map));
	if (!map)
		return frcnn_fail_nomem(err);
	for (size_t l = 0; l < source->labels.count; l++) {
		const struct frcnn_filter_label *label = &source->labels.items[l];
		map[l] = frcnn_filter_labels_find(&f->labels, label->name, label->has_id, label->id);
		if (map[l] == SIZE_MAX) {
			free(map);
			return frcnn_fail_nomem(err);
		}
	}
	for (size_t i = 0; i < source->nentries; i++)
		source->entries[i].label = (int32_t)map[source->entries[i].label];
	free(map);
	return 0;
}

/* Leaves out what is of a class that is not wanted; labels are those of all sources. */
static int select_classes(struct frcnn_filter *f)
{
	bool *keep = frcnn_calloc(f->labels.count, sizeof(*keep));

	if (!keep)
		return FRCNN_ENOMEM;
	for (size_t l = 0; l < f->labels.count; l++)
		keep[l] = wanted(f, &f->labels.items[l]);
	for (size_t s = 0; s < f->nsources; s++) {
		struct frcnn_filter_source *source = &f->sources[s];
		for (size_t p = 0; p < source->nparts; p++) {
			struct frcnn_filter_part *part = &source->parts[p];
			struct frcnn_filter_entry *entries = source->entries + part->first;
			size_t count = 0;
			for (size_t i = 0; i < part->count; i++)
				if (keep[entries[i].label])
					entries[count++] = entries[i];
			part->count = count;
		}
	}
	free(keep);
	return 0;
}

bool frcnn_filter_has_class(const struct frcnn_filter *f, const char *word)
{
	for (size_t l = 0; l < f->labels.count; l++)
		if (means(word, &f->labels.items[l]))
			return true;
	return f->labels.count == 0;
}

/* What computes scores or boxes has no place to put them in a dataset, whose annotations have areas and outlines. */
static int check_datasets(const struct frcnn_filter *f, struct frcnn_error *err)
{
	for (size_t s = 0; s < f->nsources; s++) {
		const struct frcnn_filter_source *source = &f->sources[s];
		if (source->form != FRCNN_FORM_COCO_DATASET)
			continue;
		if (f->options.nms.method != FRCNN_NMS_HARD && f->options.nms.method != FRCNN_NMS_DIOU)
			return frcnn_fail(err, FRCNN_EINVAL,
					  "%s: a COCO dataset has no scores: only hard and diou go with it",
					  source->name);
		if (f->nsources > 1 && !f->options.convert)
			return frcnn_fail(err, FRCNN_EINVAL, "%s: a COCO dataset is filtered alone, or with a format",
					  source->name);
		if (source->failed)
			return frcnn_fail(err, FRCNN_EFORMAT, "%s: a COCO dataset with errors is not filtered",
					  source->name);
	}
	return 0;
}

int frcnn_filter_load(struct frcnn_filter *f, const struct frcnn_filter_input *inputs, struct frcnn_error *err)
{
	int rc = 0;

	for (size_t s = 0; s < f->nsources; s++) {
		f->sources[s].name = inputs[s].name;
		f->sources[s].text = inputs[s].text;
		f->sources[s].size = inputs[s].size;
	}
	frcnn_pool_run(f->pool, f->nsources, load_source, f);
	for (size_t s = 0; s < f->nsources && rc == 0; s++)
		rc = merge_source(f, &f->sources[s], err);
	if (rc == 0)
		rc = check_datasets(f, err);
	if (rc == 0 && (note_labels(f) < 0 || (f->options.nclasses > 0 && select_classes(f) < 0)))
		rc = frcnn_fail_nomem(err);
	return rc == 0 ? frcnn_filter_join(f, err) : rc;
}

/* ---- one image ---- */

struct ordering {
	const struct frcnn_filter *filter;
	struct frcnn_filter_entry **entries;
};

static int compare_boxes(const void *a, const void *b, void *context)
{
	const struct ordering *o = context;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	const struct frcnn_filter_entry *x = o->entries[i], *y = o->entries[k];

	for (int c = 0; c < 4; c++)
		if (x->box[c] != y->box[c])
			return x->box[c] < y->box[c] ? -1 : 1;
	const struct frcnn_filter_label *l = &o->filter->labels.items[x->label],
					*m = &o->filter->labels.items[y->label];
	if (l != m) {
		int order = l->name && m->name ? strcmp(l->name, m->name) : (l->name != NULL) - (m->name != NULL);
		if (order)
			return order;
		if (l->id != m->id)
			return l->id < m->id ? -1 : 1;
	}
	size_t shorter = x->size < y->size ? x->size : y->size;
	int order = memcmp(x->text, y->text, shorter);
	if (order || x->size != y->size)
		return order ? order : x->size < y->size ? -1 : 1;
	return i < k ? -1 : i > k;
}

/* The image's detections in arrays, in the order of sources and input. */
struct gathered {
	size_t count;
	struct frcnn_filter_entry **entries;
	float *boxes, *scores;
	int *labels, *sources;
	uint32_t *order;
	void *block;
};

static int gather(const struct frcnn_filter *f, const struct frcnn_filter_joined *image, struct gathered *g)
{
	size_t n = 0, count = 0;

	for (const struct frcnn_filter_part *part = image->parts; part; part = part->next)
		count += part->count;
	memset(g, 0, sizeof(*g));
	g->block = frcnn_alloc_aligned(count + 1,
				       sizeof(*g->entries) + 5 * sizeof(float) + 2 * sizeof(int) + sizeof(uint32_t));
	if (!g->block)
		return FRCNN_ENOMEM;
	g->entries = g->block;
	g->boxes = (float *)(void *)(g->entries + count);
	g->scores = g->boxes + 4 * count;
	g->labels = (int *)(void *)(g->scores + count);
	g->sources = g->labels + count;
	g->order = (uint32_t *)(void *)(g->sources + count);
	for (const struct frcnn_filter_part *part = image->parts; part; part = part->next) {
		for (size_t i = 0; i < part->count; i++, n++) {
			struct frcnn_filter_entry *e = &f->sources[part->source].entries[part->first + i];
			g->entries[n] = e;
			g->boxes[4 * n] = e->box[0];
			g->boxes[4 * n + 1] = e->box[1];
			g->boxes[4 * n + 2] = e->box[0] + e->box[2];
			g->boxes[4 * n + 3] = e->box[1] + e->box[3];
			g->scores[n] = e->score;
			g->labels[n] = f->options.agnostic ? 0 : e->label;
			g->sources[n] = (int)e->source;
			g->order[n] = (uint32_t)n;
		}
	}
	g->count = n;
	if (f->options.by_box) {
		struct ordering o = {f, g->entries};
		qsort_r(g->order, n, sizeof(*g->order), compare_boxes, &o);
	}
	return 0;
}

static int suppress(const struct frcnn_filter *f, const struct frcnn_filter_joined *image,
		    const struct frcnn_nms_options *nms, const struct gathered *g, struct frcnn_survivors *out,
		    struct frcnn_error *err)
{
	struct frcnn_nms_boxes in = {
	    .count = g->count,
	    .boxes = g->boxes,
	    .scores = g->scores,
	    .labels = g->labels,
	    .nlabels = f->options.agnostic || f->labels.count == 0 ? 1 : (int)f->labels.count,
	    .sources = g->sources,
	    .order = f->options.by_box ? g->order : NULL,
	    .thresholds = f->options.thresholds && !f->options.agnostic ? f->thresholds : NULL,
	    .width = image->width,
	    .height = image->height,
	};
	return frcnn_suppress(&in, nms, out, err);
}

/* Marks and changes the entries that are left, and lists them; *left's list is the caller's to free. */
static int filter_image(struct frcnn_filter *f, const struct frcnn_filter_joined *image, struct frcnn_filter_left *left,
			struct frcnn_error *err)
{
	struct frcnn_survivors survivors = {0};
	struct gathered g;
	int rc = gather(f, image, &g);

	memset(left, 0, sizeof(*left));
	if (rc == 0) {
		rc = suppress(f, image, &f->options.nms, &g, &survivors, err);
		if (rc < 0)
			goto out;
		left->entries = frcnn_calloc(survivors.count, sizeof(*left->entries));
	}
	if (rc < 0 || !left->entries) {
		rc = frcnn_fail_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < survivors.count; i++) {
		struct frcnn_filter_entry *e = g.entries[survivors.index[i]];
		const float *box = survivors.boxes + 4 * i;
		if (!isfinite(survivors.scores[i])) {
			rc = frcnn_fail(err, FRCNN_EINVAL, "a fused score is beyond float32");
			goto out;
		}
		e->kept = true;
		e->rescored = survivors.scores[i] != e->score;
		e->score = survivors.scores[i];
		left->above_one += is_fusion(f) && e->score > 1;
		if (survivors.moved[i]) {
			float moved[4] = {box[0], box[1], box[2] - box[0], box[3] - box[1]};
			for (int c = 0; c < 4; c++)
				if (!isfinite(moved[c])) {
					rc = frcnn_fail(err, FRCNN_EINVAL, "a fused box is beyond float32");
					goto out;
				}
			memcpy(e->box, moved, sizeof(moved));
			e->moved = true;
		}
		left->entries[left->count++] = e;
	}
out:
	frcnn_survivors_free(&survivors);
	free(g.block);
	return rc;
}

/* ---- writing ---- */

enum target { RECORDS, RESULTS, LINES, DATASET, TABLE };

static enum target target_of(const struct frcnn_filter *f)
{
	if (f->options.convert)
		return f->options.format == FRCNN_FORMAT_JSONL  ? RECORDS
		       : f->options.format == FRCNN_FORMAT_COCO ? RESULTS
								: TABLE;
	/* of an empty input the next one says */
	for (size_t s = 0; s < f->nsources; s++) {
		switch (f->sources[s].form) {
		case FRCNN_FORM_JSONL:
			return RECORDS;
		case FRCNN_FORM_COCO_ARRAY:
			return RESULTS;
		case FRCNN_FORM_COCO_LINES:
			return LINES;
		case FRCNN_FORM_COCO_DATASET:
			return DATASET;
		default:
			break;
		}
	}
	return RECORDS;
}

static const char csv_header[] = "file_name,image_id,width,height,x,y,w,h,score,category_id,category\r\n";

static void complain(struct frcnn_filter *f, const struct frcnn_filter_joined *image, const struct frcnn_error *err)
{
	const struct frcnn_filter_part *part = image->parts;

	f->counts.failed++;
	frcnn_note(&f->notices, FRCNN_NOTICE_ERROR, f->sources[part->source].name, part->line, "%s", err->message);
}

struct batch {
	struct frcnn_filter *filter;
	enum target target;
	size_t first;
	struct frcnn_buffer text[BATCH];
	struct frcnn_error err[BATCH];
	int status[BATCH];
	size_t out[BATCH], above_one[BATCH];
};

static void run_image(void *context, size_t index, int worker)
{
	struct batch *b = context;
	struct frcnn_filter *f = b->filter;
	const struct frcnn_filter_joined *image = &f->images[b->first + index];
	struct frcnn_filter_left left;

	(void)worker;
	frcnn_buffer_clear(&b->text[index]);
	int rc = filter_image(f, image, &left, &b->err[index]);
	if (rc == 0 && b->target == RECORDS)
		rc = frcnn_filter_emit_record(f, image, &left, &b->text[index], &b->err[index]);
	if (rc == 0 && b->target == TABLE)
		rc = frcnn_filter_emit_csv(f, image, &left, &b->text[index], &b->err[index]);
	b->status[index] = rc;
	b->out[index] = left.count;
	b->above_one[index] = left.above_one;
	free(left.entries);
}

/* The images, a batch at a time on the pool's threads; texts are given in order. */
static int run_images(struct frcnn_filter *f, enum target target, frcnn_filter_put put, void *context,
		      struct frcnn_error *err)
{
	struct batch *b = frcnn_calloc(1, sizeof(*b));
	int rc = 0;

	if (!b)
		return frcnn_fail_nomem(err);
	b->filter = f;
	b->target = target;
	for (b->first = 0; b->first < f->nimages && rc == 0; b->first += BATCH) {
		size_t count = f->nimages - b->first < BATCH ? f->nimages - b->first : BATCH;
		frcnn_pool_run(f->pool, count, run_image, b);
		for (size_t i = 0; i < count && rc == 0; i++) {
			if (b->status[i] == FRCNN_ENOMEM) {
				rc = frcnn_fail_nomem(err);
			} else if (b->status[i] < 0) {
				complain(f, &f->images[b->first + i], &b->err[i]);
			} else {
				f->counts.out += b->out[i];
				f->counts.above_one += b->above_one[i];
				if (b->text[i].size)
					rc = put(context, b->text[i].data, b->text[i].size, err);
			}
		}
	}
	for (size_t i = 0; i < BATCH; i++)
		frcnn_buffer_free(&b->text[i]);
	free(b);
	return rc;
}

struct listed {
	struct frcnn_filter_entry *entry;
	size_t image;
};

static int compare_listed(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	return x->entry->index < y->entry->index ? -1 : x->entry->index > y->entry->index;
}

/* What of a source is kept, in input order. */
static int list_kept(const struct frcnn_filter_source *source, struct listed **out, size_t *count)
{
	*count = 0;
	*out = frcnn_calloc(source->nentries, sizeof(**out));
	if (!*out)
		return FRCNN_ENOMEM;
	for (size_t p = 0; p < source->nparts; p++) {
		const struct frcnn_filter_part *part = &source->parts[p];
		for (size_t i = 0; i < part->count && part->image != SIZE_MAX; i++) {
			struct frcnn_filter_entry *e = &source->entries[part->first + i];
			if (e->kept)
				(*out)[(*count)++] = (struct listed){e, part->image};
		}
	}
	if (source->form != FRCNN_FORM_JSONL)
		qsort(*out, *count, sizeof(**out), compare_listed);
	return 0;
}

static int write_results(struct frcnn_filter *f, enum target target, frcnn_filter_put put, void *context,
			 struct frcnn_error *err)
{
	struct frcnn_buffer text = {0};
	struct frcnn_error why;
	bool any = false;
	int rc = 0;

	if (target == RESULTS)
		frcnn_buffer_putc(&text, '[');
	for (size_t s = 0; s < f->nsources && rc == 0; s++) {
		struct listed *kept;
		size_t count;
		rc = list_kept(&f->sources[s], &kept, &count);
		if (rc < 0)
			frcnn_fail_nomem(err);
		for (size_t i = 0; i < count && rc == 0; i++) {
			const struct frcnn_filter_joined *image = &f->images[kept[i].image];
			size_t before = text.size;
			if (target == RESULTS)
				frcnn_buffer_puts(&text, any ? ",\n" : "\n");
			rc = frcnn_filter_emit_result(f, image, kept[i].entry, &text, &why);
			if (rc == FRCNN_ENOMEM) {
				frcnn_fail_nomem(err);
				break;
			}
			if (rc < 0) {
				complain(f, image, &why);
				text.size = before;
				f->counts.out--;
				rc = 0;
				continue;
			}
			any = true;
			if (target == LINES)
				frcnn_buffer_putc(&text, '\n');
			if (text.size > 1 << 18) {
				rc = text.failed ? frcnn_fail_nomem(err) : put(context, text.data, text.size, err);
				frcnn_buffer_clear(&text);
			}
		}
		free(kept);
	}
	if (target == RESULTS)
		frcnn_buffer_puts(&text, any ? "\n]\n" : "]\n");
	if (rc == 0 && text.failed)
		rc = frcnn_fail_nomem(err);
	if (rc == 0 && text.size)
		rc = put(context, text.data, text.size, err);
	frcnn_buffer_free(&text);
	return rc;
}

/* The dataset's text but for the annotations that are gone. */
static int write_dataset(struct frcnn_filter *f, frcnn_filter_put put, void *context, struct frcnn_error *err)
{
	const struct frcnn_filter_source *source = &f->sources[0];
	/* in between there is nothing but annotations */
	const char *from = source->items.data, *to = from + source->items.size, *end = source->text + source->size;
	struct listed *kept = NULL;
	size_t count = 0;
	int rc = 0;

	if (!from)
		return put(context, source->text, source->size, err);
	rc = list_kept(source, &kept, &count);
	if (rc < 0)
		return frcnn_fail_nomem(err);
	rc = put(context, source->text, (size_t)(from - source->text), err);
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (i)
			rc = put(context, ",\n", 2, err);
		if (rc == 0)
			rc = put(context, kept[i].entry->text, kept[i].entry->size, err);
	}
	if (rc == 0)
		rc = put(context, to, (size_t)(end - to), err);
	free(kept);
	return rc;
}

int frcnn_filter_write(struct frcnn_filter *f, frcnn_filter_put put, void *context, struct frcnn_error *err)
{
	enum target target = target_of(f);
	int rc = target == TABLE ? put(context, csv_header, strlen(csv_header), err) : 0;

	if (rc == 0)
		rc = run_images(f, target, put, context, err);
	if (rc < 0 || target == RECORDS || target == TABLE)
		return rc;
	return target == DATASET ? write_dataset(f, put, context, err) : write_results(f, target, put, context, err);
}

/* ---- line by line ---- */

/* One record through the whole: read, suppressed, written. */
static int pass(struct frcnn_filter *f, const struct frcnn_record *record, enum target target,
		struct frcnn_buffer *text, frcnn_filter_put put, void *context, struct frcnn_error *err)
{
	struct frcnn_filter_source *source = &f->sources[0];
	struct frcnn_filter_left left = {0};
	struct frcnn_error why;

	clear_source(source);
	int rc = add_record(f, source, record);
	if (rc < 0)
		return frcnn_fail_nomem(err);
	f->labels = source->labels; /* one source: its labels are all */
	if (note_labels(f) < 0)
		return frcnn_fail_nomem(err);
	struct frcnn_filter_part *part = &source->parts[0];
	struct frcnn_filter_joined image = {part->has_id, part->id, part->file_name, part->width, part->height,
					    part,         1};
	part->image = 0;
	frcnn_buffer_clear(text);
	rc = filter_image(f, &image, &left, &why);
	if (rc == 0 && target == RECORDS)
		rc = frcnn_filter_emit_record(f, &image, &left, text, &why);
	if (rc == 0 && target == TABLE)
		rc = frcnn_filter_emit_csv(f, &image, &left, text, &why);
	for (size_t i = 0; i < left.count && rc == 0 && target == RESULTS; i++) {
		frcnn_buffer_puts(text, f->counts.out + i ? ",\n" : "\n");
		rc = frcnn_filter_emit_result(f, &image, left.entries[i], text, &why);
	}
	free(left.entries);
	if (rc == FRCNN_ENOMEM || (rc == 0 && text->failed))
		return frcnn_fail_nomem(err);
	f->counts.images++;
	if (rc < 0) {
		complain(f, &image, &why);
		return 0;
	}
	f->counts.out += left.count;
	f->counts.above_one += left.above_one;
	return text->size ? put(context, text->data, text->size, err) : 0;
}

int frcnn_filter_stream(struct frcnn_filter *f, FILE *stream, const char *name, frcnn_filter_put put, void *context,
			struct frcnn_error *err)
{
	struct frcnn_filter_source *source = &f->sources[0];
	enum target target = f->options.convert && f->options.format == FRCNN_FORMAT_COCO  ? RESULTS
			     : f->options.convert && f->options.format == FRCNN_FORMAT_CSV ? TABLE
											   : RECORDS;
	const struct frcnn_record *record;
	struct frcnn_buffer text = {0};
	struct frcnn_error why;
	int rc, next;

	source->name = strcmp(name, "-") == 0 ? "standard input" : name;
	source->form = FRCNN_FORM_JSONL;
	f->streamed = true;
	rc = frcnn_records_open_stream(stream, name, &f->notices, &source->records, err);
	if (rc == 0 && target == TABLE)
		rc = put(context, csv_header, strlen(csv_header), err);
	if (rc == 0 && target == RESULTS)
		rc = put(context, "[", 1, err);
	while (rc == 0 && (next = frcnn_records_next(source->records, &record, &why)) != 0) {
		if (next == FRCNN_ENOMEM) {
			rc = frcnn_fail(err, next, "%s", why.message);
		} else if (next < 0) {
			f->counts.failed++;
			if (f->notices.note)
				f->notices.note(f->notices.context, FRCNN_NOTICE_ERROR, why.message);
		} else {
			rc = pass(f, record, target, &text, put, context, err);
		}
	}
	if (rc == 0 && target == RESULTS)
		rc = put(context, f->counts.out ? "\n]\n" : "]\n", f->counts.out ? 3 : 2, err);
	f->counts.in = source->in;
	frcnn_buffer_free(&text);
	return rc;
}

/* ---- for sweeps ---- */

size_t frcnn_filter_nimages(const struct frcnn_filter *f)
{
	return f->nimages;
}

struct frcnn_filter_image frcnn_filter_image_of(const struct frcnn_filter *f, size_t image)
{
	const struct frcnn_filter_joined *i = &f->images[image];
	return (struct frcnn_filter_image){i->file_name, i->has_id, i->id};
}

const struct frcnn_filter_labels *frcnn_filter_labels_of(const struct frcnn_filter *f)
{
	return &f->labels;
}

/* A float32 as a reader of its text gets it. */
static double reread(float value)
{
	char text[32];
	double out = 0;
	frcnn_parse_double(text, frcnn_format_float(value, text), &out);
	return out;
}

int frcnn_filter_try(struct frcnn_filter *f, size_t image, const struct frcnn_nms_options *nms,
		     struct frcnn_filter_found **out, size_t *count, struct frcnn_error *err)
{
	struct frcnn_nms_options own = *nms;
	struct frcnn_survivors left = {0};
	struct gathered g;

	*out = NULL;
	*count = 0;
	if (gather(f, &f->images[image], &g) < 0)
		return frcnn_fail_nomem(err);
	own.weights = f->weights;
	own.nsources = (int)f->nsources;
	int rc = suppress(f, &f->images[image], &own, &g, &left, err);
	if (rc == 0 && !(*out = frcnn_calloc(left.count, sizeof(**out))))
		rc = frcnn_fail_nomem(err);
	for (size_t i = 0; i < left.count && rc == 0; i++) {
		const struct frcnn_filter_entry *e = g.entries[left.index[i]];
		struct frcnn_filter_found *found = &(*out)[(*count)++];
		const float *box = left.boxes + 4 * i;
		float moved[4] = {box[0], box[1], box[2] - box[0], box[3] - box[1]};
		found->label = (size_t)e->label;
		if (!left.moved[i])
			frcnn_value_bbox((struct frcnn_span){e->text + e->bbox_at, e->bbox_size}, false, found->bbox,
					 NULL, NULL);
		for (int c = 0; c < 4 && left.moved[i]; c++)
			found->bbox[c] = reread(moved[c]);
		if (left.scores[i] == e->score && e->score_size)
			frcnn_parse_double(e->text + e->score_at, e->score_size, &found->score);
		else
			found->score = reread(left.scores[i]);
	}
	frcnn_survivors_free(&left);
	free(g.block);
	return rc;
}
