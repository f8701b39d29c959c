/* SPDX-License-Identifier: MIT */
#include "net/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>

/* 16,384 addresses, in rows by their hash. */
#define ROWS   2048
#define IN_ROW 8

static double missing_at(const struct token_bucket *bucket, const struct rate *rate, double now)
{
    double back = (now - bucket->since) * rate->per_second;
    return bucket->missing > back ? bucket->missing - back : 0;
}

bool token_bucket_take(struct token_bucket *bucket, const struct rate *rate, double now)
{
    bucket->missing = missing_at(bucket, rate, now);
    bucket->since = now;
    if (bucket->missing + 1 > rate->burst) {
        return false;
    }
    bucket->missing += 1;
    return true;
}

unsigned token_bucket_wait(const struct token_bucket *bucket, const struct rate *rate)
{
    double seconds = (bucket->missing + 1 - rate->burst) / rate->per_second;
    unsigned whole = seconds > 0 ? (unsigned)seconds : 0;
    return whole < seconds ? whole + 1 : whole > 0 ? whole : 1;
}

bool log_limit_pass(struct log_limit *limit, const struct rate *rate, double now,
                    uint64_t *left_out)
{
    if (!token_bucket_take(&limit->bucket, rate, now)) {
        limit->left_out++;
        return false;
    }
    *left_out = limit->left_out;
    limit->left_out = 0;
    return true;
}

struct entry {
    struct peer peer;
    struct token_bucket bucket;
};

struct rate_limit {
    struct rate rate;
    pthread_mutex_t lock; /* guards what follows */
    struct entry rows[ROWS][IN_ROW];
};

struct rate_limit *rate_limit_new(const struct rate *rate)
{
    struct rate_limit *rates = calloc(1, sizeof *rates);
    if (rates != NULL) {
        rates->rate = *rate;
        (void)pthread_mutex_init(&rates->lock, NULL);
    }
    return rates;
}

void rate_limit_free(struct rate_limit *rates)
{
    if (rates != NULL) {
        (void)pthread_mutex_destroy(&rates->lock);
    }
    free(rates);
}

static struct entry *entry_of(struct rate_limit *rates, const struct peer *peer, double now)
{
    struct entry *row = rates->rows[peer_hash(peer) % ROWS];
    struct entry *fullest = row;
    for (size_t i = 0; i < IN_ROW; i++) {
        if (peer_same_address(&row[i].peer, peer)) {
            return &row[i];
        }
        if (missing_at(&row[i].bucket, &rates->rate, now) <
            missing_at(&fullest->bucket, &rates->rate, now)) {
            fullest = &row[i];
        }
    }
    *fullest = (struct entry){.peer = *peer};
    return fullest;
}

unsigned rate_limit_take(struct rate_limit *rates, const struct peer *peer, double now)
{
    (void)pthread_mutex_lock(&rates->lock);
    struct token_bucket *bucket = &entry_of(rates, peer, now)->bucket;
    unsigned wait =
        token_bucket_take(bucket, &rates->rate, now) ? 0 : token_bucket_wait(bucket, &rates->rate);
    (void)pthread_mutex_unlock(&rates->lock);
    return wait;
}
