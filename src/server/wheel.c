/* SPDX-License-Identifier: MIT */
#include "server/wheel.h"

static uint64_t tick_of(double seconds)
{
    return (uint64_t)(seconds / WHEEL_TICK);
}

void wheel_init(struct wheel *wheel)
{
    for (size_t i = 0; i < WHEEL_SPOKES; i++) {
        list_init(&wheel->spokes[i]);
    }
    wheel->tick = 0;
    wheel->count = 0;
}

void wheel_remove(struct wheel *wheel, struct link *link)
{
    wheel->count -= list_is_empty(link) ? 0 : 1;
    list_remove(link);
}

void wheel_put(struct wheel *wheel, struct link *link, double now, double seconds)
{
    wheel_remove(wheel, link);
    if (wheel->count == 0) {
        wheel->tick = tick_of(now);
    }
    uint64_t tick = tick_of(now + seconds) + 1;
    uint64_t last = wheel->tick + WHEEL_SPOKES - 1;
    tick = tick < last ? tick : last;
    tick = tick > wheel->tick ? tick : wheel->tick; /* `now` may be somewhat old */
    list_add_last(&wheel->spokes[tick % WHEEL_SPOKES], link);
    wheel->count++;
}

struct link *wheel_take(struct wheel *wheel, double now)
{
    uint64_t until = tick_of(now);
    for (; wheel->count > 0 && wheel->tick <= until; wheel->tick++) {
        struct link *spoke = &wheel->spokes[wheel->tick % WHEEL_SPOKES];
        if (!list_is_empty(spoke)) {
            struct link *link = spoke->next;
            wheel_remove(wheel, link);
            return link;
        }
    }
    return NULL;
}

int wheel_wait(const struct wheel *wheel, double now)
{
    if (wheel->count == 0) {
        return -1;
    }
    uint64_t tick = wheel->tick;
    while (list_is_empty(&wheel->spokes[tick % WHEEL_SPOKES])) {
        tick++;
    }
    double left = (double)tick * WHEEL_TICK - now;
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}
