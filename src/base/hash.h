/* SPDX-License-Identifier: MIT */
/* Where something stands in a table whose keys come from the network.
 *
 * Whoever asks can choose the address to ask from: of IPv6 everybody has a whole /64. Were it known
 * which addresses share a bucket, thousands of them could be put into one, and each look into it
 * would take thousands of steps. So this is SipHash-2-4, which is made for such tables, and its key
 * is drawn at random by each process: what it gives means nothing to another one and is never
 * shown, nor is an order made of it. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint32_t hash_bytes(const void *bytes, size_t size);
/* Of a text together with a number. */
uint32_t hash_text(const char *text, uint32_t number);

struct hash_key {
    uint64_t low;
    uint64_t high;
};

/* SipHash-2-4 itself, from J.-P. Aumasson and D. J. Bernstein: "SipHash: a fast short-input PRF",
 * 2012. */
uint64_t siphash(const struct hash_key *key, const uint8_t *bytes, size_t size);

#endif
