/* SPDX-License-Identifier: MIT */
#include "cli/extract.h"

#include "base/error.h"
#include "base/file_write.h"
#include "cli/paths.h"

#include <stdio.h>
#include <string.h>

enum espimage_code extract_path(char path[PATH_MAX], const char *folder,
                                const struct espimage_part *part, struct espimage_error *err)
{
    char name[40];
    (void)snprintf(name, sizeof name, "%s.bin", part->name);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == ' ') {
            *c = '-';
        } else if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + ('a' - 'A'));
        }
    }
    return path_join(path, folder, name, err);
}

/* The same bytes again do no harm. */
static enum espimage_code check_free(const char *path, const uint8_t *data, size_t size,
                                     struct espimage_error *err)
{
    struct stat status;
    struct file_bytes old;
    if (lstat(path, &status) != 0) {
        return ESPIMAGE_OK;
    }
    bool same = file_read(path, size, &old, err) == ESPIMAGE_OK;
    if (same) {
        same = old.size == size && memcmp(old.data, data, size) == 0;
        file_bytes_free(&old);
    }
    if (same) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_CREATE, "is there already, with other content");
    error_advice(err, "remove it, or extract into another folder");
    return error_in_file(err, path);
}

/* Goes through the parts: first to check, then to write. */
static enum espimage_code each_part(const struct file_bytes *dump,
                                    const struct espimage_flash_view *flash, const char *folder,
                                    bool write, struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t i = 0; i < flash->part_count && code == ESPIMAGE_OK; i++) {
        const struct espimage_part *part = &flash->parts[i];
        const uint8_t *data = dump->data + part->address;
        size_t size = espimage_part_content_size(dump->data, part);
        char path[PATH_MAX];
        if (size == 0) {
            continue;
        }
        code = extract_path(path, folder, part, err);
        if (code == ESPIMAGE_OK) {
            code = write ? file_write(path, data, size, err) : check_free(path, data, size, err);
        }
    }
    return code;
}

enum espimage_code extract_parts(const struct file_bytes *dump,
                                 const struct espimage_flash_view *flash, const char *folder,
                                 struct espimage_error *err)
{
    enum espimage_code code = each_part(dump, flash, folder, false, err);
    return code == ESPIMAGE_OK ? each_part(dump, flash, folder, true, err) : code;
}
