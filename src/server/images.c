/* SPDX-License-Identifier: MIT */
#include "server/images.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

#define PROMISES 16384

struct images {
    struct store *store;
    pthread_mutex_t lock; /* guards the promises */
    struct promises *promises;
};

struct images *images_new(struct store *store, unsigned promise_seconds)
{
    struct images *i = calloc(1, sizeof *i);
    if (i == NULL) {
        return NULL;
    }
    i->store = store;
    (void)pthread_mutex_init(&i->lock, NULL);
    i->promises = promises_new(promise_seconds, PROMISES);
    if (i->promises == NULL) {
        images_free(i);
        return NULL;
    }
    return i;
}

void images_free(struct images *i)
{
    if (i != NULL) {
        promises_free(i->promises);
        (void)pthread_mutex_destroy(&i->lock);
        free(i);
    }
}

static const struct snapshot *find(struct images *i, const char *client, int slot,
                                   struct promise_state *state)
{
    (void)pthread_mutex_lock(&i->lock);
    const struct snapshot *found = promises_find(i->promises, client, slot, now_seconds(), state);
    (void)pthread_mutex_unlock(&i->lock);
    return found;
}

enum images_answer images_supply(struct images *i, const char *client, int slot, bool head,
                                 bool checked, struct image_supply *out)
{
    struct promise_state state = {0};
    const struct snapshot *found = head ? NULL : find(i, client, slot, &state);
    const struct snapshot *current =
        found == NULL || state.used ? store_peek(i->store, slot) : NULL;
    *out = (struct image_supply){NULL, 0, false};
    if (found != NULL && state.used && current != found && !checked) { /* built anew since */
        snapshot_release(found);
        snapshot_release(current);
        out->promise = state.number;
        return IMAGES_RECHECK;
    }
    if (found != NULL && state.announced) {
        snapshot_release(current);
        *out = (struct image_supply){found, state.number, true};
        return IMAGES_READY;
    }
    snapshot_release(found); /* another GET's, which still runs */
    out->snapshot = current;
    return current != NULL ? IMAGES_READY : IMAGES_CONVERT;
}

uint64_t images_promise(struct images *i, const char *client, int slot, bool head,
                        const struct snapshot *snapshot)
{
    (void)pthread_mutex_lock(&i->lock);
    uint64_t number = promises_make(i->promises, client, slot, snapshot, head, now_seconds());
    (void)pthread_mutex_unlock(&i->lock);
    return number;
}

void images_settle(struct images *i, const char *client, int slot, const struct snapshot *snapshot,
                   uint64_t promise, bool complete)
{
    (void)pthread_mutex_lock(&i->lock);
    if (complete) {
        promises_drop(i->promises, client, slot, promise);
    } else {
        promises_announce(i->promises, client, slot, snapshot, now_seconds());
    }
    (void)pthread_mutex_unlock(&i->lock);
}
