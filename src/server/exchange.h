/* SPDX-License-Identifier: MIT */
/* One request and its answer, from the complete request until the client has the answer. Small:
 * there may be thousands. */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "board/event.h"
#include "http/request_head.h"
#include "http/transfer.h"
#include "store/store.h"

struct responder;
struct waiting;

struct exchange {
    struct transfer transfer; /* first: the connection's `user` is both */
    struct responder *responder;
    double began;
    char client[PEER_TEXT]; /* its address */
    uint16_t port;
    char method[16];
    char *target; /* owned, as everything that ends in a pointer below */
    bool head;
    bool page;           /* for people or monitors */
    bool counts_as_page; /* towards the limit of those */
    bool recorded;       /* in the journal; nothing follows */
    bool promised;
    bool not_converted;
    int slot;
    unsigned status;
    uint64_t promise;                /* number of the promise that this answer keeps or made */
    const struct snapshot *snapshot; /* a reference */
    size_t size;                     /* of the image, or of the range asked for */
    size_t header_size;              /* of the answer with an image */
    uint64_t sent;                   /* bytes of the image that were acknowledged */
    char *reason;                    /* NULL: all went well */
    struct espimage_notes *notes;    /* NULL: none */
    struct waiting *waiting;         /* respond.c's; NULL: it waits for nothing */
    struct conn *conn;               /* of a page that libmicrohttpd has answered */
    struct task returned;            /* the same */
};

/* `token` is masked in the target. NULL: no memory. */
struct exchange *exchange_new(struct responder *responder, const struct peer *peer,
                              const struct request_head *head, const char *token);
void exchange_free(struct exchange *x);

/* The first reason counts. Without memory there is none. */
void exchange_set_reason(struct exchange *x, const char *reason);
/* For notes about this request; NULL: no memory. */
struct espimage_notes *exchange_notes(struct exchange *x);
/* The event that describes it now; points into it. */
struct server_event exchange_event(const struct exchange *x, enum server_event_kind kind);

static inline struct exchange *exchange_of(const struct conn *conn)
{
    return conn->user;
}

#endif
