/* SPDX-License-Identifier: MIT */
/* The head of a request, while it arrives: is it whole, and is it one that the HTTP server can
 * answer? What libmicrohttpd cannot parse it answers with a body, which a device would write to
 * flash; so nothing of that kind gets that far.
 *
 * A head that ends in CRLF CR so far is complete. SDK 2.0.0 makes HEAD from the text of GET and
 * sends it with the length of that text, so the last LF never comes; a client that sends it later
 * loses nothing, for what follows a head is discarded. */
#ifndef HTTP_REQUEST_HEAD_H
#define HTTP_REQUEST_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest head that can be read; AT firmware with all its fields stays below 1 KB. */
#define HEAD_LONGEST 16384
/* Fields and cookies beyond that are too many: libmicrohttpd keeps a record of each. */
#define HEAD_FIELDS 256

enum head_state {
    HEAD_PARTIAL,  /* more has to come */
    HEAD_COMPLETE, /* GET or HEAD, without a body */
    HEAD_REFUSED   /* whole or not: to be answered with `status` */
};

/* Part of the bytes that were parsed. */
struct head_text {
    const char *at; /* NULL: there is none */
    size_t size;
};

struct request_head {
    size_t size;           /* with the empty line; of a complete one */
    bool unfinished;       /* of a complete one: the LF of the empty line is missing so far */
    size_t fields;         /* header fields, and pairs in Cookie */
    bool browser;          /* a field that only browsers send: Origin, Referer, Sec-Fetch-... */
    char method[16];       /* as far as it is known, printable, cut; for the log */
    char target[256];      /* the same */
    struct head_text path; /* the target as it came, with its query */
    struct head_text host; /* values, without the blanks around */
    struct head_text range;
    struct head_text if_range;
    struct head_text if_none_match;
    unsigned status;    /* of a refused one: 400, 405, 408, 414, 417, 431 or 505 */
    const char *reason; /* of a refused one; static */
};

/* Inspects all that has come so far. One that is not complete within `limit` bytes, at most
 * HEAD_LONGEST, is too long. With `last` nothing more will come: it is complete or refused. */
enum head_state head_parse(const uint8_t *bytes, size_t size, size_t limit, bool last,
                           struct request_head *head);

#endif
