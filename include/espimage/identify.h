/* SPDX-License-Identifier: MIT */
/**
 * @file identify.h
 * What a file is, by its content: a right image, an image with a known mistake, or one of the other
 * files that people have beside their images.
 */
#ifndef ESPIMAGE_IDENTIFY_H
#define ESPIMAGE_IDENTIFY_H

#include <espimage/export.h>
#include <stddef.h>
#include <stdint.h>

ESPIMAGE_BEGIN

/** The names (espimage_mistake_name()) are stable, for scripts; the numbers and texts are not. */
enum espimage_mistake {
    ESPIMAGE_MISTAKE_NONE, /**< an image without a known mistake */

    /* Files that are not firmware. */
    ESPIMAGE_MISTAKE_EMPTY,
    ESPIMAGE_MISTAKE_ELF,         /**< an ELF renamed to .bin */
    ESPIMAGE_MISTAKE_HTML,        /**< a web page saved as .bin */
    ESPIMAGE_MISTAKE_HTTP,        /**< an HTTP response, header included */
    ESPIMAGE_MISTAKE_GZIP,        /**< compressed on the way */
    ESPIMAGE_MISTAKE_ZIP,         /**< a zip archive */
    ESPIMAGE_MISTAKE_LFS_POINTER, /**< a Git LFS pointer */
    ESPIMAGE_MISTAKE_INTEL_HEX,   /**< an image as Intel HEX */
    ESPIMAGE_MISTAKE_BASE64,      /**< an image in base64 */
    ESPIMAGE_MISTAKE_BLANK,       /**< erased flash */

    /* Firmware, but not an image for the new bootloader. */
    ESPIMAGE_MISTAKE_FLASH,            /**< a flash dump; see espimage_flash_parse() */
    ESPIMAGE_MISTAKE_BOOTLOADER,       /**< Espressif's bootloader 1.x */
    ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER, /**< rBoot itself */
    ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER, /**< bootloader of RTOS SDK 3 */
    ESPIMAGE_MISTAKE_ARDUINO,          /**< eboot and a sketch */
    ESPIMAGE_MISTAKE_RTOS3,            /**< an application of RTOS SDK 3 */
    ESPIMAGE_MISTAKE_ESP32,            /**< an image for a chip of the ESP32 family */
    ESPIMAGE_MISTAKE_OLD_FORMAT,       /**< old layout: v1, irom from 0x10000 on, for a slot */
    ESPIMAGE_MISTAKE_ONE_FILE,         /**< both parts for no bootloader in one file */
    ESPIMAGE_MISTAKE_V1,               /**< another v1 image: the RAM part for no bootloader */
    ESPIMAGE_MISTAKE_IROM,             /**< a flash part alone, without header */
    ESPIMAGE_MISTAKE_INIT_DATA,        /**< esp_init_data_default.bin */
    ESPIMAGE_MISTAKE_PARTITION_TABLE,  /**< of RTOS SDK 3 */
    ESPIMAGE_MISTAKE_EHUG,             /**< libesphttpd's bundle */
    ESPIMAGE_MISTAKE_SMING_BUNDLE,     /**< Sming's firmware.ota */

    /* Images for the new bootloader, changed on the way. */
    ESPIMAGE_MISTAKE_OFFSET,     /**< something is before the image */
    ESPIMAGE_MISTAKE_TWO_IMAGES, /**< a further image behind the first */
    ESPIMAGE_MISTAKE_TEXT_MODE,  /**< each 0A became 0D 0A */
    ESPIMAGE_MISTAKE_UTF8,       /**< each byte from 80 on became two */
    ESPIMAGE_MISTAKE_REPLACED,   /**< each byte from 80 on was replaced */
    ESPIMAGE_MISTAKE_TRUNCATED,  /**< the end is missing */
    ESPIMAGE_MISTAKE_TRAILING,   /**< bytes behind the image */
    ESPIMAGE_MISTAKE_READBACK,   /**< no CRC, and erased flash behind the image */
    ESPIMAGE_MISTAKE_EDITED,     /**< the CRC is of other bytes 2 and 3 */

    /* Images for the new bootloader, made otherwise. */
    ESPIMAGE_MISTAKE_ESPTOOL,        /**< esptool elf2image: flash bytes as app number */
    ESPIMAGE_MISTAKE_RTOS1,          /**< gen_appbin of RTOS SDK 1.x: the same */
    ESPIMAGE_MISTAKE_ESPTOOL2,       /**< esptool2, or early gen_appbin: the same, and no CRC */
    ESPIMAGE_MISTAKE_APP_0,          /**< apps numbered 0 and 1 */
    ESPIMAGE_MISTAKE_NO_CRC,         /**< fourth byte 0 and no CRC: early gen_appbin */
    ESPIMAGE_MISTAKE_GEN_APPBIN_PY3, /**< Python 3 port of gen_appbin.py: CRC of wrong branch */
    ESPIMAGE_MISTAKE_PLAIN_CRC,      /**< an ordinary CRC-32 */
    ESPIMAGE_MISTAKE_SECOND_BYTE,    /**< ESPImageTool: the segment count where 4 belongs */
    ESPIMAGE_MISTAKE_E9_HEADER,      /**< E9 04 where EA 04 belongs */

    ESPIMAGE_MISTAKE_UNKNOWN /**< not an image, and nothing that is known */
};

/** "none", "esptool", "esptool2", ... */
ESPIMAGE_API const char *espimage_mistake_name(enum espimage_mistake mistake);
/** What such a file is and what to do, in one line; "" for none. */
ESPIMAGE_API const char *espimage_mistake_text(enum espimage_mistake mistake);

struct espimage_identity {
    enum espimage_mistake mistake;
    size_t offset;  /**< OFFSET, HTTP: where the image begins, 0: there is none; TWO_IMAGES: where
                         the second one does */
    char is[160];   /**< what it is, without what to do; "" for none */
    char text[480]; /**< as espimage_mistake_text(), with what this file shows: versions, offsets */
};

/**
 * Never fails and allocates nothing. Time is O(size).
 * @param bytes size bytes; may be NULL when size is 0.
 */
ESPIMAGE_API void espimage_identify(const uint8_t *bytes, size_t size,
                                    struct espimage_identity *out);

ESPIMAGE_END

#endif
