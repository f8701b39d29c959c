/* SPDX-License-Identifier: MIT */
/* How outputs are called. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <espimage/error.h>
#include <limits.h>

/* "FOLDER/NAME"; NAME alone when the folder is "". ESPIMAGE_ERR_CREATE when it is too long. */
enum espimage_code path_join(char path[PATH_MAX], const char *folder, const char *name,
                             struct espimage_error *err);

/* "STEM-KIND.bin" in that folder for "STEM.elf"; beside the ELF when `folder` is NULL. */
enum espimage_code path_of_image(char path[PATH_MAX], const char *folder, const char *elf,
                                 const char *kind, struct espimage_error *err);

#endif
