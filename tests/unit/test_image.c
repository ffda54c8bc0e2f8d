/* Pictures: what Pillow gives for each golden, and what is refused how. Golden files and their digests come from
 * tests/golden/image/make.py. */
#include <criterion/criterion.h>

#include "image/image.h"

#define GOLDEN "tests/golden/image/"

static struct frcnn_file open_file(const char *folder, const char *name)
{
	struct frcnn_buffer path = {0};
	struct frcnn_file file;
	struct frcnn_error err = {0};

	frcnn_buffer_printf(&path, "%s%s", folder, name);
	cr_assert_eq(frcnn_file_open(path.data, 0, &file, &err), 0, "%s", err.message);
	frcnn_buffer_free(&path);
	return file;
}

/* Cuts the line at its next tab or end. */
static char *field(char **at)
{
	char *start = *at;
	size_t size = strcspn(start, "\t\n");

	*at = start + size + (start[size] != '\0');
	start[size] = '\0';
	return start;
}

static void check_picture(const char *folder, const char *name, const char *verdict, const char *what, const char *sha)
{
	struct frcnn_file file = open_file(folder, name);
	struct frcnn_image_options options = {.exif = strcmp(verdict, "exif") == 0};
	struct frcnn_image image;
	struct frcnn_error err = {0};
	int status = frcnn_image_decode(file.data, file.size, &options, &image, &err);

	if (strcmp(verdict, "error") == 0) {
		cr_expect_lt(status, 0, "%s is read", name);
		cr_expect_eq(status, err.status, "%s", name);
		cr_expect_not_null(strstr(err.message, what), "%s: %s", name, err.message);
		cr_expect_null(image.rgb, "%s", name);
	} else {
		char size[32], digest[65];
		int width = 0, height = 0;

		cr_assert_eq(status, 0, "%s: %s", name, err.message);
		snprintf(size, sizeof size, "%dx%d", image.width, image.height);
		cr_expect_str_eq(size, what, "%s", name);
		frcnn_sha256(image.rgb, (size_t)image.width * (size_t)image.height * 3, digest, NULL);
		cr_expect_str_eq(digest, sha, "%s: other pixels", name);
		cr_expect_eq(image.warning[0] != '\0', strcmp(verdict, "warn") == 0, "%s: \"%s\"", name, image.warning);
		cr_expect_eq(frcnn_image_size(file.data, file.size, &options, &width, &height, NULL), 0, "%s", name);
		cr_expect(width == image.width && height == image.height, "%s: header says %dx%d", name, width, height);
	}
	frcnn_image_free(&image);
	frcnn_file_close(&file);
}

/* Returns the number of pictures. */
static int check_list(const char *list_name, const char *folder)
{
	struct frcnn_file list = open_file(GOLDEN, list_name);
	char *text = frcnn_strndup((const char *)list.data, list.size);
	int count = 0;

	cr_assert_not_null(text);
	for (char *at = text; *at; count++) {
		size_t size = strcspn(at, "\n");
		char *next = at + size + (at[size] != '\0');
		char *name, *verdict, *what;

		at[size] = '\0';
		name = field(&at);
		verdict = field(&at);
		what = field(&at);
		check_picture(folder, name, verdict, what, at);
		at = next;
	}
	free(text);
	frcnn_file_close(&list);
	return count;
}

Test(image, golden)
{
	cr_expect_geq(check_list("expected.txt", GOLDEN), 70);
}

Test(image, real_photographs)
{
	const char *data = getenv("FRCNN_DATA");
	char folder[1024];

	if (!data)
		cr_skip_test("FRCNN_DATA is not set");
	snprintf(folder, sizeof folder, "%s/", data);
	cr_expect_geq(check_list("real.txt", folder), 25);
	check_picture(folder, "truncated.jpg", "error", "truncated JPEG", NULL);
}

Test(image, exif_only_when_asked)
{
	struct frcnn_file file = open_file(GOLDEN, "exif6.jpg");
	struct frcnn_image image;
	int width = 0, height = 0;

	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &image, NULL), 0);
	cr_expect(image.width == 8 && image.height == 5);
	cr_expect_eq(frcnn_image_size(file.data, file.size, NULL, &width, &height, NULL), 0);
	cr_expect(width == 8 && height == 5);
	frcnn_image_free(&image);
	frcnn_file_close(&file);
}

Test(image, pixel_limit)
{
	static const char *const names[] = {"420.jpg", "c2_8.png"};
	static const int64_t pixels[] = {27 * 21, 11 * 9};

	for (size_t i = 0; i < FRCNN_COUNT(names); i++) {
		struct frcnn_file file = open_file(GOLDEN, names[i]);
		struct frcnn_image_options options = {.max_pixels = pixels[i]};
		struct frcnn_image image;
		struct frcnn_error err = {0};

		cr_expect_eq(frcnn_image_decode(file.data, file.size, &options, &image, &err), 0, "%s", err.message);
		frcnn_image_free(&image);
		options.max_pixels--;
		cr_expect_eq(frcnn_image_decode(file.data, file.size, &options, &image, &err), FRCNN_ELIMIT);
		cr_expect_null(image.rgb);
		frcnn_file_close(&file);
	}
}

/* Every beginning of a file is an error or, where all pixels are there, the picture with a warning. Each lies in a
 * block of its own size, so that a sanitizer sees a read behind it. */
Test(image, every_beginning)
{
	static const char *const names[] = {"420.jpg", "progressive.jpg", "restart.jpg", "c2_8.png", "c3_4_i.png"};

	for (size_t i = 0; i < FRCNN_COUNT(names); i++) {
		struct frcnn_file file = open_file(GOLDEN, names[i]);
		struct frcnn_image whole, image;
		struct frcnn_image_options options = {.exif = 1};

		cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &whole, NULL), 0);
		for (size_t size = 0; size < file.size; size++) {
			uint8_t *bytes = malloc(size ? size : 1);
			struct frcnn_error err = {0};

			memcpy(bytes, file.data, size);
			if (frcnn_image_decode(bytes, size, &options, &image, &err) == 0) {
				cr_expect_neq(image.warning[0], '\0', "%s, %zu bytes", names[i], size);
				cr_expect_eq(memcmp(image.rgb, whole.rgb, (size_t)whole.width * whole.height * 3), 0,
					     "%s, %zu bytes: other pixels", names[i], size);
				cr_expect_geq(size, file.size - 20, "%s, %zu bytes", names[i], size);
			} else {
				cr_expect_neq(err.message[0], '\0');
			}
			frcnn_image_free(&image);
			free(bytes);
		}
		frcnn_image_free(&whole);
		frcnn_file_close(&file);
	}
}

Test(image, sniff)
{
	static const struct {
		const char *bytes;
		size_t size;
		enum frcnn_image_kind kind;
		const char *name;
	} cases[] = {
	    {"\xFF\xD8\xFF\xE0", 4, FRCNN_IMAGE_JPEG, "JPEG"},
	    {"\xFF\xD8", 2, FRCNN_IMAGE_UNKNOWN, "unknown"},
	    {"\x89PNG\r\n\x1A\n", 8, FRCNN_IMAGE_PNG, "PNG"},
	    {"RIFF\x10\0\0\0WEBPVP8 ", 16, FRCNN_IMAGE_OTHER, "WebP"},
	    {"RIFF\x10\0\0\0WAVE", 12, FRCNN_IMAGE_UNKNOWN, "unknown"},
	    {"\0\0\0\x1C"
	     "ftypavif",
	     12, FRCNN_IMAGE_OTHER, "AVIF"},
	    {"\0\0\0\x1C"
	     "ftypheic",
	     12, FRCNN_IMAGE_OTHER, "HEIF"},
	    {"GIF89a", 6, FRCNN_IMAGE_OTHER, "GIF"},
	    {"BMP is short for bitmap", 23, FRCNN_IMAGE_UNKNOWN, "unknown"},
	    {"P6\n", 3, FRCNN_IMAGE_OTHER, "Netpbm"},
	    {"P6", 2, FRCNN_IMAGE_UNKNOWN, "unknown"},
	    {"", 0, FRCNN_IMAGE_UNKNOWN, "unknown"},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		const char *name;

		cr_expect_eq(frcnn_image_sniff(cases[i].bytes, cases[i].size, &name), cases[i].kind, "case %zu", i);
		cr_expect_str_eq(name, cases[i].name);
	}
}

Test(image, exif_parser)
{
	static const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 5, 0, 0, 0};
	uint8_t bytes[sizeof little];

	cr_expect_eq(frcnn_exif_orientation(little, sizeof little), 5);
	for (size_t size = 0; size < sizeof little; size++)
		cr_expect_eq(frcnn_exif_orientation(little, size), 1, "%zu bytes", size);
	memcpy(bytes, little, sizeof bytes);
	bytes[18] = 9;
	cr_expect_eq(frcnn_exif_orientation(bytes, sizeof bytes), 1, "out of range");
	memcpy(bytes, little, sizeof bytes);
	memset(bytes + 4, 0xFF, 4);
	cr_expect_eq(frcnn_exif_orientation(bytes, sizeof bytes), 1, "directory outside");
	memcpy(bytes, little, sizeof bytes);
	memset(bytes + 8, 0xFF, 2);
	cr_expect_eq(frcnn_exif_orientation(bytes, sizeof bytes), 5, "more entries than there is room for");
}

static void pattern(struct frcnn_image *image, int width, int height)
{
	cr_assert_eq(frcnn_image_new(width, height, image, NULL), 0);
	for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
		image->rgb[i] = (uint8_t)(i * 7 + i / 50);
}

Test(image, png_writer_is_lossless)
{
	struct frcnn_image image, back;
	struct frcnn_buffer file = {0}, copy = {0};
	struct frcnn_error err = {0};

	pattern(&image, 37, 23);
	cr_assert_eq(frcnn_png_encode(&image, "a comment", &file, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &back, &err), 0, "%s", err.message);
	cr_expect(back.width == 37 && back.height == 23 && back.warning[0] == '\0');
	cr_expect_eq(memcmp(back.rgb, image.rgb, 37 * 23 * 3), 0);
	frcnn_image_free(&back);
	cr_assert_eq(frcnn_png_copy((const uint8_t *)file.data, file.size, "another", &copy, &err), 0);
	cr_expect_eq(copy.size, file.size + 12 + strlen("Software") + 1 + strlen("another"));
	cr_assert_eq(frcnn_image_decode(copy.data, copy.size, NULL, &back, &err), 0, "%s", err.message);
	cr_expect_eq(memcmp(back.rgb, image.rgb, 37 * 23 * 3), 0);
	frcnn_image_free(&back);
	frcnn_image_free(&image);
	frcnn_buffer_free(&file);
	frcnn_buffer_free(&copy);
}

Test(image, jpeg_writer)
{
	struct frcnn_file file = open_file(GOLDEN, "444.jpg");
	struct frcnn_image image, back;
	struct frcnn_buffer out = {0};
	struct frcnn_error err = {0};
	const uint8_t *frame;
	size_t count;
	long difference = 0;

	cr_assert_eq(frcnn_image_decode(file.data, file.size, NULL, &image, NULL), 0);
	cr_assert_eq(frcnn_jpeg_encode(&image, 95, NULL, &out, &err), 0, "%s", err.message);
	frame = memmem(out.data, out.size, "\xFF\xC0", 2);
	cr_assert_not_null(frame);
	for (int c = 0; c < 3; c++)
		cr_expect_eq(frame[11 + 3 * c], 0x11, "component %d is subsampled", c);
	cr_assert_eq(frcnn_image_decode(out.data, out.size, NULL, &back, &err), 0, "%s", err.message);
	count = (size_t)image.width * (size_t)image.height * 3;
	for (size_t i = 0; i < count; i++)
		difference += abs(back.rgb[i] - image.rgb[i]);
	cr_expect_lt((double)difference / (double)count, 3.0);
	frcnn_image_free(&back);
	frcnn_buffer_free(&out);
	frcnn_image_free(&image);
	/* More than the format can say. */
	pattern(&image, 65501, 1);
	cr_expect_eq(frcnn_jpeg_encode(&image, 95, NULL, &out, &err), FRCNN_ELIMIT);
	frcnn_image_free(&image);
	frcnn_buffer_free(&out);
	frcnn_file_close(&file);
}
