/* SPDX-License-Identifier: MIT */
#include "server/observer.h"

#include "base/clock.h"
#include "server/slots.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Between two polls of the ELFs, and of subscribers that have left. */
#define TICK_SECONDS 1.0
/* News within this time go out together, and requests share what is rendered. */
#define PAUSE_NANOSECONDS 30000000L
/* Polled transfers; with thousands each is polled less often. */
#define POLLS_PER_SECOND 4000.0

struct observer {
    struct observer_options options;
    pthread_t thread;
    atomic_bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    bool news;
    bool wanted;
    bool stop;
    /* The thread's. */
    double slots_polled;
    double transfers_polled;
    struct board_slot slots[2];
};

static bool has_subscribers(const struct observer *o)
{
    return web_subscribers(o->options.web) > 0;
}

/* Progress of transfers is polled all the time. */
static bool is_followed(const struct observer *o)
{
    return o->options.progress || has_subscribers(o);
}

static double next_poll(const struct observer *o)
{
    double wait = responder_open(o->options.responder) / POLLS_PER_SECOND;
    return o->transfers_polled + (wait > BOARD_PROGRESS_SECONDS ? wait : BOARD_PROGRESS_SECONDS);
}

/* When there is something to do in any case; 0: only when it is wanted. */
static double next_work(const struct observer *o, double since)
{
    double tick = has_subscribers(o) ? since + TICK_SECONDS : 0;
    double poll =
        is_followed(o) && responder_open(o->options.responder) > web_subscribers(o->options.web)
            ? next_poll(o)
            : tick;
    return tick > 0 && tick < poll ? tick : poll;
}

/* With the lock held; returns with it. */
static void wait_for_work(struct observer *o)
{
    double since = now_seconds();
    int late = 0;
    while (!o->news && !o->wanted && !o->stop && late == 0) {
        double at = next_work(o, since);
        const struct timespec until = clock_time(at);
        late = at > 0 ? pthread_cond_timedwait(&o->work, &o->lock, &until)
                      : pthread_cond_wait(&o->work, &o->lock);
    }
}

static void work(struct observer *o)
{
    const struct timespec pause = {0, PAUSE_NANOSECONDS};
    bool pages = web_is_wanted(o->options.web);
    bool subscribers = has_subscribers(o);
    double now = now_seconds();
    if (pages || (subscribers && now - o->slots_polled >= TICK_SECONDS)) {
        o->slots_polled = now;
        slots_poll(o->options.store, o->options.journal, o->slots);
    }
    if ((pages || is_followed(o)) && now >= next_poll(o)) {
        o->transfers_polled = now;
        responder_poll_transfers(o->options.responder);
    }
    journal_catch_up(o->options.journal);
    if (pages || subscribers) {
        web_render(o->options.web);
        (void)nanosleep(&pause, NULL);
    }
}

static void *run(void *context)
{
    struct observer *o = context;
    bool stop = false;
    while (!stop) {
        (void)pthread_mutex_lock(&o->lock);
        wait_for_work(o);
        o->news = false;
        o->wanted = false;
        stop = o->stop;
        (void)pthread_mutex_unlock(&o->lock);
        if (!stop) {
            work(o);
        }
    }
    return NULL;
}

static void signal_work(struct observer *o, bool *flag)
{
    (void)pthread_mutex_lock(&o->lock);
    *flag = true;
    (void)pthread_cond_signal(&o->work);
    (void)pthread_mutex_unlock(&o->lock);
}

void observer_on_news(void *context)
{
    struct observer *o = context;
    if (atomic_load(&o->started) && has_subscribers(o)) {
        signal_work(o, &o->news);
    }
}

void observer_on_busy(void *context)
{
    struct observer *o = context;
    if (atomic_load(&o->started) && is_followed(o)) {
        signal_work(o, &o->news);
    }
}

void observer_on_wanted(void *context)
{
    struct observer *o = context;
    if (atomic_load(&o->started)) {
        signal_work(o, &o->wanted);
    }
}

struct observer *observer_new(void)
{
    struct observer *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return NULL;
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&o->lock, NULL);
    (void)pthread_cond_init(&o->work, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return o;
}

bool observer_start(struct observer *o, const struct observer_options *options)
{
    o->options = *options;
    bool started = pthread_create(&o->thread, NULL, run, o) == 0;
    atomic_store(&o->started, started);
    return started;
}

void observer_stop(struct observer *o)
{
    if (o != NULL && atomic_exchange(&o->started, false)) {
        signal_work(o, &o->stop);
        (void)pthread_join(o->thread, NULL);
    }
}

void observer_free(struct observer *o)
{
    if (o != NULL) {
        observer_stop(o);
        (void)pthread_mutex_destroy(&o->lock);
        (void)pthread_cond_destroy(&o->work);
        free(o);
    }
}
