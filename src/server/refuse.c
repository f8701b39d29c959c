/* SPDX-License-Identifier: MIT */
/* What is not GET or HEAD, or no HTTP at all, is answered here. libmicrohttpd would answer with a
 * body, and devices write bodies to flash. */
#include "base/error.h"
#include "base/text.h"
#include "http/token.h"
#include "ota/request.h"
#include "server/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After which a client may ask again for an image that cannot be converted now. */
#define RETRY_SECONDS 2

static const char *status_text(unsigned status)
{
    switch (status) {
    case MHD_HTTP_NOT_FOUND: return "Not Found";
    case MHD_HTTP_METHOD_NOT_ALLOWED: return "Method Not Allowed";
    case MHD_HTTP_REQUEST_TIMEOUT: return "Request Timeout";
    case MHD_HTTP_URI_TOO_LONG: return "URI Too Long";
    case MHD_HTTP_TOO_MANY_REQUESTS: return "Too Many Requests";
    case MHD_HTTP_SERVICE_UNAVAILABLE: return "Service Unavailable";
    case MHD_HTTP_EXPECTATION_FAILED: return "Expectation Failed";
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE: return "Request Header Fields Too Large";
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED: return "HTTP Version Not Supported";
    default: return "Bad Request";
    }
}

static void send_answer(int fd, unsigned status, const char *reason, unsigned retry_after)
{
    char text[ESPIMAGE_ERROR_LINE + 256];
    char field[40] = "";
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)snprintf(field, sizeof field, "Allow: GET, HEAD\r\n");
    } else if (retry_after != 0) {
        (void)snprintf(field, sizeof field, "Retry-After: %u\r\n", retry_after);
    }
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %u %s\r\nConnection: close\r\n%sX-Espimage-Reason: %s\r\n"
                        "Content-Length: 0\r\n\r\n",
                        status, status_text(status), field, reason);
    /* It fits an empty send buffer; a client that is gone already misses nothing. */
    (void)!send(fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void refuse(struct server *server, const struct arrival *arrival,
                   const struct request_head *head, unsigned retry_after)
{
    const struct peer *peer = &arrival->peer;
    const struct deliver_client client = {
        .fd = arrival->fd, .watch = arrival->watch, .peer = *peer};
    char *target = token_mask(server->options.path_token, head->target);
    struct server_event event = {.kind = SERVER_REQUEST,
                                 .client_port = peer->port,
                                 .method = head->method,
                                 .target = target != NULL ? target : "",
                                 .status = head->status,
                                 .reason = head->reason};
    char text[PEER_TEXT];
    peer_text(peer, text);
    event.client = text;
    event.slot = ota_slot_of_target(head->target);
    send_answer(arrival->fd, event.status, event.reason, retry_after);
    if (!deliver_finish(server_deliverer(server), &client)) {
        (void)close(arrival->fd);
        free(arrival->watch);
        conn_limits_leave(server->conn_limits, peer);
    }
    server_tell(server, &event);
    free(target);
}

void refuse_request(void *context, const struct arrival *arrival)
{
    refuse(context, arrival, arrival->head, 0);
}

void refuse_for_now(struct server *server, const struct arrival *arrival, unsigned seconds)
{
    struct request_head refused = *arrival->head;
    refused.status = MHD_HTTP_TOO_MANY_REQUESTS;
    refused.reason = "too many requests of this address";
    refuse(server, arrival, &refused, seconds);
}

void refuse_exchange(struct exchange *x, const struct deliver_client *client, unsigned status,
                     const char *reason)
{
    struct server *server = x->server;
    char line[ESPIMAGE_ERROR_LINE];
    printable(line, sizeof line, reason);
    x->status = status;
    exchange_fails(x, reason);
    send_answer(client->fd, status, line,
                status == MHD_HTTP_SERVICE_UNAVAILABLE ? RETRY_SECONDS : 0);
    if (!deliver_finish(server_deliverer(server), client)) {
        (void)close(client->fd);
        conn_limits_leave(server->conn_limits, &client->peer);
    }
    server_tell_exchange(x, SERVER_REQUEST, false);
    (void)atomic_fetch_sub(&server->answering, 1);
}
