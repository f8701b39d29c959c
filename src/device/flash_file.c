/* SPDX-License-Identifier: MIT */
#include "device/flash_file.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum espimage_code check_file(int fd, uint32_t size, struct espimage_error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return error_found(err, ESPIMAGE_ERR_NO_INPUT, "is no regular file");
    }
    if (status.st_size < (off_t)size) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "is %jd bytes long", (intmax_t)status.st_size);
        return error_wanted(err, "a flash of %u bytes", size);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return error_found(err, ESPIMAGE_ERR_UNAVAILABLE,
                           "is the flash of a device that runs already");
    }
    return ESPIMAGE_OK;
}

enum espimage_code flash_file_open(const char *path, uint32_t size, struct flash *out,
                                   struct espimage_error *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        error_found(err, ESPIMAGE_ERR_NO_INPUT, "cannot open: %s", strerror(errno));
        return error_in_file(err, path);
    }
    enum espimage_code code = check_file(fd, size, err);
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
