/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static void note_client(struct exchange *x, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) {
        return;
    }
    const struct sockaddr *address = info->client_addr;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, x->client, sizeof x->client);
        x->client_port = ntohs(v4.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, x->client, sizeof x->client);
        x->client_port = ntohs(v6.sin6_port);
    }
}

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *uri)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    atomic_init(&x->references, 1);
    x->server = server;
    x->connection = connection;
    x->wait.context = x;
    (void)clock_gettime(CLOCK_MONOTONIC, &x->began);
    printable(x->target, sizeof x->target, uri);
    note_client(x, connection);
    return x;
}

struct exchange *exchange_keep(struct exchange *x)
{
    (void)atomic_fetch_add(&x->references, 1);
    return x;
}

void exchange_release(struct exchange *x)
{
    if (atomic_fetch_sub(&x->references, 1) == 1) {
        snapshot_release(x->wait.snapshot);
        snapshot_release(x->snapshot);
        free(x);
    }
}

struct server_event exchange_event(const struct exchange *x, enum server_event_kind kind)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    struct server_event event = {
        .kind = kind,
        .client = x->client,
        .client_port = x->client_port,
        .method = x->method,
        .target = x->target,
        .slot = x->request.slot,
        .build = x->snapshot != NULL ? x->snapshot->build : 0,
        .promised = x->promised,
        .status = x->status,
        .sent = x->sent,
        .size = x->size,
        .seconds = (double)(now.tv_sec - x->began.tv_sec) +
                   (double)(now.tv_nsec - x->began.tv_nsec) / 1000000000.0,
        .reason = x->reason[0] != '\0' ? x->reason : NULL,
        .notes = &x->notes,
    };
    return event;
}
