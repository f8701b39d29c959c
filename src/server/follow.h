/* SPDX-License-Identifier: MIT */
/* Follows connections to their end, in a thread of its own.
 *
 * libmicrohttpd is done with a response when the kernel has taken the last byte, and then closes
 * its socket: that is long before a device has everything, and when there is unread input, such as
 * the stray CR that the SDK's sample sends, the close becomes a reset that loses the rest. So each
 * connection has a second descriptor here. It tells how much was acknowledged, and once
 * libmicrohttpd has closed its own, what still arrives is read and thrown away until the client
 * closes too. */
#ifndef SERVER_FOLLOW_H
#define SERVER_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

struct follow;
struct followed;

enum follow_end {
    FOLLOW_DELIVERED, /* everything expected was acknowledged */
    FOLLOW_GONE,      /* the client closed or reset the connection before */
    FOLLOW_STALLED    /* the client acknowledged nothing for too long */
};

struct follow_options {
    unsigned idle_seconds; /* without progress; also the longest wait for a client to close */
    /* Both are called from the thread, or within follow_look(). */
    void (*progress)(void *expectation, uint64_t delivered);
    void (*end)(void *expectation, uint64_t delivered, enum follow_end how);
};

/* NULL when there is no memory or no thread. */
struct follow *follow_new(const struct follow_options *options);
/* Closes what is left; every expectation still open ends as FOLLOW_GONE. */
void follow_free(struct follow *f);

/* A new connection; `fd` is duplicated. NULL when that fails: it then goes unfollowed. */
struct followed *follow_add(struct follow *f, int fd);

/* The duplicate, for socket options. */
int followed_fd(const struct followed *c);

/* `bytes` more are about to be sent and are the last on this connection. end() will be called once
 * for them. */
void follow_expect(struct follow *f, struct followed *c, uint64_t bytes, void *expectation);

/* libmicrohttpd has closed its descriptor; `c` must not be used any more. */
void follow_closed(struct follow *f, struct followed *c);

/* Looks at all connections now; what there is to tell is told before it returns. */
void follow_look(struct follow *f);

/* Connections that are still open. */
unsigned follow_count(struct follow *f);

#endif
