#include "image/image.h"

/* TIFF 6.0: a header of 8 bytes (byte order, 42, offset of the first directory); a directory is a count of 16 bits
 * and that many entries of 12 bytes: tag, type, count, value. */

enum { TAG_ORIENTATION = 0x0112, TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4 };

struct tiff {
	const uint8_t *data;
	size_t size;
	bool big_endian;
};

/* n bytes (1 .. 4) at offset as an unsigned number; the caller has checked that they are there. */
static uint32_t number(const struct tiff *tiff, size_t offset, int n)
{
	uint32_t value = 0;

	for (int i = 0; i < n; i++)
		value = value << 8 | tiff->data[offset + (size_t)(tiff->big_endian ? i : n - 1 - i)];
	return value;
}

static int type_size(uint32_t type)
{
	switch (type) {
	case TYPE_BYTE:
		return 1;
	case TYPE_SHORT:
		return 2;
	case TYPE_LONG:
		return 4;
	default:
		return 0;
	}
}

int frcnn_exif_orientation(const uint8_t *tiff_bytes, size_t size)
{
	struct tiff tiff = {tiff_bytes, size, false};
	int orientation = 1;
	size_t directory, entries;

	if (size < 8)
		return 1;
	if (memcmp(tiff_bytes, "MM", 2) == 0)
		tiff.big_endian = true;
	else if (memcmp(tiff_bytes, "II", 2) != 0)
		return 1;
	if (number(&tiff, 2, 2) != 42)
		return 1;
	directory = number(&tiff, 4, 4);
	if (directory > size - 2)
		return 1;
	entries = number(&tiff, directory, 2);
	for (size_t i = 0; i < entries; i++) {
		size_t entry = directory + 2 + i * 12;
		int bytes;
		uint32_t value;

		if (entry > size || size - entry < 12)
			break;
		if (number(&tiff, entry, 2) != TAG_ORIENTATION || number(&tiff, entry + 4, 4) != 1)
			continue;
		bytes = type_size(number(&tiff, entry + 2, 2));
		if (bytes == 0)
			continue;
		value = number(&tiff, entry + 8, bytes);
		/* Among several the last one counts, as in Pillow. */
		orientation = value >= 1 && value <= 8 ? (int)value : 1;
	}
	return orientation;
}
