/* SPDX-License-Identifier: MIT */
/* Each decision of the boot, and what torn records do to it. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "base/bytes.h"
#include "device/boot.h"
#include "device/flash_file.h"
#include "device/parameters.h"
#include "image/checksum.h"

#include <stdlib.h>
#include <string.h>

struct bench {
    struct flash flash;
    const struct espimage_flash_map *map;
    struct espimage_error err;
    unsigned steps; /* of the record, until the power fails */
    uint32_t still;
};

static int set_up_map(struct bench *b, const char *name)
{
    b->map = espimage_flash_map_by_name(name);
    uint8_t *blank = malloc(b->map->flash_size);
    if (blank == NULL) {
        return -1;
    }
    memset(blank, 0xFF, b->map->flash_size);
    int code = (int)flash_file_unnamed(blank, b->map->flash_size, &b->flash, &b->err);
    free(blank);
    return code;
}

static int set_up(void **state)
{
    static struct bench bench;
    memset(&bench, 0, sizeof bench);
    *state = &bench;
    return set_up_map(&bench, "1MB");
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    flash_file_close(&b->flash);
    return 0;
}

/* ---- helpers ---- */

enum damage { GOOD, NO_MAGIC, NO_FOUR, BAD_CHECKSUM, ENDLESS_IROM, BAD_CRC, OTHER_APP, V1_MAGIC };

static void damage_image(uint8_t *bytes, size_t size, enum damage damage)
{
    switch (damage) {
    case GOOD: break;
    case NO_MAGIC: bytes[0] = 0xFF; break;
    case NO_FOUR: bytes[1] = 3; break;
    case BAD_CHECKSUM: bytes[size - 5] ^= 1; break;
    case ENDLESS_IROM: bytes[14] = 0xFF; break;
    case BAD_CRC: bytes[size - 1] ^= 1; break;
    case OTHER_APP: bytes[3] ^= 3; break;
    case V1_MAGIC: bytes[0] = 0xE9; break;
    }
}

static void put_image(struct bench *b, uint8_t slot, enum damage damage)
{
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(b->map->link[slot - 1]);
    options.map = b->map;
    options.app = slot;
    struct espimage_bytes bytes = image(fw, &options);
    damage_image(bytes.data, bytes.size, damage);
    uint32_t at = b->map->slot[slot - 1];
    assert_ok(flash_erase(&b->flash, at, &b->err), &b->err);
    assert_ok(flash_write_any(&b->flash, at, bytes.data, bytes.size, &b->err), &b->err);
    espimage_bytes_free(&bytes);
    espimage_firmware_free(fw);
}

static uint8_t booted(struct bench *b, unsigned tries)
{
    struct boot_result result;
    assert_ok(boot_run(&b->flash, b->map, &result, &b->err), &b->err);
    assert_int_equal(result.tries, tries);
    boot_result_free(&result);
    return result.slot;
}

static uint8_t remembered(struct bench *b)
{
    uint8_t slot = 0;
    assert_ok(boot_slot(&b->flash, &slot, &b->err), &b->err);
    return slot;
}

/* ---- which slot ---- */

static void test_blank_parameters_mean_slot_1(void **state)
{
    struct bench *b = *state;
    put_image(b, 1, GOOD);
    put_image(b, 2, GOOD);
    assert_int_equal(booted(b, 1), 1);
    assert_int_equal(remembered(b), 1);
}

static void test_record_names_the_slot(void **state)
{
    struct bench *b = *state;
    put_image(b, 1, GOOD);
    put_image(b, 2, GOOD);
    for (uint8_t i = 0; i < 7; i++) {
        uint8_t slot = (uint8_t)(2 - i % 2);
        assert_ok(boot_set_slot(&b->flash, slot, &b->err), &b->err);
        assert_int_equal(booted(b, 1), slot);
    }
}

static void test_slots_of_every_map(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        if (map->half == 0) {
            continue;
        }
        flash_file_close(&b->flash);
        assert_int_equal(set_up_map(b, map->name), 0);
        put_image(b, 2, GOOD);
        assert_int_equal(booted(b, 2), 2);
        assert_int_equal(booted(b, 1), 2);
    }
}

/* ---- what is booted ---- */

struct decision {
    const char *name;
    enum damage first;
    enum damage second;
    uint8_t slot;     /* 0: dead */
    bool bad_magic;   /* of the first try */
    const char *rule; /* that refused it; NULL: it was accepted */
};

static const struct decision decisions[] = {
    {"both good", GOOD, GOOD, 1, false, NULL},
    {"no magic", NO_MAGIC, GOOD, 2, true, "file.image"},
    {"second byte not 4", NO_FOUR, GOOD, 2, true, "boot.header"},
    {"checksum", BAD_CHECKSUM, GOOD, 2, false, "boot.checksum"},
    {"irom beyond the slot", ENDLESS_IROM, GOOD, 2, false, "load.irom"},
    {"E9 04", V1_MAGIC, GOOD, 1, false, NULL},
    {"CRC is not looked at", BAD_CRC, GOOD, 1, false, NULL},
    {"app number is not looked at", OTHER_APP, GOOD, 1, false, NULL},
    {"both bad", NO_MAGIC, BAD_CHECKSUM, 0, true, "file.image"},
};

static void test_decision(void **state)
{
    const struct decision *d = *state;
    static struct bench bench;
    struct bench *b = &bench;
    struct boot_result result;
    assert_int_equal(set_up_map(b, "1MB"), 0);
    put_image(b, 1, d->first);
    put_image(b, 2, d->second);
    assert_ok(boot_run(&b->flash, b->map, &result, &b->err), &b->err);
    assert_int_equal(result.slot, d->slot);
    assert_int_equal(result.tried[0].bad_magic, d->bad_magic);
    assert_int_equal(result.tried[0].accepted, d->rule == NULL);
    if (d->rule != NULL) {
        assert_string_equal(result.tried[0].rule, d->rule);
    }
    boot_result_free(&result);
    /* The way out is remembered; without one nothing is. */
    assert_int_equal(remembered(b), d->slot == 2 ? 2 : 1);
    flash_file_close(&b->flash);
}

static void test_falls_back_from_slot_2(void **state)
{
    struct bench *b = *state;
    put_image(b, 1, GOOD);
    put_image(b, 2, BAD_CHECKSUM);
    assert_ok(boot_set_slot(&b->flash, 2, &b->err), &b->err);
    assert_int_equal(booted(b, 2), 1);
    assert_int_equal(remembered(b), 1);
    assert_int_equal(booted(b, 1), 1);
}

/* ---- records ---- */

static void raw_record(struct bench *b, uint32_t from_end, const char *magic, uint32_t sequence,
                       uint32_t slot, uint32_t crc_change)
{
    uint8_t bytes[PARAMETERS_SIZE];
    uint32_t at = b->flash.size - from_end;
    memcpy(bytes, magic, 4);
    put_le32(bytes + PARAMETERS_SEQUENCE, sequence);
    put_le32(bytes + PARAMETERS_SLOT, slot);
    put_le32(bytes + PARAMETERS_CRC, checksum_crc32(bytes, PARAMETERS_CRC) ^ crc_change);
    assert_ok(flash_erase(&b->flash, at, &b->err), &b->err);
    assert_ok(flash_write(&b->flash, at, bytes, sizeof bytes, &b->err), &b->err);
}

static void test_higher_sequence_counts(void **state)
{
    struct bench *b = *state;
    raw_record(b, PARAMETERS_FIRST_FROM_END, "boot", 9, 2, 0);
    assert_int_equal(remembered(b), 2);
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boot", 8, 1, 0);
    assert_int_equal(remembered(b), 2);
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boot", 10, 1, 0);
    assert_int_equal(remembered(b), 1);
}

static void test_invalid_records_do_not_count(void **state)
{
    struct bench *b = *state;
    raw_record(b, PARAMETERS_FIRST_FROM_END, "boot", 1, 2, 0);
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boot", 5, 1, 0x10);
    assert_int_equal(remembered(b), 2);
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boat", 5, 1, 0);
    assert_int_equal(remembered(b), 2);
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boot", 5, 3, 0);
    assert_int_equal(remembered(b), 2);
    raw_record(b, PARAMETERS_FIRST_FROM_END, "boot", 1, 0, 0);
    assert_int_equal(remembered(b), 1);
}

/* The record that counts is never touched: a new one goes to the other sector. */
static void test_new_record_spares_the_old(void **state)
{
    struct bench *b = *state;
    uint8_t before[PARAMETERS_SIZE];
    uint8_t after[PARAMETERS_SIZE];
    raw_record(b, PARAMETERS_SECOND_FROM_END, "boot", 41, 2, 0);
    uint32_t at = b->flash.size - PARAMETERS_SECOND_FROM_END;
    assert_ok(flash_read(&b->flash, at, before, sizeof before, &b->err), &b->err);
    assert_ok(boot_set_slot(&b->flash, 1, &b->err), &b->err);
    assert_ok(flash_read(&b->flash, at, after, sizeof after, &b->err), &b->err);
    assert_memory_equal(before, after, sizeof before);
    at = b->flash.size - PARAMETERS_FIRST_FROM_END;
    assert_ok(flash_read(&b->flash, at, after, sizeof after, &b->err), &b->err);
    assert_int_equal(get_le32(after + PARAMETERS_SEQUENCE), 42);
    assert_int_equal(remembered(b), 1);
}

static bool power(void *context, enum flash_change change, uint32_t address, uint32_t *size)
{
    struct bench *b = context;
    (void)change;
    (void)address;
    if (b->steps-- > 0) {
        return false;
    }
    *size = b->still < *size ? b->still : *size;
    return true;
}

/* Power fails at every byte of erase and write, with either sector the next one. */
static void test_torn_records(void **state)
{
    struct bench *b = *state;
    for (uint8_t old = 1; old <= 2; old++) {
        for (uint32_t cut = 0; cut <= ESPIMAGE_SECTOR + PARAMETERS_SIZE;
             cut += cut < 4090 ? 89 : 1) {
            bool writing = cut > ESPIMAGE_SECTOR;
            assert_ok(boot_set_slot(&b->flash, old, &b->err), &b->err);
            b->steps = writing ? 1 : 0;
            b->still = writing ? cut - ESPIMAGE_SECTOR : cut;
            b->flash.power = power;
            b->flash.context = b;
            assert_code(ESPIMAGE_ERR_IO, boot_set_slot(&b->flash, 3 - old, &b->err), &b->err);
            b->flash.power = NULL;
            b->flash.dead = false;
            bool whole = cut == ESPIMAGE_SECTOR + PARAMETERS_SIZE;
            assert_int_equal(remembered(b), whole ? 3 - old : old);
        }
    }
}

static void test_flash_that_cannot_be_read(void **state)
{
    struct bench *b = *state;
    struct boot_result result;
    b->flash.dead = true;
    assert_code(ESPIMAGE_ERR_IO, boot_run(&b->flash, b->map, &result, &b->err), &b->err);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_blank_parameters_mean_slot_1), TEST(test_record_names_the_slot),
        TEST(test_slots_of_every_map),           TEST(test_falls_back_from_slot_2),
        TEST(test_higher_sequence_counts),       TEST(test_invalid_records_do_not_count),
        TEST(test_new_record_spares_the_old),    TEST(test_torn_records),
        TEST(test_flash_that_cannot_be_read),
    };
    int failures = cmocka_run_group_tests_name("boot", tests, NULL, NULL);
    return failures + run_table("decisions", decisions, test_decision);
}
