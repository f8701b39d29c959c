/* SPDX-License-Identifier: MIT */
/* A thread that works for those who watch, so that no device waits for them: polls ELFs and
 * transfers, and has pages rendered. While nobody watches it sleeps. */
#ifndef SERVER_OBSERVER_H
#define SERVER_OBSERVER_H

#include "server/journal.h"
#include "server/respond.h"

struct observer;

struct observer_options {
    struct store *store;
    struct journal *journal;
    struct responder *responder;
    struct web *web;
    bool progress; /* transfers are always polled */
};

/* NULL: no memory. */
struct observer *observer_new(void);
bool observer_start(struct observer *observer, const struct observer_options *options);
/* Ends the thread; before the connections' threads end. Accepts NULL, as the next. */
void observer_stop(struct observer *observer);
void observer_free(struct observer *observer);

/* From any thread, with an observer as the context. Before the start they do nothing. */
void observer_on_news(void *context);   /* on the board */
void observer_on_busy(void *context);   /* there are transfers, and were none before */
void observer_on_wanted(void *context); /* the web has something to render */

#endif
