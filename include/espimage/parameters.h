/* SPDX-License-Identifier: MIT */
/**
 * @file parameters.h
 * Which slot boots: the parameter sectors and Espressif's bootloaders 1.1 to 1.7.
 *
 * The last three sectors of the flash hold two copies of one record and a selector that names the
 * copy that counts. F is the size of the flash by the map in the header of the bootloader, whatever
 * the chip has:
 *
 *     F-0x3000   record, copy A
 *     F-0x2000   record, copy B
 *     F-0x1000   selector
 *
 * A bootloader reads and writes the first eight bytes of a record and the first byte of the
 * selector, and checks nothing. The SDK keeps its settings behind those eight bytes, and adds a
 * save counter and checksums to the selector.
 *
 *     struct espimage_parameters parameters;
 *     struct espimage_boot_choice choice;
 *     espimage_parameters_parse(flash + espimage_parameters_address(map->flash_size), &parameters);
 *     choice = espimage_boot_choose(ESPIMAGE_BOOT_1_6, espimage_record_current(&parameters));
 *
 * Source: Espressif's unmodified bootloaders and the SDK's own code, run and observed; tests/data
 * has the cases.
 */
#ifndef ESPIMAGE_PARAMETERS_H
#define ESPIMAGE_PARAMETERS_H

#include <espimage/flash.h>

ESPIMAGE_BEGIN

/* ---- where ---- */

/** Copy A, copy B and selector. */
#define ESPIMAGE_PARAMETERS_SIZE UINT32_C(0x3000)

/** Copy A or B of the record; also its index. */
enum espimage_copy { ESPIMAGE_COPY_A, ESPIMAGE_COPY_B };

/** Offset of a copy, and of the selector, from the first of the three sectors. */
#define ESPIMAGE_COPY_OFFSET(copy) ((copy) == ESPIMAGE_COPY_A ? UINT32_C(0) : UINT32_C(0x1000))
#define ESPIMAGE_SELECTOR_OFFSET   UINT32_C(0x2000)

/** Flash address of the three sectors. @param flash_size F, at least 256 KB. */
ESPIMAGE_API uint32_t espimage_parameters_address(uint32_t flash_size);

/* ---- bootloaders ---- */

/** Espressif's bootloaders; the value is the minor version, as in a record. */
enum espimage_boot_version {
    ESPIMAGE_BOOT_UNKNOWN = 0,
    ESPIMAGE_BOOT_1_1 = 1,
    ESPIMAGE_BOOT_1_2 = 2,
    ESPIMAGE_BOOT_1_3 = 3,
    ESPIMAGE_BOOT_1_4 = 4,
    ESPIMAGE_BOOT_1_5 = 5,
    ESPIMAGE_BOOT_1_6 = 6,
    ESPIMAGE_BOOT_1_7 = 7
};

/**
 * The version of a bootloader, by the text "2nd boot version : 1.x" that it holds.
 * @param bytes the bootloader, or the first sector of a flash.
 * @return ESPIMAGE_BOOT_UNKNOWN when there is no such text.
 */
ESPIMAGE_API enum espimage_boot_version espimage_boot_version(const uint8_t *bytes, size_t size);

/** "1.1" ... "1.7"; "unknown". */
ESPIMAGE_API const char *espimage_boot_version_name(enum espimage_boot_version version);
/** By its name; ESPIMAGE_BOOT_UNKNOWN when there is no such version. */
ESPIMAGE_API enum espimage_boot_version espimage_boot_version_by_name(const char *name);

/** What a bootloader makes of the map code in its own header. */
enum espimage_boot_map {
    ESPIMAGE_BOOT_MAP_RIGHT,
    /** It takes the flash for 512 KB: it erases and writes 0x7D000..0x7FFFF (1.1 only reads there),
     *  which is inside user1 of a larger map, and never boots user2. */
    ESPIMAGE_BOOT_MAP_AS_512KB,
    /** Boot 1.7 with codes 8 and 9: on chips it boots user1 always, while the SDK says user2. */
    ESPIMAGE_BOOT_MAP_STAYS_IN_USER1,
    /** Boot 1.7 with code 7: "flash map not support", nothing boots. */
    ESPIMAGE_BOOT_MAP_REFUSED
};
/** @param version a known one. @param map_code high nibble of header byte 3. */
ESPIMAGE_API enum espimage_boot_map espimage_boot_map(enum espimage_boot_version version,
                                                      uint8_t map_code);

/**
 * Whether the bootloader boots the other slot when `slot` holds no image: 1.5 to 1.7 from either,
 * 1.3 and 1.4 only from user2, older ones never. A wrong checksum never makes a bootloader fall
 * back: the chip then crashes at every reset.
 */
ESPIMAGE_API bool espimage_boot_falls_back(enum espimage_boot_version version, uint8_t slot);

/**
 * Boot 1.1 does not take images that begin with EA 04. Every version takes v1 images (E9): the old
 * format, whose irom is linked 64 KB into the flash, was run on 1.4 and later.
 */
ESPIMAGE_API bool espimage_boot_takes_v2(enum espimage_boot_version version);

/* ---- record ---- */

/** Bytes of a record that belong to the bootloader. */
#define ESPIMAGE_RECORD_HEAD 8

/** Bits 1..0 of byte 0: the chosen slot. */
enum espimage_chosen {
    ESPIMAGE_CHOSEN_USER1 = 0,
    ESPIMAGE_CHOSEN_USER2 = 1,
    ESPIMAGE_CHOSEN_INVALID = 2,
    ESPIMAGE_CHOSEN_NEVER_WRITTEN = 3
};

/** Bits 7..5 of byte 1. */
enum espimage_boot_mode {
    ESPIMAGE_BOOT_NORMAL,  /**< 100, 110, 111 */
    ESPIMAGE_BOOT_TEST,    /**< 001, 101: boots the address at offset 2 */
    ESPIMAGE_BOOT_ENHANCE, /**< 000, 010, 011: boots the address at offset 5; once that has failed,
                                the one at offset 2 */
};

/** The first eight bytes of a record, as boot 1.3 and later take them. */
struct espimage_record {
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    enum espimage_chosen chosen;
    bool failed;     /**< the chosen slot did not boot; it is not tried again until an update */
    uint8_t version; /**< 5 bits: minor version of the bootloader that owns it; 31: none */
    enum espimage_boot_mode mode;
    uint32_t test_address;    /**< 24 bits */
    uint32_t enhance_address; /**< 24 bits */
};

ESPIMAGE_API void espimage_record_parse(const uint8_t head[ESPIMAGE_RECORD_HEAD],
                                        struct espimage_record *out);

/** The record as a bootloader makes it when it finds none of its own: FC Ev FF .. for 1.3 and
 *  later; 1.2 keeps what there is, except for byte 0 of FF and byte 1. In place; 1.1 changes
 *  nothing. */
ESPIMAGE_API void espimage_record_initialise(enum espimage_boot_version version,
                                             uint8_t head[ESPIMAGE_RECORD_HEAD]);

/** As a bootloader marks the chosen slot as failed, in place: clears bit 2 of byte 0. */
ESPIMAGE_API void espimage_record_set_failed(uint8_t head[ESPIMAGE_RECORD_HEAD]);

/** As the SDK chooses the other slot at the end of an update (system_upgrade_reboot), in place. */
ESPIMAGE_API void espimage_record_choose_other(uint8_t head[ESPIMAGE_RECORD_HEAD]);

/* ---- choice ---- */

enum espimage_boot_target {
    ESPIMAGE_BOOT_SLOT,
    ESPIMAGE_BOOT_AT_ADDRESS, /**< test and enhance mode */
    ESPIMAGE_BOOT_FLAG_ERROR  /**< "error user bin flag", nothing boots */
};

struct espimage_boot_choice {
    enum espimage_boot_target target;
    bool initialises; /**< it first writes a record of its own to the other copy */
    uint8_t slot;     /**< 1 or 2 for ESPIMAGE_BOOT_SLOT, otherwise 0 */
    bool fallback;    /**< the slot is not the chosen one, which failed earlier */
    enum espimage_boot_mode mode;
    uint32_t address; /**< for ESPIMAGE_BOOT_AT_ADDRESS */
};

/**
 * What a bootloader goes on to, given the record that counts. Whether there is an image does not
 * enter, nor does a flash map that the bootloader does not know.
 * @param version a known one.
 */
ESPIMAGE_API struct espimage_boot_choice espimage_boot_choose(enum espimage_boot_version version,
                                                              const struct espimage_record *record);

/**
 * The slot that the SDK takes for the running one (system_upgrade_userbin_check): 1 or 2. The next
 * update asks for the other one. With boot 1.3 and 1.4 after a failure of user1, and with maps that
 * the bootloader does not know, it is not the one that runs.
 */
ESPIMAGE_API uint8_t espimage_sdk_running(const struct espimage_record *record);

/* ---- selector and the three sectors ---- */

/** Bytes of the selector that the SDK writes; a bootloader writes its first four. */
#define ESPIMAGE_SELECTOR_SIZE 32

/** Bytes of a record that its checksum covers, from the start. */
#define ESPIMAGE_RECORD_CHECKED 32

enum espimage_record_state {
    ESPIMAGE_RECORD_NOT_SAVED, /**< the SDK has never saved this copy, or a bootloader wrote the
                                    selector since */
    ESPIMAGE_RECORD_GOOD,      /**< the SDK's checksum is right */
    ESPIMAGE_RECORD_CHANGED    /**< it is wrong: something else wrote the copy */
};

struct espimage_parameters {
    enum espimage_copy current; /**< the copy that counts: A for a first byte of 00, otherwise B */
    bool blank;                 /**< all three sectors are FF */
    bool saved;                 /**< the selector is one of the SDK, not of a bootloader */
    uint32_t saves;             /**< how often the SDK has saved; 0 unless `saved` */
    struct espimage_record record[2];
    enum espimage_record_state state[2];
};

/** @param sectors ESPIMAGE_PARAMETERS_SIZE bytes. */
ESPIMAGE_API void espimage_parameters_parse(const uint8_t *sectors,
                                            struct espimage_parameters *out);

/** The record that counts. Never NULL. */
ESPIMAGE_API const struct espimage_record *
espimage_record_current(const struct espimage_parameters *parameters);

/** 0xEF xor the first 32 bytes of a copy. */
ESPIMAGE_API uint8_t espimage_record_checksum(const uint8_t *copy);

/**
 * The selector that the SDK writes after it has saved a copy.
 * @param before the 32 bytes of the selector before. @param copy the copy that was written.
 * @param checksum of that copy.
 */
ESPIMAGE_API void espimage_selector_saved(const uint8_t before[ESPIMAGE_SELECTOR_SIZE],
                                          enum espimage_copy copy, uint8_t checksum,
                                          uint8_t out[ESPIMAGE_SELECTOR_SIZE]);

/**
 * The three sectors of a new device: blank for user1, which boots from blank ones; for user2 as
 * they are after the first update.
 * @param version a known one, 1.2 or later. @param slot 1 or 2.
 * @param[out] sectors ESPIMAGE_PARAMETERS_SIZE bytes.
 */
ESPIMAGE_API void espimage_parameters_build(enum espimage_boot_version version, uint8_t slot,
                                            uint8_t *sectors);

/* ---- what the SDK keeps further on in a record: private to the owner of a device ---- */

/** Number of stored networks (one byte) and the index of the one in use, from SDK 1.5 on. */
#define ESPIMAGE_NETWORK_COUNT_OFFSET 0x13C
#define ESPIMAGE_NETWORK_INDEX_OFFSET 0x13D
/** The stored networks: each a length (4), a name (32) and a password (64). */
#define ESPIMAGE_NETWORK_OFFSET 0x140
#define ESPIMAGE_NETWORK_SIZE   (4 + 32 + 64)
#define ESPIMAGE_MAX_NETWORKS   5

/** Number of stored networks of a copy; 0 when the field holds anything else. */
ESPIMAGE_API uint8_t espimage_network_count(const uint8_t *copy);

ESPIMAGE_END

#endif
