/* SPDX-License-Identifier: MIT */
/* What becomes of an image that a bootloader loads. */
#ifndef IMAGE_BOOT_IMAGE_H
#define IMAGE_BOOT_IMAGE_H

#include <espimage/error.h>
#include <espimage/parameters.h>

/* A flash to load from. */
struct boot_source {
    /* Asked only for bytes of the flash. */
    enum espimage_code (*read)(const void *context, uint32_t address, uint8_t *to, size_t size,
                               struct espimage_error *err);
    const void *context;
    uint32_t size;
};

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
 * bytes, unless it runs. Fails when `read` does. */
enum espimage_code boot_image_judge(const struct boot_source *source,
                                    enum espimage_boot_version version, uint32_t address,
                                    enum boot_image *out, char *found, size_t room,
                                    struct espimage_error *err);

#endif
