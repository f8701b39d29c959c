/* SPDX-License-Identifier: MIT */
#include "server/listen.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Enough for a room full of devices that start at once. */
#define BACKLOG 1024

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, uint16_t port, union any_address *out, socklen_t *size)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *size = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *size = sizeof out->v6;
        return true;
    }
    return false;
}

static enum espimage_code cannot_listen(const char *address, uint16_t port, int error,
                                        struct espimage_error *err)
{
    if (error == EADDRINUSE) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "port %u is in use", port);
        return error_advice(err,
                            "ask who has it: ss -ltnp 'sport = :%u'; or choose another with "
                            "--port",
                            port);
    }
    error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot listen on %s port %u: %s", address, port,
                strerror(error));
    if (error == EADDRNOTAVAIL) {
        return error_advice(err, "it is no address of this computer; see: ip address");
    }
    if (error == EACCES) {
        return error_advice(err, "ports below 1024 are for root; choose another with --port");
    }
    return err->code;
}

enum espimage_code listen_on(const char *address, uint16_t *port, int *out,
                             struct espimage_error *err)
{
    union any_address where;
    socklen_t size = 0;
    const int on = 1;

    if (!parse_address(address, *port, &where, &size)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is no address", address);
        return error_wanted(err, "a numeric one, such as 192.168.4.2");
    }
    int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (fd < 0 || bind(fd, &where.any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &where.any, &size) != 0) {
        enum espimage_code code = cannot_listen(address, *port, errno, err);
        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    *port = ntohs(where.any.sa_family == AF_INET ? where.v4.sin_port : where.v6.sin6_port);
    *out = fd;
    return ESPIMAGE_OK;
}
