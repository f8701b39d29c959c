/* SPDX-License-Identifier: MIT */
/* An output file appears completely or not at all. */
#ifndef BASE_FILE_WRITE_H
#define BASE_FILE_WRITE_H

#include <espimage/error.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the bytes under a temporary name in the same directory, syncs them to disk and renames the
 * file. A symbolic link is followed; a device or pipe is written to directly.
 *
 * A file that is replaced passes on its permissions, and its group where the system allows it.
 * Refused with ESPIMAGE_ERR_CREATE: a write-protected file, and in a sticky directory that anyone
 * can write to (/tmp) a symbolic link or file of another user. Temporary files that an interrupted
 * run left in the directory are removed.
 *
 * ESPIMAGE_ERR_CREATE or _ERR_IO, with the file. */
enum espimage_code file_write(const char *path, const uint8_t *data, size_t size,
                              struct espimage_error *err);

#endif
