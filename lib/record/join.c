/* Which image of the ground truth a record is about, by name and by id. */
#include "record/record.h"

#include <inttypes.h>

struct entry {
	const char *name;
	size_t image;
};

struct frcnn_join {
	const struct frcnn_ground_truth *truth;
	struct frcnn_id_map ids;
	struct entry *names, *bases; /* in byte order, nnames each; of folders bases are the stems */
	size_t nnames;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

bool frcnn_record_stem_id(const char *file_name, int64_t *id)
{
	const char *base = base_name(file_name);
	const char *dot = strrchr(base, '.');
	size_t size = dot ? (size_t)(dot - base) : strlen(base);
	if (size == 0 || strspn(base, "0123456789") < size)
		return false;
	while (size > 1 && *base == '0') {
		base++;
		size--;
	}
	return frcnn_parse_int64(base, size, id) == 0;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->image > y->image) - (x->image < y->image);
}

void frcnn_join_free(struct frcnn_join *join)
{
	if (!join)
		return;
	frcnn_id_map_free(&join->ids);
	free(join->names);
	free(join->bases);
	free(join);
}

int frcnn_join_new(const struct frcnn_ground_truth *truth, struct frcnn_join **out, struct frcnn_error *err)
{
	struct frcnn_join *join = frcnn_calloc(1, sizeof(*join));
	*out = NULL;
	if (!join)
		return frcnn_fail_nomem(err);
	join->truth = truth;
	join->names = frcnn_calloc(truth->nimages, sizeof(*join->names));
	join->bases = frcnn_calloc(truth->nimages, sizeof(*join->bases));
	if (!join->names || !join->bases)
		goto nomem;
	for (size_t i = 0; i < truth->nimages; i++) {
		if (frcnn_id_map_add(&join->ids, truth->image_ids[i], i, NULL) < 0)
			goto nomem;
		if (!truth->file_names[i])
			continue;
		join->names[join->nnames] = (struct entry){truth->file_names[i], i};
		join->bases[join->nnames++] =
		    (struct entry){truth->stems ? truth->stems[i] : base_name(truth->file_names[i]), i};
	}
	qsort(join->names, join->nnames, sizeof(*join->names), by_name);
	qsort(join->bases, join->nnames, sizeof(*join->bases), by_name);
	*out = join;
	return 0;
nomem:
	frcnn_join_free(join);
	return frcnn_fail_nomem(err);
}

/* Entries of that name: *count of them from the one returned. */
static const struct entry *range(const struct entry *entries, size_t n, const char *name, size_t *count)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	high = low;
	while (high < n && strcmp(entries[high].name, name) == 0)
		high++;
	*count = high - low;
	return entries + low;
}

/* Of a folder's ground truth: the base name itself, or without its suffix, is a stem. */
static int find_stem(const struct frcnn_join *join, const char *file_name, bool has_image_id, int64_t image_id,
		     size_t *image, struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = join->truth;
	const struct entry *found;
	size_t count;
	int64_t digits;
	char *stem = frcnn_stem(file_name);

	if (!stem)
		return frcnn_fail_nomem(err);
	found = range(join->bases, join->nnames, stem, &count);
	if (count == 0)
		found = range(join->bases, join->nnames, base_name(file_name), &count);
	free(stem);
	if (count == 0)
		return 0;
	if (has_image_id && !truth->own_ids && truth->image_ids[found->image] != image_id &&
	    !(frcnn_record_stem_id(file_name, &digits) && digits == image_id))
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "file name \"%s\" is image %" PRId64 " of the ground truth, but image_id is %" PRId64,
				  file_name, truth->image_ids[found->image], image_id);
	*image = found->image;
	return 1;
}

int frcnn_join_find(const struct frcnn_join *join, const char *file_name, bool has_image_id, int64_t image_id,
		    size_t *image, struct frcnn_error *err)
{
	const struct frcnn_ground_truth *truth = join->truth;
	size_t count, by_id = 0;
	int64_t stem;
	bool id_known = has_image_id && frcnn_id_map_find(&join->ids, image_id, &by_id);

	if (truth->own_ids)
		id_known = false;
	if (file_name && truth->stems)
		return find_stem(join, file_name, has_image_id, image_id, image, err);
	if (!file_name) {
		if (id_known)
			*image = by_id;
		return id_known;
	}
	bool id_is_stem = has_image_id && frcnn_record_stem_id(file_name, &stem) && stem == image_id;
	const struct entry *found = range(join->names, join->nnames, file_name, &count);
	if (count == 0)
		found = range(join->bases, join->nnames, base_name(file_name), &count);
	if (count == 1) {
		if (has_image_id && !id_is_stem && truth->image_ids[found->image] != image_id)
			return frcnn_fail(err, FRCNN_EFORMAT,
					  "file name \"%s\" is image %" PRId64
					  " of the ground truth, but image_id is %" PRId64,
					  file_name, truth->image_ids[found->image], image_id);
		*image = found->image;
		return 1;
	}
	if (count > 1) {
		for (size_t i = 0; i < count && id_known; i++) {
			if (found[i].image == by_id) {
				*image = by_id;
				return 1;
			}
		}
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "file name \"%s\" fits %zu images of the ground truth (\"%s\", \"%s\")", file_name,
				  count, truth->file_names[found[0].image], truth->file_names[found[1].image]);
	}
	if (id_known && !truth->file_names[by_id]) {
		*image = by_id;
		return 1;
	}
	if (id_known && !id_is_stem)
		return frcnn_fail(err, FRCNN_EFORMAT,
				  "image_id %" PRId64 " is \"%s\" in the ground truth, but file_name is \"%s\"",
				  image_id, truth->file_names[by_id], file_name);
	return 0;
}
