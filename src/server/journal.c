/* SPDX-License-Identifier: MIT */
#include "server/journal.h"

#include "base/clock.h"
#include "net/rate_limit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Lines about what went wrong: a flood of them must not fill a disk. The burst is 100 KB. */
static const struct rate log_rate = {.per_second = 5, .burst = 1000};

struct journal {
    struct journal_options options;
    pthread_mutex_t lock; /* guards what follows, and orders events */
    struct board *board;
    struct log_limit log_limit;
};

struct journal *journal_new(const struct journal_options *options)
{
    struct journal *j = calloc(1, sizeof *j);
    if (j == NULL) {
        return NULL;
    }
    j->options = *options;
    (void)pthread_mutex_init(&j->lock, NULL);
    j->board = board_new();
    if (j->board == NULL) {
        journal_free(j);
        return NULL;
    }
    return j;
}

static void report_left_out(const struct journal *j, uint64_t count)
{
    char text[80];
    const struct server_event notice = {.kind = SERVER_NOTICE, .reason = text};
    if (count > 0) {
        (void)snprintf(text, sizeof text, "%ju lines like these left out", (uintmax_t)count);
        j->options.on_event(j->options.context, &notice);
    }
}

void journal_free(struct journal *j)
{
    if (j != NULL) {
        report_left_out(j, j->log_limit.left_out);
        board_free(j->board);
        (void)pthread_mutex_destroy(&j->lock);
        free(j);
    }
}

static bool may_flood(const struct server_event *event)
{
    return event->kind == SERVER_TURNED_AWAY ||
           (event->kind == SERVER_REQUEST && event->status >= 400);
}

void journal_record(struct journal *j, const struct server_event *event)
{
    struct server_event recorded = *event;
    uint64_t left_out = 0;
    (void)pthread_mutex_lock(&j->lock);
    bool news = board_record(j->board, &recorded, now_seconds(), time(NULL));
    if (!recorded.looks && may_flood(event)) {
        recorded.quiet = !log_limit_pass(&j->log_limit, &log_rate, now_seconds(), &left_out);
        report_left_out(j, left_out);
    }
    if (!recorded.looks) {
        j->options.on_event(j->options.context, &recorded);
    }
    (void)pthread_mutex_unlock(&j->lock);
    if (news) {
        j->options.on_news(j->options.news_context);
    }
}

void journal_notice(struct journal *j, const char *text)
{
    const struct server_event notice = {.kind = SERVER_NOTICE, .reason = text};
    journal_record(j, &notice);
}

void journal_set_slot(struct journal *j, int slot, const struct board_slot *state)
{
    (void)pthread_mutex_lock(&j->lock);
    (void)board_set_slot(j->board, slot, state);
    (void)pthread_mutex_unlock(&j->lock);
}

void journal_catch_up(struct journal *j)
{
    (void)pthread_mutex_lock(&j->lock);
    board_catch_up(j->board, now_seconds());
    (void)pthread_mutex_unlock(&j->lock);
}

void journal_view(struct journal *j, uint64_t version, uint64_t result, struct board_view *view)
{
    (void)pthread_mutex_lock(&j->lock);
    board_look(j->board, version, result, view);
    (void)pthread_mutex_unlock(&j->lock);
}
