/* SPDX-License-Identifier: MIT */
/* Delivers images and sees connections to their end.
 *
 * Devices read TCP segments, so header and image leave as one stream cut every MSS bytes, from a
 * file in memory that all connections share. libmicrohttpd can send from a file without copying
 * too, but pushes the header out as a segment of its own. And it is done when the kernel has taken
 * the last byte, long before a device has everything; a close with unread input, such as the stray
 * CR that the SDK's sample sends, would then be a reset that loses the rest. Here, what still
 * arrives is thrown away, this side is shut down when all is sent, and the socket is closed when
 * the client closes too. */
#ifndef SERVER_DELIVER_H
#define SERVER_DELIVER_H

#include "net/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deliver;
struct loop;
struct memory_file;
struct watch;

enum deliver_end {
    DELIVER_WHOLE,  /* everything was acknowledged */
    DELIVER_GONE,   /* the client closed or reset the connection before */
    DELIVER_STALLED /* the client acknowledged nothing for too long */
};

struct deliver_options {
    struct loop *loop; /* borrowed: connections are watched there */
    int null;          /* borrowed: /dev/null, open for writing */
    size_t unsent;     /* bytes that may wait in the kernel to be sent, of all connections */
    bool prompt;       /* ends are found at once; otherwise with others, some milliseconds later */
    unsigned idle_seconds; /* without progress; also the longest wait for a client to close */
    /* These are called within turns, looks and deliver_free(). `delivered` counts what the client
     * has acknowledged, header included. Progress is told by looks. */
    void (*progress)(void *parcel, uint64_t delivered);
    void (*end)(void *parcel, uint64_t delivered, enum deliver_end how);
    void (*left)(void *context, const struct peer *peer); /* the connection is closed */
    /* Within deliver_send() and deliver_finish(): there is a connection here, and was none before.
     */
    void (*busy)(void *context);
    void *context; /* for left() and busy() */
};

/* NULL when there is no memory or descriptor. */
struct deliver *deliver_new(const struct deliver_options *options);
/* Closes what is left; every parcel still open ends as DELIVER_GONE. */
void deliver_free(struct deliver *d);

/* deliver_turn() does what is due. It is to be called after so many milliseconds at the latest; -1:
 * not before something is told in the loop. These two, and the turns of the loop, are one thread's;
 * all else may be called by any. */
int deliver_timeout(struct deliver *d);
void deliver_turn(struct deliver *d);

struct deliver_client {
    int fd;
    struct watch *watch; /* an arrival's, deliver's from then on; or NULL */
    bool shared;         /* there is another descriptor of the connection, which is closed soon */
    struct peer peer;
};

/* All that is ever sent on a connection: a header, far below the smallest MSS, and a part of a
 * file. */
struct deliver_load {
    const char *header; /* needed during the call only */
    size_t header_size;
    const struct memory_file *file; /* must stay until end() */
    uint64_t first;
    uint64_t size;
    void *parcel;  /* end() is called once for it */
    uint64_t mark; /* for deliver_look() */
};

/* The connection is deliver's from here on, and closed when it is over. What comes of it is thrown
 * away. False when there is no memory: then nothing was sent and it is still the caller's. */
bool deliver_send(struct deliver *d, const struct deliver_client *client,
                  const struct deliver_load *load);

/* Everything was written to the connection already; it is seen to its end. The same. */
bool deliver_finish(struct deliver *d, const struct deliver_client *client);

/* Looks now at the connections of an address with this mark; the ends that there are to tell are
 * told before it returns. */
void deliver_look(struct deliver *d, const struct peer *peer, uint64_t mark);

/* Looks how far all of them are; nobody does regularly otherwise. */
void deliver_look_all(struct deliver *d);

/* Connections that are still open. */
unsigned deliver_count(const struct deliver *d);

#endif
