/* SPDX-License-Identifier: MIT */
/* What one thread waits for: many descriptors, each with somebody to be told. */
#ifndef NET_EVENT_LOOP_H
#define NET_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Who is told of a descriptor's events (EPOLLIN and so on); may be changed while it is watched. Who
 * is told may end its own watch, and nobody else's: others may be told after it in the same turn.
 */
struct watch {
    void (*told)(void *context, uint32_t events);
    void *context;
};

struct loop *loop_new(void);       /* NULL when there is no memory or descriptor */
void loop_free(struct loop *loop); /* accepts NULL */

/* A descriptor is watched for `events` until it is closed or forgotten; `watch` stays where it is
 * so long. False when there is no memory. From any thread. */
bool loop_watch(struct loop *loop, int fd, uint32_t events, struct watch *watch);
/* For other events from now on. */
bool loop_change(struct loop *loop, int fd, uint32_t events, struct watch *watch);
void loop_forget(struct loop *loop, int fd);

/* Waits for events, up to `milliseconds` (-1: without end), and tells of them. */
void loop_turn(struct loop *loop, int milliseconds);
/* Ends a wait. From any thread. */
void loop_wake(struct loop *loop);

#endif
