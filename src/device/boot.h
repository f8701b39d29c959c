/* SPDX-License-Identifier: MIT */
/* What a second-stage bootloader decides: which slot is booted, and what when it cannot be. */
#ifndef DEVICE_BOOT_H
#define DEVICE_BOOT_H

#include "device/flash.h"

/* The slot that the record of parameters.h names, 1 when there is no valid one. */
enum espimage_code boot_slot(const struct flash *flash, uint8_t *slot, struct espimage_error *err);

/* Writes a record that names `slot`. When the power fails on the way, the one before it or the
 * new one counts. */
enum espimage_code boot_set_slot(struct flash *flash, uint8_t slot, struct espimage_error *err);

/* One slot that was tried. */
struct boot_try {
    uint8_t slot;
    bool accepted;
    bool bad_magic;   /* "error magic!"; otherwise segments or checksum are wrong */
    const char *rule; /* of espimage_verify() that refused it, or NULL */
    char found[160];
};

struct boot_result {
    unsigned tries;
    struct boot_try tried[2];
    uint8_t slot; /* that runs; 0: none can be booted */
    /* The image in it, to the end of the slot: owned, freed by boot_result_free(). */
    uint8_t *image;
    size_t image_size;
};

/* Tries the slot of the record, then the other one, which is remembered when it is good. As the
 * real one it looks neither at the CRC nor at the app number. `map` has slots. */
enum espimage_code boot_run(struct flash *flash, const struct espimage_flash_map *map,
                            struct boot_result *out, struct espimage_error *err);
void boot_result_free(struct boot_result *result);

#endif
