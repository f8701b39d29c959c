/* SPDX-License-Identifier: MIT */
#include "server/follow.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How often progress is looked at. */
#define TICK_MILLISECONDS 50
/* The kernel's TCP_CLOSE: reset, or both sides have closed. */
#define STATE_CLOSE 7
/* After everything was acknowledged a client gets so long to close. */
#define LINGER_SECONDS 5.0

struct followed {
    struct followed *next;
    int fd;
    bool closed;    /* libmicrohttpd is done with it */
    bool peer_done; /* the client has closed its side */
    bool reset;
    uint64_t base;      /* acknowledged before the expectation */
    uint64_t expected;  /* bytes; 0: none */
    uint64_t delivered; /* of those */
    void *expectation;  /* NULL once ended */
    double moved;       /* when it last made progress */
};

struct follow {
    struct follow_options options;
    pthread_t thread;
    int wake;             /* eventfd */
    pthread_mutex_t lock; /* guards the list, what hangs on it, and stop */
    struct followed *list;
    unsigned count;
    bool stop;
};

static double now_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1000000000.0;
}

static void wake(const struct follow *f)
{
    const uint64_t one = 1;
    (void)!write(f->wake, &one, sizeof one);
}

static uint64_t acknowledged(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_acked : 0;
}

static bool is_reset(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
           info.tcpi_state == STATE_CLOSE;
}

/* Nothing is left to be acknowledged, the FIN included. */
static bool queue_is_empty(int fd)
{
    int queued = 0;
    return ioctl(fd, SIOCOUTQ, &queued) != 0 || queued == 0;
}

/* Throws away what the client still sends. */
static void drain(struct followed *c)
{
    char scrap[4096];
    ssize_t got = 0;
    while ((got = recv(c->fd, scrap, sizeof scrap, MSG_DONTWAIT)) > 0) {
    }
    c->peer_done = c->peer_done || got == 0;
}

/* What has to be told of one connection after the lock is let go. */
struct report {
    void *expectation;
    uint64_t delivered;
    bool ended;
    enum follow_end how;
};

static struct report end_expectation(struct followed *c, enum follow_end how)
{
    struct report r = {c->expectation, c->delivered, true, how};
    c->expectation = NULL;
    c->expected = 0;
    return r;
}

static struct report look_at_progress(struct followed *c, double now, unsigned idle)
{
    uint64_t acked = acknowledged(c->fd) - c->base;
    uint64_t delivered = acked < c->expected ? acked : c->expected;
    bool moved = delivered > c->delivered;
    if (moved) {
        c->delivered = delivered;
        c->moved = now;
    }
    if (c->delivered == c->expected) {
        return end_expectation(c, FOLLOW_DELIVERED);
    }
    if (c->reset || (c->peer_done && c->closed && queue_is_empty(c->fd))) {
        return end_expectation(c, FOLLOW_GONE);
    }
    if (now - c->moved > idle) {
        return end_expectation(c, FOLLOW_STALLED);
    }
    struct report r = {moved ? c->expectation : NULL, c->delivered, false, FOLLOW_GONE};
    return r;
}

/* True when nothing is left to do for it. */
static bool is_over(const struct followed *c, double now, unsigned idle)
{
    if (!c->closed || c->expectation != NULL) {
        return false;
    }
    bool empty = queue_is_empty(c->fd);
    double limit = empty ? LINGER_SECONDS : (double)idle;
    return c->reset || (c->peer_done && empty) || now - c->moved > limit;
}

static void tell(const struct follow *f, const struct report *r)
{
    if (r->expectation == NULL) {
        return;
    }
    if (r->ended) {
        f->options.end(r->expectation, r->delivered, r->how);
    } else {
        f->options.progress(r->expectation, r->delivered);
    }
}

/* One look at every connection. The reports are told by the caller, without the lock. */
static size_t look(struct follow *f, struct report *reports, size_t room)
{
    size_t count = 0;
    double now = now_seconds();
    struct followed **link = &f->list;
    while (*link != NULL) {
        struct followed *c = *link;
        c->reset = c->reset || is_reset(c->fd);
        if (c->closed) {
            drain(c);
        }
        if (c->expectation != NULL && count < room) {
            struct report r = look_at_progress(c, now, f->options.idle_seconds);
            if (r.expectation != NULL) {
                reports[count++] = r;
            }
        }
        if (is_over(c, now, f->options.idle_seconds)) {
            *link = c->next;
            f->count--;
            (void)close(c->fd);
            free(c);
        } else {
            link = &c->next;
        }
    }
    return count;
}

#define REPORTS 256

void follow_look(struct follow *f)
{
    struct report reports[REPORTS];
    (void)pthread_mutex_lock(&f->lock);
    size_t count = look(f, reports, REPORTS);
    (void)pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < count; i++) {
        tell(f, &reports[i]);
    }
}

static void *run(void *context)
{
    struct follow *f = context;
    bool stop = false;
    while (!stop) {
        follow_look(f);
        (void)pthread_mutex_lock(&f->lock);
        bool idle = f->list == NULL;
        stop = f->stop;
        (void)pthread_mutex_unlock(&f->lock);
        struct pollfd wait = {f->wake, POLLIN, 0};
        if (!stop && poll(&wait, 1, idle ? -1 : TICK_MILLISECONDS) > 0) {
            uint64_t value;
            (void)!read(f->wake, &value, sizeof value);
        }
    }
    return NULL;
}

struct follow *follow_new(const struct follow_options *options)
{
    struct follow *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    f->options = *options;
    f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wake < 0) {
        free(f);
        return NULL;
    }
    (void)pthread_mutex_init(&f->lock, NULL);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        (void)close(f->wake);
        free(f);
        return NULL;
    }
    return f;
}

void follow_free(struct follow *f)
{
    if (f == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    f->stop = true;
    (void)pthread_mutex_unlock(&f->lock);
    wake(f);
    (void)pthread_join(f->thread, NULL);
    while (f->list != NULL) {
        struct followed *c = f->list;
        f->list = c->next;
        if (c->expectation != NULL) {
            struct report r = end_expectation(c, FOLLOW_GONE);
            tell(f, &r);
        }
        (void)close(c->fd);
        free(c);
    }
    (void)pthread_mutex_destroy(&f->lock);
    (void)close(f->wake);
    free(f);
}

struct followed *follow_add(struct follow *f, int fd)
{
    struct followed *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (c->fd < 0) {
        free(c);
        return NULL;
    }
    c->moved = now_seconds();
    (void)pthread_mutex_lock(&f->lock);
    bool first = f->list == NULL;
    c->next = f->list;
    f->list = c;
    f->count++;
    (void)pthread_mutex_unlock(&f->lock);
    if (first) {
        wake(f);
    }
    return c;
}

int followed_fd(const struct followed *c)
{
    return c->fd;
}

void follow_expect(struct follow *f, struct followed *c, uint64_t bytes, void *expectation)
{
    (void)pthread_mutex_lock(&f->lock);
    c->base = acknowledged(c->fd);
    c->expected = bytes;
    c->delivered = 0;
    c->expectation = expectation;
    c->moved = now_seconds();
    (void)pthread_mutex_unlock(&f->lock);
}

void follow_closed(struct follow *f, struct followed *c)
{
    (void)shutdown(c->fd, SHUT_WR);
    (void)pthread_mutex_lock(&f->lock);
    c->closed = true;
    c->moved = now_seconds();
    (void)pthread_mutex_unlock(&f->lock);
    wake(f);
}

unsigned follow_count(struct follow *f)
{
    (void)pthread_mutex_lock(&f->lock);
    unsigned count = f->count;
    (void)pthread_mutex_unlock(&f->lock);
    return count;
}
