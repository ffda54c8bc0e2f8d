/*
 * image - a file's bytes to RGB and back: JPEG by libjpeg-turbo, PNG by libpng,
 * told apart by content. What a decoder gives equals Pillow's convert("RGB"),
 * except that gray of 16 bits is scaled and not clipped.
 *
 * Knows bytes and pixels alone: no files, no resizing for a network (detect/),
 * no drawing (draw/). Every length and offset that comes from the bytes is
 * checked here or by the two libraries, which never see a size they may not
 * read. Errors name no file: the caller knows which one it gave.
 */
#ifndef FRCNN_IMAGE_H
#define FRCNN_IMAGE_H

#include "base/base.h"

#define FRCNN_IMAGE_MAX_PIXELS INT64_C(178956970)

enum frcnn_image_kind {
	FRCNN_IMAGE_UNKNOWN, /* nothing that we have a name for */
	FRCNN_IMAGE_JPEG,
	FRCNN_IMAGE_PNG,
	FRCNN_IMAGE_OTHER /* a format that has a name but no decoder here */
};

/* ---- decode.c ------------------------------------------------------------- */

/* Tells the kind by the first bytes (32 are enough; fewer may give UNKNOWN). *name (may be NULL) becomes "JPEG",
 * "PNG", "WebP", "BMP", "GIF", ... or "unknown"; it is constant. */
enum frcnn_image_kind frcnn_image_sniff(const void *bytes, size_t size, const char **name);

/* Width and height from the header, as frcnn_image_decode would give them (with options->exif a turned picture's
 * sides are swapped). Reads no pixels; max_pixels is not applied. options may be NULL. */
int frcnn_image_size(const void *bytes, size_t size, const struct frcnn_image_options *options, int *width, int *height,
		     struct frcnn_error *err);

/* Memory for width * height pixels, black; sides of at least 1. Freed by frcnn_image_free. */
int frcnn_image_new(int width, int height, struct frcnn_image *out, struct frcnn_error *err);

/* Checks the sides against zero and against max_pixels (<= 0: the default). */
int frcnn_image_check(int64_t width, int64_t height, int64_t max_pixels, struct frcnn_error *err);

/* Turns the picture so that it stands upright: orientation is EXIF's, 1 .. 8; others change nothing. */
int frcnn_image_turn(struct frcnn_image *image, int orientation, struct frcnn_error *err);

/* Keeps the first warning only: several faults of one picture are one line. */
void frcnn_image_warn(struct frcnn_image *image, const char *format, ...) FRCNN_PRINTF(2, 3);

/* ---- jpeg.c, png.c ---------------------------------------------------------- */

/* Only the header is read when header_only: then out has the size and no pixels. *orientation (NULL: not wanted)
 * becomes EXIF's orientation, 1 where there is none. out is zeroed first and empty after an error. */
int frcnn_jpeg_decode(const uint8_t *bytes, size_t size, int64_t max_pixels, bool header_only, struct frcnn_image *out,
		      int *orientation, struct frcnn_error *err);
int frcnn_png_decode(const uint8_t *bytes, size_t size, int64_t max_pixels, bool header_only, struct frcnn_image *out,
		     int *orientation, struct frcnn_error *err);

/* ---- exif.c ------------------------------------------------------------------- */

/* The orientation (1 .. 8) in a TIFF structure, as in a PNG's eXIf chunk or behind "Exif\0\0" in a JPEG's APP1;
 * 1 where there is none or the bytes make no sense. */
int frcnn_exif_orientation(const uint8_t *tiff, size_t size);

/* ---- encode.c ------------------------------------------------------------------ */

/* Append the encoded picture to out. comment: ASCII that goes into the file near its beginning (JPEG's comment, PNG's
 * "Software"), NULL: none. JPEG: quality 1 .. 100, chroma not subsampled (4:4:4); sides up to 65,500. */
int frcnn_jpeg_encode(const struct frcnn_image *image, int quality, const char *comment, struct frcnn_buffer *out,
		      struct frcnn_error *err);
int frcnn_png_encode(const struct frcnn_image *image, const char *comment, struct frcnn_buffer *out,
		     struct frcnn_error *err);
/* Appends a PNG file as it is, every pixel and chunk, with the comment behind its header. */
int frcnn_png_copy(const uint8_t *bytes, size_t size, const char *comment, struct frcnn_buffer *out,
		   struct frcnn_error *err);

#endif
