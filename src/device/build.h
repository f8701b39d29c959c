/* SPDX-License-Identifier: MIT */
/* Which firmware an image holds, and whether its code can run where it is. */
#ifndef DEVICE_BUILD_H
#define DEVICE_BUILD_H

#include "device/flash.h"

struct build {
    char name[24];     /* "build 7", or "image 1A2B3C4D": the CRC */
    char trouble[160]; /* why its code cannot run at this address; or "" */
};

/* @param bytes    an image that a bootloader accepts, and what follows it in its slot.
 * @param address  of the image in the flash; the slot of the map is found by it. */
void build_identify(const uint8_t *bytes, size_t size, const struct espimage_flash_map *map,
                    uint32_t address, struct build *out);

/* The same of a flash. ESPIMAGE_ERR_IO, _ERR_MEMORY. @param address  within the flash. */
enum espimage_code build_read(const struct flash *flash, uint32_t address,
                              const struct espimage_flash_map *map, struct build *out,
                              struct espimage_error *err);

#endif
