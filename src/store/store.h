/* SPDX-License-Identifier: MIT */
/* Which images are served: one ELF a slot, converted when it is first asked for and again when
 * the file has changed. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <espimage/image.h>

#include "base/file.h"
#include "base/sha256.h"
#include "ota/wire.h"

#include <time.h>

/* An image with its identity. Immutable; shared by reference. */
struct snapshot {
    struct memory_file image; /* to send from */
    char sha256[SHA256_TEXT];
    struct wire_runs runs; /* where a TCP segment must not begin */
    const char *path;      /* of the ELF; lives as long as the store */
    unsigned build;        /* 1 for the first image of the slot, 2 after the first change, ... */
    time_t converted;
};

const struct snapshot *snapshot_keep(const struct snapshot *snapshot);
void snapshot_release(const struct snapshot *snapshot); /* accepts NULL */

struct store;

/* Images are built with `options`; its app counts for nothing. */
struct store *store_new(const struct espimage_build_options *options);
/* No snapshot may be asked for any more; those that are held stay valid, but for their path. */
void store_free(struct store *store);

/* The ELF for slot 1 or 2; `path` must outlive the store. With `forced` the ELF's link address is
 * not asked. Call before the first store_get(). */
void store_set(struct store *store, int slot, const char *path, bool forced);
const char *store_path(const struct store *store, int slot); /* NULL: none */

const struct espimage_flash_map *store_map(const struct store *store);

/* What is missing when a slot has no ELF, and how to link it, on one line. */
void store_missing(const struct store *store, int slot, char *text, size_t size);

/* The image for a slot that has an ELF, when the file is as it was: costs one stat(), and never
 * waits for a conversion. NULL when it must be converted first. To be released. */
const struct snapshot *store_peek(struct store *store, int slot);

/* The image for a slot that has an ELF, converted when needed; to be released. A file that was
 * written just now, or is written while it is read, is not taken: the error then has *unsettled
 * set, and another try soon after may succeed. All of this is safe from several threads. */
enum espimage_code store_get(struct store *store, int slot, const struct snapshot **out,
                             bool *unsettled, struct espimage_notes *notes,
                             struct espimage_error *err);

#endif
