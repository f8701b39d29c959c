/* SPDX-License-Identifier: MIT */
#include "image/build_number.h"

#include <string.h>

/* The number behind the tag at `at`; its length, or 0 when there is none. */
static size_t digits_at(const uint8_t *at, const uint8_t *end)
{
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9') {
        count++;
    }
    return count <= BUILD_DIGITS && at + count < end && at[count] == '\0' ? count : 0;
}

bool build_number_find(const uint8_t *bytes, size_t size, char digits[BUILD_DIGITS + 1])
{
    static const char tag[] = BUILD_TAG;
    const uint8_t *end = bytes + size;
    const uint8_t *at = bytes;
    while ((at = memmem(at, (size_t)(end - at), tag, sizeof tag - 1)) != NULL) {
        at += sizeof tag - 1;
        size_t count = digits_at(at, end);
        if (count > 0) {
            memcpy(digits, at, count);
            digits[count] = '\0';
            return true;
        }
    }
    return false;
}
