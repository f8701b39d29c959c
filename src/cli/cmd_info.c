/* SPDX-License-Identifier: MIT */
/* info: what an ELF, an image or a flash dump holds. */
#include "base/error.h"
#include "base/file.h"
#include "base/file_write.h"
#include "cli/advice.h"
#include "cli/commands.h"
#include "cli/extract.h"
#include "cli/info_flash.h"
#include "cli/info_image.h"
#include "cli/output.h"
#include "image/secrets.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <espimage/identify.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec info_options[] = {
    {OPT_EXTRACT, "extract", NULL, 0, "DIR", NULL,
     "write the parts of a flash dump into this folder"},
    {OPT_REDACT, "redact", NULL, 0, "OUT", NULL, "write a flash dump that can be published"},
    {OPT_SECRETS, "secrets", NULL, 0, NULL, NULL, "show names of networks, passwords and keys"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

struct inquiry {
    const char *extract_to; /* NULL: nothing is written */
    const char *redact_to;  /* NULL: nothing is written */
    bool secrets;
    bool json;
};

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct inquiry *q = context;
    (void)err;
    switch (id) {
    case OPT_EXTRACT: q->extract_to = value; break;
    case OPT_REDACT: q->redact_to = value; break;
    case OPT_SECRETS: q->secrets = true; break;
    default: q->json = true; break;
    }
    return ESPIMAGE_OK;
}

/* ---- ELF ---- */

static json_t *elf_json(const espimage_firmware *fw, const struct espimage_link *link)
{
    json_t *sections = json_array();
    json_t *memory = json_array();
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        (void)json_array_append_new(
            sections,
            json_pack("{s:o, s:s, s:o, s:I, s:b}", "name", json_text(s->name), "memory",
                      espimage_region(s->region)->name, "address", json_hex(s->address, 8), "size",
                      (json_int_t)s->size, "in_image", s->bytes != NULL));
    }
    for (int k = 0; k < ESPIMAGE_REGION_COUNT; k++) {
        const struct espimage_region *r = espimage_region((enum espimage_region_kind)k);
        (void)json_array_append_new(memory,
                                    json_pack("{s:s, s:I, s:I}", "name", r->name, "used",
                                              (json_int_t)espimage_firmware_use(fw, r->kind),
                                              "size", (json_int_t)r->size));
    }
    const char *doubt = espimage_firmware_entry_doubt(fw);
    json_t *app1 = json_array();
    json_t *app2 = json_array();
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *m = espimage_flash_map_at(i);
        unsigned slots = espimage_link_slots(link, m);
        if ((slots & 1) != 0) {
            (void)json_array_append_new(app1, json_string(m->name));
        }
        if ((slots & 2) != 0) {
            (void)json_array_append_new(app2, json_string(m->name));
        }
    }
    return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "content", "elf",
                     "entry", json_hex(espimage_firmware_entry(fw), 8), "entry_doubt",
                     doubt[0] != '\0' ? json_string(doubt) : json_null(), "layout",
                     espimage_layout_name(link->layout), "reason", link->reason, "advice",
                     json_advice(link->advice, link->advice_code), "app1_of", app1, "app2_of", app2,
                     "sections", sections, "memory", memory);
}

static void elf_text(const espimage_firmware *fw, const struct espimage_link *link)
{
    (void)printf("ELF for the ESP8266\n  layout     %s\n", link->reason);
    if (link->advice[0] != '\0') {
        (void)printf("             %s%s\n", link->advice, advice_means(link->advice_code));
    }
    (void)printf("  entry      0x%08X\n", espimage_firmware_entry(fw));
    if (espimage_firmware_entry_doubt(fw)[0] != '\0') {
        (void)printf("             %s%s%s: a device crashes there at once\n", style_doubtful(),
                     espimage_firmware_entry_doubt(fw), style_end());
    }
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        (void)printf("  section    %-4s 0x%08X %7u  %s%s\n", espimage_region(s->region)->name,
                     s->address, s->size, s->name, s->bytes != NULL ? "" : " (no content)");
    }
    for (int k = 0; k < ESPIMAGE_REGION_COUNT; k++) {
        const struct espimage_region *r = espimage_region((enum espimage_region_kind)k);
        uint32_t used = espimage_firmware_use(fw, r->kind);
        if (used > 0 || r->kind != ESPIMAGE_REGION_RTC) {
            info_bar(r->name, used, r->size);
        }
    }
}

/* ---- flash dump ---- */

static json_t *redactions_json(const struct redactions *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:o, s:I, s:s}", "address", json_hex(r->list[i].address, 6), "size",
                            (json_int_t)r->list[i].size, "what", r->list[i].what));
    }
    return list;
}

static void redactions_text(const struct redactions *r, const char *path)
{
    for (size_t i = 0; i < r->count; i++) {
        (void)printf("  blanked    0x%06X %7u  %s\n", r->list[i].address, r->list[i].size,
                     r->list[i].what);
    }
    (void)printf("  blanked    %zu places%s; written to %s\n", r->count,
                 r->complete ? "" : " and more", shown(path).text);
}

/* The file as it is read stays as it is; the copy for others is made of it. */
static enum espimage_code redact(const struct file_bytes *file,
                                 const struct espimage_flash_view *flash, const char *to,
                                 struct redactions *out, struct espimage_error *err)
{
    struct stat output;
    if (stat(to, &output) == 0 && output.st_dev == file->status.st_dev &&
        output.st_ino == file->status.st_ino) {
        error_found(err, ESPIMAGE_ERR_USAGE, "the output %s is the input", shown(to).text);
        return error_advice(err, "choose another name: the dump itself is not changed");
    }
    uint8_t *copy = malloc(file->size);
    if (copy == NULL) {
        return error_no_memory(err);
    }
    memcpy(copy, file->data, file->size);
    secrets_redact(copy, file->size, flash, out);
    enum espimage_code code = file_write(to, copy, file->size, err);
    free(copy);
    return code;
}

static enum espimage_code describe_flash(const struct file_bytes *file, const char *path,
                                         const struct inquiry *q, json_t **out,
                                         struct espimage_error *err)
{
    const struct info_flash dump = {file->data, file->size, q->extract_to, q->secrets};
    struct espimage_flash_view flash;
    struct redactions redactions = {.count = 0};
    espimage_flash_parse(file->data, file->size, &flash);
    if (q->extract_to != NULL && extract_parts(file, &flash, q->extract_to, err) != ESPIMAGE_OK) {
        return err->code;
    }
    if (q->redact_to != NULL &&
        redact(file, &flash, q->redact_to, &redactions, err) != ESPIMAGE_OK) {
        return err->code;
    }
    if (q->json) {
        *out = info_flash_json(&dump, &flash);
        if (q->redact_to != NULL) {
            (void)json_object_set_new(*out, "redacted", redactions_json(&redactions));
        }
        return ESPIMAGE_OK;
    }
    (void)printf("%s: ", shown(path).text);
    info_flash_text(&dump, &flash);
    if (q->redact_to != NULL) {
        redactions_text(&redactions, q->redact_to);
    }
    return ESPIMAGE_OK;
}

/* ---- any file ---- */

static enum espimage_code describe_elf(const struct file_bytes *file, const char *path, bool json,
                                       json_t **out, struct espimage_error *err)
{
    espimage_firmware *fw = NULL;
    struct espimage_link link;
    enum espimage_code code = espimage_firmware_from_elf(file->data, file->size, &fw, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    espimage_classify(fw, &link);
    if (json) {
        *out = elf_json(fw, &link);
    } else {
        (void)printf("%s: ", shown(path).text);
        elf_text(fw, &link);
    }
    espimage_firmware_free(fw);
    return ESPIMAGE_OK;
}

static enum espimage_code describe_unknown(const struct file_bytes *file,
                                           struct espimage_error *err)
{
    struct espimage_identity identity;
    espimage_identify(file->data, file->size, &identity);
    error_found(err, ESPIMAGE_ERR_IMAGE, "%s", identity.text);
    return error_wanted(err, "an ELF, an image or a flash dump");
}

/* Prints the description, or makes *out of it. */
static enum espimage_code describe(const struct file_bytes *file, const char *path,
                                   const struct inquiry *q, json_t **out,
                                   struct espimage_error *err)
{
    struct espimage_image_view view;
    enum espimage_content content = espimage_recognise(file->data, file->size);

    if ((q->extract_to != NULL || q->redact_to != NULL) && content != ESPIMAGE_CONTENT_FLASH) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "not a flash dump: there is nothing to %s",
                    q->extract_to != NULL ? "extract" : "redact");
        return error_wanted(err, "256 KB to 16 MB, a power of two, with a bootloader (E9) at 0");
    }
    switch (content) {
    case ESPIMAGE_CONTENT_ELF: return describe_elf(file, path, q->json, out, err);
    case ESPIMAGE_CONTENT_IMAGE:
        espimage_image_parse(file->data, file->size, &view);
        if (q->json) {
            *out = info_image_json(&view);
        } else {
            (void)printf("%s: ", shown(path).text);
            info_image_text(&view);
        }
        return ESPIMAGE_OK;
    case ESPIMAGE_CONTENT_FLASH: return describe_flash(file, path, q, out, err);
    case ESPIMAGE_CONTENT_UNKNOWN: break;
    }
    return describe_unknown(file, err);
}

static enum espimage_code describe_path(const char *path, const struct inquiry *q, json_t *list,
                                        struct espimage_error *err)
{
    struct file_bytes file;
    json_t *out = NULL;
    enum espimage_code code = file_read(path, INPUT_LIMIT, &file, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    code = describe(&file, path, q, &out, err);
    if (out != NULL) {
        (void)json_object_set_new(out, "file", json_text(path));
        (void)json_array_append_new(list, out);
    }
    file_bytes_free(&file);
    return code == ESPIMAGE_OK ? code : error_in_file(err, path);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct inquiry q = {0};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &q, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    if (first == argc) {
        return usage_error("info: no file given; see: " PROGRAM " info --help");
    }
    if ((q.extract_to != NULL || q.redact_to != NULL) && argc - first > 1) {
        return usage_error("info: --extract and --redact go with one flash dump");
    }
    json_t *list = q.json ? json_array() : NULL;
    struct failures failures = {0};
    for (int i = first; i < argc; i++) {
        struct espimage_error err;
        if (describe_path(argv[i], &q, list, &err) != ESPIMAGE_OK) {
            failures_add(&failures, &err);
        }
    }
    status = failures_status(&failures, (size_t)(argc - first));
    if (q.json) {
        json_t *document = json_document(self->name);
        (void)json_object_set_new(document, "files", list);
        (void)json_object_set_new(document, "errors", failures_json(&failures));
        status = json_print(document, status);
    }
    failures_free(&failures);
    return status;
}

const struct command cmd_info = {
    .name = "info",
    .arguments = "FILE...",
    .files = "*.elf *.out *.bin",
    .summary = "Show what an ELF, an image or a flash dump holds",
    .details = "Files are recognised by their content.",
    .example = PROGRAM " info app1.elf app-user1.bin",
    .groups = {info_options, common_options, NULL},
    .run = run,
};
