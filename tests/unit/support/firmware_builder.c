/* SPDX-License-Identifier: MIT */
#include "support/firmware_builder.h"

#include "base/bytes.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

const uint8_t *content(void)
{
    static uint8_t bytes[CONTENT_SIZE];
    if (bytes[0] == 0) {
        struct random r = {1};
        random_fill(&r, bytes, sizeof bytes);
        bytes[0] = 0x5A;
    }
    return bytes;
}

struct espimage_section section(const char *name, uint32_t address, uint32_t size,
                                const uint8_t *bytes)
{
    struct espimage_section s = {.address = address, .size = size, .bytes = bytes};
    (void)snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

espimage_firmware *firmware(uint32_t entry, const struct espimage_section *sections, size_t count)
{
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    assert_ok(espimage_firmware_from_sections(entry, sections, count, &fw, &err), &err);
    return fw;
}

espimage_firmware *firmware_tiny(uint32_t irom)
{
    static const uint8_t data[] = {0xA1, 0xA2, 0xA3};
    static const uint8_t text[] = {1, 2, 3, 4, 5, 6};
    static const uint8_t flash[] = {0x11, 0x22, 0x33, 0x44, 0x55};
    const struct espimage_section sections[] = {
        section(".data", 0x3FFE8000, sizeof data, data),
        section(".text", 0x40100000, sizeof text, text),
        section(".irom0.text", irom, sizeof flash, flash),
    };
    return firmware(0x40100004, sections, irom != 0 ? 3 : 2);
}

espimage_firmware *firmware_of_image_size(uint32_t irom, uint32_t size)
{
    /* headers 16 + 8 + 8, 64 bytes of .text, checksum line 16, CRC 4 */
    uint32_t flash = size - 16 - 16 - 64 - 16 - 4;
    const struct espimage_section sections[] = {
        section(".text", 0x40100000, 64, content()),
        section(".irom0.text", irom, flash, content()),
    };
    return firmware(0x40100004, sections, COUNT(sections));
}

espimage_firmware *firmware_pointing(uint32_t irom, uint32_t size, uint32_t words,
                                     uint32_t points_to)
{
    static const uint8_t blank[CONTENT_SIZE];
    uint8_t *table = calloc(words + 1, 4);
    assert_non_null(table);
    for (uint32_t i = 0; i < words; i++) {
        put_le32(table + (size_t)4 * i, points_to + (i * 36) % size);
    }
    const struct espimage_section sections[] = {
        section(".text", 0x40100000, 64, content()),
        section(".rodata", 0x3FFE8000, 4 * words, table),
        section(".irom0.text", irom, size, blank),
    };
    espimage_firmware *fw = firmware(0x40100004, sections, COUNT(sections));
    free(table);
    return fw;
}

struct espimage_build_options options_usual(void)
{
    struct espimage_build_options options = {.size = sizeof options,
                                             .profile = ESPIMAGE_PROFILE_SDK,
                                             .map = espimage_flash_map_by_name("1MB"),
                                             .app = 1};
    return options;
}

struct espimage_bytes image(const espimage_firmware *fw,
                            const struct espimage_build_options *options)
{
    struct espimage_error err;
    struct espimage_bytes bytes = {0};
    assert_ok(espimage_image_build(fw, options, &bytes, NULL, &err), &err);
    return bytes;
}

espimage_report *verified(const uint8_t *bytes, size_t size,
                          const struct espimage_verify_options *options)
{
    struct espimage_error err;
    espimage_report *report = NULL;
    assert_ok(espimage_verify(bytes, size, options, &report, &err), &err);
    return report;
}

bool accepted(const espimage_report *report, enum espimage_consumer consumer)
{
    return espimage_report_verdict(report, consumer)->accepts;
}

void seal(uint8_t *bytes, size_t size)
{
    put_le32(bytes + size - 4, espimage_image_crc(bytes, size));
}
