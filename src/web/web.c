/* SPDX-License-Identifier: MIT */
/* The only file that knows libmicrohttpd. */
#include "web/web.h"

#include "base/clock.h"
#include "web/page_html.h"

#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What libmicrohttpd has for a request and the header of its answer: the longest head fits, with a
 * record for each field and cookie. */
#define REQUEST_MEMORY 65536
#define STACK_SIZE     131072
/* Handed over in one go: more would only lie in each connection's memory. */
#define BLOCK       4096
#define SUBSCRIBERS 32
/* An idle subscriber gets a comment, so that nothing between takes the connection for dead. */
#define COMMENT_SECONDS 10.0
/* What a subscriber gets at once at most. */
#define EVENT_DEVICES 32
#define EVENT_RESULTS 32

#define STOPPING "the server is being stopped"

/* A rendered text, shared by all that send it. */
struct text {
    atomic_uint references;
    size_t size;
    char *bytes; /* owned */
};

enum request_state {
    REQUEST_NEW,
    REQUEST_ASKED,    /* suspended until its page is rendered */
    REQUEST_RENDERED, /* to be answered with it */
    REQUEST_SENDING   /* the answer is libmicrohttpd's */
};

/* A connection. */
struct visit {
    struct visit *next;
    enum web_page page;
    int fd; /* the duplicate; libmicrohttpd closes it */
    void *conn;
    struct MHD_Connection *connection; /* NULL: libmicrohttpd has not started it */
    enum request_state state;
    unsigned status; /* 0: there is no answer yet */
    const char *reason;
    struct subscriber *subscriber; /* NULL: none */
};

/* While it is idle its connection is suspended and all of it belongs to the rendering thread;
 * otherwise to libmicrohttpd. The lock guards `idle`. */
struct subscriber {
    struct web *web;
    struct visit *visit;
    struct text *text; /* being sent; NULL: none */
    size_t at;
    bool idle;
    bool gone; /* the client has left */
    bool greeted;
    uint64_t version; /* of the board, that it has seen */
    uint64_t result;
    double spoke;
};

struct web {
    struct web_options options;
    int64_t started;
    struct MHD_Daemon *daemon;
    struct board_view all;  /* the rendering thread's: room for everything, */
    struct board_view some; /* and for what a subscriber gets at once */
    atomic_uint subscribers;
    pthread_mutex_t lock; /* guards what follows, and the states of visits */
    struct visit *visits;
    bool wanted[WEB_PAGES];
    struct MHD_Response *pages[WEB_PAGES]; /* as last rendered; NULL: none */
    bool healthy;
    bool stopping;
};

/* ---- texts ---- */

static struct text *text_keep(struct text *text)
{
    (void)atomic_fetch_add(&text->references, 1);
    return text;
}

static void text_release(void *context)
{
    struct text *text = context;
    if (text != NULL && atomic_fetch_sub(&text->references, 1) == 1) {
        free(text->bytes);
        free(text);
    }
}

static size_t text_copy(const struct text *text, size_t at, char *to, size_t room)
{
    size_t left = at < text->size ? text->size - at : 0;
    room = room < BLOCK ? room : BLOCK;
    size_t count = left < room ? left : room;
    memcpy(to, text->bytes + text->size - left, count);
    return count;
}

/* A stream into a new text; NULL: no memory. */
static FILE *text_open(struct text **out)
{
    struct text *text = calloc(1, sizeof *text);
    FILE *stream = text != NULL ? open_memstream(&text->bytes, &text->size) : NULL;
    if (stream == NULL) {
        free(text);
        return NULL;
    }
    atomic_init(&text->references, 1);
    *out = text;
    return stream;
}

/* NULL unless all is `good`. */
static struct text *text_close(struct text *text, FILE *stream, bool good)
{
    good = good && ferror(stream) == 0;
    if (fclose(stream) != 0 || !good) {
        text_release(text);
        return NULL;
    }
    return text;
}

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

static bool render_health(FILE *out, const struct board_view *view,
                          const struct board_setting *setting)
{
    (void)view;
    (void)setting;
    return fputs("ok\n", out) != EOF;
}

const char *const web_paths[WEB_PAGES] = {[WEB_PAGE] = "/",
                                          [WEB_JSON] = "/status.json",
                                          [WEB_METRICS] = "/metrics",
                                          [WEB_HEALTH] = "/healthz",
                                          [WEB_EVENTS] = "/events"};

static const struct {
    const char *type;
    bool (*render)(FILE *out, const struct board_view *view, const struct board_setting *setting);
} pages[WEB_PAGES] = {[WEB_PAGE] = {"text/html; charset=utf-8", render_page},
                      [WEB_JSON] = {"application/json", board_json},
                      [WEB_METRICS] = {"text/plain; version=0.0.4", render_metrics},
                      [WEB_HEALTH] = {"text/plain", render_health},
                      [WEB_EVENTS] = {"text/event-stream", NULL}};

/* ---- responses ---- */

static void add_fields(struct MHD_Response *response, const char *type)
{
    static const char *const fields[][2] = {
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    char policy[PAGE_POLICY];
    page_html_policy(policy);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "Content-Security-Policy", policy);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)MHD_add_response_header(response, fields[i][0], fields[i][1]);
    }
}

/* Without a length, so that a device that asks for this by mistake learns none, and erases and
 * writes nothing. `release` gets the context, also when there is no memory. */
static struct MHD_Response *new_response(enum web_page page, MHD_ContentReaderCallback read,
                                         void *context, MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read, context, release);
    if (response == NULL) {
        release(context);
        return NULL;
    }
    add_fields(response, pages[page].type);
    return response;
}

/* Without a body: there is none now, there may be one later. */
static enum MHD_Result refuse(struct visit *v, const char *reason)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    (void)MHD_add_response_header(response, "X-Espimage-Reason", reason);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "10");
    v->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    v->reason = reason;
    enum MHD_Result queued =
        MHD_queue_response(v->connection, MHD_HTTP_SERVICE_UNAVAILABLE, response);
    MHD_destroy_response(response);
    return queued;
}

static ssize_t read_text(void *context, uint64_t at, char *to, size_t room)
{
    size_t count = text_copy(context, (size_t)at, to, room);
    return count > 0 ? (ssize_t)count : MHD_CONTENT_READER_END_OF_STREAM;
}

/* ---- subscribers: libmicrohttpd's side ---- */

static ssize_t read_events(void *context, uint64_t at, char *to, size_t room)
{
    struct subscriber *s = context;
    struct web *w = s->web;
    (void)at;
    size_t count = s->text != NULL ? text_copy(s->text, s->at, to, room) : 0;
    if (count > 0) {
        s->at += count;
        return (ssize_t)count;
    }
    text_release(s->text);
    s->text = NULL;
    (void)pthread_mutex_lock(&w->lock);
    bool ends = w->stopping || s->gone;
    if (!ends) {
        s->idle = true;
        MHD_suspend_connection(s->visit->connection);
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (ends) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    w->options.on_wanted(w->options.context); /* there may be more for it */
    return 0;
}

static void free_subscriber(void *context)
{
    struct subscriber *s = context;
    struct web *w = s->web;
    (void)pthread_mutex_lock(&w->lock);
    if (s->visit != NULL) {
        s->visit->subscriber = NULL;
    }
    (void)pthread_mutex_unlock(&w->lock);
    (void)atomic_fetch_sub(&w->subscribers, 1);
    text_release(s->text);
    free(s);
}

static enum MHD_Result subscribe(struct web *w, struct visit *v)
{
    if (atomic_load(&w->subscribers) >= SUBSCRIBERS) {
        return refuse(v, "too many listeners");
    }
    struct subscriber *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return refuse(v, "out of memory");
    }
    s->web = w;
    s->visit = v;
    (void)atomic_fetch_add(&w->subscribers, 1);
    (void)pthread_mutex_lock(&w->lock);
    v->subscriber = s;
    (void)pthread_mutex_unlock(&w->lock);
    struct MHD_Response *response = new_response(WEB_EVENTS, read_events, s, free_subscriber);
    if (response == NULL) {
        return refuse(v, "out of memory");
    }
    v->status = MHD_HTTP_OK;
    enum MHD_Result queued = MHD_queue_response(v->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- requests ---- */

static enum MHD_Result answer(struct web *w, struct visit *v)
{
    enum MHD_Result queued = MHD_NO;
    const char *reason = NULL;
    (void)pthread_mutex_lock(&w->lock);
    struct MHD_Response *response = w->pages[v->page];
    if (w->stopping) {
        reason = STOPPING;
    } else if (v->page == WEB_HEALTH && !w->healthy) {
        reason = "no slot has an image";
    } else if (response == NULL) {
        reason = "out of memory";
    } else {
        v->status = MHD_HTTP_OK;
        queued = MHD_queue_response(v->connection, MHD_HTTP_OK, response);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return reason != NULL ? refuse(v, reason) : queued;
}

/* Waits for a text that is rendered from now on. */
static enum MHD_Result ask(struct web *w, struct visit *v)
{
    (void)pthread_mutex_lock(&w->lock);
    bool asked = !w->stopping;
    if (asked) {
        v->state = REQUEST_ASKED;
        w->wanted[v->page] = true;
        MHD_suspend_connection(v->connection);
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (!asked) {
        return refuse(v, STOPPING);
    }
    w->options.on_wanted(w->options.context);
    return MHD_YES;
}

/* libmicrohttpd calls it when it has the header, after that for the answer, and again after the
 * connection was suspended. Which page was asked for is known. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request_context)
{
    struct web *w = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct visit *v = info != NULL ? info->socket_context : NULL;
    (void)path;
    (void)method;
    (void)version;
    (void)upload;
    *upload_size = 0; /* a body, which no page has a use for, is taken as read */
    if (v == NULL) {
        return MHD_NO;
    }
    bool first = *request_context == NULL;
    bool subscribes = v->page == WEB_EVENTS;
    (void)pthread_mutex_lock(&w->lock);
    enum request_state state = v->state;
    bool asks = state == REQUEST_NEW && !subscribes;
    v->state = first || asks ? state : REQUEST_SENDING;
    (void)pthread_mutex_unlock(&w->lock);
    if (state == REQUEST_SENDING) {
        return MHD_NO;
    }
    if (first) {
        *request_context = v;
        return MHD_YES;
    }
    if (asks) {
        return ask(w, v);
    }
    return subscribes ? subscribe(w, v) : answer(w, v);
}

/* ---- connections ---- */

/* With the lock held. */
static void unlink_visit(struct web *w, const struct visit *v)
{
    struct visit **link = &w->visits;
    while (*link != NULL && *link != v) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = v->next;
    }
}

static struct visit *find_visit(struct web *w, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    (void)pthread_mutex_lock(&w->lock);
    struct visit *v = w->visits;
    while (v != NULL && (info == NULL || v->fd != info->connect_fd || v->connection != NULL)) {
        v = v->next;
    }
    if (v != NULL) {
        v->connection = connection;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return v;
}

static void end_visit(struct web *w, struct visit *v)
{
    (void)pthread_mutex_lock(&w->lock);
    unlink_visit(w, v);
    if (v->subscriber != NULL) {
        v->subscriber->visit = NULL;
    }
    (void)pthread_mutex_unlock(&w->lock);
    w->options.on_return(v->conn, v->status,
                         v->status == 0 ? "libmicrohttpd did not take the request" : v->reason);
    free(v);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = find_visit(context, connection);
    } else if (*socket_context != NULL) {
        end_visit(context, *socket_context);
        *socket_context = NULL;
    }
}

bool web_add(struct web *w, enum web_page page, int fd, const struct sockaddr *address,
             socklen_t address_size, void *conn)
{
    struct visit *v = calloc(1, sizeof *v);
    if (v == NULL) {
        (void)close(fd);
        return false;
    }
    v->page = page;
    v->fd = fd;
    v->conn = conn;
    (void)pthread_mutex_lock(&w->lock);
    v->next = w->visits;
    w->visits = v;
    (void)pthread_mutex_unlock(&w->lock);
    if (MHD_add_connection(w->daemon, fd, address, address_size) != MHD_YES) { /* closes it then */
        (void)pthread_mutex_lock(&w->lock);
        unlink_visit(w, v);
        (void)pthread_mutex_unlock(&w->lock);
        free(v);
        return false;
    }
    return true;
}

/* ---- rendering ---- */

unsigned web_subscribers(const struct web *w)
{
    return atomic_load(&w->subscribers);
}

bool web_is_wanted(struct web *w)
{
    bool wanted = false;
    (void)pthread_mutex_lock(&w->lock);
    for (int i = 0; i < WEB_PAGES; i++) {
        wanted = wanted || w->wanted[i];
    }
    (void)pthread_mutex_unlock(&w->lock);
    return wanted;
}

static struct board_setting setting_of(const struct web *w)
{
    return (struct board_setting){.map = w->options.map(w->options.context),
                                  .started = w->started,
                                  .now = time(NULL),
                                  .listeners = web_subscribers(w)};
}

static struct MHD_Response *render(const struct web *w, enum web_page page)
{
    const struct board_setting setting = setting_of(w);
    struct text *text = NULL;
    FILE *out = text_open(&text);
    if (out != NULL) {
        text = text_close(text, out, pages[page].render(out, &w->all, &setting));
    }
    return text != NULL ? new_response(page, read_text, text, text_release) : NULL;
}

static void publish(struct web *w, enum web_page page, struct MHD_Response *fresh)
{
    (void)pthread_mutex_lock(&w->lock);
    struct MHD_Response *old = w->pages[page];
    w->pages[page] = fresh;
    w->healthy = board_is_healthy(&w->all);
    for (struct visit *v = w->visits; v != NULL; v = v->next) {
        if (v->page == page && v->state == REQUEST_ASKED) {
            v->state = REQUEST_RENDERED;
            MHD_resume_connection(v->connection);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (old != NULL) {
        MHD_destroy_response(old);
    }
}

static void render_pages(struct web *w)
{
    bool wanted[WEB_PAGES];
    bool any = false;
    (void)pthread_mutex_lock(&w->lock);
    for (int i = 0; i < WEB_PAGES; i++) {
        wanted[i] = w->wanted[i];
        w->wanted[i] = false;
        any = any || wanted[i];
    }
    (void)pthread_mutex_unlock(&w->lock);
    if (!any) {
        return;
    }
    w->options.view(w->options.context, 0, 0, &w->all);
    for (int i = 0; i < WEB_PAGES; i++) {
        if (wanted[i]) {
            publish(w, (enum web_page)i, render(w, (enum web_page)i));
        }
    }
}

/* ---- what is new for subscribers ---- */

static bool has_left(const struct subscriber *s)
{
    struct pollfd fd = {.fd = s->visit->fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0;
}

/* The last rendered events, and for whom: most subscribers have seen the same. */
struct events_memo {
    bool greeted;
    uint64_t version;
    uint64_t result;
    struct text *text; /* NULL: none */
};

/* What is new since `s` was written to last, or a comment when that is long ago; NULL: nothing. */
static struct text *render_events(struct web *w, const struct subscriber *s)
{
    const struct board_setting setting = setting_of(w);
    bool news = w->some.version != s->version || w->some.result != s->result || !s->greeted;
    struct text *text = NULL;
    FILE *out = news || now_seconds() - s->spoke >= COMMENT_SECONDS ? text_open(&text) : NULL;
    if (out == NULL) {
        return NULL;
    }
    bool good = news ? board_events(out, &w->some, &setting, !s->greeted, s->version)
                     : fputs(": nothing new\n\n", out) != EOF;
    return text_close(text, out, good);
}

static bool is_for(const struct events_memo *memo, const struct subscriber *s)
{
    return memo->text != NULL && memo->greeted == s->greeted && memo->version == s->version &&
           memo->result == s->result;
}

/* False: there is nothing to say. */
static bool write_events(struct web *w, struct subscriber *s, struct events_memo *memo)
{
    if (!is_for(memo, s)) {
        w->options.view(w->options.context, s->version, s->result, &w->some);
        text_release(memo->text);
        *memo = (struct events_memo){s->greeted, s->version, s->result, render_events(w, s)};
    }
    if (memo->text == NULL) {
        return false;
    }
    s->text = text_keep(memo->text);
    s->greeted = true;
    s->spoke = now_seconds();
    s->version = w->some.version;
    s->result = w->some.result;
    return true;
}

static void wake(struct web *w, struct subscriber *s)
{
    (void)pthread_mutex_lock(&w->lock);
    s->at = 0;
    s->idle = false;
    MHD_resume_connection(s->visit->connection);
    (void)pthread_mutex_unlock(&w->lock);
}

static size_t idle_subscribers(struct web *w, struct subscriber *idle[SUBSCRIBERS])
{
    size_t count = 0;
    (void)pthread_mutex_lock(&w->lock);
    for (struct visit *v = w->visits; v != NULL && count < SUBSCRIBERS; v = v->next) {
        if (v->subscriber != NULL && v->subscriber->idle) {
            idle[count++] = v->subscriber;
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return count;
}

void web_render(struct web *w)
{
    struct subscriber *idle[SUBSCRIBERS];
    struct events_memo memo = {.text = NULL};
    render_pages(w);
    size_t count = idle_subscribers(w, idle);
    for (size_t i = 0; i < count; i++) {
        idle[i]->gone = has_left(idle[i]);
        if (idle[i]->gone || write_events(w, idle[i], &memo)) {
            wake(w, idle[i]);
        }
    }
    text_release(memo.text);
}

/* ---- start and stop ---- */

static struct MHD_Daemon *start_daemon(struct web *w)
{
    return MHD_start_daemon(
        /* TURBO: the end of the connection is its owner's. */
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
            MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
        0, NULL, NULL, on_request, w, MHD_OPTION_NOTIFY_CONNECTION, on_connection, w,
        MHD_OPTION_CONNECTION_TIMEOUT, w->options.idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)REQUEST_MEMORY, MHD_OPTION_CONNECTION_LIMIT, (unsigned)INT32_MAX,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_SIZE,
        /* HTTP/1.1 without Host is answered too. */
        MHD_OPTION_STRICT_FOR_CLIENT, -1, MHD_OPTION_END);
}

struct web *web_new(const struct web_options *options)
{
    struct web *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->options = *options;
    w->started = time(NULL);
    (void)pthread_mutex_init(&w->lock, NULL);
    if (board_view_init(&w->all, BOARD_SHOWN, BOARD_RESULTS) &&
        board_view_init(&w->some, EVENT_DEVICES, EVENT_RESULTS)) {
        w->daemon = start_daemon(w);
    }
    if (w->daemon == NULL) {
        web_free(w);
        return NULL;
    }
    return w;
}

void web_stop(struct web *w)
{
    if (w == NULL || w->daemon == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->stopping = true;
    for (struct visit *v = w->visits; v != NULL; v = v->next) {
        bool idle = v->subscriber != NULL && v->subscriber->idle;
        if (v->state == REQUEST_ASKED || idle) {
            v->state = idle ? v->state : REQUEST_RENDERED;
            if (idle) {
                v->subscriber->idle = false;
            }
            MHD_resume_connection(v->connection);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    MHD_stop_daemon(w->daemon);
    w->daemon = NULL;
}

void web_free(struct web *w)
{
    if (w == NULL) {
        return;
    }
    web_stop(w);
    for (int i = 0; i < WEB_PAGES; i++) {
        if (w->pages[i] != NULL) {
            MHD_destroy_response(w->pages[i]);
        }
    }
    board_view_free(&w->all);
    board_view_free(&w->some);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}
