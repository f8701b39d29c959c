/* SPDX-License-Identifier: MIT */
/* What is to be looked at again, by the time when. Putting and taking cost the same however many
 * there are. */
#ifndef NET_TIMER_WHEEL_H
#define NET_TIMER_WHEEL_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

#define TIMER_WHEEL_TICK 0.016 /* seconds: times are rounded up to it */
#define TIMER_WHEEL_SLOTS                                                                          \
    512 /* ticks: nothing is put further ahead, it comes round earlier then                        \
         */

struct timer_wheel {
    struct link slots[TIMER_WHEEL_SLOTS];
    uint64_t tick; /* the next to be looked at */
    size_t count;
};

void timer_wheel_init(struct timer_wheel *wheel);

/* `link`, new from list_init() or on the wheel already, comes round in so many seconds. */
void timer_wheel_set(struct timer_wheel *wheel, struct link *link, double now, double seconds);
/* Accepts one that is not on the wheel. */
void timer_wheel_cancel(struct timer_wheel *wheel, struct link *link);
/* One that has come round, and is off the wheel now; NULL: there is none. */
struct link *timer_wheel_expire(struct timer_wheel *wheel, double now);
/* Milliseconds until one comes round, rounded up; -1: the wheel is empty. */
int timer_wheel_timeout(const struct timer_wheel *wheel, double now);

#endif
