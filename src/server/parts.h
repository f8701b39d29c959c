/* SPDX-License-Identifier: MIT */
/* What the parts of the server share. */
#ifndef SERVER_PARTS_H
#define SERVER_PARTS_H

#include "board/board.h"
#include "net/listener.h"
#include "net/rate_limit.h"
#include "net/system_limits.h"
#include "sandbox/sandbox.h"
#include "server/deferral.h"
#include "server/exchange.h"
#include "server/server.h"
#include "server/status.h"
#include "server/worker.h"
#include "store/promises.h"

#include <microhttpd.h>
#include <pthread.h>

struct server {
    struct server_options options;
    struct listener listener;
    struct deferral *deferral; /* of its socket */
    int news;                  /* of interfaces, when the listener is watched; or -1 */
    int null;                  /* /dev/null; -1: cannot be opened */
    struct cidr *allowed;      /* owned */
    unsigned connections;
    unsigned address_connections;
    struct system_limits limits;
    char protection[SANDBOX_TEXT];
    bool closed;
    struct rate_limit *rates; /* NULL: no limit */
    atomic_uint answering;    /* connections from their whole request to the end of the answer */
    struct conn_limits *conn_limits;
    struct MHD_Daemon *daemon;
    struct worker **workers; /* owned; one a processor */
    unsigned worker_count;
    atomic_uint turn; /* which of them gets the next connection */
    struct converter *converter;
    struct status *status;
    pthread_mutex_t lock; /* guards promises, board, stopping and full_told, and orders events */
    struct board *board;
    struct promises *promises;
    bool stopping;
    double full_told; /* when it was last said that new connections wait; 0: never */
    struct log_limit log_limit;
};

/* What libmicrohttpd keeps for us with a connection. */
struct guest {
    struct peer peer;
    bool taken; /* deliver.c has it */
};

/* One event at a time; the board knows it first. Those without an image may come in floods: beyond
 * a few a second they are quiet, and a notice says how many were. */
void server_tell(struct server *server, const struct server_event *event);
void server_tell_exchange(struct exchange *x, enum server_event_kind kind, bool complete);

struct deliver *server_deliverer(struct server *server);
/* Connections that get an answer, or are about to end. */
unsigned server_deliveries(const struct server *server);
/* Looks how far they are, and tells it. For one thread. */
void server_look_at_deliveries(const struct server *server);

/* promising.c: what HEAD announced is what GET gets. */
/* For the exchange's snapshot, unless it is what was promised before. */
void promising_make(struct exchange *x);
/* What the client of the exchange is to get: what was promised to it, or what there is now. A
 * reference; NULL: it has to be converted first. */
const struct snapshot *promising_supply(struct exchange *x);
/* deliver.c's, for an exchange. */
void promising_progress(void *exchange, uint64_t delivered);
void promising_end(void *exchange, uint64_t delivered, enum deliver_end how);

/* respond.c: what devices ask is answered without libmicrohttpd when the image is there: true when
 * the connection is taken. */
bool respond_at_once(struct server *server, const struct arrival *arrival);
/* A request without its last LF, for which libmicrohttpd would wait: what is not for it is answered
 * here, when the ELF is converted. True when the connection is taken. */
bool respond_unfinished(struct server *server, const struct arrival *arrival);

/* libmicrohttpd's callbacks for a request, and the converter's. */
enum MHD_Result respond_to_request(void *context, struct MHD_Connection *connection,
                                   const char *path, const char *method, const char *version,
                                   const char *upload, size_t *upload_size, void **request_context);
/* Nothing but an image, and what people look at, ever has a body. */
enum MHD_Result respond_without(struct exchange *x, unsigned status, const char *reason,
                                const char *field, const char *value);
void *respond_begin(void *context, const char *uri, struct MHD_Connection *connection);
void respond_end(void *context, struct MHD_Connection *connection, void **request_context,
                 enum MHD_RequestTerminationCode how);
void respond_converted(struct conversion_wait *wait);

/* refuse.c: answers what libmicrohttpd never gets. */
void refuse_request(void *context, const struct arrival *arrival);
/* With 429, and when to come again. */
void refuse_for_now(struct server *server, const struct arrival *arrival, unsigned seconds);
/* Ends an exchange that libmicrohttpd never got. `client` has no watch. */
void refuse_exchange(struct exchange *x, const struct deliver_client *client, unsigned status,
                     const char *reason);

#endif
