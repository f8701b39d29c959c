/* SPDX-License-Identifier: MIT */
#include "store/promises.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

struct promise {
    struct promise *next; /* in its bucket */
    struct promise *younger;
    struct promise *older;
    char client[48];
    int slot;
    struct promise_state state;
    double expires;
    const struct snapshot *snapshot; /* a reference */
};

struct promises {
    unsigned seconds;
    uint64_t last_number;
    size_t limit;
    size_t count;
    /* All hold equally long, so the oldest is the first to expire. */
    struct promise *oldest;
    struct promise *youngest;
    struct promise *buckets[BUCKETS];
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

/* The link to the promise; to NULL when there is none. */
static struct promise **lookup(struct promises *p, const char *client, int slot)
{
    struct promise **link = &p->buckets[hash_text(client, (uint32_t)slot) % BUCKETS];
    while (*link != NULL && ((*link)->slot != slot || strcmp((*link)->client, client) != 0)) {
        link = &(*link)->next;
    }
    return link;
}

/* Takes it out of the order of age. */
static void unlist(struct promises *p, struct promise *promise)
{
    *(promise->younger != NULL ? &promise->younger->older : &p->youngest) = promise->older;
    *(promise->older != NULL ? &promise->older->younger : &p->oldest) = promise->younger;
    p->count--;
}

static void enlist(struct promises *p, struct promise *promise, double now)
{
    promise->expires = now + p->seconds;
    promise->younger = NULL;
    promise->older = p->youngest;
    *(p->youngest != NULL ? &p->youngest->younger : &p->oldest) = promise;
    p->youngest = promise;
    p->count++;
}

static void forget(struct promises *p, struct promise **link)
{
    struct promise *promise = *link;
    if (promise == NULL) {
        return;
    }
    *link = promise->next;
    unlist(p, promise);
    snapshot_release(promise->snapshot);
    free(promise);
}

static void forget_oldest(struct promises *p)
{
    forget(p, lookup(p, p->oldest->client, p->oldest->slot));
}

void promises_free(struct promises *p)
{
    while (p != NULL && p->oldest != NULL) {
        forget_oldest(p);
    }
    free(p);
}

/* An empty one in its place. */
static struct promise *add(struct promises *p, const char *client, int slot, double now)
{
    while (p->oldest != NULL && (p->oldest->expires <= now || p->count >= p->limit)) {
        forget_oldest(p);
    }
    struct promise *promise = calloc(1, sizeof *promise);
    if (promise != NULL) {
        struct promise **link = lookup(p, client, slot);
        promise->next = *link;
        *link = promise;
        (void)snprintf(promise->client, sizeof promise->client, "%s", client);
        promise->slot = slot;
        enlist(p, promise, now);
    }
    return promise;
}

uint64_t promises_make(struct promises *p, const char *client, int slot,
                       const struct snapshot *snapshot, bool by_head, double now)
{
    struct promise *promise = *lookup(p, client, slot);
    if (promise == NULL) {
        promise = add(p, client, slot, now);
    } else {
        unlist(p, promise);
        enlist(p, promise, now);
    }
    if (promise == NULL) {
        return 0;
    }
    const struct snapshot *former = promise->snapshot;
    promise->snapshot = snapshot_keep(snapshot);
    promise->state = (struct promise_state){++p->last_number, by_head, !by_head};
    snapshot_release(former);
    return promise->state.number;
}

const struct snapshot *promises_find(struct promises *p, const char *client, int slot, double now,
                                     struct promise_state *state)
{
    struct promise **link = lookup(p, client, slot);
    if (*link == NULL) {
        return NULL;
    }
    if ((*link)->expires <= now) {
        forget(p, link);
        return NULL;
    }
    *state = (*link)->state;
    (*link)->state.used = true;
    return snapshot_keep((*link)->snapshot);
}

void promises_drop(struct promises *p, const char *client, int slot, uint64_t number)
{
    struct promise **link = lookup(p, client, slot);
    if (*link != NULL && (*link)->state.number == number) {
        forget(p, link);
    }
}

void promises_announce(struct promises *p, const char *client, int slot,
                       const struct snapshot *snapshot, double now)
{
    const struct promise *promise = *lookup(p, client, slot);
    if (promise == NULL || !promise->state.announced || promise->expires <= now) {
        (void)promises_make(p, client, slot, snapshot, true, now);
    }
}

size_t promises_count(const struct promises *p)
{
    return p->count;
}
