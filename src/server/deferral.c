/* SPDX-License-Identifier: MIT */
#include "server/deferral.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

/* After several at once. */
#define CROWD_HOLD_SECONDS 0.1
/* Over a network requests always come later than their connections. */
#define LATE_HOLD_SECONDS 60.0
/* One may have had something else to do. */
#define LATE_IN_A_ROW 2

struct deferral {
    int listening;
    pthread_mutex_t lock; /* guards what follows */
    bool on;
    double until;  /* it stays on */
    unsigned late; /* in a row, while it was off */
};

static void set(struct deferral *d, bool on)
{
    const int seconds = on ? 1 : 0;
    d->on = on;
    (void)setsockopt(d->listening, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

static void hold(struct deferral *d, double until)
{
    d->until = until > d->until ? until : d->until;
    if (!d->on) {
        set(d, true);
    }
}

struct deferral *deferral_new(int listening)
{
    struct deferral *d = calloc(1, sizeof *d);
    if (d != NULL) {
        d->listening = listening;
        (void)pthread_mutex_init(&d->lock, NULL);
        set(d, true);
    }
    return d;
}

void deferral_free(struct deferral *d)
{
    if (d != NULL) {
        (void)pthread_mutex_destroy(&d->lock);
        free(d);
    }
}

void deferral_note(struct deferral *d, enum newcomers who, double now)
{
    (void)pthread_mutex_lock(&d->lock);
    switch (who) {
    case NEWCOMERS: hold(d, now + CROWD_HOLD_SECONDS); break;
    case NEWCOMER_LATE:
        if (!d->on && ++d->late >= LATE_IN_A_ROW) {
            hold(d, now + LATE_HOLD_SECONDS);
        }
        break;
    case NEWCOMER_ALONE:
        d->late = 0;
        if (d->on && now >= d->until) {
            set(d, false);
        }
        break;
    }
    (void)pthread_mutex_unlock(&d->lock);
}
