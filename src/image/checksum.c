/* SPDX-License-Identifier: MIT */
/* The only file that includes zlib. */
#include "image/checksum.h"

#include <string.h>
#include <zlib.h>

uint8_t checksum_xor(uint8_t sum, const uint8_t *bytes, size_t size)
{
    uint64_t wide = 0;
    for (; size >= sizeof wide; size -= sizeof wide, bytes += sizeof wide) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        wide ^= word;
    }
    for (; wide != 0; wide >>= 8) {
        sum ^= (uint8_t)wide;
    }
    for (; size > 0; size--, bytes++) {
        sum ^= *bytes;
    }
    return sum;
}

uint32_t checksum_crc32(const uint8_t *bytes, size_t size)
{
    return checksum_crc32_more(0, bytes, size);
}

uint32_t checksum_crc32_more(uint32_t crc, const uint8_t *bytes, size_t size)
{
    return (uint32_t)crc32_z(crc, bytes, size);
}

uint32_t checksum_device_crc(uint32_t crc)
{
    return (crc & UINT32_C(0x80000000)) != 0 ? ~crc : crc + 1;
}
