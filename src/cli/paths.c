/* SPDX-License-Identifier: MIT */
#include "cli/paths.h"

#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

static enum espimage_code check_length(int length, struct espimage_error *err)
{
    if (length < 0 || length >= PATH_MAX) {
        return error_found(err, ESPIMAGE_ERR_CREATE, "the name of the output is too long");
    }
    return ESPIMAGE_OK;
}

static const char *slash_after(const char *folder)
{
    return folder[0] == '\0' || strcmp(file_name(folder), "") == 0 ? "" : "/";
}

enum espimage_code path_join(char path[PATH_MAX], const char *folder, const char *name,
                             struct espimage_error *err)
{
    return check_length(snprintf(path, PATH_MAX, "%s%s%s", folder, slash_after(folder), name), err);
}

enum espimage_code path_of_image(char path[PATH_MAX], const char *folder, const char *elf,
                                 const char *kind, struct espimage_error *err)
{
    const char *name = file_name(elf);
    const char *dot = strrchr(name, '.');
    int stem = dot != NULL && dot != name ? (int)(dot - name) : (int)strlen(name);
    if (folder == NULL) {
        return check_length(
            snprintf(path, PATH_MAX, "%.*s%.*s-%s.bin", (int)(name - elf), elf, stem, name, kind),
            err);
    }
    return check_length(
        snprintf(path, PATH_MAX, "%s%s%.*s-%s.bin", folder, slash_after(folder), stem, name, kind),
        err);
}
