/* SPDX-License-Identifier: MIT */
#include "device/probe.h"

#include "base/error.h"
#include "device/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_MS 10000
/* A server that sends nothing for so long has sent all that it had: what is left is a segment. */
#define PAUSE_MS 300
/* After the verdict the rest is read for the report, as long as it comes. */
#define READ_ON_MS 2000
/* Kept of an answer besides the image. */
#define HEADER_ROOM 65536
/* Linux peers' timestamps take so much of each segment; a device does not use them. */
#define TIMESTAMP_BYTES 12

struct run {
    const struct probe_options *options;
    struct probe_result *result;
    struct route route;
    struct timespec began;
    struct connection connection;
    struct timespec connected;
    struct probe_answer *answer; /* of the open connection */
    uint16_t cut;                /* bytes of a full segment, as a device would get it */
    size_t fed;                  /* bytes of it that the client has had */
    bool short_end;              /* the last bytes that came end in a segment that is not full */
    size_t full_from;            /* since here all segments were full, as far as is known */
    size_t shorted_at;           /* where the last short one ended */
};

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) +
           (double)(now.tv_nsec - then->tv_nsec) / 1000000000.0;
}

static int milliseconds_left(const struct run *run)
{
    double left = (double)run->options->seconds - seconds_since(&run->began);
    return left > 0 ? (int)(left * 1000.0) + 1 : 0;
}

size_t probe_header_size(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

/* ---- what came becomes segments ---- */

/* What a segment added to the body stands at its end. */
static bool keep_body(const struct run *run, uint32_t before, const uint8_t *segment, size_t size)
{
    const struct probe_hooks *hooks = run->options->hooks;
    const struct ota_client *client = &run->result->client;
    size_t added = client->written - before;
    return hooks == NULL || added == 0 ||
           hooks->write(hooks->context, client, before, segment + (size - added), added);
}

/* Gives the client everything before `end`, cut every MSS bytes, until it wants something else. */
static enum ota_action hand_over(struct run *run, size_t end)
{
    struct probe_answer *a = run->answer;
    struct ota_client *client = &run->result->client;
    enum ota_action action = OTA_WAIT;
    while (run->fed < end && action == OTA_WAIT) {
        size_t left = end - run->fed;
        size_t size = left < run->cut ? left : run->cut;
        bool had_header = client->got_header;
        uint32_t before = client->written;
        action = ota_client_segment(client, a->bytes + run->fed, size);
        if (!keep_body(run, before, a->bytes + run->fed, size)) {
            return ota_client_give_up(client, "given up");
        }
        run->fed += size;
        a->header_alone =
            a->header_alone || (!had_header && client->got_header && !client->checked_first);
    }
    return action;
}

static enum ota_action hand_over_whole(struct run *run)
{
    size_t left = run->answer->size - run->fed;
    return hand_over(run, run->fed + left / run->cut * run->cut);
}

static bool before_body(const struct ota_client *client)
{
    return client->state == OTA_STATE_HEAD || client->state == OTA_STATE_FALLBACK ||
           client->state == OTA_STATE_GET;
}

/* Segments that carry `bytes` when each but the last is full. */
static uint64_t full_count(uint64_t bytes, uint16_t largest)
{
    return (bytes + largest - 1) / largest;
}

/* Linux starts with this guess of a peer's segments, and corrects it by what comes. */
#define FIRST_GUESS 536

/* When all segments of the first flight are full ones of a smaller size than announced, the server
 * or the network allow no more, and a device will not get larger ones either. */
static void note_path(struct run *run, const struct arrival *arrival)
{
    struct connection *c = &run->connection;
    const struct probe_answer *a = run->answer;
    size_t header = probe_header_size(a->bytes, a->size);
    if (!arrival->known || arrival->segments < 3 || arrival->bytes != a->size ||
        c->seen <= FIRST_GUESS || c->seen >= c->largest) {
        return;
    }
    if (arrival->segments == full_count(arrival->bytes, c->seen) ||
        arrival->segments == 1 + full_count(arrival->bytes - header, c->seen)) {
        uint32_t path = c->seen + (c->timestamps ? TIMESTAMP_BYTES : 0U);
        c->path = c->seen;
        c->largest = c->seen;
        run->answer->path = (uint16_t)(path < UINT16_MAX ? path : UINT16_MAX);
        run->cut = run->cut < run->answer->path ? run->cut : run->answer->path;
    }
}

/* Several segments came at once, not all of them full. Where does the first one end? */
static enum ota_action split_first(struct run *run, const struct arrival *arrival)
{
    struct probe_answer *a = run->answer;
    uint16_t largest = run->connection.largest;
    size_t header = probe_header_size(a->bytes + run->fed, a->size - run->fed);
    bool body_follows = header > 0 && header < a->size - run->fed;
    uint64_t rest = arrival->bytes - header;

    bool too_many = arrival->segments > full_count(arrival->bytes, largest);
    bool can_be_alone = body_follows && arrival->bytes == a->size - run->fed &&
                        arrival->segments == 1 + full_count(rest, largest);

    if (can_be_alone && (rest % largest == 0 || too_many)) {
        enum ota_action action = hand_over(run, run->fed + header);
        return action == OTA_WAIT ? hand_over_whole(run) : action;
    }
    a->header_maybe_alone = can_be_alone;
    a->header_in_pieces = too_many;
    return body_follows ? hand_over_whole(run) : hand_over(run, a->size);
}

/* Before the body each segment counts as it was sent: a server that sends the header by itself does
 * so for a device too. */
static enum ota_action on_arrival(struct run *run, const struct arrival *arrival)
{
    const struct connection *c = &run->connection;
    struct probe_answer *a = run->answer;
    note_path(run, arrival);
    bool full = c->largest != 0 && arrival->bytes == (uint64_t)arrival->segments * c->largest;
    run->short_end = arrival->known && !full;
    if (!before_body(&run->result->client)) {
        return hand_over_whole(run);
    }
    if (!c->counts &&
        probe_header_size(a->bytes + run->fed, a->size - run->fed) + run->fed == a->size) {
        return hand_over(run, a->size);
    }
    if (!run->short_end || c->largest == 0) {
        return hand_over_whole(run);
    }
    return arrival->segments <= 1 ? hand_over(run, a->size) : split_first(run, arrival);
}

static bool body_is_there(const struct run *run)
{
    const struct ota_client *client = &run->result->client;
    return client->state == OTA_STATE_BODY &&
           client->written + (run->answer->size - run->fed) >= client->length;
}

/* Bytes that have waited are a segment, unless it is the network that made them wait. */
static enum ota_action on_pause(struct run *run)
{
    bool flush = run->short_end || !run->connection.counts || body_is_there(run);
    return flush ? hand_over(run, run->answer->size) : OTA_WAIT;
}

static enum ota_action on_end(struct run *run, bool reset)
{
    run->answer->closed = true;
    run->answer->reset = reset;
    enum ota_action action = hand_over(run, run->answer->size);
    return action == OTA_WAIT || action == OTA_SEND_GET
               ? ota_client_closed(&run->result->client, reset)
               : action;
}

/* Notes where the body came in segments that are not full. Repeated ones do no harm here: they
 * bring no bytes. */
static void watch_cut(struct run *run, const struct arrival *arrival)
{
    struct probe_answer *a = run->answer;
    uint16_t largest = run->connection.largest;
    if (!arrival->known || largest == 0 || !run->result->client.got_header) {
        return;
    }
    if (run->full_from == 0 && a->header_alone) {
        run->full_from = probe_header_size(a->bytes, a->size);
    }
    if ((a->size - run->full_from) % largest != 0) {
        a->short_ones++;
        run->full_from = a->size;
        run->shorted_at = a->size;
    }
}

/* ---- one connection ---- */

/* Bytes that may be read now at the speed asked for. */
static size_t allowance(const struct run *run, size_t room)
{
    /* The header is read as it comes: how it was cut shows only at once. */
    if (run->options->speed == 0 || before_body(&run->result->client)) {
        return room;
    }
    double due = (double)run->options->speed * seconds_since(&run->connected) + 1.0 -
                 (double)run->answer->size;
    return due < 0 ? 0 : due < (double)room ? (size_t)due : room;
}

/* Reads once. */
static enum connection_event read_more(struct run *run, int milliseconds, struct arrival *arrival)
{
    struct probe_answer *a = run->answer;
    size_t room = allowance(run, a->room - a->size);
    size_t size = 0;
    if (room == 0) {
        const struct timespec nap = {0, 5000000};
        (void)nanosleep(&nap, NULL);
        *arrival = (struct arrival){false, 0, 0};
        return CONNECTION_DATA;
    }
    enum connection_event event = connection_receive(&run->connection, a->bytes + a->size, room,
                                                     milliseconds, &size, arrival);
    if (run->options->hooks != NULL && a == &run->result->get && size > 0) {
        run->options->hooks->received(run->options->hooks->context, a->bytes, a->size,
                                      a->size + size);
    }
    a->size += size;
    return event;
}

static enum ota_action step(struct run *run)
{
    struct ota_client *client = &run->result->client;
    struct arrival arrival;
    size_t before = run->answer->size;
    int left = milliseconds_left(run);
    const struct probe_hooks *hooks = run->options->hooks;
    if (hooks != NULL && !hooks->go_on(hooks->context)) {
        return ota_client_give_up(client, "given up");
    }
    if (left == 0) {
        run->result->timed_out = true;
        return ota_client_timeout(client, false);
    }
    if (run->answer->size == run->answer->room) {
        enum ota_action action = hand_over(run, run->answer->size);
        return action == OTA_WAIT ? ota_client_give_up(client, "more than a device has room for")
                                  : action;
    }
    switch (read_more(run, left < PAUSE_MS ? left : PAUSE_MS, &arrival)) {
    case CONNECTION_DATA: break;
    case CONNECTION_SILENT: return on_pause(run);
    case CONNECTION_CLOSED: return on_end(run, false);
    case CONNECTION_RESET: return on_end(run, true);
    }
    if (run->answer->size == before) {
        return OTA_WAIT;
    }
    enum ota_action action = on_arrival(run, &arrival);
    watch_cut(run, &arrival);
    return action;
}

/* The vendor's sample, to the byte: HTTP/1.0, no Host, and a CR too many behind the empty line. */
static void send_request(struct run *run, const char *method)
{
    char text[sizeof run->options->target.path + 64];
    int size = snprintf(text, sizeof text, "%s %s HTTP/1.0\r\nConnection: close\r\n\r\n\r", method,
                        run->options->target.path);
    /* When the server has gone, the next read tells. */
    (void)connection_send(&run->connection, text, (size_t)size);
}

static enum ota_action obey(struct run *run, enum ota_action action)
{
    if (action == OTA_SEND_GET && run->answer == &run->result->head) {
        run->answer->again = run->answer->size;
    }
    send_request(run, action == OTA_SEND_HEAD ? "HEAD" : "GET");
    return OTA_WAIT;
}

static enum ota_action cannot_connect(struct run *run, int failure)
{
    struct ota_client *client = &run->result->client;
    run->result->connect_error = failure;
    run->result->timed_out = milliseconds_left(run) == 0;
    return failure == ETIMEDOUT ? ota_client_timeout(client, true)
                                : ota_client_give_up(client, strerror(failure));
}

static enum ota_action converse(struct run *run, struct probe_answer *answer, uint16_t mss)
{
    int left = milliseconds_left(run);
    int failure =
        connection_open(&run->connection, &run->route, mss, left < CONNECT_MS ? left : CONNECT_MS);
    if (failure != 0) {
        return cannot_connect(run, failure);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &run->connected);
    run->answer = answer;
    run->fed = 0;
    run->cut = run->options->mss;
    run->short_end = false;
    run->full_from = 0;
    run->shorted_at = 0;
    answer->connected = true;
    enum ota_action action = ota_client_connected(&run->result->client);
    while (action != OTA_RECONNECT && action != OTA_END) {
        action = action == OTA_WAIT ? step(run) : obey(run, action);
    }
    return action;
}

static void note_counters(struct run *run)
{
    const struct connection *c = &run->connection;
    run->answer->largest = c->counts ? c->largest : 0;
    run->answer->segments = c->counts && c->read == c->queued ? c->segments : 0;
    /* The last one may be short. */
    if (run->answer->short_ones > 0 && run->shorted_at == run->answer->size) {
        run->answer->short_ones--;
    }
}

/* A device stops at the first broken rule; for the report the rest of the image is of use. */
static void read_on(struct run *run)
{
    const struct ota_client *client = &run->result->client;
    struct probe_answer *a = run->answer;
    size_t header = probe_header_size(a->bytes, a->size);
    size_t wanted = header + client->length;
    wanted = client->got_header && wanted < a->room ? wanted : a->room;
    while (!a->closed && !run->result->timed_out && a->size < wanted) {
        struct arrival arrival;
        int left = milliseconds_left(run);
        enum connection_event event =
            read_more(run, left < READ_ON_MS ? left : READ_ON_MS, &arrival);
        if (event != CONNECTION_DATA || left == 0) {
            a->closed = event == CONNECTION_CLOSED || event == CONNECTION_RESET;
            return;
        }
        watch_cut(run, &arrival);
    }
}

static bool erase(const struct run *run)
{
    const struct probe_hooks *hooks = run->options->hooks;
    return hooks == NULL || hooks->erase(hooks->context, run->result->client.erased);
}

static void play(struct run *run)
{
    struct probe_result *r = run->result;
    uint16_t mss = run->options->mss;
    enum ota_action action = converse(run, &r->head, mss);
    if (r->head.connected) {
        note_counters(run);
        /* With timestamps, announce so much more that the segments carry what a device's do. */
        bool roomy = run->connection.timestamps && mss <= UINT16_MAX - TIMESTAMP_BYTES;
        mss = (uint16_t)(mss + (roomy ? TIMESTAMP_BYTES : 0));
        connection_close(&run->connection);
    }
    if (action != OTA_RECONNECT) {
        return;
    }
    if (!erase(run)) {
        (void)ota_client_give_up(&r->client, "given up");
        return;
    }
    (void)converse(run, &r->get, mss);
    if (r->get.connected) {
        if (run->options->hooks == NULL) {
            read_on(run);
        }
        note_counters(run);
        connection_close(&run->connection);
    }
}

static enum espimage_code resolve(const struct target *target, struct sockaddr_in *out,
                                  struct espimage_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int failure = getaddrinfo(target->host, NULL, &hints, &list);
    if (failure != 0) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "'%s' has no IPv4 address: %s", target->host,
                    gai_strerror(failure));
        return err->code;
    }
    memcpy(out, list->ai_addr, sizeof *out);
    out->sin_port = htons(target->port);
    freeaddrinfo(list);
    return ESPIMAGE_OK;
}

static enum espimage_code reserve(struct probe_answer *answer, size_t room,
                                  struct espimage_error *err)
{
    answer->bytes = malloc(room);
    answer->room = room;
    return answer->bytes != NULL ? ESPIMAGE_OK : error_no_memory(err);
}

enum espimage_code probe_run(const struct probe_options *options, struct probe_result *out,
                             struct espimage_error *err)
{
    struct run run = {.options = options, .result = out, .connection = {.fd = -1}};
    run.route.from = options->source;
    run.route.stop_fd = options->hooks != NULL ? options->hooks->stop_fd : -1;
    char address[INET_ADDRSTRLEN] = "";
    memset(out, 0, sizeof *out);
    enum espimage_code code = resolve(&options->target, &run.route.to, err);
    if (code == ESPIMAGE_OK) {
        code = reserve(&out->head, HEADER_ROOM, err);
    }
    if (code == ESPIMAGE_OK) {
        code = reserve(&out->get, (size_t)options->client.partition + HEADER_ROOM, err);
    }
    if (code != ESPIMAGE_OK) {
        probe_result_free(out);
        return code;
    }
    (void)inet_ntop(AF_INET, &run.route.to.sin_addr, address, sizeof address);
    (void)snprintf(out->address, sizeof out->address, "%s:%u", address, options->target.port);
    ota_client_init(&out->client, &options->client);
    (void)clock_gettime(CLOCK_MONOTONIC, &run.began);
    play(&run);
    out->seconds = seconds_since(&run.began);
    return ESPIMAGE_OK;
}

void probe_result_free(struct probe_result *result)
{
    free(result->head.bytes);
    free(result->get.bytes);
    result->head.bytes = NULL;
    result->get.bytes = NULL;
}
