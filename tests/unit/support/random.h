/* SPDX-License-Identifier: MIT */
/* A generator of random numbers that gives the same series everywhere (splitmix64). */
#ifndef SUPPORT_RANDOM_H
#define SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0 <= result < limit */
static inline uint32_t random_below(struct random *r, uint32_t limit)
{
    return (uint32_t)(random_u64(r) % limit);
}

static inline void random_fill(struct random *r, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(random_u64(r) >> 56);
    }
}

#endif
