/* SPDX-License-Identifier: MIT */
/* The ELFs that `serve` was given. */
#ifndef CLI_SERVE_ELFS_H
#define CLI_SERVE_ELFS_H

#include "cli/options.h"
#include "store/store.h"

struct serve_elfs {
    /* the caller's */
    struct flash_settings flash;
    enum espimage_profile profile;
    uint8_t app; /* slot of the one ELF, whatever it was linked for; 0: the link address decides */
    /* what came of them */
    struct store *store; /* owned; NULL when out of memory */
};

/* `paths`, one or two, must outlive `elfs`. One that cannot be used is served once it can. 0, or an
 * exit status with everything said when out of memory. */
int serve_elfs_load(struct serve_elfs *elfs, char **paths, size_t count);
void serve_elfs_free(struct serve_elfs *elfs);

/* store_get(), but waits some seconds for an ELF that is being written. */
enum espimage_code serve_elfs_get(const struct serve_elfs *elfs, int slot,
                                  const struct snapshot **snapshot, struct espimage_notes *notes,
                                  struct espimage_error *err);

#endif
