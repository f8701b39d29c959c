/* SPDX-License-Identifier: MIT */
/* The chip's memories: the only home of these addresses. */
#include "image/chip.h"

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

const uint32_t chip_old_boot_offsets[CHIP_OLD_BOOT_OFFSETS] = {0x11000, 0x51000, 0x91000};

/* Memories of ESP32, S2, S3, C2, C3, C6 and H2 at addresses where the ESP8266 has nothing that a
 * program can be linked to: their technical reference manuals, address mapping. */
static const struct {
    uint32_t start;
    uint32_t end;
} esp32_regions[] = {
    {0x3C000000, 0x3FE00000}, /* data in flash; DRAM of C2, C3, S3 */
    {0x3FFA0000, 0x3FFE0000}, /* DRAM of ESP32, S2 */
    {0x40020000, 0x400F0000}, /* IRAM of ESP32, S2; code in flash */
    {0x40370000, 0x403E0000}, /* IRAM of C2, C3, S3 */
    {0x40800000, 0x40880000}, /* RAM of C6, H2 */
    {0x50000000, 0x50004000}, /* RTC slow memory */
    {0x42000000, 0x44000000}, /* code in flash of C2, C3, C6, H2, S3 */
};

bool chip_is_esp32_address(uint32_t address)
{
    for (size_t i = 0; i < sizeof esp32_regions / sizeof esp32_regions[0]; i++) {
        if (address >= esp32_regions[i].start && address < esp32_regions[i].end) {
            return true;
        }
    }
    return false;
}
