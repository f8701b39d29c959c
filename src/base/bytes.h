/* SPDX-License-Identifier: MIT */
/* Little-endian reads and writes, and a cursor that cannot leave its bytes. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void put_le32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

/* For sizes far below 2^32 - to; callers bound them first. `to` is a power of two. */
static inline uint32_t round_up(uint32_t value, uint32_t to)
{
    return (value + to - 1) & ~(to - 1);
}

struct cursor {
    const uint8_t *bytes;
    size_t size;
    size_t at; /* <= size */
};

/* The next `count` bytes, or NULL (and no step) when fewer are left. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t count)
{
    if (count > c->size - c->at) {
        return NULL;
    }
    const uint8_t *p = c->bytes + c->at;
    c->at += count;
    return p;
}

/* True when every byte is `value`. */
static inline bool bytes_all(const uint8_t *bytes, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

#endif
