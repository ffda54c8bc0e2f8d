/* A map from 64-bit ids to indices: open addressing, at most half full. */
#include "record/record.h"

static size_t slot_of(const struct frcnn_id_map *map, int64_t id)
{
	uint64_t hash = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);
	size_t at = (size_t)(hash ^ (hash >> 32)) & (map->slots - 1);
	while (map->values[at] && map->keys[at] != id)
		at = (at + 1) & (map->slots - 1);
	return at;
}

static int rehash(struct frcnn_id_map *map)
{
	struct frcnn_id_map bigger = {.slots = map->slots ? map->slots * 2 : 64};
	bigger.keys = frcnn_calloc(bigger.slots, sizeof(*bigger.keys));
	bigger.values = frcnn_calloc(bigger.slots, sizeof(*bigger.values));
	if (!bigger.keys || !bigger.values) {
		frcnn_id_map_free(&bigger);
		return FRCNN_ENOMEM;
	}
	for (size_t i = 0; i < map->slots; i++) {
		if (!map->values[i])
			continue;
		size_t at = slot_of(&bigger, map->keys[i]);
		bigger.keys[at] = map->keys[i];
		bigger.values[at] = map->values[i];
	}
	bigger.count = map->count;
	frcnn_id_map_free(map);
	*map = bigger;
	return 0;
}

int frcnn_id_map_add(struct frcnn_id_map *map, int64_t id, size_t index, size_t *value)
{
	if (map->count * 2 >= map->slots) {
		int rc = rehash(map);
		if (rc < 0)
			return rc;
	}
	size_t at = slot_of(map, id);
	if (map->values[at]) {
		if (value)
			*value = map->values[at] - 1;
		return 0;
	}
	map->keys[at] = id;
	map->values[at] = index + 1;
	map->count++;
	return 1;
}

bool frcnn_id_map_find(const struct frcnn_id_map *map, int64_t id, size_t *value)
{
	if (!map->slots)
		return false;
	size_t at = slot_of(map, id);
	if (!map->values[at])
		return false;
	if (value)
		*value = map->values[at] - 1;
	return true;
}

void frcnn_id_map_free(struct frcnn_id_map *map)
{
	free(map->keys);
	free(map->values);
	*map = (struct frcnn_id_map){0};
}
