/* SPDX-License-Identifier: MIT */
/* Promises: what HEAD announced is what GET gets, until the client has it. */
#include "base/clock.h"
#include "server/parts.h"

static const struct snapshot *find(struct exchange *x, struct promise_state *state)
{
    (void)pthread_mutex_lock(&x->server->lock);
    const struct snapshot *found =
        promises_find(x->server->promises, x->client, x->request.slot, now_seconds(), state);
    (void)pthread_mutex_unlock(&x->server->lock);
    return found;
}

/* The deliveries that a promise is used for may have ended a moment ago, and it with them. */
static void look_at_deliveries(const struct exchange *x, uint64_t number)
{
    for (unsigned i = 0; i < x->server->worker_count; i++) {
        deliver_look(worker_deliver(x->server->workers[i]), &x->peer, number);
    }
}

const struct snapshot *promising_supply(struct exchange *x)
{
    struct promise_state state = {0};
    const struct snapshot *found = x->request.method == OTA_GET ? find(x, &state) : NULL;
    const struct snapshot *current =
        found == NULL || state.used ? store_peek(x->server->options.store, x->request.slot) : NULL;
    if (found != NULL && state.used && current != found) { /* built anew since */
        snapshot_release(found);
        look_at_deliveries(x, state.number);
        found = find(x, &state);
    }
    if (found == NULL || !state.announced) { /* that is another GET's, still on its way */
        snapshot_release(found);
        return current;
    }
    snapshot_release(current);
    x->promise = state.number;
    x->promised = true;
    return found;
}

void promising_make(struct exchange *x)
{
    if (x->promise != 0) {
        return;
    }
    (void)pthread_mutex_lock(&x->server->lock);
    x->promise = promises_make(x->server->promises, x->client, x->request.slot, x->snapshot,
                               x->request.method == OTA_HEAD, now_seconds());
    (void)pthread_mutex_unlock(&x->server->lock);
}

/* A client that knows no HEAD takes the length from a first GET, leaves and asks again. */
static void settle(const struct exchange *x, bool whole)
{
    struct promises *promises = x->server->promises;
    (void)pthread_mutex_lock(&x->server->lock);
    if (whole) {
        promises_drop(promises, x->client, x->request.slot, x->promise);
    } else {
        promises_announce(promises, x->client, x->request.slot, x->snapshot, now_seconds());
    }
    (void)pthread_mutex_unlock(&x->server->lock);
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
    bool whole =
        x->request.method == OTA_GET && how == DELIVER_WHOLE && x->size == x->snapshot->image.size;
    if (how != DELIVER_WHOLE) {
        exchange_fails(x,
                       how == DELIVER_GONE ? "the client went away" : "the client stopped reading");
    }
    if (x->request.method == OTA_GET && x->promise != 0 && (whole || how != DELIVER_WHOLE)) {
        settle(x, whole);
    }
    server_tell_exchange(x, SERVER_REQUEST, whole);
    (void)atomic_fetch_sub(&x->server->answering, 1);
    exchange_release(x);
}
