/* SPDX-License-Identifier: MIT */
/* probe: ask any server as an ESP8266 would, and report every rule. */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "device/answer.h"
#include "device/report.h"

#include <stdio.h>
#include <string.h>

static const struct option_spec probe_options[] = {
    {OPT_RUNNING, "running", NULL, 0, "1|2", "1 2",
     "slot the device runs (default: not the URL's)"},
    {OPT_MSS, "mss", NULL, 0, "BYTES", NULL, "largest segment the device takes (default 1460)"},
    {OPT_ALL_MSS, "all-mss", NULL, 0, NULL, NULL, "also judge every usual MSS, from one download"},
    {OPT_SPEED, "speed", NULL, 0, "BYTES/S", NULL,
     "read no faster than this (20000 to 60000 is usual)"},
    {OPT_TIME, "time", NULL, 0, "SECONDS", NULL, "limit for the whole upgrade (default 120)"},
    {OPT_OTA_SIZE, "ota-size", NULL, 0, "BYTES", NULL,
     "OTA partition of the firmware (default 0xFA000)"},
    {OPT_SDK, "sdk", NULL, 0, "2|3", "2 3", "the firmware's SDK: 2.0.0 to 2.2.1, or 3.x (default)"},
    {OPT_BEFORE_2018, "before-2018", NULL, 0, NULL, NULL, NULL},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_MSS       1460
#define LOWEST_MSS        88
#define HIGHEST_MSS       9000
#define DEFAULT_SECONDS   120
#define DEFAULT_PARTITION UINT32_C(0xFA000)

struct probing {
    struct probe_options options;
    uint32_t mss;
    bool all_mss;
    bool json;
};

static enum espimage_code sdk_option(const char *value, enum ota_sdk *out,
                                     struct espimage_error *err)
{
    uint32_t number = 0;
    enum espimage_code code = number_option(value, 2, 3, &number, err);
    *out = number == 2 ? OTA_SDK_2 : OTA_SDK_3;
    return code;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct probing *p = context;
    switch (id) {
    case OPT_RUNNING: return app_option(value, &p->options.client.running, err);
    case OPT_MSS: return number_option(value, LOWEST_MSS, HIGHEST_MSS, &p->mss, err);
    case OPT_ALL_MSS: p->all_mss = true; return ESPIMAGE_OK;
    case OPT_SPEED: return number_option(value, 1, 1U << 30, &p->options.speed, err);
    case OPT_TIME: return number_option(value, 1, 86400, &p->options.seconds, err);
    case OPT_OTA_SIZE:
        return number_option(value, ESPIMAGE_SECTOR, 16U << 20, &p->options.client.partition, err);
    case OPT_SDK: return sdk_option(value, &p->options.client.sdk, err);
    case OPT_BEFORE_2018: p->options.client.sdk = OTA_SDK_2; return ESPIMAGE_OK;
    default: p->json = true; return ESPIMAGE_OK;
    }
}

static const char *style_of(enum probe_outcome outcome)
{
    switch (outcome) {
    case PROBE_PASS: return style_good();
    case PROBE_FAIL: return style_bad();
    case PROBE_RISK:
    case PROBE_UNKNOWN: return style_doubtful();
    case PROBE_NOT_REACHED: break;
    }
    return style_faint();
}

static const char *verdict_word(enum probe_outcome verdict)
{
    switch (verdict) {
    case PROBE_PASS: return "yes";
    case PROBE_RISK: return "at risk";
    case PROBE_UNKNOWN: return "not known";
    default: return "no";
    }
}

/* ---- as text ---- */

static void print_answer(const char *method, const uint8_t *bytes, size_t size)
{
    char line[120];
    size_t header = answer_header_size(bytes, size);
    if (size == 0) {
        (void)printf("  %s: no answer\n", method);
        return;
    }
    answer_status_line(bytes, size, line, sizeof line);
    (void)printf("  %s: %s; %zu bytes of header, %zu of body\n", method, line, header,
                 header > 0 ? size - header : 0);
}

/* A path that is another one in HEAD. */
static void print_head_path(const char *path)
{
    char head[OTA_REQUEST_ROOM];
    if (ota_replaced_in(path) != NULL) {
        (void)ota_head_of_get(path, head, sizeof head);
        (void)printf(
            "  %swarning%s: HEAD asks for %s: the SDK replaces %s everywhere in the request\n",
            style_doubtful(), style_end(), head, ota_replaced_in(path));
    }
}

static void print_answers(const struct probe_result *r)
{
    const struct probe_answer *head = &r->head;
    if (head->connected) {
        print_answer("HEAD", head->bytes, head->again != 0 ? head->again : head->size);
    }
    if (head->again != 0) {
        print_answer("GET on HEAD's connection", head->bytes + head->again,
                     head->size - head->again);
    }
    if (r->get.connected) {
        print_answer("GET", r->get.bytes, r->get.size);
    }
}

static void print_rules(const struct probe_report *report)
{
    for (int i = 0; i < OTA_RULE_COUNT; i++) {
        const struct probe_finding *f = &report->rules[i];
        enum ota_rule rule = (enum ota_rule)i;
        (void)printf("  %s%-11s%s  %-12s  %s%s%s\n", style_of(f->outcome),
                     probe_outcome_name(f->outcome), style_end(), ota_rule_name(rule),
                     ota_rule_demand(rule), f->found[0] != '\0' ? ": " : "", f->found);
        if (f->outcome == PROBE_FAIL || f->outcome == PROBE_RISK) {
            (void)printf("  %-11s  %-12s  to do: %s\n", "", "", probe_advice(rule));
        }
    }
    for (size_t i = 0; i < report->cause_count; i++) {
        (void)printf("  seen in the answer to %s\n", report->causes[i]);
    }
}

static void print_segments(const struct probing *p, const struct probe_result *r,
                           const struct probe_report *report)
{
    const struct probe_answer *get = &r->get;
    if (r->client.segments == 0) {
        return;
    }
    (void)printf("  segments are computed for MSS %u, not observed", p->options.mss);
    if (report->confirmed) {
        (void)printf("; exactly as many came (%u%s)", get->segments - report->extra_segments,
                     report->extra_segments > 0 ? ", some twice" : "");
    } else if (get->short_ones > 0) {
        (void)printf("; the body came unevenly cut (seen %u times)", get->short_ones);
    } else if (get->path != 0) {
        (void)printf("; server or network allow %u at most, so for that", get->path);
    } else if (get->largest != 0 && get->largest != p->options.mss) {
        (void)printf("; on this connection they held %u bytes at most", get->largest);
    } else if (report->extra_segments > 0) {
        (void)printf("; %u more came, repeated ones", report->extra_segments);
    }
    (void)printf("\n");
}

/* Whose rules the image must keep to: the upgrade client's, and then the bootloader's. */
#define DEVICE                                                                                     \
    (1U << ESPIMAGE_CONSUMER_BOOT | 1U << ESPIMAGE_CONSUMER_OTA2 | 1U << ESPIMAGE_CONSUMER_OTA3)

static void print_image(const struct probe_report *report)
{
    const espimage_report *v = report->verified;
    if (report->image == NULL) {
        return;
    }
    if (!report->image_whole) {
        (void)printf("  the image was not received as a whole: %zu bytes\n", report->image_size);
    }
    for (size_t i = 0; i < espimage_report_count(v) && report->image_whole; i++) {
        const struct espimage_finding *f = espimage_report_finding(v, i);
        bool concerns = f->rule->consumers == 0 || (f->rule->consumers & DEVICE) != 0;
        if (concerns && (f->outcome == ESPIMAGE_FAIL || f->outcome == ESPIMAGE_WARN)) {
            (void)printf("  image %s%s%s  %s: %s: %s\n",
                         f->outcome == ESPIMAGE_FAIL ? style_bad() : style_doubtful(),
                         espimage_outcome_name(f->outcome), style_end(), f->rule->name,
                         f->rule->demand, f->found);
        }
    }
    if (espimage_report_identity(v)->mistake != ESPIMAGE_MISTAKE_NONE) {
        (void)printf("  what came is %s\n", espimage_report_identity(v)->text);
    }
}

/* For which the updated device would not run; NULL when it would, or when no update happens. */
static const struct espimage_verdict *dead_end(const struct probe_report *report)
{
    if (report->verdict == PROBE_FAIL || report->image == NULL || !report->image_whole) {
        return NULL;
    }
    const struct espimage_verdict *boot =
        espimage_report_verdict(report->verified, ESPIMAGE_CONSUMER_BOOT);
    return boot->accepts ? NULL : boot;
}

static void print_layouts(const struct probing *p, const struct probe_report *report)
{
    if (p->all_mss && report->layout_count == 0) {
        (void)printf("  other MSS: not computed, the image did not come as a whole\n");
    }
    for (size_t i = 0; i < report->layout_count; i++) {
        const struct probe_layout *l = &report->layouts[i];
        (void)printf("  MSS %-5u  %s%-7s%s  %s%s%s\n", l->mss, style_of(l->outcome),
                     probe_outcome_name(l->outcome), style_end(),
                     l->outcome != PROBE_PASS ? ota_rule_name(l->rule) : "",
                     l->outcome != PROBE_PASS ? ": " : "", l->found);
    }
}

static const char *because(const struct probe_result *r, const struct probe_report *report)
{
    return report->verdict == PROBE_PASS ? r->client.found : report->rules[report->because].found;
}

static bool sweep_is_clean(const struct probe_report *report)
{
    for (size_t i = 0; i < report->layout_count; i++) {
        if (report->layouts[i].outcome != PROBE_PASS) {
            return false;
        }
    }
    return true;
}

static void print_report(const struct probing *p, const struct probe_result *r,
                         const struct probe_report *report)
{
    const struct probe_options *o = &p->options;
    (void)printf("http://%s:%u%s at %s, as a device that runs slot %u%s\n", o->target.host,
                 o->target.port, o->target.path, r->address, o->client.running,
                 o->client.sdk == OTA_SDK_2 ? " with SDK 2.x" : "");
    print_head_path(o->target.path);
    print_answers(r);
    print_rules(report);
    print_segments(p, r, report);
    print_image(report);
    print_layouts(p, report);
    if (report->verdict == PROBE_PASS && !sweep_is_clean(report)) {
        (void)printf("  with another MSS the update is not safe\n");
    }
    if (report->late) {
        (void)printf(
            "  a device notices this only when its time is up, usually after 60 to 120 s\n");
    }
    const struct espimage_verdict *dead = dead_end(report);
    if (dead != NULL) {
        (void)printf("  %sand then it would not run%s: the bootloader %s: %s\n", style_bad(),
                     style_end(), dead->crashes ? "crashes at every reset" : "refuses the image",
                     dead->because->rule->name);
    }
    (void)printf("Would a device have been updated? %s%s%s: ", style_of(report->verdict),
                 verdict_word(report->verdict), style_end());
    if (report->verdict != PROBE_PASS) {
        (void)printf("%s: ", ota_rule_name(report->because));
    }
    (void)printf("%s\n", because(r, report));
}

/* ---- as JSON ---- */

static json_t *answer_json(const uint8_t *bytes, size_t size)
{
    static char header_text[4096];
    char line[120];
    size_t header = answer_header_size(bytes, size);
    if (size == 0) {
        return json_null();
    }
    size_t length = header > 0 ? header : size;
    length = length < sizeof header_text - 1 ? length : sizeof header_text - 1;
    for (size_t i = 0; i < length; i++) {
        header_text[i] = (char)(bytes[i] != 0 ? bytes[i] : '?');
    }
    header_text[length] = '\0';
    answer_status_line(bytes, size, line, sizeof line);
    return json_pack("{s:o, s:o, s:I, s:I}", "status_line", json_text(line), "header",
                     json_text(header_text), "header_size", (json_int_t)header, "body_size",
                     (json_int_t)(header > 0 ? size - header : 0));
}

static json_t *answers_json(const struct probe_result *r)
{
    const struct probe_answer *head = &r->head;
    size_t again = head->again != 0 ? head->again : head->size;
    return json_pack("{s:o, s:o, s:o}", "head", answer_json(head->bytes, again), "fallback_get",
                     answer_json(head->bytes + again, head->size - again), "get",
                     answer_json(r->get.bytes, r->get.size));
}

static json_t *rules_json(const struct probe_report *report)
{
    json_t *list = json_array();
    for (int i = 0; i < OTA_RULE_COUNT; i++) {
        const struct probe_finding *f = &report->rules[i];
        enum ota_rule rule = (enum ota_rule)i;
        bool broken = f->outcome == PROBE_FAIL || f->outcome == PROBE_RISK;
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "rule", ota_rule_name(rule), "outcome",
                            probe_outcome_name(f->outcome), "demand", ota_rule_demand(rule),
                            "found", json_text(f->found), "advice",
                            broken ? json_string(probe_advice(rule)) : json_null()));
    }
    return list;
}

static json_t *causes_json(const struct probe_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->cause_count; i++) {
        (void)json_array_append_new(list, json_text(report->causes[i]));
    }
    return list;
}

static json_t *layouts_json(const struct probe_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->layout_count; i++) {
        const struct probe_layout *l = &report->layouts[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:i, s:s, s:o, s:o}", "mss", (int)l->mss, "outcome",
                      probe_outcome_name(l->outcome), "rule",
                      l->outcome != PROBE_PASS ? json_string(ota_rule_name(l->rule)) : json_null(),
                      "found", json_text(l->found)));
    }
    return list;
}

static json_t *image_json(const struct probe_report *report)
{
    json_t *rules = json_array();
    const espimage_report *v = report->verified;
    if (report->image == NULL) {
        json_decref(rules);
        return json_null();
    }
    for (size_t i = 0; i < espimage_report_count(v); i++) {
        const struct espimage_finding *f = espimage_report_finding(v, i);
        (void)json_array_append_new(rules, json_pack("{s:s, s:s, s:s, s:s}", "rule", f->rule->name,
                                                     "outcome", espimage_outcome_name(f->outcome),
                                                     "demand", f->rule->demand, "found", f->found));
    }
    return json_pack("{s:I, s:b, s:s, s:s, s:o}", "size", (json_int_t)report->image_size, "whole",
                     report->image_whole, "mistake",
                     espimage_mistake_name(espimage_report_identity(v)->mistake), "mistake_text",
                     espimage_report_identity(v)->text, "rules", rules);
}

static json_t *segments_json(const struct probing *p, const struct probe_result *r,
                             const struct probe_report *report)
{
    const struct probe_answer *get = &r->get;
    return json_pack("{s:i, s:i, s:I, s:I, s:i, s:I, s:b, s:b, s:b}", "mss", (int)p->options.mss,
                     "path", (int)get->path, "computed", (json_int_t)r->client.segments, "received",
                     (json_int_t)get->segments, "largest", (int)get->largest, "uneven",
                     (json_int_t)get->short_ones, "confirmed", report->confirmed, "header_alone",
                     get->header_alone, "timed_out", r->timed_out);
}

static int print_json(const struct probing *p, const struct probe_result *r,
                      const struct probe_report *report, int status)
{
    const struct probe_options *o = &p->options;
    json_t *document = json_document("probe");
    (void)json_object_set_new(
        document, "url",
        json_sprintf("http://%s:%u%s", o->target.host, o->target.port, o->target.path));
    char head[OTA_REQUEST_ROOM];
    (void)ota_head_of_get(o->target.path, head, sizeof head);
    (void)json_object_set_new(document, "head_path", json_string(head));
    (void)json_object_set_new(document, "address", json_string(r->address));
    (void)json_object_set_new(document, "running", json_integer(o->client.running));
    (void)json_object_set_new(document, "seconds", json_real(r->seconds));
    (void)json_object_set_new(document, "answers", answers_json(r));
    (void)json_object_set_new(document, "rules", rules_json(report));
    (void)json_object_set_new(document, "causes", causes_json(report));
    (void)json_object_set_new(document, "segments", segments_json(p, r, report));
    (void)json_object_set_new(document, "image", image_json(report));
    (void)json_object_set_new(document, "all_mss", layouts_json(report));
    (void)json_object_set_new(document, "verdict", json_string(verdict_word(report->verdict)));
    (void)json_object_set_new(
        document, "because",
        report->verdict == PROBE_PASS ? json_null() : json_string(ota_rule_name(report->because)));
    (void)json_object_set_new(document, "found", json_text(because(r, report)));
    (void)json_object_set_new(document, "late", json_boolean(report->late));
    return json_print(document, status);
}

/* ---- running ---- */

static int status_of(const struct probe_result *r, const struct probe_report *report)
{
    if (r->timed_out) {
        return exit_status(ESPIMAGE_ERR_TIMEOUT);
    }
    if (r->connect_error != 0) {
        return exit_status(ESPIMAGE_ERR_UNAVAILABLE);
    }
    bool good = report->verdict == PROBE_PASS && sweep_is_clean(report) && dead_end(report) == NULL;
    return good ? 0 : EXIT_NOT_ALL;
}

static int probe(const struct probing *p)
{
    struct espimage_error err;
    struct probe_result result;
    static struct probe_report report;
    if (probe_run(&p->options, &result, &err) != ESPIMAGE_OK) {
        return print_error(&err);
    }
    if (probe_report_make(&p->options, &result, p->all_mss, &report, &err) != ESPIMAGE_OK) {
        probe_result_free(&result);
        return print_error(&err);
    }
    int status = status_of(&result, &report);
    if (p->json) {
        status = print_json(p, &result, &report, status);
    } else {
        print_report(p, &result, &report);
    }
    probe_report_free(&report);
    probe_result_free(&result);
    return status;
}

static int complete_options(struct probing *p, const char *url)
{
    struct espimage_error err;
    struct ota_client_options *client = &p->options.client;
    if (target_parse(url, &p->options.target, &err) != ESPIMAGE_OK) {
        return print_error(&err);
    }
    if (client->running == 0 && p->options.target.slot == 0) {
        return usage_error("probe: '%s' names neither user1 nor user2; say with --running which "
                           "slot the device runs",
                           p->options.target.path);
    }
    if (client->running == 0) {
        client->running = (uint8_t)(3 - p->options.target.slot);
    }
    if (client->partition == 0) {
        client->partition = DEFAULT_PARTITION;
    }
    p->options.mss = (uint16_t)p->mss;
    return OPTIONS_GO_ON;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct probing p = {.options = {.seconds = DEFAULT_SECONDS}, .mss = DEFAULT_MSS};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &p, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    if (argc - first != 1) {
        return usage_error("probe: give one URL; see: " PROGRAM " probe --help");
    }
    status = complete_options(&p, argv[first]);
    return status == OPTIONS_GO_ON ? probe(&p) : status;
}

const struct command cmd_probe = {
    .name = "probe",
    .arguments = "URL",
    .summary = "Ask a server as an ESP8266 would; report every rule",
    .details = "Exit status 0 when a device would have been updated and run, 1 when not, or when\n"
               "that is at risk or not known, 75 when the time ran out, 69 when there is no\n"
               "connection.",
    .example = PROGRAM " probe --all-mss http://127.0.0.1:8888/user2.bin",
    .groups = {probe_options, common_options, NULL},
    .run = run,
};
