/* SPDX-License-Identifier: MIT */
#include "server/door.h"

#include "base/clock.h"
#include "base/list.h"
#include "net/event_loop.h"
#include "server/deferral.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Accepted in one go: a few, for another door may have nobody to answer. But the kernel's queue is
 * short, and who finds it full tries again after a second: so it is twice as many each time as long
 * as there are more, and between the answers to a few others are accepted. */
#define FEW_ACCEPTS  16
#define MOST_ACCEPTS 1024
#define ANSWERS      64
/* When there is no descriptor left, new connections wait so long in the kernel. */
#define PAUSE_SECONDS 0.050

/* A request that comes so long after its connection did so over a network. */
#define NETWORK_SECONDS 0.0005

/* Told of what is new only: what was looked at stays in the socket. */
#define FIRST_EVENTS ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLET))

/* A connection whose request is not known to be whole. */
struct visitor {
    struct door *door;
    struct visitor *next; /* newcomer */
    struct link place;    /* among those who wait */
    struct watch *watch;  /* owned; NULL: it has just come */
    int fd;
    bool heard; /* something came of it after it was accepted */
    double since;
    union any_address address;
    socklen_t address_size;
};

struct door {
    struct door_options options;
    struct watch bell; /* rings when somebody wants in */
    bool rung;
    struct visitor *newcomers; /* not looked at yet, the first of them first */
    struct visitor **last;     /* where the next one goes */
    struct link visitors;      /* wait in the loop, the oldest first */
    unsigned waiting;          /* how many those are */
    int accepts;               /* in one go */
    double paused;             /* until then nobody is accepted; 0: they are */
    uint8_t bytes[HEAD_LONGEST];
};

static struct peer peer_of_visitor(const struct visitor *v)
{
    return peer_of(&v->address.any);
}

static struct visitor *of_place(struct link *link)
{
    return (struct visitor *)(void *)((char *)link - offsetof(struct visitor, place));
}

static void unlist(struct visitor *v)
{
    list_remove(&v->place);
    v->door->waiting -= v->watch != NULL ? 1 : 0;
}

static void discard(struct visitor *v)
{
    free(v->watch);
    free(v);
}

/* Without an answer. */
static void send_away(struct visitor *v, const char *reason)
{
    struct door *d = v->door;
    struct peer peer = peer_of_visitor(v);
    unlist(v);
    (void)close(v->fd);
    conn_limits_leave_pending(d->options.conn_limits, &peer);
    if (reason != NULL) {
        d->options.closed(d->options.context, &peer, reason);
    }
    discard(v);
}

/* Lets it go on to who answers it. */
static void pass_on(struct visitor *v, enum head_state state, const struct request_head *head)
{
    struct door *d = v->door;
    const struct arrival arrival = {.fd = v->fd,
                                    .watch = v->watch,
                                    .peer = peer_of_visitor(v),
                                    .address = &v->address.any,
                                    .address_size = v->address_size,
                                    .head = head};
    if (!conn_limits_admit(d->options.conn_limits, &arrival.peer)) {
        send_away(v, "too many connections of this address");
        return;
    }
    unlist(v);
    v->watch = NULL;
    if (state == HEAD_COMPLETE) {
        d->options.admit(d->options.context, &arrival);
    } else {
        d->options.refuse(d->options.context, &arrival);
    }
    discard(v);
}

static void told(void *context, uint32_t events);
static bool make_room(struct door *d);

/* False when there is no memory. */
static bool wait_in_loop(struct visitor *v)
{
    struct door *d = v->door;
    if (v->watch != NULL) {
        return true;
    }
    struct watch *watch = malloc(sizeof *watch);
    if (watch == NULL) {
        return false;
    }
    if (d->waiting >= d->options.waiting) {
        (void)make_room(d);
    }
    *watch = (struct watch){told, v};
    v->watch = watch;
    list_add_last(&d->visitors, &v->place);
    d->waiting++;
    return loop_watch(d->options.loop, v->fd, FIRST_EVENTS, v->watch);
}

static void wait_on(struct visitor *v)
{
    if (!wait_in_loop(v)) {
        send_away(v, "out of memory");
    }
}

static void look(struct visitor *v, bool last)
{
    struct door *d = v->door;
    struct request_head head;
    ssize_t got = recv(v->fd, d->bytes, sizeof d->bytes, MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) {
        bool nothing_yet = got < 0 && (errno == EAGAIN || errno == EINTR);
        if (!nothing_yet || last) {
            send_away(v, NULL); /* came and went: a port scan, a browser's spare connection */
        } else {
            wait_on(v);
        }
        return;
    }
    enum head_state state = head_parse(d->bytes, (size_t)got, d->options.head_size, &head);
    if (state == HEAD_PARTIAL && last) {
        head.status = 408;
        head.reason = "the request did not become whole";
        state = HEAD_REFUSED;
    }
    if (state == HEAD_PARTIAL) {
        wait_on(v);
    } else {
        pass_on(v, state, &head);
    }
}

/* Something has come of one that was looked at before. */
static void told(void *context, uint32_t events)
{
    struct visitor *v = context;
    if (!v->heard) {
        double now = now_seconds();
        deferral_note(v->door->options.deferral,
                      now - v->since > NETWORK_SECONDS ? NEWCOMER_LATE : NEWCOMER_ALONE, now);
        v->heard = true;
    }
    look(v, (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0);
}

static const char *unwelcome(enum conn_limits_answer answer)
{
    switch (answer) {
    case CONN_LIMITS_OK: return NULL;
    case CONN_LIMITS_FULL: return "too many connections";
    case CONN_LIMITS_FULL_ADDRESS: return "too many connections of this address";
    case CONN_LIMITS_NO_MEMORY: break;
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
    bool anybody = !list_is_empty(&d->visitors);
    if (anybody) {
        send_away(of_place(d->visitors.next), "no whole request yet, and others want in");
    }
    return anybody;
}

/* NULL, or why it may not come in. */
static const char *enter(struct door *d, const struct peer *peer)
{
    enum conn_limits_answer answer = conn_limits_enter(d->options.conn_limits, peer);
    if (answer == CONN_LIMITS_FULL && make_room(d)) {
        answer = conn_limits_enter(d->options.conn_limits, peer);
    }
    return unwelcome(answer);
}

static void welcome(struct door *d, int fd, const union any_address *address, socklen_t size)
{
    struct peer peer = peer_of(&address->any);
    const char *reason = is_allowed(d, &peer) ? enter(d, &peer) : "the address is not allowed";
    struct visitor *v = reason == NULL ? malloc(sizeof *v) : NULL;
    if (v == NULL) {
        (void)close(fd);
        if (reason == NULL) {
            conn_limits_leave_pending(d->options.conn_limits, &peer);
        }
        d->options.closed(d->options.context, &peer, reason != NULL ? reason : "out of memory");
        return;
    }
    *v = (struct visitor){
        .door = d, .fd = fd, .since = now_seconds(), .address = *address, .address_size = size};
    list_init(&v->place);
    *d->last = v;
    d->last = &v->next;
}

/* After the others that are told in this turn, for those who come in may send some away. */
static void ring(void *context, uint32_t events)
{
    struct door *d = context;
    (void)events;
    d->rung = true;
}

/* Of several doors one is woken. */
static bool watch_listening(struct door *d, bool on)
{
    if (!on) {
        loop_forget(d->options.loop, d->options.listening);
        return true;
    }
    return loop_watch(d->options.loop, d->options.listening, EPOLLIN | EPOLLEXCLUSIVE, &d->bell);
}

static void pause_accepting(struct door *d)
{
    (void)watch_listening(d, false);
    d->paused = now_seconds() + PAUSE_SECONDS;
}

/* So many at most; false when those were all. */
static bool accept_some(struct door *d, int most)
{
    for (int i = 0; i < most; i++) {
        union any_address address;
        socklen_t size = sizeof address;
        int fd = accept4(d->options.listening, &address.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(d, fd, &address, size);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            d->options.full(d->options.context, errno);
            pause_accepting(d);
            return false;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return false;
        }
    }
    return true;
}

/* NULL: there is none. */
static struct visitor *next_newcomer(struct door *d)
{
    struct visitor *v = d->newcomers;
    if (v != NULL) {
        d->newcomers = v->next;
        d->last = d->newcomers != NULL ? d->last : &d->newcomers;
    }
    return v;
}

static void look_at_newcomers(struct door *d, int most)
{
    struct visitor *v = NULL;
    for (int i = 0; i < most && (v = next_newcomer(d)) != NULL; i++) {
        look(v, false);
    }
}

/* The first does not wait for whether there are others. */
static void let_in(struct door *d)
{
    unsigned waiting = d->waiting;
    bool more = accept_some(d, 1);
    bool first = d->newcomers != NULL;
    look_at_newcomers(d, 1);
    bool answered = first && d->waiting <= waiting;
    if (!more || !accept_some(d, d->accepts)) {
        d->accepts = FEW_ACCEPTS;
    } else if (d->accepts < MOST_ACCEPTS) {
        d->accepts *= 2;
    }
    if (d->newcomers != NULL) {
        deferral_note(d->options.deferral, NEWCOMERS, now_seconds());
    } else if (answered) {
        deferral_note(d->options.deferral, NEWCOMER_ALONE, now_seconds());
    }
}

int door_timeout(const struct door *d)
{
    double until = d->paused;
    if (d->newcomers != NULL) {
        return 0;
    }
    if (!list_is_empty(&d->visitors)) {
        double late = of_place(d->visitors.next)->since + d->options.head_seconds;
        until = until > 0 && until < late ? until : late;
    }
    double left = until - now_seconds();
    return until <= 0 ? -1 : left > 0 ? (int)(left * 1000) + 1 : 0;
}

static void end_the_late(struct door *d)
{
    double before = now_seconds() - d->options.head_seconds;
    struct link *next = NULL;
    for (struct link *l = d->visitors.next; l != &d->visitors && of_place(l)->since <= before;
         l = next) {
        next = l->next;
        look(of_place(l), true);
    }
}

void door_turn(struct door *d)
{
    bool again = d->paused > 0 && now_seconds() >= d->paused;
    bool more = d->rung || again;
    d->rung = false;
    if (again) {
        d->paused = watch_listening(d, true) ? 0 : now_seconds() + PAUSE_SECONDS;
    }
    if (!list_is_empty(&d->visitors)) {
        end_the_late(d);
    }
    if (more) {
        let_in(d);
    }
    look_at_newcomers(d, ANSWERS);
}

struct door *door_new(const struct door_options *options)
{
    struct door *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->options = *options;
    d->bell = (struct watch){ring, d};
    d->last = &d->newcomers;
    d->accepts = FEW_ACCEPTS;
    list_init(&d->visitors);
    if (!watch_listening(d, true)) {
        free(d);
        return NULL;
    }
    return d;
}

void door_close(struct door *d)
{
    struct visitor *v = NULL;
    struct link *next = NULL;
    (void)watch_listening(d, false);
    while ((v = next_newcomer(d)) != NULL) {
        send_away(v, NULL);
    }
    for (struct link *l = d->visitors.next; l != &d->visitors; l = next) {
        next = l->next;
        send_away(of_place(l), NULL);
    }
}

void door_free(struct door *d)
{
    if (d != NULL) {
        door_close(d);
        free(d);
    }
}
