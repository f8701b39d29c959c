/* SPDX-License-Identifier: MIT */
/* What of a dump is private, and what is left of it after a redaction. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "base/bytes.h"
#include "image/secrets.h"

#include <espimage/parameters.h>
#include <stdlib.h>
#include <string.h>

#define SIZE       0x100000U
#define PARAMETERS (SIZE - 3 * ESPIMAGE_SECTOR)
#define COPY_B     (PARAMETERS + ESPIMAGE_SECTOR)
#define SELECTOR   (PARAMETERS + 2 * ESPIMAGE_SECTOR)
#define SETTINGS   8

#define NETWORK      "Meadow 12"
#define PASSWORD     "correct horse"
#define ACCESS_POINT "thermometer"
#define STORED       "Attic network"
#define STORED_PASS  "battery staple"

static const uint8_t key[32] = {0xC4, 0x01, 0xFF, 0x32, 0x7A, 0x10, 0x99, 0x5B, 0x42, 0x8E, 0xF1};

static void put_text(uint8_t *to, const char *text)
{
    memcpy(to, text, strlen(text) + 1);
}

static void put_record(uint8_t *copy)
{
    uint8_t *stored = copy + ESPIMAGE_NETWORK_OFFSET;
    memset(copy, 0, 1188);
    memcpy(copy, "\xFD\xE6\xFF\xFF\xFF\xFF\xFF\xFF", SETTINGS);
    put_le32(copy + 0x0C, (uint32_t)strlen(NETWORK));
    put_text(copy + 0x10, NETWORK);
    put_text(copy + 0x37, PASSWORD);
    memcpy(copy + 0x78, key, sizeof key);
    put_le32(copy + 0xB0, (uint32_t)strlen(ACCESS_POINT));
    put_text(copy + 0xB4, ACCESS_POINT);
    copy[ESPIMAGE_NETWORK_COUNT_OFFSET] = 1;
    put_le32(stored, (uint32_t)strlen(STORED));
    put_text(stored + 4, STORED);
    put_text(stored + 36, STORED_PASS);
}

/* A device with user1, whose flash part holds the password, and both copies of the record. */
static uint8_t *device(void)
{
    static uint8_t irom[512];
    uint8_t *flash = malloc(SIZE);
    struct espimage_build_options options = options_usual();
    const uint8_t before[ESPIMAGE_SELECTOR_SIZE] = {0};
    assert_non_null(flash);
    memset(flash, 0xFF, SIZE);
    memcpy(flash, "\xE9\x01\x00\x20\n2nd boot version : 1.6\n", 29);
    memset(irom, 0x11, sizeof irom);
    put_text(irom + 100, PASSWORD);
    const struct espimage_section sections[] = {section(".text", 0x40100000, 64, content()),
                                                section(".irom0.text", 0x40201010, 512, irom)};
    espimage_firmware *fw = firmware(0x40100000, sections, COUNT(sections));
    struct espimage_bytes user1 = image(fw, &options);
    memcpy(flash + ESPIMAGE_SECTOR, user1.data, user1.size);
    espimage_bytes_free(&user1);
    espimage_firmware_free(fw);
    put_record(flash + PARAMETERS);
    put_record(flash + COPY_B);
    espimage_selector_saved(before, ESPIMAGE_COPY_B, espimage_record_checksum(flash + COPY_B),
                            flash + SELECTOR);
    return flash;
}

static void redact(uint8_t *flash, size_t size, struct redactions *out)
{
    struct espimage_flash_view view;
    espimage_flash_parse(flash, size, &view);
    secrets_redact(flash, size, &view, out);
}

static bool holds(const uint8_t *flash, const void *bytes, size_t size)
{
    return memmem(flash, SIZE, bytes, size) != NULL;
}

static bool holds_text(const uint8_t *flash, const char *text)
{
    return holds(flash, text, strlen(text));
}

struct list {
    size_t count;
    struct {
        enum secret_kind kind;
        char text[SECRET_SIZE + 1];
    } found[16];
};

static void add(const struct secret *secret, void *context)
{
    struct list *list = context;
    list->found[list->count].kind = secret->kind;
    secret_printable(secret, list->found[list->count++].text);
}

static void test_each(void **state)
{
    uint8_t *copy = malloc(ESPIMAGE_SECTOR);
    struct list list = {0};
    (void)state;
    assert_non_null(copy);
    memset(copy, 0xFF, ESPIMAGE_SECTOR);
    secrets_each(copy, add, &list);
    assert_int_equal(list.count, 0);
    put_record(copy);
    secrets_each(copy, add, &list);
    assert_int_equal(list.count, 6);
    assert_string_equal(list.found[0].text, NETWORK);
    assert_string_equal(list.found[1].text, PASSWORD);
    assert_int_equal(list.found[2].kind, SECRET_KEY);
    assert_memory_equal(list.found[2].text, "c401ff327a10", 12);
    assert_int_equal(strlen(list.found[2].text), 64);
    assert_string_equal(list.found[3].text, ACCESS_POINT);
    assert_string_equal(list.found[4].text, STORED);
    assert_string_equal(list.found[5].text, STORED_PASS);
    assert_string_equal(secret_name(list.found[3].kind), "access point");
    free(copy);
}

/* Lengths come from the file. */
static void test_hostile_lengths(void **state)
{
    uint8_t *copy = malloc(ESPIMAGE_SECTOR);
    struct list list = {0};
    (void)state;
    assert_non_null(copy);
    put_record(copy);
    put_le32(copy + 0x0C, 0xFFFFFFF0);
    memset(copy + 0x37, 'p', 64); /* no NUL */
    copy[0x10] = 0x1B;
    copy[ESPIMAGE_NETWORK_COUNT_OFFSET] = 200;
    secrets_each(copy, add, &list);
    assert_int_equal(list.count, 4);
    assert_null(strchr(list.found[0].text, 0x1B));
    assert_int_equal(strlen(list.found[1].text), 64);
    free(copy);
}

static void test_nothing_is_left(void **state)
{
    static struct redactions done;
    struct espimage_parameters parameters;
    struct espimage_image_view view;
    (void)state;
    uint8_t *flash = device();
    put_text(flash + 0x90000, "log: " NETWORK); /* what firmware stored by itself */
    redact(flash, SIZE, &done);
    assert_true(done.complete);
    assert_false(holds_text(flash, NETWORK) || holds_text(flash, PASSWORD) ||
                 holds_text(flash, ACCESS_POINT) || holds_text(flash, STORED) ||
                 holds_text(flash, STORED_PASS) || holds(flash, key, sizeof key));
    assert_int_equal(done.count, 4);
    assert_int_equal(done.list[0].address, PARAMETERS + SETTINGS);
    assert_int_equal(done.list[1].address, COPY_B + SETTINGS);
    assert_string_equal((char *)flash + 0x90000, "log: xxxxxxxxx");

    /* What boots is as before, and every sum that was right still is. */
    espimage_parameters_parse(flash + PARAMETERS, &parameters);
    assert_memory_equal(flash + PARAMETERS, "\xFD\xE6\xFF\xFF\xFF\xFF\xFF\xFF", SETTINGS);
    assert_int_equal(parameters.state[ESPIMAGE_COPY_B], ESPIMAGE_RECORD_GOOD);
    size_t size = espimage_slot_image_size(flash + ESPIMAGE_SECTOR, 0x7B000);
    espimage_image_parse(flash + ESPIMAGE_SECTOR, size, &view);
    assert_int_equal(view.checksum_stored, view.checksum_ram);
    assert_int_equal(get_le32(view.bytes + size - 4), espimage_image_crc(view.bytes, size));

    redact(flash, SIZE, &done);
    assert_int_equal(done.count, 0);
    free(flash);
}

/* A CRC that was wrong stays wrong: the dump shows the fault. */
static void test_damage_stays(void **state)
{
    static struct redactions done;
    (void)state;
    uint8_t *flash = device();
    size_t size = espimage_slot_image_size(flash + ESPIMAGE_SECTOR, 0x7B000);
    uint8_t *crc = flash + ESPIMAGE_SECTOR + size - 4;
    crc[0] ^= 1;
    uint32_t stored = get_le32(crc);
    flash[SELECTOR + 24] ^= 1;
    uint8_t sum = flash[SELECTOR + 24];
    redact(flash, SIZE, &done);
    assert_int_equal(get_le32(crc), stored);
    assert_int_equal(flash[SELECTOR + 24], sum);
    free(flash);
}

/* An SDK of another map was here before, and left its sectors. */
static void test_sectors_of_another_map(void **state)
{
    static struct redactions done;
    (void)state;
    uint8_t *flash = device();
    put_record(flash + 0x7D000);
    put_text(flash + 0x7D010, "Cellar");
    put_le32(flash + 0x7D00C, 6);
    redact(flash, SIZE, &done);
    assert_false(holds_text(flash, "Cellar"));
    free(flash);
}

/* Names below six bytes would be found everywhere; they are blanked in the record alone. */
static void test_short_names(void **state)
{
    static struct redactions done;
    (void)state;
    uint8_t *flash = device();
    for (uint32_t at = PARAMETERS; at <= COPY_B; at += ESPIMAGE_SECTOR) {
        put_le32(flash + at + 0x0C, 4);
        memcpy(flash + at + 0x10, "home\0\0\0\0\0", 9);
    }
    put_text(flash + 0x90000, "home");
    redact(flash, SIZE, &done);
    assert_string_equal((char *)flash + 0x90000, "home");
    assert_int_equal(flash[PARAMETERS + 0x10], 0);
    free(flash);
}

static void test_more_copies_than_the_list_holds(void **state)
{
    static struct redactions done;
    (void)state;
    uint8_t *flash = device();
    for (uint32_t i = 0; i < MAX_REDACTIONS; i++) {
        put_text(flash + 0x90000 + 64 * i, PASSWORD);
    }
    redact(flash, SIZE, &done);
    assert_int_equal(done.count, MAX_REDACTIONS);
    assert_false(done.complete);
    assert_false(holds_text(flash, PASSWORD));
    free(flash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_damage_stays),
        cmocka_unit_test(test_sectors_of_another_map),
        cmocka_unit_test(test_short_names),
        cmocka_unit_test(test_more_copies_than_the_list_holds),
    };
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
