/* SPDX-License-Identifier: MIT */
/* Updates many devices: one event loop for all connections to them, the order from fleet.h, each
 * device's course from update.h. */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

#include "board/event.h"
#include "push/fleet.h"
#include "push/page.h"
#include "push/roster.h"
#include "push/transport.h"

struct push_image {
    const uint8_t *data; /* NULL: none for this slot */
    size_t size;
    char build[BUILD_DIGITS + 1]; /* or "" */
};

struct push_device {
    const struct roster_device *at;
    struct push_update update; /* to be read */
    char build_before[BUILD_DIGITS + 1];
    char build_after[BUILD_DIGITS + 1];
    double seconds; /* of its update; 0 until it has begun */
    double speed;   /* bytes a second of the download */
};

struct push_options {
    struct transport transport;
    const char *page; /* URL with {device}; NULL: none */
    const struct page_expectation *expectation;
    struct push_rules rules;
    struct fleet_options fleet;
    struct push_image images[2];
    struct push_image bundle; /* of both, for a transport that wants one */
    /* A device is in another state, or its download went on. Also called before its update begins,
     * in the state PUSH_WAITING: when it returns false nothing begins any more. */
    bool (*changed)(void *context, const struct push_device *device);
    void *context;
};

struct push;

/* Options and roster must outlive it. NULL when there is no memory or descriptor. */
struct push *push_new(const struct push_options *options, const struct roster *roster);
void push_free(struct push *push);

/* Does not begin with this device: what an earlier run found. Before push_run(). */
void push_skip(struct push *push, size_t index, enum push_state state, const char *reason);

/* What our server saw. From any thread. */
void push_on_server_event(struct push *push, const struct server_event *event);

/* Runs until no update runs or may begin. `interrupted` is asked whenever signal_fd can be read:
 * the first true lets running updates finish, the second ends them at once. */
void push_run(struct push *push, int signal_fd, bool (*interrupted)(int signal_fd));

size_t push_count(const struct push *push);
const struct push_device *push_device_at(const struct push *push, size_t index);
/* Devices were left waiting because of failures or an interruption. */
bool push_was_stopped(const struct push *push);

#endif
