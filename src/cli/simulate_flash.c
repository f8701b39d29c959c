/* SPDX-License-Identifier: MIT */
#include "cli/simulate_flash.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "store/elf_file.h"

#include <espimage/flash_image.h>
#include <espimage/verify.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_MAP          "1MB"
#define DEFAULT_BOOT_VERSION ESPIMAGE_BOOT_1_6

static enum espimage_code check_map(const struct simulate_flash *f, struct espimage_error *err)
{
    const struct espimage_flash_map *map = f->map;
    if (map->half == 0) {
        error_found(err, ESPIMAGE_ERR_USAGE, "the %s map has no slots to update", map->name);
        return error_wanted(err, "another --flash-size");
    }
    if (f->content != NULL && f->size < map->flash_size) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "is %u bytes long, the %s map needs %u", f->size,
                    map->name, map->flash_size);
        error_advice(err, "name its map with --flash-size");
        return error_in_file(err, f->path);
    }
    return ESPIMAGE_OK;
}

/* The bootloader's header decides, where there is one. */
static enum espimage_code choose_map(struct simulate_flash *f, struct espimage_error *err)
{
    const struct espimage_flash_map *given = f->given.map;
    f->map = given != NULL ? given : espimage_flash_map_by_name(DEFAULT_MAP);
    f->mode = f->given.mode;
    f->freq = f->given.freq;
    bool header = f->there && f->content[0] != 0xFF;
    if (header && espimage_recognise(f->content, f->size) == ESPIMAGE_CONTENT_FLASH) {
        struct espimage_flash_view view;
        espimage_flash_parse(f->content, f->size, &view);
        if (view.layout != ESPIMAGE_FLASH_SDK) {
            error_found(err, ESPIMAGE_ERR_IMAGE, "a flash of another layout: %s",
                        espimage_flash_layout_text(view.layout));
            error_wanted(err, "Espressif's bootloader, user1 and user2");
            return error_in_file(err, f->path);
        }
        if (view.map == NULL || (given != NULL && given != view.map)) {
            error_found(err, ESPIMAGE_ERR_IMAGE, "its bootloader names %s%s",
                        view.map != NULL ? "the map " : "an unknown map",
                        view.map != NULL ? view.map->name : "");
            error_wanted(err, "%s", given != NULL ? given->name : "one of those of --flash-size");
            return error_in_file(err, f->path);
        }
        f->map = view.map;
        f->mode = view.boot_header[2];
        f->freq = view.boot_header[3] & 0x0F;
    }
    return check_map(f, err);
}

/* The stand-in that factory puts in the place of a bootloader is none. */
static bool holds_bootloader(const struct simulate_flash *f)
{
    const struct espimage_part part = {ESPIMAGE_PART_BOOT, "", 0, ESPIMAGE_SECTOR, false};
    return f->there && f->size >= part.size && f->content[0] != 0xFF &&
           espimage_part_content_size(f->content, &part) > 0;
}

static void choose_boot_version(struct simulate_flash *f)
{
    if (f->boot_version != ESPIMAGE_BOOT_UNKNOWN) {
        return;
    }
    if (f->there && f->size >= ESPIMAGE_SECTOR) {
        f->boot_version = espimage_boot_version(f->content, ESPIMAGE_SECTOR);
    }
    if (f->boot_version == ESPIMAGE_BOOT_UNKNOWN) {
        f->boot_version = DEFAULT_BOOT_VERSION;
        f->assumed = holds_bootloader(f);
    }
}

static enum espimage_code image_of_elf(const struct simulate_flash *f, struct espimage_bytes *out,
                                       struct espimage_error *err)
{
    const struct espimage_build_options options = {.size = sizeof options,
                                                   .map = f->map,
                                                   .app = 1,
                                                   .flash_mode = f->given.mode,
                                                   .flash_freq = f->given.freq};
    struct elf_file elf;
    enum espimage_code code = elf_file_load(f->load, &elf, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    if ((espimage_link_slots(&elf.link, f->map) & 1U) == 0) {
        espimage_link_refuse(&elf.link, f->map, err);
        /* It may be right for the other slot. */
        if (espimage_link_slots(&elf.link, f->map) != 0) {
            error_found(err, ESPIMAGE_ERR_LAYOUT, "%s", elf.link.reason);
            error_wanted(err, "0x%08X, the app1 slot of the %s map", f->map->link[0], f->map->name);
        }
        code = ESPIMAGE_ERR_LAYOUT;
    } else {
        code = espimage_image_build(elf.firmware, &options, out, NULL, err);
    }
    elf_file_free(&elf);
    if (code != ESPIMAGE_OK) {
        error_in_file(err, f->load);
    }
    return code;
}

static enum espimage_code check_image(const struct simulate_flash *f,
                                      const struct espimage_bytes *image,
                                      struct espimage_error *err)
{
    const struct espimage_verify_options options = {
        .size = sizeof options, .map = f->map, .app = 1};
    espimage_report *report = NULL;
    enum espimage_code code = espimage_verify(image->data, image->size, &options, &report, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    const struct espimage_verdict *boot = espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
    if (!boot->accepts) {
        code = error_found(err, ESPIMAGE_ERR_IMAGE, "a bootloader does not start it: %s: %s",
                           boot->because->rule->name, boot->because->found);
    }
    espimage_report_free(report);
    if (code != ESPIMAGE_OK) {
        return error_in_file(err, f->load);
    }
    if (image->size > f->map->slot_limit) {
        error_found(err, ESPIMAGE_ERR_SIZE, "is %zu bytes long", image->size);
        error_wanted(err, "at most %u, the slot of the %s map", f->map->slot_limit, f->map->name);
        return error_in_file(err, f->load);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code load_image(const struct simulate_flash *f, struct espimage_bytes *out,
                                     struct espimage_error *err)
{
    struct file_bytes file;
    enum espimage_code code = file_read(f->load, INPUT_LIMIT, &file, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    if (espimage_recognise(file.data, file.size) == ESPIMAGE_CONTENT_ELF) {
        file_bytes_free(&file);
        return image_of_elf(f, out, err);
    }
    *out = (struct espimage_bytes){file.data, file.size};
    return check_image(f, out, err);
}

/* An erased flash with an image in slot user1. */
static enum espimage_code fill_new(struct simulate_flash *f, const struct espimage_bytes *image,
                                   struct espimage_error *err)
{
    const struct espimage_flash_map *map = f->map;
    uint8_t *content = malloc(map->flash_size);
    if (content == NULL) {
        return error_no_memory(err);
    }
    memset(content, 0xFF, map->flash_size);
    memcpy(content + map->slot[0], image->data, image->size);
    free(f->content);
    f->content = content;
    f->size = map->flash_size;
    return ESPIMAGE_OK;
}

static enum espimage_code new_content(struct simulate_flash *f, struct espimage_error *err)
{
    struct espimage_bytes image = {NULL, 0};
    if (f->load == NULL) {
        error_found(err, ESPIMAGE_ERR_NO_INPUT, "a new flash holds nothing to boot");
        error_advice(err, "give --load APP1.elf, for slot user1");
        return f->path != NULL ? error_in_file(err, f->path) : err->code;
    }
    enum espimage_code code = load_image(f, &image, err);
    if (code == ESPIMAGE_OK) {
        code = fill_new(f, &image, err);
    }
    espimage_bytes_free(&image);
    return code;
}

enum espimage_code simulate_flash_find(struct simulate_flash *f, struct espimage_error *err)
{
    struct file_bytes file = {0};
    if (f->path != NULL && access(f->path, F_OK) == 0) {
        enum espimage_code code = file_read(f->path, LARGEST_FLASH, &file, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        f->content = file.data;
        f->size = (uint32_t)file.size;
        f->there = !bytes_all(file.data, file.size, 0xFF);
    }
    enum espimage_code code = choose_map(f, err);
    if (code == ESPIMAGE_OK && !f->there) {
        code = new_content(f, err);
    }
    if (code == ESPIMAGE_OK) {
        choose_boot_version(f);
    }
    return code;
}

void simulate_flash_free(struct simulate_flash *f)
{
    free(f->content);
    f->content = NULL;
}

/* "flash.bin" -> "flash.7.bin". */
static void numbered(const char *path, uint32_t number, char *out, size_t room)
{
    static const char ending[] = ".bin";
    size_t length = strlen(path);
    bool bin = length > sizeof ending - 1 && strcmp(path + length - sizeof ending + 1, ending) == 0;
    length -= bin ? sizeof ending - 1 : 0;
    (void)snprintf(out, room, "%.*s.%u%s", (int)length, path, number, bin ? ending : "");
}

enum espimage_code simulate_flash_open(const struct simulate_flash *f, uint32_t number,
                                       struct flash *out, struct espimage_error *err)
{
    char path[4096];
    uint32_t size = f->map->flash_size;
    if (f->path == NULL) {
        return flash_file_unnamed(f->content, size, out, err);
    }
    if (number == 0) {
        (void)snprintf(path, sizeof path, "%s", f->path);
    } else {
        numbered(f->path, number, path, sizeof path);
    }
    bool there = number == 0 ? f->there : access(path, F_OK) == 0;
    return flash_file_open(path, there ? NULL : f->content, size, out, err);
}
