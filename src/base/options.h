/* SPDX-License-Identifier: MIT */
/* Options of a caller that was compiled against this or another version of the headers. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <espimage/error.h>
#include <stdint.h>

/* Copies *given, whose first member is its size in bytes, to *own. Members that the caller does
 * not have become 0; members that only the caller has, and `reserved` (within *own), must be 0.
 * Returns ESPIMAGE_OK or ESPIMAGE_ERR_USAGE. */
enum espimage_code options_copy(void *own, size_t own_size, const uint8_t *reserved,
                                size_t reserved_size, const void *given,
                                struct espimage_error *err);

/* The same for a struct with the members size and reserved. */
#define OPTIONS_COPY(own, given, err)                                                              \
    options_copy((own), sizeof *(own), (own)->reserved, sizeof(own)->reserved, (given), (err))

#endif
