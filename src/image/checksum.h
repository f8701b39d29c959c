/* SPDX-License-Identifier: MIT */
/* The two sums of the format. */
#ifndef IMAGE_CHECKSUM_H
#define IMAGE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* `sum` XOR every byte. */
uint8_t checksum_xor(uint8_t sum, const uint8_t *bytes, size_t size);

/* The ordinary CRC-32. */
uint32_t checksum_crc32(const uint8_t *bytes, size_t size);

/* The same, continued: `crc` is that of the bytes before, 0 at the start. */
uint32_t checksum_crc32_more(uint32_t crc, const uint8_t *bytes, size_t size);

/* What the format stores for an ordinary CRC-32 `crc`: the absolute value of the CRC register
 * before its final inversion, which is how the device computes it. */
uint32_t checksum_device_crc(uint32_t crc);

#endif
