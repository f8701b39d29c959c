/* SPDX-License-Identifier: MIT */
/* What a user of the installed library writes first. */
#include <espimage/espimage.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    char line[ESPIMAGE_ERROR_LINE];
    if (espimage_firmware_from_elf("no ELF", 6, &fw, &err) != ESPIMAGE_ERR_ELF) {
        return 1;
    }
    (void)printf("espimage %s: %s\n", espimage_version(),
                 espimage_error_line(&err, line, sizeof line));
    return strcmp(espimage_version(), ESPIMAGE_VERSION) == 0 ? 0 : 1;
}
