/* SPDX-License-Identifier: MIT */
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static void test_irom_is_merged(void **state)
{
    (void)state;
    const struct espimage_section sections[] = {
        section(".irom0.rodata", 0x40201030, 7, content() + 100),
        section(".text", 0x40100000, 8, content()),
        section(".irom0.text", 0x40201010, 5, content() + 200),
        section(".irom0.bss", 0x40201100, 64, NULL), /* nothing to write */
        section(".irom0.literal", 0x40201020, 16, content() + 300),
    };
    espimage_firmware *fw = firmware(0x40100000, sections, COUNT(sections));
    struct espimage_irom irom = espimage_firmware_irom(fw);
    uint8_t wanted[0x27] = {0};
    memcpy(wanted, content() + 200, 5);
    memcpy(wanted + 0x10, content() + 300, 16);
    memcpy(wanted + 0x20, content() + 100, 7);
    assert_int_equal(irom.address, 0x40201010);
    assert_int_equal(irom.size, sizeof wanted);
    assert_memory_equal(irom.bytes, wanted, sizeof wanted);
    espimage_firmware_free(fw);
}

static void test_no_irom(void **state)
{
    (void)state;
    espimage_firmware *fw = firmware_tiny(0);
    struct espimage_irom irom = espimage_firmware_irom(fw);
    assert_int_equal(irom.address, 0);
    assert_int_equal(irom.size, 0);
    assert_null(irom.bytes);
    espimage_firmware_free(fw);
}

static void test_use_by_region(void **state)
{
    (void)state;
    const struct espimage_section sections[] = {
        section(".data", 0x3FFE8000, 10, content()), section(".bss", 0x3FFE8010, 1000, NULL),
        section(".text", 0x40100000, 77, content()), section(".text1", 0x40108000, 3, content()),
        section(".rtc", 0x60001000, 0x300, NULL),    section(".irom", 0x40201010, 9, content()),
        section(".irom2", 0x40201040, 2, content()),
    };
    espimage_firmware *fw = firmware(0x40100000, sections, COUNT(sections));
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_DRAM), 1010);
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_IRAM), 80);
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_RTC), 0x300);
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_IROM), 11);
    espimage_firmware_free(fw);
}

static void test_order_is_kept(void **state)
{
    (void)state;
    const struct espimage_section sections[] = {
        section("c", 0x40100100, 4, content()),     section("a", 0x3FFE8000, 4, content()),
        section("empty", 0x12345678, 0, content()), section("d", 0x40201010, 4, content()),
        section("b", 0x40100000, 4, content()),
    };
    static const char *const wanted[] = {"c", "a", "d", "b"};
    espimage_firmware *fw = firmware(0x40100000, sections, COUNT(sections));
    assert_int_equal(espimage_firmware_section_count(fw), COUNT(wanted));
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_string_equal(espimage_firmware_section(fw, i)->name, wanted[i]);
    }
    assert_int_equal(espimage_firmware_section(fw, 1)->region, ESPIMAGE_REGION_DRAM);
    assert_int_equal(espimage_firmware_section(fw, 2)->region, ESPIMAGE_REGION_IROM);
    espimage_firmware_free(fw);
}

static void test_everything_is_copied(void **state)
{
    (void)state;
    uint8_t text[] = {1, 2, 3, 4};
    uint8_t flash[] = {5, 6, 7, 8};
    struct espimage_section *sections = calloc(2, sizeof *sections);
    assert_non_null(sections);
    sections[0] = section(".text", 0x40100000, sizeof text, text);
    sections[1] = section(".irom0.text", 0x40201010, sizeof flash, flash);
    espimage_firmware *fw = firmware(0x40100000, sections, 2);
    memset(sections, 0xEE, 2 * sizeof *sections);
    free(sections);
    memset(text, 0xEE, sizeof text);
    memset(flash, 0xEE, sizeof flash);
    assert_string_equal(espimage_firmware_section(fw, 0)->name, ".text");
    assert_memory_equal(espimage_firmware_section(fw, 0)->bytes, "\1\2\3\4", 4);
    assert_memory_equal(espimage_firmware_section(fw, 1)->bytes, "\5\6\7\10", 4);
    assert_memory_equal(espimage_firmware_irom(fw).bytes, "\5\6\7\10", 4);
    espimage_firmware_free(fw);
}

static void test_nothing_at_all(void **state)
{
    (void)state;
    espimage_firmware *fw = firmware(0x40100000, NULL, 0);
    assert_int_equal(espimage_firmware_section_count(fw), 0);
    assert_int_equal(espimage_firmware_irom(fw).size, 0);
    espimage_firmware_free(fw);
    espimage_firmware_free(NULL);
}

/* Two sections each, the second sometimes empty. */
struct refusal {
    const char *name;
    struct {
        uint32_t address;
        uint32_t size;
        bool content;
    } s[2];
    enum espimage_code code; /* ESPIMAGE_OK: taken */
    struct telling tells;
};

static const struct refusal refusals[] = {
    {"whole DRAM", {{0x3FFE8000, 0x14000, true}}, ESPIMAGE_OK, {0}},
    {"whole IRAM", {{0x40100000, 0xC000, true}}, ESPIMAGE_OK, {0}},
    {"whole RTC", {{0x60001000, 0x400, true}}, ESPIMAGE_OK, {0}},
    {"whole window", {{0x40200000, 0x100000, true}}, ESPIMAGE_OK, {0}},
    {"end of the flash", {{0x411FFFFF, 1, true}}, ESPIMAGE_OK, {0}},
    {"touching", {{0x40100008, 4, true}, {0x40100000, 8, true}}, ESPIMAGE_OK, {0}},
    {"odd .bss", {{0x3FFE8001, 3, false}}, ESPIMAGE_OK, {0}},
    {"odd irom", {{0x40201011, 3, true}}, ESPIMAGE_OK, {0}},
    {"spread, just", {{0x40201010, 4, true}, {0x4030100C, 4, true}}, ESPIMAGE_OK, {0}},
    {"below DRAM",
     {{0x3FFE7FFC, 8, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"s0 at 0x3FFE7FFC is in no memory", "DRAM 0x3FFE8000", "memory regions"}},
    {"below IRAM", {{0x400FFFFC, 4, true}}, ESPIMAGE_ERR_LAYOUT, {"s0 at 0x400FFFFC", NULL, NULL}},
    {"behind IRAM", {{0x4010C000, 4, true}}, ESPIMAGE_ERR_LAYOUT, {"s0 at 0x4010C000", NULL, NULL}},
    {"behind DRAM", {{0x3FFFC000, 4, true}}, ESPIMAGE_ERR_LAYOUT, {"s0 at 0x3FFFC000", NULL, NULL}},
    {"behind RTC", {{0x60001400, 4, true}}, ESPIMAGE_ERR_LAYOUT, {"s0 at 0x60001400", NULL, NULL}},
    {"behind flash",
     {{0x41200000, 4, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"s0 at 0x41200000", NULL, NULL}},
    {"address 0", {{0, 4, false}}, ESPIMAGE_ERR_LAYOUT, {"s0 at 0x00000000", NULL, NULL}},
    {"DRAM + 1",
     {{0x3FFE8000, 0x14001, false}},
     ESPIMAGE_ERR_SIZE,
     {"s0 at 0x3FFE8000, 81921 bytes, ends past the DRAM", "0x3FFFC000", "smaller"}},
    {"IRAM + 1",
     {{0x40100000, 0xC001, false}},
     ESPIMAGE_ERR_SIZE,
     {"ends past the IRAM", "0x4010C000", NULL}},
    {"RTC + 1",
     {{0x60001000, 0x401, false}},
     ESPIMAGE_ERR_SIZE,
     {"ends past the RTC", "0x60001400", NULL}},
    {"4 GB",
     {{0x3FFE8000, 0xFFFFFFFF, false}},
     ESPIMAGE_ERR_SIZE,
     {"4294967295 bytes, ends past the DRAM", NULL, NULL}},
    {"flash spread",
     {{0x40201010, 4, true}, {0x4030100D, 4, true}},
     ESPIMAGE_ERR_SIZE,
     {"spread over 1048577 bytes (0x40201010 to 0x40301011)", "at most 1048576", "stray"}},
    {"overlap by 1",
     {{0x40100000, 9, true}, {0x40100008, 4, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"s0 (0x40100000, 9 bytes) overlaps section s1 (0x40100008)", NULL, "linker script"}},
    {"the same twice",
     {{0x40201010, 4, true}, {0x40201010, 4, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"overlaps", NULL, NULL}},
    {"inside another",
     {{0x3FFE8010, 4, false}, {0x3FFE8000, 64, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"s1 (0x3FFE8000, 64 bytes) overlaps section s0", NULL, NULL}},
    {"odd .data",
     {{0x3FFE8001, 3, true}},
     ESPIMAGE_ERR_LAYOUT,
     {"s0 begins at 0x3FFE8001, inside a word", "a multiple of 4", "align it"}},
    {"odd .rtc", {{0x60001002, 2, true}}, ESPIMAGE_ERR_LAYOUT, {"inside a word", NULL, NULL}},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    struct espimage_section sections[2];
    for (size_t i = 0; i < 2; i++) {
        sections[i] = section(i == 0 ? "s0" : "s1", row->s[i].address, row->s[i].size,
                              row->s[i].content ? content() : NULL);
    }
    enum espimage_code code = espimage_firmware_from_sections(0x40100000, sections, 2, &fw, &err);
    assert_code(row->code, code, &err);
    if (code != ESPIMAGE_OK) {
        assert_null(fw);
        assert_tells(&err, &row->tells);
    }
    espimage_firmware_free(fw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_irom_is_merged),       cmocka_unit_test(test_no_irom),
        cmocka_unit_test(test_use_by_region),        cmocka_unit_test(test_order_is_kept),
        cmocka_unit_test(test_everything_is_copied), cmocka_unit_test(test_nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("sections", refusals, test_refusal);
}
