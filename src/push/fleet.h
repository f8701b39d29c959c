/* SPDX-License-Identifier: MIT */
/* In which order devices are updated, and when that stops: canaries, then groups. Pure. */
#ifndef PUSH_FLEET_H
#define PUSH_FLEET_H

#include "push/update.h"

#include <stddef.h>

/* A number of devices, or a share. */
struct fleet_share {
    unsigned number;
    bool percent;
};

struct fleet_options {
    unsigned canaries;             /* the first group; a failure among them stops all */
    struct fleet_share group;      /* the others; number 0: all in one */
    unsigned parallel;             /* updates at once; at least 1 */
    struct fleet_share stop_after; /* failures; number 0: never. A percentage is of the devices that
                                      have ended, once FLEET_ENOUGH have */
    unsigned retries;              /* of one device */
};

#define FLEET_ENOUGH 10

enum fleet_place { FLEET_WAITS, FLEET_RUNS, FLEET_DONE };

struct fleet_device {
    enum fleet_place place;
    enum push_state state; /* valid when done */
    unsigned tries;
};

struct fleet {
    struct fleet_options options;
    struct fleet_device *devices; /* the caller's, zeroed; those that are DONE are left alone */
    size_t count;
    size_t next; /* the first that may still wait */
    size_t running;
    size_t quota;   /* devices of the group that may still begin */
    bool canaries;  /* the group is that of the canaries */
    size_t reached; /* done here, and not unreachable */
    size_t failed;
    bool stopped; /* nothing begins any more */
};

void fleet_init(struct fleet *fleet, const struct fleet_options *options,
                struct fleet_device *devices, size_t count);
/* Takes the next device that may begin now: its index, or `count` when none may. */
size_t fleet_begin(struct fleet *fleet);
/* A running device has ended. True: it is to try again at once, and goes on running. */
bool fleet_end(struct fleet *fleet, size_t index, enum push_state state);
void fleet_stop(struct fleet *fleet);
/* Nothing runs, and nothing will. */
bool fleet_is_over(const struct fleet *fleet);

#endif
