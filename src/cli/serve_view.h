/* SPDX-License-Identifier: MIT */
/* What a server shows while it runs: lines on stdout and stderr, and below them, when stderr is a
 * terminal, a block with the downloads that go on. A thread of its own writes, so that nobody's
 * update waits for somebody's terminal. */
#ifndef CLI_SERVE_VIEW_H
#define CLI_SERVE_VIEW_H

#include "server/server.h"

#include <stdbool.h>
#include <stdio.h>

struct serve_view;

/* With `follows` downloads are followed even when there is no block. NULL when there is no memory.
 */
struct serve_view *serve_view_new(bool follows);

/* Lines are kept until then; what was printed before is flushed. False when there is no thread to
 * be had. */
bool serve_view_start(struct serve_view *view);

/* Writes what is left, clears the block; with `patience`, up to so many seconds. Returns 0, or the
 * errno for which some of stdout could not be written. Accepts NULL. */
int serve_view_free(struct serve_view *view, double patience);

/* `text`, from malloc(), ends in a line feed; it is the view's from now on. NULL does nothing.
 * Lines are lost when they cannot be written, or nobody reads them for a long time. */
void serve_view_line(struct serve_view *view, FILE *stream, char *text);
/* How many were lost so far. */
size_t serve_view_lost(struct serve_view *view);

/* It wants to know of progress. */
bool serve_view_follows(const struct serve_view *view);
/* For a SERVER_PROGRESS. True at the first of a download and then once a second at most. */
bool serve_view_progress(struct serve_view *view, const struct server_event *event);
/* For a SERVER_REQUEST, before its line. */
void serve_view_done(struct serve_view *view, const struct server_event *event);

#endif
