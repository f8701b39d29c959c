/* SPDX-License-Identifier: MIT */
/* One TCP connection, from accept to close. One thread owns it. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/list.h"
#include "net/conn_limits.h"
#include "net/event_loop.h"
#include "net/peer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct acceptor;
struct conn;

enum conn_state {
    CONN_READING,   /* its request is not complete */
    CONN_WAITING,   /* for an image that has to be converted first */
    CONN_LENT,      /* libmicrohttpd answers, on a duplicate of the descriptor */
    CONN_SENDING,   /* some of the answer is still to be written to the socket */
    CONN_FLUSHING,  /* all is written, and not all has left */
    CONN_SENT,      /* all has left, and this side is shut down */
    CONN_LINGERING, /* all is acknowledged; the client closes next */
    CONN_CLOSED
};

/* Which state may follow which. */
bool conn_may_follow(enum conn_state from, enum conn_state to);

/* What all connections of one thread share. */
struct conn_set {
    struct event_loop *loop;
    struct conn_limits *limits; /* shared with the sets of other threads */
    uint8_t *input;             /* room to peek at what a client has sent */
    size_t input_size;
    struct acceptor *acceptor; /* borrowed */
    struct link pending;       /* CONN_READING and in the loop, the oldest first */
    struct link requests;      /* with a complete request, in any later state */
    unsigned pending_count;
    atomic_uint open;      /* connections in `requests` */
    atomic_uint answering; /* of these, before the end of the answer */
    /* A connection was closed without an answer, and why. */
    void (*on_reject)(void *context, const struct peer *peer, const char *reason);
    /* The owner of `user` frees it; the connection is closed next. */
    void (*on_close)(struct conn *conn);
    void *context;
};

struct conn {
    struct conn_set *set;
    struct handler handler;
    struct timer timer;
    struct link place; /* in one of the lists of the set */
    struct conn *next; /* accepted, and not read yet */
    struct peer peer;
    int fd;
    enum conn_state state;
    bool in_loop;    /* the loop has its events */
    bool admitted;   /* it has a complete request, and counts for its address */
    bool answering;  /* it counts as being answered */
    bool duplicated; /* its descriptor was: closing it does not end its events */
    double since;    /* when it was accepted */
    void *user;      /* what is made of the request; NULL until then */
};

/* Counts towards the limits, see conn_limits_enter(). NULL: no memory; the descriptor is the
 * caller's then. */
struct conn *conn_new(struct conn_set *set, int fd, const struct peer *peer);
/* The only way in which a connection ends: closes, counts down and frees. */
void conn_close(struct conn *conn);
/* Closes it without an answer; reported unless `reason` is NULL. */
void conn_reject(struct conn *conn, const char *reason);

/* Its request is complete. False: its address has too many; it was rejected. */
bool conn_admit(struct conn *conn);
/* The client has the answer, or never will. */
void conn_answered(struct conn *conn);
void conn_set_state(struct conn *conn, enum conn_state state);

/* For these events from now on; they come to conn->handler. False: no memory. */
bool conn_watch(struct conn *conn, uint32_t events);
void conn_unwatch(struct conn *conn);
/* What has come so far, into set->input with a NUL behind it; it stays in the socket. As recv(). */
ssize_t conn_peek(const struct conn *conn);
/* Discards what has come; of a client that floods, a part. What is left unread would make a close a
 * reset, which loses what was sent. */
void conn_discard_input(const struct conn *conn);

/* Initialises the lists and counts; the caller fills in the rest. False: no memory. */
bool conn_set_init(struct conn_set *set, size_t input_size);
/* Closes all that are left. */
void conn_set_free(struct conn_set *set);

static inline struct conn *conn_of_place(struct link *link)
{
    return (struct conn *)(void *)((char *)link - offsetof(struct conn, place));
}

#endif
