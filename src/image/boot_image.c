/* SPDX-License-Identifier: MIT */
#include "image/boot_image.h"

#include "base/bytes.h"
#include "image/image_format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SEGMENT_HEADER 8
#define IROM_LENGTH    12
#define ENTRY          4

/* Where the bootloader itself is while it loads; the end is rounded up over all versions. */
static const struct {
    uint32_t start;
    uint32_t end;
} bootloader_at[] = {{0x40100000, 0x40101000}, {0x3FFE8000, 0x3FFE8600}};

struct load {
    const struct boot_source *source;
    struct espimage_error *err;
    enum espimage_code code;
    uint32_t base; /* of the inner header; the loader reads lines of 16 bytes from there */
    uint32_t at;
    uint8_t checksum;
    bool overwritten; /* the bootloader is */
    enum boot_image result;
    char *found;
    size_t room;
};

static bool end_with(struct load *l, enum boot_image result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool end_with(struct load *l, enum boot_image result, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(l->found, l->room, format, args);
    va_end(args);
    l->result = result;
    return false;
}

/* The loader returns to the bootloader, which is there or is not. */
static bool give_up(struct load *l, const char *reason)
{
    return end_with(l, l->overwritten ? BOOT_IMAGE_CRASHES : BOOT_IMAGE_NOT_LOADED, "%s%s", reason,
                    l->overwritten ? ", noticed when the bootloader is overwritten already" : "");
}

/* False when this is the end. */
static bool take(struct load *l, uint8_t *to, uint32_t size)
{
    if (l->at > l->source->size || size > l->source->size - l->at) {
        return give_up(l, "the image ends outside the flash");
    }
    l->code = l->source->read(l->source->context, l->at, to, size, l->err);
    l->at += size;
    return l->code == ESPIMAGE_OK;
}

static bool in_ram(uint32_t address, uint32_t size)
{
    const struct espimage_region *region = espimage_region_at(address);
    return region != NULL && region->kind != ESPIMAGE_REGION_IROM &&
           size <= region->largest_size - (address - region->start);
}

static void note_overwritten(struct load *l, uint32_t address, uint32_t size)
{
    for (size_t i = 0; i < sizeof bootloader_at / sizeof bootloader_at[0]; i++) {
        l->overwritten |= address < bootloader_at[i].end && address + size > bootloader_at[i].start;
    }
}

static bool load_bytes(struct load *l, uint32_t size)
{
    uint8_t bytes[ESPIMAGE_SECTOR] = {0};
    while (size > 0) {
        uint32_t part = size < sizeof bytes ? size : (uint32_t)sizeof bytes;
        if (!take(l, bytes, part)) {
            return false;
        }
        for (uint32_t i = 0; i < part; i++) {
            l->checksum ^= bytes[i];
        }
        size -= part;
    }
    return true;
}

static bool load_segment(struct load *l, unsigned number)
{
    uint8_t header[SEGMENT_HEADER] = {0};
    if (!take(l, header, sizeof header)) {
        return false;
    }
    uint32_t address = get_le32(header);
    uint32_t size = get_le32(header + 4);
    if (size > 0 && !in_ram(address, size)) {
        return end_with(l, BOOT_IMAGE_CRASHES, "segment %u, %u bytes, goes to 0x%08X, no RAM",
                        number, size, address);
    }
    note_overwritten(l, address, size);
    return load_bytes(l, size);
}

static bool check_checksum(struct load *l)
{
    char reason[64];
    uint8_t stored = 0;
    l->at = l->base + (l->at - l->base) / CHECKSUM_LINE * CHECKSUM_LINE + CHECKSUM_LINE - 1;
    if (!take(l, &stored, sizeof stored)) {
        return false;
    }
    if (stored != l->checksum) {
        (void)snprintf(reason, sizeof reason, "checksum %02X, computed %02X", stored, l->checksum);
        return give_up(l, reason);
    }
    return true;
}

static bool load_v1(struct load *l)
{
    uint8_t header[HEADER_SIZE] = {0};
    l->base = l->at;
    l->checksum = CHECKSUM_INIT;
    if (!take(l, header, sizeof header)) {
        return false;
    }
    if (header[HEADER_MAGIC] != MAGIC_V1) {
        (void)snprintf(l->found, l->room, "inner header begins with %02X, not E9",
                       header[HEADER_MAGIC]);
        l->result = BOOT_IMAGE_NOT_LOADED;
        return false;
    }
    if (header[HEADER_COUNT] == 0) {
        return end_with(l, BOOT_IMAGE_CRASHES, "no segment is loaded before the jump to it");
    }
    for (unsigned i = 0; i < header[HEADER_COUNT]; i++) {
        if (!load_segment(l, i)) {
            return false;
        }
    }
    uint32_t entry = get_le32(header + ENTRY);
    const struct espimage_region *region = espimage_region_at(entry);
    if (!check_checksum(l)) {
        return false;
    }
    if (region == NULL || region->kind != ESPIMAGE_REGION_IRAM) {
        return end_with(l, BOOT_IMAGE_CRASHES, "entry 0x%08X is outside the IRAM", entry);
    }
    return true;
}

/* Leaves l->at at the header that the loader begins with. An irom length of 0 means to the
 * bootloaders that there is none, so that they load from the outer header. */
static bool find_header(struct load *l, enum espimage_boot_version version, uint32_t address)
{
    uint8_t header[IROM_OFFSET] = {0};
    l->at = address;
    if (!take(l, header, sizeof header)) {
        return false;
    }
    uint32_t irom = 0;
    if (header[HEADER_MAGIC] != MAGIC_V1) {
        if (header[HEADER_MAGIC] != MAGIC_V2 || header[HEADER_COUNT] != SECOND_BYTE ||
            !espimage_boot_takes_v2(version)) {
            return end_with(l, BOOT_IMAGE_NO_MAGIC, "begins with %02X %02X", header[HEADER_MAGIC],
                            header[HEADER_COUNT]);
        }
        irom = get_le32(header + IROM_LENGTH);
    }
    if (irom > l->source->size) {
        return give_up(l, "the image ends outside the flash");
    }
    l->at = irom == 0 ? address : address + IROM_OFFSET + irom;
    return true;
}

enum espimage_code boot_image_judge(const struct boot_source *source,
                                    enum espimage_boot_version version, uint32_t address,
                                    enum boot_image *out, char *found, size_t room,
                                    struct espimage_error *err)
{
    struct load load = {
        .source = source, .err = err, .result = BOOT_IMAGE_RUNS, .found = found, .room = room};
    found[0] = '\0';
    if (find_header(&load, version, address)) {
        (void)load_v1(&load);
    }
    if (load.code == ESPIMAGE_OK) {
        *out = load.result;
    }
    return load.code;
}
