/* SPDX-License-Identifier: MIT */
/* Plays recorded exchanges of Espressif's upgrade client with the model and compares the outcomes:
 *
 *     exchanges FILE.jsonl.gz
 *
 * One JSON object a line: `client` ("3.0", "2.2", "2.1"), `running` slot, `partition` bytes,
 * `blank` (the flash behind the erased part is FF), `connects` (whether the first connection, and
 * the later ones, come up), and the answers `head` to HEAD, `get_on_head` to a GET on that
 * connection and `get` to the GET on a later one, each with `segments` (base64) and `end` ("fin",
 * "rst", "open"). What the client did: `updated`, `erased` sectors, `written` bytes, and `at_once`:
 * it knew its outcome before its limit for the whole upgrade. */
#include "ota/client.h"

#include <espimage/flash.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LONGEST_LINE    (4U << 20)
#define LONGEST_SEGMENT 65535U

struct outcome {
    bool updated;
    uint32_t erased; /* sectors */
    uint32_t written;
    bool at_once;
};

static int value_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* The number of bytes. */
static size_t decode(const char *text, uint8_t *to, size_t room)
{
    unsigned bits = 0;
    unsigned held = 0;
    size_t size = 0;
    for (int v = value_of(*text); v >= 0 && size < room; v = value_of(*++text)) {
        bits = bits << 6 | (unsigned)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[size++] = (uint8_t)(bits >> held);
        }
    }
    return size;
}

/* Hands the segments of an answer over until the client wants something else than more of them, or
 * a GET, which is reported in *get. */
static enum ota_action hand_over(struct ota_client *c, const json_t *answer, bool *get)
{
    static uint8_t bytes[LONGEST_SEGMENT];
    const json_t *segments = json_object_get(answer, "segments");
    enum ota_action action = OTA_WAIT;
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const char *text = json_string_value(json_array_get(segments, i));
        size_t size = decode(text != NULL ? text : "", bytes, sizeof bytes);
        action = ota_client_segment(c, bytes, size);
        *get = *get || action == OTA_SEND_GET;
        if (action == OTA_RECONNECT || action == OTA_END) {
            return action;
        }
    }
    return OTA_WAIT;
}

static const char *end_of(const json_t *answer)
{
    const char *end = json_string_value(json_object_get(answer, "end"));
    return end != NULL ? end : "";
}

static bool stays_open(const json_t *answer)
{
    return strcmp(end_of(answer), "open") == 0;
}

/* How an answer ends, for a client that still waits. */
static void end(struct ota_client *c, const json_t *answer)
{
    if (stays_open(answer)) {
        (void)ota_client_timeout(c, false);
    } else {
        (void)ota_client_closed(c, strcmp(end_of(answer), "rst") == 0);
    }
}

static bool connects(const json_t *exchange, size_t which)
{
    return json_is_true(json_array_get(json_object_get(exchange, "connects"), which));
}

static void play(struct ota_client *c, const json_t *exchange)
{
    const json_t *answer = json_object_get(exchange, "head");
    bool get = false;
    if (!connects(exchange, 0)) {
        (void)ota_client_give_up(c, "refused");
        return;
    }
    (void)ota_client_connected(c);
    enum ota_action action = hand_over(c, answer, &get);
    if (action == OTA_WAIT && get && stays_open(answer)) {
        answer = json_object_get(exchange, "get_on_head");
        action = hand_over(c, answer, &get);
    }
    bool waits = action == OTA_RECONNECT && stays_open(answer);
    if (action != OTA_END && !waits) {
        end(c, answer);
    }
    if (action != OTA_RECONNECT) {
        return;
    }
    if (!connects(exchange, 1)) {
        (void)ota_client_give_up(c, "refused");
        return;
    }
    (void)ota_client_connected(c);
    answer = json_object_get(exchange, "get");
    if (hand_over(c, answer, &get) != OTA_END) {
        end(c, answer);
    }
}

/* What is written behind the erased part goes wrong unless that is blank. */
static struct outcome outcome_of(const struct ota_client *c, bool blank)
{
    bool done = c->state == OTA_STATE_SUCCESS;
    return (struct outcome){
        .updated = done && (blank || c->written <= c->erased),
        .erased = c->erased / ESPIMAGE_SECTOR,
        .written = c->written / 4 * 4, /* whole words go to flash */
        .at_once = done || c->notice == OTA_NOTICE_AT_ONCE,
    };
}

static struct outcome recorded(const json_t *exchange)
{
    return (struct outcome){
        .updated = json_is_true(json_object_get(exchange, "updated")),
        .erased = (uint32_t)json_integer_value(json_object_get(exchange, "erased")),
        .written = (uint32_t)json_integer_value(json_object_get(exchange, "written")),
        .at_once = json_is_true(json_object_get(exchange, "at_once")),
    };
}

static void print_outcome(const char *name, const struct outcome *o)
{
    (void)printf("  %-15s %s %s, %u sectors erased, %u bytes written\n", name,
                 o->updated ? "updated" : "failed", o->at_once ? "at once" : "late", o->erased,
                 o->written);
}

static bool agrees(const json_t *exchange, unsigned line)
{
    const char *client = json_string_value(json_object_get(exchange, "client"));
    const struct ota_client_options options = {
        .running = (uint8_t)json_integer_value(json_object_get(exchange, "running")),
        .partition = (uint32_t)json_integer_value(json_object_get(exchange, "partition")),
        .sdk = client != NULL && client[0] == '2' ? OTA_SDK_2 : OTA_SDK_3,
    };
    struct ota_client c;
    ota_client_init(&c, &options);
    play(&c, exchange);
    struct outcome wanted = recorded(exchange);
    struct outcome got = outcome_of(&c, json_is_true(json_object_get(exchange, "blank")));
    bool same = got.updated == wanted.updated && got.erased == wanted.erased &&
                got.written == wanted.written && got.at_once == wanted.at_once;
    if (!same) {
        (void)printf("line %u, SDK %s:\n", line, client != NULL ? client : "?");
        print_outcome("vendor's client", &wanted);
        print_outcome("model", &got);
        (void)printf("  %s: %s\n", ota_rule_name(c.decided_by), c.found);
    }
    return same;
}

int main(int argc, char **argv)
{
    gzFile file = argc == 2 ? gzopen(argv[1], "rb") : NULL;
    char *text = malloc(LONGEST_LINE);
    unsigned same = 0;
    unsigned all = 0;
    if (file == NULL || text == NULL) {
        (void)fprintf(stderr, "usage: exchanges FILE.jsonl.gz\n");
        return 2;
    }
    while (gzgets(file, text, (int)LONGEST_LINE) != NULL) {
        json_error_t error;
        json_t *exchange = json_loads(text, 0, &error);
        all++;
        if (exchange == NULL) {
            (void)fprintf(stderr, "line %u: %s\n", all, error.text);
            return 2;
        }
        same += agrees(exchange, all) ? 1 : 0;
        json_decref(exchange);
    }
    (void)gzclose(file);
    free(text);
    (void)printf("%u of %u as the vendor's client\n", same, all);
    return all > 0 && same == all ? 0 : 1;
}
