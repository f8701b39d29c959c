/* SPDX-License-Identifier: MIT */
#include "cli/info_flash.h"

#include "base/bytes.h"
#include "base/text.h"
#include "cli/extract.h"
#include "cli/info_image.h"
#include "cli/output.h"
#include "image/flash_boot.h"
#include "image/image_link.h"
#include "image/secrets.h"

#include <espimage/identify.h>
#include <stdio.h>
#include <string.h>

/* ---- parts ---- */

/* The content of a slot, or of another part, without the blank flash behind it. */
static size_t used_size(const struct info_flash *dump, const struct espimage_part *part)
{
    const uint8_t *start = dump->bytes + part->address;
    size_t size = espimage_part_content_size(dump->bytes, part);
    if (size == 0) {
        size = part->size;
        while (size > 0 && start[size - 1] == 0xFF) {
            size--;
        }
    }
    return size;
}

static void identify_part(const struct info_flash *dump, const struct espimage_part *part,
                          struct espimage_identity *out)
{
    espimage_identify(dump->bytes + part->address, used_size(dump, part), out);
}

static const char *part_state(const struct info_flash *dump, const struct espimage_part *part,
                              struct espimage_identity *identity)
{
    if (part->blank) {
        return "blank";
    }
    if (part->kind == ESPIMAGE_PART_BOOT) {
        if (espimage_part_content_size(dump->bytes, part) == 0) {
            return "no bootloader, a header alone";
        }
        identify_part(dump, part, identity);
        return identity->mistake == ESPIMAGE_MISTAKE_V1 ? "an unknown bootloader" : identity->is;
    }
    if (part->kind == ESPIMAGE_PART_INIT_DATA && dump->bytes[part->address] != 5) {
        return "used, but not by init data: it does not begin with 05";
    }
    return "used";
}

/* Where a part was extracted to; "" when it was not. */
static void extracted_to(char path[PATH_MAX], const struct info_flash *dump,
                         const struct espimage_part *part)
{
    struct espimage_error err;
    if (dump->extracted_to == NULL || espimage_part_content_size(dump->bytes, part) == 0 ||
        extract_path(path, dump->extracted_to, part, &err) != ESPIMAGE_OK) {
        path[0] = '\0';
    }
}

/* "linked for ...", when the words of the image say that it is in the wrong slot; or "". */
static void find_other_link(const struct info_flash *dump, const struct espimage_part *part,
                            const struct espimage_flash_view *flash, char *text, size_t size)
{
    struct espimage_image_view view;
    struct image_link link;
    uint8_t slot = part->address == flash->map->slot[0] ? 1 : 2;
    espimage_image_parse(dump->bytes + part->address, used_size(dump, part), &view);
    image_link_judge(&view, flash->map, slot, &link);
    text[0] = '\0';
    if (link.verdict == IMAGE_LINK_ELSEWHERE) {
        (void)snprintf(text, size, "linked at 0x%08X, %s needs 0x%08X: it crashes here", link.other,
                       part->name, link.wanted);
    }
}

static void slot_text(const struct info_flash *dump, const struct espimage_part *part,
                      const struct espimage_flash_view *flash)
{
    struct espimage_image_view view;
    struct espimage_identity identity;
    char link[160];
    const uint8_t *start = dump->bytes + part->address;
    size_t size = espimage_slot_image_size(start, part->size);
    find_other_link(dump, part, flash, link, sizeof link);
    if (size == 0) {
        identify_part(dump, part, &identity);
        (void)printf("    no whole image: %s\n", identity.text);
    } else {
        espimage_image_parse(start, size, &view);
        (void)printf("    ");
        info_image_text(&view);
    }
    if (link[0] != '\0') {
        (void)printf("  %s%s%s\n", style_bad(), link, style_end());
    }
}

/* ---- what boots ---- */

static const char *const outcomes[] = {
    [FLASH_BOOT_RUNS] = "runs",
    [FLASH_BOOT_FALLS_BACK] = "falls-back",
    [FLASH_BOOT_CRASHES] = "crash",
    [FLASH_BOOT_DEAD] = "dead",
    [FLASH_BOOT_FLAG_ERROR] = "flag-error",
    [FLASH_BOOT_ADDRESS] = "address",
    [FLASH_BOOT_MAP_REFUSED] = "map-refused",
    [FLASH_BOOT_UNKNOWN] = "unknown",
};

static const char *slot_name(uint8_t slot)
{
    static const char *const names[] = {"no slot", "user1", "user2"};
    return names[slot];
}

static void outcome_text(const struct flash_boot *boot, const char *loader)
{
    switch (boot->outcome) {
    case FLASH_BOOT_RUNS:
        (void)printf("  runs       %s, by %s\n", slot_name(boot->runs), loader);
        return;
    case FLASH_BOOT_FALLS_BACK:
        (void)printf(
            "  runs       %s, once %s has found no image in the chosen slot: it falls back "
            "at a reset%s\n",
            slot_name(boot->runs), loader,
            boot->version == ESPIMAGE_BOOT_1_7 ? ", after three further tries" : "");
        return;
    case FLASH_BOOT_CRASHES:
        (void)printf("  runs       nothing: the image that %s starts crashes at every reset (%s); "
                     "write the slot by cable\n",
                     loader, boot->found);
        return;
    case FLASH_BOOT_DEAD:
        (void)printf("  runs       nothing: %s finds no image to start (%s); write a slot by "
                     "cable\n",
                     loader, boot->found);
        return;
    case FLASH_BOOT_FLAG_ERROR:
        (void)printf("  runs       nothing: %s says 'error user bin flag'; erase the three sectors "
                     "from 0x%06X on\n",
                     loader, boot->sectors);
        return;
    case FLASH_BOOT_ADDRESS:
        (void)printf("  runs       what is at 0x%06X, by %s in test or enhance mode\n",
                     boot->address, loader);
        return;
    case FLASH_BOOT_MAP_REFUSED:
        (void)printf("  runs       nothing: %s says 'flash map not support'; set "
                     "another map in its header\n",
                     loader);
        return;
    case FLASH_BOOT_UNKNOWN: return;
    }
}

static void map_text(const struct flash_boot *boot, const char *loader)
{
    if (boot->map == ESPIMAGE_BOOT_MAP_AS_512KB) {
        (void)printf("             %s does not know this map: it takes the flash for 512 KB, never "
                     "starts user2, and writes into user1 at 0x07D000\n",
                     loader);
    } else if (boot->map == ESPIMAGE_BOOT_MAP_STAYS_IN_USER1) {
        (void)printf("             with this map %s is reported to start user1 always\n", loader);
    }
}

static void secret_text(const struct secret *secret, void *context)
{
    char shown_text[SECRET_SIZE + 1];
    (void)context;
    secret_printable(secret, shown_text);
    (void)printf("  %-10s %s\n", secret_name(secret->kind), shown_text);
}

static void boot_text(const struct info_flash *dump, const struct flash_boot *boot)
{
    char loader[64];
    if (boot->outcome == FLASH_BOOT_UNKNOWN) {
        return;
    }
    (void)snprintf(
        loader, sizeof loader, "%s%s",
        boot->version != ESPIMAGE_BOOT_UNKNOWN ? "boot "
        : dump->bytes[0] == 0xFF               ? "a bootloader like boot 1.6 (the file has none)"
                                               : "a bootloader like boot 1.6",
        boot->version != ESPIMAGE_BOOT_UNKNOWN ? espimage_boot_version_name(boot->version) : "");
    outcome_text(boot, loader);
    if (boot->outcome == FLASH_BOOT_MAP_REFUSED) {
        return;
    }
    map_text(boot, loader);
    if (boot->selected == 0) {
        (void)printf("  selected   %s\n",
                     boot->outcome == FLASH_BOOT_FLAG_ERROR ? "no slot" : "no slot yet, so user1");
    } else if (boot->failed) {
        (void)printf("  selected   %s was selected and failed; it will not be tried again until an "
                     "update\n",
                     slot_name(boot->selected));
        (void)printf("             update the device, or erase the three sectors from 0x%06X on: "
                     "then user1 is tried, and the SDK's settings are lost\n",
                     boot->sectors);
    } else {
        (void)printf("  selected   %s\n", slot_name(boot->selected));
    }
    if (boot->parameters.saved) {
        (void)printf("  saves      %u by the SDK\n", boot->parameters.saves);
    } else {
        (void)printf("  saves      %s\n", boot->parameters.blank
                                              ? "none by the SDK"
                                              : "unknown: a bootloader wrote the selector last");
    }
    (void)printf("  update     the next one asks for /%s.bin%s\n", slot_name(boot->asks),
                 boot->asks == boot->runs ? ", which is the slot that runs: it would crash" : "");
    (void)printf("  networks   %u stored%s\n", boot->networks,
                 boot->networks > 0 && !dump->secrets ? "; --secrets shows them" : "");
    if (dump->secrets) {
        secrets_each(dump->bytes + boot->sectors + ESPIMAGE_COPY_OFFSET(boot->parameters.current),
                     secret_text, NULL);
    }
}

static void add_secret(const struct secret *secret, void *context)
{
    char shown_text[SECRET_SIZE + 1];
    secret_printable(secret, shown_text);
    (void)json_array_append_new(context, json_pack("{s:s, s:o}", "kind", secret_name(secret->kind),
                                                   "value", json_text(shown_text)));
}

static json_t *slot_or_null(uint8_t slot)
{
    return slot != 0 ? json_string(slot_name(slot)) : json_null();
}

static json_t *boot_json(const struct info_flash *dump, const struct flash_boot *boot)
{
    if (boot->outcome == FLASH_BOOT_UNKNOWN) {
        return json_null();
    }
    json_t *out = json_pack(
        "{s:o, s:s, s:o, s:o, s:b, s:o, s:o, s:I}", "version",
        boot->version != ESPIMAGE_BOOT_UNKNOWN
            ? json_string(espimage_boot_version_name(boot->version))
            : json_null(),
        "outcome", outcomes[boot->outcome], "runs", slot_or_null(boot->runs), "selected",
        slot_or_null(boot->selected), "failed", boot->failed, "saves",
        boot->parameters.saved ? json_integer((json_int_t)boot->parameters.saves) : json_null(),
        "next_request",
        boot->asks != 0 ? json_sprintf("/%s.bin", slot_name(boot->asks)) : json_null(), "networks",
        (json_int_t)boot->networks);
    if (dump->secrets && boot->sectors != 0) {
        json_t *list = json_array();
        secrets_each(dump->bytes + boot->sectors + ESPIMAGE_COPY_OFFSET(boot->parameters.current),
                     add_secret, list);
        (void)json_object_set_new(out, "secrets", list);
    }
    return out;
}

/* ---- all of it ---- */

static void size_text(const struct info_flash *dump, const struct espimage_flash_view *flash)
{
    (void)printf("flash of %zu KB, map %s", dump->size / 1024,
                 flash->map != NULL ? flash->map->name : "unknown");
    if (flash->map != NULL && !flash->size_agrees) {
        (void)printf(" (of another size, %u KB: %s)", flash->map->flash_size / 1024,
                     dump->size < flash->map->flash_size
                         ? "a partial read, the rest is not in the file"
                         : "the system sectors are where the map has them");
    }
    (void)printf("\n");
    if (flash->layout != ESPIMAGE_FLASH_SDK) {
        (void)printf("  layout     %s\n", espimage_flash_layout_text(flash->layout));
    }
}

/* The map that has a slot there, or NULL. */
static const struct espimage_flash_map *map_with_slot(uint32_t address)
{
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *map = espimage_flash_map_at(i);
        if (map->half != 0 && (map->slot[0] == address || map->slot[1] == address)) {
            return map;
        }
    }
    return NULL;
}

static void images_text(const struct espimage_flash_view *flash)
{
    for (size_t i = 0; i < flash->image_count; i++) {
        const struct espimage_flash_image *image = &flash->images[i];
        const struct espimage_flash_map *other = map_with_slot(image->address);
        (void)printf("  0x%06X  %s", image->address,
                     image->new_layout ? "image for the new bootloader" : "v1 image");
        if (flash->layout == ESPIMAGE_FLASH_SDK) {
            (void)printf(", in no slot of this map%s%s", other != NULL ? "; it is one of " : "",
                         other != NULL ? other->name : "");
        }
        (void)printf("\n");
    }
}

void info_flash_text(const struct info_flash *dump, const struct espimage_flash_view *flash)
{
    struct flash_boot boot;
    size_text(dump, flash);
    for (size_t i = 0; i < flash->part_count; i++) {
        const struct espimage_part *part = &flash->parts[i];
        struct espimage_identity identity;
        char path[PATH_MAX];
        extracted_to(path, dump, part);
        (void)printf("  0x%06X  %-18s %s%s%s\n", part->address, part->name,
                     part_state(dump, part, &identity), path[0] != '\0' ? ", extracted to " : "",
                     shown(path).text);
        if (part->kind == ESPIMAGE_PART_SLOT && !part->blank) {
            slot_text(dump, part, flash);
        }
    }
    images_text(flash);
    flash_boot_find(dump->bytes, dump->size, flash, &boot);
    boot_text(dump, &boot);
}

static void slot_json(const struct info_flash *dump, const struct espimage_part *part,
                      const struct espimage_flash_view *flash, json_t *out)
{
    struct espimage_image_view view;
    struct espimage_identity identity;
    char link[160];
    size_t size = espimage_slot_image_size(dump->bytes + part->address, part->size);
    espimage_image_parse(dump->bytes + part->address, size, &view);
    find_other_link(dump, part, flash, link, sizeof link);
    identify_part(dump, part, &identity);
    (void)json_object_set_new(out, "image", size > 0 ? info_image_json(&view) : json_null());
    (void)json_object_set_new(out, "mistake", json_string(espimage_mistake_name(identity.mistake)));
    (void)json_object_set_new(out, "mistake_text", json_text(identity.text));
    (void)json_object_set_new(out, "link_trouble",
                              link[0] != '\0' ? json_string(link) : json_null());
}

json_t *info_flash_json(const struct info_flash *dump, const struct espimage_flash_view *flash)
{
    struct flash_boot boot;
    json_t *parts = json_array();
    json_t *images = json_array();
    for (size_t i = 0; i < flash->part_count; i++) {
        const struct espimage_part *p = &flash->parts[i];
        json_t *part =
            json_pack("{s:s, s:o, s:I, s:b, s:I}", "name", p->name, "address",
                      json_hex(p->address, 6), "size", (json_int_t)p->size, "blank", p->blank,
                      "content_size", (json_int_t)espimage_part_content_size(dump->bytes, p));
        char path[PATH_MAX];
        extracted_to(path, dump, p);
        if (dump->extracted_to != NULL) {
            (void)json_object_set_new(part, "extracted",
                                      path[0] != '\0' ? json_text(path) : json_null());
        }
        if (p->kind == ESPIMAGE_PART_SLOT && !p->blank) {
            slot_json(dump, p, flash, part);
        }
        (void)json_array_append_new(parts, part);
    }
    for (size_t i = 0; i < flash->image_count; i++) {
        (void)json_array_append_new(
            images, json_pack("{s:o, s:s}", "address", json_hex(flash->images[i].address, 6),
                              "format", flash->images[i].new_layout ? "v2" : "v1"));
    }
    flash_boot_find(dump->bytes, dump->size, flash, &boot);
    return json_pack("{s:s, s:I, s:o, s:s, s:b, s:o, s:o, s:o}", "content", "flash", "size",
                     (json_int_t)dump->size, "flash_map",
                     flash->map != NULL ? json_string(flash->map->name) : json_null(), "layout",
                     espimage_flash_layout_name(flash->layout), "size_agrees", flash->size_agrees,
                     "parts", parts, "images", images, "boot", boot_json(dump, &boot));
}
