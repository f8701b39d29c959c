/* SPDX-License-Identifier: MIT */
/* What people and monitors look at: the page, its events, its data. A thread of its own makes the
 * texts, so that nobody who looks holds up a device. */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include <microhttpd.h>

struct exchange;
struct look;
struct server;
struct status;

enum status_route {
    STATUS_NONE, /* not ours */
    STATUS_PAGE,
    STATUS_JSON,
    STATUS_METRICS,
    STATUS_HEALTH,
    STATUS_EVENTS
};

/* Of a request's path behind the token. With a query, the caller's to see, it is not ours: what
 * devices ask for comes in queries too. */
enum status_route status_route_of(const char *path);

/* NULL when there is no memory or no thread. */
struct status *status_new(struct server *server);
/* Nobody waits any more, and nobody will: before libmicrohttpd is stopped. Accepts NULL. */
void status_close(struct status *status);
/* After libmicrohttpd was stopped. Accepts NULL. */
void status_free(struct status *status);

/* Connections of /events. From any thread. */
unsigned status_listeners(const struct status *status);

/* There is something new on the board. From any thread. */
void status_news(struct status *status);
/* There are answers on their way, and were none before. From any thread. */
void status_busy(struct status *status);

/* libmicrohttpd's request for a route; and when it calls again. */
enum MHD_Result status_respond(struct exchange *x, enum status_route route);
enum MHD_Result status_answer(struct exchange *x);
void status_look_free(struct look *look); /* accepts NULL */

#endif
