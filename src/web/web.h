/* SPDX-License-Identifier: MIT */
/* Pages, data, events and metrics for people and monitors, by libmicrohttpd, which is used here
 * and nowhere else. A connection comes with a duplicate of its descriptor and a complete request.
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "board/board_text.h"

#include <sys/socket.h>

enum web_page { WEB_PAGE, WEB_JSON, WEB_METRICS, WEB_HEALTH, WEB_EVENTS, WEB_PAGES };
extern const char *const web_paths[WEB_PAGES];

struct web;

struct web_options {
    unsigned idle_seconds;
    /* A text is wanted, see web_render(). From any thread. */
    void (*on_wanted)(void *context);
    const struct espimage_flash_map *(*map)(void *context);
    /* A copy of the board. */
    void (*view)(void *context, uint64_t version, uint64_t result, struct board_view *view);
    void *context;
    /* The duplicate of `conn` was closed. Status 0: there was no answer. */
    void (*on_return)(void *conn, unsigned status, const char *reason);
};

struct web *web_new(const struct web_options *options); /* NULL: no memory or thread */
/* Ends all connections; web_render() must not be called any more. Accepts NULL. */
void web_stop(struct web *web);
void web_free(struct web *web); /* accepts NULL */

/* The descriptor is the web's from now on, `conn` comes back by on_return(). False: neither. */
bool web_add(struct web *web, enum web_page page, int fd, const struct sockaddr *address,
             socklen_t address_size, void *conn);

/* Clients of /events. From any thread. */
unsigned web_subscribers(const struct web *web);
/* A client waits for a text. From any thread. */
bool web_is_wanted(struct web *web);
/* Renders what clients wait for, once each, and what is new for subscribers. From one thread. */
void web_render(struct web *web);

#endif
