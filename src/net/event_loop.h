/* SPDX-License-Identifier: MIT */
/* What one thread waits for: descriptors, timers, and tasks that other threads post. */
#ifndef NET_EVENT_LOOP_H
#define NET_EVENT_LOOP_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct event_loop;

/* Gets a descriptor's events (EPOLLIN and so on). It may remove its own descriptor, and no other:
 * events of others may follow in the same turn. */
struct handler {
    void (*on_event)(void *context, uint32_t events);
    void *context;
};

struct timer {
    struct link link; /* first */
    void (*on_timer)(void *context);
    void *context;
};

/* Runs once in the loop's thread; may be freed by run(). */
struct task {
    struct task *next;
    void (*run)(struct task *task);
};

struct event_loop *event_loop_new(void); /* NULL: no memory or descriptor */
/* After its thread has ended. Accepts NULL. */
void event_loop_free(struct event_loop *loop);

/* `handler` must stay where it is until the descriptor is closed or removed. False: no memory. */
bool event_loop_add(struct event_loop *loop, int fd, uint32_t events, struct handler *handler);
bool event_loop_modify(struct event_loop *loop, int fd, uint32_t events, struct handler *handler);
void event_loop_remove(struct event_loop *loop, int fd);

void timer_init(struct timer *timer, void (*on_timer)(void *context), void *context);
/* Sets it anew; a timer of more than eight seconds fires after eight. */
void event_loop_set_timer(struct event_loop *loop, struct timer *timer, double seconds);
void event_loop_cancel_timer(struct event_loop *loop, struct timer *timer);

/* From any thread, until event_loop_free(). */
void event_loop_post(struct event_loop *loop, struct task *task);
void event_loop_wake(struct event_loop *loop);
/* Runs the tasks that were posted, as run_once() does. For a loop whose thread has ended, too.
 * True: there were some. */
bool event_loop_run_tasks(struct event_loop *loop);

/* Waits for events, up to `milliseconds` (-1: without end), and handles them, the tasks and the
 * timers that are due. */
void event_loop_run_once(struct event_loop *loop, int milliseconds);

#endif
