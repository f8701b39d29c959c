/* SPDX-License-Identifier: MIT */
/**
 * @file image.h
 * Builds and takes apart images of the new bootloader (boot 1.2 and later).
 *
 * The format is drawn in src/image/image_format.h and in espimage-format(5). It was checked against
 * images that Espressif ships and against the output of gen_appbin.py, esptool, esptool2 and
 * ESPImageTool.
 */
#ifndef ESPIMAGE_IMAGE_H
#define ESPIMAGE_IMAGE_H

#include <espimage/firmware.h>

ESPIMAGE_BEGIN

/** Whose image it is: they differ in header bytes, segment order and the last four bytes. */
enum espimage_profile {
    ESPIMAGE_PROFILE_SDK,        /**< app number, ELF order, CRC: what devices want */
    ESPIMAGE_PROFILE_GEN_APPBIN, /**< app number, .text .data .rodata first, CRC */
    ESPIMAGE_PROFILE_ESPTOOL,    /**< flash settings in both headers, ELF order, CRC */
    ESPIMAGE_PROFILE_RBOOT,    /**< flash settings, .text .data .rodata first, no CRC (esptool2) */
    ESPIMAGE_PROFILE_ESPRUINO, /**< as gen_appbin, apps numbered 0 and 1 */
    ESPIMAGE_PROFILE_RTOS1,    /**< RTOS SDK 1.x: as gen_appbin, flash settings in both headers */
    ESPIMAGE_PROFILE_COUNT
};

/** "sdk", "gen_appbin", "esptool", "rboot", "espruino", "rtos1". */
ESPIMAGE_API const char *espimage_profile_name(enum espimage_profile profile);
/** False when there is no such profile; *out is then untouched. */
ESPIMAGE_API bool espimage_profile_by_name(const char *name, enum espimage_profile *out);

/** Options of the builders; see "Options" in espimage.h. */
struct espimage_build_options {
    size_t size; /**< of this struct */
    enum espimage_profile profile;
    const struct espimage_flash_map *map; /**< gives the size code and the slot limit; not NULL */
    uint8_t app;                          /**< 1 or 2 */
    uint8_t flash_mode;                   /**< code of a known mode */
    uint8_t flash_freq;                   /**< code of a known clock */
    bool irom_checksum;                   /**< also XOR the irom part (rBoot's BOOT_IROM_CHKSUM) */
    uint8_t reserved[4];                  /**< 0 */
};

#define ESPIMAGE_BUILD_OPTIONS_INIT                                                                \
    {                                                                                              \
        sizeof(struct espimage_build_options), ESPIMAGE_PROFILE_SDK, NULL, 0, 0, 0, false,         \
        {                                                                                          \
            0, 0, 0, 0                                                                             \
        }                                                                                          \
    }

/** Bytes that the caller owns. */
struct espimage_bytes {
    uint8_t *data;
    size_t size;
};

/** Frees and empties; accepts an empty one. */
ESPIMAGE_API void espimage_bytes_free(struct espimage_bytes *bytes);

/**
 * Builds the image for one slot. The same input gives the same bytes on every machine.
 *
 * @param notes may be NULL; receives warnings, also before a failure (slot 90 % full, IRAM above
 *        32 KB, a map that bootloaders have trouble with).
 * @param[out] out a new image, at most the slot limit long; freed with espimage_bytes_free().
 * @return ESPIMAGE_OK, _ERR_SIZE (slot exceeded, more than 255 segments), _ERR_LAYOUT (entry
 *         outside IRAM, irom outside the window), _ERR_USAGE, _ERR_MEMORY.
 */
ESPIMAGE_API enum espimage_code espimage_image_build(const espimage_firmware *fw,
                                                     const struct espimage_build_options *options,
                                                     struct espimage_bytes *out,
                                                     struct espimage_notes *notes,
                                                     struct espimage_error *err);

/**
 * Builds the file for flash address 0 of a firmware without bootloader: header, RAM segments,
 * checksum. Its other half is espimage_firmware_irom(), to be written where it is linked.
 * Of the options app and irom_checksum do not count.
 */
ESPIMAGE_API enum espimage_code espimage_no_boot_build(const espimage_firmware *fw,
                                                       const struct espimage_build_options *options,
                                                       struct espimage_bytes *out,
                                                       struct espimage_error *err);

/** Length of the sdk image that espimage_image_build() would make, in bytes; 0 when beyond 16 MB.
 */
ESPIMAGE_API uint32_t espimage_image_size(const espimage_firmware *fw);

/** The CRC of an image: over all bytes before the last four. */
ESPIMAGE_API uint32_t espimage_image_crc(const uint8_t *bytes, size_t size);

/** How far a file could be read as an image. */
enum espimage_extent {
    ESPIMAGE_EXTENT_NONE,     /**< not even a header */
    ESPIMAGE_EXTENT_OUTER,    /**< outer header (v2), but the irom part leaves the file */
    ESPIMAGE_EXTENT_IROM,     /**< irom part too, but the inner header leaves the file */
    ESPIMAGE_EXTENT_INNER,    /**< inner header too, but a segment leaves the file */
    ESPIMAGE_EXTENT_SEGMENTS, /**< segments too, but the checksum byte is missing */
    ESPIMAGE_EXTENT_CHECKSUM  /**< everything up to the checksum */
};

#define ESPIMAGE_MAX_SEGMENTS 255

struct espimage_segment {
    uint32_t address;
    uint32_t size;   /**< as stored, bytes */
    uint32_t offset; /**< of its first byte in the file */
};

/** Where everything is in an image. Points into the bytes that were parsed. */
struct espimage_image_view {
    const uint8_t *bytes;
    size_t size;
    bool has_irom; /**< v2: an outer header (EA, or E9 04 followed by a zero load address) */
    enum espimage_extent extent;
    uint8_t outer[4]; /**< magic, second byte, b2, b3; valid when has_irom */
    uint32_t outer_entry;
    uint32_t irom_address; /**< load address field, 0 in every known image */
    uint32_t irom_offset;  /**< in the file: 16 */
    uint32_t irom_size;
    uint32_t inner_offset;
    uint8_t inner[4]; /**< magic, segment count, flash mode, size/freq; from EXTENT_INNER on */
    uint32_t entry;
    size_t segment_count; /**< segments that lie within the file */
    struct espimage_segment segment[ESPIMAGE_MAX_SEGMENTS];
    uint32_t checksum_offset; /**< valid from EXTENT_SEGMENTS on */
    uint8_t checksum_stored;  /**< valid at EXTENT_CHECKSUM */
    uint8_t checksum_ram;     /**< computed over the RAM segments */
    uint8_t checksum_all;     /**< computed over irom and RAM segments */
    size_t trailing;          /**< bytes after the checksum byte: 4 when there is a CRC */
};

/**
 * Never fails: extent tells how far it got. Reads each byte at most twice.
 * @param bytes size bytes that must outlive the view.
 */
ESPIMAGE_API void espimage_image_parse(const uint8_t *bytes, size_t size,
                                       struct espimage_image_view *out);

ESPIMAGE_END

#endif
