/* Writing the native form: safetensors, the same bytes for the same tensors and metadata. */
#include "model/container.h"
#include "json/json.h"

#include <errno.h>

#define ALIGNMENT 8    /* of the data's start, as the reference pads */
#define AS_IS     (-1) /* instead of a dtype: every tensor in its own */

static const char skipped[] = "num_batches_tracked";

/* num_batches_tracked counts training steps; nothing reads it. */
static bool is_skipped(const char *name)
{
	size_t size = strlen(name), tail = sizeof(skipped) - 1;

	return size >= tail && strcmp(name + size - tail, skipped) == 0 &&
	       (size == tail || name[size - tail - 1] == '.');
}

/* Variances stay float32: near 0, where float16 has few digits or none, they are divided by. */
static bool is_variance(const char *name)
{
	static const char tail[] = "running_var";
	size_t size = strlen(name), length = sizeof(tail) - 1;

	return size > length && strcmp(name + size - length, tail) == 0 && name[size - length - 1] == '.';
}

static bool is_floating(const struct frcnn_tensor *tensor)
{
	return tensor->dtype <= FRCNN_F64;
}

static enum frcnn_dtype written_dtype(const struct frcnn_tensor *tensor, int dtype)
{
	if (!is_floating(tensor) || dtype == AS_IS)
		return tensor->dtype;
	return dtype == FRCNN_F16 && is_variance(tensor->name) ? FRCNN_F32 : (enum frcnn_dtype)dtype;
}

/* Those to write, wide elements first so that all are aligned, by name (the checkpoint's order) among equals. */
static const struct frcnn_tensor **order_tensors(const struct frcnn_checkpoint *checkpoint, int dtype, size_t *count)
{
	const struct frcnn_tensor **list = frcnn_calloc(checkpoint->ntensors, sizeof(struct frcnn_tensor *));

	*count = 0;
	for (size_t width = 8; list != NULL && width > 0; width /= 2) {
		for (size_t i = 0; i < checkpoint->ntensors; i++) {
			const struct frcnn_tensor *tensor = &checkpoint->tensors[i];
			if (!is_skipped(tensor->name) && frcnn_dtype_size(written_dtype(tensor, dtype)) == width)
				list[(*count)++] = tensor;
		}
	}
	return list;
}

/* The header's JSON, padded with blanks. */
static int write_header(const struct frcnn_checkpoint *checkpoint, const struct frcnn_tensor *const *tensors,
			size_t count, int dtype, const char *metadata, struct frcnn_buffer *out,
			struct frcnn_error *err)
{
	struct frcnn_json_writer w = {.out = out};
	const char *provenance = checkpoint->provenance;
	size_t at = 0;

	frcnn_json_begin_object(&w);
	if (metadata != NULL || provenance != NULL) {
		frcnn_json_key(&w, "__metadata__");
		frcnn_json_begin_object(&w);
		if (metadata != NULL) {
			frcnn_json_key(&w, "frcnn");
			frcnn_json_put_string(&w, metadata, strlen(metadata));
		}
		if (provenance != NULL) {
			struct frcnn_json json;
			struct frcnn_span key, value;
			frcnn_json_open(&json, provenance, strlen(provenance), err);
			int status = frcnn_json_enter_object(&json);
			while (status >= 0 && (status = frcnn_json_next_key(&json, &key)) > 0) {
				char *name = frcnn_strndup(key.data, key.size);
				if (name == NULL) {
					status = frcnn_fail_nomem(err);
					break;
				}
				frcnn_json_key(&w, name);
				free(name);
				status = frcnn_json_string(&json, &value);
				if (status == 0)
					frcnn_json_put_string(&w, value.data, value.size);
			}
			frcnn_json_close(&json);
			if (status < 0)
				return status;
		}
		frcnn_json_end_object(&w);
	}
	for (size_t i = 0; i < count; i++) {
		const struct frcnn_tensor *tensor = tensors[i];
		enum frcnn_dtype written = written_dtype(tensor, dtype);
		frcnn_json_key(&w, tensor->name);
		frcnn_json_begin_object(&w);
		frcnn_json_key(&w, "dtype");
		frcnn_json_put_string(&w, frcnn_dtype_name(written), strlen(frcnn_dtype_name(written)));
		frcnn_json_key(&w, "shape");
		frcnn_json_begin_array(&w);
		for (int d = 0; d < tensor->ndim; d++)
			frcnn_json_put_int64(&w, tensor->shape[d]);
		frcnn_json_end_array(&w);
		frcnn_json_key(&w, "data_offsets");
		frcnn_json_begin_array(&w);
		frcnn_json_put_int64(&w, (int64_t)at);
		at += (size_t)tensor->elements * frcnn_dtype_size(written);
		frcnn_json_put_int64(&w, (int64_t)at);
		frcnn_json_end_array(&w);
		frcnn_json_end_object(&w);
	}
	frcnn_json_end_object(&w);
	while (!out->failed && out->size % ALIGNMENT != 0)
		frcnn_buffer_putc(out, ' ');
	return out->failed ? frcnn_fail_nomem(err) : 0;
}

/* Converts one tensor into room for it: float32 in floats, then what is written in bytes. */
static int convert(const struct frcnn_tensor *tensor, int dtype, float *floats, uint8_t *bytes, struct frcnn_error *err)
{
	bool as_is = !is_floating(tensor) || dtype == AS_IS || dtype == FRCNN_F64;

	dtype = (int)written_dtype(tensor, dtype);
	if (as_is) {
		frcnn_tensor_pack(tensor, bytes);
		return 0;
	}
	int status = frcnn_tensor_to_float(tensor, floats, err);
	if (status < 0)
		return status;
	if (dtype == FRCNN_F32) {
		memcpy(bytes, floats, (size_t)tensor->elements * sizeof(float));
		return 0;
	}
	for (int64_t i = 0; i < tensor->elements; i++) {
		uint16_t half = frcnn_float_to_half(floats[i]);
		if ((half & 0x7c00) == 0x7c00)
			return frcnn_fail(err, FRCNN_EINVAL, "tensor \"%s\" holds %g, too large for fp16", tensor->name,
					  (double)floats[i]);
		memcpy(bytes + 2 * i, &half, 2);
	}
	return 0;
}

static int put(const struct frcnn_output *output, const void *bytes, size_t size, struct frcnn_error *err)
{
	errno = 0;
	if (size == 0 || fwrite(bytes, 1, size, output->stream) == size)
		return 0;
	return frcnn_fail_errno(err, output->path, errno ? errno : EIO);
}

static int write_file(const char *path, const struct frcnn_checkpoint *checkpoint, int dtype, const char *metadata,
		      struct frcnn_error *err)
{
	const struct frcnn_tensor **tensors = NULL;
	struct frcnn_buffer header = {0};
	struct frcnn_output output = {0};
	bool opened = false;
	size_t count, largest = 1;
	float *floats = NULL;
	uint8_t *bytes = NULL, length[8];
	int status;

	tensors = order_tensors(checkpoint, dtype, &count);
	for (size_t i = 0; tensors != NULL && i < count; i++) {
		if ((size_t)tensors[i]->elements > largest)
			largest = (size_t)tensors[i]->elements;
	}
	floats = frcnn_alloc_aligned(largest, sizeof(float));
	bytes = frcnn_alloc_aligned(largest, 8);
	if (tensors == NULL || floats == NULL || bytes == NULL) {
		status = frcnn_fail_nomem(err);
		goto out;
	}
	status = write_header(checkpoint, tensors, count, dtype, metadata, &header, err);
	if (status < 0)
		goto out;
	status = frcnn_output_open(path, &output, err);
	if (status < 0)
		goto out;
	opened = true;
	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)((uint64_t)header.size >> (8 * i));
	status = put(&output, length, sizeof(length), err);
	if (status == 0)
		status = put(&output, header.data, header.size, err);
	for (size_t i = 0; i < count && status == 0; i++) {
		size_t item = frcnn_dtype_size(written_dtype(tensors[i], dtype));
		status = convert(tensors[i], dtype, floats, bytes, err);
		if (status == 0)
			status = put(&output, bytes, (size_t)tensors[i]->elements * item, err);
	}
	if (status == 0)
		status = frcnn_output_commit(&output, err);
	opened = status < 0;
out:
	if (opened)
		frcnn_output_abort(&output);
	frcnn_buffer_free(&header);
	free(tensors);
	free(floats);
	free(bytes);
	return status;
}

int frcnn_safetensors_write(const char *path, const struct frcnn_checkpoint *checkpoint, enum frcnn_dtype dtype,
			    const char *metadata, struct frcnn_error *err)
{
	if (dtype != FRCNN_F32 && dtype != FRCNN_F16 && dtype != FRCNN_F64)
		return frcnn_fail(err, FRCNN_EINVAL, "weights are written as F32 or F16, not %s",
				  frcnn_dtype_name(dtype));
	for (size_t i = 0; i < checkpoint->ntensors && dtype == FRCNN_F64; i++) {
		const struct frcnn_tensor *tensor = &checkpoint->tensors[i];
		if (is_floating(tensor) && tensor->dtype != FRCNN_F64)
			return frcnn_fail(err, FRCNN_EINVAL, "tensor \"%s\" is %s: nothing is widened to F64",
					  tensor->name, frcnn_dtype_name(tensor->dtype));
	}
	return write_file(path, checkpoint, (int)dtype, metadata, err);
}

/* ---- arrays in memory -------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct frcnn_tensor *)a)->name, ((const struct frcnn_tensor *)b)->name);
}

static int set_tensor(const struct frcnn_named_tensor *from, struct frcnn_tensor *out, struct frcnn_error *err)
{
	if (from->ndim < 0 || from->ndim > FRCNN_MAX_DIMS)
		return frcnn_fail(err, FRCNN_EINVAL, "tensor \"%s\" has %d dimensions", from->name, from->ndim);
	*out = (struct frcnn_tensor){
	    .name = from->name, .dtype = from->dtype, .ndim = from->ndim, .data = from->data, .elements = 1};
	for (int i = from->ndim - 1; i >= 0; i--) {
		out->shape[i] = from->shape[i];
		out->stride[i] = out->elements;
		if (from->shape[i] < 0 || __builtin_mul_overflow(out->elements, from->shape[i], &out->elements) ||
		    out->elements > INT64_MAX / 8)
			return frcnn_fail(err, FRCNN_EINVAL, "tensor \"%s\" has no shape that can be", from->name);
	}
	return 0;
}

static int check_object(const char *text, struct frcnn_error *err)
{
	struct frcnn_error inner = {0};
	struct frcnn_json json;
	struct frcnn_span raw = {0};
	int status;

	frcnn_json_open(&json, text, strlen(text), &inner);
	status = frcnn_json_skip(&json, &raw);
	if (status == 0)
		status = frcnn_json_finish(&json);
	frcnn_json_close(&json);
	if (status == FRCNN_ENOMEM)
		return frcnn_fail_nomem(err);
	if (status < 0 || raw.size == 0 || raw.data[0] != '{')
		return frcnn_fail(err, FRCNN_EINVAL, "metadata: \"quantization\" is not an object");
	return 0;
}

int frcnn_safetensors_write_tensors(const char *path, const struct frcnn_description *description,
				    const struct frcnn_named_tensor *tensors, size_t count, const char *quantization,
				    struct frcnn_error *err)
{
	struct frcnn_tensor *list = frcnn_calloc(count ? count : 1, sizeof *list);
	struct frcnn_checkpoint checkpoint = {.tensors = list, .ntensors = count};
	struct frcnn_description said = *description;
	struct frcnn_buffer metadata = {0};
	int status = list ? 0 : frcnn_fail_nomem(err);

	if (status == 0 && quantization) {
		said.quantization = (char *)quantization; /* which is only read */
		status = check_object(quantization, err);
	}
	for (size_t i = 0; i < count && status == 0; i++)
		status = set_tensor(&tensors[i], &list[i], err);
	if (status < 0)
		goto out;
	qsort(list, count, sizeof *list, by_name);
	for (size_t i = 1; i < count; i++) {
		if (strcmp(list[i - 1].name, list[i].name) == 0) {
			status = frcnn_fail(err, FRCNN_EINVAL, "tensor \"%s\" stands there twice", list[i].name);
			goto out;
		}
	}
	status = frcnn_metadata_write(&said, &metadata, err);
	if (status == 0)
		status = write_file(path, &checkpoint, AS_IS, metadata.data, err);
out:
	frcnn_buffer_free(&metadata);
	free(list);
	return status;
}
