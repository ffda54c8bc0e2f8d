/* Before our own headers: its macros name functions that those ban. */
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

#include "image/image.h"

#include <setjmp.h>

#include <png.h>
#include <zlib.h>

/* ---- JPEG ---------------------------------------------------------------------- */

struct jpeg_writer {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	struct frcnn_buffer *out;
	jmp_buf escape;
	char message[JMSG_LENGTH_MAX];
	int code;
	JOCTET block[16384];
};

static void on_jpeg_error(j_common_ptr jpeg)
{
	struct jpeg_writer *w = jpeg->client_data;

	w->code = jpeg->err->msg_code;
	jpeg->err->format_message(jpeg, w->message);
	longjmp(w->escape, 1);
}

static void on_jpeg_output(j_common_ptr jpeg)
{
	(void)jpeg;
}

static void destination_init(j_compress_ptr jpeg)
{
	struct jpeg_writer *w = jpeg->client_data;

	w->destination.next_output_byte = w->block;
	w->destination.free_in_buffer = sizeof w->block;
}

static boolean destination_empty(j_compress_ptr jpeg)
{
	struct jpeg_writer *w = jpeg->client_data;

	frcnn_buffer_add(w->out, w->block, sizeof w->block);
	destination_init(jpeg);
	return TRUE;
}

static void destination_term(j_compress_ptr jpeg)
{
	struct jpeg_writer *w = jpeg->client_data;

	frcnn_buffer_add(w->out, w->block, sizeof w->block - w->destination.free_in_buffer);
}

int frcnn_jpeg_encode(const struct frcnn_image *image, int quality, const char *comment, struct frcnn_buffer *out,
		      struct frcnn_error *err)
{
	struct jpeg_writer *w = frcnn_calloc(1, sizeof *w);
	int status = 0;

	if (!w)
		return frcnn_fail_nomem(err);
	w->out = out;
	w->jpeg.err = jpeg_std_error(&w->errors);
	w->errors.error_exit = on_jpeg_error;
	w->errors.output_message = on_jpeg_output;
	w->jpeg.client_data = w;
	if (setjmp(w->escape)) {
		if (w->code == JERR_OUT_OF_MEMORY)
			status = frcnn_fail_nomem(err);
		else if (w->code == JERR_IMAGE_TOO_BIG)
			status = frcnn_fail(err, FRCNN_ELIMIT, "a picture of %dx%d pixels is too large for JPEG",
					    image->width, image->height);
		else
			status = frcnn_fail(err, FRCNN_EINVAL, "JPEG writer: %s", w->message);
		goto out;
	}
	jpeg_create_compress(&w->jpeg);
	w->destination.init_destination = destination_init;
	w->destination.empty_output_buffer = destination_empty;
	w->destination.term_destination = destination_term;
	w->jpeg.dest = &w->destination;
	w->jpeg.image_width = (JDIMENSION)image->width;
	w->jpeg.image_height = (JDIMENSION)image->height;
	w->jpeg.input_components = 3;
	w->jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&w->jpeg);
	jpeg_set_quality(&w->jpeg, quality, TRUE);
	for (int c = 0; c < 3; c++)
		w->jpeg.comp_info[c].h_samp_factor = w->jpeg.comp_info[c].v_samp_factor = 1;
	w->jpeg.optimize_coding = TRUE;
	jpeg_start_compress(&w->jpeg, TRUE);
	if (comment)
		jpeg_write_marker(&w->jpeg, JPEG_COM, (const JOCTET *)comment, (unsigned int)strlen(comment));
	while (w->jpeg.next_scanline < w->jpeg.image_height) {
		JSAMPROW row = image->rgb + (size_t)w->jpeg.next_scanline * (size_t)image->width * 3;

		jpeg_write_scanlines(&w->jpeg, &row, 1);
	}
	jpeg_finish_compress(&w->jpeg);
	if (out->failed)
		status = frcnn_fail_nomem(err);
out:
	jpeg_destroy_compress(&w->jpeg);
	free(w);
	return status;
}

/* ---- PNG ------------------------------------------------------------------------ */

struct png_writer {
	png_structp png;
	png_infop info;
	struct frcnn_buffer *out;
	char message[128];
};

static void on_png_error(png_structp png, png_const_charp message)
{
	struct png_writer *w = png_get_error_ptr(png);

	snprintf(w->message, sizeof w->message, "%s", message);
	png_longjmp(png, 1);
}

static void on_png_warning(png_structp png, png_const_charp message)
{
	(void)png;
	(void)message;
}

static void on_png_write(png_structp png, png_bytep bytes, size_t size)
{
	struct png_writer *w = png_get_io_ptr(png);

	frcnn_buffer_add(w->out, bytes, size);
}

static void on_png_flush(png_structp png)
{
	(void)png;
}

static int write_png(struct png_writer *w, const struct frcnn_image *image, const char *comment,
		     struct frcnn_error *err)
{
	w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w, on_png_error, on_png_warning);
	if (!w->png)
		return frcnn_fail_nomem(err);
	w->info = png_create_info_struct(w->png);
	if (!w->info)
		return frcnn_fail_nomem(err);
	if (setjmp(png_jmpbuf(w->png)))
		return frcnn_fail(err, FRCNN_EINVAL, "PNG writer: %s", w->message);
	png_set_write_fn(w->png, w, on_png_write, on_png_flush);
	png_set_user_limits(w->png, 0x7FFFFFFF, 0x7FFFFFFF);
	png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB,
		     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (comment) {
		png_text text = {.compression = PNG_TEXT_COMPRESSION_NONE, .key = (png_charp) "Software"};

		text.text = (png_charp)comment;
		png_set_text(w->png, w->info, &text, 1);
	}
	/* Half the time of the default for a fortieth more of bytes. */
	png_set_compression_level(w->png, 4);
	png_write_info(w->png, w->info);
	for (int y = 0; y < image->height; y++)
		png_write_row(w->png, image->rgb + (size_t)y * (size_t)image->width * 3);
	png_write_end(w->png, w->info);
	return w->out->failed ? frcnn_fail_nomem(err) : 0;
}

int frcnn_png_encode(const struct frcnn_image *image, const char *comment, struct frcnn_buffer *out,
		     struct frcnn_error *err)
{
	struct png_writer w = {.out = out};
	int status = write_png(&w, image, comment, err);

	png_destroy_write_struct(&w.png, &w.info);
	return status;
}

static void add_big_endian(struct frcnn_buffer *out, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		frcnn_buffer_putc(out, (char)(value >> shift));
}

int frcnn_png_copy(const uint8_t *bytes, size_t size, const char *comment, struct frcnn_buffer *out,
		   struct frcnn_error *err)
{
	/* The signature, and a header of 13 bytes with its length, type and checksum. */
	const size_t head = 8 + 25;
	struct frcnn_buffer chunk = {0};
	int status = 0;

	if (size < head)
		return frcnn_fail(err, FRCNN_EFORMAT, "truncated PNG");
	frcnn_buffer_add(&chunk, "tEXtSoftware", sizeof "tEXtSoftware");
	frcnn_buffer_puts(&chunk, comment);
	frcnn_buffer_add(out, bytes, head);
	if (!chunk.failed) {
		add_big_endian(out, (uint32_t)chunk.size - 4);
		frcnn_buffer_add(out, chunk.data, chunk.size);
		add_big_endian(out, (uint32_t)crc32(0, (const Bytef *)chunk.data, (uInt)chunk.size));
	}
	frcnn_buffer_add(out, bytes + head, size - head);
	if (chunk.failed || out->failed)
		status = frcnn_fail_nomem(err);
	frcnn_buffer_free(&chunk);
	return status;
}
