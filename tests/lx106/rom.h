/* SPDX-License-Identifier: MIT */
/* The parts of the boot ROM stand-in, and its agreements with the emulator and with qemu.py. */
#ifndef ROM_H
#define ROM_H

#define ROM_START  0x40000000
#define ROM_SIZE   0x10000
#define ROM_STACK  0x40000000 /* downwards from there */
#define PS_RUNNING 0x20       /* exceptions go to the user vector */

/* qemu.py places the flash and its settings in memory that the chip does not have. */
#define FLASH_ADDRESS    0x51000000
#define SETTINGS_ADDRESS 0x50FF0000
#define MAP_FROM_HEADER  0xFFFFFFFF
#define SAVE_SIZE        1024

/* How the emulator ends. qemu.py has words for them. */
#define STATUS_BOOT_FAILED 101
#define STATUS_FAULT       102
#define STATUS_NO_FUNCTION 103
#define STATUS_BAD_FLASH   104
#define STATUS_RETURNED    105

/* How an exception arrived: which register holds its address. */
#define FAULT_EXCEPTION 1
#define FAULT_DOUBLE    2
#define FAULT_DEBUG     3

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct settings {
    uint32_t flash_size;   /* bytes */
    uint32_t map_code;     /* or MAP_FROM_HEADER */
    uint32_t own_loader;   /* 1: run the program at flash address 0 instead of boot.c */
    uint32_t boot_version; /* of boot.c: 1 to 7; 0: of the bootloader in the flash, or 6 */
    char save[SAVE_SIZE];  /* file that follows what is written to the flash, or "" */
};

#define settings ((const volatile struct settings *)SETTINGS_ADDRESS)

/* rom.S */
uint32_t simcall(uint32_t number, uint32_t a, uint32_t b, uint32_t c);
void enter(uint32_t entry) __attribute__((noreturn));
void rom_start(void) __attribute__((noreturn)); /* a reset; RTC memory and flash stay */

/* rom.c: called from rom.S */
void rom_main(void) __attribute__((noreturn));
void rom_returned(void) __attribute__((noreturn));
void rom_fault(uint32_t kind, uint32_t address, uint32_t cause, uint32_t data_address,
               uint32_t caller, uint32_t stack) __attribute__((noreturn));

/* console.c: what the stand-in says of itself begins with "stand-in: ". */
int rom_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void leave(uint32_t status) __attribute__((noreturn));

/* memory.c; the rest is in string.h. */
void bzero(void *to, size_t size);

/* divide.c */
uint32_t __udivsi3(uint32_t value, uint32_t by);
uint32_t __umodsi3(uint32_t value, uint32_t by);
int32_t __divsi3(int32_t value, int32_t by);

/* flash.c: the ROM's functions for the flash return 0 or 1, done or not. */
uint32_t spi_read(uint32_t address, void *to, uint32_t size);
uint32_t spi_write(uint32_t address, const void *from, uint32_t size);
uint32_t spi_erase_sector(uint32_t sector);
/* Opens the file of settings->save. */
void flash_follow(void);
void cache_read_enable(uint8_t odd, uint8_t pair, uint8_t unknown);
bool flash_holds(uint32_t address, uint32_t size);
/* The flash from there on; the caller has asked flash_holds(). */
const uint8_t *flash_at(uint32_t address);
uint32_t flash_u32(uint32_t address);
/* Shows a megabyte of the flash in the window at 0x40200000. */
void window_show(uint32_t megabyte);

/* load.c */
enum load { LOADED, LOAD_NO_HEADER, LOAD_BROKEN };
struct program {
    uint32_t entry;
    /* The bootloader that loaded it is lost: it cannot go on when the checksum is wrong. */
    bool covers_bootloader;
};
/* Loads the segments behind the header (E9) at a flash address and compares the checksum. */
enum load load_segments(uint32_t header, struct program *program);

/* boot.c: what the second-stage bootloader does. */
void boot(void) __attribute__((noreturn));

#endif
#endif
