/* SPDX-License-Identifier: MIT */
#include "http/transfer.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

/* The kernel's names, which netinet/tcp.h has; linux/tcp.h, with all of tcp_info, has not. */
enum { TIME_WAIT = 6, CLOSE = 7, CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11 };

/* By then most fast clients have everything and are gone: one poll ends the connection, and the
 * loop never gets to know of it, or has only what the acceptor asked for. */
#define FIRST_POLL_SECONDS 0.005
/* Events say what happens; this finds who has stalled. */
#define POLL_SECONDS 8.0
/* Without memory for events. */
#define RETRY_SECONDS 0.250

#define EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))

struct transfer_step transfer_step(enum conn_state state, const struct transfer_facts *f,
                                   double idle_seconds)
{
    struct transfer_step step = {state, TRANSFER_RUNS, false};
    if (state == CONN_LINGERING) {
        bool over = f->reset || f->peer_closed || f->idle > TRANSFER_LINGER_SECONDS;
        step.next = over ? CONN_CLOSED : CONN_LINGERING;
    } else if (f->delivered) {
        step.outcome = TRANSFER_COMPLETE;
        step.next = f->reset || f->peer_closed ? CONN_CLOSED : CONN_LINGERING;
        step.shut_down = state != CONN_SENT && step.next == CONN_LINGERING;
    } else if (f->reset) {
        step = (struct transfer_step){CONN_CLOSED, TRANSFER_GONE, false};
    } else if (f->idle > idle_seconds) {
        step = (struct transfer_step){CONN_CLOSED, TRANSFER_STALLED, false};
    } else if (f->sent && f->written) {
        step.next = CONN_SENT;
        step.shut_down = state != CONN_SENT;
    } else if (f->written && state == CONN_SENDING) {
        step.next = CONN_FLUSHING;
    }
    return step;
}

/* ---- facts ---- */

static bool is_written(const struct transfer *t)
{
    return t->at == t->end;
}

static struct transfer_facts ask_kernel(const struct conn *c, struct transfer *t, bool *moved)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    bool known = getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    unsigned state = info.tcpi_state;
    bool written = is_written(t);
    bool sent = known && written && info.tcpi_notsent_bytes == 0;
    uint64_t acked = info.tcpi_bytes_acked < t->expected ? info.tcpi_bytes_acked : t->expected;
    double now = now_seconds();
    *moved = acked > t->delivered;
    if (*moved) {
        t->delivered = acked;
        t->moved = now;
    }
    return (struct transfer_facts){
        .written = written,
        .sent = sent,
        .delivered = t->expected == UINT64_MAX ? sent && info.tcpi_unacked == 0
                                               : t->delivered == t->expected,
        .peer_closed = state == CLOSE_WAIT || state == LAST_ACK || state == CLOSING ||
                       state == TIME_WAIT || state == CLOSE,
        .reset = t->cut || !known || state == CLOSE,
        .idle = now - t->moved,
    };
}

/* ---- steps ---- */

static void set_option(int fd, int name, int value)
{
    (void)setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
}

static void end(struct conn *c, struct transfer *t, enum transfer_outcome outcome)
{
    if (!t->ended) {
        t->ended = true;
        t->end = t->at; /* the file may be gone from now on */
        conn_answered(c);
        t->on_end(c, t->delivered, outcome);
    }
}

static void watch(struct conn *c, struct transfer *t)
{
    t->watched = conn_watch(c, EVENTS);
    double linger = c->state == CONN_LINGERING ? TRANSFER_LINGER_SECONDS : POLL_SECONDS;
    event_loop_set_timer(c->set->loop, &c->timer, t->watched ? linger : RETRY_SECONDS);
}

/* With TCP_NOTSENT_LOWAT at 1, EPOLLOUT comes once everything has left. */
static void watch_sent(struct conn *c, struct transfer *t)
{
    set_option(c->fd, TCP_NOTSENT_LOWAT, 1);
    watch(c, t);
}

void transfer_poll(struct conn *c, struct transfer *t)
{
    bool moved = false;
    const struct transfer_facts facts = ask_kernel(c, t, &moved);
    const struct transfer_step step = transfer_step(c->state, &facts, t->idle_seconds);
    bool flushing = step.next == CONN_FLUSHING && c->state == CONN_SENDING;
    conn_set_state(c, step.next == CONN_CLOSED ? c->state : step.next);
    if (step.shut_down) {
        (void)shutdown(c->fd, SHUT_WR);
    }
    if (step.outcome != TRANSFER_RUNS) {
        end(c, t, step.outcome);
    } else if (moved && !t->ended && t->on_progress != NULL) {
        t->on_progress(c, t->delivered);
    }
    if (step.next == CONN_CLOSED) {
        conn_close(c);
    } else if (flushing || !t->watched) {
        watch_sent(c, t);
    } else if (step.outcome != TRANSFER_RUNS) {
        event_loop_set_timer(c->set->loop, &c->timer, TRANSFER_LINGER_SECONDS);
    }
}

/* Writes what the socket takes. With TCP_CORK only full segments leave; TCP_NODELAY on top lets the
 * last one go, and still no partial one at the edge of the receiver's window. */
static void write_some(struct conn *c, struct transfer *t)
{
    bool room = true;
    while (!is_written(t) && room && !t->cut) {
        size_t left = (size_t)(t->end - t->at);
        off_t at = (off_t)t->at;
        ssize_t sent = sendfile(c->fd, t->file->fd, &at, left);
        /* A short count means a full socket; what was interrupted goes on with the next event. */
        room = sent == (ssize_t)left || (sent < 0 && errno == EINTR);
        t->cut = sent == 0 || (sent < 0 && errno != EINTR && errno != EAGAIN);
        t->at += sent > 0 ? (uint64_t)sent : 0;
    }
    if (is_written(t)) {
        set_option(c->fd, TCP_NODELAY, 1);
    }
}

/* While there is more to write nothing is asked of the kernel, unless the client may be leaving. */
static void on_event(void *context, uint32_t events)
{
    struct conn *c = context;
    struct transfer *t = c->user;
    bool leaving = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    bool sending = c->state == CONN_SENDING;
    if (sending) {
        write_some(c, t);
    }
    if ((events & EPOLLIN) != 0) {
        conn_discard_input(c);
    }
    if (sending && is_written(t) && !leaving && !t->cut) {
        conn_set_state(c, CONN_FLUSHING);
        watch_sent(c, t);
    } else if (!sending || leaving || t->cut) {
        transfer_poll(c, t);
    }
}

static void on_timer(void *context)
{
    struct conn *c = context;
    struct transfer *t = c->user;
    if (c->state == CONN_SENDING) {
        write_some(c, t);
    }
    event_loop_set_timer(c->set->loop, &c->timer, POLL_SECONDS);
    transfer_poll(c, t);
}

static void begin(struct conn *c, struct transfer *t)
{
    c->user = t;
    c->handler = (struct handler){on_event, c};
    c->timer.on_timer = on_timer;
    c->timer.context = c;
    t->moved = now_seconds();
}

void transfer_start(struct conn *c, struct transfer *t, const char *header, size_t header_size,
                    size_t unsent)
{
    begin(c, t);
    conn_set_state(c, CONN_SENDING);
    t->expected = header_size + (t->end - t->at);
    set_option(c->fd, TCP_CORK, 1);
    if (unsent < t->end - t->at) {
        set_option(c->fd, TCP_NOTSENT_LOWAT, (int)unsent);
    }
    /* It fits an empty send buffer. */
    t->cut = send(c->fd, header, header_size, MSG_NOSIGNAL) != (ssize_t)header_size;
    if (t->cut) {
        t->end = t->at; /* never the image without its header */
    }
    write_some(c, t);
    if (!is_written(t)) {
        watch(c, t);
        return;
    }
    conn_set_state(c, CONN_FLUSHING);
    if (t->prompt) {
        watch_sent(c, t);
    } else {
        event_loop_set_timer(c->set->loop, &c->timer, FIRST_POLL_SECONDS);
    }
}

void transfer_finish(struct conn *c, struct transfer *t)
{
    begin(c, t);
    conn_set_state(c, CONN_FLUSHING);
    t->expected = UINT64_MAX;
    conn_discard_input(c);
    watch_sent(c, t);
    transfer_poll(c, t);
}

void transfer_abort(struct conn *c, struct transfer *t)
{
    if (!t->ended) {
        end(c, t, TRANSFER_GONE);
    }
}
