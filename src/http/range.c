/* SPDX-License-Identifier: MIT */
#include "http/range.h"

#include "base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Digits, all of them, up to `end`. False when there are none or too many. */
static bool number(const char **at, unsigned long long *out)
{
    char *end = NULL;
    if (**at < '0' || **at > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

enum range_result range_parse(const char *header, size_t size, size_t *first, size_t *count)
{
    unsigned long long from = 0;
    unsigned long long to = size > 0 ? size - 1 : 0;
    const char *at = header;

    if (header == NULL || text_find(header, "bytes=") != header || strchr(header, ',') != NULL) {
        return RANGE_NONE;
    }
    at += strlen("bytes=");
    if (*at == '-') { /* the last so many */
        at++;
        if (!number(&at, &from) || *at != '\0') {
            return RANGE_NONE;
        }
        if (from == 0 || size == 0) {
            return RANGE_UNSATISFIABLE;
        }
        from = from < size ? size - from : 0;
    } else {
        if (!number(&at, &from) || *at++ != '-') {
            return RANGE_NONE;
        }
        if (*at != '\0' && (!number(&at, &to) || *at != '\0' || to < from)) {
            return RANGE_NONE;
        }
        if (from >= size) {
            return RANGE_UNSATISFIABLE;
        }
        to = to < size ? to : size - 1;
    }
    *first = (size_t)from;
    *count = (size_t)(to - from + 1);
    return RANGE_ONE;
}
