/* SPDX-License-Identifier: MIT */
/**
 * @file error.h
 * What went wrong, as a value.
 *
 * A function that can fail takes a `struct espimage_error *` (never NULL) and returns a code. On
 * ESPIMAGE_OK the struct is untouched; otherwise the function has filled it and nothing else: no
 * out parameter is set and there is nothing to free. The library never prints and never exits.
 *
 *     struct espimage_error err;
 *     espimage_firmware *fw = NULL;
 *     if (espimage_firmware_from_elf(bytes, size, &fw, &err) != ESPIMAGE_OK) {
 *         char line[ESPIMAGE_ERROR_LINE];
 *         fprintf(stderr, "%s\n", espimage_error_line(&err, line, sizeof line));
 *     }
 */
#ifndef ESPIMAGE_ERROR_H
#define ESPIMAGE_ERROR_H

#include <espimage/export.h>
#include <stddef.h>

ESPIMAGE_BEGIN

/** The kind of a failure. The numbers are part of the ABI; texts are not. */
enum espimage_code {
    ESPIMAGE_OK = 0,
    ESPIMAGE_ERR_USAGE = 1,        /**< an argument or option that makes no sense */
    ESPIMAGE_ERR_MEMORY = 2,       /**< an allocation failed */
    ESPIMAGE_ERR_ELF = 3,          /**< not an ELF file for this chip, or a damaged one */
    ESPIMAGE_ERR_LAYOUT = 4,       /**< linked for other addresses than needed */
    ESPIMAGE_ERR_SIZE = 5,         /**< larger than the slot or the memory it is for */
    ESPIMAGE_ERR_IMAGE = 6,        /**< not an image, or a damaged one */
    ESPIMAGE_ERR_NO_INPUT = 7,     /**< the input cannot be opened */
    ESPIMAGE_ERR_CREATE = 8,       /**< the output cannot be created */
    ESPIMAGE_ERR_IO = 9,           /**< a read or write failed */
    ESPIMAGE_ERR_UNAVAILABLE = 10, /**< the port or service is not to be had */
    ESPIMAGE_ERR_TIMEOUT = 11      /**< it took too long */
};

/**
 * Advice that a program may want to complete with its own means: a menu, an option. The numbers
 * are part of the ABI.
 */
enum espimage_advice {
    ESPIMAGE_ADVICE_TEXT = 0,      /**< the text is complete */
    ESPIMAGE_ADVICE_FLASH_MAP = 1, /**< choose the flash map of the device, one with slots */
    ESPIMAGE_ADVICE_MATCH_MAP = 2, /**< link for the chosen flash map, or choose the linked one */
    ESPIMAGE_ADVICE_NO_BOOT = 3,   /**< or use espimage_no_boot_build() */
    ESPIMAGE_ADVICE_RBOOT = 4,     /**< or use ESPIMAGE_PROFILE_RBOOT */
    ESPIMAGE_ADVICE_EVERY_RULE = 5 /**< espimage_verify() reports every rule */
};

/** Each text is NUL-terminated and printable ASCII or UTF-8; an empty one means "nothing to say".
 */
struct espimage_error {
    enum espimage_code code;
    char file[512];   /**< the file it is about; set by who opened it */
    char found[320];  /**< what is wrong, with the value found */
    char wanted[192]; /**< the value that would be right */
    char advice[320]; /**< what to do about it */
    enum espimage_advice advice_code;
};

/** Enough for every text of an espimage_error on one line. */
#define ESPIMAGE_ERROR_LINE 1536

/**
 * "file: found; wanted X; advice", without a line feed.
 * @param line receives the text, cut to size bytes; @return line.
 */
ESPIMAGE_API char *espimage_error_line(const struct espimage_error *err, char *line, size_t size);

/** Things worth saying about a success: "93 % of the slot is used". */
struct espimage_notes {
    size_t count;
    char text[8][320];
};

#define ESPIMAGE_NOTES_INIT                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

ESPIMAGE_END

#endif
