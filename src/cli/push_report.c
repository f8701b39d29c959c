/* SPDX-License-Identifier: MIT */
#include "cli/push_report.h"

#include "base/error.h"
#include "base/file_write.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* None of the devices was reached. */
#define EXIT_NONE_REACHED 75

static const char *style_of(enum push_state state)
{
    if (push_state_is_good(state)) {
        return style_good();
    }
    switch (state) {
    case PUSH_UNREACHABLE:
    case PUSH_BUSY:
    case PUSH_REFUSED:
    case PUSH_NOT_SWITCHED:
    case PUSH_CAME_BACK:
    case PUSH_TIMED_OUT: return style_bad();
    case PUSH_DOWNLOADED: return style_doubtful();
    default: return "";
    }
}

static void print_builds(FILE *out, const struct push_device *d)
{
    if (d->update.state == PUSH_SWITCHED && d->build_before[0] != '\0' &&
        d->build_after[0] != '\0') {
        (void)fprintf(out, ", build %s to build %s", d->build_before, d->build_after);
    } else if (d->update.ended && d->build_before[0] != '\0') {
        (void)fprintf(out, ", build %s", d->build_before);
    } else if (d->update.ended && d->build_after[0] != '\0') {
        (void)fprintf(out, ", build %s", d->build_after);
    }
}

/* A name as it was given is enough; an address that it has is of interest where it is another. */
static void print_name(FILE *out, const struct roster_device *at)
{
    (void)fprintf(out, "%s", at->name);
    if (at->address[0] != '\0' && strcmp(at->name, at->address) != 0) {
        (void)fprintf(out, " (%s)", at->address);
    }
    if (at->label[0] != '\0') {
        (void)fprintf(out, " %s", shown(at->label).text);
    }
}

void push_report_line(const struct push_device *d, bool json)
{
    FILE *out = json ? stderr : stdout;
    const struct push_update *u = &d->update;
    print_name(out, d->at);
    (void)fprintf(out, ": %s%s%s", json ? "" : style_of(u->state), push_state_name(u->state),
                  json ? "" : style_end());
    print_builds(out, d);
    if (u->ended && u->state == PUSH_SWITCHED) {
        (void)fprintf(out, ", %.1f s", d->seconds);
    }
    if (u->state == PUSH_DOWNLOADING && u->slot != 0) {
        (void)fprintf(out, " user%d.bin, %llu bytes", u->slot, (unsigned long long)u->size);
    }
    if (u->reason[0] != '\0') {
        (void)fprintf(out, ": %s", shown(u->reason).text);
    }
    (void)fprintf(out, "\n");
    (void)fflush(out);
}

/* ---- how many are where ---- */

struct counts {
    size_t of[PUSH_STATE_COUNT];
    size_t good;
    size_t running;
};

static struct counts count_states(const struct push *push)
{
    struct counts c = {0};
    for (size_t i = 0; i < push_count(push); i++) {
        const struct push_update *u = &push_device_at(push, i)->update;
        c.of[u->state]++;
        c.good += u->ended && push_state_is_good(u->state);
        c.running += !u->ended && u->state != PUSH_WAITING;
    }
    return c;
}

void push_report_progress(const struct push *push)
{
    const struct counts c = count_states(push);
    double speed = 0;
    for (size_t i = 0; i < push_count(push); i++) {
        const struct push_device *d = push_device_at(push, i);
        speed += d->update.state == PUSH_DOWNLOADING ? d->speed : 0;
    }
    (void)printf("\r\033[K%zu of %zu done, %zu running, %zu waiting, %.0f KB/s", c.good,
                 push_count(push), c.running, c.of[PUSH_WAITING], speed / 1000);
    (void)fflush(stdout);
}

void push_report_end_progress(void)
{
    (void)printf("\r\033[K");
}

static int status_of(const struct counts *c, size_t total)
{
    if (c->good == total) {
        return 0;
    }
    return c->of[PUSH_UNREACHABLE] == total ? EXIT_NONE_REACHED : EXIT_NOT_ALL;
}

static void print_summary(const struct push *push, const struct counts *c)
{
    (void)printf("%zu device%s:", push_count(push), push_count(push) == 1 ? "" : "s");
    bool first = true;
    for (int s = PUSH_STATE_COUNT - 1; s >= 0; s--) {
        if (c->of[s] > 0) {
            (void)printf("%s %zu %s", first ? "" : ",", c->of[s],
                         push_state_name((enum push_state)s));
            first = false;
        }
    }
    (void)printf("%s\n", push_was_stopped(push) ? "; stopped before all were begun" : "");
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_text(text) : json_null();
}

static json_t *device_json(const struct push_device *d)
{
    const struct push_update *u = &d->update;
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:f, s:i, s:I}", "address",
                     text_or_null(d->at->address), "name", json_text(d->at->name), "label",
                     text_or_null(d->at->label), "state", push_state_name(u->state), "reason",
                     text_or_null(u->reason), "build_before", text_or_null(d->build_before),
                     "build_after", text_or_null(d->build_after), "seconds", d->seconds, "attempts",
                     u->state == PUSH_WAITING ? 0 : (int)u->attempts, "bytes", (json_int_t)u->sent);
}

static int print_json(const struct push *push, const struct counts *c)
{
    json_t *document = json_document("push");
    json_t *devices = json_array();
    for (size_t i = 0; i < push_count(push); i++) {
        (void)json_array_append_new(devices, device_json(push_device_at(push, i)));
    }
    (void)json_object_set_new(document, "updated", json_integer((json_int_t)c->good));
    (void)json_object_set_new(document, "stopped", json_boolean(push_was_stopped(push)));
    (void)json_object_set_new(document, "devices", devices);
    return json_print(document, status_of(c, push_count(push)));
}

int push_report_end(const struct push *push, bool json)
{
    const struct counts c = count_states(push);
    if (json) {
        return print_json(push, &c);
    }
    print_summary(push, &c);
    return status_of(&c, push_count(push));
}

/* ---- JUnit ---- */

static void xml_text(FILE *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        switch (*c) {
        case '<': (void)fputs("&lt;", out); break;
        case '>': (void)fputs("&gt;", out); break;
        case '&': (void)fputs("&amp;", out); break;
        case '"': (void)fputs("&quot;", out); break;
        default: (void)fputc(*c, out); break;
        }
    }
}

static void junit_case(FILE *out, const struct push_device *d)
{
    const struct push_update *u = &d->update;
    const char *kind = u->state == PUSH_WAITING ? "skipped" : "failure";
    (void)fprintf(out, "  <testcase classname=\"push\" name=\"%s", d->at->name);
    if (d->at->label[0] != '\0') {
        (void)fputc(' ', out);
        xml_text(out, shown(d->at->label).text);
    }
    (void)fprintf(out, "\" time=\"%.3f\"", d->seconds);
    if (push_state_is_good(u->state)) {
        (void)fputs("/>\n", out);
        return;
    }
    (void)fprintf(out, ">\n    <%s message=\"%s", kind, push_state_name(u->state));
    if (u->reason[0] != '\0') {
        (void)fputs(": ", out);
        xml_text(out, shown(u->reason).text);
    }
    (void)fputs("\"/>\n  </testcase>\n", out);
}

enum espimage_code push_report_junit(const struct push *push, const char *path,
                                     struct espimage_error *err)
{
    const struct counts c = count_states(push);
    size_t total = push_count(push);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return error_no_memory(err);
    }
    (void)fprintf(out,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"" PROGRAM
                  " push\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\">\n",
                  total, total - c.good - c.of[PUSH_WAITING], c.of[PUSH_WAITING]);
    for (size_t i = 0; i < total; i++) {
        junit_case(out, push_device_at(push, i));
    }
    (void)fputs("</testsuite>\n", out);
    bool failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    enum espimage_code code =
        failed ? error_no_memory(err) : file_write(path, (const uint8_t *)text, size, err);
    free(text);
    return code;
}
