/* SPDX-License-Identifier: MIT */
#include <espimage/flash_image.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/options.h"
#include "image/flash_parts.h"
#include "image/identify.h"
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

/* An image for a slot, with more behind it than belongs to one. */
static bool is_image_at_zero(const uint8_t *bytes, size_t size)
{
    bool image = bytes[0] == MAGIC_V2 && identify_is_image(bytes, size);
    size_t length = image ? espimage_slot_image_size(bytes, size) : 0;
    return length > 0 && length + ESPIMAGE_SECTOR <= size;
}

/* An image for user1, but nothing where a bootloader would be, as `simulate` makes a flash. */
static bool lacks_bootloader(const uint8_t *bytes, size_t size)
{
    return bytes_all(bytes, ESPIMAGE_SECTOR, 0xFF) &&
           identify_is_image(bytes + ESPIMAGE_SECTOR, size - ESPIMAGE_SECTOR);
}

static bool is_flash(const uint8_t *bytes, size_t size)
{
    bool power_of_two = size >= SMALLEST_FLASH && size <= LARGEST_FLASH && (size & (size - 1)) == 0;
    if (size == 0 || size > LARGEST_FLASH) {
        return false;
    }
    return power_of_two ? bytes[0] == MAGIC_V1 || is_image_at_zero(bytes, size) ||
                              lacks_bootloader(bytes, size)
                        : flash_is_partial(bytes, size);
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

size_t flash_parts(const struct espimage_flash_map *map, uint32_t size,
                   struct espimage_part parts[ESPIMAGE_MAX_PARTS])
{
    size_t count = 0;
    parts[count++] =
        (struct espimage_part){ESPIMAGE_PART_BOOT, "bootloader", 0, ESPIMAGE_SECTOR, false};
    for (size_t slot = 0; map != NULL && map->half != 0 && slot < 2; slot++) {
        parts[count++] = (struct espimage_part){ESPIMAGE_PART_SLOT, slot == 0 ? "user1" : "user2",
                                                map->slot[slot], map->slot_limit, false};
    }
    const struct espimage_part top[] = {
        {ESPIMAGE_PART_RF_CAL, "RF calibration", size - RF_CAL_FROM_END * ESPIMAGE_SECTOR,
         ESPIMAGE_SECTOR, false},
        {ESPIMAGE_PART_INIT_DATA, "init data", size - INIT_DATA_FROM_END * ESPIMAGE_SECTOR,
         ESPIMAGE_SECTOR, false},
        {ESPIMAGE_PART_PARAMETERS, "system parameters",
         size - PARAMETERS_FROM_END * ESPIMAGE_SECTOR, PARAMETERS_FROM_END * ESPIMAGE_SECTOR,
         false},
    };
    memcpy(&parts[count], top, sizeof top);
    return count + sizeof top / sizeof top[0];
}

/* Of the parts that the SDK's layout has, those of another one. */
static bool has_part(enum espimage_flash_layout layout, enum espimage_part_kind kind)
{
    switch (kind) {
    case ESPIMAGE_PART_SLOT: return layout == ESPIMAGE_FLASH_SDK;
    case ESPIMAGE_PART_BOOT:
        return layout != ESPIMAGE_FLASH_NO_BOOT && layout != ESPIMAGE_FLASH_AT_ZERO;
    case ESPIMAGE_PART_RF_CAL:
    case ESPIMAGE_PART_INIT_DATA:
    case ESPIMAGE_PART_PARAMETERS: break;
    }
    return layout != ESPIMAGE_FLASH_RTOS3;
}

/* False when it is outside of the file. Slots end with the file, the others are one sector or few.
 */
static bool cut_part(struct espimage_part *part, size_t size)
{
    if (part->address >= size) {
        return false;
    }
    size_t left = size - part->address;
    if (part->kind == ESPIMAGE_PART_SLOT && part->size > left) {
        part->size = (uint32_t)left;
    }
    return part->size <= left;
}

void espimage_flash_parse(const uint8_t *bytes, size_t size, struct espimage_flash_view *out)
{
    struct espimage_part parts[ESPIMAGE_MAX_PARTS];
    memset(out, 0, sizeof *out);
    memcpy(out->boot_header, bytes, sizeof out->boot_header);
    out->map = espimage_flash_map_by_code(MAP_CODE(bytes[HEADER_SIZE_FREQ]));
    out->layout = flash_layout(bytes, size);
    bool no_header = bytes[HEADER_MAGIC] != MAGIC_V1;
    if (no_header) { /* then the image's names it: at 0, or in user1 */
        struct espimage_image_view view;
        size_t at = out->layout == ESPIMAGE_FLASH_AT_ZERO ? 0 : ESPIMAGE_SECTOR;
        espimage_image_parse(bytes + at, size - at, &view);
        out->map = espimage_flash_map_by_code(MAP_CODE(view.inner[HEADER_SIZE_FREQ]));
    }
    out->size_agrees = out->map != NULL && out->map->flash_size == size;

    uint32_t flash_size = out->map != NULL ? out->map->flash_size : (uint32_t)size;
    size_t count = flash_parts(out->map, flash_size, parts);
    for (size_t i = 0; i < count; i++) {
        if (has_part(out->layout, parts[i].kind) && cut_part(&parts[i], size)) {
            parts[i].blank = bytes_all(bytes + parts[i].address, parts[i].size, 0xFF);
            out->parts[out->part_count++] = parts[i];
        }
    }
    flash_find_images(bytes, size, out);
}

size_t espimage_slot_image_size(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    espimage_image_parse(bytes, size, &view);
    bool whole = view.extent == ESPIMAGE_EXTENT_CHECKSUM && view.trailing >= CRC_SIZE;
    return whole && view.has_irom ? size - view.trailing + CRC_SIZE : 0;
}

/* Without the 0xFF at the end. */
static size_t size_used(const uint8_t *bytes, size_t size)
{
    while (size > 0 && bytes[size - 1] == 0xFF) {
        size--;
    }
    return size;
}

/* Up to its checksum, which may be FF, and whatever is behind that. */
static size_t boot_size(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    size_t used = size_used(bytes, size);
    if (bytes[HEADER_MAGIC] == MAGIC_V1 && bytes[HEADER_COUNT] == 0 && used <= BOOT_STAND_IN_SIZE) {
        return 0;
    }
    espimage_image_parse(bytes, size, &view);
    size_t structure = view.extent == ESPIMAGE_EXTENT_CHECKSUM ? size - view.trailing : 0;
    return structure > used ? structure : used;
}

size_t espimage_part_content_size(const uint8_t *bytes, const struct espimage_part *part)
{
    const uint8_t *start = bytes + part->address;
    if (part->blank) {
        return 0;
    }
    switch (part->kind) {
    case ESPIMAGE_PART_BOOT: return boot_size(start, part->size);
    case ESPIMAGE_PART_SLOT: return espimage_slot_image_size(start, part->size);
    case ESPIMAGE_PART_INIT_DATA:
        return size_used(start, part->size) <= ESPIMAGE_INIT_DATA_SIZE ? ESPIMAGE_INIT_DATA_SIZE
                                                                       : part->size;
    case ESPIMAGE_PART_RF_CAL:
    case ESPIMAGE_PART_PARAMETERS: break;
    }
    return part->size;
}

enum espimage_code boot_check(const uint8_t *bytes, size_t size, struct espimage_error *err)
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
    return ESPIMAGE_OK;
}

enum espimage_code espimage_boot_patch(uint8_t *bytes, size_t size,
                                       const struct espimage_build_options *given,
                                       struct espimage_error *err)
{
    struct espimage_build_options options = ESPIMAGE_BUILD_OPTIONS_INIT;
    enum espimage_code code = OPTIONS_COPY(&options, given, err);
    if (code == ESPIMAGE_OK) {
        code = boot_check(bytes, size, err);
    }
    if (code == ESPIMAGE_OK) {
        bytes[HEADER_MODE] = options.flash_mode;
        bytes[HEADER_SIZE_FREQ] = (uint8_t)(options.map->code << 4 | options.flash_freq);
    }
    return code;
}
