/* SPDX-License-Identifier: MIT */
/* Whole files in, whole files out. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <espimage/error.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* A private copy of a file's bytes. */
struct file_bytes {
    uint8_t *data; /* owned; never NULL after a success */
    size_t size;
    struct stat status; /* as it was when the file was opened */
};

/* Reads a regular file of at most `limit` bytes. A pipe, a directory or a device is refused, and
 * opening never waits for one. ESPIMAGE_ERR_NO_INPUT, _ERR_SIZE, _ERR_IO or _ERR_MEMORY. */
enum espimage_code file_read(const char *path, size_t limit, struct file_bytes *out,
                             struct espimage_error *err);
void file_bytes_free(struct file_bytes *bytes);

/* What a read lease says about the programs that have a file open for writing. */
enum file_lease {
    FILE_LEASE_UNTRIED,
    FILE_LEASE_NONE,    /* the file system gives none, or the file belongs to another user */
    FILE_LEASE_GRANTED, /* none has it open; one that wanted to had to wait until it was read */
    FILE_LEASE_BUSY     /* one has it open: the file was not read */
};

/* file_read() under a read lease, where one is to be had. ESPIMAGE_ERR_IO also when it is busy. */
enum espimage_code file_read_leased(const char *path, size_t limit, struct file_bytes *out,
                                    enum file_lease *lease, struct espimage_error *err);

/* The descriptor gets all bytes, or ESPIMAGE_ERR_IO. */
enum espimage_code file_write_all(int fd, const uint8_t *data, size_t size,
                                  struct espimage_error *err);

/* A file without a name, in memory, that nobody can change any more, and a view of it. */
struct memory_file {
    int fd; /* owned */
    const uint8_t *data;
    size_t size;
};

/* A copy of at least one byte. ESPIMAGE_ERR_IO; there is nothing to free then. */
enum espimage_code memory_file_make(const uint8_t *data, size_t size, struct memory_file *out,
                                    struct espimage_error *err);
void memory_file_free(struct memory_file *file);

/* There is a file at `path`, and it is the one that `status` is of. */
bool file_is_same(const char *path, const struct stat *status);

/* The last component of a path; points into it. */
const char *file_name(const char *path);

/* The directory of a path: "." when it names none. */
void file_folder(const char *path, char folder[PATH_MAX]);

#endif
