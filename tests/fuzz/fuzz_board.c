/* SPDX-License-Identifier: MIT */
/* Any events on the board, rendered as the page, as JSON, as server-sent events and as metrics: no
 * text of a client becomes markup, a second line or invalid JSON. */
#include "fuzz/fuzz.h"

#include "board/board_text.h"
#include "web/page_html.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t take(struct input *in)
{
    if (in->size == 0) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

/* Up to 63 bytes, ended by a NUL of the input or its end. */
static const char *take_text(struct input *in, char text[64])
{
    size_t used = 0;
    for (uint8_t c = take(in); c != 0 && used < 63; c = take(in)) {
        text[used++] = (char)c;
    }
    text[used] = '\0';
    return text;
}

static void record_one(struct board *board, struct input *in, double now)
{
    char client[64];
    char target[64];
    char reason[64];
    static const char *const methods[] = {"GET", "HEAD", "<b>", ""};
    uint8_t flags = take(in);
    struct server_event event = {
        .kind = (enum server_event_kind)(take(in) % 3),
        .client = take_text(in, client),
        .client_port = take(in),
        .method = methods[flags % 4],
        .target = take_text(in, target),
        .slot = take(in) % 3,
        .build = take(in),
        .status = 200U + take(in),
        .sent = take(in),
        .size = take(in),
        .seconds = take(in),
        .complete = (flags & 4) != 0,
        .looks = (flags & 8) != 0,
        .reason =
            (flags & 16) != 0 || event.kind == SERVER_TURNED_AWAY ? take_text(in, reason) : NULL,
    };
    event.reason = event.kind == SERVER_TURNED_AWAY && event.reason == NULL ? "" : event.reason;
    (void)board_record(board, &event, now, (int64_t)now);
}

typedef bool (*renderer)(FILE *out, const struct board_view *view,
                         const struct board_setting *setting);

static bool render_page(FILE *out, const struct board_view *view,
                        const struct board_setting *setting)
{
    page_html_write(out, view, setting);
    return true;
}

static bool render_metrics(FILE *out, const struct board_view *view,
                           const struct board_setting *setting)
{
    board_metrics(out, view, setting);
    return true;
}

static bool render_events(FILE *out, const struct board_view *view,
                          const struct board_setting *setting)
{
    return board_events(out, view, setting, true, 0);
}

static char *rendered(renderer render, const struct board_view *view,
                      const struct board_setting *setting)
{
    static char *text;
    static size_t size;
    FILE *out = open_memstream(&text, &size);
    require(out != NULL && render(out, view, setting) && fclose(out) == 0 && strlen(text) == size);
    return text;
}

static void check_json(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    require(json != NULL);
    json_decref(json);
}

/* Each line is a field of an event, or separates two; data is JSON on one line. */
static void check_events(char *text)
{
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        require(strncmp(line, "event: ", 7) == 0 || strncmp(line, "data: ", 6) == 0 ||
                strncmp(line, "retry: ", 7) == 0);
        if (line[0] == 'd') {
            check_json(line + 6);
        }
    }
}

/* The tags are the template's and the renderer's own: as many as without a client's text. */
static void check_page(const char *text)
{
    require(strstr(text, "<b>") == NULL && strstr(text, "<script>") != NULL);
    const char *at = strstr(text, "<script>");
    require(strstr(at + 1, "<script>") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct board *board;
    struct input in = {data, size};
    struct board_view view;
    const struct board_setting setting = {espimage_flash_map_by_name("1MB"), 1, 2, 3};
    board_free(board);
    board = board_new();
    require(board != NULL && board_view_init(&view, BOARD_SHOWN, BOARD_RESULTS));
    for (double now = 1; in.size > 0 && now < 100; now++) {
        record_one(board, &in, now);
        board_catch_up(board, now);
    }
    board_look(board, 0, 0, &view);
    char *page = rendered(render_page, &view, &setting);
    char *json = rendered(board_json, &view, &setting);
    char *events = rendered(render_events, &view, &setting);
    char *metrics = rendered(render_metrics, &view, &setting);
    check_page(page);
    check_json(json);
    check_events(events);
    free(page);
    free(json);
    free(events);
    free(metrics);
    board_view_free(&view);
    return 0;
}
