/* SPDX-License-Identifier: MIT */
/* Addresses that name what a file was made for. */
#ifndef IMAGE_CHIP_H
#define IMAGE_CHIP_H

#include <espimage/flash.h>

/* Where the linker scripts of the old layout (eagle.app.v6.old.*.ld) put irom, from the start of
 * the window. */
#define CHIP_OLD_BOOT_OFFSETS 3
extern const uint32_t chip_old_boot_offsets[CHIP_OLD_BOOT_OFFSETS];

/* In a memory that chips of the ESP32 family have and the ESP8266 has not. */
bool chip_is_esp32_address(uint32_t address);

#endif
