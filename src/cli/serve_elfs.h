/* SPDX-License-Identifier: MIT */
/* Which of the ELFs that `serve` was given is for which slot. */
#ifndef CLI_SERVE_ELFS_H
#define CLI_SERVE_ELFS_H

#include "cli/options.h"
#include "store/elf_file.h"
#include "store/store.h"

#define SERVE_ELFS 2

struct serve_elfs {
    /* the caller's */
    struct flash_settings flash;
    enum espimage_profile profile;
    uint8_t app; /* slot of the one ELF, whatever it was linked for; 0: the link address decides */
    /* what came of them */
    const struct espimage_flash_map *map;
    bool map_assumed;
    struct elf_file files[SERVE_ELFS]; /* firmware is let go once they are classified */
    size_t count;
    struct store *store; /* owned; NULL when nothing could be loaded */
};

/* `paths`, one or two, must outlive `elfs`. Says on stderr what is wrong with any of them; 0, or an
 * exit status when something is, though the others may be served. */
int serve_elfs_load(struct serve_elfs *elfs, char **paths, size_t count);
void serve_elfs_free(struct serve_elfs *elfs);

/* store_get(), but waits a little for an ELF that is being written. */
enum espimage_code serve_elfs_get(const struct serve_elfs *elfs, int slot,
                                  const struct snapshot **snapshot, struct espimage_notes *notes,
                                  struct espimage_error *err);

#endif
