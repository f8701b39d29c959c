/* SPDX-License-Identifier: MIT */
/* firmware -> image bytes: plan the segments, then write them. */
#include <espimage/classify.h>
#include <espimage/image.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool flash_settings_outside; /* in the outer header, where others have the app number */
    bool named_first;            /* .text, .data, .rodata, then the rest */
    bool merge;                  /* sections that touch become one segment */
    bool crc;
    uint8_t first_app;
} profiles[ESPIMAGE_PROFILE_COUNT] = {
    [ESPIMAGE_PROFILE_SDK] = {"sdk", false, false, false, true, 1},
    [ESPIMAGE_PROFILE_GEN_APPBIN] = {"gen_appbin", false, true, false, true, 1},
    [ESPIMAGE_PROFILE_ESPTOOL] = {"esptool", true, false, true, true, 1},
    [ESPIMAGE_PROFILE_RBOOT] = {"rboot", true, true, false, false, 1},
    [ESPIMAGE_PROFILE_ESPRUINO] = {"espruino", false, true, false, true, 0},
    [ESPIMAGE_PROFILE_RTOS1] = {"rtos1", true, true, false, true, 1},
};

const char *espimage_profile_name(enum espimage_profile profile)
{
    return profiles[profile].name;
}

bool espimage_profile_by_name(const char *name, enum espimage_profile *out)
{
    for (int i = 0; i < ESPIMAGE_PROFILE_COUNT; i++) {
        if (text_same(name, profiles[i].name)) {
            *out = (enum espimage_profile)i;
            return true;
        }
    }
    return false;
}

/* A RAM section in the order of the image; `joins` those before it to one segment. */
struct piece {
    const struct espimage_section *section;
    bool joins;
};

struct plan {
    struct piece *pieces; /* owned */
    size_t count;
    size_t segments;
    uint32_t irom_size; /* padded */
    uint32_t end;       /* offset of the checksum byte, plus one */
};

static bool is_ram_content(const struct espimage_section *s)
{
    return s->bytes != NULL && s->region != ESPIMAGE_REGION_IROM;
}

static uint32_t padded(const struct espimage_section *s)
{
    return round_up(s->size, SEGMENT_ALIGN);
}

/* Offset behind the checksum byte, when the segments end at `end`. */
static uint32_t checksum_end(uint32_t end)
{
    return round_up(end + 1, CHECKSUM_LINE);
}

uint32_t espimage_image_size(const espimage_firmware *fw)
{
    uint32_t end =
        IROM_OFFSET + round_up(espimage_firmware_irom(fw).size, IROM_ALIGN) + HEADER_SIZE;
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        end += is_ram_content(s) ? HEADER_SIZE + padded(s) : 0;
    }
    return checksum_end(end) + CRC_SIZE;
}

static void add_piece(struct plan *plan, const struct espimage_section *s, bool joins)
{
    plan->pieces[plan->count].section = s;
    plan->pieces[plan->count].joins = joins;
    plan->count++;
    plan->segments += joins ? 0 : 1;
    plan->end += padded(s) + (joins ? 0 : HEADER_SIZE);
}

static const char *const named_sections[] = {".text", ".data", ".rodata"};
#define NAMED_COUNT (sizeof named_sections / sizeof named_sections[0])

/* 0, 1, 2 for the named ones, NAMED_COUNT for every other section. */
static size_t rank(const struct espimage_section *s)
{
    size_t i = 0;
    while (i < NAMED_COUNT && strcmp(s->name, named_sections[i]) != 0) {
        i++;
    }
    return i;
}

static void order_by_name(const espimage_firmware *fw, struct plan *plan)
{
    for (size_t wanted = 0; wanted <= NAMED_COUNT; wanted++) {
        for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
            const struct espimage_section *s = espimage_firmware_section(fw, i);
            if (is_ram_content(s) && rank(s) == wanted) {
                add_piece(plan, s, false);
            }
        }
    }
}

static void order_by_elf(const espimage_firmware *fw, bool merge, struct plan *plan)
{
    const struct espimage_section *before = NULL;
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        if (s->bytes == NULL) {
            continue;
        }
        if (is_ram_content(s)) {
            bool joins = merge && before != NULL && before->region == s->region &&
                         before->address + padded(before) == s->address;
            add_piece(plan, s, joins);
        }
        before = s;
    }
}

static enum espimage_code make_plan(const espimage_firmware *fw, bool named_first, bool merge,
                                    uint32_t start, struct plan *plan, struct espimage_error *err)
{
    plan->pieces = calloc(espimage_firmware_section_count(fw) + 1, sizeof *plan->pieces);
    if (plan->pieces == NULL) {
        return error_no_memory(err);
    }
    plan->end = start + HEADER_SIZE;
    if (named_first) {
        order_by_name(fw, plan);
    } else {
        order_by_elf(fw, merge, plan);
    }
    plan->end = checksum_end(plan->end);
    if (plan->segments > ESPIMAGE_MAX_SEGMENTS) {
        error_found(err, ESPIMAGE_ERR_SIZE, "%zu sections to load into RAM", plan->segments);
        error_wanted(err, "at most %d: the header counts them in one byte", ESPIMAGE_MAX_SEGMENTS);
        return error_advice(err, "join them in the linker script");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code check_entry(const espimage_firmware *fw, struct espimage_error *err)
{
    uint32_t entry = espimage_firmware_entry(fw);
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        if (s->region == ESPIMAGE_REGION_IRAM && s->bytes != NULL && entry >= s->address &&
            entry - s->address < s->size) {
            return ESPIMAGE_OK;
        }
    }
    error_found(err, ESPIMAGE_ERR_LAYOUT, "the entry point 0x%08X is in no section in IRAM", entry);
    error_wanted(err, "an address in .text, such as 0x40100004");
    return error_advice(err, "name the entry in the linker script: ENTRY(call_user_start)");
}

static void note_entry(const espimage_firmware *fw, struct espimage_notes *notes)
{
    const char *doubt = espimage_firmware_entry_doubt(fw);
    if (doubt[0] != '\0') {
        note_add(notes,
                 "%s: a device crashes there at once; did the linker warn about the entry symbol? "
                 "call_user_start1 is in the SDK's libdriver (-ldriver)",
                 doubt);
    }
}

/* In padding a new member would not change the size by which it is known to be there. */
_Static_assert(offsetof(struct espimage_build_options, reserved) + 4 ==
                   sizeof(struct espimage_build_options),
               "no padding at the end");

static enum espimage_code take_options(struct espimage_build_options *o,
                                       const struct espimage_build_options *given,
                                       struct espimage_error *err)
{
    if (OPTIONS_COPY(o, given, err) != ESPIMAGE_OK) {
        return err->code;
    }
    if (o->map == NULL || espimage_flash_mode_by_code(o->flash_mode) == NULL ||
        espimage_flash_freq_by_code(o->flash_freq) == NULL ||
        (unsigned)o->profile >= ESPIMAGE_PROFILE_COUNT) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "flash map, mode, clock or profile is unknown");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code check_slot(const struct espimage_build_options *o, uint32_t size,
                                     struct espimage_notes *notes, struct espimage_error *err)
{
    const struct espimage_flash_map *map = o->map;
    if (o->profile == ESPIMAGE_PROFILE_RBOOT) {
        return ESPIMAGE_OK; /* rBoot's slots are where its configuration says */
    }
    if (o->app != 1 && o->app != 2) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "app number %u", o->app);
    }
    if (map->half == 0) {
        error_found(err, ESPIMAGE_ERR_USAGE, "the %s flash map has no slots", map->name);
        return error_advice_coded(err, ESPIMAGE_ADVICE_FLASH_MAP,
                                  "give the flash size of the device");
    }
    if (size > map->slot_limit) {
        error_found(err, ESPIMAGE_ERR_SIZE, "the image would be %u bytes long", size);
        error_wanted(err, "at most %u, the slot of the %s map", map->slot_limit, map->name);
        return error_advice(err, "make the firmware smaller, or use a map with larger slots");
    }
    uint32_t limit = espimage_update_limit(map->slot_limit);
    if (size > limit) {
        note_add(
            notes,
            "no update can bring it: %u bytes, and the SDK's upgrade client erases at most %u; "
            "flash it by cable",
            size, limit);
    } else if (size > limit - limit / 10) {
        note_add(notes, "%u %% of the %s is used: %u of %u bytes",
                 (unsigned)((uint64_t)size * 100 / limit),
                 limit < map->slot_limit ? "longest update" : "slot", size, limit);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code check_memories(const espimage_firmware *fw, struct espimage_notes *notes,
                                         struct espimage_error *err)
{
    const struct espimage_region *iram = espimage_region(ESPIMAGE_REGION_IRAM);
    struct espimage_irom irom = espimage_firmware_irom(fw);

    if (irom.size > 0 && irom.address + irom.size > ESPIMAGE_WINDOW_END) {
        error_found(err, ESPIMAGE_ERR_LAYOUT, "the part in flash ends at 0x%08X",
                    irom.address + irom.size);
        error_wanted(err, "at most 0x%08X: beyond it nothing can run", ESPIMAGE_WINDOW_END);
        return error_advice(err, "link it inside the window");
    }
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        if (s->region == ESPIMAGE_REGION_IRAM && s->address - iram->start + s->size > iram->size) {
            note_add(notes,
                     "section %s ends at 0x%08X, above the first 32 KB of IRAM: the firmware "
                     "must give up half of the flash cache",
                     s->name, s->address + s->size);
        }
    }
    return ESPIMAGE_OK;
}

static uint8_t *put(uint8_t *at, const uint8_t *bytes, uint32_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_header(uint8_t *at, uint8_t magic, uint8_t count, uint8_t b2, uint8_t b3,
                           uint32_t entry)
{
    const uint8_t first[] = {magic, count, b2, b3};
    at = put(at, first, sizeof first);
    put_le32(at, entry);
    return at + 4;
}

static uint8_t size_freq(const struct espimage_build_options *o)
{
    return (uint8_t)(o->map->code << 4 | o->flash_freq);
}

/* Zeroed, for padding is never written. */
static uint8_t *new_image(uint32_t size)
{
    return calloc(1, size > 0 ? size : 1);
}

/* Stored length of the segment that begins with piece `first`. */
static uint32_t segment_size(const struct plan *plan, size_t first)
{
    uint32_t size = padded(plan->pieces[first].section);
    for (size_t i = first + 1; i < plan->count && plan->pieces[i].joins; i++) {
        size += padded(plan->pieces[i].section);
    }
    return size;
}

/* Inner header, segments, checksum, from `at` on. What is not written here is zero before. */
static void put_segments(uint8_t *image, uint8_t *at, const espimage_firmware *fw,
                         const struct plan *plan, const struct espimage_build_options *o,
                         uint8_t sum)
{
    at = put_header(at, MAGIC_V1, (uint8_t)plan->segments, o->flash_mode, size_freq(o),
                    espimage_firmware_entry(fw));
    for (size_t i = 0; i < plan->count; i++) {
        const struct espimage_section *s = plan->pieces[i].section;
        if (!plan->pieces[i].joins) {
            put_le32(at, s->address);
            put_le32(at + 4, segment_size(plan, i));
            at += HEADER_SIZE;
        }
        put(at, s->bytes, s->size);
        sum = checksum_xor(sum, s->bytes, s->size);
        at += padded(s);
    }
    image[plan->end - 1] = sum;
}

/* Everything of an image but its CRC, into zeroed bytes. */
static void put_image(uint8_t *image, const espimage_firmware *fw, const struct plan *plan,
                      const struct espimage_build_options *o)
{
    struct espimage_irom irom = espimage_firmware_irom(fw);
    bool settings = profiles[o->profile].flash_settings_outside;
    uint8_t app = (uint8_t)(o->app - 1 + profiles[o->profile].first_app);
    uint8_t sum = CHECKSUM_INIT;

    uint8_t *at = put_header(image, MAGIC_V2, SECOND_BYTE, settings ? o->flash_mode : 0,
                             settings ? size_freq(o) : app, espimage_firmware_entry(fw));
    put_le32(at + 4, plan->irom_size);
    if (irom.size > 0) {
        put(image + IROM_OFFSET, irom.bytes, irom.size);
    }
    if (o->irom_checksum && irom.size > 0) {
        sum = checksum_xor(sum, irom.bytes, irom.size);
    }
    put_segments(image, image + IROM_OFFSET + plan->irom_size, fw, plan, o, sum);
}

static enum espimage_code check_firmware(const espimage_firmware *fw, struct espimage_notes *notes,
                                         struct espimage_error *err)
{
    struct espimage_link link;
    espimage_classify(fw, &link);
    if (link.layout == ESPIMAGE_LAYOUT_ARDUINO) {
        note_add(notes, "an Arduino sketch: %s", link.advice);
    }
    enum espimage_code code = check_memories(fw, notes, err);
    if (code == ESPIMAGE_OK) {
        code = check_entry(fw, err);
    }
    if (code == ESPIMAGE_OK) {
        note_entry(fw, notes);
    }
    return code;
}

enum espimage_code espimage_image_build(const espimage_firmware *fw,
                                        const struct espimage_build_options *given,
                                        struct espimage_bytes *out, struct espimage_notes *notes,
                                        struct espimage_error *err)
{
    struct espimage_build_options options = ESPIMAGE_BUILD_OPTIONS_INIT;
    struct plan plan = {.irom_size = round_up(espimage_firmware_irom(fw).size, IROM_ALIGN)};
    uint32_t size = 0;
    uint8_t *image = NULL;
    enum espimage_code code = take_options(&options, given, err);

    if (code == ESPIMAGE_OK) {
        code = check_firmware(fw, notes, err);
    }
    if (code == ESPIMAGE_OK) {
        code = make_plan(fw, profiles[options.profile].named_first, profiles[options.profile].merge,
                         IROM_OFFSET + plan.irom_size, &plan, err);
    }
    if (code == ESPIMAGE_OK) {
        size = plan.end + (profiles[options.profile].crc ? CRC_SIZE : 0);
        code = check_slot(&options, size, notes, err);
    }
    if (code != ESPIMAGE_OK) {
        goto done;
    }
    image = new_image(size);
    if (image == NULL) {
        code = error_no_memory(err);
        goto done;
    }
    put_image(image, fw, &plan, &options);
    if (profiles[options.profile].crc) {
        put_le32(image + plan.end, espimage_image_crc(image, size));
    }
    if (options.irom_checksum && options.profile != ESPIMAGE_PROFILE_RBOOT) {
        note_add(notes, "the checksum includes irom: only an rBoot built for that accepts it");
    }
    if (options.map->remark != NULL) {
        note_add(notes, "flash map %s: %s", options.map->name, options.map->remark);
    }
    out->data = image;
    out->size = size;
done:
    free(plan.pieces);
    return code;
}

enum espimage_code espimage_no_boot_build(const espimage_firmware *fw,
                                          const struct espimage_build_options *given,
                                          struct espimage_bytes *out, struct espimage_error *err)
{
    struct espimage_build_options options = ESPIMAGE_BUILD_OPTIONS_INIT;
    struct plan plan = {0};
    uint8_t *image = NULL;
    enum espimage_code code = take_options(&options, given, err);

    if (code == ESPIMAGE_OK) {
        code = check_firmware(fw, NULL, err);
    }
    if (code == ESPIMAGE_OK) {
        code = make_plan(fw, false, false, 0, &plan, err);
    }
    if (code != ESPIMAGE_OK) {
        goto done;
    }
    image = new_image(plan.end);
    if (image == NULL) {
        code = error_no_memory(err);
        goto done;
    }
    put_segments(image, image, fw, &plan, &options, CHECKSUM_INIT);
    out->data = image;
    out->size = plan.end;
done:
    free(plan.pieces);
    return code;
}

void espimage_bytes_free(struct espimage_bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

uint32_t espimage_image_crc(const uint8_t *bytes, size_t size)
{
    return checksum_device_crc(checksum_crc32(bytes, size < CRC_SIZE ? 0 : size - CRC_SIZE));
}
