/* SPDX-License-Identifier: MIT */
/* Starts and stops the parts, and joins them by callbacks. Which threads there are, and who may
 * take which lock: README.md. */
#include "server/server.h"

#include "base/clock.h"
#include "base/error.h"
#include "http/request_head.h"
#include "http/token.h"
#include "net/listener.h"
#include "net/netlink_watcher.h"
#include "net/system_limits.h"
#include "net/worker.h"
#include "sandbox/sandbox.h"
#include "server/observer.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Descriptors for everything that is not a connection: ELF files, images, threads, duplicates for
 * libmicrohttpd. */
#define SPARE_DESCRIPTORS 256
/* Of one address, unless asked for otherwise: a workshop behind one router is an address too. */
#define ADDRESS_CONNECTIONS 4096
/* Connections without a complete request may be so many in any case. */
#define FEW_PENDING 16
/* With fewer for an address, a place that has become free must not stay taken for a moment. */
#define MANY_CONNECTIONS 1024
/* Between two lines about new connections that have to wait. */
#define EXHAUSTED_SECONDS 60.0
/* A client may send so many seconds' worth of its rate at once. */
#define BURST_SECONDS 10

static_assert(SERVER_HEAD_LONGEST == HEAD_LONGEST, "one limit");

struct server {
    struct server_options options;
    struct listener listener;
    int netlink;          /* news of interfaces, when the listener is watched; or -1 */
    struct cidr *allowed; /* owned */
    unsigned connections;
    unsigned address_connections;
    struct system_limits limits;
    struct host_names hosts;
    char protection[SANDBOX_TEXT];
    bool draining;
    struct rate_limit *rate_limit; /* NULL: none */
    struct conn_limits *conn_limits;
    struct observer *observer;
    struct journal *journal;
    struct images *images;
    struct converter *converter;
    struct responder *responder;
    struct web *web;
    struct worker **workers; /* owned; one a processor */
    struct conn_set **sets;  /* theirs */
    unsigned worker_count;
    atomic_llong exhausted_at; /* when it was last reported, milliseconds; 0: never */
};

static void on_exhausted(void *context, int error)
{
    struct server *server = context;
    char text[128];
    long long now = (long long)(now_seconds() * 1000);
    long long last = atomic_load(&server->exhausted_at);
    bool due = last == 0 || (double)(now - last) >= EXHAUSTED_SECONDS * 1000;
    if (due && atomic_compare_exchange_strong(&server->exhausted_at, &last, now)) {
        (void)snprintf(text, sizeof text, "new connections wait: %s", strerror(error));
        journal_notice(server->journal, text);
    }
}

static void on_view(void *context, uint64_t version, uint64_t result, struct board_view *view)
{
    const struct server *server = context;
    journal_view(server->journal, version, result, view);
}

static const struct espimage_flash_map *on_map(void *context)
{
    const struct server *server = context;
    return store_map(server->options.store, NULL);
}

static void on_wanted(void *context)
{
    const struct server *server = context;
    observer_on_wanted(server->observer);
}

/* ---- start ---- */

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

/* Without a complete request: a quarter, some in any case, and never so many that others find no
 * place. */
static unsigned most_pending(const struct server *server)
{
    unsigned most = server->connections;
    unsigned some = FEW_PENDING < most / 2 ? FEW_PENDING : most / 2;
    return most / 4 > some ? most / 4 : some;
}

static enum espimage_code make_workers(struct server *server, struct espimage_error *err)
{
    unsigned count = server->limits.processors;
    const struct worker_options options = {
        .acceptor = {.listening = server->listener.fd,
                     .pending = most_pending(server) / count + 1,
                     .allowed = server->allowed,
                     .allowed_count = server->options.allow_count,
                     .request_seconds = server->options.head_seconds,
                     .on_input = respond_to_input,
                     .on_exhausted = on_exhausted,
                     .input_context = server->responder,
                     .context = server},
        .limits = server->conn_limits,
        .input_size = HEAD_LONGEST,
        .on_reject = respond_to_reject,
        .on_close = respond_to_close,
        .context = server->responder};
    server->workers = calloc(count, sizeof(struct worker *));
    server->sets = calloc(count, sizeof(struct conn_set *));
    if (server->workers == NULL || server->sets == NULL) {
        return error_no_memory(err);
    }
    while (server->worker_count < count) {
        struct worker *worker = worker_new(&options);
        if (worker == NULL) {
            return no_thread(err);
        }
        server->sets[server->worker_count] = worker_set(worker);
        server->workers[server->worker_count++] = worker;
    }
    return ESPIMAGE_OK;
}

static struct responder *make_responder(struct server *server)
{
    const struct server_options *o = &server->options;
    const struct responder_options options = {
        .store = o->store,
        .images = server->images,
        .converter = server->converter,
        .journal = server->journal,
        .rate_limit = server->rate_limit,
        .path_token = o->path_token,
        .hosts = &server->hosts,
        .head_size = o->head_size,
        .idle_seconds = o->idle_seconds,
        .prompt = server->address_connections < MANY_CONNECTIONS,
        .extra_mss = o->extra_mss,
        .unsent = server->limits.unsent / server->limits.processors,
        .on_busy = observer_on_busy,
        .context = server->observer};
    return responder_new(&options);
}

static bool make_parts(struct server *server)
{
    const struct server_options *o = &server->options;
    const struct rate rate = {o->rate, (double)o->rate * BURST_SECONDS};
    server->observer = observer_new();
    const struct journal_options journal = {.on_event = o->event,
                                            .context = o->context,
                                            .on_news = observer_on_news,
                                            .news_context = server->observer};
    server->journal = server->observer != NULL ? journal_new(&journal) : NULL;
    server->conn_limits = conn_limits_new(server->connections, server->address_connections);
    server->rate_limit = o->rate > 0 ? rate_limit_new(&rate) : NULL;
    server->images = images_new(o->store, o->promise_seconds);
    return server->journal != NULL && server->conn_limits != NULL && server->images != NULL &&
           (o->rate == 0 || server->rate_limit != NULL);
}

/* Threads come last, each after what it uses; those that accept connections behind all others. */
static enum espimage_code start_threads(struct server *server, struct espimage_error *err)
{
    const struct server_options *o = &server->options;
    const struct web_options web = {.idle_seconds = o->idle_seconds,
                                    .map = on_map,
                                    .on_wanted = on_wanted,
                                    .view = on_view,
                                    .context = server,
                                    .on_return = respond_to_return};
    server->converter = converter_new(o->store, respond_to_conversion);
    server->web = web_new(&web);
    server->responder = server->converter != NULL ? make_responder(server) : NULL;
    if (server->web == NULL || server->responder == NULL) {
        return no_thread(err);
    }
    enum espimage_code code = make_workers(server, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    responder_attach(server->responder, server->web, server->sets, server->worker_count);
    const struct observer_options observer = {.store = o->store,
                                              .journal = server->journal,
                                              .responder = server->responder,
                                              .web = server->web,
                                              .progress = o->progress};
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (!worker_start(server->workers[i])) {
            return no_thread(err);
        }
    }
    return observer_start(server->observer, &observer) ? ESPIMAGE_OK : no_thread(err);
}

static enum espimage_code add_hosts(struct server *server, struct espimage_error *err)
{
    host_names_add_own(&server->hosts);
    for (size_t i = 0; i < server->options.host_count; i++) {
        if (!host_names_add(&server->hosts, server->options.hosts[i])) {
            error_found(err, ESPIMAGE_ERR_USAGE, "--host: more than %d names", SERVER_HOSTS);
            return err->code;
        }
    }
    return ESPIMAGE_OK;
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
    code = code == ESPIMAGE_OK ? parse_allowed(server, err) : code;
    return code == ESPIMAGE_OK ? add_hosts(server, err) : code;
}

/* ---- stop ---- */

static void server_begin_drain(struct server *server)
{
    if (!server->draining && server->listener.fd >= 0 && !server->listener.inherited) {
        (void)shutdown(server->listener.fd, SHUT_RDWR); /* refuses at once those who come now */
    }
    server->draining = true;
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_stop_accepting(server->workers[i]);
    }
}

/* Tasks may post further ones, to other threads. */
static void run_last_tasks(const struct server *server)
{
    bool any = true;
    while (any) {
        any = false;
        for (unsigned i = 0; i < server->worker_count; i++) {
            any = worker_run_tasks(server->workers[i]) || any;
        }
    }
}

/* Who posts tasks to the connections' threads ends first. */
static void stop_threads(struct server *server)
{
    observer_stop(server->observer);
    if (server->converter != NULL) {
        converter_stop(server->converter);
    }
    web_stop(server->web);
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_join(server->workers[i]);
    }
    run_last_tasks(server);
}

static void free_server(struct server *server)
{
    server_begin_drain(server);
    stop_threads(server);
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_free(server->workers[i]);
    }
    responder_free(server->responder);
    web_free(server->web);
    converter_free(server->converter);
    images_free(server->images);
    journal_free(server->journal);
    observer_free(server->observer);
    rate_limit_free(server->rate_limit);
    conn_limits_free(server->conn_limits);
    if (server->listener.fd >= 0) {
        (void)close(server->listener.fd);
    }
    if (server->netlink >= 0) {
        (void)close(server->netlink);
    }
    free(server->allowed);
    free(server->workers);
    free(server->sets);
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
    server->netlink = -1;
    enum espimage_code code = check_options(server, err);
    if (code == ESPIMAGE_OK) {
        code = listener_open(options->address, options->port, &server->listener, err);
    }
    if (code == ESPIMAGE_OK) {
        settle_limits(server);
        server->netlink = server->listener.watched ? netlink_watcher_open() : -1;
        confine(server);
        code = make_parts(server) ? start_threads(server, err) : error_no_memory(err);
    }
    if (code != ESPIMAGE_OK) {
        free_server(server);
        return code;
    }
    *out = server;
    return ESPIMAGE_OK;
}

/* ---- while it runs ---- */

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

static void server_notice(struct server *server, const char *text)
{
    journal_notice(server->journal, text);
}

static int server_poll_fd(const struct server *server)
{
    return server->netlink;
}

static bool server_poll(struct server *server)
{
    char text[160];
    bool news = netlink_watcher_drain(server->netlink);
    if (listener_poll(&server->listener, text, sizeof text)) {
        journal_notice(server->journal, text);
    }
    return server->listener.watched && (news || server->netlink < 0);
}

/* Subscribers are not waited for. */
static unsigned server_active(const struct server *server)
{
    unsigned active = 0;
    unsigned subscribers = web_subscribers(server->web);
    for (unsigned i = 0; i < server->worker_count; i++) {
        active += atomic_load(&server->sets[i]->answering);
    }
    return active > subscribers ? active - subscribers : 0;
}

static void server_stop(struct server *server, unsigned seconds)
{
    const struct timespec tick = {0, 10000000};
    server_begin_drain(server);
    for (unsigned i = 0;
         i < seconds * 100 && responder_open(server->responder) > web_subscribers(server->web);
         i++) {
        (void)nanosleep(&tick, NULL);
    }
    free_server(server);
}

__attribute__((visibility("default"))) extern const struct server_module espimagetool_server;
const struct server_module espimagetool_server = {server_start,   server_facts, server_notice,
                                                  server_poll_fd, server_poll,  server_begin_drain,
                                                  server_active,  server_stop};
