/* SPDX-License-Identifier: MIT */
#include "push/fleet.h"

static size_t share_of(struct fleet_share share, size_t count)
{
    size_t number = share.percent ? (count * share.number + 99) / 100 : share.number;
    return number > 0 ? number : 1;
}

void fleet_init(struct fleet *fleet, const struct fleet_options *options,
                struct fleet_device *devices, size_t count)
{
    *fleet = (struct fleet){.options = *options,
                            .devices = devices,
                            .count = count,
                            .quota = options->canaries,
                            .canaries = options->canaries > 0};
}

static void skip_others(struct fleet *f)
{
    while (f->next < f->count && f->devices[f->next].place != FLEET_WAITS) {
        f->next++;
    }
}

/* A group begins when all of the one before has ended. */
static void refill(struct fleet *f)
{
    if (f->quota == 0 && f->running == 0) {
        f->canaries = false;
        f->quota = f->options.group.number == 0 ? f->count : share_of(f->options.group, f->count);
    }
}

size_t fleet_begin(struct fleet *f)
{
    refill(f);
    skip_others(f);
    if (f->stopped || f->quota == 0 || f->running >= f->options.parallel || f->next == f->count) {
        return f->count;
    }
    f->quota--;
    f->running++;
    f->devices[f->next].place = FLEET_RUNS;
    return f->next;
}

static bool worth_a_retry(enum push_state state)
{
    return state == PUSH_BUSY || state == PUSH_REFUSED || state == PUSH_NOT_SWITCHED ||
           state == PUSH_TIMED_OUT;
}

static bool too_many_failed(const struct fleet *f)
{
    struct fleet_share limit = f->options.stop_after;
    if (f->canaries && f->failed > 0) {
        return true;
    }
    if (limit.number == 0 || (limit.percent && f->reached < FLEET_ENOUGH)) {
        return false;
    }
    return limit.percent ? f->failed * 100 >= f->reached * limit.number : f->failed >= limit.number;
}

bool fleet_end(struct fleet *f, size_t index, enum push_state state)
{
    struct fleet_device *d = &f->devices[index];
    if (worth_a_retry(state) && d->tries < f->options.retries && !f->stopped) {
        d->tries++;
        return true;
    }
    d->place = FLEET_DONE;
    d->state = state;
    f->running--;
    if (state == PUSH_UNREACHABLE) {
        f->quota++; /* another takes its place in the group */
    } else {
        f->reached++;
        f->failed += !push_state_is_good(state);
        f->stopped = f->stopped || too_many_failed(f);
    }
    return false;
}

void fleet_stop(struct fleet *f)
{
    f->stopped = true;
}

bool fleet_is_over(const struct fleet *f)
{
    if (f->running > 0) {
        return false;
    }
    for (size_t i = f->next; i < f->count && !f->stopped; i++) {
        if (f->devices[i].place == FLEET_WAITS) {
            return false;
        }
    }
    return true;
}
