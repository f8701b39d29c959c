/* SPDX-License-Identifier: MIT */
/* So many a second, and some more at once after a while without: token buckets. */
#ifndef NET_RATE_LIMIT_H
#define NET_RATE_LIMIT_H

#include "net/peer.h"

#include <stddef.h>

struct rate {
    double per_second;
    double burst; /* at once, at most; 1 or more */
};

/* All zero: full. */
struct token_bucket {
    double missing; /* tokens that were taken and have not come back */
    double since;
};

/* Takes one, if there is one. */
bool token_bucket_take(struct token_bucket *bucket, const struct rate *rate, double now);
/* Whole seconds until there is one again, at least 1. */
unsigned token_bucket_wait(const struct token_bucket *bucket, const struct rate *rate);

/* Lines of a log that may come in floods. */
struct log_limit {
    struct token_bucket bucket;
    uint64_t left_out; /* since the last that passed */
};

/* True: write it, and that *left_out were not. */
bool log_limit_pass(struct log_limit *limit, const struct rate *rate, double now,
                    uint64_t *left_out);

/* A bucket for each address, in a table that does not grow: when it is full, the address whose
 * bucket has the most in it is forgotten. Safe from several threads. */
struct rate_limit;

struct rate_limit *rate_limit_new(const struct rate *rate); /* NULL: no memory */
void rate_limit_free(struct rate_limit *rates);
/* 0: welcome; otherwise the seconds to wait. */
unsigned rate_limit_take(struct rate_limit *rates, const struct peer *peer, double now);

#endif
