/* SPDX-License-Identifier: MIT */
#include <espimage/classify.h>
#include <espimage/image.h>

#include "base/error.h"
#include "base/text.h"
#include "image/chip.h"

#include <stdio.h>
#include <string.h>

#define OFFSET_IN_SECTOR(address) ((address) % ESPIMAGE_SECTOR)

/* Which map to take when several fit: first the one that esptool assumes. */
static const uint8_t usual_maps[] = {2, 0, 3, 4, 5, 6, 8, 9};

static espimage_map_set bit(const struct espimage_flash_map *map)
{
    return UINT32_C(1) << map->code;
}

const char *espimage_layout_name(enum espimage_layout layout)
{
    switch (layout) {
    case ESPIMAGE_LAYOUT_OTA: return "ota";
    case ESPIMAGE_LAYOUT_RBOOT: return "rboot";
    case ESPIMAGE_LAYOUT_NO_BOOT: return "no-boot";
    case ESPIMAGE_LAYOUT_OLD_BOOT: return "old-boot";
    case ESPIMAGE_LAYOUT_ARDUINO: return "arduino";
    case ESPIMAGE_LAYOUT_RTOS3: return "rtos3";
    case ESPIMAGE_LAYOUT_OUTSIDE_WINDOW: return "outside-window";
    case ESPIMAGE_LAYOUT_NO_IROM: return "no-irom";
    case ESPIMAGE_LAYOUT_UNKNOWN: break;
    }
    return "unknown";
}

/* "app1 of 512KB, 1MB" for every map of the set; continues `text`. */
static void list_maps(char *text, size_t size, const char *label, espimage_map_set set)
{
    const char *gap = label;
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        if ((set & bit(map)) != 0) {
            size_t used = strlen(text);
            (void)snprintf(text + used, size - used, "%s%s", gap, map->name);
            gap = ", ";
        }
    }
}

static void find_maps(const espimage_firmware *fw, struct espimage_link *out)
{
    uint32_t size = espimage_image_size(fw);
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        if (map->half == 0) {
            continue;
        }
        out->app1_maps |= out->address == map->link[0] ? bit(map) : 0;
        out->app2_maps |= out->address == map->link[1] ? bit(map) : 0;
        out->fits |= size <= map->slot_limit ? bit(map) : 0;
    }
}

/* Continues out->reason. */
static void list_slots(struct espimage_link *out)
{
    espimage_map_set both = out->app1_maps & out->app2_maps;
    espimage_map_set only1 = out->app1_maps & ~both;
    espimage_map_set only2 = out->app2_maps & ~both;

    list_maps(out->reason, sizeof out->reason, "app1 of ", only1);
    list_maps(out->reason, sizeof out->reason, only1 != 0 ? "; app2 of " : "app2 of ", only2);
    list_maps(out->reason, sizeof out->reason, only1 != 0 ? "; either of " : "either of ", both);
}

static bool is_old_boot(uint32_t offset)
{
    for (size_t i = 0; i < CHIP_OLD_BOOT_OFFSETS; i++) {
        if (offset == chip_old_boot_offsets[i]) {
            return true;
        }
    }
    return false;
}

static void advise(struct espimage_link *out, enum espimage_advice code, const char *text)
{
    out->advice_code = code;
    (void)snprintf(out->advice, sizeof out->advice, "%s", text);
}

static void describe_outside(const struct espimage_irom *irom, struct espimage_link *out)
{
    (void)snprintf(out->reason, sizeof out->reason,
                   "linked at 0x%08X to 0x%08X, outside the 1 MB window that ends at 0x%08X",
                   irom->address, irom->address + irom->size, ESPIMAGE_WINDOW_END);
    advise(out, ESPIMAGE_ADVICE_TEXT,
           irom->address >= ESPIMAGE_WINDOW_END
               ? "it can never run there; for app2 of a 1024+1024 map link it at 0x40201010 too: "
                 "eagle.app.v6.new.2048.ld serves both slots"
               : "it can never run: make the part in flash smaller");
}

static bool has_section(const espimage_firmware *fw, const char *name)
{
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        if (strcmp(espimage_firmware_section(fw, i)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void describe_ota(const espimage_firmware *fw, struct espimage_link *out)
{
    bool arduino = has_section(fw, ".text1") || has_section(fw, ".noinit");
    out->layout = arduino ? ESPIMAGE_LAYOUT_ARDUINO : ESPIMAGE_LAYOUT_OTA;
    out->flash_address -= ESPIMAGE_IROM_IN_IMAGE;
    (void)snprintf(out->reason, sizeof out->reason,
                   "%slinked at 0x%08X: ", arduino ? "an Arduino sketch, " : "", out->address);
    list_slots(out);
    if (arduino) {
        advise(out, ESPIMAGE_ADVICE_TEXT,
               "its own updates want Arduino's bootloader eboot: build the .bin with Arduino and "
               "update it with ArduinoOTA or HTTPUpdate");
    }
}

static void describe_rtos3(struct espimage_link *out)
{
    out->layout = ESPIMAGE_LAYOUT_RTOS3;
    (void)snprintf(out->reason, sizeof out->reason,
                   "an application of Espressif's RTOS SDK 3, linked at 0x%08X", out->address);
    advise(
        out, ESPIMAGE_ADVICE_TEXT,
        "it has a bootloader and an image format of its own: build its .bin with the SDK's make or "
        "idf.py, flash it with esptool and update it with esp_https_ota");
}

void espimage_classify(const espimage_firmware *fw, struct espimage_link *out)
{
    struct espimage_irom irom = espimage_firmware_irom(fw);
    uint32_t offset = irom.address - ESPIMAGE_WINDOW_START;

    memset(out, 0, sizeof *out);
    out->address = irom.address;
    out->flash_address = offset;
    if (irom.size == 0) {
        out->layout = ESPIMAGE_LAYOUT_NO_IROM;
        out->flash_address = 0;
        (void)snprintf(out->reason, sizeof out->reason, "nothing is linked into flash");
        advise(out, ESPIMAGE_ADVICE_TEXT,
               "put code into .irom0.text (ICACHE_FLASH_ATTR) and use one of the SDK's linker "
               "scripts");
        return;
    }
    if (irom.address + irom.size > ESPIMAGE_WINDOW_END) {
        out->layout = ESPIMAGE_LAYOUT_OUTSIDE_WINDOW;
        describe_outside(&irom, out);
        return;
    }
    if (has_section(fw, ".flash.text") || has_section(fw, ".flash.rodata")) {
        describe_rtos3(out);
        return;
    }
    find_maps(fw, out);
    if ((out->app1_maps | out->app2_maps) != 0) {
        describe_ota(fw, out);
    } else if (is_old_boot(offset)) {
        out->layout = ESPIMAGE_LAYOUT_OLD_BOOT;
        (void)snprintf(out->reason, sizeof out->reason,
                       "linked at 0x%08X, for the old layout (eagle.app.v6.old.*.ld)",
                       irom.address);
        advise(
            out, ESPIMAGE_ADVICE_TEXT,
            "use the eagle.app.v6.new.*.ld linker scripts; bootloaders 1.4 to 1.7 start images of "
            "the old layout too, but the SDK's gen_appbin.py has to make them");
    } else if (OFFSET_IN_SECTOR(offset) == 0) {
        out->layout = ESPIMAGE_LAYOUT_NO_BOOT;
        (void)snprintf(out->reason, sizeof out->reason,
                       "linked at 0x%08X, for no bootloader (eagle.app.v6.ld)", irom.address);
        advise(out, ESPIMAGE_ADVICE_NO_BOOT,
               "use the eagle.app.v6.new.*.ld linker scripts, or build it for no bootloader");
    } else if (OFFSET_IN_SECTOR(offset) == ESPIMAGE_IROM_IN_IMAGE) {
        out->layout = ESPIMAGE_LAYOUT_RBOOT;
        out->flash_address = offset - ESPIMAGE_IROM_IN_IMAGE;
        (void)snprintf(out->reason, sizeof out->reason,
                       "linked at 0x%08X, as an rBoot ROM at flash address 0x%05X", irom.address,
                       out->flash_address);
        advise(
            out, ESPIMAGE_ADVICE_RBOOT,
            "for Espressif's bootloader use its linker scripts; for rBoot use the rboot profile");
    } else {
        out->layout = ESPIMAGE_LAYOUT_UNKNOWN;
        (void)snprintf(out->reason, sizeof out->reason,
                       "linked at 0x%08X, which is no slot of any flash map", irom.address);
        advise(out, ESPIMAGE_ADVICE_TEXT, "use the eagle.app.v6.new.*.ld linker scripts");
    }
}

void espimage_map_choice_init(struct espimage_map_choice *choice,
                              const struct espimage_flash_map *given)
{
    memset(choice, 0, sizeof *choice);
    choice->given = given;
    for (size_t i = 0; i < sizeof usual_maps; i++) {
        choice->left |= UINT32_C(1) << usual_maps[i];
    }
}

static void name_maps(struct espimage_error *err, espimage_map_set set, const char *before,
                      const char *after)
{
    char list[120] = "";
    list_maps(list, sizeof list, "", set);
    error_wanted(err, "%s%s%s", before, list, after);
}

enum espimage_code espimage_map_choice_add(struct espimage_map_choice *choice,
                                           const struct espimage_link *link, const char *file,
                                           struct espimage_error *err)
{
    espimage_map_set linked = link->app1_maps | link->app2_maps;
    if (linked == 0) {
        return ESPIMAGE_OK;
    }
    if (choice->given != NULL) {
        if ((linked & bit(choice->given)) != 0) {
            return ESPIMAGE_OK;
        }
        espimage_link_refuse(link, choice->given, err);
        return error_in_file(err, file);
    }
    if ((choice->left & linked) == 0) {
        error_found(err, ESPIMAGE_ERR_LAYOUT, "%s, but %s is linked at 0x%08X", link->reason,
                    choice->settled_by, choice->settled_at);
        name_maps(err, choice->left, "ELFs for one flash map, there: ", "");
        error_advice(err, "link both for the same map");
        return error_in_file(err, file);
    }
    espimage_map_set before = choice->left;
    choice->left &= linked;
    if ((choice->left & link->fits) != 0) {
        choice->left &= link->fits;
    }
    if (choice->left != before) {
        printable(choice->settled_by, sizeof choice->settled_by, file);
        choice->settled_at = link->address;
    }
    return ESPIMAGE_OK;
}

const struct espimage_flash_map *espimage_map_choice_map(const struct espimage_map_choice *choice,
                                                         bool *assumed)
{
    const struct espimage_flash_map *map = choice->given;
    for (size_t i = 0; map == NULL && i < sizeof usual_maps; i++) {
        if ((choice->left & UINT32_C(1) << usual_maps[i]) != 0) {
            map = espimage_flash_map_by_code(usual_maps[i]);
        }
    }
    *assumed = choice->given == NULL && (choice->left & (choice->left - 1)) != 0;
    return map;
}

unsigned espimage_link_slots(const struct espimage_link *link, const struct espimage_flash_map *map)
{
    return ((link->app1_maps & bit(map)) != 0 ? 1U : 0U) |
           ((link->app2_maps & bit(map)) != 0 ? 2U : 0U);
}

enum espimage_code espimage_link_refuse(const struct espimage_link *link,
                                        const struct espimage_flash_map *map,
                                        struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_LAYOUT, "%s", link->reason);
    if (map->half == 0) {
        error_wanted(err, "a flash map with two slots, not %s", map->name);
        return error_advice_coded(err, ESPIMAGE_ADVICE_FLASH_MAP,
                                  "give the flash size of the device");
    }
    if (espimage_flash_map_is_windowed(map)) {
        error_wanted(err, "0x%08X for both slots of the %s map", map->link[0], map->name);
    } else {
        error_wanted(err, "0x%08X for app1 or 0x%08X for app2 of the %s map", map->link[0],
                     map->link[1], map->name);
    }
    if ((link->app1_maps | link->app2_maps) != 0) {
        /* Linked for another map: most likely for the same half of it. */
        bool second = !espimage_flash_map_is_windowed(map) &&
                      link->address - ESPIMAGE_WINDOW_START >= map->half / 2 &&
                      link->app2_maps != 0;
        return error_advice_coded(err, ESPIMAGE_ADVICE_MATCH_MAP,
                                  "link it with %s, or give the flash size it was linked for",
                                  map->script[second ? 1 : 0]);
    }
    return error_advice_coded(err, link->advice_code, "%s", link->advice);
}
