/* SPDX-License-Identifier: MIT */
/* simulate --resets: what a bootloader makes of a flash, reset by reset. */
#ifndef CLI_SIMULATE_RESETS_H
#define CLI_SIMULATE_RESETS_H

#include "cli/simulate_flash.h"

/* Resets a device `count` times; RTC memory is kept, and the flash file is written as the chip
 * would write it. Prints a line for each, or a document in JSON; what the bootloader says goes to
 * stderr. Returns the exit status: 0 when the last reset runs something. */
int simulate_resets(struct simulate_flash *flash, uint32_t count, bool json);

#endif
