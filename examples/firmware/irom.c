/* SPDX-License-Identifier: MIT */
/* The part of the firmware that runs from flash. */

#include "firmware.h"

/* CRC-32 (zlib's), four bits at a time. */
static const uint32_t crc_table[16] IROM_DATA = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};

/* Gives irom a length that differs between layouts and is no multiple of 16 in most. */
static const char name[] IROM_DATA __attribute__((aligned(4), used)) = "example firmware " LAYOUT;

/* Tells `espimagetool simulate`, and whoever looks into an image, which build it is. */
#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
static const char build_tag[] IROM_DATA __attribute__((aligned(4), used)) =
    "espimagetool-build=" TEXT(BUILD);

/* Reads whole words, because the chip cannot read single bytes from flash. */
IROM_CODE static uint32_t crc32_words(const uint32_t *word, const uint32_t *end)
{
    uint32_t crc = 0xFFFFFFFF;

    for (; word < end; word++) {
        crc ^= *word;
        for (int nibble = 0; nibble < 8; nibble++) {
            crc = crc_table[crc & 15] ^ (crc >> 4);
        }
    }
    return ~crc;
}

IROM_CODE void report(void)
{
    put_text("firmware: build %u\n", BUILD);
    put_text("firmware: layout " LAYOUT "\n", 0);
    put_text("firmware: entry 0x%x\n", (uint32_t)firmware_start);
    put_text("firmware: report() 0x%x\n", (uint32_t)report);
    put_text("firmware: irom 0x%x", (uint32_t)_irom0_start);
    put_text(" bytes %u", (uint32_t)_irom0_end - (uint32_t)_irom0_start);
    put_text(" crc32 0x%x\n", crc32_words(_irom0_start, _irom0_end));
    put_text("firmware: data 0x%x", data_mark);
    put_text(" bss 0x%x\n", bss_content());
    put_text("firmware: end\n", 0);
}
