/* SPDX-License-Identifier: MIT */
/* One request, from its first line until the client has the answer. */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "ota/decide.h"
#include "server/converter.h"
#include "server/layout.h"
#include "server/server.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <time.h>

struct exchange {
    atomic_uint references; /* libmicrohttpd's, and that of who follows the connection */
    struct server *server;
    struct MHD_Connection *connection; /* while libmicrohttpd has the request */
    struct timespec began;
    char target[256];
    char client[INET6_ADDRSTRLEN];
    char method[16];
    uint16_t client_port;
    bool begun;    /* the headers are complete */
    bool asked;    /* the converter was asked; the answer is in `wait` when called again */
    bool followed; /* the end is told by follow.c */
    struct conversion_wait wait;
    struct ota_request request;
    unsigned status;
    bool promised;
    uint64_t promise;                /* number of the promise that this answer keeps or made */
    const struct snapshot *snapshot; /* held until the end */
    size_t first;                    /* of the bytes asked for */
    size_t size;
    size_t header_size; /* of the answer with an image */
    uint64_t sent;
    char reason[ESPIMAGE_ERROR_LINE];
    struct espimage_notes notes;
};

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *uri);
struct exchange *exchange_keep(struct exchange *x);
void exchange_release(struct exchange *x);

/* The event that describes it now; points into it. */
struct server_event exchange_event(const struct exchange *x, enum server_event_kind kind);

#endif
