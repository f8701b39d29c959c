/* SPDX-License-Identifier: MIT */
/* Answers requests: route() says what a client is to get, this gets it. */
#ifndef SERVER_RESPOND_H
#define SERVER_RESPOND_H

#include "http/host.h"
#include "net/conn.h"
#include "net/rate_limit.h"
#include "server/converter.h"
#include "server/images.h"
#include "server/journal.h"
#include "web/web.h"

struct responder;

struct responder_options {
    struct store *store;
    struct images *images;
    struct converter *converter;
    struct journal *journal;
    struct rate_limit *rate_limit; /* NULL: none */
    const char *path_token;        /* NULL: none */
    const struct host_names *hosts;
    size_t head_size; /* bytes of a request head at most */
    unsigned idle_seconds;
    bool prompt;        /* ends of connections are noticed at once: there are few places */
    uint16_t extra_mss; /* to keep clear of hazards at, beside the connection's own; or 0 */
    size_t unsent;      /* bytes of one thread's connections that may wait in the kernel */
    /* There are transfers, and were none before. */
    void (*on_busy)(void *context);
    void *context;
};

/* The options' pointers are borrowed. NULL: no memory. */
struct responder *responder_new(const struct responder_options *options);
void responder_free(struct responder *responder); /* accepts NULL */
/* Before the first request. `sets` is borrowed. */
void responder_attach(struct responder *responder, struct web *web, struct conn_set *const *sets,
                      unsigned set_count);

/* The callbacks of the connections, with a responder as the context. */
bool respond_to_input(void *responder, struct conn *conn, const uint8_t *bytes, size_t size,
                      bool last);
void respond_to_reject(void *context, const struct peer *peer, const char *reason);
void respond_to_close(struct conn *conn);
/* The converter's and the web's. */
void respond_to_conversion(struct conversion_wait *wait);
void respond_to_return(void *context, unsigned status, const char *reason);

/* Polls all transfers, and returns when their progress is in the journal. Not from the threads of
 * the connections, and only while they run. */
void responder_poll_transfers(struct responder *responder);
/* Connections with a complete request. */
unsigned responder_open(const struct responder *responder);

#endif
