/* SPDX-License-Identifier: MIT */
#include "store/elf_file.h"

#include "base/error.h"

#include <string.h>

enum espimage_code elf_file_parse(const char *path, const struct file_bytes *bytes,
                                  struct elf_file *out, struct espimage_error *err)
{
    memset(out, 0, sizeof *out);
    if (espimage_firmware_from_elf(bytes->data, bytes->size, &out->firmware, err) != ESPIMAGE_OK) {
        return error_in_file(err, path);
    }
    out->path = path;
    out->size = bytes->size;
    out->status = bytes->status;
    espimage_classify(out->firmware, &out->link);
    return ESPIMAGE_OK;
}

enum espimage_code elf_file_load(const char *path, struct elf_file *out, struct espimage_error *err)
{
    struct file_bytes bytes;
    enum espimage_code code = file_read(path, INPUT_LIMIT, &bytes, err);

    memset(out, 0, sizeof *out);
    if (code == ESPIMAGE_OK) {
        code = elf_file_parse(path, &bytes, out, err);
        file_bytes_free(&bytes);
    }
    return code;
}

void elf_file_free(struct elf_file *file)
{
    espimage_firmware_free(file->firmware);
    file->firmware = NULL;
}
