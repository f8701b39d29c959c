/* SPDX-License-Identifier: MIT */
#include "server/door.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 256
/* Accepted in one go, so that those who wait get their turn, and the other doors some work. */
#define ACCEPTS 16
/* When there is no descriptor left, new connections wait so long in the kernel. */
#define PAUSE_MILLISECONDS 50

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* A connection whose request is not whole. All of them form a list, the oldest first. */
struct visitor {
    struct visitor *next;
    struct visitor *prev;
    int fd;
    double since;
    union any_address address;
    socklen_t address_size;
};

struct door {
    struct door_options options;
    int epoll;
    struct visitor list; /* ends of the list */
    unsigned waiting;
    bool paused; /* not accepting for a while */
    uint8_t bytes[HEAD_LONGEST];
};

static struct peer peer_of_visitor(const struct visitor *v)
{
    return peer_of(&v->address.any);
}

static bool watch(const struct door *d, int fd, uint32_t what, void *pointer)
{
    struct epoll_event event = {.events = what, .data = {.ptr = pointer}};
    return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void unlist(struct door *d, struct visitor *v)
{
    v->prev->next = v->next;
    v->next->prev = v->prev;
    d->waiting--;
}

static void enlist(struct door *d, struct visitor *v)
{
    v->next = &d->list;
    v->prev = d->list.prev;
    v->prev->next = v;
    v->next->prev = v;
    d->waiting++;
}

/* Without an answer. */
static void send_away(struct door *d, struct visitor *v, const char *reason)
{
    struct peer peer = peer_of_visitor(v);
    unlist(d, v);
    (void)close(v->fd);
    census_turn_back(d->options.census, &peer);
    if (reason != NULL) {
        d->options.closed(d->options.context, &peer, reason);
    }
    free(v);
}

/* Lets it go on to who answers it. */
static void pass_on(struct door *d, struct visitor *v, enum head_state state,
                    const struct request_head *head)
{
    struct peer peer = peer_of_visitor(v);
    if (!census_admit(d->options.census, &peer)) {
        send_away(d, v, "too many connections of this address");
        return;
    }
    unlist(d, v);
    (void)epoll_ctl(d->epoll, EPOLL_CTL_DEL, v->fd, NULL);
    if (state == HEAD_WHOLE) {
        d->options.admit(d->options.context, v->fd, &v->address.any, v->address_size, head);
    } else {
        d->options.refuse(d->options.context, v->fd, &peer, head);
    }
    free(v);
}

static void look(struct door *d, struct visitor *v, bool last)
{
    struct request_head head;
    ssize_t got = recv(v->fd, d->bytes, sizeof d->bytes, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) {
        bool nothing_yet = got < 0 && (errno == EAGAIN || errno == EINTR);
        if (!nothing_yet || last) {
            send_away(d, v, NULL); /* came and went: a port scan, a browser's spare connection */
        }
        return;
    }
    enum head_state state = head_parse(d->bytes, (size_t)got, &head);
    if (state == HEAD_PARTIAL && last) {
        head.status = 408;
        head.reason = "the request did not become whole";
        state = HEAD_REFUSED;
    }
    if (state != HEAD_PARTIAL) {
        pass_on(d, v, state, &head);
    }
}

static const char *unwelcome(enum census_answer answer)
{
    switch (answer) {
    case CENSUS_WELCOME: return NULL;
    case CENSUS_FULL: return "too many connections";
    case CENSUS_FULL_ADDRESS: return "too many connections of this address";
    case CENSUS_NO_MEMORY: break;
    }
    return "out of memory";
}

static bool is_allowed(const struct door *d, const struct peer *peer)
{
    for (size_t i = 0; i < d->options.allowed_count; i++) {
        if (cidr_holds(&d->options.allowed[i], peer)) {
            return true;
        }
    }
    return d->options.allowed_count == 0;
}

/* Who waits without a whole request keeps nobody out: the oldest is sent away. */
static bool make_room(struct door *d)
{
    bool anybody = d->list.next != &d->list;
    if (anybody) {
        send_away(d, d->list.next, "no whole request yet, and others want in");
    }
    return anybody;
}

/* NULL, or why it may not come in. */
static const char *enter(struct door *d, const struct peer *peer)
{
    enum census_answer answer = census_enter(d->options.census, peer);
    if (answer == CENSUS_FULL && make_room(d)) {
        answer = census_enter(d->options.census, peer);
    }
    return unwelcome(answer);
}

static void welcome(struct door *d, int fd, const union any_address *address, socklen_t size)
{
    struct peer peer = peer_of(&address->any);
    const char *reason = is_allowed(d, &peer) ? enter(d, &peer) : "the address is not allowed";
    struct visitor *v = reason == NULL ? calloc(1, sizeof *v) : NULL;
    if (v == NULL) {
        (void)close(fd);
        if (reason == NULL) {
            census_turn_back(d->options.census, &peer);
        }
        d->options.closed(d->options.context, &peer, reason != NULL ? reason : "out of memory");
        return;
    }
    v->fd = fd;
    v->since = now_seconds();
    v->address = *address;
    v->address_size = size;
    if (d->waiting >= d->options.waiting) {
        (void)make_room(d);
    }
    enlist(d, v);
    if (!watch(d, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, v)) {
        send_away(d, v, "out of memory");
        return;
    }
    look(d, v, false);
}

/* Of several doors one is woken. */
static bool watch_listening(const struct door *d, bool on)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.u64 = 0}};
    event.data.ptr = (void *)(uintptr_t)d;
    return epoll_ctl(d->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, d->options.listening, &event) ==
           0;
}

static void pause_accepting(struct door *d, bool pause)
{
    (void)watch_listening(d, !pause);
    d->paused = pause;
}

static void accept_some(struct door *d)
{
    for (int i = 0; i < ACCEPTS; i++) {
        union any_address address;
        socklen_t size = sizeof address;
        int fd = accept4(d->options.listening, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(d, fd, &address, size);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            d->options.full(d->options.context, errno);
            pause_accepting(d, true);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* Milliseconds until the oldest has had its time; -1: nobody waits. */
int door_timeout(const struct door *d)
{
    if (d->paused) {
        return PAUSE_MILLISECONDS;
    }
    if (d->list.next == &d->list) {
        return -1;
    }
    double left = d->list.next->since + d->options.head_seconds - now_seconds();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

static void end_the_late(struct door *d)
{
    double now = now_seconds();
    struct visitor *next = NULL;
    for (struct visitor *v = d->list.next;
         v != &d->list && now - v->since >= d->options.head_seconds; v = next) {
        next = v->next;
        look(d, v, true);
    }
}

int door_fd(const struct door *d)
{
    return d->epoll;
}

void door_turn(struct door *d)
{
    struct epoll_event events[EVENTS];
    bool more = d->paused;
    int count = epoll_wait(d->epoll, events, EVENTS, 0);
    if (d->paused) {
        pause_accepting(d, false);
    }
    for (int i = 0; i < count; i++) {
        void *who = events[i].data.ptr;
        if (who == d) {
            more = true;
        } else {
            look(d, who, (events[i].events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0);
        }
    }
    /* Afterwards, for it may send away those whose events were still to be looked at. */
    end_the_late(d);
    if (more) {
        accept_some(d);
    }
}

struct door *door_new(const struct door_options *options)
{
    struct door *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->options = *options;
    d->list.next = &d->list;
    d->list.prev = &d->list;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll < 0 || !watch_listening(d, true)) {
        door_free(d);
        return NULL;
    }
    return d;
}

void door_close(struct door *d)
{
    (void)watch_listening(d, false);
    struct visitor *next = NULL;
    for (struct visitor *v = d->list.next; v != &d->list; v = next) {
        next = v->next;
        send_away(d, v, NULL);
    }
}

void door_free(struct door *d)
{
    if (d == NULL) {
        return;
    }
    door_close(d);
    if (d->epoll >= 0) {
        (void)close(d->epoll);
    }
    free(d);
}
