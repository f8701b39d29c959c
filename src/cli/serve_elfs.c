/* SPDX-License-Identifier: MIT */
#include "cli/serve_elfs.h"

#include "base/error.h"
#include "cli/output.h"

#include <stdio.h>
#include <time.h>

static int load_files(struct serve_elfs *e, char **paths, size_t count)
{
    struct espimage_map_choice choice;
    struct espimage_error err;
    int status = 0;

    espimage_map_choice_init(&choice, e->flash.map);
    for (size_t i = 0; i < count; i++) {
        struct elf_file *elf = &e->files[e->count];
        enum espimage_code code = elf_file_load(paths[i], elf, &err);
        if (code == ESPIMAGE_OK) {
            code = espimage_map_choice_add(&choice, &elf->link, paths[i], &err);
            code = e->app != 0 ? ESPIMAGE_OK : code;
        }
        elf_file_free(elf);
        if (code != ESPIMAGE_OK) {
            status = print_error(&err);
            continue;
        }
        e->count++;
    }
    e->map = espimage_map_choice_map(&choice, &e->map_assumed);
    return status;
}

static enum espimage_code refuse_second(const struct serve_elfs *e, const struct elf_file *elf,
                                        int slot, struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_LAYOUT, "%s, but app%d is %s already", elf->link.reason, slot,
                store_path(e->store, slot));
    error_wanted(err, "0x%08X, app%d of the %s map", e->map->link[2 - slot], 3 - slot,
                 e->map->name);
    error_advice(err, "link one of them with %s", e->map->script[2 - slot]);
    return error_in_file(err, elf->path);
}

/* In a map where one address serves both slots, one ELF is for both and of two the first is
 * app1. */
static enum espimage_code assign(struct serve_elfs *e, const struct elf_file *elf,
                                 struct espimage_error *err)
{
    unsigned slots = espimage_link_slots(&elf->link, e->map);
    bool forced = e->app != 0;
    if (slots == 0 && !forced) {
        espimage_link_refuse(&elf->link, e->map, err);
        return error_in_file(err, elf->path);
    }
    if (forced) {
        if ((slots & e->app) == 0) {
            (void)fprintf(stderr, PROGRAM ": %s: warning: %s; served for slot %u all the same\n",
                          shown(elf->path).text, elf->link.reason, e->app);
        }
        slots = e->app;
    } else if (slots == 3 && e->count == 2) {
        slots = elf == &e->files[0] ? 1 : 2;
    }
    for (int slot = 1; slot <= 2; slot++) {
        if ((slots & (unsigned)slot) == 0) {
            continue;
        }
        if (store_path(e->store, slot) != NULL) {
            return refuse_second(e, elf, slot, err);
        }
        store_set(e->store, slot, elf->path, forced);
    }
    return ESPIMAGE_OK;
}

static int assign_all(struct serve_elfs *e)
{
    struct espimage_error err;
    const struct espimage_build_options options = {.size = sizeof options,
                                                   .profile = e->profile,
                                                   .map = e->map,
                                                   .app = 1,
                                                   .flash_mode = e->flash.mode,
                                                   .flash_freq = e->flash.freq};
    int status = 0;
    e->store = store_new(&options);
    if (e->store == NULL) {
        error_no_memory(&err);
        return print_error(&err);
    }
    for (size_t i = 0; i < e->count; i++) {
        if (assign(e, &e->files[i], &err) != ESPIMAGE_OK) {
            status = print_error(&err);
        }
    }
    return status;
}

int serve_elfs_load(struct serve_elfs *e, char **paths, size_t count)
{
    int status = load_files(e, paths, count);
    if (e->count == 0) {
        return status;
    }
    int assign_status = assign_all(e);
    return status != 0 ? status : assign_status;
}

void serve_elfs_free(struct serve_elfs *e)
{
    store_free(e->store);
    e->store = NULL;
}

enum espimage_code serve_elfs_get(const struct serve_elfs *e, int slot,
                                  const struct snapshot **snapshot, struct espimage_notes *notes,
                                  struct espimage_error *err)
{
    const struct timespec pause = {0, 20000000};
    bool unsettled = true;
    enum espimage_code code = ESPIMAGE_OK;
    for (int try = 0; try < 50 && unsettled; try++) {
        notes->count = 0;
        code = store_get(e->store, slot, snapshot, &unsettled, notes, err);
        if (unsettled) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return code;
}
