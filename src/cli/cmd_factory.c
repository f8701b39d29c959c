/* SPDX-License-Identifier: MIT */
/* factory: one image of a whole flash, or what to write where. */
#include "base/error.h"
#include "base/file.h"
#include "base/file_write.h"
#include "base/sha256.h"
#include "cli/commands.h"
#include "cli/factory_commands.h"
#include "cli/factory_inputs.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option_spec factory_options[] = {
    {OPT_OUTPUT, "output", NULL, 'o', "FILE", NULL, "where to write the flash; - is stdout"},
    {OPT_PLAN, "plan", NULL, 0, NULL, NULL, "only show the parts and esptool.py's commands"},
    {OPT_BOOT, "boot", NULL, 0, "FILE", NULL, "the bootloader, from the SDK"},
    {OPT_NO_BOOT, "no-boot", NULL, 0, NULL, NULL, "no bootloader: for emulators, not for a chip"},
    {OPT_INIT_DATA, "init-data", NULL, 0, "FILE", NULL, "the SDK's esp_init_data_default.bin"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", SLOT_PROFILE_NAMES,
     "whose images to make of ELFs (default sdk)"},
    {OPT_RUN, "run", NULL, 0, "SLOT", "user1 user2", "the slot that boots first (default user1)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

struct factory {
    const char *output;
    bool plan_only;
    bool no_boot;
    bool json;
    bool to_stdout;
    struct factory_inputs inputs;
    struct failures failures;
};

static enum espimage_code set_profile(const char *value, struct factory *f,
                                      struct espimage_error *err)
{
    enum espimage_code code = profile_option(value, &f->inputs.profile, err);
    if (code == ESPIMAGE_OK && f->inputs.profile == ESPIMAGE_PROFILE_RBOOT) {
        error_found(err, ESPIMAGE_ERR_USAGE, "rBoot has slots of its own");
        code = error_wanted(err, "one of " SLOT_PROFILE_NAMES);
    }
    return code;
}

static enum espimage_code set_run(const char *value, struct factory *f, struct espimage_error *err)
{
    if (strcmp(value, "user1") != 0 && strcmp(value, "user2") != 0) {
        error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", value);
        return error_wanted(err, "one of user1 user2");
    }
    f->inputs.contents.run = (uint8_t)(value[4] - '0');
    return ESPIMAGE_OK;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct factory *f = context;
    switch (id) {
    case OPT_OUTPUT: f->output = value; return ESPIMAGE_OK;
    case OPT_PLAN: f->plan_only = true; return ESPIMAGE_OK;
    case OPT_BOOT: f->inputs.boot_path = value; return ESPIMAGE_OK;
    case OPT_NO_BOOT: f->no_boot = true; return ESPIMAGE_OK;
    case OPT_INIT_DATA: f->inputs.init_path = value; return ESPIMAGE_OK;
    case OPT_PROFILE: return set_profile(value, f, err);
    case OPT_RUN: return set_run(value, f, err);
    case OPT_JSON: f->json = true; return ESPIMAGE_OK;
    default: return flash_option(&f->inputs.flash, id, value, err);
    }
}

/* ---- reports ---- */

static void print_part(FILE *to, const struct espimage_part *part,
                       const struct espimage_flash_content *content, const char *file)
{
    (void)fprintf(to, "  0x%06X  %-18s ", part->address, part->name);
    if (content->bytes == NULL) {
        const char *instead =
            part->kind == ESPIMAGE_PART_BOOT ? "no bootloader, a header alone" : "user2 is chosen";
        (void)fprintf(to, "%s\n", part->blank ? "blank" : instead);
        return;
    }
    (void)fprintf(to, "%s, %zu bytes", shown(file).text, content->size);
    if (part->kind == ESPIMAGE_PART_SLOT) {
        (void)fprintf(to, ", %zu left in the slot", part->size - content->size);
    }
    (void)fprintf(to, "\n");
}

static json_t *part_json(const struct espimage_part *part,
                         const struct espimage_flash_content *content, const char *file)
{
    return json_pack(
        "{s:s, s:o, s:I, s:b, s:o, s:o, s:I}", "name", part->name, "address",
        json_hex(part->address, 6), "size", (json_int_t)part->size, "blank", part->blank, "from",
        content->bytes != NULL ? json_text(content->name) : json_null(), "file",
        file != NULL ? json_text(file) : json_null(), "content_size", (json_int_t)content->size);
}

/* Each part, with the file that it comes from or, in a plan, that is to be written to a chip. */
static enum espimage_code report_parts(const struct factory *f,
                                       const struct espimage_flash_plan *plan, json_t *document,
                                       struct espimage_error *err)
{
    FILE *to = f->to_stdout ? stderr : stdout;
    json_t *parts = json_array();
    (void)json_object_set_new(document, "parts", parts);
    for (size_t i = 0; i < plan->part_count; i++) {
        const struct espimage_flash_content *content = &plan->contents[i];
        char path[PATH_MAX];
        const char *file = NULL;
        if (f->plan_only && content->bytes != NULL) {
            if (factory_part_file(&f->inputs, plan, i, path, err) != ESPIMAGE_OK) {
                return err->code;
            }
            file = path;
        }
        if (f->json) {
            (void)json_array_append_new(parts, part_json(&plan->parts[i], content, file));
        } else {
            print_part(to, &plan->parts[i], content, file != NULL ? file : content->name);
        }
    }
    return ESPIMAGE_OK;
}

static void report_head(const struct factory *f, json_t *document)
{
    const struct espimage_flash_map *map = f->inputs.contents.map;
    const char *mode = espimage_flash_mode_by_code(f->inputs.flash.mode)->name;
    const char *freq = espimage_flash_freq_by_code(f->inputs.flash.freq)->name;
    if (!f->json) {
        (void)fprintf(f->to_stdout ? stderr : stdout, "%s: flash of %u KB, map %s, %s, %s\n",
                      f->plan_only ? "plan" : shown(f->output).text, map->flash_size / 1024,
                      map->name, mode, freq);
    }
    (void)json_object_update_new(document,
                                 json_pack("{s:o, s:I, s:s, s:s, s:s}", "file",
                                           f->plan_only ? json_null() : json_text(f->output),
                                           "size", (json_int_t)map->flash_size, "flash_map",
                                           map->name, "flash_mode", mode, "flash_freq", freq));
}

/* ---- the command ---- */

static enum espimage_code check_output(const struct factory *f, struct espimage_error *err)
{
    bool file = f->output != NULL && !f->to_stdout;
    const char *input = file ? factory_inputs_find(&f->inputs, f->output) : NULL;
    if (input != NULL) {
        error_found(err, ESPIMAGE_ERR_USAGE, "the output %s is the input %s", shown(f->output).text,
                    shown(input).text);
        return error_advice(err, "name another file");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code write_flash(const struct factory *f,
                                      const struct espimage_flash_plan *plan, json_t *document,
                                      struct espimage_error *err)
{
    struct espimage_bytes flash = {0};
    char sha256[SHA256_TEXT];
    enum espimage_code code = espimage_flash_build(plan, &flash, err);
    if (code == ESPIMAGE_OK) {
        code = f->to_stdout ? file_write_all(STDOUT_FILENO, flash.data, flash.size, err)
                            : file_write(f->output, flash.data, flash.size, err);
    }
    if (code == ESPIMAGE_OK) {
        sha256_text(flash.data, flash.size, sha256);
        report_head(f, document);
        code = report_parts(f, plan, document, err);
        (void)json_object_set_new(document, "sha256", json_string(sha256));
        if (!f->json) {
            (void)fprintf(f->to_stdout ? stderr : stdout, "  sha256 %s\n", sha256);
        }
    }
    espimage_bytes_free(&flash);
    return code;
}

static enum espimage_code show_plan(const struct factory *f, const struct espimage_flash_plan *plan,
                                    json_t *document, struct espimage_error *err)
{
    json_t *lines = json_array();
    enum espimage_code code = factory_commands_make(&f->inputs, plan, lines, err);
    if (code == ESPIMAGE_OK) {
        report_head(f, document);
        code = report_parts(f, plan, document, err);
    }
    (void)json_object_set(document, "commands", lines);
    if (code == ESPIMAGE_OK && !f->json) {
        factory_commands_print(lines);
    }
    json_decref(lines);
    return code;
}

/* What a chip would miss. */
static void warn_of_gaps(struct factory *f)
{
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    if (f->no_boot) {
        note_add(&notes, "no bootloader, only a header that names the flash map: for emulators, "
                         "a chip does not start from it");
    } else if (f->inputs.init_path == NULL) {
        note_add(&notes, "no init data: the SDK's firmware reads its esp_init_data_default.bin; "
                         "give it with --init-data");
    }
    if (f->inputs.contents.slot[0].bytes == NULL) {
        note_add(&notes, "user1 is blank, and the bootloader tries it first; give an ELF for app1");
    }
    warnings_add(f->inputs.warnings, f->plan_only ? "plan" : f->output, &notes);
}

static void produce(struct factory *f, json_t *document)
{
    struct espimage_flash_plan plan;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    /* Everything that can be wrong with them is said before anything is written. */
    if (!factory_inputs_collect(&f->inputs)) {
        return;
    }
    if (check_output(f, &err) != ESPIMAGE_OK ||
        espimage_flash_plan_make(&f->inputs.contents, &plan, &notes, &err) != ESPIMAGE_OK) {
        failures_add(&f->failures, &err);
        return;
    }
    warnings_add(f->inputs.warnings, f->plan_only ? "plan" : f->output, &notes);
    warn_of_gaps(f);
    enum espimage_code code =
        f->plan_only ? show_plan(f, &plan, document, &err) : write_flash(f, &plan, document, &err);
    if (code != ESPIMAGE_OK) {
        failures_add(&f->failures, &err);
    }
}

static int check_usage(struct factory *f, size_t count)
{
    if (count == 0 || count > FACTORY_SOURCES) {
        return usage_error("factory: give one or two ELFs or images; see: " PROGRAM
                           " factory --help");
    }
    if ((f->output != NULL) == f->plan_only) {
        return usage_error("factory: give either -o FILE or --plan");
    }
    if ((f->inputs.boot_path != NULL) == f->no_boot) {
        return usage_error("factory: give either --boot FILE, the SDK's bin/boot_v1.7.bin or the "
                           "like, or --no-boot for a flash that no chip starts from");
    }
    if (f->plan_only && f->no_boot) {
        return usage_error("factory: --plan is for a chip, --no-boot is not");
    }
    if (f->plan_only && f->inputs.contents.run == 2) {
        return usage_error("factory: --run user2 writes system parameters, which esptool.py has no "
                           "command for: make the flash with -o FILE");
    }
    return stdout_option(&cmd_factory, f->output, f->json, &f->to_stdout);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct factory f = {.inputs = {.profile = ESPIMAGE_PROFILE_SDK}};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &f, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    f.inputs.source_count = (size_t)(argc - first);
    status = check_usage(&f, f.inputs.source_count);
    if (status != 0) {
        return status;
    }
    for (size_t i = 0; i < f.inputs.source_count; i++) {
        f.inputs.sources[i].path = argv[first + (int)i];
    }
    f.inputs.failures = &f.failures;
    f.inputs.warnings = json_array();
    json_t *document = json_document(self->name);
    produce(&f, document);
    status = f.failures.count > 0 ? f.failures.first_status : 0;
    (void)json_object_set_new(document, "warnings", f.inputs.warnings);
    (void)json_object_set_new(document, "errors", failures_json(&f.failures));
    if (f.json) {
        status = json_print(document, status);
    } else {
        json_decref(document);
    }
    failures_free(&f.failures);
    factory_inputs_free(&f.inputs);
    return status;
}

const struct command cmd_factory = {
    .name = "factory",
    .arguments = "APP1.elf [APP2.elf]",
    .files = "*.elf *.out *.bin",
    .summary = "Make one image of a whole flash, as a device leaves the bench with",
    .details = "Bootloader, user1, user2 and init data at the addresses of the flash map, blank\n"
               "flash (FF) elsewhere. A ready image can be given instead of an ELF.",
    .example = PROGRAM " factory --flash-size 1MB --boot boot.bin \\\n"
                       "      --init-data esp_init_data_default.bin app1.elf -o factory.bin",
    .groups = {factory_options, flash_options, common_options, NULL},
    .run = run,
};
