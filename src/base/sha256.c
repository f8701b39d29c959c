/* SPDX-License-Identifier: MIT */
/* The only file that includes nettle: libmicrohttpd's TLS library brings it along anyway, and it
 * uses the processor's SHA instructions. */
#include "base/sha256.h"

#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>

static void digest_of(const uint8_t *bytes, size_t size, uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    sha256_digest(&context, SHA256_DIGEST_SIZE, digest);
}

void sha256_base64(const uint8_t *bytes, size_t size, char text[SHA256_BASE64])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    digest_of(bytes, size, digest);
    base64_encode_raw(text, sizeof digest, digest);
    text[SHA256_BASE64 - 1] = '\0';
}

void sha256_text(const uint8_t *bytes, size_t size, char text[SHA256_TEXT])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    digest_of(bytes, size, digest);
    base16_encode_update(text, sizeof digest, digest);
    text[SHA256_TEXT - 1] = '\0';
}
