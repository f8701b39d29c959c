/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "image/checksum.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define KB 1024U
#define MB (1024U * KB)

static void test_content_names(void **state)
{
    (void)state;
    assert_string_equal(espimage_content_name(ESPIMAGE_CONTENT_ELF), "elf");
    assert_string_equal(espimage_content_name(ESPIMAGE_CONTENT_IMAGE), "image");
    assert_string_equal(espimage_content_name(ESPIMAGE_CONTENT_FLASH), "flash");
    assert_string_equal(espimage_content_name(ESPIMAGE_CONTENT_UNKNOWN), "unknown");
}

struct content_case {
    const char *name;
    const char *start;
    uint32_t size;
    enum espimage_content content;
};

static const struct content_case content_rows[] = {
    {"empty", "", 0, ESPIMAGE_CONTENT_UNKNOWN},
    {"ELF",
     "\x7F"
     "ELF",
     4, ESPIMAGE_CONTENT_ELF},
    {"long ELF",
     "\x7F"
     "ELF",
     1 * MB, ESPIMAGE_CONTENT_ELF},
    {"cut ELF",
     "\x7F"
     "EL",
     3, ESPIMAGE_CONTENT_UNKNOWN},
    {"v2", "\xEA", 1, ESPIMAGE_CONTENT_IMAGE},
    {"v2 of 1 MB", "\xEA", 1 * MB, ESPIMAGE_CONTENT_IMAGE},
    {"v1", "\xE9", 1, ESPIMAGE_CONTENT_IMAGE},
    {"v1 of 128 KB", "\xE9", 128 * KB, ESPIMAGE_CONTENT_IMAGE},
    {"v1 of an odd length", "\xE9", 1 * MB + 16, ESPIMAGE_CONTENT_IMAGE},
    {"v1 of three quarters", "\xE9", 768 * KB, ESPIMAGE_CONTENT_IMAGE},
    {"v1 of 32 MB", "\xE9", 32 * MB, ESPIMAGE_CONTENT_IMAGE},
    {"flash of 256 KB", "\xE9", 256 * KB, ESPIMAGE_CONTENT_FLASH},
    {"flash of 512 KB", "\xE9", 512 * KB, ESPIMAGE_CONTENT_FLASH},
    {"flash of 4 MB", "\xE9", 4 * MB, ESPIMAGE_CONTENT_FLASH},
    {"flash of 16 MB", "\xE9", 16 * MB, ESPIMAGE_CONTENT_FLASH},
    {"blank flash", "\xFF", 1 * MB, ESPIMAGE_CONTENT_UNKNOWN},
    {"text", "hello", 5, ESPIMAGE_CONTENT_UNKNOWN},
};

static void test_content(void **state)
{
    const struct content_case *row = *state;
    uint8_t *bytes = calloc(1, row->size + 1);
    assert_non_null(bytes);
    memcpy(bytes, row->start, strlen(row->start) < row->size ? strlen(row->start) : row->size);
    assert_int_equal(espimage_recognise(bytes, row->size), row->content);
    free(bytes);
}

struct part_case {
    enum espimage_part_kind kind;
    const char *name;
    uint32_t address;
    uint32_t size;
};

/* A dump of a flash of `size` bytes whose bootloader names map `code`. */
struct dump_case {
    const char *name;
    uint32_t size;
    uint8_t code;
    bool known;
    bool agrees;
    size_t count;
    struct part_case parts[ESPIMAGE_MAX_PARTS];
};

#define BOOT                                                                                       \
    {                                                                                              \
        ESPIMAGE_PART_BOOT, "bootloader", 0, 0x1000                                                \
    }
#define SLOT(name, address, size)                                                                  \
    {                                                                                              \
        ESPIMAGE_PART_SLOT, name, address, size                                                    \
    }
#define TOP(flash)                                                                                 \
    {ESPIMAGE_PART_RF_CAL, "RF calibration", (flash)-0x5000, 0x1000},                              \
        {ESPIMAGE_PART_INIT_DATA, "init data", (flash)-0x4000, 0x1000},                            \
    {                                                                                              \
        ESPIMAGE_PART_PARAMETERS, "system parameters", (flash)-0x3000, 0x3000                      \
    }
#define SLOTS_512  SLOT("user1", 0x1000, 0x7A000), SLOT("user2", 0x81000, 0x7A000)
#define SLOTS_1024 SLOT("user1", 0x1000, 0xFA000), SLOT("user2", 0x101000, 0xFA000)

static const struct dump_case dump_rows[] = {
    {"512KB",
     512 * KB,
     0,
     true,
     true,
     6,
     {BOOT, SLOT("user1", 0x1000, 0x3A000), SLOT("user2", 0x41000, 0x3A000), TOP(512 * KB)}},
    {"256KB", 256 * KB, 1, true, true, 4, {BOOT, TOP(256 * KB)}},
    {"1MB", 1 * MB, 2, true, true, 6, {BOOT, SLOTS_512, TOP(1 * MB)}},
    {"2MB", 2 * MB, 3, true, true, 6, {BOOT, SLOTS_512, TOP(2 * MB)}},
    {"4MB", 4 * MB, 4, true, true, 6, {BOOT, SLOTS_512, TOP(4 * MB)}},
    {"2MB-c1", 2 * MB, 5, true, true, 6, {BOOT, SLOTS_1024, TOP(2 * MB)}},
    {"4MB-c1", 4 * MB, 6, true, true, 6, {BOOT, SLOTS_1024, TOP(4 * MB)}},
    {"8MB", 8 * MB, 8, true, true, 6, {BOOT, SLOTS_1024, TOP(8 * MB)}},
    {"16MB", 16 * MB, 9, true, true, 6, {BOOT, SLOTS_1024, TOP(16 * MB)}},
    {"1MB in 4 MB", 4 * MB, 2, true, false, 6, {BOOT, SLOTS_512, TOP(1 * MB)}},
    {"1MB in 512 KB", 512 * KB, 2, true, false, 2, {BOOT, SLOT("user1", 0x1000, 0x7A000)}},
    {"user1 cut", 512 * KB, 5, true, false, 2, {BOOT, SLOT("user1", 0x1000, 0x7F000)}},
    {"user2 not there", 1 * MB, 5, true, false, 2, {BOOT, SLOT("user1", 0x1000, 0xFA000)}},
    {"2MB-c1 in 256 KB", 256 * KB, 5, true, false, 2, {BOOT, SLOT("user1", 0x1000, 0x3F000)}},
    {"4MB-c2", 4 * MB, 7, false, false, 4, {BOOT, TOP(4 * MB)}},
};

static void check_parts(const struct espimage_flash_view *view, const struct dump_case *row)
{
    assert_int_equal(view->part_count, row->count);
    for (size_t i = 0; i < row->count; i++) {
        assert_int_equal(view->parts[i].kind, row->parts[i].kind);
        assert_string_equal(view->parts[i].name, row->parts[i].name);
        assert_int_equal(view->parts[i].address, row->parts[i].address);
        assert_int_equal(view->parts[i].size, row->parts[i].size);
        assert_int_equal(view->parts[i].blank, i > 0);
    }
}

/* A part stops being blank by its first and by its last byte, and by no other part's. */
static void check_blank(uint8_t *dump, const struct dump_case *row)
{
    struct espimage_flash_view view;
    for (size_t i = 1; i < row->count; i++) {
        uint32_t ends[] = {row->parts[i].address, row->parts[i].address + row->parts[i].size - 1};
        for (size_t end = 0; end < 2; end++) {
            dump[ends[end]] = 0xFE;
            espimage_flash_parse(dump, row->size, &view);
            for (size_t n = 1; n < row->count; n++) {
                assert_int_equal(view.parts[n].blank, n != i);
            }
            dump[ends[end]] = 0xFF;
        }
    }
}

static void test_dump(void **state)
{
    const struct dump_case *row = *state;
    struct espimage_flash_view view;
    uint8_t *dump = malloc(row->size);
    assert_non_null(dump);
    memset(dump, 0xFF, row->size);
    dump[0] = 0xE9;
    dump[1] = 3;
    dump[2] = 2;
    dump[3] = (uint8_t)(row->code << 4 | 0xF);
    assert_int_equal(espimage_recognise(dump, row->size), ESPIMAGE_CONTENT_FLASH);
    espimage_flash_parse(dump, row->size, &view);
    assert_ptr_equal(view.map, row->known ? espimage_flash_map_by_code(row->code) : NULL);
    assert_int_equal(view.size_agrees, row->agrees);
    assert_memory_equal(view.boot_header, dump, 4);
    check_parts(&view, row);
    check_blank(dump, row);
    free(dump);
}

/* Bytes in which the structure of a v1 image says what it is: one segment, then the checksum. */
static size_t put_v1(uint8_t *at, uint32_t address, const char *text, uint32_t size)
{
    static const uint8_t header[] = {0xE9, 1, 0, 0x20, 0x04, 0, 0x10, 0x40};
    memcpy(at, header, sizeof header);
    put_le32(at + 8, address);
    put_le32(at + 12, size);
    memset(at + 16, 0, size);
    memcpy(at + 16, text, strlen(text));
    size_t end = (16 + size) | 15;
    memset(at + 16 + size, 0, end - 16 - size);
    at[end] = checksum_xor(0xEF, at + 16, size);
    return end + 1;
}

struct layout_case {
    const char *name;
    size_t size; /* of the file */
    uint32_t address;
    const char *text; /* of the v1 image at 0; NULL: none */
    uint32_t text_size;
    uint32_t at; /* of more: EA: an image, else these two bytes; 0: none */
    uint8_t more[2];
    enum espimage_content content;
    enum espimage_flash_layout layout;
    size_t parts;
    size_t images;
};

#define LOADER  "2nd boot version : 1.6"
#define LOADER3 "2nd stage bootloader"

static const struct layout_case layout_rows[] = {
    {"SDK",
     MB,
     0x3FFE8000,
     LOADER,
     64,
     0x1000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_SDK,
     6,
     0},
    {"SDK, image at 0x10000",
     MB,
     0x3FFE8000,
     LOADER,
     64,
     0x10000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_SDK,
     6,
     1},
    {"SDK, user2 of another map",
     2 * MB,
     0x3FFE8000,
     LOADER,
     64,
     0x101000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_SDK,
     6,
     1},
    {"partial",
     0x1800,
     0x3FFE8000,
     LOADER,
     64,
     0x1000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_SDK,
     2,
     0},
    {"bootloader and blank flash",
     0x1800,
     0x3FFE8000,
     LOADER,
     64,
     0,
     {0},
     ESPIMAGE_CONTENT_IMAGE,
     0,
     0,
     0},
    {"no bootloader",
     MB,
     0x40100000,
     "",
     0x2000,
     0x40000,
     {1, 2},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_NO_BOOT,
     3,
     1},
    {"Arduino",
     MB,
     0x4010F000,
     "",
     64,
     0x1000,
     {0xE9, 1},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_ARDUINO,
     4,
     0},
    {"Arduino file",
     MB - 16,
     0x4010F000,
     "",
     64,
     0x1000,
     {0xE9, 1},
     ESPIMAGE_CONTENT_IMAGE,
     0,
     0,
     0},
    {"rBoot by its text",
     MB,
     0x3FFE8000,
     "rBoot v1.4",
     64,
     0x2000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RBOOT,
     4,
     1},
    {"rBoot by its configuration",
     MB,
     0x3FFE8000,
     "",
     64,
     0x1000,
     {0xE1, 1},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RBOOT,
     4,
     0},
    {"partial rBoot",
     0x3000,
     0x3FFE8000,
     "rBoot v1.4",
     64,
     0x2000,
     {0xEA},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RBOOT,
     1,
     1},
    {"RTOS SDK 3",
     MB,
     0x3FFE8000,
     LOADER3,
     0x2000,
     0x8000,
     {0xAA, 0x50},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RTOS3,
     1,
     0},
    {"RTOS SDK 3, early table",
     MB,
     0x3FFE8000,
     LOADER3,
     0x2000,
     0x5000,
     {0xAA, 0x50},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RTOS3,
     1,
     0},
    {"partial RTOS SDK 3",
     0x9000,
     0x3FFE8000,
     LOADER3,
     0x2000,
     0x8000,
     {0xAA, 0x50},
     ESPIMAGE_CONTENT_FLASH,
     ESPIMAGE_FLASH_RTOS3,
     1,
     0},
    {"image at 0", MB, 0, NULL, 0, 0, {0xEA}, ESPIMAGE_CONTENT_FLASH, ESPIMAGE_FLASH_AT_ZERO, 3, 1},
    {"image alone", 0x1800, 0, NULL, 0, 0, {0xEA}, ESPIMAGE_CONTENT_IMAGE, 0, 0, 0},
};

static void test_layout(void **state)
{
    const struct layout_case *row = *state;
    struct espimage_flash_view view;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    struct espimage_bytes built = image(fw, &options);
    uint8_t *dump = malloc(row->size);
    assert_non_null(dump);
    memset(dump, 0xFF, row->size);
    if (row->text != NULL) {
        (void)put_v1(dump, row->address, row->text, row->text_size);
    }
    if (row->more[0] == 0xEA) {
        memcpy(dump + row->at, built.data, built.size);
    } else if (row->at != 0) {
        memcpy(dump + row->at, row->more, sizeof row->more);
    }
    assert_int_equal(espimage_recognise(dump, row->size), row->content);
    if (row->content == ESPIMAGE_CONTENT_FLASH) {
        espimage_flash_parse(dump, row->size, &view);
        assert_string_equal(espimage_flash_layout_name(view.layout),
                            espimage_flash_layout_name(row->layout));
        assert_int_equal(view.part_count, row->parts);
        assert_int_equal(view.image_count, row->images);
        if (row->images > 0 && row->more[0] == 0xEA) {
            assert_int_equal(view.images[0].address, row->at);
            assert_true(view.images[0].new_layout);
        }
    }
    free(dump);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

/* What a slot holds behind an image does not count, blank or left over from a longer one. */
static void test_slot_image_size(void **state)
{
    (void)state;
    static uint8_t slot[4096];
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    struct espimage_bytes built = image(fw, &options);
    for (unsigned fill = 0; fill <= 0xFF; fill += 0xFF) {
        memset(slot, (int)fill, sizeof slot);
        assert_int_equal(espimage_slot_image_size(slot, sizeof slot), 0);
        memcpy(slot, built.data, built.size);
        assert_int_equal(espimage_slot_image_size(slot, sizeof slot), built.size);
        assert_int_equal(espimage_slot_image_size(slot, built.size + 1), built.size);
        for (size_t size = 0; size < built.size; size++) {
            assert_int_equal(espimage_slot_image_size(slot, size), 0);
        }
        assert_int_equal(espimage_slot_image_size(slot, built.size), built.size);
        assert_int_equal(espimage_slot_image_size(slot + 32, sizeof slot - 32), 0); /* v1 */
    }
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

struct patch_case {
    const char *name;
    size_t size;
    uint8_t first;
    enum espimage_code code;
    struct telling tells;
};

static const struct patch_case patch_rows[] = {
    {"smallest", 8, 0xE9, ESPIMAGE_OK, {0}},
    {"usual", 4080, 0xE9, ESPIMAGE_OK, {0}},
    {"whole sector", 4096, 0xE9, ESPIMAGE_OK, {0}},
    {"empty", 0, 0, ESPIMAGE_ERR_IMAGE, {"0 bytes, first byte 00", "E9", "boot_v1.7.bin"}},
    {"too short", 7, 0xE9, ESPIMAGE_ERR_IMAGE, {"7 bytes, first byte E9", "E9", "boot_v1.7.bin"}},
    {"an image", 4096, 0xEA, ESPIMAGE_ERR_IMAGE, {"first byte EA", "E9", "boot_v1.7.bin"}},
    {"too long", 4097, 0xE9, ESPIMAGE_ERR_IMAGE, {"4097 bytes", "at most 4096", "boot_v1.7.bin"}},
};

static void test_patch(void **state)
{
    const struct patch_case *row = *state;
    struct espimage_error err;
    struct espimage_build_options options = {.size = sizeof options,
                                             .map = espimage_flash_map_by_name("4MB-c1"),
                                             .flash_mode = 2,
                                             .flash_freq = 0xF};
    uint8_t *bytes = malloc(row->size + 1);
    uint8_t *before = malloc(row->size + 1);
    assert_non_null(bytes);
    assert_non_null(before);
    memset(bytes, 0x33, row->size + 1);
    bytes[0] = row->first;
    memcpy(before, bytes, row->size + 1);
    assert_code(row->code, espimage_boot_patch(bytes, row->size, &options, &err), &err);
    if (row->code == ESPIMAGE_OK) {
        before[2] = 2;
        before[3] = 0x6F;
    } else {
        assert_tells(&err, &row->tells);
    }
    assert_memory_equal(bytes, before, row->size + 1);
    free(bytes);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_names),
        cmocka_unit_test(test_slot_image_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("contents", content_rows, test_content) +
           run_table("dumps", dump_rows, test_dump) +
           run_table("layouts", layout_rows, test_layout) +
           run_table("patches", patch_rows, test_patch);
}
