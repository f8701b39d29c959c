/* SPDX-License-Identifier: MIT */
/* A thread with a door and a deliverer: most connections come in, are answered and end without
 * another thread being woken. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/deliver.h"
#include "server/door.h"

struct worker;

/* Nobody comes in before worker_start(). The loop of the options is the worker's own, filled in
 * here. NULL when there is no memory or descriptor. */
struct worker *worker_new(const struct door_options *door, const struct deliver_options *deliver);
/* False when there is no thread to be had. */
bool worker_start(struct worker *worker);
/* Nobody comes in any more; deliveries go on. */
void worker_close_door(struct worker *worker);
/* Ends the thread and what is left. Accepts NULL. */
void worker_free(struct worker *worker);

struct deliver *worker_deliver(struct worker *worker);

/* The worker whose thread this is, or NULL. */
struct worker *worker_own(void);
/* Somebody else waits for a connection that came in at its door. */
void worker_forget(struct worker *worker, const struct arrival *arrival);

#endif
