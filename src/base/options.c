/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

/* No options will ever be this large: it is a struct that was not initialised. */
#define LARGEST_OPTIONS 4096

enum espimage_code options_copy(void *own, size_t own_size, const uint8_t *reserved,
                                size_t reserved_size, const void *given, struct espimage_error *err)
{
    size_t size = 0;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > LARGEST_OPTIONS) {
        error_found(err, ESPIMAGE_ERR_USAGE, "options of %zu bytes", size);
        error_wanted(err, "a struct that its _INIT macro initialised");
        return error_advice(err, "set its member size, or use the macro");
    }
    size_t common = size < own_size ? size : own_size;
    memset(own, 0, own_size);
    memcpy(own, given, common);
    if (!bytes_all((const uint8_t *)given + common, size - common, 0) ||
        !bytes_all(reserved, reserved_size, 0)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "options that this version of the library lacks");
        return error_advice(err, "use a library that is not older than the headers");
    }
    return ESPIMAGE_OK;
}
