/*
 * int8_model - folded and int8 models for the tests, made from a float one: batch
 * norms folded as the library folds them, weights rounded to scales of max|w| / 127
 * a filter. No accuracy is meant: what matters is that every number is known.
 */
#ifndef FRCNN_TESTS_INT8_MODEL_H
#define FRCNN_TESTS_INT8_MODEL_H

#include "model/model.h"

struct made_model {
	struct frcnn_named_tensor *tensors; /* names and data owned */
	size_t count, capacity;
};

/* Every layer of the model as NAME.weight and NAME.bias, F32. */
void made_fold(const struct frcnn_model *model, struct made_model *out);
/* Layer NAME to int8, reading input i of n (1, or the number of RPN levels) with scale * (i + 1) and zero + i. */
void made_quantize(struct made_model *made, const char *name, int n, float scale, int zero);
/* All of them, each with a scale and zero point of its own, the RPN's convolutions with one of each level; the two
 * layers of a pair with the same. */
void made_quantize_all(struct made_model *made, int levels);
struct frcnn_named_tensor *made_find(struct made_model *made, const char *name); /* asserts that it is there */
/* Copies name, shape and data; replaces one of that name. */
void made_put(struct made_model *made, const char *name, enum frcnn_dtype dtype, int ndim, const int64_t *shape,
	      const void *data);
void made_drop(struct made_model *made, const char *name);
void made_free(struct made_model *made);

/* Writes it with the description of the model it was made from, as folded. */
void made_write(const struct made_model *made, const struct frcnn_model *model, const char *path);

#endif
