/*
 * Finding the weights in what a training script saved. A set of weights is a dict
 * with tensors under text keys. Every dict that is reached through text keys is
 * looked at once; the best set wins: one with a detector's names before others,
 * one under the usual wrappers ("model", "state_dict", ...) before one under any
 * other key, the model before its moving average. A tie is the user's to break.
 */
#include "model/container.h"

#define MAX_NESTING 16 /* of wrappers, and of lists among the weights */

static const char *const wrappers[] = {"model", "state_dict", "model_state_dict", "net"};
static const char *const averages[] = {"model_ema",           "ema", "ema_model", "ema_state_dict", "state_dict_ema",
				       "model_ema_state_dict"};
static const char *const prefixes[] = {"module.", "model.", "_orig_mod."};

struct step { /* the keys from the root down to a dict, on the walk's stack */
	const struct step *up;
	struct frcnn_span key;
};

struct candidate {
	struct frcnn_value *dict;
	char path[128]; /* "model.state_dict", shortened when long */
	bool detector;  /* has names of a detector's own parts */
	bool wrapped;   /* under the usual wrappers alone, or not wrapped at all */
	bool average;   /* under a key that means averaged weights */
};

struct search {
	struct candidate *found;
	size_t count, capacity;
	struct frcnn_error *err;
};

static bool is_one_of(struct frcnn_span key, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (frcnn_span_is(key, names[i]))
			return true;
	}
	return false;
}

static bool starts_with(struct frcnn_span text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

struct frcnn_span frcnn_weights_strip(struct frcnn_span name)
{
	for (size_t i = 0; i < FRCNN_COUNT(prefixes);) {
		size_t size = strlen(prefixes[i]);
		if (starts_with(name, prefixes[i]) && name.size > size) {
			name.data += size;
			name.size -= size;
			i = 0;
		} else {
			i++;
		}
	}
	return name;
}

/* ---- the search
 * --------------------------------------------------------------------------------------------------------- */

/* Writes the keys down to step joined by dots, as much as fits. */
static void write_path(const struct step *step, char *out, size_t room)
{
	const struct step *chain[MAX_NESTING + 1];
	size_t depth = 0, used = 0;

	for (; step != NULL && depth < FRCNN_COUNT(chain); step = step->up)
		chain[depth++] = step;
	out[0] = '\0';
	while (depth-- > 0 && used + 2 < room) {
		struct frcnn_span key = chain[depth]->key;
		size_t size = key.size < room - used - 2 ? key.size : room - used - 2;
		if (used > 0)
			out[used++] = '.';
		memcpy(out + used, key.data, size);
		used += size;
		out[used] = '\0';
	}
}

/* Counts the tensors of a dict; *detector: one of them has a detector's name. */
static size_t count_tensors(const struct frcnn_value *dict, bool *detector)
{
	size_t count = 0;

	*detector = false;
	for (size_t i = 0; i + 1 < dict->count; i += 2) {
		if (dict->items[i]->kind != FRCNN_VALUE_TEXT || dict->items[i + 1]->kind != FRCNN_VALUE_TENSOR)
			continue;
		struct frcnn_span name = frcnn_weights_strip(dict->items[i]->text);
		count++;
		*detector = *detector || starts_with(name, "rpn.") || starts_with(name, "roi_heads.");
	}
	return count;
}

static int add_candidate(struct search *search, const struct candidate *candidate, const struct step *step)
{
	void *found = search->found;
	int status = frcnn_grow(&found, &search->capacity, search->count + 1, sizeof(*search->found));

	search->found = found;
	if (status < 0)
		return frcnn_fail_nomem(search->err);
	struct candidate *added = &search->found[search->count++];
	*added = *candidate;
	write_path(step, added->path, sizeof(added->path));
	return 0;
}

/* Looks at a dict and, through its text keys, at those below. Wrappers go first, averages last: a dict that can be
 * reached in several ways counts as reached in the best one. */
static int search_dict(struct search *search, struct frcnn_value *dict, const struct step *step, int depth,
		       struct candidate as)
{
	enum { WRAPPERS, OTHERS, AVERAGES, PASSES };
	size_t before = search->count;
	int status = 0;

	if (dict->searched || depth > MAX_NESTING)
		return 0;
	dict->searched = true;
	for (int pass = WRAPPERS; pass < PASSES && status == 0; pass++) {
		for (size_t i = 0; i + 1 < dict->count && status == 0; i += 2) {
			struct frcnn_value *value = dict->items[i + 1];
			if (dict->items[i]->kind != FRCNN_VALUE_TEXT || value->kind != FRCNN_VALUE_DICT)
				continue;
			struct step below = {step, dict->items[i]->text};
			bool wrapper = is_one_of(below.key, wrappers, FRCNN_COUNT(wrappers));
			bool average = is_one_of(below.key, averages, FRCNN_COUNT(averages));
			if (pass != (wrapper ? WRAPPERS : average ? AVERAGES : OTHERS))
				continue;
			struct candidate child = as;
			child.wrapped = as.wrapped && wrapper;
			child.average = as.average || average;
			status = search_dict(search, value, &below, depth + 1, child);
		}
	}
	if (status < 0)
		return status;
	as.dict = dict;
	/* stray tensors beside wrapped weights (a best loss) are no weights */
	if (count_tensors(dict, &as.detector) == 0 || (search->count > before && !as.detector))
		return 0;
	return add_candidate(search, &as, step);
}

static int rank(const struct candidate *candidate)
{
	return candidate->detector * 4 + candidate->wrapped * 2 + !candidate->average;
}

/* ---- messages
 * ------------------------------------------------------------------------------------------------------------ */

/* Adds the text keys of a dict, the first few, as "a, b, c, ...". */
static void list_keys(const struct frcnn_value *dict, struct frcnn_buffer *out)
{
	size_t listed = 0;

	for (size_t i = 0; i + 1 < dict->count; i += 2) {
		struct frcnn_span key = dict->items[i]->text;
		if (dict->items[i]->kind != FRCNN_VALUE_TEXT)
			continue;
		if (listed == 8) {
			frcnn_buffer_puts(out, ", ...");
			return;
		}
		frcnn_buffer_printf(out, "%s%.*s", listed++ > 0 ? ", " : "", key.size > 64 ? 64 : (int)key.size,
				    key.data);
	}
}

static int fail_object(struct frcnn_span key, struct frcnn_span object, struct frcnn_error *err)
{
	return frcnn_fail(err, FRCNN_EUNSUPPORTED,
			  "\"%.*s\" is made by Python's \"%.*s\", which is never run: only tensors are read",
			  key.size > 128 ? 128 : (int)key.size, key.data, (int)object.size, object.data);
}

/* The object holds no weights: says what it is instead. */
static int fail_empty(const struct frcnn_value *root, struct frcnn_error *err)
{
	struct frcnn_buffer keys = {0};

	if (root->kind == FRCNN_VALUE_OBJECT)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED,
				  "holds a Python object of \"%.*s\", which is never run: save its state_dict()",
				  (int)root->text.size, root->text.data);
	if (root->kind != FRCNN_VALUE_DICT)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "holds no dict of tensors");
	for (size_t i = 0; i + 1 < root->count; i += 2) {
		const struct frcnn_value *key = root->items[i], *value = root->items[i + 1];
		if (key->kind == FRCNN_VALUE_TEXT && value->kind == FRCNN_VALUE_OBJECT &&
		    is_one_of(key->text, wrappers, FRCNN_COUNT(wrappers)))
			return fail_object(key->text, value->text, err);
	}
	for (size_t i = 0; i + 1 < root->count; i += 2) {
		if (root->items[i]->kind == FRCNN_VALUE_TEXT && root->items[i + 1]->kind == FRCNN_VALUE_OBJECT)
			return fail_object(root->items[i]->text, root->items[i + 1]->text, err);
	}
	list_keys(root, &keys);
	int status = frcnn_fail(err, FRCNN_EUNSUPPORTED, "no weights found; its keys: %s",
				keys.data != NULL ? keys.data : "none");
	frcnn_buffer_free(&keys);
	return status;
}

static int fail_tie(const struct search *search, int best, struct frcnn_error *err)
{
	struct frcnn_buffer names = {0};
	int listed = 0;

	for (size_t i = 0; i < search->count && listed < 6; i++) {
		const struct candidate *candidate = &search->found[i];
		if (rank(candidate) == best)
			frcnn_buffer_printf(&names, "%s\"%s\"", listed++ > 0 ? ", " : "", candidate->path);
	}
	int status = names.failed ? frcnn_fail_nomem(err)
				  : frcnn_fail(err, FRCNN_EINVAL,
					       "several sets of weights fit equally: %s; choose one by its key",
					       names.data != NULL ? names.data : "");
	frcnn_buffer_free(&names);
	return status;
}

/* ---- choosing
 * ------------------------------------------------------------------------------------------------------------- */

/* Follows key down from *dict: "ema", or "a.b" for key b under key a (keys with dots in them are tried too). What no
 * dict has as a key is left in *rest: a prefix of tensor names. */
static int follow_key(struct frcnn_value **dict, const char *key, struct frcnn_span *rest, struct frcnn_error *err)
{
	*rest = (struct frcnn_span){key, strlen(key)};
	while (rest->size > 0) {
		struct frcnn_value *next = NULL;
		size_t used = rest->size;
		for (; used > 0; used--) {
			if (used < rest->size && rest->data[used] != '.')
				continue;
			next = frcnn_value_get(*dict, rest->data, used);
			if (next != NULL && next->kind == FRCNN_VALUE_DICT)
				break;
			if (next != NULL && used == rest->size && next->kind == FRCNN_VALUE_OBJECT)
				return fail_object(*rest, next->text, err);
			next = NULL;
		}
		if (next == NULL)
			break;
		*dict = next;
		rest->data += used;
		rest->size -= used;
		if (rest->size > 0) { /* the dot */
			rest->data++;
			rest->size--;
		}
	}
	if (rest->size == 0)
		return 0;
	for (size_t i = 0; i + 1 < (*dict)->count; i += 2) {
		struct frcnn_span name = (*dict)->items[i]->text;
		if ((*dict)->items[i]->kind == FRCNN_VALUE_TEXT && (*dict)->items[i + 1]->kind == FRCNN_VALUE_TENSOR &&
		    starts_with(name, rest->data) && name.size > rest->size && name.data[rest->size] == '.')
			return 0;
	}
	struct frcnn_buffer keys = {0};
	list_keys(*dict, &keys);
	int status = frcnn_fail(err, FRCNN_EINVAL, "no weights under key \"%s\"; its keys: %s", key,
				keys.data != NULL ? keys.data : "none");
	frcnn_buffer_free(&keys);
	return status;
}

/* Chooses the best set under root. */
static int choose(struct frcnn_value *root, struct frcnn_arena *arena, struct frcnn_value **out, char **note,
		  struct frcnn_error *err)
{
	struct search search = {.err = err};
	const struct candidate *best = NULL, *average = NULL;
	int ties = 0;
	int status = search_dict(&search, root, NULL, 0, (struct candidate){.wrapped = true});

	if (status < 0)
		goto out;
	for (size_t i = 0; i < search.count; i++) {
		const struct candidate *candidate = &search.found[i];
		if (best == NULL || rank(candidate) > rank(best)) {
			best = candidate;
			ties = 1;
		} else if (rank(candidate) == rank(best)) {
			ties++;
		}
		if (candidate->average)
			average = candidate;
	}
	if (best == NULL) {
		status = fail_empty(root, err);
		goto out;
	}
	if (ties > 1) {
		status = fail_tie(&search, rank(best), err);
		goto out;
	}
	*out = best->dict;
	if (average != NULL) {
		char text[400];
		if (best->average)
			snprintf(text, sizeof(text), "averaged weights are used, those under \"%s\"", best->path);
		else
			snprintf(text, sizeof(text),
				 "the weights under \"%s\" are used, not the averaged ones under \"%s\"", best->path,
				 average->path);
		*note = frcnn_arena_strndup(arena, text, strlen(text));
		if (*note == NULL)
			status = frcnn_fail_nomem(err);
	}
out:
	free(search.found);
	return status;
}

/* ---- listing
 * --------------------------------------------------------------------------------------------------------------- */

/* An error for a placeholder anywhere in what stands beside the tensors of a state dict. */
static int refuse_objects(struct frcnn_span key, struct frcnn_value *value, int depth, struct frcnn_error *err)
{
	int status = 0;

	if (value->kind == FRCNN_VALUE_OBJECT)
		return fail_object(key, value->text, err);
	if (value->kind != FRCNN_VALUE_LIST && value->kind != FRCNN_VALUE_DICT)
		return 0;
	if (value->checked)
		return 0;
	value->checked = true;
	if (depth > MAX_NESTING)
		return frcnn_fail(err, FRCNN_ELIMIT, "\"%.*s\" is nested too deeply",
				  key.size > 128 ? 128 : (int)key.size, key.data);
	for (size_t i = 0; i < value->count && status == 0; i++)
		status = refuse_objects(key, value->items[i], depth + 1, err);
	if (status == 0 && value->kind == FRCNN_VALUE_DICT && value->state != NULL)
		status = refuse_objects(key, value->state, depth + 1, err);
	return status;
}

/* The tensors of dict whose names begin with prefix and a dot (an empty prefix: all), without that. */
static int list_tensors(struct frcnn_value *dict, struct frcnn_span prefix, struct frcnn_arena *arena,
			struct frcnn_torch_entry **out, size_t *count, struct frcnn_error *err)
{
	struct frcnn_span metadata = {"_metadata", 9};
	bool detector;
	size_t most = count_tensors(dict, &detector);

	if (most > FRCNN_MAX_TENSORS)
		return frcnn_fail(err, FRCNN_ELIMIT, "more than %d tensors", FRCNN_MAX_TENSORS);
	struct frcnn_torch_entry *list = frcnn_arena_alloc(arena, most, sizeof(*list));
	if (list == NULL)
		return frcnn_fail_nomem(err);
	*out = list;
	*count = 0;
	for (size_t i = 0; i + 1 < dict->count; i += 2) {
		struct frcnn_value *key = dict->items[i], *value = dict->items[i + 1];
		if (key->kind != FRCNN_VALUE_TEXT) {
			if (value->kind == FRCNN_VALUE_TENSOR)
				return frcnn_fail(err, FRCNN_EUNSUPPORTED, "a tensor among the weights has no name");
			key = NULL;
		}
		struct frcnn_span name = key != NULL ? key->text : (struct frcnn_span){"?", 1};
		if (prefix.size > 0) {
			if (name.size <= prefix.size || memcmp(name.data, prefix.data, prefix.size) != 0 ||
			    name.data[prefix.size] != '.')
				continue;
			name.data += prefix.size + 1;
			name.size -= prefix.size + 1;
		}
		int status = refuse_objects(name, value, 0, err);
		if (status < 0)
			return status;
		if (value->kind == FRCNN_VALUE_TENSOR)
			list[(*count)++] = (struct frcnn_torch_entry){name, value->tensor};
	}
	return dict->state != NULL ? refuse_objects(metadata, dict->state, 0, err) : 0;
}

int frcnn_weights_find(struct frcnn_value *root, const char *weights_key, struct frcnn_arena *arena,
		       struct frcnn_torch_entry **out, size_t *count, char **note, struct frcnn_error *err)
{
	struct frcnn_value *dict = root;
	struct frcnn_span prefix = {"", 0};
	int status = 0;

	if (root->kind != FRCNN_VALUE_DICT)
		return fail_empty(root, err);
	if (weights_key != NULL)
		status = follow_key(&dict, weights_key, &prefix, err);
	if (status == 0 && prefix.size == 0)
		status = choose(dict, arena, &dict, note, err);
	if (status < 0)
		return status;
	return list_tensors(dict, prefix, arena, out, count, err);
}
