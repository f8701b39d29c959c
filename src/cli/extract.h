/* SPDX-License-Identifier: MIT */
/* The parts of a flash dump as files. */
#ifndef CLI_EXTRACT_H
#define CLI_EXTRACT_H

#include <espimage/flash_image.h>
#include <limits.h>

#include "base/file.h"

/* "FOLDER/init-data.bin": what the file of a part is called. */
enum espimage_code extract_path(char path[PATH_MAX], const char *folder,
                                const struct espimage_part *part, struct espimage_error *err);

/* Writes each part with content into the folder, which must be there. A file that is there already
 * with other content is refused, before anything is written. */
enum espimage_code extract_parts(const struct file_bytes *dump,
                                 const struct espimage_flash_view *flash, const char *folder,
                                 struct espimage_error *err);

#endif
