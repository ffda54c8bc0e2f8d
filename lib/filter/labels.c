/* Classes by name and id. */
#include "filter/filter.h"

static uint64_t hash(const char *text)
{
	uint64_t h = 0xCBF29CE484222325u;
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001B3u;
	return h ^ h >> 29;
}

static size_t slot_of(const struct frcnn_filter_labels *labels, const char *name)
{
	size_t slot = (size_t)hash(name) & (labels->nslots - 1);
	while (labels->slots[slot] && strcmp(labels->items[labels->slots[slot] - 1].name, name) != 0)
		slot = (slot + 1) & (labels->nslots - 1);
	return slot;
}

/* Notes that label i has its name. */
static int index_name(struct frcnn_filter_labels *labels, size_t i)
{
	if (2 * (labels->named + 1) > labels->nslots) {
		size_t nslots = labels->nslots ? 2 * labels->nslots : 64;
		uint32_t *old = labels->slots, *slots = frcnn_calloc(nslots, sizeof(*slots));
		size_t nold = labels->nslots;
		if (!slots)
			return FRCNN_ENOMEM;
		labels->slots = slots;
		labels->nslots = nslots;
		for (size_t s = 0; s < nold; s++)
			if (old[s])
				slots[slot_of(labels, labels->items[old[s] - 1].name)] = old[s];
		free(old);
	}
	labels->slots[slot_of(labels, labels->items[i].name)] = (uint32_t)i + 1;
	labels->named++;
	return 0;
}

static size_t add(struct frcnn_filter_labels *labels, const char *name, bool has_id, int64_t id)
{
	void *grown = labels->items;
	int rc = frcnn_grow(&grown, &labels->capacity, labels->count + 1, sizeof(*labels->items));
	labels->items = grown;
	if (rc < 0 || labels->count >= INT32_MAX)
		return SIZE_MAX;
	struct frcnn_filter_label *label = &labels->items[labels->count];
	*label = (struct frcnn_filter_label){.has_id = has_id, .id = id};
	if (name && !(label->name = frcnn_strdup(name)))
		return SIZE_MAX;
	labels->count++;
	if (name && index_name(labels, labels->count - 1) < 0)
		return SIZE_MAX;
	/* of several names with one id the first is the id's */
	if (has_id && frcnn_id_map_add(&labels->ids, id, labels->count - 1, NULL) < 0)
		return SIZE_MAX;
	return labels->count - 1;
}

size_t frcnn_filter_labels_find(struct frcnn_filter_labels *labels, const char *name, bool has_id, int64_t id)
{
	size_t found = SIZE_MAX;

	if (labels->last < labels->count) {
		const struct frcnn_filter_label *l = &labels->items[labels->last];
		if (l->has_id == has_id && l->id == id && (name ? l->name && strcmp(l->name, name) == 0 : !l->name))
			return labels->last;
	}
	if (name && labels->nslots) {
		size_t slot = slot_of(labels, name);
		if (labels->slots[slot])
			found = labels->slots[slot] - 1;
	}
	if (found == SIZE_MAX && has_id && frcnn_id_map_find(&labels->ids, id, &found)) {
		struct frcnn_filter_label *l = &labels->items[found];
		if (name && l->name) {
			found = SIZE_MAX; /* another class of the same id */
		} else if (name) {
			l->name = frcnn_strdup(name);
			if (!l->name || index_name(labels, found) < 0)
				return SIZE_MAX;
		}
	}
	if (found == SIZE_MAX)
		found = add(labels, name, has_id, id);
	if (found == SIZE_MAX)
		return found;
	if (has_id && !labels->items[found].has_id) {
		labels->items[found].has_id = true;
		labels->items[found].id = id;
		if (frcnn_id_map_add(&labels->ids, id, found, NULL) < 0)
			return SIZE_MAX;
	}
	labels->last = found;
	return found;
}

void frcnn_filter_labels_free(struct frcnn_filter_labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		free(labels->items[i].name);
	free(labels->items);
	free(labels->slots);
	frcnn_id_map_free(&labels->ids);
	memset(labels, 0, sizeof(*labels));
}
