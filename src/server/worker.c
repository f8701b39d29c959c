/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include "net/event_loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

struct worker {
    struct loop *loop;
    struct door *door;
    struct deliver *deliver;
    pthread_t thread;
    bool started;
    atomic_bool closing;
    atomic_bool stop;
    sem_t closed; /* the door is */
};

static _Thread_local struct worker *own;

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static void *run(void *context)
{
    struct worker *w = context;
    bool open = true;
    own = w;
    while (!atomic_load(&w->stop)) {
        int milliseconds = deliver_timeout(w->deliver);
        loop_turn(w->loop, open ? sooner(milliseconds, door_timeout(w->door)) : milliseconds);
        if (open && atomic_load(&w->closing)) {
            door_close(w->door);
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

static bool make_parts(struct worker *w, const struct door_options *door,
                       const struct deliver_options *deliver)
{
    struct door_options door_here = *door;
    struct deliver_options deliver_here = *deliver;
    w->loop = loop_new();
    door_here.loop = w->loop;
    deliver_here.loop = w->loop;
    w->deliver = w->loop != NULL ? deliver_new(&deliver_here) : NULL;
    w->door = w->loop != NULL ? door_new(&door_here) : NULL;
    return w->deliver != NULL && w->door != NULL;
}

struct worker *worker_new(const struct door_options *door, const struct deliver_options *deliver)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    (void)sem_init(&w->closed, 0, 0);
    if (!make_parts(w, door, deliver)) {
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
        loop_wake(w->loop);
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
        loop_wake(w->loop);
        (void)pthread_join(w->thread, NULL);
    }
    door_free(w->door);
    deliver_free(w->deliver);
    loop_free(w->loop);
    (void)sem_destroy(&w->closed);
    free(w);
}

struct deliver *worker_deliver(struct worker *w)
{
    return w->deliver;
}

struct worker *worker_own(void)
{
    return own;
}

void worker_forget(struct worker *w, const struct arrival *arrival)
{
    if (arrival->watch != NULL) {
        loop_forget(w->loop, arrival->fd);
        free(arrival->watch);
    }
}
