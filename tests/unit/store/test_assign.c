/* SPDX-License-Identifier: MIT */
#include "store/assign.h"

#include "support/test.h"

#include <string.h>

#define NONE (-1)

/* Link addresses of an ELF; 0: it cannot be read yet. */
struct row {
    const char *name;
    const char *given; /* flash map, or NULL */
    uint8_t app;
    size_t count;
    uint32_t linked[STORE_FILES];
    /* what is wanted */
    const char *map;
    bool assumed;
    int file_of[2];
    bool refused[STORE_FILES];
};

static const struct row rows[] = {
    {"pair of 1MB", NULL, 0, 2, {0x40201010, 0x40281010}, "1MB", true, {0, 1}, {0, 0}},
    {"the other way round", NULL, 0, 2, {0x40281010, 0x40201010}, "1MB", true, {1, 0}, {0, 0}},
    {"pair of 512KB", NULL, 0, 2, {0x40201010, 0x40241010}, "512KB", false, {0, 1}, {0, 0}},
    {"app2 alone", NULL, 0, 1, {0x40281010, 0}, "1MB", true, {NONE, 0}, {0, 0}},
    {"app1 and one not there", NULL, 0, 2, {0x40201010, 0}, "1MB", true, {0, 1}, {0, 0}},
    {"one not there, and app1", NULL, 0, 2, {0, 0x40201010}, "1MB", true, {1, 0}, {0, 0}},
    {"neither there", NULL, 0, 2, {0, 0}, "1MB", true, {0, 1}, {0, 0}},
    {"the one is not there", NULL, 0, 1, {0, 0}, "1MB", true, {0, 0}, {0, 0}},
    {"one ELF for both", "2MB-c1", 0, 1, {0x40201010, 0}, "2MB-c1", false, {0, 0}, {0, 0}},
    {"two ELFs, each for both",
     "2MB-c1",
     0,
     2,
     {0x40201010, 0x40201010},
     "2MB-c1",
     false,
     {0, 1},
     {0, 0}},
    {"both for one slot", NULL, 0, 2, {0x40281010, 0x40281010}, "1MB", true, {1, 0}, {0, 1}},
    {"of other maps", NULL, 0, 2, {0x40241010, 0x40281010}, "512KB", false, {1, 0}, {0, 1}},
    {"not of the given map", "1MB", 0, 1, {0x40241010, 0}, "1MB", false, {0, 0}, {1, 0}},
    {"rBoot beside app1", NULL, 0, 2, {0x40201010, 0x40202010}, "1MB", true, {0, 1}, {0, 1}},
    {"whatever it was linked for", "1MB", 2, 1, {0x40201010, 0}, "1MB", false, {NONE, 0}, {0, 0}},
    {"not there, for a given slot", "1MB", 2, 1, {0, 0}, "1MB", false, {NONE, 0}, {0, 0}},
};

static void link_at(uint32_t address, struct espimage_link *out)
{
    static const uint8_t code[16] = {1};
    const struct espimage_section sections[] = {
        {".text", ESPIMAGE_REGION_IRAM, 0x40100000, sizeof code, code},
        {".irom0.text", ESPIMAGE_REGION_IROM, address, sizeof code, code}};
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    assert_ok(espimage_firmware_from_sections(0x40100004, sections, COUNT(sections), &fw, &err),
              &err);
    espimage_classify(fw, out);
    espimage_firmware_free(fw);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    static const char *const paths[] = {"a.elf", "b.elf"};
    struct espimage_link links[STORE_FILES];
    struct assign_file files[STORE_FILES];
    struct assignment got;
    for (size_t i = 0; i < STORE_FILES; i++) {
        bool there = row->linked[i] != 0;
        files[i] = (struct assign_file){paths[i], there ? &links[i] : NULL};
        if (there) {
            link_at(row->linked[i], &links[i]);
        }
    }
    const struct espimage_flash_map *given =
        row->given != NULL ? espimage_flash_map_by_name(row->given) : NULL;
    assign_slots(given, row->app, files, row->count, &got);
    assert_string_equal(got.map->name, row->map);
    assert_int_equal(got.assumed, row->assumed);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(got.file_of[i], row->file_of[i]);
        assert_int_equal(got.code[i] != ESPIMAGE_OK, row->refused[i]);
        if (row->refused[i]) {
            assert_true(got.error[i].found[0] != '\0' && got.error[i].advice[0] != '\0');
        }
    }
}

int main(void)
{
    return run_table("assign", rows, test_row);
}
