/* SPDX-License-Identifier: MIT */
#include "device/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Small, so that the server fills it and waits, as with a device; but many segments, since at the
 * edge of a window that is no multiple of them a server sends a short one. */
#define RECEIVE_BUFFER 16384

/* Of the kernel's TCP states: the server has closed; its FIN counts as a byte. */
#define STATE_CLOSE_WAIT 8

static bool wait_for(const struct connection *c, short events, int milliseconds)
{
    struct pollfd p[] = {{c->fd, events, 0}, {c->stop_fd, POLLIN, 0}};
    return poll(p, 2, milliseconds) > 0 && p[0].revents != 0;
}

static void set_option(int fd, int level, int name, int value)
{
    /* Refused only for values that the callers do not pass; then the default is good enough. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static int finish_connect(const struct connection *c, int milliseconds)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    if (!wait_for(c, POLLOUT, milliseconds)) {
        return ETIMEDOUT;
    }
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) {
        return errno;
    }
    return failure;
}

/* The receive window is behind tcpi_snd_wnd since Linux 6.2; the headers may be older. */
#define WINDOW_OFFSET (offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(uint32_t))

union counters {
    struct tcp_info info;
    uint8_t bytes[WINDOW_OFFSET + sizeof(uint32_t)];
};

/* Has the server no room for a full segment, because so much waits to be read? */
static bool is_squeezed(const struct connection *c, const union counters *counters, size_t size)
{
    uint32_t window = 0;
    if (size < WINDOW_OFFSET + sizeof window) {
        return c->queued - c->read >= RECEIVE_BUFFER / 2;
    }
    memcpy(&window, counters->bytes + WINDOW_OFFSET, sizeof window);
    return window < c->largest;
}

/* One consistent view of the counters; older kernels have fewer fields. */
static bool look(struct connection *c)
{
    union counters counters = {.bytes = {0}};
    socklen_t size = sizeof counters;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &counters, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_data_segs_in) + sizeof(uint32_t)) {
        return false;
    }
    const struct tcp_info info = counters.info;
    c->timestamps = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0;
    c->largest = info.tcpi_advmss <= UINT16_MAX ? (uint16_t)info.tcpi_advmss : 0;
    c->largest = c->path != 0 ? c->path : c->largest;
    c->seen = info.tcpi_rcv_mss <= UINT16_MAX ? (uint16_t)info.tcpi_rcv_mss : 0;
    c->queued_from = c->segments;
    c->read_from = c->queued;
    c->queued = info.tcpi_bytes_received;
    c->queued -= info.tcpi_state == STATE_CLOSE_WAIT && c->queued > 0 ? 1 : 0;
    c->segments = info.tcpi_data_segs_in;
    c->squeezed = is_squeezed(c, &counters, size);
    return true;
}

static int connect_from(const struct connection *c, const struct route *route, int milliseconds)
{
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = route->from};
    if (route->from.s_addr != INADDR_ANY) {
        /* The port is chosen when the destination is known: thousands can share an address. */
        set_option(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (bind(c->fd, (const struct sockaddr *)&from, sizeof from) != 0) {
            return errno;
        }
    }
    if (connect(c->fd, (const struct sockaddr *)&route->to, sizeof route->to) == 0) {
        return 0;
    }
    return errno == EINPROGRESS ? finish_connect(c, milliseconds) : errno;
}

int connection_open(struct connection *c, const struct route *route, uint16_t mss, int milliseconds)
{
    memset(c, 0, sizeof *c);
    c->stop_fd = route->stop_fd;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        return errno;
    }
    set_option(c->fd, IPPROTO_TCP, TCP_MAXSEG, mss);
    set_option(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(c->fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
    int failure = connect_from(c, route, milliseconds);
    if (failure != 0) {
        connection_close(c);
        return failure;
    }
    c->counts = look(c);
    return 0;
}

void connection_close(struct connection *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
}

bool connection_send(const struct connection *c, const char *text, size_t size)
{
    /* A request is far smaller than any send buffer. */
    return send(c->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

enum connection_event connection_receive(struct connection *c, uint8_t *to, size_t room,
                                         int milliseconds, size_t *size, struct arrival *arrival)
{
    *size = 0;
    *arrival = (struct arrival){0};
    if (!wait_for(c, POLLIN, milliseconds)) {
        return CONNECTION_SILENT;
    }
    if (c->counts && c->read >= c->queued) {
        c->counts = look(c);
    }
    /* Not beyond what was counted, so that the end of what is read is the end of a segment. */
    uint64_t left = c->counts && c->queued > c->read ? c->queued - c->read : room;
    ssize_t got = recv(c->fd, to, left < room ? (size_t)left : room, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? CONNECTION_SILENT : CONNECTION_RESET;
    }
    if (got == 0) {
        return CONNECTION_CLOSED;
    }
    c->read += (uint64_t)got;
    *size = (size_t)got;
    if (c->counts && c->read >= c->queued) {
        *arrival = (struct arrival){true, c->queued - c->read_from, c->segments - c->queued_from,
                                    c->squeezed};
    }
    return CONNECTION_DATA;
}
