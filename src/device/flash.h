/* SPDX-License-Identifier: MIT */
/* A NOR flash in a file: erasing sets the bits of a whole sector, writing can only clear bits.
 *
 * Each change is in the file when the call returns, so a killed process leaves what a device would
 * have after a loss of power. */
#ifndef DEVICE_FLASH_H
#define DEVICE_FLASH_H

#include <espimage/error.h>
#include <espimage/flash.h>

#define FLASH_WORD UINT32_C(4)
#define FLASH_PAGE UINT32_C(256)

/* Typical times of a W25Q-class chip, in microseconds. */
#define FLASH_ERASE_TIME 45000
#define FLASH_PAGE_TIME  700

enum flash_change { FLASH_ERASE, FLASH_WRITE };

/* Asked before each change. True when the power fails: then only the first *size bytes change
 * (set by the function; at most what it was), and the flash takes no more orders. */
typedef bool flash_power(void *context, enum flash_change change, uint32_t address, uint32_t *size);

struct flash {
    int fd;
    uint32_t size;
    bool realistic; /* takes the time that a chip takes */
    /* Bytes are stored inverted, so that a hole in a sparse file is erased flash. */
    bool inverted;
    bool dead;          /* the power has failed */
    flash_power *power; /* NULL: it never fails */
    void *context;
};

/* All fail with ESPIMAGE_ERR_IO: outside the flash, not aligned, no power, or what the system
 * says. */
enum espimage_code flash_read(const struct flash *flash, uint32_t address, uint8_t *to, size_t size,
                              struct espimage_error *err);

/* The sector that begins at `address`. */
enum espimage_code flash_erase(struct flash *flash, uint32_t address, struct espimage_error *err);

/* Address and size are multiples of FLASH_WORD, as the chip's ROM functions demand. */
enum espimage_code flash_write(struct flash *flash, uint32_t address, const uint8_t *bytes,
                               size_t size, struct espimage_error *err);

/* The same at any address, in any size: pads with bits that change nothing. */
enum espimage_code flash_write_any(struct flash *flash, uint32_t address, const uint8_t *bytes,
                                   size_t size, struct espimage_error *err);

#endif
