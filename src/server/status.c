/* SPDX-License-Identifier: MIT */
#include "server/status.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "server/board_text.h"
#include "server/parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LISTENERS 32
/* An idle listener gets a comment, so that nothing between takes the connection for dead. */
#define COMMENT_SECONDS 10.0
/* Between two looks at the ELFs and for listeners that have left. */
#define TICK_SECONDS 1.0
/* News within this time go out together. */
#define PAUSE_NANOSECONDS 30000000L
/* What a listener gets at once at most. */
#define EVENT_DEVICES 32
#define EVENT_RESULTS 32
#define BLOCK         16384

/* A text that libmicrohttpd takes piece by piece. */
struct body {
    char *text; /* owned */
    size_t size;
    size_t at;
};

/* Someone who waits for a text, or has it. */
struct look {
    struct look *next;
    enum status_route route;
    struct MHD_Connection *connection;
    struct body body;
    bool healthy;
};

/* While it is idle its connection is suspended and all of it is the thread's; otherwise it is
 * libmicrohttpd's. The lock guards `idle` and the links. */
struct watcher {
    struct watcher *next;
    struct watcher *prev;
    struct status *status;
    struct MHD_Connection *connection;
    struct body body;
    bool idle;
    bool gone; /* the client has left */
    bool greeted;
    uint64_t version; /* of the board, that it has seen */
    uint64_t result;
    double spoke;
};

struct status {
    struct server *server;
    int64_t started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct look *looks;
    struct watcher *listeners;
    bool news;
    bool stop;
    atomic_uint listener_count;
    /* The thread's. */
    double looked; /* at the slots */
    struct board_slot slots[2];
    struct board_view all;  /* room for everything */
    struct board_view some; /* room for what a listener gets at once */
};

enum status_route status_route_of(const char *path)
{
    static const char *const paths[] = {[STATUS_PAGE] = "/",
                                        [STATUS_JSON] = "/status.json",
                                        [STATUS_METRICS] = "/metrics",
                                        [STATUS_HEALTH] = "/healthz",
                                        [STATUS_EVENTS] = "/events"};
    for (enum status_route route = STATUS_PAGE; route <= STATUS_EVENTS; route++) {
        if (strcmp(path, paths[route]) == 0) {
            return route;
        }
    }
    return STATUS_NONE;
}

/* ---- the thread: the slots ---- */

static void describe_elf(const struct store *store, int slot, struct board_slot *state)
{
    const char *path = store_path(store, slot);
    if (path == NULL) {
        store_missing(store, slot, state->reason, sizeof state->reason);
        return;
    }
    const char *last = strrchr(path, '/');
    printable(state->elf, sizeof state->elf, last != NULL ? last + 1 : path);
}

static void describe_image(const struct snapshot *snapshot, struct board_slot *state)
{
    state->converts = true;
    state->build = snapshot->build;
    state->size = snapshot->image.size;
    state->converted = snapshot->converted;
    memcpy(state->sha256, snapshot->sha256, sizeof state->sha256);
    state->reason[0] = '\0';
}

static void describe_failure(struct espimage_error *err, struct board_slot *state)
{
    char line[ESPIMAGE_ERROR_LINE];
    err->file[0] = '\0'; /* it is named already, and its folder concerns nobody */
    state->converts = false;
    printable(state->reason, sizeof state->reason, espimage_error_line(err, line, sizeof line));
}

/* The warnings of this conversion are told now: the next request finds the image made. */
static void tell_notes(struct server *server, int slot, unsigned build,
                       const struct espimage_notes *notes)
{
    const struct server_event event = {.kind = SERVER_CONVERTED,
                                       .client = "",
                                       .method = "",
                                       .target = "",
                                       .slot = slot,
                                       .build = build,
                                       .notes = notes};
    if (notes->count > 0) {
        server_tell(server, &event);
    }
}

/* A file that is being written is as it was, for now. */
static void look_at_image(struct status *s, int slot, struct board_slot *state)
{
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    const struct snapshot *snapshot = NULL;
    bool unsettled = false;
    unsigned build = state->build;
    if (store_get(s->server->options.store, slot, &snapshot, &unsettled, &notes, &err) ==
        ESPIMAGE_OK) {
        describe_image(snapshot, state);
        if (build != state->build) {
            tell_notes(s->server, slot, state->build, &notes);
        }
    } else if (!unsettled || build == 0) {
        describe_failure(&err, state);
    }
    snapshot_release(snapshot);
}

static void look_at_slots(struct status *s)
{
    const struct store *store = s->server->options.store;
    s->looked = now_seconds();
    for (int slot = 1; slot <= 2; slot++) {
        struct board_slot *state = &s->slots[slot - 1];
        describe_elf(store, slot, state);
        if (store_path(store, slot) != NULL) {
            look_at_image(s, slot, state);
        }
        (void)pthread_mutex_lock(&s->server->lock);
        (void)board_set_slot(s->server->board, slot, state);
        (void)pthread_mutex_unlock(&s->server->lock);
    }
}

/* ---- the thread: texts ---- */

static void look_at_board(struct status *s, uint64_t version, uint64_t result,
                          struct board_view *view)
{
    (void)pthread_mutex_lock(&s->server->lock);
    board_look(s->server->board, version, result, view);
    (void)pthread_mutex_unlock(&s->server->lock);
}

static void catch_up(struct status *s)
{
    (void)pthread_mutex_lock(&s->server->lock);
    board_catch_up(s->server->board, now_seconds());
    (void)pthread_mutex_unlock(&s->server->lock);
}

static struct board_setting setting_of(const struct status *s)
{
    return (struct board_setting){.map = store_map(s->server->options.store),
                                  .started = s->started,
                                  .now = time(NULL),
                                  .listeners = atomic_load(&s->listener_count)};
}

static void body_clear(struct body *body)
{
    free(body->text);
    *body = (struct body){0};
}

/* A stream into an empty body; body_close() ends it. NULL: no memory. */
static FILE *body_open(struct body *body)
{
    *body = (struct body){0};
    return open_memstream(&body->text, &body->size);
}

static void body_close(struct body *body, FILE *out, bool good)
{
    bool whole = ferror(out) == 0;
    if (fclose(out) != 0 || !whole || !good) {
        body_clear(body);
    }
}

static void write_look(struct look *look, FILE *out, const struct board_view *view,
                       const struct board_setting *setting)
{
    bool good = true;
    switch (look->route) {
    case STATUS_PAGE: board_html(out, view, setting); break;
    case STATUS_JSON: good = board_json(out, view, setting); break;
    case STATUS_METRICS: board_metrics(out, view, setting); break;
    default: (void)fputs("ok\n", out); break;
    }
    body_close(&look->body, out, good);
}

static void serve_looks(struct status *s, struct look *looks)
{
    const struct board_setting setting = setting_of(s);
    look_at_board(s, 0, 0, &s->all);
    while (looks != NULL) {
        struct look *look = looks;
        looks = look->next;
        FILE *out = body_open(&look->body);
        look->healthy = board_is_healthy(&s->all);
        if (out != NULL) {
            write_look(look, out, &s->all, &setting);
        }
        MHD_resume_connection(look->connection);
    }
}

/* False: there is nothing to say. */
static bool write_events(struct status *s, struct watcher *l)
{
    const struct board_setting setting = setting_of(s);
    look_at_board(s, l->version, l->result, &s->some);
    bool news = s->some.version != l->version || s->some.result != l->result || !l->greeted;
    double now = now_seconds();
    if (!news && now - l->spoke < COMMENT_SECONDS) {
        return false;
    }
    FILE *out = body_open(&l->body);
    if (out == NULL) {
        return false;
    }
    bool good = true;
    if (news) {
        good = board_events(out, &s->some, &setting, !l->greeted, l->version);
    } else {
        (void)fputs(": nothing new\n\n", out);
    }
    body_close(&l->body, out, good);
    if (l->body.size == 0) {
        return false;
    }
    l->greeted = true;
    l->spoke = now;
    l->version = s->some.version;
    l->result = s->some.result;
    return true;
}

/* ---- the thread: listeners ---- */

static bool has_left(const struct watcher *l)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(l->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fd = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0;
}

static size_t idle_listeners(struct status *s, struct watcher *idle[LISTENERS])
{
    size_t count = 0;
    (void)pthread_mutex_lock(&s->lock);
    for (struct watcher *l = s->listeners; l != NULL && count < LISTENERS; l = l->next) {
        if (l->idle) {
            idle[count++] = l;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return count;
}

static void wake_listener(struct status *s, struct watcher *l)
{
    (void)pthread_mutex_lock(&s->lock);
    l->idle = false;
    MHD_resume_connection(l->connection);
    (void)pthread_mutex_unlock(&s->lock);
}

static void serve_listeners(struct status *s)
{
    struct watcher *idle[LISTENERS];
    size_t count = idle_listeners(s, idle);
    for (size_t i = 0; i < count; i++) {
        idle[i]->gone = has_left(idle[i]);
        if (idle[i]->gone || write_events(s, idle[i])) {
            wake_listener(s, idle[i]);
        }
    }
}

/* ---- the thread ---- */

/* With the lock held; returns with it. */
static void wait_for_work(struct status *s)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)TICK_SECONDS;
    int late = 0;
    while (s->looks == NULL && !s->news && !s->stop && late == 0) {
        late = s->listeners != NULL ? pthread_cond_timedwait(&s->work, &s->lock, &until)
                                    : pthread_cond_wait(&s->work, &s->lock);
    }
}

static void work(struct status *s, struct look *looks)
{
    bool listened = atomic_load(&s->listener_count) > 0;
    if (looks != NULL || (listened && now_seconds() - s->looked >= TICK_SECONDS)) {
        look_at_slots(s);
    }
    catch_up(s);
    if (looks != NULL) {
        serve_looks(s, looks);
    }
    if (listened) {
        const struct timespec pause = {0, PAUSE_NANOSECONDS};
        serve_listeners(s);
        (void)nanosleep(&pause, NULL);
    }
}

static void *run(void *context)
{
    struct status *s = context;
    bool stop = false;
    while (!stop) {
        (void)pthread_mutex_lock(&s->lock);
        wait_for_work(s);
        struct look *looks = s->looks;
        s->looks = NULL;
        s->news = false;
        stop = s->stop;
        (void)pthread_mutex_unlock(&s->lock);
        work(s, looks);
    }
    return NULL;
}

/* ---- libmicrohttpd's side ---- */

static size_t body_take(struct body *body, char *to, size_t room)
{
    size_t left = body->size - body->at;
    size_t count = left < room ? left : room;
    if (count > 0) {
        memcpy(to, body->text + body->at, count);
        body->at += count;
    }
    return count;
}

static ssize_t read_look(void *context, uint64_t at, char *to, size_t room)
{
    struct look *look = context;
    (void)at;
    size_t count = body_take(&look->body, to, room);
    return count > 0 ? (ssize_t)count : MHD_CONTENT_READER_END_OF_STREAM;
}

static ssize_t read_listener(void *context, uint64_t at, char *to, size_t room)
{
    struct watcher *l = context;
    struct status *s = l->status;
    (void)at;
    ssize_t count = (ssize_t)body_take(&l->body, to, room);
    if (count > 0) {
        return count;
    }
    body_clear(&l->body);
    (void)pthread_mutex_lock(&s->lock);
    if (s->stop || l->gone) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        l->idle = true;
        MHD_suspend_connection(l->connection);
        s->news = true; /* there may be more for it */
        (void)pthread_cond_signal(&s->work);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return count;
}

static void free_watcher(void *context)
{
    struct watcher *l = context;
    struct status *s = l->status;
    (void)pthread_mutex_lock(&s->lock);
    *(l->prev != NULL ? &l->prev->next : &s->listeners) = l->next;
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    (void)atomic_fetch_sub(&s->listener_count, 1);
    (void)pthread_mutex_unlock(&s->lock);
    body_clear(&l->body);
    free(l);
}

static struct watcher *new_watcher(struct status *s, struct MHD_Connection *connection)
{
    struct watcher *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    l->status = s;
    l->connection = connection;
    (void)pthread_mutex_lock(&s->lock);
    l->next = s->listeners;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    s->listeners = l;
    (void)atomic_fetch_add(&s->listener_count, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return l;
}

/* Without a length, so that a device that asks for this by mistake learns none, and erases and
 * writes nothing. */
static enum MHD_Result answer_with(struct exchange *x, const char *type,
                                   struct MHD_Response *response)
{
    static const char *const fields[][2] = {
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    char policy[BOARD_POLICY];
    board_html_policy(policy);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "Content-Security-Policy", policy);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)MHD_add_response_header(response, fields[i][0], fields[i][1]);
    }
    x->status = MHD_HTTP_OK;
    enum MHD_Result queued = MHD_queue_response(x->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result refuse(struct exchange *x, const char *reason)
{
    return respond_without(x, MHD_HTTP_SERVICE_UNAVAILABLE, reason, MHD_HTTP_HEADER_RETRY_AFTER,
                           "10");
}

static enum MHD_Result listen_to_events(struct exchange *x)
{
    struct status *s = x->server->status;
    if (atomic_load(&s->listener_count) >= LISTENERS) {
        return refuse(x, "too many listeners");
    }
    struct watcher *l = new_watcher(s, x->connection);
    if (l == NULL) {
        return MHD_NO;
    }
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_listener, l, free_watcher);
    if (response == NULL) {
        free_watcher(l);
        return MHD_NO;
    }
    return answer_with(x, "text/event-stream", response);
}

static bool ask(struct status *s, struct look *look)
{
    (void)pthread_mutex_lock(&s->lock);
    bool asked = !s->stop;
    if (asked) {
        MHD_suspend_connection(look->connection);
        look->next = s->looks;
        s->looks = look;
        (void)pthread_cond_signal(&s->work);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return asked;
}

enum MHD_Result status_respond(struct exchange *x, enum status_route route)
{
    x->look = calloc(1, sizeof *x->look);
    if (x->look == NULL) {
        return MHD_NO;
    }
    x->look->route = route;
    x->look->connection = x->connection;
    if (route == STATUS_EVENTS) {
        return listen_to_events(x);
    }
    return ask(x->server->status, x->look) ? MHD_YES : refuse(x, "the server is being stopped");
}

enum MHD_Result status_answer(struct exchange *x)
{
    static const char *const types[] = {[STATUS_PAGE] = "text/html; charset=utf-8",
                                        [STATUS_JSON] = "application/json",
                                        [STATUS_METRICS] = "text/plain; version=0.0.4",
                                        [STATUS_HEALTH] = "text/plain"};
    struct look *look = x->look;
    if (look->body.size == 0) {
        return refuse(x, "out of memory");
    }
    if (look->route == STATUS_HEALTH && !look->healthy) {
        return refuse(x, "no slot has an image");
    }
    /* The exchange has the look, and outlives the response. */
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_look, look, NULL);
    return response != NULL ? answer_with(x, types[look->route], response) : MHD_NO;
}

void status_look_free(struct look *look)
{
    if (look != NULL) {
        body_clear(&look->body);
        free(look);
    }
}

unsigned status_listeners(const struct status *s)
{
    return atomic_load(&s->listener_count);
}

void status_news(struct status *s)
{
    if (atomic_load(&s->listener_count) == 0) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->news = true;
    (void)pthread_cond_signal(&s->work);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- start and end ---- */

static bool view_new(struct board_view *view, size_t devices, size_t results)
{
    view->devices = calloc(devices, sizeof *view->devices);
    view->results = calloc(results, sizeof *view->results);
    view->device_room = devices;
    view->result_room = results;
    return view->devices != NULL && view->results != NULL;
}

static void release(struct status *s)
{
    free(s->all.devices);
    free(s->all.results);
    free(s->some.devices);
    free(s->some.results);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->work);
    free(s);
}

static void init_lock(struct status *s)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

struct status *status_new(struct server *server)
{
    struct status *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    init_lock(s);
    s->server = server;
    s->started = time(NULL);
    if (!view_new(&s->all, BOARD_DEVICES, BOARD_RESULTS) ||
        !view_new(&s->some, EVENT_DEVICES, EVENT_RESULTS) ||
        pthread_create(&s->thread, NULL, run, s) != 0) {
        release(s);
        return NULL;
    }
    return s;
}

void status_close(struct status *s)
{
    if (s == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->stop = true;
    (void)pthread_cond_signal(&s->work);
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_mutex_lock(&s->lock);
    for (struct watcher *l = s->listeners; l != NULL; l = l->next) {
        if (l->idle) {
            l->idle = false;
            MHD_resume_connection(l->connection);
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void status_free(struct status *s)
{
    if (s != NULL) {
        release(s);
    }
}
