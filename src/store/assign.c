/* SPDX-License-Identifier: MIT */
#include "store/assign.h"

#include "base/error.h"

#include <string.h>

static void choose_map(const struct espimage_flash_map *given, uint8_t app,
                       const struct assign_file *files, size_t count, struct assignment *out)
{
    struct espimage_map_choice choice;
    espimage_map_choice_init(&choice, given);
    for (size_t i = 0; i < count; i++) {
        if (files[i].link == NULL) {
            continue;
        }
        enum espimage_code code =
            espimage_map_choice_add(&choice, files[i].link, files[i].path, &out->error[i]);
        out->code[i] = app != 0 ? ESPIMAGE_OK : code;
    }
    out->map = espimage_map_choice_map(&choice, &out->assumed);
}

static enum espimage_code refuse_second(const struct assign_file *files, size_t file, int slot,
                                        const struct assignment *a, struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_LAYOUT, "%s, but app%d is %s already", files[file].link->reason,
                slot, files[a->file_of[slot - 1]].path);
    error_wanted(err, "0x%08X, app%d of the %s map", a->map->link[2 - slot], 3 - slot,
                 a->map->name);
    return error_advice(err, "link one of them with %s", a->map->script[2 - slot]);
}

/* Where one address serves both slots, a single ELF is for both; of two, the first is user1. */
static unsigned slots_of(const struct assign_file *files, size_t count, size_t file, uint8_t app,
                         const struct espimage_flash_map *map)
{
    unsigned slots = app != 0 ? app : espimage_link_slots(files[file].link, map);
    return slots == 3 && count == 2 ? (unsigned)file + 1 : slots;
}

static void place(const struct assign_file *files, size_t count, size_t file, uint8_t app,
                  struct assignment *out)
{
    unsigned slots = slots_of(files, count, file, app, out->map);
    if (slots == 0) {
        out->code[file] = espimage_link_refuse(files[file].link, out->map, &out->error[file]);
    }
    for (int slot = 1; slot <= 2 && out->code[file] == ESPIMAGE_OK; slot++) {
        if ((slots & (unsigned)slot) == 0) {
            continue;
        }
        if (out->file_of[slot - 1] >= 0) {
            out->code[file] = refuse_second(files, file, slot, out, &out->error[file]);
        } else {
            out->file_of[slot - 1] = (int)file;
        }
    }
}

static bool has_slot(const struct assignment *a, size_t file)
{
    return a->file_of[0] == (int)file || a->file_of[1] == (int)file;
}

/* What is not right for any slot yet waits for those that are free: of two files, each for the slot
 * of its place in the command line. */
static void place_waiting(size_t count, uint8_t app, struct assignment *out)
{
    bool waits[STORE_FILES] = {false};
    for (size_t i = 0; i < count; i++) {
        waits[i] = !has_slot(out, i);
    }
    bool both = count == 2 && waits[0] && waits[1];
    for (int slot = 1; slot <= 2; slot++) {
        bool wanted = app == 0 || app == slot;
        for (size_t i = 0; i < count && wanted && out->file_of[slot - 1] < 0; i++) {
            if (waits[i] && (!both || (int)i + 1 == slot)) {
                out->file_of[slot - 1] = (int)i;
            }
        }
    }
}

void assign_slots(const struct espimage_flash_map *given, uint8_t app,
                  const struct assign_file *files, size_t count, struct assignment *out)
{
    memset(out, 0, sizeof *out);
    out->file_of[0] = -1;
    out->file_of[1] = -1;
    choose_map(given, app, files, count, out);
    for (size_t i = 0; i < count; i++) {
        if (files[i].link != NULL && out->code[i] == ESPIMAGE_OK) {
            place(files, count, i, app, out);
        }
    }
    place_waiting(count, app, out);
}
