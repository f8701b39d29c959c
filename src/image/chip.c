/* SPDX-License-Identifier: MIT */
/* The chip's memories: the only home of these addresses. */
#include <espimage/flash.h>

/* irom reaches past the window, over all the flash that a linker script can name (16 MB), so that
 * an ELF linked out there is recognised and refused with the reason. DRAM, IRAM and window: the
 * SDK's linker scripts. RTC: 0x200 bytes for the system and 0x200 for the user (eagle_soc.h of
 * ESP8266_RTOS_SDK). */
static const struct espimage_region regions[ESPIMAGE_REGION_COUNT] = {
    {ESPIMAGE_REGION_DRAM, "DRAM", 0x3FFE8000, 0x14000, 0x14000},
    {ESPIMAGE_REGION_IRAM, "IRAM", 0x40100000, 0x8000, 0xC000},
    {ESPIMAGE_REGION_IROM, "irom", ESPIMAGE_WINDOW_START, 0x100000, 0x1000000},
    {ESPIMAGE_REGION_RTC, "RTC", 0x60001000, 0x400, 0x400},
};

const struct espimage_region *espimage_region(enum espimage_region_kind kind)
{
    return &regions[kind];
}

const struct espimage_region *espimage_region_at(uint32_t address)
{
    for (size_t i = 0; i < ESPIMAGE_REGION_COUNT; i++) {
        if (address >= regions[i].start && address - regions[i].start < regions[i].largest_size) {
            return &regions[i];
        }
    }
    return NULL;
}
