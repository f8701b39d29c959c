/* SPDX-License-Identifier: MIT */
/* One request, from its first line until the client has the answer. Small: there may be thousands.
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "net/peer.h"
#include "ota/decide.h"
#include "server/converter.h"
#include "server/server.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct look;

struct exchange {
    atomic_uint references; /* libmicrohttpd's, and that of who delivers the answer */
    struct server *server;
    struct MHD_Connection *connection; /* while libmicrohttpd has the request */
    double began;
    struct peer peer;
    char client[PEER_TEXT]; /* its address */
    char *target;     /* owned, as everything that ends in a pointer below but the promised ones */
    bool begun;       /* the headers are complete */
    bool handed_over; /* to deliver.c, which tells the end */
    bool promised;
    struct ota_request request;
    struct look *look; /* at the status page or the like, status.c's; NULL: at none */
    struct conversion_wait
        *wait; /* the converter was asked; the answer is here when called again */
    unsigned status;
    uint64_t promise;                /* number of the promise that this answer keeps or made */
    const struct snapshot *snapshot; /* a reference, held until the end */
    size_t first;                    /* of the bytes asked for */
    size_t size;
    size_t header_size; /* of the answer with an image */
    uint64_t sent;
    char *reason;                 /* NULL: all went well */
    struct espimage_notes *notes; /* NULL: none */
};

/* NULL when there is no memory. `connection` is NULL when libmicrohttpd never gets the request. */
struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const struct peer *peer, const char *target);
struct exchange *exchange_keep(struct exchange *x);
void exchange_release(struct exchange *x);

/* The first reason counts. Without memory there is none. */
void exchange_fails(struct exchange *x, const char *reason);

/* For a note about this request; NULL when there is no memory. */
struct espimage_notes *exchange_notes(struct exchange *x);

/* The event that describes it now; points into it. */
struct server_event exchange_event(const struct exchange *x, enum server_event_kind kind);

#endif
