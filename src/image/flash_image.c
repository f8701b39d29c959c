/* SPDX-License-Identifier: MIT */
#include <espimage/flash_image.h>

#include "base/bytes.h"
#include "base/error.h"
#include "image/image_format.h"

#include <string.h>

#define SMALLEST_FLASH 0x40000U
#define LARGEST_FLASH  0x1000000U

/* Distances from the end of the flash, in sectors. */
#define RF_CAL_FROM_END     5
#define INIT_DATA_FROM_END  4
#define PARAMETERS_FROM_END 3

const char *espimage_content_name(enum espimage_content content)
{
    static const char *const names[] = {"elf", "image", "flash", "unknown"};
    return names[content];
}

static bool is_flash(const uint8_t *bytes, size_t size)
{
    bool power_of_two = size >= SMALLEST_FLASH && size <= LARGEST_FLASH && (size & (size - 1)) == 0;
    return power_of_two && bytes[0] == MAGIC_V1;
}

enum espimage_content espimage_recognise(const uint8_t *bytes, size_t size)
{
    static const uint8_t elf[] = {0x7F, 'E', 'L', 'F'};
    if (size >= sizeof elf && memcmp(bytes, elf, sizeof elf) == 0) {
        return ESPIMAGE_CONTENT_ELF;
    }
    if (is_flash(bytes, size)) {
        return ESPIMAGE_CONTENT_FLASH;
    }
    if (size > 0 && (bytes[0] == MAGIC_V2 || bytes[0] == MAGIC_V1)) {
        return ESPIMAGE_CONTENT_IMAGE;
    }
    return ESPIMAGE_CONTENT_UNKNOWN;
}

static void add_part(struct espimage_flash_view *view, const uint8_t *bytes, size_t file_size,
                     struct espimage_part part)
{
    if (part.address < file_size && part.size <= file_size - part.address) {
        part.blank = bytes_all(bytes + part.address, part.size, 0xFF);
        view->parts[view->part_count++] = part;
    }
}

void espimage_flash_parse(const uint8_t *bytes, size_t size, struct espimage_flash_view *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->boot_header, bytes, sizeof out->boot_header);
    out->map = espimage_flash_map_by_code(MAP_CODE(bytes[HEADER_SIZE_FREQ]));
    out->size_agrees = out->map != NULL && out->map->flash_size == size;

    uint32_t end = (uint32_t)size;
    const struct espimage_part parts[] = {
        {ESPIMAGE_PART_BOOT, "bootloader", 0, ESPIMAGE_SECTOR, false},
        {ESPIMAGE_PART_RF_CAL, "RF calibration", end - RF_CAL_FROM_END * ESPIMAGE_SECTOR,
         ESPIMAGE_SECTOR, false},
        {ESPIMAGE_PART_INIT_DATA, "init data", end - INIT_DATA_FROM_END * ESPIMAGE_SECTOR,
         ESPIMAGE_SECTOR, false},
        {ESPIMAGE_PART_PARAMETERS, "system parameters", end - PARAMETERS_FROM_END * ESPIMAGE_SECTOR,
         PARAMETERS_FROM_END * ESPIMAGE_SECTOR, false},
    };
    add_part(out, bytes, size, parts[0]);
    for (unsigned slot = 0; out->map != NULL && out->map->half != 0 && slot < 2; slot++) {
        struct espimage_part part = {ESPIMAGE_PART_SLOT, slot == 0 ? "user1" : "user2",
                                     out->map->slot[slot], out->map->slot_limit, false};
        add_part(out, bytes, size, part);
    }
    for (size_t i = 1; i < sizeof parts / sizeof parts[0]; i++) {
        add_part(out, bytes, size, parts[i]);
    }
}

size_t espimage_slot_image_size(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    espimage_image_parse(bytes, size, &view);
    bool whole = view.extent == ESPIMAGE_EXTENT_CHECKSUM && view.trailing >= CRC_SIZE;
    return whole && view.has_irom ? size - view.trailing + CRC_SIZE : 0;
}

enum espimage_code espimage_boot_patch(uint8_t *bytes, size_t size,
                                       const struct espimage_build_options *options,
                                       struct espimage_error *err)
{
    if (size < HEADER_SIZE || bytes[HEADER_MAGIC] != MAGIC_V1) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "not a bootloader: %zu bytes, first byte %02X", size,
                    size > 0 ? bytes[0] : 0);
        error_wanted(err, "E9 at the start");
        return error_advice(err, "the SDK has it as bin/boot_v1.7.bin or the like");
    }
    if (size > ESPIMAGE_SECTOR) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "not a bootloader: %zu bytes", size);
        error_wanted(err, "at most %u, for user1 begins there", ESPIMAGE_SECTOR);
        return error_advice(err, "the SDK has it as bin/boot_v1.7.bin or the like");
    }
    bytes[HEADER_MODE] = options->flash_mode;
    bytes[HEADER_SIZE_FREQ] = (uint8_t)(options->map->code << 4 | options->flash_freq);
    return ESPIMAGE_OK;
}
