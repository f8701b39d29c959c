/* SPDX-License-Identifier: MIT */
#include "board/board_text.h"

#include <espimage/version.h>
#include <inttypes.h>
#include <jansson.h>

#define DUMP (JSON_COMPACT | JSON_ENSURE_ASCII)

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static json_t *number_or_null(int64_t number)
{
    return number != 0 ? json_integer(number) : json_null();
}

static json_t *hex(uint32_t value, int digits)
{
    char text[16];
    (void)snprintf(text, sizeof text, "0x%0*" PRIX32, digits, value);
    return json_string(text);
}

static json_t *place_json(int slot, unsigned build)
{
    return slot != 0 ? json_pack("{s:i, s:I}", "slot", slot, "build", (json_int_t)build)
                     : json_null();
}

static json_t *download_json(const struct board_download *d)
{
    if (d->slot == 0) {
        return json_null();
    }
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "slot", d->slot, "build",
                     (json_int_t)d->build, "sent", (json_int_t)d->sent, "size", (json_int_t)d->size,
                     "speed", (json_int_t)d->speed, "since", (json_int_t)d->since);
}

static json_t *last_json(const struct board_device *d)
{
    if (!d->ended) {
        return json_null();
    }
    return json_pack("{s:i, s:i, s:b, s:b, s:s?}", "slot", d->last_slot, "status",
                     (int)d->last_status, "complete", d->last_complete, "not_taken",
                     d->last_not_taken, "reason", text_or_null(d->last_reason));
}

static json_t *device_json(const struct board_device *d)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "client", d->client,
                     "runs", place_json(d->runs, d->runs_build), "download", download_json(&d->now),
                     "last", last_json(d), "downloads", (json_int_t)d->downloads, "updates",
                     (json_int_t)d->updates, "not_taken", (json_int_t)d->not_taken, "failures",
                     (json_int_t)d->failures, "first_seen", (json_int_t)d->first_seen, "seen",
                     (json_int_t)d->seen);
}

static json_t *result_json(const struct board_result *r)
{
    return json_pack(
        "{s:I, s:I, s:s, s:b, s:s?, s:s?, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:o, s:b, s:s?}",
        "number", (json_int_t)r->number, "time", (json_int_t)r->time, "client", r->client,
        "turned_away", r->turned_away, "method", text_or_null(r->method), "target",
        text_or_null(r->target), "slot", number_or_null(r->slot), "build", number_or_null(r->build),
        "status", number_or_null(r->status), "sent", (json_int_t)r->sent, "size",
        (json_int_t)r->size, "milliseconds", (json_int_t)r->milliseconds, "complete", r->complete,
        "runs", place_json(r->runs, r->runs_build), "not_taken", r->not_taken, "reason",
        text_or_null(r->reason));
}

static json_t *slot_json(const struct board_slot *slot, int number,
                         const struct espimage_flash_map *map)
{
    return json_pack("{s:i, s:s?, s:b, s:o, s:o, s:I, s:o, s:o, s:s?, s:o, s:s?}", "slot", number,
                     "elf", text_or_null(slot->elf), "converts", slot->converts, "build",
                     number_or_null(slot->build), "size", number_or_null((int64_t)slot->size),
                     "limit", (json_int_t)map->slot_limit, "flash_address",
                     hex(map->slot[number - 1], 6), "link_address", hex(map->link[number - 1], 8),
                     "sha256", text_or_null(slot->sha256), "converted",
                     number_or_null(slot->converted), "reason", text_or_null(slot->reason));
}

static json_t *requests_json(const struct board_totals *totals)
{
    json_t *requests = json_object();
    for (unsigned status = 0; status < BOARD_STATUSES; status++) {
        if (totals->requests[status] != 0) {
            char text[16];
            (void)snprintf(text, sizeof text, "%u", status);
            (void)json_object_set_new(requests, text,
                                      json_integer((json_int_t)totals->requests[status]));
        }
    }
    return requests;
}

static json_t *totals_json(const struct board_totals *t, const struct board_setting *setting)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests",
                     requests_json(t), "image_bytes", (json_int_t)t->image_bytes, "complete",
                     (json_int_t)t->complete, "broken", (json_int_t)t->broken, "turned_away",
                     (json_int_t)t->turned_away, "not_converted", (json_int_t)t->not_converted,
                     "updates", (json_int_t)t->updates, "not_taken", (json_int_t)t->not_taken,
                     "downloading", (json_int_t)t->active, "devices", (json_int_t)t->devices,
                     "listeners", (json_int_t)setting->listeners);
}

static json_t *server_json(const struct board_setting *setting)
{
    const struct espimage_flash_map *map = setting->map;
    return json_pack("{s:i, s:s, s:I, s:I, s:{s:s, s:I}}", "schema_version", BOARD_SCHEMA_VERSION,
                     "version", ESPIMAGE_VERSION, "started", (json_int_t)setting->started, "now",
                     (json_int_t)setting->now, "map", "name", map->name, "flash_size",
                     (json_int_t)map->flash_size);
}

static json_t *slots_json(const struct board_view *view, const struct espimage_flash_map *map)
{
    return json_pack("[o, o]", slot_json(&view->slots[0], 1, map),
                     slot_json(&view->slots[1], 2, map));
}

/* ---- the whole ---- */

/* The newest comes first. */
static json_t *devices_json(const struct board_view *view)
{
    json_t *list = json_array();
    for (size_t i = view->device_count; i > 0; i--) {
        (void)json_array_append_new(list, device_json(&view->devices[i - 1]));
    }
    return list;
}

static json_t *results_json(const struct board_view *view)
{
    json_t *list = json_array();
    for (size_t i = view->result_count; i > 0; i--) {
        (void)json_array_append_new(list, result_json(&view->results[i - 1]));
    }
    return list;
}

bool board_json(FILE *out, const struct board_view *view, const struct board_setting *setting)
{
    json_t *all = server_json(setting);
    bool good = json_object_set_new(all, "slots", slots_json(view, setting->map)) == 0 &&
                json_object_set_new(all, "totals", totals_json(&view->totals, setting)) == 0 &&
                json_object_set_new(all, "devices", devices_json(view)) == 0 &&
                json_object_set_new(all, "results", results_json(view)) == 0 &&
                json_dumpf(all, out, DUMP) == 0 && fputc('\n', out) != EOF;
    json_decref(all);
    return good;
}

/* ---- server-sent events ---- */

/* Takes the value. */
static bool event(FILE *out, const char *name, json_t *value)
{
    bool good = value != NULL && fprintf(out, "event: %s\ndata: ", name) > 0 &&
                json_dumpf(value, out, DUMP) == 0 && fputs("\n\n", out) != EOF;
    json_decref(value);
    return good;
}

bool board_events(FILE *out, const struct board_view *view, const struct board_setting *setting,
                  bool first, uint64_t version)
{
    bool good = !first ||
                (fputs("retry: 2000\n", out) != EOF && event(out, "server", server_json(setting)));
    for (int i = 0; i < 2 && good; i++) {
        if (first || view->slots[i].version > version) {
            good = event(out, "slot", slot_json(&view->slots[i], i + 1, setting->map));
        }
    }
    for (size_t i = 0; i < view->device_count && good; i++) {
        good = event(out, "device", device_json(&view->devices[i]));
    }
    for (size_t i = 0; i < view->result_count && good; i++) {
        good = event(out, "result", result_json(&view->results[i]));
    }
    if (good && (first || view->totals.version > version)) {
        good = event(out, "totals", totals_json(&view->totals, setting));
    }
    return good;
}
