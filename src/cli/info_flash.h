/* SPDX-License-Identifier: MIT */
/* What info shows of a flash dump. */
#ifndef CLI_INFO_FLASH_H
#define CLI_INFO_FLASH_H

#include <espimage/flash_image.h>
#include <jansson.h>

struct info_flash {
    const uint8_t *bytes;
    size_t size;
    const char *extracted_to; /* folder; NULL: none */
    bool secrets;             /* with names and passwords of networks */
};

/* Goes on behind the name of the file, without a line feed before. */
void info_flash_text(const struct info_flash *dump, const struct espimage_flash_view *flash);

/* A new reference. */
json_t *info_flash_json(const struct info_flash *dump, const struct espimage_flash_view *flash);

#endif
