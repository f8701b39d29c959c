/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct worker {
    struct door *door;
    struct deliver *deliver;
    pthread_t thread;
    bool started;
    int wake; /* eventfd */
    atomic_bool closing;
    atomic_bool stop;
    sem_t closed; /* the door is */
};

static _Thread_local struct deliver *own_deliver;

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void *run(void *context)
{
    struct worker *w = context;
    struct pollfd wait[] = {
        {door_fd(w->door), POLLIN, 0}, {deliver_fd(w->deliver), POLLIN, 0}, {w->wake, POLLIN, 0}};
    bool open = true;
    own_deliver = w->deliver;
    while (!atomic_load(&w->stop)) {
        int milliseconds = deliver_timeout(w->deliver);
        (void)poll(wait, 3, open ? sooner(milliseconds, door_timeout(w->door)) : milliseconds);
        if (wait[2].revents != 0) {
            uint64_t value;
            (void)!read(w->wake, &value, sizeof value);
        }
        if (open && atomic_load(&w->closing)) {
            door_close(w->door);
            wait[0].fd = -1;
            open = false;
            (void)sem_post(&w->closed);
        }
        if (open) {
            door_turn(w->door);
        }
        deliver_turn(w->deliver);
    }
    return NULL;
}

static void wake(const struct worker *w)
{
    const uint64_t one = 1;
    (void)!write(w->wake, &one, sizeof one);
}

struct worker *worker_new(const struct door_options *door, const struct deliver_options *deliver)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    (void)sem_init(&w->closed, 0, 0);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->deliver = deliver_new(deliver);
    w->door = door_new(door);
    if (w->wake < 0 || w->deliver == NULL || w->door == NULL) {
        worker_free(w);
        return NULL;
    }
    return w;
}

bool worker_start(struct worker *w)
{
    w->started = pthread_create(&w->thread, NULL, run, w) == 0;
    return w->started;
}

void worker_close_door(struct worker *w)
{
    if (w->started && !atomic_exchange(&w->closing, true)) {
        wake(w);
        while (sem_wait(&w->closed) != 0) {
        }
    }
}

void worker_free(struct worker *w)
{
    if (w == NULL) {
        return;
    }
    if (w->started) {
        atomic_store(&w->stop, true);
        wake(w);
        (void)pthread_join(w->thread, NULL);
    }
    door_free(w->door);
    deliver_free(w->deliver);
    if (w->wake >= 0) {
        (void)close(w->wake);
    }
    (void)sem_destroy(&w->closed);
    free(w);
}

struct deliver *worker_deliver(struct worker *w)
{
    return w->deliver;
}

struct deliver *worker_own_deliver(void)
{
    return own_deliver;
}
