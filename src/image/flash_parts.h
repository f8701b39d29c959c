/* SPDX-License-Identifier: MIT */
/* What taking a flash apart and building one have in common. */
#ifndef IMAGE_FLASH_PARTS_H
#define IMAGE_FLASH_PARTS_H

#include <espimage/flash_image.h>

/* E9, no segments, mode, size/freq: stands where a bootloader would. */
#define BOOT_STAND_IN_SIZE 4

/* The parts of a flash of `size` bytes, by address; no slots when the map is NULL or has none.
 * Returns how many. Parts of a flash smaller than the map's may lie outside of it. */
size_t flash_parts(const struct espimage_flash_map *map, uint32_t size,
                   struct espimage_part parts[ESPIMAGE_MAX_PARTS]);

/* By what is at the known places of a flash; the file has more than 0 bytes. */
enum espimage_flash_layout flash_layout(const uint8_t *bytes, size_t size);

/* The beginning of a flash, of any length: a known bootloader with what belongs behind it. */
bool flash_is_partial(const uint8_t *bytes, size_t size);

/* Fills flash->images; layout and parts are known. */
void flash_find_images(const uint8_t *bytes, size_t size, struct espimage_flash_view *flash);

/* ESPIMAGE_ERR_IMAGE when the bytes cannot be a bootloader. */
enum espimage_code boot_check(const uint8_t *bytes, size_t size, struct espimage_error *err);

#endif
