/* SPDX-License-Identifier: MIT */
/**
 * @file firmware.h
 * What an ELF holds for the chip: entry, flash part, RAM segments.
 *
 * A firmware is immutable, owns all its bytes and can be read by several threads at once.
 */
#ifndef ESPIMAGE_FIRMWARE_H
#define ESPIMAGE_FIRMWARE_H

#include <espimage/error.h>
#include <espimage/flash.h>

ESPIMAGE_BEGIN

/** Bytes kept of a section's name; longer ones are cut, bytes that do not print become '?'. */
#define ESPIMAGE_SECTION_NAME 48

/** A section that occupies memory on the chip. */
struct espimage_section {
    char name[ESPIMAGE_SECTION_NAME];
    enum espimage_region_kind region;
    uint32_t address;
    uint32_t size;        /**< bytes, > 0 */
    const uint8_t *bytes; /**< size bytes, or NULL for one without content (.bss) */
};

typedef struct espimage_firmware espimage_firmware;

/**
 * Reads an ELF file: ELF32, little-endian, Xtensa, executable. Every section with SHF_ALLOC and
 * size > 0 is taken; those with content make up the image, in the order of the file.
 *
 * Hostile input is expected: each size is checked before it is used, time is O(n log n) in the
 * number of sections, memory below size + 2 MB + 300 bytes a section.
 *
 * @param bytes the whole file; not modified, not kept.
 * @param[out] out a new firmware, to be freed with espimage_firmware_free().
 * @return ESPIMAGE_OK, _ERR_ELF, _ERR_LAYOUT (a section outside the chip's memories, or two that
 *         overlap), _ERR_SIZE, _ERR_MEMORY.
 */
ESPIMAGE_API enum espimage_code espimage_firmware_from_elf(const void *bytes, size_t size,
                                                           espimage_firmware **out,
                                                           struct espimage_error *err);

/**
 * The same from sections in memory, for tools that have no ELF. The same checks apply; the
 * `region` of each section is worked out from its address, names and bytes are copied.
 */
ESPIMAGE_API enum espimage_code
espimage_firmware_from_sections(uint32_t entry, const struct espimage_section *sections,
                                size_t count, espimage_firmware **out, struct espimage_error *err);

/** Accepts NULL. */
ESPIMAGE_API void espimage_firmware_free(espimage_firmware *fw);

ESPIMAGE_API uint32_t espimage_firmware_entry(const espimage_firmware *fw);

/**
 * Why the entry point seems not to be code, in one clause; "" when nothing speaks against it. A
 * linker that does not find the symbol of ENTRY() only warns and takes the start of .text, where
 * the literals of the first function are: a device crashes there at once. Taken from the ELF's
 * symbols, or from the word at the entry when it has none.
 */
ESPIMAGE_API const char *espimage_firmware_entry_doubt(const espimage_firmware *fw);

/** All sections, in the order of the ELF. Views live as long as the firmware. */
ESPIMAGE_API size_t espimage_firmware_section_count(const espimage_firmware *fw);
ESPIMAGE_API const struct espimage_section *espimage_firmware_section(const espimage_firmware *fw,
                                                                      size_t index);

/** The flash part as the chip sees it: one run of bytes, gaps between sections filled with 0. */
struct espimage_irom {
    uint32_t address;     /**< 0 when there is none */
    uint32_t size;        /**< 0 when there is none; at most 1 MB */
    const uint8_t *bytes; /**< NULL when there is none */
};

ESPIMAGE_API struct espimage_irom espimage_firmware_irom(const espimage_firmware *fw);

/** Bytes that sections occupy in a memory, .bss included. */
ESPIMAGE_API uint32_t espimage_firmware_use(const espimage_firmware *fw,
                                            enum espimage_region_kind kind);

ESPIMAGE_END

#endif
