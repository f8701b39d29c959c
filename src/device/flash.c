/* SPDX-License-Identifier: MIT */
#include "device/flash.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Changes go through a buffer of one sector. */
#define ROOM ESPIMAGE_SECTOR

static enum espimage_code check(const struct flash *flash, uint32_t address, size_t size,
                                uint32_t align, struct espimage_error *err)
{
    if (flash->dead) {
        return error_found(err, ESPIMAGE_ERR_IO, "the flash has no power");
    }
    if (address % align != 0 || size % align != 0) {
        error_found(err, ESPIMAGE_ERR_IO, "%zu bytes of flash at 0x%X", size, address);
        return error_wanted(err, "multiples of %u", align);
    }
    if (address > flash->size || size > flash->size - address) {
        error_found(err, ESPIMAGE_ERR_IO, "%zu bytes of flash at 0x%X", size, address);
        return error_wanted(err, "within its 0x%X bytes", flash->size);
    }
    return ESPIMAGE_OK;
}

static void invert(const struct flash *flash, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; flash->inverted && i < size; i++) {
        bytes[i] = (uint8_t)~bytes[i];
    }
}

static enum espimage_code get(const struct flash *flash, uint32_t address, uint8_t *to, size_t size,
                              struct espimage_error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(flash->fd, to + done, size - done, (off_t)address + (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return error_found(err, ESPIMAGE_ERR_IO, "cannot read the flash at 0x%X: %s", address,
                               got == 0 ? "the file has become shorter" : strerror(errno));
        }
        done += got > 0 ? (size_t)got : 0;
    }
    invert(flash, to, size);
    return ESPIMAGE_OK;
}

/* Changes `bytes`. */
static enum espimage_code put(const struct flash *flash, uint32_t address, uint8_t *bytes,
                              size_t size, struct espimage_error *err)
{
    invert(flash, bytes, size);
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(flash->fd, bytes + done, size - done, (off_t)address + (off_t)done);
        if (put < 0 && errno != EINTR) {
            return error_found(err, ESPIMAGE_ERR_IO, "cannot write the flash at 0x%X: %s", address,
                               strerror(errno));
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return ESPIMAGE_OK;
}

static void take_time(const struct flash *flash, long microseconds)
{
    const struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    if (flash->realistic) {
        (void)nanosleep(&time, NULL);
    }
}

static bool fails(struct flash *flash, enum flash_change change, uint32_t address, uint32_t *size)
{
    flash->dead = flash->power != NULL && flash->power(flash->context, change, address, size);
    return flash->dead;
}

static enum espimage_code no_power(struct espimage_error *err)
{
    return error_found(err, ESPIMAGE_ERR_IO, "the power failed");
}

enum espimage_code flash_read(const struct flash *flash, uint32_t address, uint8_t *to, size_t size,
                              struct espimage_error *err)
{
    enum espimage_code code = check(flash, address, size, 1, err);
    return code == ESPIMAGE_OK ? get(flash, address, to, size, err) : code;
}

enum espimage_code flash_erase(struct flash *flash, uint32_t address, struct espimage_error *err)
{
    uint8_t blank[ROOM];
    uint32_t size = ESPIMAGE_SECTOR;
    enum espimage_code code = check(flash, address, size, ESPIMAGE_SECTOR, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    bool cut = fails(flash, FLASH_ERASE, address, &size);
    memset(blank, 0xFF, sizeof blank);
    code = put(flash, address, blank, size, err);
    if (code == ESPIMAGE_OK && cut) {
        return no_power(err);
    }
    take_time(flash, FLASH_ERASE_TIME);
    return code;
}

static enum espimage_code clear_bits(const struct flash *flash, uint32_t address,
                                     const uint8_t *bytes, size_t size, struct espimage_error *err)
{
    uint8_t cells[ROOM];
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t done = 0; done < size && code == ESPIMAGE_OK;) {
        size_t part = size - done < ROOM ? size - done : ROOM;
        uint32_t at = address + (uint32_t)done;
        code = get(flash, at, cells, part, err);
        for (size_t i = 0; i < part; i++) {
            cells[i] &= bytes[done + i];
        }
        code = code == ESPIMAGE_OK ? put(flash, at, cells, part, err) : code;
        done += part;
    }
    return code;
}

enum espimage_code flash_write(struct flash *flash, uint32_t address, const uint8_t *bytes,
                               size_t size, struct espimage_error *err)
{
    uint32_t count = (uint32_t)size;
    enum espimage_code code = check(flash, address, size, FLASH_WORD, err);
    if (code != ESPIMAGE_OK || size == 0) {
        return code;
    }
    uint32_t pages = (address + count - 1) / FLASH_PAGE - address / FLASH_PAGE + 1;
    bool cut = fails(flash, FLASH_WRITE, address, &count);
    code = clear_bits(flash, address, bytes, count, err);
    if (code == ESPIMAGE_OK && cut) {
        return no_power(err);
    }
    take_time(flash, (long)pages * FLASH_PAGE_TIME);
    return code;
}

enum espimage_code flash_write_any(struct flash *flash, uint32_t address, const uint8_t *bytes,
                                   size_t size, struct espimage_error *err)
{
    uint8_t padded[ROOM];
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t done = 0; done < size && code == ESPIMAGE_OK;) {
        uint32_t at = address + (uint32_t)done;
        uint32_t before = at % FLASH_WORD;
        size_t room = ROOM - before;
        size_t part = size - done < room ? size - done : room;
        size_t whole = (before + part + FLASH_WORD - 1) / FLASH_WORD * FLASH_WORD;
        memset(padded, 0xFF, sizeof padded);
        memcpy(padded + before, bytes + done, part);
        code = flash_write(flash, at - before, padded, whole, err);
        done += part;
    }
    return code;
}
