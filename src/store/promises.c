/* SPDX-License-Identifier: MIT */
#include "store/promises.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct promise {
    char client[48];
    int slot;
    uint64_t number;
    bool used;
    double expires;
    const struct snapshot *snapshot; /* a reference */
};

struct promises {
    unsigned seconds;
    uint64_t last_number;
    size_t limit;
    size_t count;
    size_t room;
    struct promise *list; /* owned; in no order */
};

struct promises *promises_new(unsigned seconds, size_t limit)
{
    struct promises *p = calloc(1, sizeof *p);
    if (p != NULL) {
        p->seconds = seconds;
        p->limit = limit;
    }
    return p;
}

void promises_free(struct promises *p)
{
    if (p != NULL) {
        for (size_t i = 0; i < p->count; i++) {
            snapshot_release(p->list[i].snapshot);
        }
        free(p->list);
        free(p);
    }
}

static struct promise *lookup(struct promises *p, const char *client, int slot)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].slot == slot && strcmp(p->list[i].client, client) == 0) {
            return &p->list[i];
        }
    }
    return NULL;
}

static void forget(struct promises *p, struct promise *promise)
{
    snapshot_release(promise->snapshot);
    *promise = p->list[--p->count];
}

static void forget_expired(struct promises *p, double now)
{
    for (size_t i = p->count; i > 0; i--) {
        if (p->list[i - 1].expires <= now) {
            forget(p, &p->list[i - 1]);
        }
    }
}

static struct promise *oldest(struct promises *p)
{
    struct promise *found = &p->list[0];
    for (size_t i = 1; i < p->count; i++) {
        found = p->list[i].expires < found->expires ? &p->list[i] : found;
    }
    return found;
}

/* Room for one more, or NULL: then there is no promise, and GET gets what is current. */
static struct promise *add(struct promises *p)
{
    if (p->count == p->limit) {
        forget(p, oldest(p));
    }
    if (p->count == p->room) {
        size_t room = p->room == 0 ? 16 : p->room * 2;
        struct promise *more = realloc(p->list, room * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        p->list = more;
        p->room = room;
    }
    return &p->list[p->count++];
}

uint64_t promises_make(struct promises *p, const char *client, int slot,
                       const struct snapshot *snapshot, double now)
{
    struct promise *promise = lookup(p, client, slot);
    const struct snapshot *kept = snapshot_keep(snapshot);
    if (promise != NULL) {
        snapshot_release(promise->snapshot);
    } else {
        forget_expired(p, now);
        promise = add(p);
    }
    if (promise == NULL) {
        snapshot_release(kept);
        return 0;
    }
    (void)snprintf(promise->client, sizeof promise->client, "%s", client);
    promise->slot = slot;
    promise->number = ++p->last_number;
    promise->used = false;
    promise->expires = now + p->seconds;
    promise->snapshot = kept;
    return promise->number;
}

const struct snapshot *promises_find(struct promises *p, const char *client, int slot, double now,
                                     uint64_t *number, bool *used)
{
    struct promise *promise = lookup(p, client, slot);
    if (promise == NULL) {
        return NULL;
    }
    if (promise->expires <= now) {
        forget(p, promise);
        return NULL;
    }
    *number = promise->number;
    *used = promise->used;
    promise->used = true;
    return snapshot_keep(promise->snapshot);
}

void promises_drop(struct promises *p, uint64_t number)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].number == number) {
            forget(p, &p->list[i]);
            return;
        }
    }
}

size_t promises_count(const struct promises *p)
{
    return p->count;
}
