/* SPDX-License-Identifier: MIT */
/* Which image a client is to get when it asks: a device has erased flash for the length that HEAD
 * told, so it gets that image, though the ELF may have changed meanwhile. */
#ifndef STORE_PROMISES_H
#define STORE_PROMISES_H

#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct promises;

/* Each holds for `seconds`; beyond `limit` the oldest is forgotten. NULL when out of memory. */
struct promises *promises_new(unsigned seconds, size_t limit);
void promises_free(struct promises *promises);

/* Not safe from several threads at once. `now` is in seconds of a clock that does not jump. What is
 * done costs the same however many there are. */

struct promise_state {
    uint64_t number; /* of the promise; never used twice */
    bool announced;  /* the client was told: by HEAD, or by a GET that broke off */
    bool used;       /* a GET was answered by it before */
};

/* Replaces an earlier promise to that client for that slot; takes a reference of its own. By HEAD
 * it is announced; otherwise a GET is being answered by it. Returns its number; 0 when there was no
 * memory. */
uint64_t promises_make(struct promises *promises, const char *client, int slot,
                       const struct snapshot *snapshot, bool by_head, double now);

/* A new reference, or NULL when there is no promise or it has expired. From now on it is used. */
const struct snapshot *promises_find(struct promises *promises, const char *client, int slot,
                                     double now, struct promise_state *state);

/* Kept: the image was delivered whole. One that has been replaced since stays. */
void promises_drop(struct promises *promises, const char *client, int slot, uint64_t number);

/* A GET that was answered with that image broke off: the client may have erased for its length.
 * Makes an announced promise, unless there is one: what was announced since counts for more. */
void promises_announce(struct promises *promises, const char *client, int slot,
                       const struct snapshot *snapshot, double now);

size_t promises_count(const struct promises *promises);

#endif
