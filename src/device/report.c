/* SPDX-License-Identifier: MIT */
#include "device/report.h"

#include "base/error.h"
#include "device/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *probe_outcome_name(enum probe_outcome outcome)
{
    static const char *const names[] = {"pass", "fail", "at risk", "not known", "not reached"};
    return names[outcome];
}

static const char *const advice[OTA_RULE_COUNT] = {
    [OTA_RULE_CONNECT] = "let the server listen on IPv4 at an address and port that the device "
                         "reaches; look at firewalls",
    [OTA_RULE_HEAD_HEADER] = "answer HEAD like GET: \"HTTP/1.1 200 OK\" and \"Content-Length: N\" "
                             "in that spelling, the whole header in one write and well below 500 "
                             "bytes; no chunked encoding, no compression",
    [OTA_RULE_LENGTH] = "serve an image that fits the OTA partition (--ota-size) and 983040 bytes; "
                        "answer errors with Content-Length: 0",
    [OTA_RULE_GET_HEADER] = "write the header at once, below 500 bytes, with \"Content-Length: N\" "
                            "in that spelling; no chunked encoding, no compression, no redirect",
    [OTA_RULE_FIRST_BYTES] = "serve the image itself under this path, as `espimagetool convert` "
                             "makes it; no web page, no compression",
    [OTA_RULE_APP_NUMBER] = "serve the image of the other slot, numbered 1 or 2, under this path",
    [OTA_RULE_SAME_LENGTH] = "make HEAD and GET announce the same length; do not replace the file "
                             "between the two",
    [OTA_RULE_NO_DROP] = "change the length of the header (a filler field) and probe again, or use "
                         "`espimagetool serve`, which chooses it",
    [OTA_RULE_COMPLETE] = "send as many bytes as Content-Length says, and close only then; drain "
                          "the request before closing",
    [OTA_RULE_IN_TIME] = "raise limits on slow clients, or serve from nearer; --time says how long "
                         "the firmware waits",
    [OTA_RULE_LAST_SEGMENT] = "make the header a multiple of 4 bytes long (a filler field), send "
                              "nothing after the image, and serve images longer than a segment",
    [OTA_RULE_CRC] = "convert the image again; an upload in text mode, or a tool that writes no "
                     "CRC, spoils it",
};

const char *probe_advice(enum ota_rule rule)
{
    return advice[rule];
}

/* What the functions below look at. */
struct subject {
    const struct probe_options *options;
    const struct probe_result *result;
    const struct ota_client *client;
    struct probe_report *report;
    struct ota_stream stream; /* header and body of GET */
    struct wire_runs runs;    /* of the body */
};

static void find(struct subject *s, enum ota_rule rule, enum probe_outcome outcome,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

static void find(struct subject *s, enum ota_rule rule, enum probe_outcome outcome,
                 const char *format, ...)
{
    struct probe_finding *f = &s->report->rules[rule];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->found, sizeof f->found, format, args);
    va_end(args);
    f->outcome = outcome;
}

/* ---- the exchange, rule by rule; the one that decided is written over these ---- */

static void find_head(struct subject *s)
{
    const struct ota_client *c = s->client;
    const struct probe_answer *head = &s->result->head;
    if (head->connected) {
        find(s, OTA_RULE_CONNECT, PROBE_PASS, "%s", s->result->address);
    }
    bool decided_by_length = c->state == OTA_STATE_FAILURE && c->decided_by == OTA_RULE_LENGTH;
    if (c->head_length == 0 && !decided_by_length) {
        return;
    }
    size_t header = answer_header_size(head->bytes + head->again, head->size - head->again);
    if (c->fell_back) {
        find(s, OTA_RULE_HEAD_HEADER, PROBE_PASS,
             "not by HEAD, but by the GET that a device then sends on the same connection");
    } else if (head->header_in_pieces) {
        find(s, OTA_RULE_HEAD_HEADER, PROBE_UNKNOWN,
             "%zu bytes; cut in pieces or sent twice, probe again", header);
    } else {
        find(s, OTA_RULE_HEAD_HEADER, PROBE_PASS, "%zu bytes", header);
    }
    find(s, OTA_RULE_LENGTH, PROBE_PASS, "%u bytes, partition %u", c->head_length,
         c->options.partition);
}

static void find_first_bytes(struct subject *s)
{
    const struct ota_client *c = s->client;
    const uint8_t *b = c->first;
    const char *how = c->checked_first ? "" : "; a device does not look: the header came alone";
    bool right = (b[0] == 0xEA && b[1] == 4) || (b[0] == 0xE9 && b[1] == 3);
    enum probe_outcome wrong = c->checked_first ? PROBE_FAIL : PROBE_RISK;
    if (c->written < sizeof c->first && !c->checked_first) {
        return;
    }
    find(s, OTA_RULE_FIRST_BYTES, right ? PROBE_PASS : wrong, "%02X %02X%s", b[0], b[1], how);
    if (right && !(c->state == OTA_STATE_FAILURE && c->decided_by == OTA_RULE_FIRST_BYTES)) {
        bool app = b[3] == 3 - c->options.running;
        find(s, OTA_RULE_APP_NUMBER, app ? PROBE_PASS : wrong, "%u, running slot %u%s", b[3],
             c->options.running, how);
    }
}

static void find_get(struct subject *s)
{
    const struct ota_client *c = s->client;
    if (!c->got_header) {
        return;
    }
    if (s->result->get.header_in_pieces && s->result->head.header_in_pieces) {
        find(s, OTA_RULE_GET_HEADER, PROBE_UNKNOWN,
             "%zu bytes; cut in pieces or sent twice, probe again", s->stream.header_size);
    } else {
        find(s, OTA_RULE_GET_HEADER, PROBE_PASS, "%zu bytes%s", s->stream.header_size,
             s->result->get.header_alone ? ", in a segment of its own" : "");
    }
    find_first_bytes(s);
    if (c->length > c->erased) {
        find(s, OTA_RULE_SAME_LENGTH, PROBE_RISK,
             "GET announced %u bytes, HEAD %u: what lies behind the %u erased ones must be blank",
             c->length, c->head_length, c->erased);
    } else {
        find(s, OTA_RULE_SAME_LENGTH, PROBE_PASS, "GET %u bytes, HEAD %u", c->length,
             c->head_length);
    }
}

static void find_body(struct subject *s)
{
    const struct ota_client *c = s->client;
    if (!c->got_header || c->written < c->length || c->length == 0) {
        return;
    }
    find(s, OTA_RULE_COMPLETE, PROBE_PASS, "%u bytes", c->length);
    find(s, OTA_RULE_IN_TIME, PROBE_PASS, "%.1f of %u s", s->result->seconds, s->options->seconds);
    if (c->dropped == 0) {
        find(s, OTA_RULE_NO_DROP, PROBE_PASS, "none of %u", c->segments);
    }
    if (c->state == OTA_STATE_SUCCESS || c->decided_by == OTA_RULE_CRC) {
        find(s, OTA_RULE_LAST_SEGMENT, PROBE_PASS, "%u segments", c->segments);
    }
    if (c->state == OTA_STATE_SUCCESS) {
        find(s, OTA_RULE_CRC, PROBE_PASS, "%s", c->found);
    }
}

static void find_decision(struct subject *s)
{
    const struct ota_client *c = s->client;
    if (c->state == OTA_STATE_FAILURE) {
        find(s, c->decided_by, PROBE_FAIL, "%s", c->found);
    }
    if (s->result->timed_out && c->decided_by != OTA_RULE_IN_TIME) {
        find(s, OTA_RULE_IN_TIME, PROBE_FAIL, "%u s have passed", s->options->seconds);
    }
}

/* ---- where segments begin ---- */

/* The segments of a device that announces `mss`. */
static uint16_t cut_for(const struct subject *s, uint16_t mss)
{
    uint16_t path = s->result->get.path;
    return path != 0 && path < mss ? path : mss;
}

static struct probe_layout play_layout(const struct subject *s, uint16_t mss, bool alone)
{
    struct probe_layout layout = {.mss = mss, .outcome = PROBE_PASS};
    struct ota_stream stream = s->stream;
    struct ota_client client;
    stream.mss = cut_for(s, mss);
    stream.header_alone = alone;
    ota_client_replay(&client, &s->options->client, &stream);
    (void)snprintf(layout.found, sizeof layout.found, "%s", client.found);
    if (client.state != OTA_STATE_SUCCESS) {
        layout.outcome = PROBE_FAIL;
        layout.rule = client.decided_by;
        return layout;
    }
    /* Lost packets join segments: then a longer piece is searched. */
    struct wire_hazard hazard = wire_check(&s->runs, s->stream.body_size,
                                           alone ? 0 : s->stream.header_size, cut_for(s, mss));
    if (hazard.kind == WIRE_DROPPED) {
        layout.outcome = PROBE_RISK;
        layout.rule = OTA_RULE_NO_DROP;
        (void)snprintf(layout.found, sizeof layout.found,
                       "the segment at byte %zu of the image is dropped when a lost packet joins "
                       "it with the next",
                       hazard.offset);
    }
    return layout;
}

static void compare_layouts(struct subject *s)
{
    const struct probe_answer *get = &s->result->get;
    struct probe_layout layout = play_layout(s, s->options->mss, get->header_alone);
    if (layout.outcome != PROBE_PASS) {
        find(s, layout.rule, PROBE_RISK, "%s%s",
             layout.outcome == PROBE_FAIL ? "when all segments are full: " : "", layout.found);
    }
    if (!get->cut_unsure || layout.outcome != PROBE_PASS) {
        return;
    }
    struct probe_layout other = play_layout(s, s->options->mss, !get->header_alone);
    if (other.outcome != PROBE_PASS) {
        find(s, other.rule, PROBE_UNKNOWN, "probe again; if the header was %s segment: %.100s",
             get->header_alone ? "in the image's first" : "alone in its", other.found);
    }
}

/* A failure that holds only for one of two ways in which the header may have come is none yet. */
static void doubt_failure(struct subject *s)
{
    const struct probe_answer *get = &s->result->get;
    if (!get->cut_unsure) {
        return;
    }
    struct probe_layout other = play_layout(s, s->options->mss, !get->header_alone);
    if (other.outcome == PROBE_PASS) {
        find(s, s->client->decided_by, PROBE_UNKNOWN,
             "probe again; if the header was %s segment: %.100s",
             get->header_alone ? "alone in its" : "in the image's first", s->client->found);
    }
}

/* Counts what came against what the layout needs. */
static void count_segments(struct subject *s)
{
    const struct probe_answer *get = &s->result->get;
    size_t header = s->stream.header_size;
    if (get->segments == 0 || get->largest == 0 || !s->report->image_whole) {
        return;
    }
    size_t cut = get->header_alone ? get->size - header : get->size;
    size_t needed = (cut + get->largest - 1) / get->largest;
    needed += get->header_alone ? (header + get->largest - 1) / get->largest : 0;
    s->report->extra_segments = get->segments > needed ? get->segments - (uint32_t)needed : 0;
    bool as_many = get->segments == needed ||
                   (get->segments > needed && get->even_ones > 0 && get->short_ones == 0);
    s->report->confirmed = as_many && get->largest == cut_for(s, s->options->mss);
}

/* Short segments in the midst move every later boundary, and depend on how fast a device reads. */
static void judge_uneven_cut(struct subject *s)
{
    uint32_t count = s->result->get.short_ones;
    if (count == 0 || s->client->state != OTA_STATE_SUCCESS) {
        return;
    }
    if (s->runs.count > 0 && s->report->rules[OTA_RULE_NO_DROP].outcome == PROBE_PASS) {
        find(s, OTA_RULE_NO_DROP, PROBE_RISK,
             "the image holds \"200 OK\" CRLF and the server cut it unevenly at %u places: where "
             "segments begin depends on the moment",
             count);
    }
    bool odd = s->stream.body_size % 4 != 0 ||
               (!s->result->get.header_alone && s->stream.header_size % 4 != 0);
    if (odd && s->report->rules[OTA_RULE_LAST_SEGMENT].outcome == PROBE_PASS) {
        find(
            s, OTA_RULE_LAST_SEGMENT, PROBE_RISK,
            "the server cut the body unevenly at %u places, and header and image are not multiples "
            "of 4: the last segment may be too short another time",
            count);
    }
}

static void sweep(struct subject *s)
{
    struct probe_report *r = s->report;
    bool own = false;
    for (size_t i = 0; i < WIRE_USUAL_COUNT; i++) {
        if (!own && s->options->mss <= wire_usual_mss[i]) {
            own = true;
            if (s->options->mss != wire_usual_mss[i]) {
                r->layouts[r->layout_count++] =
                    play_layout(s, s->options->mss, s->result->get.header_alone);
            }
        }
        r->layouts[r->layout_count++] =
            play_layout(s, wire_usual_mss[i], s->result->get.header_alone);
    }
    if (!own) {
        r->layouts[r->layout_count++] =
            play_layout(s, s->options->mss, s->result->get.header_alone);
    }
}

/* ---- what was received ---- */

static enum espimage_code take_image(struct subject *s, struct espimage_error *err)
{
    const struct probe_answer *get = &s->result->get;
    size_t header = answer_header_size(get->bytes, get->size);
    if (!get->connected || header == 0) {
        return ESPIMAGE_OK;
    }
    size_t body = get->size - header;
    size_t length = s->client->got_header ? s->client->length : body;
    struct probe_report *r = s->report;
    s->stream = (struct ota_stream){get->bytes, header, get->bytes + header, body, 0, false};
    r->image_whole = s->client->got_header && length > 0 && body >= length;
    r->image_size = body < length ? body : length;
    r->image = r->image_size > 0 ? get->bytes + header : NULL;
    if (r->image == NULL) {
        return ESPIMAGE_OK;
    }
    const struct espimage_verify_options rules = {
        .size = sizeof rules,
        .app = (uint8_t)(3 - s->options->client.running),
        .partition = s->options->client.partition,
    };
    return espimage_verify(r->image, r->image_size, &rules, &r->verified, err);
}

/* Where a cause was seen. */
struct causes {
    struct probe_report *report;
    const char *where;
};

static void add_cause(void *context, const char *cause)
{
    struct causes *causes = context;
    struct probe_report *r = causes->report;
    if (r->cause_count < PROBE_MAX_CAUSES) {
        (void)snprintf(r->causes[r->cause_count++], sizeof r->causes[0], "%s: %s", causes->where,
                       cause);
    }
}

/* A device that found no header in a whole one got it in pieces. */
static void header_cause(const struct subject *s, enum ota_rule rule, const uint8_t *bytes,
                         size_t size, struct causes *causes)
{
    static const char field[] = "Content-Length: ";
    const struct ota_client *c = s->client;
    char cause[120];
    size_t header = answer_header_size(bytes, size);
    uint16_t mss = cut_for(s, s->options->mss);
    if (c->state != OTA_STATE_FAILURE || c->decided_by != rule || header == 0 ||
        memmem(bytes, header, field, sizeof field - 1) == NULL) {
        return;
    }
    if (header > mss) {
        (void)snprintf(cause, sizeof cause,
                       "the header of %zu bytes does not fit in one segment of %u, in which a "
                       "device searches for it",
                       header, mss);
    } else {
        (void)snprintf(cause, sizeof cause,
                       "the header of %zu bytes came in several segments; a device searches for "
                       "it in one",
                       header);
    }
    add_cause(causes, cause);
}

static void collect(const struct subject *s, const char *where, enum ota_rule rule,
                    const uint8_t *bytes, size_t size)
{
    struct causes causes = {s->report, where};
    answer_causes(bytes, size, add_cause, &causes);
    header_cause(s, rule, bytes, size, &causes);
}

static void collect_causes(struct subject *s)
{
    const struct probe_answer *head = &s->result->head;
    const struct probe_answer *get = &s->result->get;
    size_t first = head->again != 0 ? head->again : head->size;
    collect(s, "HEAD", OTA_RULE_HEAD_HEADER, head->bytes, first);
    if (head->again != 0) {
        collect(s, "GET on HEAD's connection", OTA_RULE_HEAD_HEADER, head->bytes + first,
                head->size - first);
    }
    collect(s, "GET", OTA_RULE_GET_HEADER, get->bytes, get->size);
}

static void conclude(struct probe_report *r, const struct ota_client *client)
{
    bool failed =
        client->state != OTA_STATE_SUCCESS && r->rules[client->decided_by].outcome != PROBE_UNKNOWN;
    r->verdict = failed ? PROBE_FAIL : PROBE_PASS;
    r->because = client->decided_by;
    r->late = failed && client->notice == OTA_NOTICE_LATE;
    for (int i = OTA_RULE_COUNT - 1; i >= 0 && !failed; i--) {
        enum probe_outcome outcome = r->rules[i].outcome;
        if (outcome == PROBE_RISK || (outcome == PROBE_UNKNOWN && r->verdict != PROBE_RISK)) {
            r->verdict = outcome;
            r->because = (enum ota_rule)i;
        }
    }
}

enum espimage_code probe_report_make(const struct probe_options *options,
                                     const struct probe_result *result, bool wants_sweep,
                                     struct probe_report *out, struct espimage_error *err)
{
    struct subject s = {
        .options = options, .result = result, .client = &result->client, .report = out};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < OTA_RULE_COUNT; i++) {
        out->rules[i].outcome = PROBE_NOT_REACHED;
    }
    if (take_image(&s, err) != ESPIMAGE_OK) {
        return err->code;
    }
    if (!wire_runs_find(s.stream.body, s.stream.body_size, &s.runs)) {
        probe_report_free(out);
        return error_no_memory(err);
    }
    find_head(&s);
    find_get(&s);
    find_body(&s);
    find_decision(&s);
    count_segments(&s);
    if (out->image_whole && result->client.state == OTA_STATE_SUCCESS) {
        compare_layouts(&s);
    } else if (out->image_whole) {
        doubt_failure(&s);
    }
    judge_uneven_cut(&s);
    if (out->image_whole && wants_sweep) {
        sweep(&s);
    }
    collect_causes(&s);
    conclude(out, &result->client);
    wire_runs_free(&s.runs);
    return ESPIMAGE_OK;
}

void probe_report_free(struct probe_report *report)
{
    espimage_report_free(report->verified);
    report->verified = NULL;
}
