/* SPDX-License-Identifier: MIT */
#include "cli/info_image.h"

#include "base/bytes.h"
#include "cli/output.h"

#include <espimage/identify.h>
#include <stdio.h>
#include <string.h>

#define BAR_WIDTH 32

void info_bar(const char *label, uint32_t used, uint32_t size)
{
    char cells[BAR_WIDTH + 1];
    uint32_t filled = size == 0 ? 0 : (uint32_t)((uint64_t)used * BAR_WIDTH / size);
    filled = used > 0 && filled == 0 ? 1 : filled;
    filled = filled > BAR_WIDTH ? BAR_WIDTH : filled;
    memset(cells, '.', BAR_WIDTH);
    memset(cells, '#', filled);
    cells[BAR_WIDTH] = '\0';
    (void)printf("  %-10s [%s] %u of %u bytes (%u %%)\n", label, cells, used, size,
                 size == 0 ? 0 : (unsigned)((uint64_t)used * 100 / size));
}

static const char *region_name(uint32_t address)
{
    const struct espimage_region *region = espimage_region_at(address);
    return region != NULL ? region->name : "-";
}

static const char *name_or(const struct espimage_flash_setting *setting)
{
    return setting != NULL ? setting->text : "unknown";
}

json_t *info_image_json(const struct espimage_image_view *v)
{
    struct espimage_identity identity;
    json_t *segments = json_array();
    for (size_t i = 0; i < v->segment_count; i++) {
        (void)json_array_append_new(
            segments,
            json_pack("{s:o, s:s, s:I, s:I}", "address", json_hex(v->segment[i].address, 8),
                      "memory", region_name(v->segment[i].address), "size",
                      (json_int_t)v->segment[i].size, "offset", (json_int_t)v->segment[i].offset));
    }
    espimage_identify(v->bytes, v->size, &identity);
    json_t *image =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "content", "image", "format",
                  v->has_irom ? "v2" : "v1", "mistake", espimage_mistake_name(identity.mistake),
                  "mistake_text", identity.text, "size", (json_int_t)v->size, "segments", segments);
    if (v->has_irom && v->extent >= ESPIMAGE_EXTENT_OUTER) {
        (void)json_object_set_new(image, "second_byte", json_integer(v->outer[1]));
        (void)json_object_set_new(image, "app_number", json_integer(v->outer[3]));
        (void)json_object_set_new(image, "irom_size", json_integer(v->irom_size));
    }
    if (v->extent >= ESPIMAGE_EXTENT_INNER) {
        const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(v->inner[2]);
        const struct espimage_flash_setting *freq =
            espimage_flash_freq_by_code((uint8_t)(v->inner[3] & 0x0F));
        const struct espimage_flash_map *map =
            espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4));
        (void)json_object_set_new(image, "entry", json_hex(v->entry, 8));
        (void)json_object_set_new(image, "flash_mode",
                                  mode != NULL ? json_string(mode->name) : json_null());
        (void)json_object_set_new(image, "flash_freq",
                                  freq != NULL ? json_string(freq->name) : json_null());
        (void)json_object_set_new(image, "flash_map",
                                  map != NULL ? json_string(map->name) : json_null());
    }
    if (v->extent == ESPIMAGE_EXTENT_CHECKSUM) {
        (void)json_object_set_new(image, "checksum_right",
                                  json_boolean(v->checksum_stored == v->checksum_ram));
        (void)json_object_set_new(image, "bytes_after_checksum",
                                  json_integer((json_int_t)v->trailing));
    }
    return image;
}

static void headers_text(const struct espimage_image_view *v)
{
    if (v->has_irom && v->extent >= ESPIMAGE_EXTENT_OUTER) {
        (void)printf("  outer      %02X %02X %02X %02X, entry 0x%08X, app number %u\n", v->outer[0],
                     v->outer[1], v->outer[2], v->outer[3], v->outer_entry, v->outer[3]);
        (void)printf("  irom       %u bytes at offset %u\n", v->irom_size, v->irom_offset);
    }
    if (v->extent >= ESPIMAGE_EXTENT_INNER) {
        const struct espimage_flash_map *map =
            espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4));
        (void)printf(
            "  inner      %02X %02X %02X %02X, entry 0x%08X, %u segments, %s, %s map, %s\n",
            v->inner[0], v->inner[1], v->inner[2], v->inner[3], v->entry, v->inner[1],
            name_or(espimage_flash_mode_by_code(v->inner[2])), map != NULL ? map->name : "unknown",
            name_or(espimage_flash_freq_by_code((uint8_t)(v->inner[3] & 0x0F))));
    }
}

static void sums_text(const struct espimage_image_view *v)
{
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        (void)printf("  the file ends before the checksum\n");
        return;
    }
    (void)printf("  checksum   %02X at offset 0x%X: %s\n", v->checksum_stored, v->checksum_offset,
                 v->checksum_stored == v->checksum_ram   ? "right"
                 : v->checksum_stored == v->checksum_all ? "right with irom included"
                                                         : "wrong");
    if (v->trailing == 4) {
        uint32_t crc = espimage_image_crc(v->bytes, v->size);
        uint32_t stored = get_le32(v->bytes + v->size - 4);
        (void)printf("  CRC        %08X: %s\n", stored, stored == crc ? "right" : "wrong");
    } else {
        (void)printf("  CRC        not the last four bytes: %zu bytes follow the checksum\n",
                     v->trailing);
    }
}

void info_image_text(const struct espimage_image_view *v)
{
    uint32_t use[ESPIMAGE_REGION_COUNT] = {0};
    struct espimage_identity identity;

    espimage_identify(v->bytes, v->size, &identity);
    (void)printf("%s, %zu bytes\n", v->has_irom ? "image for the new bootloader" : "v1 image",
                 v->size);
    if (identity.mistake != ESPIMAGE_MISTAKE_NONE) {
        (void)printf("  it is      %s\n", identity.text);
    }
    headers_text(v);
    for (size_t i = 0; i < v->segment_count; i++) {
        const struct espimage_segment *s = &v->segment[i];
        const struct espimage_region *region = espimage_region_at(s->address);
        (void)printf("  segment    %-4s 0x%08X %7u  at offset 0x%X\n", region_name(s->address),
                     s->address, s->size, s->offset);
        if (region != NULL) {
            use[region->kind] += s->size;
        }
    }
    sums_text(v);
    info_bar("DRAM", use[ESPIMAGE_REGION_DRAM], espimage_region(ESPIMAGE_REGION_DRAM)->size);
    info_bar("IRAM", use[ESPIMAGE_REGION_IRAM], espimage_region(ESPIMAGE_REGION_IRAM)->size);
    const struct espimage_flash_map *map =
        v->extent >= ESPIMAGE_EXTENT_INNER ? espimage_flash_map_by_code((uint8_t)(v->inner[3] >> 4))
                                           : NULL;
    if (v->has_irom && map != NULL && map->half != 0) {
        info_bar("slot", (uint32_t)v->size, map->slot_limit);
    }
}
