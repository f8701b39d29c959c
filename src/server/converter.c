/* SPDX-License-Identifier: MIT */
#include "server/converter.h"

#include "base/clock.h"
#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Between two tries of a file that is being written. */
#define PAUSE_NANOSECONDS 3000000L

struct converter {
    struct store *store;
    void (*done)(struct conversion_wait *wait);
    pthread_t thread;
    pthread_mutex_t lock; /* guards waiting and stop */
    pthread_cond_t asked;
    struct conversion_wait *waiting;
    bool stop;
};

/* Takes the waits for a slot off the list; with `due` only those whose time is up. */
static struct conversion_wait *take(struct converter *c, int slot, bool due)
{
    struct conversion_wait *taken = NULL;
    double now = now_seconds();
    (void)pthread_mutex_lock(&c->lock);
    for (struct conversion_wait **link = &c->waiting; *link != NULL;) {
        struct conversion_wait *w = *link;
        if (w->slot == slot && (!due || w->deadline <= now)) {
            *link = w->next;
            w->next = taken;
            taken = w;
        } else {
            link = &w->next;
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return taken;
}

static void finish(struct converter *c, struct conversion_wait *list, enum espimage_code code,
                   const struct snapshot *snapshot, const struct espimage_notes *notes,
                   const struct espimage_error *err)
{
    while (list != NULL) {
        struct conversion_wait *w = list;
        list = w->next;
        w->code = code;
        w->snapshot = snapshot != NULL ? snapshot_keep(snapshot) : NULL;
        w->notes = *notes;
        if (code != ESPIMAGE_OK) {
            w->err = *err;
        }
        c->done(w);
    }
}

/* One try; while the file is unsettled those whose time is not up wait for the next. */
static void try_slot(struct converter *c, int slot)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err = {0};
    bool unsettled = false;
    enum espimage_code code = store_get(c->store, slot, &snapshot, &unsettled, &notes, &err);
    finish(c, take(c, slot, code != ESPIMAGE_OK && unsettled), code, snapshot, &notes, &err);
    snapshot_release(snapshot);
}

static void *run(void *context)
{
    struct converter *c = context;
    const struct timespec pause = {0, PAUSE_NANOSECONDS};
    for (;;) {
        bool wanted[2] = {false, false};
        (void)pthread_mutex_lock(&c->lock);
        while (c->waiting == NULL && !c->stop) {
            (void)pthread_cond_wait(&c->asked, &c->lock);
        }
        bool stop = c->stop;
        for (const struct conversion_wait *w = c->waiting; w != NULL; w = w->next) {
            wanted[w->slot - 1] = true;
        }
        (void)pthread_mutex_unlock(&c->lock);
        if (stop) {
            return NULL;
        }
        for (int slot = 1; slot <= 2; slot++) {
            if (wanted[slot - 1]) {
                try_slot(c, slot);
            }
        }
        (void)pthread_mutex_lock(&c->lock);
        bool more = c->waiting != NULL;
        (void)pthread_mutex_unlock(&c->lock);
        if (more) {
            (void)nanosleep(&pause, NULL);
        }
    }
}

struct converter *converter_new(struct store *store, void (*done)(struct conversion_wait *wait))
{
    struct converter *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->store = store;
    c->done = done;
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->asked, NULL);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        free(c);
        return NULL;
    }
    return c;
}

static void refuse(struct converter *c, struct conversion_wait *list)
{
    struct espimage_error err;
    const struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    error_found(&err, ESPIMAGE_ERR_UNAVAILABLE, "the server is being stopped");
    finish(c, list, err.code, NULL, &notes, &err);
}

void converter_stop(struct converter *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool stopped = c->stop;
    c->stop = true;
    (void)pthread_cond_signal(&c->asked);
    (void)pthread_mutex_unlock(&c->lock);
    if (!stopped) {
        (void)pthread_join(c->thread, NULL);
    }
    for (int slot = 1; slot <= 2; slot++) {
        refuse(c, take(c, slot, false));
    }
}

void converter_free(struct converter *c)
{
    if (c != NULL) {
        converter_stop(c);
        (void)pthread_mutex_destroy(&c->lock);
        (void)pthread_cond_destroy(&c->asked);
        free(c);
    }
}

void converter_ask(struct converter *c, struct conversion_wait *wait, int slot)
{
    wait->slot = slot;
    wait->deadline = now_seconds() + CONVERTER_WAIT_SECONDS;
    wait->snapshot = NULL;
    (void)pthread_mutex_lock(&c->lock);
    bool stopped = c->stop;
    if (!stopped) {
        wait->next = c->waiting;
        c->waiting = wait;
        (void)pthread_cond_signal(&c->asked);
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (stopped) {
        wait->next = NULL;
        refuse(c, wait);
    }
}
