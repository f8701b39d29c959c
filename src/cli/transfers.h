/* SPDX-License-Identifier: MIT */
/* The downloads that go on at the moment: found by the client's address and port, listed in the
 * order in which they began. */
#ifndef CLI_TRANSFERS_H
#define CLI_TRANSFERS_H

#include "server/server.h"

#include <netinet/in.h>

struct transfer {
    struct transfer *next; /* began after this one */
    struct transfer *prev;
    struct transfer *chain; /* in the same bucket */
    char client[INET6_ADDRSTRLEN];
    uint16_t port;
    int slot;
    uint64_t sent;
    uint64_t size;
    double began;    /* in the caller's clock, as all times here */
    double moved;    /* when `sent` last grew */
    double rate;     /* bytes a second at that time; see transfer_rate() */
    double reported; /* for who uses the table; 0 at first */
};

struct transfers;

struct transfers *transfers_new(void); /* NULL when there is no memory */
void transfers_free(struct transfers *transfers);

/* Takes down a SERVER_PROGRESS; NULL when there is no memory. */
struct transfer *transfers_note(struct transfers *transfers, const struct server_event *event,
                                double now);
/* After SERVER_REQUEST, whether it was known or not. */
void transfers_end(struct transfers *transfers, const struct server_event *event);

/* Bytes a second of late, silence included; 0: not known. */
double transfer_rate(const struct transfer *transfer, double now);

size_t transfers_count(const struct transfers *transfers);
const struct transfer *transfers_first(const struct transfers *transfers);

#endif
