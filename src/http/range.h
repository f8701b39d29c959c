/* SPDX-License-Identifier: MIT */
/* One byte range of a request (RFC 9110). Devices do not ask for any; other clients do. */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include <stddef.h>

enum range_result {
    RANGE_NONE, /* no header, several ranges, or not understood: the whole is sent */
    RANGE_ONE,
    RANGE_UNSATISFIABLE /* begins behind the end: 416 */
};

/* `header` is the value of Range, or NULL; *first and *count are set for RANGE_ONE. */
enum range_result range_parse(const char *header, size_t size, size_t *first, size_t *count);

#endif
