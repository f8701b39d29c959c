/* SPDX-License-Identifier: MIT */
#include "cli/transfers.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096
/* A speed is that of about so many seconds. */
#define MEMORY_SECONDS 3.0

struct transfers {
    struct transfer *buckets[BUCKETS];
    struct transfer *first;
    struct transfer *last;
    size_t count;
};

struct transfers *transfers_new(void)
{
    return calloc(1, sizeof(struct transfers));
}

void transfers_free(struct transfers *transfers)
{
    struct transfer *next = transfers != NULL ? transfers->first : NULL;
    while (next != NULL) {
        struct transfer *one = next;
        next = one->next;
        free(one);
    }
    free(transfers);
}

/* Where the pointer to it is, or would be. */
static struct transfer **find(struct transfers *transfers, const struct server_event *event)
{
    struct transfer **at =
        &transfers->buckets[hash_text(event->client, event->client_port) % BUCKETS];
    while (*at != NULL &&
           ((*at)->port != event->client_port || strcmp((*at)->client, event->client) != 0)) {
        at = &(*at)->chain;
    }
    return at;
}

static struct transfer *add(struct transfers *transfers, struct transfer **at,
                            const struct server_event *event, double now)
{
    struct transfer *one = calloc(1, sizeof *one);
    if (one == NULL) {
        return NULL;
    }
    (void)snprintf(one->client, sizeof one->client, "%s", event->client);
    one->port = event->client_port;
    one->slot = event->slot;
    one->began = now - event->seconds;
    one->moved = one->began;
    one->prev = transfers->last;
    *(one->prev != NULL ? &one->prev->next : &transfers->first) = one;
    transfers->last = one;
    transfers->count++;
    *at = one;
    return one;
}

/* How much of the past counts: all of it at first. */
static double memory(const struct transfer *one)
{
    double age = one->moved - one->began;
    return age < MEMORY_SECONDS ? age : MEMORY_SECONDS;
}

static void move(struct transfer *one, const struct server_event *event, double now)
{
    double passed = now - one->moved;
    one->size = event->size;
    if (event->sent <= one->sent || passed <= 0) {
        return;
    }
    double past = memory(one);
    one->rate = (one->rate * past + (double)(event->sent - one->sent)) / (past + passed);
    one->sent = event->sent;
    one->moved = now;
}

double transfer_rate(const struct transfer *transfer, double now)
{
    double past = memory(transfer);
    double silent = now > transfer->moved ? now - transfer->moved : 0;
    return past > 0 ? transfer->rate * past / (past + silent) : 0;
}

struct transfer *transfers_note(struct transfers *transfers, const struct server_event *event,
                                double now)
{
    struct transfer **at = find(transfers, event);
    struct transfer *one = *at != NULL ? *at : add(transfers, at, event, now);
    if (one != NULL) {
        move(one, event, now);
    }
    return one;
}

void transfers_end(struct transfers *transfers, const struct server_event *event)
{
    struct transfer **at = find(transfers, event);
    struct transfer *one = *at;
    if (one == NULL) {
        return;
    }
    *at = one->chain;
    *(one->prev != NULL ? &one->prev->next : &transfers->first) = one->next;
    *(one->next != NULL ? &one->next->prev : &transfers->last) = one->prev;
    transfers->count--;
    free(one);
}

size_t transfers_count(const struct transfers *transfers)
{
    return transfers->count;
}

const struct transfer *transfers_first(const struct transfers *transfers)
{
    return transfers->first;
}
