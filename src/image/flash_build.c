/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "base/error.h"
#include "base/options.h"
#include "image/flash_parts.h"
#include "image/image_format.h"
#include "image/image_link.h"

#include <espimage/verify.h>
#include <stdlib.h>
#include <string.h>

/* The first map beyond 4 MB. */
#define CODE_8MB 8

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

/* @param app the slot that it is for; 0: by its app number. */
static enum espimage_code verify_in(const struct espimage_flash_map *map, uint8_t app,
                                    const uint8_t *bytes, size_t size, espimage_report **out,
                                    struct espimage_error *err)
{
    const struct espimage_verify_options options = {.size = sizeof options, .map = map, .app = app};
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
    enum espimage_code code =
        verify_in(map, part->address == map->slot[0] ? 1 : 2, c->bytes, c->size, &report, err);
    if (code == ESPIMAGE_OK) {
        code = refuse_by_boot(report, err);
    }
    espimage_report_free(report);
    return code;
}

/* All real init data begin so; with other ones the SDK restarts for ever. */
#define INIT_DATA_MAGIC 0x05

static const char *looks_like(const struct espimage_flash_content *c)
{
    if (bytes_all(c->bytes, c->size, 0xFF)) {
        return ", and is FF throughout: blank.bin";
    }
    if (bytes_all(c->bytes, c->size, 0)) {
        return ", and is 00 throughout";
    }
    return c->bytes[0] == MAGIC_V1 || c->bytes[0] == MAGIC_V2 ? ": a bootloader or an image" : "";
}

static enum espimage_code check_init_data(const struct espimage_flash_content *c,
                                          const struct espimage_part *part,
                                          struct espimage_error *err)
{
    if (c->size != ESPIMAGE_INIT_DATA_SIZE && c->size != part->size) {
        error_found(err, ESPIMAGE_ERR_SIZE, "init data of %zu bytes", c->size);
        error_wanted(err, "%u, or a whole sector of %u", ESPIMAGE_INIT_DATA_SIZE, part->size);
        return error_advice(err, "the SDK has it as bin/esp_init_data_default.bin or the like");
    }
    if (c->bytes[0] != INIT_DATA_MAGIC) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "init data begins with %02X%s", c->bytes[0],
                    looks_like(c));
        error_wanted(err, "%02X: with others the SDK restarts for ever", INIT_DATA_MAGIC);
        return error_advice(err, "give the SDK's bin/esp_init_data_default.bin; two files may have "
                                 "been swapped");
    }
    return ESPIMAGE_OK;
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

/* ---- bootloader, map and images together ---- */

static enum espimage_code refuse_map(enum espimage_boot_version version,
                                     const struct espimage_flash_map *map,
                                     struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_LAYOUT, "boot %s takes a flash of the %s map for 512 KB",
                espimage_boot_version_name(version), map->name);
    error_wanted(err, "a bootloader that knows the map: it would erase 0x7D000, inside user1, and "
                      "never boot user2");
    return error_advice(err, map->code >= CODE_8MB
                                 ? "declare the flash as 2MB-c1 or 4MB-c1"
                                 : "take boot 1.4 or later, or a map of 512+512 slots");
}

static enum espimage_code check_slot_kind(enum espimage_boot_version version,
                                          const struct espimage_flash_content *c,
                                          struct espimage_error *err)
{
    bool v2 = c->bytes != NULL && c->size > 0 && c->bytes[0] == MAGIC_V2;
    if (!v2 || espimage_boot_takes_v2(version)) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_IMAGE, "boot %s does not start an image that begins with EA 04",
                espimage_boot_version_name(version));
    error_wanted(err, "boot 1.2 or later");
    return error_in_file(err, c->name);
}

static enum espimage_code check_loader(const struct espimage_flash_content *boot,
                                       struct espimage_error *err)
{
    struct espimage_identity identity;
    espimage_identify(boot->bytes, boot->size, &identity);
    if (identity.mistake != ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER &&
        identity.mistake != ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER &&
        identity.mistake != ESPIMAGE_MISTAKE_ARDUINO) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_IMAGE, "%s", identity.text);
    error_wanted(err, "Espressif's bootloader: this one does not know user1 and user2");
    return error_advice(err, "the SDK has it as bin/boot_v1.7.bin or the like");
}

static enum espimage_code check_together(const struct espimage_flash_contents *contents,
                                         enum espimage_boot_version version,
                                         struct espimage_notes *notes, struct espimage_error *err)
{
    const struct espimage_flash_map *map = contents->map;
    const struct espimage_flash_content *boot = &contents->boot;
    if (boot->bytes == NULL) {
        return ESPIMAGE_OK;
    }
    if (check_loader(boot, err) != ESPIMAGE_OK) {
        return error_in_file(err, boot->name);
    }
    if (version == ESPIMAGE_BOOT_UNKNOWN) {
        note_add(notes,
                 "%s is not one of Espressif's bootloaders 1.1 to 1.7: whether it knows the "
                 "%s map and these images is not known",
                 boot->name, map->name);
        return ESPIMAGE_OK;
    }
    for (size_t i = 0; i < 2; i++) {
        if (check_slot_kind(version, &contents->slot[i], err) != ESPIMAGE_OK) {
            return err->code;
        }
    }
    switch (espimage_boot_map(version, map->code)) {
    case ESPIMAGE_BOOT_MAP_RIGHT: break;
    case ESPIMAGE_BOOT_MAP_STAYS_IN_USER1:
        note_add(notes, "flash map %s: %s", map->name, map->remark != NULL ? map->remark : "");
        break;
    case ESPIMAGE_BOOT_MAP_AS_512KB:
    case ESPIMAGE_BOOT_MAP_REFUSED:
        refuse_map(version, map, err);
        return error_in_file(err, boot->name);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code check_run(const struct espimage_flash_contents *contents,
                                    enum espimage_boot_version version, struct espimage_error *err)
{
    if (contents->run != 2) {
        return ESPIMAGE_OK;
    }
    if (contents->slot[1].bytes == NULL) {
        error_found(err, ESPIMAGE_ERR_USAGE, "user2 is to run, but it is blank");
        return error_advice(err, "give an ELF or image for user2 too");
    }
    if (version == ESPIMAGE_BOOT_UNKNOWN) {
        error_found(err, ESPIMAGE_ERR_USAGE,
                    "user2 is to run: the parameters for that depend on "
                    "the version of the bootloader, which is not known");
        return error_wanted(err, "one of Espressif's bootloaders 1.2 to 1.7");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code place_contents(const struct espimage_flash_contents *contents,
                                         struct espimage_flash_plan *plan,
                                         struct espimage_error *err)
{
    plan->part_count = flash_parts(plan->map, plan->map->flash_size, plan->parts);
    for (size_t i = 0; i < plan->part_count; i++) {
        const struct espimage_flash_content *c = &plan->contents[i];
        struct espimage_part *part = &plan->parts[i];
        plan->contents[i] = *content_of(contents, part);
        bool parameters = part->kind == ESPIMAGE_PART_PARAMETERS && plan->run == 2;
        part->blank = c->bytes == NULL && part->kind != ESPIMAGE_PART_BOOT && !parameters;
        if (check_content(c, plan->map, part, err) != ESPIMAGE_OK) {
            return c->name != NULL ? error_in_file(err, c->name) : err->code;
        }
    }
    return ESPIMAGE_OK;
}

enum espimage_code espimage_flash_plan_make(const struct espimage_flash_contents *given,
                                            struct espimage_flash_plan *out,
                                            struct espimage_notes *notes,
                                            struct espimage_error *err)
{
    struct espimage_flash_contents contents = ESPIMAGE_FLASH_CONTENTS_INIT;
    if (OPTIONS_COPY(&contents, given, err) != ESPIMAGE_OK ||
        check_map(contents.map, err) != ESPIMAGE_OK) {
        return err->code;
    }
    struct espimage_flash_plan plan = {
        .map = contents.map,
        .flash_mode = contents.flash_mode,
        .flash_freq = contents.flash_freq,
        .boot_version = espimage_boot_version(contents.boot.bytes, contents.boot.size),
        .run = contents.run == 2 ? 2 : 1,
    };
    if (place_contents(&contents, &plan, err) != ESPIMAGE_OK ||
        check_together(&contents, plan.boot_version, notes, err) != ESPIMAGE_OK ||
        check_run(&contents, plan.boot_version, err) != ESPIMAGE_OK) {
        return err->code;
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
    if (plan->run == 2) {
        espimage_parameters_build(plan->boot_version, plan->run,
                                  flash + espimage_parameters_address(plan->map->flash_size));
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

/* Tools whose images the upgrade library refuses, and which are right all the same. */
static bool is_of_other_tool(enum espimage_mistake mistake)
{
    switch (mistake) {
    case ESPIMAGE_MISTAKE_ESPTOOL:
    case ESPIMAGE_MISTAKE_RTOS1:
    case ESPIMAGE_MISTAKE_ESPTOOL2:
    case ESPIMAGE_MISTAKE_APP_0:
    case ESPIMAGE_MISTAKE_NO_CRC:
    case ESPIMAGE_MISTAKE_GEN_APPBIN_PY3:
    case ESPIMAGE_MISTAKE_PLAIN_CRC:
    case ESPIMAGE_MISTAKE_OLD_FORMAT: return true;
    default: return false;
    }
}

/* A flash is written by cable: what the upgrade library refuses runs, unless it is damaged. */
static enum espimage_code check_upgrade(const espimage_report *report, size_t size,
                                        const struct espimage_flash_map *map, bool from_zero,
                                        struct espimage_notes *notes, struct espimage_error *err)
{
    const struct espimage_finding *because =
        espimage_report_verdict(report, ESPIMAGE_CONSUMER_OTA2)->because;
    uint32_t limit = espimage_update_limit(map->slot_limit);
    if (because == NULL) {
        return ESPIMAGE_OK;
    }
    if (size > limit && size <= map->slot_limit && strcmp(because->rule->name, "ota.length") == 0) {
        note_add(
            notes,
            "no update can bring it: %zu bytes, and the SDK's upgrade client erases at most %u",
            size, limit);
        return ESPIMAGE_OK;
    }
    bool number = from_zero && strcmp(because->rule->name, "ota.app-number") == 0;
    if (!number && !is_of_other_tool(espimage_report_identity(report)->mistake)) {
        return refuse(report, ESPIMAGE_CONSUMER_OTA2, because, err);
    }
    note_add(notes, "the SDK's library will not update to it: %s: %s", because->rule->name,
             because->found);
    return ESPIMAGE_OK;
}

/* The slot for which a bootable image was linked: 1 or 2; 0: either. */
static uint8_t slot_by_addresses(const struct espimage_image_view *view,
                                 const struct espimage_flash_map *map)
{
    struct image_link link;
    uint8_t app = 0;
    image_link_judge(view, map, 0, &link);
    if (link.verdict != IMAGE_LINK_AGREES || espimage_flash_map_is_windowed(map)) {
        return 0;
    }
    (void)image_link_map(view, link.wanted, map, &app);
    return app;
}

/* Whether the bootloader starts the image, and what the upgrade client says to it. */
static enum espimage_code check_image(const uint8_t *bytes, size_t size,
                                      const struct espimage_flash_map *map, uint8_t app,
                                      bool *numbered, struct espimage_notes *notes,
                                      struct espimage_error *err)
{
    espimage_report *report = NULL;
    enum espimage_code code = verify_in(map, app, bytes, size, &report, err);
    if (code == ESPIMAGE_OK) {
        code = refuse_by_boot(report, err);
    }
    if (code == ESPIMAGE_OK) {
        code = check_upgrade(report, size, map, app != 0, notes, err);
    }
    if (code == ESPIMAGE_OK) {
        enum espimage_mistake mistake = espimage_report_identity(report)->mistake;
        uint8_t number = size > HEADER_APP ? bytes[HEADER_APP] : 0;
        *numbered = app == 0 && (number == 1 || number == 2) &&
                    mistake != ESPIMAGE_MISTAKE_ESPTOOL && mistake != ESPIMAGE_MISTAKE_RTOS1 &&
                    mistake != ESPIMAGE_MISTAKE_ESPTOOL2 && mistake != ESPIMAGE_MISTAKE_APP_0;
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
    bool numbered = false;

    if (OPTIONS_COPY(&flash, given, err) != ESPIMAGE_OK ||
        check_map(flash.map, err) != ESPIMAGE_OK) {
        return err->code;
    }
    espimage_image_parse(bytes, size, &view);
    uint8_t linked = slot_by_addresses(&view, flash.map);
    /* Espruino and esp-link count the slots from 0. */
    bool from_zero = linked == 2 && size > HEADER_APP && bytes[HEADER_APP] == 1;
    if (check_image(bytes, size, flash.map, from_zero ? linked : 0, &numbered, notes, err) !=
        ESPIMAGE_OK) {
        return err->code;
    }
    uint8_t number = numbered ? bytes[HEADER_APP] : linked;
    if (numbered && check_made_for(&view, flash.map, number, err) != ESPIMAGE_OK) {
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
