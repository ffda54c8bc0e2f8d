/* Columns of COCO results: in pieces of any size the fast reader takes a text only when the records reader agrees. The
 * first byte says how large the pieces are. */
#include "../unit/results_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && size < 1 << 16)
		results_check((const char *)data + 1, size - 1, 1 + data[0], NULL);
	return 0;
}
