/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOT     (1U << ESPIMAGE_CONSUMER_BOOT)
#define RBOOT    (1U << ESPIMAGE_CONSUMER_RBOOT)
#define OTA2     (1U << ESPIMAGE_CONSUMER_OTA2)
#define OTA3     (1U << ESPIMAGE_CONSUMER_OTA3)
#define RTOS1    (1U << ESPIMAGE_CONSUMER_RTOS1)
#define LINK     (1U << ESPIMAGE_CONSUMER_ESP_LINK)
#define HTTPD    (1U << ESPIMAGE_CONSUMER_LIBESPHTTPD)
#define ESPRUINO (1U << ESPIMAGE_CONSUMER_ESPRUINO)
#define OTA      (OTA2 | OTA3)
#define LOAD     (BOOT | RBOOT)
#define PUSH     (LINK | HTTPD | ESPRUINO)
/* The consumers of the table of cases; the others have tables of their own. */
#define TABLE (LOAD | OTA)

struct rule_case {
    const char *name;
    unsigned consumers;
};

/* Who refuses an image that breaks the rule, in the order of a report. */
static const struct rule_case rule_rows[] = {
    {"file.image", LOAD | OTA | RTOS1 | PUSH},
    {"boot.header", BOOT},
    {"boot.layout", BOOT},
    {"rboot.header", RBOOT},
    {"load.irom", LOAD},
    {"load.inner-header", BOOT},
    {"load.segments", LOAD},
    {"load.addresses", LOAD},
    {"load.entry", LOAD},
    {"boot.checksum", BOOT},
    {"rboot.checksum", RBOOT},
    {"link.slot", BOOT},
    {"ota.header", OTA},
    {"ota.app-number", OTA},
    {"ota.length", OTA2},
    {"ota.partition", OTA3},
    {"ota.crc", OTA | RTOS1},
    {"rtos1.length", RTOS1},
    {"push.header", PUSH},
    {"push.entry", PUSH},
    {"push.address", PUSH},
    {"push.length", PUSH},
    {"libesphttpd.flash-size", HTTPD},
    {"esp-link.flash-size", LINK | ESPRUINO},
    {"esp-link.length", LINK},
    {"espruino.app-number", ESPRUINO},
    {"wire.length", 0},
    {"format.padding", 0},
    {"format.entries", 0},
    {"format.settings", 0},
    {"format.map", 0},
    {"format.end", 0},
};

static void test_rules(void **state)
{
    (void)state;
    assert_int_equal(espimage_rule_count(), COUNT(rule_rows));
    for (size_t i = 0; i < COUNT(rule_rows); i++) {
        assert_string_equal(espimage_rule_at(i)->name, rule_rows[i].name);
        assert_int_equal(espimage_rule_at(i)->consumers, rule_rows[i].consumers);
        assert_true(espimage_rule_at(i)->demand[0] != '\0');
    }
}

static void test_consumer_names(void **state)
{
    (void)state;
    static const char *const names[] = {"boot",  "rboot",    "ota2",        "ota3",
                                        "rtos1", "esp-link", "libesphttpd", "espruino"};
    enum espimage_consumer consumer;
    for (size_t i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        assert_string_equal(espimage_consumer_name((enum espimage_consumer)i), names[i]);
        assert_true(espimage_consumer_title((enum espimage_consumer)i)[0] != '\0');
        assert_true(espimage_consumer_by_name(names[i], &consumer));
        assert_int_equal(consumer, i);
    }
    assert_true(espimage_consumer_by_name("OTA3", &consumer));
    assert_false(espimage_consumer_by_name("ota", &consumer));
    assert_string_equal(espimage_outcome_name(ESPIMAGE_PASS), "pass");
    assert_string_equal(espimage_outcome_name(ESPIMAGE_FAIL), "fail");
    assert_string_equal(espimage_outcome_name(ESPIMAGE_WARN), "warn");
    assert_string_equal(espimage_outcome_name(ESPIMAGE_UNKNOWN), "unknown");
}

/* True when the space-separated list holds the word. */
static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL && (at = strstr(at, word)) != NULL; at += length) {
        bool begins = at == list || at[-1] == ' ';
        if (begins && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Rules by outcome; every rule that is not listed must pass. */
struct expected {
    const char *fail;
    const char *warn;
    const char *unknown;
    unsigned refusers;
};

static enum espimage_outcome expected_outcome(const struct expected *e, const char *rule)
{
    return listed(e->fail, rule)      ? ESPIMAGE_FAIL
           : listed(e->warn, rule)    ? ESPIMAGE_WARN
           : listed(e->unknown, rule) ? ESPIMAGE_UNKNOWN
                                      : ESPIMAGE_PASS;
}

static void check_verdicts(const espimage_report *report, unsigned refusers)
{
    for (unsigned i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        if ((TABLE & 1U << i) == 0) {
            continue;
        }
        const struct espimage_verdict *verdict =
            espimage_report_verdict(report, (enum espimage_consumer)i);
        bool accepts = (refusers & 1U << i) == 0;
        if (verdict->accepts != accepts) {
            print_error("%s %s it\n", espimage_consumer_name((enum espimage_consumer)i),
                        verdict->accepts ? "accepts" : "refuses");
        }
        assert_int_equal(verdict->accepts, accepts);
        assert_int_equal(verdict->because == NULL, accepts);
        if (verdict->because != NULL) {
            assert_true((verdict->because->rule->consumers & 1U << i) != 0);
            assert_true(verdict->because->outcome == ESPIMAGE_FAIL ||
                        verdict->because->outcome == ESPIMAGE_UNKNOWN);
        }
    }
}

/* link.slot, and the rules of consumers outside of the table of cases. */
static bool has_own_table(const struct espimage_rule *rule)
{
    bool others = rule->consumers != 0 && (rule->consumers & TABLE) == 0;
    return others || strcmp(rule->name, "link.slot") == 0;
}

static void check_report(const espimage_report *report, const struct expected *expected)
{
    assert_int_equal(espimage_report_count(report), espimage_rule_count());
    for (size_t i = 0; i < espimage_rule_count(); i++) {
        const struct espimage_finding *f = espimage_report_finding(report, i);
        enum espimage_outcome wanted = expected_outcome(expected, f->rule->name);
        assert_ptr_equal(f->rule, espimage_rule_at(i));
        assert_true(f->found[0] != '\0');
        if (has_own_table(f->rule)) {
            continue;
        }
        if (f->outcome != wanted) {
            print_error("%s: %s, not %s: %s\n", f->rule->name, espimage_outcome_name(f->outcome),
                        espimage_outcome_name(wanted), f->found);
        }
        assert_int_equal(f->outcome, wanted);
    }
    check_verdicts(report, expected->refusers);
}

enum base {
    TINY,    /* firmware_tiny(): see test_image_build.c for its bytes */
    LARGE,   /* 0x3A004 bytes, for the slot of 1MB */
    V1_3,    /* no outer header, three segments, a slot's number as flash settings, CRC */
    V1_4,    /* the same with four segments */
    IROM_SUM /* rBoot's checksum with irom, CRC behind it */
};

static struct espimage_bytes without_boot(size_t segments)
{
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    const struct espimage_section sections[] = {
        section(".text", 0x40100000, 16, content()),
        section(".data", 0x3FFE8000, 8, content()),
        section(".rodata", 0x3FFE8100, 8, content()),
        section(".rtc", 0x60001000, 4, content()),
    };
    espimage_firmware *fw = firmware(0x40100000, sections, segments);
    options.map = espimage_flash_map_by_name("512KB");
    options.flash_freq = 1; /* size/freq byte 01 */
    assert_ok(espimage_no_boot_build(fw, &options, &built, &err), &err);
    espimage_firmware_free(fw);
    return built;
}

static struct espimage_bytes irom_sum(void)
{
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40202010);
    options.irom_checksum = true;
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    return built;
}

static struct espimage_bytes build_base(enum base base)
{
    struct espimage_build_options options = options_usual();
    if (base == IROM_SUM) {
        return irom_sum();
    }
    if (base == V1_3 || base == V1_4) {
        struct espimage_bytes built = without_boot(base == V1_3 ? 3 : 4);
        built.data = realloc(built.data, built.size + 4);
        assert_non_null(built.data);
        built.size += 4;
        seal(built.data, built.size);
        return built;
    }
    espimage_firmware *fw =
        base == LARGE ? firmware_of_image_size(0x40201010, 0x3A004) : firmware_tiny(0x40201010);
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    return built;
}

struct poke {
    uint32_t at;
    uint8_t bytes;
    uint32_t value;
};

struct verify_case {
    const char *name;
    enum base base;
    struct poke poke[3];
    int longer; /* bytes appended or cut off */
    bool unsealed;
    const char *map; /* option; NULL: by the image */
    struct espimage_verify_options options;
    struct expected expected;
};

#define BEHIND_IROM                                                                                \
    "load.inner-header load.segments load.addresses load.entry boot.checksum rboot.checksum "      \
    "format.padding format.entries format.settings format.end"
#define BEHIND_INNER "load.entry boot.checksum rboot.checksum format.padding format.end"
#define ALL_RULES                                                                                  \
    "boot.header boot.layout rboot.header load.irom " BEHIND_IROM                                  \
    " ota.header ota.app-number ota.length "                                                       \
    "ota.partition ota.crc wire.length format.map"
#define NO_MAP "ota.length ota.partition format.map"
#define NONE                                                                                       \
    {                                                                                              \
        NULL, NULL, NULL, 0                                                                        \
    }

static const struct verify_case rows[] = {
    {"as built", TINY, {{0}}, 0, false, NULL, {0}, NONE},
    {"large, as built", LARGE, {{0}}, 0, false, NULL, {0}, NONE},
    {"meant for its slot", TINY, {{0}}, 0, false, "1MB", {.app = 1}, NONE},

    {"not an image",
     TINY,
     {{0, 1, 0x00}},
     0,
     false,
     NULL,
     {0},
     {"file.image", NULL, ALL_RULES, LOAD | OTA}},
    {"second byte",
     TINY,
     {{1, 1, 3}},
     0,
     false,
     NULL,
     {0},
     {"boot.header rboot.header ota.header", NULL, NULL, LOAD | OTA}},
    {"E9 04 with irom",
     TINY,
     {{0, 1, 0xE9}},
     0,
     false,
     NULL,
     {0},
     {"boot.layout rboot.header ota.header", NULL, NULL, LOAD | OTA}},
    {"E9 03", V1_3, {{0}}, 0, false, NULL, {0}, NONE},
    {"E9 04", V1_4, {{0}}, 0, false, NULL, {0}, {"ota.header", NULL, NULL, OTA}},

    {"irom leaves the file",
     TINY,
     {{12, 4, 0x1000}},
     0,
     false,
     "1MB",
     {0},
     {"load.irom", NULL, BEHIND_IROM, LOAD}},
    {"irom leaves the file, no map",
     TINY,
     {{12, 4, 0x1000}},
     0,
     false,
     NULL,
     {0},
     {"load.irom", NO_MAP, BEHIND_IROM, LOAD}},
    {"no inner header",
     TINY,
     {{12, 4, 84 - 16}},
     0,
     false,
     "1MB",
     {0},
     {"load.inner-header", NULL,
      "load.segments load.addresses load.entry boot.checksum rboot.checksum format.padding "
      "format.entries format.settings format.end",
      LOAD}},
    {"inner magic",
     TINY,
     {{32, 1, 0xE8}},
     0,
     false,
     NULL,
     {0},
     {"load.inner-header", NULL, NULL, BOOT}},
    {"segment leaves the file",
     TINY,
     {{56, 4, 0x1000}},
     0,
     false,
     NULL,
     {0},
     {"load.segments", NULL, BEHIND_INNER, LOAD}},
    {"too many segments",
     TINY,
     {{33, 1, 9}},
     0,
     false,
     NULL,
     {0},
     {"load.segments load.addresses" /* it takes zeros for headers */, NULL, BEHIND_INNER, LOAD}},
    {"segment to nowhere",
     TINY,
     {{40, 4, 0x20000000}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses", NULL, NULL, LOAD}},
    {"segment to flash",
     TINY,
     {{40, 4, 0x40210000}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses", NULL, NULL, LOAD}},
    {"segment into a word",
     TINY,
     {{40, 4, 0x3FFE8002}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses", NULL, NULL, LOAD}},
    {"segment past DRAM",
     TINY,
     {{40, 4, 0x3FFFC000}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses", NULL, NULL, LOAD}},
    {"segment at the end of DRAM", TINY, {{40, 4, 0x3FFFBFFC}}, 0, false, NULL, {0}, NONE},
    {"segment over the end of IRAM",
     TINY,
     {{52, 4, 0x4010BFFC}, {4, 4, 0x4010BFFC}, {36, 4, 0x4010BFFC}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses", NULL, NULL, LOAD}},
    {"entry behind IRAM",
     TINY,
     {{52, 4, 0x4010BFFC}, {4, 4, 0x4010C000}, {36, 4, 0x4010C000}},
     0,
     false,
     NULL,
     {0},
     {"load.addresses load.entry", NULL, NULL, LOAD}},
    {"segment to RTC", TINY, {{40, 4, 0x60001000}}, 0, false, NULL, {0}, NONE},
    {"entry in no segment",
     TINY,
     {{4, 4, 0x40100008}, {36, 4, 0x40100008}},
     0,
     false,
     NULL,
     {0},
     {"load.entry", NULL, NULL, LOAD}},
    {"entry in DRAM",
     TINY,
     {{4, 4, 0x3FFE8000}, {36, 4, 0x3FFE8000}},
     0,
     false,
     NULL,
     {0},
     {"load.entry", NULL, NULL, LOAD}},

    {"checksum",
     TINY,
     {{79, 1, 0x49}},
     0,
     false,
     NULL,
     {0},
     {"boot.checksum rboot.checksum", NULL, NULL, LOAD}},
    {"a segment's byte",
     TINY,
     {{60, 1, 0xFF}},
     0,
     false,
     NULL,
     {0},
     {"boot.checksum rboot.checksum", NULL, NULL, LOAD}},
    {"an irom byte", TINY, {{16, 1, 0xFF}}, 0, false, NULL, {0}, NONE},
    {"rBoot expects irom in it",
     TINY,
     {{0}},
     0,
     false,
     NULL,
     {.irom_checksum = true},
     {"rboot.checksum", NULL, NULL, RBOOT}},
    {"irom in it, rBoot expects so",
     IROM_SUM,
     {{0}},
     0,
     false,
     NULL,
     {.irom_checksum = true},
     {"boot.checksum", NULL, NULL, BOOT}},
    {"irom in it",
     IROM_SUM,
     {{0}},
     0,
     false,
     NULL,
     {0},
     {"boot.checksum rboot.checksum", NULL, NULL, LOAD}},
    {"checksum cut off",
     TINY,
     {{0}},
     -8,
     false,
     NULL,
     {0},
     {"boot.checksum rboot.checksum", NULL, "format.end", LOAD}},

    {"app 0", TINY, {{3, 1, 0}}, 0, false, NULL, {0}, {"ota.app-number", NULL, NULL, OTA}},
    {"app 3", TINY, {{3, 1, 3}}, 0, false, NULL, {0}, {"ota.app-number", NULL, NULL, OTA}},
    {"flash settings for the app",
     TINY,
     {{3, 1, 0x20}},
     0,
     false,
     NULL,
     {0},
     {"ota.app-number", NULL, NULL, OTA}},
    {"app 2", TINY, {{3, 1, 2}}, 0, false, NULL, {0}, NONE},
    {"meant for the other slot",
     TINY,
     {{0}},
     0,
     false,
     NULL,
     {.app = 2},
     {"ota.app-number", NULL, NULL, OTA}},
    {"longer than the slot",
     LARGE,
     {{0}},
     0,
     false,
     "512KB",
     {0},
     {"ota.length ota.partition", NULL, NULL, OTA}},
    {"longer than the slot by the image",
     LARGE,
     {{0x39FA3, 1, 0x00}},
     0,
     false,
     NULL,
     {0},
     {"ota.length ota.partition", NULL, NULL, OTA}},
    {"longer than the slot, partition larger",
     LARGE,
     {{0}},
     0,
     false,
     "512KB",
     {.partition = 0x3B000},
     {"ota.length", NULL, NULL, OTA2}},
    {"as long as the slot",
     LARGE,
     {{0}},
     0x7A000 - 0x3A004,
     false,
     NULL,
     {0},
     {NULL, "format.end", NULL, 0}},
    {"four bytes longer than the slot",
     LARGE,
     {{0}},
     0x7A004 - 0x3A004,
     false,
     NULL,
     {0},
     {"ota.length ota.partition", "format.end", NULL, OTA}},
    {"within the partition", LARGE, {{0}}, 0, false, NULL, {.partition = 0x3B000}, NONE},
    {"within the partition, not within its whole sectors",
     LARGE,
     {{0}},
     0,
     false,
     NULL,
     {.partition = 0x3AFFF},
     {"ota.partition", NULL, NULL, OTA3}},
    {"240 sectors",
     LARGE,
     {{0}},
     0xF0000 - 0x3A004,
     false,
     "2MB-c1",
     {0},
     {NULL, "format.end", NULL, 0}},
    {"four bytes more than 240 sectors",
     LARGE,
     {{0}},
     0xF0004 - 0x3A004,
     false,
     "2MB-c1",
     {0},
     {"ota.length ota.partition", "format.end", NULL, OTA}},
    {"more than 240 sectors in a larger partition",
     LARGE,
     {{0}},
     0xF0004 - 0x3A004,
     false,
     "2MB-c1",
     {.partition = 0x100000},
     {"ota.length ota.partition", "format.end", NULL, OTA}},
    {"longer than the partition",
     LARGE,
     {{0}},
     0,
     false,
     NULL,
     {.partition = 0x3A003},
     {"ota.partition", NULL, NULL, OTA3}},
    {"CRC", TINY, {{80, 1, 0x80}}, 0, true, NULL, {0}, {"ota.crc", NULL, NULL, OTA}},
    {"CRC, one bit", TINY, {{83, 1, 0xBB}}, 0, true, NULL, {0}, {"ota.crc", NULL, NULL, OTA}},
    {"CRC cut off", TINY, {{0}}, -4, true, NULL, {0}, {"ota.crc", "format.end", NULL, OTA}},
    {"irom byte, CRC left",
     TINY,
     {{16, 1, 0xFF}},
     0,
     true,
     NULL,
     {0},
     {"ota.crc", NULL, NULL, OTA}},

    {"one byte more", TINY, {{0}}, 1, false, NULL, {0}, {NULL, "wire.length format.end", NULL, 0}},
    {"four bytes more", TINY, {{0}}, 4, false, NULL, {0}, {NULL, "format.end", NULL, 0}},
    {"unpadded segment",
     TINY,
     {{56, 4, 6}},
     0,
     false,
     NULL,
     {0},
     {NULL, "format.padding", NULL, 0}},
    {"entries differ",
     TINY,
     {{4, 4, 0x40100000}},
     0,
     false,
     NULL,
     {0},
     {NULL, "format.entries", NULL, 0}},
    {"unknown mode", TINY, {{34, 1, 4}}, 0, false, NULL, {0}, {NULL, "format.settings", NULL, 0}},
    {"unknown clock",
     TINY,
     {{35, 1, 0x23}},
     0,
     false,
     NULL,
     {0},
     {NULL, "format.settings", NULL, 0}},
    {"unknown map",
     TINY,
     {{35, 1, 0x70}},
     0,
     false,
     NULL,
     {0},
     {NULL, "format.settings " NO_MAP, NULL, 0}},
    {"unknown map, another given",
     TINY,
     {{35, 1, 0x70}},
     0,
     false,
     "1MB",
     {0},
     {NULL, "format.settings", NULL, 0}},
    {"map without slots", TINY, {{35, 1, 0x10}}, 0, false, NULL, {0}, {NULL, NO_MAP, NULL, 0}},
    {"map with a remark",
     TINY,
     {{35, 1, 0x80}},
     0,
     false,
     NULL,
     {0},
     {NULL, "format.map", NULL, 0}},
};

static void change(struct espimage_bytes *built, const struct verify_case *row)
{
    if (row->longer != 0) {
        size_t size = built->size + (size_t)row->longer;
        built->data = realloc(built->data, size);
        assert_non_null(built->data);
        if (size > built->size) {
            memset(built->data + built->size, 0, size - built->size);
        }
        built->size = size;
    }
    for (size_t i = 0; i < COUNT(row->poke); i++) {
        for (size_t n = 0; n < row->poke[i].bytes; n++) {
            built->data[row->poke[i].at + n] = (uint8_t)(row->poke[i].value >> 8 * n);
        }
    }
    if (!row->unsealed) {
        seal(built->data, built->size);
    }
}

static void test_case(void **state)
{
    const struct verify_case *row = *state;
    struct espimage_verify_options options = row->options;
    struct espimage_bytes built = build_base(row->base);
    if (row->base == LARGE && row->poke[0].bytes != 0) {
        assert_int_equal(built.data[row->poke[0].at], 0x20); /* the size/freq byte */
    }
    change(&built, row);
    options.size = sizeof options;
    options.map = row->map != NULL ? espimage_flash_map_by_name(row->map) : NULL;
    espimage_report *report = verified(built.data, built.size, &options);
    check_report(report, &row->expected);
    if (row->map != NULL) {
        assert_ptr_equal(espimage_report_map(report), options.map);
    }
    espimage_report_free(report);
    espimage_bytes_free(&built);
}

static const char *found_by(const struct espimage_bytes *built,
                            const struct espimage_verify_options *options, size_t rule)
{
    static char found[256];
    espimage_report *report = verified(built->data, built->size, options);
    (void)snprintf(found, sizeof found, "%s", espimage_report_finding(report, rule)->found);
    espimage_report_free(report);
    return found;
}

/* What is found names the values that decide. */
static void test_found(void **state)
{
    (void)state;
    enum { LENGTH = 14, PARTITION = 15, CRC = 16, BOOT_SUM = 9, APP = 13, MAP = 30 };
    const struct espimage_verify_options either = ESPIMAGE_VERIFY_OPTIONS_INIT;
    const struct espimage_verify_options second = {
        .size = sizeof second, .app = 2, .partition = 80};
    const struct espimage_verify_options large = {.size = sizeof large,
                                                  .map = espimage_flash_map_by_name("2MB-c1")};
    struct espimage_bytes built = build_base(TINY);
    assert_string_equal(found_by(&built, &either, LENGTH), "84 of 499712 bytes (1MB)");
    assert_string_equal(found_by(&built, &second, PARTITION), "84 of 0 bytes");
    assert_string_equal(found_by(&built, &large, LENGTH),
                        "84 of 983040 bytes (2MB-c1, whose slot is larger)");
    assert_string_equal(found_by(&built, &either, BOOT_SUM), "stored 48, computed 48");
    assert_string_equal(found_by(&built, &either, MAP), "1MB");
    built.data[35] = 0x80;
    assert_mentions(found_by(&built, &either, MAP), "8MB: users report that boot 1.7");
    built.data[35] = 0x20;
    assert_string_equal(found_by(&built, &either, APP), "1 (0x01)");
    assert_mentions(found_by(&built, &second, APP), "1, but the image is meant for slot 2");
    built.data[3] = 0x20;
    assert_string_equal(found_by(&built, &second, APP), "32 (0x20)");
    assert_string_equal(found_by(&built, &either, CRC), "stored 3B87D481, computed 70C41F0C");
    espimage_bytes_free(&built);
    built = build_base(IROM_SUM);
    assert_mentions(found_by(&built, &either, BOOT_SUM), "right with the irom part included");
    built.data[79] ^= 1;
    assert_silent(found_by(&built, &either, BOOT_SUM), "irom part");
    espimage_bytes_free(&built);
}

struct built_case {
    const char *name;
    enum espimage_profile profile;
    unsigned refusers[2]; /* of app 1 and app 2, in a map whose code is no app number */
};

static const struct built_case built_rows[] = {
    {"sdk", ESPIMAGE_PROFILE_SDK, {0, 0}},
    {"gen_appbin", ESPIMAGE_PROFILE_GEN_APPBIN, {0, 0}},
    {"esptool", ESPIMAGE_PROFILE_ESPTOOL, {OTA, OTA}},
    {"rboot", ESPIMAGE_PROFILE_RBOOT, {OTA, OTA}},
    {"espruino", ESPIMAGE_PROFILE_ESPRUINO, {OTA, 0}},
    {"rtos1", ESPIMAGE_PROFILE_RTOS1, {OTA, OTA}},
};

static void test_built(void **state)
{
    const struct built_case *row = *state;
    espimage_firmware *fw = firmware_tiny(0x40201010);
    for (size_t m = 0; m < espimage_flash_map_count(); m++) {
        struct espimage_build_options options = options_usual();
        options.profile = row->profile;
        options.map = espimage_flash_map_at(m);
        for (uint8_t app = 1; options.map->half != 0 && app <= 2; app++) {
            options.app = app;
            struct espimage_bytes built = image(fw, &options);
            espimage_report *report = verified(built.data, built.size, NULL);
            check_verdicts(report, row->refusers[app - 1]);
            assert_ptr_equal(espimage_report_map(report), options.map);
            espimage_report_free(report);
            espimage_bytes_free(&built);
        }
    }
    espimage_firmware_free(fw);
}

static enum espimage_outcome outcome_of(const espimage_report *report, const char *rule)
{
    for (size_t i = 0; i < espimage_report_count(report); i++) {
        const struct espimage_finding *f = espimage_report_finding(report, i);
        if (strcmp(f->rule->name, rule) == 0) {
            return f->outcome;
        }
    }
    fail_msg("no rule %s", rule);
    return ESPIMAGE_UNKNOWN;
}

/* How long a file must be for a rule to look at it. */
static void check_reached(const espimage_report *report, size_t size)
{
    static const struct {
        const char *rule;
        size_t from;
    } reached[] = {
        {"boot.header", 2},    {"rboot.header", 2}, {"ota.header", 2},     {"ota.app-number", 4},
        {"ota.crc", 4},        {"load.irom", 16},   {"load.segments", 40}, {"load.entry", 68},
        {"boot.checksum", 68}, {"format.end", 80},
    };
    for (size_t i = 0; i < COUNT(reached); i++) {
        bool looked_at = outcome_of(report, reached[i].rule) != ESPIMAGE_UNKNOWN;
        assert_int_equal(looked_at, size >= reached[i].from);
    }
}

static void test_every_prefix(void **state)
{
    (void)state;
    struct espimage_bytes built = build_base(TINY);
    for (size_t size = 0; size < built.size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, built.data, size);
        espimage_report *report = verified(copy, size, NULL);
        check_verdicts(report, size < 80 ? LOAD | OTA : OTA);
        check_reached(report, size);
        assert_int_equal(espimage_report_identity(report)->mistake,
                         size == 0 ? ESPIMAGE_MISTAKE_EMPTY : ESPIMAGE_MISTAKE_TRUNCATED);
        espimage_report_free(report);
        free(copy);
    }
    espimage_bytes_free(&built);
}

/* The CRC protects what the checksum does not: no changed byte ever gets through an upgrade. */
static void test_damaged_byte(void **state)
{
    (void)state;
    struct random r = {4711};
    struct espimage_bytes built = build_base(TINY);
    for (unsigned round = 0; round < 20000; round++) {
        size_t at = random_below(&r, (uint32_t)built.size - 4);
        uint8_t change_by = (uint8_t)(1 + random_below(&r, 255));
        built.data[at] ^= change_by;
        espimage_report *report = verified(built.data, built.size, NULL);
        bool is_image = outcome_of(report, "file.image") == ESPIMAGE_PASS;
        assert_int_equal(outcome_of(report, "ota.crc"),
                         is_image ? ESPIMAGE_FAIL : ESPIMAGE_UNKNOWN);
        assert_false(accepted(report, ESPIMAGE_CONSUMER_OTA2));
        assert_false(accepted(report, ESPIMAGE_CONSUMER_OTA3));
        espimage_report_free(report);
        built.data[at] ^= change_by;
    }
    espimage_bytes_free(&built);
}

static void test_random_damage(void **state)
{
    (void)state;
    struct random r = {815};
    struct espimage_bytes good = build_base(TINY);
    struct espimage_verify_options options = {.size = sizeof options, .irom_checksum = true};
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = 1 + random_below(&r, (uint32_t)good.size);
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, good.data, size);
        for (unsigned n = random_below(&r, 6); n > 0; n--) {
            copy[random_below(&r, (uint32_t)size)] = (uint8_t)random_u64(&r);
        }
        espimage_report *report = verified(copy, size, &options);
        assert_true(espimage_mistake_name(espimage_report_identity(report)->mistake)[0] != '\0');
        espimage_report_free(report);
        free(copy);
    }
    espimage_bytes_free(&good);
}

static enum espimage_outcome outcome_in(const struct espimage_bytes *built,
                                        const struct espimage_verify_options *options,
                                        const char *rule, bool *crashes)
{
    espimage_report *report = verified(built->data, built->size, options);
    enum espimage_outcome outcome = outcome_of(report, rule);
    const struct espimage_verdict *boot = espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
    *crashes = boot->crashes;
    espimage_report_free(report);
    return outcome;
}

struct slot_case {
    const char *name;
    uint8_t built_as; /* app number in the image */
    uint8_t given;    /* options.app */
    uint32_t words;
    uint32_t points_to;
    const char *map;
    enum espimage_outcome outcome;
};

static const struct slot_case slot_rows[] = {
    {"app1, numbered so", 1, 0, 20, 0x40201010, "1MB", ESPIMAGE_PASS},
    {"app1, numbered 2", 2, 0, 20, 0x40201010, "1MB", ESPIMAGE_FAIL},
    {"app1, numbered 2, for user2", 2, 2, 20, 0x40201010, "1MB", ESPIMAGE_FAIL},
    {"app1, numbered 1, in user2", 1, 2, 20, 0x40201010, "1MB", ESPIMAGE_FAIL},
    {"app2, numbered so", 2, 2, 20, 0x40281010, "1MB", ESPIMAGE_PASS},
    {"app2 of another map", 2, 2, 20, 0x40281010, "512KB", ESPIMAGE_FAIL},
    {"either, as user2", 2, 2, 20, 0x40201010, "2MB-c1", ESPIMAGE_PASS},
    {"too few words", 1, 1, 2, 0x40201010, "1MB", ESPIMAGE_WARN},
    {"a map without slots", 1, 1, 20, 0x40201010, "256KB", ESPIMAGE_WARN},
};

static void test_slot(void **state)
{
    const struct slot_case *row = *state;
    bool crashes = false;
    struct espimage_build_options build = options_usual();
    struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    espimage_firmware *fw = firmware_pointing(0x40201010, 0x1000, row->words, row->points_to);
    build.app = row->built_as;
    struct espimage_bytes built = image(fw, &build);
    espimage_firmware_free(fw);
    options.map = espimage_flash_map_by_name(row->map);
    options.app = row->given;
    assert_int_equal(outcome_in(&built, &options, "link.slot", &crashes), row->outcome);
    assert_int_equal(crashes, row->outcome == ESPIMAGE_FAIL);
    espimage_bytes_free(&built);
}

struct pushed_case {
    const char *name;
    enum espimage_profile profile;
    uint8_t app;
    uint32_t irom;
    struct poke poke;
    const char *map;
    uint8_t given;
    unsigned refusers; /* of PUSH | RTOS1 */
};

static const struct pushed_case pushed_rows[] = {
    {"sdk, user1", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {0}, "1MB", 0, 0},
    {"sdk, for user1", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {0}, "1MB", 1, ESPRUINO},
    {"sdk, user2", ESPIMAGE_PROFILE_SDK, 2, 0x1000, {0}, "1MB", 0, ESPRUINO},
    {"espruino, user1", ESPIMAGE_PROFILE_ESPRUINO, 1, 0x1000, {0}, "1MB", 1, 0},
    {"espruino, user2", ESPIMAGE_PROFILE_ESPRUINO, 2, 0x1000, {0}, "1MB", 2, 0},
    {"rtos1", ESPIMAGE_PROFILE_RTOS1, 1, 0x1000, {0}, "1MB", 0, ESPRUINO},
    {"rboot, no CRC", ESPIMAGE_PROFILE_RBOOT, 1, 0x1000, {0}, "1MB", 0, ESPRUINO | RTOS1},
    {"short", ESPIMAGE_PROFILE_SDK, 1, 0x40, {0}, "1MB", 0, LINK},
    {"second byte", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {1, 1, 3}, "1MB", 0, PUSH},
    {"E9", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {0, 1, 0xE9}, "1MB", 0, PUSH},
    {"mode 4", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {2, 1, 4}, "1MB", 0, PUSH},
    {"fourth byte 40", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {3, 1, 0x40}, "1MB", 0, ESPRUINO},
    {"fourth byte 41", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {3, 1, 0x41}, "1MB", 0, ESPRUINO | HTTPD},
    {"fourth byte 6F", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {3, 1, 0x6F}, "1MB", 0, ESPRUINO | HTTPD},
    {"fourth byte 70", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {3, 1, 0x70}, "1MB", 0, PUSH},
    {"entry", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {6, 1, 0x11}, "1MB", 0, PUSH},
    {"load address", ESPIMAGE_PROFILE_SDK, 1, 0x1000, {8, 1, 1}, "1MB", 0, PUSH},
    {"0x3B000 and more", ESPIMAGE_PROFILE_SDK, 1, 0x3B000, {0}, "512KB", 0, PUSH | RTOS1},
    {"0x3AF00 and more", ESPIMAGE_PROFILE_SDK, 1, 0x3AF00, {0}, "512KB", 0, RTOS1},
};

/* The CRC is right all the same. */
static void test_pushed(void **state)
{
    const struct pushed_case *row = *state;
    struct espimage_build_options build = options_usual();
    struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    espimage_firmware *fw = firmware_pointing(0x40201010, row->irom, 0, 0x40201010);
    build.app = row->app;
    build.profile = row->profile;
    struct espimage_bytes built = image(fw, &build);
    espimage_firmware_free(fw);
    if (row->poke.bytes != 0) {
        built.data[row->poke.at] = (uint8_t)row->poke.value;
        seal(built.data, built.size);
    }
    options.map = espimage_flash_map_by_name(row->map);
    options.app = row->given;
    espimage_report *report = verified(built.data, built.size, &options);
    for (unsigned c = ESPIMAGE_CONSUMER_RTOS1; c < ESPIMAGE_CONSUMER_COUNT; c++) {
        const struct espimage_verdict *verdict =
            espimage_report_verdict(report, (enum espimage_consumer)c);
        if (verdict->accepts != ((row->refusers & 1U << c) == 0)) {
            print_error("%s: %s\n", espimage_consumer_name((enum espimage_consumer)c),
                        verdict->because != NULL ? verdict->because->rule->name : "accepts");
        }
        assert_int_equal(verdict->accepts, (row->refusers & 1U << c) == 0);
        assert_false(verdict->crashes);
    }
    espimage_report_free(report);
    espimage_bytes_free(&built);
}

/* What a bootloader does not notice before it jumps is told from what it refuses. */
static void test_crashes(void **state)
{
    (void)state;
    static const struct {
        struct poke poke;
        bool crashes;
    } damages[] = {{{0, 1, 0x00}, false},  {{1, 1, 0x03}, false}, {{0, 1, 0xE9}, true},
                   {{32, 1, 0xE8}, false}, {{33, 1, 200}, true},  {{48, 1, 0x55}, true},
                   {{79, 1, 0x00}, true}};
    const struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct espimage_bytes built = build_base(TINY);
        built.data[damages[i].poke.at] = (uint8_t)damages[i].poke.value;
        espimage_report *report = verified(built.data, built.size, &options);
        const struct espimage_verdict *boot =
            espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
        assert_false(boot->accepts);
        assert_int_equal(boot->crashes, damages[i].crashes);
        assert_false(espimage_report_verdict(report, ESPIMAGE_CONSUMER_OTA3)->crashes);
        espimage_report_free(report);
        espimage_bytes_free(&built);
    }
}

/* Boot 1.6 and 1.7 count the lines from the inner header, rBoot from the start of the slot. */
static void test_line_of_the_checksum(void **state)
{
    (void)state;
    bool crashes = false;
    struct espimage_bytes built = build_base(TINY);
    const struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    uint8_t moved[128] = {0};
    uint8_t sum = built.data[79];
    memcpy(moved, built.data, 32);
    moved[12] = 20; /* irom of 20 bytes: the inner header is at 36 */
    memcpy(moved + 36, built.data + 32, 36);
    struct espimage_bytes odd = {moved, 100};
    moved[36 + 47] = sum;
    assert_int_equal(outcome_in(&odd, &options, "boot.checksum", &crashes), ESPIMAGE_PASS);
    assert_int_equal(outcome_in(&odd, &options, "rboot.checksum", &crashes), ESPIMAGE_FAIL);
    moved[36 + 47] = 0;
    moved[79] = sum;
    assert_int_equal(outcome_in(&odd, &options, "boot.checksum", &crashes), ESPIMAGE_FAIL);
    assert_true(crashes);
    assert_int_equal(outcome_in(&odd, &options, "rboot.checksum", &crashes), ESPIMAGE_PASS);
    espimage_bytes_free(&built);
}

/* A word of the segments that is an address is no code. */
static void test_literal_at_the_entry(void **state)
{
    (void)state;
    bool crashes = false;
    struct espimage_bytes built = build_base(TINY);
    const struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    const size_t text = 60;
    assert_int_equal(outcome_in(&built, &options, "load.entry", &crashes), ESPIMAGE_PASS);
    put_le32(built.data + 4, 0x40100000);
    put_le32(built.data + 36, 0x40100000);
    put_le32(built.data + text, 0x40100010);
    assert_int_equal(outcome_in(&built, &options, "load.entry", &crashes), ESPIMAGE_WARN);
    put_le32(built.data + text, 0x21F0C112);
    assert_int_equal(outcome_in(&built, &options, "load.entry", &crashes), ESPIMAGE_PASS);
    espimage_bytes_free(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_line_of_the_checksum),
        cmocka_unit_test(test_literal_at_the_entry),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_consumer_names),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_damaged_byte),
        cmocka_unit_test(test_random_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("rules", rows, test_case) +
           run_table("profiles", built_rows, test_built) +
           run_table("linked for", slot_rows, test_slot) +
           run_table("pushed", pushed_rows, test_pushed);
}
