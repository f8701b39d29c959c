/* SPDX-License-Identifier: MIT */
#include "net/conn_limits.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 4096

/* An address with at least one connection. */
struct entry {
    struct entry *next;
    struct peer peer;
    unsigned count;
    unsigned admitted; /* of those */
};

struct conn_limits {
    unsigned limit;
    unsigned address_limit;
    pthread_mutex_t lock; /* guards what follows */
    unsigned count;
    struct entry *buckets[BUCKETS];
};

struct conn_limits *conn_limits_new(unsigned limit, unsigned address_limit)
{
    struct conn_limits *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->limit = limit;
        c->address_limit = address_limit;
        (void)pthread_mutex_init(&c->lock, NULL);
    }
    return c;
}

void conn_limits_free(struct conn_limits *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (c->buckets[i] != NULL) {
            struct entry *r = c->buckets[i];
            c->buckets[i] = r->next;
            free(r);
        }
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The link to the address's entry; to NULL when it has none. */
static struct entry **find(struct conn_limits *c, const struct peer *peer)
{
    struct entry **link = &c->buckets[peer_hash(peer) % BUCKETS];
    while (*link != NULL && !peer_same_address(&(*link)->peer, peer)) {
        link = &(*link)->next;
    }
    return link;
}

static enum conn_limits_answer enter(struct conn_limits *c, const struct peer *peer)
{
    struct entry **link = find(c, peer);
    if (c->count >= c->limit) {
        return CONN_LIMITS_FULL;
    }
    if (*link != NULL && (*link)->admitted >= c->address_limit) {
        return CONN_LIMITS_FULL_ADDRESS;
    }
    if (*link == NULL) {
        *link = calloc(1, sizeof **link);
        if (*link == NULL) {
            return CONN_LIMITS_NO_MEMORY;
        }
        (*link)->peer = *peer;
    }
    (*link)->count++;
    c->count++;
    return CONN_LIMITS_OK;
}

enum conn_limits_answer conn_limits_enter(struct conn_limits *c, const struct peer *peer)
{
    (void)pthread_mutex_lock(&c->lock);
    enum conn_limits_answer answer = enter(c, peer);
    (void)pthread_mutex_unlock(&c->lock);
    return answer;
}

bool conn_limits_admit(struct conn_limits *c, const struct peer *peer)
{
    (void)pthread_mutex_lock(&c->lock);
    struct entry *r = *find(c, peer);
    bool admitted = r != NULL && r->admitted < c->address_limit;
    if (admitted) {
        r->admitted++;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return admitted;
}

static void forget(struct conn_limits *c, const struct peer *peer, bool admitted)
{
    (void)pthread_mutex_lock(&c->lock);
    struct entry **link = find(c, peer);
    struct entry *r = *link;
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

void conn_limits_leave_pending(struct conn_limits *c, const struct peer *peer)
{
    forget(c, peer, false);
}

void conn_limits_leave(struct conn_limits *c, const struct peer *peer)
{
    forget(c, peer, true);
}

unsigned conn_limits_count(struct conn_limits *c)
{
    (void)pthread_mutex_lock(&c->lock);
    unsigned count = c->count;
    (void)pthread_mutex_unlock(&c->lock);
    return count;
}
