/* SPDX-License-Identifier: MIT */
/* Where connections come in: accepts them, and keeps them until their request is whole. It looks at
 * the request without taking it from the socket, so that libmicrohttpd gets it as it came, and
 * never gets one that it cannot parse. Who is slow or silent costs a descriptor and some bytes
 * here, and nothing else. */
#ifndef SERVER_DOOR_H
#define SERVER_DOOR_H

#include "http/request_head.h"
#include "net/cidr.h"
#include "net/conn_limits.h"
#include "net/peer.h"

#include <stdbool.h>
#include <sys/socket.h>

struct deferral;
struct door;
struct loop;
struct watch;

/* A connection that was let in, with a whole request, which has not been taken from the socket. */
struct arrival {
    int fd;
    struct watch *watch; /* from malloc(), in the loop; NULL: it is not there */
    struct peer peer;
    const struct sockaddr *address;
    socklen_t address_size;
    const struct request_head *head;
};

struct door_options {
    struct loop *loop;         /* borrowed: connections are watched there */
    int listening;             /* borrowed; several doors may share it, */
    struct deferral *deferral; /* and this of it */
    struct conn_limits
        *conn_limits; /* borrowed: who comes in is counted, and leaves it when closed here */
    unsigned waiting; /* whose request is not whole; beyond it the oldest has to go */
    const struct cidr *allowed; /* borrowed; others are closed without an answer */
    size_t allowed_count;       /* 0: everybody is welcome */
    unsigned head_seconds;      /* for a request to become whole */
    size_t head_size;           /* of one; longer ones are refused; up to HEAD_LONGEST */
    /* All are called within turns. A request to be answered: connection and watch are the callee's
     * now. */
    void (*admit)(void *context, const struct arrival *arrival);
    /* One that has to be answered with an error. The same. */
    void (*refuse)(void *context, const struct arrival *arrival);
    /* One that was closed without an answer, and why. */
    void (*closed)(void *context, const struct peer *peer, const char *reason);
    /* For want of descriptors or memory, new connections wait in the kernel for a moment; errno. */
    void (*full)(void *context, int error);
    void *context;
};

/* NULL when there is no memory or descriptor. */
struct door *door_new(const struct door_options *options);
/* door_turn() does what is due. It is to be called after each turn of the loop, and after so many
 * milliseconds at the latest; -1: not before something is told in the loop. */
int door_timeout(const struct door *door);
void door_turn(struct door *door);
/* Nobody comes in any more; those who wait are closed. */
void door_close(struct door *door);
void door_free(struct door *door); /* accepts NULL */

#endif
