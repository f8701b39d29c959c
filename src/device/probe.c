/* SPDX-License-Identifier: MIT */
#include "device/probe.h"

#include "base/clock.h"
#include "base/error.h"
#include "device/answer.h"
#include "device/segments.h"
#include "ota/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <espimage/flash.h>
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

struct run {
    const struct probe_options *options;
    struct probe_result *result;
    struct route route;
    double began;
    struct connection connection;
    double connected;
    struct segments segments; /* of the open connection, or the last one */
};

static int milliseconds_left(const struct run *run)
{
    double left = (double)run->options->seconds - (now_seconds() - run->began);
    return left > 0 ? (int)(left * 1000.0) + 1 : 0;
}

/* ---- one connection ---- */

/* Bytes that may be read now at the speed asked for. */
static size_t allowance(const struct run *run, size_t room)
{
    /* The header is read as it comes: how it was cut shows only at once. */
    if (run->options->speed == 0 || segments_before_body(&run->segments)) {
        return room;
    }
    double due = (double)run->options->speed * (now_seconds() - run->connected) + 1.0 -
                 (double)run->segments.answer->size;
    return due < 0 ? 0 : due < (double)room ? (size_t)due : room;
}

/* Reads once. */
static enum connection_event read_more(struct run *run, int milliseconds, struct arrival *arrival)
{
    struct probe_answer *a = run->segments.answer;
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

static enum ota_action on_end(struct run *run, bool reset)
{
    run->segments.answer->closed = true;
    run->segments.answer->reset = reset;
    enum ota_action action = segments_ended(&run->segments);
    while (action == OTA_SEND_GET && run->segments.fed < run->segments.answer->size) {
        action = segments_ended(&run->segments);
    }
    return action == OTA_WAIT || action == OTA_SEND_GET
               ? ota_client_closed(&run->result->client, reset)
               : action;
}

/* A device waits until its time is up. */
static enum ota_action on_silence(struct run *run)
{
    enum ota_action action = segments_paused(&run->segments);
    return action == OTA_WAIT && ota_client_is_lost(&run->result->client)
               ? ota_client_give_up(&run->result->client, "nothing more comes")
               : action;
}

static enum ota_action step(struct run *run)
{
    struct ota_client *client = &run->result->client;
    struct arrival arrival;
    size_t before = run->segments.answer->size;
    int left = milliseconds_left(run);
    const struct probe_hooks *hooks = run->options->hooks;
    if (hooks != NULL && !hooks->go_on(hooks->context)) {
        return ota_client_give_up(client, "given up");
    }
    if (left == 0) {
        run->result->timed_out = true;
        return ota_client_timeout(client, false);
    }
    if (run->segments.answer->size == run->segments.answer->room) {
        enum ota_action action = segments_rest(&run->segments);
        return action == OTA_WAIT ? ota_client_give_up(client, "more than a device has room for")
                                  : action;
    }
    switch (read_more(run, left < PAUSE_MS ? left : PAUSE_MS, &arrival)) {
    case CONNECTION_DATA: break;
    case CONNECTION_SILENT: return on_silence(run);
    case CONNECTION_CLOSED: return on_end(run, false);
    case CONNECTION_RESET: return on_end(run, true);
    }
    if (run->segments.answer->size == before) {
        return OTA_WAIT;
    }
    enum ota_action action = segments_came(&run->segments, &arrival);
    segments_watch(&run->segments, &arrival);
    return action;
}

/* HEAD is made of GET's text as the SDK does. */
static void send_request(struct run *run, bool head)
{
    char get[OTA_REQUEST_ROOM];
    char text[OTA_REQUEST_ROOM];
    (void)target_request(&run->options->target, get, sizeof get);
    (void)ota_head_of_get(get, text, sizeof text);
    const char *sent = head ? text : get;
    /* When the server has gone, the next read tells. */
    (void)connection_send(&run->connection, sent, strlen(sent));
}

static enum ota_action obey(struct run *run, enum ota_action action)
{
    if (action == OTA_SEND_GET && run->segments.answer == &run->result->head &&
        run->segments.answer->again == 0) {
        run->segments.answer->again = run->segments.answer->size;
    }
    send_request(run, action == OTA_SEND_HEAD);
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

/* The limit of 10 s holds for the first connection only. */
static int milliseconds_to_connect(const struct run *run)
{
    int left = milliseconds_left(run);
    bool first = run->result->client.state == OTA_STATE_CONNECTING;
    return first && left > CONNECT_MS ? CONNECT_MS : left;
}

static enum ota_action converse(struct run *run, struct probe_answer *answer, uint16_t mss)
{
    run->segments = (struct segments){.client = &run->result->client,
                                      .connection = &run->connection,
                                      .answer = answer,
                                      .hooks = run->options->hooks,
                                      .cut = run->options->mss};
    int failure = connection_open(&run->connection, &run->route, mss, milliseconds_to_connect(run));
    if (failure != 0) {
        return cannot_connect(run, failure);
    }
    run->connected = now_seconds();
    answer->connected = true;
    enum ota_action action = ota_client_connected(&run->result->client);
    while (action != OTA_RECONNECT && action != OTA_END) {
        action = action == OTA_WAIT ? step(run) : obey(run, action);
    }
    return action;
}

/* A device stops at the first broken rule; for the report the rest of the image is of use. */
static void read_on(struct run *run)
{
    const struct ota_client *client = &run->result->client;
    struct probe_answer *a = run->segments.answer;
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
        segments_watch(&run->segments, &arrival);
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
    return (struct ota_stream){a->bytes,          header, a->bytes + header, a->size - header,
                               run->segments.cut, alone};
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
        if (segments_full_count(answer->size, m) <
            1 + segments_full_count(answer->size - header, m)) {
            return m;
        }
    }
    return mss;
}

/* Asks for the image once more, only to see whether the header comes by itself. */
static void look_again(struct run *run, const struct ota_client *before, struct probe_answer *again)
{
    const struct probe_result kept = *run->result;
    const uint16_t cut = run->segments.cut;
    uint16_t mss = telling_mss(&kept.get);
    mss = (uint16_t)(mss + (run->connection.timestamps ? CONNECTION_TIMESTAMP : 0));
    run->result->client = *before;
    (void)converse(run, again, mss);
    connection_close(&run->connection);
    again->cut_unsure = again->cut_unsure || !run->result->client.got_header;
    *run->result = kept;
    run->segments.cut = cut;
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
    segments_sum_up(&run->segments);
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

/* Whether the server closes HEAD's connection matters to an image of one sector. */
static void await_close(struct run *run)
{
    struct probe_answer *a = run->segments.answer;
    bool one_sector = run->result->client.erased == ESPIMAGE_SECTOR;
    enum connection_event event = a->closed ? CONNECTION_CLOSED : CONNECTION_SILENT;
    for (int i = 0; one_sector && i < READ_ON_MS / PAUSE_MS && !a->closed && a->size < a->room;
         i++) {
        struct arrival arrival;
        event = read_more(run, PAUSE_MS, &arrival);
        a->closed = event == CONNECTION_CLOSED || event == CONNECTION_RESET;
    }
    if (a->closed) {
        (void)ota_client_closed(&run->result->client, event == CONNECTION_RESET);
    }
}

static void play(struct run *run)
{
    struct probe_result *r = run->result;
    uint16_t mss = run->options->mss;
    enum ota_action action = ask_for_length(run, mss);
    if (action == OTA_RECONNECT) {
        await_close(run);
    }
    if (r->head.connected) {
        segments_sum_up(&run->segments);
        /* With timestamps, announce so much more that the segments carry what a device's do. */
        bool roomy = run->connection.timestamps && mss <= UINT16_MAX - CONNECTION_TIMESTAMP;
        mss = (uint16_t)(mss + (roomy ? CONNECTION_TIMESTAMP : 0));
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
    run.began = now_seconds();
    play(&run);
    out->seconds = now_seconds() - run.began;
    return ESPIMAGE_OK;
}

void probe_result_free(struct probe_result *result)
{
    free(result->head.bytes);
    free(result->get.bytes);
    result->head.bytes = NULL;
    result->get.bytes = NULL;
}
