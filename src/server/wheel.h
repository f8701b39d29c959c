/* SPDX-License-Identifier: MIT */
/* What is to be looked at again, by the time when. Putting and taking cost the same however many
 * there are. */
#ifndef SERVER_WHEEL_H
#define SERVER_WHEEL_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK   0.016 /* seconds: times are rounded up to it */
#define WHEEL_SPOKES 512   /* ticks: nothing is put further ahead, it comes round earlier then */

struct wheel {
    struct link spokes[WHEEL_SPOKES];
    uint64_t tick; /* the next to be looked at */
    size_t count;
};

void wheel_init(struct wheel *wheel);

/* `link`, new from list_init() or on the wheel already, comes round in so many seconds. */
void wheel_put(struct wheel *wheel, struct link *link, double now, double seconds);
/* Accepts one that is not on the wheel. */
void wheel_remove(struct wheel *wheel, struct link *link);
/* One that has come round, and is off the wheel now; NULL: there is none. */
struct link *wheel_take(struct wheel *wheel, double now);
/* Milliseconds until one comes round, rounded up; -1: the wheel is empty. */
int wheel_wait(const struct wheel *wheel, double now);

#endif
