/* SPDX-License-Identifier: MIT */
/* Sends an answer and sees its connection to the end.
 *
 * Why we send images ourselves, and libmicrohttpd does not:
 * - devices read TCP segments: header and image must leave as one stream that is cut every MSS
 *   bytes; libmicrohttpd sends the header of a file in a segment of its own;
 * - its errors have bodies, which devices write to flash;
 * - its limits let idle clients keep devices out;
 * - it waits for the last LF of SDK 2.0.0's HEAD, which never comes.
 *
 * The kernel takes the last byte long before a device has everything, so a transfer ends when the
 * client has acknowledged all of it. This side is shut down once everything has left: a FIN would
 * push what is queued up to the edge of the receiver's window, and with it a partial segment. Then
 * the connection lingers until the client closes. */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include "base/file.h"
#include "net/conn.h"

enum transfer_outcome {
    TRANSFER_RUNS,
    TRANSFER_COMPLETE, /* all was acknowledged */
    TRANSFER_GONE,     /* the client closed or reset the connection before */
    TRANSFER_STALLED   /* the client acknowledged nothing for too long */
};

/* ---- the decision, without sockets ---- */

/* After the last acknowledgement a client gets so long to close. */
#define TRANSFER_LINGER_SECONDS 5.0

struct transfer_facts {
    bool written;     /* to the socket, all of it */
    bool sent;        /* has left the socket, all of it */
    bool delivered;   /* is acknowledged, all of it */
    bool peer_closed; /* the client has closed its side */
    bool reset;       /* or the socket does not say how it is */
    double idle;      /* seconds without progress */
};

struct transfer_step {
    enum conn_state next;
    enum transfer_outcome outcome; /* not TRANSFER_RUNS: it ends with this step */
    bool shut_down;                /* this side, now */
};

/* What follows in CONN_SENDING to CONN_LINGERING. */
struct transfer_step transfer_step(enum conn_state state, const struct transfer_facts *facts,
                                   double idle_seconds);

/* ---- a transfer ---- */

struct transfer {
    const struct memory_file *file; /* borrowed until on_end(); NULL: none */
    uint64_t at;                    /* in the file: of what has to be written */
    uint64_t end;
    uint64_t expected;  /* bytes to be acknowledged; UINT64_MAX: until nothing is left */
    uint64_t delivered; /* of those */
    double moved;       /* when it last made progress */
    unsigned idle_seconds;
    bool prompt;  /* the end is noticed at once, not with others some milliseconds later */
    bool watched; /* the loop reports all that matters to a transfer */
    bool cut;     /* the socket failed while it was written to */
    bool ended;   /* on_end() was called */
    /* Called in the connection's thread; `delivered` counts the header too. */
    void (*on_progress)(struct conn *conn, uint64_t delivered); /* when polled; or NULL */
    void (*on_end)(struct conn *conn, uint64_t delivered, enum transfer_outcome outcome);
};

/* Sends `header` and the bytes [at, end) of the file; then the connection is closed. The transfer
 * is filled in from `idle_seconds` on by the caller, and stays while the connection is open. */
void transfer_start(struct conn *conn, struct transfer *transfer, const char *header,
                    size_t header_size, size_t unsent);
/* All was written by another; sees the connection to its end. From CONN_LENT. */
void transfer_finish(struct conn *conn, struct transfer *transfer);
/* Polls how far the client is; reports progress or the end. May close the connection. */
void transfer_poll(struct conn *conn, struct transfer *transfer);
/* The connection is being closed. */
void transfer_abort(struct conn *conn, struct transfer *transfer);

#endif
