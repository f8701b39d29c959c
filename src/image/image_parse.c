/* SPDX-License-Identifier: MIT */
/* image bytes -> view. Reads as far as the structure holds and says how far that was. */
#include <espimage/image.h>

#include "base/bytes.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <string.h>

/* E9 04 may also be a v1 image of four segments; that one has an address where the new layout has
 * 0. So may an image for another chip, whose entry is not in IRAM. */
static bool has_outer_header(const uint8_t *bytes, size_t size)
{
    if (size < IROM_OFFSET || bytes[0] != MAGIC_V1) {
        return size > 0 && bytes[0] == MAGIC_V2;
    }
    const struct espimage_region *entry = espimage_region_at(get_le32(bytes + 4));
    return bytes[1] == SECOND_BYTE && get_le32(bytes + 8) == 0 && entry != NULL &&
           entry->kind == ESPIMAGE_REGION_IRAM;
}

static bool parse_outer(struct cursor *c, struct espimage_image_view *v)
{
    const uint8_t *p = cursor_take(c, IROM_OFFSET);
    if (p == NULL) {
        return false;
    }
    memcpy(v->outer, p, sizeof v->outer);
    v->outer_entry = get_le32(p + 4);
    v->irom_address = get_le32(p + 8);
    v->irom_size = get_le32(p + 12);
    v->irom_offset = IROM_OFFSET;
    v->extent = ESPIMAGE_EXTENT_OUTER;
    p = cursor_take(c, v->irom_size);
    if (p == NULL) {
        return false;
    }
    v->checksum_all = checksum_xor(v->checksum_all, p, v->irom_size);
    v->extent = ESPIMAGE_EXTENT_IROM;
    return true;
}

static bool parse_segments(struct cursor *c, struct espimage_image_view *v)
{
    const uint8_t *p = cursor_take(c, HEADER_SIZE);
    if (p == NULL) {
        return false;
    }
    memcpy(v->inner, p, sizeof v->inner);
    v->entry = get_le32(p + 4);
    v->extent = ESPIMAGE_EXTENT_INNER;
    for (unsigned i = 0; i < v->inner[HEADER_COUNT]; i++) {
        const uint8_t *header = cursor_take(c, HEADER_SIZE);
        if (header == NULL) {
            return false;
        }
        struct espimage_segment *s = &v->segment[v->segment_count];
        s->address = get_le32(header);
        s->size = get_le32(header + 4);
        s->offset = (uint32_t)c->at;
        p = cursor_take(c, s->size);
        if (p == NULL) {
            return false;
        }
        v->checksum_ram = checksum_xor(v->checksum_ram, p, s->size);
        v->segment_count++;
    }
    v->extent = ESPIMAGE_EXTENT_SEGMENTS;
    return true;
}

void espimage_image_parse(const uint8_t *bytes, size_t size, struct espimage_image_view *v)
{
    /* Offsets are 32 bits wide; no flash is larger. */
    struct cursor c = {bytes, size < UINT32_MAX ? size : UINT32_MAX, 0};

    memset(v, 0, sizeof *v);
    v->bytes = bytes;
    v->size = size;
    v->checksum_ram = CHECKSUM_INIT;
    v->checksum_all = 0;
    v->has_irom = has_outer_header(bytes, size);
    if (v->has_irom && !parse_outer(&c, v)) {
        return;
    }
    v->inner_offset = (uint32_t)c.at;
    bool whole = parse_segments(&c, v);
    v->checksum_all ^= v->checksum_ram;
    if (!whole) {
        return;
    }
    v->checksum_offset = (uint32_t)c.at | (CHECKSUM_LINE - 1);
    if (v->checksum_offset < c.size) {
        v->checksum_stored = bytes[v->checksum_offset];
        v->trailing = size - v->checksum_offset - 1;
        v->extent = ESPIMAGE_EXTENT_CHECKSUM;
    }
}
