/* SPDX-License-Identifier: MIT */
#include "ota/client.h"

#include "base/bytes.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <espimage/flash.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *demand;
} rules[OTA_RULE_COUNT] = {
    [OTA_RULE_CONNECT] = {"connect", "the server accepts a connection within 10 s"},
    [OTA_RULE_HEAD_HEADER] = {"head-header", "the whole header, with Content-Length spelled so, "
                                             "is in one TCP segment of the answer to HEAD"},
    [OTA_RULE_LENGTH] = {"length", "Content-Length is above 0 and within the OTA partition"},
    [OTA_RULE_GET_HEADER] = {"get-header", "the whole header, with Content-Length spelled so, is "
                                           "in the first TCP segment of the answer to GET"},
    [OTA_RULE_FIRST_BYTES] = {"first-bytes", "the body begins with EA 04 or E9 03"},
    [OTA_RULE_APP_NUMBER] = {"app-number", "the fourth byte is the slot that does not run"},
    [OTA_RULE_SAME_LENGTH] = {"same-length", "GET announces no more bytes than HEAD, for which the "
                                             "flash was erased"},
    [OTA_RULE_NO_DROP] = {"no-drop", "no TCP segment begins in a zero-free run that leads to "
                                     "\"200 OK\" CRLF: the device drops it"},
    [OTA_RULE_COMPLETE] = {"complete", "Content-Length bytes arrive"},
    [OTA_RULE_IN_TIME] = {"in-time", "they arrive within the firmware's own limit"},
    [OTA_RULE_LAST_SEGMENT] = {"last-segment", "the last TCP segment holds 4 bytes or more, and "
                                               "nothing after the body"},
    [OTA_RULE_CRC] = {"crc", "the last four bytes are the CRC of all before them"},
};

const char *ota_rule_name(enum ota_rule rule)
{
    return rules[rule].name;
}

const char *ota_rule_demand(enum ota_rule rule)
{
    return rules[rule].demand;
}

static enum ota_action fail(struct ota_client *c, enum ota_rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum ota_action fail(struct ota_client *c, enum ota_rule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->found, sizeof c->found, format, args);
    va_end(args);
    c->state = OTA_STATE_FAILURE;
    c->decided_by = rule;
    return OTA_END;
}

void ota_client_init(struct ota_client *c, const struct ota_client_options *options)
{
    memset(c, 0, sizeof *c);
    c->options = *options;
    c->state = OTA_STATE_CONNECTING;
}

enum ota_action ota_client_connected(struct ota_client *c)
{
    switch (c->state) {
    case OTA_STATE_CONNECTING: c->state = OTA_STATE_HEAD; return OTA_SEND_HEAD;
    case OTA_STATE_RECONNECTING: c->state = OTA_STATE_GET; return OTA_SEND_GET;
    case OTA_STATE_SUCCESS:
    case OTA_STATE_FAILURE: return OTA_END;
    default: return OTA_WAIT;
    }
}

/* As the device searches: like strstr(), so a zero byte ends the segment. */
static const uint8_t *find_text(const uint8_t *bytes, size_t size, const char *text)
{
    const uint8_t *zero = memchr(bytes, 0, size);
    size_t length = zero != NULL ? (size_t)(zero - bytes) : size;
    return memmem(bytes, length, text, strlen(text));
}

/* What the device finds in a segment that it takes for a header. */
struct header {
    bool usable;
    bool says_ok; /* "200 OK" CRLF is in it */
    uint32_t length;
    const uint8_t *body; /* behind CRLFCRLF */
    size_t body_size;
};

/* The number reaches to the next CRLF and goes through a buffer of 32 bytes; one that would not fit
 * counts as too large, since nobody knows what a device makes of it. */
static uint32_t read_length(const uint8_t *at, const uint8_t *end)
{
    char digits[32];
    size_t count = 0;
    while (at + 1 < end && !(at[0] == '\r' && at[1] == '\n')) {
        if (count + 1 == sizeof digits) {
            return UINT32_MAX;
        }
        digits[count++] = (char)*at++;
    }
    digits[count] = '\0';
    unsigned long long value = strtoull(digits, NULL, 10);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static struct header read_header(const uint8_t *bytes, size_t size)
{
    static const char field[] = "Content-Length: ";
    struct header h = {0};
    const uint8_t *end = find_text(bytes, size, "\r\n\r\n");
    const uint8_t *length = find_text(bytes, size, field);

    h.says_ok = find_text(bytes, size, "200 OK\r\n") != NULL;
    if (end != NULL && length != NULL) {
        h.usable = true;
        h.length = read_length(length + sizeof field - 1, bytes + size);
        h.body = end + 4;
        h.body_size = size - (size_t)(h.body - bytes);
    }
    return h;
}

static enum ota_action take_length(struct ota_client *c, const struct header *h)
{
    if (h->length == 0 || h->length > c->options.partition) {
        return fail(c, OTA_RULE_LENGTH, "Content-Length %u, partition %u", h->length,
                    c->options.partition);
    }
    c->head_length = h->length;
    c->erased = round_up(h->length, ESPIMAGE_SECTOR);
    c->state = OTA_STATE_RECONNECTING;
    return OTA_RECONNECT;
}

static enum ota_action on_head(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    struct header h = read_header(bytes, size);
    if (h.usable) {
        return take_length(c, &h);
    }
    if (c->state == OTA_STATE_FALLBACK || (h.says_ok && !c->options.before_2018)) {
        return OTA_WAIT;
    }
    c->fell_back = true;
    c->state = OTA_STATE_FALLBACK;
    return OTA_SEND_GET;
}

static enum ota_action wrong_crc(struct ota_client *c, uint32_t stored, uint32_t computed)
{
    if (!c->got_header) {
        return fail(c, OTA_RULE_GET_HEADER, "no header was found, so all was taken for the image");
    }
    if (c->dropped > 0) {
        return fail(c, OTA_RULE_NO_DROP, "%u segments, %u bytes, dropped", c->dropped,
                    c->dropped_bytes);
    }
    if (c->written > c->length) {
        return fail(c, OTA_RULE_LAST_SEGMENT, "%u bytes follow the body in its last segment",
                    c->written - c->length);
    }
    return fail(c, OTA_RULE_CRC, "stored %08X, computed %08X", stored, computed);
}

/* Compares with what the last segment ends in, as the device does. */
static enum ota_action finish(struct ota_client *c, const uint8_t *segment, size_t size)
{
    if (c->length > c->erased) {
        return fail(c, OTA_RULE_SAME_LENGTH, "GET announced %u bytes, HEAD %u", c->length,
                    c->head_length);
    }
    if (size < CRC_SIZE) {
        return fail(c, OTA_RULE_LAST_SEGMENT, "the last segment holds %zu bytes", size);
    }
    uint32_t stored = get_le32(segment + size - CRC_SIZE);
    uint32_t computed = checksum_device_crc(c->crc);
    if (stored != computed) {
        return wrong_crc(c, stored, computed);
    }
    c->state = OTA_STATE_SUCCESS;
    (void)snprintf(c->found, sizeof c->found, "%u bytes in %u segments, CRC %08X", c->length,
                   c->segments, stored);
    return OTA_END;
}

static void keep_first(struct ota_client *c, const uint8_t *body, size_t body_size)
{
    for (size_t i = 0; c->written + i < sizeof c->first && i < body_size; i++) {
        c->first[c->written + i] = body[i];
    }
}

/* Body bytes of a segment. The CRC is over all of the body but its last four bytes. */
static enum ota_action take_body(struct ota_client *c, const uint8_t *body, size_t body_size,
                                 const uint8_t *segment, size_t size)
{
    uint32_t counted = c->length < CRC_SIZE ? 0 : c->length - CRC_SIZE;
    if (c->written < counted) {
        size_t left = counted - c->written;
        c->crc = checksum_crc32_more(c->crc, body, body_size < left ? body_size : left);
    }
    keep_first(c, body, body_size);
    c->written += (uint32_t)body_size;
    return c->written >= c->length ? finish(c, segment, size) : OTA_WAIT;
}

static enum ota_action check_first(struct ota_client *c, const struct header *h)
{
    const uint8_t *b = h->body;
    if (h->body_size == 0) {
        return OTA_WAIT;
    }
    c->checked_first = true;
    if (h->body_size < 4) {
        return fail(c, OTA_RULE_FIRST_BYTES, "only %zu body bytes in the header's segment",
                    h->body_size);
    }
    bool v2 = b[0] == MAGIC_V2 && b[1] == SECOND_BYTE;
    if (!v2 && !(b[0] == MAGIC_V1 && b[1] == 3)) {
        return fail(c, OTA_RULE_FIRST_BYTES, "%02X %02X: \"error bin file\"", b[0], b[1]);
    }
    if (b[3] != 3 - c->options.running) {
        return fail(c, OTA_RULE_APP_NUMBER, "%u, running slot %u: \"please check the bin file\"",
                    b[3], c->options.running);
    }
    return OTA_WAIT;
}

static enum ota_action take_header(struct ota_client *c, const struct header *h)
{
    c->got_header = true;
    c->length = h->length;
    c->state = OTA_STATE_BODY;
    if (h->length == 0) {
        return fail(c, OTA_RULE_LENGTH, "GET announced 0 bytes, HEAD %u", c->head_length);
    }
    keep_first(c, h->body, h->body_size);
    if (check_first(c, h) == OTA_END) {
        return OTA_END;
    }
    return h->body_size > 0 ? take_body(c, h->body, h->body_size, h->body, h->body_size) : OTA_WAIT;
}

static enum ota_action on_get(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    struct header h = read_header(bytes, size);
    c->segments++;
    if (h.usable) {
        return take_header(c, &h);
    }
    if (h.says_ok) {
        c->forgotten++;
        return OTA_WAIT;
    }
    /* No header at all: it is taken for the body. */
    c->length = c->head_length;
    c->state = OTA_STATE_BODY;
    return take_body(c, bytes, size, bytes, size);
}

static enum ota_action on_body(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    c->segments++;
    if (find_text(bytes, size, "200 OK\r\n") != NULL) {
        c->dropped++;
        c->dropped_bytes += (uint32_t)size;
        return OTA_WAIT;
    }
    return take_body(c, bytes, size, bytes, size);
}

enum ota_action ota_client_segment(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    switch (c->state) {
    case OTA_STATE_HEAD:
    case OTA_STATE_FALLBACK: return on_head(c, bytes, size);
    case OTA_STATE_GET: return on_get(c, bytes, size);
    case OTA_STATE_BODY: return on_body(c, bytes, size);
    case OTA_STATE_CONNECTING:
    case OTA_STATE_RECONNECTING: return OTA_WAIT;
    case OTA_STATE_SUCCESS:
    case OTA_STATE_FAILURE: break;
    }
    return OTA_END;
}

static enum ota_action body_broke_off(struct ota_client *c, enum ota_rule rule, const char *why)
{
    if (!c->got_header) {
        return fail(c, OTA_RULE_GET_HEADER, "no header was found; %s", why);
    }
    if (c->dropped > 0) {
        return fail(c, OTA_RULE_NO_DROP, "%u segments, %u bytes, dropped; %s", c->dropped,
                    c->dropped_bytes, why);
    }
    return fail(c, rule, "%s after %u of %u bytes", why, c->written, c->length);
}

static enum ota_action broke_off(struct ota_client *c, enum ota_rule rule, const char *why)
{
    switch (c->state) {
    case OTA_STATE_CONNECTING:
    case OTA_STATE_RECONNECTING: return fail(c, OTA_RULE_CONNECT, "%s", why);
    case OTA_STATE_HEAD:
    case OTA_STATE_FALLBACK: return fail(c, OTA_RULE_HEAD_HEADER, "%s before such a header", why);
    case OTA_STATE_GET: return fail(c, OTA_RULE_GET_HEADER, "%s before such a header", why);
    case OTA_STATE_BODY: return body_broke_off(c, rule, why);
    case OTA_STATE_SUCCESS:
    case OTA_STATE_FAILURE: break;
    }
    return OTA_END;
}

enum ota_action ota_client_closed(struct ota_client *c, bool reset)
{
    return broke_off(c, OTA_RULE_COMPLETE, reset ? "reset" : "closed");
}

enum ota_action ota_client_give_up(struct ota_client *c, const char *why)
{
    return broke_off(c, OTA_RULE_COMPLETE, why);
}

enum ota_action ota_client_timeout(struct ota_client *c, bool connecting)
{
    return broke_off(c, connecting ? OTA_RULE_CONNECT : OTA_RULE_IN_TIME, "time ran out");
}

#define LARGEST_SEGMENT 65535

/* Copies what lies at `at` of header and body as one stream; returns the number of bytes. */
static size_t copy_stream(const struct ota_stream *s, size_t at, uint8_t *to, size_t room)
{
    size_t count = 0;
    if (at < s->header_size) {
        count = s->header_size - at < room ? s->header_size - at : room;
        memcpy(to, s->header + at, count);
        at += count;
    }
    size_t left = s->header_size + s->body_size - at;
    size_t more = left < room - count ? left : room - count;
    if (more > 0) {
        memcpy(to + count, s->body + (at - s->header_size), more);
    }
    return count + more;
}

/* Hands the stream over segment by segment until the client has enough. */
static enum ota_action play_stream(struct ota_client *c, const struct ota_stream *s)
{
    uint8_t segment[LARGEST_SEGMENT];
    enum ota_action action = OTA_WAIT;
    size_t total = s->header_size + s->body_size;
    size_t mss = s->mss > 0 && s->mss < sizeof segment ? s->mss : sizeof segment;
    for (size_t at = 0; at < total && action == OTA_WAIT;) {
        bool alone = s->header_alone && at < s->header_size && s->header_size - at < mss;
        size_t size = copy_stream(s, at, segment, alone ? s->header_size - at : mss);
        action = ota_client_segment(c, segment, size);
        at += size;
    }
    return action;
}

void ota_client_replay(struct ota_client *c, const struct ota_client_options *options,
                       const struct ota_stream *stream)
{
    struct ota_stream head = *stream;
    head.body_size = 0;
    ota_client_init(c, options);
    (void)ota_client_connected(c);
    enum ota_action action = play_stream(c, &head);
    if (action == OTA_SEND_GET) {
        action = play_stream(c, stream);
    }
    if (action == OTA_RECONNECT) {
        (void)ota_client_connected(c);
        action = play_stream(c, stream);
    }
    if (action == OTA_WAIT) {
        (void)ota_client_closed(c, false);
    }
}

void ota_client_play(struct ota_client *c, const struct ota_client_options *options,
                     const uint8_t *header, size_t header_size, const uint8_t *body,
                     size_t body_size, size_t mss)
{
    const struct ota_stream stream = {header, header_size, body, body_size, mss, false};
    ota_client_replay(c, options, &stream);
}
