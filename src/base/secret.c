/* SPDX-License-Identifier: MIT */
#include "base/secret.h"

#include <nettle/memops.h>
#include <stdint.h>
#include <string.h>

bool begins_with_secret(const char *text, const char *secret)
{
    size_t size = strlen(secret);
    return strlen(text) >= size && memeql_sec(text, secret, size) != 0;
}
