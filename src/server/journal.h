/* SPDX-License-Identifier: MIT */
/* Takes down what happens, one event at a time: the board knows it first, then the command. */
#ifndef SERVER_JOURNAL_H
#define SERVER_JOURNAL_H

#include "board/board.h"

struct journal;

struct journal_options {
    /* Under the journal's lock. */
    void (*on_event)(void *context, const struct server_event *event);
    void *context;
    /* There is something new on the board; without the lock. */
    void (*on_news)(void *context);
    void *news_context;
};

/* All of this is safe from several threads. NULL: no memory. */
struct journal *journal_new(const struct journal_options *options);
/* Reports the lines that were left out since the last report. Accepts NULL. */
void journal_free(struct journal *journal);

/* Events of what went wrong may come in floods: beyond a few a second they are quiet, and a notice
 * counts them. Fills in what the board derives. */
void journal_record(struct journal *journal, const struct server_event *event);
/* A line for the log, in turn with the events. */
void journal_notice(struct journal *journal, const char *text);

/* The board's, see there. */
void journal_set_slot(struct journal *journal, int slot, const struct board_slot *state);
void journal_catch_up(struct journal *journal);
void journal_view(struct journal *journal, uint64_t version, uint64_t result,
                  struct board_view *view);

#endif
