/* SPDX-License-Identifier: MIT */
#include "net/timer_wheel.h"

static uint64_t tick_of(double seconds)
{
    return (uint64_t)(seconds / TIMER_WHEEL_TICK);
}

void timer_wheel_init(struct timer_wheel *wheel)
{
    for (size_t i = 0; i < TIMER_WHEEL_SLOTS; i++) {
        list_init(&wheel->slots[i]);
    }
    wheel->tick = 0;
    wheel->count = 0;
}

void timer_wheel_cancel(struct timer_wheel *wheel, struct link *link)
{
    wheel->count -= list_is_empty(link) ? 0 : 1;
    list_remove(link);
}

void timer_wheel_set(struct timer_wheel *wheel, struct link *link, double now, double seconds)
{
    timer_wheel_cancel(wheel, link);
    if (wheel->count == 0) {
        wheel->tick = tick_of(now);
    }
    uint64_t tick = tick_of(now + seconds) + 1;
    uint64_t last = wheel->tick + TIMER_WHEEL_SLOTS - 1;
    tick = tick < last ? tick : last;
    tick = tick > wheel->tick ? tick : wheel->tick; /* `now` may be somewhat old */
    list_add_last(&wheel->slots[tick % TIMER_WHEEL_SLOTS], link);
    wheel->count++;
}

struct link *timer_wheel_expire(struct timer_wheel *wheel, double now)
{
    uint64_t until = tick_of(now);
    for (; wheel->count > 0 && wheel->tick <= until; wheel->tick++) {
        struct link *slot = &wheel->slots[wheel->tick % TIMER_WHEEL_SLOTS];
        if (!list_is_empty(slot)) {
            struct link *link = slot->next;
            timer_wheel_cancel(wheel, link);
            return link;
        }
    }
    return NULL;
}

int timer_wheel_timeout(const struct timer_wheel *wheel, double now)
{
    if (wheel->count == 0) {
        return -1;
    }
    uint64_t tick = wheel->tick;
    while (list_is_empty(&wheel->slots[tick % TIMER_WHEEL_SLOTS])) {
        tick++;
    }
    double left = (double)tick * TIMER_WHEEL_TICK - now;
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}
