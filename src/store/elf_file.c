/* SPDX-License-Identifier: MIT */
#include "store/elf_file.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

enum espimage_code elf_file_load(const char *path, struct elf_file *out, struct espimage_error *err)
{
    struct file_bytes bytes;
    enum espimage_code code = file_read(path, INPUT_LIMIT, &bytes, err);

    memset(out, 0, sizeof *out);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    code = espimage_firmware_from_elf(bytes.data, bytes.size, &out->firmware, err);
    if (code == ESPIMAGE_OK) {
        out->path = path;
        out->size = bytes.size;
        out->status = bytes.status;
        espimage_classify(out->firmware, &out->link);
    }
    file_bytes_free(&bytes);
    return code == ESPIMAGE_OK ? code : error_in_file(err, path);
}

void elf_file_free(struct elf_file *file)
{
    espimage_firmware_free(file->firmware);
    file->firmware = NULL;
}
