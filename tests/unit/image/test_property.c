/* SPDX-License-Identifier: MIT */
/* Random firmwares, built and taken apart again, against a second and plain writing of the format.
 */
#include "support/firmware_builder.h"
#include "support/rounds.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECTIONS 15

struct sample {
    uint32_t entry;
    size_t count;
    struct espimage_section sections[MAX_SECTIONS];
    struct espimage_build_options options;
};

static uint32_t random_size(struct random *r)
{
    uint32_t limit = random_below(r, 8) == 0 ? 4000 : 70;
    return 1 + random_below(r, limit);
}

static void add(struct sample *s, struct random *r, const char *name, uint32_t address,
                uint32_t size)
{
    uint32_t from = random_below(r, CONTENT_SIZE - size);
    s->sections[s->count++] = section(name, address, size, content() + from);
}

static uint32_t aligned(uint32_t address)
{
    return (address + 3) & ~3U;
}

/* RAM sections one behind the other in IRAM, DRAM and RTC memory; the first holds the entry. */
static void add_ram(struct sample *s, struct random *r)
{
    static const char *const names[] = {".text", ".data", ".rodata", ".vectors", "", ".x"};
    uint32_t next[] = {0x40100000, 0x3FFE8000, 0x60001000};
    size_t count = 1 + random_below(r, 12);
    for (size_t i = 0; i < count; i++) {
        size_t memory = i == 0 ? 0 : random_below(r, 3);
        uint32_t size = memory == 2 ? 1 + random_below(r, 60) : random_size(r);
        const char *name = i == 0 ? ".text" : names[1 + random_below(r, COUNT(names) - 1)];
        if (memory == 0 && next[0] + size > 0x40107000) {
            size = 4;
        }
        add(s, r, name, next[memory], size);
        next[memory] = aligned(next[memory] + size + random_below(r, 2) * random_below(r, 20));
    }
    s->entry = s->sections[0].address + random_below(r, s->sections[0].size);
    if (random_below(r, 2) != 0) {
        s->sections[s->count++] = section(".bss", 0x3FFFB000, 1 + random_below(r, 0x1000), NULL);
    }
}

static void add_irom(struct sample *s, struct random *r)
{
    uint32_t next = 0x40201010;
    size_t room = MAX_SECTIONS - s->count;
    size_t count = random_below(r, room < 3 ? (uint32_t)room + 1 : 4);
    for (size_t i = 0; i < count; i++) {
        uint32_t size = random_below(r, 20) == 0 ? 1 + random_below(r, 50000) : random_size(r);
        add(s, r, ".irom0.text", next, size);
        next += size + random_below(r, 2) * random_below(r, 100);
    }
}

static void shuffle(struct sample *s, struct random *r)
{
    for (size_t i = s->count; i > 1; i--) {
        size_t other = random_below(r, (uint32_t)i);
        struct espimage_section kept = s->sections[i - 1];
        s->sections[i - 1] = s->sections[other];
        s->sections[other] = kept;
    }
}

static struct sample random_sample(struct random *r)
{
    struct sample s = {0};
    add_ram(&s, r);
    add_irom(&s, r);
    shuffle(&s, r);
    s.options.size = sizeof s.options;
    s.options.profile = (enum espimage_profile)random_below(r, ESPIMAGE_PROFILE_COUNT);
    do {
        s.options.map =
            espimage_flash_map_at(random_below(r, (uint32_t)espimage_flash_map_count()));
    } while (s.options.map->half == 0);
    s.options.app = (uint8_t)(1 + random_below(r, 2));
    s.options.flash_mode = espimage_flash_mode_at(random_below(r, 4))->code;
    s.options.flash_freq = espimage_flash_freq_at(random_below(r, 4))->code;
    s.options.irom_checksum = random_below(r, 4) == 0;
    return s;
}

/* The format written down a second time, without any of the library's code. */
struct writer {
    uint8_t *bytes;
    size_t size;
};

static void put8(struct writer *w, unsigned value)
{
    w->bytes[w->size++] = (uint8_t)value;
}

static void put32(struct writer *w, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        put8(w, value >> 8 * i & 0xFF);
    }
}

static void pad(struct writer *w, size_t to)
{
    while (w->size % to != 0) {
        put8(w, 0);
    }
}

/* Bit by bit, as the device does it; what is stored is the register's absolute value. */
static uint32_t plain_crc(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
        }
    }
    return crc >= 0x80000000 ? (uint32_t)(0x100000000 - crc) : crc;
}

static bool in_irom(const struct espimage_section *s)
{
    return s->address >= 0x40200000 && s->address < 0x41200000;
}

static void put_irom(struct writer *w, const struct sample *s, uint8_t *sum)
{
    uint32_t first = UINT32_MAX;
    uint32_t end = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct espimage_section *one = &s->sections[i];
        if (in_irom(one)) {
            first = one->address < first ? one->address : first;
            end = one->address + one->size > end ? one->address + one->size : end;
        }
    }
    uint32_t length = end == 0 ? 0 : (end - first + 15) / 16 * 16;
    put32(w, 0);
    put32(w, length);
    for (size_t i = 0; i < s->count; i++) {
        const struct espimage_section *one = &s->sections[i];
        for (uint32_t n = 0; in_irom(one) && n < one->size; n++) {
            w->bytes[w->size + (one->address - first) + n] = one->bytes[n];
            *sum ^= s->options.irom_checksum ? one->bytes[n] : 0;
        }
    }
    w->size += length;
}

static int order_of(const char *name)
{
    return strcmp(name, ".text") == 0     ? 0
           : strcmp(name, ".data") == 0   ? 1
           : strcmp(name, ".rodata") == 0 ? 2
                                          : 3;
}

/* The sections to load in the order of the profile; returns their number. */
static size_t ram_order(const struct sample *s, const struct espimage_section **ordered)
{
    bool named = s->options.profile != ESPIMAGE_PROFILE_SDK &&
                 s->options.profile != ESPIMAGE_PROFILE_ESPTOOL;
    size_t count = 0;
    for (int turn = 0; turn < (named ? 4 : 1); turn++) {
        for (size_t i = 0; i < s->count; i++) {
            const struct espimage_section *one = &s->sections[i];
            if (one->bytes != NULL && !in_irom(one) && (!named || order_of(one->name) == turn)) {
                ordered[count++] = one;
            }
        }
    }
    return count;
}

static void put_segments(struct writer *w, const struct sample *s, uint8_t sum)
{
    const struct espimage_section *ordered[MAX_SECTIONS];
    size_t count = ram_order(s, ordered);
    put8(w, 0xE9);
    put8(w, (unsigned)count);
    put8(w, s->options.flash_mode);
    put8(w, s->options.map->code * 16U + s->options.flash_freq);
    put32(w, s->entry);
    for (size_t i = 0; i < count; i++) {
        put32(w, ordered[i]->address);
        put32(w, aligned(ordered[i]->size));
        for (uint32_t n = 0; n < ordered[i]->size; n++) {
            sum ^= ordered[i]->bytes[n];
            put8(w, ordered[i]->bytes[n]);
        }
        pad(w, 4);
    }
    while (w->size % 16 != 15) {
        put8(w, 0);
    }
    put8(w, sum);
}

static struct writer plain_image(const struct sample *s)
{
    struct writer w = {calloc(1, 300000), 0};
    uint8_t sum = 0xEF;
    assert_non_null(w.bytes);
    bool settings = s->options.profile == ESPIMAGE_PROFILE_ESPTOOL ||
                    s->options.profile == ESPIMAGE_PROFILE_RBOOT ||
                    s->options.profile == ESPIMAGE_PROFILE_RTOS1;
    bool espruino = s->options.profile == ESPIMAGE_PROFILE_ESPRUINO;
    put8(&w, 0xEA);
    put8(&w, 4);
    put8(&w, settings ? s->options.flash_mode : 0);
    put8(&w, settings   ? s->options.map->code * 16U + s->options.flash_freq
             : espruino ? s->options.app - 1U
                        : s->options.app);
    put32(&w, s->entry);
    put_irom(&w, s, &sum);
    put_segments(&w, s, sum);
    if (s->options.profile != ESPIMAGE_PROFILE_RBOOT) {
        put32(&w, plain_crc(w.bytes, w.size));
    }
    return w;
}

/* The profile esptool joins segments; then each section's bytes are looked for in one of them. */
static void check_loaded(const struct espimage_image_view *v, const struct espimage_section *s)
{
    for (size_t i = 0; i < v->segment_count; i++) {
        uint32_t into = s->address - v->segment[i].address;
        if (s->address >= v->segment[i].address && into < v->segment[i].size) {
            assert_true(into + s->size <= v->segment[i].size);
            assert_memory_equal(v->bytes + v->segment[i].offset + into, s->bytes, s->size);
            return;
        }
    }
    fail_msg("section at 0x%08X is in no segment", (unsigned)s->address);
}

static void check_parsed(const struct sample *s, const espimage_firmware *fw,
                         const struct espimage_bytes *built)
{
    struct espimage_image_view v;
    struct espimage_irom irom = espimage_firmware_irom(fw);
    espimage_image_parse(built->data, built->size, &v);
    assert_int_equal(v.extent, ESPIMAGE_EXTENT_CHECKSUM);
    assert_int_equal(v.trailing, s->options.profile == ESPIMAGE_PROFILE_RBOOT ? 0 : 4);
    assert_int_equal(v.checksum_stored, s->options.irom_checksum ? v.checksum_all : v.checksum_ram);
    assert_int_equal(v.entry, s->entry);
    assert_int_equal(v.outer_entry, s->entry);
    assert_int_equal(v.irom_size, (irom.size + 15) / 16 * 16);
    for (size_t i = 0; i < s->count; i++) {
        const struct espimage_section *one = &s->sections[i];
        if (one->bytes == NULL) {
            continue;
        }
        if (in_irom(one)) {
            assert_memory_equal(built->data + 16 + (one->address - irom.address), one->bytes,
                                one->size);
        } else {
            check_loaded(&v, one);
        }
    }
}

/* Its place among the rules. */
#define BOOT_CHECKSUM 9

static void check_accepted(const struct sample *s, const struct espimage_bytes *built)
{
    const struct espimage_verify_options options = {.size = sizeof options,
                                                    .map = s->options.map,
                                                    .app = s->options.app,
                                                    .irom_checksum = s->options.irom_checksum};
    espimage_report *report = verified(built->data, built->size, &options);
    bool app = s->options.profile == ESPIMAGE_PROFILE_SDK ||
               s->options.profile == ESPIMAGE_PROFILE_GEN_APPBIN;
    bool plain_sum = !s->options.irom_checksum ||
                     espimage_report_finding(report, BOOT_CHECKSUM)->outcome == ESPIMAGE_PASS;
    assert_int_equal(accepted(report, ESPIMAGE_CONSUMER_BOOT), plain_sum);
    assert_true(accepted(report, ESPIMAGE_CONSUMER_RBOOT));
    if (app) {
        assert_true(accepted(report, ESPIMAGE_CONSUMER_OTA2));
        assert_true(accepted(report, ESPIMAGE_CONSUMER_OTA3));
        assert_int_equal(espimage_report_identity(report)->mistake, ESPIMAGE_MISTAKE_NONE);
    }
    espimage_report_free(report);
}

static void check_sample(const struct sample *s)
{
    espimage_firmware *fw = firmware(s->entry, s->sections, s->count);
    struct espimage_bytes built = image(fw, &s->options);
    struct espimage_bytes again = image(fw, &s->options);
    assert_int_equal(built.size, again.size);
    assert_memory_equal(built.data, again.data, built.size);
    if (s->options.profile != ESPIMAGE_PROFILE_ESPTOOL) {
        struct writer plain = plain_image(s);
        assert_int_equal(built.size, plain.size);
        assert_memory_equal(built.data, plain.bytes, plain.size);
        free(plain.bytes);
    } else {
        const uint8_t *at = built.data + built.size - 4;
        uint32_t crc = plain_crc(built.data, built.size - 4);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(at[i], crc >> 8 * i & 0xFF);
        }
    }
    if (s->options.profile == ESPIMAGE_PROFILE_SDK) {
        assert_int_equal(espimage_image_size(fw), built.size);
    }
    check_parsed(s, fw, &built);
    check_accepted(s, &built);
    espimage_bytes_free(&built);
    espimage_bytes_free(&again);
    espimage_firmware_free(fw);
}

static void check_firmware(struct random *r, void *context)
{
    struct sample s = random_sample(r);
    (void)context;
    check_sample(&s);
}

static void test_random_firmwares(void **state)
{
    (void)state;
    (void)run_rounds(10000, check_firmware, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random_firmwares, show_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
