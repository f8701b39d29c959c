/* SPDX-License-Identifier: MIT */
/* What a second-stage bootloader does at one reset: which slot it starts, what it writes.
 *
 * boot_step() only reads; the changes to flash and RTC memory are in its result, in the order in
 * which the bootloader makes them, and boot_apply() makes them. */
#ifndef DEVICE_BOOT_H
#define DEVICE_BOOT_H

#include "device/flash.h"

#include <espimage/parameters.h>

/* Where boot 1.7 counts its retries, in RTC memory, which a reset does not clear. */
#define BOOT_RETRIES_ADDRESS UINT32_C(0x600011DC)

struct boot_chip {
    const struct flash *flash;
    enum espimage_boot_version version; /* a known one */
    uint8_t map_code;                   /* of the header at 0 */
    uint32_t retries;                   /* the word at BOOT_RETRIES_ADDRESS */
    /* The ROM reads beyond 4 MB, as in an emulator; those of chips do not, as far as is known. */
    bool reads_beyond_4mb;
};

enum boot_outcome {
    BOOT_RUNS,
    BOOT_FALLBACK_SET, /* the slot has no image: the other one is noted, for the next reset */
    BOOT_RETRY,        /* the slot has no image: 1.7 tries it again at the next reset */
    BOOT_CRASH,        /* the image overwrites the bootloader and does not start */
    BOOT_DEAD,         /* nothing to boot: back to the ROM */
    BOOT_FLAG_ERROR,   /* "error user bin flag": back to the ROM */
    BOOT_TEST,         /* runs an image at an address, in test mode */
    BOOT_ENHANCE       /* the same in enhance mode */
};

/* "runs", "fallback-set", ... */
const char *boot_outcome_name(enum boot_outcome outcome);
/* Something is started. */
bool boot_outcome_runs(enum boot_outcome outcome);

struct boot_change {
    enum flash_change change;
    uint32_t address;
    uint32_t size;        /* of a write; erased is the sector */
    const uint8_t *bytes; /* of a write: in the step */
};

/* A bootloader saves at most twice at one reset: its own first record, then a failure. */
#define BOOT_SAVES           2
#define BOOT_CHANGES_OF_SAVE 4
#define BOOT_SELECTOR_WRITE  4

struct boot_save {
    uint8_t record[ESPIMAGE_SECTOR];
    uint8_t selector[BOOT_SELECTOR_WRITE];
};

enum boot_words {
    BOOT_SAYS_NOTHING,
    BOOT_SAYS_MAGIC,  /* "error magic!" */
    BOOT_SAYS_NO_MAP, /* "flash map not support" */
};

struct boot_step {
    enum boot_outcome outcome;
    struct espimage_boot_choice choice;
    uint8_t slot;              /* at `address`: 1, 2; 0: neither */
    uint32_t address;          /* that was tried; 0 when none was */
    enum boot_words complaint; /* about what it found there */
    bool failed_before;        /* the record says so: this is the backup */
    uint8_t flag;              /* byte 0 of the record */
    uint32_t retries_before;   /* the word in RTC memory */
    uint32_t retries;          /* the same afterwards */
    char found[160];           /* why it does not run; "" when it does */
    size_t change_count;
    struct boot_change changes[BOOT_SAVES * BOOT_CHANGES_OF_SAVE];
    size_t save_count;
    struct boot_save saves[BOOT_SAVES];
};

/* ESPIMAGE_ERR_IO when the flash cannot be read. `out` must not be copied: it points into itself.
 */
enum espimage_code boot_step(const struct boot_chip *chip, struct boot_step *out,
                             struct espimage_error *err);

enum espimage_code boot_apply(const struct boot_step *step, struct flash *flash,
                              struct espimage_error *err);

/* The size of the flash and the address of a slot, as this bootloader takes them. */
uint32_t boot_flash_size(enum espimage_boot_version version, uint8_t map_code);
uint32_t boot_slot_address(enum espimage_boot_version version, uint8_t map_code, uint8_t slot);

#endif
