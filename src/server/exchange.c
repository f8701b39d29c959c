/* SPDX-License-Identifier: MIT */
#include "server/exchange.h"

#include "base/clock.h"
#include "base/text.h"
#include "http/token.h"

#include <stdio.h>
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

/* A token that begins in the part that is shown is masked completely. */
static char *shown_target(const struct request_head *head, const char *token)
{
    char text[TARGET_SHOWN + TOKEN_LONGEST + 2];
    const struct head_text *path = &head->path;
    size_t size = path->size < sizeof text - 1 ? path->size : sizeof text - 1;
    (void)snprintf(text, sizeof text, "%.*s", path->at != NULL ? (int)size : (int)sizeof text,
                   path->at != NULL ? path->at : head->target);
    char *masked = token_mask(token, text);
    char *shown = masked != NULL ? printable_copy(masked, TARGET_SHOWN) : NULL;
    free(masked);
    return shown;
}

struct exchange *exchange_new(struct responder *responder, const struct peer *peer,
                              const struct request_head *head, const char *token)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    x->responder = responder;
    x->began = now_seconds();
    x->port = peer->port;
    peer_text(peer, x->client);
    memcpy(x->method, head->method, sizeof x->method);
    x->target = shown_target(head, token);
    if (x->target == NULL) {
        free(x);
        return NULL;
    }
    return x;
}

void exchange_free(struct exchange *x)
{
    snapshot_release(x->snapshot);
    free(x->notes);
    free(x->reason);
    free(x->target);
    free(x);
}

void exchange_set_reason(struct exchange *x, const char *reason)
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
    return (struct server_event){
        .kind = kind,
        .client = x->client,
        .client_port = x->port,
        .method = x->method,
        .target = x->target,
        .slot = x->slot,
        .build = x->snapshot != NULL ? x->snapshot->build : 0,
        .promised = x->promised,
        .status = x->status,
        .sent = x->sent,
        .size = x->size,
        .seconds = now_seconds() - x->began,
        .began = x->began,
        .reason = x->reason,
        .notes = x->notes,
        .not_converted = x->not_converted,
        .looks = x->page,
    };
}
