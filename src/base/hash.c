/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include "base/bytes.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

struct state {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void mix(struct state *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32) + s->v3;
        s->v2 += s->v1;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void take_word(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    mix(s, 2);
    s->v0 ^= word;
}

uint64_t siphash(const struct hash_key *key, const uint8_t *bytes, size_t size)
{
    struct state s = {key->low ^ 0x736F6D6570736575, key->high ^ 0x646F72616E646F6D,
                      key->low ^ 0x6C7967656E657261, key->high ^ 0x7465646279746573};
    uint64_t last = (uint64_t)size << 56;
    size_t at = 0;
    for (; size - at >= 8; at += 8) {
        take_word(&s, get_le32(bytes + at) | (uint64_t)get_le32(bytes + at + 4) << 32);
    }
    for (unsigned bits = 0; at < size; at++, bits += 8) {
        last |= (uint64_t)bytes[at] << bits;
    }
    take_word(&s, last);
    s.v2 ^= 0xFF;
    mix(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static struct hash_key own_key;

/* Should there be no random bytes, the tables work all the same. */
static void draw_key(void)
{
    (void)!getrandom(&own_key, sizeof own_key, 0);
}

static struct hash_key drawn_key(void)
{
    static pthread_once_t drawn = PTHREAD_ONCE_INIT;
    (void)pthread_once(&drawn, draw_key);
    return own_key;
}

uint32_t hash_bytes(const void *bytes, size_t size)
{
    const struct hash_key key = drawn_key();
    return (uint32_t)siphash(&key, bytes, size);
}

uint32_t hash_text(const char *text, uint32_t number)
{
    struct hash_key key = drawn_key();
    key.low ^= number;
    return (uint32_t)siphash(&key, (const uint8_t *)text, strlen(text));
}
