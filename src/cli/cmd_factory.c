/* SPDX-License-Identifier: MIT */
/* factory: one image of a whole flash, or what to write where. */
#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/paths.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct option_spec factory_options[] = {
    {OPT_OUTPUT, "output", NULL, 'o', "FILE", NULL, "where to write the flash; - is stdout"},
    {OPT_PLAN, "plan", NULL, 0, NULL, NULL, "only show the parts and esptool.py's commands"},
    {OPT_BOOT, "boot", NULL, 0, "FILE", NULL, "the bootloader, from the SDK"},
    {OPT_NO_BOOT, "no-boot", NULL, 0, NULL, NULL, "no bootloader: for emulators, not for a chip"},
    {OPT_INIT_DATA, "init-data", NULL, 0, "FILE", NULL, "the SDK's esp_init_data_default.bin"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", "sdk gen_appbin esptool espruino",
     "whose images to make of ELFs (default sdk)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

/* A file for a slot. */
struct source {
    const char *path;
    struct file_bytes file;      /* owned */
    struct elf_file elf;         /* owned; firmware is NULL for a ready image */
    struct espimage_bytes image; /* owned; made of the ELF */
    struct espimage_notes notes;
    unsigned slots; /* that it is right for: bit 0 user1, bit 1 user2; one in the end */
};

#define MAX_SOURCES 2

struct factory {
    const char *output;
    bool plan_only;
    const char *boot_path;
    bool no_boot;
    const char *init_path;
    enum espimage_profile profile;
    struct flash_settings flash;
    bool json;
    bool to_stdout;
    struct source sources[MAX_SOURCES];
    size_t source_count;
    struct file_bytes boot;
    struct file_bytes init;
    struct espimage_flash_contents contents;
    json_t *warnings;
    struct failures failures;
};

static enum espimage_code set_profile(const char *value, struct factory *f,
                                      struct espimage_error *err)
{
    enum espimage_code code = profile_option(value, &f->profile, err);
    if (code == ESPIMAGE_OK && f->profile == ESPIMAGE_PROFILE_RBOOT) {
        error_found(err, ESPIMAGE_ERR_USAGE, "rBoot has slots of its own");
        code = error_wanted(err, "one of sdk gen_appbin esptool espruino");
    }
    return code;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct factory *f = context;
    switch (id) {
    case OPT_OUTPUT: f->output = value; return ESPIMAGE_OK;
    case OPT_PLAN: f->plan_only = true; return ESPIMAGE_OK;
    case OPT_BOOT: f->boot_path = value; return ESPIMAGE_OK;
    case OPT_NO_BOOT: f->no_boot = true; return ESPIMAGE_OK;
    case OPT_INIT_DATA: f->init_path = value; return ESPIMAGE_OK;
    case OPT_PROFILE: return set_profile(value, f, err);
    case OPT_JSON: f->json = true; return ESPIMAGE_OK;
    default: return flash_option(&f->flash, id, value, err);
    }
}

static void fail(struct factory *f, struct espimage_error *err, const char *path)
{
    if (path != NULL) {
        error_in_file(err, path);
    }
    failures_add(&f->failures, err);
}

static void warn(struct factory *f, const char *path, const struct espimage_notes *notes)
{
    print_warnings(path, notes);
    for (size_t i = 0; i < notes->count; i++) {
        char text[1536];
        (void)snprintf(text, sizeof text, "%s: %s", shown(path).text, notes->text[i]);
        (void)json_array_append_new(f->warnings, json_text(text));
    }
}

/* ---- inputs ---- */

static void load_sources(struct factory *f)
{
    for (size_t i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        struct espimage_error err;
        enum espimage_code code = file_read(s->path, INPUT_LIMIT, &s->file, &err);
        if (code == ESPIMAGE_OK &&
            espimage_recognise(s->file.data, s->file.size) == ESPIMAGE_CONTENT_ELF) {
            code = elf_file_parse(s->path, &s->file, &s->elf, &err);
        }
        if (code != ESPIMAGE_OK) {
            fail(f, &err, s->path);
        }
    }
}

/* The flash map decides how long the flash is: it is never assumed. */
static void choose_map(struct factory *f)
{
    struct espimage_map_choice choice;
    struct espimage_error err;
    bool assumed = false;

    espimage_map_choice_init(&choice, f->flash.map);
    for (size_t i = 0; i < f->source_count; i++) {
        const struct source *s = &f->sources[i];
        if (s->elf.firmware != NULL &&
            espimage_map_choice_add(&choice, &s->elf.link, s->path, &err) != ESPIMAGE_OK) {
            fail(f, &err, s->path);
        }
    }
    f->contents.map = espimage_map_choice_map(&choice, &assumed);
    if (assumed && f->failures.count == 0) {
        error_found(&err, ESPIMAGE_ERR_USAGE, "factory: several flash maps are possible");
        error_advice(&err, "give the one of the device with --flash-size");
        fail(f, &err, NULL);
    }
}

static void find_slots(struct factory *f)
{
    for (size_t i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        struct espimage_error err;
        uint8_t app = 0;
        if (s->elf.firmware != NULL) {
            s->slots = espimage_link_slots(&s->elf.link, f->contents.map);
            if (s->slots == 0) {
                espimage_link_refuse(&s->elf.link, f->contents.map, &err);
            }
        } else if (espimage_image_slot(s->file.data, s->file.size, &f->contents, &app, &s->notes,
                                       &err) == ESPIMAGE_OK) {
            s->slots = app;
        }
        if (s->slots == 0) {
            fail(f, &err, s->path);
        }
    }
}

/* One that is right for both slots goes to user1, unless the other one is there. */
static void settle_slots(struct factory *f)
{
    struct source *first = &f->sources[0];
    struct source *second = &f->sources[1];
    if (f->source_count == 1) {
        first->slots = first->slots == 3 ? 1 : first->slots;
        return;
    }
    if (first->slots == 3) {
        first->slots = second->slots == 1 ? 2 : 1;
    }
    if (second->slots == 3) {
        second->slots = 3 - first->slots;
    }
    if (first->slots == second->slots) {
        struct espimage_error err;
        const struct espimage_flash_map *map = f->contents.map;
        error_found(&err, ESPIMAGE_ERR_LAYOUT, "for user%u, but that is %s already", first->slots,
                    shown(first->path).text);
        error_wanted(&err, "0x%08X, app%u of the %s map", map->link[2 - first->slots],
                     3 - first->slots, map->name);
        error_advice(&err, "link one of them with %s", map->script[2 - first->slots]);
        fail(f, &err, second->path);
    }
}

static void fill_slots(struct factory *f)
{
    for (size_t i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        struct espimage_flash_content *content = &f->contents.slot[s->slots - 1];
        struct espimage_build_options options = {f->profile,    f->contents.map, (uint8_t)s->slots,
                                                 f->flash.mode, f->flash.freq,   false};
        struct espimage_error err;
        *content = (struct espimage_flash_content){s->path, s->file.data, s->file.size};
        if (s->elf.firmware != NULL) {
            if (espimage_image_build(s->elf.firmware, &options, &s->image, &s->notes, &err) !=
                ESPIMAGE_OK) {
                fail(f, &err, s->path);
            }
            content->bytes = s->image.data;
            content->size = s->image.size;
        }
        warn(f, s->path, &s->notes);
    }
}

static void load_content(struct factory *f, const char *path, struct file_bytes *file,
                         struct espimage_flash_content *content)
{
    struct espimage_error err;
    if (path == NULL) {
        return;
    }
    if (file_read(path, INPUT_LIMIT, file, &err) != ESPIMAGE_OK) {
        fail(f, &err, path);
    }
    *content = (struct espimage_flash_content){path, file->data, file->size};
}

/* Everything that can be wrong with the inputs is said before anything is written. */
static bool collect(struct factory *f)
{
    static void (*const steps[])(struct factory *) = {load_sources, choose_map, find_slots,
                                                      settle_slots, fill_slots};
    load_content(f, f->boot_path, &f->boot, &f->contents.boot);
    load_content(f, f->init_path, &f->init, &f->contents.init_data);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && f->failures.count == 0; i++) {
        steps[i](f);
    }
    return f->failures.count == 0;
}

static void free_inputs(struct factory *f)
{
    for (size_t i = 0; i < f->source_count; i++) {
        espimage_bytes_free(&f->sources[i].image);
        elf_file_free(&f->sources[i].elf);
        file_bytes_free(&f->sources[i].file);
    }
    file_bytes_free(&f->boot);
    file_bytes_free(&f->init);
}

/* ---- the files and commands that make the same flash ---- */

static const struct source *source_of(const struct factory *f,
                                      const struct espimage_flash_content *content)
{
    for (size_t i = 0; i < f->source_count; i++) {
        const struct source *s = &f->sources[i];
        if (s->elf.firmware != NULL && content->bytes == s->image.data) {
            return s;
        }
    }
    return NULL;
}

static const struct source *first_elf(const struct factory *f)
{
    for (size_t i = 0; i < f->source_count; i++) {
        if (f->sources[i].elf.firmware != NULL) {
            return &f->sources[i];
        }
    }
    return NULL;
}

/* What `convert` calls the file for a part, or the input that goes there as it is. Without an ELF
 * that is the bootloader too: esptool.py sets the flash settings in what it writes to 0. */
static enum espimage_code part_file(const struct factory *f, const struct espimage_flash_plan *plan,
                                    size_t index, char path[PATH_MAX], struct espimage_error *err)
{
    const struct espimage_flash_content *content = &plan->contents[index];
    bool boot = plan->parts[index].kind == ESPIMAGE_PART_BOOT;
    const struct source *elf = boot ? first_elf(f) : source_of(f, content);
    if (elf == NULL) {
        return path_join(path, "", content->name, err);
    }
    return path_of_image(path, NULL, elf->path, boot ? "boot" : plan->parts[index].name, err);
}

static void add_word(json_t *line, const char *word)
{
    (void)json_array_append_new(line, json_text(word));
}

static void add_settings(json_t *line, const struct factory *f, char between)
{
    char option[16];
    const char *const names[] = {"mode", "freq", "size"};
    const char *const values[] = {espimage_flash_mode_by_code(f->flash.mode)->name,
                                  espimage_flash_freq_by_code(f->flash.freq)->name,
                                  f->contents.map->name};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(option, sizeof option, "--flash%c%s", between, names[i]);
        add_word(line, option);
        add_word(line, values[i]);
    }
}

/* espimagetool convert ..., or NULL when there is no ELF. */
static json_t *convert_command(const struct factory *f)
{
    if (first_elf(f) == NULL) {
        return NULL;
    }
    json_t *line = json_pack("[s, s]", PROGRAM, "convert");
    add_settings(line, f, '-');
    if (f->profile != ESPIMAGE_PROFILE_SDK) {
        add_word(line, "--profile");
        add_word(line, espimage_profile_name(f->profile));
    }
    add_word(line, "--boot");
    add_word(line, f->boot_path);
    for (size_t i = 0; i < f->source_count; i++) {
        bool again = i > 0 && strcmp(f->sources[i].path, f->sources[0].path) == 0;
        if (f->sources[i].elf.firmware != NULL && !again) {
            add_word(line, f->sources[i].path);
        }
    }
    return line;
}

/* Blank sectors are erased rather than written: esptool.py needs no file for that. Init data that
 * were not given, and a slot, stay as they are on the chip. */
static json_t *erase_command(const struct espimage_part *part)
{
    char address[16];
    char size[16];
    (void)snprintf(address, sizeof address, "0x%05X", part->address);
    (void)snprintf(size, sizeof size, "0x%X", part->size);
    return json_pack("[s, s, s, s]", "esptool.py", "erase_region", address, size);
}

static enum espimage_code write_command(const struct factory *f,
                                        const struct espimage_flash_plan *plan, json_t *line,
                                        struct espimage_error *err)
{
    add_settings(line, f, '_');
    for (size_t i = 0; i < plan->part_count; i++) {
        char path[PATH_MAX];
        char address[16];
        if (plan->contents[i].bytes == NULL) {
            continue;
        }
        if (part_file(f, plan, i, path, err) != ESPIMAGE_OK) {
            return err->code;
        }
        (void)snprintf(address, sizeof address, "0x%05X", plan->parts[i].address);
        add_word(line, address);
        add_word(line, path);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code make_commands(const struct factory *f,
                                        const struct espimage_flash_plan *plan, json_t *lines,
                                        struct espimage_error *err)
{
    json_t *convert = convert_command(f);
    if (convert != NULL) {
        (void)json_array_append_new(lines, convert);
    }
    for (size_t i = 0; i < plan->part_count; i++) {
        enum espimage_part_kind kind = plan->parts[i].kind;
        if (kind == ESPIMAGE_PART_RF_CAL || kind == ESPIMAGE_PART_PARAMETERS) {
            (void)json_array_append_new(lines, erase_command(&plan->parts[i]));
        }
    }
    json_t *write = json_pack("[s, s]", "esptool.py", "write_flash");
    (void)json_array_append_new(lines, write);
    return write_command(f, plan, write, err);
}

/* ---- reports ---- */

static void print_word(const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_./:=,+@%-";
    struct shown text = shown(word);
    if (text.text[0] != '\0' && strspn(text.text, plain) == strlen(text.text)) {
        (void)printf(" %s", text.text);
        return;
    }
    (void)printf(" '");
    for (const char *c = text.text; *c != '\0'; c++) {
        (void)printf(*c == '\'' ? "'\\''" : "%c", *c);
    }
    (void)printf("'");
}

static void print_commands(const json_t *lines)
{
    (void)printf("Commands that do the same with a chip; the rest of its flash stays as it is:\n");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        (void)printf(" ");
        for (size_t w = 0; w < json_array_size(line); w++) {
            print_word(json_string_value(json_array_get(line, w)));
        }
        (void)printf("\n");
    }
    (void)printf("erase_region makes the bootloader choose user1, and the device forget what the "
                 "SDK\nhas stored, such as Wi-Fi settings.\n");
}

static void print_part(FILE *to, const struct espimage_part *part,
                       const struct espimage_flash_content *content, const char *file)
{
    (void)fprintf(to, "  0x%06X  %-18s ", part->address, part->name);
    if (content->bytes == NULL) {
        (void)fprintf(to, "%s\n", part->blank ? "blank" : "no bootloader, a header alone");
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
            if (part_file(f, plan, i, path, err) != ESPIMAGE_OK) {
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
    const struct espimage_flash_map *map = f->contents.map;
    const char *mode = espimage_flash_mode_by_code(f->flash.mode)->name;
    const char *freq = espimage_flash_freq_by_code(f->flash.freq)->name;
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
    const struct file_bytes *inputs[MAX_SOURCES + 2] = {&f->boot, &f->init};
    const char *paths[MAX_SOURCES + 2] = {f->boot_path, f->init_path};
    for (size_t i = 0; i < f->source_count; i++) {
        inputs[i + 2] = &f->sources[i].file;
        paths[i + 2] = f->sources[i].path;
    }
    for (size_t i = 0; i < f->source_count + 2 && f->output != NULL && !f->to_stdout; i++) {
        if (paths[i] != NULL && file_is_same(f->output, &inputs[i]->status)) {
            error_found(err, ESPIMAGE_ERR_USAGE, "the output %s is the input %s",
                        shown(f->output).text, shown(paths[i]).text);
            return error_advice(err, "name another file");
        }
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
    enum espimage_code code = make_commands(f, plan, lines, err);
    if (code == ESPIMAGE_OK) {
        report_head(f, document);
        code = report_parts(f, plan, document, err);
    }
    (void)json_object_set(document, "commands", lines);
    if (code == ESPIMAGE_OK && !f->json) {
        print_commands(lines);
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
    } else if (f->init_path == NULL) {
        note_add(&notes, "no init data: the SDK's firmware reads its esp_init_data_default.bin; "
                         "give it with --init-data");
    }
    if (f->contents.slot[0].bytes == NULL) {
        note_add(&notes, "user1 is blank, and the bootloader tries it first; give an ELF for app1");
    }
    warn(f, f->plan_only ? "plan" : f->output, &notes);
}

static void produce(struct factory *f, json_t *document)
{
    struct espimage_flash_plan plan;
    struct espimage_error err;
    if (!collect(f)) {
        return;
    }
    if (check_output(f, &err) != ESPIMAGE_OK ||
        espimage_flash_plan_make(&f->contents, &plan, &err) != ESPIMAGE_OK) {
        fail(f, &err, NULL);
        return;
    }
    warn_of_gaps(f);
    enum espimage_code code =
        f->plan_only ? show_plan(f, &plan, document, &err) : write_flash(f, &plan, document, &err);
    if (code != ESPIMAGE_OK) {
        fail(f, &err, NULL);
    }
}

static int check_usage(struct factory *f, size_t count)
{
    if (count == 0 || count > MAX_SOURCES) {
        return usage_error("factory: give one or two ELFs or images; see: " PROGRAM
                           " factory --help");
    }
    if ((f->output != NULL) == f->plan_only) {
        return usage_error("factory: give either -o FILE or --plan");
    }
    if ((f->boot_path != NULL) == f->no_boot) {
        return usage_error("factory: give either --boot FILE, the SDK's bin/boot_v1.7.bin or the "
                           "like, or --no-boot for a flash that no chip starts from");
    }
    if (f->plan_only && f->no_boot) {
        return usage_error("factory: --plan is for a chip, --no-boot is not");
    }
    return stdout_option(&cmd_factory, f->output, f->json, &f->to_stdout);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct factory f = {.profile = ESPIMAGE_PROFILE_SDK};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &f, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    f.source_count = (size_t)(argc - first);
    status = check_usage(&f, f.source_count);
    if (status != 0) {
        return status;
    }
    for (size_t i = 0; i < f.source_count; i++) {
        f.sources[i].path = argv[first + (int)i];
    }
    f.contents.flash_mode = f.flash.mode;
    f.contents.flash_freq = f.flash.freq;
    f.warnings = json_array();
    json_t *document = json_document(self->name);
    produce(&f, document);
    status = f.failures.count > 0 ? f.failures.first_status : 0;
    (void)json_object_set_new(document, "warnings", f.warnings);
    (void)json_object_set_new(document, "errors", failures_json(&f.failures));
    if (f.json) {
        status = json_print(document, status);
    } else {
        json_decref(document);
    }
    failures_free(&f.failures);
    free_inputs(&f);
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
