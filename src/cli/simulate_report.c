/* SPDX-License-Identifier: MIT */
#include "cli/simulate_report.h"

#include "cli/output.h"

#include <stdio.h>

struct totals {
    uint32_t succeeded;
    uint32_t failed;
    uint32_t dead;
    double seconds;
};

static struct totals count_up(const struct simulate_end *end)
{
    struct totals t = {.seconds = end->seconds};
    for (uint32_t i = 0; i < end->count; i++) {
        const struct device *d = &end->devices[i];
        t.succeeded += d->succeeded;
        t.failed += d->failed;
        t.dead += d->state == DEVICE_DEAD ? 1 : 0;
    }
    return t;
}

static int status_of(const struct simulate_end *end, const struct totals *t)
{
    uint64_t wanted = (uint64_t)end->settings->updates * end->count;
    if (wanted != 0) {
        return t->succeeded == wanted && t->dead == 0 ? 0 : EXIT_NOT_ALL;
    }
    return end->interrupted ? 0 : EXIT_NOT_ALL;
}

static void report_dead(const struct simulate_end *end)
{
    for (uint32_t i = 0; i < end->count; i++) {
        const struct device *d = &end->devices[i];
        if (d->state == DEVICE_DEAD) {
            (void)fprintf(stderr, PROGRAM ": the device at %s is dead: %s: %s\n", d->address_text,
                          d->last_rule, d->last_found);
        }
    }
}

static json_t *device_json(const struct device *d)
{
    static const char *const states[] = {"booting", "running", "updating", "dead"};
    bool failed = d->last_rule[0] != '\0';
    return json_pack(
        "{s:s, s:i, s:i, s:s, s:i, s:s, s:I, s:I, s:f, s:o}", "address", d->address_text,
        "page_port", (int)d->page_port, "trigger_port", (int)d->trigger_port, "state",
        states[d->state], "slot", (int)d->running, "build", d->build.name, "succeeded",
        (json_int_t)d->succeeded, "failed", (json_int_t)d->failed, "seconds", d->seconds,
        "last_failure",
        failed ? json_pack("{s:s, s:o}", "rule", d->last_rule, "found", json_text(d->last_found))
               : json_null());
}

int simulate_report(const struct simulate_end *end, bool json)
{
    struct totals t = count_up(end);
    int status = status_of(end, &t);
    report_dead(end);
    if (json) {
        json_t *document = json_document("simulate");
        json_t *list = json_array();
        for (uint32_t i = 0; i < end->count; i++) {
            (void)json_array_append_new(list, device_json(&end->devices[i]));
        }
        (void)json_object_set_new(document, "flash_map", json_string(end->settings->map->name));
        (void)json_object_set_new(document, "succeeded", json_integer(t.succeeded));
        (void)json_object_set_new(document, "failed", json_integer(t.failed));
        (void)json_object_set_new(document, "dead", json_integer(t.dead));
        (void)json_object_set_new(document, "seconds", json_real(t.seconds));
        (void)json_object_set_new(document, "devices", list);
        return json_print(document, status);
    }
    (void)printf("%u device%s: %u update%s done, %u failed, %u dead, %.1f s\n", end->count,
                 end->count == 1 ? "" : "s", t.succeeded, t.succeeded == 1 ? "" : "s", t.failed,
                 t.dead, t.seconds);
    return status;
}
