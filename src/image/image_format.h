/* SPDX-License-Identifier: MIT */
/* The image of the new bootloader (boot 1.2 and later), as Espressif's own released images have it:
 *
 *      0  EA 04 b2 b3  entry        outer header; b2 b3: 0 and the app number, or flash settings
 *      8  00000000     L            irom header: load address 0, length
 *     16  L bytes                   irom, zero-padded to a multiple of 16
 *   16+L  E9 N mode size/freq  entry      inner header
 *         N times: address, length, bytes zero-padded to a multiple of 4
 *         zeros up to the last byte of a 16-byte line, then
 *         checksum                  1 byte: EF xor every byte of every RAM segment
 *         CRC                       4 bytes, over all before it
 *
 * A v1 image (no bootloader) is the inner header, its segments and the checksum alone. All fields
 * are little-endian. The second byte 04 is a constant that the bootloader compares, not a count.
 */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H

#include <stdint.h>

#define MAGIC_V2    0xEA
#define MAGIC_V1    0xE9
#define SECOND_BYTE 0x04
#define HEADER_SIZE UINT32_C(8)
#define IROM_OFFSET UINT32_C(16)
/* In the old layout: a v1 image at the start of the slot, FF, and the flash part from here on. */
#define OLD_IROM_OFFSET UINT32_C(0x10000)
#define IROM_ALIGN      UINT32_C(16)
#define SEGMENT_ALIGN   UINT32_C(4)
#define CHECKSUM_LINE   UINT32_C(16)
#define CHECKSUM_INIT   0xEF
#define CRC_SIZE        UINT32_C(4)

/* Bytes of a header. */
enum { HEADER_MAGIC, HEADER_COUNT, HEADER_MODE, HEADER_SIZE_FREQ };
#define HEADER_APP HEADER_SIZE_FREQ

#define MAP_CODE(size_freq)  ((uint8_t)((size_freq) >> 4))
#define FREQ_CODE(size_freq) ((uint8_t)((size_freq)&0x0F))

#endif
