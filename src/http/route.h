/* SPDX-License-Identifier: MIT */
/* What a request is to get: the one decision, made once, without sockets. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/host.h"
#include "http/request_head.h"

enum route_handler {
    ROUTE_REPLY, /* a status without a body */
    ROUTE_IMAGE, /* the image of `slot`; 503 when there is none now */
    ROUTE_PAGE   /* `page`, for people and monitors */
};

/* What is served, and to whom. */
struct route_rules {
    const char *token; /* what paths have to begin with; NULL: nothing */
    const struct host_names *hosts;
    const char *const *pages; /* paths */
    size_t page_count;
    bool slots[2]; /* there is an ELF for it, or will be */
};

struct route {
    enum route_handler handler;
    bool head;          /* the method is HEAD; else GET, or none that is known */
    int slot;           /* that the request means; 0: none, or not this client's to know */
    unsigned page;      /* of ROUTE_PAGE */
    unsigned status;    /* of ROUTE_REPLY */
    const char *reason; /* the same; static. NULL: no ELF was given for the slot */
};

/* `head` is complete or refused. */
struct route route(const struct request_head *head, const struct route_rules *rules);

#endif
