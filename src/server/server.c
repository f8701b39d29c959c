/* SPDX-License-Identifier: MIT */
/* libmicrohttpd's callbacks: they translate between it and ota/decide.c. */
#include "server/server.h"

#include "base/error.h"
#include "base/text.h"
#include "ota/decide.h"
#include "ota/range.h"
#include "ota/request.h"
#include "server/exchange.h"
#include "server/follow.h"
#include "server/listen.h"
#include "store/promises.h"

#include <errno.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request with many headers fits, and so does its answer. */
#define REQUEST_MEMORY 32768
/* How long a request waits for an ELF that is being written. */
#define WAIT_SECONDS  3.0
#define PROMISE_LIMIT 4096

struct server {
    struct MHD_Daemon *daemon;
    struct server_options options;
    int fd;
    uint16_t port;
    struct follow *follow;
    struct converter *converter;
    pthread_mutex_t lock; /* guards promises and stopping, and orders events */
    struct promises *promises;
    bool stopping;
};

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1000000000.0;
}

static void tell(struct server *server, const struct server_event *event)
{
    (void)pthread_mutex_lock(&server->lock);
    server->options.event(server->options.context, event);
    (void)pthread_mutex_unlock(&server->lock);
}

/* ---- promises ---- */

static void promise(const struct exchange *x)
{
    (void)pthread_mutex_lock(&x->server->lock);
    (void)promises_make(x->server->promises, x->client, x->request.slot, x->snapshot,
                        now_seconds());
    (void)pthread_mutex_unlock(&x->server->lock);
}

static void promise_kept(const struct exchange *x)
{
    (void)pthread_mutex_lock(&x->server->lock);
    promises_drop(x->server->promises, x->promise);
    (void)pthread_mutex_unlock(&x->server->lock);
}

static const struct snapshot *find_promise(struct exchange *x, bool *used)
{
    (void)pthread_mutex_lock(&x->server->lock);
    const struct snapshot *found = promises_find(x->server->promises, x->client, x->request.slot,
                                                 now_seconds(), &x->promise, used);
    (void)pthread_mutex_unlock(&x->server->lock);
    return found;
}

/* What was promised to the client. Unless HEAD did so just before, an earlier GET of its may have
 * ended a moment ago, and with it a promise may have been kept or made. */
static const struct snapshot *promised(struct exchange *x)
{
    bool used = false;
    const struct snapshot *found = find_promise(x, &used);
    if (found == NULL || used) {
        snapshot_release(found);
        follow_look(x->server->follow);
        found = find_promise(x, &used);
    }
    x->promise = found != NULL ? x->promise : 0;
    return found;
}

/* A client that knows no HEAD takes the length from a first GET, leaves and asks again. What HEAD
 * has announced since counts for more. */
static void promise_again(struct exchange *x)
{
    bool used = false;
    const struct snapshot *newer = x->promised ? NULL : find_promise(x, &used);
    if (newer == NULL && !x->promised) {
        promise(x);
    }
    snapshot_release(newer);
}

/* ---- delivery ---- */

static void note_delivered(struct exchange *x, uint64_t delivered)
{
    x->sent = delivered > x->header_size ? delivered - x->header_size : 0;
}

static void on_progress(void *expectation, uint64_t delivered)
{
    struct exchange *x = expectation;
    note_delivered(x, delivered);
    const struct server_event event = exchange_event(x, SERVER_PROGRESS);
    tell(x->server, &event);
}

static void on_end(void *expectation, uint64_t delivered, enum follow_end how)
{
    struct exchange *x = expectation;
    note_delivered(x, delivered);
    bool whole = how == FOLLOW_DELIVERED && x->size == x->snapshot->image.size;
    if (how != FOLLOW_DELIVERED) {
        printable(x->reason, sizeof x->reason,
                  how == FOLLOW_GONE ? "the client went away" : "the client stopped reading");
    }
    if (whole) {
        promise_kept(x);
    } else if (how != FOLLOW_DELIVERED && x->status == MHD_HTTP_OK) {
        promise_again(x);
    }
    struct server_event event = exchange_event(x, SERVER_REQUEST);
    event.complete = whole;
    tell(x->server, &event);
    exchange_release(x);
}

static struct followed *followed_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info != NULL ? follow_add(server->follow, info->connect_fd) : NULL;
    } else if (*socket_context != NULL) {
        follow_closed(server->follow, *socket_context);
        *socket_context = NULL;
    }
}

/* Full segments only, counted from the first byte of the header: a partial one between two writes
 * would shift every boundary behind it. libmicrohttpd pushes after the last byte. */
static void cork(const struct followed *followed)
{
    const int on = 1;
    (void)setsockopt(followed_fd(followed), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

/* 0 when it is not known. */
static uint16_t connection_mss(const struct followed *followed)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (followed == NULL ||
        getsockopt(followed_fd(followed), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        info.tcpi_snd_mss > UINT16_MAX) {
        return 0;
    }
    return (uint16_t)info.tcpi_snd_mss;
}

/* ---- answers ---- */

/* Fields of an answer and the length of its header as libmicrohttpd writes it. */
struct header {
    struct MHD_Response *response;
    size_t size;
};

static void add_field(struct header *h, const char *name, const char *value)
{
    (void)MHD_add_response_header(h->response, name, value);
    h->size += strlen(name) + strlen(value) + 4; /* ": " and CRLF */
}

static void header_begin(struct header *h, size_t body_size)
{
    char length[24];
    int digits = snprintf(length, sizeof length, "%zu", body_size);
    h->size = strlen("HTTP/1.1 200 OK\r\n") + strlen("Content-Length: \r\n") + (size_t)digits + 2;
    h->size += strlen("Connection: close\r\n");
    add_field(h, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
}

static void etag(const struct snapshot *snapshot, char text[SHA256_TEXT + 2])
{
    (void)snprintf(text, SHA256_TEXT + 2, "\"%.32s\"", snapshot->sha256);
}

static void add_validators(struct header *h, const struct exchange *x)
{
    char tag[SHA256_TEXT + 2];
    etag(x->snapshot, tag);
    add_field(h, MHD_HTTP_HEADER_ETAG, tag);
    add_field(h, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
}

static const char *hazard_text(enum wire_hazard_kind kind)
{
    switch (kind) {
    case WIRE_NO_HAZARD: return "";
    case WIRE_SHORT_FIRST: return "too little of the image is in the first TCP segment";
    case WIRE_SHORT_LAST: return "the last TCP segment is shorter than 4 bytes";
    case WIRE_DROPPED: break;
    }
    return "a TCP segment begins where devices take it for a header";
}

static void note_hazard(struct exchange *x, const struct layout *layout)
{
    if (layout->hazard.kind != WIRE_NO_HAZARD) {
        note_add(&x->notes, "no header length avoids it: %s (MSS %u, offset %zu)",
                 hazard_text(layout->hazard.kind), layout->hazard.mss, layout->hazard.offset);
    }
}

/* The whole image, laid out for the connection. */
static unsigned whole_image(struct exchange *x, struct header *h)
{
    struct layout layout;
    header_begin(h, x->size);
    add_validators(h, x);
    layout_plan(x->snapshot, h->size, connection_mss(followed_of(x->connection)),
                x->server->options.extra_mss, &layout);
    add_field(h, LAYOUT_FILLER_FIELD, layout.filler);
    note_hazard(x, &layout);
    return MHD_HTTP_OK;
}

static unsigned part_of_image(struct exchange *x, struct header *h)
{
    char text[96];
    header_begin(h, x->size);
    add_validators(h, x);
    (void)snprintf(text, sizeof text, "bytes %zu-%zu/%zu", x->first, x->first + x->size - 1,
                   x->snapshot->image.size);
    add_field(h, MHD_HTTP_HEADER_CONTENT_RANGE, text);
    h->size += strlen("Partial Content") - strlen("OK");
    return MHD_HTTP_PARTIAL_CONTENT;
}

static enum MHD_Result queue(struct exchange *x, unsigned status, struct MHD_Response *response)
{
    enum MHD_Result queued = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* Sent from the snapshot itself, which the exchange holds; no connection has a copy. */
static enum MHD_Result answer_with_image(struct exchange *x)
{
    struct header h = {0};
    struct followed *followed = followed_of(x->connection);
    const char *range =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE);
    x->size = x->snapshot->image.size;
    bool part = range_parse(range, x->size, &x->first, &x->size) == RANGE_ONE;
    h.response = MHD_create_response_from_buffer(x->size, x->snapshot->image.data + x->first,
                                                 MHD_RESPMEM_PERSISTENT);
    if (h.response == NULL) {
        return MHD_NO;
    }
    unsigned status = part ? part_of_image(x, &h) : whole_image(x, &h);
    x->status = status;
    x->header_size = h.size;
    if (x->request.method == OTA_HEAD) {
        /* Closes when the client wants it to, as every device does: then the header is GET's. */
        promise(x);
        return queue(x, status, h.response);
    }
    (void)MHD_add_response_header(h.response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (followed != NULL) {
        x->followed = true;
        cork(followed);
        follow_expect(x->server->follow, followed, h.size + x->size, exchange_keep(x));
    }
    return queue(x, status, h.response);
}

/* Nothing but an image ever has a body. */
static enum MHD_Result answer_without(struct exchange *x, unsigned status, const char *reason,
                                      const char *field, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    x->status = status;
    if (response == NULL) {
        return MHD_NO;
    }
    if (reason != NULL) {
        if (x->reason[0] == '\0') {
            printable(x->reason, sizeof x->reason, reason);
        }
        (void)MHD_add_response_header(response, "X-Espimage-Reason", reason);
    }
    if (field != NULL) {
        (void)MHD_add_response_header(response, field, value);
    }
    return queue(x, status, response);
}

/* What clients other than devices ask: is it still the same, a part behind the end. True when that
 * was the answer. */
static bool answer_condition(struct exchange *x, enum MHD_Result *result)
{
    char tag[SHA256_TEXT + 2];
    char text[48];
    size_t first = 0;
    size_t count = 0;
    const char *match =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *range =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE);
    etag(x->snapshot, tag);
    if (match != NULL && (strcmp(match, "*") == 0 || strstr(match, tag) != NULL)) {
        *result = answer_without(x, MHD_HTTP_NOT_MODIFIED, NULL, MHD_HTTP_HEADER_ETAG, tag);
        return true;
    }
    if (range_parse(range, x->snapshot->image.size, &first, &count) == RANGE_UNSATISFIABLE) {
        (void)snprintf(text, sizeof text, "bytes */%zu", x->snapshot->image.size);
        *result = answer_without(x, MHD_HTTP_RANGE_NOT_SATISFIABLE, "behind the end of the image",
                                 MHD_HTTP_HEADER_CONTENT_RANGE, text);
        return true;
    }
    return false;
}

static enum MHD_Result answer(struct exchange *x, enum ota_supply supply)
{
    struct ota_answer decided = ota_decide(&x->request, supply);
    enum MHD_Result result = MHD_NO;
    if (decided.image && x->snapshot != NULL) {
        return answer_condition(x, &result) ? result : answer_with_image(x);
    }
    char missing[160];
    if (x->request.slot != 0 && decided.status == MHD_HTTP_NOT_FOUND) {
        store_missing(x->server->options.store, x->request.slot, missing, sizeof missing);
        decided.reason = missing;
    }
    bool method = decided.status == MHD_HTTP_METHOD_NOT_ALLOWED;
    bool wait = decided.status == MHD_HTTP_SERVICE_UNAVAILABLE;
    return answer_without(x, decided.status, decided.reason,
                          method ? MHD_HTTP_HEADER_ALLOW
                                 : (wait ? MHD_HTTP_HEADER_RETRY_AFTER : NULL),
                          method ? "GET, HEAD" : "2");
}

/* ---- requests ---- */

static enum MHD_Result look_at_parameter(void *context, enum MHD_ValueKind kind, const char *key,
                                         const char *value)
{
    int *slot = context;
    (void)kind;
    (void)key;
    if (*slot == 0 && value != NULL) {
        *slot = ota_slot_of_name(value);
    }
    return *slot == 0 ? MHD_YES : MHD_NO;
}

static int requested_slot(struct MHD_Connection *connection, const char *path)
{
    int slot = ota_slot_of_name(path);
    if (slot == 0) {
        (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, look_at_parameter,
                                        &slot);
    }
    return slot;
}

static bool ask_converter(struct exchange *x)
{
    struct server *server = x->server;
    (void)pthread_mutex_lock(&server->lock);
    bool asked = !server->stopping;
    if (asked) {
        x->asked = true;
        MHD_suspend_connection(x->connection);
        converter_ask(server->converter, &x->wait, x->request.slot, WAIT_SECONDS);
    }
    (void)pthread_mutex_unlock(&server->lock);
    return asked;
}

/* The converter has the outcome: answer_converted() is next. */
static void on_converted(struct conversion_wait *wait)
{
    struct exchange *x = wait->context;
    MHD_resume_connection(x->connection);
}

static enum MHD_Result answer_converted(struct exchange *x)
{
    x->notes = x->wait.notes;
    if (x->wait.code != ESPIMAGE_OK) {
        (void)espimage_error_line(&x->wait.err, x->reason, sizeof x->reason);
        return answer(x, OTA_NOT_READY);
    }
    x->snapshot = x->wait.snapshot;
    x->wait.snapshot = NULL;
    return answer(x, OTA_READY);
}

static enum MHD_Result respond(struct exchange *x, const char *path)
{
    struct store *store = x->server->options.store;
    if (x->asked) {
        return answer_converted(x);
    }
    x->request.method = ota_method_of(x->method);
    x->request.slot = requested_slot(x->connection, path);
    if (x->request.method == OTA_OTHER || x->request.slot == 0 ||
        store_path(store, x->request.slot) == NULL) {
        return answer(x, OTA_NO_ELF);
    }
    if (x->request.method == OTA_GET && (x->snapshot = promised(x)) != NULL) {
        x->promised = true;
        return answer(x, OTA_READY);
    }
    x->snapshot = store_peek(store, x->request.slot);
    if (x->snapshot != NULL) {
        return answer(x, OTA_READY);
    }
    return ask_converter(x) ? MHD_YES : answer(x, OTA_NOT_READY);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_context)
{
    struct exchange *x = *request_context;
    (void)context;
    (void)connection;
    (void)version;
    (void)upload;
    if (x == NULL) {
        return MHD_NO;
    }
    if (!x->begun) {
        x->begun = true;
        printable(x->method, sizeof x->method, method);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* a body is read and thrown away */
        return MHD_YES;
    }
    return respond(x, path);
}

/* libmicrohttpd's first word about a request; what is returned becomes the request's context. */
static void *begin_exchange(void *context, const char *uri, struct MHD_Connection *connection)
{
    return exchange_new(context, connection, uri);
}

static void end_exchange(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *request_context;
    (void)context;
    (void)connection;
    if (x == NULL) {
        return;
    }
    if (x->begun && !x->followed) {
        if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->reason[0] == '\0') {
            printable(x->reason, sizeof x->reason, "the client went away");
        }
        const struct server_event event = exchange_event(x, SERVER_REQUEST);
        tell(x->server, &event);
    }
    exchange_release(x);
    *request_context = NULL;
}

/* ---- start and stop ---- */

static void free_server(struct server *server)
{
    follow_free(server->follow);
    promises_free(server->promises);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

static enum espimage_code start_parts(struct server *server, struct espimage_error *err)
{
    const struct follow_options options = {server->options.idle_seconds, on_progress, on_end};
    server->promises = promises_new(server->options.promise_seconds, PROMISE_LIMIT);
    server->follow = follow_new(&options);
    server->converter = converter_new(server->options.store, on_converted);
    if (server->promises == NULL || server->follow == NULL || server->converter == NULL) {
        return error_found(err, ESPIMAGE_ERR_MEMORY, "cannot start the server's threads");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code start_daemon(struct server *server, struct espimage_error *err)
{
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC |
                                          MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
                                      0, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET,
                                      server->fd, MHD_OPTION_URI_LOG_CALLBACK, begin_exchange,
                                      server, MHD_OPTION_NOTIFY_COMPLETED, end_exchange, server,
                                      MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                                      MHD_OPTION_CONNECTION_TIMEOUT, server->options.idle_seconds,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
                                      /* HTTP/1.1 without Host is answered too. */
                                      MHD_OPTION_STRICT_FOR_CLIENT, -1, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot start the HTTP server: %s",
                           strerror(errno));
    }
    return ESPIMAGE_OK;
}

static enum espimage_code server_start(const struct server_options *options, struct server **out,
                                       struct espimage_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return error_no_memory(err);
    }
    server->options = *options;
    server->port = options->port;
    server->fd = -1;
    (void)pthread_mutex_init(&server->lock, NULL);
    enum espimage_code code = listen_on(options->address, &server->port, &server->fd, err);
    if (code == ESPIMAGE_OK) {
        code = start_parts(server, err);
    }
    if (code == ESPIMAGE_OK) {
        code = start_daemon(server, err);
    }
    if (code != ESPIMAGE_OK) {
        converter_free(server->converter);
        if (server->fd >= 0) {
            (void)close(server->fd);
        }
        free_server(server);
        return code;
    }
    *out = server;
    return ESPIMAGE_OK;
}

static uint16_t server_port(const struct server *server)
{
    return server->port;
}

static void server_stop(struct server *server, unsigned seconds)
{
    const struct timespec tick = {0, 10000000};
    MHD_socket listening = MHD_quiesce_daemon(server->daemon);
    if (listening != MHD_INVALID_SOCKET) {
        (void)shutdown(listening, SHUT_RDWR); /* refuses at once those who come now */
    }
    for (unsigned i = 0; i < seconds * 100 && follow_count(server->follow) > 0; i++) {
        (void)nanosleep(&tick, NULL);
    }
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)pthread_mutex_unlock(&server->lock);
    converter_free(server->converter);
    MHD_stop_daemon(server->daemon);
    if (listening != MHD_INVALID_SOCKET) {
        (void)close(listening); /* not before its thread has ended */
    }
    free_server(server);
}

__attribute__((visibility("default"))) extern const struct server_module espimagetool_server;
const struct server_module espimagetool_server = {server_start, server_port, server_stop};
