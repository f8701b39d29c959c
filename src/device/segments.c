/* SPDX-License-Identifier: MIT */
#include "device/segments.h"

#include "device/answer.h"

#include <string.h>

/* What a segment added to the body stands at its end. */
static bool keep_body(const struct segments *s, uint32_t before, const uint8_t *segment,
                      size_t size)
{
    const struct probe_hooks *hooks = s->hooks;
    const struct ota_client *client = s->client;
    size_t added = client->written - before;
    return hooks == NULL || added == 0 ||
           hooks->write(hooks->context, client, before, segment + (size - added), added);
}

/* Gives the client everything before `end`, cut every MSS bytes, until it wants something else. */
static enum ota_action hand_over(struct segments *s, size_t end)
{
    struct probe_answer *a = s->answer;
    struct ota_client *client = s->client;
    enum ota_action action = OTA_WAIT;
    while (s->fed < end && action == OTA_WAIT) {
        size_t left = end - s->fed;
        size_t size = left < s->cut ? left : s->cut;
        bool had_header = client->got_header;
        uint32_t before = client->written;
        action = ota_client_segment(client, a->bytes + s->fed, size);
        if (!keep_body(s, before, a->bytes + s->fed, size)) {
            return ota_client_give_up(client, "given up");
        }
        s->fed += size;
        a->header_alone =
            a->header_alone || (!had_header && client->got_header && !client->checked_first);
    }
    return action;
}

enum ota_action segments_rest(struct segments *s)
{
    return hand_over(s, s->answer->size);
}

static enum ota_action hand_over_whole(struct segments *s)
{
    size_t left = s->answer->size - s->fed;
    return hand_over(s, s->fed + left / s->cut * s->cut);
}

bool segments_before_body(const struct segments *s)
{
    const struct ota_client *client = s->client;
    return client->state == OTA_STATE_HEAD || client->state == OTA_STATE_FALLBACK ||
           client->state == OTA_STATE_GET;
}

uint64_t segments_full_count(uint64_t bytes, uint16_t largest)
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

static bool path_may_be_less(const struct segments *s)
{
    const struct connection *c = s->connection;
    return s->fed == 0 && c->seen > FIRST_GUESS && c->seen < c->largest;
}

/* When all segments of the first flight are full ones of a smaller size than announced, the server
 * or the network allow no more, and a device will not get larger ones either. */
static void note_path(struct segments *s)
{
    struct connection *c = s->connection;
    const struct probe_answer *a = s->answer;
    size_t header = answer_header_size(a->bytes, a->size);
    if (!path_may_be_less(s) || s->count < ENOUGH_FOR_PATH) {
        return;
    }
    if (is_multiple(a->size, c->seen) || is_multiple(a->size - header, c->seen) ||
        s->count == segments_full_count(a->size, c->seen) ||
        s->count == 1 + segments_full_count(a->size - header, c->seen)) {
        uint32_t path = c->seen + (c->timestamps ? CONNECTION_TIMESTAMP : 0U);
        c->path = c->seen;
        c->largest = c->seen;
        s->answer->path = (uint16_t)(path < UINT16_MAX ? path : UINT16_MAX);
        s->cut = s->cut < s->answer->path ? s->cut : s->answer->path;
    }
}

enum first_end { FIRST_IS_FULL, FIRST_IS_HEADER, FIRST_SEEMS_HEADER, FIRST_NOT_KNOWN };

/* Several segments have come, of header and body. Where they end tells more than how many they
 * are: when this side reads late, the server repeats some, and those count but bring no bytes. So
 * there are never more bytes than the count has room for, but perhaps less. */
static enum first_end find_first_end(const struct segments *s, uint64_t bytes, uint64_t header)
{
    uint16_t largest = s->connection->largest;
    uint64_t without = segments_full_count(bytes, largest);
    uint64_t alone = 1 + segments_full_count(bytes - header, largest);
    if (is_multiple(bytes, largest) || s->count < alone) {
        return FIRST_IS_FULL;
    }
    if (is_multiple(bytes - header, largest)) {
        return FIRST_IS_HEADER;
    }
    bool one_more = s->count == alone && alone > without && !s->squeezed;
    return one_more ? FIRST_SEEMS_HEADER : FIRST_NOT_KNOWN;
}

/* Cuts what came before the body was reached, when enough is known of how it was cut; `final`:
 * no more will be known. */
static enum ota_action split_first(struct segments *s, bool final)
{
    struct probe_answer *a = s->answer;
    uint64_t bytes = a->size - s->fed;
    size_t header = answer_header_size(a->bytes + s->fed, (size_t)bytes);
    if (header == 0 || header == bytes) {
        a->header_in_pieces =
            header > 0 && s->count > segments_full_count(bytes, s->connection->largest);
        return is_multiple(bytes, s->connection->largest) ? hand_over_whole(s)
                                                          : hand_over(s, a->size);
    }
    if (s->first_end != 0 && s->connection->path == 0) {
        enum ota_action action = hand_over(s, s->first_end);
        return action == OTA_WAIT ? hand_over_whole(s) : action;
    }
    enum first_end first = find_first_end(s, bytes, header);
    bool sure = first == FIRST_IS_FULL || first == FIRST_IS_HEADER;
    if (!sure && !final) {
        return OTA_WAIT;
    }
    a->cut_unsure = !sure;
    bool alone = first == FIRST_IS_HEADER || first == FIRST_SEEMS_HEADER;
    enum ota_action action = alone ? hand_over(s, s->fed + header) : OTA_WAIT;
    return action == OTA_WAIT ? hand_over_whole(s) : action;
}

/* Before the body each segment counts as it was sent: a server that sends the header by itself does
 * so for a device too. */
static enum ota_action hand_over_first(struct segments *s, bool final)
{
    struct probe_answer *a = s->answer;
    size_t header = answer_header_size(a->bytes + s->fed, a->size - s->fed);
    bool ends_there = header > 0 && s->fed + header == a->size;
    if (!s->connection->counts || s->connection->largest == 0) {
        return ends_there || final ? hand_over(s, a->size) : hand_over_whole(s);
    }
    note_path(s);
    bool wait =
        path_may_be_less(s) && s->count < ENOUGH_FOR_PATH && header > 0 && !ends_there && !final;
    if (s->count == 1) {
        s->first_end = a->size;
    }
    if (wait) {
        return OTA_WAIT;
    }
    enum ota_action action = s->count <= 1 ? hand_over(s, a->size) : split_first(s, final);
    if (s->fed == a->size) {
        s->count = 0;
        s->first_end = 0;
    }
    return action;
}

enum ota_action segments_came(struct segments *s, const struct arrival *arrival)
{
    s->count += arrival->segments;
    s->squeezed = arrival->squeezed;
    if (!segments_before_body(s)) {
        return hand_over_whole(s);
    }
    return arrival->known || !s->connection->counts ? hand_over_first(s, false) : OTA_WAIT;
}

static bool body_is_there(const struct segments *s)
{
    const struct ota_client *client = s->client;
    return client->state == OTA_STATE_BODY &&
           client->written + (s->answer->size - s->fed) >= client->length;
}

enum ota_action segments_paused(struct segments *s)
{
    if (segments_before_body(s) && s->fed < s->answer->size) {
        return hand_over_first(s, true);
    }
    return body_is_there(s) ? segments_rest(s) : OTA_WAIT;
}

enum ota_action segments_ended(struct segments *s)
{
    enum ota_action action = OTA_WAIT;
    if (segments_before_body(s) && s->fed < s->answer->size) {
        action = hand_over_first(s, true);
    }
    return action == OTA_WAIT ? segments_rest(s) : action;
}

/* Repeated ones do no harm here: they bring no bytes. One that ends where this side had no more
 * room says nothing of the server. */
void segments_watch(struct segments *s, const struct arrival *arrival)
{
    struct probe_answer *a = s->answer;
    uint16_t largest = s->connection->largest;
    if (!arrival->known || largest == 0 || !s->client->got_header) {
        return;
    }
    if (s->full_from == 0 && a->header_alone) {
        s->full_from = answer_header_size(a->bytes, a->size);
    }
    if (is_multiple(a->size - s->full_from, largest)) {
        a->even_ones++;
        return;
    }
    if (s->squeezed_at != 0 && is_multiple(a->size - s->squeezed_at, largest)) {
        s->full_from = s->squeezed_at;
    } else if (arrival->squeezed) {
        s->squeezed_at = a->size;
    } else {
        a->short_ones++;
        s->full_from = a->size;
        s->shorted_at = a->size;
    }
}

void segments_sum_up(const struct segments *s)
{
    const struct connection *c = s->connection;
    struct probe_answer *a = s->answer;
    a->largest = c->counts ? c->largest : 0;
    a->segments = c->counts && c->read == c->queued ? c->segments : 0;
    /* The last one may be short. */
    if (a->short_ones > 0 && s->shorted_at == a->size) {
        a->short_ones--;
    }
}
