/* SPDX-License-Identifier: MIT */
#include "support/firmware_builder.h"
#include "support/test.h"

#include <string.h>

struct elf {
    uint32_t address;
    uint32_t image_size; /* 0: tiny */
};

/* ELFs a.elf, b.elf, c.elf are added in turn; the last may be the one that contradicts. */
struct choice_case {
    const char *name;
    const char *given; /* NULL: none */
    struct elf elfs[3];
    size_t count;
    enum espimage_code code;
    const char *map;
    bool assumed;
    struct telling tells;
};

static const struct choice_case rows[] = {
    {"nothing known", NULL, {{0}}, 0, ESPIMAGE_OK, "1MB", true, {0}},
    {"app1 only", NULL, {{0x40201010, 0}}, 1, ESPIMAGE_OK, "1MB", true, {0}},
    {"app2 of 512KB only", NULL, {{0x40241010, 0}}, 1, ESPIMAGE_OK, "512KB", false, {0}},
    {"app2 of 1MB only", NULL, {{0x40281010, 0}}, 1, ESPIMAGE_OK, "1MB", true, {0}},
    {"pair of 512KB",
     NULL,
     {{0x40201010, 0}, {0x40241010, 0}},
     2,
     ESPIMAGE_OK,
     "512KB",
     false,
     {0}},
    {"pair of 1MB", NULL, {{0x40281010, 0}, {0x40201010, 0}}, 2, ESPIMAGE_OK, "1MB", true, {0}},
    {"the same twice",
     NULL,
     {{0x40241010, 0}, {0x40241010, 0}},
     2,
     ESPIMAGE_OK,
     "512KB",
     false,
     {0}},
    {"other layouts do not narrow",
     NULL,
     {{0x40202010, 0}, {0x40210000, 0}, {0, 0}},
     3,
     ESPIMAGE_OK,
     "1MB",
     true,
     {0}},
    {"too large for 1MB", NULL, {{0x40201010, 0x7A004}}, 1, ESPIMAGE_OK, "2MB-c1", true, {0}},
    {"fits 1MB", NULL, {{0x40201010, 0x3A004}}, 1, ESPIMAGE_OK, "1MB", true, {0}},
    {"too large for its address",
     NULL,
     {{0x40241010, 0x3A004}},
     1,
     ESPIMAGE_OK,
     "512KB",
     false,
     {0}},
    {"too large for every map", NULL, {{0x40201010, 0xFA004}}, 1, ESPIMAGE_OK, "1MB", true, {0}},
    {"given", "4MB", {{0x40201010, 0}, {0x40281010, 0}}, 2, ESPIMAGE_OK, "4MB", false, {0}},
    {"given, too large", "512KB", {{0x40201010, 0x7A004}}, 1, ESPIMAGE_OK, "512KB", false, {0}},
    {"given, other layout", "2MB", {{0x40210000, 0}}, 1, ESPIMAGE_OK, "2MB", false, {0}},
    {"two app2",
     NULL,
     {{0x40241010, 0}, {0x40281010, 0}},
     2,
     ESPIMAGE_ERR_LAYOUT,
     "512KB",
     false,
     {"linked at 0x40281010: app2 of 1MB, 2MB, 4MB, but a.elf is linked at 0x40241010",
      "ELFs for one flash map, there: 512KB", "link both for the same map"}},
    {"two app2 after app1",
     NULL,
     {{0x40201010, 0}, {0x40281010, 0}, {0x40241010, 0}},
     3,
     ESPIMAGE_ERR_LAYOUT,
     "1MB",
     true,
     {"linked at 0x40241010: app2 of 512KB, but b.elf is linked at 0x40281010",
      "there: 1MB, 2MB, 4MB", "link both"}},
    {"large app1, small app2",
     NULL,
     {{0x40201010, 0x7A004}, {0x40281010, 0}},
     2,
     ESPIMAGE_ERR_LAYOUT,
     "2MB-c1",
     true,
     {"linked at 0x40281010: app2 of 1MB, 2MB, 4MB, but a.elf is linked at 0x40201010",
      "there: 2MB-c1, 4MB-c1, 8MB, 16MB", "link both"}},
    {"given against app2",
     "1MB",
     {{0x40241010, 0}},
     1,
     ESPIMAGE_ERR_LAYOUT,
     "1MB",
     false,
     {"linked at 0x40241010: app2 of 512KB",
      "0x40201010 for app1 or 0x40281010 for app2 of the 1MB map",
      "eagle.app.v6.new.1024.app2.ld, or give the flash size it was linked for"}},
    {"given windowed against app2",
     "4MB-c1",
     {{0x40201010, 0}, {0x40281010, 0}},
     2,
     ESPIMAGE_ERR_LAYOUT,
     "4MB-c1",
     false,
     {"linked at 0x40281010", "0x40201010 for both slots of the 4MB-c1 map",
      "eagle.app.v6.new.2048.ld"}},
    {"given without slots",
     "256KB",
     {{0x40201010, 0}},
     1,
     ESPIMAGE_ERR_LAYOUT,
     "256KB",
     false,
     {"linked at 0x40201010", "a flash map with two slots, not 256KB", "flash size"}},
};

static struct espimage_link link_of(const struct elf *elf)
{
    struct espimage_link link;
    espimage_firmware *fw = elf->image_size != 0
                                ? firmware_of_image_size(elf->address, elf->image_size)
                                : firmware_tiny(elf->address);
    espimage_classify(fw, &link);
    espimage_firmware_free(fw);
    return link;
}

static void test_choice(void **state)
{
    const struct choice_case *row = *state;
    struct espimage_error err;
    struct espimage_map_choice choice;
    espimage_map_choice_init(&choice,
                             row->given != NULL ? espimage_flash_map_by_name(row->given) : NULL);
    for (size_t i = 0; i < row->count; i++) {
        char file[] = {(char)('a' + i), '.', 'e', 'l', 'f', '\0'};
        struct espimage_map_choice before = choice;
        struct espimage_link link = link_of(&row->elfs[i]);
        enum espimage_code wanted = i + 1 == row->count ? row->code : ESPIMAGE_OK;
        assert_code(wanted, espimage_map_choice_add(&choice, &link, file, &err), &err);
        if (wanted != ESPIMAGE_OK) {
            assert_string_equal(err.file, file);
            assert_tells(&err, &row->tells);
            assert_memory_equal(&before, &choice, sizeof choice);
        }
    }
    bool assumed = !row->assumed;
    const struct espimage_flash_map *map = espimage_map_choice_map(&choice, &assumed);
    assert_string_equal(map->name, row->map);
    assert_int_equal(assumed, row->assumed);
}

/* Names come from the command line and go to the terminal. */
static void test_file_name_is_made_printable(void **state)
{
    (void)state;
    struct espimage_error err;
    struct espimage_map_choice choice;
    const struct elf elfs[] = {{0x40241010, 0}, {0x40281010, 0}};
    struct espimage_link first = link_of(&elfs[0]);
    struct espimage_link second = link_of(&elfs[1]);
    espimage_map_choice_init(&choice, NULL);
    assert_ok(espimage_map_choice_add(&choice, &first, "a\x1B[1m.elf", &err), &err);
    assert_code(ESPIMAGE_ERR_LAYOUT, espimage_map_choice_add(&choice, &second, "b\n.elf", &err),
                &err);
    assert_mentions(err.found, "but a?[1m.elf is linked");
    assert_string_equal(err.file, "b?.elf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_name_is_made_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("choices", rows, test_choice);
}
