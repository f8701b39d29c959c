/* SPDX-License-Identifier: MIT */
/* The flash, which is a copy in memory of the file that qemu.py was given, and the window. */
#include "rom.h"

#include <espimage/flash.h>

#define DONE        0
#define NOT_DONE    1
#define WINDOW_SIZE (ESPIMAGE_WINDOW_END - ESPIMAGE_WINDOW_START)

static uint8_t *const flash = (uint8_t *)FLASH_ADDRESS;
static uint32_t window_at; /* the flash address that the window begins with */

/* The emulator's calls; numbers and flags are those of QEMU's semihosting for Xtensa. */
#define SYS_WRITE  4
#define SYS_OPEN   5
#define SYS_LSEEK  19
#define WRITE_ONLY 1
#define NO_FILE    -1

static int32_t saved; /* the file of settings->save, or NO_FILE */

void flash_follow(void)
{
    const char *path = (const char *)settings->save;

    saved = *path == '\0' ? NO_FILE : (int32_t)simcall(SYS_OPEN, (uint32_t)path, WRITE_ONLY, 0);
    if (*path != '\0' && saved < 0) {
        rom_printf("stand-in: cannot open %s\n", path);
        leave(STATUS_BAD_FLASH);
    }
}

/* So that the file is right however the run ends. */
static void save(uint32_t address, uint32_t size)
{
    if (saved != NO_FILE) {
        simcall(SYS_LSEEK, (uint32_t)saved, address, 0);
        simcall(SYS_WRITE, (uint32_t)saved, (uint32_t)(flash + address), size);
    }
}

bool flash_holds(uint32_t address, uint32_t size)
{
    return address <= settings->flash_size && size <= settings->flash_size - address;
}

const uint8_t *flash_at(uint32_t address)
{
    return flash + address;
}

uint32_t flash_u32(uint32_t address)
{
    uint32_t value;
    memcpy(&value, flash + address, sizeof value);
    return value;
}

/* Where the flash ends, the window is zero: the instruction `ill`. */
void window_show(uint32_t megabyte)
{
    uint32_t *window = (uint32_t *)ESPIMAGE_WINDOW_START;

    window_at = megabyte * WINDOW_SIZE;
    for (uint32_t i = 0; i < WINDOW_SIZE / sizeof *window; i++) {
        uint32_t address = window_at + i * sizeof *window;
        window[i] = flash_holds(address, sizeof *window) ? *(uint32_t *)(flash + address) : 0;
    }
}

/* The window follows what is written. */
static void window_update(uint32_t address, uint32_t size)
{
    for (; size > 0; size--, address++) {
        if (address >= window_at && address - window_at < WINDOW_SIZE) {
            ((uint8_t *)ESPIMAGE_WINDOW_START)[address - window_at] = flash[address];
        }
    }
}

uint32_t spi_read(uint32_t address, void *to, uint32_t size)
{
    if (!flash_holds(address, size)) {
        return NOT_DONE;
    }
    memcpy(to, flash + address, size);
    return DONE;
}

/* Writing clears bits; only erasing sets them. */
uint32_t spi_write(uint32_t address, const void *from, uint32_t size)
{
    const uint8_t *byte = from;

    if (!flash_holds(address, size)) {
        return NOT_DONE;
    }
    for (uint32_t i = 0; i < size; i++) {
        flash[address + i] &= byte[i];
    }
    window_update(address, size);
    save(address, size);
    return DONE;
}

uint32_t spi_erase_sector(uint32_t sector)
{
    uint32_t address = sector * ESPIMAGE_SECTOR;

    if (sector >= settings->flash_size / ESPIMAGE_SECTOR) {
        return NOT_DONE;
    }
    memset(flash + address, 0xFF, ESPIMAGE_SECTOR);
    window_update(address, ESPIMAGE_SECTOR);
    save(address, ESPIMAGE_SECTOR);
    return DONE;
}

void cache_read_enable(uint8_t odd, uint8_t pair, uint8_t unknown)
{
    (void)unknown;
    window_show(pair * 2u + odd);
}
