#include "image/image.h"

#include <limits.h>

struct magic {
	size_t offset;
	const char *bytes;
	size_t size;
	enum frcnn_image_kind kind;
	const char *name;
};

#define MAGIC(offset, bytes, kind, name)                                                                               \
	{                                                                                                              \
		offset, bytes, sizeof(bytes) - 1, kind, name                                                           \
	}
#define OTHER(offset, bytes, name) MAGIC(offset, bytes, FRCNN_IMAGE_OTHER, name)

/* The first that fits counts: longer ones stand before their shorter neighbours. */
static const struct magic magics[] = {
    MAGIC(0, "\xFF\xD8\xFF", FRCNN_IMAGE_JPEG, "JPEG"),
    MAGIC(0, "\x89PNG\r\n\x1A\n", FRCNN_IMAGE_PNG, "PNG"),
    OTHER(8, "WEBP", "WebP"),
    OTHER(0, "GIF87a", "GIF"),
    OTHER(0, "GIF89a", "GIF"),
    OTHER(0, "II*\0", "TIFF"),
    OTHER(0, "MM\0*", "TIFF"),
    OTHER(0, "II+\0", "BigTIFF"),
    OTHER(0, "MM\0+", "BigTIFF"),
    OTHER(0, "\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
    OTHER(0, "\xFF\x4F\xFF\x51", "JPEG 2000"),
    OTHER(0, "\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
    OTHER(0, "\xFF\x0A", "JPEG XL"),
    OTHER(4, "ftypavif", "AVIF"),
    OTHER(4, "ftypavis", "AVIF"),
    OTHER(4, "ftyphei", "HEIF"),
    OTHER(4, "ftyphev", "HEIF"),
    OTHER(4, "ftypmif1", "HEIF"),
    OTHER(4, "ftypmsf1", "HEIF"),
    OTHER(4, "ftyp", "MPEG-4"),
    OTHER(0, "\x8AMNG\r\n\x1A\n", "MNG"),
    OTHER(0, "\x8BJNG\r\n\x1A\n", "JNG"),
    OTHER(0, "8BPS", "PSD"),
    OTHER(0, "qoif", "QOI"),
    OTHER(0, "\x76\x2F\x31\x01", "OpenEXR"),
    OTHER(0, "#?RADIANCE", "Radiance HDR"),
    OTHER(0, "DDS ", "DDS"),
    OTHER(0, "\0\0\1\0", "ICO"),
    OTHER(0, "%PDF", "PDF"),
    OTHER(0, "<svg", "SVG"),
    OTHER(0, "SIMPLE  =", "FITS"),
};

/* "P1" .. "P7" and white space: the Netpbm family. */
static bool is_netpbm(const uint8_t *bytes, size_t size)
{
	return size >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' &&
	       (bytes[2] == ' ' || bytes[2] == '\n' || bytes[2] == '\r' || bytes[2] == '\t');
}

/* "BM" alone is too weak: two reserved words of zero and a known header size come with it. */
static bool is_bmp(const uint8_t *bytes, size_t size)
{
	return size >= 18 && bytes[0] == 'B' && bytes[1] == 'M' && memcmp(bytes + 6, "\0\0\0\0", 4) == 0 &&
	       bytes[14] >= 12 && bytes[14] <= 124 && memcmp(bytes + 15, "\0\0\0", 3) == 0;
}

enum frcnn_image_kind frcnn_image_sniff(const void *bytes, size_t size, const char **name)
{
	enum frcnn_image_kind kind = FRCNN_IMAGE_UNKNOWN;
	const char *found = "unknown";

	for (size_t i = 0; i < FRCNN_COUNT(magics); i++) {
		const struct magic *m = &magics[i];

		if (size < m->offset + m->size || memcmp((const uint8_t *)bytes + m->offset, m->bytes, m->size) != 0)
			continue;
		if (m->offset == 8 && memcmp(bytes, "RIFF", 4) != 0)
			continue;
		kind = m->kind;
		found = m->name;
		break;
	}
	if (kind == FRCNN_IMAGE_UNKNOWN && is_bmp(bytes, size)) {
		kind = FRCNN_IMAGE_OTHER;
		found = "BMP";
	} else if (kind == FRCNN_IMAGE_UNKNOWN && is_netpbm(bytes, size)) {
		kind = FRCNN_IMAGE_OTHER;
		found = "Netpbm";
	}
	if (name)
		*name = found;
	return kind;
}

void frcnn_image_warn(struct frcnn_image *image, const char *format, ...)
{
	va_list args;

	if (image->warning[0])
		return;
	va_start(args, format);
	vsnprintf(image->warning, sizeof image->warning, format, args);
	va_end(args);
}

int frcnn_image_check(int64_t width, int64_t height, int64_t max_pixels, struct frcnn_error *err)
{
	if (max_pixels <= 0)
		max_pixels = FRCNN_IMAGE_MAX_PIXELS;
	if (width < 1 || height < 1)
		return frcnn_fail(err, FRCNN_EFORMAT, "picture without pixels (%lldx%lld)", (long long)width,
				  (long long)height);
	if (width > INT_MAX || height > INT_MAX || width > max_pixels / height)
		return frcnn_fail(err, FRCNN_ELIMIT, "picture of %lldx%lld pixels, more than the limit of %lld pixels",
				  (long long)width, (long long)height, (long long)max_pixels);
	return 0;
}

int frcnn_image_new(int width, int height, struct frcnn_image *out, struct frcnn_error *err)
{
	size_t pixels;

	memset(out, 0, sizeof *out);
	if (width < 1 || height < 1)
		return frcnn_fail(err, FRCNN_EINVAL, "picture without pixels (%dx%d)", width, height);
	if (!frcnn_mul_size((size_t)width, (size_t)height, &pixels))
		return frcnn_fail_nomem(err);
	out->rgb = frcnn_calloc(pixels, 3);
	if (!out->rgb)
		return frcnn_fail(err, FRCNN_ENOMEM, "out of memory for a picture of %dx%d pixels", width, height);
	out->width = width;
	out->height = height;
	return 0;
}

void frcnn_image_free(struct frcnn_image *image)
{
	if (!image)
		return;
	free(image->rgb);
	memset(image, 0, sizeof *image);
}

/* Where the pixel (x, y) of the upright picture (w x h) lies in the stored one, as EXIF 2.3 numbers the cases:
 * which side of the stored picture holds the upright one's row 0 and column 0. */
static void stored_position(int orientation, int w, int h, int x, int y, int *sx, int *sy)
{
	bool swap = orientation >= 5;
	bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
	bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
	int sw = swap ? h : w, sh = swap ? w : h;
	int px = swap ? y : x, py = swap ? x : y;

	*sx = flip_x ? sw - 1 - px : px;
	*sy = flip_y ? sh - 1 - py : py;
}

int frcnn_image_turn(struct frcnn_image *image, int orientation, struct frcnn_error *err)
{
	struct frcnn_image turned;
	int status;

	if (orientation < 2 || orientation > 8)
		return 0;
	if (orientation >= 5)
		status = frcnn_image_new(image->height, image->width, &turned, err);
	else
		status = frcnn_image_new(image->width, image->height, &turned, err);
	if (status)
		return status;
	for (int y = 0; y < turned.height; y++) {
		uint8_t *row = turned.rgb + (size_t)y * turned.width * 3;

		for (int x = 0; x < turned.width; x++) {
			int sx, sy;

			stored_position(orientation, turned.width, turned.height, x, y, &sx, &sy);
			memcpy(row + (size_t)x * 3, image->rgb + ((size_t)sy * image->width + sx) * 3, 3);
		}
	}
	free(image->rgb);
	image->rgb = turned.rgb;
	image->width = turned.width;
	image->height = turned.height;
	return 0;
}

static int decode(const void *bytes, size_t size, const struct frcnn_image_options *options, bool header_only,
		  struct frcnn_image *out, int *orientation, struct frcnn_error *err)
{
	int64_t max_pixels = options ? options->max_pixels : 0;
	int *wanted = options && options->exif ? orientation : NULL;
	const char *name;

	memset(out, 0, sizeof *out);
	*orientation = 1;
	if (size == 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "the file is empty");
	switch (frcnn_image_sniff(bytes, size, &name)) {
	case FRCNN_IMAGE_JPEG:
		return frcnn_jpeg_decode(bytes, size, max_pixels, header_only, out, wanted, err);
	case FRCNN_IMAGE_PNG:
		return frcnn_png_decode(bytes, size, max_pixels, header_only, out, wanted, err);
	case FRCNN_IMAGE_OTHER:
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "%s file: only JPEG and PNG are read", name);
	case FRCNN_IMAGE_UNKNOWN:
		break;
	}
	return frcnn_fail(err, FRCNN_EFORMAT, "neither JPEG nor PNG");
}

int frcnn_image_decode(const void *bytes, size_t size, const struct frcnn_image_options *options,
		       struct frcnn_image *out, struct frcnn_error *err)
{
	int orientation;
	int status = decode(bytes, size, options, false, out, &orientation, err);

	if (status == 0)
		status = frcnn_image_turn(out, orientation, err);
	if (status)
		frcnn_image_free(out);
	return status;
}

int frcnn_image_size(const void *bytes, size_t size, const struct frcnn_image_options *options, int *width, int *height,
		     struct frcnn_error *err)
{
	struct frcnn_image image;
	int orientation;
	int status = decode(bytes, size, options, true, &image, &orientation, err);

	if (status == 0) {
		*width = orientation >= 5 ? image.height : image.width;
		*height = orientation >= 5 ? image.width : image.height;
	}
	frcnn_image_free(&image);
	return status;
}
