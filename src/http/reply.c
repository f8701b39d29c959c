/* SPDX-License-Identifier: MIT */
#include "http/reply.h"

#include "base/text.h"

#include <stdio.h>

static const char *status_text(unsigned status)
{
    switch (status) {
    case 304: return "Not Modified";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Bad Request";
    }
}

/* What every answer of a status has. */
static const char *usual_field(unsigned status)
{
    switch (status) {
    case 405: return "Allow: GET, HEAD";
    case 503: return "Retry-After: 2";
    default: return NULL;
    }
}

size_t reply_write(const struct reply *r, char text[REPLY_LONGEST])
{
    char reason[ESPIMAGE_ERROR_LINE];
    const char *field = r->field != NULL ? r->field : usual_field(r->status);
    printable(reason, sizeof reason, r->reason != NULL ? r->reason : "");
    int size = snprintf(
        text, REPLY_LONGEST,
        "HTTP/1.1 %u %s\r\nConnection: close\r\n%s%s%s%s%sContent-Length: 0\r\n\r\n", r->status,
        status_text(r->status), field != NULL ? field : "", field != NULL ? "\r\n" : "",
        r->reason != NULL ? "X-Espimage-Reason: " : "", reason, r->reason != NULL ? "\r\n" : "");
    return size < REPLY_LONGEST ? (size_t)size : REPLY_LONGEST - 1;
}
