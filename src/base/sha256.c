/* SPDX-License-Identifier: MIT */
/* The only file that includes nettle: libmicrohttpd's TLS library brings it along anyway, and it
 * uses the processor's SHA instructions. */
#include "base/sha256.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>

void sha256_text(const uint8_t *bytes, size_t size, char text[SHA256_TEXT])
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&context);
    sha256_update(&context, size, bytes);
    sha256_digest(&context, sizeof digest, digest);
    base16_encode_update(text, sizeof digest, digest);
    text[SHA256_TEXT - 1] = '\0';
}
