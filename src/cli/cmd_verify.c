/* SPDX-License-Identifier: MIT */
/* verify: who would accept and boot this? */
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <espimage/verify.h>
#include <stdio.h>
#include <string.h>

#define CONSUMER_NAMES "boot rboot ota2 ota3 rtos1 esp-link libesphttpd espruino"

/* Firmware to which updates are pushed is not what most images are for: asked for by name. */
#define USUAL_CONSUMERS                                                                            \
    (1U << ESPIMAGE_CONSUMER_BOOT | 1U << ESPIMAGE_CONSUMER_RBOOT | 1U << ESPIMAGE_CONSUMER_OTA2 | \
     1U << ESPIMAGE_CONSUMER_OTA3 | 1U << ESPIMAGE_CONSUMER_RTOS1)

static const struct option_spec verify_options[] = {
    {OPT_FOR, "for", NULL, 0, "CONSUMER", CONSUMER_NAMES, "count only this one's word; repeatable"},
    {OPT_ALL, "all", NULL, 0, NULL, NULL, "show every rule, and every consumer"},
    {OPT_APP, "app", NULL, 0, "1|2", "1 2", "the slot that it is meant for"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", PROFILE_NAMES,
     "for an ELF: whose image to make of it (default sdk)"},
    {OPT_OTA_SIZE, "ota-size", NULL, 0, "BYTES", NULL,
     "OTA partition of SDK 3.x firmware (default: slot)"},
    {OPT_IROM_CHECKSUM, "irom-checksum", NULL, 0, NULL, NULL,
     "rBoot was built with BOOT_IROM_CHKSUM"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

struct verification {
    struct espimage_verify_options rules;
    enum espimage_profile profile;
    struct flash_settings flash;
    unsigned consumers; /* whose word counts, bit per consumer */
    bool all;           /* show every rule and every consumer */
    bool json;
    json_t *reports; /* NULL without --json */
    size_t refused;
    struct failures failures;
};

static enum espimage_code for_option(const char *value, struct verification *v,
                                     struct espimage_error *err)
{
    enum espimage_consumer consumer = ESPIMAGE_CONSUMER_BOOT;
    if (!espimage_consumer_by_name(value, &consumer)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", value);
        return error_wanted(err, "one of " CONSUMER_NAMES);
    }
    v->consumers |= 1U << consumer;
    return ESPIMAGE_OK;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct verification *v = context;
    switch (id) {
    case OPT_FOR: return for_option(value, v, err);
    case OPT_APP: return app_option(value, &v->rules.app, err);
    case OPT_PROFILE: return profile_option(value, &v->profile, err);
    case OPT_OTA_SIZE:
        return number_option(value, ESPIMAGE_SECTOR, 16U << 20, &v->rules.partition, err);
    case OPT_IROM_CHECKSUM: v->rules.irom_checksum = true; return ESPIMAGE_OK;
    case OPT_ALL: v->all = true; return ESPIMAGE_OK;
    case OPT_JSON: v->json = true; return ESPIMAGE_OK;
    default: return flash_option(&v->flash, id, value, err);
    }
}

static const char *style_of(enum espimage_outcome outcome)
{
    switch (outcome) {
    case ESPIMAGE_PASS: return style_good();
    case ESPIMAGE_FAIL: return style_bad();
    case ESPIMAGE_WARN: return style_doubtful();
    case ESPIMAGE_UNKNOWN: break;
    }
    return style_faint();
}

static bool counts(const struct verification *v, enum espimage_consumer consumer)
{
    return (v->consumers & 1U << consumer) != 0;
}

static void print_verdicts(const struct verification *v, const espimage_report *r)
{
    for (int c = 0; c < ESPIMAGE_CONSUMER_COUNT; c++) {
        enum espimage_consumer consumer = (enum espimage_consumer)c;
        const struct espimage_verdict *verdict = espimage_report_verdict(r, consumer);
        const char *title = espimage_consumer_title(consumer);
        if (!counts(v, consumer) && !v->all) {
            continue;
        }
        if (verdict->accepts) {
            (void)printf("  %s: %saccepts%s\n", title, style_good(), style_end());
        } else {
            (void)printf("  %s: %s%s%s: %s: %s\n", title, style_bad(),
                         verdict->crashes ? "crashes at every reset" : "refuses", style_end(),
                         verdict->because->rule->name, verdict->because->found);
        }
    }
}

/* Those that did not pass, of the consumers that count and of none. */
static void print_rules(const struct verification *v, const espimage_report *r)
{
    for (size_t i = 0; i < espimage_report_count(r); i++) {
        const struct espimage_finding *f = espimage_report_finding(r, i);
        bool concerns = f->rule->consumers == 0 || (f->rule->consumers & v->consumers) != 0;
        if (v->all || (concerns && f->outcome != ESPIMAGE_PASS)) {
            (void)printf("  %s%-7s%s  %-22s  %s: %s\n", style_of(f->outcome),
                         espimage_outcome_name(f->outcome), style_end(), f->rule->name,
                         f->rule->demand, f->found);
        }
    }
}

/* What has nothing that a bootloader could start from a slot. */
static bool is_other_file(const espimage_report *r)
{
    switch (espimage_report_identity(r)->mistake) {
    case ESPIMAGE_MISTAKE_BOOTLOADER:
    case ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER:
    case ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER:
    case ESPIMAGE_MISTAKE_ARDUINO:
    case ESPIMAGE_MISTAKE_RTOS3:
    case ESPIMAGE_MISTAKE_ESP32: return true;
    default: return espimage_report_finding(r, 0)->outcome != ESPIMAGE_PASS;
    }
}

static void report_text(const struct verification *v, const espimage_report *r, const char *name)
{
    const struct espimage_identity *identity = espimage_report_identity(r);
    if (is_other_file(r) && !v->all) {
        (void)printf("%s: %snot an image%s: %s\n", shown(name).text, style_bad(), style_end(),
                     identity->text);
        return;
    }
    (void)printf("%s\n", shown(name).text);
    print_verdicts(v, r);
    if (identity->mistake != ESPIMAGE_MISTAKE_NONE) {
        (void)printf("  known mistake: %s\n", identity->text);
    }
    print_rules(v, r);
}

static json_t *report_json(const espimage_report *r, const char *name, const char *part)
{
    const struct espimage_identity *identity = espimage_report_identity(r);
    const struct espimage_flash_map *map = espimage_report_map(r);
    json_t *rules = json_array();
    json_t *verdicts = json_array();
    for (size_t i = 0; i < espimage_report_count(r); i++) {
        const struct espimage_finding *f = espimage_report_finding(r, i);
        (void)json_array_append_new(rules, json_pack("{s:s, s:s, s:s, s:s}", "rule", f->rule->name,
                                                     "outcome", espimage_outcome_name(f->outcome),
                                                     "demand", f->rule->demand, "found", f->found));
    }
    for (int c = 0; c < ESPIMAGE_CONSUMER_COUNT; c++) {
        enum espimage_consumer consumer = (enum espimage_consumer)c;
        const struct espimage_verdict *v = espimage_report_verdict(r, consumer);
        (void)json_array_append_new(
            verdicts,
            json_pack("{s:s, s:b, s:b, s:o}", "consumer", espimage_consumer_name(consumer),
                      "accepts", v->accepts, "crashes", v->crashes, "because",
                      v->because != NULL ? json_string(v->because->rule->name) : json_null()));
    }
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "file", json_text(name), "part",
                     part != NULL ? json_string(part) : json_null(), "mistake",
                     espimage_mistake_name(identity->mistake), "mistake_text", identity->text,
                     "flash_map", map != NULL ? json_string(map->name) : json_null(), "rules",
                     rules, "verdicts", verdicts);
}

static bool is_refused(const struct verification *v, const espimage_report *r)
{
    for (int c = 0; c < ESPIMAGE_CONSUMER_COUNT; c++) {
        enum espimage_consumer consumer = (enum espimage_consumer)c;
        if (counts(v, consumer) && !espimage_report_verdict(r, consumer)->accepts) {
            return true;
        }
    }
    return false;
}

/* `part` says which image of the file it is, when there are several; or NULL. */
static enum espimage_code verify_image(struct verification *v, const char *path, const char *part,
                                       const uint8_t *bytes, size_t size,
                                       const struct espimage_verify_options *rules,
                                       struct espimage_error *err)
{
    espimage_report *report = NULL;
    char name[1024];

    enum espimage_code code = espimage_verify(bytes, size, rules, &report, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    v->refused += is_refused(v, report) ? 1 : 0;
    if (v->json) {
        (void)json_array_append_new(v->reports, report_json(report, path, part));
    } else {
        (void)snprintf(name, sizeof name, "%s%s%s", path, part != NULL ? ", as " : "",
                       part != NULL ? part : "");
        report_text(v, report, name);
    }
    espimage_report_free(report);
    return ESPIMAGE_OK;
}

static const char *slot_name(uint8_t app)
{
    return app == 1 ? "user1" : "user2";
}

static enum espimage_code build_and_verify(struct verification *v, const struct elf_file *elf,
                                           const struct espimage_flash_map *map, uint8_t app,
                                           struct espimage_error *err)
{
    struct espimage_bytes image = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    const struct espimage_build_options options = {
        .size = sizeof options,
        .profile = v->profile,
        .map = map,
        .app = app,
        .flash_mode = v->flash.mode,
        .flash_freq = v->flash.freq,
        .irom_checksum = v->rules.irom_checksum && v->profile == ESPIMAGE_PROFILE_RBOOT,
    };
    enum espimage_code code = espimage_image_build(elf->firmware, &options, &image, &notes, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    struct espimage_verify_options rules = v->rules;
    rules.app = v->profile == ESPIMAGE_PROFILE_RBOOT ? 0 : app;
    print_warnings(elf->path, &notes);
    code = verify_image(v, elf->path, v->profile == ESPIMAGE_PROFILE_RBOOT ? "ROM" : slot_name(app),
                        image.data, image.size, &rules, err);
    espimage_bytes_free(&image);
    return code;
}

static enum espimage_code verify_elf(struct verification *v, const char *path,
                                     struct espimage_error *err)
{
    struct elf_file elf;
    struct espimage_map_choice choice;
    bool assumed = false;
    enum espimage_code code = elf_file_load(path, &elf, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    bool rom = v->profile == ESPIMAGE_PROFILE_RBOOT;
    espimage_map_choice_init(&choice, v->flash.map);
    if (!rom) {
        code = espimage_map_choice_add(&choice, &elf.link, path, err);
        code = v->rules.app != 0 ? ESPIMAGE_OK : code;
    }
    const struct espimage_flash_map *map = espimage_map_choice_map(&choice, &assumed);
    unsigned slots = rom ? 1 : espimage_link_slots(&elf.link, map);
    slots = v->rules.app != 0 ? v->rules.app : slots;
    if (code == ESPIMAGE_OK && slots == 0) {
        code = espimage_link_refuse(&elf.link, map, err);
    }
    for (uint8_t app = 1; app <= 2 && code == ESPIMAGE_OK; app++) {
        if ((slots & app) != 0) {
            code = build_and_verify(v, &elf, map, app, err);
        }
    }
    elf_file_free(&elf);
    return code;
}

static enum espimage_code verify_flash(struct verification *v, const char *path,
                                       const struct file_bytes *file, struct espimage_error *err)
{
    struct espimage_flash_view flash;
    size_t images = 0;
    espimage_flash_parse(file->data, file->size, &flash);
    for (size_t i = 0; i < flash.part_count; i++) {
        const struct espimage_part *part = &flash.parts[i];
        if (part->kind != ESPIMAGE_PART_SLOT || part->blank) {
            continue;
        }
        struct espimage_verify_options rules = v->rules;
        rules.map = rules.map != NULL ? rules.map : flash.map;
        rules.app = part->address == flash.map->slot[0] ? 1 : 2;
        const uint8_t *bytes = file->data + part->address;
        size_t size = espimage_slot_image_size(bytes, part->size);
        enum espimage_code code =
            verify_image(v, path, part->name, bytes, size > 0 ? size : part->size, &rules, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        images++;
    }
    if (images == 0) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "a flash dump without an image in a slot%s%s",
                    flash.layout != ESPIMAGE_FLASH_SDK ? ": " : "",
                    flash.layout != ESPIMAGE_FLASH_SDK ? espimage_flash_layout_text(flash.layout)
                                                       : "");
        return error_wanted(err, "an image in user1 or user2 of its flash map");
    }
    return ESPIMAGE_OK;
}

/* An ELF under the name of an image would be flashed or served as it is. */
static bool is_called_image(const char *path)
{
    size_t length = strlen(path);
    return length >= 4 && text_same(path + length - 4, ".bin");
}

static void verify_path(struct verification *v, const char *path)
{
    struct file_bytes file;
    struct espimage_error err;
    enum espimage_code code = file_read(path, INPUT_LIMIT, &file, &err);
    if (code != ESPIMAGE_OK) {
        failures_add(&v->failures, &err);
        return;
    }
    enum espimage_content content = espimage_recognise(file.data, file.size);
    if (content == ESPIMAGE_CONTENT_ELF && !is_called_image(path)) {
        code = verify_elf(v, path, &err);
    } else if (content == ESPIMAGE_CONTENT_FLASH) {
        code = verify_flash(v, path, &file, &err);
    } else {
        code = verify_image(v, path, NULL, file.data, file.size, &v->rules, &err);
    }
    if (code != ESPIMAGE_OK) {
        error_in_file(&err, path);
        failures_add(&v->failures, &err);
    }
    file_bytes_free(&file);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct verification v = {.rules = ESPIMAGE_VERIFY_OPTIONS_INIT,
                             .profile = ESPIMAGE_PROFILE_SDK};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &v, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    if (first == argc) {
        return usage_error("verify: no file given; see: " PROGRAM " verify --help");
    }
    v.rules.map = v.flash.map;
    v.consumers = v.consumers != 0 ? v.consumers : USUAL_CONSUMERS;
    v.reports = v.json ? json_array() : NULL;
    for (int i = first; i < argc; i++) {
        verify_path(&v, argv[i]);
    }
    status = failures_status(&v.failures, (size_t)(argc - first));
    status = status == 0 && v.refused > 0 ? EXIT_NOT_ALL : status;
    if (v.json) {
        json_t *document = json_document(self->name);
        (void)json_object_set_new(document, "reports", v.reports);
        (void)json_object_set_new(document, "errors", failures_json(&v.failures));
        status = json_print(document, status);
    }
    failures_free(&v.failures);
    return status;
}

const struct command cmd_verify = {
    .name = "verify",
    .arguments = "FILE...",
    .files = "*.bin *.elf *.out",
    .summary = "Check images against every rule that devices have",
    .details = "An ELF is converted in memory first; of a flash dump the slots are checked.\n"
               "Shows verdicts and the rules that did not pass. Exit status 1 when one of boot,\n"
               "rboot, ota2, ota3 and rtos1, or of those given with --for, refuses an image.",
    .example = PROGRAM " verify --for boot --for ota3 app-user1.bin",
    .groups = {verify_options, flash_options, common_options, NULL},
    .run = run,
};
