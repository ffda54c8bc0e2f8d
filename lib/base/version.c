#include "base/base.h"

const char *frcnn_version(void)
{
	return FRCNN_VERSION;
}
