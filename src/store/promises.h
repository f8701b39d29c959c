/* SPDX-License-Identifier: MIT */
/* What HEAD announced to an address for a slot, kept for the GET that follows: a device has erased
 * flash for that length, so it gets that image, though the ELF may have changed meanwhile. */
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

/* Not safe from several threads at once. `now` is in seconds of any clock that does not jump. */

/* Replaces an earlier promise; takes a reference of its own. Returns the promise's number, by which
 * it is dropped; 0 when there was no memory for it. */
uint64_t promises_make(struct promises *promises, const char *client, int slot,
                       const struct snapshot *snapshot, double now);
/* A new reference, or NULL when nothing was promised or it has expired. *number is the promise's;
 * *used tells whether a GET was answered by it before, and from now on one was. */
const struct snapshot *promises_find(struct promises *promises, const char *client, int slot,
                                     double now, uint64_t *number, bool *used);
/* Kept: the image was delivered whole. One that has been replaced since stays. */
void promises_drop(struct promises *promises, uint64_t number);
size_t promises_count(const struct promises *promises);

#endif
