/* SPDX-License-Identifier: MIT */
#include "device/flash_file.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The lock comes before the first look at the content: of several devices that are started at once
 * on one new file, one fills it and the others are refused. */
static enum espimage_code lock_file(int fd, struct espimage_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return error_found(err, ESPIMAGE_ERR_NO_INPUT, "is not a regular file");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return error_found(err, ESPIMAGE_ERR_UNAVAILABLE,
                           "is the flash of a device that runs already");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code check_size(int fd, uint32_t size, struct espimage_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return error_found(err, ESPIMAGE_ERR_IO, "cannot stat: %s", strerror(errno));
    }
    if (status.st_size < (off_t)size) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "is %jd bytes long", (intmax_t)status.st_size);
        return error_wanted(err, "a flash of %u bytes", size);
    }
    return ESPIMAGE_OK;
}

/* An empty file, or one that is erased throughout. */
static bool is_blank(int fd)
{
    uint8_t bytes[ESPIMAGE_SECTOR];
    ssize_t got = 0;
    for (off_t at = 0; (got = pread(fd, bytes, sizeof bytes, at)) > 0; at += got) {
        if (!bytes_all(bytes, (size_t)got, 0xFF)) {
            return false;
        }
    }
    return got == 0;
}

static enum espimage_code prepare(int fd, const uint8_t *content, uint32_t size,
                                  struct espimage_error *err)
{
    enum espimage_code code = lock_file(fd, err);
    if (code == ESPIMAGE_OK && content != NULL && is_blank(fd)) {
        code = file_write_all(fd, content, size, err);
    }
    return code == ESPIMAGE_OK ? check_size(fd, size, err) : code;
}

/* A new file that is locked and filled before it has its name. -1 when there is one of that name,
 * or when the file system has no files without a name: the usual way does then. */
static int new_file(const char *path, const uint8_t *content, uint32_t size)
{
    char folder[PATH_MAX];
    char self[32];
    struct espimage_error err;
    file_folder(path, folder);
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -1;
    }
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 ||
        file_write_all(fd, content, size, &err) != ESPIMAGE_OK ||
        linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

enum espimage_code flash_file_open(const char *path, const uint8_t *content, uint32_t size,
                                   struct flash *out, struct espimage_error *err)
{
    const int create = content != NULL ? O_CREAT : 0;
    int fd = content != NULL ? new_file(path, content, size) : -1;
    if (fd < 0) {
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | create, 0666);
    }
    if (fd < 0) {
        error_found(err, content != NULL ? ESPIMAGE_ERR_CREATE : ESPIMAGE_ERR_NO_INPUT,
                    "cannot open: %s", strerror(errno));
        return error_in_file(err, path);
    }
    enum espimage_code code = prepare(fd, content, size, err);
    if (code != ESPIMAGE_OK) {
        (void)close(fd);
        return error_in_file(err, path);
    }
    *out = (struct flash){.fd = fd, .size = size};
    return ESPIMAGE_OK;
}

static int unnamed_file(void)
{
    const char *folder = getenv("TMPDIR");
    int fd = open(folder != NULL && folder[0] != '\0' ? folder : "/tmp",
                  O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : memfd_create("flash", MFD_CLOEXEC);
}

/* What is not erased; the rest of the file stays a hole. */
static enum espimage_code fill(struct flash *flash, const uint8_t *content,
                               struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    for (uint32_t at = 0; at < flash->size && code == ESPIMAGE_OK; at += ESPIMAGE_SECTOR) {
        if (!bytes_all(content + at, ESPIMAGE_SECTOR, 0xFF)) {
            code = flash_write(flash, at, content + at, ESPIMAGE_SECTOR, err);
        }
    }
    return code;
}

enum espimage_code flash_file_unnamed(const uint8_t *content, uint32_t size, struct flash *out,
                                      struct espimage_error *err)
{
    struct flash flash = {.fd = unnamed_file(), .size = size, .inverted = true};
    if (flash.fd < 0 || ftruncate(flash.fd, (off_t)size) != 0) {
        error_found(err, ESPIMAGE_ERR_CREATE, "cannot make a temporary file: %s", strerror(errno));
        flash_file_close(&flash);
        return err->code;
    }
    enum espimage_code code = fill(&flash, content, err);
    if (code != ESPIMAGE_OK) {
        flash_file_close(&flash);
        return code;
    }
    *out = flash;
    return ESPIMAGE_OK;
}

void flash_file_close(struct flash *flash)
{
    if (flash->fd >= 0) {
        (void)close(flash->fd);
        flash->fd = -1;
    }
}
