/* SPDX-License-Identifier: MIT */
/**
 * @file flash.h
 * The chip's memories, the flash maps with their slots, and the flash settings of a header.
 *
 * The numbers come from Espressif's linker scripts, bootloaders and upgrade library; they stand in
 * one table each, in src/image/chip.c and src/image/flash_map.c.
 */
#ifndef ESPIMAGE_FLASH_H
#define ESPIMAGE_FLASH_H

#include <espimage/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ESPIMAGE_BEGIN

/** The window through which the chip executes code from flash. */
#define ESPIMAGE_WINDOW_START UINT32_C(0x40200000)
#define ESPIMAGE_WINDOW_END   UINT32_C(0x40300000)

/** Erase unit of the flash; slots and limits are whole sectors. */
#define ESPIMAGE_SECTOR UINT32_C(0x1000)

/** The SDK's upgrade client never erases more than 240 sectors, so no update can bring a longer
 * image, however large the slot. Source: libupgrade of SDK 2.0.0 to 3.0.6, observed. */
#define ESPIMAGE_UPDATE_SECTORS UINT32_C(240)

/** At the end of the flash: RF calibration, init data and system parameters, five sectors. */
#define ESPIMAGE_SYSTEM_SIZE (5 * ESPIMAGE_SECTOR)

/** Length of the SDK's esp_init_data_default.bin; the rest of its sector is blank. */
#define ESPIMAGE_INIT_DATA_SIZE UINT32_C(128)

/** The irom bytes begin this many bytes into an image, so code is linked that far into its slot. */
#define ESPIMAGE_IROM_IN_IMAGE UINT32_C(0x10)

enum espimage_region_kind {
    ESPIMAGE_REGION_DRAM,
    ESPIMAGE_REGION_IRAM,
    ESPIMAGE_REGION_IROM,
    ESPIMAGE_REGION_RTC,
    ESPIMAGE_REGION_COUNT
};

/** A memory that a section can be linked to. */
struct espimage_region {
    enum espimage_region_kind kind;
    const char *name;      /**< "DRAM" */
    uint32_t start;        /**< first address */
    uint32_t size;         /**< bytes always there */
    uint32_t largest_size; /**< IRAM: with half of the cache given up; irom: all that is
                                addressed as flash, though only `size` of it can be executed */
};

/** The memory of a kind. Never NULL for a valid kind. */
ESPIMAGE_API const struct espimage_region *espimage_region(enum espimage_region_kind kind);

/** The memory that holds address (counting largest_size), or NULL. */
ESPIMAGE_API const struct espimage_region *espimage_region_at(uint32_t address);

/** One way to divide the flash. All maps live in static storage. */
struct espimage_flash_map {
    uint8_t code;            /**< high nibble of the size/freq byte */
    const char *name;        /**< esptool's: "1MB", "2MB-c1" */
    const char *legacy_name; /**< ESPImageTool's: "8m", "16m-c1"; NULL where it has none */
    uint32_t flash_size;     /**< bytes */
    uint32_t half;           /**< bytes of flash per slot: 512+512 has 0x80000; 0: no slots */
    uint32_t slot[2];        /**< flash address of user1 and user2 */
    uint32_t slot_limit;     /**< the longest image that SDK 2.2 and later accept by default */
    uint32_t irom_limit;     /**< length of irom0_0_seg in the SDK's linker script */
    uint32_t link[2];        /**< address at which irom is linked for user1 and user2 */
    const char *script[2];   /**< the SDK's linker scripts for user1 and user2 */
    const char *remark;      /**< a known trouble with this map, or NULL */
};

/** Number of maps and the map at index 0 <= index < count, by ascending code. */
ESPIMAGE_API size_t espimage_flash_map_count(void);
ESPIMAGE_API const struct espimage_flash_map *espimage_flash_map_at(size_t index);

/** The longest image, in bytes, that an update can bring into an OTA partition of so many bytes:
 * the upgrade client rounds it down to sectors and erases at most ESPIMAGE_UPDATE_SECTORS. Without
 * a partition of its own the firmware uses the slot: pass slot_limit. */
ESPIMAGE_API uint32_t espimage_update_limit(uint32_t partition);

/** By header code, or NULL. */
ESPIMAGE_API const struct espimage_flash_map *espimage_flash_map_by_code(uint8_t code);

/** By esptool's or ESPImageTool's name, letter case ignored, or NULL. */
ESPIMAGE_API const struct espimage_flash_map *espimage_flash_map_by_name(const char *name);

/** One image serves both slots: the window is switched to the megabyte that runs. */
ESPIMAGE_API bool espimage_flash_map_is_windowed(const struct espimage_flash_map *map);

/** A setting of a header byte and its name. */
struct espimage_flash_setting {
    uint8_t code;
    const char *name; /**< "qio", "40m" */
    const char *text; /**< "quad I/O", "40 MHz" */
};

/** Flash modes QIO 0, QOUT 1, DIO 2, DOUT 3; clock codes 40m 0, 26m 1, 20m 2, 80m 0xF. */
ESPIMAGE_API size_t espimage_flash_mode_count(void);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_mode_at(size_t index);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_mode_by_code(uint8_t code);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_mode_by_name(const char *name);
ESPIMAGE_API size_t espimage_flash_freq_count(void);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_freq_at(size_t index);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_freq_by_code(uint8_t code);
ESPIMAGE_API const struct espimage_flash_setting *espimage_flash_freq_by_name(const char *name);

ESPIMAGE_END

#endif
