/* SPDX-License-Identifier: MIT */
/* Answers without a body. The upgrade library never looks at the status: it erases for any
 * Content-Length above 0 and writes any body to flash. So nothing but an image has a body. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <espimage/error.h>
#include <stddef.h>

#define REPLY_LONGEST (ESPIMAGE_ERROR_LINE + 256)

struct reply {
    unsigned status;
    const char *reason; /* one line of printable text; NULL: none */
    const char *field;  /* one more, "Name: value"; NULL: none */
};

/* The text of it, ended by an empty line; its length. */
size_t reply_write(const struct reply *reply, char text[REPLY_LONGEST]);

#endif
