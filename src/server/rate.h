/* SPDX-License-Identifier: MIT */
/* So many a second, and some more at once after a while without: token buckets. */
#ifndef SERVER_RATE_H
#define SERVER_RATE_H

#include "server/peer.h"

#include <stddef.h>

struct rate {
    double per_second;
    double burst; /* at once, at most; 1 or more */
};

/* All zero: full. */
struct bucket {
    double missing; /* tokens that were taken and have not come back */
    double since;
};

/* Takes one, if there is one. */
bool bucket_take(struct bucket *bucket, const struct rate *rate, double now);
/* Whole seconds until there is one again, at least 1. */
unsigned bucket_wait(const struct bucket *bucket, const struct rate *rate);

/* Lines of a log that may come in floods. */
struct log_limit {
    struct bucket bucket;
    uint64_t left_out; /* since the last that passed */
};

/* True: write it, and that *left_out were not. */
bool log_limit_pass(struct log_limit *limit, const struct rate *rate, double now,
                    uint64_t *left_out);

/* A bucket for each address, in a table that does not grow: when it is full, the address whose
 * bucket has the most in it is forgotten. Safe from several threads. */
struct rates;

struct rates *rates_new(const struct rate *rate); /* NULL: no memory */
void rates_free(struct rates *rates);
/* 0: welcome; otherwise the seconds to wait. */
unsigned rates_take(struct rates *rates, const struct peer *peer, double now);

#endif
