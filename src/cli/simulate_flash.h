/* SPDX-License-Identifier: MIT */
/* What the flash of a virtual device holds at its first boot: a file that is there, or a new flash
 * with an image in slot user1. */
#ifndef CLI_SIMULATE_FLASH_H
#define CLI_SIMULATE_FLASH_H

#include "cli/options.h"
#include "device/flash_file.h"

#include <espimage/parameters.h>

#define LARGEST_FLASH (16U << 20)

struct simulate_flash {
    /* the caller's */
    const char *path;                        /* of the file; NULL: unnamed */
    const char *load;                        /* ELF or image for a new flash; NULL: none */
    struct flash_settings given;             /* by options */
    enum espimage_boot_version boot_version; /* given, or found: ESPIMAGE_BOOT_UNKNOWN before */
    /* found */
    const struct espimage_flash_map *map; /* one with slots */
    uint8_t mode;
    uint8_t freq;
    uint8_t *content; /* owned */
    uint32_t size;
    bool there;   /* the file is, and not blank */
    bool assumed; /* there is a bootloader, but not one that names its version */
};

/* The bootloader's header in the file decides on the map and the settings, where there is one.
 * Errors name the file that they are about. After any outcome simulate_flash_free() frees. */
enum espimage_code simulate_flash_find(struct simulate_flash *f, struct espimage_error *err);
void simulate_flash_free(struct simulate_flash *f);

/* Opens the file, written first when it is not there. Number 0 is the one device; of several each
 * has a file with its number, from 1 on, in the name. */
enum espimage_code simulate_flash_open(const struct simulate_flash *f, uint32_t number,
                                       struct flash *out, struct espimage_error *err);

#endif
