/* SPDX-License-Identifier: MIT */
/* What devices demand of an image, one function a rule, and who refuses when one is broken.
 *
 * Sources: Espressif's bootloaders 1.4 to 1.7 and the upgrade library of SDK 2.x and 3.x, run and
 * observed; rBoot's check of a ROM. Rules with no consumer are about the format only. */
#include "image/rules.h"

#include "base/bytes.h"
#include "image/entry.h"
#include "image/image_format.h"
#include "image/image_link.h"

#include <stdarg.h>
#include <stdio.h>

enum espimage_outcome rule_find(struct espimage_finding *f, enum espimage_outcome outcome,
                                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->found, sizeof f->found, format, args);
    va_end(args);
    return outcome;
}

enum espimage_outcome rule_not_reached(struct espimage_finding *f)
{
    return rule_find(f, ESPIMAGE_UNKNOWN, "not checked: the image ends or breaks off before it");
}

static enum espimage_outcome rule_image(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size == 0) {
        return rule_find(f, ESPIMAGE_FAIL, "the file is empty");
    }
    return rule_find(f, rule_pass_if(s->is_image, ESPIMAGE_FAIL), "first byte %02X",
                     s->view->bytes[0]);
}

static enum espimage_outcome first_two(const struct subject *s, struct espimage_finding *f,
                                       bool (*right)(uint8_t first, uint8_t second))
{
    if (s->view->size < 2) {
        return rule_not_reached(f);
    }
    const uint8_t *b = s->view->bytes;
    return rule_find(f, rule_pass_if(right(b[0], b[1]), ESPIMAGE_FAIL), "%02X %02X", b[0], b[1]);
}

static bool right_for_boot(uint8_t first, uint8_t second)
{
    return (first == MAGIC_V2 && second == SECOND_BYTE) || first == MAGIC_V1;
}

static bool right_for_ota(uint8_t first, uint8_t second)
{
    return (first == MAGIC_V2 && second == SECOND_BYTE) || (first == MAGIC_V1 && second == 3);
}

static bool has_old_header(const struct espimage_image_view *v)
{
    return v->size > 0 && v->bytes[0] == MAGIC_V1;
}

/* Espressif's own AT firmware came in the old layout. */
static enum espimage_outcome rule_boot_header(const struct subject *s, struct espimage_finding *f)
{
    enum espimage_outcome outcome = first_two(s, f, right_for_boot);
    if (outcome == ESPIMAGE_PASS && has_old_header(s->view)) {
        return rule_find(f, outcome, "E9 %02X: the old layout, which boot 1.4 and later start",
                         s->view->bytes[1]);
    }
    return outcome;
}

/* The bootloader takes what follows for the segments of a v1 image. */
static enum espimage_outcome rule_boot_layout(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->has_irom && has_old_header(v)) {
        return rule_find(f, ESPIMAGE_FAIL, "E9 04, and the flash part where a segment belongs");
    }
    return rule_find(f, ESPIMAGE_PASS, "%s", v->has_irom ? "EA before it" : "E9, and none before");
}

static enum espimage_outcome rule_rboot_header(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->has_irom && has_old_header(s->view)) {
        return rule_find(f, ESPIMAGE_FAIL, "E9 04 before the flash part: \"Rom 0 is bad\"");
    }
    return first_two(s, f, right_for_boot);
}

static enum espimage_outcome rule_ota_header(const struct subject *s, struct espimage_finding *f)
{
    return first_two(s, f, right_for_ota);
}

static enum espimage_outcome rule_app_number(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size < 4) {
        return rule_not_reached(f);
    }
    uint8_t app = s->view->bytes[HEADER_APP];
    uint8_t wanted = s->options->app;
    if (wanted != 0 && app != wanted && (app == 1 || app == 2)) {
        return rule_find(f, ESPIMAGE_FAIL, "%u, but the image is meant for slot %u", app, wanted);
    }
    return rule_find(f, rule_pass_if(app == 1 || app == 2, ESPIMAGE_FAIL), "%u (0x%02X)", app, app);
}

static enum espimage_outcome rule_irom(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (!v->has_irom) {
        return rule_find(f, ESPIMAGE_PASS, "no irom part in a v1 image");
    }
    if (v->extent == ESPIMAGE_EXTENT_NONE) {
        return rule_not_reached(f);
    }
    return rule_find(f, rule_pass_if(v->extent >= ESPIMAGE_EXTENT_IROM, ESPIMAGE_FAIL),
                     "%u bytes at offset 16, in a file of %zu", v->irom_size, v->size);
}

static enum espimage_outcome rule_inner_header(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_IROM && v->has_irom) {
        return rule_not_reached(f);
    }
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return rule_find(f, ESPIMAGE_FAIL, "the file ends before it");
    }
    return rule_find(f, rule_pass_if(v->inner[HEADER_MAGIC] == MAGIC_V1, ESPIMAGE_FAIL),
                     "%02X at offset 0x%X, %u segments", v->inner[HEADER_MAGIC], v->inner_offset,
                     v->inner[HEADER_COUNT]);
}

static enum espimage_outcome rule_segments(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return rule_not_reached(f);
    }
    return rule_find(f, rule_pass_if(v->extent >= ESPIMAGE_EXTENT_SEGMENTS, ESPIMAGE_FAIL),
                     "%zu of %u segments lie within the file", v->segment_count,
                     v->inner[HEADER_COUNT]);
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
        return rule_not_reached(f);
    }
    for (size_t i = 0; i < v->segment_count; i++) {
        if (!is_loadable(&v->segment[i])) {
            return rule_find(f, ESPIMAGE_FAIL, "segment %zu: %u bytes to 0x%08X", i,
                             v->segment[i].size, v->segment[i].address);
        }
    }
    return rule_find(f, ESPIMAGE_PASS, "%zu segments", v->segment_count);
}

static enum espimage_outcome rule_entry(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    const struct espimage_region *iram = espimage_region(ESPIMAGE_REGION_IRAM);
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return rule_not_reached(f);
    }
    bool loaded = false;
    for (size_t i = 0; i < v->segment_count; i++) {
        loaded = loaded || (v->entry >= v->segment[i].address &&
                            v->entry - v->segment[i].address < v->segment[i].size);
    }
    bool inside = v->entry >= iram->start && v->entry - iram->start < iram->largest_size;
    uint32_t word = entry_word(v);
    if (loaded && inside && entry_word_is_literal(word)) {
        return rule_find(f, ESPIMAGE_WARN,
                         "0x%08X, where 0x%08X is: a literal, not code; a device crashes there",
                         v->entry, word);
    }
    return rule_find(f, rule_pass_if(loaded && inside, ESPIMAGE_FAIL), "0x%08X", v->entry);
}

static uint32_t segments_end(const struct espimage_image_view *v)
{
    if (v->segment_count == 0) {
        return v->inner_offset + HEADER_SIZE;
    }
    const struct espimage_segment *last = &v->segment[v->segment_count - 1];
    return last->offset + last->size;
}

static enum espimage_outcome compare_checksum(const struct espimage_image_view *v, uint8_t computed,
                                              struct espimage_finding *f)
{
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return rule_not_reached(f);
    }
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return rule_find(f, ESPIMAGE_FAIL, "the file ends before it");
    }
    bool other = v->checksum_stored == v->checksum_all && v->checksum_stored != v->checksum_ram;
    return rule_find(f, rule_pass_if(v->checksum_stored == computed, ESPIMAGE_FAIL),
                     "stored %02X, computed %02X%s", v->checksum_stored, computed,
                     other ? " (stored is right with the irom part included)" : "");
}

/* Boot 1.6 and 1.7 count the line whose last byte is the checksum from the inner header; it makes a
 * difference only when the irom part is not a multiple of 16 long. */
static enum espimage_outcome rule_checksum(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->inner_offset % CHECKSUM_LINE == 0 || v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return compare_checksum(v, v->checksum_ram, f);
    }
    uint32_t end = segments_end(v);
    uint32_t at = v->inner_offset + ((end - v->inner_offset) | (CHECKSUM_LINE - 1));
    if (at >= v->size) {
        return rule_find(f, ESPIMAGE_FAIL, "the file ends before it");
    }
    return rule_find(f, rule_pass_if(v->bytes[at] == v->checksum_ram, ESPIMAGE_FAIL),
                     "stored %02X at 0x%X, in lines counted from the inner header, computed %02X",
                     v->bytes[at], at, v->checksum_ram);
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
        return rule_find(f, ESPIMAGE_WARN, "%zu bytes; the flash map is unknown or has no slots",
                         s->view->size);
    }
    uint32_t limit = espimage_update_limit(s->map->slot_limit);
    return rule_find(f, rule_pass_if(s->view->size <= limit, ESPIMAGE_FAIL),
                     "%zu of %u bytes (%s%s)", s->view->size, limit, s->map->name,
                     limit < s->map->slot_limit ? ", whose slot is larger" : "");
}

static enum espimage_outcome rule_rtos_length(const struct subject *s, struct espimage_finding *f)
{
    if (s->map == NULL || s->map->half == 0) {
        return rule_length(s, f);
    }
    return rule_find(f, rule_pass_if(s->view->size <= s->map->slot_limit, ESPIMAGE_FAIL),
                     "%zu of %u bytes (%s)", s->view->size, s->map->slot_limit, s->map->name);
}

static enum espimage_outcome rule_partition(const struct subject *s, struct espimage_finding *f)
{
    if (s->options->partition == 0) {
        return rule_length(s, f);
    }
    uint32_t limit = espimage_update_limit(s->options->partition);
    return rule_find(f, rule_pass_if(s->view->size <= limit, ESPIMAGE_FAIL), "%zu of %u bytes",
                     s->view->size, limit);
}

static enum espimage_outcome rule_crc(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->size < CRC_SIZE) {
        return rule_not_reached(f);
    }
    uint32_t stored = get_le32(v->bytes + v->size - CRC_SIZE);
    uint32_t computed = espimage_image_crc(v->bytes, v->size);
    return rule_find(f, rule_pass_if(stored == computed, ESPIMAGE_FAIL),
                     "stored %08X, computed %08X", stored, computed);
}

static enum espimage_outcome rule_last_segment(const struct subject *s, struct espimage_finding *f)
{
    return rule_find(f, rule_pass_if(s->view->size % 4 == 0, ESPIMAGE_WARN), "%zu bytes",
                     s->view->size);
}

/* The slot that the image is meant for: as given, or by its app number; 0: not known. */
static uint8_t slot_of(const struct subject *s)
{
    uint8_t app = s->view->size > HEADER_APP ? s->view->bytes[HEADER_APP] : 0;
    if (s->options->app != 0) {
        return s->options->app;
    }
    return app == 1 || app == 2 ? app : 0;
}

static enum espimage_outcome find_elsewhere(const struct subject *s, const struct image_link *link,
                                            struct espimage_finding *f)
{
    uint8_t app = 0;
    const struct espimage_flash_map *map = image_link_map(s->view, link->other, s->map, &app);
    return rule_find(f, ESPIMAGE_FAIL,
                     "linked for 0x%08X (app%u of %s), by %u addresses in it; %u are right for "
                     "0x%08X",
                     link->other, app, map != NULL ? map->name : "no map", link->other_words,
                     link->wanted_words, link->wanted);
}

static enum espimage_outcome rule_link_slot(const struct subject *s, struct espimage_finding *f)
{
    struct image_link link;
    if (s->map == NULL || s->map->half == 0) {
        return rule_find(f, ESPIMAGE_WARN, "the flash map is unknown or has no slots");
    }
    if (s->view->extent < ESPIMAGE_EXTENT_IROM && s->view->has_irom) {
        return rule_not_reached(f);
    }
    image_link_judge(s->view, s->map, slot_of(s), &link);
    switch (link.verdict) {
    case IMAGE_LINK_ELSEWHERE: return find_elsewhere(s, &link, f);
    case IMAGE_LINK_UNCLEAR:
        return rule_find(f, ESPIMAGE_WARN,
                         "not certain: %u addresses in it are right for 0x%08X, %u for 0x%08X",
                         link.wanted_words, link.wanted, link.other_words, link.other);
    case IMAGE_LINK_AGREES:
        return rule_find(f, ESPIMAGE_PASS, "0x%08X, by %u addresses in it", link.wanted,
                         link.wanted_words);
    case IMAGE_LINK_NONE: break;
    }
    return rule_find(f, ESPIMAGE_PASS, "no other slot is possible");
}

static enum espimage_outcome rule_padding(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_SEGMENTS) {
        return rule_not_reached(f);
    }
    if (v->irom_size % IROM_ALIGN != 0) {
        return rule_find(f, ESPIMAGE_WARN, "irom part of %u bytes", v->irom_size);
    }
    for (size_t i = 0; i < v->segment_count; i++) {
        if (v->segment[i].size % SEGMENT_ALIGN != 0) {
            return rule_find(f, ESPIMAGE_WARN, "segment %zu of %u bytes", i, v->segment[i].size);
        }
    }
    return rule_find(f, ESPIMAGE_PASS, "all are");
}

static enum espimage_outcome rule_entries(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return rule_not_reached(f);
    }
    if (!v->has_irom) {
        return rule_find(f, ESPIMAGE_PASS, "one header");
    }
    return rule_find(f, rule_pass_if(v->outer_entry == v->entry, ESPIMAGE_WARN),
                     "0x%08X and 0x%08X", v->outer_entry, v->entry);
}

static enum espimage_outcome rule_settings(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_INNER) {
        return rule_not_reached(f);
    }
    uint8_t size_freq = v->inner[HEADER_SIZE_FREQ];
    const struct espimage_flash_map *map = espimage_flash_map_by_code(MAP_CODE(size_freq));
    const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(v->inner[HEADER_MODE]);
    const struct espimage_flash_setting *freq = espimage_flash_freq_by_code(FREQ_CODE(size_freq));
    return rule_find(f, rule_pass_if(map != NULL && mode != NULL && freq != NULL, ESPIMAGE_WARN),
                     "mode %02X (%s), size/freq %02X (%s, %s)", v->inner[HEADER_MODE],
                     mode != NULL ? mode->name : "unknown", size_freq,
                     map != NULL ? map->name : "unknown", freq != NULL ? freq->name : "unknown");
}

static enum espimage_outcome rule_map(const struct subject *s, struct espimage_finding *f)
{
    if (s->map == NULL) {
        return rule_find(f, ESPIMAGE_WARN, "unknown");
    }
    if (s->map->half == 0) {
        return rule_find(f, ESPIMAGE_WARN, "%s has no slots", s->map->name);
    }
    return rule_find(f, rule_pass_if(s->map->remark == NULL, ESPIMAGE_WARN), "%s%s%s", s->map->name,
                     s->map->remark != NULL ? ": " : "",
                     s->map->remark != NULL ? s->map->remark : "");
}

static enum espimage_outcome rule_end(const struct subject *s, struct espimage_finding *f)
{
    const struct espimage_image_view *v = s->view;
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return rule_not_reached(f);
    }
    if (!v->has_irom && v->size > OLD_IROM_OFFSET) {
        return rule_find(f, ESPIMAGE_PASS, "the flash part of the old layout follows, from 0x%X on",
                         OLD_IROM_OFFSET);
    }
    return rule_find(f, rule_pass_if(v->trailing == CRC_SIZE, ESPIMAGE_WARN),
                     "%zu bytes follow the checksum", v->trailing);
}

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

/* Who refuses, and whose device crashes instead. rBoot checks a ROM before it loads it. */
const struct checked_rule image_rules[RULE_COUNT] = {
    {{"file.image", "an image begins with EA or E9", LOAD | OTA | RTOS1 | PUSH, 0}, rule_image},
    {{"boot.header", "it begins with EA 04 or is a v1 image (E9)", BOOT, 0}, rule_boot_header},
    {{"boot.layout", "a flash part in front is announced by EA, not by E9", BOOT, BOOT},
     rule_boot_layout},
    {{"rboot.header", "it begins with EA 04 or is a v1 image (E9)", RBOOT, 0}, rule_rboot_header},
    {{"load.irom", "the irom part lies within the file", LOAD, 0}, rule_irom},
    {{"load.inner-header", "a header with E9 follows the irom part", BOOT, 0}, rule_inner_header},
    {{"load.segments", "every segment lies within the file", LOAD, BOOT}, rule_segments},
    {{"load.addresses", "segments load to whole words of DRAM, IRAM or RTC memory", LOAD, LOAD},
     rule_addresses},
    {{"load.entry", "the entry point is code in a segment in IRAM", LOAD, LOAD}, rule_entry},
    {{"boot.checksum", "the checksum is EF xor all RAM segment bytes", BOOT, BOOT}, rule_checksum},
    {{"rboot.checksum", "the checksum is what rBoot was built to expect", RBOOT, 0},
     rule_rboot_checksum},
    {{"link.slot", "the flash part was linked for the slot", BOOT, BOOT}, rule_link_slot},
    {{"ota.header", "it begins with EA 04 or E9 03", OTA, 0}, rule_ota_header},
    {{"ota.app-number", "the fourth byte is the number of the slot, 1 or 2", OTA, 0},
     rule_app_number},
    {{"ota.length", "it is not longer than the slot, nor than 240 sectors", OTA2, 0}, rule_length},
    {{"ota.partition", "it is not longer than the whole sectors of the OTA partition, nor than 240",
      OTA3, 0},
     rule_partition},
    {{"ota.crc", "the last four bytes are the CRC of all before them", OTA | RTOS1, 0}, rule_crc},
    {{"rtos1.length", "it is not longer than the slot", RTOS1, 0}, rule_rtos_length},
    {{"push.header", "it begins with EA 04 and a flash mode up to 3", PUSH, 0}, rule_push_header},
    {{"push.entry", "the entry point is 0x4010xxxx", PUSH, 0}, rule_push_entry},
    {{"push.address", "the load address of the irom part is 0", PUSH, 0}, rule_push_address},
    {{"push.length", "it is not longer than half the flash less 20 KB", PUSH, 0}, rule_push_length},
    {{"libesphttpd.flash-size", "the fourth byte is at most 40", HTTPD, 0}, rule_httpd_settings},
    {{"esp-link.flash-size", "the fourth byte names map 6 at most", LINK | ESPRUINO, 0},
     rule_link_settings},
    {{"esp-link.length", "it is at least 1024 bytes long", LINK, 0}, rule_link_length},
    {{"espruino.app-number", "the fourth byte is the number of the slot, 0 or 1", ESPRUINO, 0},
     rule_espruino_app},
    {{"wire.length", "a multiple of 4 long, so that no last TCP segment is too short", 0, 0},
     rule_last_segment},
    {{"format.padding", "irom is a multiple of 16 long, each segment of 4", 0, 0}, rule_padding},
    {{"format.entries", "both headers name the same entry point", 0, 0}, rule_entries},
    {{"format.settings", "flash mode, map and clock are known codes", 0, 0}, rule_settings},
    {{"format.map", "the flash map has slots and no known trouble", 0, 0}, rule_map},
    {{"format.end", "nothing but the CRC follows the checksum", 0, 0}, rule_end},
};

size_t espimage_rule_count(void)
{
    return RULE_COUNT;
}

const struct espimage_rule *espimage_rule_at(size_t index)
{
    return &image_rules[index].rule;
}
