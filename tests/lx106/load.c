/* SPDX-License-Identifier: MIT */
/* RAM segments: what the ROM does with a bootloader, and the bootloader with an image. */
#include "rom.h"

#include <espimage/flash.h>

#include "image/image_format.h"

/* Where the second-stage bootloader is while it loads an image: code and data. */
static const struct {
    uint32_t start, end;
} bootloader[] = {{0x40100000, 0x40101000}, {0x3FFE8000, 0x3FFE8600}};

static bool covers_bootloader(uint32_t address, uint32_t size)
{
    for (int i = 0; i < 2; i++) {
        if (address < bootloader[i].end && size > 0 && address + size > bootloader[i].start) {
            return true;
        }
    }
    return false;
}

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

/* A segment that cannot be loaded ends the chip's loader in an exception, wherever it is. */
static bool load_segment(uint32_t *at, uint8_t *checksum, struct program *program)
{
    if (!flash_holds(*at, HEADER_SIZE)) {
        rom_printf("stand-in: the flash ends within the segments\n");
        program->covers_bootloader = true;
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
        program->covers_bootloader = true;
        return false;
    }
    const uint8_t *from = flash_at(*at);
    for (uint32_t i = 0; i < size; i++) {
        *checksum ^= from[i];
    }
    memcpy((void *)address, from, size);
    program->covers_bootloader |= covers_bootloader(address, size);
    *at += size;
    return true;
}

enum load load_segments(uint32_t header, struct program *program)
{
    uint8_t checksum = CHECKSUM_INIT;
    uint32_t at = header + HEADER_SIZE;

    if (!flash_holds(header, HEADER_SIZE) || flash_at(header)[HEADER_MAGIC] != MAGIC_V1) {
        rom_printf("stand-in: no header (E9) at flash address 0x%x\n", header);
        return LOAD_NO_HEADER;
    }
    uint32_t count = flash_at(header)[HEADER_COUNT];
    program->entry = flash_u32(header + 4);
    program->covers_bootloader = count == 0; /* observed: it crashes, too */
    while (count-- > 0) {
        if (!load_segment(&at, &checksum, program)) {
            return LOAD_BROKEN;
        }
    }
    at = header + ((at - header) | (CHECKSUM_LINE - 1));
    if (!flash_holds(at, 1) || *flash_at(at) != checksum) {
        rom_printf("stand-in: the checksum of the segments is 0x%02x, wanted 0x%02x\n", checksum,
                   flash_holds(at, 1) ? *flash_at(at) : 0);
        return LOAD_BROKEN;
    }
    rom_printf("stand-in: checksum 0x%02x\n", checksum);
    return LOADED;
}
