/* SPDX-License-Identifier: MIT */
#include "device/probe.h"

#include "base/error.h"
#include "device/answer.h"
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
/* Times that the server is asked again, while it is not known how its answer was cut. */
#define MORE_LOOKS 3
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
    uint32_t segments;           /* that came with the bytes that the client has not had */
    bool squeezed;               /* the last of them may be cut short by this side's slowness */
    size_t first_end;            /* where the first of them ends; 0: not known */
    size_t full_from;            /* since here all segments were full, as far as is known */
    size_t squeezed_at;          /* where one ended that this side's slowness cut; 0: none */
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
/* So many segments tell what is the size of all. */
#define ENOUGH_FOR_PATH 3

static bool is_multiple(uint64_t bytes, uint16_t largest)
{
    return largest != 0 && bytes % largest == 0;
}

static bool path_may_be_less(const struct run *run)
{
    const struct connection *c = &run->connection;
    return run->fed == 0 && c->seen > FIRST_GUESS && c->seen < c->largest;
}

/* When all segments of the first flight are full ones of a smaller size than announced, the server
 * or the network allow no more, and a device will not get larger ones either. */
static void note_path(struct run *run)
{
    struct connection *c = &run->connection;
    const struct probe_answer *a = run->answer;
    size_t header = answer_header_size(a->bytes, a->size);
    if (!path_may_be_less(run) || run->segments < ENOUGH_FOR_PATH) {
        return;
    }
    if (is_multiple(a->size, c->seen) || is_multiple(a->size - header, c->seen) ||
        run->segments == full_count(a->size, c->seen) ||
        run->segments == 1 + full_count(a->size - header, c->seen)) {
        uint32_t path = c->seen + (c->timestamps ? TIMESTAMP_BYTES : 0U);
        c->path = c->seen;
        c->largest = c->seen;
        run->answer->path = (uint16_t)(path < UINT16_MAX ? path : UINT16_MAX);
        run->cut = run->cut < run->answer->path ? run->cut : run->answer->path;
    }
}

enum first_end { FIRST_IS_FULL, FIRST_IS_HEADER, FIRST_SEEMS_HEADER, FIRST_NOT_KNOWN };

/* Several segments have come, of header and body. Where they end tells more than how many they
 * are: when this side reads late, the server repeats some, and those count but bring no bytes. So
 * there are never more bytes than the count has room for, but perhaps less. */
static enum first_end find_first_end(const struct run *run, uint64_t bytes, uint64_t header)
{
    uint16_t largest = run->connection.largest;
    uint64_t without = full_count(bytes, largest);
    uint64_t alone = 1 + full_count(bytes - header, largest);
    if (is_multiple(bytes, largest) || run->segments < alone) {
        return FIRST_IS_FULL;
    }
    if (is_multiple(bytes - header, largest)) {
        return FIRST_IS_HEADER;
    }
    bool one_more = run->segments == alone && alone > without && !run->squeezed;
    return one_more ? FIRST_SEEMS_HEADER : FIRST_NOT_KNOWN;
}

/* Cuts what came before the body was reached, when enough is known of how it was cut; `final`:
 * no more will be known. */
static enum ota_action split_first(struct run *run, bool final)
{
    struct probe_answer *a = run->answer;
    uint64_t bytes = a->size - run->fed;
    size_t header = answer_header_size(a->bytes + run->fed, (size_t)bytes);
    if (header == 0 || header == bytes) {
        a->header_in_pieces =
            header > 0 && run->segments > full_count(bytes, run->connection.largest);
        return is_multiple(bytes, run->connection.largest) ? hand_over_whole(run)
                                                           : hand_over(run, a->size);
    }
    if (run->first_end != 0 && run->connection.path == 0) {
        enum ota_action action = hand_over(run, run->first_end);
        return action == OTA_WAIT ? hand_over_whole(run) : action;
    }
    enum first_end first = find_first_end(run, bytes, header);
    bool sure = first == FIRST_IS_FULL || first == FIRST_IS_HEADER;
    if (!sure && !final) {
        return OTA_WAIT;
    }
    a->cut_unsure = !sure;
    bool alone = first == FIRST_IS_HEADER || first == FIRST_SEEMS_HEADER;
    enum ota_action action = alone ? hand_over(run, run->fed + header) : OTA_WAIT;
    return action == OTA_WAIT ? hand_over_whole(run) : action;
}

/* Before the body each segment counts as it was sent: a server that sends the header by itself does
 * so for a device too. */
static enum ota_action hand_over_first(struct run *run, bool final)
{
    struct probe_answer *a = run->answer;
    size_t header = answer_header_size(a->bytes + run->fed, a->size - run->fed);
    bool ends_there = header > 0 && run->fed + header == a->size;
    if (!run->connection.counts || run->connection.largest == 0) {
        return ends_there || final ? hand_over(run, a->size) : hand_over_whole(run);
    }
    note_path(run);
    bool wait = path_may_be_less(run) && run->segments < ENOUGH_FOR_PATH && header > 0 &&
                !ends_there && !final;
    if (run->segments == 1) {
        run->first_end = a->size;
    }
    if (wait) {
        return OTA_WAIT;
    }
    enum ota_action action = run->segments <= 1 ? hand_over(run, a->size) : split_first(run, final);
    if (run->fed == a->size) {
        run->segments = 0;
        run->first_end = 0;
    }
    return action;
}

static enum ota_action on_arrival(struct run *run, const struct arrival *arrival)
{
    run->segments += arrival->segments;
    run->squeezed = arrival->squeezed;
    if (!before_body(&run->result->client)) {
        return hand_over_whole(run);
    }
    return arrival->known || !run->connection.counts ? hand_over_first(run, false) : OTA_WAIT;
}

static bool body_is_there(const struct run *run)
{
    const struct ota_client *client = &run->result->client;
    return client->state == OTA_STATE_BODY &&
           client->written + (run->answer->size - run->fed) >= client->length;
}

/* The server waits for something, or has sent all. */
static enum ota_action on_pause(struct run *run)
{
    if (before_body(&run->result->client) && run->fed < run->answer->size) {
        return hand_over_first(run, true);
    }
    return body_is_there(run) ? hand_over(run, run->answer->size) : OTA_WAIT;
}

static enum ota_action on_end(struct run *run, bool reset)
{
    run->answer->closed = true;
    run->answer->reset = reset;
    enum ota_action action = OTA_WAIT;
    if (before_body(&run->result->client) && run->fed < run->answer->size) {
        action = hand_over_first(run, true);
    }
    action = action == OTA_WAIT ? hand_over(run, run->answer->size) : action;
    return action == OTA_WAIT || action == OTA_SEND_GET
               ? ota_client_closed(&run->result->client, reset)
               : action;
}

/* Notes where the body came in segments that are not full. Repeated ones do no harm here: they
 * bring no bytes. One that ends where this side had no more room says nothing of the server. */
static void watch_cut(struct run *run, const struct arrival *arrival)
{
    struct probe_answer *a = run->answer;
    uint16_t largest = run->connection.largest;
    if (!arrival->known || largest == 0 || !run->result->client.got_header) {
        return;
    }
    if (run->full_from == 0 && a->header_alone) {
        run->full_from = answer_header_size(a->bytes, a->size);
    }
    if (is_multiple(a->size - run->full_from, largest)) {
        a->even_ones++;
        return;
    }
    if (run->squeezed_at != 0 && is_multiple(a->size - run->squeezed_at, largest)) {
        run->full_from = run->squeezed_at;
    } else if (arrival->squeezed) {
        run->squeezed_at = a->size;
    } else {
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
        *arrival = (struct arrival){0};
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
    run->segments = 0;
    run->squeezed = false;
    run->first_end = 0;
    run->full_from = 0;
    run->squeezed_at = 0;
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
    size_t header = answer_header_size(a->bytes, a->size);
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

/* A device with a flash asks as a device does, whatever it misses. */
static bool may_ask_again(const struct run *run)
{
    return run->options->hooks == NULL;
}

static struct ota_stream stream_of(const struct run *run, bool alone)
{
    const struct probe_answer *a = &run->result->get;
    size_t header = answer_header_size(a->bytes, a->size);
    return (struct ota_stream){a->bytes,         header,   a->bytes + header,
                               a->size - header, run->cut, alone};
}

/* Does the verdict depend on what the counters did not tell? */
static bool cut_matters(const struct run *run)
{
    const struct probe_answer *a = &run->result->get;
    struct ota_client clients[2];
    for (int alone = 0; alone < 2; alone++) {
        const struct ota_stream stream = stream_of(run, alone == 1);
        ota_client_replay(&clients[alone], &run->options->client, &stream);
    }
    size_t header = answer_header_size(a->bytes, a->size);
    return clients[0].state != clients[1].state ||
           memmem(a->bytes + header, a->size - header, "200 OK\r\n", 8) != NULL;
}

/* A size of segments with which a header by itself makes one more of them. */
static uint16_t telling_mss(const struct probe_answer *answer)
{
    size_t header = answer_header_size(answer->bytes, answer->size);
    uint16_t mss = answer->largest;
    for (uint16_t m = mss; m > mss / 2; m = (uint16_t)(m - 4)) {
        if (full_count(answer->size, m) < 1 + full_count(answer->size - header, m)) {
            return m;
        }
    }
    return mss;
}

/* Asks for the image once more, only to see whether the header comes by itself. */
static void look_again(struct run *run, const struct ota_client *before, struct probe_answer *again)
{
    const struct probe_result kept = *run->result;
    const uint16_t cut = run->cut;
    uint16_t mss = telling_mss(&kept.get);
    mss = (uint16_t)(mss + (run->connection.timestamps ? TIMESTAMP_BYTES : 0));
    run->result->client = *before;
    (void)converse(run, again, mss);
    connection_close(&run->connection);
    again->cut_unsure = again->cut_unsure || !run->result->client.got_header;
    *run->result = kept;
    run->cut = cut;
}

/* The client as it would have fared with the header so. */
static void settle(struct run *run, bool alone)
{
    struct probe_answer *a = &run->result->get;
    const struct ota_stream stream = stream_of(run, alone);
    a->cut_unsure = false;
    a->header_alone = alone;
    ota_client_replay(&run->result->client, &run->options->client, &stream);
}

/* Looks until one look is sure, or all but the first, which may have been late, seem the same. */
static void look_until_sure(struct run *run, const struct ota_client *before)
{
    struct probe_answer *a = &run->result->get;
    int seems_alone = 0;
    for (int i = 0; i < MORE_LOOKS && a->cut_unsure; i++) {
        struct probe_answer again = {.bytes = malloc(a->room), .room = a->room};
        if (again.bytes == NULL) {
            return;
        }
        look_again(run, before, &again);
        free(again.bytes);
        seems_alone += again.header_alone ? 1 : 0;
        if (!again.cut_unsure || seems_alone == MORE_LOOKS) {
            settle(run, again.header_alone);
        }
    }
}

static void ask_for_image(struct run *run, uint16_t mss)
{
    struct probe_answer *a = &run->result->get;
    const struct ota_client before = run->result->client;
    (void)converse(run, a, mss);
    if (!a->connected) {
        return;
    }
    if (run->options->hooks == NULL) {
        read_on(run);
    }
    note_counters(run);
    connection_close(&run->connection);
    if (may_ask_again(run) && a->cut_unsure && a->largest != 0 && cut_matters(run)) {
        look_until_sure(run, &before);
    }
}

/* Sends HEAD; again when this side read too late to know how the answer was cut. */
static enum ota_action ask_for_length(struct run *run, uint16_t mss)
{
    struct probe_answer *a = &run->result->head;
    enum ota_action action = converse(run, a, mss);
    for (int i = 0; i < MORE_LOOKS && a->header_in_pieces && may_ask_again(run); i++) {
        connection_close(&run->connection);
        ota_client_init(&run->result->client, &run->options->client);
        *a = (struct probe_answer){.bytes = a->bytes, .room = a->room};
        action = converse(run, a, mss);
    }
    return action;
}

static void play(struct run *run)
{
    struct probe_result *r = run->result;
    uint16_t mss = run->options->mss;
    enum ota_action action = ask_for_length(run, mss);
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
    ask_for_image(run, mss);
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
