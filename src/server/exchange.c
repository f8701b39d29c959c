/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/clock.h"
#include "base/text.h"
#include "http/token.h"
#include "server/parts.h"

#include <stdlib.h>
#include <string.h>

/* Of a target, for the log. */
#define TARGET_SHOWN 256

static char *printable_copy(const char *text, size_t limit)
{
    size_t room = strlen(text) + 1;
    room = room < limit ? room : limit;
    char *copy = malloc(room);
    if (copy != NULL) {
        printable(copy, room, text);
    }
    return copy;
}

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const struct peer *peer, const char *target)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    atomic_init(&x->references, 1);
    x->server = server;
    x->connection = connection;
    x->began = now_seconds();
    char *masked = token_mask(server->options.path_token, target);
    x->target = masked != NULL ? printable_copy(masked, TARGET_SHOWN) : NULL;
    free(masked);
    x->peer = *peer;
    peer_text(peer, x->client);
    if (x->target == NULL) {
        exchange_release(x);
        return NULL;
    }
    return x;
}

struct exchange *exchange_keep(struct exchange *x)
{
    (void)atomic_fetch_add(&x->references, 1);
    return x;
}

void exchange_release(struct exchange *x)
{
    if (atomic_fetch_sub(&x->references, 1) != 1) {
        return;
    }
    if (x->wait != NULL) {
        snapshot_release(x->wait->snapshot);
    }
    snapshot_release(x->snapshot);
    free(x->wait);
    status_look_free(x->look);
    free(x->notes);
    free(x->reason);
    free(x->target);
    free(x);
}

void exchange_fails(struct exchange *x, const char *reason)
{
    if (x->reason == NULL) {
        x->reason = printable_copy(reason, ESPIMAGE_ERROR_LINE);
    }
}

struct espimage_notes *exchange_notes(struct exchange *x)
{
    if (x->notes == NULL) {
        x->notes = calloc(1, sizeof *x->notes);
    }
    return x->notes;
}

struct server_event exchange_event(const struct exchange *x, enum server_event_kind kind)
{
    static const char *const methods[] = {
        [OTA_GET] = "GET", [OTA_HEAD] = "HEAD", [OTA_OTHER] = "?"};
    struct server_event event = {
        .kind = kind,
        .client = x->client,
        .client_port = x->peer.port,
        .method = methods[x->request.method],
        .target = x->target,
        .slot = x->request.slot,
        .build = x->snapshot != NULL ? x->snapshot->build : 0,
        .promised = x->promised,
        .status = x->status,
        .sent = x->sent,
        .size = x->size,
        .seconds = now_seconds() - x->began,
        .began = x->began,
        .reason = x->reason,
        .notes = x->notes,
        .not_converted = x->wait != NULL && x->wait->code != ESPIMAGE_OK,
        .looks = x->look != NULL,
    };
    return event;
}
