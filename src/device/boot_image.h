/* SPDX-License-Identifier: MIT */
/* What becomes of an image that a bootloader loads. */
#ifndef DEVICE_BOOT_IMAGE_H
#define DEVICE_BOOT_IMAGE_H

#include "device/flash.h"

#include <espimage/parameters.h>

enum boot_image {
    BOOT_IMAGE_RUNS,
    /* The first two bytes are not those of an image. */
    BOOT_IMAGE_NO_MAGIC,
    /* The loader gives up before it has overwritten the bootloader. */
    BOOT_IMAGE_NOT_LOADED,
    /* The loader overwrites the bootloader, then returns into it, or jumps to nothing. */
    BOOT_IMAGE_CRASHES
};

/* As the loader takes it: neither CRC, app number nor irom are checked. Fills `found`, of `room`
 * bytes, unless it runs. ESPIMAGE_ERR_IO when the flash cannot be read. */
enum espimage_code boot_image_judge(const struct flash *flash, enum espimage_boot_version version,
                                    uint32_t address, enum boot_image *out, char *found,
                                    size_t room, struct espimage_error *err);

#endif
