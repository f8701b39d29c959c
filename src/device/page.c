/* SPDX-License-Identifier: MIT */
#include "device/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Without the icon a browser would ask the trigger port for one, and so pull it once more. */
static const char start[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">\n"
    "<style>body{font:16px/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em}"
    "h1{font-size:1.3em}progress{width:100%}a{display:inline-block;padding:.4em 1em;"
    "border:1px solid;border-radius:.3em}.bad{color:#a00}</style>\n";

static size_t answer(const char *status, const char *body, bool head, char out[PAGE_ROOM])
{
    int size = snprintf(out, PAGE_ROOM,
                        "HTTP/1.0 %s\r\nContent-Type: text/html; charset=utf-8\r\n"
                        "Content-Length: %zu\r\nCache-Control: no-store\r\nConnection: close\r\n"
                        "\r\n%s",
                        status, strlen(body), head ? "" : body);
    return size < PAGE_ROOM ? (size_t)size : PAGE_ROOM - 1;
}

struct text {
    char bytes[PAGE_ROOM - 512]; /* the header needs some */
    size_t size;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof t->bytes - t->size;
    int size = vsnprintf(t->bytes + t->size, room, format, args);
    va_end(args);
    t->size += size > 0 && (size_t)size < room ? (size_t)size : 0;
}

/* What was found may quote a server. */
static void add_escaped(struct text *t, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("<>&", *text) != NULL) {
            add(t, "&#%d;", *text);
        } else {
            add(t, "%c", *text);
        }
    }
}

static void add_state(struct text *t, const struct device_view *view, const char *trigger)
{
    switch (view->state) {
    case DEVICE_RUNNING:
        if (trigger != NULL) {
            add(t, "<p><a href=\"%s\">begin update</a></p>\n", trigger);
        } else {
            add(t, "<p>updates are uploaded to /flash/upload</p>\n");
        }
        break;
    case DEVICE_UPDATING:
        add(t, "<p>update: %u of %u bytes</p>\n<progress max=\"%u\" value=\"%u\"></progress>\n",
            view->progress, view->total, view->total != 0 ? view->total : 1, view->progress);
        break;
    case DEVICE_BOOTING: add(t, "<p>restarting</p>\n"); break;
    case DEVICE_DEAD: add(t, "<p class=\"bad\">dead</p>\n"); break;
    }
}

static void add_history(struct text *t, const struct device_view *view)
{
    if (view->succeeded + view->failed > 0) {
        add(t, "<p>updates since start: %u done, %u failed</p>\n", view->succeeded, view->failed);
    }
    if (view->last_rule[0] != '\0') {
        add(t, "<p class=\"bad\">last failure: %s: ", view->last_rule);
        add_escaped(t, view->last_found);
        add(t, "</p>\n");
    }
}

static bool asks_for_page(const char *request)
{
    return strncmp(request, "/ ", 2) == 0 || strncmp(request, "/?", 2) == 0;
}

size_t page_answer(const struct device_view *view, const char *request, const char *trigger,
                   char out[PAGE_ROOM])
{
    struct text t = {"", 0};
    bool head = strncmp(request, "HEAD ", 5) == 0;
    if (!head && strncmp(request, "GET ", 4) != 0) {
        return answer("400 Bad Request", "", false, out);
    }
    if (!asks_for_page(request + (head ? 5 : 4))) {
        return answer("404 Not Found", "", head, out);
    }
    add(&t, "%s", start);
    if (view->state != DEVICE_RUNNING) {
        add(&t, "<meta http-equiv=\"refresh\" content=\"1\">\n");
    }
    add(&t,
        "<title>%s, user%u</title></head><body>\n<h1>ESP8266 (simulated)</h1>\n"
        "<p>%s runs in slot user%u</p>\n",
        view->build, view->running, view->build, view->running);
    add_state(&t, view, trigger);
    add_history(&t, view);
    add(&t, "</body></html>\n");
    return answer("200 OK", t.bytes, head, out);
}

size_t page_trigger_answer(bool begins, const char *page, char out[PAGE_ROOM])
{
    struct text t = {"", 0};
    add(&t, "%s", start);
    add(&t,
        "<meta http-equiv=\"refresh\" content=\"1;url=%s\">\n<title>update</title></head><body>\n"
        "<p>%s</p>\n<p><a href=\"%s\">back</a></p>\n</body></html>\n",
        page, begins ? "update begins" : "no update begins now: one runs already", page);
    return answer("200 OK", t.bytes, false, out);
}
