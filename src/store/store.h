/* SPDX-License-Identifier: MIT */
/* Which images are served: of one ELF a slot, converted when it is first asked for and again when
 * the file has changed, or of a ready image, which is checked instead. */
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

struct store_options {
    struct espimage_build_options
        build;   /* map NULL: chosen by the link addresses; app is not used */
    uint8_t app; /* slot of the one ELF, whatever it was linked for; 0: the link address decides */
};

/* For one or two ELFs or ready images; the paths must outlive the store. They need not be there
 * yet: each is read when it appears, and again whenever it changes, and its link address decides
 * which slot it is for. NULL when out of memory. */
struct store *store_new(const struct store_options *options, const char *const *paths,
                        size_t count);
/* No snapshot may be asked for any more; those that are held stay valid, but for their path. */
void store_free(struct store *store);

/* The functions below are safe from several threads. */

/* Reads file 0 or 1 and decides which slot it is for. ESPIMAGE_OK when it is right for one, else
 * why it is not; *unsettled as for store_get(). */
enum espimage_code store_refresh(struct store *store, size_t file, bool *unsettled,
                                 struct espimage_error *err);

/* The file whose image is served for slot 1 or 2, or may be once it can be used; NULL: none was
 * given for that slot. */
const char *store_path(struct store *store, int slot);

/* The flash map: given, or what the link addresses leave; *assumed, which may be NULL, when they
 * leave several. It changes when an ELF appears that settles it. */
const struct espimage_flash_map *store_map(struct store *store, bool *assumed);

/* What is missing when no file was given for a slot, and how to link it, on one line. */
void store_missing(struct store *store, int slot, char *text, size_t size);

/* The image for a slot that has a file, when the file is as it was: costs one stat(), and never
 * waits for a conversion. NULL when it must be converted first. To be released. */
const struct snapshot *store_peek(struct store *store, int number);

/* The image for a slot that has a file, converted when needed; to be released. A file that is being
 * written is not taken: the error then has *unsettled set, and another try soon after may succeed.
 * A file that is missing is unsettled for a few seconds: builds remove a file before they write it.
 */
enum espimage_code store_get(struct store *store, int number, const struct snapshot **out,
                             bool *unsettled, struct espimage_notes *notes,
                             struct espimage_error *err);

#endif
