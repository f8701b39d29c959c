/* SPDX-License-Identifier: MIT */
#include "net/conn.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Reads of so many bytes at one go. */
#define DISCARD_BYTES 16384
#define DISCARD_READS 16

#define BIT(state) (1U << (unsigned)(state))
#define ENDS       (BIT(CONN_FLUSHING) | BIT(CONN_SENT) | BIT(CONN_LINGERING) | BIT(CONN_CLOSED))

bool conn_may_follow(enum conn_state from, enum conn_state to)
{
    static const unsigned next[] = {
        [CONN_READING] = BIT(CONN_WAITING) | BIT(CONN_LENT) | BIT(CONN_SENDING) | BIT(CONN_CLOSED),
        [CONN_WAITING] = BIT(CONN_WAITING) | BIT(CONN_SENDING) | BIT(CONN_CLOSED),
        [CONN_LENT] = BIT(CONN_FLUSHING) | BIT(CONN_CLOSED),
        [CONN_SENDING] = ENDS,
        [CONN_FLUSHING] = ENDS & ~BIT(CONN_FLUSHING),
        [CONN_SENT] = BIT(CONN_LINGERING) | BIT(CONN_CLOSED),
        [CONN_LINGERING] = BIT(CONN_CLOSED),
        [CONN_CLOSED] = 0,
    };
    return (next[from] & BIT(to)) != 0;
}

struct conn *conn_new(struct conn_set *set, int fd, const struct peer *peer)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c != NULL) {
        c->set = set;
        c->peer = *peer;
        c->fd = fd;
        c->since = now_seconds();
        list_init(&c->place);
        timer_init(&c->timer, NULL, NULL);
    }
    return c;
}

void conn_set_state(struct conn *c, enum conn_state state)
{
    if (c->state != state) {
        assert(conn_may_follow(c->state, state));
        c->state = state;
    }
}

static void leave_pending(struct conn *c)
{
    if (!list_is_empty(&c->place)) {
        list_remove(&c->place);
        c->set->pending_count--;
    }
}

bool conn_admit(struct conn *c)
{
    if (!conn_limits_admit(c->set->limits, &c->peer)) {
        conn_reject(c, "too many connections of this address");
        return false;
    }
    leave_pending(c);
    list_add_last(&c->set->requests, &c->place);
    c->admitted = true;
    c->answering = true;
    (void)atomic_fetch_add(&c->set->open, 1);
    (void)atomic_fetch_add(&c->set->answering, 1);
    return true;
}

void conn_answered(struct conn *c)
{
    if (c->answering) {
        c->answering = false;
        (void)atomic_fetch_sub(&c->set->answering, 1);
    }
}

void conn_close(struct conn *c)
{
    struct conn_set *set = c->set;
    conn_set_state(c, CONN_CLOSED);
    if (c->user != NULL) {
        set->on_close(c);
    }
    event_loop_cancel_timer(set->loop, &c->timer);
    if (c->admitted) {
        conn_discard_input(c);
        conn_answered(c);
        list_remove(&c->place);
        (void)atomic_fetch_sub(&set->open, 1);
        conn_limits_leave(set->limits, &c->peer);
    } else {
        leave_pending(c);
        conn_limits_leave_pending(set->limits, &c->peer);
    }
    if (c->duplicated) {
        conn_unwatch(c);
    }
    (void)close(c->fd);
    free(c);
}

void conn_reject(struct conn *c, const char *reason)
{
    const struct conn_set *set = c->set;
    const struct peer peer = c->peer;
    conn_close(c);
    if (reason != NULL) {
        set->on_reject(set->context, &peer, reason);
    }
}

bool conn_watch(struct conn *c, uint32_t events)
{
    struct event_loop *loop = c->set->loop;
    bool done = c->in_loop ? event_loop_modify(loop, c->fd, events, &c->handler)
                           : event_loop_add(loop, c->fd, events, &c->handler);
    c->in_loop = c->in_loop || done;
    return done;
}

void conn_unwatch(struct conn *c)
{
    if (c->in_loop) {
        event_loop_remove(c->set->loop, c->fd);
        c->in_loop = false;
    }
}

ssize_t conn_peek(const struct conn *c)
{
    uint8_t *input = c->set->input;
    ssize_t got = recv(c->fd, input, c->set->input_size, MSG_PEEK | MSG_DONTWAIT);
    input[got > 0 ? got : 0] = '\0';
    return got;
}

void conn_discard_input(const struct conn *c)
{
    char scrap[DISCARD_BYTES];
    ssize_t got = DISCARD_BYTES;
    for (int i = 0; i < DISCARD_READS && got == DISCARD_BYTES; i++) {
        got = recv(c->fd, scrap, sizeof scrap, MSG_DONTWAIT);
    }
}

bool conn_set_init(struct conn_set *set, size_t input_size)
{
    list_init(&set->pending);
    list_init(&set->requests);
    set->pending_count = 0;
    atomic_init(&set->open, 0);
    atomic_init(&set->answering, 0);
    set->input_size = input_size;
    set->input = malloc(input_size + 1);
    return set->input != NULL;
}

static void close_all(struct link *list)
{
    while (!list_is_empty(list)) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): conn_close() takes it off the list. */
        conn_close(conn_of_place(list->next));
    }
}

void conn_set_free(struct conn_set *set)
{
    close_all(&set->pending);
    close_all(&set->requests);
    free(set->input);
    set->input = NULL;
}
