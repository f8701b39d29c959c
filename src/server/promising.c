/* SPDX-License-Identifier: MIT */
/* Promises: what HEAD announced is what GET gets, until the client has it. */
#include "base/clock.h"
#include "server/parts.h"

void promising_make(const struct exchange *x)
{
    char client[PEER_TEXT];
    peer_text(&x->peer, client);
    (void)pthread_mutex_lock(&x->server->lock);
    (void)promises_make(x->server->promises, client, x->request.slot, x->snapshot, now_seconds());
    (void)pthread_mutex_unlock(&x->server->lock);
}

static void promise_kept(const struct exchange *x)
{
    (void)pthread_mutex_lock(&x->server->lock);
    promises_drop(x->server->promises, x->promise);
    (void)pthread_mutex_unlock(&x->server->lock);
}

static const struct snapshot *find_promise(struct exchange *x, bool *used)
{
    char client[PEER_TEXT];
    peer_text(&x->peer, client);
    (void)pthread_mutex_lock(&x->server->lock);
    const struct snapshot *found = promises_find(x->server->promises, client, x->request.slot,
                                                 now_seconds(), &x->promise, used);
    (void)pthread_mutex_unlock(&x->server->lock);
    return found;
}

static void look_at_earlier(const struct exchange *x)
{
    for (unsigned i = 0; i < x->server->deliverer_count; i++) {
        deliver_look(x->server->deliverers[i], &x->peer);
    }
}

/* Unless HEAD made a promise just before, an earlier GET of the client's may have ended a moment
 * ago, and with it a promise may have been kept or made. */
const struct snapshot *promising_find(struct exchange *x)
{
    bool used = false;
    const struct snapshot *found = find_promise(x, &used);
    if (found == NULL || used) {
        snapshot_release(found);
        look_at_earlier(x);
        found = find_promise(x, &used);
    }
    x->promise = found != NULL ? x->promise : 0;
    return found;
}

/* A client that knows no HEAD takes the length from a first GET, leaves and asks again. What HEAD
 * has announced since counts for more. */
static void promise_again(struct exchange *x)
{
    bool used = false;
    const struct snapshot *newer = x->promised ? NULL : find_promise(x, &used);
    if (newer == NULL && !x->promised) {
        promising_make(x);
    }
    snapshot_release(newer);
}

static void note_delivered(struct exchange *x, uint64_t delivered)
{
    x->sent = delivered > x->header_size ? delivered - x->header_size : 0;
}

void promising_progress(void *exchange, uint64_t delivered)
{
    struct exchange *x = exchange;
    note_delivered(x, delivered);
    server_tell_exchange(x, SERVER_PROGRESS, false);
}

void promising_end(void *exchange, uint64_t delivered, enum deliver_end how)
{
    struct exchange *x = exchange;
    note_delivered(x, delivered);
    bool asked_for_it = x->request.method == OTA_GET;
    bool whole = asked_for_it && how == DELIVER_WHOLE && x->size == x->snapshot->image.size;
    if (how != DELIVER_WHOLE) {
        exchange_fails(x,
                       how == DELIVER_GONE ? "the client went away" : "the client stopped reading");
    }
    if (whole) {
        promise_kept(x);
    } else if (asked_for_it && how != DELIVER_WHOLE && x->status == MHD_HTTP_OK) {
        promise_again(x);
    }
    server_tell_exchange(x, SERVER_REQUEST, whole);
    exchange_release(x);
}
