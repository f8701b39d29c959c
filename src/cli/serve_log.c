/* SPDX-License-Identifier: MIT */
#include "cli/serve_log.h"

#include "cli/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- text ---- */

static void print_image(FILE *to, const struct server_event *e)
{
    if (e->size == 0) {
        return;
    }
    if (strcmp(e->method, "HEAD") == 0) {
        (void)fprintf(to, " build %u, told %" PRIu64 " bytes", e->build, e->size);
    } else {
        (void)fprintf(to, " build %u%s, %" PRIu64 " of %" PRIu64 " bytes", e->build,
                      e->promised ? " as promised" : "", e->sent, e->size);
    }
}

static void print_request(FILE *to, const struct server_event *e)
{
    (void)fprintf(to, "%s %s %s", e->client, e->method, e->target);
    if (e->slot != 0) {
        (void)fprintf(to, " user%d", e->slot);
    }
    (void)fprintf(to, " %u", e->status);
    print_image(to, e);
    (void)fprintf(to, " %.2f s", e->seconds);
    if (e->reason != NULL) {
        (void)fprintf(to, ": %s", e->reason);
    }
    (void)fputs("\n", to);
}

/* What a request tells of the device, on a line of its own. */
static void print_device(FILE *to, const struct server_event *e)
{
    if (e->runs != 0) {
        (void)fprintf(to, "%s now runs build %u in slot %d\n", e->client, e->runs_build, e->runs);
    } else if (e->not_taken) {
        (void)fprintf(to, "%s has not taken what it fetched before\n", e->client);
    }
}

char *serve_log_text(const struct server_event *event)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) {
        return NULL;
    }
    if (event->kind == SERVER_TURNED_AWAY) {
        (void)fprintf(to, "%s turned away: %s\n", event->client, event->reason);
    } else if (event->kind == SERVER_NOTICE) {
        (void)fprintf(to, "%s\n", event->reason);
    } else {
        print_device(to, event);
        print_request(to, event);
    }
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    return text;
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
