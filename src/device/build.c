/* SPDX-License-Identifier: MIT */
#include "device/build.h"

#include "base/bytes.h"

#include <espimage/flash_image.h>
#include <espimage/image.h>
#include <stdio.h>
#include <string.h>

#define MOST_DIGITS 10

/* The number behind the tag at `at`; its length, or 0 when there is none. */
static size_t digits_at(const uint8_t *at, const uint8_t *end)
{
    size_t count = 0;
    while (at + count < end && at[count] >= '0' && at[count] <= '9') {
        count++;
    }
    return count <= MOST_DIGITS && at + count < end && at[count] == '\0' ? count : 0;
}

static bool find_tag(const uint8_t *bytes, size_t size, struct build *out)
{
    static const char tag[] = BUILD_TAG;
    const uint8_t *end = bytes + size;
    const uint8_t *at = bytes;
    while ((at = memmem(at, (size_t)(end - at), tag, sizeof tag - 1)) != NULL) {
        at += sizeof tag - 1;
        size_t digits = digits_at(at, end);
        if (digits > 0) {
            (void)snprintf(out->name, sizeof out->name, "build %.*s", (int)digits,
                           (const char *)at);
            return true;
        }
    }
    return false;
}

static void name_by_crc(const uint8_t *bytes, size_t size, struct build *out)
{
    size_t length = espimage_slot_image_size(bytes, size);
    uint32_t crc = espimage_image_crc(bytes, length != 0 ? length : size);
    (void)snprintf(out->name, sizeof out->name, "image %08X", crc);
}

/* No checker of a device looks at link addresses, and an image does not hold them. But code in RAM
 * calls code in flash: when none of its words that look like flash addresses lies in the image's
 * own range, the chip would run into other code and start again and again. */
static void check_references(const struct espimage_image_view *v, uint32_t link, struct build *out)
{
    size_t others = 0;
    out->can_run = true;
    for (size_t s = 0; s < v->segment_count; s++) {
        const uint8_t *p = v->bytes + v->segment[s].offset;
        for (uint32_t i = 0; i + sizeof link <= v->segment[s].size; i += sizeof link) {
            uint32_t word = get_le32(p + i);
            if (word < ESPIMAGE_WINDOW_START || word >= ESPIMAGE_WINDOW_END) {
                continue;
            }
            if (word - link < v->irom_size && word >= link) {
                return;
            }
            out->refers = word;
            others++;
        }
    }
    out->can_run = others == 0;
}

void build_identify(const uint8_t *bytes, size_t size, const struct espimage_flash_map *map,
                    uint8_t slot, struct build *out)
{
    struct espimage_image_view view;
    memset(out, 0, sizeof *out);
    espimage_image_parse(bytes, size, &view);
    if (!find_tag(bytes + view.irom_offset, view.irom_size, out)) {
        name_by_crc(bytes, size, out);
    }
    /* A v1 image has its flash part elsewhere, and one beside the slots none that is known. */
    out->can_run = true;
    if (view.has_irom && slot != 0) {
        check_references(&view, map->link[slot - 1], out);
    }
}
