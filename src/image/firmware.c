/* SPDX-License-Identifier: MIT */
#include <espimage/firmware.h>

#include "base/error.h"
#include "image/chip.h"
#include "image/entry.h"

#include <stdlib.h>
#include <string.h>

struct espimage_firmware {
    uint32_t entry;
    size_t count;
    struct espimage_section *sections; /* owned; their bytes point into ram and irom */
    uint8_t *ram;                      /* owned: the content of all RAM sections, one by one */
    uint8_t *irom;                     /* owned */
    uint32_t irom_address;
    uint32_t irom_size;
    uint32_t use[ESPIMAGE_REGION_COUNT];
    char entry_doubt[ENTRY_DOUBT_SIZE];
};

/* Fills section->region from its address and checks that it lies in that memory, whole. */
static enum espimage_code section_place(struct espimage_section *section,
                                        struct espimage_error *err)
{
    const struct espimage_region *region = espimage_region_at(section->address);
    uint64_t end = (uint64_t)section->address + section->size;

    if (region == NULL && chip_is_esp32_address(section->address)) {
        error_found(err, ESPIMAGE_ERR_LAYOUT,
                    "an ELF for a chip of the ESP32 family: section %s at 0x%08X", section->name,
                    section->address);
        error_wanted(err, "an ELF for the ESP8266");
        return error_advice(err, "use that chip's own tools: esptool, idf.py");
    }
    if (region == NULL) {
        error_found(err, ESPIMAGE_ERR_LAYOUT, "section %s at 0x%08X is in no memory of the chip",
                    section->name, section->address);
        error_wanted(err, "DRAM 0x3FFE8000, IRAM 0x40100000, flash 0x40200000 or RTC 0x60001000");
        return error_advice(err, "check the memory regions of the linker script");
    }
    section->region = region->kind;
    if (end > (uint64_t)region->start + region->largest_size) {
        error_found(err, ESPIMAGE_ERR_SIZE, "section %s at 0x%08X, %u bytes, ends past the %s",
                    section->name, section->address, section->size, region->name);
        error_wanted(err, "an end at or below 0x%08X", region->start + region->largest_size);
        return error_advice(err, "make the firmware smaller or move a part of it");
    }
    if (section->bytes != NULL && region->kind != ESPIMAGE_REGION_IROM &&
        section->address % 4 != 0) {
        error_found(err, ESPIMAGE_ERR_LAYOUT, "section %s begins at 0x%08X, inside a word",
                    section->name, section->address);
        error_wanted(err, "a multiple of 4");
        return error_advice(err, "align it in the linker script: the bootloader copies words");
    }
    return ESPIMAGE_OK;
}

static int by_address(const void *a, const void *b)
{
    const struct espimage_section *x = *(const struct espimage_section *const *)a;
    const struct espimage_section *y = *(const struct espimage_section *const *)b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static enum espimage_code check_overlap(const struct espimage_section *sections, size_t count,
                                        struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    const struct espimage_section **sorted = calloc(count + 1, sizeof(*sorted));
    if (sorted == NULL) {
        return error_no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &sections[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_address);
    for (size_t i = 1; i < count && code == ESPIMAGE_OK; i++) {
        const struct espimage_section *a = sorted[i - 1];
        const struct espimage_section *b = sorted[i];
        if (b->address - a->address < a->size) {
            error_found(err, ESPIMAGE_ERR_LAYOUT,
                        "section %s (0x%08X, %u bytes) overlaps section %s (0x%08X)", a->name,
                        a->address, a->size, b->name, b->address);
            code = error_advice(err, "check the linker script");
        }
    }
    free(sorted);
    return code;
}

/* Where the sections with content go: extent of irom, and bytes of RAM content. */
static enum espimage_code measure(espimage_firmware *fw, size_t *ram_size,
                                  struct espimage_error *err)
{
    uint32_t first = UINT32_MAX;
    uint32_t end = 0;
    for (size_t i = 0; i < fw->count; i++) {
        const struct espimage_section *s = &fw->sections[i];
        fw->use[s->region] += s->size;
        if (s->bytes == NULL) {
            continue;
        }
        if (s->region != ESPIMAGE_REGION_IROM) {
            *ram_size += s->size;
            continue;
        }
        first = s->address < first ? s->address : first;
        end = s->address + s->size > end ? s->address + s->size : end;
    }
    if (end == 0) {
        return ESPIMAGE_OK;
    }
    fw->irom_address = first;
    fw->irom_size = end - first;
    uint32_t window = espimage_region(ESPIMAGE_REGION_IROM)->size;
    if (fw->irom_size > window) {
        error_found(err, ESPIMAGE_ERR_SIZE,
                    "the flash sections spread over %u bytes (0x%08X to 0x%08X)", fw->irom_size,
                    first, end);
        error_wanted(err, "at most %u, the window through which flash is executed", window);
        return error_advice(err, "check the linker script for a section at a stray address");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code copy_content(espimage_firmware *fw, size_t ram_size,
                                       struct espimage_error *err)
{
    fw->ram = malloc(ram_size + 1);
    fw->irom = calloc(1, (size_t)fw->irom_size + 1);
    if (fw->ram == NULL || fw->irom == NULL) {
        return error_no_memory(err);
    }
    uint8_t *next = fw->ram;
    for (size_t i = 0; i < fw->count; i++) {
        struct espimage_section *s = &fw->sections[i];
        if (s->bytes == NULL) {
            continue;
        }
        uint8_t *to = next;
        if (s->region == ESPIMAGE_REGION_IROM) {
            to = fw->irom + (s->address - fw->irom_address);
        } else {
            next += s->size;
        }
        memcpy(to, s->bytes, s->size);
        s->bytes = to;
    }
    return ESPIMAGE_OK;
}

enum espimage_code espimage_firmware_from_sections(uint32_t entry,
                                                   const struct espimage_section *sections,
                                                   size_t count, espimage_firmware **out,
                                                   struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    size_t ram_size = 0;
    espimage_firmware *fw = calloc(1, sizeof *fw);

    if (fw == NULL || (fw->sections = calloc(count + 1, sizeof *sections)) == NULL) {
        code = error_no_memory(err);
        goto done;
    }
    fw->entry = entry;
    for (size_t i = 0; i < count; i++) {
        if (sections[i].size == 0) {
            continue;
        }
        fw->sections[fw->count] = sections[i];
        code = section_place(&fw->sections[fw->count], err);
        if (code != ESPIMAGE_OK) {
            goto done;
        }
        fw->count++;
    }
    /* Overlap first: it bounds what the copies can take by the size of the memories. */
    code = check_overlap(fw->sections, fw->count, err);
    if (code == ESPIMAGE_OK) {
        code = measure(fw, &ram_size, err);
    }
    if (code == ESPIMAGE_OK) {
        code = copy_content(fw, ram_size, err);
    }
    if (code == ESPIMAGE_OK) {
        firmware_set_symbols(fw, &(const struct entry_symbols){0});
        *out = fw;
        fw = NULL;
    }
done:
    espimage_firmware_free(fw);
    return code;
}

void espimage_firmware_free(espimage_firmware *fw)
{
    if (fw != NULL) {
        free(fw->sections);
        free(fw->ram);
        free(fw->irom);
        free(fw);
    }
}

uint32_t espimage_firmware_entry(const espimage_firmware *fw)
{
    return fw->entry;
}

void firmware_set_symbols(espimage_firmware *fw, const struct entry_symbols *symbols)
{
    entry_judge(fw, symbols, fw->entry_doubt);
}

const char *espimage_firmware_entry_doubt(const espimage_firmware *fw)
{
    return fw->entry_doubt;
}

size_t espimage_firmware_section_count(const espimage_firmware *fw)
{
    return fw->count;
}

const struct espimage_section *espimage_firmware_section(const espimage_firmware *fw, size_t index)
{
    return &fw->sections[index];
}

struct espimage_irom espimage_firmware_irom(const espimage_firmware *fw)
{
    struct espimage_irom irom = {fw->irom_address, fw->irom_size,
                                 fw->irom_size > 0 ? fw->irom : NULL};
    return irom;
}

uint32_t espimage_firmware_use(const espimage_firmware *fw, enum espimage_region_kind kind)
{
    return fw->use[kind];
}
