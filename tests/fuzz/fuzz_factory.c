/* SPDX-License-Identifier: MIT */
/* Any bytes as the files of a factory flash: bootloader, init data, a ready image. What is accepted
 * can be built, comes back from the flash as it was, and boots.
 *
 * Input: map and slot (1), lengths of bootloader and init data (2 each, big-endian), then the three
 * files. */
#include "fuzz/fuzz.h"

#include "image/flash_boot.h"

#include <stdlib.h>
#include <string.h>

#define HEADER      5U
#define RUN_USER2   0x80U
#define LARGEST_MAP 0x100000U /* of those that are built: the others differ in numbers alone */

struct files {
    struct espimage_flash_contents contents;
    struct espimage_flash_content image;
};

static struct espimage_flash_content take(const uint8_t **at, size_t *left, size_t size,
                                          const char *name)
{
    struct espimage_flash_content c = {name, *at, size < *left ? size : *left};
    *at += c.size;
    *left -= c.size;
    return c.size > 0 ? c : (struct espimage_flash_content){NULL, NULL, 0};
}

static bool read_files(const uint8_t *data, size_t size, struct files *out)
{
    static const struct espimage_flash_contents none = ESPIMAGE_FLASH_CONTENTS_INIT;
    if (size < HEADER) {
        return false;
    }
    const uint8_t *at = data + HEADER;
    size_t left = size - HEADER;
    out->contents = none;
    out->contents.map = espimage_flash_map_at((data[0] & ~RUN_USER2) % espimage_flash_map_count());
    out->contents.run = (data[0] & RUN_USER2) != 0 ? 2 : 1;
    out->contents.boot = take(&at, &left, (size_t)data[1] << 8 | data[2], "boot.bin");
    out->contents.init_data = take(&at, &left, (size_t)data[3] << 8 | data[4], "init.bin");
    out->image = take(&at, &left, left, "image.bin");
    return true;
}

/* A slot that is given runs, once its bootloader is known to be able to. */
static void check_boot(const struct espimage_flash_plan *plan, const struct espimage_bytes *flash,
                       const struct espimage_flash_view *view)
{
    struct flash_boot boot;
    flash_boot_find(flash->data, flash->size, view, &boot);
    bool given = false;
    for (size_t i = 0; i < plan->part_count; i++) {
        given = given || (plan->parts[i].kind == ESPIMAGE_PART_SLOT && !plan->parts[i].blank &&
                          plan->parts[i].address == plan->map->slot[plan->run - 1]);
    }
    if (given && plan->boot_version != ESPIMAGE_BOOT_UNKNOWN &&
        view->layout == ESPIMAGE_FLASH_SDK &&
        (boot.outcome != FLASH_BOOT_RUNS || boot.runs != plan->run)) {
        abort();
    }
}

static void check_flash(const struct espimage_flash_plan *plan)
{
    struct espimage_bytes flash = {0};
    struct espimage_flash_view view;
    struct espimage_error err;
    if (espimage_flash_build(plan, &flash, &err) != ESPIMAGE_OK) {
        return; /* no memory */
    }
    if (flash.size != plan->map->flash_size) {
        abort();
    }
    for (size_t i = 0; i < plan->part_count; i++) {
        const struct espimage_flash_content *c = &plan->contents[i];
        bool boot = plan->parts[i].kind == ESPIMAGE_PART_BOOT;
        size_t patched = boot ? 4 : 0; /* its header has the plan's settings */
        if (c->bytes != NULL && c->size > patched &&
            memcmp(flash.data + plan->parts[i].address + patched, c->bytes + patched,
                   c->size - patched) != 0) {
            abort();
        }
    }
    espimage_flash_parse(flash.data, flash.size, &view);
    check_boot(plan, &flash, &view);
    espimage_bytes_free(&flash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files files;
    struct espimage_flash_plan plan;
    struct espimage_error err;
    struct espimage_notes notes = {0};
    uint8_t app = 0;
    if (!read_files(data, size, &files)) {
        return 0;
    }
    if (files.image.bytes != NULL &&
        espimage_image_slot(files.image.bytes, files.image.size, &files.contents, &app, &notes,
                            &err) == ESPIMAGE_OK) {
        if (app > 2) {
            abort();
        }
        files.contents.slot[app == 2 ? 1 : 0] = files.image;
    }
    bool any = files.contents.slot[0].bytes != NULL || files.contents.slot[1].bytes != NULL;
    if (espimage_flash_plan_make(&files.contents, &plan, &notes, &err) == ESPIMAGE_OK && any &&
        plan.map->flash_size <= LARGEST_MAP) {
        check_flash(&plan);
    }
    return 0;
}
