/* SPDX-License-Identifier: MIT */
#include "cli/factory_inputs.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void fail(struct factory_inputs *in, struct espimage_error *err, const char *path)
{
    error_in_file(err, path);
    failures_add(in->failures, err);
}

static void load_sources(struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        struct factory_source *s = &in->sources[i];
        struct espimage_error err;
        enum espimage_code code = file_read(s->path, INPUT_LIMIT, &s->file, &err);
        if (code == ESPIMAGE_OK &&
            espimage_recognise(s->file.data, s->file.size) == ESPIMAGE_CONTENT_ELF) {
            code = elf_file_parse(s->path, &s->file, &s->elf, &err);
        }
        if (code != ESPIMAGE_OK) {
            fail(in, &err, s->path);
        }
    }
}

/* The map that a ready image has in its header; NULL for an ELF, or when it names none. */
static const struct espimage_flash_map *map_of_image(const struct factory_source *s)
{
    struct espimage_image_view view;
    if (s->elf.firmware != NULL) {
        return NULL;
    }
    espimage_image_parse(s->file.data, s->file.size, &view);
    const struct espimage_flash_map *map = view.extent >= ESPIMAGE_EXTENT_INNER
                                               ? espimage_flash_map_by_code(view.inner[3] >> 4)
                                               : NULL;
    return map != NULL && map->half != 0 ? map : NULL;
}

/* As given, or as the ready images have it. */
static const struct espimage_flash_map *map_given(struct factory_inputs *in)
{
    const struct espimage_flash_map *map = in->flash.map;
    for (size_t i = 0; i < in->source_count && in->flash.map == NULL; i++) {
        const struct espimage_flash_map *other = map_of_image(&in->sources[i]);
        if (map != NULL && other != NULL && map != other) {
            struct espimage_error err;
            error_found(&err, ESPIMAGE_ERR_LAYOUT, "made for the %s map, but %s for %s",
                        other->name, shown(in->sources[0].path).text, map->name);
            error_advice(&err, "give the map of the device with --flash-size");
            fail(in, &err, in->sources[i].path);
        }
        map = map != NULL ? map : other;
    }
    return map;
}

/* Those that no map would help: of another SDK or chip. */
static void refuse_foreign(struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        const struct factory_source *s = &in->sources[i];
        if (s->elf.firmware != NULL && (s->elf.link.app1_maps | s->elf.link.app2_maps) == 0) {
            struct espimage_error err;
            espimage_link_refuse(&s->elf.link, in->contents.map, &err);
            fail(in, &err, s->path);
        }
    }
}

/* The flash map decides how long the flash is: it is never assumed. */
static void choose_map(struct factory_inputs *in)
{
    struct espimage_map_choice choice;
    struct espimage_error err;
    bool assumed = false;

    espimage_map_choice_init(&choice, map_given(in));
    for (size_t i = 0; i < in->source_count; i++) {
        const struct factory_source *s = &in->sources[i];
        if (s->elf.firmware != NULL &&
            espimage_map_choice_add(&choice, &s->elf.link, s->path, &err) != ESPIMAGE_OK) {
            fail(in, &err, s->path);
        }
    }
    in->contents.map = espimage_map_choice_map(&choice, &assumed);
    if (assumed) {
        refuse_foreign(in);
    }
    if (assumed && in->failures->count == 0) {
        error_found(&err, ESPIMAGE_ERR_USAGE, "factory: several flash maps are possible");
        error_advice(&err, "give the one of the device with --flash-size");
        failures_add(in->failures, &err);
    }
}

static void find_slots(struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        struct factory_source *s = &in->sources[i];
        struct espimage_error err;
        uint8_t app = 0;
        if (s->elf.firmware != NULL) {
            s->slots = espimage_link_slots(&s->elf.link, in->contents.map);
            if (s->slots == 0) {
                espimage_link_refuse(&s->elf.link, in->contents.map, &err);
            }
        } else if (espimage_image_slot(s->file.data, s->file.size, &in->contents, &app, &s->notes,
                                       &err) == ESPIMAGE_OK) {
            s->slots = app == 0 ? 3 : app;
        }
        if (s->slots == 0) {
            fail(in, &err, s->path);
        }
    }
}

/* One that is right for both slots goes to user1, unless the other one is there. */
static void settle_slots(struct factory_inputs *in)
{
    struct factory_source *first = &in->sources[0];
    struct factory_source *second = &in->sources[1];
    if (in->source_count == 1) {
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
        const struct espimage_flash_map *map = in->contents.map;
        error_found(&err, ESPIMAGE_ERR_LAYOUT, "for user%u, but that is %s already", first->slots,
                    shown(first->path).text);
        error_wanted(&err, "0x%08X, app%u of the %s map", map->link[2 - first->slots],
                     3 - first->slots, map->name);
        error_advice(&err, "link one of them with %s", map->script[2 - first->slots]);
        fail(in, &err, second->path);
    }
}

/* What is to be said of the map is said once, of the flash. */
static void drop_remark(struct espimage_notes *notes, const struct espimage_flash_map *map)
{
    char remark[sizeof notes->text[0]];
    size_t kept = 0;
    (void)snprintf(remark, sizeof remark, "flash map %s: %s", map->name,
                   map->remark != NULL ? map->remark : "");
    for (size_t i = 0; i < notes->count; i++) {
        if (strcmp(notes->text[i], remark) != 0) {
            memmove(notes->text[kept++], notes->text[i], sizeof notes->text[i]);
        }
    }
    notes->count = kept;
}

static void fill_slots(struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        struct factory_source *s = &in->sources[i];
        struct espimage_flash_content *content = &in->contents.slot[s->slots - 1];
        const struct espimage_build_options options = {.size = sizeof options,
                                                       .profile = in->profile,
                                                       .map = in->contents.map,
                                                       .app = (uint8_t)s->slots,
                                                       .flash_mode = in->flash.mode,
                                                       .flash_freq = in->flash.freq};
        struct espimage_error err;
        *content = (struct espimage_flash_content){s->path, s->file.data, s->file.size};
        if (s->elf.firmware != NULL) {
            if (espimage_image_build(s->elf.firmware, &options, &s->image, &s->notes, &err) !=
                ESPIMAGE_OK) {
                fail(in, &err, s->path);
            }
            content->bytes = s->image.data;
            content->size = s->image.size;
        }
        drop_remark(&s->notes, in->contents.map);
        warnings_add(in->warnings, s->path, &s->notes);
    }
}

static void load_content(struct factory_inputs *in, const char *path, struct file_bytes *file,
                         struct espimage_flash_content *content)
{
    struct espimage_error err;
    if (path == NULL) {
        return;
    }
    if (file_read(path, INPUT_LIMIT, file, &err) != ESPIMAGE_OK) {
        fail(in, &err, path);
    }
    *content = (struct espimage_flash_content){path, file->data, file->size};
}

bool factory_inputs_collect(struct factory_inputs *in)
{
    static void (*const steps[])(struct factory_inputs *) = {load_sources, choose_map, find_slots,
                                                             settle_slots, fill_slots};
    in->contents.size = sizeof in->contents;
    in->contents.flash_mode = in->flash.mode;
    in->contents.flash_freq = in->flash.freq;
    load_content(in, in->boot_path, &in->boot, &in->contents.boot);
    load_content(in, in->init_path, &in->init, &in->contents.init_data);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && in->failures->count == 0; i++) {
        steps[i](in);
    }
    return in->failures->count == 0;
}

void factory_inputs_free(struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        espimage_bytes_free(&in->sources[i].image);
        elf_file_free(&in->sources[i].elf);
        file_bytes_free(&in->sources[i].file);
    }
    file_bytes_free(&in->boot);
    file_bytes_free(&in->init);
}

const char *factory_inputs_find(const struct factory_inputs *in, const char *path)
{
    const struct file_bytes *files[FACTORY_SOURCES + 2] = {&in->boot, &in->init};
    const char *paths[FACTORY_SOURCES + 2] = {in->boot_path, in->init_path};
    for (size_t i = 0; i < in->source_count; i++) {
        files[i + 2] = &in->sources[i].file;
        paths[i + 2] = in->sources[i].path;
    }
    for (size_t i = 0; i < in->source_count + 2; i++) {
        if (paths[i] != NULL && file_is_same(path, &files[i]->status)) {
            return paths[i];
        }
    }
    return NULL;
}
