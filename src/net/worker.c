/* SPDX-License-Identifier: MIT */
#include "net/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

struct worker {
    struct conn_set set;
    struct acceptor *acceptor;
    pthread_t thread;
    bool started;
    bool accepting;
    struct task close; /* the acceptor */
    sem_t closed;
    atomic_bool stop;
};

static void *run(void *context)
{
    struct worker *w = context;
    while (!atomic_load(&w->stop)) {
        event_loop_run_once(w->set.loop, acceptor_timeout(w->acceptor));
        acceptor_turn(w->acceptor);
    }
    return NULL;
}

static void close_acceptor(struct task *task)
{
    struct worker *w = (struct worker *)(void *)((char *)task - offsetof(struct worker, close));
    acceptor_close(w->acceptor);
    (void)sem_post(&w->closed);
}

static bool make_parts(struct worker *w, const struct worker_options *options)
{
    struct acceptor_options acceptor = options->acceptor;
    acceptor.set = &w->set;
    w->set.limits = options->limits;
    w->set.on_reject = options->on_reject;
    w->set.on_close = options->on_close;
    w->set.context = options->context;
    w->set.loop = event_loop_new();
    if (!conn_set_init(&w->set, options->input_size) || w->set.loop == NULL) {
        return false;
    }
    w->acceptor = acceptor_new(&acceptor);
    return w->acceptor != NULL;
}

struct worker *worker_new(const struct worker_options *options)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->close.run = close_acceptor;
    (void)sem_init(&w->closed, 0, 0);
    if (!make_parts(w, options)) {
        worker_free(w);
        return NULL;
    }
    return w;
}

bool worker_start(struct worker *w)
{
    w->started = pthread_create(&w->thread, NULL, run, w) == 0;
    w->accepting = w->started;
    return w->started;
}

void worker_stop_accepting(struct worker *w)
{
    if (w->accepting) {
        w->accepting = false;
        event_loop_post(w->set.loop, &w->close);
        while (sem_wait(&w->closed) != 0) {
        }
    }
}

void worker_join(struct worker *w)
{
    if (w != NULL && w->started) {
        w->started = false;
        atomic_store(&w->stop, true);
        event_loop_wake(w->set.loop);
        (void)pthread_join(w->thread, NULL);
    }
}

bool worker_run_tasks(struct worker *w)
{
    return w != NULL && event_loop_run_tasks(w->set.loop);
}

void worker_free(struct worker *w)
{
    if (w == NULL) {
        return;
    }
    worker_join(w);
    acceptor_free(w->acceptor);
    conn_set_free(&w->set);
    event_loop_free(w->set.loop);
    (void)sem_destroy(&w->closed);
    free(w);
}

struct conn_set *worker_set(struct worker *w)
{
    return &w->set;
}
