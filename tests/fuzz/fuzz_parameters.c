/* SPDX-License-Identifier: MIT */
/* Any parameter sectors and any image: what bootloaders and SDK make of them.
 *
 *     0   version of the bootloader, map code
 *     2   selector, 32 bytes
 *    34   copy A and copy B, 32 bytes each
 *    98   the image in user1
 */
#include "fuzz/fuzz.h"

#include "device/boot.h"
#include "device/flash_file.h"
#include "device/save.h"

#include <stdlib.h>
#include <string.h>

#define FLASH_SIZE    0x80000U
#define SLOT_1        0x1000U
#define LARGEST_IMAGE 0x2000U
#define RECORD_USED   32
#define SETTINGS      2
#define IMAGE_OFFSET  (SETTINGS + 3 * RECORD_USED)

/* Three retries of each slot, a fallback, and the last one. */
#define RESETS_UNTIL_THE_END 8

static void demand(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct flash *blank_flash(void)
{
    static struct flash flash = {.fd = -1};
    static uint8_t blank[FLASH_SIZE];
    struct espimage_error err;
    if (flash.fd < 0) {
        memset(blank, 0xFF, sizeof blank);
        demand(flash_file_unnamed(blank, sizeof blank, &flash, &err) == ESPIMAGE_OK);
    }
    return &flash;
}

static void put(struct flash *flash, uint32_t address, const uint8_t *bytes, uint32_t size)
{
    struct espimage_error err;
    for (uint32_t at = 0; at < size; at += ESPIMAGE_SECTOR) {
        uint32_t part = size - at < ESPIMAGE_SECTOR ? size - at : ESPIMAGE_SECTOR;
        demand(flash_erase(flash, address + at, &err) == ESPIMAGE_OK &&
               flash_write_any(flash, address + at, bytes + at, part, &err) == ESPIMAGE_OK);
    }
}

static void get_sectors(const struct flash *flash, uint8_t *sectors)
{
    struct espimage_error err;
    demand(flash_read(flash, espimage_parameters_address(FLASH_SIZE), sectors,
                      ESPIMAGE_PARAMETERS_SIZE, &err) == ESPIMAGE_OK);
}

static void put_sectors(struct flash *flash, const uint8_t *data)
{
    static uint8_t sectors[ESPIMAGE_PARAMETERS_SIZE];
    memset(sectors, 0xFF, sizeof sectors);
    memcpy(sectors + ESPIMAGE_SELECTOR_OFFSET, data, RECORD_USED);
    memcpy(sectors, data + RECORD_USED, RECORD_USED);
    memcpy(sectors + ESPIMAGE_COPY_OFFSET(ESPIMAGE_COPY_B), data + 2 * (size_t)RECORD_USED,
           RECORD_USED);
    put(flash, espimage_parameters_address(FLASH_SIZE), sectors, sizeof sectors);
}

static void put_image(struct flash *flash, const uint8_t *data, size_t size)
{
    static uint8_t image[LARGEST_IMAGE];
    memset(image, 0xFF, sizeof image);
    memcpy(image, data, size < sizeof image ? size : sizeof image);
    put(flash, SLOT_1, image, sizeof image);
}

/* The same outcome for ever, and nothing more is written, after as many resets as retries take. */
static void reset_until_the_end(struct flash *flash, uint8_t version, uint8_t map_code)
{
    static struct boot_step step;
    struct espimage_error err;
    struct boot_chip chip = {.flash = flash,
                             .version = (enum espimage_boot_version)version,
                             .map_code = map_code,
                             .retries = map_code};
    for (int i = 0; i <= RESETS_UNTIL_THE_END; i++) {
        demand(boot_step(&chip, &step, &err) == ESPIMAGE_OK);
        demand(step.slot <= 2 && step.change_count <= sizeof step.changes / sizeof step.changes[0]);
        demand(boot_apply(&step, flash, &err) == ESPIMAGE_OK);
        chip.retries = step.retries;
    }
    demand(step.change_count == 0);
    demand(step.outcome != BOOT_RETRY && step.outcome != BOOT_FALLBACK_SET);
}

/* The SDK chooses the other slot than the one that it took for the running one, and the selector
 * says that this copy is good. */
static void save(struct flash *flash)
{
    static uint8_t sectors[ESPIMAGE_PARAMETERS_SIZE];
    struct espimage_parameters p;
    struct espimage_error err;
    uint8_t before = 0;
    uint8_t chosen = 0;
    demand(save_running_slot(flash, &before, &err) == ESPIMAGE_OK);
    demand(save_other_slot(flash, &chosen, &err) == ESPIMAGE_OK);
    get_sectors(flash, sectors);
    espimage_parameters_parse(sectors, &p);
    demand(chosen == 3 - before);
    demand(espimage_sdk_running(espimage_record_current(&p)) == chosen);
    demand(p.saved && p.state[p.current] == ESPIMAGE_RECORD_GOOD);
    (void)espimage_network_count(sectors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < IMAGE_OFFSET) {
        (void)espimage_boot_version(data, size);
        return 0;
    }
    uint8_t version = (uint8_t)(ESPIMAGE_BOOT_1_1 + data[0] % ESPIMAGE_BOOT_1_7);
    struct flash *flash = blank_flash();
    put_sectors(flash, data + SETTINGS);
    put_image(flash, data + IMAGE_OFFSET, size - IMAGE_OFFSET);
    /* Only the map of this flash, and those that the bootloader takes for it. */
    uint8_t map_code = data[1] % 16;
    bool fits = espimage_boot_map((enum espimage_boot_version)version, map_code) !=
                    ESPIMAGE_BOOT_MAP_RIGHT ||
                map_code == 0;
    reset_until_the_end(flash, version, fits ? map_code : 0);
    save(flash);
    return 0;
}
