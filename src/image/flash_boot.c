/* SPDX-License-Identifier: MIT */
#include "image/flash_boot.h"

#include "base/bytes.h"
#include "image/boot_image.h"
#include "image/image_format.h"
#include "image/image_link.h"

#include <stdio.h>
#include <string.h>

/* Length of the name of the network that is in use, in a copy of the record. */
#define NETWORK_NAME_LENGTH 0x0C

/* A dump that has all of its map, and the bootloader that is taken to be in it. */
struct dump {
    const uint8_t *bytes;
    const struct espimage_flash_map *map;
    enum espimage_boot_version version;
};

static enum espimage_code read_dump(const void *context, uint32_t address, uint8_t *to, size_t size,
                                    struct espimage_error *err)
{
    const uint8_t *bytes = context;
    (void)err;
    memcpy(to, bytes + address, size);
    return ESPIMAGE_OK;
}

/* The words of the image say that it is in the wrong slot. */
static bool is_linked_elsewhere(const struct dump *d, uint8_t slot, struct flash_boot *out)
{
    struct espimage_image_view view;
    struct image_link link;
    const uint8_t *start = d->bytes + d->map->slot[slot - 1];
    size_t size = espimage_slot_image_size(start, d->map->slot_limit);
    espimage_image_parse(start, size > 0 ? size : d->map->slot_limit, &view);
    image_link_judge(&view, d->map, slot, &link);
    if (link.verdict == IMAGE_LINK_ELSEWHERE) {
        (void)snprintf(out->found, sizeof out->found, "linked at 0x%08X, user%u needs 0x%08X",
                       link.other, slot, link.wanted);
    }
    return link.verdict == IMAGE_LINK_ELSEWHERE;
}

static enum boot_image judge_slot(const struct dump *d, uint8_t slot, struct flash_boot *out)
{
    const struct boot_source source = {read_dump, d->bytes, d->map->flash_size};
    struct espimage_error err;
    enum boot_image image = BOOT_IMAGE_NO_MAGIC;
    (void)boot_image_judge(&source, d->version, d->map->slot[slot - 1], &image, out->found,
                           sizeof out->found, &err);
    if (image == BOOT_IMAGE_RUNS && is_linked_elsewhere(d, slot, out)) {
        return BOOT_IMAGE_CRASHES;
    }
    return image;
}

/* False when the bootloader is still in control: nothing was started. */
static bool try_slot(const struct dump *d, uint8_t slot, struct flash_boot *out)
{
    switch (judge_slot(d, slot, out)) {
    case BOOT_IMAGE_RUNS:
        out->outcome = FLASH_BOOT_RUNS;
        out->runs = slot;
        return true;
    case BOOT_IMAGE_CRASHES: out->outcome = FLASH_BOOT_CRASHES; return true;
    case BOOT_IMAGE_NO_MAGIC:
    case BOOT_IMAGE_NOT_LOADED: break;
    }
    out->outcome = FLASH_BOOT_DEAD;
    return false;
}

static void decide(const struct dump *d, uint8_t slot, bool fallback, struct flash_boot *out)
{
    if (try_slot(d, slot, out) || fallback || !espimage_boot_falls_back(d->version, slot)) {
        return;
    }
    if (try_slot(d, (uint8_t)(3 - slot), out) && out->outcome == FLASH_BOOT_RUNS) {
        out->outcome = FLASH_BOOT_FALLS_BACK;
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
    out->networks = count_networks(sectors + ESPIMAGE_COPY_OFFSET(out->parameters.current));
}

/* The SDK reads the record after the bootloader, which may have changed it. */
static uint8_t slot_asked_for(const struct dump *d, const struct espimage_boot_choice *choice,
                              const struct flash_boot *boot)
{
    struct espimage_record record = *espimage_record_current(&boot->parameters);
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    memcpy(head, record.head, sizeof head);
    if (boot->map == ESPIMAGE_BOOT_MAP_RIGHT && choice->initialises) {
        espimage_record_initialise(d->version, head);
    }
    if (boot->outcome == FLASH_BOOT_FALLS_BACK) {
        espimage_record_set_failed(head);
    }
    espimage_record_parse(head, &record);
    return (uint8_t)(3 - espimage_sdk_running(&record));
}

static void find_outcome(const struct dump *d, const struct espimage_boot_choice *choice,
                         struct flash_boot *out)
{
    if (out->map != ESPIMAGE_BOOT_MAP_RIGHT) {
        decide(d, 1, true, out);
        return;
    }
    switch (choice->target) {
    case ESPIMAGE_BOOT_FLAG_ERROR: out->outcome = FLASH_BOOT_FLAG_ERROR; return;
    case ESPIMAGE_BOOT_AT_ADDRESS:
        out->outcome = FLASH_BOOT_ADDRESS;
        out->address = choice->address;
        return;
    case ESPIMAGE_BOOT_SLOT: decide(d, choice->slot, choice->fallback, out); return;
    }
}

void flash_boot_find(const uint8_t *bytes, size_t size, const struct espimage_flash_view *flash,
                     struct flash_boot *out)
{
    memset(out, 0, sizeof *out);
    out->outcome = FLASH_BOOT_UNKNOWN;
    out->version = espimage_boot_version(bytes, size < ESPIMAGE_SECTOR ? size : ESPIMAGE_SECTOR);
    if (out->version != ESPIMAGE_BOOT_UNKNOWN && bytes[HEADER_MAGIC] == MAGIC_V1 &&
        espimage_boot_map(out->version, MAP_CODE(bytes[HEADER_SIZE_FREQ])) ==
            ESPIMAGE_BOOT_MAP_REFUSED) {
        out->outcome = FLASH_BOOT_MAP_REFUSED;
        return;
    }
    if (flash->layout != ESPIMAGE_FLASH_SDK || flash->map == NULL || flash->map->half == 0 ||
        flash->map->flash_size > size) {
        return;
    }
    out->sectors = espimage_parameters_address(flash->map->flash_size);
    read_record(bytes, out);

    const struct dump dump = {bytes, flash->map,
                              out->version != ESPIMAGE_BOOT_UNKNOWN ? out->version
                                                                    : ESPIMAGE_BOOT_1_6};
    struct espimage_boot_choice choice =
        espimage_boot_choose(dump.version, espimage_record_current(&out->parameters));
    out->map = espimage_boot_map(dump.version, flash->map->code);
    find_outcome(&dump, &choice, out);
    out->asks = slot_asked_for(&dump, &choice, out);
}
