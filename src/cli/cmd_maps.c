/* SPDX-License-Identifier: MIT */
/* maps: the flash maps, as a table and drawn. */
#include "cli/commands.h"
#include "cli/output.h"

#include <espimage/flash_image.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    (void)id;
    (void)value;
    (void)err;
    *(bool *)context = true; /* --json is the only one */
    return ESPIMAGE_OK;
}

static void table_row(const struct espimage_flash_map *m)
{
    (void)printf("%4u  %-7s %-7s ", m->code, m->name,
                 m->legacy_name != NULL ? m->legacy_name : "-");
    if (m->half == 0) {
        (void)printf("none\n");
        return;
    }
    (void)printf("%4u+%-4u  0x%05X  0x%06X  0x%05X  0x%08X  0x%08X\n", m->half / 1024,
                 m->half / 1024, m->slot[0], m->slot[1], m->slot_limit, m->link[0], m->link[1]);
}

#define CELLS 64U

/* Marks the cells that a part covers: at least one. */
static void draw(char *cells, uint32_t flash, uint32_t address, uint32_t size, char mark)
{
    uint32_t cell = flash / CELLS;
    uint32_t last = (address + size - 1) / cell;
    for (uint32_t i = address / cell; i <= last && i < CELLS; i++) {
        cells[i] = mark;
    }
}

static void drawing(const struct espimage_flash_map *m)
{
    char cells[CELLS + 1];
    memset(cells, '.', CELLS);
    cells[CELLS] = '\0';
    if (m->half != 0) {
        draw(cells, m->flash_size, m->slot[0], m->slot_limit, '1');
        draw(cells, m->flash_size, m->slot[1], m->slot_limit, '2');
    }
    draw(cells, m->flash_size, m->flash_size - ESPIMAGE_SYSTEM_SIZE, ESPIMAGE_SYSTEM_SIZE, 'S');
    draw(cells, m->flash_size, 0, ESPIMAGE_SECTOR, 'B');
    (void)printf("%-7s 0 |%s| 0x%X\n", m->name, cells, m->flash_size);
}

static json_t *map_json(const struct espimage_flash_map *m)
{
    json_t *map = json_pack("{s:s, s:i, s:o, s:o, s:b}", "name", m->name, "code", m->code,
                            "flash_size", json_hex(m->flash_size, 6), "legacy_name",
                            m->legacy_name != NULL ? json_string(m->legacy_name) : json_null(),
                            "windowed", espimage_flash_map_is_windowed(m));
    json_t *slots = json_array();
    for (size_t i = 0; m->half != 0 && i < 2; i++) {
        (void)json_array_append_new(
            slots, json_pack("{s:i, s:o, s:o, s:o, s:s}", "app", (int)i + 1, "flash_address",
                             json_hex(m->slot[i], 5), "limit", json_hex(m->slot_limit, 5), "link",
                             json_hex(m->link[i], 8), "linker_script", m->script[i]));
    }
    (void)json_object_set_new(map, "slots", slots);
    if (m->remark != NULL) {
        (void)json_object_set_new(map, "remark", json_string(m->remark));
    }
    return map;
}

static int print_json(const struct command *self)
{
    json_t *document = json_document(self->name);
    json_t *list = json_array();
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        (void)json_array_append_new(list, map_json(espimage_flash_map_at(i)));
    }
    (void)json_object_set_new(document, "maps", list);
    return json_print(document, 0);
}

static void print_text(void)
{
    (void)printf("code  name    legacy  slots KB   user1    user2     limit    link app1   "
                 "link app2\n");
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        table_row(espimage_flash_map_at(i));
    }
    (void)printf("\nTo scale: B bootloader, 1 user1, 2 user2, S init data and system parameters\n");
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        drawing(espimage_flash_map_at(i));
    }
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *m = espimage_flash_map_at(i);
        if (m->remark != NULL) {
            (void)printf("%s: %s\n", m->name, m->remark);
        }
    }
    (void)printf("No update brings more than 0x%X bytes, %u sectors, to any slot\n",
                 ESPIMAGE_UPDATE_SECTORS * ESPIMAGE_SECTOR, ESPIMAGE_UPDATE_SECTORS);
}

static int run(const struct command *self, int argc, char **argv)
{
    bool json = false;
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &json, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    if (first < argc) {
        return usage_error("maps: takes no file; see: " PROGRAM " maps --help");
    }
    if (json) {
        return print_json(self);
    }
    print_text();
    return 0;
}

const struct command cmd_maps = {
    .name = "maps",
    .arguments = "",
    .summary = "Show the flash maps: slots, limits, link addresses",
    .example = PROGRAM " maps",
    .groups = {common_options, NULL},
    .run = run,
};
