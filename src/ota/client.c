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
    [OTA_RULE_CONNECT] = {"connect", "the server accepts a connection, the first within 10 s"},
    [OTA_RULE_HEAD_HEADER] = {"head-header", "the whole header, with Content-Length spelled so, "
                                             "is in one TCP segment of the answer to HEAD"},
    [OTA_RULE_LENGTH] = {"length", "Content-Length is above 0, within the whole sectors of the OTA "
                                   "partition and within 240 sectors"},
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
    [OTA_RULE_LAST_SEGMENT] = {"last-segment", "the last TCP segment of the body holds 4 bytes or "
                                               "more, and neither the header nor bytes behind it"},
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

static enum ota_action fail(struct ota_client *c, enum ota_rule rule, enum ota_notice notice,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

static enum ota_action fail(struct ota_client *c, enum ota_rule rule, enum ota_notice notice,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->found, sizeof c->found, format, args);
    va_end(args);
    c->state = OTA_STATE_FAILURE;
    c->decided_by = rule;
    c->notice = notice;
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
    case OTA_STATE_RECONNECTING:
        /* With one sector the erase is done before the timer that closes the first connection. */
        if (c->erased == ESPIMAGE_SECTOR && !c->head_closed) {
            return fail(c, OTA_RULE_CONNECT, OTA_NOTICE_LATE,
                        "the server left HEAD's connection open, and the image is one sector long");
        }
        c->state = OTA_STATE_GET;
        return OTA_SEND_GET;
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

/* What the device finds in a segment that it searches for a header. */
struct header {
    bool whole;      /* CRLFCRLF and Content-Length are in it */
    bool has_length; /* so is the number, spelled as the device wants it */
    bool says_ok;    /* "200 OK" CRLF is in it */
    uint32_t length;
    const uint8_t *body; /* behind CRLFCRLF */
    size_t body_size;
};

/* As the device's atoi() does, whose long has 32 bits. The number goes through a buffer of 32
 * bytes; one that would not fit counts as too large, for what a device makes of it is undefined. */
static uint32_t number_of(const uint8_t *at, size_t size)
{
    char digits[32];
    if (size >= sizeof digits) {
        return UINT32_MAX;
    }
    memcpy(digits, at, size);
    digits[size] = '\0';
    long long value = strtoll(digits, NULL, 10);
    value = value > INT32_MAX ? INT32_MAX : value;
    value = value < INT32_MIN ? INT32_MIN : value;
    return (uint32_t)(int32_t)value;
}

/* The number reaches to the next CRLF. */
static void read_length(struct header *h, const uint8_t *bytes, size_t size)
{
    static const char field[] = "Content-Length: ";
    const uint8_t *at = find_text(bytes, size, field);
    if (at == NULL) {
        return;
    }
    at += sizeof field - 1;
    const uint8_t *end = find_text(at, size - (size_t)(at - bytes), "\r\n");
    if (end != NULL) {
        h->has_length = true;
        h->length = number_of(at, (size_t)(end - at));
    }
}

static struct header read_header(const uint8_t *bytes, size_t size)
{
    struct header h = {0};
    const uint8_t *end = find_text(bytes, size, "\r\n\r\n");
    h.says_ok = find_text(bytes, size, "200 OK\r\n") != NULL;
    h.whole = end != NULL && find_text(bytes, size, "Content-Length") != NULL;
    if (h.whole) {
        read_length(&h, bytes, size);
        h.body = end + 4;
        h.body_size = size - (size_t)(h.body - bytes);
    }
    return h;
}

/* A device whose SDK looks for it takes such a segment for a header, and forgets it. */
static bool is_forgotten(const struct ota_client *c, const struct header *h)
{
    return h->says_ok && c->options.sdk != OTA_SDK_2;
}

static enum ota_action take_length(struct ota_client *c, const struct header *h)
{
    uint32_t sectors = h->length / ESPIMAGE_SECTOR + (h->length % ESPIMAGE_SECTOR != 0 ? 1 : 0);
    if (h->length == 0 || sectors > c->options.partition / ESPIMAGE_SECTOR) {
        return fail(c, OTA_RULE_LENGTH, OTA_NOTICE_AT_ONCE, "Content-Length %u, partition %u",
                    h->length, c->options.partition);
    }
    if (sectors > ESPIMAGE_UPDATE_SECTORS) {
        return fail(c, OTA_RULE_LENGTH, OTA_NOTICE_LATE,
                    "Content-Length %u: %u sectors, \"num max=%u\"", h->length, sectors,
                    ESPIMAGE_UPDATE_SECTORS);
    }
    c->head_length = h->length;
    c->erased = sectors * ESPIMAGE_SECTOR;
    c->state = OTA_STATE_RECONNECTING;
    return OTA_RECONNECT;
}

static enum ota_action on_head(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    struct header h = read_header(bytes, size);
    if (h.has_length) {
        return take_length(c, &h);
    }
    if (h.whole || is_forgotten(c, &h)) {
        return OTA_WAIT;
    }
    c->fell_back = true;
    c->state = OTA_STATE_FALLBACK;
    return OTA_SEND_GET;
}

static enum ota_action wrong_crc(struct ota_client *c, uint32_t stored, uint32_t computed)
{
    if (c->dropped > 0) {
        return fail(c, OTA_RULE_NO_DROP, OTA_NOTICE_AT_ONCE, "%u segments, %u bytes, dropped",
                    c->dropped, c->dropped_bytes);
    }
    return fail(c, OTA_RULE_CRC, OTA_NOTICE_AT_ONCE, "stored %08X, computed %08X", stored,
                computed);
}

/* Compares with what lies as many bytes behind the start of the last segment as its part of the
 * body is long, less four: in a segment that holds the header too, that is not the end of the
 * image. */
static enum ota_action finish(struct ota_client *c, const uint8_t *segment, size_t size,
                              size_t body_size)
{
    if (body_size < CRC_SIZE) {
        return fail(c, OTA_RULE_LAST_SEGMENT, OTA_NOTICE_AT_ONCE,
                    "the last segment holds %zu bytes", body_size);
    }
    uint32_t stored = get_le32(segment + body_size - CRC_SIZE);
    uint32_t computed = checksum_device_crc(c->crc);
    if (stored != computed && size > body_size) {
        return fail(c, OTA_RULE_LAST_SEGMENT, OTA_NOTICE_AT_ONCE,
                    "header and image came in one segment of %zu bytes", size);
    }
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

/* The end of a segment is body. The CRC is over all of the body but its last four bytes. Done is
 * done when the count equals the length: beyond it, or without a length, nothing ends the update.
 */
static enum ota_action take_body(struct ota_client *c, const uint8_t *segment, size_t size,
                                 size_t body_size)
{
    const uint8_t *body = segment + (size - body_size);
    uint32_t counted = c->length < CRC_SIZE ? 0 : c->length - CRC_SIZE;
    if (c->written < counted) {
        size_t left = counted - c->written;
        c->crc = checksum_crc32_more(c->crc, body, body_size < left ? body_size : left);
    }
    keep_first(c, body, body_size);
    c->written += (uint32_t)body_size;
    return c->written == c->length ? finish(c, segment, size, body_size) : OTA_WAIT;
}

static enum ota_action check_first(struct ota_client *c, const struct header *h)
{
    const uint8_t *b = h->body;
    c->checked_first = true;
    if (h->body_size < 4) {
        return fail(c, OTA_RULE_FIRST_BYTES, OTA_NOTICE_AT_ONCE,
                    "only %zu body bytes in the header's segment", h->body_size);
    }
    bool v2 = b[0] == MAGIC_V2 && b[1] == SECOND_BYTE;
    if (!v2 && !(b[0] == MAGIC_V1 && b[1] == 3)) {
        return fail(c, OTA_RULE_FIRST_BYTES, OTA_NOTICE_AT_ONCE, "%02X %02X: \"error bin file\"",
                    b[0], b[1]);
    }
    if (b[3] != 3 - c->options.running) {
        return fail(c, OTA_RULE_APP_NUMBER, OTA_NOTICE_AT_ONCE,
                    "%u, running slot %u: \"please check the bin file\"", b[3], c->options.running);
    }
    return OTA_WAIT;
}

/* A segment with CRLFCRLF and Content-Length, before any byte of the body was counted. */
static enum ota_action take_header(struct ota_client *c, const uint8_t *segment, size_t size,
                                   const struct header *h)
{
    if (h->has_length) {
        c->got_header = true;
        c->length = h->length;
    }
    if (h->has_length && h->length == 0) {
        return fail(c, OTA_RULE_LENGTH, OTA_NOTICE_AT_ONCE, "GET announced 0 bytes, HEAD %u",
                    c->head_length);
    }
    if (h->body_size == 0) {
        return c->length > 0 ? OTA_WAIT
                             : fail(c, OTA_RULE_GET_HEADER, OTA_NOTICE_AT_ONCE,
                                    "a header without \"Content-Length: \": 0 of 0 bytes");
    }
    keep_first(c, h->body, h->body_size);
    if (check_first(c, h) == OTA_END) {
        return OTA_END;
    }
    return take_body(c, segment, size, h->body_size);
}

static enum ota_action on_get(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    struct header h = read_header(bytes, size);
    c->segments++;
    if (h.whole && c->written == 0) {
        return take_header(c, bytes, size, &h);
    }
    if (!is_forgotten(c, &h)) {
        return take_body(c, bytes, size, size);
    }
    if (c->state == OTA_STATE_BODY) {
        c->dropped++;
        c->dropped_bytes += (uint32_t)size;
    } else {
        c->forgotten++;
    }
    return OTA_WAIT;
}

enum ota_action ota_client_segment(struct ota_client *c, const uint8_t *bytes, size_t size)
{
    enum ota_action action = OTA_WAIT;
    switch (c->state) {
    case OTA_STATE_HEAD:
    case OTA_STATE_FALLBACK: return on_head(c, bytes, size);
    case OTA_STATE_GET:
    case OTA_STATE_BODY:
        action = on_get(c, bytes, size);
        if (action == OTA_WAIT && (c->got_header || c->written > 0)) {
            c->state = OTA_STATE_BODY;
        }
        return action;
    case OTA_STATE_CONNECTING:
    case OTA_STATE_RECONNECTING: return OTA_WAIT;
    case OTA_STATE_SUCCESS:
    case OTA_STATE_FAILURE: break;
    }
    return OTA_END;
}

bool ota_client_is_lost(const struct ota_client *c)
{
    return c->state == OTA_STATE_BODY && c->written > c->length;
}

static enum ota_action body_broke_off(struct ota_client *c, enum ota_rule rule, const char *why)
{
    if (!c->got_header) {
        return fail(c, OTA_RULE_GET_HEADER, OTA_NOTICE_LATE,
                    "no header with a length was found, so %u bytes were taken for the image; %s",
                    c->written, why);
    }
    if (c->dropped > 0) {
        return fail(c, OTA_RULE_NO_DROP, OTA_NOTICE_LATE, "%u segments, %u bytes, dropped; %s",
                    c->dropped, c->dropped_bytes, why);
    }
    if (c->written > c->length) {
        return fail(c, OTA_RULE_LAST_SEGMENT, OTA_NOTICE_LATE,
                    "%u bytes follow the body in its last segment", c->written - c->length);
    }
    return fail(c, rule, OTA_NOTICE_LATE, "%s after %u of %u bytes", why, c->written, c->length);
}

static enum ota_action broke_off(struct ota_client *c, enum ota_rule rule, const char *why)
{
    switch (c->state) {
    case OTA_STATE_CONNECTING:
    case OTA_STATE_RECONNECTING: return fail(c, OTA_RULE_CONNECT, OTA_NOTICE_LATE, "%s", why);
    case OTA_STATE_HEAD:
    case OTA_STATE_FALLBACK:
        return fail(c, OTA_RULE_HEAD_HEADER, OTA_NOTICE_LATE, "%s before such a header", why);
    case OTA_STATE_GET:
        return fail(c, OTA_RULE_GET_HEADER, OTA_NOTICE_LATE, "%s before such a header", why);
    case OTA_STATE_BODY: return body_broke_off(c, rule, why);
    case OTA_STATE_SUCCESS:
    case OTA_STATE_FAILURE: break;
    }
    return OTA_END;
}

enum ota_action ota_client_closed(struct ota_client *c, bool reset)
{
    if (c->state == OTA_STATE_RECONNECTING) {
        c->head_closed = true;
        return OTA_WAIT;
    }
    return broke_off(c, OTA_RULE_COMPLETE, reset ? "reset" : "closed");
}

enum ota_action ota_client_give_up(struct ota_client *c, const char *why)
{
    return broke_off(c, OTA_RULE_COMPLETE, why);
}

enum ota_action ota_client_timeout(struct ota_client *c, bool connecting)
{
    bool first = connecting && c->state == OTA_STATE_CONNECTING;
    enum ota_action action =
        broke_off(c, connecting ? OTA_RULE_CONNECT : OTA_RULE_IN_TIME, "time ran out");
    c->notice = first ? OTA_NOTICE_AT_ONCE : c->notice;
    return action;
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
    for (size_t at = 0; at < total && (action == OTA_WAIT || action == OTA_SEND_GET);) {
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
    if (c->state == OTA_STATE_FALLBACK) {
        action = play_stream(c, stream);
    }
    if (action == OTA_RECONNECT) {
        (void)ota_client_closed(c, false);
        (void)ota_client_connected(c);
        action = play_stream(c, stream);
    }
    if (action != OTA_END) {
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
