/* SPDX-License-Identifier: MIT */
#include "server/events.h"

#include "base/clock.h"
#include "server/body.h"
#include "server/parts.h"
#include "server/view.h"

#include <poll.h>
#include <stdlib.h>

#define LISTENERS 32
/* An idle listener gets a comment, so that nothing between takes the connection for dead. */
#define COMMENT_SECONDS 10.0
/* What a listener gets at once at most. */
#define EVENT_DEVICES 32
#define EVENT_RESULTS 32

/* While it is idle its connection is suspended and all of it is the thread's; otherwise it is
 * libmicrohttpd's. The lock guards `idle` and the links. */
struct watcher {
    struct watcher *next;
    struct watcher *prev;
    struct events *events;
    struct MHD_Connection *connection;
    struct body body;
    bool idle;
    bool gone; /* the client has left */
    bool greeted;
    uint64_t version; /* of the board, that it has seen */
    uint64_t result;
    double slot;
};

struct events {
    struct server *server;
    struct board_view some; /* room for what one gets at once; the thread's */
    atomic_uint count;
    pthread_mutex_t lock; /* guards what follows */
    struct watcher *watchers;
    bool closed;
};

struct events *events_new(struct server *server)
{
    struct events *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    e->server = server;
    (void)pthread_mutex_init(&e->lock, NULL);
    if (!view_new(&e->some, EVENT_DEVICES, EVENT_RESULTS)) {
        events_free(e);
        return NULL;
    }
    return e;
}

void events_free(struct events *e)
{
    if (e != NULL) {
        view_free(&e->some);
        (void)pthread_mutex_destroy(&e->lock);
        free(e);
    }
}

unsigned events_count(const struct events *e)
{
    return atomic_load(&e->count);
}

/* ---- the thread that makes the texts ---- */

/* False: there is nothing to say. */
static bool write_events(struct events *e, struct watcher *l, const struct board_setting *setting)
{
    const struct board_view *some = &e->some;
    view_take(e->server, l->version, l->result, &e->some);
    bool news = some->version != l->version || some->result != l->result || !l->greeted;
    double now = now_seconds();
    if (!news && now - l->slot < COMMENT_SECONDS) {
        return false;
    }
    FILE *out = body_open(&l->body);
    if (out == NULL) {
        return false;
    }
    bool good = true;
    if (news) {
        good = board_events(out, some, setting, !l->greeted, l->version);
    } else {
        (void)fputs(": nothing new\n\n", out);
    }
    body_close(&l->body, out, good);
    if (l->body.size == 0) {
        return false;
    }
    l->greeted = true;
    l->slot = now;
    l->version = some->version;
    l->result = some->result;
    return true;
}

static bool has_left(const struct watcher *l)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(l->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd fd = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0;
}

static size_t idle_watchers(struct events *e, struct watcher *idle[LISTENERS])
{
    size_t count = 0;
    (void)pthread_mutex_lock(&e->lock);
    for (struct watcher *l = e->watchers; l != NULL && count < LISTENERS; l = l->next) {
        if (l->idle) {
            idle[count++] = l;
        }
    }
    (void)pthread_mutex_unlock(&e->lock);
    return count;
}

static void wake(struct events *e, struct watcher *l)
{
    (void)pthread_mutex_lock(&e->lock);
    l->idle = false;
    MHD_resume_connection(l->connection);
    (void)pthread_mutex_unlock(&e->lock);
}

void events_serve(struct events *e, const struct board_setting *setting)
{
    struct watcher *idle[LISTENERS];
    size_t count = idle_watchers(e, idle);
    for (size_t i = 0; i < count; i++) {
        idle[i]->gone = has_left(idle[i]);
        if (idle[i]->gone || write_events(e, idle[i], setting)) {
            wake(e, idle[i]);
        }
    }
}

/* ---- libmicrohttpd's side ---- */

static ssize_t read_events(void *context, uint64_t at, char *to, size_t room)
{
    struct watcher *l = context;
    struct events *e = l->events;
    (void)at;
    size_t count = body_take(&l->body, to, room);
    if (count > 0) {
        return (ssize_t)count;
    }
    body_clear(&l->body);
    (void)pthread_mutex_lock(&e->lock);
    bool ends = e->closed || l->gone;
    if (!ends) {
        l->idle = true;
        MHD_suspend_connection(l->connection);
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (ends) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    status_news(e->server->status); /* there may be more for it */
    return 0;
}

static void free_watcher(void *context)
{
    struct watcher *l = context;
    struct events *e = l->events;
    (void)pthread_mutex_lock(&e->lock);
    *(l->prev != NULL ? &l->prev->next : &e->watchers) = l->next;
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    (void)atomic_fetch_sub(&e->count, 1);
    (void)pthread_mutex_unlock(&e->lock);
    body_clear(&l->body);
    free(l);
}

static struct watcher *new_watcher(struct events *e, struct MHD_Connection *connection)
{
    struct watcher *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    l->events = e;
    l->connection = connection;
    (void)pthread_mutex_lock(&e->lock);
    l->next = e->watchers;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    e->watchers = l;
    (void)atomic_fetch_add(&e->count, 1);
    (void)pthread_mutex_unlock(&e->lock);
    return l;
}

enum MHD_Result events_respond(struct events *e, struct exchange *x)
{
    if (atomic_load(&e->count) >= LISTENERS) {
        return body_refuse(x, "too many listeners");
    }
    struct watcher *l = new_watcher(e, x->connection);
    if (l == NULL) {
        return MHD_NO;
    }
    return body_answer(x, "text/event-stream", read_events, l, free_watcher);
}

void events_close(struct events *e)
{
    (void)pthread_mutex_lock(&e->lock);
    e->closed = true;
    for (struct watcher *l = e->watchers; l != NULL; l = l->next) {
        if (l->idle) {
            l->idle = false;
            MHD_resume_connection(l->connection);
        }
    }
    (void)pthread_mutex_unlock(&e->lock);
}
