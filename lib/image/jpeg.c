/* Before our own headers: its macros name functions that those ban. */
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

#include "image/image.h"

#include <ctype.h>
#include <limits.h>
#include <setjmp.h>

/* A progressive file can hold any number of scans, each of which walks over the whole picture again. Encoders make
 * about ten; a script of one scan a coefficient and bit stays below this. */
#define MAX_SCANS 500

struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_source_mgr source;
	struct jpeg_progress_mgr progress;
	jmp_buf escape;
	bool ended;        /* libjpeg asked for bytes behind the last one */
	bool pixels_done;  /* every row is there: what follows can only be a warning */
	bool data_missing; /* a scan ended before its last block */
	bool coarse;       /* fine detail was left out of a progressive file */
	bool scans_over;   /* more than MAX_SCANS */
	bool component_seen[MAX_COMPONENTS];
	char message[JMSG_LENGTH_MAX]; /* of the error that led to the escape */
	int code;
	char warning[JMSG_LENGTH_MAX];
};

static struct decoder *decoder_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

static void on_error(j_common_ptr jpeg)
{
	struct decoder *d = decoder_of(jpeg);

	d->code = jpeg->err->msg_code;
	jpeg->err->format_message(jpeg, d->message);
	longjmp(d->escape, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
	struct decoder *d = decoder_of(jpeg);

	if (level >= 0)
		return;
	if (jpeg->err->msg_code == JWRN_HIT_MARKER && !d->pixels_done) {
		/* The entropy decoder ran out of bytes and would go on with grey. */
		d->data_missing = true;
		longjmp(d->escape, 1);
	}
	if (!d->warning[0])
		jpeg->err->format_message(jpeg, d->warning);
	jpeg->err->num_warnings++;
}

static void on_output(j_common_ptr jpeg)
{
	(void)jpeg;
}

/* ---- the source: bytes in memory, then end-of-image markers for ever --------- */

static void source_init(j_decompress_ptr jpeg)
{
	(void)jpeg;
}

static boolean source_fill(j_decompress_ptr jpeg)
{
	static const JOCTET end[] = {0xFF, JPEG_EOI};

	decoder_of((j_common_ptr)jpeg)->ended = true;
	jpeg->src->next_input_byte = end;
	jpeg->src->bytes_in_buffer = sizeof end;
	return TRUE;
}

static void source_skip(j_decompress_ptr jpeg, long count)
{
	if (count <= 0)
		return;
	if ((size_t)count > jpeg->src->bytes_in_buffer) {
		source_fill(jpeg);
		return;
	}
	jpeg->src->next_input_byte += count;
	jpeg->src->bytes_in_buffer -= (size_t)count;
}

static void source_term(j_decompress_ptr jpeg)
{
	(void)jpeg;
}

/* Called between the steps of reading a file of several scans. */
static void on_progress(j_common_ptr common)
{
	j_decompress_ptr jpeg = (j_decompress_ptr)common;
	struct decoder *d = decoder_of(common);

	for (int i = 0; i < jpeg->comps_in_scan; i++)
		d->component_seen[jpeg->cur_comp_info[i]->component_index] = true;
	if (jpeg->input_scan_number > MAX_SCANS) {
		d->scans_over = true;
		longjmp(d->escape, 1);
	}
}

/* ------------------------------------------------------------------------------ */

static void open_decoder(struct decoder *d, const uint8_t *bytes, size_t size)
{
	d->jpeg.err = jpeg_std_error(&d->errors);
	d->errors.error_exit = on_error;
	d->errors.emit_message = on_message;
	d->errors.output_message = on_output;
	d->jpeg.client_data = d;
	jpeg_create_decompress(&d->jpeg);
	d->source.init_source = source_init;
	d->source.fill_input_buffer = source_fill;
	d->source.skip_input_data = source_skip;
	d->source.resync_to_restart = jpeg_resync_to_restart;
	d->source.term_source = source_term;
	d->source.next_input_byte = bytes;
	d->source.bytes_in_buffer = size;
	d->jpeg.src = &d->source;
	d->progress.progress_monitor = on_progress;
	d->jpeg.progress = &d->progress;
}

static int find_orientation(const struct decoder *d)
{
	for (const struct jpeg_marker_struct *m = d->jpeg.marker_list; m; m = m->next) {
		if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
			return frcnn_exif_orientation(m->data + 6, m->data_length - 6);
	}
	return 1;
}

/* Files of several scans: whether every component had one that gives its blocks' means. *finest: whether all of a
 * progressive file's coefficients came at full precision. */
static bool all_components_there(const struct decoder *d, bool *finest)
{
	const struct jpeg_decompress_struct *jpeg = &d->jpeg;

	*finest = true;
	for (int c = 0; c < jpeg->num_components; c++) {
		if (!d->component_seen[c] || (jpeg->progressive_mode && jpeg->coef_bits[c][0] < 0))
			return false;
		for (int k = 0; jpeg->progressive_mode && k < DCTSIZE2; k++) {
			if (jpeg->coef_bits[c][k] != 0)
				*finest = false;
		}
	}
	return true;
}

/* One row of stored CMYK to RGB. The file's values are inverted ones (ink 255 means none), as Adobe writes them and as
 * Pillow reads every such file; the product is Pillow's rounded division by 255. */
static void cmyk_to_rgb(const JSAMPLE *cmyk, uint8_t *rgb, int width)
{
	for (int x = 0; x < width; x++, cmyk += 4, rgb += 3) {
		int light = cmyk[3];

		for (int c = 0; c < 3; c++) {
			int product = (255 - cmyk[c]) * light + 128;
			int value = light - ((product + (product >> 8)) >> 8);

			rgb[c] = (uint8_t)(value < 0 ? 0 : value);
		}
	}
}

static void read_rows(struct decoder *d, struct frcnn_image *out)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;
	JSAMPARRAY wide = NULL;

	if (jpeg->out_color_space == JCS_CMYK)
		wide = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * 4, 1);
	while (jpeg->output_scanline < jpeg->output_height) {
		JSAMPROW row = out->rgb + (size_t)jpeg->output_scanline * jpeg->output_width * 3;

		if (wide) {
			jpeg_read_scanlines(jpeg, wide, 1);
			cmyk_to_rgb(wide[0], row, out->width);
		} else {
			jpeg_read_scanlines(jpeg, &row, 1);
		}
	}
}

/* What libjpeg says, in our way of writing: no capital, no full stop. */
static const char *in_house_style(char *message)
{
	size_t size = strlen(message);

	while (size > 0 && (message[size - 1] == '.' || message[size - 1] == '\n'))
		message[--size] = '\0';
	if (size > 1 && isupper((unsigned char)message[0]) && islower((unsigned char)message[1]))
		message[0] = (char)tolower((unsigned char)message[0]);
	return message;
}

static int explain(struct decoder *d, struct frcnn_error *err)
{
	if (d->scans_over)
		return frcnn_fail(err, FRCNN_ELIMIT, "JPEG of more than %d scans", MAX_SCANS);
	if (d->code == JERR_OUT_OF_MEMORY)
		return frcnn_fail_nomem(err);
	if (d->ended)
		return frcnn_fail(err, FRCNN_EFORMAT, "truncated JPEG");
	if (d->data_missing)
		return frcnn_fail(err, FRCNN_EFORMAT, "corrupt JPEG: picture data missing");
	switch (d->code) {
	case JERR_EMPTY_IMAGE:
		return frcnn_fail(err, FRCNN_EFORMAT, "JPEG without pixels: a side of zero");
	case JERR_BAD_PRECISION:
	case JERR_SOF_UNSUPPORTED:
	case JERR_ARITH_NOTIMPL:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_FRACT_SAMPLE_NOTIMPL:
	case JERR_CCIR601_NOTIMPL:
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "JPEG of a kind that is not read: %s",
				  in_house_style(d->message));
	default:
		return frcnn_fail(err, FRCNN_EFORMAT, "corrupt JPEG: %s", in_house_style(d->message));
	}
}

int frcnn_jpeg_decode(const uint8_t *bytes, size_t size, int64_t max_pixels, bool header_only, struct frcnn_image *out,
		      int *orientation, struct frcnn_error *err)
{
	struct decoder *d;
	struct jpeg_decompress_struct *jpeg;
	bool finest;
	int status;

	memset(out, 0, sizeof *out);
	d = frcnn_calloc(1, sizeof *d);
	if (!d)
		return frcnn_fail_nomem(err);
	jpeg = &d->jpeg;
	if (setjmp(d->escape)) {
		status = d->pixels_done ? 0 : explain(d, err);
		goto out;
	}
	open_decoder(d, bytes, size);
	if (orientation)
		jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
	jpeg_read_header(jpeg, TRUE);
	if (orientation)
		*orientation = find_orientation(d);
	if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4) {
		status = frcnn_fail(err, FRCNN_EUNSUPPORTED, "JPEG of %d components", jpeg->num_components);
		goto out;
	}
	status = frcnn_image_check(jpeg->image_width, jpeg->image_height, header_only ? INT64_MAX : max_pixels, err);
	if (status)
		goto out;
	if (header_only) {
		out->width = (int)jpeg->image_width;
		out->height = (int)jpeg->image_height;
		goto out;
	}
	/* libjpeg takes the components' meaning from the JFIF and Adobe markers and the ids, as Pillow lets it. */
	jpeg->out_color_space = jpeg->num_components == 4 ? JCS_CMYK : JCS_RGB;
	jpeg_start_decompress(jpeg);
	if (jpeg_has_multiple_scans(jpeg)) {
		d->data_missing = !all_components_there(d, &finest) || (d->ended && !finest);
		d->coarse = !finest;
	}
	/* An arithmetic decoder reads zeros behind the end as a matter of course: it cannot tell what is missing. */
	if (d->data_missing || (jpeg->arith_code && d->ended)) {
		status = explain(d, err);
		goto out;
	}
	status = frcnn_image_new((int)jpeg->output_width, (int)jpeg->output_height, out, err);
	if (status)
		goto out;
	if (d->coarse)
		frcnn_image_warn(out, "JPEG without its finest scans");
	read_rows(d, out);
	if (jpeg->arith_code && d->ended) {
		status = explain(d, err);
		goto out;
	}
	d->pixels_done = true;
	jpeg_finish_decompress(jpeg);
out:
	if (status == 0 && !header_only) {
		if (d->ended)
			frcnn_image_warn(out, "JPEG without its end marker");
		else if (d->code)
			frcnn_image_warn(out, "odd JPEG: %s", in_house_style(d->message));
		else if (d->warning[0])
			frcnn_image_warn(out, "odd JPEG: %s", in_house_style(d->warning));
	}
	jpeg_destroy_decompress(jpeg);
	free(d);
	if (status)
		frcnn_image_free(out);
	return status;
}
