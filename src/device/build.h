/* SPDX-License-Identifier: MIT */
/* Which firmware an image holds, and whether its code can run where it is. */
#ifndef DEVICE_BUILD_H
#define DEVICE_BUILD_H

#include <espimage/flash.h>

/* In the flash part of an image, with a decimal number and a NUL behind it. The example firmware
 * has it. */
#define BUILD_TAG "espimagetool-build="

struct build {
    char name[24];   /* "build 7", or "image 1A2B3C4D": the CRC */
    bool can_run;    /* false: its RAM code refers to flash, but never to where this image is */
    uint32_t refers; /* valid when it cannot: an address that it refers to */
};

/* @param bytes an image that a bootloader accepts, and what follows it in its slot. */
void build_identify(const uint8_t *bytes, size_t size, const struct espimage_flash_map *map,
                    uint8_t slot, struct build *out);

#endif
