/* SPDX-License-Identifier: MIT */
/* What is known of Espressif's bootloaders. */
#include "support/test.h"

#include <string.h>

static enum espimage_boot_version version_of(const char *text)
{
    return espimage_boot_version((const uint8_t *)text, strlen(text));
}

static void test_version_by_its_text(void **state)
{
    (void)state;
    assert_int_equal(version_of("\n2nd boot version : 1.2\n"), ESPIMAGE_BOOT_1_2);
    assert_int_equal(version_of("xx2nd boot version : 1.4(b1)\n"), ESPIMAGE_BOOT_1_4);
    assert_int_equal(version_of("2nd boot version : 1.7(5d6f877)\n"), ESPIMAGE_BOOT_1_7);
    assert_int_equal(version_of("2nd boot version : 1.7"), ESPIMAGE_BOOT_1_7);
    assert_int_equal(version_of("2nd boot version : 1."), ESPIMAGE_BOOT_UNKNOWN);
    assert_int_equal(version_of("2nd boot version : 1.8"), ESPIMAGE_BOOT_UNKNOWN);
    assert_int_equal(version_of("2nd boot version : 1.17"), ESPIMAGE_BOOT_UNKNOWN);
    assert_int_equal(version_of("rBoot v1.4.2"), ESPIMAGE_BOOT_UNKNOWN);
    assert_int_equal(version_of(""), ESPIMAGE_BOOT_UNKNOWN);
}

static void test_names(void **state)
{
    (void)state;
    for (int v = ESPIMAGE_BOOT_1_1; v <= ESPIMAGE_BOOT_1_7; v++) {
        const char *name = espimage_boot_version_name((enum espimage_boot_version)v);
        assert_int_equal(espimage_boot_version_by_name(name), v);
    }
    assert_string_equal(espimage_boot_version_name(ESPIMAGE_BOOT_UNKNOWN), "unknown");
    assert_int_equal(espimage_boot_version_by_name("1.8"), ESPIMAGE_BOOT_UNKNOWN);
    assert_int_equal(espimage_boot_version_by_name("unknown"), ESPIMAGE_BOOT_UNKNOWN);
}

/* One row a map code, one column a version: right, 512 KB, stays in user1, x refused. */
static void test_maps(void **state)
{
    static const char *const rows[] = {"rrrrrrr", "rrrrrrr", "rrrrrrr", "rrrrrrr",
                                       "rrrrrrr", "555rrrr", "555rrrr", "555555x",
                                       "555555s", "555555s", "5555555"};
    static const char letters[] = {'r', '5', 's', 'x'};
    (void)state;
    for (uint8_t code = 0; code < COUNT(rows); code++) {
        for (int v = ESPIMAGE_BOOT_1_1; v <= ESPIMAGE_BOOT_1_7; v++) {
            assert_int_equal(letters[espimage_boot_map((enum espimage_boot_version)v, code)],
                             rows[code][v - 1]);
        }
    }
}

static void test_fallback(void **state)
{
    (void)state;
    for (int i = ESPIMAGE_BOOT_1_1; i <= ESPIMAGE_BOOT_1_7; i++) {
        enum espimage_boot_version v = (enum espimage_boot_version)i;
        assert_int_equal(espimage_boot_falls_back(v, 1), i >= 5);
        assert_int_equal(espimage_boot_falls_back(v, 2), i >= 3);
        assert_int_equal(espimage_boot_takes_v2(v), i >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_by_its_text),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_fallback),
    };
    return cmocka_run_group_tests_name("bootloader", tests, NULL, NULL);
}
