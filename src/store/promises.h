/* SPDX-License-Identifier: MIT */
/* What HEAD announced to an address for a slot, kept for the GET that follows: a device has erased
 * flash for that length, so it gets that image, though the ELF may have changed meanwhile. */
#ifndef STORE_PROMISES_H
#define STORE_PROMISES_H

#include "store/store.h"

#include <stddef.h>

struct promises;

/* Each holds for `seconds`; beyond `limit` the oldest is forgotten. NULL when out of memory. */
struct promises *promises_new(unsigned seconds, size_t limit);
void promises_free(struct promises *promises);

/* Not safe from several threads at once. `now` is in seconds of any clock that does not jump. */

/* Replaces an earlier promise; takes a reference of its own. */
void promises_make(struct promises *promises, const char *client, int slot,
                   const struct snapshot *snapshot, double now);
/* A new reference, or NULL when nothing was promised or it has expired. */
const struct snapshot *promises_find(struct promises *promises, const char *client, int slot,
                                     double now);
/* Kept: the image was delivered whole. */
void promises_drop(struct promises *promises, const char *client, int slot);
size_t promises_count(const struct promises *promises);

#endif
