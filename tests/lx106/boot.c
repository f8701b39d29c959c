/* SPDX-License-Identifier: MIT */
/* What the second-stage bootloader does, in its words; written from its observed behaviour.
 *
 * Not imitated: what it writes to the parameters, and the reset before the second slot is tried. */
#include "rom.h"

#include <espimage/flash.h>
#include <espimage/parameters.h>

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

/* Which of the two slots to boot, 0 or 1, as boot 1.6 chooses it. */
static uint32_t chosen_slot(const struct espimage_flash_map *map)
{
    static uint8_t head[ESPIMAGE_RECORD_HEAD];
    struct espimage_record record;
    uint32_t at = espimage_parameters_address(map->flash_size);
    bool first = *flash_at(at + ESPIMAGE_SELECTOR_OFFSET) == 0;

    at += ESPIMAGE_COPY_OFFSET(first ? ESPIMAGE_COPY_A : ESPIMAGE_COPY_B);
    memcpy(head, flash_at(at), sizeof head);
    espimage_record_parse(head, &record);
    return espimage_boot_choose(ESPIMAGE_BOOT_1_6, &record).slot == 2 ? 1 : 0;
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
    uint32_t slot = chosen_slot(map);
    try_slot(map, slot);
    rom_printf("first boot failed, reboot to try backup bin\n\n");
    try_slot(map, 1 - slot);
    rom_printf("backup boot failed.\n");
    leave(STATUS_BOOT_FAILED);
}
