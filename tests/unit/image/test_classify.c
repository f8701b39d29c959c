/* SPDX-License-Identifier: MIT */
#include "support/firmware_builder.h"
#include "support/test.h"

#define MAP(code) (UINT32_C(1) << (code))
#define SPLIT_512 MAP(0)
#define SPLIT_1M  (MAP(2) | MAP(3) | MAP(4))
#define WINDOWED  (MAP(5) | MAP(6) | MAP(8) | MAP(9))
#define ALL       (SPLIT_512 | SPLIT_1M | WINDOWED)

struct link_case {
    const char *name;
    uint32_t address; /* of irom */
    enum espimage_layout layout;
    uint32_t flash_address;
    espimage_map_set app1;
    espimage_map_set app2;
    const char *reason;
    const char *advice; /* "": none */
};

#define NEW_SCRIPTS "eagle.app.v6.new.*.ld"
#define OLD_SCRIPTS "eagle.app.v6.old.*.ld"

static const struct link_case link_rows[] = {
    {"app1", 0x40201010, ESPIMAGE_LAYOUT_OTA, 0x1000, ALL, WINDOWED,
     "linked at 0x40201010: app1 of 512KB, 1MB, 2MB, 4MB; either of 2MB-c1, 4MB-c1, 8MB, 16MB", ""},
    {"app2 of 512KB", 0x40241010, ESPIMAGE_LAYOUT_OTA, 0x41000, 0, SPLIT_512,
     "linked at 0x40241010: app2 of 512KB", ""},
    {"app2 of 1MB", 0x40281010, ESPIMAGE_LAYOUT_OTA, 0x81000, 0, SPLIT_1M,
     "linked at 0x40281010: app2 of 1MB, 2MB, 4MB", ""},
    {"rBoot ROM 0", 0x40202010, ESPIMAGE_LAYOUT_RBOOT, 0x2000, 0, 0,
     "linked at 0x40202010, as an rBoot ROM at flash address 0x02000", "the rboot profile"},
    {"rBoot ROM 1", 0x40282010, ESPIMAGE_LAYOUT_RBOOT, 0x82000, 0, 0,
     "linked at 0x40282010, as an rBoot ROM at flash address 0x82000", "the rboot profile"},
    {"16 bytes into sector 0", 0x40200010, ESPIMAGE_LAYOUT_RBOOT, 0, 0, 0, "0x40200010",
     "the rboot profile"},
    {"16 bytes into another sector", 0x40291010, ESPIMAGE_LAYOUT_RBOOT, 0x91000, 0, 0, "0x40291010",
     "the rboot profile"},
    {"no bootloader 0x10000", 0x40210000, ESPIMAGE_LAYOUT_NO_BOOT, 0x10000, 0, 0,
     "linked at 0x40210000, for no bootloader (eagle.app.v6.ld)", NEW_SCRIPTS},
    {"no bootloader 0x40000", 0x40240000, ESPIMAGE_LAYOUT_NO_BOOT, 0x40000, 0, 0,
     "linked at 0x40240000, for no bootloader (eagle.app.v6.ld)", "for no bootloader"},
    {"start of the window", 0x40200000, ESPIMAGE_LAYOUT_NO_BOOT, 0, 0, 0, "0x40200000",
     NEW_SCRIPTS},
    {"start of slot 1", 0x40201000, ESPIMAGE_LAYOUT_NO_BOOT, 0x1000, 0, 0, "0x40201000",
     NEW_SCRIPTS},
    {"old bootloader 0x11000", 0x40211000, ESPIMAGE_LAYOUT_OLD_BOOT, 0x11000, 0, 0,
     "linked at 0x40211000, for the old layout (" OLD_SCRIPTS ")", NEW_SCRIPTS},
    {"old bootloader 0x51000", 0x40251000, ESPIMAGE_LAYOUT_OLD_BOOT, 0x51000, 0, 0, OLD_SCRIPTS,
     NEW_SCRIPTS},
    {"old bootloader 0x91000", 0x40291000, ESPIMAGE_LAYOUT_OLD_BOOT, 0x91000, 0, 0, OLD_SCRIPTS,
     NEW_SCRIPTS},
    {"app2 of 1024+1024, physically", 0x40301010, ESPIMAGE_LAYOUT_OUTSIDE_WINDOW, 0x101010, 0, 0,
     "linked at 0x40301010 to 0x40301015, outside the 1 MB window that ends at 0x40300000",
     "eagle.app.v6.new.2048.ld serves both slots"},
    {"just outside", 0x40300000, ESPIMAGE_LAYOUT_OUTSIDE_WINDOW, 0x100000, 0, 0, "0x40300000 to",
     "0x40201010"},
    {"across the end", 0x402FFFFC, ESPIMAGE_LAYOUT_OUTSIDE_WINDOW, 0xFFFFC, 0, 0,
     "linked at 0x402FFFFC to 0x40300001, outside", "make the part in flash smaller"},
    {"up to the end", 0x402FFFFB, ESPIMAGE_LAYOUT_UNKNOWN, 0xFFFFB, 0, 0, "0x402FFFFB",
     NEW_SCRIPTS},
    {"near app1", 0x40201014, ESPIMAGE_LAYOUT_UNKNOWN, 0x1014, 0, 0,
     "linked at 0x40201014, which is no slot of any flash map", NEW_SCRIPTS},
    {"nothing in flash", 0, ESPIMAGE_LAYOUT_NO_IROM, 0, 0, 0, "nothing is linked into flash",
     ".irom0.text"},
};

static void test_link(void **state)
{
    const struct link_case *row = *state;
    struct espimage_link link;
    espimage_firmware *fw = firmware_tiny(row->address);
    espimage_classify(fw, &link);
    espimage_firmware_free(fw);
    assert_int_equal(link.layout, row->layout);
    assert_int_equal(link.address, row->address);
    assert_int_equal(link.flash_address, row->flash_address);
    assert_int_equal(link.app1_maps, row->app1);
    assert_int_equal(link.app2_maps, row->app2);
    if (row->layout == ESPIMAGE_LAYOUT_OTA) {
        assert_int_equal(link.fits, ALL);
        assert_string_equal(link.reason, row->reason);
    }
    assert_mentions(link.reason, row->reason);
    assert_mentions(link.advice, row->advice);
    assert_advice(link.advice);
    assert_int_equal(link.advice_code == ESPIMAGE_ADVICE_RBOOT,
                     row->layout == ESPIMAGE_LAYOUT_RBOOT);
    assert_int_equal(link.advice_code == ESPIMAGE_ADVICE_NO_BOOT,
                     row->layout == ESPIMAGE_LAYOUT_NO_BOOT);
    assert_int_equal(link.advice[0] == '\0', row->advice[0] == '\0');
}

struct foreign_case {
    const char *name;
    uint32_t entry;
    struct espimage_section sections[4];
    enum espimage_layout layout;
    unsigned slots; /* of the 1MB map */
    const char *reason;
    const char *advice;
};

#define SECTION(name, address)                                                                     \
    {                                                                                              \
        name, 0, address, 64,                                                                      \
            (const uint8_t *)"0123456789012345678901234567890123456789"                            \
                             "0123456789012345678901234567890123456789"                            \
    }

static const struct foreign_case foreign_rows[] = {
    {"RTOS SDK 3",
     0x40210200,
     {SECTION(".iram0.text", 0x40100000), SECTION(".flash.text", 0x40210010),
      SECTION(".flash.rodata", 0x40220000)},
     ESPIMAGE_LAYOUT_RTOS3,
     0,
     "RTOS SDK 3, linked at 0x40210010",
     "esp_https_ota"},
    {"RTOS SDK 3, second slot",
     0x40100000,
     {SECTION(".iram0.vectors", 0x40100000), SECTION(".flash.rodata", 0x40280010)},
     ESPIMAGE_LAYOUT_RTOS3,
     0,
     "RTOS SDK 3",
     "esptool"},
    {"Arduino",
     0x40100000,
     {SECTION(".text", 0x40100000), SECTION(".text1", 0x40100100),
      SECTION(".irom0.text", 0x40201010)},
     ESPIMAGE_LAYOUT_ARDUINO,
     1,
     "an Arduino sketch, linked at 0x40201010: app1 of 512KB",
     "eboot"},
    {"Arduino without .text1",
     0x40100000,
     {SECTION(".noinit", 0x3FFE8000), SECTION(".text", 0x40100100),
      SECTION(".irom0.text", 0x40201010)},
     ESPIMAGE_LAYOUT_ARDUINO,
     1,
     "an Arduino sketch",
     "HTTPUpdate"},
};

static void test_foreign(void **state)
{
    const struct foreign_case *row = *state;
    struct espimage_link link;
    size_t count = 0;
    while (count < COUNT(row->sections) && row->sections[count].bytes != NULL) {
        count++;
    }
    espimage_firmware *fw = firmware(row->entry, row->sections, count);
    espimage_classify(fw, &link);
    espimage_firmware_free(fw);
    assert_int_equal(link.layout, row->layout);
    assert_int_equal(espimage_link_slots(&link, espimage_flash_map_by_name("1MB")), row->slots);
    assert_mentions(link.reason, row->reason);
    assert_mentions(link.advice, row->advice);
    assert_silent(link.advice, "rboot");
}

/* Addresses of the ESP32 family are named as such, others as outside the chip. */
static void test_other_chips(void **state)
{
    (void)state;
    static const uint32_t addresses[] = {0x3F400020, 0x3FFB0000, 0x40080000,
                                         0x400D0020, 0x42000020, 0x50000000};
    static const struct telling esp32 = {"ESP32 family: section .x at 0x", "for the ESP8266",
                                         "esptool"};
    static const struct telling nowhere = {"section .x at 0x20000000", NULL, NULL};
    struct espimage_section x = SECTION(".x", 0);
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        x.address = addresses[i];
        assert_code(ESPIMAGE_ERR_LAYOUT, espimage_firmware_from_sections(0, &x, 1, &fw, &err),
                    &err);
        assert_tells(&err, &esp32);
    }
    x.address = 0x20000000;
    assert_code(ESPIMAGE_ERR_LAYOUT, espimage_firmware_from_sections(0, &x, 1, &fw, &err), &err);
    assert_tells(&err, &nowhere);
}

struct fit_case {
    const char *name;
    uint32_t size; /* of the image */
    espimage_map_set fits;
};

static const struct fit_case fit_rows[] = {
    {"as large as 512KB takes", 0x39FF4, ALL},
    {"one line more", 0x3A004, SPLIT_1M | WINDOWED},
    {"as large as 1MB takes", 0x79FF4, SPLIT_1M | WINDOWED},
    {"one line more again", 0x7A004, WINDOWED},
    {"as large as 1024+1024 takes", 0xF9FF4, WINDOWED},
    {"too large for all", 0xFA004, 0},
};

static void test_fit(void **state)
{
    const struct fit_case *row = *state;
    struct espimage_link link;
    espimage_firmware *fw = firmware_of_image_size(0x40201010, row->size);
    assert_int_equal(espimage_image_size(fw), row->size);
    espimage_classify(fw, &link);
    espimage_firmware_free(fw);
    assert_int_equal(link.layout, ESPIMAGE_LAYOUT_OTA);
    assert_int_equal(link.fits, row->fits);
}

static void test_slots(void **state)
{
    (void)state;
    static const struct {
        uint32_t address;
        const char *map;
        unsigned slots;
    } cases[] = {
        {0x40201010, "512KB", 1},
        {0x40201010, "4MB", 1},
        {0x40201010, "2MB-c1", 3},
        {0x40201010, "256KB", 0},
        {0x40241010, "512KB", 2},
        {0x40241010, "1MB", 0},
        {0x40281010, "1MB", 2},
        {0x40281010, "512KB", 0},
        {0x40281010, "16MB", 0},
        {0x40202010, "1MB", 0},
        {0, "1MB", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct espimage_link link;
        espimage_firmware *fw = firmware_tiny(cases[i].address);
        espimage_classify(fw, &link);
        espimage_firmware_free(fw);
        assert_int_equal(espimage_link_slots(&link, espimage_flash_map_by_name(cases[i].map)),
                         cases[i].slots);
    }
}

struct refuse_case {
    const char *name;
    uint32_t address;
    const char *map;
    struct telling tells;
};

#define SPLIT_WANTED "0x40201010 for app1 or 0x40281010 for app2 of the 1MB map"

static const struct refuse_case refuse_rows[] = {
    {"app2 of 512KB for 1MB",
     0x40241010,
     "1MB",
     {"linked at 0x40241010: app2 of 512KB", SPLIT_WANTED, "eagle.app.v6.new.1024.app2.ld"}},
    {"app2 of 1MB for 512KB",
     0x40281010,
     "512KB",
     {"app2 of 1MB, 2MB, 4MB", "0x40201010 for app1 or 0x40241010 for app2 of the 512KB map",
      "eagle.app.v6.new.512.app2.ld"}},
    {"app2 of 1MB for 2MB-c1",
     0x40281010,
     "2MB-c1",
     {"linked at 0x40281010", "0x40201010 for both slots of the 2MB-c1 map",
      "eagle.app.v6.new.2048.ld"}},
    {"map without slots",
     0x40201010,
     "256KB",
     {"linked at 0x40201010", "a flash map with two slots, not 256KB", "give the flash size"}},
    {"no bootloader", 0x40210000, "1MB", {"for no bootloader", SPLIT_WANTED, NEW_SCRIPTS}},
    {"old bootloader", 0x40211000, "1MB", {"for the old layout", SPLIT_WANTED, NEW_SCRIPTS}},
    {"rBoot", 0x40202010, "1MB", {"rBoot ROM", SPLIT_WANTED, "the rboot profile"}},
    {"outside the window",
     0x40301010,
     "2MB-c1",
     {"outside the 1 MB window", "0x40201010 for both slots of the 2MB-c1 map",
      "eagle.app.v6.new.2048.ld"}},
    {"nothing in flash",
     0,
     "1MB",
     {"nothing is linked into flash", SPLIT_WANTED, "ICACHE_FLASH_ATTR"}},
    {"somewhere", 0x40201014, "1MB", {"no slot of any flash map", SPLIT_WANTED, NEW_SCRIPTS}},
};

static void test_refuse(void **state)
{
    const struct refuse_case *row = *state;
    struct espimage_error err;
    struct espimage_link link;
    const struct espimage_flash_map *map = espimage_flash_map_by_name(row->map);
    espimage_firmware *fw = firmware_tiny(row->address);
    espimage_classify(fw, &link);
    espimage_firmware_free(fw);
    assert_int_equal(espimage_link_slots(&link, map), 0);
    assert_code(ESPIMAGE_ERR_LAYOUT, espimage_link_refuse(&link, map, &err), &err);
    assert_tells(&err, &row->tells);
    assert_int_equal(err.advice_code == ESPIMAGE_ADVICE_FLASH_MAP, map->half == 0);
    assert_int_equal(err.advice_code == ESPIMAGE_ADVICE_MATCH_MAP,
                     map->half != 0 && link.layout == ESPIMAGE_LAYOUT_OTA);
}

static void test_layout_names(void **state)
{
    (void)state;
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_OTA), "ota");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_RBOOT), "rboot");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_NO_BOOT), "no-boot");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_OLD_BOOT), "old-boot");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_ARDUINO), "arduino");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_RTOS3), "rtos3");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_OUTSIDE_WINDOW), "outside-window");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_NO_IROM), "no-irom");
    assert_string_equal(espimage_layout_name(ESPIMAGE_LAYOUT_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_layout_names),
        cmocka_unit_test(test_other_chips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("links", link_rows, test_link) +
           run_table("other worlds", foreign_rows, test_foreign) +
           run_table("fits", fit_rows, test_fit) + run_table("refusals", refuse_rows, test_refuse);
}
