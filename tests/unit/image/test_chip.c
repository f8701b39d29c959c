/* SPDX-License-Identifier: MIT */
#include "support/test.h"

struct region_case {
    const char *name;
    enum espimage_region_kind kind;
    uint32_t start;
    uint32_t size;
    uint32_t largest_size;
};

static const struct region_case regions[] = {
    {"DRAM", ESPIMAGE_REGION_DRAM, 0x3FFE8000, 80 * 1024, 80 * 1024},
    {"IRAM", ESPIMAGE_REGION_IRAM, 0x40100000, 32 * 1024, 48 * 1024},
    {"irom", ESPIMAGE_REGION_IROM, 0x40200000, 0x100000, 0x1000000},
    {"RTC", ESPIMAGE_REGION_RTC, 0x60001000, 0x400, 0x400},
};

static void test_region(void **state)
{
    const struct region_case *row = *state;
    const struct espimage_region *region = espimage_region(row->kind);
    assert_string_equal(region->name, row->name);
    assert_int_equal(region->kind, row->kind);
    assert_int_equal(region->start, row->start);
    assert_int_equal(region->size, row->size);
    assert_int_equal(region->largest_size, row->largest_size);
    assert_ptr_equal(espimage_region_at(row->start), region);
    assert_ptr_equal(espimage_region_at(row->start + row->largest_size - 1), region);
    assert_null(espimage_region_at(row->start - 1));
    assert_null(espimage_region_at(row->start + row->largest_size));
}

static void test_nowhere(void **state)
{
    (void)state;
    static const uint32_t addresses[] = {0, 0x3FF00000, 0x40000000, 0x60000000, 0xFFFFFFFF};
    for (size_t i = 0; i < COUNT(addresses); i++) {
        assert_null(espimage_region_at(addresses[i]));
    }
}

static void test_window(void **state)
{
    (void)state;
    const struct espimage_region *irom = espimage_region(ESPIMAGE_REGION_IROM);
    assert_int_equal(irom->start, ESPIMAGE_WINDOW_START);
    assert_int_equal(irom->start + irom->size, ESPIMAGE_WINDOW_END);
    assert_int_equal(COUNT(regions), ESPIMAGE_REGION_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("regions", regions, test_region);
}
