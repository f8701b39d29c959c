/* SPDX-License-Identifier: MIT */
/* Any bytes as a flash dump: what is in it, what runs, and what of it others may see. Fuzzers make
 * short inputs, so the input is also laid over the end of a flash, where the parameters are. */
#include "fuzz/fuzz.h"

#include "image/flash_boot.h"
#include "image/secrets.h"

#include <espimage/identify.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_FLASH 0x80000U

static void check_view(const uint8_t *data, size_t size, const struct espimage_flash_view *flash)
{
    struct flash_boot boot;
    for (size_t i = 0; i < flash->part_count; i++) {
        const struct espimage_part *part = &flash->parts[i];
        if (part->address + (size_t)part->size > size ||
            espimage_part_content_size(data, part) > part->size) {
            abort();
        }
    }
    for (size_t i = 0; i < flash->image_count; i++) {
        if (flash->images[i].address >= size) {
            abort();
        }
    }
    flash_boot_find(data, size, flash, &boot);
    if (boot.runs > 2 || boot.asks > 2 || (boot.outcome == FLASH_BOOT_RUNS && boot.runs == 0)) {
        abort();
    }
}

static bool overlaps(uint32_t address, uint32_t size, uint32_t other, uint32_t other_size)
{
    return address < other + other_size && other < address + size;
}

/* A secret was where the bytes are that choose the slot: in a flash that no SDK wrote. */
static bool blanks_choice(const struct redactions *r, uint32_t sectors)
{
    bool touched = !r->complete;
    for (size_t i = 0; i < r->count; i++) {
        for (uint32_t sector = 0; sector < 3; sector++) {
            touched = touched || overlaps(r->list[i].address, r->list[i].size,
                                          sectors + sector * ESPIMAGE_SECTOR, 32);
        }
    }
    return touched;
}

/* Nothing is left to blank after a redaction, and what boots is as before. */
static void check_redaction(uint8_t *data, size_t size, const struct espimage_flash_view *flash)
{
    static struct redactions first;
    static struct redactions second;
    struct flash_boot before;
    struct flash_boot after;
    flash_boot_find(data, size, flash, &before);
    secrets_redact(data, size, flash, &first);
    flash_boot_find(data, size, flash, &after);
    for (size_t i = 0; i < first.count; i++) {
        if ((size_t)first.list[i].address + first.list[i].size > size) {
            abort();
        }
    }
    if (!blanks_choice(&first, before.sectors) &&
        (before.selected != after.selected || before.asks != after.asks || after.networks != 0)) {
        abort();
    }
    secrets_redact(data, size, flash, &second);
    if (second.count > 0) {
        abort();
    }
}

static void look_at(uint8_t *data, size_t size)
{
    struct espimage_flash_view flash;
    if (espimage_recognise(data, size) == ESPIMAGE_CONTENT_FLASH) {
        espimage_flash_parse(data, size, &flash);
        check_view(data, size, &flash);
        check_redaction(data, size, &flash);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct espimage_identity identity;
    uint8_t *flash = malloc(SMALL_FLASH + size);
    if (flash == NULL) {
        return 0;
    }
    espimage_identify(data, size, &identity);
    if (memchr(identity.text, '\0', sizeof identity.text) == NULL) {
        abort();
    }
    memcpy(flash, data, size);
    look_at(flash, size);

    memset(flash, 0xFF, SMALL_FLASH);
    memcpy(flash, "\xE9\x00\x00\x00\n2nd boot version : 1.6\n", 28);
    size_t used = size < SMALL_FLASH / 2 ? size : SMALL_FLASH / 2;
    memcpy(flash + SMALL_FLASH - used, data + size - used, used);
    memcpy(flash + ESPIMAGE_SECTOR, data, used);
    look_at(flash, SMALL_FLASH);
    free(flash);
    return 0;
}
