/* SPDX-License-Identifier: MIT */
/* The HTTP side of an update. The only user of libmicrohttpd, and a module of its own: the TLS
 * libraries that libmicrohttpd brings along take longer to load than a conversion takes, so only
 * `serve` loads it. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "board/event.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVER_HOSTS        16
#define SERVER_HEAD_LONGEST 16384

struct server_options {
    const char *address; /* numeric, or an interface, to listen on unless systemd passed a socket */
    uint16_t port;       /* 0: any free one */
    const char *const *allow; /* networks; others are closed without an answer */
    size_t allow_count;       /* 0: all are answered */
    const char *const *hosts; /* names of this computer, beside those that the system has */
    size_t host_count;        /* up to SERVER_HOSTS */
    const char *path_token;   /* what paths have to begin with; NULL: nothing */
    bool no_sandbox;
    unsigned idle_seconds;
    unsigned promise_seconds;
    unsigned head_seconds;        /* for a request to become whole */
    unsigned head_size;           /* bytes of a request at most; up to SERVER_HEAD_LONGEST */
    unsigned connections;         /* at most; 0: as many as the system allows */
    unsigned address_connections; /* of one address, at most; 0: see facts */
    unsigned rate;                /* requests a second of one address; 0: any */
    uint16_t extra_mss; /* to keep clear of hazards at, beside the connection's own; or 0 */
    bool progress;      /* the callback wants to know of it, up to four times a second */
    struct store *store;
    /* Called from the server's threads, one event at a time. */
    void (*event)(void *context, const struct server_event *event);
    void *context;
};

struct server;

/* What came of the options. */
struct server_facts {
    const char *address; /* numeric */
    uint16_t port;
    bool inherited;               /* the socket is systemd's */
    bool exposed;                 /* neither loopback nor a private network */
    unsigned connections;         /* at most; fewer than asked for when descriptors are few */
    unsigned address_connections; /* at most; by default half of them, up to 4096, so that one
                                   * address alone cannot keep others out */
    const char *protection;       /* what the process has given up */
};

/* What the module exports, under SERVER_MODULE_SYMBOL. */
struct server_module {
    /* ESPIMAGE_ERR_UNAVAILABLE when the port cannot be had, _ERR_USAGE for the address. */
    enum espimage_code (*start)(const struct server_options *options, struct server **out,
                                struct espimage_error *err);
    struct server_facts (*facts)(const struct server *server);
    /* A line for the log, in turn with the events. */
    void (*notice)(struct server *server, const char *text);
    /* A descriptor, the server's, that can be read when poll() has something to do; or -1. */
    int (*poll_fd)(const struct server *server);
    /* Reports when the address to listen on goes away or comes back. To be called at first, when
     * poll_fd() can be read, and after a second when it returned true; not from two threads. */
    bool (*poll)(struct server *server);
    /* No new connections from now on. */
    void (*begin_drain)(struct server *server);
    /* How many requests are still being answered. */
    unsigned (*active)(const struct server *server);
    /* Drains for up to `seconds`, then frees. */
    void (*stop)(struct server *server, unsigned seconds);
};

#define SERVER_MODULE_FILE   "espimagetool-serve.so"
#define SERVER_MODULE_SYMBOL "espimagetool_server"

#endif
