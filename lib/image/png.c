#include "image/image.h"

#include <ctype.h>
#include <setjmp.h>

#include <png.h>
#include <zlib.h>

#define SIGNATURE_SIZE 8
#define CHUNK_OVERHEAD 12 /* length, type, checksum */

/* What a walk over the chunks finds before libpng sees a byte. */
struct outline {
	uint32_t width, height;
	const uint8_t *exif; /* in the bytes; NULL: none */
	size_t exif_size;
	bool end_there;  /* IEND, with its checksum */
	bool data_whole; /* no IDAT's data is cut short */
};

struct decoder {
	png_structp png;
	png_infop info;
	const uint8_t *bytes;
	size_t size, at;
	bool end_is_zeros; /* go on with zeros behind the end: only checksums can be missing */
	bool ended;        /* libpng asked for bytes behind the last one */
	bool no_memory;
	char message[128]; /* of the error that led to the escape */
	char warning[128];
	png_bytep *rows;
};

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int walk(const uint8_t *bytes, size_t size, struct outline *out, struct frcnn_error *err)
{
	size_t at = SIGNATURE_SIZE;
	bool header_seen = false;

	memset(out, 0, sizeof *out);
	out->data_whole = true;
	while (size - at >= 8) {
		uint32_t length = big_endian(bytes + at);
		const char *type = (const char *)bytes + at + 4;
		const uint8_t *data = bytes + at + 8;
		size_t left = size - at - 8;
		bool is_data = memcmp(type, "IDAT", 4) == 0;
		bool is_header = memcmp(type, "IHDR", 4) == 0;

		if (length > 0x7FFFFFFF)
			return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: a chunk of %lu bytes",
					  (unsigned long)length);
		if (memcmp(type, "IEND", 4) == 0) {
			out->end_there = left >= 4 && length <= left - 4;
			break;
		}
		if (!header_seen && !is_header)
			return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: it does not begin with a header");
		if (length > left) {
			if (is_data)
				out->data_whole = false;
			break;
		}
		if (is_header && !header_seen) {
			if (length != 13)
				return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: a header of %lu bytes",
						  (unsigned long)length);
			out->width = big_endian(data);
			out->height = big_endian(data + 4);
			header_seen = true;
		}
		if (left - length < 4)
			break;
		/* Bit 5 of the first letter: chunks without which there is no picture. */
		if (!(type[0] & 0x20) && crc32(0, (const Bytef *)type, length + 4) != big_endian(data + length))
			return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: wrong checksum of %.4s", type);
		if (memcmp(type, "eXIf", 4) == 0 && !out->exif) {
			out->exif = data;
			out->exif_size = length;
		}
		at += CHUNK_OVERHEAD + (size_t)length;
	}
	if (!header_seen)
		return frcnn_fail(err, FRCNN_EFORMAT, "truncated PNG");
	return 0;
}

static void on_error(png_structp png, png_const_charp message)
{
	struct decoder *d = png_get_error_ptr(png);

	snprintf(d->message, sizeof d->message, "%s", message);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
	struct decoder *d = png_get_error_ptr(png);

	if (!d->warning[0])
		snprintf(d->warning, sizeof d->warning, "%s", message);
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
	struct decoder *d = png_get_mem_ptr(png);
	void *block = malloc(size);

	if (!block)
		d->no_memory = true;
	return block;
}

static void on_free(png_structp png, png_voidp block)
{
	(void)png;
	free(block);
}

static void on_read(png_structp png, png_bytep out, size_t count)
{
	struct decoder *d = png_get_io_ptr(png);
	size_t left = d->size - d->at;

	if (count > left) {
		d->ended = true;
		if (!d->end_is_zeros)
			png_error(png, "truncated");
		memset(out + left, 0, count - left);
		memcpy(out, d->bytes + d->at, left);
		d->at = d->size;
		return;
	}
	memcpy(out, d->bytes + d->at, count);
	d->at += count;
}

/* Whatever the file holds becomes 8-bit RGB: alpha is dropped, not blended. */
static void set_up_rgb(png_structp png, png_infop info)
{
	int colour = png_get_color_type(png, info);
	int depth = png_get_bit_depth(png, info);

	if (colour == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(png);
	if (colour == PNG_COLOR_TYPE_GRAY && depth < 8)
		png_set_expand_gray_1_2_4_to_8(png);
	/* Plain gray of 16 bits is rounded, v / 257; colours, and gray with alpha, give their high byte. */
	if (depth == 16 && colour == PNG_COLOR_TYPE_GRAY)
		png_set_scale_16(png);
	else if (depth == 16)
		png_set_strip_16(png);
	if (colour & PNG_COLOR_MASK_ALPHA)
		png_set_strip_alpha(png);
	if (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_GRAY_ALPHA)
		png_set_gray_to_rgb(png);
	png_set_interlace_handling(png);
	png_read_update_info(png, info);
}

/* Every ancillary chunk is passed over: none of them changes a pixel of ours (without tRNS libpng makes no alpha). */
static void ignore_ancillary(png_structp png)
{
	static const char names[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0"
				    "sRGB\0sTER\0tEXt\0tIME\0tRNS\0zTXt";

	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep)names, (int)(sizeof names / 5));
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
}

static const char *in_house_style(char *message)
{
	if (isupper((unsigned char)message[0]) && islower((unsigned char)message[1]))
		message[0] = (char)tolower((unsigned char)message[0]);
	return message;
}

static int explain(struct decoder *d, struct frcnn_error *err)
{
	if (d->no_memory)
		return frcnn_fail_nomem(err);
	if (d->ended || strcmp(d->message, "Not enough image data") == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "truncated PNG");
	return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: %s", in_house_style(d->message));
}

static int read_pixels(struct decoder *d, struct frcnn_image *out, struct frcnn_error *err)
{
	d->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, d, on_error, on_warning, d, on_malloc, on_free);
	if (!d->png)
		return frcnn_fail_nomem(err);
	d->info = png_create_info_struct(d->png);
	if (!d->info)
		return frcnn_fail_nomem(err);
	d->rows = frcnn_calloc((size_t)out->height, sizeof *d->rows);
	if (!d->rows)
		return frcnn_fail_nomem(err);
	for (int y = 0; y < out->height; y++)
		d->rows[y] = out->rgb + (size_t)y * out->width * 3;
	if (setjmp(png_jmpbuf(d->png)))
		return explain(d, err);
	png_set_read_fn(d->png, d, on_read);
	/* Sizes and checksums have been looked at before. */
	png_set_user_limits(d->png, 0x7FFFFFFF, 0x7FFFFFFF);
	png_set_crc_action(d->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
	ignore_ancillary(d->png);
	png_read_info(d->png, d->info);
	set_up_rgb(d->png, d->info);
	if (png_get_image_width(d->png, d->info) != (png_uint_32)out->width ||
	    png_get_image_height(d->png, d->info) != (png_uint_32)out->height ||
	    png_get_rowbytes(d->png, d->info) != (size_t)out->width * 3)
		return frcnn_fail(err, FRCNN_EFORMAT, "corrupt PNG: the header contradicts itself");
	png_read_image(d->png, d->rows);
	return 0;
}

int frcnn_png_decode(const uint8_t *bytes, size_t size, int64_t max_pixels, bool header_only, struct frcnn_image *out,
		     int *orientation, struct frcnn_error *err)
{
	struct decoder d = {.bytes = bytes, .size = size};
	struct outline outline;
	int status;

	memset(out, 0, sizeof *out);
	status = walk(bytes, size, &outline, err);
	if (status)
		return status;
	if (orientation)
		*orientation = outline.exif ? frcnn_exif_orientation(outline.exif, outline.exif_size) : 1;
	status = frcnn_image_check(outline.width, outline.height, header_only ? INT64_MAX : max_pixels, err);
	if (status)
		return status;
	if (header_only) {
		out->width = (int)outline.width;
		out->height = (int)outline.height;
		return 0;
	}
	status = frcnn_image_new((int)outline.width, (int)outline.height, out, err);
	if (status)
		return status;
	d.end_is_zeros = outline.data_whole && !outline.end_there;
	status = read_pixels(&d, out, err);
	if (status == 0 && !outline.end_there)
		frcnn_image_warn(out, "PNG without its end chunk");
	if (status == 0 && d.warning[0])
		frcnn_image_warn(out, "odd PNG: %s", in_house_style(d.warning));
	png_destroy_read_struct(&d.png, &d.info, NULL);
	free(d.rows);
	if (status)
		frcnn_image_free(out);
	return status;
}
