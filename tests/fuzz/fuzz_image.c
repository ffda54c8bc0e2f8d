/* Any bytes as a picture: the size from the header and the decoder agree, with and without EXIF; what is read can be
 * written and read again. A small limit of pixels keeps each run short. */
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frcnn_image_options options = {.max_pixels = 1 << 16};
	struct frcnn_image image, back;
	struct frcnn_buffer file = {0};
	struct frcnn_error err = {0};
	const char *name;
	int width, height;

	frcnn_image_sniff(data, size, &name);
	check(name[0] != '\0');
	for (options.exif = 0; options.exif < 2; options.exif++) {
		if (frcnn_image_decode(data, size, &options, &image, &err)) {
			check(err.message[0] != '\0' && !image.rgb);
			frcnn_image_size(data, size, &options, &width, &height, NULL);
			continue;
		}
		check(frcnn_image_size(data, size, &options, &width, &height, NULL) == 0);
		check(width == image.width && height == image.height);
		if (options.exif == 0 && (int64_t)width * height < 4096) {
			check(frcnn_png_encode(&image, "fuzz", &file, NULL) == 0);
			check(frcnn_image_decode(file.data, file.size, NULL, &back, NULL) == 0);
			check(memcmp(back.rgb, image.rgb, (size_t)width * (size_t)height * 3) == 0);
			frcnn_image_free(&back);
		}
		frcnn_image_free(&image);
	}
	frcnn_buffer_free(&file);
	return 0;
}
