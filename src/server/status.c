/* SPDX-License-Identifier: MIT */
#include "server/status.h"

#include "base/clock.h"
#include "board/board_text.h"
#include "server/body.h"
#include "server/events.h"
#include "server/parts.h"
#include "server/slots.h"
#include "server/view.h"
#include "web/page_html.h"

#include <stdlib.h>
#include <string.h>

/* Between two looks at the ELFs and for listeners that have left. */
#define TICK_SECONDS 1.0
/* News within this time go out together. */
#define PAUSE_NANOSECONDS 30000000L
/* Looks at how far a delivery is, of all of them: with thousands each is looked at less often. */
#define LOOKS_PER_SECOND 4000.0

/* Someone who waits for a text, or has it. */
struct look {
    struct look *next;
    enum status_route route;
    struct MHD_Connection *connection;
    struct body body;
    bool healthy;
};

struct status {
    struct server *server;
    struct events *events;
    int64_t started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct look *looks;
    bool news;
    bool stop;
    /* The thread's. */
    double looked;   /* at the slots */
    double followed; /* when it was last looked how far the deliveries are */
    struct board_slot slots[2];
    struct board_view all; /* room for everything */
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

/* ---- the thread: texts ---- */

static struct board_setting setting_of(const struct status *s)
{
    return (struct board_setting){.map = store_map(s->server->options.store, NULL),
                                  .started = s->started,
                                  .now = time(NULL),
                                  .listeners = events_count(s->events)};
}

static void write_look(struct look *look, FILE *out, const struct board_view *view,
                       const struct board_setting *setting)
{
    bool good = true;
    switch (look->route) {
    case STATUS_PAGE: page_html_write(out, view, setting); break;
    case STATUS_JSON: good = board_json(out, view, setting); break;
    case STATUS_METRICS: board_metrics(out, view, setting); break;
    default: (void)fputs("ok\n", out); break;
    }
    body_close(&look->body, out, good);
}

static void serve_looks(struct status *s, struct look *looks)
{
    const struct board_setting setting = setting_of(s);
    view_take(s->server, 0, 0, &s->all);
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

/* ---- the thread ---- */

/* Somebody wants to know how far the deliveries are, all the time. */
static bool is_followed(const struct status *s)
{
    return s->server->options.progress || events_count(s->events) > 0;
}

/* The earliest time to look again how far they are. */
static double next_follow(const struct status *s)
{
    double wait = server_deliveries(s->server) / LOOKS_PER_SECOND;
    return s->followed + (wait > BOARD_PROGRESS_SECONDS ? wait : BOARD_PROGRESS_SECONDS);
}

/* When there is something to do in any case; 0: not before somebody says so. */
static double next_work(const struct status *s, double since)
{
    double tick = events_count(s->events) > 0 ? since + TICK_SECONDS : 0;
    double follow = is_followed(s) && server_deliveries(s->server) > 0 ? next_follow(s) : tick;
    return tick > 0 && tick < follow ? tick : follow;
}

/* With the lock held; returns with it. */
static void wait_for_work(struct status *s)
{
    double since = now_seconds();
    int late = 0;
    while (s->looks == NULL && !s->news && !s->stop && late == 0) {
        double at = next_work(s, since);
        const struct timespec until = clock_time(at);
        late = at > 0 ? pthread_cond_timedwait(&s->work, &s->lock, &until)
                      : pthread_cond_wait(&s->work, &s->lock);
    }
}

/* How far the deliveries are is only looked at for those who want to know: it costs more than to
 * deliver a little. */
static void follow(struct status *s, bool asked)
{
    double now = now_seconds();
    if ((asked || is_followed(s)) && now >= next_follow(s)) {
        s->followed = now;
        server_look_at_deliveries(s->server);
    }
}

static void catch_up(struct status *s)
{
    (void)pthread_mutex_lock(&s->server->lock);
    board_catch_up(s->server->board, now_seconds());
    (void)pthread_mutex_unlock(&s->server->lock);
}

static void work(struct status *s, struct look *looks)
{
    bool listened = events_count(s->events) > 0;
    if (looks != NULL || (listened && now_seconds() - s->looked >= TICK_SECONDS)) {
        s->looked = now_seconds();
        slots_look(s->server, s->slots);
    }
    follow(s, looks != NULL);
    catch_up(s);
    if (looks != NULL) {
        serve_looks(s, looks);
    }
    if (listened) {
        const struct timespec pause = {0, PAUSE_NANOSECONDS};
        const struct board_setting setting = setting_of(s);
        events_serve(s->events, &setting);
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

static ssize_t read_look(void *context, uint64_t at, char *to, size_t room)
{
    struct look *look = context;
    (void)at;
    size_t count = body_take(&look->body, to, room);
    return count > 0 ? (ssize_t)count : MHD_CONTENT_READER_END_OF_STREAM;
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
        return events_respond(x->server->status->events, x);
    }
    return ask(x->server->status, x->look) ? MHD_YES
                                           : body_refuse(x, "the server is being stopped");
}

enum MHD_Result status_answer(struct exchange *x)
{
    static const char *const types[] = {[STATUS_PAGE] = "text/html; charset=utf-8",
                                        [STATUS_JSON] = "application/json",
                                        [STATUS_METRICS] = "text/plain; version=0.0.4",
                                        [STATUS_HEALTH] = "text/plain"};
    struct look *look = x->look;
    if (look->body.size == 0) {
        return body_refuse(x, "out of memory");
    }
    if (look->route == STATUS_HEALTH && !look->healthy) {
        return body_refuse(x, "no slot has an image");
    }
    /* The exchange has the look, and outlives the response. */
    return body_answer(x, types[look->route], read_look, look, NULL);
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
    return events_count(s->events);
}

void status_news(struct status *s)
{
    if (events_count(s->events) == 0) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->news = true;
    (void)pthread_cond_signal(&s->work);
    (void)pthread_mutex_unlock(&s->lock);
}

void status_busy(struct status *s)
{
    if (!is_followed(s)) {
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    (void)pthread_cond_signal(&s->work);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- start and end ---- */

static void release(struct status *s)
{
    events_free(s->events);
    view_free(&s->all);
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
    s->events = events_new(server);
    if (s->events == NULL || !view_new(&s->all, BOARD_SHOWN, BOARD_RESULTS) ||
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
    events_close(s->events);
}

void status_free(struct status *s)
{
    if (s != NULL) {
        release(s);
    }
}
