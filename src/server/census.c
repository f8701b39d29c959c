/* SPDX-License-Identifier: MIT */
#include "server/census.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 4096

/* An address with at least one connection. */
struct resident {
    struct resident *next;
    struct peer peer;
    unsigned count;
    unsigned admitted; /* of those */
};

struct census {
    unsigned limit;
    unsigned address_limit;
    pthread_mutex_t lock; /* guards what follows */
    unsigned count;
    struct resident *buckets[BUCKETS];
};

struct census *census_new(unsigned limit, unsigned address_limit)
{
    struct census *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->limit = limit;
        c->address_limit = address_limit;
        (void)pthread_mutex_init(&c->lock, NULL);
    }
    return c;
}

void census_free(struct census *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (c->buckets[i] != NULL) {
            struct resident *r = c->buckets[i];
            c->buckets[i] = r->next;
            free(r);
        }
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The link to the address's entry; to NULL when it has none. */
static struct resident **find(struct census *c, const struct peer *peer)
{
    struct resident **link = &c->buckets[peer_hash(peer) % BUCKETS];
    while (*link != NULL && !peer_same_address(&(*link)->peer, peer)) {
        link = &(*link)->next;
    }
    return link;
}

static enum census_answer enter(struct census *c, const struct peer *peer)
{
    struct resident **link = find(c, peer);
    if (c->count >= c->limit) {
        return CENSUS_FULL;
    }
    if (*link != NULL && (*link)->admitted >= c->address_limit) {
        return CENSUS_FULL_ADDRESS;
    }
    if (*link == NULL) {
        *link = calloc(1, sizeof **link);
        if (*link == NULL) {
            return CENSUS_NO_MEMORY;
        }
        (*link)->peer = *peer;
    }
    (*link)->count++;
    c->count++;
    return CENSUS_WELCOME;
}

enum census_answer census_enter(struct census *c, const struct peer *peer)
{
    (void)pthread_mutex_lock(&c->lock);
    enum census_answer answer = enter(c, peer);
    (void)pthread_mutex_unlock(&c->lock);
    return answer;
}

bool census_admit(struct census *c, const struct peer *peer)
{
    (void)pthread_mutex_lock(&c->lock);
    struct resident *r = *find(c, peer);
    bool admitted = r != NULL && r->admitted < c->address_limit;
    if (admitted) {
        r->admitted++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return admitted;
}

static void forget(struct census *c, const struct peer *peer, bool admitted)
{
    (void)pthread_mutex_lock(&c->lock);
    struct resident **link = find(c, peer);
    struct resident *r = *link;
    if (r != NULL) {
        r->admitted -= admitted && r->admitted > 0 ? 1 : 0;
        c->count--;
        if (--r->count == 0) {
            *link = r->next;
            free(r);
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void census_turn_back(struct census *c, const struct peer *peer)
{
    forget(c, peer, false);
}

void census_leave(struct census *c, const struct peer *peer)
{
    forget(c, peer, true);
}

unsigned census_count(struct census *c)
{
    (void)pthread_mutex_lock(&c->lock);
    unsigned count = c->count;
    (void)pthread_mutex_unlock(&c->lock);
    return count;
}
