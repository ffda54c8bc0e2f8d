/*
 * ZIP archives in memory, as PKWARE's APPNOTE.TXT describes them: one disk,
 * stored or deflated entries, ZIP64. The central directory rules; local headers
 * must agree with it. Entries may not overlap, so that the sum of their sizes is
 * bounded by the archive's.
 */
#include "model/container.h"

#include <zlib.h>

enum {
	LOCAL_SIGNATURE = 0x04034b50,
	CENTRAL_SIGNATURE = 0x02014b50,
	END_SIGNATURE = 0x06054b50,
	END64_SIGNATURE = 0x06064b50,
	LOCATOR64_SIGNATURE = 0x07064b50,
	LOCAL_SIZE = 30,
	CENTRAL_SIZE = 46,
	END_SIZE = 22,
	END64_SIZE = 56,
	LOCATOR64_SIZE = 20,
	MAX_COMMENT = 65535,
	ZIP64_FIELD = 1,
	FLAG_ENCRYPTED = 1,
	METHOD_STORED = 0,
	METHOD_DEFLATED = 8,
	DEFLATE_BEST = 1032 /* no deflated byte stands for more */
};

/* All inflated entries together; a guard against archives that blow up, well above any checkpoint of ours. */
#define MAX_INFLATED ((size_t)1 << 30)

static uint16_t le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
	return (uint64_t)le32(p) | (uint64_t)le32(p + 4) << 32;
}

struct directory {
	uint64_t offset, size, count;
};

/* Finds the end record, whose comment must reach to the archive's end, and reads where the directory lies. */
static int find_directory(const uint8_t *bytes, size_t size, struct directory *out, struct frcnn_error *err)
{
	size_t end = 0;
	bool found = false;

	for (size_t comment = 0; comment <= MAX_COMMENT && comment + END_SIZE <= size && !found; comment++) {
		end = size - END_SIZE - comment;
		found = le32(bytes + end) == END_SIGNATURE && le16(bytes + end + 20) == comment;
	}
	if (!found)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip archive is truncated: its directory is missing");
	const uint8_t *record = bytes + end;
	out->count = le16(record + 10);
	out->size = le32(record + 12);
	out->offset = le32(record + 16);
	uint64_t directory_end = end;
	bool zip64 = end >= LOCATOR64_SIZE && le32(record - LOCATOR64_SIZE) == LOCATOR64_SIGNATURE;
	if (zip64) {
		uint64_t at = le64(record - LOCATOR64_SIZE + 8);
		if (at > end - LOCATOR64_SIZE || end - LOCATOR64_SIZE - at < END64_SIZE ||
		    le32(bytes + at) != END64_SIGNATURE)
			return frcnn_fail(err, FRCNN_EFORMAT, "zip archive has a bad ZIP64 end record");
		const uint8_t *record64 = bytes + at;
		if (le32(record64 + 16) != 0 || le32(record64 + 20) != 0)
			return frcnn_fail(err, FRCNN_EUNSUPPORTED, "zip archive spans several disks");
		out->count = le64(record64 + 32);
		out->size = le64(record64 + 40);
		out->offset = le64(record64 + 48);
		directory_end = at;
	} else if (le16(record + 4) != 0 || le16(record + 6) != 0) {
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "zip archive spans several disks");
	}
	if (out->offset > directory_end || out->size > directory_end - out->offset ||
	    out->count > out->size / CENTRAL_SIZE)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip archive has a directory outside the file");
	return 0;
}

/* Takes the 64-bit values from an entry's extra field for those that say "all ones". */
static bool read_zip64_extra(const uint8_t *extra, size_t size, uint64_t *unpacked, uint64_t *packed, uint64_t *offset)
{
	bool wanted = *unpacked == UINT32_MAX || *packed == UINT32_MAX || *offset == UINT32_MAX;

	while (wanted && size >= 4) {
		size_t field = le16(extra + 2);
		if (field > size - 4)
			return false;
		if (le16(extra) != ZIP64_FIELD) {
			extra += 4 + field;
			size -= 4 + field;
			continue;
		}
		uint64_t *values[] = {unpacked, packed, offset};
		const uint8_t *at = extra + 4;
		for (size_t i = 0; i < FRCNN_COUNT(values); i++) {
			if (*values[i] != UINT32_MAX)
				continue;
			if (field < 8)
				return false;
			*values[i] = le64(at);
			at += 8;
			field -= 8;
		}
		return true;
	}
	return !wanted;
}

/* One entry of the directory at record (room bytes are left there); *used: its length. */
static int read_entry(const uint8_t *bytes, size_t directory, const uint8_t *record, size_t room,
		      struct frcnn_zip_entry *entry, size_t *used, struct frcnn_error *err)
{
	if (room < CENTRAL_SIZE || le32(record) != CENTRAL_SIGNATURE)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip archive has a damaged directory");
	size_t name_size = le16(record + 28), extra_size = le16(record + 30), comment_size = le16(record + 32);
	if (name_size + extra_size + comment_size > room - CENTRAL_SIZE)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip archive has a damaged directory");
	const uint8_t *name = record + CENTRAL_SIZE;
	entry->name = (struct frcnn_span){(const char *)name, name_size};
	entry->flags = le16(record + 8);
	entry->method = le16(record + 10);
	entry->crc = le32(record + 16);
	uint64_t packed = le32(record + 20), unpacked = le32(record + 24), offset = le32(record + 42);
	if (!read_zip64_extra(name + name_size, extra_size, &unpacked, &packed, &offset))
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" lacks its ZIP64 sizes", (int)name_size,
				  entry->name.data);
	if (offset > directory || directory - offset < LOCAL_SIZE || le32(bytes + offset) != LOCAL_SIGNATURE)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" has no local header", (int)name_size,
				  entry->name.data);
	const uint8_t *local = bytes + offset;
	size_t header = LOCAL_SIZE + (size_t)le16(local + 26) + le16(local + 28);
	if (header > directory - offset || packed > directory - offset - header)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" lies outside the file", (int)name_size,
				  entry->name.data);
	if (le16(local + 26) != name_size || memcmp(local + LOCAL_SIZE, name, name_size) != 0 ||
	    le16(local + 8) != entry->method)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" is not what its local header says",
				  (int)name_size, entry->name.data);
	if (entry->method == METHOD_STORED && packed != unpacked)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" has two sizes", (int)name_size,
				  entry->name.data);
	entry->packed = local + header;
	entry->packed_size = packed;
	entry->size = unpacked;
	*used = CENTRAL_SIZE + name_size + extra_size + comment_size;
	return 0;
}

static int compare_names(struct frcnn_span a, struct frcnn_span b)
{
	int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b)
{
	return compare_names(((const struct frcnn_zip_entry *)a)->name, ((const struct frcnn_zip_entry *)b)->name);
}

static int by_place(const void *a, const void *b)
{
	const struct frcnn_zip_entry *x = a, *y = b;

	if (x->packed != y->packed)
		return x->packed < y->packed ? -1 : 1;
	return (x->packed_size > y->packed_size) - (x->packed_size < y->packed_size);
}

int frcnn_zip_open(const uint8_t *bytes, size_t size, struct frcnn_arena *arena, struct frcnn_zip *out,
		   struct frcnn_error *err)
{
	struct directory directory = {0};
	int status = find_directory(bytes, size, &directory, err);

	*out = (struct frcnn_zip){0};
	if (status < 0)
		return status;
	struct frcnn_zip_entry *entries = frcnn_arena_alloc(arena, directory.count, sizeof(*entries));
	if (entries == NULL)
		return frcnn_fail_nomem(err);
	size_t at = 0;
	for (size_t i = 0; i < directory.count; i++) {
		size_t used = 0;
		status = read_entry(bytes, directory.offset, bytes + directory.offset + at, directory.size - at,
				    &entries[i], &used, err);
		if (status < 0)
			return status;
		at += used;
	}
	qsort(entries, directory.count, sizeof(*entries), by_place);
	for (size_t i = 1; i < directory.count; i++) {
		if ((size_t)(entries[i].packed - entries[i - 1].packed) < entries[i - 1].packed_size)
			return frcnn_fail(err, FRCNN_EFORMAT, "zip records \"%.*s\" and \"%.*s\" overlap",
					  (int)entries[i - 1].name.size, entries[i - 1].name.data,
					  (int)entries[i].name.size, entries[i].name.data);
	}
	qsort(entries, directory.count, sizeof(*entries), by_name);
	for (size_t i = 1; i < directory.count; i++) {
		if (by_name(&entries[i - 1], &entries[i]) == 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" is there twice",
					  (int)entries[i].name.size, entries[i].name.data);
	}
	out->entries = entries;
	out->count = directory.count;
	return 0;
}

struct frcnn_zip_entry *frcnn_zip_find(const struct frcnn_zip *zip, const char *name, size_t size)
{
	struct frcnn_zip_entry key = {.name = {name, size}};

	if (zip->count == 0)
		return NULL;
	return bsearch(&key, zip->entries, zip->count, sizeof(key), by_name);
}

/* Inflates packed bytes into exactly size bytes at out. False: damaged, or another size. */
static int inflate_all(const struct frcnn_zip_entry *entry, uint8_t *out, struct frcnn_error *err)
{
	z_stream stream = {0};
	size_t in_left = entry->packed_size, out_left = entry->size;
	int code = inflateInit2(&stream, -MAX_WBITS);

	if (code != Z_OK)
		return code == Z_MEM_ERROR ? frcnn_fail_nomem(err)
					   : frcnn_fail(err, FRCNN_EUNSUPPORTED, "zlib cannot inflate");
	stream.next_in = (Bytef *)entry->packed; /* zlib's field is not const, its use is */
	stream.next_out = out;
	while (code == Z_OK) {
		/* zlib counts in 32 bits */
		uInt in = in_left > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)in_left;
		uInt room = out_left > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)out_left;
		stream.avail_in = in;
		stream.avail_out = room;
		code = inflate(&stream, Z_NO_FLUSH);
		in_left -= in - stream.avail_in;
		out_left -= room - stream.avail_out;
	}
	inflateEnd(&stream);
	if (code == Z_MEM_ERROR)
		return frcnn_fail_nomem(err);
	if (code != Z_STREAM_END || out_left != 0 || in_left != 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" cannot be inflated", (int)entry->name.size,
				  entry->name.data);
	return 0;
}

int frcnn_zip_read(struct frcnn_zip *zip, struct frcnn_zip_entry *entry, size_t most, struct frcnn_arena *arena,
		   struct frcnn_error *err)
{
	const uint8_t *data = entry->packed;
	int status;

	if (entry->data != NULL)
		return 0;
	if (entry->size > most)
		return frcnn_fail(err, FRCNN_ELIMIT, "zip record \"%.*s\" is larger than %zu bytes",
				  (int)entry->name.size, entry->name.data, most);
	if (entry->flags & FLAG_ENCRYPTED)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "zip record \"%.*s\" is encrypted", (int)entry->name.size,
				  entry->name.data);
	if (entry->method == METHOD_DEFLATED) {
		if (entry->size / DEFLATE_BEST > entry->packed_size)
			return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" cannot be as large as it says",
					  (int)entry->name.size, entry->name.data);
		if (entry->size > MAX_INFLATED - zip->inflated)
			return frcnn_fail(err, FRCNN_ELIMIT, "zip archive inflates to more than %zu bytes",
					  MAX_INFLATED);
		uint8_t *room = frcnn_arena_alloc(arena, entry->size > 0 ? entry->size : 1, 1);
		if (room == NULL)
			return frcnn_fail_nomem(err);
		status = inflate_all(entry, room, err);
		if (status < 0)
			return status;
		zip->inflated += entry->size;
		data = room;
	} else if (entry->method != METHOD_STORED) {
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "zip record \"%.*s\" is packed by method %d",
				  (int)entry->name.size, entry->name.data, entry->method);
	}
	if (crc32_z(0, data, entry->size) != entry->crc)
		return frcnn_fail(err, FRCNN_EFORMAT, "zip record \"%.*s\" is damaged: its CRC does not match",
				  (int)entry->name.size, entry->name.data);
	entry->data = data;
	return 0;
}
