/* SPDX-License-Identifier: MIT */
#include "push/exchange.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ACKNOWLEDGE_TICK 0.005 /* seconds between two looks at what the device has acknowledged */

void exchange_init(struct exchange *x, struct event_loop *loop, void (*told)(void *context),
                   void *context)
{
    *x = (struct exchange){.loop = loop, .told = told, .context = context, .fd = -1};
}

void exchange_close(struct exchange *x)
{
    if (x->fd >= 0) {
        (void)close(x->fd);
    }
    free(x->answer);
    free(x->head);
    exchange_init(x, x->loop, x->told, x->context);
}

static void end(struct exchange *x, enum exchange_end how, int error)
{
    if (x->fd >= 0) {
        (void)close(x->fd);
    }
    x->fd = -1;
    x->due = 0;
    x->end = how;
    x->error = error;
    x->told(x->context);
}

static void moved(struct exchange *x, double seconds)
{
    x->limit = now_seconds() + seconds;
    x->due = x->limit;
}

static size_t total(const struct exchange *x)
{
    return x->head_size + x->request.body_size;
}

/* ---- the answer ---- */

static const char *header_end(const struct exchange *x)
{
    const char *found = x->answer != NULL ? strstr(x->answer, "\r\n\r\n") : NULL;
    return found != NULL ? found + 4 : NULL;
}

int exchange_status(const struct exchange *x, const char **body)
{
    const char *start = header_end(x);
    if (start == NULL || strncmp(x->answer, "HTTP/1.", 7) != 0 || strlen(x->answer) < 12) {
        return 0;
    }
    *body = start;
    return (int)strtol(x->answer + 9, NULL, 10);
}

/* An HTTP answer that names its length needs no close. */
static bool is_complete(const struct exchange *x)
{
    const char *body = header_end(x);
    const char *field = body != NULL ? text_find(x->answer, "\r\nContent-Length:") : NULL;
    if (x->answer_size >= EXCHANGE_ANSWER) {
        return true;
    }
    if (field == NULL || field >= body) {
        return false;
    }
    unsigned long length = strtoul(field + 17, NULL, 10);
    return x->answer_size - (size_t)(body - x->answer) >= length;
}

/* ---- moving on ---- */

/* A device that refuses may answer and reset the connection before all is sent. */
static void broke_off(struct exchange *x, int error)
{
    end(x, header_end(x) != NULL ? EXCHANGE_ANSWERED : EXCHANGE_BROKE_OFF, error);
}

static bool all_acknowledged(const struct exchange *x)
{
    int unsent = 0;
    return ioctl(x->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

static ssize_t send_some(struct exchange *x)
{
    if (x->sent < x->head_size) {
        return send(x->fd, x->head + x->sent, x->head_size - x->sent, MSG_NOSIGNAL);
    }
    size_t at = x->sent - x->head_size;
    size_t size = x->request.body_size - at;
    size_t piece = x->request.piece;
    if (piece > 0) {
        /* A piece that went out in part is completed at once. */
        if (at % piece == 0 && !all_acknowledged(x)) {
            errno = EAGAIN;
            x->due = now_seconds() + ACKNOWLEDGE_TICK;
            (void)event_loop_modify(x->loop, x->fd, EPOLLIN, &x->handler);
            return -1;
        }
        size = size < piece - at % piece ? size : piece - at % piece;
    }
    return send(x->fd, x->request.body + at, size, MSG_NOSIGNAL);
}

static void send_all(struct exchange *x)
{
    while (x->sent < total(x)) {
        ssize_t got = send_some(x);
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                broke_off(x, errno);
            }
            return;
        }
        x->sent += (size_t)got;
        moved(x, x->request.idle);
    }
    (void)event_loop_modify(x->loop, x->fd, EPOLLIN, &x->handler);
}

/* False when it has ended. */
static bool read_some(struct exchange *x)
{
    ssize_t got = recv(x->fd, x->answer + x->answer_size, EXCHANGE_ANSWER - x->answer_size, 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            broke_off(x, errno);
            return false;
        }
        return true;
    }
    x->answer_size += (size_t)got;
    x->answer[x->answer_size] = '\0';
    moved(x, x->request.idle);
    if (got == 0 || is_complete(x)) {
        /* An answer that comes before all is sent is one, too: a refusal. */
        bool nothing = x->head_size > 0 && x->answer_size == 0;
        end(x, nothing ? EXCHANGE_BROKE_OFF : EXCHANGE_ANSWERED, 0);
        return false;
    }
    return true;
}

static void on_events(void *context, uint32_t events)
{
    struct exchange *x = context;
    if (x->fd < 0) {
        return;
    }
    if (!x->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        (void)getsockopt(x->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0 || (events & EPOLLOUT) == 0) {
            end(x, EXCHANGE_NO_CONNECTION, error);
            return;
        }
        x->connected = true;
        moved(x, x->request.idle);
        int fd = x->fd;
        x->told(x->context);
        if (x->fd != fd) {
            return;
        }
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !read_some(x)) {
        return;
    }
    size_t before = x->sent;
    send_all(x);
    if (x->fd >= 0 && x->sent != before) {
        x->told(x->context);
    }
}

static bool open_socket(struct exchange *x)
{
    const int on = 1;
    x->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (x->fd < 0) {
        return false;
    }
    (void)setsockopt(x->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(x->fd, (const struct sockaddr *)&x->request.to, sizeof x->request.to) != 0 &&
        errno != EINPROGRESS) {
        return false;
    }
    return event_loop_add(x->loop, x->fd, EPOLLIN | EPOLLOUT, &x->handler);
}

void exchange_begin(struct exchange *x, const struct exchange_request *request)
{
    exchange_close(x);
    x->handler = (struct handler){on_events, x};
    x->request = *request;
    x->head = strdup(request->head);
    x->answer = calloc(1, EXCHANGE_ANSWER + 1);
    if (x->head == NULL || x->answer == NULL) {
        end(x, EXCHANGE_NO_CONNECTION, ENOMEM);
        return;
    }
    x->head_size = strlen(x->head);
    moved(x, request->connect);
    if (!open_socket(x)) {
        end(x, EXCHANGE_NO_CONNECTION, errno);
    }
}

void exchange_timer(struct exchange *x, double now)
{
    if (x->fd < 0 || x->due == 0 || now < x->due) {
        return;
    }
    if (!x->connected) {
        end(x, EXCHANGE_NO_CONNECTION, ETIMEDOUT);
    } else if (now < x->limit) {
        size_t before = x->sent;
        send_all(x);
        if (x->fd >= 0 && x->sent != before) {
            x->told(x->context);
        }
    } else {
        end(x, x->head_size == 0 ? EXCHANGE_ANSWERED : EXCHANGE_TIMED_OUT, 0);
    }
}

const char *exchange_why(const struct exchange *x, char *text, size_t size)
{
    switch (x->end) {
    case EXCHANGE_NO_CONNECTION:
        (void)snprintf(text, size, "port %u: %s", ntohs(x->request.to.sin_port),
                       strerror(x->error));
        break;
    case EXCHANGE_TIMED_OUT:
        (void)snprintf(text, size, "no answer in %.0f s", x->request.idle);
        break;
    case EXCHANGE_BROKE_OFF:
        (void)snprintf(text, size, "the device closed the connection%s%s",
                       x->error != 0 ? ": " : "", x->error != 0 ? strerror(x->error) : "");
        break;
    default: (void)snprintf(text, size, "answered"); break;
    }
    return text;
}
