/* SPDX-License-Identifier: MIT */
/* How an image is named, and whether its code can run in its slot. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "base/bytes.h"
#include "device/build.h"
#include "image/build_number.h"

#include <string.h>

#define ENTRY     0x40100000U
#define IROM_SIZE 256U
#define WORDS     12U /* of the RAM code, the same address each */

static void identify(const char *irom_text, uint32_t word, const char *map_name, uint8_t slot,
                     struct build *out)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_name(map_name);
    static uint8_t irom[IROM_SIZE];
    static uint8_t text[16 + 4 * WORDS];
    struct espimage_build_options options = options_usual();
    memset(irom, 0x5A, sizeof irom);
    memcpy(irom + 9, irom_text, strlen(irom_text) + 1);
    for (size_t i = 0; i < WORDS; i++) {
        put_le32(text + 8 + 4 * i, word);
    }
    const struct espimage_section sections[] = {
        section(".text", ENTRY, sizeof text, text),
        section(".irom0.text", 0x40281010, sizeof irom, irom),
    };
    espimage_firmware *fw = firmware(ENTRY, sections, COUNT(sections));
    options.app = 2;
    struct espimage_bytes bytes = image(fw, &options);
    static uint8_t flash[0x8000];
    memset(flash, 0xFF, sizeof flash);
    memcpy(flash, bytes.data, bytes.size);
    build_identify(flash, sizeof flash, map, map->slot[slot - 1], out);
    espimage_bytes_free(&bytes);
    espimage_firmware_free(fw);
}

struct naming {
    const char *name;
    const char *text;
    const char *wanted; /* NULL: the CRC */
};

static const struct naming namings[] = {
    {"number", BUILD_TAG "7", "build 7"},
    {"long number", BUILD_TAG "4294967295", "build 4294967295"},
    {"too long a number", BUILD_TAG "12345678901", NULL},
    {"no number", BUILD_TAG, NULL},
    {"a word", BUILD_TAG "seven", NULL},
    {"no end", BUILD_TAG "7 ", NULL},
    {"the first is none", BUILD_TAG "x" BUILD_TAG "8", "build 8"},
    {"nothing", "", NULL},
};

static void test_name(void **state)
{
    const struct naming *n = *state;
    struct build build;
    identify(n->text, 0, "1MB", 2, &build);
    if (n->wanted != NULL) {
        assert_string_equal(build.name, n->wanted);
    } else {
        assert_int_equal(strlen(build.name), strlen("image ") + 8);
        assert_memory_equal(build.name, "image ", 6);
    }
}

struct reference {
    const char *name;
    uint32_t word; /* in RAM code */
    const char *map;
    uint8_t slot;
    const char *trouble; /* NULL: none */
};

static const struct reference references[] = {
    {"own first byte", 0x40281010, "1MB", 2, NULL},
    {"own last byte", 0x40281010 + IROM_SIZE - 1, "1MB", 2, NULL},
    {"no slot's", 0x40281010 + IROM_SIZE, "1MB", 2, NULL},
    {"no flash address", 0x40100000, "1MB", 2, NULL},
    {"other slot", 0x40281010, "1MB", 1, "for 0x40281010, not for user1 of 1MB, 0x40201010"},
    {"other map", 0x40281010, "512KB", 2, "for 0x40281010, not for user2 of 512KB, 0x40241010"},
    {"windowed map", 0x40201010, "2MB-c1", 2, NULL},
    {"windowed map, linked for another", 0x40281010, "2MB-c1", 2, "for 0x40281010"},
};

static void test_reference(void **state)
{
    const struct reference *r = *state;
    struct build build;
    identify("", r->word, r->map, r->slot, &build);
    if (r->trouble != NULL) {
        assert_mentions(build.trouble, r->trouble);
    } else {
        assert_string_equal(build.trouble, "");
    }
}

int main(void)
{
    return run_table("names", namings, test_name) +
           run_table("references", references, test_reference);
}
