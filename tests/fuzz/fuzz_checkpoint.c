/* Any bytes as a checkpoint of any container: parsed with and without a key, then every tensor read. */
#include "model/model.h"

#define MAX_ELEMENTS 1000000

static void try_parse(const uint8_t *data, size_t size, const char *key)
{
	struct frcnn_checkpoint checkpoint;
	struct frcnn_error err = {0};
	int64_t left = MAX_ELEMENTS;

	int status = frcnn_checkpoint_parse(data, size, key, &checkpoint, &err);
	if (status < 0) {
		if (err.message[0] == '\0' || err.status != status)
			abort();
		return;
	}
	for (size_t i = 0; i < checkpoint.ntensors; i++) {
		const struct frcnn_tensor *tensor = &checkpoint.tensors[i];
		if (frcnn_checkpoint_find(&checkpoint, tensor->name) != tensor)
			abort();
		if (tensor->elements > left)
			break;
		left -= tensor->elements;
		float *values = frcnn_calloc((size_t)tensor->elements, sizeof(float));
		if (values != NULL)
			frcnn_tensor_to_float(tensor, values, NULL);
		free(values);
	}
	frcnn_checkpoint_close(&checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_parse(data, size, NULL);
	try_parse(data, size, "model.net");
	return 0;
}
