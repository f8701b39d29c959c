/* SPDX-License-Identifier: MIT */
/* Accepts connections, and keeps them until their request is complete. It peeks at what a client
 * sends and leaves it in the socket. A slow or silent client costs one descriptor and a few bytes
 * here. */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include "net/cidr.h"
#include "net/conn.h"

struct acceptor;

struct acceptor_options {
    int listening; /* borrowed; several acceptors may share it */
    struct conn_set *set;
    unsigned pending; /* connections without a complete request; beyond it the oldest goes */
    const struct cidr *allowed; /* borrowed; connections of others are closed */
    size_t allowed_count;       /* 0: all are allowed */
    unsigned request_seconds;   /* until a request is complete */
    /* All that a client has sent so far. False: more has to come. True: the callee has the
     * connection, or has closed it; so it must be when `last` is set. */
    bool (*on_input)(void *context, struct conn *conn, const uint8_t *bytes, size_t size,
                     bool last);
    /* Without descriptors or memory new connections wait in the kernel for a moment; errno. */
    void (*on_exhausted)(void *context, int error);
    void *input_context; /* for on_input() */
    void *context;       /* for on_exhausted() */
};

struct acceptor *acceptor_new(const struct acceptor_options *options); /* NULL: no memory */
/* acceptor_turn() does what is due. To be called after each turn of the loop, and after so many
 * milliseconds at the latest; -1: only after events. */
int acceptor_timeout(const struct acceptor *acceptor);
void acceptor_turn(struct acceptor *acceptor);
/* Accepts no more, and closes the connections without a complete request. */
void acceptor_close(struct acceptor *acceptor);
void acceptor_free(struct acceptor *acceptor); /* accepts NULL */

#endif
