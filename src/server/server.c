/* SPDX-License-Identifier: MIT */
/* Starts and stops the parts: the workers, in which connections come in, get their image and end,
 * and libmicrohttpd, which has all requests that are not so plain. */
#include "server/server.h"

#include "base/clock.h"
#include "base/error.h"
#include "http/token.h"
#include "net/netlink_watcher.h"
#include "server/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What libmicrohttpd has for a request and the header of its answer: the longest head fits. */
#define REQUEST_MEMORY 65536
#define STACK_SIZE     131072
#define PROMISE_LIMIT  16384
/* Descriptors for everything that is not a connection: ELF files, images, threads. */
#define SPARE_DESCRIPTORS 128
/* Of one address, unless asked for otherwise: a workshop behind one router is an address too. */
#define ADDRESS_CONNECTIONS 4096
/* May wait at the door in any case. */
#define FEW_WAITING 16
/* With fewer places, one that has become free must not stay taken for a moment. */
#define MANY 1024
/* Between two lines about new connections that have to wait. */
#define FULL_SECONDS 60.0
/* A client may send so many seconds' worth of its rate at once. */
#define BURST_SECONDS 10

/* Lines about what went wrong: a flood of them must not fill a disk. The burst is 100 KB. */
static const struct rate log_rate = {.per_second = 5, .burst = 1000};

static void tell_left_out(const struct server *server, uint64_t count)
{
    char text[80];
    const struct server_event notice = {.kind = SERVER_NOTICE, .reason = text};
    if (count > 0) {
        (void)snprintf(text, sizeof text, "%ju lines like these left out", (uintmax_t)count);
        server->options.event(server->options.context, &notice);
    }
}

static bool may_flood(const struct server_event *event)
{
    return event->kind == SERVER_TURNED_AWAY ||
           (event->kind == SERVER_REQUEST && event->status >= MHD_HTTP_BAD_REQUEST);
}

void server_tell(struct server *server, const struct server_event *event)
{
    struct server_event told = *event;
    uint64_t left_out = 0;
    (void)pthread_mutex_lock(&server->lock);
    bool news = board_record(server->board, &told, now_seconds(), time(NULL));
    if (!told.looks && may_flood(event)) {
        told.quiet = !log_limit_pass(&server->log_limit, &log_rate, now_seconds(), &left_out);
        tell_left_out(server, left_out);
    }
    if (!told.looks) {
        server->options.event(server->options.context, &told);
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (news) {
        status_news(server->status);
    }
}

static void server_notice(struct server *server, const char *text)
{
    const struct server_event notice = {.kind = SERVER_NOTICE, .reason = text};
    server_tell(server, &notice);
}

void server_tell_exchange(struct exchange *x, enum server_event_kind kind, bool complete)
{
    struct server_event event = exchange_event(x, kind);
    event.complete = complete;
    server_tell(x->server, &event);
}

/* ---- connections ---- */

struct deliver *server_deliverer(struct server *server)
{
    struct worker *worker = worker_own();
    if (worker == NULL) {
        unsigned turn = atomic_fetch_add(&server->turn, 1);
        worker = server->workers[turn % server->worker_count];
    }
    return worker_deliver(worker);
}

unsigned server_deliveries(const struct server *server)
{
    unsigned count = 0;
    for (unsigned i = 0; i < server->worker_count; i++) {
        count += deliver_count(worker_deliver(server->workers[i]));
    }
    return count;
}

void server_look_at_deliveries(const struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        deliver_look_all(worker_deliver(server->workers[i]));
    }
}

static void on_busy(void *context)
{
    const struct server *server = context;
    status_busy(server->status);
}

static void on_admit(void *context, const struct arrival *arrival)
{
    struct server *server = context;
    const struct peer *peer = &arrival->peer;
    unsigned wait = server->rates != NULL ? rate_limit_take(server->rates, peer, now_seconds()) : 0;
    if (wait > 0) {
        refuse_for_now(server, arrival, wait);
        return;
    }
    (void)atomic_fetch_add(&server->answering, 1);
    if (respond_at_once(server, arrival)) {
        return;
    }
    worker_forget(worker_own(), arrival);
    if (arrival->head->unfinished && respond_unfinished(server, arrival)) {
        return;
    }
    if (MHD_add_connection(server->daemon, arrival->fd, arrival->address, arrival->address_size) !=
        MHD_YES) { /* closes it then */
        (void)atomic_fetch_sub(&server->answering, 1);
        conn_limits_leave(server->conn_limits, peer);
    }
}

static void on_closed(void *context, const struct peer *peer, const char *reason)
{
    char client[PEER_TEXT];
    peer_text(peer, client);
    const struct server_event event = {
        .kind = SERVER_TURNED_AWAY, .client = client, .client_port = peer->port, .reason = reason};
    server_tell(context, &event);
}

/* Comes again and again as long as it lasts. */
static void on_full(void *context, int error)
{
    struct server *server = context;
    char text[128];
    double now = now_seconds();
    (void)pthread_mutex_lock(&server->lock);
    bool due = server->full_told <= 0 || now - server->full_told >= FULL_SECONDS;
    server->full_told = due ? now : server->full_told;
    (void)pthread_mutex_unlock(&server->lock);
    if (due) {
        (void)snprintf(text, sizeof text, "new connections wait: %s", strerror(error));
        server_notice(server, text);
    }
}

static void on_left(void *context, const struct peer *peer)
{
    struct server *server = context;
    conn_limits_leave(server->conn_limits, peer);
}

static struct peer peer_of_connection(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL && info->client_addr != NULL ? peer_of(info->client_addr)
                                                     : (struct peer){0};
}

/* NULL when there is no memory: then no request is answered. */
static struct guest *guest_new(struct MHD_Connection *connection)
{
    struct guest *guest = calloc(1, sizeof *guest);
    if (guest != NULL) {
        guest->peer = peer_of_connection(connection);
    }
    return guest;
}

/* libmicrohttpd is about to close its descriptor. */
static void see_off(struct server *server, struct MHD_Connection *connection,
                    const struct guest *guest)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct deliver_client client = {
        .fd = fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0), .shared = true, .peer = guest->peer};
    if (client.fd < 0 || !deliver_finish(server_deliverer(server), &client)) {
        if (client.fd >= 0) {
            (void)close(client.fd);
        }
        conn_limits_leave(server->conn_limits, &guest->peer);
    }
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    struct guest *guest = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED && (guest == NULL || !guest->taken)) {
        (void)atomic_fetch_sub(&server->answering, 1);
    }
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = guest_new(connection);
    } else if (guest != NULL) {
        if (!guest->taken) {
            see_off(server, connection, guest);
        }
        *socket_context = NULL;
        free(guest);
    } else {
        const struct peer peer = peer_of_connection(connection);
        conn_limits_leave(server->conn_limits, &peer);
    }
}

/* ---- start ---- */

static enum espimage_code start_daemon(struct server *server, struct espimage_error *err)
{
    server->daemon = MHD_start_daemon(
        /* TURBO: libmicrohttpd leaves the end of the connection to deliver.c. */
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
            MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
        0, NULL, NULL, respond_to_request, server, MHD_OPTION_URI_LOG_CALLBACK, respond_begin,
        server, MHD_OPTION_NOTIFY_COMPLETED, respond_end, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_CONNECTION_TIMEOUT, server->options.idle_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)INT32_MAX, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_SIZE,
        /* HTTP/1.1 without Host is answered too. */
        MHD_OPTION_STRICT_FOR_CLIENT, -1, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot start the HTTP server: %s",
                           strerror(errno));
    }
    return ESPIMAGE_OK;
}

static enum espimage_code no_thread(struct espimage_error *err)
{
    return error_found(err, ESPIMAGE_ERR_MEMORY, "cannot start the server's threads");
}

static void settle_limits(struct server *server)
{
    const struct server_options *o = &server->options;
    server->limits = system_limits_raise();
    unsigned most = server->limits.descriptors;
    most = most > 2 * SPARE_DESCRIPTORS ? most - SPARE_DESCRIPTORS : most / 2;
    server->connections = o->connections != 0 && o->connections < most ? o->connections : most;
    unsigned half = server->connections > 1 ? server->connections / 2 : 1;
    unsigned usual = half < ADDRESS_CONNECTIONS ? half : ADDRESS_CONNECTIONS;
    unsigned wanted = o->address_connections != 0 ? o->address_connections : usual;
    server->address_connections = wanted < server->connections ? wanted : server->connections;
}

/* Without a whole request: a quarter, some in any case, and never so many that others find no
 * place. */
static unsigned may_wait(const struct server *server)
{
    unsigned most = server->connections;
    unsigned some = FEW_WAITING < most / 2 ? FEW_WAITING : most / 2;
    return most / 4 > some ? most / 4 : some;
}

static enum espimage_code make_workers(struct server *server, struct espimage_error *err)
{
    unsigned count = server->limits.processors;
    const struct door_options door = {.listening = server->listener.fd,
                                      .deferral = server->deferral,
                                      .conn_limits = server->conn_limits,
                                      .waiting = may_wait(server) / count + 1,
                                      .head_seconds = server->options.head_seconds,
                                      .head_size = server->options.head_size,
                                      .allowed = server->allowed,
                                      .allowed_count = server->options.allow_count,
                                      .admit = on_admit,
                                      .refuse = refuse_request,
                                      .closed = on_closed,
                                      .full = on_full,
                                      .context = server};
    const struct deliver_options deliver = {.null = server->null,
                                            .unsent = server->limits.unsent / count,
                                            .prompt = server->address_connections < MANY,
                                            .idle_seconds = server->options.idle_seconds,
                                            .progress = promising_progress,
                                            .end = promising_end,
                                            .left = on_left,
                                            .busy = on_busy,
                                            .context = server};
    server->workers = calloc(count, sizeof(struct worker *));
    if (server->workers == NULL) {
        return error_no_memory(err);
    }
    while (server->worker_count < count) {
        struct worker *worker = worker_new(&door, &deliver);
        if (worker == NULL) {
            return no_thread(err);
        }
        server->workers[server->worker_count++] = worker;
    }
    return ESPIMAGE_OK;
}

static enum espimage_code start_workers(const struct server *server, struct espimage_error *err)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (!worker_start(server->workers[i])) {
            return no_thread(err);
        }
    }
    return ESPIMAGE_OK;
}

static bool make_parts(struct server *server)
{
    const struct server_options *o = &server->options;
    const struct rate rate = {o->rate, (double)o->rate * BURST_SECONDS};
    server->deferral = deferral_new(server->listener.fd);
    server->conn_limits = conn_limits_new(server->connections, server->address_connections);
    server->rates = o->rate > 0 ? rate_limit_new(&rate) : NULL;
    server->promises = promises_new(o->promise_seconds, PROMISE_LIMIT);
    server->board = board_new();
    return server->deferral != NULL && server->conn_limits != NULL && server->promises != NULL &&
           server->board != NULL && (o->rate == 0 || server->rates != NULL);
}

/* Threads come last, each after what it uses, and those to whom requests come behind all others. */
static enum espimage_code start_parts(struct server *server, struct espimage_error *err)
{
    if (!make_parts(server)) {
        return error_no_memory(err);
    }
    enum espimage_code code = make_workers(server, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    server->converter = converter_new(server->options.store, respond_converted);
    server->status = status_new(server);
    if (server->converter == NULL || server->status == NULL) {
        return no_thread(err);
    }
    code = start_daemon(server, err);
    return code == ESPIMAGE_OK ? start_workers(server, err) : code;
}

static enum espimage_code parse_allowed(struct server *server, struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    size_t count = server->options.allow_count;
    server->allowed = calloc(count + 1, sizeof *server->allowed);
    if (server->allowed == NULL) {
        return error_no_memory(err);
    }
    for (size_t i = 0; i < count && code == ESPIMAGE_OK; i++) {
        code = cidr_parse(server->options.allow[i], &server->allowed[i], err);
    }
    return code;
}

/* Before there are threads, for only those that are started later are confined too. */
static void confine(struct server *server)
{
    const char *files[2];
    size_t count = 0;
    for (int slot = 1; slot <= 2; slot++) {
        files[count] = store_path(server->options.store, slot);
        count += files[count] != NULL ? 1 : 0;
    }
    tzset(); /* reads a file */
    if (server->options.no_sandbox) {
        (void)snprintf(server->protection, sizeof server->protection, "none (--no-sandbox)");
    } else {
        sandbox_enter(files, count, server->listener.interface[0] != '\0', server->protection);
    }
}

static enum espimage_code check_options(struct server *server, struct espimage_error *err)
{
    const char *token = server->options.path_token;
    enum espimage_code code = token != NULL ? token_check(token, err) : ESPIMAGE_OK;
    return code == ESPIMAGE_OK ? parse_allowed(server, err) : code;
}

/* ---- stop ---- */

static void close_doors(const struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_close_door(server->workers[i]);
    }
}

static void close_listener(struct server *server)
{
    if (!server->closed && server->listener.fd >= 0 && !server->listener.inherited) {
        (void)shutdown(server->listener.fd, SHUT_RDWR); /* refuses at once those who come now */
    }
    server->closed = true;
    close_doors(server);
}

static void stop_parts(struct server *server)
{
    close_doors(server);
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)pthread_mutex_unlock(&server->lock);
    converter_free(server->converter);
    status_close(server->status);
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon);
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_free(server->workers[i]);
    }
    deferral_free(server->deferral);
    conn_limits_free(server->conn_limits);
    status_free(server->status);
    board_free(server->board);
    promises_free(server->promises);
    if (server->listener.fd >= 0) {
        (void)close(server->listener.fd);
    }
    if (server->null >= 0) {
        (void)close(server->null);
    }
    if (server->news >= 0) {
        (void)close(server->news);
    }
    tell_left_out(server, server->log_limit.left_out);
    (void)pthread_mutex_destroy(&server->lock);
    rate_limit_free(server->rates);
    free(server->allowed);
    free(server->workers);
    free(server);
}

static enum espimage_code server_start(const struct server_options *options, struct server **out,
                                       struct espimage_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return error_no_memory(err);
    }
    server->options = *options;
    server->listener.fd = -1;
    server->null = -1;
    server->news = -1;
    (void)pthread_mutex_init(&server->lock, NULL);
    enum espimage_code code = check_options(server, err);
    if (code == ESPIMAGE_OK) {
        code = listener_open(options->address, options->port, &server->listener, err);
    }
    if (code == ESPIMAGE_OK) {
        settle_limits(server);
        server->null = open("/dev/null", O_WRONLY | O_CLOEXEC); /* later there is no right to */
        server->news = server->listener.watched ? netlink_watcher_open() : -1;
        confine(server);
        code = start_parts(server, err);
    }
    if (code != ESPIMAGE_OK) {
        stop_parts(server);
        return code;
    }
    *out = server;
    return ESPIMAGE_OK;
}

static struct server_facts server_facts(const struct server *server)
{
    return (struct server_facts){.address = server->listener.address,
                                 .port = server->listener.port,
                                 .inherited = server->listener.inherited,
                                 .exposed = server->listener.exposed,
                                 .connections = server->connections,
                                 .address_connections = server->address_connections,
                                 .protection = server->protection};
}

static int server_news(const struct server *server)
{
    return server->news;
}

static bool server_look(struct server *server)
{
    char text[160];
    bool news = netlink_watcher_drain(server->news);
    if (listener_poll(&server->listener, text, sizeof text)) {
        server_notice(server, text);
    }
    return server->listener.watched && (news || server->news < 0);
}

static unsigned server_close(struct server *server)
{
    close_listener(server);
    /* Nobody waits for those who only look. */
    unsigned listeners = status_listeners(server->status);
    unsigned answering = atomic_load(&server->answering);
    return answering > listeners ? answering - listeners : 0;
}

static void server_stop(struct server *server, unsigned seconds)
{
    const struct timespec tick = {0, 10000000};
    close_listener(server);
    for (unsigned i = 0; i < seconds * 100 && server_deliveries(server) > 0; i++) {
        (void)nanosleep(&tick, NULL);
    }
    stop_parts(server);
}

__attribute__((visibility("default"))) extern const struct server_module espimagetool_server;
const struct server_module espimagetool_server = {
    server_start, server_facts, server_notice, server_news, server_look, server_close, server_stop};
