/* SPDX-License-Identifier: MIT */
/* What the second-stage bootloader does, in its words; written from its observed behaviour.
 *
 * Not imitated: its record of which slot to boot (see device/parameters.h), and the reset before
 * the second slot is tried. */
#include "rom.h"

#include <espimage/flash.h>

#include "device/parameters.h"
#include "image/image_format.h"

#define KB 1024u

static const struct espimage_flash_map *find_map(void)
{
    uint32_t code = settings->map_code;

    if (code == MAP_FROM_HEADER) {
        if (!flash_holds(0, HEADER_SIZE) || *flash_at(0) != MAGIC_V1) {
            rom_printf("stand-in: no header at flash address 0 that tells the flash map\n");
            return NULL;
        }
        code = MAP_CODE(flash_at(0)[HEADER_SIZE_FREQ]);
    }
    const struct espimage_flash_map *map = espimage_flash_map_by_code((uint8_t)code);
    if (map == NULL || map->half == 0) {
        rom_printf("stand-in: flash map %u has no slots\n", code);
        return NULL;
    }
    if (map->flash_size > settings->flash_size) {
        rom_printf("stand-in: flash map %s is for %u KB, the flash has %u KB\n", map->name,
                   map->flash_size / KB, settings->flash_size / KB);
        return NULL;
    }
    return map;
}

static uint32_t crc32(const uint8_t *bytes, uint32_t size)
{
    uint32_t crc = 0xFFFFFFFF;

    for (uint32_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
        }
    }
    return ~crc;
}

static bool record_is_valid(uint32_t at)
{
    uint32_t slot = flash_u32(at + PARAMETERS_SLOT);

    return memcmp(flash_at(at), PARAMETERS_MAGIC, strlen(PARAMETERS_MAGIC)) == 0 &&
           crc32(flash_at(at), PARAMETERS_CRC) == flash_u32(at + PARAMETERS_CRC) &&
           (slot == 1 || slot == 2);
}

/* Which of the two slots to boot, 0 or 1. */
static uint32_t recorded_slot(const struct espimage_flash_map *map)
{
    const uint32_t from_end[] = {PARAMETERS_FIRST_FROM_END, PARAMETERS_SECOND_FROM_END};
    uint32_t sequence = 0;
    uint32_t slot = 1;

    for (int i = 0; i < 2; i++) {
        uint32_t at = map->flash_size - from_end[i];
        if (record_is_valid(at) && flash_u32(at + PARAMETERS_SEQUENCE) > sequence) {
            sequence = flash_u32(at + PARAMETERS_SEQUENCE);
            slot = flash_u32(at + PARAMETERS_SLOT);
        }
    }
    return slot - 1;
}

/* The flash address behind the irom part, or 0. The irom bytes themselves are not checked. */
static uint32_t after_irom(uint32_t at)
{
    const uint8_t *header = flash_at(at);

    if ((header[HEADER_MAGIC] != MAGIC_V2 && header[HEADER_MAGIC] != MAGIC_V1) ||
        header[HEADER_COUNT] != SECOND_BYTE) {
        rom_printf("error magic!\n");
        return 0;
    }
    uint32_t size = flash_u32(at + HEADER_SIZE + 4);
    if (size % IROM_ALIGN != 0 || !flash_holds(at + IROM_OFFSET, size)) {
        rom_printf("stand-in: an irom part of 0x%x bytes cannot be\n", size);
        return 0;
    }
    return at + IROM_OFFSET + size;
}

static void try_slot(const struct espimage_flash_map *map, uint32_t slot)
{
    uint32_t at = map->slot[slot];
    uint32_t entry;

    rom_printf("jump to run user%u @ %x\n\n", slot + 1, at);
    uint32_t segments = after_irom(at);
    if (segments == 0 || !load_segments(segments, &entry)) {
        return;
    }
    window_show(espimage_flash_map_is_windowed(map) ? at / map->half : 0);
    enter(entry);
}

void boot(void)
{
    rom_printf("\n2nd boot version : stand-in of espimagetool\n");
    const struct espimage_flash_map *map = find_map();
    if (map == NULL) {
        leave(STATUS_BAD_FLASH);
    }
    rom_printf("  SPI Flash Size & Map: %s (%uKB+%uKB)\n", map->name, map->half / KB,
               map->half / KB);
    uint32_t slot = recorded_slot(map);
    try_slot(map, slot);
    rom_printf("first boot failed, reboot to try backup bin\n\n");
    try_slot(map, 1 - slot);
    rom_printf("backup boot failed.\n");
    leave(STATUS_BOOT_FAILED);
}
