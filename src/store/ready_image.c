/* SPDX-License-Identifier: MIT */
#include "store/ready_image.h"

#include "base/error.h"

#include <espimage/image.h>
#include <espimage/verify.h>
#include <stdio.h>
#include <string.h>

bool ready_image_is(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view view;
    espimage_image_parse(bytes, size, &view);
    return view.has_irom;
}

static espimage_map_set maps_alike(const struct espimage_flash_map *map)
{
    espimage_map_set set = 0;
    for (size_t i = 0; i < espimage_flash_map_count(); i++) {
        const struct espimage_flash_map *other = espimage_flash_map_at(i);
        set |= other->half == map->half ? UINT32_C(1) << other->code : 0;
    }
    return set;
}

enum espimage_code ready_image_link(const uint8_t *bytes, size_t size, struct espimage_link *out,
                                    struct espimage_error *err)
{
    struct espimage_image_view view;
    espimage_image_parse(bytes, size, &view);
    const struct espimage_flash_map *map = view.extent >= ESPIMAGE_EXTENT_INNER
                                               ? espimage_flash_map_by_code(view.inner[3] >> 4)
                                               : NULL;
    unsigned app = view.outer[3];
    if (app < 1 || app > 2) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "is an image with the app number %u", app);
        error_wanted(err, "1 or 2: the SDK's upgrade client refuses others");
        return error_advice(err, "give the ELF that it was made from");
    }
    if (map == NULL || map->half == 0) {
        error_found(err, ESPIMAGE_ERR_IMAGE,
                    "is an image whose header names no flash map with slots");
        return error_advice(err, "give the ELF that it was made from");
    }
    memset(out, 0, sizeof *out);
    out->layout = ESPIMAGE_LAYOUT_OTA;
    out->address = map->link[app - 1];
    out->flash_address = map->slot[app - 1];
    out->app1_maps = app == 1 ? maps_alike(map) : 0;
    out->app2_maps = app == 2 ? maps_alike(map) : 0;
    out->fits = UINT32_C(1) << map->code;
    (void)snprintf(out->reason, sizeof out->reason, "an image for slot user%u of the %s map", app,
                   map->name);
    return ESPIMAGE_OK;
}

static enum espimage_code refuse(const char *who, const struct espimage_verdict *v,
                                 struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_IMAGE, "%s %s this image: %s: %s", who,
                v->crashes ? "crashes with" : "refuses", v->because->rule->name, v->because->found);
    err->advice_code = ESPIMAGE_ADVICE_EVERY_RULE;
    return err->code;
}

enum espimage_code ready_image_check(const uint8_t *bytes, size_t size,
                                     const struct espimage_flash_map *map, uint8_t app,
                                     struct espimage_notes *notes, struct espimage_error *err)
{
    const struct espimage_verify_options options = {.size = sizeof options, .map = map, .app = app};
    espimage_report *report = NULL;
    if (espimage_verify(bytes, size, &options, &report, err) != ESPIMAGE_OK) {
        return err->code;
    }
    enum espimage_code code = ESPIMAGE_OK;
    const struct espimage_verdict *boot = espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
    const struct espimage_verdict *ota = espimage_report_verdict(report, ESPIMAGE_CONSUMER_OTA3);
    if (!ota->accepts) {
        code = refuse("the SDK's upgrade client", ota, err);
    } else if (!boot->accepts) {
        code = refuse("the bootloader", boot, err);
    }
    for (size_t i = 0; code == ESPIMAGE_OK && i < espimage_report_count(report); i++) {
        const struct espimage_finding *finding = espimage_report_finding(report, i);
        if (finding->outcome == ESPIMAGE_WARN) {
            note_add(notes, "%s: %s", finding->rule->name, finding->found);
        }
    }
    espimage_report_free(report);
    return code;
}
