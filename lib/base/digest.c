#include "base/base.h"

#include <openssl/evp.h>

int frcnn_sha256(const void *bytes, size_t size, char hex[65], struct frcnn_error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	if (EVP_Digest(bytes, size, digest, &length, EVP_sha256(), NULL) != 1 || length != 32)
		return frcnn_fail(err, FRCNN_EIO, "cannot compute a SHA-256: libcrypto refuses");
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 32; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
	return 0;
}
