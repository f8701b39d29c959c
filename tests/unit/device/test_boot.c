/* SPDX-License-Identifier: MIT */
/* What bootloaders make of damaged images, and of damaged parameters. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "base/bytes.h"
#include "device/boot.h"
#include "device/flash_file.h"

#include <stdlib.h>
#include <string.h>

struct bench {
    struct flash flash;
    const struct espimage_flash_map *map;
    struct boot_chip chip;
    struct espimage_error err;
};

static void open_bench(struct bench *b, enum espimage_boot_version version, const char *map)
{
    memset(b, 0, sizeof *b);
    b->map = espimage_flash_map_by_name(map);
    uint8_t *blank = malloc(b->map->flash_size);
    assert_non_null(blank);
    memset(blank, 0xFF, b->map->flash_size);
    assert_ok(flash_file_unnamed(blank, b->map->flash_size, &b->flash, &b->err), &b->err);
    free(blank);
    b->chip = (struct boot_chip){.flash = &b->flash, .version = version, .map_code = b->map->code};
}

static struct espimage_bytes image_for(const struct espimage_flash_map *map, uint8_t slot)
{
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(map->link[slot - 1]);
    options.map = map;
    options.app = slot;
    struct espimage_bytes bytes = image(fw, &options);
    espimage_firmware_free(fw);
    return bytes;
}

static void put(struct bench *b, uint32_t at, const uint8_t *bytes, size_t size)
{
    for (uint32_t sector = 0; sector < size; sector += ESPIMAGE_SECTOR) {
        assert_ok(flash_erase(&b->flash, at / ESPIMAGE_SECTOR * ESPIMAGE_SECTOR + sector, &b->err),
                  &b->err);
    }
    assert_ok(flash_write_any(&b->flash, at, bytes, size, &b->err), &b->err);
}

static void put_image(struct bench *b, uint8_t slot)
{
    struct espimage_bytes bytes = image_for(b->map, slot);
    put(b, b->map->slot[slot - 1], bytes.data, bytes.size);
    espimage_bytes_free(&bytes);
}

static const struct boot_step *reset(struct bench *b)
{
    static struct boot_step step;
    assert_ok(boot_step(&b->chip, &step, &b->err), &b->err);
    assert_ok(boot_apply(&step, &b->flash, &b->err), &b->err);
    b->chip.retries = step.retries;
    return &step;
}

/* ---- damage ----
 *
 * The image is that of firmware_tiny(): irom at 16, inner header at 32, .data and .text from 40 on,
 * checksum at 79 and CRC behind it. */

#define INNER 32

enum damage {
    GOOD,
    BLANK,
    ZEROS,
    NO_FOUR,
    INNER_HEADER,
    NO_IROM_LENGTH,
    IROM_LENGTH,
    CUT_BEFORE_INNER,
    CHECKSUM,
    RAM_BYTE,
    CUT_IN_RAM,
    CUT_CHECKSUM,
    NO_SEGMENTS,
    MANY_SEGMENTS,
    ENTRY_ZERO,
    IROM_BYTE,
    LOAD_ADDRESS,
    APP_NUMBER,
    CRC,
    E9_04,
    PLAIN_V1,
    ENDLESS_IROM
};

/* From `at` on it was never written. */
static void cut(struct espimage_bytes *image, size_t at)
{
    memset(image->data + at, 0xFF, image->size - at);
}

static void damage_image(struct espimage_bytes *i, enum damage damage)
{
    uint8_t *p = i->data;
    switch (damage) {
    case GOOD: break;
    case BLANK: cut(i, 0); break;
    case ZEROS: memset(p, 0, 2); break;
    case NO_FOUR: p[1] = 3; break;
    case INNER_HEADER: p[INNER] = 0xE8; break;
    case NO_IROM_LENGTH: put_le32(p + 12, 0); break;
    case IROM_LENGTH: p[12] ^= 0x30; break;
    case CUT_BEFORE_INNER: cut(i, 20); break;
    case CHECKSUM: p[i->size - 5] ^= 1; break;
    case RAM_BYTE: p[INNER + 16] ^= 1; break;
    case CUT_IN_RAM: cut(i, INNER + 22); break;
    case CUT_CHECKSUM: cut(i, i->size - 5); break;
    case NO_SEGMENTS: p[INNER + 1] = 0; break;
    case MANY_SEGMENTS: p[INNER + 1] = 200; break;
    case ENTRY_ZERO: put_le32(p + INNER + 4, 0); break;
    case IROM_BYTE: p[17] ^= 1; break;
    case LOAD_ADDRESS: p[8] = 1; break;
    case APP_NUMBER: p[3] ^= 3; break;
    case CRC: p[i->size - 1] ^= 1; break;
    case E9_04: p[0] = 0xE9; break;
    case PLAIN_V1: memmove(p, p + INNER, i->size - INNER - 4); break;
    case ENDLESS_IROM: put_le32(p + 12, 0xFFFFFFF0); break;
    }
}

struct decision {
    const char *name;
    enum damage damage;
    enum boot_outcome outcome; /* of boot 1.6 */
    const char *found;
};

static const struct decision decisions[] = {
    {"good", GOOD, BOOT_RUNS, ""},
    {"blank", BLANK, BOOT_FALLBACK_SET, "FF FF"},
    {"zeros", ZEROS, BOOT_FALLBACK_SET, "00 00"},
    {"EA 03", NO_FOUR, BOOT_FALLBACK_SET, "EA 03"},
    {"inner header", INNER_HEADER, BOOT_FALLBACK_SET, "E8, not E9"},
    {"irom length 0", NO_IROM_LENGTH, BOOT_FALLBACK_SET, "EA, not E9"},
    {"irom length", IROM_LENGTH, BOOT_FALLBACK_SET, "not E9"},
    {"endless irom", ENDLESS_IROM, BOOT_FALLBACK_SET, "outside the flash"},
    {"cut before the inner header", CUT_BEFORE_INNER, BOOT_FALLBACK_SET, "FF, not E9"},
    {"checksum", CHECKSUM, BOOT_CRASH, "checksum"},
    {"byte of a RAM segment", RAM_BYTE, BOOT_CRASH, "checksum"},
    {"cut in the RAM segments", CUT_IN_RAM, BOOT_CRASH, "segment 1"},
    {"cut at the checksum", CUT_CHECKSUM, BOOT_CRASH, "checksum FF"},
    {"no segments", NO_SEGMENTS, BOOT_CRASH, "no segment"},
    {"200 segments", MANY_SEGMENTS, BOOT_CRASH, "no RAM"},
    {"entry 0", ENTRY_ZERO, BOOT_CRASH, "entry 0x00000000"},
    {"irom byte", IROM_BYTE, BOOT_RUNS, ""},
    {"load address", LOAD_ADDRESS, BOOT_RUNS, ""},
    {"app number", APP_NUMBER, BOOT_RUNS, ""},
    {"CRC", CRC, BOOT_RUNS, ""},
    {"E9 04", E9_04, BOOT_CRASH, "0x00000000"},
    {"a v1 image", PLAIN_V1, BOOT_RUNS, ""},
};

static void put_damaged(struct bench *b, enum damage damage)
{
    struct espimage_bytes bytes = image_for(b->map, 1);
    damage_image(&bytes, damage);
    put(b, b->map->slot[0], bytes.data, bytes.size);
    espimage_bytes_free(&bytes);
}

static void test_decision(void **state)
{
    const struct decision *d = *state;
    struct bench b;
    open_bench(&b, ESPIMAGE_BOOT_1_6, "1MB");
    put_damaged(&b, d->damage);
    put_image(&b, 2);
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->outcome, d->outcome);
    assert_int_equal(step->slot, 1);
    assert_int_equal(step->address, 0x1000);
    if (d->found[0] == '\0') {
        assert_string_equal(step->found, "");
    } else {
        assert_mentions(step->found, d->found);
    }
    /* Afterwards: the other slot, or the same as before for ever. */
    bool falls_back = d->outcome == BOOT_FALLBACK_SET;
    for (int i = 0; i < 5; i++) {
        step = reset(&b);
        assert_int_equal(step->outcome, falls_back ? BOOT_RUNS : d->outcome);
        assert_int_equal(step->slot, falls_back ? 2 : 1);
        assert_int_equal(step->change_count, 0);
    }
    flash_file_close(&b.flash);
}

/* Where no segment touches the bootloader it finds the wrong checksum in time. */
static void test_checksum_of_an_image_beside_the_bootloader(void **state)
{
    const struct espimage_section sections[] = {section(".text", 0x40102000, 64, content())};
    struct espimage_build_options options = options_usual();
    struct espimage_error err;
    struct espimage_bytes bytes;
    struct bench b;
    (void)state;
    espimage_firmware *fw = firmware(0x40102000, sections, COUNT(sections));
    assert_ok(espimage_no_boot_build(fw, &options, &bytes, &err), &err);
    espimage_firmware_free(fw);
    open_bench(&b, ESPIMAGE_BOOT_1_6, "1MB");
    bytes.data[bytes.size - 1] ^= 1;
    put(&b, b.map->slot[0], bytes.data, bytes.size);
    assert_int_equal(reset(&b)->outcome, BOOT_FALLBACK_SET);
    espimage_bytes_free(&bytes);
    flash_file_close(&b.flash);
}

/* ---- retries of 1.7 ---- */

static void test_retries_are_counted_in_rtc_memory(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_7, "1MB");
    put_image(&b, 2);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(reset(&b)->outcome, BOOT_RETRY);
        assert_int_equal(b.chip.retries, 0x5A5A5A00 + i);
    }
    b.chip.retries = 0; /* the power was off */
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(reset(&b)->outcome, BOOT_RETRY);
    }
    assert_int_equal(reset(&b)->outcome, BOOT_FALLBACK_SET);
    assert_int_equal(b.chip.retries, 0x12345678);
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->outcome, BOOT_RUNS);
    assert_int_equal(step->slot, 2);
    assert_true(step->choice.fallback);
    flash_file_close(&b.flash);
}

/* ---- maps ---- */

/* Boot 1.6 takes a flash of 8 MB for one of 512 KB and writes into user1. */
static void test_unknown_map_destroys_user1(void **state)
{
    static const uint8_t code[] = {1, 2, 3, 4};
    uint8_t back[sizeof code];
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_6, "8MB");
    put_image(&b, 1);
    put(&b, 0x7D010, code, sizeof code);
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->outcome, BOOT_RUNS);
    assert_int_equal(step->slot, 1);
    assert_int_equal(step->change_count, 4);
    assert_ok(flash_read(&b.flash, 0x7D000, back, sizeof back, &b.err), &b.err);
    assert_int_equal(back[0], 0xFC);
    flash_file_close(&b.flash);
}

static void choose_user2(struct bench *b)
{
    static uint8_t sectors[ESPIMAGE_PARAMETERS_SIZE];
    espimage_parameters_build(b->chip.version, 2, sectors);
    put(b, espimage_parameters_address(b->map->flash_size), sectors, sizeof sectors);
}

/* The ROM of a chip does not read the parameters there; an emulator does. */
static void test_boot_1_7_with_8mb(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_7, "8MB");
    put_image(&b, 1);
    put_image(&b, 2);
    choose_user2(&b);
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->slot, 1);
    assert_int_equal(step->change_count, 0);
    b.chip.reads_beyond_4mb = true;
    assert_int_equal(reset(&b)->slot, 2);
    flash_file_close(&b.flash);
}

static void test_map_that_boot_1_7_refuses(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_7, "4MB");
    put_image(&b, 1);
    b.chip.map_code = 7;
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->outcome, BOOT_DEAD);
    assert_int_equal(step->complaint, BOOT_SAYS_NO_MAP);
    flash_file_close(&b.flash);
}

static void test_slots_of_every_map(void **state)
{
    struct bench b;
    (void)state;
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        if (map->half == 0) {
            continue;
        }
        open_bench(&b, ESPIMAGE_BOOT_1_7, map->name);
        b.chip.reads_beyond_4mb = true;
        put_image(&b, 2);
        choose_user2(&b);
        const struct boot_step *step = reset(&b);
        assert_int_equal(step->outcome, BOOT_RUNS);
        assert_int_equal(step->address, map->slot[1]);
        flash_file_close(&b.flash);
    }
    assert_int_equal(boot_slot_address(ESPIMAGE_BOOT_1_6, 1, 2), 0x21000);
    assert_int_equal(boot_slot_address(ESPIMAGE_BOOT_1_7, 1, 2), 0x41000);
    assert_int_equal(boot_flash_size(ESPIMAGE_BOOT_1_7, 7), 0x80000);
}

/* ---- test and enhance mode ---- */

static void put_mode(struct bench *b, uint8_t byte0, uint8_t byte1)
{
    const uint8_t head[] = {byte0, byte1, 0x00, 0x10, 0x08, 0x00, 0x10, 0x08};
    put(b, espimage_parameters_address(b->map->flash_size) + ESPIMAGE_SECTOR, head, sizeof head);
}

static void test_modes_without_an_image(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_6, "1MB");
    put_image(&b, 1);
    put_mode(&b, 0xFC, 0x26);
    const struct boot_step *step = reset(&b);
    assert_int_equal(step->outcome, BOOT_DEAD);
    assert_int_equal(step->change_count, 0);
    put_mode(&b, 0xFC, 0x46);
    step = reset(&b);
    assert_int_equal(step->outcome, BOOT_FALLBACK_SET);
    assert_int_equal(step->slot, 2);
    put_image(&b, 2);
    assert_int_equal(reset(&b)->outcome, BOOT_ENHANCE);
    flash_file_close(&b.flash);
}

static void test_flash_that_cannot_be_read(void **state)
{
    static struct boot_step step;
    struct bench b;
    (void)state;
    open_bench(&b, ESPIMAGE_BOOT_1_6, "1MB");
    b.flash.dead = true;
    assert_code(ESPIMAGE_ERR_IO, boot_step(&b.chip, &step, &b.err), &b.err);
    flash_file_close(&b.flash);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(boot_outcome_name(BOOT_RUNS), "runs");
    assert_string_equal(boot_outcome_name(BOOT_FALLBACK_SET), "fallback-set");
    assert_string_equal(boot_outcome_name(BOOT_ENHANCE), "enhance");
    assert_true(boot_outcome_runs(BOOT_TEST));
    assert_false(boot_outcome_runs(BOOT_RETRY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_of_an_image_beside_the_bootloader),
        cmocka_unit_test(test_retries_are_counted_in_rtc_memory),
        cmocka_unit_test(test_unknown_map_destroys_user1),
        cmocka_unit_test(test_boot_1_7_with_8mb),
        cmocka_unit_test(test_map_that_boot_1_7_refuses),
        cmocka_unit_test(test_slots_of_every_map),
        cmocka_unit_test(test_modes_without_an_image),
        cmocka_unit_test(test_flash_that_cannot_be_read),
        cmocka_unit_test(test_names),
    };
    int failures = cmocka_run_group_tests_name("boot", tests, NULL, NULL);
    return failures + run_table("decisions", decisions, test_decision);
}
