/* SPDX-License-Identifier: MIT */
/* What `factory` makes a flash of: ELFs or ready images, bootloader and init data, read, checked
 * and each in its place. */
#ifndef CLI_FACTORY_INPUTS_H
#define CLI_FACTORY_INPUTS_H

#include "cli/options.h"
#include "cli/output.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>

/* A file for a slot. */
struct factory_source {
    const char *path;
    struct file_bytes file;      /* owned */
    struct elf_file elf;         /* owned; firmware is NULL for a ready image */
    struct espimage_bytes image; /* owned; made of the ELF */
    struct espimage_notes notes;
    unsigned slots; /* that it is right for: bit 0 user1, bit 1 user2; one in the end */
};

#define FACTORY_SOURCES 2

struct factory_inputs {
    /* the caller's; {0} but for these */
    enum espimage_profile profile;
    struct flash_settings flash;
    const char *boot_path;                          /* NULL: none */
    const char *init_path;                          /* NULL: none */
    struct factory_source sources[FACTORY_SOURCES]; /* with their paths */
    size_t source_count;
    struct failures *failures; /* where they go */
    json_t *warnings;
    /* what came of them */
    struct file_bytes boot; /* owned */
    struct file_bytes init; /* owned */
    struct espimage_flash_contents contents;
};

/* False when there are failures; what can be wrong with any of the inputs is among them. */
bool factory_inputs_collect(struct factory_inputs *in);
void factory_inputs_free(struct factory_inputs *in);

/* The path of the input that is the file at `path`; NULL: none is. */
const char *factory_inputs_find(const struct factory_inputs *in, const char *path);

#endif
