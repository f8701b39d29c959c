/* SPDX-License-Identifier: MIT */
#include "net/event_loop.h"

#include "base/clock.h"
#include "net/timer_wheel.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Handled in one turn; beyond that others wait, and so do timers. */
#define EVENTS 32
/* In one turn: each may close a connection, and new requests wait meanwhile. */
#define TIMERS 8

struct event_loop {
    int epoll;
    int wake; /* eventfd */
    struct handler waker;
    struct timer_wheel wheel;
    pthread_mutex_t lock; /* guards the tasks */
    struct task *tasks;
    struct task **last;
};

static bool control(const struct event_loop *loop, int operation, int fd, uint32_t events,
                    struct handler *handler)
{
    struct epoll_event event = {.events = events, .data = {.ptr = handler}};
    return epoll_ctl(loop->epoll, operation, fd, &event) == 0;
}

static void on_wake(void *context, uint32_t events)
{
    const struct event_loop *loop = context;
    uint64_t value;
    (void)events;
    (void)!read(loop->wake, &value, sizeof value);
}

struct event_loop *event_loop_new(void)
{
    struct event_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    timer_wheel_init(&loop->wheel);
    (void)pthread_mutex_init(&loop->lock, NULL);
    loop->last = &loop->tasks;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->waker = (struct handler){on_wake, loop};
    if (loop->epoll < 0 || loop->wake < 0 ||
        !event_loop_add(loop, loop->wake, EPOLLIN, &loop->waker)) {
        event_loop_free(loop);
        return NULL;
    }
    return loop;
}

void event_loop_free(struct event_loop *loop)
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
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop);
}

bool event_loop_add(struct event_loop *loop, int fd, uint32_t events, struct handler *handler)
{
    return control(loop, EPOLL_CTL_ADD, fd, events, handler);
}

bool event_loop_modify(struct event_loop *loop, int fd, uint32_t events, struct handler *handler)
{
    return control(loop, EPOLL_CTL_MOD, fd, events, handler);
}

void event_loop_remove(struct event_loop *loop, int fd)
{
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- timers ---- */

void timer_init(struct timer *timer, void (*on_timer)(void *context), void *context)
{
    list_init(&timer->link);
    timer->on_timer = on_timer;
    timer->context = context;
}

void event_loop_set_timer(struct event_loop *loop, struct timer *timer, double seconds)
{
    timer_wheel_set(&loop->wheel, &timer->link, now_seconds(), seconds);
}

void event_loop_cancel_timer(struct event_loop *loop, struct timer *timer)
{
    timer_wheel_cancel(&loop->wheel, &timer->link);
}

static void run_timers(struct event_loop *loop)
{
    double now = loop->wheel.count > 0 ? now_seconds() : 0;
    struct link *link = NULL;
    for (int i = 0; i < TIMERS && (link = timer_wheel_expire(&loop->wheel, now)) != NULL; i++) {
        const struct timer *timer = (const struct timer *)(const void *)link;
        timer->on_timer(timer->context);
    }
}

/* ---- tasks ---- */

void event_loop_wake(struct event_loop *loop)
{
    const uint64_t one = 1;
    (void)!write(loop->wake, &one, sizeof one);
}

void event_loop_post(struct event_loop *loop, struct task *task)
{
    task->next = NULL;
    (void)pthread_mutex_lock(&loop->lock);
    *loop->last = task;
    loop->last = &task->next;
    (void)pthread_mutex_unlock(&loop->lock);
    event_loop_wake(loop);
}

bool event_loop_run_tasks(struct event_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    struct task *task = loop->tasks;
    loop->tasks = NULL;
    loop->last = &loop->tasks;
    (void)pthread_mutex_unlock(&loop->lock);
    bool any = task != NULL;
    while (task != NULL) {
        struct task *next = task->next;
        task->run(task);
        task = next;
    }
    return any;
}

/* ---- turns ---- */

static int shorter(int a, int b)
{
    if (a < 0 || b < 0) {
        return a < 0 ? b : a;
    }
    return a < b ? a : b;
}

void event_loop_run_once(struct event_loop *loop, int milliseconds)
{
    struct epoll_event events[EVENTS];
    int due = loop->wheel.count > 0 ? timer_wheel_timeout(&loop->wheel, now_seconds()) : -1;
    int count = epoll_wait(loop->epoll, events, EVENTS, shorter(milliseconds, due));
    bool woken = false;
    for (int i = 0; i < count; i++) {
        const struct handler *handler = events[i].data.ptr;
        woken = woken || handler == &loop->waker;
        handler->on_event(handler->context, events[i].events);
    }
    if (woken) {
        (void)event_loop_run_tasks(loop);
    }
    run_timers(loop);
}
