/* SPDX-License-Identifier: MIT */
/* The parameter sectors: what is in them, what bootloaders and SDK make of them. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static uint8_t sectors[ESPIMAGE_PARAMETERS_SIZE];

static void put(uint32_t offset, const char *hex)
{
    for (size_t i = 0; hex[0] != '\0'; i++, hex += hex[2] == ' ' ? 3 : 2) {
        char pair[] = {hex[0], hex[1], '\0'};
        sectors[offset + i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static struct espimage_parameters parse(void)
{
    struct espimage_parameters parameters;
    espimage_parameters_parse(sectors, &parameters);
    return parameters;
}

static int blank(void **state)
{
    (void)state;
    memset(sectors, 0xFF, sizeof sectors);
    return 0;
}

/* As the SDK's own code wrote them at the first update of a device with boot 1.6, and at the
 * second. */
#define COPY_B   ESPIMAGE_COPY_OFFSET(ESPIMAGE_COPY_B)
#define SELECTOR ESPIMAGE_SELECTOR_OFFSET
#define FIRST_SELECTOR                                                                             \
    "01 FF FF FF AA 55 AA 55 01 00 00 00 FF FF FF FF 20 00 00 00 FF FF FF FF F4 00 00 00 "         \
    "55 AA 55 AA"
#define SECOND_SELECTOR                                                                            \
    "00 FF FF FF AA 55 AA 55 02 00 00 00 20 00 00 00 20 00 00 00 F5 00 00 00 F4 00 00 00 "         \
    "55 AA 55 AA"

static void test_blank(void **state)
{
    (void)state;
    struct espimage_parameters p = parse();
    assert_true(p.blank);
    assert_false(p.saved);
    assert_int_equal(p.saves, 0);
    assert_int_equal(p.current, ESPIMAGE_COPY_B);
    assert_int_equal(espimage_record_current(&p)->chosen, ESPIMAGE_CHOSEN_NEVER_WRITTEN);
    assert_int_equal(espimage_sdk_running(espimage_record_current(&p)), 1);
    assert_int_equal(p.state[ESPIMAGE_COPY_A], ESPIMAGE_RECORD_NOT_SAVED);
}

static void test_after_the_first_update(void **state)
{
    (void)state;
    put(0, "FC E6");
    put(COPY_B, "FD E6");
    put(SELECTOR, FIRST_SELECTOR);
    struct espimage_parameters p = parse();
    assert_false(p.blank);
    assert_true(p.saved);
    assert_int_equal(p.saves, 1);
    assert_int_equal(p.current, ESPIMAGE_COPY_B);
    assert_int_equal(p.state[ESPIMAGE_COPY_A], ESPIMAGE_RECORD_NOT_SAVED);
    assert_int_equal(p.state[ESPIMAGE_COPY_B], ESPIMAGE_RECORD_GOOD);
    const struct espimage_record *record = espimage_record_current(&p);
    assert_int_equal(record->version, 6);
    assert_int_equal(record->chosen, ESPIMAGE_CHOSEN_USER2);
    assert_false(record->failed);
    assert_int_equal(record->mode, ESPIMAGE_BOOT_NORMAL);
    assert_int_equal(espimage_boot_choose(ESPIMAGE_BOOT_1_6, record).slot, 2);
    assert_int_equal(espimage_boot_choose(ESPIMAGE_BOOT_1_7, record).slot, 1);
    assert_true(espimage_boot_choose(ESPIMAGE_BOOT_1_7, record).initialises);
    assert_int_equal(espimage_sdk_running(record), 2);

    sectors[COPY_B + 31] ^= 1;
    assert_int_equal(parse().state[ESPIMAGE_COPY_B], ESPIMAGE_RECORD_CHANGED);
}

/* Byte for byte what the SDK wrote. */
static void test_selector_as_the_sdk_writes_it(void **state)
{
    uint8_t want[ESPIMAGE_SELECTOR_SIZE];
    (void)state;
    put(0, "FC E6");
    put(COPY_B, "FC E6");
    put(SELECTOR, FIRST_SELECTOR);
    memcpy(want, sectors + SELECTOR, sizeof want);
    memset(sectors + SELECTOR, 0xFF, sizeof want);
    sectors[SELECTOR] = 0; /* as the bootloader left it */

    espimage_record_choose_other(sectors + COPY_B);
    assert_int_equal(sectors[COPY_B], 0xFD);
    assert_int_equal(sectors[COPY_B + 1], 0xE6);
    espimage_selector_saved(sectors + SELECTOR, ESPIMAGE_COPY_B,
                            espimage_record_checksum(sectors + COPY_B), sectors + SELECTOR);
    assert_memory_equal(sectors + SELECTOR, want, sizeof want);

    espimage_selector_saved(sectors + SELECTOR, ESPIMAGE_COPY_A, espimage_record_checksum(sectors),
                            sectors + SELECTOR);
    put(0x100, SECOND_SELECTOR);
    assert_memory_equal(sectors + SELECTOR, sectors + 0x100, sizeof want);
}

static void test_build_is_the_first_update(void **state)
{
    uint8_t built[ESPIMAGE_PARAMETERS_SIZE];
    (void)state;
    put(0, "FC E6");
    put(COPY_B, "FD E6");
    put(SELECTOR, FIRST_SELECTOR);
    espimage_parameters_build(ESPIMAGE_BOOT_1_6, 2, built);
    assert_memory_equal(built, sectors, sizeof built);
    (void)blank(NULL);
    espimage_parameters_build(ESPIMAGE_BOOT_1_6, 1, built);
    assert_memory_equal(built, sectors, sizeof built);
    for (int v = ESPIMAGE_BOOT_1_2; v <= ESPIMAGE_BOOT_1_7; v++) {
        enum espimage_boot_version version = (enum espimage_boot_version)v;
        struct espimage_parameters p;
        espimage_parameters_build(version, 2, built);
        espimage_parameters_parse(built, &p);
        struct espimage_boot_choice choice =
            espimage_boot_choose(version, espimage_record_current(&p));
        assert_int_equal(choice.slot, 2);
        assert_false(choice.initialises);
        assert_int_equal(espimage_sdk_running(espimage_record_current(&p)), 2);
    }
}

/* ---- the truth table, by low nibble ---- */

static const char table_new[] = "21!i12!i21!i12!i"; /* 1.5 and later; !: flag error */
static const char table_old[] = "11!i12!i11!i12!i"; /* 1.3 and 1.4; i: initialised, user1 */

static char letter_of(const struct espimage_boot_choice *choice)
{
    if (choice->target == ESPIMAGE_BOOT_FLAG_ERROR) {
        return '!';
    }
    return choice->initialises ? 'i' : (char)('0' + choice->slot);
}

static void test_truth_table(void **state)
{
    (void)state;
    for (int v = ESPIMAGE_BOOT_1_3; v <= ESPIMAGE_BOOT_1_7; v++) {
        const char *table = v >= ESPIMAGE_BOOT_1_5 ? table_new : table_old;
        for (uint8_t nibble = 0; nibble < 16; nibble++) {
            uint8_t head[ESPIMAGE_RECORD_HEAD] = {(uint8_t)(0xF0 | nibble), (uint8_t)(0xE0 | v)};
            struct espimage_record record;
            espimage_record_parse(head, &record);
            struct espimage_boot_choice choice =
                espimage_boot_choose((enum espimage_boot_version)v, &record);
            assert_int_equal(letter_of(&choice), table[nibble]);
        }
    }
}

static void test_failed_slot_until_an_update(void **state)
{
    uint8_t head[ESPIMAGE_RECORD_HEAD] = {0xFC, 0xE6};
    struct espimage_record record;
    (void)state;
    for (uint8_t failing = 1; failing <= 2; failing++) {
        espimage_record_set_failed(head);
        assert_int_equal(head[0], failing == 1 ? 0xF8 : 0xF9);
        espimage_record_parse(head, &record);
        struct espimage_boot_choice choice = espimage_boot_choose(ESPIMAGE_BOOT_1_6, &record);
        assert_int_equal(choice.slot, 3 - failing);
        assert_true(choice.fallback);
        assert_int_equal(espimage_sdk_running(&record), 3 - failing);
        espimage_record_choose_other(head);
        assert_int_equal(head[0], failing == 1 ? 0xFC : 0xFD);
        head[0] = 0xFD;
    }
}

/* Boot 1.2's low nibble is the slot alone, for the SDK too. */
static void test_records_of_boot_1_2(void **state)
{
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    struct espimage_record record;
    (void)state;
    memset(head, 0xFF, sizeof head);
    espimage_record_initialise(ESPIMAGE_BOOT_1_2, head);
    assert_int_equal(head[0], 0x00);
    assert_int_equal(head[1], 0x02);
    for (uint8_t slot = 1; slot <= 2; slot++) {
        espimage_record_parse(head, &record);
        assert_int_equal(espimage_boot_choose(ESPIMAGE_BOOT_1_2, &record).slot, slot);
        assert_int_equal(espimage_sdk_running(&record), slot);
        espimage_record_choose_other(head);
    }
    assert_int_equal(head[0], 0x00);
}

static void test_modes(void **state)
{
    static const enum espimage_boot_mode by_bits[] = {
        ESPIMAGE_BOOT_ENHANCE, ESPIMAGE_BOOT_TEST, ESPIMAGE_BOOT_ENHANCE, ESPIMAGE_BOOT_ENHANCE,
        ESPIMAGE_BOOT_NORMAL,  ESPIMAGE_BOOT_TEST, ESPIMAGE_BOOT_NORMAL,  ESPIMAGE_BOOT_NORMAL};
    static const uint32_t wanted[] = {0, 0x081000, 0x123456}; /* by mode */
    (void)state;
    for (uint8_t bits = 0; bits < COUNT(by_bits); bits++) {
        uint8_t head[] = {0xFC, (uint8_t)(bits << 5 | 6), 0x00, 0x10, 0x08, 0x56, 0x34, 0x12};
        struct espimage_record record;
        espimage_record_parse(head, &record);
        assert_int_equal(record.mode, by_bits[bits]);
        struct espimage_boot_choice choice = espimage_boot_choose(ESPIMAGE_BOOT_1_6, &record);
        assert_int_equal(record.test_address, 0x081000);
        assert_int_equal(record.enhance_address, 0x123456);
        assert_int_equal(choice.target, record.mode == ESPIMAGE_BOOT_NORMAL
                                            ? ESPIMAGE_BOOT_SLOT
                                            : ESPIMAGE_BOOT_AT_ADDRESS);
        assert_int_equal(choice.address, wanted[record.mode]);
    }
}

/* The SDK's system_restart_enhance() keeps the address to return to in the place of the test
 * address. */
static void test_enhance_mode_that_failed(void **state)
{
    static const uint8_t head[] = {0xF8, 0x46, 0x00, 0x10, 0x08, 0x56, 0x34, 0x12};
    struct espimage_record record;
    (void)state;
    espimage_record_parse(head, &record);
    struct espimage_boot_choice choice = espimage_boot_choose(ESPIMAGE_BOOT_1_6, &record);
    assert_int_equal(choice.mode, ESPIMAGE_BOOT_ENHANCE);
    assert_true(choice.fallback);
    assert_int_equal(choice.address, 0x081000);
}

static void test_networks(void **state)
{
    (void)state;
    assert_int_equal(espimage_network_count(sectors), 0); /* FF: never written */
    sectors[ESPIMAGE_NETWORK_COUNT_OFFSET] = 5;
    assert_int_equal(espimage_network_count(sectors), 5);
    sectors[ESPIMAGE_NETWORK_COUNT_OFFSET] = 6;
    assert_int_equal(espimage_network_count(sectors), 0);
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(espimage_parameters_address(0x100000), 0xFD000);
    assert_int_equal(COPY_B, 0x1000);
    assert_int_equal(SELECTOR, 0x2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_blank, blank),
        cmocka_unit_test_setup(test_after_the_first_update, blank),
        cmocka_unit_test_setup(test_selector_as_the_sdk_writes_it, blank),
        cmocka_unit_test_setup(test_build_is_the_first_update, blank),
        cmocka_unit_test(test_truth_table),
        cmocka_unit_test(test_failed_slot_until_an_update),
        cmocka_unit_test(test_records_of_boot_1_2),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_enhance_mode_that_failed),
        cmocka_unit_test_setup(test_networks, blank),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests_name("parameters", tests, NULL, NULL);
}
