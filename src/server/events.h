/* SPDX-License-Identifier: MIT */
/* Who listens at /events: each gets what is new on the board, as it comes. */
#ifndef SERVER_EVENTS_H
#define SERVER_EVENTS_H

#include "board/board_text.h"

#include <microhttpd.h>

struct events;
struct exchange;
struct server;

struct events *events_new(struct server *server); /* NULL: no memory */
/* Nobody waits any more, and nobody will: before libmicrohttpd is stopped. */
void events_close(struct events *events);
/* After libmicrohttpd was stopped. Accepts NULL. */
void events_free(struct events *events);

/* How many listen. From any thread. */
unsigned events_count(const struct events *events);

/* libmicrohttpd's request of one more. */
enum MHD_Result events_respond(struct events *events, struct exchange *x);

/* From the thread that makes the texts, one at a time: news to those who wait for them. */
void events_serve(struct events *events, const struct board_setting *setting);

#endif
