/* SPDX-License-Identifier: MIT */
/* info: what an ELF, an image or a flash dump holds. */
#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/advice.h"
#include "cli/commands.h"
#include "cli/extract.h"
#include "cli/output.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <espimage/identify.h>
#include <stdio.h>
#include <string.h>

static const struct option_spec info_options[] = {
    {OPT_EXTRACT, "extract", NULL, 0, "DIR", NULL,
     "write the parts of a flash dump into this folder"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

struct inquiry {
    const char *extract_to; /* NULL: nothing is written */
    bool json;
};

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct inquiry *q = context;
    (void)err;
    if (id == OPT_EXTRACT) {
        q->extract_to = value;
    } else {
        q->json = true;
    }
    return ESPIMAGE_OK;
}

#define BAR_WIDTH 32

static void bar(const char *label, uint32_t used, uint32_t size)
{
    char cells[BAR_WIDTH + 1];
    uint32_t filled = size == 0 ? 0 : (uint32_t)((uint64_t)used * BAR_WIDTH / size);
    filled = used > 0 && filled == 0 ? 1 : filled;
    filled = filled > BAR_WIDTH ? BAR_WIDTH : filled;
    memset(cells, '.', BAR_WIDTH);
    memset(cells, '#', filled);
    cells[BAR_WIDTH] = '\0';
    (void)printf("  %-10s [%s] %u of %u bytes (%u %%)\n", label, cells, used, size,
                 size == 0 ? 0 : (unsigned)((uint64_t)used * 100 / size));
}

static const char *region_name(uint32_t address)
{
    const struct espimage_region *region = espimage_region_at(address);
    return region != NULL ? region->name : "-";
}

static const char *name_or(const struct espimage_flash_setting *setting)
{
    return setting != NULL ? setting->text : "unknown";
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
            bar(r->name, used, r->size);
        }
    }
}

/* ---- image ---- */

static json_t *image_json(const struct espimage_image_view *v)
{
    struct espimage_identity identity;
    json_t *segments = json_array();
    for (size_t i = 0; i < v->segment_count; i++) {
        (void)json_array_append_new(
            segments,
            json_pack("{s:o, s:s, s:I, s:I}", "address", json_hex(v->segment[i].address, 8),
                      "memory", region_name(v->segment[i].address), "size",
                      (json_int_t)v->segment[i].size, "offset", (json_int_t)v->segment[i].offset));
    }
    espimage_identify(v->bytes, v->size, &identity);
    json_t *image =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "content", "image", "format",
                  v->has_irom ? "v2" : "v1", "mistake", espimage_mistake_name(identity.mistake),
                  "mistake_text", identity.text, "size", (json_int_t)v->size, "segments", segments);
    if (v->has_irom && v->extent >= ESPIMAGE_EXTENT_OUTER) {
        (void)json_object_set_new(image, "second_byte", json_integer(v->outer[1]));
        (void)json_object_set_new(image, "app_number", json_integer(v->outer[3]));
        (void)json_object_set_new(image, "irom_size", json_integer(v->irom_size));
    }
    if (v->extent >= ESPIMAGE_EXTENT_INNER) {
        const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(v->inner[2]);
        const struct espimage_flash_setting *freq =
            espimage_flash_freq_by_code((uint8_t)(v->inner[3] & 0x0F));
        const struct espimage_flash_map *map =
            espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4));
        (void)json_object_set_new(image, "entry", json_hex(v->entry, 8));
        (void)json_object_set_new(image, "flash_mode",
                                  mode != NULL ? json_string(mode->name) : json_null());
        (void)json_object_set_new(image, "flash_freq",
                                  freq != NULL ? json_string(freq->name) : json_null());
        (void)json_object_set_new(image, "flash_map",
                                  map != NULL ? json_string(map->name) : json_null());
    }
    if (v->extent == ESPIMAGE_EXTENT_CHECKSUM) {
        (void)json_object_set_new(image, "checksum_right",
                                  json_boolean(v->checksum_stored == v->checksum_ram));
        (void)json_object_set_new(image, "bytes_after_checksum",
                                  json_integer((json_int_t)v->trailing));
    }
    return image;
}

static void headers_text(const struct espimage_image_view *v)
{
    if (v->has_irom && v->extent >= ESPIMAGE_EXTENT_OUTER) {
        (void)printf("  outer      %02X %02X %02X %02X, entry 0x%08X, app number %u\n", v->outer[0],
                     v->outer[1], v->outer[2], v->outer[3], v->outer_entry, v->outer[3]);
        (void)printf("  irom       %u bytes at offset %u\n", v->irom_size, v->irom_offset);
    }
    if (v->extent >= ESPIMAGE_EXTENT_INNER) {
        const struct espimage_flash_map *map =
            espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4));
        (void)printf(
            "  inner      %02X %02X %02X %02X, entry 0x%08X, %u segments, %s, %s map, %s\n",
            v->inner[0], v->inner[1], v->inner[2], v->inner[3], v->entry, v->inner[1],
            name_or(espimage_flash_mode_by_code(v->inner[2])), map != NULL ? map->name : "unknown",
            name_or(espimage_flash_freq_by_code((uint8_t)(v->inner[3] & 0x0F))));
    }
}

static void sums_text(const struct espimage_image_view *v)
{
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        (void)printf("  the file ends before the checksum\n");
        return;
    }
    (void)printf("  checksum   %02X at offset 0x%X: %s\n", v->checksum_stored, v->checksum_offset,
                 v->checksum_stored == v->checksum_ram   ? "right"
                 : v->checksum_stored == v->checksum_all ? "right with irom included"
                                                         : "wrong");
    if (v->trailing == 4) {
        uint32_t crc = espimage_image_crc(v->bytes, v->size);
        uint32_t stored = get_le32(v->bytes + v->size - 4);
        (void)printf("  CRC        %08X: %s\n", stored, stored == crc ? "right" : "wrong");
    } else {
        (void)printf("  CRC        not the last four bytes: %zu bytes follow the checksum\n",
                     v->trailing);
    }
}

static void image_text(const struct espimage_image_view *v)
{
    uint32_t use[ESPIMAGE_REGION_COUNT] = {0};
    struct espimage_identity identity;

    espimage_identify(v->bytes, v->size, &identity);
    (void)printf("%s, %zu bytes\n", v->has_irom ? "image for the new bootloader" : "v1 image",
                 v->size);
    if (identity.mistake != ESPIMAGE_MISTAKE_NONE) {
        (void)printf("  it is      %s\n", identity.text);
    }
    headers_text(v);
    for (size_t i = 0; i < v->segment_count; i++) {
        const struct espimage_segment *s = &v->segment[i];
        const struct espimage_region *region = espimage_region_at(s->address);
        (void)printf("  segment    %-4s 0x%08X %7u  at offset 0x%X\n", region_name(s->address),
                     s->address, s->size, s->offset);
        if (region != NULL) {
            use[region->kind] += s->size;
        }
    }
    sums_text(v);
    bar("DRAM", use[ESPIMAGE_REGION_DRAM], espimage_region(ESPIMAGE_REGION_DRAM)->size);
    bar("IRAM", use[ESPIMAGE_REGION_IRAM], espimage_region(ESPIMAGE_REGION_IRAM)->size);
    const struct espimage_flash_map *map =
        v->extent >= ESPIMAGE_EXTENT_INNER ? espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4))
                                           : NULL;
    if (v->has_irom && map != NULL && map->half != 0) {
        bar("slot", (uint32_t)v->size, map->slot_limit);
    }
}

/* ---- flash dump ---- */

static void slot_text(const uint8_t *bytes, const struct espimage_part *part)
{
    struct espimage_image_view view;
    size_t size = espimage_slot_image_size(bytes + part->address, part->size);
    if (size == 0) {
        (void)printf("    no whole image\n");
        return;
    }
    espimage_image_parse(bytes + part->address, size, &view);
    (void)printf("    ");
    image_text(&view);
}

static const char *part_state(const uint8_t *bytes, const struct espimage_part *part)
{
    if (part->kind == ESPIMAGE_PART_BOOT && espimage_part_content_size(bytes, part) == 0) {
        return "no bootloader, a header alone";
    }
    return part->blank ? "blank" : "used";
}

/* Where a part was extracted to; "" when it was not. */
static void extracted_to(char path[PATH_MAX], const uint8_t *bytes,
                         const struct espimage_part *part, const char *folder)
{
    struct espimage_error err;
    if (folder == NULL || espimage_part_content_size(bytes, part) == 0 ||
        extract_path(path, folder, part, &err) != ESPIMAGE_OK) {
        path[0] = '\0';
    }
}

static void flash_text(const uint8_t *bytes, size_t size, const struct espimage_flash_view *f,
                       const char *folder)
{
    (void)printf("flash of %zu KB, map %s%s\n", size / 1024,
                 f->map != NULL ? f->map->name : "unknown",
                 f->size_agrees ? "" : " (of another size)");
    for (size_t i = 0; i < f->part_count; i++) {
        const struct espimage_part *part = &f->parts[i];
        char path[PATH_MAX];
        extracted_to(path, bytes, part, folder);
        (void)printf("  0x%06X  %-18s %s%s%s\n", part->address, part->name, part_state(bytes, part),
                     path[0] != '\0' ? ", extracted to " : "", shown(path).text);
        if (part->kind == ESPIMAGE_PART_SLOT && !part->blank) {
            slot_text(bytes, part);
        }
    }
}

static json_t *flash_json(const uint8_t *bytes, size_t size, const struct espimage_flash_view *f,
                          const char *folder)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < f->part_count; i++) {
        const struct espimage_part *p = &f->parts[i];
        json_t *part =
            json_pack("{s:s, s:o, s:I, s:b, s:I}", "name", p->name, "address",
                      json_hex(p->address, 6), "size", (json_int_t)p->size, "blank", p->blank,
                      "content_size", (json_int_t)espimage_part_content_size(bytes, p));
        char path[PATH_MAX];
        extracted_to(path, bytes, p, folder);
        if (folder != NULL) {
            (void)json_object_set_new(part, "extracted",
                                      path[0] != '\0' ? json_text(path) : json_null());
        }
        if (p->kind == ESPIMAGE_PART_SLOT && !p->blank) {
            struct espimage_image_view view;
            size_t image_size = espimage_slot_image_size(bytes + p->address, p->size);
            espimage_image_parse(bytes + p->address, image_size, &view);
            (void)json_object_set_new(part, "image",
                                      image_size > 0 ? image_json(&view) : json_null());
        }
        (void)json_array_append_new(parts, part);
    }
    return json_pack("{s:s, s:I, s:o, s:b, s:o}", "content", "flash", "size", (json_int_t)size,
                     "flash_map", f->map != NULL ? json_string(f->map->name) : json_null(),
                     "size_agrees", f->size_agrees, "parts", parts);
}

static enum espimage_code describe_flash(const struct file_bytes *file, const char *path,
                                         const struct inquiry *q, json_t **out,
                                         struct espimage_error *err)
{
    struct espimage_flash_view flash;
    espimage_flash_parse(file->data, file->size, &flash);
    if (q->extract_to != NULL && extract_parts(file, &flash, q->extract_to, err) != ESPIMAGE_OK) {
        return err->code;
    }
    if (q->json) {
        *out = flash_json(file->data, file->size, &flash, q->extract_to);
    } else {
        (void)printf("%s: ", shown(path).text);
        flash_text(file->data, file->size, &flash, q->extract_to);
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

    if (q->extract_to != NULL && content != ESPIMAGE_CONTENT_FLASH) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "no flash dump: there are no parts to extract");
        return error_wanted(err, "256 KB to 16 MB, a power of two, with a bootloader (E9) at 0");
    }
    switch (content) {
    case ESPIMAGE_CONTENT_ELF: return describe_elf(file, path, q->json, out, err);
    case ESPIMAGE_CONTENT_IMAGE:
        espimage_image_parse(file->data, file->size, &view);
        if (q->json) {
            *out = image_json(&view);
        } else {
            (void)printf("%s: ", shown(path).text);
            image_text(&view);
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
    if (q.extract_to != NULL && argc - first > 1) {
        return usage_error("info: --extract goes with one flash dump");
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
