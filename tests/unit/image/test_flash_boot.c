/* SPDX-License-Identifier: MIT */
/* What a dump would run: by record, images, bootloader and map. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "image/flash_boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum content { GOOD, BLANK, NO_MAGIC, NO_INNER, WRONG_SUM, WRONG_SUM_IN_TIME, ELSEWHERE };

struct row {
    const char *name;
    const char *boot; /* version; "": a bootloader without a name */
    const char *map;
    uint8_t byte0, byte1; /* of the record in copy B, which counts */
    enum content user1, user2;
    enum flash_boot_outcome outcome;
    uint8_t runs;
    uint8_t selected;
    bool failed;
    uint8_t asks;
    const char *found; /* is part of what is said about the slot; "": nothing is said */
};

static const struct row rows[] = {
    {"new", "1.6", "1MB", 0xFF, 0xFF, GOOD, GOOD, FLASH_BOOT_RUNS, 1, 0, false, 2, ""},
    {"user2", "1.6", "1MB", 0xFD, 0xE6, GOOD, GOOD, FLASH_BOOT_RUNS, 2, 2, false, 1, ""},
    {"unknown loader", "", "1MB", 0xFD, 0xE6, GOOD, GOOD, FLASH_BOOT_RUNS, 2, 2, false, 1, ""},
    {"failed user1", "1.6", "1MB", 0xF8, 0xE6, GOOD, GOOD, FLASH_BOOT_RUNS, 2, 1, true, 1, ""},
    {"failed user1, 1.3", "1.3", "1MB", 0xF8, 0xE3, GOOD, GOOD, FLASH_BOOT_RUNS, 1, 1, true, 1, ""},
    {"other version", "1.7", "1MB", 0xFD, 0xE6, GOOD, GOOD, FLASH_BOOT_RUNS, 1, 2, false, 2, ""},
    {"blank user2", "1.6", "1MB", 0xFD, 0xE6, GOOD, BLANK, FLASH_BOOT_FALLS_BACK, 1, 2, false, 2,
     ""},
    {"user2 of zeros", "1.7", "1MB", 0xFD, 0xE7, GOOD, NO_MAGIC, FLASH_BOOT_FALLS_BACK, 1, 2, false,
     2, ""},
    {"no inner header", "1.5", "1MB", 0xFC, 0xE5, NO_INNER, GOOD, FLASH_BOOT_FALLS_BACK, 2, 1,
     false, 1, ""},
    {"1.3 from user2", "1.3", "1MB", 0xFD, 0xE3, GOOD, BLANK, FLASH_BOOT_FALLS_BACK, 1, 2, false, 2,
     ""},
    {"1.3 from user1", "1.3", "1MB", 0xFC, 0xE3, BLANK, GOOD, FLASH_BOOT_DEAD, 0, 1, false, 2,
     "begins with FF FF"},
    {"1.2", "1.2", "1MB", 0x01, 0x02, GOOD, BLANK, FLASH_BOOT_DEAD, 0, 2, false, 1,
     "begins with FF FF"},
    {"both blank", "1.6", "1MB", 0xFF, 0xFF, BLANK, BLANK, FLASH_BOOT_DEAD, 0, 0, false, 2,
     "begins with FF FF"},
    {"failed, and no backup", "1.6", "1MB", 0xF9, 0xE6, BLANK, GOOD, FLASH_BOOT_DEAD, 0, 2, true, 2,
     "begins with FF FF"},
    {"wrong checksum", "1.6", "1MB", 0xFD, 0xE6, GOOD, WRONG_SUM, FLASH_BOOT_CRASHES, 0, 2, false,
     1, "checksum"},
    {"wrong checksum, beside the loader", "1.6", "1MB", 0xFD, 0xE6, GOOD, WRONG_SUM_IN_TIME,
     FLASH_BOOT_FALLS_BACK, 1, 2, false, 2, ""},
    {"backup crashes", "1.6", "1MB", 0xFD, 0xE6, WRONG_SUM, BLANK, FLASH_BOOT_CRASHES, 0, 2, false,
     1, "checksum"},
    {"linked for the other slot", "1.6", "1MB", 0xFC, 0xE6, ELSEWHERE, GOOD, FLASH_BOOT_CRASHES, 0,
     1, false, 2, "linked at 0x40281010, user1 needs 0x40201010"},
    {"flag error", "1.6", "1MB", 0xFE, 0xE6, GOOD, GOOD, FLASH_BOOT_FLAG_ERROR, 0, 0, false, 2, ""},
    {"test mode", "1.6", "1MB", 0xFD, 0x26, GOOD, GOOD, FLASH_BOOT_ADDRESS, 0, 2, false, 1, ""},
    {"a map that 1.2 does not know", "1.2", "2MB-c1", 0x01, 0x02, GOOD, GOOD, FLASH_BOOT_RUNS, 1, 2,
     false, 1, ""},
    {"boot 1.1 and the new layout", "1.1", "1MB", 0xFF, 0xFF, GOOD, GOOD, FLASH_BOOT_DEAD, 0, 0,
     false, 2, "begins with EA 04"},
};

static struct espimage_bytes image_at(uint32_t link, uint32_t points_to)
{
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_pointing(link, 4096, 64, points_to);
    struct espimage_bytes bytes = image(fw, &options);
    espimage_firmware_free(fw);
    return bytes;
}

static struct espimage_bytes image_beside_loader(void)
{
    const struct espimage_section sections[] = {section(".text", 0x40102000, 64, content())};
    struct espimage_build_options options = options_usual();
    struct espimage_bytes bytes;
    struct espimage_error err;
    espimage_firmware *fw = firmware(0x40102000, sections, COUNT(sections));
    assert_ok(espimage_no_boot_build(fw, &options, &bytes, &err), &err);
    espimage_firmware_free(fw);
    bytes.data[bytes.size - 1] ^= 1;
    return bytes;
}

static void put_slot(uint8_t *flash, const struct espimage_flash_map *map, size_t slot,
                     enum content what)
{
    uint32_t link = map->link[slot];
    uint8_t *to = flash + map->slot[slot];
    struct espimage_image_view view;
    struct espimage_bytes bytes = {0};
    switch (what) {
    case BLANK: return;
    case WRONG_SUM_IN_TIME: bytes = image_beside_loader(); break;
    case ELSEWHERE: bytes = image_at(link, map->link[1 - slot]); break;
    default: bytes = image_at(link, link); break;
    }
    espimage_image_parse(bytes.data, bytes.size, &view);
    switch (what) {
    case NO_MAGIC: memset(bytes.data, 0, 2); break;
    case NO_INNER: bytes.data[view.inner_offset] = 0xE8; break;
    case WRONG_SUM: bytes.data[view.checksum_offset] ^= 1; break;
    default: break;
    }
    memcpy(to, bytes.data, bytes.size);
    espimage_bytes_free(&bytes);
}

/* Freed by the caller. */
static uint8_t *blank_flash(const struct espimage_flash_map *map, const char *boot)
{
    uint8_t *flash = malloc(map->flash_size);
    assert_non_null(flash);
    memset(flash, 0xFF, map->flash_size);
    memset(flash, 0, 256);
    flash[0] = 0xE9;
    flash[1] = 1;
    flash[3] = (uint8_t)(map->code << 4);
    if (boot[0] != '\0') {
        (void)snprintf((char *)flash + 16, 64, "\n2nd boot version : %s\n", boot);
    }
    return flash;
}

static void find(const uint8_t *bytes, size_t size, struct flash_boot *out)
{
    struct espimage_flash_view view;
    espimage_flash_parse(bytes, size, &view);
    flash_boot_find(bytes, size, &view, out);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    const struct espimage_flash_map *map = espimage_flash_map_by_name(r->map);
    struct flash_boot boot;
    uint8_t *flash = blank_flash(map, r->boot);
    put_slot(flash, map, 0, r->user1);
    put_slot(flash, map, 1, r->user2);
    flash[map->flash_size - 0x2000] = r->byte0;
    flash[map->flash_size - 0x2000 + 1] = r->byte1;
    find(flash, map->flash_size, &boot);
    assert_int_equal(boot.outcome, r->outcome);
    assert_int_equal(boot.runs, r->runs);
    assert_int_equal(boot.selected, r->selected);
    assert_int_equal(boot.failed, r->failed);
    assert_int_equal(boot.asks, r->asks);
    assert_int_equal(boot.sectors, map->flash_size - 0x3000);
    if (r->found[0] != '\0') {
        assert_mentions(boot.found, r->found);
    } else {
        assert_string_equal(boot.found, "");
    }
    free(flash);
}

static void test_without_the_parameters(void **state)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_name("1MB");
    struct flash_boot boot;
    (void)state;
    uint8_t *flash = blank_flash(map, "1.6");
    put_slot(flash, map, 0, GOOD);
    find(flash, 0x40000, &boot);
    assert_int_equal(boot.outcome, FLASH_BOOT_UNKNOWN);
    assert_int_equal(boot.version, ESPIMAGE_BOOT_1_6);
    free(flash);
}

/* Boot 1.7 says so of map 7, which no SDK has. */
static void test_map_that_boot_1_7_refuses(void **state)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_name("1MB");
    struct flash_boot boot;
    (void)state;
    uint8_t *flash = blank_flash(map, "1.7");
    put_slot(flash, map, 0, GOOD);
    flash[3] = 0x70;
    find(flash, map->flash_size, &boot);
    assert_int_equal(boot.outcome, FLASH_BOOT_MAP_REFUSED);
    assert_int_equal(boot.asks, 0);
    free(flash);
}

/* The name that is in use counts where the list is of another SDK. */
static void test_networks(void **state)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_name("1MB");
    struct flash_boot boot;
    (void)state;
    uint8_t *flash = blank_flash(map, "1.6");
    uint8_t *copy = flash + map->flash_size - 0x2000;
    find(flash, map->flash_size, &boot);
    assert_int_equal(boot.networks, 0);
    memcpy(copy + 0x0C, "\x04\0\0\0name", 8);
    find(flash, map->flash_size, &boot);
    assert_int_equal(boot.networks, 1);
    copy[ESPIMAGE_NETWORK_COUNT_OFFSET] = 3;
    find(flash, map->flash_size, &boot);
    assert_int_equal(boot.networks, 3);
    free(flash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_the_parameters),
        cmocka_unit_test(test_map_that_boot_1_7_refuses),
        cmocka_unit_test(test_networks),
    };
    int failures = cmocka_run_group_tests_name("flash_boot", tests, NULL, NULL);
    return failures + run_table("dumps", rows, test_row);
}
