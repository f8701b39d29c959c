/* SPDX-License-Identifier: MIT */
#include "board/board.h"

#include "base/hash.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384
#define NONE    UINT16_MAX

/* A speed is measured over at least so many seconds. */
#define SPEED_SECONDS 1.0
/* Without progress for so long it is 0. */
#define STALL_SECONDS 3.0

/* What a request tells of its device. */
struct derived {
    int runs;
    unsigned build;
    bool not_taken;
};

/* A device, with what nobody else sees. */
struct entry {
    struct board_device device;
    uint16_t chain; /* next of the same bucket */
    uint16_t newer; /* neighbours by version */
    uint16_t older;
    double shown_at; /* when progress was news */
    bool unseen;     /* there was some since */
    /* Of requests that follow closely the ends may be told in another order; so when they began. */
    double fetch_began; /* the download that `fetched` speaks of */
    double asked_began; /* the last request, */
    int asked;          /* for this slot */
    double moved_at;
    double mark_at; /* the speed is measured from here */
    uint64_t mark_sent;
    /* Of the download that is shown. */
    double began;
    struct derived derived; /* told again at its end */
};

struct board {
    uint64_t version;
    uint64_t results; /* ever */
    uint16_t count;
    uint16_t newest;
    uint16_t oldest;
    uint16_t buckets[BUCKETS];
    struct board_totals totals;
    struct board_slot slots[2];
    struct board_result result[BOARD_RESULTS]; /* number n at (n - 1) % BOARD_RESULTS */
    struct entry entries[BOARD_DEVICES];
};

struct board *board_new(void)
{
    struct board *b = calloc(1, sizeof *b);
    if (b != NULL) {
        memset(b->buckets, 0xFF, sizeof b->buckets);
        b->newest = NONE;
        b->oldest = NONE;
    }
    return b;
}

void board_free(struct board *b)
{
    free(b);
}

/* ---- devices, by address and by age ---- */

static uint16_t *bucket_of(struct board *b, const char *client)
{
    return &b->buckets[hash_text(client, 0) % BUCKETS];
}

static struct entry *find(struct board *b, const char *client)
{
    uint16_t i = *bucket_of(b, client);
    while (i != NONE && strcmp(b->entries[i].device.client, client) != 0) {
        i = b->entries[i].chain;
    }
    return i != NONE ? &b->entries[i] : NULL;
}

static void unlink_entry(struct board *b, const struct entry *e)
{
    *(e->newer != NONE ? &b->entries[e->newer].older : &b->newest) = e->older;
    *(e->older != NONE ? &b->entries[e->older].newer : &b->oldest) = e->newer;
}

static void link_newest(struct board *b, struct entry *e)
{
    uint16_t index = (uint16_t)(e - b->entries);
    e->newer = NONE;
    e->older = b->newest;
    *(b->newest != NONE ? &b->entries[b->newest].newer : &b->oldest) = index;
    b->newest = index;
}

static void end_download(struct board *b, struct entry *e)
{
    if (e->device.now.slot != 0) {
        b->totals.active--;
        e->unseen = false;
        memset(&e->device.now, 0, sizeof e->device.now);
    }
}

static struct entry *forget_oldest(struct board *b)
{
    uint16_t index = b->oldest;
    struct entry *e = &b->entries[index];
    uint16_t *link = bucket_of(b, e->device.client);
    while (*link != index) {
        link = &b->entries[*link].chain;
    }
    *link = e->chain;
    unlink_entry(b, e);
    end_download(b, e);
    return e;
}

static struct entry *add(struct board *b, const char *client, int64_t time)
{
    struct entry *e = b->count < BOARD_DEVICES ? &b->entries[b->count++] : forget_oldest(b);
    memset(e, 0, sizeof *e);
    printable(e->device.client, sizeof e->device.client, client);
    e->device.first_seen = time;
    uint16_t *bucket = bucket_of(b, e->device.client);
    e->chain = *bucket;
    *bucket = (uint16_t)(e - b->entries);
    link_newest(b, e);
    b->totals.devices = b->count;
    return e;
}

static void renew(struct board *b, struct entry *e)
{
    e->device.version = ++b->version;
    unlink_entry(b, e);
    link_newest(b, e);
}

/* ---- what a request tells ---- */

/* A device always asks for the slot that it does not run from. So one that has an image whole and
 * then asks for the other slot runs it; one that asks for the same slot does not. */
static struct derived derive(struct board *b, struct entry *e, int slot, double began)
{
    struct board_device *d = &e->device;
    struct derived derived = {0};
    int fetched = began > e->fetch_began ? d->fetched : 0;
    if (began >= e->asked_began) {
        e->asked = slot;
        e->asked_began = began;
    }
    if (fetched == slot) {
        derived.not_taken = true;
        d->not_taken++;
        b->totals.not_taken++;
    } else if (fetched != 0) {
        derived.runs = fetched;
        derived.build = d->fetched_build;
        d->updates++;
        b->totals.updates++;
    }
    if (derived.runs != 0 || d->runs == slot) {
        d->runs = derived.runs;
        d->runs_build = derived.build;
    }
    d->fetched = fetched != 0 ? 0 : d->fetched;
    return derived;
}

static double began_of(const struct server_event *e, double now)
{
    return e->began > 0 ? e->began : now - e->seconds;
}

static void begin_download(struct board *b, struct entry *e, const struct server_event *event,
                           double now, int64_t time)
{
    struct board_download *d = &e->device.now;
    end_download(b, e);
    b->totals.active++;
    b->totals.version = ++b->version;
    d->port = event->client_port;
    d->slot = event->slot;
    d->build = event->build;
    d->size = event->size;
    d->since = time - (int64_t)event->seconds;
    e->mark_at = now - event->seconds;
    e->mark_sent = 0;
    e->shown_at = now - BOARD_PROGRESS_SECONDS;
    e->began = began_of(event, now);
    e->derived = derive(b, e, event->slot, e->began);
}

static void measure(struct entry *e, uint64_t sent, double now)
{
    double passed = now - e->mark_at;
    e->device.now.sent = sent;
    e->moved_at = now;
    if (passed <= 0 || sent < e->mark_sent || (passed < SPEED_SECONDS && e->mark_sent > 0)) {
        return;
    }
    e->device.now.speed = (uint64_t)((double)(sent - e->mark_sent) / passed);
    if (passed >= SPEED_SECONDS) {
        e->mark_at = now;
        e->mark_sent = sent;
    }
}

static bool is_of(const struct board_download *d, const struct server_event *event)
{
    return d->slot == event->slot && d->port == event->client_port;
}

static void tell_derived(const struct derived *derived, struct server_event *event)
{
    event->runs = derived->runs;
    event->runs_build = derived->build;
    event->not_taken = derived->not_taken;
}

/* Of several downloads of one address the last begun is shown. */
static bool progress(struct board *b, struct entry *e, struct server_event *event, double now,
                     int64_t time)
{
    if (!is_of(&e->device.now, event)) {
        if (e->device.now.slot != 0 && began_of(event, now) <= e->began) {
            return false;
        }
        begin_download(b, e, event, now, time);
    }
    measure(e, event->sent, now);
    tell_derived(&e->derived, event);
    e->device.seen = time;
    e->unseen = now - e->shown_at < BOARD_PROGRESS_SECONDS;
    if (!e->unseen) {
        e->shown_at = now;
        renew(b, e);
    }
    return !e->unseen;
}

void board_catch_up(struct board *b, double now)
{
    for (uint16_t i = 0; i < b->count; i++) {
        struct entry *e = &b->entries[i];
        if (e->device.now.speed != 0 && now - e->moved_at >= STALL_SECONDS) {
            e->device.now.speed = 0;
            e->unseen = true;
        }
        if (e->unseen && now - e->shown_at >= BOARD_PROGRESS_SECONDS) {
            e->unseen = false;
            e->shown_at = now;
            renew(b, e);
        }
    }
}

static void end_fetch(struct board *b, struct entry *e, struct server_event *event, double began)
{
    e->device.fetched = event->slot;
    e->device.fetched_build = event->build;
    e->fetch_began = began;
    e->device.downloads++;
    if (e->asked_began > began) { /* the next request was told first */
        struct derived derived = derive(b, e, e->asked, e->asked_began);
        tell_derived(&derived, event);
    }
}

static void end_request(struct board *b, struct entry *e, struct server_event *event, double now,
                        int64_t time)
{
    struct board_device *d = &e->device;
    double began = began_of(event, now);
    bool shown = is_of(&d->now, event);
    struct derived derived = shown ? e->derived : derive(b, e, event->slot, began);
    if (shown) {
        end_download(b, e);
    }
    tell_derived(&derived, event);
    if (event->complete) {
        end_fetch(b, e, event, began);
    }
    d->failures += event->reason != NULL ? 1 : 0;
    d->seen = time;
    /* HEAD with an image is half of a request: what came of the last GET says more. */
    if (event->reason != NULL || event->not_taken || strcmp(event->method, "GET") == 0) {
        d->ended = true;
        d->last_slot = event->slot;
        d->last_status = event->status;
        d->last_complete = event->complete;
        d->last_not_taken = event->not_taken && !event->complete;
        printable(d->last_reason, sizeof d->last_reason,
                  event->reason != NULL ? event->reason : "");
    }
    renew(b, e);
}

/* ---- history and totals ---- */

static bool is_result(const struct server_event *e)
{
    return e->kind == SERVER_TURNED_AWAY || e->reason != NULL || e->runs != 0 || e->not_taken ||
           (e->slot != 0 && strcmp(e->method, "GET") == 0);
}

static void add_result(struct board *b, const struct server_event *e, int64_t time)
{
    struct board_result *r = &b->result[b->results++ % BOARD_RESULTS];
    *r = (struct board_result){
        .number = b->results,
        .time = time,
        .turned_away = e->kind == SERVER_TURNED_AWAY,
        .slot = e->slot,
        .build = e->build,
        .status = e->status,
        .sent = e->sent,
        .size = e->size,
        .milliseconds = e->seconds > 0 ? (uint64_t)(e->seconds * 1000) : 0,
        .complete = e->complete,
        .runs = e->runs,
        .runs_build = e->runs_build,
        .not_taken = e->not_taken,
    };
    printable(r->client, sizeof r->client, e->client);
    printable(r->method, sizeof r->method, e->method != NULL ? e->method : "");
    printable(r->target, sizeof r->target, e->target != NULL ? e->target : "");
    printable(r->reason, sizeof r->reason, e->reason != NULL ? e->reason : "");
}

static void count(struct board *b, const struct server_event *e)
{
    struct board_totals *t = &b->totals;
    t->version = ++b->version;
    if (e->kind == SERVER_TURNED_AWAY) {
        t->turned_away++;
        return;
    }
    t->requests[e->status < BOARD_STATUSES ? e->status : 0]++;
    bool get = e->slot != 0 && strcmp(e->method, "GET") == 0;
    t->image_bytes += get ? e->sent : 0;
    t->complete += e->complete ? 1 : 0;
    t->broken += get && e->size != 0 && e->reason != NULL ? 1 : 0;
    t->not_converted += e->not_converted ? 1 : 0;
}

/* Only those who ask for a slot are devices: not who looks at the page, not a port scan. */
static struct entry *device_of(struct board *b, const struct server_event *e, int64_t time)
{
    bool asks = e->slot != 0 && (strcmp(e->method, "GET") == 0 || strcmp(e->method, "HEAD") == 0);
    struct entry *found = asks ? find(b, e->client) : NULL;
    return found == NULL && asks ? add(b, e->client, time) : found;
}

bool board_record(struct board *b, struct server_event *event, double now, int64_t time)
{
    if (event->kind == SERVER_CONVERTED || event->kind == SERVER_NOTICE) {
        return false;
    }
    struct entry *e = event->kind == SERVER_TURNED_AWAY ? NULL : device_of(b, event, time);
    if (event->kind == SERVER_PROGRESS) {
        return e != NULL && strcmp(event->method, "GET") == 0 && progress(b, e, event, now, time);
    }
    if (e != NULL) {
        end_request(b, e, event, now, time);
    }
    count(b, event);
    if (!event->looks && is_result(event)) {
        add_result(b, event, time);
    }
    return true;
}

bool board_set_slot(struct board *b, int slot, const struct board_slot *state)
{
    struct board_slot *old = &b->slots[slot - 1];
    bool same = old->version != 0 && strcmp(old->elf, state->elf) == 0 &&
                old->converts == state->converts && old->build == state->build &&
                strcmp(old->reason, state->reason) == 0;
    if (!same) {
        *old = *state;
        old->version = ++b->version;
    }
    return !same;
}

/* ---- looking ---- */

static void look_at_devices(const struct board *b, uint64_t version, struct board_view *view)
{
    uint16_t i = b->newest;
    uint16_t first = NONE;
    for (size_t n = 0; n < BOARD_SHOWN && i != NONE && b->entries[i].device.version > version;
         n++) {
        first = i;
        i = b->entries[i].older;
    }
    view->device_count = 0;
    view->version = b->version;
    for (i = first; i != NONE; i = b->entries[i].newer) {
        if (view->device_count == view->device_room) {
            view->version = view->devices[view->device_count - 1].version;
            return;
        }
        view->devices[view->device_count++] = b->entries[i].device;
    }
}

static void look_at_results(const struct board *b, uint64_t result, struct board_view *view)
{
    uint64_t kept = b->results < BOARD_RESULTS ? 0 : b->results - BOARD_RESULTS;
    view->result = result > kept ? result : kept;
    view->result_count = 0;
    while (view->result < b->results && view->result_count < view->result_room) {
        view->results[view->result_count++] = b->result[view->result++ % BOARD_RESULTS];
    }
}

bool board_view_init(struct board_view *view, size_t devices, size_t results)
{
    view->devices = calloc(devices, sizeof *view->devices);
    view->results = calloc(results, sizeof *view->results);
    view->device_room = devices;
    view->result_room = results;
    return view->devices != NULL && view->results != NULL;
}

void board_view_free(struct board_view *view)
{
    free(view->devices);
    free(view->results);
}

void board_look(const struct board *b, uint64_t version, uint64_t result, struct board_view *view)
{
    look_at_devices(b, version, view);
    look_at_results(b, result, view);
    memcpy(view->slots, b->slots, sizeof view->slots);
    view->totals = b->totals;
}
