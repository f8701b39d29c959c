/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <ctype.h>
#include <string.h>

#define KB 1024U
#define MB (1024U * KB)

struct map_case {
    const char *name;
    uint8_t code;
    const char *legacy;
    uint32_t flash;
    uint32_t half;
    uint32_t slot[2];
    uint32_t limit;
    uint32_t irom_limit;
    uint32_t link[2];
    const char *script[2];
    bool remark;
};

#define SCRIPT(size)  "eagle.app.v6.new." size ".ld"
#define SCRIPTS(size) SCRIPT(size ".app1"), SCRIPT(size ".app2")

/* The sizes, slots and link addresses of each map, spelt out. */
static const struct map_case map_rows[] = {
    {"512KB",
     0,
     "4m",
     512 * KB,
     256 * KB,
     {0x1000, 0x41000},
     0x3A000,
     0x2B000,
     {0x40201010, 0x40241010},
     {SCRIPTS("512")},
     false},
    {"256KB", 1, "2m", 256 * KB, 0, {0, 0}, 0, 0, {0, 0}, {NULL, NULL}, false},
    {"1MB",
     2,
     "8m",
     1 * MB,
     512 * KB,
     {0x1000, 0x81000},
     0x7A000,
     0x6B000,
     {0x40201010, 0x40281010},
     {SCRIPTS("1024")},
     false},
    {"2MB",
     3,
     "16m",
     2 * MB,
     512 * KB,
     {0x1000, 0x81000},
     0x7A000,
     0x6B000,
     {0x40201010, 0x40281010},
     {SCRIPTS("1024")},
     false},
    {"4MB",
     4,
     "32m",
     4 * MB,
     512 * KB,
     {0x1000, 0x81000},
     0x7A000,
     0x6B000,
     {0x40201010, 0x40281010},
     {SCRIPTS("1024")},
     false},
    {"2MB-c1",
     5,
     "16m-c1",
     2 * MB,
     1024 * KB,
     {0x1000, 0x101000},
     0xFA000,
     0xE0000,
     {0x40201010, 0x40201010},
     {SCRIPT("2048"), SCRIPT("2048")},
     false},
    {"4MB-c1",
     6,
     "32m-c1",
     4 * MB,
     1024 * KB,
     {0x1000, 0x101000},
     0xFA000,
     0xE0000,
     {0x40201010, 0x40201010},
     {SCRIPT("2048"), SCRIPT("2048")},
     false},
    {"8MB",
     8,
     NULL,
     8 * MB,
     1024 * KB,
     {0x1000, 0x101000},
     0xFA000,
     0xE0000,
     {0x40201010, 0x40201010},
     {SCRIPT("2048"), SCRIPT("2048")},
     true},
    {"16MB",
     9,
     NULL,
     16 * MB,
     1024 * KB,
     {0x1000, 0x101000},
     0xFA000,
     0xE0000,
     {0x40201010, 0x40201010},
     {SCRIPT("2048"), SCRIPT("2048")},
     true},
};

static void in_other_case(char *to, const char *from)
{
    for (; *from != '\0'; from++) {
        int c = (unsigned char)*from;
        *to++ = (char)(isupper(c) ? tolower(c) : toupper(c));
    }
    *to = '\0';
}

static void check_names(const struct espimage_flash_map *map, const char *name)
{
    char other[16];
    assert_ptr_equal(espimage_flash_map_by_name(name), map);
    in_other_case(other, name);
    assert_ptr_equal(espimage_flash_map_by_name(other), map);
}

static void test_map(void **state)
{
    const struct map_case *row = *state;
    const struct espimage_flash_map *map = espimage_flash_map_by_code(row->code);
    assert_non_null(map);
    assert_int_equal(map->code, row->code);
    assert_string_equal(map->name, row->name);
    check_names(map, row->name);
    if (row->legacy != NULL) {
        assert_string_equal(map->legacy_name, row->legacy);
        check_names(map, row->legacy);
    } else {
        assert_null(map->legacy_name);
    }
    assert_int_equal(map->flash_size, row->flash);
    assert_int_equal(map->half, row->half);
    assert_int_equal(map->slot_limit, row->limit);
    assert_int_equal(map->irom_limit, row->irom_limit);
    assert_int_equal(map->remark != NULL, row->remark);
    assert_int_equal(espimage_flash_map_is_windowed(map), row->half == MB);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(map->slot[i], row->slot[i]);
        assert_int_equal(map->link[i], row->link[i]);
        if (row->script[i] != NULL) {
            assert_string_equal(map->script[i], row->script[i]);
        } else {
            assert_null(map->script[i]);
        }
    }
}

/* What must hold of every map with slots, whatever the numbers. */
static void test_invariants(void **state)
{
    (void)state;
    assert_int_equal(espimage_flash_map_count(), COUNT(map_rows));
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        assert_string_equal(map->name, map_rows[i].name);
        assert_true(i == 0 || map->code > espimage_flash_map_at(i - 1)->code);
        if (map->half == 0) {
            continue;
        }
        uint32_t parameters = map->flash_size - 5 * ESPIMAGE_SECTOR;
        assert_int_equal(map->slot[0], ESPIMAGE_SECTOR);
        assert_int_equal(map->slot[1], map->slot[0] + map->half);
        assert_true(map->slot[0] + map->slot_limit <= map->slot[1]);
        assert_true(map->slot[1] + map->slot_limit <= parameters);
        assert_int_equal(map->slot_limit % ESPIMAGE_SECTOR, 0);
        assert_true(map->irom_limit < map->slot_limit);
        for (size_t n = 0; n < 2; n++) {
            uint32_t in_window = map->slot[n] % (ESPIMAGE_WINDOW_END - ESPIMAGE_WINDOW_START);
            assert_int_equal(map->link[n],
                             ESPIMAGE_WINDOW_START + in_window + ESPIMAGE_IROM_IN_IMAGE);
            assert_true(map->link[n] + map->irom_limit <= ESPIMAGE_WINDOW_END);
        }
    }
}

/* Whole sectors of the partition, and never more than 240. */
static void test_update_limit(void **state)
{
    (void)state;
    static const uint32_t rows[][2] = {
        {0, 0},
        {4095, 0},
        {4096, 4096},
        {8100, 4096},
        {0x7A000, 0x7A000},
        {0xEFFFF, 0xEF000},
        {0xF0000, 983040},
        {0xF0001, 983040},
        {0xFA000, 983040},
        {16U << 20, 983040},
        {UINT32_MAX, 983040},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(espimage_update_limit(rows[i][0]), rows[i][1]);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const names[] = {"",       "1M",     "1MB ",  " 1MB",    "4MB-c2",
                                        "32m-c2", "1024KB", "2MB-c", "2MB-c12", "64m"};
    static const uint8_t codes[] = {7, 10, 15, 16, 255};
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_null(espimage_flash_map_by_name(names[i]));
    }
    for (size_t i = 0; i < COUNT(codes); i++) {
        assert_null(espimage_flash_map_by_code(codes[i]));
    }
}

struct setting_case {
    const char *name;
    bool is_mode;
    uint8_t code;
    const char *text;
};

static const struct setting_case setting_rows[] = {
    {"qio", true, 0, "quad I/O"},  {"qout", true, 1, "quad output"},
    {"dio", true, 2, "dual I/O"},  {"dout", true, 3, "dual output"},
    {"40m", false, 0x0, "40 MHz"}, {"26m", false, 0x1, "26.7 MHz"},
    {"20m", false, 0x2, "20 MHz"}, {"80m", false, 0xF, "80 MHz"},
};

static void test_setting(void **state)
{
    const struct setting_case *row = *state;
    const struct espimage_flash_setting *(*by_code)(uint8_t) =
        row->is_mode ? espimage_flash_mode_by_code : espimage_flash_freq_by_code;
    const struct espimage_flash_setting *(*by_name)(const char *) =
        row->is_mode ? espimage_flash_mode_by_name : espimage_flash_freq_by_name;
    const struct espimage_flash_setting *setting = by_code(row->code);
    char other[16];

    assert_non_null(setting);
    assert_string_equal(setting->name, row->name);
    assert_string_equal(setting->text, row->text);
    assert_ptr_equal(by_name(row->name), setting);
    in_other_case(other, row->name);
    assert_ptr_equal(by_name(other), setting);
}

static void test_settings_listed(void **state)
{
    (void)state;
    assert_int_equal(espimage_flash_mode_count(), 4);
    assert_int_equal(espimage_flash_freq_count(), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(espimage_flash_mode_at(i)->name, setting_rows[i].name);
        assert_string_equal(espimage_flash_freq_at(i)->name, setting_rows[4 + i].name);
    }
    assert_null(espimage_flash_mode_by_code(4));
    assert_null(espimage_flash_freq_by_code(3));
    assert_null(espimage_flash_freq_by_code(0xE));
    assert_null(espimage_flash_mode_by_name("40m"));
    assert_null(espimage_flash_freq_by_name("qio"));
    assert_null(espimage_flash_freq_by_name(""));
    assert_null(espimage_flash_freq_by_name("40"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariants),
        cmocka_unit_test(test_update_limit),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_settings_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("maps", map_rows, test_map) +
           run_table("settings", setting_rows, test_setting);
}
