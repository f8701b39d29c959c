/* SPDX-License-Identifier: MIT */
/* What a bootloader prints on the serial port, in its own words, without the blank lines. */
#ifndef DEVICE_BOOT_WORDS_H
#define DEVICE_BOOT_WORDS_H

#include "device/boot.h"

/* A line, without its end. */
typedef void boot_say(void *context, const char *line);

/* Its version, and the flash settings in the header at 0. */
void boot_say_settings(const struct boot_chip *chip, uint8_t flash_mode, uint8_t flash_freq,
                       boot_say *say, void *context);

/* What it does at a reset. */
void boot_say_step(const struct boot_chip *chip, const struct boot_step *step, boot_say *say,
                   void *context);

#endif
