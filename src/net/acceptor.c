/* SPDX-License-Identifier: MIT */
#include "net/acceptor.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Accepted in one turn: few at first, for another thread may be idle. But the kernel's queue is
 * short, and a client that finds it full tries again after a second: so the number doubles as long
 * as there are more, and between the answers to a few others are accepted. */
#define FEW_ACCEPTS  16
#define MOST_ACCEPTS 1024
#define ANSWERS      64
/* Without a descriptor new connections wait so long in the kernel. */
#define PAUSE_SECONDS 0.050

/* Edge-triggered: what was peeked at stays in the socket. */
#define INPUT_EVENTS ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLET))

struct acceptor {
    struct acceptor_options options;
    struct handler handler;
    bool ready; /* a connection waits to be accepted */
    bool closed;
    struct conn *first; /* accepted, and not read yet */
    struct conn **last;
    int accepts;   /* in one turn */
    double paused; /* accepts nothing until then; 0: it accepts */
};

static void on_event(void *context, uint32_t events);
static bool make_room(struct acceptor *a);

static void wait_for_input(struct acceptor *a, struct conn *c)
{
    struct conn_set *set = a->options.set;
    if (c->in_loop) {
        return;
    }
    if (set->pending_count >= a->options.pending) {
        (void)make_room(a);
    }
    c->handler = (struct handler){on_event, c};
    c->user = NULL;
    list_add_last(&set->pending, &c->place);
    set->pending_count++;
    if (!conn_watch(c, INPUT_EVENTS)) {
        conn_reject(c, "out of memory");
    }
}

static void read_input(struct acceptor *a, struct conn *c, bool last)
{
    ssize_t got = conn_peek(c);
    if (got <= 0) {
        bool nothing_yet = got < 0 && (errno == EAGAIN || errno == EINTR);
        if (!nothing_yet || last) {
            conn_reject(c, NULL); /* a port scan, a browser's spare connection */
        } else {
            wait_for_input(a, c);
        }
    } else if (!a->options.on_input(a->options.input_context, c, c->set->input, (size_t)got,
                                    last)) {
        wait_for_input(a, c);
    }
}

static void on_event(void *context, uint32_t events)
{
    struct conn *c = context;
    read_input(c->set->acceptor, c, (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0);
}

static const char *refusal_text(enum conn_limits_answer answer)
{
    switch (answer) {
    case CONN_LIMITS_OK: return NULL;
    case CONN_LIMITS_FULL: return "too many connections";
    case CONN_LIMITS_FULL_ADDRESS: return "too many connections of this address";
    case CONN_LIMITS_NO_MEMORY: break;
    }
    return "out of memory";
}

static bool is_allowed(const struct acceptor *a, const struct peer *peer)
{
    for (size_t i = 0; i < a->options.allowed_count; i++) {
        if (cidr_holds(&a->options.allowed[i], peer)) {
            return true;
        }
    }
    return a->options.allowed_count == 0;
}

/* Connections without a complete request make room, the oldest first. */
static bool make_room(struct acceptor *a)
{
    struct link *pending = &a->options.set->pending;
    bool any = !list_is_empty(pending);
    if (any) {
        conn_reject(conn_of_place(pending->next),
                    "connection limit reached before the request was complete");
    }
    return any;
}

/* NULL, or why the connection is closed. */
static const char *enter(struct acceptor *a, const struct peer *peer)
{
    struct conn_limits *limits = a->options.set->limits;
    enum conn_limits_answer answer = conn_limits_enter(limits, peer);
    if (answer == CONN_LIMITS_FULL && make_room(a)) {
        answer = conn_limits_enter(limits, peer);
    }
    return refusal_text(answer);
}

static void add(struct acceptor *a, int fd, const struct peer *peer)
{
    struct conn_set *set = a->options.set;
    const char *reason = is_allowed(a, peer) ? enter(a, peer) : "the address is not allowed";
    struct conn *c = reason == NULL ? conn_new(set, fd, peer) : NULL;
    if (c != NULL) {
        *a->last = c;
        a->last = &c->next;
        return;
    }
    (void)close(fd);
    if (reason == NULL) {
        conn_limits_leave_pending(set->limits, peer);
        reason = "out of memory";
    }
    set->on_reject(set->context, peer, reason);
}

/* After the other events of this turn: a new connection may close others. */
static void on_listening(void *context, uint32_t events)
{
    struct acceptor *a = context;
    (void)events;
    a->ready = true;
}

/* Of several acceptors one is woken. */
static bool watch_listening(struct acceptor *a)
{
    return event_loop_add(a->options.set->loop, a->options.listening, EPOLLIN | EPOLLEXCLUSIVE,
                          &a->handler);
}

static void pause_accepting(struct acceptor *a)
{
    event_loop_remove(a->options.set->loop, a->options.listening);
    a->paused = now_seconds() + PAUSE_SECONDS;
}

/* False when those were all. */
static bool accept_some(struct acceptor *a)
{
    for (int i = 0; i < a->accepts; i++) {
        union any_address address;
        socklen_t size = sizeof address;
        int fd = accept4(a->options.listening, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            const struct peer peer = peer_of(&address.any);
            add(a, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            a->options.on_exhausted(a->options.context, errno);
            pause_accepting(a);
            return false;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return false;
        }
    }
    return true;
}

/* NULL: there is none. */
static struct conn *next_accepted(struct acceptor *a)
{
    struct conn *c = a->first;
    if (c != NULL) {
        a->first = c->next;
        a->last = a->first != NULL ? a->last : &a->first;
    }
    return c;
}

int acceptor_timeout(const struct acceptor *a)
{
    const struct link *pending = &a->options.set->pending;
    double until = a->paused;
    if (a->first != NULL) {
        return 0;
    }
    if (!list_is_empty(pending)) {
        double late = conn_of_place(pending->next)->since + a->options.request_seconds;
        until = until > 0 && until < late ? until : late;
    }
    if (until <= 0) {
        return -1;
    }
    double left = until - now_seconds();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

static void end_the_late(struct acceptor *a)
{
    struct link *pending = &a->options.set->pending;
    double before = now_seconds() - a->options.request_seconds;
    while (!list_is_empty(pending) && conn_of_place(pending->next)->since <= before) {
        read_input(a, conn_of_place(pending->next), true);
    }
}

static void resume_accepting(struct acceptor *a)
{
    if (a->paused > 0 && now_seconds() >= a->paused) {
        a->ready = watch_listening(a);
        a->paused = a->ready ? 0 : now_seconds() + PAUSE_SECONDS;
    }
}

void acceptor_turn(struct acceptor *a)
{
    if (a->closed) {
        return;
    }
    resume_accepting(a);
    if (!list_is_empty(&a->options.set->pending)) {
        end_the_late(a);
    }
    if (a->ready) {
        a->ready = false;
        if (!accept_some(a)) {
            a->accepts = FEW_ACCEPTS;
        } else if (a->accepts < MOST_ACCEPTS) {
            a->accepts *= 2;
        }
    }
    struct conn *c = NULL;
    for (int i = 0; i < ANSWERS && (c = next_accepted(a)) != NULL; i++) {
        read_input(a, c, false);
    }
}

struct acceptor *acceptor_new(const struct acceptor_options *options)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return NULL;
    }
    a->options = *options;
    a->handler = (struct handler){on_listening, a};
    a->last = &a->first;
    a->accepts = FEW_ACCEPTS;
    if (!watch_listening(a)) {
        free(a);
        return NULL;
    }
    options->set->acceptor = a;
    return a;
}

void acceptor_close(struct acceptor *a)
{
    struct conn_set *set = a->options.set;
    struct conn *c = NULL;
    if (a->closed) {
        return;
    }
    a->closed = true;
    if (a->paused <= 0) {
        event_loop_remove(set->loop, a->options.listening);
    }
    while ((c = next_accepted(a)) != NULL) {
        conn_reject(c, NULL);
    }
    while (!list_is_empty(&set->pending)) {
        conn_reject(conn_of_place(set->pending.next), NULL);
    }
}

void acceptor_free(struct acceptor *a)
{
    if (a != NULL) {
        acceptor_close(a);
        free(a);
    }
}
