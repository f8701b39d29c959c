/* SPDX-License-Identifier: MIT */
/* Makes firmwares from sections, without an ELF. */
#ifndef SUPPORT_FIRMWARE_BUILDER_H
#define SUPPORT_FIRMWARE_BUILDER_H

#include "support/random.h"

#include <espimage/verify.h>

/* Content for sections; long enough for every memory. */
#define CONTENT_SIZE 0x110000U
const uint8_t *content(void);

/* A section at an address; `bytes` NULL: like .bss. */
struct espimage_section section(const char *name, uint32_t address, uint32_t size,
                                const uint8_t *bytes);

/* The test fails when the sections are refused. */
espimage_firmware *firmware(uint32_t entry, const struct espimage_section *sections, size_t count);

/* .data 3 bytes, .text 6 bytes with the entry, irom 5 bytes, linked at `irom`; 0: no irom. */
espimage_firmware *firmware_tiny(uint32_t irom);

/* .text of 64 bytes, and irom at `irom` of just the size that makes the sdk image `size` long. */
espimage_firmware *firmware_of_image_size(uint32_t irom, uint32_t size);

/* .text of 64 bytes, irom of `size` blank bytes at `irom`, and in .rodata `words` addresses in a
 * flash part that would be linked at `points_to`. */
espimage_firmware *firmware_pointing(uint32_t irom, uint32_t size, uint32_t words,
                                     uint32_t points_to);

/* Profile sdk, map 1MB, app 1, QIO, 40 MHz. */
struct espimage_build_options options_usual(void);

/* The image, which must be built. */
struct espimage_bytes image(const espimage_firmware *fw,
                            const struct espimage_build_options *options);

/* What espimage_verify() reports; freed by the caller. */
espimage_report *verified(const uint8_t *bytes, size_t size,
                          const struct espimage_verify_options *options);
bool accepted(const espimage_report *report, enum espimage_consumer consumer);

/* Writes the CRC of the bytes before it into the last four. */
void seal(uint8_t *bytes, size_t size);

#endif
