/* SPDX-License-Identifier: MIT */
#include "cli/advice.h"

#include <stdio.h>
#include <string.h>

const char *advice_means(enum espimage_advice advice)
{
    switch (advice) {
    case ESPIMAGE_ADVICE_TEXT: break;
    case ESPIMAGE_ADVICE_FLASH_MAP: return " (--flash-size); see: espimagetool maps";
    case ESPIMAGE_ADVICE_MATCH_MAP: return " (--flash-size)";
    case ESPIMAGE_ADVICE_NO_BOOT: return " (convert --no-boot)";
    case ESPIMAGE_ADVICE_RBOOT: return " (--profile rboot)";
    case ESPIMAGE_ADVICE_EVERY_RULE: return " (espimagetool verify)";
    }
    return "";
}

char *error_line(const struct espimage_error *err, char *line, size_t size)
{
    size_t used = strlen(espimage_error_line(err, line, size));
    (void)snprintf(line + used, size - used, "%s", advice_means(err->advice_code));
    return line;
}
