/* SPDX-License-Identifier: MIT */
#include "device/build.h"

#include "base/error.h"
#include "image/build_number.h"
#include "image/entry.h"
#include "image/image_link.h"

#include <espimage/flash_image.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_by_crc(const struct espimage_image_view *view, struct build *out)
{
    uint32_t crc = espimage_image_crc(view->bytes, view->size);
    (void)snprintf(out->name, sizeof out->name, "image %08X", crc);
}

static uint8_t slot_at(const struct espimage_flash_map *map, uint32_t address)
{
    for (uint8_t slot = 1; slot <= 2 && map->half != 0; slot++) {
        if (map->slot[slot - 1] == address) {
            return slot;
        }
    }
    return 0;
}

/* No checker of a device compares link addresses, and no header holds one; but the chip would run
 * into other code, and start again and again. */
static void check_link(const struct espimage_image_view *view, const struct espimage_flash_map *map,
                       uint8_t slot, struct build *out)
{
    struct image_link link;
    image_link_judge(view, map, slot, &link);
    if (link.verdict == IMAGE_LINK_ELSEWHERE) {
        (void)snprintf(out->trouble, sizeof out->trouble,
                       "linked for 0x%08X, not for user%u of %s, 0x%08X: an illegal instruction "
                       "at every reset",
                       link.other, slot, map->name, link.wanted);
    }
}

static void check_entry(const struct espimage_image_view *view, struct build *out)
{
    uint32_t word = entry_word(view);
    if (entry_word_is_literal(word)) {
        (void)snprintf(out->trouble, sizeof out->trouble,
                       "the entry point 0x%08X is a literal, 0x%08X, not code: an illegal "
                       "instruction at every reset",
                       view->entry, word);
    }
}

void build_identify(const uint8_t *bytes, size_t size, const struct espimage_flash_map *map,
                    uint32_t address, struct build *out)
{
    struct espimage_image_view view;
    size_t length = espimage_slot_image_size(bytes, size);
    uint8_t slot = slot_at(map, address);
    char digits[BUILD_DIGITS + 1];
    memset(out, 0, sizeof *out);
    espimage_image_parse(bytes, length > 0 ? length : size, &view);
    if (build_number_find(bytes + view.irom_offset, view.irom_size, digits)) {
        (void)snprintf(out->name, sizeof out->name, "build %s", digits);
    } else {
        name_by_crc(&view, out);
    }
    check_entry(&view, out);
    /* One beside the slots has no link address that is known. */
    if (slot != 0) {
        check_link(&view, map, slot, out);
    }
}

enum espimage_code build_read(const struct flash *flash, uint32_t address,
                              const struct espimage_flash_map *map, struct build *out,
                              struct espimage_error *err)
{
    uint32_t left = flash->size - address;
    uint32_t size = map->slot_limit < left ? map->slot_limit : left;
    uint8_t *image = malloc(size);
    if (image == NULL) {
        return error_no_memory(err);
    }
    enum espimage_code code = flash_read(flash, address, image, size, err);
    if (code == ESPIMAGE_OK) {
        build_identify(image, size, map, address, out);
    }
    free(image);
    return code;
}
