/* Reads the goldens of tests/golden/detect (their form stands in make.py there), for the tests of lib/detect. */
#ifndef DETECT_GOLDEN_H
#define DETECT_GOLDEN_H

#include "detect/detect.h"

#include <criterion/criterion.h>
#include <math.h>

struct golden {
	struct frcnn_file file;
};

struct golden_array {
	const float *f32;
	const int32_t *i32;
	const uint8_t *u8;
	size_t count;
};

static inline uint32_t golden_u32(const struct golden *golden, size_t at)
{
	uint32_t value;
	cr_assert(at + 4 <= golden->file.size, "a golden is cut short");
	memcpy(&value, golden->file.data + at, sizeof(value));
	return value;
}

static inline struct golden golden_open(const char *name)
{
	struct golden golden;
	struct frcnn_error err;
	char path[128];
	snprintf(path, sizeof(path), "tests/golden/detect/%s.bin", name);
	cr_assert_eq(frcnn_file_open(path, 0, &golden.file, &err), 0, "%s", err.message);
	cr_assert(golden.file.size > 8 && memcmp(golden.file.data, "FRG1", 4) == 0, "%s is no golden", path);
	return golden;
}

/* The array named "INDEX.key", or "key" where index is negative. */
static inline struct golden_array golden_find(const struct golden *golden, int index, const char *key)
{
	char name[24] = "";
	if (index >= 0)
		snprintf(name, sizeof(name), "%d.%s", index, key);
	else
		snprintf(name, sizeof(name), "%s", key);
	struct golden_array array = {0};
	size_t at = 8;
	for (uint32_t left = golden_u32(golden, 4); left > 0; left--) {
		uint32_t kind = golden_u32(golden, at + 24);
		size_t count = golden_u32(golden, at + 28);
		size_t bytes = kind == 2 ? (count + 3) / 4 * 4 : count * 4;
		const uint8_t *data = golden->file.data + at + 32;
		cr_assert(at + 32 + bytes <= golden->file.size, "a golden is cut short");
		if (memcmp(golden->file.data + at, name, sizeof(name)) == 0) {
			array.count = count;
			array.f32 = kind == 0 ? (const float *)(const void *)data : NULL;
			array.i32 = kind == 1 ? (const int32_t *)(const void *)data : NULL;
			array.u8 = kind == 2 ? data : NULL;
			return array;
		}
		at += 32 + bytes;
	}
	cr_assert_fail("no array %s in the golden", name);
	return array;
}

/* max|a - b| / max|b| over what is finite; what is not must be the same on both sides. */
static inline double golden_error(const float *a, const float *b, size_t count)
{
	double worst = 0, largest = 0;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(b[i])) {
			if (isnan(b[i]) ? !isnan(a[i]) : a[i] != b[i])
				return INFINITY;
			continue;
		}
		if (!isfinite(a[i]))
			return INFINITY;
		worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
		largest = fmax(largest, fabs((double)b[i]));
	}
	return worst == 0 ? 0 : worst / largest;
}

/* A small generator of whole numbers, so that tests run the same everywhere. */
static inline uint32_t golden_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

#endif
