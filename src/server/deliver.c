/* SPDX-License-Identifier: MIT */
#include "server/deliver.h"

#include "base/clock.h"
#include "base/file.h"
#include "net/event_loop.h"
#include "net/timer_wheel.h"
#include "server/conveyor.h"
#include "server/door.h"

#include <errno.h>
#include <linux/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The kernel's names, which netinet/tcp.h has and linux/tcp.h, with all of tcp_info, has not. */
enum { TIME_WAIT = 6, CLOSE = 7, CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11 };
/* After everything was acknowledged a client gets so long to close. */
#define LINGER_SECONDS 5.0

/* By then most fast clients have everything, and have left. */
#define FIRST_LOOK 0.005
/* Then events tell what happens; a look finds who has stalled. */
#define NEXT_LOOK 8.0
/* Without memory for events. */
#define RETRY_LOOK 0.250

/* Reads of so many bytes at one go. */
#define SCRAP  16384
#define DRAINS 16

/* Some of a device's windows, so that it never waits for this thread. */
#define LEAST_UNSENT 32768

/* Small, so that the client has something to read while the rest is put into the socket. */
#define FIRST_PIECE 65536

#define BUCKETS 4096 /* by address */
#define REPORTS 64   /* told in one go */
/* In one turn: each may close a connection, and who asks meanwhile waits. */
#define LOOKS_AT_ONCE 8

struct connection {
    struct deliver *deliver;
    struct watch *watch; /* owned; NULL: the loop does not know it */
    struct link turn;    /* on the wheel, for the next look */
    struct link address; /* in the bucket of its address */
    struct peer peer;
    int fd;
    bool shared; /* somebody else's descriptor of it is still open, for a moment */
    const struct memory_file *file; /* borrowed from the parcel */
    uint64_t begin;                 /* in the file: of what is sent */
    uint64_t at;                    /* what has still to be written to the socket */
    uint64_t end;
    size_t unsent;  /* so much may wait in the kernel to be sent */
    bool awaited;   /* the loop tells of it */
    bool near_end;  /* the loop tells when all is sent */
    bool shut;      /* our side is shut down */
    bool sent;      /* all of it was, when it was last looked at */
    bool empty;     /* nothing was left to be acknowledged then */
    bool peer_done; /* the client has closed its side */
    bool reset;
    uint64_t expected;  /* bytes that are to be acknowledged */
    uint64_t delivered; /* of those */
    void *parcel;       /* NULL once ended */
    uint64_t mark;
    uint64_t round; /* the last of looks by others that has seen it */
    double moved;   /* when it was last seen to have made progress */
};

struct deliver {
    struct deliver_options options;
    struct conveyor conveyor; /* of the thread whose turns these are */
    pthread_mutex_t telling;  /* held by who collects reports, until they are told; taken first */
    pthread_mutex_t lock;     /* guards all that follows */
    struct timer_wheel wheel;
    struct link addresses[BUCKETS];
    uint64_t round;
    atomic_uint count;
};

/* The one whose turns are this thread's. */
static _Thread_local const struct deliver *own;

static struct connection *of_turn(struct link *link)
{
    return (struct connection *)(void *)((char *)link - offsetof(struct connection, turn));
}

static struct connection *of_address(struct link *link)
{
    return (struct connection *)(void *)((char *)link - offsetof(struct connection, address));
}

static struct link *bucket(struct deliver *d, const struct peer *peer)
{
    return &d->addresses[peer_hash(peer) % BUCKETS];
}

/* ---- one connection ---- */

static bool is_written(const struct connection *c)
{
    return c->at == c->end;
}

/* How much the client has acknowledged. */
static uint64_t ask_kernel(struct connection *c)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    bool known = getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    unsigned state = info.tcpi_state;
    c->reset = c->reset || !known || state == CLOSE;
    c->peer_done = state == CLOSE_WAIT || state == LAST_ACK || state == CLOSING ||
                   state == TIME_WAIT || state == CLOSE;
    c->sent = is_written(c) && info.tcpi_notsent_bytes == 0;
    c->empty = c->sent && info.tcpi_unacked == 0;
    return info.tcpi_bytes_acked;
}

/* Throws away what the client still sends; of one that floods, a part now. */
static void drain(const struct connection *c)
{
    char scrap[SCRAP];
    ssize_t got = SCRAP;
    for (int i = 0; i < DRAINS && got == SCRAP; i++) {
        got = recv(c->fd, scrap, sizeof scrap, MSG_DONTWAIT);
    }
}

static void set_option(int fd, int name, int value)
{
    (void)setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
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

static struct report look_at_progress(struct connection *c, uint64_t acked, double now,
                                      unsigned idle)
{
    uint64_t delivered = acked < c->expected ? acked : c->expected;
    bool moved = delivered > c->delivered;
    if (moved) {
        c->delivered = delivered;
        c->moved = now;
    }
    if (c->delivered == c->expected) {
        return end_parcel(c, DELIVER_WHOLE);
    }
    if (c->reset || (c->peer_done && c->empty)) {
        return end_parcel(c, DELIVER_GONE);
    }
    if (now - c->moved > idle) {
        return end_parcel(c, DELIVER_STALLED);
    }
    return (struct report){.parcel = moved ? c->parcel : NULL, .delivered = delivered};
}

/* True when nothing is left to do for it. */
static bool is_over(const struct connection *c, double now, unsigned idle)
{
    if (c->parcel != NULL) {
        return false;
    }
    double limit = c->empty ? LINGER_SECONDS : (double)idle;
    return c->reset || (c->peer_done && c->empty) || now - c->moved > limit;
}

static void forget(struct deliver *d, struct connection *c)
{
    timer_wheel_cancel(&d->wheel, &c->turn);
    list_remove(&c->address);
    (void)atomic_fetch_sub(&d->count, 1);
    if (c->shared && c->watch != NULL) { /* then closing ours would not end the events */
        loop_forget(d->options.loop, c->fd);
    }
    (void)close(c->fd);
    free(c->watch);
    free(c);
}

static double next_look(const struct connection *c)
{
    if (!c->awaited) {
        return RETRY_LOOK;
    }
    return c->parcel == NULL && c->empty ? LINGER_SECONDS : NEXT_LOOK;
}

static void told(void *context, uint32_t events);

/* From now on the loop tells of it: of room to write into, of what the client sends, and of its
 * end. What is the case already is told too. Without memory for that the next look tries again. */
static void await(const struct deliver *d, struct connection *c)
{
    const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (!c->awaited) {
        drain(c); /* the request is still there */
    }
    if (c->watch != NULL) {
        c->awaited = loop_change(d->options.loop, c->fd, events, c->watch);
        return;
    }
    c->watch = malloc(sizeof *c->watch);
    if (c->watch == NULL) {
        return;
    }
    *c->watch = (struct watch){told, c};
    c->awaited = loop_watch(d->options.loop, c->fd, events, c->watch);
    if (!c->awaited) {
        free(c->watch);
        c->watch = NULL;
    }
}

/* That all is sent is told as room when nothing may be unsent. */
static void await_sent(const struct deliver *d, struct connection *c)
{
    set_option(c->fd, TCP_NOTSENT_LOWAT, 1);
    c->near_end = true;
    await(d, c);
}

/* Sees to it that the loop tells of its next step. This side is not shut down before all is sent: a
 * FIN pushes what is queued up to the edge of the receiver's window, and with it a partial segment,
 * which would shift all later ones. */
static void go_on(const struct deliver *d, struct connection *c)
{
    if (c->sent && !c->shut) {
        (void)shutdown(c->fd, SHUT_WR);
        c->shut = true;
    }
    if (is_written(c) && !c->shut && !c->near_end) {
        await_sent(d, c);
    } else if (!c->awaited) {
        await(d, c);
    }
}

/* How much the socket took; -1: nothing. errno is EAGAIN when there is no room left. What may wait
 * in the kernel as a whole goes by the conveyor, which takes in vain what there is no room for. */
static ssize_t write_some(struct deliver *d, const struct connection *c)
{
    size_t left = (size_t)(c->end - c->at);
    off_t at = (off_t)c->at;
    if (own == d && !c->awaited && left <= c->unsent) {
        size_t size = c->at == c->begin && left > FIRST_PIECE ? FIRST_PIECE : left;
        ssize_t sent = conveyor_send(&d->conveyor, c->fd, c->file->data + c->at, size);
        if (sent >= 0 || errno != ENOSYS) {
            return sent;
        }
    }
    errno = 0;
    ssize_t sent = sendfile(c->fd, c->file->fd, &at, left);
    if (sent > 0 && (size_t)sent < left) {
        errno = EAGAIN; /* nearly always: what was interrupted goes on at the next look */
    }
    return sent;
}

/* Writes what the socket takes. With TCP_CORK only full segments leave; TCP_NODELAY on top lets the
 * last one go, and still no partial one at the edge of the receiver's window. */
static void write_on(struct deliver *d, struct connection *c)
{
    bool room = true;
    while (!is_written(c) && room && !c->reset) {
        ssize_t sent = write_some(d, c);
        room = errno != EAGAIN;
        c->at += sent > 0 ? (uint64_t)sent : 0;
        c->reset = sent == 0 || (sent < 0 && room && errno != EINTR);
    }
    if (is_written(c)) {
        set_option(c->fd, TCP_NODELAY, 1);
    }
}

static struct report leave(struct deliver *d, struct connection *c, struct report r)
{
    r.left = true;
    r.peer = c->peer;
    drain(c); /* what is left unread would make the close a reset */
    forget(d, c);
    return r;
}

/* One look. In a turn it is also one of those that are due, writes on, and frees `c` when it is
 * over. */
static struct report look(struct deliver *d, struct connection *c, double now, bool turn)
{
    struct report r = {.parcel = NULL};
    if (turn && !is_written(c)) {
        write_on(d, c);
    }
    uint64_t acked = ask_kernel(c);
    if (c->parcel != NULL) {
        r = look_at_progress(c, acked, now, d->options.idle_seconds);
    }
    if (turn && is_over(c, now, d->options.idle_seconds)) {
        return leave(d, c, r);
    }
    go_on(d, c);
    if (turn) {
        timer_wheel_set(&d->wheel, &c->turn, now, next_look(c));
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

static void tell_all(const struct deliver *d, const struct report *reports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tell(d, &reports[i]);
    }
}

/* Whom a round of looks is for: all that still get something, or some of an address. */
struct round {
    uint64_t number;
    double now;
    const struct peer *peer; /* NULL: all */
    uint64_t mark;
};

static bool is_of_round(const struct connection *c, const struct round *r)
{
    return c->parcel != NULL && c->round < r->number &&
           (r->peer == NULL || (c->mark == r->mark && peer_same_address(&c->peer, r->peer)));
}

/* Looks at some of a bucket; true when that was all. */
static bool look_at_some(struct deliver *d, struct link *head, const struct round *round)
{
    struct report reports[REPORTS];
    size_t seen = 0;
    size_t count = 0;
    (void)pthread_mutex_lock(&d->telling);
    (void)pthread_mutex_lock(&d->lock);
    struct link *link = head->next;
    for (; link != head && seen < REPORTS; link = link->next) {
        struct connection *c = of_address(link);
        if (is_of_round(c, round)) {
            struct report r = look(d, c, round->now, false);
            count = note(reports, count, &r);
            c->round = round->number;
            seen++;
        }
    }
    (void)pthread_mutex_unlock(&d->lock);
    tell_all(d, reports, count);
    (void)pthread_mutex_unlock(&d->telling);
    return link == head;
}

/* The thread that serves them has the locks in between: who takes a lock again at once keeps others
 * out. */
static void look_at_bucket(struct deliver *d, struct link *head, const struct round *round)
{
    const struct timespec pause = {0, 50000};
    while (!look_at_some(d, head, round)) {
        (void)nanosleep(&pause, NULL);
    }
}

static struct round next_round(struct deliver *d, const struct peer *peer, uint64_t mark)
{
    struct round round = {.now = now_seconds(), .peer = peer, .mark = mark};
    (void)pthread_mutex_lock(&d->lock);
    round.number = ++d->round;
    (void)pthread_mutex_unlock(&d->lock);
    return round;
}

void deliver_look(struct deliver *d, const struct peer *peer, uint64_t mark)
{
    const struct round round = next_round(d, peer, mark);
    look_at_bucket(d, bucket(d, peer), &round);
}

void deliver_look_all(struct deliver *d)
{
    const struct round round = next_round(d, NULL, 0);
    for (size_t i = 0; i < BUCKETS; i++) {
        look_at_bucket(d, &d->addresses[i], &round);
    }
}

/* ---- turns ---- */

void deliver_turn(struct deliver *d)
{
    struct report reports[LOOKS_AT_ONCE];
    size_t count = 0;
    struct link *link = NULL;
    double now = now_seconds();
    (void)pthread_mutex_lock(&d->telling);
    (void)pthread_mutex_lock(&d->lock);
    for (int i = 0; i < LOOKS_AT_ONCE && (link = timer_wheel_expire(&d->wheel, now)) != NULL; i++) {
        struct report r = look(d, of_turn(link), now, true);
        count = note(reports, count, &r);
    }
    (void)pthread_mutex_unlock(&d->lock);
    tell_all(d, reports, count);
    (void)pthread_mutex_unlock(&d->telling);
}

/* Something has happened on a connection. As long as there is more to write nobody looks how far
 * the client is, unless it may be about to leave. */
static void told(void *context, uint32_t events)
{
    struct connection *c = context;
    struct deliver *d = c->deliver;
    struct report r = {.parcel = NULL};
    bool leaving = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    (void)pthread_mutex_lock(&d->telling);
    (void)pthread_mutex_lock(&d->lock);
    bool writes = !is_written(c);
    if (writes && !leaving) { /* or the look does */
        write_on(d, c);
    }
    if (!leaving && (events & EPOLLIN) != 0) {
        drain(c);
    }
    if (leaving && c->parcel == NULL && c->empty) {
        r = leave(d, c, r);
    } else if (leaving || c->reset || (!writes && c->parcel != NULL)) {
        r = look(d, c, now_seconds(), true);
    } else if (writes && is_written(c)) {
        await_sent(d, c);
    }
    (void)pthread_mutex_unlock(&d->lock);
    tell(d, &r);
    (void)pthread_mutex_unlock(&d->telling);
}

int deliver_timeout(struct deliver *d)
{
    own = d;
    (void)pthread_mutex_lock(&d->lock);
    int milliseconds = timer_wheel_timeout(&d->wheel, now_seconds());
    (void)pthread_mutex_unlock(&d->lock);
    return milliseconds;
}

struct deliver *deliver_new(const struct deliver_options *options)
{
    struct deliver *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->options = *options;
    conveyor_open(&d->conveyor, options->null);
    timer_wheel_init(&d->wheel);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&d->addresses[i]);
    }
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_mutex_init(&d->telling, NULL);
    return d;
}

void deliver_free(struct deliver *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (!list_is_empty(&d->addresses[i])) {
            struct connection *c = of_address(d->addresses[i].next);
            struct report r = {.parcel = NULL};
            if (c->parcel != NULL) {
                r = end_parcel(c, DELIVER_GONE);
            }
            r.left = true;
            r.peer = c->peer;
            forget(d, c);
            tell(d, &r);
        }
    }
    conveyor_close(&d->conveyor);
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_mutex_destroy(&d->telling);
    free(d);
}

/* ---- for others ---- */

static struct connection *connection_new(struct deliver *d, const struct deliver_client *client)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->deliver = d;
    c->fd = client->fd;
    c->shared = client->shared;
    c->peer = client->peer;
    c->moved = now_seconds();
    list_init(&c->turn);
    c->watch = client->watch;
    if (c->watch != NULL) {
        *c->watch = (struct watch){told, c};
    }
    return c;
}

/* When there are many, each has its share of what may wait in the kernel to be sent. With more of
 * it the kernel would run short, and hold up all of them. */
static void limit_unsent(const struct deliver *d, struct connection *c)
{
    size_t share = d->options.unsent / (atomic_load(&d->count) + 1);
    c->unsent = share > LEAST_UNSENT ? share : LEAST_UNSENT;
    if (c->unsent < c->end - c->at) {
        set_option(c->fd, TCP_NOTSENT_LOWAT, (int)c->unsent);
    }
}

static void add(struct deliver *d, struct connection *c)
{
    (void)pthread_mutex_lock(&d->lock);
    bool first = atomic_fetch_add(&d->count, 1) == 0;
    c->round = d->round;
    list_add_first(bucket(d, &c->peer), &c->address);
    if (!is_written(c) || d->options.prompt) { /* others may be over before the first look */
        await(d, c);
    }
    timer_wheel_set(&d->wheel, &c->turn, c->moved, is_written(c) ? FIRST_LOOK : next_look(c));
    (void)pthread_mutex_unlock(&d->lock);
    if (own != d) {
        loop_wake(d->options.loop);
    }
    if (first) {
        d->options.busy(d->options.context);
    }
}

bool deliver_send(struct deliver *d, const struct deliver_client *client,
                  const struct deliver_load *load)
{
    struct connection *c = connection_new(d, client);
    if (c == NULL) {
        return false;
    }
    c->file = load->file;
    c->begin = load->first;
    c->at = load->first;
    c->end = load->first + load->size;
    c->expected = load->header_size + load->size;
    c->parcel = load->parcel;
    c->mark = load->mark;
    set_option(c->fd, TCP_CORK, 1);
    limit_unsent(d, c);
    /* It fits an empty send buffer. */
    c->reset =
        send(c->fd, load->header, load->header_size, MSG_NOSIGNAL) != (ssize_t)load->header_size;
    if (c->reset) {
        c->end = c->at; /* never the image without its header */
    } else {
        write_on(d, c);
    }
    add(d, c);
    return true;
}

bool deliver_finish(struct deliver *d, const struct deliver_client *client)
{
    struct connection *c = connection_new(d, client);
    if (c == NULL) {
        return false;
    }
    (void)shutdown(c->fd, SHUT_WR);
    c->shut = true;
    add(d, c);
    return true;
}

unsigned deliver_count(const struct deliver *d)
{
    return atomic_load(&d->count);
}
