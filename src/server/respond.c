/* SPDX-License-Identifier: MIT */
#include "server/respond.h"

#include "base/clock.h"
#include "base/error.h"
#include "http/image_header.h"
#include "http/range.h"
#include "http/reply.h"
#include "http/route.h"
#include "server/exchange.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of libmicrohttpd's connections: each costs it memory as long as its client does not read. */
#define PAGE_CONNECTIONS         128
#define PAGE_CONNECTIONS_ADDRESS 64
/* Bytes of a page that may wait in the kernel; it doubles the number. */
#define PAGE_SEND_BUFFER 32768
/* Of an image: some of a device's windows, so that it never waits for this thread. */
#define LEAST_UNSENT 32768
/* Transfers that are polled in one go. */
#define POLLS 64

struct responder {
    struct responder_options options;
    struct route_rules rules; /* but for the slots */
    struct conn_limits *page_limits;
    struct web *web;
    struct conn_set *const *sets;
    unsigned set_count;
};

/* A request that waits for its image, or for transfers to be polled. It outlives its connection
 * when the server is stopped. */
struct waiting {
    struct task task; /* first; posted to the connection's loop when it may go on */
    struct conversion_wait wait;
    struct event_loop *loop;
    struct conn *conn; /* NULL: closed meanwhile */
};

/* ---- what is recorded ---- */

static void record(struct exchange *x, enum server_event_kind kind, bool complete)
{
    struct server_event event = exchange_event(x, kind);
    event.complete = complete;
    journal_record(x->responder->options.journal, &event);
}

static void record_end(struct exchange *x, bool complete)
{
    if (!x->recorded) {
        x->recorded = true;
        record(x, SERVER_REQUEST, complete);
    }
}

void respond_to_reject(void *context, const struct peer *peer, const char *reason)
{
    struct responder *r = context;
    char client[PEER_TEXT];
    peer_text(peer, client);
    const struct server_event event = {
        .kind = SERVER_TURNED_AWAY, .client = client, .client_port = peer->port, .reason = reason};
    journal_record(r->options.journal, &event);
}

/* ---- transfers ---- */

static void note_delivered(struct exchange *x, uint64_t delivered)
{
    x->sent = delivered > x->header_size ? delivered - x->header_size : 0;
}

static void on_progress(struct conn *conn, uint64_t delivered)
{
    struct exchange *x = exchange_of(conn);
    note_delivered(x, delivered);
    record(x, SERVER_PROGRESS, false);
}

static void on_image_end(struct conn *conn, uint64_t delivered, enum transfer_outcome outcome)
{
    struct exchange *x = exchange_of(conn);
    bool all = outcome == TRANSFER_COMPLETE;
    bool complete = all && x->size == x->snapshot->image.size;
    note_delivered(x, delivered);
    if (!all) {
        exchange_set_reason(x, outcome == TRANSFER_GONE ? "the client went away"
                                                        : "the client stopped reading");
    }
    if (x->promise != 0 && (complete || !all)) {
        images_settle(x->responder->options.images, x->client, x->slot, x->snapshot, x->promise,
                      complete);
    }
    record_end(x, complete);
}

static void on_other_end(struct conn *conn, uint64_t delivered, enum transfer_outcome outcome)
{
    (void)delivered;
    (void)outcome;
    record_end(exchange_of(conn), false);
}

/* When there are many, each has its share of what may wait in the kernel to be sent. With more of
 * it the kernel would run short, and hold up all of them. */
static size_t unsent_share(const struct responder *r, const struct conn_set *set)
{
    size_t share = r->options.unsent / (atomic_load(&set->open) + 1);
    return share > LEAST_UNSENT ? share : LEAST_UNSENT;
}

static void start(struct conn *conn, const char *header, size_t size)
{
    struct exchange *x = exchange_of(conn);
    struct responder *r = x->responder;
    bool first = atomic_load(&conn->set->open) == 1;
    x->transfer.idle_seconds = r->options.idle_seconds;
    x->transfer.prompt = r->options.prompt;
    transfer_start(conn, &x->transfer, header, size, unsent_share(r, conn->set));
    if (first) {
        r->options.on_busy(r->options.context);
    }
}

/* ---- answers ---- */

/* Recorded first: what a client asks for when it has the answer comes later in the log. */
static void send_reply(struct conn *conn, const struct reply *reply)
{
    struct exchange *x = exchange_of(conn);
    char text[REPLY_LONGEST];
    size_t size = reply_write(reply, text);
    x->status = reply->status;
    x->size = 0;
    if (reply->reason != NULL) {
        exchange_set_reason(x, reply->reason);
    }
    record_end(x, false);
    x->transfer.on_end = on_other_end;
    start(conn, text, size);
}

static void refuse(struct conn *conn, unsigned status, const char *reason)
{
    const struct reply reply = {status, reason, NULL};
    send_reply(conn, &reply);
}

/* The size of the segments that will be sent; 0 when it is not known. */
static uint16_t segment_size(int fd)
{
    int mss = 0;
    socklen_t size = sizeof mss;
    bool known = getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &size) == 0;
    return known && mss > 0 && mss <= UINT16_MAX ? (uint16_t)mss : 0;
}

static const char *hazard_text(enum wire_hazard_kind kind)
{
    switch (kind) {
    case WIRE_NO_HAZARD: return "";
    case WIRE_SHORT_FIRST: return "too little of the image is in the first TCP segment";
    case WIRE_SHORT_LAST: return "the last TCP segment is shorter than 4 bytes";
    case WIRE_JOINED: return "header and image are one TCP segment";
    case WIRE_DROPPED: break;
    }
    return "a TCP segment begins where devices take it for a header";
}

static void note_hazard(struct exchange *x, const struct wire_hazard *hazard)
{
    struct espimage_notes *notes = hazard->kind != WIRE_NO_HAZARD ? exchange_notes(x) : NULL;
    if (notes != NULL) {
        note_add(notes, "no header length avoids it: %s (MSS %u, offset %zu)",
                 hazard_text(hazard->kind), hazard->mss, hazard->offset);
    }
}

static void send_header(struct conn *conn, const struct image_header *header, size_t first)
{
    struct exchange *x = exchange_of(conn);
    x->header_size = header->size;
    if (x->head) {
        record_end(x, false);
        x->transfer.on_end = on_other_end;
    } else {
        x->transfer.file = &x->snapshot->image;
        x->transfer.at = first;
        x->transfer.end = first + x->size;
        x->transfer.on_progress = on_progress;
        x->transfer.on_end = on_image_end;
    }
    start(conn, header->text, header->size);
}

static void send_complete(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    const struct responder_options *o = &x->responder->options;
    struct image_header header;
    x->status = 200;
    x->size = x->snapshot->image.size;
    image_header_whole(x->snapshot, segment_size(conn->fd), o->extra_mss, &header);
    note_hazard(x, &header.hazard);
    if (x->promise == 0) {
        x->promise = images_promise(o->images, x->client, x->slot, x->head, x->snapshot);
    }
    send_header(conn, &header, 0);
}

static void send_part(struct conn *conn, size_t first, size_t size)
{
    struct exchange *x = exchange_of(conn);
    struct image_header header;
    x->status = 206;
    x->size = size;
    image_header_part(x->snapshot, first, size, &header);
    send_header(conn, &header, first);
}

/* ---- conditions: for clients that are not devices ---- */

static bool holds_tag(const struct head_text *value, const char *tag)
{
    return value->at != NULL && memmem(value->at, value->size, tag, strlen(tag)) != NULL;
}

static bool is_same(const struct head_text *value, const char *text)
{
    return value->size == strlen(text) && memcmp(value->at, text, value->size) == 0;
}

static enum range_result range_of(const struct exchange *x, const struct request_head *head,
                                  const char *tag, size_t *first, size_t *count)
{
    char range[64];
    const struct head_text *value = &head->range;
    bool other = head->if_range.at != NULL && !is_same(&head->if_range, tag);
    if (value->at == NULL || value->size >= sizeof range || x->head || other) {
        return RANGE_NONE;
    }
    memcpy(range, value->at, value->size);
    range[value->size] = '\0';
    return range_parse(range, x->snapshot->image.size, first, count);
}

static void send_image(struct conn *conn, const struct request_head *head)
{
    const struct exchange *x = exchange_of(conn);
    char tag[IMAGE_ETAG];
    char field[IMAGE_ETAG + 48];
    size_t first = 0;
    size_t count = 0;
    image_etag(x->snapshot, tag);
    if (holds_tag(&head->if_none_match, tag) ||
        (head->if_none_match.at != NULL && is_same(&head->if_none_match, "*"))) {
        (void)snprintf(field, sizeof field, "ETag: %s", tag);
        send_reply(conn, &(const struct reply){304, NULL, field});
        return;
    }
    switch (range_of(x, head, tag, &first, &count)) {
    case RANGE_NONE: send_complete(conn); break;
    case RANGE_ONE: send_part(conn, first, count); break;
    case RANGE_UNSATISFIABLE:
        (void)snprintf(field, sizeof field, "Content-Range: bytes */%zu", x->snapshot->image.size);
        send_reply(conn, &(const struct reply){416, "behind the end of the image", field});
        break;
    }
}

/* ---- images that have to be waited for ---- */

static void answer_image(struct conn *conn, const struct request_head *head, bool checked);

/* NULL: no memory. */
static struct waiting *wait_begin(struct conn *conn, void (*run)(struct task *task))
{
    struct waiting *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->task.run = run;
        w->wait.context = w;
        w->loop = conn->set->loop;
        w->conn = conn;
        exchange_of(conn)->waiting = w;
        conn_unwatch(conn); /* the request stays in the socket */
        conn_set_state(conn, CONN_WAITING);
    }
    return w;
}

/* The connection that waited; NULL: it was closed. */
static struct conn *wait_end(struct waiting *w)
{
    if (w->conn != NULL) {
        exchange_of(w->conn)->waiting = NULL;
    }
    return w->conn;
}

/* The request once more, from the socket. */
static bool read_again(struct conn *conn, struct request_head *head)
{
    const struct responder *r = exchange_of(conn)->responder;
    ssize_t got = conn_peek(conn);
    return got > 0 && head_parse(conn->set->input, (size_t)got, r->options.head_size, true, head) ==
                          HEAD_COMPLETE;
}

static void leave(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    exchange_set_reason(x, "the client went away");
    record_end(x, false);
    conn_close(conn);
}

/* For the reply. Names of files and what is in them are for the log alone. */
static const char *why_not_ready(enum espimage_code code)
{
    switch (code) {
    case ESPIMAGE_ERR_NO_INPUT: return "the file for this slot is missing or cannot be opened";
    case ESPIMAGE_ERR_IO: return "the file for this slot is being written or cannot be read";
    case ESPIMAGE_ERR_ELF: return "the file for this slot is not a complete ELF for this chip";
    case ESPIMAGE_ERR_LAYOUT: return "the ELF is not linked for this slot";
    case ESPIMAGE_ERR_SIZE: return "the image for this slot is too large for an update";
    case ESPIMAGE_ERR_IMAGE: return "devices would refuse the image for this slot";
    default: return "the file for this slot cannot be converted now";
    }
}

static void take_conversion(struct conn *conn, struct conversion_wait *wait)
{
    struct exchange *x = exchange_of(conn);
    struct request_head head;
    struct espimage_notes *notes = wait->notes.count > 0 ? exchange_notes(x) : NULL;
    if (notes != NULL) {
        *notes = wait->notes;
    }
    x->not_converted = wait->code != ESPIMAGE_OK;
    x->snapshot = wait->snapshot;
    wait->snapshot = NULL;
    if (!read_again(conn, &head)) {
        leave(conn);
    } else if (x->not_converted) {
        char line[ESPIMAGE_ERROR_LINE];
        exchange_set_reason(x, espimage_error_line(&wait->err, line, sizeof line));
        refuse(conn, 503, why_not_ready(wait->err.code));
    } else {
        send_image(conn, &head);
    }
}

static void on_converted(struct task *task)
{
    struct waiting *w = (struct waiting *)(void *)task;
    struct conn *conn = wait_end(w);
    if (conn != NULL) {
        take_conversion(conn, &w->wait);
    }
    snapshot_release(w->wait.snapshot);
    free(w);
}

void respond_to_conversion(struct conversion_wait *wait)
{
    struct waiting *w = wait->context;
    event_loop_post(w->loop, &w->task);
}

static void wait_for_conversion(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    struct waiting *w = wait_begin(conn, on_converted);
    if (w == NULL) {
        refuse(conn, 503, "out of memory");
    } else {
        converter_ask(x->responder->options.converter, &w->wait, x->slot);
    }
}

/* ---- transfers of other threads ---- */

/* In each thread: polls the transfers that a promise is used for. */
struct recheck_part {
    struct task task; /* first */
    struct recheck *recheck;
    struct conn_set *set;
};

struct recheck {
    struct waiting waiting; /* first; freed with it */
    struct peer peer;
    uint64_t promise;
    atomic_uint left;
    struct recheck_part parts[];
};

static void recheck_set(struct task *task)
{
    const struct recheck_part *part = (const struct recheck_part *)(const void *)task;
    struct recheck *recheck = part->recheck;
    struct link *next = NULL;
    for (struct link *l = part->set->requests.next; l != &part->set->requests; l = next) {
        struct conn *c = conn_of_place(l);
        next = l->next;
        if (c->state >= CONN_SENDING && exchange_of(c)->promise == recheck->promise &&
            peer_same_address(&c->peer, &recheck->peer)) {
            transfer_poll(c, &exchange_of(c)->transfer);
        }
    }
    if (atomic_fetch_sub(&recheck->left, 1) == 1) {
        event_loop_post(recheck->waiting.loop, &recheck->waiting.task);
    }
}

static void on_rechecked(struct task *task)
{
    struct waiting *w = (struct waiting *)(void *)task;
    struct conn *conn = wait_end(w);
    struct request_head head;
    if (conn != NULL && read_again(conn, &head)) {
        answer_image(conn, &head, true);
    } else if (conn != NULL) {
        leave(conn);
    }
    free(w);
}

static void recheck_promise(struct conn *conn, uint64_t promise)
{
    struct exchange *x = exchange_of(conn);
    const struct responder *r = x->responder;
    struct recheck *recheck = calloc(1, sizeof *recheck + r->set_count * sizeof recheck->parts[0]);
    if (recheck == NULL) {
        refuse(conn, 503, "out of memory");
        return;
    }
    recheck->waiting =
        (struct waiting){.task = {.run = on_rechecked}, .loop = conn->set->loop, .conn = conn};
    recheck->peer = conn->peer;
    recheck->promise = promise;
    atomic_init(&recheck->left, r->set_count);
    x->waiting = &recheck->waiting;
    conn_unwatch(conn);
    conn_set_state(conn, CONN_WAITING);
    for (unsigned i = 0; i < r->set_count; i++) {
        recheck->parts[i] = (struct recheck_part){{.run = recheck_set}, recheck, r->sets[i]};
    }
    for (unsigned i = 0; i < r->set_count; i++) {
        event_loop_post(r->sets[i]->loop, &recheck->parts[i].task);
    }
}

/* One thread's share of responder_poll_transfers(), a few at a time: each that was polled goes to
 * the end of the list. */
struct poll_part {
    struct task task; /* first */
    struct conn_set *set;
    unsigned left;
    bool begun;
    sem_t *done;
};

static void poll_some(struct task *task)
{
    struct poll_part *part = (struct poll_part *)(void *)task;
    struct link *list = &part->set->requests;
    part->left = part->begun ? part->left : atomic_load(&part->set->open);
    part->begun = true;
    for (int i = 0; i < POLLS && part->left > 0 && !list_is_empty(list); i++, part->left--) {
        struct conn *c = conn_of_place(list->next);
        list_remove(&c->place);
        list_add_last(list, &c->place);
        if (c->state == CONN_SENDING || c->state == CONN_FLUSHING || c->state == CONN_SENT) {
            transfer_poll(c, &exchange_of(c)->transfer);
        }
    }
    if (part->left > 0 && !list_is_empty(list)) {
        event_loop_post(part->set->loop, task);
    } else {
        (void)sem_post(part->done);
    }
}

void responder_poll_transfers(struct responder *r)
{
    sem_t done;
    struct poll_part *parts = calloc(r->set_count, sizeof *parts);
    if (parts == NULL) {
        return;
    }
    (void)sem_init(&done, 0, 0);
    for (unsigned i = 0; i < r->set_count; i++) {
        parts[i].task.run = poll_some;
        parts[i].set = r->sets[i];
        parts[i].done = &done;
        event_loop_post(r->sets[i]->loop, &parts[i].task);
    }
    for (unsigned i = 0; i < r->set_count; i++) {
        while (sem_wait(&done) != 0) {
        }
    }
    (void)sem_destroy(&done);
    free(parts);
}

unsigned responder_open(const struct responder *r)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->set_count; i++) {
        count += atomic_load(&r->sets[i]->open);
    }
    return count;
}

/* ---- requests ---- */

static void answer_image(struct conn *conn, const struct request_head *head, bool checked)
{
    struct exchange *x = exchange_of(conn);
    struct image_supply supply;
    switch (images_supply(x->responder->options.images, x->client, x->slot, x->head, checked,
                          &supply)) {
    case IMAGES_READY:
        x->snapshot = supply.snapshot;
        x->promise = supply.promise;
        x->promised = supply.promised;
        send_image(conn, head);
        break;
    case IMAGES_RECHECK: recheck_promise(conn, supply.promise); break;
    case IMAGES_CONVERT: wait_for_conversion(conn); break;
    }
}

static void refuse_slot(struct conn *conn, const struct route *route)
{
    char missing[160];
    const char *reason = route->reason;
    if (reason == NULL) {
        store_missing(exchange_of(conn)->responder->options.store, route->slot, missing,
                      sizeof missing);
        reason = missing;
    }
    refuse(conn, route->status, reason);
}

static socklen_t socket_address(const struct peer *peer, union any_address *out)
{
    *out = (union any_address){.v6 = {.sin6_family = AF_INET6, .sin6_addr = peer->address}};
    out->v6.sin6_port = htons(peer->port);
    return sizeof out->v6;
}

/* libmicrohttpd answers on a duplicate of the descriptor and closes it; the connection stays here,
 * so that it counts until its client has everything, and ends as all others do. */
static bool lend(struct conn *conn, enum web_page page)
{
    struct exchange *x = exchange_of(conn);
    const int buffer = PAGE_SEND_BUFFER;
    union any_address address;
    socklen_t size = socket_address(&conn->peer, &address);
    int fd = fcntl(conn->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    conn_unwatch(conn);
    conn->duplicated = true;
    if (!web_add(x->responder->web, page, fd, &address.any, size, conn)) {
        return false;
    }
    conn_set_state(conn, CONN_LENT); /* it comes back by a task of this thread */
    return true;
}

static void answer_page(struct conn *conn, enum web_page page)
{
    struct exchange *x = exchange_of(conn);
    struct conn_limits *limits = x->responder->page_limits;
    if (conn_limits_enter(limits, &conn->peer) != CONN_LIMITS_OK) {
        refuse(conn, 503, "too many connections for pages");
        return;
    }
    if (!conn_limits_admit(limits, &conn->peer)) {
        conn_limits_leave_pending(limits, &conn->peer);
        refuse(conn, 503, "too many connections for pages");
        return;
    }
    x->counts_as_page = true;
    if (!lend(conn, page)) {
        refuse(conn, 503, "no descriptor or memory left");
    }
}

static void on_returned(struct task *task)
{
    struct exchange *x =
        (struct exchange *)(void *)((char *)task - offsetof(struct exchange, returned));
    x->transfer.idle_seconds = x->responder->options.idle_seconds;
    x->transfer.on_end = on_other_end;
    x->page = x->status != 0; /* what was not answered is logged */
    record_end(x, false);
    transfer_finish(x->conn, &x->transfer);
}

void respond_to_return(void *context, unsigned status, const char *reason)
{
    struct conn *conn = context;
    struct exchange *x = exchange_of(conn);
    x->conn = conn;
    x->status = status;
    if (reason != NULL) {
        exchange_set_reason(x, reason);
    }
    x->returned.run = on_returned;
    event_loop_post(conn->set->loop, &x->returned);
}

static void dispatch(struct conn *conn, const struct request_head *head, const struct route *route)
{
    struct exchange *x = exchange_of(conn);
    const struct responder_options *o = &x->responder->options;
    unsigned wait = head->status == 0 && o->rate_limit != NULL
                        ? rate_limit_take(o->rate_limit, &conn->peer, now_seconds())
                        : 0;
    if (wait > 0) {
        char field[40];
        (void)snprintf(field, sizeof field, "Retry-After: %u", wait);
        x->page = false;
        send_reply(conn, &(const struct reply){429, "too many requests of this address", field});
        return;
    }
    switch (route->handler) {
    case ROUTE_REPLY: refuse_slot(conn, route); break;
    case ROUTE_IMAGE: answer_image(conn, head, false); break;
    case ROUTE_PAGE: answer_page(conn, (enum web_page)route->page); break;
    }
}

bool respond_to_input(void *context, struct conn *conn, const uint8_t *bytes, size_t size,
                      bool last)
{
    struct responder *r = context;
    struct request_head head;
    if (head_parse(bytes, size, r->options.head_size, last, &head) == HEAD_PARTIAL) {
        return false;
    }
    struct route_rules rules = r->rules;
    for (int slot = 1; slot <= 2; slot++) {
        rules.slots[slot - 1] = store_path(r->options.store, slot) != NULL;
    }
    struct route found = route(&head, &rules);
    if (found.handler == ROUTE_PAGE && head.unfinished) { /* libmicrohttpd waits for the rest */
        if (!last) {
            return false;
        }
        found = (struct route){.status = 408, .reason = "the request was not complete in time"};
    }
    if (!conn_admit(conn)) {
        return true;
    }
    struct exchange *x = exchange_new(r, &conn->peer, &head, r->rules.token);
    if (x == NULL) {
        conn_close(conn);
        return true;
    }
    x->head = found.head;
    x->slot = found.slot;
    x->page = found.handler == ROUTE_PAGE;
    conn->user = x;
    dispatch(conn, &head, &found);
    return true;
}

void respond_to_close(struct conn *conn)
{
    struct exchange *x = exchange_of(conn);
    if (x->waiting != NULL) {
        x->waiting->conn = NULL;
    }
    if (x->transfer.on_end != NULL) {
        transfer_abort(conn, &x->transfer);
    } else if (!x->recorded) {
        exchange_set_reason(x, "the server is being stopped");
        record_end(x, false);
    }
    if (x->counts_as_page) {
        conn_limits_leave(x->responder->page_limits, &conn->peer);
    }
    exchange_free(x);
    conn->user = NULL;
}

/* ---- start and stop ---- */

struct responder *responder_new(const struct responder_options *options)
{
    struct responder *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->options = *options;
    r->rules = (struct route_rules){.token = options->path_token,
                                    .hosts = options->hosts,
                                    .pages = web_paths,
                                    .page_count = WEB_PAGES};
    r->page_limits = conn_limits_new(PAGE_CONNECTIONS, PAGE_CONNECTIONS_ADDRESS);
    if (r->page_limits == NULL) {
        responder_free(r);
        return NULL;
    }
    return r;
}

void responder_attach(struct responder *r, struct web *web, struct conn_set *const *sets,
                      unsigned set_count)
{
    r->web = web;
    r->sets = sets;
    r->set_count = set_count;
}

void responder_free(struct responder *r)
{
    if (r != NULL) {
        conn_limits_free(r->page_limits);
        free(r);
    }
}
