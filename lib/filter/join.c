/*
 * Which records are of one image: by file name (exact, then base name when
 * only one image has it, in that source as in those before), by image_id where either side has no file name. A
 * source is joined with the images of those before it, so that two of its own
 * records never meet but by being about the same image: an error.
 */
#include "filter/filter.h"

#include <inttypes.h>

/* Images by a text. */
struct names {
	const char **keys;
	uint32_t *images;
	uint8_t *several;
	size_t slots, count;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static uint64_t hash(const char *text)
{
	uint64_t h = 0xCBF29CE484222325u;
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001B3u;
	return h ^ h >> 29;
}

static size_t slot_of(const struct names *names, const char *key)
{
	size_t slot = (size_t)hash(key) & (names->slots - 1);
	while (names->keys[slot] && strcmp(names->keys[slot], key) != 0)
		slot = (slot + 1) & (names->slots - 1);
	return slot;
}

static void names_free(struct names *names)
{
	free(names->keys);
	free(names->images);
	free(names->several);
	memset(names, 0, sizeof(*names));
}

static int names_add(struct names *names, const char *key, size_t image)
{
	if (2 * (names->count + 1) > names->slots) {
		struct names more = {.slots = names->slots ? 2 * names->slots : 256, .count = names->count};
		more.keys = frcnn_calloc(more.slots, sizeof(*more.keys));
		more.images = frcnn_calloc(more.slots, sizeof(*more.images));
		more.several = frcnn_calloc(more.slots, 1);
		if (!more.keys || !more.images || !more.several) {
			names_free(&more);
			return FRCNN_ENOMEM;
		}
		for (size_t s = 0; s < names->slots; s++) {
			if (!names->keys[s])
				continue;
			size_t to = slot_of(&more, names->keys[s]);
			more.keys[to] = names->keys[s];
			more.images[to] = names->images[s];
			more.several[to] = names->several[s];
		}
		names_free(names);
		*names = more;
	}
	size_t slot = slot_of(names, key);
	if (names->keys[slot]) {
		names->several[slot] |= names->images[slot] != image;
		return 0;
	}
	names->keys[slot] = key;
	names->images[slot] = (uint32_t)image;
	names->count++;
	return 0;
}

/* SIZE_MAX: none. */
static size_t names_find(const struct names *names, const char *key, bool *several)
{
	*several = false;
	if (!names->slots)
		return SIZE_MAX;
	size_t slot = slot_of(names, key);
	if (!names->keys[slot])
		return SIZE_MAX;
	*several = names->several[slot];
	return names->images[slot];
}

struct joining {
	struct frcnn_filter *filter;
	struct names names, bases;
	struct frcnn_id_map ids;
	const struct names *own, *own_bases; /* of the source that is being joined: parts */
};

static bool id_is_stem(const char *file_name, int64_t id)
{
	int64_t stem;
	return file_name && frcnn_record_stem_id(file_name, &stem) && stem == id;
}

/* The image that the part is about: its index; SIZE_MAX: a new one; < 0 of the result: an error, the message in err. */
static int find(const struct joining *j, const struct frcnn_filter_part *part, size_t *image, struct frcnn_error *err)
{
	const struct frcnn_filter_joined *images = j->filter->images, *other;
	size_t by_id = SIZE_MAX;
	bool several = false;

	*image = SIZE_MAX;
	if (part->has_id && !frcnn_id_map_find(&j->ids, part->id, &by_id))
		by_id = SIZE_MAX;
	if (!part->file_name) {
		*image = by_id;
		return part->has_id ? 0 : frcnn_fail(err, FRCNN_EFORMAT, "neither file_name nor image_id to join by");
	}
	*image = names_find(&j->names, part->file_name, &several);
	if (*image == SIZE_MAX) {
		bool shared, taken;
		*image = names_find(&j->bases, base_name(part->file_name), &several);
		names_find(j->own_bases, base_name(part->file_name), &shared);
		/* another record of this source has the image's very name, and this is about another image */
		if (*image != SIZE_MAX && shared && !several && images[*image].file_name &&
		    names_find(j->own, images[*image].file_name, &taken) != SIZE_MAX)
			*image = SIZE_MAX;
		else if (*image != SIZE_MAX && shared && !several)
			return frcnn_fail(err, FRCNN_EFORMAT,
					  "file name \"%s\" and others of this input fit image \"%s\" of another",
					  part->file_name, images[*image].file_name);
	}
	if (several)
		return frcnn_fail(err, FRCNN_EFORMAT, "file name \"%s\" fits several images of the other inputs",
				  part->file_name);
	if (*image != SIZE_MAX) {
		other = &images[*image];
		if (part->has_id && other->has_id && other->id != part->id && !id_is_stem(part->file_name, part->id) &&
		    !id_is_stem(other->file_name, other->id))
			return frcnn_fail(err, FRCNN_EFORMAT,
					  "file name \"%s\" is image %" PRId64
					  " in another input, but image_id is %" PRId64,
					  part->file_name, other->id, part->id);
		return 0;
	}
	if (by_id == SIZE_MAX)
		return 0;
	other = &images[by_id];
	if (!other->file_name) {
		*image = by_id;
		return 0;
	}
	if (!id_is_stem(part->file_name, part->id) && !id_is_stem(other->file_name, other->id))
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "image_id %" PRId64 " is \"%s\" in another input, but file_name is \"%s\"", part->id,
				  other->file_name, part->file_name);
	return 0;
}

static void complain(struct frcnn_filter *filter, const struct frcnn_filter_source *source, size_t line,
		     const struct frcnn_error *err)
{
	filter->counts.failed++;
	frcnn_note(&filter->notices, FRCNN_NOTICE_ERROR, source->name, line, "%s", err->message);
}

/* Adds a part to an image (SIZE_MAX: to one of its own). */
static int put(struct joining *j, struct frcnn_filter_part *part, size_t image)
{
	struct frcnn_filter *f = j->filter;
	struct frcnn_filter_joined *to;
	struct frcnn_filter_part **end;

	if (image == SIZE_MAX) {
		void *grown = f->images;
		int rc = frcnn_grow(&grown, &f->image_capacity, f->nimages + 1, sizeof(*f->images));
		f->images = grown;
		if (rc < 0 || f->nimages >= UINT32_MAX)
			return FRCNN_ENOMEM;
		image = f->nimages++;
		f->images[image] = (struct frcnn_filter_joined){0};
	}
	to = &f->images[image];
	if (!to->has_id && part->has_id) {
		to->has_id = true;
		to->id = part->id;
	}
	if (!to->file_name)
		to->file_name = part->file_name;
	if (!to->width || !to->height) {
		to->width = part->width;
		to->height = part->height;
	}
	for (end = &to->parts; *end; end = &(*end)->next)
		;
	*end = part;
	to->nparts++;
	part->image = image;
	return 0;
}

/* Makes the source's images known to the next ones. */
static int settle(struct joining *j, struct frcnn_filter_source *source)
{
	struct frcnn_filter *f = j->filter;
	bool several;

	for (size_t p = 0; p < source->nparts; p++) {
		struct frcnn_filter_part *part = &source->parts[p];
		if (part->image == SIZE_MAX)
			continue;
		const struct frcnn_filter_joined *image = &f->images[part->image];
		if (image->file_name) {
			size_t known = names_find(&j->names, image->file_name, &several);
			if (known == SIZE_MAX && (names_add(&j->names, image->file_name, part->image) < 0 ||
						  names_add(&j->bases, base_name(image->file_name), part->image) < 0))
				return FRCNN_ENOMEM;
		}
		if (image->has_id && frcnn_id_map_add(&j->ids, image->id, part->image, NULL) < 0)
			return FRCNN_ENOMEM;
	}
	return 0;
}

static int join_source(struct joining *j, struct frcnn_filter_source *source)
{
	struct frcnn_filter *f = j->filter;
	struct names own = {0}; /* names of this source: parts */
	struct names all = {0}, bases = {0};
	struct frcnn_id_map ids = {0}; /* ids of its records without a name */
	struct frcnn_error err;
	int rc = 0;

	for (size_t p = 0; p < source->nparts && rc == 0 && f->nsources > 1; p++) {
		const char *name = source->parts[p].file_name;
		bool several;
		if (name && names_find(&all, name, &several) == SIZE_MAX &&
		    (names_add(&all, name, p) < 0 || names_add(&bases, base_name(name), p) < 0))
			rc = FRCNN_ENOMEM;
	}
	j->own = &all;
	j->own_bases = &bases;
	for (size_t p = 0; p < source->nparts && rc == 0; p++) {
		struct frcnn_filter_part *part = &source->parts[p];
		size_t image, before = SIZE_MAX;
		bool several;
		part->image = SIZE_MAX;
		if (f->nsources == 1) { /* nothing to join: each record is an image */
			rc = put(j, part, SIZE_MAX);
			continue;
		}
		if (find(j, part, &image, &err) < 0) {
			complain(f, source, part->line, &err);
			continue;
		}
		if (part->file_name)
			before = names_find(&own, part->file_name, &several);
		else if (!frcnn_id_map_find(&ids, part->id, &before))
			before = SIZE_MAX;
		if (before == SIZE_MAX && image != SIZE_MAX) {
			/* another name for an image that has a record of this source */
			struct frcnn_filter_part *other = f->images[image].parts;
			while (other && other->source != part->source)
				other = other->next;
			if (other)
				before = (size_t)(other - source->parts);
		}
		if (before != SIZE_MAX) {
			frcnn_fail(&err, FRCNN_EFORMAT, "the image has a record already, on line %zu",
				   source->parts[before].line);
			complain(f, source, part->line, &err);
			continue;
		}
		rc = put(j, part, image);
		if (rc == 0)
			rc = part->file_name ? names_add(&own, part->file_name, p)
					     : frcnn_id_map_add(&ids, part->id, p, NULL);
		rc = rc < 0 ? rc : 0;
	}
	if (rc == 0 && f->nsources > 1)
		rc = settle(j, source);
	names_free(&own);
	names_free(&all);
	names_free(&bases);
	frcnn_id_map_free(&ids);
	return rc;
}

int frcnn_filter_join(struct frcnn_filter *filter, struct frcnn_error *err)
{
	struct joining j = {.filter = filter};
	int rc = 0;

	for (size_t s = 0; s < filter->nsources && rc == 0; s++)
		rc = join_source(&j, &filter->sources[s]);
	names_free(&j.names);
	names_free(&j.bases);
	frcnn_id_map_free(&j.ids);
	for (size_t i = 0; i < filter->nimages; i++)
		filter->counts.partial += filter->images[i].nparts < filter->nsources;
	filter->counts.images = filter->nimages;
	return rc < 0 ? frcnn_fail_nomem(err) : 0;
}
