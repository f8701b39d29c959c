/* SPDX-License-Identifier: MIT */
#include "image/image_link.h"

#include "base/bytes.h"
#include "image/image_format.h"

#include <string.h>

/* Fewer words than this, beyond those that hit by chance, say nothing. */
#define FEWEST_WORDS 4U
/* A clear majority: so many times the words of the other address. */
#define MAJORITY 4U

/* Link addresses that differ; more than the flash maps have. */
#define MAX_ADDRESSES 8

struct flash_part {
    uint32_t size;
    int32_t shift; /* of its link address from that of the new layout */
};

/* In the old layout the flash part lies 64 KB into the slot, behind the v1 image. */
static struct flash_part flash_part_of(const struct espimage_image_view *v)
{
    if (v->has_irom) {
        bool whole = v->extent >= ESPIMAGE_EXTENT_IROM;
        return (struct flash_part){whole ? v->irom_size : 0, 0};
    }
    bool behind =
        v->extent >= ESPIMAGE_EXTENT_SEGMENTS && v->size > OLD_IROM_OFFSET && v->size <= UINT32_MAX;
    return (struct flash_part){behind ? (uint32_t)(v->size - OLD_IROM_OFFSET) : 0,
                               (int32_t)(OLD_IROM_OFFSET - IROM_OFFSET)};
}

struct candidate {
    uint32_t address;
    uint32_t words;
};

static void add_candidate(struct candidate *list, size_t *count, uint32_t address)
{
    for (size_t i = 0; i < *count; i++) {
        if (list[i].address == address) {
            return;
        }
    }
    if (*count < MAX_ADDRESSES) {
        list[(*count)++].address = address;
    }
}

/* Only of slots that could hold a flash part of this size: their ranges do not overlap. */
static size_t list_candidates(const struct flash_part *part, struct candidate *list)
{
    size_t count = 0;
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        for (size_t slot = 0; slot < 2 && map->half != 0 && part->size <= map->slot_limit; slot++) {
            add_candidate(list, &count, map->link[slot] + (uint32_t)part->shift);
        }
    }
    return count;
}

static void count_words(const struct espimage_image_view *v, uint32_t size, struct candidate *list,
                        size_t count)
{
    for (size_t at = 0; v->size - at >= 4; at += 4) {
        uint32_t word = get_le32(v->bytes + at);
        for (size_t i = 0; i < count; i++) {
            list[i].words += word - list[i].address < size ? 1 : 0;
        }
    }
}

uint32_t image_link_words(const struct espimage_image_view *view, uint32_t address)
{
    struct candidate one = {.address = address};
    count_words(view, flash_part_of(view).size, &one, 1);
    return one.words;
}

static bool is_wanted(const struct espimage_flash_map *map, uint8_t app, uint32_t address)
{
    return (app != 2 && address == map->link[0]) || (app != 1 && address == map->link[1]);
}

static enum image_link_verdict decide(const struct image_link *link, uint32_t by_chance)
{
    uint32_t enough = FEWEST_WORDS + 2 * by_chance;
    if (link->other_words >= enough && link->other_words > MAJORITY * link->wanted_words) {
        return IMAGE_LINK_ELSEWHERE;
    }
    if (link->wanted_words >= enough && link->wanted_words > MAJORITY * link->other_words) {
        return IMAGE_LINK_AGREES;
    }
    return IMAGE_LINK_UNCLEAR;
}

void image_link_judge(const struct espimage_image_view *view, const struct espimage_flash_map *map,
                      uint8_t app, struct image_link *out)
{
    struct candidate list[MAX_ADDRESSES] = {0};
    struct flash_part part = flash_part_of(view);
    size_t count = part.size > 0 ? list_candidates(&part, list) : 0;

    memset(out, 0, sizeof *out);
    out->wanted = map->link[app == 2 ? 1 : 0] + (uint32_t)part.shift;
    if (count < 2) {
        return;
    }
    count_words(view, part.size, list, count);
    for (size_t i = 0; i < count; i++) {
        bool wanted = is_wanted(map, app, list[i].address - (uint32_t)part.shift);
        if (wanted && list[i].words > out->wanted_words) {
            out->wanted = list[i].address;
            out->wanted_words = list[i].words;
        } else if (!wanted && (out->other == 0 || list[i].words > out->other_words)) {
            out->other = list[i].address;
            out->other_words = list[i].words;
        }
    }
    /* Of random words in all of 32 bits. */
    uint64_t words = view->size / 4;
    out->verdict = decide(out, (uint32_t)(words * part.size >> 32));
}

/* The slot of the map with this link address in the new layout; 0: none. */
static uint8_t slot_at(const struct espimage_flash_map *map, uint32_t address)
{
    if (map->half == 0) {
        return 0;
    }
    if (map->link[0] == address) {
        return 1;
    }
    return map->link[1] == address ? 2 : 0;
}

const struct espimage_flash_map *image_link_map(const struct espimage_image_view *view,
                                                uint32_t address,
                                                const struct espimage_flash_map *first,
                                                uint8_t *app)
{
    struct flash_part part = flash_part_of(view);
    const struct espimage_flash_map *map = first;
    *app = slot_at(first, address - (uint32_t)part.shift);
    for (size_t i = 0; *app == 0 && i < espimage_flash_map_count(); i++) {
        map = espimage_flash_map_at(i);
        *app = slot_at(map, address - (uint32_t)part.shift);
    }
    return *app != 0 ? map : NULL;
}
