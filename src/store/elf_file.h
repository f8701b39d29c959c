/* SPDX-License-Identifier: MIT */
/* An ELF file on disk, read and classified. */
#ifndef STORE_ELF_FILE_H
#define STORE_ELF_FILE_H

#include <espimage/classify.h>

#include "base/file.h"

/* Larger than any ELF with debug information for this chip that makes sense. */
#define INPUT_LIMIT ((size_t)256 << 20)

struct elf_file {
    const char *path;            /* borrowed */
    espimage_firmware *firmware; /* owned */
    struct espimage_link link;
    size_t size;
    struct stat status;
};

/* Errors name the path. After a failure there is nothing to free. */
enum espimage_code elf_file_load(const char *path, struct elf_file *out,
                                 struct espimage_error *err);
/* The same of a file that was read already; its bytes are not kept. */
enum espimage_code elf_file_parse(const char *path, const struct file_bytes *bytes,
                                  struct elf_file *out, struct espimage_error *err);
void elf_file_free(struct elf_file *file);

#endif
