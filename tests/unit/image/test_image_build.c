/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* firmware_tiny(), written out by hand: .data, .text, five bytes of irom. */
#define GOLDEN(app, ...)                                                                           \
    {                                                                                              \
        0xEA, 0x04, 0x00, app, 0x04, 0x00, 0x10, 0x40,      /* outer header, entry */              \
            0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, /* irom: address 0, 16 bytes */        \
            0x11, 0x22, 0x33, 0x44, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* irom, padded */      \
            0xE9, 0x02, 0x00, 0x20, 0x04, 0x00, 0x10, 0x40, /* inner header: 2, QIO, 1MB 40m */    \
            0x00, 0x80, 0xFE, 0x3F, 0x04, 0x00, 0x00, 0x00, /* .data: address, length */           \
            0xA1, 0xA2, 0xA3, 0x00,                         /* padded to 4 */                      \
            0x00, 0x00, 0x10, 0x40, 0x08, 0x00, 0x00, 0x00, /* .text */                            \
            0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x00, 0x00, /* padded to 8 */                      \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48,          /* checksum ends the line */           \
            __VA_ARGS__                                     /* CRC */                              \
    }

/* zlib's CRC of the first 80 bytes is C4782B7E, negative: stored is its one's complement. */
static const uint8_t golden1[] = GOLDEN(1, 0x81, 0xD4, 0x87, 0x3B);
/* zlib's CRC is 5D38CC11, positive: stored is one more. */
static const uint8_t golden2[] = GOLDEN(2, 0x12, 0xCC, 0x38, 0x5D);

static void check_golden(uint8_t app, const uint8_t *wanted, size_t size)
{
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    options.app = app;
    assert_int_equal(espimage_image_size(fw), size);
    assert_ok(espimage_image_build(fw, &options, &built, &notes, &err), &err);
    assert_int_equal(built.size, size);
    assert_memory_equal(built.data, wanted, size);
    assert_int_equal(notes.count, 0);
    espimage_bytes_free(&built);
    assert_null(built.data);
    assert_int_equal(built.size, 0);
    espimage_firmware_free(fw);
}

static void test_golden(void **state)
{
    (void)state;
    check_golden(1, golden1, sizeof golden1);
    check_golden(2, golden2, sizeof golden2);
}

/* The same segments and no irom header: what a device without bootloader starts. */
static void test_no_boot(void **state)
{
    (void)state;
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    uint8_t wanted[48];
    espimage_firmware *fw = firmware_tiny(0x40210000);
    options.app = 0;
    memcpy(wanted, golden1 + 32, sizeof wanted);
    assert_ok(espimage_no_boot_build(fw, &options, &built, &err), &err);
    assert_int_equal(built.size, sizeof wanted);
    assert_memory_equal(built.data, wanted, sizeof wanted);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

/* Four RAM sections of 8 bytes, the last two of which touch, and irom between them. */
static espimage_firmware *ordered_firmware(void)
{
    const struct espimage_section sections[] = {
        section(".rodata", 0x3FFE8100, 8, content()),
        section(".irom0.text", 0x40201010, 16, content() + 64),
        section(".data", 0x3FFE8000, 8, content() + 8),
        section(".bss", 0x3FFE9000, 16, NULL),
        section(".vectors", 0x40100010, 7, content() + 16),
        section(".text", 0x40100018, 8, content() + 24),
    };
    return firmware(0x40100018, sections, COUNT(sections));
}

#define RODATA  0x3FFE8100
#define DATA    0x3FFE8000
#define VECTORS 0x40100010
#define TEXT    0x40100018

struct profile_case {
    const char *name;
    enum espimage_profile profile;
    uint8_t app;
    uint8_t outer[4];
    uint32_t address[4]; /* of the segments, in order; 0: no more */
    bool crc;
};

/* With map 4MB (4), DOUT (3) and 26 MHz (1). */
static const struct profile_case profile_rows[] = {
    {"sdk", ESPIMAGE_PROFILE_SDK, 1, {0xEA, 4, 0, 1}, {RODATA, DATA, VECTORS, TEXT}, true},
    {"sdk 2", ESPIMAGE_PROFILE_SDK, 2, {0xEA, 4, 0, 2}, {RODATA, DATA, VECTORS, TEXT}, true},
    {"gen_appbin",
     ESPIMAGE_PROFILE_GEN_APPBIN,
     1,
     {0xEA, 4, 0, 1},
     {TEXT, DATA, RODATA, VECTORS},
     true},
    {"gen_appbin 2",
     ESPIMAGE_PROFILE_GEN_APPBIN,
     2,
     {0xEA, 4, 0, 2},
     {TEXT, DATA, RODATA, VECTORS},
     true},
    {"esptool", ESPIMAGE_PROFILE_ESPTOOL, 1, {0xEA, 4, 3, 0x41}, {RODATA, DATA, VECTORS, 0}, true},
    {"rboot", ESPIMAGE_PROFILE_RBOOT, 1, {0xEA, 4, 3, 0x41}, {TEXT, DATA, RODATA, VECTORS}, false},
    {"espruino",
     ESPIMAGE_PROFILE_ESPRUINO,
     1,
     {0xEA, 4, 0, 0},
     {TEXT, DATA, RODATA, VECTORS},
     true},
    {"espruino 2",
     ESPIMAGE_PROFILE_ESPRUINO,
     2,
     {0xEA, 4, 0, 1},
     {TEXT, DATA, RODATA, VECTORS},
     true},
    {"rtos1", ESPIMAGE_PROFILE_RTOS1, 1, {0xEA, 4, 3, 0x41}, {TEXT, DATA, RODATA, VECTORS}, true},
};

static void check_segments(const struct espimage_image_view *view, const uint32_t address[4])
{
    size_t count = address[3] != 0 ? 4 : 3;
    assert_int_equal(view->segment_count, count);
    for (size_t i = 0; i < count; i++) {
        bool merged = count == 3 && address[i] == VECTORS;
        assert_int_equal(view->segment[i].address, address[i]);
        assert_int_equal(view->segment[i].size, merged ? 16 : 8);
    }
}

static void test_profile(void **state)
{
    const struct profile_case *row = *state;
    static const uint8_t zeros[4];
    struct espimage_image_view view;
    struct espimage_build_options options = {.size = sizeof options,
                                             .profile = row->profile,
                                             .map = espimage_flash_map_by_name("4MB"),
                                             .app = row->app,
                                             .flash_mode = 3,
                                             .flash_freq = 1};
    espimage_firmware *fw = ordered_firmware();
    struct espimage_bytes built = image(fw, &options);
    espimage_image_parse(built.data, built.size, &view);
    assert_memory_equal(view.outer, row->outer, 4);
    assert_int_equal(view.inner[0], 0xE9);
    assert_int_equal(view.inner[1], row->address[3] != 0 ? 4 : 3);
    assert_int_equal(view.inner[2], 3);
    assert_int_equal(view.inner[3], 0x41);
    assert_int_equal(view.outer_entry, 0x40100018);
    assert_int_equal(view.entry, 0x40100018);
    check_segments(&view, row->address);
    assert_int_equal(view.extent, ESPIMAGE_EXTENT_CHECKSUM);
    assert_int_equal(view.checksum_stored, view.checksum_ram);
    assert_int_equal(view.trailing, row->crc ? 4 : 0);
    if (row->crc) {
        assert_int_equal(get_le32(built.data + built.size - 4),
                         espimage_image_crc(built.data, built.size));
    }
    assert_memory_equal(built.data + 8, zeros, 4);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

static void test_profile_names(void **state)
{
    (void)state;
    static const char *const names[] = {"sdk",   "gen_appbin", "esptool",
                                        "rboot", "espruino",   "rtos1"};
    enum espimage_profile profile;
    assert_int_equal(COUNT(names), ESPIMAGE_PROFILE_COUNT);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(espimage_profile_name((enum espimage_profile)i), names[i]);
        assert_true(espimage_profile_by_name(names[i], &profile));
        assert_int_equal(profile, i);
    }
    profile = ESPIMAGE_PROFILE_RBOOT;
    assert_false(espimage_profile_by_name("esptool2", &profile));
    assert_false(espimage_profile_by_name("", &profile));
    assert_int_equal(profile, ESPIMAGE_PROFILE_RBOOT);
}

/* What esptool joins: sections of one memory that touch when padded, next to each other. */
struct merge_case {
    const char *name;
    struct {
        uint32_t address;
        uint32_t size;
    } s[3];
    size_t segments;
    size_t bss; /* index of one without content; 0: none */
};

static const struct merge_case merge_rows[] = {
    {"three in a row", {{0x40100000, 6}, {0x40100008, 4}, {0x4010000C, 2}}, 1, 0},
    {".bss between", {{0x40100000, 8}, {0x3FFE8000, 4}, {0x40100008, 4}}, 1, 1},
    {"other memory between", {{0x40100000, 8}, {0x3FFE8000, 4}, {0x40100008, 4}}, 3, 0},
    {"a gap", {{0x40100000, 8}, {0x4010000C, 4}, {0x40100010, 4}}, 2, 0},
    {"wrong order", {{0x40100008, 4}, {0x40100000, 8}, {0x40100010, 4}}, 3, 0},
    {"irom between", {{0x40100000, 8}, {0x40201010, 4}, {0x40100008, 4}}, 2, 0},
};

static void test_merge(void **state)
{
    const struct merge_case *row = *state;
    struct espimage_section sections[3];
    struct espimage_build_options options = options_usual();
    struct espimage_image_view merged;
    struct espimage_image_view apart;
    for (size_t i = 0; i < 3; i++) {
        sections[i] = section(".s", row->s[i].address, row->s[i].size,
                              i != 0 && i == row->bss ? NULL : content() + 100 * i);
    }
    espimage_firmware *fw = firmware(0x40100000, sections, 3);
    struct espimage_bytes sdk = image(fw, &options);
    options.profile = ESPIMAGE_PROFILE_ESPTOOL;
    struct espimage_bytes esptool = image(fw, &options);
    espimage_image_parse(esptool.data, esptool.size, &merged);
    espimage_image_parse(sdk.data, sdk.size, &apart);
    assert_int_equal(merged.segment_count, row->segments);
    assert_int_equal(merged.inner[1], row->segments);
    assert_int_equal(merged.checksum_stored, apart.checksum_stored);
    assert_int_equal(merged.trailing, 4);
    if (row->segments == 1 && row->bss == 0) {
        const uint8_t *at = esptool.data + merged.segment[0].offset;
        assert_int_equal(merged.segment[0].size, 16);
        assert_memory_equal(at, content(), 6);
        assert_memory_equal(at + 8, content() + 100, 4);
        assert_memory_equal(at + 12, content() + 200, 2);
    }
    espimage_bytes_free(&sdk);
    espimage_bytes_free(&esptool);
    espimage_firmware_free(fw);
}

static void test_irom_checksum(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40202010);
    options.profile = ESPIMAGE_PROFILE_RBOOT;
    struct espimage_bytes without = image(fw, &options);
    options.irom_checksum = true;
    struct espimage_bytes with = image(fw, &options);
    assert_int_equal(with.size, without.size);
    assert_int_equal(without.data[without.size - 1], 0x48);
    assert_int_equal(with.data[with.size - 1], 0x48 ^ 0x11 ^ 0x22 ^ 0x33 ^ 0x44 ^ 0x55);
    assert_memory_equal(with.data, without.data, with.size - 1);
    espimage_bytes_free(&without);
    espimage_bytes_free(&with);
    espimage_firmware_free(fw);
}

static void test_without_irom(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0);
    for (unsigned with = 0; with < 2; with++) {
        options.irom_checksum = with != 0;
        struct espimage_bytes built = image(fw, &options);
        assert_int_equal(built.size, sizeof golden1 - 16);
        assert_int_equal(get_le32(built.data + 12), 0);
        assert_memory_equal(built.data + 16, golden1 + 32, 48);
        espimage_bytes_free(&built);
    }
    espimage_firmware_free(fw);
}

/* The checksum stands at the end of its line, and the line after when the segments fill theirs. */
static void test_checksum_line(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    for (uint32_t size = 1; size <= 40; size++) {
        const struct espimage_section text = section(".text", 0x40100000, size, content());
        espimage_firmware *fw = firmware(0x40100000, &text, 1);
        struct espimage_bytes built = image(fw, &options);
        uint32_t end = 16 + 8 + 8 + (size + 3) / 4 * 4;
        uint32_t line_end = (end / 16 + 1) * 16;
        uint8_t sum = 0xEF;
        for (uint32_t i = 0; i < size; i++) {
            sum ^= content()[i];
        }
        assert_int_equal(built.size, line_end + 4);
        assert_int_equal(espimage_image_size(fw), line_end + 4);
        assert_int_equal(built.data[line_end - 1], sum);
        assert_true(bytes_all(built.data + 32 + size, line_end - 1 - 32 - size, 0));
        espimage_bytes_free(&built);
        espimage_firmware_free(fw);
    }
}

static espimage_firmware *firmware_of_segments(size_t count)
{
    struct espimage_section *sections = calloc(count, sizeof *sections);
    assert_non_null(sections);
    for (size_t i = 0; i < count; i++) {
        sections[i] = section(".s", 0x40100000 + (uint32_t)i * 8, 4, content() + i);
    }
    espimage_firmware *fw = firmware(0x40100000, sections, count);
    free(sections);
    return fw;
}

static void test_255_segments(void **state)
{
    (void)state;
    struct espimage_image_view view;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_of_segments(255);
    struct espimage_bytes built = image(fw, &options);
    espimage_image_parse(built.data, built.size, &view);
    assert_int_equal(view.segment_count, 255);
    assert_int_equal(view.extent, ESPIMAGE_EXTENT_CHECKSUM);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

static void test_256_segments(void **state)
{
    (void)state;
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_of_segments(256);
    assert_code(ESPIMAGE_ERR_SIZE, espimage_image_build(fw, &options, &built, NULL, &err), &err);
    assert_mentions(err.found, "256 sections");
    assert_mentions(err.wanted, "at most 255");
    assert_mentions(err.advice, "linker script");
    assert_code(ESPIMAGE_ERR_SIZE, espimage_no_boot_build(fw, &options, &built, &err), &err);
    assert_null(built.data);
    espimage_firmware_free(fw);
}

struct limit_case {
    const char *name; /* of the map */
    uint32_t limit;
};

static const struct limit_case limit_rows[] = {
    {"512KB", 0x3A000}, {"1MB", 0x7A000},    {"2MB", 0x7A000},    {"4MB", 0x7A000},
    {"8MB", 0xFA000},   {"2MB-c1", 0xFA000}, {"4MB-c1", 0xFA000}, {"16MB", 0xFA000},
};

/* An image is 4 bytes longer than its lines: the longest is 12 below the limit. */
static void test_limit(void **state)
{
    const struct limit_case *row = *state;
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    options.map = espimage_flash_map_by_name(row->name);
    espimage_firmware *fw = firmware_of_image_size(0x40201010, row->limit - 12);
    built = image(fw, &options);
    assert_int_equal(built.size, row->limit - 12);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);

    char found[40];
    char wanted[40];
    (void)snprintf(found, sizeof found, "would be %u bytes long", row->limit + 4);
    (void)snprintf(wanted, sizeof wanted, "at most %u, the slot of the %s map", row->limit,
                   row->name);
    fw = firmware_of_image_size(0x40201010, row->limit + 4);
    assert_code(ESPIMAGE_ERR_SIZE, espimage_image_build(fw, &options, &built, NULL, &err), &err);
    assert_mentions(err.found, found);
    assert_mentions(err.wanted, wanted);
    assert_mentions(err.advice, "smaller");
    assert_null(built.data);
    options.profile = ESPIMAGE_PROFILE_RBOOT; /* its slots are elsewhere */
    built = image(fw, &options);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

/* Without the CRC the profile for rBoot could fill a slot to the last byte; sdk cannot. */
static void test_image_size_is_that_of_sdk(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = ordered_firmware();
    struct espimage_bytes built = image(fw, &options);
    assert_int_equal(espimage_image_size(fw), built.size);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

struct note_case {
    const char *name;
    const char *map;
    uint32_t image_size; /* 0: tiny */
    uint32_t more;       /* address of another section of 16 bytes; 0: none */
    bool bss;            /* it has no content */
    size_t count;
    const char *note;
};

static const struct note_case note_rows[] = {
    {"nothing to say", "1MB", 0, 0, false, 0, NULL},
    {"90 %", "1MB", 0x6DCC4, 0, false, 0, NULL},
    {"more than 90 %", "1MB", 0x6DCE4, 0, false, 1, "90 % of the slot is used: 449764 of 499712"},
    {"full", "512KB", 0x39FF4, 0, false, 1, "99 % of the slot is used: 237556 of 237568"},
    {"240 sectors", "2MB-c1", 0xEFFF4, 0, false, 1,
     "99 % of the longest update is used: 983028 of 983040"},
    {"more than 240 sectors", "2MB-c1", 0xF0004, 0, false, 1,
     "no update can bring it: 983044 bytes, and the SDK's upgrade client erases at most 983040"},
    {"full, no update", "2MB-c1", 0xF9FF4, 0, false, 1, "flash it by cable"},
    {"IRAM to 32 KB", "1MB", 0, 0x40107FF0, false, 0, NULL},
    {"IRAM above 32 KB", "1MB", 0, 0x40107FF4, false, 1,
     "section .more ends at 0x40108004, above the first 32 KB of IRAM"},
    {"IRAM to 48 KB", "1MB", 0, 0x4010BFF0, false, 1, "ends at 0x4010C000"},
    {"IRAM above 32 KB, .bss", "1MB", 0, 0x40108000, true, 1, "half of the flash cache"},
    {"8MB", "8MB", 0, 0, false, 1, "flash map 8MB: users report that boot 1.7 never leaves user1"},
    {"16MB", "16MB", 0, 0, false, 1, "declare the chip as 2MB-c1"},
    {"all of them", "8MB", 0xF9FF4, 0x40108000, false, 3, NULL},
};

static espimage_firmware *firmware_for_note(const struct note_case *row)
{
    uint32_t extra = row->more != 0 && !row->bss ? 16 : 0; /* what it adds to the image */
    uint32_t size = row->image_size != 0 ? row->image_size : 0x204;
    const struct espimage_section sections[] = {
        section(".text", 0x40100000, 64, content()),
        section(".irom0.text", 0x40201010, size - 116 - extra, content()),
        section(".more", row->more, 16, row->bss ? NULL : content()),
    };
    return firmware(0x40100000, sections, row->more != 0 ? 3 : 2);
}

static void test_note(void **state)
{
    const struct note_case *row = *state;
    struct espimage_error err;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    options.map = espimage_flash_map_by_name(row->map);
    espimage_firmware *fw = firmware_for_note(row);
    assert_ok(espimage_image_build(fw, &options, &built, &notes, &err), &err);
    assert_int_equal(notes.count, row->count);
    if (row->note != NULL) {
        assert_mentions(notes.text[0], row->note);
    }
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

struct refusal {
    const char *name;
    uint32_t entry;
    uint32_t irom;
    struct espimage_build_options options;
    const char *map; /* NULL: none */
    enum espimage_code code;
    struct telling tells;
};

#define ENTRY 0x40100004
#define APP1  0x40201010
#define BOOT_ENTRY                                                                                 \
    {                                                                                              \
        "is in no section in IRAM", "an address in .text", "ENTRY(call_user_start)"                \
    }

static const struct refusal refusals[] = {
    {"entry in .data", 0x3FFE8000, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"entry in irom", APP1, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"entry 0", 0, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"entry behind .text", 0x40100006, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"entry before .text", 0x400FFFFF, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"entry in .bss", 0x40100100, APP1, {.app = 1}, "1MB", ESPIMAGE_ERR_LAYOUT, BOOT_ENTRY},
    {"map without slots",
     ENTRY,
     APP1,
     {.app = 1},
     "256KB",
     ESPIMAGE_ERR_USAGE,
     {"the 256KB flash map has no slots", NULL, "give the flash size"}},
    {"app 0", ENTRY, APP1, {.app = 0}, "1MB", ESPIMAGE_ERR_USAGE, {"app number 0", NULL, NULL}},
    {"app 3", ENTRY, APP1, {.app = 3}, "1MB", ESPIMAGE_ERR_USAGE, {"app number 3", NULL, NULL}},
    {"espruino app 0",
     ENTRY,
     APP1,
     {.app = 0, .profile = ESPIMAGE_PROFILE_ESPRUINO},
     "1MB",
     ESPIMAGE_ERR_USAGE,
     {"app number 0", NULL, NULL}},
    {"no map", ENTRY, APP1, {.app = 1}, NULL, ESPIMAGE_ERR_USAGE, {"unknown", NULL, NULL}},
    {"mode 4",
     ENTRY,
     APP1,
     {.app = 1, .flash_mode = 4},
     "1MB",
     ESPIMAGE_ERR_USAGE,
     {"unknown", NULL, NULL}},
    {"clock 3",
     ENTRY,
     APP1,
     {.app = 1, .flash_freq = 3},
     "1MB",
     ESPIMAGE_ERR_USAGE,
     {"unknown", NULL, NULL}},
    {"profile 5",
     ENTRY,
     APP1,
     {.app = 1, .profile = ESPIMAGE_PROFILE_COUNT},
     "1MB",
     ESPIMAGE_ERR_USAGE,
     {"unknown", NULL, NULL}},
    {"irom outside",
     ENTRY,
     0x40301010,
     {.app = 2},
     "2MB-c1",
     ESPIMAGE_ERR_LAYOUT,
     {"ends at 0x40301015", "at most 0x40300000", "inside the window"}},
    {"irom across the end",
     ENTRY,
     0x402FFFFC,
     {.app = 2},
     "2MB-c1",
     ESPIMAGE_ERR_LAYOUT,
     {"ends at 0x40300001", "at most 0x40300000", "inside the window"}},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = row->options;
    options.size = sizeof options;
    options.map = row->map != NULL ? espimage_flash_map_by_name(row->map) : NULL;
    const struct espimage_section sections[] = {
        section(".data", 0x3FFE8000, 8, content()),
        section(".text", 0x40100000, 6, content()),
        section(".iram.bss", 0x40100100, 16, NULL),
        section(".irom0.text", row->irom, 5, content()),
    };
    espimage_firmware *fw = firmware(row->entry, sections, COUNT(sections));
    assert_code(row->code, espimage_image_build(fw, &options, &built, NULL, &err), &err);
    assert_tells(&err, &row->tells);
    assert_null(built.data);
    /* No slots and no app number are nothing to a firmware without bootloader. */
    bool of_slot = row->options.app != 1 && row->irom == APP1;
    bool also = !of_slot && strcmp(row->name, "map without slots") != 0;
    assert_code(also ? row->code : ESPIMAGE_OK, espimage_no_boot_build(fw, &options, &built, &err),
                &err);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

/* Every setting reaches the byte it belongs to. */
static void test_settings_bytes(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    for (size_t m = 0; m < espimage_flash_map_count(); m++) {
        options.map = espimage_flash_map_at(m);
        for (size_t i = 0; options.map->half != 0 && i < 16; i++) {
            options.flash_mode = espimage_flash_mode_at(i / 4)->code;
            options.flash_freq = espimage_flash_freq_at(i % 4)->code;
            struct espimage_bytes built = image(fw, &options);
            assert_int_equal(built.data[34], i / 4);
            assert_int_equal(built.data[35], options.map->code << 4 | options.flash_freq);
            espimage_bytes_free(&built);
        }
    }
    espimage_firmware_free(fw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_no_boot),
        cmocka_unit_test(test_profile_names),
        cmocka_unit_test(test_irom_checksum),
        cmocka_unit_test(test_without_irom),
        cmocka_unit_test(test_checksum_line),
        cmocka_unit_test(test_255_segments),
        cmocka_unit_test(test_256_segments),
        cmocka_unit_test(test_image_size_is_that_of_sdk),
        cmocka_unit_test(test_settings_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("profiles", profile_rows, test_profile) +
           run_table("merging", merge_rows, test_merge) +
           run_table("limits", limit_rows, test_limit) + run_table("notes", note_rows, test_note) +
           run_table("refusals", refusals, test_refusal);
}
