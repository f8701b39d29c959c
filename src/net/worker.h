/* SPDX-License-Identifier: MIT */
/* A thread with an event loop, an acceptor and the connections that it accepted: each of them is
 * accepted, answered and closed in one thread. */
#ifndef NET_WORKER_H
#define NET_WORKER_H

#include "net/acceptor.h"

struct worker;

struct worker_options {
    struct acceptor_options acceptor; /* its set is the worker's own */
    struct conn_limits *limits;
    size_t input_size; /* of what a client sends at most, before its request is complete */
    void (*on_reject)(void *context, const struct peer *peer, const char *reason);
    void (*on_close)(struct conn *conn);
    void *context; /* for on_reject() */
};

/* Accepts nothing before worker_start(). NULL: no memory or descriptor. */
struct worker *worker_new(const struct worker_options *options);
bool worker_start(struct worker *worker); /* false: no thread */
/* Accepts no more; answers go on. Returns once that is so. */
void worker_stop_accepting(struct worker *worker);
/* Ends the thread. Accepts NULL, as the two below. */
void worker_join(struct worker *worker);
/* After all workers were joined: runs the tasks that are left. True: there were some. */
bool worker_run_tasks(struct worker *worker);
void worker_free(struct worker *worker);

struct conn_set *worker_set(struct worker *worker);

#endif
