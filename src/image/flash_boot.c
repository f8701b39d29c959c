/* SPDX-License-Identifier: MIT */
#include "image/flash_boot.h"

#include "base/bytes.h"
#include "image/image_format.h"

#include <string.h>

/* Length of the name of the network that is in use, in a copy of the record. */
#define NETWORK_NAME_LENGTH 0x0C

enum slot_state { SLOT_STARTS, SLOT_CRASHES, SLOT_NOT_TRIED };

static const struct espimage_part *find_slot(const struct espimage_flash_view *flash, uint8_t slot)
{
    for (size_t i = 0; i < flash->part_count; i++) {
        const struct espimage_part *part = &flash->parts[i];
        if (part->kind == ESPIMAGE_PART_SLOT && part->address == flash->map->slot[slot - 1]) {
            return part;
        }
    }
    return NULL;
}

/* A bootloader compares the first bytes of both headers, and only then loads. */
static enum slot_state slot_state(const uint8_t *bytes, const struct espimage_flash_view *flash,
                                  uint8_t slot, enum espimage_boot_version version)
{
    struct espimage_image_view view;
    const struct espimage_part *part = find_slot(flash, slot);
    if (part == NULL) {
        return SLOT_NOT_TRIED;
    }
    espimage_image_parse(bytes + part->address, part->size, &view);
    const uint8_t *start = bytes + part->address;
    bool v2 = start[HEADER_MAGIC] == MAGIC_V2 && part->size > 1 &&
              start[HEADER_COUNT] == SECOND_BYTE && view.extent >= ESPIMAGE_EXTENT_INNER &&
              view.inner[HEADER_MAGIC] == MAGIC_V1 && espimage_boot_takes_v2(version);
    bool v1 = start[HEADER_MAGIC] == MAGIC_V1; /* every version takes it */
    if (!v2 && !v1) {
        return SLOT_NOT_TRIED;
    }
    bool right = view.extent == ESPIMAGE_EXTENT_CHECKSUM && view.inner[HEADER_COUNT] > 0 &&
                 view.has_irom == v2 && view.checksum_stored == view.checksum_ram;
    return right ? SLOT_STARTS : SLOT_CRASHES;
}

static void decide(const uint8_t *bytes, const struct espimage_flash_view *flash,
                   enum espimage_boot_version version, uint8_t slot, bool fallback,
                   struct flash_boot *out)
{
    uint8_t other = (uint8_t)(3 - slot);
    switch (slot_state(bytes, flash, slot, version)) {
    case SLOT_STARTS:
        out->outcome = FLASH_BOOT_RUNS;
        out->runs = slot;
        return;
    case SLOT_CRASHES: out->outcome = FLASH_BOOT_CRASHES; return;
    case SLOT_NOT_TRIED: break;
    }
    out->outcome = FLASH_BOOT_DEAD;
    if (fallback || !espimage_boot_falls_back(version, slot)) {
        return;
    }
    switch (slot_state(bytes, flash, other, version)) {
    case SLOT_STARTS:
        out->outcome = FLASH_BOOT_FALLS_BACK;
        out->runs = other;
        return;
    case SLOT_CRASHES: out->outcome = FLASH_BOOT_CRASHES; return;
    case SLOT_NOT_TRIED: return;
    }
}

static uint8_t count_networks(const uint8_t *copy)
{
    uint8_t count = espimage_network_count(copy);
    uint32_t length = get_le32(copy + NETWORK_NAME_LENGTH);
    return count == 0 && length > 0 && length <= 32 ? 1 : count;
}

static void read_record(const uint8_t *bytes, struct flash_boot *out)
{
    const uint8_t *sectors = bytes + out->sectors;
    espimage_parameters_parse(sectors, &out->parameters);
    const struct espimage_record *record = espimage_record_current(&out->parameters);
    switch (record->chosen) {
    case ESPIMAGE_CHOSEN_USER1: out->selected = 1; break;
    case ESPIMAGE_CHOSEN_USER2: out->selected = 2; break;
    case ESPIMAGE_CHOSEN_INVALID:
    case ESPIMAGE_CHOSEN_NEVER_WRITTEN: break;
    }
    out->failed = out->selected != 0 && record->failed;
    out->asks = (uint8_t)(3 - espimage_sdk_running(record));
    out->networks = count_networks(sectors + ESPIMAGE_COPY_OFFSET(out->parameters.current));
}

void flash_boot_find(const uint8_t *bytes, size_t size, const struct espimage_flash_view *flash,
                     struct flash_boot *out)
{
    memset(out, 0, sizeof *out);
    out->outcome = FLASH_BOOT_UNKNOWN;
    out->version = espimage_boot_version(bytes, size < ESPIMAGE_SECTOR ? size : ESPIMAGE_SECTOR);
    if (flash->layout != ESPIMAGE_FLASH_SDK || flash->map == NULL || flash->map->half == 0 ||
        flash->map->flash_size > size) {
        return;
    }
    out->sectors = espimage_parameters_address(flash->map->flash_size);
    read_record(bytes, out);

    enum espimage_boot_version version =
        out->version != ESPIMAGE_BOOT_UNKNOWN ? out->version : ESPIMAGE_BOOT_1_6;
    struct espimage_boot_choice choice =
        espimage_boot_choose(version, espimage_record_current(&out->parameters));
    out->map = espimage_boot_map(version, flash->map->code);
    switch (out->map) {
    case ESPIMAGE_BOOT_MAP_REFUSED: out->outcome = FLASH_BOOT_MAP_REFUSED; return;
    case ESPIMAGE_BOOT_MAP_AS_512KB:
    case ESPIMAGE_BOOT_MAP_STAYS_IN_USER1: decide(bytes, flash, version, 1, true, out); return;
    case ESPIMAGE_BOOT_MAP_RIGHT: break;
    }
    switch (choice.target) {
    case ESPIMAGE_BOOT_FLAG_ERROR: out->outcome = FLASH_BOOT_FLAG_ERROR; return;
    case ESPIMAGE_BOOT_AT_ADDRESS:
        out->outcome = FLASH_BOOT_ADDRESS;
        out->address = choice.address;
        return;
    case ESPIMAGE_BOOT_SLOT: decide(bytes, flash, version, choice.slot, choice.fallback, out);
    }
}
