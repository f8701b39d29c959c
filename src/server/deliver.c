/* SPDX-License-Identifier: MIT */
#include "server/deliver.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's TCP_CLOSE: reset, or both sides have closed. */
#define STATE_CLOSE 7
/* After everything was acknowledged a client gets so long to close. */
#define LINGER_SECONDS 5.0

/* Connections hang on a wheel by the time of the next look at them. */
#define TICK          0.016
#define WHEEL         128 /* ticks; a look is never further ahead */
#define FIRST_LOOK    0.005
#define PROGRESS_LOOK 0.250
/* With many connections progress is looked at less often: as many looks a second at most. */
#define LOOKS 3000.0

/* Written at once, so that everybody gets a turn. */
#define PORTION 262144

/* Reads of 4 KB at one go. */
#define DRAINS 32

#define BUCKETS 4096 /* by address */
#define REPORTS 256  /* told in one go */
#define EVENTS  256

struct link {
    struct link *next;
    struct link *prev;
};

struct connection {
    struct link turn;    /* on the wheel; first: a pointer to it is a pointer to this */
    struct link address; /* in the bucket of its address */
    struct peer peer;
    int fd;
    int file;    /* borrowed from the parcel */
    uint64_t at; /* in the file: what has still to be written to the socket */
    uint64_t end;
    bool shut;      /* our side is shut down */
    bool peer_done; /* the client has closed its side */
    bool reset;
    uint64_t base;      /* acknowledged before */
    uint64_t expected;  /* bytes that are to be acknowledged */
    uint64_t delivered; /* of those */
    void *parcel;       /* NULL once ended */
    uint64_t mark;
    double began;
    double moved; /* when it last made progress */
};

struct deliver {
    struct deliver_options options;
    int wake; /* eventfd */
    int epoll;
    pthread_mutex_t telling; /* held by who collects reports, until they are told; taken first */
    pthread_mutex_t lock;    /* guards all that follows */
    struct link wheel[WHEEL];
    uint64_t tick; /* the next to be done */
    struct link addresses[BUCKETS];
    unsigned count;
};

/* ---- lists ---- */

static void list_init(struct link *head)
{
    head->next = head;
    head->prev = head;
}

static void list_add(struct link *head, struct link *link)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

static void list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

static struct connection *of_turn(struct link *link)
{
    return (struct connection *)(void *)link;
}

static struct connection *of_address(struct link *link)
{
    return (struct connection *)(void *)((char *)link - offsetof(struct connection, address));
}

static struct link *bucket(struct deliver *d, const struct peer *peer)
{
    return &d->addresses[peer_hash(peer) % BUCKETS];
}

static uint64_t tick_of(double seconds)
{
    return (uint64_t)(seconds / TICK);
}

static void look_in(struct deliver *d, struct connection *c, double now, double seconds)
{
    uint64_t tick = tick_of(now + seconds) + 1;
    uint64_t last = d->tick + WHEEL - 1;
    list_remove(&c->turn);
    list_add(&d->wheel[(tick < last ? tick : last) % WHEEL], &c->turn);
}

/* ---- one connection ---- */

static bool tcp_info(int fd, struct tcp_info *info)
{
    socklen_t size = sizeof *info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

static uint64_t acknowledged(int fd)
{
    struct tcp_info info = {0};
    return tcp_info(fd, &info) ? info.tcpi_bytes_acked : 0;
}

/* Throws away what the client still sends; of one that floods, a part now and the rest when more
 * comes. */
static void drain(struct connection *c)
{
    char scrap[4096];
    ssize_t got = 1;
    for (int i = 0; i < DRAINS && got > 0; i++) {
        got = recv(c->fd, scrap, sizeof scrap, MSG_DONTWAIT);
    }
    c->peer_done = c->peer_done || got == 0;
}

static bool is_written(const struct connection *c)
{
    return c->at == c->end;
}

/* Not before all is sent: a FIN pushes what is queued up to the edge of the receiver's window, and
 * with it a partial segment, which would shift all later ones. */
static void shut_when_sent(struct connection *c, const struct tcp_info *info)
{
    if (!c->shut && is_written(c) && info->tcpi_notsent_bytes == 0) {
        (void)shutdown(c->fd, SHUT_WR);
        c->shut = true;
    }
}

static bool watch(const struct deliver *d, int operation, int fd, uint32_t what,
                  struct connection *c)
{
    struct epoll_event event = {.events = what, .data = {.ptr = c}};
    return epoll_ctl(d->epoll, operation, fd, &event) == 0;
}

static void set_option(int fd, int name)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, name, &on, sizeof on);
}

#define WHILE_WRITING ((uint32_t)EPOLLOUT)
#define AFTERWARDS    ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLET))

/* With TCP_CORK only full segments leave. TCP_NODELAY on top lets the last one go, and still no
 * partial one at the edge of the receiver's window. */
static void after_writing(const struct deliver *d, struct connection *c)
{
    set_option(c->fd, TCP_NODELAY);
    (void)watch(d, EPOLL_CTL_MOD, c->fd, AFTERWARDS, c);
}

/* What has to be told of one connection after the lock is let go. */
struct report {
    void *parcel;
    uint64_t delivered;
    bool ended;
    enum deliver_end how;
    bool left;
    struct peer peer;
};

static struct report end_parcel(struct connection *c, enum deliver_end how)
{
    struct report r = {.parcel = c->parcel, .delivered = c->delivered, .ended = true, .how = how};
    c->parcel = NULL;
    c->expected = 0;
    c->end = c->at; /* the file may be gone from now on */
    return r;
}

static struct report look_at_progress(struct connection *c, uint64_t all_acked, bool empty,
                                      double now, unsigned idle)
{
    uint64_t acked = all_acked > c->base ? all_acked - c->base : 0;
    uint64_t delivered = acked < c->expected ? acked : c->expected;
    bool moved = delivered > c->delivered;
    if (moved) {
        c->delivered = delivered;
        c->moved = now;
    }
    if (c->delivered == c->expected) {
        return end_parcel(c, DELIVER_WHOLE);
    }
    if (c->reset || (c->peer_done && is_written(c) && empty)) {
        return end_parcel(c, DELIVER_GONE);
    }
    if (now - c->moved > idle) {
        return end_parcel(c, DELIVER_STALLED);
    }
    return (struct report){.parcel = moved ? c->parcel : NULL, .delivered = delivered};
}

/* True when nothing is left to do for it. */
static bool is_over(const struct connection *c, bool empty, double now, unsigned idle)
{
    if (c->parcel != NULL) {
        return false;
    }
    double limit = empty ? LINGER_SECONDS : (double)idle;
    return c->reset || (c->peer_done && c->shut && empty) || now - c->moved > limit;
}

static void forget(struct deliver *d, struct connection *c)
{
    list_remove(&c->turn);
    list_remove(&c->address);
    d->count--;
    /* libmicrohttpd may not have closed its descriptor yet: closing ours would not end the events.
     */
    (void)epoll_ctl(d->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    (void)close(c->fd);
    free(c);
}

/* When to look next: the end has no event of its own, so at half of what is left until it, as far
 * as the speed so far tells. */
static double next_look(const struct deliver *d, const struct connection *c, bool empty, double now)
{
    double busy = (double)d->count / LOOKS;
    double progress = busy > PROGRESS_LOOK ? busy : PROGRESS_LOOK;
    if (!is_written(c) || (empty && c->shut)) {
        return progress;
    }
    double passed = now - c->began;
    double left = c->delivered == 0
                      ? passed
                      : passed / (double)c->delivered * (double)(c->expected - c->delivered) / 2;
    return left < FIRST_LOOK ? FIRST_LOOK : left < progress ? left : progress;
}

/* Writes what the socket takes, some at a time. */
static void write_some(const struct deliver *d, struct connection *c)
{
    if (is_written(c)) {
        return;
    }
    uint64_t left = c->end - c->at;
    off_t at = (off_t)c->at;
    ssize_t sent = sendfile(c->fd, c->file, &at, left < PORTION ? (size_t)left : PORTION);
    if (sent > 0) {
        c->at += (uint64_t)sent;
    } else if (sent == 0 || (errno != EAGAIN && errno != EINTR)) {
        c->reset = true;
    }
    if (is_written(c)) {
        after_writing(d, c);
    }
}

/* One look. With `ends` it frees `c` when it is over: only a turn does that. */
static struct report look(struct deliver *d, struct connection *c, double now, bool ends)
{
    struct tcp_info info = {0};
    struct report r = {.parcel = NULL};
    c->reset = c->reset || !tcp_info(c->fd, &info) || info.tcpi_state == STATE_CLOSE;
    shut_when_sent(c, &info);
    bool empty = is_written(c) && info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
    if (c->parcel != NULL) {
        r = look_at_progress(c, info.tcpi_bytes_acked, empty, now, d->options.idle_seconds);
    }
    if (ends && is_over(c, empty, now, d->options.idle_seconds)) {
        r.left = true;
        r.peer = c->peer;
        forget(d, c);
    } else {
        look_in(d, c, now, next_look(d, c, empty, now));
    }
    return r;
}

static void tell(const struct deliver *d, const struct report *r)
{
    if (r->parcel != NULL && r->ended) {
        d->options.end(r->parcel, r->delivered, r->how);
    } else if (r->parcel != NULL) {
        d->options.progress(r->parcel, r->delivered);
    }
    if (r->left) {
        d->options.left(d->options.context, &r->peer);
    }
}

static size_t note(struct report *reports, size_t count, const struct report *r)
{
    if (r->parcel != NULL || r->left) {
        reports[count++] = *r;
    }
    return count;
}

void deliver_look(struct deliver *d, const struct peer *peer, uint64_t mark)
{
    struct report reports[REPORTS];
    size_t count = 0;
    double now = now_seconds();
    (void)pthread_mutex_lock(&d->telling);
    (void)pthread_mutex_lock(&d->lock);
    struct link *head = bucket(d, peer);
    for (struct link *link = head->next; link != head && count < REPORTS;) {
        struct connection *c = of_address(link);
        link = link->next;
        if (c->mark == mark && peer_same_address(&c->peer, peer)) {
            struct report r = look(d, c, now, false);
            count = note(reports, count, &r);
        }
    }
    (void)pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < count; i++) {
        tell(d, &reports[i]);
    }
    (void)pthread_mutex_unlock(&d->telling);
}

/* ---- turns ---- */

/* Those whose turn it is, some at a time. False when all had it. */
static bool some_turns(struct deliver *d, double now)
{
    struct report reports[REPORTS];
    size_t count = 0;
    uint64_t until = tick_of(now);
    (void)pthread_mutex_lock(&d->telling);
    (void)pthread_mutex_lock(&d->lock);
    while (d->tick <= until && count < REPORTS) {
        struct link *head = &d->wheel[d->tick % WHEEL];
        struct link *next = NULL;
        for (struct link *link = head->next; link != head && count < REPORTS; link = next) {
            next = link->next;
            struct report r = look(d, of_turn(link), now, true);
            count = note(reports, count, &r);
        }
        d->tick += head->next == head ? 1 : 0;
    }
    bool more = d->tick <= until;
    (void)pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < count; i++) {
        tell(d, &reports[i]);
    }
    (void)pthread_mutex_unlock(&d->telling);
    return more;
}

/* Something has happened on connections that were taken over. */
static void look_at_events(struct deliver *d, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c == NULL) {
            uint64_t value;
            (void)!read(d->wake, &value, sizeof value);
            continue;
        }
        (void)pthread_mutex_lock(&d->telling);
        (void)pthread_mutex_lock(&d->lock);
        write_some(d, c);
        if (is_written(c)) {
            drain(c);
        }
        struct report r = look(d, c, now_seconds(), true);
        (void)pthread_mutex_unlock(&d->lock);
        tell(d, &r);
        (void)pthread_mutex_unlock(&d->telling);
    }
}

int deliver_fd(const struct deliver *d)
{
    return d->epoll;
}

int deliver_timeout(struct deliver *d)
{
    (void)pthread_mutex_lock(&d->lock);
    bool idle = d->count == 0;
    (void)pthread_mutex_unlock(&d->lock);
    return idle ? -1 : (int)(TICK * 1000);
}

void deliver_turn(struct deliver *d)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(d->epoll, events, EVENTS, 0);
    look_at_events(d, events, count);
    while (some_turns(d, now_seconds())) {
    }
}

static void wake(const struct deliver *d)
{
    const uint64_t one = 1;
    (void)!write(d->wake, &one, sizeof one);
}

static void close_descriptors(const struct deliver *d)
{
    if (d->wake >= 0) {
        (void)close(d->wake);
    }
    if (d->epoll >= 0) {
        (void)close(d->epoll);
    }
}

struct deliver *deliver_new(const struct deliver_options *options)
{
    struct deliver *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->options = *options;
    for (size_t i = 0; i < WHEEL; i++) {
        list_init(&d->wheel[i]);
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&d->addresses[i]);
    }
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_mutex_init(&d->telling, NULL);
    d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->wake < 0 || d->epoll < 0 || !watch(d, EPOLL_CTL_ADD, d->wake, EPOLLIN, NULL)) {
        close_descriptors(d);
        (void)pthread_mutex_destroy(&d->lock);
        (void)pthread_mutex_destroy(&d->telling);
        free(d);
        return NULL;
    }
    return d;
}

void deliver_free(struct deliver *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        struct link *head = &d->addresses[i];
        struct link *next = NULL;
        for (struct link *link = head->next; link != head; link = next) {
            struct connection *c = of_address(link);
            struct report r = {.parcel = NULL};
            next = link->next;
            if (c->parcel != NULL) {
                r = end_parcel(c, DELIVER_GONE);
            }
            r.left = true;
            r.peer = c->peer;
            forget(d, c);
            tell(d, &r);
        }
    }
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_mutex_destroy(&d->telling);
    close_descriptors(d);
    free(d);
}

/* As much as the socket takes: often all of it. */
static void write_at_once(const struct deliver *d, struct connection *c)
{
    uint64_t before;
    do {
        before = c->at;
        write_some(d, c);
    } while (!is_written(c) && c->at != before);
}

static struct connection *connection_new(int fd, const struct peer *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->fd = fd;
        c->peer = *peer;
        c->began = now_seconds();
        c->moved = c->began;
        list_init(&c->turn);
    }
    return c;
}

static void add(struct deliver *d, struct connection *c)
{
    struct tcp_info info = {0};
    if (tcp_info(c->fd, &info)) {
        shut_when_sent(c, &info);
    }
    bool written = is_written(c);
    (void)pthread_mutex_lock(&d->lock);
    bool first = d->count++ == 0;
    if (first) {
        d->tick = tick_of(c->moved);
    }
    list_add(bucket(d, &c->peer), &c->address);
    look_in(d, c, c->moved, FIRST_LOOK);
    /* Without memory for this the looks alone see it to its end. */
    (void)watch(d, EPOLL_CTL_ADD, c->fd, written ? AFTERWARDS : WHILE_WRITING, c);
    (void)pthread_mutex_unlock(&d->lock);
    if (first) {
        wake(d);
    }
}

bool deliver_send(struct deliver *d, int fd, const struct peer *peer,
                  const struct deliver_load *load)
{
    struct connection *c = connection_new(fd, peer);
    if (c == NULL) {
        return false;
    }
    c->file = load->file;
    c->at = load->first;
    c->end = load->first + load->size;
    c->base = acknowledged(fd);
    c->expected = load->header_size + load->size;
    c->parcel = load->parcel;
    c->mark = load->mark;
    set_option(fd, TCP_CORK);
    /* It fits an empty send buffer. */
    c->reset =
        send(fd, load->header, load->header_size, MSG_NOSIGNAL) != (ssize_t)load->header_size;
    write_at_once(d, c);
    if (load->size == 0) {
        set_option(fd, TCP_NODELAY);
    }
    add(d, c);
    return true;
}

bool deliver_finish(struct deliver *d, int fd, const struct peer *peer)
{
    struct connection *c = connection_new(fd, peer);
    if (c == NULL) {
        return false;
    }
    add(d, c);
    return true;
}

unsigned deliver_count(struct deliver *d)
{
    (void)pthread_mutex_lock(&d->lock);
    unsigned count = d->count;
    (void)pthread_mutex_unlock(&d->lock);
    return count;
}
