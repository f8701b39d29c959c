/* SPDX-License-Identifier: MIT */
/* How a flash is divided, and which images are in it: by what is at its known places, for a flash
 * of another world has a header at 0 too. */
#include "base/bytes.h"
#include "image/flash_parts.h"
#include "image/identify.h"
#include "image/image_format.h"

#include <string.h>

/* rBoot's configuration, one sector behind it: E1, version 1. */
#define RBOOT_CONFIG ESPIMAGE_SECTOR

/* Where a partition table of RTOS SDK 3 is: by default, and in its example for 1 MB. */
static const uint32_t partition_tables[] = {0x8000, 0x5000};

/* Images beyond it are not searched for structure: more than the window cannot run. */
#define LONGEST_IMAGE 0x110000U

/* So many beginnings of images are looked into, whatever the flash holds. */
#define MOST_TRIES 64

static const struct {
    const char *name;
    const char *text;
} layouts[] = {
    [ESPIMAGE_FLASH_SDK] = {"sdk", "Espressif's bootloader, user1 and user2"},
    [ESPIMAGE_FLASH_NO_BOOT] = {"no-boot", "firmware for no bootloader: its RAM part is at 0, its "
                                           "flash part where it is linked"},
    [ESPIMAGE_FLASH_ARDUINO] = {"arduino", "Arduino's eboot and a sketch at 0x1000"},
    [ESPIMAGE_FLASH_RBOOT] = {"rboot", "rBoot, its configuration at 0x1000 and its ROMs"},
    [ESPIMAGE_FLASH_RTOS3] = {"rtos3", "a bootloader of RTOS SDK 3, a partition table and "
                                       "applications"},
    [ESPIMAGE_FLASH_AT_ZERO] = {"at-zero", "an image for a slot at 0, where a bootloader belongs: "
                                           "the chip does not start it; write it to 0x1000"},
};

const char *espimage_flash_layout_name(enum espimage_flash_layout layout)
{
    return layouts[layout].name;
}

const char *espimage_flash_layout_text(enum espimage_flash_layout layout)
{
    return layouts[layout].text;
}

static bool has_partition_table(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof partition_tables / sizeof partition_tables[0]; i++) {
        const uint8_t *table = bytes + partition_tables[i];
        if (size >= partition_tables[i] + (size_t)2 && table[0] == 0xAA && table[1] == 0x50) {
            return true;
        }
    }
    return false;
}

static enum espimage_mistake identify_start(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    struct espimage_identity identity = {0};
    espimage_image_parse(bytes, size, &view);
    identify_v1(&view, &identity);
    return identity.mistake;
}

/* The v1 image at 0 goes on where user1 would begin. */
static bool covers_user1(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    espimage_image_parse(bytes, size < OLD_IROM_OFFSET ? size : OLD_IROM_OFFSET, &view);
    return !view.has_irom && view.extent == ESPIMAGE_EXTENT_CHECKSUM && view.segment_count > 0 &&
           view.checksum_offset >= ESPIMAGE_SECTOR;
}

enum espimage_flash_layout flash_layout(const uint8_t *bytes, size_t size)
{
    size_t start = size < ESPIMAGE_SECTOR ? size : ESPIMAGE_SECTOR;
    if (bytes[0] == MAGIC_V2) {
        return ESPIMAGE_FLASH_AT_ZERO;
    }
    switch (identify_start(bytes, start)) {
    case ESPIMAGE_MISTAKE_BOOTLOADER: return ESPIMAGE_FLASH_SDK;
    case ESPIMAGE_MISTAKE_ARDUINO: return ESPIMAGE_FLASH_ARDUINO;
    case ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER: return ESPIMAGE_FLASH_RBOOT;
    default: break;
    }
    if (has_partition_table(bytes, size)) {
        return ESPIMAGE_FLASH_RTOS3;
    }
    if (size > RBOOT_CONFIG + 2 && bytes[RBOOT_CONFIG] == 0xE1 && bytes[RBOOT_CONFIG + 1] == 1) {
        return ESPIMAGE_FLASH_RBOOT;
    }
    return covers_user1(bytes, size) ? ESPIMAGE_FLASH_NO_BOOT : ESPIMAGE_FLASH_SDK;
}

bool flash_is_partial(const uint8_t *bytes, size_t size)
{
    if (size <= ESPIMAGE_SECTOR || bytes[0] != MAGIC_V1) {
        return false;
    }
    switch (flash_layout(bytes, size)) {
    case ESPIMAGE_FLASH_SDK:
        return identify_start(bytes, ESPIMAGE_SECTOR) == ESPIMAGE_MISTAKE_BOOTLOADER &&
               bytes[ESPIMAGE_SECTOR] != 0xFF;
    case ESPIMAGE_FLASH_RBOOT: return size > (size_t)2 * ESPIMAGE_SECTOR;
    case ESPIMAGE_FLASH_RTOS3:
        return identify_start(bytes, size) == ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER;
    case ESPIMAGE_FLASH_NO_BOOT:
    case ESPIMAGE_FLASH_ARDUINO:
    case ESPIMAGE_FLASH_AT_ZERO: break;
    }
    return false;
}

/* Length of the image that begins there, with what belongs to it, or 0. */
static size_t image_at(const uint8_t *bytes, size_t size, struct espimage_flash_image *out)
{
    struct espimage_image_view view;
    if (!identify_is_image(bytes, size)) {
        return 0;
    }
    espimage_image_parse(bytes, size < LONGEST_IMAGE ? size : LONGEST_IMAGE, &view);
    if (view.extent < ESPIMAGE_EXTENT_CHECKSUM || view.checksum_stored != view.checksum_ram) {
        return 0;
    }
    out->new_layout = view.has_irom;
    return view.checksum_offset + (size_t)1;
}

static bool is_slot(const struct espimage_flash_view *flash, size_t address)
{
    for (size_t i = 0; i < flash->part_count; i++) {
        if (flash->parts[i].kind == ESPIMAGE_PART_SLOT && flash->parts[i].address == address) {
            return true;
        }
    }
    return false;
}

void flash_find_images(const uint8_t *bytes, size_t size, struct espimage_flash_view *flash)
{
    size_t from = flash->layout == ESPIMAGE_FLASH_AT_ZERO || flash->layout == ESPIMAGE_FLASH_NO_BOOT
                      ? 0
                      : ESPIMAGE_SECTOR;
    size_t tries = 0;
    for (size_t at = from; at < size && tries < MOST_TRIES; at += ESPIMAGE_SECTOR) {
        struct espimage_flash_image found = {(uint32_t)at, false};
        if (bytes[at] != MAGIC_V1 && bytes[at] != MAGIC_V2) {
            continue;
        }
        tries++;
        size_t length = image_at(bytes + at, size - at, &found);
        if (length == 0) {
            continue;
        }
        if (!is_slot(flash, at) && flash->image_count < ESPIMAGE_MAX_FLASH_IMAGES) {
            flash->images[flash->image_count++] = found;
        }
        at += (length - 1) / ESPIMAGE_SECTOR * ESPIMAGE_SECTOR;
    }
}
