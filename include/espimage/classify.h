/* SPDX-License-Identifier: MIT */
/**
 * @file classify.h
 * For which slot of which flash map an ELF was linked, and why it fits none.
 */
#ifndef ESPIMAGE_CLASSIFY_H
#define ESPIMAGE_CLASSIFY_H

#include <espimage/firmware.h>

ESPIMAGE_BEGIN

/** A set of flash maps: bit n stands for the map with code n. */
typedef uint32_t espimage_map_set;

enum espimage_layout {
    ESPIMAGE_LAYOUT_OTA,            /**< app1, app2 or either, by the map */
    ESPIMAGE_LAYOUT_RBOOT,          /**< a ROM of rBoot: 16 bytes into a sector */
    ESPIMAGE_LAYOUT_NO_BOOT,        /**< no bootloader: at the start of a sector */
    ESPIMAGE_LAYOUT_OLD_BOOT,       /**< the old layout (boot 1.4 to 1.7 start its images too) */
    ESPIMAGE_LAYOUT_ARDUINO,        /**< an Arduino sketch: as OTA, but its updates want eboot */
    ESPIMAGE_LAYOUT_RTOS3,          /**< an application of RTOS SDK 3, for a partition */
    ESPIMAGE_LAYOUT_OUTSIDE_WINDOW, /**< at or beyond 0x40300000: can never run */
    ESPIMAGE_LAYOUT_NO_IROM,        /**< nothing in flash: fits nowhere, or anywhere */
    ESPIMAGE_LAYOUT_UNKNOWN
};

struct espimage_link {
    enum espimage_layout layout;
    uint32_t address;           /**< where irom starts */
    uint32_t flash_address;     /**< of the image (OTA, rBoot) or of the irom file (no-boot) */
    espimage_map_set app1_maps; /**< maps in which it is linked for user1 */
    espimage_map_set app2_maps; /**< maps in which it is linked for user2 */
    espimage_map_set fits;      /**< maps whose slots are large enough for its image */
    char reason[256];           /**< one clause: "linked at 0x40201010, the app1 slot" */
    char advice[256];           /**< what to do instead; empty when nothing is wrong */
    enum espimage_advice advice_code;
};

/**
 * "ota", "rboot", "no-boot", "old-boot", "arduino", "rtos3", "outside-window", "no-irom",
 * "unknown".
 */
ESPIMAGE_API const char *espimage_layout_name(enum espimage_layout layout);

/** Never fails: what cannot be told is ESPIMAGE_LAYOUT_UNKNOWN, with a reason. */
ESPIMAGE_API void espimage_classify(const espimage_firmware *fw, struct espimage_link *out);

/**
 * The flash map for a number of ELFs: given by the caller, or what their addresses leave.
 * Initialise, add each ELF, then ask.
 */
struct espimage_map_choice {
    const struct espimage_flash_map *given; /**< by the caller, or NULL */
    espimage_map_set left;                  /**< maps that fit every ELF so far */
    char settled_by[256];                   /**< the file that narrowed it last */
    uint32_t settled_at;                    /**< the link address of that file */
};

ESPIMAGE_API void espimage_map_choice_init(struct espimage_map_choice *choice,
                                           const struct espimage_flash_map *given);

/**
 * Narrows the choice by one more ELF. One that is linked for no slot does not narrow.
 * @param file its name, for messages; copied.
 * @return ESPIMAGE_OK, or ESPIMAGE_ERR_LAYOUT with both values when it contradicts the given map
 *         or an earlier ELF; the choice is then as before.
 */
ESPIMAGE_API enum espimage_code espimage_map_choice_add(struct espimage_map_choice *choice,
                                                        const struct espimage_link *link,
                                                        const char *file,
                                                        struct espimage_error *err);

/**
 * The map: the given one; else the only one left; else the most usual of those left, with 1MB
 * first (as esptool assumes), and *assumed set.
 */
ESPIMAGE_API const struct espimage_flash_map *
espimage_map_choice_map(const struct espimage_map_choice *choice, bool *assumed);

/** Bit 0: right for user1 in this map; bit 1: right for user2. 0: for neither. */
ESPIMAGE_API unsigned espimage_link_slots(const struct espimage_link *link,
                                          const struct espimage_flash_map *map);

/**
 * Fills err with why the ELF is neither user1 nor user2 of the map and what to do.
 * @return err->code, ESPIMAGE_ERR_LAYOUT.
 */
ESPIMAGE_API enum espimage_code espimage_link_refuse(const struct espimage_link *link,
                                                     const struct espimage_flash_map *map,
                                                     struct espimage_error *err);

ESPIMAGE_END

#endif
