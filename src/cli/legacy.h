/* SPDX-License-Identifier: MIT */
/* ESPImageTool's command lines, which name no command:
 *
 *     --OTA 8888 app1.elf app2.elf          serves, and ends after the first download
 *     app.elf --size 8m --boot boot.bin     converts; a no-boot ELF becomes its two files
 */
#ifndef CLI_LEGACY_H
#define CLI_LEGACY_H

#include <stdbool.h>

/* When argv is one of them, *status becomes the exit status of having run it. */
bool legacy_run(int argc, char **argv, int *status);

#endif
