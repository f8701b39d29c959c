/* SPDX-License-Identifier: MIT */
#include "cli/serve_announce.h"

#include "base/error.h"
#include "cli/output.h"
#include "cli/serve_log.h"
#include "cli/serve_urls.h"

#include <espimage/verify.h>
#include <espimage/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void serve_announce_init(struct serve_announcement *a, const struct serve_elfs *elfs, bool json)
{
    *a = (struct serve_announcement){.elfs = elfs, .json = json, .slots = json_array()};
}

void serve_announce_free(struct serve_announcement *a)
{
    json_decref(a->slots);
    a->slots = NULL;
}

/* What devices would refuse must not be served without a word. */
static void warn_of_refusal(const struct serve_announcement *a, int slot,
                            const struct snapshot *snapshot, struct espimage_notes *notes)
{
    const struct espimage_verify_options rules = {
        .size = sizeof rules, .map = store_map(a->elfs->store, NULL), .app = (uint8_t)slot};
    espimage_report *report = NULL;
    struct espimage_error err;
    if (espimage_verify(snapshot->image.data, snapshot->image.size, &rules, &report, &err) !=
        ESPIMAGE_OK) {
        note_add(notes, "not verified: %s", err.found);
        return;
    }
    const struct espimage_verdict *v = espimage_report_verdict(report, ESPIMAGE_CONSUMER_OTA3);
    if (!v->accepts) {
        note_add(notes, "devices will refuse this image: %s: %s", v->because->rule->name,
                 v->because->found);
    }
    espimage_report_free(report);
}

static void introduce_text(const struct serve_announcement *a, int slot,
                           const struct snapshot *snapshot, const char *reason)
{
    if (a->json) {
        return;
    }
    if (snapshot == NULL) {
        (void)printf("APP%d: %s\n", slot, reason != NULL ? reason : "");
    } else {
        (void)printf("APP%d: %s, %zu bytes of %u, sha256 %.16s\n", slot, shown(snapshot->path).text,
                     snapshot->image.size,
                     espimage_update_limit(store_map(a->elfs->store, NULL)->slot_limit),
                     snapshot->sha256);
    }
}

static void introduce_json(struct serve_announcement *a, int slot, const struct snapshot *snapshot,
                           const char *reason, const struct espimage_notes *notes)
{
    const struct espimage_flash_map *map = store_map(a->elfs->store, NULL);
    const char *path = store_path(a->elfs->store, slot);
    json_t *one = json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "slot", slot, "elf",
        path != NULL ? json_text(path) : json_null(), "size",
        snapshot != NULL ? json_integer((json_int_t)snapshot->image.size) : json_null(), "sha256",
        snapshot != NULL ? json_string(snapshot->sha256) : json_null(), "link",
        json_hex(map->link[slot - 1], 8), "slot_limit", (json_int_t)map->slot_limit, "warnings",
        json_notes(notes), "reason", reason != NULL ? json_text(reason) : json_null());
    (void)json_array_append_new(a->slots, one);
}

static void introduce_as(struct serve_announcement *a, int slot, const struct snapshot *snapshot,
                         const char *reason, const struct espimage_notes *notes)
{
    introduce_text(a, slot, snapshot, reason);
    introduce_json(a, slot, snapshot, reason, notes);
    if (snapshot != NULL) {
        print_warnings(snapshot->path, notes);
    }
}

unsigned serve_announce_slot(struct serve_announcement *a, int slot)
{
    const struct espimage_flash_map *map = store_map(a->elfs->store, NULL);
    const char *path = store_path(a->elfs->store, slot);
    const struct snapshot *snapshot = NULL;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    char reason[sizeof(struct shown) + 64];

    if (path == NULL) {
        (void)snprintf(reason, sizeof reason, "(none); link one at 0x%08X with %s",
                       map->link[slot - 1], map->script[slot - 1]);
        introduce_as(a, slot, NULL, reason, &notes);
        return 0;
    }
    if (serve_elfs_get(a->elfs, slot, &snapshot, &notes, &err) != ESPIMAGE_OK) {
        char line[ESPIMAGE_ERROR_LINE];
        if (strcmp(espimage_error_line(&err, line, sizeof line), a->told) != 0) {
            (void)print_error(&err);
            memcpy(a->told, line, sizeof line);
        }
        bool missing = err.code == ESPIMAGE_ERR_NO_INPUT;
        (void)snprintf(reason, sizeof reason,
                       missing ? "%s, not there yet; served when it appears"
                               : "%s, not usable yet; served when it is right",
                       shown(path).text);
        introduce_as(a, slot, NULL, reason, &notes);
        return 0;
    }
    warn_of_refusal(a, slot, snapshot, &notes);
    introduce_as(a, slot, snapshot, NULL, &notes);
    unsigned build = snapshot->build;
    snapshot_release(snapshot);
    return build;
}

/* Where a URL's host ends. */
static int host_length(const char *url)
{
    return (int)(strrchr(url, '/') - url) + 1;
}

static void announce_text(const struct serve_announcement *a, const struct server_facts *facts,
                          const json_t *urls)
{
    bool assumed = false;
    const struct espimage_flash_map *map = store_map(a->elfs->store, &assumed);
    size_t i = 0;
    const json_t *url = NULL;
    safety_print(facts);
    (void)printf("Serving on port %u%s, flash map %s%s:\n", facts->port,
                 facts->inherited ? " (passed by systemd)" : "", map->name,
                 assumed ? " (assumed; give --flash-size)" : "");
    json_array_foreach(urls, i, url)
    {
        const char *text = json_string_value(url);
        const char *next = json_string_value(json_array_get(urls, i + 1));
        int host = host_length(text);
        (void)printf("  %s\n", text);
        if (next == NULL || strncmp(text, next, (size_t)host) != 0) {
            (void)printf("  Status: %.*s\n", host, text);
        }
    }
}

/* Takes both arrays. */
static void announce_json(const struct serve_announcement *a, const struct server_facts *facts,
                          json_t *urls, json_t *slots)
{
    const struct serve_elfs *e = a->elfs;
    bool assumed = false;
    const struct espimage_flash_map *map = store_map(e->store, &assumed);
    const char *from = e->flash.map != NULL ? "option" : "addresses";
    from = assumed ? "assumed" : from;
    char *line = serve_log_record(
        "started",
        json_pack("{s:s, s:i, s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:s, s:o}", "version",
                  espimage_version(), "port", (int)facts->port, "bind", facts->address, "urls",
                  urls, "flash_map", map->name, "flash_map_from", from, "profile",
                  espimage_profile_name(e->profile), "connections", (json_int_t)facts->connections,
                  "connections_per_address", (json_int_t)facts->address_connections, "protection",
                  facts->protection, "slots", slots));
    (void)fputs(line != NULL ? line : "", stdout);
    free(line);
}

void serve_announce_server(struct serve_announcement *a, const struct safety *safety,
                           const struct server_facts *facts)
{
    struct store *store = a->elfs->store;
    const bool slots[2] = {store_path(store, 1) != NULL, store_path(store, 2) != NULL};
    json_t *urls = serve_urls(facts->address, facts->port, safety->path_token, slots);
    safety_warn(safety, facts);
    if (a->json) {
        announce_json(a, facts, urls, a->slots);
        a->slots = NULL;
    } else {
        announce_text(a, facts, urls);
        json_decref(urls);
    }
}
