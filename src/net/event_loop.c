/* SPDX-License-Identifier: MIT */
#include "net/event_loop.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Told of in one turn: beyond that others wait, and what is due too. */
#define EVENTS 32

struct loop {
    int epoll;
    int wake; /* eventfd */
    struct watch waker;
};

static bool control(const struct loop *loop, int operation, int fd, uint32_t events,
                    struct watch *watch)
{
    struct epoll_event event = {.events = events, .data = {.ptr = watch}};
    return epoll_ctl(loop->epoll, operation, fd, &event) == 0;
}

static void woken(void *context, uint32_t events)
{
    const struct loop *loop = context;
    uint64_t value;
    (void)events;
    (void)!read(loop->wake, &value, sizeof value);
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->waker = (struct watch){woken, loop};
    if (loop->epoll < 0 || loop->wake < 0 || !loop_watch(loop, loop->wake, EPOLLIN, &loop->waker)) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->wake >= 0) {
        (void)close(loop->wake);
    }
    if (loop->epoll >= 0) {
        (void)close(loop->epoll);
    }
    free(loop);
}

bool loop_watch(struct loop *loop, int fd, uint32_t events, struct watch *watch)
{
    return control(loop, EPOLL_CTL_ADD, fd, events, watch);
}

bool loop_change(struct loop *loop, int fd, uint32_t events, struct watch *watch)
{
    return control(loop, EPOLL_CTL_MOD, fd, events, watch);
}

void loop_forget(struct loop *loop, int fd)
{
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void loop_turn(struct loop *loop, int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(loop->epoll, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        const struct watch *watch = events[i].data.ptr;
        watch->told(watch->context, events[i].events);
    }
}

void loop_wake(struct loop *loop)
{
    const uint64_t one = 1;
    (void)!write(loop->wake, &one, sizeof one);
}
