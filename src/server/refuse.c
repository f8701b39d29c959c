/* SPDX-License-Identifier: MIT */
/* What is not GET or HEAD, or no HTTP at all, is answered here. libmicrohttpd would answer with a
 * body, and devices write bodies to flash. */
#include "ota/request.h"
#include "server/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *status_text(unsigned status)
{
    switch (status) {
    case MHD_HTTP_METHOD_NOT_ALLOWED: return "Method Not Allowed";
    case MHD_HTTP_REQUEST_TIMEOUT: return "Request Timeout";
    case MHD_HTTP_URI_TOO_LONG: return "URI Too Long";
    case MHD_HTTP_EXPECTATION_FAILED: return "Expectation Failed";
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE: return "Request Header Fields Too Large";
    case MHD_HTTP_HTTP_VERSION_NOT_SUPPORTED: return "HTTP Version Not Supported";
    default: return "Bad Request";
    }
}

static void send_answer(int fd, unsigned status, const char *reason)
{
    char text[512];
    int size =
        snprintf(text, sizeof text,
                 "HTTP/1.1 %u %s\r\nConnection: close\r\n%sX-Espimage-Reason: %s\r\n"
                 "Content-Length: 0\r\n\r\n",
                 status, status_text(status),
                 status == MHD_HTTP_METHOD_NOT_ALLOWED ? "Allow: GET, HEAD\r\n" : "", reason);
    /* It fits an empty send buffer; a client that is gone already misses nothing. */
    (void)!send(fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void refuse_request(void *context, int fd, const struct peer *peer, const struct request_head *head)
{
    struct server *server = context;
    struct server_event event = {.kind = SERVER_REQUEST,
                                 .client_port = peer->port,
                                 .method = head->method,
                                 .target = head->target,
                                 .status = head->status,
                                 .reason = head->reason};
    char client[PEER_TEXT];
    peer_text(peer, client);
    event.client = client;
    event.slot = ota_slot_of_target(head->target);
    send_answer(fd, event.status, event.reason);
    if (!deliver_finish(server_deliverer(server), fd, peer)) {
        (void)close(fd);
        census_leave(server->census, peer);
    }
    server_tell(server, &event);
}
