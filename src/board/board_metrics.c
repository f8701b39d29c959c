/* SPDX-License-Identifier: MIT */
#include "board/board_text.h"

#include <espimage/version.h>
#include <inttypes.h>

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP espimagetool_%s %s\n# TYPE espimagetool_%s %s\n", name, help, name,
                  type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)fprintf(out, "espimagetool_%s %" PRIu64 "\n", name, value);
}

static void requests(FILE *out, const struct board_totals *t)
{
    head(out, "requests_total", "counter", "Requests that have ended, by HTTP status.");
    for (unsigned status = 0; status < BOARD_STATUSES; status++) {
        if (t->requests[status] != 0) {
            (void)fprintf(out, "espimagetool_requests_total{status=\"%u\"} %" PRIu64 "\n", status,
                          t->requests[status]);
        }
    }
}

static void slot_values(FILE *out, const char *name, const char *help, const uint64_t values[2])
{
    head(out, name, "gauge", help);
    for (int i = 0; i < 2; i++) {
        (void)fprintf(out, "espimagetool_%s{slot=\"%d\"} %" PRIu64 "\n", name, i + 1, values[i]);
    }
}

static void slots(FILE *out, const struct board_slot slot[2])
{
    const uint64_t ready[] = {slot[0].converts, slot[1].converts};
    const uint64_t sizes[] = {slot[0].size, slot[1].size};
    const uint64_t builds[] = {slot[0].build, slot[1].build};
    slot_values(out, "slot_ready", "1 when the slot's ELF can be converted.", ready);
    slot_values(out, "slot_image_bytes", "Length of the slot's image.", sizes);
    slot_values(out, "slot_build", "Number of the slot's image since the start.", builds);
}

void board_metrics(FILE *out, const struct board_view *view, const struct board_setting *setting)
{
    const struct board_totals *t = &view->totals;
    head(out, "info", "gauge", "The program's version.");
    (void)fprintf(out, "espimagetool_info{version=\"%s\"} 1\n", ESPIMAGE_VERSION);
    one(out, "start_time_seconds", "gauge", "Start of the server, seconds since 1970.",
        (uint64_t)setting->started);
    requests(out, t);
    one(out, "image_bytes_total", "counter", "Bytes of images that clients have acknowledged.",
        t->image_bytes);
    one(out, "downloads_complete_total", "counter", "Images delivered whole.", t->complete);
    one(out, "downloads_broken_total", "counter", "Downloads that broke off.", t->broken);
    one(out, "turned_away_total", "counter", "Connections closed before a whole request.",
        t->turned_away);
    one(out, "not_converted_total", "counter", "Requests refused as the ELF did not convert.",
        t->not_converted);
    one(out, "updates_total", "counter", "Devices seen to run what they had fetched.", t->updates);
    one(out, "not_taken_total", "counter", "Images fetched whole and asked for again.",
        t->not_taken);
    one(out, "downloads_active", "gauge", "Devices that download now.", t->active);
    one(out, "devices", "gauge", "Addresses that have asked for a slot.", t->devices);
    one(out, "listeners", "gauge", "Listeners of /events.", setting->listeners);
    slots(out, view->slots);
}
