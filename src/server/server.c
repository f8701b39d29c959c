/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "base/error.h"
#include "base/text.h"
#include "ota/decide.h"
#include "ota/request.h"
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct server {
    struct MHD_Daemon *daemon;
    struct server_options options;
    int fd;
    uint16_t port;
};

/* One request, from its first line to its end. */
struct exchange {
    struct server *server;
    struct timespec began;
    char target[256];
    char client[INET6_ADDRSTRLEN];
    char method[16];
    uint16_t client_port;
    bool begun; /* the headers are complete */
    int slot;
    unsigned status;
    const struct snapshot *snapshot; /* held until the end */
    uint64_t sent;
    char reason[ESPIMAGE_ERROR_LINE];
    struct espimage_notes notes;
};

static double seconds_since(const struct timespec *began)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) +
           (double)(now.tv_nsec - began->tv_nsec) / 1000000000.0;
}

static void tell(const struct exchange *x, enum server_event_kind kind, bool complete)
{
    const struct server_event event = {
        .kind = kind,
        .client = x->client,
        .client_port = x->client_port,
        .method = x->method,
        .target = x->target,
        .slot = x->slot,
        .build = x->snapshot != NULL ? x->snapshot->build : 0,
        .status = x->status,
        .sent = x->sent,
        .size = x->snapshot != NULL ? x->snapshot->image.size : 0,
        .seconds = seconds_since(&x->began),
        .reason = x->reason[0] != '\0' ? x->reason : NULL,
        .complete = complete,
        .notes = &x->notes,
    };
    x->server->options.event(x->server->options.context, &event);
}

static void note_client(struct exchange *x, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL || info->client_addr == NULL) {
        return;
    }
    const struct sockaddr *address = info->client_addr;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        (void)inet_ntop(AF_INET, &v4.sin_addr, x->client, sizeof x->client);
        x->client_port = ntohs(v4.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, x->client, sizeof x->client);
        x->client_port = ntohs(v6.sin6_port);
    }
}

/* libmicrohttpd's first word about a request; what is returned becomes the request's context. */
static void *begin_exchange(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    x->server = context;
    (void)clock_gettime(CLOCK_MONOTONIC, &x->began);
    printable(x->target, sizeof x->target, uri);
    note_client(x, connection);
    return x;
}

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

static ssize_t read_image(void *context, uint64_t position, char *buffer, size_t room)
{
    struct exchange *x = context;
    const struct espimage_bytes *image = &x->snapshot->image;
    size_t count = image->size - (size_t)position < room ? image->size - (size_t)position : room;
    memcpy(buffer, image->data + position, count);
    x->sent = position + count;
    tell(x, SERVER_PROGRESS, false);
    return (ssize_t)count;
}

/* How much libmicrohttpd asks for at a time. */
#define BLOCK 16384

static struct MHD_Response *make_response(struct exchange *x, const struct ota_answer *answer)
{
    struct MHD_Response *response = NULL;
    if (answer->image) {
        response =
            MHD_create_response_from_callback(x->snapshot->image.size, BLOCK, read_image, x, NULL);
    } else {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (response == NULL) {
        return NULL;
    }
    if (answer->image) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                      "application/octet-stream");
    } else {
        (void)MHD_add_response_header(response, "X-Espimage-Reason", answer->reason);
    }
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    return response;
}

static enum ota_supply supply_for(struct exchange *x)
{
    struct espimage_error err;
    struct store *store = x->server->options.store;
    if (x->slot == 0 || store_path(store, x->slot) == NULL) {
        return OTA_NO_ELF;
    }
    if (store_get(store, x->slot, &x->snapshot, &x->notes, &err) == ESPIMAGE_OK) {
        return OTA_READY;
    }
    (void)espimage_error_line(&err, x->reason, sizeof x->reason);
    return OTA_NOT_READY;
}

static enum MHD_Result answer(struct exchange *x, struct MHD_Connection *connection,
                              const char *path)
{
    struct ota_request request = {ota_method_of(x->method), requested_slot(connection, path)};
    x->slot = request.slot;
    enum ota_supply supply = request.method == OTA_OTHER ? OTA_NO_ELF : supply_for(x);
    struct ota_answer decided = ota_decide(&request, supply);

    x->status = decided.status;
    if (decided.reason != NULL && x->reason[0] == '\0') {
        printable(x->reason, sizeof x->reason, decided.reason);
    }
    struct MHD_Response *response = make_response(x, &decided);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result queued = MHD_queue_response(connection, decided.status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_context)
{
    struct exchange *x = *request_context;
    (void)context;
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
    return answer(x, connection, path);
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
    bool whole = how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool image = x->snapshot != NULL && x->status == MHD_HTTP_OK && strcmp(x->method, "GET") == 0;
    if (!whole && x->reason[0] == '\0') {
        printable(x->reason, sizeof x->reason,
                  how == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED   ? "the client stopped reading"
                  : how == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN ? "the server was stopped"
                                                                  : "the client went away");
    }
    if (x->begun) {
        tell(x, SERVER_REQUEST, whole && image && x->sent == x->snapshot->image.size);
    }
    snapshot_release(x->snapshot);
    free(x);
    *request_context = NULL;
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
    enum espimage_code code = listen_on(options->address, &server->port, &server->fd, err);
    if (code != ESPIMAGE_OK) {
        free(server);
        return code;
    }
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0, NULL, NULL,
        handle, server, MHD_OPTION_LISTEN_SOCKET, server->fd, MHD_OPTION_URI_LOG_CALLBACK,
        begin_exchange, server, MHD_OPTION_NOTIFY_COMPLETED, end_exchange, server,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds,
        /* HTTP/1.1 without Host is answered too. */
        MHD_OPTION_STRICT_FOR_CLIENT, -1, MHD_OPTION_END);
    if (server->daemon == NULL) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot start the HTTP server: %s",
                    strerror(errno));
        (void)close(server->fd);
        free(server);
        return err->code;
    }
    *out = server;
    return ESPIMAGE_OK;
}

static uint16_t server_port(const struct server *server)
{
    return server->port;
}

static unsigned open_connections(const struct server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL ? info->num_connections : 0;
}

static void server_stop(struct server *server, unsigned seconds)
{
    const struct timespec tick = {0, 20000000};
    MHD_socket listening = MHD_quiesce_daemon(server->daemon);
    for (unsigned i = 0; i < seconds * 50 && open_connections(server) > 0; i++) {
        (void)nanosleep(&tick, NULL);
    }
    MHD_stop_daemon(server->daemon);
    if (listening != MHD_INVALID_SOCKET) {
        (void)close(listening);
    }
    free(server);
}

__attribute__((visibility("default"))) extern const struct server_module espimagetool_server;
const struct server_module espimagetool_server = {server_start, server_port, server_stop};
