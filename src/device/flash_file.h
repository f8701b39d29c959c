/* SPDX-License-Identifier: MIT */
/* The file behind a flash: kept under a name, or gone with the process. */
#ifndef DEVICE_FLASH_FILE_H
#define DEVICE_FLASH_FILE_H

#include "device/flash.h"

/* A file of at least `size` bytes, for this process alone. With `content` one that is missing,
 * empty or erased becomes a new flash of these `size` bytes; NULL: the file must exist.
 * ESPIMAGE_ERR_NO_INPUT, _ERR_CREATE, _ERR_IO, _ERR_IMAGE when it is shorter, _ERR_UNAVAILABLE when
 * another process has it. */
enum espimage_code flash_file_open(const char *path, const uint8_t *content, uint32_t size,
                                   struct flash *out, struct espimage_error *err);

/* A file without a name, which takes room only where it is not erased. ESPIMAGE_ERR_CREATE or
 * _ERR_IO. */
enum espimage_code flash_file_unnamed(const uint8_t *content, uint32_t size, struct flash *out,
                                      struct espimage_error *err);

/* Accepts one that was never opened (fd -1). */
void flash_file_close(struct flash *flash);

#endif
