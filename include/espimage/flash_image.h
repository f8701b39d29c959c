/* SPDX-License-Identifier: MIT */
/**
 * @file flash_image.h
 * What a file holds, by its content; and the parts of a whole flash.
 */
#ifndef ESPIMAGE_FLASH_IMAGE_H
#define ESPIMAGE_FLASH_IMAGE_H

#include <espimage/image.h>
#include <espimage/parameters.h>

ESPIMAGE_BEGIN

enum espimage_content {
    ESPIMAGE_CONTENT_ELF,
    ESPIMAGE_CONTENT_IMAGE, /**< begins like an image, v1 or v2 */
    ESPIMAGE_CONTENT_FLASH, /**< a flash dump: a power of two long, 256 KB to 16 MB, with a header
                                 at 0; or the beginning of one, a known bootloader and more */
    ESPIMAGE_CONTENT_UNKNOWN
};

/** "elf", "image", "flash", "unknown". */
ESPIMAGE_API const char *espimage_content_name(enum espimage_content content);

ESPIMAGE_API enum espimage_content espimage_recognise(const uint8_t *bytes, size_t size);

enum espimage_part_kind {
    ESPIMAGE_PART_BOOT,      /**< bootloader at 0 */
    ESPIMAGE_PART_SLOT,      /**< user1 or user2 */
    ESPIMAGE_PART_RF_CAL,    /**< F-0x5000, one sector */
    ESPIMAGE_PART_INIT_DATA, /**< F-0x4000, one sector: esp_init_data_default.bin */
    ESPIMAGE_PART_PARAMETERS /**< F-0x3000 .. F */
};

struct espimage_part {
    enum espimage_part_kind kind;
    const char *name; /**< "bootloader", "user1", ... */
    uint32_t address; /**< in flash */
    uint32_t size;    /**< bytes set aside for it; of a slot, those that are in the file */
    bool blank;       /**< all 0xFF */
};

#define ESPIMAGE_MAX_PARTS 6

/** How a flash is divided, by what is at its known places. */
enum espimage_flash_layout {
    ESPIMAGE_FLASH_SDK,     /**< Espressif's bootloader or a header in its place, user1, user2 */
    ESPIMAGE_FLASH_NO_BOOT, /**< firmware for no bootloader: its v1 image is longer than a sector */
    ESPIMAGE_FLASH_ARDUINO, /**< eboot, the sketch at 0x1000 */
    ESPIMAGE_FLASH_RBOOT,   /**< rBoot, its configuration at 0x1000, ROMs */
    ESPIMAGE_FLASH_RTOS3,   /**< RTOS SDK 3: a partition table at 0x8000 or 0x5000 */
    ESPIMAGE_FLASH_AT_ZERO  /**< an image for a slot at 0: a mistake, nothing starts it */
};

/** "sdk", "no-boot", "arduino", "rboot", "rtos3", "at-zero". */
ESPIMAGE_API const char *espimage_flash_layout_name(enum espimage_flash_layout layout);
/** What is where, in one clause. */
ESPIMAGE_API const char *espimage_flash_layout_text(enum espimage_flash_layout layout);

/** An image that begins at a sector which is not the start of a slot. */
struct espimage_flash_image {
    uint32_t address;
    bool new_layout; /**< EA 04; otherwise v1 */
};

#define ESPIMAGE_MAX_FLASH_IMAGES 8

struct espimage_flash_view {
    const struct espimage_flash_map *map; /**< that the header at 0 names; NULL: none */
    enum espimage_flash_layout layout;    /**< only `sdk` has slots */
    bool size_agrees;                     /**< the file is as long as the map's flash */
    uint8_t boot_header[4];
    size_t part_count;
    struct espimage_part parts[ESPIMAGE_MAX_PARTS]; /**< those that lie within the file, at the
                                                         places that the map gives them */
    size_t image_count;
    struct espimage_flash_image images[ESPIMAGE_MAX_FLASH_IMAGES]; /**< whole ones, by address */
};

/** @param bytes recognised as ESPIMAGE_CONTENT_FLASH. */
ESPIMAGE_API void espimage_flash_parse(const uint8_t *bytes, size_t size,
                                       struct espimage_flash_view *out);

/**
 * The image at the start of a slot, whose end only its own structure tells.
 * @param bytes from the start of the slot, at most its size.
 * @return its length with CRC, or 0 when there is no whole image.
 */
ESPIMAGE_API size_t espimage_slot_image_size(const uint8_t *bytes, size_t size);

/**
 * The bytes of a part that are its content, from its start: an image with its CRC in a slot, the
 * bootloader without the blank flash behind it, init data of 128 bytes when the rest of its sector
 * is blank, and all of any other part. 0 when the part is blank, when a slot holds no whole image,
 * and for the header that espimage_flash_build() puts in the place of a bootloader.
 * @param bytes the flash that was parsed.
 */
ESPIMAGE_API size_t espimage_part_content_size(const uint8_t *bytes,
                                               const struct espimage_part *part);

/**
 * Sets flash mode, clock and map in the header of a bootloader, in place, as flashing tools do.
 * @return ESPIMAGE_OK, _ERR_IMAGE when it is not a bootloader (first byte E9) or longer than the
 *         sector before user1, _ERR_USAGE (options).
 */
ESPIMAGE_API enum espimage_code espimage_boot_patch(uint8_t *bytes, size_t size,
                                                    const struct espimage_build_options *options,
                                                    struct espimage_error *err);

/* ---- building a flash ----
 *
 *     struct espimage_flash_contents contents = ESPIMAGE_FLASH_CONTENTS_INIT;
 *     contents.map = map;
 *     contents.boot = (struct espimage_flash_content){"boot.bin", boot, 4080};
 *     contents.slot[0] = (struct espimage_flash_content){"app1.elf", image.data, image.size};
 *     if (espimage_flash_plan_make(&contents, &plan, &err) == ESPIMAGE_OK &&
 *         espimage_flash_build(&plan, &flash, &err) == ESPIMAGE_OK) ...
 */

/** Bytes for a part of a flash. Nothing is copied: name and bytes must outlive the plan. */
struct espimage_flash_content {
    const char *name;     /**< where it comes from, for messages */
    const uint8_t *bytes; /**< NULL: none */
    size_t size;
};

/** What to put into a flash; see "Options" in espimage.h. */
struct espimage_flash_contents {
    size_t size;                          /**< of this struct */
    const struct espimage_flash_map *map; /**< one with slots */
    uint8_t flash_mode;                   /**< code of a known mode */
    uint8_t flash_freq;                   /**< code of a known clock */
    uint8_t run;                          /**< 2: the parameters say that user2 runs; otherwise
                                               they are blank, and user1 does */
    uint8_t reserved[5];                  /**< 0 */
    struct espimage_flash_content boot;   /**< none: a header takes its place, see below */
    struct espimage_flash_content slot[2];
    struct espimage_flash_content init_data; /**< 128 bytes, or a whole sector as read back */
};

#define ESPIMAGE_FLASH_CONTENTS_INIT                                                               \
    {                                                                                              \
        sizeof(struct espimage_flash_contents), NULL, 0, 0, 0, {0, 0, 0, 0, 0}, {NULL, NULL, 0},   \
            {{NULL, NULL, 0}, {NULL, NULL, 0}},                                                    \
        {                                                                                          \
            NULL, NULL, 0                                                                          \
        }                                                                                          \
    }

/** What goes where: every part of the map, by address, with the content that is for it. */
struct espimage_flash_plan {
    const struct espimage_flash_map *map;
    uint8_t flash_mode;
    uint8_t flash_freq;
    enum espimage_boot_version boot_version; /**< of the bootloader; _UNKNOWN also without one */
    uint8_t run;                             /**< 1 or 2: the slot that the parameters name */
    size_t part_count;
    struct espimage_part parts[ESPIMAGE_MAX_PARTS]; /**< blank: nothing is written to it */
    struct espimage_flash_content contents[ESPIMAGE_MAX_PARTS]; /**< of the part of that index */
};

/**
 * Checks each content, and that bootloader, flash map and images go together, and gives each its
 * place.
 * @param notes may be NULL; says what will not update later, and when the bootloader is unknown.
 * @return ESPIMAGE_OK, _ERR_USAGE (a map without slots; user2 is to run and is not there, or there
 *         is no bootloader of a known version for it), _ERR_SIZE (larger than its part, or init
 *         data of a strange size), _ERR_IMAGE (no bootloader, init data that does not begin with
 *         05, or an image that the bootloader does not start), _ERR_LAYOUT (a bootloader that does
 *         not know the map). The error's file is the content's name.
 */
ESPIMAGE_API enum espimage_code
espimage_flash_plan_make(const struct espimage_flash_contents *contents,
                         struct espimage_flash_plan *out, struct espimage_notes *notes,
                         struct espimage_error *err);

/**
 * The whole flash: as long as the map's flash, 0xFF where nothing goes. The bootloader's header
 * gets the flash settings of the plan. Without a bootloader there are only the four bytes
 * E9 00 mode size/freq at 0, no segments: enough to know the flash by, nothing that a chip starts.
 * @param[out] out freed with espimage_bytes_free().
 * @return ESPIMAGE_OK or _ERR_MEMORY.
 */
ESPIMAGE_API enum espimage_code espimage_flash_build(const struct espimage_flash_plan *plan,
                                                     struct espimage_bytes *out,
                                                     struct espimage_error *err);

/**
 * Which slot a ready image is for: by its app number; without one, by the addresses in it. The
 * bootloader must start it. What the upgrade library refuses is a note, for a flash is written by
 * cable; but a CRC that is wrong without a known reason is damage.
 * @param[out] app 1 or 2; 0: either.
 * @param notes may be NULL; also says when its flash settings are not those of the flash.
 * @return ESPIMAGE_OK, _ERR_IMAGE with the rule that is broken, _ERR_LAYOUT or _ERR_USAGE (a
 *         map without slots).
 */
ESPIMAGE_API enum espimage_code espimage_image_slot(const uint8_t *bytes, size_t size,
                                                    const struct espimage_flash_contents *flash,
                                                    uint8_t *app, struct espimage_notes *notes,
                                                    struct espimage_error *err);

ESPIMAGE_END

#endif
