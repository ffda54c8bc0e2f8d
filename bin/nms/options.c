#include "nms/program.h"

static const char *const names[NMS_METHOD_COUNT] = {
    [FRCNN_NMS_HARD] = "hard",
    [FRCNN_NMS_SOFT_LINEAR] = "soft-linear",
    [FRCNN_NMS_SOFT_GAUSSIAN] = "soft-gaussian",
    [FRCNN_NMS_DIOU] = "diou",
    [FRCNN_NMS_MATRIX] = "matrix",
    [FRCNN_NMS_VOTE] = "vote",
    [FRCNN_NMS_WBF] = "wbf",
    [FRCNN_NMS_NMW] = "nmw",
};

const char *nms_method_name(enum frcnn_nms_method method)
{
	return names[method];
}

int nms_parse_methods(const char *text, void *value, struct frcnn_error *err)
{
	struct nms_methods *methods = value;
	struct frcnn_list words = {0};
	int status = frcnn_list_split(text, &words, err);

	methods->count = 0;
	for (size_t i = 0; i < words.count && status == 0; i++) {
		int m = 0;
		while (m < NMS_METHOD_COUNT && strcmp(words.items[i], names[m]) != 0)
			m++;
		if (m == NMS_METHOD_COUNT)
			status = frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is none of %s", words.items[i], NMS_METHODS);
		else if (methods->count == NMS_METHOD_COUNT)
			status = frcnn_fail(err, FRCNN_EINVAL, "more than %d methods", NMS_METHOD_COUNT);
		else
			methods->items[methods->count++] = (enum frcnn_nms_method)m;
	}
	frcnn_list_free(&words);
	return status;
}
