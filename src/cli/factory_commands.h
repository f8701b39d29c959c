/* SPDX-License-Identifier: MIT */
/* The commands that write to a chip what `factory` writes to a file, and the files for them. */
#ifndef CLI_FACTORY_COMMANDS_H
#define CLI_FACTORY_COMMANDS_H

#include "cli/factory_inputs.h"

#include <limits.h>

/* What `convert` calls the file for a part, or the input that goes there as it is. Without an ELF
 * that is the bootloader too: esptool.py sets the flash settings in what it writes to 0. */
enum espimage_code factory_part_file(const struct factory_inputs *in,
                                     const struct espimage_flash_plan *plan, size_t index,
                                     char path[PATH_MAX], struct espimage_error *err);

/* Adds them to `lines`, each an array of words. */
enum espimage_code factory_commands_make(const struct factory_inputs *in,
                                         const struct espimage_flash_plan *plan, json_t *lines,
                                         struct espimage_error *err);
/* For people, quoted for a shell. */
void factory_commands_print(const json_t *lines);

#endif
