/* SPDX-License-Identifier: MIT */
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define KB 1024U
#define MB (1024U * KB)

static struct espimage_bytes app[2];
static uint8_t boot[ESPIMAGE_SECTOR + 1];
static uint8_t init_data[ESPIMAGE_SECTOR + 1];

/* Images of both slots, a bootloader and init data that are all different. */
static int make_contents(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    const uint32_t links[] = {0x40201010, 0x40281010};
    for (uint8_t i = 0; i < 2; i++) {
        espimage_firmware *fw = firmware_tiny(links[i]);
        options.app = (uint8_t)(i + 1);
        app[i] = image(fw, &options);
        espimage_firmware_free(fw);
    }
    memset(boot, 0x5A, sizeof boot);
    boot[0] = 0xE9;
    boot[1] = 3;
    memset(init_data, 0x33, sizeof init_data);
    init_data[0] = 0x05;
    return 0;
}

static int free_contents(void **state)
{
    (void)state;
    espimage_bytes_free(&app[0]);
    espimage_bytes_free(&app[1]);
    return 0;
}

static struct espimage_flash_contents usual_contents(const char *map)
{
    struct espimage_flash_contents c = {
        .size = sizeof c,
        .map = espimage_flash_map_by_name(map),
        .flash_mode = 2,
        .flash_freq = 0xF,
        .boot = {"boot.bin", boot, 4080},
        .slot = {{"app1.elf", app[0].data, app[0].size}, {"app2.elf", app[1].data, app[1].size}},
        .init_data = {"init.bin", init_data, 128}};
    return c;
}

static struct espimage_bytes build(const struct espimage_flash_contents *contents)
{
    struct espimage_flash_plan plan;
    struct espimage_error err;
    struct espimage_bytes flash = {0};
    assert_ok(espimage_flash_plan_make(contents, &plan, NULL, &err), &err);
    assert_ok(espimage_flash_build(&plan, &flash, &err), &err);
    return flash;
}

struct map_case {
    const char *name;
    uint32_t size;
    uint8_t size_freq;
    uint32_t user2;
};

static const struct map_case map_rows[] = {
    {"512KB", 512 * KB, 0x0F, 0x41000}, {"1MB", 1 * MB, 0x2F, 0x81000},
    {"2MB", 2 * MB, 0x3F, 0x81000},     {"4MB", 4 * MB, 0x4F, 0x81000},
    {"2MB-c1", 2 * MB, 0x5F, 0x101000}, {"4MB-c1", 4 * MB, 0x6F, 0x101000},
    {"8MB", 8 * MB, 0x8F, 0x101000},    {"16MB", 16 * MB, 0x9F, 0x101000},
};

/* Every byte of the flash is where another hand puts it. */
static void test_every_map(void **state)
{
    const struct map_case *row = *state;
    struct espimage_flash_contents contents = usual_contents(row->name);
    struct espimage_bytes flash = build(&contents);
    uint8_t *wanted = malloc(row->size);
    assert_non_null(wanted);
    memset(wanted, 0xFF, row->size);
    memcpy(wanted, boot, 4080);
    wanted[2] = 2;
    wanted[3] = row->size_freq;
    memcpy(wanted + 0x1000, app[0].data, app[0].size);
    memcpy(wanted + row->user2, app[1].data, app[1].size);
    memcpy(wanted + row->size - 0x4000, init_data, 128);
    assert_int_equal(flash.size, row->size);
    assert_memory_equal(flash.data, wanted, row->size);
    free(wanted);
    espimage_bytes_free(&flash);
}

/* What was put in comes out again. */
static void test_content_sizes(void **state)
{
    const struct map_case *row = *state;
    struct espimage_flash_contents contents = usual_contents(row->name);
    struct espimage_bytes flash = build(&contents);
    struct espimage_flash_view view;
    const size_t sizes[] = {4080, app[0].size, app[1].size, 0, 128, 0};
    assert_int_equal(espimage_recognise(flash.data, flash.size), ESPIMAGE_CONTENT_FLASH);
    espimage_flash_parse(flash.data, flash.size, &view);
    assert_ptr_equal(view.map, contents.map);
    assert_true(view.size_agrees);
    assert_int_equal(view.part_count, COUNT(sizes));
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_int_equal(espimage_part_content_size(flash.data, &view.parts[i]), sizes[i]);
        assert_int_equal(view.parts[i].blank, sizes[i] == 0);
    }
    espimage_bytes_free(&flash);
}

/* The parts of a plan lie in order, apart, within the flash. */
static void test_parts_are_apart(void **state)
{
    const struct map_case *row = *state;
    struct espimage_flash_contents contents = usual_contents(row->name);
    struct espimage_flash_plan plan;
    struct espimage_error err;
    assert_ok(espimage_flash_plan_make(&contents, &plan, NULL, &err), &err);
    uint32_t end = 0;
    for (size_t i = 0; i < plan.part_count; i++) {
        assert_true(plan.parts[i].address >= end);
        end = plan.parts[i].address + plan.parts[i].size;
        assert_true(plan.contents[i].size <= plan.parts[i].size);
    }
    assert_int_equal(end, row->size);
}

static void test_without_bootloader(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("4MB-c1");
    contents.boot = (struct espimage_flash_content){NULL, NULL, 0};
    contents.slot[1] = contents.boot;
    contents.init_data = contents.boot;
    struct espimage_bytes flash = build(&contents);
    struct espimage_flash_view view;
    assert_memory_equal(flash.data, "\xE9\x00\x02\x6F\xFF\xFF", 6);
    espimage_flash_parse(flash.data, flash.size, &view);
    assert_ptr_equal(view.map, contents.map);
    assert_int_equal(espimage_part_content_size(flash.data, &view.parts[0]), 0);
    assert_false(view.parts[0].blank);
    assert_false(view.parts[1].blank);
    for (size_t i = 2; i < view.part_count; i++) {
        assert_true(view.parts[i].blank);
    }
    espimage_bytes_free(&flash);
}

/* A checksum of FF is the last byte of a bootloader, not blank flash behind it. */
static void test_bootloader_that_ends_in_ff(void **state)
{
    (void)state;
    const uint8_t v1[32] = {0xE9, 1,    0,    0, 0, 0, 0x10, 0x40, 0,
                            0,    0x10, 0x40, 4, 0, 0, 0,    0x10, [31] = 0xFF};
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_flash_view view;
    contents.boot = (struct espimage_flash_content){"boot.bin", v1, sizeof v1};
    struct espimage_bytes flash = build(&contents);
    espimage_flash_parse(flash.data, flash.size, &view);
    assert_int_equal(espimage_part_content_size(flash.data, &view.parts[0]), sizeof v1);
    espimage_bytes_free(&flash);
}

static void test_init_data_as_read_back(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_flash_view view;
    contents.init_data.size = ESPIMAGE_SECTOR;
    struct espimage_bytes flash = build(&contents);
    espimage_flash_parse(flash.data, flash.size, &view);
    assert_memory_equal(flash.data + 0xFC000, init_data, ESPIMAGE_SECTOR);
    assert_int_equal(flash.data[0xFD000], 0xFF);
    assert_int_equal(espimage_part_content_size(flash.data, &view.parts[4]), ESPIMAGE_SECTOR);
    espimage_bytes_free(&flash);
}

static void test_rubbish_in_a_slot_is_no_content(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_flash_view view;
    struct espimage_bytes flash = build(&contents);
    memset(flash.data + 0x81000, 0x11, 1000);
    espimage_flash_parse(flash.data, flash.size, &view);
    assert_int_equal(espimage_part_content_size(flash.data, &view.parts[2]), 0);
    assert_false(view.parts[2].blank);
    espimage_bytes_free(&flash);
}

enum where { BOOT, SLOT1, SLOT2, INIT };

struct refusal_case {
    const char *name;
    enum where where;
    const uint8_t *bytes; /* NULL: those of the usual content */
    size_t size;
    enum espimage_code code;
    struct telling tells;
};

static const uint8_t hello[] = "hello";
static uint8_t large[0x7A001];

static const struct refusal_case refusal_rows[] = {
    {"empty bootloader", BOOT, NULL, 0, ESPIMAGE_ERR_IMAGE, {"0 bytes", "E9", "boot_v1.7.bin"}},
    {"long bootloader", BOOT, NULL, 4097, ESPIMAGE_ERR_IMAGE, {"4097 bytes", "at most 4096", NULL}},
    {"no bootloader", BOOT, hello, 5, ESPIMAGE_ERR_IMAGE, {"first byte 68", "E9", NULL}},
    {"empty image", SLOT1, NULL, 0, ESPIMAGE_ERR_IMAGE, {"boot 1.2", "file.image", "empty"}},
    {"no image", SLOT2, hello, 5, ESPIMAGE_ERR_IMAGE, {"boot 1.2", "file.image", NULL}},
    {"long image", SLOT2, large, 0x7A001, ESPIMAGE_ERR_SIZE, {"499713 bytes", "499712", "map"}},
    {"127", INIT, NULL, 127, ESPIMAGE_ERR_SIZE, {"127 bytes", "128", "esp_init_data_default"}},
    {"129", INIT, NULL, 129, ESPIMAGE_ERR_SIZE, {"129 bytes", "4096", "esp_init_data_default"}},
    {"4097", INIT, NULL, 4097, ESPIMAGE_ERR_SIZE, {"4097 bytes", "4096", NULL}},
};

static void test_refusal(void **state)
{
    const struct refusal_case *row = *state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_flash_content *const places[] = {&contents.boot, &contents.slot[0],
                                                     &contents.slot[1], &contents.init_data};
    struct espimage_flash_content *c = places[row->where];
    struct espimage_flash_plan plan = {.part_count = 99};
    struct espimage_error err;
    c->bytes = row->bytes != NULL ? row->bytes : c->bytes;
    c->size = row->size;
    assert_code(row->code, espimage_flash_plan_make(&contents, &plan, NULL, &err), &err);
    assert_tells(&err, &row->tells);
    assert_string_equal(err.file, c->name);
    assert_int_equal(plan.part_count, 99);
}

static void test_map_without_slots(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("256KB");
    struct espimage_flash_plan plan;
    struct espimage_error err;
    uint8_t number = 0;
    const struct telling tells = {"256KB", "two slots", "give the flash size"};
    assert_code(ESPIMAGE_ERR_USAGE, espimage_flash_plan_make(&contents, &plan, NULL, &err), &err);
    assert_tells(&err, &tells);
    assert_code(ESPIMAGE_ERR_USAGE,
                espimage_image_slot(app[0].data, app[0].size, &contents, &number, NULL, &err),
                &err);
}

static void test_slot_of_an_image(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    contents.flash_mode = 0;
    contents.flash_freq = 0;
    for (uint8_t i = 0; i < 2; i++) {
        struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
        struct espimage_error err;
        uint8_t number = 0;
        assert_ok(espimage_image_slot(app[i].data, app[i].size, &contents, &number, &notes, &err),
                  &err);
        assert_int_equal(number, i + 1);
        assert_int_equal(notes.count, 0);
        contents.flash_mode = 2;
        assert_ok(espimage_image_slot(app[i].data, app[i].size, &contents, &number, &notes, &err),
                  &err);
        assert_int_equal(notes.count, 1);
        assert_mentions(notes.text[0], "00 20");
        contents.flash_mode = 0;
    }
}

struct pointing_case {
    const char *name;
    enum espimage_profile profile;
    uint32_t link;
    const char *note; /* NULL: none */
    uint8_t number;
};

/* What the upgrade library refuses can be written by cable; its slot is that of its addresses. */
static const struct pointing_case pointing_rows[] = {
    {"sdk", ESPIMAGE_PROFILE_SDK, 0x40281010, NULL, 2},
    {"esptool", ESPIMAGE_PROFILE_ESPTOOL, 0x40281010, "will not update to it: ota.app-number", 2},
    {"esptool, app1", ESPIMAGE_PROFILE_ESPTOOL, 0x40201010, "ota.app-number: 32", 1},
    {"rtos1", ESPIMAGE_PROFILE_RTOS1, 0x40281010, "will not update to it: ota.app-number", 2},
    {"no CRC", ESPIMAGE_PROFILE_RBOOT, 0x40281010, "will not update to it: ota.", 2},
};

static void test_slot_by_addresses(void **state)
{
    const struct pointing_case *row = *state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_build_options options = options_usual();
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    uint8_t number = 0;
    espimage_firmware *fw = firmware_pointing(row->link, 0x1000, 30, row->link);
    options.profile = row->profile;
    options.app = row->link == 0x40201010 ? 1 : 2;
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    contents.flash_mode = 0;
    contents.flash_freq = 0;
    assert_ok(espimage_image_slot(built.data, built.size, &contents, &number, &notes, &err), &err);
    assert_int_equal(number, row->number);
    assert_int_equal(notes.count, row->note != NULL ? 1 : 0);
    if (row->note != NULL) {
        assert_mentions(notes.text[0], row->note);
    }
    espimage_bytes_free(&built);
}

struct loader_case {
    const char *name; /* of the bootloader, as it calls itself */
    const char *map;
    enum espimage_code code;
    const char *text; /* in the error's found or in the note; NULL: neither */
};

static const struct loader_case loader_rows[] = {
    {"2nd boot version : 1.1\n", "1MB", ESPIMAGE_ERR_IMAGE, "boot 1.1 does not start"},
    {"2nd boot version : 1.2\n", "1MB", ESPIMAGE_OK, NULL},
    {"2nd boot version : 1.2\n", "2MB-c1", ESPIMAGE_ERR_LAYOUT, "boot 1.2 takes"},
    {"2nd boot version : 1.3(b3)\n", "4MB-c1", ESPIMAGE_ERR_LAYOUT, "boot 1.3 takes"},
    {"2nd boot version : 1.4(b1)\n", "4MB-c1", ESPIMAGE_OK, NULL},
    {"2nd boot version : 1.6\n", "2MB-c1", ESPIMAGE_OK, NULL},
    {"2nd boot version : 1.6\n", "8MB", ESPIMAGE_ERR_LAYOUT, "boot 1.6 takes"},
    {"2nd boot version : 1.7\n", "4MB", ESPIMAGE_OK, NULL},
    {"2nd boot version : 1.7\n", "16MB", ESPIMAGE_OK, "never leaves user1"},
    {"rBoot v1.4.2 - richardaburton@gmail.com\n", "1MB", ESPIMAGE_ERR_IMAGE, "rBoot"},
    {"my own loader", "1MB", ESPIMAGE_OK, "is not one of Espressif's"},
};

static void test_loader(void **state)
{
    const struct loader_case *row = *state;
    struct espimage_flash_contents contents = usual_contents(row->map);
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_flash_plan plan;
    struct espimage_error err = {0};
    uint8_t loader[1000];
    memset(loader, 0, sizeof loader);
    loader[0] = 0xE9;
    loader[1] = 1;
    strcpy((char *)loader + 200, row->name);
    contents.boot.bytes = loader;
    contents.boot.size = sizeof loader;
    assert_code(row->code, espimage_flash_plan_make(&contents, &plan, &notes, &err), &err);
    if (row->code != ESPIMAGE_OK) {
        assert_mentions(err.found, row->text);
        return;
    }
    assert_int_equal(notes.count, row->text != NULL ? 1 : 0);
    if (row->text != NULL) {
        assert_mentions(notes.text[0], row->text);
    }
}

static void test_run_user2(void **state)
{
    (void)state;
    struct espimage_flash_contents contents = usual_contents("1MB");
    struct espimage_parameters parameters;
    struct espimage_flash_plan plan;
    struct espimage_error err;
    uint8_t loader[100] = {0xE9, 1};
    contents.run = 2;
    assert_code(ESPIMAGE_ERR_USAGE, espimage_flash_plan_make(&contents, &plan, NULL, &err), &err);
    assert_mentions(err.found, "is not known");
    strcpy((char *)loader + 50, "2nd boot version : 1.6");
    contents.boot = (struct espimage_flash_content){"boot.bin", loader, sizeof loader};
    struct espimage_bytes flash = build(&contents);
    espimage_parameters_parse(flash.data + espimage_parameters_address(1 * MB), &parameters);
    assert_int_equal(
        espimage_boot_choose(ESPIMAGE_BOOT_1_6, espimage_record_current(&parameters)).slot, 2);
    espimage_bytes_free(&flash);
    contents.slot[1].bytes = NULL;
    assert_code(ESPIMAGE_ERR_USAGE, espimage_flash_plan_make(&contents, &plan, NULL, &err), &err);
    assert_mentions(err.found, "blank");
}

/* The commonest mistake: blank.bin in the place of the init data. */
static void test_wrong_init_data(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte;
        const char *found;
    } wrong[] = {{0xFF, "FF throughout: blank.bin"}, {0x00, "00 throughout"}, {0x33, "with 33"}};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        uint8_t sector[ESPIMAGE_SECTOR];
        struct espimage_flash_contents contents = usual_contents("1MB");
        struct espimage_flash_plan plan;
        struct espimage_error err;
        memset(sector, wrong[i].byte, sizeof sector);
        contents.init_data = (struct espimage_flash_content){"init.bin", sector, sizeof sector};
        assert_code(ESPIMAGE_ERR_IMAGE, espimage_flash_plan_make(&contents, &plan, NULL, &err),
                    &err);
        assert_mentions(err.found, wrong[i].found);
        assert_mentions(err.advice, "swapped");
        assert_string_equal(err.file, "init.bin");
    }
}

struct image_case {
    const char *name;
    const char *map;
    size_t at; /* a byte to change */
    uint8_t value;
    bool sealed; /* with a right CRC all the same */
    enum espimage_code code;
    struct telling tells;
};

static const struct image_case image_rows[] = {
    {"other 512+512 map", "4MB", 0, 0xEA, false, ESPIMAGE_OK, {0}},
    {"smaller map",
     "512KB",
     0,
     0xEA,
     false,
     ESPIMAGE_ERR_LAYOUT,
     {"0x40281010", "0x40241010", "app2.ld"}},
    {"windowed map",
     "2MB-c1",
     0,
     0xEA,
     false,
     ESPIMAGE_ERR_LAYOUT,
     {"0x40281010", "0x40201010", "2048.ld"}},
    {"bad CRC",
     "1MB",
     20,
     0x77,
     false,
     ESPIMAGE_ERR_IMAGE,
     {"OTA of SDK 2", "ota.crc", "every rule"}},
    {"app number 0", "1MB", 3, 0, true, ESPIMAGE_OK, {0}},
    {"second byte", "1MB", 1, 3, true, ESPIMAGE_ERR_IMAGE, {"boot 1.2", "boot.header", NULL}},
};

static void test_image(void **state)
{
    const struct image_case *row = *state;
    struct espimage_flash_contents contents = usual_contents(row->map);
    struct espimage_error err;
    uint8_t number = 99;
    uint8_t *bytes = malloc(app[1].size);
    assert_non_null(bytes);
    memcpy(bytes, app[1].data, app[1].size);
    bytes[row->at] = row->value;
    if (row->sealed) {
        seal(bytes, app[1].size);
    }
    assert_code(row->code, espimage_image_slot(bytes, app[1].size, &contents, &number, NULL, &err),
                &err);
    if (row->code == ESPIMAGE_OK) {
        assert_int_equal(number, row->at == 3 ? 0 : 2); /* too short to name its slot otherwise */
    } else {
        assert_int_equal(number, 99);
    }
    if (row->code != ESPIMAGE_OK) {
        assert_tells(&err, &row->tells);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_bootloader),
        cmocka_unit_test(test_bootloader_that_ends_in_ff),
        cmocka_unit_test(test_init_data_as_read_back),
        cmocka_unit_test(test_rubbish_in_a_slot_is_no_content),
        cmocka_unit_test(test_map_without_slots),
        cmocka_unit_test(test_slot_of_an_image),
        cmocka_unit_test(test_run_user2),
        cmocka_unit_test(test_wrong_init_data),
    };
    void *none = NULL;
    int failed = make_contents(&none);
    failed += cmocka_run_group_tests(tests, NULL, NULL) +
              run_table("maps", map_rows, test_every_map) +
              run_table("content", map_rows, test_content_sizes) +
              run_table("apart", map_rows, test_parts_are_apart) +
              run_table("refusals", refusal_rows, test_refusal) +
              run_table("images", image_rows, test_image) +
              run_table("by addresses", pointing_rows, test_slot_by_addresses) +
              run_table("bootloaders", loader_rows, test_loader);
    return failed + free_contents(&none);
}
