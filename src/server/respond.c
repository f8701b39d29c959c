/* SPDX-License-Identifier: MIT */
/* libmicrohttpd's callbacks: they translate between it and ota/decide.c. */
#include "base/error.h"
#include "http/image_header.h"
#include "http/range.h"
#include "http/token.h"
#include "ota/decide.h"
#include "ota/request.h"
#include "server/parts.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long a request waits for an ELF that is being written. */
#define WAIT_SECONDS 3.0
/* It must not tell what it is that is missing. */
#define NO_TOKEN "nothing is served under this path"

static int connection_fd(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

static struct guest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

/* The size of the segments that will be sent; 0 when it is not known. */
static uint16_t segment_size(int fd)
{
    int mss = 0;
    socklen_t size = sizeof mss;
    bool known = getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &size) == 0;
    return known && mss > 0 && mss <= UINT16_MAX ? (uint16_t)mss : 0;
}

/* ---- answers ---- */

static const char *hazard_text(enum wire_hazard_kind kind)
{
    switch (kind) {
    case WIRE_NO_HAZARD: return "";
    case WIRE_SHORT_FIRST: return "too little of the image is in the first TCP segment";
    case WIRE_SHORT_LAST: return "the last TCP segment is shorter than 4 bytes";
    case WIRE_JOINED: return "header and image are one TCP segment";
    case WIRE_DROPPED: break;
    }
    return "a TCP segment begins where devices take it for a header";
}

static void note_hazard(struct exchange *x, const struct wire_hazard *hazard)
{
    struct espimage_notes *notes = hazard->kind != WIRE_NO_HAZARD ? exchange_notes(x) : NULL;
    if (notes != NULL) {
        note_add(notes, "no header length avoids it: %s (MSS %u, offset %zu)",
                 hazard_text(hazard->kind), hazard->mss, hazard->offset);
    }
}

static enum MHD_Result queue(struct exchange *x, unsigned status, struct MHD_Response *response)
{
    x->status = status;
    enum MHD_Result queued = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

enum MHD_Result respond_without(struct exchange *x, unsigned status, const char *reason,
                                const char *field, const char *value)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (reason != NULL) {
        exchange_fails(x, reason);
        (void)MHD_add_response_header(response, "X-Espimage-Reason", reason);
    }
    if (field != NULL) {
        (void)MHD_add_response_header(response, field, value);
    }
    return queue(x, status, response);
}

/* The connection is deliver.c's from here on. It sends from the snapshot itself: no connection has
 * a copy. */
static bool hand_over(struct exchange *x, const struct deliver_client *client,
                      const struct image_header *header)
{
    const struct deliver_load load = {
        .header = header->text,
        .header_size = header->size,
        .file = &x->snapshot->image,
        .first = x->first,
        .size = x->request.method == OTA_HEAD ? 0 : x->size,
        .parcel = exchange_keep(x),
        .mark = x->promise,
    };
    x->handed_over = true;
    if (!deliver_send(server_deliverer(x->server), client, &load)) {
        x->handed_over = false;
        exchange_release(x);
        return false;
    }
    return true;
}

/* The whole image, laid out for the connection. */
static bool send_whole(struct exchange *x, const struct deliver_client *client)
{
    struct image_header header;
    x->size = x->snapshot->image.size;
    x->status = MHD_HTTP_OK;
    image_header_whole(x->snapshot, segment_size(client->fd), x->server->options.extra_mss,
                       &header);
    note_hazard(x, &header.hazard);
    x->header_size = header.size;
    promising_make(x);
    return hand_over(x, client, &header);
}

static bool send_part(struct exchange *x, const struct deliver_client *client)
{
    struct image_header header;
    x->status = MHD_HTTP_PARTIAL_CONTENT;
    image_header_part(x->snapshot, x->first, x->size, &header);
    x->header_size = header.size;
    return hand_over(x, client, &header);
}

/* libmicrohttpd closes its descriptor when it is told that there will be no answer; the connection
 * lives on in deliver.c. */
static enum MHD_Result answer_with_image(struct exchange *x)
{
    struct guest *guest = guest_of(x->connection);
    const char *range =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE);
    int fd = guest != NULL ? fcntl(connection_fd(x->connection), F_DUPFD_CLOEXEC, 0) : -1;
    const struct deliver_client client = {.fd = fd, .shared = true, .peer = x->peer};
    bool part = range_parse(range, x->snapshot->image.size, &x->first, &x->size) == RANGE_ONE;
    if (fd >= 0) {
        guest->taken = part ? send_part(x, &client) : send_whole(x, &client);
        if (guest->taken) {
            return MHD_NO;
        }
        (void)close(fd);
    }
    x->size = 0;
    return respond_without(x, MHD_HTTP_SERVICE_UNAVAILABLE, "no descriptor or memory left",
                           MHD_HTTP_HEADER_RETRY_AFTER, "2");
}

bool respond_at_once(struct server *server, const struct arrival *arrival)
{
    const struct request_head *head = arrival->head;
    struct store *store = server->options.store;
    const char *inner = token_strip(server->options.path_token, head->target);
    int slot = inner != NULL ? ota_slot_of_target(inner) : 0;
    if (head->cut || head->conditional || slot == 0 || store_path(store, slot) == NULL) {
        return false;
    }
    struct exchange *x = exchange_new(server, NULL, &arrival->peer, head->target);
    if (x == NULL) {
        return false;
    }
    x->request = (struct ota_request){ota_method_of(head->method), slot};
    x->snapshot = promising_supply(x);
    const struct deliver_client client = {
        .fd = arrival->fd, .watch = arrival->watch, .peer = arrival->peer};
    bool sent = x->snapshot != NULL && send_whole(x, &client);
    exchange_release(x);
    return sent;
}

/* Waits for its image without libmicrohttpd. */
struct unfinished {
    struct conversion_wait wait; /* first: the exchange owns it as its wait */
    int fd;
};

static void refuse_unfinished(struct exchange *x, const struct deliver_client *client,
                              enum ota_supply supply)
{
    const struct ota_answer decided = ota_decide(&x->request, supply);
    char missing[160];
    if (x->request.slot != 0 && decided.status == MHD_HTTP_NOT_FOUND) {
        store_missing(x->server->options.store, x->request.slot, missing, sizeof missing);
        refuse_exchange(x, client, decided.status, missing);
    } else {
        refuse_exchange(x, client, decided.status, decided.reason);
    }
}

/* The converter's thread has the outcome. */
static void answer_unfinished(struct exchange *x)
{
    const struct conversion_wait *wait = x->wait;
    const struct deliver_client client = {.fd = ((const struct unfinished *)(const void *)wait)->fd,
                                          .peer = x->peer};
    if (wait->notes.count > 0 && exchange_notes(x) != NULL) {
        *x->notes = wait->notes;
    }
    if (wait->code != ESPIMAGE_OK) {
        char line[ESPIMAGE_ERROR_LINE];
        exchange_fails(x, espimage_error_line(&wait->err, line, sizeof line));
    } else {
        x->snapshot = snapshot_keep(wait->snapshot);
    }
    if (x->snapshot == NULL || !send_whole(x, &client)) {
        x->size = 0;
        refuse_unfinished(x, &client, OTA_NOT_READY);
    }
    exchange_release(x);
}

/* The exchange is the converter's when true; false when the server is being stopped, or without
 * memory. */
static bool wait_unfinished(struct exchange *x, int fd)
{
    struct unfinished *u = calloc(1, sizeof *u);
    if (u == NULL) {
        return false;
    }
    u->fd = fd;
    u->wait.context = x;
    x->wait = &u->wait;
    (void)pthread_mutex_lock(&x->server->lock);
    bool asked = !x->server->stopping;
    if (asked) {
        converter_ask(x->server->converter, x->wait, x->request.slot, WAIT_SECONDS);
    }
    (void)pthread_mutex_unlock(&x->server->lock);
    return asked;
}

bool respond_unfinished(struct server *server, const struct arrival *arrival)
{
    const struct request_head *head = arrival->head;
    const struct deliver_client client = {.fd = arrival->fd, .peer = arrival->peer};
    const char *inner = token_strip(server->options.path_token, head->target);
    struct exchange *x = inner == NULL || status_route_of(inner) == STATUS_NONE
                             ? exchange_new(server, NULL, &arrival->peer, head->target)
                             : NULL;
    if (x == NULL) {
        return false;
    }
    int slot = inner != NULL ? ota_slot_of_target(inner) : 0;
    bool ready = slot != 0 && store_path(server->options.store, slot) != NULL;
    x->request = (struct ota_request){ota_method_of(head->method), slot};
    if (ready && wait_unfinished(x, arrival->fd)) {
        return true;
    }
    if (inner == NULL) {
        refuse_exchange(x, &client, MHD_HTTP_NOT_FOUND, NO_TOKEN);
    } else {
        refuse_unfinished(x, &client, ready ? OTA_NOT_READY : OTA_NO_ELF);
    }
    exchange_release(x);
    return true;
}

/* What clients other than devices ask: is it still the same, a part behind the end. True when that
 * was the answer. */
static bool answer_condition(struct exchange *x, enum MHD_Result *result)
{
    char tag[IMAGE_ETAG];
    char text[48];
    size_t first = 0;
    size_t count = 0;
    const char *match =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    const char *range =
        MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE);
    image_etag(x->snapshot, tag);
    if (match != NULL && (strcmp(match, "*") == 0 || strstr(match, tag) != NULL)) {
        *result = respond_without(x, MHD_HTTP_NOT_MODIFIED, NULL, MHD_HTTP_HEADER_ETAG, tag);
        return true;
    }
    if (range_parse(range, x->snapshot->image.size, &first, &count) == RANGE_UNSATISFIABLE) {
        (void)snprintf(text, sizeof text, "bytes */%zu", x->snapshot->image.size);
        *result = respond_without(x, MHD_HTTP_RANGE_NOT_SATISFIABLE, "behind the end of the image",
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
    return respond_without(x, decided.status, decided.reason,
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
    x->wait = calloc(1, sizeof *x->wait);
    if (x->wait == NULL) {
        return false;
    }
    x->wait->context = x;
    (void)pthread_mutex_lock(&server->lock);
    bool asked = !server->stopping;
    if (asked) {
        MHD_suspend_connection(x->connection);
        converter_ask(server->converter, x->wait, x->request.slot, WAIT_SECONDS);
    }
    (void)pthread_mutex_unlock(&server->lock);
    return asked;
}

/* The converter has the outcome: answer_converted() is next. */
void respond_converted(struct conversion_wait *wait)
{
    struct exchange *x = wait->context;
    if (x->connection == NULL) {
        answer_unfinished(x);
    } else {
        MHD_resume_connection(x->connection);
    }
}

static enum MHD_Result answer_converted(struct exchange *x)
{
    struct conversion_wait *wait = x->wait;
    struct espimage_notes *notes = wait->notes.count > 0 ? exchange_notes(x) : NULL;
    if (notes != NULL) {
        *notes = wait->notes;
    }
    if (wait->code != ESPIMAGE_OK) {
        char line[ESPIMAGE_ERROR_LINE];
        (void)espimage_error_line(&wait->err, line, sizeof line);
        exchange_fails(x, line);
        return answer(x, OTA_NOT_READY);
    }
    x->snapshot = wait->snapshot;
    wait->snapshot = NULL;
    return answer(x, OTA_READY);
}

static enum MHD_Result respond(struct exchange *x, const char *path)
{
    struct store *store = x->server->options.store;
    if (x->wait != NULL) {
        return answer_converted(x);
    }
    if (x->look != NULL) {
        return status_answer(x);
    }
    x->request.slot = requested_slot(x->connection, path);
    enum status_route route = x->target[0] == '/' && strpbrk(x->target, "?%") == NULL
                                  ? status_route_of(path)
                                  : STATUS_NONE;
    if (route != STATUS_NONE && x->request.method != OTA_OTHER) {
        return status_respond(x, route);
    }
    if (x->request.method == OTA_OTHER || x->request.slot == 0 ||
        store_path(store, x->request.slot) == NULL) {
        return answer(x, OTA_NO_ELF);
    }
    x->snapshot = promising_supply(x);
    if (x->snapshot != NULL) {
        return answer(x, OTA_READY);
    }
    return ask_converter(x) ? MHD_YES : answer(x, OTA_NOT_READY);
}

enum MHD_Result respond_to_request(void *context, struct MHD_Connection *connection,
                                   const char *path, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **request_context)
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
        x->request.method = ota_method_of(method);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0; /* a body is read and thrown away */
        return MHD_YES;
    }
    path = token_strip(x->server->options.path_token, path);
    return path != NULL ? respond(x, path)
                        : respond_without(x, MHD_HTTP_NOT_FOUND, NO_TOKEN, NULL, NULL);
}

/* libmicrohttpd's first word about a request; what is returned becomes the request's context. */
void *respond_begin(void *context, const char *uri, struct MHD_Connection *connection)
{
    const struct guest *guest = guest_of(connection);
    return guest != NULL ? exchange_new(context, connection, &guest->peer, uri) : NULL;
}

void respond_end(void *context, struct MHD_Connection *connection, void **request_context,
                 enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *request_context;
    (void)context;
    (void)connection;
    if (x == NULL) {
        return;
    }
    if (x->begun && !x->handed_over) {
        if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->look == NULL) {
            exchange_fails(x, "the client went away");
        }
        server_tell_exchange(x, SERVER_REQUEST, false);
    }
    exchange_release(x);
    *request_context = NULL;
}
