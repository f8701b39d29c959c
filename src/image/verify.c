/* SPDX-License-Identifier: MIT */
/* What devices demand of an image, one function a rule, and who refuses when one is broken.
 *
 * Sources: Espressif's bootloader 1.6 and the upgrade library of SDK 3.x as observed, rBoot's
 * check of a ROM. Rules with no consumer are about the format only. */
#include <espimage/verify.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title;
} consumers[ESPIMAGE_CONSUMER_COUNT] = {
    [ESPIMAGE_CONSUMER_BOOT] = {"boot", "boot 1.2 and later"},
    [ESPIMAGE_CONSUMER_RBOOT] = {"rboot", "rBoot"},
    [ESPIMAGE_CONSUMER_OTA2] = {"ota2", "OTA of SDK 2.x"},
    [ESPIMAGE_CONSUMER_OTA3] = {"ota3", "OTA of SDK 3.x"},
};

const char *espimage_consumer_name(enum espimage_consumer consumer)
{
    return consumers[consumer].name;
}

const char *espimage_consumer_title(enum espimage_consumer consumer)
{
    return consumers[consumer].title;
}

bool espimage_consumer_by_name(const char *name, enum espimage_consumer *out)
{
    for (int i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        if (text_same(name, consumers[i].name)) {
            *out = (enum espimage_consumer)i;
            return true;
        }
    }
    return false;
}

const char *espimage_outcome_name(enum espimage_outcome outcome)
{
    static const char *const names[] = {"pass", "fail", "warn", "unknown"};
    return names[outcome];
}

/* What a rule looks at. */
struct subject {
    const struct espimage_image_view *view;
    const struct espimage_verify_options *options;
    const struct espimage_flash_map *map; /* may be NULL */
    bool is_image;                        /* begins with EA or E9 */
};

static enum espimage_outcome find(struct espimage_finding *f, enum espimage_outcome outcome,
                                  const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum espimage_outcome find(struct espimage_finding *f, enum espimage_outcome outcome,
                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->found, sizeof f->found, format, args);
    va_end(args);
    return outcome;
}

static enum espimage_outcome pass_if(bool holds, enum espimage_outcome otherwise)
{
    return holds ? ESPIMAGE_PASS : otherwise;
}

static enum espimage_outcome not_reached(struct espimage_finding *f)
{
    return find(f, ESPIMAGE_UNKNOWN, "cannot be looked at: the image ends or breaks off before it");
}

static enum espimage_outcome rule_image(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size == 0) {
        return find(f, ESPIMAGE_FAIL, "the file is empty");
    }
    return find(f, pass_if(s->is_image, ESPIMAGE_FAIL), "first byte %02X", s->view->bytes[0]);
}

static enum espimage_outcome first_two(const struct subject *s, struct espimage_finding *f,
                                       bool (*right)(uint8_t first, uint8_t second))
{
    if (s->view->size < 2) {
        return not_reached(f);
    }
    const uint8_t *b = s->view->bytes;
    return find(f, pass_if(right(b[0], b[1]), ESPIMAGE_FAIL), "%02X %02X", b[0], b[1]);
}

static bool right_for_boot(uint8_t first, uint8_t second)
{
    return (first == MAGIC_V2 || first == MAGIC_V1) && second == SECOND_BYTE;
}

static bool right_for_rboot(uint8_t first, uint8_t second)
{
    return (first == MAGIC_V2 && second == SECOND_BYTE) || first == MAGIC_V1;
}

static bool right_for_ota(uint8_t first, uint8_t second)
{
    return (first == MAGIC_V2 && second == SECOND_BYTE) || (first == MAGIC_V1 && second == 3);
}

static enum espimage_outcome rule_boot_header(const struct subject *s, struct espimage_finding *f)
{
    return first_two(s, f, right_for_boot);
}

static enum espimage_outcome rule_rboot_header(const struct subject *s, struct espimage_finding *f)
{
    return first_two(s, f, right_for_rboot);
}

static enum espimage_outcome rule_ota_header(const struct subject *s, struct espimage_finding *f)
{
    return first_two(s, f, right_for_ota);
}

static enum espimage_outcome rule_app_number(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size < 4) {
        return not_reached(f);
    }
    uint8_t app = s->view->bytes[HEADER_APP];
    uint8_t wanted = s->options->app;
    if (wanted != 0 && app != wanted && (app == 1 || app == 2)) {
        return find(f, ESPIMAGE_FAIL, "%u, but the image is meant for slot %u", app, wanted);
    }
    return find(f, pass_if(app == 1 || app == 2, ESPIMAGE_FAIL), "%u (0x%02X)", app, app);
}

static enum espimage_outcome rule_irom(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (!v->has_irom) {
        return find(f, ESPIMAGE_PASS, "no irom part in a v1 image");
    }
    if (v->extent == ESPIMAGE_EXTENT_NONE) {
        return not_reached(f);
    }
    return find(f, pass_if(v->extent >= ESPIMAGE_EXTENT_IROM, ESPIMAGE_FAIL),
                "%u bytes at offset 16, in a file of %zu", v->irom_size, v->size);
}

static enum espimage_outcome rule_inner_header(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_IROM && v->has_irom) {
        return not_reached(f);
    }
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return find(f, ESPIMAGE_FAIL, "the file ends before it");
    }
    return find(f, pass_if(v->inner[HEADER_MAGIC] == MAGIC_V1, ESPIMAGE_WARN),
                "%02X at offset 0x%X, %u segments", v->inner[HEADER_MAGIC], v->inner_offset,
                v->inner[HEADER_COUNT]);
}

static enum espimage_outcome rule_segments(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return not_reached(f);
    }
    return find(f, pass_if(v->extent >= ESPIMAGE_EXTENT_SEGMENTS, ESPIMAGE_FAIL),
                "%zu of %u segments lie within the file", v->segment_count, v->inner[HEADER_COUNT]);
}

static bool is_loadable(const struct espimage_segment *segment)
{
    const struct espimage_region *region = espimage_region_at(segment->address);
    return region != NULL && region->kind != ESPIMAGE_REGION_IROM && segment->address % 4 == 0 &&
           segment->size <= region->start + region->largest_size - segment->address;
}

static enum espimage_outcome rule_addresses(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return not_reached(f);
    }
    for (size_t i = 0; i < v->segment_count; i++) {
        if (!is_loadable(&v->segment[i])) {
            return find(f, ESPIMAGE_FAIL, "segment %zu: %u bytes to 0x%08X", i, v->segment[i].size,
                        v->segment[i].address);
        }
    }
    return find(f, ESPIMAGE_PASS, "%zu segments", v->segment_count);
}

static enum espimage_outcome rule_entry(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    const struct espimage_region *iram = espimage_region(ESPIMAGE_REGION_IRAM);
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return not_reached(f);
    }
    bool loaded = false;
    for (size_t i = 0; i < v->segment_count; i++) {
        loaded = loaded || (v->entry >= v->segment[i].address &&
                            v->entry - v->segment[i].address < v->segment[i].size);
    }
    bool inside = v->entry >= iram->start && v->entry - iram->start < iram->largest_size;
    return find(f, pass_if(loaded && inside, ESPIMAGE_FAIL), "0x%08X", v->entry);
}

static enum espimage_outcome compare_checksum(const struct espimage_image_view *v, uint8_t computed,
                                              struct espimage_finding *f)
{
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return not_reached(f);
    }
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return find(f, ESPIMAGE_FAIL, "the file ends before it");
    }
    bool other = v->checksum_stored == v->checksum_all && v->checksum_stored != v->checksum_ram;
    return find(f, pass_if(v->checksum_stored == computed, ESPIMAGE_FAIL),
                "stored %02X, computed %02X%s", v->checksum_stored, computed,
                other ? " (stored is right with the irom part included)" : "");
}

static enum espimage_outcome rule_checksum(const struct subject *s, struct espimage_finding *f)
{
    return compare_checksum(s->view, s->view->checksum_ram, f);
}

static enum espimage_outcome rule_rboot_checksum(const struct subject *s,
                                                 struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    bool all = s->options->irom_checksum && v->has_irom;
    return compare_checksum(v, all ? v->checksum_all : v->checksum_ram, f);
}

static enum espimage_outcome rule_length(const struct subject *s, struct espimage_finding *f)
{
    if (s->map == NULL || s->map->half == 0) {
        return find(f, ESPIMAGE_WARN, "%zu bytes; the flash map is unknown or has no slots",
                    s->view->size);
    }
    uint32_t limit = espimage_update_limit(s->map->slot_limit);
    return find(f, pass_if(s->view->size <= limit, ESPIMAGE_FAIL), "%zu of %u bytes (%s%s)",
                s->view->size, limit, s->map->name,
                limit < s->map->slot_limit ? ", whose slot is larger" : "");
}

static enum espimage_outcome rule_partition(const struct subject *s, struct espimage_finding *f)
{
    if (s->options->partition == 0) {
        return rule_length(s, f);
    }
    uint32_t limit = espimage_update_limit(s->options->partition);
    return find(f, pass_if(s->view->size <= limit, ESPIMAGE_FAIL), "%zu of %u bytes", s->view->size,
                limit);
}

static enum espimage_outcome rule_crc(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->size < CRC_SIZE) {
        return not_reached(f);
    }
    uint32_t stored = get_le32(v->bytes + v->size - CRC_SIZE);
    uint32_t computed = espimage_image_crc(v->bytes, v->size);
    return find(f, pass_if(stored == computed, ESPIMAGE_FAIL), "stored %08X, computed %08X", stored,
                computed);
}

static enum espimage_outcome rule_last_segment(const struct subject *s, struct espimage_finding *f)
{
    return find(f, pass_if(s->view->size % 4 == 0, ESPIMAGE_WARN), "%zu bytes", s->view->size);
}

static enum espimage_outcome rule_padding(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return not_reached(f);
    }
    if (v->irom_size % IROM_ALIGN != 0) {
        return find(f, ESPIMAGE_WARN, "irom part of %u bytes", v->irom_size);
    }
    for (size_t i = 0; i < v->segment_count; i++) {
        if (v->segment[i].size % SEGMENT_ALIGN != 0) {
            return find(f, ESPIMAGE_WARN, "segment %zu of %u bytes", i, v->segment[i].size);
        }
    }
    return find(f, ESPIMAGE_PASS, "all are");
}

static enum espimage_outcome rule_entries(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return not_reached(f);
    }
    if (!v->has_irom) {
        return find(f, ESPIMAGE_PASS, "one header");
    }
    return find(f, pass_if(v->outer_entry == v->entry, ESPIMAGE_WARN), "0x%08X and 0x%08X",
                v->outer_entry, v->entry);
}

static enum espimage_outcome rule_settings(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return not_reached(f);
    }
    uint8_t size_freq = v->inner[HEADER_SIZE_FREQ];
    const struct espimage_flash_map *map = espimage_flash_map_by_code(MAP_CODE(size_freq));
    const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(v->inner[HEADER_MODE]);
    const struct espimage_flash_setting *freq = espimage_flash_freq_by_code(FREQ_CODE(size_freq));
    return find(f, pass_if(map != NULL && mode != NULL && freq != NULL, ESPIMAGE_WARN),
                "mode %02X (%s), size/freq %02X (%s, %s)", v->inner[HEADER_MODE],
                mode != NULL ? mode->name : "unknown", size_freq,
                map != NULL ? map->name : "unknown", freq != NULL ? freq->name : "unknown");
}

static enum espimage_outcome rule_map(const struct subject *s, struct espimage_finding *f)
{
    if (s->map == NULL) {
        return find(f, ESPIMAGE_WARN, "unknown");
    }
    if (s->map->half == 0) {
        return find(f, ESPIMAGE_WARN, "%s has no slots", s->map->name);
    }
    return find(f, pass_if(s->map->remark == NULL, ESPIMAGE_WARN), "%s%s%s", s->map->name,
                s->map->remark != NULL ? ": " : "", s->map->remark != NULL ? s->map->remark : "");
}

static enum espimage_outcome rule_end(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return not_reached(f);
    }
    return find(f, pass_if(v->trailing == CRC_SIZE, ESPIMAGE_WARN), "%zu bytes follow the checksum",
                v->trailing);
}

#define BOOT  (1U << ESPIMAGE_CONSUMER_BOOT)
#define RBOOT (1U << ESPIMAGE_CONSUMER_RBOOT)
#define OTA2  (1U << ESPIMAGE_CONSUMER_OTA2)
#define OTA3  (1U << ESPIMAGE_CONSUMER_OTA3)
#define OTA   (OTA2 | OTA3)
#define LOAD  (BOOT | RBOOT)

typedef enum espimage_outcome rule_check(const struct subject *, struct espimage_finding *);

static const struct {
    struct espimage_rule rule;
    rule_check *check;
} rules[] = {
    {{"file.image", "an image begins with EA or E9", LOAD | OTA}, rule_image},
    {{"boot.header", "it begins with EA 04 (or E9 04)", BOOT}, rule_boot_header},
    {{"rboot.header", "it begins with EA 04 or E9", RBOOT}, rule_rboot_header},
    {{"load.irom", "the irom part lies within the file", LOAD}, rule_irom},
    {{"load.inner-header", "a header with E9 follows the irom part", LOAD}, rule_inner_header},
    {{"load.segments", "every segment lies within the file", LOAD}, rule_segments},
    {{"load.addresses", "segments load to whole words of DRAM, IRAM or RTC memory", LOAD},
     rule_addresses},
    {{"load.entry", "the entry point lies in a segment in IRAM", LOAD}, rule_entry},
    {{"boot.checksum", "the checksum is EF xor all RAM segment bytes", BOOT}, rule_checksum},
    {{"rboot.checksum", "the checksum is what rBoot was built to expect", RBOOT},
     rule_rboot_checksum},
    {{"ota.header", "it begins with EA 04 or E9 03", OTA}, rule_ota_header},
    {{"ota.app-number", "the fourth byte is the number of the slot, 1 or 2", OTA}, rule_app_number},
    {{"ota.length", "it is not longer than the slot, nor than 240 sectors", OTA2}, rule_length},
    {{"ota.partition", "it is not longer than the whole sectors of the OTA partition, nor than 240",
      OTA3},
     rule_partition},
    {{"ota.crc", "the last four bytes are the CRC of all before them", OTA}, rule_crc},
    {{"wire.length", "a multiple of 4 long, so that no last TCP segment is too short", 0},
     rule_last_segment},
    {{"format.padding", "irom is a multiple of 16 long, each segment of 4", 0}, rule_padding},
    {{"format.entries", "both headers name the same entry point", 0}, rule_entries},
    {{"format.settings", "flash mode, map and clock are known codes", 0}, rule_settings},
    {{"format.map", "the flash map has slots and no known trouble", 0}, rule_map},
    {{"format.end", "nothing but the CRC follows the checksum", 0}, rule_end},
};

#define RULE_COUNT (sizeof rules / sizeof rules[0])

struct espimage_report {
    const struct espimage_flash_map *map; /* may be NULL */
    struct espimage_identity identity;
    struct espimage_finding findings[RULE_COUNT];
    struct espimage_verdict verdicts[ESPIMAGE_CONSUMER_COUNT];
};

size_t espimage_rule_count(void)
{
    return RULE_COUNT;
}

const struct espimage_rule *espimage_rule_at(size_t index)
{
    return &rules[index].rule;
}

static const struct espimage_flash_map *map_of(const struct espimage_image_view *v,
                                               const struct espimage_verify_options *options)
{
    if (options->map != NULL) {
        return options->map;
    }
    return v->extent >= ESPIMAGE_EXTENT_INNER
               ? espimage_flash_map_by_code(MAP_CODE(v->inner[HEADER_SIZE_FREQ]))
               : NULL;
}

static struct espimage_verdict judge(const espimage_report *report, unsigned consumer)
{
    struct espimage_verdict verdict = {true, NULL};
    for (size_t i = 0; i < RULE_COUNT && verdict.accepts; i++) {
        const struct espimage_finding *f = &report->findings[i];
        bool broken = f->outcome == ESPIMAGE_FAIL || f->outcome == ESPIMAGE_UNKNOWN;
        if (broken && (f->rule->consumers & consumer) != 0) {
            verdict.accepts = false;
            verdict.because = f;
        }
    }
    return verdict;
}

/* In padding a new member would not change the size by which it is known to be there. */
_Static_assert(offsetof(struct espimage_verify_options, reserved) + 2 ==
                   sizeof(struct espimage_verify_options),
               "no padding at the end");

enum espimage_code espimage_verify(const uint8_t *bytes, size_t size,
                                   const struct espimage_verify_options *given,
                                   espimage_report **out, struct espimage_error *err)
{
    struct espimage_verify_options options = ESPIMAGE_VERIFY_OPTIONS_INIT;
    struct espimage_image_view view;
    if (given != NULL && OPTIONS_COPY(&options, given, err) != ESPIMAGE_OK) {
        return err->code;
    }
    espimage_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        return error_no_memory(err);
    }
    espimage_image_parse(bytes, size, &view);
    struct subject subject = {&view, &options, map_of(&view, &options),
                              size > 0 && (bytes[0] == MAGIC_V2 || bytes[0] == MAGIC_V1)};
    report->map = subject.map;
    for (size_t i = 0; i < RULE_COUNT; i++) {
        struct espimage_finding *f = &report->findings[i];
        f->rule = &rules[i].rule;
        /* Of a file that is no image only that is worth saying. */
        f->outcome = i == 0 || subject.is_image
                         ? rules[i].check(&subject, f)
                         : find(f, ESPIMAGE_UNKNOWN, "not looked at: this is no image");
    }
    espimage_identify(bytes, size, &report->identity);
    for (unsigned i = 0; i < ESPIMAGE_CONSUMER_COUNT; i++) {
        report->verdicts[i] = judge(report, 1U << i);
    }
    *out = report;
    return ESPIMAGE_OK;
}

void espimage_report_free(espimage_report *report)
{
    free(report);
}

const struct espimage_flash_map *espimage_report_map(const espimage_report *report)
{
    return report->map;
}

const struct espimage_identity *espimage_report_identity(const espimage_report *report)
{
    return &report->identity;
}

size_t espimage_report_count(const espimage_report *report)
{
    (void)report;
    return RULE_COUNT;
}

const struct espimage_finding *espimage_report_finding(const espimage_report *report, size_t index)
{
    return &report->findings[index];
}

const struct espimage_verdict *espimage_report_verdict(const espimage_report *report,
                                                       enum espimage_consumer consumer)
{
    return &report->verdicts[consumer];
}
