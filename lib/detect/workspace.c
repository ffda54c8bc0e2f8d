#include "detect/detect.h"

void *frcnn_scratch_get(struct frcnn_scratch *scratch, size_t count, size_t size)
{
	size_t bytes;
	if (!frcnn_mul_size(count, size, &bytes))
		return NULL;
	if (scratch->data && bytes <= scratch->capacity)
		return scratch->data;

	/* Half as much again, so that images that grow a little do not allocate each time. */
	size_t wanted = bytes <= SIZE_MAX / 2 ? bytes + bytes / 2 + 64 : bytes;
	free(scratch->data);
	scratch->capacity = 0;
	scratch->data = frcnn_alloc_aligned(wanted, 1);
	if (!scratch->data && wanted > bytes) {
		wanted = bytes;
		scratch->data = frcnn_alloc_aligned(wanted, 1);
	}
	if (scratch->data)
		scratch->capacity = wanted;
	return scratch->data;
}

void frcnn_workspace_free(struct frcnn_workspace *workspace)
{
	if (!workspace)
		return;
	for (int i = 0; i < FRCNN_SCRATCH_SLOTS; i++)
		free(workspace->slots[i].data);
	memset(workspace, 0, sizeof(*workspace));
}
