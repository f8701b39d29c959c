/* SPDX-License-Identifier: MIT */
/* RAM segments: what the ROM does with a bootloader, and the bootloader with an image. */
#include "rom.h"

#include <espimage/flash.h>

#include "image/image_format.h"

/* A bootloader or firmware cannot overwrite the ROM's own memory: none of these regions holds it.
 */
static bool in_ram(uint32_t address, uint32_t size)
{
    const struct espimage_region *region = espimage_region_at(address);

    if (region == NULL || region->kind == ESPIMAGE_REGION_IROM) {
        return false;
    }
    return size <= region->largest_size - (address - region->start);
}

static bool load_segment(uint32_t *at, uint8_t *checksum)
{
    if (!flash_holds(*at, HEADER_SIZE)) {
        rom_printf("stand-in: the flash ends within the segments\n");
        return false;
    }
    uint32_t address = flash_u32(*at);
    uint32_t size = flash_u32(*at + 4);

    *at += HEADER_SIZE;
    rom_printf("stand-in: %u bytes to 0x%08x\n", size, address);
    if (!flash_holds(*at, size) || !in_ram(address, size)) {
        rom_printf(
            "stand-in: segment 0x%08x with %u bytes is not within IRAM, DRAM or RTC memory\n",
            address, size);
        return false;
    }
    const uint8_t *from = flash_at(*at);
    for (uint32_t i = 0; i < size; i++) {
        *checksum ^= from[i];
    }
    memcpy((void *)address, from, size);
    *at += size;
    return true;
}

bool load_segments(uint32_t at, uint32_t *entry)
{
    uint8_t checksum = CHECKSUM_INIT;

    if (!flash_holds(at, HEADER_SIZE) || flash_at(at)[HEADER_MAGIC] != MAGIC_V1) {
        rom_printf("stand-in: no header (E9) at flash address 0x%x\n", at);
        return false;
    }
    uint32_t count = flash_at(at)[HEADER_COUNT];
    *entry = flash_u32(at + 4);
    at += HEADER_SIZE;
    while (count-- > 0) {
        if (!load_segment(&at, &checksum)) {
            return false;
        }
    }
    at |= CHECKSUM_LINE - 1;
    if (!flash_holds(at, 1) || *flash_at(at) != checksum) {
        rom_printf("stand-in: the checksum of the segments is 0x%02x, wanted 0x%02x\n", checksum,
                   flash_holds(at, 1) ? *flash_at(at) : 0);
        return false;
    }
    rom_printf("stand-in: checksum 0x%02x\n", checksum);
    return true;
}
