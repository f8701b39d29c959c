/* SPDX-License-Identifier: MIT */
#include "image/image_link.h"

#include "base/bytes.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define APP1     UINT32_C(0x40201010)
#define APP2_512 UINT32_C(0x40241010)
#define APP2     UINT32_C(0x40281010)
#define OLD_APP1 UINT32_C(0x40211000)
#define OLD_APP2 UINT32_C(0x40291000)

struct link_case {
    const char *name;
    const char *map;
    uint8_t app;
    uint32_t irom_size;
    uint32_t words;     /* addresses in a flash part ... */
    uint32_t points_to; /* ... linked there */
    enum image_link_verdict verdict;
    uint32_t wanted;
    uint32_t other; /* looked at for ELSEWHERE */
};

static const struct link_case rows[] = {
    {"app1 as user1", "1MB", 1, 0x10000, 5, APP1, IMAGE_LINK_AGREES, APP1, 0},
    {"app1 as user2", "1MB", 2, 0x10000, 5, APP1, IMAGE_LINK_ELSEWHERE, APP2, APP1},
    {"app2 as user2", "1MB", 2, 0x10000, 5, APP2, IMAGE_LINK_AGREES, APP2, 0},
    {"app2 as user1", "1MB", 1, 0x10000, 5, APP2, IMAGE_LINK_ELSEWHERE, APP1, APP2},
    {"app2 as either", "1MB", 0, 0x10000, 5, APP2, IMAGE_LINK_AGREES, APP2, 0},
    {"app2 of another map", "512KB", 2, 0x10000, 5, APP2, IMAGE_LINK_ELSEWHERE, APP2_512, APP2},
    {"neither of this map", "512KB", 0, 0x10000, 5, APP2, IMAGE_LINK_ELSEWHERE, APP1, APP2},
    {"app2 in a windowed map", "2MB-c1", 2, 0x10000, 5, APP2, IMAGE_LINK_ELSEWHERE, APP1, APP2},
    {"windowed, user2", "2MB-c1", 2, 0x10000, 5, APP1, IMAGE_LINK_AGREES, APP1, 0},
    {"three words", "1MB", 2, 0x10000, 3, APP1, IMAGE_LINK_UNCLEAR, APP2, 0},
    {"no words", "1MB", 1, 0x10000, 0, APP1, IMAGE_LINK_UNCLEAR, APP1, 0},
    {"too long for 512KB", "1MB", 2, 0x40000, 500, APP1, IMAGE_LINK_ELSEWHERE, APP2, APP1},
    {"only windowed maps hold it", "2MB-c1", 1, 0x80000, 0, APP1, IMAGE_LINK_NONE, APP1, 0},
};

static struct espimage_bytes build(const struct link_case *row)
{
    struct espimage_build_options options = options_usual();
    options.map = espimage_flash_map_by_name("2MB-c1");
    espimage_firmware *fw = firmware_pointing(APP1, row->irom_size, row->words, row->points_to);
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    return built;
}

static void test_link(void **state)
{
    const struct link_case *row = *state;
    struct espimage_image_view view;
    struct image_link link;
    struct espimage_bytes built = build(row);
    espimage_image_parse(built.data, built.size, &view);
    image_link_judge(&view, espimage_flash_map_by_name(row->map), row->app, &link);
    assert_int_equal(link.verdict, row->verdict);
    assert_int_equal(link.wanted, row->wanted);
    if (row->verdict == IMAGE_LINK_ELSEWHERE) {
        assert_int_equal(link.other, row->other);
        assert_int_equal(link.other_words, row->words);
    }
    espimage_bytes_free(&built);
}

/* Random words hit any address now and then. */
static void test_chance(void **state)
{
    (void)state;
    struct espimage_image_view view;
    struct image_link link;
    struct espimage_build_options options = options_usual();
    struct random r = {7};
    espimage_firmware *fw = firmware_pointing(APP1, 0x60000, 0, APP1);
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    random_fill(&r, built.data + 16, 0x60000);
    espimage_image_parse(built.data, built.size, &view);
    for (uint8_t app = 0; app <= 2; app++) {
        image_link_judge(&view, options.map, app, &link);
        assert_int_equal(link.verdict, IMAGE_LINK_UNCLEAR);
    }
    assert_true(link.wanted_words + link.other_words > 4);
    espimage_bytes_free(&built);
}

/* A v1 image, FF up to 64 KB, and the flash part, in which the addresses are. */
static void test_old_layout(void **state)
{
    (void)state;
    struct espimage_image_view view;
    struct image_link link;
    struct espimage_error err;
    struct espimage_bytes ram = {0};
    struct espimage_build_options options = options_usual();
    uint8_t app = 0;
    espimage_firmware *fw = firmware_pointing(APP1, 16, 0, APP1);
    assert_ok(espimage_no_boot_build(fw, &options, &ram, &err), &err);
    espimage_firmware_free(fw);

    size_t size = 0x14000;
    uint8_t *slot = malloc(size);
    assert_non_null(slot);
    memset(slot, 0xFF, size);
    memcpy(slot, ram.data, ram.size);
    for (uint32_t i = 0; i < 9; i++) {
        put_le32(slot + 0x10000 + (size_t)4 * i, OLD_APP2 + 0x100 * i);
    }
    espimage_image_parse(slot, size, &view);
    image_link_judge(&view, options.map, 2, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_AGREES);
    assert_int_equal(link.wanted, OLD_APP2);
    image_link_judge(&view, options.map, 1, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_ELSEWHERE);
    assert_int_equal(link.wanted, OLD_APP1);
    assert_int_equal(link.other, OLD_APP2);
    assert_string_equal(image_link_map(&view, link.other, options.map, &app)->name, "1MB");
    assert_int_equal(app, 2);

    /* Without the part behind it there is nothing to judge. */
    espimage_image_parse(ram.data, ram.size, &view);
    image_link_judge(&view, options.map, 1, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_NONE);
    free(slot);
    espimage_bytes_free(&ram);
}

static void test_every_length(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_pointing(APP1, 64, 9, APP1);
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    for (size_t size = 0; size <= built.size; size++) {
        struct espimage_image_view view;
        struct image_link link;
        uint8_t *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, built.data, size);
        espimage_image_parse(copy, size, &view);
        image_link_judge(&view, options.map, 1, &link);
        assert_true(link.verdict == IMAGE_LINK_NONE || view.extent >= ESPIMAGE_EXTENT_IROM);
        free(copy);
    }
    espimage_bytes_free(&built);
}

static void test_names_of_addresses(void **state)
{
    (void)state;
    struct espimage_image_view view = {.has_irom = true};
    uint8_t app = 0;
    const struct espimage_flash_map *mb4 = espimage_flash_map_by_name("4MB");
    const struct espimage_flash_map *windowed = espimage_flash_map_by_name("2MB-c1");
    assert_string_equal(image_link_map(&view, APP2, mb4, &app)->name, "4MB");
    assert_int_equal(app, 2);
    assert_string_equal(image_link_map(&view, APP2, windowed, &app)->name, "1MB");
    assert_int_equal(app, 2);
    assert_string_equal(image_link_map(&view, APP1, windowed, &app)->name, "2MB-c1");
    assert_int_equal(app, 1);
    assert_null(image_link_map(&view, 0x40202010, mb4, &app));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_old_layout),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_names_of_addresses),
    };
    int failures = cmocka_run_group_tests_name("image_link", tests, NULL, NULL);
    return failures + run_table("linked for", rows, test_link);
}
