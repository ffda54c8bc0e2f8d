/*
 * Checkpoint containers: every form that PyTorch writes gives the same tensors, what is damaged or hostile gives an
 * error, nothing in a file is run, and refused memory is survived. Goldens:
 * tests/golden/checkpoint/make_checkpoints.py.
 */
#include "model/model.h"
#include "refuse.h"

#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

#define FOLDER "tests/golden/checkpoint/"

#define BYTES(text) text, sizeof(text) - 1

static int open_golden(const char *name, const char *key, struct frcnn_checkpoint *out, struct frcnn_error *err)
{
	char path[256];

	snprintf(path, sizeof(path), FOLDER "%s", name);
	return frcnn_checkpoint_open(path, key, out, err);
}

static uint8_t *read_golden(const char *name, size_t *size)
{
	char path[256];
	struct frcnn_file file;
	struct frcnn_error err;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	cr_assert_eq(frcnn_file_open(path, 0, &file, &err), 0, "%s", err.message);
	uint8_t *bytes = malloc(file.size);
	cr_assert_not_null(bytes);
	memcpy(bytes, file.data, file.size);
	*size = file.size;
	frcnn_file_close(&file);
	return bytes;
}

/* One tensor against values[i] = first + i * step. */
static void check_tensor(const struct frcnn_checkpoint *checkpoint, const char *file, const char *name, int ndim,
			 const int64_t *shape, float first, float step)
{
	const struct frcnn_tensor *tensor = frcnn_checkpoint_find(checkpoint, name);
	struct frcnn_error err = {0};
	float values[64];

	cr_assert_not_null(tensor, "%s lacks %s", file, name);
	cr_assert_eq(tensor->ndim, ndim, "%s: %s", file, name);
	for (int i = 0; i < ndim; i++)
		cr_assert_eq(tensor->shape[i], shape[i], "%s: %s", file, name);
	cr_assert_leq(tensor->elements, 64);
	cr_assert_eq(frcnn_tensor_to_float(tensor, values, &err), 0, "%s: %s", file, err.message);
	for (int i = 0; i < tensor->elements; i++)
		cr_assert_eq(values[i], first + (float)i * step, "%s: %s[%d] is %g", file, name, i, values[i]);
}

/* The weights that most goldens hold, times scale. */
static void check_weights(const struct frcnn_checkpoint *checkpoint, const char *file, float scale)
{
	const struct frcnn_tensor *steps = frcnn_checkpoint_find(checkpoint, "backbone.bn.num_batches_tracked");
	static const uint8_t seven[8] = {7};

	check_tensor(checkpoint, file, "backbone.conv.weight", 4, (int64_t[]){2, 3, 2, 2}, 0, scale);
	check_tensor(checkpoint, file, "backbone.bn.bias", 1, (int64_t[]){3}, 0, -scale);
	check_tensor(checkpoint, file, "roi_heads.box.weight", 2, (int64_t[]){3, 4}, 0, scale * 0.25f);
	cr_assert_not_null(steps);
	cr_assert_eq(steps->dtype, FRCNN_I64);
	cr_assert_eq(steps->ndim, 0);
	cr_assert_eq(steps->elements, 1);
	cr_assert_arr_eq(steps->data, seven, 8);
	for (size_t i = 1; i < checkpoint->ntensors; i++)
		cr_assert_lt(strcmp(checkpoint->tensors[i - 1].name, checkpoint->tensors[i].name), 0);
}

/* Opens, checks the weights and their number, closes. */
static void check_file(const char *name, const char *key, float scale, size_t ntensors)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err = {0};

	cr_assert_eq(open_golden(name, key, &checkpoint, &err), 0, "%s", err.message);
	check_weights(&checkpoint, name, scale);
	cr_assert_eq(checkpoint.ntensors, ntensors, "%s has %zu tensors", name, checkpoint.ntensors);
	cr_assert_eq(strlen(checkpoint.sha256), 64);
	frcnn_checkpoint_close(&checkpoint);
	frcnn_checkpoint_close(&checkpoint); /* a closed one is an empty one */
}

static void check_error(const char *name, const char *key, int status, const char *says)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err = {0};

	cr_assert_eq(open_golden(name, key, &checkpoint, &err), status, "%s: status %d: %s", name, err.status,
		     err.message);
	cr_assert_not_null(strstr(err.message, says), "%s: \"%s\" does not say \"%s\"", name, err.message, says);
	cr_assert_not_null(strstr(err.message, name), "\"%s\" does not name %s", err.message, name);
	cr_assert_null(checkpoint.state);
	cr_assert_neq(access("frcnn-was-here", F_OK), 0, "%s was executed", name);
}

/* ---- what is read ------------------------------------------------------------------------------------------------ */

Test(checkpoint, every_container_and_dtype)
{
	static const char *const files[] = {"zip.pth",         "legacy.pth",        "protocol4.pth",
					    "zip_f16.pth",     "zip_bf16.pth",      "zip_f64.pth",
					    "legacy_f16.pth",  "legacy_bf16.pth",   "legacy_f64.pth",
					    "zip64.pth",       "deflated.pth",      "parameters.pth",
					    "f16.safetensors", "plain.safetensors", "prefixed.pth",
					    "nested.pth",      "other_key.pth",     "alias.pth",
					    "evil_beside.pth", "training.pth",      "training_legacy.pth"};

	for (size_t i = 0; i < FRCNN_COUNT(files); i++)
		check_file(files[i], NULL, 1, 4);
	cr_assert_neq(access("frcnn-was-here", F_OK), 0, "evil_beside.pth was executed");
}

Test(checkpoint, says_which_container_and_dtype)
{
	static const struct {
		const char *file;
		enum frcnn_container container;
		enum frcnn_dtype dtype;
	} cases[] = {
	    {"zip.pth", FRCNN_PTH_ZIP, FRCNN_F32},
	    {"zip_f16.pth", FRCNN_PTH_ZIP, FRCNN_F16},
	    {"zip_bf16.pth", FRCNN_PTH_ZIP, FRCNN_BF16},
	    {"zip_f64.pth", FRCNN_PTH_ZIP, FRCNN_F64},
	    {"legacy.pth", FRCNN_PTH_LEGACY, FRCNN_F32},
	    {"legacy_f16.pth", FRCNN_PTH_LEGACY, FRCNN_F16},
	    {"f16.safetensors", FRCNN_SAFETENSORS, FRCNN_F16},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_checkpoint checkpoint;
		struct frcnn_error err;
		cr_assert_eq(open_golden(cases[i].file, NULL, &checkpoint, &err), 0, "%s", err.message);
		cr_expect_eq(checkpoint.container, cases[i].container, "%s", cases[i].file);
		cr_expect_eq(frcnn_checkpoint_find(&checkpoint, "backbone.conv.weight")->dtype, cases[i].dtype, "%s",
			     cases[i].file);
		cr_expect_null(frcnn_checkpoint_find(&checkpoint, "backbone.conv"));
		cr_expect_null(checkpoint.note);
		frcnn_checkpoint_close(&checkpoint);
	}
}

Test(checkpoint, strides_and_offsets_count)
{
	static const char *const files[] = {"views.pth", "views_legacy.pth"};

	for (size_t i = 0; i < FRCNN_COUNT(files); i++) {
		struct frcnn_checkpoint checkpoint;
		struct frcnn_error err;
		float values[12];
		check_file(files[i], NULL, 1, 6);
		cr_assert_eq(open_golden(files[i], NULL, &checkpoint, &err), 0, "%s", err.message);
		check_tensor(&checkpoint, files[i], "roi_heads.box.last", 4, (int64_t[]){2, 3, 2, 2}, 0, 1);
		const struct frcnn_tensor *alias = frcnn_checkpoint_find(&checkpoint, "roi_heads.box.alias");
		const struct frcnn_tensor *box = frcnn_checkpoint_find(&checkpoint, "roi_heads.box.weight");
		cr_assert_eq(alias->data, box->data); /* one storage, two views */
		cr_assert_eq(frcnn_tensor_to_float(alias, values, &err), 0);
		for (int row = 0; row < 3; row++) {
			for (int column = 0; column < 4; column++)
				cr_assert_eq(values[column * 3 + row], (float)(row * 4 + column) * 0.25f);
		}
		frcnn_checkpoint_close(&checkpoint);
	}
}

Test(checkpoint, averaged_weights_stand_back)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;

	check_file("ema.pth", NULL, 1, 4);
	check_file("ema.pth", "model", 1, 4);
	check_file("ema.pth", "model_ema", 2, 4); /* n_averaged is left out */
	check_file("ema_only.pth", NULL, 1, 4);
	cr_assert_eq(open_golden("ema.pth", NULL, &checkpoint, &err), 0);
	cr_assert_str_eq(checkpoint.note,
			 "the weights under \"model\" are used, not the averaged ones under \"model_ema\"");
	frcnn_checkpoint_close(&checkpoint);
}

Test(checkpoint, weights_key_chooses)
{
	check_error("tie.pth", NULL, FRCNN_EINVAL, "\"model\", \"net\"");
	check_file("tie.pth", "model", 1, 4);
	check_file("tie.pth", "net", 2, 4);
	check_file("nested.pth", "net", 1, 4);
	check_file("nested.pth", "net.model_state_dict", 1, 4);
	check_error("tie.pth", "ema", FRCNN_EINVAL, "no weights under key \"ema\"; its keys: model, net");
	check_error("f16.safetensors", "ema", FRCNN_EINVAL, "no weights under key \"ema\"");
	check_file("f16.safetensors", "module", 1, 4); /* as a prefix of names */
}

Test(checkpoint, metadata_of_safetensors)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;

	cr_assert_eq(open_golden("plain.safetensors", NULL, &checkpoint, &err), 0, "%s", err.message);
	cr_assert_str_eq(checkpoint.metadata, "{\"name\":\"x\"}");
	cr_assert_str_eq(checkpoint.provenance, "{\"by\":\"a \\\"b\\\"\",\"format\":\"pt\"}");
	frcnn_checkpoint_close(&checkpoint);
	cr_assert_eq(open_golden("f16.safetensors", NULL, &checkpoint, &err), 0, "%s", err.message);
	cr_assert_null(checkpoint.metadata);
	cr_assert_null(checkpoint.provenance);
	frcnn_checkpoint_close(&checkpoint);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------
 */

Test(checkpoint, nothing_is_executed)
{
	check_error("evil_inside.pth", NULL, FRCNN_EUNSUPPORTED,
		    "\"backbone.fc.bias\" is made by Python's \"os.system\"");
	check_error("evil_inside_legacy.pth", NULL, FRCNN_EUNSUPPORTED, "\"os.system\"");
	check_error("evil_deep.pth", NULL, FRCNN_EUNSUPPORTED, "\"backbone.extra\" is made by Python's \"os.system\"");
	check_error("evil_model.pth", NULL, FRCNN_EUNSUPPORTED, "\"os.system\"");
	check_error("evil_model.pth", "model", FRCNN_EUNSUPPORTED, "\"os.system\"");
	check_error("evil_root.pth", NULL, FRCNN_EUNSUPPORTED, "\"os.system\"");
	check_error("evil.pkl", NULL, FRCNN_EUNSUPPORTED, "not a PyTorch checkpoint");
	check_error("module.pth", NULL, FRCNN_EUNSUPPORTED, "state_dict");
}

Test(checkpoint, errors_name_what_is_wrong)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	float values[24];

	check_error("complex.pth", NULL, FRCNN_EUNSUPPORTED, "\"roi_heads.wave\"");
	check_error("conjugate.pth", NULL, FRCNN_EUNSUPPORTED, "\"roi_heads.wave\"");
	check_error("collision.pth", NULL, FRCNN_EFORMAT, "\"backbone.bn.bias\"");
	check_error("numbers.pth", NULL, FRCNN_EUNSUPPORTED, "its keys: epoch, loss");
	check_error("big_endian.pth", NULL, FRCNN_EUNSUPPORTED, "big-endian");
	check_error("no_storage.pth", NULL, FRCNN_EFORMAT, "storage \"1\" is missing");
	check_error("short_storage.pth", NULL, FRCNN_EFORMAT, "storage \"1\" has 11 bytes");
	check_error("photos.zip", NULL, FRCNN_EUNSUPPORTED, "no data.pkl");
	check_error("make_checkpoints.py", NULL, FRCNN_EFORMAT, "neither a PyTorch checkpoint nor safetensors");
	check_error("latin.pth", NULL, FRCNN_EFORMAT, "not UTF-8");
	check_error("absent.pth", NULL, FRCNN_EIO, "absent.pth");

	cr_assert_eq(open_golden("infinite.pth", NULL, &checkpoint, &err), 0);
	const struct frcnn_tensor *bias = frcnn_checkpoint_find(&checkpoint, "backbone.bn.bias");
	cr_assert_eq(frcnn_tensor_to_float(bias, values, &err), FRCNN_EFORMAT);
	cr_assert_str_eq(err.message, "tensor \"backbone.bn.bias\" holds a value that is not finite");
	const struct frcnn_tensor *steps = frcnn_checkpoint_find(&checkpoint, "backbone.bn.num_batches_tracked");
	cr_assert_eq(frcnn_tensor_to_float(steps, values, &err), FRCNN_EFORMAT);
	frcnn_checkpoint_close(&checkpoint);
}

/* Parses a private copy of exactly these bytes, so that a sanitizer sees a byte too far. */
static int parse_copy(const void *bytes, size_t size, struct frcnn_checkpoint *out, struct frcnn_error *err,
		      uint8_t **copy)
{
	*copy = malloc(size ? size : 1);
	cr_assert_not_null(*copy);
	if (size)
		memcpy(*copy, bytes, size);
	*err = (struct frcnn_error){0};
	return frcnn_checkpoint_parse(*copy, size, NULL, out, err);
}

static bool is_refusal(int status)
{
	return status == FRCNN_EFORMAT || status == FRCNN_EUNSUPPORTED || status == FRCNN_ELIMIT ||
	       status == FRCNN_EINVAL;
}

static const char *const small_files[] = {"zip.pth",      "legacy.pth",       "zip64.pth",         "deflated.pth",
					  "training.pth", "views_legacy.pth", "plain.safetensors", "protocol4.pth"};

Test(checkpoint, truncated_anywhere)
{
	for (size_t i = 0; i < FRCNN_COUNT(small_files); i++) {
		size_t size;
		uint8_t *bytes = read_golden(small_files[i], &size), *copy;
		for (size_t cut = 0; cut < size; cut++) {
			struct frcnn_checkpoint checkpoint;
			struct frcnn_error err;
			int status = parse_copy(bytes, cut, &checkpoint, &err, &copy);
			cr_assert(is_refusal(status), "%s cut to %zu bytes: status %d", small_files[i], cut, status);
			cr_assert_neq(err.message[0], '\0');
			free(copy);
		}
		free(bytes);
	}
}

/* Reads every tensor; what is read may be wrong, but must be there. */
static void read_all(const struct frcnn_checkpoint *checkpoint)
{
	for (size_t i = 0; i < checkpoint->ntensors; i++) {
		const struct frcnn_tensor *tensor = &checkpoint->tensors[i];
		cr_assert_leq(tensor->elements, 1 << 20);
		float *values = malloc((size_t)tensor->elements * sizeof(float) + 1);
		cr_assert_not_null(values);
		frcnn_tensor_to_float(tensor, values, NULL);
		free(values);
	}
}

Test(checkpoint, any_byte_flipped)
{
	static const uint8_t flips[] = {0xff, 0x01, 0x80};

	for (size_t i = 0; i < FRCNN_COUNT(small_files); i++) {
		size_t size, refused = 0;
		uint8_t *bytes = read_golden(small_files[i], &size), *copy;
		for (size_t at = 0; at < size * FRCNN_COUNT(flips); at++) {
			struct frcnn_checkpoint checkpoint;
			struct frcnn_error err;
			uint8_t flip = flips[at % FRCNN_COUNT(flips)];
			bytes[at / FRCNN_COUNT(flips)] ^= flip;
			int status = parse_copy(bytes, size, &checkpoint, &err, &copy);
			cr_assert(status == 0 || (is_refusal(status) && err.message[0] != '\0'),
				  "%s, byte %zu ^ 0x%02x: status %d", small_files[i], at / FRCNN_COUNT(flips), flip,
				  status);
			if (status == 0)
				read_all(&checkpoint);
			else
				refused++;
			frcnn_checkpoint_close(&checkpoint);
			free(copy);
			bytes[at / FRCNN_COUNT(flips)] ^= flip;
		}
		cr_assert_gt(refused, size / 4, "%s: only %zu refused", small_files[i], refused);
		free(bytes);
	}
}

/* In a zip the checksum guards every byte of the pickle and of the tensors. */
Test(checkpoint, a_flipped_weight_is_noticed)
{
	size_t size;
	uint8_t *bytes = read_golden("zip.pth", &size);
	struct frcnn_checkpoint checkpoint, damaged;
	struct frcnn_error err;

	cr_assert_eq(frcnn_checkpoint_parse(bytes, size, NULL, &checkpoint, &err), 0);
	for (size_t i = 0; i < checkpoint.ntensors; i++) {
		uint8_t *data = bytes + (checkpoint.tensors[i].data - bytes);
		for (int64_t at = 0; at < checkpoint.tensors[i].elements; at++) {
			data[at] ^= 1;
			cr_assert_eq(frcnn_checkpoint_parse(bytes, size, NULL, &damaged, &err), FRCNN_EFORMAT);
			cr_assert_not_null(strstr(err.message, "CRC"), "%s", err.message);
			data[at] ^= 1;
		}
	}
	frcnn_checkpoint_close(&checkpoint);
	free(bytes);
}

/* Refused by what it says of itself, before anything is inflated: a few bytes shall not cost a gigabyte. */
Test(checkpoint, a_pickle_that_would_inflate_far)
{
	static const char name[] = "a/data.pkl", packed[] = "\x4b\x4c\x4a\x4e\x49\x4d\x4b\x04\x00";
	struct frcnn_buffer file = {0};
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	uint8_t *copy;

	/* method 8, CRC 0, packed, unpacked to 64 MiB and one byte */
	frcnn_buffer_add(&file, BYTES("PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\x0a\0\0\0\1\0\0\4\x0a\0\0\0"));
	frcnn_buffer_puts(&file, name);
	frcnn_buffer_add(&file, packed, 10);
	frcnn_buffer_add(&file, BYTES("PK\1\2\x14\0\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\x0a\0\0\0\1\0\0\4\x0a\0\0\0"
				      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	frcnn_buffer_puts(&file, name);
	frcnn_buffer_add(&file, BYTES("PK\5\6\0\0\0\0\1\0\1\0\x38\0\0\0\x32\0\0\0\0\0"));
	cr_assert(!file.failed);
	cr_assert_eq(parse_copy(file.data, file.size, &checkpoint, &err, &copy), FRCNN_ELIMIT, "%s", err.message);
	cr_assert_str_eq(err.message, "zip record \"a/data.pkl\" is larger than 67108864 bytes");
	free(copy);
	frcnn_buffer_free(&file);
}

/* ---- hostile pickles
 * --------------------------------------------------------------------------------------------------- */

#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n"
/* A storage of 4 floats under key 0. */
#define STORAGE                                                                                                        \
	"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"                                                        \
	"0X\x03\0\0\0cpuK\x04Nt"
#define TAIL       "\x89N"
#define TENSOR_END "tR"
/* Puts an object's pickle into a legacy container whose only storage, if any, holds 4 floats. */
static int parse_object(const void *object, size_t size, bool storage, struct frcnn_checkpoint *out,
			struct frcnn_error *err)
{
	struct frcnn_buffer file = {0};

	frcnn_buffer_add(&file, BYTES("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."));
	frcnn_buffer_add(&file, BYTES("\x80\x02M\xe9\x03."));
	frcnn_buffer_add(&file, BYTES("\x80\x02}."));
	frcnn_buffer_add(&file, object, size);
	if (storage)
		frcnn_buffer_add(&file, BYTES("\x80\x02]X\x01\0\0\0"
					      "0a.\x04\0\0\0\0\0\0\0"
					      "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"));
	else
		frcnn_buffer_add(&file, BYTES("\x80\x02]."));
	cr_assert(!file.failed);
	uint8_t *copy;
	int status = parse_copy(file.data, file.size, out, err, &copy);
	if (status == 0)
		read_all(out);
	frcnn_checkpoint_close(out);
	free(copy);
	frcnn_buffer_free(&file);
	return status;
}

/* {"x": tensor} with offset, size and stride as pickled. */
#define VIEW(offset, size, stride)                                                                                     \
	"\x80\x02}X\x01\0\0\0x" TENSOR STORAGE "Q" offset size stride TAIL "}" TENSOR_END "s."

static void check_view(const char *what, const char *pickle, size_t size, int status)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;

	int got = parse_object(pickle, size, true, &checkpoint, &err);
	cr_assert_eq(got, status, "%s: status %d: %s", what, got, err.message);
}

Test(checkpoint, views_stay_inside_their_storage)
{
	check_view("all", BYTES(VIEW("K\0", "K\x04\x85", "K\x01\x85")), 0);
	check_view("last element", BYTES(VIEW("K\x03", "K\x01\x85", "K\x63\x85")), 0);
	check_view("scalar", BYTES(VIEW("K\x03", ")", ")")), 0);
	check_view("scalar outside", BYTES(VIEW("K\x04", ")", ")")), FRCNN_EFORMAT);
	check_view("empty at the end", BYTES(VIEW("K\x04", "K\0\x85", "K\x01\x85")), 0);
	check_view("empty outside", BYTES(VIEW("K\x05", "K\0\x85", "K\x01\x85")), FRCNN_EFORMAT);
	check_view("one too far", BYTES(VIEW("K\x01", "K\x04\x85", "K\x01\x85")), FRCNN_EFORMAT);
	check_view("wide stride", BYTES(VIEW("K\0", "K\x02\x85", "K\x04\x85")), FRCNN_EFORMAT);
	check_view("negative offset", BYTES(VIEW("J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85")), FRCNN_EFORMAT);
	check_view("negative stride", BYTES(VIEW("K\x03", "K\x02\x85", "J\xff\xff\xff\xff\x85")), FRCNN_EFORMAT);
	check_view("negative size", BYTES(VIEW("K\0", "J\xff\xff\xff\xff\x85", "K\x01\x85")), FRCNN_EFORMAT);
	check_view("product overflows", BYTES(VIEW("K\0", "\x8a\x08\0\0\0\0\0\0\0\x40K\x05\x86", "K\0K\0\x86")),
		   FRCNN_EFORMAT);
	check_view("span overflows",
		   BYTES(VIEW("K\0", "\x8a\x08\0\0\0\0\0\0\0\x40\x85", "\x8a\x08\0\0\0\0\0\0\0\x40\x85")),
		   FRCNN_EFORMAT);
	check_view("huge repetition", BYTES(VIEW("K\0", "J\0\0\0\x40\x85", "K\0\x85")), FRCNN_ELIMIT);
	check_view("small repetition", BYTES(VIEW("K\0", "K\x64\x85", "K\0\x85")), 0);
	check_view("ranks differ", BYTES(VIEW("K\0", "K\x02\x85", "K\x01K\x01\x86")), FRCNN_EFORMAT);
	check_view("nine dimensions",
		   BYTES(VIEW("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t")),
		   FRCNN_EUNSUPPORTED);
	check_view("text for size", BYTES(VIEW("K\0", "X\x01\0\0\0y\x85", "K\x01\x85")), FRCNN_EFORMAT);
}

Test(checkpoint, malformed_pickles)
{
	static const struct {
		const char *what, *pickle;
		size_t size;
		int status;
	} cases[] = {
	    {"empty", BYTES("\x80\x02."), FRCNN_EFORMAT},
	    {"underflow", BYTES("\x80\x02s."), FRCNN_EFORMAT},
	    {"calls from under a mark", BYTES("\x80\x02NN(R."), FRCNN_EFORMAT},
	    {"takes from under a mark",
	     BYTES("\x80\x02]N(\x85"
		   "e."),
	     FRCNN_EFORMAT},
	    {"tuple without a mark", BYTES("\x80\x02t."), FRCNN_EFORMAT},
	    {"items without a container", BYTES("\x80\x02(Ne."), FRCNN_EFORMAT},
	    {"appends to an integer", BYTES("\x80\x02K\x01Na."), FRCNN_EFORMAT},
	    {"appends a mark's worth to text", BYTES("\x80\x02X\0\0\0\0(NNu."), FRCNN_EFORMAT},
	    {"a key without a value", BYTES("\x80\x02}(Nu."), FRCNN_EFORMAT},
	    {"empty memo", BYTES("\x80\x02h\x05."), FRCNN_EFORMAT},
	    {"far memo", BYTES("\x80\x02Nr\xff\xff\xff\xff."), FRCNN_EFORMAT},
	    {"far memo read", BYTES("\x80\x02j\xff\xff\xff\xff."), FRCNN_EFORMAT},
	    {"calls an integer", BYTES("\x80\x02K\x01)R."), FRCNN_EFORMAT},
	    {"calls with an integer",
	     BYTES("\x80\x02"
		   "ccollections\nOrderedDict\nK\x01R."),
	     FRCNN_EFORMAT},
	    {"huge text", BYTES("\x80\x02X\xff\xff\xff\xff."), FRCNN_EFORMAT},
	    {"huger text", BYTES("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), FRCNN_EFORMAT},
	    {"unknown opcode", BYTES("\x80\x02\xfe."), FRCNN_EUNSUPPORTED},
	    {"extension registry", BYTES("\x80\x02\x82\x01."), FRCNN_EUNSUPPORTED},
	    {"protocol 9", BYTES("\x80\x09N."), FRCNN_EUNSUPPORTED},
	    {"two values", BYTES("\x80\x02NN."), FRCNN_EFORMAT},
	    {"a mark left", BYTES("\x80\x02N(."), FRCNN_EFORMAT},
	    {"a bare number", BYTES("\x80\x02K\x01."), FRCNN_EUNSUPPORTED},
	    {"an empty dict", BYTES("\x80\x02}."), FRCNN_EUNSUPPORTED},
	    {"persistent id of nothing", BYTES("\x80\x02NQ."), FRCNN_EFORMAT},
	    {"global without newline",
	     BYTES("\x80\x02"
		   "cos"),
	     FRCNN_EFORMAT},
	    {"old-style instance", BYTES("\x80\x02(X\x02\0\0\0idios\nsystem\n."), FRCNN_EUNSUPPORTED},
	    {"stack global", BYTES("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."), FRCNN_EUNSUPPORTED},
	    {"tensor without arguments", BYTES("\x80\x02" TENSOR ")R."), FRCNN_EFORMAT},
	    {"tensor of nothing", BYTES("\x80\x02" TENSOR "(NK\0))" TAIL "}tR."), FRCNN_EFORMAT},
	};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct frcnn_checkpoint checkpoint;
		struct frcnn_error err;
		int status = parse_object(cases[i].pickle, cases[i].size, false, &checkpoint, &err);
		cr_expect_eq(status, cases[i].status, "%s: status %d: %s", cases[i].what, status, err.message);
	}
}

/* A dict that holds itself, and lists each of which holds the one before twice: 2^200 paths, walked once. */
Test(checkpoint, cycles_and_doublings, .timeout = 20)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	struct frcnn_buffer pickle = {0};

	int status =
	    parse_object(BYTES("\x80\x02}q\0X\x05\0\0\0modelh\0sX\x03\0\0\0neth\0s."), false, &checkpoint, &err);
	cr_assert_eq(status, FRCNN_EUNSUPPORTED, "%s", err.message);

	frcnn_buffer_add(
	    &pickle, BYTES("\x80\x02}X\x01\0\0\0x" TENSOR STORAGE "QK\0K\x04\x85K\x01\x85" TAIL "}tRsX\x01\0\0\0y]"));
	for (int i = 0; i < 200; i++)
		frcnn_buffer_add(&pickle, BYTES("2\x86"));
	frcnn_buffer_add(&pickle, BYTES("s."));
	status = parse_object(pickle.data, pickle.size, true, &checkpoint, &err);
	cr_assert_eq(status, FRCNN_ELIMIT, "status %d: %s", status, err.message);
	frcnn_buffer_free(&pickle);
}

Test(checkpoint, nesting_has_an_end, .timeout = 20)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	struct frcnn_buffer pickle = {0};

	/* 300,000 dicts, each in the one before under "model" */
	frcnn_buffer_add(&pickle, BYTES("\x80\x02X\x05\0\0\0modelq\0"));
	frcnn_buffer_add(&pickle, BYTES("0"));
	for (int i = 0; i < 300000; i++)
		frcnn_buffer_add(&pickle, BYTES("}h\0"));
	frcnn_buffer_add(&pickle, BYTES("N"));
	for (int i = 0; i < 300000; i++)
		frcnn_buffer_add(&pickle, BYTES("s"));
	frcnn_buffer_add(&pickle, BYTES("."));
	int status = parse_object(pickle.data, pickle.size, false, &checkpoint, &err);
	cr_assert_eq(status, FRCNN_EUNSUPPORTED, "status %d: %s", status, err.message);
	frcnn_buffer_clear(&pickle);

	/* more values than any checkpoint has */
	frcnn_buffer_add(&pickle, BYTES("\x80\x02"));
	for (int i = 0; i < 3000000; i++)
		frcnn_buffer_putc(&pickle, ']');
	status = parse_object(pickle.data, pickle.size, false, &checkpoint, &err);
	cr_assert_eq(status, FRCNN_ELIMIT, "status %d: %s", status, err.message);
	frcnn_buffer_free(&pickle);
}

/* ---- safetensors
 * ----------------------------------------------------------------------------------------------------------- */

static void check_safetensors(const char *what, const char *header, size_t data, int status)
{
	struct frcnn_buffer file = {0};
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	uint8_t *copy;

	for (int i = 0; i < 8; i++)
		frcnn_buffer_putc(&file, (char)(strlen(header) >> (8 * i)));
	frcnn_buffer_puts(&file, header);
	for (size_t i = 0; i < data; i++)
		frcnn_buffer_putc(&file, 0);
	cr_assert(!file.failed);
	int got = parse_copy(file.data, file.size, &checkpoint, &err, &copy);
	cr_expect_eq(got, status, "%s: status %d: %s", what, got, err.message);
	if (got == 0)
		read_all(&checkpoint);
	frcnn_checkpoint_close(&checkpoint);
	free(copy);
	frcnn_buffer_free(&file);
}

#define T(name, dtype, shape, begin, end)                                                                              \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

Test(checkpoint, safetensors_rules)
{
	check_safetensors("two", "{" T("a", "F32", "2", "0", "8") "," T("b", "I8", "3", "8", "11") "}", 11, 0);
	check_safetensors("other order", "{" T("b", "I8", "3", "8", "11") "," T("a", "F32", "2", "0", "8") "}", 11, 0);
	check_safetensors("blanks behind", "{" T("a", "F32", "2", "0", "8") "}   \n", 8, 0);
	check_safetensors("scalar", "{" T("a", "F32", "", "0", "4") "}", 4, 0);
	check_safetensors("empty", "{" T("a", "F32", "0,5", "0", "0") "}", 0, 0);
	check_safetensors("unknown field", "{\"a\":{\"dtype\":\"U8\",\"x\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}",
			  1, 0);
	check_safetensors("metadata", "{\"__metadata__\":{\"a\":\"b\"}," T("a", "U8", "1", "0", "1") "}", 1, 0);
	check_safetensors("overlap", "{" T("a", "F32", "2", "0", "8") "," T("b", "I8", "3", "7", "10") "}", 10,
			  FRCNN_EFORMAT);
	check_safetensors("same place", "{" T("a", "F32", "2", "0", "8") "," T("b", "F32", "2", "0", "8") "}", 8,
			  FRCNN_EFORMAT);
	check_safetensors("hole", "{" T("a", "F32", "2", "0", "8") "," T("b", "I8", "3", "9", "12") "}", 12,
			  FRCNN_EFORMAT);
	check_safetensors("hole at first", "{" T("a", "F32", "2", "4", "12") "}", 12, FRCNN_EFORMAT);
	check_safetensors("trailing bytes", "{" T("a", "F32", "2", "0", "8") "}", 9, FRCNN_EFORMAT);
	check_safetensors("truncated", "{" T("a", "F32", "2", "0", "8") "}", 7, FRCNN_EFORMAT);
	check_safetensors("backwards", "{" T("a", "F32", "2", "8", "0") "}", 8, FRCNN_EFORMAT);
	check_safetensors("shape and length differ", "{" T("a", "F32", "3", "0", "8") "}", 8, FRCNN_EFORMAT);
	check_safetensors("shape overflows", "{" T("a", "F32", "4611686018427387904,4", "0", "0") "}", 0,
			  FRCNN_EFORMAT);
	check_safetensors("shape overflows beside 0",
			  "{" T("a", "U8", "9223372036854775807,9223372036854775807,0", "0", "0") "}", 0,
			  FRCNN_EFORMAT);
	check_safetensors("shape beyond int64", "{" T("a", "F32", "18446744073709551616", "0", "8") "}", 8,
			  FRCNN_EFORMAT);
	check_safetensors("negative", "{" T("a", "F32", "-2", "0", "8") "}", 8, FRCNN_EFORMAT);
	check_safetensors("fraction", "{" T("a", "F32", "2.0", "0", "8") "}", 8, FRCNN_EFORMAT);
	check_safetensors("duplicate tensor", "{" T("a", "U8", "1", "0", "1") "," T("a", "U8", "1", "1", "2") "}", 2,
			  FRCNN_EFORMAT);
	check_safetensors("duplicate field",
			  "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
			  FRCNN_EFORMAT);
	check_safetensors("duplicate metadata", "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, FRCNN_EFORMAT);
	check_safetensors("metadata is no text", "{\"__metadata__\":{\"a\":1}}", 0, FRCNN_EFORMAT);
	check_safetensors("missing field", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, FRCNN_EFORMAT);
	check_safetensors("three offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1,
			  FRCNN_EFORMAT);
	check_safetensors("unknown dtype", "{" T("a", "F8_E4M3", "1", "0", "1") "}", 1, FRCNN_EUNSUPPORTED);
	check_safetensors("blank before", " {" T("a", "U8", "1", "0", "1") "}", 1, FRCNN_EFORMAT);
	check_safetensors("array", "[]", 0, FRCNN_EFORMAT);
	check_safetensors("text behind", "{}{}", 0, FRCNN_EFORMAT);
	check_safetensors("nothing", "", 0, FRCNN_EFORMAT);

	/* NULs may not pad the header, and it may not be endless */
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	uint8_t *copy;
	int status = parse_copy(BYTES("\x04\0\0\0\0\0\0\0{}\0\0"), &checkpoint, &err, &copy);
	cr_expect_eq(status, FRCNN_EFORMAT, "%d", status);
	free(copy);
	status = parse_copy(BYTES("\x01\xe1\xf5\x05\0\0\0\0{}"), &checkpoint, &err, &copy);
	cr_expect_eq(status, FRCNN_ELIMIT, "%d", status);
	free(copy);
	status = parse_copy(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff{}"), &checkpoint, &err, &copy);
	cr_expect_eq(status, FRCNN_ELIMIT, "%d", status);
	free(copy);
}

/* ---- conversion
 * -------------------------------------------------------------------------------------------------------------- */

/* All 65,536 halves, at an odd address, against base's conversion of one. */
Test(checkpoint, every_half)
{
	uint8_t *bytes = malloc(65536 * 2 + 1);
	float *out = malloc(65536 * sizeof(float)), *one = malloc(sizeof(float));
	struct frcnn_error err;
	size_t finite = 0;

	cr_assert(bytes != NULL && out != NULL && one != NULL);
	for (uint32_t h = 0; h < 65536; h++) {
		float expected = frcnn_half_to_float((uint16_t)h);
		uint16_t half = (uint16_t)h;
		memcpy(bytes + 1, &half, 2);
		struct frcnn_tensor tensor = {.name = "h",
					      .dtype = FRCNN_F16,
					      .ndim = 1,
					      .shape = {1},
					      .stride = {1},
					      .data = bytes + 1,
					      .elements = 1};
		int status = frcnn_tensor_to_float(&tensor, one, &err);
		if (isfinite(expected)) {
			cr_assert_eq(status, 0);
			cr_assert_arr_eq(one, &expected, sizeof(float), "half 0x%04x", h);
			finite++;
		} else {
			cr_assert_eq(status, FRCNN_EFORMAT, "half 0x%04x", h);
		}
	}
	cr_assert_eq(finite, 65536 - 2 * 1024);
	/* the finite ones at once: blocks and a tail */
	for (uint32_t i = 0, k = 0; i < 65536; i++) {
		if ((i & 0x7c00) == 0x7c00)
			continue;
		uint16_t half = (uint16_t)i;
		memcpy(bytes + 1 + 2 * k++, &half, 2);
	}
	struct frcnn_tensor tensor = {.name = "h",
				      .dtype = FRCNN_F16,
				      .ndim = 1,
				      .shape = {(int64_t)finite - 1},
				      .stride = {1},
				      .data = bytes + 1,
				      .elements = (int64_t)finite - 1};
	cr_assert_eq(frcnn_tensor_to_float(&tensor, out, &err), 0, "%s", err.message);
	for (size_t k = 0; k + 1 < finite; k++) {
		uint16_t half;
		memcpy(&half, bytes + 1 + 2 * k, 2);
		float expected = frcnn_half_to_float(half);
		cr_assert_arr_eq(&out[k], &expected, sizeof(float), "half 0x%04x", half);
	}
	free(bytes);
	free(out);
	free(one);
}

/* A value that is not finite is found wherever it stands. */
Test(checkpoint, not_finite_anywhere)
{
	enum { N = 2500 };
	static const float bad[] = {INFINITY, -INFINITY, NAN};
	float *values = calloc(N, sizeof(float)), *out = calloc(N, sizeof(float));
	struct frcnn_error err;

	cr_assert(values != NULL && out != NULL);
	struct frcnn_tensor tensor = {.name = "t",
				      .dtype = FRCNN_F32,
				      .ndim = 1,
				      .shape = {N},
				      .stride = {1},
				      .data = (const uint8_t *)values,
				      .elements = N};
	values[7] = 3.4e38f;
	cr_assert_eq(frcnn_tensor_to_float(&tensor, out, &err), 0);
	for (int at = 0; at < N; at += 83) {
		float kept = values[at];
		values[at] = bad[at % 3];
		cr_assert_eq(frcnn_tensor_to_float(&tensor, out, &err), FRCNN_EFORMAT, "at %d", at);
		values[at] = kept;
	}
	/* a double beyond float32's range is not finite there */
	double large = 1e39;
	struct frcnn_tensor one = {.name = "d", .dtype = FRCNN_F64, .data = (const uint8_t *)&large, .elements = 1};
	cr_assert_eq(frcnn_tensor_to_float(&one, out, &err), FRCNN_EFORMAT);
	free(values);
	free(out);
}

/* ---- writing
 * --------------------------------------------------------------------------------------------------------------------
 */

static void temporary(char *path, size_t size, const char *name)
{
	snprintf(path, size, "/tmp/frcnn-test-%ld-%s", (long)getpid(), name);
}

static void check_written(const char *from, enum frcnn_dtype dtype)
{
	struct frcnn_checkpoint checkpoint, back;
	struct frcnn_error err = {0};
	struct frcnn_file files[2];
	char paths[2][64];

	cr_assert_eq(open_golden(from, NULL, &checkpoint, &err), 0, "%s", err.message);
	for (int i = 0; i < 2; i++) {
		temporary(paths[i], sizeof(paths[i]), i ? "b" : "a");
		cr_assert_eq(frcnn_safetensors_write(paths[i], &checkpoint, dtype, "{\"name\":\"\\u00e9\"}", &err), 0,
			     "%s", err.message);
		cr_assert_eq(frcnn_file_open(paths[i], 0, &files[i], &err), 0);
	}
	cr_assert_eq(files[0].size, files[1].size);
	cr_assert_arr_eq(files[0].data, files[1].data, files[0].size);
	cr_assert_eq(files[0].data[0] % 8, 0, "the data is not aligned");
	frcnn_file_close(&files[0]);
	frcnn_file_close(&files[1]);
	cr_assert_eq(frcnn_checkpoint_open(paths[0], NULL, &back, &err), 0, "%s", err.message);
	cr_assert_str_eq(back.metadata, "{\"name\":\"\\u00e9\"}");
	if (checkpoint.provenance != NULL)
		cr_assert_str_eq(back.provenance, checkpoint.provenance);
	cr_assert_null(frcnn_checkpoint_find(&back, "backbone.bn.num_batches_tracked"));
	cr_assert_eq(back.ntensors, checkpoint.ntensors - 1);
	for (size_t i = 0; i < back.ntensors; i++)
		cr_assert_eq(back.tensors[i].dtype, dtype);
	check_tensor(&back, from, "backbone.conv.weight", 4, (int64_t[]){2, 3, 2, 2}, 0, 1);
	check_tensor(&back, from, "backbone.bn.bias", 1, (int64_t[]){3}, 0, -1);
	check_tensor(&back, from, "roi_heads.box.weight", 2, (int64_t[]){3, 4}, 0, 0.25f);
	frcnn_checkpoint_close(&back);
	frcnn_checkpoint_close(&checkpoint);
	unlink(paths[0]);
	unlink(paths[1]);
}

Test(checkpoint, writes_what_it_reads)
{
	check_written("zip.pth", FRCNN_F32);
	check_written("zip.pth", FRCNN_F16);
	check_written("legacy_f64.pth", FRCNN_F32);
	check_written("zip_bf16.pth", FRCNN_F16);
	check_written("views.pth", FRCNN_F16);
	check_written("plain.safetensors", FRCNN_F32);
}

Test(checkpoint, writing_refuses)
{
	static const float values[] = {1, -65520};
	uint8_t counts[3] = {1, 2, 3};
	struct frcnn_tensor tensors[] = {
	    {.name = "rpn.count",
	     .dtype = FRCNN_U8,
	     .ndim = 1,
	     .shape = {3},
	     .stride = {1},
	     .data = counts,
	     .elements = 3},
	    {.name = "rpn.weight",
	     .dtype = FRCNN_F32,
	     .ndim = 1,
	     .shape = {2},
	     .stride = {1},
	     .data = (const uint8_t *)values,
	     .elements = 2},
	};
	struct frcnn_checkpoint checkpoint = {.tensors = tensors, .ntensors = 2}, back;
	struct frcnn_error err;
	char path[64], part[80];

	temporary(path, sizeof(path), "c");
	snprintf(part, sizeof(part), "%s.part", path);
	cr_assert_eq(frcnn_safetensors_write(path, &checkpoint, FRCNN_F16, NULL, &err), FRCNN_EINVAL);
	cr_assert_str_eq(err.message, "tensor \"rpn.weight\" holds -65520, too large for fp16");
	cr_assert_neq(access(path, F_OK), 0, "a failed write left its file");
	cr_assert_neq(access(part, F_OK), 0, "a failed write left its part");
	cr_assert_eq(frcnn_safetensors_write(path, &checkpoint, FRCNN_I8, NULL, &err), FRCNN_EINVAL);
	cr_assert_eq(frcnn_safetensors_write("/nowhere/at/all", &checkpoint, FRCNN_F32, NULL, &err), FRCNN_EIO);

	/* integers other than the step count are kept as they are */
	cr_assert_eq(frcnn_safetensors_write(path, &checkpoint, FRCNN_F32, NULL, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &back, &err), 0, "%s", err.message);
	cr_assert_eq(back.ntensors, 2);
	cr_assert_eq(back.tensors[0].dtype, FRCNN_U8);
	cr_assert_arr_eq(back.tensors[0].data, counts, 3);
	frcnn_checkpoint_close(&back);
	unlink(path);
	if (access("/dev/full", W_OK) == 0) {
		static float many[100000];

		/* found at the end, or on the way */
		cr_assert_eq(frcnn_safetensors_write("/dev/full", &checkpoint, FRCNN_F32, NULL, &err), FRCNN_EIO);
		cr_assert_str_eq(err.message, "/dev/full: no space left on device");
		tensors[1].data = (const uint8_t *)many;
		tensors[1].shape[0] = tensors[1].elements = FRCNN_COUNT(many);
		cr_assert_eq(frcnn_safetensors_write("/dev/full", &checkpoint, FRCNN_F32, NULL, &err), FRCNN_EIO);
		cr_assert_str_eq(err.message, "/dev/full: no space left on device");
	}
}

/* A variance is divided by: rounded to float16's last digits, or to 0, it would change or break the model. */
Test(checkpoint, variances_stay_float32)
{
	static const float small[] = {1e-9F, 1e-5F};
	struct frcnn_tensor tensors[] = {
	    {.name = "bn.running_var", .ndim = 1, .shape = {2}, .stride = {1}, .elements = 2},
	    {.name = "bn.weight", .ndim = 1, .shape = {2}, .stride = {1}, .elements = 2},
	};
	struct frcnn_checkpoint checkpoint = {.tensors = tensors, .ntensors = 2}, back;
	struct frcnn_error err;
	float values[2];
	char path[64];

	temporary(path, sizeof(path), "v");
	for (int i = 0; i < 2; i++)
		tensors[i].data = (const uint8_t *)small;
	cr_assert_eq(frcnn_safetensors_write(path, &checkpoint, FRCNN_F16, NULL, &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &back, &err), 0, "%s", err.message);
	cr_assert_eq(back.ntensors, 2);
	cr_assert_eq(back.tensors[0].dtype, FRCNN_F32);
	cr_assert_eq(frcnn_tensor_to_float(&back.tensors[0], values, &err), 0);
	cr_assert_arr_eq(values, small, sizeof(small));
	cr_assert_eq(back.tensors[1].dtype, FRCNN_F16);
	frcnn_checkpoint_close(&back);
	unlink(path);
}

/* ---- refused memory
 * ---------------------------------------------------------------------------------------------------------- */

Test(checkpoint, survives_refused_memory)
{
	static const char *const files[] = {"ema.pth", "views_legacy.pth", "deflated.pth", "plain.safetensors",
					    "tie.pth", "evil_deep.pth",    "numbers.pth"};

	for (size_t i = 0; i < FRCNN_COUNT(files) * 2; i++) {
		const char *file = files[i / 2];
		size_t nth = 0;
		struct frcnn_checkpoint checkpoint;
		struct frcnn_error err;
		int expected = open_golden(file, NULL, &checkpoint, &err), status;
		frcnn_checkpoint_close(&checkpoint);
		for (;; nth++) {
			cr_assert_lt(nth, 2000);
			refuse_allocation(nth, i % 2 == 1);
			status = open_golden(file, NULL, &checkpoint, &err);
			if (!refuse_end())
				break;
			/* an error's list of keys may be cut short instead */
			cr_assert(status == FRCNN_ENOMEM || (expected < 0 && status == expected),
				  "%s, allocation %zu: status %d", file, nth, status);
			cr_assert_null(checkpoint.state);
		}
		cr_assert_eq(status, expected);
		cr_assert_gt(nth, 2, "%s: nothing was refused", file);
		frcnn_checkpoint_close(&checkpoint);
	}
}

Test(checkpoint, writing_survives_refused_memory)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	char path[64];
	size_t nth = 0;

	temporary(path, sizeof(path), "d");
	cr_assert_eq(open_golden("plain.safetensors", NULL, &checkpoint, &err), 0);
	for (;; nth++) {
		cr_assert_lt(nth, 2000);
		refuse_allocation(nth, false);
		int status = frcnn_safetensors_write(path, &checkpoint, FRCNN_F16, "{}", &err);
		if (!refuse_end()) {
			cr_assert_eq(status, 0);
			break;
		}
		cr_assert_eq(status, FRCNN_ENOMEM, "allocation %zu: status %d", nth, status);
		cr_assert_neq(access(path, F_OK), 0);
	}
	cr_assert_gt(nth, 4);
	frcnn_checkpoint_close(&checkpoint);
	unlink(path);
}

/* ---- a real one
 * ---------------------------------------------------------------------------------------------------------------- */

Test(checkpoint, trained_detector)
{
	static const struct {
		const char *name;
		int64_t elements;
		float first[3];
		double sum; /* of all elements, by torch in float64 */
	} known[] = {
	    {"backbone.body.conv1.weight", 9408, {-0.142578125f, 1.1123046875f, 1.2724609375f}, -264.37314808368683},
	    {"rpn.head.cls_logits.bias",
	     3,
	     {-0.00591278076171875f, 0.063720703125f, -0.0160980224609375f},
	     0.04170989990234375},
	    {"roi_heads.box_predictor.bbox_pred.weight",
	     16384,
	     {-0.0278472900390625f, -0.0294189453125f, 0.0304412841796875f},
	     1.4246963858604431},
	    {"backbone.body.layer4.2.bn3.running_var",
	     2048,
	     {0.01043701171875f, 0.0094757080078125f, 0.012420654296875f},
	     23.664122581481934},
	};
	const char *data = getenv("FRCNN_DATA");
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err;
	char path[1024];

	if (data == NULL)
		cr_skip_test("FRCNN_DATA is not set");
	snprintf(path, sizeof(path), "%s/bccd/fasterrcnn_resnet50_fpn_bccd.pth", data);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &checkpoint, &err), 0, "%s", err.message);
	cr_assert_str_eq(checkpoint.sha256, "a172e00326cfa365ddc8b197148b4b6018d056202a21834e1bc045444952ca8f");
	cr_assert_eq(checkpoint.ntensors, 348);
	for (size_t i = 0; i < FRCNN_COUNT(known); i++) {
		const struct frcnn_tensor *tensor = frcnn_checkpoint_find(&checkpoint, known[i].name);
		cr_assert_not_null(tensor, "%s", known[i].name);
		cr_assert_eq(tensor->elements, known[i].elements, "%s", known[i].name);
		float *values = malloc((size_t)tensor->elements * sizeof(float));
		cr_assert_not_null(values);
		cr_assert_eq(frcnn_tensor_to_float(tensor, values, &err), 0, "%s", err.message);
		double sum = 0;
		for (int64_t k = 0; k < tensor->elements; k++)
			sum += values[k];
		cr_assert_arr_eq(values, known[i].first, sizeof(known[i].first), "%s", known[i].name);
		cr_assert_float_eq(sum, known[i].sum, 1e-9 * known[i].elements, "%s: %.12g", known[i].name, sum);
		free(values);
	}
	frcnn_checkpoint_close(&checkpoint);
}
