/* SPDX-License-Identifier: MIT */
/* convert: ELF files to .bin files. */
#include "base/error.h"
#include "base/file.h"
#include "base/file_write.h"
#include "base/sha256.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/paths.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option_spec convert_options[] = {
    {OPT_OUTPUT, "output", NULL, 'o', "FILE", NULL, "where to write the one image; - is stdout"},
    {OPT_OUT_DIR, "out-dir", NULL, 0, "DIR", NULL, "folder for the images (default: the ELF's)"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", PROFILE_NAMES, "whose image it is (default sdk)"},
    {OPT_APP, "app", NULL, 0, "1|2", "1 2", "the slot, whatever the ELF was linked for"},
    {OPT_IROM_CHECKSUM, "irom-checksum", NULL, 0, NULL, NULL,
     "checksum irom too (rBoot's BOOT_IROM_CHKSUM)"},
    {OPT_NO_BOOT, "no-boot", NULL, 0, NULL, NULL,
     "write the two files of a firmware for no bootloader"},
    {OPT_BOOT, "boot", NULL, 0, "FILE", NULL, "also write this bootloader, flash settings set"},
    {OPT_ANY_LAYOUT, "any-layout", NULL, 0, NULL, NULL, NULL},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

struct input {
    const char *path;
    struct stat status;
};

/* What was asked for, and what came of it so far. */
struct conversion {
    const char *output;
    const char *out_dir;
    enum espimage_profile profile;
    uint8_t app; /* 0: by the link address */
    bool irom_checksum;
    bool no_boot;
    bool any_layout; /* as ESPImageTool: a no-boot ELF becomes its pair unasked */
    const char *boot_path;
    bool json;
    struct flash_settings flash;
    const struct espimage_flash_map *map;
    bool map_assumed;
    bool to_stdout;
    json_t *images; /* NULL without --json */
    char **written; /* paths so far, to notice two ELFs with one output; owned */
    size_t written_count;
    struct input *inputs; /* never overwritten; owned */
    size_t input_count;
    struct failures failures;
};

/* An image about to be written. */
struct artefact {
    const struct elf_file *elf;
    const uint8_t *data;
    size_t size;
    const char *kind; /* "user1", "0x00000", ... */
    uint8_t app;      /* 0 when it is for no slot */
    uint32_t flash_address;
    uint32_t limit; /* 0: none */
    const struct espimage_notes *notes;
};

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct conversion *c = context;
    switch (id) {
    case OPT_OUTPUT: c->output = value; return ESPIMAGE_OK;
    case OPT_OUT_DIR: c->out_dir = value; return ESPIMAGE_OK;
    case OPT_PROFILE: return profile_option(value, &c->profile, err);
    case OPT_APP: return app_option(value, &c->app, err);
    case OPT_IROM_CHECKSUM: c->irom_checksum = true; return ESPIMAGE_OK;
    case OPT_NO_BOOT: c->no_boot = true; return ESPIMAGE_OK;
    case OPT_BOOT: c->boot_path = value; return ESPIMAGE_OK;
    case OPT_ANY_LAYOUT: c->any_layout = true; return ESPIMAGE_OK;
    case OPT_JSON: c->json = true; return ESPIMAGE_OK;
    default: return flash_option(&c->flash, id, value, err);
    }
}

/* Where results go: with the image itself on stdout, to stderr. */
static FILE *report_to(const struct conversion *c)
{
    return c->to_stdout ? stderr : stdout;
}

static enum espimage_code output_path(const struct conversion *c, const struct artefact *a,
                                      char path[PATH_MAX], struct espimage_error *err)
{
    return c->output != NULL ? path_join(path, "", c->output, err)
                             : path_of_image(path, c->out_dir, a->elf->path, a->kind, err);
}

static enum espimage_code remember_path(struct conversion *c, const char *path,
                                        struct espimage_error *err)
{
    for (size_t i = 0; i < c->written_count; i++) {
        if (strcmp(c->written[i], path) == 0) {
            error_found(err, ESPIMAGE_ERR_USAGE, "%s was already written from another ELF", path);
            return error_advice(err, "give them different names, or different --out-dir");
        }
    }
    char **more = realloc(c->written, (c->written_count + 1) * sizeof *more);
    char *copy = strdup(path);
    c->written = more != NULL ? more : c->written;
    if (more == NULL || copy == NULL) {
        free(copy);
        return error_no_memory(err);
    }
    c->written[c->written_count++] = copy;
    return ESPIMAGE_OK;
}

static enum espimage_code refuse_input(const struct conversion *c, const char *path,
                                       struct espimage_error *err)
{
    struct stat output;
    bool exists = stat(path, &output) == 0;
    for (size_t i = 0; exists && i < c->input_count; i++) {
        const struct input *input = &c->inputs[i];
        if (input->status.st_dev == output.st_dev && input->status.st_ino == output.st_ino) {
            error_found(err, ESPIMAGE_ERR_USAGE, "the output %s is the input %s", shown(path).text,
                        shown(input->path).text);
            return error_advice(err, "name another file");
        }
    }
    return ESPIMAGE_OK;
}

static void report_text(const struct conversion *c, const struct artefact *a, const char *path,
                        const char *sha256)
{
    FILE *to = report_to(c);
    (void)fprintf(to, "%s: %s at 0x%05X, %zu bytes", shown(path).text, a->kind, a->flash_address,
                  a->size);
    if (a->limit != 0) {
        (void)fprintf(to, ", %u left in the slot", a->limit - (uint32_t)a->size);
    }
    (void)fprintf(to, " (map %s%s)\n  sha256 %s\n", c->map->name, c->map_assumed ? ", assumed" : "",
                  sha256);
}

static void report_json(const struct conversion *c, const struct artefact *a, const char *path,
                        const char *sha256)
{
    json_t *image =
        json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:I, s:s, s:o}", "file", json_text(path),
                  "elf", json_text(a->elf->path), "kind", a->kind, "profile",
                  espimage_profile_name(c->profile), "flash_map", c->map->name, "flash_map_from",
                  c->map_assumed ? "assumed" : (c->flash.map != NULL ? "option" : "addresses"),
                  "flash_address", json_hex(a->flash_address, 5), "size", (json_int_t)a->size,
                  "sha256", sha256, "warnings", json_notes(a->notes));
    if (a->app != 0) {
        (void)json_object_set_new(image, "slot", json_integer(a->app));
    }
    if (a->limit != 0) {
        (void)json_object_set_new(image, "slot_limit", json_integer(a->limit));
        (void)json_object_set_new(image, "slot_left",
                                  json_integer((json_int_t)a->limit - (json_int_t)a->size));
    }
    (void)json_array_append_new(c->images, image);
}

static enum espimage_code deliver(struct conversion *c, const struct artefact *a,
                                  struct espimage_error *err)
{
    char path[PATH_MAX];
    char sha256[SHA256_TEXT];
    enum espimage_code code = output_path(c, a, path, err);

    if (code == ESPIMAGE_OK && !c->to_stdout) {
        code = refuse_input(c, path, err);
        code = code == ESPIMAGE_OK ? remember_path(c, path, err) : code;
    }
    if (code == ESPIMAGE_OK) {
        code = c->to_stdout ? file_write_all(STDOUT_FILENO, a->data, a->size, err)
                            : file_write(path, a->data, a->size, err);
    }
    if (code != ESPIMAGE_OK) {
        return code;
    }
    print_warnings(a->elf->path, a->notes);
    sha256_text(a->data, a->size, sha256);
    if (c->json) {
        report_json(c, a, path, sha256);
    } else {
        report_text(c, a, path, sha256);
    }
    return ESPIMAGE_OK;
}

static struct espimage_build_options build_options(const struct conversion *c, uint8_t app)
{
    return (struct espimage_build_options){
        .size = sizeof(struct espimage_build_options),
        .profile = c->profile,
        .map = c->map,
        .app = app,
        .flash_mode = c->flash.mode,
        .flash_freq = c->flash.freq,
        .irom_checksum = c->irom_checksum,
    };
}

static enum espimage_code convert_slot(struct conversion *c, const struct elf_file *elf,
                                       uint8_t app, struct espimage_notes *notes,
                                       struct espimage_error *err)
{
    struct espimage_bytes image = {0};
    struct espimage_build_options options = build_options(c, app);
    enum espimage_code code = espimage_image_build(elf->firmware, &options, &image, notes, err);

    if (code == ESPIMAGE_OK) {
        struct artefact a = {elf,
                             image.data,
                             image.size,
                             app == 1 ? "user1" : "user2",
                             app,
                             c->map->slot[app - 1],
                             c->map->slot_limit,
                             notes};
        code = deliver(c, &a, err);
    }
    espimage_bytes_free(&image);
    return code;
}

static void note_end_of_rom(const struct conversion *c, uint32_t address, size_t size,
                            struct espimage_notes *notes)
{
    if (address >= c->map->flash_size || size > c->map->flash_size - address) {
        note_add(notes, "the ROM ends at flash address 0x%zX, beyond the flash of the %s map",
                 address + size, c->map->name);
    }
}

/* rBoot's ROMs are known by where they lie. */
static enum espimage_code convert_rom(struct conversion *c, const struct elf_file *elf,
                                      struct espimage_error *err)
{
    struct espimage_bytes image = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_build_options options = build_options(c, 1);
    char kind[16];
    enum espimage_code code = espimage_image_build(elf->firmware, &options, &image, &notes, err);

    if (code == ESPIMAGE_OK) {
        (void)snprintf(kind, sizeof kind, "0x%05x", elf->link.flash_address);
        struct artefact a = {elf, image.data, image.size, kind, 0, elf->link.flash_address,
                             0,   &notes};
        note_end_of_rom(c, elf->link.flash_address, image.size, &notes);
        code = deliver(c, &a, err);
    }
    espimage_bytes_free(&image);
    return code;
}

static enum espimage_code check_no_boot(const struct conversion *c, const struct elf_file *elf,
                                        size_t ram_size, struct espimage_error *err)
{
    struct espimage_irom irom = espimage_firmware_irom(elf->firmware);
    if (ram_size > elf->link.flash_address) {
        error_found(err, ESPIMAGE_ERR_SIZE, "the file for address 0 is %zu bytes long", ram_size);
        error_wanted(err, "at most %u: the irom part begins there", elf->link.flash_address);
        return error_advice(err, "move code to flash, or link irom higher");
    }
    if (elf->link.flash_address + irom.size > c->map->flash_size) {
        error_found(err, ESPIMAGE_ERR_SIZE, "the irom part ends at flash address 0x%X",
                    elf->link.flash_address + irom.size);
        return error_wanted(err, "at most 0x%X, the end of the %s flash", c->map->flash_size,
                            c->map->name);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code convert_no_boot(struct conversion *c, const struct elf_file *elf,
                                          struct espimage_error *err)
{
    struct espimage_bytes ram = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_irom irom = espimage_firmware_irom(elf->firmware);
    struct espimage_build_options options = build_options(c, 1);
    char kind[16];
    enum espimage_code code = espimage_no_boot_build(elf->firmware, &options, &ram, err);

    if (code == ESPIMAGE_OK) {
        code = check_no_boot(c, elf, ram.size, err);
    }
    if (code == ESPIMAGE_OK) {
        struct artefact a = {elf, ram.data, ram.size, "0x00000", 0, 0, 0, &notes};
        code = deliver(c, &a, err);
    }
    if (code == ESPIMAGE_OK) {
        (void)snprintf(kind, sizeof kind, "0x%05x", elf->link.flash_address);
        struct artefact a = {elf, irom.bytes, irom.size, kind, 0, elf->link.flash_address,
                             0,   &notes};
        code = deliver(c, &a, err);
    }
    espimage_bytes_free(&ram);
    return code;
}

/* The bootloader, once for each ELF, as ESPImageTool does. */
static enum espimage_code convert_boot(struct conversion *c, const struct elf_file *elf,
                                       struct espimage_error *err)
{
    struct file_bytes boot;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_build_options options = build_options(c, 1);
    enum espimage_code code = file_read(c->boot_path, INPUT_LIMIT, &boot, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    code = espimage_boot_patch(boot.data, boot.size, &options, err);
    if (code == ESPIMAGE_OK) {
        struct artefact a = {elf, boot.data, boot.size, "boot", 0, 0, 0, &notes};
        code = deliver(c, &a, err);
    } else {
        error_in_file(err, c->boot_path);
    }
    file_bytes_free(&boot);
    return code;
}

/* Bit 0: make user1; bit 1: make user2. 0: refused, err is filled. */
static unsigned choose_slots(const struct conversion *c, const struct elf_file *elf,
                             struct espimage_notes *notes, struct espimage_error *err)
{
    unsigned linked = espimage_link_slots(&elf->link, c->map);
    if (c->app == 0) {
        if (linked == 0) {
            espimage_link_refuse(&elf->link, c->map, err);
        }
        return linked;
    }
    if ((linked & c->app) == 0) {
        note_add(notes, "%s; made for slot %u all the same, because --app says so",
                 elf->link.reason, c->app);
    }
    return c->app;
}

static enum espimage_code convert_elf(struct conversion *c, const struct elf_file *elf,
                                      struct espimage_error *err)
{
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    enum espimage_layout layout = elf->link.layout;

    bool no_boot = c->no_boot || (c->any_layout && layout == ESPIMAGE_LAYOUT_NO_BOOT);
    if (c->boot_path != NULL && (no_boot || c->profile == ESPIMAGE_PROFILE_RBOOT)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "it is not for Espressif's bootloader");
        return error_advice(err, "leave out --boot");
    }
    if (no_boot && c->output != NULL) {
        error_found(err, ESPIMAGE_ERR_USAGE, "it becomes two files, so -o cannot name them");
        return error_advice(err, "use --out-dir");
    }
    if (no_boot) {
        if (layout != ESPIMAGE_LAYOUT_NO_BOOT) {
            error_found(err, ESPIMAGE_ERR_LAYOUT, "%s", elf->link.reason);
            error_wanted(err, "an ELF for no bootloader");
            return error_advice(err, "leave out --no-boot");
        }
        return convert_no_boot(c, elf, err);
    }
    bool rom = layout == ESPIMAGE_LAYOUT_RBOOT || layout == ESPIMAGE_LAYOUT_OTA ||
               layout == ESPIMAGE_LAYOUT_ARDUINO;
    if (c->profile == ESPIMAGE_PROFILE_RBOOT && rom) {
        return convert_rom(c, elf, err);
    }
    unsigned slots = choose_slots(c, elf, &notes, err);
    if (slots == 0) {
        return err->code;
    }
    if (c->output != NULL && slots == 3) {
        error_found(err, ESPIMAGE_ERR_USAGE, "it serves both slots, so -o would get two images");
        return error_advice(err, "say which by --app 1 or --app 2");
    }
    enum espimage_code code = c->boot_path != NULL ? convert_boot(c, elf, err) : ESPIMAGE_OK;
    for (uint8_t app = 1; app <= 2 && code == ESPIMAGE_OK; app++) {
        if ((slots & app) != 0) {
            struct espimage_notes own = notes;
            code = convert_slot(c, elf, app, &own, err);
        }
    }
    return code;
}

/* More ELFs than this are read a second time rather than kept. */
#define KEEP_LOADED 16

/* First pass: what are they, and which flash map do they leave? */
static void load_all(struct conversion *c, struct elf_file *elfs, char **paths, size_t count)
{
    struct espimage_map_choice choice;
    struct espimage_error err;

    espimage_map_choice_init(&choice, c->flash.map);
    for (size_t i = 0; i < count; i++) {
        if (count > KEEP_LOADED && c->flash.map != NULL) {
            elfs[i].path = paths[i]; /* nothing to find out: the second pass will do */
            continue;
        }
        if (elf_file_load(paths[i], &elfs[i], &err) != ESPIMAGE_OK) {
            failures_add(&c->failures, &err);
            continue;
        }
        bool for_slots = !c->no_boot && c->profile != ESPIMAGE_PROFILE_RBOOT;
        if (for_slots &&
            espimage_map_choice_add(&choice, &elfs[i].link, paths[i], &err) != ESPIMAGE_OK &&
            c->app == 0) {
            failures_add(&c->failures, &err);
            elf_file_free(&elfs[i]);
            elfs[i].path = NULL;
            continue;
        }
        if (count > KEEP_LOADED) {
            elf_file_free(&elfs[i]);
        }
    }
    c->map = espimage_map_choice_map(&choice, &c->map_assumed);
}

/* Second pass. */
static void convert_all(struct conversion *c, struct elf_file *elfs, size_t count)
{
    struct espimage_error err;
    for (size_t i = 0; i < count; i++) {
        const char *path = elfs[i].path;
        if (path == NULL) {
            continue;
        }
        enum espimage_code code = ESPIMAGE_OK;
        if (elfs[i].firmware == NULL) {
            code = elf_file_load(path, &elfs[i], &err);
        }
        if (code == ESPIMAGE_OK) {
            code = convert_elf(c, &elfs[i], &err);
        }
        if (code != ESPIMAGE_OK) {
            error_in_file(&err, path);
            failures_add(&c->failures, &err);
        }
        elf_file_free(&elfs[i]);
    }
}

/* Remembers which files are read: the ELFs and the bootloader. False when out of memory. */
static bool note_inputs(struct conversion *c, char **paths, size_t count)
{
    c->inputs = calloc(count + 1, sizeof *c->inputs);
    for (size_t i = 0; c->inputs != NULL && i <= count; i++) {
        struct input *input = &c->inputs[c->input_count];
        input->path = i < count ? paths[i] : c->boot_path;
        if (input->path != NULL && stat(input->path, &input->status) == 0) {
            c->input_count++;
        }
    }
    return c->inputs != NULL;
}

static int finish(struct conversion *c, const struct command *self, size_t count)
{
    int status = failures_status(&c->failures, count);
    if (c->json) {
        json_t *document = json_document(self->name);
        (void)json_object_set_new(document, "images", c->images);
        (void)json_object_set_new(document, "errors", failures_json(&c->failures));
        status = json_print(document, status);
    }
    failures_free(&c->failures);
    for (size_t i = 0; i < c->written_count; i++) {
        free(c->written[i]);
    }
    free(c->written);
    free(c->inputs);
    return status;
}

static int check_usage(struct conversion *c, size_t count)
{
    if (count == 0) {
        return usage_error("convert: no ELF given; see: " PROGRAM " convert --help");
    }
    if (c->output != NULL && (count > 1 || c->no_boot)) {
        return usage_error("convert: -o takes one image; use --out-dir for several");
    }
    if (c->boot_path != NULL && (c->output != NULL || c->no_boot)) {
        return usage_error("convert: --boot goes with neither -o nor --no-boot");
    }
    if (c->output != NULL && c->out_dir != NULL) {
        return usage_error("convert: -o and --out-dir exclude each other");
    }
    if (c->no_boot && (c->app != 0 || c->profile != ESPIMAGE_PROFILE_SDK)) {
        return usage_error("convert: --no-boot goes with neither --app nor --profile");
    }
    return stdout_option(&cmd_convert, c->output, c->json, &c->to_stdout);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct conversion c = {.profile = ESPIMAGE_PROFILE_SDK};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &c, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    size_t count = (size_t)(argc - first);
    status = check_usage(&c, count);
    if (status != 0) {
        return status;
    }
    struct elf_file *elfs = calloc(count, sizeof *elfs);
    if (elfs == NULL || !note_inputs(&c, argv + first, count)) {
        struct espimage_error err;
        free(elfs);
        error_no_memory(&err);
        return print_error(&err);
    }
    c.images = c.json ? json_array() : NULL;
    load_all(&c, elfs, argv + first, count);
    convert_all(&c, elfs, count);
    free(elfs);
    return finish(&c, self, count);
}

const struct command cmd_convert = {
    .name = "convert",
    .arguments = "ELF...",
    .files = "*.elf *.out",
    .summary = "Convert ELF files to images for the new bootloader",
    .details = "An ELF linked for app1 becomes NAME-user1.bin, one for app2 NAME-user2.bin;\n"
               "where one ELF serves both slots (the 1024+1024 maps) it becomes both.",
    .example = PROGRAM " convert --flash-size 1MB --out-dir release app1.elf app2.elf",
    .groups = {convert_options, flash_options, common_options, NULL},
    .run = run,
};
