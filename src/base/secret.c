/* SPDX-License-Identifier: MIT */
#include "base/secret.h"

#include <nettle/memops.h>
#include <stdint.h>
#include <string.h>

bool begins_with_secret(const char *text, size_t size, const char *secret)
{
    size_t length = strlen(secret);
    return size >= length && memeql_sec(text, secret, length) != 0;
}
