/* SPDX-License-Identifier: MIT */
/* Any bytes as an image and as a flash dump. */
#include "fuzz/fuzz.h"

#include <espimage/espimage.h>
#include <stdlib.h>
#include <string.h>

static void look_at_flash(const uint8_t *data, size_t size)
{
    struct espimage_flash_view flash;
    espimage_flash_parse(data, size, &flash);
    for (size_t i = 0; i < flash.part_count; i++) {
        const struct espimage_part *part = &flash.parts[i];
        if (part->address + (size_t)part->size > size ||
            espimage_slot_image_size(data + part->address, part->size) > part->size ||
            espimage_part_content_size(data, part) > part->size) {
            abort();
        }
    }
}

/* As a ready image that goes into a flash, which must then be a flash with it. */
static void make_flash(const uint8_t *data, size_t size)
{
    struct espimage_flash_contents contents = {.size = sizeof contents,
                                               .map = espimage_flash_map_at(size % 4)};
    struct espimage_flash_plan plan;
    struct espimage_bytes flash = {0};
    struct espimage_error err;
    uint8_t app = 0; /* stays 0 when it is for either slot */
    if (espimage_image_slot(data, size, &contents, &app, NULL, &err) != ESPIMAGE_OK) {
        return;
    }
    contents.slot[app == 2] = (struct espimage_flash_content){"fuzz", data, size};
    if (espimage_flash_plan_make(&contents, &plan, NULL, &err) != ESPIMAGE_OK) {
        abort(); /* accepted, and then refused */
    }
    if (espimage_flash_build(&plan, &flash, &err) == ESPIMAGE_OK &&
        espimage_recognise(flash.data, flash.size) != ESPIMAGE_CONTENT_FLASH) {
        abort();
    }
    espimage_bytes_free(&flash);
}

static void patch_boot(const uint8_t *data, size_t size)
{
    const struct espimage_build_options options = {.size = sizeof options,
                                                   .map = espimage_flash_map_at(0)};
    struct espimage_error err;
    uint8_t *copy = malloc(size + 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
        (void)espimage_boot_patch(copy, size, &options, &err);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct espimage_verify_options rules = {
        .size = sizeof rules, .app = (uint8_t)(size % 3), .irom_checksum = size % 2 == 0};
    espimage_report *report = NULL;
    struct espimage_error err;
    struct espimage_image_view view;

    (void)espimage_verify(data, size, &rules, &report, &err);
    espimage_report_free(report);
    espimage_image_parse(data, size, &view);
    for (size_t i = 0; i < view.segment_count; i++) {
        if ((size_t)view.segment[i].offset + view.segment[i].size > size) {
            abort();
        }
    }
    if (espimage_recognise(data, size) == ESPIMAGE_CONTENT_FLASH) {
        look_at_flash(data, size);
    }
    patch_boot(data, size);
    make_flash(data, size);
    return 0;
}
