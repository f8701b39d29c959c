/* SPDX-License-Identifier: MIT */
/* Which images are served: one ELF a slot, converted when it is first asked for and again when
 * the file has changed. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <espimage/image.h>

#include "base/sha256.h"

/* An image with its identity. Immutable; shared by reference. */
struct snapshot {
    struct espimage_bytes image;
    char sha256[SHA256_TEXT];
    const char *path; /* of the ELF; lives as long as the store */
    unsigned build;   /* 1 for the first image of the slot, 2 after the first change, ... */
};

void snapshot_release(const struct snapshot *snapshot);

struct store;

/* Images are built with `options`; its app counts for nothing. */
struct store *store_new(const struct espimage_build_options *options);
/* No snapshot may be asked for any more; those that are held stay valid, but for their path. */
void store_free(struct store *store);

/* The ELF for slot 1 or 2; `path` must outlive the store. With `forced` the ELF's link address is
 * not asked. Call before the first store_get(). */
void store_set(struct store *store, int slot, const char *path, bool forced);
const char *store_path(const struct store *store, int slot); /* NULL: none */

/* The image for a slot that has an ELF; to be released. Safe from several threads. */
enum espimage_code store_get(struct store *store, int slot, const struct snapshot **out,
                             struct espimage_notes *notes, struct espimage_error *err);

#endif
