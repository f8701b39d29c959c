/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "base/options.h"
#include "image/flash_parts.h"
#include "image/image_format.h"

#include <espimage/verify.h>
#include <stdlib.h>
#include <string.h>

static enum espimage_code check_map(const struct espimage_flash_map *map,
                                    struct espimage_error *err)
{
    if (map->half != 0) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_USAGE, "the %s map has no slots", map->name);
    error_wanted(err, "a flash map with two slots");
    return error_advice_coded(err, ESPIMAGE_ADVICE_FLASH_MAP, "give the flash size of the device");
}

static enum espimage_code verify_in(const struct espimage_flash_map *map, const uint8_t *bytes,
                                    size_t size, espimage_report **out, struct espimage_error *err)
{
    const struct espimage_verify_options options = {.size = sizeof options, .map = map};
    return espimage_verify(bytes, size, &options, out, err);
}

/* The finding for which the consumer refuses the image, as an error; ESPIMAGE_OK when NULL. */
static enum espimage_code refuse(const espimage_report *report, enum espimage_consumer consumer,
                                 const struct espimage_finding *because, struct espimage_error *err)
{
    if (because == NULL) {
        return ESPIMAGE_OK;
    }
    const char *mistake = espimage_report_identity(report)->text;
    error_found(err, ESPIMAGE_ERR_IMAGE, "refused by %s: %s", espimage_consumer_title(consumer),
                because->found);
    error_wanted(err, "%s: %s", because->rule->name, because->rule->demand);
    return mistake[0] != '\0'
               ? error_advice(err, "%s", mistake)
               : error_advice_coded(err, ESPIMAGE_ADVICE_EVERY_RULE, "check it against every rule");
}

static enum espimage_code refuse_by_boot(const espimage_report *report, struct espimage_error *err)
{
    const struct espimage_verdict *boot = espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
    return refuse(report, ESPIMAGE_CONSUMER_BOOT, boot->because, err);
}

static enum espimage_code check_slot(const struct espimage_flash_content *c,
                                     const struct espimage_flash_map *map,
                                     const struct espimage_part *part, struct espimage_error *err)
{
    espimage_report *report = NULL;
    if (c->size > part->size) {
        error_found(err, ESPIMAGE_ERR_SIZE, "%zu bytes for %s", c->size, part->name);
        error_wanted(err, "at most %u, the slot of the %s map", part->size, map->name);
        return error_advice(err, "make the firmware smaller, or choose a map with larger slots");
    }
    enum espimage_code code = verify_in(map, c->bytes, c->size, &report, err);
    if (code == ESPIMAGE_OK) {
        code = refuse_by_boot(report, err);
    }
    espimage_report_free(report);
    return code;
}

static enum espimage_code check_init_data(const struct espimage_flash_content *c,
                                          const struct espimage_part *part,
                                          struct espimage_error *err)
{
    if (c->size == ESPIMAGE_INIT_DATA_SIZE || c->size == part->size) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_SIZE, "init data of %zu bytes", c->size);
    error_wanted(err, "%u, or a whole sector of %u", ESPIMAGE_INIT_DATA_SIZE, part->size);
    return error_advice(err, "the SDK has it as bin/esp_init_data_default.bin or the like");
}

static const struct espimage_flash_content *content_of(const struct espimage_flash_contents *all,
                                                       const struct espimage_part *part)
{
    static const struct espimage_flash_content nothing = {NULL, NULL, 0};
    switch (part->kind) {
    case ESPIMAGE_PART_BOOT: return &all->boot;
    case ESPIMAGE_PART_SLOT: return &all->slot[part->address == all->map->slot[0] ? 0 : 1];
    case ESPIMAGE_PART_INIT_DATA: return &all->init_data;
    case ESPIMAGE_PART_RF_CAL:
    case ESPIMAGE_PART_PARAMETERS: break;
    }
    return &nothing;
}

static enum espimage_code check_content(const struct espimage_flash_content *c,
                                        const struct espimage_flash_map *map,
                                        const struct espimage_part *part,
                                        struct espimage_error *err)
{
    if (c->bytes == NULL) {
        return ESPIMAGE_OK;
    }
    switch (part->kind) {
    case ESPIMAGE_PART_BOOT: return boot_check(c->bytes, c->size, err);
    case ESPIMAGE_PART_SLOT: return check_slot(c, map, part, err);
    case ESPIMAGE_PART_INIT_DATA: return check_init_data(c, part, err);
    case ESPIMAGE_PART_RF_CAL:
    case ESPIMAGE_PART_PARAMETERS: break;
    }
    return ESPIMAGE_OK;
}

enum espimage_code espimage_flash_plan_make(const struct espimage_flash_contents *given,
                                            struct espimage_flash_plan *out,
                                            struct espimage_error *err)
{
    struct espimage_flash_contents contents = ESPIMAGE_FLASH_CONTENTS_INIT;
    if (OPTIONS_COPY(&contents, given, err) != ESPIMAGE_OK) {
        return err->code;
    }
    const struct espimage_flash_map *map = contents.map;
    struct espimage_flash_plan plan = {
        .map = map, .flash_mode = contents.flash_mode, .flash_freq = contents.flash_freq};
    if (check_map(map, err) != ESPIMAGE_OK) {
        return err->code;
    }
    plan.part_count = flash_parts(map, map->flash_size, plan.parts);
    for (size_t i = 0; i < plan.part_count; i++) {
        plan.contents[i] = *content_of(&contents, &plan.parts[i]);
        plan.parts[i].blank =
            plan.contents[i].bytes == NULL && plan.parts[i].kind != ESPIMAGE_PART_BOOT;
        if (check_content(&plan.contents[i], map, &plan.parts[i], err) != ESPIMAGE_OK) {
            return plan.contents[i].name != NULL ? error_in_file(err, plan.contents[i].name)
                                                 : err->code;
        }
    }
    *out = plan;
    return ESPIMAGE_OK;
}

enum espimage_code espimage_flash_build(const struct espimage_flash_plan *plan,
                                        struct espimage_bytes *out, struct espimage_error *err)
{
    uint8_t *flash = malloc(plan->map->flash_size);
    if (flash == NULL) {
        return error_no_memory(err);
    }
    memset(flash, 0xFF, plan->map->flash_size);
    flash[HEADER_MAGIC] = MAGIC_V1;
    flash[HEADER_COUNT] = 0;
    for (size_t i = 0; i < plan->part_count; i++) {
        if (plan->contents[i].bytes != NULL) {
            memcpy(flash + plan->parts[i].address, plan->contents[i].bytes, plan->contents[i].size);
        }
    }
    flash[HEADER_MODE] = plan->flash_mode;
    flash[HEADER_SIZE_FREQ] = (uint8_t)(plan->map->code << 4 | plan->flash_freq);
    *out = (struct espimage_bytes){flash, plan->map->flash_size};
    return ESPIMAGE_OK;
}

static enum espimage_code check_made_for(const struct espimage_image_view *view,
                                         const struct espimage_flash_map *map, uint8_t app,
                                         struct espimage_error *err)
{
    const struct espimage_flash_map *made_for =
        espimage_flash_map_by_code(MAP_CODE(view->inner[HEADER_SIZE_FREQ]));
    uint32_t wanted = map->link[app - 1];
    if (made_for == NULL || made_for->half == 0 || made_for->link[app - 1] == wanted) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_LAYOUT, "app%u of the %s map, linked at 0x%08X", app,
                made_for->name, made_for->link[app - 1]);
    error_wanted(err, "0x%08X for app%u of the %s map", wanted, app, map->name);
    return error_advice_coded(err, ESPIMAGE_ADVICE_MATCH_MAP,
                              "link it with %s and convert it for the %s map", map->script[app - 1],
                              map->name);
}

/* The first finding that makes a consumer refuse, of all but those of one rule, or NULL. */
static const struct espimage_finding *
because_without(const espimage_report *report, enum espimage_consumer consumer, const char *rule)
{
    for (size_t i = 0; i < espimage_report_count(report); i++) {
        const struct espimage_finding *f = espimage_report_finding(report, i);
        bool broken = f->outcome == ESPIMAGE_FAIL || f->outcome == ESPIMAGE_UNKNOWN;
        if (broken && (f->rule->consumers & 1U << consumer) != 0 &&
            strcmp(f->rule->name, rule) != 0) {
            return f;
        }
    }
    return NULL;
}

/* What the upgrade client would refuse, except for a length that fits the slot: such an image runs,
 * though no update can bring it. */
static enum espimage_code refuse_by_upgrade(const espimage_report *report, size_t size,
                                            const struct espimage_flash_map *map,
                                            struct espimage_notes *notes,
                                            struct espimage_error *err)
{
    const struct espimage_finding *because =
        espimage_report_verdict(report, ESPIMAGE_CONSUMER_OTA2)->because;
    uint32_t limit = espimage_update_limit(map->slot_limit);
    if (size > limit && size <= map->slot_limit) {
        note_add(
            notes,
            "no update can bring it: %zu bytes, and the SDK's upgrade client erases at most %u",
            size, limit);
        because = because_without(report, ESPIMAGE_CONSUMER_OTA2, "ota.length");
    }
    return refuse(report, ESPIMAGE_CONSUMER_OTA2, because, err);
}

/* Whether the bootloader starts the image and the upgrade client takes it. */
static enum espimage_code check_image(const uint8_t *bytes, size_t size,
                                      const struct espimage_flash_map *map,
                                      struct espimage_notes *notes, struct espimage_error *err)
{
    espimage_report *report = NULL;
    enum espimage_code code = verify_in(map, bytes, size, &report, err);
    if (code == ESPIMAGE_OK) {
        code = refuse_by_boot(report, err);
    }
    if (code == ESPIMAGE_OK) {
        code = refuse_by_upgrade(report, size, map, notes, err);
    }
    espimage_report_free(report);
    return code;
}

enum espimage_code espimage_image_slot(const uint8_t *bytes, size_t size,
                                       const struct espimage_flash_contents *given, uint8_t *app,
                                       struct espimage_notes *notes, struct espimage_error *err)
{
    struct espimage_flash_contents flash = ESPIMAGE_FLASH_CONTENTS_INIT;
    struct espimage_image_view view;

    if (OPTIONS_COPY(&flash, given, err) != ESPIMAGE_OK ||
        check_map(flash.map, err) != ESPIMAGE_OK ||
        check_image(bytes, size, flash.map, notes, err) != ESPIMAGE_OK) {
        return err->code;
    }
    espimage_image_parse(bytes, size, &view);
    uint8_t number = view.outer[HEADER_APP];
    if (check_made_for(&view, flash.map, number, err) != ESPIMAGE_OK) {
        return err->code;
    }
    uint8_t size_freq = (uint8_t)(flash.map->code << 4 | flash.flash_freq);
    if (view.inner[HEADER_MODE] != flash.flash_mode || view.inner[HEADER_SIZE_FREQ] != size_freq) {
        note_add(notes, "its header has flash settings %02X %02X, the flash %02X %02X",
                 view.inner[HEADER_MODE], view.inner[HEADER_SIZE_FREQ], flash.flash_mode,
                 size_freq);
    }
    *app = number;
    return ESPIMAGE_OK;
}
