/* SPDX-License-Identifier: MIT */
/* An image that somebody else made, served as it is: vendors publish nothing else. */
#ifndef STORE_READY_IMAGE_H
#define STORE_READY_IMAGE_H

#include <espimage/classify.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes begin as an image of the new bootloader does. */
bool ready_image_is(const uint8_t *bytes, size_t size);

/* What stands in the place of an ELF's link address: the slot of its app number, in the flash maps
 * that have their slots where the map of its header has them. ESPIMAGE_ERR_IMAGE when it names
 * neither. */
enum espimage_code ready_image_link(const uint8_t *bytes, size_t size, struct espimage_link *out,
                                    struct espimage_error *err);

/* Whether a device would take it from the air into that slot, and whether it would start there;
 * with the first rule that it breaks. ESPIMAGE_OK, _ERR_IMAGE or _ERR_MEMORY. */
enum espimage_code ready_image_check(const uint8_t *bytes, size_t size,
                                     const struct espimage_flash_map *map, uint8_t app,
                                     struct espimage_notes *notes, struct espimage_error *err);

#endif
