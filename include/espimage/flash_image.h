/* SPDX-License-Identifier: MIT */
/**
 * @file flash_image.h
 * What a file holds, by its content; and the parts of a whole flash.
 */
#ifndef ESPIMAGE_FLASH_IMAGE_H
#define ESPIMAGE_FLASH_IMAGE_H

#include <espimage/image.h>

ESPIMAGE_BEGIN

enum espimage_content {
    ESPIMAGE_CONTENT_ELF,
    ESPIMAGE_CONTENT_IMAGE, /**< begins like an image, v1 or v2 */
    ESPIMAGE_CONTENT_FLASH, /**< a whole flash: a power of two long, with a bootloader at 0 */
    ESPIMAGE_CONTENT_UNKNOWN
};

/** "elf", "image", "flash", "unknown". */
ESPIMAGE_API const char *espimage_content_name(enum espimage_content content);

ESPIMAGE_API enum espimage_content espimage_recognise(const uint8_t *bytes, size_t size);

enum espimage_part_kind {
    ESPIMAGE_PART_BOOT,      /**< bootloader at 0 */
    ESPIMAGE_PART_SLOT,      /**< user1 or user2 */
    ESPIMAGE_PART_RF_CAL,    /**< F-0x5000, one sector */
    ESPIMAGE_PART_INIT_DATA, /**< F-0x4000, one sector: esp_init_data_default.bin */
    ESPIMAGE_PART_PARAMETERS /**< F-0x3000 .. F */
};

struct espimage_part {
    enum espimage_part_kind kind;
    const char *name; /**< "bootloader", "user1", ... */
    uint32_t address; /**< in flash */
    uint32_t size;    /**< bytes set aside for it */
    bool blank;       /**< all 0xFF */
};

#define ESPIMAGE_MAX_PARTS 6

struct espimage_flash_view {
    const struct espimage_flash_map *map; /**< that the bootloader's header names; NULL: none */
    bool size_agrees;                     /**< the file is as long as the map's flash */
    uint8_t boot_header[4];
    size_t part_count;
    struct espimage_part parts[ESPIMAGE_MAX_PARTS]; /**< those that lie within the file */
};

/** @param bytes recognised as ESPIMAGE_CONTENT_FLASH. */
ESPIMAGE_API void espimage_flash_parse(const uint8_t *bytes, size_t size,
                                       struct espimage_flash_view *out);

/**
 * The image at the start of a slot, whose end only its own structure tells.
 * @param bytes from the start of the slot, at most its size.
 * @return its length with CRC, or 0 when there is no whole image.
 */
ESPIMAGE_API size_t espimage_slot_image_size(const uint8_t *bytes, size_t size);

/**
 * Sets flash mode, clock and map in the header of a bootloader, in place, as flashing tools do.
 * @return ESPIMAGE_OK, or ESPIMAGE_ERR_IMAGE when it is no bootloader (first byte E9) or longer
 *         than the sector before user1.
 */
ESPIMAGE_API enum espimage_code espimage_boot_patch(uint8_t *bytes, size_t size,
                                                    const struct espimage_build_options *options,
                                                    struct espimage_error *err);

ESPIMAGE_END

#endif
