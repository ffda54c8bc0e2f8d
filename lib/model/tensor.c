/* Tensors by themselves: dtypes, the check of a view against its storage, conversion to float32. */
#include "model/container.h"

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
    [FRCNN_F32] = {"F32", 4}, [FRCNN_F16] = {"F16", 2},   [FRCNN_BF16] = {"BF16", 2}, [FRCNN_F64] = {"F64", 8},
    [FRCNN_I64] = {"I64", 8}, [FRCNN_I32] = {"I32", 4},   [FRCNN_I16] = {"I16", 2},   [FRCNN_I8] = {"I8", 1},
    [FRCNN_U8] = {"U8", 1},   [FRCNN_BOOL] = {"BOOL", 1},
};

size_t frcnn_dtype_size(enum frcnn_dtype dtype)
{
	return dtypes[dtype].size;
}

const char *frcnn_dtype_name(enum frcnn_dtype dtype)
{
	return dtypes[dtype].name;
}

/* ---- views of storages ---------------------------------------------------------------------------------------------
 */

/* A view may repeat elements (stride 0), but a small file shall not stand for a huge tensor. */
#define MAX_REPEATED 65536

/* Copies a list of integers in 0 .. 2^62 to out. */
static bool read_dims(const struct frcnn_value *list, int64_t *out)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct frcnn_value *item = list->items[i];
		if (item->kind != FRCNN_VALUE_INT || item->integer < 0)
			return false;
		out[i] = item->integer;
	}
	return true;
}

int frcnn_torch_tensor_check(struct frcnn_span name, const struct frcnn_torch_tensor *tensor, struct frcnn_tensor *out,
			     struct frcnn_error *err)
{
	const struct frcnn_storage *storage = tensor->storage;
	int size = name.size > 256 ? 256 : (int)name.size;
	size_t item = frcnn_dtype_size(tensor->dtype);

	if (tensor->size->count > FRCNN_MAX_DIMS)
		return frcnn_fail(err, FRCNN_EUNSUPPORTED, "tensor \"%.*s\" has %zu dimensions, more than %d", size,
				  name.data, tensor->size->count, FRCNN_MAX_DIMS);
	if (tensor->stride->count != tensor->size->count || !read_dims(tensor->size, out->shape) ||
	    !read_dims(tensor->stride, out->stride) || tensor->offset < 0)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%.*s\" has a malformed shape", size, name.data);
	out->dtype = tensor->dtype;
	out->ndim = (int)tensor->size->count;
	out->elements = 1;
	int64_t last = tensor->offset; /* of all the elements' indices the largest */
	bool fits = true, empty = false;
	for (int i = 0; i < out->ndim; i++) {
		int64_t span;
		if (out->shape[i] == 0)
			empty = true;
		else
			fits = fits && !__builtin_mul_overflow(out->shape[i] - 1, out->stride[i], &span) &&
			       !__builtin_add_overflow(last, span, &last) &&
			       !__builtin_mul_overflow(out->elements, out->shape[i], &out->elements);
	}
	if (empty)
		out->elements = 0;
	uint64_t have = storage->size / item;
	if (!fits || (empty ? (uint64_t)tensor->offset > have : (uint64_t)last >= have))
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%.*s\" reaches beyond its storage", size, name.data);
	if ((uint64_t)out->elements > have && out->elements > MAX_REPEATED)
		return frcnn_fail(err, FRCNN_ELIMIT, "tensor \"%.*s\" repeats its storage to %lld elements", size,
				  name.data, (long long)out->elements);
	out->data = storage->data + (size_t)tensor->offset * item;
	return 0;
}

/* ---- to float32
 * ------------------------------------------------------------------------------------------------------ */

#define BLOCK 1024 /* a constant trip count lets the compiler vectorise the loops below */

/* The loops convert n elements at in, which may be unaligned, and return a word that is not 0 when one of the results
 * is infinite or NaN: adding 1 to an exponent of all ones carries into bit 8. */
static uint32_t non_finite(uint32_t bits)
{
	return (((bits >> 23 & 0xff) + 1) >> 8);
}

static float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint32_t check_f32(const float *values, size_t n)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++)
		bad |= non_finite(bits_of(values[i]));
	return bad;
}

/* binary16: exponent and fraction moved to their places in binary32, then scaled by 2^(127-15), which also makes
 * subnormal numbers right. */
static uint32_t from_f16(const uint16_t *in, float *out, size_t n)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t half = in[i];
		float magnitude = float_of((half & 0x7fff) << 13) * 0x1p112f;
		out[i] = float_of(bits_of(magnitude) | (half & 0x8000) << 16);
		bad |= ((half >> 10 & 31) + 1) >> 5;
	}
	return bad;
}

static uint32_t from_bf16(const uint16_t *in, float *out, size_t n)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t bits = (uint32_t)in[i] << 16;
		out[i] = float_of(bits);
		bad |= non_finite(bits);
	}
	return bad;
}

static uint32_t from_f64(const double *in, float *out, size_t n)
{
	uint32_t bad = 0;

	for (size_t i = 0; i < n; i++) {
		out[i] = (float)in[i];
		bad |= non_finite(bits_of(out[i]));
	}
	return bad;
}

/* n <= BLOCK packed elements. */
static uint32_t convert_block(enum frcnn_dtype dtype, const uint8_t *in, float *out, size_t n)
{
	union {
		uint16_t words[BLOCK];
		double doubles[BLOCK];
	} aligned;

	switch (dtype) {
	case FRCNN_F32:
		memcpy(out, in, n * 4);
		return n == BLOCK ? check_f32(out, BLOCK) : check_f32(out, n);
	case FRCNN_F16:
		memcpy(aligned.words, in, n * 2);
		return n == BLOCK ? from_f16(aligned.words, out, BLOCK) : from_f16(aligned.words, out, n);
	case FRCNN_BF16:
		memcpy(aligned.words, in, n * 2);
		return n == BLOCK ? from_bf16(aligned.words, out, BLOCK) : from_bf16(aligned.words, out, n);
	default:
		memcpy(aligned.doubles, in, n * 8);
		return from_f64(aligned.doubles, out, n);
	}
}

static bool is_contiguous(const struct frcnn_tensor *tensor)
{
	int64_t expected = 1;

	for (int i = tensor->ndim - 1; i >= 0; i--) {
		if (tensor->shape[i] != 1 && tensor->stride[i] != expected)
			return false;
		expected *= tensor->shape[i];
	}
	return true;
}

/* Gathers elements first .. first + n - 1 in row-major order into packed, item bytes each; index is an odometer that
 * stands at element first and is left at first + n. */
static void gather(const struct frcnn_tensor *tensor, size_t item, int64_t *index, size_t n, uint8_t *packed)
{
	for (size_t k = 0; k < n; k++) {
		int64_t at = 0;
		for (int i = 0; i < tensor->ndim; i++)
			at += index[i] * tensor->stride[i];
		memcpy(packed + k * item, tensor->data + (size_t)at * item, item);
		for (int i = tensor->ndim - 1; i >= 0; i--) {
			if (++index[i] < tensor->shape[i])
				break;
			index[i] = 0;
		}
	}
}

int frcnn_tensor_to_float(const struct frcnn_tensor *tensor, float *out, struct frcnn_error *err)
{
	size_t elements = (size_t)tensor->elements, item = frcnn_dtype_size(tensor->dtype);
	bool contiguous = is_contiguous(tensor);
	int64_t index[FRCNN_MAX_DIMS] = {0};
	uint8_t packed[BLOCK * 8];

	if (tensor->dtype > FRCNN_F64)
		return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%s\" holds integers (%s) where weights are expected",
				  tensor->name, frcnn_dtype_name(tensor->dtype));
	for (size_t at = 0; at < elements; at += BLOCK) {
		size_t n = elements - at < BLOCK ? elements - at : BLOCK;
		const uint8_t *in = contiguous ? tensor->data + at * item : packed;
		if (!contiguous)
			gather(tensor, item, index, n, packed);
		if (convert_block(tensor->dtype, in, out + at, n) != 0)
			return frcnn_fail(err, FRCNN_EFORMAT, "tensor \"%s\" holds a value that is not finite",
					  tensor->name);
	}
	return 0;
}

void frcnn_tensor_pack(const struct frcnn_tensor *tensor, uint8_t *out)
{
	size_t item = frcnn_dtype_size(tensor->dtype);
	int64_t index[FRCNN_MAX_DIMS] = {0};

	if (is_contiguous(tensor))
		memcpy(out, tensor->data, (size_t)tensor->elements * item);
	else
		gather(tensor, item, index, (size_t)tensor->elements, out);
}
