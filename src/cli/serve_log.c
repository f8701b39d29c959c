/* SPDX-License-Identifier: MIT */
#include "cli/serve_log.h"

#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- text ---- */

/* Both without a line feed, and empty when there is nothing to say. */

static void describe_image(char *text, size_t room, const struct server_event *e)
{
    if (e->size == 0) {
        text[0] = '\0';
    } else if (strcmp(e->method, "HEAD") == 0) {
        (void)snprintf(text, room, " build %u, told %" PRIu64 " bytes", e->build, e->size);
    } else {
        (void)snprintf(text, room, " build %u%s, %" PRIu64 " of %" PRIu64 " bytes", e->build,
                       e->promised ? " as promised" : "", e->sent, e->size);
    }
}

/* What a request tells of the device, on a line of its own. */
static void describe_device(char *text, size_t room, const struct server_event *e)
{
    text[0] = '\0';
    if (e->runs != 0) {
        (void)snprintf(text, room, "%s now runs build %u in slot %d\n", e->client, e->runs_build,
                       e->runs);
    } else if (e->not_taken) {
        (void)snprintf(text, room, "%s has not taken what it fetched before\n", e->client);
    }
}

static int describe_request(char **text, const struct server_event *e)
{
    char image[128];
    char device[128];
    char slot[16] = "";
    describe_image(image, sizeof image, e);
    describe_device(device, sizeof device, e);
    if (e->slot != 0) {
        (void)snprintf(slot, sizeof slot, " user%d", e->slot);
    }
    return asprintf(text, "%s%s %s %s%s %u%s %.2f s%s%s\n", device, e->client, e->method, e->target,
                    slot, e->status, image, e->seconds, e->reason != NULL ? ": " : "",
                    e->reason != NULL ? e->reason : "");
}

char *serve_log_text(const struct server_event *event)
{
    char *text = NULL;
    int length = 0;
    switch (event->kind) {
    case SERVER_TURNED_AWAY:
        length = asprintf(&text, "%s turned away: %s\n", event->client, event->reason);
        break;
    case SERVER_NOTICE: length = asprintf(&text, "%s\n", event->reason); break;
    default: length = describe_request(&text, event); break;
    }
    return length < 0 ? NULL : text;
}

char *serve_log_warning(const char *file, const char *text)
{
    char *line = NULL;
    int length = asprintf(&line, PROGRAM ": %s: warning: %s\n", shown(file).text, text);
    return length < 0 ? NULL : line;
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
    return text != NULL ? json_text(text) : json_null();
}

static json_t *number_or_null(uint64_t number)
{
    return number != 0 ? json_integer((json_int_t)number) : json_null();
}

static json_t *client_fields(const struct server_event *e)
{
    return json_pack("{s:s, s:i}", "client", e->client, "client_port", (int)e->client_port);
}

static void set(json_t *fields, const char *name, json_t *value)
{
    (void)json_object_set_new(fields, name, value);
}

static void set_image(json_t *fields, const struct server_event *e)
{
    bool image = e->size != 0;
    set(fields, "slot", number_or_null((uint64_t)e->slot));
    set(fields, "build", number_or_null(e->build));
    set(fields, "sent", image ? json_integer((json_int_t)e->sent) : json_null());
    set(fields, "size", number_or_null(e->size));
    set(fields, "seconds", json_real(e->seconds));
}

static void set_request(json_t *fields, const struct server_event *e)
{
    set(fields, "method", json_text(e->method));
    set(fields, "target", json_text(e->target));
    set(fields, "status", json_integer(e->status));
    set_image(fields, e);
    set(fields, "promised", json_boolean(e->promised));
    set(fields, "complete", json_boolean(e->complete));
    set(fields, "reason", text_or_null(e->reason));
    set(fields, "runs",
        e->runs != 0 ? json_pack("{s:i, s:I}", "slot", e->runs, "build", (json_int_t)e->runs_build)
                     : json_null());
    set(fields, "not_taken", json_boolean(e->not_taken));
}

char *serve_log_json(const struct server_event *event)
{
    json_t *fields = event->kind == SERVER_NOTICE ? json_object() : client_fields(event);
    switch (event->kind) {
    case SERVER_PROGRESS: set_image(fields, event); return serve_log_record("progress", fields);
    case SERVER_REQUEST: set_request(fields, event); return serve_log_record("request", fields);
    case SERVER_TURNED_AWAY:
        set(fields, "reason", text_or_null(event->reason));
        return serve_log_record("turned_away", fields);
    case SERVER_NOTICE:
        set(fields, "text", text_or_null(event->reason));
        return serve_log_record("notice", fields);
    case SERVER_CONVERTED: break;
    }
    json_decref(fields);
    return NULL;
}

/* The head is printed here: no precision of jansson's suits both a time and a duration. */
char *serve_log_record(const char *name, json_t *fields)
{
    struct timespec now;
    struct tm utc;
    char date[32];
    char *line = NULL;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    long micro = now.tv_nsec / 1000;
    char *rest = json_dumps(fields, JSON_COMPACT | JSON_REAL_PRECISION(9));
    int length = rest == NULL
                     ? -1
                     : asprintf(&line,
                                "{\"schema_version\":%d,\"event\":\"%s\",\"time\":%jd.%06ld,"
                                "\"time_utc\":\"%s.%06ldZ\",%s\n",
                                LOG_SCHEMA_VERSION, name, (intmax_t)now.tv_sec, micro, date, micro,
                                rest + 1);
    free(rest);
    json_decref(fields);
    return length < 0 ? NULL : line;
}
